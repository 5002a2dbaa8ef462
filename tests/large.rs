//! Inputs of more than usual: over 4 GB, many hours, many tracks.
//!
//! Those over 4 GB have the small fixture's output, byte by byte, although every offset needs 64 bits. The hole in the file is
//! sparse, so it takes no room on the disk.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use common::{RenditionFiles, Workspace, fixture, run, samples, tool};

/// More than 32 bits can tell.
const HOLE_BYTES: u64 = 5 << 30;

/// A box at the top of a file: its type and its payload.
struct TopBox<'a> {
    kind: &'a [u8],
    payload: &'a [u8],
}

fn top_boxes(mut data: &[u8]) -> Vec<TopBox<'_>> {
    let mut boxes = Vec::new();
    while !data.is_empty() {
        let (header, size) = match u32::from_be_bytes(data[..4].try_into().unwrap()) {
            1 => (
                16,
                usize::try_from(u64::from_be_bytes(data[8..16].try_into().unwrap())).unwrap(),
            ),
            size => (8, size as usize),
        };
        boxes.push(TopBox {
            kind: &data[4..8],
            payload: &data[header..size],
        });
        data = &data[size..];
    }
    boxes
}

/// A file that is written piece by piece, with holes.
struct Sparse {
    file: File,
    end: u64,
}

impl Sparse {
    fn create(path: &Path) -> Self {
        let file = File::create(path).unwrap();
        Self { file, end: 0 }
    }

    fn put(&mut self, bytes: &[u8]) {
        self.file.write_all_at(bytes, self.end).unwrap();
        self.end += bytes.len() as u64;
    }

    fn put_box(&mut self, kind: &[u8], payload: &[u8]) {
        self.put(&u32::try_from(payload.len() + 8).unwrap().to_be_bytes());
        self.put(kind);
        self.put(payload);
    }

    /// A box with a 64-bit size whose payload begins with a hole.
    fn put_box_with_hole(&mut self, kind: &[u8], payload: &[u8]) {
        self.put(&1_u32.to_be_bytes());
        self.put(kind);
        self.put(&(16 + HOLE_BYTES + payload.len() as u64).to_be_bytes());
        self.end += HOLE_BYTES;
        self.put(payload);
    }
}

/// Adds `shift` to each of the `count` 64-bit integers at `at`.
fn shift_u64(data: &mut [u8], at: usize, count: usize, shift: u64) {
    for value in data[at..].chunks_mut(8).take(count) {
        let moved = u64::from_be_bytes((&*value).try_into().unwrap()) + shift;
        value.copy_from_slice(&moved.to_be_bytes());
    }
}

fn places_of(data: &[u8], kind: [u8; 4]) -> Vec<usize> {
    let found = data.windows(4).enumerate().filter(|(_, window)| *window == kind);
    found.map(|(at, _)| at).collect()
}

fn assert_same_output(name: &str, write: impl FnOnce(&[u8], &mut Sparse)) {
    let work = Workspace::new();
    let small = fixture(name);
    let large = work.path("large.mp4");
    write(&fs::read(&small).unwrap(), &mut Sparse::create(&large));
    assert!(fs::metadata(&large).unwrap().len() > HOLE_BYTES);

    let expected = work.package(&[small], "small", &[]);
    let renditions = work.package(&[large], "large", &[]);
    assert_eq!(renditions.len(), expected.len(), "{name}");
    for (rendition, expected) in renditions.iter().zip(&expected) {
        assert_eq!(rendition.name, expected.name, "{name}");
        assert_eq!(rendition.segments.len(), expected.segments.len(), "{name}");
        assert!(
            rendition.joined() == expected.joined(),
            "{name}: {} differs",
            rendition.name
        );
        let playlist = |rendition: &RenditionFiles| fs::read_to_string(&rendition.playlist).unwrap();
        assert_eq!(playlist(rendition), playlist(expected), "{name}");
    }
}

/// The samples lie behind a hole in the `mdat`, and the chunk offsets say so.
fn progressive(name: &str) {
    assert_same_output(name, |small, large| {
        for TopBox { kind, payload } in top_boxes(small) {
            if kind == b"mdat" {
                large.put_box_with_hole(kind, payload);
                continue;
            }
            let mut payload = payload.to_vec();
            let tables = places_of(&payload, *b"co64");
            assert_eq!(
                tables.is_empty(),
                kind != b"moov",
                "chunk offsets are in the moov, in 64 bits"
            );
            for at in tables {
                let count = u32::from_be_bytes(payload[at + 8..at + 12].try_into().unwrap());
                shift_u64(&mut payload, at + 12, count as usize, HOLE_BYTES);
            }
            large.put_box(kind, &payload);
        }
    });
}

/// All fragments lie behind a `free` box.
fn fragmented(name: &str) {
    const BASE_DATA_OFFSET_PRESENT: u8 = 1;
    assert_same_output(name, |small, large| {
        for TopBox { kind, payload } in top_boxes(small) {
            let mut payload = payload.to_vec();
            if kind == b"moof" {
                if large.end < HOLE_BYTES {
                    large.put_box_with_hole(b"free", &[]);
                }
                for at in places_of(&payload, *b"tfhd") {
                    if payload[at + 7] & BASE_DATA_OFFSET_PRESENT != 0 {
                        shift_u64(&mut payload, at + 12, 1, HOLE_BYTES + 16);
                    }
                }
            }
            large.put_box(kind, &payload);
        }
    });
}

#[test]
fn progressive_with_the_movie_box_in_front() {
    progressive("co64.mp4");
}

#[test]
fn progressive_with_the_movie_box_behind() {
    progressive("co64-moov-end.mp4");
}

#[test]
fn fragments_that_count_from_their_moof() {
    fragmented("many-truns.mp4");
}

#[test]
fn fragments_that_count_from_the_start_of_the_file() {
    fragmented("base-absolute-tfdt32.mp4");
}

/// Has ffmpeg make `source.mp4` of a fixture.
fn remux(workspace: &Workspace, before: &[&str], name: &str, after: &[&str]) -> bool {
    let Some(ffmpeg) = tool("ffmpeg") else { return false };
    let mut command = Command::new(ffmpeg);
    command
        .args(["-nostdin", "-v", "error"])
        .args(before)
        .arg("-i")
        .arg(fixture(name));
    run(command
        .args(["-c", "copy"])
        .args(after)
        .arg(workspace.path("source.mp4")));
    true
}

fn verify(workspace: &Workspace) {
    let mut command = workspace.vylux_pack();
    run(command.args(["verify", "out", "--no-store", "--source", "source.mp4"]));
}

/// 50 frames of 36 minutes each: 2^32 ticks are 13 hours.
#[test]
fn thirty_hours_of_90_khz() {
    for flags in ["faststart", "frag_keyframe+empty_moov+default_base_moof"] {
        let workspace = Workspace::new();
        let after = ["-video_track_timescale", "90000", "-movflags", flags];
        if !remux(&workspace, &["-itsscale", "54000"], "video-only.mp4", &after) {
            return;
        }
        let renditions = workspace.package(&[workspace.path("source.mp4")], "out", &["--segment-duration", "6"]);
        verify(&workspace);
        let samples = samples::read(&renditions[0].joined()).unwrap();
        let last = samples.last().unwrap();
        assert_eq!(samples.len(), 50, "{flags}");
        assert_eq!(last.decode_ticks, 49 * 54_000 * 90_000 / 25, "{flags}");
        assert!(last.decode_ticks > u64::from(u32::MAX));
        let playlist = fs::read_to_string(&renditions[0].playlist).unwrap();
        let seconds: f64 = playlist
            .lines()
            .filter_map(|line| line.strip_prefix("#EXTINF:")?.strip_suffix(','))
            .map(|text| text.parse::<f64>().unwrap())
            .sum();
        assert!((seconds - 108_000.0).abs() < 1.0, "{flags}: {seconds} s");
    }
}

#[test]
fn two_hundred_tracks() {
    for flags in ["faststart", "frag_keyframe+empty_moov+default_base_moof"] {
        let workspace = Workspace::new();
        let mut after = vec!["-movflags", flags, "-map", "0:v"];
        after.extend(["-map", "0:a"].repeat(199));
        if !remux(&workspace, &[], "progressive-moov-front.mp4", &after) {
            return;
        }
        let renditions = workspace.package(&[workspace.path("source.mp4")], "out", &[]);
        verify(&workspace);
        assert_eq!(renditions.len(), 200, "{flags}");
        // Each has the same sound, under an IV of its own.
        let bytes = |rendition: &RenditionFiles| -> usize {
            samples::read(&rendition.joined())
                .unwrap()
                .iter()
                .map(|sample| sample.data.len())
                .sum()
        };
        let expected = bytes(&renditions[1]);
        assert!(
            renditions[1..].iter().all(|rendition| bytes(rendition) == expected),
            "{flags}"
        );
    }
}

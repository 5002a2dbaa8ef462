//! `--single-file`: the bytes of a file a segment, in one file with an index that others read.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{CONTENT_ID, Workspace, derive, fixture, for_each, inputs, run, scheme, tool};
use m3u8_rs::{MediaPlaylist, Playlist};

/// What encrypts to `out`, in segments of a second.
fn encrypt(workspace: &Workspace, names: &[&str], out: &str, more: &[&str]) -> Command {
    let mut command = workspace.vylux_pack();
    command.arg("encrypt").args(names.iter().map(|name| fixture(name)));
    command.args(["--content-id", CONTENT_ID, "--out", out, "--no-store", "--quiet"]);
    command.args(["--segment-duration", "1"]).args(more);
    command
}

fn media_playlist(path: &Path) -> MediaPlaylist {
    match m3u8_rs::parse_playlist_res(&fs::read(path).unwrap()) {
        Ok(Playlist::MediaPlaylist(playlist)) => playlist,
        other => panic!("no media playlist: {other:?}"),
    }
}

/// Size and type of the box at a place.
fn box_at(data: &[u8], at: usize) -> (usize, [u8; 4]) {
    let size = u32::from_be_bytes(data[at..at + 4].try_into().unwrap());
    (size as usize, data[at + 4..at + 8].try_into().unwrap())
}

/// Init segment, `sidx`, and the segments without their types, byte for byte; and the playlists say where each is.
#[test]
fn it_has_the_bytes_of_a_file_a_segment() {
    for_each(&inputs(), |name| {
        let workspace = Workspace::new();
        let scheme = scheme(name);
        // Random IVs would differ.
        let scheme = if scheme == "cenc" { "none" } else { scheme };
        let renditions = workspace.package(&[fixture(name)], "files", &["--scheme", scheme]);
        for jobs in ["1", "3"] {
            let more = ["--scheme", scheme, "--single-file", "--jobs", jobs];
            run(&mut encrypt(&workspace, &[name], jobs, &more));
        }
        run(workspace
            .vylux_pack()
            .args(["verify", "3", "--no-store", "--quiet", "--source"])
            .arg(fixture(name)));
        for rendition in &renditions {
            let folder = workspace.path("3").join(&rendition.name);
            let data = fs::read(folder.join("media.mp4")).unwrap();
            let alone = fs::read(workspace.path("1").join(&rendition.name).join("media.mp4")).unwrap();
            if data != alone {
                return Err(format!("{}: other bytes of one worker", rendition.name));
            }
            let playlist = media_playlist(&folder.join("playlist.m3u8"));
            let init = fs::read(&rendition.init).unwrap();
            let map = playlist.segments[0].map.as_ref().unwrap();
            let range = map.byte_range.as_ref().unwrap();
            assert_eq!(
                (&*map.uri, range.offset, range.length),
                ("media.mp4", Some(0), init.len() as u64)
            );
            let mut end = init.len();
            assert!(data.starts_with(&init), "{}: another init segment", rendition.name);
            let (size, kind) = box_at(&data, end);
            assert_eq!(kind, *b"sidx");
            end += size;
            assert_eq!(playlist.segments.len(), rendition.segments.len());
            for (entry, segment) in playlist.segments.iter().zip(&rendition.segments) {
                let segment = fs::read(segment).unwrap();
                let (size, kind) = box_at(&segment, 0);
                assert_eq!(kind, *b"styp");
                let range = entry.byte_range.as_ref().unwrap();
                assert_eq!((&*entry.uri, range.offset), ("media.mp4", Some(end as u64)));
                let start = end;
                end += usize::try_from(range.length).unwrap();
                assert!(data[start..end] == segment[size..], "{}: {}", rendition.name, entry.uri);
            }
            assert_eq!(end, data.len(), "{}", rendition.name);
        }
        Ok(())
    });
}

/// The pictures of a file, as ffmpeg decodes them.
fn frames(ffmpeg: &Path, before: &[&str], path: &Path) -> Vec<String> {
    let mut command = Command::new(ffmpeg);
    command
        .args(["-v", "error", "-xerror", "-threads", "1"])
        .args(before)
        .arg("-i")
        .arg(path);
    command.args(["-map", "0:0", "-fps_mode", "passthrough", "-f", "framemd5", "-"]);
    let text = String::from_utf8(run(&mut command).stdout).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.rsplit(',').next().unwrap().trim().to_owned())
        .collect()
}

#[test]
fn ffmpeg_decrypts_it_to_the_source() {
    let Some(ffmpeg) = tool("ffmpeg8") else { return };
    let key = hex::encode(derive::key());
    for scheme in ["none", "cbcs", "cenc"] {
        for (name, folder) in [
            ("demo.mp4", "video/360p"),
            ("open-gop.mp4", "video/90p"),
            ("hevc.mp4", "video/90p"),
            ("slices-4.mp4", "video/90p"),
            ("aac-stereo.mp4", "audio/audio"),
        ] {
            let workspace = Workspace::new();
            run(&mut encrypt(
                &workspace,
                &[name],
                "out",
                &["--single-file", "--scheme", scheme],
            ));
            let file = workspace.path("out").join(folder).join("media.mp4");
            let key = ["-decryption_key", &key];
            let ours = frames(&ffmpeg, if scheme == "none" { &[] } else { &key }, &file);
            let source = frames(&ffmpeg, &[], &fixture(name));
            assert!(ours.len() > 20, "{name}, {scheme}");
            assert!(ours == source, "{name}, {scheme}: other frames");
        }
    }
}

/// `reference_ID` and all else that an index says but sizes: what two packagers write of the same segments.
fn index(data: &[u8]) -> (u32, Vec<(f64, u32)>) {
    let mut at = 0;
    while box_at(data, at).1 != *b"sidx" {
        at += box_at(data, at).0;
    }
    let number = |at: usize| u32::from_be_bytes(data[at..at + 4].try_into().unwrap());
    let timescale = number(at + 16);
    let wide = if data[at + 8] == 1 { 8 } else { 0 };
    assert_eq!(
        number(at + 20),
        0,
        "an earliest time of more than 32 bits, or version 0 and a start behind 0"
    );
    let count_at = at + 28 + wide + 2;
    let count = u16::from_be_bytes([data[count_at], data[count_at + 1]]);
    let references = (0..usize::from(count)).map(|index| {
        let at = count_at + 2 + 12 * index;
        (f64::from(number(at + 4)) / f64::from(timescale), number(at + 8))
    });
    (number(at + 12), references.collect())
}

#[test]
fn its_index_is_that_of_shaka_packager() {
    let Some(packager) = tool("packager") else { return };
    for (name, stream, folder) in [
        ("v180.mp4", "video", "video/180p"),
        ("v360.mp4", "video", "video/360p"),
        ("hevc.mp4", "video", "video/90p"),
    ] {
        let workspace = Workspace::new();
        run(&mut encrypt(
            &workspace,
            &[name],
            "out",
            &["--single-file", "--scheme", "none"],
        ));
        let ours = fs::read(workspace.path("out").join(folder).join("media.mp4")).unwrap();
        let file = workspace.path("shaka.mp4");
        let input = format!(
            "in={},stream={stream},output={}",
            fixture(name).display(),
            file.display()
        );
        run(Command::new(&packager).args(["--quiet", &input, "--segment_duration", "1"]));
        let theirs = fs::read(file).unwrap();
        assert_eq!(index(&ours).1, index(&theirs).1, "{name}");
    }
}

#[test]
fn verify_finds_what_is_changed() {
    const FOLDER: &str = "out/video/180p";
    let workspace = Workspace::new();
    let verdict = |expected: &str| {
        let mut command = workspace.vylux_pack();
        command
            .args(["verify", "out", "--no-store", "--source"])
            .arg(fixture("v180.mp4"));
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{expected}: {text}");
        assert!(text.contains(expected), "{expected}: {text}");
    };
    run(&mut encrypt(&workspace, &["v180.mp4"], "out", &["--single-file"]));
    let path = workspace.path(FOLDER).join("media.mp4");
    let data = fs::read(&path).unwrap();
    let sidx = {
        let mut at = 0;
        while box_at(&data, at).1 != *b"sidx" {
            at += box_at(&data, at).0;
        }
        at
    };
    let references = sidx + 40;
    for (at, bit, expected) in [
        (sidx + 15, 1, "reference_ID of sidx"),
        (sidx + 19, 1, "the timescale of sidx"),
        (sidx + 27, 1, "earliest_presentation_time of sidx"),
        (sidx + 35, 1, "first_offset of sidx"),
        (references, 0x80, "reference_type of reference 1 of sidx"),
        (references + 3, 1, "referenced_size of reference 1 of sidx"),
        (references + 12 + 7, 1, "subsegment_duration of reference 2 of sidx"),
        (
            references + 24 + 8,
            0x80,
            "the stream access point of reference 3 of sidx",
        ),
        (sidx + 4, 1, "where 'sidx' is expected"),
        (data.len() - 1, 1, "differs"),
    ] {
        let mut changed = data.clone();
        changed[at] ^= bit;
        fs::write(&path, changed).unwrap();
        verdict(expected);
    }
    fs::write(&path, [&data[..], b"\0\0\0\x08free"].concat()).unwrap();
    verdict("the last segment ends at byte");
    fs::write(&path, &data[..data.len() - 1]).unwrap();
    verdict("is missing");
    fs::write(&path, &data).unwrap();
    for (from, to, expected) in [
        ("<BaseURL>video", "<BaseURL>audio", "BaseURL is"),
        ("indexRange=\"", "indexRange=\"1", "indexRange is"),
        ("range=\"0-", "range=\"1-", "range is"),
        (
            "<SegmentBase timescale=\"12800\"",
            "<SegmentBase timescale=\"12801\"",
            "timescale is",
        ),
        ("SegmentBase", "SegmentBases", "has no SegmentBase"),
        ("isoff-on-demand", "isoff-live", "profiles is"),
    ] {
        let path = workspace.path("out/manifest.mpd");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from}: {text}");
        fs::write(&path, text.replace(from, to)).unwrap();
        verdict(expected);
        fs::write(&path, text).unwrap();
    }
    for (file, from, to, expected) in [
        (
            "playlist.m3u8",
            ",BYTERANGE=",
            ",BYTERANG=",
            "the attribute \"BYTERANG\"",
        ),
        ("playlist.m3u8", "@0\"", "@1\"", "does not begin where the file does"),
        (
            "playlist.m3u8",
            "BYTERANGE:1",
            "BYTERANGE:2",
            "does not begin where the one before ends",
        ),
        ("iframes.m3u8", "@0\"", "@1\"", "BYTERANGE of EXT-X-MAP of the I-frame"),
        (
            "iframes.m3u8",
            "BYTERANGE:2",
            "BYTERANGE:1",
            "the range of the I-frame is",
        ),
    ] {
        let path = workspace.path(FOLDER).join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from}: {text}");
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
        verdict(expected);
        fs::write(&path, text).unwrap();
    }
}

#[test]
fn what_can_not_be_one_file_is_refused() {
    for (more, expected) in [
        (
            &["--scheme", "aes-128"][..],
            "encrypts each segment as a file of its own",
        ),
        (&["--rotate-every", "1s"], "change them by --seig"),
        (&["--clear-lead", "1s"], "change them by --seig"),
    ] {
        let workspace = Workspace::new();
        let output = encrypt(&workspace, &["v180.mp4"], "out", more)
            .arg("--single-file")
            .output()
            .unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(expected), "{error}");
        assert!(!workspace.path("out").exists());
    }
    let workspace = Workspace::new();
    run(&mut encrypt(
        &workspace,
        &["v180.mp4"],
        "out",
        &["--single-file", "--seig", "--rotate-every", "1s"],
    ));
    run(workspace
        .vylux_pack()
        .args(["verify", "out", "--no-store", "--source"])
        .arg(fixture("v180.mp4")));
}

/// A worker whose segment waits for its place in the file learns that there will be none.
#[test]
fn a_damaged_sample_ends_all_workers() {
    let workspace = Workspace::new();
    let data = fs::read(fixture("v180.mp4")).unwrap();
    let clear = Workspace::new();
    run(&mut encrypt(&clear, &["v180.mp4"], "out", &["--scheme", "none"]));
    // The NAL unit that the second segment begins with, found in the source by its own bytes.
    let segment = fs::read(clear.path("out/video/180p/seg_00002.m4s")).unwrap();
    let mdat = segment.windows(4).position(|bytes| bytes == b"mdat").unwrap() + 4;
    let unit = &segment[mdat..mdat + 64];
    let at = data.windows(unit.len()).position(|bytes| bytes == unit).unwrap();
    let mut damaged = data;
    damaged[at] = 0x7f;
    fs::write(workspace.path("film.mp4"), damaged).unwrap();
    for _ in 0..20 {
        let mut command = workspace.vylux_pack();
        command.args([
            "encrypt",
            "film.mp4",
            "--content-id",
            "film",
            "--no-store",
            "--single-file",
        ]);
        let output = command
            .args(["--segment-duration", "1", "--jobs", "4"])
            .output()
            .unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{error}");
        assert!(error.contains("film.mp4: track 1, sample 26"), "{error}");
        assert!(!workspace.path("out/film").exists());
    }
}

/// What others made of it is an input again: its clear form as a tree, and its encrypted form by `decrypt`.
#[test]
fn it_is_read_again() {
    let workspace = Workspace::new();
    run(&mut encrypt(
        &workspace,
        &["v180.mp4", "a-en.mp4"],
        "clear",
        &["--single-file", "--scheme", "none"],
    ));
    let mut command = workspace.vylux_pack();
    command.args([
        "encrypt",
        "clear/master.m3u8",
        "--content-id",
        "tree",
        "--no-store",
        "--quiet",
        "--out",
        "tree",
    ]);
    run(&mut command);
    run(workspace.vylux_pack().args([
        "verify",
        "tree/master.m3u8",
        "--no-store",
        "--source",
        "clear/master.m3u8",
    ]));
    run(&mut encrypt(
        &workspace,
        &["v180.mp4", "a-en.mp4"],
        "out",
        &["--single-file"],
    ));
    run(workspace.vylux_pack().args(["decrypt", "out", "--out", "film.mp4"]));
    let Some(ffmpeg) = tool("ffmpeg8") else { return };
    let source = frames(&ffmpeg, &[], &fixture("v180.mp4"));
    assert_eq!(frames(&ffmpeg, &[], &workspace.path("film.mp4")), source);
}

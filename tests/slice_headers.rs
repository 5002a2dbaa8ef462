//! Slice headers are as long as ffmpeg's `trace_headers` says: what stands in front of the protected bytes is not judged by
//! our own parser, nor by Shaka Packager's, which knows no fields.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::ops::Range;
use std::path::Path;
use std::process::Command;

use common::samples::{self, Sample};
use common::{Workspace, fixture, for_each, inputs, is_hevc, is_vp9, run, tool};

/// Fixtures that ffmpeg misreads, with one that has the same video samples.
const SAME_SAMPLES_AS: &[(&str, &str)] = &[
    ("trun-follows.mp4", "many-truns.mp4"),
    ("empty-samples-fragmented.mp4", "empty-samples.mp4"),
];

#[test]
fn protected_bytes_begin_behind_the_slice_headers_that_ffmpeg_reads() {
    let Some(ffmpeg) = tool("ffmpeg8") else { return };
    for_each(&inputs(), |name| {
        let workspace = Workspace::new();
        let renditions = workspace.encrypt(name, "out");
        let Some(video) = renditions.iter().find(|rendition| rendition.is_video()) else {
            return Ok(());
        };
        if name.starts_with("av1") {
            // Has no slices; Shaka Packager judges where its tiles are.
            return Ok(());
        }
        let same = SAME_SAMPLES_AS.iter().find(|(fixture, _)| *fixture == name);
        let mut header_bits = slice_header_bits(&ffmpeg, &fixture(same.map_or(name, |(_, same)| same))).into_iter();
        let nal_length_bytes = match name {
            "nal-length-1.mp4" => 1,
            "nal-length-2.mp4" | "hevc-nal-length-2.mp4" => 2,
            _ => 4,
        };
        let protected_samples = samples::read(&video.joined())?;
        // The last byte of a frame of VP9 looks like that of an index once it is encrypted, one time in eight.
        let clear = is_vp9(name).then(|| workspace.package(&[fixture(name)], "clear", &["--scheme", "none"]));
        let clear = clear.iter().flatten().find(|rendition| rendition.is_video());
        let clear = clear.map_or(Ok(Vec::new()), |video| samples::read(&video.joined()))?;
        for (index, sample) in protected_samples.iter().enumerate() {
            let expected = if let Some(clear) = clear.get(index) {
                frame_data(&clear.data, &mut header_bits)
            } else {
                slice_data(&sample.data, nal_length_bytes, is_slice(name), &mut header_bits)
            };
            let expected = expected.ok_or("more slices than ffmpeg reads")?;
            let found = protected(sample);
            if found != expected {
                return Err(format!(
                    "sample {index}: {found:?} are protected instead of {expected:?}"
                ));
            }
        }
        match header_bits.count() {
            0 => Ok(()),
            more => Err(format!("ffmpeg reads {more} slices more")),
        }
    });
}

/// The bits of each slice's NAL unit header and slice header, without emulation prevention bytes, in decode order; of VP9,
/// those of each frame's uncompressed header.
fn slice_header_bits(ffmpeg: &Path, input: &Path) -> Vec<usize> {
    let mut command = Command::new(ffmpeg);
    command.args(["-nostdin", "-v", "info", "-nostats", "-i"]).arg(input);
    command.args(["-map", "0:v:0", "-c", "copy", "-copyinkf"]);
    command.args(["-bsf:v", "trace_headers", "-f", "null", "-"]);
    let trace = run(&mut command).stderr;
    let (mut bits, mut is_slice) = (Vec::new(), false);
    for line in String::from_utf8_lossy(&trace).lines() {
        let Some(line) = line
            .strip_prefix("[trace_headers")
            .and_then(|line| Some(line.split_once("] ")?.1))
        else {
            continue;
        };
        // Position, name, bits, "=", value.
        let fields: Vec<&str> = line.split_whitespace().collect();
        match *fields {
            [position, _, code, "=", _] if is_slice => {
                let end = position
                    .parse::<usize>()
                    .unwrap_or_else(|_| panic!("trace_headers: {line}"))
                    + code.len();
                *bits.last_mut().unwrap() = end;
            }
            // Some take no bits, where there is no choice.
            [_, _, _, "=", _] | [_, _, "=", _] => {}
            _ => {
                is_slice = ["Slice Header", "Slice Segment Header", "Frame"].contains(&line);
                if is_slice {
                    bits.push(0);
                }
            }
        }
    }
    assert!(
        !bits.is_empty() && bits.iter().all(|bits| *bits >= 8),
        "{}: no slice headers in the trace",
        input.display()
    );
    bits
}

/// Whether a NAL unit whose header begins with a byte is a slice, in a fixture's codec.
fn is_slice(name: &str) -> fn(u8) -> bool {
    if is_hevc(name) {
        // Coded slice segments of all but reserved types (H.265, table 7-1).
        |header| matches!(header >> 1 & 0x3f, 0..=9 | 16..=21)
    } else {
        // Coded slices of non-IDR and IDR pictures (H.264, table 7-1).
        |header| matches!(header & 0x1f, 1 | 5)
    }
}

/// Where the slice data of a sample is, header by header; `None` where there are more slices than headers.
fn slice_data(
    sample: &[u8],
    nal_length_bytes: usize,
    is_slice: fn(u8) -> bool,
    header_bits: &mut impl Iterator<Item = usize>,
) -> Option<Vec<Range<usize>>> {
    let (mut found, mut at) = (Vec::new(), 0);
    while at < sample.len() {
        let length = sample
            .get(at..at + nal_length_bytes)?
            .iter()
            .fold(0, |length, byte| length << 8 | usize::from(*byte));
        let start = at + nal_length_bytes;
        let nal_unit = sample.get(start..start + length)?;
        at = start + length;
        if nal_unit.first().is_some_and(|header| is_slice(*header)) {
            let header_bytes = with_emulation_prevention(nal_unit, header_bits.next()?.div_ceil(8));
            if start + header_bytes < at {
                found.push(start + header_bytes..at);
            }
        }
    }
    Some(found)
}

/// The whole blocks behind the uncompressed headers of VP9, frame by frame (VP9, Annex B); `None` where there are more frames
/// than headers.
fn frame_data(sample: &[u8], header_bits: &mut impl Iterator<Item = usize>) -> Option<Vec<Range<usize>>> {
    let marker = *sample.last()?;
    let mut sizes = vec![sample.len()];
    if marker >> 5 == 0b110 {
        let (frames, size_bytes) = (usize::from(marker & 7) + 1, usize::from(marker >> 3 & 3) + 1);
        let index = sample.len().checked_sub(1 + frames * size_bytes)?;
        let fields = sample.get(index..)?.chunks_exact(size_bytes).take(frames);
        sizes = fields
            .map(|le| le.iter().rev().fold(0, |size, byte| size << 8 | usize::from(*byte)))
            .collect();
    }
    let (mut found, mut at) = (Vec::new(), 0);
    for size in sizes {
        let start = at + header_bits.next()?.div_ceil(8);
        at += size;
        let blocks = at.checked_sub(start)? / 16;
        if blocks > 0 {
            found.push(start..start + blocks * 16);
        }
    }
    Some(found)
}

/// How many bytes of a NAL unit hold its first `bytes` without emulation prevention bytes (H.264, 7.3.1).
fn with_emulation_prevention(nal_unit: &[u8], bytes: usize) -> usize {
    let (mut zeros, mut left) = (0, bytes);
    for (at, byte) in nal_unit.iter().enumerate() {
        if left == 0 {
            return at;
        }
        if zeros >= 2 && *byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        left -= 1;
    }
    nal_unit.len()
}

/// What a sample's subsample map protects.
fn protected(sample: &Sample) -> Vec<Range<usize>> {
    let mut at = 0;
    let entries = sample.subsamples.iter().flatten();
    let ranges = entries.map(|(clear, protected)| {
        let start = at + usize::from(*clear);
        at = start + *protected as usize;
        start..at
    });
    ranges.filter(|range| !range.is_empty()).collect()
}

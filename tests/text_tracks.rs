//! `wvtt` and `stpp` tracks: in the clear, cut where the video is, with the source's bytes, as mp4-atom and m3u8-rs read them.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::PathBuf;

use common::samples::{self, Sample};
use common::{Workspace, fixture, run};
use m3u8_rs::Playlist;

const TEXTS: [(&str, &str); 2] = [("text-wvtt.mp4", "wvtt"), ("text-stpp.mp4", "stpp.ttml.im1t")];

fn inputs(text: &str) -> [PathBuf; 2] {
    [fixture("demo.mp4"), fixture(text)]
}

fn end(sample: &Sample) -> u64 {
    sample.decode_ticks + u64::from(sample.duration_ticks)
}

#[test]
fn every_sample_is_there_as_long_as_it_was_and_none_crosses_a_cut() {
    for (text, codec) in TEXTS {
        let original = samples::read(&fs::read(fixture(text)).unwrap()).unwrap();
        for duration in ["2", "6", "12"] {
            let workspace = Workspace::new();
            let renditions = workspace.package(&inputs(text), "out", &["--segment-duration", duration]);
            let rendition = renditions.iter().find(|rendition| rendition.name == "text/en").unwrap();
            let init = fs::read(&rendition.init).unwrap();
            assert!(
                !init
                    .windows(4)
                    .any(|kind| [b"sinf", b"pssh", b"enct"].contains(&kind.try_into().unwrap()))
            );
            let seconds: u64 = duration.parse().unwrap();
            let mut next = 0;
            let mut parts = original.iter();
            let mut part = parts.next();
            for (index, segment) in (0..).zip(&rendition.segments) {
                let file = [&*init, &fs::read(segment).unwrap()].concat();
                let found = samples::read(&file).unwrap();
                // Times are in milliseconds.
                assert_eq!(found.first().unwrap().decode_ticks, index * seconds * 1000, "{text}");
                assert_eq!(end(found.last().unwrap()), (index + 1) * seconds * 1000, "{text}");
                for sample in found {
                    let original = part.unwrap();
                    assert_eq!(sample.decode_ticks, next, "{text}");
                    assert!(sample.is_sync && sample.data == original.data, "{text} at {next}");
                    assert!(
                        sample.decode_ticks >= original.decode_ticks && end(&sample) <= end(original),
                        "{text}"
                    );
                    next = end(&sample);
                    if next == end(original) {
                        part = parts.next();
                    }
                }
            }
            assert_eq!(part, None, "{text}: samples are left");
            let master = fs::read(workspace.path("out/master.m3u8")).unwrap();
            let Ok(Playlist::MasterPlaylist(master)) = m3u8_rs::parse_playlist_res(&master) else {
                unreachable!("no multivariant playlist")
            };
            let codecs = master.variants[0].codecs.clone().unwrap();
            assert_eq!(codecs, format!("avc1.64001E,mp4a.40.2,{codec}"));
            assert_eq!(master.variants[0].subtitles.as_deref(), Some("text"));
        }
    }
}

#[test]
fn verify_compares_them_and_decrypt_takes_them_along() {
    for (text, _) in TEXTS {
        let workspace = Workspace::new();
        workspace.package(&inputs(text), "out", &["--segment-duration", "2"]);
        let verify = || {
            let mut command = workspace.vylux_pack();
            command
                .args(["verify", "out", "--no-store", "--source"])
                .args(inputs(text));
            command.output().unwrap()
        };
        let output = verify();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        run(workspace.vylux_pack().args(["decrypt", "out", "--out", "film.mp4"]));
        let inspected = run(workspace.vylux_pack().args(["inspect", "film.mp4"]));
        let words = String::from_utf8(inspected.stdout).unwrap();
        assert!(words.contains("language en"), "{words}");

        let segment = workspace.path("out/text/en/seg_00003.m4s");
        let mut data = fs::read(&segment).unwrap();
        *data.last_mut().unwrap() ^= 1;
        fs::write(&segment, data).unwrap();
        let output = verify();
        let words = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(4), "{words}");
        assert!(words.contains("text/en/seg_00003.m4s, sample"), "{words}");
    }
}

/// One key whatever text there is: it is no part of what the key is for.
#[test]
fn they_may_come_later_and_need_a_film() {
    let workspace = Workspace::new();
    workspace.package(&[fixture("demo.mp4")], "out", &[]);
    workspace.package(&inputs("text-wvtt.mp4"), "out", &[]);
    for (text, _) in TEXTS {
        let mut command = workspace.vylux_pack();
        command.arg("encrypt").arg(fixture(text));
        let output = command.args(["--content-id", "text", "--no-store"]).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains("these are subtitles"), "{error}");
        assert_eq!(output.status.code(), Some(3));
    }
}

//! Captions inside of video: what playlists announce, what ffmpeg finds in the output, and what `verify` says where they differ.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{Workspace, fixture, run, tool};
use m3u8_rs::{ClosedCaptionGroupId, MasterPlaylist, Playlist};

/// The same captions in each codec.
const CAPTIONED: [&str; 3] = ["captions-h264.mp4", "av1-captions.mp4", "hevc-captions.mp4"];

const MASTER: &str = "out/film/master.m3u8";

fn encrypt(workspace: &Workspace, inputs: &[&str], more: &[&str]) -> MasterPlaylist {
    let mut command = workspace.vylux_pack();
    command.arg("encrypt").args(inputs.iter().map(|name| fixture(name)));
    run(command
        .args(["--content-id", "film", "--no-store", "--quiet"])
        .args(more));
    let text = fs::read(workspace.path(MASTER)).unwrap();
    match m3u8_rs::parse_playlist_res(&text) {
        Ok(Playlist::MasterPlaylist(mut master)) => {
            master.variants.retain(|variant| !variant.is_i_frame);
            master
        }
        _ => unreachable!("no multivariant playlist"),
    }
}

/// The captions of field 1 as text, with their times.
fn ffmpeg_captions(ffmpeg: &Path, film: &Path) -> String {
    let film = film.to_str().unwrap().replace(':', "\\\\:");
    let mut command = Command::new(ffmpeg);
    command.args(["-v", "error", "-f", "lavfi", "-i", &format!("movie={film}[out0+subcc]")]);
    let output = run(command.args(["-map", "0:s", "-f", "srt", "-"]));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn playlists_announce_what_the_video_carries_and_ffmpeg_finds_it_there() {
    let ffmpeg = tool("ffmpeg");
    for name in CAPTIONED {
        for scheme in ["cbcs", "cenc", "aes-128", "none"] {
            let workspace = Workspace::new();
            let master = encrypt(&workspace, &[name], &["--scheme", scheme]);
            let announced: Vec<_> = master
                .alternatives
                .iter()
                .map(|media| (media.media_type.to_string(), format!("{:?}", media.instream_id)))
                .collect();
            let kind = || "CLOSED-CAPTIONS".to_owned();
            let expected = ["CC(1)", "Service(1)", "Service(2)"].map(|id| (kind(), format!("Some({id})")));
            assert_eq!(announced, expected, "{name} {scheme}");
            assert_eq!(master.version, Some(7), "{name} {scheme}");
            let group = Some(ClosedCaptionGroupId::GroupId("captions".to_owned()));
            assert!(master.variants.iter().all(|variant| variant.closed_captions == group));
            let mut command = workspace.vylux_pack();
            run(command
                .args(["verify", "out/film", "--no-store", "--source"])
                .arg(fixture(name)));

            let Some(ffmpeg) = &ffmpeg else { continue };
            run(workspace
                .vylux_pack()
                .args(["decrypt", "out/film", "--out", "clear.mp4"]));
            let found = ffmpeg_captions(ffmpeg, &workspace.path("clear.mp4"));
            assert!(found.contains("CAPTIONS OF A TEST"), "{name} {scheme}: {found}");
            assert_eq!(found, ffmpeg_captions(ffmpeg, &fixture(name)), "{name} {scheme}");
        }
    }
}

#[test]
fn a_film_without_says_so_in_each_variant() {
    let workspace = Workspace::new();
    let master = encrypt(&workspace, &["demo.mp4"], &[]);
    assert!(!master.variants.is_empty());
    let none = Some(ClosedCaptionGroupId::None);
    assert!(master.variants.iter().all(|variant| variant.closed_captions == none));
}

/// One quality of a film has them, the other has not: NONE is for all variants or for none of them.
#[test]
fn a_quality_without_says_nothing_beside_one_with() {
    let workspace = Workspace::new();
    let master = encrypt(&workspace, &["captions-h264.mp4", "v360.mp4"], &["--allow-misaligned"]);
    let said: Vec<bool> = master
        .variants
        .iter()
        .map(|variant| variant.closed_captions.is_some())
        .collect();
    assert_eq!(said, [false, true]);
    run(workspace.vylux_pack().args(["verify", "out/film", "--no-store"]));
}

#[test]
fn verify_tells_captions_that_are_not_as_announced() {
    let workspace = Workspace::new();
    encrypt(&workspace, &["captions-h264.mp4"], &[]);
    let written = fs::read_to_string(workspace.path(MASTER)).unwrap();
    let line = |id: &str| {
        written
            .lines()
            .find(|line| line.contains(&format!("NAME=\"{id}\"")))
            .unwrap()
    };
    for (from, to, expected) in [
        (
            format!("{}\n", line("CC1")),
            String::new(),
            "INSTREAM-ID of captions is",
        ),
        (
            "INSTREAM-ID=\"CC1\"".into(),
            "INSTREAM-ID=\"CC3\"".into(),
            "INSTREAM-ID of captions is",
        ),
        (",INSTREAM-ID=\"CC1\"".into(), String::new(), "INSTREAM-ID is missing"),
        (
            "CLOSED-CAPTIONS=\"captions\"".into(),
            "CLOSED-CAPTIONS=NONE".into(),
            "CLOSED-CAPTIONS is",
        ),
        (
            ",CLOSED-CAPTIONS=\"captions\"".into(),
            String::new(),
            "CLOSED-CAPTIONS is",
        ),
        ("VERSION:7".into(), "VERSION:5".into(), "7 is the lowest"),
    ] {
        let text = written.replace(&from, &to);
        assert_ne!(text, written, "{from}");
        fs::write(workspace.path(MASTER), text).unwrap();
        let output = workspace
            .vylux_pack()
            .args(["verify", "out/film", "--no-store"])
            .output()
            .unwrap();
        let words = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(4), "{from}: {words}");
        assert!(words.contains(expected), "{from}: {words}");
    }
}

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

#[test]
fn playlists_and_manifest_say_what_was_chosen() {
    let workspace = Workspace::new();
    let chosen = [
        "--captions",
        "CC1,language=en,name=Captions,default=yes,characteristics=public.accessibility.transcribes-spoken-dialog",
        "--captions",
        "SERVICE2,language=pt-BR,autoselect=no",
    ];
    encrypt(&workspace, &["captions-h264.mp4"], &chosen);
    let master = fs::read_to_string(workspace.path(MASTER)).unwrap();
    let lines: Vec<&str> = master
        .lines()
        .filter(|line| line.contains("CLOSED-CAPTIONS,"))
        .collect();
    assert_eq!(
        lines,
        [
            "#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID=\"captions\",NAME=\"Captions\",LANGUAGE=\"en\",DEFAULT=YES,AUTOSELECT=YES,\
             CHARACTERISTICS=\"public.accessibility.transcribes-spoken-dialog\",INSTREAM-ID=\"CC1\"",
            "#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID=\"captions\",NAME=\"SERVICE1\",LANGUAGE=\"und\",DEFAULT=NO,AUTOSELECT=YES,\
             INSTREAM-ID=\"SERVICE1\"",
            "#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID=\"captions\",NAME=\"português (pt-BR)\",LANGUAGE=\"pt-BR\",DEFAULT=NO,\
             AUTOSELECT=NO,INSTREAM-ID=\"SERVICE2\"",
        ]
    );
    let manifest = fs::read_to_string(workspace.path("out/film/manifest.mpd")).unwrap();
    for says in [
        "schemeIdUri=\"urn:scte:dash:cc:cea-608:2015\" value=\"CC1=eng\"",
        "schemeIdUri=\"urn:scte:dash:cc:cea-708:2015\" value=\"1=lang:und;2=lang:por\"",
    ] {
        assert!(manifest.contains(says), "{says}: {manifest}");
    }
    run(workspace.vylux_pack().args(["verify", "out/film", "--no-store"]));
}

#[test]
fn what_can_not_be_said_of_captions_is_told() {
    for (name, chosen, expected) in [
        ("captions-h264.mp4", &["CC1"][..], "expected ID,KEY=VALUE"),
        ("captions-h264.mp4", &["CC1,language=?"], "is no language"),
        ("captions-h264.mp4", &["CC1,group=g"], "captions have the keys"),
        (
            "captions-h264.mp4",
            &["CC1,name=A", "CC1,language=en"],
            "CC1 stands there twice",
        ),
        (
            "captions-h264.mp4",
            &["CC1,name=A", "SERVICE1,name=A"],
            "can't both have the name 'A'",
        ),
        (
            "captions-h264.mp4",
            &["CC1,default=yes", "SERVICE1,default=yes"],
            "can't both be the default one",
        ),
        (
            "captions-h264.mp4",
            &["CC3,language=en"],
            "no video carries CC3; the captions inside of it are CC1, SERVICE1, SERVICE2",
        ),
        ("v360.mp4", &["CC1,language=en"], "the captions inside of it are none"),
    ] {
        let workspace = Workspace::new();
        let mut command = workspace.vylux_pack();
        command.arg("encrypt").arg(fixture(name));
        command.args(["--content-id", "film", "--no-store"]);
        command.args(chosen.iter().flat_map(|chosen| ["--captions", chosen]));
        let output = command.output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(
            error.contains("--captions") && error.contains(expected),
            "{chosen:?}: {error}"
        );
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(!workspace.path("out/film").exists(), "{chosen:?}");
    }
}

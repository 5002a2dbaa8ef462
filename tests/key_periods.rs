//! Keys per track, type or resolution, keys that change, and a clear lead: what each player is told opens what it is told of.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use common::server::Server;
use common::{BASE_URL, CONTENT_ID, Workspace, derive, fixture, run, tool};
use m3u8_rs::{KeyMethod, MediaPlaylist};
use serde_json::Value;

const SCHEMES: [&str; 5] = ["cbcs", "cenc", "cens", "cbc1", "aes-128"];

const CHOICES: [&[&str]; 5] = [
    &["--keys", "per-type"],
    &["--keys", "per-track", "--rotate-every", "2seg"],
    &["--rotate-every", "5s"],
    &["--clear-lead", "3s"],
    &[
        "--clear-lead",
        "3s",
        "--rotate-every",
        "1seg",
        "--keys",
        "per-resolution",
    ],
];

fn encrypt(workspace: &Workspace, inputs: &[&str], more: &[&str]) {
    let mut command = workspace.vylux_pack();
    command.arg("encrypt").args(inputs.iter().map(|name| fixture(name)));
    command.args([
        "--content-id",
        CONTENT_ID,
        "--out",
        "out",
        "--quiet",
        "--segment-duration",
        "2",
    ]);
    run(command.args(more));
}

fn records(workspace: &Workspace) -> Vec<Value> {
    let keys: Value = serde_json::from_slice(&fs::read(workspace.path("out/keys.json")).unwrap()).unwrap();
    keys["records"].as_array().unwrap().clone()
}

fn names(records: &[Value]) -> Vec<&str> {
    let mut names: Vec<&str> = records
        .iter()
        .map(|record| record["key_name"].as_str().unwrap_or(""))
        .collect();
    names.sort_unstable();
    names
}

fn media_playlist(path: &Path) -> MediaPlaylist {
    m3u8_rs::parse_media_playlist_res(&fs::read(path).unwrap()).unwrap()
}

/// Pictures that ffmpeg decodes, by their hashes.
fn pictures(ffmpeg: &Path, arguments: &[&str]) -> Vec<String> {
    let mut command = Command::new(ffmpeg);
    command.args(["-nostdin", "-v", "error"]).args(arguments);
    let output = run(command.args(["-map", "0:v:0", "-fps_mode", "passthrough", "-f", "framemd5", "-"]));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit_once(' ').unwrap().1.to_owned()).collect()
}

#[test]
fn every_scheme_is_verified_and_comes_back() {
    let Some(ffmpeg) = tool("ffmpeg8") else { return };
    let source = fixture("demo.mp4");
    let expected = pictures(&ffmpeg, &["-i", source.to_str().unwrap()]);
    for scheme in SCHEMES {
        for choice in CHOICES {
            let workspace = Workspace::new();
            encrypt(&workspace, &["demo.mp4"], &[choice, &["--scheme", scheme]].concat());
            run(workspace
                .vylux_pack()
                .args(["verify", "out", "--quiet", "--source"])
                .arg(&source));
            run(workspace
                .vylux_pack()
                .args(["decrypt", "out", "--out", "clear.mp4", "--quiet"]));
            let clear = workspace.path("clear.mp4");
            let found = pictures(&ffmpeg, &["-i", clear.to_str().unwrap()]);
            assert!(found == expected, "{scheme} {choice:?}: other pictures");
        }
    }
}

/// Each period by ffmpeg, behind the init segment and with the key that the playlist has in force there: keys, IDs and IVs are
/// derived anew.
#[test]
fn each_period_opens_with_its_key() {
    let Some(ffmpeg) = tool("ffmpeg8") else { return };
    let workspace = Workspace::new();
    encrypt(
        &workspace,
        &["demo.mp4"],
        &["--rotate-every", "2seg", "--keys", "per-type"],
    );
    let folder = workspace.path("out/video/360p");
    let playlist = media_playlist(&folder.join("playlist.m3u8"));
    let (mut found, mut init, mut key) = (Vec::new(), Vec::new(), String::new());
    let mut epochs = 0;
    for segment in &playlist.segments {
        if let Some(map) = &segment.map {
            init = fs::read(folder.join(&map.uri)).unwrap();
        }
        if let Some(said) = &segment.key {
            epochs += 1;
            let name = format!("video-{epochs}");
            let kid = hex::encode(derive::derive(&format!("{CONTENT_ID}/kid/{name}")));
            let iv = hex::encode(derive::derive(&format!("{CONTENT_ID}/iv/360p/{name}")));
            assert_eq!(said.method, KeyMethod::SampleAES);
            assert_eq!(
                said.uri.as_ref(),
                Some(&format!("{BASE_URL}/api/key/{CONTENT_ID}/{kid}"))
            );
            assert_eq!(said.iv.as_ref(), Some(&format!("0x{iv}")));
            key = hex::encode(derive::derive(&format!("{CONTENT_ID}/key/{name}")));
        }
        let part = workspace.path("part.mp4");
        fs::write(
            &part,
            [init.as_slice(), &fs::read(folder.join(&segment.uri)).unwrap()].concat(),
        )
        .unwrap();
        found.extend(pictures(
            &ffmpeg,
            &["-decryption_key", &key, "-i", part.to_str().unwrap()],
        ));
    }
    assert_eq!(epochs, 3, "12 s in segments of 2 s, two a key");
    let source = fixture("demo.mp4");
    assert_eq!(found, pictures(&ffmpeg, &["-i", source.to_str().unwrap()]));
}

#[test]
fn renditions_share_keys_as_is_asked_for() {
    for (sharing, expected) in [
        ("single", &[""][..]),
        ("per-track", &["180p", "360p", "en"]),
        ("per-type", &["audio", "video"]),
        ("per-resolution", &["audio", "sd"]),
    ] {
        let workspace = Workspace::new();
        encrypt(&workspace, &["v180.mp4", "v360.mp4", "a-en.mp4"], &["--keys", sharing]);
        let records = records(&workspace);
        assert_eq!(names(&records), expected, "{sharing}");
        let of_each = |field: &str| {
            records
                .iter()
                .map(|record| record[field].to_string())
                .collect::<BTreeSet<_>>()
                .len()
        };
        for field in ["kid", "key_uri", "wrapped_key"] {
            assert_eq!(of_each(field), expected.len(), "{sharing}: {field}");
        }
        let master = fs::read_to_string(workspace.path("out/master.m3u8")).unwrap();
        assert_eq!(
            master.matches("#EXT-X-SESSION-KEY").count(),
            expected.len(),
            "{sharing}"
        );
    }
}

/// The same command again is the same output; other media under the same content ID are refused whatever their keys' names.
#[test]
fn a_second_run_changes_nothing_and_another_film_is_refused() {
    let workspace = Workspace::new();
    let options = ["--rotate-every", "1seg", "--keys", "per-type"];
    encrypt(&workspace, &["demo.mp4"], &options);
    let contents = |workspace: &Workspace| -> Vec<(std::path::PathBuf, Vec<u8>)> {
        let mut files = common::files(&workspace.path("out"));
        files.sort();
        files
            .into_iter()
            .map(|file| (file.clone(), fs::read(file).unwrap()))
            .collect()
    };
    let before = contents(&workspace);
    encrypt(&workspace, &["demo.mp4"], &options);
    assert!(contents(&workspace) == before);
    let mut other = workspace.vylux_pack();
    other.arg("encrypt").arg(fixture("v180.mp4"));
    let output = other
        .args(["--content-id", CONTENT_ID, "--out", "out"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("media_fingerprint was recorded as"), "{message}");
    assert!(contents(&workspace) == before);
}

#[test]
fn the_server_hands_out_each_key() {
    let workspace = Workspace::new();
    encrypt(&workspace, &["demo.mp4"], &["--rotate-every", "2seg"]);
    let server = Server::start(
        workspace
            .vylux_pack()
            .args(["serve", "--listen", "127.0.0.1:0", "--insecure-no-auth"]),
    );
    let records = records(&workspace);
    assert_eq!(names(&records), ["1", "2", "3"]);
    for record in &records {
        let name = record["key_name"].as_str().unwrap();
        let path = record["key_uri"].as_str().unwrap().strip_prefix(BASE_URL).unwrap();
        let expected = derive::derive(&format!("{CONTENT_ID}/key/{name}"));
        for path in [path, &format!("/keys/{CONTENT_ID}/{name}")] {
            let answer = server.ask(&format!("GET {path}"), &[]);
            assert_eq!(
                (answer.status, answer.body.as_slice()),
                (200, expected.as_slice()),
                "{path}"
            );
        }
    }
    let answer = server.ask(&format!("GET /keys/{CONTENT_ID}/4"), &[]);
    assert_eq!(answer.status, 404);
}

/// Sound of 100 s in segments of 0.1 s.
#[test]
fn a_thousand_keys() {
    let Some(ffmpeg) = tool("ffmpeg8") else { return };
    let workspace = Workspace::new();
    let input = workspace.path("long.mp4");
    let mut sine = Command::new(ffmpeg);
    sine.args([
        "-nostdin",
        "-v",
        "error",
        "-f",
        "lavfi",
        "-i",
        "sine=sample_rate=48000:duration=110",
    ]);
    run(sine.args(["-c:a", "aac"]).arg(&input));
    let mut command = workspace.vylux_pack();
    command.arg("encrypt").arg(&input);
    command.args([
        "--content-id",
        CONTENT_ID,
        "--out",
        "out",
        "--quiet",
        "--segment-duration",
        "0.1",
    ]);
    run(command.args(["--rotate-every", "1seg"]));
    let records = records(&workspace);
    assert!(records.len() >= 1000, "{} keys", records.len());
    run(workspace
        .vylux_pack()
        .args(["verify", "out", "--quiet", "--source"])
        .arg(&input));
    let listed = run(workspace.vylux_pack().args(["keys", "list"]));
    assert_eq!(
        String::from_utf8(listed.stdout).unwrap().lines().count(),
        records.len() + 1
    );
    #[cfg(feature = "server")]
    the_server_answers_by_epoch(&workspace, &[1, 500, 1000]);
}

/// Whoever brings a token gets the keys of these epochs, and nobody else does.
#[cfg(feature = "server")]
fn the_server_answers_by_epoch(workspace: &Workspace, epochs: &[u32]) {
    use common::tokens::{hmac_token, now};

    let secret = "correct horse battery staple";
    let mut serve = workspace.vylux_pack();
    serve.env("KEY_TOKEN_SECRET", secret);
    let server = Server::start(serve.args(["serve", "--listen", "127.0.0.1:0"]));
    let claims = format!(r#"{{"hash":"{CONTENT_ID}","exp":{}}}"#, now() + 600);
    let bearer = format!("Authorization: Bearer {}", hmac_token(secret, &claims));
    for epoch in epochs {
        let request = format!("GET /keys/{CONTENT_ID}/{epoch}");
        let answer = server.ask(&request, &[&bearer]);
        let expected = derive::derive(&format!("{CONTENT_ID}/key/{epoch}"));
        assert_eq!(
            (answer.status, answer.body.as_slice()),
            (200, expected.as_slice()),
            "epoch {epoch}"
        );
        assert_eq!(server.ask(&request, &[]).status, 401, "epoch {epoch} without a token");
    }
}

#[test]
fn what_can_not_be_is_refused() {
    for (options, code, expected) in [
        (&["--clear-lead", "1h"][..], 2, "nothing of it would be encrypted"),
        (&["--scheme", "none", "--keys", "per-type"], 2, "leave --keys out"),
        (&["--rotate-every", "0seg"], 2, "expected a time of at least 1 s"),
        (&["--clear-lead", "3"], 2, "expected a time such as 10s"),
    ] {
        let workspace = Workspace::new();
        let mut command = workspace.vylux_pack();
        command.arg("encrypt").arg(fixture("demo.mp4"));
        let output = command
            .args(["--content-id", CONTENT_ID, "--out", "out"])
            .args(options)
            .output()
            .unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{options:?}: {message}");
        assert!(message.contains(expected), "{options:?}: {message}");
        assert!(!workspace.path("out").exists(), "{options:?}");
    }
}

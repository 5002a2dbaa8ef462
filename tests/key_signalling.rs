//! How players are told of keys, beyond what every output says: key formats of others, boxes of other key systems, and a second
//! set of playlists for Clear Key.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::Path;
use std::process::Output;

use common::{BASE_URL, CONTENT_ID, Workspace, derive, files, fixture, run};
use m3u8_rs::{Key, MediaPlaylist};

/// A box of Widevine's system with some data.
const WIDEVINE: &str = "0000002570737368 00000000 edef8ba979d64acea3c827dcd51d21ed 00000005 0102030405";

fn hex_of(text: &str) -> String {
    text.split_whitespace().collect()
}

fn command(workspace: &Workspace, inputs: &[&str], more: &[&str]) -> std::process::Command {
    let mut command = workspace.vylux_pack();
    command.arg("encrypt").args(inputs.iter().map(|name| fixture(name)));
    command.args(["--content-id", CONTENT_ID, "--out", "out", "--segment-duration", "2"]);
    command.args(more);
    command
}

fn encrypt(workspace: &Workspace, inputs: &[&str], more: &[&str]) -> Output {
    run(&mut command(workspace, inputs, more))
}

/// What `verify` says, and whether it found nothing.
fn verify(workspace: &Workspace, more: &[&str]) -> (bool, String) {
    let mut command = workspace.vylux_pack();
    let output = command.args(["verify", "out", "--source"]).arg(fixture("demo.mp4"));
    let output = output.args(more).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

fn media_playlist(path: &Path) -> MediaPlaylist {
    m3u8_rs::parse_media_playlist_res(&fs::read(path).unwrap()).unwrap()
}

fn keys(path: &Path) -> Vec<Key> {
    let playlist = media_playlist(path);
    playlist
        .segments
        .iter()
        .filter_map(|segment| segment.key.clone())
        .collect()
}

#[test]
fn a_vendors_key_format_is_in_all_playlists() {
    let workspace = Workspace::new();
    let format = [
        "--key-format",
        "com.apple.streamingkeydelivery",
        "--key-format-versions",
        "1/2",
    ];
    let uri = ["--key-uri", "skd://{content_id}/{kid}"];
    let more = [&format[..], &uri, &["--keys", "per-type", "--rotate-every", "4s"]].concat();
    let said = String::from_utf8(encrypt(&workspace, &["demo.mp4"], &more).stdout).unwrap();
    let told = "verify out --key-format com.apple.streamingkeydelivery --key-format-versions 1/2 --key-uri ";
    assert!(said.contains(told), "{said}");

    for file in ["playlist.m3u8", "iframes.m3u8"] {
        let keys = keys(&workspace.path(format!("out/video/360p/{file}")));
        assert_eq!(keys.len(), 3, "{file}");
        for (number, key) in (1..).zip(&keys) {
            let kid = hex::encode(derive::derive(&format!("{CONTENT_ID}/kid/video-{number}")));
            assert_eq!(key.uri, Some(format!("skd://{CONTENT_ID}/{kid}")));
            assert_eq!(key.keyformat.as_deref(), Some("com.apple.streamingkeydelivery"));
            assert_eq!(key.keyformatversions.as_deref(), Some("1/2"));
            assert!(key.iv.is_some());
        }
    }
    let master = fs::read(workspace.path("out/master.m3u8")).unwrap();
    let master = m3u8_rs::parse_master_playlist_res(&master).unwrap();
    assert_eq!(master.version, Some(5));
    assert_eq!(master.session_key.len(), 2);
    for key in &master.session_key {
        assert_eq!(key.0.keyformat.as_deref(), Some("com.apple.streamingkeydelivery"));
    }
    // Where the key server has the key is another matter.
    let record = fs::read_to_string(workspace.path("out/keys.json")).unwrap();
    assert!(record.contains(&format!("{BASE_URL}/api/key/{CONTENT_ID}/")) && !record.contains("skd:"));

    let (is_right, said) = verify(&workspace, &[&format[..], &uri].concat());
    assert!(is_right, "{said}");
    for (more, expected) in [
        (
            &[][..],
            "KEYFORMAT is com.apple.streamingkeydelivery, expected identity",
        ),
        (&format[..2], "KEYFORMATVERSIONS is 1/2, expected none"),
        (&format[..], "the key URI is \"skd://"),
    ] {
        let (is_right, said) = verify(&workspace, more);
        assert!(!is_right && said.contains(expected), "{expected}: {said}");
    }
    run(workspace
        .vylux_pack()
        .args(["decrypt", "out", "--out", "clear.mp4", "--quiet"]));
}

/// The same segments; in the playlists, other keys and the names of playlists.
#[test]
fn a_second_set_of_playlists_is_for_clear_key() {
    for (scheme, method) in [("cbcs", "SAMPLE-AES"), ("cenc", "SAMPLE-AES-CTR")] {
        let workspace = Workspace::new();
        let more = ["--clearkey-playlists", "--keys", "per-type", "--scheme", scheme];
        encrypt(&workspace, &["demo.mp4"], &more);
        let (is_right, said) = verify(&workspace, &[]);
        assert!(is_right, "{said}");

        let master = fs::read_to_string(workspace.path("out/master.clearkey.m3u8")).unwrap();
        assert!(
            !master.contains("/playlist.m3u8") && !master.contains("identity"),
            "{master}"
        );
        let read = m3u8_rs::parse_master_playlist_res(master.as_bytes()).unwrap();
        for variant in &read.variants {
            assert!(variant.uri.ends_with(".clearkey.m3u8"), "{}", variant.uri);
            assert!(
                workspace.path(format!("out/{}", variant.uri)).is_file(),
                "{}",
                variant.uri
            );
        }
        for (name, track, files) in [
            ("video", "video/360p", &["playlist", "iframes"][..]),
            ("audio", "audio/audio", &["playlist"]),
        ] {
            let folder = workspace.path(format!("out/{track}"));
            let kid = hex::encode(derive::derive(&format!("{CONTENT_ID}/kid/{name}")));
            for file in files {
                let path = folder.join(format!("{file}.clearkey.m3u8"));
                let text = fs::read_to_string(&path).unwrap();
                assert!(text.contains(&format!(",KEYID=0x{kid}")), "{text}");
                let [key] = &keys(&path)[..] else {
                    unreachable!("one key: {text}")
                };
                assert_eq!(key.method.to_string(), method);
                assert_eq!(key.keyformat.as_deref(), Some("org.w3.clearkey"));
                let uri = format!("{BASE_URL}/api/key/{CONTENT_ID}/clearkey?kid={kid}");
                assert_eq!(key.uri.as_ref(), Some(&uri));
            }
            let uris = |file: &str| -> Vec<String> {
                let playlist = media_playlist(&folder.join(file));
                playlist.segments.iter().map(|segment| segment.uri.clone()).collect()
            };
            assert_eq!(uris("playlist.m3u8"), uris("playlist.clearkey.m3u8"));
        }
    }
    // The content's primary key has no ID in its URI.
    let workspace = Workspace::new();
    encrypt(&workspace, &["demo.mp4"], &["--clearkey-playlists"]);
    let [key] = &keys(&workspace.path("out/video/360p/playlist.clearkey.m3u8"))[..] else {
        unreachable!("one key")
    };
    assert_eq!(key.uri, Some(format!("{BASE_URL}/api/key/{CONTENT_ID}/clearkey")));
}

#[test]
fn verify_finds_what_differs_in_the_second_set() {
    let workspace = Workspace::new();
    encrypt(
        &workspace,
        &["demo.mp4"],
        &["--clearkey-playlists", "--rotate-every", "4s"],
    );
    let media = "out/video/360p/playlist.clearkey.m3u8";
    for (file, old, new, expected) in [
        (
            media,
            "KEYFORMAT=\"org.w3.clearkey\"",
            "KEYFORMAT=\"identity\"",
            "KEYFORMAT is identity",
        ),
        (media, "/clearkey?kid=", "/clearkey?key=", "URI is "),
        (media, "KEYID=0x", "KEYID=0xff", "expected a key"),
        (media, "IV=0x", "IV=0xab", "expected a key"),
        (media, "seg_00002.m4s", "seg_00003.m4s", "expected \"seg_00002.m4s\""),
        (media, "#EXT-X-ENDLIST\n", "", "goes on with \"#EXT-X-ENDLIST\""),
        (
            "out/video/360p/iframes.clearkey.m3u8",
            "METHOD=SAMPLE-AES",
            "METHOD=SAMPLE-AES-CTR",
            "METHOD is ",
        ),
        (
            "out/master.clearkey.m3u8",
            "playlist.clearkey.m3u8",
            "playlist.m3u8",
            "expected",
        ),
        (
            "out/master.clearkey.m3u8",
            "#EXTM3U\n",
            "#EXTM3U\n\n",
            "the line is \"\"",
        ),
    ] {
        let path = workspace.path(file);
        let right = fs::read_to_string(&path).unwrap();
        assert!(right.contains(old), "{old} is not in {right}");
        fs::write(&path, right.replacen(old, new, 1)).unwrap();
        let (is_right, said) = verify(&workspace, &[]);
        let file = file.strip_prefix("out/").unwrap();
        assert!(
            !is_right && said.contains(file) && said.contains(expected),
            "{old}: {said}"
        );
        fs::write(&path, right).unwrap();
    }
    fs::remove_file(workspace.path(media)).unwrap();
    let (is_right, said) = verify(&workspace, &[]);
    assert!(!is_right && said.contains("is missing"), "{said}");
    fs::remove_file(workspace.path("out/master.clearkey.m3u8")).unwrap();
    let (is_right, said) = verify(&workspace, &[]);
    assert!(!is_right && said.contains("a file that no playlist names"), "{said}");
}

/// In each init segment that is of something protected, behind the box of the common system, as they were given.
#[test]
fn boxes_of_other_key_systems_are_in_init_segments() {
    let workspace = Workspace::new();
    let widevine = hex_of(WIDEVINE);
    let kid = hex::encode(derive::derive(&format!("{CONTENT_ID}/kid")));
    let other = hex_of("00000045 70737368 01000000 9a04f079 98404286 ab92e65b e0885f95 00000002")
        + &kid
        + &"5a".repeat(16)
        + "0000000199";
    fs::write(
        workspace.path("others.bin"),
        hex::decode(widevine.clone() + &other).unwrap(),
    )
    .unwrap();
    for given in [&["--pssh", "others.bin"][..], &["--pssh", &widevine, "--pssh", &other]] {
        let more = [given, &["--clear-lead", "2s", "--no-store", "--replace"]].concat();
        let said = String::from_utf8(encrypt(&workspace, &["demo.mp4"], &more).stderr).unwrap();
        let warning = format!(
            "--pssh lists the key ID {}, which no track of the output has",
            "5a".repeat(16)
        );
        assert_eq!(said.matches("--pssh lists").count(), 1, "{said}");
        assert!(said.contains(&warning), "{said}");
        let boxes = hex::decode(widevine.clone() + &other).unwrap();
        let mut with_boxes = 0;
        for file in files(&workspace.path("out")) {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            if name.starts_with("init") {
                let is_there = fs::read(&file).unwrap().ends_with(&boxes);
                assert_eq!(is_there, name != "init.mp4", "{name}: the clear lead has no keys");
                with_boxes += usize::from(is_there);
            }
        }
        assert_eq!(with_boxes, 2);
        let (is_right, said) = verify(&workspace, &[]);
        assert!(is_right, "{said}");
    }
    let inspected = run(workspace
        .vylux_pack()
        .args(["inspect", "out/video/360p/init_00002.mp4"]));
    let inspected = String::from_utf8(inspected.stdout).unwrap();
    assert!(
        inspected.contains("edef8ba9-79d6-4ace-a3c8-27dcd51d21ed"),
        "{inspected}"
    );
}

#[test]
fn what_can_not_be_is_refused() {
    let widevine = hex_of(WIDEVINE);
    let cut = &widevine[..widevine.len() - 2];
    let twice = ["--pssh", &widevine, "--scheme", "aes-128"];
    for (options, code, expected) in [
        (&["--pssh", cut][..], 3, "--pssh 0000002570737368...: "),
        (
            &["--pssh", "nowhere.bin"],
            3,
            "neither hexadecimal nor a file that can be read",
        ),
        (&["--pssh", ""], 3, "--pssh"),
        (&["--pssh", "0000000866726565"], 3, "is a box 'free', expected 'pssh'"),
        (&twice, 2, "the init segments of aes-128 are clear"),
        (&["--key-uri", "skd://x"], 2, "--key-format <FORMAT>"),
        (&["--key-format-versions", "1"], 2, "--key-format <FORMAT>"),
        (&["--key-format", "a\"b"], 2, "can't stand in a playlist's quotes"),
        (
            &["--key-format", "a", "--key-format-versions", "1/0"],
            2,
            "integers above 0",
        ),
        (
            &["--key-format", "identity", "--key-uri", "skd://x"],
            2,
            "--base-url says",
        ),
        (
            &["--key-format", "org.w3.clearkey"],
            2,
            "ask for it with --clearkey-playlists",
        ),
        (&["--key-format", "a", "--scheme", "aes-128"], 2, "aes-128 has none"),
        (&["--key-format", "a", "--scheme", "none"], 2, "none has none"),
        (
            &["--key-format", "a", "--key-uri", "b", "--rotate-every", "4s"],
            2,
            "put {kid} into it",
        ),
        (
            &["--clearkey-playlists", "--scheme", "cbc1"],
            2,
            "it does not open cbc1",
        ),
        (
            &["--clearkey-playlists", "--scheme", "aes-128"],
            2,
            "it does not open aes-128",
        ),
    ] {
        let workspace = Workspace::new();
        let output = command(&workspace, &["demo.mp4"], options).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{options:?}: {message}");
        assert!(message.contains(expected), "{options:?}: {message}");
        assert!(!workspace.path("out").exists(), "{options:?}");
    }
}

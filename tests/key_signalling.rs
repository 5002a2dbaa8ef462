//! How players are told of keys, beyond what every output says: key formats of others, boxes of other key systems, and a second
//! set of playlists for Clear Key.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use common::{BASE_URL, CONTENT_ID, Workspace, derive, files, fixture, run, tool};
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
    let keys_and_sets = ["--keys", "per-type", "--rotate-every", "4s", "--clearkey-playlists"];
    let more = [&format[..], &uri, &keys_and_sets].concat();
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
            // It is in the licence (Apple's authoring specification, 13.4); Clear Key's has none.
            assert_eq!(key.iv, None, "{file}");
        }
        let clear_key = file.replace(".m3u8", ".clearkey.m3u8");
        let ivs = self::keys(&workspace.path(format!("out/video/360p/{clear_key}")));
        assert!(ivs.iter().all(|key| key.iv.is_some()), "{clear_key}");
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

    // An IV that is not tenc's is wrong wherever it stands, and Clear Key can't be without.
    let clear_keys = keys(&workspace.path("out/video/360p/playlist.clearkey.m3u8"));
    let of_clear_key = format!(",IV={}", clear_keys[0].iv.clone().unwrap());
    let iv = format!("\",IV=0x{}", "5a".repeat(16));
    for (file, from, to, expected) in [
        (
            "playlist.m3u8",
            "VERSIONS=\"1/2\"",
            format!("VERSIONS=\"1/2{iv}"),
            "IV is 0x5a5a",
        ),
        (
            "iframes.m3u8",
            "VERSIONS=\"1/2\"",
            format!("VERSIONS=\"1/2{iv}"),
            "IV of the I-frame",
        ),
        ("playlist.clearkey.m3u8", &of_clear_key, String::new(), "IV is missing"),
    ] {
        let path = workspace.path(format!("out/video/360p/{file}"));
        let whole = fs::read_to_string(&path).unwrap();
        assert!(whole.contains(from), "{whole}");
        fs::write(&path, whole.replacen(from, &to, 1)).unwrap();
        let (is_right, said) = verify(&workspace, &[&format[..], &uri].concat());
        assert!(!is_right && said.contains(expected), "{file}, {expected}: {said}");
        fs::write(&path, whole).unwrap();
    }
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
    // Again, and without.
    let second_set = workspace.path("out/master.clearkey.m3u8");
    encrypt(&workspace, &["demo.mp4"], &["--clearkey-playlists"]);
    assert!(second_set.exists());
    encrypt(&workspace, &["demo.mp4"], &[]);
    assert!(!second_set.exists());
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
    // A job file names files beside itself.
    fs::create_dir(workspace.path("jobs")).unwrap();
    fs::rename(workspace.path("others.bin"), workspace.path("jobs/others.bin")).unwrap();
    let input = fixture("demo.mp4");
    let job = format!("content-id = \"job\"\ninputs = [{input:?}]\npssh = [\"others.bin\", \"{widevine}\"]\n");
    fs::write(workspace.path("jobs/job.toml"), job).unwrap();
    let mut command = workspace.vylux_pack();
    run(command.args([
        "encrypt",
        "--job",
        "jobs/job.toml",
        "--no-store",
        "--quiet",
        "--out",
        "of-job",
    ]));
    let init = fs::read(workspace.path("of-job/video/360p/init.mp4")).unwrap();
    assert!(init.ends_with(&hex::decode(widevine.clone() + &other + &widevine).unwrap()));

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

/// Pictures that ffmpeg decodes, by their hashes.
fn pictures(ffmpeg: &Path, input: &Path, before: &[&str]) -> Vec<String> {
    let mut command = Command::new(ffmpeg);
    command
        .args(["-nostdin", "-v", "error"])
        .args(before)
        .arg("-i")
        .arg(input);
    let output = command.args(["-map", "0:v:0", "-fps_mode", "passthrough", "-f", "framemd5", "-"]);
    let text = String::from_utf8(output.output().unwrap().stdout).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit_once(' ').unwrap().1.to_owned()).collect()
}

/// One init segment, however often the key changes, and all that `verify` and `decrypt` do.
#[test]
fn keys_change_by_sample_groups() {
    let Some(ffmpeg) = tool("ffmpeg8") else { return };
    let source = fixture("demo.mp4");
    let expected = pictures(&ffmpeg, &source, &[]);
    for scheme in ["cbcs", "cenc", "cens", "cbc1"] {
        for (choice, keys_in_playlist) in [
            (&["--rotate-every", "4s"][..], 3),
            (&["--clear-lead", "3s"], 1),
            (&["--rotate-every", "4s", "--clear-lead", "3s", "--keys", "per-type"], 2),
        ] {
            let workspace = Workspace::new();
            encrypt(
                &workspace,
                &["demo.mp4"],
                &[choice, &["--scheme", scheme, "--seig"]].concat(),
            );
            let folder = workspace.path("out/video/360p");
            let inits = files(&folder)
                .into_iter()
                .filter(|file| file.extension().is_some_and(|is| is == "mp4"));
            assert_eq!(inits.count(), 1, "{scheme} {choice:?}");
            for file in ["playlist.m3u8", "iframes.m3u8"] {
                let text = fs::read_to_string(folder.join(file)).unwrap();
                assert_eq!(text.matches("#EXT-X-MAP").count(), 1, "{text}");
                assert_eq!(text.matches("#EXT-X-KEY").count(), keys_in_playlist, "{text}");
            }
            let (is_right, said) = verify(&workspace, &[]);
            assert!(is_right, "{scheme} {choice:?}: {said}");
            run(workspace
                .vylux_pack()
                .args(["decrypt", "out", "--out", "clear.mp4", "--quiet"]));
            let found = pictures(&ffmpeg, &workspace.path("clear.mp4"), &[]);
            assert!(found == expected, "{scheme} {choice:?}: other pictures");
        }
    }
}

/// The payload of the first box of a type.
fn payload(data: &[u8], kind: [u8; 4]) -> Option<&[u8]> {
    let at = data.windows(4).position(|window| *window == kind)?;
    let size = u32::from_be_bytes(data[at - 4..at].try_into().unwrap()) as usize;
    Some(&data[at + 4..at - 4 + size])
}

/// Box by box as Shaka Packager writes them where keys change, and what it and ffmpeg make of ours.
#[test]
fn sample_groups_are_those_of_shaka_packager() {
    let Some(packager) = tool("packager") else { return };
    for (scheme, sizes) in [("cbcs", [28, 61]), ("cenc", [28, 44])] {
        let workspace = Workspace::new();
        // Those of the first period; of each later one, it turns both by a byte more.
        let kid = "00112233445566778899aabbccddeeff";
        let key = "000102030405060708090a0b0c0d0e0f";
        let mut shaka = Command::new(&packager);
        let input = fixture("demo.mp4");
        shaka.current_dir(workspace.path("")).arg(format!(
            "in={},stream=video,init_segment=shaka/init.mp4,segment_template=shaka/$Number$.m4s,playlist_name=video.m3u8",
            input.display()
        ));
        shaka.args([
            "--segment_duration",
            "2",
            "--enable_raw_key_encryption",
            "--clear_lead",
            "0",
        ]);
        shaka.args(["--crypto_period_duration", "4", "--protection_scheme", scheme]);
        shaka.args(["--keys", &format!("label=:key_id={kid}:key={key}")]);
        run(shaka.args(["--hls_master_playlist_output", "shaka/master.m3u8"]));
        encrypt(
            &workspace,
            &["demo.mp4"],
            &["--seig", "--rotate-every", "4s", "--scheme", scheme],
        );

        let ours = |number: u32| fs::read(workspace.path(format!("out/video/360p/seg_{number:05}.m4s"))).unwrap();
        assert_eq!(payload(&ours(1), *b"sbgp"), None, "the first key is in tenc");
        let ours = ours(3);
        let theirs = fs::read(workspace.path("shaka/3.m4s")).unwrap();
        for (kind, size) in [*b"sbgp", *b"sgpd"].into_iter().zip(sizes) {
            let (ours, theirs) = (payload(&ours, kind).unwrap(), payload(&theirs, kind).unwrap());
            assert_eq!(ours.len() + 8, size);
            // A key ID and a constant IV of its own; all else is the same.
            let masked = |payload: &[u8]| {
                let mut masked = payload.to_vec();
                for own in [20..36, 37..53] {
                    let end = masked.len();
                    masked[own.start.min(end)..own.end.min(end)].fill(0);
                }
                masked
            };
            assert_eq!(masked(ours), masked(theirs));
            if kind == *b"sgpd" {
                assert_eq!(ours[20..36], derive::derive(&format!("{CONTENT_ID}/kid/2")));
            }
        }

        // What it encrypted comes back: each of its fragments names its key in a group of samples.
        let turned = |bytes: &str, number: usize| {
            let (start, end) = bytes.split_at(2 * number);
            format!("{end}{start}")
        };
        let line = |number| format!("{}:{}\n", turned(kid, number), turned(key, number));
        fs::write(workspace.path("keys.txt"), (0..16).map(line).collect::<String>()).unwrap();
        run(workspace.vylux_pack().args([
            "decrypt",
            "shaka/master.m3u8",
            "--key-file",
            "keys.txt",
            "--out",
            "clear.mp4",
            "--quiet",
        ]));
        if let Some(ffmpeg) = tool("ffmpeg8") {
            let clear = pictures(&ffmpeg, &workspace.path("clear.mp4"), &[]);
            assert_eq!(clear, pictures(&ffmpeg, &input, &[]));
        }
    }
}

/// What hls.js and others stop at is told before it is met in a player.
#[test]
fn what_players_stop_at_is_warned_of() {
    let lead = "--clear-lead: hls.js may stop where the encrypted part begins";
    let groups = "--seig with --rotate-every: of the players that were tried";
    for (choice, expected) in [
        (&["--clear-lead", "3s"][..], &[lead][..]),
        (
            &["--clear-lead", "3s", "--rotate-every", "4s", "--scheme", "cenc"],
            &[lead],
        ),
        (&["--clear-lead", "3s", "--seig"], &[]),
        (&["--clear-lead", "3s", "--quiet"], &[]),
        // Whole segments are decrypted by hls.js itself, and no browser opens cbc1.
        (&["--clear-lead", "3s", "--scheme", "aes-128"], &[]),
        (&["--clear-lead", "3s", "--scheme", "cbc1"], &[]),
        (&["--rotate-every", "4s"], &[]),
        (&["--rotate-every", "4s", "--seig"], &[groups]),
        (&["--rotate-every", "4s", "--seig", "--clear-lead", "3s"], &[groups]),
        (&["--rotate-every", "4s", "--seig", "--clearkey-playlists"], &[]),
        (&["--rotate-every", "4s", "--seig", "--quiet"], &[]),
    ] {
        let workspace = Workspace::new();
        let more = [choice, &["--no-store", "--dry-run"]].concat();
        let said = String::from_utf8(encrypt(&workspace, &["demo.mp4"], &more).stderr).unwrap();
        let found: Vec<&str> = [lead, groups]
            .into_iter()
            .filter(|words| said.contains(words))
            .collect();
        assert_eq!(found, expected, "{choice:?}: {said}");
    }
}

#[test]
fn verify_finds_what_is_wrong_with_a_sample_group() {
    let workspace = Workspace::new();
    encrypt(&workspace, &["demo.mp4"], &["--seig", "--rotate-every", "4s"]);
    let path = workspace.path("out/video/360p/seg_00004.m4s");
    let right = fs::read(&path).unwrap();
    let at = right.windows(4).position(|window| window == b"sgpd").unwrap();
    // Behind type, version, grouping type, default length, count: reserved, pattern, isProtected, IV size, key ID, IV.
    let entry = at + 20;
    for (offset, value, expected) in [
        (entry + 1, 0x28, "the pattern of the sample group"),
        (entry + 2, 0, "bytes behind the fields of an entry"),
        (entry + 3, 7, "an IV size of 7"),
        (entry + 4, right[entry + 4] ^ 1, "as the fragments in front of it"),
        (entry + 30, right[entry + 30] ^ 1, "is protected by the key"),
        (at - 5, 2, "has no entry 2"),
    ] {
        let mut wrong = right.clone();
        wrong[offset] = value;
        fs::write(&path, wrong).unwrap();
        let (is_right, said) = verify(&workspace, &[]);
        assert!(
            !is_right && said.contains("seg_00004.m4s") && said.contains(expected),
            "{expected}: {said}"
        );
    }
}

//! The schemes beside `cbcs`: what playlists say of them, IVs that never come twice, and segments that open to what they were.
//!
//! `tests/shaka.rs` compares samples and maps with Shaka Packager's, `tests/ffmpeg.rs` has ffmpeg decrypt and play them, and
//! `tests/browser.rs` has players play them.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::HashSet;
use std::fs;
use std::process::Command;

use common::{RenditionFiles, Workspace, derive, fixture, for_each, is_vp9, run, samples, tool};
use serde_json::Value;

const FILM: &str = "fragmented.mp4";

/// What `encrypt` is told, and which lines its playlists have of the key, without IVs that are random or of a track.
const SCHEMES: &[(&[&str], &str)] = &[
    (&["--scheme", "cbcs", "--pattern", "5:5"], "METHOD=SAMPLE-AES"),
    (&["--scheme", "cenc"], "METHOD=SAMPLE-AES-CTR"),
    (&["--scheme", "cenc", "--iv-size", "16"], "METHOD=SAMPLE-AES-CTR"),
    (&["--scheme", "cens", "--iv-size", "16"], "METHOD=SAMPLE-AES-CTR"),
    (&["--scheme", "cens", "--pattern", "2:3"], "METHOD=SAMPLE-AES-CTR"),
    (&["--scheme", "cbc1"], "METHOD=SAMPLE-AES"),
    (&["--scheme", "aes-128"], "METHOD=AES-128"),
];

fn verify(workspace: &Workspace, arguments: &[&str]) -> (Option<i32>, Value) {
    let mut command = workspace.vylux_pack();
    command.args(["verify", "out", "--no-store", "--json"]).args(arguments);
    let output = command.output().unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code(), report)
}

#[track_caller]
fn assert_finds(workspace: &Workspace, file: &str, what: &str) {
    let (code, report) = verify(workspace, &[]);
    assert_eq!(code, Some(4), "{report:#}");
    let differences = report["differences"].as_array().unwrap();
    let is_it = |difference: &Value| difference["file"] == file && difference["what"].as_str().unwrap().contains(what);
    assert!(differences.iter().any(is_it), "no '{what}' in {file}: {differences:#?}");
}

/// Puts other words in the place of those that stand in a file of the output.
fn replace(workspace: &Workspace, file: &str, old: &str, new: &str) {
    let path = workspace.path("out").join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(old), "no {old} in {text}");
    fs::write(path, text.replacen(old, new, 1)).unwrap();
}

#[test]
fn every_scheme_is_verified_and_comes_back() {
    let names = [
        FILM,
        "demo.mp4",
        "empty-samples.mp4",
        "tiny-samples.mp4",
        "slices-42.mp4",
        "hevc.mp4",
        "av1-tiles.mp4",
        "vp9.mp4",
        "opus.mp4",
        "two-languages.mp4",
    ];
    for_each(&names.map(str::to_owned), |name| {
        for (options, _) in SCHEMES {
            // 42 maps and an IV are more than the byte of `saiz` can tell; `too_many_slices_beside_an_iv` has that.
            if name == "slices-42.mp4" && !options.contains(&"cbcs") && !options.contains(&"aes-128") {
                continue;
            }
            if is_vp9(name) && !options.contains(&"cenc") && !options.contains(&"aes-128") {
                continue;
            }
            let workspace = Workspace::new();
            workspace.package(&[fixture(name)], "out", options);
            let pattern = options.iter().position(|option| *option == "--pattern");
            let pattern = pattern.map_or("1:9", |at| options[at + 1]);
            let source = fixture(name);
            for source in [source.to_str().unwrap(), "clear.mp4"] {
                if source == "clear.mp4" {
                    run(workspace
                        .vylux_pack()
                        .args(["decrypt", "out", "--out", "clear.mp4", "--quiet"]));
                }
                let (code, report) = verify(&workspace, &["--pattern", pattern, "--source", source]);
                let opened = report["tracks"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .all(|track| track["opened"] == true);
                if code != Some(0) || !opened {
                    return Err(format!("{options:?}, {source}: {report:#}"));
                }
            }
        }
        Ok(())
    });
}

/// Its binding to MP4 has no scheme but `cenc`; whole segments know no codec.
#[test]
fn vp9_is_refused_under_other_schemes_than_cenc() {
    for scheme in ["cbcs", "cens", "cbc1"] {
        let workspace = Workspace::new();
        let mut command = workspace.vylux_pack();
        command.args(["encrypt", "--content-id", "film", "--no-store", "--scheme", scheme]);
        let output = command.arg(fixture("vp9.mp4")).output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{message}");
        let what = format!(
            "is VP9, for which Common Encryption has no scheme but cenc; choose --scheme cenc instead of {scheme}"
        );
        assert!(message.contains(&what), "{message}");
        assert!(!workspace.path("out").exists());
    }
}

#[test]
fn playlists_name_the_method() {
    for (options, method) in SCHEMES {
        let workspace = Workspace::new();
        let renditions = workspace.package(&[fixture(FILM)], "out", options);
        let is_whole = options.contains(&"aes-128");
        let uri = format!("URI=\"https://keys.example.com/api/key/{}\"", common::CONTENT_ID);
        let format = if is_whole { "" } else { ",KEYFORMAT=\"identity\"" };
        let master = fs::read_to_string(workspace.path("out/master.m3u8")).unwrap();
        let session: Vec<&str> = master
            .lines()
            .filter(|line| line.starts_with("#EXT-X-SESSION-KEY"))
            .collect();
        assert_eq!(session, [format!("#EXT-X-SESSION-KEY:{method},{uri}{format}")]);

        let mut ivs = HashSet::new();
        for rendition in &renditions {
            let text = fs::read_to_string(&rendition.playlist).unwrap();
            let lines: Vec<&str> = text.lines().collect();
            let map = lines.iter().position(|line| line.starts_with("#EXT-X-MAP")).unwrap();
            let keys: Vec<usize> = (0..lines.len())
                .filter(|line| lines[*line].starts_with("#EXT-X-KEY"))
                .collect();
            assert!(map < keys[0], "{text}");
            assert_eq!(
                keys.len(),
                if is_whole { rendition.segments.len() } else { 1 },
                "{text}"
            );
            for key in keys {
                let (attributes, iv) = lines[key].split_once(",IV=0x").unwrap_or((lines[key], ""));
                assert_eq!(attributes, format!("#EXT-X-KEY:{method},{uri}{format}"));
                // An IV that stands in no sample is of all of them, or of the one segment behind it.
                let has_iv = is_whole || options.contains(&"cbcs");
                assert_eq!(iv.len(), if has_iv { 32 } else { 0 }, "{text}");
                assert!(
                    !has_iv || ivs.insert(iv.to_owned()),
                    "an IV for the second time: {text}"
                );
                assert!(!is_whole || lines[key + 1].starts_with("#EXTINF"), "{text}");
            }
        }
    }
}

/// `openssl` opens each segment to what stands in an output that is not encrypted.
#[test]
fn openssl_opens_whole_segments() {
    let Some(openssl) = tool("openssl") else { return };
    let workspace = Workspace::new();
    let clear = workspace.package(&[fixture("demo.mp4")], "clear", &["--scheme", "none"]);
    let encrypted = workspace.package(&[fixture("demo.mp4")], "out", &["--scheme", "aes-128"]);
    for (clear, encrypted) in clear.iter().zip(&encrypted) {
        assert_eq!(fs::read(&clear.init).unwrap(), fs::read(&encrypted.init).unwrap());
        let text = fs::read_to_string(&encrypted.playlist).unwrap();
        let ivs = text
            .lines()
            .filter_map(|line| line.split_once(",IV=0x"))
            .map(|(_, iv)| iv);
        for ((clear, encrypted), iv) in clear.segments.iter().zip(&encrypted.segments).zip(ivs) {
            let opened = run(Command::new(&openssl)
                .args([
                    "enc",
                    "-d",
                    "-aes-128-cbc",
                    "-K",
                    &hex::encode(derive::key()),
                    "-iv",
                    iv,
                    "-in",
                ])
                .arg(encrypted));
            assert_eq!(opened.stdout, fs::read(clear).unwrap());
        }
    }
}

fn first_halves(renditions: &[RenditionFiles]) -> Vec<Vec<u8>> {
    let samples = renditions
        .iter()
        .flat_map(|rendition| samples::read(&rendition.joined()).unwrap());
    samples.map(|sample| sample.iv[..8].to_vec()).collect()
}

/// Under CTR, the same input under the same key gets other IVs in each run; no two samples share the half that tells them
/// apart, whatever their track.
#[test]
fn ivs_never_come_again() {
    for (scheme, size) in [("cenc", "8"), ("cenc", "16"), ("cens", "16")] {
        let workspace = Workspace::new();
        let mut seen = HashSet::new();
        let mut count = 0;
        for out in ["first", "second"] {
            let options = ["--scheme", scheme, "--iv-size", size];
            let renditions = workspace.package(&[fixture("two-languages.mp4")], out, &options);
            assert_eq!(renditions.len(), 3);
            for half in first_halves(&renditions) {
                seen.insert(half);
                count += 1;
            }
        }
        assert_eq!(seen.len(), count);
    }
}

#[test]
fn an_iv_that_comes_twice_is_found() {
    let workspace = Workspace::new();
    let renditions = workspace.package(&[fixture(FILM)], "out", &["--scheme", "cenc"]);
    let audio = renditions.iter().find(|rendition| !rendition.is_video()).unwrap();
    let ivs = first_halves(&renditions);
    let (path, mut data) = (&audio.segments[0], fs::read(&audio.segments[0]).unwrap());
    let own = first_halves(std::slice::from_ref(audio))[5].clone();
    let at = data.windows(8).position(|bytes| bytes == own).unwrap();
    data[at..at + 8].copy_from_slice(&ivs[0]);
    fs::write(path, data).unwrap();
    let file = path.strip_prefix(workspace.path("out")).unwrap().to_str().unwrap();
    let other = "video/90p/seg_00001.m4s";
    let (code, report) = verify(&workspace, &[]);
    assert_eq!(code, Some(4));
    let text = report["differences"].to_string();
    assert!(
        text.contains("comes twice under one key") && text.contains(file) && text.contains(other),
        "{text}"
    );
}

#[test]
fn damaged_segments_and_keys_of_aes_128_are_found() {
    let film = || {
        let workspace = Workspace::new();
        workspace.package(&[fixture(FILM)], "out", &["--scheme", "aes-128"]);
        workspace
    };
    let (playlist, second) = ("video/90p/playlist.m3u8", "video/90p/seg_00002.m4s");
    let iv_of = |workspace: &Workspace, index: usize| {
        let text = fs::read_to_string(workspace.path("out").join(playlist)).unwrap();
        let mut ivs = text.lines().filter_map(|line| line.split_once(",IV=0x"));
        ivs.nth(index).unwrap().1.to_owned()
    };

    let workspace = film();
    let path = workspace.path("out").join(second);
    let data = fs::read(&path).unwrap();
    fs::write(&path, &data[..data.len() - 1]).unwrap();
    assert_finds(&workspace, second, "is whole blocks of 16 bytes");

    // A changed last block is noise, which ends with a padding one time in 256; these bytes do not.
    fs::write(&path, [&data[..data.len() - 16], &[0; 16]].concat()).unwrap();
    assert_finds(&workspace, second, "does not end with a padding");

    // A wrong IV changes no more than the first block, and of that what nobody reads.
    let workspace = film();
    let (first, next) = (iv_of(&workspace, 0), iv_of(&workspace, 1));
    replace(&workspace, playlist, &next, &first);
    assert_finds(&workspace, playlist, "comes twice under one key");
    assert_finds(&workspace, playlist, "the IV of segment 2 is");

    let workspace = film();
    replace(&workspace, playlist, &format!(",IV=0x{next}"), "");
    assert_finds(&workspace, playlist, "IV is missing");

    let workspace = film();
    replace(&workspace, playlist, "METHOD=AES-128", "METHOD=SAMPLE-AES");
    assert_finds(&workspace, playlist, "METHOD is SAMPLE-AES, expected AES-128");

    let workspace = film();
    let map = "#EXT-X-MAP:URI=\"init.mp4\"\n";
    replace(&workspace, playlist, map, "");
    replace(&workspace, playlist, "#EXTINF", &format!("{map}#EXTINF"));
    assert_finds(&workspace, playlist, "must stand behind EXT-X-MAP");

    let workspace = film();
    let key_file = workspace.path("keys.txt");
    fs::write(&key_file, format!("{}:{}\n", "11".repeat(16), "22".repeat(16))).unwrap();
    let mut command = workspace.vylux_pack();
    command.args(["decrypt", "out", "--out", "clear.mp4", "--key-file", "keys.txt"]);
    let output = command.output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{message}");
    assert!(message.contains("does not end with a padding"), "{message}");
    assert!(!workspace.path("clear.mp4").exists());
}

/// Fewer subsamples fit into the byte of `saiz` beside an IV (ISO/IEC 14496-12, 8.7.8).
#[test]
fn too_many_slices_beside_an_iv() {
    for (scheme, iv_size, most) in [("cenc", Some("8"), 40), ("cens", Some("16"), 39), ("cbc1", None, 39)] {
        let workspace = Workspace::new();
        let mut command = workspace.vylux_pack();
        command.args(["encrypt", "--content-id", "film", "--no-store", "--scheme", scheme]);
        command.args(iv_size.iter().flat_map(|size| ["--iv-size", size]));
        let output = command.arg(fixture("slices-60.mp4")).output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{message}");
        let what = format!("the file format can signal at most {most} in a sample");
        assert!(message.contains(&what), "{message}");
    }
}

#[test]
fn options_that_a_scheme_has_no_use_for_are_refused() {
    for (options, what) in [
        (
            &["--scheme", "cenc", "--pattern", "1:9"][..],
            "--pattern is of cbcs and cens",
        ),
        (
            &["--scheme", "aes-128", "--pattern", "1:9"],
            "--pattern is of cbcs and cens",
        ),
        (
            &["--scheme", "cbc1", "--iv-size", "16"],
            "--iv-size is of cenc and cens",
        ),
        (&["--iv-size", "8"], "--iv-size is of cenc and cens"),
        (&["--pattern", "0:9"], "each from 1 to 15"),
        (&["--pattern", "1:16"], "each from 1 to 15"),
        (
            &["--scheme", "cbc5"],
            "expected cbcs, cenc, cens, cbc1, aes-128 or none",
        ),
    ] {
        let workspace = Workspace::new();
        let mut command = workspace.vylux_pack();
        command
            .args(["encrypt", "--content-id", "film", "--no-store"])
            .args(options);
        let output = command.arg(fixture(FILM)).output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(what), "{message}");
        assert!(!workspace.path("out").exists());
    }
}

/// What Apple's players don't play is said once, and nothing of what they do.
#[test]
fn schemes_that_players_may_not_know_are_told() {
    for (options, what) in [
        (&["--scheme", "cenc"][..], Some("Apple's players play cbcs alone")),
        (&["--scheme", "cens"], Some("HLS has no METHOD for it")),
        (&["--scheme", "cbc1"], Some("HLS has no METHOD for it")),
        (&["--pattern", "5:5"], Some("Apple's players want the pattern 1:9")),
        (&["--pattern", "1:9"], None),
        (&["--scheme", "aes-128"], None),
        (&[], None),
    ] {
        let workspace = Workspace::new();
        let mut command = workspace.vylux_pack();
        command
            .args(["encrypt", "--content-id", "film", "--no-store"])
            .args(options);
        let output = run(command.arg(fixture("two-languages.mp4")));
        let message = String::from_utf8(output.stderr).unwrap();
        let warnings = message.lines().filter(|line| line.contains("warning")).count();
        assert_eq!(warnings, usize::from(what.is_some()), "{message}");
        assert!(what.is_none_or(|what| message.contains(what)), "{message}");
    }
}

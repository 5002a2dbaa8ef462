//! `vylux-pack decrypt` gives the film back that `encrypt` was given.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use common::{Workspace, derive, fixture, for_each, inputs, run, tool};
use serde_json::Value;

/// Inputs whose media fingerprint is another after the round trip, though every sample and its time are the same.
const WRITTEN_IN_ANOTHER_WAY: &[(&str, &str)] = &[
    (
        "edit-audio-delay.mp4",
        "the late start is in the decode times instead of an empty edit",
    ),
    ("fragmented-gap.mp4", "the sample before a gap lasts until its end"),
    ("fragment-per-sample.mp4", "samples that overlap last until the next"),
];

fn decrypt(workspace: &Workspace, arguments: &[&str]) -> Command {
    let mut command = workspace.vylux_pack();
    command.args(["decrypt", "out"]).args(arguments);
    command
}

/// What stands in the workspace, hidden or not.
fn entries(workspace: &Workspace) -> Vec<String> {
    let entries = fs::read_dir(workspace.folder()).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[track_caller]
fn assert_fails(output: &Output, exit_code: i32, what: &str) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(exit_code), "{error}");
    assert!(error.contains(what), "{error}");
}

// --- what comes back ------------------------------------------------------------------------------

/// `verify` reads both files with code that wrote neither, and compares every sample and every time.
#[test]
fn every_input_comes_back() {
    for_each(&inputs(), |name| {
        let workspace = Workspace::new();
        workspace.encrypt(name, "out");
        run(&mut decrypt(&workspace, &["--out", "clear.mp4", "--quiet"]));
        let mut command = workspace.vylux_pack();
        let output = command
            .args(["verify", "out", "--no-store", "--json", "--source", "clear.mp4"])
            .output()
            .unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
        let differences = report["differences"].as_array().unwrap();
        let only_the_fingerprint = || match differences.as_slice() {
            [difference] => difference["what"].as_str().unwrap().contains("media_fingerprint"),
            _ => false,
        };
        let is_as_expected = if WRITTEN_IN_ANOTHER_WAY.iter().any(|(other, _)| *other == name) {
            only_the_fingerprint()
        } else {
            differences.is_empty()
        };
        if is_as_expected {
            Ok(())
        } else {
            Err(format!("{report:#}"))
        }
    });
}

/// Packets, or decoded frames, of a stream: their times, sizes and hashes.
///
/// Durations are left out: ffmpeg takes that of a fragmented file's last packet from the codec, and not from the file.
fn framemd5(ffmpeg: &Path, input: &[&str], file: &Path, stream: &str, output: &[&str]) -> Vec<Vec<String>> {
    let mut command = Command::new(ffmpeg);
    command
        .args(["-nostdin", "-v", "error", "-copyts"])
        .args(input)
        .arg("-i")
        .arg(file);
    command
        .args(["-map", stream])
        .args(output)
        .args(["-f", "framemd5", "-"]);
    let text = String::from_utf8(run(&mut command).stdout).unwrap();
    let fields = |line: &str| -> Vec<String> {
        let fields = line.split(',').map(|field| field.trim().to_owned());
        // Stream, dts, pts, duration, size, hash, and side data, which formats have and films don't.
        let kept = fields.enumerate().filter(|(index, _)| [1, 2, 4, 5].contains(index));
        kept.map(|(_, field)| field).collect()
    };
    let lines: Vec<Vec<String>> = text.lines().filter(|line| !line.starts_with('#')).map(fields).collect();
    assert!(!lines.is_empty());
    lines
}

/// Compares what ffmpeg makes of the streams of a fixture and of its round trip.
fn assert_same(ffmpeg: &Path, name: &str, input: &[&str], streams: &[&str], output: &[&str]) {
    let workspace = Workspace::new();
    workspace.encrypt(name, "out");
    run(&mut decrypt(&workspace, &["--out", "clear.mp4"]));
    for stream in streams {
        let source = framemd5(ffmpeg, input, &fixture(name), stream, output);
        let clear = framemd5(ffmpeg, input, &workspace.path("clear.mp4"), stream, output);
        assert_eq!(clear.len(), source.len(), "{name} {stream}");
        for (index, (clear, source)) in clear.iter().zip(&source).enumerate() {
            assert_eq!(clear, source, "{name} {stream} {index}");
        }
    }
}

#[test]
fn ffmpeg_reads_the_same_packets_and_frames() {
    let Some(ffmpeg) = tool("ffmpeg") else { return };
    for (name, streams) in [
        ("demo.mp4", &["0:v", "0:a"] as &[&str]),
        ("fragmented.mp4", &["0:v", "0:a"]),
        ("two-languages.mp4", &["0:v", "0:a:0", "0:a:1"]),
        ("edit-media-time.mp4", &["0:v", "0:a"]),
        ("cmaf.mp4", &["0:v", "0:a"]),
        ("vp9.mp4", &["0:v"]),
        ("vp9-resize.mp4", &["0:v"]),
        ("vp9-fragmented.mp4", &["0:v", "0:a"]),
    ] {
        for output in [&["-c", "copy"] as &[&str], &["-fps_mode", "passthrough"]] {
            assert_same(&ffmpeg, name, &["-ignore_editlist", "1"], streams, output);
        }
    }
}

/// A newer ffmpeg follows edit lists of fragmented files too.
#[test]
fn ffmpeg_sees_the_same_presentation() {
    let Some(ffmpeg) = tool("ffmpeg8") else { return };
    for name in ["demo.mp4", "edit-media-time.mp4", "fragmented-delay-moov.mp4"] {
        assert_same(&ffmpeg, name, &[], &["0:v", "0:a"], &["-c", "copy"]);
    }
}

#[test]
fn all_renditions_become_tracks_of_one_file() {
    let workspace = Workspace::new();
    let sources = [fixture("two-languages.mp4"), fixture("v180.mp4"), fixture("v360.mp4")];
    workspace.package(&sources, "out", &["--allow-misaligned"]);
    let output = run(&mut decrypt(&workspace, &["--out", "clear.mp4", "--json"]));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let tracks = report["tracks"].as_array().unwrap();
    let kinds: Vec<&str> = tracks.iter().map(|track| track["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["video", "video", "video", "audio", "audio"]);
    assert_eq!(
        report["bytes"],
        fs::metadata(workspace.path("clear.mp4")).unwrap().len()
    );
    assert!(tracks.iter().all(|track| track["kid"] == hex::encode(derive::kid())));

    let mut command = workspace.vylux_pack();
    command.args(["verify", "out", "--no-store", "--json", "--source", "clear.mp4"]);
    let output = command.output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    // Whatever the order in which the tracks stand in the file.
    assert_eq!(report["difference_count"], 0, "{report:#}");
}

#[test]
fn a_clear_output_needs_no_secrets() {
    let workspace = Workspace::new();
    workspace.package(&[fixture("demo.mp4")], "out", &["--scheme", "none"]);
    run(decrypt(&workspace, &["--out", "clear.mp4"]).env_remove("MASTER_KEY_HEX"));
    assert!(workspace.path("clear.mp4").is_file());
}

/// Without a record, the content ID in the key URI leads to the key.
#[test]
fn records_are_not_needed() {
    let workspace = Workspace::new();
    workspace.encrypt("demo.mp4", "out");
    run(&mut decrypt(&workspace, &["--out", "with.mp4"]));
    fs::remove_file(workspace.path("out/keys.json")).unwrap();
    run(&mut decrypt(&workspace, &["--out", "without.mp4"]));
    assert_eq!(
        fs::read(workspace.path("with.mp4")).unwrap(),
        fs::read(workspace.path("without.mp4")).unwrap()
    );
    let output = decrypt(&workspace, &["--out", "other.mp4"])
        .env("MASTER_KEY_HEX", hex::encode([7; 32]))
        .output()
        .unwrap();
    assert_fails(&output, 2, "give --key-file");
}

// --- keys from a file -----------------------------------------------------------------------------

#[test]
fn keys_from_a_file() {
    let workspace = Workspace::new();
    workspace.encrypt("demo.mp4", "out");
    run(&mut decrypt(&workspace, &["--out", "by-secrets.mp4"]));
    let (kid, key) = (hex::encode(derive::kid()), hex::encode(derive::key()));
    let write = |text: &str| {
        fs::write(workspace.path("keys"), text).unwrap();
        fs::set_permissions(workspace.path("keys"), fs::Permissions::from_mode(0o600)).unwrap();
    };
    let from_file = |out: &str| {
        let mut command = decrypt(&workspace, &["--key-file", "keys", "--out", out]);
        command
            .env_remove("MASTER_KEY_HEX")
            .env_remove("SALT_HEX")
            .output()
            .unwrap()
    };

    write(&format!(
        "# demo\n{}:{}\n{kid}:{key} # main\n",
        "00".repeat(16),
        "11".repeat(16)
    ));
    let output = from_file("by-file.mp4");
    assert!(output.status.success());
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(
        fs::read(workspace.path("by-file.mp4")).unwrap(),
        fs::read(workspace.path("by-secrets.mp4")).unwrap()
    );

    fs::set_permissions(workspace.path("keys"), fs::Permissions::from_mode(0o644)).unwrap();
    let output = from_file("again.mp4");
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("chmod 600 keys"));

    write(&format!("{}:{key}\n", "00".repeat(16)));
    assert_fails(&from_file("x.mp4"), 2, &format!("has no key of ID {kid}"));
    write(&format!("{kid}:{key}0\n"));
    let output = from_file("x.mp4");
    assert_fails(&output, 2, "keys, line 1: expected a key of 32 hexadecimal digits");
    assert!(
        !String::from_utf8_lossy(&output.stderr).contains(&key),
        "a key was shown"
    );
    assert!(!workspace.path("x.mp4").exists());
}

#[test]
fn missing_secrets_are_named() {
    let workspace = Workspace::new();
    workspace.encrypt("demo.mp4", "out");
    let output = decrypt(&workspace, &["--out", "clear.mp4"])
        .env_remove("SALT_HEX")
        .output()
        .unwrap();
    assert_fails(&output, 2, "SALT_HEX is not set");
}

// --- publication ----------------------------------------------------------------------------------

#[test]
fn a_file_that_is_there_stays_unless_it_may_be_replaced() {
    let workspace = Workspace::new();
    workspace.encrypt("demo.mp4", "out");
    fs::write(workspace.path("clear.mp4"), "old").unwrap();
    let output = decrypt(&workspace, &["--out", "clear.mp4"]).output().unwrap();
    assert_fails(&output, 1, "replace it with --replace");
    assert_eq!(fs::read(workspace.path("clear.mp4")).unwrap(), b"old");
    assert_fails(
        &decrypt(&workspace, &["--out", "out", "--replace"]).output().unwrap(),
        1,
        "is a directory",
    );

    run(&mut decrypt(&workspace, &["--out", "clear.mp4", "--replace"]));
    assert!(fs::metadata(workspace.path("clear.mp4")).unwrap().len() > 100_000);
    assert_eq!(entries(&workspace), ["clear.mp4", "out"]);
}

#[test]
fn damage_is_named_and_leaves_nothing() {
    let workspace = Workspace::new();
    let renditions = workspace.encrypt("fragmented.mp4", "out");
    let video = renditions.iter().find(|rendition| rendition.is_video()).unwrap();
    let segment = video.segments.get(1).unwrap();
    let whole = fs::read(segment).unwrap();
    fs::write(workspace.path("clear.mp4"), "old").unwrap();
    let attempt = || {
        decrypt(&workspace, &["--out", "clear.mp4", "--replace"])
            .output()
            .unwrap()
    };

    // A subsample map that does not cover its sample: found in the middle of writing.
    let mut damaged = whole.clone();
    let senc = damaged.windows(4).position(|kind| kind == b"senc").unwrap();
    *damaged.get_mut(senc + 15).unwrap() ^= 1;
    fs::write(segment, &damaged).unwrap();
    assert_fails(&attempt(), 3, "seg_00002.m4s: track 1, sample 26");

    fs::write(segment, whole.get(..whole.len() - 1).unwrap()).unwrap();
    assert_fails(&attempt(), 3, "seg_00002.m4s: mdat at byte");
    fs::remove_file(segment).unwrap();
    assert_fails(&attempt(), 3, "seg_00002.m4s");
    fs::write(segment, &whole).unwrap();
    fs::remove_file(&video.init).unwrap();
    assert_fails(&attempt(), 3, "init.mp4");
    assert_eq!(entries(&workspace), ["clear.mp4", "out"]);
    assert_eq!(fs::read(workspace.path("clear.mp4")).unwrap(), b"old");
}

/// Enough renditions that a run can be interrupted while it writes.
#[test]
fn an_interrupted_run_leaves_nothing() {
    let workspace = Workspace::new();
    workspace.package(&vec![fixture("demo.mp4"); 30], "out", &[]);
    let mut command = decrypt(&workspace, &["--out", "clear.mp4"]);
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    while entries(&workspace).len() == 1 {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    run(Command::new("kill").args(["-INT", &child.id().to_string()]));
    assert_fails(&child.wait_with_output().unwrap(), 130, "interrupted");
    assert_eq!(entries(&workspace), ["out"]);
}

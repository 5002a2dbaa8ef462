//! Secrets in and reports out: what a person or a script gives the program, and what it tells them.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};

use common::{BASE_URL, CONTENT_ID, MASTER_KEY, SALT, VYLUX_PACK, Workspace, derive, fixture, run};
use serde_json::Value;

/// `encrypt` of a fixture to `out/CONTENT_ID`.
fn encrypt(workspace: &Workspace, name: &str, more: &[&str]) -> Command {
    let mut command = workspace.vylux_pack();
    command
        .arg("encrypt")
        .arg(fixture(name))
        .args(["--content-id", CONTENT_ID])
        .args(more);
    command
}

fn texts(output: Output) -> (String, String) {
    (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// Runs a command that has to end with that exit code and print nothing; returns its message.
fn fails(command: &mut Command, exit_code: i32) -> String {
    let output = command.output().unwrap();
    let code = output.status.code();
    let (printed, message) = texts(output);
    assert_eq!((code, &*printed), (Some(exit_code), ""), "{message}");
    message
}

fn files(workspace: &Workspace) -> usize {
    std::fs::read_dir(workspace.folder()).unwrap().count()
}

#[test]
fn init_writes_fresh_secrets_once() {
    let folders = [Workspace::new(), Workspace::new()];
    let mut written = Vec::new();
    for workspace in &folders {
        let init = || {
            let mut command = Command::new(VYLUX_PACK);
            command.current_dir(workspace.folder()).env_clear().arg("init");
            command
        };
        let (printed, _) = texts(run(&mut init()));
        assert!(printed.contains("Back it up now"), "{printed}");
        let path = workspace.path(".env");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            text.contains("BASE_URL=http://localhost:4100\n"),
            "the file lacks its base URL"
        );
        for name in ["MASTER_KEY_HEX", "SALT_HEX", "KEY_TOKEN_SECRET"] {
            let prefix = format!("{name}=");
            let value = text
                .lines()
                .find_map(|line| line.strip_prefix(&prefix))
                .unwrap()
                .to_owned();
            assert!(value.len() >= 64, "{name} is short");
            assert!(!printed.contains(&value), "{name} is printed");
            assert!(!written.contains(&value), "{name} is not fresh");
            written.push(value);
        }
        let message = fails(&mut init(), 1);
        assert!(message.starts_with("error: ") && message.contains(".env"), "{message}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "it was overwritten");

        // What it wrote is enough to encrypt.
        let mut command = Command::new(VYLUX_PACK);
        command
            .current_dir(workspace.folder())
            .env_clear()
            .args(["encrypt", "--no-store", "--content-id", "a"]);
        run(command.arg(fixture("one-sample.mp4")));
    }
}

#[test]
fn secrets_that_cannot_be_used_are_named_and_never_shown() {
    let workspace = Workspace::new();
    let good = hex::encode(MASTER_KEY);
    let zeros = "0".repeat(64);
    for name in ["MASTER_KEY_HEX", "SALT_HEX"] {
        for value in [
            None,
            Some(&good[..62]),
            Some(&good.replace('6', "x")),
            Some(&*zeros),
            Some("hunter2"),
        ] {
            let mut command = encrypt(&workspace, "one-sample.mp4", &["--no-store"]);
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
            let message = fails(&mut command, 2);
            assert!(message.starts_with(&format!("error: {name} ")), "{message}");
            let shown = value.filter(|value| message.contains(&value[..value.len().min(7)]));
            assert_eq!(shown, None, "{message}");
        }
    }
    assert_eq!(files(&workspace), 0, "something was written");
}

#[test]
fn secrets_come_from_files_and_commands_too() {
    let workspace = Workspace::new();
    std::fs::write(workspace.path("master"), hex::encode(MASTER_KEY) + "\n").unwrap();
    let mut command = encrypt(&workspace, "one-sample.mp4", &["--no-store", "--json"]);
    command
        .env_remove("MASTER_KEY_HEX")
        .env("MASTER_KEY_HEX_FILE", "master");
    command
        .env_remove("SALT_HEX")
        .env("SALT_HEX_COMMAND", format!("echo {}", hex::encode(SALT)));
    let report: Value = serde_json::from_slice(&run(&mut command).stdout).unwrap();
    assert_eq!(report.get("kid").unwrap(), &hex::encode(derive::kid()));

    command.env("MASTER_KEY_HEX_FILE", "missing");
    let message = fails(&mut command, 2);
    assert!(message.starts_with("error: MASTER_KEY_HEX_FILE"), "{message}");
    command
        .env("MASTER_KEY_HEX_FILE", "master")
        .env("SALT_HEX_COMMAND", "exit 7");
    let message = fails(&mut command, 2);
    assert!(message.starts_with("error: SALT_HEX_COMMAND"), "{message}");
}

#[test]
fn the_report_says_what_is_where_and_what_to_do() {
    let workspace = Workspace::new();
    let (printed, message) = texts(run(&mut encrypt(&workspace, "one-sample.mp4", &["--no-store"])));
    assert_eq!(message, "");
    let lines: Vec<&str> = printed.lines().collect();
    let [first, track, key, bytes, "", play, check] = lines.as_slice() else {
        panic!("{printed}");
    };
    assert_eq!(*first, format!("Encrypted out/{CONTENT_ID} (cbcs)"));
    assert!(
        track.starts_with("  video/90p/playlist.m3u8      avc1.64000B  160x90, 1 segment, 0.040 s, "),
        "{track}"
    );
    assert_eq!(
        *key,
        format!(
            "  key {} at {BASE_URL}/api/key/{CONTENT_ID}",
            hex::encode(derive::kid())
        )
    );
    assert!(bytes.contains(" kB in ") && bytes.ends_with(" s"), "{bytes}");
    assert_eq!(
        *play,
        format!("Play it:   out/{CONTENT_ID}/master.m3u8 or out/{CONTENT_ID}/manifest.mpd on any web server or CDN")
    );
    let check = check.strip_prefix("Check it:  vylux-pack ").unwrap();
    let mut command = workspace.vylux_pack();
    run(command.args(check.split(' ')));
}

#[test]
fn the_json_report_is_whole_and_holds_no_secret() {
    let workspace = Workspace::new();
    let (printed, message) = texts(run(&mut encrypt(
        &workspace,
        "two-languages.mp4",
        &["--no-store", "--json"],
    )));
    assert_eq!(message, "");
    let report: Value = serde_json::from_str(&printed).unwrap();
    let field = |name: &str| report.get(name).unwrap();
    assert_eq!(field("content_id"), CONTENT_ID);
    assert_eq!(field("scheme"), "cbcs");
    assert_eq!(field("dry_run"), false);
    assert_eq!(field("kid"), &hex::encode(derive::kid()));
    assert_eq!(field("key_uri"), &format!("{BASE_URL}/api/key/{CONTENT_ID}"));
    let tracks = field("tracks").as_array().unwrap();
    assert_eq!(tracks.len(), 3);
    let bytes: u64 = tracks
        .iter()
        .map(|track| track.get("bytes").unwrap().as_u64().unwrap())
        .sum();
    assert_eq!(field("bytes").as_u64(), Some(bytes));
    for track in tracks {
        let playlist = track.get("playlist").unwrap().as_str().unwrap();
        assert!(
            workspace.path("out").join(CONTENT_ID).join(playlist).is_file(),
            "{playlist}"
        );
    }
    for secret in [hex::encode(derive::key()), hex::encode(MASTER_KEY), hex::encode(SALT)] {
        assert!(!printed.contains(&secret), "a secret is printed");
    }
}

#[test]
fn a_dry_run_writes_nothing_and_quiet_says_nothing() {
    let workspace = Workspace::new();
    let (printed, _) = texts(run(&mut encrypt(&workspace, "demo.mp4", &["--dry-run"])));
    assert!(printed.starts_with("Would write out/"), "{printed}");
    assert_eq!(files(&workspace), 0);
    let (printed, message) = texts(run(&mut encrypt(
        &workspace,
        "trailing-junk.mp4",
        &["--quiet", "--no-store"],
    )));
    assert_eq!((&*printed, &*message), ("", ""));
    let (_, message) = texts(run(&mut encrypt(&workspace, "trailing-junk.mp4", &["--no-store"])));
    assert!(
        message.starts_with("warning: ") && message.lines().count() == 1,
        "{message}"
    );
}

#[test]
fn other_media_under_a_content_id_need_a_word() {
    let workspace = Workspace::new();
    run(&mut encrypt(&workspace, "one-sample.mp4", &["--no-store"]));
    let keys_file = workspace.path("out").join(CONTENT_ID).join("keys.json");
    let before = std::fs::read(&keys_file).unwrap();
    let message = fails(&mut encrypt(&workspace, "video-only.mp4", &["--no-store"]), 1);
    let expected =
        format!("error: content '{CONTENT_ID}' was encrypted before and is not the same now: media_fingerprint");
    assert!(
        message.starts_with(&expected) && message.contains("--replace"),
        "{message}"
    );
    assert_eq!(std::fs::read(&keys_file).unwrap(), before);
    run(&mut encrypt(&workspace, "video-only.mp4", &["--no-store", "--replace"]));
    assert_ne!(std::fs::read(&keys_file).unwrap(), before);
}

#[test]
fn colours_are_for_those_who_want_them() {
    let workspace = Workspace::new();
    let has_colour = |variable: Option<&str>| {
        let mut command = workspace.vylux_pack();
        command
            .args(["inspect", "missing.mp4"])
            .envs(variable.map(|name| (name, "1")));
        command.output().unwrap().stderr.contains(&0x1b)
    };
    assert!(!has_colour(None), "a pipe is no terminal");
    assert!(!has_colour(Some("NO_COLOR")));
    assert!(has_colour(Some("CLICOLOR_FORCE")));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let workspace = Workspace::new();
    for arguments in [
        &["completions", "zsh"][..],
        &["man"],
        &["--help"],
        &["encrypt", "--help"],
    ] {
        let mut command = workspace.vylux_pack();
        let mut child = command
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let mut message = String::new();
        child.stderr.take().unwrap().read_to_string(&mut message).unwrap();
        assert_eq!(
            (child.wait().unwrap().code(), &*message),
            (Some(0), ""),
            "{arguments:?}"
        );
    }
}

#[test]
fn completions_and_manual_pages_begin_as_theirs_do() {
    let workspace = Workspace::new();
    let printed = |arguments: &[&str]| {
        let mut command = workspace.vylux_pack();
        texts(run(command.args(arguments))).0
    };
    for (shell, expected) in [
        ("bash", "_vylux__pack() {"),
        ("zsh", "#compdef vylux-pack"),
        ("fish", "# Print an optspec for argparse"),
        ("elvish", "\nuse builtin;"),
        ("powershell", "\nusing namespace System.Management.Automation"),
    ] {
        let text = printed(&["completions", shell]);
        assert!(
            text.starts_with(expected),
            "{shell}: {}",
            text.lines().next().unwrap_or_default()
        );
        assert!(text.contains("rewrap") || cfg!(not(feature = "store")), "{shell}");
    }
    assert!(printed(&["man"]).contains(".TH vylux-pack 1"));
    assert!(printed(&["man", "encrypt"]).contains(".TH vylux-pack-encrypt 1"));
}

#[cfg(not(feature = "store"))]
#[test]
fn built_without_stores_it_says_so() {
    let workspace = Workspace::new();
    let message = fails(
        &mut encrypt(&workspace, "one-sample.mp4", &["--store", "sqlite://keys.db"]),
        1,
    );
    assert!(message.contains("built without record stores"), "{message}");
    run(&mut encrypt(&workspace, "one-sample.mp4", &[]));
    let mut command = workspace.vylux_pack();
    fails(command.args(["keys", "list"]), 2);
    let mut command = workspace.vylux_pack();
    command
        .args(["keys", "rewrap", "--file"])
        .arg(workspace.path("out").join(CONTENT_ID).join("keys.json"));
    run(&mut command);
}

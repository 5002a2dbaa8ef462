//! The command line as a person meets it: each file in `tests/cmd` is a session of a shell, and what it printed.
//!
//! `SNAPSHOTS=overwrite cargo test --test cli` takes over what is printed now. Sessions run in an empty folder with the
//! tests' secrets in the environment; `media` in it is the folder of fixtures, and the working folder is shown as `[WORK]`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use common::{MASTER_KEY, SALT, VYLUX_PACK, Workspace};
use snapbox::{Data, assert_data_eq};

/// Runs the commands of a session, and returns it with what they print now.
fn replay(session: &str) -> String {
    let work = Workspace::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    symlink(root.join("fixtures/media"), work.path("media")).unwrap();
    let path = std::env::join_paths(
        [Path::new(VYLUX_PACK).parent().unwrap().to_owned()]
            .into_iter()
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let mut transcript = String::new();
    let lines = session.lines();
    for line in lines.filter(|line| line.starts_with("$ ") || line.starts_with("# ")) {
        writeln!(transcript, "{line}").unwrap();
        let Some(command) = line.strip_prefix("$ ") else {
            continue;
        };
        let output = work
            .shell()
            .env("PATH", path.as_ref().unwrap())
            .arg(format!("exec 2>&1\n{command}"))
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        for secret in [MASTER_KEY, SALT] {
            assert!(!text.contains(&hex::encode(secret)), "'{command}' prints a secret");
        }
        transcript += &without_what_changes(&text, &work);
        if !text.is_empty() && !text.ends_with('\n') {
            transcript.push('\n');
        }
        if !output.status.success() {
            writeln!(transcript, "[{}]", output.status).unwrap();
        }
    }
    transcript
}

/// The text without the working folder, and without the time that a run took.
fn without_what_changes(text: &str, work: &Workspace) -> String {
    let text = text.replace(work.folder().to_str().unwrap(), "[WORK]");
    let mut out = String::new();
    for line in text.split_inclusive('\n') {
        match line
            .trim_end()
            .strip_suffix(" s")
            .and_then(|line| line.rsplit_once(" in "))
        {
            Some((before, seconds)) if seconds.parse::<f64>().is_ok() => writeln!(out, "{before} in [TIME] s").unwrap(),
            _ => out += line,
        }
    }
    out
}

#[test]
fn sessions_print_what_they_did() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cmd");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let session = fs::read_to_string(&path).unwrap();
        assert_data_eq!(replay(&session), Data::read_from(&path, None).raw());
        count += 1;
    }
    assert!(count > 5, "only {count} sessions were found");
}

//! Publication in one step: whatever happens to a run, the output is the whole old one or the whole new one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::{CONTENT_ID, VYLUX_PACK, Workspace, fixture, run, say_skipped, skip};
use sha2::{Digest, Sha256};

/// How often a run is killed.
const KILLS: u32 = 100;

/// So many inputs that a run takes long enough to be interrupted in.
const INPUTS: usize = 12;

/// All files below a folder with the hashes of their bytes; empty where there is no folder.
fn tree(folder: &Path) -> BTreeMap<PathBuf, [u8; 32]> {
    fn walk(folder: &Path, root: &Path, files: &mut BTreeMap<PathBuf, [u8; 32]>) {
        let Ok(entries) = std::fs::read_dir(folder) else { return };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, root, files);
            } else {
                let hash = Sha256::digest(std::fs::read(&path).unwrap()).into();
                files.insert(path.strip_prefix(root).unwrap().to_owned(), hash);
            }
        }
    }
    let mut files = BTreeMap::new();
    walk(folder, folder, &mut files);
    files
}

/// What stands beside the output, except for the record store, whose journals SQLite keeps as it likes.
fn beside(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.retain(|name| !name.starts_with("records.db"));
    names.sort();
    names
}

/// A run that writes `OUT` in segments of so many seconds, which tells one output from another.
fn encrypt(workspace: &Workspace, out: &Path, seconds: u32) -> Command {
    let mut command = workspace.vylux_pack();
    command.arg("encrypt").args(vec![fixture("demo.mp4"); INPUTS]);
    command.args(["--content-id", CONTENT_ID, "--quiet", "--out"]).arg(out);
    command.args(["--segment-duration", &seconds.to_string()]);
    command.env(
        "DATABASE_URL",
        format!("sqlite://{}", workspace.path("records.db").display()),
    );
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// An output in the workspace, and what it and another one consist of.
struct Outputs {
    workspace: Workspace,
    out: PathBuf,
    old: BTreeMap<PathBuf, [u8; 32]>,
    new: BTreeMap<PathBuf, [u8; 32]>,
    /// How long a run takes.
    duration: Duration,
}

const OLD_SECONDS: u32 = 2;
const NEW_SECONDS: u32 = 4;

impl Outputs {
    /// Leaves the old output in place. Both have the same key record, so that runs can be compared.
    fn new() -> Self {
        let workspace = Workspace::new();
        std::fs::create_dir(workspace.path("site")).unwrap();
        let out = workspace.path("site/out");
        run(&mut encrypt(&workspace, &out, NEW_SECONDS));
        let new = tree(&out);
        let started = Instant::now();
        run(&mut encrypt(&workspace, &out, OLD_SECONDS));
        let duration = started.elapsed();
        let old = tree(&out);
        assert!(
            old.len() > new.len() && new.len() > 100,
            "{} and {} files",
            old.len(),
            new.len()
        );
        Self {
            workspace,
            out,
            old,
            new,
            duration,
        }
    }

    fn spawn(&self, seconds: u32) -> Child {
        encrypt(&self.workspace, &self.out, seconds).spawn().unwrap()
    }

    /// The folder that holds the output.
    fn site(&self) -> PathBuf {
        self.workspace.path("site")
    }

    /// Waits until a run writes to its folder; that is when the folder is locked, not when it is made.
    fn wait_for_staging(&self, child: &mut Child) -> PathBuf {
        loop {
            let staging = beside(&self.site()).into_iter().find(|name| name.starts_with(".out."));
            // A folder that is gone again was lost to another run before it was locked: there will be another.
            if let Some(folder) = staging.map(|name| self.site().join(name))
                && std::fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some())
            {
                return folder;
            }
            assert!(
                child.try_wait().unwrap().is_none(),
                "the run ended before it could be interrupted"
            );
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Sends a signal to a process of ours.
fn signal(child: &Child, name: &str) {
    run(Command::new("sh").args(["-c", &format!("kill -{name} {}", child.id())]));
}

/// Numbers from 0 up to 1, not the same ones in every run.
fn random() -> f64 {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).unwrap();
    f64::from(u32::from_ne_bytes(bytes)) / f64::from(u32::MAX)
}

#[test]
fn kill_at_any_moment_leaves_the_old_output_or_the_new_one() {
    let outputs = Outputs::new();
    let (mut was_old, mut was_new) = (0, 0);
    for kill in 0..KILLS {
        let mut child = outputs.spawn(NEW_SECONDS);
        // Every other run is killed near its end, where the output is published.
        let moment = if kill % 2 == 0 {
            random()
        } else {
            random().mul_add(0.4, 0.8)
        };
        std::thread::sleep(outputs.duration.mul_f64(moment));
        child.kill().unwrap();
        let status = child.wait().unwrap();
        let found = tree(&outputs.out);
        if found == outputs.new {
            was_new += 1;
            run(&mut encrypt(&outputs.workspace, &outputs.out, OLD_SECONDS));
        } else {
            assert!(
                found == outputs.old,
                "kill {kill} at {moment:.3} of a run ({status}) left something else"
            );
            was_old += 1;
        }
    }
    assert!(was_old > 10, "runs were killed too late: {was_old} old, {was_new} new");
    run(&mut encrypt(&outputs.workspace, &outputs.out, NEW_SECONDS));
    assert!(tree(&outputs.out) == outputs.new);
    assert_eq!(beside(&outputs.site()), ["out"], "leftovers of killed runs");
    assert_eq!(beside(outputs.workspace.folder()), ["site"], "leftovers of killed runs");
}

#[test]
fn signals_leave_the_old_output_and_nothing_else() {
    let outputs = Outputs::new();
    for name in ["INT", "TERM", "HUP"] {
        let mut child = outputs.spawn(NEW_SECONDS);
        outputs.wait_for_staging(&mut child);
        signal(&child, name);
        let output = child.wait_with_output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "SIG{name}: {message}");
        assert!(message.contains("interrupted"), "SIG{name}: {message}");
        assert!(tree(&outputs.out) == outputs.old, "SIG{name} changed the output");
        assert_eq!(beside(&outputs.site()), ["out"], "SIG{name} left something");
    }
}

/// A run that stands still is no leftover: another one for the same output leaves its folder alone.
#[test]
fn a_living_run_keeps_its_folder() {
    let outputs = Outputs::new();
    let mut standing = outputs.spawn(NEW_SECONDS);
    let staging = outputs.wait_for_staging(&mut standing);
    signal(&standing, "STOP");
    let another = encrypt(&outputs.workspace, &outputs.out, OLD_SECONDS).output().unwrap();
    let is_there = staging.is_dir();
    signal(&standing, "CONT");
    let standing = standing.wait_with_output().unwrap();
    assert!(is_there, "the other run removed the folder");
    for output in [another, standing] {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(
        tree(&outputs.out) == outputs.new,
        "the run that ended last has the last word"
    );
    assert_eq!(beside(&outputs.site()), ["out"]);
}

#[test]
fn runs_at_one_moment_never_mix() {
    let outputs = Outputs::new();
    let keys = std::fs::read(outputs.out.join("keys.json")).unwrap();
    for round in 0..10 {
        let runs = [OLD_SECONDS, NEW_SECONDS, OLD_SECONDS].map(|seconds| outputs.spawn(seconds));
        let mut succeeded = 0;
        for child in runs {
            let output = child.wait_with_output().unwrap();
            succeeded += u32::from(output.status.success());
            let message = String::from_utf8_lossy(&output.stderr);
            assert!(
                output.status.success() || message.starts_with("error: "),
                "round {round}: {message}"
            );
        }
        assert!(succeeded > 0, "round {round}: all failed");
        let found = tree(&outputs.out);
        assert!(
            found == outputs.old || found == outputs.new,
            "round {round}: a mix of two runs"
        );
        assert_eq!(beside(&outputs.site()), ["out"], "round {round}");
        if round % 2 == 0 {
            // The next round starts without an output; the record is kept so that it can be compared.
            for name in ["master.m3u8", "video", "audio"] {
                let path = outputs.out.join(name);
                if path.is_dir() {
                    std::fs::remove_dir_all(path)
                } else {
                    std::fs::remove_file(path)
                }
                .unwrap();
            }
            assert!(std::fs::read(outputs.out.join("keys.json")).unwrap() == keys);
        }
    }
}

/// Two first runs of a content: whoever publishes second replaces the first, or says why not.
#[test]
fn first_runs_at_one_moment_never_mix() {
    for round in 0..5 {
        let workspace = Workspace::new();
        let out = workspace.path("out");
        let runs = [OLD_SECONDS, NEW_SECONDS].map(|seconds| encrypt(&workspace, &out, seconds).spawn().unwrap());
        for child in runs {
            let output = child.wait_with_output().unwrap();
            assert!(
                output.status.success(),
                "round {round}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        let mut found = tree(&out);
        found.remove(Path::new("keys.json"));
        let is_whole = |seconds| {
            let alone = Workspace::new();
            run(&mut encrypt(&alone, &alone.path("out"), seconds));
            let mut files = tree(&alone.path("out"));
            files.remove(Path::new("keys.json"));
            files == found
        };
        assert!(
            is_whole(OLD_SECONDS) || is_whole(NEW_SECONDS),
            "round {round}: a mix of two runs"
        );
        assert_eq!(beside(workspace.folder()), ["out"], "round {round}");
    }
}

/// Where the file system says no in the middle of a run: exit code 1, a message that names the file, nothing changed.
fn assert_refused(outputs: &Outputs, output: &Output, what: &str) {
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{what}: {message}");
    assert!(message.contains(what) && message.contains("out"), "{message}");
    assert!(tree(&outputs.out) == outputs.old, "the output was changed");
    assert_eq!(beside(&outputs.site()), ["out"], "something was left");
}

/// The run in a shell that first does `prepare`, in the folder that holds the output.
fn encrypt_after(outputs: &Outputs, prepare: &str) -> Output {
    let plain = encrypt(&outputs.workspace, &outputs.out, NEW_SECONDS);
    let mut command = Command::new("bash");
    command.arg("-c").arg(format!("cd \"$1\" || exit 99; shift; {prepare}"));
    command
        .arg("bash")
        .arg(outputs.site())
        .arg(VYLUX_PACK)
        .args(plain.get_args());
    command
        .env_clear()
        .envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.output().unwrap()
}

/// No file may grow beyond 16 KiB: writing fails with "File too large" where a full disk fails with "No space left".
#[test]
fn files_that_cannot_grow_leave_the_old_output() {
    let outputs = Outputs::new();
    let output = encrypt_after(&outputs, "trap '' XFSZ; ulimit -f 16; exec \"$@\" --no-store");
    assert_refused(&outputs, &output, "File too large");
}

/// A file system of 9 MB that holds the old output is full before the new one is there.
///
/// It is mounted in a namespace of its own, so nobody else sees it; its contents are copied out for the comparison.
#[test]
fn a_full_disk_leaves_the_old_output() {
    let outputs = Outputs::new();
    let can_mount = |probe: &mut Command| probe.output().is_ok_and(|output| output.status.success());
    if !can_mount(Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"])) {
        // Privileges are the machine's to give, so this is none of CI's failures: the test above covers writing too.
        say_skipped(
            "a_full_disk_leaves_the_old_output",
            "no file system may be mounted here",
        );
        return;
    }
    let mut command = Command::new("unshare");
    let script = "set -e; mkdir ../disk; mount -t tmpfs -o size=9m tmpfs ../disk; cp -r out ../disk/out; \
                  code=0; (cd ../disk && \"$@\") || code=$?; rm -r out; cp -r ../disk/. .; exit $code";
    let plain = encrypt(&outputs.workspace, Path::new("out"), NEW_SECONDS);
    command
        .args(["-rm", "bash", "-c", script, "bash", VYLUX_PACK])
        .args(plain.get_args());
    command.current_dir(outputs.site()).env_clear();
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.output().unwrap();
    assert_refused(&outputs, &output, "No space left");
}

#[test]
fn a_folder_that_cannot_be_written_leaves_the_old_output() {
    let outputs = Outputs::new();
    let mode =
        |mode| std::fs::set_permissions(outputs.site(), std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    // Permissions do not bind root, unless that is taken from it.
    let prepare =
        "if ((EUID)); then exec \"$@\"; else exec setpriv --bounding-set=-dac_override,-dac_read_search \"$@\"; fi";
    mode(0o555);
    let output = encrypt_after(&outputs, prepare);
    mode(0o755);
    if output.status.code() == Some(127) {
        return skip("setpriv is not installed (util-linux)");
    }
    assert_refused(&outputs, &output, "Permission denied");
}

/// Eight hexadecimal digits, as a date may be, are a generation's folder where a record says so, and else somebody's own.
#[test]
fn a_folder_that_nobody_recorded_stays() {
    let workspace = Workspace::new();
    let archive = workspace.path("archive");
    let film = archive.join("20261124/film.txt");
    std::fs::create_dir_all(film.parent().unwrap()).unwrap();
    std::fs::write(&film, "precious").unwrap();
    let empty = workspace.path("empty.db");
    for more in [
        vec!["--no-store"],
        vec!["--store", &format!("sqlite://{}", empty.display())],
        vec!["--no-store", "--replace"],
        vec!["--scheme", "none"],
        vec!["--scheme", "none", "--replace"],
    ] {
        let mut command = encrypt(&workspace, &archive, OLD_SECONDS);
        let output = command.args(&more).output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{more:?}: {message}");
        assert!(message.contains("it holds '20261124'"), "{more:?}: {message}");
        assert_eq!(std::fs::read_to_string(&film).unwrap(), "precious", "{more:?}");
    }
    // Beside an output too.
    let out = workspace.path("out");
    run(&mut encrypt(&workspace, &out, OLD_SECONDS));
    std::fs::rename(archive.join("20261124"), out.join("20261124")).unwrap();
    let output = encrypt(&workspace, &out, OLD_SECONDS).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(out.join("20261124/film.txt").exists());
}

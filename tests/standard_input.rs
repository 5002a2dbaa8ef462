//! `encrypt -`: what comes by a pipe is the same as what lies in a file, or is refused.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use common::{Workspace, fixture, run, tool};

const ENCRYPT: [&str; 6] = [
    "encrypt",
    "--content-id",
    "film",
    "--no-store",
    "--segment-duration",
    "1",
];

/// Every file of an output but its record, whose wrap is another each time.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("keys.json") {
                found.insert(path.strip_prefix(folder).unwrap().to_owned(), fs::read(path).unwrap());
            }
        }
    }
    found
}

/// Encrypts standard input, which is a pipe that `data` comes by in pieces.
fn encrypt(workspace: &Workspace, data: &[u8], more: &[&str]) -> Output {
    let mut command = workspace.vylux_pack();
    command.args(ENCRYPT).args(["--out", "piped"]).args(more);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    for piece in data.chunks(1777) {
        // Who refuses without reading closes the pipe.
        if pipe.write_all(piece).is_err() {
            break;
        }
    }
    drop(pipe);
    child.wait_with_output().unwrap()
}

#[test]
fn a_pipe_is_as_good_as_a_file() {
    for name in ["fragmented.mp4", "progressive-moov-end.mp4", "two-languages.mp4"] {
        let workspace = Workspace::new();
        let data = fs::read(fixture(name)).unwrap();
        let piped = encrypt(&workspace, &data, &["-"]);
        let error = String::from_utf8_lossy(&piped.stderr);
        assert!(piped.status.success(), "{name}: {error}");
        run(workspace
            .vylux_pack()
            .args(ENCRYPT)
            .args(["--out", "read"])
            .arg(fixture(name)));
        assert_eq!(
            files(&workspace.path("piped")),
            files(&workspace.path("read")),
            "{name}"
        );
        // Nothing that can't be given again is asked for.
        assert!(
            String::from_utf8(piped.stdout)
                .unwrap()
                .ends_with("Check it:  vylux-pack verify piped\n")
        );
        let left: Vec<_> = fs::read_dir(workspace.folder()).unwrap().collect();
        assert_eq!(left.len(), 2, "{left:?}");
    }
}

#[test]
fn it_may_be_one_input_of_several_and_have_a_track_option() {
    let workspace = Workspace::new();
    let data = fs::read(fixture("a-en.mp4")).unwrap();
    let video = fixture("v360.mp4");
    let more = [video.to_str().unwrap(), "-", "--track", "-:1,name=Piped"];
    let output = encrypt(&workspace, &data, &more);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let master = fs::read_to_string(workspace.path("piped/master.m3u8")).unwrap();
    assert!(master.contains("NAME=\"Piped\""), "{master}");
}

#[test]
fn ffmpeg_pipes_its_output() {
    let Some(ffmpeg) = tool("ffmpeg") else { return };
    let workspace = Workspace::new();
    let film = fixture("demo.mp4");
    let script = format!(
        "{} -v error -i {} -c copy -f mp4 -movflags frag_keyframe+empty_moov+delay_moov - | {} {} --out piped --quiet -",
        ffmpeg.display(),
        film.display(),
        common::VYLUX_PACK,
        ENCRYPT.join(" ")
    );
    run(workspace.shell().arg(script));
    run(workspace
        .vylux_pack()
        .args(["verify", "piped", "--no-store", "--quiet"]));
}

#[test]
fn a_stream_that_is_cut_is_refused() {
    let workspace = Workspace::new();
    let data = fs::read(fixture("fragmented.mp4")).unwrap();
    for bytes in [0, 5, 700, 20_000, data.len() - 1] {
        let output = encrypt(&workspace, data.get(..bytes).unwrap(), &["-"]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{bytes}: {error}");
        assert!(
            error.starts_with("error: -: ") && error.contains("at byte"),
            "{bytes}: {error}"
        );
    }
    let left: Vec<_> = fs::read_dir(workspace.folder()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn it_can_be_given_once() {
    let workspace = Workspace::new();
    let output = encrypt(&workspace, b"", &["-", "-"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(error, "error: standard input, '-', can be one input only\n");
    assert_eq!(output.status.code(), Some(2));
}

/// However much comes: in a file that nobody sees, and never in memory.
#[test]
fn memory_is_bounded_and_a_signal_ends_it() {
    let workspace = Workspace::new();
    fs::create_dir(workspace.path("out")).unwrap();
    let mut command = workspace.vylux_pack();
    command.args(ENCRYPT).args(["--out", "out/film", "-"]);
    command.stdin(File::open("/dev/zero").unwrap()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let written = format!("/proc/{}/io", child.id());
    let field = |file: &str, name: &str| -> u64 {
        let text = fs::read_to_string(file).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    };
    let started = Instant::now();
    while field(&written, "wchar:") < 300_000_000 {
        assert!(started.elapsed() < Duration::from_mins(1), "nothing is written");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(field(&status, "VmHWM:") < 64 * 1024, "{} kB", field(&status, "VmHWM:"));
    let seen: Vec<_> = fs::read_dir(workspace.path("out")).unwrap().collect();
    assert!(seen.is_empty(), "{seen:?}");
    run(std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]));
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

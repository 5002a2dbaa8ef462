//! What the integration tests share: secrets for tests, fixtures, the tools that we are compared with, and a folder to run in.

#![expect(dead_code, reason = "each test uses what it needs")]
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

pub mod derive;
pub mod mutation;
pub mod player;
pub mod postgres;
pub mod samples;
pub mod server;
#[cfg(feature = "server")]
pub mod tokens;
pub mod trees;

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The master key of all tests. It protects nothing.
pub const MASTER_KEY: [u8; 32] = *b"the master key of nobody's films";

/// The salt of all tests.
pub const SALT: [u8; 32] = *b"the salt of all the tests' keys!";

/// Where the tests' playlists say that keys are.
pub const BASE_URL: &str = "https://keys.example.com";

/// The program under test.
pub const VYLUX_PACK: &str = env!("CARGO_BIN_EXE_vylux-pack");

/// Inputs that the program refuses, and why; all other fixtures can be encrypted.
pub const REFUSED: &[(&str, &str)] = &[
    ("edit-dwell.mp4", "an edit holds a frame"),
    ("edit-multiple.mp4", "media is played in several pieces"),
    ("encrypted-cbcs.mp4", "encrypted already"),
    ("encrypted-cenc.mp4", "encrypted already"),
    ("mixed-codecs.mp4", "a track of another codec"),
    ("refuse-mpeg4.mp4", "another codec"),
    ("refuse-vorbis.mp4", "another codec"),
    ("slices-60.mp4", "more subsamples than saiz can tell"),
    ("text-only.mp4", "nothing to encrypt"),
    ("text-stpp.mp4", "text without a film"),
    ("text-wvtt.mp4", "text without a film"),
    ("tfdt-wrapped.mp4", "time goes backward"),
    ("two-descriptions.mp4", "several sample descriptions"),
    ("two-descriptions-fragmented.mp4", "several sample descriptions"),
];

/// A fixture's path.
pub fn fixture(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let path = if name == "demo.mp4" {
        root.join(name)
    } else {
        root.join("media").join(name)
    };
    assert!(path.is_file(), "no fixture {}", path.display());
    path
}

/// The files below a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let below = |path: PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
    entries.flat_map(|entry| below(entry.unwrap().path())).collect()
}

/// The names of all fixtures, sorted.
pub fn fixtures() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/media");
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.push("demo.mp4".to_owned());
    names.retain(|name| Path::new(name).extension() == Some(OsStr::new("mp4")));
    names.sort();
    assert!(names.len() > 100, "only {} fixtures were found", names.len());
    names
}

/// The names of all fixtures that can be encrypted, sorted.
pub fn inputs() -> Vec<String> {
    let mut names = fixtures();
    for (refused, _) in REFUSED {
        assert!(names.iter().any(|name| name == refused), "no fixture {refused}");
    }
    names.retain(|name| REFUSED.iter().all(|(refused, _)| name != refused));
    names
}

/// The names of all fixtures that can be encrypted under `scheme`, sorted.
pub fn inputs_under(scheme: &str) -> Vec<String> {
    let mut names = inputs();
    names.retain(|name| !is_vp9(name) || matches!(scheme, "cenc" | "aes-128" | "none"));
    names
}

/// The scheme that a fixture is encrypted under: `cbcs`, or `cenc` where its codec has no other.
pub fn scheme(name: &str) -> &'static str {
    if is_vp9(name) { "cenc" } else { "cbcs" }
}

/// Whether the video of a fixture is VP9.
pub fn is_vp9(name: &str) -> bool {
    name.starts_with("vp9")
}

/// Whether the video of a fixture is H.265.
pub fn is_hevc(name: &str) -> bool {
    name.starts_with("hev1") || name.starts_with("hevc")
}

/// A tool that `fixtures/oracles.sh` installs: `packager`, `ffmpeg8`, `ffprobe8`, or one of the distribution.
///
/// `None` where it is missing: the test is skipped then, which under `CI=true` is a failure.
pub fn tool(name: &str) -> Option<PathBuf> {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("target/oracles/bin")
        .join(name);
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = [ours]
        .into_iter()
        .chain(std::env::split_paths(&paths).map(|folder| folder.join(name)))
        .find(|path| path.is_file());
    if found.is_none() {
        skip(&format!("{name} is not installed; fixtures/oracles.sh installs it"));
    }
    found
}

/// Says that the test that calls this is not run, and why. Under `CI=true` it fails instead.
pub fn skip(reason: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test").to_owned();
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "{test} can't be run: {reason}"
    );
    say_skipped(&test, reason);
}

/// Written to the terminal itself: what a passing test prints is not shown.
pub fn say_skipped(what: &str, reason: &str) {
    // Where standard error is closed, nobody looks on.
    let _ = writeln!(std::io::stderr().lock(), "SKIPPED {what}: {reason}");
}

/// An empty folder to run programs in, removed at the end.
pub struct Workspace {
    folder: tempfile::TempDir,
}

impl Workspace {
    /// A new one.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("vylux-pack-test-").tempdir().unwrap();
        Self { folder }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A path in the folder.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program under test, to be run here with the tests' secrets.
    pub fn vylux_pack(&self) -> Command {
        self.command(VYLUX_PACK)
    }

    /// A shell with the tests' secrets, to be run here; it takes its commands as the next argument.
    pub fn shell(&self) -> Command {
        let mut command = self.command("sh");
        command.arg("-c");
        command
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.folder())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("MASTER_KEY_HEX", hex::encode(MASTER_KEY))
            .env("SALT_HEX", hex::encode(SALT))
            .env("BASE_URL", BASE_URL);
        command
    }

    /// Encrypts a fixture under its [`scheme`] to `out`, a folder below this one, in segments of a second, without a record
    /// store.
    pub fn encrypt(&self, name: &str, out: &str) -> Vec<RenditionFiles> {
        self.package(&[fixture(name)], out, &["--scheme", scheme(name)])
    }

    /// Packages inputs to `out` with more arguments, in segments of a second, without a record store.
    pub fn package(&self, inputs: &[PathBuf], out: &str, more: &[&str]) -> Vec<RenditionFiles> {
        let mut command = self.vylux_pack();
        command.arg("encrypt").args(inputs).args(more);
        command.args(["--content-id", CONTENT_ID, "--out", out, "--no-store", "--json"]);
        if !more.contains(&"--segment-duration") {
            command.args(["--segment-duration", "1"]);
        }
        let report: serde_json::Value = serde_json::from_slice(&run(&mut command).stdout).unwrap();
        let tracks = report.get("tracks").and_then(serde_json::Value::as_array).unwrap();
        tracks
            .iter()
            .map(|track| RenditionFiles::find(&self.path(out), track))
            .collect()
    }
}

/// The content ID of what [`Workspace::encrypt`] writes.
pub const CONTENT_ID: &str = "test-film";

/// Makes a certificate for 127.0.0.1 that signs itself, and its key, as PEM files; `openssl` is how to call it here.
pub fn make_certificate(mut openssl: Command, certificate: &Path, key: &Path) {
    openssl
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
        .args(["-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(key)
        .arg("-out")
        .arg(certificate);
    run(&mut openssl);
}

/// Runs a program that has to succeed.
pub fn run(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", name(command)));
    assert!(
        output.status.success(),
        "{} {}: {}\n{}",
        name(command),
        command.get_args().collect::<Vec<_>>().join(OsStr::new(" ")).display(),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

fn name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

/// One rendition of an output and its files.
pub struct RenditionFiles {
    /// Its folder below the output, such as `video/90p`.
    pub name: String,
    /// The input it was made from.
    pub input: PathBuf,
    /// Its track's ID in the input.
    pub track_id: u32,
    /// The init segment.
    pub init: PathBuf,
    /// The media playlist.
    pub playlist: PathBuf,
    /// The media segments, in order.
    pub segments: Vec<PathBuf>,
}

impl RenditionFiles {
    /// Finds the files of a track of the JSON report.
    fn find(output: &Path, track: &serde_json::Value) -> Self {
        let text = |name: &str| track.get(name).unwrap().as_str().unwrap();
        let number = |name: &str| track.get(name).unwrap().as_u64().unwrap();
        let playlist = output.join(text("playlist"));
        let folder = playlist.parent().unwrap();
        let entries = std::fs::read_dir(folder).unwrap();
        let mut segments: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        segments.retain(|path| path.extension() == Some(OsStr::new("m4s")));
        segments.sort();
        assert_eq!(segments.len() as u64, number("segments"), "{}", folder.display());
        Self {
            name: folder.strip_prefix(output).unwrap().to_str().unwrap().to_owned(),
            input: text("input").into(),
            track_id: number("track_id").try_into().unwrap(),
            init: folder.join("init.mp4"),
            playlist,
            segments,
        }
    }

    /// The bare name, which IVs are derived with.
    pub fn track_name(&self) -> &str {
        self.name.rsplit('/').next().unwrap()
    }

    /// Whether it is video.
    pub fn is_video(&self) -> bool {
        self.name.starts_with("video/")
    }

    /// The bytes of all its files, one behind the other.
    pub fn joined(&self) -> Vec<u8> {
        let files = [&self.init].into_iter().chain(&self.segments);
        files.flat_map(|file| std::fs::read(file).unwrap()).collect()
    }
}

/// Calls `check` for each name on as many threads as there are cores, and fails with all that it found.
///
/// `check` returns what is wrong, if something is; a panic in it counts too.
pub fn for_each(names: &[String], check: impl Fn(&str) -> Result<(), String> + Sync) {
    let next = AtomicUsize::new(0);
    let failures = std::sync::Mutex::new(Vec::new());
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let work = || {
        while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(name)));
            let failure = match outcome {
                Ok(Ok(())) => continue,
                Ok(Err(failure)) => failure,
                Err(panic) => panic
                    .downcast_ref::<String>()
                    .cloned()
                    .or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()))
                    .unwrap_or_else(|| "panicked".to_owned()),
            };
            failures.lock().unwrap().push(format!("{name}: {failure}"));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            let thread = std::thread::Builder::new().name(test.clone());
            thread.spawn_scoped(scope, work).unwrap();
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    let (failed, all) = (failures.len(), names.len());
    assert!(
        failures.is_empty(),
        "{failed} of {all} failed:\n{}",
        failures.join("\n")
    );
}

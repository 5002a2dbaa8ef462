//! What is fuzzed: one function a parser, which panics where a promise is broken.
//!
//! Cargo-fuzz runs these without end (`fuzz/run.sh`), and `tests/fuzz_corpus.rs` over the corpus with every test run.

pub mod aac_config;
pub mod av1_sample;
pub mod avc_sample;
pub mod box_tree;
pub mod encrypt;
pub mod hevc_sample;
pub mod inspect;
pub mod keys_file;
pub mod media_open;
pub mod settings;
pub mod typed_box;

use std::io::Write;
use std::path::Path;

/// Its name, its folder in `corpus`, which targets that read whole files share, and its function.
pub type Target = (&'static str, &'static str, fn(&[u8]));

/// All of them; `run.sh` reads names and corpora here.
pub const TARGETS: &[Target] = &[
    ("aac_config", "aac_config", aac_config::run),
    ("av1_sample", "av1_sample", av1_sample::run),
    ("avc_sample", "avc_sample", avc_sample::run),
    ("box_tree", "box_tree", box_tree::run),
    ("encrypt", "file", encrypt::run),
    ("hevc_sample", "hevc_sample", hevc_sample::run),
    ("inspect", "file", inspect::run),
    ("keys_file", "keys_file", keys_file::run),
    ("media_open", "file", media_open::run),
    ("settings", "settings", settings::run),
    ("typed_box", "typed_box", typed_box::run),
];

/// Runs the target `name` once.
pub fn run(name: &str, data: &[u8]) {
    let (_, _, run) = TARGETS
        .iter()
        .find(|(target, ..)| *target == name)
        .expect("a target of the list");
    run(data);
}

/// Calls `read` with the path of a file that holds `data`.
fn with_file<T>(data: &[u8], read: impl FnOnce(&Path) -> T) -> T {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(data).expect("a temporary file takes bytes");
    read(file.path())
}

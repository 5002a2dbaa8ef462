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
pub mod playlist;
pub mod settings;
pub mod typed_box;
pub mod vp9_sample;
pub mod webvtt;

use std::io::Write;
use std::path::Path;

use vylux_pack::codec::{Codec, SubsampleMap};
use vylux_pack::isobmff::Reader;

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
    ("playlist", "playlist", playlist::run),
    ("settings", "settings", settings::run),
    ("typed_box", "typed_box", typed_box::run),
    ("vp9_sample", "vp9_sample", vp9_sample::run),
    ("webvtt", "webvtt", webvtt::run),
];

/// Runs the target `name` once.
pub fn run(name: &str, data: &[u8]) {
    let (_, _, run) = TARGETS
        .iter()
        .find(|(target, ..)| *target == name)
        .expect("a target of the list");
    run(data);
}

/// Scans samples, each with 16 bits of length in front, until one is refused. Of those before, the map covers every byte.
fn scan(codec: &dyn Codec, mut input: Reader<'_>) {
    let mut scanner = codec.scanner().expect("the codec has clear bytes");
    let mut map = SubsampleMap::default();
    while let Ok(sample) = input.u16().and_then(|bytes| input.bytes(bytes.into())) {
        if scanner.scan(sample, &mut map).is_err() {
            return;
        }
        let covered = map
            .end_sample()
            .iter()
            .map(|entry| usize::from(entry.clear_bytes) + entry.protected_bytes as usize)
            .sum::<usize>();
        assert_eq!(covered, sample.len(), "the map covers the sample exactly");
    }
}

/// Calls `read` with the path of a file that holds `data`.
fn with_file<T>(data: &[u8], read: impl FnOnce(&Path) -> T) -> T {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(data).expect("a temporary file takes bytes");
    read(file.path())
}

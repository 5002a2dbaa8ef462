//! The fuzz targets without a fuzzer: over their corpus, and over some thousand mutations of it that are the same each time.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "../fuzz/targets/mod.rs"]
#[expect(clippy::expect_used, reason = "a target panics where a promise is broken")]
mod targets;

use std::path::{Path, PathBuf};

use common::for_each;
use common::mutation::{for_cases, mutations};
use proptest::prelude::*;
use targets::TARGETS;

/// How many mutations each target sees.
const MUTATIONS: u32 = 5000;

/// The inputs of a corpus, in the order of their names: seeds, and what fuzzing found.
fn corpus(name: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut paths = common::files(&folder);
    paths.sort();
    assert!(paths.len() > 3, "only {} inputs", paths.len());
    paths
}

fn names() -> Vec<String> {
    TARGETS.iter().map(|(name, ..)| (*name).to_owned()).collect()
}

/// The folder of the target `name`'s corpus.
fn corpus_of(name: &str) -> &'static str {
    TARGETS.iter().find(|(target, ..)| *target == name).unwrap().1
}

#[test]
fn every_target_keeps_its_promises_over_its_corpus() {
    for_each(&names(), |name| {
        for path in corpus(corpus_of(name)) {
            // Shown where it fails.
            eprintln!("{name} {}", path.display());
            targets::run(name, &std::fs::read(path).unwrap());
        }
        Ok(())
    });
}

#[test]
fn every_target_keeps_its_promises_over_mutations_of_its_corpus() {
    for_each(&names(), |name| {
        let inputs: Vec<Vec<u8>> = corpus(corpus_of(name))
            .iter()
            .map(|path| std::fs::read(path).unwrap())
            .collect();
        let cases = (prop::sample::select(inputs), mutations());
        for_cases(MUTATIONS, &cases, |(mut data, mutations)| {
            for mutation in mutations {
                mutation.apply(&mut data, 0..usize::MAX);
            }
            targets::run(name, &data);
            Ok(())
        });
        Ok(())
    });
}

#[test]
fn the_corpus_stays_small() {
    let files = common::files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus"));
    let bytes: u64 = files.iter().map(|file| file.metadata().unwrap().len()).sum();
    assert!(bytes < 1_000_000, "{bytes} bytes");
}

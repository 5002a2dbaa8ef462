//! The memory that fuzz targets take, over their corpus and mutations of it: a bound for each byte of the input. One test, since
//! the whole process is counted; libFuzzer checks the same.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "../fuzz/memory.rs"]
mod memory;
#[path = "../fuzz/targets/mod.rs"]
#[expect(clippy::expect_used, reason = "a target panics where a promise is broken")]
mod targets;

use std::path::Path;

use common::mutation::{for_cases, mutations};
use proptest::prelude::*;

/// How many mutations each target sees.
const MUTATIONS: u32 = 500;

#[test]
fn memory_is_bounded_by_the_input() {
    for (name, folder, _) in targets::TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(folder);
        let files = common::files(&folder);
        let mut inputs: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
        inputs.sort();
        for data in &inputs {
            memory::run(name, data);
        }
        let cases = (prop::sample::select(inputs), mutations());
        for_cases(MUTATIONS, &cases, |(mut data, mutations)| {
            for mutation in mutations {
                mutation.apply(&mut data, 0..usize::MAX);
            }
            memory::run(name, &data);
            Ok(())
        });
    }
}

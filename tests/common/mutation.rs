//! Damage to bytes, made by proptest and the same each time.

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

/// One change.
#[derive(Debug, Clone)]
pub enum Mutation {
    /// Some bits of a byte are flipped.
    Flip(Index, u8),
    /// Four bytes are all ones, all zeros or the like: sizes, counts and offsets at their ends.
    Extreme(Index, u32),
    /// The rest is gone.
    Cut(Index),
    /// A byte more.
    Insert(Index, u8),
    /// A byte less.
    Remove(Index),
}

/// One to eight changes, most of them flips.
pub fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let place = any::<Index>;
    let extremes = prop::sample::select(vec![0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, u32::MAX]);
    let mutation = prop_oneof![
        6 => (place(), 1..=u8::MAX).prop_map(|(place, bits)| Mutation::Flip(place, bits)),
        3 => (place(), extremes).prop_map(|(place, value)| Mutation::Extreme(place, value)),
        1 => place().prop_map(Mutation::Cut),
        1 => (place(), any::<u8>()).prop_map(|(place, byte)| Mutation::Insert(place, byte)),
        1 => place().prop_map(Mutation::Remove),
    ];
    prop::collection::vec(mutation, 1..=8)
}

impl Mutation {
    /// Changes `data` within `places`.
    pub fn apply(&self, data: &mut Vec<u8>, places: std::ops::Range<usize>) {
        let places = places.start.min(data.len())..places.end.min(data.len());
        if places.is_empty() {
            return;
        }
        let at = |index: &Index| places.start + index.index(places.len());
        match self {
            Self::Flip(index, bits) => data.iter_mut().skip(at(index)).take(1).for_each(|byte| *byte ^= bits),
            Self::Extreme(index, value) => {
                // Fields stand at multiples of four in most boxes.
                let at = at(index) & !3;
                let field = data.iter_mut().skip(at).zip(value.to_be_bytes());
                field.for_each(|(byte, value)| *byte = value);
            }
            Self::Cut(index) => data.truncate(at(index)),
            Self::Insert(index, byte) => data.insert(at(index), *byte),
            Self::Remove(index) => {
                data.remove(at(index));
            }
        }
    }
}

/// Runs `check` on `cases` values of `strategy`, the same in every run, and fails with the simplest that fails.
pub fn for_cases<S: Strategy>(cases: u32, strategy: &S, check: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    if let Err(failure) = runner.run(strategy, check) {
        panic!("{failure}");
    }
}

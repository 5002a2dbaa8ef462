//! Hostile input: files cut short, damaged, and made to harm. Whatever comes in, an error says which box and byte is
//! wrong, or all samples come out.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../../fuzz/targets/mod.rs"]
#[expect(clippy::expect_used, reason = "a target panics where a promise is broken")]
mod targets;

mod bombs;
mod cuts;
mod flips;
mod reading;
mod running;

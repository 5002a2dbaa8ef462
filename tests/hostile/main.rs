//! Hostile input: files cut short, damaged, and made to harm. Whatever comes in, an error says which box and byte is
//! wrong, or all samples come out.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;

mod cuts;
mod reading;

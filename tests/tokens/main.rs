//! Tokens, good and bad, at the real server: what each is answered, and the reason in its log and its metrics.
//!
//! They are made by hand ([`common::tokens`]) and by openssl. Whatever the servers printed is searched for every secret, token
//! and key at the end of each test.

#![cfg(feature = "server")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;

mod command_line;
mod headers;
mod hmac;
mod jwt;
mod key_set;
mod keys;
mod policy;
mod scopes;
mod site;

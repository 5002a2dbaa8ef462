//! Who may have a key, over HTTP, by the policies of contents: every reason that there is, what a change does to the next request,
//! and that a dry run says what the server does. On SQLite and on PostgreSQL.

#![cfg(feature = "server")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;

mod changes;
mod dry_run;
mod reasons;
mod site;
mod webhooks;

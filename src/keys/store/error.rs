//! Why a store can't do what it was asked.

use std::io;
use std::path::PathBuf;

use super::postgres;
use crate::content_key::Kid;
use crate::keys::{ContentId, Difference};

/// A store can't be opened, or can't do what it was asked. A URL is never shown, as it may hold a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The URL is of no database that we know.
    #[error(
        "the record store's URL isn't of a form we know; expected sqlite://PATH, such as sqlite://vylux-pack.db, or postgres://USER:PASSWORD@HOST/DATABASE"
    )]
    UnknownUrl,
    /// The URL is of PostgreSQL, and can't be read.
    #[error(
        "the record store's URL isn't one of PostgreSQL that we can read; expected postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=..., with special characters percent-encoded (@ is %40) and no other parameters than {}",
        postgres::PARAMETERS.join(", ")
    )]
    PostgresUrl,
    /// The store isn't open yet; [`Later`](super::Later) goes on trying.
    #[error("the record store isn't open yet; it is tried again and again")]
    NotOpen,
    /// The database's file can't be made.
    #[error("the record store {path} can't be created")]
    Create {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The async runtime can't start.
    #[error("the record store's runtime can't start")]
    Runtime(#[source] io::Error),
    /// A later vylux-pack made the database.
    #[error(
        "the record store {store} has schema version {found}, and this vylux-pack knows up to {known}; use a newer one"
    )]
    Newer {
        /// The database, without secrets.
        store: String,
        /// Its version.
        found: i64,
        /// The latest version that we know.
        known: usize,
    },
    /// A row holds what can't be what it is to keep.
    #[error(
        "the record store {store} holds a damaged {record}; restore it from a backup, or a key record from keys.json"
    )]
    Damaged {
        /// The database, without secrets.
        store: String,
        /// What it is, with its key ID and content ID as they stand there.
        record: String,
        /// What was expected.
        source: serde_json::Error,
    },
    /// Somebody else changed a record that was to be rewrapped.
    #[error(
        "record {kid} of content {content_id} was changed by somebody else meanwhile; nothing was rewrapped, try again"
    )]
    Changed {
        /// The record's content.
        content_id: ContentId,
        /// The record's key.
        kid: Kid,
    },
    /// A record to import contradicts one that is there.
    #[error(
        "record {kid} of content {content_id} can't be imported, as {difference}; nothing was imported. If the new one is right, re-package the content with --replace"
    )]
    Conflict {
        /// The record's content.
        content_id: ContentId,
        /// The record's key.
        kid: Kid,
        /// Its place among the records to import, from 0.
        index: usize,
        /// The field that differs.
        difference: Difference,
    },
    /// A signing key's ID is not new.
    #[error("there is, or was, a signing key {kid:?}; a key's ID is never used again, so give the new one another")]
    SigningKeyExists {
        /// The ID.
        kid: String,
    },
    /// A signing key's name is that of an active one.
    #[error("signing key {kid:?} has the name {name:?}; revoke it first, or choose another name")]
    SigningKeyNameTaken {
        /// The name.
        name: String,
        /// The ID of the key that has it.
        kid: String,
    },
    /// There is no room for a signing key.
    #[error("there are {max_active} active signing keys, which is the limit; revoke one first")]
    TooManySigningKeys {
        /// How many there may be.
        max_active: u32,
    },
    /// The database failed.
    #[error("the record store {store} failed")]
    Database {
        /// The database, without secrets.
        store: String,
        /// Why.
        source: sqlx::Error,
    },
}

impl StoreError {
    pub(super) fn database(store: &str, source: sqlx::Error) -> Self {
        let store = store.to_owned();
        Self::Database { store, source }
    }

    /// Whether it may pass by itself: the database failed, or can't be reached. All else needs somebody to mend it.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::NotOpen | Self::Database { .. })
    }
}

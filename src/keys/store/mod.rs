//! Key records in a database.
//!
//! A database is one file here, which implements [`RecordStore`], and one line in [`open`].

mod blocking;
mod later;
mod postgres;
mod sql;
mod sqlite;

use std::io;
use std::path::PathBuf;

use async_trait::async_trait;

pub use self::blocking::Blocking;
pub use self::later::Later;
use super::{ContentId, Difference, KeyRecord};
use crate::content_key::Kid;

/// Key records, one for every content ID and key ID.
///
/// Many processes may use one store at once; each call takes effect as a whole or not at all.
#[async_trait]
pub trait RecordStore: Send + Sync {
    /// The record of a key.
    async fn get(&self, content_id: &ContentId, kid: &Kid) -> Result<Option<KeyRecord>, StoreError>;

    /// The records of a content, or all, ordered by content, time of creation and key ID.
    async fn list(&self, content_id: Option<&ContentId>) -> Result<Vec<KeyRecord>, StoreError>;

    /// One record, whichever; `None` of an empty store.
    async fn any(&self) -> Result<Option<KeyRecord>, StoreError>;

    /// Puts records in, all of them or none, but for those whose key has one. Returns those that are in the store now, in the
    /// order of `records`: the first wrap wins.
    async fn insert_or_get(&self, records: &[KeyRecord]) -> Result<Vec<KeyRecord>, StoreError>;

    /// Puts records in, all of them or none, in place of those that their keys may have.
    async fn replace(&self, records: &[KeyRecord]) -> Result<(), StoreError>;

    /// Gives each record of `old` the wrap of the one at its place in `new`: all of them or, if one no longer has the wrap
    /// of `old` or is gone, none.
    async fn update_wraps(&self, old: &[KeyRecord], new: &[KeyRecord]) -> Result<(), StoreError>;

    /// Takes records out, all of them or none; those that are not there are none to take.
    async fn remove(&self, records: &[KeyRecord]) -> Result<(), StoreError>;

    /// Puts in the records that aren't there, all of them or, if one [conflicts](KeyRecord::conflict_with), none.
    async fn import(&self, records: &[KeyRecord]) -> Result<Imported, StoreError>;

    /// Waits for what is under way and closes the store.
    async fn close(&self);
}

/// What an import did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Imported {
    /// Records that are new.
    pub added: usize,
    /// Records that were there, which stay as they were.
    pub known: usize,
}

impl Imported {
    /// Counts a record, the one at `index`: new, or found there, as whatever does not contradict it.
    fn count(&mut self, index: usize, record: &KeyRecord, found: Option<&KeyRecord>) -> Result<(), StoreError> {
        let Some(found) = found else {
            self.added += 1;
            return Ok(());
        };
        if let Some(difference) = found.conflict_with(record) {
            return Err(StoreError::Conflict {
                content_id: record.content_id.clone(),
                kid: record.kid,
                index,
                difference,
            });
        }
        self.known += 1;
        Ok(())
    }
}

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
    /// The store isn't open yet; [`Later`] goes on trying.
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
    /// A row holds what can't be a record.
    #[error("the record store {store} holds a damaged record, {record}; restore it from keys.json or a backup")]
    Damaged {
        /// The database, without secrets.
        store: String,
        /// Its key ID and content ID, as they stand there.
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
    fn database(store: &str, source: sqlx::Error) -> Self {
        let store = store.to_owned();
        Self::Database { store, source }
    }

    /// Whether it may pass by itself: the database failed, or can't be reached. All else needs somebody to mend it.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::NotOpen | Self::Database { .. })
    }
}

/// Opens the store at a URL: `sqlite://PATH`, `sqlite:PATH`, or `postgres://USER:PASSWORD@HOST:PORT/DATABASE`. What the last
/// one leaves out is as in libpq's environment variables. A SQLite file is created, and every schema brought up to date, as
/// needed; a PostgreSQL database has to be there.
///
/// # Errors
/// [`StoreError`] if the URL is of no known database, or the database can't be opened.
pub async fn open(url: &str) -> Result<Box<dyn RecordStore>, StoreError> {
    let (scheme, rest) = url.split_once(':').ok_or(StoreError::UnknownUrl)?;
    match scheme {
        "sqlite" => Ok(Box::new(sqlite::Sqlite::open(rest).await?)),
        "postgres" | "postgresql" => Ok(Box::new(postgres::Postgres::open(url).await?)),
        _ => Err(StoreError::UnknownUrl),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn other_urls_are_refused_and_not_shown() {
        for (url, expected) in [
            ("", "expected sqlite://PATH"),
            ("hunter2.db", "expected sqlite://PATH"),
            ("mysql://root:hunter2@host/db", "expected sqlite://PATH"),
            ("postgres://hunter2:hunter2@host:port/db", "expected postgres://USER"),
            ("postgres://root:hunter2@host/db?hunter2=1", "expected postgres://USER"),
            (
                "postgres://root:hunter2@host/db?sslmode=hunter2",
                "expected postgres://USER",
            ),
            // A password that isn't percent-encoded: part of it would stand where host, port or database stand.
            ("postgres://root:12?hunter2@host/db", "expected postgres://USER"),
            ("postgres://root:12#hunter2@host/db", "expected postgres://USER"),
            ("postgresql://root:12/hunter2@host/db", "expected postgres://USER"),
            ("sqlite:", "expected sqlite://PATH"),
            ("sqlite://", "expected sqlite://PATH"),
            ("sqlite::memory:", "expected sqlite://PATH"),
            ("sqlite://hunter2.db?mode=ro", "expected sqlite://PATH"),
        ] {
            let error = Blocking::open(url).err().unwrap();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains(expected), "{url}: {shown}");
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }
}

//! Key records, and what else a key server keeps, in a database.
//!
//! ```text
//! Store ── records ┐                            ┌ sqlite
//!          policies│                            │
//!      signing_keys├─> SqlStore ─> dyn Database ┼ postgres
//!            leases│                            │
//!             audit┘                            └ later
//! ```
//!
//! A concern is one file: a trait, its types, its statements, and what `SqlStore` does with them, once for all databases. A
//! database is one file, which implements `database::Database`, one line in `connect`, and the schema.

mod audit;
mod blocking;
mod database;
mod error;
mod later;
mod leases;
mod policies;
mod postgres;
mod records;
mod signing_keys;
mod sqlite;

use std::sync::Arc;

pub use self::audit::{Audit, AuditEntry, AuditTrail};
pub use self::blocking::Blocking;
use self::database::{Database, SqlStore};
pub use self::error::StoreError;
pub use self::later::Later;
pub use self::leases::{Lease, LeaseCreation, LeaseLimit, LeaseOverflow, LeaseStore};
pub use self::policies::{PolicyRecord, PolicyStore};
pub use self::records::{Imported, RecordStore};
pub use self::signing_keys::{NewSigningKey, Revocation, SigningKey, SigningKeyStore};

/// All that a key server keeps.
///
/// Many processes may use one store at once; each call takes effect as a whole or not at all. Times are kept in whole seconds,
/// but for those of leases.
pub trait Store: RecordStore + PolicyStore + SigningKeyStore + LeaseStore + AuditTrail {}

impl<T: RecordStore + PolicyStore + SigningKeyStore + LeaseStore + AuditTrail> Store for T {}

/// Opens the store at a URL: `sqlite://PATH`, `sqlite:PATH`, or `postgres://USER:PASSWORD@HOST:PORT/DATABASE`. What the last
/// one leaves out is as in libpq's environment variables. A SQLite file is created, and every schema brought up to date, as
/// needed; a PostgreSQL database has to be there.
///
/// # Errors
/// [`StoreError`] if the URL is of no known database, or the database can't be opened.
pub async fn open(url: &str) -> Result<Arc<dyn Store>, StoreError> {
    Ok(Arc::new(SqlStore(connect(url).await?)))
}

async fn connect(url: &str) -> Result<Box<dyn Database>, StoreError> {
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

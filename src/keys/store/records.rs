//! Key records.

use async_trait::async_trait;

use super::StoreError;
use super::database::{Entity, Lock, SqlStore, Transaction, Value, Work};
use crate::content_key::Kid;
use crate::keys::{ContentId, KeyRecord};

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

/// The record of a content ID and key ID.
const GET: &str = "SELECT * FROM key_records WHERE content_id = $1 AND kid = $2";

/// The records of a content ID.
const LIST_OF_CONTENT: &str = "SELECT * FROM key_records WHERE content_id = $1 ORDER BY created_at, kid";

/// All records.
const LIST: &str = "SELECT * FROM key_records ORDER BY content_id, created_at, kid";

/// One record, whichever.
const ANY: &str = "SELECT * FROM key_records LIMIT 1";

macro_rules! insert {
    ($on_conflict:literal) => {
        concat!(
            "INSERT INTO key_records (content_id, kid, key_name, scheme, key_uri, wrapped_key, wrap_nonce, kek_version,
                                      master_key_id, created_at, tool_version, media_fingerprint, generation)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
             ON CONFLICT (content_id, kid) DO ",
            $on_conflict
        )
    };
}

/// Puts in a record, given by its [`values`], unless its key has one.
const INSERT: &str = insert!("NOTHING");

/// Puts in a record, given by its [`values`], in place of the one that its key may have.
const REPLACE: &str = insert!(
    "UPDATE SET key_name = excluded.key_name, scheme = excluded.scheme, key_uri = excluded.key_uri,
                wrapped_key = excluded.wrapped_key, wrap_nonce = excluded.wrap_nonce,
                kek_version = excluded.kek_version, master_key_id = excluded.master_key_id,
                created_at = excluded.created_at, tool_version = excluded.tool_version,
                media_fingerprint = excluded.media_fingerprint,
                generation = excluded.generation"
);

/// Gives a record another wrap, if it has the one that [`wraps`] says.
const UPDATE_WRAP: &str = "UPDATE key_records SET wrapped_key = $1, wrap_nonce = $2, kek_version = $3
    WHERE content_id = $4 AND kid = $5 AND wrapped_key = $6 AND wrap_nonce = $7 AND kek_version = $8";

/// Takes out a record.
const DELETE: &str = "DELETE FROM key_records WHERE content_id = $1 AND kid = $2";

/// The values of [`INSERT`] and [`REPLACE`].
fn values(record: &KeyRecord) -> [Value; 13] {
    [
        record.content_id.as_str().into(),
        record.kid.to_string().into(),
        record.key_name.as_ref().map(ToString::to_string).into(),
        record.scheme.as_str().into(),
        record.key_uri.as_str().into(),
        record.wrapped_key.to_string().into(),
        record.wrap_nonce.to_string().into(),
        record.kek_version.as_str().into(),
        record.master_key_id.as_str().into(),
        record.created_at.to_string().into(),
        record.tool_version.as_str().into(),
        record.media_fingerprint.as_str().into(),
        record.generation.as_ref().map(ToString::to_string).into(),
    ]
}

/// The values of [`UPDATE_WRAP`].
fn wraps(old: &KeyRecord, new: &KeyRecord) -> [Value; 8] {
    [
        new.wrapped_key.to_string().into(),
        new.wrap_nonce.to_string().into(),
        new.kek_version.as_str().into(),
        old.content_id.as_str().into(),
        old.kid.to_string().into(),
        old.wrapped_key.to_string().into(),
        old.wrap_nonce.to_string().into(),
        old.kek_version.as_str().into(),
    ]
}

/// The values of [`GET`] and [`DELETE`].
fn key(record: &KeyRecord) -> [Value; 2] {
    [record.content_id.as_str().into(), record.kid.to_string().into()]
}

impl Entity for KeyRecord {
    const KIND: &'static str = "key record";
}

#[async_trait]
impl RecordStore for SqlStore {
    async fn get(&self, content_id: &ContentId, kid: &Kid) -> Result<Option<KeyRecord>, StoreError> {
        self.row(GET, &[content_id.as_str().into(), kid.to_string().into()])
            .await
    }

    async fn list(&self, content_id: Option<&ContentId>) -> Result<Vec<KeyRecord>, StoreError> {
        match content_id {
            Some(id) => self.rows(Work::Look, LIST_OF_CONTENT, &[id.as_str().into()]).await,
            None => self.rows(Work::List, LIST, &[]).await,
        }
    }

    async fn any(&self) -> Result<Option<KeyRecord>, StoreError> {
        self.row(ANY, &[]).await
    }

    async fn insert_or_get(&self, records: &[KeyRecord]) -> Result<Vec<KeyRecord>, StoreError> {
        let mut transaction = self.0.begin(Work::Write).await?;
        let stored = async {
            lock_for_several(&mut *transaction, records).await?;
            let mut stored = Vec::with_capacity(records.len());
            for record in records {
                let found = insert_or_find(&mut *transaction, record).await?;
                stored.push(found.unwrap_or_else(|| record.clone()));
            }
            Ok(stored)
        }
        .await;
        transaction.finish(stored).await
    }

    async fn replace(&self, records: &[KeyRecord]) -> Result<(), StoreError> {
        let mut transaction = self.0.begin(Work::Write).await?;
        let replaced = async {
            lock_for_several(&mut *transaction, records).await?;
            for record in records {
                transaction.execute(REPLACE, &values(record)).await?;
            }
            Ok(())
        }
        .await;
        transaction.finish(replaced).await
    }

    async fn update_wraps(&self, old: &[KeyRecord], new: &[KeyRecord]) -> Result<(), StoreError> {
        let mut transaction = self.0.begin(Work::Write).await?;
        let updated = async {
            transaction.lock(Lock::Records).await?;
            for (old, new) in old.iter().zip(new) {
                if transaction.execute(UPDATE_WRAP, &wraps(old, new)).await? == 0 {
                    return Err(StoreError::Changed {
                        content_id: old.content_id.clone(),
                        kid: old.kid,
                    });
                }
            }
            Ok(())
        }
        .await;
        transaction.finish(updated).await
    }

    async fn remove(&self, records: &[KeyRecord]) -> Result<(), StoreError> {
        let mut transaction = self.0.begin(Work::Write).await?;
        let removed = async {
            lock_for_several(&mut *transaction, records).await?;
            for record in records {
                transaction.execute(DELETE, &key(record)).await?;
            }
            Ok(())
        }
        .await;
        transaction.finish(removed).await
    }

    async fn import(&self, records: &[KeyRecord]) -> Result<Imported, StoreError> {
        let mut transaction = self.0.begin(Work::Write).await?;
        let imported = async {
            transaction.lock(Lock::Records).await?;
            let mut imported = Imported::default();
            for (index, record) in records.iter().enumerate() {
                let found = insert_or_find(&mut *transaction, record).await?;
                imported.count(index, record, found.as_ref())?;
            }
            Ok(imported)
        }
        .await;
        transaction.finish(imported).await
    }

    async fn close(&self) {
        self.0.close().await;
    }
}

/// Puts a record in, unless its key has one, which is returned.
async fn insert_or_find(
    transaction: &mut dyn Transaction,
    record: &KeyRecord,
) -> Result<Option<KeyRecord>, StoreError> {
    loop {
        if transaction.execute(INSERT, &values(record)).await? > 0 {
            return Ok(None);
        }
        // The one that was in the way may be gone by now; then there is room for this one.
        let found = transaction.row(GET, &key(record)).await?;
        if found.is_some() {
            return Ok(found);
        }
    }
}

/// Two that write the same records in another order would wait for each other; one record has no order.
async fn lock_for_several(transaction: &mut dyn Transaction, records: &[KeyRecord]) -> Result<(), StoreError> {
    match records {
        [] | [_] => Ok(()),
        _ => transaction.lock(Lock::Records).await,
    }
}

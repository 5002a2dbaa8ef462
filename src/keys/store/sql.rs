//! What SQLite and PostgreSQL share: the statements, a record's values in the order of their columns, and a row's record.
//!
//! Every column is text that a person can read; the record's types check it on its way in and out.

use sqlx::{Column as _, ColumnIndex, Database, Decode, Row, Type};

use super::StoreError;
use crate::keys::{KeyName, KeyRecord};

/// The record of a content ID and key ID.
pub const GET: &str = "SELECT * FROM key_records WHERE content_id = $1 AND kid = $2";

/// The records of a content ID.
pub const LIST_OF_CONTENT: &str = "SELECT * FROM key_records WHERE content_id = $1 ORDER BY created_at, kid";

/// All records.
pub const LIST: &str = "SELECT * FROM key_records ORDER BY content_id, created_at, kid";

/// One record, whichever.
pub const ANY: &str = "SELECT * FROM key_records LIMIT 1";

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
pub const INSERT: &str = insert!("NOTHING");

/// Puts in a record, given by its [`values`], in place of the one that its key may have.
pub const REPLACE: &str = insert!(
    "UPDATE SET key_name = excluded.key_name, scheme = excluded.scheme, key_uri = excluded.key_uri,
                wrapped_key = excluded.wrapped_key, wrap_nonce = excluded.wrap_nonce,
                kek_version = excluded.kek_version, master_key_id = excluded.master_key_id,
                created_at = excluded.created_at, tool_version = excluded.tool_version,
                media_fingerprint = excluded.media_fingerprint,
                generation = excluded.generation"
);

/// Gives a record another wrap, if it has the one that [`wraps`] says.
pub const UPDATE_WRAP: &str = "UPDATE key_records SET wrapped_key = $1, wrap_nonce = $2, kek_version = $3
    WHERE content_id = $4 AND kid = $5 AND wrapped_key = $6 AND wrap_nonce = $7 AND kek_version = $8";

/// Takes out a record.
pub const DELETE: &str = "DELETE FROM key_records WHERE content_id = $1 AND kid = $2";

/// The values of [`INSERT`] and [`REPLACE`].
pub fn values(record: &KeyRecord) -> [Option<String>; 13] {
    [
        Some(record.content_id.as_str().to_owned()),
        Some(record.kid.to_string()),
        record.key_name.as_ref().map(|name| KeyName::as_str(name).to_owned()),
        Some(record.scheme.clone()),
        Some(record.key_uri.clone()),
        Some(record.wrapped_key.to_string()),
        Some(record.wrap_nonce.to_string()),
        Some(record.kek_version.clone()),
        Some(record.master_key_id.clone()),
        Some(record.created_at.to_string()),
        Some(record.tool_version.clone()),
        Some(record.media_fingerprint.clone()),
        record.generation.map(|generation| generation.to_string()),
    ]
}

/// The values of [`UPDATE_WRAP`].
pub fn wraps(old: &KeyRecord, new: &KeyRecord) -> [String; 8] {
    [
        new.wrapped_key.to_string(),
        new.wrap_nonce.to_string(),
        new.kek_version.clone(),
        old.content_id.as_str().to_owned(),
        old.kid.to_string(),
        old.wrapped_key.to_string(),
        old.wrap_nonce.to_string(),
        old.kek_version.clone(),
    ]
}

/// A row is a record's JSON: each column is the field of its name, as text. `store` is the store's name, for errors.
pub fn record<R: Row>(store: &str, row: &R) -> Result<KeyRecord, StoreError>
where
    usize: ColumnIndex<R>,
    for<'r> Option<String>: Decode<'r, R::Database> + Type<R::Database>,
    R::Database: Database,
{
    let mut fields = serde_json::Map::new();
    for column in row.columns() {
        let text: Option<String> = row
            .try_get(column.ordinal())
            .map_err(|error| StoreError::database(store, error))?;
        fields.insert(column.name().to_owned(), text.into());
    }
    let text = |column: &str| {
        fields
            .get(column)
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default()
    };
    let named = format!("{:?} of content {:?}", text("kid"), text("content_id"));
    serde_json::from_value(fields.into()).map_err(|source| StoreError::Damaged {
        store: store.to_owned(),
        record: named,
        source,
    })
}

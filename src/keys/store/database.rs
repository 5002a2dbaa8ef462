//! What the stores need of a database: statements in transactions, and locks.
//!
//! Statements are those that all databases understand. Text is for people to read, and a row is the JSON of what it keeps: each
//! column is the field of its name, so the types of the fields check it on its way out.

use async_trait::async_trait;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use sqlx::query::Query;
use sqlx::{Column as _, ColumnIndex, Decode, Encode, Type};

use super::StoreError;

/// A database.
#[async_trait]
pub trait Database: Send + Sync {
    /// Begins a transaction. Each of its statements sees what others have committed until then, or until it began.
    async fn begin(&self, work: Work) -> Result<Box<dyn Transaction>, StoreError>;

    /// Waits for what is under way and closes the database.
    async fn close(&self);
}

/// What a transaction is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// To read little: somebody waits for the answer.
    Look,
    /// To read however much there is.
    List,
    /// To write, and wait for others who do.
    Write,
}

/// What nobody else may do before the transaction's end. A database that has one writer at a time has no other locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock<'a> {
    /// Write key records.
    Records,
    /// Hold the same lock, to add a signing key.
    SigningKeys,
    /// Hold the same lock, to count, renew or take away leases of this viewer.
    Viewer(&'a str),
    /// Hold the same lock, to take away leases that expired.
    ExpiredLeases,
}

/// A transaction. Dropped, it comes to nothing, though it may keep its locks for a while.
#[async_trait]
pub trait Transaction: Send {
    /// The database, without secrets, for errors.
    fn store(&self) -> &str;

    /// Runs a statement that asks.
    async fn fetch(&mut self, sql: &'static str, values: &[Value]) -> Result<Vec<Row>, StoreError>;

    /// Runs a statement that changes rows, and returns how many.
    async fn execute(&mut self, sql: &'static str, values: &[Value]) -> Result<u64, StoreError>;

    /// Waits until nobody else holds a lock, and holds it until the end.
    async fn lock(&mut self, lock: Lock<'_>) -> Result<(), StoreError>;

    /// Ends it, and all of it counts.
    async fn commit(self: Box<Self>) -> Result<(), StoreError>;

    /// Ends it, and nothing of it counts.
    async fn roll_back(self: Box<Self>);
}

impl dyn Transaction + '_ {
    /// All that a statement finds.
    pub async fn rows<T: Entity>(&mut self, sql: &'static str, values: &[Value]) -> Result<Vec<T>, StoreError> {
        let rows = self.fetch(sql, values).await?;
        rows.into_iter().map(|row| entity(self.store(), row)).collect()
    }

    /// What a statement finds first.
    pub async fn row<T: Entity>(&mut self, sql: &'static str, values: &[Value]) -> Result<Option<T>, StoreError> {
        let row = self.fetch(sql, values).await?.into_iter().next();
        row.map(|row| entity(self.store(), row)).transpose()
    }

    /// Ends it: it counts if what was `done` succeeded.
    pub async fn finish<T>(self: Box<Self>, done: Result<T, StoreError>) -> Result<T, StoreError> {
        match done {
            Ok(_) => self.commit().await?,
            // Said now: dropped, it keeps its locks until the runtime runs again, which without threads is the next call.
            Err(_) => self.roll_back().await,
        }
        done
    }
}

/// The stores, on whichever database.
pub struct SqlStore(pub Box<dyn Database>);

impl SqlStore {
    /// All that a statement finds.
    pub async fn rows<T: Entity>(&self, work: Work, sql: &'static str, values: &[Value]) -> Result<Vec<T>, StoreError> {
        let mut transaction = self.0.begin(work).await?;
        let rows = transaction.rows(sql, values).await?;
        transaction.commit().await?;
        Ok(rows)
    }

    /// What a statement finds first.
    pub async fn row<T: Entity>(&self, sql: &'static str, values: &[Value]) -> Result<Option<T>, StoreError> {
        let mut transaction = self.0.begin(Work::Look).await?;
        let row = transaction.row(sql, values).await?;
        transaction.commit().await?;
        Ok(row)
    }
}

/// What a row keeps.
pub trait Entity: DeserializeOwned + Send {
    /// What it is, for errors.
    const KIND: &'static str;
}

/// A row, by the names of its columns.
pub type Row = serde_json::Map<String, serde_json::Value>;

/// What a row keeps. `store` is the store's name, for errors.
fn entity<T: Entity>(store: &str, row: Row) -> Result<T, StoreError> {
    let named = |before: &str, column: &str| {
        let text = row.get(column).and_then(serde_json::Value::as_str);
        text.map(|text| format!("{before}{text:?}")).unwrap_or_default()
    };
    let name = [named(" ", "kid"), named(" of content ", "content_id")].concat();
    serde_json::from_value(row.into()).map_err(|source| StoreError::Damaged {
        store: store.to_owned(),
        record: format!("{}{name}", T::KIND),
        source,
    })
}

/// Whether no database has this text: PostgreSQL keeps none with a NUL, and fails where it is asked for one.
pub fn is_never_stored(text: &str) -> bool {
    text.contains('\0')
}

/// A row of whichever database, as JSON.
pub fn row<R: sqlx::Row>(row: &R) -> Result<Row, sqlx::Error>
where
    usize: ColumnIndex<R>,
    for<'r> Option<String>: Decode<'r, R::Database> + Type<R::Database>,
    for<'r> Option<i64>: Decode<'r, R::Database> + Type<R::Database>,
{
    let columns = row.columns().iter().map(|column| {
        let text = row.try_get::<Option<String>, _>(column.ordinal());
        let value = match text {
            Ok(text) => text.into(),
            Err(_) => row.try_get::<Option<i64>, _>(column.ordinal())?.into(),
        };
        Ok((column.name().to_owned(), value))
    });
    columns.collect()
}

/// A value of a statement.
#[derive(Clone)]
pub enum Value {
    /// Text, or none.
    Text(Option<String>),
    /// A number.
    Integer(i64),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Some(text))
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

/// In whole seconds (RFC 3339, UTC), since with fractions of them the order of the text would not be that of time.
impl From<Timestamp> for Value {
    fn from(time: Timestamp) -> Self {
        let whole = Timestamp::from_second(time.as_second()).unwrap_or(time);
        whole.to_string().into()
    }
}

/// Gives a statement its values.
pub fn bind<'a, D>(query: Query<'a, D, D::Arguments>, values: &[Value]) -> Query<'a, D, D::Arguments>
where
    D: sqlx::Database,
    Option<String>: Encode<'a, D> + Type<D> + 'a,
    i64: Encode<'a, D> + Type<D> + 'a,
{
    values.iter().fold(query, |query, value| match value {
        Value::Text(text) => query.bind(text.clone()),
        Value::Integer(number) => query.bind(*number),
    })
}

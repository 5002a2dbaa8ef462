//! Key records in PostgreSQL 15 or later, for several machines.
//!
//! It works through a pooler that gives each transaction another connection to the database, such as `PgBouncer` in its
//! transaction mode. Whatever has values is two steps for PostgreSQL, to parse and to execute, and the second must reach the
//! connection of the first: so it always stands in a transaction, under no name that would outlive it. Whatever has no values
//! goes as one message (`raw_sql`). Nothing is set for a session, and locks are those of a transaction.

use std::io;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgPool, PgPoolOptions, PgRow, Postgres as Database};
use sqlx::{ConnectOptions as _, Connection as _, Encode, Row as _, Transaction, Type};
use tokio::time::timeout;
use url::Url;

use super::{Imported, RecordStore, StoreError, sql};
use crate::content_key::Kid;
use crate::keys::{ContentId, KeyRecord};

/// How long connecting may take, and any answer that waits for nobody. Longer, and the database counts as down.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a statement may take that waits for other writers, or answers with all records.
const WORK_TIMEOUT: Duration = Duration::from_mins(1);

/// Connections of a process, at most; PostgreSQL has 100 for all by default.
const MAX_CONNECTIONS: u32 = 8;

/// The parameters that a URL may have, of those of libpq. Another one is refused, since sqlx would log its value.
pub(super) const PARAMETERS: [&str; 11] = [
    "application_name",
    "dbname",
    "host",
    "options",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "user",
];

/// The schema, one step a version. A step that was released never changes; another one follows it, and sets the version.
///
/// The collation is that of bytes, so that records are in the same order everywhere.
const MIGRATIONS: [&str; 2] = [
    r#"
    CREATE TABLE key_records (
        content_id TEXT COLLATE "C" NOT NULL,
        kid TEXT COLLATE "C" NOT NULL,
        key_name TEXT,
        scheme TEXT NOT NULL,
        key_uri TEXT NOT NULL,
        wrapped_key TEXT NOT NULL,
        wrap_nonce TEXT NOT NULL,
        kek_version TEXT NOT NULL,
        master_key_id TEXT NOT NULL,
        created_at TEXT COLLATE "C" NOT NULL,
        tool_version TEXT NOT NULL,
        media_fingerprint TEXT NOT NULL,
        PRIMARY KEY (content_id, kid)
    );
    CREATE TABLE key_records_schema (version BIGINT NOT NULL);
    INSERT INTO key_records_schema VALUES (1);
"#,
    "
    ALTER TABLE key_records ADD COLUMN generation TEXT;
    UPDATE key_records_schema SET version = 2;
",
];

/// Held by the one process that migrates, until the end of its transaction. The number is ours among all locks of the
/// database: the first eight bytes of SHA-256 of `vylux-pack key_records`.
const LOCK_SCHEMA: &str = "SELECT pg_advisory_xact_lock(4890646408294162874)";

/// Whether there is a schema. It reads the catalogue as it is now: `to_regclass` may still say what it was before the lock.
const COUNT_SCHEMA: &str = "SELECT count(*) FROM pg_catalog.pg_tables
    WHERE tablename = 'key_records_schema' AND schemaname = ANY (current_schemas(false))";

/// Each statement sees what others have committed until then, whatever the database's default is.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// Lets others read and nobody else write until the end of the transaction: two that write many records would otherwise
/// wait for each other.
const LOCK_RECORDS: &str = "LOCK TABLE key_records IN SHARE ROW EXCLUSIVE MODE";

/// A PostgreSQL database with key records.
pub(super) struct Postgres {
    /// Where it is, without user and password.
    name: String,
    pool: PgPool,
}

impl Postgres {
    /// Opens the database of a URL.
    pub(super) async fn open(url: &str) -> Result<Self, StoreError> {
        let options = parse(url).ok_or(StoreError::PostgresUrl)?;
        let name = name(&options);
        // The pool would try again until its time is over, and then not say why.
        let connect = within(ANSWER_TIMEOUT, options.connect());
        let mut connection = connect.await.map_err(|error| StoreError::database(&name, error))?;
        let pool = PgPoolOptions::new()
            .max_connections(MAX_CONNECTIONS)
            .acquire_timeout(ANSWER_TIMEOUT)
            // A connection that was given up while it waited for an answer finds its end here, rather than never.
            .after_release(|connection, _| {
                Box::pin(async { within(ANSWER_TIMEOUT, connection.ping()).await.map(|()| true) })
            })
            .connect_lazy_with(options);
        let store = Self { name, pool };
        store.migrate(&mut connection).await?;
        // It is closed either way.
        let _ = timeout(ANSWER_TIMEOUT, connection.close()).await;
        Ok(store)
    }

    async fn migrate(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        let mut transaction = self.done(ANSWER_TIMEOUT, connection.begin_with(BEGIN)).await?;
        let migrated = self.migrate_in(&mut transaction).await;
        self.finish(transaction, migrated).await
    }

    async fn migrate_in(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        if self.pending_migrations(connection).await?.is_empty() {
            return Ok(());
        }
        // Of the processes that find the schema behind, one migrates; the others wait here, then find it done.
        self.execute(connection, LOCK_SCHEMA).await?;
        for step in self.pending_migrations(connection).await? {
            self.execute(connection, step).await?;
        }
        Ok(())
    }

    async fn pending_migrations(&self, connection: &mut PgConnection) -> Result<&'static [&'static str], StoreError> {
        let mut number = async |sql: &'static str| {
            let row = self
                .done(ANSWER_TIMEOUT, sqlx::raw_sql(sql).fetch_one(&mut *connection))
                .await?;
            row.try_get::<i64, _>(0).map_err(|error| self.failed(error))
        };
        let version = match number(COUNT_SCHEMA).await? {
            0 => 0,
            _ => number("SELECT version FROM key_records_schema").await?,
        };
        usize::try_from(version)
            .ok()
            .and_then(|done| MIGRATIONS.get(done..))
            .ok_or_else(|| StoreError::Newer {
                store: self.name.clone(),
                found: version,
                known: MIGRATIONS.len(),
            })
    }

    async fn begin(&self) -> Result<Transaction<'static, Database>, StoreError> {
        self.done(ANSWER_TIMEOUT, self.pool.begin_with(BEGIN)).await
    }

    /// Ends a transaction that has read.
    async fn end(&self, transaction: Transaction<'_, Database>) -> Result<(), StoreError> {
        self.done(ANSWER_TIMEOUT, transaction.commit()).await
    }

    /// Ends a transaction that was to write: it counts if what was `done` succeeded.
    async fn finish<T>(
        &self,
        transaction: Transaction<'_, Database>,
        done: Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match done {
            Ok(_) => self.done(WORK_TIMEOUT, transaction.commit()).await?,
            // Said now: dropped, it keeps its locks until the runtime runs again, which without threads is the next call.
            Err(_) => drop(timeout(ANSWER_TIMEOUT, transaction.rollback()).await),
        }
        done
    }

    /// Runs statements without values.
    async fn execute(&self, connection: &mut PgConnection, sql: &'static str) -> Result<(), StoreError> {
        let executed = self.done(WORK_TIMEOUT, sqlx::raw_sql(sql).execute(connection));
        executed.await.map(|_| ())
    }

    /// Puts a record in, unless its key has one, which is returned.
    async fn insert_or_find(
        &self,
        connection: &mut PgConnection,
        record: &KeyRecord,
    ) -> Result<Option<KeyRecord>, StoreError> {
        loop {
            let insert = query(sql::INSERT, sql::values(record)).execute(&mut *connection);
            if self.done(WORK_TIMEOUT, insert).await?.rows_affected() > 0 {
                return Ok(None);
            }
            // The one that was in the way may be gone by now; then there is room for this one.
            let found = self.find(connection, &record.content_id, &record.kid).await?;
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    async fn find(
        &self,
        connection: &mut PgConnection,
        content_id: &ContentId,
        kid: &Kid,
    ) -> Result<Option<KeyRecord>, StoreError> {
        let find = query(sql::GET, [content_id.to_string(), kid.to_string()]).fetch_optional(connection);
        let row = self.done(ANSWER_TIMEOUT, find).await?;
        row.map(|row| self.record(&row)).transpose()
    }

    /// Does an update of wraps while nobody else writes.
    async fn update_alone(
        &self,
        connection: &mut PgConnection,
        old: &[KeyRecord],
        new: &[KeyRecord],
    ) -> Result<(), StoreError> {
        self.execute(connection, LOCK_RECORDS).await?;
        for (old, new) in old.iter().zip(new) {
            let update = query(sql::UPDATE_WRAP, sql::wraps(old, new)).execute(&mut *connection);
            if self.done(WORK_TIMEOUT, update).await?.rows_affected() == 0 {
                return Err(StoreError::Changed {
                    content_id: old.content_id.clone(),
                    kid: old.kid,
                });
            }
        }
        Ok(())
    }

    /// Puts records in, or finds those that are there.
    async fn insert_or_find_all(
        &self,
        connection: &mut PgConnection,
        records: &[KeyRecord],
    ) -> Result<Vec<KeyRecord>, StoreError> {
        self.lock_for_several(connection, records).await?;
        let mut stored = Vec::with_capacity(records.len());
        for record in records {
            let found = self.insert_or_find(connection, record).await?;
            stored.push(found.unwrap_or_else(|| record.clone()));
        }
        Ok(stored)
    }

    async fn replace_all(&self, connection: &mut PgConnection, records: &[KeyRecord]) -> Result<(), StoreError> {
        self.lock_for_several(connection, records).await?;
        for record in records {
            let replace = query(sql::REPLACE, sql::values(record)).execute(&mut *connection);
            self.done(WORK_TIMEOUT, replace).await?;
        }
        Ok(())
    }

    async fn remove_all(&self, connection: &mut PgConnection, records: &[KeyRecord]) -> Result<(), StoreError> {
        self.lock_for_several(connection, records).await?;
        for record in records {
            let key = [record.content_id.to_string(), record.kid.to_string()];
            let remove = query(sql::DELETE, key).execute(&mut *connection);
            self.done(WORK_TIMEOUT, remove).await?;
        }
        Ok(())
    }

    /// Two that write the same records in another order would wait for each other; one record has no order.
    async fn lock_for_several(&self, connection: &mut PgConnection, records: &[KeyRecord]) -> Result<(), StoreError> {
        match records {
            [] | [_] => Ok(()),
            _ => self.execute(connection, LOCK_RECORDS).await,
        }
    }

    /// Does an import while nobody else writes.
    async fn import_alone(&self, connection: &mut PgConnection, records: &[KeyRecord]) -> Result<Imported, StoreError> {
        self.execute(connection, LOCK_RECORDS).await?;
        let mut imported = Imported::default();
        for (index, record) in records.iter().enumerate() {
            let found = self.insert_or_find(connection, record).await?;
            imported.count(index, record, found.as_ref())?;
        }
        Ok(imported)
    }

    fn record(&self, row: &PgRow) -> Result<KeyRecord, StoreError> {
        sql::record(&self.name, row)
    }

    async fn done<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, StoreError> {
        within(limit, work).await.map_err(|error| self.failed(error))
    }

    fn failed(&self, source: sqlx::Error) -> StoreError {
        StoreError::database(&self.name, source)
    }
}

#[async_trait]
impl RecordStore for Postgres {
    async fn get(&self, content_id: &ContentId, kid: &Kid) -> Result<Option<KeyRecord>, StoreError> {
        let mut transaction = self.begin().await?;
        let found = self.find(&mut transaction, content_id, kid).await?;
        self.end(transaction).await?;
        Ok(found)
    }

    async fn list(&self, content_id: Option<&ContentId>) -> Result<Vec<KeyRecord>, StoreError> {
        let mut transaction = self.begin().await?;
        let (query, limit) = match content_id {
            Some(id) => (query(sql::LIST_OF_CONTENT, [id.to_string()]), ANSWER_TIMEOUT),
            None => (query::<String>(sql::LIST, []), WORK_TIMEOUT),
        };
        let rows = self.done(limit, query.fetch_all(&mut *transaction)).await?;
        self.end(transaction).await?;
        rows.iter().map(|row| self.record(row)).collect()
    }

    async fn any(&self) -> Result<Option<KeyRecord>, StoreError> {
        let mut transaction = self.begin().await?;
        let any = query::<String>(sql::ANY, []).fetch_optional(&mut *transaction);
        let row = self.done(ANSWER_TIMEOUT, any).await?;
        self.end(transaction).await?;
        row.map(|row| self.record(&row)).transpose()
    }

    async fn insert_or_get(&self, records: &[KeyRecord]) -> Result<Vec<KeyRecord>, StoreError> {
        let mut transaction = self.begin().await?;
        let stored = self.insert_or_find_all(&mut transaction, records).await;
        self.finish(transaction, stored).await
    }

    async fn replace(&self, records: &[KeyRecord]) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let replaced = self.replace_all(&mut transaction, records).await;
        self.finish(transaction, replaced).await
    }

    async fn update_wraps(&self, old: &[KeyRecord], new: &[KeyRecord]) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let updated = self.update_alone(&mut transaction, old, new).await;
        self.finish(transaction, updated).await
    }

    async fn remove(&self, records: &[KeyRecord]) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let removed = self.remove_all(&mut transaction, records).await;
        self.finish(transaction, removed).await
    }

    async fn import(&self, records: &[KeyRecord]) -> Result<Imported, StoreError> {
        let mut transaction = self.begin().await?;
        let imported = self.import_alone(&mut transaction, records).await;
        self.finish(transaction, imported).await
    }

    async fn close(&self) {
        // What the database doesn't answer to in this time is dropped.
        let _ = timeout(ANSWER_TIMEOUT, self.pool.close()).await;
    }
}

/// What a URL says; `None` if it isn't of a form that is read without doubt.
fn parse(url: &str) -> Option<PgConnectOptions> {
    let url = Url::parse(url).ok()?;
    let is_known = url.query_pairs().all(|(name, _)| PARAMETERS.contains(&name.as_ref()));
    // Behind a password that isn't percent-encoded, the rest of it is taken for the path or the fragment.
    let path = url.path().strip_prefix('/').unwrap_or_default();
    if !is_known || url.fragment().is_some() || path.contains(['@', '/']) {
        return None;
    }
    let options = PgConnectOptions::from_url(&url).ok()?;
    let options = match options.get_application_name() {
        None => options.application_name(env!("CARGO_PKG_NAME")),
        Some(_) => options,
    };
    Some(
        options
            // A pooler refuses a connection that asks for what it can't keep apart.
            .extra_float_digits(None)
            .statement_cache_capacity(0)
            .disable_statement_logging(),
    )
}

/// Where the database is, in the form of a URL, without user and password.
fn name(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or_default();
    match options.get_socket() {
        Some(folder) => format!("postgres:///{database}?host={}", folder.display()),
        None => format!("postgres://{}:{}/{database}", options.get_host(), options.get_port()),
    }
}

type Query<'a> = sqlx::query::Query<'a, Database, PgArguments>;

/// A statement with its values, to be run in a transaction.
fn query<'a, T>(sql: &'static str, values: impl IntoIterator<Item = T>) -> Query<'a>
where
    T: 'a + Encode<'a, Database> + Type<Database>,
{
    // The cache's capacity alone would leave it a name.
    let query = sqlx::query(sql).persistent(false);
    values.into_iter().fold(query, Query::bind)
}

/// Waits for work for so long.
async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    match timeout(limit, work).await {
        Ok(Err(sqlx::Error::PoolTimedOut)) | Err(_) => {
            let message = format!("no answer within {} s", limit.as_secs());
            Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, message)))
        }
        Ok(done) => done,
    }
}

//! The stores in PostgreSQL 15 or later, for several machines.
//!
//! It works through a pooler that gives each transaction another connection to the database, such as `PgBouncer` in its
//! transaction mode. Whatever has values is two steps for PostgreSQL, to parse and to execute, and the second must reach the
//! connection of the first: so it always stands in a transaction, under no name that would outlive it. The schema goes
//! as one message (`raw_sql`). Nothing is set for a session, and locks are those of a transaction.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sha2::{Digest as _, Sha256};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, Row as _};
use tokio::time::timeout;
use url::Url;

use super::StoreError;
use super::database::{self, Database, Lock, Row, Transaction, Value, Work};

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
const MIGRATIONS: [&str; 3] = [
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
    r#"
    CREATE TABLE key_policies (
        content_id TEXT COLLATE "C" PRIMARY KEY,
        policy TEXT NOT NULL,
        updated_at TEXT NOT NULL
    );
    CREATE TABLE key_signing_keys (
        kid TEXT COLLATE "C" PRIMARY KEY,
        name TEXT COLLATE "C" NOT NULL,
        public_key_pem TEXT NOT NULL,
        created_at TEXT COLLATE "C" NOT NULL,
        revoked_at TEXT,
        last_used_at TEXT COLLATE "C"
    );
    CREATE UNIQUE INDEX key_signing_keys_active_name ON key_signing_keys (name) WHERE revoked_at IS NULL;
    CREATE TABLE key_leases (
        id TEXT COLLATE "C" PRIMARY KEY,
        content_id TEXT COLLATE "C" NOT NULL,
        viewer TEXT COLLATE "C" NOT NULL,
        expires_at_ms BIGINT NOT NULL,
        created_at_ms BIGINT NOT NULL
    );
    CREATE INDEX key_leases_viewer ON key_leases (viewer);
    CREATE INDEX key_leases_expires_at_ms ON key_leases (expires_at_ms);
    CREATE TABLE key_audit (
        number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        at TEXT NOT NULL,
        actor TEXT NOT NULL,
        action TEXT NOT NULL,
        subject TEXT COLLATE "C" NOT NULL,
        detail TEXT
    );
    CREATE INDEX key_audit_subject ON key_audit (subject, number);
    UPDATE key_records_schema SET version = 3;
"#,
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

/// Waits for the lock of a number, which is held until the end of the transaction.
const LOCK_NUMBER: &str = "SELECT pg_advisory_xact_lock($1)";

/// A PostgreSQL database.
pub(super) struct Postgres {
    /// Where it is, without user and password.
    name: Arc<str>,
    pool: PgPool,
}

impl Postgres {
    /// Opens the database of a URL.
    pub(super) async fn open(url: &str) -> Result<Self, StoreError> {
        let options = parse(url).ok_or(StoreError::PostgresUrl)?;
        let name = Arc::from(name(&options));
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
        // Where this fails, the connection ends, and the transaction with it.
        self.migrate_in(&mut transaction).await?;
        self.done(WORK_TIMEOUT, transaction.commit()).await
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
                store: self.name.to_string(),
                found: version,
                known: MIGRATIONS.len(),
            })
    }

    /// Runs statements of the schema, which have no values.
    async fn execute(&self, connection: &mut PgConnection, sql: &'static str) -> Result<(), StoreError> {
        let executed = self.done(WORK_TIMEOUT, sqlx::raw_sql(sql).execute(connection));
        executed.await.map(|_| ())
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
impl Database for Postgres {
    async fn begin(&self, work: Work) -> Result<Box<dyn Transaction>, StoreError> {
        Ok(Box::new(PostgresTransaction {
            name: Arc::clone(&self.name),
            limit: match work {
                Work::Look => ANSWER_TIMEOUT,
                Work::List | Work::Write => WORK_TIMEOUT,
            },
            begun: self.done(ANSWER_TIMEOUT, self.pool.begin_with(BEGIN)).await?,
        }))
    }

    async fn close(&self) {
        // What the database doesn't answer to in this time is dropped.
        let _ = timeout(ANSWER_TIMEOUT, self.pool.close()).await;
    }
}

struct PostgresTransaction {
    name: Arc<str>,
    /// How long a statement may take.
    limit: Duration,
    begun: sqlx::Transaction<'static, sqlx::Postgres>,
}

impl PostgresTransaction {
    fn failed(&self, source: sqlx::Error) -> StoreError {
        StoreError::database(&self.name, source)
    }
}

#[async_trait]
impl Transaction for PostgresTransaction {
    fn store(&self) -> &str {
        &self.name
    }

    async fn fetch(&mut self, sql: &'static str, values: &[Value]) -> Result<Vec<Row>, StoreError> {
        let rows = within(self.limit, query(sql, values).fetch_all(&mut *self.begun)).await;
        rows.and_then(|rows| rows.iter().map(database::row).collect())
            .map_err(|error| self.failed(error))
    }

    async fn execute(&mut self, sql: &'static str, values: &[Value]) -> Result<u64, StoreError> {
        let done = within(self.limit, query(sql, values).execute(&mut *self.begun)).await;
        Ok(done.map_err(|error| self.failed(error))?.rows_affected())
    }

    async fn lock(&mut self, lock: Lock<'_>) -> Result<(), StoreError> {
        let number = match lock {
            Lock::Records => return self.execute(LOCK_RECORDS, &[]).await.map(|_| ()),
            Lock::SigningKeys => number("signing keys"),
            Lock::Viewer(viewer) => number(&format!("viewer {viewer}")),
            Lock::ExpiredLeases => number("expired leases"),
        };
        self.execute(LOCK_NUMBER, &[number.into()]).await.map(|_| ())
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        let Self { name, limit, begun } = *self;
        within(limit, begun.commit())
            .await
            .map_err(|error| StoreError::database(&name, error))
    }

    async fn roll_back(self: Box<Self>) {
        // A connection that does not answer is closed, which comes to the same.
        drop(timeout(ANSWER_TIMEOUT, self.begun.rollback()).await);
    }
}

/// The number of a lock that is ours among all locks of the database. Two names with one number would only wait for each other.
fn number(name: &str) -> i64 {
    let digest = Sha256::new()
        .chain_update(b"vylux-pack ")
        .chain_update(name.as_bytes())
        .finalize();
    digest
        .iter()
        .take(8)
        .fold(0, |number, byte| number << 8 | i64::from(*byte))
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

/// A statement with its values, to be run in a transaction.
fn query<'a>(
    sql: &'static str,
    values: &[Value],
) -> sqlx::query::Query<'a, sqlx::Postgres, sqlx::postgres::PgArguments> {
    // The cache's capacity alone would leave it a name.
    database::bind(sqlx::query(sql).persistent(false), values)
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

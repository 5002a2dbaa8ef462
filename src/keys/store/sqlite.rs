//! The stores in a SQLite file, for one machine.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sqlx::ConnectOptions as _;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions};

use super::StoreError;
use super::database::{self, Database, Lock, Row, Transaction, Value, Work};

/// How long a call waits for another process that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// In WAL mode readers wait for nobody.
const READING_CONNECTIONS: u32 = 4;

/// Writers wait for each other. They have a connection of their own, so that those who wait for another process keep none from
/// readers.
const WRITING_CONNECTIONS: u32 = 1;

/// Begins a transaction with the lock to write: one that first reads could be refused it later.
const BEGIN_WRITE: &str = "BEGIN IMMEDIATE";

/// The schema, one step a version. A step that was released never changes; another one follows it.
const MIGRATIONS: [&str; 3] = [
    "
    CREATE TABLE key_records (
        content_id TEXT NOT NULL,
        kid TEXT NOT NULL,
        key_name TEXT,
        scheme TEXT NOT NULL,
        key_uri TEXT NOT NULL,
        wrapped_key TEXT NOT NULL,
        wrap_nonce TEXT NOT NULL,
        kek_version TEXT NOT NULL,
        master_key_id TEXT NOT NULL,
        created_at TEXT NOT NULL,
        tool_version TEXT NOT NULL,
        media_fingerprint TEXT NOT NULL,
        PRIMARY KEY (content_id, kid)
    ) STRICT, WITHOUT ROWID;
    PRAGMA user_version = 1;
",
    "
    ALTER TABLE key_records ADD COLUMN generation TEXT;
    PRAGMA user_version = 2;
",
    "
    CREATE TABLE key_policies (
        content_id TEXT PRIMARY KEY NOT NULL,
        policy TEXT NOT NULL,
        updated_at TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE key_signing_keys (
        kid TEXT PRIMARY KEY NOT NULL,
        name TEXT NOT NULL,
        public_key_pem TEXT NOT NULL,
        created_at TEXT NOT NULL,
        revoked_at TEXT,
        last_used_at TEXT
    ) STRICT, WITHOUT ROWID;
    CREATE UNIQUE INDEX key_signing_keys_active_name ON key_signing_keys (name) WHERE revoked_at IS NULL;
    CREATE TABLE key_leases (
        id TEXT PRIMARY KEY NOT NULL,
        content_id TEXT NOT NULL,
        viewer TEXT NOT NULL,
        expires_at_ms INTEGER NOT NULL,
        created_at_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX key_leases_viewer ON key_leases (viewer);
    CREATE INDEX key_leases_expires_at_ms ON key_leases (expires_at_ms);
    CREATE TABLE key_audit (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        at TEXT NOT NULL,
        actor TEXT NOT NULL,
        action TEXT NOT NULL,
        subject TEXT NOT NULL,
        detail TEXT
    ) STRICT;
    CREATE INDEX key_audit_subject ON key_audit (subject, number);
    PRAGMA user_version = 3;
",
];

/// A SQLite file.
pub(super) struct Sqlite {
    /// Its path, for errors.
    name: Arc<str>,
    readers: SqlitePool,
    writers: SqlitePool,
}

impl Sqlite {
    /// Opens the file of a URL, given without its `sqlite:`, and creates it if it isn't there.
    pub(super) async fn open(url_rest: &str) -> Result<Self, StoreError> {
        let path = url_rest.strip_prefix("//").unwrap_or(url_rest);
        // No parameters, and no database in memory, which would forget the keys.
        if path.is_empty() || path.starts_with(':') || path.contains('?') {
            return Err(StoreError::UnknownUrl);
        }
        let name = Arc::from(path);
        let path = PathBuf::from(path);
        if let Err(source) = create_if_missing(&path) {
            return Err(StoreError::Create { path, source });
        }
        let (readers, writers) = connect(&path)
            .await
            .map_err(|error| StoreError::database(&name, error))?;
        let store = Self { name, readers, writers };
        store.migrate().await?;
        Ok(store)
    }

    async fn migrate(&self) -> Result<(), StoreError> {
        let mut connection = self.readers.acquire().await.map_err(|error| self.failed(error))?;
        if self.pending_migrations(&mut connection).await?.is_empty() {
            return Ok(());
        }
        drop(connection);
        // Of the processes that find the schema behind, one migrates; the others wait here, then find it done.
        let begun = self.writers.begin_with(BEGIN_WRITE).await;
        let mut transaction = begun.map_err(|error| self.failed(error))?;
        for step in self.pending_migrations(&mut transaction).await? {
            sqlx::raw_sql(*step)
                .execute(&mut *transaction)
                .await
                .map_err(|error| self.failed(error))?;
        }
        transaction.commit().await.map_err(|error| self.failed(error))
    }

    async fn pending_migrations(
        &self,
        connection: &mut SqliteConnection,
    ) -> Result<&'static [&'static str], StoreError> {
        let version: i64 = sqlx::query_scalar("PRAGMA user_version")
            .fetch_one(connection)
            .await
            .map_err(|error| self.failed(error))?;
        usize::try_from(version)
            .ok()
            .and_then(|done| MIGRATIONS.get(done..))
            .ok_or_else(|| StoreError::Newer {
                store: self.name.to_string(),
                found: version,
                known: MIGRATIONS.len(),
            })
    }

    fn failed(&self, source: sqlx::Error) -> StoreError {
        StoreError::database(&self.name, source)
    }
}

#[async_trait]
impl Database for Sqlite {
    async fn begin(&self, work: Work) -> Result<Box<dyn Transaction>, StoreError> {
        let begun = match work {
            // Each statement that reads is a transaction by itself; another one around it would be two more statements to wait for.
            Work::Look | Work::List => self.readers.acquire().await.map(Begun::Reading),
            Work::Write => self.writers.begin_with(BEGIN_WRITE).await.map(Begun::Writing),
        };
        Ok(Box::new(SqliteTransaction {
            name: Arc::clone(&self.name),
            begun: begun.map_err(|error| self.failed(error))?,
        }))
    }

    async fn close(&self) {
        self.readers.close().await;
        self.writers.close().await;
    }
}

struct SqliteTransaction {
    name: Arc<str>,
    begun: Begun,
}

enum Begun {
    Reading(PoolConnection<sqlx::Sqlite>),
    Writing(sqlx::Transaction<'static, sqlx::Sqlite>),
}

impl SqliteTransaction {
    fn connection(&mut self) -> &mut SqliteConnection {
        match &mut self.begun {
            Begun::Reading(connection) => connection,
            Begun::Writing(transaction) => transaction,
        }
    }

    fn failed(&self, source: sqlx::Error) -> StoreError {
        StoreError::database(&self.name, source)
    }
}

#[async_trait]
impl Transaction for SqliteTransaction {
    fn store(&self) -> &str {
        &self.name
    }

    async fn fetch(&mut self, sql: &'static str, values: &[Value]) -> Result<Vec<Row>, StoreError> {
        let query = database::bind(sqlx::query(sql), values);
        let rows = query.fetch_all(self.connection()).await;
        rows.and_then(|rows| rows.iter().map(database::row).collect())
            .map_err(|error| self.failed(error))
    }

    async fn execute(&mut self, sql: &'static str, values: &[Value]) -> Result<u64, StoreError> {
        let query = database::bind(sqlx::query(sql), values);
        let done = query.execute(self.connection()).await;
        Ok(done.map_err(|error| self.failed(error))?.rows_affected())
    }

    /// [`BEGIN_WRITE`] holds the only lock that there is.
    async fn lock(&mut self, _: Lock<'_>) -> Result<(), StoreError> {
        Ok(())
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        let Self { name, begun } = *self;
        match begun {
            Begun::Reading(_) => Ok(()),
            Begun::Writing(begun) => begun.commit().await.map_err(|error| StoreError::database(&name, error)),
        }
    }

    async fn roll_back(self: Box<Self>) {
        // A connection that can't is closed, which comes to the same.
        if let Begun::Writing(begun) = self.begun {
            drop(begun.rollback().await);
        }
    }
}

/// Creates an empty file, which SQLite takes for an empty database, that only its owner may use.
///
/// It is made aside and renamed into place, since nobody may open and close a database's file but SQLite:
/// closing it would drop the POSIX locks that this process holds on it (<https://sqlite.org/howtocorrupt.html>, 2.2).
fn create_if_missing(path: &Path) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let empty = tempfile::NamedTempFile::new_in(folder)?.into_temp_path();
    match empty.persist_noclobber(path) {
        Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => Err(error.error),
        _ => Ok(()),
    }
}

/// Connections that read, and those that write.
async fn connect(path: &Path) -> Result<(SqlitePool, SqlitePool), sqlx::Error> {
    let connection = SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY_TIMEOUT)
        .journal_mode(SqliteJournalMode::Wal)
        .disable_statement_logging();
    let pool = |connections| {
        SqlitePoolOptions::new()
            .max_connections(connections)
            // A connection to a file is not lost while it waits.
            .test_before_acquire(false)
    };
    let writers = pool(WRITING_CONNECTIONS).connect_lazy_with(connection.clone());
    let begun = Instant::now();
    loop {
        match pool(READING_CONNECTIONS).connect_with(connection.clone()).await {
            // A new file's switch to WAL mode is refused at once, without the busy timeout, while others do the same.
            Err(error) if is_busy(&error) && begun.elapsed() < BUSY_TIMEOUT => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            result => return Ok((result?, writers)),
        }
    }
}

fn is_busy(error: &sqlx::Error) -> bool {
    const SQLITE_BUSY: i32 = 5;
    let code = error.as_database_error().and_then(|error| error.code()?.parse().ok());
    // The lowest byte is the error, and the ones above say more about it.
    code.is_some_and(|code: i32| code & 0xff == SQLITE_BUSY)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::Command;
    use std::sync::Barrier;

    use super::*;
    use crate::keys::ContentId;
    use crate::keys::record::tests::record;
    use crate::keys::store::{Audit, Blocking, Lease, PolicyStore};

    fn url(folder: &tempfile::TempDir) -> String {
        format!("sqlite://{}", folder.path().join("store.db").display())
    }

    #[test]
    fn only_its_owner_may_use_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = Blocking::open(&url(&folder)).unwrap();
        store.replace(&[record("a", 1)]).unwrap();
        let mut files = 0;
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let mode = file.unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o600);
            files += 1;
        }
        assert_eq!(files, 3, "the database, its WAL and the WAL's index");
        drop(store);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn both_forms_of_the_url_name_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let store = Blocking::open(&url(&folder)).unwrap();
        store.replace(&[record("a", 1)]).unwrap();
        let short = Blocking::open(&url(&folder).replace("//", "")).unwrap();
        assert_eq!(short.list(None).unwrap().len(), 1);
    }

    /// Leases are renewed all the time; a backup, or `keys import`, may hold the lock to write for long.
    #[test]
    fn writers_that_wait_keep_no_reader_out() {
        let folder = tempfile::tempdir().unwrap();
        let store = Blocking::open(&url(&folder)).unwrap();
        let path = folder.path().join("store.db");
        let content_id: ContentId = "film".parse().unwrap();
        let lease = Lease {
            id: "a".to_owned(),
            content_id: content_id.clone(),
            viewer: "viewer".to_owned(),
            expires_at_ms: 1000,
            created_at_ms: 0,
        };
        store.wait(|store| store.create_lease(&lease, None)).unwrap();
        let (held, release) = (Barrier::new(2), Barrier::new(2));
        let (policy, took, renewals) = std::thread::scope(|scope| {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.unwrap().block_on(async {
                    let (_, writers) = connect(&path).await.unwrap();
                    let writing = writers.begin_with(BEGIN_WRITE).await.unwrap();
                    held.wait();
                    release.wait();
                    writing.rollback().await.unwrap();
                });
            });
            held.wait();
            store.wait(async |store| {
                let renewals = (0..8).map(|_| store.renew_lease("a", "viewer", &content_id, 5000, 900));
                let mut renewals = Box::pin(futures_util::future::join_all(renewals));
                let begun = Instant::now();
                let policy = tokio::select! {
                    biased;
                    _ = &mut renewals => None,
                    policy = store.policy(&content_id) => Some(policy),
                };
                let took = begun.elapsed();
                tokio::time::sleep(Duration::from_millis(300)).await;
                release.wait();
                (policy, took, renewals.await)
            })
        });
        assert!(matches!(policy, Some(Ok(None))), "{policy:?}");
        assert!(took < BUSY_TIMEOUT / 3, "{took:?}");
        // It counted when they came, and not any more when it was their turn.
        assert!(
            renewals.iter().all(|renewed| matches!(renewed, Ok(false))),
            "{renewals:?}"
        );
    }

    /// Name of the variable that tells this test, run again as another process, which store to open.
    const STORE_OF_CHILD: &str = "VYLUX_PACK_TEST_STORE";

    #[test]
    fn many_processes_create_one_store() {
        if let Ok(url) = std::env::var(STORE_OF_CHILD) {
            let store = Blocking::open(&url).unwrap();
            store.insert_or_get(&[record("a", 1)]).unwrap();
            return;
        }
        let this_test = std::thread::current().name().unwrap().to_owned();
        for _ in 0..5 {
            let folder = tempfile::tempdir().unwrap();
            let child = || {
                let mut command = Command::new(std::env::current_exe().unwrap());
                command.args(["--exact", &this_test]).env(STORE_OF_CHILD, url(&folder));
                command.output().unwrap()
            };
            std::thread::scope(|scope| {
                let children: Vec<_> = (0..8).map(|_| scope.spawn(child)).collect();
                for child in children {
                    let output = child.join().unwrap();
                    let said = String::from_utf8_lossy(&output.stdout);
                    assert!(output.status.success() && said.contains("1 passed"), "{said}");
                }
            });
            assert_eq!(Blocking::open(&url(&folder)).unwrap().list(None).unwrap().len(), 1);
        }
    }

    /// Without the retry in [`connect`], some 2 of 1200 of these are refused.
    #[test]
    fn many_threads_create_one_store_at_the_same_moment() {
        for _ in 0..40 {
            let folder = tempfile::tempdir().unwrap();
            let ready = Barrier::new(8);
            std::thread::scope(|scope| {
                for kid in 0..8 {
                    let (folder, ready) = (&folder, &ready);
                    scope.spawn(move || {
                        ready.wait();
                        let store = Blocking::open(&url(folder)).unwrap();
                        store.insert_or_get(&[record("a", kid)]).unwrap();
                    });
                }
            });
            assert_eq!(Blocking::open(&url(&folder)).unwrap().list(None).unwrap().len(), 8);
        }
    }

    #[test]
    fn what_is_no_store_is_an_error_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let error = Blocking::open(&format!("sqlite://{}/none/a.db", folder.path().display()))
            .err()
            .unwrap();
        assert!(matches!(error, StoreError::Create { .. }), "{error:?}");

        let text = folder.path().join("text");
        std::fs::write(&text, "no database ".repeat(100)).unwrap();
        let error = Blocking::open(&format!("sqlite:{}", text.display())).err().unwrap();
        assert!(error.to_string().contains("text failed"), "{error:?}");
    }

    fn execute(url: &str, sql: &'static str) {
        let path = url.strip_prefix("sqlite://").unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (pool, _) = connect(Path::new(path)).await.unwrap();
            sqlx::raw_sql(sql).execute(&pool).await.unwrap();
            pool.close().await;
        });
    }

    #[test]
    fn a_later_schema_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        drop(Blocking::open(&url(&folder)).unwrap());
        execute(&url(&folder), "PRAGMA user_version = 7");
        let error = Blocking::open(&url(&folder)).err().unwrap();
        assert!(
            matches!(error, StoreError::Newer { found: 7, known: 3, .. }),
            "{error:?}"
        );
    }

    #[test]
    fn an_older_schema_is_brought_up_to_date() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        create_if_missing(&path).unwrap();
        for step in &MIGRATIONS[..2] {
            execute(&url(&folder), step);
        }
        execute(
            &url(&folder),
            "INSERT INTO key_records VALUES ('a', '01010101010101010101010101010101', NULL, 'cbcs', 'u',
             hex(zeroblob(32)), hex(zeroblob(12)), 'v1', 'm', '2026-01-02T03:04:05Z', '0.1.0', 'f', NULL)",
        );
        let store = Blocking::open(&url(&folder)).unwrap();
        assert_eq!(store.list(None).unwrap().len(), 1);
        assert_eq!(store.wait(PolicyStore::policies).unwrap(), []);
    }

    #[test]
    fn no_change_is_made_without_its_entry() {
        let folder = tempfile::tempdir().unwrap();
        let store = Blocking::open(&url(&folder)).unwrap();
        execute(&url(&folder), "ALTER TABLE key_audit RENAME TO away");
        let content_id = "a".parse().unwrap();
        let audit = Audit {
            actor: "tester",
            at: "2026-01-02T03:04:05Z".parse().unwrap(),
            detail: None,
        };
        let set = || store.wait(|store| store.set_policy(&content_id, "{}", audit));
        set().unwrap_err();
        assert_eq!(store.wait(PolicyStore::policies).unwrap(), []);
        execute(&url(&folder), "ALTER TABLE away RENAME TO key_audit");
        set().unwrap();
        assert_eq!(store.wait(PolicyStore::policies).unwrap().len(), 1);
    }

    #[test]
    fn a_damaged_row_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let store = Blocking::open(&url(&folder)).unwrap();
        store.replace(&[record("a", 1)]).unwrap();
        execute(&url(&folder), "UPDATE key_records SET wrap_nonce = 'zz'");
        let error = store.list(None).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
        assert!(error.to_string().contains("01\" of content \"a\""), "{error}");
    }
}

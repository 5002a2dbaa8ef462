//! Record stores: one suite over SQLite, PostgreSQL and PostgreSQL behind `PgBouncer`; several processes at once; outages.

#![cfg(feature = "store")]
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;
mod leases;
#[cfg(feature = "server")]
mod outage;
mod policies;
mod processes;
mod signing_keys;
mod suite;

use common::postgres::{PgBouncer, Postgres};
use vylux_pack::keys::store::{Blocking, PolicyStore, StoreError};

use suite::{audit, record};

#[test]
fn sqlite_is_a_record_store() {
    let folder = tempfile::tempdir().unwrap();
    suite::run(&format!("sqlite://{}", folder.path().join("store.db").display()));
}

#[test]
fn postgres_is_a_record_store() {
    let Some(postgres) = Postgres::start() else { return };
    suite::run(&postgres.create("films"));
    // Without the explicit collation it would be that of the database, which is not that of bytes.
    assert_eq!(postgres.sql("films", "SELECT 'a' < 'B'"), "t");
}

#[test]
fn postgres_behind_a_pooler_is_a_record_store() {
    let Some(postgres) = Postgres::start() else { return };
    let Some(pooler) = PgBouncer::start(&postgres) else {
        return;
    };
    postgres.create("films");
    suite::run(&pooler.url("films"));
    let connections = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'films' AND pid <> pg_backend_pid()";
    let connections: usize = postgres.sql("films", connections).parse().unwrap();
    assert!(connections > 1, "all went over {connections} connection");
    // Nothing was left for the next client of a connection.
    let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'";
    assert_eq!(postgres.sql("films", locks), "0");
}

#[test]
fn tls_is_used_and_checked_as_the_url_says() {
    let Some(mut postgres) = Postgres::start() else { return };
    let url = postgres.create("films");
    let fails = |mode: &str, why: &str| {
        let shown = shown(Blocking::open(&format!("{url}?sslmode={mode}")).err().unwrap());
        assert!(shown.contains(why), "{mode}: {shown}");
    };
    fails("require", "does not support TLS");
    let Some(certificate) = postgres.speak_tls() else {
        return;
    };
    fails("verify-full", "UnknownIssuer");
    let own = format!("verify-full&sslrootcert={}", certificate.display());
    for mode in ["require", "prefer", &own] {
        let store = Blocking::open(&format!("{url}?sslmode={mode}")).unwrap();
        store.list(None).unwrap();
        let connections = "SELECT count(*) FILTER (WHERE ssl), count(*) FILTER (WHERE NOT ssl) FROM pg_stat_ssl
                           JOIN pg_stat_activity USING (pid) WHERE application_name = 'vylux-pack'";
        let count = postgres.sql("films", connections);
        let (with, without) = count.split_once('|').unwrap();
        assert!(with != "0" && without == "0", "{mode}: {count}");
    }
}

#[test]
fn a_later_schema_is_left_alone_and_damage_is_named() {
    let Some(postgres) = Postgres::start() else { return };
    let url = postgres.create("films");
    let store = Blocking::open(&url).unwrap();
    store.replace(&[record("a", 1)]).unwrap();
    postgres.sql("films", "UPDATE key_records SET wrap_nonce = 'zz'");
    let error = store.list(None).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains("01\" of content \"a\""), "{error}");

    postgres.sql("films", "UPDATE key_records_schema SET version = 7");
    let error = Blocking::open(&url).err().unwrap();
    assert!(
        matches!(error, StoreError::Newer { found: 7, known: 3, .. }),
        "{error:?}"
    );
    shown(error);
}

#[test]
fn an_older_schema_is_brought_up_to_date() {
    let Some(postgres) = Postgres::start() else { return };
    let url = postgres.create("films");
    Blocking::open(&url).unwrap().replace(&[record("a", 1)]).unwrap();
    // What version 2 did not have.
    let older = "DROP TABLE key_policies, key_signing_keys, key_leases, key_audit;
                 UPDATE key_records_schema SET version = 2";
    postgres.sql("films", older);
    let store = Blocking::open(&url).unwrap();
    let content_id = "a".parse().unwrap();
    store
        .wait(|store| store.set_policy(&content_id, "{}", audit(1)))
        .unwrap();
    assert_eq!(store.list(None).unwrap(), [record("a", 1)]);
    assert_eq!(postgres.sql("films", "SELECT * FROM key_records_schema"), "3");
}

#[test]
fn no_change_is_made_without_its_entry() {
    let Some(postgres) = Postgres::start() else { return };
    let url = postgres.create("films");
    let store = Blocking::open(&url).unwrap();
    postgres.sql("films", "ALTER TABLE key_audit RENAME TO away");
    let content_id = "a".parse().unwrap();
    let set = || store.wait(|store| store.set_policy(&content_id, "{}", audit(1)));
    set().unwrap_err();
    assert_eq!(store.wait(PolicyStore::policies).unwrap(), []);
    postgres.sql("films", "ALTER TABLE away RENAME TO key_audit");
    set().unwrap();
    assert_eq!(store.wait(PolicyStore::policies).unwrap().len(), 1);
}

/// Whoever runs the program need not own the schema.
#[test]
fn a_user_without_the_right_to_create_uses_what_is_there() {
    let Some(postgres) = Postgres::start() else { return };
    let url = postgres.create("films");
    drop(Blocking::open(&url).unwrap());
    let role = "CREATE ROLE reader LOGIN PASSWORD 'reader'; GRANT SELECT, INSERT, UPDATE ON key_records TO reader;
                GRANT SELECT ON key_records_schema TO reader";
    postgres.sql("films", role);
    let url = url.replace(&url[.."postgres://".len()], "postgres://");
    let (_, host) = url.split_once('@').unwrap();
    let store = Blocking::open(&format!("postgres://reader:reader@{host}")).unwrap();
    assert_eq!(store.import(&[record("a", 1)]).unwrap().added, 1);
    assert_eq!(store.list(None).unwrap(), [record("a", 1)]);
}

#[test]
fn errors_show_where_and_why_and_no_password() {
    let Some(mut postgres) = Postgres::start() else { return };
    let url = postgres.create("films");
    let port = url.split(':').next_back().unwrap().split('/').next().unwrap();
    let fails = |url: &str, why: &str| {
        let shown = shown(Blocking::open(url).err().unwrap());
        assert!(shown.contains(why), "{shown}");
        assert!(shown.contains(&format!("127.0.0.1:{port}/")), "{shown}");
    };
    fails(&url.replace("films:", "others:"), "password authentication failed");
    fails(&postgres.url("none"), "\"none\" does not exist");
    postgres.stop();
    let began = std::time::Instant::now();
    fails(&url, "Connection refused");
    assert!(began.elapsed().as_secs() < 2, "{:?}", began.elapsed());
}

/// What an error shows; no part of the password.
fn shown(error: StoreError) -> String {
    let debugged = format!("{error:?}");
    let shown = format!("{debugged} {:#}", anyhow::Error::from(error));
    assert!(!shown.contains("hunter2"), "{shown}");
    shown
}

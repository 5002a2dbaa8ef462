//! The key server while its database is away, and after.

use std::time::{Duration, Instant};

use crate::common::postgres::{PgBouncer, Postgres};
use crate::common::server::Server;
use crate::common::{CONTENT_ID, Workspace, fixture, run};

/// A key server, ended when dropped.
struct KeyServer(Server);

impl KeyServer {
    /// Starts it on the store at a URL, and waits until it listens.
    fn start(workspace: &Workspace, url: &str) -> Self {
        let mut command = workspace.vylux_pack();
        command
            .args(["serve", "--insecure-no-auth", "--listen", "127.0.0.1:0"])
            .env("DATABASE_URL", url)
            .env("RATE_LIMIT_KEYS", "100000");
        Self(Server::start(&mut command))
    }

    fn said(&self) -> String {
        self.0.log()
    }

    /// The status of an answer and its body, which has to come before a player gives up.
    fn get(&self, path: &str) -> (u16, Vec<u8>) {
        let began = Instant::now();
        let answer = self.0.ask(&format!("GET {path}"), &[]);
        assert!(
            began.elapsed() < Duration::from_secs(8),
            "{path} took {:?}",
            began.elapsed()
        );
        (answer.status, answer.body)
    }

    fn status(&self, path: &str) -> u16 {
        self.get(path).0
    }

    /// Waits for it to be ready.
    fn becomes_ready(&self) {
        let began = Instant::now();
        while self.status("/ready") != 200 {
            assert!(began.elapsed() < Duration::from_secs(30), "{}", self.said());
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

const KEY: &str = "/api/key/test-film";

/// Encrypts into the store at a URL, and returns the key that its server has to give.
fn encrypt(workspace: &Workspace, content_id: &str, url: &str) {
    let mut command = workspace.vylux_pack();
    command.arg("encrypt").arg(fixture("one-sample.mp4"));
    run(command
        .args(["--content-id", content_id, "--out", content_id])
        .env("DATABASE_URL", url));
}

fn is_a_key((status, body): (u16, Vec<u8>)) -> bool {
    status == 200 && body.len() == 16
}

#[test]
fn a_database_that_stops_is_503_and_comes_back_by_itself() {
    let Some(mut postgres) = Postgres::start() else { return };
    let workspace = Workspace::new();
    let url = postgres.create("films");
    let server = KeyServer::start(&workspace, &url);
    server.becomes_ready();
    assert_eq!(server.status(KEY), 404);
    // Another process writes what this one reads.
    encrypt(&workspace, CONTENT_ID, &url);
    encrypt(&workspace, "other", &url);
    let key = server.get(KEY);
    assert!(is_a_key(key.clone()));

    for _ in 0..2 {
        postgres.stop();
        assert_eq!(server.status("/ready"), 503);
        // Neither one that nobody asked for, nor one that does not exist, nor the cached one once its time is over.
        assert_eq!(server.status("/api/key/other"), 503);
        assert_eq!(server.status("/api/key/none"), 503);
        std::thread::sleep(Duration::from_secs(5));
        assert_eq!(server.status(KEY), 503);
        assert_eq!(server.status("/health"), 200);

        postgres.resume();
        server.becomes_ready();
        assert_eq!(server.get(KEY), key);
        assert!(is_a_key(server.get("/api/key/other")));
        assert_eq!(server.status("/api/key/none"), 404);
        // So that the next round finds it cached nowhere.
        std::thread::sleep(Duration::from_secs(5));
    }
}

/// A network that fails closes no connection: nothing comes back, not even an error.
#[test]
fn a_database_that_hangs_is_503_and_comes_back_by_itself() {
    let Some(postgres) = Postgres::start() else { return };
    let workspace = Workspace::new();
    let url = postgres.create("films");
    encrypt(&workspace, CONTENT_ID, &url);
    let server = KeyServer::start(&workspace, &url);
    server.becomes_ready();
    assert!(is_a_key(server.get(KEY)));

    postgres.freeze(true);
    // More at once than there are connections.
    std::thread::scope(|scope| {
        let ask = |number| {
            scope.spawn({
                let server = &server;
                move || server.status(&format!("/api/key/none{number}"))
            })
        };
        let asked: Vec<_> = (0..20).map(ask).collect();
        assert!(asked.into_iter().all(|asked| asked.join().unwrap() == 503));
    });
    assert_eq!(server.status("/ready"), 503);
    postgres.freeze(false);
    server.becomes_ready();
    assert!(is_a_key(server.get(KEY)));
    assert_eq!(server.status("/api/key/none"), 404);
}

#[test]
fn a_pooler_whose_database_stops_is_503_and_comes_back_by_itself() {
    let Some(mut postgres) = Postgres::start() else { return };
    let Some(pooler) = PgBouncer::start(&postgres) else {
        return;
    };
    let workspace = Workspace::new();
    postgres.create("films");
    let url = pooler.url("films");
    encrypt(&workspace, CONTENT_ID, &url);
    let server = KeyServer::start(&workspace, &url);
    server.becomes_ready();
    postgres.stop();
    assert_eq!(server.status(KEY), 503);
    assert_eq!(server.status("/ready"), 503);
    postgres.resume();
    server.becomes_ready();
    assert!(is_a_key(server.get(KEY)));
}

#[test]
fn a_server_may_start_before_its_database() {
    let Some(mut postgres) = Postgres::start() else { return };
    let workspace = Workspace::new();
    let url = postgres.create("films");
    encrypt(&workspace, CONTENT_ID, &url);
    postgres.stop();

    let check = workspace
        .vylux_pack()
        .args(["serve", "--insecure-no-auth", "--check"])
        .env("DATABASE_URL", &url)
        .output();
    let check = check.unwrap();
    let message = String::from_utf8_lossy(&check.stderr);
    assert!(
        message.contains("Connection refused") && !message.contains("hunter2"),
        "{message}"
    );
    assert_eq!(check.status.code(), Some(1), "{message}");

    let server = KeyServer::start(&workspace, &url);
    assert_eq!(server.status("/health"), 200);
    assert_eq!(server.status("/ready"), 503);
    assert_eq!(server.status(KEY), 503);
    assert!(server.said().contains("Connection refused"), "{}", server.said());
    postgres.resume();
    server.becomes_ready();
    assert!(is_a_key(server.get(KEY)));
}

/// What is far more often a wrong path than a volume that is mounted late is an error at once, too.
#[test]
fn a_file_in_no_folder_ends_the_server() {
    let workspace = Workspace::new();
    let mut command = workspace.vylux_pack();
    let output = command
        .args(["serve", "--insecure-no-auth"])
        .env("DATABASE_URL", "sqlite://volume/keys.db")
        .output()
        .unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(
        message.contains("volume/keys.db") && message.contains("No such file"),
        "{message}"
    );
}

/// What no waiting mends is an error at once.
#[test]
fn a_store_of_a_later_version_ends_the_server() {
    let Some(postgres) = Postgres::start() else { return };
    let workspace = Workspace::new();
    let url = postgres.create("films");
    encrypt(&workspace, CONTENT_ID, &url);
    postgres.sql("films", "UPDATE key_records_schema SET version = 7");
    let mut command = workspace.vylux_pack();
    let output = command
        .args(["serve", "--insecure-no-auth"])
        .env("DATABASE_URL", &url)
        .output()
        .unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("schema version 7"), "{message}");
}

//! Several processes on one PostgreSQL, and the command line on it.

use std::process::{Command, Output};

use serde_json::Value;
use vylux_pack::keys::store::Blocking;

use crate::common::postgres::{PgBouncer, Postgres};
use crate::common::{CONTENT_ID, Workspace, fixture, run};
use crate::suite::record;

/// Name of the variable that tells this test, run again as another process, which store to open.
const STORE_OF_CHILD: &str = "VYLUX_PACK_TEST_STORE";

#[test]
fn many_processes_create_one_schema() {
    if let Ok(url) = std::env::var(STORE_OF_CHILD) {
        let store = Blocking::open(&url).unwrap();
        store.insert_or_get(&[record("a", 1)]).unwrap();
        return;
    }
    let Some(postgres) = Postgres::start() else { return };
    let Some(pooler) = PgBouncer::start(&postgres) else {
        return;
    };
    let this_test = std::thread::current().name().unwrap().to_owned();
    for round in 0..6 {
        let database = format!("films{round}");
        let direct = postgres.create(&database);
        let urls = [direct, pooler.url(&database)];
        let child = |url: &str| {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args(["--exact", &this_test]).env(STORE_OF_CHILD, url);
            command.output().unwrap()
        };
        std::thread::scope(|scope| {
            let children: Vec<_> = urls
                .iter()
                .cycle()
                .take(8)
                .map(|url| scope.spawn(move || child(url)))
                .collect();
            for child in children {
                let output = child.join().unwrap();
                let said = String::from_utf8_lossy(&output.stdout);
                assert!(output.status.success() && said.contains("1 passed"), "{said}");
            }
        });
        assert_eq!(Blocking::open(&urls[0]).unwrap().list(None).unwrap(), [record("a", 1)]);
        assert_eq!(postgres.sql(&database, "SELECT * FROM key_records_schema"), "3");
    }
}

/// What the password, in any form, was not shown in.
fn without_password(output: Output) -> Output {
    for text in [&output.stdout, &output.stderr] {
        let text = String::from_utf8_lossy(text);
        assert!(!text.contains("hunter2"), "{text}");
    }
    output
}

fn ends(command: &mut Command, exit_code: i32) -> (String, String) {
    let output = without_password(command.output().unwrap());
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (printed, message) = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.code(), Some(exit_code), "{printed}{message}");
    (printed, message)
}

#[test]
fn the_command_line_works_on_postgres() {
    let Some(mut postgres) = Postgres::start() else { return };
    let workspace = Workspace::new();
    let url = postgres.create("films");
    std::fs::write(workspace.path("url"), format!("{url}\n")).unwrap();
    let command = |arguments: &[&str]| {
        let mut command = workspace.vylux_pack();
        command.args(arguments).env("DATABASE_URL_FILE", "url");
        command
    };
    let film = fixture("one-sample.mp4");
    let film = film.to_str().unwrap();
    let encrypt = |content_id: &str, out: &str| command(&["encrypt", film, "--content-id", content_id, "--out", out]);

    // Two at once of one content: one wrap, the same bytes.
    let mut twins = ["a", "b"].map(|out| encrypt(CONTENT_ID, out).arg("--quiet").spawn().unwrap());
    assert!(twins.iter_mut().all(|twin| twin.wait().unwrap().success()));
    let records = ["a", "b"].map(|out| std::fs::read(workspace.path(out).join("keys.json")).unwrap());
    assert_eq!(records[0], records[1]);

    // An offline run's record comes in later.
    ends(
        &mut command(&["encrypt", film, "--content-id", "other", "--out", "c", "--no-store"]),
        0,
    );
    let import = ends(&mut command(&["keys", "import", "a/keys.json", "c/keys.json"]), 0).0;
    assert!(import.contains('1'), "{import}");
    let list = || -> Value { serde_json::from_str(&ends(&mut command(&["keys", "list", "--json"]), 0).0).unwrap() };
    let before = list();
    assert_eq!(
        postgres.sql("films", "SELECT content_id FROM key_records ORDER BY 1"),
        format!("other\n{CONTENT_ID}")
    );

    let kek = "4b".repeat(32);
    ends(command(&["keys", "rewrap"]).env("KEK_HEX", &kek), 0);
    assert_ne!(list(), before, "the wraps are others");
    assert_eq!(
        postgres.sql("films", "SELECT count(DISTINCT kek_version) FROM key_records"),
        "1"
    );
    ends(command(&["verify", "a", "--source", film]).env("KEK_HEX", &kek), 0);
    run(command(&["keys", "export", "--out", "all.json"]).env("KEK_HEX", &kek));

    // A password is no argument, and no part of an error.
    let (_, message) = ends(&mut command(&["keys", "list", "--store", &url]), 2);
    assert!(message.contains("DATABASE_URL_FILE"), "{message}");
    postgres.stop();
    let (_, message) = ends(&mut encrypt("another", "d"), 1);
    assert!(
        message.contains("/films failed") && message.contains("Connection refused"),
        "{message}"
    );
    assert!(!workspace.path("d").exists());
}

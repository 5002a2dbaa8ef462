//! The `keys` commands from end to end, with SQLite's own client and the tests' own cryptography as judges.

#![cfg(feature = "store")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::path::Path;
use std::process::{Command, Output};

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use common::{BASE_URL, CONTENT_ID, MASTER_KEY, SALT, Workspace, derive, fixture, run, tool};
use serde_json::Value;

const STORE: &str = "sqlite://keys.db";

/// Another content, and a master and KEK of later.
const OTHER_ID: &str = "other-film";
const NEW_MASTER_KEY: [u8; 32] = *b"tomorrow's master key, nobody's!";
const NEW_SALT: [u8; 32] = *b"tomorrow's salt, which is no key";
const KEK: [u8; 32] = *b"a key that encrypts other keys..";

/// A workspace with a store and the outputs of two contents; all that runs in it has shown no key.
struct Keys {
    workspace: Workspace,
}

impl Keys {
    /// Two contents encrypted into one store.
    fn new() -> Self {
        let keys = Self {
            workspace: Workspace::new(),
        };
        for id in [CONTENT_ID, OTHER_ID] {
            keys.encrypt(id, &["--store", STORE]);
        }
        keys
    }

    fn encrypt(&self, content_id: &str, more: &[&str]) {
        let mut command = self.workspace.vylux_pack();
        command
            .arg("encrypt")
            .arg(fixture("one-sample.mp4"))
            .args(["--content-id", content_id])
            .args(more);
        run(&mut command);
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.workspace.vylux_pack();
        command.arg("keys").args(arguments).env("DATABASE_URL", STORE);
        command
    }

    /// Runs a command, which has to end with that exit code, and returns what it printed.
    fn ends(&self, command: &mut Command, exit_code: i32) -> (String, String) {
        let output = command.output().unwrap();
        self.assert_no_key_in(&output);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let (printed, message) = (text(output.stdout), text(output.stderr));
        assert_eq!(output.status.code(), Some(exit_code), "{printed}{message}");
        (printed, message)
    }

    fn succeeds(&self, arguments: &[&str]) -> String {
        self.ends(&mut self.command(arguments), 0).0
    }

    /// No content key stands in what was printed, nor in any file, in any form.
    fn assert_no_key_in(&self, output: &Output) {
        let mut texts = vec![("standard output".to_owned(), output.stdout.clone())];
        texts.push(("standard error".to_owned(), output.stderr.clone()));
        let mut folders = vec![self.workspace.folder().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if let Ok(bytes) = std::fs::read(&path) {
                    texts.push((path.display().to_string(), bytes));
                }
            }
        }
        for (master_key, salt) in [(&MASTER_KEY, &SALT), (&NEW_MASTER_KEY, &NEW_SALT)] {
            for id in [CONTENT_ID, OTHER_ID] {
                let key = &derive::expand(master_key, salt, id)[..16];
                let hex = hex::encode(key);
                for form in [key.to_vec(), hex.clone().into(), hex.to_uppercase().into(), base64(key)] {
                    for (name, bytes) in &texts {
                        let found = bytes.windows(form.len()).any(|window| window == form);
                        assert!(!found, "the content key of {id} stands in {name}");
                    }
                }
            }
        }
    }

    fn file(&self, name: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.workspace.path(name)).unwrap()).unwrap()
    }

    /// All that the store holds, by SQLite's own client.
    fn dump(&self) -> Option<String> {
        let sqlite3 = tool("sqlite3")?;
        let mut command = Command::new(sqlite3);
        let sql = "SELECT * FROM key_records ORDER BY content_id, kid";
        let output = run(command.arg("-json").arg(self.workspace.path("keys.db")).arg(sql));
        Some(String::from_utf8(output.stdout).unwrap())
    }
}

/// Base64 (RFC 4648, 4) without its padding.
fn base64(bytes: &[u8]) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits = bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
    let bits: Vec<u8> = bits.collect();
    let digits = bits
        .chunks_exact(6)
        .map(|bits| bits.iter().fold(0, |digit, bit| digit << 1 | usize::from(*bit)));
    digits.map(|digit| ALPHABET[digit]).collect()
}

#[test]
fn base64_is_that_of_the_standard() {
    assert_eq!(base64(b"foobar"), b"Zm9vYmFy");
}

/// Unwraps a record as its documentation says: AES-256-GCM, with the record's fields as associated data.
fn unwrap(record: &Value, kek: &[u8; 32]) -> Option<[u8; 16]> {
    let text = |name: &str| record[name].as_str().unwrap_or_default();
    let kid = hex::decode(text("kid")).unwrap();
    let fields = [
        text("content_id").as_bytes(),
        text("key_name").as_bytes(),
        &kid,
        text("scheme").as_bytes(),
        text("kek_version").as_bytes(),
    ];
    let mut aad = Vec::new();
    for field in fields {
        aad.extend_from_slice(&u32::try_from(field.len()).unwrap().to_be_bytes());
        aad.extend_from_slice(field);
    }
    let nonce: [u8; 12] = hex::decode(text("wrap_nonce")).unwrap().try_into().unwrap();
    let wrapped = hex::decode(text("wrapped_key")).unwrap();
    let payload = Payload {
        msg: &wrapped,
        aad: &aad,
    };
    let key = Aes256Gcm::new(kek.into()).decrypt(&Nonce::from(nonce), payload).ok()?;
    Some(key.try_into().unwrap())
}

/// The KEK that stands in for `KEK_HEX` where it isn't set.
fn default_kek() -> [u8; 32] {
    derive::expand(&MASTER_KEY, &SALT, "/kek/v1")
}

#[test]
fn list_and_show_say_what_the_store_holds() {
    let keys = Keys::new();
    let table = keys.succeeds(&["list"]);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    assert!(lines[0].starts_with("CONTENT ID  KEY NAME  KEY ID "), "{table}");
    let kid = hex::encode(derive::kid());
    assert!(
        lines[2].starts_with(&format!("{CONTENT_ID}   -         {kid}  cbcs    20")),
        "{table}"
    );
    let one = keys.succeeds(&["list", "--content-id", CONTENT_ID]);
    assert_eq!(one.lines().count(), 2, "{one}");

    if let Some(dump) = keys.dump() {
        let dump: Value = serde_json::from_str(&dump).unwrap();
        let list: Value = serde_json::from_str(&keys.succeeds(&["list", "--json"])).unwrap();
        assert_eq!(list, dump, "each field by its name");
    }
    let shown = keys.succeeds(&["show", CONTENT_ID]);
    let expected = format!("key_uri            {BASE_URL}/api/key/{CONTENT_ID}\n");
    assert!(shown.contains(&expected), "{shown}");
    assert_eq!(shown.lines().count(), 13, "{shown}");
    let records: Value = serde_json::from_str(&keys.succeeds(&["show", CONTENT_ID, "--json"])).unwrap();
    assert_eq!(records.as_array().unwrap().len(), 1);
    assert_eq!(records[0]["kid"], kid);
    assert_eq!(unwrap(&records[0], &default_kek()), Some(derive::key()));

    let (_, message) = keys.ends(&mut keys.command(&["show", "nothing"]), 1);
    assert_eq!(message, "error: there is no key record of content 'nothing'\n");
    let (_, message) = keys.ends(&mut keys.command(&["show", CONTENT_ID, "--name", "uhd"]), 1);
    assert_eq!(
        message,
        format!("error: content '{CONTENT_ID}' has no key named 'uhd'\n")
    );
    let (_, message) = keys.ends(&mut keys.command(&["list", "--store", "sqlite://mistyped.db"]), 1);
    assert!(
        message.starts_with("error: there is no record store sqlite://mistyped.db"),
        "{message}"
    );
    assert!(!keys.workspace.path("mistyped.db").exists(), "looking makes no store");
}

#[test]
fn records_of_offline_runs_are_imported_and_exported() {
    let keys = Keys::new();
    let beside = format!("out/{CONTENT_ID}/keys.json");
    let exported = keys.succeeds(&["export", "--content-id", CONTENT_ID]);
    assert_eq!(exported, std::fs::read_to_string(keys.workspace.path(&beside)).unwrap());
    let said = keys.succeeds(&["export", "--out", "all.json"]);
    assert_eq!(said, "Wrote 2 records to all.json.\n");
    assert_eq!(keys.file("all.json")["records"].as_array().unwrap().len(), 2);

    let import = |store: &str, files: &[&str]| keys.succeeds(&[&["import", "--store", store], files].concat());
    let copy = "sqlite://copy.db";
    assert_eq!(
        import(copy, &["all.json"]),
        "Imported 2 records; 0 were there already.\n"
    );
    let list = |store: &str| keys.succeeds(&["list", "--json", "--store", store]);
    assert_eq!(list(copy), list(STORE));
    assert_eq!(
        import(copy, &["all.json", &beside]),
        "Imported 0 records; 3 were there already.\n"
    );
    assert_eq!(list(copy), list(STORE));

    keys.encrypt("offline", &["--no-store"]);
    assert_eq!(
        import(STORE, &["out/offline/keys.json"]),
        "Imported 1 record; 0 were there already.\n"
    );
}

#[test]
fn a_bad_record_keeps_all_from_being_imported() {
    let keys = Keys::new();
    keys.encrypt("offline", &["--no-store"]);
    let before = keys.succeeds(&["list", "--json"]);
    let write = |name: &str, text: &str| std::fs::write(keys.workspace.path(name), text).unwrap();
    let good = "out/offline/keys.json";
    let there = std::fs::read_to_string(keys.workspace.path(format!("out/{CONTENT_ID}/keys.json"))).unwrap();

    for (field, old, new) in [
        ("key_uri", BASE_URL, "https://elsewhere.example.com"),
        ("scheme", "\"cbcs\"", "\"cenc\""),
        ("key_name", "\"key_name\": null", "\"key_name\": \"uhd\""),
        ("generation", "\"generation\": null", "\"generation\": \"0a1b2c3d\""),
        (
            "media_fingerprint",
            "\"media_fingerprint\": \"",
            "\"media_fingerprint\": \"0",
        ),
    ] {
        let other = there.replace(old, new);
        assert_ne!(other, there);
        write("conflict.json", &other);
        let (_, message) = keys.ends(&mut keys.command(&["import", good, "conflict.json"]), 1);
        let kid = hex::encode(derive::kid());
        let expected = format!(
            "error: conflict.json: record {kid} of content {CONTENT_ID} can't be imported, as {field} was recorded as "
        );
        assert!(message.starts_with(&expected), "{message}");
        assert!(message.contains("nothing was imported"), "{message}");
        assert_eq!(keys.succeeds(&["list", "--json"]), before);
    }

    for (text, expected) in [
        ("{", "bad.json is no keys.json of vylux-pack: EOF while parsing"),
        ("{\"version\": 2, \"records\": []}", "bad.json has version 2"),
        (
            &there.replace("\"cbcs\"", "7"),
            "invalid type: integer `7`, expected a string",
        ),
        (
            &there.replace(CONTENT_ID, "a film"),
            "bad.json is no keys.json of vylux-pack: ",
        ),
    ] {
        write("bad.json", text);
        let (_, message) = keys.ends(&mut keys.command(&["import", good, "bad.json"]), 3);
        assert!(message.contains(expected), "{message}");
        assert_eq!(keys.succeeds(&["list", "--json"]), before);
    }
    let (_, message) = keys.ends(&mut keys.command(&["import", good, "missing.json"]), 3);
    assert!(
        message.starts_with("error: missing.json can't be read: No such file"),
        "{message}"
    );
    assert_eq!(keys.succeeds(&["list", "--json"]), before);
}

/// The records of the store.
fn records(keys: &Keys) -> Vec<Value> {
    let list: Value = serde_json::from_str(&keys.succeeds(&["list", "--json"])).unwrap();
    list.as_array().unwrap().clone()
}

#[test]
fn rewrap_moves_records_to_the_kek_of_now() {
    let keys = Keys::new();
    let old = records(&keys);
    let rewrap = |more: &[&str]| {
        let mut command = keys.command(&[&["rewrap"], more].concat());
        command.env("KEK_HEX", hex::encode(KEK));
        keys.ends(&mut command, 0).0
    };
    let said = rewrap(&["--content-id", OTHER_ID]);
    assert!(
        said.starts_with("Moved 1 record to KEK v1-") && said.ends_with("; 0 were under it already.\n"),
        "{said}"
    );
    let said = rewrap(&[]);
    assert!(
        said.starts_with("Moved 1 record to KEK v1-") && said.ends_with("; 1 was under it already.\n"),
        "{said}"
    );
    let new = records(&keys);
    for (old, new) in old.iter().zip(&new) {
        let content_id = new["content_id"].as_str().unwrap();
        let key = derive::expand(&MASTER_KEY, &SALT, content_id);
        assert_eq!(unwrap(new, &KEK).unwrap(), key[..16]);
        assert_eq!(unwrap(new, &default_kek()), None);
        for (name, value) in old.as_object().unwrap() {
            let moves = ["wrapped_key", "wrap_nonce", "kek_version"].contains(&name.as_str());
            assert_eq!(&new[name] != value, moves, "{name}");
        }
        assert_ne!(old["wrap_nonce"], new["wrap_nonce"], "a nonce is used once");
    }
    let said = rewrap(&[]);
    assert!(said.starts_with("Moved 0 records to KEK v1-"), "{said}");
    assert_eq!(records(&keys), new);

    // To a later KEK, with the one of before as the fallback.
    let mut command = keys.command(&["rewrap"]);
    command
        .env("KEK_HEX", hex::encode(NEW_SALT))
        .env("FALLBACK_KEK_HEX", hex::encode(KEK));
    keys.ends(&mut command, 0);
    for record in records(&keys) {
        assert!(unwrap(&record, &NEW_SALT).is_some());
    }
}

#[test]
fn rewrap_reads_what_an_older_master_wrapped() {
    let keys = Keys::new();
    let mut command = keys.command(&["rewrap"]);
    command
        .env("MASTER_KEY_HEX", hex::encode(NEW_MASTER_KEY))
        .env("SALT_HEX", hex::encode(NEW_SALT));
    let (_, message) = keys.ends(&mut command, 1);
    assert!(
        message.contains("which none of the keys at hand is; set KEK_HEX"),
        "{message}"
    );

    command
        .env("FALLBACK_MASTER_KEY_HEX", hex::encode(MASTER_KEY))
        .env("FALLBACK_SALT_HEX", hex::encode(SALT));
    let (said, _) = keys.ends(&mut command, 0);
    assert_eq!(
        said.lines().count(),
        1,
        "the masters of all records are at hand: {said}"
    );
    let kek = derive::expand(&NEW_MASTER_KEY, &NEW_SALT, "/kek/v1");
    for record in records(&keys) {
        let content_id = record["content_id"].as_str().unwrap();
        assert_eq!(
            unwrap(&record, &kek).unwrap(),
            derive::expand(&MASTER_KEY, &SALT, content_id)[..16]
        );
    }

    // Without the older master, a record of the later KEK unwraps and can't be compared.
    command
        .env_remove("FALLBACK_MASTER_KEY_HEX")
        .env_remove("FALLBACK_SALT_HEX");
    let (said, _) = keys.ends(&mut command, 0);
    assert!(said.contains("The keys of 2 records were not compared"), "{said}");
}

#[test]
fn rewrap_moves_all_or_nothing() {
    let keys = Keys::new();
    let Some(sqlite3) = tool("sqlite3") else { return };
    let sql = |sql: &str| run(Command::new(&sqlite3).arg(keys.workspace.path("keys.db")).arg(sql));
    let fails = |expected: &str| {
        let before = keys.dump();
        let mut command = keys.command(&["rewrap"]);
        command.env("KEK_HEX", hex::encode(KEK));
        let (_, message) = keys.ends(&mut command, 1);
        assert!(message.contains(expected), "{message}");
        assert_eq!(keys.dump(), before);
    };
    // The second record was changed, moved, or is under a KEK that nobody has.
    let only = format!("WHERE content_id = '{CONTENT_ID}'");
    sql(&format!("UPDATE key_records SET scheme = 'cenc' {only}"));
    fails("doesn't unwrap under KEK");
    sql(&format!(
        "UPDATE key_records SET scheme = 'cbcs', kek_version = 'v1-0000000000000000' {only}"
    ));
    fails("is wrapped under KEK v1-0000000000000000");
}

#[test]
fn rewrap_compares_a_key_with_what_its_master_derives() {
    let keys = Keys::new();
    let Some(sqlite3) = tool("sqlite3") else { return };
    // The records of the old master claim to be of the new one, whose ID a run under it says.
    let out = ["--store", "sqlite://new.db", "--out", "new"];
    let mut command = keys.workspace.vylux_pack();
    command
        .arg("encrypt")
        .arg(fixture("one-sample.mp4"))
        .args(["--content-id", CONTENT_ID])
        .args(out);
    command
        .env("MASTER_KEY_HEX", hex::encode(NEW_MASTER_KEY))
        .env("SALT_HEX", hex::encode(NEW_SALT));
    run(&mut command);
    let id = keys.file("new/keys.json")["records"][0]["master_key_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let sql = format!("UPDATE key_records SET master_key_id = '{id}'");
    run(Command::new(sqlite3).arg(keys.workspace.path("keys.db")).arg(sql));

    let mut command = keys.command(&["rewrap"]);
    command
        .env("MASTER_KEY_HEX", hex::encode(NEW_MASTER_KEY))
        .env("SALT_HEX", hex::encode(NEW_SALT));
    command
        .env("FALLBACK_MASTER_KEY_HEX", hex::encode(MASTER_KEY))
        .env("FALLBACK_SALT_HEX", hex::encode(SALT));
    let (_, message) = keys.ends(&mut command, 1);
    assert!(
        message.contains(&format!("does not hold the key that its master {id} derives")),
        "{message}"
    );
}

#[test]
fn rewrap_moves_the_file_of_an_offline_run() {
    let keys = Keys::new();
    let name = format!("out/{CONTENT_ID}/keys.json");
    let old = keys.file(&name);
    let rewrap = || {
        let mut command = keys.command(&["rewrap", "--file", &name]);
        keys.ends(command.env("KEK_HEX", hex::encode(KEK)), 0).0
    };
    assert!(rewrap().starts_with("Moved 1 record to KEK v1-"));
    let new = keys.file(&name);
    assert_eq!(new["version"], 1);
    assert_eq!(unwrap(&new["records"][0], &KEK), Some(derive::key()));
    assert_eq!(new["records"][0]["created_at"], old["records"][0]["created_at"]);
    assert!(rewrap().starts_with("Moved 0 records to KEK v1-"));
    assert_eq!(keys.file(&name), new);

    let (_, message) = keys.ends(&mut keys.command(&["rewrap", "--file", &name, "--store", STORE]), 2);
    assert!(message.contains("cannot be used with"), "{message}");
    keys.ends(&mut keys.command(&["rewrap", "--file", "missing.json"]), 3);
}

#[test]
fn a_store_that_is_none_is_named() {
    let keys = Keys::new();
    std::fs::write(keys.workspace.path("text.db"), "no database ".repeat(100)).unwrap();
    let (_, message) = keys.ends(&mut keys.command(&["list", "--store", "sqlite://text.db"]), 1);
    assert!(
        message.starts_with("error: the record store text.db failed: "),
        "{message}"
    );
    for url in ["postgres://root:hunter2@host/db#", "mysql://root:hunter2@host/db"] {
        // As an argument it is refused; as a setting it is read, and still of no database that we know.
        let as_argument = keys.ends(&mut keys.command(&["list", "--store", url]), 2).1;
        assert!(as_argument.contains("DATABASE_URL_FILE"), "{as_argument}");
        let as_setting = keys.ends(keys.command(&["list"]).env("DATABASE_URL", url), 2).1;
        assert!(as_setting.contains("postgres://USER:PASSWORD@HOST"), "{as_setting}");
        assert!(
            !format!("{as_argument}{as_setting}").contains("hunter2"),
            "{as_setting}"
        );
    }
    assert!(Path::new(&keys.workspace.path("keys.db")).exists());
}

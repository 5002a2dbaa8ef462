//! A master key is rotated: docs/key-rotation.md, command by command, while a player goes on with what it had; and what
//! `encrypt`, `verify` and `keys retire` do with generations.

#![cfg(feature = "server")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::postgres::Postgres;
use common::server::Server;
use common::tokens::{hmac_token, now};
use common::{VYLUX_PACK, Workspace, derive, fixture, run, tool};
use serde_json::Value;

const TOKEN_SECRET: &str = "correct horse battery staple";

/// All files below a folder, with their bytes.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(path) = folders.pop() {
        for entry in fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.insert(path.strip_prefix(folder).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    files
}

fn records(file: &Path) -> Vec<Value> {
    let file: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    file["records"].as_array().unwrap().clone()
}

fn key_of(master: &[[u8; 32]; 2], info: &str) -> Vec<u8> {
    derive::expand(&master[0], &master[1], info)[..16].to_vec()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

/// The blocks of commands of the document, in their order.
fn blocks() -> Vec<String> {
    let text = include_str!("../docs/key-rotation.md");
    let mut blocks = text.split("```sh\n").skip(1);
    let blocks: Vec<String> = blocks
        .by_ref()
        .map(|block| block.split_once("```").unwrap().0.to_owned())
        .collect();
    assert_eq!(blocks.len(), 8, "the document has other commands than this test knows");
    blocks
}

/// A workspace as the document has it: secrets in files, and a film that was encrypted.
struct Site {
    workspace: Workspace,
}

impl Site {
    fn new(store: &str) -> Self {
        let workspace = Workspace::new();
        fs::create_dir(workspace.path("secrets")).unwrap();
        fs::write(workspace.path("secrets/master_key"), hex::encode(common::MASTER_KEY)).unwrap();
        fs::write(workspace.path("secrets/salt"), hex::encode(common::SALT)).unwrap();
        let settings = format!(
            "MASTER_KEY_HEX_FILE=secrets/master_key\nSALT_HEX_FILE=secrets/salt\nBASE_URL=http://localhost:4100\n\
             KEY_TOKEN_SECRET={TOKEN_SECRET:?}\nRATE_LIMIT_KEYS=1000000\nDATABASE_URL={store}\n"
        );
        fs::write(workspace.path(".env"), settings).unwrap();
        fs::copy(fixture("demo.mp4"), workspace.path("film.mp4")).unwrap();
        let site = Self { workspace };
        run(site.command().args([
            "encrypt",
            "film.mp4",
            "--content-id",
            "film",
            "--out",
            "media/film",
            "--quiet",
        ]));
        site
    }

    fn without_secrets(mut command: Command) -> Command {
        for name in ["MASTER_KEY_HEX", "SALT_HEX", "BASE_URL"] {
            command.env_remove(name);
        }
        command
    }

    fn command(&self) -> Command {
        Self::without_secrets(self.workspace.vylux_pack())
    }

    /// Runs a block of the document.
    fn run(&self, block: &str) -> String {
        let mut shell = Self::without_secrets(self.workspace.shell());
        let programs = Path::new(VYLUX_PACK).parent().unwrap().to_owned();
        let path = std::env::var_os("PATH").unwrap();
        let path = std::env::join_paths([programs].into_iter().chain(std::env::split_paths(&path))).unwrap();
        let output = shell
            .env("PATH", path)
            .arg(format!("set -eu\n{block}"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{block}\n{}", said(&output));
        said(&output)
    }

    fn serve(&self) -> Server {
        let mut command = self.command();
        Server::start(command.args(["serve", "--listen", "127.0.0.1:0", "--media", "media"]))
    }

    /// Master key and salt of now.
    fn master(&self) -> [[u8; 32]; 2] {
        ["master_key", "salt"].map(|name| {
            let text = fs::read_to_string(self.workspace.path(format!("secrets/{name}"))).unwrap();
            hex::decode(text.trim()).unwrap().try_into().unwrap()
        })
    }
}

fn get(server: &Server, path: &str) -> (u16, Vec<u8>) {
    let claims = format!(r#"{{"hash":"film","exp":{}}}"#, now() + 600);
    let token = hmac_token(TOKEN_SECRET, &claims);
    let answer = server.ask(&format!("GET {path}"), &[&format!("Authorization: Bearer {token}")]);
    (answer.status, answer.body)
}

/// The path of a key URI.
fn path_of(record: &Value) -> String {
    let uri = record["key_uri"].as_str().unwrap();
    uri.strip_prefix("http://localhost:4100").unwrap().to_owned()
}

/// Works while a player asks for a key all the time, and always gets that answer.
fn while_asked(server: &Server, path: &str, answer: &(u16, Vec<u8>), work: impl FnOnce() -> String) -> String {
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let player = scope.spawn(|| {
            let mut asked = 0;
            while !ended.load(Ordering::SeqCst) || asked < 2 {
                assert_eq!(get(server, path), *answer);
                asked += 1;
            }
        });
        let said = work();
        ended.store(true, Ordering::SeqCst);
        player.join().unwrap();
        said
    })
}

/// The document from its beginning to its end.
fn the_document(store: &str) {
    let site = Site::new(store);
    let media = site.workspace.path("media/film");
    let blocks = blocks();
    let first = site.master();
    assert!(site.run(&blocks[0]).contains("film"));
    let before = files(&media);
    site.run(&blocks[1]);
    let second = site.master();
    assert_ne!(first, second);
    site.run(&blocks[2]);
    let server = site.serve();

    // A player that has read the old playlists, and asks for all that they name, again and again.
    let ended = AtomicBool::new(false);
    let rounds = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let player = scope.spawn(|| {
            while !ended.load(Ordering::SeqCst) {
                for (path, bytes) in &before {
                    if ["master.m3u8", "manifest.mpd", "keys.json"]
                        .iter()
                        .any(|name| path == Path::new(name))
                    {
                        continue;
                    }
                    let path = path.display();
                    assert_eq!(
                        get(&server, &format!("/media/film/{path}")),
                        (200, bytes.clone()),
                        "{path}"
                    );
                    assert_eq!(get(&server, "/api/key/film"), (200, key_of(&first, "film")));
                }
                rounds.fetch_add(1, Ordering::SeqCst);
            }
        });
        let goes_on = || {
            let (begun, round) = (Instant::now(), rounds.load(Ordering::SeqCst));
            while rounds.load(Ordering::SeqCst) < round + 2 && !player.is_finished() {
                assert!(begun.elapsed() < Duration::from_mins(1));
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        goes_on();
        site.run(&blocks[3]);
        goes_on();
        let said = site.run(&blocks[4]);
        assert!(said.contains("waits for `keys retire`"), "{said}");
        goes_on();
        ended.store(true, Ordering::SeqCst);
        player.join().unwrap();
    });

    let mut both = records(&media.join("keys.json"));
    both.sort_by_key(|record| record["generation"].is_string());
    assert_eq!(both.len(), 2);
    assert_eq!(path_of(&both[0]), "/api/key/film");
    let new_uri = path_of(&both[1]);
    assert_eq!(
        new_uri,
        format!("/api/key/film/{}", hex::encode(key_of(&second, "film/kid")))
    );
    assert_eq!(get(&server, &new_uri), (200, key_of(&second, "film")));
    let generation = both[1]["generation"].as_str().unwrap();
    assert_eq!(generation, hex::encode(&key_of(&second, "/master/id")[..4]));
    let master = fs::read_to_string(media.join("master.m3u8")).unwrap();
    let named: Vec<&str> = master.lines().filter(|line| line.contains("playlist.m3u8")).collect();
    assert!(
        !named.is_empty() && named.iter().all(|line| line.contains(&format!("{generation}/"))),
        "{master}"
    );

    // Whoever plays the new generation goes on while the old one is retired and the records are wrapped anew.
    let goes_on_while = |block: &str| {
        let key = (200, key_of(&second, "film"));
        while_asked(&server, &new_uri, &key, || site.run(block))
    };
    goes_on_while("vylux-pack keys rewrap");
    let said = goes_on_while(&blocks[5]);
    assert!(
        said.contains("would be removed") && !said.contains("waits for"),
        "{said}"
    );
    let begun = Instant::now();
    // A server keeps a key for some seconds.
    while get(&server, "/api/key/film").0 == 200 {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "the retired key is still handed out"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(get(&server, "/api/key/film").0, 404);
    assert_eq!(get(&server, "/keys/film").0, 404);
    assert_eq!(get(&server, &new_uri), (200, key_of(&second, "film")));
    for path in before.keys().filter(|path| path.components().count() > 1) {
        assert_eq!(get(&server, &format!("/media/film/{}", path.display())).0, 404);
    }

    site.run(&blocks[6]);
    drop(server);
    let server = site.serve();
    assert_eq!(get(&server, &new_uri), (200, key_of(&second, "film")));
    drop(server);
    site.run(&blocks[7]);
    assert_eq!(get(&site.serve(), &new_uri), (200, key_of(&second, "film")));
}

#[test]
fn the_document_works_as_it_stands() {
    if tool("openssl").is_some() {
        the_document("sqlite://records.db");
    }
}

#[test]
fn the_document_works_on_postgres() {
    let (Some(postgres), Some(_)) = (Postgres::start(), tool("openssl")) else {
        return;
    };
    the_document(&postgres.create("films"));
}

/// A master key and salt, of one digit each.
fn master(digit: u8) -> [[u8; 32]; 2] {
    [[digit * 0x11; 32], [digit * 0x10 + 0x0f; 32]]
}

/// The program with masters by digits, the one of now first.
fn command(workspace: &Workspace, now: u8, fallback: Option<u8>) -> Command {
    let mut command = workspace.vylux_pack();
    let [key, salt] = master(now).map(hex::encode);
    command.env("MASTER_KEY_HEX", key).env("SALT_HEX", salt);
    if let Some(fallback) = fallback {
        let [key, salt] = master(fallback).map(hex::encode);
        command
            .env("FALLBACK_MASTER_KEY_HEX", key)
            .env("FALLBACK_SALT_HEX", salt);
    }
    command
}

fn under(workspace: &Workspace, now: u8, fallback: Option<u8>, arguments: &[&str]) -> Output {
    command(workspace, now, fallback).args(arguments).output().unwrap()
}

#[track_caller]
fn succeeds(output: &Output) -> String {
    assert!(output.status.success(), "{}", said(output));
    said(output)
}

#[track_caller]
fn fails(output: &Output, with: &str) {
    assert_eq!(output.status.code(), Some(1), "{}", said(output));
    assert!(said(output).contains(with), "{}", said(output));
}

/// What encrypts the film of these tests; other options come behind.
fn encrypt<'a>(film: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["encrypt", film, "--content-id", "film", "--quiet", "--keys", "per-type"];
    arguments.extend(more);
    arguments
}

fn film() -> String {
    fixture("demo.mp4").display().to_string()
}

/// Files that caches may keep for ever.
fn immutable(files: &BTreeMap<PathBuf, Vec<u8>>) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = files.clone();
    files.retain(|path, _| path.components().count() > 1);
    files
}

#[test]
fn no_url_ever_has_other_bytes() {
    let work = Workspace::new();
    let out = work.path("out/film");
    let film = film();
    let mut ever: BTreeMap<PathBuf, Vec<u8>> = BTreeMap::new();
    for (now, fallback) in [(1, None), (2, Some(1)), (3, Some(2))] {
        succeeds(&under(&work, now, fallback, &encrypt(&film, &[])));
        let all = files(&out);
        for (path, bytes) in &ever {
            assert_eq!(all.get(path), Some(bytes), "{} after master {now}", path.display());
        }
        ever.extend(immutable(&all));
        // The same command gives the same bytes.
        succeeds(&under(&work, now, fallback, &encrypt(&film, &[])));
        assert_eq!(files(&out), all, "again under master {now}");
        let records = records(&out.join("keys.json"));
        assert_eq!(records.len(), 2 * usize::from(now));
        let said = succeeds(&under(&work, now, fallback, &["keys", "list", "--content-id", "film"]));
        assert_eq!(said.lines().count(), 1 + records.len(), "{said}");
    }
    let three = files(&out);
    let said = succeeds(&under(&work, 3, Some(2), &["keys", "retire", "--content-id", "film"]));
    assert!(said.contains("4 records"), "{said}");
    let left = files(&out);
    let generation = hex::encode(&key_of(&master(3), "/master/id")[..4]);
    assert!(immutable(&left).keys().all(|path| path.starts_with(&generation)));
    assert_eq!(
        left["master.m3u8".as_ref() as &Path],
        three["master.m3u8".as_ref() as &Path]
    );
    succeeds(&under(&work, 3, None, &["verify", "out/film", "--source", &film]));

    // Forgotten masters change nothing: here, and in an empty folder.
    succeeds(&under(&work, 3, None, &encrypt(&film, &[])));
    assert_eq!(files(&out), left);
    succeeds(&under(&work, 3, None, &encrypt(&film, &["--out", "elsewhere"])));
    assert_eq!(files(&work.path("elsewhere")), left);
    let said = succeeds(&under(&work, 3, None, &["keys", "retire", "--content-id", "film"]));
    assert!(said.contains("nothing of an older master key"), "{said}");
    assert_eq!(files(&out), left);
    // Back to one of before is one more generation.
    succeeds(&under(&work, 1, Some(3), &encrypt(&film, &[])));
    succeeds(&under(&work, 1, Some(3), &["verify", "out/film", "--source", &film]));
    succeeds(&under(&work, 1, Some(3), &["keys", "retire", "--content-id", "film"]));
    succeeds(&under(&work, 1, None, &["verify", "out/film", "--source", &film]));
    assert!(!out.join(generation).exists());
}

#[test]
fn what_is_no_rotation_is_refused() {
    let work = Workspace::new();
    let film = film();
    succeeds(&under(&work, 1, None, &encrypt(&film, &[])));
    let before = files(&work.path("out/film"));
    let same = || assert_eq!(files(&work.path("out/film")), before);
    fails(&under(&work, 2, None, &encrypt(&film, &[])), "FALLBACK_MASTER_KEY_HEX");
    fails(
        &under(&work, 2, Some(3), &encrypt(&film, &[])),
        "FALLBACK_MASTER_KEY_HEX",
    );
    let other = fixture("cmaf.mp4").display().to_string();
    fails(&under(&work, 2, Some(1), &encrypt(&other, &[])), "media_fingerprint");
    let retire = ["keys", "retire", "--content-id", "film"];
    fails(&under(&work, 2, Some(1), &retire), "no record of the master key of now");
    same();

    next_second();
    // The store knows of the new generation, and the output that is published does not.
    succeeds(&under(&work, 2, Some(1), &encrypt(&film, &["--out", "elsewhere"])));
    fails(
        &under(&work, 2, Some(1), &retire),
        "has no record of the master key of now",
    );
    fails(
        &under(
            &work,
            2,
            Some(1),
            &["keys", "retire", "--content-id", "film", "--out", "nowhere"],
        ),
        "there is no nowhere/keys.json",
    );
    same();
    let list = succeeds(&under(&work, 2, Some(1), &["keys", "list", "--json"]));
    assert_eq!(
        serde_json::from_str::<Value>(&list).unwrap().as_array().unwrap().len(),
        4
    );
    // With the older master key in the settings, the newest generation would be what goes.
    succeeds(&under(&work, 2, Some(1), &encrypt(&film, &[])));
    let before = files(&work.path("out/film"));
    for (option, said) in [
        (vec![], "names files in"),
        (vec!["--dry-run"], "names files in"),
        (vec!["--records-only"], "its newest record is of another master key"),
    ] {
        fails(&under(&work, 1, Some(2), &[&retire[..], &option].concat()), said);
        let list = succeeds(&under(&work, 1, Some(2), &["keys", "list"]));
        assert_eq!(
            (files(&work.path("out/film")), list.lines().count()),
            (before.clone(), 5)
        );
    }
    // Files of nobody are not taken for an older generation.
    fs::create_dir_all(work.path("elsewhere/01234567/video")).unwrap();
    fs::write(work.path("elsewhere/01234567/video/stray"), "stray").unwrap();
    let output = under(&work, 2, None, &["verify", "elsewhere"]);
    assert_eq!(output.status.code(), Some(4));
    assert!(said(&output).contains("01234567"), "{}", said(&output));
}

/// A run that was killed between two of its steps leaves one of these; the next one finishes.
#[test]
fn retiring_is_finished_by_the_next_run() {
    let film = film();
    for step in 0..5 {
        let work = Workspace::new();
        let out = work.path("out/film");
        succeeds(&under(&work, 1, None, &encrypt(&film, &[])));
        succeeds(&under(&work, 2, Some(1), &encrypt(&film, &[])));
        let all = files(&out);
        let mut kept = records(&out.join("keys.json"));
        kept.retain(|record| record["generation"].is_string());
        if step > 0 {
            fs::rename(
                out.join("video"),
                work.path("out/.film.0123456789abcdef.vylux-pack-tmp"),
            )
            .unwrap();
        }
        if step > 1 {
            fs::remove_dir_all(out.join("audio")).unwrap();
        }
        if step > 2 {
            let file = serde_json::json!({"version": 1, "records": kept});
            fs::write(out.join("keys.json"), file.to_string()).unwrap();
        }
        let retire = ["keys", "retire", "--content-id", "film"];
        if step > 3 {
            succeeds(&under(
                &work,
                2,
                Some(1),
                &["keys", "retire", "--content-id", "film", "--records-only"],
            ));
        }
        let dry = succeeds(&under(&work, 2, Some(1), &[&retire[..], &["--dry-run"]].concat()));
        assert_eq!(dry.contains("would be removed"), step < 4, "{dry}");
        succeeds(&under(&work, 2, Some(1), &retire));
        let left = files(&out);
        let names: BTreeSet<_> = left.keys().filter_map(|path| path.iter().next()).collect();
        assert_eq!(names.len(), 4, "step {step}: {names:?}");
        for (path, bytes) in immutable(&left) {
            assert_eq!(all.get(&path), Some(&bytes));
        }
        assert_eq!(records(&out.join("keys.json")), kept, "step {step}");
        let beside: Vec<_> = fs::read_dir(work.path("out")).unwrap().collect();
        assert_eq!(beside.len(), 1, "step {step}: {beside:?}");
        let said = succeeds(&under(&work, 2, None, &["keys", "list", "--json"]));
        assert_eq!(
            serde_json::from_str::<Value>(&said).unwrap().as_array().unwrap().len(),
            2
        );
        succeeds(&under(&work, 2, None, &["verify", "out/film", "--source", &film]));
    }
}

#[test]
fn a_kill_at_any_moment_leaves_no_media_without_its_key() {
    let film = film();
    let work = Workspace::new();
    let out = work.path("out/film");
    let mut was_interrupted = false;
    for delay_ms in 0..20 {
        succeeds(&under(&work, 1, Some(2), &encrypt(&film, &[])));
        let (now, fallback) = (2, Some(1));
        succeeds(&under(&work, now, fallback, &encrypt(&film, &[])));
        let mut retire = command(&work, now, fallback);
        let mut retire = retire
            .args(["keys", "retire", "--content-id", "film"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(delay_ms * 2));
        retire.kill().unwrap();
        was_interrupted |= !retire.wait().unwrap().success();
        let list = succeeds(&under(&work, now, fallback, &["keys", "list", "--json"]));
        let stored: Vec<Value> = serde_json::from_str(&list).unwrap();
        let has_older = stored.iter().any(|record| record["generation"].is_null());
        assert!(
            has_older || !(out.join("video").exists() || out.join("audio").exists()),
            "after {delay_ms}"
        );
        succeeds(&under(
            &work,
            now,
            fallback,
            &["keys", "retire", "--content-id", "film"],
        ));
        assert!(!out.join("video").exists() && !out.join("audio").exists());
        succeeds(&under(&work, now, None, &["verify", "out/film", "--source", &film]));
        fs::remove_dir_all(work.path("out")).unwrap();
        fs::remove_file(work.path("vylux-pack.db")).unwrap();
    }
    assert!(was_interrupted, "no run was killed before it had ended");
}

#[test]
fn all_contents_that_were_encrypted_again_are_retired_at_once() {
    let work = Workspace::new();
    let film = film();
    for content_id in ["one", "two", "three"] {
        let arguments = ["encrypt", &film, "--content-id", content_id, "--quiet"];
        succeeds(&under(&work, 1, None, &arguments));
        if content_id != "two" {
            succeeds(&under(&work, 2, Some(1), &arguments));
        }
    }
    let two = files(&work.path("out/two"));
    let said = succeeds(&under(&work, 2, Some(1), &["keys", "retire", "--all"]));
    assert!(said.contains("two: left as it is"), "{said}");
    assert_eq!(files(&work.path("out/two")), two);
    for content_id in ["one", "three"] {
        let out = format!("out/{content_id}");
        assert!(!work.path(&out).join("video").exists());
        succeeds(&under(&work, 2, None, &["verify", &out, "--source", &film]));
    }
}

/// Records tell seconds apart.
fn next_second() {
    std::thread::sleep(Duration::from_millis(1100));
}

#[test]
fn whoever_does_not_know_the_newest_master_is_refused() {
    let work = Workspace::new();
    let film = film();
    succeeds(&under(&work, 1, None, &encrypt(&film, &[])));
    next_second();
    succeeds(&under(&work, 2, Some(1), &encrypt(&film, &[])));
    let before = files(&work.path("out/film"));
    // An older machine, and a mistyped master beside the oldest one.
    for (now, fallback) in [(1, None), (1, Some(3)), (3, Some(1))] {
        fails(
            &under(&work, now, fallback, &encrypt(&film, &[])),
            "FALLBACK_MASTER_KEY_HEX",
        );
    }
    let other = fixture("cmaf.mp4").display().to_string();
    succeeds(&under(&work, 2, Some(1), &encrypt(&other, &["--replace"])));
    // The film of the newest master is the film, whoever knows another one.
    fails(&under(&work, 1, Some(2), &encrypt(&film, &[])), "media_fingerprint");
    succeeds(&under(&work, 2, Some(1), &encrypt(&film, &["--replace"])));
    assert_eq!(immutable(&files(&work.path("out/film"))), immutable(&before));
    // Back, by somebody who knows.
    succeeds(&under(&work, 1, Some(2), &encrypt(&film, &[])));
    let master = fs::read_to_string(work.path("out/film/master.m3u8")).unwrap();
    assert!(master.lines().any(|line| line.starts_with("video/")), "{master}");
    assert_eq!(immutable(&files(&work.path("out/film"))), immutable(&before));
}

#[test]
fn another_base_url_leaves_each_key_its_kind_of_uri() {
    let work = Workspace::new();
    let film = film();
    let single = ["encrypt", &film, "--content-id", "film", "--quiet"];
    succeeds(&under(&work, 1, None, &single));
    succeeds(&under(&work, 2, Some(1), &single));
    let moved = [&single[..], &["--replace", "--base-url", "https://elsewhere.example"]].concat();
    succeeds(&under(&work, 2, Some(1), &moved));
    let records = records(&work.path("out/film/keys.json"));
    let kid = hex::encode(key_of(&master(2), "film/kid"));
    let record = records.iter().find(|record| record["kid"] == *kid).unwrap();
    let uri = format!("https://elsewhere.example/api/key/film/{kid}");
    assert_eq!(record["key_uri"], *uri);
}

#[test]
fn generations_outlive_a_lost_keys_file_and_clear_media_outlive_nothing() {
    let work = Workspace::new();
    let (film, out) = (film(), work.path("out/film"));
    succeeds(&under(&work, 1, None, &encrypt(&film, &[])));
    next_second();
    succeeds(&under(&work, 2, Some(1), &encrypt(&film, &[])));
    let before = files(&out);
    fs::remove_file(out.join("keys.json")).unwrap();
    succeeds(&under(&work, 2, Some(1), &encrypt(&film, &[])));
    assert_eq!(files(&out), before);

    let clear = [
        "encrypt",
        &film,
        "--content-id",
        "film",
        "--quiet",
        "--scheme",
        "none",
        "--replace",
    ];
    succeeds(&under(&work, 2, Some(1), &clear));
    assert!(out.join("video").exists() && !out.join("keys.json").exists());
    succeeds(&under(&work, 2, Some(1), &encrypt(&film, &[])));
    assert!(!out.join("video").exists(), "the clear film is still there");
}

#[test]
fn one_run_at_a_time_works_on_an_output() {
    let work = Workspace::new();
    let (film, out) = (film(), work.path("out/film"));
    succeeds(&under(&work, 1, None, &encrypt(&film, &[])));
    succeeds(&under(&work, 2, Some(1), &encrypt(&film, &[])));
    let before = files(&out);
    let lock = fs::File::open(&out).unwrap();
    lock.lock().unwrap();
    let retire = ["keys", "retire", "--content-id", "film"];
    fails(&under(&work, 2, Some(1), &retire), "is being worked on by another run");
    let mut waiting = command(&work, 2, Some(1)).args(encrypt(&film, &[])).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(700));
    assert!(waiting.try_wait().unwrap().is_none(), "it does not wait");
    assert_eq!(files(&out), before);
    drop(lock);
    assert!(waiting.wait().unwrap().success());
    assert_eq!(files(&out), before);
    succeeds(&under(&work, 2, Some(1), &retire));
}

#[test]
fn all_goes_on_behind_what_cannot_be_retired() {
    let work = Workspace::new();
    let film = film();
    for id in ["a", "b", "c"] {
        for (now, fallback) in [(1, None), (2, Some(1))] {
            let single = ["encrypt", &film, "--content-id", id, "--quiet"];
            succeeds(&under(&work, now, fallback, &single));
        }
    }
    fs::rename(work.path("out/b"), work.path("moved")).unwrap();
    let output = under(&work, 2, Some(1), &["keys", "retire", "--all"]);
    fails(&output, "1 of 3 contents could not be retired");
    assert!(
        said(&output).contains("there is no out/b/keys.json"),
        "{}",
        said(&output)
    );
    assert!(!work.path("out/a/video").exists() && !work.path("out/c/video").exists());
    assert!(work.path("moved/video").exists());
    let list = succeeds(&under(&work, 2, Some(1), &["keys", "list"]));
    assert_eq!(list.lines().count(), 1 + 4, "{list}");
    let output = under(&work, 2, Some(1), &["keys", "retire", "--all", "--records-only"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
}

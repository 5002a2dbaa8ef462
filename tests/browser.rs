//! A browser plays what we encrypt: the page at `/player`, in Chromium, with hls.js and with Shaka Player.
//!
//! The page and the media come from one origin, the key from another, as they do in production. `browser/play.mjs` presses
//! the buttons and tells what it saw and heard; the clear film in the same player says what should have been.

#![cfg(feature = "server")]
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use common::server::Server;
use common::{Workspace, fixture, run, tool, trees};
use serde_json::{Value, json};

/// Where pictures are compared, in seconds: within frames of both segments, and not where either begins.
const SEEKS: [f64; 5] = [0.5, 2.3, 5.1, 7.7, 11.1];

/// Of 255. Silence is 0.
const HEARD: u64 = 100;

const KEY_TOKEN_SECRET: &str = "the token secret of all the tests";
const ADMIN_TOKEN: &str = "an administrator's token of 40 characters";

const PLAYERS: [&str; 2] = ["hls", "shaka"];

/// What the browser is driven with.
struct Browser {
    node: PathBuf,
    chromium: PathBuf,
    playwright: PathBuf,
}

impl Browser {
    /// `None` where something is missing: the test is skipped then.
    fn find() -> Option<Self> {
        let playwright = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/oracles/node/node_modules/playwright-core");
        if !playwright.join("index.js").is_file() {
            common::skip("playwright-core is not installed; fixtures/oracles.sh installs it");
            return None;
        }
        Some(Self {
            node: tool("node")?,
            chromium: tool("chromium")?,
            playwright,
        })
    }

    /// Plays all cases, one after the other, and returns what became of each.
    fn play(&self, cases: &[Value]) -> Vec<Value> {
        let answers = self.run("play.mjs", cases);
        for answer in &answers {
            // The page keeps to its own policy, and throws nothing.
            assert_eq!(answer["complaints"], json!([]), "{answer}");
        }
        answers
    }

    /// Has a script of `tests/browser` do all cases.
    fn run(&self, script: &str, cases: &[Value]) -> Vec<Value> {
        let mut node = Command::new(&self.node);
        node.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser").join(script));
        let mut node = node
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A folder that pictures of the page are left in, for somebody to look at.
        let pictures = std::env::var_os("PICTURES").map(PathBuf::from);
        let job =
            json!({ "playwright": self.playwright, "chromium": self.chromium, "cases": cases, "pictures": pictures });
        node.stdin
            .take()
            .unwrap()
            .write_all(job.to_string().as_bytes())
            .unwrap();
        let output = node.wait_with_output().unwrap();
        let lines = String::from_utf8(output.stdout).unwrap();
        let answers: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && answers.len() == cases.len(),
            "{message}\n{lines}"
        );
        for answer in &answers {
            assert_eq!(answer.get("broken"), None, "{answer}");
        }
        answers
    }
}

/// The folder whose media the page plays; the server of it and of the page.
fn page_server(workspace: &Workspace) -> (Server, String) {
    std::fs::create_dir(workspace.path("out")).unwrap();
    let mut command = workspace.vylux_pack();
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--derive-any", "--media", "out"])
        .env("KEY_TOKEN_SECRET", KEY_TOKEN_SECRET);
    let server = Server::start(&mut command);
    let origin = origin(&server);
    (server, origin)
}

/// A server with a store, which hands keys to pages of `origin`.
fn key_server(workspace: &Workspace, origin: &str, more: &[(&str, &str)]) -> Server {
    let mut command = workspace.vylux_pack();
    command
        .args(["serve", "--listen", "127.0.0.1:0"])
        .env("KEY_TOKEN_SECRET", KEY_TOKEN_SECRET)
        .env("CORS_ORIGINS", origin)
        .env("RATE_LIMIT_KEYS", "1000")
        .envs(more.iter().copied());
    Server::start(&mut command)
}

/// A server that has another key for each content.
fn wrong_key_server(workspace: &Workspace, origin: &str) -> Server {
    let mut command = workspace.vylux_pack();
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--derive-any"])
        .env("MASTER_KEY_HEX", "ab".repeat(32))
        .env("KEY_TOKEN_SECRET", KEY_TOKEN_SECRET)
        .env("CORS_ORIGINS", origin);
    Server::start(&mut command)
}

/// Clear Key needs a secure context, which `localhost` is without TLS.
fn origin(server: &Server) -> String {
    format!("http://localhost:{}", server.address.port())
}

fn encrypt(workspace: &Workspace, out: &str, inputs: &[&str], more: &[&str]) {
    let mut command = workspace.vylux_pack();
    command
        .arg("encrypt")
        .args(inputs.iter().map(|name| fixture(name)))
        .args(more);
    run(command.args(["--quiet", "--out", &format!("out/{out}")]));
}

fn mint(workspace: &Workspace, content_id: &str) -> String {
    let mut command = workspace.vylux_pack();
    command
        .args(["token", "mint", "--content-id", content_id])
        .env("KEY_TOKEN_SECRET", KEY_TOKEN_SECRET);
    String::from_utf8(run(&mut command).stdout).unwrap().trim().to_owned()
}

/// A token of five seconds ago.
fn expired(content_id: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let secret = vylux_pack::secret::SecretText::from(KEY_TOKEN_SECRET.to_owned());
    let expires = i64::try_from(now).unwrap() - 5;
    vylux_pack::access::mint(
        &secret,
        &content_id.parse().unwrap(),
        None,
        &vylux_pack::access::KeyScope::All,
        expires,
    )
}

#[track_caller]
fn assert_played(answer: &Value) {
    assert_eq!(answer["over"], "played", "{answer}");
    assert!(answer["seconds"].as_f64().unwrap() > 1.0, "{answer}");
    assert!(
        answer["loudest"].as_u64().unwrap() >= HEARD,
        "no tone was heard: {answer}"
    );
    let pictures = answer["pictures"].as_array().unwrap();
    assert!(
        pictures.iter().all(Value::is_string),
        "a picture was not seen: {answer}"
    );
    // A licence that a player makes of a key is a data: URL with the key in it.
    let log = answer["shown"]["log"].as_str().unwrap();
    assert!(log.contains("Fragment") && !log.contains("base64"), "{answer}");
    for id in ["first-frame", "fragment-load", "buffer"] {
        assert!(answer["shown"][id].as_str().unwrap().ends_with('s'), "{id}: {answer}");
    }
}

/// The key came, and opened nothing.
#[track_caller]
fn assert_opens_nothing(answer: &Value) {
    assert_eq!(answer["key_requests"][0]["status"], 200, "{answer}");
    assert_eq!(answer["over"], "error", "{answer}");
    let title = &answer["error"]["title"];
    assert_eq!(title, "The film can\u{2019}t be played", "{answer}");
    assert!(answer["seconds"].as_f64().unwrap() < 0.5, "it played: {answer}");
}

#[track_caller]
fn assert_refused(answer: &Value, status: &str, title: &str) {
    assert_eq!(answer["over"], "error", "{answer}");
    assert_eq!(answer["error"]["code"], status, "{answer}");
    assert_eq!(answer["error"]["title"], title, "{answer}");
    assert!(answer["seconds"].as_f64().unwrap() < 0.1, "it played: {answer}");
    assert_eq!(answer["loudest"], 0, "it was heard: {answer}");
    // Its request can be found in the log.
    assert!(
        answer["error"]["request"].as_str().unwrap().len() > "Request ".len(),
        "{answer}"
    );
    // Players ask again; the page ends that.
    let asked = answer["key_requests"].as_array().unwrap().len();
    assert!((1..=3).contains(&asked), "asked {asked} times: {answer}");
}

#[test]
fn plays_with_the_right_token_and_key_alone() {
    let Some(browser) = Browser::find() else { return };
    let workspace = Workspace::new();
    let (_page_server, page) = page_server(&workspace);
    let keys = key_server(&workspace, &page, &[]);
    let wrong_keys = wrong_key_server(&workspace, &page);
    let demo = ["demo.mp4"];
    encrypt(
        &workspace,
        "clear",
        &demo,
        &["--content-id", "film", "--scheme", "none", "--no-store"],
    );
    let wrong = ["--content-id", "film", "--no-store", "--base-url", &origin(&wrong_keys)];
    encrypt(&workspace, "wrong", &demo, &wrong);
    encrypt(
        &workspace,
        "film",
        &demo,
        &["--content-id", "film", "--base-url", &origin(&keys)],
    );
    let unknown = ["--content-id", "unknown", "--no-store", "--base-url", &origin(&keys)];
    encrypt(&workspace, "unknown", &demo, &unknown);

    let token = mint(&workspace, "film");
    let case = |name: &str, player: &str, asset: &str, token: &str| json!({ "name": name, "page": page, "asset": asset, "player": player, "token": token, "seeks": SEEKS });
    let cases: Vec<Value> = PLAYERS
        .iter()
        .flat_map(|player| {
            [
                case("clear", player, "clear", ""),
                case("right", player, "film", &token),
                case("no token", player, "film", ""),
                case("expired token", player, "film", &expired("film")),
                case("token for other content", player, "film", &mint(&workspace, "other")),
                case("wrong key", player, "wrong", &token),
                case("no record", player, "unknown", &mint(&workspace, "unknown")),
            ]
        })
        .collect();
    let answers = browser.play(&cases);
    for (answers, player) in answers.chunks(7).zip(PLAYERS) {
        println!("{player}");
        let [clear, right, missing, expired, other, wrong_key, unknown] = answers else {
            panic!("{answers:?}")
        };
        assert_played(clear);
        assert_played(right);
        assert_eq!(clear["key_requests"], json!([]));
        assert_eq!(
            right["key_requests"][0],
            json!({ "origin": origin(&keys), "status": 200 })
        );
        assert!(right["shown"]["key-fetch"].as_str().unwrap().ends_with("ms"), "{right}");
        let pictures = clear["pictures"].as_array().unwrap();
        assert_eq!(right["pictures"].as_array().unwrap(), pictures, "{right}");
        let different: std::collections::BTreeSet<_> = pictures.iter().map(Value::as_str).collect();
        assert_eq!(
            different.len(),
            SEEKS.len(),
            "pictures that are all alike tell nothing: {clear}"
        );

        assert_refused(missing, "401", "A token is needed");
        assert_refused(expired, "403", "The token does not open this content");
        assert_refused(other, "403", "The token does not open this content");
        assert_refused(unknown, "404", "There is no such key");
        assert_opens_nothing(wrong_key);
    }
    for server in [&keys, &wrong_keys] {
        assert!(!server.log().contains(&token), "the log has a token");
    }
}

/// Where keys need a lease, the page takes one for whom the token names, renews it while the film plays, and needs a token that
/// names somebody.
#[test]
fn the_page_holds_leases() {
    let Some(browser) = Browser::find() else { return };
    let workspace = Workspace::new();
    let (_page_server, page) = page_server(&workspace);
    let leases = [
        ("LEASE_TTL_MS", "2000"),
        ("RATE_LIMIT_LEASES", "1000"),
        ("ADMIN_TOKEN", ADMIN_TOKEN),
    ];
    let keys = key_server(&workspace, &page, &leases);
    let more = [
        "--content-id",
        "film",
        "--base-url",
        &origin(&keys),
        "--rotate-every",
        "4s",
    ];
    encrypt(&workspace, "film", &["demo.mp4"], &more);
    let named = {
        let mut command = workspace.vylux_pack();
        command
            .args(["token", "mint", "--content-id", "film", "--subject", "viewer-1"])
            .env("KEY_TOKEN_SECRET", KEY_TOKEN_SECRET);
        String::from_utf8(run(&mut command).stdout).unwrap().trim().to_owned()
    };
    let case = |player: &str, token: &str| json!({ "name": player, "page": page, "asset": "film", "player": player, "token": token, "seeks": SEEKS, "stop_for_ms": 2500, "outage": true });
    let nobody = mint(&workspace, "film");
    let revoked = |player: &str| {
        let mut case = case(player, &named);
        case["viewer"] = json!("viewer-1");
        case["revoked_by"] =
            json!({ "request": format!("{}/keys/leases/revoke", origin(&keys)), "token": ADMIN_TOKEN });
        case
    };
    let cases: Vec<Value> = PLAYERS
        .iter()
        .flat_map(|player| [case(player, &named), case(player, &nobody), revoked(player)])
        .collect();
    for answers in browser.play(&cases).chunks(3) {
        assert_played(&answers[0]);
        assert_eq!(answers[0]["renewals"], 0, "a film that was stopped holds its lease");
        assert_eq!(answers[1]["error"]["code"], "403", "{}", answers[1]);
        // It had played until then.
        assert_eq!(answers[2]["over"], "played", "{}", answers[2]);
        assert_eq!(answers[2]["error"]["title"], "The lease has ended", "{}", answers[2]);
    }
    let log = keys.log();
    for (route, reason) in [
        ("/keys/leases", "ok"),
        ("/keys/leases/renew", "ok"),
        ("/keys/leases", "lease-no-subject"),
    ] {
        let line = |line: &str| {
            line.contains(&format!("\"route\":\"{route}\"")) && line.contains(&format!("\"reason\":\"{reason}\""))
        };
        assert!(log.lines().any(line), "{route} {reason}: {log}");
    }
}

/// What others packaged plays as it played before it was encrypted: ranges of one file, and a file a segment.
#[test]
fn encrypted_trees_play() {
    let Some(browser) = Browser::find() else { return };
    let workspace = Workspace::new();
    let (_page_server, page) = page_server(&workspace);
    let keys = key_server(&workspace, &page, &[]);
    let token = mint(&workspace, "film");
    let mut cases = Vec::new();
    // ffmpeg's multivariant playlist of audio beside video names no codecs, so that hls.js does not play it.
    let makers: [(&str, trees::Make); 2] = [("single", trees::single), ("segmented", trees::segmented)];
    for (name, make) in makers {
        if make(&workspace).is_none() {
            return;
        }
        let mut command = workspace.vylux_pack();
        command.args([
            "encrypt",
            "--quiet",
            "--content-id",
            "film",
            "--replace",
            "--base-url",
            &origin(&keys),
        ]);
        run(command.args([format!("{name}/master.m3u8"), format!("--out=out/{name}")]));
        std::fs::rename(workspace.path(name), workspace.path(format!("out/clear-{name}"))).unwrap();
        for player in PLAYERS {
            for (asset, token) in [(format!("clear-{name}"), ""), (name.to_owned(), token.as_str())] {
                cases.push(json!({ "name": asset, "page": page, "asset": asset, "player": player, "token": token, "seeks": SEEKS }));
            }
        }
    }
    let answers = browser.play(&cases);
    for answers in answers.chunks(2) {
        let [clear, encrypted] = answers else {
            panic!("{answers:?}")
        };
        assert_played(clear);
        assert_played(encrypted);
        assert_eq!(clear["key_requests"], json!([]));
        assert_eq!(encrypted["key_requests"][0]["status"], 200, "{encrypted}");
        assert_eq!(encrypted["pictures"], clear["pictures"], "{encrypted}");
    }
}

#[test]
fn other_schemes_play_too() {
    let Some(browser) = Browser::find() else { return };
    let workspace = Workspace::new();
    let (_page_server, page) = page_server(&workspace);
    let keys = key_server(&workspace, &page, &[]);
    let demo = ["demo.mp4"];
    for scheme in ["none", "cenc", "aes-128"] {
        let more = ["--content-id", scheme, "--scheme", scheme, "--base-url", &origin(&keys)];
        encrypt(&workspace, scheme, &demo, &more);
    }
    let case = |player: &str, scheme: &str, token: &str| json!({ "name": scheme, "page": page, "asset": scheme, "player": player, "token": token, "seeks": SEEKS });
    let with_wrong_key = |mut case: Value| {
        case["wrong_key"] = json!(true);
        case
    };
    let cases = PLAYERS.map(|player| {
        [
            case(player, "none", ""),
            case(player, "cenc", &mint(&workspace, "cenc")),
            case(player, "aes-128", &mint(&workspace, "aes-128")),
            case(player, "aes-128", ""),
            with_wrong_key(case(player, "cenc", &mint(&workspace, "cenc"))),
            with_wrong_key(case(player, "aes-128", &mint(&workspace, "aes-128"))),
        ]
    });
    for answers in browser.play(cases.as_flattened()).chunks(6) {
        let [clear, cenc, aes_128, closed, wrong_cenc, wrong_aes_128] = answers else {
            panic!("{answers:?}")
        };
        for played in [clear, cenc, aes_128] {
            assert_played(played);
            assert_eq!(played["pictures"], clear["pictures"], "{played}");
        }
        assert_refused(closed, "401", "A token is needed");
        assert_opens_nothing(wrong_cenc);
        assert_opens_nothing(wrong_aes_128);
    }
}

/// Keys of their own for picture and sound, and keys that change: played from the start, and sought over where they change.
#[test]
fn several_keys_play() {
    let Some(browser) = Browser::find() else { return };
    let workspace = Workspace::new();
    let (_page_server, page) = page_server(&workspace);
    let keys = key_server(&workspace, &page, &[]);
    let base_url = origin(&keys);
    for (name, options) in [
        ("clear", &["--scheme", "none"][..]),
        ("per-type", &["--keys", "per-type"]),
        ("rotated", &["--rotate-every", "4s"]),
        ("both", &["--rotate-every", "4s", "--keys", "per-track"]),
    ] {
        let more = ["--content-id", name, "--base-url", &base_url, "--segment-duration", "2"];
        encrypt(&workspace, name, &["demo.mp4"], &[&more, options].concat());
    }
    // Over changes of keys, and back.
    let seeks = [0.5, 7.7, 2.3, 5.1, 0.9, 11.1];
    let case = |player: &str, name: &str, wrong_key: bool| json!({ "name": name, "page": page, "asset": name, "player": player, "token": mint(&workspace, name), "seeks": seeks, "wrong_key": wrong_key });
    let cases = PLAYERS.map(|player| {
        let right = ["clear", "per-type", "rotated", "both"].map(|name| case(player, name, false));
        let wrong = ["per-type", "rotated", "both"].map(|name| case(player, name, true));
        [&right[..], &wrong[..]].concat()
    });
    for answers in browser.play(&cases.concat()).chunks(7) {
        let (right, wrong) = answers.split_at(4);
        for played in right {
            assert_played(played);
            assert_eq!(played["pictures"], right[0]["pictures"], "{played}");
        }
        wrong.iter().for_each(assert_opens_nothing);
    }
}

/// What is heard of each language, in Hz: its code, its name and the tone.
const TONES: [(&str, &str, u32); 2] = [("eng", "English", 440), ("fra", "français", 1760)];

/// 90 seconds of a tone in AAC of that bit rate.
fn make_tone(workspace: &Workspace, ffmpeg: &Path, name: &str, (language, _, hertz): (&str, &str, u32), rate: &str) {
    let source = format!("sine=frequency={hertz}:r=48000:d=90");
    let language = format!("language={language}");
    let mut command = Command::new(ffmpeg);
    command.args(["-v", "error", "-f", "lavfi", "-i", &source, "-c:a", "aac", "-b:a", rate]);
    command.args(["-metadata:s:a:0", &language, name]);
    run(command.current_dir(workspace.folder()));
}

/// Fails unless the tone of each language was heard when it was chosen, and that of the last one behind that.
#[track_caller]
fn assert_tones(played: &Value) {
    /// How far apart the frequencies are that the page tells apart.
    const RESOLUTION_HZ: f64 = 48_000.0 / 2048.0;
    let pitches = played["pitches"].as_array().unwrap();
    assert!(pitches.len() >= TONES.len(), "{played}");
    let [.., last] = TONES;
    for ((_, _, hertz), heard) in TONES.iter().chain(std::iter::repeat(&last)).zip(pitches) {
        let heard = heard.as_f64().unwrap_or_default();
        let difference = (heard - f64::from(*hertz)).abs();
        assert!(difference <= RESOLUTION_HZ, "{hertz} Hz: {played}");
    }
}

/// Qualities and languages with keys of their own: the player goes to another of each, with its key, shows what the clear film
/// shows in that quality, and is heard in that language; and with wrong keys it is neither.
#[test]
fn a_ladder_changes_quality_and_language() {
    let (Some(browser), Some(ffmpeg)) = (Browser::find(), tool("ffmpeg")) else {
        return;
    };
    let workspace = Workspace::new();
    let (_page_server, page) = page_server(&workspace);
    let keys = key_server(&workspace, &page, &[]);
    let mut inputs = Vec::new();
    for height in [90, 180] {
        let (name, source) = (
            format!("{height}.mp4"),
            format!("testsrc2=s={}x{height}:r=25:d=90", height * 16 / 9),
        );
        let mut command = Command::new(&ffmpeg);
        command.args([
            "-v", "error", "-f", "lavfi", "-i", &source, "-c:v", "libx264", "-g", "50", &name,
        ]);
        run(command.current_dir(workspace.folder()));
        inputs.push(name);
    }
    for tone in TONES {
        let name = format!("{}.mp4", tone.0);
        make_tone(&workspace, &ffmpeg, &name, tone, "64k");
        inputs.push(name);
    }
    let base_url = origin(&keys);
    for (name, options) in [
        ("clear", &["--scheme", "none", "--no-store"][..]),
        ("film", &["--keys", "per-track", "--base-url", &base_url]),
    ] {
        let mut command = workspace.vylux_pack();
        command.arg("encrypt").args(&inputs).args(options);
        command.args(["--content-id", "film", "--segment-duration", "2", "--quiet"]);
        run(command.args(["--out", &format!("out/{name}")]));
    }
    let token = mint(&workspace, "film");
    let mut cases = Vec::new();
    for player in PLAYERS {
        for asset in ["clear", "film"] {
            for quality in ["90p", "180p"] {
                cases.push(json!({ "name": format!("{asset} {quality}"), "page": page, "asset": asset, "player": player, "token": token,
                    "quality": quality, "audio": TONES.map(|(_, name, _)| name), "seeks": SEEKS }));
            }
        }
        cases.push(json!({ "name": "wrong", "page": page, "asset": "film", "player": player, "token": token, "wrong_key": true }));
    }
    for answers in browser.play(&cases).chunks(5) {
        let [clear_small, clear, small, large, wrong] = answers else {
            panic!("{answers:?}")
        };
        for (played, clear) in [
            (clear_small, clear_small),
            (clear, clear),
            (small, clear_small),
            (large, clear),
        ] {
            assert_played(played);
            assert_tones(played);
            assert_eq!(played["pictures"], clear["pictures"], "{played}");
        }
        assert_ne!(
            clear["pictures"], clear_small["pictures"],
            "one quality looks like the other"
        );
        // Of video in the quality chosen, and of both languages.
        for played in [small, large] {
            assert!(played["key_requests"].as_array().unwrap().len() >= 3, "{played}");
        }
        assert_opens_nothing(wrong);
    }
}

/// Sound without video in two languages and two qualities, all with keys of their own: each language is heard.
#[test]
fn sound_alone_changes_language() {
    let (Some(browser), Some(ffmpeg)) = (Browser::find(), tool("ffmpeg")) else {
        return;
    };
    let workspace = Workspace::new();
    let (_page_server, page) = page_server(&workspace);
    let keys = key_server(&workspace, &page, &[]);
    let mut command = workspace.vylux_pack();
    command.arg("encrypt");
    for rate in ["64k", "128k"] {
        for tone in TONES {
            let name = format!("{}-{rate}.mp4", tone.0);
            make_tone(&workspace, &ffmpeg, &name, tone, rate);
            command.arg(name);
        }
    }
    command.args([
        "--keys",
        "per-track",
        "--base-url",
        &origin(&keys),
        "--content-id",
        "film",
    ]);
    run(command.args(["--segment-duration", "2", "--quiet"]));
    let token = mint(&workspace, "film");
    let case = |name: &str, player: &str| {
        json!({ "name": name, "page": page, "asset": "film", "player": player, "token": token,
            "audio": TONES.map(|(_, name, _)| name), "wrong_key": name == "wrong", "change_quality": true })
    };
    let cases = PLAYERS.map(|player| [case("film", player), case("wrong", player)]);
    for answers in browser.play(&cases.concat()).chunks(2) {
        let [played, wrong] = answers else {
            panic!("{answers:?}")
        };
        assert_played(played);
        assert_tones(played);
        assert_eq!(played["pitches"].as_array().unwrap().len(), TONES.len() + 1, "{played}");
        assert_opens_nothing(wrong);
    }
}

/// The second set of playlists, by a configuration of hls.js that changes no playlist.
#[test]
fn playlists_for_clear_key_play_as_they_are() {
    let Some(browser) = Browser::find() else { return };
    let workspace = Workspace::new();
    let (_page_server, page) = page_server(&workspace);
    let keys = key_server(&workspace, &page, &[]);
    let right = origin(&keys);
    for (name, options) in [
        ("clear", &["--scheme", "none"][..]),
        ("cbcs", &["--clearkey-playlists"]),
        ("cenc", &["--clearkey-playlists", "--scheme", "cenc"]),
        (
            "both",
            &["--clearkey-playlists", "--rotate-every", "4s", "--keys", "per-track"],
        ),
    ] {
        let more = ["--content-id", name, "--base-url", &right, "--segment-duration", "2"];
        encrypt(&workspace, name, &["demo.mp4"], &[&more, options].concat());
    }
    let case = |name: &str, playlist: &str, token: &str| json!({ "name": name, "page": page, "asset": name, "player": "hls", "playlist": playlist, "token": token, "seeks": SEEKS });
    let playlist = "master.clearkey.m3u8";
    let encrypted = ["cbcs", "cenc", "both"].map(|name| case(name, playlist, &mint(&workspace, name)));
    // The clear film in the same way, as the page shows a film that it plays itself in another size.
    let mut cases = vec![case("clear", "master.m3u8", "")];
    cases.extend(encrypted);
    let mut wrong = case("cbcs", playlist, &mint(&workspace, "cbcs"));
    wrong["wrong_key"] = json!(true);
    cases.push(wrong);
    cases.push(case("cbcs", playlist, &mint(&workspace, "cenc")));
    let answers = browser.play(&cases);
    let [clear, played @ .., wrong, refused] = &answers[..] else {
        panic!("{answers:?}")
    };
    for played in std::iter::once(clear).chain(played) {
        assert_eq!(played["over"], "played", "{played}");
        assert!(
            played["loudest"].as_u64().unwrap() >= HEARD,
            "no tone was heard: {played}"
        );
        assert_eq!(played["pictures"], clear["pictures"], "{played}");
        assert_eq!(played["complaints"], json!([]), "{played}");
        let asked = played["key_requests"].as_array().unwrap();
        let is_granted = |request: &Value| *request == json!({ "origin": right, "status": 200 });
        assert!(asked.iter().all(is_granted), "{played}");
        assert_eq!(asked.is_empty(), played["name"] == "clear", "{played}");
    }
    for (answer, status) in [(wrong, 200), (refused, 403)] {
        assert_eq!(answer["key_requests"][0]["status"], status, "{answer}");
        assert_ne!(answer["over"], "played", "{answer}");
        assert!(answer["seconds"].as_f64().unwrap() < 0.5, "{answer}");
    }
}

/// Keys that change by sample groups, as docs/hls.md says of each player. Pictures and sound are those of the clear film, so
/// Chromium reads the groups; who asks for a key by the ID in `tenc` gets the first one alone.
#[test]
fn sample_groups_play_where_players_ask_for_each_key() {
    let Some(browser) = Browser::find() else { return };
    let workspace = Workspace::new();
    let (_page_server, page) = page_server(&workspace);
    let keys = key_server(&workspace, &page, &[]);
    let base_url = origin(&keys);
    for (name, options) in [
        ("clear", &["--scheme", "none"][..]),
        ("rotated", &["--seig", "--rotate-every", "4s", "--clearkey-playlists"]),
        ("lead", &["--seig", "--clear-lead", "3s", "--clearkey-playlists"]),
    ] {
        let more = ["--content-id", name, "--base-url", &base_url, "--segment-duration", "2"];
        encrypt(&workspace, name, &["demo.mp4"], &[&more, options].concat());
    }
    let case = |player: &str, name: &str, playlist: Option<&str>| json!({ "name": name, "page": page, "asset": name, "player": player, "playlist": playlist, "token": mint(&workspace, name), "seeks": SEEKS });
    let for_clear_key = Some("master.clearkey.m3u8");
    let cases = [
        case("hls", "clear", Some("master.m3u8")),
        case("hls", "rotated", for_clear_key),
        case("hls", "lead", for_clear_key),
        case("hls", "clear", None),
        case("hls", "lead", None),
        case("shaka", "clear", None),
        case("shaka", "lead", None),
        case("shaka", "rotated", None),
    ];
    let answers = browser.play(&cases);
    let [plain, rotated, lead, hls, hls_lead, shaka, shaka_lead, refused] = &answers[..] else {
        panic!("{answers:?}")
    };
    for (played, clear) in [(rotated, plain), (lead, plain), (hls_lead, hls), (shaka_lead, shaka)] {
        assert_eq!(played["over"], "played", "{played}");
        assert!(
            played["loudest"].as_u64().unwrap() >= HEARD,
            "no tone was heard: {played}"
        );
        assert_eq!(played["pictures"], clear["pictures"], "{played}");
    }
    let asked = rotated["key_requests"].as_array().unwrap().len();
    assert!(asked >= 3, "12 s with a key each 4 s: {rotated}");
    assert_ne!(
        refused["over"], "played",
        "docs/hls.md says that Shaka Player does not: {refused}"
    );
}

/// A clear beginning with an init segment of its own: played and sought over where the encrypted part begins, and back.
#[test]
fn a_clear_lead_plays_in_shaka_player() {
    /// In the clear are the first four of twelve seconds.
    const SEEKS: [f64; 6] = [0.5, 7.7, 2.3, 5.1, 0.9, 11.1];
    let Some(browser) = Browser::find() else { return };
    let workspace = Workspace::new();
    let (_page_server, page) = page_server(&workspace);
    let keys = key_server(&workspace, &page, &[]);
    let base_url = origin(&keys);
    for (name, options) in [
        ("clear", &["--scheme", "none"][..]),
        ("cbcs", &["--clear-lead", "3s"]),
        ("cenc", &["--clear-lead", "3s", "--scheme", "cenc"]),
    ] {
        let more = ["--content-id", name, "--base-url", &base_url, "--segment-duration", "2"];
        encrypt(&workspace, name, &["demo.mp4"], &[&more, options].concat());
    }
    let case = |player: &str, name: &str| json!({ "name": name, "page": page, "asset": name, "player": player, "token": mint(&workspace, name), "to_end": true });
    let seen = |player: &str, name: &str| {
        let mut case = case(player, name);
        case["seeks"] = json!(SEEKS);
        case
    };
    let mut wrong = case("shaka", "cbcs");
    wrong["wrong_key"] = json!(true);
    let cases = [
        seen("shaka", "clear"),
        seen("shaka", "cbcs"),
        seen("shaka", "cenc"),
        wrong,
    ];
    let answers = browser.play(&cases);
    let [played @ .., wrong] = &answers[..] else {
        panic!("{answers:?}")
    };
    for answer in played {
        assert_played(answer);
        assert_eq!(answer["ended"], "ended", "{answer}");
        assert_eq!(answer["pictures"], played[0]["pictures"], "{answer}");
        assert_eq!(
            answer["key_requests"].as_array().unwrap().is_empty(),
            answer["name"] == "clear",
            "{answer}"
        );
    }
    // With a wrong key the clear part is all that plays.
    assert_eq!(wrong["key_requests"][0]["status"], 200, "{wrong}");
    assert_ne!(wrong["ended"], "ended", "{wrong}");
}

/// Ranges of one file, by its playlist: from the start, and sought over all of it.
#[test]
fn a_single_file_plays() {
    let Some(browser) = Browser::find() else { return };
    let workspace = Workspace::new();
    let (_page_server, page) = page_server(&workspace);
    let keys = key_server(&workspace, &page, &[]);
    let base_url = origin(&keys);
    for (name, options) in [("clear", &["--scheme", "none"][..]), ("single", &["--single-file"])] {
        let more = ["--content-id", name, "--base-url", &base_url, "--segment-duration", "2"];
        encrypt(&workspace, name, &["demo.mp4"], &[&more, options].concat());
    }
    let case = |player: &str, name: &str, wrong_key: bool| json!({ "name": name, "page": page, "asset": name, "player": player, "token": mint(&workspace, name), "seeks": SEEKS, "wrong_key": wrong_key });
    let cases = PLAYERS.map(|player| {
        [("clear", false), ("single", false), ("single", true)].map(|(name, wrong)| case(player, name, wrong))
    });
    for answers in browser.play(cases.as_flattened()).chunks(3) {
        let [clear, single, wrong] = answers else {
            panic!("{answers:?}")
        };
        for played in [clear, single] {
            assert_played(played);
            assert_eq!(played["pictures"], clear["pictures"], "{played}");
        }
        assert_opens_nothing(wrong);
    }
}

/// The paths of an I-frame playlist's files, and the ranges of them, as players ask for them.
fn iframe_ranges(workspace: &Workspace, asset: &str) -> std::collections::BTreeSet<(String, String)> {
    let folder = format!("{asset}/video/180p");
    let text = std::fs::read_to_string(workspace.path(format!("out/{folder}/iframes.m3u8"))).unwrap();
    let mut ranges = std::collections::BTreeSet::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(range) = line.strip_prefix("#EXT-X-BYTERANGE:") else {
            continue;
        };
        let (length, offset) = range.split_once('@').unwrap();
        let (length, offset): (u64, u64) = (length.parse().unwrap(), offset.parse().unwrap());
        let file = lines.next().unwrap();
        ranges.insert((
            format!("/media/{folder}/{file}"),
            format!("bytes={offset}-{}", offset + length - 1),
        ));
    }
    ranges
}

/// Trick play by I-frame playlists, as docs/players.md says of each player. Keyframes are a second apart.
#[test]
#[expect(
    clippy::too_many_lines,
    reason = "a case for each player and film, and what holds of it"
)]
fn iframe_playlists_show_keyframes() {
    /// The film is played to here; behind the first, Shaka Player has buffered nothing but keyframes.
    const TRICK: std::ops::Range<f64> = 12.0..30.0;
    /// Between keyframes, back and forth.
    const TIMES: [f64; 4] = [10.5, 3.5, 30.5, 0.5];
    let (Some(browser), Some(ffmpeg)) = (Browser::find(), tool("ffmpeg")) else {
        return;
    };
    let workspace = Workspace::new();
    let (_page_server, page) = page_server(&workspace);
    let keys = key_server(&workspace, &page, &[]);
    let mut command = Command::new(ffmpeg);
    command.args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=40"]);
    command.args(["-f", "lavfi", "-i", "sine=r=48000:d=40", "-c:v", "libx264", "-g", "25"]);
    run(command
        .args(["-c:a", "aac", "film.mp4"])
        .current_dir(workspace.folder()));
    let base_url = origin(&keys);
    for (name, options) in [
        ("clear", &["--scheme", "none"][..]),
        ("cbcs", &["--clearkey-playlists"]),
        ("cenc", &["--clearkey-playlists", "--scheme", "cenc"]),
    ] {
        let mut command = workspace.vylux_pack();
        command.args(["encrypt", "film.mp4", "--content-id", name, "--quiet"]);
        command.args(["--segment-duration", "4", "--base-url", &base_url]);
        run(command.args(options).args(["--out", &format!("out/{name}")]));
    }
    let case = |player: &str, asset: &str, wrong_key: bool, with_iframes: bool| {
        let is_for_clear_key = player == "hls" && asset != "clear";
        let playlist = if is_for_clear_key {
            "master.clearkey.m3u8"
        } else {
            "master.m3u8"
        };
        let token = mint(&workspace, asset);
        let mut case = json!({ "name": asset, "page": page, "url": format!("{page}/media/{asset}/{playlist}"), "player": player, "token": token, "wrong_key": wrong_key });
        if player == "hls" {
            case["times"] = json!(TIMES);
        } else {
            case["rate"] = json!(4);
            case["until"] = json!(TRICK.end);
            case["with_iframes"] = json!(with_iframes);
        }
        case
    };
    let cases = [
        case("hls", "clear", false, true),
        case("hls", "cbcs", false, true),
        case("hls", "cenc", false, true),
        case("shaka", "clear", false, true),
        case("hls", "cbcs", true, true),
        case("hls", "cenc", true, true),
        case("shaka", "cbcs", false, true),
        case("shaka", "cenc", false, true),
        case("shaka", "cbcs", false, false),
    ];
    let answers = browser.run("iframes.mjs", &cases);
    let [played @ .., wrong_cbcs, wrong_cenc, shaka_cbcs, shaka_cenc, whole] = &answers[..] else {
        panic!("{answers:?}")
    };
    let frames = |answer: &Value| -> Vec<f64> {
        let frames = answer["frames"].as_array().unwrap();
        frames.iter().map(|time| time.as_f64().unwrap()).collect()
    };
    for answer in played {
        assert_eq!(answer["over"], "seen", "{answer}");
        assert_eq!(answer["complaints"], json!([]), "{answer}");
        let asset = answer["name"].as_str().unwrap();
        let listed = iframe_ranges(&workspace, asset);
        assert_eq!(listed.len(), 40, "{listed:?}");
        let asked = answer["ranges"].as_array().unwrap().iter();
        let asked: std::collections::BTreeSet<(String, String)> = asked
            .map(|range| {
                (
                    range[0].as_str().unwrap().to_owned(),
                    range[1].as_str().unwrap().to_owned(),
                )
            })
            .collect();
        assert!(asked.len() >= TIMES.len() && asked.is_subset(&listed), "{answer}");
        let is_keyframe = |time: f64| (time - time.round()).abs() < 0.01;
        let shown = frames(answer);
        if answer["player"] == "hls" {
            assert!(shown.iter().copied().all(is_keyframe), "{answer}");
            // Each is there: the script waits for it.
            assert!(
                TIMES
                    .iter()
                    .all(|time| shown.iter().any(|of| (of - time.floor()).abs() < 0.01)),
                "{answer}"
            );
        } else {
            let behind = || shown.iter().copied().filter(|time| *time >= TRICK.start);
            assert!(behind().count() >= 3 && behind().all(is_keyframe), "{answer}");
        }
        assert_eq!(
            answer["keys"].as_array().unwrap().is_empty(),
            asset == "clear",
            "{answer}"
        );
    }
    for wrong in [wrong_cbcs, wrong_cenc] {
        assert_eq!(wrong["keys"][0], 200, "{wrong}");
        assert!(!wrong["ranges"].as_array().unwrap().is_empty(), "{wrong}");
        assert_ne!(wrong["over"], "seen", "{wrong}");
        assert_eq!(wrong["frames"], json!([]), "{wrong}");
    }
    for refused in [shaka_cbcs, shaka_cenc] {
        assert_eq!(
            refused["over"], "error",
            "docs/players.md says that it does not play: {refused}"
        );
    }
    // The same film plays as fast by its whole segments.
    assert_eq!(whole["over"], "seen", "{whole}");
    assert_eq!(
        (&whole["complaints"], &whole["ranges"]),
        (&json!([]), &json!([])),
        "{whole}"
    );
}

/// VP9 with hidden frames, whose headers the browser reads in the clear.
#[test]
fn vp9_plays_under_cenc() {
    let (Some(browser), Some(ffmpeg)) = (Browser::find(), tool("ffmpeg")) else {
        return;
    };
    let workspace = Workspace::new();
    let (_page_server, page) = page_server(&workspace);
    let keys = key_server(&workspace, &page, &[]);
    let film = workspace.path("film.mp4");
    for pass in ["1", "2"] {
        let mut command = Command::new(&ffmpeg);
        command.args(["-v", "error", "-y", "-i"]).arg(fixture("demo.mp4"));
        command.args([
            "-vf",
            "scale=320:180",
            "-c:v",
            "libvpx-vp9",
            "-cpu-used",
            "5",
            "-b:v",
            "200k",
            "-g",
            "50",
        ]);
        command.args([
            "-auto-alt-ref",
            "6",
            "-lag-in-frames",
            "16",
            "-c:a",
            "copy",
            "-pass",
            pass,
        ]);
        run(command.arg(&film).current_dir(workspace.folder()));
    }
    for scheme in ["none", "cenc", "aes-128"] {
        let mut command = workspace.vylux_pack();
        command
            .arg("encrypt")
            .arg(&film)
            .args(["--content-id", scheme, "--scheme", scheme, "--quiet"]);
        run(command.args(["--base-url", &origin(&keys), "--out", &format!("out/{scheme}")]));
    }
    let case = |player: &str, scheme: &str, token: &str| json!({ "name": scheme, "page": page, "asset": scheme, "player": player, "token": token, "seeks": SEEKS });
    let cases = PLAYERS.map(|player| {
        [
            case(player, "none", ""),
            case(player, "cenc", &mint(&workspace, "cenc")),
            case(player, "aes-128", &mint(&workspace, "aes-128")),
        ]
    });
    for answers in browser.play(cases.as_flattened()).chunks(3) {
        for played in answers {
            assert_played(played);
            assert_eq!(played["pictures"], answers[0]["pictures"], "{played}");
        }
    }
}

#[test]
fn what_is_out_of_order_is_told() {
    let Some(browser) = Browser::find() else { return };
    let workspace = Workspace::new();
    let (_page_server, page) = page_server(&workspace);
    let elsewhere = "https://elsewhere.example.com";
    let no_store = [("DATABASE_URL", "postgres://films@127.0.0.1:9/films")];
    let servers = [
        ("without its store", key_server(&workspace, &page, &no_store)),
        ("for other pages", key_server(&workspace, elsewhere, &[])),
        ("in demand", key_server(&workspace, &page, &[("RATE_LIMIT_KEYS", "1")])),
    ];
    for (name, server) in &servers {
        let more = ["--content-id", "film", "--no-store", "--base-url", &origin(server)];
        encrypt(&workspace, name, &["demo.mp4"], &more);
    }
    let more = ["--content-id", "film", "--no-store", "--base-url", "http://127.0.0.1:9"];
    encrypt(&workspace, "with no server", &["demo.mp4"], &more);
    let media = ["--content-id", "film", "--no-store", "--scheme", "none"];
    encrypt(&workspace, "without segments", &["demo.mp4"], &media);
    let segments = workspace.path("out/without segments/video/360p");
    for name in ["seg_00001.m4s", "seg_00002.m4s"] {
        std::fs::remove_file(segments.join(name)).unwrap();
    }
    // Nothing is left of the limit for the page.
    let token = mint(&workspace, "film");
    servers[2]
        .1
        .ask("GET /api/key/film", &[&format!("Authorization: Bearer {token}")]);

    for player in PLAYERS {
        println!("{player}");
        for (asset, code, title) in [
            ("without its store", "503", "The key server has an outage"),
            ("for other pages", "No answer", "The key server can\u{2019}t be reached"),
            ("in demand", "429", "Too many requests"),
            ("with no server", "No answer", "The key server can\u{2019}t be reached"),
            ("without segments", "404", "The media is not there"),
        ] {
            let case = json!({ "name": asset, "page": page, "asset": asset, "player": player, "token": token });
            let answers = browser.play(&[case]);
            let [answer] = &answers[..] else { panic!("{answers:?}") };
            assert_eq!(answer["over"], "error", "{answer}");
            assert_eq!(answer["error"]["code"], code, "{answer}");
            assert_eq!(answer["error"]["title"], title, "{answer}");
        }
    }
}

#[test]
fn a_newcomer_mints_plays_and_changes_the_quality() {
    let Some(browser) = Browser::find() else { return };
    let workspace = Workspace::new();
    std::fs::create_dir(workspace.path("out")).unwrap();
    // No more settings than `init` writes; BASE_URL names this very server.
    let server = Server::start(
        workspace
            .vylux_pack()
            .args(["serve", "--media", "out", "--dev", "--listen", "127.0.0.1:0"])
            .env("KEY_TOKEN_SECRET", KEY_TOKEN_SECRET),
    );
    let page = origin(&server);
    let inputs = ["v360.mp4", "v180.mp4", "a-en.mp4", "a-fr.mp4"];
    let more = ["--content-id", "series", "--segment-duration", "1", "--base-url", &page];
    encrypt(&workspace, "series", &inputs, &more);
    let case = |player: &&str| json!({ "name": "newcomer", "page": page, "asset": "series", "player": player, "mint": true, "change_quality": true });
    let cases: Vec<Value> = PLAYERS.iter().map(case).collect();
    for answer in browser.play(&cases) {
        assert_played(&answer);
        let switches: u32 = answer["shown"]["switches"].as_str().unwrap().parse().unwrap();
        assert!(switches >= 1, "{answer}");
    }
}

/// Cues are on the clock of the picture, also where film and sound begin late.
#[test]
fn subtitles_are_shown_when_the_picture_is() {
    let (Some(browser), Some(ffmpeg)) = (Browser::find(), tool("ffmpeg")) else {
        return;
    };
    let workspace = Workspace::new();
    let (_page_server, page) = page_server(&workspace);
    let demo = fixture("demo.mp4");
    let late = workspace.path("late.mp4");
    let mut command = Command::new(ffmpeg);
    command.args(["-v", "error", "-itsoffset", "20", "-i"]).arg(&demo);
    run(command.args(["-c", "copy", "-map", "0"]).arg(&late));
    let keys = key_server(&workspace, &page, &[]);
    let base_url = origin(&keys);
    for (name, film, offset_s, protection) in [
        ("now", &demo, 0, &["--scheme", "none", "--no-store"][..]),
        ("late", &late, 20, &["--scheme", "none", "--no-store"]),
        ("locked", &demo, 0, &["--base-url", &base_url]),
    ] {
        let cue = |seconds: u32| format!("00:00:{:02}", seconds + offset_s);
        let text = format!(
            "WEBVTT\n\n{}.500 --> {}.500 align:left\n<b>First</b>\n\n{}.900 --> {}.100\nAcross\n",
            cue(0),
            cue(2),
            cue(5),
            cue(6)
        );
        std::fs::write(workspace.path("words.de.vtt"), text).unwrap();
        let mut command = workspace.vylux_pack();
        command.arg("encrypt").arg(film).arg("words.de.vtt");
        command.args(["--content-id", "film", "--quiet"]).args(protection);
        // More than Shaka Player buffers at once: it shows no text before it has read a picture's time behind its choice.
        run(command.args(["--segment-duration", "2", "--out", &format!("out/{name}")]));
    }
    let token = mint(&workspace, "film");
    let case = |player: &str, asset: &str| json!({ "name": asset, "page": page, "asset": asset, "player": player, "token": token });
    let with = |mut case: Value, name: &str, value: Value| {
        case[name] = value;
        case
    };
    let shown = PLAYERS
        .map(|player| ["now", "late", "locked"].map(|asset| with(case(player, asset), "subtitles", json!("de"))));
    let seen = PLAYERS.map(|player| {
        let [clear, locked, wrong] =
            ["now", "locked", "locked"].map(|asset| with(case(player, asset), "seeks", json!(SEEKS)));
        [clear, locked, with(wrong, "wrong_key", json!(true))]
    });
    for answers in browser.play(&seen.concat()).chunks(3) {
        assert_played(&answers[0]);
        assert_played(&answers[1]);
        assert_eq!(answers[0]["pictures"], answers[1]["pictures"], "{}", answers[1]);
        assert_opens_nothing(&answers[2]);
    }
    for answer in browser.play(&shown.concat()) {
        assert_played(&answer);
        let cues = answer["cues"].as_array().unwrap();
        let texts: Vec<&str> = cues.iter().map(|cue| cue[2].as_str().unwrap()).collect();
        assert_eq!(texts, ["<b>First</b>", "Across"], "{answer}");
        // Players begin at the first decode time, which is a little before the first picture: the film's end tells.
        let moved = answer["seconds"].as_f64().unwrap() - 12.0;
        assert!((0.0..0.1).contains(&moved), "{answer}");
        for (cue, times) in cues.iter().zip([[0.5, 2.5], [5.9, 6.1]]) {
            for (at, expected) in times.iter().enumerate() {
                assert!((cue[at].as_f64().unwrap() - moved - expected).abs() < 0.03, "{answer}");
            }
        }
    }
}

/// Text in MP4: Shaka Player knows both forms, hls.js knows TTML.
#[test]
fn text_tracks_are_shown_when_the_picture_is() {
    let Some(browser) = Browser::find() else { return };
    let workspace = Workspace::new();
    let (_page_server, page) = page_server(&workspace);
    let mut cases = Vec::new();
    for (asset, input, players) in [
        ("wvtt", "text-wvtt.mp4", &PLAYERS[1..]),
        ("stpp", "text-stpp.mp4", &PLAYERS[..]),
    ] {
        let more = [
            "--content-id",
            "film",
            "--scheme",
            "none",
            "--no-store",
            "--segment-duration",
            "2",
        ];
        encrypt(&workspace, asset, &["demo.mp4", input], &more);
        for player in players {
            cases.push(json!({ "name": asset, "page": page, "asset": asset, "player": player, "token": "", "subtitles": "en" }));
        }
    }
    for answer in browser.play(&cases) {
        assert_played(&answer);
        let cues = answer["cues"].as_array().unwrap();
        for (words, expected) in [("exactly a second long", [1.0, 2.0]), ("across a boundary", [5.9, 6.1])] {
            let with_words = || cues.iter().filter(|cue| cue[2].as_str().unwrap().contains(words));
            let start = with_words()
                .map(|cue| cue[0].as_f64().unwrap())
                .fold(f64::MAX, f64::min);
            let end = with_words().map(|cue| cue[1].as_f64().unwrap()).fold(0.0, f64::max);
            let is_near = (start - expected[0]).abs() < 0.03 && (end - expected[1]).abs() < 0.03;
            assert!(is_near, "{words} from {start} to {end}: {answer}");
        }
    }
}

/// Captions inside of encrypted video, as the playlist announces them.
#[test]
fn captions_are_shown() {
    let (Some(browser), Some(ffmpeg)) = (Browser::find(), tool("ffmpeg")) else {
        return;
    };
    let workspace = Workspace::new();
    let (_page_server, page) = page_server(&workspace);
    let keys = key_server(&workspace, &page, &[]);
    let (plain, film) = (workspace.path("plain.mp4"), workspace.path("film.mp4"));
    let mut command = Command::new(ffmpeg);
    command.args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=160x90:r=25:d=8"]);
    command.args([
        "-f",
        "lavfi",
        "-i",
        "sine=r=48000:d=8",
        "-c:v",
        "libx264",
        "-bf",
        "0",
        "-g",
        "50",
    ]);
    run(command.args(["-c:a", "aac"]).arg(&plain));
    let writer = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tools/captions.py");
    let mut command = Command::new("python3");
    command.env("PYTHONDONTWRITEBYTECODE", "1").arg(writer);
    run(command.arg(&plain).arg(&film));
    let mut command = workspace.vylux_pack();
    command
        .arg("encrypt")
        .arg(&film)
        .args(["--content-id", "film", "--quiet"]);
    run(command.args(["--base-url", &origin(&keys), "--out", "out/captions"]));
    let token = mint(&workspace, "film");
    let cases: Vec<Value> = PLAYERS
        .iter()
        .map(|player| json!({ "name": "captions", "page": page, "asset": "captions", "player": player, "token": token, "subtitles": "captions" }))
        .collect();
    for answer in browser.play(&cases) {
        assert_played(&answer);
        let cues = answer["cues"].as_array().unwrap();
        let words = cues.iter().filter_map(|cue| cue[2].as_str());
        assert!(
            words.clone().any(|words| words.contains("CAPTIONS OF A TEST")),
            "{answer}"
        );
    }
}

#[test]
fn ffmpeg_plays_with_a_header() {
    let workspace = Workspace::new();
    let (_page_server, page) = page_server(&workspace);
    let keys = key_server(&workspace, &page, &[]);
    encrypt(
        &workspace,
        "film",
        &["demo.mp4"],
        &["--content-id", "film", "--base-url", &origin(&keys)],
    );
    let url = format!("{page}/media/film/master.m3u8");
    for ffmpeg in ["ffmpeg", "ffmpeg8"] {
        let Some(ffmpeg) = tool(ffmpeg) else { continue };
        let frames = |input: &str, before: &[&str], stream: &str| {
            let mut command = Command::new(&ffmpeg);
            command.args(["-nostdin", "-v", "error", "-xerror"]).args(before);
            command.args([
                "-i",
                input,
                "-map",
                stream,
                "-fps_mode",
                "passthrough",
                "-f",
                "framemd5",
                "-",
            ]);
            let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            // The last field: times are in another unit.
            let hashes = lines.filter_map(|line| line.rsplit(',').next());
            hashes.map(|hash| hash.trim().to_owned()).collect::<Vec<_>>()
        };
        let header = |token: &str| format!("Authorization: Bearer {token}\r\n");
        let (token, other) = (header(&mint(&workspace, "film")), header(&mint(&workspace, "other")));
        let source = fixture("demo.mp4");
        for stream in ["0:v", "0:a"] {
            // ffmpeg 5 decodes what the edit list skips, when it reads HLS; ffmpeg 8 does not.
            let source = |before: &[&str]| frames(source.to_str().unwrap(), before, stream);
            let expected = [source(&[]), source(&["-ignore_editlist", "1"])];
            assert!(expected.iter().all(|frames| frames.len() > 200), "{stream}");
            let played = frames(&url, &["-headers", &token], stream);
            assert!(
                expected.contains(&played),
                "{} {stream}: other frames",
                ffmpeg.display()
            );
            for refused in [&[][..], &["-headers", &other]] {
                let played = frames(&url, refused, stream);
                assert!(
                    !expected.contains(&played),
                    "{} {stream}: {refused:?}",
                    ffmpeg.display()
                );
            }
        }
    }
}

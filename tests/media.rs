//! `serve --media`: packaged media as a web server sends them, and nothing else that lies in the folder.

#![cfg(feature = "server")]
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;

use common::server::{Answer, Server};
use common::{CONTENT_ID, Workspace};

const KEY_TOKEN_SECRET: &str = "the token secret of all the tests";

fn serve(workspace: &Workspace, more: &[&str]) -> Server {
    let mut command = workspace.vylux_pack();
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--derive-any", "--media", "out"])
        .args(more)
        .env("CORS_ORIGINS", "https://player.example.com");
    if !more.contains(&"--insecure-no-auth") {
        command.env("KEY_TOKEN_SECRET", KEY_TOKEN_SECRET);
    }
    Server::start(&mut command)
}

fn film() -> Workspace {
    let workspace = Workspace::new();
    workspace.encrypt("v180.mp4", "out/film");
    workspace
}

const PLAYLIST: &str = "/media/film/video/180p/playlist.m3u8";
const INIT: &str = "/media/film/video/180p/init.mp4";
const SEGMENT: &str = "/media/film/video/180p/seg_00001.m4s";

#[test]
fn files_have_their_types_and_their_caching() {
    let workspace = film();
    let server = serve(&workspace, &[]);
    let for_ever = "public, max-age=31536000, immutable";
    for (path, media_type, cache) in [
        ("/media/film/master.m3u8", "application/vnd.apple.mpegurl", "no-cache"),
        (PLAYLIST, "application/vnd.apple.mpegurl", "no-cache"),
        (INIT, "video/mp4", for_ever),
        (SEGMENT, "video/iso.segment", for_ever),
    ] {
        let answer = server.ask(&format!("GET {path}"), &["Origin: https://player.example.com"]);
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("content-type"), Some(media_type), "{path}");
        assert_eq!(answer.header("cache-control"), Some(cache), "{path}");
        assert_eq!(
            answer.header("access-control-allow-origin"),
            Some("https://player.example.com")
        );
        let file = workspace.path(path.replace("/media/", "out/"));
        assert_eq!(answer.body, fs::read(file).unwrap(), "{path}");
        let head = server.ask(&format!("HEAD {path}"), &[]);
        let length = answer.body.len().to_string();
        assert_eq!(
            (head.status, head.header("content-length")),
            (200, Some(length.as_str())),
            "{path}"
        );
        assert!(head.body.is_empty(), "{path}");
    }
}

#[test]
fn in_development_caches_ask_each_time() {
    let workspace = film();
    for flag in ["--dev", "--insecure-no-auth"] {
        let server = serve(&workspace, &[flag]);
        let answer = server.ask(&format!("GET {SEGMENT}"), &[]);
        assert_eq!(answer.header("cache-control"), Some("no-cache"), "{flag}");
    }
}

#[test]
fn parts_are_sent() {
    let workspace = film();
    let server = serve(&workspace, &[]);
    let whole = server.ask(&format!("GET {SEGMENT}"), &[]).body;
    let part = |range: &str| server.ask(&format!("GET {SEGMENT}"), &[&format!("Range: bytes={range}")]);
    let answer = part("10-19");
    assert_eq!(answer.status, 206);
    assert_eq!(
        answer.header("content-range"),
        Some(format!("bytes 10-19/{}", whole.len()).as_str())
    );
    assert_eq!(Some(&*answer.body), whole.get(10..20));
    let last = whole.get(whole.len() - 7..);
    assert_eq!(Some(&*part("-7").body), last);
    assert_eq!(Some(&*part(&format!("{}-", whole.len() - 7)).body), last);
    let beyond = part("99999999-");
    assert_eq!(beyond.status, 416);
    assert_eq!(
        beyond.header("content-range"),
        Some(format!("bytes */{}", whole.len()).as_str())
    );
    assert_eq!(beyond.header("content-type"), Some("application/problem+json"));
}

#[test]
fn what_a_cache_has_is_not_sent_again_until_it_is_replaced() {
    let workspace = film();
    let server = serve(&workspace, &[]);
    let first = server.ask(&format!("GET {INIT}"), &[]);
    let tag = first.header("etag").unwrap().to_owned();
    let again = |header: &str| server.ask(&format!("GET {INIT}"), &[header]);
    let since = format!("If-Modified-Since: {}", first.header("last-modified").unwrap());
    for header in [format!("If-None-Match: {tag}"), since] {
        let answer = again(&header);
        assert_eq!((answer.status, answer.body.len()), (304, 0), "{header}");
    }
    let other = again("If-Match: \"another\"");
    assert_eq!(
        (other.status, other.header("content-type")),
        (412, Some("application/problem+json"))
    );

    workspace.package(&[common::fixture("v360.mp4")], "out/film", &["--replace"]);
    fs::rename(
        workspace.path("out/film/video/360p"),
        workspace.path("out/film/video/180p"),
    )
    .unwrap();
    let replaced = again(&format!("If-None-Match: {tag}"));
    assert_eq!(replaced.status, 200);
    assert_ne!(replaced.body, first.body);
}

#[test]
fn nothing_else_is_there() {
    let workspace = film();
    fs::write(workspace.path("out/.env"), "MASTER_KEY_HEX=").unwrap();
    fs::write(workspace.path("out/film/.m3u8"), "").unwrap();
    fs::write(workspace.path("outside.mp4"), "outside").unwrap();
    std::os::unix::fs::symlink("keys.json", workspace.path("out/film/keys.mp4")).unwrap();
    std::os::unix::fs::symlink(workspace.path("outside.mp4"), workspace.path("out/film/outside.mp4")).unwrap();
    assert!(workspace.path("out/film/keys.json").is_file());
    let server = serve(&workspace, &[]);
    for path in [
        "film/keys.json",
        "film/KEYS.json",
        "film/keys%2ejson",
        "film/keys.mp4",
        "film/keys.json/",
        "film/keys.json%00.mp4",
        "film/outside.mp4",
        ".env",
        "film/.m3u8",
        "",
        "film",
        "film/",
        "film/video/",
        "../outside.mp4",
        "film/../../outside.mp4",
        "%2e%2e/outside.mp4",
        "..%2foutside.mp4",
        "film/..%2f..%2foutside.mp4",
        "film/..%5c..%5coutside.mp4",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "film/missing.mp4",
    ] {
        let answer = server.ask(&format!("GET /media/{path}"), &[]);
        assert_eq!(answer.status, 404, "{path}: {}", String::from_utf8_lossy(&answer.body));
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json"),
            "{path}"
        );
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
    }
    assert_eq!(server.ask("GET /media/%ff.mp4", &[]).status, 400);
    assert_eq!(server.ask(&format!("POST {INIT}"), &[]).status, 405);
}

#[test]
fn without_the_flag_there_are_no_such_routes() {
    let workspace = film();
    let mut command = workspace.vylux_pack();
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--derive-any"])
        .env("KEY_TOKEN_SECRET", KEY_TOKEN_SECRET);
    let server = Server::start(&mut command);
    for path in [INIT, "/player", "/player/assets", "/player/player.js"] {
        assert_eq!(server.ask(&format!("GET {path}"), &[]).status, 404, "{path}");
    }
}

#[test]
fn assets_are_listed() {
    let workspace = Workspace::new();
    let inputs = ["v360.mp4", "v180.mp4", "a-en.mp4", "a-fr.mp4"].map(common::fixture);
    workspace.package(&inputs, "out/series/first", &[]);
    workspace.package(&[common::fixture("v180.mp4")], "out/clear", &["--scheme", "none"]);
    fs::create_dir_all(workspace.path("out/broken")).unwrap();
    fs::write(workspace.path("out/broken/master.m3u8"), "no playlist").unwrap();
    fs::create_dir_all(workspace.path("out/.staging")).unwrap();
    fs::copy(
        workspace.path("out/clear/master.m3u8"),
        workspace.path("out/.staging/master.m3u8"),
    )
    .unwrap();
    let server = serve(&workspace, &[]);
    let list = server.ask("GET /player/assets", &[]).json();
    assert_eq!(list["tokens"], "pasted");
    let [clear, series] = list["assets"].as_array().unwrap().as_slice() else {
        unreachable!("{list}")
    };
    assert_eq!(clear["path"], "clear/master.m3u8");
    assert_eq!(clear["content_id"], serde_json::Value::Null);
    assert_eq!(series["path"], "series/first/master.m3u8");
    assert_eq!(series["content_id"], CONTENT_ID);
    assert_eq!(series["duration_seconds"], 4.0);
    let heights: Vec<_> = series["video"]
        .as_array()
        .unwrap()
        .iter()
        .map(|video| &video["height"])
        .collect();
    assert_eq!(heights, [360, 180]);
    assert_eq!(series["audio"], serde_json::json!(["en", "fr"]));
}

#[test]
fn the_page_is_there_and_allows_nothing_inline() {
    let workspace = film();
    let server = serve(&workspace, &[]);
    let page = server.ask("GET /player", &[]);
    assert_eq!(
        (page.status, page.header("content-type")),
        (200, Some("text/html; charset=utf-8"))
    );
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none';") && !policy.contains("unsafe"),
        "{policy}"
    );
    let html = String::from_utf8(page.body).unwrap();
    assert!(!html.contains("//cdn.") && !html.contains("style=") && !html.contains("onclick"));
    let script = String::from_utf8(server.ask("GET /player/player.js", &[]).body).unwrap();
    let named = html.split('"').chain(script.split(['"', '\'', '`']));
    let named: Vec<&str> = named
        .filter(|word| word.starts_with("/player/") && word.contains('.') && !word.contains(' '))
        .collect();
    assert!(named.len() >= 6, "{named:?}");
    for path in named {
        assert_eq!(server.ask(&format!("GET {path}"), &[]).status, 200, "{path}");
    }
}

fn mint(server: &Server, host: &str, body: &str) -> Answer {
    let length = body.len();
    server.send(
        format!(
            "POST /player/token HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        )
        .as_bytes(),
    )
}

#[test]
fn the_page_mints_tokens_in_development_alone() {
    let workspace = film();
    let body = r#"{"content_id":"test-film"}"#;
    for flags in [&[][..], &["--insecure-no-auth"]] {
        let server = serve(&workspace, flags);
        assert_eq!(mint(&server, "localhost", body).status, 404, "{flags:?}");
    }
    let server = serve(&workspace, &["--dev"]);
    assert!(server.log().contains("--dev: everybody"), "{}", server.log());
    assert_eq!(server.ask("GET /player/assets", &[]).json()["tokens"], "minted");
    let minted = mint(&server, "localhost:4100", body);
    assert_eq!((minted.status, minted.header("cache-control")), (200, Some("no-store")));
    let token = minted.json()["token"].as_str().unwrap().to_owned();
    let ask = |content_id: &str| {
        let bearer = format!("Authorization: Bearer {token}");
        server.ask(&format!("GET /api/key/{content_id}"), &[&bearer])
    };
    assert_eq!(ask(CONTENT_ID).body, common::derive::key());
    assert_eq!(ask("other").status, 403);
    assert!(!server.log().contains(&token));

    assert_eq!(mint(&server, "localhost", r#"{"content_id":"../x"}"#).status, 400);
    assert_eq!(mint(&server, "127.0.0.1:4100", body).status, 200);
    assert_eq!(mint(&server, "[::1]:4100", body).status, 200);
    for host in ["rebound.example.com:4100", "10.0.0.1", "localhost.example.com", ""] {
        assert_eq!(mint(&server, host, body).status, 404, "{host}");
    }
    let simple = server.post("POST /player/token", &["Content-Type: text/plain"], body.as_bytes());
    assert_eq!(simple.status, 415);
}

#[test]
fn flags_that_make_no_sense_are_refused() {
    let workspace = film();
    let refused = |arguments: &[&str], secret: bool| {
        let mut command = workspace.vylux_pack();
        command.args(["serve", "--derive-any", "--check"]).args(arguments);
        command.env(
            "AUTH_JWT_SECRET",
            "YSBzZWNyZXQgb2YgMzIgYnl0ZXMgYXQgdGhlIHZlcnkgbGVhc3Q=",
        );
        if secret {
            command.env("KEY_TOKEN_SECRET", KEY_TOKEN_SECRET);
        }
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(refused(&["--media", "nowhere"], true).contains("--media nowhere is no folder"));
    assert!(refused(&["--dev"], true).contains("--media"));
    assert!(refused(&["--media", "out", "--dev"], false).contains("needs KEY_TOKEN_SECRET"));
    assert!(refused(&["--media", "out", "--dev", "--listen", "0.0.0.0:0"], true).contains("loopback alone"));
    assert!(refused(&["--media", "out", "--dev", "--insecure-no-auth"], true).contains("cannot be used with"));
}

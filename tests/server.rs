//! What the key server answers, asked over a connection of its own: routes, the order of refusals, headers, limits, its end.

#![cfg(feature = "server")]
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io::{Read, Write};
use std::process::Command;
use std::time::{Duration, Instant};

use common::server::{Answer, Server};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use snapbox::{assert_data_eq, file};

use common::{CONTENT_ID, Workspace, derive, make_certificate, run, skip, tool};

const TOKEN_SECRET: &str = "the token secret of all the tests";

const ADMIN_TOKEN: &str = "an administrator's token of 40 characters";

/// Settings of a server with administrators and leases.
const WITH_ALL_ROUTES: [(&str, &str); 2] = [("ADMIN_TOKEN", ADMIN_TOKEN), ("LEASE_TTL_MS", "60000")];

/// A page's origin that is allowed.
const ORIGIN: &str = "https://player.example.com";

struct Site {
    workspace: Workspace,
}

impl Site {
    /// An output and its record in a store.
    fn new() -> Self {
        let workspace = Workspace::new();
        let mut encrypt = workspace.vylux_pack();
        encrypt
            .arg("encrypt")
            .arg(common::fixture("demo.mp4"))
            .args(["--content-id", CONTENT_ID, "--quiet"]);
        run(&mut encrypt);
        Self { workspace }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.workspace.vylux_pack();
        command
            .args(arguments)
            .env("KEY_TOKEN_SECRET", TOKEN_SECRET)
            .env("CORS_ORIGINS", ORIGIN)
            .env("RATE_LIMIT_KEYS", "100000");
        command
    }

    fn serve(&self, more: &[&str], settings: &[(&str, &str)]) -> Server {
        let mut command = self.command(&["serve", "--listen", "127.0.0.1:0"]);
        Server::start(command.args(more).envs(settings.iter().copied()))
    }

    /// An Authorization field with a token for `content_id`.
    fn token(&self, content_id: &str) -> String {
        let output = run(&mut self.command(&["token", "mint", "--content-id", content_id]));
        format!(
            "Authorization: Bearer {}",
            String::from_utf8(output.stdout).unwrap().trim()
        )
    }
}

#[track_caller]
fn assert_problem(answer: &Answer, status: u16, kind: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let body = answer.json();
    assert_eq!(body["type"], format!("urn:vylux-pack:problem:{kind}"));
    assert_eq!(body["status"], status);
    assert!(body["title"].is_string());
    assert_eq!(body["request_id"].as_str(), answer.header("x-request-id"));
    assert_eq!(body.as_object().unwrap().len(), 4, "nothing else is told: {body}");
}

#[test]
fn the_key_is_the_one_of_the_output_at_every_path() {
    let site = Site::new();
    let server = site.serve(&[], &[]);
    let token = site.token(CONTENT_ID);
    let kid = hex::encode(derive::kid());
    let uuid = format!(
        "{}-{}-{}-{}-{}",
        &kid[..8],
        &kid[8..12],
        &kid[12..16],
        &kid[16..20],
        &kid[20..]
    );
    for path in [
        format!("/api/key/{CONTENT_ID}"),
        format!("/api/key/{CONTENT_ID}/{kid}"),
        format!("/api/key/{CONTENT_ID}/{uuid}"),
        format!("/keys/{CONTENT_ID}"),
    ] {
        let answer = server.ask(&format!("GET {path}"), &[&token]);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        assert!(answer.body == derive::key(), "{path}");
        assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
        assert_eq!(answer.header("content-length"), Some("16"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let head = server.ask(&format!("HEAD {path}"), &[&token]);
        assert_eq!((head.status, head.body.len()), (200, 0));
        assert_eq!(head.header("content-length"), Some("16"));
    }
    let other = server.ask(&format!("GET /api/key/{CONTENT_ID}/{}", "0".repeat(32)), &[&token]);
    assert_problem(&other, 404, "not-found");
    assert_problem(
        &server.ask(&format!("GET /keys/{CONTENT_ID}/7"), &[&token]),
        404,
        "not-found",
    );
}

/// Each request has every fault of those below it, and is refused for its own.
#[test]
fn refusals_come_in_their_order() {
    let site = Site::new();
    let server = site.serve(&[], &[("RATE_LIMIT_KEYS", "4")]);
    let unknown = site.token("unknown");
    let answer = |path: &str, headers: &[&str]| server.ask(&format!("GET {path}"), headers);
    let reason = |answer: &Answer| server.logged(answer.header("x-request-id").unwrap())["reason"].clone();

    // Malformed IDs are not counted.
    for path in [
        "/api/key/a%20b",
        "/api/key/leases",
        "/api/key/%00",
        "/api/key/x/not-a-kid",
        "/keys/x/NO",
    ] {
        let malformed = answer(path, &[]);
        assert_problem(&malformed, 400, "malformed-request");
    }
    let missing = answer("/api/key/unknown", &[]);
    assert_problem(&missing, 401, "unauthorized");
    assert_eq!(missing.header("www-authenticate"), Some("Bearer"));
    assert_eq!(reason(&missing), "missing-token");
    let forged = answer("/api/key/unknown", &["Authorization: Bearer a.b"]);
    assert_problem(&forged, 403, "forbidden");
    let other = answer(&format!("/api/key/{CONTENT_ID}"), &[&unknown]);
    assert_problem(&other, 403, "forbidden");
    assert_eq!(reason(&other), "token-content-mismatch");
    // Who may not ask is told the same whether there is such content or not.
    assert_eq!(other.json()["title"], forged.json()["title"]);
    let none = answer("/api/key/unknown", &[&unknown]);
    assert_problem(&none, 404, "not-found");
    assert_eq!(reason(&none), "no-record");

    let limited = answer("/api/key/unknown", &[]);
    assert_problem(&limited, 429, "rate-limited");
    let wait: u64 = limited.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=15).contains(&wait), "{wait}");
    assert_problem(&answer("/api/key/a%20b", &[]), 400, "malformed-request");
}

#[test]
fn a_store_that_is_gone_is_no_missing_key() {
    let Some(sqlite3) = tool("sqlite3") else { return };
    let site = Site::new();
    let server = site.serve(&[], &[]);
    let token = site.token(CONTENT_ID);
    let sql = |statement: &str| {
        let mut command = Command::new(&sqlite3);
        run(command.arg(site.workspace.path("vylux-pack.db")).arg(statement));
    };
    assert_eq!(server.ask("GET /ready", &[]).status, 200);
    sql("ALTER TABLE key_records RENAME TO away");
    assert_problem(&server.ask("GET /ready", &[]), 503, "unavailable");
    let path = format!("GET /api/key/{CONTENT_ID}");
    let answer = server.ask(&path, &[&token]);
    assert_problem(&answer, 503, "unavailable");
    let line = server.logged(answer.header("x-request-id").unwrap());
    assert_eq!(line["reason"], "store-unavailable");
    assert!(line["cause"].as_str().unwrap().contains("no such table"), "{line}");
    assert_eq!(server.ask("GET /health", &[]).status, 200, "the process is alive");

    sql("ALTER TABLE away RENAME TO key_records");
    assert_eq!(server.ask("GET /ready", &[]).status, 200);
    assert!(server.ask(&path, &[&token]).body == derive::key());
    // A key that was found counts for some seconds, and no longer.
    sql("DELETE FROM key_records");
    assert_eq!(server.ask(&path, &[&token]).status, 200);
    let begun = Instant::now();
    while server.ask(&path, &[&token]).status == 200 {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "a key is handed out whose record is gone"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_problem(&server.ask(&path, &[&token]), 404, "not-found");
}

#[test]
fn other_paths_and_methods_are_problems_too() {
    let site = Site::new();
    let server = site.serve(&[], &[]);
    assert_problem(&server.ask("GET /nothing", &[]), 404, "not-found");
    assert_problem(&server.ask("GET /api/key/", &[]), 404, "not-found");
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let answer = server.ask(&format!("{method} /api/key/{CONTENT_ID}"), &[]);
        assert_problem(&answer, 405, "method-not-allowed");
        assert_eq!(answer.header("allow"), Some("GET,HEAD"));
    }
}

#[test]
fn pages_of_allowed_origins_may_ask() {
    let site = Site::new();
    let server = site.serve(&[], &[]);
    let path = format!("/api/key/{CONTENT_ID}");
    let preflight = |origin: &str| {
        let (origin, method) = (format!("Origin: {origin}"), "Access-Control-Request-Method: GET");
        let headers = "Access-Control-Request-Headers: authorization,content-type,x-lease-id";
        server.ask(&format!("OPTIONS {path}"), &[&origin, method, headers])
    };
    let allowed = preflight(ORIGIN);
    assert_eq!((allowed.status, allowed.body.len()), (200, 0));
    assert_eq!(allowed.header("access-control-allow-origin"), Some(ORIGIN));
    let headers = allowed.header("access-control-allow-headers").unwrap();
    for name in ["authorization", "content-type", "x-lease-id"] {
        assert!(headers.split(',').any(|header| header == name), "{headers}");
    }
    assert_eq!(allowed.header("access-control-max-age"), Some("600"));
    assert!(allowed.header("vary").unwrap().contains("origin"));
    for other in [
        "https://evil.example",
        "null",
        "https://player.example.com.evil.example",
        "http://player.example.com",
    ] {
        assert_eq!(preflight(other).header("access-control-allow-origin"), None, "{other}");
    }
    // Errors can be read by the page as well.
    let refused = server.ask(&format!("GET {path}"), &[&format!("Origin: {ORIGIN}")]);
    assert_problem(&refused, 401, "unauthorized");
    assert_eq!(refused.header("access-control-allow-origin"), Some(ORIGIN));
    assert!(refused.header("vary").unwrap().contains("origin"));
    assert_eq!(refused.header("access-control-allow-credentials"), None);
    for path in ["/health", "/nothing", "/keys/x"] {
        assert_eq!(server.ask(&format!("OPTIONS {path}"), &[]).status, 200, "{path}");
    }
}

#[test]
fn a_clear_key_licence() {
    let site = Site::new();
    let server = site.serve(&[], &[]);
    let token = site.token(CONTENT_ID);
    let path = format!("POST /api/key/{CONTENT_ID}/clearkey");
    let base64url = |bytes: &[u8]| {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
    };
    let kid = base64url(&derive::kid());
    let request = format!(r#"{{"kids":["{kid}"],"type":"temporary"}}"#);
    let answer = server.post(&path, &[&token], request.as_bytes());
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let expected = serde_json::json!({
        "keys": [{"kty": "oct", "kid": kid, "k": base64url(&derive::key())}],
        "type": "temporary",
    });
    assert!(answer.json() == expected);

    assert_problem(&server.post(&path, &[], request.as_bytes()), 401, "unauthorized");
    for body in [
        "",
        "{}",
        "[]",
        r#"{"kids":[]}"#,
        r#"{"kids":["AAAA"]}"#,
        r#"{"kids":["!"]}"#,
    ] {
        assert_problem(
            &server.post(&path, &[&token], body.as_bytes()),
            400,
            "malformed-request",
        );
    }
    let many = format!(r#"{{"kids":[{}"{kid}"]}}"#, format!("\"{kid}\",").repeat(64));
    assert_problem(
        &server.post(&path, &[&token], many.as_bytes()),
        400,
        "malformed-request",
    );
    let other = format!(r#"{{"kids":["{}"]}}"#, base64url(&[0; 16]));
    assert_problem(&server.post(&path, &[&token], other.as_bytes()), 404, "not-found");
    assert_problem(&server.post(&path, &[&token], &vec![b' '; 70_000]), 413, "too-large");
}

#[test]
fn any_content_has_a_key_where_keys_are_derived() {
    let site = Site::new();
    let server = site.serve(&["--derive-any"], &[]);
    let token = site.token(CONTENT_ID);
    assert!(server.ask(&format!("GET /api/key/{CONTENT_ID}"), &[&token]).body == derive::key());
    assert!(
        server
            .ask(
                &format!("GET /api/key/{CONTENT_ID}/{}", hex::encode(derive::kid())),
                &[&token]
            )
            .body
            == derive::key()
    );
    let epoch = server.ask(&format!("GET /keys/{CONTENT_ID}/7"), &[&token]);
    let expected = derive::expand(&common::MASTER_KEY, &common::SALT, &format!("{CONTENT_ID}/key/7"));
    assert!(epoch.body == expected[..16]);
    let any = server.ask("GET /api/key/never-packaged", &[&site.token("never-packaged")]);
    assert_eq!((any.status, any.body.len()), (200, 16));
    assert_eq!(server.ask("GET /ready", &[]).status, 200);
}

#[test]
fn metrics_have_a_listener_of_their_own_if_asked() {
    let site = Site::new();
    let server = site.serve(&[], &[]);
    let token = site.token(CONTENT_ID);
    server.ask(&format!("GET /api/key/{CONTENT_ID}"), &[&token]);
    server.ask(&format!("GET /api/key/{CONTENT_ID}?jwt=secret"), &[]);
    let text = String::from_utf8(server.ask("GET /metrics", &[]).body).unwrap();
    for line in [
        r#"vylux_pack_requests_total{route="/api/key/{content_id}",status="200",reason="ok"} 1"#,
        r#"vylux_pack_requests_total{route="/api/key/{content_id}",status="401",reason="query-token"} 1"#,
        r#"vylux_pack_request_duration_seconds_count{route="/api/key/{content_id}"} 2"#,
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let server = site.serve(&[], &[("METRICS_ADDR", "127.0.0.1:0")]);
    assert_problem(&server.ask("GET /metrics", &[]), 404, "not-found");
}

#[test]
fn what_is_too_large_or_too_slow_is_cut_off() {
    let site = Site::new();
    let server = site.serve(&[], &[("HEADER_TIMEOUT", "1")]);
    let huge = server.ask("GET /health", &[&format!("X-Filler: {}", "x".repeat(1 << 20))]);
    assert_eq!(huge.status, 431);
    let many: Vec<String> = (0..200).map(|index| format!("X-{index}: 1")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(server.ask("GET /health", &many).status, 431);

    // One byte now and then: the header's time is over whatever comes.
    let mut slow = server.connect();
    let begun = Instant::now();
    let mut closed = false;
    for byte in b"GET /health HTTP/1.1\r\nHost: test\r\nX-Slow: "
        .iter()
        .chain(std::iter::repeat(&b'x'))
    {
        if slow.write_all(&[*byte]).is_err() {
            closed = true;
            break;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "the connection is still open"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(closed);
    // And so is that of a connection on which nothing comes.
    let begun = Instant::now();
    let mut idle = server.connect();
    let _ = idle.read(&mut [0; 1024]);
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(server.ask("GET /health", &[]).status, 200);
}

/// So many connections that do nothing, which is more than the thousand files that a process has by default.
const IDLE: u64 = 10_000;

const THREADS: u64 = 20;

#[test]
fn ten_thousand_idle_connections_hinder_nobody() {
    // Ours end in this process, and it has other files open too.
    if !raise_open_files(IDLE + 1000) {
        skip("may this process have 11,000 files open? raise the hard limit (ulimit -Hn)");
        return;
    }
    let site = Site::new();
    let server = site.serve(&[], &[("HEADER_TIMEOUT", "60")]);
    let token = site.token(CONTENT_ID);
    let ask = || server.ask(&format!("GET /api/key/{CONTENT_ID}"), &[&token]);
    assert!(ask().body == derive::key());
    let before = server.memory_kib();
    // By several threads, because a system that has much to do leaves one or the other waiting for a second.
    let idle: Vec<_> = std::thread::scope(|scope| {
        let connect = || (0..IDLE / THREADS).map(|_| server.connect()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(connect)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    // The last of them were taken too: half a request of each is answered once the other half comes.
    let mut last = idle.last().unwrap();
    last.write_all(b"GET /health HTTP/1.1\r\n").unwrap();
    assert!(ask().body == derive::key());
    last.write_all(b"Host: test\r\n\r\n").unwrap();
    let mut answer = [0; 12];
    last.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    let each = (server.memory_kib() - before) / IDLE;
    assert!(each < 32, "{each} KiB for each");
    drop(idle);
    assert!(ask().body == derive::key());
}

fn raise_open_files(files: u64) -> bool {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).unwrap();
    limit.maximum.is_none_or(|maximum| maximum >= files)
}

#[test]
fn a_log_that_nobody_reads_any_more_stops_nothing() {
    let site = Site::new();
    let mut server = site.serve(&[], &[]);
    let token = site.token(CONTENT_ID);
    server.close_log();
    for _ in 0..10 {
        assert!(server.ask(&format!("GET /api/key/{CONTENT_ID}"), &[&token]).body == derive::key());
        // Longer than lines are gathered.
        std::thread::sleep(Duration::from_millis(60));
    }
    server.signal("-TERM");
    assert_eq!(server.ended().0, Some(0));
}

#[test]
fn what_is_under_way_is_finished_at_the_end() {
    let site = Site::new();
    let server = site.serve(&[], &[]);
    let token = site.token(CONTENT_ID);
    let mut stream = server.connect();
    let body = br#"{"kids":[]}"#;
    let head = format!(
        "POST /api/key/{CONTENT_ID}/clearkey HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{token}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&body[..4]).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    server.signal("-TERM");
    let begun = Instant::now();
    while std::net::TcpStream::connect(server.address).is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(10), "it still listens");
        std::thread::sleep(Duration::from_millis(10));
    }
    stream.write_all(&body[4..]).unwrap();
    assert_problem(&Answer::read(&mut stream), 400, "malformed-request");
    let (code, log) = server.ended();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("\"stopped\""), "{log}");
}

#[test]
fn tls_and_http_2() {
    let (Some(curl), Some(openssl)) = (tool("curl"), tool("openssl")) else {
        return;
    };
    let site = Site::new();
    let path = |name: &str| site.workspace.path(name).into_os_string().into_string().unwrap();
    let (cert, key) = (path("cert.pem"), path("key.pem"));
    make_certificate(Command::new(openssl), cert.as_ref(), key.as_ref());
    let token = site.token(CONTENT_ID);
    let ask = |options: &[&str], url: String| {
        let mut command = Command::new(&curl);
        command
            .args(["-sS", "-H", &token, "-w", "%{http_version}"])
            .args(options)
            .arg(url);
        run(&mut command).stdout
    };
    let expected = |version: &str| [&derive::key()[..], version.as_bytes()].concat();

    let server = site.serve(&["--tls-cert", &cert, "--tls-key", &key], &[("HEADER_TIMEOUT", "1")]);
    let url = format!("https://{}/api/key/{CONTENT_ID}", server.address);
    assert!(ask(&["--cacert", &cert], url.clone()) == expected("2"));
    assert!(ask(&["--cacert", &cert, "--http1.1"], url) == expected("1.1"));
    // A handshake that never begins, and one that is none, end.
    let begun = Instant::now();
    for request in [&b""[..], b"GET /health HTTP/1.1\r\n\r\n"] {
        let mut stream = server.connect();
        stream.write_all(request).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(10));

    let server = site.serve(&[], &[]);
    let url = format!("http://{}/api/key/{CONTENT_ID}", server.address);
    assert!(ask(&["--http2-prior-knowledge"], url) == expected("2"));
}

#[test]
fn settings_are_checked_before_anything_starts() {
    let site = Site::new();
    let good = run(&mut site.command(&["serve", "--check"]));
    let said = String::from_utf8(good.stdout).unwrap();
    assert!(said.contains("127.0.0.1:4100"), "{said}");
    for (arguments, settings, expected) in [
        (
            &["--listen", "0.0.0.0:1", "--insecure-no-auth"][..],
            &[][..],
            "listens on loopback alone",
        ),
        (&[], &[("PORT", "70000")], "PORT is \"70000\"; expected a port"),
        (
            &[],
            &[("CORS_ORIGINS", "*")],
            "CORS_ORIGINS is \"*\"; expected exact origins",
        ),
        (
            &[],
            &[("CORS_ORIGINS", "https://a.example/")],
            "expected an origin such as",
        ),
        (&[], &[("KEY_TOKEN_SECRET", "")], "KEY_TOKEN_SECRET is empty"),
        (
            &[],
            &[("AUTH_JWT_SECRET", "aHVudGVyMg==")],
            "AUTH_JWT_SECRET can't be used: expected base64 of 32 bytes",
        ),
        (
            &[],
            &[("AUTH_JWT_SECRET", "!hunter2!")],
            "AUTH_JWT_SECRET can't be used: expected base64",
        ),
        (
            &[],
            &[("AUTH_JWKS_URL", "file:///hunter2")],
            "AUTH_JWKS_URL can't be used: expected an http(s) URL",
        ),
        (&[], &[("AUTH_CONTENT_CLAIM", "no")], "expected on or off"),
        (&[], &[("ALLOW_QUERY_TOKEN", "1")], "expected false or true"),
        (&[], &[("RATE_LIMIT_KEYS", "0")], "expected a whole number above 0"),
        (&[], &[("TRUSTED_PROXIES", "proxy")], "TRUSTED_PROXIES is \"proxy\""),
        (&[], &[("TLS_CERT", "cert.pem")], "set both TLS_CERT and TLS_KEY"),
        (&[], &[("LOG_LEVEL", "loud")], "expected error, warn, info or debug"),
        (&[], &[("MASTER_KEY_HEX", "hunter2")], "MASTER_KEY_HEX"),
        (
            &[],
            &[("DATABASE_URL", "mysql://root:hunter2@host/db")],
            "the record store's URL",
        ),
    ] {
        let mut command = site.command(&["serve", "--check"]);
        let output = command.args(arguments).envs(settings.iter().copied()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{settings:?}: {said}");
        assert!(said.contains(expected), "{settings:?}: {said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    let mut nobody = site.command(&["serve", "--check"]);
    let said = nobody.env_remove("KEY_TOKEN_SECRET").output().unwrap();
    assert_eq!(said.status.code(), Some(2));
    assert!(
        String::from_utf8(said.stderr)
            .unwrap()
            .contains("nothing says who may have keys")
    );
}

#[test]
fn without_authentication_it_warns_and_lets_everybody_in() {
    let site = Site::new();
    let server = site.serve(&["--insecure-no-auth"], &[]);
    assert!(server.ask(&format!("GET /api/key/{CONTENT_ID}"), &[]).body == derive::key());
    let log = server.log();
    let warned = log
        .lines()
        .any(|line| line.contains("WARN") && line.contains("--insecure-no-auth"));
    assert!(warned, "{log}");
}

/// The document is made from the handlers, and changes only on purpose.
#[test]
fn the_openapi_document() {
    let site = Site::new();
    let server = site.serve(&[], &WITH_ALL_ROUTES);
    let answer = server.ask("GET /openapi.json", &[]);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let text = serde_json::to_string_pretty(&answer.json()).unwrap() + "\n";
    let text = text.replace(env!("CARGO_PKG_VERSION"), "[VERSION]");
    assert_data_eq!(text, file!["server/openapi.json": Text].raw());
}

/// What the document says is what the server does, whatever is sent: asked by a program that reads the document.
#[test]
fn schemathesis_finds_no_violation() {
    let site = Site::new();
    let server = site.serve(&[], &[]);
    schemathesis(&site, &server, &site.token(CONTENT_ID), &[]);
}

#[test]
fn schemathesis_finds_no_violation_as_an_administrator() {
    let site = Site::new();
    let server = site.serve(&[], &WITH_ALL_ROUTES);
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/server/schemathesis.toml");
    let authorization = format!("Authorization: Bearer {ADMIN_TOKEN}");
    schemathesis(&site, &server, &authorization, &["--config-file", config]);
}

fn schemathesis(site: &Site, server: &Server, authorization: &str, options: &[&str]) {
    let Some(schemathesis) = tool("schemathesis") else {
        return;
    };
    let mut command = Command::new(schemathesis);
    command
        .current_dir(site.workspace.folder())
        .args(options)
        .args(["run", "--max-examples", "40", "--seed", "1", "--no-color", "-H"])
        .arg(authorization)
        .arg(format!("http://{}/openapi.json", server.address));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// docs/configuration.md has the table of every setting, as the code knows them.
#[test]
fn every_setting_is_documented() {
    use std::fmt::Write as _;
    let mut table = String::from("| name | default | what it is |\n|---|---|---|\n");
    for setting in vylux_pack::server::settings::ALL {
        let default = setting
            .default
            .map(|default| format!("`{default}`"))
            .unwrap_or_default();
        let secret = if setting.secret { " *Secret.*" } else { "" };
        writeln!(table, "| `{}` | {default} | {}{secret} |", setting.name, setting.what).unwrap();
    }
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once("<!-- generated: settings -->\n").unwrap();
    let (found, after) = rest.split_once("<!-- end -->").unwrap();
    if std::env::var("SNAPSHOTS").as_deref() == Ok("overwrite") {
        let text = format!("{before}<!-- generated: settings -->\n{table}<!-- end -->{after}");
        std::fs::write(&path, text).unwrap();
        return;
    }
    assert_eq!(
        found, table,
        "SNAPSHOTS=overwrite cargo test --test server writes it anew"
    );
}

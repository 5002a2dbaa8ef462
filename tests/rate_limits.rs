//! Rate limits, as servers that share a Redis keep them, and while it is away: with a Redis of the tests' own.

#![cfg(feature = "server")]
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use common::server::{Answer, Server};
use common::{CONTENT_ID, Workspace, make_certificate, tokens, tool};

/// The password of the tests' Redis.
const PASSWORD: &str = "nobody-is-counted-without-this";

/// The secret of the tests' JWTs.
const JWT_SECRET: &[u8] = b"what signs the subjects of tests";

/// Something that takes a while has happened by then, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(30);

/// A Redis on a port of its own, in memory alone, ended when dropped.
struct Redis {
    program: PathBuf,
    workspace: Workspace,
    port: u16,
    tls: bool,
    child: Child,
}

impl Redis {
    /// `None` where it is not installed.
    fn start() -> Option<Self> {
        Self::start_with(false)
    }

    fn start_with(tls: bool) -> Option<Self> {
        let program = tool("redis-server")?;
        let workspace = Workspace::new();
        if tls {
            make_certificate(
                Command::new("openssl"),
                &workspace.path("cert.pem"),
                &workspace.path("key.pem"),
            );
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Self::spawn(&program, &workspace, port, tls);
        let redis = Self {
            program,
            workspace,
            port,
            tls,
            child,
        };
        redis.wait();
        Some(redis)
    }

    /// The configuration goes in by standard input, so no password is an argument.
    fn spawn(program: &PathBuf, workspace: &Workspace, port: u16, tls: bool) -> Child {
        let mut child = Command::new(program)
            .arg("-")
            .current_dir(workspace.folder())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let listen = if tls {
            format!(
                "port 0\ntls-port {port}\ntls-cert-file cert.pem\ntls-key-file key.pem\ntls-ca-cert-file cert.pem\n\
                 tls-auth-clients no"
            )
        } else {
            format!("port {port}")
        };
        let config = format!("bind 127.0.0.1\n{listen}\nsave \"\"\nappendonly no\nrequirepass {PASSWORD}\n");
        child.stdin.take().unwrap().write_all(config.as_bytes()).unwrap();
        child
    }

    fn wait(&self) {
        eventually("Redis listens", || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn restart(&mut self) {
        self.child = Self::spawn(&self.program, &self.workspace, self.port, self.tls);
        self.wait();
    }

    /// Sends a signal, by `kill`.
    fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status();
        assert!(status.unwrap().success());
    }

    fn url(&self) -> String {
        let scheme = if self.tls { "rediss" } else { "redis" };
        format!("{scheme}://:{PASSWORD}@127.0.0.1:{}/3", self.port)
    }

    /// What it answers to commands, in its protocol's own words.
    fn say(&self, commands: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(stream, "AUTH {PASSWORD}\r\nSELECT 3\r\n{commands}\r\nQUIT\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn eventually(what: &str, happened: impl Fn() -> bool) {
    let begun = Instant::now();
    while !happened() {
        assert!(begun.elapsed() < PATIENCE, "it never came: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Servers that derive every key, so that they need no store; a folder each.
struct Servers {
    workspace: Workspace,
}

impl Servers {
    fn new() -> Self {
        Self {
            workspace: Workspace::new(),
        }
    }

    fn command(&self, per_minute: u32, settings: &[(&str, &str)]) -> Command {
        let secret = base64::engine::general_purpose::STANDARD.encode(JWT_SECRET);
        let mut command = self.workspace.vylux_pack();
        command
            .args(["serve", "--derive-any", "--listen", "127.0.0.1:0"])
            .env("AUTH_JWT_SECRET", secret)
            .env("RATE_LIMIT_KEYS", per_minute.to_string())
            .envs(settings.iter().copied());
        command
    }

    fn start(&self, per_minute: u32, settings: &[(&str, &str)]) -> Server {
        Server::start(&mut self.command(per_minute, settings))
    }

    /// With a Redis, and a proxy on loopback that is believed.
    fn sharing(&self, redis: &Redis, per_minute: u32) -> Server {
        let server = self.start(per_minute, &[("REDIS_URL", &redis.url()), BEHIND_PROXY]);
        // A Redis that has only just been started may be slow at first, which is no fault of the server's.
        eventually("Redis is there", || redis_up(&server));
        server
    }
}

const BEHIND_PROXY: (&str, &str) = ("TRUSTED_PROXIES", "127.0.0.0/8");

/// An Authorization field for a subject.
fn bearer(subject: &str) -> String {
    let expires = tokens::now() + 600;
    let claims = format!(r#"{{"sub":"{subject}","exp":{expires},"hash":"{CONTENT_ID}"}}"#);
    format!("Authorization: Bearer {}", tokens::hs256(JWT_SECRET, &claims))
}

/// Asks for a key, as `client` through the proxy.
fn ask(server: &Server, client: &str, authorization: &str) -> Answer {
    let forwarded = format!("X-Forwarded-For: {client}");
    server.ask(&format!("GET /api/key/{CONTENT_ID}"), &[&forwarded, authorization])
}

/// How many of `asked` were let through until one was not, which is the answer, and how long that took.
fn until_refused(mut asked: impl FnMut(usize) -> Answer) -> (usize, Answer, Duration) {
    let begun = Instant::now();
    for at in 0..10_000 {
        let answer = asked(at);
        if answer.status == 429 {
            return (at, answer, begun.elapsed());
        }
    }
    panic!("nothing was refused");
}

/// `count` went through in that time: all at once, and one more each interval.
#[track_caller]
fn assert_let_through(count: usize, took: Duration, per_minute: u32) {
    let per_minute = per_minute as usize;
    let more = usize::try_from(took.as_millis()).unwrap() * per_minute / 60_000;
    let most = per_minute + more + 1;
    assert!(
        (per_minute..=most).contains(&count),
        "{count} of {per_minute} a minute went through in {took:?}"
    );
}

fn retry_after(answer: &Answer) -> Duration {
    assert_eq!(answer.status, 429);
    assert_eq!(answer.json()["type"], "urn:vylux-pack:problem:rate-limited");
    Duration::from_secs(answer.header("retry-after").unwrap().parse().unwrap())
}

fn reason(server: &Server, answer: &Answer) -> String {
    let line = server.logged(answer.header("x-request-id").unwrap());
    line["reason"].as_str().unwrap().to_owned()
}

fn redis_up(server: &Server) -> bool {
    let text = String::from_utf8(server.ask("GET /metrics", &[]).body).unwrap();
    match text.lines().find_map(|line| line.strip_prefix("vylux_pack_redis_up ")) {
        Some("1") => true,
        Some("0") => false,
        other => panic!("{other:?}"),
    }
}

fn times_logged(server: &Server, words: &str) -> usize {
    server.log().matches(words).count()
}

const AWAY: &str = "Redis is away";
const COUNTS: &str = "Redis counts rate limits";

/// What every limiter does, whoever counts.
fn keeps_limits(start: impl Fn(u32) -> Server) {
    // All at once, then one each interval, and Retry-After is the time to wait: not less, and hardly more.
    let server = start(30);
    let (count, refused, took) = until_refused(|_| ask(&server, "192.0.2.1", &bearer("anna")));
    assert_let_through(count, took, 30);
    assert_eq!(reason(&server, &refused), "rate-limited-address");
    let wait = retry_after(&refused);
    assert!((1..=2).contains(&wait.as_secs()), "{wait:?}");
    std::thread::sleep(wait);
    assert_eq!(ask(&server, "192.0.2.1", &bearer("berta")).status, 200);
    assert_eq!(
        ask(&server, "192.0.2.9", &bearer("berta")).status,
        200,
        "another client"
    );

    // Nobody gets more by changing the token, be it good or bad.
    let server = start(4);
    for at in 0..4 {
        let bad = format!("Authorization: Bearer {at}.{}", "x".repeat(at));
        assert_eq!(ask(&server, "192.0.2.2", &bad).status, 403);
    }
    for at in 4..8 {
        let bad = format!("Authorization: Bearer {at}.{}", "x".repeat(at));
        assert_eq!(ask(&server, "192.0.2.2", &bad).status, 429);
        assert_eq!(ask(&server, "192.0.2.2", &bearer(&format!("subject-{at}"))).status, 429);
    }

    // Nobody gets more by changing the address: a subject has a limit too, and another subject another.
    let server = start(4);
    for at in 0..4 {
        let client = format!("198.51.100.{at}");
        assert_eq!(ask(&server, &client, &bearer("clara")).status, 200);
    }
    let refused = ask(&server, "198.51.100.77", &bearer("clara"));
    assert_eq!(reason(&server, &refused), "rate-limited-subject");
    assert!((11..=15).contains(&retry_after(&refused).as_secs()), "{refused:?}");
    assert_eq!(ask(&server, "198.51.100.77", &bearer("dora")).status, 200);

    // A /64 of IPv6 is one client.
    for at in 0..4 {
        let client = format!("2001:db8:0:1::{at}");
        assert_eq!(ask(&server, &client, &bearer(&format!("host-{at}"))).status, 200);
    }
    assert_eq!(ask(&server, "2001:db8:0:1::beef", &bearer("host-9")).status, 429);
    assert_eq!(ask(&server, "2001:db8:0:2::beef", &bearer("host-9")).status, 200);
}

#[test]
fn memory_keeps_limits() {
    let servers = Servers::new();
    keeps_limits(|per_minute| servers.start(per_minute, &[BEHIND_PROXY]));
}

#[test]
fn redis_keeps_limits() {
    let servers = Servers::new();
    let Some(redis) = Redis::start() else { return };
    keeps_limits(|per_minute| {
        redis.say("FLUSHDB");
        servers.sharing(&redis, per_minute)
    });
}

#[test]
fn an_address_is_not_invented() {
    let servers = Servers::new();
    let server = servers.start(4, &[]);
    let (count, _, took) = until_refused(|at| ask(&server, &format!("203.0.113.{at}"), &bearer("anna")));
    assert_let_through(count, took, 4);
    let server = servers.start(4, &[BEHIND_PROXY]);
    let (count, _, took) = until_refused(|at| ask(&server, &format!("203.0.113.{at}, 192.0.2.1"), &bearer("anna")));
    assert_let_through(count, took, 4);
}

/// hls.js asks eight times for a key that it is refused.
#[test]
fn the_default_leaves_room_for_players_that_are_refused() {
    let servers = Servers::new();
    let mut command = servers.command(0, &[]);
    let server = Server::start(command.env_remove("RATE_LIMIT_KEYS"));
    let asked = "GET /api/key/test-film";
    for _ in 0..8 {
        assert_eq!(server.ask(asked, &["Authorization: Bearer refused"]).status, 403);
    }
    let (count, _, took) = until_refused(|_| server.ask(asked, &[&bearer("anna")]));
    assert_let_through(count + 8, took, 60);
}

#[test]
fn servers_share_what_redis_counts() {
    let servers = Servers::new();
    let Some(redis) = Redis::start() else { return };
    let both = [servers.sharing(&redis, 6), servers.sharing(&redis, 6)];
    assert!(both.iter().all(redis_up));

    let (count, _, took) = until_refused(|at| ask(&both[at % 2], "192.0.2.1", &bearer("a subject of mine")));
    assert_let_through(count, took, 6);
    for server in &both {
        assert_eq!(ask(server, "192.0.2.1", &bearer("another")).status, 429);
        assert_eq!(ask(server, "192.0.2.2", &bearer("a subject of mine")).status, 429);
        assert_eq!(server.ask("GET /ready", &[]).json()["redis"], "ok");
    }

    // One key for the address, one for the subject, one for probes: hidden, and gone when they mean nothing any more.
    let keys = redis.say("KEYS *");
    let keys: Vec<&str> = keys.lines().filter(|line| line.contains(':')).collect();
    assert!((3..=5).contains(&keys.len()), "{keys:?}");
    for key in keys {
        let rest = key.strip_prefix("vylux-pack:limit:").unwrap();
        let hidden = rest.strip_prefix("keys:").is_some_and(|rest| rest.len() == 64);
        assert!(hidden || rest == "probe", "{key}");
        let told = redis.say(&format!("PTTL {key}"));
        let lives: Vec<i64> = told
            .lines()
            .filter_map(|line| line.strip_prefix(':')?.parse().ok())
            .collect();
        // The probe may be gone by now.
        assert!(
            lives.len() == 1 && lives[0] <= 60_000 && (lives[0] > 0 || rest == "probe"),
            "{told}"
        );
    }
}

#[test]
fn memory_takes_over_while_redis_is_killed() {
    let servers = Servers::new();
    let Some(mut redis) = Redis::start() else { return };
    let both = [servers.sharing(&redis, 6), servers.sharing(&redis, 6)];
    let (count, _, took) = until_refused(|_| ask(&both[0], "192.0.2.1", &bearer("anna")));
    assert_let_through(count, took, 6);

    redis.kill();
    for server in &both {
        // Not shut, not open, and one line of the log.
        let (count, _, took) = until_refused(|_| ask(server, "192.0.2.2", &bearer("berta")));
        assert_let_through(count, took, 6);
        assert!(!redis_up(server));
        assert_eq!(times_logged(server, AWAY), 1, "{}", server.log());
        let ready = server.ask("GET /ready", &[]);
        assert_eq!((ready.status, ready.json()["redis"].as_str()), (200, Some("degraded")));
    }
    let again = ask(&both[0], "192.0.2.1", &bearer("anna"));
    assert_eq!(again.status, 429, "who had used up the limit has not got another");

    redis.restart();
    for server in &both {
        eventually("Redis is back", || redis_up(server));
        assert_eq!((times_logged(server, AWAY), times_logged(server, COUNTS)), (1, 2));
        assert_eq!(server.ask("GET /ready", &[]).json()["redis"], "ok");
    }
    let (count, _, took) = until_refused(|at| ask(&both[at % 2], "192.0.2.3", &bearer("clara")));
    assert_let_through(count, took, 6);

    for server in both {
        assert!(!server.log().contains(PASSWORD));
    }
}

#[test]
fn nobody_waits_for_a_redis_that_hangs() {
    let servers = Servers::new();
    let Some(redis) = Redis::start() else { return };
    let server = servers.sharing(&redis, 1000);
    assert_eq!(ask(&server, "192.0.2.1", &bearer("anna")).status, 200);

    redis.signal("-STOP");
    let begun = Instant::now();
    for _ in 0..50 {
        assert_eq!(ask(&server, "192.0.2.1", &bearer("anna")).status, 200);
    }
    // Two waits of 0.2 s at most; each for itself would be 10 s at least.
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert!(!redis_up(&server));
    // The task that looks for Redis has failed at least once before it comes back.
    std::thread::sleep(Duration::from_millis(2500));
    redis.signal("-CONT");
    eventually("Redis is back", || redis_up(&server));
    assert_eq!((times_logged(&server, AWAY), times_logged(&server, COUNTS)), (1, 2));
}

#[test]
fn a_server_starts_without_its_redis_and_check_says_so() {
    let servers = Servers::new();
    let Some(mut redis) = Redis::start() else { return };
    let url = redis.url();
    let check = |url: &str| {
        let mut command = servers.command(6, &[("REDIS_URL", url)]);
        let output = command.arg("--check").output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(!said.contains(PASSWORD), "{said}");
        (output.status.code(), said)
    };
    assert_eq!(check(&url).0, Some(0));
    let (code, said) = check(&url.replace(PASSWORD, "not-the-password"));
    assert_eq!(code, Some(1));
    assert!(
        said.contains("Redis can't be used") && said.contains("authentication failed"),
        "{said}"
    );
    assert!(!said.contains("not-the-password"), "{said}");
    for wrong in [
        format!("http://:{PASSWORD}@127.0.0.1"),
        format!("redis://:{PASSWORD}@127.0.0.1/not-a-number"),
        PASSWORD.to_owned(),
    ] {
        let (code, said) = check(&wrong);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("REDIS_URL can't be used"), "{said}");
    }

    redis.kill();
    let (code, said) = check(&url);
    assert_eq!(code, Some(1));
    assert!(
        said.contains("Redis can't be used") && said.contains("refused"),
        "{said}"
    );

    let server = servers.start(6, &[("REDIS_URL", &url), BEHIND_PROXY]);
    assert_eq!(ask(&server, "192.0.2.1", &bearer("anna")).status, 200);
    assert!(!redis_up(&server));
    redis.restart();
    eventually("Redis is there", || redis_up(&server));
    let (_, log) = {
        server.signal("-TERM");
        server.ended()
    };
    assert!(!log.contains(PASSWORD));
}

/// Redis answers, but can't count: a replica, or one that is full.
#[test]
fn a_redis_that_can_not_write_is_away() {
    let servers = Servers::new();
    let Some(redis) = Redis::start() else { return };
    let server = servers.sharing(&redis, 6);
    assert!(redis_up(&server));
    redis.say("REPLICAOF 127.0.0.1 1");
    let (count, _, took) = until_refused(|_| ask(&server, "192.0.2.1", &bearer("anna")));
    assert_let_through(count, took, 6);
    assert!(!redis_up(&server));
    // PING would be answered all the time.
    std::thread::sleep(Duration::from_millis(2500));
    assert!(!redis_up(&server));
    assert_eq!((times_logged(&server, AWAY), times_logged(&server, COUNTS)), (1, 1));
    redis.say("REPLICAOF NO ONE");
    eventually("Redis is back", || redis_up(&server));
    // The scripts that it knew are no longer needed.
    redis.say("SCRIPT FLUSH");
    assert_eq!(ask(&server, "192.0.2.2", &bearer("berta")).status, 200);
    assert!(redis_up(&server));
}

#[test]
fn redis_over_tls_is_believed_under_a_known_certificate_alone() {
    let servers = Servers::new();
    let Some(redis) = Redis::start_with(true) else { return };
    let certificate = redis.workspace.path("cert.pem");
    let url = redis.url();
    let known = servers.start(
        6,
        &[("REDIS_URL", &url), ("SSL_CERT_FILE", certificate.to_str().unwrap())],
    );
    assert!(redis_up(&known), "{}", known.log());
    assert_eq!(ask(&known, "192.0.2.1", &bearer("anna")).status, 200);
    assert!(redis_up(&known));
    let unknown = servers.start(6, &[("REDIS_URL", &url)]);
    assert!(!redis_up(&unknown));
    assert!(unknown.log().contains("certificate"), "{}", unknown.log());
    assert_eq!(ask(&unknown, "192.0.2.1", &bearer("anna")).status, 200);
}

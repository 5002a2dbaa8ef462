//! The examples of docs/access-control.md, run as an application developer would: each makes a token, and the server opens a key
//! for it; and what the document says of reasons.

#![cfg(feature = "server")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::server::{Answer, Server};
use common::tokens::{hmac_sha256, now};
use common::{Workspace, fixture, run, tool};
use serde_json::{Deserializer, Value};
use vylux_pack::access::DenyReason;
use vylux_pack::access::policy::PolicyDraft;

const DOCUMENT: &str = include_str!("../docs/access-control.md");
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/access-control");

/// A film whose keys need a JWT of a signing key.
struct Site {
    workspace: Workspace,
    kid: String,
    server: Server,
}

impl Site {
    fn start() -> Self {
        let workspace = Workspace::new();
        let vylux_pack = |arguments: &[&str]| {
            let output = run(workspace.vylux_pack().args(arguments));
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        let film = fixture("demo.mp4");
        vylux_pack(&["encrypt", film.to_str().unwrap(), "--content-id", "film", "--quiet"]);
        let kid = vylux_pack(&["signing-key", "create", "--name", "app", "--out", "app.pem"]);
        vylux_pack(&["policy", "set", "--content-id", "film", "jwt", "--kid", &kid]);
        let mut serve = workspace.vylux_pack();
        serve
            .args(["serve", "--listen", "127.0.0.1:0"])
            .env("AUTH_POLICIES_ONLY", "true")
            .env("WEBHOOK_ALLOW_CIDRS", "127.0.0.1");
        let server = Server::start(&mut serve);
        Self { workspace, kid, server }
    }

    fn status(&self, token: &str) -> u16 {
        let header = format!("Authorization: Bearer {token}");
        self.server.ask("GET /api/key/film", &[&header]).status
    }

    /// Whether OpenSSL, too, finds that the signing key signed the token; and what its header and claims are.
    fn check_by_openssl(&self, token: &str) {
        let Some(openssl) = tool("openssl") else { return };
        let (message, signature) = token.rsplit_once('.').unwrap();
        let [public, signed, der] = ["public.pem", "signed", "signature"].map(|name| self.workspace.path(name));
        let shown = run(self.workspace.vylux_pack().args(["signing-key", "show", &self.kid]));
        let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
        fs::write(&public, shown["public_key_pem"].as_str().unwrap()).unwrap();
        fs::write(&signed, message).unwrap();
        fs::write(&der, in_der(&decoded(signature))).unwrap();
        let mut verify = Command::new(openssl);
        verify.args(["dgst", "-sha256", "-verify"]).arg(&public);
        run(verify.arg("-signature").arg(&der).arg(&signed));

        let (header, claims) = message.split_once('.').unwrap();
        let [header, claims] = [header, claims].map(|part| serde_json::from_slice::<Value>(&decoded(part)).unwrap());
        assert_eq!(
            (&header["alg"], &header["kid"]),
            (&"ES256".into(), &self.kid.as_str().into())
        );
        let (content, viewer) = (&claims["content_id"], &claims["sub"]);
        assert_eq!((content, viewer), (&"film".into(), &"viewer-1".into()));
        let [issued, expires] = ["iat", "exp"].map(|name| claims[name].as_i64().unwrap());
        assert_eq!(expires - issued, 300);
    }

    /// Runs an example, whose token opens the film and no other.
    fn check(&self, mut example: Command) {
        example
            .env("SIGNING_KEY_FILE", self.workspace.path("app.pem"))
            .env("SIGNING_KEY_ID", &self.kid);
        let token = |content_id: &str| {
            let mut again = Command::new(example.get_program());
            again.args(example.get_args());
            again.envs(example.get_envs().filter_map(|(name, value)| Some((name, value?))));
            if let Some(folder) = example.get_current_dir() {
                again.current_dir(folder);
            }
            let output = run(again.args([content_id, "viewer-1"]));
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        let program = token("film");
        assert_eq!(self.status(&program), 200, "{program}");
        self.check_by_openssl(&program);
        assert_eq!(self.status(&token("another")), 403);
    }
}

fn decoded(part: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(part).unwrap()
}

/// A signature of a JWS, r and s of 32 bytes each (RFC 7518, 3.4), as OpenSSL wants it: `ECDSA-Sig-Value` (RFC 3279, 2.2.3).
fn in_der(signature: &[u8]) -> Vec<u8> {
    assert_eq!(signature.len(), 64);
    // DER has no zeros in front, but one where the number would be negative otherwise (X.690, 8.3).
    let integer = |bytes: &[u8]| {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let mut number = bytes[zeros..].to_vec();
        if number.first().is_none_or(|first| *first >= 0x80) {
            number.insert(0, 0);
        }
        [vec![2, u8::try_from(number.len()).unwrap()], number].concat()
    };
    let numbers: Vec<u8> = signature.chunks(32).flat_map(integer).collect();
    [vec![0x30, u8::try_from(numbers.len()).unwrap()], numbers].concat()
}

#[test]
fn node() {
    let Some(node) = tool("node") else { return };
    let mut example = Command::new(node);
    example.arg(Path::new(EXAMPLES).join("play_token.mjs"));
    Site::start().check(example);
}

#[test]
fn python() {
    let Some(python) = tool("python-jwt") else { return };
    let mut example = Command::new(python);
    example.arg(Path::new(EXAMPLES).join("play_token.py"));
    Site::start().check(example);
}

#[test]
fn go() {
    let Some(go) = tool("go") else { return };
    let site = Site::start();
    let binary = site.workspace.path("token");
    let mut build = Command::new(go);
    build.arg("build").arg("-o").arg(&binary);
    build.arg(Path::new(EXAMPLES).join("play_token.go"));
    for (name, folder) in [("GOCACHE", "gocache"), ("GOPATH", "gopath")] {
        build.env(name, site.workspace.path(folder));
    }
    run(build.env("GO111MODULE", "off"));
    site.check(Command::new(binary));
}

#[test]
fn rust() {
    // Built along with all tests, but not with one alone.
    let programs = Path::new(env!("CARGO_BIN_EXE_vylux-pack")).parent().unwrap();
    let example = programs.join("examples/play_token");
    assert!(example.is_file(), "run `cargo build --example play_token`");
    Site::start().check(Command::new(example));
}

const WEBHOOK_SECRET: &str = "a secret that two servers share";

/// The example of a webhook, which is killed when dropped.
struct Service {
    child: Child,
    address: SocketAddr,
}

impl Service {
    fn start(node: &Path) -> Self {
        let mut child = Command::new(node)
            .arg(Path::new(EXAMPLES).join("webhook.mjs"))
            .env("WEBHOOK_SECRET", WEBHOOK_SECRET)
            .env("PORT", "0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let port = line.trim().strip_prefix("listening on ").unwrap().parse().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Self { child, address }
    }

    /// Asks with that `X-Vylux-Signature-V2`.
    fn status(&self, signature: &str) -> u16 {
        let header = format!("X-Vylux-Signature-V2: {signature}");
        Answer::to(self.address, "POST /", &[&header], QUESTION.as_bytes()).status
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// As much of a question as the example looks at.
const QUESTION: &str = r#"{"contentId":"film","viewerToken":"a viewer of film"}"#;

/// The signature of [`QUESTION`] at that time.
fn signature(secret: &str, seconds: i64) -> String {
    let mac = hmac_sha256(secret.as_bytes(), format!("{seconds}.{QUESTION}").as_bytes());
    format!("t={seconds},v1={}", hex::encode(mac))
}

#[test]
fn webhook() {
    let Some(node) = tool("node") else { return };
    let (site, service) = (Site::start(), Service::start(&node));
    let set = |secret: &str| {
        let mut command = site.workspace.vylux_pack();
        let url = format!("http://{}/", service.address);
        command.args(["policy", "set", "--content-id", "film", "webhook", "--url", &url]);
        run(command.env("WEBHOOK_SECRET", secret));
    };
    set(WEBHOOK_SECRET);
    let answers = ["a viewer of film", "a viewer of another"].map(|token| site.status(token));
    set("a secret that nobody shares");
    let forged = site.status("a viewer of film");
    assert_eq!((answers, forged), ([200, 403], 403));
}

#[test]
fn the_webhook_believes_no_stranger_and_outlives_them() {
    let Some(node) = tool("node") else { return };
    let service = Service::start(&node);
    let genuine = || service.status(&signature(WEBHOOK_SECRET, now()));
    assert_eq!(genuine(), 200);
    for (what, signature) in [
        ("none", String::new()),
        ("another form", "t=,v1=".to_owned()),
        ("another secret", signature("a secret that nobody shares", now())),
        ("an old question again", signature(WEBHOOK_SECRET, now() - 310)),
        ("a question to come", signature(WEBHOOK_SECRET, now() + 310)),
    ] {
        assert_eq!(service.status(&signature), 403, "{what}");
    }
    let large = ["Content-Length: 1048577"];
    assert_eq!(Answer::of(service.address, "POST /", &large).status, 413);
    let endless = ["Transfer-Encoding: chunked"];
    assert_eq!(Answer::of(service.address, "POST /", &endless).status, 413);

    let mut stream = TcpStream::connect(service.address).unwrap();
    stream
        .write_all(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\nhalf of a question")
        .unwrap();
    drop(stream);
    // The second is asked when the first has been answered, and the service knows by then that the other is gone.
    assert_eq!([genuine(), genuine()], [200, 200]);
}

/// Each reason is in the table, and the table has no other.
#[test]
fn the_document_has_every_reason() {
    let rows = DOCUMENT
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let is_reason = |word: &&str| word.contains('-') && !word.contains(['/', '_', ' ']);
    let mut told: Vec<&str> = rows.filter(is_reason).collect();
    let mut known: Vec<&str> = DenyReason::ALL.iter().map(|reason| reason.as_str()).collect();
    told.sort_unstable();
    known.sort_unstable();
    assert_eq!(told, known);
}

/// The policies that it shows can be set.
#[test]
fn the_document_shows_policies_that_can_be_set() {
    let blocks = DOCUMENT.split("```json\n").skip(1);
    let text: String = blocks.filter_map(|block| block.split("```").next()).collect();
    let policies: Vec<Value> = Deserializer::from_str(&text)
        .into_iter()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(policies.len(), 2);
    for policy in policies {
        let text = policy.to_string();
        assert!(PolicyDraft::parse(&text).is_ok(), "{text}");
    }
}

/// The files that it names are there.
#[test]
fn the_document_names_files_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let links = DOCUMENT
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', '#']).next());
    for link in links.filter(|link| !link.is_empty() && !link.starts_with("http")) {
        assert!(root.join(link).exists(), "{link}");
    }
}

//! The examples of docs/access-control.md, run as an application developer would: each makes a token, and the server opens a key
//! for it; and what the document says of reasons.

#![cfg(feature = "server")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use common::server::Server;
use common::{Workspace, fixture, run, tool};
use vylux_pack::access::DenyReason;

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
        assert_eq!(self.status(&token("another")), 403);
    }
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
    // Built along with the tests.
    let programs = Path::new(env!("CARGO_BIN_EXE_vylux-pack")).parent().unwrap();
    Site::start().check(Command::new(programs.join("examples/play_token")));
}

#[test]
fn webhook() {
    let Some(node) = tool("node") else { return };
    let site = Site::start();
    let mut service = Command::new(node)
        .arg(Path::new(EXAMPLES).join("webhook.mjs"))
        .env("WEBHOOK_SECRET", "a secret that two servers share")
        .env("PORT", "0")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(service.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let port = line.trim().strip_prefix("listening on ").unwrap();
    let set = |secret: &str| {
        let mut command = site.workspace.vylux_pack();
        let url = format!("http://127.0.0.1:{port}/");
        command.args(["policy", "set", "--content-id", "film", "webhook", "--url", &url]);
        run(command.env("WEBHOOK_SECRET", secret));
    };
    set("a secret that two servers share");
    let answers = ["a viewer of film", "a viewer of another"].map(|token| site.status(token));
    set("a secret that nobody shares");
    let forged = site.status("a viewer of film");
    service.kill().unwrap();
    service.wait().unwrap();
    assert_eq!((answers, forged), ([200, 403], 403));
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

//! The admin API and the commands beside it: who is let in, what is changed, and what the audit trail says of it. On SQLite and on
//! PostgreSQL.

#![cfg(feature = "server")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::fs::OpenOptions;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};
use std::thread;

use common::Workspace;
use common::postgres::{Postgres, free_port};
use common::server::{Answer, Server};
use serde_json::{Value, json};

const ADMIN_TOKEN: &str = "an administrator's token of 40 characters";

struct Site {
    workspace: Workspace,
    store: String,
}

impl Site {
    fn new(store: &str) -> Self {
        Self {
            workspace: Workspace::new(),
            store: store.to_owned(),
        }
    }

    fn serve(&self, settings: &[(&str, &str)]) -> Server {
        let mut command = self.workspace.vylux_pack();
        command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .env("DATABASE_URL", &self.store)
            .env("AUTH_POLICIES_ONLY", "true")
            .envs(settings.iter().copied());
        Server::start(&mut command)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.workspace.vylux_pack();
        command.args(arguments).env("DATABASE_URL", &self.store);
        command.env("USER", "alice");
        command
    }

    fn run(&self, arguments: &[&str], settings: &[(&str, &str)]) -> Output {
        self.command(arguments).envs(settings.iter().copied()).output().unwrap()
    }
}

fn on_both(check: impl Fn(&Site)) {
    check(&Site::new("sqlite://records.db"));
    let Some(postgres) = Postgres::start() else { return };
    check(&Site::new(&postgres.create("admin")));
}

const TOKEN: (&str, &str) = ("ADMIN_TOKEN", ADMIN_TOKEN);

fn ask(server: &Server, request: &str, token: Option<&str>, body: &str) -> Answer {
    let header = token.map(|token| format!("Authorization: Bearer {token}"));
    let headers: Vec<&str> = header.iter().map(String::as_str).collect();
    server.post(request, &headers, body.as_bytes())
}

fn admin(server: &Server, request: &str, body: &str) -> (u16, Value) {
    let answer = ask(server, request, Some(ADMIN_TOKEN), body);
    let said = serde_json::from_slice(&answer.body).unwrap_or_default();
    if answer.status < 400 && answer.status != 204 {
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer:?}");
    }
    (answer.status, said)
}

const REQUESTS: [&str; 10] = [
    "GET /api/admin/policies",
    "GET /api/admin/policies/film",
    "PUT /api/admin/policies/film",
    "DELETE /api/admin/policies/film",
    "GET /api/admin/signing-keys",
    "POST /api/admin/signing-keys",
    "GET /api/admin/signing-keys/abc",
    "POST /api/admin/signing-keys/abc/revoke",
    "POST /api/admin/access/test",
    "GET /api/admin/audit",
];

#[test]
fn nobody_else_is_let_in() {
    on_both(|site| {
        let absent = site.serve(&[]);
        for request in REQUESTS {
            assert_eq!(ask(&absent, request, Some(ADMIN_TOKEN), "{}").status, 404, "{request}");
        }
        drop(absent);

        let server = site.serve(&[TOKEN]);
        for (number, request) in REQUESTS.into_iter().enumerate() {
            // Half of them without a token: ten wrong ones a minute are told that they are wrong.
            let (token, status) = [(None, 401), (Some("another"), 403)][number % 2];
            let answer = ask(&server, request, token, r#"{"type":"public"}"#);
            assert_eq!(answer.status, status, "{request}");
            assert!(!String::from_utf8_lossy(&answer.body).contains(ADMIN_TOKEN));
        }
        let answer = ask(&server, REQUESTS[0], Some("another"), "");
        assert_eq!(answer.status, 429);
        assert!(answer.header("retry-after").is_some());
        // Whoever has it is not kept out by others.
        assert_eq!(admin(&server, REQUESTS[0], ""), (200, json!([])));
        assert!(!server.log().contains(ADMIN_TOKEN));
    });
}

#[test]
fn it_has_a_listener_of_its_own_if_it_is_asked_to() {
    let site = Site::new("sqlite://records.db");
    let address = format!("127.0.0.1:{}", free_port());
    let server = site.serve(&[TOKEN, ("ADMIN_ADDR", &address)]);
    assert_eq!(admin(&server, REQUESTS[0], "").0, 404);
    let bearer = format!("Authorization: Bearer {ADMIN_TOKEN}");
    let there = Answer::of(address.parse().unwrap(), REQUESTS[0], &[&bearer]);
    assert_eq!(there.status, 200);
    let key = Answer::of(address.parse().unwrap(), "GET /api/key/film", &[&bearer]);
    assert_eq!(key.status, 404);
}

#[test]
fn settings_that_cannot_be_are_refused_at_the_start() {
    let site = Site::new("sqlite://records.db");
    for (settings, flags, expected) in [
        (vec![("ADMIN_TOKEN", "short")], vec![], "32 characters at least"),
        (vec![TOKEN], vec!["--derive-any"], "there is none with --derive-any"),
        (
            vec![("AUTH_POLICIES_ONLY", "true")],
            vec!["--derive-any"],
            "there is none with --derive-any",
        ),
        (vec![("AUTH_POLICIES_ONLY", "yes")], vec![], "false or true"),
        (
            vec![("AUTH_POLICIES_ONLY", "true"), ("ADMIN_ADDR", "127.0.0.1:0")],
            vec![],
            "there are none without ADMIN_TOKEN",
        ),
        (vec![("WEBHOOK_ALLOW_CIDRS", "10.0.0.0/8, inside")], vec![], "inside"),
        (vec![], vec![], "AUTH_POLICIES_ONLY=true"),
    ] {
        let arguments = [&["serve", "--check"], &*flags].concat();
        let output = site.run(&arguments, &settings);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{settings:?}: {said}");
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn policies_are_set_shown_listed_and_taken_away() {
    on_both(|site| {
        let server = site.serve(&[TOKEN]);
        let policy = |id: &str| admin(&server, &format!("GET /api/admin/policies/{id}"), "");
        assert_eq!(policy("film").0, 404);
        let put = |id: &str, policy: &str| admin(&server, &format!("PUT /api/admin/policies/{id}"), policy);
        let webhook = r#"{"type":"webhook","url":"https://app.example.com/keys","secret":"hunter2"}"#;
        let (status, said) = put("film", webhook);
        assert_eq!((status, &said["secret"]), (200, &json!("[redacted]")));
        let shown = policy("film").1;
        assert_eq!(shown["content_id"], "film");
        assert_eq!(shown["policy"]["secret"], "[redacted]");
        // Left out, the secret is kept; where there is none to keep, it is asked for.
        let (status, said) = put("film", r#"{"type":"webhook","url":"https://app.example.com/other"}"#);
        assert_eq!((status, &said["url"]), (200, &json!("https://app.example.com/other")));
        for (id, policy, status, expected) in [
            (
                "other",
                r#"{"type":"webhook","url":"https://a.example/"}"#,
                400,
                "\"secret\" is missing",
            ),
            (
                "film",
                r#"{"type":"webhook","url":"https://a.example/","secret":""}"#,
                400,
                "empty",
            ),
            (
                "film",
                r#"{"type":"webhook","url":"https://a.example/","secret":"[redacted]"}"#,
                400,
                "send the secret itself",
            ),
            (
                "film",
                r#"{"type":"geo"}"#,
                400,
                "expected public, token, jwt or webhook",
            ),
            ("film", "{", 400, "can't be read"),
        ] {
            let (found, said) = put(id, policy);
            assert_eq!(found, status, "{policy}: {said}");
            assert!(said["detail"].as_str().unwrap().contains(expected), "{said}");
        }
        assert_eq!(put("film", &" ".repeat(20_000)).0, 413);
        assert_eq!(put("a%2Fb", r#"{"type":"public"}"#).0, 400);
        assert_eq!(put("trailer", r#"{"type":"public"}"#).0, 200);
        let all = admin(&server, "GET /api/admin/policies", "").1;
        let ids: Vec<&str> = all
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["content_id"].as_str().unwrap())
            .collect();
        assert_eq!(ids, ["film", "trailer"]);
        let delete = |id: &str| {
            ask(
                &server,
                &format!("DELETE /api/admin/policies/{id}"),
                Some(ADMIN_TOKEN),
                "",
            )
            .status
        };
        assert_eq!((delete("film"), delete("film")), (204, 404));

        let (_, log) = admin(&server, "GET /api/admin/audit?subject=film", "");
        let entries = log.as_array().unwrap();
        let actions: Vec<&str> = entries.iter().map(|entry| entry["action"].as_str().unwrap()).collect();
        assert_eq!(actions, ["policy.clear", "policy.set", "policy.set"]);
        assert!(entries.iter().all(|entry| entry["actor"] == "admin@127.0.0.1"), "{log}");
        assert!(!log.to_string().contains("hunter2") && !server.log().contains("hunter2"));
        // Many at once: the last one counts, and each is in the trail.
        thread::scope(|scope| {
            for number in 0..8 {
                let audience = format!(r#"{{"type":"jwt","audience":"{number}"}}"#);
                let put = &put;
                scope.spawn(move || assert_eq!(put("race", &audience).0, 200));
            }
        });
        let (_, log) = admin(&server, "GET /api/admin/audit?subject=race", "");
        let newest: Value = serde_json::from_str(log[0]["detail"].as_str().unwrap()).unwrap();
        assert_eq!(log.as_array().unwrap().len(), 8);
        assert_eq!(policy("race").1["policy"], newest);
    });
}

#[test]
fn signing_keys_are_made_shown_and_revoked() {
    on_both(|site| {
        let server = site.serve(&[TOKEN]);
        let create = |name: &str| {
            let body = json!({"name": name}).to_string();
            admin(&server, "POST /api/admin/signing-keys", &body)
        };
        // At once, and over two servers: ten and no more.
        let other = site.serve(&[TOKEN]);
        let statuses: Vec<u16> = thread::scope(|scope| {
            let threads: Vec<_> = (0..14)
                .map(|number| {
                    let server = [&server, &other][number % 2];
                    let body = json!({"name": format!("key-{number}")}).to_string();
                    scope.spawn(move || admin(server, "POST /api/admin/signing-keys", &body).0)
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let made = statuses.iter().filter(|status| **status == 201).count();
        let refused = statuses.iter().filter(|status| **status == 409).count();
        assert_eq!((made, refused), (10, 4), "{statuses:?}");
        assert!(create("eleventh").1["detail"].as_str().unwrap().contains("10"));
        let keys = admin(&server, "GET /api/admin/signing-keys", "").1;
        assert!(!keys.to_string().contains("PRIVATE"));
        let kid = keys[0]["kid"].as_str().unwrap();
        assert!(
            kid.len() == 16 && kid.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7')),
            "{kid}"
        );
        let revoke = |kid: &str| admin(&server, &format!("POST /api/admin/signing-keys/{kid}/revoke"), "");
        assert_eq!(revoke(kid).1["was_active"], true);
        assert_eq!(revoke(kid).1["was_active"], false);
        assert_eq!(revoke("unknown").0, 404);
        let (status, key) = create("new");
        assert_eq!(status, 201);
        assert!(key["private_key_pem"].as_str().unwrap().contains("PRIVATE KEY"));
        let shown = admin(
            &server,
            &format!("GET /api/admin/signing-keys/{}", key["kid"].as_str().unwrap()),
            "",
        )
        .1;
        assert_eq!(shown["public_key_pem"], key["public_key_pem"]);
        assert_eq!(create("new").0, 409);
        for name in ["", "a\nb", &"n".repeat(129)] {
            assert_eq!(create(name).0, 400, "{name:?}");
        }
        assert_eq!(admin(&server, "POST /api/admin/signing-keys", r#"["x"]"#).0, 400);
        // PostgreSQL keeps no such text.
        assert_eq!(admin(&server, "GET /api/admin/signing-keys/%00", "").0, 404);
        assert_eq!(admin(&server, "POST /api/admin/signing-keys/%00/revoke", "").0, 404);
        assert_eq!(admin(&server, "GET /api/admin/audit?subject=%00", ""), (200, json!([])));
        assert_eq!(
            admin(&server, "POST /api/admin/signing-keys", r#"{"name":"x","y":1}"#).0,
            400
        );
        assert!(!server.log().contains("PRIVATE"));
    });
}

/// A private half that goes nowhere leaves no key that counts.
#[test]
fn a_private_key_that_gets_lost_is_revoked() {
    on_both(|site| {
        let mut command = site.command(&["signing-key", "create", "--name", "lost"]);
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let lost = command.stdout(full).output().unwrap();
        let said = String::from_utf8_lossy(&lost.stderr);
        assert!(
            lost.status.code() == Some(1) && said.contains("so that key is revoked"),
            "{said}"
        );
        let list = site.run(&["signing-key", "list", "--json"], &[]).stdout;
        let list: Value = serde_json::from_slice(&list).unwrap();
        assert_eq!(
            (&list[0]["name"], list[0]["revoked_at"].is_string()),
            (&json!("lost"), true)
        );
    });
}

#[test]
fn the_command_line_does_the_same() {
    on_both(|site| {
        let run = |arguments: &[&str]| {
            let output = site.run(arguments, &[("WEBHOOK_SECRET", "hunter2")]);
            let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            (output.status.code().unwrap(), said)
        };
        let set = |more: &[&str]| run(&[&["policy", "set", "--content-id", "film"], more].concat());
        let (code, said) = set(&[
            "jwt",
            "--audience",
            "player",
            "--require",
            "plan=premium",
            "--require",
            "age=18",
            "--any-content",
        ]);
        let expected = r#"{"type":"jwt","allowed_kids":[],"audience":"player","required_claims":{"age":18,"plan":"premium"},"content_binding":false}"#;
        assert_eq!((code, said.trim()), (0, &*format!("film: {expected}")));
        let (code, said) = set(&[
            "webhook",
            "--url",
            "https://app.example.com/keys",
            "--timeout-ms",
            "100",
        ]);
        assert!(
            code == 0 && said.contains("[redacted]") && !said.contains("hunter2"),
            "{said}"
        );
        for wrong in [
            vec![],
            vec!["private"],
            vec!["public", "--audience", "x"],
            vec!["webhook"],
            vec!["webhook", "--url", "app.example.com"],
            vec!["jwt", "--require", "plan"],
            vec!["jwt", "--require", "plan=premium", "--require", "plan=free"],
            vec!["--file", "missing.json"],
        ] {
            assert_eq!(set(&wrong).0, 2, "{wrong:?}");
        }
        let file = site.workspace.path("webhook.json");
        std::fs::write(&file, r#" {"type":"webhook","url":"https://other.example.com/"}"#).unwrap();
        let (code, said) = run(&["policy", "set", "--content-id", "other", "--file", "webhook.json"]);
        assert!(code == 0 && said.contains("[redacted]"), "{said}");
        assert_eq!(run(&["policy", "clear", "--content-id", "other"]).0, 0);
        assert!(run(&["policy", "get", "--content-id", "film"]).1.contains("[redacted]"));
        assert_eq!(run(&["policy", "get", "--content-id", "other"]).0, 1);
        assert!(run(&["policy", "list"]).1.contains("app.example.com"));
        assert_eq!(run(&["policy", "clear", "--content-id", "film"]).0, 0);

        let (code, kid) = run(&["signing-key", "create", "--name", "shop", "--out", "shop.pem"]);
        assert_eq!(code, 0, "{kid}");
        let file = site.workspace.path("shop.pem");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let pem = std::fs::read_to_string(&file).unwrap();
        assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----"));
        // Nothing is written over, and no key is made whose private half has nowhere to go.
        assert_eq!(
            run(&["signing-key", "create", "--name", "other", "--out", "shop.pem"]).0,
            1
        );
        assert_eq!(std::fs::read_to_string(&file).unwrap(), pem);
        assert_eq!(run(&["signing-key", "create", "--name", "shop"]).0, 1);
        let (_, printed) = run(&["signing-key", "create", "--name", "printed"]);
        assert!(
            printed.contains("PRIVATE KEY") && printed.contains("kid: "),
            "{printed}"
        );
        let kid = kid.trim();
        let list = run(&["signing-key", "list"]).1;
        assert!(
            list.contains(kid) && list.lines().count() == 3 && !list.contains("PRIVATE"),
            "{list}"
        );
        assert!(run(&["signing-key", "show", kid]).1.contains("BEGIN PUBLIC KEY"));
        assert_eq!(
            run(&["signing-key", "revoke", kid]).1.trim(),
            format!("{kid}: revoked.")
        );
        assert_eq!(run(&["signing-key", "revoke", "unknown"]).0, 1);
        let log = run(&["policy", "log", "--json"]).1;
        let log: Value = serde_json::from_str(&log).unwrap();
        assert_eq!(log[0]["action"], "signing-key.revoke");
        assert!(
            log.as_array()
                .unwrap()
                .iter()
                .all(|entry| entry["actor"] == "cli:alice"),
            "{log}"
        );
        assert!(!log.to_string().contains("hunter2"));
        assert_eq!(run(&["policy", "log", "--subject", kid]).1.lines().count(), 3);
    });
}

//! Leases over HTTP: who gets one, what it opens, and until when. On SQLite and on PostgreSQL.

#![cfg(feature = "server")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::postgres::Postgres;
use common::server::{Answer, Server};
use common::tokens::{hmac_token, hs256, now};
use common::{Workspace, derive, run};
use serde_json::{Value, json};
use vylux_pack::keys::store::{Blocking, Lease};

const JWT_SECRET: &[u8] = b"a JWT's secret of 32 bytes, here";
const TOKEN_SECRET: &str = "correct horse battery staple";
const ADMIN_TOKEN: &str = "an administrator's token of 40 characters";

/// Where the store is, and a film's key is in it.
struct Site {
    workspace: Workspace,
    store: String,
}

impl Site {
    fn new(store: &str) -> Self {
        let workspace = Workspace::new();
        let mut encrypt = workspace.vylux_pack();
        encrypt
            .arg("encrypt")
            .arg(common::fixture("demo.mp4"))
            .args(["--content-id", "film", "--quiet"])
            .env("DATABASE_URL", store);
        run(&mut encrypt);
        Self {
            workspace,
            store: store.to_owned(),
        }
    }

    fn command(&self, settings: &[(&str, &str)]) -> Command {
        let mut command = self.workspace.vylux_pack();
        command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .env("DATABASE_URL", &self.store)
            .env("AUTH_JWT_SECRET", STANDARD.encode(JWT_SECRET))
            .env("KEY_TOKEN_SECRET", TOKEN_SECRET)
            .env("ADMIN_TOKEN", ADMIN_TOKEN)
            .env("RATE_LIMIT_KEYS", "1000000")
            .env("RATE_LIMIT_LEASES", "1000000")
            .env("LEASE_TTL_MS", "600000")
            .envs(settings.iter().copied());
        command
    }

    fn serve(&self, settings: &[(&str, &str)]) -> Client {
        Client(Server::start(&mut self.command(settings)))
    }
}

/// What is derived of the film.
fn derive_of_film(label: &str) -> Vec<u8> {
    derive::expand(&common::MASTER_KEY, &common::SALT, &format!("film{label}"))[..16].to_vec()
}

fn on_both(check: impl Fn(&Site)) {
    check(&Site::new("sqlite://records.db"));
    let Some(postgres) = Postgres::start() else { return };
    check(&Site::new(&postgres.create("leases")));
}

/// A token of a viewer for both contents.
fn token(viewer: &str) -> String {
    let claims = json!({"content_id": ["film", "series"], "sub": viewer, "exp": now() + 600});
    hs256(JWT_SECRET, &claims.to_string())
}

/// A server, and what is asked of it.
struct Client(Server);

impl Client {
    fn post(&self, path: &str, token: Option<&str>, body: &Value) -> Answer {
        let header = token.map(|token| format!("Authorization: Bearer {token}"));
        let headers: Vec<&str> = header.iter().map(String::as_str).collect();
        let answer = self
            .0
            .post(&format!("POST {path}"), &headers, body.to_string().as_bytes());
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer:?}");
        answer
    }

    /// Status, and the reason in the log.
    fn outcome(&self, answer: &Answer) -> (u16, String) {
        let line = self.0.logged(answer.header("x-request-id").unwrap());
        (answer.status, line["reason"].as_str().unwrap().to_owned())
    }

    fn create(&self, viewer: &str, content_id: &str) -> Answer {
        self.post("/keys/leases", Some(&token(viewer)), &json!({"contentId": content_id}))
    }

    /// The ID of a new lease.
    fn lease(&self, viewer: &str, content_id: &str) -> String {
        let answer = self.create(viewer, content_id);
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["leaseId"].as_str().unwrap().to_owned()
    }

    fn renew(&self, viewer: &str, lease: &str) -> Answer {
        self.post("/keys/leases/renew", Some(&token(viewer)), &json!({"leaseId": lease}))
    }

    fn revoke(&self, what: &Value) -> Value {
        let answer = self.post("/keys/leases/revoke", Some(ADMIN_TOKEN), what);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    fn key(&self, viewer: &str, content_id: &str, lease: &[&str]) -> Answer {
        let token = format!("Authorization: Bearer {}", token(viewer));
        let leases: Vec<String> = lease.iter().map(|lease| format!("X-Lease-Id: {lease}")).collect();
        let headers: Vec<&str> = [token.as_str()]
            .into_iter()
            .chain(leases.iter().map(String::as_str))
            .collect();
        self.0.ask(&format!("GET /api/key/{content_id}"), &headers)
    }

    #[track_caller]
    fn assert_refused(&self, answer: &Answer, status: u16, reason: &str) {
        assert_eq!(self.outcome(answer), (status, reason.to_owned()));
    }
}

#[test]
fn a_lease_opens_its_content_to_its_viewer_until_it_is_revoked() {
    on_both(|site| {
        let server = site.serve(&[]);
        let answer = server.create("viewer-1", "film");
        assert_eq!(answer.status, 201, "{answer:?}");
        let given = answer.json();
        assert_eq!(given.as_object().unwrap().len(), 3, "{given}");
        assert_eq!(given["ttlMs"], 600_000);
        let expires_at: jiff::Timestamp = given["expiresAt"].as_str().unwrap().parse().unwrap();
        assert!((590..=601).contains(&(expires_at.as_second() - now())), "{given}");
        let lease = given["leaseId"].as_str().unwrap();
        assert_eq!(lease.len(), 32);

        let key = server.key("viewer-1", "film", &[lease]);
        assert!(key.status == 200 && key.body == derive_of_film(""), "{}", key.status);
        let kids = json!({"kids": [common::tokens::base64url(derive_of_film("/kid"))]}).to_string();
        let bearer = format!("Authorization: Bearer {}", token("viewer-1"));
        for (headers, status) in [
            (vec![bearer.as_str()], 403),
            (vec![&bearer, &format!("X-Lease-Id: {lease}")], 200),
        ] {
            let licence = server.0.post("POST /api/key/film/clearkey", &headers, kids.as_bytes());
            assert_eq!(licence.status, status);
        }

        // Not without it, for nobody else, for nothing else; and nobody is told which.
        for (viewer, content_id, leases, reason) in [
            ("viewer-1", "film", vec![], "lease-missing"),
            ("viewer-2", "film", vec![lease], "lease-unknown"),
            ("viewer-1", "series", vec![lease], "lease-unknown"),
            ("viewer-1", "film", vec![&*"A".repeat(32)], "lease-unknown"),
            ("viewer-1", "film", vec!["%00"], "lease-unknown"),
            ("viewer-1", "film", vec![""], "lease-unknown"),
            ("viewer-1", "film", vec![lease, lease], "lease-unknown"),
        ] {
            let answer = server.key(viewer, content_id, &leases);
            server.assert_refused(&answer, 403, reason);
            assert_eq!(answer.json()["type"], "urn:vylux-pack:problem:no-lease");
        }
        // A wrong token is found out before.
        let answer = server.0.ask("GET /api/key/film", &[&format!("X-Lease-Id: {lease}")]);
        server.assert_refused(&answer, 401, "missing-token");

        let again = server.renew("viewer-1", lease).json();
        assert_eq!(again["leaseId"], lease);
        assert!(again["expiresAt"].as_str() > given["expiresAt"].as_str());
        server.assert_refused(&server.renew("viewer-2", lease), 403, "lease-unknown");
        server.assert_refused(&server.renew("viewer-1", &"A".repeat(32)), 403, "lease-unknown");
        let body = json!({"leaseId": lease});
        let nobody = server.post("/keys/leases/renew", None, &body);
        server.assert_refused(&nobody, 401, "missing-token");

        assert_eq!(server.revoke(&json!({"leaseId": lease})), json!({"revoked": 1}));
        server.assert_refused(&server.key("viewer-1", "film", &[lease]), 403, "lease-unknown");
        server.assert_refused(&server.renew("viewer-1", lease), 403, "lease-unknown");
        assert_eq!(server.revoke(&json!({"leaseId": lease})), json!({"revoked": 0}));

        let leases = [0; 3].map(|_| server.lease("viewer-1", "film"));
        let other = server.lease("viewer-2", "film");
        assert_eq!(server.revoke(&json!({"viewerId": "viewer-1"})), json!({"revoked": 3}));
        for lease in &leases {
            server.assert_refused(&server.key("viewer-1", "film", &[lease]), 403, "lease-unknown");
        }
        assert_eq!(server.key("viewer-2", "film", &[&other]).status, 200);
        let log = server.0.log();
        assert!(
            !log.contains(lease) && !log.contains(&other),
            "a lease's ID is in the log"
        );
    });
}

#[test]
fn a_lease_ends_at_its_time_and_goes_on_if_it_is_renewed() {
    on_both(|site| {
        let server = site.serve(&[("LEASE_TTL_MS", "3000")]);
        let asked = |asked: Value| {
            let body = json!({"contentId": "film", "requestedTtlMs": asked});
            server.post("/keys/leases", Some(&token("viewer-1")), &body)
        };
        for (asked_ms, ttl_ms) in [
            (json!(2000), 2000),
            (json!(0), 1000),
            (json!(u64::MAX), 3000),
            (json!(null), 3000),
        ] {
            assert_eq!(asked(asked_ms).json()["ttlMs"], ttl_ms);
        }
        for wrong in [json!(-1), json!(1.5), json!("1000")] {
            server.assert_refused(&asked(wrong), 400, "malformed-lease-request");
        }
        let short = asked(json!(1000)).json()["leaseId"].as_str().unwrap().to_owned();
        let renewed = asked(json!(2000)).json()["leaseId"].as_str().unwrap().to_owned();
        assert_eq!(server.key("viewer-1", "film", &[&short]).status, 200);
        assert_eq!(server.renew("viewer-1", &renewed).json()["ttlMs"], 3000);
        thread::sleep(Duration::from_millis(1100));
        server.assert_refused(&server.key("viewer-1", "film", &[&short]), 403, "lease-expired");
        server.assert_refused(&server.renew("viewer-1", &short), 403, "lease-expired");
        thread::sleep(Duration::from_secs(1));
        assert_eq!(server.key("viewer-1", "film", &[&renewed]).status, 200);
    });
}

/// A server takes expired leases away when it begins and when it ends, if not before: those that no other one's clock lets through.
#[test]
fn a_server_sweeps_expired_leases() {
    on_both(|site| {
        let path = site.store.strip_prefix("sqlite://");
        let url = path.map_or_else(
            || site.store.clone(),
            |path| format!("sqlite://{}", site.workspace.path(path).display()),
        );
        let store = Blocking::open(&url).unwrap();
        let is_there = |id: &str| store.wait(|store| store.lease(id)).unwrap().is_some();
        let add = |ends_in_seconds: i64| {
            let now_ms = now() * 1000;
            let lease = Lease {
                id: format!("{ends_in_seconds:+032}"),
                content_id: "film".parse().unwrap(),
                viewer: "viewer-1".to_owned(),
                expires_at_ms: now_ms + ends_in_seconds * 1000,
                created_at_ms: now_ms - 600_000,
            };
            store.wait(|store| store.create_lease(&lease, None)).unwrap();
            assert!(is_there(&lease.id));
            lease.id
        };
        let kept = [add(600), add(-5)];
        let old = add(-120);
        let server = site.serve(&[]);
        let began = Instant::now();
        while is_there(&old) {
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "it is not swept at the beginning"
            );
            thread::sleep(Duration::from_millis(20));
        }
        let old = add(-120);
        server.0.signal("-TERM");
        server.0.ended();
        assert!(!is_there(&old), "it is not swept at the end");
        assert!(kept.iter().all(|id| is_there(id)));
        // Where nobody needs leases, nobody looks after them.
        let old = add(-120);
        let server = Client(Server::start(site.command(&[]).env_remove("LEASE_TTL_MS")));
        server.0.signal("-TERM");
        server.0.ended();
        assert!(is_there(&old));
    });
}

#[test]
fn a_lease_that_is_one_too_many_ends_the_oldest_or_is_refused() {
    on_both(|site| {
        let server = site.serve(&[("LEASE_MAX_PER_VIEWER", "2")]);
        let leases = [0; 3].map(|_| {
            // Which is the oldest, milliseconds tell.
            thread::sleep(Duration::from_millis(2));
            server.lease("evicted", "film")
        });
        server.assert_refused(&server.key("evicted", "film", &[&leases[0]]), 403, "lease-unknown");
        for lease in &leases[1..] {
            assert_eq!(server.key("evicted", "film", &[lease]).status, 200);
        }
        let server = site.serve(&[("LEASE_MAX_PER_VIEWER", "2"), ("LEASE_OVERFLOW", "refuse")]);
        let first = server.lease("refused", "film");
        server.lease("refused", "series");
        let refused = server.create("refused", "film");
        server.assert_refused(&refused, 409, "lease-limit");
        assert_eq!(refused.json()["type"], "urn:vylux-pack:problem:conflict");
        server.lease("another", "film");
        server.revoke(&json!({"leaseId": first}));
        server.lease("refused", "film");
    });
}

/// Sixteen at once ask two servers over one PostgreSQL for leases of one viewer.
#[test]
fn several_servers_together_give_no_more_than_the_limit() {
    let Some(postgres) = Postgres::start() else { return };
    let site = Site::new(&postgres.create("leases"));
    for (overflow, viewer) in [("evict", "evicted"), ("refuse", "refused")] {
        let settings = [("LEASE_MAX_PER_VIEWER", "3"), ("LEASE_OVERFLOW", overflow)];
        let servers = [site.serve(&settings), site.serve(&settings)];
        let statuses: Vec<u16> = thread::scope(|scope| {
            let threads: Vec<_> = (0..16)
                .map(|number| {
                    let server = &servers[number % 2];
                    scope.spawn(move || [0; 4].map(|_| server.create(viewer, "film").status))
                })
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        let count = |status| statuses.iter().filter(|found| **found == status).count();
        match overflow {
            "evict" => assert_eq!(count(201), 64, "{statuses:?}"),
            _ => assert_eq!((count(201), count(409)), (3, 61), "{statuses:?}"),
        }
        let left = postgres.sql(
            "leases",
            &format!("SELECT count(*) FROM key_leases WHERE viewer = '{viewer}'"),
        );
        assert_eq!(left.trim(), "3");
    }
}

#[test]
fn leases_are_for_viewers_whom_a_token_names() {
    let site = Site::new("sqlite://records.db");
    let server = site.serve(&[]);
    let ask = |token: &str| server.post("/keys/leases", Some(token), &json!({"contentId": "film"}));
    let named = |sub: Value| {
        let mut claims = json!({"content_id": "film", "exp": now() + 600});
        if !sub.is_null() {
            claims["sub"] = sub;
        }
        hs256(JWT_SECRET, &claims.to_string())
    };
    server.assert_refused(&ask(&named(Value::Null)), 403, "lease-no-subject");
    for sub in ["", "a\u{0}b", "a\nb", &"v".repeat(257)] {
        server.assert_refused(&ask(&named(json!(sub))), 403, "lease-bad-subject");
    }
    assert_eq!(ask(&named(json!("\u{e9}".repeat(128)))).status, 201);
    server.assert_refused(&ask("x"), 403, "token-malformed");
    let answer = server.post("/keys/leases", Some(&token("viewer-1")), &json!({"contentId": "other"}));
    server.assert_refused(&answer, 403, "jwt-content-mismatch");
    let hmac = |claims: Value| hmac_token(TOKEN_SECRET, &claims.to_string());
    let claims = json!({"hash": "film", "exp": now() + 600});
    server.assert_refused(&ask(&hmac(claims)), 403, "lease-no-subject");
    let claims = json!({"hash": "film", "exp": now() + 600, "sub": "viewer-1"});
    assert_eq!(ask(&hmac(claims)).status, 201);
    for (body, reason) in [
        (json!({}), "malformed-lease-request"),
        (json!(["film"]), "malformed-lease-request"),
        (json!({"contentId": "a/b"}), "malformed-content-id"),
        (json!({"contentId": "leases"}), "malformed-content-id"),
    ] {
        let answer = server.post("/keys/leases", Some(&token("viewer-1")), &body);
        server.assert_refused(&answer, 400, reason);
    }
    // What everybody may have needs none.
    let bearer = format!("Authorization: Bearer {ADMIN_TOKEN}");
    let policy = server
        .0
        .post("PUT /api/admin/policies/film", &[&bearer], br#"{"type":"public"}"#);
    assert_eq!(policy.status, 200, "{policy:?}");
    assert_eq!(server.0.ask("GET /api/key/film", &[]).status, 200);
    let anonymous = server.post("/keys/leases", None, &json!({"contentId": "film"}));
    server.assert_refused(&anonymous, 401, "missing-token");
    let none = |viewer: &str| server.assert_refused(&server.create(viewer, "film"), 404, "lease-not-needed");
    none("viewer-1");
    // Nor does what a web service decides each time; this one can't be asked.
    let webhook = json!({"type": "webhook", "url": "https://10.0.0.1/", "secret": "hunter2"}).to_string();
    let policy = server
        .0
        .post("PUT /api/admin/policies/film", &[&bearer], webhook.as_bytes());
    assert_eq!(policy.status, 200, "{policy:?}");
    server.assert_refused(&server.0.ask("GET /api/key/film", &[]), 403, "webhook-blocked-ssrf");
    // It is not asked for it.
    none("viewer-1");
}

#[test]
fn administrators_alone_revoke() {
    let site = Site::new("sqlite://records.db");
    let server = site.serve(&[]);
    let what = json!({"viewerId": "viewer-1"});
    let answer = server.post("/keys/leases/revoke", None, &what);
    server.assert_refused(&answer, 401, "missing-admin-token");
    let answer = server.post("/keys/leases/revoke", Some(&token("viewer-1")), &what);
    server.assert_refused(&answer, 403, "wrong-admin-token");
    for wrong in [
        json!({}),
        json!({"viewerId": "a", "leaseId": "b"}),
        json!({"viewerId": 1}),
        json!([]),
    ] {
        let answer = server.post("/keys/leases/revoke", Some(ADMIN_TOKEN), &wrong);
        server.assert_refused(&answer, 400, "malformed-lease-request");
    }
    for nobody in [
        json!({"viewerId": "a\u{0}"}),
        json!({"leaseId": "\u{0}"}),
        json!({"viewerId": "v".repeat(9000)}),
    ] {
        assert_eq!(server.revoke(&nobody), json!({"revoked": 0}));
    }
    server.lease("viewer-1", "film");
    assert_eq!(server.revoke(&what), json!({"revoked": 1}));
    let bearer = format!("Authorization: Bearer {ADMIN_TOKEN}");
    let audit = server.0.ask("GET /api/admin/audit", &[&bearer]).json().to_string();
    assert!(
        audit.contains("lease.revoke-viewer") && audit.contains("viewer-1"),
        "{audit}"
    );
    drop(server);

    let mut command = site.command(&[]);
    let server = Client(Server::start(command.env_remove("ADMIN_TOKEN")));
    let answer = server
        .0
        .post("POST /keys/leases/revoke", &[&bearer], what.to_string().as_bytes());
    assert_eq!(answer.status, 405);
}

#[test]
fn without_leases_there_is_no_such_resource_and_no_content_of_that_name() {
    let site = Site::new("sqlite://records.db");
    let mut command = site.command(&[]);
    let without = Client(Server::start(command.env_remove("LEASE_TTL_MS")));
    assert_eq!(without.create("viewer-1", "film").status, 405);
    assert_eq!(without.key("viewer-1", "film", &[]).status, 200);
    let bearer = format!("Authorization: Bearer {}", token("viewer-1"));
    let reserved = without.0.ask("GET /keys/leases", &[&bearer]);
    without.assert_refused(&reserved, 400, "malformed-content-id");
    let with = site.serve(&[]);
    assert_eq!(with.0.ask("GET /keys/leases", &[&bearer]).status, 405);
    let paths = with.0.ask("GET /openapi.json", &[]).json()["paths"].clone();
    for path in ["/keys/leases", "/keys/leases/renew", "/keys/leases/revoke"] {
        assert!(paths[path]["post"].is_object(), "{path}");
    }
}

#[test]
fn leases_have_a_rate_limit_of_their_own() {
    let site = Site::new("sqlite://records.db");
    let server = site.serve(&[("RATE_LIMIT_LEASES", "2"), ("LEASE_TTL_MS", "600000")]);
    let lease = server.lease("viewer-1", "film");
    assert_eq!(server.renew("viewer-1", &lease).status, 200);
    let answer = server.renew("viewer-1", &lease);
    server.assert_refused(&answer, 429, "rate-limited-address");
    assert!(answer.header("retry-after").is_some());
    assert_eq!(server.key("viewer-1", "film", &[&lease]).status, 200);
}

#[test]
fn what_can_not_be_is_refused_at_the_start() {
    let site = Site::new("sqlite://records.db");
    let refused = |settings: &[(&str, &str)], flags: &[&str], expected: &str| {
        let mut command = site.command(settings);
        command.env_remove("ADMIN_TOKEN").args(flags).arg("--check");
        if flags.contains(&"--derive-any") {
            command.env_remove("DATABASE_URL");
        }
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{settings:?} {flags:?}: {said}");
        assert!(said.contains(expected), "{said}");
    };
    refused(&[], &["--insecure-no-auth"], "LEASE_TTL_MS: leases are viewers'");
    refused(&[], &["--derive-any"], "there is no record store to keep them in");
    for ttl in ["0", "999", "604800001", "-1", "1e3", "x"] {
        refused(&[("LEASE_TTL_MS", ttl)], &[], "from 1000 to 604800000");
    }
    refused(&[("LEASE_MAX_PER_VIEWER", "0")], &[], "a whole number above 0");
    refused(&[("LEASE_OVERFLOW", "newest")], &[], "evict or refuse");
    refused(&[("RATE_LIMIT_LEASES", "0")], &[], "a whole number above 0");
    let often = [("LEASE_TTL_MS", "1000"), ("RATE_LIMIT_LEASES", "79")];
    refused(&often, &[], "80 times a minute, and RATE_LIMIT_LEASES is 79");
    refused(
        &[("LEASE_TTL_MS", ""), ("LEASE_MAX_PER_VIEWER", "1")],
        &[],
        "limits nothing",
    );
}

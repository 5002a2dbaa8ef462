//! Who may have a key, over HTTP, by the policies of contents: every reason that there is, what a change does to the next request,
//! and that a dry run says what the server does. On SQLite and on PostgreSQL.

#![cfg(feature = "server")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::postgres::Postgres;
use common::server::{Answer, Server};
use common::tokens::{hmac_sha256, hmac_token, jwt, now};
use common::{Workspace, tool};
use serde_json::{Value, json};
use vylux_pack::access::DenyReason;
use vylux_pack::keys::store::{Audit, Blocking, NewSigningKey};

const TOKEN_SECRET: &str = "correct horse battery staple";
const ADMIN_TOKEN: &str = "an administrator's token of 40 characters";

/// A server over a store.
struct Site {
    workspace: Workspace,
    store: String,
    server: Server,
    seen: Mutex<BTreeSet<String>>,
}

/// A signing key whose private half is at hand.
struct Signer {
    kid: String,
    pair: EcdsaKeyPair,
}

impl Signer {
    fn token_of(&self, header: &str, claims: &str) -> String {
        jwt(header, claims, |message| {
            self.pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
        })
    }

    fn header(&self) -> String {
        json!({"alg": "ES256", "kid": self.kid}).to_string()
    }

    fn token(&self, claims: &Value) -> String {
        self.token_of(&self.header(), &claims.to_string())
    }
}

impl Site {
    fn start(store: &str) -> Self {
        let workspace = Workspace::new();
        let server = Self::serve(&workspace, store);
        Self {
            workspace,
            store: store.to_owned(),
            server,
            seen: Mutex::default(),
        }
    }

    fn serve(workspace: &Workspace, store: &str) -> Server {
        let mut command = workspace.vylux_pack();
        command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .env("DATABASE_URL", store)
            .env("KEY_TOKEN_SECRET", TOKEN_SECRET)
            .env("ADMIN_TOKEN", ADMIN_TOKEN)
            .env("WEBHOOK_ALLOW_CIDRS", "127.0.0.1")
            .env("RATE_LIMIT_KEYS", "1000000");
        Server::start(&mut command)
    }

    fn admin(&self, request: &str, body: &str) -> (u16, Value) {
        let headers = [&*format!("Authorization: Bearer {ADMIN_TOKEN}")];
        let answer = self.server.post(request, &headers, body.as_bytes());
        (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default())
    }

    fn set(&self, content_id: &str, policy: &Value) {
        let (status, said) = self.admin(&format!("PUT /api/admin/policies/{content_id}"), &policy.to_string());
        assert_eq!(status, 200, "{said}");
    }

    fn signer(&self, name: &str) -> Signer {
        let (status, key) = self.admin("POST /api/admin/signing-keys", &json!({"name": name}).to_string());
        assert_eq!(status, 201, "{key}");
        let pem = key["private_key_pem"].as_str().unwrap();
        let base64: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        let der = STANDARD.decode(base64).unwrap();
        Signer {
            kid: key["kid"].as_str().unwrap().to_owned(),
            pair: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der).unwrap(),
        }
    }

    /// What the server answers to a request for a key, and the reason in its log.
    fn ask(&self, content_id: &str, token: Option<&str>) -> (u16, String) {
        let header = token.map(|token| format!("Authorization: Bearer {token}"));
        let headers: Vec<&str> = header.iter().map(String::as_str).collect();
        self.outcome(&self.server.ask(&format!("GET /api/key/{content_id}"), &headers))
    }

    fn outcome(&self, answer: &Answer) -> (u16, String) {
        let line = self.server.logged(answer.header("x-request-id").unwrap());
        let reason = line["reason"].as_str().unwrap().to_owned();
        self.seen.lock().unwrap().insert(reason.clone());
        (answer.status, reason)
    }

    fn dry_run(&self, content_id: &str, token: Option<&str>, fire: bool) -> Value {
        let body = json!({"contentId": content_id, "token": token, "fireWebhook": fire});
        let (status, said) = self.admin("POST /api/admin/access/test", &body.to_string());
        assert_eq!(status, 200, "{said}");
        if let Some(reason) = said["reason"].as_str() {
            self.seen.lock().unwrap().insert(reason.to_owned());
        }
        said
    }

    /// Writes into the store what no administrator could.
    fn plant(&self, content_id: &str, policy: &str) {
        let store = Blocking::open(&self.store_url()).unwrap();
        let id = content_id.parse().unwrap();
        let audit = Audit {
            actor: "test",
            at: jiff::Timestamp::now(),
            detail: None,
        };
        store.wait(|store| store.set_policy(&id, policy, audit)).unwrap();
    }

    fn store_url(&self) -> String {
        let path = self
            .store
            .strip_prefix("sqlite://")
            .map(|path| self.workspace.path(path));
        path.map_or_else(|| self.store.clone(), |path| format!("sqlite://{}", path.display()))
    }
}

fn on_both(check: impl Fn(&Site, &dyn Fn(&str))) {
    let site = Site::start("sqlite://records.db");
    let database = site.workspace.path("records.db");
    check(&site, &|sql| {
        let mut sqlite = std::process::Command::new(tool("sqlite3").unwrap());
        assert!(sqlite.arg(&database).arg(sql).status().unwrap().success());
    });
    let Some(postgres) = Postgres::start() else { return };
    let url = postgres.create("access");
    check(&Site::start(&url), &|sql| {
        postgres.sql("access", sql);
    });
}

/// What may have a key that has no record: so far goes whoever is let in.
fn let_in() -> (u16, String) {
    (404, "no-record".to_owned())
}

fn refused(reason: &str) -> (u16, String) {
    (403, reason.to_owned())
}

/// A web service that answers each request by `answer`, which is given its head and body.
fn service(answer: impl Fn(&str, &str) -> String + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = Arc::clone(&answer);
            thread::spawn(move || respond(stream, &*answer));
        }
    });
    address
}

fn respond(mut stream: TcpStream, answer: &dyn Fn(&str, &str) -> String) {
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let line = line.to_ascii_lowercase();
                line.strip_prefix("content-length:")?.trim().parse::<usize>().ok()
            });
            if body.len() >= length.unwrap_or(0) {
                let said = answer(head, body);
                read.clear();
                if stream.write_all(said.as_bytes()).is_err() || said.is_empty() {
                    return;
                }
                continue;
            }
        }
        match stream.read(&mut buffer) {
            Ok(count) if count > 0 => read.extend_from_slice(&buffer[..count]),
            _ => return,
        }
    }
}

fn status(line: &str) -> String {
    format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n")
}

fn webhook(address: SocketAddr, path: &str) -> Value {
    json!({"type": "webhook", "url": format!("http://{address}{path}"), "secret": "hunter2", "timeout_ms": 1000})
}

#[test]
fn every_reason_of_a_policy_is_given_over_http() {
    on_both(|site, sql| {
        // No policy, and the one that says the same.
        let hmac = |id: &str| hmac_token(TOKEN_SECRET, &json!({"hash": id, "exp": now() + 600}).to_string());
        for id in ["plain", "token"] {
            if id == "token" {
                site.set(id, &json!({"type": "token"}));
            }
            assert_eq!(site.ask(id, None), (401, "missing-token".to_owned()));
            assert_eq!(site.ask(id, Some(&hmac(id))), let_in());
        }
        site.set("open", &json!({"type": "public"}));
        for token in [None, Some("x"), Some("a.b.c")] {
            assert_eq!(site.ask("open", token), let_in());
        }
        for (id, policy, reason) in [
            ("new", r#"{"type":"geo"}"#, "policy-unknown-type"),
            ("bad", r#"{"type":"public""#, "policy-corrupt"),
            ("odd", r#"{"type":"public","x":1}"#, "policy-corrupt"),
        ] {
            site.plant(id, policy);
            assert_eq!(site.ask(id, Some(&hmac(id))), refused(reason));
        }
        jwt_reasons(site);
        webhook_reasons(site);
        sql("DROP TABLE key_signing_keys");
        assert_eq!(site.ask("film", Some("a.b.c")), (503, "policy-fetch-failed".to_owned()));
        sql("DROP TABLE key_policies");
        for id in ["open", "plain"] {
            let answer = site.ask(id, Some(&hmac(id)));
            assert_eq!(answer, (503, "policy-fetch-failed".to_owned()), "{id}");
        }
        // Whatever else there is, other tests give (tests/tokens).
        let seen = site.seen.lock().unwrap();
        let of_policies = DenyReason::ALL.iter().map(|reason| reason.as_str()).filter(|reason| {
            let is_of_tokens = reason.starts_with("token-") && *reason != "token-too-large";
            !is_of_tokens
                && !["query-token", "jwks-unavailable", "jwt-iss-mismatch"].contains(reason)
                && !reason.starts_with("lease-")
        });
        let missing: Vec<_> = of_policies.filter(|reason| !seen.contains(*reason)).collect();
        assert!(missing.is_empty(), "never given: {missing:?}");
    });
}

fn jwt_reasons(site: &Site) {
    let required = json!({"plan": "premium", "level": 9_007_199_254_740_993_i64});
    site.set(
        "film",
        &json!({"type": "jwt", "audience": "player", "required_claims": required}),
    );
    assert_eq!(site.ask("film", None), (401, "missing-token".to_owned()));
    assert_eq!(site.ask("film", Some("a.b.c")), refused("no-active-keys"));
    let signer = site.signer("application");
    let claims = json!({
        "content_id": "film", "sub": "viewer-1", "exp": now() + 600, "aud": ["player", "other"],
        "plan": "premium", "level": 9_007_199_254_740_993_i64,
    });
    assert_eq!(site.ask("film", Some(&signer.token(&claims))), let_in());
    let with = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        signer.token(&claims)
    };
    let without = |name: &str| {
        let mut claims = claims.clone();
        claims.as_object_mut().unwrap().remove(name);
        signer.token(&claims)
    };
    let header = |header: Value| signer.token_of(&header.to_string(), &claims.to_string());
    let kid = &signer.kid;
    let good = signer.token(&claims);
    let spoiled = format!("{}AAAA", &good[..good.len() - 4]);
    let by_secret = jwt(
        &json!({"alg": "HS256", "kid": kid}).to_string(),
        &claims.to_string(),
        |message| hmac_sha256(TOKEN_SECRET.as_bytes(), message),
    );
    let large = format!("{good}{}", "A".repeat(9000));
    for (token, reason) in [
        (large, "token-too-large"),
        ("nonsense".to_owned(), "jwt-not-a-jws"),
        (good.replace('.', ".."), "jwt-not-a-jws"),
        (good.rsplit_once('.').unwrap().0.to_owned() + ".", "jwt-not-a-jws"),
        (signer.token_of("[]", &claims.to_string()), "jwt-bad-header"),
        (by_secret, "jwt-wrong-alg"),
        (header(json!({"alg": "none", "kid": kid})), "jwt-wrong-alg"),
        (
            header(json!({"alg": "ES256", "kid": kid, "crit": ["exp"]})),
            "jwt-critical",
        ),
        (header(json!({"alg": "ES256"})), "jwt-missing-kid"),
        (header(json!({"alg": "ES256", "kid": 5})), "jwt-missing-kid"),
        (header(json!({"alg": "ES256", "kid": ""})), "jwt-missing-kid"),
        (header(json!({"alg": "ES256", "kid": "other"})), "jwt-unknown-kid"),
        (spoiled, "jwt-sig-fail"),
        (without("exp"), "jwt-missing-exp"),
        (with("exp", json!("soon")), "jwt-malformed"),
        (with("exp", json!(now() - 61)), "jwt-expired"),
        (with("nbf", json!(now() + 120)), "jwt-not-yet-valid"),
        (with("iat", json!(now() + 120)), "jwt-issued-in-future"),
        (with("aud", json!("another")), "jwt-aud-mismatch"),
        (without("aud"), "jwt-aud-mismatch"),
        (with("plan", json!("free")), "jwt-claim-mismatch"),
        (with("level", json!(9_007_199_254_740_992_i64)), "jwt-claim-mismatch"),
        (with("content_id", json!("another")), "jwt-content-mismatch"),
        (without("content_id"), "jwt-no-content"),
        (with("keys", json!(5)), "keys-claim-malformed"),
        (with("keys", json!("uhd")), "key-not-in-token"),
    ] {
        assert_eq!(site.ask("film", Some(&token)), refused(reason));
    }
    for skewed in [
        with("exp", json!(now() - 30)),
        with("nbf", json!(now() + 30)),
        with("level", json!(9_007_199_254_740_993_i64)),
    ] {
        assert_eq!(site.ask("film", Some(&skewed)), let_in());
    }
    let twice = [&*format!("Authorization: Bearer {good}"), "Authorization: Bearer x"];
    let answer = site.server.ask("GET /api/key/film", &twice);
    assert_eq!(site.outcome(&answer), refused("duplicate-authorization"));

    let audit = Audit {
        actor: "test",
        at: jiff::Timestamp::now(),
        detail: None,
    };
    let bad = NewSigningKey {
        kid: "bad".to_owned(),
        name: "bad".to_owned(),
        public_key_pem: "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n".to_owned(),
    };
    let store = Blocking::open(&site.store_url()).unwrap();
    store.wait(|store| store.add_signing_key(&bad, 10, audit)).unwrap();
    let token = header(json!({"alg": "ES256", "kid": "bad"}));
    assert_eq!(site.ask("film", Some(&token)), refused("jwt-bad-public-key"));

    // One of several keys, and a content that need not be named.
    let other = site.signer("another");
    site.set(
        "film",
        &json!({"type": "jwt", "allowed_kids": [other.kid], "content_binding": false}),
    );
    assert_eq!(site.ask("film", Some(&good)), refused("jwt-unknown-kid"));
    let unbound = json!({"exp": now() + 600});
    assert_eq!(site.ask("film", Some(&other.token(&unbound))), let_in());
}

/// What a web service was told, and by whom.
fn check_question(questions: &std::sync::mpsc::Receiver<(String, String)>) {
    let (head, body) = questions.recv_timeout(Duration::from_secs(5)).unwrap();
    assert!(questions.try_recv().is_err(), "it was asked more than once");
    let question: Value = serde_json::from_str(&body).unwrap();
    let names: Vec<&String> = question.as_object().unwrap().keys().collect();
    assert_eq!(
        names,
        [
            "contentId",
            "kid",
            "viewerIp",
            "requestUrl",
            "viewerToken",
            "requestId",
            "timestamp"
        ]
    );
    assert_eq!(question["contentId"], "asked");
    assert_eq!(question["viewerIp"], "127.0.0.1");
    assert_eq!(question["requestUrl"], "/api/key/asked");
    assert_eq!(question["viewerToken"], "the viewer's token");
    let field = |name: &str| {
        let mut lines = head.lines();
        lines
            .find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix(&format!("{name}: "))
                    .map(str::to_owned)
            })
            .unwrap()
    };
    let mac = |message: &str| hex::encode(hmac_sha256(b"hunter2", message.as_bytes()));
    assert_eq!(field("x-vylux-signature"), format!("sha256={}", mac(&body)));
    let (seconds, v1) = field("x-vylux-signature-v2")
        .strip_prefix("t=")
        .and_then(|field| field.split_once(",v1=").map(|(t, v1)| (t.to_owned(), v1.to_owned())))
        .unwrap();
    assert_eq!(v1, mac(&format!("{seconds}.{body}")));
}

fn unreachable_webhooks(site: &Site, nobody: SocketAddr) {
    let error = |reason: &str| (503, reason.to_owned());
    for url in [
        "https://10.0.0.1/",
        "https://[::ffff:169.254.169.254]/",
        "http://1.1.1.1/",
        "https://2130706434/",
    ] {
        site.set("asked", &json!({"type": "webhook", "url": url, "secret": "hunter2"}));
        assert_eq!(site.ask("asked", None), refused("webhook-blocked-ssrf"), "{url}");
    }
    site.set("asked", &webhook(nobody, "/"));
    for _ in 0..5 {
        assert_eq!(site.ask("asked", None), error("webhook-network"));
    }
    assert_eq!(site.ask("asked", None), error("webhook-circuit-open"));
}

fn webhook_reasons(site: &Site) {
    let (asked, questions) = std::sync::mpsc::channel();
    let asked = Mutex::new(asked);
    let address = service(move |head, body| {
        let path = head.split(' ').nth(1).unwrap();
        match path {
            "/yes" => {
                asked.lock().unwrap().send((head.to_owned(), body.to_owned())).unwrap();
                status("200 OK")
            }
            "/none" => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
            "/large" => format!(
                "HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n{}",
                "x".repeat(10_000)
            ),
            "/elsewhere" => "HTTP/1.1 302 Found\r\nLocation: /yes\r\nContent-Length: 0\r\n\r\n".to_owned(),
            "/no" => status("403 Forbidden"),
            "/oops" => status("500 Oops"),
            "/slow" => {
                thread::sleep(Duration::from_secs(3));
                status("200 OK")
            }
            _ => String::new(),
        }
    });
    let error = |reason: &str| (503, reason.to_owned());
    for (path, expected) in [
        ("/yes", let_in()),
        ("/large", let_in()),
        ("/no", refused("webhook-deny-403")),
        ("/none", refused("webhook-error-status")),
        ("/elsewhere", refused("webhook-error-status")),
        ("/oops", refused("webhook-error-status")),
        ("/hang-up", error("webhook-network")),
        ("/slow", error("webhook-timeout")),
    ] {
        site.set("asked", &webhook(address, path));
        assert_eq!(site.ask("asked", Some("the viewer's token")), expected, "{path}");
    }
    check_question(&questions);
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    unreachable_webhooks(site, nobody);
    let metrics = site.server.ask("GET /metrics", &[]);
    let metrics = String::from_utf8(metrics.body).unwrap();
    let counted = metrics
        .lines()
        .find_map(|line| line.strip_prefix("vylux_pack_webhook_duration_seconds_count "));
    assert!(counted.unwrap().parse::<u32>().unwrap() > 10, "{counted:?}");

    // As the store has it: with a URL that is none.
    site.set("asked", &webhook(address, "/yes"));
    let store = Blocking::open(&site.store_url()).unwrap();
    let id = "asked".parse().unwrap();
    let stored = store.wait(|store| store.policy(&id)).unwrap().unwrap().policy;
    assert!(!stored.contains("hunter2"));
    site.plant("asked", &stored.replace(&format!("http://{address}/yes"), "no URL"));
    assert_eq!(site.ask("asked", None), refused("webhook-no-url"));

    // A host that is busy.
    let busy = service(|_, _| {
        thread::sleep(Duration::from_millis(700));
        status("200 OK")
    });
    site.set("asked", &webhook(busy, "/"));
    let answers: Vec<_> = thread::scope(|scope| {
        let askers: Vec<_> = (0..40).map(|_| scope.spawn(|| site.ask("asked", None))).collect();
        askers.into_iter().map(|asker| asker.join().unwrap()).collect()
    });
    let overloaded = answers
        .iter()
        .filter(|answer| **answer == error("webhook-overloaded"))
        .count();
    assert!(overloaded > 0 && overloaded < 40, "{answers:?}");
    let answer = site.dry_run("asked", None, false);
    assert_eq!(
        (&answer["allowed"], &answer["reason"]),
        (&json!(false), &json!("webhook-test-skipped"))
    );
    let answer = site.dry_run("asked", None, true);
    assert_eq!(
        (&answer["allowed"], &answer["webhook"]["status"]),
        (&json!(true), &json!(200))
    );
    assert!(answer["webhook"]["latencyMs"].as_u64().unwrap() >= 500, "{answer}");
}

/// A change is there for the next request, on another server of the same store too.
#[test]
fn changes_count_from_the_next_request_on() {
    on_both(|site, _| {
        let other = Site::serve(&site.workspace, &site.store);
        let signer = site.signer("application");
        site.set("film", &json!({"type": "jwt"}));
        let claims = json!({"content_id": "film", "exp": now() + 600});
        let token = signer.token(&claims);
        let status = |server: &Server, token: Option<&str>| {
            let header = token.map(|token| format!("Authorization: Bearer {token}"));
            let headers: Vec<&str> = header.iter().map(String::as_str).collect();
            server.ask("GET /api/key/film", &headers).status
        };
        for _ in 0..20 {
            for server in [&site.server, &other] {
                assert_eq!(status(server, Some(&token)), 404);
            }
            site.set("film", &json!({"type": "public"}));
            assert_eq!(status(&other, None), 404);
            site.set("film", &json!({"type": "jwt"}));
            assert_eq!(status(&other, None), 401);
        }
        let revoke = format!("POST /api/admin/signing-keys/{}/revoke", signer.kid);
        // Whoever asks all the time meanwhile gets nothing from the moment that the answer is there.
        thread::scope(|scope| {
            let asking = scope.spawn(|| (0..200).map(|_| status(&other, Some(&token))).collect::<Vec<_>>());
            thread::sleep(Duration::from_millis(30));
            assert_eq!(site.admin(&revoke, "").0, 200);
            for server in [&site.server, &other] {
                assert_eq!(status(server, Some(&token)), 403);
            }
            let answers = asking.join().unwrap();
            let first = answers
                .iter()
                .position(|answer| *answer == 403)
                .unwrap_or(answers.len());
            assert!(answers[first..].iter().all(|answer| *answer == 403), "{answers:?}");
        });
        assert_eq!(site.ask("film", Some(&token)), refused("no-active-keys"));
        assert_eq!(site.admin(&revoke, "").1["was_active"], false);
        let (_, log) = site.admin("GET /api/admin/audit?limit=3", "");
        let actions: Vec<&str> = log
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["action"].as_str().unwrap())
            .collect();
        assert_eq!(actions, ["signing-key.revoke", "policy.set", "policy.set"]);
    });
}

/// Two that decide by the same code can't disagree; whether they are given the same, this finds out.
#[test]
fn a_dry_run_says_what_the_server_does() {
    on_both(|site, _| {
        let address = service(|head, _| {
            if head.contains(" /yes ") {
                status("200 OK")
            } else {
                status("403 Forbidden")
            }
        });
        let signers = [site.signer("one"), site.signer("two")];
        let policies = [
            json!({"type": "public"}),
            json!({"type": "token"}),
            json!({"type": "jwt"}),
            json!({"type": "jwt", "audience": "player"}),
            json!({"type": "jwt", "allowed_kids": [signers[0].kid], "content_binding": false}),
            json!({"type": "jwt", "required_claims": {"plan": "premium"}}),
            webhook(address, "/yes"),
            webhook(address, "/no"),
        ];
        for (number, policy) in policies.iter().enumerate() {
            site.set(&format!("film-{number}"), policy);
        }
        // Numbers that look random and are the same each time (Knuth, MMIX).
        let mut state: u64 = 7;
        let mut random = |below: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let mut outcomes = BTreeSet::new();
        for _ in 0..150 {
            let film = random(policies.len() as u64 + 1);
            let id = format!("film-{film}");
            let named = if random(4) == 0 {
                "another".to_owned()
            } else {
                id.clone()
            };
            let mut claims = json!({"content_id": named, "hash": named, "sub": "viewer"});
            if random(8) > 0 {
                claims["exp"] = json!(now() + [600, 600, 600, -120][usize::try_from(random(4)).unwrap()]);
            }
            if random(2) == 0 {
                claims["aud"] = json!("player");
            }
            if random(2) == 0 {
                claims["plan"] = json!("premium");
            }
            let mut token = match random(3) {
                0 => hmac_token(TOKEN_SECRET, &claims.to_string()),
                _ => signers[usize::try_from(random(2)).unwrap()].token(&claims),
            };
            if random(5) == 0 {
                let place = usize::try_from(random(token.len() as u64)).unwrap();
                token.replace_range(place..=place, "A");
            }
            let token = (random(8) > 0).then_some(&*token);
            let (_, live) = site.ask(&id, token);
            let dry = site.dry_run(&id, token, true);
            let said = dry["reason"].as_str().unwrap_or("no-record");
            assert_eq!(said, live, "{id}, {token:?}: {dry}");
            assert_eq!(dry["allowed"], live == "no-record");
            outcomes.insert(live);
        }
        assert!(outcomes.len() >= 10, "{outcomes:?}");
    });
}

/// The command line decides by the same code, settings and store.
#[test]
fn the_command_line_tries_access_too() {
    on_both(|site, _| {
        let signer = site.signer("application");
        site.set("film", &json!({"type": "jwt"}));
        let token = signer.token(&json!({"content_id": "film", "sub": "viewer-1", "exp": now() + 600}));
        let run = |token: &str| {
            let mut command = site.workspace.vylux_pack();
            command
                .args(["access", "test", "--content-id", "film", "--token", token])
                .env("DATABASE_URL", &site.store)
                .env("KEY_TOKEN_SECRET", TOKEN_SECRET);
            let output = command.output().unwrap();
            let said: Value = serde_json::from_slice(&output.stdout).unwrap();
            (output.status.code().unwrap(), said)
        };
        let (code, said) = run(&token);
        assert_eq!(
            (code, &said["allowed"], &said["policyType"]),
            (0, &json!(true), &json!("jwt"))
        );
        assert_eq!(
            (&said["kid"], &said["claimsVerified"]),
            (&json!(signer.kid), &json!(true))
        );
        assert_eq!(said["claims"]["sub"], "viewer-1");
        let (code, said) = run(&format!("{}AAAAAAAA", &token[..token.len() - 8]));
        assert_eq!(
            (code, &said["allowed"], &said["reason"]),
            (1, &json!(false), &json!("jwt-sig-fail"))
        );
        assert_eq!(
            (&said["claims"]["sub"], &said["claimsVerified"]),
            (&json!("viewer-1"), &json!(false))
        );
    });
}

/// A policy that is given at packaging time is there before the keys are.
#[test]
fn encrypting_sets_the_policy() {
    on_both(|site, _| {
        let file = site.workspace.path("policy.json");
        std::fs::write(&file, r#"{"type":"jwt","audience":"player"}"#).unwrap();
        let encrypt = |policy: &str, more: &[&str]| {
            let mut command = site.workspace.vylux_pack();
            command.arg("encrypt").arg(common::fixture("demo.mp4"));
            command.args([
                "--content-id",
                "film",
                "--quiet",
                "--out",
                "out/film",
                "--policy",
                policy,
            ]);
            command.args(more).env("DATABASE_URL", &site.store);
            command.output().unwrap()
        };
        let wrong = encrypt("privat", &[]);
        assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
        assert!(!site.workspace.path("out/film").exists());
        assert_eq!(encrypt("public", &["--no-store"]).status.code(), Some(2));
        assert_eq!(encrypt("public", &["--scheme", "none"]).status.code(), Some(2));

        let done = encrypt(file.to_str().unwrap(), &[]);
        assert!(done.status.success(), "{done:?}");
        let (status, policy) = site.admin("GET /api/admin/policies/film", "");
        assert_eq!((status, &policy["policy"]["audience"]), (200, &json!("player")));
        assert_eq!(site.ask("film", None).0, 401);
        assert!(encrypt("public", &[]).status.success());
        assert_eq!(site.ask("film", None), (200, "ok".to_owned()));
        let (_, log) = site.admin("GET /api/admin/audit?subject=film", "");
        let actors = log
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["actor"].as_str().unwrap());
        assert!(
            actors.clone().count() == 2 && actors.clone().all(|actor| actor.starts_with("cli:")),
            "{log}"
        );
    });
}

/// The secret of a webhook outlives the key that it was wrapped under.
#[test]
fn rewrapping_moves_secrets_of_webhooks() {
    on_both(|site, _| {
        let address = service(|_, _| status("200 OK"));
        site.set("film", &webhook(address, "/"));
        let rewrap = |settings: &[(&str, &str)]| {
            let mut command = site.workspace.vylux_pack();
            command.args(["keys", "rewrap"]).env("DATABASE_URL", &site.store);
            command.envs(settings.iter().copied());
            String::from_utf8(common::run(&mut command).stdout).unwrap()
        };
        let new = "5a".repeat(32);
        let settings = [("KEK_HEX", &*new)];
        assert!(rewrap(&settings).contains("Moved the secret of 1 policy."));
        assert!(!rewrap(&settings).contains("secret"), "it moves twice");
        // The server of before can't open it, and one with the new key can.
        assert_eq!(site.ask("film", None), refused("policy-corrupt"));
        let mut command = site.workspace.vylux_pack();
        command.args(["access", "test", "--content-id", "film", "--fire-webhook"]);
        command.env("DATABASE_URL", &site.store).env("KEK_HEX", &new);
        command
            .env("KEY_TOKEN_SECRET", TOKEN_SECRET)
            .env("WEBHOOK_ALLOW_CIDRS", "127.0.0.1");
        let said: Value = serde_json::from_slice(&common::run(&mut command).stdout).unwrap();
        assert_eq!(
            (&said["allowed"], &said["webhook"]["status"]),
            (&json!(true), &json!(200))
        );
    });
}

/// Whoever leaves the secret out never puts an older one back.
#[test]
fn a_secret_that_is_kept_is_the_newest() {
    on_both(|site, _| {
        let expected = Arc::new(Mutex::new(String::new()));
        let address = service({
            let expected = Arc::clone(&expected);
            move |head, body| {
                let mac = hmac_sha256(expected.lock().unwrap().as_bytes(), body.as_bytes());
                let is_signed = head
                    .to_ascii_lowercase()
                    .contains(&format!("sha256={}\r\n", hex::encode(mac)));
                status(if is_signed { "200 OK" } else { "403 Forbidden" })
            }
        });
        site.set("film", &webhook(address, "/"));
        for round in 0..20 {
            let secret = format!("secret {round}");
            thread::scope(|scope| {
                scope.spawn(|| {
                    let mut policy = webhook(address, "/");
                    policy["secret"] = json!(secret);
                    site.set("film", &policy);
                });
                for timeout in 1..4 {
                    let url = format!("http://{address}/");
                    let policy = json!({"type": "webhook", "url": url, "timeout_ms": 5000 + timeout});
                    scope.spawn(move || site.set("film", &policy));
                }
            });
            expected.lock().unwrap().clone_from(&secret);
            assert_eq!(site.ask("film", None), let_in(), "{secret}");
        }
    });
}

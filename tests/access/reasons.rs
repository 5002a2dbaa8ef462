//! Every reason of a policy, as it is given over HTTP.

use std::net::{SocketAddr, TcpListener};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use vylux_pack::access::DenyReason;
use vylux_pack::keys::store::{Audit, Blocking, NewSigningKey};

use crate::common::tokens::{hmac_sha256, hmac_token, jwt, now};
use crate::common::{Workspace, run, tool};
use crate::site::{Signer, Site, TOKEN_SECRET, let_in, on_both, refused, service, status, webhook};

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

/// A new public key of a curve, as `SubjectPublicKeyInfo` in PEM.
fn public_key(curve: &str) -> Option<String> {
    let make = "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:\"$1\" | openssl pkey -pubout";
    tool("openssl")?;
    let pem = run(Workspace::new().shell().args([make, "sh", curve])).stdout;
    Some(String::from_utf8(pem).unwrap())
}

/// Keys that no administrator could add: one that is none, and one of another curve.
fn bad_public_keys(site: &Site, signer: &Signer, claims: &Value) {
    let audit = Audit {
        actor: "test",
        at: jiff::Timestamp::now(),
        detail: None,
    };
    let store = Blocking::open(&site.store_url()).unwrap();
    let no_key = Some("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n".to_owned());
    for (kid, pem) in [("bad", no_key), ("p384", public_key("P-384"))] {
        let Some(public_key_pem) = pem else { continue };
        let bad = NewSigningKey {
            kid: kid.to_owned(),
            name: kid.to_owned(),
            public_key_pem,
        };
        store.wait(|store| store.add_signing_key(&bad, 10, audit)).unwrap();
        let header = json!({"alg": "ES256", "kid": kid});
        let token = signer.token_of(&header.to_string(), &claims.to_string());
        assert_eq!(site.ask("film", Some(&token)), refused("jwt-bad-public-key"), "{kid}");
    }
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
    let twice = |members: &str| signer.token_of(&format!(r#"{{"alg":"ES256",{members}}}"#), &claims.to_string());
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
        (twice(&format!(r#""kid":"{kid}","kid":"{kid}""#)), "jwt-bad-header"),
        (twice(&format!(r#""kid":"other","kid":"{kid}""#)), "jwt-bad-header"),
        (twice(&format!(r#""kid":"{kid}","k\u0069d":"other""#)), "jwt-bad-header"),
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
    let fields = [&*format!("Authorization: Bearer {good}"), "Authorization: Bearer x"];
    let answer = site.server.ask("GET /api/key/film", &fields);
    assert_eq!(site.outcome(&answer), refused("duplicate-authorization"));

    bad_public_keys(site, &signer, &claims);

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
        thread::sleep(Duration::from_secs(2));
        status("200 OK")
    });
    let mut policy = webhook(busy, "/");
    policy["timeout_ms"] = json!(10_000);
    site.set("asked", &policy);
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

//! JWTs under keys of a key set, and the key set's comings and goings.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::common::tokens::{jwt, now};
use crate::jwt::{claims, good};
use crate::keys::{KeyPair, key_set};
use crate::site::Site;

/// At least as long as the server waits between fetches (`access::jwks::MIN_INTERVAL`).
const MIN_INTERVAL: Duration = Duration::from_millis(10_500);

/// Answers every request alike, and counts them.
pub struct KeySetServer {
    address: SocketAddr,
    answer: Arc<Mutex<(&'static str, String, Duration)>>,
    fetches: Arc<AtomicUsize>,
}

impl KeySetServer {
    /// One that serves `body`.
    pub fn start(body: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            answer: Arc::new(Mutex::new(("200 OK", body.to_owned(), Duration::ZERO))),
            fetches: Arc::default(),
        };
        let (answer, fetches) = (Arc::clone(&server.answer), Arc::clone(&server.fetches));
        // It ends with the process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = [0; 4096];
                if stream.read(&mut request).unwrap_or(0) == 0 {
                    continue;
                }
                fetches.fetch_add(1, Ordering::SeqCst);
                let (status, body, delay) = answer.lock().unwrap().clone();
                std::thread::sleep(delay);
                let length = body.len();
                // The client may have read enough.
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nLocation: /there\r\nConnection: close\r\n\r\n{body}"
                );
            }
        });
        server
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}/keys.json", self.address)
    }

    /// How often it was asked.
    pub fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    fn answer(&self, status: &'static str, body: &str, delay: Duration) {
        *self.answer.lock().unwrap() = (status, body.to_owned(), delay);
    }
}

#[test]
fn keys_are_fetched_once_rotated_and_kept_through_an_outage() {
    let (Some(rsa), Some(ec)) = (KeyPair::rsa(2048), KeyPair::p256()) else {
        return;
    };
    let old = key_set(&[rsa.jwk_with(&json!({"kid": "old", "use": "sig", "alg": "RS256"}))]);
    let source = KeySetServer::start(&old);
    let site = Site::start(&[("AUTH_JWKS_URL", &source.url())]);
    site.opens("an HMAC needs no key set", &good());
    assert_eq!(source.fetches(), 0);
    let by_rsa = rsa.token(Some("old"), &claims());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| site.opens("RS256", &by_rsa));
        }
    });
    for _ in 0..20 {
        site.opens("RS256", &by_rsa);
    }
    site.opens("without a key ID, every key is tried", &rsa.token(None, &claims()));
    assert_eq!(source.fetches(), 1, "one fetch for many requests");

    // Another key takes over; nothing makes the server ask for it at once.
    let new = key_set(&[ec.jwk_with(&json!({"kid": "new"}))]);
    source.answer("200 OK", &new, Duration::ZERO);
    let by_ec = ec.token(Some("new"), &claims());
    for _ in 0..20 {
        site.refuses("not known yet", &by_ec, "jwt-unknown-kid");
    }
    assert_eq!(source.fetches(), 1, "invented key IDs make nobody fetch");
    std::thread::sleep(MIN_INTERVAL);
    site.opens("ES256", &by_ec);
    site.refuses("the old key is gone", &by_rsa, "jwt-unknown-kid");
    assert_eq!(source.fetches(), 2);
    let der = jwt(r#"{"alg":"ES256","kid":"new"}"#, &claims(), |message| {
        ec.sign_as_openssl(message)
    });
    site.refuses("an elliptic signature as openssl writes it", &der, "jwt-sig-fail");

    // An outage, and what is worse than one: each is asked for once more, and none replaces what is there.
    let huge = format!("{} {}", new, " ".repeat(300 << 10));
    for (status, body) in [("500 Oh No", old.as_str()), ("200 OK", "<html>"), ("200 OK", &huge)] {
        source.answer(status, body, Duration::ZERO);
        std::thread::sleep(MIN_INTERVAL);
        let before = source.fetches();
        site.refuses("unknown", &by_rsa, "jwt-unknown-kid");
        assert_eq!(source.fetches(), before + 1, "{status}");
        site.opens("what was there stays", &by_ec);
    }
    assert_eq!(site.server().log().matches("key set can't be fetched").count(), 3);
}

#[test]
fn while_there_was_no_key_set_nothing_is_said_of_a_token() {
    let Some(ec) = KeyPair::p256() else { return };
    let set = key_set(&[ec.jwk_with(&json!({"kid": "a"}))]);
    let token = ec.token(Some("a"), &claims());
    let unavailable = |status: &'static str, body: &str| {
        let source = KeySetServer::start("");
        source.answer(status, body, Duration::ZERO);
        let site = Site::start(&[("AUTH_JWKS_URL", &source.url())]);
        for _ in 0..3 {
            assert_eq!(
                site.ask(&token),
                (503, "jwks-unavailable".to_owned()),
                "{status} {body:.40}"
            );
        }
        site.opens("a secret needs no key set", &good());
        assert_eq!(source.fetches(), 1, "an outage is not made worse");
    };
    unavailable("404 Not Found", &set);
    unavailable("302 Found", &set);
    unavailable("200 OK", "");
    unavailable("200 OK", "[]");
    unavailable("200 OK", r#"{"keys":{}}"#);
    unavailable("200 OK", r#"{"keys":[]}"#);
    unavailable("200 OK", &format!("{set}{}", " ".repeat(300 << 10)));
    // Nobody listens there.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://user:pass-word-of-the-url@{gone}/");
    let site = Site::start(&[("AUTH_JWKS_URL", &url)]);
    site.hide("pass-word-of-the-url");
    assert_eq!(site.ask(&token), (503, "jwks-unavailable".to_owned()));
}

#[test]
fn only_keys_that_are_meant_for_it_verify() {
    let (Some(ec), Some(short)) = (KeyPair::p256(), KeyPair::rsa(1024)) else {
        return;
    };
    let Some(long) = KeyPair::rsa(3072) else { return };
    let source = KeySetServer::start(&key_set(&[
        ec.jwk_with(&json!({"kid": "encrypts", "use": "enc"})),
        ec.jwk_with(&json!({"kid": "derives", "key_ops": ["deriveKey"]})),
        ec.jwk_with(&json!({"kid": "other-curve", "crv": "P-384"})),
        ec.jwk_with(&json!({"kid": "other-algorithm", "alg": "ES384"})),
        short.jwk_with(&json!({"kid": "short"})),
        long.jwk_with(&json!({"kid": "pss", "alg": "PS256"})),
        long.jwk_with(&json!({"kid": "verifies", "key_ops": ["verify"]})),
        json!({"kty": "oct", "kid": "secret", "alg": "HS256", "k": "c2VjcmV0"}),
        json!({"kty": "RSA", "kid": "no-key"}),
        json!({"kty": "unheard-of", "kid": "new"}),
        json!("no key at all"),
        ec.jwk(),
    ]));
    let site = Site::start(&[("AUTH_JWKS_URL", &source.url())]);
    for kid in ["encrypts", "derives", "other-curve", "other-algorithm", "new"] {
        site.refuses(kid, &ec.token(Some(kid), &claims()), "jwt-unknown-kid");
    }
    site.refuses(
        "less than 2048 bits",
        &short.token(Some("short"), &claims()),
        "jwt-sig-fail",
    );
    site.refuses(
        "for another algorithm",
        &long.token(Some("pss"), &claims()),
        "jwt-unknown-kid",
    );
    site.opens("for verifying", &long.token(Some("verifies"), &claims()));
    let secret = jwt(r#"{"alg":"HS256","kid":"secret"}"#, &claims(), |message| {
        crate::common::tokens::hmac_sha256(b"secret", message)
    });
    site.refuses("a secret that is public", &secret, "jwt-sig-fail");
    site.opens("neither the token nor the key has an ID", &ec.token(None, &claims()));
    site.refuses(
        "the key has no ID, the token has",
        &ec.token(Some("no-such"), &claims()),
        "jwt-unknown-kid",
    );
    let expired = format!(r#"{{"hash":"test-film","exp":{}}}"#, now() - 100);
    site.refuses("the claims count too", &ec.token(None, &expired), "jwt-expired");
}

/// A client who goes away takes the fetch with it only where that is part of its request.
#[test]
fn a_client_who_goes_away_keeps_nobody_from_the_keys() {
    let Some(ec) = KeyPair::p256() else { return };
    let source = KeySetServer::start("");
    source.answer("200 OK", &key_set(&[ec.jwk()]), Duration::from_millis(1500));
    let site = Site::start(&[("AUTH_JWKS_URL", &source.url())]);
    let token = ec.token(None, &claims());
    let mut impatient = site.server().connect();
    write!(
        impatient,
        "GET {} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {token}\r\n\r\n",
        crate::site::path()
    )
    .unwrap();
    let begun = Instant::now();
    while source.fetches() == 0 {
        assert!(begun.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(impatient);
    std::thread::sleep(Duration::from_millis(500));
    site.opens("the next one", &token);
    assert_eq!(source.fetches(), 1);
}

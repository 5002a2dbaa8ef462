//! The policy that asks for a JWT of a signing key, with keys and tokens of openssl.

use serde_json::json;
use vylux_pack::access::policy::jwt::verify;
use vylux_pack::access::policy::{JwtPolicy, Policy};
use vylux_pack::access::{KnownKey, PublicKey, Question, SigningKey};

use crate::common::CONTENT_ID;
use crate::common::tokens::{jwt, now};
use crate::jwt::claims;
use crate::keys::KeyPair;

/// `ok`, or the reason.
fn ask(keys: &[KnownKey], token: &str) -> &'static str {
    let question = Question {
        content_id: &CONTENT_ID.parse().unwrap(),
        now: now(),
    };
    verify(Some(token), keys, &JwtPolicy::default(), question).map_or_else(|denied| denied.reason.as_str(), |_| "ok")
}

fn known(kid: &str, pair: &KeyPair) -> KnownKey {
    KnownKey::new(kid.to_owned(), &String::from_utf8(pair.public("PEM")).unwrap(), true)
}

#[test]
fn what_openssl_signs_opens() {
    let (Some(ours), Some(other)) = (KeyPair::p256(), KeyPair::p256()) else {
        return;
    };
    let keys = [known("ours", &ours), known("other", &other)];
    // Numbers of a signature are shorter than 32 bytes once in a hundred.
    for _ in 0..10 {
        assert_eq!(ask(&keys, &ours.token(Some("ours"), &claims())), "ok");
    }
    assert_eq!(ask(&keys, &other.token(Some("ours"), &claims())), "jwt-sig-fail");
    assert_eq!(ask(&keys, &ours.token(Some("nobody"), &claims())), "jwt-unknown-kid");
    assert_eq!(ask(&keys, &ours.token(None, &claims())), "jwt-missing-kid");
    let as_openssl = jwt(r#"{"alg":"ES256","kid":"ours"}"#, &claims(), |message| {
        ours.sign_as_openssl(message)
    });
    assert_eq!(ask(&keys, &as_openssl), "jwt-sig-fail");
}

#[test]
fn keys_of_other_kinds_are_no_public_keys() {
    let Some(rsa) = KeyPair::rsa(2048) else { return };
    let pem = |pair: &KeyPair| String::from_utf8(pair.public("PEM")).unwrap();
    for (what, pair) in [
        ("P-384", KeyPair::of("EC", "ec_paramgen_curve:P-384")),
        ("secp256k1", KeyPair::of("EC", "ec_paramgen_curve:secp256k1")),
        ("RSA-PSS", KeyPair::of("RSA-PSS", "rsa_keygen_bits:2048")),
        ("RSA", Some(rsa)),
    ] {
        let key = known("ours", &pair.unwrap());
        let token = jwt(r#"{"alg":"ES256","kid":"ours"}"#, &claims(), |_| vec![1; 64]);
        assert_eq!(ask(&[key], &token), "jwt-bad-public-key", "{what}");
    }
    // RFC 8410, 10.1.
    let ed25519 = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    let good = pem(&KeyPair::p256().unwrap());
    assert!(PublicKey::from_pem(&good).is_ok());
    for (what, text) in [
        ("Ed25519", ed25519.to_owned()),
        ("nothing", String::new()),
        ("two keys", format!("{good}{good}")),
        ("text in front", format!("my key\n{good}")),
        ("another label", good.replace("PUBLIC KEY", "CERTIFICATE")),
        ("cut", good.replace("==\n", "\n")),
        ("another point", good.replace("DQgAE", "DQgAEAAAA")),
    ] {
        assert!(PublicKey::from_pem(&text).is_err(), "{what}");
    }
}

#[test]
fn openssl_reads_and_uses_the_pair_that_is_made() {
    let made = SigningKey::generate().unwrap();
    let Some(pair) = KeyPair::from_pem(made.private_key_pem.expose()) else {
        return;
    };
    assert_eq!(String::from_utf8(pair.public("PEM")).unwrap(), made.public_key_pem);
    let key = KnownKey::new(made.kid.clone(), &made.public_key_pem, true);
    assert_eq!(ask(&[key], &pair.token(Some(&made.kid), &claims())), "ok");
}

/// A policy as the store has it; its claims are those of openssl's token.
#[test]
fn a_stored_policy_decides_about_a_token() {
    let Some(ours) = KeyPair::p256() else { return };
    let policy = |plan: &str| {
        let json = json!({"type": "jwt", "allowed_kids": ["ours"], "required_claims": {"plan": plan}});
        let Policy::Jwt(policy) = Policy::parse(&json.to_string()).unwrap() else {
            unreachable!()
        };
        policy
    };
    let claims = json!({"exp": now() + 600, "hash": CONTENT_ID, "plan": "gold"}).to_string();
    let token = ours.token(Some("ours"), &claims);
    let question = Question {
        content_id: &CONTENT_ID.parse().unwrap(),
        now: now(),
    };
    let keys = [known("ours", &ours)];
    assert!(verify(Some(&token), &keys, &policy("gold"), question).is_ok());
    let denied = verify(Some(&token), &keys, &policy("tin"), question).unwrap_err();
    assert_eq!(denied.reason.as_str(), "jwt-claim-mismatch");
    assert_eq!(denied.kid.as_deref(), Some("ours"));
    assert!(denied.claims.is_some());
}

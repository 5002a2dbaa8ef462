//! What a token costs, in time: `cargo bench --bench tokens`.

use std::hint::black_box;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use criterion::{Criterion, criterion_group, criterion_main};
use futures_util::FutureExt as _;
use vylux_pack::access::policy::{JwtPolicy, jwt};
use vylux_pack::access::{HmacTokens, KeyScope, KnownKey, Question, SigningKey, Verifier as _, mint, now};
use vylux_pack::secret::SecretText;

fn der(pem: &str) -> Vec<u8> {
    let base64: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    STANDARD.decode(base64).expect("PEM is base64")
}

/// ES256: the signature alone, as the library verifies it, and the whole policy `jwt`.
fn es256(c: &mut Criterion) {
    let key = SigningKey::generate().expect("a key pair");
    let private = der(key.private_key_pem.expose());
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &private).expect("a private key");
    let header = format!(r#"{{"alg":"ES256","kid":"{}"}}"#, key.kid);
    let claims = format!(r#"{{"content_id":"film","sub":"viewer-1","exp":{}}}"#, now() + 3600);
    let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part));
    let message = format!("{header}.{claims}");
    let signature = pair
        .sign(&SystemRandom::new(), message.as_bytes())
        .expect("a signature");
    let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()));

    let public = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, der(&key.public_key_pem)).expect("a public key");
    let mut group = c.benchmark_group("es256");
    group.bench_function("the signature alone", |b| {
        b.iter(|| public.verify_sig(black_box(message.as_bytes()), signature.as_ref()));
    });
    let keys = [KnownKey::new(key.kid.clone(), &key.public_key_pem, true)];
    let content_id = "film".parse().expect("a content ID");
    let question = Question {
        content_id: &content_id,
        now: now(),
    };
    let policy = JwtPolicy::default();
    assert!(jwt::verify(Some(&token), &keys, &policy, question).is_ok());
    group.bench_function("the policy jwt", |b| {
        b.iter(|| jwt::verify(Some(black_box(&token)), &keys, &policy, question));
    });
    group.finish();
}

/// An HMAC token under one secret: the verifier whole, with the future that it comes in.
fn hmac(c: &mut Criterion) {
    let secret = || SecretText::from("a secret of the benchmark's, and nobody else's".to_owned());
    let content_id = "film".parse().expect("a content ID");
    let token = mint(&secret(), &content_id, Some("viewer-1"), &KeyScope::All, now() + 3600);
    let tokens = HmacTokens::new(&[secret()], 0);
    let question = Question {
        content_id: &content_id,
        now: now(),
    };
    // It asks nobody else, and so never waits.
    let verify = |token| tokens.verify(token, question).now_or_never();
    assert!(matches!(verify(&token), Some(Ok(_))));
    c.bench_function("hmac", |b| b.iter(|| verify(black_box(&token))));
}

criterion_group!(benches, es256, hmac);
criterion_main!(benches);

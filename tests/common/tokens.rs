//! Tokens as an application makes them, by hand: their text, and what signs it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// base64url without padding.
pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// HMAC-SHA-256.
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mac = Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(message);
    mac.finalize().into_bytes().to_vec()
}

/// An HMAC token with that payload.
pub fn hmac_token(secret: &str, payload: &str) -> String {
    let payload = base64url(payload);
    let tag = hmac_sha256(secret.as_bytes(), payload.as_bytes());
    format!("{payload}.{}", base64url(tag))
}

/// A JWT with that header and those claims, signed by `sign`.
pub fn jwt(header: &str, claims: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let message = format!("{}.{}", base64url(header), base64url(claims));
    let signature = base64url(sign(message.as_bytes()));
    format!("{message}.{signature}")
}

/// A JWT under a secret.
pub fn hs256(secret: &[u8], claims: &str) -> String {
    jwt(r#"{"alg":"HS256","typ":"JWT"}"#, claims, |message| {
        hmac_sha256(secret, message)
    })
}

/// Seconds since 1970.
pub fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

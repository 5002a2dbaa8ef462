//! The tests' own key derivation (HKDF-SHA-256, RFC 5869), so that the library's is not judged by itself.

use sha2::{Digest, Sha256};

use super::{CONTENT_ID, MASTER_KEY, SALT};

/// HMAC-SHA-256 (RFC 2104).
fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    assert!(key.len() <= 64, "longer keys would have to be hashed");
    let pad = |byte: u8| -> [u8; 64] { std::array::from_fn(|at| key.get(at).unwrap_or(&0) ^ byte) };
    let inner = parts
        .iter()
        .fold(Sha256::new_with_prefix(pad(0x36)), Digest::chain_update);
    Sha256::new_with_prefix(pad(0x5c))
        .chain_update(inner.finalize())
        .finalize()
        .into()
}

/// The first 32 bytes that HKDF makes of a master key and salt: one round of the expansion.
pub fn expand(master_key: &[u8; 32], salt: &[u8; 32], info: &str) -> [u8; 32] {
    let extracted = hmac(salt, &[master_key]);
    hmac(&extracted, &[info.as_bytes(), &[1]])
}

/// The first 16 bytes that HKDF makes of the tests' master key and salt.
pub fn derive(info: &str) -> [u8; 16] {
    let expanded = expand(&MASTER_KEY, &SALT, info);
    std::array::from_fn(|at| expanded.get(at).copied().unwrap_or_default())
}

/// The content key of [`CONTENT_ID`].
pub fn key() -> [u8; 16] {
    derive(CONTENT_ID)
}

/// The key ID of [`CONTENT_ID`].
pub fn kid() -> [u8; 16] {
    derive(&format!("{CONTENT_ID}/kid"))
}

/// The constant IV of a track of [`CONTENT_ID`].
pub fn iv(track: &str) -> [u8; 16] {
    derive(&format!("{CONTENT_ID}/iv/{track}"))
}

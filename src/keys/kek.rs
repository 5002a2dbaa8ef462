//! The key-encryption key, which content keys are wrapped under.

use super::derive::hkdf;
use crate::secret::Secret32;

/// A key-encryption key: 32 bytes for AES-256-GCM, and the version by which records name it.
///
/// Every wrap takes a fresh random 96-bit nonce, so one key is good for 2^32 wraps (NIST SP 800-38D, 8.3).
/// It has no `Debug`, `Display` or `Serialize`, and is cleared when dropped.
pub struct Kek {
    key: Secret32,
    version: String,
}

impl Kek {
    /// Takes the key.
    #[must_use]
    pub fn new(key: Secret32) -> Self {
        let version = format!("v1-{}", hex::encode(hkdf::<8>(&[], key.expose(), b"/kek/id")));
        Self { key, version }
    }

    /// How a record is wrapped and under which key: `v1-` and a fingerprint of 16 hexadecimal digits
    /// (HKDF info `/kek/id`, no salt), which is public and reveals nothing of the key.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    pub(super) const fn key(&self) -> &[u8; 32] {
        self.key.expose()
    }
}

//! Signing keys: pairs of P-256, of which the application keeps the private half and this server only the public one.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, ParsedPublicKey,
};

use super::pem;
use crate::secret::SecretText;

/// Bytes of chance in a key ID: 80 bits are 16 letters of base32.
const KEY_ID_BYTES: usize = 10;

/// A new pair. Whoever asked for it is the only one who gets the private key.
pub struct SigningKey {
    /// Names the key in tokens: 16 letters and digits of base32 (RFC 4648, 6) in lower case, 80 bits of chance.
    pub kid: String,
    /// PKCS#8 (RFC 5208) in PEM.
    pub private_key_pem: SecretText,
    /// `SubjectPublicKeyInfo` (RFC 5480) in PEM.
    pub public_key_pem: String,
}

/// A pair can't be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SigningKeyError {
    /// The operating system gives no random bytes for a key ID.
    #[error("the operating system gives no random bytes")]
    Random(#[from] getrandom::Error),
    /// The cryptographic library refuses.
    #[error("the cryptographic library makes no key pair of P-256")]
    Generate,
}

impl From<aws_lc_rs::error::Unspecified> for SigningKeyError {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        Self::Generate
    }
}

impl SigningKey {
    /// Makes a pair.
    ///
    /// # Errors
    /// [`SigningKeyError`].
    pub fn generate() -> Result<Self, SigningKeyError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
        // Cleared on drop, as aws-lc-rs does with it.
        let private_key = pair.to_pkcs8v1()?;
        let public_key: PublicKeyX509Der<'_> = pair.public_key().as_der()?;
        Ok(Self {
            kid: new_key_id()?,
            private_key_pem: pem::encode("PRIVATE KEY", private_key.as_ref()).into(),
            public_key_pem: pem::encode("PUBLIC KEY", public_key.as_ref()).to_string(),
        })
    }
}

/// Without the private key.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .field("private_key_pem", &"[redacted]")
            .field("public_key_pem", &self.public_key_pem)
            .finish()
    }
}

fn new_key_id() -> Result<String, getrandom::Error> {
    let mut bytes = [0; KEY_ID_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(base32(bytes))
}

/// Five bits a character, the highest first.
fn base32(bytes: [u8; KEY_ID_BYTES]) -> String {
    let bits = bytes.iter().fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));
    let digit = |place: usize| {
        let [low, ..] = (bits >> (5 * place)).to_le_bytes();
        char::from(match low & 31 {
            letter @ 0..26 => b'a' + letter,
            number => b'2' + (number - 26),
        })
    };
    (0..KEY_ID_BYTES * 8 / 5).rev().map(digit).collect()
}

/// A public key of P-256, read and found to be on the curve.
#[derive(Clone)]
pub struct PublicKey(ParsedPublicKey);

/// A text is no public key of P-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a public key of P-256 in PEM (-----BEGIN PUBLIC KEY-----)")]
pub struct NotP256;

impl PublicKey {
    /// Reads a `SubjectPublicKeyInfo` (RFC 5480) in PEM.
    ///
    /// # Errors
    /// [`NotP256`], also for keys of other curves and other kinds, and for points that are not on the curve.
    pub fn from_pem(text: &str) -> Result<Self, NotP256> {
        let der = pem::decode("PUBLIC KEY", text).ok_or(NotP256)?;
        // The library takes a bare point (SEC 1) too, which says nothing of its curve; a SEQUENCE begins with 0x30.
        if der.first() != Some(&0x30) {
            return Err(NotP256);
        }
        let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &der).map_err(|_| NotP256)?;
        Ok(Self(key))
    }

    /// Whether `signature` is one of ES256: the numbers r and s in 32 bytes each (RFC 7518, 3.4), of SHA-256 of `message`.
    #[must_use]
    pub fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.verify_sig(message, signature).is_ok()
    }
}

/// A signing key as it is known here: what verifies, and whether it still may.
pub struct KnownKey {
    pub(super) kid: String,
    pub(super) is_active: bool,
    pub(super) public: Result<PublicKey, NotP256>,
}

impl KnownKey {
    /// Reads the key of a record once, for many tokens. A text that is no key is kept as such: tokens that name it are refused
    /// by a reason of their own, and other keys go on working.
    #[must_use]
    pub fn new(kid: String, public_key_pem: &str, is_active: bool) -> Self {
        Self {
            kid,
            is_active,
            public: PublicKey::from_pem(public_key_pem),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// RFC 4648, 10: `foobar` is MZXW6YTBOI======; ten bytes have no padding.
    #[test]
    fn base32_is_that_of_the_rfc() {
        assert_eq!(base32(*b"foobarfoob"), "mzxw6ytbojtg633c");
        assert_eq!(base32([0xff; 10]), "7777777777777777");
        assert_eq!(base32([0; 10]), "aaaaaaaaaaaaaaaa");
    }

    #[test]
    fn pairs_differ_and_show_no_private_key() {
        let keys: Vec<_> = (0..4).map(|_| SigningKey::generate().unwrap()).collect();
        let kids: HashSet<_> = keys.iter().map(|key| &key.kid).collect();
        assert_eq!(kids.len(), 4);
        for key in &keys {
            assert!(key.kid.len() == 16 && key.kid.bytes().all(|c| matches!(c, b'a'..=b'z' | b'2'..=b'7')));
            let shown = format!("{key:?}");
            let private = key.private_key_pem.expose().lines().nth(1).unwrap();
            assert!(shown.contains(&key.kid) && !shown.contains(private), "{shown}");
            assert!(PublicKey::from_pem(&key.public_key_pem).is_ok());
            assert_eq!(PublicKey::from_pem(key.private_key_pem.expose()).err(), Some(NotP256));
        }
    }
}

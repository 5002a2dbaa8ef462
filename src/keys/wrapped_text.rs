//! A secret text beside public settings: wrapped under the key-encryption key (AES-256-GCM, NIST SP 800-38D).

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::{Zeroize, Zeroizing};

use super::wrap::{associated_data, open, seal};
use super::{ContentId, HexBytes, KeyRing};
use crate::secret::SecretText;

/// No text that is wrapped is longer, in bytes.
pub const MAX_TEXT_BYTES: usize = 4 << 10;

/// Bytes of the tag, which stands behind the ciphertext.
const TAG_BYTES: usize = 16;

/// A wrapped text: what may be stored and shown to nobody who can't unwrap it. It knows for which content and what it was
/// wrapped, and unwraps for nothing else.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrappedText {
    /// Ciphertext and tag.
    wrapped: Hex,
    nonce: HexBytes<12>,
    /// The version of the key-encryption key, [`super::Kek::version`].
    kek_version: String,
}

/// A text can't be wrapped or unwrapped. No part of it is shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TextWrapError {
    /// The operating system gives no random bytes for a nonce.
    #[error("the operating system gives no random bytes")]
    Random(#[from] getrandom::Error),
    /// The text is too long.
    #[error("the {purpose} of content {content_id} is {length} bytes long; expected at most {MAX_TEXT_BYTES}")]
    TooLong {
        /// The content.
        content_id: ContentId,
        /// What the text is for.
        purpose: &'static str,
        /// Its bytes.
        length: usize,
    },
    /// No key-encryption key at hand is the one that is named.
    #[error(
        "the {purpose} of content {content_id} is wrapped under KEK {kek_version}, which none of the keys at hand is; set FALLBACK_KEK_HEX, or FALLBACK_MASTER_KEY_HEX and FALLBACK_SALT_HEX, to what it was written under, or set it again"
    )]
    UnknownKek {
        /// The content.
        content_id: ContentId,
        /// What the text is for.
        purpose: &'static str,
        /// The version that is named.
        kek_version: String,
    },
    /// The cipher refuses it.
    #[error(
        "the {purpose} of content {content_id} doesn't unwrap under KEK {kek_version}: it was changed, or moved from other content; set it again"
    )]
    Refused {
        /// The content.
        content_id: ContentId,
        /// What the text is for.
        purpose: &'static str,
        /// The version that is named.
        kek_version: String,
    },
}

impl WrappedText {
    /// The version of the key-encryption key that it is wrapped under.
    #[must_use]
    pub fn kek_version(&self) -> &str {
        &self.kek_version
    }

    /// Three fields, where a content key's binding has five: neither is ever taken for the other.
    fn associated_data(content_id: &ContentId, purpose: &str, kek_version: &str) -> Vec<u8> {
        associated_data(&[
            content_id.as_str().as_bytes(),
            purpose.as_bytes(),
            kek_version.as_bytes(),
        ])
    }
}

impl KeyRing {
    /// Wraps a text under a fresh random nonce, bound to a content and to what it is for, such as `webhook-secret`.
    ///
    /// # Errors
    /// [`TextWrapError::TooLong`] and [`TextWrapError::Random`].
    pub fn wrap_text(
        &self,
        text: &SecretText,
        content_id: &ContentId,
        purpose: &'static str,
    ) -> Result<WrappedText, TextWrapError> {
        let text = text.expose().as_bytes();
        if text.len() > MAX_TEXT_BYTES {
            return Err(TextWrapError::TooLong {
                content_id: content_id.clone(),
                purpose,
                length: text.len(),
            });
        }
        let kek = self.kek();
        let mut nonce = [0; 12];
        getrandom::fill(&mut nonce)?;
        let associated_data = WrappedText::associated_data(content_id, purpose, kek.version());
        // Nothing of the plain text is left behind: it is encrypted where it lies, and the tag has its place already.
        let mut wrapped = Vec::with_capacity(text.len() + TAG_BYTES);
        wrapped.extend_from_slice(text);
        let tag = seal(kek.key(), &nonce, &associated_data, &mut wrapped);
        wrapped.extend_from_slice(&tag);
        Ok(WrappedText {
            wrapped: Hex(wrapped),
            nonce: HexBytes(nonce),
            kek_version: kek.version().to_owned(),
        })
    }

    /// The text that [`Self::wrap_text`] wrapped for the same content and purpose, under any key at hand.
    ///
    /// # Errors
    /// [`TextWrapError::UnknownKek`], and [`TextWrapError::Refused`] if it was changed or moved.
    pub fn unwrap_text(
        &self,
        text: &WrappedText,
        content_id: &ContentId,
        purpose: &'static str,
    ) -> Result<SecretText, TextWrapError> {
        let kek_version = text.kek_version.clone();
        let Some(kek) = self.kek_by_version(&kek_version) else {
            return Err(TextWrapError::UnknownKek {
                content_id: content_id.clone(),
                purpose,
                kek_version,
            });
        };
        let associated_data = WrappedText::associated_data(content_id, purpose, &kek_version);
        let plain = || {
            let (cipher, tag) = text.wrapped.0.split_last_chunk::<TAG_BYTES>()?;
            let mut plain = Zeroizing::new(cipher.to_vec());
            open(kek.key(), &text.nonce.0, &associated_data, &mut plain, *tag)?;
            // What was wrapped was text, so it always is.
            match String::from_utf8(std::mem::take(&mut *plain)) {
                Ok(text) => Some(SecretText::from(text)),
                Err(error) => {
                    error.into_bytes().zeroize();
                    None
                }
            }
        };
        plain().ok_or_else(|| TextWrapError::Refused {
            content_id: content_id.clone(),
            purpose,
            kek_version: kek_version.clone(),
        })
    }
}

/// Without the ciphertext, which nobody reads.
impl fmt::Debug for WrappedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WrappedText([redacted], {})", self.kek_version)
    }
}

/// Bytes of any number, as hexadecimal digits in JSON.
#[derive(Clone, PartialEq, Eq)]
struct Hex(Vec<u8>);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        hex::decode(text).map(Self).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::keys::Master;
    use crate::secret::Secret32;

    const PURPOSE: &str = "webhook-secret";

    fn ring(kek: u8, fallback_kek: Option<u8>) -> KeyRing {
        let secret = |byte| Secret32::new([byte; 32]);
        let master = Master::new(secret(1), secret(2));
        KeyRing::new(master, None, Some(secret(kek)), fallback_kek.map(secret))
    }

    #[test]
    fn a_text_comes_back_only_where_it_belongs() {
        let (ring, id) = (ring(3, None), "movie-1".parse().unwrap());
        for text in ["", "s", "hunter2 £", &"x".repeat(MAX_TEXT_BYTES)] {
            let wrapped = ring.wrap_text(&text.to_owned().into(), &id, PURPOSE).unwrap();
            let json = serde_json::to_string(&wrapped).unwrap();
            let wrapped: WrappedText = serde_json::from_str(&json).unwrap();
            assert_eq!(ring.unwrap_text(&wrapped, &id, PURPOSE).ok().unwrap().expose(), text);
            let refused = [
                ring.unwrap_text(&wrapped, &"movie-2".parse().unwrap(), PURPOSE).err(),
                ring.unwrap_text(&wrapped, &id, "other").err(),
            ];
            for error in refused {
                assert!(matches!(error, Some(TextWrapError::Refused { .. })));
            }
            for at in 0..wrapped.wrapped.0.len().min(20) {
                let mut changed = wrapped.clone();
                *changed.wrapped.0.get_mut(at).unwrap() ^= 1;
                assert!(ring.unwrap_text(&changed, &id, PURPOSE).is_err());
            }
            let mut cut = wrapped.clone();
            cut.wrapped.0.truncate(TAG_BYTES - 1);
            assert!(ring.unwrap_text(&cut, &id, PURPOSE).is_err());
        }
        let long = "x".repeat(MAX_TEXT_BYTES + 1).into();
        let error = ring.wrap_text(&long, &id, PURPOSE).err().unwrap();
        assert_eq!(
            error.to_string(),
            "the webhook-secret of content movie-1 is 4097 bytes long; expected at most 4096"
        );
    }

    #[test]
    fn a_fallback_kek_unwraps_and_no_other() {
        let id = "movie-1".parse().unwrap();
        let wrapped = ring(3, None)
            .wrap_text(&"hunter2".to_owned().into(), &id, PURPOSE)
            .unwrap();
        let text = ring(4, Some(3)).unwrap_text(&wrapped, &id, PURPOSE).ok().unwrap();
        assert_eq!(text.expose(), "hunter2");
        let error = ring(4, None).unwrap_text(&wrapped, &id, PURPOSE).err().unwrap();
        assert!(matches!(&error, TextWrapError::UnknownKek { .. }));
        let shown = format!("{error} {error:?} {wrapped:?}");
        assert!(!shown.contains("hunter2") && !shown.contains(&hex::encode(&wrapped.wrapped.0)));
    }

    #[test]
    fn no_two_wraps_are_alike() {
        let (ring, id) = (ring(3, None), "movie-1".parse().unwrap());
        let wrap = || ring.wrap_text(&"hunter2".to_owned().into(), &id, PURPOSE).unwrap();
        assert_ne!(wrap(), wrap());
    }

    /// The associated data of stored texts; changing it would make them all unreadable.
    #[test]
    fn associated_data_never_changes() {
        assert_eq!(
            WrappedText::associated_data(&"movie-1".parse().unwrap(), PURPOSE, "v1-a3a83649985d5830"),
            b"\0\0\0\x07movie-1\0\0\0\x0ewebhook-secret\0\0\0\x13v1-a3a83649985d5830"
        );
    }
}

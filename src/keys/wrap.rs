//! Wrapping a content key for its record, and unwrapping it: AES-256-GCM (NIST SP 800-38D).

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Tag};
use zeroize::Zeroizing;

use super::{ContentId, HexBytes, Kek, KeyName};
use crate::content_key::{ContentKey, Kid};

/// A content key can't be wrapped or unwrapped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WrapError {
    /// The operating system gives no random bytes for a nonce.
    #[error("the operating system gives no random bytes")]
    Random(#[from] getrandom::Error),
    /// No key-encryption key at hand is the record's.
    #[error(
        "record {kid} of content {content_id} is wrapped under KEK {kek_version}, which none of the keys at hand is; set KEK_HEX or MASTER_KEY_HEX and SALT_HEX to what it was written under, or FALLBACK_KEK_HEX or FALLBACK_MASTER_KEY_HEX and FALLBACK_SALT_HEX if they have changed since"
    )]
    UnknownKek {
        /// The record's content.
        content_id: ContentId,
        /// The record's key.
        kid: Kid,
        /// The version that the record names.
        kek_version: String,
    },
    /// The record holds another key than its master derives.
    #[error(
        "record {kid} of content {content_id} does not hold the key that its master {master_key_id} derives; restore it from keys.json or a backup"
    )]
    NotDerived {
        /// The record's content.
        content_id: ContentId,
        /// The record's key.
        kid: Kid,
        /// The master that the record names.
        master_key_id: String,
    },
    /// The cipher refuses the record.
    #[error(
        "record {kid} of content {content_id} doesn't unwrap under KEK {kek_version}: the record was changed or moved, or KEK_HEX or MASTER_KEY_HEX is wrong; restore it from keys.json or a backup"
    )]
    Refused {
        /// The record's content.
        content_id: ContentId,
        /// The record's key.
        kid: Kid,
        /// The version that the record names.
        kek_version: String,
    },
}

/// What a wrapped key is bound to, so that it can't be moved to another row or given another meaning.
#[derive(Clone, Copy)]
pub(super) struct Binding<'a> {
    pub content_id: &'a ContentId,
    pub key_name: Option<&'a KeyName>,
    pub kid: &'a Kid,
    pub scheme: &'a str,
}

impl Binding<'_> {
    fn associated_data(&self, kek_version: &str) -> Vec<u8> {
        let fields: [&[u8]; 5] = [
            self.content_id.as_str().as_bytes(),
            // No key name is empty, so an empty one stands for none.
            self.key_name.map_or("", KeyName::as_str).as_bytes(),
            &self.kid.0,
            self.scheme.as_bytes(),
            kek_version.as_bytes(),
        ];
        associated_data(&fields)
    }
}

/// Every field behind its length (32 bits, big-endian), so that no two lists of fields are equal.
pub(super) fn associated_data(fields: &[&[u8]]) -> Vec<u8> {
    let mut data = Vec::new();
    for field in fields {
        // Longer than 4 GiB no field can be; were one, its length would be the same for wrap and unwrap.
        let length = u32::try_from(field.len()).unwrap_or(u32::MAX);
        data.extend_from_slice(&length.to_be_bytes());
        data.extend_from_slice(field);
    }
    data
}

/// A wrapped content key: 16 bytes of ciphertext and 16 of tag.
pub(super) struct Wrapped {
    pub key: HexBytes<32>,
    pub nonce: HexBytes<12>,
}

impl Kek {
    /// Wraps a key under a fresh random nonce.
    pub(super) fn wrap(&self, key: &ContentKey, binding: Binding<'_>) -> Result<Wrapped, WrapError> {
        let mut nonce = [0; 12];
        getrandom::fill(&mut nonce)?;
        let associated_data = binding.associated_data(self.version());
        let mut wrapped = [0; 32];
        let (text, tag) = wrapped.split_at_mut(16);
        text.copy_from_slice(key.expose());
        tag.copy_from_slice(&seal(self.key(), &nonce, &associated_data, text));
        Ok(Wrapped {
            key: HexBytes(wrapped),
            nonce: HexBytes(nonce),
        })
    }

    /// Unwraps a key, or `None` if it wasn't wrapped under this key for this binding.
    pub(super) fn unwrap(&self, wrapped: &Wrapped, binding: Binding<'_>) -> Option<ContentKey> {
        let associated_data = binding.associated_data(self.version());
        let (text, tag) = wrapped.key.0.split_first_chunk()?;
        let mut key = Zeroizing::new(*text);
        open(
            self.key(),
            &wrapped.nonce.0,
            &associated_data,
            key.as_mut_slice(),
            tag.try_into().ok()?,
        )?;
        Some(ContentKey::new(*key))
    }
}

/// Encrypts in place and returns the tag.
pub(super) fn seal(key: &[u8; 32], nonce: &[u8; 12], associated_data: &[u8], text: &mut [u8]) -> [u8; 16] {
    Aes256Gcm::new(key.into())
        .encrypt_inout_detached(nonce.into(), associated_data, text.into())
        .expect("text and associated data are far below GCM's limit of 64 GiB")
        .into()
}

/// Checks the tag, then decrypts in place.
pub(super) fn open(
    key: &[u8; 32],
    nonce: &[u8; 12],
    associated_data: &[u8],
    text: &mut [u8],
    tag: [u8; 16],
) -> Option<()> {
    Aes256Gcm::new(key.into())
        .decrypt_inout_detached(nonce.into(), associated_data, text.into(), &Tag::from(tag))
        .ok()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::secret::Secret32;

    /// Test case 16 of the GCM specification that was submitted to NIST ("The Galois/Counter Mode of Operation
    /// (GCM)", 2005, appendix B).
    #[test]
    fn gcm_specification_test_case_16() {
        let key = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
        let key: [u8; 32] = hex::decode(key).unwrap().try_into().unwrap();
        let nonce: [u8; 12] = hex::decode("cafebabefacedbaddecaf888").unwrap().try_into().unwrap();
        let associated_data = hex::decode("feedfacedeadbeeffeedfacedeadbeefabaddad2").unwrap();
        let plain = hex::decode(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
             1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        )
        .unwrap();

        let mut text = plain.clone();
        let tag = seal(&key, &nonce, &associated_data, &mut text);
        assert_eq!(
            hex::encode(&text),
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa\
             8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
        );
        assert_eq!(hex::encode(tag), "76fc6ece0f4e1768cddf8853bb2d551b");

        open(&key, &nonce, &associated_data, &mut text, tag).unwrap();
        assert_eq!(text, plain);
        assert!(open(&key, &nonce, b"other", &mut text, tag).is_none());
    }

    /// The associated data of stored records; changing it would make them all unreadable.
    #[test]
    fn associated_data_never_changes() {
        let binding = Binding {
            content_id: &"movie-1".parse().unwrap(),
            key_name: Some(&"uhd".parse().unwrap()),
            kid: &Kid([0xab; 16]),
            scheme: "cbcs",
        };
        let mut expected = b"\0\0\0\x07movie-1\0\0\0\x03uhd\0\0\0\x10".to_vec();
        expected.extend_from_slice(&[0xab; 16]);
        expected.extend_from_slice(b"\0\0\0\x04cbcs\0\0\0\x13v1-a3a83649985d5830");
        assert_eq!(binding.associated_data("v1-a3a83649985d5830"), expected);
    }

    #[test]
    fn a_key_comes_back_only_under_its_own_kek_and_binding() {
        let (content_id, other_id) = ("a".parse().unwrap(), "b".parse().unwrap());
        let name = "x".parse().unwrap();
        let binding = Binding {
            content_id: &content_id,
            key_name: None,
            kid: &Kid([1; 16]),
            scheme: "cbcs",
        };
        let kek = Kek::new(Secret32::new([7; 32]));
        let key = ContentKey::new([9; 16]);
        let wrapped = kek.wrap(&key, binding).unwrap();
        assert!(kek.unwrap(&wrapped, binding).is_some_and(|unwrapped| unwrapped == key));

        for moved in [
            Binding {
                content_id: &other_id,
                ..binding
            },
            Binding {
                key_name: Some(&name),
                ..binding
            },
            Binding {
                kid: &Kid([2; 16]),
                ..binding
            },
            Binding {
                scheme: "cenc",
                ..binding
            },
        ] {
            assert!(kek.unwrap(&wrapped, moved).is_none());
        }
        assert!(Kek::new(Secret32::new([8; 32])).unwrap(&wrapped, binding).is_none());
        for changed_byte in 0..32 {
            let mut key = wrapped.key;
            *key.0.get_mut(changed_byte).unwrap() ^= 1;
            let changed = Wrapped {
                key,
                nonce: wrapped.nonce,
            };
            assert!(kek.unwrap(&changed, binding).is_none());
        }
    }

    #[test]
    fn every_wrap_takes_a_fresh_nonce() {
        let kek = Kek::new(Secret32::new([7; 32]));
        let content_id = "a".parse().unwrap();
        let binding = Binding {
            content_id: &content_id,
            key_name: None,
            kid: &Kid([1; 16]),
            scheme: "cbcs",
        };
        let wrap = || kek.wrap(&ContentKey::new([9; 16]), binding).unwrap();
        let (one, other) = (wrap(), wrap());
        assert_ne!(one.nonce, other.nonce);
        assert_ne!(one.key, other.key);
    }
}

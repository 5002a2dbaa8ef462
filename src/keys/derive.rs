//! What is derived from the master key, for ever in the same way (HKDF-SHA-256, RFC 5869).
//!
//! | what | info, UTF-8 | bytes |
//! |---|---|---|
//! | content key | `{content_id}`, of a named key `{content_id}/key/{name}` | 16 |
//! | key ID | `{content_id}/kid`, of a named key `{content_id}/kid/{name}` | 16 |
//! | constant IV of a track | `{content_id}/iv/{track}`, under a named key `{content_id}/iv/{track}/{name}` | 16 |
//! | default key-encryption key | `/kek/v1` | 32 |
//! | the master key's own ID | `/master/id` | 8 |
//!
//! Neither content IDs nor names hold a slash, so no two of these infos are equal, and nothing that is
//! public (key ID, IV, master ID) is ever equal to, or a part of, something that is secret.

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{ContentId, Kek, KeyName, TrackName};
use crate::content_key::{ContentKey, Generation, Iv, Kid};
use crate::secret::Secret32;

/// HKDF-SHA-256, extract then expand, to `N` bytes.
pub(super) fn hkdf<const N: usize>(salt: &[u8], key: &[u8], info: &[u8]) -> [u8; N] {
    const { assert!(N <= 255 * 32, "RFC 5869 2.3 expands to at most 255 hashes") };
    let mut output = [0; N];
    Hkdf::<Sha256>::new(Some(salt), key)
        .expand(info, &mut output)
        .expect("the length was checked above");
    output
}

/// A master key and its salt.
///
/// It must not be used for anything but these derivations, and a rotation replaces both halves.
/// It has no `Debug`, `Display` or `Serialize`, and is cleared when dropped.
pub struct Master {
    key: Secret32,
    salt: Secret32,
    id: String,
}

impl Master {
    /// Takes the master key and the salt.
    #[must_use]
    pub fn new(key: Secret32, salt: Secret32) -> Self {
        let id = hex::encode(hkdf::<8>(salt.expose(), key.expose(), b"/master/id"));
        Self { key, salt, id }
    }

    /// A fingerprint of 16 hexadecimal digits (info `/master/id`) by which records say which master made them.
    ///
    /// It is public and reveals nothing of the key.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The generation of what is encrypted under this master after another one: the first half of [`Master::id`].
    #[must_use]
    pub fn generation(&self) -> Generation {
        let [a, b, c, d, ..] = self.derive::<8>("/master/id");
        Generation([a, b, c, d])
    }

    /// A content's primary key (info `{content_id}`) or a named one (info `{content_id}/key/{name}`).
    ///
    /// Under `cbcs` and `cbc1` it may encrypt every track of the content, each with its own [`Master::iv`].
    /// Under a CTR scheme it must never meet one IV twice, so other media under the same content ID needs
    /// fresh random IVs. It must never encrypt another content.
    #[must_use]
    pub fn content_key(&self, content_id: &ContentId, name: Option<&KeyName>) -> ContentKey {
        ContentKey::new(match name {
            None => self.derive(content_id.as_str()),
            Some(name) => self.derive(&format!("{content_id}/key/{name}")),
        })
    }

    /// The key ID of [`Master::content_key`] (info `{content_id}/kid`, named `{content_id}/kid/{name}`).
    ///
    /// It is public. It names that one key and must never be given to another, imported ones included.
    #[must_use]
    pub fn kid(&self, content_id: &ContentId, name: Option<&KeyName>) -> Kid {
        Kid(match name {
            None => self.derive(&format!("{content_id}/kid")),
            Some(name) => self.derive(&format!("{content_id}/kid/{name}")),
        })
    }

    /// A track's constant IV under `cbcs` and `cbc1`
    /// (info `{content_id}/iv/{track}`, under a named key `{content_id}/iv/{track}/{name}`).
    ///
    /// It is public. A derived IV comes again with every run, which CBC bears for the same media and
    /// CTR never does: `cenc` and `cens` must not use it.
    #[must_use]
    pub fn iv(&self, content_id: &ContentId, track: &TrackName, name: Option<&KeyName>) -> Iv {
        Iv(match name {
            None => self.derive(&format!("{content_id}/iv/{track}")),
            Some(name) => self.derive(&format!("{content_id}/iv/{track}/{name}")),
        })
    }

    /// The key-encryption key (info `/kek/v1`) of those who set no `KEK_HEX`.
    ///
    /// It wraps content keys for records and must never encrypt media.
    #[must_use]
    pub fn kek(&self) -> Kek {
        let bytes = Zeroizing::new(self.derive("/kek/v1"));
        Kek::new(Secret32::new(*bytes))
    }

    fn derive<const N: usize>(&self, info: &str) -> [u8; N] {
        hkdf(self.salt.expose(), self.key.expose(), info.as_bytes())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn bytes(range: std::ops::RangeInclusive<u8>) -> Vec<u8> {
        range.collect()
    }

    #[test]
    fn rfc_5869_a1() {
        let output: [u8; 42] = hkdf(&bytes(0x00..=0x0c), &[0x0b; 22], &bytes(0xf0..=0xf9));
        assert_eq!(
            hex::encode(output),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
        );
    }

    #[test]
    fn rfc_5869_a2() {
        let output: [u8; 82] = hkdf(&bytes(0x60..=0xaf), &bytes(0x00..=0x4f), &bytes(0xb0..=0xff));
        assert_eq!(
            hex::encode(output),
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09\
             da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"
        );
    }

    #[test]
    fn rfc_5869_a3() {
        let output: [u8; 42] = hkdf(&[], &[0x0b; 22], &[]);
        assert_eq!(
            hex::encode(output),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
        );
    }

    /// These values may never change: published media depends on them. They come from Python:
    ///
    /// ```python
    /// import hashlib, hmac
    /// def hkdf(key, salt, info, length):
    ///     prk = hmac.new(salt or bytes(32), key, hashlib.sha256).digest()
    ///     output, block, i = b"", b"", 1
    ///     while len(output) < length:
    ///         block = hmac.new(prk, block + info + bytes([i]), hashlib.sha256).digest()
    ///         output += block
    ///         i += 1
    ///     return output[:length].hex()
    /// master, salt = bytes(range(32)), bytes(range(32, 64))
    /// for info in ["movie-1", "movie-1/key/uhd", "movie-1/kid", "movie-1/kid/uhd",
    ///              "movie-1/iv/video", "movie-1/iv/audio-en", "movie-1/iv/video/uhd"]:
    ///     print(info, hkdf(master, salt, info.encode(), 16))
    /// print("/kek/v1", kek := hkdf(master, salt, b"/kek/v1", 32))
    /// print("/kek/id", hkdf(bytes.fromhex(kek), b"", b"/kek/id", 8))
    /// print("/master/id", hkdf(master, salt, b"/master/id", 8))
    /// ```
    #[test]
    fn derivations_never_change() {
        let secret = |range| Secret32::new(bytes(range).try_into().unwrap());
        let master = Master::new(secret(0..=31), secret(32..=63));
        let id: ContentId = "movie-1".parse().unwrap();
        let uhd: KeyName = "uhd".parse().unwrap();
        let video: TrackName = "video".parse().unwrap();
        let audio: TrackName = "audio-en".parse().unwrap();

        let key = |name| hex::encode(master.content_key(&id, name).expose());
        assert_eq!(key(None), "4d4341341516333e7aead685929f360d");
        assert_eq!(key(Some(&uhd)), "c555abd69fb85d66f616239340c37ca1");
        let kid = |name| master.kid(&id, name).to_string();
        assert_eq!(kid(None), "cceaf155bb9bbcb6ccb8b1fe17c0119b");
        assert_eq!(kid(Some(&uhd)), "18308a743631c48adff0a31de8c60538");
        let iv = |track, name| master.iv(&id, track, name).to_string();
        assert_eq!(iv(&video, None), "0add3598100ed77f95f7f3d68b75d514");
        assert_eq!(iv(&audio, None), "bfb8fe8b405a053f026a0e09bc6daef3");
        assert_eq!(iv(&video, Some(&uhd)), "0ecacf79bb1ac786b6c55c27f6b16091");
        assert_eq!(
            hex::encode(master.derive::<32>("/kek/v1")),
            "e7c912cddc3e4a4f955dec512f911b7b97031a14ec2b8343be3fde59688e79b1"
        );
        assert_eq!(master.kek().version(), "v1-a3a83649985d5830");
        assert_eq!(master.id(), "fd8bcfbb7630bca5");
        assert_eq!(master.generation().to_string(), "fd8bcfbb");
    }
}

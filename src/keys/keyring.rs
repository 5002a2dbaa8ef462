//! The keys that a process works with: masters to derive from, key-encryption keys to wrap with.

use jiff::Timestamp;

use super::wrap::{Binding, WrapError, Wrapped};
use super::{Kek, KeyRecord, Master, RecordDraft};
use crate::content_key::ContentKey;
use crate::secret::{
    FALLBACK_KEK_HEX, FALLBACK_MASTER_KEY_HEX, FALLBACK_SALT_HEX, KEK_HEX, MASTER_KEY_HEX, SALT_HEX, Secret32,
    SecretError, Settings,
};

/// Every key of the settings. It has no `Debug`, and is cleared when dropped.
pub struct KeyRing {
    primary: Master,
    fallback: Option<Master>,
    /// Wraps, and unwraps what it wrapped.
    kek: Kek,
    /// Unwrap older records.
    old_keks: Vec<Kek>,
}

/// The settings don't make a key ring.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyRingError {
    /// A secret is missing or can't be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A fallback master is half set.
    #[error("{set} is set and {missing} isn't: a fallback master needs both, or set neither")]
    HalfFallback {
        /// The variable that is set.
        set: &'static str,
        /// The variable that isn't.
        missing: &'static str,
    },
}

impl KeyRing {
    /// Reads the keys from the settings: a master, and optionally a key-encryption key and the ones of before a rotation.
    ///
    /// # Errors
    /// [`KeyRingError`] if a secret is missing or can't be used.
    pub fn load(settings: &Settings) -> Result<Self, KeyRingError> {
        let needed = |name| settings.secret32(name)?.ok_or_else(|| SecretError::missing(name));
        let primary = Master::new(needed(MASTER_KEY_HEX)?, needed(SALT_HEX)?);
        let fallback = match (
            settings.secret32(FALLBACK_MASTER_KEY_HEX)?,
            settings.secret32(FALLBACK_SALT_HEX)?,
        ) {
            (Some(key), Some(salt)) => Some(Master::new(key, salt)),
            (None, None) => None,
            (Some(_), None) => {
                return Err(KeyRingError::HalfFallback {
                    set: FALLBACK_MASTER_KEY_HEX,
                    missing: FALLBACK_SALT_HEX,
                });
            }
            (None, Some(_)) => {
                return Err(KeyRingError::HalfFallback {
                    set: FALLBACK_SALT_HEX,
                    missing: FALLBACK_MASTER_KEY_HEX,
                });
            }
        };
        let kek = settings.secret32(KEK_HEX)?;
        let fallback_kek = settings.secret32(FALLBACK_KEK_HEX)?;
        Ok(Self::new(primary, fallback, kek, fallback_kek))
    }

    /// A ring of given keys. Without a `kek`, the one that is derived from the primary master wraps.
    #[must_use]
    pub fn new(
        primary: Master,
        fallback: Option<Master>,
        kek: Option<Secret32>,
        fallback_kek: Option<Secret32>,
    ) -> Self {
        // Records of before KEK_HEX was set, or of before the master changed, are under a derived one.
        let mut old_keks = vec![primary.kek()];
        old_keks.extend(fallback.as_ref().map(Master::kek));
        old_keks.extend(fallback_kek.map(Kek::new));
        Self {
            kek: kek.map_or_else(|| primary.kek(), Kek::new),
            old_keks,
            primary,
            fallback,
        }
    }

    /// The master that new content is encrypted under.
    #[must_use]
    pub const fn primary(&self) -> &Master {
        &self.primary
    }

    /// The master of that [`Master::id`], if it is at hand.
    #[must_use]
    pub fn master_by_id(&self, id: &str) -> Option<&Master> {
        self.masters().find(|master| master.id() == id)
    }

    /// Every master at hand, the one of new content first.
    pub fn masters(&self) -> impl Iterator<Item = &Master> {
        std::iter::once(&self.primary).chain(&self.fallback)
    }

    /// The version of the key-encryption key that wraps, [`Kek::version`].
    #[must_use]
    pub fn kek_version(&self) -> &str {
        self.kek.version()
    }

    /// Wraps a content key into a record of now.
    ///
    /// # Errors
    /// [`WrapError::Random`].
    pub fn wrap(&self, key: &ContentKey, draft: RecordDraft) -> Result<KeyRecord, WrapError> {
        let binding = Binding {
            content_id: &draft.content_id,
            key_name: draft.key_name.as_ref(),
            kid: &draft.kid,
            scheme: &draft.scheme,
        };
        let wrapped = self.kek.wrap(key, binding)?;
        let now = Timestamp::now();
        Ok(KeyRecord {
            content_id: draft.content_id,
            key_name: draft.key_name,
            kid: draft.kid,
            scheme: draft.scheme,
            key_uri: draft.key_uri,
            wrapped_key: wrapped.key,
            wrap_nonce: wrapped.nonce,
            kek_version: self.kek.version().to_owned(),
            master_key_id: draft.master_key_id,
            created_at: Timestamp::from_second(now.as_second()).unwrap_or(now),
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            media_fingerprint: draft.media_fingerprint,
            generation: draft.generation,
        })
    }

    /// The content key of a record.
    ///
    /// # Errors
    /// [`WrapError::UnknownKek`] if no key at hand is the one that the record names, and
    /// [`WrapError::Refused`] if the record was changed.
    pub fn unwrap(&self, record: &KeyRecord) -> Result<ContentKey, WrapError> {
        let Some(kek) = self.kek_by_version(&record.kek_version) else {
            return Err(WrapError::UnknownKek {
                content_id: record.content_id.clone(),
                kid: record.kid,
                kek_version: record.kek_version.clone(),
            });
        };
        let wrapped = Wrapped {
            key: record.wrapped_key,
            nonce: record.wrap_nonce,
        };
        kek.unwrap(&wrapped, record.binding())
            .ok_or_else(|| WrapError::Refused {
                content_id: record.content_id.clone(),
                kid: record.kid,
                kek_version: record.kek_version.clone(),
            })
    }

    /// The key-encryption key that wraps.
    pub(super) const fn kek(&self) -> &Kek {
        &self.kek
    }

    /// The key-encryption key of that [`Kek::version`], if it is at hand.
    pub(super) fn kek_by_version(&self, version: &str) -> Option<&Kek> {
        let mut keks = std::iter::once(&self.kek).chain(&self.old_keks);
        keks.find(|kek| kek.version() == version)
    }

    /// The record under the key-encryption key of now; as it is, if it is under that one already.
    ///
    /// # Errors
    /// Those of [`KeyRing::unwrap`] and [`KeyRing::wrap`], and [`WrapError::NotDerived`] where the record's master is
    /// at hand and derives another key.
    pub fn rewrap(&self, record: &KeyRecord) -> Result<KeyRecord, WrapError> {
        let key = self.unwrap(record)?;
        if let Some(master) = self.master_by_id(&record.master_key_id) {
            let (id, name) = (&record.content_id, record.key_name.as_ref());
            if master.kid(id, name) != record.kid || master.content_key(id, name) != key {
                return Err(WrapError::NotDerived {
                    content_id: id.clone(),
                    kid: record.kid,
                    master_key_id: record.master_key_id.clone(),
                });
            }
        }
        if record.kek_version == self.kek.version() {
            return Ok(record.clone());
        }
        let wrapped = self.kek.wrap(&key, record.binding())?;
        Ok(KeyRecord {
            wrapped_key: wrapped.key,
            wrap_nonce: wrapped.nonce,
            kek_version: self.kek.version().to_owned(),
            ..record.clone()
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::content_key::Kid;

    /// Settings whose values are single digits, each repeated to 64.
    fn ring(digits: &[(&str, &str)]) -> Result<KeyRing, KeyRingError> {
        KeyRing::load(&digits.iter().map(|(name, digit)| (*name, digit.repeat(64))).collect())
    }

    const NEW: [(&str, &str); 2] = [(MASTER_KEY_HEX, "1"), (SALT_HEX, "2")];

    fn draft() -> RecordDraft {
        RecordDraft {
            content_id: "movie-1".parse().unwrap(),
            key_name: Some("uhd".parse().unwrap()),
            kid: Kid([1; 16]),
            scheme: "cbcs".to_owned(),
            key_uri: "http://localhost:4100/api/key/movie-1".to_owned(),
            master_key_id: "fd8bcfbb7630bca5".to_owned(),
            media_fingerprint: "cc".to_owned(),
            generation: None,
        }
    }

    #[test]
    fn a_record_gives_its_key_back() {
        let ring = ring(&NEW).ok().unwrap();
        let key = ContentKey::new([9; 16]);
        let record = ring.wrap(&key, draft()).unwrap();
        assert!(ring.unwrap(&record).is_ok_and(|unwrapped| unwrapped == key));
        assert_eq!(record.kek_version, ring.primary().kek().version());
        assert_eq!(record.created_at.subsec_nanosecond(), 0);
        assert!(!format!("{record:?}").contains(&hex::encode(key.expose())));
        assert_eq!(
            ring.rewrap(&record).unwrap(),
            record,
            "it is under the key of now already"
        );

        let moved = KeyRecord {
            key_name: None,
            ..record.clone()
        };
        let error = ring.unwrap(&moved).err().unwrap();
        assert!(matches!(error, WrapError::Refused { .. }));
        assert!(error.to_string().starts_with(&format!(
            "record {} of content movie-1 doesn't unwrap under KEK {}",
            record.kid, record.kek_version
        )));
    }

    #[test]
    fn old_records_move_to_the_new_kek() {
        let key = ContentKey::new([9; 16]);
        let old = ring(&NEW).ok().unwrap();
        let with_kek = ring(&[NEW[0], NEW[1], (KEK_HEX, "3")]).ok().unwrap();
        let next_kek = ring(&[NEW[0], NEW[1], (KEK_HEX, "4"), (FALLBACK_KEK_HEX, "3")])
            .ok()
            .unwrap();
        let next_master = ring(&[
            (MASTER_KEY_HEX, "5"),
            (SALT_HEX, "6"),
            (FALLBACK_MASTER_KEY_HEX, "1"),
            (FALLBACK_SALT_HEX, "2"),
        ])
        .ok()
        .unwrap();
        for (from, to) in [(&old, &with_kek), (&with_kek, &next_kek), (&old, &next_master)] {
            let record = from.wrap(&key, draft()).unwrap();
            let moved = to.rewrap(&record).unwrap();
            assert_ne!(moved.kek_version, record.kek_version);
            assert_eq!(moved.kek_version, to.kek.version());
            assert_eq!(moved.created_at, record.created_at);
            assert!(to.unwrap(&moved).is_ok_and(|unwrapped| unwrapped == key));
            assert!(matches!(from.unwrap(&moved), Err(WrapError::UnknownKek { .. })));
        }
        assert!(next_master.master_by_id(old.primary().id()).is_some());
        assert!(old.master_by_id(next_master.primary().id()).is_none());
        assert_eq!(old.master_by_id(old.primary().id()).unwrap().id(), old.primary().id());
    }

    #[test]
    fn settings_that_make_no_ring_are_named_and_not_shown() {
        for (settings, expected) in [
            (vec![], "MASTER_KEY_HEX is not set"),
            (vec![NEW[0]], "SALT_HEX is not set"),
            (
                vec![NEW[0], NEW[1], (FALLBACK_SALT_HEX, "a")],
                "FALLBACK_SALT_HEX is set and FALLBACK_MASTER_KEY_HEX isn't",
            ),
            (
                vec![NEW[0], NEW[1], (FALLBACK_MASTER_KEY_HEX, "a")],
                "FALLBACK_MASTER_KEY_HEX is set and FALLBACK_SALT_HEX isn't",
            ),
            (vec![NEW[0], NEW[1], (KEK_HEX, "0")], "KEK_HEX is all zeros"),
            (
                vec![NEW[0], NEW[1], (FALLBACK_KEK_HEX, "x")],
                "FALLBACK_KEK_HEX holds something else",
            ),
        ] {
            let error = ring(&settings).err().unwrap();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains(expected), "{shown}");
            for digit in ["1", "2", "a", "x"] {
                assert!(!shown.contains(&digit.repeat(6)), "{shown}");
            }
        }
    }
}

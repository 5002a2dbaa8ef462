//! What is written down of a content key.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::wrap::Binding;
use super::{ContentId, HexBytes, KeyName};
use crate::content_key::{Generation, Kid};

/// A key record: a content key, wrapped, with what it is for and what it was made of. No part of it is secret.
///
/// A content's primary key has no `key_name`. `(content_id, kid)` names a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// The content that the key encrypts.
    pub content_id: ContentId,
    /// The key's name, if it isn't the content's primary key.
    pub key_name: Option<KeyName>,
    /// The key's ID.
    pub kid: Kid,
    /// The protection scheme (ISO/IEC 23001-7, 4.2), `cbcs`.
    pub scheme: String,
    /// Where players fetch the key, as the playlists say unless they have key URIs of another format.
    pub key_uri: String,
    /// The content key under AES-256-GCM, the tag behind it.
    pub wrapped_key: HexBytes<32>,
    /// The nonce of that encryption.
    pub wrap_nonce: HexBytes<12>,
    /// The key-encryption key's version, [`Kek::version`](super::Kek::version).
    pub kek_version: String,
    /// The master that the key was derived from, [`Master::id`](super::Master::id).
    pub master_key_id: String,
    /// When the key was first wrapped, in whole seconds (RFC 3339, UTC).
    pub created_at: Timestamp,
    /// The version of vylux-pack that made the record.
    pub tool_version: String,
    /// A digest over sample tables and codec configurations, which tells other media apart.
    pub media_fingerprint: String,
    /// Which folder of the output has the media; that of the content's first master key has none.
    #[serde(default)]
    pub generation: Option<Generation>,
}

/// What a record says before its key is wrapped; [`KeyRing::wrap`](super::KeyRing::wrap) completes it.
#[derive(Debug, Clone)]
pub struct RecordDraft {
    /// The content that the key encrypts.
    pub content_id: ContentId,
    /// The key's name, if it isn't the content's primary key.
    pub key_name: Option<KeyName>,
    /// The key's ID.
    pub kid: Kid,
    /// The protection scheme (ISO/IEC 23001-7, 4.2), `cbcs`.
    pub scheme: String,
    /// Where players fetch the key.
    pub key_uri: String,
    /// The master that the key was derived from.
    pub master_key_id: String,
    /// A digest over sample tables and codec configurations.
    pub media_fingerprint: String,
    /// Which folder of the output has the media.
    pub generation: Option<Generation>,
}

/// A field in which a new record differs from the one that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The field's name.
    pub field: &'static str,
    /// What is there.
    pub recorded: String,
    /// What is new.
    pub new: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Quoted, as a record that is imported may hold anything.
        write!(
            f,
            "{} was recorded as {:?} and is now {:?}",
            self.field, self.recorded, self.new
        )
    }
}

impl KeyRecord {
    /// Where players get the key in a Clear Key licence. Each key has a URI of its own, as players take keys of one URI for one.
    #[must_use]
    pub fn clearkey_uri(&self) -> String {
        let kid = self.kid.to_string();
        match self
            .key_uri
            .strip_suffix(&kid)
            .and_then(|start| start.strip_suffix('/'))
        {
            Some(content) => format!("{content}/clearkey?kid={kid}"),
            None => format!("{}/clearkey", self.key_uri),
        }
    }

    /// What must not silently change between two records of a content, and does: the first such field.
    #[must_use]
    pub fn conflict_with(&self, new: &Self) -> Option<Difference> {
        let generation = |record: &Self| record.generation.as_ref().map(ToString::to_string).unwrap_or_default();
        let name = |record: &Self| record.key_name.as_ref().map(ToString::to_string).unwrap_or_default();
        let fields = [
            ("kid", self.kid.to_string(), new.kid.to_string()),
            ("key_name", name(self), name(new)),
            ("master_key_id", self.master_key_id.clone(), new.master_key_id.clone()),
            ("scheme", self.scheme.clone(), new.scheme.clone()),
            ("key_uri", self.key_uri.clone(), new.key_uri.clone()),
            (
                "media_fingerprint",
                self.media_fingerprint.clone(),
                new.media_fingerprint.clone(),
            ),
            ("generation", generation(self), generation(new)),
        ];
        fields
            .into_iter()
            .find(|(_, recorded, new)| recorded != new)
            .map(|(field, recorded, new)| Difference { field, recorded, new })
    }

    pub(super) fn binding(&self) -> Binding<'_> {
        Binding {
            content_id: &self.content_id,
            key_name: self.key_name.as_ref(),
            kid: &self.kid,
            scheme: &self.scheme,
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
pub(super) mod tests {
    use super::*;

    /// A record whose fields all differ from each other.
    pub fn record(content_id: &str, kid: u8) -> KeyRecord {
        KeyRecord {
            content_id: content_id.parse().unwrap(),
            key_name: None,
            kid: Kid([kid; 16]),
            scheme: "cbcs".to_owned(),
            key_uri: format!("http://localhost:4100/api/key/{content_id}"),
            wrapped_key: HexBytes([0xaa; 32]),
            wrap_nonce: HexBytes([0xbb; 12]),
            kek_version: "v1-a3a83649985d5830".to_owned(),
            master_key_id: "fd8bcfbb7630bca5".to_owned(),
            created_at: "2026-01-02T03:04:05Z".parse().unwrap(),
            tool_version: "0.1.0".to_owned(),
            media_fingerprint: "cc".repeat(32),
            generation: None,
        }
    }

    #[test]
    fn a_record_is_plain_json() {
        let record = record("movie-1", 1);
        let json = serde_json::to_string_pretty(&record).unwrap();
        assert!(json.contains("\"key_name\": null"), "{json}");
        assert!(json.contains("\"created_at\": \"2026-01-02T03:04:05Z\""), "{json}");
        assert!(
            json.contains(&format!("\"wrapped_key\": \"{}\"", "aa".repeat(32))),
            "{json}"
        );
        assert_eq!(serde_json::from_str::<KeyRecord>(&json).unwrap(), record);
        let cut = json.replace(&"bb".repeat(12), &"bb".repeat(11));
        let error = serde_json::from_str::<KeyRecord>(&cut).unwrap_err();
        assert!(error.to_string().contains("expected 24 hexadecimal digits"), "{error}");
    }

    #[test]
    fn a_conflict_names_the_field() {
        let old = record("movie-1", 1);
        let again = KeyRecord {
            wrapped_key: HexBytes([0; 32]),
            created_at: Timestamp::UNIX_EPOCH,
            tool_version: "9.9.9".to_owned(),
            ..old.clone()
        };
        assert_eq!(old.conflict_with(&again), None);
        let other_media = KeyRecord {
            media_fingerprint: "dd".to_owned(),
            ..old.clone()
        };
        let difference = old.conflict_with(&other_media).unwrap();
        assert_eq!(difference.field, "media_fingerprint");
        assert!(difference.to_string().ends_with("and is now \"dd\""), "{difference}");
        let other_key = KeyRecord {
            kid: Kid([2; 16]),
            ..other_media
        };
        assert_eq!(old.conflict_with(&other_key).unwrap().field, "kid");
    }
}

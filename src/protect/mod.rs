//! Protects samples: which bytes are encrypted, and what tells a player so.

pub mod auxiliary;
pub mod cbcs;
pub mod fragment;
pub mod signalling;

use std::str::FromStr;

use crate::content_key::{ContentKey, Iv, Kid};
use crate::isobmff::FourCc;
use crate::isobmff::tenc::TrackEncryption;
use crate::media::Track;

pub use cbcs::{Cbcs, Pattern};
pub use fragment::{FragmentWorker, ProtectError, ProtectedFragment};

/// How content is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// AES-CBC with a pattern and a constant IV (ISO/IEC 23001-7, 10.4).
    Cbcs,
    /// Not at all.
    None,
}

impl Scheme {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Cbcs, Self::None];

    /// Its name, which is also its four-character code.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cbcs => "cbcs",
            Self::None => "none",
        }
    }
}

/// A scheme that is not known.
#[derive(Debug, thiserror::Error)]
#[error("expected cbcs or none")]
pub struct UnknownScheme;

impl FromStr for Scheme {
    type Err = UnknownScheme;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .iter()
            .copied()
            .find(|scheme| scheme.name() == name)
            .ok_or(UnknownScheme)
    }
}

/// The `cbcs` scheme's four-character code.
pub const CBCS: FourCc = FourCc::new(b"cbcs");

/// What a track is protected with; its key is in the cipher, and can't be printed.
pub struct TrackProtection {
    /// The key's ID.
    pub kid: Kid,
    /// The constant IV.
    pub iv: Iv,
    /// The cipher with key, IV and pattern.
    pub cipher: Cbcs,
}

impl TrackProtection {
    /// Protects `track` under `cbcs`: video by the 1:9 pattern over the protected ranges of each sample,
    /// audio as whole samples without a pattern (Apple's authoring specification, 13.7, and what other packagers write).
    #[must_use]
    pub fn cbcs(track: &Track, key: &ContentKey, kid: Kid, iv: Iv) -> Self {
        let pattern = if track.codec.scanner().is_some() {
            Pattern::ONE_IN_TEN
        } else {
            Pattern::ALL
        };
        Self {
            kid,
            iv,
            cipher: Cbcs::new(key, iv, pattern),
        }
    }

    /// The `tenc` box that says so.
    #[must_use]
    pub fn tenc(&self) -> TrackEncryption {
        let pattern = self.cipher.pattern();
        TrackEncryption {
            version: 1,
            crypt_byte_block: pattern.crypt_blocks,
            skip_byte_block: pattern.skip_blocks,
            is_protected: true,
            per_sample_iv_size: 0,
            kid: self.kid,
            constant_iv: Some(self.iv.0.to_vec()),
        }
    }
}

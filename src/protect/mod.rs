//! Protects samples or segments: which bytes are encrypted, and what tells a player so.
//!
//! A new scheme is one line in the list of `scheme.rs`, and where it brings a new cipher, one file.

pub mod auxiliary;
mod cbc1;
mod cbcs;
pub mod cipher;
mod ctr;
pub mod fragment;
pub mod ivs;
pub mod key_systems;
mod pattern;
pub mod sample_groups;
mod scheme;
pub mod signalling;
pub mod whole_segment;

use std::sync::Arc;

use crate::content_key::{ContentKey, Iv, Kid};
use crate::isobmff::pssh::ProtectionSystemHeader;
use crate::isobmff::tenc::TrackEncryption;
use crate::media::Track;

pub use cipher::Cipher;
pub use fragment::{FragmentWorker, ProtectError, ProtectedFragment};
pub use ivs::Ivs;
pub use pattern::{NotAPattern, Pattern};
pub use scheme::{SampleScheme, Scheme, UnknownScheme};
pub use whole_segment::SegmentProtection;

/// Bytes of an AES block.
pub const BLOCK_BYTES: usize = 16;

/// What a track is protected with, which holds its key and can't be printed.
pub enum Protection {
    /// Its samples, or the parts of them that the codec says.
    Samples(Box<TrackProtection>),
    /// Its segments, as whole files.
    Segments(SegmentProtection),
}

impl Protection {
    /// How samples are protected, if they are.
    #[must_use]
    pub fn of_samples(&self) -> Option<&TrackProtection> {
        match self {
            Self::Samples(protection) => Some(protection),
            Self::Segments(_) => None,
        }
    }

    /// The key's ID.
    #[must_use]
    pub fn kid(&self) -> Kid {
        match self {
            Self::Samples(protection) => protection.kid,
            Self::Segments(protection) => protection.kid,
        }
    }

    /// The constant IV, or that of the first sample or segment.
    #[must_use]
    pub fn first_iv(&self) -> Iv {
        match self {
            Self::Samples(protection) => protection.ivs.of(0),
            Self::Segments(protection) => protection.iv(0),
        }
    }
}

/// What a track's samples are protected with; its key is in the cipher, and can't be printed.
pub struct TrackProtection {
    /// The scheme.
    pub scheme: SampleScheme,
    /// The key's ID.
    pub kid: Kid,
    /// The IVs of its samples.
    pub ivs: Ivs,
    /// The cipher.
    pub cipher: Cipher,
    /// What other key systems need, beside the box of the common one.
    pub key_systems: Arc<[ProtectionSystemHeader]>,
}

impl TrackProtection {
    /// Protects `track`: under a scheme that has patterns, video by `pattern` over the protected ranges of each sample,
    /// audio as whole samples without one (Apple's authoring specification, 13.7, and what other packagers write).
    #[must_use]
    pub fn new(scheme: SampleScheme, pattern: Pattern, track: &Track, key: &ContentKey, kid: Kid, ivs: Ivs) -> Self {
        let pattern = if scheme.has_pattern() && track.codec.scanner().is_some() {
            pattern
        } else {
            Pattern::ALL
        };
        Self {
            scheme,
            kid,
            ivs,
            cipher: Cipher::new(scheme, key, ivs.constant(), pattern),
            key_systems: Arc::default(),
        }
    }

    /// The `tenc` box that says so.
    #[must_use]
    pub fn tenc(&self) -> TrackEncryption {
        let pattern = self.cipher.pattern();
        TrackEncryption {
            version: self.scheme.tenc_version(),
            crypt_byte_block: pattern.crypt_blocks,
            skip_byte_block: pattern.skip_blocks,
            is_protected: true,
            per_sample_iv_size: self.ivs.size(),
            kid: self.kid,
            constant_iv: self.ivs.constant().map(|iv| iv.0.to_vec()),
        }
    }
}

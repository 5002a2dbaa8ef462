//! `seig`: how samples of a group are encrypted, where it is not as `tenc` says (ISO/IEC 23001-7, 6).

use super::describe;
use super::tenc::TrackEncryption;
use super::{Fault, FourCc, Reader};
use crate::content_key::Kid;

/// The grouping type of `sgpd` and `sbgp`.
pub const GROUPING_TYPE: FourCc = FourCc::new(b"seig");

/// `CencSampleEncryptionInformationGroupEntry`, an entry of `sgpd`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SampleEncryptionGroup {
    /// Encrypted blocks of 16 bytes in each run of the pattern; Chrome refuses a pattern that is not `tenc`'s.
    pub crypt_byte_block: u8,
    /// Clear blocks of 16 bytes behind them.
    pub skip_byte_block: u8,
    /// Whether the samples are protected.
    pub is_protected: bool,
    /// Bytes of the IV stored for each sample: 0, 8 or 16; 0 with a constant IV.
    pub per_sample_iv_size: u8,
    /// The key's ID.
    pub kid: Kid,
    /// 8 or 16 bytes, there exactly where samples are protected and have no IV of their own.
    #[serde(serialize_with = "describe::optional_hex")]
    pub constant_iv: Option<Vec<u8>>,
}

impl SampleEncryptionGroup {
    /// Of samples that are encrypted as a `tenc` would say.
    #[must_use]
    pub fn of(tenc: &TrackEncryption) -> Self {
        Self {
            crypt_byte_block: tenc.crypt_byte_block,
            skip_byte_block: tenc.skip_byte_block,
            is_protected: tenc.is_protected,
            per_sample_iv_size: tenc.per_sample_iv_size,
            kid: tenc.kid,
            constant_iv: tenc.constant_iv.clone(),
        }
    }

    /// Of clear samples in a track with that `tenc`.
    #[must_use]
    pub fn clear(tenc: &TrackEncryption) -> Self {
        Self {
            is_protected: false,
            per_sample_iv_size: 0,
            kid: Kid([0; 16]),
            constant_iv: None,
            ..Self::of(tenc)
        }
    }

    /// What `tenc` would say of such samples, in that version of the box.
    #[must_use]
    pub fn as_tenc(&self, version: u8) -> TrackEncryption {
        TrackEncryption {
            version,
            crypt_byte_block: self.crypt_byte_block,
            skip_byte_block: self.skip_byte_block,
            is_protected: self.is_protected,
            per_sample_iv_size: self.per_sample_iv_size,
            kid: self.kid,
            constant_iv: self.constant_iv.clone(),
        }
    }

    /// Reads an entry.
    ///
    /// # Errors
    /// A [`Fault`] at the byte where reading stopped.
    pub fn parse(entry: &mut Reader<'_>) -> Result<Self, Fault> {
        TrackEncryption::parse_fields(1, entry).map(|tenc| Self::of(&tenc))
    }

    /// The entry.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.as_tenc(1).write_fields(&mut out);
        out
    }
}

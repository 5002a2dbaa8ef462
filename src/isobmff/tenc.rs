//! `tenc`: how a track's samples are encrypted by default (ISO/IEC 23001-7, 8.2).

use super::writer::full_box;
use super::{Fault, FourCc, Reader, TypedBox, describe};
use crate::content_key::Kid;

/// The track encryption box.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct TrackEncryption {
    /// 1 where there is a pattern; a version 0 box on `cbcs` audio crashed Safari.
    pub version: u8,
    /// Encrypted blocks of 16 bytes in each run of the pattern; 0 with `skip_byte_block` 0 for no pattern.
    pub crypt_byte_block: u8,
    /// Clear blocks of 16 bytes behind them.
    pub skip_byte_block: u8,
    /// Whether samples are protected unless a sample group says otherwise.
    pub is_protected: bool,
    /// Bytes of the IV stored for each sample: 0, 8 or 16; 0 with a constant IV.
    pub per_sample_iv_size: u8,
    /// The key's ID.
    pub kid: Kid,
    /// 8 or 16 bytes, there exactly where samples are protected and have no IV of their own.
    #[serde(serialize_with = "describe::optional_hex")]
    pub constant_iv: Option<Vec<u8>>,
}

impl TypedBox for TrackEncryption {
    const TYPE: FourCc = FourCc::new(b"tenc");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        let (version, _) = payload.full_box(1)?;
        Self::parse_fields(version, payload)
    }

    fn write_payload(&self, out: &mut Vec<u8>) {
        full_box(out, self.version, 0);
        self.write_fields(out);
    }
}

impl TrackEncryption {
    /// Reads what stands behind version and flags; an entry of `seig` has the fields of version 1.
    pub(super) fn parse_fields(version: u8, payload: &mut Reader<'_>) -> Result<Self, Fault> {
        payload.u8()?; // reserved
        let pattern = payload.u8()?;
        let (crypt_byte_block, skip_byte_block) = if version == 0 {
            (0, 0)
        } else {
            (pattern >> 4, pattern & 15)
        };
        let is_protected = match payload.u8()? {
            0 => false,
            1 => true,
            other => return Err(payload.invalid(format!("isProtected is {other}; 0 and 1 are known"))),
        };
        let per_sample_iv_size = payload.u8()?;
        if !matches!(per_sample_iv_size, 0 | 8 | 16) {
            return Err(payload.invalid(format!("an IV size of {per_sample_iv_size}; 0, 8 and 16 are allowed")));
        }
        let kid = Kid(payload.array()?);
        let constant_iv = if is_protected && per_sample_iv_size == 0 {
            match payload.u8()? {
                size @ (8 | 16) => Some(payload.bytes(usize::from(size))?.to_vec()),
                size => return Err(payload.invalid(format!("a constant IV of {size} bytes; 8 and 16 are allowed"))),
            }
        } else {
            None
        };
        Ok(Self {
            version,
            crypt_byte_block,
            skip_byte_block,
            is_protected,
            per_sample_iv_size,
            kid,
            constant_iv,
        })
    }

    /// Writes what stands behind version and flags.
    #[expect(clippy::cast_possible_truncation, reason = "an IV has 8 or 16 bytes")]
    pub(super) fn write_fields(&self, out: &mut Vec<u8>) {
        out.push(0);
        out.push(self.crypt_byte_block << 4 | self.skip_byte_block & 15);
        out.push(u8::from(self.is_protected));
        out.push(self.per_sample_iv_size);
        out.extend_from_slice(&self.kid.0);
        if let Some(iv) = &self.constant_iv {
            out.push(iv.len() as u8);
            out.extend_from_slice(iv);
        }
    }
}

//! `stz2`: how large each sample is, in 4, 8 or 16 bits (ISO/IEC 14496-12, 8.7.3.3).

use super::writer::{Put, full_box};
use super::{Fault, FourCc, Reader, TypedBox, describe};

/// Compact sample sizes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct CompactSampleSizes {
    /// Bits of each entry as stored: 4, 8 or 16.
    pub field_bits: u8,
    /// Bytes of each sample.
    #[serde(serialize_with = "describe::table")]
    pub sizes: Vec<u16>,
}

impl TypedBox for CompactSampleSizes {
    const TYPE: FourCc = FourCc::new(b"stz2");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        payload.full_box(0)?;
        payload.u24()?; // reserved
        let field_bits = payload.u8()?;
        let count = payload.u32()? as usize;
        let sizes = match field_bits {
            4 => {
                let bytes = payload.bytes(count.div_ceil(2))?;
                let nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
                nibbles.take(count).map(u16::from).collect()
            }
            8 => payload.bytes(count)?.iter().copied().map(u16::from).collect(),
            16 => {
                let bytes = payload.bytes(count.saturating_mul(2))?;
                bytes
                    .as_chunks::<2>()
                    .0
                    .iter()
                    .map(|size| u16::from_be_bytes(*size))
                    .collect()
            }
            _ => return Err(payload.invalid(format!("a field size of {field_bits} bits; 4, 8 and 16 are allowed"))),
        };
        Ok(Self { field_bits, sizes })
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "the values were read from fields of this size"
    )]
    fn write_payload(&self, out: &mut Vec<u8>) {
        full_box(out, 0, 0);
        out.put_u32(u32::from(self.field_bits));
        out.put_u32(self.sizes.len() as u32);
        match self.field_bits {
            4 => {
                let pairs = self.sizes.chunks(2);
                out.extend(pairs.map(|pair| {
                    let nibble = |i: usize| pair.get(i).map_or(0, |size| *size as u8 & 15);
                    nibble(0) << 4 | nibble(1)
                }));
            }
            8 => out.extend(self.sizes.iter().map(|size| *size as u8)),
            _ => self.sizes.iter().for_each(|size| out.put_u16(*size)),
        }
    }
}

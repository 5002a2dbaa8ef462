//! `dfLa`: what a FLAC stream is (Encapsulation of FLAC in ISO Base Media File Format, 3.3.2).

use super::writer::full_box;
use super::{Fault, FourCc, Reader, TypedBox, describe};

/// Type and length of the block that comes first, `STREAMINFO` (RFC 9639, 8.1 and 8.2).
const STREAMINFO: u8 = 0;
const STREAMINFO_BYTES: u32 = 34;

/// The FLAC specific box.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FlacSpecific {
    /// In Hz.
    pub sample_rate_hz: u32,
    /// One to eight.
    pub channels: u8,
    /// Bits of a sample.
    pub sample_bits: u8,
    /// All metadata blocks.
    #[serde(serialize_with = "describe::hex")]
    blocks: Vec<u8>,
}

impl TypedBox for FlacSpecific {
    const TYPE: FourCc = FourCc::new(b"dfLa");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        payload.full_box(0)?;
        let blocks = payload.clone().rest().to_vec();
        let header = payload.clone();
        // The first bit says whether it is the last block.
        let (block_type, length) = (payload.u8()? & 0x7f, payload.u24()?);
        if (block_type, length) != (STREAMINFO, STREAMINFO_BYTES) {
            let found = format!("begins with a block of type {block_type} and {length} bytes; STREAMINFO is expected");
            return Err(header.invalid(found));
        }
        let mut info = Reader::new(payload.bytes(STREAMINFO_BYTES as usize)?);
        let _block_sizes = info.u32()?;
        let _frame_sizes = info.bytes(6)?;
        // 20 bits of rate, 3 of channels less one, 5 of sample size less one, and the first 4 of the number of samples.
        let [a, b, c, d] = info.array()?;
        payload.rest();
        Ok(Self {
            sample_rate_hz: u32::from_be_bytes([0, a, b, c]) >> 4,
            channels: (c >> 1 & 7) + 1,
            sample_bits: ((c & 1) << 4 | d >> 4) + 1,
            blocks,
        })
    }

    fn write_payload(&self, out: &mut Vec<u8>) {
        full_box(out, 0, 0);
        out.extend_from_slice(&self.blocks);
    }
}

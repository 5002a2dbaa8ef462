//! `stco`: where chunks are (ISO/IEC 14496-12, 8.7.5).

use super::writer::{Put, full_box};
use super::{Fault, FourCc, Reader, TypedBox};

/// Chunk offsets of 32 bits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChunkOffsets {
    /// Bytes from the file's start.
    pub offsets: Vec<u32>,
}

impl TypedBox for ChunkOffsets {
    const TYPE: FourCc = FourCc::new(b"stco");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        payload.full_box(0)?;
        let count = payload.count(4)?;
        let offsets = (0..count).map(|_| payload.u32()).collect::<Result<_, _>>()?;
        Ok(Self { offsets })
    }

    #[expect(clippy::cast_possible_truncation, reason = "the count was read from 32 bits")]
    fn write_payload(&self, out: &mut Vec<u8>) {
        full_box(out, 0, 0);
        out.put_u32(self.offsets.len() as u32);
        for value in &self.offsets {
            out.put_u32(*value);
        }
    }
}

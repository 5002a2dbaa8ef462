//! `stco`: where chunks are (ISO/IEC 14496-12, 8.7.5).

use super::writer::{Put, full_box, table};
use super::{Fault, FourCc, Reader, TypedBox, describe};

/// Chunk offsets of 32 bits.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct ChunkOffsets {
    /// Bytes from the file's start.
    #[serde(serialize_with = "describe::table")]
    pub offsets: Vec<u32>,
}

impl TypedBox for ChunkOffsets {
    const TYPE: FourCc = FourCc::new(b"stco");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        payload.full_box(0)?;
        let offsets = payload.table(4, Reader::u32)?;
        Ok(Self { offsets })
    }

    fn write_payload(&self, out: &mut Vec<u8>) {
        full_box(out, 0, 0);
        table(out, &self.offsets, |out, value| out.put_u32(*value));
    }
}

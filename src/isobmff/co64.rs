//! `co64`: where chunks are, in files over 4 GB (ISO/IEC 14496-12, 8.7.5).

use super::writer::{Put, full_box, table};
use super::{Fault, FourCc, Reader, TypedBox, describe};

/// Chunk offsets of 64 bits.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct LargeChunkOffsets {
    /// Bytes from the file's start.
    #[serde(serialize_with = "describe::table")]
    pub offsets: Vec<u64>,
}

impl TypedBox for LargeChunkOffsets {
    const TYPE: FourCc = FourCc::new(b"co64");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        payload.full_box(0)?;
        let offsets = payload.table(8, Reader::u64)?;
        Ok(Self { offsets })
    }

    fn write_payload(&self, out: &mut Vec<u8>) {
        full_box(out, 0, 0);
        table(out, &self.offsets, |out, value| out.put_u64(*value));
    }
}

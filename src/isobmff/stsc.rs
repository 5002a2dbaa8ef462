//! `stsc`: how samples are grouped into chunks (ISO/IEC 14496-12, 8.7.4).

use super::writer::{Put, full_box, table};
use super::{Fault, FourCc, Reader, TypedBox, describe};

/// Samples in each chunk, run by run.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct SampleToChunk {
    /// In file order.
    #[serde(serialize_with = "describe::table")]
    pub entries: Vec<Entry>,
}

/// One entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Entry {
    /// The run's first chunk; the first chunk is 1.
    pub first_chunk: u32,
    /// Samples in each chunk of the run.
    pub samples_per_chunk: u32,
    /// Which sample entry describes them; the first is 1.
    pub sample_description_index: u32,
}

impl TypedBox for SampleToChunk {
    const TYPE: FourCc = FourCc::new(b"stsc");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        payload.full_box(0)?;
        let entries = payload.table(12, |payload| {
            Ok(Entry {
                first_chunk: payload.u32()?,
                samples_per_chunk: payload.u32()?,
                sample_description_index: payload.u32()?,
            })
        })?;
        Ok(Self { entries })
    }

    fn write_payload(&self, out: &mut Vec<u8>) {
        full_box(out, 0, 0);
        table(out, &self.entries, |out, entry| {
            out.put_u32(entry.first_chunk);
            out.put_u32(entry.samples_per_chunk);
            out.put_u32(entry.sample_description_index);
        });
    }
}

//! `ctts`: how far each sample's presentation lies from its decoding (ISO/IEC 14496-12, 8.6.1.3).

use super::writer::{Put, full_box, table};
use super::{Fault, FourCc, Reader, TypedBox, describe};

/// Composition offsets of samples, run by run; read as signed in version 0 too, because writers store negative ones there.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct CompositionOffsets {
    /// 1 says that offsets are signed.
    pub version: u8,
    /// In file order.
    #[serde(serialize_with = "describe::table")]
    pub entries: Vec<Entry>,
}

/// One entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Entry {
    /// Samples in the run.
    pub sample_count: u32,
    /// Composition time minus decode time, in ticks of the track's timescale.
    pub offset_ticks: i32,
}

impl TypedBox for CompositionOffsets {
    const TYPE: FourCc = FourCc::new(b"ctts");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        let (version, _) = payload.full_box(1)?;
        let entries = payload.table(8, |payload| {
            Ok(Entry {
                sample_count: payload.u32()?,
                offset_ticks: payload.i32()?,
            })
        })?;
        Ok(Self { version, entries })
    }

    fn write_payload(&self, out: &mut Vec<u8>) {
        full_box(out, self.version, 0);
        table(out, &self.entries, |out, entry| {
            out.put_u32(entry.sample_count);
            out.put_i32(entry.offset_ticks);
        });
    }
}

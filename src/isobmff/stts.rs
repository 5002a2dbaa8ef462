//! `stts`: how long each sample lasts (ISO/IEC 14496-12, 8.6.1.2).

use super::writer::{Put, full_box, table};
use super::{Fault, FourCc, Reader, TypedBox, describe};

/// Durations of samples, run by run.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct TimeToSample {
    /// In file order.
    #[serde(serialize_with = "describe::table")]
    pub entries: Vec<Entry>,
}

/// One entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Entry {
    /// Samples in the run.
    pub sample_count: u32,
    /// How long each lasts, in ticks of the track's timescale.
    pub duration_ticks: u32,
}

impl TypedBox for TimeToSample {
    const TYPE: FourCc = FourCc::new(b"stts");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        payload.full_box(0)?;
        let entries = payload.table(8, |payload| {
            Ok(Entry {
                sample_count: payload.u32()?,
                duration_ticks: payload.u32()?,
            })
        })?;
        Ok(Self { entries })
    }

    fn write_payload(&self, out: &mut Vec<u8>) {
        full_box(out, 0, 0);
        table(out, &self.entries, |out, entry| {
            out.put_u32(entry.sample_count);
            out.put_u32(entry.duration_ticks);
        });
    }
}

//! `stss`: which samples are sync samples (ISO/IEC 14496-12, 8.6.2).

use super::writer::{Put, full_box, table};
use super::{Fault, FourCc, Reader, TypedBox, describe};

/// Sync samples; without this box all samples are.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct SyncSamples {
    /// Sample numbers in rising order; the first sample is 1.
    #[serde(serialize_with = "describe::table")]
    pub sample_numbers: Vec<u32>,
}

impl TypedBox for SyncSamples {
    const TYPE: FourCc = FourCc::new(b"stss");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        payload.full_box(0)?;
        let sample_numbers = payload.table(4, Reader::u32)?;
        Ok(Self { sample_numbers })
    }

    fn write_payload(&self, out: &mut Vec<u8>) {
        full_box(out, 0, 0);
        table(out, &self.sample_numbers, |out, value| out.put_u32(*value));
    }
}

//! `mehd`: how long a fragmented presentation is (ISO/IEC 14496-12, 8.8.2).

use super::writer::{Put, full_box};
use super::{Fault, FourCc, Reader, TypedBox};

/// The movie extends header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct MovieExtendsHeader {
    /// 1 stores the duration in 64 bits.
    pub version: u8,
    /// Length of the longest track with its fragments, in ticks of the movie's timescale.
    pub fragment_duration_ticks: u64,
}

impl TypedBox for MovieExtendsHeader {
    const TYPE: FourCc = FourCc::new(b"mehd");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        let (version, _) = payload.full_box(1)?;
        Ok(Self {
            version,
            fragment_duration_ticks: payload.u32_or_u64(version)?,
        })
    }

    fn write_payload(&self, out: &mut Vec<u8>) {
        full_box(out, self.version, 0);
        out.put_u32_or_u64(self.version, self.fragment_duration_ticks);
    }
}

//! `tfdt`: the decode time of a track fragment's first sample (ISO/IEC 14496-12, 8.8.12).

use super::writer::{Put, full_box};
use super::{Fault, FourCc, Reader, TypedBox};

/// The track fragment decode time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct TrackFragmentDecodeTime {
    /// 1 stores the time in 64 bits.
    pub version: u8,
    /// In ticks of the track's timescale.
    pub base_media_decode_time: u64,
}

impl TypedBox for TrackFragmentDecodeTime {
    const TYPE: FourCc = FourCc::new(b"tfdt");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        let (version, _) = payload.full_box(1)?;
        Ok(Self {
            version,
            base_media_decode_time: payload.u32_or_u64(version)?,
        })
    }

    fn write_payload(&self, out: &mut Vec<u8>) {
        full_box(out, self.version, 0);
        out.put_u32_or_u64(self.version, self.base_media_decode_time);
    }
}

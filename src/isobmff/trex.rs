//! `trex`: defaults of a track's fragments (ISO/IEC 14496-12, 8.8.3).

use super::writer::{Put, full_box};
use super::{Fault, FourCc, Reader, TypedBox, describe};

/// Track extends: what a track fragment that says nothing else means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct TrackExtends {
    /// Of which track.
    pub track_id: u32,
    /// The first sample entry is 1.
    pub default_sample_description_index: u32,
    /// In ticks of the track's timescale.
    pub default_sample_duration: u32,
    /// In bytes.
    pub default_sample_size: u32,
    /// See [`super::sample_flags`].
    #[serde(serialize_with = "describe::bits")]
    pub default_sample_flags: u32,
}

impl TypedBox for TrackExtends {
    const TYPE: FourCc = FourCc::new(b"trex");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        payload.full_box(0)?;
        Ok(Self {
            track_id: payload.u32()?,
            default_sample_description_index: payload.u32()?,
            default_sample_duration: payload.u32()?,
            default_sample_size: payload.u32()?,
            default_sample_flags: payload.u32()?,
        })
    }

    fn write_payload(&self, out: &mut Vec<u8>) {
        full_box(out, 0, 0);
        out.put_u32(self.track_id);
        out.put_u32(self.default_sample_description_index);
        out.put_u32(self.default_sample_duration);
        out.put_u32(self.default_sample_size);
        out.put_u32(self.default_sample_flags);
    }
}

//! `tkhd`: facts of one track (ISO/IEC 14496-12, 8.3.2).

use super::writer::{Put, full_box};
use super::{Fault, FourCc, Reader, TypedBox, describe};

/// The track header.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct TrackHeader {
    /// 1 stores times in 64 bits.
    pub version: u8,
    /// `track_enabled` 1, `track_in_movie` 2, `track_in_preview` 4.
    #[serde(serialize_with = "describe::bits")]
    pub flags: u32,
    /// Seconds since 1904.
    pub creation_time: u64,
    /// Seconds since 1904.
    pub modification_time: u64,
    /// Never zero, never used twice.
    pub track_id: u32,
    /// In ticks of the movie's timescale.
    pub duration_ticks: u64,
    /// Reserved fields, `layer`, `alternate_group`, `volume` and `matrix`, as they are.
    #[serde(skip)]
    pub display: [u8; 52],
    /// Width as shown, 16.16 fixed point.
    #[serde(serialize_with = "describe::fixed_16_16")]
    pub width: u32,
    /// Height as shown, 16.16 fixed point.
    #[serde(serialize_with = "describe::fixed_16_16")]
    pub height: u32,
}

impl TypedBox for TrackHeader {
    const TYPE: FourCc = FourCc::new(b"tkhd");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        let (version, flags) = payload.full_box(1)?;
        let creation_time = payload.u32_or_u64(version)?;
        let modification_time = payload.u32_or_u64(version)?;
        let track_id = payload.u32()?;
        if track_id == 0 {
            return Err(payload.invalid("a track ID of 0 is not allowed"));
        }
        payload.u32()?; // reserved
        Ok(Self {
            version,
            flags,
            creation_time,
            modification_time,
            track_id,
            duration_ticks: payload.u32_or_u64(version)?,
            display: payload.array()?,
            width: payload.u32()?,
            height: payload.u32()?,
        })
    }

    fn write_payload(&self, out: &mut Vec<u8>) {
        full_box(out, self.version, self.flags);
        out.put_u32_or_u64(self.version, self.creation_time);
        out.put_u32_or_u64(self.version, self.modification_time);
        out.put_u32(self.track_id);
        out.put_u32(0);
        out.put_u32_or_u64(self.version, self.duration_ticks);
        out.extend_from_slice(&self.display);
        out.put_u32(self.width);
        out.put_u32(self.height);
    }
}

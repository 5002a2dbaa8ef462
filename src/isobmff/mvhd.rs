//! `mvhd`: facts of the whole presentation (ISO/IEC 14496-12, 8.2.2).

use super::writer::{Put, full_box};
use super::{Fault, FourCc, Reader, TypedBox};

/// The movie header.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct MovieHeader {
    /// 1 stores times in 64 bits.
    pub version: u8,
    /// Seconds since 1904.
    pub creation_time: u64,
    /// Seconds since 1904.
    pub modification_time: u64,
    /// Ticks a second of movie times; edit lists count in it.
    pub timescale: u32,
    /// In ticks of `timescale`.
    pub duration_ticks: u64,
    /// `rate`, `volume`, `matrix` and reserved fields, as they are.
    #[serde(skip)]
    pub display: [u8; 76],
    /// Larger than any track's ID.
    pub next_track_id: u32,
}

impl TypedBox for MovieHeader {
    const TYPE: FourCc = FourCc::new(b"mvhd");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        let (version, _) = payload.full_box(1)?;
        Ok(Self {
            version,
            creation_time: payload.u32_or_u64(version)?,
            modification_time: payload.u32_or_u64(version)?,
            timescale: payload.u32()?,
            duration_ticks: payload.u32_or_u64(version)?,
            display: payload.array()?,
            next_track_id: payload.u32()?,
        })
    }

    fn write_payload(&self, out: &mut Vec<u8>) {
        full_box(out, self.version, 0);
        out.put_u32_or_u64(self.version, self.creation_time);
        out.put_u32_or_u64(self.version, self.modification_time);
        out.put_u32(self.timescale);
        out.put_u32_or_u64(self.version, self.duration_ticks);
        out.extend_from_slice(&self.display);
        out.put_u32(self.next_track_id);
    }
}

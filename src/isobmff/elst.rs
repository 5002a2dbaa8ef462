//! `elst`: how a track's media is laid onto the presentation's time (ISO/IEC 14496-12, 8.6.6).

use super::writer::{Put, full_box, table};
use super::{Fault, FourCc, Reader, TypedBox, describe};

/// The edit list.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct EditList {
    /// 1 stores times in 64 bits.
    pub version: u8,
    /// In the order of presentation.
    #[serde(serialize_with = "describe::table")]
    pub edits: Vec<Edit>,
}

/// One edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Edit {
    /// Length in ticks of the movie's timescale; 0 in a fragmented file means all that follows.
    pub duration_ticks: u64,
    /// Where in the media it starts, in ticks of the track's timescale; -1 for an empty edit.
    pub media_time_ticks: i64,
    /// `media_rate`, 16.16 fixed point: 0x10000 is normal speed.
    #[serde(serialize_with = "describe::fixed_16_16")]
    pub rate: u32,
}

impl Edit {
    /// Normal speed.
    pub const NORMAL_RATE: u32 = 0x1_0000;
}

impl TypedBox for EditList {
    const TYPE: FourCc = FourCc::new(b"elst");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        let (version, _) = payload.full_box(1)?;
        let edits = payload.table(if version == 0 { 12 } else { 20 }, |payload| {
            Ok(Edit {
                duration_ticks: payload.u32_or_u64(version)?,
                media_time_ticks: if version == 0 {
                    i64::from(payload.i32()?)
                } else {
                    payload.i64()?
                },
                rate: payload.u32()?,
            })
        })?;
        Ok(Self { version, edits })
    }

    #[expect(clippy::cast_sign_loss, reason = "two's complement")]
    fn write_payload(&self, out: &mut Vec<u8>) {
        full_box(out, self.version, 0);
        table(out, &self.edits, |out, edit| {
            out.put_u32_or_u64(self.version, edit.duration_ticks);
            out.put_u32_or_u64(self.version, edit.media_time_ticks as u64);
            out.put_u32(edit.rate);
        });
    }
}

//! `saio`: where samples' auxiliary information is (ISO/IEC 14496-12, 8.7.9).

use super::writer::{Put, full_box};
use super::{Fault, FourCc, Reader, TypedBox};

/// Sample auxiliary information offsets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuxiliaryOffsets {
    /// 1 stores offsets in 64 bits.
    pub version: u8,
    /// `aux_info_type` and its parameter; without them it is the protection scheme's.
    pub aux_info: Option<(FourCc, u32)>,
    /// One for all samples, or one a run; in a fragment they count from the track fragment's base.
    pub offsets: Vec<u64>,
}

impl TypedBox for AuxiliaryOffsets {
    const TYPE: FourCc = FourCc::new(b"saio");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        let (version, flags) = payload.full_box(1)?;
        let aux_info = if flags & 1 != 0 {
            Some((payload.fourcc()?, payload.u32()?))
        } else {
            None
        };
        let count = payload.count(if version == 0 { 4 } else { 8 })?;
        let offsets = (0..count)
            .map(|_| payload.u32_or_u64(version))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            version,
            aux_info,
            offsets,
        })
    }

    #[expect(clippy::cast_possible_truncation, reason = "the count was read from 32 bits")]
    fn write_payload(&self, out: &mut Vec<u8>) {
        full_box(out, self.version, u32::from(self.aux_info.is_some()));
        if let Some((kind, parameter)) = self.aux_info {
            out.extend_from_slice(&kind.0);
            out.put_u32(parameter);
        }
        out.put_u32(self.offsets.len() as u32);
        for offset in &self.offsets {
            out.put_u32_or_u64(self.version, *offset);
        }
    }
}

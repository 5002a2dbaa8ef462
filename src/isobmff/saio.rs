//! `saio`: where samples' auxiliary information is (ISO/IEC 14496-12, 8.7.9).

use super::writer::{Put, full_box, table};
use super::{Fault, FourCc, Reader, TypedBox, describe};

/// Sample auxiliary information offsets.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct AuxiliaryOffsets {
    /// 1 stores offsets in 64 bits.
    pub version: u8,
    /// `aux_info_type` and its parameter; without them it is the protection scheme's.
    pub aux_info: Option<(FourCc, u32)>,
    /// One for all samples, or one a run; in a fragment they count from the track fragment's base.
    #[serde(serialize_with = "describe::table")]
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
        let offsets = payload.table(if version == 0 { 4 } else { 8 }, |payload| payload.u32_or_u64(version))?;
        Ok(Self {
            version,
            aux_info,
            offsets,
        })
    }

    fn write_payload(&self, out: &mut Vec<u8>) {
        full_box(out, self.version, u32::from(self.aux_info.is_some()));
        if let Some((kind, parameter)) = self.aux_info {
            out.extend_from_slice(&kind.0);
            out.put_u32(parameter);
        }
        table(out, &self.offsets, |out, offset| {
            out.put_u32_or_u64(self.version, *offset);
        });
    }
}

//! `stsz`: how large each sample is (ISO/IEC 14496-12, 8.7.3.2).

use super::writer::{Put, full_box, table};
use super::{Fault, FourCc, Reader, TypedBox, describe};

/// Sample sizes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SampleSizes {
    /// All samples have one size.
    Constant {
        /// Bytes of each.
        size: u32,
        /// How many there are.
        count: u32,
    },
    /// Bytes of each sample.
    Each(#[serde(serialize_with = "describe::table")] Vec<u32>),
}

impl TypedBox for SampleSizes {
    const TYPE: FourCc = FourCc::new(b"stsz");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        payload.full_box(0)?;
        match payload.u32()? {
            0 => Ok(Self::Each(payload.table(4, Reader::u32)?)),
            size => Ok(Self::Constant {
                size,
                count: payload.u32()?,
            }),
        }
    }

    fn write_payload(&self, out: &mut Vec<u8>) {
        full_box(out, 0, 0);
        match self {
            Self::Constant { size, count } => {
                out.put_u32(*size);
                out.put_u32(*count);
            }
            Self::Each(sizes) => {
                out.put_u32(0);
                table(out, sizes, |out, size| out.put_u32(*size));
            }
        }
    }
}

//! `saiz`: how large each sample's auxiliary information is (ISO/IEC 14496-12, 8.7.8).

use super::writer::{Put, full_box};
use super::{Fault, FourCc, Reader, TypedBox, describe};

/// Sample auxiliary information sizes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct AuxiliarySizes {
    /// `aux_info_type` and its parameter; without them it is the protection scheme's.
    pub aux_info: Option<(FourCc, u32)>,
    /// Bytes of each sample's information.
    pub sizes: Sizes,
}

/// One size for all, or one each.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Sizes {
    /// All samples' information has one size, which is not 0.
    Constant {
        /// Bytes.
        size: u8,
        /// Samples.
        count: u32,
    },
    /// Bytes of each sample's information.
    Each(#[serde(serialize_with = "describe::table")] Vec<u8>),
}

impl Sizes {
    /// From the size of each, in the shortest form.
    #[must_use]
    pub fn of(sizes: Vec<u8>) -> Self {
        match sizes.first() {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a fragment's samples are counted in 32 bits"
            )]
            Some(&first) if first != 0 && sizes.iter().all(|size| *size == first) => Self::Constant {
                size: first,
                count: sizes.len() as u32,
            },
            _ => Self::Each(sizes),
        }
    }

    /// How many samples it speaks of.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Constant { count, .. } => *count as usize,
            Self::Each(sizes) => sizes.len(),
        }
    }

    /// Whether it speaks of none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of sample `index`'s information.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<u8> {
        match self {
            Self::Constant { size, count } => (index < *count as usize).then_some(*size),
            Self::Each(sizes) => sizes.get(index).copied(),
        }
    }
}

impl TypedBox for AuxiliarySizes {
    const TYPE: FourCc = FourCc::new(b"saiz");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        let (_, flags) = payload.full_box(0)?;
        let aux_info = if flags & 1 != 0 {
            Some((payload.fourcc()?, payload.u32()?))
        } else {
            None
        };
        let sizes = match payload.u8()? {
            0 => {
                let count = payload.count(1)?;
                Sizes::Each(payload.bytes(count)?.to_vec())
            }
            size => Sizes::Constant {
                size,
                count: payload.u32()?,
            },
        };
        Ok(Self { aux_info, sizes })
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "a fragment's samples are counted in 32 bits"
    )]
    fn write_payload(&self, out: &mut Vec<u8>) {
        full_box(out, 0, u32::from(self.aux_info.is_some()));
        if let Some((kind, parameter)) = self.aux_info {
            out.extend_from_slice(&kind.0);
            out.put_u32(parameter);
        }
        match &self.sizes {
            Sizes::Constant { size, count } => {
                out.push(*size);
                out.put_u32(*count);
            }
            Sizes::Each(sizes) => {
                out.push(0);
                out.put_u32(sizes.len() as u32);
                out.extend_from_slice(sizes);
            }
        }
    }
}

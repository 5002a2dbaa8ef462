//! `ftyp` and `styp`: the brands of a file or segment (ISO/IEC 14496-12, 4.3 and 8.16.2).

use super::writer::Put;
use super::{Fault, FourCc, Reader, TypedBox, describe};

/// What specifications a file claims to follow.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FileType {
    /// `major_brand`.
    pub major_brand: FourCc,
    /// `minor_version`, of the major brand.
    pub minor_version: u32,
    /// `compatible_brands`.
    #[serde(serialize_with = "describe::table")]
    pub compatible_brands: Vec<FourCc>,
}

impl TypedBox for FileType {
    const TYPE: FourCc = FourCc::new(b"ftyp");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        let major_brand = payload.fourcc()?;
        let minor_version = payload.u32()?;
        let mut compatible_brands = Vec::with_capacity(payload.left() / 4);
        while !payload.is_empty() {
            compatible_brands.push(payload.fourcc()?);
        }
        Ok(Self {
            major_brand,
            minor_version,
            compatible_brands,
        })
    }

    fn write_payload(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.major_brand.0);
        out.put_u32(self.minor_version);
        for brand in &self.compatible_brands {
            out.extend_from_slice(&brand.0);
        }
    }
}

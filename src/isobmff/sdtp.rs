//! `sdtp`: which samples depend on which (ISO/IEC 14496-12, 8.6.4).

use super::writer::full_box;
use super::{Fault, FourCc, Reader, TypedBox, describe};

/// Sample dependencies, one byte a sample.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SampleDependencies {
    /// `is_leading`, `sample_depends_on`, `sample_is_depended_on`, `sample_has_redundancy`, 2 bits each;
    /// shifted left by 20 they are the same bits of [`super::sample_flags`].
    #[serde(serialize_with = "describe::table")]
    pub entries: Vec<u8>,
}

impl TypedBox for SampleDependencies {
    const TYPE: FourCc = FourCc::new(b"sdtp");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        payload.full_box(0)?;
        Ok(Self {
            entries: payload.rest().to_vec(),
        })
    }

    fn write_payload(&self, out: &mut Vec<u8>) {
        full_box(out, 0, 0);
        out.extend_from_slice(&self.entries);
    }
}

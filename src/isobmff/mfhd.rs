//! `mfhd`: a movie fragment's number (ISO/IEC 14496-12, 8.8.5).

use super::writer::{Put, full_box};
use super::{Fault, FourCc, Reader, TypedBox};

/// The movie fragment header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct MovieFragmentHeader {
    /// Rises from fragment to fragment.
    pub sequence_number: u32,
}

impl TypedBox for MovieFragmentHeader {
    const TYPE: FourCc = FourCc::new(b"mfhd");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        payload.full_box(0)?;
        Ok(Self {
            sequence_number: payload.u32()?,
        })
    }

    fn write_payload(&self, out: &mut Vec<u8>) {
        full_box(out, 0, 0);
        out.put_u32(self.sequence_number);
    }
}

//! `frma`: the sample entry's type before it was protected (ISO/IEC 14496-12, 8.12.2).

use super::{Fault, FourCc, Reader, TypedBox};

/// The original format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct OriginalFormat {
    /// `avc1`, `mp4a`, ...
    pub data_format: FourCc,
}

impl TypedBox for OriginalFormat {
    const TYPE: FourCc = FourCc::new(b"frma");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        Ok(Self {
            data_format: payload.fourcc()?,
        })
    }

    fn write_payload(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.data_format.0);
    }
}

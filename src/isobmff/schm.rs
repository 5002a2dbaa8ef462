//! `schm`: the protection scheme (ISO/IEC 14496-12, 8.12.5).

use super::writer::{Put, full_box};
use super::{Fault, FourCc, Reader, TypedBox, describe};

/// The scheme type.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SchemeType {
    /// `cbcs`, `cenc`, `cens`, `cbc1`, ...
    pub scheme_type: FourCc,
    /// 0x00010000 for Common Encryption (ISO/IEC 23001-7, 4.1).
    #[serde(serialize_with = "describe::bits")]
    pub scheme_version: u32,
    /// Where to find out more, as it is stored; flags bit 0 says that it is there.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "describe::optional_text")]
    pub scheme_uri: Option<Vec<u8>>,
}

impl TypedBox for SchemeType {
    const TYPE: FourCc = FourCc::new(b"schm");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        let (_, flags) = payload.full_box(0)?;
        Ok(Self {
            scheme_type: payload.fourcc()?,
            scheme_version: payload.u32()?,
            scheme_uri: (flags & 1 != 0).then(|| payload.rest().to_vec()),
        })
    }

    fn write_payload(&self, out: &mut Vec<u8>) {
        full_box(out, 0, u32::from(self.scheme_uri.is_some()));
        out.extend_from_slice(&self.scheme_type.0);
        out.put_u32(self.scheme_version);
        out.extend_from_slice(self.scheme_uri.as_deref().unwrap_or_default());
    }
}

//! `hdlr`: what kind of media a track holds (ISO/IEC 14496-12, 8.4.3).

use super::writer::{Put, full_box};
use super::{Fault, FourCc, Reader, TypedBox, describe};

/// The handler reference.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Handler {
    /// `pre_defined`; `QuickTime` stores `mhlr` here.
    pub pre_defined: u32,
    /// `vide`, `soun`, `text`, `subt`, `meta`, ...
    pub handler_type: FourCc,
    /// Reserved fields and the name, as they are.
    #[serde(rename = "name", serialize_with = "describe_name")]
    pub rest: Vec<u8>,
}

/// The name behind the three reserved fields: ends with a zero byte, or in `QuickTime` starts with its length.
fn describe_name<S: serde::Serializer>(rest: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    const RESERVED_BYTES: usize = 12;
    describe::text(rest.get(RESERVED_BYTES..).unwrap_or_default(), serializer)
}

impl TypedBox for Handler {
    const TYPE: FourCc = FourCc::new(b"hdlr");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        payload.full_box(0)?;
        Ok(Self {
            pre_defined: payload.u32()?,
            handler_type: payload.fourcc()?,
            rest: payload.rest().to_vec(),
        })
    }

    fn write_payload(&self, out: &mut Vec<u8>) {
        full_box(out, 0, 0);
        out.put_u32(self.pre_defined);
        out.extend_from_slice(&self.handler_type.0);
        out.extend_from_slice(&self.rest);
    }
}

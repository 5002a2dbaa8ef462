//! `pssh`: what a key system needs to ask for keys (ISO/IEC 23001-7, 8.1).

use super::writer::{Put, full_box, table};
use super::{Fault, FourCc, Reader, TypedBox, describe};
use crate::content_key::Kid;

/// The W3C Common PSSH box format: nothing but key IDs ("cenc" Initialization Data Format, 4).
pub const COMMON_SYSTEM_ID: [u8; 16] = [
    0x10, 0x77, 0xef, 0xec, 0xc0, 0xb2, 0x4d, 0x02, 0xac, 0xe3, 0x3c, 0x1e, 0x52, 0xe2, 0xfb, 0x4b,
];

/// The protection system specific header.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ProtectionSystemHeader {
    /// Which key system it is for.
    #[serde(serialize_with = "describe::uuid")]
    pub system_id: [u8; 16],
    /// Version 1 lists key IDs; version 0 has none.
    #[serde(serialize_with = "describe::optional_table")]
    pub kids: Option<Vec<Kid>>,
    /// For the key system alone.
    #[serde(serialize_with = "describe::hex")]
    pub data: Vec<u8>,
}

impl TypedBox for ProtectionSystemHeader {
    const TYPE: FourCc = FourCc::new(b"pssh");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        let (version, _) = payload.full_box(1)?;
        let system_id = payload.array()?;
        let kids = if version == 0 {
            None
        } else {
            Some(payload.table(16, |payload| payload.array().map(Kid))?)
        };
        let size = payload.count(1)?;
        Ok(Self {
            system_id,
            kids,
            data: payload.bytes(size)?.to_vec(),
        })
    }

    #[expect(clippy::cast_possible_truncation, reason = "the size is stored in 32 bits")]
    fn write_payload(&self, out: &mut Vec<u8>) {
        full_box(out, u8::from(self.kids.is_some()), 0);
        out.extend_from_slice(&self.system_id);
        if let Some(kids) = &self.kids {
            table(out, kids, |out, kid| out.extend_from_slice(&kid.0));
        }
        out.put_u32(self.data.len() as u32);
        out.extend_from_slice(&self.data);
    }
}

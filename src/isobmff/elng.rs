//! `elng`: a track's language as a BCP 47 tag (ISO/IEC 14496-12, 8.4.6).

use super::writer::full_box;
use super::{Fault, FourCc, Reader, TypedBox};

/// The extended language tag.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ExtendedLanguage {
    /// A BCP 47 tag, e.g. `en-US`.
    pub tag: String,
}

impl TypedBox for ExtendedLanguage {
    const TYPE: FourCc = FourCc::new(b"elng");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        payload.full_box(0)?;
        let position = payload.clone();
        let bytes = payload.rest();
        let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        let valid = !text.is_empty() && text.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
        match (valid, std::str::from_utf8(text)) {
            (true, Ok(tag)) => Ok(Self { tag: tag.to_owned() }),
            _ => Err(position.invalid("not a BCP 47 language tag")),
        }
    }

    fn write_payload(&self, out: &mut Vec<u8>) {
        full_box(out, 0, 0);
        out.extend_from_slice(self.tag.as_bytes());
        out.push(0);
    }
}

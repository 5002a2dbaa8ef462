//! Timed text in MP4 (ISO/IEC 14496-30), which is never encrypted.

use std::sync::Arc;

use super::{Codec, CodecError, OpenError, SampleScanner};
use crate::isobmff::{FourCc, Node};

/// The namespace of TTML, which `stpp` names.
const TTML: &str = "http://www.w3.org/ns/ttml";

/// A track of text whose samples nobody looks into.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Text {
    name: &'static str,
    rfc6381: &'static str,
}

/// Opens `wvtt` (7.5) or `stpp` (14496-12, 12.6.3.2).
///
/// # Errors
/// [`CodecError::Unsupported`] where `stpp` holds other XML than TTML.
pub fn open(format: FourCc, entry: &Node<'_>) -> Result<Arc<dyn Codec>, OpenError> {
    if format.0 == *b"wvtt" {
        return Ok(Arc::new(Text {
            name: "WebVTT",
            rfc6381: "wvtt",
        }));
    }
    let (namespaces, auxiliary_types) = entry.read(|fields| {
        // reserved and data_reference_index
        fields.bytes(8)?;
        let mut strings = fields.rest().split(|byte| *byte == 0);
        let mut next = || String::from_utf8_lossy(strings.next().unwrap_or_default()).into_owned();
        let (namespaces, _schemas) = (next(), next());
        Ok((namespaces, next()))
    })?;
    if !namespaces.split(' ').any(|namespace| namespace == TTML) {
        let feature = format!("'stpp' of {namespaces:.80?} rather than {TTML}");
        return Err(CodecError::Unsupported { codec: "TTML", feature }.into());
    }
    // IMSC 1 has a profile of text and one of images (W3C, "TTML Media Type Definition and Profile Registry").
    let rfc6381 = if auxiliary_types.contains("image/") {
        "stpp.ttml.im1i"
    } else {
        "stpp.ttml.im1t"
    };
    Ok(Arc::new(Text { name: "TTML", rfc6381 }))
}

impl Codec for Text {
    fn name(&self) -> &'static str {
        self.name
    }

    fn rfc6381(&self) -> String {
        self.rfc6381.to_owned()
    }

    fn scanner(&self) -> Option<Box<dyn SampleScanner>> {
        None
    }

    fn is_text(&self) -> bool {
        true
    }
}

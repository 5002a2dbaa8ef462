//! `esds`: what an MPEG-4 elementary stream is (ISO/IEC 14496-14, 5.6; descriptors: ISO/IEC 14496-1, 7.2.6).

use std::ops::Range;

use super::{Fault, FourCc, Reader, TypedBox, describe};

/// Descriptor tags (ISO/IEC 14496-1, table 1).
mod tag {
    pub const ES_DESCRIPTOR: u8 = 0x03;
    pub const DECODER_CONFIG_DESCRIPTOR: u8 = 0x04;
    pub const DECODER_SPECIFIC_INFO: u8 = 0x05;
}

/// The elementary stream descriptor, kept byte by byte.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(into = "Description")]
pub struct ElementaryStreamDescriptor {
    payload: Vec<u8>,
    object_type_indication: u8,
    decoder_specific_info: Option<Range<usize>>,
}

/// What `inspect` shows.
#[derive(serde::Serialize)]
struct Description {
    object_type_indication: u8,
    #[serde(serialize_with = "describe::optional_hex")]
    decoder_specific_info: Option<Vec<u8>>,
}

impl From<ElementaryStreamDescriptor> for Description {
    fn from(esds: ElementaryStreamDescriptor) -> Self {
        Self {
            object_type_indication: esds.object_type_indication,
            decoder_specific_info: esds.decoder_specific_info().map(<[u8]>::to_vec),
        }
    }
}

impl ElementaryStreamDescriptor {
    /// `objectTypeIndication` (ISO/IEC 14496-1, table 5), e.g. 0x40 for MPEG-4 audio.
    #[must_use]
    pub const fn object_type_indication(&self) -> u8 {
        self.object_type_indication
    }

    /// `DecoderSpecificInfo`, e.g. an `AudioSpecificConfig`.
    #[must_use]
    pub fn decoder_specific_info(&self) -> Option<&[u8]> {
        self.payload.get(self.decoder_specific_info.clone()?)
    }
}

impl TypedBox for ElementaryStreamDescriptor {
    const TYPE: FourCc = FourCc::new(b"esds");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        let bytes = payload.clone().rest();
        let start = payload.position();
        payload.full_box(0)?;

        let end = payload.position() + payload.left();
        let end =
            descriptor(payload, tag::ES_DESCRIPTOR, end)?.ok_or_else(|| payload.invalid("has no ES_Descriptor"))?;
        let _es_id = payload.u16()?;
        let flags = payload.u8()?;
        let (stream_dependence_flag, url_flag, ocr_stream_flag) = (flags & 0x80, flags & 0x40, flags & 0x20);
        if stream_dependence_flag != 0 {
            let _depends_on_es_id = payload.u16()?;
        }
        if url_flag != 0 {
            let url_length = payload.u8()?;
            payload.bytes(url_length.into())?;
        }
        if ocr_stream_flag != 0 {
            let _ocr_es_id = payload.u16()?;
        }

        let end = descriptor(payload, tag::DECODER_CONFIG_DESCRIPTOR, end)?
            .ok_or_else(|| payload.invalid("has no DecoderConfigDescriptor"))?;
        let object_type_indication = payload.u8()?;
        let _stream_type_up_stream = payload.u8()?;
        let _buffer_size_db = payload.u24()?;
        let _max_bitrate = payload.u32()?;
        let _avg_bitrate = payload.u32()?;

        // Other descriptors may stand between, such as a profileLevelIndicationIndexDescriptor.
        let decoder_specific_info =
            descriptor(payload, tag::DECODER_SPECIFIC_INFO, end)?.map(|end| payload.position() - start..end - start);
        payload.rest();

        Ok(Self {
            payload: bytes.to_vec(),
            object_type_indication,
            decoder_specific_info,
        })
    }

    fn write_payload(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.payload);
    }
}

/// Goes behind the header of the next descriptor of tag `wanted`, over others, and returns where it ends;
/// `None` if there is none before byte `end`.
fn descriptor(payload: &mut Reader<'_>, wanted: u8, end: usize) -> Result<Option<usize>, Fault> {
    while payload.position() < end {
        let found = payload.u8()?;
        let size = size_of_instance(payload)?;
        let mut behind = payload.clone();
        behind.bytes(size)?;
        if found == wanted {
            return Ok(Some(behind.position()));
        }
        *payload = behind;
    }
    Ok(None)
}

/// `sizeOfInstance` (ISO/IEC 14496-1, 8.3.3): 7 bits a byte, each but the last with its top bit set.
/// Many writers pad it to four bytes.
fn size_of_instance(payload: &mut Reader<'_>) -> Result<usize, Fault> {
    let mut size = 0;
    for _ in 0..4 {
        let byte = payload.u8()?;
        size = size << 7 | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Ok(size);
        }
    }
    Err(payload.invalid("a descriptor's size takes more than four bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isobmff::test_boxes;

    fn parse(hex: &str) -> Result<ElementaryStreamDescriptor, Fault> {
        test_boxes::parse(hex)
    }

    #[test]
    fn ffmpeg_pads_sizes_to_four_bytes() -> Result<(), Fault> {
        let esds = parse(
            "00000000 03 80808025 0002 00 04 80808017 40 15 000000 0001f400 0001f400 \
             05 80808005 119056e500 06 80808001 02",
        )?;
        assert_eq!(esds.object_type_indication(), 0x40);
        assert_eq!(esds.decoder_specific_info(), Some(&[0x11, 0x90, 0x56, 0xe5, 0][..]));
        Ok(())
    }

    #[test]
    fn short_sizes_and_every_optional_field() -> Result<(), Fault> {
        let esds = parse(
            "00000000 03 21 0001 e0 1234 02 6162 5678 04 14 40 15 000000 00000000 00000000 \
             14 01 29 05 02 1210 06 01 02",
        )?;
        assert_eq!(esds.decoder_specific_info(), Some(&[0x12, 0x10][..]));
        Ok(())
    }

    #[test]
    fn mp3_has_no_decoder_specific_info() -> Result<(), Fault> {
        let esds = parse("00000000 03 13 0001 00 04 0d 6b 15 000000 00000000 00000000 06 01 02")?;
        assert_eq!(esds.object_type_indication(), 0x6b);
        assert_eq!(esds.decoder_specific_info(), None);
        Ok(())
    }

    #[test]
    fn damage_is_located() {
        let position = |hex| parse(hex).map_err(|fault| fault.position).expect_err("damaged");
        assert_eq!(position("01000000"), 0);
        assert_eq!(position("00000000"), 4);
        assert_eq!(position("00000000 03 05 0001"), 6, "longer than what holds it");
        assert_eq!(position("00000000 03 8080808001"), 9);
        assert_eq!(position("00000000 03 03 0001 00"), 9, "no DecoderConfigDescriptor");
        assert_eq!(position("00000000 03 06 0001 00 04 01 40"), 12, "an empty one");
    }
}

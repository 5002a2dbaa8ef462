//! `vpcC`: how to decode VP8 or VP9 (VP Codec ISO Media File Format Binding, 1.1, VP Codec Configuration Box).

use super::writer::full_box;
use super::{Fault, FourCc, Problem, Reader, TypedBox, describe};

/// The version that the binding has had since its 1.0; the drafts before it stored other fields.
const VERSION: u8 = 1;

/// The VP codec configuration record.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct VpConfiguration {
    /// 0 to 3.
    pub profile: u8,
    /// Ten times the level: 31 is level 3.1.
    pub level: u8,
    /// Bits of a sample value: 8, 10 or 12.
    pub bit_depth: u8,
    /// 0 is 4:2:0 with vertical chroma, 1 is 4:2:0 colocated with luma, 2 is 4:2:2, 3 is 4:4:4.
    pub chroma_subsampling: u8,
    /// Whether sample values have the full range.
    pub video_full_range_flag: bool,
    /// `ColourPrimaries` (ISO/IEC 23091-2).
    pub colour_primaries: u8,
    /// `TransferCharacteristics` (ISO/IEC 23091-2).
    pub transfer_characteristics: u8,
    /// `MatrixCoefficients` (ISO/IEC 23091-2).
    pub matrix_coefficients: u8,
    /// Nothing for VP8 and VP9.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "describe::hex")]
    codec_initialization_data: Vec<u8>,
}

impl TypedBox for VpConfiguration {
    const TYPE: FourCc = FourCc::new(b"vpcC");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        let start = payload.clone();
        let (version, _) = payload.full_box(VERSION)?;
        if version != VERSION {
            return Err(start.fault(Problem::Version(version)));
        }
        let [
            profile,
            level,
            packed,
            colour_primaries,
            transfer_characteristics,
            matrix_coefficients,
        ] = payload.array()?;
        let codec_initialization_data_size = payload.u16()?;
        Ok(Self {
            profile,
            level,
            bit_depth: packed >> 4,
            chroma_subsampling: packed >> 1 & 0b111,
            video_full_range_flag: packed & 1 == 1,
            colour_primaries,
            transfer_characteristics,
            matrix_coefficients,
            codec_initialization_data: payload.bytes(codec_initialization_data_size.into())?.to_vec(),
        })
    }

    fn write_payload(&self, out: &mut Vec<u8>) {
        full_box(out, VERSION, 0);
        let full_range = u8::from(self.video_full_range_flag);
        out.extend_from_slice(&[
            self.profile,
            self.level,
            self.bit_depth << 4 | self.chroma_subsampling << 1 | full_range,
            self.colour_primaries,
            self.transfer_characteristics,
            self.matrix_coefficients,
        ]);
        #[expect(clippy::cast_possible_truncation, reason = "read with a size of 16 bits")]
        let codec_initialization_data_size = self.codec_initialization_data.len() as u16;
        out.extend_from_slice(&codec_initialization_data_size.to_be_bytes());
        out.extend_from_slice(&self.codec_initialization_data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isobmff::test_boxes;

    fn parse(hex: &str) -> Result<VpConfiguration, Fault> {
        test_boxes::parse(hex)
    }

    #[test]
    fn every_field_has_its_place() -> Result<(), Fault> {
        // The example of the binding's codecs string, vp09.02.10.10.01.09.16.09.01.
        let config = parse("01000000 02 0a a3 09 10 09 0000")?;
        assert_eq!((config.profile, config.level, config.bit_depth), (2, 10, 10));
        assert_eq!((config.chroma_subsampling, config.video_full_range_flag), (1, true));
        assert_eq!(config.colour_primaries, 9);
        assert_eq!(config.transfer_characteristics, 16);
        assert_eq!(config.matrix_coefficients, 9);
        Ok(())
    }

    #[test]
    fn initialization_data_survive() -> Result<(), Fault> {
        assert_eq!(
            parse("01000000 00 0a 82 02 02 02 0002 abcd")?.codec_initialization_data,
            [0xab, 0xcd]
        );
        Ok(())
    }

    #[test]
    fn damage_is_located() {
        let position = |hex| parse(hex).map_err(|fault| fault.position).expect_err("damaged");
        assert_eq!(position("00000000 00 0a 82 02 02 02 0000"), 0, "a draft's version");
        assert_eq!(position("02000000 00 0a 82 02 02 02 0000"), 0, "a later version");
        assert_eq!(position("01000000 00 0a 82 02 02"), 4);
        assert_eq!(position("01000000 00 0a 82 02 02 02 0001"), 12);
    }
}

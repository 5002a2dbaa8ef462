//! `avcC`: how to decode H.264 (ISO/IEC 14496-15, 5.4.2.1; its payload is the
//! `AVCDecoderConfigurationRecord` of 5.3.3.1).

use std::ops::Range;

use super::decoder_configuration::{configuration_version, nal_length_size, nal_units};
use super::{Fault, FourCc, Reader, TypedBox, describe};

/// The decoder configuration record, kept byte by byte.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct AvcConfiguration {
    #[serde(skip)]
    payload: Vec<u8>,
    profile_indication: u8,
    profile_compatibility: u8,
    level_indication: u8,
    nal_length_size: usize,
    #[serde(serialize_with = "describe::count")]
    sps: Vec<Range<usize>>,
    #[serde(serialize_with = "describe::count")]
    pps: Vec<Range<usize>>,
    extension: Option<HighProfileExtension>,
}

/// What a record of the High profiles says behind its parameter sets; some writers leave it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct HighProfileExtension {
    /// `chroma_format`: 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4.
    pub chroma_format: u8,
    /// `bit_depth_luma_minus8` + 8, in bits.
    pub bit_depth_luma: u8,
    /// `bit_depth_chroma_minus8` + 8, in bits.
    pub bit_depth_chroma: u8,
}

impl AvcConfiguration {
    /// `AVCProfileIndication`, the `profile_idc`.
    #[must_use]
    pub const fn profile_indication(&self) -> u8 {
        self.profile_indication
    }

    /// `profile_compatibility`, the constraint flags.
    #[must_use]
    pub const fn profile_compatibility(&self) -> u8 {
        self.profile_compatibility
    }

    /// `AVCLevelIndication`, the `level_idc`.
    #[must_use]
    pub const fn level_indication(&self) -> u8 {
        self.level_indication
    }

    /// Bytes of the length field before each NAL unit of a sample: 1, 2 or 4.
    #[must_use]
    pub const fn nal_length_size(&self) -> usize {
        self.nal_length_size
    }

    /// The sequence parameter set NAL units.
    pub fn sps(&self) -> impl Iterator<Item = &[u8]> {
        self.sps.iter().filter_map(|range| self.payload.get(range.clone()))
    }

    /// The picture parameter set NAL units.
    pub fn pps(&self) -> impl Iterator<Item = &[u8]> {
        self.pps.iter().filter_map(|range| self.payload.get(range.clone()))
    }

    /// All parameter set NAL units that aren't empty, each with its offset in the payload, in bytes.
    pub fn parameter_sets(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let ranges = self.sps.iter().chain(&self.pps).filter(|range| !range.is_empty());
        ranges.filter_map(|range| Some((range.start, self.payload.get(range.clone())?)))
    }

    /// Chroma format and bit depths, where the record states them.
    #[must_use]
    pub const fn extension(&self) -> Option<HighProfileExtension> {
        self.extension
    }
}

impl TypedBox for AvcConfiguration {
    const TYPE: FourCc = FourCc::new(b"avcC");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        let bytes = payload.clone().rest();
        let start = payload.position();

        configuration_version(payload)?;
        let profile_indication = payload.u8()?;
        let profile_compatibility = payload.u8()?;
        let level_indication = payload.u8()?;
        let nal_length_size = nal_length_size(payload)?;
        let num_of_sequence_parameter_sets = payload.u8()? & 0b1_1111;
        let sps = nal_units(payload, num_of_sequence_parameter_sets.into(), start)?;
        let num_of_picture_parameter_sets = payload.u8()?;
        let pps = nal_units(payload, num_of_picture_parameter_sets.into(), start)?;
        // Absent, or something else in its place: either is only kept.
        let extension = match profile_indication {
            66 | 77 | 88 => None,
            _ => HighProfileExtension::parse(&mut payload.clone()).ok(),
        };
        payload.rest();

        Ok(Self {
            payload: bytes.to_vec(),
            profile_indication,
            profile_compatibility,
            level_indication,
            nal_length_size,
            sps,
            pps,
            extension,
        })
    }

    fn write_payload(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.payload);
    }
}

impl HighProfileExtension {
    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        let [
            chroma_format,
            bit_depth_luma_minus8,
            bit_depth_chroma_minus8,
            _num_of_sps_ext,
        ] = payload.array()?;
        Ok(Self {
            chroma_format: chroma_format & 0b11,
            bit_depth_luma: (bit_depth_luma_minus8 & 0b111) + 8,
            bit_depth_chroma: (bit_depth_chroma_minus8 & 0b111) + 8,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isobmff::test_boxes;

    /// x264, High 4:2:2, level 1.1: one parameter set of each kind, and the extension.
    const HIGH_422: &str = "017a000bffe1000467 7a000b 010003 68ee3c fe fa fa 00";

    fn parse(hex: &str) -> Result<AvcConfiguration, Fault> {
        test_boxes::parse(hex)
    }

    #[test]
    fn a_complete_record() -> Result<(), Fault> {
        let config = parse(HIGH_422)?;
        assert_eq!(config.profile_indication(), 122);
        assert_eq!(config.profile_compatibility(), 0);
        assert_eq!(config.level_indication(), 11);
        assert_eq!(config.nal_length_size(), 4);
        assert!(config.sps().eq([[0x67, 0x7a, 0, 0x0b]]));
        assert!(config.pps().eq([[0x68, 0xee, 0x3c]]));
        let positions = config.parameter_sets().map(|(position, nal)| (position, nal.len()));
        assert!(positions.eq([(8, 4), (15, 3)]));
        assert_eq!(
            config.extension(),
            Some(HighProfileExtension {
                chroma_format: 2,
                bit_depth_luma: 10,
                bit_depth_chroma: 10
            })
        );
        Ok(())
    }

    #[test]
    fn the_extension_may_be_absent_and_anything_may_trail() -> Result<(), Fault> {
        assert_eq!(parse("01640028 ff e1 0001 67 01 0001 68")?.extension(), None);
        assert_eq!(parse("01640028 ff e1 0001 67 01 0001 68 fd")?.extension(), None);
        assert_eq!(
            parse("0142c01e ff e1 0001 67 01 0001 68 fd f8 f8 00 ab")?.extension(),
            None
        );
        Ok(())
    }

    #[test]
    fn avc3_may_have_no_parameter_sets_and_reserved_bits_survive() -> Result<(), Fault> {
        let config = parse("0142c01e 01 00 00")?;
        assert_eq!(config.nal_length_size(), 2);
        assert_eq!(config.parameter_sets().count(), 0);
        Ok(())
    }

    #[test]
    fn damage_is_located() {
        let position = |hex| parse(hex).map_err(|fault| fault.position).expect_err("damaged");
        assert_eq!(position("02640028 ff e0 00"), 0);
        assert_eq!(position("01640028 fe e0 00"), 4, "lengths of 3 bytes");
        assert_eq!(position("01640028 ff e1 0002 67"), 8);
        assert_eq!(position("01640028 ff"), 5);
        assert_eq!(position(""), 0);
    }
}

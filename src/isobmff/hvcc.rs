//! `hvcC`: how to decode H.265 (ISO/IEC 14496-15, 8.4.1.1; its payload is the
//! `HEVCDecoderConfigurationRecord` of 8.3.3.1).

use std::ops::Range;

use super::decoder_configuration::{configuration_version, nal_length_size, nal_units};
use super::{Fault, FourCc, Reader, TypedBox, describe};

/// The decoder configuration record, kept byte by byte.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct HevcConfiguration {
    #[serde(skip)]
    payload: Vec<u8>,
    general_profile_space: u8,
    general_tier_flag: bool,
    general_profile_idc: u8,
    general_profile_compatibility_flags: u32,
    #[serde(serialize_with = "describe::hex")]
    general_constraint_indicator_flags: [u8; 6],
    general_level_idc: u8,
    chroma_format_idc: u8,
    bit_depth_luma: u8,
    bit_depth_chroma: u8,
    nal_length_size: usize,
    #[serde(serialize_with = "describe::table")]
    arrays: Vec<NalUnitArray>,
}

/// NAL units of one type.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
struct NalUnitArray {
    /// All NAL units of this type are here, and none in the samples.
    array_completeness: bool,
    nal_unit_type: u8,
    /// Where they stand in the payload.
    #[serde(serialize_with = "describe::count")]
    nal_units: Vec<Range<usize>>,
}

impl HevcConfiguration {
    /// `general_profile_space`, 0 to 3.
    #[must_use]
    pub const fn general_profile_space(&self) -> u8 {
        self.general_profile_space
    }

    /// `general_tier_flag`: High tier rather than Main.
    #[must_use]
    pub const fn general_tier_flag(&self) -> bool {
        self.general_tier_flag
    }

    /// `general_profile_idc`, 0 to 31.
    #[must_use]
    pub const fn general_profile_idc(&self) -> u8 {
        self.general_profile_idc
    }

    /// `general_profile_compatibility_flags`, that of profile 0 in the most significant bit.
    #[must_use]
    pub const fn general_profile_compatibility_flags(&self) -> u32 {
        self.general_profile_compatibility_flags
    }

    /// `general_constraint_indicator_flags`, from the byte with `general_progressive_source_flag` on.
    #[must_use]
    pub const fn general_constraint_indicator_flags(&self) -> [u8; 6] {
        self.general_constraint_indicator_flags
    }

    /// `general_level_idc`: thirty times the level.
    #[must_use]
    pub const fn general_level_idc(&self) -> u8 {
        self.general_level_idc
    }

    /// `chroma_format_idc`: 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4.
    #[must_use]
    pub const fn chroma_format_idc(&self) -> u8 {
        self.chroma_format_idc
    }

    /// `bit_depth_luma_minus8` + 8, in bits.
    #[must_use]
    pub const fn bit_depth_luma(&self) -> u8 {
        self.bit_depth_luma
    }

    /// `bit_depth_chroma_minus8` + 8, in bits.
    #[must_use]
    pub const fn bit_depth_chroma(&self) -> u8 {
        self.bit_depth_chroma
    }

    /// Bytes of the length field before each NAL unit of a sample: 1, 2 or 4.
    #[must_use]
    pub const fn nal_length_size(&self) -> usize {
        self.nal_length_size
    }

    /// All NAL units that aren't empty, each with its offset in the payload, in bytes: parameter sets and SEI.
    pub fn nal_units(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let ranges = self.arrays.iter().flat_map(|array| &array.nal_units);
        let ranges = ranges.filter(|range| !range.is_empty());
        ranges.filter_map(|range| Some((range.start, self.payload.get(range.clone())?)))
    }
}

impl TypedBox for HevcConfiguration {
    const TYPE: FourCc = FourCc::new(b"hvcC");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        let bytes = payload.clone().rest();
        let start = payload.position();

        configuration_version(payload)?;
        let profile = payload.u8()?;
        let general_profile_compatibility_flags = payload.u32()?;
        let general_constraint_indicator_flags = payload.array()?;
        let general_level_idc = payload.u8()?;
        let _min_spatial_segmentation_idc = payload.u16()?;
        let _parallelism_type = payload.u8()?;
        let chroma_format_idc = payload.u8()? & 0b11;
        let bit_depth_luma = (payload.u8()? & 0b111) + 8;
        let bit_depth_chroma = (payload.u8()? & 0b111) + 8;
        let _avg_frame_rate = payload.u16()?;
        // Its upper bits are constantFrameRate, numTemporalLayers and temporalIdNested.
        let nal_length_size = nal_length_size(payload)?;
        let num_of_arrays = payload.u8()?;
        let arrays = (0..num_of_arrays).map(|_| NalUnitArray::parse(payload, start));
        let arrays = arrays.collect::<Result<_, _>>()?;
        payload.rest();

        Ok(Self {
            payload: bytes.to_vec(),
            general_profile_space: profile >> 6,
            general_tier_flag: profile & 0b10_0000 != 0,
            general_profile_idc: profile & 0b1_1111,
            general_profile_compatibility_flags,
            general_constraint_indicator_flags,
            general_level_idc,
            chroma_format_idc,
            bit_depth_luma,
            bit_depth_chroma,
            nal_length_size,
            arrays,
        })
    }

    fn write_payload(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.payload);
    }
}

impl NalUnitArray {
    /// An array of a payload that begins at `start`.
    fn parse(payload: &mut Reader<'_>, start: usize) -> Result<Self, Fault> {
        let kind = payload.u8()?;
        let num_nalus = payload.u16()?;
        Ok(Self {
            array_completeness: kind & 0x80 != 0,
            nal_unit_type: kind & 0b11_1111,
            nal_units: nal_units(payload, num_nalus, start)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isobmff::test_boxes;

    /// x265, Main 10, Main tier, level 2: a VPS, an SPS, two PPS.
    const MAIN_10: &str = "01 02 20000000 900000000000 3c f000 fc fd fa fa 0000 0f 03 \
        a0 0001 0004 40010c01 a1 0001 0003 420101 22 0002 0003 4401c1 0002 4401";

    fn parse(hex: &str) -> Result<HevcConfiguration, Fault> {
        test_boxes::parse(hex)
    }

    #[test]
    fn a_complete_record() -> Result<(), Fault> {
        let config = parse(MAIN_10)?;
        assert_eq!(config.general_profile_space(), 0);
        assert!(!config.general_tier_flag());
        assert_eq!(config.general_profile_idc(), 2);
        assert_eq!(config.general_profile_compatibility_flags(), 0x2000_0000);
        assert_eq!(config.general_constraint_indicator_flags(), [0x90, 0, 0, 0, 0, 0]);
        assert_eq!(config.general_level_idc(), 60);
        assert_eq!(config.chroma_format_idc(), 1);
        assert_eq!((config.bit_depth_luma(), config.bit_depth_chroma()), (10, 10));
        assert_eq!(config.nal_length_size(), 4);
        let positions = config.nal_units().map(|(position, nal)| (position, nal.len()));
        assert!(positions.eq([(28, 4), (37, 3), (45, 3), (50, 2)]));
        let types = config
            .arrays
            .iter()
            .map(|array| (array.nal_unit_type, array.array_completeness));
        assert!(types.eq([(32, true), (33, true), (34, false)]));
        Ok(())
    }

    #[test]
    fn profile_space_and_tier_share_a_byte() -> Result<(), Fault> {
        let config = parse("01 a4 82000000 b02300000000 3f f000 fc fc f8 f8 0000 0c 00")?;
        assert_eq!(config.general_profile_space(), 2);
        assert!(config.general_tier_flag());
        assert_eq!(config.general_profile_idc(), 4);
        assert_eq!(config.nal_length_size(), 1);
        Ok(())
    }

    #[test]
    fn hev1_may_have_no_parameter_sets_and_anything_may_trail() -> Result<(), Fault> {
        let config = parse("01 01 60000000 900000000000 3c 0000 00 00 00 00 1234 4d 01 21 0001 0000 ab cd")?;
        assert_eq!(config.nal_length_size(), 2);
        assert_eq!(config.nal_units().count(), 0, "an empty NAL unit is none");
        Ok(())
    }

    #[test]
    fn damage_is_located() {
        let position = |hex: &str| parse(hex).map_err(|fault| fault.position).expect_err("damaged");
        let fields = "01 01 60000000 900000000000 3c f000 fc fd f8 f8 0000";
        assert_eq!(position("00 01"), 0);
        assert_eq!(position(&format!("{fields} 0e 00")), 21, "lengths of 3 bytes");
        assert_eq!(position(&format!("{fields} 0f 01 a1 0001 0002 42")), 28);
        assert_eq!(position(&format!("{fields} 0f 01 a1 ffff 0001 42")), 29);
        assert_eq!(position(&format!("{fields} 0f")), 22);
        assert_eq!(position(""), 0);
    }
}

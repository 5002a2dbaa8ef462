//! `av1C`: how to decode AV1 (AV1-ISOBMFF, 2.3; its payload is the `AV1CodecConfigurationRecord`).

use super::{Fault, FourCc, Problem, Reader, TypedBox};

/// Bytes in front of `configOBUs`.
const FIELDS_BYTES: usize = 4;

/// The codec configuration record, kept byte by byte.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Av1Configuration {
    #[serde(rename = "config_obus_bytes", serialize_with = "describe_config_obus")]
    payload: Vec<u8>,
    seq_profile: u8,
    seq_level_idx_0: u8,
    seq_tier_0: u8,
    high_bitdepth: bool,
    twelve_bit: bool,
    monochrome: bool,
    chroma_subsampling_x: u8,
    chroma_subsampling_y: u8,
    chroma_sample_position: u8,
    initial_presentation_delay_minus_one: Option<u8>,
}

impl Av1Configuration {
    /// `seq_profile`: 0 Main, 1 High, 2 Professional.
    #[must_use]
    pub const fn seq_profile(&self) -> u8 {
        self.seq_profile
    }

    /// `seq_level_idx_0`, of the first operating point: 4 is level 3.0.
    #[must_use]
    pub const fn seq_level_idx_0(&self) -> u8 {
        self.seq_level_idx_0
    }

    /// `seq_tier_0`: 0 Main, 1 High.
    #[must_use]
    pub const fn seq_tier_0(&self) -> u8 {
        self.seq_tier_0
    }

    /// `BitDepth` by `high_bitdepth` and `twelve_bit`, in bits (AV1, 5.5.2).
    #[must_use]
    pub const fn bit_depth(&self) -> u8 {
        match (self.high_bitdepth, self.twelve_bit) {
            (false, _) => 8,
            (true, true) if self.seq_profile == 2 => 12,
            (true, _) => 10,
        }
    }

    /// `monochrome`: there are no chroma planes.
    #[must_use]
    pub const fn monochrome(&self) -> bool {
        self.monochrome
    }

    /// `chroma_subsampling_x` and `chroma_subsampling_y`: 1 and 1 is 4:2:0.
    #[must_use]
    pub const fn chroma_subsampling(&self) -> (u8, u8) {
        (self.chroma_subsampling_x, self.chroma_subsampling_y)
    }

    /// `chroma_sample_position` (AV1, 6.4.2): 0 unknown, 1 vertical, 2 colocated.
    #[must_use]
    pub const fn chroma_sample_position(&self) -> u8 {
        self.chroma_sample_position
    }

    /// `configOBUs`: OBUs that hold for all samples, the sequence header among them if there is any.
    #[must_use]
    pub fn config_obus(&self) -> &[u8] {
        self.payload.get(FIELDS_BYTES..).unwrap_or_default()
    }

    /// Where [`config_obus`](Self::config_obus) begins in the payload, in bytes.
    #[must_use]
    pub const fn config_obus_position(&self) -> usize {
        FIELDS_BYTES
    }
}

/// The number of bytes of `configOBUs`.
fn describe_config_obus<S: serde::Serializer>(payload: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(payload.len().saturating_sub(FIELDS_BYTES) as u64)
}

impl TypedBox for Av1Configuration {
    const TYPE: FourCc = FourCc::new(b"av1C");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        let bytes = payload.clone().rest();
        let start = payload.clone();
        let [marker_and_version, profile_and_level, flags, delay] = payload.array()?;
        if marker_and_version & 0x80 == 0 {
            return Err(start.invalid("marker is 0, expected 1"));
        }
        let version = marker_and_version & 0x7f;
        if version != 1 {
            return Err(start.fault(Problem::Version(version)));
        }
        payload.rest();
        let bit = |shift: u8| flags >> shift & 1;
        Ok(Self {
            payload: bytes.to_vec(),
            seq_profile: profile_and_level >> 5,
            seq_level_idx_0: profile_and_level & 0b1_1111,
            seq_tier_0: bit(7),
            high_bitdepth: bit(6) == 1,
            twelve_bit: bit(5) == 1,
            monochrome: bit(4) == 1,
            chroma_subsampling_x: bit(3),
            chroma_subsampling_y: bit(2),
            chroma_sample_position: flags & 0b11,
            initial_presentation_delay_minus_one: (delay >> 4 & 1 == 1).then_some(delay & 0xf),
        })
    }

    fn write_payload(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.payload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isobmff::test_boxes;

    fn parse(hex: &str) -> Result<Av1Configuration, Fault> {
        test_boxes::parse(hex)
    }

    #[test]
    fn a_complete_record() -> Result<(), Fault> {
        // Professional, level 5.1, High tier, 12 bits, 4:2:2, a delay of 3 frames, and a temporal delimiter.
        let config = parse("81 4d e8 12 1200")?;
        assert_eq!(config.seq_profile(), 2);
        assert_eq!(config.seq_level_idx_0(), 13);
        assert_eq!(config.seq_tier_0(), 1);
        assert_eq!(config.bit_depth(), 12);
        assert!(!config.monochrome());
        assert_eq!(config.chroma_subsampling(), (1, 0));
        assert_eq!(config.chroma_sample_position(), 0);
        assert_eq!(config.initial_presentation_delay_minus_one, Some(2));
        assert_eq!(config.config_obus(), [0x12, 0]);
        Ok(())
    }

    #[test]
    fn bit_depths_are_those_of_the_profile() -> Result<(), Fault> {
        assert_eq!(parse("81 04 0c 00")?.bit_depth(), 8);
        assert_eq!(parse("81 04 4c 00")?.bit_depth(), 10);
        assert_eq!(parse("81 44 4c 00")?.bit_depth(), 10);
        assert_eq!(
            parse("81 04 6c 00")?.bit_depth(),
            10,
            "twelve_bit is read in profile 2 alone"
        );
        Ok(())
    }

    #[test]
    fn there_may_be_no_obus_and_reserved_bits_survive() -> Result<(), Fault> {
        let config = parse("81 00 1d e0")?;
        assert!(config.config_obus().is_empty());
        assert!(config.monochrome());
        assert_eq!(config.chroma_sample_position(), 1);
        assert_eq!(config.initial_presentation_delay_minus_one, None);
        Ok(())
    }

    #[test]
    fn damage_is_located() {
        let position = |hex| parse(hex).map_err(|fault| fault.position).expect_err("damaged");
        assert_eq!(position("01 00 0c 00"), 0, "no marker");
        assert_eq!(position("82 00 0c 00"), 0, "another version");
        assert_eq!(position("81 00 0c"), 0);
        assert_eq!(position(""), 0);
    }
}

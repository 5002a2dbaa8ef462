//! `dvcC` and `dvvC`: what Dolby Vision a track carries (Dolby Vision Streams Within the ISO Base Media File Format, "Dolby Vision
//! configuration boxes"; the payload of both is the `DOVIDecoderConfigurationRecord`). `dvcC` is for profiles up to 7.

use super::{Fault, FourCc, Reader, TypedBox};

/// The decoder configuration record. The names are those of Dolby's document.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DolbyVisionConfiguration {
    /// Of the specification that the stream complies with.
    pub dv_version_major: u8,
    /// Of the same.
    pub dv_version_minor: u8,
    /// 0 to 127; 5 and 8 are those of H.265 in one layer.
    pub dv_profile: u8,
    /// 0 to 63: how large and fast the pictures are.
    pub dv_level: u8,
    /// Whether samples have metadata for the renderer.
    pub rpu_present_flag: bool,
    /// Whether the track has an enhancement layer.
    pub el_present_flag: bool,
    /// Whether the track has a base layer.
    pub bl_present_flag: bool,
    /// What the base layer is to players that know no Dolby Vision, 0 to 15: 0 nothing, 1 HDR10, 2 SDR, 4 HLG.
    pub dv_bl_signal_compatibility_id: u8,
    /// How the metadata is compressed, 0 to 3; older versions have reserved bits there.
    pub dv_md_compression: u8,
    /// The bits behind it in its byte, which are reserved.
    #[serde(skip)]
    reserved_bits: u8,
    /// What follows, which is reserved.
    #[serde(skip)]
    reserved: Vec<u8>,
}

/// The box of profiles above 7, which is read as [`DolbyVisionConfiguration`] too.
pub const DVVC: FourCc = FourCc::new(b"dvvC");

impl TypedBox for DolbyVisionConfiguration {
    const TYPE: FourCc = FourCc::new(b"dvcC");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        let [dv_version_major, dv_version_minor] = payload.array()?;
        let [profile, level, compatibility] = payload.array()?;
        Ok(Self {
            dv_version_major,
            dv_version_minor,
            dv_profile: profile >> 1,
            dv_level: (profile & 1) << 5 | level >> 3,
            rpu_present_flag: level & 0b100 != 0,
            el_present_flag: level & 0b10 != 0,
            bl_present_flag: level & 1 != 0,
            dv_bl_signal_compatibility_id: compatibility >> 4,
            dv_md_compression: compatibility >> 2 & 0b11,
            reserved_bits: compatibility & 0b11,
            reserved: payload.rest().to_vec(),
        })
    }

    fn write_payload(&self, out: &mut Vec<u8>) {
        let flags = [self.rpu_present_flag, self.el_present_flag, self.bl_present_flag];
        let flags = flags.iter().fold(0, |flags, flag| flags << 1 | u8::from(*flag));
        out.extend_from_slice(&[
            self.dv_version_major,
            self.dv_version_minor,
            self.dv_profile << 1 | self.dv_level >> 5 & 1,
            self.dv_level << 3 | flags,
            self.dv_bl_signal_compatibility_id << 4 | self.dv_md_compression << 2 & 0b1100 | self.reserved_bits & 0b11,
        ]);
        out.extend_from_slice(&self.reserved);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isobmff::test_boxes;

    fn parse(hex: &str) -> Result<DolbyVisionConfiguration, Fault> {
        test_boxes::parse(hex)
    }

    #[test]
    fn fields_share_bytes() -> Result<(), Fault> {
        // Version 1.0, profile 8, level 6, metadata and a base layer that is HLG.
        let config = parse("01 00 10 35 40 00000000 00000000 00000000 00000000 000000")?;
        assert_eq!((config.dv_version_major, config.dv_version_minor), (1, 0));
        assert_eq!((config.dv_profile, config.dv_level), (8, 6));
        let flags = [config.rpu_present_flag, config.el_present_flag, config.bl_present_flag];
        assert_eq!(flags, [true, false, true]);
        assert_eq!(config.dv_bl_signal_compatibility_id, 4);
        assert_eq!(config.dv_md_compression, 0);
        // Everything there is, reserved bits too.
        let config = parse("ff fe fd fb fd 12")?;
        assert_eq!((config.dv_profile, config.dv_level), (126, 63));
        let flags = [config.rpu_present_flag, config.el_present_flag, config.bl_present_flag];
        assert_eq!(flags, [false, true, true]);
        assert_eq!(
            (config.dv_bl_signal_compatibility_id, config.dv_md_compression),
            (15, 3)
        );
        Ok(())
    }

    #[test]
    fn damage_is_located() {
        let position = |hex| parse(hex).map_err(|fault| fault.position).expect_err("damaged");
        assert_eq!(position("01"), 0);
        assert_eq!(position("01 00 0a 35"), 2);
    }
}

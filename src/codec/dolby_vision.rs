//! Dolby Vision on H.265: profile 5, which no other player shows, and profile 8, whose base layer all players of H.265 show
//! (Dolby Vision Profiles and Levels; Dolby Vision Streams Within the ISO Base Media File Format, and the same Within the HTTP
//! Live Streaming Format).
//!
//! Samples are those of H.265. What the renderer is told are NAL units of type 62 in them, which stay clear as all that are no
//! slices.

use super::{CodecError, OpenError};
use crate::isobmff::dvcc::{DVVC, DolbyVisionConfiguration};
use crate::isobmff::{FourCc, Node, TypedBox as _};

const NAME: &str = "Dolby Vision";

/// Sample entry of H.265 as `hvc1` is, for players of Dolby Vision alone.
pub const DVH1: FourCc = FourCc::new(b"dvh1");
/// The same as `hev1` is.
pub const DVHE: FourCc = FourCc::new(b"dvhe");

/// The profile whose colours (`IPTPQc2`) are those of no other format.
const INCOMPATIBLE_PROFILE: u8 = 5;

/// `TransferCharacteristics` of perceptual quantization (ISO/IEC 23091-2).
const PQ: u8 = 16;

/// `TransferCharacteristics` of BT.2020 with 10 bits, by which HLG calls itself for players that don't know it.
const BT2020_10: u8 = 14;

/// The file's brand (Dolby Vision Streams Within the ISO Base Media File Format, "File type box").
const BRAND: FourCc = FourCc::new(b"dby1");

/// What a sample entry says of Dolby Vision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DolbyVision {
    /// `dvh1` or `dvhe`.
    codec: FourCc,
    /// Whether the sample entry is of this type too, and not one of H.265.
    is_sample_entry: bool,
    config: DolbyVisionConfiguration,
}

impl DolbyVision {
    /// From the `dvcC` or `dvvC` of a sample entry of type `format`; `None` where it is of H.265 and has neither.
    ///
    /// # Errors
    /// [`OpenError::Box`] where the box is damaged, or missing in a sample entry of Dolby Vision; [`OpenError::Codec`] for
    /// several layers, and for pictures that players of the sample entry would show wrong.
    pub fn find(format: FourCc, entry: &Node<'_>) -> Result<Option<Self>, OpenError> {
        let is_sample_entry = [DVH1, DVHE].contains(&format);
        let found = entry.child(&DVVC.0);
        let found = found.or_else(|| entry.child(&DolbyVisionConfiguration::TYPE.0));
        let Some(node) = found else {
            if is_sample_entry {
                let what = format!("a sample entry '{format}' without 'dvcC' or 'dvvC', which say the profile");
                return Err(entry.invalid(what).into());
            }
            return Ok(None);
        };
        let config: DolbyVisionConfiguration = node.parse()?;
        let profile = config.dv_profile;
        // Of a second layer no rule here tells what is protected.
        let layers = match (config.el_present_flag, config.bl_present_flag) {
            (true, _) => Some("an enhancement layer"),
            (_, false) => Some("a track without a base layer"),
            (false, true) => None,
        };
        if let Some(layers) = layers {
            return Err(CodecError::Unsupported {
                codec: NAME,
                feature: format!(
                    "{layers} (by '{}', profile {profile}), instead of one layer as in profiles 5 and 8,",
                    node.kind
                ),
            }
            .into());
        }
        let codec = if format.0 == *b"hev1" || format == DVHE {
            DVHE
        } else {
            DVH1
        };
        if profile == INCOMPATIBLE_PROFILE && !is_sample_entry {
            return Err(CodecError::Malformed {
                codec: NAME,
                what: "configuration box",
                position: 2,
                problem: format!(
                    "profile {profile} in a sample entry '{format}', whose players would show wrong colours; \
                     remux it to '{codec}' (ffmpeg: -c copy -tag:v {codec} -strict unofficial)"
                ),
            }
            .into());
        }
        Ok(Some(Self {
            codec,
            is_sample_entry,
            config,
        }))
    }

    /// The RFC 6381 string where the sample entry is one of Dolby Vision: `dvh1.05.06` (Dolby Vision Streams Within the HTTP
    /// Live Streaming Format).
    #[must_use]
    pub fn rfc6381(&self) -> Option<String> {
        self.is_sample_entry.then(|| self.profile_and_level())
    }

    /// `SUPPLEMENTAL-CODECS` of a playlist where the sample entry is one of H.265 (RFC 8216bis, 4.4.6.2): `dvh1.08.06/db4h`.
    ///
    /// `transfer_characteristics` are those of the base layer.
    #[must_use]
    pub fn supplemental_codecs(&self, transfer_characteristics: Option<u8>) -> Option<String> {
        let brand = self.compatibility_brand(transfer_characteristics)?;
        (!self.is_sample_entry).then(|| format!("{}/{brand}", self.profile_and_level()))
    }

    /// The brands of a file with this track.
    #[must_use]
    pub fn brands(&self, transfer_characteristics: Option<u8>) -> Vec<FourCc> {
        let compatibility = self.compatibility_brand(transfer_characteristics);
        [BRAND].into_iter().chain(compatibility).collect()
    }

    /// `TransferCharacteristics`, where it is not the base layer's, whose headers don't say it in profile 5.
    #[must_use]
    pub fn transfer_characteristics(&self) -> Option<u8> {
        (self.config.dv_profile == INCOMPATIBLE_PROFILE).then_some(PQ)
    }

    fn profile_and_level(&self) -> String {
        let DolbyVisionConfiguration {
            dv_profile, dv_level, ..
        } = self.config;
        format!("{}.{dv_profile:02}.{dv_level:02}", self.codec)
    }

    /// What the base layer is by itself, as MP4RA's list of brands names it.
    fn compatibility_brand(&self, transfer_characteristics: Option<u8>) -> Option<FourCc> {
        let brand = match (self.config.dv_bl_signal_compatibility_id, transfer_characteristics) {
            (1, _) => b"db1p",
            (2, _) => b"db2g",
            (4, Some(BT2020_10)) => b"db4g",
            (4, _) => b"db4h",
            _ => return None,
        };
        Some(FourCc::new(brand))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a sample entry with such a box says: the box's first bytes are `hex`.
    fn find(format: [u8; 4], kind: [u8; 4], hex: &str) -> Result<Option<DolbyVision>, String> {
        let mut payload = hex::decode(hex.replace(' ', "")).expect("hexadecimal");
        payload.resize(24, 0);
        let config = Node::leaf(FourCc(kind), payload);
        let entry = Node::container(FourCc(format), vec![config]);
        DolbyVision::find(FourCc(format), &entry).map_err(|error| error.to_string())
    }

    fn found(format: [u8; 4], kind: [u8; 4], hex: &str) -> DolbyVision {
        find(format, kind, hex).expect("supported").expect("there")
    }

    #[test]
    fn profile_5_is_a_codec_of_its_own() {
        for (format, codecs) in [(b"dvh1", "dvh1.05.06"), (b"dvhe", "dvhe.05.06")] {
            let dolby_vision = found(*format, *b"dvcC", "0100 0a35 00");
            assert_eq!(dolby_vision.rfc6381().as_deref(), Some(codecs));
            assert_eq!(dolby_vision.supplemental_codecs(None), None);
            assert_eq!(dolby_vision.transfer_characteristics(), Some(16));
            assert_eq!(dolby_vision.brands(None), [BRAND]);
        }
    }

    #[test]
    fn profile_8_stands_beside_its_base_layer() {
        for (format, compatible, transfer, codecs) in [
            (b"hvc1", "10", Some(16), Some("dvh1.08.39/db1p")),
            (b"hvc1", "20", Some(1), Some("dvh1.08.39/db2g")),
            (b"hvc1", "40", Some(18), Some("dvh1.08.39/db4h")),
            (b"hev1", "40", Some(14), Some("dvhe.08.39/db4g")),
            (b"hev1", "40", None, Some("dvhe.08.39/db4h")),
            // What the base layer is, is not said.
            (b"hvc1", "00", None, None),
        ] {
            let dolby_vision = found(*format, *b"dvvC", &format!("0100 113d {compatible}"));
            assert_eq!(dolby_vision.rfc6381(), None);
            assert_eq!(dolby_vision.supplemental_codecs(transfer).as_deref(), codecs);
            assert_eq!(dolby_vision.transfer_characteristics(), None);
            let brands = dolby_vision.brands(transfer);
            let brands: Vec<String> = brands.iter().map(ToString::to_string).collect();
            let expected = codecs.and_then(|codecs| codecs.split('/').nth(1));
            assert_eq!(brands, ["dby1"].into_iter().chain(expected).collect::<Vec<_>>());
        }
        // In a sample entry of its own, other players see none.
        let alone = found(*b"dvh1", *b"dvvC", "0100 1035 10");
        assert_eq!(alone.rfc6381().as_deref(), Some("dvh1.08.06"));
        assert_eq!(alone.supplemental_codecs(Some(16)), None);
    }

    #[test]
    fn what_players_would_show_wrong_is_refused() {
        let error = |format, kind, hex| find(format, kind, hex).expect_err("refused");
        assert_eq!(
            error(*b"hvc1", *b"dvcC", "0100 0e37 60"),
            "Dolby Vision: an enhancement layer (by 'dvcC', profile 7), instead of one layer as in profiles 5 and 8, \
             is not supported yet"
        );
        assert!(error(*b"dvhe", *b"dvcC", "0100 0e36 60").contains("an enhancement layer"));
        assert!(error(*b"dvhe", *b"dvcC", "0100 0834 00").contains("without a base layer (by 'dvcC', profile 4)"));
        assert_eq!(
            error(*b"hev1", *b"dvcC", "0100 0a35 00"),
            "Dolby Vision: profile 5 in a sample entry 'hev1', whose players would show wrong colours; \
             remux it to 'dvhe' (ffmpeg: -c copy -tag:v dvhe -strict unofficial), at byte 2 of the configuration box"
        );
        assert!(
            error(*b"dvh1", *b"free", "")
                .ends_with("a sample entry 'dvh1' without 'dvcC' or 'dvvC', which say the profile")
        );
        assert_eq!(find(*b"hvc1", *b"free", ""), Ok(None));
    }
}

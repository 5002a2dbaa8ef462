//! What the strings of `CODECS` name (RFC 6381; ISO/IEC 14496-15, annex E; AV1-ISOBMFF, 5; Dolby Vision Streams Within the HLS
//! Format, 2).

/// A codec, as a string names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// H.264: `profile_idc` and ten times the level.
    H264 {
        /// 66 Baseline, 77 Main, 100 High.
        profile: u8,
        /// Ten times the level.
        level: u8,
    },
    /// HEVC.
    Hevc {
        /// `general_profile_idc`: 1 Main, 2 Main 10.
        profile: u8,
        /// Whether it is of the High tier.
        is_high_tier: bool,
        /// Thirty times the level.
        level: u8,
    },
    /// Dolby Vision, by a sample entry of its own.
    DolbyVision {
        /// 5 on HEVC, 10 on AV1, 20 on MV-HEVC.
        profile: u8,
        /// From 1 on.
        level: u8,
    },
    /// AV1.
    Av1 {
        /// `seq_level_idx`: 8 for level 4.0, 18 for 6.2.
        level: u8,
    },
    /// Motion JPEG, for I-frames.
    MotionJpeg,
    /// Video of another codec.
    OtherVideo,
    /// AAC-LC, HE-AAC v1 or v2.
    Aac,
    /// xHE-AAC.
    XheAac,
    /// Dolby Digital.
    Ac3,
    /// Dolby Digital Plus.
    Eac3,
    /// Apple Lossless or FLAC.
    Lossless,
    /// MP3.
    Mp3,
    /// Apple Positional Audio Codec.
    Apac,
    /// Audio of another codec.
    OtherAudio,
    /// Subtitles.
    Text,
    /// Nothing that is known here.
    Unknown,
}

impl Named {
    /// Reads one entry of `CODECS`.
    pub fn of(text: &str) -> Self {
        let mut parts = text.split('.');
        let format = parts.next().unwrap_or_default();
        let parts: Vec<&str> = parts.collect();
        let decimal = |index: usize| parts.get(index).and_then(|part| part.parse::<u8>().ok());
        let hex = |range: std::ops::Range<usize>| {
            let digits = parts.first()?.get(range)?;
            u8::from_str_radix(digits, 16).ok()
        };
        match format {
            "avc1" | "avc3" => match (hex(0..2), hex(4..6)) {
                (Some(profile), Some(level)) => Self::H264 { profile, level },
                // The older form in decimals, `avc1.77.30`.
                _ => match (decimal(0), decimal(1)) {
                    (Some(profile), Some(level)) => Self::H264 { profile, level },
                    _ => Self::Unknown,
                },
            },
            "hvc1" | "hev1" => {
                let profile = parts
                    .first()
                    .and_then(|profile| profile.trim_start_matches(['A', 'B', 'C']).parse().ok());
                let tier = parts.get(2).and_then(|tier| tier.split_at_checked(1));
                match (
                    profile,
                    tier.and_then(|(tier, level)| Some((tier, level.parse().ok()?))),
                ) {
                    (Some(profile), Some((tier, level))) => Self::Hevc {
                        profile,
                        is_high_tier: tier == "H",
                        level,
                    },
                    _ => Self::Unknown,
                }
            }
            "dvh1" | "dvhe" | "dav1" | "dva1" | "dvav" => match (decimal(0), decimal(1)) {
                (Some(profile), Some(level)) => Self::DolbyVision { profile, level },
                _ => Self::Unknown,
            },
            "av01" => {
                let level = parts
                    .get(1)
                    .and_then(|level| level.trim_end_matches(['M', 'H']).parse().ok());
                level.map_or(Self::Unknown, |level| Self::Av1 { level })
            }
            "mjpg" => Self::MotionJpeg,
            "vp08" | "vp09" | "vp8" | "vp9" | "vvc1" | "vvi1" | "mp4v" => Self::OtherVideo,
            // Object types of ISO/IEC 14496-3, 1.5.1.1: AAC-LC, SBR, PS; USAC; and MP3.
            "mp4a" => match (parts.first().copied(), decimal(1)) {
                (Some("40"), Some(2 | 5 | 29)) => Self::Aac,
                (Some("40"), Some(42)) => Self::XheAac,
                (Some("40"), Some(34)) | (Some("69" | "6B" | "6b"), _) => Self::Mp3,
                _ => Self::OtherAudio,
            },
            "ac-3" => Self::Ac3,
            "ec-3" | "ec+3" => Self::Eac3,
            "alac" | "fLaC" | "flac" => Self::Lossless,
            "apac" => Self::Apac,
            "Opus" | "opus" | "ac-4" | "dtsc" | "dtsh" | "dtsl" | "dtse" | "dtsx" | "dtsy" | "vorbis" => {
                Self::OtherAudio
            }
            "wvtt" | "stpp" => Self::Text,
            _ => Self::Unknown,
        }
    }

    /// Whether it is video.
    pub const fn is_video(self) -> bool {
        matches!(
            self,
            Self::H264 { .. }
                | Self::Hevc { .. }
                | Self::DolbyVision { .. }
                | Self::Av1 { .. }
                | Self::MotionJpeg
                | Self::OtherVideo
        )
    }

    /// Whether it is audio.
    pub const fn is_audio(self) -> bool {
        matches!(
            self,
            Self::Aac
                | Self::XheAac
                | Self::Ac3
                | Self::Eac3
                | Self::Lossless
                | Self::Mp3
                | Self::Apac
                | Self::OtherAudio
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_read() {
        for (text, expected) in [
            (
                "avc1.64001F",
                Named::H264 {
                    profile: 100,
                    level: 31,
                },
            ),
            ("avc1.77.30", Named::H264 { profile: 77, level: 30 }),
            (
                "hvc1.2.4.L153.B0",
                Named::Hevc {
                    profile: 2,
                    is_high_tier: false,
                    level: 153,
                },
            ),
            (
                "hev1.A1.6.H93",
                Named::Hevc {
                    profile: 1,
                    is_high_tier: true,
                    level: 93,
                },
            ),
            ("dvh1.05.06", Named::DolbyVision { profile: 5, level: 6 }),
            ("av01.0.08M.10", Named::Av1 { level: 8 }),
            ("mp4a.40.2", Named::Aac),
            ("mp4a.40.42", Named::XheAac),
            ("mp4a.40.34", Named::Mp3),
            ("stpp.ttml.im1t", Named::Text),
            ("avc1", Named::Unknown),
            ("hvc1.é", Named::Unknown),
        ] {
            assert_eq!(Named::of(text), expected, "{text}");
        }
    }
}

//! One file per codec: which bytes of a sample stay clear, and what a playlist says of the codec.
//!
//! A new codec is one new file and one line in the list below.

pub mod aac;
mod ac3;
mod ac4;
mod alac;
pub mod audio_channels;
pub mod av1;
pub mod avc;
pub mod bit_reader;
#[cfg(test)]
mod bit_writer;
pub mod captions;
pub mod dolby_vision;
mod dts;
mod eac3;
mod flac;
pub mod hevc;
mod mp4a;
pub mod nal_units;
mod opus;
mod sei;
pub mod subsample;
#[cfg(test)]
mod test_streams;
mod text;
mod usac;
pub mod video_range;
pub mod vp9;
mod vui;
pub mod watch;
mod whole_samples;

use std::sync::Arc;

use crate::isobmff::{BoxError, FourCc, Node};

pub use audio_channels::AudioChannels;
pub use captions::Captions;
pub use subsample::{Subsample, SubsampleMap};
pub use video_range::VideoRange;
pub use watch::SegmentWatch;

/// What is wrong with a codec configuration or a sample.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// Bytes that break the codec's own syntax.
    #[error("{codec}: {problem}, at byte {position} of the {what}")]
    Malformed {
        /// The codec's name, e.g. `H.264`.
        codec: &'static str,
        /// What was being read, e.g. `sample`, `avcC`.
        what: &'static str,
        /// Bytes from its start.
        position: usize,
        /// What was found and what was expected.
        problem: String,
    },
    /// Valid, and not supported.
    #[error("{codec}: {feature} is not supported yet")]
    Unsupported {
        /// The codec's name.
        codec: &'static str,
        /// Which part of it.
        feature: String,
    },
}

/// What a sample description says of a track.
pub trait Codec: Send + Sync + std::fmt::Debug {
    /// The codec's usual name, e.g. `H.264`.
    fn name(&self) -> &'static str;

    /// The RFC 6381 `codecs` string, e.g. `avc1.64001F`.
    fn rfc6381(&self) -> String;

    /// A fresh scanner for samples from a sync sample on; `None` where the whole sample is protected.
    fn scanner(&self) -> Option<Box<dyn SampleScanner>>;

    /// What is wrong with a sample, where its first bits tell: for codecs without a scanner.
    fn first_bits_fault(&self, _sample: &[u8]) -> Option<&'static str> {
        None
    }

    /// Whether no scheme of Common Encryption but `cenc` is defined for it.
    fn cenc_only(&self) -> bool {
        false
    }

    /// Whether it is text, which stays clear.
    fn is_text(&self) -> bool {
        false
    }

    /// `TransferCharacteristics` of a video codec's own headers (ISO/IEC 23091-2), where they say them.
    fn transfer_characteristics(&self) -> Option<u8> {
        None
    }

    /// `SUPPLEMENTAL-CODECS` of a playlist (RFC 8216bis, 4.4.6.2): what the samples are to players that know more than the codec.
    fn supplemental_codecs(&self) -> Option<String> {
        None
    }

    /// Brands of a file with such a track, beside those of every one (ISO/IEC 14496-12, 4.3).
    fn brands(&self) -> Vec<FourCc> {
        Vec::new()
    }

    /// Whether a sample can't be decoded where decoding begins at the sync sample in front of it, for it refers to pictures before
    /// that one.
    fn is_skipped_leading(&self, _sample: &[u8]) -> bool {
        false
    }

    /// Adds the captions that a sample of video carries, protected or not.
    fn find_captions(&self, _sample: &[u8], _captions: &mut Captions) {}

    /// Channels of an audio codec's output, as the player hears them.
    fn channels(&self) -> Option<u16> {
        None
    }

    /// `CHANNELS` of a playlist (RFC 8216bis, 4.4.6.1).
    fn hls_channels(&self) -> Option<String> {
        self.channels().map(|channels| channels.to_string())
    }

    /// `AudioChannelConfiguration` of a manifest of DASH.
    fn channel_configuration(&self) -> Option<AudioChannels> {
        AudioChannels::counted(self)
    }

    /// Sampling rate of an audio codec's output, in Hz.
    fn sample_rate_hz(&self) -> Option<u32> {
        None
    }
}

/// Finds the bytes of consecutive samples that stay clear.
pub trait SampleScanner: Send {
    /// Appends the clear and protected ranges of `sample` to `map`; together they cover it exactly. The caller ends
    /// the sample there.
    ///
    /// Samples come in decode order from a sync sample on: parameter sets may arrive in band.
    ///
    /// # Errors
    /// [`CodecError`] where the sample breaks the codec's syntax, or refers to what it does not carry.
    fn scan(&mut self, sample: &[u8], map: &mut SubsampleMap) -> Result<(), CodecError>;
}

/// Why a sample entry opens no codec.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No codec of the list claims its type.
    #[error("the codec is not supported yet")]
    Unknown,
    /// A box in it is damaged.
    #[error(transparent)]
    Box(#[from] BoxError),
    /// The codec's own configuration is damaged, or of a kind that is not supported.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

type Open = fn(FourCc, &Node<'_>) -> Result<Arc<dyn Codec>, OpenError>;

/// Sample entry types, and what opens them. A new codec is one line here and a file.
const CODECS: &[(&[&[u8; 4]], Open)] = &[
    (&[b"avc1", b"avc3"], avc::open),
    (&[b"hvc1", b"hev1", b"dvh1", b"dvhe"], hevc::open),
    (&[b"av01"], av1::open),
    (&[b"vp09"], vp9::open),
    (&[b"mp4a"], mp4a::open),
    (&[b"ac-3"], ac3::open),
    (&[b"ec-3"], eac3::open),
    (&[b"ac-4"], ac4::open),
    (&[b"dtsc", b"dtsh", b"dtsl", b"dtse"], dts::open),
    (&[b"dtsx", b"dtsy"], dts::open_uhd),
    (&[b"Opus"], opus::open),
    (&[b"fLaC"], flac::open),
    (&[b"alac"], alac::open),
    (&[b"wvtt", b"stpp"], text::open),
];

/// Whether a sample entry type is one that [`open`] reads.
#[must_use]
pub fn is_known(format: FourCc) -> bool {
    CODECS.iter().any(|(formats, _)| formats.contains(&&format.0))
}

/// Codecs that are not supported yet, by their sample entry types: their names, and why.
const OTHER_CODECS: &[(&[&[u8; 4]], &str, &str)] = &[
    (&[b"dva1", b"dvav"], "Dolby Vision on H.264", NO_RULE),
    (&[b"dav1"], "Dolby Vision on AV1", NO_RULE),
    (
        &[b"vvc1", b"vvi1"],
        "VVC",
        "its slice headers are not read here, and protected bytes begin behind them",
    ),
    (&[b"vp08"], "VP8", NO_PLAYER_OF_VIDEO),
    (&[b"mp4v"], "MPEG-4 Visual", NO_PLAYER_OF_VIDEO),
    (
        &[b"mha1", b"mha2", b"mhm1", b"mhm2"],
        "MPEG-H 3D Audio",
        "its configuration may come in band, and is not read here",
    ),
    (&[b"samr", b"sawb", b"sawp"], "AMR", NO_PLAYER_OF_AUDIO),
    (
        &[
            b"ipcm", b"fpcm", b"lpcm", b"sowt", b"twos", b"in24", b"in32", b"fl32", b"fl64", b"raw ",
        ],
        "PCM",
        "players of HLS don't take it; FLAC and Apple Lossless hold the same sound",
    ),
    (
        &[b"apch", b"apcn", b"apcs", b"apco", b"ap4h", b"ap4x"],
        "ProRes",
        NO_PLAYER_OF_VIDEO,
    ),
    (&[b"mjpg", b"mjpa", b"mjpb", b"jpeg"], "Motion JPEG", NO_PLAYER_OF_VIDEO),
];

const NO_RULE: &str = "there is no rule here yet for what stays clear";
const NO_PLAYER_OF_VIDEO: &str = "players of HLS don't take it; encode it as H.264, H.265 or AV1";
const NO_PLAYER_OF_AUDIO: &str = "players of HLS don't take it; encode it as AAC or Opus";

/// What people call a codec that [`open`] does not know, and why it does not.
#[must_use]
pub fn other(format: FourCc) -> Option<(&'static str, &'static str)> {
    let other = OTHER_CODECS.iter().find(|(formats, ..)| formats.contains(&&format.0));
    other.map(|(_, name, reason)| (*name, *reason))
}

/// Reads the codec configuration of a sample entry; `format` is its type before it was protected.
///
/// # Errors
/// [`OpenError`].
pub fn open(format: FourCc, entry: &Node<'_>) -> Result<Arc<dyn Codec>, OpenError> {
    let (_, open) = CODECS
        .iter()
        .find(|(formats, _)| formats.contains(&&format.0))
        .ok_or(OpenError::Unknown)?;
    open(format, entry)
}

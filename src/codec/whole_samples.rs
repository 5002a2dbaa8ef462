//! Codecs whose samples are protected whole (ISO/IEC 23001-7, 9.5.1): what playlists say of them is all that is read.

use std::borrow::Cow;

use super::{AudioChannels, Codec, SampleScanner};

/// A synchronization word within the first two bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sync {
    /// The bits that belong to it.
    pub mask: u16,
    /// Their values.
    pub word: u16,
}

/// An audio track whose samples nobody looks into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WholeSamples {
    /// The codec's usual name.
    pub name: &'static str,
    /// The RFC 6381 `codecs` string.
    pub rfc6381: Cow<'static, str>,
    /// Channels that come out; `None` where it is not known.
    pub channels: Option<u16>,
    /// Samples a second that come out; `None` where it is not known.
    pub sample_rate_hz: Option<u32>,
    /// What a playlist says of the channels, where it is more than their number.
    pub hls_channels: Option<String>,
    /// Which loudspeakers there are, where it is known beside their number.
    pub channel_configuration: Option<AudioChannels>,
    /// The word that every sample begins with, where the codec has one.
    pub sync: Option<Sync>,
}

impl Codec for WholeSamples {
    fn name(&self) -> &'static str {
        self.name
    }

    fn rfc6381(&self) -> String {
        self.rfc6381.clone().into_owned()
    }

    fn scanner(&self) -> Option<Box<dyn SampleScanner>> {
        None
    }

    fn first_bits_fault(&self, sample: &[u8]) -> Option<&'static str> {
        let Sync { mask, word } = self.sync?;
        let first = u16::from_be_bytes(*sample.first_chunk()?);
        (first & mask != word).then_some("a frame that does not begin with its codec's synchronization word")
    }

    fn channels(&self) -> Option<u16> {
        self.channels
    }

    fn sample_rate_hz(&self) -> Option<u32> {
        self.sample_rate_hz
    }

    fn hls_channels(&self) -> Option<String> {
        let channels = || self.channels.map(|channels| channels.to_string());
        self.hls_channels.clone().or_else(channels)
    }

    fn channel_configuration(&self) -> Option<AudioChannels> {
        let counted = || AudioChannels::counted(self);
        self.channel_configuration.clone().or_else(counted)
    }
}

//! `dOps`: what an Opus stream is (Encapsulation of Opus in ISO Base Media File Format, 4.3.2).

use super::{Fault, FourCc, Reader, TypedBox, describe};

/// The Opus specific box. The names are the specification's.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct OpusSpecific {
    /// Channels that come out.
    pub output_channel_count: u8,
    /// Samples of 48 kHz at the start that a decoder throws away.
    pub pre_skip: u16,
    /// Sampling rate of what was encoded, in Hz; 0 for unknown. Decoders give 48 kHz.
    pub input_sample_rate_hz: u32,
    /// Gain in dB, times 256.
    pub output_gain: i16,
    /// Which channels these are (RFC 7845, 5.1.1).
    pub channel_mapping_family: u8,
    /// `ChannelMappingTable`, where the family is not 0.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "describe::hex")]
    channel_mapping: Vec<u8>,
}

impl TypedBox for OpusSpecific {
    const TYPE: FourCc = FourCc::new(b"dOps");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        let version = payload.clone().u8()?;
        if version != 0 {
            return Err(payload.invalid(format!("version {version} is not known; 0 is")));
        }
        payload.u8()?;
        Ok(Self {
            output_channel_count: payload.u8()?,
            pre_skip: payload.u16()?,
            input_sample_rate_hz: payload.u32()?,
            output_gain: payload.i16()?,
            channel_mapping_family: payload.u8()?,
            channel_mapping: payload.rest().to_vec(),
        })
    }

    fn write_payload(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[0, self.output_channel_count]);
        out.extend_from_slice(&self.pre_skip.to_be_bytes());
        out.extend_from_slice(&self.input_sample_rate_hz.to_be_bytes());
        out.extend_from_slice(&self.output_gain.to_be_bytes());
        out.push(self.channel_mapping_family);
        out.extend_from_slice(&self.channel_mapping);
    }
}

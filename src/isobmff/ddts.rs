//! `ddts`: what a DTS stream is (ETSI TS 102 114, annex E).

use super::{Fault, FourCc, Reader, TypedBox, describe};

/// The DTS specific box. The names are the standard's.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DtsSpecific {
    /// The highest sampling rate that the stream holds, in Hz.
    pub sampling_frequency_hz: u32,
    /// In bit/s.
    pub max_bitrate: u32,
    /// In bit/s.
    pub avg_bitrate: u32,
    /// Bits of a sample that comes out.
    pub pcm_sample_depth: u8,
    /// Frame duration, stream construction, and what the core is.
    #[serde(serialize_with = "describe::hex")]
    construction: [u8; 4],
    /// Which loudspeakers there are; 0 where the box does not tell.
    pub channel_layout: u16,
    /// Flags, and a box that may follow.
    #[serde(serialize_with = "describe::hex")]
    extension: Vec<u8>,
}

impl TypedBox for DtsSpecific {
    const TYPE: FourCc = FourCc::new(b"ddts");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        Ok(Self {
            sampling_frequency_hz: payload.u32()?,
            max_bitrate: payload.u32()?,
            avg_bitrate: payload.u32()?,
            pcm_sample_depth: payload.u8()?,
            construction: payload.array()?,
            channel_layout: payload.u16()?,
            extension: payload.rest().to_vec(),
        })
    }

    fn write_payload(&self, out: &mut Vec<u8>) {
        for field in [self.sampling_frequency_hz, self.max_bitrate, self.avg_bitrate] {
            out.extend_from_slice(&field.to_be_bytes());
        }
        out.push(self.pcm_sample_depth);
        out.extend_from_slice(&self.construction);
        out.extend_from_slice(&self.channel_layout.to_be_bytes());
        out.extend_from_slice(&self.extension);
    }
}

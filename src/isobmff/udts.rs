//! `udts`: what a DTS-UHD stream is (ETSI TS 103 491, annex B).

use super::{Fault, FourCc, Reader, TypedBox, describe};

/// The DTS-UHD specific box. The names are the standard's.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DtsUhdSpecific {
    /// Decoder profile, frame duration, payload size and number of presentations, as codes.
    #[serde(serialize_with = "describe::hex")]
    codes: [u8; 2],
    /// A bit for each loudspeaker.
    pub channel_mask: u32,
    /// `BaseSamplingFrequencyCode` and `SampleRateMod` in the first three bits, and what follows.
    rates: u8,
    /// The presentations, and a box that may follow.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "describe::hex")]
    extension: Vec<u8>,
}

impl DtsUhdSpecific {
    /// The sampling rate that comes out, in Hz.
    #[must_use]
    pub const fn sample_rate_hz(&self) -> u32 {
        let base_hz = if self.rates >> 7 == 1 { 48_000 } else { 44_100 };
        base_hz << (self.rates >> 5 & 3)
    }
}

impl TypedBox for DtsUhdSpecific {
    const TYPE: FourCc = FourCc::new(b"udts");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        Ok(Self {
            codes: payload.array()?,
            channel_mask: payload.u32()?,
            rates: payload.u8()?,
            extension: payload.rest().to_vec(),
        })
    }

    fn write_payload(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.codes);
        out.extend_from_slice(&self.channel_mask.to_be_bytes());
        out.push(self.rates);
        out.extend_from_slice(&self.extension);
    }
}

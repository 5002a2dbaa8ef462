//! `alac`: what an Apple Lossless stream is (Apple Lossless Format "Magic Cookie" Description). The sample entry has the
//! same type.

use super::writer::full_box;
use super::{Fault, FourCc, Reader, TypedBox, describe};

/// The `ALACSpecificConfig` in a box.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct AlacSpecific {
    /// Samples of a packet.
    pub frame_length: u32,
    /// Bits of a sample.
    pub bit_depth: u8,
    /// Channels.
    pub channels: u8,
    /// In Hz.
    pub sample_rate_hz: u32,
    /// All of it, and a channel layout that may follow.
    #[serde(serialize_with = "describe::hex")]
    config: Vec<u8>,
}

impl TypedBox for AlacSpecific {
    const TYPE: FourCc = FourCc::new(b"alac");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        payload.full_box(0)?;
        let config = payload.clone().rest().to_vec();
        let frame_length = payload.u32()?;
        let _compatible_version = payload.u8()?;
        let bit_depth = payload.u8()?;
        let [_pb, _mb, _kb, channels] = payload.array()?;
        let _max_run = payload.u16()?;
        let _max_frame_bytes = payload.u32()?;
        let _avg_bit_rate = payload.u32()?;
        let sample_rate_hz = payload.u32()?;
        payload.rest();
        Ok(Self {
            frame_length,
            bit_depth,
            channels,
            sample_rate_hz,
            config,
        })
    }

    fn write_payload(&self, out: &mut Vec<u8>) {
        full_box(out, 0, 0);
        out.extend_from_slice(&self.config);
    }
}

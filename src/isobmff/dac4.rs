//! `dac4`: what an AC-4 stream is (ETSI TS 103 190-2, E.5).

use super::{Fault, FourCc, Reader, TypedBox, describe};

/// The AC-4 specific box, kept byte by byte. The names are the standard's.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Ac4Specific {
    /// Which structure this is: 1 for `ac4_dsi_v1()` (E.6), 0 for the older one (ETSI TS 103 190-1, E.6).
    pub ac4_dsi_version: u8,
    /// 2 for what is made today.
    pub bitstream_version: u8,
    /// 0 for 44.1 kHz, 1 for 48 kHz.
    pub fs_index: u8,
    /// Which frame rate, of table 83 or 84.
    pub frame_rate_index: u8,
    /// How many programs can be made of the stream.
    pub n_presentations: u16,
    /// All of it.
    #[serde(serialize_with = "describe::hex")]
    payload: Vec<u8>,
}

impl Ac4Specific {
    /// The whole payload.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }
}

impl TypedBox for Ac4Specific {
    const TYPE: FourCc = FourCc::new(b"dac4");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        let bytes = payload.clone().rest();
        let [a, b, c] = payload.array()?;
        payload.rest();
        Ok(Self {
            ac4_dsi_version: a >> 5,
            bitstream_version: (a & 31) << 2 | b >> 6,
            fs_index: b >> 5 & 1,
            frame_rate_index: b >> 1 & 15,
            n_presentations: u16::from(b & 1) << 8 | u16::from(c),
            payload: bytes.to_vec(),
        })
    }

    fn write_payload(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.payload);
    }
}

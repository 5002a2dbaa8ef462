//! `dac3`: what an AC-3 stream is (ETSI TS 102 366, F.4).

use super::{Fault, FourCc, Reader, TypedBox, describe};

/// The AC-3 specific box. The names are the standard's.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Ac3Specific {
    /// Sample rate code (4.4.1.3).
    pub fscod: u8,
    /// Bit stream identification.
    pub bsid: u8,
    /// Bit stream mode: what the service is.
    pub bsmod: u8,
    /// Audio coding mode: which main channels there are (4.4.2.3).
    pub acmod: u8,
    /// Whether there is a low frequency effects channel.
    pub lfeon: bool,
    /// Data rate (F.4.2).
    pub bit_rate_code: u8,
    /// The last five bits of the last byte.
    #[serde(skip)]
    reserved: u8,
    /// What follows.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "describe::hex")]
    extension: Vec<u8>,
}

impl TypedBox for Ac3Specific {
    const TYPE: FourCc = FourCc::new(b"dac3");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        let [a, b, c] = payload.array()?;
        Ok(Self {
            fscod: a >> 6,
            bsid: a >> 1 & 31,
            bsmod: (a & 1) << 2 | b >> 6,
            acmod: b >> 3 & 7,
            lfeon: b >> 2 & 1 == 1,
            bit_rate_code: (b & 3) << 3 | c >> 5,
            reserved: c & 31,
            extension: payload.rest().to_vec(),
        })
    }

    fn write_payload(&self, out: &mut Vec<u8>) {
        out.push(self.fscod << 6 | self.bsid << 1 | self.bsmod >> 2);
        out.push(self.bsmod << 6 | self.acmod << 3 | u8::from(self.lfeon) << 2 | self.bit_rate_code >> 3);
        out.push(self.bit_rate_code << 5 | self.reserved);
        out.extend_from_slice(&self.extension);
    }
}

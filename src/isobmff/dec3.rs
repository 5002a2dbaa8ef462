//! `dec3`: what an Enhanced AC-3 stream is (ETSI TS 102 366, F.6), and whether it carries objects (ETSI TS 103 420, C.3).

use super::{Fault, FourCc, Reader, TypedBox, describe};

/// The Enhanced AC-3 specific box. The names are the standard's.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Eac3Specific {
    /// In kbit/s.
    pub data_rate: u16,
    /// Independent substreams, one to eight; each is a program of its own.
    pub substreams: Vec<Substream>,
    /// `complexity_index_type_a`, where the stream is flagged to carry joint object coding.
    pub joc_complexity: Option<u8>,
    /// Bits that are reserved in front of that flag.
    #[serde(skip)]
    reserved: u8,
    /// What follows.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "describe::hex")]
    extension: Vec<u8>,
}

/// An independent substream, and what its dependent substreams add.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Substream {
    /// Sample rate code; 3 for one of the halved rates.
    pub fscod: u8,
    /// Bit stream identification.
    pub bsid: u8,
    /// Whether it is an associated service.
    pub asvc: bool,
    /// Bit stream mode: what the service is.
    pub bsmod: u8,
    /// Audio coding mode: which main channels there are.
    pub acmod: u8,
    /// Whether there is a low frequency effects channel.
    pub lfeon: bool,
    /// Dependent substreams.
    pub num_dep_sub: u8,
    /// Which channels they add (table F.6.1), bit 0 the least significant; 0 where there are none.
    pub chan_loc: u16,
    /// The three fields that are reserved: behind `bsid`, behind `lfeon`, and in place of `chan_loc`.
    #[serde(skip)]
    reserved: [u8; 3],
}

impl TypedBox for Eac3Specific {
    const TYPE: FourCc = FourCc::new(b"dec3");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        let head = payload.u16()?;
        let substreams = (0..=head & 7)
            .map(|_| Substream::parse(payload))
            .collect::<Result<_, _>>()?;
        let mut dec3 = Self {
            data_rate: head >> 3,
            substreams,
            joc_complexity: None,
            reserved: 0,
            extension: Vec::new(),
        };
        // Older writers end here, and what stands here otherwise is kept as it is.
        if let [flags, complexity, ..] = *payload.clone().rest()
            && flags & 1 == 1
        {
            payload.bytes(2)?;
            dec3.reserved = flags >> 1;
            dec3.joc_complexity = Some(complexity);
        }
        dec3.extension = payload.rest().to_vec();
        Ok(dec3)
    }

    #[expect(clippy::cast_possible_truncation, reason = "there are one to eight substreams")]
    fn write_payload(&self, out: &mut Vec<u8>) {
        let head = self.data_rate << 3 | self.substreams.len().saturating_sub(1) as u16 & 7;
        out.extend_from_slice(&head.to_be_bytes());
        for substream in &self.substreams {
            substream.write(out);
        }
        if let Some(complexity) = self.joc_complexity {
            out.extend_from_slice(&[self.reserved << 1 | 1, complexity]);
        }
        out.extend_from_slice(&self.extension);
    }
}

impl Substream {
    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        let [a, b, c] = payload.array()?;
        let num_dep_sub = c >> 1 & 15;
        let (chan_loc, reserved) = if num_dep_sub > 0 {
            (u16::from(c & 1) << 8 | u16::from(payload.u8()?), 0)
        } else {
            (0, c & 1)
        };
        Ok(Self {
            fscod: a >> 6,
            bsid: a >> 1 & 31,
            asvc: b >> 7 == 1,
            bsmod: b >> 4 & 7,
            acmod: b >> 1 & 7,
            lfeon: b & 1 == 1,
            num_dep_sub,
            chan_loc,
            reserved: [a & 1, c >> 5, reserved],
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        let [behind_bsid, behind_lfeon, for_chan_loc] = self.reserved;
        let [high, low] = self.chan_loc.to_be_bytes();
        out.push(self.fscod << 6 | self.bsid << 1 | behind_bsid);
        out.push(u8::from(self.asvc) << 7 | self.bsmod << 4 | self.acmod << 1 | u8::from(self.lfeon));
        let last = if self.num_dep_sub > 0 { high & 1 } else { for_chan_loc };
        out.push(behind_lfeon << 5 | self.num_dep_sub << 1 | last);
        if self.num_dep_sub > 0 {
            out.push(low);
        }
    }
}

//! `colr`: what colours the samples are (ISO/IEC 14496-12, 12.1.5).

use super::{Fault, FourCc, Reader, TypedBox};

/// Colours by the code points of ISO/IEC 23091-2.
const NCLX: FourCc = FourCc::new(b"nclx");

/// The same without a range, as in `QuickTime`.
const NCLC: FourCc = FourCc::new(b"nclc");

/// The colour information, kept byte by byte.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ColourInformation {
    #[serde(skip)]
    payload: Vec<u8>,
    /// `nclx`, or another: an ICC profile (`rICC`, `prof`), or `QuickTime`'s `nclc`.
    pub colour_type: FourCc,
    /// What `nclx` says.
    pub nclx: Option<Nclx>,
    /// `transfer_characteristics` of `nclx` or `nclc`.
    #[serde(skip)]
    pub transfer_characteristics: Option<u16>,
}

/// Code points of ISO/IEC 23091-2, and the range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Nclx {
    /// `colour_primaries`: 1 is BT.709, 9 is BT.2020.
    pub colour_primaries: u16,
    /// `transfer_characteristics`: 1 is BT.709, 16 is PQ, 18 is HLG.
    pub transfer_characteristics: u16,
    /// `matrix_coefficients`.
    pub matrix_coefficients: u16,
    /// `full_range_flag`.
    pub full_range_flag: bool,
}

impl TypedBox for ColourInformation {
    const TYPE: FourCc = FourCc::new(b"colr");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        let bytes = payload.clone().rest();
        let colour_type = payload.fourcc()?;
        let nclx = match colour_type {
            NCLX => Some(Nclx {
                colour_primaries: payload.u16()?,
                transfer_characteristics: payload.u16()?,
                matrix_coefficients: payload.u16()?,
                full_range_flag: payload.u8()? & 0x80 != 0,
            }),
            _ => None,
        };
        let transfer_characteristics = match colour_type {
            NCLC => {
                payload.u16()?;
                Some(payload.u16()?)
            }
            _ => nclx.map(|nclx| nclx.transfer_characteristics),
        };
        payload.rest();
        Ok(Self {
            payload: bytes.to_vec(),
            colour_type,
            nclx,
            transfer_characteristics,
        })
    }

    fn write_payload(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.payload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(payload: &[u8]) -> Result<ColourInformation, Fault> {
        let colour = ColourInformation::parse(&mut Reader::new(payload))?;
        let mut written = Vec::new();
        colour.write_payload(&mut written);
        assert_eq!(written, payload, "parse then write is the identity");
        Ok(colour)
    }

    #[test]
    fn code_points_are_read_and_other_kinds_are_kept() -> Result<(), Fault> {
        let nclx = Nclx {
            colour_primaries: 9,
            transfer_characteristics: 16,
            matrix_coefficients: 9,
            full_range_flag: true,
        };
        assert_eq!(parse(b"nclx\0\x09\0\x10\0\x09\xff")?.nclx, Some(nclx));
        let quicktime = parse(b"nclc\0\x09\0\x12\0\x09")?;
        assert_eq!((quicktime.nclx, quicktime.transfer_characteristics), (None, Some(18)));
        assert_eq!(parse(b"prof")?.nclx, None);
        Ok(())
    }

    #[test]
    fn damage_is_located() {
        let position = |payload| parse(payload).map_err(|fault| fault.position).expect_err("damaged");
        assert_eq!(position(b"ncl"), 0);
        assert_eq!(position(b"nclx\0\x09\0\x10\0\x09"), 10);
    }
}

//! Open bitstream units: what samples and `configOBUs` are made of (AV1, 5.3).

use super::descriptors::leb128;
use crate::codec::bit_reader::{BitFault, BitReader};

/// `obu_type` (AV1, 6.2.2), as far as it matters here.
pub mod obu_type {
    /// What all frames have in common.
    pub const SEQUENCE_HEADER: u8 = 1;
    /// Where a temporal unit begins; samples do without (AV1-ISOBMFF, 2.4).
    pub const TEMPORAL_DELIMITER: u8 = 2;
    /// A frame header, whose tiles follow in tile groups.
    pub const FRAME_HEADER: u8 = 3;
    /// Tiles.
    pub const TILE_GROUP: u8 = 4;
    /// Data beside the frames, such as captions.
    pub const METADATA: u8 = 5;
    /// A frame header and tiles.
    pub const FRAME: u8 = 6;
    /// A copy of the frame header.
    pub const REDUNDANT_FRAME_HEADER: u8 = 7;
    /// Tiles of large scale tile decoding.
    pub const TILE_LIST: u8 = 8;
}

/// `obu_header()` (5.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObuHeader {
    /// `obu_type`, see [`obu_type`].
    pub obu_type: u8,
    /// `temporal_id` of the extension header, or 0.
    pub temporal_id: u8,
    /// `spatial_id` of the extension header, or 0.
    pub spatial_id: u8,
}

/// One open bitstream unit.
#[derive(Debug, Clone, Copy)]
pub struct Obu<'a> {
    /// Its header.
    pub header: ObuHeader,
    /// All of its bytes, the header and `obu_size` too.
    pub bytes: &'a [u8],
    /// Bytes of the header and of `obu_size`.
    pub header_bytes: usize,
    /// Where it begins, in bytes.
    pub position: usize,
}

impl<'a> Obu<'a> {
    /// Splits the first unit off `data`, which stands at byte `position`.
    fn split(data: &'a [u8], position: usize) -> Result<(Self, &'a [u8]), BitFault> {
        let mut bits = BitReader::plain(data);
        if bits.flag()? {
            return Err(bits.invalid("obu_forbidden_bit is set: the OBU is damaged, or not AV1"));
        }
        let [obu_type, ..] = bits.u(4)?.to_le_bytes();
        let obu_extension_flag = bits.flag()?;
        let obu_has_size_field = bits.flag()?;
        let _obu_reserved_1bit = bits.flag()?;
        let [temporal_id, ..] = if obu_extension_flag { bits.u(3)? } else { 0 }.to_le_bytes();
        let [spatial_id, ..] = if obu_extension_flag { bits.u(5)? >> 3 } else { 0 }.to_le_bytes();
        let (bytes, rest) = if obu_has_size_field {
            let obu_size = leb128(&mut bits)?;
            let split = bits.taken_bytes().checked_add(obu_size as usize);
            split.and_then(|split| data.split_at_checked(split)).ok_or_else(|| {
                let left = data.len() - bits.taken_bytes();
                bits.invalid(format!("obu_size is {obu_size}, with {left} bytes left"))
            })?
        } else {
            // Of the last unit alone, which ends where the sample does (AV1-ISOBMFF, 2.4).
            (data, &[][..])
        };
        let obu = Self {
            header: ObuHeader {
                obu_type,
                temporal_id,
                spatial_id,
            },
            bytes,
            header_bytes: bits.taken_bytes(),
            position,
        };
        Ok((obu, rest))
    }

    /// Its payload's bits; positions count from the first byte of the unit.
    ///
    /// # Errors
    /// None but those of bytes that were read before.
    pub fn payload(&self) -> Result<BitReader<'a>, BitFault> {
        let mut bits = BitReader::plain(self.bytes);
        for _ in 0..self.header_bytes {
            bits.u(8)?;
        }
        Ok(bits)
    }
}

/// Iterates over open bitstream units; ends behind the first that is damaged, whose fault counts from the first byte
/// of all.
#[derive(Debug, Clone)]
pub struct Obus<'a> {
    rest: &'a [u8],
    position: usize,
}

impl<'a> Obus<'a> {
    /// The units of a sample, or of `configOBUs`.
    #[must_use]
    pub const fn new(data: &'a [u8]) -> Self {
        Self {
            rest: data,
            position: 0,
        }
    }
}

impl<'a> Iterator for Obus<'a> {
    type Item = Result<Obu<'a>, BitFault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let split = Obu::split(self.rest, self.position);
        self.rest = &[];
        Some(match split {
            Ok((obu, rest)) => {
                self.rest = rest;
                self.position += obu.bytes.len();
                Ok(obu)
            }
            Err(fault) => Err(BitFault {
                position: self.position + fault.position,
                ..fault
            }),
        })
    }
}

//! Bits of NAL units and of packed configurations: fixed-length and Exp-Golomb codes.
//!
//! The descriptors are named as in the standards, `u(n)`, `ue(v)` and `se(v)` (ISO/IEC 14496-10, 7.2 and 9.1).

use std::borrow::Cow;

use super::CodecError;

/// Reads bits, most significant first; checked, without allocation, one byte at a time.
///
/// Inside a NAL unit the emulation prevention byte of `00 00 03` is skipped on the way (ISO/IEC 14496-10, 7.4.1):
/// only bytes that hold the bits asked for are looked at, and positions count the bytes as they are stored.
#[derive(Debug, Clone)]
pub struct BitReader<'a> {
    data: &'a [u8],
    /// Bytes taken from `data`, emulation prevention bytes among them.
    taken_bytes: usize,
    /// The last byte taken; its `unread_bits` low bits are yet to be read.
    current: u8,
    unread_bits: u32,
    /// `Some` with the number of zero bytes right before the next byte, where `00 00 03` is an escape.
    zero_bytes: Option<u32>,
}

/// Bits that break their syntax, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("byte {position}: {problem}")]
pub struct BitFault {
    /// Bytes from the start of what was being read, as stored.
    pub position: usize,
    /// What was found and what was expected.
    pub problem: Cow<'static, str>,
}

impl BitFault {
    /// The same as an error of `codec` in a `what`, which holds the bits from byte `start` on.
    #[must_use]
    pub fn malformed(self, codec: &'static str, what: &'static str, start: usize) -> CodecError {
        CodecError::Malformed {
            codec,
            what,
            position: start.saturating_add(self.position),
            problem: self.problem.into_owned(),
        }
    }
}

impl<'a> BitReader<'a> {
    /// Reads a NAL unit from its header on, skipping emulation prevention bytes.
    #[must_use]
    pub const fn nal_unit(data: &'a [u8]) -> Self {
        Self {
            data,
            taken_bytes: 0,
            current: 0,
            unread_bits: 0,
            zero_bytes: Some(0),
        }
    }

    /// Reads bytes that know no escapes, such as an `AudioSpecificConfig`.
    #[must_use]
    pub const fn plain(data: &'a [u8]) -> Self {
        Self {
            zero_bytes: None,
            ..Self::nal_unit(data)
        }
    }

    /// Stored bytes up to and with the one that holds the last bit read: what was read, in bytes, rounded up.
    ///
    /// An emulation prevention byte counts once a bit behind it is read.
    #[must_use]
    pub const fn taken_bytes(&self) -> usize {
        self.taken_bytes
    }

    /// Bits that are left, if none of the bytes ahead is an emulation prevention byte.
    #[must_use]
    pub fn left_bits(&self) -> usize {
        let left_bytes = self.data.len().saturating_sub(self.taken_bytes);
        left_bytes.saturating_mul(8).saturating_add(self.unread_bits as usize)
    }

    /// Bits up to the next byte boundary, counted from the data's start: 0 to 7.
    #[must_use]
    pub const fn bits_to_byte_boundary(&self) -> u32 {
        self.unread_bits
    }

    /// A fault at the byte that holds the last bit read.
    pub fn invalid(&self, problem: impl Into<Cow<'static, str>>) -> BitFault {
        BitFault {
            position: self.taken_bytes.saturating_sub(1),
            problem: problem.into(),
        }
    }

    /// `u(n)`: an unsigned integer of `count` bits, at most 32.
    ///
    /// # Errors
    /// [`BitFault`] at the data's end.
    pub fn u(&mut self, count: u32) -> Result<u32, BitFault> {
        debug_assert!(count <= u32::BITS, "the caller's constant or checked value");
        let mut value = 0;
        let mut missing = count;
        while missing > 0 {
            if self.unread_bits == 0 {
                self.take_byte()?;
            }
            let taken = missing.min(self.unread_bits);
            self.unread_bits -= taken;
            missing -= taken;
            let bits = u32::from(self.current) >> self.unread_bits & ((1 << taken) - 1);
            value = value << taken | bits;
        }
        Ok(value)
    }

    /// `u(1)`: a flag.
    ///
    /// # Errors
    /// [`BitFault`] at the data's end.
    pub fn flag(&mut self) -> Result<bool, BitFault> {
        Ok(self.u(1)? == 1)
    }

    /// `ue(v)`: an unsigned Exp-Golomb code, from 0 to 2³² − 2.
    ///
    /// # Errors
    /// [`BitFault`] at the data's end, or where the value exceeds 32 bits.
    pub fn ue(&mut self) -> Result<u32, BitFault> {
        let mut leading_zero_bits = 0;
        while !self.flag()? {
            leading_zero_bits += 1;
            if leading_zero_bits == u32::BITS {
                return Err(self.invalid("an Exp-Golomb code exceeds 32 bits"));
            }
        }
        Ok((1 << leading_zero_bits) - 1 + self.u(leading_zero_bits)?)
    }

    /// `ue(v)` of the syntax element `name`, which is at most `max`.
    ///
    /// # Errors
    /// As [`ue`](Self::ue), and where the value is larger.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "an integer, of whichever type the element has"
    )]
    pub fn ue_at_most<T>(&mut self, name: &'static str, max: T) -> Result<T, BitFault>
    where
        T: TryFrom<u32> + PartialOrd + std::fmt::Display,
    {
        let value = self.ue()?;
        match T::try_from(value) {
            Ok(value) if value <= max => Ok(value),
            _ => Err(self.invalid(format!("{name} is {value}, expected at most {max}"))),
        }
    }

    /// `se(v)`: a signed Exp-Golomb code (ISO/IEC 14496-10, 9.1.1).
    ///
    /// # Errors
    /// As [`ue`](Self::ue).
    pub fn se(&mut self) -> Result<i32, BitFault> {
        let code = self.ue()?;
        // At most 2³¹ - 1, because the code is at most 2³² - 2.
        let magnitude = code.div_ceil(2).cast_signed();
        Ok(if code % 2 == 1 { magnitude } else { -magnitude })
    }

    /// Skips to the next byte boundary, counted from the data's start.
    pub fn byte_align(&mut self) {
        self.unread_bits = 0;
    }

    fn take_byte(&mut self) -> Result<(), BitFault> {
        let mut byte = self.next_byte()?;
        if let Some(zero_bytes) = self.zero_bytes {
            if zero_bytes >= 2 && byte == 3 {
                byte = self.next_byte()?;
                self.zero_bytes = Some(u32::from(byte == 0));
            } else {
                self.zero_bytes = Some(if byte == 0 { zero_bytes.saturating_add(1) } else { 0 });
            }
        }
        self.current = byte;
        self.unread_bits = 8;
        Ok(())
    }

    fn next_byte(&mut self) -> Result<u8, BitFault> {
        let Some(&byte) = self.data.get(self.taken_bytes) else {
            return Err(BitFault {
                position: self.data.len(),
                problem: Cow::Borrowed("ends too early"),
            });
        };
        self.taken_bytes += 1;
        Ok(byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_length_codes_cross_bytes() {
        let mut bits = BitReader::plain(&[0b1010_0101, 0xff, 0x00, 0x80, 0x01]);
        assert_eq!(bits.u(0), Ok(0));
        assert_eq!(bits.taken_bytes(), 0);
        assert_eq!(bits.u(3), Ok(0b101));
        assert_eq!(bits.u(32), Ok(0x2ff8_0400));
        assert_eq!(bits.left_bits(), 5);
        assert_eq!(bits.u(5), Ok(1));
        assert_eq!(bits.u(1).map_err(|fault| fault.position), Err(5));
    }

    #[test]
    fn exp_golomb_codes_are_those_of_tables_9_2_and_9_3() {
        // 1 010 011 00100 00101 00110 00111, as ue(v) 0..=6 and as se(v) 0, 1, -1, 2, -2, 3, -3.
        let data = [0b1010_0110, 0b0100_0010, 0b1001_1000, 0b1110_0000];
        let mut bits = BitReader::plain(&data);
        assert!((0..=6).all(|value| bits.ue() == Ok(value)));
        let mut bits = BitReader::plain(&data);
        assert!([0, 1, -1, 2, -2, 3, -3].iter().all(|&value| bits.se() == Ok(value)));
    }

    #[test]
    fn the_largest_exp_golomb_code_has_31_leading_zeros() {
        let data = [0, 0, 0, 1, 0xff, 0xff, 0xff, 0xfe];
        assert_eq!(BitReader::plain(&data).ue(), Ok(u32::MAX - 1));
        assert_eq!(BitReader::plain(&data).se(), Ok(-i32::MAX));
        let fault = BitReader::plain(&[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]).ue();
        assert_eq!(fault.map_err(|fault| fault.position), Err(3));
    }

    #[test]
    fn emulation_prevention_bytes_are_skipped_and_counted() {
        let mut bits = BitReader::nal_unit(&[0x65, 0, 0, 3, 1, 0, 0, 3, 0, 0, 3, 3]);
        assert_eq!(bits.u(24), Ok(0x65_0000));
        assert_eq!(bits.taken_bytes(), 3, "nothing behind the escape is read yet");
        assert_eq!(bits.u(1), Ok(0));
        assert_eq!(bits.taken_bytes(), 5);
        assert_eq!(bits.u(7), Ok(1));
        assert_eq!(bits.u(32), Ok(0), "an escape begins a new count of zeros");
        assert_eq!(bits.u(8), Ok(3));
        assert_eq!(bits.taken_bytes(), 12);
    }

    #[test]
    fn plain_bytes_have_no_escapes() {
        let mut bits = BitReader::plain(&[0, 0, 3, 1]);
        assert_eq!(bits.u(32), Ok(0x0301));
    }

    #[test]
    fn an_escape_at_the_end_is_no_data() {
        let mut bits = BitReader::nal_unit(&[0, 0, 3]);
        assert_eq!(bits.u(16), Ok(0));
        assert!(bits.flag().is_err());
    }

    #[test]
    fn values_out_of_range_are_named() {
        let fault = BitReader::plain(&[0b0010_0000]).ue_at_most("chroma_format_idc", 2);
        assert_eq!(
            fault.map_err(|fault| fault.to_string()),
            Err("byte 0: chroma_format_idc is 3, expected at most 2".to_owned())
        );
    }
}

//! Descriptors of AV1 that the other codecs don't have (AV1, 4.10).

use crate::codec::bit_reader::{BitFault, BitReader};

/// `leb128()`: an unsigned integer in little-endian groups of seven bits (4.10.5).
///
/// # Errors
/// [`BitFault`] at the data's end, or where there are more than 8 bytes or the value exceeds 32 bits.
pub fn leb128(bits: &mut BitReader<'_>) -> Result<u32, BitFault> {
    let mut value = 0;
    for i in 0..8 {
        let byte = u64::from(bits.u(8)?);
        value |= (byte & 0x7f) << (i * 7);
        if byte & 0x80 == 0 {
            return u32::try_from(value).map_err(|_| bits.invalid("a leb128 code exceeds 32 bits"));
        }
    }
    Err(bits.invalid("a leb128 code has more than 8 bytes"))
}

/// `su(n)`: a signed integer of `count` bits, from 1 to 32 (4.10.6).
///
/// # Errors
/// [`BitFault`] at the data's end.
pub fn su(bits: &mut BitReader<'_>, count: u32) -> Result<i32, BitFault> {
    let unused_bits = u32::BITS - count;
    Ok((bits.u(count)? << unused_bits).cast_signed() >> unused_bits)
}

/// `ns(n)`: an unsigned integer below `n`, which is not zero (4.10.7).
///
/// # Errors
/// [`BitFault`] at the data's end.
pub fn ns(bits: &mut BitReader<'_>, n: u32) -> Result<u32, BitFault> {
    debug_assert!(0 < n && n < 1 << 31, "the caller's constant or checked value");
    let w = n.ilog2() + 1;
    let m = (1 << w) - n;
    let v = bits.u(w - 1)?;
    if v < m {
        return Ok(v);
    }
    Ok((v << 1) - m + bits.u(1)?)
}

/// Passes over a `uvlc()`, whose value nothing here depends on (4.10.3).
///
/// # Errors
/// [`BitFault`] at the data's end.
pub fn skip_uvlc(bits: &mut BitReader<'_>) -> Result<(), BitFault> {
    let mut leading_zeros = 0_u32;
    while !bits.flag()? {
        leading_zeros = leading_zeros.saturating_add(1);
    }
    // With more zeros, the value is 2³² − 1 and no bits follow.
    if leading_zeros < 32 {
        bits.u(leading_zeros)?;
    }
    Ok(())
}

/// `byte_alignment()`: zero bits up to the next byte (5.3.5).
///
/// # Errors
/// [`BitFault`] where one of them is set: something was misread, or is damaged.
pub fn byte_alignment(bits: &mut BitReader<'_>) -> Result<(), BitFault> {
    if bits.u(bits.bits_to_byte_boundary())? != 0 {
        return Err(bits.invalid("a bit of byte_alignment() is set: the header is damaged"));
    }
    Ok(())
}

/// `trailing_bits()`: a set bit, and zeros to the end of the data (5.3.4).
///
/// # Errors
/// [`BitFault`] where they are others: something was misread, or is damaged.
pub fn trailing_bits(bits: &mut BitReader<'_>) -> Result<(), BitFault> {
    if !bits.flag()? {
        return Err(bits.invalid("trailing_one_bit is 0: the header is damaged"));
    }
    byte_alignment(bits)?;
    while bits.left_bits() > 0 {
        if bits.u(8)? != 0 {
            return Err(bits.invalid("a trailing_zero_bit is 1: the header is damaged"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leb128_codes_have_up_to_8_bytes_and_32_bits() {
        let read = |data: &[u8]| leb128(&mut BitReader::plain(data));
        assert_eq!(read(&[0]), Ok(0));
        assert_eq!(read(&[0xe5, 0x8e, 0x26]), Ok(624_485));
        assert_eq!(read(&[0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0]), Ok(1), "padded");
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Ok(u32::MAX));
        let position = |data: &[u8]| read(data).map_err(|fault| fault.position);
        assert_eq!(position(&[0xff, 0xff, 0xff, 0xff, 0x1f]), Err(4));
        assert_eq!(position(&[0x80; 9]), Err(7));
        assert_eq!(position(&[0x80]), Err(1));
    }

    #[test]
    fn signed_integers_are_twos_complement() {
        let mut bits = BitReader::plain(&[0b0111_1111, 0b1000_0000]);
        assert_eq!(su(&mut bits, 7), Ok(63));
        assert_eq!(su(&mut bits, 2), Ok(-1));
        assert_eq!(su(&mut bits, 7), Ok(0));
        assert_eq!(su(&mut BitReader::plain(&[0x80]), 7), Ok(-64));
    }

    #[test]
    fn non_symmetric_codes_are_those_of_the_table() {
        // n = 5: 00, 01, 10, 110, 111 (4.10.7).
        let mut bits = BitReader::plain(&[0b0001_1011, 0b0111_0000]);
        assert!((0..5).all(|value| ns(&mut bits, 5) == Ok(value)));
        assert_eq!(ns(&mut BitReader::plain(&[]), 1), Ok(0), "no choice takes no bits");
        assert_eq!(ns(&mut BitReader::plain(&[0b1000_0000]), 2), Ok(1));
    }

    #[test]
    fn long_uvlc_codes_have_no_suffix() {
        let mut bits = BitReader::plain(&[0b0010_1101, 0, 0, 0, 0, 0b0110_0000]);
        assert_eq!(skip_uvlc(&mut bits), Ok(()));
        assert_eq!(bits.u(3), Ok(0b101));
        assert_eq!(skip_uvlc(&mut bits), Ok(()), "33 zeros");
        assert_eq!(bits.u(2), Ok(0b10));
        assert!(skip_uvlc(&mut BitReader::plain(&[0; 9])).is_err());
    }

    #[test]
    fn alignment_and_trailing_bits_are_checked() {
        let aligned = |byte: u8| {
            let data = [byte];
            let mut bits = BitReader::plain(&data);
            bits.u(3).and_then(|_| byte_alignment(&mut bits)).is_ok()
        };
        assert!(aligned(0b1110_0000));
        assert!(!aligned(0b1110_0001));
        let trailing = |data: &[u8]| {
            let mut bits = BitReader::plain(data);
            bits.u(3).and_then(|_| trailing_bits(&mut bits)).is_ok()
        };
        assert!(trailing(&[0b0001_0000]));
        assert!(trailing(&[0b0001_0000, 0]));
        assert!(!trailing(&[0b0000_1000]));
        assert!(!trailing(&[0b0001_1000]));
        assert!(!trailing(&[0b0001_0000, 1]));
    }
}

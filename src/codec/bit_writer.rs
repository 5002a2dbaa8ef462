//! Writes bits as [`BitReader`](super::bit_reader::BitReader) reads them, so that tests can make their own streams.

/// Bits, most significant first.
#[derive(Debug, Clone, Default)]
pub struct BitWriter {
    bits: Vec<bool>,
}

impl BitWriter {
    /// `u(n)`, or `f(n)`.
    pub fn u(&mut self, count: u32, value: u32) -> &mut Self {
        self.bits.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
        self
    }

    /// `u(1)`.
    pub fn flag(&mut self, value: bool) -> &mut Self {
        self.u(1, value.into())
    }

    /// `ue(v)`.
    pub fn ue(&mut self, value: u32) -> &mut Self {
        let suffix_bits = (value + 1).ilog2();
        self.u(suffix_bits, 0).u(suffix_bits + 1, value + 1)
    }

    /// `se(v)`.
    pub fn se(&mut self, value: i32) -> &mut Self {
        let doubled = value.unsigned_abs() * 2;
        self.ue(if value > 0 { doubled - 1 } else { doubled })
    }

    /// What `other` holds.
    pub fn append(&mut self, other: &Self) -> &mut Self {
        self.bits.extend(&other.bits);
        self
    }

    /// Bits written so far.
    pub fn len(&self) -> usize {
        self.bits.len()
    }

    /// The stop bit and zeros up to the byte boundary: `rbsp_trailing_bits()`.
    pub fn trailing_bits(&mut self) -> &mut Self {
        self.flag(true);
        while !self.len().is_multiple_of(8) {
            self.flag(false);
        }
        self
    }

    /// The bytes, the last one filled up with zeros.
    pub fn bytes(&self) -> Vec<u8> {
        let byte = |bits: &[bool]| (0..8).fold(0, |byte, i| byte << 1 | u8::from(bits.get(i) == Some(&true)));
        self.bits.chunks(8).map(byte).collect()
    }
}

/// Inserts emulation prevention bytes (ISO/IEC 14496-10, 7.4.1).
pub fn escape(bytes: &[u8]) -> Vec<u8> {
    let mut escaped: Vec<u8> = Vec::with_capacity(bytes.len());
    for &byte in bytes {
        if byte <= 3 && escaped.ends_with(&[0, 0]) {
            escaped.push(3);
        }
        escaped.push(byte);
    }
    escaped
}

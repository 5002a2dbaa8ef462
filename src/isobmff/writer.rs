//! Boxes are written by a closure between "remember the size's place" and "patch the size".

use super::FourCc;

/// Appends a box of type `kind` whose payload `write` appends.
///
/// # Panics
/// Where the payload exceeds 4 GiB: the boxes written this way describe media, they don't hold it.
#[expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "the invariant above; start + 4 was just written"
)]
pub fn boxed(out: &mut Vec<u8>, kind: FourCc, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&kind.0);
    write(out);
    let size = u32::try_from(out.len() - start).expect("a metadata box stays under 4 GiB");
    out[start..start + 4].copy_from_slice(&size.to_be_bytes());
}

/// Appends version and flags of a `FullBox` (ISO/IEC 14496-12, 4.2.2).
pub fn full_box(out: &mut Vec<u8>, version: u8, flags: u32) {
    out.extend_from_slice(&(u32::from(version) << 24 | flags & 0x00ff_ffff).to_be_bytes());
}

/// Appends a table as most boxes have them: the entry count, and each entry by `write`.
#[expect(
    clippy::cast_possible_truncation,
    reason = "entry counts were read from 32 bits, or count samples, which are fewer"
)]
pub fn table<T>(out: &mut Vec<u8>, entries: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
    out.put_u32(entries.len() as u32);
    for entry in entries {
        write(out, entry);
    }
}

/// Appends big-endian integers.
pub trait Put {
    /// One byte.
    fn put_u8(&mut self, value: u8);
    /// Two bytes.
    fn put_u16(&mut self, value: u16);
    /// Four bytes.
    fn put_u32(&mut self, value: u32);
    /// Eight bytes.
    fn put_u64(&mut self, value: u64);
    /// Four bytes, two's complement.
    fn put_i32(&mut self, value: i32);
    /// Four bytes in version 0 of a box, otherwise eight.
    fn put_u32_or_u64(&mut self, version: u8, value: u64);
}

impl Put for Vec<u8> {
    fn put_u8(&mut self, value: u8) {
        self.push(value);
    }
    fn put_u16(&mut self, value: u16) {
        self.extend_from_slice(&value.to_be_bytes());
    }
    fn put_u32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_be_bytes());
    }
    fn put_u64(&mut self, value: u64) {
        self.extend_from_slice(&value.to_be_bytes());
    }
    fn put_i32(&mut self, value: i32) {
        self.extend_from_slice(&value.to_be_bytes());
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "whoever writes version 0 has read it, or knows that it fits"
    )]
    fn put_u32_or_u64(&mut self, version: u8, value: u64) {
        if version == 0 {
            self.put_u32(value as u32);
        } else {
            self.put_u64(value);
        }
    }
}

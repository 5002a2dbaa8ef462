//! A checked cursor over a payload: big-endian fields, never a panic.

use super::{Fault, FourCc, Problem};

/// Reads big-endian fields from a byte slice (ISO/IEC 14496-12, 4.2: all fields are in network byte order).
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    data: &'a [u8],
    position: usize,
}

macro_rules! integer {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// [`Problem::Truncated`] at the data's end.
        pub fn $name(&mut self) -> Result<$name, Fault> {
            Ok($name::from_be_bytes(self.array()?))
        }
    )*};
}

impl<'a> Reader<'a> {
    /// Starts at the first byte of `data`.
    #[must_use]
    pub const fn new(data: &'a [u8]) -> Self {
        Self { data, position: 0 }
    }

    /// Bytes read so far.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.position
    }

    /// Bytes that are left.
    #[must_use]
    pub fn left(&self) -> usize {
        self.data.len().saturating_sub(self.position)
    }

    /// Whether all is read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.left() == 0
    }

    /// A fault at the current position.
    #[must_use]
    pub const fn fault(&self, problem: Problem) -> Fault {
        Fault {
            position: self.position,
            problem,
        }
    }

    /// A fault at the current position: a value that can't be.
    pub fn invalid(&self, what: impl Into<std::borrow::Cow<'static, str>>) -> Fault {
        self.fault(Problem::Invalid(what.into()))
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// [`Problem::Truncated`] where fewer are left.
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let end = self.position.checked_add(count);
        let Some(bytes) = end.and_then(|end| self.data.get(self.position..end)) else {
            return Err(self.fault(Problem::Truncated {
                needed: count as u64,
                left: self.left() as u64,
            }));
        };
        self.position += count;
        Ok(bytes)
    }

    /// All bytes that are left.
    pub fn rest(&mut self) -> &'a [u8] {
        let rest = self.data.get(self.position..).unwrap_or_default();
        self.position = self.data.len();
        rest
    }

    /// The next `N` bytes as an array.
    ///
    /// # Errors
    /// [`Problem::Truncated`] where fewer are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut array = [0; N];
        array.copy_from_slice(self.bytes(N)?);
        Ok(array)
    }

    integer! {
        /// An unsigned 8-bit integer.
        u8
        /// An unsigned 16-bit integer.
        u16
        /// An unsigned 32-bit integer.
        u32
        /// An unsigned 64-bit integer.
        u64
        /// A signed 16-bit integer.
        i16
        /// A signed 32-bit integer.
        i32
        /// A signed 64-bit integer.
        i64
    }

    /// An unsigned 24-bit integer.
    ///
    /// # Errors
    /// [`Problem::Truncated`] at the data's end.
    pub fn u24(&mut self) -> Result<u32, Fault> {
        let [a, b, c] = self.array()?;
        Ok(u32::from_be_bytes([0, a, b, c]))
    }

    /// A four-character code.
    ///
    /// # Errors
    /// [`Problem::Truncated`] at the data's end.
    pub fn fourcc(&mut self) -> Result<FourCc, Fault> {
        Ok(FourCc(self.array()?))
    }

    /// A 32-bit or, in `version` 1 and later, 64-bit unsigned integer, as times and durations are stored.
    ///
    /// # Errors
    /// [`Problem::Truncated`] at the data's end.
    pub fn u32_or_u64(&mut self, version: u8) -> Result<u64, Fault> {
        if version == 0 {
            Ok(u64::from(self.u32()?))
        } else {
            self.u64()
        }
    }

    /// Version and flags of a `FullBox` (ISO/IEC 14496-12, 4.2.2), refusing versions above `newest`.
    ///
    /// # Errors
    /// [`Problem::Truncated`], or [`Problem::Version`].
    pub fn full_box(&mut self, newest: u8) -> Result<(u8, u32), Fault> {
        let start = self.position;
        let version = self.u8()?;
        let flags = self.u24()?;
        if version > newest {
            return Err(Fault {
                position: start,
                problem: Problem::Version(version),
            });
        }
        Ok((version, flags))
    }

    /// A table as most boxes have them: an entry count, and as many entries of `entry_bytes` each, read by `entry`.
    ///
    /// # Errors
    /// [`Problem::Truncated`] where they don't fit, or what `entry` says.
    pub fn table<T>(
        &mut self,
        entry_bytes: usize,
        entry: impl Fn(&mut Self) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        (0..self.count(entry_bytes)?).map(|_| entry(self)).collect()
    }

    /// An entry count, checked against the bytes that are left, so that a hostile count can't ask for memory
    /// that the input does not back.
    ///
    /// # Errors
    /// [`Problem::Truncated`] where `count` entries of `entry_bytes` don't fit.
    pub fn count(&mut self, entry_bytes: usize) -> Result<usize, Fault> {
        let count = self.u32()? as usize;
        let needed = count as u64 * entry_bytes as u64;
        if needed > self.left() as u64 {
            return Err(self.fault(Problem::Truncated {
                needed,
                left: self.left() as u64,
            }));
        }
        Ok(count)
    }
}

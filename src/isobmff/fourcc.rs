//! Four-character codes.

use std::fmt;

/// A four-character code: a box type, a brand, a handler or a scheme (ISO/IEC 14496-12, 4.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct FourCc(pub [u8; 4]);

impl FourCc {
    /// From its four characters, as in `FourCc::new(b"moov")`.
    #[must_use]
    pub const fn new(code: &[u8; 4]) -> Self {
        Self(*code)
    }

    /// Whether its bytes are what registered types are made of: printable ASCII, or `QuickTime`'s `©` in front.
    #[must_use]
    pub fn is_plausible(self) -> bool {
        let [first, rest @ ..] = self.0;
        let printable = |byte: u8| (0x20..0x7f).contains(&byte);
        (printable(first) || first == 0xa9) && rest.into_iter().all(printable)
    }
}

impl fmt::Display for FourCc {
    /// Printable characters as they are, others as `\xNN`, so that hostile input can't steer a terminal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{self}'")
    }
}

impl serde::Serialize for FourCc {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

//! What can be wrong with a box, and where.

use std::borrow::Cow;
use std::fmt;

use super::FourCc;

/// Boxes nest at most this deep; real files reach about ten (`moov/trak/mdia/minf/stbl/stsd/encv/sinf/schi/tenc`).
pub const MAX_DEPTH: usize = 12;

/// The types of a box and of the boxes around it, outermost first; copying it costs no allocation.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct BoxPath {
    types: [FourCc; MAX_DEPTH],
    depth: u8,
}

impl BoxPath {
    /// The path of a child box of type `child`, or `None` where the nesting would go beyond [`MAX_DEPTH`].
    #[must_use]
    pub fn child(mut self, child: FourCc) -> Option<Self> {
        *self.types.get_mut(usize::from(self.depth))? = child;
        self.depth += 1;
        Some(self)
    }

    /// The types, outermost first.
    #[must_use]
    pub fn types(&self) -> &[FourCc] {
        self.types.get(..usize::from(self.depth)).unwrap_or_default()
    }
}

impl fmt::Display for BoxPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.depth == 0 {
            return f.write_str("file");
        }
        for (i, code) in self.types().iter().enumerate() {
            if i > 0 {
                f.write_str("/")?;
            }
            write!(f, "{code}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for BoxPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The data ends before the field does.
    #[error("ends too early: {needed} more bytes needed, {left} left")]
    Truncated {
        /// Bytes that the field takes.
        needed: u64,
        /// Bytes that are there.
        left: u64,
    },
    /// A box is larger than what holds it.
    #[error(
        "its size of {size} bytes overruns what holds it, where {left} bytes are left; the file is truncated or damaged"
    )]
    Overrun {
        /// The size that the header states.
        size: u64,
        /// Bytes that are there.
        left: u64,
    },
    /// A box is smaller than its own header.
    #[error("its size of {size} bytes is smaller than its own header")]
    TooSmall {
        /// The size that the header states.
        size: u64,
    },
    /// Bytes where a box should start, of a type that is not printable.
    #[error("found bytes that are no box (type '{0}')")]
    NotABox(FourCc),
    /// Nesting beyond [`MAX_DEPTH`].
    #[error("boxes nest deeper than {MAX_DEPTH}")]
    TooDeep,
    /// More of something than any real file holds; the limit is a named constant.
    #[error("more than {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// A version of the box that no known standard defines.
    #[error("version {0} is not known")]
    Version(u8),
    /// A required child box is missing.
    #[error("has no '{0}' box")]
    Missing(FourCc),
    /// A value that the standard forbids, or that contradicts another.
    #[error("{0}")]
    Invalid(Cow<'static, str>),
    /// Valid, and not supported.
    #[error("{0}")]
    Unsupported(Cow<'static, str>),
}

/// A [`Problem`] at a byte of the payload that was being read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("byte {position}: {problem}")]
pub struct Fault {
    /// Bytes from the payload's start.
    pub position: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// A [`Problem`] in a box of a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path} at byte {offset}: {problem}")]
pub struct BoxError {
    /// The box and what it stands in.
    pub path: BoxPath,
    /// Bytes from the file's start.
    pub offset: u64,
    /// What is wrong there.
    pub problem: Problem,
}

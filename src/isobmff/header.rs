//! Box headers (ISO/IEC 14496-12, 4.2.2).

use super::{BoxError, BoxPath, FourCc, Problem, Reader};

/// How the size of a box is stored; kept so that what is read is written again byte by byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SizeForm {
    /// 32 bits.
    Compact,
    /// `size` is 1 and 64 bits follow the type.
    Large,
    /// `size` is 0: the box goes to the end of the file.
    ToEnd,
}

impl SizeForm {
    /// Bytes of a header of this form.
    #[must_use]
    pub const fn header_bytes(self) -> usize {
        match self {
            Self::Large => 16,
            Self::Compact | Self::ToEnd => 8,
        }
    }
}

/// A box header, and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoxHeader {
    /// The box's type.
    pub kind: FourCc,
    /// Bytes from the file's start to the header.
    pub offset: u64,
    /// How the size is stored.
    pub form: SizeForm,
    /// Bytes of the whole box, header included.
    pub size: u64,
}

impl BoxHeader {
    /// The most bytes a header takes.
    pub const MAX_BYTES: usize = 16;

    /// Reads the header that `data` starts with, of a box at `offset` in a container that has `left` bytes left.
    ///
    /// # Errors
    /// [`BoxError`] naming `parent` where the header is cut off, or states a size that can't be.
    pub fn parse(data: &[u8], offset: u64, left: u64, parent: BoxPath) -> Result<Self, BoxError> {
        let header = Self::read(data, offset, left, parent)?;
        match header.overrun(left, parent) {
            Some(error) => Err(error),
            None => Ok(header),
        }
    }

    /// Reads a header as [`Self::parse`] does, of a box that may overrun what holds it.
    ///
    /// # Errors
    /// Those of [`Self::parse`], but [`Problem::Overrun`].
    pub fn read(data: &[u8], offset: u64, left: u64, parent: BoxPath) -> Result<Self, BoxError> {
        let at = |path: BoxPath, problem| BoxError { path, offset, problem };
        let mut reader = Reader::new(data);
        let (size, kind) =
            (|| Ok((reader.u32()?, reader.fourcc()?)))().map_err(|fault: super::Fault| at(parent, fault.problem))?;
        if !kind.is_plausible() {
            return Err(at(parent, Problem::NotABox(kind)));
        }
        let path = parent.child(kind).ok_or_else(|| at(parent, Problem::TooDeep))?;
        let (form, size) = match size {
            // To the end of the file, which only a box at its top can reach (4.2.2): inside another box, it would
            // swallow what is written behind it.
            0 if parent == BoxPath::default() => (SizeForm::ToEnd, left),
            1 => (SizeForm::Large, reader.u64().map_err(|fault| at(path, fault.problem))?),
            _ => (SizeForm::Compact, u64::from(size)),
        };
        if size < form.header_bytes() as u64 {
            return Err(at(path, Problem::TooSmall { size }));
        }
        Ok(Self {
            kind,
            offset,
            form,
            size,
        })
    }

    /// What is wrong where the box is larger than the `left` bytes of what holds it, `parent`.
    #[must_use]
    pub fn overrun(&self, left: u64, parent: BoxPath) -> Option<BoxError> {
        (self.size > left).then(|| BoxError {
            path: parent.child(self.kind).unwrap_or(parent),
            offset: self.offset,
            problem: Problem::Overrun { size: self.size, left },
        })
    }

    /// Bytes from the file's start to the payload.
    #[must_use]
    pub const fn payload_offset(&self) -> u64 {
        self.offset + self.form.header_bytes() as u64
    }

    /// Bytes of the payload.
    #[must_use]
    pub const fn payload_bytes(&self) -> u64 {
        self.size - self.form.header_bytes() as u64
    }

    /// Bytes from the file's start to the end of the box; at most 2^64 - 1 where it overruns what holds it.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.offset.saturating_add(self.size)
    }
}

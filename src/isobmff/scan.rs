//! The boxes at the top of a file, found by positioned reads of their headers alone.

use std::io;

use super::{BoxError, BoxHeader, BoxPath, Problem};

/// Bytes that can be read at any position, from several threads.
pub trait ReadAt {
    /// Bytes that there are.
    fn len(&self) -> u64;

    /// Whether there is nothing.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `buffer` from `offset` on.
    ///
    /// # Errors
    /// Those of reading, and `UnexpectedEof` where the bytes end before `buffer` is full.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

/// A file that can't be read, or that is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// Reading failed.
    #[error("reading {bytes} bytes at byte {offset} failed: {cause}")]
    Io {
        /// Bytes from the file's start.
        offset: u64,
        /// How many were asked for.
        bytes: u64,
        /// Why it failed.
        cause: io::Error,
    },
    /// A box can't be.
    #[error(transparent)]
    Box(#[from] BoxError),
}

/// Box headers at the top of a file, in order.
///
/// Ends after the first error.
pub struct TopLevel<'a, S: ?Sized> {
    source: &'a S,
    pub(super) offset: u64,
}

impl<'a, S: ReadAt + ?Sized> TopLevel<'a, S> {
    /// From the first byte on.
    pub const fn new(source: &'a S) -> Self {
        Self { source, offset: 0 }
    }

    /// The header at the current place, `left` bytes before the end.
    pub(super) fn read_header(&self, left: u64) -> Result<BoxHeader, ScanError> {
        let mut bytes = [0; BoxHeader::MAX_BYTES];
        #[expect(clippy::cast_possible_truncation, reason = "at most 16")]
        let available = left.min(BoxHeader::MAX_BYTES as u64) as usize;
        let head = bytes.get_mut(..available).unwrap_or_default();
        read_at(self.source, head, self.offset)?;
        Ok(BoxHeader::read(head, self.offset, left, BoxPath::default())?)
    }
}

impl<S: ReadAt + ?Sized> Iterator for TopLevel<'_, S> {
    type Item = Result<BoxHeader, ScanError>;

    fn next(&mut self) -> Option<Self::Item> {
        let left = self.source.len().checked_sub(self.offset).filter(|left| *left > 0)?;
        let header = self
            .read_header(left)
            .and_then(|header| match header.overrun(left, BoxPath::default()) {
                Some(error) => Err(error.into()),
                None => Ok(header),
            });
        self.offset = header.as_ref().map_or(self.source.len(), BoxHeader::end);
        Some(header)
    }
}

/// Reads the whole box that `header` stands in front of, header included.
///
/// # Errors
/// [`Problem::TooMany`] where it has more than `limit` bytes, and errors of reading.
pub fn read_box<S: ReadAt + ?Sized>(source: &S, header: &BoxHeader, limit: usize) -> Result<Vec<u8>, ScanError> {
    let size = usize::try_from(header.size)
        .ok()
        .filter(|size| *size <= limit)
        .ok_or(BoxError {
            path: BoxPath::default().child(header.kind).unwrap_or_default(),
            offset: header.offset,
            problem: Problem::TooMany {
                what: "bytes in a box that must be read whole",
                limit: limit as u64,
            },
        })?;
    let mut bytes = vec![0; size];
    read_at(source, &mut bytes, header.offset)?;
    Ok(bytes)
}

/// Fills `buffer` from `offset` on, saying where a failure was.
///
/// # Errors
/// [`ScanError::Io`].
pub fn read_at<S: ReadAt + ?Sized>(source: &S, buffer: &mut [u8], offset: u64) -> Result<(), ScanError> {
    let bytes = buffer.len() as u64;
    source
        .read_exact_at(buffer, offset)
        .map_err(|cause| ScanError::Io { offset, bytes, cause })
}

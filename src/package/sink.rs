//! Where the bytes of a segment go: to a file of its own, as they are or encrypted as a whole, or to its place in a single file.

use std::fs::File;
use std::io::{self, IoSlice, Write};

use super::single_file::Slot;
use crate::protect::whole_segment::SegmentEncryptor;

/// A segment that is encrypted as a whole is encrypted piece by piece, of at most this many bytes.
const ENCRYPTED_AT_ONCE_BYTES: usize = 256 << 10;

/// What takes the bytes of a segment.
pub(super) enum Sink<'s> {
    /// A file of its own.
    Plain(File),
    /// A file of its own, encrypted as a whole.
    Encrypted(File, Box<SegmentEncryptor>, &'s mut Vec<u8>),
    /// Its place in a single file.
    Shared(Slot<'s>),
}

/// Bytes that were not written.
pub(super) enum SinkError {
    /// The system says why.
    Write(io::Error),
    /// Another segment of the same file was given up, so this one has no place in it. Whoever gave up says why.
    GivenUp,
}

impl From<io::Error> for SinkError {
    fn from(cause: io::Error) -> Self {
        Self::Write(cause)
    }
}

impl Sink<'_> {
    /// Writes two slices, one behind the other, and returns the bytes that they became.
    pub fn write(&mut self, head: &[u8], data: &[u8]) -> Result<u64, SinkError> {
        match self {
            Self::Plain(file) => Ok(write_all(file, head, data)?),
            Self::Encrypted(file, encryptor, buffer) => {
                let mut bytes = 0;
                for piece in std::iter::once(head).chain(data.chunks(ENCRYPTED_AT_ONCE_BYTES)) {
                    buffer.clear();
                    encryptor.push(piece, buffer);
                    file.write_all(buffer)?;
                    bytes += buffer.len() as u64;
                }
                Ok(bytes)
            }
            Self::Shared(slot) => slot.write(head, data),
        }
    }

    /// Ends the segment, and returns the bytes that this adds.
    pub fn finish(self) -> Result<u64, SinkError> {
        match self {
            Self::Plain(_) => Ok(0),
            Self::Encrypted(mut file, encryptor, buffer) => {
                buffer.clear();
                encryptor.finish(buffer);
                file.write_all(buffer)?;
                Ok(buffer.len() as u64)
            }
            Self::Shared(slot) => slot.finish().map(|()| 0),
        }
    }
}

/// Writes two slices, with one call to the system where it takes them whole, and returns their bytes.
pub(super) fn write_all(file: &mut File, head: &[u8], data: &[u8]) -> io::Result<u64> {
    let bytes = (head.len() + data.len()) as u64;
    let written = file.write_vectored(&[IoSlice::new(head), IoSlice::new(data)])?;
    let Some(of_data) = written.checked_sub(head.len()) else {
        file.write_all(head.get(written..).unwrap_or_default())?;
        file.write_all(data)?;
        return Ok(bytes);
    };
    file.write_all(data.get(of_data..).unwrap_or_default())?;
    Ok(bytes)
}

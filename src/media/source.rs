//! Where an input's bytes come from: one file, or an init segment and its media segments read as one.

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::isobmff::ReadAt;

/// Files read as if they were one: an init segment and the media segments behind it are a fragmented MP4.
#[derive(Debug)]
pub struct Source {
    parts: Vec<Part>,
    /// A lone file stays open; of many, each is opened when it is read, for there may be thousands.
    open: Option<File>,
    bytes: u64,
}

/// One file of a [`Source`], or a range of it.
struct Part {
    path: PathBuf,
    /// Where it starts in the whole.
    start: u64,
    /// Where it starts in its file.
    file_offset: u64,
    view: Option<View>,
}

/// What a file's bytes are read as, where that is not what stands in it.
pub type View = Box<dyn ReadAt + Send + Sync>;

/// What is read of a file.
pub enum Piece {
    /// All of it.
    Whole,
    /// A range of its bytes.
    Range(Range<u64>),
    /// What it is read as.
    View(View),
}

impl From<Option<Range<u64>>> for Piece {
    /// A range, or all of the file.
    fn from(range: Option<Range<u64>>) -> Self {
        range.map_or(Self::Whole, Self::Range)
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Part").field(&self.path).field(&self.start).finish()
    }
}

impl Source {
    /// Opens a file.
    ///
    /// # Errors
    /// Those of the system, and `InvalidInput` where it is no regular file.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::of(File::open(path)?, path)
    }

    /// An open file, which errors call `path`.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub fn of(file: File, path: &Path) -> io::Result<Self> {
        let bytes = regular_file_bytes(&file.metadata()?)?;
        Ok(Self {
            parts: vec![Part {
                path: path.to_owned(),
                start: 0,
                file_offset: 0,
                view: None,
            }],
            open: Some(file),
            bytes,
        })
    }

    /// Joins files, in order.
    ///
    /// # Errors
    /// Those of the system, with the path.
    pub fn join(paths: impl IntoIterator<Item = PathBuf>) -> io::Result<Self> {
        Self::assemble(paths.into_iter().map(|path| (path, Piece::Whole)))
    }

    /// Joins pieces of files, in order.
    ///
    /// # Errors
    /// Those of the system, and `InvalidInput` where a range lies outside of its file; both with the path.
    pub fn assemble<P: Into<Piece>>(parts: impl IntoIterator<Item = (PathBuf, P)>) -> io::Result<Self> {
        let mut source = Self {
            parts: Vec::new(),
            open: None,
            bytes: 0,
        };
        for (path, piece) in parts {
            let (range, view) = match piece.into() {
                Piece::Whole => (None, None),
                Piece::Range(range) => (Some(range), None),
                Piece::View(view) => (None, Some(view)),
            };
            let range = std::fs::metadata(&path)
                .and_then(|metadata| {
                    let bytes = regular_file_bytes(&metadata)?;
                    let bytes = view.as_ref().map_or(bytes, |view| view.len());
                    let range = range.unwrap_or(0..bytes);
                    let what = || format!("bytes {} to {} of a file of {bytes}", range.start, range.end);
                    if range.start > range.end || range.end > bytes {
                        return Err(io::Error::new(io::ErrorKind::InvalidInput, what()));
                    }
                    Ok(range)
                })
                .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
            source.parts.push(Part {
                path,
                start: source.bytes,
                file_offset: range.start,
                view,
            });
            source.bytes = source.bytes.saturating_add(range.end - range.start);
        }
        Ok(source)
    }

    /// The path of the first file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.parts.first().map_or(Path::new(""), |part| &part.path)
    }

    /// Bytes of all files together.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The file that holds byte `offset`, and where in it.
    #[must_use]
    pub fn locate(&self, offset: u64) -> (&Path, u64) {
        self.part_at(offset).map_or((Path::new(""), offset), |(part, _)| {
            (&part.path, offset - part.start + part.file_offset)
        })
    }

    /// The part that holds byte `offset`, and where it ends.
    fn part_at(&self, offset: u64) -> Option<(&Part, u64)> {
        let next = self.parts.partition_point(|part| part.start <= offset);
        let part = self.parts.get(next.checked_sub(1)?)?;
        let end = self.parts.get(next).map_or(self.bytes, |part| part.start);
        Some((part, end))
    }
}

fn regular_file_bytes(metadata: &std::fs::Metadata) -> io::Result<u64> {
    if metadata.is_file() {
        return Ok(metadata.len());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        "not a regular file; inputs are read at several places at once",
    ))
}

impl ReadAt for Source {
    fn len(&self) -> u64 {
        self.bytes
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        if let Some(file) = &self.open {
            return file.read_exact_at(buffer, offset);
        }
        let mut rest = buffer;
        let mut offset = offset;
        while !rest.is_empty() {
            let Some((part, end)) = self.part_at(offset).filter(|(_, end)| offset < *end) else {
                return Err(io::ErrorKind::UnexpectedEof.into());
            };
            let here = usize::try_from(end - offset).unwrap_or(usize::MAX).min(rest.len());
            let (now, later) = rest.split_at_mut(here);
            let offset_in_part = offset - part.start;
            match &part.view {
                Some(view) => view.read_exact_at(now, offset_in_part)?,
                None => File::open(&part.path)?.read_exact_at(now, part.file_offset + offset_in_part)?,
            }
            rest = later;
            offset += here as u64;
        }
        Ok(())
    }
}

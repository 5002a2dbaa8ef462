//! What a verification found: differences, each at its place.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::isobmff::BoxError;
use crate::isobmff::scan::ScanError;

/// At most this many differences are kept; the others are counted. One damaged fragment may have thousands.
pub const MAX_DIFFERENCES: usize = 100;

/// Something in an output that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The file, relative to the output.
    pub file: PathBuf,
    /// Which sample of that file, in decode order; the first is 1.
    pub sample: Option<u64>,
    /// Bytes from the file's start.
    pub offset: Option<u64>,
    /// What was found, and what was expected.
    pub what: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(sample) = self.sample {
            write!(f, ", sample {sample}")?;
        }
        if let Some(offset) = self.offset {
            write!(f, ", byte {offset}")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// Differences in the order in which they were found.
#[derive(Debug, Default)]
pub struct Findings {
    kept: Vec<Difference>,
    count: u64,
}

impl Findings {
    /// Adds a difference.
    pub fn add(&mut self, difference: Difference) {
        self.count += 1;
        if self.kept.len() < MAX_DIFFERENCES {
            self.kept.push(difference);
        }
    }

    /// Adds what others found, behind what is here.
    pub fn append(&mut self, other: Self) {
        self.count += other.count;
        let room = MAX_DIFFERENCES - self.kept.len();
        self.kept.extend(other.kept.into_iter().take(room));
    }

    /// How many there are, those beyond [`MAX_DIFFERENCES`] included.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The first [`MAX_DIFFERENCES`].
    #[must_use]
    pub fn kept(&self) -> &[Difference] {
        &self.kept
    }

    /// Collects the differences of one file.
    pub const fn of<'f>(&'f mut self, file: &'f Path) -> FileFindings<'f> {
        self.of_range(file, 0)
    }

    /// Collects the differences of a part of a file that begins at byte `start`, by their places in the part.
    pub const fn of_range<'f>(&'f mut self, file: &'f Path, start: u64) -> FileFindings<'f> {
        FileFindings {
            findings: self,
            file,
            start,
        }
    }
}

/// Collects the differences of one file.
pub struct FileFindings<'f> {
    findings: &'f mut Findings,
    file: &'f Path,
    start: u64,
}

impl FileFindings<'_> {
    /// A difference that concerns the whole file.
    pub fn add(&mut self, what: impl Into<String>) {
        self.push(None, None, what.into());
    }

    /// A difference at a byte of the file.
    pub fn add_at(&mut self, offset: u64, what: impl Into<String>) {
        self.push(None, Some(offset), what.into());
    }

    /// A difference in a sample of the file, counted from 0, at a byte of the file.
    pub fn add_in_sample(&mut self, index: u64, offset: u64, what: impl Into<String>) {
        self.push(Some(index + 1), Some(offset), what.into());
    }

    /// A difference in a sample of the file, counted from 0, unless `found` is `expected`.
    pub fn expect_in_sample<T: PartialEq + fmt::Debug>(
        &mut self,
        (index, offset): (u64, u64),
        what: &str,
        found: &T,
        expected: &T,
    ) {
        if found != expected {
            self.add_in_sample(index, offset, format!("{what} is {found:?}, expected {expected:?}"));
        }
    }

    /// A difference at a byte of the file, unless `found` is `expected`.
    pub fn expect_at<T: PartialEq + fmt::Debug>(&mut self, offset: u64, what: &str, found: &T, expected: &T) {
        if found != expected {
            self.add_at(offset, format!("{what} is {found:?}, expected {expected:?}"));
        }
    }

    /// A box that can't be read.
    pub fn add_box_error(&mut self, error: &BoxError) {
        self.add_at(error.offset, format!("{}: {}", error.path, error.problem));
    }

    /// A file that can't be read.
    pub fn add_scan_error(&mut self, error: &ScanError) {
        match error {
            ScanError::Box(error) => self.add_box_error(error),
            ScanError::Io { offset, .. } => self.add_at(*offset, error.to_string()),
        }
    }

    fn push(&mut self, sample: Option<u64>, offset: Option<u64>, what: String) {
        self.findings.add(Difference {
            file: self.file.to_owned(),
            sample,
            offset: offset.map(|offset| offset.saturating_add(self.start)),
            what,
        });
    }
}

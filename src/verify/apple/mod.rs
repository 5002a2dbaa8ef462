//! HLS as Apple's players want it: the rules of the "HTTP Live Streaming (HLS) authoring specification for Apple devices", and
//! what RFC 8216bis says beside them, over anybody's output.
//!
//! It needs no keys: playlists and boxes are read, and no media data. What can't be looked into is said to be not checked.

mod codecs;
mod init;
mod presentation;
mod report;
mod rules;
mod segment;
mod tags;

use std::io;
use std::path::{Path, PathBuf};

pub use report::{Counts, Place, Report, RuleReport, Verdict};
pub use rules::Level;

use presentation::Presentation;

/// Which revision of the specification the rules are of.
pub const REVISION: &str = "2025-06-26";

/// A presentation that can't be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppleError {
    /// A file or folder can't be read.
    #[error("{} can't be read: {cause}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A file is no playlist.
    #[error("{} is no playlist: its first line is not #EXTM3U", path.display())]
    NoPlaylist {
        /// The file.
        path: PathBuf,
    },
    /// The folder does not say by itself where the presentation begins.
    #[error("{} has no playlist to begin with: found {found}; give the multivariant playlist itself", folder.display())]
    NoBeginning {
        /// The folder.
        folder: PathBuf,
        /// The playlists in it.
        found: String,
    },
    /// More than is read.
    #[error("{}: more than {limit} {what}", path.display())]
    TooMany {
        /// The playlist where it was too much.
        path: PathBuf,
        /// How many are read.
        limit: usize,
        /// Of what.
        what: &'static str,
    },
}

/// Checks every rule over the presentation that `path` names: a playlist, or a folder with one.
///
/// # Errors
/// [`AppleError`] where there is no playlist to begin with. What is missing or damaged behind it is in the report.
pub fn check(path: &Path) -> Result<Report, AppleError> {
    Ok(Report::of(&Presentation::open(path)?))
}

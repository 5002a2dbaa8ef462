//! An independent look at an output: against itself, against its keys, and against its source.
//!
//! Nothing here calls the code that wrote: playlists have a reader of their own, subsample maps are computed again
//! from decrypted samples, and times and bit rates are measured from the bytes that are there.

pub mod apple;
mod check;
mod dash;
mod description;
pub mod findings;
mod hls;
pub mod init;
mod ivs;
mod output;
pub mod playlist;
mod report;
mod samples;
mod segment;
mod single_file;
mod text;
mod tree;

use std::io;
use std::path::PathBuf;

use crate::isobmff::scan::ScanError;
use crate::package::hls::MULTIVARIANT_PLAYLIST;

pub use check::{Check, KnownKey};
pub use findings::{Difference, Findings};
pub use init::InitSegment;
pub use output::{Output, Part, Rendition, SegmentFile};
pub use report::{Report, TrackReport};

/// What an output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Made by the packager, which knows what stands in it.
    Own,
    /// Made by others and encrypted as it was: it may have all that HLS knows.
    Tree,
}

/// A folder that can't be verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// There is no multivariant playlist in it.
    #[error("{} is no output of vylux-pack: there is no {MULTIVARIANT_PLAYLIST} in it; a tree is given by its playlist", folder.display())]
    NoOutput {
        /// The folder.
        folder: PathBuf,
    },
    /// A file or folder can't be read.
    #[error("{} can't be read: {cause}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A sample of the source can't be read.
    #[error("{}: {cause}", path.display())]
    Source {
        /// The source.
        path: PathBuf,
        /// Why.
        cause: ScanError,
    },
}

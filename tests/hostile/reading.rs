//! What is read from a file, to be compared.

use std::path::Path;

use vylux_pack::isobmff::scan::ScanError;
use vylux_pack::media::{Cause, InputError, Presentation, Sample, SubtitlesError};

/// A track: its ID, ticks a second, edit shift and samples.
#[derive(Debug, PartialEq, Eq)]
pub struct ReadTrack {
    pub id: u32,
    pub timescale: u32,
    pub shift_ticks: i64,
    pub samples: Vec<Sample>,
}

impl ReadTrack {
    /// Whether this is the start of `whole`.
    pub fn starts(&self, whole: &Self) -> bool {
        (self.id, self.timescale, self.shift_ticks) == (whole.id, whole.timescale, whole.shift_ticks)
            && whole.samples.starts_with(&self.samples)
    }
}

/// Reads a file's tracks.
pub fn read(path: &Path) -> Result<Vec<ReadTrack>, InputError> {
    Presentation::open(&[path]).map(|presentation| tracks_of(&presentation))
}

/// The tracks of a presentation.
pub fn tracks_of(presentation: &Presentation) -> Vec<ReadTrack> {
    let tracks = presentation.tracks.iter().map(|track| ReadTrack {
        id: track.id,
        timescale: track.timescale.get(),
        shift_ticks: track.shift.ticks,
        samples: track.samples.all().collect(),
    });
    tracks.collect()
}

/// Whether an error says which box is wrong, and at which byte; text without a film is wrong nowhere.
pub fn is_located(error: &InputError) -> bool {
    matches!(
        error.cause,
        Cause::Scan(ScanError::Box(_)) | Cause::Codec { .. } | Cause::Subtitles(SubtitlesError::Alone)
    )
}

//! A rendition in one file: its init segment, an index, and the fragments of all segments, one behind the other
//! (ISO/IEC 23000-19, 7.3.3.1, a CMAF track file).

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::sink::SinkError;
use super::{PackageError, Rendition, WrittenRendition};
use crate::isobmff::TypedBox;
use crate::isobmff::sidx::{Reference, SegmentIndex};
use crate::media::Track;

/// Segments that a file can have: what counts them in its index has 16 bits (ISO/IEC 14496-12, 8.16.3).
pub const MAX_SEGMENTS: usize = u16::MAX as usize;

/// Bytes that a segment can have: its size in the index has 31 bits (ISO/IEC 14496-12, 8.16.3).
const MAX_SEGMENT_BYTES: u64 = (1 << 31) - 1;

/// What a worker keeps of a segment whose place is not known yet. With more of it, the worker waits.
const MAX_PENDING_BYTES: usize = 8 << 20;

/// Where the parts of a single file are, but for its segments, which follow in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SingleFile {
    /// The init segment.
    pub init: Range<u64>,
    /// The index, `sidx`.
    pub index: Range<u64>,
}

/// A file that several workers write, each another segment, in any order.
///
/// Where a segment begins is known when the one in front is prepared, so that is when its place is told, and not when it is
/// written: segments are written side by side.
pub(super) struct SharedFile {
    path: PathBuf,
    file: File,
    places: SingleFile,
    turn: Mutex<Turn>,
    changed: Condvar,
}

/// The segment whose place is known.
struct Turn {
    segment: usize,
    start: u64,
    /// A segment in front of others was given up, so nobody will ever know where they begin.
    is_given_up: bool,
}

impl SharedFile {
    /// Makes the file of a rendition, with its init segment and room for its index.
    pub fn create(rendition: &Rendition<'_>, path: PathBuf, init: &[u8]) -> Result<Self, PackageError> {
        let failed = |cause| PackageError::write(&path, cause);
        let file = File::create_new(&path).map_err(failed)?;
        file.write_all_at(init, 0).map_err(failed)?;
        let mut index = Vec::new();
        index_of(
            rendition.track,
            std::iter::repeat_n(Reference::default(), rendition.plan.segments.len()),
            0,
        )
        .write(&mut index);
        let init_end = init.len() as u64;
        let places = SingleFile {
            init: 0..init_end,
            index: init_end..init_end + index.len() as u64,
        };
        let turn = Turn {
            segment: 0,
            start: places.index.end,
            is_given_up: false,
        };
        Ok(Self {
            path,
            file,
            places,
            turn: Mutex::new(turn),
            changed: Condvar::new(),
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A segment to write, by its index. Segments have to be begun in order, and their workers to run at the same time; what a worker
    /// keeps meanwhile is in `pending`.
    pub fn slot<'s>(&'s self, segment: usize, pending: &'s mut Vec<u8>) -> Slot<'s> {
        pending.clear();
        Slot {
            shared: self,
            segment,
            start: None,
            pending,
            bytes: 0,
            is_finished: false,
        }
    }

    /// Writes the index, when all segments are written.
    pub fn finish(self, rendition: &Rendition<'_>, written: &WrittenRendition) -> Result<SingleFile, PackageError> {
        let Rendition { track, plan, .. } = rendition;
        // In the time of the movie, as the edit list leaves it, which has nothing in front of zero.
        let shown: Vec<i64> = written.timeline.iter().map(|time| time.ticks.max(0)).collect();
        let duration = |pair: &[i64]| match pair {
            [start, end] => u32::try_from(end.saturating_sub(*start)).ok(),
            _ => None,
        };
        let durations: Option<Vec<u32>> = shown.windows(2).map(duration).collect();
        let durations = durations.ok_or_else(|| {
            let what =
                "a segment lasts longer than the index of a single file can say; make --segment-duration shorter";
            PackageError::write(&self.path, io::Error::new(io::ErrorKind::InvalidInput, what))
        })?;
        let segments = plan.segments.iter().zip(&written.segments).zip(&written.timeline);
        let references = segments
            .zip(durations)
            .map(|(((planned, written), start), duration_ticks)| {
                let first = planned
                    .fragments
                    .first()
                    .and_then(|samples| track.samples.get(samples.start));
                let is_shown_first = first.is_some_and(|first| track.presentation_time(&first) == *start);
                Reference {
                    is_index: false,
                    size: u32::try_from(written.bytes).unwrap_or(u32::MAX),
                    duration_ticks,
                    stream_access_point: match (written.is_independent, is_shown_first) {
                        (true, true) => Reference::access_point(1),
                        (true, false) => Reference::access_point(2),
                        (false, _) => 0,
                    },
                }
            });
        let start = shown.first().and_then(|start| u64::try_from(*start).ok()).unwrap_or(0);
        let mut index = Vec::new();
        index_of(track, references, start).write(&mut index);
        let written = self.file.write_all_at(&index, self.places.index.start);
        written.map_err(|cause| PackageError::write(&self.path, cause))?;
        Ok(self.places)
    }

    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The index of a track whose segments begin at its end.
fn index_of(
    track: &Track,
    references: impl Iterator<Item = Reference>,
    earliest_presentation_time: u64,
) -> SegmentIndex {
    SegmentIndex {
        version: 1,
        reference_id: track.id,
        timescale: track.timescale.get(),
        earliest_presentation_time,
        first_offset: 0,
        references: references.collect(),
    }
}

fn too_large() -> SinkError {
    let what =
        "a segment has 2 GiB, which is more than the index of a single file can say; make --segment-duration shorter";
    io::Error::new(io::ErrorKind::FileTooLarge, what).into()
}

/// A segment of a shared file while it is written. Dropped before it is finished, it is given up.
pub(super) struct Slot<'s> {
    shared: &'s SharedFile,
    segment: usize,
    /// Where it begins in the file, as soon as this is known.
    start: Option<u64>,
    /// Its first bytes, as long as it is not.
    pending: &'s mut Vec<u8>,
    /// Bytes of it so far.
    bytes: u64,
    is_finished: bool,
}

impl Slot<'_> {
    /// Appends to the segment, and returns the bytes.
    pub fn write(&mut self, head: &[u8], data: &[u8]) -> Result<u64, SinkError> {
        let bytes = (head.len() + data.len()) as u64;
        if self.bytes + bytes > MAX_SEGMENT_BYTES {
            return Err(too_large());
        }
        let must_wait = self.pending.len() + head.len() + data.len() > MAX_PENDING_BYTES;
        if self.start.is_none() && self.find_start(must_wait)?.is_none() {
            self.pending.extend_from_slice(head);
            self.pending.extend_from_slice(data);
        } else if let Some(start) = self.start {
            self.flush(start)?;
            let file = &self.shared.file;
            file.write_all_at(head, start + self.bytes)?;
            file.write_all_at(data, start + self.bytes + head.len() as u64)?;
        }
        self.bytes += bytes;
        Ok(bytes)
    }

    /// Ends the segment: the next one begins behind it.
    pub fn finish(mut self) -> Result<(), SinkError> {
        let Some(start) = self.find_start(true)? else {
            return Err(SinkError::GivenUp);
        };
        let mut turn = self.shared.turn();
        turn.segment = self.segment + 1;
        turn.start = start + self.bytes;
        drop(turn);
        self.is_finished = true;
        self.shared.changed.notify_all();
        self.flush(start)?;
        Ok(())
    }

    /// Looks where the segment begins, or waits until that is known.
    fn find_start(&mut self, waits: bool) -> Result<Option<u64>, SinkError> {
        if self.start.is_some() {
            return Ok(self.start);
        }
        let mut turn = self.shared.turn();
        loop {
            if turn.is_given_up {
                return Err(SinkError::GivenUp);
            }
            if turn.segment == self.segment {
                self.start = Some(turn.start);
                return Ok(self.start);
            }
            if !waits {
                return Ok(None);
            }
            turn = self.shared.changed.wait(turn).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Writes what was kept, which are the segment's first bytes.
    fn flush(&mut self, start: u64) -> io::Result<()> {
        self.shared.file.write_all_at(self.pending, start)?;
        self.pending.clear();
        Ok(())
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        if !self.is_finished {
            self.shared.turn().is_given_up = true;
            self.shared.changed.notify_all();
        }
    }
}

//! Writes segments and playlists, and publishes them in one step.

pub mod clear;
pub mod dash;
pub mod generations;
pub mod hls;
pub mod iframes;
pub mod init_segment;
pub mod labels;
pub mod media_segment;
pub mod publish;
pub mod rendition;
pub mod single_file;
mod sink;
pub mod text;
pub mod tree;
pub mod workers;

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::codec::{Captions, SegmentWatch};
use crate::content_key::Kid;
use crate::isobmff::scan::ScanError;
use crate::isobmff::seig::SampleEncryptionGroup;
use crate::media::{MediaKind, Time, Track, sample_table};
use crate::plan::{PlannedSegment, TrackPlan};
use crate::protect::{FragmentWorker, ProtectError, Protection, TrackProtection};

pub use iframes::IFrame;
pub use labels::{CaptionsLabels, HdcpLevel, Labels, Score};
pub use publish::{StagedFile, Staging};
pub use rendition::{Name, Names};
pub use single_file::SingleFile;

use single_file::SharedFile;
use sink::{Sink, SinkError};
pub use text::{TextRendition, write_text};

/// What is to be written of one track.
pub struct Rendition<'a> {
    /// Its place in the output.
    pub name: Name,
    /// The track.
    pub track: &'a Track,
    /// How it is cut.
    pub plan: &'a TrackPlan,
    /// Its periods, in order; one where its key stays the same. Together they have each segment once.
    pub periods: Vec<Period<'a>>,
    /// Whether keys change within one init segment, by groups of samples that fragments describe.
    pub sample_groups: bool,
    /// Whether init segment and segments are one file; it has a single init segment then.
    pub is_single_file: bool,
    /// What playlists say of it.
    pub labels: Labels,
}

/// Segments of a rendition, one behind the other, that have their key in common.
#[derive(Clone)]
pub struct Period<'a> {
    /// The segments, by their index in the plan.
    pub segments: Range<usize>,
    /// How they are protected, if they are.
    pub protection: Option<KeyedProtection<'a>>,
}

impl Period<'_> {
    /// How its samples are protected, if they are; its init segment says so.
    #[must_use]
    pub fn of_samples(&self) -> Option<&TrackProtection> {
        self.protection?.protection.of_samples()
    }
}

impl<'a> Rendition<'a> {
    /// How the first protected segment is protected.
    #[must_use]
    pub fn protection(&self) -> Option<KeyedProtection<'a>> {
        self.periods.iter().find_map(|period| period.protection)
    }

    /// The index of each period's init segment. Periods share one that says the same: nothing of protection.
    pub fn init_segments(&self) -> impl Iterator<Item = usize> {
        let mut index = 0;
        let mut before: Option<&Period<'_>> = None;
        self.periods.iter().map(move |period| {
            let has_own = |period: &Period<'_>| !self.sample_groups && period.of_samples().is_some();
            let differs = |before: &Period<'_>| has_own(before) || has_own(period);
            index += usize::from(before.replace(period).is_some_and(differs));
            index
        })
    }
}

impl Rendition<'_> {
    /// The protection that the init segment of a period tells of: with groups of samples, that of the first protected period.
    fn of_init<'s>(&'s self, period: &'s Period<'_>) -> Option<&'s TrackProtection> {
        if self.sample_groups {
            self.protection()?.protection.of_samples()
        } else {
            period.of_samples()
        }
    }

    /// The group of a period's samples, where the init segment tells of another protection.
    fn group(&self, period: &Period<'_>) -> Option<SampleEncryptionGroup> {
        let tenc = self.of_init(period)?.tenc();
        match period.of_samples().map(TrackProtection::tenc) {
            None => Some(SampleEncryptionGroup::clear(&tenc)),
            Some(of_period) => (of_period != tenc).then(|| SampleEncryptionGroup::of(&of_period)),
        }
    }

    /// The IDs of the keys that are used behind the init segment of a period.
    fn kids_of_init(&self, period: &Period<'_>) -> Vec<Kid> {
        let mut kids = Vec::new();
        let all = if self.sample_groups {
            self.periods.as_slice()
        } else {
            std::slice::from_ref(period)
        };
        for protection in all.iter().filter_map(Period::of_samples) {
            if !kids.contains(&protection.kid) {
                kids.push(protection.kid);
            }
        }
        kids
    }
}

/// How a rendition is protected, and where players get its key.
#[derive(Clone, Copy)]
pub struct KeyedProtection<'a> {
    /// Cipher, key ID and IVs.
    pub protection: &'a Protection,
    /// Where the key is to be had, in the form that playlists say.
    pub key_uri: &'a str,
    /// Where a Clear Key licence is to be had.
    pub clearkey_uri: &'a str,
}

/// What was written of one track.
#[derive(Debug, Clone)]
pub struct WrittenRendition {
    /// Where init segment and index are, if all is one file.
    pub single_file: Option<SingleFile>,
    /// Bytes of its init segments, all together.
    pub init_bytes: u64,
    /// Its segments, in order.
    pub segments: Vec<WrittenSegment>,
    /// When each segment begins being shown, which is when the earliest of its samples is, and, last, when the last one ends; each
    /// later than the one before.
    pub timeline: Vec<Time>,
    /// The captions inside of its video.
    pub captions: Captions,
    /// Its keyframes that can be fetched alone, in the order of their time: all of video, or none where whole segments are
    /// encrypted, since those are decrypted from their start on.
    pub iframes: Vec<IFrame>,
}

impl WrittenRendition {
    /// Whether each of its segments can be decoded on its own (RFC 8216bis, 4.4.2.1).
    #[must_use]
    pub fn has_independent_segments(&self) -> bool {
        self.segments.iter().all(|segment| segment.is_independent)
    }

    /// Where each of its segments begins in its file: at 0, or behind each other in a single file.
    pub fn segment_starts(&self) -> impl Iterator<Item = u64> {
        let mut start = self.single_file.as_ref().map(|file| file.index.end);
        self.segments.iter().map(move |segment| {
            let Some(start) = &mut start else { return 0 };
            std::mem::replace(start, *start + segment.bytes)
        })
    }

    /// Bytes of its init and media segments.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.init_bytes + self.segments.iter().map(|segment| segment.bytes).sum::<u64>()
    }
}

/// What was written of one segment.
#[derive(Debug, Clone, Copy)]
pub struct WrittenSegment {
    /// How long it is shown.
    pub duration: Time,
    /// Whether it can be decoded without the segments before it: its first sample is a sync sample, and none refers to what is
    /// in front of that.
    pub is_independent: bool,
    /// Bytes of its file, or of its part of a single file.
    pub bytes: u64,
}

/// Work that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackageError {
    /// A sample of an input can't be read or protected.
    #[error("{}: {cause}", path.display())]
    Sample {
        /// The input.
        path: PathBuf,
        /// What is wrong.
        cause: ProtectError,
    },
    /// A fragment of an input can't be read.
    #[error("{}: {cause}", path.display())]
    Fragment {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: ScanError,
    },
    /// A line of a playlist of a tree can't be told of what was written.
    #[error("{}, line {line}: {what}", path.display())]
    Line {
        /// The playlist.
        path: PathBuf,
        /// The line; the first is 1.
        line: usize,
        /// Why.
        what: String,
    },
    /// The output can't be written.
    #[error("writing {} failed: {cause}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// Somebody asked to stop.
    #[error("interrupted; the output is as it was before")]
    Cancelled,
}

impl PackageError {
    pub(crate) fn write(path: &Path, cause: io::Error) -> Self {
        Self::Write {
            path: path.to_owned(),
            cause,
        }
    }
}

/// Who looks on, and may stop the work.
pub struct Control<'a> {
    /// Worker threads; at least one is used.
    pub jobs: usize,
    /// Set to stop: the work ends with [`PackageError::Cancelled`].
    pub cancelled: &'a AtomicBool,
    /// Told of every fragment that was written, in bytes of its samples.
    pub progress: &'a (dyn Fn(u64) + Sync),
}

impl Control<'_> {
    /// Works on `tasks`, see [`workers::run`].
    fn run<T: Sync, W: Default, R>(
        &self,
        tasks: &[T],
        work: impl Fn(&mut W, &T) -> Result<R, PackageError> + Sync,
        done: impl FnMut(usize, R) + Send,
    ) -> Result<(), PackageError> {
        let is_cancelled = || self.cancelled.load(Ordering::Relaxed);
        workers::run(tasks, self.jobs, is_cancelled, work, done)?;
        if is_cancelled() {
            return Err(PackageError::Cancelled);
        }
        Ok(())
    }
}

/// Writes init and media segments of all renditions below `folder`, `jobs` segments at once.
///
/// # Errors
/// The first [`PackageError`] of any worker.
pub fn write_segments(
    renditions: &[Rendition<'_>],
    folder: &Path,
    control: &Control<'_>,
) -> Result<Vec<WrittenRendition>, PackageError> {
    let mut written = Vec::with_capacity(renditions.len());
    let mut files = Vec::with_capacity(renditions.len());
    for rendition in renditions {
        let path = folder.join(rendition.name.folder());
        std::fs::create_dir_all(&path).map_err(|cause| PackageError::write(&path, cause))?;
        let mut init_bytes = 0;
        let mut written_inits = 0;
        let mut file = None;
        for (index, period) in rendition.init_segments().zip(&rendition.periods) {
            if index < written_inits {
                continue;
            }
            let init = init_segment::build(
                rendition.track,
                rendition.of_init(period),
                rendition.kids_of_init(period),
            );
            if rendition.is_single_file {
                file = Some(SharedFile::create(rendition, path.join(rendition::SINGLE_FILE), &init)?);
            } else {
                let path = path.join(rendition::init_file(index));
                std::fs::write(&path, &init).map_err(|cause| PackageError::write(&path, cause))?;
            }
            init_bytes += init.len() as u64;
            written_inits = index + 1;
        }
        let segments = rendition.plan.segments.iter().map(|segment| {
            let first = segment
                .fragments
                .first()
                .and_then(|samples| rendition.track.samples.get(samples.start));
            WrittenSegment {
                duration: segment.duration,
                is_independent: first.is_some_and(|sample| sample.is_sync()),
                bytes: 0,
            }
        });
        files.push(file);
        written.push(WrittenRendition {
            single_file: None,
            init_bytes,
            segments: segments.collect(),
            timeline: rendition.plan.times().collect(),
            captions: Captions::default(),
            iframes: Vec::new(),
        });
    }

    let tasks = tasks_by_time(renditions, &files);
    let write = |worker: &mut SegmentWorker, task: &Task<'_>| {
        let found = worker.write(task, folder, control)?;
        Ok((task.rendition_index, task.segment_index, found))
    };
    control.run(
        &tasks,
        write,
        |_, (rendition, segment, found): (usize, usize, Found)| {
            let Some(rendition) = written.get_mut(rendition) else {
                return;
            };
            rendition.captions = rendition.captions.and(found.watch.captions);
            rendition.iframes.extend(found.iframes);
            if let Some(segment) = rendition.segments.get_mut(segment) {
                segment.bytes = found.bytes;
                segment.is_independent &= found.watch.refers_back.is_none();
            }
            if let (Some(start), Some(earliest)) = (rendition.timeline.get_mut(segment), found.earliest) {
                *start = earliest;
            }
        },
    )?;
    drop(tasks);
    for ((rendition, file), written) in renditions.iter().zip(files).zip(&mut written) {
        // Of a clear lead too: an I-frame playlist has all keyframes, or is none.
        let is_whole = |keyed: KeyedProtection<'_>| matches!(keyed.protection, Protection::Segments(_));
        if rendition.protection().is_some_and(is_whole) {
            written.iframes.clear();
        }
        put_in_order(&mut written.timeline, rendition.plan);
        if let Some(file) = file {
            written.single_file = Some(file.finish(rendition, written)?);
        }
        iframes::put_in_order(&mut written.iframes, rendition.plan.end());
    }
    Ok(written)
}

/// Leaves the planned time where the earliest sample of a segment is shown no later than that of the segment before.
fn put_in_order(timeline: &mut [Time], plan: &TrackPlan) {
    let mut before = None;
    for (time, planned) in timeline.iter_mut().zip(plan.times()) {
        if before.is_some_and(|before| *time <= before) {
            *time = planned;
        }
        before = Some(*time);
    }
}

/// One segment to write.
struct Task<'a> {
    rendition: &'a Rendition<'a>,
    rendition_index: usize,
    /// The file that it is a part of; else it is a file of its own.
    file: Option<&'a SharedFile>,
    protection: Option<KeyedProtection<'a>>,
    group: Option<SampleEncryptionGroup>,
    segment: &'a PlannedSegment,
    segment_index: usize,
}

/// All segments in the order of their start, which is about the order of the input's bytes.
fn tasks_by_time<'a>(renditions: &'a [Rendition<'a>], files: &'a [Option<SharedFile>]) -> Vec<Task<'a>> {
    let mut tasks: Vec<Task<'a>> = renditions
        .iter()
        .zip(files)
        .enumerate()
        .flat_map(|(rendition_index, (rendition, file))| {
            let of_period = move |period: &'a Period<'a>| {
                let segments = rendition.plan.segments.get(period.segments.clone()).unwrap_or_default();
                let indices = period.segments.clone();
                let group = rendition.group(period);
                indices.zip(segments).map(move |(segment_index, segment)| Task {
                    rendition,
                    rendition_index,
                    file: file.as_ref(),
                    protection: period.protection,
                    group: group.clone(),
                    segment,
                    segment_index,
                })
            };
            rendition.periods.iter().flat_map(of_period)
        })
        .collect();
    tasks.sort_by_key(|task| task.segment.start);
    tasks
}

/// What is known of a segment when it is written.
#[derive(Default)]
struct Found {
    bytes: u64,
    watch: SegmentWatch,
    iframes: Vec<IFrame>,
    /// When the first of its samples is shown: those that are decoded behind its first one may be shown in front of it.
    earliest: Option<Time>,
}

/// Writes segment after segment, reusing its memory.
#[derive(Default)]
struct SegmentWorker {
    fragments: FragmentWorker,
    head: Vec<u8>,
    encrypted: Vec<u8>,
    pending: Vec<u8>,
}

impl SegmentWorker {
    /// Writes a segment, to a file of its own or to its place in a single file.
    fn write(&mut self, task: &Task<'_>, folder: &Path, control: &Control<'_>) -> Result<Found, PackageError> {
        let Rendition { name, track, .. } = task.rendition;
        let path = match task.file {
            Some(file) => file.path().to_owned(),
            None => folder
                .join(name.folder())
                .join(rendition::segment_file(task.segment_index)),
        };
        let failed = |cause| PackageError::write(&path, cause);
        // First of all, for whatever ends this worker has to be told to those that wait for its segment.
        let mut sink = match (task.file, task.protection.map(|keyed| keyed.protection)) {
            (Some(file), _) => Sink::Shared(file.slot(task.segment_index, &mut self.pending)),
            (None, Some(Protection::Segments(protection))) => {
                let encryptor = Box::new(protection.encryptor(task.segment_index));
                Sink::Encrypted(File::create_new(&path).map_err(failed)?, encryptor, &mut self.encrypted)
            }
            (None, _) => Sink::Plain(File::create_new(&path).map_err(failed)?),
        };
        let of_samples = task.protection.and_then(|keyed| keyed.protection.of_samples());
        let mut scanner = of_samples.and_then(|_| track.codec.scanner());
        let lists_keyframes = task.rendition.plan.keyframes_begin_fragments && !matches!(sink, Sink::Encrypted(..));
        let mut found = Found::default();
        self.head.clear();
        if task.file.is_none() {
            media_segment::write_type(&mut self.head);
        }
        for (sequence_number, samples) in (task.segment.sequence_number..).zip(&task.segment.fragments) {
            if control.cancelled.load(Ordering::Relaxed) {
                return Err(PackageError::Cancelled);
            }
            let fragment = self
                .fragments
                .protect(track, samples.clone(), of_samples, scanner.as_deref_mut())
                .map_err(|cause| PackageError::Sample {
                    path: track.source.path().to_owned(),
                    cause,
                })?;
            if track.kind == MediaKind::Video {
                let data = sample_table::split(fragment.samples, fragment.data);
                for (sample, data) in fragment.samples.iter().zip(data) {
                    found.watch.see(&*track.codec, sample.is_sync(), data);
                }
            }
            let times = fragment.samples.iter().map(|sample| track.presentation_time(sample));
            found.earliest = found.earliest.into_iter().chain(times).min();
            let fragment_start = found.bytes + self.head.len() as u64;
            media_segment::write_fragment_head(&mut self.head, track, sequence_number, &fragment, task.group.as_ref());
            if lists_keyframes && let Some(keyframe) = fragment.samples.first().filter(|first| first.is_sync()) {
                let end = found.bytes + self.head.len() as u64 + u64::from(keyframe.size);
                found.iframes.push(IFrame {
                    segment: task.segment_index,
                    range: fragment_start..end,
                    time: track.presentation_time(keyframe),
                });
            }
            match sink.write(&self.head, fragment.data) {
                Ok(bytes) => found.bytes += bytes,
                Err(SinkError::Write(cause)) => return Err(failed(cause)),
                Err(SinkError::GivenUp) => return Ok(found),
            }
            (control.progress)(fragment.data.len() as u64);
            self.head.clear();
        }
        match sink.finish() {
            Ok(bytes) => found.bytes += bytes,
            Err(SinkError::Write(cause)) => return Err(failed(cause)),
            Err(SinkError::GivenUp) => {}
        }
        Ok(found)
    }
}

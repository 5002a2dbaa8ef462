//! Where tracks are cut: from their samples alone, without reading or writing anything.
//!
//! The first video track decides: segments start at its sync samples, each as near to the target duration
//! as sync samples allow. Other video tracks must begin, end and have sync samples at the same times, or are cut at their nearest
//! ones where that is asked for. Audio is cut at the first sample that starts at or after those times. Without video, the first
//! audio track decides. Subtitles are cut at the very same times.

pub mod edges;
pub mod periods;
pub mod text;

use std::ops::Range;
use std::str::FromStr;

use crate::media::{MediaKind, Sample, Time, Timescale, Track};

use edges::Edges;

pub use edges::Edge;
pub use text::{TextPlan, TextSegment};

/// A fragment holds at most this many bytes of samples, unless one sample alone is larger: it bounds the
/// memory of a worker, whatever the bit rate. Segments above it are made of several fragments.
pub const MAX_FRAGMENT_BYTES: u64 = 8 << 20;

/// A fragment holds at most this many samples: it bounds the memory of a worker where samples are tiny.
pub const MAX_FRAGMENT_SAMPLES: u32 = 1 << 16;

/// A track of at most this many keyframes, three days of one a second, has each of them at the start of a fragment, where it can be
/// fetched alone. Where there are more, nearly every picture is one: a list of them would be longer than players read, and each
/// would cost the boxes of a fragment.
pub const MAX_LISTED_KEYFRAMES: usize = 1 << 18;

/// A track has at most this many segments, three days of one second each; each becomes a file.
pub const MAX_SEGMENTS: usize = 1 << 18;

/// Sync samples of aligned tracks may lie this far apart, in seconds: timescales round differently.
const ALIGNMENT_TOLERANCE_S: f64 = 0.002;

/// A last segment shorter than this part of the target, or than half a second, joins the one before: it would be a
/// request for next to nothing. Segments may be half a second longer than their target (Apple's authoring specification, 7.7).
const SHORT_PART_OF_TARGET: i64 = 10;

/// How long segments should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentDuration(Time);

/// A duration that segments can't have.
#[derive(Debug, thiserror::Error)]
#[error("expected seconds between 0.1 and 3600, such as 6 or 2.002")]
pub struct NotASegmentDuration;

impl FromStr for SegmentDuration {
    type Err = NotASegmentDuration;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const MICROSECONDS: Timescale = Timescale::new(1_000_000).unwrap();
        let seconds: f64 = text.parse().map_err(|_| NotASegmentDuration)?;
        if !(0.1..=3600.0).contains(&seconds) {
            return Err(NotASegmentDuration);
        }
        #[expect(clippy::cast_possible_truncation, reason = "at most 3.6e9")]
        Ok(Self(Time::new((seconds * 1e6).round() as i64, MICROSECONDS)))
    }
}

/// How all tracks are cut; as many tracks as the presentation has, in its order.
#[derive(Debug)]
pub struct SegmentPlan {
    /// One plan a track.
    pub tracks: Vec<TrackPlan>,
    /// The index of the track that decides.
    reference: usize,
}

/// How a track is cut.
#[derive(Debug, PartialEq, Eq)]
pub struct TrackPlan {
    /// In order; together they hold every sample once.
    pub segments: Vec<PlannedSegment>,
    /// Whether each keyframe begins a fragment: of video with at most [`MAX_LISTED_KEYFRAMES`].
    pub keyframes_begin_fragments: bool,
}

/// One segment.
#[derive(Debug, PartialEq, Eq)]
pub struct PlannedSegment {
    /// When it starts being shown.
    pub start: Time,
    /// How long it is shown, to the start of the next one or the end of the track.
    pub duration: Time,
    /// `mfhd` sequence number of its first fragment.
    pub sequence_number: u32,
    /// Samples of each of its fragments, in decode order.
    pub fragments: Vec<Range<u32>>,
}

/// Tracks that can't be cut together.
#[derive(Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A rendition has no sync sample where the first one is cut.
    #[error(
        "the video renditions are not aligned: track {track_id} of {path} has no keyframe at {at}, where segment \
         {segment} starts (its nearest one is {off_by_s:.3} s away); encode all renditions with the same keyframe positions"
    )]
    Misaligned {
        /// The input that differs.
        path: String,
        /// Its track.
        track_id: u32,
        /// Where the first video track is cut.
        at: Time,
        /// Which segment should start there; the first is 1.
        segment: usize,
        /// Distance to the nearest sync sample, in seconds.
        off_by_s: f64,
    },
    /// A rendition begins or ends when the first one does not: it is of other pictures, or was cut off.
    #[error(
        "the video renditions are not aligned: track {track_id} of {path} {edge} at {at}, and the largest one at {reference}; \
         encode all renditions from the same pictures"
    )]
    OtherExtent {
        /// The input that differs.
        path: String,
        /// Its track.
        track_id: u32,
        /// Where it differs.
        edge: Edge,
        /// When that is.
        at: Time,
        /// When it is in the first video track.
        reference: Time,
    },
    /// More than [`text::MAX_BYTES`].
    #[error(
        "{path}: its segments would have more than {} bytes together, as cues that are shown for long stand in each of them; \
         choose a longer segment duration",
        text::MAX_BYTES
    )]
    TooMuchText {
        /// The input.
        path: String,
    },
    /// Text that would have no first segment.
    #[error(
        "track {track_id} of {path} is text that begins at {start}, behind the first segment; let it begin with an empty sample, as \
         ISO/IEC 14496-30 has it"
    )]
    LateText {
        /// The input.
        path: String,
        /// Its track.
        track_id: u32,
        /// When it starts.
        start: Time,
    },
    /// More than [`MAX_SEGMENTS`].
    #[error(
        "track {track_id} of {path} would have {segments} segments, and at most {MAX_SEGMENTS} are supported; choose a \
         longer segment duration"
    )]
    TooManySegments {
        /// The input.
        path: String,
        /// Its track.
        track_id: u32,
        /// How many there would be.
        segments: usize,
    },
}

impl SegmentPlan {
    /// Cuts `tracks` into segments of about `target`.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn new(tracks: &[Track], target: SegmentDuration) -> Result<Self, PlanError> {
        let (plan, misaligned) = Self::with_misaligned(tracks, target)?;
        misaligned.into_iter().next().map_or(Ok(plan), Err)
    }

    /// Cuts `tracks` as [`Self::new`] does, and video that is not aligned at its own keyframes nearest to the cuts of the first
    /// one; what goes on behind the first one's end, every `target` from there. Beside the plan are each such track's
    /// [`PlanError::Misaligned`] and [`PlanError::OtherExtent`].
    ///
    /// # Errors
    /// Any other [`PlanError`].
    pub fn with_misaligned(tracks: &[Track], target: SegmentDuration) -> Result<(Self, Vec<PlanError>), PlanError> {
        let reference = tracks
            .iter()
            .position(|track| track.kind == MediaKind::Video)
            .or_else(|| tracks.iter().position(|track| track.kind == MediaKind::Audio))
            .unwrap_or(0);
        let Some(reference_track) = tracks.get(reference) else {
            let tracks = Vec::new();
            return Ok((Self { tracks, reference }, Vec::new()));
        };
        let reference_cuts = nearest_cuts(reference_track, target.0);
        let boundaries: Vec<Time> = reference_cuts.iter().map(|cut| cut.time).collect();
        let edges = Edges::of(reference_track);

        let mut reference_cuts = Some(reference_cuts);
        let mut misaligned = Vec::new();
        let plans = tracks.iter().enumerate().map(|(index, track)| {
            let cuts = match track.kind {
                _ if index == reference => reference_cuts.take().unwrap_or_default(),
                MediaKind::Video => {
                    let (cuts, errors) = cuts_beside(track, &edges, &boundaries, target.0);
                    misaligned.extend(errors);
                    cuts
                }
                MediaKind::Audio | MediaKind::Text => following_cuts(track, &boundaries, edges.end, target.0),
            };
            if cuts.len() > MAX_SEGMENTS {
                return Err(PlanError::TooManySegments {
                    path: track.source.path().display().to_string(),
                    track_id: track.id,
                    segments: cuts.len(),
                });
            }
            Ok(TrackPlan::new(track, cuts))
        });
        let tracks = plans.collect::<Result<_, _>>()?;
        Ok((Self { tracks, reference }, misaligned))
    }

    /// Cuts the samples of text tracks where [`Self::new`] cuts the track that decides: a gap between cues is one long sample,
    /// and segments of text must not be longer than others.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn cut_text(tracks: &mut [Track], target: SegmentDuration) -> Result<(), PlanError> {
        if tracks.iter().all(|track| track.kind != MediaKind::Text) {
            return Ok(());
        }
        let (plan, _) = Self::with_misaligned(tracks, target)?;
        let starts: Vec<Time> = plan.reference().iter().skip(1).map(|segment| segment.start).collect();
        for track in tracks.iter_mut().filter(|track| track.kind == MediaKind::Text) {
            let path = track.source.path().display().to_string();
            let start = extent(track).0;
            if starts.first().is_some_and(|first| start >= *first) {
                let track_id = track.id;
                return Err(PlanError::LateText { path, track_id, start });
            }
            let before = track.samples.bytes();
            let is_cut = track.cut_samples(&starts).is_ok();
            if !is_cut || track.samples.bytes() > before.max(text::MAX_BYTES) {
                return Err(PlanError::TooMuchText { path });
            }
        }
        Ok(())
    }

    /// The segments of the track that decides; none where there is no track.
    #[must_use]
    pub fn reference(&self) -> &[PlannedSegment] {
        self.tracks.get(self.reference).map_or(&[], |plan| &plan.segments)
    }
}

/// A place where a segment starts.
#[derive(Debug, Clone, Copy)]
struct Cut {
    sample: u32,
    time: Time,
}

impl Cut {
    /// Whether a segment can start here where the one before starts at `last`.
    fn is_behind(&self, last: &Self) -> bool {
        last.sample < self.sample && last.time < self.time
    }
}

/// All sync samples, and the first sample whatever it is.
fn sync_samples(track: &Track) -> impl Iterator<Item = Cut> {
    (0_u32..)
        .zip(track.samples.all())
        .filter(|(index, sample)| *index == 0 || sample.is_sync())
        .map(|(index, sample)| Cut {
            sample: index,
            time: track.presentation_time(&sample),
        })
}

/// Cuts at the sync samples that make each segment as long as `target`, or as near to it as can be.
fn nearest_cuts(track: &Track, target: Time) -> Vec<Cut> {
    let mut cuts = Vec::new();
    add_nearest_cuts(&mut cuts, sync_samples(track), extent(track).1, target);
    cuts
}

/// Cuts at those of `syncs` that make each segment behind the last of `cuts` as long as `target`, or as near to it as can be, up
/// to the track's `end`.
fn add_nearest_cuts(cuts: &mut Vec<Cut>, syncs: impl Iterator<Item = Cut>, end: Time, target: Time) {
    let mut candidate: Option<Cut> = None;
    for sync in syncs {
        loop {
            let Some(last) = cuts.last() else {
                cuts.push(sync);
                break;
            };
            let ideal = last.time + target;
            if sync.time < ideal {
                // Composition offsets can show it before the last cut, where no segment can start.
                if sync.time > last.time {
                    candidate = Some(sync);
                }
                break;
            }
            match candidate.take() {
                // The sync sample before the ideal place is nearer: cut there, and look at this one again.
                Some(before) if ideal - before.time <= sync.time - ideal => cuts.push(before),
                _ => {
                    cuts.push(sync);
                    break;
                }
            }
        }
    }
    if let (Some(before), Some(last)) = (candidate, cuts.last()) {
        let ideal = last.time + target;
        // What is left behind the last cut may still be too long for one segment.
        if end > ideal && ideal - before.time < end - ideal {
            cuts.push(before);
        }
    }
    if cuts.len() > 1 && cuts.last().is_some_and(|last| end - last.time < short(target)) {
        cuts.pop();
    }
}

/// Segments shorter than this join the one before.
fn short(target: Time) -> Time {
    const HALF_A_SECOND: Time = Time::new(1, Timescale::new(2).unwrap());
    Time::new(target.ticks / SHORT_PART_OF_TARGET, target.timescale).min(HALF_A_SECOND)
}

/// Where a track has no sync sample at a boundary.
struct Miss {
    at: Time,
    segment: usize,
    off_by_s: f64,
}

impl Miss {
    fn of(self, track: &Track) -> PlanError {
        let Self { at, segment, off_by_s } = self;
        PlanError::Misaligned {
            path: track.source.path().display().to_string(),
            track_id: track.id,
            at,
            segment,
            off_by_s,
        }
    }
}

/// Cuts video beside the one that decides, and tells what is not aligned: its start, its first cut that is elsewhere, its end.
fn cuts_beside(track: &Track, reference: &Edges, boundaries: &[Time], target: Time) -> (Vec<Cut>, Vec<PlanError>) {
    let edges = Edges::of(track);
    let (mut cuts, first_miss) = nearby_cuts(track, boundaries);
    if edges.end > reference.end && edges.ends_elsewhere(reference, target) {
        go_on_behind(&mut cuts, track, reference.end, target);
    }
    let last_boundary = boundaries.get(1..).and_then(<[Time]>::last);
    let errors = edges
        .start_error(track, reference)
        .into_iter()
        .chain(first_miss.map(|miss| miss.of(track)))
        .chain(edges.end_error(track, reference, last_boundary, target));
    (cuts, errors.collect())
}

/// Cuts at the sync sample nearest to `end`, where the video that decides is over, and from there on as that one is cut.
fn go_on_behind(cuts: &mut Vec<Cut>, track: &Track, end: Time, target: Time) {
    let nearest = sync_samples(track).min_by(|a, b| a.time.distance(end).total_cmp(&b.time.distance(end)));
    cuts.extend(nearest.filter(|cut| cuts.last().is_none_or(|last| cut.is_behind(last))));
    let last_sample = cuts.last().map_or(0, |last| last.sample);
    let rest = sync_samples(track).filter(|sync| sync.sample > last_sample);
    add_nearest_cuts(cuts, rest, extent(track).1, target);
}

/// Cuts at the sync samples nearest to `boundaries`, each of them once, and tells the first boundary that none lies at.
fn nearby_cuts(track: &Track, boundaries: &[Time]) -> (Vec<Cut>, Option<Miss>) {
    let end = extent(track).1;
    let mut syncs = sync_samples(track).peekable();
    let mut cuts: Vec<Cut> = syncs.next().into_iter().collect();
    let mut before = cuts.last().copied();
    let mut first_miss = None;
    for (segment, boundary) in boundaries.iter().enumerate().skip(1) {
        while let Some(sync) = syncs.next_if(|sync| sync.time <= *boundary) {
            before = Some(sync);
        }
        let nearest = before.into_iter().chain(syncs.peek().copied());
        let nearest = nearest.min_by(|a, b| a.time.distance(*boundary).total_cmp(&b.time.distance(*boundary)));
        let off_by_s = nearest.map_or(f64::INFINITY, |cut| cut.time.distance(*boundary));
        let next = nearest.filter(|cut| cuts.last().is_none_or(|last| cut.is_behind(last)));
        if next.is_none() || off_by_s > ALIGNMENT_TOLERANCE_S {
            // A track that ends before this boundary has nothing to cut there, and is told of by its end.
            if end <= *boundary {
                break;
            }
            first_miss.get_or_insert(Miss {
                at: *boundary,
                segment: segment + 1,
                off_by_s,
            });
        }
        cuts.extend(next);
    }
    (cuts, first_miss)
}

/// Cuts at the first samples that start at or after `boundaries`, and behind `end` every `target`.
fn following_cuts(track: &Track, boundaries: &[Time], end: Time, target: Time) -> Vec<Cut> {
    let half_target = Time::new(target.ticks / 2, target.timescale);
    let last_boundary = extent(track).1 - half_target;
    let mut boundaries = boundaries.iter().skip(1).peekable();
    let mut passed_behind_end = 0;
    let mut cuts: Vec<Cut> = Vec::new();
    for cut in sync_samples(track) {
        let mut passed = false;
        while boundaries.next_if(|boundary| **boundary <= cut.time).is_some() {
            passed = true;
        }
        // Counted, for a gap may span any number of boundaries.
        let behind_end = cut.time.periods_since(end, target);
        if behind_end > passed_behind_end {
            let next = Time::new(target.ticks.saturating_mul(passed_behind_end), target.timescale);
            passed |= end + next < last_boundary;
            passed_behind_end = behind_end;
        }
        if passed || cuts.is_empty() {
            cuts.push(cut);
        }
    }
    cuts
}

/// When a track starts and ends being shown.
fn extent(track: &Track) -> (Time, Time) {
    let zero = Time::new(0, track.timescale);
    let samples = track.samples.all();
    let start = samples.clone().map(|sample| track.presentation_time(&sample)).min();
    let end = samples.map(|sample| track.presentation_end(&sample)).max();
    (start.unwrap_or(zero), end.unwrap_or(zero))
}

impl TrackPlan {
    /// When it starts being shown; `None` where it has no segments.
    #[must_use]
    pub fn start(&self) -> Option<Time> {
        self.segments.first().map(|first| first.start)
    }

    /// When it ends being shown; `None` where it has no segments.
    #[must_use]
    pub fn end(&self) -> Option<Time> {
        self.segments.last().map(|last| last.start + last.duration)
    }

    /// When each segment starts being shown, and, last, when the last one ends.
    pub fn times(&self) -> impl Iterator<Item = Time> {
        self.segments.iter().map(|segment| segment.start).chain(self.end())
    }

    fn new(track: &Track, mut cuts: Vec<Cut>) -> Self {
        let (start, end) = extent(track);
        if let Some(first) = cuts.first_mut() {
            first.time = start;
        }
        // A last segment of no length can't be: its samples belong to the one before.
        while cuts.len() > 1 && cuts.last().is_some_and(|cut| cut.time >= end) {
            cuts.pop();
        }
        let ends = cuts
            .iter()
            .skip(1)
            .map(|cut| (cut.sample, cut.time))
            .chain([(track.samples.len(), end)]);
        let keyframes = || track.samples.all().filter(Sample::is_sync);
        let keyframes_begin_fragments = track.kind == MediaKind::Video && keyframes().count() <= MAX_LISTED_KEYFRAMES;
        let mut sequence_number = 1;
        let segments = cuts
            .iter()
            .zip(ends)
            .map(|(cut, (next_sample, next_time))| {
                let begins = |sample: &Sample| keyframes_begin_fragments && sample.is_sync();
                let fragments = fragments(track, cut.sample..next_sample, begins);
                let segment = PlannedSegment {
                    start: cut.time,
                    duration: next_time - cut.time,
                    sequence_number,
                    fragments,
                };
                sequence_number += u32::try_from(segment.fragments.len()).unwrap_or(u32::MAX);
                segment
            })
            .collect();
        Self {
            segments,
            keyframes_begin_fragments,
        }
    }
}

/// Splits a segment's samples into fragments of at most [`MAX_FRAGMENT_BYTES`] and [`MAX_FRAGMENT_SAMPLES`]; one more begins at
/// each sample that `begins` names.
#[must_use]
pub fn fragments(track: &Track, samples: Range<u32>, begins: impl Fn(&Sample) -> bool) -> Vec<Range<u32>> {
    let mut fragments = Vec::new();
    let mut start = samples.start;
    let mut bytes = 0;
    let mut last_decode_ticks = 0;
    for (index, sample) in (samples.start..).zip(track.samples.range(samples.clone())) {
        bytes += u64::from(sample.size);
        // How long a sample lasts until the next is stored in 32 bits; a new fragment has its own decode time.
        let gap_ticks = sample.decode_ticks.saturating_sub(last_decode_ticks);
        let is_full =
            bytes > MAX_FRAGMENT_BYTES || index - start >= MAX_FRAGMENT_SAMPLES || u32::try_from(gap_ticks).is_err();
        if (is_full || begins(&sample)) && index > start {
            fragments.push(start..index);
            start = index;
            bytes = u64::from(sample.size);
        }
        last_decode_ticks = sample.decode_ticks;
    }
    fragments.push(start..samples.end);
    fragments
}

#[cfg(test)]
mod tests;

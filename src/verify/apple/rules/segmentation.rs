//! Segments (authoring specification, 7).

use super::super::init::Track;
use super::super::presentation::{Media, Presentation};
use super::super::report::Outcome;
use super::super::segment::Run;
use crate::media::{MediaKind, Time};
use crate::verify::hls::{NANOSECONDS_PER_SECOND, seconds};

/// What segments should last (7.5 and 7.6), in seconds.
const NOMINAL_S: u64 = 6;

/// How far the mean may be from that: cuts are where keyframes are. In nanoseconds.
const NOMINAL_TOLERANCE_NS: u64 = 1_000_000_000;

/// How much longer than the target duration a segment may be (7.7), in nanoseconds.
const ABOVE_TARGET_NS: i64 = NANOSECONDS_PER_SECOND / 2;

/// 7.3.
pub fn decode_times(presentation: &Presentation, outcome: &mut Outcome) {
    for media in presentation.continuous() {
        skip_unreadable(media, outcome);
        for kind in [MediaKind::Video, MediaKind::Audio] {
            let mut before: Option<(&Track, &Run)> = None;
            for (segment, run) in media.runs(kind) {
                let Some((track, run)) = run else {
                    before = None;
                    continue;
                };
                let mut jump = run.jump;
                let same = |(other, _): &(&Track, &Run)| std::ptr::eq(*other, track) && !segment.is_discontinuous;
                if let Some((_, before)) = before.filter(same)
                    && before.end_ticks != run.first_ticks
                {
                    jump = Some((before.end_ticks, run.first_ticks));
                }
                // Half a frame is what clocks of another rate round.
                let (expected, found) = jump.unwrap_or_default();
                let holds = expected.abs_diff(found) <= u64::from(run.longest_ticks / 2);
                let found = format!(
                    "{} begins at {found}, where {expected} is expected, in ticks",
                    name(kind)
                );
                let action = "let tfdt go on where the segment before ends, or write EXT-X-DISCONTINUITY";
                outcome.expect(holds, media.at(Some(segment.line)), found, action);
                before = Some((track, run));
            }
        }
    }
}

/// 7.4.
pub fn begin_with_sync(presentation: &Presentation, outcome: &mut Outcome) {
    for media in presentation.continuous() {
        skip_unreadable(media, outcome);
        for (segment, run) in media.runs(MediaKind::Video) {
            if let Some((_, run)) = run {
                let found = "the first sample of video is no sync sample";
                let action = "cut segments at keyframes";
                outcome.expect(run.begins_with_sync, media.at(Some(segment.line)), found, action);
            }
        }
    }
}

/// 7.5.
pub fn target_duration(presentation: &Presentation, outcome: &mut Outcome) {
    for media in presentation.continuous() {
        if let Some(tag) = media.playlist.first("EXT-X-TARGETDURATION") {
            let holds = tag.value.parse() == Ok(NOMINAL_S);
            let found = format!("EXT-X-TARGETDURATION is {}", tag.value);
            outcome.expect(holds, media.playlist.at(tag), found, "cut segments of 6 seconds");
        }
    }
}

/// 7.6: the mean of all but the last, which may be short.
pub fn nominal_duration(presentation: &Presentation, outcome: &mut Outcome) {
    for media in presentation.continuous() {
        let durations: Vec<i64> = media
            .segments
            .iter()
            .filter_map(|segment| segment.duration_ns)
            .collect();
        let Some((_, whole @ [_, ..])) = durations.split_last() else {
            continue;
        };
        let sum = whole.iter().fold(0_i64, |sum, duration| sum.saturating_add(*duration));
        let mean = sum / i64::try_from(whole.len()).unwrap_or(i64::MAX);
        let holds = mean.unsigned_abs().abs_diff(NOMINAL_S * 1_000_000_000) <= NOMINAL_TOLERANCE_NS;
        let found = format!("segments last {} s in the mean", seconds(mean));
        outcome.expect(holds, media.at(None), found, "cut segments of 6 seconds");
    }
}

/// 7.7.
pub fn longest(presentation: &Presentation, outcome: &mut Outcome) {
    for media in presentation.continuous() {
        let Some(target) = media.playlist.integer("EXT-X-TARGETDURATION") else {
            continue;
        };
        let target_ns = i64::try_from(target)
            .unwrap_or(i64::MAX)
            .saturating_mul(NANOSECONDS_PER_SECOND);
        for segment in &media.segments {
            let Some(duration) = segment.duration_ns else { continue };
            let holds = duration <= target_ns.saturating_add(ABOVE_TARGET_NS);
            let found = format!(
                "a segment of {} s, and EXT-X-TARGETDURATION is {target}",
                seconds(duration)
            );
            let action = "raise EXT-X-TARGETDURATION in all playlists, or cut shorter segments";
            outcome.expect(holds, media.at(Some(segment.line)), found, action);
        }
    }
}

/// What samples would tell is not known of segments that can't be looked into.
pub fn skip_unreadable(media: &Media, outcome: &mut Outcome) {
    for reason in media.unreadable() {
        outcome.skip(reason);
    }
}

/// The presented part of a segment, in nanoseconds from time zero of the track: what an edit list skips in front is none of it.
pub fn presented(track: &Track, (first, run): (&Run, &Run)) -> (i64, i64) {
    let skipped = track.shift_ticks.unwrap_or(0).saturating_neg();
    let from = skipped.saturating_sub(i64::from(first.first_composition_ticks)).max(0);
    let time = |ticks: u64| {
        let ticks = i64::try_from(ticks).unwrap_or(i64::MAX).max(from);
        Time::new(ticks, track.timescale).nanoseconds()
    };
    (time(run.first_ticks), time(run.end_ticks))
}

const fn name(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Video => "video",
        MediaKind::Audio => "audio",
        MediaKind::Text => "text",
    }
}

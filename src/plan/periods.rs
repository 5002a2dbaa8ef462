//! Where the key changes: periods of segments, at the same times in all tracks.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::str::FromStr;

use super::{ALIGNMENT_TOLERANCE_S, PlannedSegment, SegmentPlan, TrackPlan};
use crate::media::{Time, Timescale};

const MILLISECONDS: Timescale = Timescale::new(1000).unwrap();

/// How long a key is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// For the segments that start within this time.
    Duration(Time),
    /// For so many segments.
    Segments(NonZeroUsize),
}

/// Text that says no [`Rotation`].
#[derive(Debug, thiserror::Error)]
#[error("expected a time of at least 1 s, such as 90s, 10m or 1h, or a number of segments, such as 100seg")]
pub struct NotARotation;

impl FromStr for Rotation {
    type Err = NotARotation;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(count) = text.strip_suffix("seg") {
            return count.parse().map(Self::Segments).map_err(|_| NotARotation);
        }
        let LeadTime(time) = text.parse().map_err(|_| NotARotation)?;
        match time.ticks {
            1000.. => Ok(Self::Duration(time)),
            _ => Err(NotARotation),
        }
    }
}

/// How long a presentation begins in the clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeadTime(pub Time);

/// Text that says no [`LeadTime`].
#[derive(Debug, thiserror::Error)]
#[error("expected a time such as 10s, 2.5s, 10m or 1h")]
pub struct NotALeadTime;

impl FromStr for LeadTime {
    type Err = NotALeadTime;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const UNITS: [(&str, f64); 3] = [("s", 1e3), ("m", 60e3), ("h", 3600e3)];
        /// A hundred years.
        const MAX_MS: f64 = 3.2e12;
        let ms = UNITS.iter().find_map(|(unit, ms)| {
            let number: f64 = text.strip_suffix(unit)?.parse().ok()?;
            Some(number * ms)
        });
        let ms = ms.filter(|ms| (1.0..=MAX_MS).contains(ms)).ok_or(NotALeadTime)?;
        #[expect(clippy::cast_possible_truncation, reason = "at most MAX_MS")]
        Ok(Self(Time::new(ms.round() as i64, MILLISECONDS)))
    }
}

/// When keys change.
#[derive(Debug, Clone, Copy, Default)]
pub struct KeyChanges {
    /// How long the beginning stays clear, if it does.
    pub clear_lead: Option<LeadTime>,
    /// How long each key is used; else one is used for all.
    pub rotation: Option<Rotation>,
}

/// A time from which on a presentation has a key of its own, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeriodStart {
    /// The start of a segment.
    pub time: Time,
    /// The number of the key; the first is 1. `None` where it is clear.
    pub epoch: Option<u32>,
}

impl SegmentPlan {
    /// When periods start, by the segments of the track that decides; at least one. All is clear where the clear lead is longer
    /// than the presentation.
    #[must_use]
    pub fn period_starts(&self, changes: KeyChanges) -> Vec<PeriodStart> {
        let segments = self.reference();
        let first = segments.first().map(|segment| segment.start);
        let is_clear = |segment: &PlannedSegment| match (changes.clear_lead, first) {
            (Some(LeadTime(lead)), Some(first)) => segment.start < first + lead,
            _ => false,
        };
        let clear = segments.iter().take_while(|segment| is_clear(segment)).count();
        let protected = segments.get(clear..).unwrap_or_default();
        let mut starts: Vec<PeriodStart> = Vec::new();
        if let Some(time) = first.filter(|_| clear > 0) {
            starts.push(PeriodStart { time, epoch: None });
        }
        let mut epoch_before = None;
        for (index, segment) in protected.iter().enumerate() {
            let since = || protected.first().map_or(segment.start, |first| first.start);
            let epoch = match changes.rotation {
                None => 0,
                Some(Rotation::Segments(count)) => (index / count) as u64,
                // Counted from the first one, so that no rounding adds up.
                Some(Rotation::Duration(duration)) => {
                    u64::try_from(segment.start.periods_since(since(), duration)).unwrap_or(0)
                }
            };
            if epoch_before.replace(epoch) != Some(epoch) {
                let before = starts.last().and_then(|start| start.epoch).unwrap_or(0);
                starts.push(PeriodStart {
                    time: segment.start,
                    epoch: Some(before + 1),
                });
            }
        }
        starts
    }
}

impl TrackPlan {
    /// The segments of each of the periods that begin at `starts`; none of a period in which the track has no segment.
    #[must_use]
    pub fn periods(&self, starts: &[PeriodStart]) -> Vec<Range<usize>> {
        let mut ranges = Vec::with_capacity(starts.len());
        let mut begin = 0;
        for next in starts.iter().skip(1).map(Some).chain([None]) {
            let end = match next {
                None => self.segments.len(),
                Some(next) => self.segments.partition_point(|segment| {
                    segment.start < next.time && segment.start.distance(next.time) > ALIGNMENT_TOLERANCE_S
                }),
            };
            ranges.push(begin..end.max(begin));
            begin = end.max(begin);
        }
        ranges
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn track(starts_ms: &[i64]) -> TrackPlan {
        let segment = |start: &i64| PlannedSegment {
            start: Time::new(*start, MILLISECONDS),
            duration: Time::new(1000, MILLISECONDS),
            sequence_number: 1,
            fragments: Vec::new(),
        };
        TrackPlan {
            segments: starts_ms.iter().map(segment).collect(),
            keyframes_begin_fragments: false,
        }
    }

    fn starts(segments: &[i64], lead: Option<&str>, rotation: Option<&str>) -> Vec<(i64, Option<u32>)> {
        let plan = SegmentPlan {
            tracks: vec![track(segments)],
            reference: 0,
        };
        let changes = KeyChanges {
            clear_lead: lead.map(|lead| lead.parse().unwrap()),
            rotation: rotation.map(|rotation| rotation.parse().unwrap()),
        };
        let starts = plan.period_starts(changes);
        starts.iter().map(|start| (start.time.ticks, start.epoch)).collect()
    }

    const FILM: [i64; 6] = [80, 2080, 4080, 6080, 8080, 9080];

    #[test]
    fn a_period_begins_where_a_segment_does() {
        assert_eq!(starts(&FILM, None, None), [(80, Some(1))]);
        assert_eq!(starts(&FILM, None, Some("4seg")), [(80, Some(1)), (8080, Some(2))]);
        assert_eq!(
            starts(&FILM, None, Some("3s")),
            [(80, Some(1)), (4080, Some(2)), (6080, Some(3)), (9080, Some(4))],
            "within 3 s each, counted from the first"
        );
        assert_eq!(starts(&FILM, None, Some("1s")).len(), 6, "no segment has two keys");
        assert_eq!(starts(&[], Some("1s"), Some("1s")), []);
    }

    #[test]
    fn a_clear_lead_is_at_least_that_long() {
        assert_eq!(starts(&FILM, Some("2s"), None), [(80, None), (2080, Some(1))]);
        assert_eq!(
            starts(&FILM, Some("2.1s"), Some("2seg")),
            [(80, None), (4080, Some(1)), (8080, Some(2))]
        );
        assert_eq!(starts(&FILM, Some("1h"), None), [(80, None)]);
    }

    #[test]
    fn tracks_change_at_the_same_times() {
        let at = |time, epoch| PeriodStart {
            time: Time::new(time, MILLISECONDS),
            epoch: Some(epoch),
        };
        let starts = [at(0, 1), at(4000, 2), at(8000, 3)];
        assert_eq!(track(&[0, 2001, 3999, 6001]).periods(&starts), [0..2, 2..4, 4..4]);
        assert_eq!(track(&[0, 9000]).periods(&starts), [0..1, 1..1, 1..2], "a gap");
    }

    #[test]
    fn times_and_counts_are_read() {
        let rotation = |text: &str| text.parse::<Rotation>().ok();
        let seconds = |seconds: i64| Some(Rotation::Duration(Time::new(seconds * 1000, MILLISECONDS)));
        assert_eq!(rotation("10m"), seconds(600));
        assert_eq!(rotation("90s"), seconds(90));
        assert_eq!(rotation("1h"), seconds(3600));
        assert_eq!(
            rotation("100seg"),
            Some(Rotation::Segments(NonZeroUsize::new(100).unwrap()))
        );
        for text in [
            "", "10", "0s", "0.9s", "-1m", "0seg", "1.5seg", "infs", "NaNs", "1e99h", "m", "seg",
        ] {
            assert_eq!(rotation(text), None, "{text:?}");
        }
    }
}

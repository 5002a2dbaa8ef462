//! Whether renditions of video begin and end when the first one does.

use std::fmt;

use super::{ALIGNMENT_TOLERANCE_S, PlanError, extent, short};
use crate::media::{Time, Track};

/// One end of a rendition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// When its first picture is shown.
    Start,
    /// When its last picture is shown no longer.
    End,
}

impl fmt::Display for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "begins",
            Self::End => "ends",
        })
    }
}

/// When a rendition of video is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edges {
    start: Time,
    pub(super) end: Time,
    /// How long a picture is shown on average, in seconds.
    picture_s: f64,
}

impl Edges {
    pub(super) fn of(track: &Track) -> Self {
        let (start, end) = extent(track);
        let pictures = f64::from(track.samples.len().max(1));
        Self {
            start,
            end,
            picture_s: (end - start).seconds() / pictures,
        }
    }

    /// Whether it begins more than a picture before or after `reference`: other frame rates have their first picture no further away.
    fn starts_elsewhere(&self, reference: &Self) -> bool {
        let tolerance_s = self.picture_s.max(reference.picture_s) + ALIGNMENT_TOLERANCE_S;
        self.start.distance(reference.start) > tolerance_s
    }

    /// Whether it ends a picture and more before or after `reference`, and so much that it would be a segment of its own: what is
    /// less joins the last segment of whoever is longer.
    pub(super) fn ends_elsewhere(&self, reference: &Self, target: Time) -> bool {
        let picture_s = self.picture_s.max(reference.picture_s);
        let tolerance_s = short(target).seconds().max(picture_s) + ALIGNMENT_TOLERANCE_S;
        self.end.distance(reference.end) > tolerance_s
    }

    /// What is wrong with the start of `track`, whose edges these are.
    pub(super) fn start_error(&self, track: &Track, reference: &Self) -> Option<PlanError> {
        let error = || error(track, Edge::Start, self.start, reference.start);
        self.starts_elsewhere(reference).then(error)
    }

    /// What is wrong with the end of `track`, whose edges these are: it is elsewhere, or not even behind the start of the last
    /// segment, `last_boundary`.
    pub(super) fn end_error(
        &self,
        track: &Track,
        reference: &Self,
        last_boundary: Option<&Time>,
        target: Time,
    ) -> Option<PlanError> {
        let lacks_segment = last_boundary.is_some_and(|boundary| self.end <= *boundary);
        let error = || error(track, Edge::End, self.end, reference.end);
        (lacks_segment || self.ends_elsewhere(reference, target)).then(error)
    }
}

fn error(track: &Track, edge: Edge, at: Time, reference: Time) -> PlanError {
    PlanError::OtherExtent {
        path: track.source.path().display().to_string(),
        track_id: track.id,
        edge,
        at,
        reference,
    }
}

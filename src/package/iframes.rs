//! I-frames: keyframes that players fetch without the rest of their segments (RFC 8216bis, 4.4.3.6).

use std::ops::Range;

use super::{Rendition, WrittenSegment};
use crate::media::Time;

/// A keyframe that begins a fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IFrame {
    /// The index of its segment.
    pub segment: usize,
    /// From the first byte of its `moof` to its own last one (Apple's authoring specification, 6.10), counted from the start of
    /// the segment's file.
    pub range: Range<u64>,
    /// When it is shown.
    pub time: Time,
}

/// Sorts the I-frames of a rendition that is shown until `end`. One that is shown no later than the one before has no time of its
/// own, and is left out.
pub fn put_in_order(iframes: &mut Vec<IFrame>, end: Option<Time>) {
    iframes.sort_by_key(|iframe| (iframe.segment, iframe.range.start));
    let mut before = None;
    iframes.retain(|iframe| {
        let is_later = before.is_none_or(|before| iframe.time > before) && end.is_some_and(|end| iframe.time < end);
        before = if is_later { Some(iframe.time) } else { before };
        is_later
    });
}

/// The segments of an I-frame playlist: each lasts until the next I-frame, the first from the rendition's start and the last to
/// its end.
#[must_use]
pub fn as_segments(rendition: &Rendition<'_>, iframes: &[IFrame]) -> Vec<WrittenSegment> {
    let (Some(start), Some(end)) = (rendition.plan.start(), rendition.plan.end()) else {
        return Vec::new();
    };
    let behind_first = || iframes.iter().skip(1).map(|iframe| iframe.time);
    let starts = std::iter::once(start).chain(behind_first());
    let ends = behind_first().chain([end]);
    iframes
        .iter()
        .zip(starts.zip(ends))
        .map(|(iframe, (start, end))| WrittenSegment {
            duration: end - start,
            is_independent: true,
            bytes: iframe.range.end - iframe.range.start,
        })
        .collect()
}

//! Media playlists (RFC 8216bis, 4.4.3 and 4.4.4).

use std::fmt::Write;
use std::ops::Range;

use super::{INDEPENDENT_SEGMENTS, PlaylistSet};
use crate::media::Time;
use crate::package::rendition::{SINGLE_FILE, init_file, segment_file, text_segment_file};
use crate::package::{IFrame, KeyedProtection, Rendition, SingleFile, WrittenRendition, WrittenSegment};
use crate::protect::Protection;

/// `EXT-X-MAP` in a playlist that is not `I-FRAMES-ONLY` needs version 6 (RFC 8216bis, 8).
pub const VERSION: u32 = 6;

/// `EXT-X-MAP` in a playlist that is `I-FRAMES-ONLY`, and `KEYFORMAT`, need version 5 (RFC 8216bis, 8).
pub const IFRAMES_VERSION: u32 = 5;

/// Decimals in `EXTINF` need version 3 (RFC 8216bis, 8).
pub const TEXT_VERSION: u32 = 3;

/// The media playlist of a rendition.
#[must_use]
pub fn render(
    rendition: &Rendition<'_>,
    written: &WrittenRendition,
    set: PlaylistSet<'_>,
    target_duration_s: u64,
) -> String {
    let mut out = head(VERSION, written.has_independent_segments(), target_duration_s);
    let mut begin = begin_segments(rendition, written, set);
    let mut starts = written.segment_starts();
    write_segments(&mut out, &written.segments, |out, index| {
        begin(out, index);
        let start = starts.next();
        match (&written.single_file, start, written.segments.get(index)) {
            (Some(_), Some(start), Some(segment)) => byte_range(start..start + segment.bytes, SINGLE_FILE),
            _ => segment_file(index),
        }
    });
    out
}

/// The lines of a range of a file.
fn byte_range(range: Range<u64>, file: &str) -> String {
    format!("#EXT-X-BYTERANGE:{}@{}\n{file}", range.end - range.start, range.start)
}

/// The I-frame playlist of a rendition (RFC 8216bis, 4.4.3.6), whose `segments` are as [`as_segments`] makes them of its I-frames.
///
/// [`as_segments`]: crate::package::iframes::as_segments
#[must_use]
pub fn render_iframes(
    rendition: &Rendition<'_>,
    (written, segments): (&WrittenRendition, &[WrittenSegment]),
    set: PlaylistSet<'_>,
    target_duration_s: u64,
) -> String {
    let mut out = head(IFRAMES_VERSION, false, target_duration_s);
    out.push_str("#EXT-X-I-FRAMES-ONLY\n");
    let mut begin = begin_segments(rendition, written, set);
    let starts: Vec<u64> = written.segment_starts().collect();
    write_segments(&mut out, segments, |out, index| {
        let Some(IFrame { segment, range, .. }) = written.iframes.get(index) else {
            return String::new();
        };
        begin(out, *segment);
        let start = starts.get(*segment).copied().unwrap_or(0);
        let range = start + range.start..start + range.end;
        match &written.single_file {
            Some(_) => byte_range(range, SINGLE_FILE),
            None => byte_range(range, &segment_file(*segment)),
        }
    });
    out
}

/// Writes `EXT-X-MAP` and `EXT-X-KEY` that are in force from a segment on. It is called with the indices of segments, in order.
fn begin_segments<'a>(
    rendition: &'a Rendition<'_>,
    written: &'a WrittenRendition,
    set: PlaylistSet<'a>,
) -> impl FnMut(&mut String, usize) + 'a {
    let mut periods = rendition.periods.iter().zip(rendition.init_segments()).peekable();
    let mut init = None;
    let mut protection: Option<KeyedProtection<'_>> = None;
    move |out, index| {
        let mut begun = None;
        while let Some(next) = periods.next_if(|(period, _)| period.segments.start <= index) {
            begun = Some(next);
        }
        if let Some((period, of_period)) = begun {
            if init.replace(of_period) != Some(of_period) {
                let _ = match &written.single_file {
                    None => writeln!(out, "#EXT-X-MAP:URI=\"{}\"", init_file(of_period)),
                    Some(SingleFile { init, .. }) => {
                        let bytes = init.end - init.start;
                        let range = format!("{bytes}@{}", init.start);
                        writeln!(out, "#EXT-X-MAP:URI=\"{SINGLE_FILE}\",BYTERANGE=\"{range}\"")
                    }
                };
            }
            let before = std::mem::replace(&mut protection, period.protection);
            // Behind the map: a key in front of it would say that the init segment is encrypted.
            if let Some(of_samples) = period.of_samples()
                && let Some(keyed) = period.protection
            {
                let key = set.with_iv(set.key_attributes(keyed), of_samples);
                let _ = writeln!(out, "#EXT-X-KEY:{key}");
            } else if before.is_some() && period.protection.is_none() {
                out.push_str("#EXT-X-KEY:METHOD=NONE\n");
            }
        }
        if let Some(keyed) = protection
            && let Protection::Segments(of_segments) = keyed.protection
        {
            let iv = of_segments.iv(index);
            let _ = writeln!(out, "#EXT-X-KEY:{},IV=0x{iv}", set.key_attributes(keyed));
        }
    }
}

/// The media playlist of WebVTT.
#[must_use]
pub fn render_text(written: &WrittenRendition, target_duration_s: u64) -> String {
    let mut out = head(TEXT_VERSION, written.has_independent_segments(), target_duration_s);
    write_segments(&mut out, &written.segments, |_, index| text_segment_file(index));
    out
}

fn head(version: u32, has_independent_segments: bool, target_duration_s: u64) -> String {
    let mut out = format!(
        "#EXTM3U\n#EXT-X-VERSION:{version}\n#EXT-X-TARGETDURATION:{target_duration_s}\n#EXT-X-MEDIA-SEQUENCE:1\n\
         #EXT-X-PLAYLIST-TYPE:VOD\n"
    );
    if has_independent_segments {
        out.push_str(INDEPENDENT_SEGMENTS);
    }
    out
}

/// All segments, and the end. `begin` writes what stands in front of a segment alone, and says where it is.
fn write_segments(out: &mut String, segments: &[WrittenSegment], mut begin: impl FnMut(&mut String, usize) -> String) {
    for (segment, (index, duration)) in segments.iter().zip(exact_durations(segments).enumerate()) {
        let place = begin(out, index);
        let _ = writeln!(out, "#EXTINF:{duration},\n{place}");
        debug_assert!(segment.bytes > 0, "a segment was not written");
    }
    out.push_str("#EXT-X-ENDLIST\n");
}

/// Durations in seconds with six decimals, rounded so that their sum never drifts: each is the difference of
/// the rounded ends.
fn exact_durations(segments: &[WrittenSegment]) -> impl Iterator<Item = String> {
    let mut end: Option<Time> = None;
    let mut rounded_end_us = 0;
    segments.iter().map(move |segment| {
        let next = end.map_or(segment.duration, |end| segment.duration + end);
        end = Some(next);
        let next_us = microseconds(next);
        let duration_us = next_us - rounded_end_us;
        rounded_end_us = next_us;
        format!("{}.{:06}", duration_us / 1_000_000, duration_us % 1_000_000)
    })
}

fn microseconds(time: Time) -> i64 {
    const MICROSECONDS: crate::media::Timescale = crate::media::Timescale::new(1_000_000).unwrap();
    time.rescale(MICROSECONDS).ticks
}

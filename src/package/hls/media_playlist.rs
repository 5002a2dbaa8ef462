//! Media playlists (RFC 8216bis, 4.4.3 and 4.4.4).

use std::fmt::Write;

use super::{INDEPENDENT_SEGMENTS, key_attributes};
use crate::media::Time;
use crate::package::rendition::{INIT_SEGMENT, segment_file};
use crate::package::{KeyedProtection, WrittenRendition, WrittenSegment};
use crate::protect::{Ivs, Protection};

/// `EXT-X-MAP` in a playlist that is not `I-FRAMES-ONLY` needs version 6 (RFC 8216bis, 8).
pub const VERSION: u32 = 6;

/// The media playlist of a rendition.
#[must_use]
pub fn render(written: &WrittenRendition, target_duration_s: u64, protection: Option<KeyedProtection<'_>>) -> String {
    let segments = &written.segments;
    let mut out = format!(
        "#EXTM3U\n#EXT-X-VERSION:{VERSION}\n#EXT-X-TARGETDURATION:{target_duration_s}\n#EXT-X-MEDIA-SEQUENCE:1\n\
         #EXT-X-PLAYLIST-TYPE:VOD\n"
    );
    if written.has_independent_segments() {
        out.push_str(INDEPENDENT_SEGMENTS);
    }
    let _ = writeln!(out, "#EXT-X-MAP:URI=\"{INIT_SEGMENT}\"");
    // Behind the map: a key in front of it would say that the init segment is encrypted. An IV that is not in the media is
    // always there: without it the media sequence number would be the IV.
    let of_segments = match protection {
        None => None,
        Some(KeyedProtection {
            protection: Protection::Segments(of_segments),
            key_uri,
        }) => Some((of_segments, key_uri)),
        Some(KeyedProtection {
            protection: Protection::Samples(of_samples),
            key_uri,
        }) => {
            let iv = match of_samples.ivs {
                Ivs::Constant(iv) => format!(",IV=0x{iv}"),
                Ivs::PerSample { .. } => String::new(),
            };
            let _ = writeln!(
                out,
                "#EXT-X-KEY:{}{iv}",
                key_attributes(Some(of_samples.scheme), key_uri)
            );
            None
        }
    };
    for (segment, (index, duration)) in segments.iter().zip(exact_durations(segments).enumerate()) {
        if let Some((of_segments, key_uri)) = of_segments {
            let iv = of_segments.iv(index);
            let _ = writeln!(out, "#EXT-X-KEY:{},IV=0x{iv}", key_attributes(None, key_uri));
        }
        let _ = writeln!(out, "#EXTINF:{duration},\n{}", segment_file(index));
        debug_assert!(segment.bytes > 0, "a segment was not written");
    }
    out.push_str("#EXT-X-ENDLIST\n");
    out
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

//! Media playlists (authoring specification, 8).

use super::super::presentation::{Media, Presentation};
use super::super::report::Outcome;
use super::super::segment::Content;
use super::segmentation::{presented, skip_unreadable};
use crate::media::{MediaKind, Time};
use crate::verify::hls::{NANOSECONDS_PER_SECOND, seconds};

/// A live playlist has at least so many segments (8.11).
const LIVE_SEGMENTS: usize = 6;

/// Where frames of audio and of video end is not the same: how far boundaries may be apart (8.15 and 8.22), in nanoseconds.
const BOUNDARY_TOLERANCE_NS: u64 = 100_000_000;

/// How long a video frame is where there is no video: 24 a second, in nanoseconds.
const FRAME_NS: i64 = NANOSECONDS_PER_SECOND / 24;

/// 8.1: the sums of any segments in a row.
pub fn durations(presentation: &Presentation, outcome: &mut Outcome) {
    let frame_ns = video_frame_ns(presentation).unwrap_or(FRAME_NS);
    for media in presentation.continuous() {
        skip_unreadable(media, outcome);
        let kind = media.leading_kind();
        let mut first = None; // Behind a discontinuity, time begins again.
        let (mut declared, mut actual) = (0_i64, 0_i64);
        // The sums so far less what is there: two of them are as far apart as the segments in between are wrong.
        let (mut lowest, mut highest) = (0_i64, 0_i64);
        for (segment, run) in media.runs(kind) {
            if segment.is_discontinuous {
                first = None;
            }
            let (Some((track, run)), Some(duration)) = (run, segment.duration_ns) else {
                continue;
            };
            let (start, end) = presented(track, (first.get_or_insert(run), run));
            declared = declared.saturating_add(duration);
            actual = actual.saturating_add(end.saturating_sub(start));
            let apart = declared.saturating_sub(actual);
            let within = apart.saturating_sub(lowest).max(highest.saturating_sub(apart));
            let found = format!(
                "EXTINF is {} s; up to here the sum is {} s, and the segments have {} s",
                seconds(duration),
                seconds(declared),
                seconds(actual)
            );
            let action = format!("write {} s", seconds(end.saturating_sub(start)));
            outcome.expect(within <= frame_ns, media.at(Some(segment.line)), found, action);
            if within > frame_ns {
                // What is wrong is told once.
                (declared, actual, lowest, highest) = (0, 0, 0, 0);
            } else {
                (lowest, highest) = (lowest.min(apart), highest.max(apart));
            }
        }
    }
}

/// 8.2.
pub fn same_target(presentation: &Presentation, outcome: &mut Outcome) {
    let mut first = None;
    for media in presentation.continuous() {
        let Some(target) = media.playlist.integer("EXT-X-TARGETDURATION") else {
            continue;
        };
        let (other, file) = *first.get_or_insert((target, &media.playlist.file));
        let found = format!("EXT-X-TARGETDURATION is {target}, and {other} in {}", file.display());
        let action = format!("write the larger, {}, in all playlists", target.max(other));
        let line = media.playlist.first("EXT-X-TARGETDURATION").map(|tag| tag.line);
        outcome.expect(target == other, media.at(line), found, action);
    }
}

/// 8.3: a target duration is how far RFC 8216bis, 6.2.4, lets playlists differ.
pub fn same_duration(presentation: &Presentation, outcome: &mut Outcome) {
    let mut first: Option<&Media> = None;
    for media in presentation.continuous().filter(|media| media.is_vod()) {
        let of_first = first.get_or_insert(media);
        let (duration, other) = (media.duration_ns(), of_first.duration_ns());
        let target = media.playlist.integer("EXT-X-TARGETDURATION").unwrap_or(0);
        let most = target.saturating_mul(NANOSECONDS_PER_SECOND.unsigned_abs());
        let file = of_first.playlist.file.display();
        let found = format!("{} s, and {file} has {} s", seconds(duration), seconds(other));
        let action = "give all variants and renditions the same length";
        outcome.expect(duration.abs_diff(other) <= most, media.at(None), found, action);
    }
}

/// 8.4.
pub fn live_date(presentation: &Presentation, outcome: &mut Outcome) {
    for media in live(presentation) {
        let holds = media.playlist.has("EXT-X-PROGRAM-DATE-TIME");
        let found = "a live playlist without EXT-X-PROGRAM-DATE-TIME";
        outcome.expect(holds, media.at(None), found, "write EXT-X-PROGRAM-DATE-TIME");
    }
}

/// 8.6; 8.8 lets playlists that grew say EVENT.
pub fn playlist_type(presentation: &Presentation, outcome: &mut Outcome) {
    for media in presentation.media.iter().filter(|media| media.is_vod()) {
        let tag = media.playlist.first("EXT-X-PLAYLIST-TYPE");
        let value = tag.map(|tag| tag.value.as_str());
        let found = format!("EXT-X-PLAYLIST-TYPE is {}", value.unwrap_or("missing"));
        let holds = matches!(value, Some("VOD" | "EVENT"));
        let action = "write EXT-X-PLAYLIST-TYPE:VOD";
        outcome.expect(holds, media.at(tag.map(|tag| tag.line)), found, action);
    }
}

/// 8.10.
pub fn language(presentation: &Presentation, outcome: &mut Outcome) {
    for rendition in presentation.renditions().filter(|tag| tag.get("TYPE") != Some("VIDEO")) {
        let at = presentation.at(Some(rendition.line));
        let holds = rendition.get("LANGUAGE").is_some_and(|language| !language.is_empty());
        let action = "write LANGUAGE; und where it is not known";
        outcome.expect(holds, at, "EXT-X-MEDIA without LANGUAGE", action);
    }
}

/// 8.11.
pub fn live_length(presentation: &Presentation, outcome: &mut Outcome) {
    for media in live(presentation) {
        let count = media.segments.len();
        let found = format!("a live playlist of {count} segments");
        outcome.expect(
            count >= LIVE_SEGMENTS,
            media.at(None),
            found,
            "keep six segments or more",
        );
    }
}

/// 8.15.
pub fn discontinuities(presentation: &Presentation, outcome: &mut Outcome) {
    let times = |media: &Media| -> Vec<(i64, usize)> {
        let ends = ends(media);
        let behind = media.segments.iter().zip([0].into_iter().chain(ends));
        let marked = behind.skip(1).filter(|(segment, _)| segment.is_discontinuous);
        marked.map(|(segment, at)| (at, segment.line)).collect()
    };
    let mut all = presentation.continuous().map(|media| (media, times(media)));
    let Some((first, of_first)) = all.next() else { return };
    let others: Vec<_> = all.collect();
    if of_first.is_empty() && others.iter().all(|(_, times)| times.is_empty()) {
        return;
    }
    outcome.look();
    for (media, times) in others {
        let close = |(one, other): (&(i64, usize), &(i64, usize))| one.0.abs_diff(other.0) <= BOUNDARY_TOLERANCE_NS;
        let holds = times.len() == of_first.len() && times.iter().zip(&of_first).all(close);
        let shown = |times: &[(i64, usize)]| -> String {
            let times: Vec<String> = times.iter().map(|(at, _)| format!("{} s", seconds(*at))).collect();
            if times.is_empty() {
                "none".to_owned()
            } else {
                times.join(", ")
            }
        };
        let (here, there) = (shown(&times), shown(&of_first));
        let found = format!("discontinuities: {here}; in {}: {there}", first.playlist.file.display());
        let line = times.first().map(|(_, line)| *line);
        outcome.expect(
            holds,
            media.at(line),
            found,
            "write EXT-X-DISCONTINUITY at the same times",
        );
    }
}

/// 8.20.
pub fn maps(presentation: &Presentation, outcome: &mut Outcome) {
    for media in &presentation.media {
        for segment in &media.segments {
            let content = segment.content();
            let is_fragmented = matches!(content, Some(Content::Fragments(_) | Content::Uninitialized));
            if is_fragmented {
                let found = "a segment of fragmented MP4 without EXT-X-MAP in front of it";
                let action = "name the init segment by EXT-X-MAP";
                outcome.expect(segment.map.is_some(), media.at(Some(segment.line)), found, action);
            }
        }
    }
}

/// 8.22.
pub fn boundaries(presentation: &Presentation, outcome: &mut Outcome) {
    let mut first: Option<(&Media, Vec<i64>)> = None;
    for media in presentation.continuous().filter(|media| media.is_vod()) {
        let ends = ends(media);
        let (of_first, wanted) = first.get_or_insert_with(|| (media, ends.clone()));
        let file = of_first.playlist.file.display();
        let count = (ends.len(), wanted.len());
        // The film's end is where each ends.
        let mut inner = ends
            .iter()
            .zip(wanted.iter())
            .take(count.0.max(count.1).saturating_sub(1));
        let other = inner.position(|(one, other)| one.abs_diff(*other) > BOUNDARY_TOLERANCE_NS);
        let (line, found) = match other {
            None => (None, format!("{} segments, and {file} has {}", count.0, count.1)),
            Some(index) => (
                media.segments.get(index).map(|segment| segment.line),
                format!("segment {} does not end where that of {file} does", index + 1),
            ),
        };
        let holds = count.0 == count.1 && other.is_none();
        outcome.expect(
            holds,
            media.at(line),
            found,
            "cut all variants and renditions at the same times",
        );
    }
}

/// Where each segment ends, in nanoseconds from the playlist's start.
fn ends(media: &Media) -> Vec<i64> {
    let durations = media.segments.iter().map(|segment| segment.duration_ns.unwrap_or(0));
    let sums = durations.scan(0_i64, |sum, duration| {
        *sum = sum.saturating_add(duration);
        Some(*sum)
    });
    sums.collect()
}

/// The longest frame of video, in nanoseconds.
fn video_frame_ns(presentation: &Presentation) -> Option<i64> {
    let all = presentation.continuous().flat_map(|media| media.runs(MediaKind::Video));
    let frames = all.filter_map(|(_, run)| {
        let (track, run) = run?;
        Some(Time::new(run.longest_ticks.into(), track.timescale).nanoseconds())
    });
    frames.max()
}

fn live(presentation: &Presentation) -> impl Iterator<Item = &Media> {
    presentation.continuous().filter(|media| !media.is_vod())
}

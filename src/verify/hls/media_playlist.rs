//! Media playlists (RFC 8216bis, 4.4.3 and 4.4.4) against their segments.

use super::{check_key_attributes, nearest_second, seconds, shown};
use crate::content_key::Iv;
use crate::media::Time;
use crate::verify::check::SegmentFacts;
use crate::verify::findings::{FileFindings, Findings};
use crate::verify::init::InitSegment;
use crate::verify::output::{Part, Rendition};
use crate::verify::playlist::{Key, Located, MediaPlaylist};

/// `EXTINF` has six decimals, and both ends of a segment are rounded to them.
pub(super) const DURATION_TOLERANCE_NS: i64 = 1_000;

/// Checks one media playlist against its init segment and segments.
pub(in crate::verify) fn check_media_playlist(
    rendition: &Rendition,
    facts: &[Option<SegmentFacts>],
    notes: &mut Vec<String>,
    findings: &mut Findings,
) {
    let playlist = &rendition.playlist;
    {
        let mut file = findings.of(&rendition.playlist_file);
        check_header(rendition, &mut file);
        check_keys(rendition, &mut file);
        for tag in [
            (playlist.has_end, "EXT-X-ENDLIST"),
            (!playlist.segments.is_empty(), "segment"),
        ] {
            if !tag.0 {
                file.add(format!("there is no {}", tag.1));
            }
        }
    }
    let Some(init) = rendition.init() else { return };
    check_durations(rendition, facts, init, &mut findings.of(&rendition.playlist_file));
    check_order(rendition, facts, notes, findings);
    if playlist.has_independent_segments {
        for (segment, facts) in rendition.segments.iter().zip(facts) {
            let Some(facts) = facts else { continue };
            let mut file = findings.of(&segment.file);
            if !facts.first.is_sync() {
                let what = "is not a sync sample, though EXT-X-INDEPENDENT-SEGMENTS says that segments begin with one";
                file.add_in_sample(0, facts.first.offset, what);
            }
            if let Some((index, offset)) = facts.refers_back {
                let what = "refers to the segment before, though EXT-X-INDEPENDENT-SEGMENTS says that none does";
                file.add_in_sample(index, offset, what);
            }
        }
    }
}

fn check_header(rendition: &Rendition, file: &mut FileFindings<'_>) {
    let playlist = &rendition.playlist;
    // RFC 8216bis, 8: what each version brought; EXTINF has decimals.
    let lowest = match playlist {
        MediaPlaylist { map: Some(_), .. } => 6,
        _ if playlist.keys.iter().any(|key| key.value.key_format.is_some()) => 5,
        _ => 3,
    };
    if playlist.version.unwrap_or(1) != lowest {
        file.add(format!(
            "EXT-X-VERSION is {}, and {lowest} is the lowest that is true",
            shown(playlist.version)
        ));
    }
    if playlist.media_sequence != Some(1) {
        file.add(format!(
            "EXT-X-MEDIA-SEQUENCE is {}, expected 1",
            shown(playlist.media_sequence)
        ));
    }
    if playlist.playlist_type.as_deref() != Some("VOD") {
        file.add("EXT-X-PLAYLIST-TYPE is not VOD");
    }
    if playlist.map.is_none() && !rendition.is_webvtt {
        file.add("there is no EXT-X-MAP");
    }
    let first = playlist.segments.first().map_or(u64::MAX, |segment| segment.offset);
    if let Some(map) = playlist.map.as_ref().filter(|map| map.offset > first) {
        file.add_at(map.offset, "EXT-X-MAP stands behind a segment");
    }
    let longest_ns = playlist
        .segments
        .iter()
        .map(|segment| segment.value.duration_ns)
        .max()
        .unwrap_or(0);
    // 4.4.3.1: no EXTINF, rounded to the nearest integer, is above it.
    match playlist.target_duration_s {
        None => file.add("there is no EXT-X-TARGETDURATION"),
        Some(target) if target < nearest_second(longest_ns) => file.add(format!(
            "EXT-X-TARGETDURATION is {target}, and the longest segment lasts {} s",
            seconds(longest_ns)
        )),
        Some(_) => {}
    }
}

/// `EXT-X-KEY` of each part against its `tenc`, or one a segment where those are encrypted as whole files.
pub(in crate::verify) fn check_keys(rendition: &Rendition, file: &mut FileFindings<'_>) {
    let Rendition { playlist, parts, .. } = rendition;
    for key in playlist.keys.iter().filter(|key| !key.value.is_none()) {
        if rendition.is_webvtt {
            file.add_at(key.offset, "EXT-X-KEY, and subtitles are clear");
        } else if rendition.init().is_some() {
            check_key_attributes(key, rendition, file);
        }
    }
    let mut keys = playlist.keys.as_slice();
    let mut was_protected = false;
    for (index, part) in parts.iter().enumerate() {
        // What stands in front of the next part's first segment, and behind this one's last, is the next one's.
        let last = part
            .segments
            .end
            .checked_sub(1)
            .and_then(|last| playlist.segments.get(last));
        let end = match last {
            Some(last) if index + 1 < parts.len() => keys.partition_point(|key| key.offset < last.offset),
            _ => keys.len(),
        };
        let (of_part, rest) = keys.split_at(end);
        keys = rest;
        check_keys_of_part(rendition, part, of_part, was_protected, file);
        was_protected = part.key_uri.is_some();
    }
}

fn check_keys_of_part(
    rendition: &Rendition,
    part: &Part,
    keys: &[Located<Key>],
    was_protected: bool,
    file: &mut FileFindings<'_>,
) {
    let playlist = &rendition.playlist;
    let first = playlist.segments.get(part.segments.start);
    // Where others wrote a playlist of several maps, its one key stands behind the first.
    let own_map = first.filter(|_| rendition.parts.len() > 1);
    let map = own_map
        .and_then(|first| playlist.maps.get(first.value.map?))
        .or(playlist.map.as_ref());
    for key in keys {
        if map.is_none_or(|map| map.offset > key.offset) {
            let what = "EXT-X-KEY must stand behind EXT-X-MAP: init segments are clear";
            file.add_at(key.offset, what);
        }
    }
    if part.init.is_none() {
        return;
    }
    match (part.protection(), keys) {
        (None, []) if !was_protected => {}
        (None, [key]) if was_protected && key.value.is_none() => {}
        (None, []) => file.add("there is no EXT-X-KEY of METHOD=NONE where segments are clear again"),
        (None, [first, ..]) if rendition.has_encrypted_segments() && !first.value.is_none() => {
            let segments = playlist.segments.get(part.segments.clone()).unwrap_or_default();
            let mut keys = keys.iter().peekable();
            for (index, segment) in part.segments.clone().zip(segments) {
                match keys.next_if(|key| key.offset < segment.offset) {
                    None => file.add_at(segment.offset, "there is no EXT-X-KEY for this segment"),
                    Some(key) if key.value.iv.is_none() => file.add_at(key.offset, "IV is missing"),
                    Some(key) if key.value.uri != first.value.uri => {
                        let what = format!(
                            "URI is not that of segment {}, at segment {}",
                            part.segments.start + 1,
                            index + 1
                        );
                        file.add_at(key.offset, what);
                    }
                    Some(_) => {}
                }
                while let Some(second) = keys.next_if(|key| key.offset < segment.offset) {
                    file.add_at(second.offset, "a second EXT-X-KEY for one segment");
                }
            }
        }
        (None, [key, ..]) => file.add_at(
            key.offset,
            "EXT-X-KEY, and the init segment says that samples are clear",
        ),
        (Some(_), []) => file.add("there is no EXT-X-KEY, and the init segment says that samples are protected"),
        (Some(protection), [key, more @ ..]) => {
            let expected = protection.constant_iv;
            if !key.value.has_iv_of(expected) {
                let shown = |iv: Option<Iv>| iv.map_or("missing".to_owned(), |iv| format!("0x{iv}"));
                let (found, expected) = (shown(key.value.iv), shown(expected));
                file.add_at(key.offset, format!("IV is {found}, expected {expected} as in tenc"));
            }
            if first.is_some_and(|segment| key.offset > segment.offset) {
                file.add_at(key.offset, "EXT-X-KEY stands behind a segment");
            }
            if let Some(second) = more.first() {
                file.add_at(second.offset, "a second EXT-X-KEY");
            }
        }
    }
}

/// `EXTINF` against the time from each segment's first sample to the next one's, and their sum.
fn check_durations(
    rendition: &Rendition,
    facts: &[Option<SegmentFacts>],
    init: &InitSegment,
    file: &mut FileFindings<'_>,
) {
    // A damaged segment leaves the length of its neighbours, and the sum, unknown.
    let Some(facts) = facts.iter().map(Option::as_ref).collect::<Option<Vec<_>>>() else {
        return;
    };
    let nanoseconds = |ticks: i64| Time::new(ticks, init.timescale).nanoseconds();
    let Some(start) = facts.iter().map(|facts| facts.earliest_ticks).min() else {
        return;
    };
    let end = facts.iter().map(|facts| facts.latest_end_ticks).max().unwrap_or(start);
    let first_shown = |facts: &&SegmentFacts| facts.first.composition_ticks().saturating_add(init.shift.ticks);
    let starts = std::iter::once(start).chain(facts.iter().skip(1).map(first_shown));
    let ends = facts.iter().skip(1).map(first_shown).chain([end]);
    let mut sum_ns = 0_i64;
    for (segment, (start_of_this, end_of_this)) in rendition.playlist.segments.iter().zip(starts.zip(ends)) {
        let real_ns = nanoseconds(end_of_this.saturating_sub(start_of_this));
        let stated_ns = segment.value.duration_ns;
        if real_ns.abs_diff(stated_ns) > DURATION_TOLERANCE_NS.unsigned_abs() {
            file.add_at(
                segment.offset,
                format!(
                    "EXTINF of {} is {} s, and its samples last {} s",
                    segment.value.uri,
                    seconds(stated_ns),
                    seconds(real_ns)
                ),
            );
        }
        sum_ns = sum_ns.saturating_add(stated_ns);
    }
    let real_ns = nanoseconds(end.saturating_sub(start));
    if real_ns.abs_diff(sum_ns) > DURATION_TOLERANCE_NS.unsigned_abs() {
        file.add(format!(
            "all EXTINF together are {} s, and the samples last {} s",
            seconds(sum_ns),
            seconds(real_ns)
        ));
    }
}

/// Sequence numbers and decode times of segment after segment.
fn check_order(
    rendition: &Rendition,
    facts: &[Option<SegmentFacts>],
    notes: &mut Vec<String>,
    findings: &mut Findings,
) {
    let mut before: Option<&SegmentFacts> = None;
    let mut gaps = 0_u32;
    for (index, (segment, facts)) in rendition.segments.iter().zip(facts).enumerate() {
        let Some(facts) = facts else {
            before = None;
            continue;
        };
        let mut file = findings.of(&segment.file);
        let expected = match before {
            Some(before) => before.last_sequence_number.checked_add(1),
            None => (index == 0).then_some(1),
        };
        if let Some(expected) = expected.filter(|expected| *expected != facts.first_sequence_number) {
            let found = facts.first_sequence_number;
            file.add(format!("mfhd sequence_number is {found}, expected {expected}"));
        }
        if let Some(before) = before {
            let (end, start) = (before.end_ticks, facts.first.decode_ticks);
            if start < end {
                let what = format!("the decode time is {start} ticks, before {end}, where the segment before ends");
                file.add_in_sample(0, facts.first.offset, what);
            }
            gaps += u32::from(start > end);
        }
        before = Some(facts);
    }
    if gaps > 0 {
        let file = rendition.playlist_file.display();
        notes.push(format!(
            "{file}: decode times leap over {gaps} gaps between segments, as where the source has gaps"
        ));
    }
}

//! I-frame playlists (RFC 8216bis, 4.4.3.6 and 4.4.6.3) against the keyframes of their renditions.

use std::path::{Path, PathBuf};

use super::bandwidth::Measured;
use super::media_playlist::DURATION_TOLERANCE_NS;
use super::multivariant::check_bandwidth;
use super::{check_key_attributes, nearest_second, seconds, shown};
use crate::codec::VideoRange;
use crate::media::{MediaKind, Time};
use crate::package::hls::MULTIVARIANT_PLAYLIST;
use crate::plan::MAX_LISTED_KEYFRAMES;
use crate::verify::check::{Keyframe, SegmentFacts};
use crate::verify::findings::{FileFindings, Findings};
use crate::verify::output::{IFramePlaylist, Output, Part, Rendition, relative};
use crate::verify::playlist::{Located, MediaPlaylist, Segment, Variant};

/// Checks all I-frame playlists, and that each rendition of video has one.
pub(in crate::verify) fn check_iframes(output: &mut Output, facts: &[Vec<Option<SegmentFacts>>]) {
    let findings = &mut output.findings;
    // Variants say their range where not all are of the standard one (Apple's authoring specification, 9.16).
    let mut ranges = output.renditions.iter().filter_map(Rendition::init);
    let says_range = ranges.any(|init| init.video_range != VideoRange::Sdr);
    let folder = |file: &Path| file.parent().map(Path::to_owned);
    for (rendition, facts) in output.renditions.iter().zip(facts) {
        let is_of_rendition = |file: &Path| folder(file) == folder(&rendition.playlist_file);
        let mut of_rendition = output.iframes.iter().filter(|iframes| is_of_rendition(&iframes.file));
        let (playlist, second) = (of_rendition.next(), of_rendition.next());
        if let Some(second) = second {
            findings
                .of(&second.file)
                .add("a second I-frame playlist of the rendition");
        }
        match (playlist, may_have_iframes(rendition, facts)) {
            (Some(iframes), true) => {
                check_header(iframes, rendition, &mut findings.of(&iframes.file));
                check_ranges(iframes, rendition, facts, findings);
                let mut variants = output.multivariant.iframes.iter();
                let is_named = |variant: &&Located<Variant>| Path::new(&variant.value.uri) == iframes.file;
                if let Some(variant) = variants.find(is_named) {
                    let mut file = findings.of(Path::new(MULTIVARIANT_PLAYLIST));
                    check_variant(variant, iframes, rendition, says_range, &mut file);
                    let mut variants = output.multivariant.variants.iter();
                    let is_same =
                        |variant: &&Located<Variant>| Path::new(&variant.value.uri) == rendition.playlist_file;
                    if let Some(whole) = variants.find(is_same) {
                        check_choices(variant, &whole.value, &mut file);
                    }
                }
            }
            (Some(iframes), false) => findings
                .of(&iframes.file)
                .add("an I-frame playlist of what has no keyframes that can be fetched alone"),
            (None, true) => findings.of(Path::new(MULTIVARIANT_PLAYLIST)).add(format!(
                "there is no EXT-X-I-FRAME-STREAM-INF beside {}",
                rendition.playlist_file.display()
            )),
            (None, false) => {}
        }
    }
    for iframes in &output.iframes {
        let mut renditions = output.renditions.iter();
        if renditions.all(|rendition| folder(&rendition.playlist_file) != folder(&iframes.file)) {
            findings.of(&iframes.file).add("an I-frame playlist of no rendition");
        }
    }
}

/// Whether there are keyframes to list: a range of a segment that is encrypted as a whole can't be decrypted (4.4.4.4).
fn may_have_iframes(rendition: &Rendition, facts: &[Option<SegmentFacts>]) -> bool {
    let is_video = rendition.init().is_some_and(|init| init.kind == MediaKind::Video);
    let keyframes = facts.iter().flatten().map(|facts| facts.keyframes.len()).sum();
    is_video && !rendition.has_encrypted_segments() && (1..=MAX_LISTED_KEYFRAMES).contains(&keyframes)
}

/// What somebody chose of a variant holds for its keyframes too.
fn check_choices(Located { offset, value }: &Located<Variant>, whole: &Variant, file: &mut FileFindings<'_>) {
    file.expect_at(*offset, "HDCP-LEVEL", &value.hdcp_level, &whole.hdcp_level);
    file.expect_at(*offset, "SCORE", &value.score, &whole.score);
}

fn check_header(iframes: &IFramePlaylist, rendition: &Rendition, file: &mut FileFindings<'_>) {
    /// `EXT-X-MAP` in a playlist of I-frames (RFC 8216bis, 8).
    const LOWEST_VERSION: u64 = 5;
    let playlist = &iframes.playlist;
    if playlist.version != Some(LOWEST_VERSION) {
        file.add(format!(
            "EXT-X-VERSION is {}, and {LOWEST_VERSION} is the lowest that is true",
            shown(playlist.version)
        ));
    }
    for (is_there, what) in [
        (playlist.is_iframes_only, "there is no EXT-X-I-FRAMES-ONLY"),
        (playlist.has_end, "there is no EXT-X-ENDLIST"),
        (playlist.media_sequence == Some(1), "EXT-X-MEDIA-SEQUENCE is not 1"),
        (
            playlist.playlist_type.as_deref() == Some("VOD"),
            "EXT-X-PLAYLIST-TYPE is not VOD",
        ),
    ] {
        if !is_there {
            file.add(what);
        }
    }
    let durations = playlist.segments.iter().map(|segment| segment.value.duration_ns);
    let longest = durations.max().map_or(0, nearest_second);
    let expected = rendition.playlist.target_duration_s.map(|shared| shared.max(longest));
    if playlist.target_duration_s != expected {
        file.add(format!(
            "EXT-X-TARGETDURATION is {}, expected {}: that of all playlists, or the longest I-frame's",
            shown(playlist.target_duration_s),
            shown(expected)
        ));
    }
}

/// A keyframe that is to be listed.
struct Listed<'a> {
    keyframe: Keyframe,
    segment: usize,
    file: &'a Path,
    /// Where the segment begins in the file.
    start: u64,
}

/// All keyframes in order but those that are shown no later than one before, which have no time of their own.
fn listed<'a>(rendition: &'a Rendition, facts: &[&SegmentFacts], end_ticks: i64) -> Vec<Listed<'a>> {
    let mut before = None;
    let mut listed = Vec::new();
    for (index, (segment, facts)) in rendition.segments.iter().zip(facts).enumerate() {
        for keyframe in &facts.keyframes {
            if before.is_none_or(|before| keyframe.shown_ticks > before) && keyframe.shown_ticks < end_ticks {
                before = Some(keyframe.shown_ticks);
                listed.push(Listed {
                    keyframe: *keyframe,
                    segment: index,
                    file: &segment.file,
                    start: segment.range.as_ref().map_or(0, |range| range.start),
                });
            }
        }
    }
    listed
}

/// Each entry against its keyframe, and all keyframes against the entries.
fn check_ranges(
    iframes: &IFramePlaylist,
    rendition: &Rendition,
    facts: &[Option<SegmentFacts>],
    findings: &mut Findings,
) {
    let Some(init) = rendition.init() else { return };
    // A damaged segment leaves unknown what is to be listed.
    let Some(facts) = facts.iter().map(Option::as_ref).collect::<Option<Vec<_>>>() else {
        return;
    };
    let end_ticks = facts.iter().map(|facts| facts.latest_end_ticks).max().unwrap_or(0);
    let start_ticks = facts.iter().map(|facts| facts.earliest_ticks).min().unwrap_or(0);
    let listed = listed(rendition, &facts, end_ticks);
    for listed in listed.iter().filter(|listed| !listed.keyframe.begins_fragment) {
        let Keyframe { end_offset, .. } = listed.keyframe;
        let what = "the keyframe that ends here begins no fragment, so it can't be fetched alone";
        findings.of_range(listed.file, listed.start).add_at(end_offset, what);
    }
    let mut file = findings.of(&iframes.file);
    let entries = &iframes.playlist.segments;
    if entries.len() != listed.len() {
        file.add(format!(
            "lists {} I-frames, and there are {} keyframes",
            entries.len(),
            listed.len()
        ));
    }
    let shown_ticks = || listed.iter().skip(1).map(|listed| listed.keyframe.shown_ticks);
    let starts = std::iter::once(start_ticks).chain(shown_ticks());
    let ends = shown_ticks().chain([end_ticks]);
    for ((entry, listed), (start, end)) in entries.iter().zip(&listed).zip(starts.zip(ends)) {
        check_entry(iframes, entry, listed, &mut file);
        let real_ns = Time::new(end.saturating_sub(start), init.timescale).nanoseconds();
        let stated_ns = entry.value.duration_ns;
        if real_ns.abs_diff(stated_ns) > DURATION_TOLERANCE_NS.unsigned_abs() {
            let (stated, real) = (seconds(stated_ns), seconds(real_ns));
            let what = format!("EXTINF is {stated} s, and the next I-frame is shown after {real} s");
            file.add_at(entry.offset, what);
        }
        let mut parts = rendition.parts.iter();
        if let Some(part) = parts.find(|part| part.segments.contains(&listed.segment)) {
            check_part(iframes, entry, part, &mut file);
        }
    }
    for key in iframes.playlist.keys.iter().filter(|key| !key.value.is_none()) {
        check_key_attributes(key, rendition, &mut file);
    }
}

/// The range of an entry: from the `moof` to the keyframe's last byte (Apple's authoring specification, 6.10).
fn check_entry(iframes: &IFramePlaylist, entry: &Located<Segment>, listed: &Listed<'_>, file: &mut FileFindings<'_>) {
    let Keyframe {
        fragment_offset,
        end_offset,
        ..
    } = listed.keyframe;
    let named = resolve(&iframes.file, &entry.value.uri);
    if named.as_deref() != Some(listed.file) {
        let what = format!(
            "names {}, and the keyframe is in {}",
            entry.value.uri,
            listed.file.display()
        );
        file.add_at(entry.offset, what);
    }
    let (found, expected) = (
        &entry.value.range,
        Some(listed.start + fragment_offset..listed.start + end_offset),
    );
    file.expect_at(entry.offset, "the range of the I-frame", found, &expected);
}

/// `EXT-X-MAP` and `EXT-X-KEY` in force, as they are for the segment.
fn check_part(iframes: &IFramePlaylist, entry: &Located<Segment>, part: &Part, file: &mut FileFindings<'_>) {
    let MediaPlaylist { maps, keys, .. } = &iframes.playlist;
    let map = entry.value.map.and_then(|map| maps.get(map));
    let init_file = map.and_then(|map| resolve(&iframes.file, &map.value.uri));
    file.expect_at(entry.offset, "EXT-X-MAP of the I-frame", &init_file, &part.init_file);
    let init_range = map.and_then(|map| map.value.range.clone());
    file.expect_at(
        entry.offset,
        "BYTERANGE of EXT-X-MAP of the I-frame",
        &init_range,
        &part.init_range,
    );
    let key = entry.value.key.and_then(|key| keys.get(key));
    let uri = key.and_then(|key| key.value.uri.clone());
    file.expect_at(entry.offset, "the key URI of the I-frame", &uri, &part.key_uri);
    let iv = key.and_then(|key| key.value.iv).map(|iv| iv.to_string());
    let expected = part.protection().and_then(|protection| protection.constant_iv);
    if !key.is_some_and(|key| key.value.has_iv_of(expected)) {
        file.expect_at(
            entry.offset,
            "IV of the I-frame",
            &iv,
            &expected.map(|iv| iv.to_string()),
        );
    }
    if let (Some(map), Some(key)) = (map, key)
        && map.offset > key.offset
    {
        file.add_at(
            key.offset,
            "EXT-X-KEY must stand behind EXT-X-MAP: init segments are clear",
        );
    }
}

/// `EXT-X-I-FRAME-STREAM-INF` against its playlist and rendition.
fn check_variant(
    variant: &Located<Variant>,
    iframes: &IFramePlaylist,
    rendition: &Rendition,
    says_range: bool,
    file: &mut FileFindings<'_>,
) {
    let Located { offset, value } = variant;
    let Some(init) = rendition.init() else { return };
    let segments = iframes.playlist.segments.iter().map(|entry| {
        let range = entry.value.range.as_ref()?;
        Some((range.end - range.start, entry.value.duration_ns))
    });
    let segments: Option<Vec<(u64, i64)>> = segments.collect();
    let target_duration_s = iframes.playlist.target_duration_s;
    let measured = segments.zip(target_duration_s);
    if let Some(measured) = measured.and_then(|(segments, target)| Measured::of_segments(&segments, target)) {
        for (name, declared, measured) in [
            ("BANDWIDTH", value.bandwidth_bps, measured.peak_bps),
            ("AVERAGE-BANDWIDTH", value.average_bandwidth_bps, measured.average_bps),
        ] {
            check_bandwidth(name, declared, measured, *offset, file);
        }
    }
    let (width, height) = init.dimensions;
    let dimensions = Some((u64::from(width), u64::from(height)));
    file.expect_at(*offset, "RESOLUTION", &value.resolution, &dimensions);
    for (name, found, expected) in [
        ("CODECS", &value.codecs, Some(init.codec.rfc6381())),
        (
            "SUPPLEMENTAL-CODECS",
            &value.supplemental_codecs,
            init.codec.supplemental_codecs(),
        ),
        (
            "VIDEO-RANGE",
            &value.video_range,
            says_range.then(|| init.video_range.name().to_owned()),
        ),
        ("AUDIO", &value.audio, None),
        ("SUBTITLES", &value.subtitles, None),
    ] {
        file.expect_at(*offset, name, found, &expected);
    }
    if value.frame_rate_nhz.is_some() || value.closed_captions.is_some() {
        file.add_at(
            *offset,
            "FRAME-RATE or CLOSED-CAPTIONS, which EXT-X-I-FRAME-STREAM-INF does not have",
        );
    }
}

/// A URI of an I-frame playlist as a path in the output.
fn resolve(playlist_file: &Path, uri: &str) -> Option<PathBuf> {
    relative(playlist_file.parent()?, uri)
}

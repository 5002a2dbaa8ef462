//! The multivariant playlist (RFC 8216bis, 4.4.6) against all renditions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::bandwidth::{Measured, durations_ns};
use super::{NANOSECONDS_PER_SECOND, check_key_attributes, nearest_second, seconds, shown};
use crate::codec::{Captions, VideoRange};
use crate::media::MediaKind;
use crate::package::hls::MULTIVARIANT_PLAYLIST;
use crate::verify::check::SegmentFacts;
use crate::verify::findings::{FileFindings, Findings};
use crate::verify::output::Rendition;
use crate::verify::playlist::{ClosedCaptions, Located, Media, MultivariantPlaylist, Variant};

/// How far declared bit rates may be from measured ones (Apple's authoring specification, 1.26 and 1.27), in percent.
pub(in crate::verify) const BANDWIDTH_TOLERANCE_PERCENT: u64 = 10;

/// `TYPE` of `EXT-X-MEDIA`, and the attribute of variants.
const CLOSED_CAPTIONS: &str = "CLOSED-CAPTIONS";

/// `FRAME-RATE` has three decimals: half of the last one, and what rounding durations adds; in nanohertz.
const FRAME_RATE_TOLERANCE_NHZ: i64 = 1_000_000;

/// Checks the multivariant playlist against all renditions.
pub(in crate::verify) fn check_multivariant(
    playlist: &MultivariantPlaylist,
    renditions: &[Rendition],
    facts: &[Vec<Option<SegmentFacts>>],
    findings: &mut Findings,
) {
    check_target_durations(renditions, findings);
    let mut file = findings.of(Path::new(MULTIVARIANT_PLAYLIST));
    check_version(playlist, &mut file);
    let all_independent = renditions
        .iter()
        .all(|rendition| rendition.playlist.has_independent_segments);
    if playlist.has_independent_segments && !all_independent {
        file.add("EXT-X-INDEPENDENT-SEGMENTS, which not all media playlists have");
    }
    check_session_keys(playlist, renditions, &mut file);
    if playlist.variants.is_empty() {
        file.add("there is no EXT-X-STREAM-INF");
    }
    let mut defaults = BTreeSet::new();
    let mut names = BTreeSet::new();
    for media in &playlist.media {
        let group = (media.value.kind.clone(), media.value.group.clone());
        if media.value.default.as_deref() == Some("YES") && !defaults.insert(group.clone()) {
            file.add_at(media.offset, "a second DEFAULT=YES in the group");
        }
        if !names.insert((group, media.value.name.clone())) {
            file.add_at(media.offset, "a second NAME of the same in the group");
        }
        check_media(media, renditions, &mut file);
    }
    let measured: Vec<Option<Measured>> = renditions.iter().map(Measured::of).collect();
    let look_up = |uri: &str| {
        let index = renditions
            .iter()
            .position(|rendition| rendition.playlist_file == Path::new(uri))?;
        Some(Entry {
            rendition: renditions.get(index)?,
            measured: measured.get(index).copied().flatten(),
            samples: facts
                .get(index)?
                .iter()
                .map(|facts| Some(facts.as_ref()?.samples))
                .sum(),
            captions: facts
                .get(index)?
                .iter()
                .try_fold(Captions::default(), |captions, facts| {
                    Some(captions.and(facts.as_ref()?.captions))
                }),
        })
    };
    check_choices(&playlist.variants, &mut file);
    let mut uris = BTreeSet::new();
    // Variants say their range where not all are of the standard one (Apple's authoring specification, 9.16).
    let ranges = renditions.iter().filter_map(Rendition::init);
    let says_range = ranges
        .map(|init| init.video_range)
        .any(|range| range != VideoRange::Sdr);
    for variant in &playlist.variants {
        let Variant {
            uri, audio, subtitles, ..
        } = &variant.value;
        if !uris.insert((uri, audio, subtitles)) {
            file.add_at(variant.offset, "a second variant of the same URI and groups");
        }
        let alternatives = check_groups(playlist, variant, look_up, &mut file);
        if let Some(entry) = look_up(&variant.value.uri) {
            check_sound_alone(playlist, variant, &entry, &mut file);
            check_variant(variant, &entry, (&alternatives, says_range), &mut file);
        }
    }
    let videos = playlist.variants.iter().filter_map(|variant| {
        let entry = look_up(&variant.value.uri)?;
        let kind = entry.rendition.init()?.kind;
        (kind == MediaKind::Video).then_some((variant, entry.captions))
    });
    check_captions(playlist, &videos.collect::<Vec<_>>(), &mut file);
}

/// What somebody chose of variants, which no media tells.
fn check_choices(variants: &[Located<Variant>], file: &mut FileFindings<'_>) {
    let has_scores = variants.iter().any(|variant| variant.value.score.is_some());
    for Located { offset, value } in variants {
        match value.hdcp_level.as_deref() {
            None | Some("TYPE-0" | "TYPE-1" | "NONE") => {}
            Some(other) => file.add_at(
                *offset,
                format!("HDCP-LEVEL is {other}, expected TYPE-0, TYPE-1 or NONE"),
            ),
        }
        match value.score {
            // Players ignore scores that not all variants have (4.4.6.2).
            None if has_scores => file.add_at(*offset, "SCORE is missing, and other variants have it"),
            Some(score) if score <= 0.0 || !score.is_finite() => {
                file.add_at(*offset, format!("SCORE is {score}, expected a number above 0"));
            }
            _ => {}
        }
    }
}

/// The lowest version that is true (RFC 8216bis, 8).
fn check_version(playlist: &MultivariantPlaylist, file: &mut FileFindings<'_>) {
    let has_key_format = playlist.session_keys.iter().any(|key| key.value.key_format.is_some());
    let is_service = |media: &Located<Media>| {
        media
            .value
            .instream_id
            .as_deref()
            .is_some_and(|id| id.starts_with("SERVICE"))
    };
    let lowest = match (playlist.media.iter().any(is_service), has_key_format) {
        (true, _) => 7,
        (false, true) => 5,
        (false, false) => 1,
    };
    if playlist.version.unwrap_or(1) != lowest {
        file.add(format!(
            "EXT-X-VERSION is {}, and {lowest} is the lowest that is true",
            shown(playlist.version)
        ));
    }
}

/// The renditions beside a variant, by the groups that it names.
fn check_groups<'a>(
    playlist: &MultivariantPlaylist,
    variant: &Located<Variant>,
    look_up: impl Fn(&str) -> Option<Entry<'a>>,
    file: &mut FileFindings<'_>,
) -> Vec<Vec<Entry<'a>>> {
    let mut alternatives = Vec::new();
    for (kind, group) in [("AUDIO", &variant.value.audio), ("SUBTITLES", &variant.value.subtitles)] {
        let of_kind = || {
            playlist
                .media
                .iter()
                .filter(|media| media.value.kind.as_deref() == Some(kind))
        };
        let Some(group) = group else {
            if of_kind().next().is_some() {
                file.add_at(
                    variant.offset,
                    format!("{kind} is missing, and there are renditions of it"),
                );
            }
            continue;
        };
        let entries: Vec<Entry<'_>> = of_kind()
            .filter(|media| media.value.group.as_ref() == Some(group))
            .filter_map(|media| look_up(media.value.uri.as_deref()?))
            .collect();
        if entries.is_empty() {
            let what = format!("{kind} names the group {group:?}, which has no rendition");
            file.add_at(variant.offset, what);
        }
        alternatives.push(entries);
    }
    alternatives
}

/// Sound that is a variant by itself is what its group begins with.
fn check_sound_alone(
    playlist: &MultivariantPlaylist,
    variant: &Located<Variant>,
    entry: &Entry<'_>,
    file: &mut FileFindings<'_>,
) {
    let is_sound = entry.rendition.init().is_some_and(|init| init.kind == MediaKind::Audio);
    let Some(group) = variant.value.audio.as_ref().filter(|_| is_sound) else {
        return;
    };
    let of_group = |media: &&Located<Media>| {
        media.value.kind.as_deref() == Some("AUDIO") && media.value.group.as_ref() == Some(group)
    };
    let mut members = playlist.media.iter().filter(of_group);
    let default = members
        .clone()
        .find(|media| media.value.default.as_deref() == Some("YES"));
    let first_played = default.or_else(|| members.next());
    let expected = first_played.and_then(|media| media.value.uri.as_deref());
    file.expect_at(
        variant.offset,
        "the playlist of sound alone",
        &Some(&*variant.value.uri),
        &expected,
    );
}

/// `CLOSED-CAPTIONS` of the variants with video, and the groups of captions, against what is inside of the video.
fn check_captions(
    playlist: &MultivariantPlaylist,
    videos: &[(&Located<Variant>, Option<Captions>)],
    file: &mut FileFindings<'_>,
) {
    let Some(all) = videos
        .iter()
        .try_fold(Captions::default(), |all, (_, captions)| Some(all.and((*captions)?)))
    else {
        return; // A segment is damaged, which is found elsewhere.
    };
    let announced = playlist
        .media
        .iter()
        .filter(|media| media.value.kind.as_deref() == Some(CLOSED_CAPTIONS));
    let group = announced.clone().find_map(|media| media.value.group.clone());
    let announced: BTreeSet<String> = announced.filter_map(|media| media.value.instream_id.clone()).collect();
    let carried: BTreeSet<String> = all.instream_ids().collect();
    if announced != carried {
        file.add(format!(
            "INSTREAM-ID of captions is {announced:?}, and the video carries {carried:?}"
        ));
    }
    for (variant, captions) in videos {
        let expected = match captions {
            _ if all.is_empty() => Some(ClosedCaptions::None),
            Some(captions) if !captions.is_empty() => group.clone().map(ClosedCaptions::Group),
            _ => None,
        };
        file.expect_at(
            variant.offset,
            CLOSED_CAPTIONS,
            &variant.value.closed_captions,
            &expected,
        );
    }
}

/// One target duration serves all playlists (Apple's authoring specification, 8.2): that of the longest segment.
fn check_target_durations(renditions: &[Rendition], findings: &mut Findings) {
    let all = renditions.iter().flat_map(|rendition| &rendition.playlist.segments);
    let expected = all
        .map(|segment| nearest_second(segment.value.duration_ns))
        .max()
        .unwrap_or(0)
        .max(1);
    for rendition in renditions {
        if let Some(target) = rendition
            .playlist
            .target_duration_s
            .filter(|target| *target != expected)
        {
            let what = format!("EXT-X-TARGETDURATION is {target}, expected {expected} as the longest of all segments");
            findings.of(&rendition.playlist_file).add(what);
        }
    }
}

/// Each key URI once, and no IV: renditions of one key have IVs of their own.
pub(in crate::verify) fn check_session_keys(
    playlist: &MultivariantPlaylist,
    renditions: &[Rendition],
    file: &mut FileFindings<'_>,
) {
    let used: BTreeMap<&str, &Rendition> = renditions
        .iter()
        .filter_map(|rendition| Some((rendition.key_uri()?, rendition)))
        .collect();
    let mut announced = BTreeSet::new();
    for key in &playlist.session_keys {
        if key.value.iv.is_some() {
            file.add_at(
                key.offset,
                "EXT-X-SESSION-KEY has an IV, and each rendition has one of its own",
            );
        }
        let Some(uri) = key.value.uri.as_deref() else { continue };
        if !announced.insert(uri) {
            file.add_at(key.offset, "a second EXT-X-SESSION-KEY of the same URI");
        }
        match used.get(uri) {
            Some(rendition) => check_key_attributes(key, rendition, file),
            None => file.add_at(key.offset, format!("no media playlist has the key URI {uri:?}")),
        }
    }
    for uri in used.keys().filter(|uri| !announced.contains(*uri)) {
        file.add(format!("there is no EXT-X-SESSION-KEY of the key URI {uri:?}"));
    }
}

/// `EXT-X-MEDIA` against its rendition.
fn check_media(media: &Located<Media>, renditions: &[Rendition], file: &mut FileFindings<'_>) {
    let Located { offset, value } = media;
    let kind = match value.kind.as_deref() {
        Some("AUDIO") => Some(MediaKind::Audio),
        Some("SUBTITLES") => Some(MediaKind::Text),
        Some(CLOSED_CAPTIONS) => None,
        _ => {
            file.add_at(*offset, "TYPE is neither AUDIO, SUBTITLES nor CLOSED-CAPTIONS");
            None
        }
    };
    let place = if value.kind.as_deref() == Some(CLOSED_CAPTIONS) {
        ("INSTREAM-ID", &value.instream_id)
    } else {
        ("URI", &value.uri)
    };
    for (name, found) in [("GROUP-ID", &value.group), ("NAME", &value.name), place] {
        if found.is_none() {
            file.add_at(*offset, format!("{name} is missing"));
        }
    }
    for (name, found) in [("DEFAULT", &value.default), ("AUTOSELECT", &value.autoselect)] {
        if !matches!(found.as_deref(), Some("YES" | "NO")) {
            file.add_at(*offset, format!("{name} is neither YES nor NO"));
        }
    }
    let forced = value.forced.as_deref();
    if forced.is_some_and(|forced| forced != "YES" || kind != Some(MediaKind::Text)) {
        file.add_at(*offset, "FORCED is not YES, or not of subtitles");
    }
    let is_chosen = value.default.as_deref() == Some("YES") || forced.is_some();
    if is_chosen && value.autoselect.as_deref() == Some("NO") {
        file.add_at(*offset, "AUTOSELECT is NO, beside DEFAULT or FORCED");
    }
    if value
        .characteristics
        .as_deref()
        .is_some_and(|tags| tags.split(',').any(str::is_empty))
    {
        file.add_at(*offset, "CHARACTERISTICS has an empty entry");
    }
    let path = value.uri.as_deref().map(PathBuf::from);
    let rendition = renditions
        .iter()
        .find(|rendition| Some(&rendition.playlist_file) == path.as_ref());
    let Some(init) = rendition.and_then(Rendition::init) else {
        return;
    };
    file.expect_at(*offset, "the kind of the rendition", &Some(init.kind), &kind);
    // Of what has no language too (Apple's authoring specification, 8.10).
    let language = init.language.clone().unwrap_or_else(|| "und".to_owned());
    file.expect_at(*offset, "LANGUAGE", &value.language, &Some(language));
    file.expect_at(*offset, "CHANNELS", &value.channels, &init.codec.hls_channels());
}

/// A rendition that a variant plays.
struct Entry<'a> {
    rendition: &'a Rendition,
    measured: Option<Measured>,
    /// `None` where a segment is damaged.
    samples: Option<u64>,
    /// The captions inside of its video; `None` where a segment is damaged.
    captions: Option<Captions>,
}

/// `EXT-X-STREAM-INF` against its renditions.
fn check_variant(
    variant: &Located<Variant>,
    entry: &Entry<'_>,
    (alternatives, says_range): (&[Vec<Entry<'_>>], bool),
    file: &mut FileFindings<'_>,
) {
    let Located { offset, value } = variant;
    let beside = || alternatives.iter().flatten();
    // Of WebVTT that is no MP4 too (Apple's authoring specification, 5.10).
    let codec = |entry: &Entry<'_>| {
        let of_mp4 = || entry.rendition.init().map(|init| init.codec.rfc6381());
        if entry.rendition.is_webvtt {
            Some("wvtt".to_owned())
        } else {
            of_mp4()
        }
    };
    if let Some(expected) = std::iter::once(entry)
        .chain(beside())
        .map(codec)
        .collect::<Option<BTreeSet<String>>>()
    {
        let codecs = value.codecs.as_deref().unwrap_or_default();
        let found: BTreeSet<String> = codecs.split(',').map(str::to_owned).collect();
        file.expect_at(*offset, "CODECS", &found, &expected);
    }
    if let (Some(measured), true) = (entry.measured, beside().all(|entry| entry.measured.is_some())) {
        // The variant plays with one rendition of each group at a time: the largest of them counts.
        let largest = |rate: fn(&Measured) -> u64| -> u64 {
            let of_group =
                |group: &Vec<Entry<'_>>| group.iter().filter_map(|entry| entry.measured.as_ref().map(rate)).max();
            alternatives.iter().filter_map(of_group).sum()
        };
        // Sound that is a variant by itself is one of its own group.
        let is_of_group = beside().any(|beside| std::ptr::eq(beside.rendition, entry.rendition));
        let own = |rate: u64| if is_of_group { 0 } else { rate };
        let peak = own(measured.peak_bps) + largest(|beside| beside.peak_bps);
        let average = own(measured.average_bps) + largest(|beside| beside.average_bps);
        check_bandwidth("BANDWIDTH", value.bandwidth_bps, peak, *offset, file);
        check_bandwidth("AVERAGE-BANDWIDTH", value.average_bandwidth_bps, average, *offset, file);
    }
    let Some(init) = entry.rendition.init() else { return };
    if init.kind == MediaKind::Audio {
        return;
    }
    let supplemental = init.codec.supplemental_codecs();
    file.expect_at(
        *offset,
        "SUPPLEMENTAL-CODECS",
        &value.supplemental_codecs,
        &supplemental,
    );
    let (width, height) = init.dimensions;
    let dimensions = Some((u64::from(width), u64::from(height)));
    file.expect_at(*offset, "RESOLUTION", &value.resolution, &dimensions);
    let range = says_range.then(|| init.video_range.name().to_owned());
    file.expect_at(*offset, "VIDEO-RANGE", &value.video_range, &range);
    let Some(samples) = entry.samples else { return };
    let total_ns: i128 = durations_ns(entry.rendition).map(i128::from).sum();
    let measured = i128::from(samples) * i128::from(NANOSECONDS_PER_SECOND).pow(2) / total_ns.max(1);
    let measured = i64::try_from(measured).unwrap_or(i64::MAX);
    let close = |rate: i64| rate.abs_diff(measured) <= FRAME_RATE_TOLERANCE_NHZ.unsigned_abs();
    if !value.frame_rate_nhz.is_some_and(close) {
        let found = value.frame_rate_nhz.map_or("missing".to_owned(), seconds);
        file.add_at(
            *offset,
            format!("FRAME-RATE is {found}, measured {}", seconds(measured)),
        );
    }
}

pub(super) fn check_bandwidth(
    name: &str,
    declared: Option<u64>,
    measured: u64,
    offset: u64,
    file: &mut FileFindings<'_>,
) {
    let is_close = |declared: u64| {
        declared.abs_diff(measured).saturating_mul(100) <= measured.saturating_mul(BANDWIDTH_TOLERANCE_PERCENT)
    };
    if !declared.is_some_and(is_close) {
        let declared = shown(declared);
        let what =
            format!("{name} is {declared}, measured {measured}: more than {BANDWIDTH_TOLERANCE_PERCENT} % apart");
        file.add_at(offset, what);
    }
}

//! Playlists against what the segments really are (RFC 8216bis; Apple's authoring specification).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::findings::{FileFindings, Findings};
use super::init::InitSegment;
use super::playlist::{Key, Located, Media, MediaPlaylist, MultivariantPlaylist, Variant};
use super::{Rendition, SegmentFacts};
use crate::media::{MediaKind, Time};
use crate::package::hls::MULTIVARIANT_PLAYLIST;

/// `EXTINF` has six decimals, and both ends of a segment are rounded to them.
const DURATION_TOLERANCE_NS: i64 = 1_000;

/// How far declared bit rates may be from measured ones (Apple's authoring specification, 1.26 and 1.27), in percent.
const BANDWIDTH_TOLERANCE_PERCENT: u64 = 10;

/// `FRAME-RATE` has three decimals: half of the last one, and what rounding durations adds; in nanohertz.
const FRAME_RATE_TOLERANCE_NHZ: i64 = 1_000_000;

const NANOSECONDS_PER_SECOND: i64 = 1_000_000_000;

/// Checks one media playlist against its init segment and segments.
pub(super) fn check_media_playlist(
    rendition: &Rendition,
    facts: &[Option<SegmentFacts>],
    notes: &mut Vec<String>,
    findings: &mut Findings,
) {
    let playlist = &rendition.playlist;
    {
        let mut file = findings.of(&rendition.playlist_file);
        check_header(playlist, &mut file);
        check_key(rendition, &mut file);
        for tag in [
            (playlist.has_end, "EXT-X-ENDLIST"),
            (!playlist.segments.is_empty(), "segment"),
        ] {
            if !tag.0 {
                file.add(format!("there is no {}", tag.1));
            }
        }
    }
    let Some(init) = &rendition.init else { return };
    check_durations(rendition, facts, init, &mut findings.of(&rendition.playlist_file));
    check_order(rendition, facts, notes, findings);
    if playlist.has_independent_segments {
        for (segment, facts) in rendition.segments.iter().zip(facts) {
            if let Some(facts) = facts.as_ref().filter(|facts| !facts.first.is_sync()) {
                let what = "is not a sync sample, though EXT-X-INDEPENDENT-SEGMENTS says that segments begin with one";
                findings.of(&segment.file).add_in_sample(0, facts.first.offset, what);
            }
        }
    }
}

fn check_header(playlist: &MediaPlaylist, file: &mut FileFindings<'_>) {
    // RFC 8216bis, 8: what each version brought.
    let has_decimals = playlist
        .segments
        .iter()
        .any(|segment| segment.value.duration_ns % NANOSECONDS_PER_SECOND != 0);
    let lowest = match playlist {
        MediaPlaylist { map: Some(_), .. } => 6,
        MediaPlaylist { key: Some(_), .. } => 5,
        _ if has_decimals => 3,
        _ => 1,
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
    if playlist.map.is_none() {
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

/// `EXT-X-KEY` against `tenc`.
fn check_key(rendition: &Rendition, file: &mut FileFindings<'_>) {
    let Rendition { playlist, init, .. } = rendition;
    let protection = init.as_ref().and_then(|init| init.protection);
    match (&playlist.key, protection) {
        (None, None) => {}
        (None, Some(_)) => file.add("there is no EXT-X-KEY, and the init segment says that samples are protected"),
        (Some(key), None) => {
            if init.is_some() {
                file.add_at(
                    key.offset,
                    "EXT-X-KEY, and the init segment says that samples are clear",
                );
            }
        }
        (Some(key), Some(protection)) => {
            if key.value.iv != Some(protection.iv) {
                let found = key.value.iv.map_or("missing".to_owned(), |iv| format!("0x{iv}"));
                file.add_at(
                    key.offset,
                    format!("IV is {found}, expected 0x{} as in tenc", protection.iv),
                );
            }
        }
    }
    if let Some(key) = &playlist.key {
        check_key_attributes(key, file);
        let behind_map = playlist.map.as_ref().is_some_and(|map| map.offset < key.offset);
        let before_segments = playlist
            .segments
            .first()
            .is_none_or(|segment| key.offset < segment.offset);
        if !behind_map || !before_segments {
            file.add_at(
                key.offset,
                "EXT-X-KEY must stand behind EXT-X-MAP and before the first segment",
            );
        }
    }
}

fn check_key_attributes(key: &Located<Key>, file: &mut FileFindings<'_>) {
    let Key {
        method,
        uri,
        key_format,
        ..
    } = &key.value;
    for (name, found, expected) in [("METHOD", method, "SAMPLE-AES"), ("KEYFORMAT", key_format, "identity")] {
        if found.as_deref() != Some(expected) {
            let found = found.as_deref().unwrap_or("missing");
            file.add_at(key.offset, format!("{name} is {found}, expected {expected}"));
        }
    }
    if uri.is_none() {
        file.add_at(key.offset, "URI is missing");
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

/// Checks the multivariant playlist against all renditions.
pub(super) fn check_multivariant(
    playlist: &MultivariantPlaylist,
    renditions: &[Rendition],
    facts: &[Vec<Option<SegmentFacts>>],
    findings: &mut Findings,
) {
    check_target_durations(renditions, findings);
    let mut file = findings.of(Path::new(MULTIVARIANT_PLAYLIST));
    let has_keys = !playlist.session_keys.is_empty();
    let lowest = if has_keys { 5 } else { 1 };
    if playlist.version.unwrap_or(1) != lowest {
        file.add(format!(
            "EXT-X-VERSION is {}, and {lowest} is the lowest that is true",
            shown(playlist.version)
        ));
    }
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
        let group = media.value.group.clone().unwrap_or_default();
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
        })
    };
    let mut uris = BTreeSet::new();
    for variant in &playlist.variants {
        if !uris.insert(&variant.value.uri) {
            file.add_at(variant.offset, "a second variant of the same URI");
        }
        let group = variant.value.audio.as_deref();
        let audios: Vec<Entry<'_>> = playlist
            .media
            .iter()
            .filter(|media| group.is_some() && media.value.group.as_deref() == group)
            .filter_map(|media| look_up(media.value.uri.as_deref()?))
            .collect();
        if let Some(group) = group.filter(|_| audios.is_empty()) {
            file.add_at(
                variant.offset,
                format!("AUDIO names the group {group:?}, which has no rendition"),
            );
        }
        if let Some(entry) = look_up(&variant.value.uri) {
            check_variant(variant, &entry, &audios, &mut file);
        }
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
fn check_session_keys(playlist: &MultivariantPlaylist, renditions: &[Rendition], file: &mut FileFindings<'_>) {
    let used: BTreeSet<&str> = renditions
        .iter()
        .filter_map(|rendition| rendition.playlist.key.as_ref()?.value.uri.as_deref())
        .collect();
    let mut announced = BTreeSet::new();
    for key in &playlist.session_keys {
        check_key_attributes(key, file);
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
        if !used.contains(uri) {
            file.add_at(key.offset, format!("no media playlist has the key URI {uri:?}"));
        }
    }
    for uri in used.difference(&announced) {
        file.add(format!("there is no EXT-X-SESSION-KEY of the key URI {uri:?}"));
    }
}

/// `EXT-X-MEDIA` against its rendition.
fn check_media(media: &Located<Media>, renditions: &[Rendition], file: &mut FileFindings<'_>) {
    let Located { offset, value } = media;
    if value.kind.as_deref() != Some("AUDIO") {
        file.add_at(*offset, "TYPE is not AUDIO");
    }
    for (name, found) in [("GROUP-ID", &value.group), ("NAME", &value.name), ("URI", &value.uri)] {
        if found.is_none() {
            file.add_at(*offset, format!("{name} is missing"));
        }
    }
    for (name, found) in [("DEFAULT", &value.default), ("AUTOSELECT", &value.autoselect)] {
        if !matches!(found.as_deref(), Some("YES" | "NO")) {
            file.add_at(*offset, format!("{name} is neither YES nor NO"));
        }
    }
    let path = value.uri.as_deref().map(PathBuf::from);
    let rendition = renditions
        .iter()
        .find(|rendition| Some(&rendition.playlist_file) == path.as_ref());
    let Some(init) = rendition.and_then(|rendition| rendition.init.as_ref()) else {
        return;
    };
    file.expect_at(*offset, "the kind of the rendition", &init.kind, &MediaKind::Audio);
    file.expect_at(*offset, "LANGUAGE", &value.language, &init.language);
    let channels = init.codec.channels().map(|channels| channels.to_string());
    file.expect_at(*offset, "CHANNELS", &value.channels, &channels);
}

/// A rendition that a variant plays.
struct Entry<'a> {
    rendition: &'a Rendition,
    measured: Option<Measured>,
    /// `None` where a segment is damaged.
    samples: Option<u64>,
}

/// `EXT-X-STREAM-INF` against its renditions.
fn check_variant(variant: &Located<Variant>, entry: &Entry<'_>, audios: &[Entry<'_>], file: &mut FileFindings<'_>) {
    let Located { offset, value } = variant;
    let renditions = || std::iter::once(entry).chain(audios);
    let codec = |entry: &Entry<'_>| entry.rendition.init.as_ref().map(|init| init.codec.rfc6381());
    if let Some(expected) = renditions().map(codec).collect::<Option<BTreeSet<String>>>() {
        let codecs = value.codecs.as_deref().unwrap_or_default();
        let found: BTreeSet<String> = codecs.split(',').map(str::to_owned).collect();
        file.expect_at(*offset, "CODECS", &found, &expected);
    }
    let audio = audios.iter().map(|audio| audio.measured).collect::<Option<Vec<_>>>();
    if let (Some(measured), Some(audio)) = (entry.measured, audio) {
        // The variant plays with one audio rendition at a time: the largest of them counts.
        let largest = |rate: fn(&Measured) -> u64| audio.iter().map(rate).max().unwrap_or(0);
        let peak = measured.peak_bps + largest(|audio| audio.peak_bps);
        let average = measured.average_bps + largest(|audio| audio.average_bps);
        check_bandwidth("BANDWIDTH", value.bandwidth_bps, peak, *offset, file);
        check_bandwidth("AVERAGE-BANDWIDTH", value.average_bandwidth_bps, average, *offset, file);
    }
    let Some(init) = &entry.rendition.init else { return };
    if init.kind == MediaKind::Audio {
        return;
    }
    let (width, height) = init.dimensions;
    let dimensions = Some((u64::from(width), u64::from(height)));
    file.expect_at(*offset, "RESOLUTION", &value.resolution, &dimensions);
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

fn check_bandwidth(name: &str, declared: Option<u64>, measured: u64, offset: u64, file: &mut FileFindings<'_>) {
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

/// Bit rates of a rendition, in bits a second, from the bytes of its segments (RFC 8216bis, 4.4.6.2).
#[derive(Clone, Copy)]
struct Measured {
    peak_bps: u64,
    average_bps: u64,
}

impl Measured {
    /// `None` where a segment is missing, or lasts no time.
    fn of(rendition: &Rendition) -> Option<Self> {
        let bytes: Vec<u64> = rendition
            .segments
            .iter()
            .map(|segment| segment.bytes)
            .collect::<Option<_>>()?;
        let durations: Vec<i64> = durations_ns(rendition).collect();
        let half_target_ns = i64::try_from(rendition.playlist.target_duration_s?)
            .ok()?
            .checked_mul(NANOSECONDS_PER_SECOND / 2)?;
        let average_bps = rate(
            bytes.iter().fold(0, |sum, bytes| sum.saturating_add(*bytes)),
            durations.iter().fold(0, |sum, duration| sum.saturating_add(*duration)),
        )?;
        // The largest rate of contiguous segments that last between 0.5 and 1.5 target durations together.
        let mut peak_bps = average_bps;
        let segments: Vec<(u64, i64)> = bytes.into_iter().zip(durations).collect();
        for first in 0..segments.len() {
            let (mut sum_bytes, mut sum_ns) = (0_u64, 0_i64);
            for (bytes, duration_ns) in segments.iter().skip(first) {
                sum_bytes = sum_bytes.saturating_add(*bytes);
                sum_ns = sum_ns.saturating_add(*duration_ns);
                if sum_ns > half_target_ns.saturating_mul(3) {
                    break;
                }
                if sum_ns >= half_target_ns {
                    peak_bps = peak_bps.max(rate(sum_bytes, sum_ns)?);
                }
            }
        }
        Some(Self { peak_bps, average_bps })
    }
}

fn durations_ns(rendition: &Rendition) -> impl Iterator<Item = i64> {
    rendition
        .playlist
        .segments
        .iter()
        .map(|segment| segment.value.duration_ns)
}

fn rate(bytes: u64, duration_ns: i64) -> Option<u64> {
    let duration_ns = u128::try_from(duration_ns).ok().filter(|duration| *duration > 0)?;
    let bits = u128::from(bytes) * 8 * u128::from(NANOSECONDS_PER_SECOND.unsigned_abs());
    u64::try_from(bits.div_ceil(duration_ns)).ok()
}

fn nearest_second(nanoseconds: i64) -> u64 {
    let rounded = nanoseconds.saturating_add(NANOSECONDS_PER_SECOND / 2) / NANOSECONDS_PER_SECOND;
    u64::try_from(rounded).unwrap_or(0)
}

/// Thousand-millionths as a decimal number.
fn seconds(nanos: i64) -> String {
    let (whole, decimals) = (nanos / NANOSECONDS_PER_SECOND, nanos.unsigned_abs() % 1_000_000_000);
    format!("{whole}.{:06}", decimals / 1_000)
}

fn shown(value: Option<u64>) -> String {
    value.map_or_else(|| "missing".to_owned(), |value| value.to_string())
}

//! A representation: its attributes, its protection, and the time and file of each of its segments.

use std::path::Path;

use super::xml::Element;
use super::{expect_attribute, folder};
use crate::content_key::Kid;
use crate::media::{MediaKind, Time};
use crate::package::hls::key_format::IDENTITY;
use crate::protect::SampleScheme;
use crate::verify::check::SegmentFacts;
use crate::verify::findings::FileFindings;
use crate::verify::hls::{BANDWIDTH_TOLERANCE_PERCENT, Measured};
use crate::verify::init::InitSegment;
use crate::verify::output::{Part, Rendition};
use crate::verify::playlist::{Located, Media};

/// What `EXTINF` has of a duration is rounded to a microsecond.
const EXTINF_TOLERANCE_NS: u64 = 1_000;

/// What a period is compared with.
pub struct PeriodContext<'a> {
    pub renditions: &'a [Rendition],
    /// `EXT-X-MEDIA` of the multivariant playlist.
    pub media: &'a [Located<Media>],
    pub facts: &'a [Vec<Option<SegmentFacts>>],
    /// How long the first segment is hidden of what text is cut by.
    pub hidden_ns: i64,
    /// When it starts, in the time of the tracks.
    pub start_ns: i64,
}

/// An `S` with its repetitions, one by one.
#[derive(Debug, Clone, Copy)]
struct Shown {
    start_ticks: i64,
    duration_ticks: i64,
    /// Where it stands.
    offset: u64,
}

impl PeriodContext<'_> {
    /// Compares a representation of rendition `at`, whose first segments up to `next` are in other periods. Returns which one is next.
    pub fn check(
        &self,
        at: usize,
        next: usize,
        set: &Element,
        representation: &Element,
        file: &mut FileFindings<'_>,
    ) -> usize {
        let Some(rendition) = self.renditions.get(at) else {
            return next;
        };
        if let Some(first) = rendition.segments.first().and_then(|segment| segment.range.as_ref()) {
            if next > 0 {
                file.add_at(
                    representation.offset,
                    "a file with an index, which is in another Period too",
                );
            }
            self.check_single_file(rendition, first.start, set, representation, file);
            return rendition.segments.len();
        }
        let Some(template) = representation
            .child("SegmentTemplate")
            .or_else(|| set.child("SegmentTemplate"))
        else {
            file.add_at(representation.offset, "has no SegmentTemplate");
            return next;
        };
        let shown = timeline(template, file);
        let number: usize = template.number("startNumber", 1).unwrap_or(0);
        let Some(first) = number.checked_sub(1).filter(|first| *first >= next) else {
            let what = format!("startNumber is {number}, expected {}", next + 1);
            file.add_at(template.offset, what);
            return next;
        };
        let facts = self.facts.get(at).map(Vec::as_slice).unwrap_or_default();
        // Segments that the edit list hides have no time, and are left out.
        let is_hidden = |index: usize| match (facts.get(index), rendition.init()) {
            (Some(Some(facts)), Some(_)) => facts.latest_end_ticks <= 0,
            _ => false,
        };
        if let Some(left_out) = (next..first).find(|index| !is_hidden(*index)) {
            file.add_at(template.offset, format!("leaves segment {} out", left_out + 1));
        }
        let end = first.saturating_add(shown.len());
        check_files(rendition, first, end, template, file);
        let part = rendition.parts.iter().find(|part| part.segments.contains(&first));
        if let Some(part) = part {
            if end > part.segments.end && !rendition.has_groups() {
                let what = format!("goes on behind segment {}, where the key changes", part.segments.end);
                file.add_at(template.offset, what);
            }
            check_protection(rendition, part, set, file);
        }
        check_bandwidth(rendition, representation, file);
        match part.and_then(|part| part.init.as_deref()) {
            Some(init) => {
                check_initialization(part, representation, template, file);
                check_description(init, set, representation, file);
                expect_attribute(template, "timescale", &init.timescale.to_string(), file);
                self.check_offset(template, file);
                check_times(&shown, first, facts, file);
            }
            None if rendition.is_webvtt => {
                expect_attribute(set, "mimeType", "text/vtt", file);
                self.check_offset(template, file);
                self.check_durations(&shown, first, rendition, template, file);
            }
            None => {}
        }
        end
    }

    /// Compares a representation of a rendition that is one file, whose segments begin at byte `start`.
    fn check_single_file(
        &self,
        rendition: &Rendition,
        start: u64,
        set: &Element,
        representation: &Element,
        file: &mut FileFindings<'_>,
    ) {
        let Some((base, (path, init_range))) = representation.child("SegmentBase").zip(rendition.single_file()) else {
            file.add_at(
                representation.offset,
                "has no SegmentBase, and the rendition is one file",
            );
            return;
        };
        let url = representation.child("BaseURL").map_or("", |url| &url.text);
        if Path::new(url) != path {
            file.add_at(
                representation.offset,
                format!("BaseURL is {url:?}, expected {}", path.display()),
            );
        }
        let range = |start: u64, end: u64| format!("{start}-{}", end.saturating_sub(1));
        expect_attribute(base, "indexRange", &range(init_range.end, start), file);
        match base.child("Initialization") {
            Some(of) => expect_attribute(of, "range", &range(init_range.start, init_range.end), file),
            None => file.add_at(base.offset, "has no Initialization"),
        }
        self.check_offset(base, file);
        check_bandwidth(rendition, representation, file);
        if let Some(part) = rendition.parts.first() {
            check_protection(rendition, part, set, file);
        }
        if let Some(init) = rendition.init() {
            expect_attribute(base, "timescale", &init.timescale.to_string(), file);
            check_description(init, set, representation, file);
        }
    }

    /// `presentationTimeOffset` is when the period starts, to a tick.
    fn check_offset(&self, template: &Element, file: &mut FileFindings<'_>) {
        let offset = template.number("presentationTimeOffset", 0_i64);
        let (Some(offset), Some(timescale)) = (
            offset,
            template.number("timescale", 1).and_then(std::num::NonZeroU32::new),
        ) else {
            file.add_at(template.offset, "timescale or presentationTimeOffset is no number");
            return;
        };
        let tick_ns = 1_000_000_000 / u64::from(timescale.get()) + 1;
        let offset_ns = Time::new(offset, timescale).nanoseconds();
        if offset_ns.abs_diff(self.start_ns) > tick_ns {
            let expected = self.start_ns;
            let what = format!("presentationTimeOffset is {offset_ns} ns, and the period starts at {expected} ns");
            file.add_at(template.offset, what);
        }
    }

    /// Segments of WebVTT last as long as their playlist says, which is compared with what they are cut by.
    fn check_durations(
        &self,
        shown: &[Shown],
        first: usize,
        rendition: &Rendition,
        template: &Element,
        file: &mut FileFindings<'_>,
    ) {
        let Some(timescale) = template.number("timescale", 1).and_then(std::num::NonZeroU32::new) else {
            return;
        };
        let expected = rendition.playlist.segments.iter().skip(first);
        for ((index, shown), expected) in (first..).zip(shown).zip(expected) {
            let hidden_ns = if index == 0 { self.hidden_ns } else { 0 };
            let (found, expected) = (
                Time::new(shown.duration_ticks, timescale).nanoseconds(),
                expected.value.duration_ns.saturating_sub(hidden_ns),
            );
            if found.abs_diff(expected) > EXTINF_TOLERANCE_NS {
                let what = format!(
                    "S has {found} ns for segment {}, and EXTINF makes {expected} ns",
                    index + 1
                );
                file.add_at(shown.offset, what);
            }
        }
    }
}

/// All segments that a `SegmentTimeline` names.
fn timeline(template: &Element, file: &mut FileFindings<'_>) -> Vec<Shown> {
    /// As many as any rendition has.
    const MAX_SEGMENTS: usize = 1 << 18;
    let mut shown: Vec<Shown> = Vec::new();
    let mut end = 0;
    for entry in template
        .child("SegmentTimeline")
        .iter()
        .flat_map(|timeline| timeline.all("S"))
    {
        let start = entry.number("t", end);
        let duration = entry.number("d", 0).filter(|duration| *duration > 0);
        let repeats = entry
            .number("r", 0_usize)
            .filter(|repeats| *repeats < MAX_SEGMENTS - shown.len().min(MAX_SEGMENTS));
        let (Some(mut start_ticks), Some(duration_ticks), Some(repeats)) = (start, duration, repeats) else {
            file.add_at(entry.offset, "S has a t, d or r that can't be");
            break;
        };
        for _ in 0..=repeats {
            shown.push(Shown {
                start_ticks,
                duration_ticks,
                offset: entry.offset,
            });
            start_ticks = start_ticks.saturating_add(duration_ticks);
        }
        end = start_ticks;
    }
    shown
}

/// The files that `media` names are those of the segments.
fn check_files(rendition: &Rendition, first: usize, end: usize, template: &Element, file: &mut FileFindings<'_>) {
    let media = template.attribute("media").unwrap_or_default();
    let id = folder(rendition);
    for index in first..end {
        let name = media.replace("$RepresentationID$", &id);
        let name = name.replace("$Number%05d$", &format!("{:05}", index + 1));
        let found = rendition.segments.get(index);
        if found.is_none_or(|segment| segment.file != Path::new(&name)) {
            let expected = found.map_or_else(|| "no more".to_owned(), |segment| segment.file.display().to_string());
            file.add_at(
                template.offset,
                format!("segment {} is {name}, expected {expected}", index + 1),
            );
            return;
        }
    }
}

/// Where the init segment is.
fn check_initialization(
    part: Option<&Part>,
    representation: &Element,
    template: &Element,
    file: &mut FileFindings<'_>,
) {
    let id = representation.attribute("id").unwrap_or_default();
    let initialization = template.attribute("initialization").unwrap_or_default();
    let initialization = initialization.replace("$RepresentationID$", id);
    if let Some(expected) = part.and_then(|part| part.init_file.as_deref())
        && expected != Path::new(&initialization)
    {
        let what = format!("initialization is {initialization}, expected {}", expected.display());
        file.add_at(template.offset, what);
    }
}

/// The declared bit rate is near to the measured one.
fn check_bandwidth(rendition: &Rendition, representation: &Element, file: &mut FileFindings<'_>) {
    let measured = Measured::of(rendition).map(|measured| measured.peak_bps);
    let declared = representation.number("bandwidth", 0_u64).unwrap_or(0);
    if let Some(measured) = measured.filter(|measured| {
        declared.abs_diff(*measured).saturating_mul(100) > measured.saturating_mul(BANDWIDTH_TOLERANCE_PERCENT)
    }) {
        let what =
            format!("bandwidth is {declared}, measured {measured}: more than {BANDWIDTH_TOLERANCE_PERCENT} % apart");
        file.add_at(representation.offset, what);
    }
}

/// What the init segment says of the track.
fn check_description(init: &InitSegment, set: &Element, representation: &Element, file: &mut FileFindings<'_>) {
    let (content_type, mime_type) = match init.kind {
        MediaKind::Video => ("video", "video/mp4"),
        MediaKind::Audio => ("audio", "audio/mp4"),
        MediaKind::Text => ("text", "application/mp4"),
    };
    expect_attribute(set, "contentType", content_type, file);
    expect_attribute(set, "mimeType", mime_type, file);
    expect_attribute(representation, "codecs", &init.codec.rfc6381(), file);
    if init.kind == MediaKind::Video {
        expect_attribute(representation, "width", &init.dimensions.0.to_string(), file);
        expect_attribute(representation, "height", &init.dimensions.1.to_string(), file);
    }
    if let Some(language) = &init.language {
        expect_attribute(set, "lang", language, file);
    }
}

/// Scheme and key ID are those of `tenc`, and the licence is where the key is. Groups of samples say of themselves that they have
/// another key, or none.
fn check_protection(rendition: &Rendition, part: &Part, set: &Element, file: &mut FileFindings<'_>) {
    let descriptors = || set.all("ContentProtection");
    let protection = if rendition.has_groups() {
        rendition.protection()
    } else {
        part.protection()
    };
    let Some(protection) = protection else {
        if let Some(descriptor) = descriptors().next() {
            file.add_at(descriptor.offset, "ContentProtection of what is clear");
        }
        return;
    };
    let of_scheme = |scheme: &str| descriptors().find(|of| of.attribute("schemeIdUri") == Some(scheme));
    match of_scheme("urn:mpeg:dash:mp4protection:2011") {
        None => file.add_at(
            set.offset,
            "has no ContentProtection, and its init segments say that it is protected",
        ),
        Some(descriptor) => {
            expect_attribute(descriptor, "value", protection.scheme.name(), file);
            let Kid(kid) = protection.kid;
            let found = descriptor.attribute("cenc:default_KID").unwrap_or_default();
            let is_uuid = found.split('-').map(str::len).eq([8, 4, 4, 4, 12]);
            if !is_uuid || found.replace('-', "") != hex::encode(kid) {
                let what = format!("cenc:default_KID is {found:?}, and tenc has {}", protection.kid);
                file.add_at(descriptor.offset, what);
            }
        }
    }
    // The primary key's URI, or with the key's ID behind it.
    // Key URIs of vendors tell nothing of ours.
    let format = rendition
        .playlist
        .keys
        .iter()
        .find_map(|key| key.value.key_format.as_deref());
    let key_uri = part.key_uri.as_deref().or_else(|| rendition.key_uri());
    let has_licence = matches!(protection.scheme, SampleScheme::Cbcs | SampleScheme::Cenc);
    let Some(key_uri) = key_uri.filter(|_| has_licence && format == Some(IDENTITY)) else {
        return;
    };
    let with_kid = format!("/{}", protection.kid);
    let content_uri = key_uri.strip_suffix(&with_kid).unwrap_or(key_uri);
    let expected = format!("{content_uri}/clearkey");
    let clear_key = of_scheme("urn:uuid:e2719d58-a985-b3c9-781a-b030af78d30e");
    let found = clear_key.and_then(|descriptor| descriptor.child("dashif:Laurl"));
    if found.is_none_or(|found| found.text != expected) {
        let found = found.map_or("missing", |found| &found.text);
        let offset = clear_key.map_or(set.offset, |descriptor| descriptor.offset);
        file.add_at(offset, format!("dashif:Laurl is {found}, expected {expected}"));
    }
}

/// Each segment begins when its earliest sample is shown, and lasts until the next one begins, or to its own end.
fn check_times(shown: &[Shown], first: usize, facts: &[Option<SegmentFacts>], file: &mut FileFindings<'_>) {
    let of = |index: usize| facts.get(index).and_then(Option::as_ref);
    let earliest = |index: usize| of(index).map(|facts| facts.earliest_ticks.max(0));
    for (index, shown) in (first..).zip(shown) {
        let Some(start) = earliest(index) else { continue };
        let end = match earliest(index + 1) {
            None => of(index).map_or(0, |facts| facts.latest_end_ticks),
            Some(next) => next,
        };
        let (found_start, found_end) = (
            shown.start_ticks,
            shown.start_ticks.saturating_add(shown.duration_ticks),
        );
        if (found_start, found_end) != (start, end) {
            file.add_at(
                shown.offset,
                format!(
                    "S has segment {} from {found_start} to {found_end} ticks, and its samples are shown from {start} to {end}",
                    index + 1
                ),
            );
        }
    }
}

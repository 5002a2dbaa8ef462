//! Which sets of a period a player may switch between although their keys differ (5.3.3.5).

use std::collections::BTreeSet;
use std::ops::Range;

use super::representation::PeriodContext;
use super::xml::Element;
use crate::codec::VideoRange;
use crate::media::{MediaKind, Time};
use crate::verify::findings::FileFindings;
use crate::verify::output::Rendition;

const SWITCHING: &str = "urn:mpeg:dash:adaptation-set-switching:2016";

/// A set, its renditions by their index, and which segments of each are in the period.
pub type Members<'a> = (&'a Element, Vec<(usize, Range<usize>)>);

/// What is compared of a set.
struct Set<'a> {
    element: &'a Element,
    /// `None` of text, which has no key.
    form: Option<Form<'a>>,
    /// When segments of each rendition begin being shown, and when the last one ends.
    timelines: Vec<Vec<Time>>,
}

/// What sets have in common that differ in their key alone.
#[derive(PartialEq)]
struct Form<'a> {
    kind: MediaKind,
    /// Of video, the sample entry type.
    codec: String,
    range: VideoRange,
    supplemental_codecs: Option<String>,
    channels: Option<String>,
    language: Option<&'a str>,
    label: Option<&'a str>,
    characteristics: Option<&'a str>,
    roles: Vec<Option<&'a str>>,
}

/// Compares what each set of a period names with the sets that differ from it in nothing but the key, and whose segments begin and
/// end when its own do.
pub fn check(context: &PeriodContext<'_>, sets: &[Members<'_>], file: &mut FileFindings<'_>) {
    let sets = sets.iter().map(|(element, members)| Set::of(context, element, members));
    // Of segments that can't be read, no times are known.
    let Some(sets) = sets.collect::<Option<Vec<_>>>() else {
        return;
    };
    for (index, set) in sets.iter().enumerate() {
        let others = sets.iter().enumerate().filter(|(at, _)| *at != index);
        let others = others.filter(|(_, other)| set.switches_to(other));
        let expected: BTreeSet<&str> = others.filter_map(|(_, other)| other.element.attribute("id")).collect();
        let mut properties = set.element.all("SupplementalProperty");
        let property = properties.find(|of| of.attribute("schemeIdUri") == Some(SWITCHING));
        let value = property.map(|property| property.attribute("value").unwrap_or_default());
        let found: BTreeSet<&str> = value.into_iter().flat_map(|value| value.split(',')).collect();
        if found != expected {
            let offset = property.map_or(set.element.offset, |property| property.offset);
            let what = format!(
                "adaptation-set-switching names {}, expected {}",
                shown(&found),
                shown(&expected)
            );
            file.add_at(offset, what);
        }
    }
}

impl<'a> Set<'a> {
    /// `None` where something of it can't be read.
    fn of(context: &PeriodContext<'a>, element: &'a Element, members: &[(usize, Range<usize>)]) -> Option<Self> {
        let (first, _) = members.first()?;
        let rendition = context.renditions.get(*first)?;
        let is_text = |rendition: &Rendition| rendition.init().is_some_and(|init| init.kind == MediaKind::Text);
        if rendition.is_webvtt || is_text(rendition) {
            return Some(Self {
                element,
                form: None,
                timelines: Vec::new(),
            });
        }
        let timelines = members.iter().map(|(at, segments)| timeline(context, *at, segments));
        Some(Self {
            element,
            form: Some(Form::of(context, element, rendition)?),
            timelines: timelines.collect::<Option<_>>()?,
        })
    }

    fn switches_to(&self, other: &Self) -> bool {
        let first = self.timelines.first();
        let mut timelines = self.timelines.iter().chain(&other.timelines);
        self.form.is_some() && self.form == other.form && timelines.all(|timeline| Some(timeline) == first)
    }
}

impl<'a> Form<'a> {
    /// `None` where the init segment can't be read.
    fn of(context: &PeriodContext<'a>, set: &'a Element, rendition: &Rendition) -> Option<Self> {
        let init = rendition.init()?;
        let codec = init.codec.rfc6381();
        let media = context.media.iter().map(|media| &media.value);
        let mut media = media.filter(|media| {
            let uri = media.uri.as_deref().map(std::path::Path::new);
            uri == Some(&rendition.playlist_file)
        });
        let descriptors = set.all("Role").chain(set.all("Accessibility"));
        // Of captions inside of video, each quality may have others.
        let roles = descriptors.filter(|of| of.attribute("schemeIdUri") == Some("urn:mpeg:dash:role:2011"));
        Some(Self {
            kind: init.kind,
            codec: match (init.kind, codec.split_once('.')) {
                (MediaKind::Video, Some((entry, _))) => entry.to_owned(),
                _ => codec,
            },
            range: init.video_range,
            supplemental_codecs: init.codec.supplemental_codecs(),
            channels: init.codec.hls_channels(),
            language: set.attribute("lang"),
            label: set.child("Label").map(|label| &*label.text),
            characteristics: media.find_map(|media| media.characteristics.as_deref()),
            roles: roles.map(|role| role.attribute("value")).collect(),
        })
    }
}

/// When these segments of rendition `at` begin being shown, and when the last one ends.
fn timeline(context: &PeriodContext<'_>, at: usize, segments: &Range<usize>) -> Option<Vec<Time>> {
    let timescale = context.renditions.get(at)?.init()?.timescale;
    let facts = context.facts.get(at)?;
    let starts = facts.get(segments.clone())?.iter();
    let starts = starts.map(|facts| facts.as_ref().map(|facts| facts.earliest_ticks));
    let end = match facts.get(segments.end) {
        Some(next) => next.as_ref()?.earliest_ticks,
        None => facts.last()?.as_ref()?.latest_end_ticks,
    };
    let ticks = starts.chain([Some(end)]);
    ticks.map(|ticks| Some(Time::new(ticks?, timescale))).collect()
}

fn shown(ids: &BTreeSet<&str>) -> String {
    if ids.is_empty() {
        return "none".to_owned();
    }
    ids.iter().copied().collect::<Vec<_>>().join(",")
}

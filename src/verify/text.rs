//! Subtitles of WebVTT (RFC 8216bis, 3.1.4): segment after segment, against the segments of the video, and against the source.

use std::path::Path;

use super::VerifyError;
use super::check::SegmentFacts;
use super::findings::Findings;
use super::output::{Rendition, read_file};
use super::playlist::MultivariantPlaylist;
use crate::media::webvtt::{Cue, UNMOVED, WebVtt};
use crate::media::{MediaKind, Subtitles, Time};

/// What subtitles are cut by: the first variant.
pub(super) struct Reference<'a> {
    /// Its rendition.
    pub rendition: &'a Rendition,
    /// When each of its segments starts; `None` where one is damaged.
    pub starts: Option<Vec<Time>>,
}

impl<'a> Reference<'a> {
    /// The first variant; of sound alone the first in a group, where there are groups, for a variant's playlist is the default one of
    /// its group.
    pub fn find(
        playlist: &MultivariantPlaylist,
        renditions: &'a [Rendition],
        facts: &[Vec<Option<SegmentFacts>>],
    ) -> Option<Self> {
        let look_up = |uri: &str| {
            let mut renditions = renditions.iter().zip(facts);
            renditions.find(|(rendition, _)| rendition.playlist_file == Path::new(uri))
        };
        let first = look_up(&playlist.variants.first()?.value.uri)?;
        let is_sound = first.0.init().is_some_and(|init| init.kind == MediaKind::Audio);
        let mut media = playlist.media.iter().map(|media| &media.value);
        let of_group = media.find(|media| is_sound && media.kind.as_deref() == Some("AUDIO"));
        let first_of_group = of_group.and_then(|media| look_up(media.uri.as_deref()?));
        let (rendition, facts) = first_of_group.unwrap_or(first);
        Some(Self::new(rendition, facts))
    }

    fn new(rendition: &'a Rendition, facts: &[Option<SegmentFacts>]) -> Self {
        let start = |facts: &Option<SegmentFacts>| {
            let (facts, init) = (facts.as_ref()?, rendition.init()?);
            let ticks = facts.first.composition_ticks().saturating_add(init.shift.ticks);
            Some(Time::new(ticks, init.timescale))
        };
        Self {
            rendition,
            starts: facts.iter().map(start).collect(),
        }
    }
}

impl Reference<'_> {
    /// How long its first segment begins in front of zero, which the edit list hides, in nanoseconds.
    pub fn hidden_ns(&self) -> i64 {
        let start = self.starts.as_ref().and_then(|starts| starts.first());
        start.map_or(0, |start| (-start.nanoseconds()).max(0))
    }
}

/// Checks the segments of one rendition, and returns how many cues it has, those of several segments once.
pub(super) fn check(
    folder: &Path,
    rendition: &Rendition,
    reference: Option<&Reference<'_>>,
    source: Option<&Subtitles>,
    findings: &mut Findings,
) -> Result<u64, VerifyError> {
    let reference_segments = reference.map(|reference| &reference.rendition.playlist.segments);
    let durations = |segments: &[super::playlist::Located<super::playlist::Segment>]| -> Vec<i64> {
        segments.iter().map(|segment| segment.value.duration_ns).collect()
    };
    if let Some(segments) = reference_segments
        && durations(segments) != durations(&rendition.playlist.segments)
    {
        let what = "the segments do not last as long as those of the first variant, each to each";
        findings.of(&rendition.playlist_file).add(what);
    }
    let starts = reference.and_then(|reference| reference.starts.as_ref());
    let mut header = source.map(|source| (source.webvtt.signature.clone(), source.webvtt.header.clone()));
    let mut originals = source.map(|source| source.webvtt.cues.iter());
    let mut shown_on: Option<Vec<Cue>> = Some(Vec::new());
    let mut count = 0;
    for (index, segment) in rendition.segments.iter().enumerate() {
        let mut file = findings.of(&segment.file);
        let data = if segment.bytes.is_some() {
            read_file(folder, &segment.file, None)?
        } else {
            None
        };
        let webvtt = match data.map(|data| WebVtt::parse(&data)) {
            Some(Ok(webvtt)) => webvtt,
            broken => {
                if let Some(Err(error)) = broken {
                    file.add(error.to_string());
                }
                (shown_on, originals) = (None, None);
                continue;
            }
        };
        if webvtt.timestamp_map.as_deref() != Some(UNMOVED) {
            let map = webvtt.timestamp_map.as_deref().unwrap_or("missing");
            file.add(format!("X-TIMESTAMP-MAP is {map}, expected {UNMOVED}"));
        }
        let found = (webvtt.signature, webvtt.header);
        if *header.get_or_insert_with(|| found.clone()) != found {
            file.add("what stands in front of the cues is not as in the source, or the other segments");
        }
        // Nothing is shown before the first segment, or behind the last.
        let start = starts.and_then(|starts| starts.get(index)).filter(|_| index > 0);
        let end = starts.and_then(|starts| starts.get(index + 1));
        let (continued, begun): (Vec<Cue>, Vec<Cue>) = webvtt
            .cues
            .into_iter()
            .partition(|cue| start.is_some_and(|start| cue.start < *start));
        if starts.is_some() && shown_on.as_ref().is_some_and(|expected| *expected != continued) {
            file.add("its first cues are not those of the segment before that are shown on in this one");
        }
        for cue in &begun {
            if end.is_some_and(|end| cue.start >= *end) {
                file.add(format!("a cue starts at {}, behind the segment's end", cue.start));
            }
            match originals.as_mut().map(Iterator::next) {
                Some(Some(original)) if original != cue => {
                    let what = format!("a cue from {} to {}", cue.start, cue.end);
                    file.add(format!(
                        "{what} is not as in the source, where it is {:?}",
                        original.block
                    ));
                    originals = None;
                }
                Some(None) => {
                    file.add(format!(
                        "a cue at {} is not in the source, which ends before",
                        cue.start
                    ));
                    originals = None;
                }
                _ => {}
            }
        }
        count += begun.len() as u64;
        shown_on = match (end, starts) {
            (Some(end), _) => Some(
                continued
                    .into_iter()
                    .chain(begun)
                    .filter(|cue| cue.end > *end)
                    .collect(),
            ),
            (None, Some(_)) => Some(Vec::new()),
            (None, None) => None,
        };
    }
    if let Some(original) = originals.and_then(|mut left| left.next()) {
        let what = format!("the source's cue at {} is in no segment", original.start);
        findings.of(&rendition.playlist_file).add(what);
    }
    Ok(count)
}

//! Periods: one for each key, at the same times in all tracks (5.3.2).

use std::io;
use std::ops::Range;

use super::adaptation_set::AdaptationSet;
use super::representation::{Media, Representation};
use super::{Xml, duration};
use crate::media::{MediaKind, Time, Timescale};
use crate::package::Rendition;
use crate::package::hls::Contents;

/// Segments of tracks may begin this much in front of a period that they belong to: timescales round differently.
const TOLERANCE_S: f64 = 0.002;

/// When all begins, changes and ends, in the time of the tracks.
pub struct Timing {
    /// When the first picture or sound is shown.
    pub start: Time,
    /// When the last one ends.
    pub end: Time,
    /// When each period begins; the first at `start`.
    pub period_starts: Vec<Time>,
    /// When each period was planned to begin, which is by what keys were given to segments: pictures of open groups are shown in front
    /// of the keyframe that begins a segment.
    planned_starts: Vec<Time>,
}

impl Timing {
    /// That of all renditions. Periods begin where the key of video changes, or else that of sound.
    pub fn of(contents: &Contents<'_>) -> Self {
        let zero = Time::new(0, Timescale::MIN);
        let timelines = || contents.written.iter().map(|written| &written.timeline);
        let is_media = |rendition: &Rendition<'_>| rendition.track.kind != MediaKind::Text;
        let media = contents.renditions.iter().zip(timelines());
        let starts = media.filter(|(rendition, _)| is_media(rendition));
        let starts = starts.filter_map(|(_, timeline)| timeline.first());
        // What the edit list hides lies in front of zero.
        let start = starts.map(|start| (*start).max(zero)).min().unwrap_or(zero);
        let ends = timelines().filter_map(|timeline| timeline.last());
        let end = ends.copied().max().unwrap_or(start);

        // Where keys change within one init segment, segments say so, and all is one period.
        let periods = |rendition: &Rendition<'_>| {
            if rendition.sample_groups {
                1
            } else {
                rendition.periods.len()
            }
        };
        let most = contents.renditions.iter().map(periods).max();
        let mut renditions = contents.renditions.iter().zip(timelines());
        let decisive = renditions.find(|(rendition, _)| Some(periods(rendition)) == most);
        let decisive = decisive.filter(|(rendition, _)| !rendition.sample_groups);
        let mut period_starts = vec![start];
        let mut planned_starts = vec![start];
        if let Some((rendition, timeline)) = decisive {
            for period in rendition.periods.iter().skip(1) {
                let planned = rendition.plan.segments.get(period.segments.start);
                if let (Some(shown), Some(planned)) = (timeline.get(period.segments.start), planned) {
                    period_starts.push(*shown);
                    planned_starts.push(planned.start);
                }
            }
        }
        Self {
            start,
            end,
            period_starts,
            planned_starts,
        }
    }

    /// Which segments of a track belong to period `index`: those that were planned to begin in it.
    fn segments(&self, index: usize, planned: &[Time]) -> Range<usize> {
        let Some((_, starts)) = planned.split_last() else {
            return 0..0;
        };
        let first_from = |period: usize| match self.planned_starts.get(period) {
            _ if period == 0 => 0,
            None => starts.len(),
            Some(start) => starts.partition_point(|time| time < start && time.distance(*start) > TOLERANCE_S),
        };
        first_from(index)..first_from(index + 1)
    }
}

/// Writes period `index`; `planned` has the times of each track's plan, and then of each file of subtitles.
pub fn write(
    xml: &mut Xml,
    contents: &Contents<'_>,
    bandwidths_bps: &[u64],
    (timing, planned): (&Timing, &[Vec<Time>]),
    index: usize,
    licence_url: Option<&str>,
) -> io::Result<()> {
    let Some(start) = timing.period_starts.get(index).copied() else {
        return Ok(());
    };
    let renditions = contents.renditions.iter().map(Media::Track);
    let texts = contents.texts.iter().map(Media::WebVtt);
    let written = contents.written.iter().chain(contents.written_texts);
    let all = renditions.chain(texts).zip(written).zip(bandwidths_bps).zip(planned);
    let representations = all.filter_map(|(((media, written), bandwidth_bps), planned)| {
        let segments = timing.segments(index, planned);
        Representation::new(media, written, *bandwidth_bps, segments, start)
    });
    let sets = AdaptationSet::all(representations);
    let mut element = xml
        .create_element("Period")
        .with_attribute(("id", &*(index + 1).to_string()));
    element = element.with_attribute(("start", &*duration(start - timing.start)));
    element.write_inner_content(|xml| {
        let default = AdaptationSet::default_audio(&sets);
        for (set, id) in sets.iter().zip(1..) {
            let others = sets.iter().zip(1_u32..).filter(|(other, _)| set.switches_to(other));
            let others: Vec<String> = others.map(|(_, id)| id.to_string()).collect();
            set.write(xml, (id, &others), (default, contents.captions), licence_url)?;
        }
        Ok(())
    })?;
    Ok(())
}

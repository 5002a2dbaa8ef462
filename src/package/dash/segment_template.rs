//! Where segments are, and when each is shown (5.3.9.4, 5.3.9.6).

use std::io;

use super::Xml;
use crate::media::{Time, Timescale};

/// Segments of a track, by their number.
#[derive(Debug, PartialEq, Eq)]
pub struct SegmentTemplate {
    timescale: Timescale,
    /// What of the track's time the period begins with, in ticks: `presentationTimeOffset`.
    offset_ticks: i64,
    /// The file of the init segment, where there is one.
    initialization: Option<String>,
    /// The files of segments.
    media: &'static str,
    /// The first is 1.
    start_number: usize,
    runs: Vec<Run>,
}

/// Neighbours of the same length: an `S` (5.3.9.6.2).
#[derive(Debug, PartialEq, Eq)]
struct Run {
    /// When the first one is shown, in ticks.
    start: i64,
    duration: i64,
    /// How many come behind it.
    repeats: usize,
}

impl Run {
    fn end(&self) -> i64 {
        let segments = i64::try_from(self.repeats).unwrap_or(i64::MAX).saturating_add(1);
        self.start.saturating_add(self.duration.saturating_mul(segments))
    }
}

impl SegmentTemplate {
    /// The segments from the index `first` on, whose starts, and whose end, `timeline` is; in a period that begins at `period_start`.
    /// `None` where none of them is shown: what the edit list hides has no time (ISO/IEC 14496-12, 8.6.6).
    pub fn new(
        first: usize,
        timeline: &[Time],
        period_start: Time,
        initialization: Option<String>,
        media: &'static str,
    ) -> Option<Self> {
        let timescale = timeline.first()?.timescale;
        let shown: Vec<i64> = timeline.iter().map(|time| time.ticks.max(0)).collect();
        let hidden = shown
            .windows(2)
            .take_while(|pair| pair.iter().all(|ticks| *ticks == 0))
            .count();
        let mut runs: Vec<Run> = Vec::new();
        for pair in shown.get(hidden..)?.windows(2) {
            let [start, end] = *pair else { continue };
            let duration = end - start;
            match runs
                .last_mut()
                .filter(|run| run.duration == duration && run.end() == start)
            {
                Some(run) => run.repeats += 1,
                None => runs.push(Run {
                    start,
                    duration,
                    repeats: 0,
                }),
            }
        }
        (!runs.is_empty()).then(|| Self {
            timescale,
            offset_ticks: period_start.rescale(timescale).ticks,
            initialization,
            media,
            start_number: first + hidden + 1,
            runs,
        })
    }

    /// Writes it, with paths that begin with the representation's ID.
    pub fn write(&self, xml: &mut Xml) -> io::Result<()> {
        let mut element = xml
            .create_element("SegmentTemplate")
            .with_attribute(("timescale", &*self.timescale.to_string()));
        if self.offset_ticks != 0 {
            element = element.with_attribute(("presentationTimeOffset", &*self.offset_ticks.to_string()));
        }
        if let Some(file) = &self.initialization {
            element = element.with_attribute(("initialization", &*format!("$RepresentationID$/{file}")));
        }
        element
            .with_attribute(("media", &*format!("$RepresentationID$/{}", self.media)))
            .with_attribute(("startNumber", &*self.start_number.to_string()))
            .write_inner_content(|xml| {
                xml.create_element("SegmentTimeline").write_inner_content(|xml| {
                    let mut end = None;
                    for run in &self.runs {
                        run.write(xml, end)?;
                        end = Some(run.end());
                    }
                    Ok(())
                })?;
                Ok(())
            })?;
        Ok(())
    }
}

impl Run {
    /// Behind the run before, which ends at `end`, its start goes without saying.
    fn write(&self, xml: &mut Xml, end: Option<i64>) -> io::Result<()> {
        let mut element = xml.create_element("S");
        if end != Some(self.start) {
            element = element.with_attribute(("t", &*self.start.to_string()));
        }
        element = element.with_attribute(("d", &*self.duration.to_string()));
        if self.repeats > 0 {
            element = element.with_attribute(("r", &*self.repeats.to_string()));
        }
        element.write_empty()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECONDS: Timescale = Timescale::new(1000).unwrap();

    fn written(starts_ms: &[i64], period_start_ms: i64) -> String {
        let times: Vec<Time> = starts_ms.iter().map(|ticks| Time::new(*ticks, MILLISECONDS)).collect();
        let period_start = Time::new(period_start_ms, MILLISECONDS);
        let Some(template) = SegmentTemplate::new(0, &times, period_start, None, "m") else {
            return String::new();
        };
        let mut xml = Xml::new(Vec::new());
        assert!(template.write(&mut xml).is_ok());
        String::from_utf8_lossy(&xml.into_inner()).into_owned()
    }

    #[test]
    fn runs_and_offsets() {
        let xml = written(&[80, 2080, 4080, 6081, 8081], 80);
        assert!(
            xml.contains(r#"<S t="80" d="2000" r="1"/><S d="2001"/><S d="2000"/>"#),
            "{xml}"
        );
        assert!(xml.contains(r#"presentationTimeOffset="80""#), "{xml}");
    }

    #[test]
    fn what_the_edit_list_hides_has_no_time() {
        let xml = written(&[-21, 1979, 3979], 0);
        assert!(
            xml.contains(r#"startNumber="1"><SegmentTimeline><S t="0" d="1979"/><S d="2000"/>"#),
            "{xml}"
        );
        let xml = written(&[-4000, -2000, 0, 2000], 0);
        assert!(
            xml.contains(r#"startNumber="3"><SegmentTimeline><S t="0" d="2000"/>"#),
            "{xml}"
        );
        assert_eq!(written(&[-4000, -2000], 0), "");
    }
}

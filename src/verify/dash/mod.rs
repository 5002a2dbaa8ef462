//! The manifest of DASH (ISO/IEC 23009-1) against what the segments really are.

mod representation;
mod switching;
mod xml;

use std::collections::BTreeSet;

use super::check::SegmentFacts;
use super::findings::FileFindings;
use super::hls::NANOSECONDS_PER_SECOND;
use super::output::Rendition;
use super::playlist::MultivariantPlaylist;
use super::text::Reference;
use crate::media::{MediaKind, Time};
use crate::package::dash::profile;
use representation::PeriodContext;
use xml::Element;

/// `xs:duration` has nine decimals here, and durations are sums of rounded ones.
const TOLERANCE_NS: u64 = 10;

/// A manifest.
#[derive(Debug)]
pub struct Manifest(Element);

impl Manifest {
    /// Reads one; `None` where it is no manifest.
    pub fn read(text: &str, file: &mut FileFindings<'_>) -> Option<Self> {
        match xml::read(text) {
            Ok(element) if element.name == "MPD" => Some(Self(element)),
            Ok(element) => {
                file.add_at(element.offset, format!("begins with {}, expected MPD", element.name));
                None
            }
            Err(error) => {
                file.add_at(error.offset, format!("is no XML: {}", error.what));
                None
            }
        }
    }

    /// Compares it with all renditions, what HLS says of them, and what their segments say of their times.
    pub fn check(
        &self,
        renditions: &[Rendition],
        multivariant: &MultivariantPlaylist,
        facts: &[Vec<Option<SegmentFacts>>],
        file: &mut FileFindings<'_>,
    ) {
        let Self(mpd) = self;
        let is_single = |rendition: &Rendition| rendition.single_file().is_some();
        let (has_files, has_indexed) = (!renditions.iter().all(is_single), renditions.iter().any(is_single));
        for (name, expected) in [
            ("xmlns", "urn:mpeg:dash:schema:mpd:2011"),
            ("type", "static"),
            ("profiles", profile(has_files, has_indexed)),
        ] {
            expect_attribute(mpd, name, expected, file);
        }
        let (start_ns, end_ns) = extent_ns(renditions, facts);
        let duration = mpd.attribute("mediaPresentationDuration").and_then(duration_ns);
        expect_time("mediaPresentationDuration", duration, end_ns - start_ns, mpd, file);

        let hidden_ns = Reference::find(multivariant, renditions, facts).map_or(0, |reference| reference.hidden_ns());
        let periods: Vec<&Element> = mpd.all("Period").collect();
        let starts: Vec<Option<i64>> = periods
            .iter()
            .map(|period| period.attribute("start").and_then(duration_ns))
            .collect();
        if starts.first() != Some(&Some(0)) {
            file.add_at(mpd.offset, "its first Period does not start at PT0S");
        }
        if !starts.is_sorted_by(|before, next| before < next) {
            file.add_at(mpd.offset, "a Period starts no later than the one before");
        }
        let mut found = vec![0; renditions.len()];
        for (period, start) in periods.iter().zip(&starts) {
            let Some(period_ns) = *start else {
                file.add_at(period.offset, "start is no duration");
                continue;
            };
            let context = PeriodContext {
                renditions,
                media: &multivariant.media,
                facts,
                hidden_ns,
                start_ns: start_ns.saturating_add(period_ns),
            };
            let mut ids = BTreeSet::new();
            let mut sets = Vec::new();
            for set in period.all("AdaptationSet") {
                let mut members = Vec::new();
                for representation in set.all("Representation") {
                    let id = representation.attribute("id").unwrap_or_default();
                    let at = renditions.iter().position(|rendition| folder(rendition) == id);
                    let Some(at) = at.filter(|_| ids.insert(id)) else {
                        file.add_at(
                            representation.offset,
                            format!("Representation {id:?} is no rendition, or comes again"),
                        );
                        continue;
                    };
                    let next = found.get(at).copied().unwrap_or(0);
                    let end = context.check(at, next, set, representation, file);
                    found.iter_mut().skip(at).take(1).for_each(|found| *found = end);
                    members.push((at, next..end));
                }
                // Others are not there to switch to, however many they are.
                if !members.is_empty() {
                    sets.push((set, members));
                }
            }
            switching::check(&context, &sets, file);
        }
        for (rendition, found) in renditions.iter().zip(found) {
            let expected = rendition.segments.len();
            if found != expected {
                let name = folder(rendition);
                file.add(format!("has {found} segments of {name}, which has {expected}"));
            }
        }
    }
}

/// The rendition's folder, which is the ID of its representations.
fn folder(rendition: &Rendition) -> String {
    let folder = rendition.playlist_file.parent();
    folder.map(|folder| folder.display().to_string()).unwrap_or_default()
}

/// When the first picture or sound is shown, and when the last segment of a track ends. What the edit list hides lies in front of zero.
fn extent_ns(renditions: &[Rendition], facts: &[Vec<Option<SegmentFacts>>]) -> (i64, i64) {
    let (mut start, mut end) = (None::<i64>, 0);
    for (rendition, facts) in renditions.iter().zip(facts) {
        let Some(init) = rendition.init() else { continue };
        let time = |ticks| Time::new(ticks, init.timescale).nanoseconds();
        for facts in facts.iter().flatten() {
            end = end.max(time(facts.latest_end_ticks));
            if init.kind != MediaKind::Text {
                let earliest = time(facts.earliest_ticks.max(0));
                start = Some(start.map_or(earliest, |start| start.min(earliest)));
            }
        }
    }
    (start.unwrap_or(0), end)
}

/// An `xs:duration` of hours, minutes and seconds.
fn duration_ns(text: &str) -> Option<i64> {
    let seconds = text.strip_prefix("PT")?.strip_suffix('S')?;
    let (whole, decimals) = seconds.split_once('.').unwrap_or((seconds, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if decimals.len() > 9 || !is_number(whole) || !is_number(decimals) {
        return None;
    }
    let nanoseconds: i64 = format!("{decimals:0<9}").parse().ok()?;
    let whole: i64 = whole.parse().ok()?;
    whole.checked_mul(NANOSECONDS_PER_SECOND)?.checked_add(nanoseconds)
}

fn expect_time(name: &str, found: Option<i64>, expected: i64, element: &Element, file: &mut FileFindings<'_>) {
    if found.is_none_or(|found| found.abs_diff(expected) > TOLERANCE_NS) {
        let found = found.map_or_else(|| "no duration".to_owned(), |found| format!("{found} ns"));
        file.add_at(element.offset, format!("{name} is {found}, expected {expected} ns"));
    }
}

fn expect_attribute(element: &Element, name: &str, expected: &str, file: &mut FileFindings<'_>) {
    let found = element.attribute(name);
    if found != Some(expected) {
        let found = found.unwrap_or("missing");
        file.add_at(element.offset, format!("{name} is {found}, expected {expected}"));
    }
}

#[cfg(test)]
mod tests {
    use super::duration_ns;

    #[test]
    fn durations() {
        assert_eq!(duration_ns("PT4S"), Some(4_000_000_000));
        assert_eq!(duration_ns("PT0.083333333S"), Some(83_333_333));
        for text in ["4S", "PT-4S", "PT1.0000000001S", "PTS", "P1D", "PT4"] {
            assert_eq!(duration_ns(text), None, "{text}");
        }
    }
}

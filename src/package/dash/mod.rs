//! The manifest of MPEG-DASH (ISO/IEC 23009-1) over the same segments as the HLS playlists: `manifest.mpd`.
//!
//! Section numbers are those of the edition of 2022.

mod adaptation_set;
mod content_protection;
mod descriptor;
mod period;
mod representation;
mod segment_base;
mod segment_template;

use std::io;
use std::path::Path;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, Event};

use super::hls::{self, Bandwidth, Contents};
use super::{PackageError, WrittenRendition};
use crate::media::Time;
use period::Timing;

/// The manifest, at the top of an output.
pub const MANIFEST: &str = "manifest.mpd";

/// The profile that holds: that of segments by a template (8.4), that of files with an index (8.3), or the one of all (8.2) where
/// there are both.
#[must_use]
pub const fn profile(has_files: bool, has_indexed: bool) -> &'static str {
    match (has_files, has_indexed) {
        (_, false) => "urn:mpeg:dash:profile:isoff-live:2011",
        (false, true) => "urn:mpeg:dash:profile:isoff-on-demand:2011",
        (true, true) => "urn:mpeg:dash:profile:full:2011",
    }
}

const NAMESPACES: [(&str, &str); 4] = [
    ("xmlns", "urn:mpeg:dash:schema:mpd:2011"),
    ("xmlns:cenc", "urn:mpeg:cenc:2013"),
    ("xmlns:dashif", "https://dashif.org/CPS"),
    ("xmlns:scte214", "urn:scte:dash:scte214-extensions"),
];

/// Writes into memory, which never fails; the writer's type says that it might.
type Xml = Writer<Vec<u8>>;

/// Writes the manifest of all renditions below `folder`. Players get the keys at `licence_url`, by Clear Key (W3C, Encrypted Media
/// Extensions, 9.1), where samples are protected.
///
/// # Errors
/// [`PackageError::Write`].
pub fn write_manifest(contents: &Contents<'_>, licence_url: Option<&str>, folder: &Path) -> Result<(), PackageError> {
    let path = folder.join(MANIFEST);
    render(contents, licence_url)
        .and_then(|manifest| std::fs::write(&path, manifest))
        .map_err(|cause| PackageError::write(&path, cause))
}

fn render(contents: &Contents<'_>, licence_url: Option<&str>) -> io::Result<Vec<u8>> {
    let all_written = contents.written.iter().chain(contents.written_texts);
    let segments = contents.written.iter().flat_map(|written| &written.segments);
    // As HLS has it: of the longest segment, which is what a player needs before it can play on at the declared bit rate (5.3.1.2).
    let target_duration_s = hls::target_duration_s(segments.map(|segment| segment.duration));
    let measure = |written: &WrittenRendition| Bandwidth::measure(&written.segments, target_duration_s).peak_bps;
    let bandwidths_bps: Vec<u64> = all_written.map(measure).collect();
    let timing = Timing::of(contents);
    let tracks = contents
        .renditions
        .iter()
        .map(|rendition| rendition.plan.times().collect());
    // Subtitles are written as they were planned.
    let texts = contents.written_texts.iter().map(|written| written.timeline.clone());
    let planned: Vec<Vec<Time>> = tracks.chain(texts).collect();

    let is_indexed = |written: &WrittenRendition| written.single_file.is_some();
    let all_written = || contents.written.iter().chain(contents.written_texts);
    let profile = profile(!all_written().all(is_indexed), all_written().any(is_indexed));
    let mut xml = Writer::new_with_indent(Vec::new(), b' ', 2);
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    xml.create_element("MPD")
        .with_attributes(NAMESPACES)
        .with_attribute(("profiles", profile))
        .with_attribute(("type", "static"))
        .with_attribute(("mediaPresentationDuration", &*duration(timing.end - timing.start)))
        .with_attribute(("minBufferTime", &*format!("PT{target_duration_s}S")))
        .write_inner_content(|xml| {
            for index in 0..timing.period_starts.len() {
                period::write(xml, contents, &bandwidths_bps, (&timing, &planned), index, licence_url)?;
            }
            Ok(())
        })?;
    let mut manifest = xml.into_inner();
    manifest.push(b'\n');
    Ok(manifest)
}

/// An `xs:duration` of seconds, to the nanosecond.
fn duration(time: Time) -> String {
    let nanoseconds = time.nanoseconds().max(0);
    let seconds = format!("{}.{:09}", nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000);
    format!("PT{}S", seconds.trim_end_matches('0').trim_end_matches('.'))
}

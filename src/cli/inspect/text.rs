//! The boxes as an indented tree, then tracks and protection, for a person.

use std::fmt;
use std::io::{self, BufWriter, Write};

use serde_json::{Map, Value};
use vylux_pack::isobmff::describe::describe;
use vylux_pack::isobmff::scan::ScanError;
use vylux_pack::isobmff::survey::Survey;
use vylux_pack::isobmff::{BoxError, Node};
use vylux_pack::media::summary::{Protection, SampleDescription, TrackSummary};
use vylux_pack::media::{self, Source, Summary};

use super::Inspection;

/// Of a table of numbers, as many are shown.
const FIRST_NUMBERS: usize = 8;

/// Of a table with several columns, as many entries are shown.
const FIRST_ROWS: usize = 3;

const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const RED: &str = "\x1b[1;31m";
const PLAIN: &str = "\x1b[0m";

pub fn write(source: &Source, inspection: &mut Inspection) -> io::Result<()> {
    let mut out = Output {
        out: BufWriter::new(anstream::stdout().lock()),
        width: source.bytes().to_string().len().max("offset".len()),
        shown: Vec::new(),
    };
    let width = out.width;
    writeln!(
        out.out,
        "{DIM}{:>width$} {:>width$} {:>4}  box{PLAIN}",
        "offset", "size", "head"
    )?;
    for top in Survey::new(source, media::max_box_bytes) {
        match top {
            Ok(top) => {
                let (node, errors) = inspection.look(&top);
                let mut errors = errors.iter().peekable();
                if let Some(node) = &node {
                    out.node(node, &mut errors)?;
                } else {
                    let (header, kind) = (&top.header, top.header.kind);
                    let text = format!("{BOLD}{kind}{PLAIN}");
                    out.line(header.offset, header.size, header.form.header_bytes(), &text)?;
                }
                errors.try_for_each(|error| out.later_error(error))?;
            }
            Err(ScanError::Box(error)) => {
                inspection.note(&error);
                out.error(&error)?;
            }
            Err(error) => inspection.unreadable = Some(error),
        }
    }
    summary(&mut out.out, &inspection.summary)?;
    out.out.flush()
}

struct Output<W: Write> {
    out: W,
    /// Columns of an offset or size.
    width: usize,
    /// Errors that were shown before it was their turn, as they are of the fields of a box.
    shown: Vec<BoxError>,
}

impl<W: Write> Output<W> {
    /// A box, the boxes in it, and what is wrong where it is wrong; `errors` come in the order of the file.
    fn node<'e>(
        &mut self,
        node: &Node<'_>,
        errors: &mut std::iter::Peekable<impl Iterator<Item = &'e BoxError>>,
    ) -> io::Result<()> {
        // What is wrong with this box itself, such as its size, comes behind its line.
        let is_before =
            |error: &&BoxError| error.offset < node.offset || (error.offset == node.offset && error.path != node.path);
        while let Some(error) = errors.next_if(is_before) {
            self.later_error(error)?;
        }
        let indent = 2 * node.path.types().len().saturating_sub(1);
        let description = describe(node);
        let fields = match &description {
            Some(Ok(Value::Object(fields))) => format!("  {}", Fields(fields)),
            _ => String::new(),
        };
        let text = format!("{:indent$}{BOLD}{}{PLAIN}{fields}", "", node.kind);
        self.line(node.offset, node.size(), node.header_bytes(), &text)?;
        if let Some(Err(error)) = description {
            self.error(&error)?;
            self.shown.push(error);
        }
        for child in node.children() {
            self.node(child, errors)?;
        }
        Ok(())
    }

    fn line(&mut self, offset: u64, size: u64, header_bytes: usize, text: &str) -> io::Result<()> {
        let width = self.width;
        writeln!(self.out, "{offset:>width$} {size:>width$} {header_bytes:>4}  {text}")
    }

    /// An error whose turn it is, unless it was shown.
    fn later_error(&mut self, error: &BoxError) -> io::Result<()> {
        match self.shown.iter().position(|shown| shown == error) {
            Some(index) => {
                self.shown.swap_remove(index);
                Ok(())
            }
            None => self.error(error),
        }
    }

    fn error(&mut self, error: &BoxError) -> io::Result<()> {
        let (width, gap) = (self.width, self.width + " head".len());
        let indent = 2 * error.path.types().len().saturating_sub(1);
        let offset = error.offset;
        writeln!(
            self.out,
            "{offset:>width$} {:gap$}  {:indent$}{RED}error{PLAIN}: {error}",
            "", ""
        )
    }
}

/// Fields of a box on one line.
struct Fields<'v>(&'v Map<String, Value>);

impl fmt::Display for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{name} {}", Field(value))?;
        }
        Ok(())
    }
}

/// One value.
struct Field<'v>(&'v Value);

impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Null => f.write_str("none"),
            Value::Bool(true) => f.write_str("yes"),
            Value::Bool(false) => f.write_str("no"),
            // As an integer where it is one.
            Value::Number(number) => write!(f, "{}", number.to_string().trim_end_matches(".0")),
            Value::String(text) if !text.is_empty() && !text.contains(' ') => write!(f, "{}", text.escape_debug()),
            Value::String(text) => write!(f, "{text:?}"),
            Value::Array(values) => values.iter().enumerate().try_for_each(|(index, value)| {
                let space = if index == 0 { "" } else { " " };
                write!(f, "{space}{}", Field(value))
            }),
            Value::Object(fields) => match (fields.get("count"), fields.get("first")) {
                (Some(count), Some(Value::Array(first))) => write_table(f, count, first),
                _ => write!(f, "({})", Fields(fields)),
            },
        }
    }
}

/// How many entries a table has, and the first: `250 (sample_count duration_ticks: 1 512; 1 1024; ...)`.
fn write_table(f: &mut fmt::Formatter<'_>, count: &Value, first: &[Value]) -> fmt::Result {
    write!(f, "{count}")?;
    let Some(Value::Object(columns)) = first.first() else {
        let shown = first.len().min(FIRST_NUMBERS);
        return write_rows(f, "", count, first, shown, " ", |value| Field(value).to_string());
    };
    if columns.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = columns.keys().map(String::as_str).collect();
    let row = |value: &Value| {
        let values = value.as_object().into_iter().flat_map(Map::values);
        values
            .map(|value| Field(value).to_string())
            .collect::<Vec<_>>()
            .join(" ")
    };
    let names = format!("{}: ", names.join(" "));
    write_rows(f, &names, count, first, first.len().min(FIRST_ROWS), "; ", row)
}

fn write_rows(
    f: &mut fmt::Formatter<'_>,
    names: &str,
    count: &Value,
    first: &[Value],
    shown: usize,
    separator: &str,
    row: impl Fn(&Value) -> String,
) -> fmt::Result {
    if shown == 0 {
        return Ok(());
    }
    let rows: Vec<String> = first.iter().take(shown).map(row).collect();
    let more = if count.as_u64() > Some(shown as u64) { "..." } else { "" };
    let gap = if more.is_empty() { "" } else { separator };
    write!(f, " ({names}{}{gap}{more})", rows.join(separator))
}

fn summary(out: &mut impl Write, summary: &Summary) -> io::Result<()> {
    writeln!(out, "\n{BOLD}Tracks{PLAIN}")?;
    if summary.tracks.is_empty() {
        writeln!(out, "  none")?;
    }
    for track in &summary.tracks {
        writeln!(out, "  {}", TrackLine(track))?;
        for description in &track.descriptions {
            writeln!(out, "     {}", DescriptionLine(description))?;
        }
    }
    let protected: Vec<_> = summary
        .tracks
        .iter()
        .flat_map(|track| track.descriptions.iter().map(move |description| (track, description)))
        .filter_map(|(track, description)| Some((track, description.protection.as_ref()?)))
        .collect();
    let auxiliary: Vec<_> = summary
        .tracks
        .iter()
        .filter(|track| !track.auxiliary_boxes.is_empty())
        .collect();
    writeln!(out, "\n{BOLD}Protection{PLAIN}")?;
    if protected.is_empty() && auxiliary.is_empty() && summary.key_systems.is_empty() {
        writeln!(out, "  none")?;
    }
    for (track, protection) in protected {
        writeln!(out, "  track {}: {}", track.id, ProtectionLine(protection))?;
    }
    for track in auxiliary {
        let kinds: Vec<String> = track.auxiliary_boxes.iter().map(ToString::to_string).collect();
        writeln!(out, "  track {}: has {}", track.id, kinds.join(", "))?;
    }
    for key_system in &summary.key_systems {
        let kids: Vec<String> = key_system.kids.iter().map(ToString::to_string).collect();
        let kids = if kids.is_empty() {
            "none listed".to_owned()
        } else {
            kids.join(", ")
        };
        let name = key_system.name.map(|name| format!(" ({name})")).unwrap_or_default();
        writeln!(out, "  pssh: system {}{name}, key IDs {kids}", key_system.system_id)?;
    }
    Ok(())
}

struct TrackLine<'t>(&'t TrackSummary);

impl fmt::Display for TrackLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let track = self.0;
        write!(f, "{}:", track.id)?;
        if let Some(handler) = track.handler {
            write!(f, " {handler},")?;
        }
        write!(
            f,
            " {} sample{}",
            track.samples,
            if track.samples == 1 { "" } else { "s" }
        )?;
        if track.fragments > 0 {
            write!(f, " (fragments: {})", track.fragments)?;
        }
        match (track.timescale, track.duration_s) {
            (Some(timescale), Some(seconds)) => write!(f, ", {seconds:.3} s, timescale {timescale}")?,
            _ => write!(f, ", {} ticks", track.duration_ticks)?,
        }
        if let Some(language) = &track.language {
            write!(f, ", language {}", language.escape_debug())?;
        }
        Ok(())
    }
}

struct DescriptionLine<'d>(&'d SampleDescription);

impl fmt::Display for DescriptionLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let description = self.0;
        match &description.codec {
            Some(codec) => write!(f, "{codec}")?,
            None => write!(f, "{}", description.format)?,
        }
        if let Some(codecs) = &description.supplemental_codecs {
            write!(f, " {codecs}")?;
        }
        if let Some((width, height)) = description.resolution {
            write!(f, ", {width}x{height}")?;
        }
        if let (Some(channels), Some(rate)) = (description.channels, description.sample_rate_hz) {
            write!(f, ", {channels} ch, {rate} Hz")?;
        }
        if let Some(note) = &description.note {
            write!(f, " ({})", note.escape_debug())?;
        }
        Ok(())
    }
}

struct ProtectionLine<'p>(&'p Protection);

impl fmt::Display for ProtectionLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protection = self.0;
        match protection.scheme {
            Some(scheme) => write!(f, "{scheme}")?,
            None => f.write_str("scheme not stated")?,
        }
        if !protection.is_protected {
            f.write_str(", clear by default")?;
        }
        match protection.pattern {
            Some((crypt, skip)) => write!(f, ", pattern {crypt}:{skip}")?,
            None => f.write_str(", no pattern")?,
        }
        if let Some(kid) = protection.kid {
            write!(f, ", key ID {kid}")?;
        }
        match (protection.constant_iv_size, protection.per_sample_iv_size) {
            (Some(size), _) => write!(f, ", constant IV of {size} bytes"),
            (None, 0) => Ok(()),
            (None, size) => write!(f, ", IVs of {size} bytes"),
        }
    }
}

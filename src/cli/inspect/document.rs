//! One JSON document, written box by box: its names are a promise to scripts.

use std::cell::RefCell;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde::Serialize;
use serde::ser::{SerializeMap, SerializeSeq, Serializer};
use vylux_pack::isobmff::describe::describe;
use vylux_pack::isobmff::scan::ScanError;
use vylux_pack::isobmff::survey::Survey;
use vylux_pack::isobmff::{BoxError, BoxHeader, BoxPath, Node};
use vylux_pack::media::{self, Source};

use super::Inspection;

pub fn write(path: &Path, source: &Source, inspection: &mut Inspection) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut serializer = serde_json::Serializer::pretty(&mut out);
    let mut document = serializer.serialize_map(None)?;
    document.serialize_entry("file", path)?;
    document.serialize_entry("bytes", &source.bytes())?;
    document.serialize_entry(
        "boxes",
        &Boxes {
            source,
            inspection: RefCell::new(inspection),
        },
    )?;
    let Inspection {
        summary,
        errors,
        error_count,
        ..
    } = inspection;
    document.serialize_entry("tracks", &summary.tracks)?;
    document.serialize_entry("key_systems", &summary.key_systems)?;
    document.serialize_entry("errors", &errors.iter().map(ErrorEntry::from).collect::<Vec<_>>())?;
    document.serialize_entry("error_count", error_count)?;
    SerializeMap::end(document)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// All boxes of a file; each is looked into when it is its turn to be written.
struct Boxes<'a> {
    source: &'a Source,
    inspection: RefCell<&'a mut Inspection>,
}

impl Serialize for Boxes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut inspection = self.inspection.borrow_mut();
        let mut boxes = serializer.serialize_seq(None)?;
        for top in Survey::new(self.source, media::max_box_bytes) {
            match top {
                Ok(top) => match inspection.look(&top).0 {
                    Some(node) => boxes.serialize_element(&Tree(&node))?,
                    None => boxes.serialize_element(&Line::from(&top.header))?,
                },
                Err(ScanError::Box(error)) => inspection.note(&error),
                Err(error) => inspection.unreadable = Some(error),
            }
        }
        boxes.end()
    }
}

/// What every box has.
#[derive(Serialize)]
struct Line {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    offset: u64,
    size: u64,
    header_bytes: usize,
}

impl From<&BoxHeader> for Line {
    fn from(header: &BoxHeader) -> Self {
        Self {
            kind: header.kind.to_string(),
            path: BoxPath::default().child(header.kind).unwrap_or_default().to_string(),
            offset: header.offset,
            size: header.size,
            header_bytes: header.form.header_bytes(),
        }
    }
}

impl From<&Node<'_>> for Line {
    fn from(node: &Node<'_>) -> Self {
        Self {
            kind: node.kind.to_string(),
            path: node.path.to_string(),
            offset: node.offset,
            size: node.size(),
            header_bytes: node.header_bytes(),
        }
    }
}

/// A box with its fields and the boxes in it.
struct Tree<'n>(&'n Node<'n>);

impl Serialize for Tree<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Entry<'n> {
            #[serde(flatten)]
            line: Line,
            #[serde(skip_serializing_if = "Option::is_none")]
            fields: Option<serde_json::Value>,
            #[serde(skip_serializing_if = "Option::is_none")]
            boxes: Option<Vec<Tree<'n>>>,
        }
        let node = self.0;
        let entry = Entry {
            line: node.into(),
            fields: describe(node).and_then(Result::ok),
            boxes: node.is_container().then(|| node.children().iter().map(Tree).collect()),
        };
        entry.serialize(serializer)
    }
}

#[derive(Serialize)]
struct ErrorEntry {
    path: String,
    offset: u64,
    message: String,
}

impl From<&BoxError> for ErrorEntry {
    fn from(error: &BoxError) -> Self {
        Self {
            path: error.path.to_string(),
            offset: error.offset,
            message: error.problem.to_string(),
        }
    }
}

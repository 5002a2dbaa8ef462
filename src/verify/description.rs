//! Whether an init segment describes its track as the source does, box by box.

use super::findings::FileFindings;
use crate::isobmff::frma::OriginalFormat;
use crate::isobmff::mdhd::MediaHeader;
use crate::isobmff::tkhd::TrackHeader;
use crate::isobmff::{FourCc, Node};

/// Boxes that only an init segment has: edits and protection are checked for themselves, and tables are empty.
const OF_INIT_SEGMENTS: &[&[u8; 4]] = &[b"edts", b"sinf", b"stts", b"stsc", b"stsz", b"stco"];

/// Compares the `trak` box of an init segment with the description of the source's track.
pub fn compare(ours: &Node<'_>, source: &Node<'_>, findings: &mut FileFindings<'_>) {
    if !has_same_fields(ours, source) {
        findings.add_at(ours.offset, format!("{} is not as in the source", ours.path));
    }
    let kept = || {
        ours.children()
            .iter()
            .filter(|node| !OF_INIT_SEGMENTS.contains(&&node.kind.0))
    };
    let found: Vec<FourCc> = kept().map(original_type).collect();
    let expected: Vec<FourCc> = source.children().iter().map(|node| node.kind).collect();
    if found != expected {
        let what = format!("{} holds {found:?}, and {expected:?} in the source", ours.path);
        return findings.add_at(ours.offset, what);
    }
    for (ours, source) in kept().zip(source.children()) {
        compare(ours, source, findings);
    }
}

/// Whether fields, or a leaf's payload, say the same; durations and IDs are of the file that they stand in.
fn has_same_fields(ours: &Node<'_>, source: &Node<'_>) -> bool {
    match &ours.kind.0 {
        b"tkhd" => {
            let neutral = |node: &Node<'_>| {
                let header = node.parse::<TrackHeader>().ok()?;
                Some(TrackHeader {
                    flags: 0,
                    track_id: 0,
                    duration_ticks: 0,
                    ..header
                })
            };
            neutral(ours) == neutral(source)
        }
        b"mdhd" => {
            let neutral = |node: &Node<'_>| {
                let header = node.parse::<MediaHeader>().ok()?;
                Some(MediaHeader {
                    duration_ticks: 0,
                    ..header
                })
            };
            neutral(ours) == neutral(source)
        }
        _ => ours.fields() == source.fields(),
    }
}

/// A sample entry's type before it was protected; any other box's type.
fn original_type(node: &Node<'_>) -> FourCc {
    let original = node
        .child(b"sinf")
        .and_then(|sinf| sinf.find::<OriginalFormat>().ok().flatten());
    original.map_or(node.kind, |original| original.data_format)
}

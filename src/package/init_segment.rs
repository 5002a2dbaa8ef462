//! The init segment of a CMAF track: `ftyp` and `moov` (ISO/IEC 23000-19, 7.3.1).

use crate::content_key::Kid;
use crate::isobmff::elst::{Edit, EditList};
use crate::isobmff::ftyp::FileType;
use crate::isobmff::mdhd::MediaHeader;
use crate::isobmff::mvhd::MovieHeader;
use crate::isobmff::stco::ChunkOffsets;
use crate::isobmff::stsc::SampleToChunk;
use crate::isobmff::stsz::SampleSizes;
use crate::isobmff::stts::TimeToSample;
use crate::isobmff::tkhd::TrackHeader;
use crate::isobmff::trex::TrackExtends;
use crate::isobmff::{FourCc, Node, TypedBox, sample_flags};
use crate::media::{MediaKind, Timescale, Track};
use crate::protect::{TrackProtection, signalling};

/// `rate` 1.0, `volume` 1.0, reserved fields, the identity matrix and `pre_defined` fields of `mvhd`.
const PLAIN_DISPLAY: [u8; 76] = {
    let mut fields = [0; 76];
    fields[1] = 1; // rate
    fields[4] = 1; // volume
    fields[17] = 1; // matrix: a, d, w
    fields[33] = 1;
    fields[48] = 0x40;
    fields
};

/// `tkhd` flags: the track is enabled and used in the presentation.
const ENABLED_IN_MOVIE: u32 = 3;

/// The init segment of `track`, whose samples are protected by the keys of these IDs.
#[must_use]
pub fn build(track: &Track, protection: Option<&TrackProtection>, kids: Vec<Kid>) -> Vec<u8> {
    let mut out = Vec::new();
    write_file_type(&mut out, &[track]);
    let pssh = protection.map(|protection| signalling::system_headers(kids, protection));
    let trak = describe(track, track.id, protection);
    movie(track.timescale, vec![(track, track.id, trak)], pssh.unwrap_or_default()).write(&mut out);
    out
}

/// Appends the file type of a fragmented file of these tracks; one of several tracks is no CMAF.
pub fn write_file_type(out: &mut Vec<u8>, tracks: &[&Track]) {
    let brand = FourCc::new;
    let mut compatible_brands = vec![brand(b"iso6"), brand(b"cmfc"), brand(b"mp41")];
    compatible_brands.retain(|compatible| tracks.len() == 1 || *compatible != brand(b"cmfc"));
    compatible_brands.extend(tracks.iter().flat_map(|track| track.codec.brands()));
    FileType {
        major_brand: brand(b"iso6"),
        minor_version: 0,
        compatible_brands,
    }
    .write(out);
}

/// The movie box of a fragmented file with these tracks, IDs and `trak` boxes.
#[must_use]
pub fn movie(
    timescale: Timescale,
    tracks: Vec<(&Track, u32, Node<'static>)>,
    pssh: Vec<Node<'static>>,
) -> Node<'static> {
    let next_track_id = tracks.iter().map(|(_, id, _)| *id).max().unwrap_or(0).saturating_add(1);
    let header = MovieHeader {
        version: 0,
        creation_time: 0,
        modification_time: 0,
        timescale: timescale.get(),
        duration_ticks: 0,
        display: PLAIN_DISPLAY,
        next_track_id,
    };
    let extends = tracks.iter().map(|(track, id, _)| {
        Node::of(&TrackExtends {
            track_id: *id,
            default_sample_description_index: 1,
            default_sample_duration: 0,
            default_sample_size: 0,
            default_sample_flags: match track.kind {
                MediaKind::Video => sample_flags::NON_SYNC,
                MediaKind::Audio | MediaKind::Text => sample_flags::SYNC,
            },
        })
    });
    let extends = Node::container(FourCc::new(b"mvex"), extends.collect());
    let mut children = vec![Node::of(&header)];
    children.extend(tracks.into_iter().map(|(_, _, trak)| trak));
    children.push(extends);
    children.extend(pssh);
    Node::container(FourCc::new(b"moov"), children)
}

/// The `trak` box of a track whose samples are all in fragments.
#[must_use]
pub fn describe(track: &Track, id: u32, protection: Option<&TrackProtection>) -> Node<'static> {
    let mut trak = track.description.clone();
    update(&mut trak, &[b"tkhd"], |header: &mut TrackHeader| {
        header.track_id = id;
        header.duration_ticks = 0;
        header.flags |= ENABLED_IN_MOVIE;
    });
    update(&mut trak, &[b"mdia", b"mdhd"], |header: &mut MediaHeader| {
        header.duration_ticks = 0;
    });
    if let Some(children) = trak
        .descend_mut(&[b"mdia", b"minf", b"stbl"])
        .and_then(Node::children_mut)
    {
        let behind_stsd = children
            .iter()
            .position(|child| child.kind.0 == *b"stsd")
            .map_or(0, |at| at + 1);
        let empty_tables = [
            Node::of(&TimeToSample::default()),
            Node::of(&SampleToChunk::default()),
            Node::of(&SampleSizes::Each(Vec::new())),
            Node::of(&ChunkOffsets::default()),
        ];
        children.splice(behind_stsd..behind_stsd, empty_tables);
    }
    let entries = trak
        .descend_mut(&[b"mdia", b"minf", b"stbl", b"stsd"])
        .and_then(Node::children_mut);
    if let Some(entry) = entries.and_then(|entries| entries.first_mut()) {
        signalling::unprotect_sample_entry(entry);
        if let Some(protection) = protection {
            signalling::protect_sample_entry(entry, track.kind, protection);
        }
    }
    if let (Some(edits), Some(children)) = (edits(track), trak.children_mut()) {
        let behind_tkhd = children
            .iter()
            .position(|child| child.kind.0 == *b"tkhd")
            .map_or(0, |at| at + 1);
        children.insert(behind_tkhd, edits);
    }
    trak
}

/// The edit list that skips media in front; a late start is in the decode times instead, see
/// [`super::media_segment`].
fn edits(track: &Track) -> Option<Node<'static>> {
    let media_time_ticks = track.shift.ticks.checked_neg().filter(|ticks| *ticks > 0)?;
    let version = u8::from(i32::try_from(media_time_ticks).is_err());
    let edits = vec![Edit {
        duration_ticks: 0,
        media_time_ticks,
        rate: Edit::NORMAL_RATE,
    }];
    Some(Node::container(
        FourCc::new(b"edts"),
        vec![Node::of(&EditList { version, edits })],
    ))
}

/// Changes a typed box in its place; one that is not there, or can't be read, was refused when the input was opened.
fn update<T: TypedBox>(node: &mut Node<'static>, path: &[&[u8; 4]], change: impl FnOnce(&mut T)) {
    let Some(target) = node.descend_mut(path) else { return };
    let Ok(mut typed) = target.parse::<T>() else { return };
    change(&mut typed);
    *target = Node::of(&typed);
}

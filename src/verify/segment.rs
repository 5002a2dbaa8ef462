//! The boxes of a media segment: fragments that describe all their bytes and nothing else
//! (ISO/IEC 23000-19, 7.3.2; ISO/IEC 23001-7, 7.2).

use super::Form;
use super::findings::FileFindings;
use super::init::{InitSegment, Protection};
use crate::isobmff::ftyp::FileType;
use crate::isobmff::mfhd::MovieFragmentHeader;
use crate::isobmff::saio::AuxiliaryOffsets;
use crate::isobmff::scan::{ReadAt, ScanError, TopLevel, read_box};
use crate::isobmff::seig::SampleEncryptionGroup;
use crate::isobmff::senc::{self, SampleEncryption};
use crate::isobmff::tfdt::TrackFragmentDecodeTime;
use crate::isobmff::tfhd::TrackFragmentHeader;
use crate::isobmff::trun::{Fields, TrackRun};
use crate::isobmff::{BoxHeader, FourCc, Node};
use crate::media::{MediaKind, Sample, Source};
use crate::protect::{auxiliary, sample_groups};

/// A movie fragment's boxes are read whole, up to this size; ours are a few kilobytes.
const MAX_MOOF_BYTES: usize = 64 << 20;

/// Bytes of `senc` in front of its entries: box header, version and flags, count.
const SENC_HEADER_BYTES: u64 = 16;

/// A movie fragment.
#[derive(Debug)]
pub struct Fragment {
    /// `mfhd` sequence number.
    pub sequence_number: u32,
    /// Bytes from the file's start to the `moof`.
    pub offset: u64,
    /// In decode order; offsets count from the file's start.
    pub samples: Vec<Sample>,
    /// One a sample; `None` where whole samples are protected, or none.
    pub auxiliary: Option<Vec<SampleEncryption>>,
}

impl Fragment {
    /// Where its last sample ends in decode time, in ticks of the track's timescale.
    #[must_use]
    pub fn end_ticks(&self) -> u64 {
        self.samples.last().map_or(0, |last| {
            last.decode_ticks.saturating_add(u64::from(last.duration_ticks))
        })
    }
}

/// The group of samples of the first fragment of a track in a segment, if it can be read.
pub fn first_group(source: &Source, track_id: u32) -> Option<SampleEncryptionGroup> {
    let mut boxes = TopLevel::new(source);
    let header = boxes.find_map(|header| header.ok().filter(|header| header.kind.0 == *b"moof"))?;
    let bytes = read_box(source, &header, MAX_MOOF_BYTES).ok()?;
    let moof = Node::parse_one(&bytes, header.offset).ok()?;
    let is_of_track = |traf: &&Node<'_>| {
        let tfhd = traf.find::<TrackFragmentHeader>().ok().flatten();
        tfhd.is_some_and(|tfhd| tfhd.track_id == track_id)
    };
    sample_groups::read(moof.children_of(b"traf").find(is_of_track)?).ok()?
}

/// Reads the boxes of a segment, and no media data. One that is a file of its own begins with `styp`. Its samples are to be protected as `protection` says. A segment of a tree may have other boxes and tracks too.
///
/// # Errors
/// [`ScanError`] where a box can't be read; what was found before is in `findings`.
pub fn read(
    source: &Source,
    (init, protection): (&InitSegment, Option<&Protection>),
    (form, is_file): (Form, bool),
    findings: &mut FileFindings<'_>,
) -> Result<Vec<Fragment>, ScanError> {
    let mut fragments = Vec::new();
    let mut moof: Option<BoxHeader> = None;
    for (index, header) in TopLevel::new(source).enumerate() {
        let header = header?;
        match (&header.kind.0, moof.take()) {
            (b"moof", None) if form == Form::Tree => moof = Some(header),
            (kind, before) if form == Form::Tree && kind != b"mdat" && kind != b"moof" => moof = before,
            (b"styp", None) if is_file && index == 0 => {
                let bytes = read_box(source, &header, MAX_MOOF_BYTES)?;
                let node = Node::parse_one(&bytes, header.offset)?;
                let brands = node.read(<FileType as crate::isobmff::TypedBox>::parse)?;
                for brand in [b"cmfs", b"msdh"] {
                    let brand = FourCc::new(brand);
                    if !brands.compatible_brands.contains(&brand) {
                        findings.add_at(header.offset, format!("styp does not have the brand '{brand}'"));
                    }
                }
            }
            (b"moof", None) if index > 0 || !is_file => moof = Some(header),
            (b"mdat", Some(moof)) => {
                let bytes = read_box(source, &moof, MAX_MOOF_BYTES)?;
                let node = Node::parse_one(&bytes, moof.offset)?;
                match form {
                    Form::Own => fragments.push(read_fragment(source, &node, &header, (init, protection), findings)?),
                    Form::Tree => {
                        read_tree_fragment(source, &node, &header, (init, protection), findings, &mut fragments)?;
                    }
                }
            }
            _ => findings.add_at(
                header.offset,
                format!(
                    "the box '{}', where a segment is styp, then moof and mdat in turns",
                    header.kind
                ),
            ),
        }
    }
    if let Some(moof) = moof {
        findings.add_at(moof.offset, "a moof without mdat: the segment is truncated");
    }
    if fragments.is_empty() {
        findings.add("the segment has no fragment");
    }
    Ok(fragments)
}

fn read_fragment(
    source: &Source,
    moof: &Node<'_>,
    mdat: &BoxHeader,
    (init, protection): (&InitSegment, Option<&Protection>),
    findings: &mut FileFindings<'_>,
) -> Result<Fragment, ScanError> {
    let sequence_number = moof
        .require(&[b"mfhd"])?
        .parse::<MovieFragmentHeader>()?
        .sequence_number;
    let traf = moof.require(&[b"traf"])?;
    if moof.children_of(b"traf").count() != 1 {
        findings.add_at(moof.offset, "the fragment has several trafs, expected one");
    }
    let tfhd = traf.require(&[b"tfhd"])?;
    let header: TrackFragmentHeader = tfhd.parse()?;
    findings.expect_at(tfhd.offset, "track_ID of tfhd", &header.track_id, &init.track_id);
    findings.expect_at(tfhd.offset, "default-base-is-moof", &header.default_base_is_moof, &true);
    findings.expect_at(tfhd.offset, "base-data-offset", &header.base_data_offset, &None);
    let description = header
        .sample_description_index
        .unwrap_or(init.defaults.default_sample_description_index);
    findings.expect_at(tfhd.offset, "sample_description_index", &description, &1);
    let tfdt: TrackFragmentDecodeTime = traf.require(&[b"tfdt"])?.parse()?;
    let defaults = Defaults::of(&header, init);
    let (mut samples, offset) = read_runs(
        moof,
        traf,
        (tfdt.base_media_decode_time, defaults),
        (mdat.payload_offset(), Form::Own),
        source.len(),
        findings,
    )?;
    if samples.is_empty() {
        findings.add_at(moof.offset, "the fragment has no samples");
    }
    if offset != mdat.end() {
        findings.add_at(
            mdat.offset,
            format!(
                "the samples take {} bytes of an mdat that holds {}",
                offset - mdat.payload_offset(),
                mdat.payload_bytes()
            ),
        );
        // What lies outside can't be read.
        let reachable = samples.iter().take_while(|sample| sample.end() <= source.len()).count();
        samples.truncate(reachable);
    }
    Ok(Fragment {
        sequence_number,
        offset: moof.offset,
        samples,
        auxiliary: check_auxiliary(source, moof, traf, (init, protection), findings)?,
    })
}

/// Reads a fragment of a tree: each of its track fragments that is of the track counts as one of its own.
fn read_tree_fragment(
    source: &Source,
    moof: &Node<'_>,
    mdat: &BoxHeader,
    (init, protection): (&InitSegment, Option<&Protection>),
    findings: &mut FileFindings<'_>,
    fragments: &mut Vec<Fragment>,
) -> Result<(), ScanError> {
    for traf in moof.children_of(b"traf") {
        let header: TrackFragmentHeader = traf.require(&[b"tfhd"])?.parse()?;
        if header.track_id != init.track_id {
            continue;
        }
        // Where there is no time, it goes on.
        let decode_ticks = match traf.find::<TrackFragmentDecodeTime>()? {
            Some(tfdt) => tfdt.base_media_decode_time,
            None => fragments.last().map_or(0, Fragment::end_ticks),
        };
        let (samples, _) = read_runs(
            moof,
            traf,
            (decode_ticks, Defaults::of(&header, init)),
            (mdat.payload_offset(), Form::Tree),
            source.len(),
            findings,
        )?;
        let is_outside = |sample: &&Sample| sample.offset < mdat.payload_offset() || sample.end() > mdat.end();
        if let Some(sample) = samples.iter().find(is_outside) {
            findings.add_at(
                sample.offset,
                "a sample that does not lie in the mdat behind its fragment",
            );
            continue;
        }
        if !samples.is_empty() {
            fragments.push(Fragment {
                sequence_number: 0,
                offset: moof.offset,
                samples,
                auxiliary: check_auxiliary(source, moof, traf, (init, protection), findings)?,
            });
        }
    }
    Ok(())
}

/// What a fragment says of how it is encrypted, which one of a clear track must not.
fn check_auxiliary(
    source: &Source,
    moof: &Node<'_>,
    traf: &Node<'_>,
    (init, protection): (&InitSegment, Option<&Protection>),
    findings: &mut FileFindings<'_>,
) -> Result<Option<Vec<SampleEncryption>>, ScanError> {
    check_group(traf, init, protection, findings)?;
    if let Some(protection) = protection {
        return read_auxiliary(source, moof, traf, (init.kind, protection), findings);
    }
    for kind in [b"senc", b"saiz", b"saio"] {
        if let Some(node) = traf.child(kind) {
            findings.add_at(node.offset, format!("{} in a track that is not protected", node.path));
        }
    }
    Ok(None)
}

/// The group of samples of a fragment, which says what holds for all segments of the same key.
fn check_group(
    traf: &Node<'_>,
    init: &InitSegment,
    protection: Option<&Protection>,
    findings: &mut FileFindings<'_>,
) -> Result<(), ScanError> {
    let group = sample_groups::read(traf)?;
    let found = match (&init.protection, &group) {
        (of_init, None) => *of_init,
        (Some(of_init), Some(group)) => {
            let pattern = (group.crypt_byte_block, group.skip_byte_block);
            let of_tenc = (of_init.pattern.crypt_blocks, of_init.pattern.skip_blocks);
            findings.expect_at(traf.offset, "the pattern of the sample group", &pattern, &of_tenc);
            let found = of_init.of_group(group);
            if found == Some(*of_init) {
                findings.add_at(traf.offset, "a sample group (seig) that says what tenc says");
            }
            found
        }
        (None, Some(_)) => {
            findings.add_at(traf.offset, "a sample group (seig) in a track that is not protected");
            None
        }
    };
    if found.as_ref() != protection {
        let kid = |protection: Option<&Protection>| {
            protection.map_or("none".to_owned(), |protection| protection.kid.to_string())
        };
        let (found, expected) = (kid(found.as_ref()), kid(protection));
        let what = format!("is protected by the key {found}, expected {expected} as the fragments in front of it");
        findings.add_at(traf.offset, what);
    }
    Ok(())
}

/// What a sample has where its run does not say.
#[derive(Clone, Copy)]
struct Defaults {
    duration: u32,
    size: u32,
    flags: u32,
}

impl Defaults {
    /// Those of the track fragment, or else of the track.
    fn of(header: &TrackFragmentHeader, init: &InitSegment) -> Self {
        let track = &init.defaults;
        Self {
            duration: header.default_sample_duration.unwrap_or(track.default_sample_duration),
            size: header.default_sample_size.unwrap_or(track.default_sample_size),
            flags: header.default_sample_flags.unwrap_or(track.default_sample_flags),
        }
    }
}

/// The samples of all runs, and where their data ends: in an output it lies without gaps from byte `offset` on.
fn read_runs(
    moof: &Node<'_>,
    traf: &Node<'_>,
    (mut decode_ticks, defaults): (u64, Defaults),
    (mut offset, form): (u64, Form),
    file_bytes: u64,
    findings: &mut FileFindings<'_>,
) -> Result<(Vec<Sample>, u64), ScanError> {
    let mut samples: Vec<Sample> = Vec::new();
    for trun in traf.children_of(b"trun") {
        let run: TrackRun = trun.parse()?;
        if let Some(data_offset) = run.data_offset {
            let start = moof.offset.checked_add_signed(i64::from(data_offset));
            if form == Form::Tree {
                offset = start.unwrap_or(u64::MAX);
            } else if start != Some(offset) {
                let expected = offset - moof.offset;
                findings.add_at(
                    trun.offset,
                    format!("data_offset is {data_offset}, expected {expected}"),
                );
            }
        }
        // What a run of a few bytes claims must be there before memory is taken for it.
        if run.is_unbacked(defaults.size) || run.data_bytes(defaults.size) > file_bytes.saturating_sub(offset) {
            let what = format!("{} samples whose data is not in the file", run.samples.len());
            findings.add_at(trun.offset, what);
            break;
        }
        for (index, stored) in run.samples.iter().enumerate() {
            let field = |field, value, default| if run.fields.has(field) { value } else { default };
            let first_flags = run.first_sample_flags.filter(|_| index == 0);
            let sample = Sample {
                offset,
                size: field(Fields::SIZE, stored.size, defaults.size),
                decode_ticks,
                duration_ticks: field(Fields::DURATION, stored.duration, defaults.duration),
                composition_offset: stored.composition_offset,
                flags: first_flags.unwrap_or(field(Fields::FLAGS, stored.flags, defaults.flags)),
            };
            offset = sample.end();
            decode_ticks = decode_ticks.saturating_add(u64::from(sample.duration_ticks));
            samples.push(sample);
        }
    }
    Ok((samples, offset))
}

/// Reads `saiz`, `saio` and `senc`, which must say the same.
fn read_auxiliary(
    source: &Source,
    moof: &Node<'_>,
    traf: &Node<'_>,
    (kind, protection): (MediaKind, &Protection),
    findings: &mut FileFindings<'_>,
) -> Result<Option<Vec<SampleEncryption>>, ScanError> {
    let (scheme, iv_size) = (protection.scheme.four_cc(), protection.iv_size);
    let Some(senc) = traf.child(b"senc") else {
        if kind == MediaKind::Video {
            findings.add_at(traf.offset, "there is no senc, and video needs subsample maps");
        } else if iv_size > 0 {
            findings.add_at(traf.offset, "there is no senc, and each sample has an IV of its own");
        }
        return auxiliary::read(source, moof, traf, scheme, iv_size);
    };
    // First where it is: what is read at another place is noise.
    match traf.child(b"saio") {
        None => findings.add_at(senc.offset, "there is no saio beside senc"),
        Some(saio) => {
            let offsets = saio.parse::<AuxiliaryOffsets>()?.offsets;
            let expected = senc.offset + SENC_HEADER_BYTES - moof.offset;
            findings.expect_at(saio.offset, "the offsets of saio", &offsets, &vec![expected]);
        }
    }
    let in_place = senc.read(|payload| {
        let parsed = senc::parse(payload, iv_size)?;
        if payload.is_empty() {
            Ok(parsed)
        } else {
            Err(payload.invalid("bytes behind the last sample's entry"))
        }
    })?;
    let by_offset = auxiliary::read(source, moof, traf, scheme, iv_size)?;
    if by_offset.as_ref() != Some(&in_place) {
        findings.add_at(senc.offset, "senc and what saiz and saio point at are not the same");
    }
    Ok(by_offset)
}

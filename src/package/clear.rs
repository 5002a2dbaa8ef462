//! The clear asset: all tracks of an output in one fragmented MP4, whose fragments follow each other in time.

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::Ordering;

use super::sink::write_all;
use super::{Control, PackageError, init_segment, media_segment};
use crate::isobmff::scan::{ScanError, TopLevel, read_box};
use crate::isobmff::seig::SampleEncryptionGroup;
use crate::isobmff::senc::SampleEncryption;
use crate::isobmff::tenc::TrackEncryption;
use crate::isobmff::tfhd::TrackFragmentHeader;
use crate::isobmff::trun::TrackRun;
use crate::isobmff::{BoxError, BoxHeader, BoxPath, FourCc, Node, Problem};
use crate::media::{Encryption, Time, Track};
use crate::plan;
use crate::protect::{Cipher, FragmentWorker, auxiliary, sample_groups};

/// A movie fragment's boxes are read whole, up to this size, as when its samples were found.
const MAX_MOOF_BYTES: usize = 64 << 20;

/// A track of fragments, and what opens it.
pub struct ClosedTrack {
    /// The track.
    pub track: Track,
    /// What opens its samples, part after part: a part ends in front of this sample. `None` where they are clear.
    pub ciphers: Vec<(u32, Option<Cipher>)>,
}

impl ClosedTrack {
    /// What opens the sample of that index.
    fn cipher(&self, sample: u32) -> Option<&Cipher> {
        let part = self.ciphers.partition_point(|(end, _)| *end <= sample);
        self.ciphers.get(part)?.1.as_ref()
    }
}

/// A track fragment of one of the tracks.
pub(super) struct Fragment {
    track_index: usize,
    pub(super) moof: BoxHeader,
    /// Which of the track's `traf` boxes in the `moof`.
    pub(super) traf_index: usize,
    pub(super) samples: Range<u32>,
    start: Time,
    /// How its samples are encrypted, where that is not as `tenc` says.
    group: Option<SampleEncryptionGroup>,
}

/// Writes `tracks` in the clear to a new file at `path`, and returns its size in bytes.
///
/// # Errors
/// [`PackageError`]. What was written then is of no use.
pub fn write(mut tracks: Vec<ClosedTrack>, path: &Path, control: &Control<'_>) -> Result<u64, PackageError> {
    let mut fragments = Vec::new();
    for (track_index, closed) in tracks.iter().enumerate() {
        let found = find_fragments(track_index, &closed.track);
        fragments.extend(found.map_err(|cause| fragment_error(&closed.track, cause))?);
    }
    fragments.sort_by_key(|fragment| (fragment.start, fragment.track_index));
    let original_ids: Vec<u32> = tracks.iter().map(|closed| closed.track.id).collect();
    for (id, closed) in (1..).zip(&mut tracks) {
        closed.track.id = id;
    }

    let failed = |cause| PackageError::write(path, cause);
    let mut file = File::create_new(path).map_err(failed)?;
    let mut head = Vec::new();
    let all: Vec<&Track> = tracks.iter().map(|closed| &closed.track).collect();
    init_segment::write_file_type(&mut head, &all);
    let described = tracks
        .iter()
        .map(|ClosedTrack { track, .. }| (track, track.id, init_segment::describe(track, track.id, None)));
    if let Some(first) = tracks.first() {
        init_segment::movie(first.track.timescale, described.collect(), Vec::new()).write(&mut head);
    }

    let mut worker = FragmentWorker::default();
    let mut sequence_number = 0;
    let mut bytes = 0;
    for fragment in &fragments {
        let Some(closed) = tracks.get(fragment.track_index) else {
            continue;
        };
        let track = &closed.track;
        // A fragment is in one segment, and that in one part.
        let cipher = closed.cipher(fragment.samples.start);
        let original_id = original_ids.get(fragment.track_index).copied().unwrap_or_default();
        let maps = match (cipher, &track.encryption) {
            (Some(_), Some(encryption)) => read_auxiliary(track, encryption, original_id, fragment)
                .map_err(|cause| fragment_error(track, cause))?,
            _ => None,
        };
        for samples in plan::fragments(track, fragment.samples.clone(), |_| false) {
            if control.cancelled.load(Ordering::Relaxed) {
                return Err(PackageError::Cancelled);
            }
            let at = (samples.start - fragment.samples.start) as usize;
            let maps = maps.as_ref().map(|maps| maps.get(at..).unwrap_or_default());
            let clear = worker.unprotect(track, samples, cipher, maps).map_err(|cause| {
                let offset = track.samples.get(cause.index).map_or(0, |sample| sample.offset);
                let path = track.source.locate(offset).0.to_owned();
                PackageError::Sample { path, cause }
            })?;
            sequence_number += 1;
            media_segment::write_fragment_head(&mut head, track, sequence_number, &clear, None);
            bytes += write_all(&mut file, &head, clear.data).map_err(failed)?;
            (control.progress)(clear.data.len() as u64);
            head.clear();
        }
    }
    Ok(bytes)
}

/// What `tenc`, or the group of samples that a fragment describes, says of a track's samples, run after run: a run ends in front of
/// that sample. `None` where they are clear.
///
/// # Errors
/// [`PackageError::Fragment`].
pub fn encryption_runs(track: &Track) -> Result<Vec<(u32, Option<TrackEncryption>)>, PackageError> {
    let Some(encryption) = &track.encryption else {
        return Ok(vec![(track.samples.len(), None)]);
    };
    let fragments = find_fragments(0, track).map_err(|cause| fragment_error(track, cause))?;
    let mut runs: Vec<(u32, Option<TrackEncryption>)> = Vec::new();
    for Fragment { samples, group, .. } in fragments {
        let version = encryption.tenc.version;
        let tenc = group.map_or_else(|| encryption.tenc.clone(), |group| group.as_tenc(version));
        let tenc = Some(tenc).filter(|tenc| tenc.is_protected);
        match runs.last_mut().filter(|(_, before)| *before == tenc) {
            Some((end, _)) => *end = samples.end,
            None => runs.push((samples.end, tenc)),
        }
    }
    Ok(runs)
}

/// The track fragments of a track, in order.
pub(super) fn find_fragments(track_index: usize, track: &Track) -> Result<Vec<Fragment>, ScanError> {
    let mut fragments = Vec::new();
    let mut next = 0_u32;
    for header in TopLevel::new(&*track.source) {
        let moof = header?;
        if moof.kind.0 != *b"moof" {
            continue;
        }
        let bytes = read_box(&*track.source, &moof, MAX_MOOF_BYTES)?;
        let node = Node::parse_one(&bytes, moof.offset)?;
        for (traf_index, traf) in trafs(&node, track.id)?.into_iter().enumerate() {
            let mut count = 0_usize;
            for trun in traf.children_of(b"trun") {
                count += trun.parse::<TrackRun>()?.samples.len();
            }
            let end = next.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
            if let Some(first) = track.samples.get(next).filter(|_| end > next) {
                fragments.push(Fragment {
                    track_index,
                    moof,
                    traf_index,
                    samples: next..end,
                    group: sample_groups::read(traf)?,
                    start: track.presentation_time(&first),
                });
            }
            next = end;
        }
    }
    if next == track.samples.len() {
        return Ok(fragments);
    }
    let path = BoxPath::default().child(FourCc::new(b"moov")).unwrap_or_default();
    let problem = Problem::Invalid("has samples that are in no fragment; an output or a tree has none".into());
    Err(BoxError {
        path,
        offset: 0,
        problem,
    }
    .into())
}

/// The `traf` boxes of a track.
fn trafs<'n, 'a>(moof: &'n Node<'a>, track_id: u32) -> Result<Vec<&'n Node<'a>>, BoxError> {
    let mut found = Vec::new();
    for traf in moof.children_of(b"traf") {
        if traf.require(&[b"tfhd"])?.parse::<TrackFragmentHeader>()?.track_id == track_id {
            found.push(traf);
        }
    }
    Ok(found)
}

/// The subsample maps of a fragment's samples.
fn read_auxiliary(
    track: &Track,
    encryption: &Encryption,
    track_id: u32,
    fragment: &Fragment,
) -> Result<Option<Vec<SampleEncryption>>, ScanError> {
    let bytes = read_box(&*track.source, &fragment.moof, MAX_MOOF_BYTES)?;
    let moof = Node::parse_one(&bytes, fragment.moof.offset)?;
    match trafs(&moof, track_id)?.get(fragment.traf_index) {
        Some(traf) => {
            let of_group = fragment.group.as_ref().map(|group| group.per_sample_iv_size);
            let iv_size = of_group.unwrap_or(encryption.tenc.per_sample_iv_size);
            let scheme = encryption.scheme;
            auxiliary::read(&*track.source, &moof, traf, scheme, iv_size)
        }
        None => Ok(None),
    }
}

/// An error names the file that holds the byte, of those that the track is joined from.
pub(super) fn fragment_error(track: &Track, cause: ScanError) -> PackageError {
    let (path, cause) = match cause {
        ScanError::Box(error) => {
            let (path, offset) = track.source.locate(error.offset);
            (path, BoxError { offset, ..error }.into())
        }
        ScanError::Io { offset, bytes, cause } => {
            let (path, offset) = track.source.locate(offset);
            (path, ScanError::Io { offset, bytes, cause })
        }
    };
    PackageError::Fragment {
        path: path.to_owned(),
        cause,
    }
}

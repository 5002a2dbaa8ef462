//! Media segments: `styp`, and fragments of `moof` and `mdat` (ISO/IEC 23000-19, 7.3.2).

use crate::isobmff::ftyp::FileType;
use crate::isobmff::mfhd::MovieFragmentHeader;
use crate::isobmff::saio::AuxiliaryOffsets;
use crate::isobmff::saiz::{AuxiliarySizes, Sizes};
use crate::isobmff::sbgp::{GroupRun, IN_FRAGMENT, SampleToGroup};
use crate::isobmff::seig::{self, SampleEncryptionGroup};
use crate::isobmff::sgpd::{Entries, SampleGroupDescriptions};
use crate::isobmff::tfdt::TrackFragmentDecodeTime;
use crate::isobmff::tfhd::TrackFragmentHeader;
use crate::isobmff::trun::{Fields, RunSample, RunSamples, TrackRun};
use crate::isobmff::writer::{Put, boxed};
use crate::isobmff::{FourCc, TypedBox, senc};
use crate::media::{Sample, Track};
use crate::protect::ProtectedFragment;

/// Bytes of `senc` in front of the first sample's information: box header, version and flags, count.
const SENC_HEADER_BYTES: usize = 16;

/// Bytes of `trun` in front of its data offset: box header, version and flags, count.
const TRUN_DATA_OFFSET_AT: usize = 16;

/// Bytes of `saio` in front of its one offset: box header, version and flags, count.
const SAIO_OFFSET_AT: usize = 16;

const MDAT_HEADER_BYTES: usize = 8;

/// Appends the segment type.
pub fn write_type(out: &mut Vec<u8>) {
    let brand = FourCc::new;
    let brands = FileType {
        major_brand: brand(b"cmfs"),
        minor_version: 0,
        compatible_brands: vec![brand(b"cmfs"), brand(b"msdh")],
    };
    boxed(out, brand(b"styp"), |out| brands.write_payload(out));
}

/// Appends the `moof` of a fragment and the header of its `mdat`; the samples' bytes follow. `group` says how its samples are
/// encrypted, where that is not as `tenc` says.
pub fn write_fragment_head(
    out: &mut Vec<u8>,
    track: &Track,
    sequence_number: u32,
    fragment: &ProtectedFragment<'_>,
    group: Option<&SampleEncryptionGroup>,
) {
    let moof_start = out.len();
    let mut data_offset_at = 0;
    boxed(out, FourCc::new(b"moof"), |out| {
        MovieFragmentHeader { sequence_number }.write(out);
        boxed(out, FourCc::new(b"traf"), |out| {
            data_offset_at = write_track_fragment(out, track, fragment);
            if let Some(group) = group {
                write_group(out, fragment.samples.len(), group);
            }
            if fragment.ivs.is_some() || !fragment.entry_counts.is_empty() {
                write_auxiliary_information(out, moof_start, fragment);
            }
        });
    });
    let data_offset = out.len() - moof_start + MDAT_HEADER_BYTES;
    patch_u32(out, data_offset_at, data_offset);
    out.put_u32(to_u32(fragment.data.len() + MDAT_HEADER_BYTES));
    out.extend_from_slice(b"mdat");
}

/// Appends `sbgp` and `sgpd`: all samples are in one group, which the fragment itself describes.
fn write_group(out: &mut Vec<u8>, samples: usize, group: &SampleEncryptionGroup) {
    let entry = group.to_bytes();
    SampleToGroup {
        grouping_type: seig::GROUPING_TYPE,
        grouping_type_parameter: None,
        entries: vec![GroupRun {
            sample_count: to_u32(samples),
            group_description_index: IN_FRAGMENT + 1,
        }],
    }
    .write(out);
    SampleGroupDescriptions {
        grouping_type: seig::GROUPING_TYPE,
        entries: Entries::Sized {
            default_length: to_u32(entry.len()),
            entries: vec![entry],
        },
    }
    .write(out);
}

/// Appends `tfhd`, `tfdt` and `trun`, and returns where the data offset is to be patched.
fn write_track_fragment(out: &mut Vec<u8>, track: &Track, fragment: &ProtectedFragment<'_>) -> usize {
    let samples = run_samples(fragment.samples);
    let shared = |value: fn(&RunSample) -> u32, from: usize| {
        let mut values = samples.iter().skip(from).map(value);
        let first = values.next()?;
        values.all(|value| value == first).then_some(first)
    };
    // What all samples share stands in the header; of flags, what all but the first share.
    let default_sample_duration = shared(|sample| sample.duration, 0);
    let default_sample_flags = shared(|sample| sample.flags, 1).or_else(|| shared(|sample| sample.flags, 0));
    let first_flags = samples.first().map(|sample| sample.flags);
    let run = TrackRun {
        version: 1,
        fields: Fields::SIZE
            .with(Fields::DURATION, default_sample_duration.is_none())
            .with(Fields::FLAGS, default_sample_flags.is_none())
            .with(
                Fields::COMPOSITION_OFFSET,
                samples.iter().any(|sample| sample.composition_offset != 0),
            ),
        data_offset: Some(0),
        first_sample_flags: first_flags.filter(|flags| default_sample_flags.is_some_and(|shared| shared != *flags)),
        samples: RunSamples::Each(samples),
    };

    TrackFragmentHeader {
        track_id: track.id,
        default_sample_duration,
        default_sample_flags,
        default_base_is_moof: true,
        ..TrackFragmentHeader::default()
    }
    .write(out);
    let first_decode_ticks = fragment.samples.first().map_or(0, |sample| sample.decode_ticks);
    // A track that starts late has its delay here, because players of fragmented files ignore empty edits.
    let delay_ticks = u64::try_from(track.shift.ticks).unwrap_or(0);
    TrackFragmentDecodeTime {
        version: 1,
        base_media_decode_time: first_decode_ticks.saturating_add(delay_ticks),
    }
    .write(out);
    let run_start = out.len();
    run.write(out);
    run_start + TRUN_DATA_OFFSET_AT
}

/// The samples of a run, each lasting until the next is decoded: a gap in the source has no other place here.
fn run_samples(samples: &[Sample]) -> Vec<RunSample> {
    let next_decode_ticks = samples.iter().skip(1).map(|next| Some(next.decode_ticks)).chain([None]);
    samples
        .iter()
        .zip(next_decode_ticks)
        .map(|(sample, next)| RunSample {
            duration: next
                .and_then(|next| u32::try_from(next.saturating_sub(sample.decode_ticks)).ok())
                .unwrap_or(sample.duration_ticks),
            size: sample.size,
            flags: sample.flags,
            composition_offset: sample.composition_offset,
        })
        .collect()
}

/// Appends `saiz`, `saio` and `senc`: players read the subsample maps from `senc`, found by one of the two ways.
pub(super) fn write_auxiliary_information(out: &mut Vec<u8>, moof_start: usize, fragment: &ProtectedFragment<'_>) {
    let iv_size = fragment.ivs.map_or(0, |of| of.ivs.size());
    #[expect(clippy::cast_possible_truncation, reason = "`max_subsamples` keeps it within a byte")]
    let map_size = |count: &u16| (2 + usize::from(*count) * senc::ENTRY_BYTES) as u8;
    let sizes = (0..fragment.samples.len()).map(|index| iv_size + fragment.entry_counts.get(index).map_or(0, map_size));
    AuxiliarySizes {
        aux_info: None,
        sizes: Sizes::of(sizes.collect()),
    }
    .write(out);
    let saio_start = out.len();
    AuxiliaryOffsets {
        version: 0,
        aux_info: None,
        offsets: vec![0],
    }
    .write(out);
    let first_sample_at = out.len() - moof_start + SENC_HEADER_BYTES;
    patch_u32(out, saio_start + SAIO_OFFSET_AT, first_sample_at);
    let ivs = (0..fragment.samples.len()).map(|index| {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        let iv = fragment.ivs.map(|of| of.ivs.of(of.first_sample.saturating_add(index)));
        iv.map_or([0; 16], |iv| iv.0)
    });
    senc::write(out, iv_size, ivs, fragment.entry_counts, fragment.subsamples);
}

/// Overwrites four bytes that were written before.
fn patch_u32(out: &mut [u8], at: usize, value: usize) {
    if let Some(field) = out.get_mut(at..at + 4) {
        field.copy_from_slice(&to_u32(value).to_be_bytes());
    }
}

/// Sizes within a fragment: at most one sample of [`crate::protect::fragment::MAX_SAMPLE_BYTES`] and its boxes.
fn to_u32(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

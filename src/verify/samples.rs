//! The samples of a segment: decrypted, read by their codec, and compared with the source's.
//!
//! What can be told without the source: a video sample is a sequence of NAL units that covers it exactly, whose slice
//! headers and parameter sets can be read, and whose protected bytes are where the subsample map says. Slice data
//! can't be told from noise without decoding it. AAC has no checksum and no structure that could be followed without
//! decoding either: only a frame that ends before it begins is known to be wrong, and one frame of eight begins so
//! under a wrong key. With the source, every byte is compared.

use super::findings::FileFindings;
use super::init::{InitSegment, Protection};
use super::segment::Fragment;
use crate::codec::{SampleScanner, SegmentWatch, Subsample, SubsampleMap};
use crate::isobmff::scan::{ScanError, read_at};
use crate::isobmff::senc::SampleEncryption;
use crate::media::{Sample, Source, Time, Track, sample_table};
use crate::protect::fragment::{MAX_SAMPLE_BYTES, decrypt_sample};
use crate::protect::{BLOCK_BYTES, Cipher};

/// Samples are read in groups of about this many bytes, whatever the size of a fragment.
const GROUP_BYTES: u64 = 8 << 20;

/// What samples are checked by.
#[derive(Clone, Copy)]
pub struct Expected<'a> {
    /// What the init segment says.
    pub init: &'a InitSegment,
    /// How the samples are protected, if they are.
    pub protection: Option<&'a Protection>,
    /// Opens the samples; `None` where they are clear, or the key is not at hand.
    pub cipher: Option<&'a Cipher>,
    /// The track that the samples were made from.
    pub source: Option<&'a Track>,
}

impl Expected<'_> {
    /// Whether samples are seen as they were before they were protected.
    const fn is_opened(&self) -> bool {
        self.cipher.is_some() || self.protection.is_none()
    }
}

/// Checks segment after segment, reusing its memory.
#[derive(Default)]
pub struct SampleChecker {
    data: Vec<u8>,
    source_data: Vec<u8>,
    map: SubsampleMap,
}

/// What the samples of a segment are.
pub struct Seen {
    /// Which of the source's.
    pub of_source: Option<std::ops::Range<u32>>,
    /// What they tell playlists.
    pub watch: SegmentWatch,
}

impl SampleChecker {
    /// Checks all samples of a segment.
    ///
    /// # Errors
    /// [`ScanError`] where the source can't be read. What is wrong with the segment is in `findings`.
    pub fn check(
        &mut self,
        file: &Source,
        fragments: &[Fragment],
        expected: Expected<'_>,
        findings: &mut FileFindings<'_>,
    ) -> Result<Seen, ScanError> {
        let mut watch = SegmentWatch::default();
        let mut scanner = expected.init.codec.scanner();
        let protection = expected.protection;
        self.map
            .align(protection.is_some_and(|protection| protection.scheme.has_whole_blocks()));
        let first = fragments.iter().find_map(|fragment| fragment.samples.first());
        let start = match (expected.source, first) {
            (Some(track), Some(first)) => Some(find(track, expected.init, first)),
            _ => None,
        };
        let mut index = 0_u64;
        let mut next = start;
        for fragment in fragments {
            if let Some(auxiliary) = &fragment.auxiliary
                && auxiliary.len() != fragment.samples.len()
            {
                let (entries, samples) = (auxiliary.len(), fragment.samples.len());
                findings.add_at(
                    fragment.offset,
                    format!("senc has {entries} entries for {samples} samples"),
                );
            }
            let mut rest = fragment.samples.as_slice();
            let mut place = 0;
            while !rest.is_empty() {
                let (group, later) = rest.split_at(group_length(rest));
                rest = later;
                if let Some(sample) = group.iter().find(|sample| sample.size > MAX_SAMPLE_BYTES) {
                    findings.add_in_sample(index, sample.offset, format!("a sample of {} bytes", sample.size));
                } else {
                    self.read_group(file, group, findings);
                    let maps: Vec<Option<&SampleEncryption>> = (place..place + group.len())
                        .map(|at| fragment.auxiliary.as_ref()?.get(at))
                        .collect();
                    self.check_group(group, &maps, index, expected, scanner.as_deref_mut(), findings);
                    for (sample, bytes) in group.iter().zip(sample_table::split(group, &self.data)) {
                        watch.see(&*expected.init.codec, sample.is_sync(), bytes);
                    }
                    if let (Some(track), Some(next)) = (expected.source, next) {
                        self.compare(track, next, group, index, expected, findings)?;
                    }
                }
                place += group.len();
                index += group.len() as u64;
                next = next.map(|next| next.saturating_add(length(group)));
            }
        }
        Ok(Seen {
            of_source: start.zip(next).map(|(start, end)| start..end),
            watch,
        })
    }

    fn read_group(&mut self, file: &Source, group: &[Sample], findings: &mut FileFindings<'_>) {
        let bytes: usize = group.iter().map(|sample| sample.size as usize).sum();
        self.data.clear();
        self.data.resize(bytes, 0);
        let start = group.first().map_or(0, |sample| sample.offset);
        if let Err(error) = read_at(file, &mut self.data, start) {
            findings.add_scan_error(&error);
        }
    }

    /// Decrypts the samples in `self.data` in place, and checks each.
    fn check_group(
        &mut self,
        group: &[Sample],
        maps: &[Option<&SampleEncryption>],
        first_index: u64,
        expected: Expected<'_>,
        mut scanner: Option<&mut (dyn SampleScanner + 'static)>,
        findings: &mut FileFindings<'_>,
    ) {
        let mut rest = self.data.as_mut_slice();
        for ((index, sample), map) in (first_index..).zip(group).zip(maps) {
            let (bytes, later) = rest.split_at_mut(sample.size as usize);
            rest = later;
            if let Some(cipher) = expected.cipher
                && let Err(cause) = decrypt_sample(bytes, *map, cipher)
            {
                findings.add_in_sample(index, sample.offset, cause.to_string());
            }
            if let Some(scanner) = scanner.as_deref_mut() {
                self.map.clear();
                if let Err(error) = scanner.scan(bytes, &mut self.map) {
                    findings.add_in_sample(index, sample.offset, error.to_string());
                    continue;
                }
                let recomputed = self.map.end_sample();
                if let Some(stated) = map.map(|map| map.subsamples.as_slice())
                    && stated != recomputed
                {
                    let at = stated.iter().zip(recomputed).take_while(|(a, b)| a == b).count();
                    let what = format!(
                        "the subsample map differs in entry {}: it says {}, and the sample's slices give {}",
                        at + 1,
                        entry(stated, at),
                        entry(recomputed, at)
                    );
                    findings.add_in_sample(index, sample.offset, what);
                }
            } else if expected.is_opened()
                && bytes.len() >= BLOCK_BYTES
                && let Some(fault) = expected.init.codec.first_bits_fault(bytes)
            {
                findings.add_in_sample(index, sample.offset, fault);
            }
        }
    }

    /// Compares the samples in `self.data` with the source's, from sample `next` of it on.
    fn compare(
        &mut self,
        track: &Track,
        next: u32,
        group: &[Sample],
        first_index: u64,
        expected: Expected<'_>,
        findings: &mut FileFindings<'_>,
    ) -> Result<(), ScanError> {
        let originals: Vec<Sample> = track.samples.range(next..next.saturating_add(length(group))).collect();
        let same_size = group
            .iter()
            .zip(&originals)
            .filter(|(ours, original)| ours.size == original.size);
        let readable: Vec<Sample> = same_size.map(|(_, original)| *original).collect();
        self.source_data.clear();
        self.source_data
            .resize(readable.iter().map(|sample| sample.size as usize).sum(), 0);
        // A key that is not at hand leaves the bytes encrypted; times and sizes are still compared.
        track.read_samples(&readable, &mut self.source_data)?;

        let mut ours = self.data.as_slice();
        let mut theirs = self.source_data.as_slice();
        let behind = track.samples.get(next.saturating_add(length(group)));
        let mut following = originals.iter().copied().skip(1).chain(behind);
        for (at, sample) in group.iter().enumerate() {
            let (bytes, later) = ours.split_at_checked(sample.size as usize).unwrap_or_default();
            ours = later;
            let place = (first_index + at as u64, sample.offset);
            let Some(original) = originals.get(at) else {
                findings.add_in_sample(place.0, place.1, "is not in the source, which ends before");
                continue;
            };
            let after = following.next();
            compare_times(
                (track, original, after.as_ref()),
                (expected.init, sample),
                place,
                findings,
            );
            if sample.size != original.size {
                findings.expect_in_sample(place, "the size", &sample.size, &original.size);
                continue;
            }
            let (original_bytes, later) = theirs.split_at_checked(original.size as usize).unwrap_or_default();
            theirs = later;
            if bytes != original_bytes && expected.is_opened() {
                let same = bytes.iter().zip(original_bytes).take_while(|(a, b)| a == b).count() as u64;
                let (path, offset) = track.source.locate(original.offset);
                let what = format!(
                    "differs from the source, sample {} at byte {} of {}",
                    next as usize + at + 1,
                    offset + same,
                    path.display()
                );
                findings.add_in_sample(place.0, place.1 + same, what);
            }
        }
        Ok(())
    }
}

/// How many samples make a group: as many as [`GROUP_BYTES`] hold and lie one behind the other, at least one.
fn group_length(samples: &[Sample]) -> usize {
    let mut bytes = 0;
    let mut end = samples.first().map_or(0, |first| first.offset);
    let fits = |sample: &&Sample| {
        let follows = sample.offset == end;
        bytes += u64::from(sample.size);
        end = sample.end();
        follows && bytes <= GROUP_BYTES
    };
    samples.iter().take_while(fits).count().max(1)
}

fn length(samples: &[Sample]) -> u32 {
    u32::try_from(samples.len()).unwrap_or(u32::MAX)
}

fn entry(map: &[Subsample], at: usize) -> String {
    map.get(at).map_or_else(
        || "nothing".to_owned(),
        |entry| {
            format!(
                "{} clear and {} protected bytes",
                entry.clear_bytes, entry.protected_bytes
            )
        },
    )
}

/// Compares when a sample is decoded and shown, how long it lasts, and whether decoding can start at it.
fn compare_times(
    (track, original, after): (&Track, &Sample, Option<&Sample>),
    (init, sample): (&InitSegment, &Sample),
    place: (u64, u64),
    findings: &mut FileFindings<'_>,
) {
    let (decoded, expected) = (decode_time(init, sample), decode_time_in(track, original));
    if decoded != expected {
        let what = format!("the decode time is {decoded}, expected {expected} as in the source");
        findings.add_in_sample(place.0, place.1, what);
    }
    findings.expect_in_sample(
        place,
        "the composition offset",
        &sample.composition_offset,
        &original.composition_offset,
    );
    findings.expect_in_sample(place, "being a sync sample", &sample.is_sync(), &original.is_sync());
    if sample.is_sync() == original.is_sync() {
        findings.expect_in_sample(place, "the word of its flags", &sample.flags, &original.flags);
    }
    // Where the source has a gap, the sample before it may last until the gap ends.
    let until_next = after.map(|after| after.decode_ticks.saturating_sub(original.decode_ticks));
    if sample.duration_ticks != original.duration_ticks && until_next != Some(u64::from(sample.duration_ticks)) {
        findings.expect_in_sample(
            place,
            "the duration in ticks",
            &sample.duration_ticks,
            &original.duration_ticks,
        );
    }
}

/// When a sample is decoded, counted as presentation times are: edit lists move both alike.
fn decode_time(init: &InitSegment, sample: &Sample) -> Time {
    shifted(sample, init.shift.ticks, init.timescale)
}

fn decode_time_in(track: &Track, sample: &Sample) -> Time {
    shifted(sample, track.shift.ticks, track.timescale)
}

fn shifted(sample: &Sample, shift_ticks: i64, timescale: crate::media::Timescale) -> Time {
    let ticks = i64::try_from(sample.decode_ticks).unwrap_or(i64::MAX);
    Time::new(ticks.saturating_add(shift_ticks), timescale)
}

/// Which of the source's samples is decoded when `sample` is; of several, the first of the same size.
///
/// Segments are found by their time, so that one that is missing or misplaced does not make all others differ.
fn find(track: &Track, init: &InitSegment, sample: &Sample) -> u32 {
    let time = decode_time(init, sample);
    let at = |index: u32| {
        track
            .samples
            .get(index)
            .map(|original| (decode_time_in(track, &original), original.size))
    };
    let (mut low, mut high) = (0, track.samples.len());
    while low < high {
        let middle = low + (high - low) / 2;
        if at(middle).is_some_and(|(decoded, _)| decoded < time) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    let same_time = (low..).map_while(|index| at(index).filter(|(decoded, _)| *decoded == time));
    let same_size = same_time.take_while(|(_, size)| *size != sample.size).count();
    match u32::try_from(same_size) {
        Ok(behind) if at(low.saturating_add(behind)).is_some_and(|(decoded, _)| decoded == time) => low + behind,
        _ => low,
    }
}

//! Reads a fragment's samples and protects them in place.

use std::mem;
use std::ops::Range;

use super::{Cbcs, TrackProtection};
use crate::codec::{CodecError, SampleScanner, Subsample, SubsampleMap};
use crate::isobmff::scan::ScanError;
use crate::isobmff::senc::{self, SampleEncryption};
use crate::media::{Sample, Time, Track};

/// A sample's auxiliary information is a 16-bit count and 6 bytes a subsample, and `saiz` states its size in
/// one byte (ISO/IEC 14496-12, 8.7.8): more than this many subsamples can't be signalled.
pub const MAX_SUBSAMPLES: usize = (u8::MAX as usize - 2) / senc::ENTRY_BYTES;

/// No sample of a real film is larger; it bounds the memory that hostile input can ask for.
pub const MAX_SAMPLE_BYTES: u32 = 256 << 20;

/// A sample that can't be protected.
#[derive(Debug, thiserror::Error)]
#[error("track {track_id}, sample {} at {time}, byte {offset}: {cause}", index + 1)]
pub struct ProtectError {
    /// The track's ID in its file.
    pub track_id: u32,
    /// Which sample in decode order; the first is 0.
    pub index: u32,
    /// When it is decoded.
    pub time: Time,
    /// Bytes from the source's start.
    pub offset: u64,
    /// Why.
    pub cause: ProtectCause,
}

/// Why a sample can't be protected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProtectCause {
    /// It breaks its codec's syntax.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// It can't be read.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// More subsamples than can be signalled.
    #[error(
        "needs {0} subsamples, and the file format can signal at most {MAX_SUBSAMPLES} in a sample; \
         encode with fewer slices a picture"
    )]
    TooManySubsamples(usize),
    /// Larger than [`MAX_SAMPLE_BYTES`].
    #[error("has {0} bytes; at most {MAX_SAMPLE_BYTES} are supported")]
    TooLarge(u32),
    /// There is no auxiliary information of an encrypted sample.
    #[error("its fragment does not say how it is encrypted")]
    NoMap,
    /// The subsample map is of another sample.
    #[error("its subsample map covers {covered} bytes, and it has {size}")]
    MapDoesNotCover {
        /// Bytes that the map speaks of.
        covered: u64,
        /// Bytes of the sample.
        size: usize,
    },
}

impl ProtectError {
    /// Sample `index` of `range` can't be protected, or opened.
    fn new(track: &Track, range: &Range<u32>, index: usize, sample: &Sample, cause: ProtectCause) -> Self {
        Self {
            track_id: track.id,
            index: range.start.saturating_add(u32::try_from(index).unwrap_or(u32::MAX)),
            time: Time::new(i64::try_from(sample.decode_ticks).unwrap_or(i64::MAX), track.timescale),
            offset: track.source.locate(sample.offset).1,
            cause,
        }
    }
}

/// A fragment's samples as they are written: protected, or clear where the track is not protected.
#[derive(Debug)]
pub struct ProtectedFragment<'w> {
    /// The samples, in decode order.
    pub samples: &'w [Sample],
    /// Their bytes, one behind the other.
    pub data: &'w [u8],
    /// How many subsamples each sample has; empty where whole samples are protected, or none.
    pub entry_counts: &'w [u16],
    /// The subsamples of all samples.
    pub subsamples: &'w [Subsample],
}

/// Reads and protects fragment after fragment, reusing its memory.
#[derive(Default)]
pub struct FragmentWorker {
    buffer: SampleBuffer,
    entry_counts: Vec<u16>,
    map: SubsampleMap,
}

impl FragmentWorker {
    /// Reads samples `range` of `track`, and protects them in place where `protection` is given.
    ///
    /// `scanner` has seen the samples before these, back to a sync sample; `None` protects whole samples.
    ///
    /// # Errors
    /// [`ProtectError`] at the first sample that can't be read or protected.
    pub fn protect(
        &mut self,
        track: &Track,
        range: Range<u32>,
        protection: Option<&TrackProtection>,
        mut scanner: Option<&mut (dyn SampleScanner + 'static)>,
    ) -> Result<ProtectedFragment<'_>, ProtectError> {
        self.entry_counts.clear();
        self.map.clear();
        let (samples, data) = self.buffer.read(track, range, |_, samples, data| {
            let Some(protection) = protection else { return Ok(()) };
            let Some(scanner) = &mut scanner else {
                protection.cipher.encrypt(split(samples, data));
                return Ok(());
            };
            let before = self.map.entries().len();
            for (index, sample) in split(samples, data).enumerate() {
                let failed = |cause| (index, cause);
                scanner
                    .scan(sample, &mut self.map)
                    .map_err(|error| failed(error.into()))?;
                let entries = self.map.end_sample().len();
                match u16::try_from(entries) {
                    Ok(count) if entries <= MAX_SUBSAMPLES => self.entry_counts.push(count),
                    _ => return Err(failed(ProtectCause::TooManySubsamples(entries))),
                }
            }
            let entries = self.map.entries().get(before..).unwrap_or_default();
            protection.cipher.encrypt(protected_ranges(data, entries));
            Ok(())
        })?;
        Ok(ProtectedFragment {
            samples,
            data,
            entry_counts: &self.entry_counts,
            subsamples: self.map.entries(),
        })
    }

    /// Reads samples `range` of `track`, and opens them in place where a `cipher` is given: undoes [`Self::protect`].
    ///
    /// `auxiliary` has one entry a sample; `None` says that whole samples are protected.
    ///
    /// # Errors
    /// [`ProtectError`] at the first sample that can't be read, or whose subsample map does not cover it.
    pub fn unprotect(
        &mut self,
        track: &Track,
        range: Range<u32>,
        cipher: Option<&Cbcs>,
        auxiliary: Option<&[SampleEncryption]>,
    ) -> Result<ProtectedFragment<'_>, ProtectError> {
        let (samples, data) = self.buffer.read(track, range, |first, samples, data| {
            let Some(cipher) = cipher else { return Ok(()) };
            for (index, sample) in split(samples, data).enumerate() {
                let failed = |cause| (index, cause);
                let subsamples = match auxiliary {
                    None => &[],
                    Some(auxiliary) => {
                        let entry = auxiliary.get(first + index).ok_or(failed(ProtectCause::NoMap))?;
                        entry.subsamples.as_slice()
                    }
                };
                if subsamples.is_empty() {
                    cipher.decrypt(sample);
                    continue;
                }
                let covered = subsamples
                    .iter()
                    .map(|entry| u64::from(entry.clear_bytes) + u64::from(entry.protected_bytes))
                    .sum();
                if covered != sample.len() as u64 {
                    let size = sample.len();
                    return Err(failed(ProtectCause::MapDoesNotCover { covered, size }));
                }
                protected_ranges(sample, subsamples).for_each(|range| cipher.decrypt(range));
            }
            Ok(())
        })?;
        Ok(ProtectedFragment {
            samples,
            data,
            entry_counts: &[],
            subsamples: &[],
        })
    }
}

/// Samples are read and worked on in batches of about this many bytes, which a core's own cache holds.
const BATCH_BYTES: usize = 256 << 10;

/// The samples of a fragment, and their bytes.
#[derive(Default)]
struct SampleBuffer {
    samples: Vec<Sample>,
    data: Vec<u8>,
}

impl SampleBuffer {
    /// Reads samples `range` of `track` and hands batch after batch to `work`: the index of its first sample, its
    /// samples, and their bytes. An error names its sample by the index in the batch.
    fn read(
        &mut self,
        track: &Track,
        range: Range<u32>,
        mut work: impl FnMut(usize, &[Sample], &mut [u8]) -> Result<(), (usize, ProtectCause)>,
    ) -> Result<(&[Sample], &[u8]), ProtectError> {
        let failed = |index, sample: &Sample, cause| ProtectError::new(track, &range, index, sample, cause);
        self.samples.clear();
        self.samples.extend(track.samples.range(range.clone()));
        let mut bytes = 0;
        for (index, sample) in self.samples.iter().enumerate() {
            if sample.size > MAX_SAMPLE_BYTES {
                return Err(failed(index, sample, ProtectCause::TooLarge(sample.size)));
            }
            bytes += sample.size as usize;
        }
        if self.data.len() < bytes {
            self.data.resize(bytes, 0);
        }
        let data = self.data.get_mut(..bytes).unwrap_or_default();

        let mut rest = &mut *data;
        let mut first = 0;
        while let Some(sample) = self.samples.get(first) {
            let batch = batch(self.samples.get(first..).unwrap_or_default());
            let bytes = batch.iter().map(|sample| sample.size as usize).sum();
            let (batch_data, later) = rest.split_at_mut(bytes);
            rest = later;
            track
                .read_samples(batch, batch_data)
                .map_err(|error| failed(first, sample, error.into()))?;
            work(first, batch, batch_data)
                .map_err(|(index, cause)| failed(first + index, batch.get(index).unwrap_or(sample), cause))?;
            first += batch.len();
        }
        Ok((&self.samples, data))
    }
}

/// The first samples that have [`BATCH_BYTES`] together, at least one.
fn batch(samples: &[Sample]) -> &[Sample] {
    let mut bytes = 0;
    let full = samples.iter().position(|sample| {
        bytes += sample.size as usize;
        bytes > BATCH_BYTES
    });
    samples
        .get(..full.map_or(samples.len(), |full| full.max(1)))
        .unwrap_or_default()
}

/// The bytes of each of `samples`, which lie one behind the other in `data`.
fn split<'d>(samples: &[Sample], data: &'d mut [u8]) -> impl Iterator<Item = &'d mut [u8]> {
    let mut rest = data;
    samples.iter().map(move |sample| {
        let (bytes, later) = mem::take(&mut rest).split_at_mut(sample.size as usize);
        rest = later;
        bytes
    })
}

/// The protected ranges of samples that lie one behind the other in `data`; what the map says beyond it is left out.
pub fn protected_ranges<'d>(data: &'d mut [u8], map: &[Subsample]) -> impl Iterator<Item = &'d mut [u8]> {
    let mut rest = data;
    map.iter().map(move |entry| {
        let data = mem::take(&mut rest);
        let clear = usize::from(entry.clear_bytes).min(data.len());
        let protected = (entry.protected_bytes as usize).min(data.len() - clear);
        let (range, later) = data.split_at_mut(clear).1.split_at_mut(protected);
        rest = later;
        range
    })
}

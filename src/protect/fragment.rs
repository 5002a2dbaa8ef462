//! Reads a fragment's samples and protects them in place.

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
        size: u32,
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
    data: Vec<u8>,
    samples: Vec<Sample>,
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
        let failed = |index, sample: &Sample, cause| ProtectError::new(track, &range, index, sample, cause);
        let bytes = self.read(track, &range)?;
        let data = self.data.get_mut(..bytes).unwrap_or_default();
        if let Some(protection) = protection {
            let mut rest = &mut *data;
            for (index, sample) in self.samples.iter().enumerate() {
                let (bytes, later) = rest.split_at_mut(sample.size as usize);
                rest = later;
                let Some(scanner) = &mut scanner else {
                    protection.cipher.encrypt(bytes);
                    continue;
                };
                scanner
                    .scan(bytes, &mut self.map)
                    .map_err(|error| failed(index, sample, error.into()))?;
                let entries = self.map.end_sample();
                match u16::try_from(entries.len()) {
                    Ok(count) if entries.len() <= MAX_SUBSAMPLES => self.entry_counts.push(count),
                    _ => return Err(failed(index, sample, ProtectCause::TooManySubsamples(entries.len()))),
                }
                for_each_protected(bytes, entries, |range| protection.cipher.encrypt(range));
            }
        }
        Ok(ProtectedFragment {
            samples: &self.samples,
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
        let failed = |index, sample: &Sample, cause| ProtectError::new(track, &range, index, sample, cause);
        let bytes = self.read(track, &range)?;
        let data = self.data.get_mut(..bytes).unwrap_or_default();
        if let Some(cipher) = cipher {
            let mut rest = &mut *data;
            for (index, sample) in self.samples.iter().enumerate() {
                let (bytes, later) = rest.split_at_mut(sample.size as usize);
                rest = later;
                let subsamples = match auxiliary {
                    None => &[],
                    Some(auxiliary) => match auxiliary.get(index) {
                        Some(entry) => entry.subsamples.as_slice(),
                        None => return Err(failed(index, sample, ProtectCause::NoMap)),
                    },
                };
                if subsamples.is_empty() {
                    cipher.decrypt(bytes);
                    continue;
                }
                let covered = subsamples
                    .iter()
                    .map(|entry| u64::from(entry.clear_bytes) + u64::from(entry.protected_bytes))
                    .sum();
                if covered != u64::from(sample.size) {
                    let size = sample.size;
                    return Err(failed(index, sample, ProtectCause::MapDoesNotCover { covered, size }));
                }
                for_each_protected(bytes, subsamples, |range| cipher.decrypt(range));
            }
        }
        Ok(ProtectedFragment {
            samples: &self.samples,
            data,
            entry_counts: &[],
            subsamples: &[],
        })
    }

    /// Reads samples `range` of `track` to the start of `self.data`, and returns how many bytes they have.
    fn read(&mut self, track: &Track, range: &Range<u32>) -> Result<usize, ProtectError> {
        self.samples.clear();
        self.samples.extend(track.samples.range(range.clone()));
        self.entry_counts.clear();
        self.map.clear();
        let mut bytes = 0;
        for (index, sample) in self.samples.iter().enumerate() {
            if sample.size > MAX_SAMPLE_BYTES {
                let cause = ProtectCause::TooLarge(sample.size);
                return Err(ProtectError::new(track, range, index, sample, cause));
            }
            bytes += sample.size as usize;
        }
        if self.data.len() < bytes {
            self.data.resize(bytes, 0);
        }
        let data = self.data.get_mut(..bytes).unwrap_or_default();
        if let Some(first) = self.samples.first() {
            track
                .read_samples(&self.samples, data)
                .map_err(|error| ProtectError::new(track, range, 0, first, error.into()))?;
        }
        Ok(bytes)
    }
}

/// Calls `work` for each protected range of a sample; what the map says beyond the sample is left out.
pub fn for_each_protected(sample: &mut [u8], subsamples: &[Subsample], mut work: impl FnMut(&mut [u8])) {
    let mut rest = sample;
    for entry in subsamples {
        let clear = usize::from(entry.clear_bytes).min(rest.len());
        let protected = (entry.protected_bytes as usize).min(rest.len() - clear);
        let (range, later) = rest.split_at_mut(clear).1.split_at_mut(protected);
        work(range);
        rest = later;
    }
}

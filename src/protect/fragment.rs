//! Reads a fragment's samples and protects them in place.

use std::mem;
use std::ops::Range;

use super::{BLOCK_BYTES, Cipher, Ivs, TrackProtection};
use crate::codec::{CodecError, SampleScanner, Subsample, SubsampleMap};
use crate::content_key::Iv;
use crate::isobmff::scan::ScanError;
use crate::isobmff::senc::{self, SampleEncryption};
use crate::media::{Sample, Time, Track};

/// A sample's auxiliary information is its IV, a 16-bit count and 6 bytes a subsample, and `saiz` states its size in
/// one byte (ISO/IEC 14496-12, 8.7.8): more than this many subsamples can't be signalled. 42 without an IV.
#[must_use]
pub const fn max_subsamples(iv_size: u8) -> usize {
    (u8::MAX.saturating_sub(iv_size) as usize - 2) / senc::ENTRY_BYTES
}

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
        "needs {needed} subsamples, and the file format can signal at most {most} in a sample; \
         encode with fewer slices a picture"
    )]
    TooManySubsamples {
        /// How many it needs.
        needed: usize,
        /// How many fit beside its IV.
        most: usize,
    },
    /// Larger than [`MAX_SAMPLE_BYTES`].
    #[error("has {0} bytes; at most {MAX_SAMPLE_BYTES} are supported")]
    TooLarge(u32),
    /// There is no auxiliary information of an encrypted sample, or no IV in it.
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
            index: range.start.saturating_add(to_u32(index)),
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
    /// The IVs of all samples; `None` where they are constant, or nothing is protected.
    pub ivs: Option<FragmentIvs>,
}

/// The IVs of a fragment's samples.
#[derive(Debug, Clone, Copy)]
pub struct FragmentIvs {
    /// Those of the track.
    pub ivs: Ivs,
    /// The number of the first sample in its track.
    pub first_sample: u32,
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
        self.map
            .align(protection.is_some_and(|protection| protection.scheme.has_whole_blocks()));
        let first_sample = range.start;
        let (samples, data) = self.buffer.read(track, range, |first, samples, data| {
            let Some(protection) = protection else { return Ok(()) };
            let ivs = (first_sample.saturating_add(to_u32(first))..).map(|sample| protection.ivs.of(sample));
            let Some(scanner) = &mut scanner else {
                let whole = split(samples, data).map(std::iter::once);
                protection.cipher.encrypt(ivs.zip(whole));
                return Ok(());
            };
            let before = self.map.entries().len();
            let counted_before = self.entry_counts.len();
            let most = max_subsamples(protection.ivs.size());
            for (index, sample) in split(samples, data).enumerate() {
                let failed = |cause| (index, cause);
                scanner
                    .scan(sample, &mut self.map)
                    .map_err(|error| failed(error.into()))?;
                let entries = self.map.end_sample().len();
                match u16::try_from(entries) {
                    Ok(count) if entries <= most => self.entry_counts.push(count),
                    _ => return Err(failed(ProtectCause::TooManySubsamples { needed: entries, most })),
                }
            }
            let mut entries = self.map.entries().get(before..).unwrap_or_default();
            let counts = self.entry_counts.get(counted_before..).unwrap_or_default();
            let ranges = split(samples, data).zip(counts).map(|(sample, count)| {
                let (map, later) = entries.split_at_checked(usize::from(*count)).unwrap_or_default();
                entries = later;
                protected_ranges(sample, map)
            });
            protection.cipher.encrypt(ivs.zip(ranges));
            Ok(())
        })?;
        let ivs = protection.map(|protection| protection.ivs).filter(|ivs| ivs.size() > 0);
        Ok(ProtectedFragment {
            samples,
            data,
            entry_counts: &self.entry_counts,
            subsamples: self.map.entries(),
            ivs: ivs.map(|ivs| FragmentIvs { ivs, first_sample }),
        })
    }

    /// Reads samples `range` of `track`, and opens them in place where a `cipher` is given: undoes [`Self::protect`].
    ///
    /// `auxiliary` has one entry a sample; `None` says that whole samples are protected, under a constant IV.
    ///
    /// # Errors
    /// [`ProtectError`] at the first sample that can't be read, or whose subsample map does not cover it.
    pub fn unprotect(
        &mut self,
        track: &Track,
        range: Range<u32>,
        cipher: Option<&Cipher>,
        auxiliary: Option<&[SampleEncryption]>,
    ) -> Result<ProtectedFragment<'_>, ProtectError> {
        let (samples, data) = self.buffer.read(track, range, |first, samples, data| {
            let Some(cipher) = cipher else { return Ok(()) };
            for (index, sample) in split(samples, data).enumerate() {
                let failed = |cause| (index, cause);
                let entry = match auxiliary {
                    None => None,
                    Some(auxiliary) => Some(auxiliary.get(first + index).ok_or(failed(ProtectCause::NoMap))?),
                };
                decrypt_sample(sample, entry, cipher).map_err(failed)?;
            }
            Ok(())
        })?;
        Ok(ProtectedFragment {
            samples,
            data,
            entry_counts: &[],
            subsamples: &[],
            ivs: None,
        })
    }
}

/// Decrypts a sample in place by its auxiliary information, which is not there where whole samples are protected under a
/// constant IV (ISO/IEC 23001-7, 7.2).
///
/// # Errors
/// [`ProtectCause::NoMap`] where the cipher needs an IV that is not there, [`ProtectCause::MapDoesNotCover`] where the
/// subsample map is of another sample.
pub fn decrypt_sample(
    sample: &mut [u8],
    auxiliary: Option<&SampleEncryption>,
    cipher: &Cipher,
) -> Result<(), ProtectCause> {
    let (iv, map) = auxiliary.map_or((&[][..], &[][..]), |entry| (&*entry.iv, &*entry.subsamples));
    // An IV of 8 bytes is followed by a block counter that starts at zero (ISO/IEC 23001-7, 9.3).
    let mut block = [0; BLOCK_BYTES];
    match block.get_mut(..iv.len()) {
        Some(start) if matches!(iv.len(), 8 | BLOCK_BYTES) || matches!(cipher, Cipher::Cbcs(_)) => {
            start.copy_from_slice(iv);
        }
        _ => return Err(ProtectCause::NoMap),
    }
    if map.is_empty() {
        cipher.decrypt(Iv(block), std::iter::once(sample));
        return Ok(());
    }
    let covered = map
        .iter()
        .map(|entry| u64::from(entry.clear_bytes) + u64::from(entry.protected_bytes))
        .sum();
    if covered != sample.len() as u64 {
        let size = sample.len();
        return Err(ProtectCause::MapDoesNotCover { covered, size });
    }
    cipher.decrypt(Iv(block), protected_ranges(sample, map));
    Ok(())
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

fn to_u32(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// The protected ranges of a sample; what the map says beyond it is left out.
fn protected_ranges<'d>(data: &'d mut [u8], map: &[Subsample]) -> impl Iterator<Item = &'d mut [u8]> {
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

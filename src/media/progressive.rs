//! Samples of a progressive file: the tables of `stbl` (ISO/IEC 14496-12, 8.5 to 8.7).

use super::sample_table::{MAX_SAMPLES, Overflow};
use super::{Cause, Sample, SampleTable, Source};
use crate::isobmff::co64::LargeChunkOffsets;
use crate::isobmff::ctts::CompositionOffsets;
use crate::isobmff::sdtp::SampleDependencies;
use crate::isobmff::stco::ChunkOffsets;
use crate::isobmff::stsc::{self, SampleToChunk};
use crate::isobmff::stss::SyncSamples;
use crate::isobmff::stsz::SampleSizes;
use crate::isobmff::stts::TimeToSample;
use crate::isobmff::stz2::CompactSampleSizes;
use crate::isobmff::{Node, Problem, sample_flags};

/// Reads the samples that `stbl` lists; none in a file that is fragmented throughout.
///
/// # Errors
/// [`Cause`] where the tables contradict each other, or a sample lies outside the file.
pub fn read(stbl: &Node<'_>, source: &Source) -> Result<SampleTable, Cause> {
    let mut table = SampleTable::default();
    let sizes = Sizes::read(stbl)?;
    if sizes.len() == 0 {
        return Ok(table);
    }
    if sizes.len() > MAX_SAMPLES {
        return Err(stbl.invalid(Overflow::Samples.to_string()).into());
    }
    if sizes.total() > source.bytes() {
        let what = format!(
            "samples of {} bytes in a file of {}; it is truncated or damaged",
            sizes.total(),
            source.bytes()
        );
        return Err(stbl.invalid(what).into());
    }
    let mut durations = durations(stbl, sizes.len())?;
    let mut composition_offsets = composition_offsets(stbl, sizes.len())?;
    let mut flags = flags(stbl)?;
    let mut decode_ticks = 0_u64;
    let mut index = 0;
    for chunk in chunks(stbl, sizes.len())? {
        let mut offset = chunk.offset;
        for _ in 0..chunk.samples {
            let sample = Sample {
                offset,
                size: sizes.get(index),
                decode_ticks,
                duration_ticks: durations.next(),
                composition_offset: composition_offsets.next(),
                flags: flags.next(),
            };
            if sample.end() > source.bytes() {
                let what = format!(
                    "sample {} needs bytes {} to {} of a file of {}; it is truncated or damaged",
                    index + 1,
                    sample.offset,
                    sample.end(),
                    source.bytes()
                );
                return Err(stbl.invalid(what).into());
            }
            table
                .push(sample)
                .map_err(|overflow| stbl.invalid(overflow.to_string()))?;
            offset = sample.end();
            decode_ticks = decode_ticks.saturating_add(u64::from(sample.duration_ticks));
            index += 1;
        }
    }
    Ok(table)
}

/// `stsz` or `stz2`.
enum Sizes {
    Plain(SampleSizes),
    Compact(Vec<u16>),
}

impl Sizes {
    fn read(stbl: &Node<'_>) -> Result<Self, Cause> {
        if let Some(CompactSampleSizes { sizes, .. }) = stbl.find()? {
            return Ok(Self::Compact(sizes));
        }
        Ok(Self::Plain(stbl.require(&[b"stsz"])?.parse()?))
    }

    #[expect(clippy::cast_possible_truncation, reason = "both are counted in 32 bits")]
    fn len(&self) -> u32 {
        match self {
            Self::Plain(SampleSizes::Constant { count, .. }) => *count,
            Self::Plain(SampleSizes::Each(sizes)) => sizes.len() as u32,
            Self::Compact(sizes) => sizes.len() as u32,
        }
    }

    fn get(&self, index: u32) -> u32 {
        match self {
            Self::Plain(SampleSizes::Constant { size, .. }) => *size,
            Self::Plain(SampleSizes::Each(sizes)) => sizes.get(index as usize).copied().unwrap_or(0),
            Self::Compact(sizes) => sizes.get(index as usize).copied().map_or(0, u32::from),
        }
    }

    fn total(&self) -> u64 {
        match self {
            Self::Plain(SampleSizes::Constant { size, count }) => u64::from(*size) * u64::from(*count),
            Self::Plain(SampleSizes::Each(sizes)) => sizes.iter().map(|size| u64::from(*size)).sum(),
            Self::Compact(sizes) => sizes.iter().map(|size| u64::from(*size)).sum(),
        }
    }
}

/// A table of runs, read value by value.
struct Expanded<T> {
    runs: std::vec::IntoIter<(u32, T)>,
    current: (u32, T),
}

impl<T: Copy + Default> Expanded<T> {
    fn new(runs: Vec<(u32, T)>) -> Self {
        Self {
            runs: runs.into_iter(),
            current: (0, T::default()),
        }
    }

    /// The next value; the default behind the last run.
    fn next(&mut self) -> T {
        while self.current.0 == 0 {
            match self.runs.next() {
                Some(run) => self.current = run,
                None => return T::default(),
            }
        }
        self.current.0 -= 1;
        self.current.1
    }
}

fn durations(stbl: &Node<'_>, samples: u32) -> Result<Expanded<u32>, Cause> {
    let stts = stbl.require(&[b"stts"])?;
    let entries = stts.parse::<TimeToSample>()?.entries;
    check_count(stts, samples, entries.iter().map(|entry| entry.sample_count))?;
    Ok(Expanded::new(
        entries
            .iter()
            .map(|entry| (entry.sample_count, entry.duration_ticks))
            .collect(),
    ))
}

fn composition_offsets(stbl: &Node<'_>, samples: u32) -> Result<Expanded<i32>, Cause> {
    let Some(ctts) = stbl.child(b"ctts") else {
        return Ok(Expanded::new(Vec::new()));
    };
    let entries = ctts.parse::<CompositionOffsets>()?.entries;
    check_count(ctts, samples, entries.iter().map(|entry| entry.sample_count))?;
    Ok(Expanded::new(
        entries
            .iter()
            .map(|entry| (entry.sample_count, entry.offset_ticks))
            .collect(),
    ))
}

fn check_count(table: &Node<'_>, samples: u32, counts: impl Iterator<Item = u32>) -> Result<(), Cause> {
    let count = counts.map(u64::from).sum::<u64>();
    if count == u64::from(samples) {
        return Ok(());
    }
    Err(table
        .invalid(format!("speaks of {count} samples where there are {samples}"))
        .into())
}

/// Sample flags, from `stss` and `sdtp`.
struct Flags {
    /// Sync sample numbers in rising order; `None` where all samples are.
    sync: Option<std::iter::Peekable<std::vec::IntoIter<u32>>>,
    dependencies: std::vec::IntoIter<u8>,
    number: u32,
}

fn flags(stbl: &Node<'_>) -> Result<Flags, Cause> {
    let sync = match stbl.child(b"stss") {
        None => None,
        Some(stss) => {
            let numbers = stss.parse::<SyncSamples>()?.sample_numbers;
            if !numbers.is_sorted_by(|a, b| a < b) {
                return Err(stss.invalid("sample numbers do not rise").into());
            }
            Some(numbers.into_iter().peekable())
        }
    };
    let dependencies = stbl
        .find::<SampleDependencies>()?
        .map_or_else(Vec::new, |sdtp| sdtp.entries);
    Ok(Flags {
        sync,
        dependencies: dependencies.into_iter(),
        number: 0,
    })
}

impl Flags {
    fn next(&mut self) -> u32 {
        self.number += 1;
        let number = self.number;
        let is_sync = self.sync.as_mut().is_none_or(|sync| sync.next_if_eq(&number).is_some());
        match (self.dependencies.next(), is_sync) {
            (Some(dependencies), true) => u32::from(dependencies) << 20,
            (Some(dependencies), false) => u32::from(dependencies) << 20 | sample_flags::IS_NON_SYNC,
            (None, true) => sample_flags::SYNC,
            (None, false) => sample_flags::NON_SYNC,
        }
    }
}

/// A chunk: samples that lie behind each other.
struct Chunk {
    offset: u64,
    samples: u32,
}

/// Lays `samples` samples into the chunks of `stsc` and `stco` or `co64`.
fn chunks(stbl: &Node<'_>, samples: u32) -> Result<Vec<Chunk>, Cause> {
    let offsets = match stbl.find::<LargeChunkOffsets>()? {
        Some(LargeChunkOffsets { offsets }) => offsets,
        None => stbl
            .require(&[b"stco"])?
            .parse::<ChunkOffsets>()?
            .offsets
            .into_iter()
            .map(u64::from)
            .collect(),
    };
    let stsc = stbl.require(&[b"stsc"])?;
    let runs = stsc.parse::<SampleToChunk>()?.entries;
    if !runs.is_sorted_by(|a, b| a.first_chunk < b.first_chunk) {
        return Err(stsc.invalid("chunk numbers do not rise").into());
    }
    let mut chunks = Vec::with_capacity(offsets.len());
    let mut left = samples;
    let mut run: Option<stsc::Entry> = None;
    let mut later = runs.iter().peekable();
    for (number, offset) in (1_u32..).zip(offsets) {
        if let Some(next) = later.next_if(|next| next.first_chunk == number) {
            run = Some(*next);
        }
        let Some(run) = run else {
            return Err(stsc
                .invalid(format!("does not say how many samples chunk {number} has"))
                .into());
        };
        left = left.checked_sub(run.samples_per_chunk).ok_or_else(|| {
            stsc.invalid(format!(
                "chunk {number} has {} samples, and {left} are left",
                run.samples_per_chunk
            ))
        })?;
        chunks.push(Chunk {
            offset,
            samples: run.samples_per_chunk,
        });
    }
    if left > 0 {
        return Err(stsc
            .error(
                0,
                Problem::Invalid(format!("{left} of {samples} samples are in no chunk").into()),
            )
            .into());
    }
    Ok(chunks)
}

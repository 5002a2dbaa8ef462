//! A track's samples in a few bytes each, whatever form the file stores them in.

use std::ops::Range;

use crate::isobmff::sample_flags;

/// One sample: where its bytes are, and when they are decoded and shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Bytes from the source's start.
    pub offset: u64,
    /// Bytes.
    pub size: u32,
    /// Decode time in ticks of the track's timescale.
    pub decode_ticks: u64,
    /// In ticks of the track's timescale.
    pub duration_ticks: u32,
    /// Composition time minus decode time, in ticks of the track's timescale.
    pub composition_offset: i32,
    /// See [`sample_flags`].
    pub flags: u32,
}

impl Sample {
    /// Composition time in ticks of the track's timescale.
    #[must_use]
    #[expect(
        clippy::cast_possible_wrap,
        reason = "decode times are checked to stay below 2^62 when they are added"
    )]
    pub const fn composition_ticks(&self) -> i64 {
        self.decode_ticks as i64 + self.composition_offset as i64
    }

    /// Whether decoding can start here.
    #[must_use]
    pub const fn is_sync(&self) -> bool {
        sample_flags::is_sync(self.flags)
    }

    /// Bytes from the source's start to the sample's end.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.offset.saturating_add(self.size as u64)
    }
}

/// The bytes of each of `samples`, which lie one behind the other in `data`.
pub fn split<'d>(samples: &[Sample], data: &'d [u8]) -> impl Iterator<Item = &'d [u8]> {
    let mut rest = data;
    samples.iter().map(move |sample| {
        let (bytes, later) = rest.split_at_checked(sample.size as usize).unwrap_or_default();
        rest = later;
        bytes
    })
}

/// Samples that lie behind each other in the file are found by adding up at most this many sizes.
const MAX_PLACEMENT_RUN: u32 = 1024;

/// Decode times stay below this, so that sums with offsets and durations can't overflow.
pub const MAX_DECODE_TICKS: u64 = 1 << 62;

/// A track has at most this many samples, two weeks at 48 a second: 256 MiB for their sizes.
pub const MAX_SAMPLES: u32 = 1 << 26;

/// A run of samples that share a value, from sample `first` to the next run's.
#[derive(Debug, Clone, Copy)]
struct Run<T> {
    first: u32,
    value: T,
}

/// The samples of a track, in decode order.
///
/// Four bytes a sample for its size; everything else is stored once a run, because it repeats: a film of ten
/// hours takes a few megabytes.
#[derive(Debug, Clone, Default)]
pub struct SampleTable {
    sizes: Vec<u32>,
    /// Where a run of samples starts that lie behind each other.
    offsets: Vec<Run<u64>>,
    /// Decode time of a run's first sample, and how long each of its samples lasts.
    timing: Vec<Run<(u64, u32)>>,
    composition_offsets: Vec<Run<i32>>,
    flags: Vec<Run<u32>>,
    bytes: u64,
    next_offset: u64,
    next_decode_ticks: u64,
}

/// Why a sample can't be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Overflow {
    /// More than [`MAX_SAMPLES`].
    #[error("a track with more than {MAX_SAMPLES} samples; split it into several files")]
    Samples,
    /// Decode times beyond [`MAX_DECODE_TICKS`].
    #[error("a decode time beyond 2^62 ticks")]
    Time,
}

impl SampleTable {
    /// Appends a sample.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn push(&mut self, sample: Sample) -> Result<(), Overflow> {
        let index = self.len();
        if index >= MAX_SAMPLES {
            return Err(Overflow::Samples);
        }
        if sample.decode_ticks >= MAX_DECODE_TICKS {
            return Err(Overflow::Time);
        }
        let offsets_run = self.offsets.last().map(|run| index - run.first);
        if sample.offset != self.next_offset || offsets_run.is_none_or(|length| length >= MAX_PLACEMENT_RUN) {
            self.offsets.push(Run {
                first: index,
                value: sample.offset,
            });
        }
        let same_pace = self
            .timing
            .last()
            .is_some_and(|run| run.value.1 == sample.duration_ticks);
        if !same_pace || sample.decode_ticks != self.next_decode_ticks {
            self.timing.push(Run {
                first: index,
                value: (sample.decode_ticks, sample.duration_ticks),
            });
        }
        push_run(&mut self.composition_offsets, index, sample.composition_offset);
        push_run(&mut self.flags, index, sample.flags);
        self.sizes.push(sample.size);
        self.bytes += u64::from(sample.size);
        self.next_offset = sample.end();
        self.next_decode_ticks = sample.decode_ticks + u64::from(sample.duration_ticks);
        Ok(())
    }

    /// How many samples there are.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "push() keeps it below MAX_SAMPLES")]
    pub fn len(&self) -> u32 {
        self.sizes.len() as u32
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sizes.is_empty()
    }

    /// Bytes of all samples together.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Where the last sample ends in decode time, in ticks.
    #[must_use]
    pub const fn end_ticks(&self) -> u64 {
        self.next_decode_ticks
    }

    /// Decode time of the last sample, in ticks; `None` where there is none.
    #[must_use]
    pub fn last_decode_ticks(&self) -> Option<u64> {
        let (_, duration_ticks) = self.timing.last()?.value;
        Some(self.next_decode_ticks - u64::from(duration_ticks))
    }

    /// All samples.
    #[must_use]
    pub fn all(&self) -> Samples<'_> {
        self.range(0..self.len())
    }

    /// Samples `range`, in decode order; what lies behind the last sample is left out.
    #[must_use]
    pub fn range(&self, range: Range<u32>) -> Samples<'_> {
        let start = range.start.min(self.len());
        let end = range.end.clamp(start, self.len());
        let offsets = Runs::seek(&self.offsets, start);
        let skipped = self
            .sizes
            .get(offsets.first() as usize..start as usize)
            .unwrap_or_default();
        let offset = offsets.value() + skipped.iter().map(|size| u64::from(*size)).sum::<u64>();
        Samples {
            next: start,
            end,
            offset,
            sizes: self.sizes.get(start as usize..end as usize).unwrap_or_default().iter(),
            offsets,
            timing: Runs::seek(&self.timing, start),
            composition_offsets: Runs::seek(&self.composition_offsets, start),
            flags: Runs::seek(&self.flags, start),
        }
    }

    /// One sample.
    #[must_use]
    pub fn get(&self, index: u32) -> Option<Sample> {
        self.range(index..index.saturating_add(1)).next()
    }
}

fn push_run<T: PartialEq>(runs: &mut Vec<Run<T>>, first: u32, value: T) {
    if runs.last().is_none_or(|run| run.value != value) {
        runs.push(Run { first, value });
    }
}

/// A place in a list of runs.
#[derive(Debug, Clone)]
struct Runs<'a, T> {
    current: Option<&'a Run<T>>,
    later: &'a [Run<T>],
}

impl<'a, T: Copy + Default> Runs<'a, T> {
    fn seek(runs: &'a [Run<T>], index: u32) -> Self {
        let next = runs.partition_point(|run| run.first <= index);
        let (before, later) = runs.split_at(next);
        Self {
            current: before.last(),
            later,
        }
    }

    /// Moves to the run that `index` is in; true where that is a new one.
    fn advance(&mut self, index: u32) -> bool {
        match self.later.split_first() {
            Some((run, later)) if run.first <= index => {
                self.current = Some(run);
                self.later = later;
                true
            }
            _ => false,
        }
    }

    fn first(&self) -> u32 {
        self.current.map_or(0, |run| run.first)
    }

    fn value(&self) -> T {
        self.current.map_or(T::default(), |run| run.value)
    }
}

/// Iterates over samples; see [`SampleTable::range`].
#[derive(Debug, Clone)]
pub struct Samples<'a> {
    next: u32,
    end: u32,
    offset: u64,
    sizes: std::slice::Iter<'a, u32>,
    offsets: Runs<'a, u64>,
    timing: Runs<'a, (u64, u32)>,
    composition_offsets: Runs<'a, i32>,
    flags: Runs<'a, u32>,
}

impl Iterator for Samples<'_> {
    type Item = Sample;

    fn next(&mut self) -> Option<Sample> {
        let size = *self.sizes.next()?;
        let index = self.next;
        self.next += 1;
        if self.offsets.advance(index) {
            self.offset = self.offsets.value();
        }
        self.timing.advance(index);
        self.composition_offsets.advance(index);
        self.flags.advance(index);
        let (run_start, duration_ticks) = self.timing.value();
        let in_run = u64::from(index - self.timing.first());
        let sample = Sample {
            offset: self.offset,
            size,
            decode_ticks: run_start + in_run * u64::from(duration_ticks),
            duration_ticks,
            composition_offset: self.composition_offsets.value(),
            flags: self.flags.value(),
        };
        self.offset = sample.end();
        Some(sample)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.end - self.next) as usize;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Samples<'_> {}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    prop_compose! {
        fn samples()(steps in prop::collection::vec((0_u64..3, 0_u32..2000, 0_u64..2, 1_u32..3, -2_i32..3, 0_u32..2), 0..3000))
            -> Vec<Sample> {
            let (mut offset, mut time) = (0, 0);
            steps.into_iter().map(|(gap, size, pause, duration, composition_offset, flags)| {
                offset += gap;
                time += pause;
                let sample = Sample { offset, size, decode_ticks: time, duration_ticks: duration, composition_offset, flags };
                offset += u64::from(size);
                time += u64::from(duration);
                sample
            }).collect()
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn gives_back_what_was_pushed_from_any_place_on(samples in samples(), start in 0_u32..3000) {
            let mut table = SampleTable::default();
            for sample in &samples {
                table.push(*sample).unwrap();
            }
            prop_assert_eq!(table.all().collect::<Vec<_>>(), samples.clone());
            let expected: Vec<_> = samples.iter().skip(start as usize).take(7).copied().collect();
            prop_assert_eq!(table.range(start..start + 7).collect::<Vec<_>>(), expected);
            prop_assert_eq!(table.bytes(), samples.iter().map(|sample| u64::from(sample.size)).sum::<u64>());
        }
    }
}

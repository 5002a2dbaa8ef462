//! `trun`: a contiguous run of samples (ISO/IEC 14496-12, 8.8.8).

use super::writer::{Put, full_box};
use super::{Fault, FourCc, Problem, Reader, TypedBox, describe};

/// A run holds at most this many samples where its entries take no bytes; larger counts are hostile.
pub const MAX_SAMPLES_WITHOUT_FIELDS: u32 = 1 << 20;

/// The track fragment run; a field that is `None` takes the default of `tfhd` or `trex`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrackRun {
    /// 1 says that composition offsets are signed; they are read as signed anyway, as writers
    /// store negative ones in version 0 too.
    pub version: u8,
    /// Which fields the samples have, as the flag bits of the box.
    pub fields: Fields,
    /// Where the run's data starts, counted from the track fragment's base; `None` continues the run before.
    pub data_offset: Option<i32>,
    /// Flags of the first sample, instead of the default.
    pub first_sample_flags: Option<u32>,
    /// In decode order.
    pub samples: RunSamples,
}

impl TrackRun {
    /// Bytes of all its samples, of which those without a size of their own have `default_size`.
    ///
    /// It can't overflow: there are less than 2^32 of less than 2^32 bytes.
    #[must_use]
    pub fn data_bytes(&self, default_size: u32) -> u64 {
        if self.fields.has(Fields::SIZE) {
            self.samples.iter().map(|sample| u64::from(sample.size)).sum()
        } else {
            u64::from(default_size) * self.samples.len() as u64
        }
    }

    /// Whether it speaks of samples, more than one, that take no bytes of the file: neither fields nor data.
    #[must_use]
    pub fn is_unbacked(&self, default_size: u32) -> bool {
        self.fields.bytes() == 0 && default_size == 0 && self.samples.len() > 1
    }
}

/// The samples of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunSamples {
    /// So many, of which the run stores nothing: it takes a few bytes whatever their number, here too.
    Bare(u32),
    /// Those with fields.
    Each(Vec<RunSample>),
}

impl Default for RunSamples {
    fn default() -> Self {
        Self::Bare(0)
    }
}

impl RunSamples {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Bare(count) => *count as usize,
            Self::Each(samples) => samples.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// In decode order.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = RunSample> {
        (0..self.len()).map(|index| match self {
            Self::Bare(_) => RunSample::default(),
            Self::Each(samples) => samples.get(index).copied().unwrap_or_default(),
        })
    }
}

/// One sample of a run; a field that the run does not have is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RunSample {
    /// In ticks of the track's timescale.
    pub duration: u32,
    /// In bytes.
    pub size: u32,
    /// See [`super::sample_flags`].
    pub flags: u32,
    /// Composition time minus decode time, in ticks of the track's timescale.
    pub composition_offset: i32,
}

/// Which fields each sample of a run has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fields(u32);

const DATA_OFFSET: u32 = 0x001;
const FIRST_SAMPLE_FLAGS: u32 = 0x004;

impl Fields {
    /// `sample-duration-present`.
    pub const DURATION: Self = Self(0x100);
    /// `sample-size-present`.
    pub const SIZE: Self = Self(0x200);
    /// `sample-flags-present`.
    pub const FLAGS: Self = Self(0x400);
    /// `sample-composition-time-offsets-present`.
    pub const COMPOSITION_OFFSET: Self = Self(0x800);

    /// Whether all of `fields` are there.
    #[must_use]
    pub const fn has(self, fields: Self) -> bool {
        self.0 & fields.0 == fields.0
    }

    /// These fields and `fields`, where `condition` holds.
    #[must_use]
    pub const fn with(self, fields: Self, condition: bool) -> Self {
        if condition { Self(self.0 | fields.0) } else { self }
    }

    /// Bytes that a sample takes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        self.0.count_ones() as usize * 4
    }
}

/// What `inspect` shows: of each sample, only the fields that the run stores.
impl serde::Serialize for TrackRun {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(serde::Serialize)]
        struct Sample {
            #[serde(skip_serializing_if = "Option::is_none")]
            duration: Option<u32>,
            #[serde(skip_serializing_if = "Option::is_none")]
            size: Option<u32>,
            #[serde(skip_serializing_if = "Option::is_none", serialize_with = "describe::optional_bits")]
            flags: Option<u32>,
            #[serde(skip_serializing_if = "Option::is_none")]
            composition_offset: Option<i32>,
        }
        #[derive(serde::Serialize)]
        struct Description {
            version: u8,
            #[serde(skip_serializing_if = "Option::is_none")]
            data_offset: Option<i32>,
            #[serde(skip_serializing_if = "Option::is_none", serialize_with = "describe::optional_bits")]
            first_sample_flags: Option<u32>,
            samples: describe::Table<Sample>,
        }
        let has = |field| self.fields.has(field);
        let samples = self.samples.iter().map(|sample| Sample {
            duration: has(Fields::DURATION).then_some(sample.duration),
            size: has(Fields::SIZE).then_some(sample.size),
            flags: has(Fields::FLAGS).then_some(sample.flags),
            composition_offset: has(Fields::COMPOSITION_OFFSET).then_some(sample.composition_offset),
        });
        let description = Description {
            version: self.version,
            data_offset: self.data_offset,
            first_sample_flags: self.first_sample_flags,
            samples: describe::Table::new(samples),
        };
        description.serialize(serializer)
    }
}

impl TypedBox for TrackRun {
    const TYPE: FourCc = FourCc::new(b"trun");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        let (version, flags) = payload.full_box(1)?;
        let fields = Fields(flags & 0xf00);
        let mut count_reader = payload.clone();
        let count = payload.u32()?;
        let data_offset = (flags & DATA_OFFSET != 0).then(|| payload.i32()).transpose()?;
        let first_sample_flags = (flags & FIRST_SAMPLE_FLAGS != 0).then(|| payload.u32()).transpose()?;
        if fields.bytes() == 0 && count > MAX_SAMPLES_WITHOUT_FIELDS {
            let limit = u64::from(MAX_SAMPLES_WITHOUT_FIELDS);
            return Err(payload.fault(Problem::TooMany {
                what: "samples in a run that stores nothing of them",
                limit,
            }));
        }
        count_reader.count(fields.bytes())?;
        let sample = |payload: &mut Reader<'_>| {
            Ok(RunSample {
                duration: if fields.has(Fields::DURATION) {
                    payload.u32()?
                } else {
                    0
                },
                size: if fields.has(Fields::SIZE) { payload.u32()? } else { 0 },
                flags: if fields.has(Fields::FLAGS) { payload.u32()? } else { 0 },
                composition_offset: if fields.has(Fields::COMPOSITION_OFFSET) {
                    payload.i32()?
                } else {
                    0
                },
            })
        };
        let samples = match fields.bytes() {
            0 => RunSamples::Bare(count),
            _ => RunSamples::Each((0..count).map(|_| sample(payload)).collect::<Result<_, _>>()?),
        };
        Ok(Self {
            version,
            fields,
            data_offset,
            first_sample_flags,
            samples,
        })
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "a fragment's samples are counted in 32 bits"
    )]
    fn write_payload(&self, out: &mut Vec<u8>) {
        let data_offset_flag = if self.data_offset.is_some() { DATA_OFFSET } else { 0 };
        let first_flags_flag = if self.first_sample_flags.is_some() {
            FIRST_SAMPLE_FLAGS
        } else {
            0
        };
        full_box(out, self.version, self.fields.0 | data_offset_flag | first_flags_flag);
        out.put_u32(self.samples.len() as u32);
        if let Some(offset) = self.data_offset {
            out.put_i32(offset);
        }
        if let Some(flags) = self.first_sample_flags {
            out.put_u32(flags);
        }
        let RunSamples::Each(samples) = &self.samples else {
            return;
        };
        for sample in samples {
            if self.fields.has(Fields::DURATION) {
                out.put_u32(sample.duration);
            }
            if self.fields.has(Fields::SIZE) {
                out.put_u32(sample.size);
            }
            if self.fields.has(Fields::FLAGS) {
                out.put_u32(sample.flags);
            }
            if self.fields.has(Fields::COMPOSITION_OFFSET) {
                out.put_i32(sample.composition_offset);
            }
        }
    }
}

//! `tfhd`: which track a track fragment belongs to, and its defaults (ISO/IEC 14496-12, 8.8.7).

use super::writer::{Put, full_box};
use super::{Fault, FourCc, Reader, TypedBox, describe};

/// The track fragment header; a field that is `None` takes the value of `trex`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct TrackFragmentHeader {
    /// Of which track.
    pub track_id: u32,
    /// Where data offsets count from, in bytes from the file's start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_data_offset: Option<u64>,
    /// The first sample entry is 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_description_index: Option<u32>,
    /// In ticks of the track's timescale.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_sample_duration: Option<u32>,
    /// In bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_sample_size: Option<u32>,
    /// See [`super::sample_flags`].
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "describe::optional_bits")]
    pub default_sample_flags: Option<u32>,
    /// There are no samples.
    pub duration_is_empty: bool,
    /// Data offsets count from the first byte of the `moof`.
    pub default_base_is_moof: bool,
}

const BASE_DATA_OFFSET: u32 = 0x01;
const SAMPLE_DESCRIPTION_INDEX: u32 = 0x02;
const DEFAULT_SAMPLE_DURATION: u32 = 0x08;
const DEFAULT_SAMPLE_SIZE: u32 = 0x10;
const DEFAULT_SAMPLE_FLAGS: u32 = 0x20;
const DURATION_IS_EMPTY: u32 = 0x01_0000;
const DEFAULT_BASE_IS_MOOF: u32 = 0x02_0000;

impl TypedBox for TrackFragmentHeader {
    const TYPE: FourCc = FourCc::new(b"tfhd");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        let (_, flags) = payload.full_box(0)?;
        let has = |flag| flags & flag != 0;
        let track_id = payload.u32()?;
        let base_data_offset = has(BASE_DATA_OFFSET).then(|| payload.u64()).transpose()?;
        let mut field = |flag| has(flag).then(|| payload.u32()).transpose();
        Ok(Self {
            track_id,
            base_data_offset,
            sample_description_index: field(SAMPLE_DESCRIPTION_INDEX)?,
            default_sample_duration: field(DEFAULT_SAMPLE_DURATION)?,
            default_sample_size: field(DEFAULT_SAMPLE_SIZE)?,
            default_sample_flags: field(DEFAULT_SAMPLE_FLAGS)?,
            duration_is_empty: has(DURATION_IS_EMPTY),
            default_base_is_moof: has(DEFAULT_BASE_IS_MOOF),
        })
    }

    fn write_payload(&self, out: &mut Vec<u8>) {
        let fields = [
            (SAMPLE_DESCRIPTION_INDEX, self.sample_description_index),
            (DEFAULT_SAMPLE_DURATION, self.default_sample_duration),
            (DEFAULT_SAMPLE_SIZE, self.default_sample_size),
            (DEFAULT_SAMPLE_FLAGS, self.default_sample_flags),
        ];
        let mut flags: u32 = fields
            .iter()
            .filter(|(_, value)| value.is_some())
            .map(|(flag, _)| flag)
            .sum();
        flags |= if self.base_data_offset.is_some() {
            BASE_DATA_OFFSET
        } else {
            0
        };
        flags |= if self.duration_is_empty { DURATION_IS_EMPTY } else { 0 };
        flags |= if self.default_base_is_moof {
            DEFAULT_BASE_IS_MOOF
        } else {
            0
        };
        full_box(out, 0, flags);
        out.put_u32(self.track_id);
        if let Some(offset) = self.base_data_offset {
            out.put_u64(offset);
        }
        for value in fields.iter().filter_map(|(_, value)| *value) {
            out.put_u32(value);
        }
    }
}

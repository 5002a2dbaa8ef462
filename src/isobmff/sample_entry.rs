//! The fields that sample entries begin with (ISO/IEC 14496-12, 8.5.2, 12.1.3 and 12.2.3).

use super::{Fault, Reader, describe};

/// Reserved bytes of every sample entry.
const RESERVED_BYTES: usize = 6;

/// What a `VisualSampleEntry` says itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct VisualSampleEntry {
    /// Where the media is; the first entry of `dref` is 1.
    pub data_reference_index: u16,
    /// Of the coded picture, in pixels.
    pub width: u16,
    /// Of the coded picture, in pixels.
    pub height: u16,
}

impl VisualSampleEntry {
    /// Reads the fields in front of the entry's boxes.
    ///
    /// # Errors
    /// A [`Fault`] where they end too early.
    pub fn parse(fields: &mut Reader<'_>) -> Result<Self, Fault> {
        const BEFORE_WIDTH: usize = 16;
        fields.bytes(RESERVED_BYTES)?;
        let data_reference_index = fields.u16()?;
        fields.bytes(BEFORE_WIDTH)?;
        Ok(Self {
            data_reference_index,
            width: fields.u16()?,
            height: fields.u16()?,
        })
    }
}

/// What an `AudioSampleEntry` says itself; the codec's configuration knows better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct AudioSampleEntry {
    /// Where the media is; the first entry of `dref` is 1.
    pub data_reference_index: u16,
    /// `channelcount`.
    pub channels: u16,
    /// `samplesize`, in bits.
    pub sample_bits: u16,
    /// `samplerate` in Hz, 16.16 fixed point.
    #[serde(rename = "sample_rate_hz", serialize_with = "describe::fixed_16_16")]
    pub sample_rate: u32,
}

impl AudioSampleEntry {
    /// Reads the fields in front of the entry's boxes.
    ///
    /// # Errors
    /// A [`Fault`] where they end too early.
    pub fn parse(fields: &mut Reader<'_>) -> Result<Self, Fault> {
        fields.bytes(RESERVED_BYTES)?;
        let data_reference_index = fields.u16()?;
        fields.u64()?; // reserved
        let (channels, sample_bits) = (fields.u16()?, fields.u16()?);
        fields.u32()?; // pre_defined, reserved
        Ok(Self {
            data_reference_index,
            channels,
            sample_bits,
            sample_rate: fields.u32()?,
        })
    }
}

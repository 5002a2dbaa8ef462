//! H.264 (ISO/IEC 14496-10; in MP4: ISO/IEC 14496-15, 5).
//!
//! Of each slice, the length field, the NAL unit header and the slice header stay clear, and everything behind
//! is protected; all other NAL units stay clear (ISO/IEC 23001-7, 9.5 and 10.4). For `cbcs`, CMAF has the protected
//! bytes begin at the very first byte behind the slice header, and their number is not rounded (ISO/IEC 23000-19).

pub mod pps;
pub mod slice_header;
pub mod sps;

use std::sync::Arc;

use super::bit_reader::{BitFault, BitReader};
use super::nal_units::{self, NalUnits};
use super::{Captions, Codec, CodecError, OpenError, SampleScanner, SubsampleMap, sei};
use crate::isobmff::avcc::AvcConfiguration;
use crate::isobmff::{FourCc, Node};

use pps::Pps;
use slice_header::slice_header_size_bytes;
use sps::Sps;

const NAME: &str = "H.264";

/// Sample entry with all parameter sets in `avcC` (ISO/IEC 14496-15, 5.4.2.1).
const AVC1: FourCc = FourCc::new(b"avc1");
/// Sample entry with parameter sets in `avcC`, in the samples, or both.
const AVC3: FourCc = FourCc::new(b"avc3");

/// `nal_unit_type` (ISO/IEC 14496-10, table 7-1), as far as it matters here.
pub mod nal_unit_type {
    /// Coded slice of a non-IDR picture.
    pub const NON_IDR_SLICE: u8 = 1;
    /// Coded slice data partition A, which holds the slice header.
    pub const SLICE_DATA_PARTITION_A: u8 = 2;
    /// Coded slice data partition C.
    pub const SLICE_DATA_PARTITION_C: u8 = 4;
    /// Coded slice of an IDR picture.
    pub const IDR_SLICE: u8 = 5;
    /// Supplemental enhancement information.
    pub const SEI: u8 = 6;
    /// Sequence parameter set.
    pub const SPS: u8 = 7;
    /// Picture parameter set.
    pub const PPS: u8 = 8;
}

/// The first byte of a NAL unit (ISO/IEC 14496-10, 7.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NalHeader {
    /// `nal_ref_idc`: not zero where other pictures depend on this NAL unit.
    pub nal_ref_idc: u8,
    /// `nal_unit_type`, see [`nal_unit_type`].
    pub nal_unit_type: u8,
}

impl NalHeader {
    /// Reads the header's byte.
    ///
    /// # Errors
    /// [`BitFault`] where there is none, or where its `forbidden_zero_bit` marks a damaged NAL unit.
    pub fn read(bits: &mut BitReader<'_>) -> Result<Self, BitFault> {
        let [header, ..] = bits.u(8)?.to_le_bytes();
        if header & 0x80 != 0 {
            return Err(bits.invalid("forbidden_zero_bit is set: the NAL unit is damaged, or not H.264"));
        }
        Ok(Self {
            nal_ref_idc: header >> 5,
            nal_unit_type: header & 0x1f,
        })
    }
}

/// An H.264 track.
#[derive(Debug, Clone)]
pub struct Avc {
    sample_entry_type: FourCc,
    config: AvcConfiguration,
    parameter_sets: Box<ParameterSets>,
}

impl Avc {
    /// From a sample entry of type `avc1` or `avc3` and its `avcC`.
    ///
    /// # Errors
    /// [`CodecError::Unsupported`] for another sample entry; [`CodecError::Malformed`] for a parameter set that
    /// can't be read.
    pub fn open(sample_entry_type: FourCc, config: AvcConfiguration) -> Result<Self, CodecError> {
        if ![AVC1, AVC3].contains(&sample_entry_type) {
            return Err(CodecError::Unsupported {
                codec: NAME,
                feature: format!("sample entry '{sample_entry_type}'"),
            });
        }
        let mut parameter_sets = ParameterSets::new();
        for (position, nal) in config.parameter_sets() {
            parameter_sets
                .update(nal)
                .map_err(|fault| fault.malformed(NAME, "avcC", position))?;
        }
        Ok(Self {
            sample_entry_type,
            config,
            parameter_sets,
        })
    }

    /// The configuration as it stands in `avcC`.
    #[must_use]
    pub const fn config(&self) -> &AvcConfiguration {
        &self.config
    }

    /// The first sequence parameter set of `avcC`: its chroma format and bit depths are the track's.
    /// `None` where all of them come in band.
    #[must_use]
    pub fn sps(&self) -> Option<&Sps> {
        self.parameter_sets.sps.iter().flatten().next()
    }
}

impl Codec for Avc {
    fn name(&self) -> &'static str {
        NAME
    }

    /// `avc1.PPCCLL` (ISO/IEC 14496-15, annex E; RFC 6381, 3.3).
    fn rfc6381(&self) -> String {
        let (entry, config) = (self.sample_entry_type, &self.config);
        format!(
            "{entry}.{:02X}{:02X}{:02X}",
            config.profile_indication(),
            config.profile_compatibility(),
            config.level_indication()
        )
    }

    fn transfer_characteristics(&self) -> Option<u8> {
        self.sps()?.transfer_characteristics
    }

    fn scanner(&self) -> Option<Box<dyn SampleScanner>> {
        Some(Box::new(AvcScanner {
            nal_length_size: self.config.nal_length_size(),
            parameter_sets: self.parameter_sets.clone(),
        }))
    }

    fn find_captions(&self, sample: &[u8], captions: &mut Captions) {
        let nals = NalUnits::new(NAME, sample, self.config.nal_length_size());
        sei::find_captions(nals, 1, |header| header & 0x1f == nal_unit_type::SEI, captions);
    }
}

/// Opens the codec of an `avc1` or `avc3` sample entry.
pub(super) fn open(format: FourCc, entry: &Node<'_>) -> Result<Arc<dyn Codec>, OpenError> {
    let config = entry.require(&[b"avcC"])?.parse()?;
    Ok(Arc::new(Avc::open(format, config)?))
}

/// The parameter sets that slices may refer to, by their IDs; a later one replaces an earlier one.
#[derive(Debug, Clone)]
pub struct ParameterSets {
    sps: [Option<Sps>; 32],
    pps: [Option<Pps>; 256],
}

impl ParameterSets {
    /// None yet.
    #[must_use]
    pub fn new() -> Box<Self> {
        Box::new(Self {
            sps: [None; 32],
            pps: [None; 256],
        })
    }

    /// Remembers `nal` if it is a parameter set.
    ///
    /// # Errors
    /// [`BitFault`] for a parameter set that can't be read.
    pub fn update(&mut self, nal: &[u8]) -> Result<(), BitFault> {
        let header = NalHeader::read(&mut BitReader::nal_unit(nal))?;
        match header.nal_unit_type {
            nal_unit_type::SPS => {
                let sps = Sps::parse(nal)?;
                if let Some(slot) = self.sps.get_mut(usize::from(sps.seq_parameter_set_id)) {
                    *slot = Some(sps);
                }
            }
            nal_unit_type::PPS => {
                let pps = Pps::parse(nal)?;
                if let Some(slot) = self.pps.get_mut(usize::from(pps.pic_parameter_set_id)) {
                    *slot = Some(pps);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The sequence parameter set of ID `seq_parameter_set_id`.
    #[must_use]
    pub fn sps(&self, seq_parameter_set_id: u8) -> Option<&Sps> {
        self.sps.get(usize::from(seq_parameter_set_id))?.as_ref()
    }

    /// The picture parameter set of ID `pic_parameter_set_id`.
    #[must_use]
    pub fn pps(&self, pic_parameter_set_id: u8) -> Option<&Pps> {
        self.pps.get(usize::from(pic_parameter_set_id))?.as_ref()
    }
}

/// Scans samples in decode order, following parameter sets that arrive in band.
struct AvcScanner {
    nal_length_size: usize,
    parameter_sets: Box<ParameterSets>,
}

impl SampleScanner for AvcScanner {
    fn scan(&mut self, sample: &[u8], map: &mut SubsampleMap) -> Result<(), CodecError> {
        nal_units::scan(NAME, sample, self.nal_length_size, map, |nal| {
            self.clear_bytes(nal.bytes, nal.position)
        })
    }
}

impl AvcScanner {
    /// Bytes at the start of `nal`, at byte `position` of the sample, that stay clear; at most all of them.
    fn clear_bytes(&mut self, nal: &[u8], position: usize) -> Result<usize, CodecError> {
        let Some(header) = nal.first() else {
            return Ok(0); // A length field of zero, with nothing behind it.
        };
        let malformed = |fault: BitFault| fault.malformed(NAME, "sample", position);
        match header & 0x1f {
            nal_unit_type::NON_IDR_SLICE | nal_unit_type::IDR_SLICE => {
                slice_header_size_bytes(nal, &self.parameter_sets).map_err(malformed)
            }
            nal_unit_type::SLICE_DATA_PARTITION_A..=nal_unit_type::SLICE_DATA_PARTITION_C => {
                Err(CodecError::Unsupported {
                    codec: NAME,
                    feature: "data partitioning (NAL unit types 2 to 4)".to_owned(),
                })
            }
            nal_unit_type::SPS | nal_unit_type::PPS => {
                self.parameter_sets.update(nal).map_err(malformed)?;
                Ok(nal.len())
            }
            // All others stay clear. Among them are slices that players of the base layer skip: of SVC and MVC
            // (20), MVC depth (21), and auxiliary pictures (19). They are non-VCL to a decoder of the profiles
            // in annex A (table 7-1), and Shaka Packager takes none but types 1 to 5 for slices either.
            _ => Ok(nal.len()),
        }
    }
}

#[cfg(test)]
mod tests;

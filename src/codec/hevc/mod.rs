//! H.265 (ITU-T H.265, ISO/IEC 23008-2; in MP4: ISO/IEC 14496-15, 8).
//!
//! Of each slice segment, the length field, the NAL unit header and the slice segment header stay clear, and everything
//! behind is protected; all other NAL units stay clear (ISO/IEC 23001-7, 9.5 and 10.4). For `cbcs`, CMAF has the protected
//! bytes begin at the very first byte behind the slice header, and their number is not rounded (ISO/IEC 23000-19).

pub mod pps;
pub mod slice_header;
pub mod sps;

use std::fmt::Write as _;
use std::sync::Arc;

use super::bit_reader::{BitFault, BitReader};
use super::dolby_vision::{self, DolbyVision};
use super::nal_units::{self, NalUnits};
use super::{Captions, Codec, CodecError, OpenError, SampleScanner, SubsampleMap, sei};
use crate::isobmff::hvcc::HevcConfiguration;
use crate::isobmff::{FourCc, Node};

use pps::Pps;
use slice_header::slice_header_size_bytes;
use sps::Sps;

const NAME: &str = "H.265";

/// Sample entry with all parameter sets in `hvcC` (ISO/IEC 14496-15, 8.4.1.1).
const HVC1: FourCc = FourCc::new(b"hvc1");
/// Sample entry with parameter sets in `hvcC`, in the samples, or both.
const HEV1: FourCc = FourCc::new(b"hev1");

/// `MaxDpbSize` is at most this (A.4.2): no reference picture set has more pictures.
const MAX_DPB_SIZE: usize = 16;

/// `num_ref_idx_l0_active_minus1` and its like are at most this (7.4.7.1).
const MAX_NUM_REF_IDX_ACTIVE_MINUS1: u8 = 14;

/// `nal_unit_type` (table 7-1), as far as it matters here.
pub mod nal_unit_type {
    /// Coded slice segment of a trailing picture that others of its sub-layer don't refer to: the first of 0 to 9.
    pub const TRAIL_N: u8 = 0;
    /// Coded slice segment of a skipped leading picture that others of its sub-layer don't refer to.
    pub const RASL_N: u8 = 8;
    /// The same, that others may refer to: the last of 0 to 9.
    pub const RASL_R: u8 = 9;
    /// Coded slice segment of a broken link access picture: the first of the pictures that decoding can begin with.
    pub const BLA_W_LP: u8 = 16;
    /// Coded slice segment of an instantaneous decoding refresh picture, with leading pictures.
    pub const IDR_W_RADL: u8 = 19;
    /// The same, without.
    pub const IDR_N_LP: u8 = 20;
    /// Coded slice segment of a clean random access picture.
    pub const CRA_NUT: u8 = 21;
    /// Sequence parameter set.
    pub const SPS_NUT: u8 = 33;
    /// Picture parameter set.
    pub const PPS_NUT: u8 = 34;
    /// Supplemental enhancement information in front of the picture.
    pub const PREFIX_SEI_NUT: u8 = 39;
    /// Unspecified by H.265; Dolby Vision has its enhancement layer there.
    pub const UNSPEC63: u8 = 63;
}

/// The first two bytes of a NAL unit (7.3.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NalHeader {
    /// `nal_unit_type`, see [`nal_unit_type`].
    pub nal_unit_type: u8,
    /// `nuh_layer_id`: 0 for the base layer.
    pub nuh_layer_id: u8,
}

impl NalHeader {
    /// Reads the header's two bytes.
    ///
    /// # Errors
    /// [`BitFault`] where there are fewer, or where its `forbidden_zero_bit` marks a damaged NAL unit.
    pub fn read(bits: &mut BitReader<'_>) -> Result<Self, BitFault> {
        let forbidden_zero_bit = bits.flag()?;
        if forbidden_zero_bit {
            return Err(bits.invalid("forbidden_zero_bit is set: the NAL unit is damaged, or not H.265"));
        }
        let [nal_unit_type, ..] = bits.u(6)?.to_le_bytes();
        let [nuh_layer_id, ..] = bits.u(6)?.to_le_bytes();
        let _nuh_temporal_id_plus1 = bits.u(3)?;
        Ok(Self {
            nal_unit_type,
            nuh_layer_id,
        })
    }

    /// Whether it is a slice segment of a type that decoders know; reserved ones are skipped by them (7.4.2.2).
    #[must_use]
    pub const fn is_slice_segment(self) -> bool {
        matches!(
            self.nal_unit_type,
            nal_unit_type::TRAIL_N..=nal_unit_type::RASL_R | nal_unit_type::BLA_W_LP..=nal_unit_type::CRA_NUT
        )
    }

    /// Whether decoding can begin with its picture, as far as [`is_slice_segment`](Self::is_slice_segment).
    const fn is_irap(self) -> bool {
        matches!(self.nal_unit_type, nal_unit_type::BLA_W_LP..=nal_unit_type::CRA_NUT)
    }

    const fn is_idr(self) -> bool {
        matches!(self.nal_unit_type, nal_unit_type::IDR_W_RADL | nal_unit_type::IDR_N_LP)
    }
}

/// An H.265 track.
#[derive(Debug, Clone)]
pub struct Hevc {
    sample_entry_type: FourCc,
    config: HevcConfiguration,
    parameter_sets: Box<ParameterSets>,
    dolby_vision: Option<DolbyVision>,
}

impl Hevc {
    /// From a sample entry of type `hvc1` or `hev1`, or those of Dolby Vision, and its `hvcC`.
    ///
    /// # Errors
    /// [`CodecError::Unsupported`] for another sample entry; [`CodecError::Malformed`] for a parameter set that
    /// can't be read.
    pub fn open(sample_entry_type: FourCc, config: HevcConfiguration) -> Result<Self, CodecError> {
        if ![HVC1, HEV1, dolby_vision::DVH1, dolby_vision::DVHE].contains(&sample_entry_type) {
            return Err(CodecError::Unsupported {
                codec: NAME,
                feature: format!("sample entry '{sample_entry_type}'"),
            });
        }
        let mut parameter_sets = ParameterSets::new();
        for (position, nal) in config.nal_units() {
            parameter_sets
                .update(nal)
                .map_err(|fault| fault.malformed(NAME, "hvcC", position))?;
        }
        Ok(Self {
            sample_entry_type,
            config,
            parameter_sets,
            dolby_vision: None,
        })
    }

    /// The configuration as it stands in `hvcC`.
    #[must_use]
    pub const fn config(&self) -> &HevcConfiguration {
        &self.config
    }

    /// The first sequence parameter set of `hvcC`. `None` where all of them come in band.
    #[must_use]
    pub fn sps(&self) -> Option<&Sps> {
        self.parameter_sets.sps.iter().flatten().next()
    }
}

impl Codec for Hevc {
    fn name(&self) -> &'static str {
        NAME
    }

    fn transfer_characteristics(&self) -> Option<u8> {
        let dolby_vision = self
            .dolby_vision
            .as_ref()
            .and_then(DolbyVision::transfer_characteristics);
        dolby_vision.or_else(|| self.sps()?.transfer_characteristics)
    }

    fn supplemental_codecs(&self) -> Option<String> {
        self.dolby_vision
            .as_ref()?
            .supplemental_codecs(self.transfer_characteristics())
    }

    fn brands(&self) -> Vec<FourCc> {
        let dolby_vision = self.dolby_vision.as_ref();
        dolby_vision.map_or_else(Vec::new, |dolby_vision| {
            dolby_vision.brands(self.transfer_characteristics())
        })
    }

    /// `hvc1.1.6.L93.90` (ISO/IEC 14496-15, annex E.3): profile space and profile, compatibility flags, tier and level, and
    /// the constraint flags up to the last byte that is not zero. In sample entries of Dolby Vision, its own.
    fn rfc6381(&self) -> String {
        if let Some(codecs) = self.dolby_vision.as_ref().and_then(DolbyVision::rfc6381) {
            return codecs;
        }
        let (entry, config) = (self.sample_entry_type, &self.config);
        let profile_space = match config.general_profile_space() {
            1 => "A",
            2 => "B",
            3 => "C",
            _ => "",
        };
        let profile = config.general_profile_idc();
        // The flag of profile 0 comes last.
        let compatibility = config.general_profile_compatibility_flags().reverse_bits();
        let tier = if config.general_tier_flag() { 'H' } else { 'L' };
        let level = config.general_level_idc();
        let mut codecs = format!("{entry}.{profile_space}{profile}.{compatibility:X}.{tier}{level}");
        let flags = config.general_constraint_indicator_flags();
        let last = flags.iter().rposition(|byte| *byte != 0);
        for byte in flags.iter().take(last.map_or(0, |last| last + 1)) {
            let _ = write!(codecs, ".{byte:X}");
        }
        codecs
    }

    fn scanner(&self) -> Option<Box<dyn SampleScanner>> {
        Some(Box::new(HevcScanner {
            nal_length_size: self.config.nal_length_size(),
            parameter_sets: self.parameter_sets.clone(),
        }))
    }

    /// Random access skipped leading pictures (3.123), behind a CRA picture.
    fn is_skipped_leading(&self, sample: &[u8]) -> bool {
        let nals = NalUnits::new(NAME, sample, self.config.nal_length_size()).map_while(Result::ok);
        let mut types = nals.filter_map(|nal| Some(nal.bytes.first()? >> 1 & 0x3f));
        let slice = types.find(|nal_unit_type| *nal_unit_type <= nal_unit_type::CRA_NUT);
        slice.is_some_and(|slice| matches!(slice, nal_unit_type::RASL_N | nal_unit_type::RASL_R))
    }

    fn find_captions(&self, sample: &[u8], captions: &mut Captions) {
        let nals = NalUnits::new(NAME, sample, self.config.nal_length_size());
        let is_sei = |header: u8| header >> 1 & 0x3f == nal_unit_type::PREFIX_SEI_NUT;
        sei::find_captions(nals, 2, is_sei, captions);
    }
}

/// Opens the codec of an `hvc1` or `hev1` sample entry, or one of Dolby Vision.
pub(super) fn open(format: FourCc, entry: &Node<'_>) -> Result<Arc<dyn Codec>, OpenError> {
    let config = entry.require(&[b"hvcC"])?.parse()?;
    let dolby_vision = DolbyVision::find(format, entry)?;
    Ok(Arc::new(Hevc {
        dolby_vision,
        ..Hevc::open(format, config)?
    }))
}

/// The parameter sets that slices of the base layer may refer to, by their IDs; a later one replaces an earlier one.
#[derive(Debug, Clone)]
pub struct ParameterSets {
    sps: [Option<Sps>; 16],
    pps: [Option<Pps>; 64],
}

impl ParameterSets {
    /// None yet.
    #[must_use]
    pub fn new() -> Box<Self> {
        Box::new(Self {
            sps: [const { None }; 16],
            pps: [None; 64],
        })
    }

    /// Remembers `nal` if it is a parameter set of the base layer.
    ///
    /// # Errors
    /// [`BitFault`] for a parameter set that can't be read.
    pub fn update(&mut self, nal: &[u8]) -> Result<(), BitFault> {
        let header = NalHeader::read(&mut BitReader::nal_unit(nal))?;
        if header.nuh_layer_id != 0 {
            // A layer refers to sets of its own and of lower layers (7.4.1.4.1).
            return Ok(());
        }
        match header.nal_unit_type {
            nal_unit_type::SPS_NUT => {
                let sps = Sps::parse(nal)?;
                if let Some(slot) = self.sps.get_mut(usize::from(sps.sps_seq_parameter_set_id)) {
                    *slot = Some(sps);
                }
            }
            nal_unit_type::PPS_NUT => {
                let pps = Pps::parse(nal)?;
                if let Some(slot) = self.pps.get_mut(usize::from(pps.pps_pic_parameter_set_id)) {
                    *slot = Some(pps);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The sequence parameter set of ID `sps_seq_parameter_set_id`.
    #[must_use]
    pub fn sps(&self, sps_seq_parameter_set_id: u8) -> Option<&Sps> {
        self.sps.get(usize::from(sps_seq_parameter_set_id))?.as_ref()
    }

    /// The picture parameter set of ID `pps_pic_parameter_set_id`.
    #[must_use]
    pub fn pps(&self, pps_pic_parameter_set_id: u8) -> Option<&Pps> {
        self.pps.get(usize::from(pps_pic_parameter_set_id))?.as_ref()
    }
}

/// Scans samples in decode order, following parameter sets that arrive in band.
struct HevcScanner {
    nal_length_size: usize,
    parameter_sets: Box<ParameterSets>,
}

impl SampleScanner for HevcScanner {
    fn scan(&mut self, sample: &[u8], map: &mut SubsampleMap) -> Result<(), CodecError> {
        nal_units::scan(NAME, sample, self.nal_length_size, map, |nal| {
            self.clear_bytes(nal.bytes, nal.position)
        })
    }
}

impl HevcScanner {
    /// Bytes at the start of `nal`, at byte `position` of the sample, that stay clear; at most all of them.
    fn clear_bytes(&mut self, nal: &[u8], position: usize) -> Result<usize, CodecError> {
        if nal.is_empty() {
            return Ok(0); // A length field of zero, with nothing behind it.
        }
        let malformed = |fault: BitFault| fault.malformed(NAME, "sample", position);
        let header = NalHeader::read(&mut BitReader::nal_unit(nal)).map_err(malformed)?;
        match header.nal_unit_type {
            // Another view or an alpha plane. Its slices refer to parameter sets of their own, whose extensions are not read
            // here; left clear they would show the picture.
            _ if header.is_slice_segment() && header.nuh_layer_id != 0 => Err(CodecError::Unsupported {
                codec: NAME,
                feature: format!("a picture of layer {} (nuh_layer_id)", header.nuh_layer_id),
            }),
            _ if header.is_slice_segment() => slice_header_size_bytes(nal, &self.parameter_sets).map_err(malformed),
            nal_unit_type::SPS_NUT | nal_unit_type::PPS_NUT => {
                self.parameter_sets.update(nal).map_err(malformed)?;
                Ok(nal.len())
            }
            // Left clear like other types that H.265 leaves unspecified, it would show a part of the picture.
            nal_unit_type::UNSPEC63 => Err(CodecError::Unsupported {
                codec: NAME,
                feature: "a Dolby Vision enhancement layer (NAL unit type 63)".to_owned(),
            }),
            // All others, among them reserved types, which decoders skip.
            _ => Ok(nal.len()),
        }
    }
}

#[cfg(test)]
mod tests;

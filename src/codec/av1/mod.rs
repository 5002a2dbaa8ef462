//! AV1 (the AV1 Bitstream & Decoding Process Specification, 1.0.0 with errata 1; in MP4: AV1-ISOBMFF).
//!
//! Of each tile, the bytes of `decode_tile()` are protected, one subsample a tile, however few they are; everything else
//! stays clear: headers and sizes of OBUs, sequence, frame and tile group headers, sizes of tiles, metadata, padding
//! (AV1-ISOBMFF, 4, for `cbcs`).

pub mod descriptors;
pub mod frame_header;
pub mod obu;
pub mod references;
pub mod sequence_header;
pub mod set_frame_refs;
pub mod tile_group;
pub mod tile_info;

use std::sync::Arc;

use super::bit_reader::{BitFault, BitReader};
use super::{Captions, Codec, CodecError, OpenError, SampleScanner, SubsampleMap};
use crate::isobmff::av1c::Av1Configuration;
use crate::isobmff::colr::{ColourInformation, Nclx};
use crate::isobmff::{FourCc, Node};

use descriptors::{byte_alignment, leb128, trailing_bits};
use frame_header::{FrameHeader, Refresh};
use obu::{Obu, Obus, obu_type};
use references::References;
use sequence_header::SequenceHeader;
use tile_info::TileInfo;

const NAME: &str = "AV1";

/// `metadata_type` of a `metadata_itut_t35()` (AV1, 6.7.1).
const METADATA_TYPE_ITUT_T35: u32 = 4;

/// An AV1 track.
#[derive(Debug, Clone)]
pub struct Av1 {
    config: Av1Configuration,
    nclx: Option<Nclx>,
    sequence_header: Option<SequenceHeader>,
}

impl Av1 {
    /// From the `av1C` of a sample entry `av01`, and its `colr` of type `nclx` if there is one.
    ///
    /// # Errors
    /// [`CodecError::Malformed`] for OBUs of the configuration that can't be read.
    pub fn open(config: Av1Configuration, nclx: Option<Nclx>) -> Result<Self, CodecError> {
        let start = config.config_obus_position();
        let mut sequence_header = None;
        for obu in Obus::new(config.config_obus()) {
            let obu = obu.map_err(|fault| fault.malformed(NAME, "av1C", start))?;
            if obu.header.obu_type == obu_type::SEQUENCE_HEADER {
                let read = obu.payload().and_then(|mut bits| SequenceHeader::read(&mut bits));
                sequence_header = Some(read.map_err(|fault| fault.malformed(NAME, "av1C", start + obu.position))?);
            }
        }
        Ok(Self {
            config,
            nclx,
            sequence_header,
        })
    }

    /// The configuration as it stands in `av1C`.
    #[must_use]
    pub const fn config(&self) -> &Av1Configuration {
        &self.config
    }

    /// `colorPrimaries`, `transferCharacteristics`, `matrixCoefficients` and `videoFullRangeFlag` of the codecs string:
    /// as `colr` says, else as the sequence header says, where it says nothing BT.709 (AV1-ISOBMFF, 5).
    ///
    /// `None` where the sequence header comes with the samples (2.3.4: `configOBUs` may be empty), which are not read for it.
    fn colour_values(&self) -> Option<([u16; 3], bool)> {
        const BT709: [u8; 3] = [1; 3];
        if let Some(nclx) = self.nclx {
            let code_points = [
                nclx.colour_primaries,
                nclx.transfer_characteristics,
                nclx.matrix_coefficients,
            ];
            return Some((code_points, nclx.full_range_flag));
        }
        let color = self.sequence_header.as_ref()?.color_config;
        let code_points = color.color_description.unwrap_or(BT709);
        Some((code_points.map(u16::from), color.color_range))
    }
}

impl Codec for Av1 {
    fn name(&self) -> &'static str {
        NAME
    }

    fn transfer_characteristics(&self) -> Option<u8> {
        let [_, transfer, _] = self.sequence_header.as_ref()?.color_config.color_description?;
        Some(transfer)
    }

    /// `av01.P.LLT.DD`, with `.M.CCC.cp.tc.mc.F` behind it where these are known and not `.0.110.01.01.01.0` (AV1-ISOBMFF, 5).
    fn rfc6381(&self) -> String {
        let config = &self.config;
        let tier = if config.seq_tier_0() == 0 { 'M' } else { 'H' };
        let mandatory = format!(
            "av01.{}.{:02}{tier}.{:02}",
            config.seq_profile(),
            config.seq_level_idx_0(),
            config.bit_depth()
        );
        let Some(([primaries, transfer, matrix], full_range)) = self.colour_values() else {
            return mandatory;
        };
        let (subsampling_x, subsampling_y) = config.chroma_subsampling();
        let position = match (subsampling_x, subsampling_y) {
            (1, 1) => config.chroma_sample_position(),
            _ => 0,
        };
        let optional = format!(
            ".{}.{subsampling_x}{subsampling_y}{position}.{primaries:02}.{transfer:02}.{matrix:02}.{}",
            u8::from(config.monochrome()),
            u8::from(full_range)
        );
        if optional == ".0.110.01.01.01.0" {
            mandatory
        } else {
            mandatory + &optional
        }
    }

    fn scanner(&self) -> Option<Box<dyn SampleScanner>> {
        Some(Box::new(Av1Scanner {
            sequence_header: self.sequence_header.clone(),
            references: References::default(),
            frame: None,
        }))
    }

    fn find_captions(&self, sample: &[u8], captions: &mut Captions) {
        let obus = Obus::new(sample).map_while(Result::ok);
        for obu in obus.filter(|obu| obu.header.obu_type == obu_type::METADATA) {
            let Ok(mut bits) = obu.payload() else { continue };
            if leb128(&mut bits) == Ok(METADATA_TYPE_ITUT_T35) {
                captions.read(obu.bytes.get(bits.taken_bytes()..).unwrap_or_default());
            }
        }
    }
}

/// Opens the codec of an `av01` sample entry.
pub(super) fn open(_format: FourCc, entry: &Node<'_>) -> Result<Arc<dyn Codec>, OpenError> {
    let config = entry.require(&[b"av1C"])?.parse()?;
    let mut nclx = None;
    for colr in entry.children_of(b"colr") {
        nclx = nclx.or(colr.parse::<ColourInformation>()?.nclx);
    }
    Ok(Arc::new(Av1::open(config, nclx)?))
}

/// Scans samples in decode order, following sequence headers that arrive in band and the state of the reference slots.
///
/// It takes all layers of a scalable stream for one: none is dropped, and each is protected.
struct Av1Scanner {
    sequence_header: Option<SequenceHeader>,
    references: References,
    /// The frame whose tiles are yet to come: `SeenFrameHeader` (5.9.1).
    frame: Option<Frame>,
}

/// A frame whose header is read.
#[derive(Clone, Copy)]
struct Frame {
    tile_info: TileInfo,
    /// `TileNum`: the next tile.
    tile_num: u32,
    refresh: Refresh,
}

impl SampleScanner for Av1Scanner {
    fn scan(&mut self, sample: &[u8], map: &mut SubsampleMap) -> Result<(), CodecError> {
        for obu in Obus::new(sample) {
            let obu = obu.map_err(|fault| fault.malformed(NAME, "sample", 0))?;
            if obu.header.obu_type == obu_type::TILE_LIST {
                return Err(CodecError::Unsupported {
                    codec: NAME,
                    feature: "large scale tile decoding (OBU_TILE_LIST)".to_owned(),
                });
            }
            self.scan_obu(&obu, map)
                .map_err(|fault| fault.malformed(NAME, "sample", obu.position))?;
        }
        if let Some(frame) = self.frame {
            let (found, expected) = (frame.tile_num, frame.tile_info.num_tiles());
            return Err(CodecError::Malformed {
                codec: NAME,
                what: "sample",
                position: sample.len(),
                problem: format!("ends behind {found} tiles of a frame, expected {expected}"),
            });
        }
        Ok(())
    }
}

impl Av1Scanner {
    fn scan_obu(&mut self, obu: &Obu<'_>, map: &mut SubsampleMap) -> Result<(), BitFault> {
        let mut bits = obu.payload()?;
        let mut clear_from = 0;
        match obu.header.obu_type {
            obu_type::SEQUENCE_HEADER => self.sequence_header = Some(SequenceHeader::read(&mut bits)?),
            obu_type::TEMPORAL_DELIMITER => self.frame = None,
            // Another one is a copy of the first (frame_header_copy(), 5.9.1).
            obu_type::FRAME_HEADER if self.frame.is_none() => {
                self.read_frame_header(&mut bits, obu)?;
                trailing_bits(&mut bits)?;
            }
            obu_type::REDUNDANT_FRAME_HEADER if self.frame.is_none() => {
                return Err(bits.invalid("OBU_REDUNDANT_FRAME_HEADER without a frame header before it"));
            }
            obu_type::FRAME => {
                if self.frame.is_some() {
                    return Err(bits.invalid("OBU_FRAME before all tiles of the frame before it"));
                }
                self.read_frame_header(&mut bits, obu)?;
                byte_alignment(&mut bits)?;
                clear_from = self.scan_tile_group(&mut bits, obu, map)?;
            }
            obu_type::TILE_GROUP => clear_from = self.scan_tile_group(&mut bits, obu, map)?,
            _ => {}
        }
        map.push_clear(obu.bytes.len() - clear_from);
        Ok(())
    }

    /// `frame_header_obu()` that is no copy (5.9.1).
    fn read_frame_header(&mut self, bits: &mut BitReader<'_>, obu: &Obu<'_>) -> Result<(), BitFault> {
        let Some(sequence_header) = &self.sequence_header else {
            return Err(bits.invalid(
                "a frame header, and neither the sample description nor a sample since the last sync sample \
                 carries a sequence header",
            ));
        };
        match frame_header::read(bits, obu.header, sequence_header, &mut self.references)? {
            FrameHeader::ShowExisting(refresh) => refresh.apply(&mut self.references),
            FrameHeader::Frame(tile_info, refresh) => {
                self.frame = Some(Frame {
                    tile_info,
                    tile_num: 0,
                    refresh,
                });
            }
        }
        Ok(())
    }

    /// `tile_group_obu()` from the next of `bits` on; returns where the last tile ends, in bytes from the OBU's start.
    fn scan_tile_group(
        &mut self,
        bits: &mut BitReader<'_>,
        obu: &Obu<'_>,
        map: &mut SubsampleMap,
    ) -> Result<usize, BitFault> {
        let Some(frame) = &mut self.frame else {
            return Err(bits.invalid("tiles without a frame header before them"));
        };
        let mut clear_from = 0;
        frame.tile_num = tile_group::read(bits, obu.bytes, &frame.tile_info, frame.tile_num, |tile| {
            map.push_clear(tile.start - clear_from);
            #[expect(clippy::cast_possible_truncation, reason = "sample sizes have at most 32 bits")]
            map.push_protected(tile.len() as u32);
            clear_from = tile.end;
        })?;
        if frame.tile_num == frame.tile_info.num_tiles() {
            frame.refresh.apply(&mut self.references);
            self.frame = None;
        }
        Ok(clear_from)
    }
}

#[cfg(test)]
mod tests;

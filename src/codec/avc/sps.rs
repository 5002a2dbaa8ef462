//! Sequence parameter set (ISO/IEC 14496-10, 7.3.2.1.1), as far as slice headers depend on it.

use crate::codec::bit_reader::{BitFault, BitReader};
use crate::codec::vui;

/// Profiles whose parameter sets carry the chroma format, bit depths and scaling lists (7.3.2.1.1).
const HIGH_PROFILES: [u32; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];

/// The syntax elements that a slice header's size depends on, and what they are worth elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sps {
    /// `seq_parameter_set_id`, 0 to 31.
    pub seq_parameter_set_id: u8,
    /// `chroma_format_idc`: 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4.
    pub chroma_format_idc: u8,
    /// `separate_colour_plane_flag`: three monochrome pictures make one 4:4:4 picture.
    pub separate_colour_plane_flag: bool,
    /// `BitDepthY`, in bits.
    pub bit_depth_luma: u8,
    /// `BitDepthC`, in bits.
    pub bit_depth_chroma: u8,
    /// `log2_max_frame_num_minus4` + 4: bits of `frame_num`.
    pub log2_max_frame_num: u8,
    /// What slice headers say of the picture order count.
    pub pic_order_cnt: PicOrderCnt,
    /// `PicSizeInMapUnits` (7.4.2.1.1).
    pub pic_size_in_map_units: u32,
    /// `frame_mbs_only_flag`: neither field pictures nor field macroblocks occur.
    pub frame_mbs_only_flag: bool,
    /// `transfer_characteristics` of the VUI (E.2.1), where it says them.
    pub transfer_characteristics: Option<u8>,
}

/// `pic_order_cnt_type` (7.4.2.1.1), and its elements that slice headers depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PicOrderCnt {
    /// Type 0: coded as its least significant bits.
    Lsb {
        /// `log2_max_pic_order_cnt_lsb_minus4` + 4: bits of `pic_order_cnt_lsb`.
        log2_max_pic_order_cnt_lsb: u8,
    },
    /// Type 1: coded as differences from an expected order.
    Delta {
        /// `delta_pic_order_always_zero_flag`: there are no differences.
        delta_pic_order_always_zero_flag: bool,
    },
    /// Type 2: the decoding order.
    DecodingOrder,
}

impl Sps {
    /// Reads a NAL unit of type 7, from its header up to `frame_mbs_only_flag`.
    ///
    /// # Errors
    /// [`BitFault`] where it ends before, or where a value is out of the standard's range.
    pub fn parse(nal: &[u8]) -> Result<Self, BitFault> {
        let mut bits = BitReader::nal_unit(nal);
        let _nal_unit_header = bits.u(8)?;

        let profile_idc = bits.u(8)?;
        let _constraint_set_flags = bits.u(8)?;
        let _level_idc = bits.u(8)?;
        let seq_parameter_set_id = bits.ue_at_most("seq_parameter_set_id", 31)?;

        let mut chroma_format_idc = 1;
        let mut separate_colour_plane_flag = false;
        let (mut bit_depth_luma, mut bit_depth_chroma) = (8, 8);
        if HIGH_PROFILES.contains(&profile_idc) {
            chroma_format_idc = bits.ue_at_most("chroma_format_idc", 3)?;
            if chroma_format_idc == 3 {
                separate_colour_plane_flag = bits.flag()?;
            }
            bit_depth_luma += bits.ue_at_most("bit_depth_luma_minus8", 6)?;
            bit_depth_chroma += bits.ue_at_most("bit_depth_chroma_minus8", 6)?;
            let _qpprime_y_zero_transform_bypass_flag = bits.flag()?;
            let seq_scaling_matrix_present_flag = bits.flag()?;
            if seq_scaling_matrix_present_flag {
                skip_seq_scaling_matrix(&mut bits, chroma_format_idc)?;
            }
        }

        let log2_max_frame_num = bits.ue_at_most("log2_max_frame_num_minus4", 12)? + 4;
        let pic_order_cnt = PicOrderCnt::read(&mut bits)?;
        let _max_num_ref_frames = bits.ue()?;
        let _gaps_in_frame_num_value_allowed_flag = bits.flag()?;
        let pic_width_in_mbs = bits.ue()? + 1;
        let pic_height_in_map_units = bits.ue()? + 1;
        let Some(pic_size_in_map_units) = pic_width_in_mbs.checked_mul(pic_height_in_map_units) else {
            return Err(bits.invalid(format!(
                "a picture of {pic_width_in_mbs} x {pic_height_in_map_units} macroblocks is larger than any level allows"
            )));
        };
        let frame_mbs_only_flag = bits.flag()?;
        // No slice depends on what follows, so that a parameter set may break off in it.
        let transfer_characteristics = read_transfer_characteristics(&mut bits, frame_mbs_only_flag).unwrap_or(None);

        Ok(Self {
            seq_parameter_set_id,
            chroma_format_idc,
            separate_colour_plane_flag,
            bit_depth_luma,
            bit_depth_chroma,
            log2_max_frame_num,
            pic_order_cnt,
            pic_size_in_map_units,
            frame_mbs_only_flag,
            transfer_characteristics,
        })
    }

    /// `ChromaArrayType` (7.4.2.1.1): the chroma format as each colour plane is decoded.
    #[must_use]
    pub const fn chroma_array_type(&self) -> u8 {
        if self.separate_colour_plane_flag {
            0
        } else {
            self.chroma_format_idc
        }
    }
}

impl PicOrderCnt {
    fn read(bits: &mut BitReader<'_>) -> Result<Self, BitFault> {
        match bits.ue_at_most("pic_order_cnt_type", 2)? {
            0 => Ok(Self::Lsb {
                log2_max_pic_order_cnt_lsb: bits.ue_at_most("log2_max_pic_order_cnt_lsb_minus4", 12)? + 4,
            }),
            1 => {
                let delta_pic_order_always_zero_flag = bits.flag()?;
                let _offset_for_non_ref_pic = bits.se()?;
                let _offset_for_top_to_bottom_field = bits.se()?;
                for _ in 0..bits.ue_at_most("num_ref_frames_in_pic_order_cnt_cycle", 255)? {
                    let _offset_for_ref_frame = bits.se()?;
                }
                Ok(Self::Delta {
                    delta_pic_order_always_zero_flag,
                })
            }
            _ => Ok(Self::DecodingOrder),
        }
    }
}

/// `transfer_characteristics`, from the element behind `frame_mbs_only_flag` on.
fn read_transfer_characteristics(bits: &mut BitReader<'_>, frame_mbs_only_flag: bool) -> Result<Option<u8>, BitFault> {
    if !frame_mbs_only_flag {
        let _mb_adaptive_frame_field_flag = bits.flag()?;
    }
    let _direct_8x8_inference_flag = bits.flag()?;
    let frame_cropping_flag = bits.flag()?;
    if frame_cropping_flag {
        for _ in 0..4 {
            let _frame_crop_offset = bits.ue()?;
        }
    }
    Ok(vui::transfer_characteristics(bits))
}

/// `seq_scaling_list_present_flag[i]` and the lists that are present: six of 4x4, then those of 8x8.
fn skip_seq_scaling_matrix(bits: &mut BitReader<'_>, chroma_format_idc: u8) -> Result<(), BitFault> {
    let lists = if chroma_format_idc == 3 { 12 } else { 8 };
    for list in 0..lists {
        let seq_scaling_list_present_flag = bits.flag()?;
        if seq_scaling_list_present_flag {
            skip_scaling_list(bits, if list < 6 { 16 } else { 64 })?;
        }
    }
    Ok(())
}

/// `scaling_list()` (7.3.2.1.1.1).
fn skip_scaling_list(bits: &mut BitReader<'_>, size: usize) -> Result<(), BitFault> {
    let mut last_scale = 8;
    for _ in 0..size {
        let delta_scale = bits.se()?;
        if !(-128..=127).contains(&delta_scale) {
            return Err(bits.invalid(format!("delta_scale is {delta_scale}, expected -128 to 127")));
        }
        let next_scale = (last_scale + delta_scale).rem_euclid(256);
        if next_scale == 0 {
            // The rest of the list repeats lastScale, and codes nothing.
            break;
        }
        last_scale = next_scale;
    }
    Ok(())
}

//! Picture parameter set (ISO/IEC 14496-10, 7.3.2.2), as far as slice headers depend on it.

use std::num::NonZeroU32;

use crate::codec::bit_reader::{BitFault, BitReader};

/// The syntax elements that a slice header's size depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "the standard's flags, by their names")]
pub struct Pps {
    /// `pic_parameter_set_id`, 0 to 255.
    pub pic_parameter_set_id: u8,
    /// `seq_parameter_set_id`, 0 to 31: the sequence parameter set that this one refers to.
    pub seq_parameter_set_id: u8,
    /// `entropy_coding_mode_flag`: CABAC rather than CAVLC.
    pub entropy_coding_mode_flag: bool,
    /// `bottom_field_pic_order_in_frame_present_flag`: frames code the picture order of both their fields.
    pub bottom_field_pic_order_in_frame_present_flag: bool,
    /// `SliceGroupChangeRate` (7.4.2.2), in map units, of slice group map types 3 to 5.
    pub slice_group_change_rate: Option<NonZeroU32>,
    /// `num_ref_idx_l0_default_active_minus1`.
    pub num_ref_idx_l0_default_active_minus1: u8,
    /// `num_ref_idx_l1_default_active_minus1`.
    pub num_ref_idx_l1_default_active_minus1: u8,
    /// `weighted_pred_flag`: P and SP slices carry weights.
    pub weighted_pred_flag: bool,
    /// `weighted_bipred_idc`: B slices carry weights where it is 1.
    pub weighted_bipred_idc: u32,
    /// `deblocking_filter_control_present_flag`.
    pub deblocking_filter_control_present_flag: bool,
    /// `redundant_pic_cnt_present_flag`.
    pub redundant_pic_cnt_present_flag: bool,
}

impl Pps {
    /// Reads a NAL unit of type 8, from its header up to `redundant_pic_cnt_present_flag`.
    ///
    /// # Errors
    /// [`BitFault`] where it ends before, or where a value is out of the standard's range.
    pub fn parse(nal: &[u8]) -> Result<Self, BitFault> {
        let mut bits = BitReader::nal_unit(nal);
        let _nal_unit_header = bits.u(8)?;

        let pic_parameter_set_id = bits.ue_at_most("pic_parameter_set_id", 255)?;
        let seq_parameter_set_id = bits.ue_at_most("seq_parameter_set_id", 31)?;
        let entropy_coding_mode_flag = bits.flag()?;
        let bottom_field_pic_order_in_frame_present_flag = bits.flag()?;
        let num_slice_groups_minus1 = bits.ue_at_most("num_slice_groups_minus1", 7)?;
        let slice_group_change_rate = match num_slice_groups_minus1 {
            0 => None,
            _ => read_slice_group_map(&mut bits, num_slice_groups_minus1)?,
        };
        let num_ref_idx_l0_default_active_minus1 = bits.ue_at_most("num_ref_idx_l0_default_active_minus1", 31)?;
        let num_ref_idx_l1_default_active_minus1 = bits.ue_at_most("num_ref_idx_l1_default_active_minus1", 31)?;
        let weighted_pred_flag = bits.flag()?;
        let weighted_bipred_idc = bits.u(2)?;
        if weighted_bipred_idc == 3 {
            return Err(bits.invalid("weighted_bipred_idc is 3, expected at most 2"));
        }
        let _pic_init_qp_minus26 = bits.se()?;
        let _pic_init_qs_minus26 = bits.se()?;
        let _chroma_qp_index_offset = bits.se()?;
        let deblocking_filter_control_present_flag = bits.flag()?;
        let _constrained_intra_pred_flag = bits.flag()?;
        let redundant_pic_cnt_present_flag = bits.flag()?;

        Ok(Self {
            pic_parameter_set_id,
            seq_parameter_set_id,
            entropy_coding_mode_flag,
            bottom_field_pic_order_in_frame_present_flag,
            slice_group_change_rate,
            num_ref_idx_l0_default_active_minus1,
            num_ref_idx_l1_default_active_minus1,
            weighted_pred_flag,
            weighted_bipred_idc,
            deblocking_filter_control_present_flag,
            redundant_pic_cnt_present_flag,
        })
    }
}

/// The slice group map (flexible macroblock ordering), of which slice headers see `SliceGroupChangeRate` alone.
fn read_slice_group_map(bits: &mut BitReader<'_>, num_slice_groups_minus1: u8) -> Result<Option<NonZeroU32>, BitFault> {
    match bits.ue_at_most("slice_group_map_type", 6)? {
        0 => {
            for _ in 0..=num_slice_groups_minus1 {
                let _run_length_minus1 = bits.ue()?;
            }
        }
        2 => {
            for _ in 0..num_slice_groups_minus1 {
                let _top_left = bits.ue()?;
                let _bottom_right = bits.ue()?;
            }
        }
        3..=5 => {
            let _slice_group_change_direction_flag = bits.flag()?;
            let slice_group_change_rate_minus1 = bits.ue()?;
            return Ok(NonZeroU32::MIN.checked_add(slice_group_change_rate_minus1));
        }
        6 => {
            // Ceil(Log2(num_slice_groups_minus1 + 1)) bits each.
            let slice_group_id_bits = u8::BITS - num_slice_groups_minus1.leading_zeros();
            for _ in 0..=bits.ue()? {
                let _slice_group_id = bits.u(slice_group_id_bits)?;
            }
        }
        _ => {} // Type 1, dispersed, has no parameters.
    }
    Ok(None)
}

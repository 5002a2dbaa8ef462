//! Slice header (ISO/IEC 14496-10, 7.3.3): read for its size alone.
//!
//! Every element is read, because each decides where the next begins; few decide anything else. The names
//! are the standard's.

use super::pps::Pps;
use super::sps::{PicOrderCnt, Sps};
use super::{NalHeader, ParameterSets, nal_unit_type};
use crate::codec::bit_reader::{BitFault, BitReader};
use crate::codec::nal_units::{no_picture_parameter_set, no_sequence_parameter_set};

/// Reference pictures that one list may hold: in the lists of a frame, and in those of a field (7.4.3).
const MAX_NUM_REF_IDX_ACTIVE_MINUS1: [u8; 2] = [15, 31];

/// `slice_type` modulo 5 (table 7-6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SliceType {
    P,
    B,
    I,
    Sp,
    Si,
}

impl SliceType {
    fn read(bits: &mut BitReader<'_>) -> Result<Self, BitFault> {
        Ok(match bits.ue_at_most("slice_type", 9)? % 5 {
            0 => Self::P,
            1 => Self::B,
            2 => Self::I,
            3 => Self::Sp,
            _ => Self::Si,
        })
    }

    /// Whether it predicts from other pictures.
    const fn is_inter(self) -> bool {
        matches!(self, Self::P | Self::B | Self::Sp)
    }
}

/// Bytes from the start of the NAL unit to the byte that holds the last bit of its slice header, both included;
/// the NAL unit header and emulation prevention bytes count.
///
/// Only these bytes of `nal`, a slice of type 1 or 5, are looked at.
///
/// # Errors
/// [`BitFault`] where the header is damaged, or refers to a parameter set that is not there.
pub fn slice_header_size_bytes(nal: &[u8], parameter_sets: &ParameterSets) -> Result<usize, BitFault> {
    let mut bits = BitReader::nal_unit(nal);
    let nal_header = NalHeader::read(&mut bits)?;
    let idr_pic_flag = nal_header.nal_unit_type == nal_unit_type::IDR_SLICE;

    let _first_mb_in_slice = bits.ue()?;
    let slice_type = SliceType::read(&mut bits)?;
    let (pps, sps) = read_parameter_sets(&mut bits, parameter_sets)?;
    if sps.separate_colour_plane_flag {
        let _colour_plane_id = bits.u(2)?;
    }
    let _frame_num = bits.u(sps.log2_max_frame_num.into())?;
    let mut field_pic_flag = false;
    if !sps.frame_mbs_only_flag {
        field_pic_flag = bits.flag()?;
        if field_pic_flag {
            let _bottom_field_flag = bits.flag()?;
        }
    }
    if idr_pic_flag {
        let _idr_pic_id = bits.ue()?;
    }
    skip_pic_order_cnt(&mut bits, pps, sps, field_pic_flag)?;
    if pps.redundant_pic_cnt_present_flag {
        let _redundant_pic_cnt = bits.ue()?;
    }

    if slice_type == SliceType::B {
        let _direct_spatial_mv_pred_flag = bits.flag()?;
    }
    if slice_type.is_inter() {
        let num_ref_idx = NumRefIdxActive::read(&mut bits, pps, slice_type, field_pic_flag)?;
        skip_ref_pic_list_modification(&mut bits, slice_type)?;
        let weighted = match slice_type {
            SliceType::B => pps.weighted_bipred_idc == 1,
            _ => pps.weighted_pred_flag,
        };
        if weighted {
            skip_pred_weight_table(&mut bits, sps, &num_ref_idx)?;
        }
    }
    if nal_header.nal_ref_idc != 0 {
        skip_dec_ref_pic_marking(&mut bits, idr_pic_flag)?;
    }

    if pps.entropy_coding_mode_flag && slice_type.is_inter() {
        let _cabac_init_idc = bits.ue_at_most("cabac_init_idc", 2)?;
    }
    let _slice_qp_delta = bits.se()?;
    if matches!(slice_type, SliceType::Sp | SliceType::Si) {
        if slice_type == SliceType::Sp {
            let _sp_for_switch_flag = bits.flag()?;
        }
        let _slice_qs_delta = bits.se()?;
    }
    if pps.deblocking_filter_control_present_flag {
        let disable_deblocking_filter_idc = bits.ue_at_most("disable_deblocking_filter_idc", 2)?;
        if disable_deblocking_filter_idc != 1 {
            let _slice_alpha_c0_offset_div2 = bits.se()?;
            let _slice_beta_offset_div2 = bits.se()?;
        }
    }
    if let Some(slice_group_change_rate) = pps.slice_group_change_rate {
        // Ceil(Log2(PicSizeInMapUnits ÷ SliceGroupChangeRate + 1)) bits, where ÷ is exact (7.4.3).
        let max_slice_group_change_cycle = sps.pic_size_in_map_units.div_ceil(slice_group_change_rate.get());
        let _slice_group_change_cycle = bits.u(u32::BITS - max_slice_group_change_cycle.leading_zeros())?;
    }
    Ok(bits.taken_bytes())
}

/// `pic_parameter_set_id`, and the parameter sets that it activates (7.4.1.2.1).
fn read_parameter_sets<'a>(
    bits: &mut BitReader<'_>,
    parameter_sets: &'a ParameterSets,
) -> Result<(&'a Pps, &'a Sps), BitFault> {
    let pic_parameter_set_id = bits.ue_at_most("pic_parameter_set_id", 255)?;
    let Some(pps) = parameter_sets.pps(pic_parameter_set_id) else {
        return Err(bits.invalid(no_picture_parameter_set(pic_parameter_set_id)));
    };
    let seq_parameter_set_id = pps.seq_parameter_set_id;
    let Some(sps) = parameter_sets.sps(seq_parameter_set_id) else {
        return Err(bits.invalid(no_sequence_parameter_set(pic_parameter_set_id, seq_parameter_set_id)));
    };
    Ok((pps, sps))
}

/// `pic_order_cnt_lsb`, `delta_pic_order_cnt_bottom` and `delta_pic_order_cnt[]`.
fn skip_pic_order_cnt(bits: &mut BitReader<'_>, pps: &Pps, sps: &Sps, field_pic_flag: bool) -> Result<(), BitFault> {
    let bottom_field_too = pps.bottom_field_pic_order_in_frame_present_flag && !field_pic_flag;
    match sps.pic_order_cnt {
        PicOrderCnt::Lsb {
            log2_max_pic_order_cnt_lsb,
        } => {
            let _pic_order_cnt_lsb = bits.u(log2_max_pic_order_cnt_lsb.into())?;
            if bottom_field_too {
                let _delta_pic_order_cnt_bottom = bits.se()?;
            }
        }
        PicOrderCnt::Delta {
            delta_pic_order_always_zero_flag: false,
        } => {
            let _delta_pic_order_cnt_0 = bits.se()?;
            if bottom_field_too {
                let _delta_pic_order_cnt_1 = bits.se()?;
            }
        }
        PicOrderCnt::Delta { .. } | PicOrderCnt::DecodingOrder => {}
    }
    Ok(())
}

/// How many reference pictures the lists of a slice hold.
struct NumRefIdxActive {
    num_ref_idx_l0_active_minus1: u8,
    /// Of B slices, which alone have a second list.
    num_ref_idx_l1_active_minus1: Option<u8>,
}

impl NumRefIdxActive {
    fn read(
        bits: &mut BitReader<'_>,
        pps: &Pps,
        slice_type: SliceType,
        field_pic_flag: bool,
    ) -> Result<Self, BitFault> {
        let [of_frame, of_field] = MAX_NUM_REF_IDX_ACTIVE_MINUS1;
        let max = if field_pic_flag { of_field } else { of_frame };
        let is_b = slice_type == SliceType::B;

        let num_ref_idx_active_override_flag = bits.flag()?;
        if num_ref_idx_active_override_flag {
            return Ok(Self {
                num_ref_idx_l0_active_minus1: bits.ue_at_most("num_ref_idx_l0_active_minus1", max)?,
                num_ref_idx_l1_active_minus1: if is_b {
                    Some(bits.ue_at_most("num_ref_idx_l1_active_minus1", max)?)
                } else {
                    None
                },
            });
        }
        Ok(Self {
            num_ref_idx_l0_active_minus1: pps.num_ref_idx_l0_default_active_minus1,
            num_ref_idx_l1_active_minus1: is_b.then_some(pps.num_ref_idx_l1_default_active_minus1),
        })
    }
}

/// `ref_pic_list_modification()` (7.3.3.1) of a slice that has lists.
fn skip_ref_pic_list_modification(bits: &mut BitReader<'_>, slice_type: SliceType) -> Result<(), BitFault> {
    let lists = if slice_type == SliceType::B { 2 } else { 1 };
    for _ in 0..lists {
        let ref_pic_list_modification_flag = bits.flag()?;
        if !ref_pic_list_modification_flag {
            continue;
        }
        // 3 ends the list.
        while let 0..=2 = bits.ue_at_most("modification_of_pic_nums_idc", 3)? {
            let _abs_diff_pic_num_minus1_or_long_term_pic_num = bits.ue()?;
        }
    }
    Ok(())
}

/// `pred_weight_table()` (7.3.3.2).
fn skip_pred_weight_table(bits: &mut BitReader<'_>, sps: &Sps, num_ref_idx: &NumRefIdxActive) -> Result<(), BitFault> {
    let has_chroma = sps.chroma_array_type() != 0;
    let _luma_log2_weight_denom = bits.ue_at_most("luma_log2_weight_denom", 7)?;
    if has_chroma {
        let _chroma_log2_weight_denom = bits.ue_at_most("chroma_log2_weight_denom", 7)?;
    }
    let l0 = Some(num_ref_idx.num_ref_idx_l0_active_minus1);
    let l1 = num_ref_idx.num_ref_idx_l1_active_minus1;
    for num_ref_idx_active_minus1 in l0.into_iter().chain(l1) {
        for _ in 0..=num_ref_idx_active_minus1 {
            let luma_weight_flag = bits.flag()?;
            if luma_weight_flag {
                let _luma_weight = bits.se()?;
                let _luma_offset = bits.se()?;
            }
            if has_chroma {
                let chroma_weight_flag = bits.flag()?;
                if chroma_weight_flag {
                    for _cb_cr in 0..2 {
                        let _chroma_weight = bits.se()?;
                        let _chroma_offset = bits.se()?;
                    }
                }
            }
        }
    }
    Ok(())
}

/// `dec_ref_pic_marking()` (7.3.3.3) of a reference picture.
fn skip_dec_ref_pic_marking(bits: &mut BitReader<'_>, idr_pic_flag: bool) -> Result<(), BitFault> {
    if idr_pic_flag {
        let _no_output_of_prior_pics_flag = bits.flag()?;
        let _long_term_reference_flag = bits.flag()?;
        return Ok(());
    }
    let adaptive_ref_pic_marking_mode_flag = bits.flag()?;
    if !adaptive_ref_pic_marking_mode_flag {
        return Ok(());
    }
    loop {
        let memory_management_control_operation = bits.ue_at_most("memory_management_control_operation", 6)?;
        if memory_management_control_operation == 0 {
            return Ok(());
        }
        if matches!(memory_management_control_operation, 1 | 3) {
            let _difference_of_pic_nums_minus1 = bits.ue()?;
        }
        if memory_management_control_operation == 2 {
            let _long_term_pic_num = bits.ue()?;
        }
        if matches!(memory_management_control_operation, 3 | 6) {
            let _long_term_frame_idx = bits.ue()?;
        }
        if memory_management_control_operation == 4 {
            let _max_long_term_frame_idx_plus1 = bits.ue()?;
        }
    }
}

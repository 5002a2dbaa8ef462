//! Slice segment header (ITU-T H.265, 7.3.6.1): read for its size alone.
//!
//! Every element is read, because each decides where the next begins; few decide anything else. The names
//! are the standard's.

use super::pps::Pps;
use super::sps::{ShortTermRefPicSet, Sps};
use super::{MAX_DPB_SIZE, MAX_NUM_REF_IDX_ACTIVE_MINUS1, NalHeader, ParameterSets};
use crate::codec::bit_reader::{BitFault, BitReader};
use crate::codec::nal_units::{no_picture_parameter_set, no_sequence_parameter_set};

/// `slice_segment_header_extension_length` is at most this (7.4.7.1).
const MAX_SLICE_SEGMENT_HEADER_EXTENSION_LENGTH: u16 = 256;

/// `slice_type` (table 7-7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SliceType {
    B,
    P,
    I,
}

impl SliceType {
    fn read(bits: &mut BitReader<'_>) -> Result<Self, BitFault> {
        Ok(match bits.ue_at_most("slice_type", 2)? {
            0 => Self::B,
            1 => Self::P,
            _ => Self::I,
        })
    }
}

/// Bytes from the start of the NAL unit to the last one of its slice segment header, `byte_alignment()` included;
/// the NAL unit header and emulation prevention bytes count.
///
/// Only these bytes of `nal`, a slice segment of types 0 to 9 or 16 to 21, are looked at.
///
/// # Errors
/// [`BitFault`] where the header is damaged, or refers to a parameter set that is not there.
pub fn slice_header_size_bytes(nal: &[u8], parameter_sets: &ParameterSets) -> Result<usize, BitFault> {
    let mut bits = BitReader::nal_unit(nal);
    let nal_header = NalHeader::read(&mut bits)?;

    let first_slice_segment_in_pic_flag = bits.flag()?;
    if nal_header.is_irap() {
        let _no_output_of_prior_pics_flag = bits.flag()?;
    }
    let (pps, sps) = read_parameter_sets(&mut bits, parameter_sets)?;
    let mut dependent_slice_segment_flag = false;
    if !first_slice_segment_in_pic_flag {
        if pps.dependent_slice_segments_enabled_flag {
            dependent_slice_segment_flag = bits.flag()?;
        }
        let _slice_segment_address = bits.u(ceil_log2(sps.pic_size_in_ctbs))?;
    }
    if !dependent_slice_segment_flag {
        skip_independent_part(&mut bits, pps, sps, nal_header)?;
    }
    if pps.tiles_enabled_flag || pps.entropy_coding_sync_enabled_flag {
        skip_entry_points(&mut bits, sps)?;
    }
    if pps.slice_segment_header_extension_present_flag {
        let slice_segment_header_extension_length = bits.ue_at_most(
            "slice_segment_header_extension_length",
            MAX_SLICE_SEGMENT_HEADER_EXTENSION_LENGTH,
        )?;
        for _ in 0..slice_segment_header_extension_length {
            let _slice_segment_header_extension_data_byte = bits.u(8)?;
        }
    }
    skip_byte_alignment(&mut bits)?;
    Ok(bits.taken_bytes())
}

/// Ceil(Log2(`values`)): bits of a number from 0 to `values` - 1.
const fn ceil_log2(values: u32) -> u32 {
    u32::BITS - values.saturating_sub(1).leading_zeros()
}

/// `slice_pic_parameter_set_id`, and the parameter sets that it activates (7.4.2.4.2).
fn read_parameter_sets<'a>(
    bits: &mut BitReader<'_>,
    parameter_sets: &'a ParameterSets,
) -> Result<(&'a Pps, &'a Sps), BitFault> {
    let slice_pic_parameter_set_id = bits.ue_at_most("slice_pic_parameter_set_id", 63)?;
    let Some(pps) = parameter_sets.pps(slice_pic_parameter_set_id) else {
        return Err(bits.invalid(no_picture_parameter_set(slice_pic_parameter_set_id)));
    };
    let pps_seq_parameter_set_id = pps.pps_seq_parameter_set_id;
    let Some(sps) = parameter_sets.sps(pps_seq_parameter_set_id) else {
        return Err(bits.invalid(no_sequence_parameter_set(
            slice_pic_parameter_set_id,
            pps_seq_parameter_set_id,
        )));
    };
    Ok((pps, sps))
}

/// What dependent slice segments take from the slice segment in front of them.
fn skip_independent_part(
    bits: &mut BitReader<'_>,
    pps: &Pps,
    sps: &Sps,
    nal_header: NalHeader,
) -> Result<(), BitFault> {
    let _slice_reserved_flags = bits.u(pps.num_extra_slice_header_bits.into())?;
    let slice_type = SliceType::read(bits)?;
    if pps.output_flag_present_flag {
        let _pic_output_flag = bits.flag()?;
    }
    if sps.separate_colour_plane_flag {
        let _colour_plane_id = bits.u(2)?;
    }
    let mut num_used_by_curr_pic = 0;
    let mut slice_temporal_mvp_enabled_flag = false;
    if !nal_header.is_idr() {
        num_used_by_curr_pic = read_reference_pictures(bits, sps)?;
        if sps.sps_temporal_mvp_enabled_flag {
            slice_temporal_mvp_enabled_flag = bits.flag()?;
        }
    }
    let (mut slice_sao_luma_flag, mut slice_sao_chroma_flag) = (false, false);
    if sps.sample_adaptive_offset_enabled_flag {
        slice_sao_luma_flag = bits.flag()?;
        if sps.chroma_array_type() != 0 {
            slice_sao_chroma_flag = bits.flag()?;
        }
    }
    if slice_type != SliceType::I {
        let references = References::read(bits, pps, slice_type, num_used_by_curr_pic)?;
        skip_inter_part(bits, pps, sps, &references, slice_temporal_mvp_enabled_flag)?;
    }

    let _slice_qp_delta = bits.se()?;
    if pps.pps_slice_chroma_qp_offsets_present_flag {
        let _slice_cb_qp_offset = bits.se()?;
        let _slice_cr_qp_offset = bits.se()?;
    }
    if pps.extensions.pps_slice_act_qp_offsets_present_flag {
        let _slice_act_y_qp_offset = bits.se()?;
        let _slice_act_cb_qp_offset = bits.se()?;
        let _slice_act_cr_qp_offset = bits.se()?;
    }
    if pps.extensions.chroma_qp_offset_list_enabled_flag {
        let _cu_chroma_qp_offset_enabled_flag = bits.flag()?;
    }
    let mut deblocking_filter_override_flag = false;
    if pps.deblocking_filter_override_enabled_flag {
        deblocking_filter_override_flag = bits.flag()?;
    }
    let mut slice_deblocking_filter_disabled_flag = pps.pps_deblocking_filter_disabled_flag;
    if deblocking_filter_override_flag {
        slice_deblocking_filter_disabled_flag = bits.flag()?;
        if !slice_deblocking_filter_disabled_flag {
            let _slice_beta_offset_div2 = bits.se()?;
            let _slice_tc_offset_div2 = bits.se()?;
        }
    }
    let is_filtered = slice_sao_luma_flag || slice_sao_chroma_flag || !slice_deblocking_filter_disabled_flag;
    if pps.pps_loop_filter_across_slices_enabled_flag && is_filtered {
        let _slice_loop_filter_across_slices_enabled_flag = bits.flag()?;
    }
    Ok(())
}

/// From `slice_pic_order_cnt_lsb` to the long-term reference pictures; returns how many pictures of both kinds the
/// current one refers to.
fn read_reference_pictures(bits: &mut BitReader<'_>, sps: &Sps) -> Result<u32, BitFault> {
    let _slice_pic_order_cnt_lsb = bits.u(sps.log2_max_pic_order_cnt_lsb.into())?;
    let sets = &*sps.short_term_ref_pic_sets;
    let short_term_ref_pic_set_sps_flag = bits.flag()?;
    let mut num_used_by_curr_pic = if short_term_ref_pic_set_sps_flag {
        // At most 64. With a single set the index has no bits, and is 0.
        let num_short_term_ref_pic_sets = u32::try_from(sets.len()).unwrap_or(u32::MAX);
        let short_term_ref_pic_set_idx = bits.u(ceil_log2(num_short_term_ref_pic_sets))?;
        let set = usize::try_from(short_term_ref_pic_set_idx).ok();
        let Some(set) = set.and_then(|index| sets.get(index)) else {
            return Err(bits.invalid(format!(
                "short_term_ref_pic_set_idx is {short_term_ref_pic_set_idx}, of {num_short_term_ref_pic_sets} sets"
            )));
        };
        set.num_used_by_curr_pic()
    } else {
        ShortTermRefPicSet::read(bits, sets, true)?.num_used_by_curr_pic()
    };

    let Some(long_term_ref_pics) = sps.long_term_ref_pics else {
        return Ok(num_used_by_curr_pic);
    };
    #[expect(clippy::cast_possible_truncation, reason = "16")]
    let max = MAX_DPB_SIZE as u8;
    let num_long_term_ref_pics_sps = long_term_ref_pics.num_long_term_ref_pics_sps;
    let mut num_long_term_sps = 0;
    if num_long_term_ref_pics_sps > 0 {
        num_long_term_sps = bits.ue_at_most("num_long_term_sps", max.min(num_long_term_ref_pics_sps))?;
    }
    let num_long_term_pics = bits.ue_at_most("num_long_term_pics", max - num_long_term_sps)?;
    for pic in 0..num_long_term_sps + num_long_term_pics {
        let used_by_curr_pic_lt = if pic < num_long_term_sps {
            // Without bits where there is but one.
            let lt_idx_sps = bits.u(ceil_log2(num_long_term_ref_pics_sps.into()))?;
            if lt_idx_sps >= num_long_term_ref_pics_sps.into() {
                return Err(bits.invalid(format!(
                    "lt_idx_sps is {lt_idx_sps}, of {num_long_term_ref_pics_sps} pictures"
                )));
            }
            long_term_ref_pics.used_by_curr_pic_lt_sps_flags >> lt_idx_sps & 1
        } else {
            let _poc_lsb_lt = bits.u(sps.log2_max_pic_order_cnt_lsb.into())?;
            bits.u(1)?
        };
        num_used_by_curr_pic += used_by_curr_pic_lt;
        let delta_poc_msb_present_flag = bits.flag()?;
        if delta_poc_msb_present_flag {
            let _delta_poc_msb_cycle_lt = bits.ue()?;
        }
    }
    Ok(num_used_by_curr_pic)
}

/// The lists of reference pictures of a P or B slice.
struct References {
    l0: List,
    /// Of B slices, which alone have a second list.
    l1: Option<List>,
}

/// One list of reference pictures.
struct List {
    num_ref_idx_active_minus1: u8,
    /// Which entries are the current picture itself, the first in the least significant bit.
    current_picture: u16,
}

impl References {
    /// From `num_ref_idx_active_override_flag` to `ref_pic_lists_modification()`.
    fn read(
        bits: &mut BitReader<'_>,
        pps: &Pps,
        slice_type: SliceType,
        num_used_by_curr_pic: u32,
    ) -> Result<Self, BitFault> {
        let mut l0 = pps.num_ref_idx_l0_default_active_minus1;
        let mut l1 = pps.num_ref_idx_l1_default_active_minus1;
        let is_b = slice_type == SliceType::B;
        let num_ref_idx_active_override_flag = bits.flag()?;
        if num_ref_idx_active_override_flag {
            l0 = bits.ue_at_most("num_ref_idx_l0_active_minus1", MAX_NUM_REF_IDX_ACTIVE_MINUS1)?;
            if is_b {
                l1 = bits.ue_at_most("num_ref_idx_l1_active_minus1", MAX_NUM_REF_IDX_ACTIVE_MINUS1)?;
            }
        }
        let num_pic_total_curr = num_used_by_curr_pic + u32::from(pps.extensions.pps_curr_pic_ref_enabled_flag);
        let l0 = List::read(bits, pps, l0, num_pic_total_curr, true)?;
        let l1 = if is_b {
            Some(List::read(bits, pps, l1, num_pic_total_curr, false)?)
        } else {
            None
        };
        Ok(Self { l0, l1 })
    }

    fn lists(&self) -> impl Iterator<Item = &List> {
        [&self.l0].into_iter().chain(&self.l1)
    }
}

impl List {
    /// One list of `ref_pic_lists_modification()` (7.3.6.2), where it is present, and what it makes of the list (8.3.4).
    fn read(
        bits: &mut BitReader<'_>,
        pps: &Pps,
        num_ref_idx_active_minus1: u8,
        num_pic_total_curr: u32,
        is_l0: bool,
    ) -> Result<Self, BitFault> {
        let mut ref_pic_list_modification_flag = false;
        if pps.lists_modification_present_flag && num_pic_total_curr > 1 {
            ref_pic_list_modification_flag = bits.flag()?;
        }
        let mut current_picture = 0;
        for entry in 0..=num_ref_idx_active_minus1 {
            let mut list_entry = entry.into();
            if ref_pic_list_modification_flag {
                list_entry = bits.u(ceil_log2(num_pic_total_curr))?;
            }
            // The list before modification goes round: all pictures referred to, and the current one as their last.
            let is_last = list_entry.checked_rem(num_pic_total_curr) == num_pic_total_curr.checked_sub(1);
            current_picture |= u16::from(is_last) << entry;
        }
        // A first list that is too short for the current picture ends with it all the same.
        if is_l0 && !ref_pic_list_modification_flag && num_pic_total_curr > u32::from(num_ref_idx_active_minus1) + 1 {
            current_picture |= 1 << num_ref_idx_active_minus1;
        }
        if !pps.extensions.pps_curr_pic_ref_enabled_flag {
            current_picture = 0;
        }
        Ok(Self {
            num_ref_idx_active_minus1,
            current_picture,
        })
    }

    /// For each entry, whether it is another picture than the current one.
    fn other_pictures(&self) -> impl Iterator<Item = bool> {
        (0..=self.num_ref_idx_active_minus1).map(|entry| self.current_picture >> entry & 1 == 0)
    }
}

/// From `mvd_l1_zero_flag` to `use_integer_mv_flag` of a P or B slice.
fn skip_inter_part(
    bits: &mut BitReader<'_>,
    pps: &Pps,
    sps: &Sps,
    references: &References,
    slice_temporal_mvp_enabled_flag: bool,
) -> Result<(), BitFault> {
    if references.l1.is_some() {
        let _mvd_l1_zero_flag = bits.flag()?;
    }
    if pps.cabac_init_present_flag {
        let _cabac_init_flag = bits.flag()?;
    }
    if slice_temporal_mvp_enabled_flag {
        let mut collocated = &references.l0;
        if let Some(l1) = &references.l1 {
            let collocated_from_l0_flag = bits.flag()?;
            if !collocated_from_l0_flag {
                collocated = l1;
            }
        }
        if collocated.num_ref_idx_active_minus1 > 0 {
            let _collocated_ref_idx = bits.ue()?;
        }
    }
    let weighted = match references.l1 {
        Some(_) => pps.weighted_bipred_flag,
        None => pps.weighted_pred_flag,
    };
    if weighted {
        skip_pred_weight_table(bits, sps, references)?;
    }
    let _five_minus_max_num_merge_cand = bits.ue_at_most("five_minus_max_num_merge_cand", 4)?;
    if sps.motion_vector_resolution_control_idc == 2 {
        let _use_integer_mv_flag = bits.flag()?;
    }
    Ok(())
}

/// `pred_weight_table()` (7.3.6.3).
fn skip_pred_weight_table(bits: &mut BitReader<'_>, sps: &Sps, references: &References) -> Result<(), BitFault> {
    let has_chroma = sps.chroma_array_type() != 0;
    let _luma_log2_weight_denom = bits.ue_at_most("luma_log2_weight_denom", 7)?;
    if has_chroma {
        let _delta_chroma_log2_weight_denom = bits.se()?;
    }
    for list in references.lists() {
        let luma_weight_flags = read_weight_flags(bits, list)?;
        let mut chroma_weight_flags = 0;
        if has_chroma {
            chroma_weight_flags = read_weight_flags(bits, list)?;
        }
        for entry in 0..=list.num_ref_idx_active_minus1 {
            if luma_weight_flags >> entry & 1 == 1 {
                let _delta_luma_weight = bits.se()?;
                let _luma_offset = bits.se()?;
            }
            if chroma_weight_flags >> entry & 1 == 1 {
                for _cb_cr in 0..2 {
                    let _delta_chroma_weight = bits.se()?;
                    let _delta_chroma_offset = bits.se()?;
                }
            }
        }
    }
    Ok(())
}

/// `luma_weight_l0_flag[]` and its like, the first in the least significant bit: the current picture, by its picture
/// order count, has none.
fn read_weight_flags(bits: &mut BitReader<'_>, list: &List) -> Result<u16, BitFault> {
    let mut flags = 0;
    for (entry, is_other) in list.other_pictures().enumerate() {
        if is_other {
            flags |= u16::from(bits.flag()?) << entry;
        }
    }
    Ok(flags)
}

/// Where the parts of a slice that are decoded side by side begin: of tiles, of wavefronts, or of both.
fn skip_entry_points(bits: &mut BitReader<'_>, sps: &Sps) -> Result<(), BitFault> {
    // Each part has a coding tree unit of its own (7.4.7.1).
    let num_entry_point_offsets = bits.ue_at_most("num_entry_point_offsets", sps.pic_size_in_ctbs.saturating_sub(1))?;
    if num_entry_point_offsets > 0 {
        let offset_len_minus1 = bits.ue_at_most("offset_len_minus1", 31_u32)?;
        for _ in 0..num_entry_point_offsets {
            let _entry_point_offset_minus1 = bits.u(offset_len_minus1 + 1)?;
        }
    }
    Ok(())
}

/// `byte_alignment()` (7.3.2.15): at least one bit, so that a header which ends with a byte takes another.
///
/// Its bits are fixed. Any other value means that the header was not what its parameter sets say.
fn skip_byte_alignment(bits: &mut BitReader<'_>) -> Result<(), BitFault> {
    let alignment_bit_equal_to_one = bits.flag()?;
    let alignment_bits_equal_to_zero = bits.u(bits.bits_to_byte_boundary())?;
    if !alignment_bit_equal_to_one || alignment_bits_equal_to_zero != 0 {
        return Err(bits.invalid(
            "a slice header does not end with a one bit and zero bits up to a byte boundary: \
             it is damaged, or not of the parameter sets that it refers to",
        ));
    }
    Ok(())
}

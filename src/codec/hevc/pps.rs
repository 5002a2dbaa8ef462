//! Picture parameter set (ITU-T H.265, 7.3.2.3), as far as slice segment headers depend on it.

use super::MAX_NUM_REF_IDX_ACTIVE_MINUS1;
use super::sps::skip_scaling_list_data;
use crate::codec::bit_reader::{BitFault, BitReader};

/// The syntax elements that a slice segment header's size depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "the standard's flags, by their names")]
pub struct Pps {
    /// `pps_pic_parameter_set_id`, 0 to 63.
    pub pps_pic_parameter_set_id: u8,
    /// `pps_seq_parameter_set_id`, 0 to 15: the sequence parameter set that this one refers to.
    pub pps_seq_parameter_set_id: u8,
    /// `dependent_slice_segments_enabled_flag`.
    pub dependent_slice_segments_enabled_flag: bool,
    /// `output_flag_present_flag`.
    pub output_flag_present_flag: bool,
    /// `num_extra_slice_header_bits`, 0 to 7.
    pub num_extra_slice_header_bits: u8,
    /// `cabac_init_present_flag`.
    pub cabac_init_present_flag: bool,
    /// `num_ref_idx_l0_default_active_minus1`.
    pub num_ref_idx_l0_default_active_minus1: u8,
    /// `num_ref_idx_l1_default_active_minus1`.
    pub num_ref_idx_l1_default_active_minus1: u8,
    /// `pps_slice_chroma_qp_offsets_present_flag`.
    pub pps_slice_chroma_qp_offsets_present_flag: bool,
    /// `weighted_pred_flag`: P slices carry weights.
    pub weighted_pred_flag: bool,
    /// `weighted_bipred_flag`: B slices carry weights.
    pub weighted_bipred_flag: bool,
    /// `tiles_enabled_flag`.
    pub tiles_enabled_flag: bool,
    /// `entropy_coding_sync_enabled_flag`: wavefronts.
    pub entropy_coding_sync_enabled_flag: bool,
    /// `pps_loop_filter_across_slices_enabled_flag`.
    pub pps_loop_filter_across_slices_enabled_flag: bool,
    /// `deblocking_filter_override_enabled_flag`.
    pub deblocking_filter_override_enabled_flag: bool,
    /// `pps_deblocking_filter_disabled_flag`: what slices that say nothing do.
    pub pps_deblocking_filter_disabled_flag: bool,
    /// `lists_modification_present_flag`.
    pub lists_modification_present_flag: bool,
    /// `slice_segment_header_extension_present_flag`.
    pub slice_segment_header_extension_present_flag: bool,
    /// What the extensions say.
    pub extensions: Extensions,
}

/// What `pps_range_extension()` (7.3.2.3.2) and `pps_scc_extension()` (7.3.2.3.3) say; all false without them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extensions {
    /// `chroma_qp_offset_list_enabled_flag`.
    pub chroma_qp_offset_list_enabled_flag: bool,
    /// `pps_curr_pic_ref_enabled_flag`: a picture may refer to itself.
    pub pps_curr_pic_ref_enabled_flag: bool,
    /// `pps_slice_act_qp_offsets_present_flag`.
    pub pps_slice_act_qp_offsets_present_flag: bool,
}

impl Pps {
    /// Reads a NAL unit of type 34, from its header up to the last element that slice segment headers depend on.
    ///
    /// # Errors
    /// [`BitFault`] where it ends before, or where a value is out of the standard's range.
    pub fn parse(nal: &[u8]) -> Result<Self, BitFault> {
        let mut bits = BitReader::nal_unit(nal);
        let _nal_unit_header = bits.u(16)?;

        let pps_pic_parameter_set_id = bits.ue_at_most("pps_pic_parameter_set_id", 63)?;
        let pps_seq_parameter_set_id = bits.ue_at_most("pps_seq_parameter_set_id", 15)?;
        let dependent_slice_segments_enabled_flag = bits.flag()?;
        let output_flag_present_flag = bits.flag()?;
        let [num_extra_slice_header_bits, ..] = bits.u(3)?.to_le_bytes();
        let _sign_data_hiding_enabled_flag = bits.flag()?;
        let cabac_init_present_flag = bits.flag()?;
        let num_ref_idx_l0_default_active_minus1 =
            bits.ue_at_most("num_ref_idx_l0_default_active_minus1", MAX_NUM_REF_IDX_ACTIVE_MINUS1)?;
        let num_ref_idx_l1_default_active_minus1 =
            bits.ue_at_most("num_ref_idx_l1_default_active_minus1", MAX_NUM_REF_IDX_ACTIVE_MINUS1)?;
        let _init_qp_minus26 = bits.se()?;
        let _constrained_intra_pred_flag = bits.flag()?;
        let transform_skip_enabled_flag = bits.flag()?;
        let cu_qp_delta_enabled_flag = bits.flag()?;
        if cu_qp_delta_enabled_flag {
            let _diff_cu_qp_delta_depth = bits.ue()?;
        }
        let _pps_cb_qp_offset = bits.se()?;
        let _pps_cr_qp_offset = bits.se()?;
        let pps_slice_chroma_qp_offsets_present_flag = bits.flag()?;
        let weighted_pred_flag = bits.flag()?;
        let weighted_bipred_flag = bits.flag()?;
        let _transquant_bypass_enabled_flag = bits.flag()?;
        let tiles_enabled_flag = bits.flag()?;
        let entropy_coding_sync_enabled_flag = bits.flag()?;
        if tiles_enabled_flag {
            skip_tiles(&mut bits)?;
        }
        let pps_loop_filter_across_slices_enabled_flag = bits.flag()?;
        let deblocking_filter_control_present_flag = bits.flag()?;
        let mut deblocking_filter_override_enabled_flag = false;
        let mut pps_deblocking_filter_disabled_flag = false;
        if deblocking_filter_control_present_flag {
            deblocking_filter_override_enabled_flag = bits.flag()?;
            pps_deblocking_filter_disabled_flag = bits.flag()?;
            if !pps_deblocking_filter_disabled_flag {
                let _pps_beta_offset_div2 = bits.se()?;
                let _pps_tc_offset_div2 = bits.se()?;
            }
        }
        let pps_scaling_list_data_present_flag = bits.flag()?;
        if pps_scaling_list_data_present_flag {
            skip_scaling_list_data(&mut bits)?;
        }
        let lists_modification_present_flag = bits.flag()?;
        let _log2_parallel_merge_level_minus2 = bits.ue()?;
        let slice_segment_header_extension_present_flag = bits.flag()?;
        let pps_extension_present_flag = bits.flag()?;
        let extensions = if pps_extension_present_flag {
            Extensions::read(&mut bits, transform_skip_enabled_flag)?
        } else {
            Extensions::default()
        };

        Ok(Self {
            pps_pic_parameter_set_id,
            pps_seq_parameter_set_id,
            dependent_slice_segments_enabled_flag,
            output_flag_present_flag,
            num_extra_slice_header_bits,
            cabac_init_present_flag,
            num_ref_idx_l0_default_active_minus1,
            num_ref_idx_l1_default_active_minus1,
            pps_slice_chroma_qp_offsets_present_flag,
            weighted_pred_flag,
            weighted_bipred_flag,
            tiles_enabled_flag,
            entropy_coding_sync_enabled_flag,
            pps_loop_filter_across_slices_enabled_flag,
            deblocking_filter_override_enabled_flag,
            pps_deblocking_filter_disabled_flag,
            lists_modification_present_flag,
            slice_segment_header_extension_present_flag,
            extensions,
        })
    }
}

/// The grid of tiles, of which slice segment headers see nothing but that it is there.
fn skip_tiles(bits: &mut BitReader<'_>) -> Result<(), BitFault> {
    // Of level 6.2 the largest pictures have 20 columns and 22 rows (table A.8); the values are no more than bounded here.
    let num_tile_columns_minus1 = bits.ue_at_most("num_tile_columns_minus1", u8::MAX)?;
    let num_tile_rows_minus1 = bits.ue_at_most("num_tile_rows_minus1", u8::MAX)?;
    let uniform_spacing_flag = bits.flag()?;
    if !uniform_spacing_flag {
        for _ in 0..num_tile_columns_minus1 {
            let _column_width_minus1 = bits.ue()?;
        }
        for _ in 0..num_tile_rows_minus1 {
            let _row_height_minus1 = bits.ue()?;
        }
    }
    let _loop_filter_across_tiles_enabled_flag = bits.flag()?;
    Ok(())
}

impl Extensions {
    /// Reads the flags of the extensions and those of them that matter here.
    fn read(bits: &mut BitReader<'_>, transform_skip_enabled_flag: bool) -> Result<Self, BitFault> {
        let pps_range_extension_flag = bits.flag()?;
        let pps_multilayer_extension_flag = bits.flag()?;
        let pps_3d_extension_flag = bits.flag()?;
        let pps_scc_extension_flag = bits.flag()?;
        let _pps_extension_4bits = bits.u(4)?;

        let mut extensions = Self::default();
        if pps_range_extension_flag {
            extensions.read_range_extension(bits, transform_skip_enabled_flag)?;
        }
        if pps_scc_extension_flag {
            // Both stand in front of it. The profiles of screen content have one layer (A.3.7, A.3.8), and a base
            // layer of several has none of its tools.
            if pps_multilayer_extension_flag || pps_3d_extension_flag {
                return Err(bits.invalid(
                    "a picture parameter set has the extensions of screen content and of several layers, \
                     expected one of them",
                ));
            }
            extensions.read_scc_extension(bits)?;
        }
        Ok(extensions)
    }

    fn read_range_extension(
        &mut self,
        bits: &mut BitReader<'_>,
        transform_skip_enabled_flag: bool,
    ) -> Result<(), BitFault> {
        if transform_skip_enabled_flag {
            let _log2_max_transform_skip_block_size_minus2 = bits.ue()?;
        }
        let _cross_component_prediction_enabled_flag = bits.flag()?;
        self.chroma_qp_offset_list_enabled_flag = bits.flag()?;
        if self.chroma_qp_offset_list_enabled_flag {
            let _diff_cu_chroma_qp_offset_depth = bits.ue()?;
            let chroma_qp_offset_list_len_minus1 = bits.ue_at_most("chroma_qp_offset_list_len_minus1", 5)?;
            for _ in 0..=chroma_qp_offset_list_len_minus1 {
                let _cb_qp_offset_list = bits.se()?;
                let _cr_qp_offset_list = bits.se()?;
            }
        }
        let _log2_sao_offset_scale_luma = bits.ue()?;
        let _log2_sao_offset_scale_chroma = bits.ue()?;
        Ok(())
    }

    /// Up to `pps_slice_act_qp_offsets_present_flag`.
    fn read_scc_extension(&mut self, bits: &mut BitReader<'_>) -> Result<(), BitFault> {
        self.pps_curr_pic_ref_enabled_flag = bits.flag()?;
        let residual_adaptive_colour_transform_enabled_flag = bits.flag()?;
        if residual_adaptive_colour_transform_enabled_flag {
            self.pps_slice_act_qp_offsets_present_flag = bits.flag()?;
        }
        Ok(())
    }
}

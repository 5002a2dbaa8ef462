//! Sequence parameter set (ITU-T H.265, 7.3.2.2), as far as slice segment headers depend on it.

use super::MAX_DPB_SIZE;
use crate::codec::bit_reader::{BitFault, BitReader};
use crate::codec::vui;

/// `num_short_term_ref_pic_sets` is at most this (7.4.3.2.1).
const MAX_NUM_SHORT_TERM_REF_PIC_SETS: u8 = 64;

/// `num_long_term_ref_pics_sps` is at most this (7.4.3.2.1).
const MAX_NUM_LONG_TERM_REF_PICS_SPS: u8 = 32;

/// `delta_poc_s0_minus1`, `delta_poc_s1_minus1` and `abs_delta_rps_minus1` are at most this (7.4.8).
const MAX_DELTA_POC_MINUS1: u16 = (1 << 15) - 1;

/// The profiles of screen content coding (A.3.7) and of its high throughput kind (A.3.8).
const SCC_PROFILES: [u32; 2] = [9, 11];

/// The syntax elements that a slice segment header's size depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sps {
    /// `sps_seq_parameter_set_id`, 0 to 15.
    pub sps_seq_parameter_set_id: u8,
    /// `chroma_format_idc`: 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4.
    pub chroma_format_idc: u8,
    /// `separate_colour_plane_flag`: three monochrome pictures make one 4:4:4 picture.
    pub separate_colour_plane_flag: bool,
    /// `BitDepthY`, in bits.
    pub bit_depth_luma: u8,
    /// `BitDepthC`, in bits.
    pub bit_depth_chroma: u8,
    /// `log2_max_pic_order_cnt_lsb_minus4` + 4: bits of `slice_pic_order_cnt_lsb`.
    pub log2_max_pic_order_cnt_lsb: u8,
    /// `PicSizeInCtbsY` (7.4.3.2.1), not 0.
    pub pic_size_in_ctbs: u32,
    /// `sample_adaptive_offset_enabled_flag`.
    pub sample_adaptive_offset_enabled_flag: bool,
    /// The candidates of slices, `num_short_term_ref_pic_sets` of them.
    pub short_term_ref_pic_sets: Vec<ShortTermRefPicSet>,
    /// `long_term_ref_pics_present_flag`, and what slices may refer to by an index.
    pub long_term_ref_pics: Option<LongTermRefPics>,
    /// `sps_temporal_mvp_enabled_flag`.
    pub sps_temporal_mvp_enabled_flag: bool,
    /// `motion_vector_resolution_control_idc` of `sps_scc_extension()`, 0 to 2.
    pub motion_vector_resolution_control_idc: u8,
    /// `transfer_characteristics` of the VUI (E.3.1), where it says them.
    pub transfer_characteristics: Option<u8>,
}

/// The long-term reference pictures that a sequence parameter set lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LongTermRefPics {
    /// `num_long_term_ref_pics_sps`, at most 32.
    pub num_long_term_ref_pics_sps: u8,
    /// `used_by_curr_pic_lt_sps_flag`, that of picture 0 in the least significant bit.
    pub used_by_curr_pic_lt_sps_flags: u32,
}

impl Sps {
    /// Reads a NAL unit of type 33, from its header up to the last element that slice segment headers depend on.
    ///
    /// # Errors
    /// [`BitFault`] where it ends before, or where a value is out of the standard's range.
    pub fn parse(nal: &[u8]) -> Result<Self, BitFault> {
        let mut bits = BitReader::nal_unit(nal);
        let _nal_unit_header = bits.u(16)?;

        let _sps_video_parameter_set_id = bits.u(4)?;
        let sps_max_sub_layers_minus1 = bits.u(3)?;
        if sps_max_sub_layers_minus1 == 7 {
            return Err(bits.invalid("sps_max_sub_layers_minus1 is 7, expected at most 6"));
        }
        let _sps_temporal_id_nesting_flag = bits.flag()?;
        let is_screen_content = read_profile_tier_level(&mut bits, sps_max_sub_layers_minus1)?;
        let sps_seq_parameter_set_id = bits.ue_at_most("sps_seq_parameter_set_id", 15)?;
        let chroma_format_idc = bits.ue_at_most("chroma_format_idc", 3)?;
        let separate_colour_plane_flag = chroma_format_idc == 3 && bits.flag()?;
        let pic_width_in_luma_samples = bits.ue()?;
        let pic_height_in_luma_samples = bits.ue()?;
        skip_window(&mut bits)?;
        let bit_depth_luma = bits.ue_at_most("bit_depth_luma_minus8", 8)? + 8;
        let bit_depth_chroma = bits.ue_at_most("bit_depth_chroma_minus8", 8)? + 8;
        let log2_max_pic_order_cnt_lsb = bits.ue_at_most("log2_max_pic_order_cnt_lsb_minus4", 12)? + 4;
        let sps_sub_layer_ordering_info_present_flag = bits.flag()?;
        let sub_layers = if sps_sub_layer_ordering_info_present_flag {
            sps_max_sub_layers_minus1
        } else {
            0
        };
        for _ in 0..=sub_layers {
            let _sps_max_dec_pic_buffering_minus1 = bits.ue()?;
            let _sps_max_num_reorder_pics = bits.ue()?;
            let _sps_max_latency_increase_plus1 = bits.ue()?;
        }
        let pic_size_in_ctbs = read_pic_size_in_ctbs(&mut bits, pic_width_in_luma_samples, pic_height_in_luma_samples)?;
        let _log2_min_luma_transform_block_size_minus2 = bits.ue()?;
        let _log2_diff_max_min_luma_transform_block_size = bits.ue()?;
        let _max_transform_hierarchy_depth_inter = bits.ue()?;
        let _max_transform_hierarchy_depth_intra = bits.ue()?;
        let scaling_list_enabled_flag = bits.flag()?;
        if scaling_list_enabled_flag {
            let sps_scaling_list_data_present_flag = bits.flag()?;
            if sps_scaling_list_data_present_flag {
                skip_scaling_list_data(&mut bits)?;
            }
        }
        let _amp_enabled_flag = bits.flag()?;
        let sample_adaptive_offset_enabled_flag = bits.flag()?;
        let pcm_enabled_flag = bits.flag()?;
        if pcm_enabled_flag {
            let _pcm_sample_bit_depths_minus1 = bits.u(8)?;
            let _log2_min_pcm_luma_coding_block_size_minus3 = bits.ue()?;
            let _log2_diff_max_min_pcm_luma_coding_block_size = bits.ue()?;
            let _pcm_loop_filter_disabled_flag = bits.flag()?;
        }
        let short_term_ref_pic_sets = read_short_term_ref_pic_sets(&mut bits)?;
        let long_term_ref_pics_present_flag = bits.flag()?;
        let long_term_ref_pics = if long_term_ref_pics_present_flag {
            Some(LongTermRefPics::read(&mut bits, log2_max_pic_order_cnt_lsb)?)
        } else {
            None
        };
        let sps_temporal_mvp_enabled_flag = bits.flag()?;
        let _strong_intra_smoothing_enabled_flag = bits.flag()?;
        let transfer_characteristics = vui::transfer_characteristics(&bits);
        // All other profiles have a value of 0 there (A.3), and what stands in front, the VUI, is what encoders get
        // wrong: it is not read where nothing depends on it.
        let motion_vector_resolution_control_idc = if is_screen_content {
            read_motion_vector_resolution_control_idc(
                &mut bits,
                sps_max_sub_layers_minus1,
                chroma_format_idc,
                [bit_depth_luma, bit_depth_chroma],
            )?
        } else {
            0
        };

        Ok(Self {
            sps_seq_parameter_set_id,
            chroma_format_idc,
            separate_colour_plane_flag,
            bit_depth_luma,
            bit_depth_chroma,
            log2_max_pic_order_cnt_lsb,
            pic_size_in_ctbs,
            sample_adaptive_offset_enabled_flag,
            short_term_ref_pic_sets,
            long_term_ref_pics,
            sps_temporal_mvp_enabled_flag,
            motion_vector_resolution_control_idc,
            transfer_characteristics,
        })
    }

    /// `ChromaArrayType` (7.4.3.2.1): the chroma format as each colour plane is decoded.
    #[must_use]
    pub const fn chroma_array_type(&self) -> u8 {
        if self.separate_colour_plane_flag {
            0
        } else {
            self.chroma_format_idc
        }
    }
}

/// `profile_tier_level()` (7.3.3); returns whether the profile is one of screen content coding.
fn read_profile_tier_level(bits: &mut BitReader<'_>, max_num_sub_layers_minus1: u32) -> Result<bool, BitFault> {
    let _general_profile_space_and_tier_flag = bits.u(3)?;
    let general_profile_idc = bits.u(5)?;
    let general_profile_compatibility_flags = bits.u(32)?;
    skip_constraint_flags(bits)?;
    let _general_level_idc = bits.u(8)?;

    // Two flags for each sub-layer, with reserved ones up to eight sub-layers where there are several.
    let mut sub_layer_flags = 0;
    if max_num_sub_layers_minus1 > 0 {
        sub_layer_flags = bits.u(16)?;
    }
    for sub_layer in 0..max_num_sub_layers_minus1 {
        let flags = sub_layer_flags >> (14 - 2 * sub_layer);
        let (sub_layer_profile_present_flag, sub_layer_level_present_flag) = (flags & 2 != 0, flags & 1 != 0);
        if sub_layer_profile_present_flag {
            let _sub_layer_profile = bits.u(8)?;
            let _sub_layer_profile_compatibility_flags = bits.u(32)?;
            skip_constraint_flags(bits)?;
        }
        if sub_layer_level_present_flag {
            let _sub_layer_level_idc = bits.u(8)?;
        }
    }
    let is_compatible = |profile: &u32| general_profile_compatibility_flags >> (31 - profile) & 1 == 1;
    Ok(SCC_PROFILES.contains(&general_profile_idc) || SCC_PROFILES.iter().any(is_compatible))
}

/// The 48 bits from `general_progressive_source_flag` on, or those of a sub-layer.
fn skip_constraint_flags(bits: &mut BitReader<'_>) -> Result<(), BitFault> {
    bits.u(32)?;
    bits.u(16)?;
    Ok(())
}

/// `conformance_window_flag`, or `default_display_window_flag`, and four offsets.
fn skip_window(bits: &mut BitReader<'_>) -> Result<(), BitFault> {
    if bits.flag()? {
        for _ in 0..4 {
            let _offset = bits.ue()?;
        }
    }
    Ok(())
}

/// The sizes of coding blocks, which make `PicSizeInCtbsY` (7.4.3.2.1) of the picture's size.
fn read_pic_size_in_ctbs(bits: &mut BitReader<'_>, width: u32, height: u32) -> Result<u32, BitFault> {
    // The sum of both and 3 is CtbLog2SizeY, 4 to 6 in every profile (A.3).
    let log2_min_luma_coding_block_size_minus3 = bits.ue_at_most("log2_min_luma_coding_block_size_minus3", 3)?;
    let log2_diff_max_min_luma_coding_block_size = bits.ue_at_most(
        "log2_diff_max_min_luma_coding_block_size",
        3 - log2_min_luma_coding_block_size_minus3,
    )?;
    let ctb_size = 8 << (log2_min_luma_coding_block_size_minus3 + log2_diff_max_min_luma_coding_block_size);
    let pic_size_in_ctbs = width.div_ceil(ctb_size).checked_mul(height.div_ceil(ctb_size));
    match pic_size_in_ctbs {
        Some(0) | None => Err(bits.invalid(format!(
            "a picture of {width} x {height} samples, expected a size that a level allows"
        ))),
        Some(pic_size_in_ctbs) => Ok(pic_size_in_ctbs),
    }
}

/// `scaling_list_data()` (7.3.4).
///
/// # Errors
/// [`BitFault`] where it ends early.
pub(super) fn skip_scaling_list_data(bits: &mut BitReader<'_>) -> Result<(), BitFault> {
    for size_id in 0..4 {
        let (lists, coefficients) = match size_id {
            0 => (6, 16),
            1 | 2 => (6, 64),
            _ => (2, 64), // Of 32x32, one for luma of each prediction mode.
        };
        for _matrix_id in 0..lists {
            let scaling_list_pred_mode_flag = bits.flag()?;
            if !scaling_list_pred_mode_flag {
                let _scaling_list_pred_matrix_id_delta = bits.ue()?;
                continue;
            }
            if size_id > 1 {
                let _scaling_list_dc_coef_minus8 = bits.se()?;
            }
            for _ in 0..coefficients {
                let _scaling_list_delta_coef = bits.se()?;
            }
        }
    }
    Ok(())
}

/// A short-term reference picture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct ShortTermRefPic {
    /// `DeltaPocS0` or `DeltaPocS1`: its picture order count, less that of the picture which refers to it.
    delta_poc: i32,
    /// `UsedByCurrPicS0` or `UsedByCurrPicS1`.
    used_by_curr_pic: bool,
}

/// A short-term reference picture set (7.4.8): what may be referred to, nearest first, before the picture and then
/// behind it in output order.
///
/// A set may be coded as differences from an earlier one, whose pictures decide how many elements that takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ShortTermRefPicSet {
    pics: [ShortTermRefPic; MAX_DPB_SIZE],
    /// `NumDeltaPocs`.
    num_delta_pocs: usize,
}

impl ShortTermRefPicSet {
    /// `st_ref_pic_set(stRpsIdx)` (7.3.7) behind the `earlier` sets, of a sequence parameter set or, where `in_slice`
    /// says so, of a slice.
    ///
    /// # Errors
    /// [`BitFault`] where it ends early, or has more pictures than a decoder holds.
    pub fn read(bits: &mut BitReader<'_>, earlier: &[Self], in_slice: bool) -> Result<Self, BitFault> {
        // stRpsIdx is the number of earlier sets.
        let mut inter_ref_pic_set_prediction_flag = false;
        if !earlier.is_empty() {
            inter_ref_pic_set_prediction_flag = bits.flag()?;
        }
        if inter_ref_pic_set_prediction_flag {
            Self::read_predicted(bits, earlier, in_slice)
        } else {
            Self::read_explicit(bits)
        }
    }

    fn read_explicit(bits: &mut BitReader<'_>) -> Result<Self, BitFault> {
        let mut set = Self::default();
        #[expect(clippy::cast_possible_truncation, reason = "16")]
        let max = MAX_DPB_SIZE as u8;
        let num_negative_pics = bits.ue_at_most("num_negative_pics", max)?;
        let num_positive_pics = bits.ue_at_most("num_positive_pics", max - num_negative_pics)?;
        for (pics, sign) in [(num_negative_pics, -1), (num_positive_pics, 1)] {
            let mut delta_poc = 0;
            for _ in 0..pics {
                let delta_poc_minus1 = bits.ue_at_most("delta_poc_minus1", MAX_DELTA_POC_MINUS1)?;
                delta_poc += sign * (i32::from(delta_poc_minus1) + 1);
                let used_by_curr_pic = bits.flag()?;
                set.push(bits, delta_poc, used_by_curr_pic)?;
            }
        }
        Ok(set)
    }

    fn read_predicted(bits: &mut BitReader<'_>, earlier: &[Self], in_slice: bool) -> Result<Self, BitFault> {
        // Of a sequence parameter set, each is predicted from the one before.
        let mut delta_idx_minus1 = 0;
        if in_slice {
            delta_idx_minus1 = bits.ue()?;
        }
        let reference = usize::try_from(delta_idx_minus1).ok();
        let Some(reference) = reference.and_then(|delta_idx_minus1| earlier.iter().rev().nth(delta_idx_minus1)) else {
            let sets = earlier.len();
            return Err(bits.invalid(format!("delta_idx_minus1 is {delta_idx_minus1}, of {sets} sets")));
        };
        let delta_rps_sign = bits.flag()?;
        let abs_delta_rps = i32::from(bits.ue_at_most("abs_delta_rps_minus1", MAX_DELTA_POC_MINUS1)?) + 1;
        let delta_rps = if delta_rps_sign { -abs_delta_rps } else { abs_delta_rps };

        let mut set = Self::default();
        // The last is the picture that the other set belongs to.
        let itself = ShortTermRefPic::default();
        for pic in reference.pics().iter().chain([&itself]) {
            let used_by_curr_pic = bits.flag()?;
            let mut use_delta_flag = true;
            if !used_by_curr_pic {
                use_delta_flag = bits.flag()?;
            }
            // What comes to stand at the picture itself is left out (7-61, 7-62).
            let delta_poc = pic.delta_poc + delta_rps;
            if use_delta_flag && delta_poc != 0 {
                set.push(bits, delta_poc, used_by_curr_pic)?;
            }
        }
        set.sort();
        Ok(set)
    }

    fn push(&mut self, bits: &BitReader<'_>, delta_poc: i32, used_by_curr_pic: bool) -> Result<(), BitFault> {
        let Some(pic) = self.pics.get_mut(self.num_delta_pocs) else {
            return Err(bits.invalid(format!(
                "a reference picture set of more than {MAX_DPB_SIZE} pictures, expected what a decoder can hold"
            )));
        };
        *pic = ShortTermRefPic {
            delta_poc,
            used_by_curr_pic,
        };
        self.num_delta_pocs += 1;
        Ok(())
    }

    /// The order of (7-61) and (7-62), which sets that are predicted from this one count on.
    fn sort(&mut self) {
        if let Some(pics) = self.pics.get_mut(..self.num_delta_pocs) {
            pics.sort_unstable_by_key(|pic| (pic.delta_poc > 0, pic.delta_poc.abs()));
        }
    }

    fn pics(&self) -> &[ShortTermRefPic] {
        self.pics.get(..self.num_delta_pocs).unwrap_or_default()
    }

    /// How many of its pictures the current one refers to: `NumPicTotalCurr` (7-55), as far as this set makes it.
    #[must_use]
    pub fn num_used_by_curr_pic(&self) -> u32 {
        self.pics().iter().map(|pic| u32::from(pic.used_by_curr_pic)).sum()
    }
}

fn read_short_term_ref_pic_sets(bits: &mut BitReader<'_>) -> Result<Vec<ShortTermRefPicSet>, BitFault> {
    let num_short_term_ref_pic_sets =
        bits.ue_at_most("num_short_term_ref_pic_sets", MAX_NUM_SHORT_TERM_REF_PIC_SETS)?;
    let mut sets = Vec::with_capacity(num_short_term_ref_pic_sets.into());
    for _ in 0..num_short_term_ref_pic_sets {
        let set = ShortTermRefPicSet::read(bits, &sets, false)?;
        sets.push(set);
    }
    Ok(sets)
}

impl LongTermRefPics {
    fn read(bits: &mut BitReader<'_>, log2_max_pic_order_cnt_lsb: u8) -> Result<Self, BitFault> {
        let num_long_term_ref_pics_sps =
            bits.ue_at_most("num_long_term_ref_pics_sps", MAX_NUM_LONG_TERM_REF_PICS_SPS)?;
        let mut used_by_curr_pic_lt_sps_flags = 0;
        for pic in 0..num_long_term_ref_pics_sps {
            let _lt_ref_pic_poc_lsb_sps = bits.u(log2_max_pic_order_cnt_lsb.into())?;
            let used_by_curr_pic_lt_sps_flag = bits.u(1)?;
            used_by_curr_pic_lt_sps_flags |= used_by_curr_pic_lt_sps_flag << pic;
        }
        Ok(Self {
            num_long_term_ref_pics_sps,
            used_by_curr_pic_lt_sps_flags,
        })
    }
}

/// `motion_vector_resolution_control_idc`, behind the VUI and the other extensions; 0 without its extension.
fn read_motion_vector_resolution_control_idc(
    bits: &mut BitReader<'_>,
    sps_max_sub_layers_minus1: u32,
    chroma_format_idc: u8,
    bit_depths: [u8; 2],
) -> Result<u8, BitFault> {
    let vui_parameters_present_flag = bits.flag()?;
    if vui_parameters_present_flag {
        skip_vui_parameters(bits, sps_max_sub_layers_minus1)?;
    }
    let sps_extension_present_flag = bits.flag()?;
    if !sps_extension_present_flag {
        return Ok(0);
    }
    let sps_range_extension_flag = bits.flag()?;
    let sps_multilayer_extension_flag = bits.flag()?;
    let sps_3d_extension_flag = bits.flag()?;
    let sps_scc_extension_flag = bits.flag()?;
    let _sps_extension_4bits = bits.u(4)?;
    if !sps_scc_extension_flag {
        return Ok(0);
    }
    if sps_range_extension_flag {
        let _nine_flags = bits.u(9)?; // sps_range_extension() (7.3.2.2.2).
    }
    if sps_multilayer_extension_flag {
        let _inter_view_mv_vert_constraint_flag = bits.flag()?;
    }
    if sps_3d_extension_flag {
        return Err(bits
            .invalid("a sequence parameter set has the extensions of screen content and of 3D, expected one of them"));
    }

    // sps_scc_extension() (7.3.2.2.3).
    let _sps_curr_pic_ref_enabled_flag = bits.flag()?;
    let palette_mode_enabled_flag = bits.flag()?;
    if palette_mode_enabled_flag {
        skip_palette_mode(bits, chroma_format_idc, bit_depths)?;
    }
    let [motion_vector_resolution_control_idc, ..] = bits.u(2)?.to_le_bytes();
    if motion_vector_resolution_control_idc == 3 {
        return Err(bits.invalid("motion_vector_resolution_control_idc is 3, expected at most 2"));
    }
    Ok(motion_vector_resolution_control_idc)
}

/// What follows `palette_mode_enabled_flag` in `sps_scc_extension()` (7.3.2.2.3).
fn skip_palette_mode(bits: &mut BitReader<'_>, chroma_format_idc: u8, bit_depths: [u8; 2]) -> Result<(), BitFault> {
    let _palette_max_size = bits.ue()?;
    let _delta_palette_max_predictor_size = bits.ue()?;
    let sps_palette_predictor_initializers_present_flag = bits.flag()?;
    if !sps_palette_predictor_initializers_present_flag {
        return Ok(());
    }
    // PaletteMaxPredictorSize is at most 128 in the profiles (A.3.7); each takes bits, so that they bound the loop.
    let sps_num_palette_predictor_initializers_minus1 =
        bits.ue_at_most("sps_num_palette_predictor_initializers_minus1", u8::MAX)?;
    let [luma, chroma] = bit_depths;
    let components: &[u8] = if chroma_format_idc == 0 {
        &[luma]
    } else {
        &[luma, chroma, chroma]
    };
    for bit_depth in components {
        for _ in 0..=sps_num_palette_predictor_initializers_minus1 {
            let _sps_palette_predictor_initializer = bits.u((*bit_depth).into())?;
        }
    }
    Ok(())
}

/// `vui_parameters()` (E.2.1).
fn skip_vui_parameters(bits: &mut BitReader<'_>, sps_max_sub_layers_minus1: u32) -> Result<(), BitFault> {
    vui::read_colours(bits)?;
    let chroma_loc_info_present_flag = bits.flag()?;
    if chroma_loc_info_present_flag {
        let _chroma_sample_loc_type_top_field = bits.ue()?;
        let _chroma_sample_loc_type_bottom_field = bits.ue()?;
    }
    let _neutral_chroma_indication_flag = bits.flag()?;
    let _field_seq_flag = bits.flag()?;
    let _frame_field_info_present_flag = bits.flag()?;
    skip_window(bits)?;
    let vui_timing_info_present_flag = bits.flag()?;
    if vui_timing_info_present_flag {
        let _vui_num_units_in_tick = bits.u(32)?;
        let _vui_time_scale = bits.u(32)?;
        let vui_poc_proportional_to_timing_flag = bits.flag()?;
        if vui_poc_proportional_to_timing_flag {
            let _vui_num_ticks_poc_diff_one_minus1 = bits.ue()?;
        }
        let vui_hrd_parameters_present_flag = bits.flag()?;
        if vui_hrd_parameters_present_flag {
            skip_hrd_parameters(bits, sps_max_sub_layers_minus1)?;
        }
    }
    let bitstream_restriction_flag = bits.flag()?;
    if bitstream_restriction_flag {
        let _three_flags = bits.u(3)?;
        let _min_spatial_segmentation_idc = bits.ue()?;
        let _max_bytes_per_pic_denom = bits.ue()?;
        let _max_bits_per_min_cu_denom = bits.ue()?;
        let _log2_max_mv_length_horizontal = bits.ue()?;
        let _log2_max_mv_length_vertical = bits.ue()?;
    }
    Ok(())
}

/// `hrd_parameters(1, maxNumSubLayersMinus1)` (E.2.2).
fn skip_hrd_parameters(bits: &mut BitReader<'_>, max_num_sub_layers_minus1: u32) -> Result<(), BitFault> {
    let nal_hrd_parameters_present_flag = bits.flag()?;
    let vcl_hrd_parameters_present_flag = bits.flag()?;
    let mut sub_pic_hrd_params_present_flag = false;
    if nal_hrd_parameters_present_flag || vcl_hrd_parameters_present_flag {
        sub_pic_hrd_params_present_flag = bits.flag()?;
        if sub_pic_hrd_params_present_flag {
            // tick_divisor_minus2, du_cpb_removal_delay_increment_length_minus1, sub_pic_cpb_params_in_pic_timing_sei_flag,
            // dpb_output_delay_du_length_minus1.
            bits.u(8 + 5 + 1 + 5)?;
        }
        let _bit_rate_scale_and_cpb_size_scale = bits.u(8)?;
        if sub_pic_hrd_params_present_flag {
            let _cpb_size_du_scale = bits.u(4)?;
        }
        // initial_cpb_removal_delay_length_minus1, au_cpb_removal_delay_length_minus1, dpb_output_delay_length_minus1.
        bits.u(5 + 5 + 5)?;
    }
    let kinds = u8::from(nal_hrd_parameters_present_flag) + u8::from(vcl_hrd_parameters_present_flag);
    for _sub_layer in 0..=max_num_sub_layers_minus1 {
        let fixed_pic_rate_general_flag = bits.flag()?;
        let fixed_pic_rate_within_cvs_flag = fixed_pic_rate_general_flag || bits.flag()?;
        let mut low_delay_hrd_flag = false;
        if fixed_pic_rate_within_cvs_flag {
            let _elemental_duration_in_tc_minus1 = bits.ue()?;
        } else {
            low_delay_hrd_flag = bits.flag()?;
        }
        let mut cpb_cnt_minus1 = 0;
        if !low_delay_hrd_flag {
            cpb_cnt_minus1 = bits.ue_at_most("cpb_cnt_minus1", 31)?;
        }
        for _ in 0..kinds {
            // sub_layer_hrd_parameters() (E.2.3).
            for _ in 0..=cpb_cnt_minus1 {
                let _bit_rate_value_minus1 = bits.ue()?;
                let _cpb_size_value_minus1 = bits.ue()?;
                if sub_pic_hrd_params_present_flag {
                    let _cpb_size_du_value_minus1 = bits.ue()?;
                    let _bit_rate_du_value_minus1 = bits.ue()?;
                }
                let _cbr_flag = bits.flag()?;
            }
        }
    }
    Ok(())
}

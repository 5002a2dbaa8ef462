//! Sequence header OBU (AV1, 5.5): what frame headers depend on, and the colours. The names are the standard's.

use super::descriptors::skip_uvlc;
use crate::codec::bit_reader::{BitFault, BitReader};

/// `seq_force_screen_content_tools` or `seq_force_integer_mv`: each frame header says (3, `SELECT_SCREEN_CONTENT_TOOLS`
/// and `SELECT_INTEGER_MV`) where it is `None`.
pub type Forced = Option<bool>;

/// Operating points that `operating_points_cnt_minus_1` of 5 bits can count.
const MAX_OPERATING_POINTS: usize = 32;

/// A sequence header.
#[expect(clippy::struct_excessive_bools, reason = "the standard's flags")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequenceHeader {
    /// `reduced_still_picture_header`.
    pub reduced_still_picture_header: bool,
    /// `equal_picture_interval`.
    pub equal_picture_interval: bool,
    /// `decoder_model_info()`, where `decoder_model_info_present_flag` is set.
    pub decoder_model_info: Option<DecoderModelInfo>,
    /// The operating points with `decoder_model_present_for_this_op`: of each, its `operating_point_idc`.
    pub decoder_model_idcs: Vec<u16>,
    /// `frame_width_bits_minus_1` + 1.
    pub frame_width_bits: u32,
    /// `frame_height_bits_minus_1` + 1.
    pub frame_height_bits: u32,
    /// `max_frame_width_minus_1` + 1, in pixels.
    pub max_frame_width: u32,
    /// `max_frame_height_minus_1` + 1, in pixels.
    pub max_frame_height: u32,
    /// The lengths of frame IDs, where `frame_id_numbers_present_flag` is set.
    pub frame_id_lengths: Option<FrameIdLengths>,
    /// `use_128x128_superblock`.
    pub use_128x128_superblock: bool,
    /// `enable_warped_motion`.
    pub enable_warped_motion: bool,
    /// `OrderHintBits`: 0 where `enable_order_hint` is not set.
    pub order_hint_bits: u32,
    /// `enable_ref_frame_mvs`.
    pub enable_ref_frame_mvs: bool,
    /// `seq_force_screen_content_tools`.
    pub seq_force_screen_content_tools: Forced,
    /// `seq_force_integer_mv`.
    pub seq_force_integer_mv: Forced,
    /// `enable_superres`.
    pub enable_superres: bool,
    /// `enable_cdef`.
    pub enable_cdef: bool,
    /// `enable_restoration`.
    pub enable_restoration: bool,
    /// `color_config()`.
    pub color_config: ColorConfig,
    /// `film_grain_params_present`.
    pub film_grain_params_present: bool,
}

/// Lengths in `decoder_model_info()` (5.5.4), in bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecoderModelInfo {
    /// `buffer_delay_length_minus_1` + 1.
    pub buffer_delay_length: u32,
    /// `buffer_removal_time_length_minus_1` + 1.
    pub buffer_removal_time_length: u32,
    /// `frame_presentation_time_length_minus_1` + 1.
    pub frame_presentation_time_length: u32,
}

/// Lengths of frame IDs, in bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameIdLengths {
    /// `delta_frame_id_length_minus_2` + 2.
    pub delta_frame_id_length: u32,
    /// `idLen`: `additional_frame_id_length_minus_1` + `delta_frame_id_length_minus_2` + 3 (5.9.2).
    pub id_len: u32,
}

/// `color_config()` (5.5.2).
#[expect(clippy::struct_excessive_bools, reason = "the standard's flags")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColorConfig {
    /// `BitDepth`, in bits.
    pub bit_depth: u8,
    /// `mono_chrome`: there are no chroma planes.
    pub mono_chrome: bool,
    /// `color_primaries`, `transfer_characteristics` and `matrix_coefficients`, where `color_description_present_flag`
    /// is set.
    pub color_description: Option<[u8; 3]>,
    /// `color_range`: full swing.
    pub color_range: bool,
    /// `subsampling_x`.
    pub subsampling_x: bool,
    /// `subsampling_y`.
    pub subsampling_y: bool,
    /// `separate_uv_delta_q`.
    pub separate_uv_delta_q: bool,
}

impl ColorConfig {
    /// `NumPlanes`.
    #[must_use]
    pub const fn num_planes(&self) -> usize {
        if self.mono_chrome { 1 } else { 3 }
    }
}

impl SequenceHeader {
    /// Reads `sequence_header_obu()` (5.5.1).
    ///
    /// # Errors
    /// [`BitFault`] where it ends too early.
    pub fn read(bits: &mut BitReader<'_>) -> Result<Self, BitFault> {
        let seq_profile = bits.u(3)?;
        let _still_picture = bits.flag()?;
        let reduced_still_picture_header = bits.flag()?;
        let mut model = OperatingPoints::default();
        if reduced_still_picture_header {
            let _seq_level_idx_0 = bits.u(5)?;
        } else {
            model = OperatingPoints::read(bits)?;
        }
        let frame_width_bits = bits.u(4)? + 1;
        let frame_height_bits = bits.u(4)? + 1;
        let max_frame_width = bits.u(frame_width_bits)? + 1;
        let max_frame_height = bits.u(frame_height_bits)? + 1;
        let mut frame_id_lengths = None;
        if !reduced_still_picture_header && bits.flag()? {
            let delta_frame_id_length = bits.u(4)? + 2;
            let id_len = bits.u(3)? + delta_frame_id_length + 1;
            frame_id_lengths = Some(FrameIdLengths {
                delta_frame_id_length,
                id_len,
            });
        }
        let use_128x128_superblock = bits.flag()?;
        let _enable_filter_intra = bits.flag()?;
        let _enable_intra_edge_filter = bits.flag()?;
        let inter = if reduced_still_picture_header {
            InterTools::default()
        } else {
            InterTools::read(bits)?
        };
        Ok(Self {
            reduced_still_picture_header,
            equal_picture_interval: model.equal_picture_interval,
            decoder_model_info: model.decoder_model_info,
            decoder_model_idcs: model.decoder_model_idcs,
            frame_width_bits,
            frame_height_bits,
            max_frame_width,
            max_frame_height,
            frame_id_lengths,
            use_128x128_superblock,
            enable_warped_motion: inter.enable_warped_motion,
            order_hint_bits: inter.order_hint_bits,
            enable_ref_frame_mvs: inter.enable_ref_frame_mvs,
            seq_force_screen_content_tools: inter.seq_force_screen_content_tools,
            seq_force_integer_mv: inter.seq_force_integer_mv,
            enable_superres: bits.flag()?,
            enable_cdef: bits.flag()?,
            enable_restoration: bits.flag()?,
            color_config: ColorConfig::read(bits, seq_profile)?,
            film_grain_params_present: bits.flag()?,
        })
    }
}

/// What a full sequence header says of times and operating points.
#[derive(Default)]
struct OperatingPoints {
    equal_picture_interval: bool,
    decoder_model_info: Option<DecoderModelInfo>,
    decoder_model_idcs: Vec<u16>,
}

impl OperatingPoints {
    fn read(bits: &mut BitReader<'_>) -> Result<Self, BitFault> {
        let mut read = Self::default();
        let timing_info_present_flag = bits.flag()?;
        if timing_info_present_flag {
            // timing_info() (5.5.3)
            let _num_units_in_display_tick = bits.u(32)?;
            let _time_scale = bits.u(32)?;
            read.equal_picture_interval = bits.flag()?;
            if read.equal_picture_interval {
                skip_uvlc(bits)?; // num_ticks_per_picture_minus_1
            }
            let decoder_model_info_present_flag = bits.flag()?;
            if decoder_model_info_present_flag {
                let buffer_delay_length = bits.u(5)? + 1;
                let _num_units_in_decoding_tick = bits.u(32)?;
                read.decoder_model_info = Some(DecoderModelInfo {
                    buffer_delay_length,
                    buffer_removal_time_length: bits.u(5)? + 1,
                    frame_presentation_time_length: bits.u(5)? + 1,
                });
            }
        }
        let initial_display_delay_present_flag = bits.flag()?;
        let operating_points_cnt = bits.u(5)? as usize + 1;
        debug_assert!(operating_points_cnt <= MAX_OPERATING_POINTS, "5 bits");
        for _ in 0..operating_points_cnt {
            let [low, high, ..] = bits.u(12)?.to_le_bytes();
            let operating_point_idc = u16::from_le_bytes([low, high]);
            let seq_level_idx = bits.u(5)?;
            if seq_level_idx > 7 {
                let _seq_tier = bits.flag()?;
            }
            if let Some(info) = read.decoder_model_info {
                let decoder_model_present_for_this_op = bits.flag()?;
                if decoder_model_present_for_this_op {
                    // operating_parameters_info() (5.5.5)
                    let _decoder_buffer_delay = bits.u(info.buffer_delay_length)?;
                    let _encoder_buffer_delay = bits.u(info.buffer_delay_length)?;
                    let _low_delay_mode_flag = bits.flag()?;
                    read.decoder_model_idcs.push(operating_point_idc);
                }
            }
            if initial_display_delay_present_flag {
                let initial_display_delay_present_for_this_op = bits.flag()?;
                if initial_display_delay_present_for_this_op {
                    let _initial_display_delay_minus_1 = bits.u(4)?;
                }
            }
        }
        Ok(read)
    }
}

/// What a full sequence header says of inter prediction and of screen content.
#[derive(Default)]
struct InterTools {
    enable_warped_motion: bool,
    order_hint_bits: u32,
    enable_ref_frame_mvs: bool,
    seq_force_screen_content_tools: Forced,
    seq_force_integer_mv: Forced,
}

impl InterTools {
    fn read(bits: &mut BitReader<'_>) -> Result<Self, BitFault> {
        let mut read = Self::default();
        let _enable_interintra_compound = bits.flag()?;
        let _enable_masked_compound = bits.flag()?;
        read.enable_warped_motion = bits.flag()?;
        let _enable_dual_filter = bits.flag()?;
        let enable_order_hint = bits.flag()?;
        if enable_order_hint {
            let _enable_jnt_comp = bits.flag()?;
            read.enable_ref_frame_mvs = bits.flag()?;
        }
        let seq_choose_screen_content_tools = bits.flag()?;
        if !seq_choose_screen_content_tools {
            read.seq_force_screen_content_tools = Some(bits.flag()?);
        }
        if read.seq_force_screen_content_tools != Some(false) {
            let seq_choose_integer_mv = bits.flag()?;
            if !seq_choose_integer_mv {
                read.seq_force_integer_mv = Some(bits.flag()?);
            }
        }
        if enable_order_hint {
            read.order_hint_bits = bits.u(3)? + 1;
        }
        Ok(read)
    }
}

impl ColorConfig {
    fn read(bits: &mut BitReader<'_>, seq_profile: u32) -> Result<Self, BitFault> {
        /// `CP_BT_709`, `TC_SRGB` and `MC_IDENTITY` (6.4.2): RGB, which is 4:4:4 in full range.
        const RGB: [u8; 3] = [1, 13, 0];
        let high_bitdepth = bits.flag()?;
        let bit_depth = match seq_profile {
            2 if high_bitdepth && bits.flag()? => 12,
            _ if high_bitdepth => 10,
            _ => 8,
        };
        let mono_chrome = seq_profile != 1 && bits.flag()?;
        let color_description_present_flag = bits.flag()?;
        let mut color_description = None;
        if color_description_present_flag {
            let [.., primaries, transfer, matrix] = bits.u(24)?.to_be_bytes();
            color_description = Some([primaries, transfer, matrix]);
        }
        let mut color = Self {
            bit_depth,
            mono_chrome,
            color_description,
            color_range: true,
            subsampling_x: true,
            subsampling_y: true,
            separate_uv_delta_q: false,
        };
        if mono_chrome {
            color.color_range = bits.flag()?;
            return Ok(color);
        }
        if color_description == Some(RGB) {
            (color.subsampling_x, color.subsampling_y) = (false, false);
        } else {
            color.color_range = bits.flag()?;
            (color.subsampling_x, color.subsampling_y) = match (seq_profile, bit_depth) {
                (0, _) => (true, true),
                (1, _) => (false, false),
                (_, 12) => {
                    let subsampling_x = bits.flag()?;
                    (subsampling_x, subsampling_x && bits.flag()?)
                }
                _ => (true, false),
            };
            if color.subsampling_x && color.subsampling_y {
                let _chroma_sample_position = bits.u(2)?;
            }
        }
        color.separate_uv_delta_q = bits.flag()?;
        Ok(color)
    }
}

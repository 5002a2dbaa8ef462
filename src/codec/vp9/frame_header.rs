//! `uncompressed_header()` (VP9, 6.2): read for its size, and for what later headers depend on.
//!
//! Every element is read, because each decides where the next begins. The names are the specification's.

use super::references::References;
use crate::codec::bit_reader::{BitFault, BitReader};

/// `REFS_PER_FRAME` (3).
const REFS_PER_FRAME: usize = 3;
/// `frame_marker` (7.2).
const FRAME_MARKER: u32 = 2;
/// `frame_sync_byte_0` to `frame_sync_byte_2` (7.2.1).
const FRAME_SYNC_CODE: u32 = 0x49_83_42;
/// `CS_RGB` of `color_space` (7.2.2).
const CS_RGB: u32 = 7;
/// `MIN_TILE_WIDTH_B64` and `MAX_TILE_WIDTH_B64`: a tile's narrowest and widest, in superblocks of 64 pixels (3).
const MIN_TILE_WIDTH_B64: u32 = 4;
const MAX_TILE_WIDTH_B64: u32 = 64;

/// What a frame header announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameHeader {
    /// `show_existing_frame`: nothing follows but padding (6.1).
    ShowExisting,
    /// A frame: `compressed_header()` and tiles follow.
    Frame {
        /// The reference slots that it is stored in.
        refresh_frame_flags: u8,
        /// `FrameWidth`, in pixels.
        frame_width: u32,
        /// Bytes of `compressed_header()`.
        header_size_in_bytes: usize,
    },
}

/// Reads the header that a frame begins with.
///
/// # Errors
/// [`BitFault`] where the header is damaged, or refers to a frame that is not there.
pub fn read(bits: &mut BitReader<'_>, references: &References) -> Result<FrameHeader, BitFault> {
    if bits.u(2)? != FRAME_MARKER {
        return Err(bits.invalid("frame_marker is not 2: the frame is damaged, or not VP9"));
    }
    let profile_low_bit = bits.u(1)?;
    let profile_high_bit = bits.u(1)?;
    let profile = profile_high_bit << 1 | profile_low_bit;
    if profile == 3 {
        reserved_zero(bits)?;
    }
    let show_existing_frame = bits.flag()?;
    if show_existing_frame {
        let _frame_to_show_map_idx = bits.u(3)?;
        return Ok(FrameHeader::ShowExisting);
    }
    let non_key_frame = bits.flag()?; // frame_type
    let show_frame = bits.flag()?;
    let error_resilient_mode = bits.flag()?;

    let mut refresh_frame_flags = u8::MAX;
    let frame_width;
    if non_key_frame {
        let intra_only = !show_frame && bits.flag()?;
        if !error_resilient_mode {
            let _reset_frame_context = bits.u(2)?;
        }
        if intra_only {
            frame_sync_code(bits)?;
            if profile > 0 {
                skip_color_config(bits, profile)?;
            }
            [refresh_frame_flags, ..] = bits.u(8)?.to_le_bytes();
            frame_width = read_frame_size(bits)?;
            skip_render_size(bits)?;
        } else {
            [refresh_frame_flags, ..] = bits.u(8)?.to_le_bytes();
            let mut ref_frame_idx = [0; REFS_PER_FRAME];
            for idx in &mut ref_frame_idx {
                *idx = bits.u(3)?;
                let _ref_frame_sign_bias = bits.flag()?;
            }
            frame_width = read_frame_size_with_refs(bits, ref_frame_idx, references)?;
            let _allow_high_precision_mv = bits.flag()?;
            // read_interpolation_filter() (6.2.7)
            let is_filter_switchable = bits.flag()?;
            if !is_filter_switchable {
                let _raw_interpolation_filter = bits.u(2)?;
            }
        }
    } else {
        frame_sync_code(bits)?;
        skip_color_config(bits, profile)?;
        frame_width = read_frame_size(bits)?;
        skip_render_size(bits)?;
    }
    if !error_resilient_mode {
        let _refresh_frame_context = bits.flag()?;
        let _frame_parallel_decoding_mode = bits.flag()?;
    }
    let _frame_context_idx = bits.u(2)?;
    skip_loop_filter_params(bits)?;
    skip_quantization_params(bits)?;
    skip_segmentation_params(bits)?;
    skip_tile_info(bits, frame_width)?;
    let header_size_in_bytes = bits.u(16)? as usize;
    if header_size_in_bytes == 0 {
        return Err(bits.invalid("header_size_in_bytes is 0, expected more"));
    }
    Ok(FrameHeader::Frame {
        refresh_frame_flags,
        frame_width,
        header_size_in_bytes,
    })
}

fn reserved_zero(bits: &mut BitReader<'_>) -> Result<(), BitFault> {
    if bits.flag()? {
        return Err(bits.invalid("reserved_zero is 1: the frame is damaged, or of a later version"));
    }
    Ok(())
}

/// `frame_sync_code()` (6.2.1).
fn frame_sync_code(bits: &mut BitReader<'_>) -> Result<(), BitFault> {
    match bits.u(24)? {
        FRAME_SYNC_CODE => Ok(()),
        found => Err(bits.invalid(format!(
            "frame_sync_code is 0x{found:06x}, expected 0x{FRAME_SYNC_CODE:06x}"
        ))),
    }
}

/// `color_config()` (6.2.2).
fn skip_color_config(bits: &mut BitReader<'_>, profile: u32) -> Result<(), BitFault> {
    let has_subsampling = profile & 1 == 1;
    if profile >= 2 {
        let _ten_or_twelve_bit = bits.flag()?;
    }
    let color_space = bits.u(3)?;
    if color_space != CS_RGB {
        let _color_range = bits.flag()?;
        if has_subsampling {
            let _subsampling_x_and_y = bits.u(1 + 1)?;
        }
    } else if !has_subsampling {
        return Err(bits.invalid(format!("color_space is RGB, which profile {profile} does not have")));
    }
    if has_subsampling {
        reserved_zero(bits)?;
    }
    Ok(())
}

/// `frame_size()` (6.2.3): `FrameWidth`, in pixels.
fn read_frame_size(bits: &mut BitReader<'_>) -> Result<u32, BitFault> {
    let frame_width = bits.u(16)? + 1;
    let _frame_height_minus_1 = bits.u(16)?;
    Ok(frame_width)
}

/// `render_size()` (6.2.4).
fn skip_render_size(bits: &mut BitReader<'_>) -> Result<(), BitFault> {
    let render_and_frame_size_different = bits.flag()?;
    if render_and_frame_size_different {
        let _render_width_and_height_minus_1 = bits.u(16 + 16)?;
    }
    Ok(())
}

/// `frame_size_with_refs()` (6.2.5): `FrameWidth`, in pixels.
fn read_frame_size_with_refs(
    bits: &mut BitReader<'_>,
    ref_frame_idx: [u32; REFS_PER_FRAME],
    references: &References,
) -> Result<u32, BitFault> {
    let mut frame_width = None;
    for idx in ref_frame_idx {
        let found_ref = bits.flag()?;
        if found_ref {
            frame_width = Some(references.frame_width(idx, bits)?);
            break;
        }
    }
    let frame_width = match frame_width {
        Some(frame_width) => frame_width,
        None => read_frame_size(bits)?,
    };
    skip_render_size(bits)?;
    Ok(frame_width)
}

/// `loop_filter_params()` (6.2.8).
fn skip_loop_filter_params(bits: &mut BitReader<'_>) -> Result<(), BitFault> {
    /// Four `loop_filter_ref_deltas`, and two `loop_filter_mode_deltas`.
    const DELTAS: usize = 4 + 2;
    let _loop_filter_level = bits.u(6)?;
    let _loop_filter_sharpness = bits.u(3)?;
    let loop_filter_delta_enabled = bits.flag()?;
    let loop_filter_delta_update = loop_filter_delta_enabled && bits.flag()?;
    if loop_filter_delta_update {
        for _ in 0..DELTAS {
            skip_if_coded(bits, 6 + 1)?;
        }
    }
    Ok(())
}

/// `quantization_params()` (6.2.9).
fn skip_quantization_params(bits: &mut BitReader<'_>) -> Result<(), BitFault> {
    let _base_q_idx = bits.u(8)?;
    // delta_q_y_dc, delta_q_uv_dc and delta_q_uv_ac
    for _ in 0..3 {
        skip_if_coded(bits, 4 + 1)?;
    }
    Ok(())
}

/// `segmentation_params()` (6.2.11).
fn skip_segmentation_params(bits: &mut BitReader<'_>) -> Result<(), BitFault> {
    /// `MAX_SEGMENTS` (3).
    const MAX_SEGMENTS: usize = 8;
    /// `segmentation_feature_bits`, with a sign where `segmentation_feature_signed`.
    const FEATURE_BITS: [u32; 4] = [8 + 1, 6 + 1, 2, 0];
    let segmentation_enabled = bits.flag()?;
    if !segmentation_enabled {
        return Ok(());
    }
    let segmentation_update_map = bits.flag()?;
    if segmentation_update_map {
        // segmentation_tree_probs
        for _ in 0..7 {
            skip_if_coded(bits, 8)?;
        }
        let segmentation_temporal_update = bits.flag()?;
        if segmentation_temporal_update {
            // segmentation_pred_prob
            for _ in 0..3 {
                skip_if_coded(bits, 8)?;
            }
        }
    }
    let segmentation_update_data = bits.flag()?;
    if segmentation_update_data {
        let _segmentation_abs_or_delta_update = bits.flag()?;
        for _ in 0..MAX_SEGMENTS {
            for feature_bits in FEATURE_BITS {
                skip_if_coded(bits, feature_bits)?;
            }
        }
    }
    Ok(())
}

/// A value of `count` bits behind a flag that says whether it is there.
fn skip_if_coded(bits: &mut BitReader<'_>, count: u32) -> Result<(), BitFault> {
    let is_coded = bits.flag()?;
    if is_coded {
        let _value = bits.u(count)?;
    }
    Ok(())
}

/// `tile_info()` of a frame of `frame_width` pixels (6.2.13 and 6.2.14).
fn skip_tile_info(bits: &mut BitReader<'_>, frame_width: u32) -> Result<(), BitFault> {
    let sb64_cols = frame_width.div_ceil(64);
    let min_log2_tile_cols = sb64_cols.div_ceil(MAX_TILE_WIDTH_B64).next_power_of_two().ilog2();
    let max_log2_tile_cols = (sb64_cols / MIN_TILE_WIDTH_B64).max(1).ilog2();
    for _ in min_log2_tile_cols..max_log2_tile_cols {
        let increment_tile_cols_log2 = bits.flag()?;
        if !increment_tile_cols_log2 {
            break;
        }
    }
    let tile_rows_log2 = bits.flag()?;
    if tile_rows_log2 {
        let _increment_tile_rows_log2 = bits.flag()?;
    }
    Ok(())
}

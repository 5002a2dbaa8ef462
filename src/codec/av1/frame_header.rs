//! `uncompressed_header()` (AV1, 5.9.2): read for its size, for the tiles, and for what later headers depend on.
//!
//! Every element is read, because each decides where the next begins. The names are the standard's.

use super::descriptors::{ns, su};
use super::obu::ObuHeader;
use super::references::{AltQ, MAX_SEGMENTS, NUM_REF_FRAMES, Reference, References};
use super::sequence_header::SequenceHeader;
use super::set_frame_refs::set_frame_refs;
use super::tile_info::TileInfo;
use crate::codec::bit_reader::{BitFault, BitReader};

/// `REFS_PER_FRAME` (3).
pub const REFS_PER_FRAME: usize = 7;
/// `PRIMARY_REF_NONE` (3): the frame takes over nothing.
const PRIMARY_REF_NONE: u8 = 7;
/// `allFrames` (5.9.2).
const ALL_FRAMES: u8 = 0xff;
/// `SUPERRES_NUM` (3).
const SUPERRES_NUM: u32 = 8;
/// `SUPERRES_DENOM_MIN` (3).
const SUPERRES_DENOM_MIN: u32 = 9;

/// `frame_type` (6.8.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameType {
    /// `KEY_FRAME`.
    Key,
    /// `INTER_FRAME`.
    Inter,
    /// `INTRA_ONLY_FRAME`.
    IntraOnly,
    /// `SWITCH_FRAME`.
    Switch,
}

impl FrameType {
    fn read(bits: &mut BitReader<'_>) -> Result<Self, BitFault> {
        Ok(match bits.u(2)? {
            0 => Self::Key,
            1 => Self::Inter,
            2 => Self::IntraOnly,
            _ => Self::Switch,
        })
    }

    /// `FrameIsIntra`.
    const fn is_intra(self) -> bool {
        matches!(self, Self::Key | Self::IntraOnly)
    }
}

/// What a frame header announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameHeader {
    /// `show_existing_frame`: no tiles follow.
    ShowExisting(Refresh),
    /// A frame, whose tiles follow.
    Frame(TileInfo, Refresh),
}

/// What becomes of the reference slots once the frame is decoded (7.20).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "the standard's name")]
pub struct Refresh {
    refresh_frame_flags: u8,
    order_hint: u32,
    frame: Reference,
}

impl Refresh {
    /// Stores the frame.
    pub fn apply(self, references: &mut References) {
        references.refresh(self.refresh_frame_flags, self.order_hint, self.frame);
    }
}

/// Reads `uncompressed_header()` of an OBU with `header`; `references` learn of lost frames.
///
/// # Errors
/// [`BitFault`] where the header is damaged, or refers to a frame that is not there.
pub fn read(
    bits: &mut BitReader<'_>,
    header: ObuHeader,
    sequence: &SequenceHeader,
    references: &mut References,
) -> Result<FrameHeader, BitFault> {
    if !sequence.reduced_still_picture_header && bits.flag()? {
        return show_existing_frame(bits, sequence, references).map(FrameHeader::ShowExisting);
    }
    let start = Start::read(bits, header, sequence)?;
    let refresh_frame_flags = if start.refreshes_all() {
        ALL_FRAMES
    } else {
        let [refresh_frame_flags, ..] = bits.u(8)?.to_le_bytes();
        refresh_frame_flags
    };
    let has_ref_order_hints = !start.frame_type.is_intra() || refresh_frame_flags != ALL_FRAMES;
    if has_ref_order_hints && start.error_resilient_mode && sequence.order_hint_bits > 0 {
        for i in 0..NUM_REF_FRAMES {
            references.expect_order_hint(i, bits.u(sequence.order_hint_bits)?);
        }
    }
    let frame = Frame::read(bits, start, sequence, references)?;

    let tile_info = TileInfo::read(
        bits,
        sequence.use_128x128_superblock,
        frame.size.mi_cols(),
        frame.size.mi_rows(),
    )?;
    let quantization = Quantization::read(bits, sequence)?;
    let previous = match start.primary_ref_frame {
        PRIMARY_REF_NONE => None,
        i => {
            let slot = frame.ref_frame_idx.get(usize::from(i)).copied().unwrap_or_default();
            Some(references.frame(slot, bits)?.alt_q)
        }
    };
    let alt_q = segmentation_params(bits, previous)?;
    let coded_lossless = alt_q.iter().all(|alt_q| quantization.is_lossless(*alt_q));
    let filters = Filters {
        sequence,
        allow_intrabc: frame.allow_intrabc,
        coded_lossless,
        all_lossless: coded_lossless && frame.size.frame_width == frame.size.upscaled_width,
    };
    skip_delta_params(bits, quantization.base_q_idx, frame.allow_intrabc)?;
    filters.skip_loop_filter_params(bits)?;
    filters.skip_cdef_params(bits)?;
    filters.skip_lr_params(bits)?;
    if !coded_lossless {
        let _tx_mode_select = bits.flag()?; // read_tx_mode() (5.9.21)
    }
    if !start.frame_type.is_intra() {
        let reference_select = bits.flag()?; // frame_reference_mode() (5.9.23)
        if reference_select && skip_mode_allowed(frame.ref_frame_idx, start.order_hint, sequence, references, bits)? {
            let _skip_mode_present = bits.flag()?;
        }
        if !start.error_resilient_mode && sequence.enable_warped_motion {
            let _allow_warped_motion = bits.flag()?;
        }
    }
    let _reduced_tx_set = bits.flag()?;
    if !start.frame_type.is_intra() {
        skip_global_motion_params(bits, frame.allow_high_precision_mv)?;
    }
    if sequence.film_grain_params_present && (start.show_frame || start.showable_frame) {
        skip_film_grain_params(bits, start.frame_type, sequence)?;
    }

    let refresh = Refresh {
        refresh_frame_flags,
        order_hint: start.order_hint,
        frame: Reference {
            frame_type: start.frame_type,
            upscaled_width: frame.size.upscaled_width,
            frame_height: frame.size.frame_height,
            alt_q,
        },
    };
    Ok(FrameHeader::Frame(tile_info, refresh))
}

/// A frame that was decoded before is shown; a key frame is loaded, and then stored in all slots (7.21).
fn show_existing_frame(
    bits: &mut BitReader<'_>,
    sequence: &SequenceHeader,
    references: &References,
) -> Result<Refresh, BitFault> {
    let [frame_to_show_map_idx, ..] = bits.u(3)?.to_le_bytes();
    skip_temporal_point_info(bits, sequence)?;
    if let Some(lengths) = sequence.frame_id_lengths {
        let _display_frame_id = bits.u(lengths.id_len)?;
    }
    let frame = references.frame(frame_to_show_map_idx, bits)?;
    Ok(Refresh {
        refresh_frame_flags: if frame.frame_type == FrameType::Key {
            ALL_FRAMES
        } else {
            0
        },
        order_hint: references.order_hint(frame_to_show_map_idx, bits)?,
        frame,
    })
}

/// `temporal_point_info()`, where it is present (5.9.31).
fn skip_temporal_point_info(bits: &mut BitReader<'_>, sequence: &SequenceHeader) -> Result<(), BitFault> {
    if let Some(info) = sequence.decoder_model_info
        && !sequence.equal_picture_interval
    {
        let _frame_presentation_time = bits.u(info.frame_presentation_time_length)?;
    }
    Ok(())
}

/// The header's elements up to `buffer_removal_time`.
#[expect(clippy::struct_excessive_bools, reason = "the standard's flags")]
#[derive(Clone, Copy)]
struct Start {
    frame_type: FrameType,
    show_frame: bool,
    showable_frame: bool,
    error_resilient_mode: bool,
    disable_cdf_update: bool,
    allow_screen_content_tools: bool,
    force_integer_mv: bool,
    frame_size_override_flag: bool,
    order_hint: u32,
    primary_ref_frame: u8,
}

impl Start {
    /// Reads on behind `show_existing_frame`.
    fn read(bits: &mut BitReader<'_>, header: ObuHeader, sequence: &SequenceHeader) -> Result<Self, BitFault> {
        let mut start = Self {
            frame_type: FrameType::Key,
            show_frame: true,
            showable_frame: false,
            error_resilient_mode: true,
            disable_cdf_update: false,
            allow_screen_content_tools: false,
            force_integer_mv: false,
            frame_size_override_flag: false,
            order_hint: 0,
            primary_ref_frame: PRIMARY_REF_NONE,
        };
        if !sequence.reduced_still_picture_header {
            start.frame_type = FrameType::read(bits)?;
            start.show_frame = bits.flag()?;
            if start.show_frame {
                skip_temporal_point_info(bits, sequence)?;
                start.showable_frame = start.frame_type != FrameType::Key;
            } else {
                start.showable_frame = bits.flag()?;
            }
            start.error_resilient_mode = start.refreshes_all() || bits.flag()?;
        }
        start.disable_cdf_update = bits.flag()?;
        start.allow_screen_content_tools = forced(sequence.seq_force_screen_content_tools, bits)?;
        if start.allow_screen_content_tools {
            start.force_integer_mv = forced(sequence.seq_force_integer_mv, bits)?;
        }
        if let Some(lengths) = sequence.frame_id_lengths {
            let _current_frame_id = bits.u(lengths.id_len)?;
        }
        start.frame_size_override_flag = match start.frame_type {
            FrameType::Switch => true,
            _ => !sequence.reduced_still_picture_header && bits.flag()?,
        };
        start.order_hint = bits.u(sequence.order_hint_bits)?;
        if !start.frame_type.is_intra() && !start.error_resilient_mode {
            [start.primary_ref_frame, ..] = bits.u(3)?.to_le_bytes();
        }
        skip_buffer_removal_times(bits, header, sequence)?;
        Ok(start)
    }

    /// A switch frame, or a key frame that is shown: it is error resilient, and stored in all slots.
    fn refreshes_all(&self) -> bool {
        match self.frame_type {
            FrameType::Switch => true,
            FrameType::Key => self.show_frame,
            FrameType::Inter | FrameType::IntraOnly => false,
        }
    }
}

/// A flag that the sequence header may force.
fn forced(value: Option<bool>, bits: &mut BitReader<'_>) -> Result<bool, BitFault> {
    value.map_or_else(|| bits.flag(), Ok)
}

/// `buffer_removal_time` of each operating point that the frame belongs to.
fn skip_buffer_removal_times(
    bits: &mut BitReader<'_>,
    header: ObuHeader,
    sequence: &SequenceHeader,
) -> Result<(), BitFault> {
    let Some(info) = sequence.decoder_model_info else {
        return Ok(());
    };
    let buffer_removal_time_present_flag = bits.flag()?;
    if buffer_removal_time_present_flag {
        for idc in &sequence.decoder_model_idcs {
            let in_temporal_layer = idc >> header.temporal_id & 1 == 1;
            let in_spatial_layer = idc >> (header.spatial_id + 8) & 1 == 1;
            if *idc == 0 || in_temporal_layer && in_spatial_layer {
                let _buffer_removal_time = bits.u(info.buffer_removal_time_length)?;
            }
        }
    }
    Ok(())
}

/// The header's elements from the frame's size to `disable_frame_end_update_cdf`.
struct Frame {
    size: FrameSize,
    ref_frame_idx: [u8; REFS_PER_FRAME],
    allow_intrabc: bool,
    allow_high_precision_mv: bool,
}

impl Frame {
    fn read(
        bits: &mut BitReader<'_>,
        start: Start,
        sequence: &SequenceHeader,
        references: &References,
    ) -> Result<Self, BitFault> {
        let mut ref_frame_idx = [0; REFS_PER_FRAME];
        let (mut allow_intrabc, mut allow_high_precision_mv) = (false, false);
        let size;
        if start.frame_type.is_intra() {
            size = FrameSize::read(bits, start.frame_size_override_flag, sequence)?;
            allow_intrabc =
                start.allow_screen_content_tools && size.upscaled_width == size.frame_width && bits.flag()?;
        } else {
            ref_frame_idx = read_ref_frame_idx(bits, start.order_hint, sequence, references)?;
            size = if start.frame_size_override_flag && !start.error_resilient_mode {
                FrameSize::read_with_refs(bits, ref_frame_idx, sequence, references)?
            } else {
                FrameSize::read(bits, start.frame_size_override_flag, sequence)?
            };
            allow_high_precision_mv = !start.force_integer_mv && bits.flag()?;
            // read_interpolation_filter() (5.9.10)
            let is_filter_switchable = bits.flag()?;
            if !is_filter_switchable {
                let _interpolation_filter = bits.u(2)?;
            }
            let _is_motion_mode_switchable = bits.flag()?;
            if !start.error_resilient_mode && sequence.enable_ref_frame_mvs {
                let _use_ref_frame_mvs = bits.flag()?;
            }
        }
        if !sequence.reduced_still_picture_header && !start.disable_cdf_update {
            let _disable_frame_end_update_cdf = bits.flag()?;
        }
        Ok(Self {
            size,
            ref_frame_idx,
            allow_intrabc,
            allow_high_precision_mv,
        })
    }
}

/// `ref_frame_idx[]`, by short signalling or one by one.
fn read_ref_frame_idx(
    bits: &mut BitReader<'_>,
    order_hint: u32,
    sequence: &SequenceHeader,
    references: &References,
) -> Result<[u8; REFS_PER_FRAME], BitFault> {
    let mut ref_frame_idx = [0; REFS_PER_FRAME];
    let frame_refs_short_signaling = sequence.order_hint_bits > 0 && bits.flag()?;
    if frame_refs_short_signaling {
        let [last_frame_idx, ..] = bits.u(3)?.to_le_bytes();
        let [gold_frame_idx, ..] = bits.u(3)?.to_le_bytes();
        let mut shifted = [0; NUM_REF_FRAMES];
        for (i, shifted) in (0..).zip(&mut shifted) {
            *shifted = relative_dist(references.order_hint(i, bits)?, order_hint, sequence.order_hint_bits);
        }
        ref_frame_idx = set_frame_refs(&shifted, last_frame_idx, gold_frame_idx);
    }
    for idx in &mut ref_frame_idx {
        if !frame_refs_short_signaling {
            [*idx, ..] = bits.u(3)?.to_le_bytes();
        }
        if let Some(lengths) = sequence.frame_id_lengths {
            let _delta_frame_id_minus_1 = bits.u(lengths.delta_frame_id_length)?;
        }
    }
    Ok(ref_frame_idx)
}

/// `get_relative_dist()` of two order hints of `order_hint_bits`, which are not zero (5.9.3).
fn relative_dist(a: u32, b: u32, order_hint_bits: u32) -> i32 {
    let diff = a.wrapping_sub(b).cast_signed();
    let m = 1 << (order_hint_bits - 1);
    (diff & (m - 1)) - (diff & m)
}

/// Size of a frame, in pixels (5.9.5 to 5.9.9).
#[derive(Debug, Clone, Copy)]
struct FrameSize {
    /// `FrameWidth`, as coded.
    frame_width: u32,
    /// `UpscaledWidth`, after super-resolution.
    upscaled_width: u32,
    frame_height: u32,
}

impl FrameSize {
    /// `frame_size()` and `render_size()`.
    fn read(
        bits: &mut BitReader<'_>,
        frame_size_override_flag: bool,
        sequence: &SequenceHeader,
    ) -> Result<Self, BitFault> {
        let (mut width, mut height) = (sequence.max_frame_width, sequence.max_frame_height);
        if frame_size_override_flag {
            width = bits.u(sequence.frame_width_bits)? + 1;
            height = bits.u(sequence.frame_height_bits)? + 1;
        }
        let size = Self::read_superres_params(bits, width, height, sequence)?;
        let render_and_frame_size_different = bits.flag()?;
        if render_and_frame_size_different {
            let _render_width_minus_1 = bits.u(16)?;
            let _render_height_minus_1 = bits.u(16)?;
        }
        Ok(size)
    }

    /// `frame_size_with_refs()`.
    fn read_with_refs(
        bits: &mut BitReader<'_>,
        ref_frame_idx: [u8; REFS_PER_FRAME],
        sequence: &SequenceHeader,
        references: &References,
    ) -> Result<Self, BitFault> {
        for idx in ref_frame_idx {
            let found_ref = bits.flag()?;
            if found_ref {
                let frame = references.frame(idx, bits)?;
                return Self::read_superres_params(bits, frame.upscaled_width, frame.frame_height, sequence);
            }
        }
        Self::read(bits, true, sequence)
    }

    /// `superres_params()` of a frame of `upscaled_width`.
    fn read_superres_params(
        bits: &mut BitReader<'_>,
        upscaled_width: u32,
        frame_height: u32,
        sequence: &SequenceHeader,
    ) -> Result<Self, BitFault> {
        let mut superres_denom = SUPERRES_NUM;
        let use_superres = sequence.enable_superres && bits.flag()?;
        if use_superres {
            superres_denom = bits.u(3)? + SUPERRES_DENOM_MIN;
        }
        Ok(Self {
            frame_width: (upscaled_width * SUPERRES_NUM + superres_denom / 2) / superres_denom,
            upscaled_width,
            frame_height,
        })
    }

    /// `MiCols`.
    const fn mi_cols(&self) -> u32 {
        2 * self.frame_width.div_ceil(8)
    }

    /// `MiRows`.
    const fn mi_rows(&self) -> u32 {
        2 * self.frame_height.div_ceil(8)
    }
}

/// What of `quantization_params()` later elements depend on (5.9.12).
struct Quantization {
    base_q_idx: u8,
    /// Whether `DeltaQYDc`, `DeltaQUDc`, `DeltaQUAc`, `DeltaQVDc` and `DeltaQVAc` are all zero.
    no_deltas: bool,
}

impl Quantization {
    fn read(bits: &mut BitReader<'_>, sequence: &SequenceHeader) -> Result<Self, BitFault> {
        let color = &sequence.color_config;
        let [base_q_idx, ..] = bits.u(8)?.to_le_bytes();
        let mut no_deltas = read_delta_q(bits)? == 0;
        if color.num_planes() > 1 {
            let diff_uv_delta = color.separate_uv_delta_q && bits.flag()?;
            for _ in 0..if diff_uv_delta { 4 } else { 2 } {
                no_deltas &= read_delta_q(bits)? == 0;
            }
        }
        let using_qmatrix = bits.flag()?;
        if using_qmatrix {
            let _qm_y = bits.u(4)?;
            let _qm_u = bits.u(4)?;
            if color.separate_uv_delta_q {
                let _qm_v = bits.u(4)?;
            }
        }
        Ok(Self { base_q_idx, no_deltas })
    }

    /// `LosslessArray` of a segment, by its `get_qindex()` (7.12.2).
    fn is_lossless(&self, alt_q: Option<i32>) -> bool {
        i32::from(self.base_q_idx) + alt_q.unwrap_or(0) <= 0 && self.no_deltas
    }
}

/// `read_delta_q()` (5.9.13).
fn read_delta_q(bits: &mut BitReader<'_>) -> Result<i32, BitFault> {
    let delta_coded = bits.flag()?;
    if delta_coded { su(bits, 1 + 6) } else { Ok(0) }
}

/// `segmentation_params()`: the segments' `SEG_LVL_ALT_Q` (5.9.14). `previous` are those of the frame that
/// `primary_ref_frame` names, if it names any.
fn segmentation_params(bits: &mut BitReader<'_>, previous: Option<AltQ>) -> Result<AltQ, BitFault> {
    /// `Segmentation_Feature_Bits`, and whether `Segmentation_Feature_Signed`, of the features behind `SEG_LVL_ALT_Q`.
    const OTHER_FEATURES: [(u32, bool); 7] = [
        (6, true),
        (6, true),
        (6, true),
        (6, true),
        (3, false),
        (0, false),
        (0, false),
    ];
    let segmentation_enabled = bits.flag()?;
    if !segmentation_enabled {
        return Ok([None; MAX_SEGMENTS]);
    }
    if let Some(previous) = previous {
        let segmentation_update_map = bits.flag()?;
        if segmentation_update_map {
            let _segmentation_temporal_update = bits.flag()?;
        }
        let segmentation_update_data = bits.flag()?;
        if !segmentation_update_data {
            return Ok(previous);
        }
    }
    let mut alt_q = [None; MAX_SEGMENTS];
    for alt_q in &mut alt_q {
        let feature_enabled = bits.flag()?;
        if feature_enabled {
            // Within ±255, so that the standard's clipping by Segmentation_Feature_Max changes -256 alone, which is
            // below every base_q_idx as -255 is.
            *alt_q = Some(su(bits, 1 + 8)?);
        }
        for (feature_bits, is_signed) in OTHER_FEATURES {
            let feature_enabled = bits.flag()?;
            if feature_enabled {
                let _feature_value = bits.u(feature_bits + u32::from(is_signed))?;
            }
        }
    }
    Ok(alt_q)
}

/// `delta_q_params()` and `delta_lf_params()` (5.9.17 and 5.9.18).
fn skip_delta_params(bits: &mut BitReader<'_>, base_q_idx: u8, allow_intrabc: bool) -> Result<(), BitFault> {
    let delta_q_present = base_q_idx > 0 && bits.flag()?;
    if delta_q_present {
        let _delta_q_res = bits.u(2)?;
        let delta_lf_present = !allow_intrabc && bits.flag()?;
        if delta_lf_present {
            let _delta_lf_res = bits.u(2)?;
            let _delta_lf_multi = bits.flag()?;
        }
    }
    Ok(())
}

/// What the parameters of the loop filters depend on.
struct Filters<'a> {
    sequence: &'a SequenceHeader,
    allow_intrabc: bool,
    /// `CodedLossless`.
    coded_lossless: bool,
    /// `AllLossless`.
    all_lossless: bool,
}

impl Filters<'_> {
    /// `loop_filter_params()` (5.9.11).
    fn skip_loop_filter_params(&self, bits: &mut BitReader<'_>) -> Result<(), BitFault> {
        /// `loop_filter_ref_deltas` of `TOTAL_REFS_PER_FRAME`, and two `loop_filter_mode_deltas`.
        const DELTAS: usize = 8 + 2;
        if self.coded_lossless || self.allow_intrabc {
            return Ok(());
        }
        // loop_filter_level[0] and loop_filter_level[1]
        let loop_filter_levels = bits.u(6 + 6)?;
        if self.sequence.color_config.num_planes() > 1 && loop_filter_levels != 0 {
            let _loop_filter_levels_2_and_3 = bits.u(6 + 6)?;
        }
        let _loop_filter_sharpness = bits.u(3)?;
        let loop_filter_delta_enabled = bits.flag()?;
        let loop_filter_delta_update = loop_filter_delta_enabled && bits.flag()?;
        if loop_filter_delta_update {
            for _ in 0..DELTAS {
                let update_delta = bits.flag()?;
                if update_delta {
                    let _delta = bits.u(1 + 6)?;
                }
            }
        }
        Ok(())
    }

    /// `cdef_params()` (5.9.19).
    fn skip_cdef_params(&self, bits: &mut BitReader<'_>) -> Result<(), BitFault> {
        if self.coded_lossless || self.allow_intrabc || !self.sequence.enable_cdef {
            return Ok(());
        }
        let _cdef_damping_minus_3 = bits.u(2)?;
        let cdef_bits = bits.u(2)?;
        for _ in 0..1 << cdef_bits {
            let _cdef_y_strengths = bits.u(4 + 2)?;
            if self.sequence.color_config.num_planes() > 1 {
                let _cdef_uv_strengths = bits.u(4 + 2)?;
            }
        }
        Ok(())
    }

    /// `lr_params()` (5.9.20).
    fn skip_lr_params(&self, bits: &mut BitReader<'_>) -> Result<(), BitFault> {
        if self.all_lossless || self.allow_intrabc || !self.sequence.enable_restoration {
            return Ok(());
        }
        let color = &self.sequence.color_config;
        let (mut uses_lr, mut uses_chroma_lr) = (false, false);
        for plane in 0..color.num_planes() {
            let lr_type = bits.u(2)?;
            uses_lr |= lr_type != 0;
            uses_chroma_lr |= lr_type != 0 && plane > 0;
        }
        if uses_lr {
            let lr_unit_shift = bits.flag()?;
            if !self.sequence.use_128x128_superblock && lr_unit_shift {
                let _lr_unit_extra_shift = bits.flag()?;
            }
            if color.subsampling_x && color.subsampling_y && uses_chroma_lr {
                let _lr_uv_shift = bits.flag()?;
            }
        }
        Ok(())
    }
}

/// `skipModeAllowed` of a frame with `reference_select` (5.9.22).
fn skip_mode_allowed(
    ref_frame_idx: [u8; REFS_PER_FRAME],
    order_hint: u32,
    sequence: &SequenceHeader,
    references: &References,
    bits: &BitReader<'_>,
) -> Result<bool, BitFault> {
    if sequence.order_hint_bits == 0 {
        return Ok(false);
    }
    let relative = |a, b| relative_dist(a, b, sequence.order_hint_bits);
    let mut hints = [0; REFS_PER_FRAME];
    for (hint, idx) in hints.iter_mut().zip(ref_frame_idx) {
        *hint = references.order_hint(idx, bits)?;
    }
    let is_forward = |hint: &u32| relative(*hint, order_hint) < 0;
    let Some(forward) = hints
        .into_iter()
        .filter(is_forward)
        .max_by_key(|hint| relative(*hint, order_hint))
    else {
        return Ok(false);
    };
    // A reference behind it in output order, or one in front of the nearest in front. Distances go round: the second may
    // be one of no distance, where the nearest is as far away as can be.
    let has_backward = hints.into_iter().any(|hint| relative(hint, order_hint) > 0);
    Ok(has_backward || hints.into_iter().any(|hint| relative(hint, forward) < 0))
}

/// `global_motion_params()` of an inter frame (5.9.24).
fn skip_global_motion_params(bits: &mut BitReader<'_>, allow_high_precision_mv: bool) -> Result<(), BitFault> {
    /// `GM_ABS_ALPHA_BITS` and `GM_ABS_TRANS_BITS` (3).
    const GM_ABS_BITS: u32 = 12;
    /// `GM_ABS_TRANS_ONLY_BITS` (3).
    const GM_ABS_TRANS_ONLY_BITS: u32 = 9;
    for _ in 0..REFS_PER_FRAME {
        let is_global = bits.flag()?;
        if !is_global {
            continue;
        }
        let is_rot_zoom = bits.flag()?;
        let is_translation = !is_rot_zoom && bits.flag()?;
        let (params, abs_bits) = match (is_rot_zoom, is_translation) {
            (true, _) => (4, GM_ABS_BITS),
            (_, true) => (2, GM_ABS_TRANS_ONLY_BITS - u32::from(!allow_high_precision_mv)),
            _ => (6, GM_ABS_BITS),
        };
        for _ in 0..params {
            skip_global_param(bits, abs_bits)?;
        }
    }
    Ok(())
}

/// `read_global_param()`: a code from −2^`abs_bits` to 2^`abs_bits`, whose length does not depend on the value that it
/// is relative to (5.9.25 to 5.9.28).
fn skip_global_param(bits: &mut BitReader<'_>, abs_bits: u32) -> Result<(), BitFault> {
    const K: u32 = 3;
    let num_syms = 2 * (1 << abs_bits) + 1;
    let (mut i, mut mk) = (0, 0);
    loop {
        let b2 = if i > 0 { K + i - 1 } else { K };
        let a = 1 << b2;
        if num_syms <= mk + 3 * a {
            let _subexp_final_bits = ns(bits, num_syms - mk)?;
            return Ok(());
        }
        let subexp_more_bits = bits.flag()?;
        if !subexp_more_bits {
            let _subexp_bits = bits.u(b2)?;
            return Ok(());
        }
        i += 1;
        mk += a;
    }
}

/// `film_grain_params()` of a frame that may be shown (5.9.30).
fn skip_film_grain_params(
    bits: &mut BitReader<'_>,
    frame_type: FrameType,
    sequence: &SequenceHeader,
) -> Result<(), BitFault> {
    /// Most points of the luma scaling function, and of a chroma one (6.8.20).
    const MAX_NUM_POINTS: [(&str, u32); 3] = [("num_y_points", 14), ("num_cb_points", 10), ("num_cr_points", 10)];
    let color = &sequence.color_config;
    let apply_grain = bits.flag()?;
    if !apply_grain {
        return Ok(());
    }
    let _grain_seed = bits.u(16)?;
    let update_grain = frame_type != FrameType::Inter || bits.flag()?;
    if !update_grain {
        let _film_grain_params_ref_idx = bits.u(3)?;
        return Ok(());
    }

    let [y, cb, cr] = MAX_NUM_POINTS;
    let num_y_points = skip_points(bits, y)?;
    let chroma_scaling_from_luma = !color.mono_chrome && bits.flag()?;
    let is_420 = color.subsampling_x && color.subsampling_y;
    let (mut num_cb_points, mut num_cr_points) = (0, 0);
    let no_chroma = color.mono_chrome || chroma_scaling_from_luma || is_420 && num_y_points == 0;
    if !no_chroma {
        num_cb_points = skip_points(bits, cb)?;
        num_cr_points = skip_points(bits, cr)?;
    }
    let _grain_scaling_minus_8 = bits.u(2)?;
    let ar_coeff_lag = bits.u(2)?;
    let num_pos_luma = 2 * ar_coeff_lag * (ar_coeff_lag + 1);
    let num_pos_chroma = num_pos_luma + u32::from(num_y_points > 0);
    let ar_coeffs = [
        (num_y_points > 0, num_pos_luma),
        (chroma_scaling_from_luma || num_cb_points > 0, num_pos_chroma),
        (chroma_scaling_from_luma || num_cr_points > 0, num_pos_chroma),
    ];
    for (_, count) in ar_coeffs.into_iter().filter(|(is_present, _)| *is_present) {
        for _ in 0..count {
            let _ar_coeff_plus_128 = bits.u(8)?;
        }
    }
    let _ar_coeff_shift_minus_6 = bits.u(2)?;
    let _grain_scale_shift = bits.u(2)?;
    for _ in [num_cb_points, num_cr_points].into_iter().filter(|count| *count > 0) {
        let _mult_luma_mult_and_offset = bits.u(8 + 8 + 9)?;
    }
    let _overlap_flag = bits.flag()?;
    let _clip_to_restricted_range = bits.flag()?;
    Ok(())
}

/// Points of a scaling function, behind their number, which has a name and a maximum.
fn skip_points(bits: &mut BitReader<'_>, (name, max): (&str, u32)) -> Result<u32, BitFault> {
    let count = bits.u(4)?;
    if count > max {
        return Err(bits.invalid(format!("{name} is {count}, expected at most {max}")));
    }
    for _ in 0..count {
        let _value_and_scaling = bits.u(8 + 8)?;
    }
    Ok(count)
}

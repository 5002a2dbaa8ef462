//! What frame headers depend on of the frames before (AV1, 7.20 and 7.21).
//!
//! The lengths of headers depend on frame sizes, frame types, order hints, and on the quantizer indices of segments.
//! Nothing depends on frame IDs, nor on loop filter deltas, global motion and film grain that a frame takes over: their
//! codes are as long whatever the values were (5.9.11, 5.9.25 to 5.9.28, 5.9.30).

use super::frame_header::FrameType;
use crate::codec::bit_reader::{BitFault, BitReader};

/// `NUM_REF_FRAMES`: slots for reference frames (3).
pub const NUM_REF_FRAMES: usize = 8;

/// `MAX_SEGMENTS` (3).
pub const MAX_SEGMENTS: usize = 8;

/// `FeatureData[][SEG_LVL_ALT_Q]` of segments, where `FeatureEnabled` (5.9.14).
pub type AltQ = [Option<i32>; MAX_SEGMENTS];

/// What a slot keeps of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    /// `RefFrameType`.
    pub frame_type: FrameType,
    /// `RefUpscaledWidth`, in pixels.
    pub upscaled_width: u32,
    /// `RefFrameHeight`, in pixels.
    pub frame_height: u32,
    /// `SavedFeatureData`.
    pub alt_q: AltQ,
}

/// A slot that something is known of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot {
    /// `RefOrderHint`.
    order_hint: u32,
    /// The frame; `None` where a frame header says that it is another than was stored, which is lost.
    frame: Option<Reference>,
}

/// The slots for reference frames; empty at a scanner's start.
#[derive(Debug, Clone, Default)]
pub struct References {
    slots: [Option<Slot>; NUM_REF_FRAMES],
}

impl References {
    /// Stores a frame in the slots of `refresh_frame_flags` (7.20).
    pub fn refresh(&mut self, refresh_frame_flags: u8, order_hint: u32, frame: Reference) {
        let slot = Slot {
            order_hint,
            frame: Some(frame),
        };
        for (i, place) in self.slots.iter_mut().enumerate() {
            if refresh_frame_flags >> i & 1 == 1 {
                *place = Some(slot);
            }
        }
    }

    /// Takes `ref_order_hint[i]` of a frame header: another order hint than the slot's means that its frame was lost
    /// (5.9.2).
    pub fn expect_order_hint(&mut self, i: usize, ref_order_hint: u32) {
        if let Some(place) = self.slots.get_mut(i)
            && place.is_none_or(|slot| slot.order_hint != ref_order_hint)
        {
            *place = Some(Slot {
                order_hint: ref_order_hint,
                frame: None,
            });
        }
    }

    /// `RefOrderHint[i]`.
    ///
    /// # Errors
    /// [`BitFault`], at the last of `bits` that were read, where no frame is known.
    pub fn order_hint(&self, i: u8, bits: &BitReader<'_>) -> Result<u32, BitFault> {
        let slot = self.slots.get(usize::from(i)).copied().flatten();
        Ok(slot.ok_or_else(|| missing(i, bits))?.order_hint)
    }

    /// The frame in slot `i`.
    ///
    /// # Errors
    /// [`BitFault`], at the last of `bits` that were read, where no frame is known.
    pub fn frame(&self, i: u8, bits: &BitReader<'_>) -> Result<Reference, BitFault> {
        let slot = self.slots.get(usize::from(i)).copied().flatten();
        slot.and_then(|slot| slot.frame).ok_or_else(|| missing(i, bits))
    }
}

fn missing(i: u8, bits: &BitReader<'_>) -> BitFault {
    bits.invalid(format!(
        "a frame refers to reference slot {i}, which no frame since the last sync sample has filled"
    ))
}

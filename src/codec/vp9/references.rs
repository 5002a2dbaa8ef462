//! What frame headers depend on of the frames before (VP9, 7.2.5 and 8.10): the widths of reference frames alone.

use crate::codec::bit_reader::{BitFault, BitReader};

/// `NUM_REF_FRAMES`: slots for reference frames (3).
const NUM_REF_FRAMES: usize = 8;

/// The slots for reference frames; empty at a scanner's start.
#[derive(Debug, Clone, Default)]
pub struct References {
    widths: [Option<u32>; NUM_REF_FRAMES],
}

impl References {
    /// Stores a frame of `frame_width` pixels in the slots of `refresh_frame_flags`.
    pub fn refresh(&mut self, refresh_frame_flags: u8, frame_width: u32) {
        for (i, width) in self.widths.iter_mut().enumerate() {
            if refresh_frame_flags >> i & 1 == 1 {
                *width = Some(frame_width);
            }
        }
    }

    /// `RefFrameWidth[i]`, in pixels.
    ///
    /// # Errors
    /// [`BitFault`], at the last of `bits` that were read, where no frame is known.
    pub fn frame_width(&self, i: u32, bits: &BitReader<'_>) -> Result<u32, BitFault> {
        let width = self.widths.get(i as usize).copied().flatten();
        width.ok_or_else(|| {
            bits.invalid(format!(
                "a frame refers to reference slot {i}, which no frame since the last sync sample has filled"
            ))
        })
    }
}

//! Superframes: the frames of a sample, and the index behind them that tells their sizes (VP9, Annex B).

use crate::codec::bit_reader::BitFault;

/// Most frames that an index can tell of.
const MAX_FRAMES: usize = 8;

/// The sizes of the frames of `sample`, in bytes, in decode order. They lie one behind the other, and what is left behind
/// them is the index; a sample without one is a single frame, and a sample without bytes none.
///
/// # Errors
/// [`BitFault`] where there is an index that does not fit the sample.
pub fn frame_sizes(sample: &[u8]) -> Result<impl Iterator<Item = usize> + use<>, BitFault> {
    let mut sizes = [sample.len(); MAX_FRAMES];
    let Some(superframe_marker) = sample.last().filter(|marker| **marker >> 5 == 0b110) else {
        return Ok(sizes.into_iter().take(usize::from(!sample.is_empty())));
    };
    let fault = |problem: String| BitFault {
        position: sample.len() - 1,
        problem: problem.into(),
    };
    let frames_in_superframe = usize::from(superframe_marker & 0b111) + 1;
    let frame_size_bytes = usize::from(superframe_marker >> 3 & 0b11) + 1;
    let index_bytes = 2 + frames_in_superframe * frame_size_bytes;
    let index_start = sample.len().checked_sub(index_bytes);
    let Some((frames, index)) = index_start.and_then(|start| sample.split_at_checked(start)) else {
        let size = sample.len();
        return Err(fault(format!(
            "a superframe index of {index_bytes} bytes in a sample of {size}"
        )));
    };
    // Encoders let no frame end with a byte that looks like the marker, so this is damage.
    let Some((_, fields)) = index.split_first().filter(|(first, _)| *first == superframe_marker) else {
        return Err(fault(format!(
            "ends with superframe_marker 0x{superframe_marker:02x}, which does not stand {index_bytes} bytes from the end too"
        )));
    };
    let frame_sizes = fields.chunks_exact(frame_size_bytes).take(frames_in_superframe);
    let mut total: usize = 0;
    for (size, le) in sizes.iter_mut().zip(frame_sizes) {
        *size = le.iter().rev().fold(0, |size, byte| size << 8 | usize::from(*byte));
        total = total.saturating_add(*size);
    }
    if total != frames.len() {
        let left = frames.len();
        return Err(fault(format!(
            "the superframe index has {frames_in_superframe} frames of {total} bytes together, with {left} in front of it"
        )));
    }
    Ok(sizes.into_iter().take(frames_in_superframe))
}

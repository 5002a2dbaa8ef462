//! What the samples of one segment tell playlists, whether they are protected or not.

use super::{Captions, Codec};

/// Sees the samples of a segment one by one, in decode order.
#[derive(Debug, Default)]
pub struct SegmentWatch {
    /// The captions inside of them.
    pub captions: Captions,
    /// The first that refers to the segment before, counted from 0: it is in front of the second sync sample.
    pub refers_back: Option<u64>,
    samples: u64,
    sync_samples: u64,
}

impl SegmentWatch {
    /// Sees the next sample, of a track of `codec`.
    pub fn see(&mut self, codec: &dyn Codec, is_sync: bool, sample: &[u8]) {
        self.sync_samples += u64::from(is_sync);
        if self.refers_back.is_none() && self.sync_samples < 2 && codec.is_skipped_leading(sample) {
            self.refers_back = Some(self.samples);
        }
        codec.find_captions(sample, &mut self.captions);
        self.samples += 1;
    }
}

//! Subsample maps (ISO/IEC 23001-7, 9.5): runs of clear bytes followed by protected bytes.

pub use crate::isobmff::senc::Subsample;

/// The subsamples of one or more samples, appended range by range.
///
/// Neighbouring clear ranges merge; a clear range above 65,535 bytes is split with zero-protected entries. Where the scheme
/// protects whole blocks alone, what is left behind them stays clear (ISO/IEC 23001-7, 9.5.2.2).
/// Reused from sample to sample: it allocates only while it grows.
#[derive(Debug, Default)]
pub struct SubsampleMap {
    entries: Vec<Subsample>,
    sample_start: usize,
    pending_clear_bytes: usize,
    has_whole_blocks: bool,
}

/// Bytes of an AES block.
const BLOCK_BYTES: u32 = 16;

impl SubsampleMap {
    /// Forgets all entries, keeping the memory.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.sample_start = 0;
        self.pending_clear_bytes = 0;
    }

    /// Protects whole blocks alone from now on, or whatever there is.
    pub fn align(&mut self, has_whole_blocks: bool) {
        self.has_whole_blocks = has_whole_blocks;
    }

    /// The next `bytes` bytes stay clear.
    pub fn push_clear(&mut self, bytes: usize) {
        self.pending_clear_bytes += bytes;
    }

    /// The next `bytes` bytes are protected; zero is no range at all.
    pub fn push_protected(&mut self, bytes: u32) {
        let clear = if self.has_whole_blocks { bytes % BLOCK_BYTES } else { 0 };
        if bytes > clear {
            self.flush(bytes - clear);
        }
        self.push_clear(clear as usize);
    }

    /// Ends the sample and returns its entries: a clear tail becomes entries of its own, and a sample of no bytes
    /// one empty entry, because an entry count of zero would mean that the whole sample is protected.
    pub fn end_sample(&mut self) -> &[Subsample] {
        let start = self.sample_start;
        if self.pending_clear_bytes > 0 || self.entries.len() == start {
            self.flush(0);
        }
        self.sample_start = self.entries.len();
        self.entries.get(start..).unwrap_or_default()
    }

    fn flush(&mut self, protected_bytes: u32) {
        const MAX_CLEAR: usize = u16::MAX as usize;
        while self.pending_clear_bytes > MAX_CLEAR {
            self.entries.push(Subsample {
                clear_bytes: u16::MAX,
                protected_bytes: 0,
            });
            self.pending_clear_bytes -= MAX_CLEAR;
        }
        #[expect(clippy::cast_possible_truncation, reason = "the loop above leaves at most 65,535")]
        let clear_bytes = self.pending_clear_bytes as u16;
        self.entries.push(Subsample {
            clear_bytes,
            protected_bytes,
        });
        self.pending_clear_bytes = 0;
    }

    /// All entries so far.
    #[must_use]
    pub fn entries(&self) -> &[Subsample] {
        &self.entries
    }
}

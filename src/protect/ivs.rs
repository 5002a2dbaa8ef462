//! The initialization vectors of a track's samples.

use crate::content_key::Iv;

/// Samples that a track may have under [`Ivs::per_sample`] before it meets the IVs of the next one.
const SAMPLES_A_TRACK_BITS: u32 = 40;

/// One for all samples, or one each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ivs {
    /// All have the same.
    Constant(Iv),
    /// Each has its own.
    PerSample {
        /// Of the first sample.
        first: Iv,
        /// Bytes of it that are written, 8 or 16; the others are zero.
        size: u8,
    },
}

impl Ivs {
    /// An IV for each sample of the track of that number: no two samples of a presentation have the same first half.
    ///
    /// `first` is one for all tracks. Its first half is counted up from sample to sample, and from track to track by more
    /// samples than a track has. Its second half is where a sample's block counter starts, and never carries into the first
    /// (ISO/IEC 23001-7, 9.3), so no counter of one sample ever meets one of another; of 8 bytes, it is zero.
    #[must_use]
    pub fn per_sample(first: Iv, size: u8, track_number: u32) -> Self {
        let first = plus(first, u64::from(track_number) << SAMPLES_A_TRACK_BITS);
        let keep = if size == 8 { u128::MAX << 64 } else { u128::MAX };
        Self::PerSample {
            first: Iv((u128::from_be_bytes(first.0) & keep).to_be_bytes()),
            size,
        }
    }

    /// The IV of the sample of that number in decode order; the first is 0.
    #[must_use]
    pub fn of(self, sample: u32) -> Iv {
        match self {
            Self::Constant(iv) => iv,
            Self::PerSample { first, .. } => plus(first, u64::from(sample)),
        }
    }

    /// The one of all samples, where it is constant.
    #[must_use]
    pub const fn constant(self) -> Option<Iv> {
        match self {
            Self::Constant(iv) => Some(iv),
            Self::PerSample { .. } => None,
        }
    }

    /// Bytes that are written of each sample's IV; 0 where it is constant.
    #[must_use]
    pub const fn size(self) -> u8 {
        match self {
            Self::Constant(_) => 0,
            Self::PerSample { size, .. } => size,
        }
    }
}

/// An IV whose first half counts `count` more.
fn plus(iv: Iv, count: u64) -> Iv {
    let mut bytes = iv.0;
    if let Some((half, _)) = bytes.split_first_chunk_mut() {
        *half = u64::from_be_bytes(*half).wrapping_add(count).to_be_bytes();
    }
    Iv(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iv(first_half: u64, second_half: u64) -> Iv {
        Iv(((u128::from(first_half) << 64) | u128::from(second_half)).to_be_bytes())
    }

    #[test]
    fn the_first_half_counts_samples() {
        let ivs = Ivs::per_sample(iv(u64::MAX - 1, 7), 16, 0);
        assert_eq!(
            [0, 1, 2, 3].map(|sample| ivs.of(sample)),
            [iv(u64::MAX - 1, 7), iv(u64::MAX, 7), iv(0, 7), iv(1, 7)]
        );
    }

    #[test]
    fn no_iv_comes_twice_in_a_presentation() {
        let first = iv(u64::MAX - (3 << SAMPLES_A_TRACK_BITS), u64::MAX);
        let mut seen = std::collections::HashSet::new();
        for track in 0..200 {
            let ivs = Ivs::per_sample(first, 8, track);
            for sample in [0, 1, 1000, u32::MAX - 1, u32::MAX] {
                let iv = ivs.of(sample);
                assert_eq!(iv.0.get(8..), Some([0; 8].as_slice()));
                assert!(seen.insert(iv), "track {track}, sample {sample}");
            }
        }
    }
}

//! What the tests of video codecs share: choices for streams that tests write, samples of NAL units, and their scans.

use proptest::sample::Index;

use super::{CodecError, SampleScanner, Subsample, SubsampleMap};

/// Decisions drawn from arbitrary bytes: all zeros once they run out, so that failures shrink to simple streams.
pub struct Choices(std::vec::IntoIter<u8>);

impl Choices {
    /// Draws from `bytes`.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes.into_iter())
    }

    /// From 0 to 255.
    pub fn byte(&mut self) -> u32 {
        self.0.next().unwrap_or(0).into()
    }

    /// A coin.
    pub fn flag(&mut self) -> bool {
        self.byte() % 2 == 1
    }

    /// From 0 to `max`, often 0.
    pub fn up_to(&mut self, max: u32) -> u32 {
        match self.byte() {
            byte @ 0..128 => byte % 8 % (max + 1),
            byte @ 128..160 => max - byte % 8 % (max + 1),
            byte => (byte << 24 | self.byte() << 16 | self.byte() << 8 | self.byte()) % (max + 1),
        }
    }

    /// From -`max` to `max`.
    pub fn signed(&mut self, max: u32) -> i32 {
        let magnitude = self.up_to(max).cast_signed();
        if self.flag() { -magnitude } else { magnitude }
    }
}

/// The clear and protected bytes of a sample.
pub fn scan(scanner: &mut dyn SampleScanner, sample: &[u8]) -> Result<Vec<(u16, u32)>, CodecError> {
    let mut map = SubsampleMap::default();
    scanner.scan(sample, &mut map)?;
    let pair = |entry: &Subsample| (entry.clear_bytes, entry.protected_bytes);
    Ok(map.end_sample().iter().map(pair).collect())
}

/// Whether `map` covers exactly `bytes` bytes.
pub fn covers(map: &[(u16, u32)], bytes: usize) -> bool {
    map.iter()
        .map(|&(clear, protected)| u64::from(clear) + u64::from(protected))
        .sum::<u64>()
        == bytes as u64
}

/// NAL units behind length fields of 4 bytes.
pub fn sample(nal_units: &[&[u8]]) -> Vec<u8> {
    length_prefixed(nal_units, 4)
}

/// NAL units behind length fields of `nal_length_size` bytes.
pub fn length_prefixed(nal_units: &[&[u8]], nal_length_size: usize) -> Vec<u8> {
    let mut sample = Vec::new();
    for nal in nal_units {
        let length = (nal.len() as u64).to_be_bytes();
        sample.extend(length.iter().skip(8 - nal_length_size));
        sample.extend(*nal);
    }
    sample
}

/// Cuts a sample at `length`, three times of four not at all, and changes bytes of what is left.
pub fn break_up(sample: &mut Vec<u8>, damage: &[(Index, u8)], length: Index) {
    sample.truncate(length.index(sample.len() * 4));
    for (index, value) in damage {
        if !sample.is_empty() {
            *index.get_mut(sample) = *value;
        }
    }
}

//! Which bytes of the `mdat` boxes of a fragmented file belong to samples (ISO/IEC 14496-12, 8.1.1).

use std::collections::BTreeMap;

use crate::isobmff::{BoxError, BoxHeader, BoxPath, Problem};

/// Media data: each byte belongs to one sample.
///
/// Where a box that speaks of samples is lost, bytes are left over; where one is damaged, they are claimed twice.
pub(super) struct MediaData {
    /// In the order of the file.
    boxes: Vec<BoxHeader>,
    /// What belongs to samples, from its first byte to behind its last; neighbours are one.
    claimed: BTreeMap<u64, u64>,
}

impl MediaData {
    pub(super) fn new(mdats: &[BoxHeader]) -> Self {
        Self {
            boxes: mdats.to_vec(),
            claimed: BTreeMap::new(),
        }
    }

    /// Bytes `start` to `end` of the file belong to samples.
    ///
    /// # Errors
    /// [`Problem::Invalid`] where they are not inside one `mdat`, or belong to others already.
    pub(super) fn claim(&mut self, start: u64, end: u64) -> Result<(), Problem> {
        let invalid = |what: String| Err(Problem::Invalid(what.into()));
        if start == end {
            return Ok(());
        }
        let next = self.boxes.partition_point(|mdat| mdat.offset <= start);
        let mdat = next.checked_sub(1).and_then(|index| self.boxes.get(index));
        if mdat.is_none_or(|mdat| start < mdat.payload_offset() || mdat.end() < end) {
            return invalid(format!(
                "samples at bytes {start} to {end} are not inside one 'mdat'; the file is truncated or damaged"
            ));
        }
        let before = self
            .claimed
            .range(..start)
            .next_back()
            .map(|(start, end)| (*start, *end));
        let after = self.claimed.range(start..).next().map(|(start, end)| (*start, *end));
        if before.is_some_and(|(_, before_end)| start < before_end) || after.is_some_and(|(after, _)| after < end) {
            return invalid(format!(
                "bytes {start} to {end} belong to other samples already; the file is damaged"
            ));
        }
        let first = before.filter(|(_, before_end)| *before_end == start);
        let last = after.filter(|(after_start, _)| *after_start == end);
        if let Some((after_start, _)) = last {
            self.claimed.remove(&after_start);
        }
        self.claimed.insert(
            first.map_or(start, |(before_start, _)| before_start),
            last.map_or(end, |(_, after_end)| after_end),
        );
        Ok(())
    }

    /// # Errors
    /// [`Problem::Invalid`] where bytes of an `mdat` behind byte `start` of the file belong to no sample.
    pub(super) fn check_complete(&self, start: u64) -> Result<(), BoxError> {
        for mdat in self.boxes.iter().filter(|mdat| mdat.offset >= start) {
            let first = mdat.payload_offset();
            let claimed_end = self.claimed.get(&first).copied().unwrap_or(first);
            if claimed_end < mdat.end() {
                let what =
                    format!("its byte {claimed_end} belongs to no sample; a movie fragment is missing or damaged");
                return Err(BoxError {
                    path: BoxPath::default().child(mdat.kind).unwrap_or_default(),
                    offset: mdat.offset,
                    problem: Problem::Invalid(what.into()),
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isobmff::{FourCc, SizeForm};

    fn mdat(offset: u64, size: u64) -> BoxHeader {
        BoxHeader {
            kind: FourCc::new(b"mdat"),
            offset,
            form: SizeForm::Compact,
            size,
        }
    }

    #[test]
    fn every_byte_belongs_to_one_sample_in_whatever_order() {
        let mut data = MediaData::new(&[mdat(100, 108), mdat(208, 18)]);
        for (start, end) in [(150, 208), (216, 226), (108, 120), (130, 150), (120, 130), (140, 140)] {
            assert_eq!(data.claim(start, end), Ok(()));
        }
        assert_eq!(data.claimed, BTreeMap::from([(108, 208), (216, 226)]));
        assert_eq!(data.check_complete(0), Ok(()));
    }

    #[test]
    fn bytes_of_no_sample_of_two_and_of_no_box() {
        let mut data = MediaData::new(&[mdat(100, 108), mdat(208, 18)]);
        assert_eq!(data.claim(108, 120), Ok(()));
        for (start, end) in [
            (107, 109),
            (119, 121),
            (108, 109),
            (110, 111),
            (190, 218),
            (0, 5),
            (300, 301),
        ] {
            assert!(data.claim(start, end).is_err(), "{start} to {end}");
        }
        assert_eq!(data.check_complete(0).map_err(|error| error.offset), Err(100));
        assert_eq!(data.check_complete(101).map_err(|error| error.offset), Err(208));
    }
}

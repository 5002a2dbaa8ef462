//! What the decoder configuration records of H.264 and H.265 have in common (ISO/IEC 14496-15, 5.3.3.1 and 8.3.3.1).

use std::ops::Range;

use super::{Fault, Problem, Reader};

/// `configurationVersion`, which is 1.
pub(super) fn configuration_version(payload: &mut Reader<'_>) -> Result<(), Fault> {
    let version_at = payload.clone();
    match payload.u8()? {
        1 => Ok(()),
        other => Err(version_at.fault(Problem::Version(other))),
    }
}

/// `lengthSizeMinusOne` in the low two bits of a byte: bytes of a NAL unit's length field, 1, 2 or 4.
pub(super) fn nal_length_size(payload: &mut Reader<'_>) -> Result<usize, Fault> {
    let length_size_at = payload.clone();
    match usize::from(payload.u8()? & 0b11) + 1 {
        3 => Err(length_size_at.invalid("NAL unit lengths of 3 bytes, expected 1, 2 or 4")),
        size => Ok(size),
    }
}

/// Where `count` NAL units stand, each behind a length of 16 bits, counted from the payload's `start`.
pub(super) fn nal_units(payload: &mut Reader<'_>, count: u16, start: usize) -> Result<Vec<Range<usize>>, Fault> {
    let mut nal_unit = || {
        let length = payload.u16()?;
        payload.bytes(length.into())?;
        let end = payload.position() - start;
        Ok(end - usize::from(length)..end)
    };
    (0..count).map(|_| nal_unit()).collect()
}

//! NAL units of a sample, each behind a length field (ISO/IEC 14496-15, 5.3.3.1, `lengthSizeMinusOne`).

use super::{CodecError, SubsampleMap};

/// A NAL unit of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NalUnit<'a> {
    /// Bytes from the sample's start to the NAL unit's header, behind the length field.
    pub position: usize,
    /// The NAL unit from its header on; empty where the length field is zero.
    pub bytes: &'a [u8],
}

/// Walks the NAL units of a sample; together with their length fields they cover it, or an error comes last.
#[derive(Debug, Clone)]
pub struct NalUnits<'a> {
    codec: &'static str,
    sample: &'a [u8],
    length_size: usize,
    position: usize,
}

impl<'a> NalUnits<'a> {
    /// Starts at the first byte of `sample`, whose length fields take `length_size` bytes (1 to 4).
    ///
    /// Errors are those of `codec`.
    #[must_use]
    pub const fn new(codec: &'static str, sample: &'a [u8], length_size: usize) -> Self {
        Self {
            codec,
            sample,
            length_size,
            position: 0,
        }
    }

    fn read(&self) -> Result<NalUnit<'a>, String> {
        let left = self.sample.get(self.position..).unwrap_or_default();
        let Some((length, behind)) = left.split_at_checked(self.length_size) else {
            let (left, length_size) = (left.len(), self.length_size);
            return Err(format!(
                "{left} bytes are left, fewer than a NAL unit's length field of {length_size}"
            ));
        };
        let length = length.iter().fold(0_u64, |length, &byte| length << 8 | u64::from(byte));
        let bytes = usize::try_from(length).ok().and_then(|length| behind.get(..length));
        let Some(bytes) = bytes else {
            let left = behind.len();
            return Err(format!(
                "a NAL unit of {length} bytes overruns the sample, where {left} bytes are left"
            ));
        };
        Ok(NalUnit {
            position: self.position + self.length_size,
            bytes,
        })
    }
}

impl<'a> Iterator for NalUnits<'a> {
    type Item = Result<NalUnit<'a>, CodecError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.position >= self.sample.len() {
            return None;
        }
        let nal = self.read();
        let position = self.position;
        self.position = match &nal {
            Ok(nal) => nal.position + nal.bytes.len(),
            Err(_) => self.sample.len(),
        };
        Some(nal.map_err(|problem| CodecError::Malformed {
            codec: self.codec,
            what: "sample",
            position,
            problem,
        }))
    }
}

/// Appends the clear and protected ranges of `sample` to `map`: of each NAL unit its length field and as many bytes as
/// `clear_bytes` says, at most all of it, stay clear.
///
/// # Errors
/// Those of `codec` for a sample that is not made of NAL units, and those of `clear_bytes`.
pub fn scan(
    codec: &'static str,
    sample: &[u8],
    length_size: usize,
    map: &mut SubsampleMap,
    mut clear_bytes: impl FnMut(NalUnit<'_>) -> Result<usize, CodecError>,
) -> Result<(), CodecError> {
    for nal in NalUnits::new(codec, sample, length_size) {
        let nal = nal?;
        let clear_bytes = clear_bytes(nal)?;
        #[expect(clippy::cast_possible_truncation, reason = "a length field has at most 32 bits")]
        let protected_bytes = (nal.bytes.len() - clear_bytes) as u32;
        map.push_clear(length_size + clear_bytes);
        map.push_protected(protected_bytes);
    }
    Ok(())
}

/// What is wrong with a slice that refers to a picture parameter set that is not there.
#[must_use]
pub fn no_picture_parameter_set(id: u8) -> String {
    format!(
        "a slice refers to picture parameter set {id}, \
         which neither the sample description nor a sample since the last sync sample carries"
    )
}

/// What is wrong with a slice whose picture parameter set refers to a sequence parameter set that is not there.
#[must_use]
pub fn no_sequence_parameter_set(picture_parameter_set_id: u8, id: u8) -> String {
    format!(
        "a slice refers, by picture parameter set {picture_parameter_set_id}, to sequence parameter set {id}, \
         which neither the sample description nor a sample since the last sync sample carries"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nal_units(sample: &[u8], length_size: usize) -> Result<Vec<(usize, &[u8])>, String> {
        NalUnits::new("H.264", sample, length_size)
            .map(|nal| nal.map(|nal| (nal.position, nal.bytes)))
            .collect::<Result<_, _>>()
            .map_err(|error| error.to_string())
    }

    #[test]
    fn length_fields_of_every_size() {
        assert_eq!(nal_units(&[], 4), Ok(vec![]));
        assert_eq!(
            nal_units(&[1, 9, 0, 2, 6, 7], 1),
            Ok(vec![(1, &[9][..]), (3, &[]), (4, &[6, 7])])
        );
        assert_eq!(nal_units(&[0, 1, 9], 2), Ok(vec![(2, &[9][..])]));
        assert_eq!(
            nal_units(&[0, 0, 0, 0, 0, 0, 0, 1, 9], 4),
            Ok(vec![(4, &[][..]), (8, &[9])])
        );
    }

    #[test]
    fn damage_is_located() {
        assert_eq!(
            nal_units(&[0, 1, 9, 0], 2),
            Err("H.264: 1 bytes are left, fewer than a NAL unit's length field of 2, at byte 3 of the sample".into())
        );
        assert_eq!(
            nal_units(&[0, 0, 0, 1, 9, 0xff, 0xff, 0xff, 0xff, 9], 4),
            Err("H.264: a NAL unit of 4294967295 bytes overruns the sample, where 1 bytes are left, at byte 5 of the sample".into())
        );
    }
}

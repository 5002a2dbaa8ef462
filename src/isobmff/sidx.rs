//! `sidx`: where a track's subsegments are in the file (ISO/IEC 14496-12, 8.16.3).

use super::writer::{Put, full_box};
use super::{Fault, FourCc, Reader, TypedBox, describe};

/// Bytes of a reference.
const REFERENCE_BYTES: usize = 12;

/// The segment index.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SegmentIndex {
    /// 1 stores times and offsets in 64 bits.
    pub version: u8,
    /// The track's ID, in files of one `moov`.
    pub reference_id: u32,
    /// Ticks a second of all times here.
    pub timescale: u32,
    /// In ticks of `timescale`.
    pub earliest_presentation_time: u64,
    /// From the first byte behind this box to the first byte that is referred to.
    pub first_offset: u64,
    /// In the order of the file, one behind the other.
    #[serde(serialize_with = "describe::table")]
    pub references: Vec<Reference>,
}

/// One subsegment, or another index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Reference {
    /// `reference_type`: another `sidx` rather than media.
    pub is_index: bool,
    /// Bytes of what is referred to, 31 bits.
    pub size: u32,
    /// In ticks of the index's timescale.
    pub duration_ticks: u32,
    /// `starts_with_SAP`, `SAP_type` and `SAP_delta_time`, as they are.
    pub stream_access_point: u32,
}

impl Reference {
    /// `stream_access_point` of a subsegment that begins with a stream access point of that type, 1 to 7.
    #[must_use]
    pub const fn access_point(sap_type: u32) -> u32 {
        1 << 31 | (sap_type & 7) << 28
    }
}

impl SegmentIndex {
    /// Bytes from the first byte behind this box to the end of all that is referred to; at most 2^64 - 1.
    #[must_use]
    pub fn reach_bytes(&self) -> u64 {
        let sizes = self.references.iter().map(|reference| u64::from(reference.size));
        self.first_offset.saturating_add(sizes.sum())
    }
}

impl TypedBox for SegmentIndex {
    const TYPE: FourCc = FourCc::new(b"sidx");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        let (version, _) = payload.full_box(1)?;
        let reference_id = payload.u32()?;
        let timescale = payload.u32()?;
        let earliest_presentation_time = payload.u32_or_u64(version)?;
        let first_offset = payload.u32_or_u64(version)?;
        payload.u16()?; // reserved
        let count = usize::from(payload.u16()?);
        let (entries, _) = payload.bytes(count * REFERENCE_BYTES)?.as_chunks::<REFERENCE_BYTES>();
        let references = entries.iter().map(|entry| {
            let mut entry = Reader::new(entry);
            let type_and_size = entry.u32()?;
            Ok(Reference {
                is_index: type_and_size >> 31 == 1,
                size: type_and_size & 0x7fff_ffff,
                duration_ticks: entry.u32()?,
                stream_access_point: entry.u32()?,
            })
        });
        Ok(Self {
            version,
            reference_id,
            timescale,
            earliest_presentation_time,
            first_offset,
            references: references.collect::<Result<_, _>>()?,
        })
    }

    #[expect(clippy::cast_possible_truncation, reason = "the count was read from 16 bits")]
    fn write_payload(&self, out: &mut Vec<u8>) {
        full_box(out, self.version, 0);
        out.put_u32(self.reference_id);
        out.put_u32(self.timescale);
        out.put_u32_or_u64(self.version, self.earliest_presentation_time);
        out.put_u32_or_u64(self.version, self.first_offset);
        out.put_u16(0);
        out.put_u16(self.references.len() as u16);
        for reference in &self.references {
            out.put_u32(u32::from(reference.is_index) << 31 | reference.size);
            out.put_u32(reference.duration_ticks);
            out.put_u32(reference.stream_access_point);
        }
    }
}

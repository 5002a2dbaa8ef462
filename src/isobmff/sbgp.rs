//! `sbgp`: which samples are in which group (ISO/IEC 14496-12, 8.9.2).

use super::writer::{Put, full_box, table};
use super::{Fault, FourCc, Reader, TypedBox, describe};

/// What is added to the index of a description that stands in the same fragment (ISO/IEC 14496-12, 8.9.4).
pub const IN_FRAGMENT: u32 = 0x1_0000;

/// Samples to groups.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SampleToGroup {
    /// What the groups are about.
    pub grouping_type: FourCc,
    /// There in version 1.
    pub grouping_type_parameter: Option<u32>,
    /// Runs of samples that are in one group.
    #[serde(serialize_with = "describe::table")]
    pub entries: Vec<GroupRun>,
}

/// Samples, one behind the other, that are in one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct GroupRun {
    /// How many.
    pub sample_count: u32,
    /// Which description in `sgpd` they have; 0 is none, and those above [`IN_FRAGMENT`] are in the fragment's own.
    pub group_description_index: u32,
}

impl TypedBox for SampleToGroup {
    const TYPE: FourCc = FourCc::new(b"sbgp");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        let (version, _) = payload.full_box(1)?;
        let grouping_type = payload.fourcc()?;
        let grouping_type_parameter = (version == 1).then(|| payload.u32()).transpose()?;
        let entries = payload.table(8, |payload| {
            Ok(GroupRun {
                sample_count: payload.u32()?,
                group_description_index: payload.u32()?,
            })
        })?;
        Ok(Self {
            grouping_type,
            grouping_type_parameter,
            entries,
        })
    }

    fn write_payload(&self, out: &mut Vec<u8>) {
        full_box(out, u8::from(self.grouping_type_parameter.is_some()), 0);
        out.extend_from_slice(&self.grouping_type.0);
        if let Some(parameter) = self.grouping_type_parameter {
            out.put_u32(parameter);
        }
        table(out, &self.entries, |out, run| {
            out.put_u32(run.sample_count);
            out.put_u32(run.group_description_index);
        });
    }
}

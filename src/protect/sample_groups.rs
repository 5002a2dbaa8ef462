//! Reads how the samples of a track fragment are encrypted, where that is not as `tenc` says (ISO/IEC 23001-7, 6).

use crate::isobmff::sbgp::{IN_FRAGMENT, SampleToGroup};
use crate::isobmff::seig::{GROUPING_TYPE, SampleEncryptionGroup};
use crate::isobmff::sgpd::{Entries, SampleGroupDescriptions};
use crate::isobmff::trun::TrackRun;
use crate::isobmff::{BoxError, Node, Reader};

/// The group that all samples of `traf` are in; `None` where they are in none, so that `tenc` holds.
///
/// # Errors
/// [`BoxError`] where the boxes can't be read, where samples of a fragment are in different groups, which no packager writes, or
/// where their description stands in the movie box.
pub fn read(traf: &Node<'_>) -> Result<Option<SampleEncryptionGroup>, BoxError> {
    let mut of_encryption = None;
    for node in traf.children_of(b"sbgp") {
        let groups: SampleToGroup = node.parse()?;
        if groups.grouping_type == GROUPING_TYPE {
            of_encryption = Some((node, groups));
        }
    }
    let Some((sbgp, groups)) = of_encryption else {
        return Ok(None);
    };
    let mut samples = 0_u64;
    for trun in traf.children_of(b"trun") {
        samples += trun.parse::<TrackRun>()?.samples.len() as u64;
    }
    let grouped: u64 = groups.entries.iter().map(|run| u64::from(run.sample_count)).sum();
    if grouped > samples {
        return Err(sbgp.invalid(format!("groups {grouped} samples, and the fragment has {samples}")));
    }
    let in_none = (grouped < samples).then_some(0);
    let indices = groups.entries.iter().filter(|run| run.sample_count > 0);
    let mut indices = indices.map(|run| run.group_description_index).chain(in_none);
    let Some(index) = indices.next().filter(|index| *index != 0) else {
        return match indices.find(|index| *index != 0) {
            None => Ok(None),
            Some(_) => Err(mixed(sbgp)),
        };
    };
    if indices.any(|other| other != index) {
        return Err(mixed(sbgp));
    }
    let at = index.checked_sub(IN_FRAGMENT + 1).ok_or_else(|| {
        sbgp.unsupported(format!(
            "group {index}, which the movie box describes and not the fragment"
        ))
    })?;
    for node in traf.children_of(b"sgpd") {
        let descriptions: SampleGroupDescriptions = node.parse()?;
        if descriptions.grouping_type != GROUPING_TYPE {
            continue;
        }
        let Entries::Sized { entries, .. } = descriptions.entries else {
            return Err(node.unsupported("a version other than 1"));
        };
        let entry = entries.get(at as usize);
        let entry = entry.ok_or_else(|| node.invalid(format!("has no entry {}, which 'sbgp' names", at + 1)))?;
        let mut reader = Reader::new(entry);
        let parsed = SampleEncryptionGroup::parse(&mut reader);
        return match parsed {
            Ok(group) if reader.is_empty() => Ok(Some(group)),
            Ok(_) => Err(node.invalid("bytes behind the fields of an entry")),
            Err(fault) => Err(node.invalid(format!("entry {}, byte {}: {}", at + 1, fault.position, fault.problem))),
        };
    }
    Err(sbgp.invalid("there is no 'sgpd' of the type 'seig' beside it"))
}

fn mixed(sbgp: &Node<'_>) -> BoxError {
    sbgp.unsupported("samples of one fragment that are encrypted in different ways")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isobmff::TypedBox;
    use crate::isobmff::sbgp::GroupRun;
    use crate::isobmff::trun::{Fields, RunSample, RunSamples};
    use crate::isobmff::writer::boxed;

    /// What a `traf` of three samples says, whose `sbgp` has these runs and whose `sgpd` one entry.
    fn of_runs(runs: &[(u32, u32)]) -> String {
        let mut out = Vec::new();
        boxed(&mut out, crate::isobmff::FourCc::new(b"traf"), |out| {
            let sample = RunSample {
                duration: 1,
                size: 1,
                flags: 0,
                composition_offset: 0,
            };
            let samples = RunSamples::Each(vec![sample; 3]);
            TrackRun {
                version: 0,
                fields: Fields::SIZE,
                data_offset: None,
                first_sample_flags: None,
                samples,
            }
            .write(out);
            let run = |(sample_count, group_description_index): &(u32, u32)| GroupRun {
                sample_count: *sample_count,
                group_description_index: *group_description_index,
            };
            SampleToGroup {
                grouping_type: GROUPING_TYPE,
                grouping_type_parameter: None,
                entries: runs.iter().map(run).collect(),
            }
            .write(out);
            let entry = [&[0, 0, 1, 8][..], &[7; 16]].concat();
            SampleGroupDescriptions {
                grouping_type: GROUPING_TYPE,
                entries: Entries::Sized {
                    default_length: 20,
                    entries: vec![entry],
                },
            }
            .write(out);
        });
        let group = Node::parse_one(&out, 0).and_then(|traf| read(&traf));
        group.map_or_else(
            |error| error.to_string(),
            |group| format!("{:?}", group.map(|group| group.kid)),
        )
    }

    #[test]
    fn all_samples_are_in_one_group_or_in_none() {
        let one = format!("Some(Kid({}))", "07".repeat(16));
        for (runs, expected) in [
            (&[(3, 0x1_0001)][..], one.as_str()),
            (&[(1, 0x1_0001), (2, 0x1_0001)], one.as_str()),
            (&[], "None"),
            (&[(3, 0)], "None"),
            (&[(2, 0x1_0001)], "encrypted in different ways"),
            (&[(1, 0), (2, 0x1_0001)], "encrypted in different ways"),
            (&[(3, 1)], "group 1, which the movie box describes"),
            (&[(3, 0x1_0002)], "has no entry 2"),
            (&[(4, 0x1_0001)], "groups 4 samples, and the fragment has 3"),
        ] {
            let said = of_runs(runs);
            assert!(said.contains(expected), "{runs:?}: {said}");
        }
    }
}

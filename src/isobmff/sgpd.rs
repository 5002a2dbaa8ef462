//! `sgpd`: what the samples of groups have in common (ISO/IEC 14496-12, 8.9.3).

use super::writer::{Put, full_box};
use super::{Fault, FourCc, Reader, TypedBox, describe};

/// Descriptions of sample groups. How an entry is read depends on the grouping type.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SampleGroupDescriptions {
    /// What the groups are about.
    pub grouping_type: FourCc,
    /// What else there is.
    #[serde(flatten)]
    pub entries: Entries,
}

/// The entries of each version of the box.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Entries {
    /// Version 1: entries say how long they are.
    Sized {
        /// Bytes of each entry; 0 where each says its own.
        default_length: u32,
        /// Their bytes.
        #[serde(serialize_with = "hex_table")]
        entries: Vec<Vec<u8>>,
    },
    /// Other versions, whose entries can't be told apart without knowing them: all bytes.
    Opaque {
        /// The box's version.
        version: u8,
        /// What stands behind the grouping type.
        #[serde(serialize_with = "describe::hex")]
        bytes: Vec<u8>,
    },
}

fn hex_table<S: serde::Serializer>(entries: &[Vec<u8>], serializer: S) -> Result<S::Ok, S::Error> {
    /// One entry.
    #[derive(serde::Serialize)]
    struct Entry<'a>(#[serde(serialize_with = "describe::hex")] &'a [u8]);
    let entries = entries.iter().map(|entry| Entry(entry));
    serde::Serialize::serialize(&describe::Table::new(entries), serializer)
}

impl TypedBox for SampleGroupDescriptions {
    const TYPE: FourCc = FourCc::new(b"sgpd");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        let (version, _) = payload.full_box(u8::MAX)?;
        let grouping_type = payload.fourcc()?;
        if version != 1 {
            let bytes = payload.rest().to_vec();
            let entries = Entries::Opaque { version, bytes };
            return Ok(Self { grouping_type, entries });
        }
        let default_length = payload.u32()?;
        // An entry without a length of its own has at least one byte, and one with it takes four for that.
        let count = payload.count(if default_length == 0 {
            4
        } else {
            default_length as usize
        })?;
        let mut entries = Vec::new();
        for _ in 0..count {
            let length = if default_length == 0 {
                payload.u32()?
            } else {
                default_length
            };
            entries.push(payload.bytes(length as usize)?.to_vec());
        }
        let entries = Entries::Sized {
            default_length,
            entries,
        };
        Ok(Self { grouping_type, entries })
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "lengths and counts are stored in 32 bits"
    )]
    fn write_payload(&self, out: &mut Vec<u8>) {
        let version = match &self.entries {
            Entries::Sized { .. } => 1,
            Entries::Opaque { version, .. } => *version,
        };
        full_box(out, version, 0);
        out.extend_from_slice(&self.grouping_type.0);
        match &self.entries {
            Entries::Opaque { bytes, .. } => out.extend_from_slice(bytes),
            Entries::Sized {
                default_length,
                entries,
            } => {
                out.put_u32(*default_length);
                out.put_u32(entries.len() as u32);
                for entry in entries {
                    if *default_length == 0 {
                        out.put_u32(entry.len() as u32);
                    }
                    out.extend_from_slice(entry);
                }
            }
        }
    }
}

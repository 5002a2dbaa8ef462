//! Boxes of other key systems, which somebody brings along.

use crate::content_key::Kid;
use crate::isobmff::pssh::{COMMON_SYSTEM_ID, ProtectionSystemHeader};
use crate::isobmff::{BoxError, Node, TypedBox};

/// Bytes of all boxes of key systems together: those of DRM vendors are some hundred bytes to some KiB, and each init segment
/// has them.
pub const MAX_BYTES: usize = 64 << 10;

/// Reads `pssh` boxes (ISO/IEC 23001-7, 8.1), one behind the other and nothing else.
///
/// # Errors
/// [`BoxError`] with the byte where something else stands, and what that is.
pub fn read(data: &[u8]) -> Result<Vec<ProtectionSystemHeader>, BoxError> {
    let nodes = Node::parse_all(data, 0)?;
    nodes.iter().map(read_box).collect()
}

fn read_box(node: &Node<'_>) -> Result<ProtectionSystemHeader, BoxError> {
    let expected = ProtectionSystemHeader::TYPE;
    if node.kind != expected {
        return Err(node.invalid(format!("is a box '{}', expected '{expected}'", node.kind)));
    }
    let header: ProtectionSystemHeader = node.parse()?;
    if header.system_id == [0; 16] {
        return Err(node.invalid("the system ID is zero, which is no key system"));
    }
    if header.system_id == COMMON_SYSTEM_ID {
        return Err(node.invalid("is of the common system, whose box encrypt writes itself; leave it out"));
    }
    let (mut found, mut plain) = (Vec::new(), Vec::new());
    node.write(&mut found);
    header.write(&mut plain);
    if found != plain {
        let what = format!(
            "has {} bytes, and its fields take {}, with a size of 32 bits and no flags",
            found.len(),
            plain.len()
        );
        return Err(node.invalid(what));
    }
    Ok(header)
}

/// Key IDs that a box lists and that are none of `ours`: its key system would not find the keys.
#[must_use]
pub fn foreign_kids(boxes: &[ProtectionSystemHeader], ours: &[Kid]) -> Vec<Kid> {
    let kids = boxes.iter().flat_map(|header| header.kids.iter().flatten());
    kids.copied().filter(|kid| !ours.contains(kid)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDEVINE: [u8; 16] = [
        0xed, 0xef, 0x8b, 0xa9, 0x79, 0xd6, 0x4a, 0xce, 0xa3, 0xc8, 0x27, 0xdc, 0xd5, 0x1d, 0x21, 0xed,
    ];

    fn pssh(system_id: [u8; 16], kids: Option<Vec<Kid>>) -> Vec<u8> {
        let mut out = Vec::new();
        let data = vec![1, 2, 3];
        ProtectionSystemHeader { system_id, kids, data }.write(&mut out);
        out
    }

    #[test]
    fn several_boxes_of_both_versions_are_read() {
        let data = [
            pssh(WIDEVINE, None),
            pssh([7; 16], Some(vec![Kid([1; 16]), Kid([2; 16])])),
        ]
        .concat();
        let boxes = read(&data).unwrap_or_default();
        assert_eq!(boxes.len(), 2);
        assert_eq!(foreign_kids(&boxes, &[Kid([1; 16])]), [Kid([2; 16])]);
    }

    #[test]
    fn what_is_no_whole_box_is_refused_with_its_place() {
        let good = pssh(WIDEVINE, None);
        let flagged = {
            let mut bytes = good.clone();
            bytes.splice(11..12, [1]);
            bytes
        };
        let version = {
            let mut bytes = good.clone();
            bytes.splice(8..9, [2]);
            bytes
        };
        let long = [&[0, 0, 0, 36], good.get(4..).unwrap_or_default(), &[0]].concat();
        let free = [good.as_slice(), &[0, 0, 0, 8], b"free"].concat();
        for (data, expected) in [
            (
                good.get(..20).unwrap_or_default().to_vec(),
                "its size of 35 bytes overruns",
            ),
            (free, "free at byte 43"),
            (flagged, "no flags"),
            (version, "version"),
            (long, "has 36 bytes, and its fields take 35"),
            (pssh([0; 16], None), "the system ID is zero"),
            (pssh(COMMON_SYSTEM_ID, Some(Vec::new())), "common system"),
        ] {
            let message = read(&data).map_or_else(|error| error.to_string(), |boxes| format!("{boxes:?}"));
            assert!(message.contains(expected), "{expected}: {message}");
        }
    }
}

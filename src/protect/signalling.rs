//! What tells a player how a track is protected: `sinf` in the sample entry, `pssh` in the movie box.

use super::TrackProtection;
use crate::content_key::Kid;
use crate::isobmff::frma::OriginalFormat;
use crate::isobmff::pssh::{COMMON_SYSTEM_ID, ProtectionSystemHeader};
use crate::isobmff::schm::SchemeType;
use crate::isobmff::{FourCc, Node};
use crate::media::MediaKind;

/// Version 1.0 of the Common Encryption schemes (ISO/IEC 23001-7, 4.1).
pub const SCHEME_VERSION: u32 = 0x0001_0000;

/// Makes a sample entry a protected one: `encv`, `enca` or `enct` with a `sinf` behind its other boxes, which stay
/// as they are (ISO/IEC 14496-12, 8.12).
pub fn protect_sample_entry(entry: &mut Node<'static>, kind: MediaKind, protection: &TrackProtection) {
    let original = entry.kind;
    let scheme = SchemeType {
        scheme_type: protection.scheme.four_cc(),
        scheme_version: SCHEME_VERSION,
        scheme_uri: None,
    };
    let sinf = Node::container(
        FourCc::new(b"sinf"),
        vec![
            Node::of(&OriginalFormat { data_format: original }),
            Node::of(&scheme),
            Node::container(FourCc::new(b"schi"), vec![Node::of(&protection.tenc())]),
        ],
    );
    entry.kind = match kind {
        MediaKind::Video => FourCc::new(b"encv"),
        MediaKind::Audio => FourCc::new(b"enca"),
        MediaKind::Text => FourCc::new(b"enct"),
    };
    if let Some(children) = entry.children_mut() {
        children.push(sinf);
    }
}

/// Undoes [`protect_sample_entry`]: the sample entry has its original type again, and no `sinf`.
pub fn unprotect_sample_entry(entry: &mut Node<'static>) {
    let original = entry
        .child(b"sinf")
        .and_then(|sinf| sinf.find::<OriginalFormat>().ok().flatten());
    if let Some(original) = original {
        entry.kind = original.data_format;
    }
    if let Some(children) = entry.children_mut() {
        children.retain(|child| child.kind.0 != *b"sinf");
    }
}

/// The `pssh` boxes of a movie whose samples are protected by these keys: that of the common system, and those of others.
#[must_use]
pub fn system_headers(kids: Vec<Kid>, protection: &TrackProtection) -> Vec<Node<'static>> {
    let others = protection.key_systems.iter().map(Node::of);
    std::iter::once(Node::of(&common_pssh(kids))).chain(others).collect()
}

/// The key IDs in the form that every key system can read, version 1 of the common system's box.
#[must_use]
pub fn common_pssh(kids: Vec<Kid>) -> ProtectionSystemHeader {
    ProtectionSystemHeader {
        system_id: COMMON_SYSTEM_ID,
        kids: Some(kids),
        data: Vec::new(),
    }
}

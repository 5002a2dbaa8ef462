//! `KEYFORMAT` and `KEYFORMATVERSIONS` of all keys (RFC 8216bis, 4.4.4.4): one format in all playlists of a set.

use crate::package::hls::KeyFormat;
use crate::verify::findings::FileFindings;
use crate::verify::output::Output;
use crate::verify::playlist::{AES_128, Key, Located};

/// Checks the keys of the multivariant, media and I-frame playlists.
pub(in crate::verify) fn check_key_format(output: &mut Output, expected: &KeyFormat) {
    let findings = &mut output.findings;
    check_keys(
        &output.multivariant.session_keys,
        expected,
        &mut findings.of(&output.top),
    );
    for rendition in &output.renditions {
        check_keys(
            &rendition.playlist.keys,
            expected,
            &mut findings.of(&rendition.playlist_file),
        );
    }
    for iframes in &output.iframes {
        check_keys(&iframes.playlist.keys, expected, &mut findings.of(&iframes.file));
    }
}

fn check_keys(keys: &[Located<Key>], expected: &KeyFormat, file: &mut FileFindings<'_>) {
    for Located { offset, value } in keys.iter().filter(|key| !key.value.is_none()) {
        // What players of the first version of HLS know: KEYFORMAT is of a later one.
        let is_whole = value.method.as_deref() == Some(AES_128);
        let (format, versions) = if is_whole {
            (None, None)
        } else {
            (Some(&expected.name), expected.versions.as_ref())
        };
        for (name, found, expected) in [
            ("KEYFORMAT", value.key_format.as_ref(), format),
            ("KEYFORMATVERSIONS", value.key_format_versions.as_ref(), versions),
        ] {
            if found != expected {
                let word = |text: Option<&String>, none: &str| text.map_or(none.to_owned(), Clone::clone);
                let (found, expected) = (word(found, "missing"), word(expected, "none"));
                file.add_at(*offset, format!("{name} is {found}, expected {expected}"));
            }
        }
        if value.key_id.is_some() {
            file.add_at(*offset, "KEYID, which is in playlists of Clear Key alone");
        }
    }
}

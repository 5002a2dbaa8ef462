//! Playlists against what the segments really are (RFC 8216bis; Apple's authoring specification).

mod bandwidth;
mod media_playlist;
mod multivariant;

use super::findings::FileFindings;
use super::playlist::{Key, Located};

pub(super) use media_playlist::{check_key, check_media_playlist};
pub(super) use multivariant::{check_multivariant, check_session_keys};

const NANOSECONDS_PER_SECOND: i64 = 1_000_000_000;

fn check_key_attributes(key: &Located<Key>, file: &mut FileFindings<'_>) {
    let Key {
        method,
        uri,
        key_format,
        ..
    } = &key.value;
    for (name, found, expected) in [("METHOD", method, "SAMPLE-AES"), ("KEYFORMAT", key_format, "identity")] {
        if found.as_deref() != Some(expected) {
            let found = found.as_deref().unwrap_or("missing");
            file.add_at(key.offset, format!("{name} is {found}, expected {expected}"));
        }
    }
    if uri.is_none() {
        file.add_at(key.offset, "URI is missing");
    }
}

fn nearest_second(nanoseconds: i64) -> u64 {
    let rounded = nanoseconds.saturating_add(NANOSECONDS_PER_SECOND / 2) / NANOSECONDS_PER_SECOND;
    u64::try_from(rounded).unwrap_or(0)
}

/// Thousand-millionths as a decimal number.
fn seconds(nanos: i64) -> String {
    let (whole, decimals) = (nanos / NANOSECONDS_PER_SECOND, nanos.unsigned_abs() % 1_000_000_000);
    format!("{whole}.{:06}", decimals / 1_000)
}

fn shown(value: Option<u64>) -> String {
    value.map_or_else(|| "missing".to_owned(), |value| value.to_string())
}

//! Playlists against what the segments really are (RFC 8216bis; Apple's authoring specification).

mod bandwidth;
mod clear_key;
mod iframes;
mod key_format;
mod media_playlist;
mod multivariant;

use super::findings::FileFindings;
use super::output::Rendition;
use super::playlist::{AES_128, Key, Located};

pub(super) use bandwidth::Measured;
pub(super) use clear_key::check_clear_key;
pub(super) use iframes::check_iframes;
pub(super) use key_format::check_key_format;
pub(super) use media_playlist::{check_keys, check_media_playlist};
pub(super) use multivariant::{BANDWIDTH_TOLERANCE_PERCENT, check_multivariant, check_session_keys};

pub(super) const NANOSECONDS_PER_SECOND: i64 = 1_000_000_000;

/// `METHOD` of an `EXT-X-KEY` or `EXT-X-SESSION-KEY` of `rendition` (RFC 8216bis, 4.4.4.4).
fn check_key_attributes(key: &Located<Key>, rendition: &Rendition, file: &mut FileFindings<'_>) {
    let Key { method, uri, .. } = &key.value;
    let expected = match rendition.protection().map(|protection| protection.scheme) {
        None => AES_128,
        Some(scheme) if scheme.is_ctr() => "SAMPLE-AES-CTR",
        Some(_) => "SAMPLE-AES",
    };
    if method.as_deref() != Some(expected) {
        let found = method.as_deref().unwrap_or("missing");
        file.add_at(key.offset, format!("METHOD is {found}, expected {expected}"));
    }
    if uri.is_none() {
        file.add_at(key.offset, "URI is missing");
    }
}

pub(super) fn nearest_second(nanoseconds: i64) -> u64 {
    let rounded = nanoseconds.saturating_add(NANOSECONDS_PER_SECOND / 2) / NANOSECONDS_PER_SECOND;
    u64::try_from(rounded).unwrap_or(0)
}

/// Thousand-millionths as a decimal number.
pub(super) fn seconds(nanos: i64) -> String {
    let (whole, decimals) = (nanos / NANOSECONDS_PER_SECOND, nanos.unsigned_abs() % 1_000_000_000);
    format!("{whole}.{:06}", decimals / 1_000)
}

fn shown(value: Option<u64>) -> String {
    value.map_or_else(|| "missing".to_owned(), |value| value.to_string())
}

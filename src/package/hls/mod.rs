//! HLS playlists (RFC 8216bis, and Apple's authoring specification).

pub mod bandwidth;
pub mod media_playlist;
pub mod multivariant;
pub mod tree;

use std::path::Path;

use super::rendition::MEDIA_PLAYLIST;
use super::{PackageError, Rendition, WrittenRendition};
use crate::media::Time;

pub use bandwidth::Bandwidth;
pub use tree::{TreeKeys, write_tree_playlists};

/// The multivariant playlist, at the top of an output.
pub const MULTIVARIANT_PLAYLIST: &str = "master.m3u8";

/// Where it stands, each segment begins with a sync sample: sources that begin between keyframes don't have it.
const INDEPENDENT_SEGMENTS: &str = "#EXT-X-INDEPENDENT-SEGMENTS\n";

/// Writes the media playlists of all renditions and the multivariant playlist below `folder`.
///
/// # Errors
/// [`PackageError::Write`].
pub fn write_playlists(
    renditions: &[Rendition<'_>],
    written: &[WrittenRendition],
    folder: &Path,
) -> Result<(), PackageError> {
    let segments = written.iter().flat_map(|written| &written.segments);
    let target_duration_s = target_duration_s(segments.map(|segment| segment.duration));
    let write =
        |path: &Path, text: String| std::fs::write(path, text).map_err(|cause| PackageError::write(path, cause));
    for (rendition, written) in renditions.iter().zip(written) {
        let text = media_playlist::render(written, target_duration_s, rendition.protection);
        write(&folder.join(rendition.name.folder()).join(MEDIA_PLAYLIST), text)?;
    }
    write(
        &folder.join(MULTIVARIANT_PLAYLIST),
        multivariant::render(renditions, written, target_duration_s),
    )
}

/// The longest segment rounded to the nearest integer of seconds (RFC 8216bis, 4.4.3.1), at least 1.
///
/// One value serves all playlists of a presentation: audio and video share a target (Apple, 8.2).
#[must_use]
pub fn target_duration_s(durations: impl Iterator<Item = Time>) -> u64 {
    const SECONDS: crate::media::Timescale = crate::media::Timescale::MIN;
    durations
        .max()
        .map_or(1, |longest| u64::try_from(longest.rescale(SECONDS).ticks).unwrap_or(0))
        .max(1)
}

/// The attributes that `EXT-X-KEY` and `EXT-X-SESSION-KEY` share (RFC 8216bis, 4.4.4.4 and 4.4.6.5).
fn key_attributes(key_uri: &str) -> String {
    format!("METHOD=SAMPLE-AES,URI=\"{key_uri}\",KEYFORMAT=\"identity\"")
}

//! HLS playlists (RFC 8216bis, and Apple's authoring specification).

pub mod bandwidth;
pub mod groups;
pub mod key_format;
pub mod media_playlist;
pub mod multivariant;
pub mod tree;

use std::path::Path;

use super::rendition::{IFRAME_PLAYLIST, MEDIA_PLAYLIST};
use super::{CaptionsLabels, PackageError, Rendition, TextRendition, WrittenRendition, WrittenSegment, iframes};
use crate::media::Time;

pub use bandwidth::Bandwidth;
pub use groups::{AUDIO_GROUP, AudioMember, audio_groups, text_group};
pub use key_format::{KeyFormat, PlaylistSet};
pub use tree::{TreeKeys, write_tree_playlists};

/// The multivariant playlist, at the top of an output.
pub const MULTIVARIANT_PLAYLIST: &str = "master.m3u8";

/// Where it stands, each segment begins with a sync sample: sources that begin between keyframes don't have it.
const INDEPENDENT_SEGMENTS: &str = "#EXT-X-INDEPENDENT-SEGMENTS\n";

/// What playlists are rendered from.
pub struct Contents<'a> {
    /// Video and audio.
    pub renditions: &'a [Rendition<'a>],
    /// What was written of each.
    pub written: &'a [WrittenRendition],
    /// Subtitles.
    pub texts: &'a [TextRendition<'a>],
    /// What was written of each.
    pub written_texts: &'a [WrittenRendition],
    /// What was chosen of captions inside of video.
    pub captions: &'a [CaptionsLabels],
    /// In what form players get keys.
    pub key_format: &'a KeyFormat,
    /// Whether there is a second set of playlists, for Clear Key.
    pub for_clear_key: bool,
}

/// Writes the media playlists of all renditions and the multivariant playlist below `folder`, in each set.
///
/// # Errors
/// [`PackageError::Write`].
pub fn write_playlists(contents: &Contents<'_>, folder: &Path) -> Result<(), PackageError> {
    // Subtitles are cut where others are, so their segments are no longer than those.
    let segments = contents.written.iter().flat_map(|written| &written.segments);
    let target_duration_s = target_duration_s(segments.map(|segment| segment.duration));
    let write =
        |path: &Path, text: String| std::fs::write(path, text).map_err(|cause| PackageError::write(path, cause));
    for (text, written) in contents.texts.iter().zip(contents.written_texts) {
        let playlist = media_playlist::render_text(written, target_duration_s);
        write(&folder.join(text.name.folder()).join(MEDIA_PLAYLIST), playlist)?;
    }
    let clear_key = contents.for_clear_key.then_some(PlaylistSet::ClearKey);
    for set in std::iter::once(PlaylistSet::Main(contents.key_format)).chain(clear_key) {
        for (rendition, written) in contents.renditions.iter().zip(contents.written) {
            // What is clear is the same in all sets.
            if matches!(set, PlaylistSet::ClearKey) && rendition.protection().is_none() {
                continue;
            }
            let folder = folder.join(rendition.name.folder());
            let text = media_playlist::render(rendition, written, set, target_duration_s);
            write(&folder.join(set.file(MEDIA_PLAYLIST)), text)?;
            if !written.iframes.is_empty() {
                let segments = iframes::as_segments(rendition, &written.iframes);
                let target_duration_s = iframe_target_duration_s(&segments, target_duration_s);
                let text = media_playlist::render_iframes(rendition, (written, &segments), set, target_duration_s);
                write(&folder.join(set.file(IFRAME_PLAYLIST)), text)?;
            }
        }
        write(
            &folder.join(set.file(MULTIVARIANT_PLAYLIST)),
            multivariant::render(contents, set, target_duration_s),
        )?;
    }
    Ok(())
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

/// The target duration of an I-frame playlist: the one that all share, or more where keyframes lie farther apart, as where the
/// first segments begin with none.
fn iframe_target_duration_s(segments: &[WrittenSegment], shared_s: u64) -> u64 {
    target_duration_s(segments.iter().map(|segment| segment.duration)).max(shared_s)
}

//! Segments of WebVTT (RFC 8216bis, 3.1.4), which are never encrypted: text is not what `cbcs` protects.
//!
//! Each begins with the file's own header, and with an `X-TIMESTAMP-MAP` that says that times are those of the presentation.
//! They are whatever the video's first sample says: a late start is in the decode times, and what is skipped in front in the
//! edit list, so time zero is the same for both. Players that start their clock at the first segment move both by the same.

use std::fmt::Write;
use std::path::Path;
use std::sync::atomic::Ordering;

use super::rendition::{Name, text_segment_file};
use super::{Control, Labels, PackageError, WrittenRendition, WrittenSegment};
use crate::codec::Captions;
use crate::media::Subtitles;
use crate::media::webvtt::UNMOVED;
use crate::plan::{TextPlan, TextSegment};

/// What is to be written of subtitles.
pub struct TextRendition<'a> {
    /// Its place in the output.
    pub name: Name,
    /// The subtitles.
    pub subtitles: &'a Subtitles,
    /// How they are cut.
    pub plan: &'a TextPlan,
    /// What playlists say of them.
    pub labels: Labels,
}

/// Writes the segments of all renditions below `folder`.
///
/// # Errors
/// [`PackageError`].
pub fn write_text(
    renditions: &[TextRendition<'_>],
    folder: &Path,
    control: &Control<'_>,
) -> Result<Vec<WrittenRendition>, PackageError> {
    let write = |rendition: &TextRendition<'_>| {
        let folder = folder.join(rendition.name.folder());
        std::fs::create_dir_all(&folder).map_err(|cause| PackageError::write(&folder, cause))?;
        let mut segments = Vec::with_capacity(rendition.plan.segments.len());
        for (index, segment) in rendition.plan.segments.iter().enumerate() {
            if control.cancelled.load(Ordering::Relaxed) {
                return Err(PackageError::Cancelled);
            }
            let text = render(rendition.subtitles, segment);
            let path = folder.join(text_segment_file(index));
            std::fs::write(&path, &text).map_err(|cause| PackageError::write(&path, cause))?;
            segments.push(WrittenSegment {
                duration: segment.duration,
                is_independent: true,
                bytes: text.len() as u64,
            });
        }
        Ok(WrittenRendition {
            single_file: None,
            iframes: Vec::new(),
            init_bytes: 0,
            segments,
            timeline: rendition.plan.times().collect(),
            captions: Captions::default(),
        })
    };
    renditions.iter().map(write).collect()
}

/// A segment's file.
fn render(subtitles: &Subtitles, segment: &TextSegment) -> String {
    let webvtt = &subtitles.webvtt;
    let mut text = webvtt.signature.clone();
    let _ = writeln!(text, "X-TIMESTAMP-MAP={UNMOVED}");
    text.push_str(&webvtt.header);
    let cues = segment.cues.iter().filter_map(|index| webvtt.cues.get(*index as usize));
    for cue in cues {
        text.push('\n');
        text.push_str(&cue.block);
    }
    text
}

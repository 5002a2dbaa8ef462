//! I-frame playlists (authoring specification, 6; RFC 8216bis, 4.4.3.6).

use std::collections::BTreeMap;
use std::path::Path;

use super::super::presentation::{Media, Presentation, Role};
use super::super::report::Outcome;
use super::super::tags::Tag;
use super::video::range;
use crate::media::MediaKind;

/// 6.1.
pub fn are_there(presentation: &Presentation, outcome: &mut Outcome) {
    let Some(playlist) = presentation.multivariant.as_ref().filter(|_| presentation.has_video()) else {
        return;
    };
    let holds = playlist.has("EXT-X-I-FRAME-STREAM-INF");
    let action = "add an I-frame playlist for each size of video";
    outcome.expect(holds, presentation.at(None), "no EXT-X-I-FRAME-STREAM-INF", action);
}

/// 6.8.
pub fn are_marked(presentation: &Presentation, outcome: &mut Outcome) {
    for media in iframes(presentation) {
        let holds = media.playlist.has("EXT-X-I-FRAMES-ONLY");
        let found = "an I-frame playlist without EXT-X-I-FRAMES-ONLY";
        outcome.expect(holds, media.at(None), found, "write EXT-X-I-FRAMES-ONLY");
    }
}

/// 6.10.
pub fn have_moof(presentation: &Presentation, outcome: &mut Outcome) {
    for media in iframes(presentation).filter(|media| !media.maps.is_empty()) {
        for segment in &media.segments {
            let Ok(file) = &segment.file else { continue };
            let found = "the range of an I-frame does not begin with its moof";
            let action = "let EXT-X-BYTERANGE begin at the moof of the frame's fragment";
            outcome.expect(file.begins_with_moof, media.at(Some(segment.line)), found, action);
        }
    }
}

/// 6.16.
pub fn standard_range(presentation: &Presentation, outcome: &mut Outcome) {
    let variants = presentation.variants();
    let has_standard = variants
        .iter()
        .any(|variant| variant.is_video() && range(variant) == "SDR");
    let tags: Vec<&Tag> = iframe_tags(presentation).collect();
    if let Some(first) = tags.first().filter(|_| has_standard) {
        let holds = tags
            .iter()
            .any(|tag| tag.get("VIDEO-RANGE").is_none_or(|range| range == "SDR"));
        let found = "all I-frame playlists are of high dynamic range";
        let action = "add I-frame playlists of standard dynamic range";
        outcome.expect(holds, presentation.at(Some(first.line)), found, action);
    }
}

/// An I-frame playlist over the files of a playlist of video names each of their keyframes.
pub fn are_complete(presentation: &Presentation, outcome: &mut Outcome) {
    let mut keyframes: BTreeMap<&Path, usize> = BTreeMap::new();
    for media in presentation.continuous() {
        for (segment, run) in media.runs(MediaKind::Video) {
            if let (Ok(file), Some((_, run))) = (&segment.file, run) {
                *keyframes.entry(&file.path).or_default() += run.sync_ticks.len();
            }
        }
    }
    for media in iframes(presentation) {
        let mut named: BTreeMap<&Path, (usize, usize)> = BTreeMap::new();
        for segment in &media.segments {
            if let Ok(file) = &segment.file {
                named.entry(&file.path).or_insert((segment.line, 0)).1 += 1;
            }
        }
        for (file, (line, count)) in named {
            let Some(keyframes) = keyframes.get(file) else { continue };
            let found = format!("{count} I-frames of {}, which has {keyframes}", file.display());
            outcome.expect(count >= *keyframes, media.at(Some(line)), found, "name every keyframe");
        }
    }
}

/// Media playlists of I-frames.
fn iframes(presentation: &Presentation) -> impl Iterator<Item = &Media> {
    presentation.media.iter().filter(|media| media.is(Role::IFrames))
}

/// `EXT-X-I-FRAME-STREAM-INF`.
pub fn iframe_tags(presentation: &Presentation) -> impl Iterator<Item = &Tag> {
    let playlist = presentation.multivariant.iter();
    playlist.flat_map(|playlist| playlist.all("EXT-X-I-FRAME-STREAM-INF"))
}

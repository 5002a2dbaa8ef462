//! Accessibility and subtitles (authoring specification, 4 and 5).

use super::super::codecs::Named;
use super::super::presentation::{Media, Presentation, Role};
use super::super::report::Outcome;
use super::super::segment::Content;
use super::audio::has_characteristic;
use crate::media::MediaKind;
use crate::verify::hls::{NANOSECONDS_PER_SECOND, seconds};

/// `CHARACTERISTICS` of subtitles that tell more than what is said (4.5).
const FOR_THE_DEAF: &str = "public.accessibility.transcribes-spoken-dialog";

/// 4.1.
pub fn captions(presentation: &Presentation, outcome: &mut Outcome) {
    if !presentation.has_video() {
        return;
    }
    let is_text = |kind: &str| matches!(kind, "SUBTITLES" | "CLOSED-CAPTIONS");
    let holds = presentation
        .renditions()
        .any(|tag| tag.get("TYPE").is_some_and(is_text));
    let found = "neither SUBTITLES nor CLOSED-CAPTIONS";
    outcome.expect(holds, presentation.at(None), found, "add captions or subtitles");
}

/// 4.6.
pub fn for_the_deaf(presentation: &Presentation, outcome: &mut Outcome) {
    for rendition in presentation.renditions() {
        if rendition.get("TYPE") == Some("SUBTITLES") && has_characteristic(rendition, FOR_THE_DEAF) {
            let at = presentation.at(Some(rendition.line));
            let found = "subtitles for the deaf without AUTOSELECT=YES";
            outcome.expect(rendition.is_yes("AUTOSELECT"), at, found, "write AUTOSELECT=YES");
        }
    }
}

/// 5.2.
pub fn formats(presentation: &Presentation, outcome: &mut Outcome) {
    for media in subtitles(presentation) {
        for segment in &media.segments {
            let holds = match segment.content() {
                Some(Content::WebVtt { .. }) => true,
                Some(Content::Fragments(_)) => {
                    let tracks = media.tracks().filter(|track| track.kind == Some(MediaKind::Text));
                    let mut entries = tracks.flat_map(|track| &track.entries);
                    entries.all(|entry| entry.format.0 == *b"stpp")
                }
                Some(_) => false,
                None => {
                    outcome.skip(format!(
                        "{}, line {}: it can't be read",
                        media.playlist.file.display(),
                        segment.line
                    ));
                    continue;
                }
            };
            let found = "a segment that is neither WebVTT nor IMSC1";
            let action = "write subtitles as files of WebVTT, or as IMSC1 in fragmented MP4";
            outcome.expect(holds, media.at(Some(segment.line)), found, action);
        }
    }
}

/// 5.3.
pub fn timestamp_maps(presentation: &Presentation, outcome: &mut Outcome) {
    for media in subtitles(presentation) {
        for segment in &media.segments {
            if let Some(Content::WebVtt { has_timestamp_map }) = segment.content() {
                let found = "a segment of WebVTT without X-TIMESTAMP-MAP";
                let action = "write X-TIMESTAMP-MAP behind the line WEBVTT";
                outcome.expect(*has_timestamp_map, media.at(Some(segment.line)), found, action);
            }
        }
    }
}

/// 5.5; a target duration less is how RFC 8216bis, 6.2.4, lets playlists differ.
pub fn whole_length(presentation: &Presentation, outcome: &mut Outcome) {
    let Some(film) = presentation.continuous().map(Media::duration_ns).max() else {
        return;
    };
    for media in subtitles(presentation).filter(|media| media.is_vod()) {
        let target = media.playlist.integer("EXT-X-TARGETDURATION").unwrap_or(0);
        let target_ns = i64::try_from(target)
            .unwrap_or(0)
            .saturating_mul(NANOSECONDS_PER_SECOND);
        let holds = film.saturating_sub(media.duration_ns()) <= target_ns;
        let found = format!(
            "subtitles of {} s, and the film has {} s",
            seconds(media.duration_ns()),
            seconds(film)
        );
        outcome.expect(
            holds,
            media.at(None),
            found,
            "write segments to the film's end, with cues or without",
        );
    }
}

/// 5.10.
pub fn in_codecs(presentation: &Presentation, outcome: &mut Outcome) {
    for variant in presentation.variants() {
        if variant.get("SUBTITLES").is_some() && variant.get("CODECS").is_some() {
            let holds = variant.codecs().iter().any(|codec| Named::of(codec) == Named::Text);
            let found = "a variant with SUBTITLES, and CODECS names none";
            outcome.expect(holds, variant.at(), found, "add wvtt or stpp.ttml.im1t to CODECS");
        }
    }
}

/// 5.11.
pub fn forced(presentation: &Presentation, outcome: &mut Outcome) {
    for rendition in presentation.renditions().filter(|tag| tag.is_yes("FORCED")) {
        let at = presentation.at(Some(rendition.line));
        let found = "forced subtitles without AUTOSELECT=YES";
        outcome.expect(rendition.is_yes("AUTOSELECT"), at, found, "write AUTOSELECT=YES");
    }
}

fn subtitles(presentation: &Presentation) -> impl Iterator<Item = &Media> {
    presentation.media.iter().filter(|media| media.is(Role::Subtitles))
}

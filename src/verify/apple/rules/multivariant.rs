//! The multivariant playlist (authoring specification, 9).

use std::collections::BTreeSet;

use super::super::codecs::Named;
use super::super::presentation::{Media, Presentation, Variant};
use super::super::report::Outcome;
use super::audio::{channels, channels_in_boxes};
use super::trick_play::iframe_tags;
use super::video::range;
use crate::media::MediaKind;

/// 9.1.
pub fn codecs(presentation: &Presentation, outcome: &mut Outcome) {
    has_attribute(presentation, outcome, "CODECS", |_| true);
}

/// 9.2.
pub fn resolution(presentation: &Presentation, outcome: &mut Outcome) {
    has_attribute(presentation, outcome, "RESOLUTION", is_video);
}

/// 9.14.
pub fn average_bandwidth(presentation: &Presentation, outcome: &mut Outcome) {
    has_attribute(presentation, outcome, "AVERAGE-BANDWIDTH", |_| true);
}

/// 9.15.
pub fn frame_rate(presentation: &Presentation, outcome: &mut Outcome) {
    has_attribute(presentation, outcome, "FRAME-RATE", is_video);
}

fn is_video(variant: &Variant<'_>) -> bool {
    variant.is_video()
}

fn has_attribute(presentation: &Presentation, outcome: &mut Outcome, name: &str, speaks_of: fn(&Variant<'_>) -> bool) {
    for variant in presentation.variants() {
        if variant.tag.is_some() && speaks_of(&variant) {
            let found = format!("EXT-X-STREAM-INF without {name}");
            outcome.expect(
                variant.get(name).is_some(),
                variant.at(),
                found,
                format!("write {name}"),
            );
        }
    }
}

/// 9.3.
pub fn iframe_codecs(presentation: &Presentation, outcome: &mut Outcome) {
    iframe_attribute(presentation, outcome, "CODECS");
}

/// 9.4.
pub fn iframe_resolution(presentation: &Presentation, outcome: &mut Outcome) {
    iframe_attribute(presentation, outcome, "RESOLUTION");
}

fn iframe_attribute(presentation: &Presentation, outcome: &mut Outcome, name: &str) {
    for tag in iframe_tags(presentation) {
        let at = presentation.at(Some(tag.line));
        let found = format!("EXT-X-I-FRAME-STREAM-INF without {name}");
        outcome.expect(tag.get(name).is_some(), at, found, format!("write {name}"));
    }
}

/// 9.5.
pub fn separate(presentation: &Presentation, outcome: &mut Outcome) {
    for variant in presentation.variants() {
        if variant.is_video() {
            let found = "video and audio in the same segments";
            let action = "package them apart, and name the audio by EXT-X-MEDIA";
            outcome.expect(!is_muxed(presentation, &variant), variant.at(), found, action);
        }
    }
}

/// 9.6.
pub fn multichannel_separate(presentation: &Presentation, outcome: &mut Outcome) {
    let mut renditions = presentation.renditions();
    if renditions.any(|rendition| channels(rendition).is_some_and(|channels| channels > 2)) {
        outcome.look();
    }
    for variant in presentation.variants() {
        let Some(media) = variant.media.filter(|_| is_muxed(presentation, &variant)) else {
            continue;
        };
        if !media.has(MediaKind::Audio) {
            outcome.skip(format!(
                "{}: channels of audio inside of it",
                media.playlist.file.display()
            ));
            continue;
        }
        let channels = channels_in_boxes(media);
        if channels > 2 {
            let found = format!("audio of {channels} channels in the same segments as video");
            outcome.expect(
                false,
                variant.at(),
                found,
                "package it apart, and name it by EXT-X-MEDIA",
            );
        }
    }
}

/// 9.9.
pub fn several_rates(presentation: &Presentation, outcome: &mut Outcome) {
    let variants = presentation.variants();
    let videos: Vec<&Variant<'_>> = variants.iter().filter(|variant| variant.is_video()).collect();
    let Some(first) = videos.first() else { return };
    let files: BTreeSet<_> = videos
        .iter()
        .map(|variant| variant.media.map(|media| &media.playlist.file))
        .collect();
    let action = "encode the film at several bit rates, and package them together";
    outcome.expect(files.len() > 1, first.at(), "there is one bit rate of video", action);
}

/// 9.11.
pub fn independent(presentation: &Presentation, outcome: &mut Outcome) {
    let Some(playlist) = &presentation.multivariant else {
        return;
    };
    if videos(presentation).next().is_some() {
        let holds = playlist.has(INDEPENDENT);
        let found = "a multivariant playlist without EXT-X-INDEPENDENT-SEGMENTS";
        outcome.expect(holds, presentation.at(None), found, "write EXT-X-INDEPENDENT-SEGMENTS");
    }
}

/// 9.12.
pub fn independent_media(presentation: &Presentation, outcome: &mut Outcome) {
    let is_said = presentation
        .multivariant
        .as_ref()
        .is_some_and(|playlist| playlist.has(INDEPENDENT));
    for media in videos(presentation) {
        let holds = is_said || media.playlist.has(INDEPENDENT);
        let found = "EXT-X-INDEPENDENT-SEGMENTS is neither here nor in the multivariant playlist";
        outcome.expect(holds, media.at(None), found, "write EXT-X-INDEPENDENT-SEGMENTS");
    }
}

const INDEPENDENT: &str = "EXT-X-INDEPENDENT-SEGMENTS";

/// Playlists of video whose segments start with a keyframe, as far as is known.
fn videos(presentation: &Presentation) -> impl Iterator<Item = &Media> {
    let media = presentation.variants().into_iter().filter(Variant::is_video);
    media.filter_map(|variant| variant.media).filter(|media| {
        let mut runs = media.runs(MediaKind::Video).filter_map(|(_, run)| run);
        runs.all(|(_, run)| run.begins_with_sync)
    })
}

/// 9.16.
pub fn video_range(presentation: &Presentation, outcome: &mut Outcome) {
    let variants = presentation.variants();
    let videos: Vec<&Variant<'_>> = variants.iter().filter(|variant| variant.is_video()).collect();
    let of_boxes = |variant: &Variant<'_>| variant.media.and_then(Media::range);
    let is_high =
        |variant: &&&Variant<'_>| range(variant) != "SDR" || of_boxes(variant).is_some_and(|range| range != "SDR");
    if !videos.iter().any(|variant| is_high(&variant)) {
        if videos.iter().any(|variant| variant.tag.is_some()) {
            outcome.look();
        }
        return;
    }
    for variant in videos.iter().filter(|variant| variant.tag.is_some()) {
        let says = variant.get("VIDEO-RANGE");
        let expected = of_boxes(variant);
        let holds = says.is_some() && expected.is_none_or(|expected| says == Some(expected));
        let found = format!(
            "VIDEO-RANGE is {}, and the video is {}",
            says.unwrap_or("missing"),
            expected.unwrap_or("not known")
        );
        let action = format!("write VIDEO-RANGE={}", expected.unwrap_or("SDR, HLG or PQ"));
        outcome.expect(holds, variant.at(), found, action);
    }
}

/// 9.19.
pub fn score(presentation: &Presentation, outcome: &mut Outcome) {
    let variants = presentation.variants();
    if variants.iter().any(|variant| variant.get("SCORE").is_some()) {
        for variant in variants {
            let holds = variant.get("SCORE").is_some();
            outcome.expect(
                holds,
                variant.at(),
                "a variant without SCORE beside others",
                "write SCORE",
            );
        }
    }
}

/// 9.20 of the amendments for tvOS.
pub fn audio_only(presentation: &Presentation, outcome: &mut Outcome) {
    if presentation.has_video() {
        for variant in presentation.variants() {
            let found = "a variant of audio alone beside video";
            let action = "leave it out for Apple TV";
            outcome.expect(variant.is_video(), variant.at(), found, action);
        }
    }
}

/// `CODECS` against the sample descriptions of what a variant plays (RFC 8216bis, 4.4.6.2).
pub fn codecs_match(presentation: &Presentation, outcome: &mut Outcome) {
    for variant in presentation.variants() {
        let (Some(says), Some(media)) = (variant.get("CODECS"), variant.media) else {
            continue;
        };
        let beside = ["AUDIO", "VIDEO"].into_iter().flat_map(|kind| {
            let group = variant.get(kind).unwrap_or_default();
            presentation.group(kind, group).filter(|tag| tag.get("URI").is_some())
        });
        let all: Vec<Option<&Media>> = beside
            .map(|tag| presentation.named_by(tag))
            .chain([Some(media)])
            .collect();
        let is_read = |media: Option<&Media>| {
            let known = |track: &super::super::init::Track| track.kind.is_none() || track.codec().is_some();
            media.is_some_and(|media| media.tracks().next().is_some() && media.tracks().all(known))
        };
        let found: Vec<String> = all.iter().flatten().flat_map(|media| media.codecs()).collect();
        let named: Vec<Named> = says.split(',').map(|codec| Named::of(codec.trim())).collect();
        let missing = found.iter().find(|codec| !named.contains(&Named::of(codec)));
        let action = "write CODECS by the sample descriptions";
        if let Some(codec) = missing {
            let found = format!("CODECS is {says}, and a track is {codec}");
            outcome.expect(false, variant.at(), found, action);
        } else if all.iter().copied().all(is_read) {
            let present: Vec<Named> = found.iter().map(|codec| Named::of(codec)).collect();
            let is_extra = |codec: &&Named| (codec.is_video() || codec.is_audio()) && !present.contains(codec);
            let holds = !named.iter().any(|codec| is_extra(&codec));
            let found = format!("CODECS is {says}, and the tracks are {}", found.join(","));
            outcome.expect(holds, variant.at(), found, action);
        } else {
            outcome.skip(format!("{}: its tracks can't be read", media.playlist.file.display()));
        }
    }
}

/// Whether a variant has video and audio in the same segments.
fn is_muxed(presentation: &Presentation, variant: &Variant<'_>) -> bool {
    if let Some(media) = variant.media.filter(|media| media.tracks().next().is_some()) {
        return media.has(MediaKind::Video) && media.has(MediaKind::Audio);
    }
    let group = variant.get("AUDIO").unwrap_or_default();
    let is_beside = presentation.group("AUDIO", group).any(|tag| tag.get("URI").is_some());
    !is_beside && variant.is_video() && variant.codecs().iter().any(|codec| Named::of(codec).is_audio())
}

//! Audio (authoring specification, 2).

use super::super::codecs::Named;
use super::super::presentation::Presentation;
use super::super::report::Outcome;
use super::super::tags::Tag;
use crate::media::MediaKind;

/// `CHARACTERISTICS` of an audio description (2.12).
const DESCRIBES_VIDEO: &str = "public.accessibility.describes-video";

/// 2.2 and 2.5.
pub fn codecs(presentation: &Presentation, outcome: &mut Outcome) {
    for variant in presentation.variants() {
        for text in variant.codecs() {
            let codec = Named::of(&text);
            if codec.is_audio() {
                let found = format!("the audio is {text}");
                let action = "encode it as AAC, or as another codec of the list";
                outcome.expect(!matches!(codec, Named::OtherAudio), variant.at(), found, action);
            }
        }
    }
}

/// 2.3.
pub fn stereo_aac(presentation: &Presentation, outcome: &mut Outcome) {
    let variants = presentation.variants();
    let has_audio = |codecs: &[String]| codecs.iter().any(|codec| Named::of(codec).is_audio());
    let with_audio: Vec<_> = variants.iter().filter(|variant| has_audio(&variant.codecs())).collect();
    let Some(first) = with_audio.first() else { return };
    let holds = with_audio.iter().any(|variant| {
        let is_aac = variant.codecs().iter().any(|codec| Named::of(codec) == Named::Aac);
        let Some(group) = variant.get("AUDIO").filter(|_| is_aac) else {
            return is_aac && variant.media.is_none_or(|media| channels_in_boxes(media) <= 2);
        };
        presentation
            .group("AUDIO", group)
            .any(|rendition| channels(rendition).is_none_or(|channels| channels <= 2))
    });
    let action = "add stereo audio of AAC-LC or HE-AAC, in a group of its own";
    outcome.expect(holds, first.at(), "no variant has stereo AAC", action);
}

/// 2.13; 2.12 says what an audio description is.
pub fn descriptions(presentation: &Presentation, outcome: &mut Outcome) {
    for rendition in presentation.renditions() {
        if rendition.get("TYPE") == Some("AUDIO") && has_characteristic(rendition, DESCRIBES_VIDEO) {
            let at = presentation.at(Some(rendition.line));
            let found = "an audio description without AUTOSELECT=YES";
            outcome.expect(rendition.is_yes("AUTOSELECT"), at, found, "write AUTOSELECT=YES");
        }
    }
}

/// 2.17.
pub fn one_stream(presentation: &Presentation, outcome: &mut Outcome) {
    for media in presentation.continuous() {
        for map in &media.maps {
            let Ok(tracks) = &map.tracks else { continue };
            let count = tracks
                .iter()
                .filter(|track| track.kind == Some(MediaKind::Audio))
                .count();
            if count > 0 {
                let found = format!("the init segment has {count} tracks of audio");
                let action = "write each into segments of its own, named by EXT-X-MEDIA";
                outcome.expect(count == 1, media.at(Some(map.line)), found, action);
            }
        }
    }
}

/// 2.25.
pub fn container(presentation: &Presentation, outcome: &mut Outcome) {
    let is_of_mp4 = |codec: &&String| matches!(Named::of(codec), Named::XheAac | Named::Lossless | Named::Apac);
    for variant in presentation.variants() {
        let codecs = variant.codecs();
        let Some(codec) = codecs.iter().find(is_of_mp4) else {
            continue;
        };
        let group = variant.get("AUDIO").unwrap_or_default();
        let beside = presentation
            .group("AUDIO", group)
            .filter_map(|rendition| presentation.named_by(rendition));
        for media in beside.chain(variant.media) {
            super::fragmented_mp4(media, codec, outcome);
        }
    }
}

/// 2.26.
pub fn multichannel_aac(presentation: &Presentation, outcome: &mut Outcome) {
    let of_variants = |wanted: fn(Named) -> bool| {
        presentation.variants().into_iter().any(|variant| {
            let group = variant.get("AUDIO").unwrap_or_default().to_owned();
            let is_multichannel = |rendition: &Tag| channels(rendition).is_some_and(|channels| channels > 2);
            let is_wanted = variant.codecs().iter().any(|codec| wanted(Named::of(codec)));
            is_wanted && presentation.group("AUDIO", &group).any(is_multichannel)
        })
    };
    if of_variants(|codec| matches!(codec, Named::Lossless | Named::Apac | Named::OtherAudio)) {
        let holds = of_variants(|codec| codec == Named::Aac);
        let found = "multichannel audio, and none of it is AAC";
        outcome.expect(holds, presentation.at(None), found, "add multichannel AAC");
    }
}

/// The channels that `CHANNELS` says.
pub fn channels(rendition: &Tag) -> Option<u32> {
    rendition.get("CHANNELS")?.split('/').next()?.parse().ok()
}

/// The most channels that a track of a playlist has, as far as is known.
pub fn channels_in_boxes(media: &super::Media) -> u16 {
    let tracks = media.tracks().filter(|track| track.kind == Some(MediaKind::Audio));
    tracks.filter_map(|track| track.codec()?.channels()).max().unwrap_or(0)
}

/// Whether `CHARACTERISTICS` has an entry.
pub fn has_characteristic(rendition: &Tag, wanted: &str) -> bool {
    rendition
        .get("CHARACTERISTICS")
        .is_some_and(|tags| tags.split(',').any(|tag| tag.trim() == wanted))
}

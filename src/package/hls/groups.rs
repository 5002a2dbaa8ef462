//! Groups of renditions (RFC 8216bis, 4.4.6.1.1): a variant plays one rendition of each group that it names.

use std::collections::{BTreeMap, BTreeSet};

use crate::codec::Codec;
use crate::media::Track;
use crate::package::Labels;

/// The group of subtitles that nobody chose one for.
const TEXT_GROUP: &str = "text";

/// The group of captions inside of video.
pub const CAPTIONS_GROUP: &str = "captions";

/// The `GROUP-ID` of each audio rendition: the one that somebody chose, else `audio`. Where renditions differ in codec or
/// channels, and each form comes in the same languages, each has a group of its own, such as `audio-ec-3-6`: a player changes
/// rendition within a group as it likes, and not all can play every form. A language that one form lacks would be out of reach
/// beside it, so forms of other languages share a group.
pub fn audio_groups<'a>(renditions: impl Iterator<Item = (&'a Track, &'a Labels)>) -> Vec<String> {
    let renditions: Vec<(&Track, &Labels)> = renditions.collect();
    let mut forms: BTreeMap<String, BTreeSet<Option<&str>>> = BTreeMap::new();
    for (track, _) in renditions.iter().filter(|(_, labels)| labels.group.is_none()) {
        let languages = forms.entry(form(&*track.codec)).or_default();
        languages.insert(track.language.as_deref());
    }
    let mut languages = forms.values();
    let first = languages.next();
    let have_groups = forms.len() > 1 && languages.all(|languages| Some(languages) == first);
    let group = |(track, labels): (&Track, &Labels)| match &labels.group {
        Some(chosen) => chosen.clone(),
        None if have_groups => form(&*track.codec),
        None => "audio".to_owned(),
    };
    renditions.into_iter().map(group).collect()
}

/// Codec and channels.
fn form(codec: &dyn Codec) -> String {
    let mut form = format!("audio-{}", codec.rfc6381());
    if let Some(channels) = codec.hls_channels() {
        form = format!("{form}-{channels}");
    }
    form.replace(['.', '/'], "-").to_lowercase()
}

/// The `GROUP-ID` of subtitles.
#[must_use]
pub fn text_group(labels: &Labels) -> &str {
    labels.group.as_deref().unwrap_or(TEXT_GROUP)
}

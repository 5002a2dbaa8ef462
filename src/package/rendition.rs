//! Where a rendition's files are in the output.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::content_key::Generation;
use crate::media::{MediaKind, Presentation};

/// The file of init segment `index`; the first is 0, and most renditions have no other.
#[must_use]
pub fn init_file(index: usize) -> String {
    match index {
        0 => "init.mp4".to_owned(),
        _ => format!("init_{:05}.mp4", index + 1),
    }
}

/// The file of a rendition that is one.
pub const SINGLE_FILE: &str = "media.mp4";

/// The media playlist of a rendition.
pub const MEDIA_PLAYLIST: &str = "playlist.m3u8";

/// The I-frame playlist of a rendition.
pub const IFRAME_PLAYLIST: &str = "iframes.m3u8";

/// The file of segment `index`; the first is 0.
#[must_use]
pub fn segment_file(index: usize) -> String {
    format!("seg_{:05}.m4s", index + 1)
}

/// The file of segment `index` of WebVTT; the first is 0.
#[must_use]
pub fn text_segment_file(index: usize) -> String {
    format!("seg_{:05}.vtt", index + 1)
}

/// The names of a presentation's renditions.
#[derive(Debug, Clone)]
pub struct Names {
    /// One a track, in the presentation's order.
    pub tracks: Vec<Name>,
    /// One a file of subtitles, in the presentation's order.
    pub subtitles: Vec<Name>,
}

impl Names {
    /// Puts all renditions into the folder of a generation.
    #[must_use]
    pub fn of_generation(mut self, generation: Option<Generation>) -> Self {
        for name in self.tracks.iter_mut().chain(&mut self.subtitles) {
            name.generation = generation;
        }
        self
    }
}

/// A rendition's name, `[a-z0-9_-]{1,64}`, unique among video and audio, or among text; its kind, which is the folder above; and
/// the generation above that.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name {
    kind: MediaKind,
    text: String,
    generation: Option<Generation>,
}

impl Name {
    /// Names all renditions: video by its height (`720p`), audio and subtitles by their language (`en`), with a number where
    /// that is taken.
    #[must_use]
    pub fn all(presentation: &Presentation) -> Names {
        let mut taken = HashSet::new();
        let mut name = |kind, wish: String| {
            let mut name = wish.clone();
            let mut number = 1_u32;
            // IVs are derived from the names of video and audio; text has none.
            while !taken.insert((kind == MediaKind::Text, name.clone())) {
                number += 1;
                name = format!("{wish}-{number}");
            }
            Self {
                kind,
                text: name,
                generation: None,
            }
        };
        let by_language =
            |language: &Option<String>, kind| language.as_deref().map_or_else(|| kind_folder(kind).to_owned(), clean);
        let tracks = presentation.tracks.iter().map(|track| {
            let wish = match track.kind {
                MediaKind::Video => format!("{}p", track.dimensions.1),
                kind => by_language(&track.language, kind),
            };
            name(track.kind, wish)
        });
        let tracks = tracks.collect();
        let subtitles = presentation
            .subtitles
            .iter()
            .map(|subtitles| name(MediaKind::Text, by_language(&subtitles.language, MediaKind::Text)));
        Names {
            tracks,
            subtitles: subtitles.collect(),
        }
    }

    /// The bare name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The folder, relative to the output.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        let top = self.generation.map(|generation| generation.to_string());
        PathBuf::from(top.unwrap_or_default())
            .join(kind_folder(self.kind))
            .join(&self.text)
    }

    /// The media playlist's URI, relative to the multivariant playlist.
    #[must_use]
    pub fn playlist_uri(&self) -> String {
        self.uri(MEDIA_PLAYLIST)
    }

    /// The URI of a file in its folder, relative to the multivariant playlist.
    #[must_use]
    pub fn uri(&self, file: &str) -> String {
        format!("{}/{file}", self.uri_folder())
    }

    /// The folder as a part of URIs, relative to the multivariant playlist and the manifest.
    #[must_use]
    pub fn uri_folder(&self) -> String {
        let top = self.generation.map(|generation| format!("{generation}/"));
        format!("{}{}/{}", top.unwrap_or_default(), kind_folder(self.kind), self.text)
    }
}

/// The name of a tree's rendition, `[a-z0-9_-]{1,64}`: its playlist's path in the tree, without what can't be in a name,
/// and then with a digest, so that no two are the same.
#[must_use]
pub fn tree_name(playlist_file: &Path) -> String {
    let path = playlist_file.with_extension("").to_string_lossy().into_owned();
    let name: String = path
        .chars()
        .map(|c| match c {
            'a'..='z' | '0'..='9' | '_' | '-' => c,
            _ => '-',
        })
        .collect();
    if name == path && name.len() <= 64 && playlist_file.extension().is_some_and(|extension| extension == "m3u8") {
        return name;
    }
    let digest = hex::encode(Sha256::digest(playlist_file.to_string_lossy().as_bytes()));
    let (start, digest) = (name.get(..name.len().min(47)), digest.get(..16));
    format!("{}-{}", start.unwrap_or_default(), digest.unwrap_or_default())
}

const fn kind_folder(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Video => "video",
        MediaKind::Audio => "audio",
        MediaKind::Text => "text",
    }
}

/// The characters of a language tag that a name may have, at most 48 of them.
fn clean(tag: &str) -> String {
    let name: String = tag
        .chars()
        .map(|c| c.to_ascii_lowercase())
        .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'))
        .take(48)
        .collect();
    if name.is_empty() { "audio".to_owned() } else { name }
}

//! A playlist as its tags (RFC 8216bis, 4.1 and 4.2), whatever they say: rules judge them, not the reader.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::AppleError;
use crate::media::playlist::{MAX_PLAYLIST_BYTES, attributes};

/// Tags whose value is a list of attributes.
const WITH_ATTRIBUTES: &[&str] = &[
    "EXT-X-CONTENT-STEERING",
    "EXT-X-DATERANGE",
    "EXT-X-I-FRAME-STREAM-INF",
    "EXT-X-KEY",
    "EXT-X-MAP",
    "EXT-X-MEDIA",
    "EXT-X-SESSION-DATA",
    "EXT-X-SESSION-KEY",
    "EXT-X-STREAM-INF",
];

/// The first line of every playlist (RFC 8216bis, 4.4.1.1).
const FIRST_LINE: &str = "#EXTM3U";

/// A tag, or a URI.
#[derive(Debug)]
pub struct Tag {
    /// The line; the first is 1.
    pub line: usize,
    /// Without `#`; empty for a URI.
    pub name: String,
    /// Behind the colon, or the URI.
    pub value: String,
    attributes: BTreeMap<String, String>,
    /// Whether it is a list of attributes that can't be read.
    pub is_unreadable: bool,
}

impl Tag {
    fn read(line: usize, text: &str) -> Option<Self> {
        let (name, value) = match text.strip_prefix('#') {
            Some(tag) if tag.starts_with("EXT") => tag.split_once(':').unwrap_or((tag, "")),
            None if !text.is_empty() => ("", text),
            _ => return None,
        };
        let read = if WITH_ATTRIBUTES.contains(&name) {
            attributes(text)
        } else {
            Some(Vec::new())
        };
        let is_unreadable = read.is_none();
        let attributes = read.unwrap_or_default();
        Some(Self {
            line,
            name: name.to_owned(),
            value: value.to_owned(),
            attributes: attributes
                .iter()
                .map(|attribute| (attribute.name.to_owned(), attribute.text.to_owned()))
                .collect(),
            is_unreadable,
        })
    }

    /// An attribute's value, without quotes.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }

    /// An attribute that is a number.
    pub fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.get(name)?.trim().parse().ok()
    }

    /// An attribute that is `YES`, `NO` (as it is where it is missing), or something else.
    pub fn is_yes(&self, name: &str) -> bool {
        self.get(name) == Some("YES")
    }

    /// `RESOLUTION`: width and height.
    pub fn resolution(&self) -> Option<(u64, u64)> {
        let (width, height) = self.get("RESOLUTION")?.split_once('x')?;
        Some((width.parse().ok()?, height.parse().ok()?))
    }
}

/// A playlist.
#[derive(Debug)]
pub struct Playlist {
    /// Relative to the presentation's folder.
    pub file: PathBuf,
    /// All tags and URIs but the first line, in order.
    pub tags: Vec<Tag>,
}

impl Playlist {
    /// Reads `file` of `folder`.
    pub fn read(folder: &Path, file: &Path) -> Result<Self, AppleError> {
        let path = folder.join(file);
        let mut data = Vec::new();
        let read = File::open(&path).and_then(|opened| opened.take(MAX_PLAYLIST_BYTES + 1).read_to_end(&mut data));
        read.map_err(|cause| AppleError::Read {
            path: path.clone(),
            cause,
        })?;
        if data.len() as u64 > MAX_PLAYLIST_BYTES {
            let limit = usize::try_from(MAX_PLAYLIST_BYTES).unwrap_or(usize::MAX);
            let what = "bytes in a playlist";
            return Err(AppleError::TooMany { path, limit, what });
        }
        let text = String::from_utf8_lossy(&data);
        let mut lines = text.lines().map(str::trim_end).enumerate();
        if lines.next().is_none_or(|(_, first)| first != FIRST_LINE) {
            return Err(AppleError::NoPlaylist { path });
        }
        Ok(Self {
            file: file.to_owned(),
            tags: lines.filter_map(|(at, line)| Tag::read(at + 1, line)).collect(),
        })
    }

    /// All tags of a name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Tag> {
        self.tags.iter().filter(move |tag| tag.name == name)
    }

    /// The first tag of a name.
    pub fn first(&self, name: &str) -> Option<&Tag> {
        self.tags.iter().find(|tag| tag.name == name)
    }

    /// The tag in a line.
    pub fn tag_in(&self, line: usize) -> Option<&Tag> {
        let index = self.tags.binary_search_by_key(&line, |tag| tag.line).ok()?;
        self.tags.get(index)
    }

    /// Whether there is a tag of a name.
    pub fn has(&self, name: &str) -> bool {
        self.first(name).is_some()
    }

    /// The integer behind the first tag of a name.
    pub fn integer(&self, name: &str) -> Option<u64> {
        self.first(name)?.value.trim().parse().ok()
    }

    /// Whether it names playlists.
    pub fn is_multivariant(&self) -> bool {
        self.has("EXT-X-STREAM-INF") || self.has("EXT-X-I-FRAME-STREAM-INF")
    }
}

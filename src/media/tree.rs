//! An HLS tree: the playlists below a folder, and the fragmented MP4 that they name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::playlist::{Content, MAX_PLAYLIST_BYTES, MediaPlaylist, Playlist};
use super::{Cause, EncryptedInput, InputError, Presentation, Source, check_whole, stands_at_top};
use crate::isobmff::hdlr::Handler;
use crate::isobmff::scan::{TopLevel, read_box};
use crate::isobmff::{FourCc, Node};

/// A tree has at most this many playlists: ten times what a film in every quality and language has.
const MAX_PLAYLISTS: usize = 4096;

/// A tree that was opened. All files are relative to its folder.
#[derive(Debug)]
pub struct Tree {
    /// The folder of the playlist that was given.
    pub folder: PathBuf,
    /// That playlist first, then those that it names, in its order.
    pub playlists: Vec<TreePlaylist>,
    /// Each has init segments of its own.
    pub renditions: Vec<TreeRendition>,
    /// What stays as it is: text, and data of the session.
    pub copies: BTreeSet<PathBuf>,
    /// The tracks of all renditions.
    pub presentation: Presentation,
}

/// A playlist of a tree.
#[derive(Debug)]
pub struct TreePlaylist {
    /// The file.
    pub file: PathBuf,
    /// What it says.
    pub playlist: Playlist,
    /// Files of its segments, in order; of a multivariant playlist, of its variants and renditions.
    pub files: Vec<PathBuf>,
    /// Files of its init segments, one for each `EXT-X-MAP`.
    pub map_files: Vec<PathBuf>,
    /// Which rendition's media it names; `None` where that is text, or playlists.
    pub rendition: Option<usize>,
}

/// A rendition: init segments, and media segments of their tracks.
#[derive(Debug)]
pub struct TreeRendition {
    /// Its playlist.
    pub file: PathBuf,
    /// Which tracks of [`Tree::presentation`] it has: those of its first init segment, then those of others.
    pub tracks: Range<usize>,
    /// All its files.
    pub files: BTreeSet<PathBuf>,
}

/// How a playlist came to be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Media,
    Text,
}

/// A tree that can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// A file can't be read.
    #[error("{}: {cause}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A playlist can't be used.
    #[error("{}, line {line}: {what}", path.display())]
    Line {
        /// The playlist.
        path: PathBuf,
        /// The line; the first is 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// A media file can't be used.
    #[error(transparent)]
    Input(#[from] InputError),
}

impl Tree {
    /// Whether the file is called as playlists are.
    #[must_use]
    pub fn is_playlist(path: &Path) -> bool {
        path.extension().is_some_and(|extension| extension == "m3u8")
    }

    /// Opens the tree of the playlist at `path`, multivariant or not: reads all playlists and fragment boxes, and no
    /// media data.
    ///
    /// # Errors
    /// [`TreeError`] naming the file, and the line of a playlist.
    pub fn open(path: &Path) -> Result<Self, TreeError> {
        let name = path.file_name().map(PathBuf::from).unwrap_or_default();
        let mut tree = Self {
            folder: path.parent().unwrap_or(Path::new("")).to_owned(),
            playlists: Vec::new(),
            renditions: Vec::new(),
            copies: BTreeSet::new(),
            presentation: Presentation::default(),
        };
        let roles = tree.read_playlists(name)?;
        // I-frame playlists name pieces of files that other playlists name whole.
        let is_iframes_only = |playlist: &TreePlaylist| match &playlist.playlist.content {
            Content::Media(media) => Some(media.is_iframes_only),
            Content::Multivariant(_) => None,
        };
        let of_kind = |iframes_only: bool| {
            let all = tree.playlists.iter().enumerate();
            let alike = all.filter(move |(_, playlist)| is_iframes_only(playlist) == Some(iframes_only));
            alike.map(|(index, _)| index).collect::<Vec<_>>()
        };
        for index in [of_kind(false), of_kind(true)].concat() {
            let role = roles.get(index).copied().unwrap_or(Role::Media);
            tree.open_media(index, role)?;
        }
        if tree.presentation.tracks.is_empty() {
            return Err(tree.line_error(0, 0, "there is no video or audio in the tree"));
        }
        tree.check_files()?;
        Ok(tree)
    }

    /// Reads the playlist `name` and all that it names.
    fn read_playlists(&mut self, name: PathBuf) -> Result<Vec<Role>, TreeError> {
        let mut roles = vec![Role::Media];
        let mut places: BTreeMap<PathBuf, usize> = [(name.clone(), 0)].into();
        let top = self.read_playlist(name)?;
        self.playlists.push(top);
        let Some(Content::Multivariant(master)) = self.playlists.first().map(|top| &top.playlist.content) else {
            return Ok(roles);
        };
        let data = master.data.clone();
        let mut named: Vec<(usize, String, Role)> = Vec::new();
        for rendition in &master.renditions {
            let role = if rendition.is_text { Role::Text } else { Role::Media };
            named.push((rendition.line, rendition.uri.clone(), role));
        }
        let variants = master.variants.iter();
        named.extend(variants.map(|variant| (variant.uri_line, variant.uri.clone(), Role::Media)));
        for (line, uri) in data {
            let file = self.resolve(0, line, &uri)?;
            let is_media = |head: &[u8]| {
                let kind = head.get(4..8).and_then(|kind| kind.try_into().ok());
                kind.is_some_and(|kind| stands_at_top(FourCc(kind)))
            };
            if self.starts_with(&file, is_media)? {
                return Err(self.line_error(0, line, format!("{uri:?} is an MP4, which would stay clear")));
            }
            self.copies.insert(file);
        }
        let mut files = Vec::new();
        for (line, uri, role) in named {
            let file = self.resolve(0, line, &uri)?;
            files.push(file.clone());
            if let Some(place) = places.get(&file) {
                if roles.get(*place) != Some(&role) || *place == 0 {
                    let what = format!("{uri:?} is named as media, and as something else");
                    return Err(self.line_error(0, line, what));
                }
                continue;
            }
            if self.playlists.len() >= MAX_PLAYLISTS {
                let what = format!("more than {MAX_PLAYLISTS} playlists");
                return Err(self.line_error(0, line, what));
            }
            let playlist = self.read_playlist(file.clone())?;
            if matches!(playlist.playlist.content, Content::Multivariant(_)) {
                let what = format!("{uri:?} is a multivariant playlist itself");
                return Err(self.line_error(0, line, what));
            }
            places.insert(file, self.playlists.len());
            self.playlists.push(playlist);
            roles.push(role);
        }
        if let Some(top) = self.playlists.first_mut() {
            top.files = files;
        }
        Ok(roles)
    }

    fn read_playlist(&self, file: PathBuf) -> Result<TreePlaylist, TreeError> {
        let path = self.folder.join(&file);
        let failed = |cause| TreeError::Io {
            path: path.clone(),
            cause,
        };
        let mut bytes = Vec::new();
        let opened = File::open(&path).map_err(failed)?;
        opened
            .take(MAX_PLAYLIST_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        if bytes.len() as u64 > MAX_PLAYLIST_BYTES {
            let what = format!("a playlist of more than {MAX_PLAYLIST_BYTES} bytes");
            return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, what)));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            let what = format!("byte {at} is no UTF-8; this is no playlist");
            failed(io::Error::new(io::ErrorKind::InvalidData, what))
        })?;
        let playlist = Playlist::parse(&text).map_err(|error| TreeError::Line {
            path: path.clone(),
            line: error.line,
            what: error.what,
        })?;
        Ok(TreePlaylist {
            file,
            playlist,
            files: Vec::new(),
            map_files: Vec::new(),
            rendition: None,
        })
    }

    /// Opens what a media playlist names.
    fn open_media(&mut self, index: usize, role: Role) -> Result<(), TreeError> {
        let Some(Content::Media(media)) = self.playlists.get(index).map(|playlist| &playlist.playlist.content) else {
            return Ok(());
        };
        let mut files = Vec::with_capacity(media.segments.len());
        for segment in &media.segments {
            files.push(self.resolve(index, segment.resource.line, &segment.resource.uri)?);
        }
        let mut map_files = Vec::with_capacity(media.maps.len());
        for map in &media.maps {
            map_files.push(self.resolve(index, map.line, &map.uri)?);
        }
        let place = match role {
            Role::Text => {
                self.check_text(index, media, &files, &map_files)?;
                self.copies.extend(files.iter().chain(&map_files).cloned());
                None
            }
            Role::Media if media.maps.is_empty() => {
                let line = media.segments.first().map_or(0, |segment| segment.resource.line);
                let what =
                    "there is no EXT-X-MAP: only fragmented MP4 can be encrypted, no transport stream or packed audio";
                return Err(self.line_error(index, line, what));
            }
            Role::Media => Some(self.rendition(index, media, &files, &map_files)?),
        };
        let rendition = match place {
            Some(Place::New(rendition, sources)) => Some(self.add(rendition, &sources)?),
            Some(Place::Known(rendition)) => Some(rendition),
            None => None,
        };
        if let Some(playlist) = self.playlists.get_mut(index) {
            playlist.files = files;
            playlist.map_files = map_files;
            playlist.rendition = rendition;
        }
        Ok(())
    }

    /// The rendition whose files a media playlist names.
    fn rendition(
        &self,
        index: usize,
        media: &MediaPlaylist,
        files: &[PathBuf],
        map_files: &[PathBuf],
    ) -> Result<Place, TreeError> {
        let all: BTreeSet<PathBuf> = files.iter().chain(map_files).cloned().collect();
        if media.is_iframes_only {
            let known = self
                .renditions
                .iter()
                .position(|rendition| all.is_subset(&rendition.files));
            if let Some(known) = known {
                return Ok(Place::Known(known));
            }
        }
        if let Some(other) = self.renditions.iter().find(|other| !other.files.is_disjoint(&all)) {
            let what = format!("names media that {} names too", other.file.display());
            let line = media.maps.first().map_or(0, |map| map.line);
            return Err(self.line_error(index, line, what));
        }
        // What has one init segment is one film, even where another stands between.
        let mut parts: Vec<Vec<(PathBuf, Option<Range<u64>>)>> = Vec::new();
        let maps = media.maps.iter().zip(map_files);
        let inits: Vec<_> = maps
            .map(|(map, file)| (self.folder.join(file), map.range.clone()))
            .collect();
        for (segment, file) in media.segments.iter().zip(files) {
            let Some(init) = segment.map.and_then(|map| inits.get(map)) else {
                continue;
            };
            let part = (self.folder.join(file), segment.resource.range.clone());
            match parts.iter_mut().find(|parts| parts.first() == Some(init)) {
                Some(parts) => parts.push(part),
                None => parts.push(vec![init.clone(), part]),
            }
        }
        let mut sources = Vec::new();
        for parts in parts {
            for (file, range) in &parts {
                check_whole(file, &range.clone().into())?;
            }
            let source = Source::assemble(parts).map_err(|cause| TreeError::Io {
                path: self.playlist_path(index),
                cause,
            })?;
            sources.push(Arc::new(source));
        }
        let file = self.playlists.get(index).map(|playlist| playlist.file.clone());
        let rendition = TreeRendition {
            file: file.unwrap_or_default(),
            tracks: 0..0,
            files: all,
        };
        Ok(Place::New(rendition, sources))
    }

    /// Opens a rendition's tracks, and returns its place.
    fn add(&mut self, mut rendition: TreeRendition, sources: &[Arc<Source>]) -> Result<usize, TreeError> {
        let before = self.presentation.tracks.len();
        for source in sources {
            let mut warnings = std::mem::take(&mut self.presentation.warnings);
            self.presentation
                .add(source, EncryptedInput::Refuse)
                .map_err(|cause| InputError::in_source(source, cause))?;
            if !self.presentation.warnings.is_empty() {
                let what = "what is neither video nor audio in it stays clear";
                warnings.push(format!("{}: {what}", source.path().display()));
            }
            self.presentation.warnings = warnings;
        }
        rendition.tracks = before..self.presentation.tracks.len();
        self.renditions.push(rendition);
        Ok(self.renditions.len() - 1)
    }

    /// Refuses text that is none: it stays in the clear.
    fn check_text(
        &self,
        index: usize,
        media: &MediaPlaylist,
        files: &[PathBuf],
        map_files: &[PathBuf],
    ) -> Result<(), TreeError> {
        for (map, init_file) in media.maps.iter().zip(map_files) {
            let path = self.folder.join(init_file);
            let failed = |cause: Cause| InputError {
                path: path.clone(),
                cause,
            };
            let source = Source::assemble([(path.clone(), map.range.clone())]);
            let source = source.map_err(|cause| TreeError::Io {
                path: path.clone(),
                cause,
            })?;
            if holds_video_or_audio(&source).map_err(failed)? {
                let what = format!("{:?} is named as subtitles, and has video or audio", map.uri);
                return Err(self.line_error(index, map.line, what));
            }
        }
        if !map_files.is_empty() {
            return Ok(());
        }
        for (segment, file) in media.segments.iter().zip(files) {
            if !self.starts_with(file, |head| {
                head.starts_with(b"WEBVTT") || head.starts_with(b"\xef\xbb\xbfWEBVTT")
            })? {
                let what = format!("{:?} is named as subtitles, and is no WebVTT", segment.resource.uri);
                return Err(self.line_error(index, segment.resource.line, what));
            }
        }
        Ok(())
    }

    /// What the first bytes of a file tell.
    fn starts_with(&self, file: &Path, tells: impl FnOnce(&[u8]) -> bool) -> Result<bool, TreeError> {
        let path = self.folder.join(file);
        let mut head = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(16).read_to_end(&mut head));
        read.map_err(|cause| TreeError::Io { path, cause })?;
        Ok(tells(&head))
    }

    /// Each file is one thing: what is copied must hold no media.
    fn check_files(&self) -> Result<(), TreeError> {
        let twice = |file: &Path| TreeError::Io {
            path: self.folder.join(file),
            cause: io::Error::new(io::ErrorKind::InvalidInput, "is named as media, and as something else"),
        };
        let mut media = self.renditions.iter().flat_map(|rendition| &rendition.files);
        let playlists: BTreeSet<&PathBuf> = self.playlists.iter().map(|playlist| &playlist.file).collect();
        if let Some(file) = media.find(|file| self.copies.contains(*file) || playlists.contains(file)) {
            return Err(twice(file));
        }
        if let Some(file) = self.copies.iter().find(|file| playlists.contains(file)) {
            return Err(twice(file));
        }
        Ok(())
    }

    /// A URI of a playlist as a file of the tree.
    fn resolve(&self, index: usize, line: usize, uri: &str) -> Result<PathBuf, TreeError> {
        let base = self.playlists.get(index).and_then(|playlist| playlist.file.parent());
        resolve(base.unwrap_or(Path::new("")), uri)
            .map_err(|what| self.line_error(index, line, format!("the URI {uri:?} {what}")))
    }

    fn playlist_path(&self, index: usize) -> PathBuf {
        let file = self.playlists.get(index).map(|playlist| playlist.file.as_path());
        self.folder.join(file.unwrap_or(Path::new("")))
    }

    fn line_error(&self, index: usize, line: usize, what: impl Into<String>) -> TreeError {
        TreeError::Line {
            path: self.playlist_path(index),
            line: line + 1,
            what: what.into(),
        }
    }
}

/// What a media playlist names.
enum Place {
    /// A rendition that is not open yet: each init segment and its media segments, joined.
    New(TreeRendition, Vec<Arc<Source>>),
    /// Pieces of one that is.
    Known(usize),
}

/// A URI in a playlist of the folder `base` as a path below the tree's folder, or why it is none.
pub(crate) fn resolve(base: &Path, uri: &str) -> Result<PathBuf, &'static str> {
    let scheme = uri.split(['/', '?', '#']).next().unwrap_or_default();
    if uri.starts_with('/') || scheme.contains(':') {
        return Err("is absolute; only files beside the playlist can be encrypted, by relative URIs");
    }
    if uri.contains(['?', '#', '\\']) || uri.contains(char::is_control) {
        return Err("has a query, a fragment, or characters that no URI has; only plain files can be encrypted");
    }
    let mut parts: Vec<String> = base
        .components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
            _ => None,
        })
        .collect();
    for part in uri.split('/') {
        match part {
            ".." => _ = parts.pop().ok_or("leaves the folder of the playlist that was given")?,
            "" | "." => {}
            part => {
                let name = percent_decoded(part).ok_or("has percent-encoding that can't be read")?;
                if name.contains(['/', '\0']) || name == "." || name == ".." {
                    return Err("hides a path in percent-encoding");
                }
                parts.push(name);
            }
        }
    }
    if matches!(uri.rsplit('/').next(), None | Some("" | "." | "..")) {
        return Err("names no file");
    }
    Ok(parts.iter().collect())
}

/// RFC 3986, 2.1; `None` where a `%` has no two digits behind it, or the bytes are no UTF-8.
fn percent_decoded(text: &str) -> Option<String> {
    let mut decoded = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            let mut value = [0];
            hex::decode_to_slice(digits, &mut value).ok()?;
            u8::from_be_bytes(value)
        } else {
            byte
        });
    }
    String::from_utf8(decoded).ok()
}

/// Whether the movie box of an init segment has a track of video or audio.
fn holds_video_or_audio(init: &Source) -> Result<bool, Cause> {
    for header in TopLevel::new(init) {
        let header = header?;
        if header.kind.0 == *b"moov" {
            let bytes = read_box(init, &header, super::max_box_bytes(header.kind))?;
            let moov = Node::parse_one(&bytes, header.offset)?;
            for trak in moov.children_of(b"trak") {
                let handler: Handler = trak.require(&[b"mdia", b"hdlr"])?.parse()?;
                if [*b"vide", *b"soun", *b"auxv"].contains(&handler.handler_type.0) {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_stay_in_the_tree() {
        let resolved = |uri| resolve(Path::new("a/b"), uri);
        assert_eq!(resolved("c.m4s"), Ok(PathBuf::from("a/b/c.m4s")));
        assert_eq!(resolved("./../c/d.m4s"), Ok(PathBuf::from("a/c/d.m4s")));
        assert_eq!(resolved("a%20b%C3%A4.m4s"), Ok(PathBuf::from("a/b/a b\u{e4}.m4s")));
        for (uri, why) in [
            ("http://x/y", "is absolute"),
            ("//x/y", "is absolute"),
            ("data:,x", "is absolute"),
            ("x?y", "has a query"),
            ("x#y", "has a query"),
            ("x\\y", "has a query"),
            ("../../../x", "leaves the folder"),
            ("x%2", "has percent-encoding"),
            ("x%ff", "has percent-encoding"),
            ("x%2fy", "hides a path"),
            ("%2e%2e", "hides a path"),
            ("", "names no file"),
            ("../..", "names no file"),
            ("x/.", "names no file"),
            ("x/", "names no file"),
        ] {
            assert!(
                resolved(uri).is_err_and(|what| what.starts_with(why)),
                "{uri}: {:?}",
                resolved(uri)
            );
        }
    }
}

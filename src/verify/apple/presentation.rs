//! A presentation: its playlists, and what stands in the files that they name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::AppleError;
use super::init::Track;
use super::segment::{self, Content, Run};
use super::tags::{Playlist, Tag};
use crate::media::tree::resolve;
use crate::media::{MediaKind, Source};
use crate::package::hls::MULTIVARIANT_PLAYLIST;
use crate::verify::playlist::{AES_128, byte_range, decimal_nanos};

/// A presentation has at most this many media playlists: ten times what a film with every language has.
const MAX_MEDIA_PLAYLISTS: usize = 4096;

/// All media playlists together name at most this many segments. A few hundred bytes are kept of each.
const MAX_SEGMENTS: usize = 4 << 20;

/// A media playlist names at most this many init segments: one for each advertisement of a long film.
const MAX_MAPS: usize = 4096;

/// A media playlist has keys of at most this many formats, as each segment may be under all of them at once.
const MAX_KEY_FORMATS: usize = 64;

/// An init segment is read whole, up to this size.
const MAX_INIT_BYTES: u64 = 16 << 20;

/// All playlists of a presentation.
#[derive(Debug)]
pub struct Presentation {
    /// The folder that file names are relative to.
    folder: PathBuf,
    /// The playlist that it begins with, relative to the folder.
    beginning: PathBuf,
    /// The multivariant playlist, unless it begins with a media playlist.
    pub multivariant: Option<Playlist>,
    /// Each media playlist that could be read, once.
    pub media: Vec<Media>,
    /// Lines of the multivariant playlist whose media playlist can't be read: the line, and why.
    pub unread: Vec<(usize, Unread)>,
    /// Which media playlist a line of the multivariant playlist names.
    by_line: BTreeMap<usize, usize>,
}

/// A media playlist.
#[derive(Debug)]
pub struct Media {
    /// Its tags.
    pub playlist: Playlist,
    /// As what the multivariant playlist names it.
    pub roles: Vec<Role>,
    /// `EXT-X-MAP`, in order.
    pub maps: Vec<Map>,
    /// The segments, in order.
    pub segments: Vec<Segment>,
}

/// As what a media playlist is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// By `EXT-X-STREAM-INF`, or alone.
    Variant,
    /// By `EXT-X-MEDIA` of `TYPE=VIDEO`.
    Video,
    /// By `EXT-X-MEDIA` of `TYPE=AUDIO`.
    Audio,
    /// By `EXT-X-MEDIA` of `TYPE=SUBTITLES`.
    Subtitles,
    /// By `EXT-X-I-FRAME-STREAM-INF`.
    IFrames,
}

/// An init segment.
#[derive(Debug)]
pub struct Map {
    /// The line of its `EXT-X-MAP`.
    pub line: usize,
    /// What it says, or why it can't be read.
    pub tracks: Result<Vec<Track>, Unread>,
}

/// A segment.
#[derive(Debug)]
pub struct Segment {
    /// The line of its URI.
    pub line: usize,
    /// `EXTINF` in nanoseconds; `None` where it is missing or no number.
    pub duration_ns: Option<i64>,
    /// Whether an `EXT-X-DISCONTINUITY` stands in front of it.
    pub is_discontinuous: bool,
    /// Which of the maps is in force.
    pub map: Option<usize>,
    /// The lines of the `EXT-X-KEY`s in force, one of each `KEYFORMAT`.
    pub keys: Vec<usize>,
    /// What it is, or why it can't be read.
    pub file: Result<SegmentFile, Unread>,
}

/// A segment's file, or the range of it.
#[derive(Debug)]
pub struct SegmentFile {
    /// Relative to the presentation's folder.
    pub path: PathBuf,
    /// In bytes.
    pub bytes: u64,
    /// What stands in it, or why that can't be read.
    pub content: Result<Content, String>,
    /// Of an I-frame playlist: whether it begins with the boxes of its fragment.
    pub begins_with_moof: bool,
}

/// Why something that a playlist names is not read.
#[derive(Debug)]
pub enum Unread {
    /// It is no file of the folder, or it is encrypted as a whole file.
    Elsewhere(String),
    /// It is missing or damaged.
    Broken(String),
}

impl Unread {
    fn elsewhere(uri: &str) -> Self {
        Self::Elsewhere(format!("{uri:?} is no file of the folder"))
    }

    /// What is to be said of it.
    pub const fn why(&self) -> &String {
        match self {
            Self::Elsewhere(why) | Self::Broken(why) => why,
        }
    }
}

/// A place in a playlist.
#[derive(Debug, Clone, Copy)]
pub struct At<'a> {
    /// Relative to the presentation's folder.
    pub file: &'a Path,
    /// The first is 1.
    pub line: Option<usize>,
}

/// A variant of the multivariant playlist, or a media playlist that is alone.
#[derive(Debug, Clone, Copy)]
pub struct Variant<'a> {
    /// `EXT-X-STREAM-INF` and its playlist.
    pub tag: Option<(&'a Playlist, &'a Tag)>,
    /// `None` where it can't be read.
    pub media: Option<&'a Media>,
}

impl Presentation {
    /// Reads what `path` names: a playlist, or a folder with one.
    pub fn open(path: &Path) -> Result<Self, AppleError> {
        let read = |cause| AppleError::Read {
            path: path.to_owned(),
            cause,
        };
        let is_folder = fs::metadata(path).map_err(read)?.is_dir();
        let (folder, beginning) = if is_folder {
            (path.to_owned(), find_beginning(path)?)
        } else {
            let name = path.file_name().map(PathBuf::from).unwrap_or_default();
            (path.parent().unwrap_or(Path::new("")).to_owned(), name)
        };
        let playlist = Playlist::read(&folder, &beginning)?;
        let mut presentation = Self {
            folder,
            beginning,
            multivariant: None,
            media: Vec::new(),
            unread: Vec::new(),
            by_line: BTreeMap::new(),
        };
        if playlist.is_multivariant() {
            presentation.add_named(&playlist)?;
            presentation.multivariant = Some(playlist);
        } else {
            let is_iframes_only = playlist.has("EXT-X-I-FRAMES-ONLY");
            let role = if is_iframes_only { Role::IFrames } else { Role::Variant };
            presentation.add(playlist, role)?;
        }
        Ok(presentation)
    }

    /// The playlist that it begins with.
    pub fn path(&self) -> PathBuf {
        self.folder.join(&self.beginning)
    }

    /// A place in the multivariant playlist, or of the media playlist that stands for it.
    pub fn at(&self, line: Option<usize>) -> At<'_> {
        At {
            file: &self.beginning,
            line,
        }
    }

    /// All variants.
    pub fn variants(&self) -> Vec<Variant<'_>> {
        let Some(playlist) = &self.multivariant else {
            let alone = self.media.iter().filter(|media| media.is(Role::Variant));
            return alone
                .map(|media| Variant {
                    tag: None,
                    media: Some(media),
                })
                .collect();
        };
        let variants = playlist.all("EXT-X-STREAM-INF").map(|tag| Variant {
            tag: Some((playlist, tag)),
            media: self.named_by(tag),
        });
        variants.collect()
    }

    /// `EXT-X-MEDIA` of all types.
    pub fn renditions(&self) -> impl Iterator<Item = &Tag> {
        self.multivariant
            .iter()
            .flat_map(|playlist| playlist.all("EXT-X-MEDIA"))
    }

    /// `EXT-X-MEDIA` of a type and a group.
    pub fn group<'a>(&'a self, kind: &'a str, id: &'a str) -> impl Iterator<Item = &'a Tag> {
        self.renditions()
            .filter(move |tag| tag.get("TYPE") == Some(kind) && tag.get("GROUP-ID") == Some(id))
    }

    /// The media playlist that a tag of the multivariant playlist names.
    pub fn named_by(&self, tag: &Tag) -> Option<&Media> {
        self.media.get(*self.by_line.get(&tag.line)?)
    }

    /// Whether any variant has video.
    pub fn has_video(&self) -> bool {
        self.variants().iter().any(Variant::is_video)
    }

    /// Media playlists of video and audio that are no I-frame playlists.
    pub fn continuous(&self) -> impl Iterator<Item = &Media> {
        let of_media = |media: &&Media| {
            media
                .roles
                .iter()
                .any(|role| !matches!(role, Role::IFrames | Role::Subtitles))
        };
        self.media.iter().filter(of_media)
    }

    /// Reads all media playlists that the multivariant playlist names.
    fn add_named(&mut self, playlist: &Playlist) -> Result<(), AppleError> {
        let mut known: BTreeMap<PathBuf, usize> = BTreeMap::new();
        let mut stream: Option<&Tag> = None;
        for tag in &playlist.tags {
            let (line, uri, role) = match (tag.name.as_str(), stream) {
                ("EXT-X-STREAM-INF", _) => {
                    stream = Some(tag);
                    continue;
                }
                ("", Some(variant)) => (variant.line, Some(tag.value.as_str()), Role::Variant),
                ("EXT-X-I-FRAME-STREAM-INF", _) => (tag.line, tag.get("URI"), Role::IFrames),
                ("EXT-X-MEDIA", _) => match tag.get("TYPE") {
                    Some("AUDIO") => (tag.line, tag.get("URI"), Role::Audio),
                    Some("VIDEO") => (tag.line, tag.get("URI"), Role::Video),
                    Some("SUBTITLES") => (tag.line, tag.get("URI"), Role::Subtitles),
                    _ => continue,
                },
                _ => continue,
            };
            if tag.name.is_empty() {
                stream = None;
            }
            let Some(uri) = uri else { continue };
            let Ok(file) = resolve(Path::new(""), uri) else {
                self.unread.push((line, Unread::elsewhere(uri)));
                continue;
            };
            let index = match known.get(&file) {
                Some(index) => *index,
                None if self.media.len() >= MAX_MEDIA_PLAYLISTS => {
                    return Err(self.too_many(MAX_MEDIA_PLAYLISTS, "media playlists"));
                }
                None => match Playlist::read(&self.folder, &file) {
                    Ok(playlist) => self.add(playlist, role)?,
                    Err(error) => {
                        self.unread.push((line, Unread::Broken(error.to_string())));
                        continue;
                    }
                },
            };
            known.insert(file, index);
            self.by_line.insert(line, index);
            if let Some(media) = self.media.get_mut(index)
                && !media.roles.contains(&role)
            {
                media.roles.push(role);
            }
        }
        Ok(())
    }

    fn add(&mut self, playlist: Playlist, role: Role) -> Result<usize, AppleError> {
        let named: usize = self.media.iter().map(|media| media.segments.len()).sum();
        let more = playlist.all("").count();
        if named + more > MAX_SEGMENTS {
            return Err(self.too_many(MAX_SEGMENTS, "segments"));
        }
        if playlist.all("EXT-X-MAP").count() > MAX_MAPS {
            return Err(self.too_many(MAX_MAPS, "init segments in a media playlist"));
        }
        let formats = playlist.all("EXT-X-KEY").map(|key| key.get("KEYFORMAT"));
        if formats.collect::<BTreeSet<_>>().len() > MAX_KEY_FORMATS {
            return Err(self.too_many(MAX_KEY_FORMATS, "key formats in a media playlist"));
        }
        self.media.push(Media::read(&self.folder, playlist, role));
        Ok(self.media.len() - 1)
    }

    fn too_many(&self, limit: usize, what: &'static str) -> AppleError {
        let path = self.path();
        AppleError::TooMany { path, limit, what }
    }
}

/// The playlist of a folder that a presentation begins with: `master.m3u8`, else the only multivariant playlist, else the only
/// playlist.
fn find_beginning(folder: &Path) -> Result<PathBuf, AppleError> {
    if folder.join(MULTIVARIANT_PLAYLIST).is_file() {
        return Ok(MULTIVARIANT_PLAYLIST.into());
    }
    let read = |cause| AppleError::Read {
        path: folder.to_owned(),
        cause,
    };
    let mut playlists = Vec::new();
    for entry in fs::read_dir(folder).map_err(read)? {
        let name = PathBuf::from(entry.map_err(read)?.file_name());
        if name.extension().is_some_and(|extension| extension == "m3u8") && folder.join(&name).is_file() {
            if playlists.len() >= MAX_MEDIA_PLAYLISTS {
                let (path, limit, what) = (folder.to_owned(), MAX_MEDIA_PLAYLISTS, "playlists");
                return Err(AppleError::TooMany { path, limit, what });
            }
            let is_multivariant = Playlist::read(folder, &name)?.is_multivariant();
            playlists.push((name, is_multivariant));
        }
    }
    playlists.sort();
    let only = |wanted: bool| {
        let mut of_kind = playlists
            .iter()
            .filter(|(_, is_multivariant)| *is_multivariant == wanted);
        of_kind.next().filter(|_| of_kind.next().is_none())
    };
    let has_multivariant = playlists.iter().any(|(_, is_multivariant)| *is_multivariant);
    if let Some((name, _)) = only(has_multivariant) {
        return Ok(name.clone());
    }
    let shown = |(name, is_multivariant): &(PathBuf, bool)| {
        let kind = if *is_multivariant { "multivariant" } else { "media" };
        format!("{} ({kind})", name.display())
    };
    let found: Vec<String> = playlists.iter().map(shown).collect();
    Err(AppleError::NoBeginning {
        folder: folder.to_owned(),
        found: if found.is_empty() {
            "no file that ends in .m3u8".to_owned()
        } else {
            found.join(", ")
        },
    })
}

impl Variant<'_> {
    /// Where it is named.
    pub fn at(&self) -> At<'_> {
        match (self.tag, self.media) {
            (Some((playlist, tag)), _) => playlist.at(tag),
            (None, Some(media)) => media.at(None),
            (None, None) => At {
                file: Path::new(""),
                line: None,
            },
        }
    }

    /// An attribute of its `EXT-X-STREAM-INF`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.tag?.1.get(name)
    }

    /// The codecs that it says it has, or else those of its init segments.
    pub fn codecs(&self) -> Vec<String> {
        match self.get("CODECS") {
            Some(codecs) => codecs.split(',').map(|codec| codec.trim().to_owned()).collect(),
            None => self.media.map(Media::codecs).unwrap_or_default(),
        }
    }

    /// Whether it has video, by its boxes or else by what it says.
    pub fn is_video(&self) -> bool {
        let in_boxes = self.media.is_some_and(|media| media.has(MediaKind::Video));
        let says = || {
            self.get("RESOLUTION").is_some()
                || self
                    .codecs()
                    .iter()
                    .any(|codec| super::codecs::Named::of(codec).is_video())
        };
        in_boxes || says()
    }
}

impl Playlist {
    /// Where a tag stands.
    pub fn at(&self, tag: &Tag) -> At<'_> {
        At {
            file: &self.file,
            line: Some(tag.line),
        }
    }
}

impl Media {
    fn read(folder: &Path, playlist: Playlist, role: Role) -> Self {
        let mut media = Self {
            maps: Vec::new(),
            segments: Vec::new(),
            roles: vec![role],
            playlist: Playlist {
                file: playlist.file.clone(),
                tags: Vec::new(),
            },
        };
        let base = playlist.file.parent().unwrap_or(Path::new("")).to_owned();
        let mut keys: Vec<&Tag> = Vec::new();
        let mut duration_ns = None;
        let mut is_discontinuous = false;
        let mut range = None;
        let mut before: Option<(&str, u64)> = None;
        for tag in &playlist.tags {
            match tag.name.as_str() {
                "EXTINF" => duration_ns = decimal_nanos(tag.value.split(',').next().unwrap_or_default().trim()),
                "EXT-X-BYTERANGE" => range = byte_range(tag.value.trim()),
                "EXT-X-DISCONTINUITY" => is_discontinuous = true,
                "EXT-X-KEY" => {
                    keys.retain(|key| {
                        key.get("KEYFORMAT") != tag.get("KEYFORMAT") && tag.get("METHOD") != Some("NONE")
                    });
                    if tag.get("METHOD") != Some("NONE") {
                        keys.push(tag);
                    }
                }
                "EXT-X-MAP" => {
                    let is_encrypted = keys.iter().any(|key| key.get("METHOD") == Some(AES_128));
                    let tracks = if is_encrypted {
                        Err(Unread::Elsewhere(
                            "the init segment is encrypted as a whole file".to_owned(),
                        ))
                    } else {
                        read_map(folder, &base, tag)
                    };
                    media.maps.push(Map { line: tag.line, tracks });
                }
                "" => {
                    let (bytes, start) = range.take().map_or((None, None), |(bytes, start)| (Some(bytes), start));
                    let continued = || before.filter(|(uri, _)| *uri == tag.value).map_or(0, |(_, end)| end);
                    let range = bytes.map(|bytes| {
                        let start = start.unwrap_or_else(continued);
                        start..start.saturating_add(bytes)
                    });
                    before = range.as_ref().map(|range| (tag.value.as_str(), range.end));
                    let tracks = media.maps.last().and_then(|map| map.tracks.as_deref().ok());
                    let is_encrypted = keys.iter().any(|key| key.get("METHOD") == Some(AES_128));
                    let form = match (role, is_encrypted) {
                        (_, true) => Form::Encrypted,
                        (Role::IFrames, _) => Form::IFrame,
                        _ => Form::Whole,
                    };
                    media.segments.push(Segment {
                        line: tag.line,
                        duration_ns: duration_ns.take(),
                        is_discontinuous: std::mem::take(&mut is_discontinuous),
                        map: media.maps.len().checked_sub(1),
                        keys: keys.iter().map(|key| key.line).collect(),
                        file: SegmentFile::read(folder, &base, (&tag.value, range), tracks.unwrap_or_default(), form),
                    });
                }
                _ => {}
            }
        }
        media.playlist = playlist;
        media
    }

    /// Whether it is named as this.
    pub fn is(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Whether it ends, so that all of it is known.
    pub fn is_vod(&self) -> bool {
        self.playlist.has("EXT-X-ENDLIST")
            || self
                .playlist
                .first("EXT-X-PLAYLIST-TYPE")
                .is_some_and(|tag| tag.value == "VOD")
    }

    /// A line of it, or all.
    pub fn at(&self, line: Option<usize>) -> At<'_> {
        At {
            file: &self.playlist.file,
            line,
        }
    }

    /// The init segment of a segment.
    pub fn map(&self, segment: &Segment) -> Option<&Map> {
        self.maps.get(segment.map?)
    }

    /// The tracks of all init segments that could be read.
    pub fn tracks(&self) -> impl Iterator<Item = &Track> {
        self.maps.iter().filter_map(|map| map.tracks.as_ref().ok()).flatten()
    }

    /// Whether an init segment has a track of this kind.
    pub fn has(&self, kind: MediaKind) -> bool {
        self.tracks().any(|track| track.kind == Some(kind))
    }

    /// The codecs of its tracks, where they are known.
    pub fn codecs(&self) -> Vec<String> {
        let mut codecs: Vec<String> = self
            .tracks()
            .filter_map(|track| Some(track.codec()?.rfc6381()))
            .collect();
        codecs.dedup();
        codecs
    }

    /// All segments' durations together, in nanoseconds.
    pub fn duration_ns(&self) -> i64 {
        let durations = self.segments.iter().filter_map(|segment| segment.duration_ns);
        durations.fold(0, i64::saturating_add)
    }

    /// The runs of a kind of track, segment by segment; `None` where a segment can't be looked into, or has nothing of it.
    pub fn runs(&self, kind: MediaKind) -> impl Iterator<Item = (&Segment, Option<(&Track, &Run)>)> {
        self.segments
            .iter()
            .map(move |segment| (segment, self.run(segment, kind)))
    }

    /// What a segment has of a kind of track.
    pub fn run<'a>(&'a self, segment: &'a Segment, kind: MediaKind) -> Option<(&'a Track, &'a Run)> {
        let map = self.map(segment)?;
        let Content::Fragments(runs) = segment.content()? else {
            return None;
        };
        let mut tracks = map.tracks.as_ref().ok()?.iter().zip(runs);
        tracks.find(|(track, run)| track.kind == Some(kind) && run.samples > 0)
    }

    /// The kind of media that decides where its segments begin and how long they are.
    pub fn leading_kind(&self) -> MediaKind {
        if self.has(MediaKind::Video) {
            MediaKind::Video
        } else {
            MediaKind::Audio
        }
    }

    /// Why segments can't be looked into, each reason once with the first line.
    pub fn unreadable(&self) -> Vec<String> {
        let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
        for segment in &self.segments {
            if let Some(reason) = segment.unreadable() {
                reasons.entry(reason).or_insert(segment.line);
            }
        }
        let file = self.playlist.file.display();
        let shown = |(reason, line)| format!("{file}, line {line}: {reason}");
        reasons.into_iter().map(shown).collect()
    }
}

impl Segment {
    /// What it is, where it could be read.
    pub fn content(&self) -> Option<&Content> {
        self.file.as_ref().ok()?.content.as_ref().ok()
    }

    /// Why its samples can't be looked into.
    fn unreadable(&self) -> Option<String> {
        match &self.file {
            Err(unread) => Some(unread.why().clone()),
            Ok(SegmentFile { content: Err(why), .. }) => Some(why.clone()),
            Ok(SegmentFile {
                content: Ok(content), ..
            }) => match content {
                Content::Fragments(_) => None,
                Content::TransportStream => Some("an MPEG transport stream is not looked into".to_owned()),
                Content::WebVtt { .. } => Some("WebVTT is not looked into".to_owned()),
                Content::PackedAudio => Some("packed audio is not looked into".to_owned()),
                Content::Encrypted => Some("the segment is encrypted as a whole file".to_owned()),
                Content::Uninitialized => Some("there is no init segment to read it by".to_owned()),
                Content::Unknown(why) => Some(why.clone()),
            },
        }
    }
}

/// How a segment is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Whole,
    IFrame,
    Encrypted,
}

impl SegmentFile {
    fn read(
        folder: &Path,
        base: &Path,
        (uri, range): (&str, Option<Range<u64>>),
        tracks: &[Track],
        form: Form,
    ) -> Result<Self, Unread> {
        let path = resolve(base, uri).map_err(|_| Unread::elsewhere(uri))?;
        let source = Source::assemble([(folder.join(&path), range)]);
        let source = source.map_err(|error| Unread::Broken(error.to_string()))?;
        let content = match form {
            Form::Encrypted => Ok(Content::Encrypted),
            Form::IFrame => Ok(Content::Unknown("an I-frame is not looked into".to_owned())),
            Form::Whole => segment::read(&source, tracks).map_err(|error| format!("{}: {error}", path.display())),
        };
        Ok(Self {
            bytes: source.bytes(),
            begins_with_moof: form == Form::IFrame && segment::begins_with_moof(&source),
            path,
            content,
        })
    }
}

/// The tracks of an init segment, or why they can't be read.
fn read_map(folder: &Path, base: &Path, tag: &Tag) -> Result<Vec<Track>, Unread> {
    let no_uri = || Unread::Broken("EXT-X-MAP has no URI".to_owned());
    let uri = tag.get("URI").ok_or_else(no_uri)?;
    let path = resolve(base, uri).map_err(|_| Unread::elsewhere(uri))?;
    let range = tag.get("BYTERANGE").and_then(byte_range).map(|(bytes, start)| {
        let start = start.unwrap_or(0);
        start..start.saturating_add(bytes)
    });
    let failed = |error: &dyn std::fmt::Display| Unread::Broken(format!("{}: {error}", path.display()));
    let file = folder.join(&path);
    let source = Source::assemble([(file, range)]).map_err(|error| failed(&error))?;
    if source.bytes() > MAX_INIT_BYTES {
        return Err(failed(&format!("an init segment of more than {MAX_INIT_BYTES} bytes")));
    }
    let mut data = vec![0; usize::try_from(source.bytes()).map_err(|error| failed(&error))?];
    crate::isobmff::ReadAt::read_exact_at(&source, &mut data, 0).map_err(|error| failed(&error))?;
    Track::read_all(&data).map_err(|error| failed(&error))
}

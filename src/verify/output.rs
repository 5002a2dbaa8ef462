//! What an output says of itself: its playlists and init segments, and which files there are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::dash::Manifest;
use super::findings::{FileFindings, Findings};
use super::init::{InitSegment, Protection};
use super::playlist::{self, AES_128, Key, Located, Map, MediaPlaylist, MultivariantPlaylist};
use super::{Form, VerifyError, segment};
use crate::content_key::{Generation, Iv};
use crate::isobmff::ReadAt;
use crate::isobmff::seig::SampleEncryptionGroup;
use crate::media::Source;
use crate::package::dash::MANIFEST;
use crate::package::generations;
use crate::package::hls::MULTIVARIANT_PLAYLIST;
use crate::package::hls::key_format::CLEAR_KEY_EXTENSION;
use crate::package::publish::KEYS_FILE;

/// Playlists and init segments are read whole, up to this size.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// Where an output's media is.
const OUTPUT_FOLDERS: &[&str] = &["video", "audio"];

/// An output: its playlists and init segments, and what was found wrong with them.
#[derive(Debug)]
pub struct Output {
    /// Its folder.
    pub folder: PathBuf,
    /// The renditions that the multivariant playlist names, in its order: alternatives first.
    pub renditions: Vec<Rendition>,
    /// What was found so far; whoever checks more adds to it.
    pub findings: Findings,
    /// The generation that the multivariant playlist names.
    pub generation: Option<Generation>,
    /// Older generations that stand beside it.
    pub older: BTreeSet<Option<Generation>>,
    pub(super) form: Form,
    /// The playlist that was given, relative to the folder.
    pub(super) top: PathBuf,
    pub(super) multivariant: MultivariantPlaylist,
    /// Files that belong to it beside its renditions: of a tree, I-frame playlists, text and data.
    pub(super) others: BTreeSet<PathBuf>,
    /// The I-frame playlists that the multivariant playlist names, in its order; of a tree, none.
    pub(super) iframes: Vec<IFramePlaylist>,
    /// The second set of playlists, for Clear Key, where there is one: each behind the one that it stands beside.
    pub(super) clear_key: BTreeMap<PathBuf, PathBuf>,
    /// The manifest of DASH, where there is one that can be read.
    pub(super) manifest: Option<Manifest>,
}

/// An I-frame playlist.
#[derive(Debug)]
pub(super) struct IFramePlaylist {
    /// Relative to the output.
    pub file: PathBuf,
    /// What it says.
    pub playlist: MediaPlaylist,
}

/// One rendition. All paths are relative to the output.
#[derive(Debug)]
pub struct Rendition {
    /// The last part of its folder, such as `720p`.
    pub name: String,
    /// Its media playlist.
    pub playlist_file: PathBuf,
    /// What that says.
    pub playlist: MediaPlaylist,
    /// Its parts, in order; at least one.
    pub parts: Vec<Part>,
    /// Its media segments, in order.
    pub segments: Vec<SegmentFile>,
    /// Whether they are WebVTT: subtitles without an init segment.
    pub is_webvtt: bool,
}

/// Segments of a rendition, one behind the other, that have their init segment and their key in common.
#[derive(Debug, Clone, Default)]
pub struct Part {
    /// The segments, by their index.
    pub segments: Range<usize>,
    /// Their init segment, where the playlist names one.
    pub init_file: Option<PathBuf>,
    /// Which bytes of it; `None` is all.
    pub init_range: Option<Range<u64>>,
    /// What that says; `None` where it is missing or too damaged.
    pub init: Option<Arc<InitSegment>>,
    /// The group of samples that the first fragment is in, where it is not protected as the init segment says.
    pub group: Option<SampleEncryptionGroup>,
    /// Where the playlist says that the key is; `None` where they are clear.
    pub key_uri: Option<String>,
}

impl Part {
    /// How its samples are protected, as its init segment says, or the group of samples that its first fragment is in.
    #[must_use]
    pub fn protection(&self) -> Option<Protection> {
        let of_init = self.init.as_ref()?.protection?;
        match &self.group {
            None => Some(of_init),
            Some(group) => of_init.of_group(group),
        }
    }
}

/// A media segment.
#[derive(Debug, Clone)]
pub struct SegmentFile {
    /// The file.
    pub file: PathBuf,
    /// Which bytes of it; `None` is all.
    pub range: Option<Range<u64>>,
    /// Its size; `None` where it is missing.
    pub bytes: Option<u64>,
}

impl SegmentFile {
    /// The size of a segment that is the range of a file, or all of it.
    pub(super) fn find(folder: &Path, file: PathBuf, range: Option<Range<u64>>) -> Self {
        let metadata = fs::metadata(folder.join(&file)).ok().filter(fs::Metadata::is_file);
        let bytes = metadata.and_then(|metadata| match &range {
            None => Some(metadata.len()),
            Some(range) => (range.end <= metadata.len()).then(|| range.end - range.start),
        });
        Self { file, range, bytes }
    }
}

impl Output {
    /// Reads the playlists and init segments of an output, and looks for files that don't belong to it.
    ///
    /// A tree is given by its multivariant or media playlist, an output by its folder. So is a tree whose playlist has an
    /// output's name, and which has none of its folders.
    ///
    /// # Errors
    /// [`VerifyError`] where the folder can't be read, or is no output. Damage is no error, but a finding.
    pub fn read(path: &Path) -> Result<Self, VerifyError> {
        let master = path.join(MULTIVARIANT_PLAYLIST);
        let has_media = |path: &Path| OUTPUT_FOLDERS.iter().any(|folder| path.join(folder).is_dir());
        let generations = generations::find(path).unwrap_or_default();
        let mut later = generations.iter().flatten();
        let is_laid_out = has_media(path) || later.any(|generation| has_media(&path.join(generation.to_string())));
        let mut output = if path.is_file() {
            Self::read_tree(path)?
        } else if master.is_file() && path.join(KEYS_FILE).is_file() && !is_laid_out {
            Self::read_tree(&master)?
        } else {
            let mut output = Self::read_own(path)?;
            output.generation = output.renditions.first().and_then(Rendition::generation);
            if output.is_encrypted() {
                output.older = generations;
                output.older.remove(&output.generation);
            }
            output
        };
        output.find_groups();
        output.find_strays()?;
        Ok(output)
    }

    fn read_own(folder: &Path) -> Result<Self, VerifyError> {
        let mut findings = Findings::default();
        let master_file = Path::new(MULTIVARIANT_PLAYLIST);
        let Some(text) = read_text(folder, master_file, &mut findings)? else {
            return Err(VerifyError::NoOutput {
                folder: folder.to_owned(),
            });
        };
        let multivariant = playlist::parse_multivariant(&text, Form::Own, &mut findings.of(master_file));
        let media = multivariant.media.iter().filter_map(|media| {
            let uri = media.value.uri.as_deref()?;
            Some((media.offset, uri, media.value.kind.as_deref() == Some("SUBTITLES")))
        });
        let variants = multivariant
            .variants
            .iter()
            .map(|variant| (variant.offset, &*variant.value.uri, false));
        let mut playlist_files = Vec::new();
        for (offset, uri, is_subtitles) in media.chain(variants) {
            match relative(Path::new(""), uri) {
                Some(path) if playlist_files.iter().any(|(other, _)| *other == path) => {}
                Some(path) => playlist_files.push((path, is_subtitles)),
                None => findings.of(master_file).add_at(offset, leaves_the_output(uri)),
            }
        }
        let mut renditions = Vec::new();
        for (playlist_file, is_subtitles) in playlist_files {
            let mut rendition = Rendition::read(folder, playlist_file, &mut findings)?;
            rendition.is_webvtt = is_subtitles && rendition.playlist.map.is_none();
            renditions.push(rendition);
        }
        let mut iframes = Vec::new();
        for Located { offset, value } in &multivariant.iframes {
            let Some(file) = relative(Path::new(""), &value.uri) else {
                findings.of(master_file).add_at(*offset, leaves_the_output(&value.uri));
                continue;
            };
            match read_text(folder, &file, &mut findings)? {
                Some(text) => {
                    let playlist = playlist::parse_media(&text, Form::Own, &mut findings.of(&file));
                    iframes.push(IFramePlaylist { file, playlist });
                }
                None => findings.of(&file).add("is missing"),
            }
        }
        let clear_key = clear_key_playlists(folder, &renditions, &iframes);
        let manifest_file = Path::new(MANIFEST);
        let manifest = read_text(folder, manifest_file, &mut findings)?
            .and_then(|text| Manifest::read(&text, &mut findings.of(manifest_file)));
        Ok(Self {
            folder: folder.to_owned(),
            renditions,
            findings,
            generation: None,
            older: BTreeSet::new(),
            form: Form::Own,
            clear_key,
            top: master_file.to_owned(),
            multivariant,
            others: BTreeSet::new(),
            iframes,
            manifest,
        })
    }

    /// Whether any of it is protected, or says so.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.renditions.iter().any(|rendition| {
            let says_so = !rendition.playlist.keys.is_empty();
            says_so || rendition.protection().is_some()
        })
    }

    /// Renditions that have an init segment together: in a tree, the tracks of one file.
    pub fn files(&self) -> impl Iterator<Item = &[Rendition]> {
        let place = |rendition: &Rendition| {
            let init = rendition
                .parts
                .first()
                .map(|part| (part.init_file.clone(), part.init_range.clone()));
            (rendition.playlist_file.clone(), init)
        };
        self.renditions.chunk_by(move |a, b| place(a) == place(b))
    }

    /// Bytes of all media segments.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let segments = self
            .files()
            .filter_map(<[_]>::first)
            .flat_map(|rendition| &rendition.segments);
        segments.filter_map(|segment| segment.bytes).sum()
    }

    /// Looks for the group of samples that each part is in. What can't be read here is found where segments are checked.
    fn find_groups(&mut self) {
        for Rendition { parts, segments, .. } in &mut self.renditions {
            for part in parts {
                let init = part.init.as_ref().filter(|init| init.protection.is_some());
                let segment = segments
                    .get(part.segments.start)
                    .filter(|segment| segment.bytes.is_some());
                let (Some(init), Some(segment)) = (init, segment) else {
                    continue;
                };
                let source = Source::assemble([(self.folder.join(&segment.file), segment.range.clone())]);
                part.group = source
                    .ok()
                    .and_then(|source| segment::first_group(&source, init.track_id));
            }
        }
    }

    /// Reports files that no playlist names. Whether older generations belong to it, is known by whoever has the records.
    fn find_strays(&mut self) -> Result<(), VerifyError> {
        let mut known = self.others.clone();
        known.extend(self.iframes.iter().map(|iframes| iframes.file.clone()));
        known.insert(self.top.clone());
        known.extend(self.clear_key.values().cloned());
        if self.form == Form::Own {
            known.insert(PathBuf::from(MANIFEST));
        }
        if self.is_encrypted() {
            known.insert(PathBuf::from(KEYS_FILE));
        }
        for rendition in &self.renditions {
            known.insert(rendition.playlist_file.clone());
            known.extend(rendition.parts.iter().filter_map(|part| part.init_file.clone()));
            known.extend(rendition.segments.iter().map(|segment| segment.file.clone()));
        }
        let older: Vec<String> = self.older.iter().copied().flat_map(generations::folders).collect();
        let mut folders = vec![PathBuf::new()];
        let mut strays = BTreeSet::new();
        while let Some(relative) = folders.pop() {
            let path = self.folder.join(&relative);
            let failed = |cause| VerifyError::Read {
                path: path.clone(),
                cause,
            };
            for entry in fs::read_dir(&path).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                let relative = relative.join(entry.file_name());
                if older.iter().any(|folder| relative == Path::new(folder)) {
                    continue;
                }
                if entry.file_type().map_err(failed)?.is_dir() {
                    folders.push(relative);
                } else if !known.contains(&relative) {
                    strays.insert(relative);
                }
            }
        }
        for stray in strays {
            self.findings.of(&stray).add("a file that no playlist names");
        }
        Ok(())
    }
}

impl Rendition {
    /// The generation whose folder it is in.
    fn generation(&self) -> Option<Generation> {
        self.playlist_file.iter().next()?.to_str()?.parse().ok()
    }

    /// What its first init segment says; the others say the same, but for protection.
    #[must_use]
    pub fn init(&self) -> Option<&InitSegment> {
        self.parts.first()?.init.as_deref()
    }

    /// How samples of the first part that has protected ones are protected.
    #[must_use]
    pub fn protection(&self) -> Option<Protection> {
        self.parts.iter().find_map(Part::protection)
    }

    /// The URI of its first key, as its playlist says.
    #[must_use]
    pub fn key_uri(&self) -> Option<&str> {
        self.parts.iter().find_map(|part| part.key_uri.as_deref())
    }

    /// Its file and the range of its init segment, where it is one file.
    #[must_use]
    pub fn single_file(&self) -> Option<(&Path, Range<u64>)> {
        let part = self.parts.first()?;
        Some((part.init_file.as_deref()?, part.init_range.clone()?))
    }

    /// Whether groups of samples say that they have another key than the init segment says, or none.
    #[must_use]
    pub fn has_groups(&self) -> bool {
        self.parts.iter().any(|part| part.group.is_some())
    }

    /// Whether its segments are encrypted as whole files, as its playlist says.
    #[must_use]
    pub fn has_encrypted_segments(&self) -> bool {
        let is_whole = |key: &Located<Key>| key.value.method.as_deref() == Some(AES_128);
        self.playlist.keys.first().is_some_and(is_whole)
    }

    /// The IV of the segment of that index, where segments are encrypted as whole files and its playlist says it.
    #[must_use]
    pub fn segment_iv(&self, index: usize) -> Option<Iv> {
        let key = self.playlist.segments.get(index)?.value.key?;
        self.playlist.keys.get(key)?.value.iv
    }

    fn read(folder: &Path, playlist_file: PathBuf, findings: &mut Findings) -> Result<Self, VerifyError> {
        let parent = playlist_file.parent().unwrap_or(Path::new("")).to_owned();
        let mut rendition = Self {
            name: parent.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            playlist: MediaPlaylist::default(),
            parts: vec![Part::default()],
            segments: Vec::new(),
            is_webvtt: false,
            playlist_file,
        };
        let Some(text) = read_text(folder, &rendition.playlist_file, findings)? else {
            findings.of(&rendition.playlist_file).add("is missing");
            return Ok(rendition);
        };
        let playlist = playlist::parse_media(&text, Form::Own, &mut findings.of(&rendition.playlist_file));
        let mut resolve = |offset: u64, uri: &str| {
            let path = relative(&parent, uri);
            if path.is_none() {
                findings
                    .of(&rendition.playlist_file)
                    .add_at(offset, leaves_the_output(uri));
            }
            path
        };
        let maps = playlist.maps.iter();
        let init_files: Vec<Option<PathBuf>> = maps.map(|map| resolve(map.offset, &map.value.uri)).collect();
        let mut files = Vec::new();
        for Located { offset, value } in &playlist.segments {
            // What is not there keeps its place, so that segments and playlist entries stay side by side.
            let file = resolve(*offset, &value.uri).unwrap_or_default();
            files.push((*offset, file, value.range.clone()));
        }
        let mut seen = BTreeSet::new();
        if playlist.is_iframes_only {
            let what = "EXT-X-I-FRAMES-ONLY, where a playlist of whole segments is expected";
            findings.of(&rendition.playlist_file).add(what);
        }
        let is_single_file = playlist.maps.first().is_some_and(|map| map.value.range.is_some());
        if is_single_file {
            check_ranges(
                folder,
                &playlist,
                &init_files,
                &files,
                &mut findings.of(&rendition.playlist_file),
            );
        } else if let Some((offset, ..)) = files.iter().find(|(_, _, range)| range.is_some()) {
            let what = "EXT-X-BYTERANGE, and each segment is a file";
            findings.of(&rendition.playlist_file).add_at(*offset, what);
        }
        for (offset, file, range) in files {
            let range = range.filter(|_| is_single_file);
            let start = range.as_ref().map(|range| range.start);
            let segment = SegmentFile::find(folder, file.clone(), range);
            if !seen.insert((file.clone(), start)) {
                findings
                    .of(&rendition.playlist_file)
                    .add_at(offset, "names a segment for the second time");
            } else if segment.bytes.is_none() && file != Path::new("") {
                findings.of(&file).add("is missing");
            }
            rendition.segments.push(segment);
        }
        rendition.parts = parts(&playlist, &init_files);
        let mut seen: BTreeMap<PathBuf, Option<Arc<InitSegment>>> = BTreeMap::new();
        for part in &mut rendition.parts {
            let Some(file) = &part.init_file else { continue };
            if let Some(init) = seen.get(file) {
                part.init.clone_from(init);
                continue;
            }
            match read_file(folder, file, part.init_range.clone())? {
                Some(data) => {
                    let mut tracks = InitSegment::read(&data, Form::Own, &mut findings.of(file)).into_iter();
                    part.init = tracks.next().map(Arc::new);
                }
                None => findings.of(file).add("is missing"),
            }
            seen.insert(file.clone(), part.init.clone());
        }
        rendition.playlist = playlist;
        Ok(rendition)
    }
}

/// Checks that init segment, index and segments of a rendition in one file lie side by side, to the end of it.
fn check_ranges(
    folder: &Path,
    playlist: &MediaPlaylist,
    init_files: &[Option<PathBuf>],
    segments: &[(u64, PathBuf, Option<Range<u64>>)],
    findings: &mut FileFindings<'_>,
) {
    let Some(file) = init_files.first().and_then(Option::as_ref) else {
        return;
    };
    if let Some(second) = playlist.maps.get(1) {
        findings.add_at(
            second.offset,
            "a second EXT-X-MAP, and a single file has one init segment",
        );
    }
    let begins_later = |map: &&Located<Map>| map.value.range.as_ref().is_some_and(|range| range.start != 0);
    if let Some(map) = playlist.maps.first().filter(begins_later) {
        findings.add_at(map.offset, "the range of EXT-X-MAP does not begin where the file does");
    }
    let mut end = None;
    for (offset, of_segment, range) in segments {
        let Some(range) = range.as_ref().filter(|_| of_segment == file) else {
            let what = "a segment that is no range of the file that has the init segment";
            findings.add_at(*offset, what);
            return;
        };
        if end.is_some_and(|end| end != range.start) {
            findings.add_at(
                *offset,
                "the range of the segment does not begin where the one before ends",
            );
        }
        end = Some(range.end);
    }
    let bytes = fs::metadata(folder.join(file)).map(|metadata| metadata.len());
    if let (Ok(bytes), Some(end)) = (bytes, end)
        && bytes != end
    {
        findings.add(format!(
            "the last segment ends at byte {end}, and {} has {bytes}",
            file.display()
        ));
    }
}

/// The parts of a playlist whose maps name these files; at least one.
fn parts(playlist: &MediaPlaylist, init_files: &[Option<PathBuf>]) -> Vec<Part> {
    let key_uri = |key: Option<usize>| playlist.keys.get(key?)?.value.uri.clone();
    let mut parts: Vec<Part> = Vec::new();
    let mut before = None;
    for (index, Located { value, .. }) in playlist.segments.iter().enumerate() {
        let place = (value.map, key_uri(value.key));
        match parts.last_mut().filter(|_| before.as_ref() == Some(&place)) {
            Some(part) => part.segments.end = index + 1,
            None => parts.push(Part {
                segments: index..index + 1,
                init_file: value.map.and_then(|map| init_files.get(map)?.clone()),
                init_range: value.map.and_then(|map| playlist.maps.get(map)?.value.range.clone()),
                key_uri: place.1.clone(),
                ..Part::default()
            }),
        }
        before = Some(place);
    }
    if parts.is_empty() {
        parts.push(Part {
            init_file: init_files.first().cloned().flatten(),
            init_range: playlist.maps.first().and_then(|map| map.value.range.clone()),
            ..Part::default()
        });
    }
    parts
}

/// The second set of playlists, where its multivariant playlist is there: those of what has keys.
fn clear_key_playlists(
    folder: &Path,
    renditions: &[Rendition],
    iframes: &[IFramePlaylist],
) -> BTreeMap<PathBuf, PathBuf> {
    let beside = |main: &Path| main.with_extension(CLEAR_KEY_EXTENSION);
    let top = Path::new(MULTIVARIANT_PLAYLIST);
    if !folder.join(beside(top)).is_file() {
        return BTreeMap::new();
    }
    let renditions = renditions
        .iter()
        .map(|rendition| (&rendition.playlist_file, &rendition.playlist));
    let iframes = iframes.iter().map(|iframes| (&iframes.file, &iframes.playlist));
    let all = renditions
        .chain(iframes)
        .filter(|(_, playlist)| !playlist.keys.is_empty());
    let files = std::iter::once(top).chain(all.map(|(file, _)| file.as_path()));
    files.map(|file| (file.to_owned(), beside(file))).collect()
}

/// Reads a file of the output, or a range of it; `None` where it is not there.
pub(super) fn read_file(folder: &Path, file: &Path, range: Option<Range<u64>>) -> Result<Option<Vec<u8>>, VerifyError> {
    let path = folder.join(file);
    let is_range = range.is_some();
    let opened = match range {
        None => Source::open(&path),
        range => Source::assemble([(path.clone(), range)]),
    };
    let source = match opened {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
        // One that ends behind the file is not there either.
        Err(cause) if is_range && cause.kind() == io::ErrorKind::InvalidInput => return Ok(None),
        opened => opened,
    };
    let read = source.and_then(|source| {
        let bytes = usize::try_from(source.len().min(MAX_FILE_BYTES + 1)).unwrap_or(usize::MAX);
        if bytes as u64 > MAX_FILE_BYTES {
            let what = format!("larger than {MAX_FILE_BYTES} bytes");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
        }
        let mut data = vec![0; bytes];
        source.read_exact_at(&mut data, 0)?;
        Ok(data)
    });
    read.map(Some).map_err(|cause| VerifyError::Read { path, cause })
}

/// Reads a playlist of the output; `None` where it is not there.
pub(super) fn read_text(folder: &Path, file: &Path, findings: &mut Findings) -> Result<Option<String>, VerifyError> {
    let Some(data) = read_file(folder, file, None)? else {
        return Ok(None);
    };
    Ok(Some(String::from_utf8(data).unwrap_or_else(|error| {
        findings
            .of(file)
            .add_at(error.utf8_error().valid_up_to() as u64, "is not UTF-8");
        String::from_utf8_lossy(error.as_bytes()).into_owned()
    })))
}

/// A URI of a playlist in `folder` as a path in the output; `None` where it leads elsewhere.
pub(super) fn relative(folder: &Path, uri: &str) -> Option<PathBuf> {
    let is_plain = !uri.is_empty() && !uri.contains(|c: char| c.is_control() || ":%?#\\".contains(c));
    let path = Path::new(uri);
    let stays = path.components().all(|part| matches!(part, Component::Normal(_)));
    (is_plain && stays).then(|| folder.join(path))
}

fn leaves_the_output(uri: &str) -> String {
    format!("the URI {uri:?} is no plain path below the playlist's folder")
}

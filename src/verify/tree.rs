//! An encrypted tree: read as others wrote it, and compared with the clear one, playlist by playlist and box by box.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::findings::{FileFindings, Findings};
use super::init::InitSegment;
use super::output::{Output, Part, Rendition, SegmentFile, read_file, read_text};
use super::playlist::{self, MediaPlaylist, MultivariantPlaylist};
use super::{Form, VerifyError, hls};
use crate::isobmff::scan::{ReadAt, ScanError, TopLevel, read_at, read_box};
use crate::isobmff::sidx::SegmentIndex;
use crate::isobmff::tfhd::TrackFragmentHeader;
use crate::isobmff::trun::{Fields, TrackRun};
use crate::isobmff::{BoxHeader, Node, sample_flags};
use crate::media::tree::resolve;
use crate::media::{Source, Track, Tree, max_box_bytes};
use crate::package::rendition::tree_name;

/// Keys need this version of playlists (RFC 8216bis, 8).
const KEY_VERSION: u64 = 5;

/// Boxes that are compared byte for byte are read in pieces of this many bytes.
const COMPARED_BYTES: u64 = 1 << 20;

/// Tags whose lines say something else in an encrypted tree.
const CHANGED_TAGS: &[&str] = &[
    "#EXT-X-BITRATE:",
    "#EXT-X-BYTERANGE:",
    "#EXT-X-I-FRAME-STREAM-INF:",
    "#EXT-X-MAP:",
    "#EXT-X-STREAM-INF:",
    "#EXT-X-VERSION:",
];

/// Boxes that only an encrypted tree has.
const OF_PROTECTION: &[&[u8; 4]] = &[b"sinf", b"pssh", b"senc", b"saiz", b"saio"];

impl Output {
    /// Reads the tree of a playlist, multivariant or not.
    pub(super) fn read_tree(path: &Path) -> Result<Self, VerifyError> {
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let top = PathBuf::from(path.file_name().unwrap_or_default());
        let mut findings = Findings::default();
        let Some(text) = read_text(&folder, &top, &mut findings)? else {
            return Err(VerifyError::NoOutput { folder });
        };
        let mut output = Self {
            folder,
            renditions: Vec::new(),
            findings,
            generation: None,
            older: BTreeSet::new(),
            form: Form::Tree,
            top: top.clone(),
            multivariant: MultivariantPlaylist::default(),
            others: BTreeSet::new(),
            iframes: Vec::new(),
            clear_key: BTreeMap::new(),
            manifest: None,
        };
        let names_playlists = |line: &str| {
            ["#EXT-X-STREAM-INF:", "#EXT-X-MEDIA:", "#EXT-X-I-FRAME-STREAM-INF:"]
                .iter()
                .any(|tag| line.starts_with(tag))
        };
        if !text.lines().any(names_playlists) {
            output.read_media(top, false)?;
            return Ok(output);
        }
        output.multivariant = playlist::parse_multivariant(&text, Form::Tree, &mut output.findings.of(&top));
        let multivariant = &output.multivariant;
        let media = multivariant.media.iter().filter_map(|media| {
            let is_text = media.value.kind.as_deref() == Some("SUBTITLES");
            Some((media.offset, media.value.uri.clone()?, is_text))
        });
        let variants = multivariant
            .variants
            .iter()
            .map(|variant| (variant.offset, variant.value.uri.clone(), false));
        let iframes = multivariant
            .iframes
            .iter()
            .map(|iframes| (iframes.offset, iframes.value.uri.clone(), false));
        let data: Vec<_> = multivariant
            .data
            .iter()
            .map(|data| (data.offset, data.value.clone()))
            .collect();
        let mut seen = BTreeSet::new();
        for (offset, uri, is_text) in media.chain(variants).chain(iframes).collect::<Vec<_>>() {
            if let Some(file) = output.resolve(&top, offset, &uri)
                && seen.insert(file.clone())
            {
                output.read_media(file, is_text)?;
            }
        }
        for (offset, uri) in data {
            let file = output.resolve(&top, offset, &uri);
            output.others.extend(file);
        }
        Ok(output)
    }

    /// Reads a media playlist, and the init segment it names.
    fn read_media(&mut self, playlist_file: PathBuf, is_text: bool) -> Result<(), VerifyError> {
        let Some(text) = read_text(&self.folder, &playlist_file, &mut self.findings)? else {
            self.findings.of(&playlist_file).add("is missing");
            return Ok(());
        };
        let playlist = playlist::parse_media(&text, Form::Tree, &mut self.findings.of(&playlist_file));
        let mut init_files = Vec::new();
        for map in &playlist.maps {
            init_files.push(
                self.resolve(&playlist_file, map.offset, &map.value.uri)
                    .unwrap_or_default(),
            );
        }
        let mut segments = Vec::new();
        for segment in &playlist.segments {
            // What is not there keeps its place, so that segments and playlist entries stay side by side.
            let file = self
                .resolve(&playlist_file, segment.offset, &segment.value.uri)
                .unwrap_or_default();
            let segment_file = SegmentFile::find(&self.folder, file, segment.value.range.clone());
            if segment_file.bytes.is_none() && !segment_file.file.as_os_str().is_empty() {
                let what = "names a file that is missing, or too short";
                self.findings.of(&playlist_file).add_at(segment.offset, what);
            }
            segments.push(segment_file);
        }
        if is_text {
            self.others.insert(playlist_file);
            self.others.extend(init_files);
            self.others.extend(segments.into_iter().map(|segment| segment.file));
            return Ok(());
        }
        if playlist.is_iframes_only {
            let names =
                |rendition: &Rendition, file: &Path| rendition.segments.iter().any(|segment| segment.file == file);
            let known = segments
                .first()
                .and_then(|first| self.renditions.iter().find(|rendition| names(rendition, &first.file)));
            if let Some(known) = known {
                let mut findings = self.findings.of(&playlist_file);
                check_version(&playlist, &mut findings);
                check_same_key(known, &playlist, &mut findings);
                for (segment, line) in segments.iter().zip(&playlist.segments) {
                    let mut renditions = self.renditions.iter();
                    if let Some(rendition) = renditions.find(|rendition| names(rendition, &segment.file)) {
                        check_iframe(&self.folder, rendition, segment, line.offset, &mut findings);
                    }
                }
                self.others.insert(playlist_file);
                return Ok(());
            }
        }
        // Each init segment with the segments that it is in force for.
        let mut groups: Vec<(usize, Vec<usize>)> = Vec::new();
        for (at, segment) in playlist.segments.iter().enumerate() {
            let map = segment.value.map.and_then(|map| {
                let value = &playlist.maps.get(map)?.value;
                playlist.maps.iter().position(|first| first.value == *value)
            });
            let map = map.unwrap_or(usize::MAX);
            match groups.iter_mut().find(|(first, _)| *first == map) {
                Some((_, group)) => group.push(at),
                None => groups.push((map, vec![at])),
            }
        }
        for (map, group) in groups {
            let init = init_files.get(map).zip(playlist.maps.get(map));
            let (file, range) = init.map(|(file, map)| (file.clone(), map.value.range.clone())).unzip();
            let range = range.flatten();
            let tracks = match &file {
                None => Vec::new(),
                Some(file) => self.read_init(file, range.as_ref())?,
            };
            let of_group = |at: &usize| Some((segments.get(*at)?.clone(), playlist.segments.get(*at)?.clone()));
            let (files, lines): (Vec<_>, Vec<_>) = group.iter().filter_map(of_group).unzip();
            if tracks.is_empty() {
                self.findings
                    .of(&playlist_file)
                    .add("names no init segment with video or audio");
            }
            let nothing = tracks.is_empty().then_some(None);
            for init in tracks.into_iter().map(Some).chain(nothing) {
                self.renditions.push(Rendition {
                    name: tree_name(&playlist_file),
                    is_webvtt: false,
                    playlist_file: playlist_file.clone(),
                    playlist: MediaPlaylist {
                        segments: lines.clone(),
                        ..playlist.clone()
                    },
                    parts: vec![Part {
                        segments: 0..files.len(),
                        init_file: file.clone(),
                        init_range: range.clone(),
                        init: init.map(Arc::new),
                        key_uri: playlist.keys.first().and_then(|key| key.value.uri.clone()),
                        group: None,
                    }],
                    segments: files.clone(),
                });
            }
        }
        Ok(())
    }

    /// All tracks of an init segment.
    fn read_init(&mut self, file: &Path, range: Option<&Range<u64>>) -> Result<Vec<InitSegment>, VerifyError> {
        let Some(data) = read_file(&self.folder, file, range.cloned())? else {
            self.findings.of(file).add("is missing, or shorter than EXT-X-MAP says");
            return Ok(Vec::new());
        };
        let start = range.map_or(0, |range| range.start);
        Ok(InitSegment::read(
            &data,
            Form::Tree,
            &mut self.findings.of_range(file, start),
        ))
    }

    fn resolve(&mut self, playlist_file: &Path, offset: u64, uri: &str) -> Option<PathBuf> {
        let base = playlist_file.parent().unwrap_or(Path::new(""));
        match resolve(base, uri) {
            Ok(file) => Some(file),
            Err(what) => {
                let what = format!("the URI {uri:?} {what}");
                self.findings.of(playlist_file).add_at(offset, what);
                None
            }
        }
    }

    /// The source's track of each rendition, by playlist and track ID.
    pub(super) fn match_tree<'a>(&mut self, tree: Option<&'a Tree>) -> Vec<Option<&'a Track>> {
        let Some(tree) = tree else {
            self.findings
                .of(&self.top)
                .add("the source is no tree; give its playlist");
            return vec![None; self.renditions.len()];
        };
        let mut matched = Vec::new();
        // A file may have several init segments, whose tracks are taken in order.
        let mut seen: BTreeMap<(&PathBuf, &PathBuf, u32), usize> = BTreeMap::new();
        for rendition in &self.renditions {
            let tracks = tree
                .renditions
                .iter()
                .find(|source| source.file == rendition.playlist_file);
            let tracks = tracks.and_then(|source| tree.presentation.tracks.get(source.tracks.clone()));
            let track = rendition.init().and_then(|init| {
                let init_file = rendition.parts.first()?.init_file.as_ref()?;
                let place = seen
                    .entry((&rendition.playlist_file, init_file, init.track_id))
                    .or_default();
                *place += 1;
                let path = tree.folder.join(init_file);
                let same = |track: &&Track| track.id == init.track_id && track.source.path() == path;
                let track = tracks?.iter().filter(same).nth(*place - 1)?;
                ((track.kind, track.timescale) == (init.kind, init.timescale)).then_some(track)
            });
            if track.is_none() {
                self.findings
                    .of(&rendition.playlist_file)
                    .add("the source has no such track");
            }
            matched.push(track);
        }
        if tree.presentation.tracks.len() > self.renditions.len() {
            self.findings
                .of(&self.top)
                .add("the source has tracks that are not there");
        }
        matched
    }

    /// Checks what the playlists say together, and compares them and all files with the source's.
    pub(super) fn check_tree(&mut self, source: Option<&Tree>) -> Result<(), VerifyError> {
        if !self.multivariant.variants.is_empty() {
            let mut file = self.findings.of(&self.top);
            hls::check_session_keys(&self.multivariant, &self.renditions, &mut file);
            if self.multivariant.version.unwrap_or(1) < KEY_VERSION {
                file.add(format!("EXT-X-VERSION is below {KEY_VERSION}, which keys need"));
            }
        }
        let Some(source) = source else { return Ok(()) };
        for playlist in &source.playlists {
            let mut findings = Findings::default();
            if let Some(text) = read_text(&self.folder, &playlist.file, &mut findings)? {
                compare_lines(&playlist.playlist.lines, &text, &mut findings.of(&playlist.file));
            } else {
                findings.of(&playlist.file).add("is missing");
            }
            self.findings.append(findings);
        }
        for file in &source.copies {
            let same = fs::read(self.folder.join(file)).ok() == fs::read(source.folder.join(file)).ok();
            if !same {
                self.findings.of(file).add("is not as in the source");
            }
        }
        for file in source.renditions.iter().flat_map(|rendition| &rendition.files) {
            let mut findings = self.findings.of(file);
            let path = self.folder.join(file);
            let Ok(ours) = Source::open(&path) else {
                findings.add("is missing");
                continue;
            };
            let path = source.folder.join(file);
            let source = Source::open(&path).map_err(|cause| VerifyError::Read { path, cause })?;
            if let Err(error) = compare_files(&ours, &source, &mut findings) {
                findings.add_scan_error(&error);
            }
        }
        Ok(())
    }
}

/// What must be so in a media playlist of a tree, whoever wrote it.
pub(super) fn check_media_playlist(rendition: &Rendition, findings: &mut Findings) {
    let mut file = findings.of(&rendition.playlist_file);
    hls::check_keys(rendition, &mut file);
    if rendition.init().is_some_and(|init| init.protection.is_none()) {
        file.add("its init segment says that samples are clear");
    }
    check_version(&rendition.playlist, &mut file);
}

fn check_version(playlist: &MediaPlaylist, file: &mut FileFindings<'_>) {
    if playlist.version.unwrap_or(1) < KEY_VERSION {
        file.add(format!("EXT-X-VERSION is below {KEY_VERSION}, which keys need"));
    }
}

/// An I-frame playlist has map and key of the rendition whose pieces it names.
fn check_same_key(rendition: &Rendition, iframes: &MediaPlaylist, file: &mut FileFindings<'_>) {
    let map = |playlist: &MediaPlaylist| playlist.map.as_ref().map(|map| map.value.clone());
    let key = |playlist: &MediaPlaylist| playlist.keys.first().map(|key| (key.value.uri.clone(), key.value.iv));
    if map(iframes) != map(&rendition.playlist) || key(iframes) != key(&rendition.playlist) {
        let other = rendition.playlist_file.display();
        file.add(format!(
            "EXT-X-MAP or EXT-X-KEY is not that of {other}, whose pieces it names"
        ));
    }
}

/// Each piece of an I-frame playlist holds its sync sample whole.
fn check_iframe(folder: &Path, rendition: &Rendition, piece: &SegmentFile, offset: u64, file: &mut FileFindings<'_>) {
    let Some(init) = rendition.init().filter(|_| piece.bytes.is_some()) else {
        return;
    };
    let source = Source::assemble([(folder.join(&piece.file), piece.range.clone())]);
    if !source.is_ok_and(|source| begins_with_sync_sample(&source, init).unwrap_or(false)) {
        let what = "the range does not begin with a fragment, and hold its first sample, a sync sample";
        file.add_at(offset, what);
    }
}

/// Whether a piece begins with a fragment, and holds all of its first sample, which is a sync sample.
fn begins_with_sync_sample(piece: &Source, init: &InitSegment) -> Result<bool, ScanError> {
    for header in TopLevel::new(piece) {
        let header = header?;
        if header.kind.0 != *b"moof" {
            continue;
        }
        let bytes = read_box(piece, &header, max_box_bytes(header.kind))?;
        let moof = Node::parse_one(&bytes, header.offset)?;
        for traf in moof.children_of(b"traf") {
            let tfhd: TrackFragmentHeader = traf.require(&[b"tfhd"])?.parse()?;
            if tfhd.track_id != init.track_id {
                continue;
            }
            let run: TrackRun = traf.require(&[b"trun"])?.parse()?;
            let Some(first) = run.samples.iter().next() else {
                continue;
            };
            let has = |field| run.fields.has(field);
            let size = if has(Fields::SIZE) {
                first.size
            } else {
                tfhd.default_sample_size.unwrap_or(init.defaults.default_sample_size)
            };
            let flags = run.first_sample_flags.unwrap_or(if has(Fields::FLAGS) {
                first.flags
            } else {
                tfhd.default_sample_flags.unwrap_or(init.defaults.default_sample_flags)
            });
            let start = header
                .offset
                .saturating_add_signed(i64::from(run.data_offset.unwrap_or(0)));
            return Ok(sample_flags::is_sync(flags) && start.saturating_add(u64::from(size)) <= piece.len());
        }
    }
    Ok(false)
}

/// Every line is the source's, but for what encryption adds and changes.
fn compare_lines(source: &[String], ours: &str, file: &mut FileFindings<'_>) {
    let states_version = source.iter().any(|line| line.starts_with("#EXT-X-VERSION:"));
    let is_added = |line: &str| {
        ["#EXT-X-KEY:", "#EXT-X-SESSION-KEY:"]
            .iter()
            .any(|tag| line.starts_with(tag))
            || (!states_version && line.starts_with("#EXT-X-VERSION:"))
    };
    let mut expected = source.iter();
    let mut offset = 0;
    for line in ours.split_inclusive('\n') {
        if !is_added(line) {
            let is_same = expected.next().is_some_and(|source| {
                let has = |tag: &&str| source.starts_with(*tag) && line.starts_with(*tag);
                source == line || CHANGED_TAGS.iter().any(has)
            });
            if !is_same {
                return file.add_at(offset, "the line is not as in the source");
            }
        }
        offset += line.len() as u64;
    }
    if expected.next().is_some() {
        file.add("it ends before the source does");
    }
}

/// Every box is the source's, but for what protection adds and moves. Samples are compared elsewhere.
fn compare_files(ours: &Source, source: &Source, file: &mut FileFindings<'_>) -> Result<(), ScanError> {
    let headers = |source: &Source| TopLevel::new(source).collect::<Result<Vec<BoxHeader>, _>>();
    let ours_headers = headers(ours)?;
    // An index that counts from the start of the file, which HLS does not use, is left out.
    let source_headers: Vec<_> = headers(source)?
        .into_iter()
        .filter(|header| header.kind.0 != *b"mfra")
        .collect();
    let kinds = |headers: &[BoxHeader]| headers.iter().map(|header| header.kind).collect::<Vec<_>>();
    if kinds(&ours_headers) != kinds(&source_headers) {
        file.add("its boxes are not those of the source");
        return Ok(());
    }
    for (header, expected) in ours_headers.iter().zip(&source_headers) {
        match &header.kind.0 {
            b"moov" | b"moof" => {
                let limit = max_box_bytes(header.kind);
                let bytes = [read_box(ours, header, limit)?, read_box(source, expected, limit)?];
                let [first, second] = &bytes;
                let (ours, source) = (
                    Node::parse_one(first, header.offset)?,
                    Node::parse_one(second, expected.offset)?,
                );
                compare_boxes(&ours, &source, file);
            }
            b"sidx" => {
                let bytes = read_box(ours, header, max_box_bytes(header.kind))?;
                check_index(&Node::parse_one(&bytes, header.offset)?, header, &ours_headers, file)?;
            }
            b"mdat" if header.size == expected.size => {}
            _ if header.size == expected.size && has_same_bytes(ours, header, source, expected)? => {}
            _ => file.add_at(
                header.offset,
                format!("the box '{}' is not as in the source", header.kind),
            ),
        }
    }
    Ok(())
}

fn has_same_bytes(ours: &Source, header: &BoxHeader, source: &Source, expected: &BoxHeader) -> Result<bool, ScanError> {
    let mut done = 0;
    while done < header.size {
        let bytes = usize::try_from(COMPARED_BYTES.min(header.size - done)).unwrap_or(usize::MAX);
        let (mut first, mut second) = (vec![0; bytes], vec![0; bytes]);
        read_at(ours, &mut first, header.offset + done)?;
        read_at(source, &mut second, expected.offset + done)?;
        if first != second {
            return Ok(false);
        }
        done += bytes as u64;
    }
    Ok(true)
}

fn compare_boxes(ours: &Node<'_>, source: &Node<'_>, file: &mut FileFindings<'_>) {
    let is_same = match &ours.kind.0 {
        b"trun" => {
            let still = |node: &Node<'_>| {
                node.parse::<TrackRun>().ok().map(|run| TrackRun {
                    data_offset: run.data_offset.map(|_| 0),
                    ..run
                })
            };
            still(ours) == still(source)
        }
        _ => ours.fields() == source.fields(),
    };
    if !is_same {
        return file.add_at(ours.offset, format!("{} is not as in the source", ours.path));
    }
    let (found, expected) = (kept(ours), kept(source));
    let is_same_kind = |(ours, source): (&&Node<'_>, &&Node<'_>)| {
        ours.kind == source.kind || matches!(&ours.kind.0, b"encv" | b"enca")
    };
    if found.len() != expected.len() || !found.iter().zip(&expected).all(is_same_kind) {
        return file.add_at(
            ours.offset,
            format!("{} does not hold what it holds in the source", ours.path),
        );
    }
    for (ours, source) in found.into_iter().zip(expected) {
        compare_boxes(ours, source, file);
    }
}

/// The boxes in a box that are not there for protection.
fn kept<'n, 'a>(node: &'n Node<'a>) -> Vec<&'n Node<'a>> {
    let is_kept = |child: &&Node<'_>| !OF_PROTECTION.contains(&&child.kind.0);
    node.children().iter().filter(is_kept).collect()
}

/// Every subsegment of an index begins where a box does.
fn check_index(
    node: &Node<'_>,
    header: &BoxHeader,
    headers: &[BoxHeader],
    file: &mut FileFindings<'_>,
) -> Result<(), ScanError> {
    let sidx: SegmentIndex = node.parse()?;
    let mut place = header.end().saturating_add(sidx.first_offset);
    let ends = headers.last().map(BoxHeader::end);
    for reference in &sidx.references {
        let begins = headers.binary_search_by_key(&place, |header| header.offset).is_ok();
        place = place.saturating_add(u64::from(reference.size));
        if !begins || (ends < Some(place)) {
            file.add_at(node.offset, "sidx refers to what is no subsegment");
            break;
        }
    }
    Ok(())
}

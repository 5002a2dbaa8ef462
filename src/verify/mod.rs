//! An independent look at an output: against itself, against its keys, and against its source.
//!
//! Nothing here calls the code that wrote: playlists have a reader of their own, subsample maps are computed again
//! from decrypted samples, and times and bit rates are measured from the bytes that are there.

pub mod findings;
mod hls;
pub mod init;
pub mod playlist;
mod samples;
mod segment;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Serialize;

use crate::content_key::{ContentKey, Kid};
use crate::isobmff::ReadAt;
use crate::isobmff::scan::ScanError;
use crate::media::{MediaKind, Presentation, Sample, Source, Time, Track};
use crate::package::Name;
use crate::package::hls::MULTIVARIANT_PLAYLIST;
use crate::package::publish::KEYS_FILE;
use crate::protect::Cbcs;

pub use findings::{Difference, Findings};
pub use init::InitSegment;
use playlist::{Located, MediaPlaylist, MultivariantPlaylist};
use samples::{Expected, SampleChecker};
use segment::Fragment;

/// Playlists and init segments are read whole, up to this size.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// A folder that can't be verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// There is no multivariant playlist in it.
    #[error("{} is no output of vylux-pack: there is no {MULTIVARIANT_PLAYLIST} in it", folder.display())]
    NoOutput {
        /// The folder.
        folder: PathBuf,
    },
    /// A file or folder can't be read.
    #[error("{} can't be read: {cause}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A sample of the source can't be read.
    #[error("{}: {cause}", path.display())]
    Source {
        /// The source.
        path: PathBuf,
        /// Why.
        cause: ScanError,
    },
}

/// An output: its playlists and init segments, and what was found wrong with them.
#[derive(Debug)]
pub struct Output {
    /// Its folder.
    pub folder: PathBuf,
    /// The renditions that the multivariant playlist names, in its order: alternatives first.
    pub renditions: Vec<Rendition>,
    /// What was found so far; whoever checks more adds to it.
    pub findings: Findings,
    multivariant: MultivariantPlaylist,
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
    /// Its init segment, where the playlist names one.
    pub init_file: Option<PathBuf>,
    /// What that says; `None` where it is missing or too damaged.
    pub init: Option<InitSegment>,
    /// Its media segments, in order.
    pub segments: Vec<SegmentFile>,
}

/// A media segment.
#[derive(Debug)]
pub struct SegmentFile {
    /// The file.
    pub file: PathBuf,
    /// Its size; `None` where it is missing.
    pub bytes: Option<u64>,
}

/// What an output is checked by.
pub struct Check<'a> {
    /// The keys at hand; samples whose key is not among them stay closed.
    pub keys: &'a HashMap<Kid, ContentKey>,
    /// What the output was made from, where it is to be compared.
    pub source: Option<&'a Presentation>,
    /// Worker threads; at least one is used.
    pub jobs: usize,
    /// Told of every segment that was checked, in bytes.
    pub progress: &'a (dyn Fn(u64) + Sync),
}

/// What was checked, and what was found. Its JSON is a promise to scripts.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether there is no difference.
    pub ok: bool,
    /// The folder.
    pub output: PathBuf,
    /// Whether samples are protected.
    pub encrypted: bool,
    /// Whether samples were compared with the source's.
    pub compared_with_source: bool,
    /// What was checked of each rendition.
    pub tracks: Vec<TrackReport>,
    /// Segments of all renditions.
    pub segments: u64,
    /// Samples of all renditions.
    pub samples: u64,
    /// Bytes of all media segments.
    pub bytes: u64,
    /// What is worth knowing and no difference.
    pub notes: Vec<String>,
    /// How many differences there are.
    pub difference_count: u64,
    /// The first of them, at most [`findings::MAX_DIFFERENCES`].
    pub differences: Vec<Difference>,
}

/// What was checked of one rendition.
#[derive(Debug, Serialize)]
pub struct TrackReport {
    /// Its media playlist.
    pub playlist: PathBuf,
    /// What its media is.
    pub kind: Option<MediaKind>,
    /// RFC 6381.
    pub codec: Option<String>,
    /// The key's ID.
    pub kid: Option<Kid>,
    /// Whether its samples were opened, or are clear.
    pub opened: bool,
    /// Media segments that were read.
    pub segments: u64,
    /// Samples that were read.
    pub samples: u64,
    /// Bytes of its media segments.
    pub bytes: u64,
    /// How long it is shown.
    pub duration_s: f64,
}

/// What a segment's fragments say of its time.
#[derive(Debug, Clone)]
pub(crate) struct SegmentFacts {
    samples: u64,
    first_sequence_number: u32,
    last_sequence_number: u32,
    first: Sample,
    end_ticks: u64,
    /// When it starts being shown: its earliest sample, in ticks, shifted by the edit list.
    earliest_ticks: i64,
    /// When it ends being shown.
    latest_end_ticks: i64,
    /// Which samples of the source it holds.
    of_source: Option<std::ops::Range<u32>>,
}

impl Output {
    /// Reads the playlists and init segments of an output, and looks for files that don't belong to it.
    ///
    /// # Errors
    /// [`VerifyError`] where the folder can't be read, or is no output. Damage is no error, but a finding.
    pub fn read(folder: &Path) -> Result<Self, VerifyError> {
        let mut findings = Findings::default();
        let master_file = Path::new(MULTIVARIANT_PLAYLIST);
        let Some(text) = read_text(folder, master_file, &mut findings)? else {
            return Err(VerifyError::NoOutput {
                folder: folder.to_owned(),
            });
        };
        let multivariant = playlist::parse_multivariant(&text, &mut findings.of(master_file));
        let media = multivariant.media.iter().filter_map(|media| {
            let uri = media.value.uri.as_deref()?;
            Some((media.offset, uri))
        });
        let variants = multivariant
            .variants
            .iter()
            .map(|variant| (variant.offset, &*variant.value.uri));
        let mut playlist_files = Vec::new();
        for (offset, uri) in media.chain(variants) {
            match relative(Path::new(""), uri) {
                Some(path) if playlist_files.contains(&path) => {}
                Some(path) => playlist_files.push(path),
                None => findings.of(master_file).add_at(offset, leaves_the_output(uri)),
            }
        }
        let mut renditions = Vec::new();
        for playlist_file in playlist_files {
            renditions.push(Rendition::read(folder, playlist_file, &mut findings)?);
        }
        let mut output = Self {
            folder: folder.to_owned(),
            renditions,
            findings,
            multivariant,
        };
        output.find_strays()?;
        Ok(output)
    }

    /// Whether any of it is protected, or says so.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.renditions.iter().any(|rendition| {
            let says_so = rendition.playlist.key.is_some();
            says_so || rendition.init.as_ref().is_some_and(|init| init.protection.is_some())
        })
    }

    /// Bytes of all media segments.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let segments = self.renditions.iter().flat_map(|rendition| &rendition.segments);
        segments.filter_map(|segment| segment.bytes).sum()
    }

    /// Reports files that no playlist names.
    fn find_strays(&mut self) -> Result<(), VerifyError> {
        let mut known: BTreeSet<PathBuf> = [PathBuf::from(MULTIVARIANT_PLAYLIST)].into();
        if self.is_encrypted() {
            known.insert(PathBuf::from(KEYS_FILE));
        }
        for rendition in &self.renditions {
            known.insert(rendition.playlist_file.clone());
            known.extend(rendition.init_file.clone());
            known.extend(rendition.segments.iter().map(|segment| segment.file.clone()));
        }
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

    /// Checks everything that [`Self::read`] did not.
    ///
    /// # Errors
    /// [`VerifyError::Source`] where a sample of the source can't be read.
    pub fn check(mut self, check: &Check<'_>) -> Result<Report, VerifyError> {
        let sources = self.match_sources(check.source);
        let ciphers: Vec<Option<Cbcs>> = self
            .renditions
            .iter()
            .map(|rendition| {
                let protection = rendition.init.as_ref()?.protection?;
                Some(Cbcs::new(
                    check.keys.get(&protection.kid)?,
                    protection.iv,
                    protection.pattern,
                ))
            })
            .collect();
        let facts = self.check_segments(&sources, &ciphers, check)?;
        let mut notes = Vec::new();
        for (index, (rendition, facts)) in self.renditions.iter().zip(&facts).enumerate() {
            hls::check_media_playlist(rendition, facts, &mut notes, &mut self.findings);
            if let Some(Some(track)) = sources.get(index) {
                check_complete(rendition, facts, track, &mut self.findings);
            }
        }
        hls::check_multivariant(&self.multivariant, &self.renditions, &facts, &mut self.findings);

        let tracks: Vec<TrackReport> = self
            .renditions
            .iter()
            .zip(&facts)
            .zip(&ciphers)
            .map(|((rendition, facts), cipher)| TrackReport::new(rendition, facts, cipher.is_some()))
            .collect();
        for track in tracks.iter().filter(|track| !track.opened) {
            notes.push(format!(
                "{}: its samples stayed closed, as no key opens them",
                track.playlist.display()
            ));
        }
        Ok(Report {
            ok: self.findings.count() == 0,
            encrypted: self.is_encrypted(),
            compared_with_source: check.source.is_some(),
            segments: tracks.iter().map(|track| track.segments).sum(),
            samples: tracks.iter().map(|track| track.samples).sum(),
            bytes: tracks.iter().map(|track| track.bytes).sum(),
            tracks,
            notes,
            difference_count: self.findings.count(),
            differences: self.findings.kept().to_vec(),
            output: self.folder,
        })
    }

    /// The source's track of each rendition, by the names that the packager gives.
    fn match_sources<'a>(&mut self, source: Option<&'a Presentation>) -> Vec<Option<&'a Track>> {
        let Some(presentation) = source else {
            return vec![None; self.renditions.len()];
        };
        let mut by_file: BTreeMap<PathBuf, &Track> = Name::all(&presentation.tracks)
            .iter()
            .map(|name| PathBuf::from(name.playlist_uri()))
            .zip(&presentation.tracks)
            .collect();
        let mut matched = Vec::new();
        for rendition in &self.renditions {
            let track = by_file.remove(&rendition.playlist_file);
            let mut findings = self.findings.of(&rendition.playlist_file);
            match (track, &rendition.init) {
                (None, _) => findings.add("the source has no track of this name"),
                (Some(track), Some(init)) if track.timescale != init.timescale || track.kind != init.kind => {
                    let (found, expected) = ((init.kind, init.timescale), (track.kind, track.timescale));
                    findings.add(format!(
                        "kind and timescale are {found:?}, and {expected:?} in the source"
                    ));
                }
                _ => {}
            }
            matched.push(track);
        }
        for (file, track) in by_file {
            let what = format!("is missing: track {} of {}", track.id, track.source.path().display());
            self.findings.of(&file).add(what);
        }
        matched
    }

    /// Checks the boxes and samples of all segments, several at once.
    fn check_segments(
        &mut self,
        sources: &[Option<&Track>],
        ciphers: &[Option<Cbcs>],
        check: &Check<'_>,
    ) -> Result<Vec<Vec<Option<SegmentFacts>>>, VerifyError> {
        let mut tasks = Vec::new();
        for (rendition_index, rendition) in self.renditions.iter().enumerate() {
            let Some(init) = &rendition.init else { continue };
            let cipher = ciphers.get(rendition_index).and_then(Option::as_ref);
            let source = sources.get(rendition_index).copied().flatten();
            let expected = Expected { init, cipher, source };
            tasks.extend(
                rendition
                    .segments
                    .iter()
                    .enumerate()
                    .map(|(index, segment)| (rendition_index, index, segment, expected)),
            );
        }
        let next = AtomicUsize::new(0);
        let results = Mutex::new(Vec::with_capacity(tasks.len()));
        let work = || {
            let mut checker = SampleChecker::default();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some((_, _, segment, expected)) = tasks.get(index) else {
                    break;
                };
                let mut findings = Findings::default();
                let facts = check_segment(&self.folder, segment, *expected, &mut checker, &mut findings);
                (check.progress)(segment.bytes.unwrap_or(0));
                let mut results = results.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                results.push((index, facts, findings));
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..check.jobs.clamp(1, tasks.len().max(1)) {
                scope.spawn(work);
            }
            work();
        });

        let mut all: Vec<Vec<Option<SegmentFacts>>> = self
            .renditions
            .iter()
            .map(|rendition| vec![None; rendition.segments.len()])
            .collect();
        let mut results = results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        results.sort_unstable_by_key(|(index, ..)| *index);
        for (index, facts, findings) in results {
            self.findings.append(findings);
            let Some((rendition_index, segment_index, ..)) = tasks.get(index) else {
                continue;
            };
            let slot = all
                .get_mut(*rendition_index)
                .and_then(|facts| facts.get_mut(*segment_index));
            if let Some(slot) = slot {
                *slot = facts?;
            }
        }
        Ok(all)
    }
}

impl Rendition {
    fn read(folder: &Path, playlist_file: PathBuf, findings: &mut Findings) -> Result<Self, VerifyError> {
        let parent = playlist_file.parent().unwrap_or(Path::new("")).to_owned();
        let mut rendition = Self {
            name: parent.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            playlist: MediaPlaylist::default(),
            init_file: None,
            init: None,
            segments: Vec::new(),
            playlist_file,
        };
        let Some(text) = read_text(folder, &rendition.playlist_file, findings)? else {
            findings.of(&rendition.playlist_file).add("is missing");
            return Ok(rendition);
        };
        let playlist = playlist::parse_media(&text, &mut findings.of(&rendition.playlist_file));
        let mut resolve = |offset: u64, uri: &str| {
            let path = relative(&parent, uri);
            if path.is_none() {
                findings
                    .of(&rendition.playlist_file)
                    .add_at(offset, leaves_the_output(uri));
            }
            path
        };
        if let Some(Located { offset, value }) = &playlist.map {
            rendition.init_file = resolve(*offset, value);
        }
        let mut files = Vec::new();
        for Located { offset, value } in &playlist.segments {
            // What is not there keeps its place, so that segments and playlist entries stay side by side.
            files.push((*offset, resolve(*offset, &value.uri).unwrap_or_default()));
        }
        let mut seen = BTreeSet::new();
        for (offset, file) in files {
            let metadata = fs::metadata(folder.join(&file));
            let bytes = metadata
                .ok()
                .filter(fs::Metadata::is_file)
                .map(|metadata| metadata.len());
            if !seen.insert(file.clone()) {
                findings
                    .of(&rendition.playlist_file)
                    .add_at(offset, "names a segment for the second time");
            } else if bytes.is_none() && file != Path::new("") {
                findings.of(&file).add("is missing");
            }
            rendition.segments.push(SegmentFile { file, bytes });
        }
        if let Some(file) = &rendition.init_file {
            match read_file(folder, file)? {
                Some(data) => rendition.init = InitSegment::read(&data, &mut findings.of(file)),
                None => findings.of(file).add("is missing"),
            }
        }
        rendition.playlist = playlist;
        Ok(rendition)
    }
}

impl TrackReport {
    fn new(rendition: &Rendition, facts: &[Option<SegmentFacts>], has_cipher: bool) -> Self {
        let init = rendition.init.as_ref();
        let kid = init.and_then(|init| Some(init.protection?.kid));
        let shown = facts.iter().flatten();
        let start = shown.clone().map(|facts| facts.earliest_ticks).min().unwrap_or(0);
        let end = shown.clone().map(|facts| facts.latest_end_ticks).max().unwrap_or(0);
        Self {
            playlist: rendition.playlist_file.clone(),
            kind: init.map(|init| init.kind),
            codec: init.map(|init| init.codec.rfc6381()),
            kid,
            opened: init.is_some() && (kid.is_none() || has_cipher),
            segments: shown.clone().count() as u64,
            samples: shown.map(|facts| facts.samples).sum(),
            bytes: rendition.segments.iter().filter_map(|segment| segment.bytes).sum(),
            duration_s: init.map_or(0.0, |init| {
                Time::new(end.saturating_sub(start), init.timescale).seconds()
            }),
        }
    }
}

/// Checks a segment; `None` where it is too damaged, or has no samples.
fn check_segment(
    folder: &Path,
    segment: &SegmentFile,
    expected: Expected<'_>,
    checker: &mut SampleChecker,
    findings: &mut Findings,
) -> Result<Option<SegmentFacts>, VerifyError> {
    if segment.bytes.is_none() {
        return Ok(None);
    }
    let mut findings = findings.of(&segment.file);
    let path = folder.join(&segment.file);
    let source = Source::open(&path).map_err(|cause| VerifyError::Read { path, cause })?;
    let fragments = match segment::read(&source, expected.init, &mut findings) {
        Ok(fragments) => fragments,
        Err(error) => {
            findings.add_scan_error(&error);
            return Ok(None);
        }
    };
    let of_source = checker
        .check(&source, &fragments, expected, &mut findings)
        .map_err(|cause| VerifyError::Source {
            path: expected
                .source
                .map_or_else(PathBuf::new, |track| track.source.path().to_owned()),
            cause,
        })?;
    Ok(SegmentFacts::new(&fragments, expected.init, of_source))
}

impl SegmentFacts {
    fn new(fragments: &[Fragment], init: &InitSegment, of_source: Option<std::ops::Range<u32>>) -> Option<Self> {
        let samples = || fragments.iter().flat_map(|fragment| &fragment.samples);
        let shown = |sample: &Sample| sample.composition_ticks().saturating_add(init.shift.ticks);
        Some(Self {
            samples: samples().count() as u64,
            first_sequence_number: fragments.first()?.sequence_number,
            last_sequence_number: fragments.last()?.sequence_number,
            first: *samples().next()?,
            end_ticks: fragments.last()?.end_ticks(),
            earliest_ticks: samples().map(shown).min()?,
            latest_end_ticks: samples()
                .map(|sample| shown(sample).saturating_add(i64::from(sample.duration_ticks)))
                .max()?,
            of_source,
        })
    }
}

/// Whether the segments hold the source's samples, all of them and each once.
fn check_complete(rendition: &Rendition, facts: &[Option<SegmentFacts>], track: &Track, findings: &mut Findings) {
    let mut next = 0;
    let missing = |range: std::ops::Range<u32>, file: &Path, findings: &mut Findings| {
        let Some(original) = track.samples.get(range.start) else {
            return;
        };
        let (path, offset) = track.source.locate(original.offset);
        let what = format!(
            "samples {} to {} of the source are not there; the first is at byte {offset} of {}",
            u64::from(range.start) + 1,
            range.end,
            path.display()
        );
        findings.of(file).add(what);
    };
    for (segment, facts) in rendition.segments.iter().zip(facts) {
        let Some(range) = facts.as_ref().and_then(|facts| facts.of_source.clone()) else {
            continue;
        };
        if range.start > next {
            missing(next..range.start, &segment.file, findings);
        } else if range.start < next {
            let what = format!("samples {} to {next} of the source are there twice", range.start + 1);
            findings.of(&segment.file).add(what);
        }
        next = range.end;
    }
    if next < track.samples.len() {
        missing(next..track.samples.len(), &rendition.playlist_file, findings);
    }
}

/// Reads a file of the output; `None` where it is not there.
fn read_file(folder: &Path, file: &Path) -> Result<Option<Vec<u8>>, VerifyError> {
    let path = folder.join(file);
    let source = match Source::open(&path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
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
fn read_text(folder: &Path, file: &Path, findings: &mut Findings) -> Result<Option<String>, VerifyError> {
    let Some(data) = read_file(folder, file)? else {
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
fn relative(folder: &Path, uri: &str) -> Option<PathBuf> {
    let is_plain = !uri.is_empty() && !uri.contains([':', '%', '?', '#', '\\']);
    let path = Path::new(uri);
    let stays = path.components().all(|part| matches!(part, Component::Normal(_)));
    (is_plain && stays).then(|| folder.join(path))
}

fn leaves_the_output(uri: &str) -> String {
    format!("the URI {uri:?} is no plain path below the playlist's folder")
}

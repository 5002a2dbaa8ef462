//! Checks segments against init segments, keys and source, and playlists against segments.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::findings::Findings;
use super::init::{InitSegment, Protection};
use super::ivs::IvRuns;
use super::output::{Output, Part, Rendition, SegmentFile};
use super::report::{Report, TrackReport};
use super::samples::{Expected, SampleChecker, Seen};
use super::segment::{self, Fragment};
use super::{Form, VerifyError, description, hls, ivs, single_file, text, tree};
use crate::codec::Captions;
use crate::content_key::{ContentKey, Iv, Kid};
use crate::media::source::Piece;
use crate::media::{MediaKind, Presentation, Sample, Source, Subtitles, Track, Tree};
use crate::package::dash::MANIFEST;
use crate::package::hls::KeyFormat;
use crate::package::{Name, Names, generations, workers};
use crate::protect::whole_segment::OpenedSegment;
use crate::protect::{Cipher, Pattern};

/// What an output is checked by.
pub struct Check<'a> {
    /// The keys at hand, by the URI that playlists have of them and by their ID; samples whose key is not among them stay
    /// closed.
    pub keys: &'a [KnownKey],
    /// The pattern of video under schemes that have one.
    pub pattern: Pattern,
    /// In what form the playlists say that players get keys.
    pub key_format: &'a KeyFormat,
    /// What the output was made from, where it is to be compared.
    pub source: Option<&'a Presentation>,
    /// The tree that `source` is of, where it is one.
    pub tree: Option<&'a Tree>,
    /// Worker threads; at least one is used.
    pub jobs: usize,
    /// Told of every segment that was checked, in bytes.
    pub progress: &'a (dyn Fn(u64) + Sync),
}

/// A key, and what it is known by. It has no `Debug`.
pub struct KnownKey {
    /// Its ID.
    pub kid: Kid,
    /// Where players get it.
    pub uri: String,
    /// Where they get a Clear Key licence.
    pub clearkey_uri: String,
    /// The key.
    pub key: ContentKey,
}

/// What opens a rendition.
pub(super) enum Opener {
    /// Its samples.
    Samples(Box<Cipher>),
    /// Its segments, by the key of that ID.
    Segments(Kid, ContentKey),
}

impl Opener {
    fn new(part: &Part, keys: &[KnownKey]) -> Option<Self> {
        if let Some(protection) = part.protection() {
            let known = keys.iter().find(|known| known.kid == protection.kid)?;
            let Protection {
                scheme,
                constant_iv,
                pattern,
                ..
            } = protection;
            let cipher = Cipher::new(scheme, &known.key, constant_iv, pattern);
            return Some(Self::Samples(Box::new(cipher)));
        }
        let uri = part.key_uri.as_ref()?;
        let known = keys.iter().find(|known| known.uri == *uri)?;
        Some(Self::Segments(known.kid, known.key.clone()))
    }
}

/// What a segment's fragments say of its time.
#[derive(Debug, Clone)]
pub(super) struct SegmentFacts {
    pub samples: u64,
    pub first_sequence_number: u32,
    pub last_sequence_number: u32,
    pub first: Sample,
    pub end_ticks: u64,
    /// When it starts being shown: its earliest sample, in ticks, shifted by the edit list.
    pub earliest_ticks: i64,
    /// When it ends being shown.
    pub latest_end_ticks: i64,
    /// Which samples of the source it holds.
    pub of_source: Option<Range<u32>>,
    /// The captions inside of its video.
    pub captions: Captions,
    /// The first sample that refers to the segment before: its index, and bytes from the file's start.
    pub refers_back: Option<(u64, u64)>,
    /// The IVs of its samples, where each has its own.
    pub ivs: IvRuns,
    /// Its keyframes, where it is of video.
    pub keyframes: Vec<Keyframe>,
}

/// A sync sample of video.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keyframe {
    /// Bytes from the file's start to its fragment.
    pub fragment_offset: u64,
    /// Whether it is the first sample of that.
    pub begins_fragment: bool,
    /// Bytes from the file's start to its end.
    pub end_offset: u64,
    /// When it is shown, in ticks, shifted by the edit list.
    pub shown_ticks: i64,
}

/// The keyframes of fragments of video.
fn keyframes(fragments: &[Fragment], init: &InitSegment) -> Vec<Keyframe> {
    let of_fragment = |fragment: &Fragment| -> Vec<Keyframe> {
        let samples = fragment.samples.iter().enumerate();
        samples
            .filter(|(_, sample)| sample.is_sync())
            .map(|(index, sample)| Keyframe {
                fragment_offset: fragment.offset,
                begins_fragment: index == 0,
                end_offset: sample.end(),
                shown_ticks: sample.composition_ticks().saturating_add(init.shift.ticks),
            })
            .collect()
    };
    let is_video = init.kind == MediaKind::Video;
    fragments.iter().filter(|_| is_video).flat_map(of_fragment).collect()
}

impl Output {
    /// Checks everything that [`Self::read`] did not.
    ///
    /// # Errors
    /// [`VerifyError::Source`] where a sample of the source can't be read.
    pub fn check(mut self, check: &Check<'_>) -> Result<Report, VerifyError> {
        let names = check
            .source
            .map(|presentation| (presentation, Name::all(presentation).of_generation(self.generation)));
        let mut sources = match (self.form, &names) {
            (_, None) => vec![None; self.renditions.len()],
            (Form::Own, Some(names)) => self.match_sources(names),
            (Form::Tree, Some(_)) => self.match_tree(check.tree),
        };
        let subtitles = match self.form {
            Form::Own => self.match_subtitles(names.as_ref()),
            Form::Tree => Vec::new(),
        };
        let openers = |rendition: &Rendition| {
            let parts = rendition.parts.iter();
            parts.map(|part| Opener::new(part, check.keys)).collect()
        };
        let openers: Vec<Vec<Option<Opener>>> = self.renditions.iter().map(openers).collect();
        self.check_patterns(check.pattern);
        self.check_common_pssh();
        let mut facts = self.check_segments(&sources, &openers, |kind| kind != MediaKind::Text, check)?;
        let cut_texts = self.cut_texts(&sources, &facts);
        let of_text = self.check_text_tracks(&mut sources, &cut_texts, &openers, check)?;
        for (facts, of_text) in facts.iter_mut().zip(of_text) {
            for (facts, of_text) in facts.iter_mut().zip(of_text) {
                *facts = of_text.or(facts.take());
            }
        }
        ivs::check(&self.renditions, &facts, &mut self.findings);
        let mut notes = Vec::new();
        for folder in self.older.iter().copied().flat_map(generations::folders) {
            if self.folder.join(&folder).is_dir() {
                notes.push(format!(
                    "{folder}: of an older master key, not checked; it waits for `keys retire`"
                ));
            }
        }
        for (index, (rendition, facts)) in self.renditions.iter().zip(&facts).enumerate() {
            match self.form {
                Form::Own => {
                    hls::check_media_playlist(rendition, facts, &mut notes, &mut self.findings);
                    single_file::check(&self.folder, rendition, facts, &mut self.findings)?;
                }
                Form::Tree => tree::check_media_playlist(rendition, &mut self.findings),
            }
            if let (Some(Some(track)), Some(_)) = (sources.get(index), rendition.init()) {
                check_complete(rendition, facts, track, &mut self.findings);
            }
        }
        match self.form {
            Form::Own => {
                hls::check_multivariant(&self.multivariant, &self.renditions, &facts, &mut self.findings);
                hls::check_iframes(&mut self, &facts);
                if let Some(manifest) = &self.manifest {
                    let mut file = self.findings.of(Path::new(MANIFEST));
                    manifest.check(&self.renditions, &self.multivariant, &facts, &mut file);
                }
            }
            Form::Tree => self.check_tree(check.tree)?,
        }

        hls::check_key_format(&mut self, check.key_format);
        hls::check_clear_key(&mut self, check.keys)?;

        let reference = text::Reference::find(&self.multivariant, &self.renditions, &facts);
        let mut tracks: Vec<TrackReport> = Vec::new();
        for (index, (rendition, facts)) in self.renditions.iter().zip(&facts).enumerate() {
            tracks.push(if rendition.is_webvtt {
                let source = subtitles.get(index).copied().flatten();
                let cues = text::check(&self.folder, rendition, reference.as_ref(), source, &mut self.findings)?;
                TrackReport::of_webvtt(rendition, cues)
            } else {
                TrackReport::new(
                    rendition,
                    facts,
                    openers.get(index).map(Vec::as_slice).unwrap_or_default(),
                )
            });
        }
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
            bytes: self.bytes(),
            tracks,
            notes,
            difference_count: self.findings.count(),
            differences: self.findings.kept().to_vec(),
            output: self.folder,
        })
    }

    /// The source's text tracks, cut where the first variant is.
    fn cut_texts(&self, sources: &[Option<&Track>], facts: &[Vec<Option<SegmentFacts>>]) -> Vec<Option<Track>> {
        let reference = text::Reference::find(&self.multivariant, &self.renditions, facts);
        let starts = reference.and_then(|reference| reference.starts).unwrap_or_default();
        let cut = |source: Option<&Track>| {
            let mut track = source.filter(|track| track.kind == MediaKind::Text)?.clone();
            track.cut_samples(starts.get(1..).unwrap_or_default()).ok()?;
            Some(track)
        };
        sources.iter().copied().map(cut).collect()
    }

    /// Checks the segments of text tracks against sources that are cut, which take the place of those in `sources`.
    fn check_text_tracks<'a>(
        &mut self,
        sources: &mut [Option<&'a Track>],
        cut: &'a [Option<Track>],
        openers: &[Vec<Option<Opener>>],
        check: &Check<'_>,
    ) -> Result<Vec<Vec<Option<SegmentFacts>>>, VerifyError> {
        for (source, cut) in sources.iter_mut().zip(cut) {
            if cut.is_some() {
                *source = cut.as_ref();
            }
        }
        self.check_segments(sources, openers, |kind| kind == MediaKind::Text, check)
    }

    /// The source's track of each rendition, by the names that the packager gives.
    fn match_sources<'a>(&mut self, (presentation, names): &(&'a Presentation, Names)) -> Vec<Option<&'a Track>> {
        let mut by_file = by_playlist(&names.tracks, &presentation.tracks);
        let mut matched = Vec::new();
        for rendition in &self.renditions {
            if rendition.is_webvtt {
                matched.push(None);
                continue;
            }
            let track = by_file.remove(&rendition.playlist_file);
            let mut findings = self.findings.of(&rendition.playlist_file);
            match (track, rendition.init()) {
                (None, _) => findings.add("the source has no track of this name"),
                (Some(track), Some(init)) if track.timescale != init.timescale || track.kind != init.kind => {
                    let (found, expected) = ((init.kind, init.timescale), (track.kind, track.timescale));
                    findings.add(format!(
                        "kind and timescale are {found:?}, and {expected:?} in the source"
                    ));
                }
                _ => {}
            }
            let mut compared = BTreeSet::new();
            for part in &rendition.parts {
                let (Some(init), Some(file)) = (&part.init, &part.init_file) else {
                    continue;
                };
                if let Some(track) = track.filter(|_| compared.insert(file)) {
                    description::compare(&init.description, &track.description, &mut self.findings.of(file));
                }
            }
            matched.push(track);
        }
        for (file, track) in by_file {
            let what = format!("is missing: track {} of {}", track.id, track.source.path().display());
            self.findings.of(&file).add(what);
        }
        matched
    }

    /// Which blocks are encrypted: of video by the pattern, of audio all (Apple's authoring specification, 13.7).
    fn check_patterns(&mut self, of_video: Pattern) {
        let mut seen = BTreeSet::new();
        for part in self.renditions.iter().flat_map(|rendition| &rendition.parts) {
            let (Some(init), Some(file)) = (&part.init, &part.init_file) else {
                continue;
            };
            if !seen.insert((file, part.init_range.as_ref().map(|range| range.start), init.track_id)) {
                continue;
            }
            let Some(protection) = init.protection else { continue };
            let is_patterned = protection.scheme.has_pattern() && init.codec.scanner().is_some();
            let expected = if is_patterned { of_video } else { Pattern::ALL };
            if protection.pattern != expected {
                let what = format!("the pattern of tenc is {}, expected {expected}", protection.pattern);
                self.findings.of(file).add(what);
            }
        }
    }

    /// The key IDs that each init segment lists, which are those of all parts behind it.
    fn check_common_pssh(&mut self) {
        for rendition in &self.renditions {
            let mut of_files: BTreeMap<_, (&InitSegment, Vec<Kid>)> = BTreeMap::new();
            for part in &rendition.parts {
                let (Some(init), Some(file)) = (&part.init, &part.init_file) else {
                    continue;
                };
                let start = part.init_range.as_ref().map(|range| range.start);
                let (_, kids) = of_files.entry((file, start)).or_insert((init, Vec::new()));
                if let Some(protection) = part.protection().filter(|protection| !kids.contains(&protection.kid)) {
                    kids.push(protection.kid);
                }
            }
            for ((file, _), (init, kids)) in of_files {
                if let Some((offset, found)) = &init.common_pssh {
                    let what = "the key IDs of the common pssh";
                    self.findings.of(file).expect_at(*offset, what, found, &kids);
                }
            }
        }
    }

    /// The source's subtitles of each rendition of WebVTT, by the names that the packager gives.
    fn match_subtitles<'a>(&mut self, source: Option<&(&'a Presentation, Names)>) -> Vec<Option<&'a Subtitles>> {
        let Some((presentation, names)) = source else {
            return Vec::new();
        };
        let mut by_file = by_playlist(&names.subtitles, &presentation.subtitles);
        let mut matched = Vec::new();
        for rendition in &self.renditions {
            let subtitles = by_file.remove(&rendition.playlist_file).filter(|_| rendition.is_webvtt);
            if rendition.is_webvtt && subtitles.is_none() {
                let what = "the source has no subtitles of this name";
                self.findings.of(&rendition.playlist_file).add(what);
            }
            matched.push(subtitles);
        }
        for (file, subtitles) in by_file {
            let what = format!("is missing: the subtitles of {}", subtitles.path.display());
            self.findings.of(&file).add(what);
        }
        matched
    }

    /// Checks the boxes and samples of all segments of the kinds that `is_meant`, several at once.
    fn check_segments(
        &mut self,
        sources: &[Option<&Track>],
        openers: &[Vec<Option<Opener>>],
        is_meant: impl Fn(MediaKind) -> bool,
        check: &Check<'_>,
    ) -> Result<Vec<Vec<Option<SegmentFacts>>>, VerifyError> {
        let of_parts = |rendition: &Rendition| rendition.parts.iter().map(Part::protection).collect();
        let protections: Vec<Vec<Option<Protection>>> = self.renditions.iter().map(of_parts).collect();
        let mut tasks: Vec<Task<'_>> = Vec::new();
        for (rendition_index, rendition) in self.renditions.iter().enumerate() {
            let openers = openers.get(rendition_index).map(Vec::as_slice).unwrap_or_default();
            let source = sources.get(rendition_index).copied().flatten();
            let protections = protections.get(rendition_index).into_iter().flatten();
            for ((part, protection), opener) in rendition.parts.iter().zip(protections).zip(openers) {
                let Some(init) = part.init.as_deref().filter(|init| is_meant(init.kind)) else {
                    continue;
                };
                let cipher = match opener {
                    Some(Opener::Samples(cipher)) => Some(&**cipher),
                    _ => None,
                };
                let expected = Expected {
                    init,
                    protection: protection.as_ref(),
                    cipher,
                    source,
                };
                let segments = rendition.segments.get(part.segments.clone()).unwrap_or_default();
                for (index, segment) in part.segments.clone().zip(segments) {
                    let envelope = match opener {
                        Some(Opener::Segments(_, key)) => Envelope::Opened(key, rendition.segment_iv(index)),
                        _ if rendition.has_encrypted_segments() && part.key_uri.is_some() => Envelope::Closed,
                        _ => Envelope::None,
                    };
                    tasks.push((rendition_index, index, segment, envelope, expected));
                }
            }
        }
        let mut all: Vec<Vec<Option<SegmentFacts>>> = self
            .renditions
            .iter()
            .map(|rendition| vec![None; rendition.segments.len()])
            .collect();
        let mut in_order = InOrder::default();
        let work = |checker: &mut SampleChecker, (rendition, index, segment, envelope, expected): &Task<'_>| {
            let mut findings = Findings::default();
            let place = (&*self.folder, self.form);
            let facts = check_segment(place, segment, envelope, *expected, checker, &mut findings);
            (check.progress)(segment.bytes.unwrap_or(0));
            Ok((*rendition, *index, facts?, findings))
        };
        workers::run(
            &tasks,
            check.jobs,
            || false,
            work,
            |at, (rendition, index, facts, findings)| {
                let of_rendition = all.get_mut(rendition);
                if let Some(slot) = of_rendition.and_then(|of_rendition| of_rendition.get_mut(index)) {
                    *slot = facts;
                }
                in_order.add(at, findings);
            },
        )?;
        self.findings.append(in_order.all);
        Ok(all)
    }
}

/// What the source has, by the media playlist that the packager gives it.
fn by_playlist<'a, T>(names: &[Name], sources: &'a [T]) -> BTreeMap<PathBuf, &'a T> {
    let playlists = names.iter().map(|name| PathBuf::from(name.playlist_uri()));
    playlists.zip(sources).collect()
}

/// Findings in the order of tasks, whatever the order in which threads end them; few wait, so memory is bounded.
#[derive(Default)]
struct InOrder {
    all: Findings,
    next: usize,
    waiting: BTreeMap<usize, Findings>,
}

impl InOrder {
    fn add(&mut self, index: usize, findings: Findings) {
        self.waiting.insert(index, findings);
        while let Some(findings) = self.waiting.remove(&self.next) {
            self.all.append(findings);
            self.next += 1;
        }
    }
}

/// A segment to check: its rendition's index, its own, its file, what that is wrapped in, and what its samples are checked by.
type Task<'a> = (usize, usize, &'a SegmentFile, Envelope<'a>, Expected<'a>);

/// What a segment's file is wrapped in.
enum Envelope<'a> {
    /// Nothing.
    None,
    /// An encryption whose key is not at hand.
    Closed,
    /// An encryption by this key and IV, where the playlist has one.
    Opened(&'a ContentKey, Option<Iv>),
}

/// Checks a segment; `None` where it is closed or too damaged, or has no samples.
fn check_segment(
    (folder, form): (&Path, Form),
    segment: &SegmentFile,
    envelope: &Envelope<'_>,
    expected: Expected<'_>,
    checker: &mut SampleChecker,
    findings: &mut Findings,
) -> Result<Option<SegmentFacts>, VerifyError> {
    if segment.bytes.is_none() {
        return Ok(None);
    }
    let start = segment.range.as_ref().map_or(0, |range| range.start);
    let mut findings = findings.of_range(&segment.file, start);
    let path = folder.join(&segment.file);
    let of_file = Piece::from(segment.range.clone());
    let piece = match envelope {
        Envelope::None => Ok(of_file),
        Envelope::Closed | Envelope::Opened(_, None) => return Ok(None),
        Envelope::Opened(key, Some(iv)) => {
            OpenedSegment::open(path.clone(), key, *iv).map(|opened| Piece::View(Box::new(opened)))
        }
    };
    let opened = piece.and_then(|piece| match piece {
        Piece::Whole => Source::open(&path),
        piece => Source::assemble([(path.clone(), piece)]),
    });
    let source = match opened {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            findings.add(error.to_string());
            return Ok(None);
        }
        opened => opened.map_err(|cause| VerifyError::Read { path, cause })?,
    };
    let fragments = match segment::read(
        &source,
        (expected.init, expected.protection),
        (form, segment.range.is_none()),
        &mut findings,
    ) {
        Ok(fragments) => fragments,
        Err(error) => {
            findings.add_scan_error(&error);
            return Ok(None);
        }
    };
    let seen = checker
        .check(&source, &fragments, expected, &mut findings)
        .map_err(|cause| VerifyError::Source {
            path: expected
                .source
                .map_or_else(PathBuf::new, |track| track.source.path().to_owned()),
            cause,
        })?;
    Ok(SegmentFacts::new(&fragments, expected.init, seen))
}

impl SegmentFacts {
    fn new(fragments: &[Fragment], init: &InitSegment, seen: Seen) -> Option<Self> {
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
            of_source: seen.of_source,
            captions: seen.watch.captions,
            refers_back: seen.watch.refers_back.and_then(|index| {
                let sample = samples().nth(usize::try_from(index).ok()?)?;
                Some((index, sample.offset))
            }),
            keyframes: keyframes(fragments, init),
            ivs: IvRuns::of(
                fragments
                    .iter()
                    .filter_map(|fragment| fragment.auxiliary.as_deref())
                    .flatten(),
            ),
        })
    }
}

/// Whether the segments hold the source's samples, all of them and each once.
fn check_complete(rendition: &Rendition, facts: &[Option<SegmentFacts>], track: &Track, findings: &mut Findings) {
    let mut next = 0;
    let missing = |range: Range<u32>, file: &Path, findings: &mut Findings| {
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

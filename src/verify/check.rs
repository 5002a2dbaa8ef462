//! Checks segments against init segments, keys and source, and playlists against segments.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::findings::Findings;
use super::init::InitSegment;
use super::output::{Output, Rendition, SegmentFile};
use super::report::{Report, TrackReport};
use super::samples::{Expected, SampleChecker};
use super::segment::{self, Fragment};
use super::{Form, VerifyError, description, hls, tree};
use crate::content_key::{ContentKey, Kid};
use crate::media::{Presentation, Sample, Source, Track, Tree};
use crate::package::Name;
use crate::protect::Cbcs;

/// What an output is checked by.
pub struct Check<'a> {
    /// The keys at hand; samples whose key is not among them stay closed.
    pub keys: &'a HashMap<Kid, ContentKey>,
    /// What the output was made from, where it is to be compared.
    pub source: Option<&'a Presentation>,
    /// The tree that `source` is of, where it is one.
    pub tree: Option<&'a Tree>,
    /// Worker threads; at least one is used.
    pub jobs: usize,
    /// Told of every segment that was checked, in bytes.
    pub progress: &'a (dyn Fn(u64) + Sync),
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
}

impl Output {
    /// Checks everything that [`Self::read`] did not.
    ///
    /// # Errors
    /// [`VerifyError::Source`] where a sample of the source can't be read.
    pub fn check(mut self, check: &Check<'_>) -> Result<Report, VerifyError> {
        let sources = match (self.form, check.source) {
            (_, None) => vec![None; self.renditions.len()],
            (Form::Own, Some(presentation)) => self.match_sources(presentation),
            (Form::Tree, Some(_)) => self.match_tree(check.tree),
        };
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
            match self.form {
                Form::Own => hls::check_media_playlist(rendition, facts, &mut notes, &mut self.findings),
                Form::Tree => tree::check_media_playlist(rendition, &mut self.findings),
            }
            if let (Some(Some(track)), Some(_)) = (sources.get(index), &rendition.init) {
                check_complete(rendition, facts, track, &mut self.findings);
            }
        }
        match self.form {
            Form::Own => hls::check_multivariant(&self.multivariant, &self.renditions, &facts, &mut self.findings),
            Form::Tree => self.check_tree(check.tree)?,
        }

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
            bytes: self.bytes(),
            tracks,
            notes,
            difference_count: self.findings.count(),
            differences: self.findings.kept().to_vec(),
            output: self.folder,
        })
    }

    /// The source's track of each rendition, by the names that the packager gives.
    fn match_sources<'a>(&mut self, presentation: &'a Presentation) -> Vec<Option<&'a Track>> {
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
            if let (Some(track), Some(init), Some(file)) = (track, &rendition.init, &rendition.init_file) {
                description::compare(&init.description, &track.description, &mut self.findings.of(file));
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
        let results = Mutex::new((Vec::with_capacity(tasks.len()), InOrder::default()));
        let work = || {
            let mut checker = SampleChecker::default();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some((_, _, segment, expected)) = tasks.get(index) else {
                    break;
                };
                let mut findings = Findings::default();
                let facts = check_segment(
                    (&self.folder, self.form),
                    segment,
                    *expected,
                    &mut checker,
                    &mut findings,
                );
                (check.progress)(segment.bytes.unwrap_or(0));
                let mut results = results.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if facts.is_err() {
                    next.store(tasks.len(), Ordering::Relaxed);
                }
                results.0.push((index, facts));
                results.1.add(index, findings);
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
        let (results, findings) = results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.findings.append(findings.all);
        for (index, facts) in results {
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

/// Checks a segment; `None` where it is too damaged, or has no samples.
fn check_segment(
    (folder, form): (&Path, Form),
    segment: &SegmentFile,
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
    let source = match &segment.range {
        None => Source::open(&path),
        Some(range) => Source::join_ranges([(path.clone(), Some(range.clone()))]),
    };
    let source = source.map_err(|cause| VerifyError::Read { path, cause })?;
    let fragments = match segment::read(&source, expected.init, form, &mut findings) {
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
    fn new(fragments: &[Fragment], init: &InitSegment, of_source: Option<Range<u32>>) -> Option<Self> {
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

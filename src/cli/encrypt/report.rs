//! What was written, for a person or as JSON. No part of it is secret.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use vylux_pack::content_key::Kid;
use vylux_pack::keys::KeyName;
use vylux_pack::media::playlist::Content;
use vylux_pack::media::{MediaKind, Time, Timescale, Track, Tree};
use vylux_pack::package::hls::Bandwidth;
use vylux_pack::package::publish::KEYS_FILE;
use vylux_pack::package::tree::WrittenFile;
use vylux_pack::package::{Rendition, TextRendition, WrittenRendition, dash, hls};
use vylux_pack::protect::{Protection, Scheme};

use super::print;
use super::tree::WrittenTree;
use super::{Args, Encryption, standard_input};
use crate::cli::records::Settled;
use crate::cli::{decimal, output};

/// Keys that a person is shown; a film whose keys change has hundreds.
const SHOWN_KEYS: usize = 8;

const NANOSECONDS: Timescale = Timescale::new(1_000_000_000).unwrap();

/// The report; its JSON is a promise to scripts.
#[derive(Serialize)]
pub struct Report {
    content_id: String,
    scheme: Scheme,
    /// Blocks of video that are encrypted and skipped, where that was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pattern: Option<String>,
    output: PathBuf,
    /// Whether nothing was written.
    dry_run: bool,
    inputs: Vec<PathBuf>,
    #[serde(skip)]
    track_options: Vec<String>,
    /// What `verify` is told of key formats.
    #[serde(skip)]
    key_format: String,
    /// Where players get the first key.
    key_uri: Option<String>,
    kid: Option<Kid>,
    /// All keys, in the order in which they are first used.
    keys: Vec<KeyReport>,
    /// The manifest of DASH, where there is one.
    manifest: Option<PathBuf>,
    target_duration_s: u64,
    tracks: Vec<TrackReport>,
    subtitles: Vec<TextReport>,
    /// Bytes of all init and media segments; `None` in a dry run.
    bytes: Option<u64>,
    /// What players open.
    #[serde(skip)]
    playlist: PathBuf,
    /// What `verify` is given.
    #[serde(skip)]
    verified: PathBuf,
}

/// One key.
#[derive(Serialize)]
struct KeyReport {
    /// `None` of the content's primary key.
    name: Option<KeyName>,
    kid: Kid,
    /// Where players get it.
    uri: String,
}

impl KeyReport {
    fn all(encryption: Option<&Encryption>) -> Vec<Self> {
        let settled = encryption.map_or(&[][..], Encryption::settled);
        let report = |settled: &Settled| Self {
            name: settled.record.key_name.clone(),
            kid: settled.record.kid,
            uri: settled.record.key_uri.clone(),
        };
        settled.iter().map(report).collect()
    }
}

/// One rendition.
#[derive(Serialize)]
struct TrackReport {
    playlist: String,
    input: PathBuf,
    track_id: u32,
    kind: MediaKind,
    codec: String,
    supplemental_codecs: Option<String>,
    language: Option<String>,
    resolution: Option<(u16, u16)>,
    channels: Option<u16>,
    sample_rate_hz: Option<u32>,
    samples: u32,
    sample_bytes: u64,
    duration_s: f64,
    segments: usize,
    bytes: Option<u64>,
    bandwidth: Option<Bandwidth>,
    /// The first of its keys.
    kid: Option<Kid>,
    /// How many keys it has, one after the other.
    key_count: usize,
    /// The constant IV, or that of the first sample or segment.
    iv: Option<String>,
}

/// One rendition of WebVTT, which is never encrypted.
#[derive(Serialize)]
struct TextReport {
    playlist: String,
    input: PathBuf,
    language: Option<String>,
    cues: usize,
    segments: usize,
    bytes: Option<u64>,
}

impl Report {
    /// `written` is what was written of tracks and of texts; `None` in a dry run.
    pub fn new(
        args: &Args,
        output: &Path,
        renditions: &[Rendition<'_>],
        texts: &[TextRendition<'_>],
        written: Option<(&[WrittenRendition], &[WrittenRendition])>,
        encryption: Option<&Encryption>,
    ) -> Self {
        let durations = renditions.iter().flat_map(|rendition| &rendition.plan.segments);
        let target_duration_s = hls::target_duration_s(durations.map(|segment| segment.duration));
        let keys = KeyReport::all(encryption);
        let tracks: Vec<TrackReport> = renditions
            .iter()
            .enumerate()
            .map(|(index, rendition)| {
                let written = written.and_then(|(written, _)| written.get(index));
                TrackReport::new(rendition, written, target_duration_s)
            })
            .collect();
        let subtitles: Vec<TextReport> = texts
            .iter()
            .enumerate()
            .map(|(index, text)| TextReport::new(text, written.and_then(|(_, written)| written.get(index))))
            .collect();
        Self {
            content_id: args.content_id.to_string(),
            scheme: args.scheme,
            pattern: args.pattern.map(|pattern| pattern.to_string()),
            output: output.to_owned(),
            dry_run: args.dry_run,
            inputs: args.inputs.clone(),
            track_options: args.track_options.words().to_vec(),
            key_format: args.signal.format.words(),
            key_uri: keys.first().map(|key| key.uri.clone()),
            kid: keys.first().map(|key| key.kid),
            keys,
            manifest: args.writes_dash().then(|| output.join(dash::MANIFEST)),
            target_duration_s,
            bytes: tracks
                .iter()
                .map(|track| track.bytes)
                .chain(subtitles.iter().map(|text| text.bytes))
                .sum(),
            tracks,
            subtitles,
            playlist: output.join(hls::MULTIVARIANT_PLAYLIST),
            verified: output.to_owned(),
        }
    }

    /// What was made of a tree.
    pub fn of_tree(
        args: &Args,
        output: &Path,
        tree: &Tree,
        encryption: &Encryption,
        written: Option<&WrittenTree>,
    ) -> Self {
        let keys = KeyReport::all(Some(encryption));
        let protections = encryption.protections();
        let mut tracks = Vec::new();
        let mut target_duration_s = 0;
        for (index, playlist) in tree.playlists.iter().enumerate() {
            let (Content::Media(media), Some(at)) = (&playlist.playlist.content, playlist.rendition) else {
                continue;
            };
            target_duration_s = target_duration_s.max(media.target_duration_s);
            // An I-frame playlist has the media of another one.
            let Some(rendition) = tree
                .renditions
                .get(at)
                .filter(|rendition| rendition.file == playlist.file)
            else {
                continue;
            };
            let bytes = |written: &WrittenTree| {
                let files = rendition.files.iter().filter_map(|file| written.files.get(file));
                files.map(WrittenFile::bytes).sum()
            };
            let duration_ns: i64 = media.segments.iter().map(|segment| segment.duration_ns).sum();
            for index_of_track in rendition.tracks.clone() {
                let (Some(track), Some(protection)) = (
                    tree.presentation.tracks.get(index_of_track),
                    protections.get(index_of_track).copied().flatten(),
                ) else {
                    continue;
                };
                // Tracks of one file: its bytes are told once.
                let is_first = index_of_track == rendition.tracks.start;
                tracks.push(TrackReport {
                    duration_s: Time::new(duration_ns, NANOSECONDS).seconds(),
                    segments: media.segments.len(),
                    bytes: written.map(|written| if is_first { bytes(written) } else { 0 }),
                    bandwidth: written.and_then(|written| written.bandwidths.get(index).copied().flatten()),
                    ..TrackReport::of(track, playlist.file.display().to_string(), Some(protection))
                });
            }
        }
        let top = tree.playlists.first().map(|playlist| output.join(&playlist.file));
        let playlist = top.unwrap_or_default();
        Self {
            content_id: args.content_id.to_string(),
            scheme: args.scheme,
            pattern: args.pattern.map(|pattern| pattern.to_string()),
            output: output.to_owned(),
            dry_run: args.dry_run,
            inputs: args.inputs.clone(),
            track_options: Vec::new(),
            key_format: args.signal.format.words(),
            subtitles: Vec::new(),
            key_uri: keys.first().map(|key| key.uri.clone()),
            kid: keys.first().map(|key| key.kid),
            keys,
            manifest: None,
            target_duration_s,
            bytes: tracks.iter().map(|track| track.bytes).sum(),
            tracks,
            verified: playlist.clone(),
            playlist,
        }
    }

    /// For a person: what is where, and what to do with it.
    pub fn print(&self, elapsed: Duration) -> io::Result<()> {
        let verb = match (self.dry_run, self.scheme) {
            (true, _) => "Would write",
            (false, Scheme::None) => "Packaged",
            (false, Scheme::Samples(_) | Scheme::Segments) => "Encrypted",
        };
        print!("{verb} {} ({})", self.output.display(), self.scheme.name())?;
        for track in &self.tracks {
            print!("  {track}")?;
        }
        for text in &self.subtitles {
            print!("  {text}")?;
        }
        for KeyReport { name, kid, uri } in self.keys.iter().take(SHOWN_KEYS) {
            let name = name.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
            print!("  key {kid}{name} at {uri}")?;
        }
        if let Some(more) = self.keys.len().checked_sub(SHOWN_KEYS).filter(|more| *more > 0) {
            print!("  and {more} more keys, which {} and --json list", KEYS_FILE)?;
        }
        let Some(bytes) = self.bytes else { return Ok(()) };
        print!("  {} in {:.2} s", decimal::bytes(bytes), elapsed.as_secs_f64())?;
        let inputs: Vec<String> = self.inputs.iter().map(|input| output::shell_word(input)).collect();
        let words = self.track_options.iter();
        let words = words.map(|option| output::shell_word(Path::new(option)));
        let options: String = words.flat_map(|word| [" --track ".to_owned(), word]).collect();
        let manifest = self.manifest.as_ref();
        let manifest = manifest.map_or_else(String::new, |manifest| format!(" or {}", manifest.display()));
        print!(
            "\nPlay it:   {}{manifest} on any web server or CDN",
            self.playlist.display()
        )?;
        if self.scheme == Scheme::Segments {
            print!("           There is no manifest.mpd: DASH has no word for whole segments that are encrypted")?;
        }
        let output = output::shell_word(&self.verified);
        let pattern = self.pattern.as_deref();
        let pattern = pattern.map_or(String::new(), |pattern| format!(" --pattern {pattern}"));
        let pattern = format!("{pattern}{}", self.key_format);
        // What came by a pipe is gone.
        if self.inputs.iter().any(|input| standard_input::is_meant(input)) {
            return print!("Check it:  vylux-pack verify {output}{pattern}");
        }
        print!(
            "Check it:  vylux-pack verify {output}{pattern} --source {}{options}",
            inputs.join(" ")
        )
    }
}

impl TrackReport {
    fn new(rendition: &Rendition<'_>, written: Option<&WrittenRendition>, target_duration_s: u64) -> Self {
        let Rendition { name, track, plan, .. } = rendition;
        Self {
            duration_s: plan.segments.iter().map(|segment| segment.duration.seconds()).sum(),
            segments: plan.segments.len(),
            bytes: written.map(WrittenRendition::bytes),
            bandwidth: written.map(|written| Bandwidth::measure(&written.segments, target_duration_s)),
            key_count: rendition
                .periods
                .iter()
                .filter(|period| period.protection.is_some())
                .count(),
            ..Self::of(
                track,
                name.playlist_uri(),
                rendition.protection().map(|keyed| keyed.protection),
            )
        }
    }

    /// What is known of a track before anything of it is cut or written.
    fn of(track: &Track, playlist: String, protection: Option<&Protection>) -> Self {
        Self {
            playlist,
            input: track.source.path().to_owned(),
            track_id: track.id,
            kind: track.kind,
            codec: track.codec.rfc6381(),
            supplemental_codecs: track.codec.supplemental_codecs(),
            language: track.language.clone(),
            resolution: (track.kind == MediaKind::Video).then_some(track.dimensions),
            channels: track.codec.channels(),
            sample_rate_hz: track.codec.sample_rate_hz(),
            samples: track.samples.len(),
            sample_bytes: track.samples.bytes(),
            duration_s: 0.0,
            segments: 0,
            bytes: None,
            bandwidth: None,
            kid: protection.map(Protection::kid),
            key_count: usize::from(protection.is_some()),
            iv: protection.map(|protection| protection.first_iv().to_string()),
        }
    }
}

impl std::fmt::Display for TrackReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:<28} {:<12}", self.playlist, self.codec)?;
        if let Some(codecs) = &self.supplemental_codecs {
            write!(f, " {codecs}")?;
        }
        if self.kind == MediaKind::Text {
            f.write_str(" in the clear")?;
        }
        if let Some((width, height)) = self.resolution {
            write!(f, " {width}x{height}")?;
        }
        if let (Some(channels), Some(rate)) = (self.channels, self.sample_rate_hz) {
            write!(f, " {channels} ch, {rate} Hz")?;
        }
        if let Some(language) = &self.language {
            write!(f, ", {language}")?;
        }
        let plural = if self.segments == 1 { "" } else { "s" };
        write!(f, ", {} segment{plural}, {:.3} s", self.segments, self.duration_s)?;
        if let Some(bytes) = self.bytes {
            write!(f, ", {}", decimal::bytes(bytes))?;
        }
        Ok(())
    }
}

impl TextReport {
    fn new(rendition: &TextRendition<'_>, written: Option<&WrittenRendition>) -> Self {
        let TextRendition {
            name, subtitles, plan, ..
        } = rendition;
        Self {
            playlist: name.playlist_uri(),
            input: subtitles.path.clone(),
            language: subtitles.language.clone(),
            cues: subtitles.webvtt.cues.len(),
            segments: plan.segments.len(),
            bytes: written.map(WrittenRendition::bytes),
        }
    }
}

impl std::fmt::Display for TextReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plural = if self.cues == 1 { "" } else { "s" };
        write!(f, "{:<28} {:<12} {} cue{plural}", self.playlist, "WebVTT", self.cues)?;
        if let Some(language) = &self.language {
            write!(f, ", {language}")?;
        }
        let plural = if self.segments == 1 { "" } else { "s" };
        write!(f, ", {} segment{plural}, in the clear", self.segments)?;
        if let Some(bytes) = self.bytes {
            write!(f, ", {}", decimal::bytes(bytes))?;
        }
        Ok(())
    }
}

//! `vylux-pack decrypt`: the clear asset back.

mod key_file;
mod keys;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, anyhow};
use serde::Serialize;
use vylux_pack::content_key::{ContentKey, Iv, Kid};
use vylux_pack::isobmff::FourCc;
use vylux_pack::isobmff::tenc::TrackEncryption;
use vylux_pack::media::source::Piece;
use vylux_pack::media::{self, EncryptedInput, InputError, MediaKind, Presentation, Source, Track};
use vylux_pack::package::clear::{self, ClosedTrack};
use vylux_pack::package::{Control, StagedFile};
use vylux_pack::protect::whole_segment::OpenedSegment;
use vylux_pack::protect::{Cipher, Pattern, SampleScheme};
use vylux_pack::verify::{Output, Part, Rendition};

use super::decimal;
use super::failure::Failure;
use super::interrupt;
use super::output::{self, report as print};
use super::progress::Progress;
use keys::Keys;

/// Get the clear film back from an output, as one MP4
///
/// All renditions become tracks of one fragmented MP4: their samples, times and edit lists are those of the source.
/// The file appears when all of it is there.
#[derive(clap::Args)]
#[command(
    after_help = "Without --key-file, keys come from the secrets that the output was made with: MASTER_KEY_HEX and \
                  SALT_HEX, and KEK_HEX if it was set, from the environment or .env."
)]
pub struct Args {
    /// Output folder; of an HLS tree, its playlist
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// The file to write
    #[arg(long, value_name = "FILE.mp4")]
    out: PathBuf,
    /// A file of keys, one KID:KEY a line in hexadecimal; # begins a comment
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Replace the file if it is there
    #[arg(long)]
    replace: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// Print nothing but errors
    #[arg(long, short)]
    quiet: bool,
}

/// The report; its JSON is a promise to scripts.
#[derive(Serialize)]
struct Report {
    output: PathBuf,
    file: PathBuf,
    bytes: u64,
    tracks: Vec<TrackReport>,
}

/// One track of the file; the first has ID 1.
#[derive(Serialize)]
struct TrackReport {
    track_id: u32,
    playlist: PathBuf,
    kind: MediaKind,
    codec: String,
    samples: u32,
    /// The key that opened it; `None` where it was clear.
    kid: Option<Kid>,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let started = Instant::now();
    let interrupted = interrupt::flag()?;
    let output = Output::read(&args.output)?;
    if let Some(difference) = output.findings.kept().first()
        && !args.quiet
    {
        let count = output.findings.count();
        output::warn(&format!(
            "{} is not as it was written ({count} found, first {difference}); `vylux-pack verify` says more",
            args.output.display()
        ));
    }
    let subtitles = output.renditions.iter().filter(|rendition| rendition.is_webvtt);
    let subtitles: Vec<&Path> = subtitles.map(|rendition| &*rendition.playlist_file).collect();
    for playlist in subtitles.iter().filter(|_| !args.quiet) {
        let what = "subtitles, which are clear WebVTT, are left where they are";
        output::warn(&format!("{}: {what}", args.output.join(playlist).display()));
    }
    let mut keys = Keys::new(args.key_file.as_deref(), &output.folder, args.quiet)?;
    let tracks = open(&output, &mut keys)?;
    let mut closed = Vec::new();
    let mut reports = Vec::new();
    for (track_id, opened) in (1..).zip(tracks) {
        let OpenedTrack {
            rendition,
            track,
            ciphers,
            kid,
        } = opened;
        reports.push(TrackReport {
            track_id,
            playlist: rendition.playlist_file.clone(),
            kind: track.kind,
            codec: track.codec.rfc6381(),
            samples: track.samples.len(),
            kid,
        });
        closed.push(ClosedTrack { track, ciphers });
    }

    let file = StagedFile::create(&args.out, args.replace)?;
    let total = closed.iter().map(|closed| closed.track.samples.bytes()).sum();
    let progress = Progress::new(total, args.quiet || args.json);
    let control = Control {
        jobs: 1,
        cancelled: &interrupted,
        progress: &|bytes| progress.add(bytes),
    };
    let written = clear::write(closed, &file.path(), &control);
    progress.finish();
    let bytes = written?;
    file.publish()?;

    let report = Report {
        output: args.output.clone(),
        file: args.out.clone(),
        bytes,
        tracks: reports,
    };
    if args.json {
        output::json(&report)?;
    } else if !args.quiet {
        print!("Wrote {}", report.file.display())?;
        for track in &report.tracks {
            print!(
                "  track {}: {:<28} {:<12} {} samples",
                track.track_id,
                track.playlist.display(),
                track.codec,
                track.samples
            )?;
        }
        print!(
            "  {} in {:.2} s",
            decimal::bytes(report.bytes),
            started.elapsed().as_secs_f64()
        )?;
    }
    Ok(())
}

/// What opens samples up to the one in front of which the run ends; `None` where they are clear.
type Run = (u32, Option<Cipher>);

/// A track of a rendition, and what opens it.
struct OpenedTrack<'o> {
    rendition: &'o Rendition,
    track: Track,
    /// Run after run: each ends in front of that sample.
    ciphers: Vec<Run>,
    /// The ID of its first key.
    kid: Option<Kid>,
}

/// The track of each rendition, video first, as in the inputs that people make.
fn open<'o>(output: &'o Output, keys: &mut Keys) -> Result<Vec<OpenedTrack<'o>>, Failure> {
    let mut tracks = Vec::new();
    let mut before = None;
    for rendition in output
        .files()
        .filter_map(<[_]>::first)
        .filter(|rendition| !rendition.is_webvtt)
    {
        if before.replace(&rendition.playlist_file) == Some(&rendition.playlist_file) {
            let playlist = output.folder.join(&rendition.playlist_file);
            let what = "has several init segments, which are no one film; decrypt takes playlists of one";
            return Err(Failure::input(anyhow!("{} {what}", playlist.display())));
        }
        tracks.extend(open_rendition(output, rendition, keys)?);
    }
    tracks.sort_by_key(|opened| opened.track.kind);
    Ok(tracks)
}

/// The tracks of a rendition: read from all of its segments behind the init segment of its first protected part. What its
/// samples are encrypted by is read from each part behind its own.
fn open_rendition<'o>(
    output: &'o Output,
    rendition: &'o Rendition,
    keys: &mut Keys,
) -> Result<Vec<OpenedTrack<'o>>, Failure> {
    let mut segment_keys = Vec::new();
    for part in &rendition.parts {
        let uri = part.key_uri.as_deref().filter(|_| rendition.has_encrypted_segments());
        segment_keys.push(uri.map(|uri| keys.find_by_uri(uri, rendition)).transpose()?);
    }
    let segment_kid = segment_keys.iter().flatten().map(|(kid, _)| *kid).next();
    let parts: Vec<JoinedPart<'_>> = rendition.parts.iter().zip(&segment_keys).map(JoinedPart::new).collect();
    let is_protected = |joined: &&JoinedPart<'_>| joined.part.protection().is_some();
    let whole = parts.iter().find(is_protected).or(parts.first());
    let init = whole.map(|joined| joined.part);
    let whole = tracks_of(output, rendition, init, &parts)?;
    if let [_] = parts.as_slice() {
        let open = |track: Track| {
            let (ciphers, kid) = ciphers(&track, rendition, keys)?;
            Ok(OpenedTrack {
                rendition,
                ciphers,
                kid: segment_kid.or(kid),
                track,
            })
        };
        return whole.into_iter().map(open).collect();
    }
    let mut whole: Vec<OpenedTrack<'o>> = whole
        .into_iter()
        .map(|track| OpenedTrack {
            rendition,
            track,
            ciphers: Vec::new(),
            kid: segment_kid,
        })
        .collect();
    for joined in &parts {
        let of_part = tracks_of(output, rendition, Some(joined.part), std::slice::from_ref(joined))?;
        for (whole, track) in whole.iter_mut().zip(of_part) {
            let begin = whole.ciphers.last().map_or(0, |(end, _)| *end);
            let (ciphers, kid) = ciphers(&track, rendition, keys)?;
            let ciphers = ciphers.into_iter();
            whole
                .ciphers
                .extend(ciphers.map(|(end, cipher)| (begin.saturating_add(end), cipher)));
            whole.kid = whole.kid.or(kid);
        }
    }
    Ok(whole)
}

/// A part of a rendition, and the key that opens its segments, where those are encrypted as whole files.
struct JoinedPart<'o> {
    part: &'o Part,
    key: Option<&'o ContentKey>,
}

impl<'o> JoinedPart<'o> {
    fn new((part, key): (&'o Part, &'o Option<(Kid, ContentKey)>)) -> Self {
        let key = key.as_ref().map(|(_, key)| key);
        Self { part, key }
    }
}

/// The tracks of parts behind an init segment.
fn tracks_of(
    output: &Output,
    rendition: &Rendition,
    init: Option<&Part>,
    parts: &[JoinedPart<'_>],
) -> Result<Vec<Track>, Failure> {
    let source = Arc::new(join(output, rendition, init, parts)?);
    let mut presentation = Presentation::default();
    presentation
        .add(&source, EncryptedInput::Accept)
        .map_err(|cause| InputError::in_source(&source, cause))?;
    Ok(presentation.tracks)
}

/// What opens a track's samples, run after run, see [`clear::encryption_runs`]; and the ID of the first key.
fn ciphers(track: &Track, rendition: &Rendition, keys: &mut Keys) -> Result<(Vec<Run>, Option<Kid>), Failure> {
    let mut ciphers = Vec::new();
    let mut first_kid = None;
    for (end, tenc) in clear::encryption_runs(track)? {
        let cipher = match (&track.encryption, &tenc) {
            (Some(encryption), Some(tenc)) => Some(cipher(track, encryption.scheme, tenc, rendition, keys)?),
            _ => None,
        };
        first_kid = first_kid.or(tenc.map(|tenc| tenc.kid));
        ciphers.push((end, cipher));
    }
    Ok((ciphers, first_kid))
}

/// What opens samples that are encrypted as `tenc` says.
fn cipher(
    track: &Track,
    scheme: FourCc,
    tenc: &TrackEncryption,
    rendition: &Rendition,
    keys: &mut Keys,
) -> Result<Cipher, Failure> {
    let constant_iv = tenc.constant_iv.as_deref().and_then(|iv| iv.try_into().ok()).map(Iv);
    let known = SampleScheme::of(scheme)
        .filter(|scheme| scheme.iv_sizes().contains(&tenc.per_sample_iv_size))
        .filter(|_| tenc.per_sample_iv_size > 0 || constant_iv.is_some());
    let Some(known) = known else {
        let file: &Path = track.source.path();
        let what = format!("'{scheme}' with such IVs is not how an output is encrypted");
        return Err(Failure::input(anyhow!("{}: {what}", file.display())));
    };
    let key = keys.find(tenc.kid, rendition)?;
    Ok(Cipher::new(known, &key, constant_iv, Pattern::of(tenc)))
}

/// The init segment of a part and the segments of `parts`, read as one: each segment as it was, where segments are encrypted as
/// whole files.
fn join(
    output: &Output,
    rendition: &Rendition,
    init: Option<&Part>,
    parts: &[JoinedPart<'_>],
) -> Result<Source, Failure> {
    let playlist = || output.folder.join(&rendition.playlist_file);
    let (init, range) = init
        .and_then(|part| Some((part.init_file.as_ref()?, part.init_range.clone())))
        .ok_or_else(|| {
            Failure::input(anyhow!(
                "{}: it is missing, or names no init segment",
                playlist().display()
            ))
        })?;
    let mut pieces = vec![(output.folder.join(init), Piece::from(range))];
    for JoinedPart { part, key } in parts {
        let segments = rendition.segments.get(part.segments.clone()).unwrap_or_default();
        for (index, segment) in part.segments.clone().zip(segments) {
            let path = output.folder.join(&segment.file);
            let Some(key) = key else {
                pieces.push((path, Piece::from(segment.range.clone())));
                continue;
            };
            let iv = rendition.segment_iv(index).ok_or_else(|| {
                let what = format!("segment {} has no EXT-X-KEY with an IV", index + 1);
                Failure::input(anyhow!("{}: {what}", playlist().display()))
            })?;
            let opened = OpenedSegment::open(path.clone(), key, iv)
                .with_context(|| path.display().to_string())
                .map_err(Failure::input)?;
            pieces.push((path, Piece::View(Box::new(opened))));
        }
    }
    for (path, piece) in &pieces {
        media::check_whole(path, piece)?;
    }
    Source::assemble(pieces).map_err(Failure::input)
}

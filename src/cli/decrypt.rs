//! `vylux-pack decrypt`: the clear asset back.

mod key_file;
mod keys;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, anyhow};
use serde::Serialize;
use vylux_pack::content_key::{ContentKey, Iv, Kid};
use vylux_pack::media::source::Piece;
use vylux_pack::media::{self, EncryptedInput, InputError, MediaKind, Presentation, Source, Track};
use vylux_pack::package::clear::{self, ClosedTrack};
use vylux_pack::package::{Control, StagedFile};
use vylux_pack::protect::whole_segment::OpenedSegment;
use vylux_pack::protect::{Cipher, Pattern, SampleScheme};
use vylux_pack::verify::{Output, Rendition};

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
    for (track_id, (rendition, track, segment_kid)) in (1..).zip(tracks) {
        let cipher = cipher(&track, rendition, &mut keys)?;
        reports.push(TrackReport {
            track_id,
            playlist: rendition.playlist_file.clone(),
            kind: track.kind,
            codec: track.codec.rfc6381(),
            samples: track.samples.len(),
            kid: segment_kid.or(track.encryption.as_ref().map(|encryption| encryption.tenc.kid)),
        });
        closed.push(ClosedTrack { track, cipher });
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

/// A track of a rendition, and the key that opened its segments, where those are encrypted as whole files.
type OpenedTrack<'o> = (&'o Rendition, Track, Option<Kid>);

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
        let init = rendition.init_file.as_ref().ok_or_else(|| {
            let playlist = output.folder.join(&rendition.playlist_file);
            Failure::input(anyhow!(
                "{}: it is missing, or names no init segment",
                playlist.display()
            ))
        })?;
        let segment_key = match rendition.key_uri().filter(|_| rendition.has_encrypted_segments()) {
            Some(uri) => Some(keys.find_by_uri(uri, rendition)?),
            None => None,
        };
        let key = segment_key.as_ref().map(|(_, key)| key);
        let source = Arc::new(join(output, rendition, init, key)?);
        let mut presentation = Presentation::default();
        presentation
            .add(&source, EncryptedInput::Accept)
            .map_err(|cause| InputError::in_source(&source, cause))?;
        let kid = segment_key.map(|(kid, _)| kid);
        tracks.extend(presentation.tracks.into_iter().map(|track| (rendition, track, kid)));
    }
    tracks.sort_by_key(|(_, track, _)| track.kind);
    Ok(tracks)
}

/// What opens a track's samples; `None` where they are clear.
fn cipher(track: &Track, rendition: &Rendition, keys: &mut Keys) -> Result<Option<Cipher>, Failure> {
    let Some(encryption) = &track.encryption else {
        return Ok(None);
    };
    let tenc = &encryption.tenc;
    let constant_iv = tenc.constant_iv.as_deref().and_then(|iv| iv.try_into().ok()).map(Iv);
    let scheme = SampleScheme::of(encryption.scheme)
        .filter(|scheme| tenc.is_protected && scheme.iv_sizes().contains(&tenc.per_sample_iv_size))
        .filter(|_| tenc.per_sample_iv_size > 0 || constant_iv.is_some());
    let Some(scheme) = scheme else {
        let file: &Path = track.source.path();
        let what = format!(
            "'{}' with such IVs is not how an output is encrypted",
            encryption.scheme
        );
        return Err(Failure::input(anyhow!("{}: {what}", file.display())));
    };
    let key = keys.find(tenc.kid, rendition)?;
    Ok(Some(Cipher::new(scheme, &key, constant_iv, Pattern::of(tenc))))
}

/// The files of a rendition, read as one: each segment as it was, where segments are encrypted as whole files.
fn join(output: &Output, rendition: &Rendition, init: &Path, key: Option<&ContentKey>) -> Result<Source, Failure> {
    let segments = rendition.segments.iter().enumerate().map(|(index, segment)| {
        let path = output.folder.join(&segment.file);
        let Some(key) = key else {
            return Ok((path, Piece::from(segment.range.clone())));
        };
        let iv = rendition.segment_iv(index).ok_or_else(|| {
            let playlist = output.folder.join(&rendition.playlist_file);
            let what = format!("segment {} has no EXT-X-KEY with an IV", index + 1);
            Failure::input(anyhow!("{}: {what}", playlist.display()))
        })?;
        let opened = OpenedSegment::open(path.clone(), key, iv)
            .with_context(|| path.display().to_string())
            .map_err(Failure::input)?;
        Ok((path, Piece::View(Box::new(opened))))
    });
    let of_init = Piece::from(rendition.init_range.clone());
    let init = std::iter::once(Ok((output.folder.join(init), of_init)));
    let parts: Vec<(PathBuf, Piece)> = init.chain(segments).collect::<Result<_, Failure>>()?;
    for (path, piece) in &parts {
        media::check_whole(path, piece)?;
    }
    Source::assemble(parts).map_err(Failure::input)
}

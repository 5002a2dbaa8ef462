//! `vylux-pack decrypt`: the clear asset back.

mod key_file;
mod keys;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::anyhow;
use serde::Serialize;
use vylux_pack::content_key::{Iv, Kid};
use vylux_pack::media::{self, EncryptedInput, InputError, MediaKind, Presentation, Source, Track};
use vylux_pack::package::clear::{self, ClosedTrack};
use vylux_pack::package::{Control, StagedFile};
use vylux_pack::protect::{CBCS, Cbcs, Pattern};
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
    let tracks = open(&output)?;
    let mut keys = Keys::new(args.key_file.as_deref(), &output.folder, args.quiet)?;
    let mut closed = Vec::new();
    let mut reports = Vec::new();
    for (track_id, (rendition, track)) in (1..).zip(tracks) {
        let cipher = cipher(&track, rendition, &mut keys)?;
        reports.push(TrackReport {
            track_id,
            playlist: rendition.playlist_file.clone(),
            kind: track.kind,
            codec: track.codec.rfc6381(),
            samples: track.samples.len(),
            kid: track.encryption.as_ref().map(|encryption| encryption.tenc.kid),
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

/// The track of each rendition, video first, as in the inputs that people make.
fn open(output: &Output) -> Result<Vec<(&Rendition, Track)>, Failure> {
    let mut tracks = Vec::new();
    let mut before = None;
    for rendition in output.files().filter_map(<[_]>::first) {
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
        let segments = rendition
            .segments
            .iter()
            .map(|segment| (&segment.file, segment.range.clone()));
        let parts: Vec<_> = std::iter::once((init, rendition.init_range.clone()))
            .chain(segments)
            .map(|(file, range)| (output.folder.join(file), range))
            .collect();
        for (file, range) in &parts {
            media::check_whole(file, range.clone())?;
        }
        let source = Arc::new(Source::join_ranges(parts).map_err(Failure::input)?);
        let mut presentation = Presentation::default();
        presentation
            .add(&source, EncryptedInput::Accept)
            .map_err(|cause| InputError::in_source(&source, cause))?;
        tracks.extend(presentation.tracks.into_iter().map(|track| (rendition, track)));
    }
    tracks.sort_by_key(|(_, track)| track.kind);
    Ok(tracks)
}

/// What opens a track's samples; `None` where they are clear.
fn cipher(track: &Track, rendition: &Rendition, keys: &mut Keys) -> Result<Option<Cbcs>, Failure> {
    let Some(encryption) = &track.encryption else {
        return Ok(None);
    };
    let tenc = &encryption.tenc;
    let iv = tenc.constant_iv.as_deref().and_then(|iv| iv.try_into().ok());
    let (CBCS, true, Some(iv)) = (encryption.scheme, tenc.is_protected, iv) else {
        let file: &Path = track.source.path();
        let what = "is not encrypted as an output is: by 'cbcs', with a constant IV of 16 bytes";
        return Err(Failure::input(anyhow!("{} {what}", file.display())));
    };
    let pattern = Pattern {
        crypt_blocks: tenc.crypt_byte_block,
        skip_blocks: tenc.skip_byte_block,
    };
    let key = keys.find(tenc.kid, rendition)?;
    Ok(Some(Cbcs::new(&key, Iv(iv), pattern)))
}

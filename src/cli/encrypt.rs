//! `vylux-pack encrypt`: from clear MP4 to an encrypted output.

mod report;
mod tree;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::Context;
use vylux_pack::keys::{BaseUrl, ContentId, KeyRing, TrackName, keys_file};
use vylux_pack::media::{Presentation, Track, fingerprint};
use vylux_pack::package::publish::{KEYS_FILE, Staging};
use vylux_pack::package::{Control, Name, PackageError, Protection, Rendition, hls, write_segments};
use vylux_pack::plan::{SegmentDuration, SegmentPlan};
use vylux_pack::protect::{Scheme, TrackProtection};
use vylux_pack::secret::{MASTER_KEY_HEX, SecretText, Settings};

use super::failure::Failure;
use super::interrupt;
use super::jobs::Jobs;
use super::output::{self, report as print};
use super::progress::Progress;
use super::records::{Content, Records, Settled, base_url, store_url};

/// Encrypt MP4 files into CMAF segments and HLS playlists
///
/// Each track of each input becomes a rendition: give several files for several qualities or languages.
/// Of an HLS tree, given by its multivariant or media playlist (.m3u8), the output is the same tree, encrypted.
/// The output appears in one step when all of it is there, and the same command gives the same bytes again.
#[derive(clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
#[command(
    after_help = "Secrets come from the environment or .env: MASTER_KEY_HEX and SALT_HEX, each also as NAME_FILE \
                        or NAME_COMMAND; `vylux-pack init` makes fresh ones. BASE_URL and DATABASE_URL are read there too."
)]
pub struct Args {
    /// Clear MP4 files, fragmented or not; or the playlist of one HLS tree, to encrypt it as it is cut
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,
    /// What the keys are derived from and asked for by: letters, digits, - and _
    #[arg(long, value_name = "ID")]
    content_id: ContentId,
    /// Where the key server answers, e.g. https://keys.example.com [default: BASE_URL]
    #[arg(long, value_name = "URL")]
    base_url: Option<BaseUrl>,
    /// Output folder [default: out/CONTENT_ID]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Length of segments in seconds, as near as keyframes allow
    #[arg(long, default_value = "6", value_name = "SECONDS")]
    segment_duration: SegmentDuration,
    /// Protection: cbcs, or none to package without encrypting
    #[arg(long, default_value = "cbcs")]
    scheme: Scheme,
    #[command(flatten)]
    jobs: Jobs,
    /// Record store [default: DATABASE_URL, else sqlite://vylux-pack.db]
    #[arg(long, value_name = "URL", conflicts_with = "no_store")]
    store: Option<String>,
    /// Write the key record to keys.json alone
    #[arg(long)]
    no_store: bool,
    /// Replace what was encrypted under this content ID from other media
    #[arg(long)]
    replace: bool,
    /// Flush the output to disk before it is published, so that it outlives a power cut
    #[arg(long)]
    sync: bool,
    /// Say what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// Print nothing but errors
    #[arg(long, short)]
    quiet: bool,
    /// Write a .env with fresh secrets first, if there is none
    #[arg(long)]
    init: bool,
}

/// The keys of what is encrypted, and the record that says so.
struct Encryption {
    tracks: Vec<TrackProtection>,
    records: Records,
    settled: Settled,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let started = Instant::now();
    let mut settings = Settings::load().map_err(Failure::usage)?;
    if args.init && !args.dry_run && !settings.has_secret(MASTER_KEY_HEX) && !Path::new(".env").exists() {
        super::init::write_env(args.quiet || args.json)?;
        settings = Settings::load().map_err(Failure::usage)?;
    }
    let cancelled = interrupt::flag()?;
    let output = args
        .out
        .clone()
        .unwrap_or_else(|| Path::new("out").join(args.content_id.as_str()));

    if let Some(playlist) = tree::playlist(&args.inputs)? {
        return tree::run(args, playlist, &settings, &output, (&cancelled, started));
    }
    let presentation = Presentation::open(&args.inputs)?;
    if !args.quiet {
        presentation.warnings.iter().for_each(|warning| output::warn(warning));
    }
    let plan = SegmentPlan::new(&presentation.tracks, args.segment_duration).map_err(Failure::input)?;
    let names = Name::all(&presentation.tracks);
    let encryption = match args.scheme {
        Scheme::None if !args.replace && output.join(KEYS_FILE).exists() => {
            let what =
                "is an encrypted output; package it in the clear over that with --replace, or name another --out";
            return Err(Failure::work(anyhow::anyhow!("{} {what}", output.display())));
        }
        Scheme::None => None,
        Scheme::Cbcs => {
            let names: Vec<&str> = names.iter().map(Name::as_str).collect();
            Some(prepare_keys(args, &settings, &presentation.tracks, &names, &output)?)
        }
    };

    let renditions: Vec<Rendition<'_>> = presentation
        .tracks
        .iter()
        .zip(&plan.tracks)
        .zip(names)
        .enumerate()
        .map(|(index, ((track, plan), name))| {
            let protection = encryption.as_ref().and_then(|encryption| {
                let track = encryption.tracks.get(index)?;
                Some(Protection {
                    track,
                    key_uri: &encryption.settled.record.key_uri,
                })
            });
            Rendition {
                name,
                track,
                plan,
                protection,
            }
        })
        .collect();

    let written = if args.dry_run {
        None
    } else {
        let total = presentation.tracks.iter().map(|track| track.samples.bytes()).sum();
        let progress = Progress::new(total, args.quiet || args.json);
        let staging = Staging::create(&output)?;
        let control = Control {
            jobs: args.jobs.count(),
            cancelled: &cancelled,
            progress: &|bytes| progress.add(bytes),
        };
        let written = write_segments(&renditions, staging.folder(), &control);
        progress.finish();
        let written = written?;
        hls::write_playlists(&renditions, &written, staging.folder())?;
        Some((staging, written))
    };
    let report = report::Report::new(
        args,
        &output,
        &renditions,
        written.as_ref().map(|(_, written)| &**written),
    );

    if let Some((staging, _)) = written {
        publish(args, staging, encryption, &cancelled)?;
    }
    if args.json {
        output::json(&report)?;
    } else if !args.quiet {
        report.print(started.elapsed())?;
    }
    Ok(())
}

/// Stores the record, and puts the output in its place.
fn publish(
    args: &Args,
    staging: Staging,
    encryption: Option<Encryption>,
    cancelled: &AtomicBool,
) -> Result<(), Failure> {
    if let Some(Encryption { records, settled, .. }) = encryption {
        let record = records.store(settled)?;
        keys_file::write(&staging.folder().join(KEYS_FILE), &[record]).map_err(Failure::work)?;
    }
    if args.sync {
        staging.sync()?;
    }
    if cancelled.load(Ordering::Relaxed) {
        return Err(PackageError::Cancelled.into());
    }
    Ok(staging.publish(args.sync)?)
}

/// Derives the keys, and finds or makes the record; `names` has one a track.
fn prepare_keys(
    args: &Args,
    settings: &Settings,
    tracks: &[Track],
    names: &[&str],
    output: &Path,
) -> Result<Encryption, Failure> {
    let keys = KeyRing::load(settings).map_err(Failure::usage)?;
    let base_url = base_url(args.base_url.clone(), settings)?;
    let url = store_url(args.store.clone(), args.no_store, settings)?;
    let records = Records::open(
        url.as_ref().map(SecretText::expose),
        &args.content_id,
        output,
        args.dry_run,
    )?;
    let media_fingerprint = hex::encode(fingerprint(tracks));
    let content = Content {
        id: &args.content_id,
        scheme: args.scheme.name(),
        media_fingerprint: &media_fingerprint,
        base_url: &base_url,
    };
    let settled = records.settle(&keys, &content, args.replace)?;
    let master = keys.primary();
    let key = master.content_key(&args.content_id, None);
    let tracks = tracks.iter().zip(names).map(|(track, name)| {
        let name: TrackName = name.parse().context("a rendition's name").map_err(Failure::work)?;
        let iv = master.iv(&args.content_id, &name, None);
        Ok(TrackProtection::cbcs(track, &key, settled.record.kid, iv))
    });
    Ok(Encryption {
        tracks: tracks.collect::<Result<_, Failure>>()?,
        records,
        settled,
    })
}

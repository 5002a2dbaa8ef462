//! `vylux-pack verify`: an independent look at an output.

mod apple;
mod keys;

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use vylux_pack::keys::DATABASE_URL;
use vylux_pack::media::{MediaKind, Presentation, Tree};
use vylux_pack::protect::Pattern;
use vylux_pack::secret::Settings;
use vylux_pack::verify::{Check, Output, Report};

use super::decimal;
use super::failure::Failure;
use super::jobs::Jobs;
use super::key_format::KeyFormatOptions;
use super::output::{self, report as print};
use super::progress::Progress;
use super::records::store_url;
use super::track_options::TrackOptions;

/// Check an output: playlists, boxes, keys and every sample
///
/// Exit code 4 says that something differs, and each difference names its file, sample and byte.
/// With --source, every sample is compared with the one it was made from.
///
/// With --apple, anybody's HLS output is checked against Apple's HLS authoring specification instead, rule by rule: no secrets,
/// no keys. Exit code 4 says that a rule which MUST be kept is broken.
#[derive(clap::Args)]
#[command(
    after_help = "An encrypted output is opened with the secrets it was made with: MASTER_KEY_HEX and SALT_HEX, and \
                  KEK_HEX if it was set, from the environment or .env."
)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub struct Args {
    /// Output folder; of an HLS tree, its playlist
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// Check it against Apple's HLS authoring specification, whoever made it
    #[arg(long, conflicts_with_all = ["source", "pattern", "key_format", "store", "no_store"])]
    apple: bool,
    /// The inputs it was made from, in the same order; of an HLS tree, the playlist that was given
    #[arg(long, value_name = "INPUT", num_args = 1..)]
    source: Vec<PathBuf>,
    /// Blocks of video that cbcs and cens encrypt and skip, as given to encrypt
    #[arg(long, value_name = "CRYPT:SKIP", default_value = "1:9")]
    pattern: Pattern,
    #[command(flatten)]
    key_format: KeyFormatOptions,
    #[command(flatten)]
    track_options: TrackOptions,
    #[command(flatten)]
    jobs: Jobs,
    /// Record store [default: DATABASE_URL, else sqlite://vylux-pack.db if it is there]
    #[arg(long, value_name = "URL", conflicts_with = "no_store")]
    store: Option<String>,
    /// Compare keys with keys.json alone
    #[arg(long)]
    no_store: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// Print the report of --apple as SARIF 2.1.0
    #[arg(long, requires = "apple", conflicts_with = "json")]
    sarif: bool,
    /// Print nothing but errors
    #[arg(long, short)]
    quiet: bool,
}

/// What an output was made from.
enum Origin {
    Files(Presentation),
    Tree(Box<Tree>),
}

impl Origin {
    fn open(paths: &[PathBuf], options: &TrackOptions) -> Result<Option<Self>, Failure> {
        let has_options = !options.words().is_empty();
        match paths {
            [] if has_options => Err(Failure::usage(anyhow!("--track is about a source; give --source too"))),
            [] => Ok(None),
            [path] if Tree::is_playlist(path) => {
                if has_options {
                    return Err(Failure::usage(anyhow!(
                        "a tree keeps what its playlists say; leave --track out"
                    )));
                }
                Ok(Some(Self::Tree(Box::new(Tree::open(path)?))))
            }
            paths => {
                let mut presentation = Presentation::open(paths)?;
                options.apply(&mut presentation)?;
                Ok(Some(Self::Files(presentation)))
            }
        }
    }

    const fn presentation(&self) -> &Presentation {
        match self {
            Self::Files(presentation) => presentation,
            Self::Tree(tree) => &tree.presentation,
        }
    }

    fn tree(&self) -> Option<&Tree> {
        match self {
            Self::Files(_) => None,
            Self::Tree(tree) => Some(tree),
        }
    }
}

pub fn run(args: &Args) -> Result<(), Failure> {
    if args.apple {
        if !args.track_options.words().is_empty() {
            return Err(Failure::usage(anyhow!(
                "--track is about a source, and --apple needs none"
            )));
        }
        let format = match args {
            Args { sarif: true, .. } => apple::Format::Sarif,
            Args { json: true, .. } => apple::Format::Json,
            Args { quiet: true, .. } => apple::Format::Nothing,
            _ => apple::Format::Text,
        };
        return apple::run(&args.output, format);
    }
    let started = Instant::now();
    let mut output = Output::read(&args.output)?;
    let source = Origin::open(&args.source, &args.track_options)?;
    let presentation = source.as_ref().map(Origin::presentation);
    let keys = if output.is_encrypted() {
        let settings = Settings::load().map_err(Failure::usage)?;
        let store = keys::StoreChoice {
            is_chosen: args.store.is_some() || settings.has_secret(DATABASE_URL),
            url: store_url(args.store.clone(), args.no_store, &settings)?,
        };
        keys::check(&mut output, &settings, &store, &args.key_format, presentation)?
    } else {
        Vec::new()
    };
    let progress = Progress::new(output.bytes(), args.quiet || args.json);
    let report = output.check(&Check {
        keys: &keys,
        pattern: args.pattern,
        key_format: &args.key_format.format(),
        source: presentation,
        tree: source.as_ref().and_then(Origin::tree),
        jobs: args.jobs.count(),
        progress: &|bytes| progress.add(bytes),
    });
    progress.finish();
    let report = report?;
    if args.json {
        output::json(&report)?;
    } else if !args.quiet {
        print_report(&report, started.elapsed())?;
    }
    match report.differences.first() {
        None => Ok(()),
        Some(first) => {
            let (count, folder) = (report.difference_count, report.output.display());
            let plural = if count == 1 { "" } else { "s" };
            Err(Failure::different(anyhow!(
                "{folder} has {count} difference{plural}; the first is in {first}"
            )))
        }
    }
}

/// For a person: what was checked, and what differs.
fn print_report(report: &Report, elapsed: Duration) -> io::Result<()> {
    let folder = report.output.display();
    match report.difference_count {
        0 => print!("{folder} is as it should be")?,
        1 => print!("{folder} has 1 difference")?,
        count => print!("{folder} has {count} differences")?,
    }
    for difference in &report.differences {
        print!("  {difference}")?;
    }
    let left_out = report.difference_count.saturating_sub(report.differences.len() as u64);
    if left_out > 0 {
        print!("  and {left_out} more")?;
    }
    print!(
        "Checked: playlists, boxes{}",
        if report.encrypted { ", keys" } else { "" }
    )?;
    for track in &report.tracks {
        let how = match (track.opened, track.kid.is_some(), report.compared_with_source) {
            (false, ..) => "not opened",
            (true, true, true) => "decrypted and compared with the source",
            (true, true, false) => "decrypted",
            (true, false, true) => "compared with the source",
            (true, false, false) => "read",
        };
        let (unknown, what) = match track.kind {
            Some(MediaKind::Text) if track.codec.is_none() => ("WebVTT", "cues"),
            _ => ("unknown", "samples"),
        };
        print!(
            "  {:<28} {:<12} {} segments, {} {what}, {:.3} s, {}, {how}",
            track.playlist.display(),
            track.codec.as_deref().unwrap_or(unknown),
            track.segments,
            track.samples,
            track.duration_s,
            decimal::bytes(track.bytes)
        )?;
    }
    for note in &report.notes {
        print!("  note: {note}")?;
    }
    print!("  {} in {:.2} s", decimal::bytes(report.bytes), elapsed.as_secs_f64())
}

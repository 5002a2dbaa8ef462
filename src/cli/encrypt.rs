//! `vylux-pack encrypt`: from clear MP4 to an encrypted output.

mod keys;
#[cfg(feature = "server")]
mod policy;
mod report;
mod signal;
pub mod standard_input;
mod tree;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use vylux_pack::codec::Captions;
use vylux_pack::content_key::Generation;
use vylux_pack::keys::{BaseUrl, ContentId, keys_file};
use vylux_pack::media::{Presentation, Source, Track};
use vylux_pack::package::publish::{KEYS_FILE, OutputLock, Staging};
use vylux_pack::package::{
    CaptionsLabels, Control, Labels, Name, Names, PackageError, Period, Rendition, TextRendition, WrittenRendition,
    dash, generations, hls, single_file, write_segments, write_text,
};
use vylux_pack::plan::{SegmentDuration, SegmentPlan, TextPlan};
use vylux_pack::protect::{Pattern, SampleScheme, Scheme};
use vylux_pack::secret::{MASTER_KEY_HEX, Settings};

use super::captions_options::{self, CaptionsOptions};
use super::failure::Failure;
use super::interrupt;
use super::job_file::JobFile;
use super::jobs::Jobs;
use super::output::{self, report as print};
use super::progress::Progress;
use super::records::recorded_generations;
use super::track_options::{AllLabels, TrackOptions};
use keys::{Encryption, KeyOptions};
use signal::SignalOptions;
use standard_input::is_meant;

/// Policies that are words, where others are files.
pub const PLAIN_POLICIES: [&str; 2] = ["public", "token"];

/// Encrypt MP4 files into CMAF segments and HLS playlists
///
/// Each track of each input becomes a rendition: give several files for several qualities or languages. WebVTT becomes
/// subtitles, which stay clear; their language is the end of the file's name, as in film_en.vtt or film.pt-BR.vtt.
/// Of an HLS tree, given by its multivariant or media playlist (.m3u8), the output is the same tree, encrypted.
/// The output appears in one step when all of it is there, and the same command gives the same bytes again, but for cenc and
/// cens, whose IVs must never come again.
#[derive(clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
#[command(
    after_help = "Secrets come from the environment or .env: MASTER_KEY_HEX and SALT_HEX, each also as NAME_FILE \
                        or NAME_COMMAND; `vylux-pack init` makes fresh ones. BASE_URL and DATABASE_URL are read there too."
)]
pub struct Args {
    /// Clear MP4 files, fragmented or not, and WebVTT files; - is standard input; or the playlist of one HLS tree
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
    /// Protection: cbcs, cenc, cens or cbc1 of samples, aes-128 of whole segments, or none
    #[arg(long, default_value = "cbcs")]
    scheme: Scheme,
    /// Blocks of video that cbcs and cens encrypt and skip; players of HLS want 1:9 [default: 1:9]
    #[arg(long, value_name = "CRYPT:SKIP")]
    pattern: Option<Pattern>,
    /// Bytes of each sample's IV under cenc and cens, 8 or 16 [default: 8]
    #[arg(long, value_name = "BYTES", value_parser = ["8", "16"])]
    iv_size: Option<String>,
    /// Write each rendition of MP4 as one file, with an index, in place of a file a segment
    #[arg(long)]
    single_file: bool,
    /// Take video whose keyframes or ends lie elsewhere as it is, with a warning
    #[arg(long)]
    allow_misaligned: bool,
    /// Write no manifest.mpd of DASH beside the HLS playlists; of whole segments (aes-128) and of trees there is none
    #[arg(long)]
    no_dash: bool,
    #[command(flatten)]
    key_options: KeyOptions,
    #[command(flatten)]
    signal: SignalOptions,
    #[command(flatten)]
    track_options: TrackOptions,
    #[command(flatten)]
    captions_options: CaptionsOptions,
    #[command(flatten)]
    job_file: JobFile,
    #[command(flatten)]
    jobs: Jobs,
    /// Record store [default: DATABASE_URL, else sqlite://vylux-pack.db]
    #[arg(long, value_name = "URL", conflicts_with = "no_store")]
    store: Option<String>,
    /// Write the key record to keys.json alone
    #[arg(long)]
    no_store: bool,
    /// Who may have the keys: public, token, or a JSON file as `vylux-pack policy set --file` takes it [default: as it was, else token]
    #[cfg(feature = "server")]
    #[arg(long, value_name = "POLICY", value_hint = clap::ValueHint::AnyPath, conflicts_with = "no_store")]
    policy: Option<String>,
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

impl Args {
    /// Refuses options that the scheme has no use for.
    fn check_scheme(&self) -> Result<(), Failure> {
        let (name, of_samples) = match self.scheme {
            Scheme::Samples(scheme) => (scheme.name(), Some(scheme)),
            scheme => (scheme.name(), None),
        };
        if self.pattern.is_some() && !of_samples.is_some_and(SampleScheme::has_pattern) {
            return Err(Failure::usage(anyhow!(
                "--pattern is of cbcs and cens; {name} has none"
            )));
        }
        if self.iv_size.is_some() && !of_samples.is_some_and(SampleScheme::is_ctr) {
            return Err(Failure::usage(anyhow!(
                "--iv-size is of cenc and cens; {name} has no choice"
            )));
        }
        Ok(())
    }

    /// Bytes of each sample's IV under a CTR scheme.
    fn iv_size(&self) -> u8 {
        if self.iv_size.as_deref() == Some("16") { 16 } else { 8 }
    }

    /// Whether a manifest of DASH is written: it has no word for whole segments that are encrypted.
    fn writes_dash(&self) -> bool {
        !self.no_dash && self.scheme != Scheme::Segments
    }

    /// What players may not know.
    fn scheme_warning(&self) -> Option<&'static str> {
        match self.scheme {
            Scheme::Samples(SampleScheme::Cenc) => Some(
                "cenc: Apple's players play cbcs alone (authoring specification, 13.7); others play it by METHOD=SAMPLE-AES-CTR",
            ),
            Scheme::Samples(SampleScheme::Cens) => Some(
                "cens: HLS has no METHOD for it; the playlists say SAMPLE-AES-CTR, and the init segments say what it is",
            ),
            Scheme::Samples(SampleScheme::Cbc1) => Some(
                "cbc1: HLS has no METHOD for it; the playlists say SAMPLE-AES, and the init segments say what it is",
            ),
            Scheme::Samples(SampleScheme::Cbcs)
                if self.pattern.is_some_and(|pattern| pattern != Pattern::ONE_IN_TEN) =>
            {
                Some("cbcs: Apple's players want the pattern 1:9 (authoring specification, 13.7)")
            }
            Scheme::Samples(SampleScheme::Cbcs) | Scheme::Segments | Scheme::None => None,
        }
    }
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let started = Instant::now();
    let mut settings = Settings::load().map_err(Failure::usage)?;
    if args.init && !args.dry_run && !settings.has_secret(MASTER_KEY_HEX) && !Path::new(".env").exists() {
        super::init::write_env(args.quiet || args.json)?;
        settings = Settings::load().map_err(Failure::usage)?;
    }
    args.check_scheme()?;
    let cancelled = interrupt::flag()?;
    let output = args
        .out
        .clone()
        .unwrap_or_else(|| Path::new("out").join(args.content_id.as_str()));

    let _lock = (!args.dry_run).then(|| lock(&output, &cancelled)).transpose()?;
    if let Some(playlist) = tree::playlist(&args.inputs)? {
        return tree::run(args, playlist, &settings, &output, (&cancelled, started));
    }
    let captions = args.captions_options.read()?;
    let (presentation, labels) = open(args, &output, &cancelled)?;
    if !args.quiet {
        args.scheme_warning().iter().for_each(|warning| output::warn(warning));
    }
    let plan = plan(args, &presentation.tracks)?;
    let subtitles = presentation.subtitles.iter();
    let text_plans = subtitles.map(|subtitles| TextPlan::new(subtitles, plan.reference()));
    let text_plans: Vec<TextPlan> = text_plans.collect::<Result<_, _>>().map_err(Failure::input)?;
    let names = Name::all(&presentation);
    let encryption = prepare_keys(args, &settings, &presentation, (&plan, &names), &output)?;

    let names = names.of_generation(encryption.as_ref().and_then(Encryption::generation));
    let said = names.tracks.into_iter().zip(labels.tracks);
    let renditions = renditions(args, (&presentation.tracks, &plan), said, encryption.as_ref());
    check_single_file(args, &renditions)?;
    let text_names = names.subtitles.into_iter().zip(labels.subtitles);
    let texts = presentation.subtitles.iter().zip(&text_plans).zip(text_names);
    let texts: Vec<TextRendition<'_>> = texts
        .map(|((subtitles, plan), (name, labels))| TextRendition {
            name,
            subtitles,
            plan,
            labels,
        })
        .collect();

    let key_format = args.signal.format.format();
    let written = if args.dry_run {
        None
    } else {
        let total = presentation.tracks.iter().map(|track| track.samples.bytes()).sum();
        let progress = Progress::new(total, args.quiet || args.json);
        let control = Control {
            jobs: args.jobs.count(),
            cancelled: &cancelled,
            progress: &|bytes| progress.add(bytes),
        };
        let licence_url = encryption.as_ref().map(Encryption::licence_url);
        let signal = Signal {
            key_format: &key_format,
            for_clear_key: args.signal.clearkey_playlists,
            manifest: args.writes_dash().then_some(Manifest { licence_url }),
            captions: &captions,
        };
        let older = match &encryption {
            Some(encryption) => encryption.recorded(),
            None => recorded_generations(&output)?,
        };
        let written = write(&renditions, &texts, signal, (&output, &older), &control);
        progress.finish();
        Some(written?)
    };
    let of_both = written.as_ref().map(|written| (&*written.tracks, &*written.texts));
    let report = report::Report::new(args, &output, &renditions, &texts, of_both, encryption.as_ref());

    if let Some(Written { staging, .. }) = written {
        publish(args, staging, encryption, &cancelled)?;
    }
    if args.json {
        output::json(&report)?;
    } else if !args.quiet {
        report.print(started.elapsed())?;
    }
    Ok(())
}

/// All tracks as they are cut, protected and named.
fn renditions<'a>(
    args: &Args,
    (tracks, plan): (&'a [Track], &'a SegmentPlan),
    said: impl Iterator<Item = (Name, Labels)>,
    encryption: Option<&'a Encryption>,
) -> Vec<Rendition<'a>> {
    let cut = tracks.iter().zip(&plan.tracks).zip(said).enumerate();
    cut.map(|(index, ((track, plan), (name, labels)))| {
        let clear = || {
            let segments = 0..plan.segments.len();
            vec![Period {
                segments,
                protection: None,
            }]
        };
        let periods = encryption.map(|encryption| encryption.periods(index));
        Rendition {
            name,
            track,
            plan,
            periods: periods.unwrap_or_else(clear),
            sample_groups: args.key_options.sample_groups(),
            is_single_file: args.single_file,
            labels,
        }
    })
    .collect()
}

/// How often a run looks whether another one has ended that changes the same output.
const LOCK_INTERVAL: Duration = Duration::from_millis(100);

/// Waits until nobody changes the output: what is read of it must still be so when it is replaced.
fn lock(output: &Path, cancelled: &AtomicBool) -> Result<OutputLock, Failure> {
    loop {
        if let Some(lock) = OutputLock::shared(output)? {
            return Ok(lock);
        }
        if cancelled.load(Ordering::Relaxed) {
            return Err(PackageError::Cancelled.into());
        }
        thread::sleep(LOCK_INTERVAL);
    }
}

/// Refuses what can't be one file: it has one init segment, and an index that counts its segments in 16 bits.
fn check_single_file(args: &Args, renditions: &[Rendition<'_>]) -> Result<(), Failure> {
    if !args.single_file {
        return Ok(());
    }
    if args.scheme == Scheme::Segments {
        return Err(Failure::usage(anyhow!(
            "aes-128 encrypts each segment as a file of its own; leave --single-file out, or choose another --scheme"
        )));
    }
    for rendition in renditions {
        let (name, segments) = (rendition.name.as_str(), rendition.plan.segments.len());
        if rendition.init_segments().any(|index| index > 0) {
            let what = "its keys change, each behind an init segment of its own; change them by --seig, or leave";
            return Err(Failure::usage(anyhow!(
                "{name} can't be a single file: {what} --single-file out"
            )));
        }
        if segments > single_file::MAX_SEGMENTS {
            let most = single_file::MAX_SEGMENTS;
            let what = format!("it has {segments} segments, and its index can count {most}; raise --segment-duration");
            return Err(Failure::usage(anyhow!("{name} can't be a single file: {what}")));
        }
    }
    Ok(())
}

/// Cuts all tracks. Video that can't be cut with the others is an error, or a warning.
fn plan(args: &Args, tracks: &[Track]) -> Result<SegmentPlan, Failure> {
    let (plan, misaligned) = SegmentPlan::with_misaligned(tracks, args.segment_duration).map_err(Failure::input)?;
    match misaligned.first() {
        Some(error) if !args.allow_misaligned => {
            let hint = "or take it as it is with --allow-misaligned";
            return Err(Failure::input(anyhow!("{error}, {hint}")));
        }
        Some(_) if !args.quiet => misaligned.iter().for_each(|error| output::warn(&error.to_string())),
        _ => {}
    }
    Ok(plan)
}

/// The keys of a presentation; `None` where it stays clear.
fn prepare_keys(
    args: &Args,
    settings: &Settings,
    presentation: &Presentation,
    (plan, names): (&SegmentPlan, &Names),
    output: &Path,
) -> Result<Option<Encryption>, Failure> {
    if args.scheme == Scheme::None {
        if !args.replace && output.join(KEYS_FILE).exists() {
            let what =
                "is an encrypted output; package it in the clear over that with --replace, or name another --out";
            return Err(Failure::work(anyhow!("{} {what}", output.display())));
        }
        args.key_options.check_none("--scheme none has no keys")?;
        #[cfg(feature = "server")]
        if args.policy.is_some() {
            return Err(Failure::usage(anyhow!("--scheme none has no keys; leave --policy out")));
        }
        args.signal.check(args.scheme, 0)?;
        return Ok(None);
    }
    let names: Vec<&str> = names.tracks.iter().map(Name::as_str).collect();
    let periods = args.key_options.periods(plan)?;
    keys::prepare(args, settings, &presentation.tracks, &names, &periods, (output, true)).map(Some)
}

/// Opens all inputs, warns of what is left out, and gives tracks the labels that were chosen.
fn open(args: &Args, output: &Path, cancelled: &AtomicBool) -> Result<(Presentation, AllLabels), Failure> {
    let mut spooled = standard_input::spool(&args.inputs, output, cancelled)?;
    let mut presentation = Presentation::open_by(&args.inputs, |path| match spooled.take_if(|_| is_meant(path)) {
        Some(file) => Source::of(file, path),
        None => Source::open(path),
    })?;
    let labels = args.track_options.apply(&mut presentation)?;
    if !args.quiet {
        presentation.warnings.iter().for_each(|warning| output::warn(warning));
    }
    SegmentPlan::cut_text(&mut presentation.tracks, args.segment_duration).map_err(Failure::input)?;
    Ok((presentation, labels))
}

/// An output that is not published yet, and what was written of tracks and subtitles.
struct Written {
    staging: Staging,
    tracks: Vec<WrittenRendition>,
    texts: Vec<WrittenRendition>,
}

/// Which playlists and manifests are written, and what they say of keys and captions.
struct Signal<'a> {
    key_format: &'a hls::KeyFormat,
    for_clear_key: bool,
    manifest: Option<Manifest<'a>>,
    captions: &'a [CaptionsLabels],
}

/// A manifest of DASH that is to be written.
struct Manifest<'a> {
    /// Where players get the keys, where all is not clear.
    licence_url: Option<&'a str>,
}

/// Writes all segments, playlists, and the manifest.
fn write(
    renditions: &[Rendition<'_>],
    texts: &[TextRendition<'_>],
    Signal {
        key_format,
        for_clear_key,
        manifest,
        captions,
    }: Signal<'_>,
    (output, older): (&Path, &BTreeSet<Option<Generation>>),
    control: &Control<'_>,
) -> Result<Written, Failure> {
    let staging = Staging::create(output, older)?;
    let written = write_segments(renditions, staging.folder(), control)?;
    let carried = written.iter().map(|rendition| rendition.captions);
    captions_options::check_carried(captions, carried.fold(Captions::default(), Captions::and))?;
    let written_texts = write_text(texts, staging.folder(), control)?;
    let contents = hls::Contents {
        renditions,
        written: &written,
        texts,
        written_texts: &written_texts,
        captions,
        key_format,
        for_clear_key,
    };
    hls::write_playlists(&contents, staging.folder())?;
    if let Some(Manifest { licence_url }) = manifest {
        dash::write_manifest(&contents, licence_url, staging.folder())?;
    }
    Ok(Written {
        staging,
        tracks: written,
        texts: written_texts,
    })
}

/// Stores the record, and puts the output in its place.
fn publish(
    args: &Args,
    staging: Staging,
    encryption: Option<Encryption>,
    cancelled: &AtomicBool,
) -> Result<(), Failure> {
    if let Some(encryption) = encryption {
        // Before the records say that it is there.
        generations::keep(&staging, &encryption.kept())?;
        let records = encryption.store()?;
        keys_file::write(&staging.folder().join(KEYS_FILE), &records).map_err(Failure::work)?;
    }
    if args.sync {
        staging.sync()?;
    }
    if cancelled.load(Ordering::Relaxed) {
        return Err(PackageError::Cancelled.into());
    }
    Ok(staging.publish(args.sync)?)
}

//! The keys of what is encrypted: which rendition has which, when they change, and the records that say so.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use vylux_pack::content_key::{Generation, Iv, Kid};
use vylux_pack::isobmff::pssh::ProtectionSystemHeader;
use vylux_pack::keys::{KeyName, KeyRecord, KeyRing, Master, TrackName};
use vylux_pack::media::{MediaKind, Time, Timescale, Track, fingerprint};
use vylux_pack::package::{KeyedProtection, Period};
use vylux_pack::plan::SegmentPlan;
use vylux_pack::plan::periods::{KeyChanges, LeadTime, PeriodStart, Rotation};
use vylux_pack::protect::{Ivs, Pattern, Protection, SampleScheme, Scheme, SegmentProtection, TrackProtection};
use vylux_pack::secret::{SecretText, Settings};

use super::Args;
#[cfg(feature = "server")]
use super::policy::NewPolicy;
use super::signal::SignalOptions;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::cli::records::{Content, Records, Settled, Settlement, base_url, store_url};

/// Which renditions share a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Sharing {
    /// All of them
    Single,
    /// None: each has a key of its own
    PerTrack,
    /// All video, and all audio
    PerType,
    /// All audio; all video up to 768x576 (sd), up to 1920x1080 (hd), and above (uhd)
    PerResolution,
}

/// Options that say which key is used where.
#[derive(Debug, clap::Args)]
pub struct KeyOptions {
    /// Which renditions share a key; each key has an ID and a URI of its own
    #[arg(long = "keys", value_enum, value_name = "SHARING", default_value = "single")]
    sharing: Sharing,
    /// Change the key this often, at the start of a segment: 90s, 10m, 1h, or a number of segments such as 100seg
    #[arg(long, value_name = "PERIOD")]
    rotate_every: Option<Rotation>,
    /// Leave the beginning clear, at least this long: 10s
    #[arg(long, value_name = "TIME")]
    clear_lead: Option<LeadTime>,
    /// Change keys by sample groups (seig) within one init segment, in place of an init segment for each key
    #[arg(long)]
    seig: bool,
}

/// The largest pictures of a resolution's key, in samples of luma: those that Shaka Packager calls SD and HD.
const RESOLUTIONS: [(&str, u32); 2] = [("sd", 768 * 576), ("hd", 1920 * 1080)];

impl Sharing {
    /// The name of the key of a track whose rendition has this name; `None` is the content's primary key.
    fn key_name(self, track: &Track, rendition: &str) -> Option<String> {
        let of_kind = || match track.kind {
            MediaKind::Video => "video",
            MediaKind::Audio | MediaKind::Text => "audio",
        };
        let of_resolution = || {
            let (width, height) = track.dimensions;
            let samples = u32::from(width) * u32::from(height);
            let name = RESOLUTIONS.iter().find(|(_, most)| samples <= *most);
            name.map_or("uhd", |(name, _)| name)
        };
        match self {
            Self::Single => None,
            Self::PerTrack => Some(rendition.to_owned()),
            Self::PerResolution if track.kind == MediaKind::Video => Some(of_resolution().to_owned()),
            Self::PerType | Self::PerResolution => Some(of_kind().to_owned()),
        }
    }
}

impl KeyOptions {
    /// Refuses options that say how keys differ, where all is to have one.
    pub fn check_none(&self, what: &str) -> Result<(), Failure> {
        let given = [
            ("--keys", self.sharing != Sharing::Single),
            ("--rotate-every", self.rotate_every.is_some()),
            ("--clear-lead", self.clear_lead.is_some()),
            ("--seig", self.seig),
        ];
        match given.iter().find(|(_, is_given)| *is_given) {
            None => Ok(()),
            Some((name, _)) => Err(Failure::usage(anyhow!("{what}; leave {name} out"))),
        }
    }

    /// Whether keys change by sample groups.
    pub const fn sample_groups(&self) -> bool {
        self.seig
    }

    /// Refuses sample groups where there is nothing to tell by them.
    fn check_groups(&self, scheme: Scheme) -> Result<(), Failure> {
        if !self.seig {
            return Ok(());
        }
        if !matches!(scheme, Scheme::Samples(_)) {
            let scheme = scheme.name();
            let what = "--seig is of schemes that protect samples, as cbcs";
            return Err(Failure::usage(anyhow!("{what}; the samples of {scheme} are clear")));
        }
        if self.rotate_every.is_none() && self.clear_lead.is_none() {
            let what = "--seig tells where keys change, and no key does: it would add nothing";
            return Err(Failure::usage(anyhow!(
                "{what}; give --rotate-every or --clear-lead with it"
            )));
        }
        Ok(())
    }

    /// What players stop at, of the schemes that they play (docs/hls.md).
    fn player_warning(&self, scheme: Scheme, for_clear_key: bool) -> Option<&'static str> {
        if !matches!(scheme, Scheme::Samples(SampleScheme::Cbcs | SampleScheme::Cenc)) {
            return None;
        }
        if self.clear_lead.is_some() && !self.seig {
            return Some(
                "--clear-lead: hls.js may stop where the encrypted part begins, and plays it with --seig; Shaka Player plays both",
            );
        }
        if self.rotate_every.is_some() && self.seig && !for_clear_key {
            return Some(
                "--seig with --rotate-every: of the players that were tried, hls.js alone plays on behind the first key, by the \
                 playlists that --clearkey-playlists adds; leave --seig out for the others",
            );
        }
        None
    }

    /// The segments of each period of each track.
    pub fn periods(&self, plan: &SegmentPlan) -> Result<TrackPeriods, Failure> {
        let starts = plan.period_starts(KeyChanges {
            clear_lead: self.clear_lead,
            rotation: self.rotate_every,
        });
        if starts.iter().all(|start| start.epoch.is_none()) && !starts.is_empty() {
            let what = "the presentation is no longer than --clear-lead, so nothing of it would be encrypted";
            return Err(Failure::usage(anyhow!("{what}; make that shorter")));
        }
        let tracks = plan.tracks.iter().map(|track| track.periods(&starts)).collect();
        Ok(TrackPeriods { starts, tracks })
    }
}

/// When keys change, and the segments of each track between.
pub struct TrackPeriods {
    starts: Vec<PeriodStart>,
    tracks: Vec<Vec<Range<usize>>>,
}

/// The keys of what is encrypted, and the records that say so.
pub struct Encryption {
    #[cfg(feature = "server")]
    policy: Option<NewPolicy>,
    /// One a track; of text, the only period has no key.
    tracks: Vec<Vec<KeyPeriod>>,
    records: Records,
    settlement: Settlement,
    licence_url: String,
}

/// Segments of a track that share a key, or have none.
struct KeyPeriod {
    segments: Range<usize>,
    protection: Option<Protection>,
    /// Where players get the key.
    key_uri: String,
    /// Where they get a Clear Key licence.
    clearkey_uri: String,
}

impl KeyPeriod {
    fn as_period(&self) -> Period<'_> {
        Period {
            segments: self.segments.clone(),
            protection: self.protection.as_ref().map(|protection| KeyedProtection {
                protection,
                key_uri: &self.key_uri,
                clearkey_uri: &self.clearkey_uri,
            }),
        }
    }
}

impl Encryption {
    /// The periods of a track.
    pub fn periods(&self, track: usize) -> Vec<Period<'_>> {
        let periods = self.tracks.get(track).into_iter().flatten();
        periods.map(KeyPeriod::as_period).collect()
    }

    /// How each track is protected, where its key stays the same.
    pub fn protections(&self) -> Vec<Option<&Protection>> {
        let first = self.tracks.iter().map(|periods| periods.first());
        first.map(|period| period?.protection.as_ref()).collect()
    }

    /// Where players of DASH get the keys.
    pub fn licence_url(&self) -> &str {
        &self.licence_url
    }

    /// What the records are to be.
    pub fn settled(&self) -> &[Settled] {
        &self.settlement.keys
    }

    /// The generation that its media belongs to.
    pub fn generation(&self) -> Option<Generation> {
        self.settlement.generation
    }

    /// The older generations that stay in the output.
    pub fn kept(&self) -> BTreeSet<Option<Generation>> {
        self.settlement.kept.iter().map(|record| record.generation).collect()
    }

    /// All generations that are known: their folders in the output are its own.
    pub fn recorded(&self) -> BTreeSet<Option<Generation>> {
        self.records.generations()
    }

    /// Puts the policy and then the records into the store, and returns those that stand there, behind those of older generations
    /// that stay.
    pub fn store(self) -> Result<Vec<KeyRecord>, Failure> {
        // So nobody gets a key by the policy of before.
        #[cfg(feature = "server")]
        if let (Some(policy), Some(store)) = (&self.policy, self.records.database()) {
            policy.set(store)?;
        }
        let Settlement { keys, mut kept, .. } = self.settlement;
        kept.extend(self.records.store(keys)?);
        Ok(kept)
    }
}

/// The first IV of a run whose IVs must never come again under its key.
fn random_iv() -> Result<Iv, Failure> {
    let mut iv = [0; 16];
    getrandom::fill(&mut iv)
        .context("no random IV")
        .map_err(Failure::work)?;
    Ok(Iv(iv))
}

/// Refuses tracks that the scheme is not defined for.
fn check_codecs(scheme: Scheme, tracks: &[Track]) -> Result<(), Failure> {
    let Scheme::Samples(scheme) = scheme else { return Ok(()) };
    match tracks.iter().find(|track| !scheme.is_defined_for(&*track.codec)) {
        None => Ok(()),
        Some(track) => {
            let (path, id, codec) = (track.source.path().display(), track.id, track.codec.name());
            let scheme = scheme.name();
            let what = "for which Common Encryption has no scheme but cenc; choose --scheme cenc instead of";
            Err(Failure::input(anyhow!(
                "{path}: track {id} is {codec}, {what} {scheme}"
            )))
        }
    }
}

/// The names of all keys that are used, each once, and which period of which track has which.
struct Assignment {
    names: Vec<Option<KeyName>>,
    tracks: Vec<Vec<Assigned>>,
}

/// A period's key of one track.
struct Assigned {
    segments: Range<usize>,
    /// Its place among the names of all keys; `None` where the period is clear.
    key: Option<usize>,
}

/// Gives each period of each track a key.
fn assign(
    options: &KeyOptions,
    tracks: &[Track],
    names: &[&str],
    periods: &TrackPeriods,
) -> Result<Assignment, Failure> {
    let mut keys: Vec<Option<KeyName>> = Vec::new();
    let mut assigned = Vec::new();
    for ((track, name), ranges) in tracks.iter().zip(names).zip(&periods.tracks) {
        if track.kind == MediaKind::Text {
            let segments = 0..ranges.last().map_or(0, |last| last.end);
            assigned.push(vec![Assigned { segments, key: None }]);
            continue;
        }
        let shared = options.sharing.key_name(track, name);
        let mut of_track = Vec::new();
        for (start, segments) in periods.starts.iter().zip(ranges) {
            if segments.is_empty() {
                continue;
            }
            let key = match start.epoch {
                None => None,
                Some(epoch) => {
                    let name = match (&shared, options.rotate_every) {
                        (shared, None) => shared.clone(),
                        (None, Some(_)) => Some(epoch.to_string()),
                        (Some(shared), Some(_)) => Some(format!("{shared}-{epoch}")),
                    };
                    let name: Option<KeyName> = name.map(|name| name.parse()).transpose().map_err(Failure::work)?;
                    // Tracks that share a key have it in the same period, so it is one of the last few.
                    let at = keys.iter().rposition(|key| *key == name);
                    Some(at.unwrap_or_else(|| {
                        keys.push(name);
                        keys.len() - 1
                    }))
                }
            };
            of_track.push(Assigned {
                segments: segments.clone(),
                key,
            });
        }
        assigned.push(of_track);
    }
    Ok(Assignment {
        names: keys,
        tracks: assigned,
    })
}

/// Derives the keys, and finds or makes the records; `names` has one a track. Whether what an older master key made can stay
/// beside the new in the output, stands with that.
pub fn prepare(
    args: &Args,
    settings: &Settings,
    tracks: &[Track],
    names: &[&str],
    periods: &TrackPeriods,
    (output, has_generations): (&Path, bool),
) -> Result<Encryption, Failure> {
    args.key_options.check_groups(args.scheme)?;
    check_codecs(args.scheme, tracks)?;
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
        has_generations,
    };
    let assignment = assign(&args.key_options, tracks, names, periods)?;
    args.signal.check(args.scheme, assignment.names.len())?;
    let key_systems = args.signal.key_systems()?;
    let settlement = records.settle(&keys, &content, &assignment.names, args.replace)?;
    #[cfg(feature = "server")]
    let policy = NewPolicy::read(args, settings, records.database())?;
    let maker = ProtectionMaker {
        args,
        master: keys.primary(),
        random_iv: random_iv()?,
        key_systems,
    };
    if !args.quiet {
        let for_clear_key = args.signal.clearkey_playlists;
        if let Some(warning) = args.key_options.player_warning(args.scheme, for_clear_key) {
            output::warn(warning);
        }
        let kids: Vec<Kid> = settlement.keys.iter().map(|settled| settled.record.kid).collect();
        SignalOptions::warn_of_foreign_kids(&maker.key_systems, &kids);
    }
    let tracks = tracks.iter().zip(names).zip(assignment.tracks).zip(0..);
    let tracks = tracks.map(|(((track, name), assigned), number)| {
        let name = match track.kind {
            MediaKind::Text => None,
            _ => Some(
                name.parse::<TrackName>()
                    .context("a rendition's name")
                    .map_err(Failure::work)?,
            ),
        };
        let period = |Assigned { segments, key }: Assigned| {
            let settled = key.and_then(|key| settlement.keys.get(key));
            KeyPeriod {
                segments,
                key_uri: settled
                    .map(|settled| args.signal.format.key_uri(&settled.record))
                    .unwrap_or_default(),
                clearkey_uri: settled.map(|settled| settled.record.clearkey_uri()).unwrap_or_default(),
                protection: settled
                    .zip(name.as_ref())
                    .map(|(settled, name)| maker.make(track, name, number, settled)),
            }
        };
        Ok(assigned.into_iter().map(period).collect())
    });
    Ok(Encryption {
        tracks: tracks.collect::<Result<_, Failure>>()?,
        #[cfg(feature = "server")]
        policy,
        records,
        settlement,
        licence_url: base_url.licence_url(&args.content_id),
    })
}

/// Makes the protection of tracks by keys.
struct ProtectionMaker<'a> {
    args: &'a Args,
    master: &'a Master,
    random_iv: Iv,
    key_systems: Arc<[ProtectionSystemHeader]>,
}

impl ProtectionMaker<'_> {
    /// The protection of the track of that name and number by the key of a record.
    fn make(&self, track: &Track, name: &TrackName, number: u32, settled: &Settled) -> Protection {
        let record = &settled.record;
        let key_name = record.key_name.as_ref();
        let content_id = &self.args.content_id;
        let key = self.master.content_key(content_id, key_name);
        let derived_iv = self.master.iv(content_id, name, key_name);
        let Scheme::Samples(scheme) = self.args.scheme else {
            return Protection::Segments(SegmentProtection::new(key, record.kid, derived_iv));
        };
        let ivs = match scheme {
            SampleScheme::Cbcs => Ivs::Constant(derived_iv),
            // CBC bears an IV that comes again in the next run; those of samples still differ.
            SampleScheme::Cbc1 => Ivs::per_sample(derived_iv, 16, 0),
            SampleScheme::Cenc | SampleScheme::Cens => Ivs::per_sample(self.random_iv, self.args.iv_size(), number),
        };
        let pattern = self.args.pattern.unwrap_or(Pattern::ONE_IN_TEN);
        let mut protection = TrackProtection::new(scheme, pattern, track, &key, record.kid, ivs);
        protection.key_systems = Arc::clone(&self.key_systems);
        Protection::Samples(Box::new(protection))
    }
}

impl TrackPeriods {
    /// One period for all of each of `tracks`.
    pub fn single(tracks: usize) -> Self {
        let start = PeriodStart {
            time: Time::new(0, Timescale::MIN),
            epoch: Some(1),
        };
        let all = vec![0..usize::MAX; 1];
        Self {
            starts: vec![start],
            tracks: vec![all; tracks],
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use vylux_pack::media::Presentation;

    use super::*;

    #[test]
    fn a_resolutions_key_is_of_all_pictures_up_to_its_limit() {
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/demo.mp4");
        let mut tracks = Presentation::open(&[demo]).unwrap().tracks;
        let kinds: Vec<MediaKind> = tracks.iter().map(|track| track.kind).collect();
        assert_eq!(kinds, [MediaKind::Video, MediaKind::Audio]);
        let audio = tracks.pop().unwrap();
        let mut video = tracks.pop().unwrap();
        let name = |sharing: Sharing, track: &Track| sharing.key_name(track, "rendition");
        for (width, height, expected) in [
            (2, 2, "sd"),
            (640, 360, "sd"),
            (768, 576, "sd"),
            // Samples count, not sides: turned pictures, and those that are wide and low, are of the same key.
            (576, 768, "sd"),
            (1152, 384, "sd"),
            (768, 578, "hd"),
            (770, 576, "hd"),
            (578, 768, "hd"),
            (1280, 720, "hd"),
            (1920, 1080, "hd"),
            (1080, 1920, "hd"),
            (2560, 810, "hd"),
            (1920, 1082, "uhd"),
            (1922, 1080, "uhd"),
            (1082, 1920, "uhd"),
            (3840, 2160, "uhd"),
            (u16::MAX, u16::MAX, "uhd"),
        ] {
            video.dimensions = (width, height);
            let found = name(Sharing::PerResolution, &video);
            assert_eq!(found.as_deref(), Some(expected), "{width}x{height}");
            assert_eq!(name(Sharing::PerType, &video).as_deref(), Some("video"));
        }
        for sharing in [Sharing::PerResolution, Sharing::PerType] {
            assert_eq!(name(sharing, &audio).as_deref(), Some("audio"), "{sharing:?}");
        }
        for track in [&video, &audio] {
            assert_eq!(name(Sharing::PerTrack, track).as_deref(), Some("rendition"));
            assert_eq!(name(Sharing::Single, track), None);
        }
    }
}

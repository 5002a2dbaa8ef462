//! `--track`: what playlists say of a track, where its file says nothing or something else.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use anyhow::{Context, anyhow, bail, ensure};
use vylux_pack::media::{MediaKind, Presentation, Track, language};
use vylux_pack::package::Labels;
use vylux_pack::package::hls::{self, AudioMember};

use super::failure::Failure;
use super::job_file::Form;

/// All keys, and what a job file gives for each.
pub const KEYS: &[(&str, Form)] = &[
    ("name", Form::Text),
    ("language", Form::Text),
    ("group", Form::Text),
    ("default", Form::Flag),
    ("autoselect", Form::Flag),
    ("forced", Form::Flag),
    ("characteristics", Form::List),
    ("hdcp", Form::Text),
    ("score", Form::Text),
];

/// What was given, as it stands on the command line.
#[derive(clap::Args)]
pub struct TrackOptions {
    /// What playlists say of a track or a WebVTT file, e.g. film.mp4:2,language=fr,name=Commentaire
    ///
    /// INPUT is as it was given; ID is the track's, and may be left out where an input has one track. Keys of audio and subtitles
    /// are name, language (BCP 47), group, default, autoselect and forced (yes or no; forced is for subtitles), and
    /// characteristics, which may come more than once; those of video are hdcp (TYPE-0, TYPE-1 or NONE) and score (a number; players
    /// prefer the highest that they can play). Values have no commas. Video is there once for each group of audio and of subtitles; audio that
    /// differs in codec or channels is in groups of its own where one form has all languages, unless group says otherwise. Of sound
    /// without video, groups are its qualities.
    #[arg(long = "track", value_name = "INPUT[:ID],KEY=VALUE...", allow_hyphen_values = true)]
    tracks: Vec<String>,
}

/// The labels of all renditions, in the presentation's order.
pub struct AllLabels {
    pub tracks: Vec<Labels>,
    pub subtitles: Vec<Labels>,
}

/// What one `--track` is about, by its index in the presentation.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Target {
    Track(usize),
    Subtitles(usize),
}

impl TrackOptions {
    /// What was given, for a command line that can be copied.
    pub fn words(&self) -> &[String] {
        &self.tracks
    }

    /// Sets languages, which files have too, and returns all other labels.
    pub fn apply(&self, presentation: &mut Presentation) -> Result<AllLabels, Failure> {
        let mut labels = AllLabels {
            tracks: vec![Labels::default(); presentation.tracks.len()],
            subtitles: vec![Labels::default(); presentation.subtitles.len()],
        };
        let mut seen = HashSet::new();
        for text in &self.tracks {
            apply(text, presentation, &mut labels, &mut seen)
                .with_context(|| format!("--track {text}"))
                .map_err(Failure::usage)?;
        }
        check_scores(presentation, &labels).map_err(Failure::usage)?;
        let of_kind = |kind| {
            let tracks = presentation.tracks.iter().zip(&labels.tracks);
            tracks.filter(move |(track, _)| track.kind == kind)
        };
        let has_video = of_kind(MediaKind::Video).next().is_some();
        let members = hls::audio_groups(of_kind(MediaKind::Audio), has_video);
        let audio = members.iter().map(|member| (&*member.group, &member.labels));
        let text = of_kind(MediaKind::Text)
            .map(|(_, labels)| labels)
            .chain(&labels.subtitles);
        let text = text.map(|labels| (hls::text_group(labels), labels));
        check_group_labels(audio)
            .and_then(|()| check_group_labels(text))
            .context("--track")
            .map_err(Failure::usage)?;
        let warning = mixed_codecs(presentation, &members);
        presentation.warnings.extend(warning);
        Ok(labels)
    }
}

fn apply(
    text: &str,
    presentation: &mut Presentation,
    labels: &mut AllLabels,
    seen: &mut HashSet<Target>,
) -> anyhow::Result<()> {
    let (target, options) = find(text, presentation)?;
    ensure!(
        seen.insert(target),
        "there is a --track of it already; put all keys into one"
    );
    let (language, options) = read(options)?;
    match target {
        Target::Track(index) => {
            let has_video = presentation.tracks.iter().any(|track| track.kind == MediaKind::Video);
            let track = presentation.tracks.get_mut(index).context("the track is not there")?;
            if track.kind == MediaKind::Video {
                let of_variant = Labels {
                    hdcp_level: options.hdcp_level,
                    score: options.score,
                    ..Labels::default()
                };
                // TYPE=VIDEO, which has names, is known to few players.
                ensure!(
                    options == of_variant && language.is_none(),
                    "it is video, of which playlists say no more than hdcp and score"
                );
            } else {
                check_is_no_video(&options)?;
                ensure!(
                    track.kind == MediaKind::Text || !options.is_forced,
                    "forced is for subtitles"
                );
                ensure!(
                    has_video || track.kind == MediaKind::Text || options.group.is_none(),
                    "there is no video beside it, and groups of sound alone are its qualities; leave group out"
                );
            }
            if let Some(language) = language {
                track.set_language(&language);
            }
            *labels.tracks.get_mut(index).context("the track is not there")? = options;
        }
        Target::Subtitles(index) => {
            check_is_no_video(&options)?;
            let subtitles = presentation.subtitles.get_mut(index).context("the file is not there")?;
            subtitles.language = language.or(subtitles.language.take());
            *labels.subtitles.get_mut(index).context("the file is not there")? = options;
        }
    }
    Ok(())
}

/// Refuses what is said of variants.
fn check_is_no_video(options: &Labels) -> anyhow::Result<()> {
    ensure!(
        options.hdcp_level.is_none() && options.score.is_none(),
        "hdcp and score are for video"
    );
    Ok(())
}

/// Players ignore scores that not all variants have (RFC 8216bis, 4.4.6.2).
fn check_scores(presentation: &Presentation, labels: &AllLabels) -> anyhow::Result<()> {
    let tracks = presentation.tracks.iter().zip(&labels.tracks);
    let videos = || tracks.clone().filter(|(track, _)| track.kind == MediaKind::Video);
    let without = videos().find(|(_, labels)| labels.score.is_none());
    match without {
        Some((track, _)) if videos().any(|(_, labels)| labels.score.is_some()) => bail!(
            "--track: track {} of {} has no score, and others have one; give one to all video or to none",
            track.id,
            track.source.path().display()
        ),
        _ => Ok(()),
    }
}

/// What an option is about, and the rest of it.
fn find<'t>(text: &'t str, presentation: &Presentation) -> anyhow::Result<(Target, &'t str)> {
    let behind = |path: &Path| {
        let rest = text.strip_prefix(path.to_str()?)?;
        rest.starts_with([':', ',']).then_some(rest)
    };
    // Names of files may have colons and commas: the longest that fits is meant.
    let of_tracks = presentation.tracks.iter().map(|track| track.source.path());
    let paths = of_tracks.chain(presentation.subtitles.iter().map(|subtitles| &*subtitles.path));
    let (path, rest) = paths
        .filter_map(|path| Some((path, behind(path)?)))
        .min_by_key(|(_, rest)| rest.len())
        .context(
            "it begins with no input; expected INPUT:ID,KEY=VALUE or INPUT,KEY=VALUE, with the input as it was given",
        )?;
    let (id, options) = rest
        .split_once(',')
        .context("there is no ',KEY=VALUE' behind the input")?;
    if let Some(index) = presentation
        .subtitles
        .iter()
        .position(|subtitles| subtitles.path == path)
    {
        ensure!(id.is_empty(), "subtitles have no track IDs; leave '{id}' out");
        return Ok((Target::Subtitles(index), options));
    }
    let tracks = presentation.tracks.iter().enumerate();
    let tracks: Vec<_> = tracks.filter(|(_, track)| track.source.path() == path).collect();
    let all = || {
        let ids: Vec<String> = tracks.iter().map(|(_, track)| track.id.to_string()).collect();
        ids.join(", ")
    };
    let matching: Vec<usize> = match id.strip_prefix(':') {
        None => tracks.iter().map(|(index, _)| *index).collect(),
        Some(id) => {
            let id: u32 = id
                .parse()
                .map_err(|_| anyhow!("'{id}' is no track ID; it has {}", all()))?;
            tracks
                .iter()
                .filter(|(_, track)| track.id == id)
                .map(|(index, _)| *index)
                .collect()
        }
    };
    match matching.as_slice() {
        [index] => Ok((Target::Track(*index), options)),
        [] => bail!("there is no such track; it has {}", all()),
        _ => bail!(
            "it may be any of {}; name one by its ID, as in {}:ID",
            all(),
            path.display()
        ),
    }
}

/// Language and labels.
pub fn read(options: &str) -> anyhow::Result<(Option<String>, Labels)> {
    let mut language = None;
    let mut labels = Labels::default();
    let mut seen = HashSet::new();
    for option in options.split(',') {
        let (key, value) = option
            .split_once('=')
            .with_context(|| format!("'{option}' is no KEY=VALUE; values have no commas"))?;
        // What a quoted string of a playlist can't hold (RFC 8216bis, 4.2).
        let is_text = !value.is_empty() && !value.contains(|c: char| c == '"' || c.is_control());
        ensure!(is_text, "{key} is {value:?}, expected text without quotes");
        ensure!(key == "characteristics" || seen.insert(key), "{key} stands there twice");
        let is_yes = || match value {
            "yes" => Ok(true),
            "no" => Ok(false),
            _ => Err(anyhow!("{key} is '{value}', expected yes or no")),
        };
        let is_wrong = |expected: &str| anyhow!("{key} is '{value}', {expected}");
        match key {
            "name" => labels.name = Some(value.to_owned()),
            "group" => labels.group = Some(value.to_owned()),
            "language" => {
                let tag = language::read(value).or_else(|| language::is_tag(value).then(|| value.to_owned()));
                language =
                    Some(tag.with_context(|| format!("'{value}' is no language, expected such as en or pt-BR"))?);
            }
            "default" => labels.is_default = Some(is_yes()?),
            "autoselect" => labels.is_autoselected = Some(is_yes()?),
            "forced" => labels.is_forced = is_yes()?,
            "hdcp" => labels.hdcp_level = Some(value.parse().map_err(is_wrong)?),
            "score" => labels.score = Some(value.parse().map_err(is_wrong)?),
            "characteristics" => labels.characteristics.push(value.to_owned()),
            _ => {
                let keys: Vec<&str> = KEYS.iter().map(|(key, _)| *key).collect();
                bail!("there is no key '{key}'; there are {}", keys.join(", "))
            }
        }
    }
    let is_chosen = labels.is_forced || labels.is_default == Some(true);
    // RFC 8216bis, 4.4.6.1; Apple's authoring specification for FORCED.
    ensure!(
        !is_chosen || labels.is_autoselected != Some(false),
        "default and forced ask for autoselect=yes"
    );
    Ok((language, labels))
}

/// What is wrong with the group that audio of several codecs shares, if it does: players take no variant one of whose codecs they
/// lack.
fn mixed_codecs(presentation: &Presentation, members: &[AudioMember]) -> Option<String> {
    let tracks = presentation.tracks.iter();
    let audios: Vec<&Track> = tracks.filter(|track| track.kind == MediaKind::Audio).collect();
    let shared = members
        .iter()
        .filter(|member| member.group == hls::AUDIO_GROUP && member.labels.group.is_none());
    let codecs: BTreeSet<String> = shared
        .filter_map(|member| Some(audios.get(member.rendition)?.codec.rfc6381()))
        .collect();
    (codecs.len() > 1).then(|| {
        let codecs = codecs.into_iter().collect::<Vec<_>>().join(", ");
        format!(
            "audio in {codecs} is one group, as none of them comes in all languages and names; players that lack one of these \
             codecs play nothing, unless --track INPUT,group=NAME makes other groups"
        )
    })
}

/// Names and defaults that no two renditions of a group may have.
pub fn check_group_labels<'a>(renditions: impl Iterator<Item = (&'a str, &'a Labels)>) -> anyhow::Result<()> {
    let mut names = HashSet::new();
    let mut defaults = HashSet::new();
    for (group, labels) in renditions {
        if let Some(name) = labels.name.as_deref() {
            ensure!(
                names.insert((group, name)),
                "two renditions of one group can't both have the name '{name}'"
            );
        }
        ensure!(
            labels.is_default != Some(true) || defaults.insert(group),
            "two renditions of one group can't both be the default one"
        );
    }
    Ok(())
}

//! The multivariant playlist, `master.m3u8` (RFC 8216bis, 4.4.6).

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt::Write;

use super::bandwidth::Bandwidth;
use super::groups::{CAPTIONS_GROUP, text_group};
use super::{AudioMember, Contents, INDEPENDENT_SEGMENTS, PlaylistSet, iframe_target_duration_s};
use crate::codec::{Captions, VideoRange};
use crate::media::{MediaKind, language};
use crate::package::rendition::{IFRAME_PLAYLIST, MEDIA_PLAYLIST};
use crate::package::{CaptionsLabels, Labels, Rendition, TextRendition, WrittenRendition, iframes};

/// What one written rendition gives to the playlist.
struct Entry<'a> {
    rendition: &'a Rendition<'a>,
    written: &'a WrittenRendition,
    bandwidth: Bandwidth,
    set: PlaylistSet<'a>,
}

impl Entry<'_> {
    /// The URI of one of its playlists; one that is clear is in the main set alone.
    fn uri(&self, playlist: &str) -> String {
        let name = &self.rendition.name;
        match self.rendition.protection() {
            Some(_) => name.uri(&self.set.file(playlist)),
            None => name.uri(playlist),
        }
    }
}

/// CEA-708 services need version 7, `KEYFORMAT` and `SAMPLE-AES` need 5; nothing else in it needs more than 1 (RFC 8216bis, 8).
const fn version(captions: Captions, has_key_format: bool) -> u32 {
    match (captions.has_services(), has_key_format) {
        (true, _) => 7,
        (false, true) => 5,
        (false, false) => 1,
    }
}

/// Renditions of one group, and what a variant says of them.
struct Group<'a> {
    /// `AUDIO`, `SUBTITLES` or `CLOSED-CAPTIONS`, the attribute that names the group.
    kind: &'static str,
    id: String,
    media: Vec<Media<'a>>,
}

impl<'a> Group<'a> {
    /// Groups in the order of their first renditions.
    fn all(media: impl Iterator<Item = (String, Media<'a>)>) -> Vec<Self> {
        let mut groups: Vec<Self> = Vec::new();
        for (id, media) in media {
            match groups.iter_mut().find(|group| group.id == id) {
                Some(group) => group.media.push(media),
                None => groups.push(Self {
                    kind: media.kind,
                    id,
                    media: vec![media],
                }),
            }
        }
        groups
    }

    /// What it adds to a variant's bit rates: one of its renditions is played. So the rates of a variant are the largest sums
    /// of any playable combination (RFC 8216bis, 4.4.6.2; Apple's authoring specification, 9.13).
    fn bandwidth(&self) -> Bandwidth {
        let bandwidths = self.media.iter().map(|media| media.bandwidth);
        bandwidths.fold(Bandwidth::default(), Bandwidth::max)
    }

    /// Which one is the default. Sound is always played, so one of it is: the first that players may choose, where nobody did.
    fn default(&self) -> Option<usize> {
        let chosen = |media: &Media<'_>| media.labels.is_default == Some(true);
        let may_be = |media: &Media<'_>| {
            let labels = media.labels;
            self.kind == AUDIO && labels.is_default != Some(false) && labels.is_autoselected != Some(false)
        };
        let mut media = self.media.iter();
        media.clone().position(chosen).or_else(|| media.position(may_be))
    }

    /// What is played where nobody chooses.
    fn first_played(&self) -> Option<&Media<'a>> {
        self.media.get(self.default().unwrap_or(0))
    }

    /// Its `EXT-X-MEDIA` lines.
    fn write(&self, out: &mut String) {
        let mut names: BTreeSet<String> = self
            .media
            .iter()
            .filter_map(|media| media.labels.name.clone())
            .collect();
        let default = self.default();
        for (index, media) in self.media.iter().enumerate() {
            media.write(out, &self.id, default == Some(index), &mut names);
        }
    }
}

/// A choice for each of `kinds`: of all groups of each kind, one.
fn combinations<'g, 'a>(kinds: [&'g [Group<'a>]; 2]) -> Vec<Vec<&'g Group<'a>>> {
    kinds
        .iter()
        .filter(|groups| !groups.is_empty())
        .fold(vec![Vec::new()], |chosen, groups| {
            let with = |chosen: &Vec<&'g Group<'a>>, group| [chosen.as_slice(), &[group]].concat();
            groups
                .iter()
                .flat_map(|group| chosen.iter().map(move |chosen| with(chosen, group)))
                .collect()
        })
}

const AUDIO: &str = "AUDIO";

const SUBTITLES: &str = "SUBTITLES";

const CLOSED_CAPTIONS: &str = "CLOSED-CAPTIONS";

/// WebVTT in `CODECS`, in MP4 or not (Apple's authoring specification, 5.10).
const WEBVTT_CODEC: &str = "wvtt";

/// `LANGUAGE` of what nobody named a language of (BCP 47; Apple's authoring specification, 8.10, wants the attribute).
const UNDETERMINED: &str = "und";

/// The average bit rate of the video that players begin with (Apple's authoring specification, 1.32).
const START_BPS: u64 = 2_000_000;

/// Orders video as players want it, whatever the order of the inputs: the highest bit rate first, but in front of all the
/// one that is nearest to [`START_BPS`]. Apple's players begin with the first one they can play, and hls.js begins with its
/// bit rate as the first estimate of the network's.
fn sort_videos(videos: &mut [&Entry<'_>]) {
    videos.sort_by_key(|video| {
        let Bandwidth { peak_bps, average_bps } = video.bandwidth;
        (Reverse(peak_bps), Reverse(average_bps), video.rendition.name.as_str())
    });
    let distances = videos
        .iter()
        .map(|video| video.bandwidth.average_bps.abs_diff(START_BPS));
    let start = distances.enumerate().min_by_key(|(_, distance)| *distance);
    if let Some(up_to_start) = start.and_then(|(start, _)| videos.get_mut(..=start)) {
        up_to_start.rotate_right(1);
    }
}

/// The multivariant playlist of all renditions: video in the order of `sort_videos`, all else in the order in which it is
/// given.
///
/// Each video rendition is a variant, once for each choice of a group of audio and one of subtitles beside it. Without video,
/// each group of audio is a variant, or each rendition where there are no groups.
#[must_use]
pub fn render(contents: &Contents<'_>, set: PlaylistSet<'_>, target_duration_s: u64) -> String {
    let entries: Vec<Entry<'_>> = contents
        .renditions
        .iter()
        .zip(contents.written)
        .map(|(rendition, written)| {
            let bandwidth = Bandwidth::measure(&written.segments, target_duration_s);
            Entry {
                rendition,
                written,
                bandwidth,
                set,
            }
        })
        .collect();
    let of_kind = |kind| entries.iter().filter(move |entry| entry.rendition.track.kind == kind);
    let mut videos: Vec<_> = of_kind(MediaKind::Video).collect();
    sort_videos(&mut videos);
    let audios: Vec<_> = of_kind(MediaKind::Audio).collect();

    // One a key, and no IV: renditions of one key have IVs of their own, in their media playlists. Of keys that change, those
    // that playing begins with.
    let mut protections = entries.iter().filter_map(|entry| entry.rendition.protection());
    let keys: BTreeSet<String> = protections.clone().map(|keyed| set.key_attributes(keyed)).collect();
    let captions = videos.iter().map(|entry| entry.written.captions);
    let captions = captions.fold(Captions::default(), Captions::and);
    let version = version(
        captions,
        protections.any(|keyed| keyed.protection.of_samples().is_some()),
    );
    let mut out = format!("#EXTM3U\n#EXT-X-VERSION:{version}\n");
    let all_written = || contents.written.iter().chain(contents.written_texts);
    if all_written().all(WrittenRendition::has_independent_segments) {
        out.push_str(INDEPENDENT_SEGMENTS);
    }
    for key in keys {
        let _ = writeln!(out, "#EXT-X-SESSION-KEY:{key}");
    }
    let forms = audios
        .iter()
        .map(|audio| (audio.rendition.track, &audio.rendition.labels));
    let members = super::audio_groups(forms, !videos.is_empty());
    let media = members
        .iter()
        .filter_map(|member| Some((member.group.clone(), Media::of_member(member, &audios)?)));
    let audio_groups = Group::all(media);

    let texts = of_kind(MediaKind::Text).map(|entry| Media::of(SUBTITLES, entry));
    let webvtt = contents.texts.iter().zip(contents.written_texts);
    let webvtt = webvtt.map(|(text, written)| Media::of_webvtt(text, written, target_duration_s));
    let texts = texts
        .chain(webvtt)
        .map(|media| (text_group(media.labels).to_owned(), media));
    let text_groups = Group::all(texts);

    let of_captions = CaptionsLabels::of(captions, contents.captions);
    let of_captions = of_captions.iter().map(Media::of_captions);
    let captions_groups = Group::all(of_captions.map(|media| (CAPTIONS_GROUP.to_owned(), media)));

    for group in audio_groups.iter().chain(&text_groups).chain(&captions_groups) {
        group.write(&mut out);
    }
    let variants = if videos.is_empty() { &audios } else { &videos };
    // Each says its range where not all are of the standard one (Apple's authoring specification, 9.16).
    let range = |entry: &Entry<'_>| entry.rendition.track.video_range;
    let says_range = variants.iter().any(|entry| range(entry) != VideoRange::Sdr);
    for groups in combinations([&audio_groups, &text_groups]) {
        // Without video, a variant is what its group of audio begins with.
        let audio = groups.iter().find(|group| group.kind == AUDIO && videos.is_empty());
        let first_played = audio.and_then(|group| group.first_played());
        let is_played =
            |variant: &&&Entry<'_>| first_played.is_none_or(|first| first.is_at(&variant.uri(MEDIA_PLAYLIST)));
        for variant in variants.iter().filter(is_played) {
            write_variant(&mut out, variant, &groups, says_range, captions);
        }
    }
    for video in videos.iter().filter(|video| !video.written.iframes.is_empty()) {
        write_iframes(&mut out, video, says_range, target_duration_s);
    }
    out
}

/// `EXT-X-MEDIA` (4.4.6.1).
struct Media<'a> {
    kind: &'static str,
    /// What tells it from others of its language.
    id: &'a str,
    carrier: Carrier<'a>,
    language: Option<&'a str>,
    labels: &'a Labels,
    channels: Option<String>,
    /// What `CODECS` says of it.
    codec: String,
    bandwidth: Bandwidth,
}

/// Where a rendition is.
enum Carrier<'a> {
    /// In a playlist: `URI`.
    Playlist(String),
    /// Inside of the video: `INSTREAM-ID`.
    Video(&'a str),
}

impl<'a> Media<'a> {
    fn of(kind: &'static str, entry: &Entry<'a>) -> Self {
        let Rendition {
            name, track, labels, ..
        } = entry.rendition;
        Self {
            kind,
            id: name.as_str(),
            carrier: Carrier::Playlist(entry.uri(MEDIA_PLAYLIST)),
            language: track.language.as_deref(),
            labels,
            channels: track.codec.hls_channels(),
            codec: track.codec.rfc6381(),
            bandwidth: entry.bandwidth,
        }
    }

    /// A member of a group of `audios`; `None` where it is none of them.
    fn of_member(member: &'a AudioMember, audios: &[&Entry<'a>]) -> Option<Self> {
        Some(Self {
            id: audios.get(member.same_as)?.rendition.name.as_str(),
            labels: &member.labels,
            ..Self::of(AUDIO, audios.get(member.rendition)?)
        })
    }

    fn of_webvtt(text: &'a TextRendition<'_>, written: &WrittenRendition, target_duration_s: u64) -> Self {
        Self {
            kind: SUBTITLES,
            id: text.name.as_str(),
            carrier: Carrier::Playlist(text.name.playlist_uri()),
            language: text.subtitles.language.as_deref(),
            labels: &text.labels,
            channels: None,
            codec: WEBVTT_CODEC.to_owned(),
            bandwidth: Bandwidth::measure(&written.segments, target_duration_s),
        }
    }

    /// They are part of the video's rate, and of its codec.
    fn of_captions(captions: &'a CaptionsLabels) -> Self {
        Self {
            kind: CLOSED_CAPTIONS,
            id: &captions.instream_id,
            carrier: Carrier::Video(&captions.instream_id),
            language: captions.language.as_deref(),
            labels: &captions.labels,
            channels: None,
            codec: String::new(),
            bandwidth: Bandwidth::default(),
        }
    }

    /// Its `NAME` is the chosen one, or one that people read and that is not in `names`, which it is added to (4.4.6.1.1).
    fn write(&self, out: &mut String, group: &str, is_default: bool, names: &mut BTreeSet<String>) {
        let labels = self.labels;
        let label = labels.name.clone().unwrap_or_else(|| self.unique_name(names));
        let kind = self.kind;
        let _ = write!(out, "#EXT-X-MEDIA:TYPE={kind},GROUP-ID=\"{group}\",NAME=\"{label}\"");
        let language = self.language.unwrap_or(UNDETERMINED);
        let _ = write!(out, ",LANGUAGE=\"{language}\"");
        let word = |is: bool| if is { "YES" } else { "NO" };
        let is_autoselected = labels.is_autoselected.unwrap_or(true);
        let default = word(is_default);
        let autoselect = word(is_autoselected);
        let _ = write!(out, ",DEFAULT={default},AUTOSELECT={autoselect}");
        if labels.is_forced {
            out.push_str(",FORCED=YES");
        }
        if let Some(channels) = &self.channels {
            let _ = write!(out, ",CHANNELS=\"{channels}\"");
        }
        if !labels.characteristics.is_empty() {
            let _ = write!(out, ",CHARACTERISTICS=\"{}\"", labels.characteristics.join(","));
        }
        let _ = match &self.carrier {
            Carrier::Playlist(uri) => writeln!(out, ",URI=\"{uri}\""),
            Carrier::Video(id) => writeln!(out, ",INSTREAM-ID=\"{id}\""),
        };
    }

    fn is_at(&self, uri: &str) -> bool {
        matches!(&self.carrier, Carrier::Playlist(own) if own == uri)
    }

    fn unique_name(&self, names: &mut BTreeSet<String>) -> String {
        let id = self.id;
        let mut label = self.language.map_or_else(|| id.to_owned(), language::name);
        if !names.insert(label.clone()) {
            label = format!("{label} ({id})");
            names.insert(label.clone());
        }
        label
    }
}

/// `EXT-X-STREAM-INF` of a variant with one of each kind of `groups`.
fn write_variant(out: &mut String, entry: &Entry<'_>, groups: &[&Group<'_>], says_range: bool, captions: Captions) {
    let track = entry.rendition.track;
    let uri = entry.uri(MEDIA_PLAYLIST);
    // Sound that is a variant by itself is one of its own group, and counts there.
    let is_of_group = groups.iter().any(|group| group.kind == AUDIO) && track.kind == MediaKind::Audio;
    let own = if is_of_group {
        Bandwidth::default()
    } else {
        entry.bandwidth
    };
    let bandwidths = groups.iter().map(|group| group.bandwidth());
    let bandwidth = bandwidths.fold(own, Bandwidth::plus);
    let mut codecs = track.codec.rfc6381();
    let beside: BTreeSet<&str> = groups
        .iter()
        .flat_map(|group| &group.media)
        .map(|media| media.codec.as_str())
        .filter(|codec| *codec != codecs)
        .collect();
    for codec in &beside {
        let _ = write!(codecs, ",{codec}");
    }
    out.push_str("#EXT-X-STREAM-INF:");
    write_common(out, entry, bandwidth, &codecs, says_range);
    if track.kind == MediaKind::Video {
        let _ = write!(out, ",FRAME-RATE={:.3}", frame_rate(entry));
    }
    for Group { kind, id, .. } in groups {
        let _ = write!(out, ",{kind}=\"{id}\"");
    }
    if track.kind == MediaKind::Video {
        // NONE is for all variants or for none of them (4.4.6.2).
        if captions.is_empty() {
            let _ = write!(out, ",{CLOSED_CAPTIONS}=NONE");
        } else if !entry.written.captions.is_empty() {
            let _ = write!(out, ",{CLOSED_CAPTIONS}=\"{CAPTIONS_GROUP}\"");
        }
    }
    let _ = writeln!(out, "\n{uri}");
}

/// `EXT-X-I-FRAME-STREAM-INF` (4.4.6.3); its bit rates are those of the I-frames alone.
fn write_iframes(out: &mut String, entry: &Entry<'_>, says_range: bool, target_duration_s: u64) {
    let track = entry.rendition.track;
    let segments = iframes::as_segments(entry.rendition, &entry.written.iframes);
    let target_duration_s = iframe_target_duration_s(&segments, target_duration_s);
    let bandwidth = Bandwidth::measure(&segments, target_duration_s);
    out.push_str("#EXT-X-I-FRAME-STREAM-INF:");
    write_common(out, entry, bandwidth, &track.codec.rfc6381(), says_range);
    let _ = writeln!(out, ",URI=\"{}\"", entry.uri(IFRAME_PLAYLIST));
}

/// The attributes that a variant and its I-frames have in common.
fn write_common(out: &mut String, entry: &Entry<'_>, bandwidth: Bandwidth, codecs: &str, says_range: bool) {
    let Rendition { track, labels, .. } = entry.rendition;
    let Bandwidth { peak_bps, average_bps } = bandwidth;
    let _ = write!(out, "BANDWIDTH={peak_bps},AVERAGE-BANDWIDTH={average_bps}");
    if let Some(score) = labels.score {
        let _ = write!(out, ",SCORE={score}");
    }
    let _ = write!(out, ",CODECS=\"{codecs}\"");
    if let Some(codecs) = track.codec.supplemental_codecs() {
        let _ = write!(out, ",SUPPLEMENTAL-CODECS=\"{codecs}\"");
    }
    if track.kind == MediaKind::Video {
        let (width, height) = track.dimensions;
        let _ = write!(out, ",RESOLUTION={width}x{height}");
        if says_range {
            let _ = write!(out, ",VIDEO-RANGE={}", track.video_range.name());
        }
    }
    if let Some(level) = labels.hdcp_level {
        let _ = write!(out, ",HDCP-LEVEL={level}");
    }
}

/// Pictures a second: the samples over the whole length.
fn frame_rate(entry: &Entry<'_>) -> f64 {
    let seconds: f64 = entry
        .written
        .segments
        .iter()
        .map(|segment| segment.duration.seconds())
        .sum();
    f64::from(entry.rendition.track.samples.len()) / seconds.max(f64::MIN_POSITIVE)
}

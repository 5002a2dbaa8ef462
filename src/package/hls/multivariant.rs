//! The multivariant playlist, `master.m3u8` (RFC 8216bis, 4.4.6).

use std::collections::BTreeSet;
use std::fmt::Write;

use super::bandwidth::Bandwidth;
use super::{Contents, INDEPENDENT_SEGMENTS, key_attributes};
use crate::codec::VideoRange;
use crate::media::{MediaKind, language};
use crate::package::{Labels, Name, Rendition, WrittenRendition};

/// What one written rendition gives to the playlist.
struct Entry<'a> {
    rendition: &'a Rendition<'a>,
    written: &'a WrittenRendition,
    bandwidth: Bandwidth,
}

/// `KEYFORMAT` and `SAMPLE-AES` need version 5; nothing else in it needs more than 1 (RFC 8216bis, 8).
const fn version(has_key_format: bool) -> u32 {
    if has_key_format { 5 } else { 1 }
}

const AUDIO_GROUP: &str = "audio";

const TEXT_GROUP: &str = "text";

/// What plays beside each variant.
#[derive(Default)]
struct Alternatives {
    /// Their codecs.
    codecs: BTreeSet<String>,
    /// What they add to a variant's bit rates: of each group, one is played.
    bandwidth: Option<Bandwidth>,
    /// The attributes that name the groups.
    groups: String,
}

impl Alternatives {
    /// Adds a group, if it has renditions.
    fn add(&mut self, attribute: &str, group: &str, bandwidths: impl Iterator<Item = Bandwidth>) {
        let Some(largest) = bandwidths.reduce(Bandwidth::max) else {
            return;
        };
        self.bandwidth = Some(self.bandwidth.map_or(largest, |bandwidth| bandwidth.plus(largest)));
        let _ = write!(self.groups, ",{attribute}=\"{group}\"");
    }
}

/// The multivariant playlist of all renditions, in the order in which they are given.
///
/// Each video rendition is a variant, and audio and subtitles are each a group of renditions beside it. Without video, each
/// audio rendition is a variant.
#[must_use]
pub fn render(contents: &Contents<'_>, target_duration_s: u64) -> String {
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
            }
        })
        .collect();
    let of_kind = |kind| entries.iter().filter(move |entry| entry.rendition.track.kind == kind);
    let videos: Vec<_> = of_kind(MediaKind::Video).collect();
    let audios: Vec<_> = of_kind(MediaKind::Audio).collect();

    // One a key, and no IV: renditions of one key have IVs of their own, in their media playlists.
    let mut protections = entries.iter().filter_map(|entry| entry.rendition.protection);
    let keys: BTreeSet<String> = protections
        .clone()
        .map(|keyed| {
            let scheme = keyed.protection.of_samples().map(|of_samples| of_samples.scheme);
            key_attributes(scheme, keyed.key_uri)
        })
        .collect();
    let version = version(protections.any(|keyed| keyed.protection.of_samples().is_some()));
    let mut out = format!("#EXTM3U\n#EXT-X-VERSION:{version}\n");
    let all_written = || contents.written.iter().chain(contents.written_texts);
    if all_written().all(WrittenRendition::has_independent_segments) {
        out.push_str(INDEPENDENT_SEGMENTS);
    }
    for key in keys {
        let _ = writeln!(out, "#EXT-X-SESSION-KEY:{key}");
    }
    let mut alternatives = Alternatives::default();
    if !videos.is_empty() {
        let labels = || audios.iter().map(|audio| &audio.rendition.labels);
        let has_default = labels().any(|labels| labels.is_default == Some(true));
        let mut names = chosen_names(labels());
        for (index, audio) in audios.iter().enumerate() {
            let media = Media {
                is_default: index == 0 && !has_default,
                ..Media::of("AUDIO", AUDIO_GROUP, audio.rendition)
            };
            media.write(&mut out, &mut names);
            alternatives.codecs.insert(audio.rendition.track.codec.rfc6381());
        }
        alternatives.add("AUDIO", AUDIO_GROUP, audios.iter().map(|audio| audio.bandwidth));
    }
    let text_tracks: Vec<_> = of_kind(MediaKind::Text).collect();
    let labels = text_tracks.iter().map(|entry| &entry.rendition.labels);
    let mut names = chosen_names(labels.chain(contents.texts.iter().map(|text| &text.labels)));
    for entry in &text_tracks {
        Media::of("SUBTITLES", TEXT_GROUP, entry.rendition).write(&mut out, &mut names);
        alternatives.codecs.insert(entry.rendition.track.codec.rfc6381());
    }
    for text in contents.texts {
        // Shown when somebody chooses them, or the system by its language. CODECS says nothing of WebVTT that is no MP4.
        let media = Media {
            kind: "SUBTITLES",
            group: TEXT_GROUP,
            name: &text.name,
            language: text.subtitles.language.as_deref(),
            labels: &text.labels,
            is_default: false,
            channels: None,
        };
        media.write(&mut out, &mut names);
    }
    let texts = contents.written_texts.iter();
    let texts = texts.map(|written| Bandwidth::measure(&written.segments, target_duration_s));
    let texts = text_tracks.iter().map(|entry| entry.bandwidth).chain(texts);
    alternatives.add("SUBTITLES", TEXT_GROUP, texts);
    let variants = if videos.is_empty() { audios } else { videos };
    // Each says its range where not all are of the standard one (Apple's authoring specification, 9.16).
    let range = |entry: &Entry<'_>| entry.rendition.track.video_range;
    let says_range = variants.iter().any(|entry| range(entry) != VideoRange::Sdr);
    for variant in variants {
        write_variant(&mut out, variant, &alternatives, says_range);
    }
    out
}

/// `EXT-X-MEDIA` (4.4.6.1).
struct Media<'a> {
    kind: &'static str,
    group: &'static str,
    name: &'a Name,
    language: Option<&'a str>,
    labels: &'a Labels,
    /// Where the labels don't say.
    is_default: bool,
    channels: Option<String>,
}

impl<'a> Media<'a> {
    /// A rendition of a group, which is not the default one.
    fn of(kind: &'static str, group: &'static str, rendition: &'a Rendition<'_>) -> Self {
        Self {
            kind,
            group,
            name: &rendition.name,
            language: rendition.track.language.as_deref(),
            labels: &rendition.labels,
            is_default: false,
            channels: rendition.track.codec.hls_channels(),
        }
    }

    /// Its `NAME` is the chosen one, or one that people read and that is not in `names`, which it is added to (4.4.6.1.1).
    fn write(&self, out: &mut String, names: &mut BTreeSet<String>) {
        let labels = self.labels;
        let label = labels.name.clone().unwrap_or_else(|| self.unique_name(names));
        let (kind, group) = (self.kind, self.group);
        let _ = write!(out, "#EXT-X-MEDIA:TYPE={kind},GROUP-ID=\"{group}\",NAME=\"{label}\"");
        if let Some(language) = self.language {
            let _ = write!(out, ",LANGUAGE=\"{language}\"");
        }
        let word = |is: bool| if is { "YES" } else { "NO" };
        let is_autoselected = labels.is_autoselected.unwrap_or(true);
        let default = word(labels.is_default.unwrap_or(self.is_default && is_autoselected));
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
        let _ = writeln!(out, ",URI=\"{}\"", self.name.playlist_uri());
    }

    fn unique_name(&self, names: &mut BTreeSet<String>) -> String {
        let name = self.name.as_str();
        let mut label = self.language.map_or_else(|| name.to_owned(), language::name);
        if !names.insert(label.clone()) {
            label = format!("{label} ({name})");
            names.insert(label.clone());
        }
        label
    }
}

/// The names that somebody chose, which no other rendition of the group may have.
fn chosen_names<'a>(labels: impl Iterator<Item = &'a Labels>) -> BTreeSet<String> {
    labels.filter_map(|labels| labels.name.clone()).collect()
}

/// `EXT-X-STREAM-INF` of a variant.
fn write_variant(out: &mut String, entry: &Entry<'_>, alternatives: &Alternatives, says_range: bool) {
    let Rendition { name, track, .. } = entry.rendition;
    let beside = alternatives.bandwidth;
    let Bandwidth { peak_bps, average_bps } = beside.map_or(entry.bandwidth, |beside| entry.bandwidth.plus(beside));
    let mut codecs = vec![track.codec.rfc6381()];
    codecs.extend(alternatives.codecs.iter().cloned());
    let codecs = codecs.join(",");
    let _ = write!(
        out,
        "#EXT-X-STREAM-INF:BANDWIDTH={peak_bps},AVERAGE-BANDWIDTH={average_bps},CODECS=\"{codecs}\""
    );
    if let Some(codecs) = track.codec.supplemental_codecs() {
        let _ = write!(out, ",SUPPLEMENTAL-CODECS=\"{codecs}\"");
    }
    if track.kind == MediaKind::Video {
        let (width, height) = track.dimensions;
        let _ = write!(out, ",RESOLUTION={width}x{height},FRAME-RATE={:.3}", frame_rate(entry));
        if says_range {
            let _ = write!(out, ",VIDEO-RANGE={}", track.video_range.name());
        }
    }
    let _ = writeln!(out, "{}\n{}", alternatives.groups, name.playlist_uri());
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

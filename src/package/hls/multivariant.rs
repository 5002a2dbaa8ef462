//! The multivariant playlist, `master.m3u8` (RFC 8216bis, 4.4.6).

use std::collections::BTreeSet;
use std::fmt::Write;

use super::bandwidth::Bandwidth;
use super::{Contents, INDEPENDENT_SEGMENTS, key_attributes};
use crate::media::{MediaKind, language};
use crate::package::{Name, Rendition, TextRendition, WrittenRendition};

/// What one written rendition gives to the playlist.
struct Entry<'a> {
    rendition: &'a Rendition<'a>,
    written: &'a WrittenRendition,
    bandwidth: Bandwidth,
}

/// `KEYFORMAT` and `SAMPLE-AES` need version 5; nothing else in it needs more than 1 (RFC 8216bis, 8).
const fn version(has_keys: bool) -> u32 {
    if has_keys { 5 } else { 1 }
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
    let protections = entries.iter().filter_map(|entry| entry.rendition.protection);
    let keys: BTreeSet<String> = protections
        .map(|protection| key_attributes(protection.key_uri))
        .collect();
    let version = version(!keys.is_empty());
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
        let mut names = BTreeSet::new();
        for (index, audio) in audios.iter().enumerate() {
            write_audio(&mut out, audio, &mut names, index == 0);
            alternatives.codecs.insert(audio.rendition.track.codec.rfc6381());
        }
        alternatives.add("AUDIO", AUDIO_GROUP, audios.iter().map(|audio| audio.bandwidth));
    }
    let mut names = BTreeSet::new();
    for text in contents.texts {
        write_subtitles(&mut out, text, &mut names);
    }
    let texts = contents.written_texts.iter();
    let texts = texts.map(|written| Bandwidth::measure(&written.segments, target_duration_s));
    alternatives.add("SUBTITLES", TEXT_GROUP, texts);
    let variants = if videos.is_empty() { audios } else { videos };
    for variant in variants {
        write_variant(&mut out, variant, &alternatives);
    }
    out
}

/// `EXT-X-MEDIA` of an audio rendition, whose `NAME` people read and no other of the group has (4.4.6.1.1).
fn write_audio(out: &mut String, audio: &Entry<'_>, names: &mut BTreeSet<String>, is_default: bool) {
    let Rendition { name, track, .. } = audio.rendition;
    let language = track.language.as_deref();
    let label = label(name, language, names);
    let _ = write!(
        out,
        "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{AUDIO_GROUP}\",NAME=\"{label}\""
    );
    if let Some(language) = language {
        let _ = write!(out, ",LANGUAGE=\"{language}\"");
    }
    let default = if is_default { "YES" } else { "NO" };
    let _ = write!(out, ",DEFAULT={default},AUTOSELECT=YES");
    if let Some(channels) = track.codec.hls_channels() {
        let _ = write!(out, ",CHANNELS=\"{channels}\"");
    }
    let _ = writeln!(out, ",URI=\"{}\"", name.playlist_uri());
}

/// `EXT-X-MEDIA` of subtitles: shown when somebody chooses them, or the system by its language. `CODECS` says nothing of
/// WebVTT that is no MP4.
fn write_subtitles(out: &mut String, text: &TextRendition<'_>, names: &mut BTreeSet<String>) {
    let language = text.subtitles.language.as_deref();
    let label = label(&text.name, language, names);
    let _ = write!(
        out,
        "#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"{TEXT_GROUP}\",NAME=\"{label}\""
    );
    if let Some(language) = language {
        let _ = write!(out, ",LANGUAGE=\"{language}\"");
    }
    let _ = writeln!(out, ",DEFAULT=NO,AUTOSELECT=YES,URI=\"{}\"", text.name.playlist_uri());
}

/// A `NAME` that is not in `names` yet, and is from then on.
fn label(name: &Name, language: Option<&str>, names: &mut BTreeSet<String>) -> String {
    let mut label = language.map_or_else(|| name.as_str().to_owned(), language::name);
    if !names.insert(label.clone()) {
        label = format!("{label} ({})", name.as_str());
        names.insert(label.clone());
    }
    label
}

/// `EXT-X-STREAM-INF` of a variant.
fn write_variant(out: &mut String, entry: &Entry<'_>, alternatives: &Alternatives) {
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
    if track.kind == MediaKind::Video {
        let (width, height) = track.dimensions;
        let _ = write!(out, ",RESOLUTION={width}x{height},FRAME-RATE={:.3}", frame_rate(entry));
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

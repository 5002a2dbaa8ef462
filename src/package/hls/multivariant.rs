//! The multivariant playlist, `master.m3u8` (RFC 8216bis, 4.4.6).

use std::collections::BTreeSet;
use std::fmt::Write;

use super::bandwidth::Bandwidth;
use super::{INDEPENDENT_SEGMENTS, key_attributes};
use crate::media::{MediaKind, language};
use crate::package::{Rendition, WrittenRendition};

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

/// The multivariant playlist of all renditions, in the order in which they are given.
///
/// Each video rendition is a variant, and audio is one group of renditions beside it. Without video, each
/// audio rendition is a variant.
#[must_use]
pub fn render(renditions: &[Rendition<'_>], written: &[WrittenRendition], target_duration_s: u64) -> String {
    let entries: Vec<Entry<'_>> = renditions
        .iter()
        .zip(written)
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
    if written.iter().all(WrittenRendition::has_independent_segments) {
        out.push_str(INDEPENDENT_SEGMENTS);
    }
    for key in keys {
        let _ = writeln!(out, "#EXT-X-SESSION-KEY:{key}");
    }
    if videos.is_empty() {
        for audio in audios {
            let codecs = [audio.rendition.track.codec.rfc6381()];
            write_variant(&mut out, audio, audio.bandwidth, &codecs, None);
        }
        return out;
    }
    let mut names = BTreeSet::new();
    for (index, audio) in audios.iter().enumerate() {
        write_audio(&mut out, audio, &mut names, index == 0);
    }
    let audio_bandwidth = audios.iter().map(|audio| audio.bandwidth).reduce(Bandwidth::max);
    let audio_codecs: BTreeSet<String> = audios
        .iter()
        .map(|audio| audio.rendition.track.codec.rfc6381())
        .collect();
    for video in videos {
        let bandwidth = audio_bandwidth.map_or(video.bandwidth, |audio| video.bandwidth.plus(audio));
        let mut codecs = vec![video.rendition.track.codec.rfc6381()];
        codecs.extend(audio_codecs.iter().cloned());
        write_variant(
            &mut out,
            video,
            bandwidth,
            &codecs,
            audio_bandwidth.map(|_| AUDIO_GROUP),
        );
    }
    out
}

/// `EXT-X-MEDIA` of an audio rendition, whose `NAME` people read and no other of the group has (4.4.6.1.1).
fn write_audio(out: &mut String, audio: &Entry<'_>, names: &mut BTreeSet<String>, is_default: bool) {
    let Rendition { name, track, .. } = audio.rendition;
    let language = track.language.as_deref();
    let mut label = language.map_or_else(|| name.as_str().to_owned(), language::name);
    if !names.insert(label.clone()) {
        label = format!("{label} ({})", name.as_str());
        names.insert(label.clone());
    }
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

/// `EXT-X-STREAM-INF` of a variant.
fn write_variant(out: &mut String, entry: &Entry<'_>, bandwidth: Bandwidth, codecs: &[String], audio: Option<&str>) {
    let Rendition { name, track, .. } = entry.rendition;
    let Bandwidth { peak_bps, average_bps } = bandwidth;
    let codecs = codecs.join(",");
    let _ = write!(
        out,
        "#EXT-X-STREAM-INF:BANDWIDTH={peak_bps},AVERAGE-BANDWIDTH={average_bps},CODECS=\"{codecs}\""
    );
    if track.kind == MediaKind::Video {
        let (width, height) = track.dimensions;
        let _ = write!(out, ",RESOLUTION={width}x{height},FRAME-RATE={:.3}", frame_rate(entry));
    }
    if let Some(group) = audio {
        let _ = write!(out, ",AUDIO=\"{group}\"");
    }
    let _ = writeln!(out, "\n{}", name.playlist_uri());
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

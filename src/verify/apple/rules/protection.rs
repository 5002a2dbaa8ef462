//! Content protection (authoring specification, 13; RFC 8216bis, 4.4.4.4).

use std::collections::BTreeSet;

use super::super::init::{Entry, Track};
use super::super::presentation::{At, Media, Presentation};
use super::super::report::Outcome;
use super::super::tags::Tag;
use crate::media::MediaKind;
use crate::package::hls::key_format::FAIRPLAY;
use crate::verify::playlist::AES_128;

const SAMPLE_AES: &str = "SAMPLE-AES";
const SAMPLE_AES_CTR: &str = "SAMPLE-AES-CTR";

/// 13.2.
pub fn fairplay_method(presentation: &Presentation, outcome: &mut Outcome) {
    for (at, key) in fairplay(presentation) {
        let method = key.get("METHOD").unwrap_or("missing");
        let found = format!("METHOD is {method}, with FairPlay's KEYFORMAT");
        outcome.expect(
            method == SAMPLE_AES,
            at,
            found,
            "encrypt by cbcs, and write METHOD=SAMPLE-AES",
        );
    }
}

/// 13.3.
pub fn fairplay_format(presentation: &Presentation, outcome: &mut Outcome) {
    for (at, key) in keys(presentation) {
        if key.get("URI").is_some_and(|uri| uri.starts_with("skd:")) {
            let format = key.get("KEYFORMAT").unwrap_or("missing");
            let found = format!("KEYFORMAT is {format}, with a skd: URI");
            outcome.expect(format == FAIRPLAY, at, found, format!("write KEYFORMAT=\"{FAIRPLAY}\""));
        }
    }
}

/// 13.4: it SHOULD NOT be there, "unless necessary for interoperability".
pub fn fairplay_iv(presentation: &Presentation, outcome: &mut Outcome) {
    for (at, key) in fairplay(presentation) {
        let holds = key.get("IV").is_none();
        outcome.expect(holds, at, "a key of FairPlay Streaming with IV", "leave IV out");
    }
}

/// 13.7.
pub fn pattern(presentation: &Presentation, outcome: &mut Outcome) {
    for (at, track, entry) in entries(presentation) {
        let Some(protection) = entry
            .protection
            .as_ref()
            .filter(|_| track.kind == Some(MediaKind::Video))
        else {
            continue;
        };
        let found = match protection.pattern {
            Some((0, 0)) => "the video is encrypted without a pattern".to_owned(),
            Some((crypt, skip)) => format!("the pattern is {crypt}:{skip}"),
            None => "tenc can't be read".to_owned(),
        };
        let action = "encrypt by cbcs with the pattern 1:9";
        outcome.expect(protection.pattern == Some((1, 9)), at, found, action);
    }
}

/// 13.10.
pub fn mixed(presentation: &Presentation, outcome: &mut Outcome) {
    for media in presentation.continuous() {
        for map in &media.maps {
            for track in map.tracks.iter().flatten() {
                let is_encrypted = |entry: &Entry| entry.protection.is_some();
                let Some((first, more)) = track.entries.split_first() else {
                    continue;
                };
                if more.iter().any(|entry| is_encrypted(entry) != is_encrypted(first)) {
                    let found = "the first sample description is clear, and another encrypted";
                    let action = "write the encrypted sample description first";
                    outcome.expect(is_encrypted(first), media.at(Some(map.line)), found, action);
                }
            }
        }
    }
}

/// 13.11.
pub fn no_ctr(presentation: &Presentation, outcome: &mut Outcome) {
    for (at, key) in keys(presentation) {
        let holds = key.get("METHOD") != Some(SAMPLE_AES_CTR);
        let action = "encrypt by cbcs, and write METHOD=SAMPLE-AES";
        outcome.expect(holds, at, "METHOD is SAMPLE-AES-CTR", action);
    }
}

/// `METHOD` of `EXT-X-KEY` against the schemes of the sample descriptions.
pub fn keys_match(presentation: &Presentation, outcome: &mut Outcome) {
    for media in presentation.continuous() {
        let mut seen: BTreeSet<(Option<usize>, &[usize])> = BTreeSet::new();
        for segment in &media.segments {
            if !seen.insert((segment.map, &segment.keys)) {
                continue;
            }
            let keys = segment.keys.iter().filter_map(|line| media.playlist.tag_in(*line));
            let keys: Vec<&Tag> = keys.collect();
            let tracks = media.map(segment).and_then(|map| map.tracks.as_deref().ok());
            let at = media.at(Some(segment.line));
            if let (Some(tracks), []) = (tracks, keys.as_slice()) {
                let all = tracks.iter().flat_map(|track| &track.entries);
                let is_clear = tracks.is_empty() || all.clone().any(|entry| entry.protection.is_none());
                if all.clone().any(|entry| entry.protection.is_some()) {
                    let found = "samples are encrypted, and no EXT-X-KEY stands in front of the segment";
                    outcome.expect(is_clear, at, found, "write EXT-X-KEY");
                }
            }
            for key in keys {
                check_key(media, key, tracks, outcome);
            }
        }
    }
}

fn check_key(media: &Media, key: &Tag, tracks: Option<&[Track]>, outcome: &mut Outcome) {
    let at = media.playlist.at(key);
    let method = key.get("METHOD").unwrap_or("missing");
    let scheme: &[u8; 4] = match method {
        SAMPLE_AES => b"cbcs",
        SAMPLE_AES_CTR => b"cenc",
        AES_128 => {
            outcome.expect(key.get("URI").is_some(), at, "EXT-X-KEY without URI", "write URI");
            return;
        }
        _ => {
            let found = format!("METHOD is {method}");
            let action = "write AES-128, SAMPLE-AES, SAMPLE-AES-CTR or NONE";
            outcome.expect(false, at, found, action);
            return;
        }
    };
    outcome.expect(key.get("URI").is_some(), at, "EXT-X-KEY without URI", "write URI");
    let Some(tracks) = tracks.filter(|tracks| !tracks.is_empty()) else {
        outcome.skip(format!(
            "{}: its segments are not looked into",
            media.playlist.file.display()
        ));
        return;
    };
    let protections = tracks
        .iter()
        .flat_map(|track| &track.entries)
        .filter_map(|entry| entry.protection.as_ref());
    let other = protections
        .clone()
        .find(|protection| protection.scheme.is_none_or(|found| found.0 != *scheme));
    let expected = crate::isobmff::FourCc(*scheme);
    let found = match other.map(|protection| protection.scheme) {
        Some(Some(found)) => format!("METHOD is {method}, and samples are encrypted by {found}"),
        Some(None) => format!("METHOD is {method}, and schm can't be read"),
        None => format!("METHOD is {method}, and no sample description says that samples are encrypted"),
    };
    let holds = other.is_none() && protections.count() > 0;
    outcome.expect(
        holds,
        at,
        found,
        format!("encrypt by {expected}, or write the METHOD of what is there"),
    );
}

/// All `EXT-X-KEY` and `EXT-X-SESSION-KEY` of encrypted segments.
fn keys(presentation: &Presentation) -> Vec<(At<'_>, &Tag)> {
    let playlists = presentation.media.iter().map(|media| &media.playlist);
    let keys = playlists.chain(&presentation.multivariant).flat_map(|playlist| {
        let keys = playlist.all("EXT-X-KEY").chain(playlist.all("EXT-X-SESSION-KEY"));
        keys.map(|key| (playlist.at(key), key))
    });
    keys.filter(|(_, key)| key.get("METHOD") != Some("NONE")).collect()
}

fn fairplay(presentation: &Presentation) -> impl Iterator<Item = (At<'_>, &Tag)> {
    let keys = keys(presentation).into_iter();
    keys.filter(|(_, key)| key.get("KEYFORMAT") == Some(FAIRPLAY))
}

/// All sample descriptions of continuous media, at their `EXT-X-MAP`.
fn entries(presentation: &Presentation) -> impl Iterator<Item = (At<'_>, &Track, &Entry)> {
    presentation.continuous().flat_map(|media| {
        media.maps.iter().flat_map(move |map| {
            let at = media.at(Some(map.line));
            let tracks = map.tracks.iter().flatten();
            tracks.flat_map(move |track| track.entries.iter().map(move |entry| (at, track, entry)))
        })
    })
}

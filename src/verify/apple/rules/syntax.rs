//! What RFC 8216bis asks of every playlist, whoever plays it.

use std::collections::{BTreeMap, BTreeSet};

use super::super::presentation::{At, Presentation, Unread};
use super::super::report::Outcome;
use super::super::tags::{Playlist, Tag};
use crate::verify::hls::{nearest_second, seconds};

/// 4.2.
pub fn attributes(presentation: &Presentation, outcome: &mut Outcome) {
    for playlist in playlists(presentation) {
        outcome.look();
        for tag in playlist.tags.iter().filter(|tag| tag.is_unreadable) {
            let found = format!("the attributes of {} can't be read", tag.name);
            let action = "write NAME=value, each name once, with commas in between";
            outcome.expect(false, playlist.at(tag), found, action);
        }
    }
}

/// 4.4.3.1.
pub fn target_duration(presentation: &Presentation, outcome: &mut Outcome) {
    for media in &presentation.media {
        let Some(target) = media.playlist.integer("EXT-X-TARGETDURATION") else {
            let found = "a media playlist without EXT-X-TARGETDURATION";
            outcome.expect(false, media.at(None), found, "write EXT-X-TARGETDURATION");
            continue;
        };
        for segment in &media.segments {
            let Some(duration) = segment.duration_ns else { continue };
            let rounded = nearest_second(duration);
            let found = format!(
                "EXTINF is {} s, and EXT-X-TARGETDURATION is {target}",
                seconds(duration)
            );
            let action = format!("write EXT-X-TARGETDURATION:{rounded}");
            outcome.expect(rounded <= target, media.at(Some(segment.line)), found, action);
        }
    }
}

/// 4.4.3.4 and 4.4.3.5.
pub fn end(presentation: &Presentation, outcome: &mut Outcome) {
    for media in &presentation.media {
        if let Some(tag) = media
            .playlist
            .first("EXT-X-PLAYLIST-TYPE")
            .filter(|tag| tag.value == "VOD")
        {
            let holds = media.playlist.has("EXT-X-ENDLIST");
            let found = "a playlist of type VOD without EXT-X-ENDLIST, which players load again and again";
            outcome.expect(
                holds,
                media.playlist.at(tag),
                found,
                "write EXT-X-ENDLIST behind the last segment",
            );
        }
    }
}

/// 4.4.4.
pub fn files(presentation: &Presentation, outcome: &mut Outcome) {
    let at = |line: &usize| presentation.at(Some(*line));
    let named = presentation
        .unread
        .iter()
        .map(|(line, unread)| (at(line), Some(unread), None));
    let in_media = presentation.media.iter().flat_map(|media| {
        let maps = media
            .maps
            .iter()
            .map(|map| (media.at(Some(map.line)), map.tracks.as_ref().err(), None));
        let segments = media.segments.iter().map(|segment| {
            let damage = segment.file.as_ref().ok().and_then(|file| file.content.as_ref().err());
            (media.at(Some(segment.line)), segment.file.as_ref().err(), damage)
        });
        maps.chain(segments)
    });
    for (at, unread, damage) in named.chain(in_media) {
        let action = "publish the file as it was packaged";
        match (unread, damage) {
            (Some(Unread::Elsewhere(why)), _) => outcome.skip(why.as_str()),
            (Some(Unread::Broken(why)), _) | (None, Some(why)) => outcome.expect(false, at, why.as_str(), action),
            (None, None) => outcome.look(),
        }
    }
}

/// 4.4.4.1.
pub fn extinf(presentation: &Presentation, outcome: &mut Outcome) {
    for media in &presentation.media {
        for segment in &media.segments {
            let holds = segment.duration_ns.is_some();
            let found = "a segment without EXTINF, or with one that is no number";
            outcome.expect(
                holds,
                media.at(Some(segment.line)),
                found,
                "write EXTINF with seconds and a comma",
            );
        }
    }
}

/// 4.4.6.1.
pub fn media(presentation: &Presentation, outcome: &mut Outcome) {
    for rendition in presentation.renditions() {
        let at = presentation.at(Some(rendition.line));
        let kind = rendition.get("TYPE").unwrap_or("missing");
        let has = |name: &str| rendition.get(name).is_some();
        let is_known = matches!(kind, "AUDIO" | "VIDEO" | "SUBTITLES" | "CLOSED-CAPTIONS");
        let action = "write TYPE=AUDIO, VIDEO, SUBTITLES or CLOSED-CAPTIONS";
        outcome.expect(is_known, at, format!("TYPE is {kind}"), action);
        for name in ["GROUP-ID", "NAME"] {
            outcome.expect(
                has(name),
                at,
                format!("EXT-X-MEDIA without {name}"),
                format!("write {name}"),
            );
        }
        match kind {
            "SUBTITLES" => outcome.expect(has("URI"), at, "SUBTITLES without URI", "write URI"),
            "CLOSED-CAPTIONS" => {
                outcome.expect(
                    has("INSTREAM-ID"),
                    at,
                    "CLOSED-CAPTIONS without INSTREAM-ID",
                    "write INSTREAM-ID",
                );
                let action = "leave URI out: captions are inside of the video";
                outcome.expect(!has("URI"), at, "CLOSED-CAPTIONS with URI", action);
            }
            _ => {}
        }
        let holds = !rendition.is_yes("DEFAULT") || rendition.get("AUTOSELECT") != Some("NO");
        outcome.expect(holds, at, "DEFAULT=YES beside AUTOSELECT=NO", "write AUTOSELECT=YES");
        let holds = kind == "SUBTITLES" || !has("FORCED");
        outcome.expect(holds, at, "FORCED, and these are no subtitles", "leave FORCED out");
    }
}

/// 4.4.6.1.1.
pub fn groups(presentation: &Presentation, outcome: &mut Outcome) {
    let mut names = BTreeMap::new();
    let mut defaults = BTreeMap::new();
    for rendition in presentation.renditions() {
        let at = presentation.at(Some(rendition.line));
        let group = (rendition.get("TYPE"), rendition.get("GROUP-ID"));
        let name = rendition.get("NAME").unwrap_or_default();
        let before = names.insert((group, name), rendition.line);
        let found = format!("NAME is {name:?} as in line {}", before.unwrap_or(0));
        outcome.expect(
            before.is_none(),
            at,
            found,
            "give each rendition of a group a name of its own",
        );
        if rendition.is_yes("DEFAULT") {
            let before = defaults.insert(group, rendition.line);
            let found = format!("DEFAULT=YES as in line {}", before.unwrap_or(0));
            outcome.expect(before.is_none(), at, found, "choose one default of the group");
        }
    }
}

/// `NAME` and `LANGUAGE` of a group's renditions.
type Members = BTreeSet<(String, String)>;

/// 4.4.6.1.1: groups of a type are encodings of the same renditions.
pub fn same_members(presentation: &Presentation, outcome: &mut Outcome) {
    for kind in ["AUDIO", "VIDEO", "SUBTITLES", "CLOSED-CAPTIONS"] {
        let member = |tag: &Tag| {
            let get = |name| tag.get(name).unwrap_or_default().to_owned();
            (get("NAME"), get("LANGUAGE"))
        };
        let mut groups: BTreeMap<&str, (usize, Members)> = BTreeMap::new();
        for rendition in presentation.renditions().filter(|tag| tag.get("TYPE") == Some(kind)) {
            let Some(id) = rendition.get("GROUP-ID") else { continue };
            let (_, members) = groups.entry(id).or_insert_with(|| (rendition.line, BTreeSet::new()));
            members.insert(member(rendition));
        }
        let all: Members = groups.values().flat_map(|(_, members)| members.clone()).collect();
        if groups.len() > 1 {
            for (id, (line, members)) in &groups {
                let missing: Vec<String> = all
                    .difference(members)
                    .map(|(name, language)| format!("{name:?} ({language})"))
                    .collect();
                let found = format!("the group {id:?} has no {}", missing.join(", "));
                let action = "give all groups of the type the same renditions";
                outcome.expect(missing.is_empty(), presentation.at(Some(*line)), found, action);
            }
        }
    }
}

/// 4.4.6.2.
pub fn variants(presentation: &Presentation, outcome: &mut Outcome) {
    let is_read = |line: usize| presentation.unread.iter().any(|(unread, _)| *unread == line);
    for variant in presentation.variants() {
        let Some((_, tag)) = variant.tag else { continue };
        let holds = tag.number::<u64>("BANDWIDTH").is_some();
        outcome.expect(
            holds,
            variant.at(),
            "EXT-X-STREAM-INF without BANDWIDTH",
            "write BANDWIDTH",
        );
        let holds = variant.media.is_some() || is_read(tag.line);
        let found = "EXT-X-STREAM-INF without a URI behind it";
        outcome.expect(holds, variant.at(), found, "write the URI in the next line");
        for kind in ["AUDIO", "VIDEO", "SUBTITLES", "CLOSED-CAPTIONS"] {
            let Some(group) = tag
                .get(kind)
                .filter(|group| (kind, *group) != ("CLOSED-CAPTIONS", "NONE"))
            else {
                continue;
            };
            let holds = presentation.group(kind, group).next().is_some();
            let found = format!("{kind} is {group:?}, and no EXT-X-MEDIA has this group");
            outcome.expect(
                holds,
                variant.at(),
                found,
                format!("write EXT-X-MEDIA, or leave {kind} out"),
            );
        }
    }
}

/// 8: what each version brought.
pub fn version(presentation: &Presentation, outcome: &mut Outcome) {
    for playlist in playlists(presentation) {
        let Needed { must, why, .. } = Needed::by(playlist);
        let (version, line) = says(playlist);
        let found = format!("EXT-X-VERSION is {version}, and {why} needs {must}");
        let at = At {
            file: &playlist.file,
            line,
        };
        outcome.expect(version >= must, at, found, format!("write EXT-X-VERSION:{must}"));
    }
}

/// 8: who knows no more than that can play it too.
pub fn lowest_version(presentation: &Presentation, outcome: &mut Outcome) {
    for playlist in playlists(presentation) {
        let Needed { most, .. } = Needed::by(playlist);
        let (version, line) = says(playlist);
        let at = At {
            file: &playlist.file,
            line,
        };
        let found = format!("EXT-X-VERSION is {version}, and {most} is enough");
        outcome.expect(version <= most, at, found, format!("write EXT-X-VERSION:{most}"));
    }
}

/// `EXT-X-VERSION`, which is 1 where it is missing, and its line.
fn says(playlist: &Playlist) -> (u64, Option<usize>) {
    let tag = playlist.first("EXT-X-VERSION");
    (playlist.integer("EXT-X-VERSION").unwrap_or(1), tag.map(|tag| tag.line))
}

/// The version that a playlist needs.
struct Needed {
    must: u64,
    /// For what.
    why: String,
    /// What `EXT-X-SESSION-KEY` would need if it were `EXT-X-KEY`, which the RFC does not say.
    most: u64,
}

impl Needed {
    fn by(playlist: &Playlist) -> Self {
        let is_iframes_only = playlist.has("EXT-X-I-FRAMES-ONLY");
        let mut needed = Self {
            must: 1,
            why: "nothing".to_owned(),
            most: 1,
        };
        for tag in &playlist.tags {
            let version = match tag.name.as_str() {
                "EXTINF"
                    if tag
                        .value
                        .split(',')
                        .next()
                        .is_some_and(|duration| duration.contains('.')) =>
                {
                    3
                }
                "EXT-X-BYTERANGE" | "EXT-X-I-FRAMES-ONLY" => 4,
                "EXT-X-MAP" => 5 + u64::from(!is_iframes_only),
                "EXT-X-KEY" | "EXT-X-SESSION-KEY" => of_key(tag),
                "EXT-X-MEDIA" if tag.get("INSTREAM-ID").is_some_and(|id| id.starts_with("SERVICE")) => 7,
                "EXT-X-DEFINE" if tag.value.contains("QUERYPARAM=") => 11,
                "EXT-X-DEFINE" => 8,
                "EXT-X-SKIP" => 9,
                "EXT-X-STREAM-INF" if tag.get("REQ-VIDEO-LAYOUT").is_some() => 12,
                _ => 1,
            };
            needed.most = needed.most.max(version);
            if version > needed.must && tag.name != "EXT-X-SESSION-KEY" {
                needed.must = version;
                needed.why.clone_from(&tag.name);
            }
        }
        needed
    }
}

fn of_key(key: &Tag) -> u64 {
    let has_format = key.get("KEYFORMAT").is_some() || key.get("KEYFORMATVERSIONS").is_some();
    if has_format || key.get("METHOD") == Some("SAMPLE-AES") {
        5
    } else if key.get("IV").is_some() {
        2
    } else {
        1
    }
}

fn playlists(presentation: &Presentation) -> impl Iterator<Item = &Playlist> {
    let media = presentation.media.iter().map(|media| &media.playlist);
    presentation.multivariant.iter().chain(media)
}

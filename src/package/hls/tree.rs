//! The playlists of a tree, edited line by line: what encryption does not make untrue stays as it is.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::Bandwidth;
use super::key_format::KeyFormat;
use crate::media::playlist::{Content, MediaPlaylist, MultivariantPlaylist, Playlist, Resource, attributes};
use crate::media::tree::TreePlaylist;
use crate::media::{Time, Timescale, Tree};
use crate::package::tree::WrittenFile;
use crate::package::{PackageError, WrittenSegment};
use crate::protect::TrackProtection;

/// `KEYFORMAT` and `SAMPLE-AES` need version 5; `EXT-X-MAP` needs 6 beside segments that are no I-frames (RFC 8216bis, 8).
const KEY_VERSION: u64 = 5;
const MAP_VERSION: u64 = 6;

/// How far a declared bit rate may be below the measured one (Apple's authoring specification, 1.26), in percent.
const BANDWIDTH_TOLERANCE_PERCENT: u64 = 10;

/// Where a tree's players get the key, and the IV of each rendition.
pub struct TreeKeys<'a> {
    /// One key for all.
    pub uri: &'a str,
    /// In what form players get it.
    pub format: &'a KeyFormat,
    /// One a rendition; `None` where it stays clear.
    pub protections: &'a [Option<&'a TrackProtection>],
}

/// Bit rates before and after, in bits a second.
#[derive(Debug, Clone, Copy, Default)]
struct Grown {
    old: Bandwidth,
    new: Bandwidth,
}

/// Where a media playlist's resources went.
struct Moved {
    /// Ranges of the maps.
    maps: Vec<Option<Range<u64>>>,
    segments: Vec<MovedSegment>,
}

#[derive(Debug, Clone, Default)]
struct MovedSegment {
    range: Option<Range<u64>>,
    old_bytes: u64,
    new_bytes: u64,
}

/// Writes all playlists of `tree` below `folder`, and returns the bit rates of each; `None` where it is of text, or
/// multivariant.
///
/// # Errors
/// [`PackageError`] where a range of bytes can't be told in the new files, or a file can't be written.
pub fn write_tree_playlists(
    tree: &Tree,
    written: &BTreeMap<PathBuf, WrittenFile>,
    keys: &TreeKeys<'_>,
    folder: &Path,
) -> Result<Vec<Option<Bandwidth>>, PackageError> {
    let scheme = keys
        .protections
        .iter()
        .flatten()
        .next()
        .map(|protection| protection.scheme);
    let session_key = keys.format.attributes(scheme, keys.uri);
    let mut texts = Vec::new();
    let mut rates: BTreeMap<&Path, Grown> = BTreeMap::new();
    for TreePlaylist {
        file,
        playlist,
        files,
        map_files,
        rendition,
    } in &tree.playlists
    {
        let Content::Media(media) = &playlist.content else {
            texts.push(String::new());
            continue;
        };
        let protection = rendition.and_then(|index| keys.protections.get(index).copied().flatten());
        let Some(protection) = protection else {
            texts.push(playlist.lines.concat());
            continue;
        };
        let moved = Moved::new(media, map_files, files, written).map_err(|line| PackageError::Line {
            path: tree.folder.join(file),
            line: line + 1,
            what: "the range does not begin and end with a box, or within media data".to_owned(),
        })?;
        rates.insert(file, moved.rates(media));
        texts.push(edit_media(
            playlist,
            media,
            &moved,
            &keys.format.with_iv(session_key.clone(), protection),
        ));
    }
    for (
        text,
        TreePlaylist {
            file, playlist, files, ..
        },
    ) in texts.iter_mut().zip(&tree.playlists)
    {
        if let Content::Multivariant(multivariant) = &playlist.content {
            let rates: Vec<Option<Grown>> = files.iter().map(|file| rates.get(file.as_path()).copied()).collect();
            *text = edit_multivariant(playlist, multivariant, &rates, &session_key);
        }
        let path = folder.join(file);
        let parent = path.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent).map_err(|cause| PackageError::write(parent, cause))?;
        std::fs::write(&path, text).map_err(|cause| PackageError::write(&path, cause))?;
    }
    let rate = |playlist: &TreePlaylist| Some(rates.get(playlist.file.as_path())?.new);
    Ok(tree.playlists.iter().map(rate).collect())
}

impl Moved {
    /// Looks up all resources; an error is the line of one that can't be told.
    fn new(
        media: &MediaPlaylist,
        map_files: &[PathBuf],
        files: &[PathBuf],
        written: &BTreeMap<PathBuf, WrittenFile>,
    ) -> Result<Self, usize> {
        let find = |resource: &Resource, file: &Path| {
            let written = written.get(file)?;
            let Some(old) = &resource.range else {
                return Some(MovedSegment {
                    range: None,
                    old_bytes: written.old_bytes(),
                    new_bytes: written.bytes(),
                });
            };
            let new = written.range(old)?;
            Some(MovedSegment {
                old_bytes: old.end - old.start,
                new_bytes: new.end - new.start,
                range: Some(new),
            })
        };
        let find = |resource: &Resource, file: &Path| find(resource, file).ok_or(resource.line);
        let maps = media
            .maps
            .iter()
            .zip(map_files)
            .map(|(map, file)| Ok(find(map, file)?.range));
        let segments = media.segments.iter().zip(files);
        let segments = segments.map(|(segment, file)| find(&segment.resource, file));
        Ok(Self {
            maps: maps.collect::<Result<_, usize>>()?,
            segments: segments.collect::<Result<_, _>>()?,
        })
    }

    fn rates(&self, media: &MediaPlaylist) -> Grown {
        let measure = |bytes: fn(&MovedSegment) -> u64| {
            let segments = media.segments.iter().zip(&self.segments);
            let segments: Vec<WrittenSegment> = segments
                .map(|(segment, moved)| WrittenSegment {
                    duration: seconds(segment.duration_ns),
                    is_independent: true,
                    bytes: bytes(moved),
                })
                .collect();
            Bandwidth::measure(&segments, media.target_duration_s)
        };
        Grown {
            old: measure(|moved| moved.old_bytes),
            new: measure(|moved| moved.new_bytes),
        }
    }
}

fn seconds(nanoseconds: i64) -> Time {
    const NANOSECONDS: Timescale = Timescale::new(1_000_000_000).unwrap();
    Time::new(nanoseconds, NANOSECONDS)
}

/// A media playlist with `EXT-X-KEY` behind its first `EXT-X-MAP`, and ranges where the bytes are now.
fn edit_media(playlist: &Playlist, media: &MediaPlaylist, moved: &Moved, key: &str) -> String {
    let mut lines = playlist.lines.clone();
    let mut end = None;
    for (segment, moved) in media.segments.iter().zip(&moved.segments) {
        if let (Some(at), Some(range)) = (segment.range_line, &moved.range)
            && let Some(line) = lines.get_mut(at)
        {
            let states_start = line.contains('@') || end != Some(range.start);
            *line = format!("#EXT-X-BYTERANGE:{}{}", range_text(range, states_start), line_end(line));
        }
        end = moved.range.as_ref().map(|range| range.end);
        if let Some((at, stated_kbps)) = segment.bitrate {
            let duration_ns = u64::try_from(segment.duration_ns).unwrap_or(0).max(1);
            // Bits a nanosecond, a million times: kilobits a second.
            let kbps = |bytes: u64| bytes.saturating_mul(8_000_000) / duration_ns;
            if let Some(kbps) = corrected(stated_kbps, kbps(moved.old_bytes), kbps(moved.new_bytes))
                && let Some(line) = lines.get_mut(at)
            {
                *line = format!("#EXT-X-BITRATE:{kbps}{}", line_end(line));
            }
        }
    }
    for (map, range) in media.maps.iter().zip(&moved.maps) {
        if let (Some(range), Some(line)) = (range, lines.get_mut(map.line)) {
            replace_attribute(line, "BYTERANGE", |old| {
                range_text(range, old.contains('@') || range.start > 0)
            });
        }
    }
    // Behind the map: a key in front of it would say that the init segment is encrypted.
    if let Some(line) = media.maps.first().and_then(|map| lines.get_mut(map.line)) {
        let end = line_end(line).to_owned();
        let _ = write!(line, "#EXT-X-KEY:{key}{end}");
    }
    raise_version(
        playlist,
        &mut lines,
        if media.is_iframes_only {
            KEY_VERSION
        } else {
            MAP_VERSION
        },
    );
    lines.concat()
}

/// A multivariant playlist with `EXT-X-SESSION-KEY` in front of what it names, and bit rates that are true.
///
/// `rates` are those of the renditions and then the variants, as they are named.
fn edit_multivariant(
    playlist: &Playlist,
    multivariant: &MultivariantPlaylist,
    rates: &[Option<Grown>],
    session_key: &str,
) -> String {
    let mut lines = playlist.lines.clone();
    let (rendition_rates, variant_rates) = rates
        .split_at_checked(multivariant.renditions.len())
        .unwrap_or_default();
    for (variant, own) in multivariant.variants.iter().zip(variant_rates) {
        let (Some(own), Some(line)) = (own, lines.get_mut(variant.line)) else {
            continue;
        };
        let renditions = multivariant.renditions.iter().zip(rendition_rates);
        let beside = renditions.filter(|(rendition, _)| variant.groups.contains(&rendition.group));
        // Sound that is a variant by itself is one of its own group, and counts there.
        let is_of_group = beside.clone().any(|(rendition, _)| rendition.uri == variant.uri);
        let mut all = if is_of_group { Grown::default() } else { *own };
        for group in &variant.groups {
            let members = beside.clone().filter(|(rendition, _)| rendition.group == *group);
            let largest = members.filter_map(|(_, rates)| *rates).reduce(|a, b| Grown {
                old: a.old.max(b.old),
                new: a.new.max(b.new),
            });
            if let Some(largest) = largest {
                all = Grown {
                    old: all.old.plus(largest.old),
                    new: all.new.plus(largest.new),
                };
            }
        }
        if let Some(bps) = corrected(variant.bandwidth_bps, all.old.peak_bps, all.new.peak_bps) {
            replace_attribute(line, "BANDWIDTH", |_| bps.to_string());
        }
        let average = variant.average_bandwidth_bps;
        if let Some(bps) = average.and_then(|stated| corrected(stated, all.old.average_bps, all.new.average_bps)) {
            replace_attribute(line, "AVERAGE-BANDWIDTH", |_| bps.to_string());
        }
    }
    let named = multivariant.renditions.iter().map(|rendition| rendition.line);
    let first = named
        .chain(multivariant.variants.iter().map(|variant| variant.line))
        .min();
    if let Some(line) = first.and_then(|first| lines.get_mut(first)) {
        *line = format!("#EXT-X-SESSION-KEY:{session_key}{}{line}", line_end(line));
    }
    raise_version(playlist, &mut lines, KEY_VERSION);
    lines.concat()
}

/// What a stated rate must become because the growth made it too small.
fn corrected(stated: u64, old: u64, new: u64) -> Option<u64> {
    let is_true = |measured: u64| {
        u128::from(stated) * 100 >= u128::from(measured) * u128::from(100 - BANDWIDTH_TOLERANCE_PERCENT)
    };
    (is_true(old) && !is_true(new)).then_some(new)
}

/// Keys need version 5 at least; where it is stated lower, or not at all, `lowest` is stated.
fn raise_version(playlist: &Playlist, lines: &mut [String], lowest: u64) {
    match playlist.version {
        Some((_, stated)) if stated >= KEY_VERSION => {}
        Some((at, _)) => {
            if let Some(line) = lines.get_mut(at) {
                *line = format!("#EXT-X-VERSION:{lowest}{}", line_end(line));
            }
        }
        None => {
            if let Some(line) = lines.first_mut() {
                let end = line_end(line).to_owned();
                let _ = write!(line, "#EXT-X-VERSION:{lowest}{end}");
            }
        }
    }
}

/// Replaces the value of an attribute where it stands.
fn replace_attribute(line: &mut String, name: &str, value: impl FnOnce(&str) -> String) {
    let found = attributes(line).and_then(|all| all.into_iter().find(|attribute| attribute.name == name));
    if let Some(attribute) = found {
        let (span, value) = (attribute.span.clone(), value(attribute.text));
        line.replace_range(span, &value);
    }
}

fn range_text(range: &Range<u64>, states_start: bool) -> String {
    let bytes = range.end - range.start;
    if states_start {
        format!("{bytes}@{}", range.start)
    } else {
        bytes.to_string()
    }
}

fn line_end(line: &str) -> &str {
    line.get(line.trim_end_matches(['\r', '\n']).len()..)
        .filter(|end| !end.is_empty())
        .unwrap_or("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(text: &str, moved: &Moved) -> String {
        match Playlist::parse(text) {
            Ok(playlist) => match &playlist.content {
                Content::Media(media) => edit_media(&playlist, media, moved, "K"),
                Content::Multivariant(_) => unreachable!("{text}"),
            },
            Err(error) => unreachable!("{error}"),
        }
    }

    fn moved(range: Range<u64>, old_bytes: u64) -> MovedSegment {
        MovedSegment {
            new_bytes: range.end - range.start,
            range: Some(range),
            old_bytes,
        }
    }

    #[test]
    fn only_what_became_untrue_is_another_line() {
        let text = "#EXTM3U\r\n#EXT-X-TARGETDURATION:1\r\n#EXT-X-VERSION:4\r\n# by hand\r\n\r\n\
                    #EXT-X-MAP:URI=\"a.mp4\",BYTERANGE=\"10@0\"\r\n#EXT-X-BITRATE:8\n#EXTINF:1,x\r\n#EXT-X-BYTERANGE:1000@20\r\n\
                    #EXT-X-CUE-OUT:30\r\na.mp4\r\n#EXT-X-BITRATE:8\n#EXTINF:1,\n#EXT-X-BYTERANGE:1000\na.mp4\n#EXT-X-ENDLIST";
        let went = Moved {
            maps: vec![Some(0..15)],
            segments: vec![moved(30..1200, 1000), moved(1200..2210, 1000)],
        };
        let expected = "#EXTM3U\r\n#EXT-X-TARGETDURATION:1\r\n#EXT-X-VERSION:6\r\n# by hand\r\n\r\n\
                        #EXT-X-MAP:URI=\"a.mp4\",BYTERANGE=\"15@0\"\r\n#EXT-X-KEY:K\r\n#EXT-X-BITRATE:9\n#EXTINF:1,x\r\n\
                        #EXT-X-BYTERANGE:1170@30\r\n#EXT-X-CUE-OUT:30\r\na.mp4\r\n#EXT-X-BITRATE:8\n#EXTINF:1,\n\
                        #EXT-X-BYTERANGE:1010\na.mp4\n#EXT-X-ENDLIST";
        assert_eq!(edited(text, &went), expected);
    }

    /// A multivariant playlist, edited with those rates and the key `K`.
    fn edited_multivariant(text: &str, of_each: &[Option<Grown>]) -> String {
        let Ok(Playlist {
            content: Content::Multivariant(multivariant),
            lines,
            version,
        }) = Playlist::parse(text)
        else {
            unreachable!("{text}")
        };
        let playlist = Playlist {
            lines,
            version,
            content: Content::Multivariant(MultivariantPlaylist::default()),
        };
        edit_multivariant(&playlist, &multivariant, of_each, "K")
    }

    #[test]
    fn a_variant_counts_its_groups_and_keeps_what_is_true() {
        let text = "#EXTM3U\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"a\",URI=\"a.m3u8\"\n\
                    #EXT-X-STREAM-INF:AVERAGE-BANDWIDTH=170,X=\"BANDWIDTH=1\",BANDWIDTH=200,AUDIO=\"a\"\nv.m3u8\n\
                    #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=50,URI=\"i.m3u8\"\n";
        let rates = |peak_bps, average_bps| Bandwidth { peak_bps, average_bps };
        let grown = |old, new| Some(Grown { old, new });
        let of_each = [
            grown(rates(100, 80), rates(100, 80)),
            grown(rates(100, 90), rates(130, 95)),
            grown(rates(50, 50), rates(55, 55)),
        ];
        let expected = "#EXTM3U\n#EXT-X-VERSION:5\n#EXT-X-INDEPENDENT-SEGMENTS\n\
                        #EXT-X-SESSION-KEY:K\n\
                        #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"a\",URI=\"a.m3u8\"\n\
                        #EXT-X-STREAM-INF:AVERAGE-BANDWIDTH=170,X=\"BANDWIDTH=1\",BANDWIDTH=230,AUDIO=\"a\"\nv.m3u8\n\
                        #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=50,URI=\"i.m3u8\"\n";
        assert_eq!(edited_multivariant(text, &of_each), expected);
    }

    #[test]
    fn sound_alone_counts_in_its_own_group() {
        let text = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"en\",URI=\"en.m3u8\"\n\
                    #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"fr\",URI=\"fr.m3u8\"\n\
                    #EXT-X-STREAM-INF:BANDWIDTH=100,AUDIO=\"a\"\nen.m3u8\n";
        let rates = |bps| Bandwidth {
            peak_bps: bps,
            average_bps: bps,
        };
        let grown = |old, new| {
            Some(Grown {
                old: rates(old),
                new: rates(new),
            })
        };
        let of_each = [grown(90, 100), grown(100, 120), grown(90, 100)];
        let edited = edited_multivariant(text, &of_each);
        assert!(edited.contains("BANDWIDTH=120,"), "{edited}");
    }

    #[test]
    fn bit_rates_change_where_the_growth_made_them_too_small() {
        assert_eq!(corrected(100, 100, 111), None);
        assert_eq!(corrected(100, 100, 112), Some(112));
        assert_eq!(corrected(200, 100, 112), None);
        assert_eq!(
            corrected(50, 100, 112),
            None,
            "what was untrue before is not ours to mend"
        );
    }
}

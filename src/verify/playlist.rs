//! A strict reader of the playlists that an output has (RFC 8216bis, 4): what it does not know is a difference, but in a
//! tree, which keeps what others wrote.

use std::ops::Range;

use super::Form;
use super::findings::FileFindings;
use crate::content_key::{Iv, Kid};
use crate::package::hls::key_format::{IDENTITY, has_iv};

/// The `METHOD` of segments that are encrypted as whole files (RFC 8216bis, 4.4.4.4).
pub const AES_128: &str = "AES-128";

/// A media playlist.
#[derive(Debug, Clone, Default)]
pub struct MediaPlaylist {
    /// `EXT-X-VERSION`.
    pub version: Option<u64>,
    /// `EXT-X-TARGETDURATION`.
    pub target_duration_s: Option<u64>,
    /// `EXT-X-MEDIA-SEQUENCE`.
    pub media_sequence: Option<u64>,
    /// `EXT-X-PLAYLIST-TYPE`.
    pub playlist_type: Option<String>,
    /// Whether there is an `EXT-X-INDEPENDENT-SEGMENTS`.
    pub has_independent_segments: bool,
    /// `EXT-X-MAP`, the first.
    pub map: Option<Located<Map>>,
    /// All of them: one for each part of the media.
    pub maps: Vec<Located<Map>>,
    /// Whether there is an `EXT-X-I-FRAMES-ONLY`.
    pub is_iframes_only: bool,
    /// Each `EXT-X-KEY`, in order.
    pub keys: Vec<Located<Key>>,
    /// The segments, in order.
    pub segments: Vec<Located<Segment>>,
    /// Whether there is an `EXT-X-ENDLIST`.
    pub has_end: bool,
}

/// Something at a byte of a playlist.
#[derive(Debug, Clone)]
pub struct Located<T> {
    /// Bytes from the playlist's start to the line.
    pub offset: u64,
    /// What stands there.
    pub value: T,
}

/// `EXT-X-KEY` or `EXT-X-SESSION-KEY`.
#[derive(Debug, Clone)]
pub struct Key {
    /// `METHOD`.
    pub method: Option<String>,
    /// `URI`.
    pub uri: Option<String>,
    /// `KEYFORMAT`.
    pub key_format: Option<String>,
    /// `KEYFORMATVERSIONS`.
    pub key_format_versions: Option<String>,
    /// `KEYID`, which players of Clear Key are told.
    pub key_id: Option<Kid>,
    /// `IV`.
    pub iv: Option<Iv>,
}

impl Key {
    /// Whether the IV is that of the init segment, or is left out where the format lets it be.
    #[must_use]
    pub fn has_iv_of(&self, constant: Option<Iv>) -> bool {
        let may_lack = !has_iv(self.key_format.as_deref().unwrap_or(IDENTITY));
        self.iv == constant || (self.iv.is_none() && may_lack)
    }
}

/// `EXT-X-MAP`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map {
    /// Relative to the playlist.
    pub uri: String,
    /// Which bytes of it; `None` is all.
    pub range: Option<Range<u64>>,
}

/// `EXTINF` and the URI behind it.
#[derive(Debug, Clone)]
pub struct Segment {
    /// In nanoseconds, exactly as it is written.
    pub duration_ns: i64,
    /// Relative to the playlist.
    pub uri: String,
    /// Which bytes of it; `None` is all.
    pub range: Option<Range<u64>>,
    /// Which of the maps is in force; `None` where there is none in front of it.
    pub map: Option<usize>,
    /// Which of the keys is in force; `None` where there is none in front of it, or `METHOD=NONE`.
    pub key: Option<usize>,
}

/// A multivariant playlist.
#[derive(Debug, Default)]
pub struct MultivariantPlaylist {
    /// `EXT-X-VERSION`.
    pub version: Option<u64>,
    /// Whether there is an `EXT-X-INDEPENDENT-SEGMENTS`.
    pub has_independent_segments: bool,
    /// `EXT-X-SESSION-KEY`.
    pub session_keys: Vec<Located<Key>>,
    /// `EXT-X-MEDIA`.
    pub media: Vec<Located<Media>>,
    /// `EXT-X-STREAM-INF`.
    pub variants: Vec<Located<Variant>>,
    /// `EXT-X-I-FRAME-STREAM-INF`, which has attributes of a variant.
    pub iframes: Vec<Located<Variant>>,
    /// `EXT-X-SESSION-DATA` with a URI: the URIs.
    pub data: Vec<Located<String>>,
}

/// `EXT-X-MEDIA`.
#[derive(Debug, Clone)]
pub struct Media {
    /// `TYPE`.
    pub kind: Option<String>,
    /// `GROUP-ID`.
    pub group: Option<String>,
    /// `NAME`.
    pub name: Option<String>,
    /// `LANGUAGE`.
    pub language: Option<String>,
    /// `DEFAULT`.
    pub default: Option<String>,
    /// `AUTOSELECT`.
    pub autoselect: Option<String>,
    /// `FORCED`.
    pub forced: Option<String>,
    /// `CHANNELS`.
    pub channels: Option<String>,
    /// `CHARACTERISTICS`.
    pub characteristics: Option<String>,
    /// `INSTREAM-ID`.
    pub instream_id: Option<String>,
    /// `URI`.
    pub uri: Option<String>,
}

/// `EXT-X-STREAM-INF` and the URI behind it.
#[derive(Debug, Clone)]
pub struct Variant {
    /// `BANDWIDTH`.
    pub bandwidth_bps: Option<u64>,
    /// `AVERAGE-BANDWIDTH`.
    pub average_bandwidth_bps: Option<u64>,
    /// `CODECS`.
    pub codecs: Option<String>,
    /// `SUPPLEMENTAL-CODECS`.
    pub supplemental_codecs: Option<String>,
    /// `RESOLUTION`.
    pub resolution: Option<(u64, u64)>,
    /// `FRAME-RATE`, in frames per thousand million seconds.
    pub frame_rate_nhz: Option<i64>,
    /// `VIDEO-RANGE`.
    pub video_range: Option<String>,
    /// `HDCP-LEVEL`.
    pub hdcp_level: Option<String>,
    /// `SCORE`.
    pub score: Option<f64>,
    /// `AUDIO`.
    pub audio: Option<String>,
    /// `SUBTITLES`.
    pub subtitles: Option<String>,
    /// `CLOSED-CAPTIONS`.
    pub closed_captions: Option<ClosedCaptions>,
    /// Relative to the playlist.
    pub uri: String,
}

/// What a variant says of captions inside of its video.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClosedCaptions {
    /// There are none, in no variant.
    None,
    /// A group.
    Group(String),
}

/// Reads a media playlist.
pub fn parse_media(text: &str, form: Form, findings: &mut FileFindings<'_>) -> MediaPlaylist {
    let mut playlist = MediaPlaylist::default();
    let mut duration_ns: Option<i64> = None;
    let mut range = None;
    for line in lines(text, findings) {
        let Line { offset, name, value } = line;
        if playlist.has_end && form == Form::Own {
            findings.add_at(offset, "a line behind EXT-X-ENDLIST");
        }
        match name {
            "" => match duration_ns.take() {
                Some(duration_ns) => {
                    let range = range.take().and_then(|range| {
                        let resolved = playlist.resolve(value, range);
                        if resolved.is_none() {
                            findings.add_at(offset, "EXT-X-BYTERANGE of no bytes, or of unknown ones");
                        }
                        resolved
                    });
                    playlist.segments.push(Located {
                        offset,
                        value: Segment {
                            duration_ns,
                            uri: value.to_owned(),
                            range,
                            map: playlist.maps.len().checked_sub(1),
                            key: playlist.key_in_force(),
                        },
                    });
                }
                None => findings.add_at(offset, "a URI without EXTINF"),
            },
            "EXTINF" => {
                let (duration, title) = value.split_once(',').unwrap_or((value, "no comma"));
                let is_strict = form == Form::Own;
                let parsed = decimal_nanos(duration).filter(|ns| !is_strict || (*ns > 0 && title.is_empty()));
                if parsed.is_none() {
                    findings.add_at(
                        offset,
                        format!("EXTINF is {value:?}, expected seconds above 0 and a comma"),
                    );
                }
                if duration_ns.replace(parsed.unwrap_or(0)).is_some() {
                    findings.add_at(offset, "two EXTINF for one segment");
                }
            }
            "EXT-X-VERSION" => once(&mut playlist.version, integer(&line, findings), &line, findings),
            "EXT-X-TARGETDURATION" => {
                once(
                    &mut playlist.target_duration_s,
                    integer(&line, findings),
                    &line,
                    findings,
                );
            }
            "EXT-X-MEDIA-SEQUENCE" => once(&mut playlist.media_sequence, integer(&line, findings), &line, findings),
            "EXT-X-PLAYLIST-TYPE" => once(&mut playlist.playlist_type, Some(value.to_owned()), &line, findings),
            "EXT-X-INDEPENDENT-SEGMENTS" => set(&mut playlist.has_independent_segments, &line, findings),
            "EXT-X-ENDLIST" => set(&mut playlist.has_end, &line, findings),
            "EXT-X-MAP" => {
                let map = map(&line, form, findings);
                let map = map.map(|value| Located { offset, value });
                playlist.maps.extend(map.clone());
                if playlist.map.is_none() {
                    playlist.map = map;
                }
            }
            "EXT-X-KEY" => {
                let value = key(&line, form, findings);
                playlist.keys.push(Located { offset, value });
            }
            "EXT-X-BYTERANGE" => {
                range = byte_range(value);
                if range.is_none() {
                    findings.add_at(
                        offset,
                        format!("EXT-X-BYTERANGE is {value:?}, expected bytes such as 100@0"),
                    );
                }
            }
            "EXT-X-I-FRAMES-ONLY" => set(&mut playlist.is_iframes_only, &line, findings),
            _ if form == Form::Tree => {}
            other => findings.add_at(offset, format!("the tag {other:?}, which an output does not have")),
        }
    }
    if duration_ns.is_some() {
        findings.add_at(text.len() as u64, "EXTINF without a URI behind it");
    }
    playlist
}

/// Reads a multivariant playlist.
pub fn parse_multivariant(text: &str, form: Form, findings: &mut FileFindings<'_>) -> MultivariantPlaylist {
    let mut playlist = MultivariantPlaylist::default();
    let mut variant: Option<Variant> = None;
    for line in lines(text, findings) {
        let Line { offset, name, value } = line;
        if variant.is_some() && !name.is_empty() {
            findings.add_at(offset, "a tag where the URI of EXT-X-STREAM-INF should be");
        }
        match name {
            "" => match variant.take() {
                Some(variant) => playlist.variants.push(Located {
                    offset,
                    value: Variant {
                        uri: value.to_owned(),
                        ..variant
                    },
                }),
                None => findings.add_at(offset, "a URI without EXT-X-STREAM-INF"),
            },
            "EXT-X-VERSION" => once(&mut playlist.version, integer(&line, findings), &line, findings),
            "EXT-X-INDEPENDENT-SEGMENTS" => set(&mut playlist.has_independent_segments, &line, findings),
            "EXT-X-SESSION-KEY" => {
                let value = key(&line, form, findings);
                playlist.session_keys.push(Located { offset, value });
            }
            "EXT-X-MEDIA" => {
                let mut attributes = Attributes::parse(&line, findings);
                let value = Media {
                    kind: attributes.word("TYPE"),
                    group: attributes.text("GROUP-ID"),
                    name: attributes.text("NAME"),
                    language: attributes.text("LANGUAGE"),
                    default: attributes.word("DEFAULT"),
                    autoselect: attributes.word("AUTOSELECT"),
                    forced: attributes.word("FORCED"),
                    channels: attributes.text("CHANNELS"),
                    characteristics: attributes.text("CHARACTERISTICS"),
                    instream_id: attributes.text("INSTREAM-ID"),
                    uri: attributes.text("URI"),
                };
                attributes.finish(form, findings);
                playlist.media.push(Located { offset, value });
            }
            "EXT-X-STREAM-INF" | "EXT-X-I-FRAME-STREAM-INF" => {
                let is_iframes = name == "EXT-X-I-FRAME-STREAM-INF";
                let mut attributes = Attributes::parse(&line, findings);
                // That of a variant stands behind its line.
                let uri = if is_iframes { attributes.text("URI") } else { None };
                let has_uri = uri.is_some();
                let value = Variant {
                    bandwidth_bps: attributes.read("BANDWIDTH", |text| text.parse().ok()),
                    average_bandwidth_bps: attributes.read("AVERAGE-BANDWIDTH", |text| text.parse().ok()),
                    codecs: attributes.text("CODECS"),
                    supplemental_codecs: attributes.text("SUPPLEMENTAL-CODECS"),
                    resolution: attributes.read("RESOLUTION", |text| {
                        let (width, height) = text.split_once('x')?;
                        Some((width.parse().ok()?, height.parse().ok()?))
                    }),
                    frame_rate_nhz: attributes.read("FRAME-RATE", decimal_nanos),
                    video_range: attributes.word("VIDEO-RANGE"),
                    hdcp_level: attributes.word("HDCP-LEVEL"),
                    score: attributes.read("SCORE", |text| text.parse().ok()),
                    audio: attributes.text("AUDIO"),
                    subtitles: attributes.text("SUBTITLES"),
                    closed_captions: attributes.read("CLOSED-CAPTIONS", |text| {
                        let group = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
                        let group = group.map(|group| ClosedCaptions::Group(group.to_owned()));
                        group.or_else(|| (text == "NONE").then_some(ClosedCaptions::None))
                    }),
                    uri: uri.unwrap_or_default(),
                };
                attributes.finish(form, findings);
                if !is_iframes {
                    variant = Some(value);
                } else if !has_uri {
                    findings.add_at(offset, "EXT-X-I-FRAME-STREAM-INF without a URI");
                } else {
                    playlist.iframes.push(Located { offset, value });
                }
            }
            "EXT-X-SESSION-DATA" if form == Form::Tree => {
                let mut attributes = Attributes::parse(&line, findings);
                let uri = attributes.text("URI").map(|value| Located { offset, value });
                attributes.finish(form, findings);
                playlist.data.extend(uri);
            }
            _ if form == Form::Tree => {}
            other => findings.add_at(offset, format!("the tag {other:?}, which an output does not have")),
        }
    }
    if variant.is_some() {
        findings.add_at(text.len() as u64, "EXT-X-STREAM-INF without a URI behind it");
    }
    playlist
}

impl Key {
    /// Whether it says that what follows is clear.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.method.as_deref() == Some("NONE")
    }
}

impl MediaPlaylist {
    /// The last key so far, unless it says that what follows is clear.
    fn key_in_force(&self) -> Option<usize> {
        let last = self.keys.len().checked_sub(1)?;
        self.keys.get(last).filter(|key| !key.value.is_none()).map(|_| last)
    }

    /// The bytes of a range of `uri`; one without a start begins where the one before ends (RFC 8216bis, 4.4.4.2).
    fn resolve(&self, uri: &str, (bytes, start): (u64, Option<u64>)) -> Option<Range<u64>> {
        let start = start.or_else(|| {
            let before = &self.segments.last()?.value;
            Some(before.range.as_ref().filter(|_| before.uri == uri)?.end)
        })?;
        Some(start..start.checked_add(bytes).filter(|_| bytes > 0)?)
    }
}

/// `bytes` or `bytes@start`.
pub(super) fn byte_range(text: &str) -> Option<(u64, Option<u64>)> {
    match text.split_once('@') {
        None => Some((text.parse().ok()?, None)),
        Some((bytes, start)) => Some((bytes.parse().ok()?, Some(start.parse().ok()?))),
    }
}

/// A tag and what stands behind its colon, or a URI, whose `name` is empty.
#[derive(Clone, Copy)]
struct Line<'a> {
    offset: u64,
    name: &'a str,
    value: &'a str,
}

/// All lines but the first, comments and blank ones (RFC 8216bis, 4.1).
fn lines<'a>(text: &'a str, findings: &mut FileFindings<'_>) -> Vec<Line<'a>> {
    let mut offset = 0;
    let mut lines = Vec::new();
    for (index, raw) in text.split_inclusive('\n').enumerate() {
        let line = raw.trim_end_matches(['\n', '\r']);
        if index == 0 {
            if line != "#EXTM3U" {
                findings.add_at(0, "the first line is not #EXTM3U");
            }
        } else if let Some(tag) = line.strip_prefix('#').filter(|tag| tag.starts_with("EXT")) {
            let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
            lines.push(Line { offset, name, value });
        } else if !line.is_empty() && !line.starts_with('#') {
            let (name, value) = ("", line);
            lines.push(Line { offset, name, value });
        }
        offset += raw.len() as u64;
    }
    if text.is_empty() {
        findings.add_at(0, "is empty");
    }
    lines
}

fn once<T>(place: &mut Option<T>, value: Option<T>, line: &Line<'_>, findings: &mut FileFindings<'_>) {
    if place.is_some() {
        findings.add_at(line.offset, format!("a second {}", line.name));
    } else {
        *place = value;
    }
}

fn set(place: &mut bool, line: &Line<'_>, findings: &mut FileFindings<'_>) {
    if *place {
        findings.add_at(line.offset, format!("a second {}", line.name));
    }
    if !line.value.is_empty() {
        findings.add_at(line.offset, format!("{} has a value", line.name));
    }
    *place = true;
}

fn integer(line: &Line<'_>, findings: &mut FileFindings<'_>) -> Option<u64> {
    let parsed = line.value.parse().ok();
    if parsed.is_none() {
        let Line { name, value, .. } = line;
        findings.add_at(line.offset, format!("{name} is {value:?}, expected an integer"));
    }
    parsed
}

fn map(line: &Line<'_>, form: Form, findings: &mut FileFindings<'_>) -> Option<Map> {
    let mut attributes = Attributes::parse(line, findings);
    let uri = attributes.text("URI");
    let range = attributes.read("BYTERANGE", |text| {
        let (bytes, start) = byte_range(text.strip_prefix('"')?.strip_suffix('"')?)?;
        let start = start.unwrap_or(0);
        Some(start..start.checked_add(bytes)?)
    });
    attributes.finish(form, findings);
    uri.map(|uri| Map { uri, range })
}

fn key(line: &Line<'_>, form: Form, findings: &mut FileFindings<'_>) -> Key {
    let mut attributes = Attributes::parse(line, findings);
    let key = Key {
        method: attributes.word("METHOD"),
        uri: attributes.text("URI"),
        key_format: attributes.text("KEYFORMAT"),
        key_format_versions: attributes.text("KEYFORMATVERSIONS"),
        key_id: attributes.read("KEYID", |text| text.strip_prefix("0x")?.parse().ok()),
        iv: attributes.read("IV", |text| text.starts_with("0x").then(|| text.parse().ok()).flatten()),
    };
    attributes.finish(form, findings);
    key
}

/// A decimal number in thousand-millionths, exactly as it is written; `None` with more than nine decimals.
pub(super) fn decimal_nanos(text: &str) -> Option<i64> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(decimals) || decimals.len() > 9 {
        return None;
    }
    let whole: i64 = whole.parse().ok()?;
    let decimals: i64 = format!("{decimals:0<9}").parse().ok()?;
    whole.checked_mul(1_000_000_000)?.checked_add(decimals)
}

/// The attributes of a tag that were not asked for yet (RFC 8216bis, 4.2).
struct Attributes<'a> {
    line: Line<'a>,
    left: Vec<(&'a str, &'a str)>,
    problems: Vec<String>,
}

impl<'a> Attributes<'a> {
    fn parse(line: &Line<'a>, findings: &mut FileFindings<'_>) -> Self {
        let mut left: Vec<(&str, &str)> = Vec::new();
        let mut rest = line.value;
        while !rest.is_empty() {
            let Some((name, value)) = rest.split_once('=') else {
                findings.add_at(line.offset, format!("{}: {rest:?} is no attribute", line.name));
                break;
            };
            let end = match value.strip_prefix('"') {
                Some(quoted) => quoted.find('"').map_or(value.len(), |end| end + 2),
                None => value.find(',').unwrap_or(value.len()),
            };
            let (value, behind) = value.split_at(end);
            // Older playlists have a space behind each comma.
            let name = name.trim();
            if left.iter().any(|(other, _)| *other == name) {
                findings.add_at(line.offset, format!("{}: a second {name}", line.name));
            }
            left.push((name, value));
            rest = match behind.strip_prefix(',') {
                Some(more) if !more.is_empty() => more,
                _ if behind.is_empty() => "",
                _ => {
                    findings.add_at(line.offset, format!("{}: {behind:?} behind {name}", line.name));
                    ""
                }
            };
        }
        Self {
            line: *line,
            left,
            problems: Vec::new(),
        }
    }

    fn take(&mut self, name: &str) -> Option<&'a str> {
        let index = self.left.iter().position(|(other, _)| *other == name)?;
        Some(self.left.remove(index).1)
    }

    /// A quoted string.
    fn text(&mut self, name: &str) -> Option<String> {
        let raw = self.take(name)?;
        let text = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"'));
        if text.is_none() {
            self.problems.push(format!("{name} is {raw}, expected a quoted string"));
        }
        text.map(str::to_owned)
    }

    /// An enumerated string, which has no quotes.
    fn word(&mut self, name: &str) -> Option<String> {
        self.read(name, |text| (!text.contains('"')).then(|| text.to_owned()))
    }

    fn read<T>(&mut self, name: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let raw = self.take(name)?;
        let value = read(raw);
        if value.is_none() {
            self.problems.push(format!("{name} is {raw}, which can't be read"));
        }
        value
    }

    /// Reports values of a wrong form, and attributes that nobody asked for, of which a tree may have any.
    fn finish(self, form: Form, findings: &mut FileFindings<'_>) {
        let unknown = self
            .left
            .iter()
            .filter(|_| form == Form::Own)
            .map(|(name, _)| format!("the attribute {name:?}, which an output does not have"));
        for problem in self.problems.iter().cloned().chain(unknown) {
            findings.add_at(self.line.offset, format!("{}: {problem}", self.line.name));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::verify::findings::Findings;

    fn media(text: &str) -> (MediaPlaylist, Vec<String>) {
        let mut findings = Findings::default();
        let playlist = parse_media(text, Form::Own, &mut findings.of(Path::new("p")));
        (playlist, findings.kept().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_media_playlist_is_read_exactly() {
        let (playlist, differences) = media(
            "#EXTM3U\n# a comment\n#EXT-X-VERSION:6\n#EXT-X-MAP:URI=\"a,b.mp4\"\n\
             #EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"http://x/?a=b\",IV=0x000102030405060708090a0b0c0d0e0f\n\
             #EXTINF:6.037333,\ns.m4s\n#EXT-X-ENDLIST\n",
        );
        assert_eq!(differences, [""; 0]);
        assert_eq!(playlist.version, Some(6));
        assert_eq!(
            playlist.map.map(|map| (map.offset, map.value.uri)),
            Some((37, "a,b.mp4".into()))
        );
        let key = playlist.keys.first().map(|key| &key.value);
        assert_eq!(key.as_ref().and_then(|key| key.uri.as_deref()), Some("http://x/?a=b"));
        assert_eq!(key.and_then(|key| key.iv).map(|iv| iv.0[15]), Some(15));
        let segments: Vec<_> = playlist
            .segments
            .iter()
            .map(|s| (s.value.duration_ns, &*s.value.uri))
            .collect();
        assert_eq!(segments, [(6_037_333_000, "s.m4s")]);
        assert!(playlist.has_end);
    }

    #[test]
    fn what_is_not_known_is_a_difference_at_its_line() {
        for (line, expected) in [
            (
                "#EXTINF:1.0\n",
                "EXTINF is \"1.0\", expected seconds above 0 and a comma",
            ),
            ("#EXTINF:0,\n", "EXTINF is \"0,\", expected seconds above 0 and a comma"),
            ("s.m4s\n", "a URI without EXTINF"),
            ("#EXT-X-VERSION:x\n", "EXT-X-VERSION is \"x\", expected an integer"),
            ("#EXT-X-GAP\n", "the tag \"EXT-X-GAP\", which an output does not have"),
            ("#EXT-X-MAP:URI=a\n", "EXT-X-MAP: URI is a, expected a quoted string"),
            ("#EXT-X-MAP:URI=\"a\"b\n", "EXT-X-MAP: \"b\" behind URI"),
            (
                "#EXT-X-MAP:URI=\"a\n",
                "EXT-X-MAP: URI is \"a, expected a quoted string",
            ),
            ("#EXT-X-KEY:IV=0x00\n", "EXT-X-KEY: IV is 0x00, which can't be read"),
            (
                "#EXT-X-KEY:X=1\n",
                "EXT-X-KEY: the attribute \"X\", which an output does not have",
            ),
        ] {
            let (_, differences) = media(&format!("#EXTM3U\n{line}"));
            assert!(
                differences.contains(&format!("p, byte 8: {expected}")),
                "{line}: {differences:?}"
            );
        }
        assert_eq!(media("").1, ["p, byte 0: is empty"]);
    }

    #[test]
    fn decimals_are_exact() {
        assert_eq!(decimal_nanos("6.000001"), Some(6_000_001_000));
        assert_eq!(decimal_nanos("29.97"), Some(29_970_000_000));
        assert_eq!(decimal_nanos("6"), Some(6_000_000_000));
        for text in ["", ".5", "5.", "-1", "1e3", "1.0000000001", "99999999999999"] {
            assert_eq!(decimal_nanos(text), None, "{text}");
        }
    }
}

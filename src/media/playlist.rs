//! The playlists of a tree (RFC 8216bis, 4): read strictly for what is changed or followed, every line kept as it is.

use std::ops::Range;

/// A playlist is at most this large: a film of ten hours in segments of a second has four megabytes.
pub const MAX_PLAYLIST_BYTES: u64 = 64 << 20;

const NANOSECONDS_PER_SECOND: i64 = 1_000_000_000;

/// Tags of playlists that go on, or whose segments come in parts (RFC 8216bis, 4.4.3.8, 4.4.4.9, 4.4.5).
const OF_LIVE: &[&str] = &[
    "EXT-X-PART",
    "EXT-X-PART-INF",
    "EXT-X-PRELOAD-HINT",
    "EXT-X-RENDITION-REPORT",
    "EXT-X-SKIP",
];

/// A playlist, line by line.
#[derive(Debug)]
pub struct Playlist {
    /// All lines, each with its line end.
    pub lines: Vec<String>,
    /// `EXT-X-VERSION`: its line and value.
    pub version: Option<(usize, u64)>,
    /// What the lines say.
    pub content: Content,
}

/// What a playlist is.
#[derive(Debug)]
pub enum Content {
    /// It names segments.
    Media(MediaPlaylist),
    /// It names playlists.
    Multivariant(MultivariantPlaylist),
}

/// A media playlist. Lines are counted from 0.
#[derive(Debug, Default)]
pub struct MediaPlaylist {
    /// `EXT-X-TARGETDURATION`.
    pub target_duration_s: u64,
    /// Whether there is an `EXT-X-I-FRAMES-ONLY`.
    pub is_iframes_only: bool,
    /// `EXT-X-MAP`, in order.
    pub maps: Vec<Resource>,
    /// The segments, in order.
    pub segments: Vec<Segment>,
}

/// A file that a line names, or a range of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// The line that has the URI.
    pub line: usize,
    /// As it is written.
    pub uri: String,
    /// Which bytes of it; `None` is all.
    pub range: Option<Range<u64>>,
}

/// A segment.
#[derive(Debug)]
pub struct Segment {
    /// Its file.
    pub resource: Resource,
    /// Which of the maps is its init segment; `None` where there is none in front of it.
    pub map: Option<usize>,
    /// `EXTINF`, in nanoseconds.
    pub duration_ns: i64,
    /// The line of `EXT-X-BYTERANGE`.
    pub range_line: Option<usize>,
    /// `EXT-X-BITRATE` behind the segment before: its line and value in kilobits a second.
    pub bitrate: Option<(usize, u64)>,
}

/// A multivariant playlist. Lines are counted from 0.
#[derive(Debug, Default)]
pub struct MultivariantPlaylist {
    /// `EXT-X-MEDIA` with a URI.
    pub renditions: Vec<Rendition>,
    /// `EXT-X-STREAM-INF` and `EXT-X-I-FRAME-STREAM-INF`.
    pub variants: Vec<Variant>,
    /// `EXT-X-SESSION-DATA` with a URI: the line and the URI.
    pub data: Vec<(usize, String)>,
}

/// `EXT-X-MEDIA` with a URI.
#[derive(Debug)]
pub struct Rendition {
    /// Its line.
    pub line: usize,
    /// The media playlist.
    pub uri: String,
    /// `GROUP-ID`.
    pub group: String,
    /// Whether it is text: `SUBTITLES`.
    pub is_text: bool,
}

/// `EXT-X-STREAM-INF`, or `EXT-X-I-FRAME-STREAM-INF`.
#[derive(Debug)]
pub struct Variant {
    /// The tag's line.
    pub line: usize,
    /// The line that has the URI.
    pub uri_line: usize,
    /// The media playlist.
    pub uri: String,
    /// `AUDIO` and `VIDEO`.
    pub groups: Vec<String>,
    /// `BANDWIDTH`.
    pub bandwidth_bps: u64,
    /// `AVERAGE-BANDWIDTH`.
    pub average_bandwidth_bps: Option<u64>,
}

/// A playlist that can't be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct PlaylistError {
    /// The line; the first is 1.
    pub line: usize,
    /// What is wrong with it, and what to do.
    pub what: String,
}

impl Playlist {
    /// Reads a playlist.
    ///
    /// # Errors
    /// [`PlaylistError`] at the first line that can't be read, or stands for something that can't be encrypted.
    pub fn parse(text: &str) -> Result<Self, PlaylistError> {
        let lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
        let tags: Vec<Tag<'_>> = lines
            .iter()
            .enumerate()
            .filter_map(|(at, line)| Tag::of(at, line))
            .collect();
        let Some((
            Tag {
                line: 0,
                name: "EXTM3U",
                ..
            },
            tags,
        )) = tags.split_first()
        else {
            return Err(error(0, "expected #EXTM3U; this is no playlist"));
        };
        let mut version = None;
        for tag in tags {
            tag.refuse_unsupported()?;
            if tag.name == "EXT-X-VERSION" && version.replace((tag.line, tag.integer()?)).is_some() {
                return Err(error(tag.line, "a second EXT-X-VERSION"));
            }
        }
        let is_multivariant = |tag: &Tag<'_>| {
            matches!(
                tag.name,
                "EXT-X-MEDIA" | "EXT-X-STREAM-INF" | "EXT-X-I-FRAME-STREAM-INF"
            )
        };
        let content = if tags.iter().any(is_multivariant) {
            Content::Multivariant(MultivariantPlaylist::read(tags)?)
        } else {
            Content::Media(MediaPlaylist::read(tags, lines.len())?)
        };
        Ok(Self {
            lines,
            version,
            content,
        })
    }
}

impl MediaPlaylist {
    fn read(tags: &[Tag<'_>], line_count: usize) -> Result<Self, PlaylistError> {
        let mut playlist = Self::default();
        let mut target_duration_s = None;
        let mut has_end = false;
        let (mut duration_ns, mut range, mut bitrate) = (None, None, None);
        for tag in tags {
            let once = |is_first: bool| {
                let what = || format!("a second {} for one segment", tag.name);
                if is_first { Ok(()) } else { Err(error(tag.line, what())) }
            };
            match tag.name {
                "EXTINF" => {
                    let duration = tag.value.split_once(',').map_or(tag.value, |(duration, _)| duration);
                    let duration = nanoseconds(duration).ok_or_else(|| tag.unreadable("a number of seconds"))?;
                    once(duration_ns.replace(duration).is_none())?;
                }
                "EXT-X-BYTERANGE" => once(range.replace((tag.line, tag.byte_range(tag.value)?)).is_none())?,
                "EXT-X-BITRATE" => bitrate = Some((tag.line, tag.integer()?)),
                "EXT-X-TARGETDURATION" => target_duration_s = Some(tag.integer()?),
                "EXT-X-I-FRAMES-ONLY" => playlist.is_iframes_only = true,
                "EXT-X-ENDLIST" => has_end = true,
                "EXT-X-MAP" => playlist.add_map(tag)?,
                "" => {
                    let duration_ns = duration_ns
                        .take()
                        .ok_or_else(|| error(tag.line, "a URI without EXTINF"))?;
                    let (range_line, range) = range.take().unzip();
                    let resource = Resource {
                        line: tag.line,
                        uri: tag.value.to_owned(),
                        range: range.map(|range| playlist.resolve(tag, range)).transpose()?,
                    };
                    playlist.segments.push(Segment {
                        resource,
                        map: playlist.maps.len().checked_sub(1),
                        duration_ns,
                        range_line,
                        bitrate: bitrate.take(),
                    });
                }
                _ => {}
            }
        }
        let last = line_count.saturating_sub(1);
        playlist.target_duration_s = target_duration_s
            .ok_or_else(|| error(0, "a playlist without EXT-X-TARGETDURATION and EXT-X-STREAM-INF"))?;
        if duration_ns.is_some() || range.is_some() {
            return Err(error(last, "the playlist ends where the URI of a segment should be"));
        }
        if !has_end {
            let what = "the playlist goes on: there is no EXT-X-ENDLIST; only finished playlists can be encrypted";
            return Err(error(last, what));
        }
        Ok(playlist)
    }

    fn add_map(&mut self, tag: &Tag<'_>) -> Result<(), PlaylistError> {
        let range = match tag.attribute("BYTERANGE")? {
            None => None,
            Some(range) => {
                let (bytes, start) = tag.byte_range(range.text)?;
                Some(tag.range(start.unwrap_or(0), bytes)?)
            }
        };
        let map = Resource {
            line: tag.line,
            uri: tag.required("URI")?.text.to_owned(),
            range,
        };
        if self.maps.is_empty() && !self.segments.is_empty() {
            let what = "the first EXT-X-MAP stands behind a segment, which has none";
            return Err(error(tag.line, what));
        }
        self.maps.push(map);
        Ok(())
    }

    /// The bytes of a range; one without a start begins where the one before ends (RFC 8216bis, 4.4.4.2).
    fn resolve(&self, uri: &Tag<'_>, (bytes, start): (u64, Option<u64>)) -> Result<Range<u64>, PlaylistError> {
        let before = || {
            let resource = &self.segments.last()?.resource;
            Some(resource.range.as_ref().filter(|_| resource.uri == uri.value)?.end)
        };
        let start = start.or_else(before).ok_or_else(|| {
            let what = "EXT-X-BYTERANGE without an offset, and the segment before is no range of the same file";
            error(uri.line, what)
        })?;
        uri.range(start, bytes)
    }
}

impl MultivariantPlaylist {
    fn read(tags: &[Tag<'_>]) -> Result<Self, PlaylistError> {
        let mut playlist = Self::default();
        let mut stream: Option<&Tag<'_>> = None;
        for tag in tags {
            if let Some(stream) = stream.filter(|_| !tag.name.is_empty()) {
                return Err(error(stream.line, "EXT-X-STREAM-INF without a URI behind it"));
            }
            match tag.name {
                "EXT-X-MEDIA" => {
                    let is_text = match tag.required("TYPE")?.text {
                        "SUBTITLES" => true,
                        "AUDIO" | "VIDEO" => false,
                        "CLOSED-CAPTIONS" => continue,
                        _ => return Err(tag.unreadable("the TYPE AUDIO, VIDEO, SUBTITLES or CLOSED-CAPTIONS")),
                    };
                    if let Some(uri) = tag.attribute("URI")? {
                        playlist.renditions.push(Rendition {
                            line: tag.line,
                            uri: uri.text.to_owned(),
                            group: tag.required("GROUP-ID")?.text.to_owned(),
                            is_text,
                        });
                    }
                }
                "EXT-X-STREAM-INF" => stream = Some(tag),
                "EXT-X-I-FRAME-STREAM-INF" => {
                    let uri = tag.required("URI")?;
                    playlist.variants.push(Variant::read(tag, tag.line, uri.text)?);
                }
                "EXT-X-SESSION-DATA" => {
                    let uri = tag.attribute("URI")?;
                    playlist.data.extend(uri.map(|uri| (tag.line, uri.text.to_owned())));
                }
                "" => {
                    let stream = stream
                        .take()
                        .ok_or_else(|| error(tag.line, "a URI without EXT-X-STREAM-INF"))?;
                    playlist.variants.push(Variant::read(stream, tag.line, tag.value)?);
                }
                _ => {}
            }
        }
        match stream {
            Some(stream) => Err(error(stream.line, "EXT-X-STREAM-INF without a URI behind it")),
            None => Ok(playlist),
        }
    }
}

impl Variant {
    fn read(tag: &Tag<'_>, uri_line: usize, uri: &str) -> Result<Self, PlaylistError> {
        let rate = |attribute: Attribute<'_>| {
            let unreadable = || tag.unreadable("bit rates that are integers");
            attribute.text.parse().map_err(|_| unreadable())
        };
        let mut groups = Vec::new();
        for name in ["AUDIO", "VIDEO"] {
            groups.extend(tag.attribute(name)?.map(|group| group.text.to_owned()));
        }
        Ok(Self {
            line: tag.line,
            uri_line,
            uri: uri.to_owned(),
            groups,
            bandwidth_bps: rate(tag.required("BANDWIDTH")?)?,
            average_bandwidth_bps: tag.attribute("AVERAGE-BANDWIDTH")?.map(rate).transpose()?,
        })
    }
}

/// An attribute of a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its value, without quotes.
    pub text: &'a str,
    /// Whether it stands in quotes.
    pub is_quoted: bool,
    /// Where that stands in the line, in bytes.
    pub span: Range<usize>,
}

/// The attributes of a tag's line (RFC 8216bis, 4.2); `None` where they can't be read.
#[must_use]
pub fn attributes(line: &str) -> Option<Vec<Attribute<'_>>> {
    let mut at = line.find(':')? + 1;
    let end = line.trim_end().len();
    let mut attributes: Vec<Attribute<'_>> = Vec::new();
    while at < end {
        let rest = line.get(at..end)?;
        let padding = rest.len() - rest.trim_start().len();
        let (name, value) = rest.split_once('=')?;
        let name_end = at + name.len() + 1;
        let quoted = value.strip_prefix('"');
        let (span, behind) = if let Some(quoted) = quoted {
            let length = quoted.find('"')?;
            (name_end + 1..name_end + 1 + length, name_end + length + 2)
        } else {
            let length = value.find([',', '"']).unwrap_or(value.len());
            (name_end..name_end + length, name_end + length)
        };
        let name = name.get(padding..)?.trim_end();
        if name.is_empty() || attributes.iter().any(|other| other.name == name) {
            return None;
        }
        let text = line.get(span.clone())?;
        attributes.push(Attribute {
            name,
            text,
            is_quoted: quoted.is_some(),
            span,
        });
        at = match line.get(behind..end)? {
            "" => end,
            rest if rest.starts_with(',') => behind + 1,
            _ => return None,
        };
    }
    Some(attributes)
}

/// A tag, or a URI, whose `name` is empty.
#[derive(Debug, Clone, Copy)]
struct Tag<'a> {
    /// The line's number, from 0.
    line: usize,
    text: &'a str,
    name: &'a str,
    /// What stands behind the colon.
    value: &'a str,
}

impl<'a> Tag<'a> {
    /// `None` for comments and blank lines.
    fn of(line: usize, text: &'a str) -> Option<Self> {
        let bare = text.trim_end_matches(['\r', '\n']);
        let (name, value) = match bare.strip_prefix('#') {
            Some(tag) if tag.starts_with("EXT") => tag.split_once(':').unwrap_or((tag, "")),
            Some(_) => return None,
            None if bare.is_empty() => return None,
            None => ("", bare),
        };
        Some(Self {
            line,
            text,
            name,
            value,
        })
    }

    fn refuse_unsupported(&self) -> Result<(), PlaylistError> {
        let what = match self.name {
            "EXT-X-KEY" | "EXT-X-SESSION-KEY" => "speaks of encryption already; give the clear tree",
            "EXT-X-GAP" => "is a segment that is not there; take it out of the playlist",
            "EXT-X-DEFINE" => "puts variables into the playlist; write what they stand for",
            live if OF_LIVE.contains(&live) => "belongs to live playlists; only finished ones can be encrypted",
            "EXT-X-MEDIA" | "EXT-X-I-FRAME-STREAM-INF" | "EXT-X-SESSION-DATA" | "EXT-X-MAP" | "EXTINF" | "" => {
                return Ok(());
            }
            _ if self.value.starts_with("URI=") || self.value.contains(",URI=") => {
                "names a file, and is not known; take it out of the playlist"
            }
            _ => return Ok(()),
        };
        Err(error(self.line, format!("{} {what}", self.name)))
    }

    fn unreadable(&self, expected: &str) -> PlaylistError {
        error(
            self.line,
            format!("expected {expected}, found {:?}", self.text.trim_end()),
        )
    }

    fn integer(&self) -> Result<u64, PlaylistError> {
        self.value.parse().map_err(|_| self.unreadable("an integer"))
    }

    fn attribute(&self, name: &str) -> Result<Option<Attribute<'a>>, PlaylistError> {
        let attributes = attributes(self.text).ok_or_else(|| self.unreadable("attributes such as NAME=\"value\""))?;
        let found = attributes.into_iter().find(|attribute| attribute.name == name);
        match found {
            Some(Attribute { is_quoted: false, .. }) if ["URI", "BYTERANGE", "GROUP-ID"].contains(&name) => {
                Err(self.unreadable(&format!("{name} in quotes")))
            }
            found => Ok(found),
        }
    }

    fn required(&self, name: &str) -> Result<Attribute<'a>, PlaylistError> {
        let missing = || error(self.line, format!("{} without {name}", self.name));
        self.attribute(name)?.ok_or_else(missing)
    }

    /// `bytes` or `bytes@start`.
    fn byte_range(&self, text: &str) -> Result<(u64, Option<u64>), PlaylistError> {
        let (bytes, start) = text
            .split_once('@')
            .map_or((text, None), |(bytes, start)| (bytes, Some(start)));
        let parse = |text: &str| {
            text.parse()
                .map_err(|_| self.unreadable("a range of bytes such as 100@0"))
        };
        Ok((parse(bytes)?, start.map(parse).transpose()?))
    }

    fn range(&self, start: u64, bytes: u64) -> Result<Range<u64>, PlaylistError> {
        let end = start.checked_add(bytes).filter(|_| bytes > 0);
        let end = end.ok_or_else(|| error(self.line, format!("there is no range of {bytes} bytes from {start} on")))?;
        Ok(start..end)
    }
}

fn error(line: usize, what: impl Into<String>) -> PlaylistError {
    PlaylistError {
        line: line + 1,
        what: what.into(),
    }
}

/// A decimal number of seconds; decimals behind the ninth are left out.
fn nanoseconds(text: &str) -> Option<i64> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_digits(whole) || !is_digits(decimals) {
        return None;
    }
    let decimals = decimals.get(..decimals.len().min(9))?;
    let nanoseconds: i64 = format!("{decimals:0<9}").parse().ok()?;
    whole
        .parse::<i64>()
        .ok()?
        .checked_mul(NANOSECONDS_PER_SECOND)?
        .checked_add(nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn media(text: &str) -> Result<MediaPlaylist, String> {
        let playlist = Playlist::parse(text).map_err(|error| error.to_string())?;
        assert_eq!(playlist.lines.concat(), text);
        match playlist.content {
            Content::Media(media) => Ok(media),
            Content::Multivariant(_) => Err("multivariant".to_owned()),
        }
    }

    #[test]
    fn ranges_go_on_where_the_one_before_ends() {
        let playlist = media(
            "#EXTM3U\r\n#EXT-X-TARGETDURATION:4\n#EXT-X-MAP:URI=\"a,b.mp4\",BYTERANGE=\"100@0\"\n# a comment\n\n\
             #EXTINF:4.004,title\n#EXT-X-BYTERANGE:50@120\na.mp4\n#EXT-X-BYTERANGE:7\n#EXTINF:4,\na.mp4\n#EXT-X-ENDLIST",
        );
        let playlist = playlist.unwrap_or_default();
        assert_eq!(playlist.maps.first().map(|map| map.range.clone()), Some(Some(0..100)));
        let segments: Vec<_> = playlist
            .segments
            .iter()
            .map(|segment| (segment.duration_ns, segment.resource.range.clone(), segment.range_line))
            .collect();
        let expected = [
            (4_004_000_000, Some(120..170), Some(6)),
            (4_000_000_000, Some(170..177), Some(8)),
        ];
        assert_eq!(segments, expected);
    }

    #[test]
    fn what_can_not_be_encrypted_is_refused_at_its_line() {
        for (lines, expected) in [
            (
                "#EXT-X-KEY:METHOD=NONE\n",
                "line 3: EXT-X-KEY speaks of encryption already",
            ),
            ("#EXT-X-GAP\n", "line 3: EXT-X-GAP is a segment that is not there"),
            (
                "#EXT-X-DEFINE:NAME=\"a\",VALUE=\"b\"\n",
                "line 3: EXT-X-DEFINE puts variables",
            ),
            (
                "#EXT-X-PART:DURATION=1,URI=\"a\"\n",
                "line 3: EXT-X-PART belongs to live",
            ),
            (
                "#EXT-X-NEW:A=1,URI=\"a\"\n",
                "line 3: EXT-X-NEW names a file, and is not known",
            ),
            ("#EXT-X-MAP:URI=\"a\"x\n", "line 3: expected attributes"),
            ("#EXT-X-MAP:BYTERANGE=\"1\"\n", "line 3: EXT-X-MAP without URI"),
            (
                "#EXTINF:1,\na\n#EXT-X-MAP:URI=\"a\"\n",
                "line 5: the first EXT-X-MAP stands behind",
            ),
            ("#EXTINF:x,\na\n", "line 3: expected a number of seconds"),
            ("a\n", "line 3: a URI without EXTINF"),
            ("#EXTINF:1,\n#EXTINF:1,\na\n", "line 4: a second EXTINF"),
            (
                "#EXTINF:1,\n#EXT-X-BYTERANGE:5\na\n",
                "line 5: EXT-X-BYTERANGE without an offset",
            ),
            (
                "#EXTINF:1,\n#EXT-X-BYTERANGE:0@5\na\n",
                "line 5: there is no range of 0 bytes",
            ),
            ("#EXTINF:1,\n", "line 4: the playlist ends where"),
        ] {
            let text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:1\n{lines}#EXT-X-ENDLIST\n");
            let error = media(&text).err().unwrap_or_default();
            assert!(error.starts_with(expected), "{lines}: {error}");
        }
        let live = media("#EXTM3U\n#EXT-X-TARGETDURATION:1\n").err().unwrap_or_default();
        assert!(live.starts_with("line 2: the playlist goes on"), "{live}");
        let none = media("WEBVTT\n").err().unwrap_or_default();
        assert!(none.starts_with("line 1: expected #EXTM3U"), "{none}");
    }

    #[test]
    fn a_multivariant_playlist_is_read_exactly() {
        let text = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"x, y\",URI=\"a.m3u8\"\n\
                    #EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID=\"c\",NAME=\"c\",INSTREAM-ID=\"CC1\"\n\
                    #EXT-X-STREAM-INF:BANDWIDTH=10,AUDIO=\"a\"\n\nv.m3u8\n\
                    #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=5,AVERAGE-BANDWIDTH=4,URI=\"i.m3u8\"\n";
        let Ok(Playlist {
            content: Content::Multivariant(playlist),
            ..
        }) = Playlist::parse(text)
        else {
            unreachable!("{:?}", Playlist::parse(text))
        };
        let renditions: Vec<_> = playlist
            .renditions
            .iter()
            .map(|r| (r.line, &*r.uri, &*r.group))
            .collect();
        assert_eq!(renditions, [(1, "a.m3u8", "a")]);
        let variants: Vec<_> = playlist
            .variants
            .iter()
            .map(|v| (v.line, v.uri_line, &*v.uri))
            .collect();
        assert_eq!(variants, [(3, 5, "v.m3u8"), (6, 6, "i.m3u8")]);
        assert_eq!(
            playlist.variants.first().map(|v| v.groups.as_slice()),
            Some(["a".to_owned()].as_slice())
        );
    }

    #[test]
    fn attributes_are_found_where_they_stand() {
        let line = "#EXT-X-MAP:URI=\"a=,b\", BYTERANGE=5@6,X=\"\"\r\n";
        let found = attributes(line).unwrap_or_default();
        let found: Vec<_> = found
            .iter()
            .map(|a| (a.name, a.text, line.get(a.span.clone())))
            .collect();
        let expected = [
            ("URI", "a=,b", Some("a=,b")),
            ("BYTERANGE", "5@6", Some("5@6")),
            ("X", "", Some("")),
        ];
        assert_eq!(found, expected);
    }
}

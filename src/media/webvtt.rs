//! WebVTT (W3C, "WebVTT: The Web Video Text Tracks Format", 4.1) by its blocks: which cues there are, when each is shown, and
//! what stands in front of them. Cue text, settings and style sheets are kept as they are, for players to read.
//!
//! The reader is strict: what the grammar does not allow, players leave out or read each in its own way.

use super::{Time, Timescale};

/// A file is read whole, up to this size: a hundred times the subtitles of a long film.
pub const MAX_BYTES: u64 = 16 << 20;

/// What every file begins with, behind a byte order mark.
pub const SIGNATURE: &str = "WEBVTT";

/// The `X-TIMESTAMP-MAP` of times that are those of the presentation: the one that players assume where there is none
/// (RFC 8216bis, 3.1.4).
pub const UNMOVED: &str = "MPEGTS:0,LOCAL:00:00:00.000";

const ARROW: &str = "-->";

/// Times have milliseconds.
const MILLISECONDS: Timescale = Timescale::new(1000).unwrap();

/// What a file says, with a line feed behind each line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebVtt {
    /// The first line, `WEBVTT` and what follows it.
    pub signature: String,
    /// The value of `X-TIMESTAMP-MAP` (RFC 8216bis, 3.1.4), where there is one.
    pub timestamp_map: Option<String>,
    /// The other lines of the header, and the `STYLE`, `REGION` and `NOTE` blocks in front of the first cue, with a blank line
    /// before each block.
    pub header: String,
    /// All cues, in the order of their starts. Notes between them are left out.
    pub cues: Vec<Cue>,
}

/// A cue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cue {
    /// When it starts being shown.
    pub start: Time,
    /// When it ends being shown, behind its start.
    pub end: Time,
    /// All its lines: its identifier, if it has one, times and settings, and text.
    pub block: String,
}

/// Where a file breaks the grammar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct WebVttError {
    /// The first line is 1.
    pub line: usize,
    /// What was found, and what was expected.
    pub problem: String,
}

impl WebVttError {
    fn new(line: usize, problem: impl Into<String>) -> Self {
        Self {
            line,
            problem: problem.into(),
        }
    }
}

impl WebVtt {
    /// Reads a file.
    ///
    /// # Errors
    /// [`WebVttError`] at the first line that breaks the grammar.
    pub fn parse(data: &[u8]) -> Result<Self, WebVttError> {
        let text = std::str::from_utf8(data).map_err(|error| {
            let before = data.get(..error.valid_up_to()).unwrap_or_default();
            let line = lines(&String::from_utf8_lossy(before)).count();
            WebVttError::new(line, "is not UTF-8")
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut lines = (1..).zip(lines(text)).peekable();

        let signature = lines.next().map_or("", |(_, line)| line);
        if !is_keyword(signature, SIGNATURE) || signature.contains(ARROW) {
            let problem = format!("begins with no '{SIGNATURE}' and a space, a tab or the end of the line");
            return Err(WebVttError::new(1, problem));
        }
        let mut webvtt = Self {
            signature: signature.to_owned() + "\n",
            timestamp_map: None,
            header: String::new(),
            cues: Vec::new(),
        };
        while let Some((number, line)) = lines.next_if(|(_, line)| !line.is_empty()) {
            refuse_arrow(number, line, "the header")?;
            match line.strip_prefix("X-TIMESTAMP-MAP=") {
                Some(_) if webvtt.timestamp_map.is_some() => {
                    return Err(WebVttError::new(number, "a second X-TIMESTAMP-MAP"));
                }
                Some(map) => webvtt.timestamp_map = Some(map.to_owned()),
                None => webvtt.header.extend([line, "\n"]),
            }
        }
        let mut block = Vec::new();
        for (number, line) in lines {
            if !line.is_empty() {
                block.push((number, line));
            } else if !block.is_empty() {
                webvtt.add(&block)?;
                block.clear();
            }
        }
        if !block.is_empty() {
            webvtt.add(&block)?;
        }
        Ok(webvtt)
    }

    /// Adds a block, which has at least one line.
    fn add(&mut self, block: &[(usize, &str)]) -> Result<(), WebVttError> {
        let Some((number, first)) = block.first().copied() else {
            return Ok(());
        };
        let definition = ["STYLE", "REGION"]
            .into_iter()
            .find(|keyword| first.trim_end_matches([' ', '\t']) == *keyword);
        if definition.is_none() && !is_keyword(first, "NOTE") {
            let cue = Cue::read(block)?;
            if let Some(last) = self.cues.last().filter(|last| last.start > cue.start) {
                let problem = format!(
                    "a cue that starts at {}, before the one in front of it, at {}; cues must stand in the order of their starts",
                    cue.start, last.start
                );
                return Err(WebVttError::new(number, problem));
            }
            self.cues.push(cue);
            return Ok(());
        }
        for (number, line) in block {
            refuse_arrow(*number, line, "this block")?;
        }
        match definition {
            Some(keyword) if !self.cues.is_empty() => {
                let problem =
                    format!("{keyword} behind the first cue, where players ignore it; move it in front of all cues");
                Err(WebVttError::new(number, problem))
            }
            // Nobody is shown a note.
            None if !self.cues.is_empty() => Ok(()),
            _ => {
                self.header.push('\n');
                self.header.push_str(&joined(block));
                Ok(())
            }
        }
    }
}

impl Cue {
    fn read(block: &[(usize, &str)]) -> Result<Self, WebVttError> {
        let (at, (number, times)) = block
            .iter()
            .take(2)
            .enumerate()
            .find(|(_, (_, line))| line.contains(ARROW))
            .ok_or_else(|| {
                let (number, line) = block.first().copied().unwrap_or_default();
                let problem = format!(
                    "a block that is no cue: neither its first nor its second line has times such as '00:00:01.000 {ARROW} \
                     00:00:02.000', and it begins with {line:.40?}"
                );
                WebVttError::new(number, problem)
            })?;
        for (number, line) in block.iter().skip(at + 1) {
            refuse_arrow(*number, line, "a cue's text; a blank line stands between cues, and")?;
        }
        let (start, end) = read_times(times).ok_or_else(|| {
            let problem = format!("the times are {times:.80?}, expected such as '00:00:01.000 {ARROW} 00:00:02.000'");
            WebVttError::new(*number, problem)
        })?;
        if end <= start {
            let problem = format!("a cue that ends at {end}, and starts at {start}; it must end behind its start");
            return Err(WebVttError::new(*number, problem));
        }
        Ok(Self {
            start,
            end,
            block: joined(block),
        })
    }
}

/// Lines without what ends them: CR LF, LF or CR.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (line, behind) = text.split_at(text.find(['\r', '\n']).unwrap_or(text.len()));
        rest = behind
            .strip_prefix("\r\n")
            .or_else(|| behind.strip_prefix(['\r', '\n']));
        Some(line)
    })
}

/// A block's lines, with a line feed behind each.
fn joined(block: &[(usize, &str)]) -> String {
    block.iter().flat_map(|(_, line)| [line, "\n"]).collect()
}

/// Whether a line is `keyword`, or begins with it and a space or tab.
fn is_keyword(line: &str, keyword: &str) -> bool {
    line.strip_prefix(keyword)
        .is_some_and(|behind| behind.is_empty() || behind.starts_with([' ', '\t']))
}

fn refuse_arrow(number: usize, line: &str, what: &str) -> Result<(), WebVttError> {
    if line.contains(ARROW) {
        return Err(WebVttError::new(
            number,
            format!("'{ARROW}' in {what} times are no part of it"),
        ));
    }
    Ok(())
}

/// The times of a cue; its settings may follow.
fn read_times(line: &str) -> Option<(Time, Time)> {
    const BLANK: [char; 2] = [' ', '\t'];
    let (start, behind) = line.split_once(ARROW)?;
    let blank_free = behind.trim_start_matches(BLANK);
    let is_separated = start.ends_with(BLANK) && blank_free.len() < behind.len();
    let end = blank_free.split(BLANK).next()?;
    is_separated.then_some(())?;
    Some((read_time(start.trim_end_matches(BLANK))?, read_time(end)?))
}

/// A time: `01:02.003`, or with two or more digits of hours in front.
fn read_time(text: &str) -> Option<Time> {
    let number = |text: &str, digits: std::ops::RangeInclusive<usize>| {
        let is_number = digits.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse::<i64>().ok()).flatten()
    };
    let (clock, milliseconds) = text.split_once('.')?;
    let (rest, seconds) = clock.rsplit_once(':')?;
    let (hours, minutes) = match rest.split_once(':') {
        // Nine digits of hours are a hundred thousand years.
        Some((hours, minutes)) => (number(hours, 2..=9)?, minutes),
        None => (0, rest),
    };
    let below_sixty = |text| number(text, 2..=2).filter(|number| *number < 60);
    let seconds = (hours * 60 + below_sixty(minutes)?) * 60 + below_sixty(seconds)?;
    Some(Time::new(seconds * 1000 + number(milliseconds, 3..=3)?, MILLISECONDS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<WebVtt, String> {
        WebVtt::parse(text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn blocks_are_told_apart_and_kept_as_they_are() {
        let file = "\u{feff}WEBVTT - a film\nKind: captions\n\nSTYLE\n::cue { color: red }\n\nNOTE\nby nobody\n\n\nREGION \nid:a\n\
                    \n1\n00:01.500 --> 00:02.000 region:a align:left\n<v A>One\nTwo\n\nNOTE between\n\n100:00:00.000\t-->  \
                    100:00:00.001\n";
        let expected = parse(file);
        for end in ["\r\n", "\r"] {
            assert_eq!(parse(&file.replace('\n', end)), expected, "{end:?}");
        }
        let read = expected.unwrap_or_else(|error| unreachable!("{error}"));
        assert_eq!(read.signature, "WEBVTT - a film\n");
        assert_eq!(
            read.header,
            "Kind: captions\n\nSTYLE\n::cue { color: red }\n\nNOTE\nby nobody\n\nREGION \nid:a\n"
        );
        let cues: Vec<(i64, i64, &str)> = read
            .cues
            .iter()
            .map(|cue| (cue.start.ticks, cue.end.ticks, &*cue.block))
            .collect();
        assert_eq!(
            cues,
            [
                (
                    1500,
                    2000,
                    "1\n00:01.500 --> 00:02.000 region:a align:left\n<v A>One\nTwo\n"
                ),
                (360_000_000, 360_000_001, "100:00:00.000\t-->  100:00:00.001\n"),
            ]
        );
    }

    #[test]
    fn a_file_may_have_no_cues_and_a_timestamp_map() {
        assert_eq!(parse("WEBVTT").map(|read| read.cues.len()), Ok(0));
        let read = parse("WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:00.000\n\n");
        let map = read.map(|read| read.timestamp_map);
        assert_eq!(map, Ok(Some("MPEGTS:900000,LOCAL:00:00:00.000".to_owned())));
    }

    #[test]
    fn what_breaks_the_grammar_is_told_with_its_line() {
        for (text, line, problem) in [
            ("", 1, "begins with no 'WEBVTT'"),
            ("WEBVTTX\n", 1, "begins with no 'WEBVTT'"),
            ("WEBVTT\n00:01.000 --> 00:02.000\nA\n", 2, "'-->' in the header"),
            (
                "WEBVTT\nX-TIMESTAMP-MAP=A\nX-TIMESTAMP-MAP=A\n",
                3,
                "a second X-TIMESTAMP-MAP",
            ),
            (
                "WEBVTT\n\nwords\nmore\n00:01.000 --> 00:02.000\n",
                3,
                "a block that is no cue",
            ),
            (
                "WEBVTT\n\n00:01.000 --> 00:02.000\nA\n00:03.000 --> 00:04.000\n",
                5,
                "'-->' in a cue's text",
            ),
            ("WEBVTT\n\nNOTE\n00:01.000 --> 00:02.000\n", 4, "'-->' in this block"),
            (
                "WEBVTT\n\n00:01.000 --> 00:02.000\nA\n\nSTYLE\na\n",
                6,
                "STYLE behind the first cue",
            ),
            ("WEBVTT\n\n00:02.000 --> 00:02.000\n", 3, "it must end behind its start"),
            (
                "WEBVTT\n\n00:02.000 --> 00:03.000\n\n\n00:01.999 --> 00:03.000\n",
                6,
                "in the order of their starts",
            ),
        ] {
            let error = parse(text).err().unwrap_or_default();
            assert!(
                error.starts_with(&format!("line {line}: ")) && error.contains(problem),
                "{text:?}: {error}"
            );
        }
        let not_utf8 = WebVtt::parse(b"WEBVTT\r\n\r\n\xff");
        assert_eq!(not_utf8.map_err(|error| error.line), Err(3));
    }

    #[test]
    fn times_are_as_the_grammar_has_them() {
        for times in [
            "00:01.000-->00:02.000",
            "00:01.000 -->00:02.000",
            "00:01,000 --> 00:02,000",
            "0:01.000 --> 00:02.000",
            "1:00:01.000 --> 01:00:02.000",
            "00:60.000 --> 01:02.000",
            "00:01.00 --> 00:02.000",
            "1000000000:00:01.000 --> 1000000000:00:02.000",
            "+0:01.000 --> 00:02.000",
            "00:01.000 --> ",
        ] {
            assert_eq!(read_times(times), None, "{times}");
        }
        let ends = |text| read_times(text).map(|(start, end)| (start.ticks, end.ticks));
        assert_eq!(
            ends("59:59.999 --> 999999999:00:00.000 line:0"),
            Some((3_599_999, 3_599_999_996_400_000))
        );
    }
}

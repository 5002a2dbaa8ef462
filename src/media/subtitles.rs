//! Subtitles that are a file of their own.

use std::path::PathBuf;

use super::language;
use super::source::Source;
use super::webvtt::{self, WebVtt, WebVttError};
use crate::isobmff::ReadAt;

/// WebVTT whose times are those of the presentation.
#[derive(Debug)]
pub struct Subtitles {
    /// The file.
    pub path: PathBuf,
    /// A BCP 47 tag, from the end of the file's name (`film_en.vtt`, `film.pt-BR.vtt`).
    pub language: Option<String>,
    /// What it says.
    pub webvtt: WebVtt,
}

/// WebVTT that can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubtitlesError {
    /// It breaks the grammar.
    #[error(transparent)]
    Grammar(#[from] WebVttError),
    /// It is larger than any subtitles.
    #[error("WebVTT of {bytes} bytes; at most {} are supported", webvtt::MAX_BYTES)]
    TooLarge {
        /// How large.
        bytes: u64,
    },
    /// Its times are not those of the presentation.
    #[error("X-TIMESTAMP-MAP={0} moves its times; give a whole file, not a segment, with times from the film's start")]
    Moved(String),
    /// There is nothing that it could be cut by.
    #[error("these are subtitles, which are cut where video or audio is; give a film beside them")]
    Alone,
    /// It can't be read.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

impl Subtitles {
    /// Whether a file is to be read as WebVTT: by its name, or its first bytes.
    pub(super) fn are_in(source: &Source) -> std::io::Result<bool> {
        let is_named = source
            .path()
            .extension()
            .is_some_and(|end| end.eq_ignore_ascii_case("vtt"));
        if is_named {
            return Ok(true);
        }
        let mut start = [0; 9];
        let bytes = source.bytes().min(start.len() as u64);
        let start = start.get_mut(..usize::try_from(bytes).unwrap_or(0)).unwrap_or_default();
        source.read_exact_at(start, 0)?;
        let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
        Ok(start.starts_with(webvtt::SIGNATURE.as_bytes()))
    }

    /// Reads a file.
    pub(super) fn read(source: &Source) -> Result<Self, SubtitlesError> {
        let bytes = source.bytes();
        let mut data = match usize::try_from(bytes) {
            Ok(length) if bytes <= webvtt::MAX_BYTES => vec![0; length],
            _ => return Err(SubtitlesError::TooLarge { bytes }),
        };
        source.read_exact_at(&mut data, 0)?;
        let webvtt = WebVtt::parse(&data)?;
        match webvtt.timestamp_map {
            Some(map) if map != webvtt::UNMOVED => Err(SubtitlesError::Moved(map)),
            _ => Ok(Self {
                path: source.path().to_owned(),
                language: source.path().file_stem().and_then(language_of),
                webvtt,
            }),
        }
    }
}

/// The language that a file's name ends with.
fn language_of(stem: &std::ffi::OsStr) -> Option<String> {
    let stem = stem.to_str()?;
    let ends = stem.match_indices(['_', '.', '-']);
    ends.filter_map(|(at, separator)| stem.get(at + separator.len()..))
        .find_map(language::read)
}

#[cfg(test)]
mod tests {
    use super::language_of;

    #[test]
    fn the_end_of_a_name_is_a_language() {
        for (stem, expected) in [
            ("subs_en", Some("en")),
            ("my.film.fr", Some("fr")),
            ("film-pt-br", Some("pt-BR")),
            ("film_zh-hant-TW", Some("zh-Hant-TW")),
            ("film_es-419", Some("es-419")),
            ("film_eng", Some("en")),
            ("en", None),
            ("the-end", None),
            ("film_en_2", None),
        ] {
            assert_eq!(language_of(stem.as_ref()).as_deref(), expected, "{stem}");
        }
    }
}

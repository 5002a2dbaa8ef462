//! The names of a content's keys and tracks.

use std::fmt;
use std::str::FromStr;

/// A name is at most this long.
const MAX_LENGTH: usize = 64;

/// Text that is no name of a key or track.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// No text.
    #[error("a name is empty; expected 1 to {MAX_LENGTH} of a-z, 0-9, _ and -")]
    Empty,
    /// Too much text.
    #[error("a name is {length} characters long; expected at most {MAX_LENGTH}")]
    TooLong {
        /// Characters that are there.
        length: usize,
    },
    /// A character that would need escaping somewhere, or that some file systems don't tell from another.
    #[error("a name holds {found:?}; expected only a-z, 0-9, _ and -")]
    Character {
        /// The first such character.
        found: char,
    },
}

fn parse(text: &str) -> Result<String, NameError> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if let Some(found) = text.chars().find(|c| !allowed(*c)) {
        return Err(NameError::Character { found });
    }
    if text.len() > MAX_LENGTH {
        return Err(NameError::TooLong { length: text.len() });
    }
    Ok(text.to_owned())
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// The name's text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                parse(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

names! {
    /// The name of one of a content's further keys (of a track, a resolution, an epoch), `[a-z0-9_-]{1,64}`.
    KeyName
    /// The name of a track, `[a-z0-9_-]{1,64}`, from which its IV is derived.
    TrackName
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_name_parses_to_itself(text in "[a-z0-9_-]{1,64}") {
            let name: KeyName = text.parse().unwrap();
            prop_assert_eq!(name.as_str(), &text);
            prop_assert_eq!(text.parse::<TrackName>().unwrap().to_string(), text);
        }

        #[test]
        fn no_other_text_does(text in "\\PC{0,20}") {
            let valid = !text.is_empty() && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'));
            prop_assert_eq!(text.parse::<KeyName>().is_ok(), valid);
        }
    }

    #[test]
    fn errors_say_what_was_found() {
        let parse = |text: &str| text.parse::<TrackName>().unwrap_err();
        assert_eq!(parse(""), NameError::Empty);
        assert_eq!(parse(&"a".repeat(65)), NameError::TooLong { length: 65 });
        assert_eq!(parse("Audio"), NameError::Character { found: 'A' });
        assert_eq!(parse("a/b"), NameError::Character { found: '/' });
    }
}

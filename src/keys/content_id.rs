//! The name of a content.

use std::fmt;
use std::str::FromStr;

/// A content ID is at most this long; it is a part of URLs and of derivations.
const MAX_LENGTH: usize = 256;

/// The key server's API has a resource of this name where a content ID stands.
const RESERVED: &str = "leases";

/// The name of a content, `[A-Za-z0-9_-]{1,256}`, from which its keys are derived.
///
/// It holds no slash, so no content ID is equal to another's derivation label or URL path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContentId(String);

/// Text that is no content ID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContentIdError {
    /// No text.
    #[error("a content ID is empty; expected 1 to {MAX_LENGTH} letters, digits, _ and -")]
    Empty,
    /// Too much text.
    #[error("a content ID is {length} characters long; expected at most {MAX_LENGTH}")]
    TooLong {
        /// Characters that are there.
        length: usize,
    },
    /// A character that would need escaping somewhere.
    #[error("a content ID holds {found:?}; expected only letters of ASCII, digits, _ and -")]
    Character {
        /// The first such character.
        found: char,
    },
    /// A word of the key server's API.
    #[error("{RESERVED:?} is a word of the key server's API; choose another content ID")]
    Reserved,
}

impl ContentId {
    /// The ID's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ContentId {
    type Err = ContentIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if text.is_empty() {
            return Err(ContentIdError::Empty);
        }
        if let Some(found) = text.chars().find(|c| !allowed(*c)) {
            return Err(ContentIdError::Character { found });
        }
        if text.len() > MAX_LENGTH {
            return Err(ContentIdError::TooLong { length: text.len() });
        }
        if text == RESERVED {
            return Err(ContentIdError::Reserved);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_content_id_parses_to_itself(text in "[A-Za-z0-9_-]{1,256}") {
            prop_assume!(text != RESERVED);
            let id: ContentId = text.parse().unwrap();
            prop_assert_eq!(id.to_string(), &*text);
            let json = serde_json::to_string(&id).unwrap();
            prop_assert_eq!(&json, &format!("{text:?}"));
            prop_assert_eq!(serde_json::from_str::<ContentId>(&json).unwrap(), id);
        }

        #[test]
        fn no_other_text_does(text in "\\PC{0,40}") {
            let valid = !text.is_empty() && text.bytes().all(|b| matches!(b, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'));
            prop_assert_eq!(text.parse::<ContentId>().is_ok(), valid && text != RESERVED);
        }
    }

    #[test]
    fn errors_say_what_was_found() {
        let parse = |text: &str| text.parse::<ContentId>().unwrap_err();
        assert_eq!(parse(""), ContentIdError::Empty);
        assert_eq!(parse(&"a".repeat(257)), ContentIdError::TooLong { length: 257 });
        assert_eq!(parse("a/b"), ContentIdError::Character { found: '/' });
        assert_eq!(parse("a\n"), ContentIdError::Character { found: '\n' });
        assert_eq!(parse("leases"), ContentIdError::Reserved);
        assert!(serde_json::from_str::<ContentId>("\"a b\"").is_err());
        assert!("Leases".parse::<ContentId>().is_ok());
    }
}

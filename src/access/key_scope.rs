//! The claim `keys`: which of a content's keys a token opens.
//!
//! ```text
//! no claim                 every key
//! "keys": "hd"             the key of that name
//! "keys": ["sd", "audio"]  these keys
//! ```
//!
//! | entry | opens |
//! |---|---|
//! | `primary` | the content's primary key, which has no name |
//! | `NAME` | the key of that name, and no other |
//! | `NAME-*` | the keys of all epochs of `NAME`: `NAME-1`, `NAME-2`, ... (`encrypt --rotate-every` with `--keys`) |
//! | `primary-*` | the keys of all epochs where all renditions share one: `1`, `2`, ... (`encrypt --rotate-every`) |
//!
//! Epochs are asked for by the star and never by the name alone, for a number behind a name may be a rendition's too:
//! `360p` must not open `360p-2`, which under `--keys per-track` is another picture.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::DenyReason;
use crate::keys::{KeyName, NameError};

/// How a token names the primary key, which has no name. A key that is really named so is opened by no entry.
pub const PRIMARY: &str = "primary";

/// Which of a content's keys a token opens.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum KeyScope {
    /// Every key.
    #[default]
    All,
    /// Those that one of the entries opens.
    Only(Vec<KeyEntry>),
}

/// An entry of the claim. Its text is as the table above says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyEntry {
    /// One key; `None` is the primary one.
    Key(Option<KeyName>),
    /// The keys of all epochs of a name; `None` where they have no name in front of the number.
    Epochs(Option<KeyName>),
}

/// A key that is asked for, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked<'a> {
    /// The key of that name; `None` is the primary one.
    Named(Option<&'a KeyName>),
    /// A key by an ID that nothing is known of.
    Unknown,
}

impl KeyScope {
    /// Decides about one key of the content that the token opens.
    ///
    /// Whether an ID is known is told only to those who may have every key, so that nobody can probe for others.
    ///
    /// # Errors
    /// [`DenyReason::KeyNotInToken`].
    pub fn check(&self, asked: Asked<'_>) -> Result<(), DenyReason> {
        let opens = match (self, asked) {
            (Self::All, _) => true,
            (Self::Only(_), Asked::Unknown) => false,
            (Self::Only(entries), Asked::Named(name)) => entries.iter().any(|entry| entry.opens(name)),
        };
        if opens { Ok(()) } else { Err(DenyReason::KeyNotInToken) }
    }
}

impl KeyEntry {
    fn opens(&self, name: Option<&KeyName>) -> bool {
        match self {
            Self::Key(key) => key.as_ref() == name,
            Self::Epochs(of) => name.is_some_and(|name| {
                let number = match of {
                    None => Some(name.as_str()),
                    Some(of) => name
                        .as_str()
                        .strip_prefix(of.as_str())
                        .and_then(|rest| rest.strip_prefix('-')),
                };
                number.is_some_and(is_epoch)
            }),
        }
    }
}

/// Whether the text is an epoch as key names have it: a number from 1, without zeros in front.
fn is_epoch(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.bytes().next().is_some_and(|first| first != b'0')
}

impl FromStr for KeyEntry {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let name = |text: &str| match text {
            PRIMARY => Ok(None),
            text => text.parse().map(Some),
        };
        match text.strip_suffix("-*") {
            Some(text) => name(text).map(Self::Epochs),
            None => name(text).map(Self::Key),
        }
    }
}

impl fmt::Display for KeyEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Key(name) | Self::Epochs(name)) = self;
        f.write_str(name.as_ref().map_or(PRIMARY, KeyName::as_str))?;
        match self {
            Self::Key(_) => Ok(()),
            Self::Epochs(_) => f.write_str("-*"),
        }
    }
}

impl Serialize for KeyEntry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The claim as a token has it. What can't be read is kept as such, so that it is refused by a reason of its own, and last.
///
/// `null` is no less wrong than a number: only a token without the claim opens every key.
pub(super) struct KeysClaim(Option<KeyScope>);

impl Default for KeysClaim {
    fn default() -> Self {
        Self(Some(KeyScope::All))
    }
}

impl KeysClaim {
    /// What it opens.
    pub(super) fn scope(self) -> Result<KeyScope, DenyReason> {
        self.0.ok_or(DenyReason::KeysClaimMalformed)
    }

    fn read(claim: &Value) -> Option<KeyScope> {
        let entry = |value: &Value| value.as_str()?.parse().ok();
        let entries: Vec<KeyEntry> = match claim {
            Value::Array(values) => values.iter().map(entry).collect::<Option<_>>()?,
            value => vec![entry(value)?],
        };
        (!entries.is_empty()).then_some(KeyScope::Only(entries))
    }
}

impl<'de> Deserialize<'de> for KeysClaim {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(|claim| Self(Self::read(&claim)))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn an_entry_opens_what_it_names_and_nothing_else() {
        let all = [
            "",
            "1",
            "2",
            "10",
            "01",
            "video",
            "video-1",
            "video-2",
            "video-01",
            "video-1-1",
            "video-",
            "video-x",
            "360p",
            "360p-2",
            "360p-2-1",
            "primary",
            "primary-1",
            "sd",
            "sd2",
            "xsd-1",
        ];
        for (entry, opens) in [
            ("primary", vec![""]),
            ("primary-*", vec!["1", "2", "10"]),
            ("video", vec!["video"]),
            ("video-*", vec!["video-1", "video-2"]),
            ("video-1", vec!["video-1"]),
            ("video-1-*", vec!["video-1-1"]),
            ("360p", vec!["360p"]),
            ("360p-2", vec!["360p-2"]),
            ("360p-2-*", vec!["360p-2-1"]),
            ("primary-1", vec!["primary-1"]),
            ("sd", vec!["sd"]),
            ("sd-*", vec![]),
            ("1", vec!["1"]),
        ] {
            let scope = KeyScope::Only(vec![entry.parse().unwrap()]);
            let is_open = |name: &&str| {
                let name: Option<KeyName> = (!name.is_empty()).then(|| name.parse().unwrap());
                scope.check(Asked::Named(name.as_ref())).is_ok()
            };
            assert_eq!(all.into_iter().filter(is_open).collect::<Vec<_>>(), opens, "{entry}");
            assert_eq!(scope.check(Asked::Unknown), Err(DenyReason::KeyNotInToken));
            assert_eq!(entry.parse::<KeyEntry>().unwrap().to_string(), entry);
        }
        assert_eq!(KeyScope::All.check(Asked::Unknown), Ok(()));
    }

    #[test]
    fn a_claim_is_names_or_malformed() {
        let read = |json: &str| serde_json::from_str::<KeysClaim>(json).unwrap().scope();
        let only = |entries: &[&str]| KeyScope::Only(entries.iter().map(|entry| entry.parse().unwrap()).collect());
        assert_eq!(read(r#""hd""#), Ok(only(&["hd"])));
        assert_eq!(read(r#"["sd","audio-*"]"#), Ok(only(&["sd", "audio-*"])));
        for json in [
            "null",
            "1",
            "true",
            "{}",
            "[]",
            r#""""#,
            r#"["sd",1]"#,
            r#"["sd",null]"#,
            r#"["HD"]"#,
            r#"[["sd"]]"#,
            r#""*""#,
            r#""sd,hd""#,
            r#""-*""#,
            r#""s*""#,
        ] {
            assert_eq!(read(json), Err(DenyReason::KeysClaimMalformed), "{json}");
        }
    }
}

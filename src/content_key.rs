//! The words that the media plane and the key plane share: a content key, its ID, an IV, and a generation of an output.

use std::fmt;
use std::str::FromStr;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// A 16-byte AES-128 content key.
///
/// It has no `Debug`, `Display` or `Serialize`, and is cleared when dropped. One key may serve many
/// tracks under `cbcs`, whose IVs are public and constant; a CTR scheme must never use one key with
/// the same IV twice.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct ContentKey([u8; 16]);

impl ContentKey {
    /// Takes the key's 16 bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The raw 16 bytes, for a cipher or for the answer to an authorized player; never for a log.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 16] {
        &self.0
    }
}

/// A key ID: 16 bytes that name a content key and reveal nothing of it (ISO/IEC 23001-7, 7.2 `default_KID`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kid(pub [u8; 16]);

/// A constant 16-byte initialization vector (ISO/IEC 23001-7, 8.2 `default_constant_IV`); public.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Iv(pub [u8; 16]);

/// What a content was encrypted to when its master key was no longer the first: the folder of an output with this name, eight
/// hexadecimal digits, holds its media, so that no URL of an older generation ever has other bytes. The first generation has
/// none, and lies at the top.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Generation(pub [u8; 4]);

/// Text that is not eight lower-case hexadecimal digits.
#[derive(Debug, thiserror::Error)]
#[error("expected 8 hexadecimal digits, a to f in lower case")]
pub struct NotFourBytes;

impl FromStr for Generation {
    type Err = NotFourBytes;

    /// Reads the one text that a generation has, as it names a folder.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 4];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| NotFourBytes)?;
        let generation = Self(bytes);
        if generation.to_string() == text {
            Ok(generation)
        } else {
            Err(NotFourBytes)
        }
    }
}

/// Text that is not 32 hexadecimal digits.
#[derive(Debug, thiserror::Error)]
#[error("expected 32 hexadecimal digits (16 bytes; dashes are allowed in a key ID)")]
pub struct NotSixteenBytes;

impl FromStr for Kid {
    type Err = NotSixteenBytes;

    /// Reads 32 hexadecimal digits, or the same as a UUID with dashes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 16];
        let digits: String = text.chars().filter(|c| *c != '-').collect();
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| NotSixteenBytes)?;
        Ok(Self(bytes))
    }
}

impl FromStr for Iv {
    type Err = NotSixteenBytes;

    /// Reads 32 hexadecimal digits, with or without `0x`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text
            .strip_prefix("0x")
            .or_else(|| text.strip_prefix("0X"))
            .unwrap_or(text);
        let mut bytes = [0; 16];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| NotSixteenBytes)?;
        Ok(Self(bytes))
    }
}

macro_rules! lower_hex {
    ($($name:ident)*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    )*};
}
lower_hex!(Kid Iv Generation);

/// Text types go through `Display` and `FromStr` in JSON too, so that none comes into being unchecked.
macro_rules! serde_as_text {
    ($($name:ident)*) => {$(
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
pub(crate) use serde_as_text;
serde_as_text!(Kid Generation);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_has_one_text() {
        assert_eq!(
            "0a1b2c3d".parse::<Generation>().ok(),
            Some(Generation([0x0a, 0x1b, 0x2c, 0x3d]))
        );
        for text in ["", "video", "0A1B2C3D", "0a1b2c3", "0a1b2c3d4", "../0a1b2", "0x0a1b2c"] {
            assert!(text.parse::<Generation>().is_err(), "{text}");
        }
    }
}

//! Which blocks of a protected range are encrypted (ISO/IEC 23001-7, 9.6).

use std::fmt;
use std::str::FromStr;

use super::BLOCK_BYTES;
use crate::isobmff::tenc::TrackEncryption;

/// Runs of encrypted and clear blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pattern {
    /// Encrypted blocks in each run, at most 15.
    pub crypt_blocks: u8,
    /// Clear blocks behind them, at most 15.
    pub skip_blocks: u8,
}

impl Pattern {
    /// One block encrypted, nine clear: video.
    pub const ONE_IN_TEN: Self = Self {
        crypt_blocks: 1,
        skip_blocks: 9,
    };

    /// No pattern: every block is encrypted. Written as 0:0.
    pub const ALL: Self = Self {
        crypt_blocks: 0,
        skip_blocks: 0,
    };

    /// The one that `tenc` says.
    #[must_use]
    pub const fn of(tenc: &TrackEncryption) -> Self {
        Self {
            crypt_blocks: tenc.crypt_byte_block,
            skip_blocks: tenc.skip_byte_block,
        }
    }

    /// Encrypted blocks in each run, and clear bytes behind them; without those a run never ends.
    pub(super) const fn run(self) -> (u8, usize) {
        match (self.crypt_blocks, self.skip_blocks) {
            (_, 0) => (1, 0),
            (crypt, skip) => (crypt, skip as usize * BLOCK_BYTES),
        }
    }
}

/// Text that is no pattern.
#[derive(Debug, thiserror::Error)]
#[error("expected blocks to encrypt and blocks to skip, each from 1 to 15, such as 1:9")]
pub struct NotAPattern;

impl FromStr for Pattern {
    type Err = NotAPattern;

    /// Reads `1:9`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let blocks = |text: &str| text.parse().ok().filter(|blocks| (1..=15).contains(blocks));
        let (crypt, skip) = text.split_once(':').ok_or(NotAPattern)?;
        Ok(Self {
            crypt_blocks: blocks(crypt).ok_or(NotAPattern)?,
            skip_blocks: blocks(skip).ok_or(NotAPattern)?,
        })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.crypt_blocks, self.skip_blocks)
    }
}

//! The `cbcs` cipher: AES-128-CBC over a pattern of blocks (ISO/IEC 23001-7, 9.6 and 10.4).

use aes::Aes128;
use aes::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};

use crate::content_key::{ContentKey, Iv};

/// Bytes of an AES block.
pub const BLOCK_BYTES: usize = 16;

/// Runs of encrypted and clear blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pattern {
    /// Encrypted blocks in each run.
    pub crypt_blocks: u8,
    /// Clear blocks behind them.
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

    /// Bytes encrypted in each run, and bytes of the run; without skipped blocks a run never ends.
    const fn run_bytes(self) -> (usize, usize) {
        match (self.crypt_blocks as usize, self.skip_blocks as usize) {
            (_, 0) => (BLOCK_BYTES, BLOCK_BYTES),
            (crypt, skip) => (crypt * BLOCK_BYTES, (crypt + skip) * BLOCK_BYTES),
        }
    }
}

/// The cipher of a track.
///
/// The constant IV starts every protected range anew, and the chain runs over the encrypted blocks alone.
/// One key and IV serve all samples of a track, which the scheme allows for CBC; what must never happen is
/// the same key with a CTR scheme and a repeated IV.
pub struct Cbcs {
    cipher: Aes128,
    iv: [u8; BLOCK_BYTES],
    pattern: Pattern,
}

impl Cbcs {
    /// A cipher for protected ranges under `key`.
    #[must_use]
    pub fn new(key: &ContentKey, iv: Iv, pattern: Pattern) -> Self {
        Self {
            cipher: Aes128::new(&Array(*key.expose())),
            iv: iv.0,
            pattern,
        }
    }

    /// The pattern.
    #[must_use]
    pub const fn pattern(&self) -> Pattern {
        self.pattern
    }

    /// Encrypts one protected range in place: a subsample's protected bytes, or a whole sample.
    ///
    /// A block that is not whole at the range's end stays clear.
    pub fn encrypt(&self, range: &mut [u8]) {
        let mut chain = u128::from_ne_bytes(self.iv);
        self.for_each_block(range, |block| {
            let mixed = u128::from_ne_bytes(*block) ^ chain;
            let mut output = Array(mixed.to_ne_bytes());
            self.cipher.encrypt_block(&mut output);
            chain = u128::from_ne_bytes(output.0);
            *block = output.0;
        });
    }

    /// Decrypts one protected range in place; see [`Self::encrypt`].
    pub fn decrypt(&self, range: &mut [u8]) {
        let mut chain = u128::from_ne_bytes(self.iv);
        self.for_each_block(range, |block| {
            let next = u128::from_ne_bytes(*block);
            let mut output = Array(*block);
            self.cipher.decrypt_block(&mut output);
            *block = (u128::from_ne_bytes(output.0) ^ chain).to_ne_bytes();
            chain = next;
        });
    }

    /// Calls `work` for each block that the pattern encrypts.
    fn for_each_block(&self, range: &mut [u8], mut work: impl FnMut(&mut [u8; BLOCK_BYTES])) {
        let (crypt_bytes, run_bytes) = self.pattern.run_bytes();
        for run in range.chunks_mut(run_bytes) {
            let crypt = run.len().min(crypt_bytes);
            let (blocks, _) = run.get_mut(..crypt).unwrap_or_default().as_chunks_mut::<BLOCK_BYTES>();
            blocks.iter_mut().for_each(&mut work);
        }
    }
}

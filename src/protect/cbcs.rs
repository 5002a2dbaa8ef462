//! The `cbcs` cipher: AES-128-CBC over a pattern of blocks (ISO/IEC 23001-7, 9.6 and 10.4).

use std::mem;

use aes::Aes128;
use aes::cipher::consts::U16;
use aes::cipher::{
    Array, BlockCipherDecBackend, BlockCipherDecClosure, BlockCipherDecrypt, BlockCipherEncBackend,
    BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, KeyInit,
};

use super::{BLOCK_BYTES, Pattern};
use crate::content_key::{ContentKey, Iv};

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

    /// Encrypts protected ranges in place, each a subsample's protected bytes or a whole sample.
    ///
    /// A block that is not whole at a range's end stays clear.
    pub fn encrypt<'r>(&self, ranges: impl IntoIterator<Item = &'r mut [u8]>) {
        self.cipher.encrypt_with_backend(Encryption {
            pattern: self.pattern,
            iv: self.iv,
            ranges: ranges.into_iter(),
        });
    }

    /// Decrypts one protected range in place; see [`Self::encrypt`].
    pub fn decrypt(&self, range: &mut [u8]) {
        self.cipher.decrypt_with_backend(Decryption {
            pattern: self.pattern,
            chain: Chain::new(range, self.iv),
        });
    }
}

/// A protected range from its next encrypted block on, and what that is chained to.
#[derive(Default)]
struct Chain<'r> {
    rest: &'r mut [u8],
    blocks_in_run: u8,
    chained: u128,
}

impl<'r> Chain<'r> {
    fn new(range: &'r mut [u8], iv: [u8; BLOCK_BYTES]) -> Self {
        Self {
            rest: range,
            blocks_in_run: 0,
            chained: u128::from_ne_bytes(iv),
        }
    }

    /// The next block that the pattern encrypts.
    #[inline]
    fn next(&mut self, (crypt_blocks, skip_bytes): (u8, usize)) -> Option<&'r mut [u8; BLOCK_BYTES]> {
        if crypt_blocks == 0 {
            return None;
        }
        let (block, mut rest) = mem::take(&mut self.rest).split_first_chunk_mut()?;
        self.blocks_in_run += 1;
        if self.blocks_in_run == crypt_blocks {
            self.blocks_in_run = 0;
            rest = rest.get_mut(skip_bytes..).unwrap_or_default();
        }
        self.rest = rest;
        Some(block)
    }
}

/// Ranges encrypted side by side: a block has to wait for the one before it in its chain, but not for those of others.
const CHAINS: usize = 4;

/// What the cipher calls with its block function, so that round keys stay in registers from block to block.
struct Encryption<I> {
    pattern: Pattern,
    iv: [u8; BLOCK_BYTES],
    ranges: I,
}

impl<I> BlockSizeUser for Encryption<I> {
    type BlockSize = U16;
}

impl<'r, I: Iterator<Item = &'r mut [u8]>> BlockCipherEncClosure for Encryption<I> {
    #[inline]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(mut self, backend: &B) {
        let run = self.pattern.run();
        let mut chains: [Chain<'_>; CHAINS] = Default::default();
        let mut done = false;
        while !done {
            done = true;
            for chain in &mut chains {
                if let Some(block) = chain.next(run) {
                    let mut output = Array((u128::from_ne_bytes(*block) ^ chain.chained).to_ne_bytes());
                    backend.encrypt_block_inplace(&mut output);
                    chain.chained = u128::from_ne_bytes(output.0);
                    *block = output.0;
                } else if let Some(range) = self.ranges.next() {
                    *chain = Chain::new(range, self.iv);
                } else {
                    continue;
                }
                done = false;
            }
        }
    }
}

struct Decryption<'r> {
    pattern: Pattern,
    chain: Chain<'r>,
}

impl BlockSizeUser for Decryption<'_> {
    type BlockSize = U16;
}

impl BlockCipherDecClosure for Decryption<'_> {
    #[inline]
    fn call<B: BlockCipherDecBackend<BlockSize = U16>>(mut self, backend: &B) {
        let run = self.pattern.run();
        while let Some(block) = self.chain.next(run) {
            let mut output = Array(*block);
            backend.decrypt_block_inplace(&mut output);
            let clear = u128::from_ne_bytes(output.0) ^ self.chain.chained;
            self.chain.chained = u128::from_ne_bytes(*block);
            *block = clear.to_ne_bytes();
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    /// NIST SP 800-38A, F.2.1 and F.2.2: CBC-AES128.
    const KEY: &str = "2b7e151628aed2a6abf7158809cf4f3c";
    const IV: &str = "000102030405060708090a0b0c0d0e0f";
    const PLAIN: [&str; 4] = [
        "6bc1bee22e409f96e93d7e117393172a",
        "ae2d8a571e03ac9c9eb76fac45af8e51",
        "30c81c46a35ce411e5fbc1191a0a52ef",
        "f69f2445df4f9b17ad2b417be66c3710",
    ];
    const ENCRYPTED: [&str; 4] = [
        "7649abac8119b246cee98e9b12e9197d",
        "5086cb9b507219ee95db113a917678b2",
        "73bed6b8e3c1743b7116e69e22229516",
        "3ff1caa1681fac09120eca307586e1a7",
    ];

    fn block(hexadecimal: &str) -> [u8; BLOCK_BYTES] {
        hex::decode(hexadecimal).unwrap().try_into().unwrap()
    }

    fn cipher(pattern: Pattern) -> Cbcs {
        Cbcs::new(&ContentKey::new(block(KEY)), Iv(block(IV)), pattern)
    }

    /// The blocks of the vector, each followed by `clear`.
    fn range(blocks: [&str; 4], clear: &[u8]) -> Vec<u8> {
        blocks
            .into_iter()
            .flat_map(|text| [&block(text), clear].concat())
            .collect()
    }

    #[track_caller]
    fn assert_encrypts(pattern: Pattern, plain: &[u8], encrypted: &[u8]) {
        let mut range = plain.to_vec();
        cipher(pattern).encrypt([&mut range[..]]);
        assert_eq!(hex::encode(&range), hex::encode(encrypted));
        cipher(pattern).decrypt(&mut range);
        assert_eq!(hex::encode(&range), hex::encode(plain));
    }

    #[test]
    fn without_a_pattern_it_is_cbc() {
        let one_to_none = Pattern {
            crypt_blocks: 1,
            skip_blocks: 0,
        };
        for pattern in [Pattern::ALL, one_to_none] {
            assert_encrypts(pattern, &range(PLAIN, &[]), &range(ENCRYPTED, &[]));
        }
    }

    /// The chain runs over the encrypted blocks alone (ISO/IEC 23001-7, 9.6.1).
    #[test]
    fn the_chain_skips_what_the_pattern_skips() {
        let skipped = [0x55; 9 * BLOCK_BYTES];
        assert_encrypts(
            Pattern::ONE_IN_TEN,
            &range(PLAIN, &skipped),
            &range(ENCRYPTED, &skipped),
        );
        let two_to_three = Pattern {
            crypt_blocks: 2,
            skip_blocks: 3,
        };
        let halves =
            |[a, b, c, d]: [&str; 4]| [&block(a)[..], &block(b), &skipped[..48], &block(c), &block(d)].concat();
        assert_encrypts(two_to_three, &halves(PLAIN), &halves(ENCRYPTED));
    }

    /// Ranges are worked on side by side, and each is what it is alone, whatever the lengths of its neighbours.
    #[test]
    fn each_range_is_a_chain_of_its_own() {
        let lengths = [0, 16, 1000, 15, 400, 16_000, 33, 0, 160, 161, 5000];
        for pattern in [Pattern::ALL, Pattern::ONE_IN_TEN] {
            let mut alone: Vec<Vec<u8>> = lengths.iter().map(|&length| vec![0x5a; length]).collect();
            let mut together = alone.clone();
            for range in &mut alone {
                cipher(pattern).encrypt([&mut range[..]]);
            }
            cipher(pattern).encrypt(together.iter_mut().map(|range| &mut range[..]));
            assert!(alone == together, "{pattern:?}");
        }
    }

    /// A block that is not whole stays clear, wherever in the pattern the range ends.
    #[test]
    fn the_rest_stays_clear() {
        for rest in 0..BLOCK_BYTES {
            let with_rest = |blocks| [range(blocks, &[]), vec![0xaa; rest]].concat();
            assert_encrypts(Pattern::ALL, &with_rest(PLAIN), &with_rest(ENCRYPTED));
            assert_encrypts(Pattern::ONE_IN_TEN, &vec![0xaa; rest], &vec![0xaa; rest]);
        }
    }
}

//! The cipher of `cenc` and `cens`: AES-128-CTR (ISO/IEC 23001-7, 9.3, 10.1 and 10.3).

use aes::Aes128;
use aes::cipher::{Array, InnerIvInit, KeyInit, StreamCipher, StreamCipherCoreWrapper};
use ctr::CtrCore;
use ctr::flavors::Ctr64BE;

use super::{BLOCK_BYTES, Pattern};
use crate::content_key::{ContentKey, Iv};

/// The cipher of a track.
///
/// A sample's key stream begins at its IV and runs over the encrypted bytes of all its protected ranges. The IV's second
/// half counts blocks, and leaves the first half alone when it overflows.
pub struct Ctr {
    cipher: Aes128,
    /// Of `cens`; `None` is `cenc`, which encrypts every byte.
    pattern: Option<Pattern>,
}

type KeyStream = StreamCipherCoreWrapper<CtrCore<Aes128, Ctr64BE>>;

impl Ctr {
    /// The cipher of `cenc` under `key`.
    #[must_use]
    pub fn cenc(key: &ContentKey) -> Self {
        Self {
            cipher: Aes128::new(&Array(*key.expose())),
            pattern: None,
        }
    }

    /// The cipher of `cens` under `key`.
    #[must_use]
    pub fn cens(key: &ContentKey, pattern: Pattern) -> Self {
        Self {
            pattern: Some(pattern),
            ..Self::cenc(key)
        }
    }

    /// The pattern.
    #[must_use]
    pub fn pattern(&self) -> Pattern {
        self.pattern.unwrap_or(Pattern::ALL)
    }

    /// Encrypts or decrypts the protected ranges of one sample in place.
    ///
    /// Under `cens`, a block that is not whole at a range's end stays clear, with a pattern or without (9.6 and 9.7).
    pub fn apply<'r>(&self, iv: Iv, ranges: impl IntoIterator<Item = &'r mut [u8]>) {
        let core = CtrCore::inner_iv_init(self.cipher.clone(), &Array(iv.0));
        let mut stream = KeyStream::from_core(core);
        let Some(pattern) = self.pattern else {
            ranges.into_iter().for_each(|range| stream.apply_keystream(range));
            return;
        };
        let (crypt_blocks, skip_bytes) = pattern.run();
        let crypt_bytes = usize::from(crypt_blocks) * BLOCK_BYTES;
        for run in ranges
            .into_iter()
            .flat_map(|range| range.chunks_mut(crypt_bytes + skip_bytes))
        {
            let encrypted = run.len().min(crypt_bytes) / BLOCK_BYTES * BLOCK_BYTES;
            stream.apply_keystream(run.get_mut(..encrypted).unwrap_or_default());
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    /// NIST SP 800-38A, F.5.1: CTR-AES128.
    const KEY: &str = "2b7e151628aed2a6abf7158809cf4f3c";
    const COUNTER: &str = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";
    const PLAIN: &str = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51\
                         30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710";
    const ENCRYPTED: &str = "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff\
                             5ae4df3edbd5d35e5b4f09020db03eab1e031dda2fbe03d1792170a0f3009cee";

    fn bytes(hexadecimal: &str) -> Vec<u8> {
        hex::decode(hexadecimal).unwrap()
    }

    fn key() -> ContentKey {
        ContentKey::new(bytes(KEY).try_into().unwrap())
    }

    fn iv(hexadecimal: &str) -> Iv {
        hexadecimal.parse().unwrap()
    }

    #[test]
    fn without_a_pattern_it_is_ctr_over_all_ranges_of_a_sample() {
        for cut in 0..64 {
            let mut sample = bytes(PLAIN);
            let (first, second) = sample.split_at_mut(cut);
            Ctr::cenc(&key()).apply(iv(COUNTER), [first, second]);
            assert_eq!(hex::encode(&sample), ENCRYPTED, "{cut}");
        }
    }

    /// The counter runs over the encrypted blocks alone, and the pattern starts anew with each range.
    #[test]
    fn the_counter_skips_what_the_pattern_skips() {
        let skipped = [0x55; 9 * BLOCK_BYTES];
        let sample = |text: &str| -> Vec<u8> {
            let whole = bytes(text);
            let blocks = whole.chunks(BLOCK_BYTES);
            blocks.flat_map(|block| [block, &skipped].concat()).collect()
        };
        let mut ours = sample(PLAIN);
        let (first, second) = ours.split_at_mut(2 * 10 * BLOCK_BYTES);
        // The rest of a block stays clear.
        let mut rest = [0xaa; 15];
        Ctr::cens(&key(), Pattern::ONE_IN_TEN).apply(iv(COUNTER), [first, &mut rest, second]);
        assert_eq!(hex::encode(ours), hex::encode(sample(ENCRYPTED)));
        assert_eq!(rest, [0xaa; 15]);
    }

    /// Whole samples under `cens` have no pattern, and the rest of a block stays clear (ISO/IEC 23001-7, 9.7).
    #[test]
    fn cens_encrypts_whole_blocks_alone() {
        let mut sample = [bytes(PLAIN), vec![0xaa; 15]].concat();
        Ctr::cens(&key(), Pattern::ALL).apply(iv(COUNTER), [&mut sample[..]]);
        assert_eq!(hex::encode(sample), format!("{ENCRYPTED}{}", "aa".repeat(15)));
    }

    /// The block counter overflows without a carry (ISO/IEC 23001-7, 9.3).
    #[test]
    fn the_first_half_of_the_iv_stays() {
        let cipher = Ctr::cenc(&key());
        let mut overflowing = [0; 2 * BLOCK_BYTES];
        cipher.apply(iv("0123456789abcdefffffffffffffffff"), [&mut overflowing[..]]);
        let mut next = [0; BLOCK_BYTES];
        cipher.apply(iv("0123456789abcdef0000000000000000"), [&mut next[..]]);
        assert_eq!(overflowing.split_at(BLOCK_BYTES).1, next);
    }
}

//! The cipher of `cbc1`: AES-128-CBC over all protected ranges of a sample (ISO/IEC 23001-7, 9.4 and 10.2).

use aes::Aes128;
use aes::cipher::{Array, Block, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit};

use crate::content_key::{ContentKey, Iv};

/// The cipher of a track: a sample's chain begins at its IV.
pub struct Cbc1 {
    cipher: Aes128,
}

impl Cbc1 {
    /// A cipher under `key`.
    #[must_use]
    pub fn new(key: &ContentKey) -> Self {
        Self {
            cipher: Aes128::new(&Array(*key.expose())),
        }
    }

    /// Encrypts the protected ranges of one sample in place; a block that is not whole at a range's end stays clear.
    pub fn encrypt<'r>(&self, iv: Iv, ranges: impl IntoIterator<Item = &'r mut [u8]>) {
        let mut chain = cbc::Encryptor::inner_iv_init(self.cipher.clone(), &Array(iv.0));
        for range in ranges {
            chain.encrypt_blocks(blocks(range));
        }
    }

    /// Undoes [`Self::encrypt`].
    pub fn decrypt<'r>(&self, iv: Iv, ranges: impl IntoIterator<Item = &'r mut [u8]>) {
        let mut chain = cbc::Decryptor::inner_iv_init(self.cipher.clone(), &Array(iv.0));
        for range in ranges {
            chain.decrypt_blocks(blocks(range));
        }
    }
}

/// The whole blocks of a range.
fn blocks(range: &mut [u8]) -> &mut [Block<Aes128>] {
    Array::slice_as_chunks_mut(range).0
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    /// NIST SP 800-38A, F.2.1 and F.2.2: CBC-AES128.
    const KEY: &str = "2b7e151628aed2a6abf7158809cf4f3c";
    const IV: &str = "000102030405060708090a0b0c0d0e0f";
    const PLAIN: &str = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51\
                         30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710";
    const ENCRYPTED: &str = "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2\
                             73bed6b8e3c1743b7116e69e222295163ff1caa1681fac09120eca307586e1a7";

    /// The chain goes on from range to range, and what is no whole block at the end stays clear.
    #[test]
    fn a_sample_is_one_chain() {
        let key = ContentKey::new(hex::decode(KEY).unwrap().try_into().unwrap());
        let iv: Iv = IV.parse().unwrap();
        let cipher = Cbc1::new(&key);
        for whole_blocks in 0..=4 {
            let plain = [hex::decode(PLAIN).unwrap(), vec![0xaa; 15]].concat();
            let mut sample = plain.clone();
            let (first, second) = sample.split_at_mut(whole_blocks * 16);
            cipher.encrypt(iv, [first, second]);
            assert_eq!(hex::encode(&sample), format!("{ENCRYPTED}{}", "aa".repeat(15)));
            let (first, second) = sample.split_at_mut(whole_blocks * 16);
            cipher.decrypt(iv, [first, second]);
            assert_eq!(sample, plain);
        }
    }
}

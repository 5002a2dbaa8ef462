//! The cipher of a track, whichever its scheme.

use super::cbc1::Cbc1;
use super::cbcs::Cbcs;
use super::ctr::Ctr;
use super::{Pattern, SampleScheme};
use crate::content_key::{ContentKey, Iv};

/// One of the ciphers of Common Encryption.
pub enum Cipher {
    /// Of `cbcs`: it holds the constant IV.
    Cbcs(Cbcs),
    /// Of `cbc1`.
    Cbc1(Cbc1),
    /// Of `cenc` and `cens`.
    Ctr(Ctr),
}

impl Cipher {
    /// The cipher of `scheme`. Only `cbcs` takes a constant IV, zero where there is none: those of others come with each sample.
    #[must_use]
    pub fn new(scheme: SampleScheme, key: &ContentKey, constant_iv: Option<Iv>, pattern: Pattern) -> Self {
        match scheme {
            SampleScheme::Cbcs => Self::Cbcs(Cbcs::new(key, constant_iv.unwrap_or(Iv([0; 16])), pattern)),
            SampleScheme::Cbc1 => Self::Cbc1(Cbc1::new(key)),
            SampleScheme::Cenc => Self::Ctr(Ctr::cenc(key)),
            SampleScheme::Cens => Self::Ctr(Ctr::cens(key, pattern)),
        }
    }

    /// The pattern.
    #[must_use]
    pub fn pattern(&self) -> Pattern {
        match self {
            Self::Cbcs(cipher) => cipher.pattern(),
            Self::Ctr(cipher) => cipher.pattern(),
            Self::Cbc1(_) => Pattern::ALL,
        }
    }

    /// Encrypts samples in place, each given as its IV and its protected ranges.
    pub fn encrypt<'r, R: Iterator<Item = &'r mut [u8]>>(&self, samples: impl Iterator<Item = (Iv, R)>) {
        match self {
            Self::Cbcs(cipher) => cipher.encrypt(samples.flat_map(|(_, ranges)| ranges)),
            Self::Cbc1(cipher) => samples.for_each(|(iv, ranges)| cipher.encrypt(iv, ranges)),
            Self::Ctr(cipher) => samples.for_each(|(iv, ranges)| cipher.apply(iv, ranges)),
        }
    }

    /// Decrypts the protected ranges of one sample in place.
    pub fn decrypt<'r>(&self, iv: Iv, ranges: impl Iterator<Item = &'r mut [u8]>) {
        match self {
            Self::Cbcs(cipher) => ranges.for_each(|range| cipher.decrypt(range)),
            Self::Cbc1(cipher) => cipher.decrypt(iv, ranges),
            Self::Ctr(cipher) => cipher.apply(iv, ranges),
        }
    }
}

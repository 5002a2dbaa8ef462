//! The ways to protect content: of samples (ISO/IEC 23001-7, 10), of whole segments (RFC 8216bis, 4.4.4.4), or none.

use std::str::FromStr;

use crate::codec::Codec;
use crate::isobmff::FourCc;

/// How content is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Its samples, by Common Encryption.
    Samples(SampleScheme),
    /// Its media segments, as whole files: AES-128 in CBC mode with PKCS #7 padding. Init segments stay clear.
    Segments,
    /// Not at all.
    None,
}

/// A scheme of Common Encryption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleScheme {
    /// CBC over a pattern of blocks, each protected range from a constant IV on (10.4).
    Cbcs,
    /// CTR, an IV a sample (10.1).
    Cenc,
    /// CTR over a pattern of blocks, an IV a sample (10.3).
    Cens,
    /// CBC, an IV a sample (10.2).
    Cbc1,
}

impl Scheme {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Samples(SampleScheme::Cbcs),
        Self::Samples(SampleScheme::Cenc),
        Self::Samples(SampleScheme::Cens),
        Self::Samples(SampleScheme::Cbc1),
        Self::Segments,
        Self::None,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Samples(scheme) => scheme.name(),
            Self::Segments => "aes-128",
            Self::None => "none",
        }
    }
}

impl SampleScheme {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Cbcs, Self::Cenc, Self::Cens, Self::Cbc1];

    /// Its name, which is also its four-character code.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cbcs => "cbcs",
            Self::Cenc => "cenc",
            Self::Cens => "cens",
            Self::Cbc1 => "cbc1",
        }
    }

    /// Its four-character code in `schm`.
    #[must_use]
    pub const fn four_cc(self) -> FourCc {
        FourCc::new(match self {
            Self::Cbcs => b"cbcs",
            Self::Cenc => b"cenc",
            Self::Cens => b"cens",
            Self::Cbc1 => b"cbc1",
        })
    }

    /// The scheme of a four-character code.
    #[must_use]
    pub fn of(four_cc: FourCc) -> Option<Self> {
        Self::ALL.iter().copied().find(|scheme| scheme.four_cc() == four_cc)
    }

    /// Whether it has a pattern; video is protected by one then, and audio by none (10.3 and 10.4).
    #[must_use]
    pub const fn has_pattern(self) -> bool {
        matches!(self, Self::Cbcs | Self::Cens)
    }

    /// Whether samples of `codec` can be protected by it.
    #[must_use]
    pub fn is_defined_for(self, codec: &dyn Codec) -> bool {
        self == Self::Cenc || !codec.cenc_only()
    }

    /// Whether it makes a key stream, so that no IV may come twice under a key.
    #[must_use]
    pub const fn is_ctr(self) -> bool {
        matches!(self, Self::Cenc | Self::Cens)
    }

    /// Whether protected ranges are whole blocks, with the rest clear behind them (9.5.2.2). Ranges of `cbcs` end where the
    /// slice or tile does, and the rest that is left there stays as it is.
    #[must_use]
    pub const fn has_whole_blocks(self) -> bool {
        !matches!(self, Self::Cbcs)
    }

    /// The version of `tenc`: 1 has the pattern (8.2).
    #[must_use]
    pub const fn tenc_version(self) -> u8 {
        if self.has_pattern() { 1 } else { 0 }
    }

    /// Bytes that a sample's IV may have; 0 where it is constant (10).
    #[must_use]
    pub const fn iv_sizes(self) -> &'static [u8] {
        match self {
            Self::Cbcs => &[0],
            Self::Cenc | Self::Cens => &[8, 16],
            Self::Cbc1 => &[16],
        }
    }
}

/// A scheme that is not known.
#[derive(Debug, thiserror::Error)]
#[error("expected cbcs, cenc, cens, cbc1, aes-128 or none")]
pub struct UnknownScheme;

impl FromStr for Scheme {
    type Err = UnknownScheme;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .iter()
            .copied()
            .find(|scheme| scheme.name() == name)
            .ok_or(UnknownScheme)
    }
}

impl serde::Serialize for Scheme {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

//! The dynamic range of video, as playlists name it (RFC 8216bis, 4.4.6.2, `VIDEO-RANGE`).

use super::Codec;
use crate::isobmff::Node;
use crate::isobmff::colr::ColourInformation;

/// Which brightness sample values stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VideoRange {
    /// Standard: BT.709 and others.
    Sdr,
    /// Hybrid log-gamma (ISO/IEC 23091-2, `TransferCharacteristics` 18).
    Hlg,
    /// Perceptual quantization, of HDR10 and others (16).
    Pq,
}

/// The `TransferCharacteristics` that says nothing.
const UNSPECIFIED: u16 = 2;

impl VideoRange {
    /// What a sample entry's `colr` says, or else the codec's own headers; standard where both say nothing.
    #[must_use]
    pub fn of(entry: &Node<'_>, codec: &dyn Codec) -> Self {
        let in_colr = entry
            .children_of(b"colr")
            .find_map(|node| node.parse::<ColourInformation>().ok()?.transfer_characteristics)
            .filter(|transfer| *transfer != UNSPECIFIED);
        match in_colr.or(codec.transfer_characteristics().map(u16::from)) {
            Some(16) => Self::Pq,
            Some(18) => Self::Hlg,
            _ => Self::Sdr,
        }
    }

    /// Its name in playlists.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sdr => "SDR",
            Self::Hlg => "HLG",
            Self::Pq => "PQ",
        }
    }
}

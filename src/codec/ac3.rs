//! AC-3 (ETSI TS 102 366; in MP4: annex F). Whole samples are protected.

use std::sync::Arc;

use super::whole_samples::{Sync, WholeSamples};
use super::{AudioChannels, Codec, OpenError};
use crate::isobmff::dac3::Ac3Specific;
use crate::isobmff::{FourCc, Node};

/// `syncword` (4.4.1.1), of Enhanced AC-3 too (E.1.3.1).
pub(super) const SYNC: Sync = Sync {
    mask: 0xffff,
    word: 0x0b77,
};

/// Opens the codec of an `ac-3` sample entry.
pub(super) fn open(_format: FourCc, entry: &Node<'_>) -> Result<Arc<dyn Codec>, OpenError> {
    let config: Ac3Specific = entry.require(&[b"dac3"])?.parse()?;
    Ok(Arc::new(WholeSamples {
        name: "AC-3",
        rfc6381: "ac-3".into(),
        channels: Some(channels(config.acmod, config.lfeon)),
        sample_rate_hz: sample_rate_hz(config.fscod),
        hls_channels: None,
        channel_configuration: Some(AudioChannels::dolby(config.acmod, config.lfeon, 0, None)),
        sync: Some(SYNC),
    }))
}

/// Main channels of an `acmod` (4.4.2.3), and the low frequency effects channel. Mode 0 is two programs of one channel.
pub(super) fn channels(acmod: u8, lfeon: bool) -> u16 {
    let main = match acmod {
        1 => 1,
        0 | 2 => 2,
        3 | 4 => 3,
        5 | 6 => 4,
        _ => 5,
    };
    main + u16::from(lfeon)
}

/// The rate of an `fscod` (4.4.1.3); `None` where it does not tell.
pub(super) const fn sample_rate_hz(fscod: u8) -> Option<u32> {
    match fscod {
        0 => Some(48_000),
        1 => Some(44_100),
        2 => Some(32_000),
        _ => None,
    }
}

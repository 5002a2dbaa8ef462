//! DTS (ETSI TS 102 114; in MP4: annex E) and DTS-UHD (ETSI TS 103 491; in MP4: annex B). Whole samples are protected.

use std::sync::Arc;

use super::whole_samples::{Sync, WholeSamples};
use super::{Codec, OpenError};
use crate::isobmff::ddts::DtsSpecific;
use crate::isobmff::sample_entry::AudioSampleEntry;
use crate::isobmff::udts::DtsUhdSpecific;
use crate::isobmff::{FourCc, Node};

/// `objectTypeIndication` of DTS in an `mp4a` sample entry (MP4 Registration Authority, object types): core, with a
/// high resolution extension, lossless, and Express.
pub(super) const OBJECT_TYPES: std::ops::RangeInclusive<u8> = CORE..=0xac;
const CORE: u8 = 0xa9;

/// `SYNC` of a core frame (ETSI TS 102 114, 5.3). Streams of other kinds may begin with an extension.
const CORE_SYNC: Sync = Sync {
    mask: 0xffff,
    word: 0x7ffe,
};

/// `ChannelLayout` bits that stand for two channels (ETSI TS 102 114, annex E): L/R, Ls/Rs, Lh/Rh, Lsr/Rsr, Lc/Rc, Lw/Rw, Lss/Rss,
/// Lhs/Rhs and Lhr/Rhr. The others stand for one.
const PAIRS: u16 = 0xae66;

/// Opens the codec of a sample entry with `ddts` in it.
pub(super) fn open(format: FourCc, entry: &Node<'_>) -> Result<Arc<dyn Codec>, OpenError> {
    let config: DtsSpecific = entry.require(&[b"ddts"])?.parse()?;
    Ok(Arc::new(WholeSamples {
        channels: channels(config.channel_layout),
        sync: (format.0 == *b"dtsc").then_some(CORE_SYNC),
        ..named(format.to_string(), config.sampling_frequency_hz)
    }))
}

/// Opens the codec of a sample entry with `udts` in it.
pub(super) fn open_uhd(format: FourCc, entry: &Node<'_>) -> Result<Arc<dyn Codec>, OpenError> {
    let config: DtsUhdSpecific = entry.require(&[b"udts"])?.parse()?;
    Ok(Arc::new(WholeSamples {
        channels: u16::try_from(config.channel_mask.count_ones())
            .ok()
            .filter(|channels| *channels > 0),
        ..named(format.to_string(), config.sample_rate_hz())
    }))
}

/// What an `mp4a` sample entry of one of [`OBJECT_TYPES`] says: there is no other configuration.
pub(super) fn in_mp4a(object_type_indication: u8, fields: &AudioSampleEntry) -> WholeSamples {
    WholeSamples {
        sync: (object_type_indication == CORE).then_some(CORE_SYNC),
        ..named(format!("mp4a.{object_type_indication:02X}"), fields.sample_rate >> 16)
    }
}

fn named(rfc6381: String, sample_rate_hz: u32) -> WholeSamples {
    WholeSamples {
        name: "DTS",
        rfc6381: rfc6381.into(),
        channels: None,
        sample_rate_hz: Some(sample_rate_hz),
        hls_channels: None,
        channel_configuration: None,
        sync: None,
    }
}

/// Channels of a `ChannelLayout`; `None` where it does not tell.
fn channels(layout: u16) -> Option<u16> {
    let channels = layout.count_ones() + (layout & PAIRS).count_ones();
    u16::try_from(channels).ok().filter(|channels| *channels > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isobmff::{TypedBox, test_boxes};

    fn read<T: TypedBox>(hex: &str) -> T {
        test_boxes::parse(hex).expect("a good box")
    }

    #[test]
    fn channels_of_a_layout() {
        // C, L/R, Ls/Rs and LFE of a core of 1,509,750 bit/s.
        let core: DtsSpecific = read("0000bb80 00170976 00170976 18 07 248bed 000f 00");
        assert_eq!(
            (core.sampling_frequency_hz, channels(core.channel_layout)),
            (48_000, Some(6))
        );
        assert_eq!(channels(0x0002), Some(2));
        assert_eq!(channels(0x0001), Some(1));
        // 7.1 with Lss/Rss and Lsr/Rsr.
        assert_eq!(channels(0x084b), Some(8));
        assert_eq!(channels(0xffff), Some(25));
        assert_eq!(channels(0), None);
    }

    /// From Shaka Packager's test of DTS:X, whose mask is 5.1.
    #[test]
    fn a_mask_of_uhd() {
        let uhd: DtsUhdSpecific = read("0120 0000003f 80 00");
        assert_eq!((uhd.channel_mask.count_ones(), uhd.sample_rate_hz()), (6, 48_000));
        assert_eq!(read::<DtsUhdSpecific>("0120 00000003 20").sample_rate_hz(), 88_200);
    }
}

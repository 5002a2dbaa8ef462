//! Enhanced AC-3, with or without joint object coding (ETSI TS 102 366, annexes E and F; ETSI TS 103 420). Whole samples are
//! protected.

use std::sync::Arc;

use super::whole_samples::WholeSamples;
use super::{AudioChannels, Codec, OpenError, ac3};
use crate::isobmff::dec3::{Eac3Specific, Substream};
use crate::isobmff::{FourCc, Node};

/// Opens the codec of an `ec-3` sample entry.
pub(super) fn open(_format: FourCc, entry: &Node<'_>) -> Result<Arc<dyn Codec>, OpenError> {
    let config: Eac3Specific = entry.require(&[b"dec3"])?.parse()?;
    Ok(Arc::new(describe(&config)))
}

fn describe(config: &Eac3Specific) -> WholeSamples {
    // The first independent substream is the main program; others are services beside it.
    let main = config.substreams.first();
    WholeSamples {
        name: "E-AC-3",
        rfc6381: "ec-3".into(),
        channels: main.map(channels),
        sample_rate_hz: main.and_then(|main| ac3::sample_rate_hz(main.fscod)),
        // RFC 8216bis, 4.4.6.1, CHANNELS: the complexity index counts the objects.
        hls_channels: config.joc_complexity.map(|complexity| format!("{complexity}/JOC")),
        channel_configuration: main
            .map(|main| AudioChannels::dolby(main.acmod, main.lfeon, main.chan_loc, config.joc_complexity)),
        sync: Some(ac3::SYNC),
    }
}

/// `chan_loc` bits that stand for two channels (table F.6.1): Lc/Rc, Lrs/Rrs, Lsd/Rsd, Lw/Rw and Lvh/Rvh. The others, Cs, Ts, Cvh
/// and LFE2, stand for one.
const PAIRS: u16 = 1 << 0 | 1 << 1 | 1 << 4 | 1 << 5 | 1 << 6;

#[expect(clippy::cast_possible_truncation, reason = "nine bits are counted")]
fn channels(substream: &Substream) -> u16 {
    let added = substream.chan_loc.count_ones() + (substream.chan_loc & PAIRS).count_ones();
    ac3::channels(substream.acmod, substream.lfeon) + added as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isobmff::test_boxes;

    fn read(hex: &str) -> WholeSamples {
        let config = test_boxes::parse(hex).expect("a good box");
        describe(&config)
    }

    #[test]
    fn substreams_and_objects() {
        // 192 kbit/s, 5.1 of one substream.
        let plain = read("0600200f00");
        assert_eq!((plain.channels, plain.sample_rate_hz), (Some(6), Some(48_000)));
        assert_eq!(plain.hls_channels().as_deref(), Some("6"));
        // 5.1 and a dependent substream with the rear pair: 7.1.
        let rear = read("0600200f0202");
        assert_eq!(rear.channels, Some(8));
        // The same 5.1, flagged for joint object coding of complexity 16.
        let joc = read("0600200f000110");
        assert_eq!(joc.channels, Some(6));
        assert_eq!(joc.hls_channels().as_deref(), Some("16/JOC"));
        // What follows and is no flag is kept.
        assert_eq!(read("0600200f000010").hls_channels().as_deref(), Some("6"));
        // Two programs: the first one is the main one.
        assert_eq!(read("0601200400200f00").channels, Some(2));
    }
}

//! Loudspeakers as a manifest of DASH names them (ISO/IEC 23009-1, 5.8.5.4).

use super::Codec;

/// An `AudioChannelConfiguration`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioChannels {
    /// What the value means.
    pub scheme: &'static str,
    /// Which loudspeakers there are.
    pub value: String,
    /// The complexity index of joint object coding (ETSI TS 103 420), where E-AC-3 has objects.
    pub joc_complexity: Option<u8>,
}

/// `ChannelConfiguration` (ISO/IEC 23091-3, 8.2).
const CICP: &str = "urn:mpeg:mpegB:cicp:ChannelConfiguration";

/// A bit a loudspeaker, as `chanmap` of E-AC-3 (ETSI TS 102 366, table E.1.4, and I.1.2).
const DOLBY: &str = "tag:dolby.com,2014:dash:audio_channel_configuration:2011";

/// A bit a loudspeaker or a pair, as `presentation_channel_mask_v1` of AC-4 (ETSI TS 103 190-2, G.3.1).
const DOLBY_AC4: &str = "tag:dolby.com,2015:dash:audio_channel_configuration:2015";

impl AudioChannels {
    /// That of a codec which says how many channels there are. Of seven and eight, the one or two beyond 5.1 are taken to stand
    /// behind the listener, as they nearly always do. `None` where the number has no usual layout.
    #[must_use]
    pub fn counted(codec: &(impl Codec + ?Sized)) -> Option<Self> {
        let configuration = match codec.channels()? {
            channels @ 1..=6 => channels,
            7 => 11,
            8 => 12,
            _ => return None,
        };
        Some(Self {
            scheme: CICP,
            value: configuration.to_string(),
            joc_complexity: None,
        })
    }

    /// That of AC-3 and E-AC-3, from the channels that `acmod` and `lfeon` name (ETSI TS 102 366, 4.4.2.3) and those that
    /// `chan_loc` adds (table F.6.1).
    pub(super) fn dolby(acmod: u8, lfeon: bool, chan_loc: u16, joc_complexity: Option<u8>) -> Self {
        const LFE: u16 = 1;
        const LFE2: u16 = 1 << 1;
        let main = match acmod {
            1 => 0x4000,
            0 | 2 => 0xa000,
            3 => 0xe000,
            4 => 0xa100,
            5 => 0xe100,
            6 => 0xb800,
            _ => 0xf800,
        };
        // Lc/Rc to Cvh are in the same order; LFE2 comes behind a pair that `chan_loc` does not have.
        let added = (0..8).filter(|bit| chan_loc >> bit & 1 == 1);
        let added = added.fold(0, |mask, bit| mask | 0x0400 >> bit);
        let low = if lfeon { LFE } else { 0 } | if chan_loc >> 8 & 1 == 1 { LFE2 } else { 0 };
        Self {
            scheme: DOLBY,
            value: format!("{:04X}", main | added | low),
            joc_complexity,
        }
    }

    /// That of AC-4.
    pub(super) fn dolby_ac4(channel_mask: u32) -> Self {
        Self {
            scheme: DOLBY_AC4,
            value: format!("{channel_mask:06X}"),
            joc_complexity: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::AudioChannels;

    #[test]
    fn loudspeakers_of_dolby() {
        let value = |acmod, lfeon, chan_loc| AudioChannels::dolby(acmod, lfeon, chan_loc, None).value;
        assert_eq!(value(2, false, 0), "A000", "stereo");
        assert_eq!(value(7, true, 0), "F801", "5.1, the example of ETSI TS 102 366, I.1.2");
        assert_eq!(value(7, true, 1 << 1), "FA01", "7.1: Lrs/Rrs are bit 6 of chanmap");
        assert_eq!(value(1, true, 1 << 8), "4003");
        assert_eq!(AudioChannels::dolby_ac4(0x47).value, "000047", "5.1");
    }
}

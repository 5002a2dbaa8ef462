//! Captions inside of video: CEA-608 and CEA-708, as `user_data_registered_itu_t_t35` of a picture carries them
//! (ATSC A/53 part 4, 6.2.3; ANSI/CTA-708-E, 4.4 for `cc_data()`).
//!
//! They are data beside the slices and stay clear; playlists say which of them there are.

/// `itu_t_t35_country_code` of the United States, `itu_t_t35_provider_code` of ATSC, `user_identifier` and
/// `user_data_type_code` of captions.
const ATSC_CC_DATA: &[u8] = b"\xb5\x00\x31GA94\x03";

/// Bytes that captions of one picture take at most: `cc_data()` has 31 entries of three bytes.
pub const MAX_BYTES: usize = ATSC_CC_DATA.len() + 2 + 31 * 3;

/// Which captions a video carries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Captions {
    /// CEA-608: bit 0 is `CC1`.
    channels: u8,
    /// CEA-708: bit 1 is `SERVICE1`.
    services: u64,
}

impl Captions {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// Whether there are any of CEA-708.
    #[must_use]
    pub const fn has_services(self) -> bool {
        self.services != 0
    }

    /// Those of two videos, or of two parts of one.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            channels: self.channels | other.channels,
            services: self.services | other.services,
        }
    }

    /// Whether something is the `INSTREAM-ID` of any captions.
    #[must_use]
    pub fn is_instream_id(text: &str) -> bool {
        let all = Self {
            channels: u8::MAX,
            services: u64::MAX,
        };
        all.instream_ids().any(|id| id == text)
    }

    /// As `INSTREAM-ID` names them (RFC 8216bis, 4.4.6.1): `CC1` to `CC4`, then `SERVICE1` to `SERVICE63`.
    pub fn instream_ids(self) -> impl Iterator<Item = String> {
        let channels = (0..4).filter(move |bit| self.channels >> bit & 1 == 1);
        let services = (1..64).filter(move |number| self.services >> number & 1 == 1);
        let channels = channels.map(|bit| format!("CC{}", bit + 1));
        channels.chain(services.map(|number| format!("SERVICE{number}")))
    }

    /// Adds the captions in `message`, a `user_data_registered_itu_t_t35` from its country code on; of others there are
    /// none in it.
    pub fn read(&mut self, message: &[u8]) {
        let Some(cc_data) = message.strip_prefix(ATSC_CC_DATA) else {
            return;
        };
        let [flags, _em_data, entries @ ..] = cc_data else {
            return;
        };
        let process_cc_data_flag = flags & 0x40 != 0;
        if !process_cc_data_flag {
            return;
        }
        let cc_count = usize::from(flags & 0x1f);
        // A packet that goes on in the next picture is left there: each begins with the blocks of the services that it has.
        let mut at = InPacket::Unknown;
        for entry in entries.chunks_exact(3).take(cc_count) {
            let [header, first, second] = entry else { continue };
            let cc_valid = header & 4 != 0;
            match (cc_valid, header & 3) {
                (false, _) => {}
                (true, 3) => at = self.read_708(InPacket::BlockHeader, *second), // Behind the packet's header.
                (true, 2) => {
                    at = self.read_708(at, *first);
                    at = self.read_708(at, *second);
                }
                (true, field) => self.read_608(field, *first, *second),
            }
        }
    }

    /// A byte of a caption channel packet (ANSI/CTA-708-E, 6.2), and what the next one is.
    fn read_708(&mut self, at: InPacket, byte: u8) -> InPacket {
        match at {
            InPacket::Unknown => InPacket::Unknown,
            InPacket::BlockHeader => match (byte >> 5, byte & 0x1f) {
                (_, 0) => InPacket::Unknown, // A null block, behind which there is nothing.
                (7, block_size) => InPacket::ExtendedHeader { block_size },
                (service_number, block_size) => self.add_service(service_number, block_size),
            },
            InPacket::ExtendedHeader { block_size } => self.add_service(byte & 0x3f, block_size),
            InPacket::Block { left: 0 | 1 } => InPacket::BlockHeader,
            InPacket::Block { left } => InPacket::Block { left: left - 1 },
        }
    }

    const fn add_service(&mut self, number: u8, block_size: u8) -> InPacket {
        self.services |= 1 << number & !1;
        InPacket::Block { left: block_size }
    }

    /// A pair of bytes of a field (ANSI/CTA-608-E, 8): only the commands that begin captions say which channel has any. Text
    /// channels and extended data (XDS) have others.
    fn read_608(&mut self, field: u8, first: u8, second: u8) {
        // The highest bit is odd parity.
        let (first, second) = (first & 0x7f, second & 0x7f);
        let is_miscellaneous = matches!(first, 0x14 | 0x15 | 0x1c | 0x1d);
        // Resume caption loading, roll-up of two to four rows, resume direct captioning.
        let begins_captions = matches!(second, 0x20 | 0x25..=0x27 | 0x29);
        if is_miscellaneous && begins_captions {
            let second_channel = first >> 3 & 1;
            self.channels |= 1 << (2 * field + second_channel);
        }
    }
}

/// What the next byte of a caption channel packet is.
#[derive(Clone, Copy)]
enum InPacket {
    /// Of a packet that began elsewhere, or behind its last block.
    Unknown,
    /// `service_number` and `block_size`.
    BlockHeader,
    /// `extended_service_number`.
    ExtendedHeader { block_size: u8 },
    /// Captions.
    Block { left: u8 },
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    /// The captions in `cc_data()` of these entries.
    fn read(entries: &[[u8; 3]]) -> Vec<String> {
        let count = u8::try_from(entries.len()).unwrap();
        let flags = [0xc0 | count, 0xff];
        let message = [ATSC_CC_DATA, &flags, entries.as_flattened(), &[0xff]].concat();
        let mut captions = Captions::default();
        captions.read(&message);
        captions.instream_ids().collect()
    }

    const fn with_parity(byte: u8) -> u8 {
        byte | if byte.count_ones().is_multiple_of(2) { 0x80 } else { 0 }
    }

    #[test]
    fn commands_that_begin_captions_say_their_channel() {
        for (field, first, second, expected) in [
            (0, 0x14, 0x20, "CC1"),
            (0, 0x1c, 0x25, "CC2"),
            (1, 0x15, 0x29, "CC3"),
            (1, 0x1d, 0x27, "CC4"),
        ] {
            let entry = [0xfc | field, with_parity(first), with_parity(second)];
            assert_eq!(read(&[entry]), [expected]);
            let invalid = [0xf8 | field, with_parity(first), with_parity(second)];
            assert_eq!(read(&[invalid]), [""; 0], "cc_valid is 0");
        }
    }

    #[test]
    fn padding_text_and_extended_data_are_no_captions() {
        let text_restart = [0xfc, with_parity(0x14), with_parity(0x2a)];
        let erase_displayed_memory = [0xfc, with_parity(0x14), with_parity(0x2c)];
        let extended_data = [0xfd, with_parity(0x01), with_parity(0x03)];
        let letters = [0xfc, with_parity(b'a'), with_parity(b' ')];
        let padding = [0xfc, 0x80, 0x80];
        assert_eq!(
            read(&[text_restart, erase_displayed_memory, extended_data, letters, padding]),
            [""; 0]
        );
    }

    #[test]
    fn services_are_those_of_the_packets_blocks() {
        // Service 1 with two bytes, service 2 with three, extended service 63 with one, and a null block.
        let packet = [
            [0xff, 0x06, 1 << 5 | 2],
            [0xfe, b'a', b'b'],
            [0xfe, 2 << 5 | 3, b'a'],
            [0xfe, b'b', b'c'],
            [0xfe, 7 << 5 | 1, 63],
            [0xfe, b'd', 0],
            [0xfe, 3 << 5 | 1, b'x'],
        ];
        assert_eq!(read(&packet), ["SERVICE1", "SERVICE2", "SERVICE63"]);
        assert_eq!(read(&packet[1..]), [""; 0], "where the packet begins is not known");
        assert_eq!(read(&[[0xff, 0x02, 0]]), [""; 0], "a packet of a null block");
        let invalid = [0xfb, 0x06, 1 << 5 | 2];
        assert_eq!(read(&[invalid]), [""; 0]);
    }

    #[test]
    fn other_messages_and_those_that_end_early_have_none() {
        let cc = [0xfc, 0x94, 0x20];
        let whole = [ATSC_CC_DATA, &[0xc1, 0xff], &cc].concat();
        for end in 0..whole.len() {
            let mut captions = Captions::default();
            captions.read(&whole[..end]);
            assert!(captions.is_empty(), "{end} bytes");
        }
        let mut captions = Captions::default();
        captions.read(&[&b"\xb5\x00\x31DTG1\x03"[..], &[0xc1, 0xff], &cc].concat());
        captions.read(&[ATSC_CC_DATA, &[0x81, 0xff], &cc].concat());
        captions.read(&[ATSC_CC_DATA, &[0xc0, 0xff], &cc].concat());
        assert!(
            captions.is_empty(),
            "another identifier, no process_cc_data_flag, no entries"
        );
        captions.read(&whole);
        assert_eq!(captions.instream_ids().collect::<Vec<_>>(), ["CC1"]);
    }
}

//! Supplemental enhancement information of H.264 and H.265, as far as playlists tell of it: captions
//! (ISO/IEC 14496-10, 7.3.2.3 and D.1.6; ISO/IEC 23008-2, 7.3.2.4 and D.2.6).

use super::bit_reader::{BitFault, BitReader};
use super::captions::{self, Captions};
use super::nal_units::NalUnits;

/// `payloadType` of `user_data_registered_itu_t_t35()`.
const USER_DATA_REGISTERED_ITU_T_T35: u32 = 4;

/// Adds the captions in those of `nals` that `is_sei` knows by their first byte; headers have `header_bytes` bytes. What can't be
/// read has none: players skip it too.
pub fn find_captions(nals: NalUnits<'_>, header_bytes: usize, is_sei: impl Fn(u8) -> bool, captions: &mut Captions) {
    for nal in nals.map_while(Result::ok) {
        if nal.bytes.first().is_some_and(|header| is_sei(*header)) {
            let mut bits = BitReader::nal_unit(nal.bytes);
            // The last byte holds the trailing bits alone, and what stands behind the last message ends in a fault.
            let _ = read(&mut bits, header_bytes, captions);
        }
    }
}

fn read(bits: &mut BitReader<'_>, header_bytes: usize, captions: &mut Captions) -> Result<(), BitFault> {
    for _ in 0..header_bytes {
        bits.u(8)?;
    }
    loop {
        let payload_type = number(bits)?;
        let payload_size = number(bits)?;
        let mut message = [0; captions::MAX_BYTES];
        let mut length = 0;
        for _ in 0..payload_size {
            let [byte, ..] = bits.u(8)?.to_le_bytes();
            if let Some(place) = message.get_mut(length) {
                *place = byte;
                length += 1;
            }
        }
        if payload_type == USER_DATA_REGISTERED_ITU_T_T35 {
            captions.read(message.get(..length).unwrap_or_default());
        }
    }
}

/// A number in bytes that add up, of which the last is not 255.
fn number(bits: &mut BitReader<'_>) -> Result<u32, BitFault> {
    let mut number = 0_u32;
    loop {
        let byte = bits.u(8)?;
        number = number.saturating_add(byte);
        if byte != 0xff {
            return Ok(number);
        }
    }
}

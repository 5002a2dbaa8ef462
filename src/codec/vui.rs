//! The start of `vui_parameters()`, which H.264 (ISO/IEC 14496-10, E.1.1) and H.265 (ITU-T H.265, E.2.1) have in common.

use super::bit_reader::{BitFault, BitReader};

/// `transfer_characteristics` of a sequence parameter set, from its `vui_parameters_present_flag` on; `None` where it does not
/// say them.
///
/// No slice depends on it, so a VUI that breaks off is no error here.
#[must_use]
pub fn transfer_characteristics(bits: &BitReader<'_>) -> Option<u8> {
    let mut bits = bits.clone();
    let vui_parameters_present_flag = bits.flag().ok()?;
    if vui_parameters_present_flag {
        read_colours(&mut bits).ok()?
    } else {
        None
    }
}

/// Reads to the end of the colour description: its `transfer_characteristics`.
///
/// # Errors
/// [`BitFault`] where it ends early.
pub fn read_colours(bits: &mut BitReader<'_>) -> Result<Option<u8>, BitFault> {
    /// `aspect_ratio_idc` where the ratio follows (table E-1).
    const EXTENDED_SAR: u32 = 255;

    let aspect_ratio_info_present_flag = bits.flag()?;
    if aspect_ratio_info_present_flag && bits.u(8)? == EXTENDED_SAR {
        let _sar_width_and_height = bits.u(32)?;
    }
    let overscan_info_present_flag = bits.flag()?;
    if overscan_info_present_flag {
        let _overscan_appropriate_flag = bits.flag()?;
    }
    let video_signal_type_present_flag = bits.flag()?;
    if video_signal_type_present_flag {
        let _video_format_and_full_range_flag = bits.u(4)?;
        let colour_description_present_flag = bits.flag()?;
        if colour_description_present_flag {
            let [_, _colour_primaries, transfer_characteristics, _matrix_coefficients] = bits.u(24)?.to_be_bytes();
            return Ok(Some(transfer_characteristics));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::bit_writer::BitWriter;

    #[test]
    fn what_is_optional_stands_in_front() {
        for present in [false, true] {
            let mut bits = BitWriter::default();
            bits.flag(true).flag(present);
            if present {
                bits.u(8, 255).u(16, 4).u(16, 3);
            }
            bits.flag(present);
            if present {
                bits.flag(true);
            }
            bits.flag(true).u(3, 5).flag(false).flag(true).u(8, 9).u(8, 18);
            let cut = bits.bytes();
            assert_eq!(transfer_characteristics(&BitReader::plain(&cut)), None, "it breaks off");
            let bytes = bits.u(8, 9).bytes();
            assert_eq!(transfer_characteristics(&BitReader::plain(&bytes)), Some(18));
        }
        assert_eq!(transfer_characteristics(&BitReader::plain(&[0])), None, "no VUI");
        assert_eq!(
            transfer_characteristics(&BitReader::plain(&[0b1000_0000])),
            None,
            "no colours"
        );
        assert_eq!(
            transfer_characteristics(&BitReader::plain(&[0b1001_1010, 0])),
            None,
            "no colour description"
        );
    }
}

//! AC-4 (ETSI TS 103 190-1 and -2; in MP4: annex E of -2). Whole samples are protected, as ISO/IEC 23001-7 has it for all that is
//! no video.

use std::sync::Arc;

use super::bit_reader::{BitFault, BitReader};
use super::whole_samples::WholeSamples;
use super::{AudioChannels, Codec, CodecError, OpenError};
use crate::isobmff::dac4::Ac4Specific;
use crate::isobmff::{FourCc, Node};

const NAME: &str = "AC-4";

/// `presentation_channel_mask_v1` bits that stand for two channels (E.10.14): L/R, Ls/Rs, Lb/Rb, Tfl/Tfr, Tbl/Tbr, Tl/Tr, Tsl/Tsr,
/// Bfl/Bfr, Lscr/Rscr, Lw/Rw and Vhl/Vhr. The others stand for one.
const PAIRS: u32 = 0x7_21bd;

/// The bits of [`PAIRS`] and of single loudspeakers.
const LOUDSPEAKERS: u32 = 0x7_ffff;

/// Opens the codec of an `ac-4` sample entry.
pub(super) fn open(_format: FourCc, entry: &Node<'_>) -> Result<Arc<dyn Codec>, OpenError> {
    let config: Ac4Specific = entry.require(&[b"dac4"])?.parse()?;
    Ok(Arc::new(describe(&config)?))
}

fn describe(config: &Ac4Specific) -> Result<WholeSamples, CodecError> {
    if config.ac4_dsi_version != 1 {
        return Err(CodecError::Unsupported {
            codec: NAME,
            feature: format!(
                "'dac4' of version {} rather than 1 (ETSI TS 103 190-2, E.6)",
                config.ac4_dsi_version
            ),
        });
    }
    let main = main_presentation(config).map_err(|fault| fault.malformed(NAME, "dac4", 0))?;
    let (bitstream, version, level) = (config.bitstream_version, main.version, main.mdcompat);
    Ok(WholeSamples {
        name: NAME,
        // E.13.
        rfc6381: format!("ac-4.{bitstream:02X}.{version:02X}.{level:02X}").into(),
        channels: main.channel_mask.map(count),
        sample_rate_hz: Some(if config.fs_index == 1 { 48_000 } else { 44_100 }),
        hls_channels: None,
        channel_configuration: main.channel_mask.map(AudioChannels::dolby_ac4),
        sync: None,
    })
}

#[expect(clippy::cast_possible_truncation, reason = "19 bits are counted")]
const fn count(channel_mask: u32) -> u16 {
    ((channel_mask & LOUDSPEAKERS).count_ones() + (channel_mask & PAIRS).count_ones()) as u16
}

/// What can be played of a stream.
struct Presentation {
    /// `presentation_version`; 2 for immersive stereo.
    version: u32,
    /// `mdcompat`: the decoder that it takes.
    mdcompat: u32,
    /// `presentation_channel_mask_v1`, where it is made of channels.
    channel_mask: Option<u32>,
}

/// The presentation that every decoder of the stream can play, which is what `CODECS` names (E.13): the first of the lowest
/// `mdcompat` in `ac4_dsi_v1()` (E.6).
fn main_presentation(config: &Ac4Specific) -> Result<Presentation, BitFault> {
    let mut bits = BitReader::plain(config.payload());
    let _head = bits.u(24)?;
    if config.bitstream_version > 1 {
        skip_program(&mut bits)?;
    }
    // ac4_bitrate_dsi() (E.7).
    let _bit_rate_mode = bits.u(2)?;
    let (_bit_rate, _bit_rate_precision) = (bits.u(32)?, bits.u(32)?);
    bits.byte_align();

    let mut main: Option<Presentation> = None;
    for _ in 0..config.n_presentations {
        let presentation = read_presentation(&mut bits)?;
        if main.as_ref().is_none_or(|main| presentation.mdcompat < main.mdcompat) {
            main = Some(presentation);
        }
    }
    main.ok_or_else(|| bits.invalid("n_presentations is 0, expected something to play"))
}

/// `short_program_id` and `program_uuid`.
fn skip_program(bits: &mut BitReader<'_>) -> Result<(), BitFault> {
    let has_id = bits.flag()?;
    if has_id {
        let _short_program_id = bits.u(16)?;
        let has_uuid = bits.flag()?;
        for _ in 0..if has_uuid { 4 } else { 0 } {
            let _program_uuid = bits.u(32)?;
        }
    }
    Ok(())
}

/// A presentation with its version and size in front, to its end.
fn read_presentation(bits: &mut BitReader<'_>) -> Result<Presentation, BitFault> {
    /// `presentation_config_v1` of a presentation of metadata alone.
    const METADATA_ALONE: u32 = 6;

    let version = bits.u(8)?;
    let mut pres_bytes = bits.u(8)?;
    if pres_bytes == 255 {
        pres_bytes += bits.u(16)?;
    }
    let mut body = bits.clone();
    for _ in 0..pres_bytes {
        bits.u(8)?;
    }
    let mut presentation = Presentation {
        version,
        mdcompat: 0,
        channel_mask: None,
    };
    if body.u(5)? != METADATA_ALONE {
        presentation.mdcompat = body.u(3)?;
        // ac4_presentation_v1_dsi() (E.10); version 0 has other fields from here on.
        if version > 0 {
            presentation.channel_mask = read_channel_mask(&mut body)?;
        }
    }
    Ok(presentation)
}

/// `ac4_presentation_v1_dsi()` behind `mdcompat`, up to the mask.
fn read_channel_mask(bits: &mut BitReader<'_>) -> Result<Option<u32>, BitFault> {
    let has_id = bits.flag()?;
    if has_id {
        let _presentation_id = bits.u(5)?;
    }
    let _frame_rate_multiply_and_fraction = bits.u(4)?;
    let (_presentation_emdf_version, _presentation_key_id) = (bits.u(5)?, bits.u(10)?);
    let is_channel_coded = bits.flag()?;
    if !is_channel_coded {
        return Ok(None);
    }
    let mode = bits.u(5)?;
    // 7.0.4 to 9.1.4, of which some channels may be missing.
    if (11..=14).contains(&mode) {
        let _back_and_top_channel_pairs = bits.u(3)?;
    }
    Ok(Some(bits.u(24)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isobmff::{Reader, TypedBox as _, test_boxes};

    /// Up to its one presentation.
    const HEAD: &str = "20a401 400000000000000000";

    fn read(hex: &str) -> Result<WholeSamples, String> {
        let config = test_boxes::parse(hex).expect("long enough");
        describe(&config).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn assert_is(hex: &str, codecs: &str, channels: Option<u16>) {
        let read = read(hex).map(|ac4| (ac4.rfc6381(), ac4.channels, ac4.sample_rate_hz));
        assert_eq!(read, Ok((codecs.to_owned(), channels, Some(48_000))));
    }

    /// Boxes that Dolby's own muxer writes, stereo of 25 frames a second and 5.1.
    #[test]
    fn boxes_from_the_field() {
        let stereo = "20a401400000001fffffffe0 010f f880000042000002501000000300 80";
        assert_is(stereo, "ac-4.02.01.00", Some(2));
        let surround = "20ba01400000001fffffffe0 010f f98000004800008e501000008f00 80";
        assert_is(surround, "ac-4.02.01.01", Some(6));
        // Immersive stereo is version 2 of a presentation (E.10.1).
        assert_is(&stereo.replacen("010f", "020f", 1), "ac-4.02.02.00", Some(2));
    }

    #[test]
    fn what_is_not_made_of_channels_says_none() {
        // Metadata alone, a presentation of version 0, and one of objects.
        assert_is(&format!("{HEAD} 01 02 3000"), "ac-4.02.01.00", None);
        assert_is(&format!("{HEAD} 00 02 0b00"), "ac-4.02.00.03", None);
        assert_is(&format!("{HEAD} 01 05 fb00000000"), "ac-4.02.01.03", None);
    }

    #[test]
    fn the_lowest_of_several_presentations_is_named() {
        // 5.1 of level 1 in 256 bytes, and stereo of level 0; the program has a UUID.
        let head = format!("20a402 800040 {}", "00".repeat(24));
        let surround = format!("01 ff 0001 f9 8000004800008e {}", "00".repeat(248));
        let stereo = "01 08 f880000042000002";
        assert_is(&format!("{head} {surround} {stereo}"), "ac-4.02.01.00", Some(2));
    }

    #[test]
    fn others_are_named_and_damage_is_located() {
        let read = |hex: &str| read(hex).map(|_| ());
        let error = "AC-4: 'dac4' of version 0 rather than 1 (ETSI TS 103 190-2, E.6) is not supported yet";
        assert_eq!(read("00a401"), Err(error.to_owned()));
        let error = "AC-4: n_presentations is 0, expected something to play, at byte 11 of the dac4";
        assert_eq!(read(&HEAD.replace("a401", "a400")), Err(error.to_owned()));
        let error = "AC-4: ends too early, at byte 4 of the dac4";
        assert_eq!(read("20a40140"), Err(error.to_owned()));
        let error = "AC-4: ends too early, at byte 15 of the dac4";
        assert_eq!(read(&format!("{HEAD} 01 02 30")), Err(error.to_owned()));
    }

    proptest::proptest! {
        #[test]
        fn no_box_panics(payload in proptest::collection::vec(proptest::num::u8::ANY, 3..64)) {
            let config = Ac4Specific::parse(&mut Reader::new(&payload)).expect("long enough");
            let _ = describe(&config);
        }
    }
}

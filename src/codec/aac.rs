//! AAC and HE-AAC (ISO/IEC 14496-3, subpart 4; in MP4: ISO/IEC 14496-14), and xHE-AAC (ISO/IEC 23003-3). Whole samples are
//! protected.

use super::bit_reader::{BitFault, BitReader};
use super::{Codec, CodecError, SampleScanner, usac};
use crate::isobmff::esds::ElementaryStreamDescriptor;

const NAME: &str = "AAC";

/// `objectTypeIndication` (ISO/IEC 14496-1, table 5).
mod object_type_indication {
    /// MPEG-4 audio.
    pub const MPEG4_AUDIO: u8 = 0x40;
    /// MPEG-2 AAC Main.
    pub const MPEG2_AAC_MAIN: u8 = 0x66;
    /// MPEG-2 AAC Scalable Sampling Rate; Low Complexity is between.
    pub const MPEG2_AAC_SSR: u8 = 0x68;
}

/// `id_syn_ele` of the element that ends an AAC frame (ISO/IEC 14496-3, table 4.85).
const ID_END: u8 = 7;

/// `audioObjectType` (ISO/IEC 14496-3, table 1.17).
mod audio_object_type {
    /// AAC Main; the first of four of one syntax: Main, LC, SSR and LTP.
    pub const AAC_MAIN: u8 = 1;
    /// AAC Long Term Prediction, the last of them.
    pub const AAC_LTP: u8 = 4;
    /// Spectral Band Replication: HE-AAC.
    pub const SBR: u8 = 5;
    /// Parametric Stereo: HE-AAC v2.
    pub const PS: u8 = 29;
    /// Unified speech and audio coding: xHE-AAC.
    pub const USAC: u8 = 42;
}

/// An AAC track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aac {
    object_type_indication: u8,
    /// `None` where MPEG-2 AAC carries an ADIF header in its place, or nothing.
    config: Option<AudioSpecificConfig>,
}

impl Aac {
    /// From the `esds` of an `mp4a` sample entry.
    ///
    /// # Errors
    /// [`CodecError::Unsupported`] for what isn't AAC or HE-AAC, naming it; [`CodecError::Malformed`] for an
    /// `AudioSpecificConfig` that can't be read.
    pub fn open(esds: &ElementaryStreamDescriptor) -> Result<Self, CodecError> {
        use object_type_indication::{MPEG2_AAC_MAIN, MPEG2_AAC_SSR, MPEG4_AUDIO};

        let object_type_indication = esds.object_type_indication();
        let info = esds.decoder_specific_info();
        let config = match (object_type_indication, info) {
            (MPEG4_AUDIO, _) => Some(info.unwrap_or_default()),
            (MPEG2_AAC_MAIN..=MPEG2_AAC_SSR, Some([b'A', b'D', b'I', b'F', ..])) => None,
            (MPEG2_AAC_MAIN..=MPEG2_AAC_SSR, _) => info,
            (other, _) => {
                return Err(CodecError::Unsupported {
                    codec: "MPEG-4 audio",
                    feature: object_type_name(other),
                });
            }
        };
        Ok(Self {
            object_type_indication,
            config: config.map(AudioSpecificConfig::parse).transpose()?,
        })
    }

    fn is_usac(&self) -> bool {
        let object_type = self.config.as_ref().map(|config| config.audio_object_type);
        object_type == Some(audio_object_type::USAC)
    }
}

impl Codec for Aac {
    fn name(&self) -> &'static str {
        if self.is_usac() { "xHE-AAC" } else { NAME }
    }

    /// `mp4a.40.2` and the like (RFC 6381, 3.3): HE-AAC is `mp4a.40.5` and HE-AAC v2 `mp4a.40.29`, whichever
    /// way they are signalled, because players look there for what they need to decode.
    fn rfc6381(&self) -> String {
        let indication = self.object_type_indication;
        match &self.config {
            Some(config) if indication == object_type_indication::MPEG4_AUDIO => {
                format!("mp4a.{indication:02X}.{}", config.signalled_object_type())
            }
            _ => format!("mp4a.{indication:02X}"),
        }
    }

    fn scanner(&self) -> Option<Box<dyn SampleScanner>> {
        None
    }

    fn first_bits_fault(&self, sample: &[u8]) -> Option<&'static str> {
        let first_element = sample.first().map(|byte| byte >> 5);
        (!self.is_usac() && first_element == Some(ID_END)).then_some("an AAC frame that ends before it begins")
    }

    fn channels(&self) -> Option<u16> {
        let config = self.config.as_ref()?;
        // Parametric stereo makes two channels of one.
        Some(if config.ps {
            config.channels.max(2)
        } else {
            config.channels
        })
    }

    fn sample_rate_hz(&self) -> Option<u32> {
        let config = self.config.as_ref()?;
        Some(config.sbr_sampling_frequency_hz.unwrap_or(config.sampling_frequency_hz))
    }
}

/// What else `mp4a` may hold.
fn object_type_name(object_type_indication: u8) -> String {
    let name = match object_type_indication {
        0xa5 => "AC-3",
        0xa6 => "E-AC-3",
        0xad => "Opus",
        0xdd => "Vorbis",
        0xe1 => "QCELP",
        _ => "audio",
    };
    format!("{name} in an 'mp4a' sample entry (objectTypeIndication 0x{object_type_indication:02X})")
}

/// `AudioSpecificConfig()` (ISO/IEC 14496-3, 1.6.2.1), and what its extensions signal.
#[derive(Debug, Clone, PartialEq, Eq)]
struct AudioSpecificConfig {
    /// `audioObjectType` of the core, 1 to 4 or 42.
    audio_object_type: u8,
    /// `samplingFrequency` of the core.
    sampling_frequency_hz: u32,
    /// Channels of the core.
    channels: u16,
    /// `extensionSamplingFrequency`; `Some` where SBR is present.
    sbr_sampling_frequency_hz: Option<u32>,
    /// `psPresentFlag`.
    ps: bool,
}

impl AudioSpecificConfig {
    fn parse(info: &[u8]) -> Result<Self, CodecError> {
        let mut bits = BitReader::plain(info);
        let malformed = |fault: BitFault| fault.malformed(NAME, "AudioSpecificConfig", 0);

        // 1.6.5, 1.6.6: SBR and PS are signalled explicitly, by an object type before the core's...
        let first_object_type = read_audio_object_type(&mut bits).map_err(malformed)?;
        refuse_others(first_object_type)?;
        let sampling_frequency_hz = read_sampling_frequency(&mut bits).map_err(malformed)?;
        let channel_configuration = bits.u(4).map_err(malformed)?;
        if first_object_type == audio_object_type::USAC {
            let output = usac::read_config(&mut bits).map_err(malformed)?;
            return Ok(Self {
                audio_object_type: first_object_type,
                sampling_frequency_hz: output.sampling_frequency_hz,
                channels: output.channels,
                sbr_sampling_frequency_hz: None,
                ps: false,
            });
        }
        let mut audio_object_type = first_object_type;
        let mut sbr_sampling_frequency_hz = None;
        if [audio_object_type::SBR, audio_object_type::PS].contains(&first_object_type) {
            sbr_sampling_frequency_hz = Some(read_sampling_frequency(&mut bits).map_err(malformed)?);
            audio_object_type = read_audio_object_type(&mut bits).map_err(malformed)?;
            refuse_others_as_core(audio_object_type)?;
        }
        let mut config = Self {
            audio_object_type,
            sampling_frequency_hz,
            channels: 0,
            sbr_sampling_frequency_hz,
            ps: first_object_type == audio_object_type::PS,
        };
        config.channels = read_ga_specific_config(&mut bits, channel_configuration).map_err(malformed)?;
        // ... or backward compatibly, behind the core's configuration, where older decoders don't look.
        if config.sbr_sampling_frequency_hz.is_none() {
            config.read_sync_extension(&mut bits).map_err(malformed)?;
        }
        Ok(config)
    }

    /// `syncExtensionType` 0x2b7 (SBR), and 0x548 (PS) within.
    fn read_sync_extension(&mut self, bits: &mut BitReader<'_>) -> Result<(), BitFault> {
        if bits.left_bits() < 16 || bits.u(11)? != 0x2b7 || read_audio_object_type(bits)? != audio_object_type::SBR {
            return Ok(());
        }
        let sbr_present_flag = bits.flag()?;
        if sbr_present_flag {
            self.sbr_sampling_frequency_hz = Some(read_sampling_frequency(bits)?);
            self.ps = bits.left_bits() >= 12 && bits.u(11)? == 0x548 && bits.flag()?;
        }
        Ok(())
    }

    /// The object type that says all a player must know.
    fn signalled_object_type(&self) -> u8 {
        match self.sbr_sampling_frequency_hz {
            Some(_) if self.ps => audio_object_type::PS,
            Some(_) => audio_object_type::SBR,
            None => self.audio_object_type,
        }
    }
}

/// `GetAudioObjectType()` (table 1.16).
fn read_audio_object_type(bits: &mut BitReader<'_>) -> Result<u8, BitFault> {
    let [audio_object_type, ..] = match bits.u(5)? {
        31 => 32 + bits.u(6)?,
        audio_object_type => audio_object_type,
    }
    .to_le_bytes();
    Ok(audio_object_type)
}

fn refuse_others(object_type: u8) -> Result<(), CodecError> {
    match object_type {
        audio_object_type::SBR | audio_object_type::PS | audio_object_type::USAC => Ok(()),
        core => refuse_others_as_core(core),
    }
}

fn refuse_others_as_core(object_type: u8) -> Result<(), CodecError> {
    let name = match object_type {
        audio_object_type::AAC_MAIN..=audio_object_type::AAC_LTP => return Ok(()),
        6 => "AAC Scalable",
        17 => "ER AAC LC",
        19 => "ER AAC LTP",
        20 => "ER AAC Scalable",
        22 => "ER BSAC",
        23 => "AAC-LD",
        32..=34 => "MPEG-1/2 audio",
        36 => "MPEG-4 ALS",
        37 | 38 => "MPEG-4 SLS",
        39 => "AAC-ELD",
        42 => "xHE-AAC",
        _ => "this audio object type",
    };
    Err(CodecError::Unsupported {
        codec: "MPEG-4 audio",
        feature: format!("{name} (AOT {object_type})"),
    })
}

/// `samplingFrequencyIndex` (table 1.18), and `samplingFrequency` where it is the escape value; in Hz.
fn read_sampling_frequency(bits: &mut BitReader<'_>) -> Result<u32, BitFault> {
    const SAMPLING_FREQUENCIES_HZ: [u32; 13] = [
        96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350,
    ];
    let index = bits.u(4)?;
    if index == 15 {
        return bits.u(24);
    }
    match SAMPLING_FREQUENCIES_HZ.get(index as usize) {
        Some(&sampling_frequency_hz) => Ok(sampling_frequency_hz),
        None => Err(bits.invalid(format!("samplingFrequencyIndex is {index}, which is reserved"))),
    }
}

/// `GASpecificConfig()` (4.4.1) of object types 1 to 4; returns the channels.
fn read_ga_specific_config(bits: &mut BitReader<'_>, channel_configuration: u32) -> Result<u16, BitFault> {
    let _frame_length_flag = bits.flag()?;
    let depends_on_core_coder = bits.flag()?;
    if depends_on_core_coder {
        let _core_coder_delay = bits.u(14)?;
    }
    let extension_flag = bits.flag()?;
    // Table 1.19.
    let channels = match channel_configuration {
        0 => read_program_config_element(bits)?,
        1 => 1,
        2 => 2,
        3 => 3,
        4 => 4,
        5 => 5,
        6 => 6,
        11 => 7,
        7 | 12 | 14 => 8,
        13 => 24,
        reserved => return Err(bits.invalid(format!("channelConfiguration is {reserved}, which is reserved"))),
    };
    if extension_flag {
        let _extension_flag_3 = bits.flag()?;
    }
    Ok(channels)
}

/// `program_config_element()` (4.4.1.1): the channels, element by element.
fn read_program_config_element(bits: &mut BitReader<'_>) -> Result<u16, BitFault> {
    let _element_instance_tag = bits.u(4)?;
    let _object_type = bits.u(2)?;
    let _sampling_frequency_index = bits.u(4)?;
    let num_front_channel_elements = bits.u(4)?;
    let num_side_channel_elements = bits.u(4)?;
    let num_back_channel_elements = bits.u(4)?;
    let num_lfe_channel_elements = bits.u(2)?;
    let num_assoc_data_elements = bits.u(3)?;
    let num_valid_cc_elements = bits.u(4)?;
    for mixdown_element_number_bits in [4, 4, 3] {
        // Mono and stereo mixdowns; of the matrix mixdown, its index and pseudo_surround_enable.
        let mixdown_present = bits.flag()?;
        if mixdown_present {
            let _mixdown = bits.u(mixdown_element_number_bits)?;
        }
    }

    let mut channels = 0;
    for _ in 0..num_front_channel_elements + num_side_channel_elements + num_back_channel_elements {
        let element_is_cpe = bits.flag()?;
        let _element_tag_select = bits.u(4)?;
        channels += if element_is_cpe { 2 } else { 1 };
    }
    for _ in 0..num_lfe_channel_elements {
        let _lfe_element_tag_select = bits.u(4)?;
        channels += 1;
    }
    for _ in 0..num_assoc_data_elements {
        let _assoc_data_element_tag_select = bits.u(4)?;
    }
    for _ in 0..num_valid_cc_elements {
        let _cc_element_is_ind_sw = bits.flag()?;
        let _valid_cc_element_tag_select = bits.u(4)?;
    }
    bits.byte_align();
    for _ in 0..bits.u(8)? {
        let _comment_field_data = bits.u(8)?;
    }
    Ok(channels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isobmff::{Reader, TypedBox};

    fn open(object_type_indication: u8, info: &str) -> Result<Aac, CodecError> {
        let info = hex::decode(info.replace(' ', "")).expect("hexadecimal");
        let size = |size: usize| u8::try_from(size).expect("a short descriptor");
        let mut payload = vec![0, 0, 0, 0, 0x03, size(20 + info.len()), 0, 1, 0];
        payload.extend([0x04, size(15 + info.len()), object_type_indication, 0x15]);
        payload.extend([0; 11]);
        payload.extend([0x05, size(info.len())]);
        payload.extend(info);
        let esds = ElementaryStreamDescriptor::parse(&mut Reader::new(&payload)).expect("a valid esds");
        Aac::open(&esds)
    }

    fn summary(object_type_indication: u8, info: &str) -> Result<(String, Option<u16>, Option<u32>), String> {
        let aac = open(object_type_indication, info).map_err(|error| error.to_string())?;
        assert!(aac.scanner().is_none());
        Ok((aac.rfc6381(), aac.channels(), aac.sample_rate_hz()))
    }

    #[track_caller]
    fn assert_is(info: &str, codecs: &str, channels: u16, sample_rate_hz: u32) {
        assert_eq!(
            summary(0x40, info),
            Ok((codecs.to_owned(), Some(channels), Some(sample_rate_hz)))
        );
    }

    #[track_caller]
    fn assert_fails(object_type_indication: u8, info: &str, expected: &str) {
        assert_eq!(summary(object_type_indication, info), Err(expected.to_owned()));
    }

    #[test]
    fn low_complexity() {
        assert_is("1210", "mp4a.40.2", 2, 44_100);
        assert_is("1190", "mp4a.40.2", 2, 48_000);
        assert_is("11b0", "mp4a.40.2", 6, 48_000);
        assert_is("0a10", "mp4a.40.1", 2, 44_100);
        // Sampling frequency 44,056 Hz, explicitly.
        assert_is("17 80 56 0c 10", "mp4a.40.2", 2, 44_056);
    }

    #[test]
    fn ffmpeg_says_explicitly_that_there_is_no_sbr() {
        assert_is("121056e500", "mp4a.40.2", 2, 44_100);
        assert_is("119056e500", "mp4a.40.2", 2, 48_000);
    }

    #[test]
    fn he_aac_explicitly_and_backward_compatibly() {
        assert_is("2b920800", "mp4a.40.5", 2, 44_100);
        assert_is("139056e5a0", "mp4a.40.5", 2, 44_100);
    }

    #[test]
    fn he_aac_v2_makes_stereo_of_mono() {
        assert_is("eb8a0800", "mp4a.40.29", 2, 44_100);
        assert_is("138856e5a54880", "mp4a.40.29", 2, 44_100);
    }

    #[test]
    fn channels_come_from_a_program_config_element() {
        // As ffmpeg writes 2.1 and 6.1.
        assert_is(
            "118004c4010020000d4c61766335392e33372e31303056e500",
            "mp4a.40.2",
            3,
            48_000,
        );
        assert_is(
            "118004c848002000c4400d4c61766335392e33372e31303056e500",
            "mp4a.40.2",
            7,
            48_000,
        );
        // Front SCE and CPE, side CPE, back SCE and one LFE, with mixdowns and a comment.
        let pce = {
            let mut bits = crate::codec::bit_writer::BitWriter::default();
            bits.u(5, 2).u(4, 3).u(4, 0).u(3, 0);
            bits.u(4, 0)
                .u(2, 1)
                .u(4, 3)
                .u(4, 2)
                .u(4, 1)
                .u(4, 1)
                .u(2, 1)
                .u(3, 1)
                .u(4, 1);
            bits.u(5, 0b1_0101).flag(false).u(4, 0b1101);
            bits.u(5, 0)
                .u(5, 0b1_0000)
                .u(5, 0b1_0001)
                .u(5, 1)
                .u(4, 0)
                .u(4, 0)
                .u(5, 0);
            let mut bytes = bits.bytes();
            bytes.extend([2, b'h', b'i', 0x56, 0xe5, 0x00]);
            hex::encode(bytes)
        };
        assert_is(&pce, "mp4a.40.2", 7, 48_000);
    }

    #[test]
    fn mpeg_2_aac() {
        assert_eq!(summary(0x67, "1210"), Ok(("mp4a.67".to_owned(), Some(2), Some(44_100))));
        assert_eq!(summary(0x67, "41444946 00"), Ok(("mp4a.67".to_owned(), None, None)));
    }

    #[test]
    fn xhe_aac() {
        // As encoders write it: 48 kHz, stereo, then UsacConfig() with SBR of half the rate.
        assert_is("f9464362 04", "mp4a.40.42", 2, 48_000);
        let error = "AAC: ends too early, at byte 3 of the AudioSpecificConfig";
        assert_fails(0x40, "f94643", error);
    }

    #[test]
    fn others_are_named() {
        assert_fails(0x40, "b98c00", "MPEG-4 audio: AAC-LD (AOT 23) is not supported yet");
        let error = "MPEG-4 audio: Vorbis in an 'mp4a' sample entry (objectTypeIndication 0xDD) is not supported yet";
        assert_fails(0xdd, "", error);
        let error = "MPEG-4 audio: AC-3 in an 'mp4a' sample entry (objectTypeIndication 0xA5) is not supported yet";
        assert_fails(0xa5, "", error);
    }

    #[test]
    fn damage_is_located() {
        assert_fails(0x40, "", "AAC: ends too early, at byte 0 of the AudioSpecificConfig");
        assert_fails(0x40, "12", "AAC: ends too early, at byte 1 of the AudioSpecificConfig");
        let error = "AAC: samplingFrequencyIndex is 13, which is reserved, at byte 1 of the AudioSpecificConfig";
        assert_fails(0x40, "1690", error);
        let error = "AAC: channelConfiguration is 8, which is reserved, at byte 1 of the AudioSpecificConfig";
        assert_fails(0x40, "1240", error);
    }

    proptest::proptest! {
        #[test]
        fn no_configuration_panics(info in proptest::collection::vec(proptest::num::u8::ANY, 0..64)) {
            let _ = AudioSpecificConfig::parse(&info);
            let _ = ElementaryStreamDescriptor::parse(&mut Reader::new(&info));
        }
    }
}

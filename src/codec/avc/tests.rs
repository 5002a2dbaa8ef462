use proptest::prelude::*;

use super::*;
use crate::codec::bit_writer::{BitWriter, escape};
use crate::codec::test_streams::{Choices, break_up, covers, length_prefixed, sample, scan};
use crate::isobmff::{Reader, TypedBox};

fn config(hex: &str) -> AvcConfiguration {
    let payload = hex::decode(hex.replace(' ', "")).expect("hexadecimal");
    AvcConfiguration::parse(&mut Reader::new(&payload)).expect("a valid avcC")
}

/// A configuration without parameter sets, of `nal_length_size` 1, 2 or 4.
fn empty_config(nal_length_size: usize) -> AvcConfiguration {
    config(&format!("01640028 {:02x} e0 00", 0xfc + nal_length_size - 1))
}

fn scanner(entry: FourCc, config: AvcConfiguration) -> Box<dyn SampleScanner> {
    let avc = Avc::open(entry, config).expect("a valid configuration");
    avc.scanner().expect("slices have clear headers")
}

mod real_streams {
    //! The first bytes of slices that x264 wrote, with the sizes of their headers as Shaka Packager 3.8 found them.

    use super::*;

    struct Stream {
        avcc: &'static str,
        /// What the sequence parameter set says: `chroma_format_idc`, `BitDepthY`, `frame_mbs_only_flag`.
        format: (u8, u8, bool),
        /// Slices, each to four bytes behind its header.
        slices: &'static [&'static str],
    }

    /// Baseline: CAVLC, P slices.
    const BASELINE: Stream = Stream {
        avcc: "0142c00bffe100166742c00bd902c4ec0440000003004000000c83c50a9201000568cb83cb20",
        format: (1, 8, true),
        slices: &["6588845f1088ab83", "419a0025cbe1cc02bd"],
    };
    /// High: explicit weights of eight references.
    const WEIGHTED: Stream = Stream {
        avcc: "0164000bffe100196764000bac56242c4ec044000003000400000300c83c50a62601000668e88e3cb22cfdf8f800",
        format: (1, 8, true),
        slices: &[
            "658882001bfffef6f0fe",
            "419a762275041040b6b6b4439e02a85c0550154055015602a86800045f68510fd4",
        ],
    };
    /// Interlaced, MBAFF frames of four slices, CAVLC, with many references modified and marked.
    const INTERLACED: Stream = Stream {
        avcc: "01640015ffe1001867640015ac761111360220000003002000007d03e285308c01000668d8428f2c8bfdf8f800",
        format: (1, 8, false),
        slices: &["652888082c0b7791f12000", "4129aeab6f4b6b6b6b6b6b6b64a08a1d0b7a2890ff08"],
    };
    /// High 4:2:2 with 10 bits, interlaced.
    const HIGH_422: Stream = Stream {
        avcc: "017a0015ffe1001a677a0015b6cd942cafc4e022000003000200000300643e28532c01000668fba3cb22c0fefafa00",
        format: (2, 10, false),
        slices: &["6588820b3fc9b76d62", "419b6adb4b64a26bff1cb6d7be"],
    };
    /// High 4:4:4 Predictive, with weights of all three components.
    const HIGH_444: Stream = Stream {
        avcc: "01f4000bffe1001967f4000b919b28589d80880000030008000003019078a14cb001000668ebe3c44844fff8f800",
        format: (3, 8, true),
        slices: &[
            "6588840037fffef687f8",
            "419a664ba842105a218d03b06607e01f207801c303b06c023fff6d2381fc",
        ],
    };
    /// Monochrome, with weights that have no chroma.
    const MONOCHROME: Stream = Stream {
        avcc: "0164000bffe100196764000bf3650b13b016c80000030008000003019078a14cb001000668ebe3cb22c0fcf8f800",
        format: (0, 8, true),
        slices: &["658884002bfffef5dbf3", "419b294be1084294878086c04331444b11ff279c9bd4"],
    };
    /// A long group of pictures: its last header holds an emulation prevention byte.
    const ESCAPED: Stream = Stream {
        avcc: "0164000dffe100186764000dac7611109b0110000003001000003e80f142984601000668e8438f2c8bfdf8f800",
        format: (1, 8, true),
        slices: &[
            "6588810019ffccff9e95",
            "419a5d519a81016d6d6ba5a265300000233fbf89a30e",
            "419bfd0f02052dad52d52dada9329800000300282287633fbfa35704",
        ],
    };
    /// High 10, cropped, with HLG in its VUI.
    const HLG: &str =
        "016e000bffe1001c676e000ba6cd9428df93016a122412800000030080000019078a14cb01000668ebe3cb22c0fdfafa00";
    /// The same of fields.
    const HLG_FIELDS: &str =
        "016e0015ffe1001d676e0015a6cd9429bf2602d4244825000003000100000300321f14299601000668fba3cb22c0fdfafa00";
    const STREAMS: [Stream; 7] = [BASELINE, WEIGHTED, INTERLACED, HIGH_422, HIGH_444, MONOCHROME, ESCAPED];

    #[test]
    fn slice_headers_end_where_shaka_packager_found_their_ends() {
        for stream in STREAMS {
            let mut scanner = scanner(AVC1, config(stream.avcc));
            for slice in stream.slices {
                let slice = hex::decode(slice).expect("hexadecimal");
                let clear = u16::try_from(slice.len()).expect("a short slice");
                assert_eq!(
                    scan(&mut *scanner, &sample(&[&slice])),
                    Ok(vec![(clear, 4)]),
                    "{slice:02x?}"
                );
            }
        }
    }

    #[test]
    fn transfer_characteristics_stand_behind_what_slices_depend_on() {
        let transfer = |avcc| {
            Avc::open(AVC1, config(avcc))
                .expect("a valid configuration")
                .transfer_characteristics()
        };
        for stream in STREAMS {
            assert_eq!(transfer(stream.avcc), None, "no colours");
        }
        assert_eq!(transfer(HLG), Some(18));
        assert_eq!(transfer(HLG_FIELDS), Some(18));
    }

    #[test]
    fn only_the_header_is_looked_at() {
        for stream in STREAMS {
            let mut scanner = scanner(AVC1, config(stream.avcc));
            for slice in stream.slices {
                let slice = hex::decode(slice).expect("hexadecimal");
                let (header, _) = slice.split_at(slice.len() - 4);
                let clear = u16::try_from(4 + header.len()).expect("a short slice");
                assert_eq!(scan(&mut *scanner, &sample(&[header])), Ok(vec![(clear, 0)]));
                let (one_byte_less, _) = header.split_at(header.len() - 1);
                assert!(scan(&mut *scanner, &sample(&[one_byte_less])).is_err());
            }
        }
    }

    #[test]
    fn sequence_parameter_sets_and_configurations_agree() {
        for stream in STREAMS {
            let avc = Avc::open(AVC1, config(stream.avcc)).expect("a valid configuration");
            let sps = avc.sps().expect("it is in the configuration");
            assert_eq!(
                (sps.chroma_format_idc, sps.bit_depth_luma, sps.frame_mbs_only_flag),
                stream.format
            );
            if let Some(extension) = avc.config().extension() {
                assert_eq!(
                    (
                        extension.chroma_format,
                        extension.bit_depth_luma,
                        extension.bit_depth_chroma
                    ),
                    (sps.chroma_format_idc, sps.bit_depth_luma, sps.bit_depth_chroma)
                );
            }
        }
    }
}

mod rules {
    //! Which NAL units stay clear, and what is refused; on the smallest of streams.

    use super::*;

    /// Baseline, 4 bits of `frame_num`, order of pictures is the decoding order, 1x1 macroblocks.
    const SPS: [u8; 6] = [0x67, 66, 0, 10, 0b1111_0110, 0b1111_1000];
    /// Every default; no deblocking control.
    const PPS: [u8; 4] = [0x68, 0b1100_1111, 0b0001_1110, 0b0010_0000];
    /// An IDR I slice: `first_mb_in_slice` 0, `slice_type` 7, `frame_num` 0, `idr_pic_id` 0, two flags,
    /// `slice_qp_delta` 0: 17 bits, so that the third byte behind the NAL header is its last.
    const IDR: [u8; 6] = [0x65, 0b1000_1000, 0b1000_0100, 0b1_0101010, 0xaa, 0xbb];

    fn opened(nal_length_size: usize) -> Box<dyn SampleScanner> {
        let mut scanner = scanner(AVC3, empty_config(nal_length_size));
        let parameter_sets = length_prefixed(&[&SPS, &PPS], nal_length_size);
        let clear = u16::try_from(parameter_sets.len()).expect("a short sample");
        assert_eq!(scan(&mut *scanner, &parameter_sets), Ok(vec![(clear, 0)]));
        scanner
    }

    fn error(sample: &[u8]) -> String {
        scan(&mut *opened(4), sample).expect_err("an error").to_string()
    }

    #[test]
    fn a_slice_is_protected_behind_its_header() {
        for nal_length_size in [1, 2, 4] {
            let clear = u16::try_from(nal_length_size).expect("small") + 4;
            let sample = length_prefixed(&[&IDR, &IDR], nal_length_size);
            assert_eq!(
                scan(&mut *opened(nal_length_size), &sample),
                Ok(vec![(clear, 2), (clear, 2)])
            );
        }
    }

    #[test]
    fn other_nal_units_join_the_clear_bytes_around_them() {
        let (aud, sei, zero_length): (&[u8], &[u8], &[u8]) = (&[0x09, 0xf0], &[0x06, 5, 0, 0x80], &[]);
        let sample = sample(&[aud, zero_length, sei, &IDR, sei, &IDR, sei, &[0x0c, 0xff, 0x80]]);
        assert_eq!(
            scan(&mut *opened(4), &sample),
            Ok(vec![(6 + 4 + 8 + 8, 2), (16, 2), (15, 0)])
        );
    }

    #[test]
    fn slices_of_other_layers_and_unspecified_nal_units_stay_clear() {
        for nal_unit_type in (0..32).filter(|kind| !matches!(kind, 1..=5 | 7 | 8)) {
            let nal = [0x60 | nal_unit_type, 0x88, 0x84, 0xaa, 0xbb];
            assert_eq!(
                scan(&mut *opened(4), &sample(&[&nal])),
                Ok(vec![(9, 0)]),
                "{nal_unit_type}"
            );
        }
    }

    #[test]
    fn samples_may_be_empty_or_smaller_than_a_block() {
        assert_eq!(scan(&mut *opened(4), &[]), Ok(vec![(0, 0)]));
        assert_eq!(scan(&mut *opened(4), &[0, 0, 0, 0]), Ok(vec![(4, 0)]));
        let header_alone = IDR.get(..4).expect("four bytes");
        assert_eq!(scan(&mut *opened(4), &sample(&[header_alone])), Ok(vec![(8, 0)]));
    }

    #[test]
    fn maps_are_appended() {
        let mut scanner = opened(4);
        let mut map = SubsampleMap::default();
        for _ in 0..2 {
            scanner
                .scan(&sample(&[&IDR, &[0x06]]), &mut map)
                .expect("a valid sample");
            assert_eq!(map.end_sample().len(), 2);
        }
        assert_eq!(map.entries().len(), 4);
    }

    #[test]
    fn a_parameter_set_replaces_an_earlier_one() {
        // log2_max_frame_num is 16 now: the header grows by 12 bits.
        let mut bits = BitWriter::default();
        bits.u(8, 0x67)
            .u(8, 66)
            .u(8, 0)
            .u(8, 10)
            .ue(0)
            .ue(12)
            .ue(2)
            .ue(0)
            .u(1, 0)
            .ue(0)
            .ue(0)
            .flag(true);
        let sample = sample(&[&bits.trailing_bits().bytes(), &IDR]);
        let clear = u16::try_from(sample.len() - 1).expect("a short sample");
        for entry in [AVC1, AVC3] {
            let mut scanner = scanner(entry, config("01640028 ff e1 0006 67420a0af6f8 01 0004 68cf1e20"));
            assert_eq!(scan(&mut *scanner, &self::sample(&[&IDR])), Ok(vec![(8, 2)]));
            assert_eq!(scan(&mut *scanner, &sample), Ok(vec![(clear, 1)]));
            assert_eq!(scan(&mut *scanner, &self::sample(&[&IDR])), Ok(vec![(9, 1)]));
        }
    }

    #[test]
    fn each_scanner_begins_with_the_sets_of_the_sample_description() {
        let avc = Avc::open(AVC3, empty_config(4)).expect("a valid configuration");
        let mut first = avc.scanner().expect("slices have clear headers");
        assert!(scan(&mut *first, &sample(&[&SPS, &PPS, &IDR])).is_ok());
        let mut second = avc.scanner().expect("slices have clear headers");
        assert!(scan(&mut *second, &sample(&[&IDR])).is_err());
    }

    #[test]
    fn missing_parameter_sets_are_named() {
        assert_eq!(
            scan(&mut *scanner(AVC1, empty_config(4)), &sample(&[&[0x09, 0xf0], &IDR])).map_err(|e| e.to_string()),
            Err(
                "H.264: a slice refers to picture parameter set 0, which neither the sample description \
                 nor a sample since the last sync sample carries, at byte 12 of the sample"
                    .to_owned()
            )
        );
        assert_eq!(
            scan(&mut *scanner(AVC1, empty_config(4)), &sample(&[&PPS, &IDR])).map_err(|e| e.to_string()),
            Err(
                "H.264: a slice refers, by picture parameter set 0, to sequence parameter set 0, \
                 which neither the sample description nor a sample since the last sync sample carries, \
                 at byte 14 of the sample"
                    .to_owned()
            )
        );
    }

    #[test]
    fn damage_is_located() {
        assert_eq!(
            error(&[0, 0, 0, 9, 0x65, 0x88]),
            "H.264: a NAL unit of 9 bytes overruns the sample, where 2 bytes are left, at byte 0 of the sample"
        );
        assert_eq!(
            error(&[0, 0, 0, 1, 0x09, 0, 0]),
            "H.264: 2 bytes are left, fewer than a NAL unit's length field of 4, at byte 5 of the sample"
        );
        assert_eq!(
            error(&sample(&[&[0x65, 0x88]])),
            "H.264: ends too early, at byte 6 of the sample"
        );
        assert_eq!(
            error(&sample(&[&[0xe5, 0x88, 0x84]])),
            "H.264: forbidden_zero_bit is set: the NAL unit is damaged, or not H.264, at byte 4 of the sample"
        );
        assert_eq!(
            error(&sample(&[&[0x65, 0b1000_1011]])),
            "H.264: slice_type is 10, expected at most 9, at byte 5 of the sample"
        );
    }

    #[test]
    fn what_is_not_supported_is_named() {
        assert_eq!(
            error(&sample(&[&[0x62, 0x88]])),
            "H.264: data partitioning (NAL unit types 2 to 4) is not supported yet"
        );
        let error = Avc::open(FourCc::new(b"avc2"), empty_config(4)).expect_err("not supported");
        assert_eq!(error.to_string(), "H.264: sample entry 'avc2' is not supported yet");
    }

    #[test]
    fn a_damaged_configuration_is_located() {
        let error = Avc::open(AVC1, config("01640028 ff e1 0005 67640028ff 00")).expect_err("too short");
        assert_eq!(error.to_string(), "H.264: ends too early, at byte 13 of the avcC");
    }

    #[test]
    fn codecs_strings_spell_the_sample_entry() {
        let avc = |entry| Avc::open(entry, config("0142e00a ff e0 00")).expect("a valid configuration");
        assert_eq!(avc(AVC1).rfc6381(), "avc1.42E00A");
        assert_eq!(avc(AVC3).rfc6381(), "avc3.42E00A");
    }
}

mod generated_streams {
    //! Streams with every syntax element of a slice header, written by other code than reads them.

    use super::*;

    struct SpsChoice {
        separate_colour_plane_flag: bool,
        chroma_format_idc: u32,
        log2_max_frame_num: u32,
        pic_order_cnt_type: u32,
        log2_max_pic_order_cnt_lsb: u32,
        delta_pic_order_always_zero_flag: bool,
        frame_mbs_only_flag: bool,
        pic_size_in_map_units: u32,
    }

    fn scaling_list(choices: &mut Choices, bits: &mut BitWriter, size: u32) {
        let (mut last_scale, mut next_scale) = (8, 8);
        for _ in 0..size {
            if next_scale != 0 {
                let delta_scale = choices.signed(127);
                bits.se(delta_scale);
                next_scale = (last_scale + delta_scale + 256) % 256;
            }
            last_scale = if next_scale == 0 { last_scale } else { next_scale };
        }
    }

    fn sps(choices: &mut Choices) -> (Vec<u8>, SpsChoice) {
        let mut bits = BitWriter::default();
        let high = choices.flag();
        bits.u(8, 0x67).u(8, if high { 244 } else { 88 }).u(8, 0).u(8, 51).ue(0);
        let mut chroma_format_idc = 1;
        let mut separate_colour_plane_flag = false;
        if high {
            chroma_format_idc = choices.up_to(3);
            bits.ue(chroma_format_idc);
            if chroma_format_idc == 3 {
                separate_colour_plane_flag = choices.flag();
                bits.flag(separate_colour_plane_flag);
            }
            bits.ue(choices.up_to(6)).ue(choices.up_to(6)).flag(choices.flag());
            let seq_scaling_matrix_present_flag = choices.flag();
            bits.flag(seq_scaling_matrix_present_flag);
            if seq_scaling_matrix_present_flag {
                for list in 0..if chroma_format_idc == 3 { 12 } else { 8 } {
                    let present = choices.flag();
                    bits.flag(present);
                    if present {
                        scaling_list(choices, &mut bits, if list < 6 { 16 } else { 64 });
                    }
                }
            }
        }
        let log2_max_frame_num = 4 + choices.up_to(12);
        let pic_order_cnt_type = choices.up_to(2);
        bits.ue(log2_max_frame_num - 4).ue(pic_order_cnt_type);
        let log2_max_pic_order_cnt_lsb = 4 + choices.up_to(12);
        let delta_pic_order_always_zero_flag = choices.flag();
        match pic_order_cnt_type {
            0 => {
                bits.ue(log2_max_pic_order_cnt_lsb - 4);
            }
            1 => {
                let num_ref_frames_in_pic_order_cnt_cycle = choices.up_to(255);
                bits.flag(delta_pic_order_always_zero_flag)
                    .se(choices.signed(9))
                    .se(choices.signed(9));
                bits.ue(num_ref_frames_in_pic_order_cnt_cycle);
                for _ in 0..num_ref_frames_in_pic_order_cnt_cycle {
                    bits.se(choices.signed(9));
                }
            }
            _ => {}
        }
        let (width_minus1, height_minus1) = (choices.up_to(19), choices.up_to(19));
        let frame_mbs_only_flag = choices.flag();
        bits.ue(16)
            .flag(false)
            .ue(width_minus1)
            .ue(height_minus1)
            .flag(frame_mbs_only_flag);
        if !frame_mbs_only_flag {
            bits.flag(choices.flag());
        }
        bits.flag(true).flag(false).flag(false).trailing_bits();
        let choice = SpsChoice {
            separate_colour_plane_flag,
            chroma_format_idc,
            log2_max_frame_num,
            pic_order_cnt_type,
            log2_max_pic_order_cnt_lsb,
            delta_pic_order_always_zero_flag,
            frame_mbs_only_flag,
            pic_size_in_map_units: (width_minus1 + 1) * (height_minus1 + 1),
        };
        (escape(&bits.bytes()), choice)
    }

    #[expect(clippy::struct_excessive_bools, reason = "the standard's flags, by their names")]
    struct PpsChoice {
        entropy_coding_mode_flag: bool,
        bottom_field_pic_order_in_frame_present_flag: bool,
        /// Map units, of types 3 to 5.
        slice_group_change_rate: Option<u32>,
        num_ref_idx_default_active_minus1: [u32; 2],
        weighted_pred_flag: bool,
        weighted_bipred_idc: u32,
        deblocking_filter_control_present_flag: bool,
        redundant_pic_cnt_present_flag: bool,
    }

    fn slice_group_map(
        choices: &mut Choices,
        bits: &mut BitWriter,
        groups_minus1: u32,
        sps: &SpsChoice,
    ) -> Option<u32> {
        let last_unit = sps.pic_size_in_map_units - 1;
        let slice_group_map_type = choices.up_to(6);
        bits.ue(slice_group_map_type);
        match slice_group_map_type {
            0 => {
                for _ in 0..=groups_minus1 {
                    bits.ue(choices.up_to(last_unit));
                }
            }
            2 => {
                for _ in 0..groups_minus1 {
                    let bottom_right = choices.up_to(last_unit);
                    bits.ue(choices.up_to(bottom_right)).ue(bottom_right);
                }
            }
            3..=5 => {
                let slice_group_change_rate_minus1 = choices.up_to(last_unit);
                bits.flag(choices.flag()).ue(slice_group_change_rate_minus1);
                return Some(slice_group_change_rate_minus1 + 1);
            }
            6 => {
                bits.ue(last_unit);
                let slice_group_id_bits = match groups_minus1 {
                    1 => 1,
                    2 | 3 => 2,
                    _ => 3,
                };
                for _ in 0..=last_unit {
                    bits.u(slice_group_id_bits, choices.up_to(groups_minus1));
                }
            }
            _ => {}
        }
        None
    }

    fn pps(choices: &mut Choices, sps: &SpsChoice) -> (Vec<u8>, PpsChoice) {
        let mut bits = BitWriter::default();
        let entropy_coding_mode_flag = choices.flag();
        let bottom_field_pic_order_in_frame_present_flag = choices.flag();
        bits.u(8, 0x68).ue(0).ue(0).flag(entropy_coding_mode_flag);
        bits.flag(bottom_field_pic_order_in_frame_present_flag);
        let num_slice_groups_minus1 = choices.up_to(7);
        bits.ue(num_slice_groups_minus1);
        let mut slice_group_change_rate = None;
        if num_slice_groups_minus1 > 0 {
            slice_group_change_rate = slice_group_map(choices, &mut bits, num_slice_groups_minus1, sps);
        }
        let choice = PpsChoice {
            entropy_coding_mode_flag,
            bottom_field_pic_order_in_frame_present_flag,
            slice_group_change_rate,
            num_ref_idx_default_active_minus1: [choices.up_to(15), choices.up_to(15)],
            weighted_pred_flag: choices.flag(),
            weighted_bipred_idc: choices.up_to(2),
            deblocking_filter_control_present_flag: choices.flag(),
            redundant_pic_cnt_present_flag: choices.flag(),
        };
        let [l0, l1] = choice.num_ref_idx_default_active_minus1;
        bits.ue(l0)
            .ue(l1)
            .flag(choice.weighted_pred_flag)
            .u(2, choice.weighted_bipred_idc);
        bits.se(choices.signed(20))
            .se(choices.signed(20))
            .se(choices.signed(12));
        bits.flag(choice.deblocking_filter_control_present_flag)
            .flag(choices.flag());
        bits.flag(choice.redundant_pic_cnt_present_flag).trailing_bits();
        (escape(&bits.bytes()), choice)
    }

    /// A slice, and the size of its header in bytes as stored.
    fn slice(choices: &mut Choices, sps: &SpsChoice, pps: &PpsChoice) -> (Vec<u8>, usize) {
        let mut bits = BitWriter::default();
        let idr = choices.flag();
        let nal_ref_idc = if idr { 1 + choices.up_to(2) } else { choices.up_to(3) };
        bits.u(1, 0).u(2, nal_ref_idc).u(5, if idr { 5 } else { 1 });
        slice_header(choices, &mut bits, sps, pps, idr, nal_ref_idc);
        let header_bytes = bits.len().div_ceil(8);
        while pps.entropy_coding_mode_flag && !bits.len().is_multiple_of(8) {
            bits.flag(true); // cabac_alignment_one_bit
        }
        for _ in 0..choices.up_to(40) {
            // Slice data with many zeros, some of them right behind the header.
            bits.u(8, choices.up_to(255));
        }
        let bytes = bits.trailing_bits().bytes();
        let header = bytes.get(..header_bytes).expect("the header is a part of it");
        (escape(&bytes), escape(header).len())
    }

    fn slice_header(
        choices: &mut Choices,
        bits: &mut BitWriter,
        sps: &SpsChoice,
        pps: &PpsChoice,
        idr: bool,
        nal_ref_idc: u32,
    ) {
        let slice_type = if idr {
            2 + 2 * choices.up_to(1)
        } else {
            choices.up_to(4)
        };
        let [p, b, i, sp, si] = [0, 1, 2, 3, 4].map(|each| slice_type == each);
        bits.ue(choices.up_to(1000)).ue(slice_type + 5 * choices.up_to(1)).ue(0);
        if sps.separate_colour_plane_flag {
            bits.u(2, choices.up_to(2));
        }
        bits.u(sps.log2_max_frame_num, choices.up_to((1 << sps.log2_max_frame_num) - 1));
        let field = !sps.frame_mbs_only_flag && choices.flag();
        if !sps.frame_mbs_only_flag {
            bits.flag(field);
        }
        if field {
            bits.flag(choices.flag());
        }
        if idr {
            bits.ue(choices.up_to(65535));
        }
        pic_order_cnt(
            choices,
            bits,
            sps,
            pps.bottom_field_pic_order_in_frame_present_flag && !field,
        );
        if pps.redundant_pic_cnt_present_flag {
            bits.ue(choices.up_to(127));
        }
        if b {
            bits.flag(choices.flag());
        }
        let mut num_ref_idx_active_minus1 = pps.num_ref_idx_default_active_minus1;
        if p || sp || b {
            let num_ref_idx_active_override_flag = choices.flag();
            bits.flag(num_ref_idx_active_override_flag);
            if num_ref_idx_active_override_flag {
                let max = if field { 31 } else { 15 };
                num_ref_idx_active_minus1 = [choices.up_to(max), choices.up_to(max)];
                let [l0, l1] = num_ref_idx_active_minus1;
                bits.ue(l0);
                if b {
                    bits.ue(l1);
                }
            }
        }
        let lists = match (p || sp, b) {
            (true, _) => 1,
            (_, true) => 2,
            _ => 0,
        };
        for _ in 0..lists {
            ref_pic_list_modification(choices, bits);
        }
        if pps.weighted_pred_flag && (p || sp) || pps.weighted_bipred_idc == 1 && b {
            let chroma = sps.chroma_format_idc != 0 && !sps.separate_colour_plane_flag;
            bits.ue(choices.up_to(7));
            if chroma {
                bits.ue(choices.up_to(7));
            }
            for minus1 in num_ref_idx_active_minus1.into_iter().take(lists) {
                for _ in 0..=minus1 {
                    weights(choices, bits, 1);
                    if chroma {
                        weights(choices, bits, 2);
                    }
                }
            }
        }
        if nal_ref_idc != 0 {
            dec_ref_pic_marking(choices, bits, idr);
        }
        if pps.entropy_coding_mode_flag && !i && !si {
            bits.ue(choices.up_to(2));
        }
        bits.se(choices.signed(20));
        if sp {
            bits.flag(choices.flag());
        }
        if sp || si {
            bits.se(choices.signed(20));
        }
        if pps.deblocking_filter_control_present_flag {
            let disable_deblocking_filter_idc = choices.up_to(2);
            bits.ue(disable_deblocking_filter_idc);
            if disable_deblocking_filter_idc != 1 {
                bits.se(choices.signed(6)).se(choices.signed(6));
            }
        }
        if let Some(rate) = pps.slice_group_change_rate {
            // 7.4.3, literally; picture sizes are small enough for it.
            let max = f64::from(sps.pic_size_in_map_units) / f64::from(rate);
            let slice_group_change_cycle_bits = (0..32).find(|&n| f64::from(1 << n) >= max + 1.0).expect("one is");
            bits.u(
                slice_group_change_cycle_bits,
                choices.up_to(sps.pic_size_in_map_units.div_ceil(rate)),
            );
        }
    }

    fn pic_order_cnt(choices: &mut Choices, bits: &mut BitWriter, sps: &SpsChoice, both_fields: bool) {
        match sps.pic_order_cnt_type {
            0 => {
                let max = (1 << sps.log2_max_pic_order_cnt_lsb) - 1;
                bits.u(sps.log2_max_pic_order_cnt_lsb, choices.up_to(max));
                if both_fields {
                    bits.se(choices.signed(i32::MAX as u32));
                }
            }
            1 if !sps.delta_pic_order_always_zero_flag => {
                bits.se(choices.signed(i32::MAX as u32));
                if both_fields {
                    bits.se(choices.signed(i32::MAX as u32));
                }
            }
            _ => {}
        }
    }

    fn ref_pic_list_modification(choices: &mut Choices, bits: &mut BitWriter) {
        let flag = choices.flag();
        bits.flag(flag);
        if flag {
            for _ in 0..=choices.up_to(7) {
                bits.ue(choices.up_to(2)).ue(choices.up_to(15));
            }
            bits.ue(3);
        }
    }

    fn weights(choices: &mut Choices, bits: &mut BitWriter, components: u32) {
        let flag = choices.flag();
        bits.flag(flag);
        if flag {
            for _ in 0..components {
                bits.se(choices.signed(127)).se(choices.signed(127));
            }
        }
    }

    fn dec_ref_pic_marking(choices: &mut Choices, bits: &mut BitWriter, idr: bool) {
        if idr {
            bits.flag(choices.flag()).flag(choices.flag());
            return;
        }
        let adaptive_ref_pic_marking_mode_flag = choices.flag();
        bits.flag(adaptive_ref_pic_marking_mode_flag);
        if !adaptive_ref_pic_marking_mode_flag {
            return;
        }
        for _ in 0..choices.up_to(7) {
            let memory_management_control_operation = 1 + choices.up_to(5);
            let operands = match memory_management_control_operation {
                3 => 2,
                5 => 0,
                _ => 1,
            };
            bits.ue(memory_management_control_operation);
            for _ in 0..operands {
                bits.ue(choices.up_to(15));
            }
        }
        bits.ue(0);
    }

    /// A sample with parameter sets, slices and other NAL units, and its subsample map.
    fn stream(choices: Vec<u8>) -> (Vec<u8>, Vec<(u16, u32)>) {
        let choices = &mut Choices::new(choices);
        let (sps_nal, sps) = sps(choices);
        let (pps_nal, pps) = pps(choices, &sps);
        let mut bytes = sample(&[&sps_nal, &pps_nal]);
        let mut map = Vec::new();
        let mut clear = bytes.len();
        for _ in 0..=choices.up_to(5) {
            if choices.flag() {
                let filler_data = sample(&[&[0x0c, 0xff, 0x80]]);
                bytes.extend(&filler_data);
                clear += filler_data.len();
            }
            let (slice, header_bytes) = slice(choices, &sps, &pps);
            bytes.extend(sample(&[&slice]));
            clear += 4 + header_bytes;
            let protected = u32::try_from(slice.len() - header_bytes).expect("a short slice");
            if protected > 0 {
                map.push((u16::try_from(clear).expect("a short sample"), protected));
                clear = 0;
            }
        }
        if clear > 0 {
            map.push((u16::try_from(clear).expect("a short sample"), 0));
        }
        (bytes, map)
    }

    fn choices() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(any::<u8>(), 0..800)
    }

    proptest! {
        #[test]
        fn slice_headers_end_where_they_were_written(choices in choices()) {
            let (sample, map) = stream(choices);
            prop_assert_eq!(scan(&mut *scanner(AVC3, empty_config(4)), &sample), Ok(map));
        }

        #[test]
        fn damaged_samples_are_covered_exactly_or_refused(
            choices in choices(),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
            length in any::<prop::sample::Index>(),
        ) {
            let mut scanner = scanner(AVC3, empty_config(4));
            let (mut sample, _) = stream(choices);
            prop_assert!(scan(&mut *scanner, &sample).is_ok());
            break_up(&mut sample, &damage, length);
            if let Ok(map) = scan(&mut *scanner, &sample) {
                prop_assert!(covers(&map, sample.len()));
            }
        }

        #[test]
        fn arbitrary_samples_are_covered_exactly_or_refused(
            sample in prop::collection::vec(any::<u8>(), 0..300),
            nal_length_size in prop::sample::select(vec![1, 2, 4]),
        ) {
            let mut scanner = scanner(AVC3, empty_config(nal_length_size));
            if let Ok(map) = scan(&mut *scanner, &sample) {
                prop_assert!(covers(&map, sample.len()));
            }
        }

        #[test]
        fn arbitrary_nal_units_are_covered_exactly_or_refused(
            nal_units in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..6),
            choices in choices(),
        ) {
            let mut scanner = scanner(AVC3, empty_config(4));
            let (parameter_sets, _) = stream(choices);
            prop_assert!(scan(&mut *scanner, &parameter_sets).is_ok());
            let nal_units: Vec<&[u8]> = nal_units.iter().map(Vec::as_slice).collect();
            let sample = sample(&nal_units);
            if let Ok(map) = scan(&mut *scanner, &sample) {
                prop_assert!(covers(&map, sample.len()));
            }
        }

        #[test]
        fn arbitrary_configurations_do_not_panic(payload in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(config) = AvcConfiguration::parse(&mut Reader::new(&payload)) {
                let _ = Avc::open(AVC1, config);
            }
        }
    }
}

use proptest::prelude::*;

use super::*;
use crate::codec::bit_writer::{BitWriter, escape};
use crate::codec::test_streams::{Choices, break_up, covers, sample, scan};
use crate::isobmff::{Reader, TypedBox};

/// `hvcC` of length fields of 4 bytes: Main profile, level 3.1; `arrays` from `numOfArrays` on.
fn config(arrays: &str) -> HevcConfiguration {
    let fields = "01 01 60000000 900000000000 5d f000 fc fd f8 f8 0000 0f";
    let payload = hex::decode(format!("{fields}{arrays}").replace(' ', "")).expect("hexadecimal");
    HevcConfiguration::parse(&mut Reader::new(&payload)).expect("a valid hvcC")
}

/// A scanner to which all parameter sets come in band.
fn scanner() -> Box<dyn SampleScanner> {
    let hevc = Hevc::open(HEV1, config("00")).expect("a valid configuration");
    hevc.scanner().expect("slices have clear headers")
}

/// A NAL unit header of the base layer.
fn nal_unit(nal_unit_type: u8) -> BitWriter {
    let mut bits = BitWriter::default();
    bits.u(1, 0).u(6, nal_unit_type.into()).u(6, 0).u(3, 1);
    bits
}

/// `byte_alignment()` (7.3.2.15) has the bits of `rbsp_trailing_bits()`.
fn finished(bits: &mut BitWriter) -> Vec<u8> {
    escape(&bits.trailing_bits().bytes())
}

mod rules {
    //! Which NAL units stay clear, and what is refused; on the smallest of streams.

    use super::written::{PpsChoice, SpsChoice, pps_nal, ref_pic_sets, sps_nal};
    use super::*;

    /// An IDR slice that says no more than it must: three flags and IDs, `slice_type` I, `slice_qp_delta` 0.
    fn idr(slice_pic_parameter_set_id: u32) -> Vec<u8> {
        let mut bits = nal_unit(nal_unit_type::IDR_N_LP);
        bits.flag(true).flag(false).ue(slice_pic_parameter_set_id).ue(2).se(0);
        finished(&mut bits)
    }

    fn with_body(header: &[u8]) -> Vec<u8> {
        [header, &[0xaa, 0xbb]].concat()
    }

    /// A scanner that knows a sequence and a picture parameter set.
    fn opened(sps: &SpsChoice, pps: &PpsChoice) -> Box<dyn SampleScanner> {
        let mut scanner = scanner();
        let sets = sample(&[&sps_nal(sps), &pps_nal(pps)]);
        let clear = u16::try_from(sets.len()).expect("a short sample");
        assert_eq!(scan(&mut *scanner, &sets), Ok(vec![(clear, 0)]));
        scanner
    }

    /// What is clear of `header`, a whole slice header, with two bytes behind it.
    fn assert_ends(scanner: &mut dyn SampleScanner, header: &[u8]) {
        let clear = u16::try_from(4 + header.len()).expect("a short header");
        assert_eq!(
            scan(scanner, &sample(&[&with_body(header)])),
            Ok(vec![(clear, 2)]),
            "{header:02x?}"
        );
    }

    fn error(scanner: &mut dyn SampleScanner, nal: &[u8]) -> String {
        scan(scanner, &sample(&[nal])).expect_err("an error").to_string()
    }

    #[test]
    fn each_slice_is_protected_behind_its_header() {
        let mut scanner = opened(&SpsChoice::default(), &PpsChoice::default());
        let mut second = nal_unit(nal_unit_type::IDR_N_LP);
        // Not the first of its picture, which has 2 x 2 coding tree units: its address has two bits.
        second.flag(false).flag(false).ue(0).u(2, 3).ue(2).se(-4);
        let (first, second) = (idr(0), finished(&mut second));
        let sei = [39 << 1, 1, 0x80];
        let clear = |header: &[u8]| u16::try_from(4 + header.len()).expect("a short header");
        assert_eq!(
            scan(
                &mut *scanner,
                &sample(&[&sei, &with_body(&first), &sei, &[], &with_body(&second), &sei])
            ),
            Ok(vec![(7 + clear(&first), 2), (7 + 4 + clear(&second), 2), (7, 0)])
        );
    }

    #[test]
    fn nal_units_that_are_no_slices_of_decoders_stay_clear() {
        let mut scanner = opened(&SpsChoice::default(), &PpsChoice::default());
        let slices: Vec<u8> = (0..=9).chain(16..=21).collect();
        // 63 is refused, see `enhancement_layers_of_dolby_vision_are_refused`.
        for nal_unit_type in (0..63).filter(|kind| !slices.contains(kind) && ![33, 34].contains(kind)) {
            let nal = [nal_unit_type << 1, 1, 0xff, 0xff];
            assert_eq!(
                scan(&mut *scanner, &sample(&[&nal])),
                Ok(vec![(8, 0)]),
                "{nal_unit_type}"
            );
        }
        for nal_unit_type in slices {
            let mut bits = nal_unit(nal_unit_type);
            bits.flag(true);
            if nal_unit_type >= 16 {
                bits.flag(true); // no_output_of_prior_pics_flag
            }
            bits.ue(0).ue(2);
            if ![19, 20].contains(&nal_unit_type) {
                // The order count of 4 bits, and a reference picture set of no pictures.
                bits.u(4, 9).flag(false).ue(0).ue(0);
            }
            assert_ends(&mut *scanner, &finished(bits.se(0)));
        }
    }

    #[test]
    fn dependent_slice_segments_repeat_nothing_but_their_place() {
        let pps = PpsChoice {
            dependent_slice_segments_enabled_flag: true,
            tiles_enabled_flag: true,
            pps_slice_chroma_qp_offsets_present_flag: true,
            ..PpsChoice::default()
        };
        let mut scanner = opened(&SpsChoice::default(), &pps);
        let mut bits = nal_unit(nal_unit_type::TRAIL_N);
        bits.flag(false).ue(0).flag(true).u(2, 1);
        // Two entry points of 11 bits.
        bits.ue(2).ue(10).u(11, 99).u(11, 2047);
        assert_ends(&mut *scanner, &finished(&mut bits));
    }

    #[test]
    fn emulation_prevention_bytes_of_the_header_count() {
        let pps = PpsChoice {
            slice_segment_header_extension_present_flag: true,
            ..PpsChoice::default()
        };
        let mut scanner = opened(&SpsChoice::default(), &pps);
        let mut bits = nal_unit(nal_unit_type::IDR_N_LP);
        bits.flag(true).flag(false).ue(0).ue(2).se(0).ue(9);
        let unescaped_bytes = bits.clone().u(32, 0).u(32, 0).u(8, 1).trailing_bits().bytes().len();
        let header = finished(bits.u(32, 0).u(32, 0).u(8, 1));
        assert!(header.len() >= unescaped_bytes + 3, "{header:02x?}");
        assert_ends(&mut *scanner, &header);
    }

    #[test]
    fn a_parameter_set_replaces_an_earlier_one() {
        let mut scanner = opened(&SpsChoice::default(), &PpsChoice::default());
        assert_ends(&mut *scanner, &idr(0));
        // Seven more bits of header, which no other set has.
        let flags = PpsChoice {
            num_extra_slice_header_bits: 7,
            ..PpsChoice::default()
        };
        let other = PpsChoice {
            pps_pic_parameter_set_id: 63,
            ..flags.clone()
        };
        let mut longer = nal_unit(nal_unit_type::IDR_N_LP);
        longer.flag(true).flag(false).ue(0).u(7, 0x55).ue(2).se(0);
        let mut of_the_other = nal_unit(nal_unit_type::IDR_N_LP);
        of_the_other.flag(true).flag(false).ue(63).u(7, 0x55).ue(2).se(0);
        let (longer, of_the_other) = (finished(&mut longer), finished(&mut of_the_other));

        assert!(scan(&mut *scanner, &sample(&[&pps_nal(&other)])).is_ok());
        assert_ends(&mut *scanner, &idr(0));
        assert_ends(&mut *scanner, &of_the_other);
        assert!(scan(&mut *scanner, &sample(&[&pps_nal(&flags)])).is_ok());
        assert_ends(&mut *scanner, &longer);

        // A picture parameter set follows the sequence parameter set of its ID, as that changes.
        let wide = SpsChoice {
            log2_max_pic_order_cnt_lsb: 16,
            ..SpsChoice::default()
        };
        let trail = |bits_of_order_count| {
            let mut bits = nal_unit(nal_unit_type::TRAIL_N);
            bits.flag(true).ue(0).u(7, 0).ue(2).u(bits_of_order_count, 5);
            finished(bits.flag(false).ue(0).ue(0).se(0))
        };
        assert_ends(&mut *scanner, &trail(4));
        assert!(scan(&mut *scanner, &sample(&[&sps_nal(&wide)])).is_ok());
        assert_ends(&mut *scanner, &trail(16));
    }

    #[test]
    fn pictures_of_other_layers_are_refused() {
        for slice in [
            nal_unit_type::TRAIL_N,
            nal_unit_type::IDR_W_RADL,
            nal_unit_type::CRA_NUT,
        ] {
            // nuh_layer_id 1, nuh_temporal_id_plus1 1.
            assert_eq!(
                error(&mut *scanner(), &[slice << 1, 0b0000_1001, 0x80]),
                "H.265: a picture of layer 1 (nuh_layer_id) is not supported yet",
                "{slice}"
            );
        }
        // What is no picture of theirs stays clear, as that of the base layer does.
        let sei = [39 << 1, 0b0000_1001, 0x80];
        assert_eq!(scan(&mut *scanner(), &sample(&[&sei])), Ok(vec![(7, 0)]));
    }

    /// Type 63 holds picture data; type 62, what a renderer is told, stays clear.
    #[test]
    fn enhancement_layers_of_dolby_vision_are_refused() {
        assert_eq!(
            error(&mut *scanner(), &[63 << 1, 1, 0x80]),
            "H.265: a Dolby Vision enhancement layer (NAL unit type 63) is not supported yet"
        );
        assert_eq!(scan(&mut *scanner(), &sample(&[&[62 << 1, 1, 0x80]])), Ok(vec![(7, 0)]));
    }

    #[test]
    fn parameter_sets_of_other_layers_replace_none() {
        let mut scanner = opened(&SpsChoice::default(), &PpsChoice::default());
        let flags = PpsChoice {
            num_extra_slice_header_bits: 7,
            ..PpsChoice::default()
        };
        let mut other_layer = pps_nal(&flags);
        if let Some(byte) = other_layer.get_mut(1) {
            *byte |= 1 << 3;
        }
        let clear = u16::try_from(4 + other_layer.len()).expect("a short set");
        assert_eq!(scan(&mut *scanner, &sample(&[&other_layer])), Ok(vec![(clear, 0)]));
        assert_ends(&mut *scanner, &idr(0));
    }

    #[test]
    fn sets_of_the_sample_description_are_known_from_the_start() {
        let sps = sps_nal(&SpsChoice::default());
        let pps = pps_nal(&PpsChoice::default());
        let array = |kind: u8, nal: &[u8]| format!("{kind:02x} 0001 {:04x} {}", nal.len(), hex::encode(nal));
        let arrays = format!("02 {} {}", array(0xa1, &sps), array(0xa2, &pps));
        for entry in [HVC1, HEV1] {
            let hevc = Hevc::open(entry, config(&arrays)).expect("a valid configuration");
            assert_eq!(hevc.sps().map(|sps| sps.pic_size_in_ctbs), Some(4));
            assert_ends(&mut *hevc.scanner().expect("slices have clear headers"), &idr(0));
        }
        let cut = format!("01 {}", array(0xa1, sps.get(..4).expect("more")));
        let error = Hevc::open(HVC1, config(&cut)).expect_err("too short");
        assert_eq!(error.to_string(), "H.265: ends too early, at byte 32 of the hvcC");
        let error = Hevc::open(FourCc::new(b"hvt1"), config("00")).expect_err("not supported");
        assert_eq!(error.to_string(), "H.265: sample entry 'hvt1' is not supported yet");
    }

    #[test]
    fn missing_parameter_sets_are_named() {
        assert_eq!(
            error(&mut *scanner(), &idr(5)),
            "H.265: a slice refers to picture parameter set 5, which neither the sample description \
             nor a sample since the last sync sample carries, at byte 6 of the sample"
        );
        let pps = PpsChoice {
            pps_pic_parameter_set_id: 5,
            pps_seq_parameter_set_id: 15,
            ..PpsChoice::default()
        };
        let mut scanner = opened(&SpsChoice::default(), &pps);
        assert_eq!(
            error(&mut *scanner, &idr(5)),
            "H.265: a slice refers, by picture parameter set 5, to sequence parameter set 15, \
             which neither the sample description nor a sample since the last sync sample carries, \
             at byte 6 of the sample"
        );
    }

    /// An IDR slice whose values behind `slice_pic_parameter_set_id` are `rest`.
    fn idr_of(rest: impl FnOnce(&mut BitWriter) -> &mut BitWriter) -> Vec<u8> {
        let mut bits = nal_unit(nal_unit_type::IDR_N_LP);
        bits.flag(true).flag(false).ue(0);
        rest(&mut bits);
        finished(&mut bits)
    }

    /// Of a trailing picture, behind `slice_pic_order_cnt_lsb`.
    fn trail_of(rest: impl FnOnce(&mut BitWriter) -> &mut BitWriter) -> Vec<u8> {
        let mut bits = nal_unit(nal_unit_type::TRAIL_N);
        bits.flag(true).ue(0).ue(2).u(4, 0);
        rest(&mut bits);
        finished(&mut bits)
    }

    #[test]
    fn damage_is_named() {
        let pps = PpsChoice {
            tiles_enabled_flag: true,
            slice_segment_header_extension_present_flag: true,
            ..PpsChoice::default()
        };
        let sps = SpsChoice {
            short_term_ref_pic_sets: ref_pic_sets(3, &mut Choices::new(vec![])),
            long_term_ref_pics: Some(vec![true]),
            ..SpsChoice::default()
        };
        let mut scanner = opened(&sps, &pps);
        let cases: [(Vec<u8>, &str); 11] = [
            (vec![0x80 | 20 << 1, 1, 0x80], "forbidden_zero_bit is set"),
            (vec![20 << 1], "ends too early"),
            (idr_of(|bits| bits.ue(3)), "slice_type is 3, expected at most 2"),
            (
                idr_of(|bits| bits.ue(2).se(0).ue(4)),
                "num_entry_point_offsets is 4, expected at most 3",
            ),
            (
                idr_of(|bits| bits.ue(2).se(0).ue(1).ue(32)),
                "offset_len_minus1 is 32, expected at most 31",
            ),
            (
                idr_of(|bits| bits.ue(2).se(0).ue(0).ue(257)),
                "slice_segment_header_extension_length is 257, expected at most 256",
            ),
            (
                trail_of(|bits| bits.flag(true).u(2, 3)),
                "short_term_ref_pic_set_idx is 3, of 3 sets",
            ),
            (
                trail_of(|bits| bits.flag(false).flag(true).ue(3)),
                "delta_idx_minus1 is 3, of 3 sets",
            ),
            (
                trail_of(|bits| bits.flag(false).flag(false).ue(9).ue(8)),
                "num_positive_pics is 8, expected at most 7",
            ),
            (
                trail_of(|bits| bits.flag(true).u(2, 0).ue(2)),
                "num_long_term_sps is 2, expected at most 1",
            ),
            (
                trail_of(|bits| bits.flag(true).u(2, 0).ue(1).ue(16)),
                "num_long_term_pics is 16, expected at most 15",
            ),
        ];
        for (nal, problem) in cases {
            let error = error(&mut *scanner, &nal);
            assert!(
                error.starts_with("H.265: ") && error.contains(problem),
                "{problem}: {error}"
            );
        }
    }

    #[test]
    fn long_term_pictures_that_the_set_does_not_list_are_refused() {
        let sps = SpsChoice {
            long_term_ref_pics: Some(vec![true; 3]),
            ..SpsChoice::default()
        };
        let mut scanner = opened(&sps, &PpsChoice::default());
        let slice = |lt_idx_sps| {
            // An empty short-term set; of long-term pictures one of the set's, and none of its own.
            trail_of(|bits| {
                bits.flag(false)
                    .ue(0)
                    .ue(0)
                    .ue(1)
                    .ue(0)
                    .u(2, lt_idx_sps)
                    .flag(false)
                    .se(0)
            })
        };
        assert_ends(&mut *scanner, &slice(2));
        let error = error(&mut *scanner, &slice(3));
        assert!(error.contains("lt_idx_sps is 3, of 3 pictures"), "{error}");
    }

    #[test]
    fn a_header_ends_with_its_alignment() {
        let mut scanner = opened(&SpsChoice::default(), &PpsChoice::default());
        // 16 bits of NAL unit header, 7 of the header: one for the alignment.
        let mut bits = nal_unit(nal_unit_type::IDR_N_LP);
        bits.flag(true).flag(false).ue(0).ue(2).se(0);
        assert_eq!(bits.len(), 16 + 7);
        let mut without = bits.clone();
        let problem = "a slice header does not end with a one bit and zero bits";
        let error = error(&mut *scanner, &without.flag(false).bytes());
        assert!(error.contains(problem), "{error}");
        // A header that ends with a byte takes another for it.
        let mut whole = nal_unit(nal_unit_type::IDR_N_LP);
        whole.flag(true).flag(false).ue(0).ue(2).se(1);
        whole.trailing_bits();
        assert_eq!(whole.len(), 32);
        assert_ends(&mut *scanner, &escape(&whole.bytes()));
    }

    #[test]
    fn parameter_sets_out_of_range_are_refused() {
        let refused = |nal: &[u8], problem: &str| {
            let error = error(&mut *super::scanner(), nal);
            assert!(error.contains(problem), "{problem}: {error}");
        };
        let pps = |pps: PpsChoice| pps_nal(&pps);
        let id = pps(PpsChoice {
            pps_pic_parameter_set_id: 64,
            ..PpsChoice::default()
        });
        refused(&id, "pps_pic_parameter_set_id is 64, expected at most 63");
        let sps_id = pps(PpsChoice {
            pps_seq_parameter_set_id: 16,
            ..PpsChoice::default()
        });
        refused(&sps_id, "pps_seq_parameter_set_id is 16, expected at most 15");
        let list = pps(PpsChoice {
            num_ref_idx_default_active_minus1: [15, 0],
            ..PpsChoice::default()
        });
        refused(&list, "num_ref_idx_l0_default_active_minus1 is 15, expected at most 14");
        let sps = |sps: SpsChoice| sps_nal(&sps);
        let id = sps(SpsChoice {
            sps_seq_parameter_set_id: 16,
            ..SpsChoice::default()
        });
        refused(&id, "sps_seq_parameter_set_id is 16, expected at most 15");
        let sub_layers = sps(SpsChoice {
            sps_max_sub_layers_minus1: 7,
            ..SpsChoice::default()
        });
        refused(&sub_layers, "sps_max_sub_layers_minus1 is 7, expected at most 6");
        let size = sps(SpsChoice {
            size_in_ctbs: [0, 2],
            ..SpsChoice::default()
        });
        refused(&size, "a picture of 0 x 32 samples");
        let long_term = sps(SpsChoice {
            long_term_ref_pics: Some(vec![false; 33]),
            ..SpsChoice::default()
        });
        refused(&long_term, "num_long_term_ref_pics_sps is 33, expected at most 32");
        let sets = sps(SpsChoice {
            short_term_ref_pic_sets: ref_pic_sets(65, &mut Choices::new(vec![])),
            ..SpsChoice::default()
        });
        refused(&sets, "num_short_term_ref_pic_sets is 65, expected at most 64");
    }
}

mod written {
    //! Parameter sets and slice headers as the tables of 7.3 have them, written by other code than reads them.
    //!
    //! What no slice header depends on is drawn from choices: without any, it is zero.

    use super::*;

    #[derive(Clone)]
    pub struct SpsChoice {
        pub sps_seq_parameter_set_id: u32,
        pub sps_max_sub_layers_minus1: u32,
        pub chroma_format_idc: u32,
        pub separate_colour_plane_flag: bool,
        /// Coding tree units of 16 x 16 samples, in columns and rows.
        pub size_in_ctbs: [u32; 2],
        pub log2_max_pic_order_cnt_lsb: u32,
        pub sample_adaptive_offset_enabled_flag: bool,
        pub short_term_ref_pic_sets: Vec<RefPicSet>,
        /// `used_by_curr_pic_lt_sps_flag`.
        pub long_term_ref_pics: Option<Vec<bool>>,
        pub sps_temporal_mvp_enabled_flag: bool,
        /// `motion_vector_resolution_control_idc` of a profile of screen content.
        pub screen_content: Option<u32>,
    }

    impl Default for SpsChoice {
        fn default() -> Self {
            Self {
                sps_seq_parameter_set_id: 0,
                sps_max_sub_layers_minus1: 0,
                chroma_format_idc: 1,
                separate_colour_plane_flag: false,
                size_in_ctbs: [2, 2],
                log2_max_pic_order_cnt_lsb: 4,
                sample_adaptive_offset_enabled_flag: false,
                short_term_ref_pic_sets: vec![],
                long_term_ref_pics: None,
                sps_temporal_mvp_enabled_flag: false,
                screen_content: None,
            }
        }
    }

    impl SpsChoice {
        pub fn choose(choices: &mut Choices) -> Self {
            let chroma_format_idc = choices.up_to(3);
            let long_term = choices.flag();
            let screen_content = choices.flag();
            let sets = choices.up_to(64);
            Self {
                sps_seq_parameter_set_id: choices.up_to(15),
                sps_max_sub_layers_minus1: choices.up_to(6),
                chroma_format_idc,
                separate_colour_plane_flag: chroma_format_idc == 3 && choices.flag(),
                size_in_ctbs: [1 + choices.up_to(40), 1 + choices.up_to(40)],
                log2_max_pic_order_cnt_lsb: 4 + choices.up_to(12),
                sample_adaptive_offset_enabled_flag: choices.flag(),
                short_term_ref_pic_sets: ref_pic_sets(sets, choices),
                long_term_ref_pics: long_term.then(|| (0..choices.up_to(32)).map(|_| choices.flag()).collect()),
                sps_temporal_mvp_enabled_flag: choices.flag(),
                screen_content: screen_content.then(|| choices.up_to(2)),
            }
        }

        const fn has_chroma(&self) -> bool {
            self.chroma_format_idc != 0 && !self.separate_colour_plane_flag
        }

        const fn size(&self) -> u32 {
            let [columns, rows] = self.size_in_ctbs;
            columns * rows
        }
    }

    pub fn sps_nal(sps: &SpsChoice) -> Vec<u8> {
        write_sps(sps, &mut Choices::new(vec![]))
    }

    pub fn write_sps(sps: &SpsChoice, choices: &mut Choices) -> Vec<u8> {
        let mut bits = nal_unit(nal_unit_type::SPS_NUT);
        bits.u(4, choices.up_to(15))
            .u(3, sps.sps_max_sub_layers_minus1)
            .flag(choices.flag());
        profile_tier_level(&mut bits, sps, choices);
        bits.ue(sps.sps_seq_parameter_set_id).ue(sps.chroma_format_idc);
        if sps.chroma_format_idc == 3 {
            bits.flag(sps.separate_colour_plane_flag);
        }
        for size in sps.size_in_ctbs {
            // Any size of the last unit counts as a whole one.
            bits.ue((size * 16).saturating_sub(choices.up_to(15)));
        }
        window(&mut bits, choices);
        let bit_depths_minus8 = [choices.up_to(8), choices.up_to(8)];
        let [luma, chroma] = bit_depths_minus8;
        bits.ue(luma).ue(chroma).ue(sps.log2_max_pic_order_cnt_lsb - 4);
        let sps_sub_layer_ordering_info_present_flag = choices.flag();
        bits.flag(sps_sub_layer_ordering_info_present_flag);
        let last = sps.sps_max_sub_layers_minus1;
        for _ in (if sps_sub_layer_ordering_info_present_flag {
            0
        } else {
            last
        })..=last
        {
            bits.ue(choices.up_to(15)).ue(choices.up_to(15)).ue(choices.up_to(15));
        }
        // Blocks of 8 and of 16 samples.
        bits.ue(0).ue(1);
        for _ in 0..4 {
            bits.ue(choices.up_to(3));
        }
        let scaling_list_enabled_flag = choices.flag();
        bits.flag(scaling_list_enabled_flag);
        if scaling_list_enabled_flag {
            let sps_scaling_list_data_present_flag = choices.flag();
            bits.flag(sps_scaling_list_data_present_flag);
            if sps_scaling_list_data_present_flag {
                scaling_list_data(&mut bits, choices);
            }
        }
        bits.flag(choices.flag()).flag(sps.sample_adaptive_offset_enabled_flag);
        let pcm_enabled_flag = choices.flag();
        bits.flag(pcm_enabled_flag);
        if pcm_enabled_flag {
            bits.u(4, choices.up_to(15)).u(4, choices.up_to(15));
            bits.ue(choices.up_to(2)).ue(choices.up_to(2)).flag(choices.flag());
        }
        let sets = &sps.short_term_ref_pic_sets;
        bits.ue(u32::try_from(sets.len()).expect("few"));
        for set in sets {
            bits.append(&set.bits);
        }
        bits.flag(sps.long_term_ref_pics.is_some());
        if let Some(used) = &sps.long_term_ref_pics {
            bits.ue(u32::try_from(used.len()).expect("few"));
            for used in used {
                let lt_ref_pic_poc_lsb_sps = choices.up_to((1 << sps.log2_max_pic_order_cnt_lsb) - 1);
                bits.u(sps.log2_max_pic_order_cnt_lsb, lt_ref_pic_poc_lsb_sps)
                    .flag(*used);
            }
        }
        bits.flag(sps.sps_temporal_mvp_enabled_flag).flag(choices.flag());
        let vui_parameters_present_flag = choices.flag();
        bits.flag(vui_parameters_present_flag);
        if vui_parameters_present_flag {
            vui_parameters(&mut bits, last, choices);
        }
        sps_extensions(&mut bits, sps, bit_depths_minus8, choices);
        finished(&mut bits)
    }

    fn profile_tier_level(bits: &mut BitWriter, sps: &SpsChoice, choices: &mut Choices) {
        // A stream says by its profile or by a flag that decoders of a profile can decode it.
        let is_of_profile = choices.flag();
        let screen_content = 9 + 2 * choices.up_to(1);
        let (mut general_profile_idc, mut flags) = (4, 1 << (31 - 4));
        if sps.screen_content.is_some() && is_of_profile {
            general_profile_idc = screen_content;
        } else if sps.screen_content.is_some() {
            flags |= 1 << (31 - screen_content);
        }
        bits.u(2, 0).flag(choices.flag()).u(5, general_profile_idc).u(32, flags);
        let constraint_flags = |bits: &mut BitWriter, choices: &mut Choices| {
            bits.u(24, choices.up_to((1 << 24) - 1))
                .u(24, choices.up_to((1 << 24) - 1));
        };
        constraint_flags(bits, choices);
        bits.u(8, 93);
        let sub_layers = sps.sps_max_sub_layers_minus1;
        let present: Vec<[bool; 2]> = (0..sub_layers).map(|_| [choices.flag(), choices.flag()]).collect();
        for [profile, level] in &present {
            bits.flag(*profile).flag(*level);
        }
        if sub_layers > 0 {
            for _ in sub_layers..8 {
                bits.u(2, 0);
            }
        }
        for [profile, level] in present {
            if profile {
                bits.u(8, 4).u(32, choices.up_to(u32::MAX - 1));
                constraint_flags(bits, choices);
            }
            if level {
                bits.u(8, choices.byte());
            }
        }
    }

    fn window(bits: &mut BitWriter, choices: &mut Choices) {
        let flag = choices.flag();
        bits.flag(flag);
        for _ in 0..if flag { 4 } else { 0 } {
            bits.ue(choices.up_to(99));
        }
    }

    fn scaling_list_data(bits: &mut BitWriter, choices: &mut Choices) {
        for size_id in 0..4 {
            for matrix_id in (0..6).step_by(if size_id == 3 { 3 } else { 1 }) {
                let scaling_list_pred_mode_flag = choices.flag();
                bits.flag(scaling_list_pred_mode_flag);
                if scaling_list_pred_mode_flag {
                    if size_id > 1 {
                        bits.se(choices.signed(200));
                    }
                    for _ in 0..64.min(1 << (4 + (size_id << 1))) {
                        bits.se(choices.signed(127));
                    }
                } else {
                    bits.ue(choices.up_to(matrix_id));
                }
            }
        }
    }

    fn vui_parameters(bits: &mut BitWriter, max_sub_layers_minus1: u32, choices: &mut Choices) {
        /// A flag, and what stands behind it where it is set.
        fn behind_flag(bits: &mut BitWriter, choices: &mut Choices, write: impl FnOnce(&mut BitWriter, &mut Choices)) {
            let flag = choices.flag();
            bits.flag(flag);
            if flag {
                write(bits, choices);
            }
        }
        behind_flag(bits, choices, |bits, choices| {
            let aspect_ratio_idc = if choices.flag() { 255 } else { 1 };
            bits.u(8, aspect_ratio_idc);
            if aspect_ratio_idc == 255 {
                bits.u(16, choices.up_to(65535)).u(16, choices.up_to(65535));
            }
        });
        behind_flag(bits, choices, |bits, choices| {
            bits.flag(choices.flag());
        });
        behind_flag(bits, choices, |bits, choices| {
            bits.u(3, choices.up_to(7)).flag(choices.flag());
            behind_flag(bits, choices, |bits, choices| {
                bits.u(8, choices.byte()).u(8, choices.byte()).u(8, choices.byte());
            });
        });
        behind_flag(bits, choices, |bits, choices| {
            bits.ue(choices.up_to(5)).ue(choices.up_to(5));
        });
        bits.flag(choices.flag()).flag(choices.flag()).flag(choices.flag());
        window(bits, choices);
        behind_flag(bits, choices, |bits, choices| {
            bits.u(32, choices.up_to(u32::MAX - 1))
                .u(32, choices.up_to(u32::MAX - 1));
            behind_flag(bits, choices, |bits, choices| {
                bits.ue(choices.up_to(u32::MAX - 2));
            });
            behind_flag(bits, choices, |bits, choices| {
                hrd_parameters(bits, max_sub_layers_minus1, choices);
            });
        });
        behind_flag(bits, choices, |bits, choices| {
            bits.u(3, choices.up_to(7));
            for _ in 0..5 {
                bits.ue(choices.up_to(15));
            }
        });
    }

    fn hrd_parameters(bits: &mut BitWriter, max_sub_layers_minus1: u32, choices: &mut Choices) {
        let (nal, vcl) = (choices.flag(), choices.flag());
        bits.flag(nal).flag(vcl);
        let mut sub_pic = false;
        if nal || vcl {
            sub_pic = choices.flag();
            bits.flag(sub_pic);
            if sub_pic {
                bits.u(8, choices.byte())
                    .u(5, choices.up_to(31))
                    .flag(choices.flag())
                    .u(5, choices.up_to(31));
            }
            bits.u(4, choices.up_to(15)).u(4, choices.up_to(15));
            if sub_pic {
                bits.u(4, choices.up_to(15));
            }
            bits.u(5, choices.up_to(31))
                .u(5, choices.up_to(31))
                .u(5, choices.up_to(31));
        }
        for _ in 0..=max_sub_layers_minus1 {
            let general = choices.flag();
            bits.flag(general);
            let mut within_cvs = true;
            if !general {
                within_cvs = choices.flag();
                bits.flag(within_cvs);
            }
            let mut low_delay = false;
            if within_cvs {
                bits.ue(choices.up_to(2047));
            } else {
                low_delay = choices.flag();
                bits.flag(low_delay);
            }
            let mut cpb_cnt_minus1 = 0;
            if !low_delay {
                cpb_cnt_minus1 = choices.up_to(31);
                bits.ue(cpb_cnt_minus1);
            }
            for _ in [nal, vcl].into_iter().filter(|present| *present) {
                for _ in 0..=cpb_cnt_minus1 {
                    for _ in 0..if sub_pic { 4 } else { 2 } {
                        bits.ue(choices.up_to(u32::MAX - 2));
                    }
                    bits.flag(choices.flag());
                }
            }
        }
    }

    fn sps_extensions(bits: &mut BitWriter, sps: &SpsChoice, bit_depths_minus8: [u32; 2], choices: &mut Choices) {
        let (range, multilayer) = (choices.flag(), choices.flag());
        let present = range || multilayer || sps.screen_content.is_some();
        bits.flag(present);
        if !present {
            return;
        }
        bits.flag(range)
            .flag(multilayer)
            .flag(false)
            .flag(sps.screen_content.is_some())
            .u(4, 0);
        if range {
            bits.u(9, choices.up_to(511));
        }
        if multilayer {
            bits.flag(choices.flag());
        }
        let Some(motion_vector_resolution_control_idc) = sps.screen_content else {
            return;
        };
        let palette_mode_enabled_flag = choices.flag();
        bits.flag(choices.flag()).flag(palette_mode_enabled_flag);
        if palette_mode_enabled_flag {
            let initializers = choices.flag();
            bits.ue(choices.up_to(64)).ue(choices.up_to(64)).flag(initializers);
            if initializers {
                let sps_num_palette_predictor_initializers_minus1 = choices.up_to(127);
                bits.ue(sps_num_palette_predictor_initializers_minus1);
                let [luma, chroma] = bit_depths_minus8;
                for component in 0..if sps.chroma_format_idc == 0 { 1 } else { 3 } {
                    let bit_depth = 8 + if component == 0 { luma } else { chroma };
                    for _ in 0..=sps_num_palette_predictor_initializers_minus1 {
                        bits.u(bit_depth, choices.up_to((1 << bit_depth) - 1));
                    }
                }
            }
        }
        bits.u(2, motion_vector_resolution_control_idc).flag(choices.flag());
    }

    /// `st_ref_pic_set()` as written, and what it means.
    #[derive(Clone, Default)]
    pub struct RefPicSet {
        bits: BitWriter,
        /// `DeltaPocS0` and `UsedByCurrPicS0`.
        s0: Vec<(i32, bool)>,
        /// `DeltaPocS1` and `UsedByCurrPicS1`.
        s1: Vec<(i32, bool)>,
    }

    impl RefPicSet {
        fn num_used_by_curr_pic(&self) -> usize {
            self.s0.iter().chain(&self.s1).filter(|(_, used)| *used).count()
        }
    }

    pub fn ref_pic_sets(count: u32, choices: &mut Choices) -> Vec<RefPicSet> {
        let mut sets = Vec::new();
        for _ in 0..count {
            let set = st_ref_pic_set(&sets, false, choices);
            sets.push(set);
        }
        sets
    }

    fn st_ref_pic_set(earlier: &[RefPicSet], in_slice: bool, choices: &mut Choices) -> RefPicSet {
        let mut set = RefPicSet::default();
        if !earlier.is_empty() {
            let inter_ref_pic_set_prediction_flag = choices.flag();
            set.bits.flag(inter_ref_pic_set_prediction_flag);
            if inter_ref_pic_set_prediction_flag {
                return predicted(set, earlier, in_slice, choices);
            }
        }
        let (negative, positive) = (choices.up_to(8), choices.up_to(8));
        set.bits.ue(negative).ue(positive);
        for (pics, sign, count) in [(&mut set.s0, -1, negative), (&mut set.s1, 1, positive)] {
            let mut delta_poc = 0;
            for _ in 0..count {
                let (delta_poc_minus1, used) = (choices.up_to((1 << 15) - 1), choices.flag());
                set.bits.ue(delta_poc_minus1).flag(used);
                delta_poc += sign * (delta_poc_minus1.cast_signed() + 1);
                pics.push((delta_poc, used));
            }
        }
        set
    }

    /// With (7-61) and (7-62), line by line.
    fn predicted(mut set: RefPicSet, earlier: &[RefPicSet], in_slice: bool, choices: &mut Choices) -> RefPicSet {
        let mut delta_idx_minus1 = 0;
        if in_slice {
            delta_idx_minus1 = choices.up_to(u32::try_from(earlier.len() - 1).expect("few"));
            set.bits.ue(delta_idx_minus1);
        }
        let reference = earlier
            .iter()
            .rev()
            .nth(delta_idx_minus1 as usize)
            .expect("it is there");
        let (delta_rps_sign, abs_delta_rps_minus1) = (choices.flag(), choices.up_to((1 << 15) - 1));
        set.bits.flag(delta_rps_sign).ue(abs_delta_rps_minus1);
        let abs_delta_rps = abs_delta_rps_minus1.cast_signed() + 1;
        let delta_rps = if delta_rps_sign { -abs_delta_rps } else { abs_delta_rps };
        let num_delta_pocs = reference.s0.len() + reference.s1.len();
        let mut flags = Vec::new();
        for j in 0..=num_delta_pocs {
            // The picture itself is one more, and a decoder holds 16.
            let is_full = j == num_delta_pocs && num_delta_pocs == 16;
            let used_by_curr_pic_flag = !is_full && choices.flag();
            set.bits.flag(used_by_curr_pic_flag);
            let mut use_delta_flag = true;
            if !used_by_curr_pic_flag {
                use_delta_flag = !is_full && choices.flag();
                set.bits.flag(use_delta_flag);
            }
            flags.push((use_delta_flag, used_by_curr_pic_flag));
        }
        let flags_of = |j: usize| flags.get(j).copied().expect("one a picture");
        let negative_pics = reference.s0.len();
        for (j, (delta_poc_s1, _)) in reference.s1.iter().enumerate().rev() {
            let d_poc = delta_poc_s1 + delta_rps;
            let (use_delta_flag, used) = flags_of(negative_pics + j);
            if d_poc < 0 && use_delta_flag {
                set.s0.push((d_poc, used));
            }
        }
        let (use_delta_flag, used) = flags_of(num_delta_pocs);
        if delta_rps < 0 && use_delta_flag {
            set.s0.push((delta_rps, used));
        }
        for (j, (delta_poc_s0, _)) in reference.s0.iter().enumerate() {
            let d_poc = delta_poc_s0 + delta_rps;
            let (use_delta_flag, used) = flags_of(j);
            if d_poc < 0 && use_delta_flag {
                set.s0.push((d_poc, used));
            }
        }
        for (j, (delta_poc_s0, _)) in reference.s0.iter().enumerate().rev() {
            let d_poc = delta_poc_s0 + delta_rps;
            let (use_delta_flag, used) = flags_of(j);
            if d_poc > 0 && use_delta_flag {
                set.s1.push((d_poc, used));
            }
        }
        if delta_rps > 0 && use_delta_flag {
            set.s1.push((delta_rps, used));
        }
        for (j, (delta_poc_s1, _)) in reference.s1.iter().enumerate() {
            let d_poc = delta_poc_s1 + delta_rps;
            let (use_delta_flag, used) = flags_of(negative_pics + j);
            if d_poc > 0 && use_delta_flag {
                set.s1.push((d_poc, used));
            }
        }
        set
    }

    #[derive(Clone, Default)]
    #[expect(clippy::struct_excessive_bools, reason = "the standard's flags, by their names")]
    pub struct PpsChoice {
        pub pps_pic_parameter_set_id: u32,
        pub pps_seq_parameter_set_id: u32,
        pub dependent_slice_segments_enabled_flag: bool,
        pub output_flag_present_flag: bool,
        pub num_extra_slice_header_bits: u32,
        pub cabac_init_present_flag: bool,
        pub num_ref_idx_default_active_minus1: [u32; 2],
        pub pps_slice_chroma_qp_offsets_present_flag: bool,
        pub weighted_pred_flag: bool,
        pub weighted_bipred_flag: bool,
        pub tiles_enabled_flag: bool,
        pub entropy_coding_sync_enabled_flag: bool,
        pub pps_loop_filter_across_slices_enabled_flag: bool,
        pub deblocking_filter_override_enabled_flag: bool,
        pub pps_deblocking_filter_disabled_flag: bool,
        pub lists_modification_present_flag: bool,
        pub slice_segment_header_extension_present_flag: bool,
        pub chroma_qp_offset_list_enabled_flag: bool,
        pub pps_curr_pic_ref_enabled_flag: bool,
        pub pps_slice_act_qp_offsets_present_flag: bool,
    }

    impl PpsChoice {
        pub fn choose(sps: &SpsChoice, choices: &mut Choices) -> Self {
            let screen_content = sps.screen_content.is_some();
            Self {
                pps_pic_parameter_set_id: choices.up_to(63),
                pps_seq_parameter_set_id: sps.sps_seq_parameter_set_id,
                dependent_slice_segments_enabled_flag: choices.flag(),
                output_flag_present_flag: choices.flag(),
                num_extra_slice_header_bits: choices.up_to(7),
                cabac_init_present_flag: choices.flag(),
                num_ref_idx_default_active_minus1: [choices.up_to(14), choices.up_to(14)],
                pps_slice_chroma_qp_offsets_present_flag: choices.flag(),
                weighted_pred_flag: choices.flag(),
                weighted_bipred_flag: choices.flag(),
                tiles_enabled_flag: choices.flag(),
                entropy_coding_sync_enabled_flag: choices.flag(),
                pps_loop_filter_across_slices_enabled_flag: choices.flag(),
                deblocking_filter_override_enabled_flag: choices.flag(),
                pps_deblocking_filter_disabled_flag: choices.flag(),
                lists_modification_present_flag: choices.flag(),
                slice_segment_header_extension_present_flag: choices.flag(),
                chroma_qp_offset_list_enabled_flag: choices.flag(),
                pps_curr_pic_ref_enabled_flag: screen_content && choices.flag(),
                pps_slice_act_qp_offsets_present_flag: screen_content && choices.flag(),
            }
        }
    }

    pub fn pps_nal(pps: &PpsChoice) -> Vec<u8> {
        write_pps(pps, &mut Choices::new(vec![]))
    }

    pub fn write_pps(pps: &PpsChoice, choices: &mut Choices) -> Vec<u8> {
        let mut bits = nal_unit(nal_unit_type::PPS_NUT);
        bits.ue(pps.pps_pic_parameter_set_id).ue(pps.pps_seq_parameter_set_id);
        bits.flag(pps.dependent_slice_segments_enabled_flag)
            .flag(pps.output_flag_present_flag);
        bits.u(3, pps.num_extra_slice_header_bits)
            .flag(choices.flag())
            .flag(pps.cabac_init_present_flag);
        let [l0, l1] = pps.num_ref_idx_default_active_minus1;
        bits.ue(l0).ue(l1).se(choices.signed(25)).flag(choices.flag());
        let transform_skip_enabled_flag = choices.flag();
        let cu_qp_delta_enabled_flag = choices.flag();
        bits.flag(transform_skip_enabled_flag).flag(cu_qp_delta_enabled_flag);
        if cu_qp_delta_enabled_flag {
            bits.ue(choices.up_to(3));
        }
        bits.se(choices.signed(12)).se(choices.signed(12));
        bits.flag(pps.pps_slice_chroma_qp_offsets_present_flag);
        bits.flag(pps.weighted_pred_flag)
            .flag(pps.weighted_bipred_flag)
            .flag(choices.flag());
        bits.flag(pps.tiles_enabled_flag)
            .flag(pps.entropy_coding_sync_enabled_flag);
        if pps.tiles_enabled_flag {
            let (columns_minus1, rows_minus1, uniform) = (choices.up_to(19), choices.up_to(21), choices.flag());
            bits.ue(columns_minus1).ue(rows_minus1).flag(uniform);
            for _ in 0..if uniform { 0 } else { columns_minus1 + rows_minus1 } {
                bits.ue(choices.up_to(40));
            }
            bits.flag(choices.flag());
        }
        bits.flag(pps.pps_loop_filter_across_slices_enabled_flag);
        let deblocking_filter_control_present_flag =
            pps.deblocking_filter_override_enabled_flag || pps.pps_deblocking_filter_disabled_flag || choices.flag();
        bits.flag(deblocking_filter_control_present_flag);
        if deblocking_filter_control_present_flag {
            bits.flag(pps.deblocking_filter_override_enabled_flag)
                .flag(pps.pps_deblocking_filter_disabled_flag);
            if !pps.pps_deblocking_filter_disabled_flag {
                bits.se(choices.signed(6)).se(choices.signed(6));
            }
        }
        let pps_scaling_list_data_present_flag = choices.flag();
        bits.flag(pps_scaling_list_data_present_flag);
        if pps_scaling_list_data_present_flag {
            scaling_list_data(&mut bits, choices);
        }
        bits.flag(pps.lists_modification_present_flag).ue(choices.up_to(4));
        bits.flag(pps.slice_segment_header_extension_present_flag);
        pps_extensions(&mut bits, pps, transform_skip_enabled_flag, choices);
        finished(&mut bits)
    }

    fn pps_extensions(bits: &mut BitWriter, pps: &PpsChoice, transform_skip_enabled_flag: bool, choices: &mut Choices) {
        let range = pps.chroma_qp_offset_list_enabled_flag || choices.flag();
        let act = pps.pps_slice_act_qp_offsets_present_flag;
        let scc = pps.pps_curr_pic_ref_enabled_flag || act || choices.flag();
        bits.flag(range || scc);
        if !range && !scc {
            return;
        }
        bits.flag(range).flag(false).flag(false).flag(scc).u(4, 0);
        if range {
            if transform_skip_enabled_flag {
                bits.ue(choices.up_to(3));
            }
            bits.flag(choices.flag()).flag(pps.chroma_qp_offset_list_enabled_flag);
            if pps.chroma_qp_offset_list_enabled_flag {
                let chroma_qp_offset_list_len_minus1 = choices.up_to(5);
                bits.ue(choices.up_to(3)).ue(chroma_qp_offset_list_len_minus1);
                for _ in 0..=chroma_qp_offset_list_len_minus1 {
                    bits.se(choices.signed(12)).se(choices.signed(12));
                }
            }
            bits.ue(choices.up_to(6)).ue(choices.up_to(6));
        }
        if scc {
            let residual_adaptive_colour_transform_enabled_flag = act || choices.flag();
            bits.flag(pps.pps_curr_pic_ref_enabled_flag);
            bits.flag(residual_adaptive_colour_transform_enabled_flag);
            if residual_adaptive_colour_transform_enabled_flag {
                bits.flag(act)
                    .se(choices.signed(12))
                    .se(choices.signed(12))
                    .se(choices.signed(12));
            }
            bits.flag(false); // pps_palette_predictor_initializers_present_flag
        }
    }

    /// A slice segment, and how many of its bytes are the header's.
    pub fn slice(sps: &SpsChoice, pps: &PpsChoice, choices: &mut Choices) -> (Vec<u8>, usize) {
        let slice_types: Vec<u8> = (0..=9).chain(16..=21).collect();
        let nal_unit_type = *slice_types.get(choices.up_to(15) as usize).expect("16 types");
        let mut bits = nal_unit(nal_unit_type);
        slice_segment_header(&mut bits, sps, pps, nal_unit_type, choices);
        let header = bits.trailing_bits().bytes();
        let mut bytes = header.clone();
        bytes.extend((0..choices.up_to(40)).map(|_| choices.byte().to_le_bytes()[0]));
        (escape(&bytes), escape(&header).len())
    }

    /// Ceil(Log2(`values`)).
    fn index_bits(values: u32) -> u32 {
        (0..32).find(|n| 1_u64 << n >= u64::from(values)).expect("one is")
    }

    fn slice_segment_header(
        bits: &mut BitWriter,
        sps: &SpsChoice,
        pps: &PpsChoice,
        nal_unit_type: u8,
        choices: &mut Choices,
    ) {
        let first_slice_segment_in_pic_flag = choices.flag();
        bits.flag(first_slice_segment_in_pic_flag);
        if nal_unit_type >= 16 {
            bits.flag(choices.flag());
        }
        bits.ue(pps.pps_pic_parameter_set_id);
        let mut dependent_slice_segment_flag = false;
        if !first_slice_segment_in_pic_flag {
            if pps.dependent_slice_segments_enabled_flag {
                dependent_slice_segment_flag = choices.flag();
                bits.flag(dependent_slice_segment_flag);
            }
            bits.u(index_bits(sps.size()), choices.up_to(sps.size() - 1));
        }
        if !dependent_slice_segment_flag {
            independent_part(bits, sps, pps, [19, 20].contains(&nal_unit_type), choices);
        }
        if pps.tiles_enabled_flag || pps.entropy_coding_sync_enabled_flag {
            let num_entry_point_offsets = choices.up_to(sps.size() - 1);
            bits.ue(num_entry_point_offsets);
            if num_entry_point_offsets > 0 {
                let offset_len_minus1 = choices.up_to(31);
                bits.ue(offset_len_minus1);
                for _ in 0..num_entry_point_offsets {
                    let max = u32::MAX >> (31 - offset_len_minus1);
                    bits.u(offset_len_minus1 + 1, choices.up_to(max - 1));
                }
            }
        }
        if pps.slice_segment_header_extension_present_flag {
            let slice_segment_header_extension_length = choices.up_to(256);
            bits.ue(slice_segment_header_extension_length);
            for _ in 0..slice_segment_header_extension_length {
                bits.u(8, choices.byte());
            }
        }
    }

    fn independent_part(bits: &mut BitWriter, sps: &SpsChoice, pps: &PpsChoice, is_idr: bool, choices: &mut Choices) {
        bits.u(
            pps.num_extra_slice_header_bits,
            choices.up_to((1 << pps.num_extra_slice_header_bits) - 1),
        );
        // Pictures of references to none but themselves may be of an IDR.
        let slice_type = if is_idr && !pps.pps_curr_pic_ref_enabled_flag {
            2
        } else {
            choices.up_to(2)
        };
        let (is_b, is_p) = (slice_type == 0, slice_type == 1);
        bits.ue(slice_type);
        if pps.output_flag_present_flag {
            bits.flag(choices.flag());
        }
        if sps.separate_colour_plane_flag {
            bits.u(2, choices.up_to(2));
        }
        let mut num_pic_total_curr = 0;
        let mut slice_temporal_mvp_enabled_flag = false;
        if !is_idr {
            num_pic_total_curr = reference_pictures(bits, sps, choices);
            if sps.sps_temporal_mvp_enabled_flag {
                slice_temporal_mvp_enabled_flag = choices.flag();
                bits.flag(slice_temporal_mvp_enabled_flag);
            }
        }
        let (mut luma, mut chroma) = (false, false);
        if sps.sample_adaptive_offset_enabled_flag {
            luma = choices.flag();
            bits.flag(luma);
            if sps.has_chroma() {
                chroma = choices.flag();
                bits.flag(chroma);
            }
        }
        if is_b || is_p {
            inter_part(
                bits,
                sps,
                pps,
                (is_b, num_pic_total_curr, slice_temporal_mvp_enabled_flag),
                choices,
            );
        }
        bits.se(choices.signed(51));
        if pps.pps_slice_chroma_qp_offsets_present_flag {
            bits.se(choices.signed(12)).se(choices.signed(12));
        }
        if pps.pps_slice_act_qp_offsets_present_flag {
            bits.se(choices.signed(12))
                .se(choices.signed(12))
                .se(choices.signed(12));
        }
        if pps.chroma_qp_offset_list_enabled_flag {
            bits.flag(choices.flag());
        }
        let mut is_deblocked = !pps.pps_deblocking_filter_disabled_flag;
        if pps.deblocking_filter_override_enabled_flag {
            let deblocking_filter_override_flag = choices.flag();
            bits.flag(deblocking_filter_override_flag);
            if deblocking_filter_override_flag {
                is_deblocked = choices.flag();
                bits.flag(!is_deblocked);
                if is_deblocked {
                    bits.se(choices.signed(6)).se(choices.signed(6));
                }
            }
        }
        if pps.pps_loop_filter_across_slices_enabled_flag && (luma || chroma || is_deblocked) {
            bits.flag(choices.flag());
        }
    }

    /// Returns `NumPicTotalCurr`, without the current picture.
    fn reference_pictures(bits: &mut BitWriter, sps: &SpsChoice, choices: &mut Choices) -> usize {
        let lsb = |choices: &mut Choices| choices.up_to((1 << sps.log2_max_pic_order_cnt_lsb) - 1);
        bits.u(sps.log2_max_pic_order_cnt_lsb, lsb(choices));
        let sets = &sps.short_term_ref_pic_sets;
        let short_term_ref_pic_set_sps_flag = !sets.is_empty() && choices.flag();
        bits.flag(short_term_ref_pic_set_sps_flag);
        let mut num_pic_total_curr;
        if short_term_ref_pic_set_sps_flag {
            let count = u32::try_from(sets.len()).expect("few");
            let index = choices.up_to(count - 1);
            if count > 1 {
                bits.u(index_bits(count), index);
            }
            num_pic_total_curr = sets.get(index as usize).expect("it is there").num_used_by_curr_pic();
        } else {
            let set = st_ref_pic_set(sets, true, choices);
            bits.append(&set.bits);
            num_pic_total_curr = set.num_used_by_curr_pic();
        }
        let Some(of_sps) = &sps.long_term_ref_pics else {
            return num_pic_total_curr;
        };
        let num_long_term_ref_pics_sps = u32::try_from(of_sps.len()).expect("few");
        let mut num_long_term_sps = 0;
        if num_long_term_ref_pics_sps > 0 {
            num_long_term_sps = choices.up_to(num_long_term_ref_pics_sps.min(8));
            bits.ue(num_long_term_sps);
        }
        let num_long_term_pics = choices.up_to(8);
        bits.ue(num_long_term_pics);
        for i in 0..num_long_term_sps + num_long_term_pics {
            let used = if i < num_long_term_sps {
                let lt_idx_sps = choices.up_to(num_long_term_ref_pics_sps - 1);
                if num_long_term_ref_pics_sps > 1 {
                    bits.u(index_bits(num_long_term_ref_pics_sps), lt_idx_sps);
                }
                *of_sps.get(lt_idx_sps as usize).expect("it is there")
            } else {
                let used_by_curr_pic_lt_flag = choices.flag();
                bits.u(sps.log2_max_pic_order_cnt_lsb, lsb(choices))
                    .flag(used_by_curr_pic_lt_flag);
                used_by_curr_pic_lt_flag
            };
            num_pic_total_curr += usize::from(used);
            let delta_poc_msb_present_flag = choices.flag();
            bits.flag(delta_poc_msb_present_flag);
            if delta_poc_msb_present_flag {
                bits.ue(choices.up_to(1 << 20));
            }
        }
        num_pic_total_curr
    }

    fn inter_part(
        bits: &mut BitWriter,
        sps: &SpsChoice,
        pps: &PpsChoice,
        (is_b, num_used, slice_temporal_mvp_enabled_flag): (bool, usize, bool),
        choices: &mut Choices,
    ) {
        let mut num_ref_idx_active_minus1 = pps.num_ref_idx_default_active_minus1;
        let num_ref_idx_active_override_flag = choices.flag();
        bits.flag(num_ref_idx_active_override_flag);
        if num_ref_idx_active_override_flag {
            num_ref_idx_active_minus1 = [choices.up_to(14), choices.up_to(14)];
            let [l0, l1] = num_ref_idx_active_minus1;
            bits.ue(l0);
            if is_b {
                bits.ue(l1);
            }
        }
        let lists: Vec<Vec<bool>> = (0..if is_b { 2 } else { 1 })
            .zip(num_ref_idx_active_minus1)
            .map(|(list, active_minus1)| ref_pic_list(bits, pps, (list, active_minus1, num_used), choices))
            .collect();
        if is_b {
            bits.flag(choices.flag());
        }
        if pps.cabac_init_present_flag {
            bits.flag(choices.flag());
        }
        if slice_temporal_mvp_enabled_flag {
            let mut collocated_from_l0_flag = true;
            if is_b {
                collocated_from_l0_flag = choices.flag();
                bits.flag(collocated_from_l0_flag);
            }
            let [l0, l1] = num_ref_idx_active_minus1;
            if collocated_from_l0_flag && l0 > 0 {
                bits.ue(choices.up_to(l0));
            } else if !collocated_from_l0_flag && l1 > 0 {
                bits.ue(choices.up_to(l1));
            }
        }
        if pps.weighted_pred_flag && !is_b || pps.weighted_bipred_flag && is_b {
            pred_weight_table(bits, sps, &lists, choices);
        }
        bits.ue(choices.up_to(4));
        if sps.screen_content == Some(2) {
            bits.flag(choices.flag());
        }
    }

    /// A list of `ref_pic_lists_modification()`; returns `RefPicList0` or `RefPicList1` (8.3.4): of each entry, whether
    /// it is the current picture.
    fn ref_pic_list(
        bits: &mut BitWriter,
        pps: &PpsChoice,
        (list, num_ref_idx_active_minus1, num_used): (u32, u32, usize),
        choices: &mut Choices,
    ) -> Vec<bool> {
        let mut all = vec![false; num_used];
        if pps.pps_curr_pic_ref_enabled_flag {
            all.push(true);
        }
        let num_pic_total_curr = u32::try_from(all.len()).expect("few");
        let mut modification = false;
        if pps.lists_modification_present_flag && num_pic_total_curr > 1 {
            modification = choices.flag();
            bits.flag(modification);
        }
        let active = num_ref_idx_active_minus1 as usize + 1;
        let num_rps_curr_temp_list = active.max(all.len());
        // A slice that may refer to nothing has no lists; there, the table of weights is as long as it says.
        let temp: Vec<bool> = match all.as_slice() {
            [] => vec![false; active],
            all => all.iter().copied().cycle().take(num_rps_curr_temp_list).collect(),
        };
        if modification {
            let mut entries = Vec::new();
            for _ in 0..active {
                let list_entry = choices.up_to(num_pic_total_curr - 1);
                bits.u(index_bits(num_pic_total_curr), list_entry);
                entries.push(*temp.get(list_entry as usize).expect("it is there"));
            }
            return entries;
        }
        let mut entries: Vec<bool> = temp.into_iter().take(active).collect();
        if list == 0
            && pps.pps_curr_pic_ref_enabled_flag
            && num_rps_curr_temp_list > active
            && let Some(last) = entries.last_mut()
        {
            *last = true;
        }
        entries
    }

    fn pred_weight_table(bits: &mut BitWriter, sps: &SpsChoice, lists: &[Vec<bool>], choices: &mut Choices) {
        bits.ue(choices.up_to(7));
        if sps.has_chroma() {
            bits.se(choices.signed(7));
        }
        for list in lists {
            let mut flags = |bits: &mut BitWriter, is_present: bool| -> Vec<bool> {
                list.iter()
                    .map(|is_current| {
                        let flag = is_present && !is_current && choices.flag();
                        if is_present && !is_current {
                            bits.flag(flag);
                        }
                        flag
                    })
                    .collect()
            };
            let luma = flags(bits, true);
            let chroma = flags(bits, sps.has_chroma());
            for (luma, chroma) in luma.into_iter().zip(chroma) {
                if luma {
                    bits.se(choices.signed(127)).se(choices.signed(127));
                }
                if chroma {
                    for _ in 0..2 {
                        bits.se(choices.signed(127)).se(choices.signed(511));
                    }
                }
            }
        }
    }
}

mod generated_streams {
    //! Streams with every syntax element of a slice segment header.

    use super::written::{PpsChoice, SpsChoice, slice, write_pps, write_sps};
    use super::*;

    /// NAL units, and of each how many bytes stay clear. The first two are parameter sets; later ones replace them.
    fn stream(choices: Vec<u8>) -> Vec<(Vec<u8>, usize)> {
        let choices = &mut Choices::new(choices);
        let mut nal_units = Vec::new();
        let push_clear = |nal_units: &mut Vec<(Vec<u8>, usize)>, nal: Vec<u8>| {
            let bytes = nal.len();
            nal_units.push((nal, bytes));
        };
        let mut sps = SpsChoice::choose(choices);
        let mut pps = PpsChoice::choose(&sps, choices);
        push_clear(&mut nal_units, write_sps(&sps, choices));
        push_clear(&mut nal_units, write_pps(&pps, choices));
        for _ in 0..=choices.up_to(5) {
            let slice = slice(&sps, &pps, choices);
            nal_units.push(slice);
            match choices.up_to(7) {
                1 => push_clear(&mut nal_units, vec![39 << 1, 1, 0x80]),
                2 => {
                    pps = PpsChoice::choose(&sps, choices);
                    push_clear(&mut nal_units, write_pps(&pps, choices));
                }
                3 => {
                    sps = SpsChoice::choose(choices);
                    pps = PpsChoice::choose(&sps, choices);
                    push_clear(&mut nal_units, write_sps(&sps, choices));
                    push_clear(&mut nal_units, write_pps(&pps, choices));
                }
                _ => {}
            }
        }
        nal_units
    }

    fn choices() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(any::<u8>(), 0..2000)
    }

    fn stream_sample(choices: Vec<u8>) -> Vec<u8> {
        let nal_units = stream(choices);
        sample(&nal_units.iter().map(|(nal, _)| nal.as_slice()).collect::<Vec<_>>())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1024))]

        #[test]
        fn slice_headers_end_where_they_were_written(choices in choices()) {
            let mut scanner = scanner();
            for (nal, clear_bytes) in stream(choices) {
                let clear = u16::try_from(4 + clear_bytes).expect("a short header");
                let protected = u32::try_from(nal.len() - clear_bytes).expect("a short slice");
                prop_assert_eq!(scan(&mut *scanner, &sample(&[&nal])), Ok(vec![(clear, protected)]));
            }
        }

        #[test]
        fn only_the_header_is_looked_at(choices in choices()) {
            let mut scanner = scanner();
            for (nal, clear_bytes) in stream(choices) {
                let (header, _) = nal.split_at(clear_bytes);
                let clear = u16::try_from(4 + clear_bytes).expect("a short header");
                prop_assert_eq!(scan(&mut *scanner, &sample(&[header])), Ok(vec![(clear, 0)]));
                let (one_byte_less, _) = header.split_at(clear_bytes - 1);
                if nal.first().is_some_and(|byte| byte >> 1 < 32) {
                    prop_assert!(scan(&mut *scanner, &sample(&[one_byte_less])).is_err());
                }
            }
        }
    }

    proptest! {
        #[test]
        fn damaged_samples_are_covered_exactly_or_refused(
            choices in choices(),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
            length in any::<prop::sample::Index>(),
        ) {
            let mut scanner = scanner();
            let mut sample = stream_sample(choices);
            prop_assert!(scan(&mut *scanner, &sample).is_ok());
            break_up(&mut sample, &damage, length);
            if let Ok(map) = scan(&mut *scanner, &sample) {
                prop_assert!(covers(&map, sample.len()));
            }
        }

        #[test]
        fn arbitrary_nal_units_are_covered_exactly_or_refused(
            nal_units in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..6),
            choices in choices(),
        ) {
            let mut scanner = scanner();
            prop_assert!(scan(&mut *scanner, &stream_sample(choices)).is_ok());
            let nal_units: Vec<&[u8]> = nal_units.iter().map(Vec::as_slice).collect();
            let sample = sample(&nal_units);
            if let Ok(map) = scan(&mut *scanner, &sample) {
                prop_assert!(covers(&map, sample.len()));
            }
        }
    }
}

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::codec::bit_writer::BitWriter;
use crate::codec::test_streams::{Choices, break_up, covers, scan};
use crate::isobmff::{Reader, TypedBox};

/// `av1C` without a sequence header.
fn config() -> Av1Configuration {
    Av1Configuration::parse(&mut Reader::new(&[0x81, 0, 0, 0])).expect("a valid av1C")
}

fn scanner() -> Box<dyn SampleScanner> {
    let av1 = Av1::open(config(), None).expect("a valid configuration");
    av1.scanner().expect("tiles have clear bytes around them")
}

/// An OBU with its size field, and without an extension.
fn obu(obu_type: u8, payload: &[u8]) -> Vec<u8> {
    let size = u8::try_from(payload.len()).expect("a short payload");
    assert!(size < 0x80, "one byte of leb128()");
    [&[obu_type << 3 | 0b010, size], payload].concat()
}

const PADDING: u8 = 15;
const METADATA: u8 = 5;

mod rules {
    //! Which bytes stay clear, and what is refused; on the smallest of streams.

    use super::written::{SequenceChoice, write_sequence};
    use super::*;

    /// Of `sequence`, whose OBU this is.
    fn sequence_obu(sequence: &SequenceChoice) -> Vec<u8> {
        obu(
            obu_type::SEQUENCE_HEADER,
            &write_sequence(sequence, &mut Choices::new(vec![])),
        )
    }

    /// A scanner that knows a sequence header.
    fn opened(sequence: &SequenceChoice) -> Box<dyn SampleScanner> {
        let mut scanner = scanner();
        let sample = sequence_obu(sequence);
        let clear = u16::try_from(sample.len()).expect("a short header");
        assert_eq!(scan(&mut *scanner, &sample), Ok(vec![(clear, 0)]));
        scanner
    }

    /// `sequence` with a frame of 2 x 2 superblocks.
    fn two_by_two() -> SequenceChoice {
        SequenceChoice {
            max_frame_size: [128, 128],
            ..SequenceChoice::default()
        }
    }

    /// The header of a key frame that is shown, up to `tile_info()`.
    fn key_frame() -> BitWriter {
        let mut bits = BitWriter::default();
        // show_existing_frame, frame_type, show_frame, disable_cdf_update, frame_size_override_flag,
        // render_and_frame_size_different, disable_frame_end_update_cdf.
        bits.flag(false)
            .u(2, 0)
            .flag(true)
            .flag(false)
            .flag(false)
            .flag(false)
            .flag(false);
        bits
    }

    /// What stands behind `tile_info()` of a lossless intra frame.
    fn lossless(bits: &mut BitWriter) -> &mut BitWriter {
        // base_q_idx, three deltas, using_qmatrix, segmentation_enabled, reduced_tx_set.
        bits.u(8, 0).u(3, 0).flag(false).flag(false).flag(false)
    }

    /// The whole header of a key frame of one superblock, with no bits for tiles but the flag.
    fn small_key_frame() -> BitWriter {
        let mut bits = key_frame();
        bits.flag(true);
        lossless(&mut bits);
        bits
    }

    /// A key frame of 2 x 2 tiles, whose sizes have `size_bytes`.
    fn tiled_key_frame(size_bytes: u32) -> BitWriter {
        let mut bits = key_frame();
        bits.flag(true).flag(true).flag(true).u(2, 3).u(2, size_bytes - 1);
        lossless(&mut bits);
        bits
    }

    fn frame(header: &BitWriter, tiles: &[u8]) -> Vec<u8> {
        obu(obu_type::FRAME, &[header.bytes().as_slice(), tiles].concat())
    }

    fn error(scanner: &mut dyn SampleScanner, sample: &[u8]) -> String {
        scan(scanner, sample).expect_err("an error").to_string()
    }

    fn clear(bytes: usize) -> u16 {
        u16::try_from(bytes).expect("a short header")
    }

    #[test]
    fn the_last_obu_may_have_no_size() {
        let header = small_key_frame();
        let mut sample = obu(obu_type::TEMPORAL_DELIMITER, &[]);
        sample.push(obu_type::FRAME << 3);
        sample.extend(header.bytes());
        let expected = clear(sample.len());
        sample.extend([0xaa; 5]);
        assert_eq!(
            scan(&mut *opened(&SequenceChoice::default()), &sample),
            Ok(vec![(expected, 5)])
        );
    }

    #[test]
    fn extension_headers_and_sizes_of_more_bytes_stay_clear() {
        let header = small_key_frame();
        // obu_size in two bytes of leb128(), the second of them zero.
        let payload = u8::try_from(header.bytes().len() + 5).expect("short");
        let mut sample = vec![obu_type::FRAME << 3 | 0b110, 2 << 5 | 1 << 3, payload | 0x80, 0];
        sample.extend(header.bytes());
        let expected = clear(sample.len());
        sample.extend([0xaa; 5]);
        assert_eq!(
            scan(&mut *opened(&SequenceChoice::default()), &sample),
            Ok(vec![(expected, 5)])
        );
    }

    #[test]
    fn obus_without_tiles_stay_clear() {
        let kinds = (0..16).filter(|kind| ![1, 3, 4, 6, 7, 8].contains(kind));
        for kind in kinds {
            let sample = obu(kind, &[0xff; 9]);
            assert_eq!(
                scan(&mut *opened(&SequenceChoice::default()), &sample),
                Ok(vec![(11, 0)]),
                "{kind}"
            );
        }
        let header = small_key_frame();
        let around = [obu(METADATA, &[1, 2, 3]), obu(PADDING, &[0; 20])].concat();
        let sample = [around.clone(), frame(&header, &[0xaa; 3]), around.clone()].concat();
        assert_eq!(
            scan(&mut *opened(&SequenceChoice::default()), &sample),
            Ok(vec![
                (clear(around.len() + 2 + header.bytes().len()), 3),
                (clear(around.len()), 0)
            ])
        );
    }

    #[test]
    fn tile_lists_are_refused() {
        assert_eq!(
            error(
                &mut *opened(&SequenceChoice::default()),
                &obu(obu_type::TILE_LIST, &[0; 9])
            ),
            "AV1: large scale tile decoding (OBU_TILE_LIST) is not supported yet"
        );
    }

    #[test]
    fn each_tile_is_a_subsample() {
        for size_bytes in 1..=4 {
            let header = tiled_key_frame(size_bytes);
            let size = |bytes: u32| ((bytes - 1).to_le_bytes(), size_bytes as usize);
            let mut tiles = vec![0]; // tile_start_and_end_present_flag, and byte_alignment().
            for bytes in [1, 20, 3] {
                let (le, count) = size(bytes);
                tiles.extend(le.iter().take(count));
                tiles.extend(vec![0xaa; bytes as usize]);
            }
            tiles.push(0xbb);
            let between = u16::try_from(size_bytes).expect("few");
            assert_eq!(
                scan(&mut *opened(&two_by_two()), &frame(&header, &tiles)),
                Ok(vec![
                    (clear(2 + header.bytes().len() + 1) + between, 1),
                    (between, 20),
                    (between, 3),
                    (0, 1)
                ])
            );
        }
    }

    #[test]
    fn tile_groups_follow_their_frame_header_and_its_copies() {
        let mut header = tiled_key_frame(1);
        let header = header.trailing_bits().bytes();
        // tile_start_and_end_present_flag, tg_start and tg_end.
        let group = |start: u32, end: u32, tiles: &[u8]| {
            let mut bits = BitWriter::default();
            bits.flag(true).u(2, start).u(2, end);
            obu(obu_type::TILE_GROUP, &[bits.bytes().as_slice(), tiles].concat())
        };
        let sample = [
            obu(obu_type::FRAME_HEADER, &header),
            group(0, 1, &[2, 0xaa, 0xaa, 0xaa, 0xbb]),
            obu(obu_type::REDUNDANT_FRAME_HEADER, &header),
            group(2, 2, &[0xcc; 7]),
            obu(obu_type::FRAME_HEADER, &header),
            group(3, 3, &[0xdd; 9]),
        ]
        .concat();
        let header_obu = 2 + header.len();
        let expected = vec![
            (clear(header_obu + 3 + 1), 3),
            (0, 1),
            (clear(header_obu + 3), 7),
            (clear(header_obu + 3), 9),
        ];
        assert_eq!(scan(&mut *opened(&two_by_two()), &sample), Ok(expected));

        let first = [obu(obu_type::FRAME_HEADER, &header), group(0, 0, &[0xaa])].concat();
        assert_eq!(
            error(&mut *opened(&two_by_two()), &first),
            format!(
                "AV1: ends behind 1 tiles of a frame, expected 4, at byte {} of the sample",
                first.len()
            )
        );
        for (start, end) in [(0, 1), (2, 3), (1, 0)] {
            let sample = [first.clone(), group(start, end, &[0, 0xaa, 0xaa])].concat();
            let error = error(&mut *opened(&two_by_two()), &sample);
            let problem = format!("a tile group of tiles {start} to {end}, expected 1 to at most 3");
            assert!(error.contains(&problem), "{problem}: {error}");
        }
        for (sample, problem) in [
            (group(0, 3, &[0; 9]), "tiles without a frame header before them"),
            (
                obu(obu_type::REDUNDANT_FRAME_HEADER, &header),
                "OBU_REDUNDANT_FRAME_HEADER without a frame header before it",
            ),
            (
                [first, frame(&tiled_key_frame(1), &[0; 9])].concat(),
                "OBU_FRAME before all tiles of the frame before it",
            ),
        ] {
            let error = error(&mut *opened(&two_by_two()), &sample);
            assert!(error.contains(problem), "{problem}: {error}");
        }
    }

    #[test]
    fn tiles_that_do_not_fit_are_refused() {
        let header = tiled_key_frame(1);
        for (tiles, problem) in [
            (&[0, 9, 0xaa][..], "tile 0 of 10 bytes, with 1 left"),
            (&[0, 0, 0xaa, 0, 0xaa][..], "ends before the size of tile 2"),
            (&[0, 0, 0xaa, 0, 0xaa, 0, 0xaa][..], "tile 3 of 0 bytes, with 0 left"),
            (&[0b0000_0001, 0, 0xaa][..], "a bit of byte_alignment() is set"),
        ] {
            let error = error(&mut *opened(&two_by_two()), &frame(&header, tiles));
            assert!(error.contains(problem), "{problem}: {error}");
        }
    }

    #[test]
    fn damage_is_located() {
        let mut scanner = opened(&SequenceChoice::default());
        let mut header = small_key_frame();
        for (sample, problem) in [
            (
                vec![0x80 | obu_type::FRAME << 3, 0],
                "obu_forbidden_bit is set".to_owned(),
            ),
            (
                vec![obu_type::FRAME << 3 | 0b010, 9, 0],
                "obu_size is 9, with 1 bytes left".to_owned(),
            ),
            (frame(&key_frame(), &[]), "ends too early".to_owned()),
            (
                // Without trailing_bits().
                obu(obu_type::FRAME_HEADER, &header.flag(false).bytes()),
                "trailing_one_bit is 0".to_owned(),
            ),
        ] {
            let error = error(&mut *scanner, &sample);
            assert!(
                error.starts_with("AV1: ") && error.contains(&problem),
                "{problem}: {error}"
            );
        }
        let error = error(&mut *super::scanner(), &frame(&small_key_frame(), &[0xaa]));
        assert!(error.contains("carries a sequence header"), "{error}");
    }

    /// An inter frame with no order hints, up to `reduced_tx_set`: all its references are slot 0.
    fn inter_frame(primary_ref_frame: u32) -> BitWriter {
        let mut bits = BitWriter::default();
        // show_existing_frame, frame_type, show_frame, error_resilient_mode, disable_cdf_update,
        // frame_size_override_flag, primary_ref_frame, refresh_frame_flags.
        bits.flag(false).u(2, 1).flag(true).flag(false).flag(false).flag(false);
        bits.u(3, primary_ref_frame).u(8, 0);
        for _ in 0..7 {
            bits.u(3, 0);
        }
        bits.flag(false); // render_and_frame_size_different
        bits.flag(false).flag(true).flag(false).flag(false); // Up to disable_frame_end_update_cdf.
        bits.flag(true).u(8, 0).u(3, 0).flag(false).flag(false); // Tiles, quantization, segmentation_enabled.
        bits.flag(false).flag(false); // reference_select, reduced_tx_set
        bits.u(7, 0); // is_global
        bits
    }

    #[test]
    fn references_to_frames_that_are_not_there_are_refused() {
        let mut scanner = opened(&SequenceChoice::default());
        let error = error(&mut *scanner, &frame(&inter_frame(0), &[0xaa]));
        assert!(
            error.contains("a frame refers to reference slot 0, which no frame since the last sync sample has filled"),
            "{error}"
        );
        assert!(scan(&mut *scanner, &frame(&small_key_frame(), &[0xaa])).is_ok());
        let header = inter_frame(0);
        assert_eq!(
            scan(&mut *scanner, &frame(&header, &[0xaa; 4])),
            Ok(vec![(clear(2 + header.bytes().len()), 4)])
        );
    }

    #[test]
    fn a_key_frame_that_is_shown_later_fills_all_slots() {
        let mut scanner = opened(&SequenceChoice::default());
        // Not shown, but showable; error resilient; stored in slot 5 alone.
        let mut hidden = BitWriter::default();
        hidden.flag(false).u(2, 0).flag(false).flag(true).flag(true);
        hidden
            .flag(false)
            .flag(false)
            .u(8, 1 << 5)
            .flag(false)
            .flag(false)
            .flag(true);
        lossless(&mut hidden);
        assert!(scan(&mut *scanner, &frame(&hidden, &[0xaa])).is_ok());
        let error = error(&mut *scanner, &frame(&inter_frame(0), &[0xaa]));
        assert!(error.contains("reference slot 0"), "{error}");

        let mut show = BitWriter::default();
        show.flag(true).u(3, 5);
        let sample = obu(obu_type::FRAME_HEADER, &show.trailing_bits().bytes());
        assert_eq!(scan(&mut *scanner, &sample), Ok(vec![(3, 0)]));
        assert!(scan(&mut *scanner, &frame(&inter_frame(0), &[0xaa])).is_ok());
    }

    /// Segments of a frame that are lossless by its own quantizer index and theirs stay so in the next, which takes them over.
    #[test]
    fn segments_are_taken_over_from_the_primary_reference() {
        let mut key = key_frame();
        key.flag(true).u(8, 9).u(3, 0).flag(false).flag(true);
        for _segment in 0..8 {
            // SEG_LVL_ALT_Q is -9, and no other feature is enabled.
            key.flag(true).u(9, 512 - 9).u(7, 0);
        }
        key.flag(false).flag(false); // delta_q_present, reduced_tx_set
        let key = obu(obu_type::FRAME_HEADER, &key.trailing_bits().bytes());
        let mut inter = BitWriter::default();
        inter
            .flag(false)
            .u(2, 1)
            .flag(true)
            .flag(false)
            .flag(false)
            .flag(false)
            .u(3, 6)
            .u(8, 0)
            .u(21, 0)
            .flag(false);
        inter
            .flag(false)
            .flag(true)
            .flag(false)
            .flag(false)
            .flag(true)
            .u(8, 9)
            .u(3, 0)
            .flag(false);
        // segmentation_enabled without a new map or new data; then as above, with reference_select and is_global.
        inter
            .flag(true)
            .flag(false)
            .flag(false)
            .flag(false)
            .flag(false)
            .flag(false)
            .u(7, 0);
        let inter = obu(obu_type::FRAME_HEADER, &inter.trailing_bits().bytes());
        let mut scanner = opened(&SequenceChoice::default());
        for header in [key, inter] {
            let sample = [header.clone(), obu(obu_type::TILE_GROUP, &[0xaa])].concat();
            assert_eq!(scan(&mut *scanner, &sample), Ok(vec![(clear(header.len() + 2), 1)]));
        }
    }

    /// Distances of one bit are 0 and -1, so that 0 is also in front of -1 (5.9.22 with 5.9.3).
    #[test]
    fn distances_of_order_hints_go_round() {
        let sequence = SequenceChoice {
            order_hint_bits: 1,
            ..SequenceChoice::default()
        };
        let mut scanner = opened(&sequence);
        let mut key = BitWriter::default();
        key.flag(false).u(2, 0).flag(true).flag(false).flag(false).u(1, 0);
        key.flag(false).flag(false).flag(true);
        lossless(&mut key);
        assert!(scan(&mut *scanner, &frame(&key, &[0xaa])).is_ok());
        // Of order hint 1, stored in slot 1; its last reference is `last`.
        let inter = |last: u32, skip_mode_present: Option<bool>| {
            let mut bits = BitWriter::default();
            bits.flag(false)
                .u(2, 1)
                .flag(true)
                .flag(false)
                .flag(false)
                .flag(false)
                .u(1, 1);
            bits.u(3, 7).u(8, 1 << 1).flag(false);
            for _ in 0..6 {
                bits.u(3, 0);
            }
            bits.u(3, last)
                .flag(false)
                .flag(false)
                .flag(true)
                .flag(false)
                .flag(false);
            bits.flag(true).u(8, 0).u(3, 0).flag(false).flag(false);
            bits.flag(true); // reference_select
            if let Some(skip_mode_present) = skip_mode_present {
                bits.flag(skip_mode_present);
            }
            bits.flag(false).u(7, 0);
            bits
        };
        // As its own OBU, so that trailing_bits() tell where the header ends.
        let header = |mut bits: BitWriter| obu(obu_type::FRAME_HEADER, &bits.trailing_bits().bytes());
        let sample = |bits: BitWriter| [header(bits), obu(obu_type::TILE_GROUP, &[0xaa])].concat();
        assert!(
            scan(&mut *scanner, &sample(inter(0, None))).is_ok(),
            "one reference alone"
        );
        assert!(scan(&mut *scanner, &sample(inter(1, Some(true)))).is_ok());
    }

    #[test]
    fn reduced_still_pictures_have_the_shortest_header() {
        let sequence = SequenceChoice {
            reduced_still_picture_header: true,
            ..SequenceChoice::default()
        };
        let mut bits = BitWriter::default();
        // disable_cdf_update, allow_screen_content_tools (the sequence does not say), render_and_frame_size_different,
        // uniform_tile_spacing_flag.
        bits.flag(false).flag(false).flag(false).flag(true);
        lossless(&mut bits);
        assert_eq!(
            scan(&mut *opened(&sequence), &frame(&bits, &[0xaa; 3])),
            Ok(vec![(clear(2 + bits.bytes().len()), 3)])
        );
    }

    #[test]
    fn a_temporal_delimiter_ends_a_frame() {
        let mut header = tiled_key_frame(1);
        let sample = [
            obu(obu_type::FRAME_HEADER, &header.trailing_bits().bytes()),
            obu(obu_type::TEMPORAL_DELIMITER, &[]),
            obu(obu_type::TILE_GROUP, &[0; 9]),
        ]
        .concat();
        let error = error(&mut *opened(&two_by_two()), &sample);
        assert!(error.contains("tiles without a frame header before them"), "{error}");
    }
}

mod written {
    //! Sequence and frame headers as the tables of 5.5 and 5.9 have them, written by other code than reads them.
    //!
    //! What no frame header depends on is drawn from choices: without any, it is zero.

    use super::*;

    #[derive(Clone)]
    #[expect(clippy::struct_excessive_bools, reason = "the standard's flags, by their names")]
    pub struct SequenceChoice {
        pub reduced_still_picture_header: bool,
        pub equal_picture_interval: bool,
        /// `buffer_removal_time_length` and `frame_presentation_time_length`.
        pub decoder_model: Option<[u32; 2]>,
        /// `operating_point_idc`, and `decoder_model_present_for_this_op`.
        pub operating_points: Vec<(u32, bool)>,
        /// `max_frame_width` and `max_frame_height`.
        pub max_frame_size: [u32; 2],
        /// `delta_frame_id_length_minus_2` and `additional_frame_id_length_minus_1`.
        pub frame_ids: Option<[u32; 2]>,
        pub use_128x128_superblock: bool,
        pub enable_warped_motion: bool,
        /// 0 without `enable_order_hint`.
        pub order_hint_bits: u32,
        pub enable_ref_frame_mvs: bool,
        pub seq_force_screen_content_tools: Option<bool>,
        pub seq_force_integer_mv: Option<bool>,
        pub enable_superres: bool,
        pub enable_cdef: bool,
        pub enable_restoration: bool,
        pub seq_profile: u32,
        pub mono_chrome: bool,
        /// `BitDepth` 12 of profile 2, where the subsampling is said.
        pub subsampling_of_12_bits: [bool; 2],
        pub has_12_bits: bool,
        pub separate_uv_delta_q: bool,
        pub film_grain_params_present: bool,
    }

    /// `frame_width_bits_minus_1` and its like are 15.
    const FRAME_SIZE_BITS: u32 = 16;

    impl Default for SequenceChoice {
        fn default() -> Self {
            Self {
                reduced_still_picture_header: false,
                equal_picture_interval: false,
                decoder_model: None,
                operating_points: vec![(0, false)],
                max_frame_size: [64, 64],
                frame_ids: None,
                use_128x128_superblock: false,
                enable_warped_motion: false,
                order_hint_bits: 0,
                enable_ref_frame_mvs: false,
                seq_force_screen_content_tools: Some(false),
                seq_force_integer_mv: None,
                enable_superres: false,
                enable_cdef: false,
                enable_restoration: false,
                seq_profile: 0,
                mono_chrome: false,
                subsampling_of_12_bits: [false; 2],
                has_12_bits: false,
                separate_uv_delta_q: false,
                film_grain_params_present: false,
            }
        }
    }

    impl SequenceChoice {
        pub fn choose(choices: &mut Choices) -> Self {
            let reduced_still_picture_header = choices.up_to(7) == 7;
            let maybe = |choices: &mut Choices| choices.flag().then(|| choices.flag());
            let decoder_model = choices.flag() && !reduced_still_picture_header;
            let frame_ids = choices.flag() && !reduced_still_picture_header;
            let order_hint_bits = if choices.flag() { 1 + choices.up_to(7) } else { 0 };
            let seq_profile = choices.up_to(2);
            let subsampling_x = choices.flag();
            let mut chosen = Self {
                reduced_still_picture_header,
                equal_picture_interval: choices.flag(),
                decoder_model: decoder_model.then(|| [1 + choices.up_to(31), 1 + choices.up_to(31)]),
                operating_points: (0..=choices.up_to(31))
                    .map(|_| (choices.up_to(4095), decoder_model && choices.flag()))
                    .collect(),
                // No more than 64 tiles a side, of any choice below.
                max_frame_size: [1 + choices.up_to(8191), 1 + choices.up_to(4095)],
                frame_ids: frame_ids.then(|| [choices.up_to(13), choices.up_to(0)]),
                use_128x128_superblock: choices.flag(),
                enable_warped_motion: choices.flag(),
                order_hint_bits,
                enable_ref_frame_mvs: order_hint_bits > 0 && choices.flag(),
                seq_force_screen_content_tools: maybe(choices),
                seq_force_integer_mv: maybe(choices),
                enable_superres: choices.flag(),
                enable_cdef: choices.flag(),
                enable_restoration: choices.flag(),
                seq_profile,
                mono_chrome: seq_profile != 1 && choices.flag(),
                subsampling_of_12_bits: [subsampling_x, subsampling_x && choices.flag()],
                has_12_bits: seq_profile == 2 && choices.flag(),
                separate_uv_delta_q: choices.flag(),
                film_grain_params_present: choices.flag(),
            };
            if chosen.mono_chrome {
                chosen.separate_uv_delta_q = false;
            }
            if reduced_still_picture_header {
                // What the short header does not say (5.5.1).
                chosen.enable_warped_motion = false;
                chosen.order_hint_bits = 0;
                chosen.enable_ref_frame_mvs = false;
                chosen.seq_force_screen_content_tools = None;
                chosen.seq_force_integer_mv = None;
            }
            chosen
        }

        const fn num_planes(&self) -> usize {
            if self.mono_chrome { 1 } else { 3 }
        }

        /// `subsampling_x` and `subsampling_y` are both set.
        fn is_420(&self) -> bool {
            match (self.mono_chrome, self.seq_profile) {
                (true, _) | (_, 0) => true,
                (_, 1) => false,
                _ => self.has_12_bits && self.subsampling_of_12_bits == [true, true],
            }
        }

        /// `idLen`.
        fn id_len(&self) -> Option<u32> {
            self.frame_ids.map(|[delta, additional]| additional + delta + 3)
        }
    }

    /// The payload of a sequence header OBU.
    pub fn write_sequence(sequence: &SequenceChoice, choices: &mut Choices) -> Vec<u8> {
        let mut bits = BitWriter::default();
        bits.u(3, sequence.seq_profile);
        bits.flag(sequence.reduced_still_picture_header)
            .flag(sequence.reduced_still_picture_header);
        if sequence.reduced_still_picture_header {
            bits.u(5, choices.up_to(31));
        } else {
            operating_points(&mut bits, sequence, choices);
        }
        bits.u(4, FRAME_SIZE_BITS - 1).u(4, FRAME_SIZE_BITS - 1);
        for size in sequence.max_frame_size {
            bits.u(FRAME_SIZE_BITS, size - 1);
        }
        if !sequence.reduced_still_picture_header {
            bits.flag(sequence.frame_ids.is_some());
            if let Some([delta, additional]) = sequence.frame_ids {
                bits.u(4, delta).u(3, additional);
            }
        }
        bits.flag(sequence.use_128x128_superblock)
            .flag(choices.flag())
            .flag(choices.flag());
        if !sequence.reduced_still_picture_header {
            bits.flag(choices.flag())
                .flag(choices.flag())
                .flag(sequence.enable_warped_motion)
                .flag(choices.flag());
            let enable_order_hint = sequence.order_hint_bits > 0;
            bits.flag(enable_order_hint);
            if enable_order_hint {
                bits.flag(choices.flag()).flag(sequence.enable_ref_frame_mvs);
            }
            bits.flag(sequence.seq_force_screen_content_tools.is_none());
            if let Some(forced) = sequence.seq_force_screen_content_tools {
                bits.flag(forced);
            }
            if sequence.seq_force_screen_content_tools != Some(false) {
                bits.flag(sequence.seq_force_integer_mv.is_none());
                if let Some(forced) = sequence.seq_force_integer_mv {
                    bits.flag(forced);
                }
            }
            if enable_order_hint {
                bits.u(3, sequence.order_hint_bits - 1);
            }
        }
        bits.flag(sequence.enable_superres)
            .flag(sequence.enable_cdef)
            .flag(sequence.enable_restoration);
        color_config(&mut bits, sequence, choices);
        bits.flag(sequence.film_grain_params_present);
        bits.trailing_bits().bytes()
    }

    fn operating_points(bits: &mut BitWriter, sequence: &SequenceChoice, choices: &mut Choices) {
        let timing_info_present_flag = sequence.decoder_model.is_some() || sequence.equal_picture_interval;
        let buffer_delay_length = 1 + choices.up_to(31);
        bits.flag(timing_info_present_flag);
        if timing_info_present_flag {
            bits.u(32, choices.byte())
                .u(32, choices.byte())
                .flag(sequence.equal_picture_interval);
            if sequence.equal_picture_interval {
                bits.ue(choices.up_to(1000)); // uvlc() has the codes of ue(v).
            }
            bits.flag(sequence.decoder_model.is_some());
            if let Some([removal, presentation]) = sequence.decoder_model {
                bits.u(5, buffer_delay_length - 1)
                    .u(32, choices.byte())
                    .u(5, removal - 1)
                    .u(5, presentation - 1);
            }
        }
        let initial_display_delay_present_flag = choices.flag();
        bits.flag(initial_display_delay_present_flag);
        bits.u(
            5,
            u32::try_from(sequence.operating_points.len() - 1).expect("at most 32"),
        );
        for (operating_point_idc, decoder_model_present_for_this_op) in &sequence.operating_points {
            let seq_level_idx = choices.up_to(31);
            bits.u(12, *operating_point_idc).u(5, seq_level_idx);
            if seq_level_idx > 7 {
                bits.flag(choices.flag());
            }
            if sequence.decoder_model.is_some() {
                bits.flag(*decoder_model_present_for_this_op);
                if *decoder_model_present_for_this_op {
                    bits.u(buffer_delay_length, choices.up_to(1))
                        .u(buffer_delay_length, 0)
                        .flag(choices.flag());
                }
            }
            if initial_display_delay_present_flag {
                let initial_display_delay_present_for_this_op = choices.flag();
                bits.flag(initial_display_delay_present_for_this_op);
                if initial_display_delay_present_for_this_op {
                    bits.u(4, choices.up_to(9));
                }
            }
        }
    }

    fn color_config(bits: &mut BitWriter, sequence: &SequenceChoice, choices: &mut Choices) {
        let high_bitdepth = sequence.has_12_bits || choices.flag();
        bits.flag(high_bitdepth);
        if sequence.seq_profile == 2 && high_bitdepth {
            bits.flag(sequence.has_12_bits);
        }
        if sequence.seq_profile != 1 {
            bits.flag(sequence.mono_chrome);
        }
        let color_description_present_flag = choices.flag();
        // RGB says more by itself, and is 4:4:4.
        let is_rgb = color_description_present_flag
            && !sequence.mono_chrome
            && (sequence.seq_profile == 1 || sequence.has_12_bits && sequence.subsampling_of_12_bits == [false; 2])
            && choices.flag();
        bits.flag(color_description_present_flag);
        if color_description_present_flag {
            let transfer_characteristics = if is_rgb { 13 } else { 16 };
            bits.u(8, 1).u(8, transfer_characteristics).u(8, 0);
        }
        if sequence.mono_chrome {
            bits.flag(choices.flag());
            return;
        }
        if !is_rgb {
            bits.flag(choices.flag());
            if sequence.has_12_bits {
                let [x, y] = sequence.subsampling_of_12_bits;
                bits.flag(x);
                if x {
                    bits.flag(y);
                }
            }
            if sequence.is_420() {
                bits.u(2, choices.up_to(2));
            }
        }
        bits.flag(sequence.separate_uv_delta_q);
    }

    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Kind {
        Key,
        Inter,
        IntraOnly,
        Switch,
    }

    /// What a decoder keeps of a frame (7.20).
    #[derive(Clone)]
    struct Saved {
        kind: Kind,
        upscaled_width: u32,
        frame_height: u32,
        order_hint: u32,
        /// `FeatureData[][SEG_LVL_ALT_Q]`, where it is enabled.
        alt_q: [Option<i32>; 8],
    }

    /// The state of a decoder between frames.
    #[derive(Clone, Default)]
    pub struct Decoder {
        slots: Vec<Saved>,
    }

    /// The tiles of a frame.
    pub struct Tiles {
        pub cols: u32,
        pub rows: u32,
        /// `TileColsLog2 + TileRowsLog2`.
        pub bits: u32,
        pub size_bytes: usize,
    }

    /// What a frame header announces.
    pub enum Announced {
        Existing,
        Tiles(Tiles),
    }

    /// The literal `get_relative_dist()` (7.9.3 and 5.9.3).
    fn relative_dist(a: u32, b: u32, sequence: &SequenceChoice) -> i32 {
        if sequence.order_hint_bits == 0 {
            return 0;
        }
        let diff = a.cast_signed() - b.cast_signed();
        let m = 1 << (sequence.order_hint_bits - 1);
        (diff & (m - 1)) - (diff & m)
    }

    /// `uncompressed_header()` of an OBU of layers `temporal_id` and `spatial_id`.
    #[expect(clippy::too_many_lines, reason = "one table of the standard")]
    pub fn frame_header(
        bits: &mut BitWriter,
        sequence: &SequenceChoice,
        decoder: &mut Decoder,
        [temporal_id, spatial_id]: [u32; 2],
        choices: &mut Choices,
    ) -> Announced {
        let reduced = sequence.reduced_still_picture_header;
        let is_first = decoder.slots.is_empty();
        let temporal_point_info = sequence.decoder_model.filter(|_| !sequence.equal_picture_interval);
        let mut kind = Kind::Key;
        let (mut show_frame, mut showable_frame, mut error_resilient_mode) = (true, false, true);
        if !reduced {
            let show_existing_frame = !is_first && choices.up_to(7) == 1;
            bits.flag(show_existing_frame);
            if show_existing_frame {
                let frame_to_show_map_idx = choices.up_to(7);
                bits.u(3, frame_to_show_map_idx);
                if let Some([_, presentation]) = temporal_point_info {
                    bits.u(presentation, choices.up_to(1));
                }
                if let Some(id_len) = sequence.id_len() {
                    bits.u(id_len, choices.up_to(7));
                }
                let shown = decoder
                    .slots
                    .get(frame_to_show_map_idx as usize)
                    .cloned()
                    .expect("8 slots");
                if shown.kind == Kind::Key {
                    decoder.slots = vec![shown; 8];
                }
                return Announced::Existing;
            }
            if !is_first {
                kind = match choices.up_to(3) {
                    0 => Kind::Inter,
                    1 => Kind::Key,
                    2 => Kind::IntraOnly,
                    _ => Kind::Switch,
                };
                show_frame = choices.flag();
            }
            bits.u(
                2,
                match kind {
                    Kind::Key => 0,
                    Kind::Inter => 1,
                    Kind::IntraOnly => 2,
                    Kind::Switch => 3,
                },
            );
            bits.flag(show_frame);
            if let Some([_, presentation]) = temporal_point_info.filter(|_| show_frame) {
                bits.u(presentation, choices.up_to(1));
            }
            if show_frame {
                showable_frame = kind != Kind::Key;
            } else {
                showable_frame = choices.flag();
                bits.flag(showable_frame);
            }
            if kind != Kind::Switch && !(kind == Kind::Key && show_frame) {
                error_resilient_mode = choices.flag();
                bits.flag(error_resilient_mode);
            }
        }
        let is_intra = matches!(kind, Kind::Key | Kind::IntraOnly);
        let disable_cdf_update = choices.flag();
        bits.flag(disable_cdf_update);
        let select = |bits: &mut BitWriter, forced: Option<bool>, choices: &mut Choices| {
            forced.unwrap_or_else(|| {
                let chosen = choices.flag();
                bits.flag(chosen);
                chosen
            })
        };
        let allow_screen_content_tools = select(bits, sequence.seq_force_screen_content_tools, choices);
        let force_integer_mv = allow_screen_content_tools && select(bits, sequence.seq_force_integer_mv, choices);
        if let Some(id_len) = sequence.id_len() {
            bits.u(id_len, choices.up_to(7));
        }
        let mut frame_size_override_flag = kind == Kind::Switch;
        if kind != Kind::Switch && !reduced {
            frame_size_override_flag = choices.flag();
            bits.flag(frame_size_override_flag);
        }
        let order_hint = choices.up_to((1 << sequence.order_hint_bits) - 1);
        bits.u(sequence.order_hint_bits, order_hint);
        let mut primary_ref_frame = 7;
        if !is_intra && !error_resilient_mode {
            primary_ref_frame = choices.up_to(7);
            bits.u(3, primary_ref_frame);
        }
        if let Some([removal, _]) = sequence.decoder_model {
            let buffer_removal_time_present_flag = choices.flag();
            bits.flag(buffer_removal_time_present_flag);
            for (idc, is_present) in &sequence.operating_points {
                let in_layers = idc >> temporal_id & 1 == 1 && idc >> (spatial_id + 8) & 1 == 1;
                if buffer_removal_time_present_flag && *is_present && (*idc == 0 || in_layers) {
                    bits.u(removal, choices.up_to(1));
                }
            }
        }
        let mut refresh_frame_flags = 0xff;
        if !(kind == Kind::Switch || kind == Kind::Key && show_frame) {
            refresh_frame_flags = choices.up_to(255);
            bits.u(8, refresh_frame_flags);
        }
        if (!is_intra || refresh_frame_flags != 0xff) && error_resilient_mode && sequence.order_hint_bits > 0 {
            for saved in &decoder.slots {
                bits.u(sequence.order_hint_bits, saved.order_hint);
            }
        }

        let mut size = FrameSize::default();
        let (mut allow_intrabc, mut allow_high_precision_mv) = (false, false);
        let mut references: Vec<Saved> = Vec::new();
        if is_intra {
            size.write(bits, sequence, frame_size_override_flag, choices);
            if allow_screen_content_tools && size.upscaled_width == size.frame_width {
                allow_intrabc = choices.flag();
                bits.flag(allow_intrabc);
            }
        } else {
            references = reference_frames(bits, sequence, decoder, order_hint, choices);
            if frame_size_override_flag && !error_resilient_mode {
                size.write_with_refs(bits, sequence, &references, choices);
            } else {
                size.write(bits, sequence, frame_size_override_flag, choices);
            }
            if !force_integer_mv {
                allow_high_precision_mv = choices.flag();
                bits.flag(allow_high_precision_mv);
            }
            let is_filter_switchable = choices.flag();
            bits.flag(is_filter_switchable);
            if !is_filter_switchable {
                bits.u(2, choices.up_to(3));
            }
            bits.flag(choices.flag());
            if !error_resilient_mode && sequence.enable_ref_frame_mvs {
                bits.flag(choices.flag());
            }
        }
        if !reduced && !disable_cdf_update {
            bits.flag(choices.flag());
        }
        let tiles = tile_info(bits, sequence, &size, choices);

        let base_q_idx = choices.up_to(255);
        let has_deltas = quantization_deltas(bits, sequence, base_q_idx, choices);
        let previous = references.get(primary_ref_frame as usize).map(|saved| saved.alt_q);
        let alt_q = segmentation_params(bits, previous, choices);
        let lossless =
            |alt_q: &Option<i32>| (base_q_idx.cast_signed() + alt_q.unwrap_or(0)).clamp(0, 255) == 0 && !has_deltas;
        let coded_lossless = alt_q.iter().all(lossless);
        let all_lossless = coded_lossless && size.frame_width == size.upscaled_width;
        if base_q_idx > 0 {
            let delta_q_present = choices.flag();
            bits.flag(delta_q_present);
            if delta_q_present {
                bits.u(2, choices.up_to(3));
                if !allow_intrabc {
                    let delta_lf_present = choices.flag();
                    bits.flag(delta_lf_present);
                    if delta_lf_present {
                        bits.u(2, choices.up_to(3)).flag(choices.flag());
                    }
                }
            }
        }
        if !coded_lossless && !allow_intrabc {
            loop_filter_params(bits, sequence, choices);
            if sequence.enable_cdef {
                let cdef_bits = choices.up_to(3);
                bits.u(2, choices.up_to(3)).u(2, cdef_bits);
                for _ in 0..1 << cdef_bits {
                    for _ in 0..if sequence.num_planes() > 1 { 2 } else { 1 } {
                        bits.u(4, choices.up_to(15)).u(2, choices.up_to(3));
                    }
                }
            }
        }
        if !all_lossless && !allow_intrabc && sequence.enable_restoration {
            lr_params(bits, sequence, choices);
        }
        if !coded_lossless {
            bits.flag(choices.flag());
        }
        if !is_intra {
            let reference_select = choices.flag();
            bits.flag(reference_select);
            if reference_select && skip_mode_allowed(sequence, &references, order_hint) {
                bits.flag(choices.flag());
            }
            if !error_resilient_mode && sequence.enable_warped_motion {
                bits.flag(choices.flag());
            }
        }
        bits.flag(choices.flag());
        if !is_intra {
            for _ in 0..7 {
                global_motion(bits, allow_high_precision_mv, choices);
            }
        }
        if sequence.film_grain_params_present && (show_frame || showable_frame) {
            film_grain_params(bits, sequence, kind, choices);
        }

        let saved = Saved {
            kind,
            upscaled_width: size.upscaled_width,
            frame_height: size.frame_height,
            order_hint,
            alt_q,
        };
        if is_first {
            decoder.slots = vec![saved.clone(); 8];
        }
        for (i, slot) in decoder.slots.iter_mut().enumerate() {
            if refresh_frame_flags >> i & 1 == 1 {
                *slot = saved.clone();
            }
        }
        Announced::Tiles(tiles)
    }

    /// `ref_frame_idx[]`, as the frames in the slots.
    fn reference_frames(
        bits: &mut BitWriter,
        sequence: &SequenceChoice,
        decoder: &Decoder,
        order_hint: u32,
        choices: &mut Choices,
    ) -> Vec<Saved> {
        let mut ref_frame_idx: Vec<usize> = Vec::new();
        let mut frame_refs_short_signaling = false;
        if sequence.order_hint_bits > 0 {
            frame_refs_short_signaling = choices.flag();
            bits.flag(frame_refs_short_signaling);
            if frame_refs_short_signaling {
                let (last_frame_idx, gold_frame_idx) = (choices.up_to(7), choices.up_to(7));
                bits.u(3, last_frame_idx).u(3, gold_frame_idx);
                let half = 1 << (sequence.order_hint_bits - 1);
                let shifted: Vec<i32> = decoder
                    .slots
                    .iter()
                    .map(|saved| half + relative_dist(saved.order_hint, order_hint, sequence))
                    .collect();
                ref_frame_idx = set_frame_refs(&shifted, half, last_frame_idx as usize, gold_frame_idx as usize);
            }
        }
        for i in 0..7 {
            if !frame_refs_short_signaling {
                let idx = choices.up_to(7);
                bits.u(3, idx);
                ref_frame_idx.insert(i, idx as usize);
            }
            if let Some([delta_frame_id_length_minus_2, _]) = sequence.frame_ids {
                bits.u(delta_frame_id_length_minus_2 + 2, choices.up_to(3));
            }
        }
        let slot = |idx: usize| decoder.slots.get(idx).cloned().expect("8 slots");
        ref_frame_idx.into_iter().map(slot).collect()
    }

    /// 7.8, line by line.
    fn set_frame_refs(shifted: &[i32], current: i32, last: usize, gold: usize) -> Vec<usize> {
        let mut used = vec![last, gold];
        let mut idx = BTreeMap::from([(0, last), (3, gold)]);
        // Of each place: whether it looks backward, and for the latest. ALTREF, BWDREF, ALTREF2, and then all that are
        // not set: LAST2, LAST3, BWDREF, ALTREF2, ALTREF.
        let backward = [(6, true, true), (4, true, false), (5, true, false)];
        let forward = [1, 2, 4, 5, 6].map(|place| (place, false, true));
        for (place, is_backward, is_latest) in backward.into_iter().chain(forward) {
            if idx.contains_key(&place) {
                continue;
            }
            let mut found: Option<(usize, i32)> = None;
            for (i, hint) in shifted.iter().enumerate() {
                if used.contains(&i) || (*hint >= current) != is_backward {
                    continue;
                }
                if found.is_none_or(|(_, best)| if is_latest { *hint >= best } else { *hint < best }) {
                    found = Some((i, *hint));
                }
            }
            if let Some((slot, _)) = found {
                idx.insert(place, slot);
                used.push(slot);
            }
        }
        let mut rest: Option<(usize, i32)> = None;
        for (i, hint) in shifted.iter().enumerate() {
            if rest.is_none_or(|(_, earliest)| *hint < earliest) {
                rest = Some((i, *hint));
            }
        }
        let (rest, _) = rest.expect("8 slots");
        (0..7).map(|place| idx.get(&place).copied().unwrap_or(rest)).collect()
    }

    /// `skipModeAllowed` (5.9.22), line by line.
    fn skip_mode_allowed(sequence: &SequenceChoice, references: &[Saved], order_hint: u32) -> bool {
        if sequence.order_hint_bits == 0 {
            return false;
        }
        let (mut forward, mut backward) = (None, None);
        for saved in references {
            let hint = saved.order_hint;
            let dist = relative_dist(hint, order_hint, sequence);
            if dist < 0 {
                if forward.is_none_or(|forward| relative_dist(hint, forward, sequence) > 0) {
                    forward = Some(hint);
                }
            } else if dist > 0 && backward.is_none_or(|backward| relative_dist(hint, backward, sequence) < 0) {
                backward = Some(hint);
            }
        }
        let (Some(forward), None) = (forward, backward) else {
            return forward.is_some();
        };
        references
            .iter()
            .any(|saved| relative_dist(saved.order_hint, forward, sequence) < 0)
    }

    #[derive(Default)]
    struct FrameSize {
        frame_width: u32,
        upscaled_width: u32,
        frame_height: u32,
    }

    impl FrameSize {
        /// `frame_size()` and `render_size()`.
        fn write(&mut self, bits: &mut BitWriter, sequence: &SequenceChoice, is_said: bool, choices: &mut Choices) {
            [self.upscaled_width, self.frame_height] = sequence.max_frame_size;
            if is_said {
                let [width, height] = sequence.max_frame_size;
                self.upscaled_width = width - choices.up_to(width - 1);
                self.frame_height = height - choices.up_to(height - 1);
                bits.u(FRAME_SIZE_BITS, self.upscaled_width - 1)
                    .u(FRAME_SIZE_BITS, self.frame_height - 1);
            }
            self.superres_params(bits, sequence, choices);
            let render_and_frame_size_different = choices.flag();
            bits.flag(render_and_frame_size_different);
            if render_and_frame_size_different {
                bits.u(16, choices.up_to(65535)).u(16, choices.up_to(65535));
            }
        }

        fn write_with_refs(
            &mut self,
            bits: &mut BitWriter,
            sequence: &SequenceChoice,
            references: &[Saved],
            choices: &mut Choices,
        ) {
            for saved in references {
                let found_ref = choices.flag();
                bits.flag(found_ref);
                if found_ref {
                    self.upscaled_width = saved.upscaled_width;
                    self.frame_height = saved.frame_height;
                    self.superres_params(bits, sequence, choices);
                    return;
                }
            }
            self.write(bits, sequence, true, choices);
        }

        fn superres_params(&mut self, bits: &mut BitWriter, sequence: &SequenceChoice, choices: &mut Choices) {
            let mut superres_denom = 8;
            if sequence.enable_superres {
                let use_superres = choices.flag();
                bits.flag(use_superres);
                if use_superres {
                    let coded_denom = choices.up_to(7);
                    bits.u(3, coded_denom);
                    superres_denom = coded_denom + 9;
                }
            }
            self.frame_width = (self.upscaled_width * 8 + superres_denom / 2) / superres_denom;
        }
    }

    fn tile_log2(blk_size: u32, target: u32) -> u32 {
        (0..32).find(|k| blk_size << k >= target).expect("one is")
    }

    /// `ns(n)` (4.10.7).
    fn ns(bits: &mut BitWriter, n: u32, value: u32) {
        let w = (0..32).find(|w| n >> w == 0).expect("one is");
        let m = (1 << w) - n;
        if value < m {
            bits.u(w - 1, value);
        } else {
            bits.u(w - 1, (value + m) >> 1).u(1, (value + m) & 1);
        }
    }

    fn tile_info(bits: &mut BitWriter, sequence: &SequenceChoice, size: &FrameSize, choices: &mut Choices) -> Tiles {
        let (mi_cols, mi_rows) = (2 * ((size.frame_width + 7) >> 3), 2 * ((size.frame_height + 7) >> 3));
        let sb_shift = if sequence.use_128x128_superblock { 5 } else { 4 };
        let [sb_cols, sb_rows] = [mi_cols, mi_rows].map(|mi| (mi + (1 << sb_shift) - 1) >> sb_shift);
        let max_tile_width_sb = 4096 >> (sb_shift + 2);
        let max_tile_area_sb = (4096 * 2304) >> (2 * (sb_shift + 2));
        let min_log2_tile_cols = tile_log2(max_tile_width_sb, sb_cols);
        let min_log2_tiles = min_log2_tile_cols.max(tile_log2(max_tile_area_sb, sb_rows * sb_cols));
        let uniform_tile_spacing_flag = choices.flag();
        bits.flag(uniform_tile_spacing_flag);
        let (mut log2, mut counts) = ([0; 2], [0; 2]);
        if uniform_tile_spacing_flag {
            let mut min_log2 = min_log2_tile_cols;
            for ((log2, count), sbs) in log2.iter_mut().zip(&mut counts).zip([sb_cols, sb_rows]) {
                let max_log2 = tile_log2(1, sbs.min(64));
                *log2 = min_log2;
                while *log2 < max_log2 {
                    let increment = choices.flag();
                    bits.flag(increment);
                    if !increment {
                        break;
                    }
                    *log2 += 1;
                }
                let tile_size_sb = (sbs + (1 << *log2) - 1) >> *log2;
                *count = (0..sbs).step_by(tile_size_sb as usize).count();
                min_log2 = min_log2_tiles.saturating_sub(*log2);
            }
        } else {
            let mut max_size = max_tile_width_sb;
            for ((log2, count), sbs) in log2.iter_mut().zip(&mut counts).zip([sb_cols, sb_rows]) {
                let (mut start_sb, mut widest) = (0, 0);
                while start_sb < sbs {
                    let max = (sbs - start_sb).min(max_size);
                    // Two at least where there may be, so that there are no more than 64 tiles.
                    let size_minus_1 = choices.up_to(max - 1).max(u32::from(max > 1));
                    ns(bits, max, size_minus_1);
                    widest = widest.max(size_minus_1 + 1);
                    start_sb += size_minus_1 + 1;
                    *count += 1;
                }
                *log2 = tile_log2(1, u32::try_from(*count).expect("few"));
                let area = sb_rows * sb_cols;
                let max_area = if min_log2_tiles > 0 {
                    area >> (min_log2_tiles + 1)
                } else {
                    area
                };
                max_size = (max_area / widest).max(1);
            }
        }
        let [cols, rows] = counts.map(|count: usize| u32::try_from(count).expect("few"));
        let tile_bits = log2.iter().sum();
        let mut size_bytes = 0;
        if tile_bits > 0 {
            let tile_size_bytes_minus_1 = choices.up_to(3);
            bits.u(tile_bits, choices.up_to(cols * rows - 1))
                .u(2, tile_size_bytes_minus_1);
            size_bytes = tile_size_bytes_minus_1 as usize + 1;
        }
        Tiles {
            cols,
            rows,
            bits: tile_bits,
            size_bytes,
        }
    }

    /// `quantization_params()`; returns whether any of the deltas is not zero.
    fn quantization_deltas(
        bits: &mut BitWriter,
        sequence: &SequenceChoice,
        base_q_idx: u32,
        choices: &mut Choices,
    ) -> bool {
        bits.u(8, base_q_idx);
        let mut has_deltas = false;
        let mut delta_q = |bits: &mut BitWriter, choices: &mut Choices| {
            let delta_coded = choices.up_to(7) == 1;
            bits.flag(delta_coded);
            if delta_coded {
                let delta = choices.up_to(127);
                bits.u(7, delta);
                has_deltas |= delta != 0;
            }
        };
        delta_q(bits, choices);
        if sequence.num_planes() > 1 {
            let mut diff_uv_delta = false;
            if sequence.separate_uv_delta_q {
                diff_uv_delta = choices.flag();
                bits.flag(diff_uv_delta);
            }
            for _ in 0..if diff_uv_delta { 4 } else { 2 } {
                delta_q(bits, choices);
            }
        }
        let using_qmatrix = choices.flag();
        bits.flag(using_qmatrix);
        if using_qmatrix {
            bits.u(4, choices.up_to(15)).u(4, choices.up_to(15));
            if sequence.separate_uv_delta_q {
                bits.u(4, choices.up_to(15));
            }
        }
        has_deltas
    }

    fn segmentation_params(
        bits: &mut BitWriter,
        previous: Option<[Option<i32>; 8]>,
        choices: &mut Choices,
    ) -> [Option<i32>; 8] {
        let segmentation_enabled = choices.flag();
        bits.flag(segmentation_enabled);
        if !segmentation_enabled {
            return [None; 8];
        }
        if let Some(previous) = previous {
            let segmentation_update_map = choices.flag();
            bits.flag(segmentation_update_map);
            if segmentation_update_map {
                bits.flag(choices.flag());
            }
            let segmentation_update_data = choices.flag();
            bits.flag(segmentation_update_data);
            if !segmentation_update_data {
                return previous;
            }
        }
        let mut alt_q = [None; 8];
        for alt_q in &mut alt_q {
            for (feature, (feature_bits, is_signed)) in [(8, 1), (6, 1), (6, 1), (6, 1), (6, 1), (3, 0), (0, 0), (0, 0)]
                .into_iter()
                .enumerate()
            {
                let feature_enabled = choices.flag();
                bits.flag(feature_enabled);
                if feature_enabled {
                    let value = choices.signed((1 << feature_bits) - 1) * is_signed;
                    let count = feature_bits + is_signed.cast_unsigned();
                    bits.u(count, value.cast_unsigned());
                    if feature == 0 {
                        *alt_q = Some(value);
                    }
                }
            }
        }
        alt_q
    }

    fn loop_filter_params(bits: &mut BitWriter, sequence: &SequenceChoice, choices: &mut Choices) {
        let levels = [choices.up_to(63), choices.up_to(63)];
        for level in levels {
            bits.u(6, level);
        }
        if sequence.num_planes() > 1 && levels != [0, 0] {
            bits.u(6, choices.up_to(63)).u(6, choices.up_to(63));
        }
        let (loop_filter_delta_enabled, loop_filter_delta_update) = (choices.flag(), choices.flag());
        bits.u(3, choices.up_to(7)).flag(loop_filter_delta_enabled);
        if loop_filter_delta_enabled {
            bits.flag(loop_filter_delta_update);
            for _ in 0..if loop_filter_delta_update { 8 + 2 } else { 0 } {
                let update_delta = choices.flag();
                bits.flag(update_delta);
                if update_delta {
                    bits.u(7, choices.up_to(127));
                }
            }
        }
    }

    fn lr_params(bits: &mut BitWriter, sequence: &SequenceChoice, choices: &mut Choices) {
        let lr_types: Vec<u32> = (0..sequence.num_planes()).map(|_| choices.up_to(3)).collect();
        for lr_type in &lr_types {
            bits.u(2, *lr_type);
        }
        if lr_types.iter().all(|lr_type| *lr_type == 0) {
            return;
        }
        let lr_unit_shift = choices.flag();
        bits.flag(lr_unit_shift);
        if !sequence.use_128x128_superblock && lr_unit_shift {
            bits.flag(choices.flag());
        }
        if sequence.is_420() && lr_types.iter().skip(1).any(|lr_type| *lr_type != 0) {
            bits.flag(choices.flag());
        }
    }

    fn global_motion(bits: &mut BitWriter, allow_high_precision_mv: bool, choices: &mut Choices) {
        let (is_global, is_rot_zoom, is_translation) = (choices.flag(), choices.flag(), choices.flag());
        bits.flag(is_global);
        if !is_global {
            return;
        }
        bits.flag(is_rot_zoom);
        if is_rot_zoom {
            // read_global_param() of 2 and 3, then of 0 and 1.
            (0..4).for_each(|_| global_param(bits, 12, choices));
            return;
        }
        bits.flag(is_translation);
        if is_translation {
            let abs_bits = if allow_high_precision_mv { 9 } else { 8 };
            (0..2).for_each(|_| global_param(bits, abs_bits, choices));
        } else {
            (0..6).for_each(|_| global_param(bits, 12, choices));
        }
    }

    /// `decode_subexp()` of any of the 2^`abs_bits` + 1 + 2^`abs_bits` symbols.
    fn global_param(bits: &mut BitWriter, abs_bits: u32, choices: &mut Choices) {
        let num_syms = (1 << abs_bits) * 2 + 1;
        let value = choices.up_to(num_syms - 1);
        let (mut i, mut mk, k) = (0, 0, 3);
        loop {
            let b2 = if i == 0 { k } else { k + i - 1 };
            let a = 1 << b2;
            if num_syms <= mk + 3 * a {
                ns(bits, num_syms - mk, value - mk);
                return;
            }
            let subexp_more_bits = value >= mk + a;
            bits.flag(subexp_more_bits);
            if !subexp_more_bits {
                bits.u(b2, value - mk);
                return;
            }
            i += 1;
            mk += a;
        }
    }

    fn film_grain_params(bits: &mut BitWriter, sequence: &SequenceChoice, kind: Kind, choices: &mut Choices) {
        let apply_grain = choices.flag();
        bits.flag(apply_grain);
        if !apply_grain {
            return;
        }
        bits.u(16, choices.up_to(65535));
        if kind == Kind::Inter {
            let update_grain = choices.flag();
            bits.flag(update_grain);
            if !update_grain {
                bits.u(3, choices.up_to(7));
                return;
            }
        }
        let points = |bits: &mut BitWriter, max: u32, choices: &mut Choices| {
            let count = choices.up_to(max);
            bits.u(4, count);
            for _ in 0..count {
                bits.u(8, choices.byte()).u(8, choices.byte());
            }
            count > 0
        };
        let has_y = points(bits, 14, choices);
        let mut chroma_scaling_from_luma = false;
        if !sequence.mono_chrome {
            chroma_scaling_from_luma = choices.flag();
            bits.flag(chroma_scaling_from_luma);
        }
        let (mut has_cb, mut has_cr) = (false, false);
        if !sequence.mono_chrome && !chroma_scaling_from_luma && (has_y || !sequence.is_420()) {
            has_cb = points(bits, 10, choices);
            has_cr = points(bits, 10, choices);
        }
        let ar_coeff_lag = choices.up_to(3);
        bits.u(2, choices.up_to(3)).u(2, ar_coeff_lag);
        let num_pos_luma = 2 * ar_coeff_lag * (ar_coeff_lag + 1);
        let mut coefficients = if has_y { num_pos_luma } else { 0 };
        for has_plane in [has_cb, has_cr] {
            if chroma_scaling_from_luma || has_plane {
                coefficients += num_pos_luma + u32::from(has_y);
            }
        }
        for _ in 0..coefficients {
            bits.u(8, choices.byte());
        }
        bits.u(2, choices.up_to(3)).u(2, choices.up_to(3));
        for _ in [has_cb, has_cr].into_iter().filter(|has_plane| *has_plane) {
            bits.u(8, choices.byte()).u(8, choices.byte()).u(9, choices.up_to(511));
        }
        bits.flag(choices.flag()).flag(choices.flag());
    }
}

mod generated_streams {
    //! Streams with every syntax element of a frame header, in every kind of OBU.

    use super::written::{Announced, Decoder, SequenceChoice, Tiles, frame_header, write_sequence};
    use super::*;

    /// Clear and protected bytes of each subsample.
    type Map = Vec<(u16, u32)>;

    /// A sample and its subsample map, which grow together.
    #[derive(Default)]
    struct Written {
        bytes: Vec<u8>,
        map: Map,
        clear: usize,
    }

    impl Written {
        /// An OBU of `parts`: bytes that stay clear, and bytes of a tile behind them.
        fn push(&mut self, obu_type: u8, layers: [u8; 2], parts: &[(Vec<u8>, Vec<u8>)], choices: &mut Choices) {
            let size: usize = parts.iter().map(|(clear, tile)| clear.len() + tile.len()).sum();
            let [temporal_id, spatial_id] = layers;
            let has_extension = layers != [0, 0] || choices.flag();
            let mut header = vec![obu_type << 3 | u8::from(has_extension) << 2 | 0b10];
            if has_extension {
                header.push(temporal_id << 5 | spatial_id << 3);
            }
            // leb128() may have more bytes than it needs.
            let (mut rest, bytes) = (size, 3 + choices.up_to(5));
            for i in 0..bytes {
                let more = if i + 1 < bytes { 0x80 } else { 0 };
                header.push(u8::try_from(rest & 0x7f).expect("7 bits") | more);
                rest >>= 7;
            }
            assert_eq!(rest, 0);
            self.clear += header.len();
            self.bytes.extend(header);
            for (clear, tile) in parts {
                self.bytes.extend(clear);
                self.bytes.extend(tile);
                self.clear += clear.len();
                if !tile.is_empty() {
                    let protected = u32::try_from(tile.len()).expect("short");
                    self.map.push((u16::try_from(self.clear).expect("short"), protected));
                    self.clear = 0;
                }
            }
        }

        fn end(mut self) -> (Vec<u8>, Map) {
            if self.clear > 0 || self.map.is_empty() {
                self.map.push((u16::try_from(self.clear).expect("short"), 0));
            }
            (self.bytes, self.map)
        }
    }

    /// `tile_group_obu()` of the tiles from `start` to `end`, behind `header`.
    fn tile_group(
        header: Vec<u8>,
        tiles: &Tiles,
        [start, end]: [u32; 2],
        choices: &mut Choices,
    ) -> Vec<(Vec<u8>, Vec<u8>)> {
        let num_tiles = tiles.cols * tiles.rows;
        let mut bits = BitWriter::default();
        if num_tiles > 1 {
            let is_said = [start, end] != [0, num_tiles - 1] || choices.flag();
            bits.flag(is_said);
            if is_said {
                bits.u(tiles.bits, start).u(tiles.bits, end);
            }
        }
        let mut clear = header;
        clear.extend(bits.bytes());
        let mut parts = Vec::new();
        for tile_num in start..=end {
            let size = 1 + choices.up_to(40) as usize;
            if tile_num != end {
                clear.extend((size - 1).to_le_bytes().iter().take(tiles.size_bytes));
            }
            parts.push((std::mem::take(&mut clear), vec![0xaa; size]));
        }
        parts
    }

    fn push_frame(written: &mut Written, sequence: &SequenceChoice, decoder: &mut Decoder, choices: &mut Choices) {
        let layers = [choices.up_to(7), choices.up_to(3)];
        let mut bits = BitWriter::default();
        let announced = frame_header(&mut bits, sequence, decoder, layers, choices);
        let layers = layers.map(|layer| u8::try_from(layer).expect("3 bits"));
        let mut own_obu = bits.clone();
        let own_obu = own_obu.trailing_bits().bytes();
        let Announced::Tiles(tiles) = announced else {
            written.push(obu_type::FRAME_HEADER, layers, &[(own_obu, vec![])], choices);
            return;
        };
        let num_tiles = tiles.cols * tiles.rows;
        let is_one_obu = choices.flag();
        if !is_one_obu {
            written.push(obu_type::FRAME_HEADER, layers, &[(own_obu.clone(), vec![])], choices);
        }
        let mut start = 0;
        while start < num_tiles {
            let end = num_tiles - 1 - choices.up_to(num_tiles - 1 - start);
            if is_one_obu && start == 0 {
                let parts = tile_group(bits.bytes(), &tiles, [start, end], choices);
                written.push(obu_type::FRAME, layers, &parts, choices);
            } else {
                if choices.up_to(7) == 1 {
                    let copy = [(own_obu.clone(), vec![])];
                    written.push(obu_type::REDUNDANT_FRAME_HEADER, layers, &copy, choices);
                }
                let parts = tile_group(vec![], &tiles, [start, end], choices);
                written.push(obu_type::TILE_GROUP, layers, &parts, choices);
            }
            start = end + 1;
        }
    }

    /// Samples and their subsample maps.
    fn stream(choices: Vec<u8>) -> Vec<(Vec<u8>, Map)> {
        let choices = &mut Choices::new(choices);
        let sequence = SequenceChoice::choose(choices);
        let mut decoder = Decoder::default();
        let mut samples = Vec::new();
        for sample in 0..=choices.up_to(5) {
            let mut written = Written::default();
            if choices.flag() {
                written.push(obu_type::TEMPORAL_DELIMITER, [0, 0], &[], choices);
            }
            if sample == 0 || choices.up_to(7) == 1 {
                let header = write_sequence(&sequence, choices);
                written.push(obu_type::SEQUENCE_HEADER, [0, 0], &[(header, vec![])], choices);
            }
            for _ in 0..=choices.up_to(2) {
                push_frame(&mut written, &sequence, &mut decoder, choices);
                let kind = [METADATA, PADDING, 12].get(choices.up_to(7) as usize).copied();
                if let Some(kind) = kind {
                    written.push(kind, [0, 0], &[(vec![0x55; 9], vec![])], choices);
                }
            }
            samples.push(written.end());
        }
        samples
    }

    fn choices() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(any::<u8>(), 0..2000)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn tiles_stand_where_they_were_written(choices in choices()) {
            let mut scanner = scanner();
            for (sample, map) in stream(choices) {
                prop_assert_eq!(scan(&mut *scanner, &sample), Ok(map));
            }
        }
    }

    proptest! {
        #[test]
        fn damaged_samples_are_covered_exactly_or_refused(
            choices in choices(),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
            length in any::<prop::sample::Index>(),
        ) {
            let mut scanner = scanner();
            for (mut sample, _) in stream(choices) {
                break_up(&mut sample, &damage, length);
                if let Ok(map) = scan(&mut *scanner, &sample) {
                    prop_assert!(covers(&map, sample.len()));
                }
            }
        }
    }
}

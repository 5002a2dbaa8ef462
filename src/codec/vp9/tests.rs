use proptest::prelude::*;

use super::*;
use crate::codec::bit_writer::BitWriter;
use crate::codec::test_streams::{Choices, break_up, covers, scan};
use crate::isobmff::{Reader, TypedBox};

type Map = Vec<(u16, u32)>;

fn vp9(config: &str) -> Vp9 {
    let payload = hex::decode(config.replace(' ', "")).expect("hexadecimal");
    Vp9::new(VpConfiguration::parse(&mut Reader::new(&payload)).expect("a valid vpcC"))
}

fn scanner() -> Box<dyn SampleScanner> {
    let vp9 = vp9("01000000 00 0a 82 01 01 01 0000");
    vp9.scanner().expect("frames have clear headers")
}

/// Frames and the index behind them, whose sizes have `size_bytes` bytes.
fn superframe(frames: &[Vec<u8>], size_bytes: usize) -> Vec<u8> {
    let marker = u8::try_from(0b110 << 5 | (size_bytes - 1) << 3 | (frames.len() - 1)).expect("at most 8 frames");
    let mut sample = frames.concat();
    sample.push(marker);
    for frame in frames {
        sample.extend(frame.len().to_le_bytes().iter().take(size_bytes));
    }
    sample.push(marker);
    sample
}

mod rules {
    //! Which bytes stay clear, and what is refused; on the smallest of streams.

    use super::*;

    /// A frame: a header and `behind` bytes behind it.
    fn frame(header: &BitWriter, behind: usize) -> Vec<u8> {
        [header.bytes(), vec![0xaa; behind]].concat()
    }

    /// From `frame_context_idx` on: no filter, no segments, one tile.
    fn end(bits: &mut BitWriter, header_size_in_bytes: u32) -> BitWriter {
        bits.u(2, 0).u(6 + 3, 0).flag(false).u(8, 0).u(3, 0).flag(false);
        bits.flag(false).u(16, header_size_in_bytes).clone()
    }

    /// A key frame of profile 0, 64 x 64 pixels, error resilient.
    fn key_frame(header_size_in_bytes: u32) -> BitWriter {
        let mut bits = BitWriter::default();
        bits.u(2, 2).u(2, 0).flag(false);
        bits.u(3, 0b011).u(24, 0x49_83_42).u(3, 1).flag(false);
        bits.u(16, 63).u(16, 63).flag(false);
        end(&mut bits, header_size_in_bytes)
    }

    /// A hidden frame that takes its size from slot 0.
    fn inter_frame() -> BitWriter {
        let mut bits = BitWriter::default();
        bits.u(2, 2).u(2, 0).flag(false);
        bits.u(3, 0b101).flag(false).u(8, 1).u(12, 0);
        bits.flag(true).flag(false).flag(false).flag(true);
        end(&mut bits, 1)
    }

    fn show_existing_frame() -> BitWriter {
        BitWriter::default().u(2, 2).u(2, 0).flag(true).u(3, 5).clone()
    }

    fn clear(header: &BitWriter) -> u16 {
        u16::try_from(header.bytes().len()).expect("a short header")
    }

    fn error(scanner: &mut dyn SampleScanner, sample: &[u8]) -> String {
        scan(scanner, sample).expect_err("damaged").to_string()
    }

    #[test]
    fn uncompressed_headers_stay_clear() {
        let (key, inter) = (key_frame(3), inter_frame());
        let mut scanner = scanner();
        assert_eq!(scan(&mut *scanner, &frame(&key, 20)), Ok(vec![(clear(&key), 20)]));
        assert_eq!(scan(&mut *scanner, &frame(&inter, 1)), Ok(vec![(clear(&inter), 1)]));
        assert_eq!(scan(&mut *scanner, &[]), Ok(vec![(0, 0)]));
    }

    #[test]
    fn frames_that_show_another_stay_clear_with_their_padding() {
        let shown = show_existing_frame();
        assert_eq!(scan(&mut *scanner(), &frame(&shown, 0)), Ok(vec![(1, 0)]));
        assert_eq!(scan(&mut *scanner(), &frame(&shown, 40)), Ok(vec![(41, 0)]));
    }

    /// Each frame has a subsample of whole blocks. The rest is clear behind it, as Shaka Packager 3.8.0 has it, where the binding
    /// takes it from the bytes in front (Common Encryption, Sample Encryption); players go by the map.
    #[test]
    fn superframes_have_a_subsample_a_frame() {
        let (key, inter, shown) = (key_frame(3), inter_frame(), show_existing_frame());
        let frames = [frame(&key, 33), frame(&inter, 15), frame(&inter, 16), frame(&shown, 0)];
        for size_bytes in 1..=4 {
            let sample = superframe(&frames, size_bytes);
            let mut map = SubsampleMap::default();
            map.align(true);
            scanner().scan(&sample, &mut map).expect("a good sample");
            let map: Map = map
                .end_sample()
                .iter()
                .map(|entry| (entry.clear_bytes, entry.protected_bytes))
                .collect();
            let index_bytes = u16::try_from(2 + frames.len() * size_bytes).expect("a short index");
            let expected = [
                (clear(&key), 32),
                (1 + clear(&inter) + 15 + clear(&inter), 16),
                (1 + index_bytes, 0),
            ];
            assert_eq!(map, expected);
        }
    }

    #[test]
    fn indexes_that_do_not_fit_are_refused() {
        let frames = [frame(&key_frame(3), 30), frame(&inter_frame(), 30)];
        let good = superframe(&frames, 2);
        assert!(scan(&mut *scanner(), &good).is_ok());
        let index = good.len() - 6;
        let changed = |at: usize, byte: u8| {
            let mut sample = good.clone();
            *sample.get_mut(at).expect("in the sample") = byte;
            sample
        };
        let first_size = *good.get(index + 1).expect("in the sample");
        for (sample, problem) in [
            (changed(index, 0xc0), "does not stand 6 bytes from the end too"),
            (
                changed(index + 1, first_size + 1),
                "frames of 85 bytes together, with 84 in front of it",
            ),
            (vec![0xdf; 33], "a superframe index of 34 bytes in a sample of 33"),
            (vec![0xc0], "a superframe index of 3 bytes"),
            // A frame without bytes.
            (superframe(&[vec![], frame(&key_frame(3), 30)], 1), "ends too early"),
        ] {
            let error = error(&mut *scanner(), &sample);
            assert!(
                error.starts_with("VP9: ") && error.contains(problem),
                "{problem}: {error}"
            );
        }
    }

    #[test]
    fn damaged_headers_are_refused() {
        let begin = |bits: &[(u32, u32)]| {
            let mut writer = BitWriter::default();
            for (count, value) in bits {
                writer.u(*count, *value);
            }
            frame(&writer, 40)
        };
        for (sample, problem) in [
            (begin(&[(2, 1)]), "frame_marker is not 2"),
            (begin(&[(2, 2), (2, 3), (1, 1)]), "reserved_zero is 1"),
            (
                begin(&[(2, 2), (2, 0), (1, 0), (3, 2), (24, 0x49_83_43)]),
                "frame_sync_code is 0x498343, expected 0x498342",
            ),
            (
                begin(&[(2, 2), (2, 0), (1, 0), (3, 2), (24, 0x49_83_42), (3, 7)]),
                "color_space is RGB, which profile 0 does not have",
            ),
            (
                // profile_low_bit, RGB.
                begin(&[(2, 2), (2, 2), (1, 0), (3, 2), (24, 0x49_83_42), (3, 7), (1, 1)]),
                "reserved_zero is 1",
            ),
            (frame(&key_frame(0), 20), "header_size_in_bytes is 0, expected more"),
            (
                frame(&key_frame(21), 20),
                "header_size_in_bytes is 21, with 20 bytes left",
            ),
            (
                frame(&inter_frame(), 20),
                "slot 0, which no frame since the last sync sample has filled",
            ),
        ] {
            let error = error(&mut *scanner(), &sample);
            assert!(
                error.starts_with("VP9: ") && error.contains(problem) && error.contains("of the sample"),
                "{problem}: {error}"
            );
        }
    }

    #[test]
    fn codecs_strings_are_those_of_the_binding() {
        let string = |config: &str| vp9(config).rfc6381();
        // The binding's two examples.
        assert_eq!(
            string("01000000 02 0a a3 09 10 09 0000"),
            "vp09.02.10.10.01.09.16.09.01"
        );
        assert_eq!(string("01000000 00 29 82 01 01 01 0000"), "vp09.00.41.08");
        // As ffmpeg leaves colours open, and Shaka Packager spells it.
        assert_eq!(
            string("01000000 00 0a 82 02 02 02 0000"),
            "vp09.00.10.08.01.02.02.02.00"
        );
    }
}

mod written {
    //! Headers that no encoder at hand writes: a writer of its own, by the specification's syntax tables.

    use super::*;

    fn coded(bits: &mut BitWriter, count: u32, choices: &mut Choices) {
        let is_coded = choices.flag();
        bits.flag(is_coded);
        if is_coded {
            bits.u(count, choices.up_to((1 << count) - 1));
        }
    }

    fn color_config(bits: &mut BitWriter, profile: u32, choices: &mut Choices) {
        const CS_RGB: u32 = 7;
        let has_subsampling = profile == 1 || profile == 3;
        if profile >= 2 {
            bits.flag(choices.flag());
        }
        let color_space = choices.up_to(if has_subsampling { CS_RGB } else { CS_RGB - 1 });
        bits.u(3, color_space);
        if color_space != CS_RGB {
            bits.flag(choices.flag());
            if has_subsampling {
                bits.flag(choices.flag()).flag(choices.flag());
            }
        }
        if has_subsampling {
            bits.flag(false);
        }
    }

    /// Widths with every number of tile columns.
    fn frame_size(bits: &mut BitWriter, choices: &mut Choices) -> u32 {
        let width_minus_1 = choices.up_to(u16::MAX.into());
        bits.u(16, width_minus_1).u(16, choices.up_to(u16::MAX.into()));
        width_minus_1 + 1
    }

    fn render_size(bits: &mut BitWriter, choices: &mut Choices) {
        let render_and_frame_size_different = choices.flag();
        bits.flag(render_and_frame_size_different);
        if render_and_frame_size_different {
            bits.u(32, 0x1234_5678);
        }
    }

    fn segmentation_params(bits: &mut BitWriter, choices: &mut Choices) {
        let [enabled, update_map, temporal_update, update_data] = [(); 4].map(|()| choices.flag());
        bits.flag(enabled);
        if !enabled {
            return;
        }
        bits.flag(update_map);
        if update_map {
            (0..7).for_each(|_| coded(bits, 8, choices));
            bits.flag(temporal_update);
            if temporal_update {
                (0..3).for_each(|_| coded(bits, 8, choices));
            }
        }
        bits.flag(update_data);
        if update_data {
            bits.flag(choices.flag());
            for feature_bits in [9, 7, 2, 0].repeat(8) {
                coded(bits, feature_bits, choices);
            }
        }
    }

    /// As the loops of 6.2.14 count.
    fn tile_info(bits: &mut BitWriter, frame_width: u32, choices: &mut Choices) {
        let mi_cols = (frame_width + 7) >> 3;
        let sb64_cols = (mi_cols + 7) >> 3;
        let mut min_log2 = 0;
        while (64 << min_log2) < sb64_cols {
            min_log2 += 1;
        }
        let mut max_log2 = 1;
        while (sb64_cols >> max_log2) >= 4 {
            max_log2 += 1;
        }
        max_log2 -= 1;
        let tile_cols_log2 = max_log2 - choices.up_to(max_log2 - min_log2);
        for _ in min_log2..tile_cols_log2 {
            bits.flag(true);
        }
        if tile_cols_log2 < max_log2 {
            bits.flag(false);
        }
        let tile_rows_log2 = choices.up_to(2);
        bits.flag(tile_rows_log2 > 0);
        if tile_rows_log2 > 0 {
            bits.flag(tile_rows_log2 > 1);
        }
    }

    /// `uncompressed_header()`, and how many bytes follow it: none where a frame shows another.
    fn frame_header(widths: &mut [Option<u32>; 8], choices: &mut Choices) -> (Vec<u8>, u32) {
        let mut bits = BitWriter::default();
        let profile = choices.up_to(3);
        bits.u(2, 2).u(1, profile & 1).u(1, profile >> 1);
        if profile == 3 {
            bits.flag(false);
        }
        let is_first = widths.iter().all(Option::is_none);
        let show_existing_frame = !is_first && choices.up_to(7) == 1;
        bits.flag(show_existing_frame);
        if show_existing_frame {
            bits.u(3, choices.up_to(7));
            return (bits.bytes(), 0);
        }
        let is_key_frame = is_first || choices.up_to(7) == 1;
        let [show_frame, error_resilient_mode] = [(); 2].map(|()| choices.flag());
        bits.flag(!is_key_frame).flag(show_frame).flag(error_resilient_mode);
        let mut refresh_frame_flags = 0xff;
        let mut frame_width;
        if is_key_frame {
            bits.u(8, 0x49).u(8, 0x83).u(8, 0x42);
            color_config(&mut bits, profile, choices);
            frame_width = frame_size(&mut bits, choices);
            render_size(&mut bits, choices);
        } else {
            let intra_only = !show_frame && choices.flag();
            if !show_frame {
                bits.flag(intra_only);
            }
            if !error_resilient_mode {
                bits.u(2, choices.up_to(3));
            }
            refresh_frame_flags = choices.up_to(0xff);
            if intra_only {
                bits.u(8, 0x49).u(8, 0x83).u(8, 0x42);
                if profile > 0 {
                    color_config(&mut bits, profile, choices);
                }
                bits.u(8, refresh_frame_flags);
                frame_width = frame_size(&mut bits, choices);
                render_size(&mut bits, choices);
            } else {
                bits.u(8, refresh_frame_flags);
                let ref_frame_idx = [(); 3].map(|()| choices.up_to(7));
                for idx in ref_frame_idx {
                    bits.u(3, idx).flag(choices.flag());
                }
                frame_width = 0;
                for idx in ref_frame_idx {
                    let found_ref = choices.flag();
                    bits.flag(found_ref);
                    if found_ref {
                        let width = widths.get(idx as usize).copied().flatten();
                        frame_width = width.expect("a key frame filled all");
                        break;
                    }
                }
                if frame_width == 0 {
                    frame_width = frame_size(&mut bits, choices);
                }
                render_size(&mut bits, choices);
                bits.flag(choices.flag());
                let is_filter_switchable = choices.flag();
                bits.flag(is_filter_switchable);
                if !is_filter_switchable {
                    bits.u(2, choices.up_to(3));
                }
            }
        }
        if !error_resilient_mode {
            bits.flag(choices.flag()).flag(choices.flag());
        }
        bits.u(2, choices.up_to(3));
        // loop_filter_params()
        bits.u(6, choices.up_to(63)).u(3, choices.up_to(7));
        let [delta_enabled, delta_update] = [(); 2].map(|()| choices.flag());
        bits.flag(delta_enabled);
        if delta_enabled {
            bits.flag(delta_update);
            if delta_update {
                (0..6).for_each(|_| coded(&mut bits, 7, choices));
            }
        }
        // quantization_params()
        bits.u(8, choices.up_to(255));
        (0..3).for_each(|_| coded(&mut bits, 5, choices));
        segmentation_params(&mut bits, choices);
        tile_info(&mut bits, frame_width, choices);
        let header_size_in_bytes = 1 + choices.up_to(40);
        bits.u(16, header_size_in_bytes);
        for (i, width) in widths.iter_mut().enumerate() {
            if refresh_frame_flags >> i & 1 == 1 {
                *width = Some(frame_width);
            }
        }
        (bits.bytes(), header_size_in_bytes + choices.up_to(60))
    }

    /// Samples and their subsample maps.
    fn stream(choices: Vec<u8>) -> Vec<(Vec<u8>, Map)> {
        let choices = &mut Choices::new(choices);
        let mut widths = [None; 8];
        let mut samples = Vec::new();
        for _ in 0..=choices.up_to(5) {
            let (mut frames, mut map, mut clear) = (Vec::new(), Map::new(), 0);
            for _ in 0..=choices.up_to(7) {
                let (mut frame, protected) = frame_header(&mut widths, choices);
                clear += frame.len();
                if protected > 0 {
                    map.push((u16::try_from(clear).expect("short"), protected));
                    clear = 0;
                }
                frame.extend(vec![0xaa; protected as usize]);
                frames.push(frame);
            }
            let is_alone = frames.len() == 1 && choices.flag();
            let frames_bytes: usize = frames.iter().map(Vec::len).sum();
            let sample = if is_alone {
                frames.concat()
            } else {
                superframe(&frames, 2 + choices.up_to(2) as usize)
            };
            clear += sample.len() - frames_bytes;
            if clear > 0 {
                map.push((u16::try_from(clear).expect("short"), 0));
            }
            samples.push((sample, map));
        }
        samples
    }

    fn choices() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(any::<u8>(), 0..2000)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn headers_end_where_they_were_written(choices in choices()) {
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

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![expect(clippy::single_range_in_vec_init, reason = "a plan may have one segment")]

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::codec::{Codec, SampleScanner};
use crate::isobmff::{FourCc, Node, sample_flags};
use crate::media::edits::EditShift;
use crate::media::{Sample, SampleTable, Source};

#[derive(Debug)]
struct AnyCodec;

impl Codec for AnyCodec {
    fn name(&self) -> &'static str {
        "any"
    }

    fn rfc6381(&self) -> String {
        "any".to_owned()
    }

    fn scanner(&self) -> Option<Box<dyn SampleScanner>> {
        None
    }
}

/// A track of samples of `size` bytes that last a tick each, sync where `is_sync` says.
fn track(kind: MediaKind, timescale: u32, samples: u32, size: u32, is_sync: impl Fn(u32) -> bool) -> Track {
    let mut table = SampleTable::default();
    for index in 0..samples {
        let flags = if is_sync(index) {
            sample_flags::SYNC
        } else {
            sample_flags::NON_SYNC
        };
        let sample = Sample {
            offset: u64::from(index) * u64::from(size),
            size,
            decode_ticks: index.into(),
            duration_ticks: 1,
            composition_offset: 0,
            flags,
        };
        table.push(sample).unwrap();
    }
    let any_file = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    Track {
        source: Arc::new(Source::open(&any_file).unwrap()),
        id: 1,
        kind,
        timescale: Timescale::new(timescale).unwrap(),
        language: None,
        codec: Arc::new(AnyCodec),
        video_range: crate::codec::VideoRange::Sdr,
        dimensions: (640, 360),
        shift: EditShift::default(),
        description: Node::container(FourCc::new(b"trak"), Vec::new()),
        encryption: None,
        samples: table,
    }
}

/// Video of 25 pictures a second, with a keyframe each `gop` pictures.
fn video(samples: u32, gop: u32) -> Track {
    track(MediaKind::Video, 25, samples, 100, move |index| index % gop == 0)
}

/// Audio of 50 frames a second.
fn audio(samples: u32) -> Track {
    track(MediaKind::Audio, 50, samples, 100, |_| true)
}

fn plan(tracks: &[Track], target: &str) -> Result<Vec<Vec<Range<u32>>>, PlanError> {
    let plan = SegmentPlan::new(tracks, target.parse().unwrap())?;
    let samples = |track: &TrackPlan| {
        let whole = |segment: &PlannedSegment| {
            let (first, last) = (segment.fragments.first().unwrap(), segment.fragments.last().unwrap());
            first.start..last.end
        };
        track.segments.iter().map(whole).collect()
    };
    Ok(plan.tracks.iter().map(samples).collect())
}

#[test]
fn segments_start_at_the_keyframes_nearest_to_the_target() {
    // Keyframes each 2 s: exactly at the target, and as near as can be.
    assert_eq!(plan(&[video(300, 50)], "4").unwrap(), [[0..100, 100..200, 200..300]]);
    assert_eq!(
        plan(&[video(300, 50)], "2.9").unwrap(),
        [[0..50, 50..100, 100..150, 150..200, 200..250, 250..300]]
    );
    assert_eq!(plan(&[video(300, 50)], "3.1").unwrap(), [[0..100, 100..200, 200..300]]);
    // One keyframe alone: one segment, whatever the target.
    assert_eq!(plan(&[video(300, 300)], "1").unwrap(), [[0..300]]);
}

#[test]
fn audio_is_cut_where_the_video_is() {
    let tracks = [audio(600), video(300, 50)];
    let [audio, video] = plan(&tracks, "6").unwrap().try_into().unwrap();
    assert_eq!(video, [0..150, 150..300]);
    assert_eq!(audio, [0..300, 300..600]);
}

/// As of xHE-AAC and AC-4: what decoding can't begin with begins no segment, however late the next sync sample is.
#[test]
fn audio_is_cut_at_its_sync_samples() {
    let audio = |interval: u32| track(MediaKind::Audio, 50, 600, 100, move |index| index % interval == 0);
    let [sound, _] = plan(&[audio(32), video(300, 50)], "4").unwrap().try_into().unwrap();
    assert_eq!(sound, [0..224, 224..416, 416..600]);
    let [sound, _] = plan(&[audio(500), video(300, 50)], "4").unwrap().try_into().unwrap();
    assert_eq!(
        sound,
        [0..500, 500..600],
        "two cuts that fall on one sync sample are one"
    );
    assert_eq!(
        plan(&[audio(32)], "4").unwrap(),
        [[0..192, 192..384, 384..576, 576..600]]
    );
    assert_eq!(plan(&[audio(600)], "4").unwrap(), [[0..600]]);
}

#[test]
fn audio_goes_on_behind_the_video() {
    let [audio, _] = plan(&[audio(1000), video(300, 50)], "6").unwrap().try_into().unwrap();
    assert_eq!(
        audio,
        [0..300, 300..600, 600..1000],
        "8 s behind the end are one segment and a third"
    );
    let [audio, _] = plan(&[self::audio(610), video(300, 50)], "6")
        .unwrap()
        .try_into()
        .unwrap();
    assert_eq!(
        audio,
        [0..300, 300..610],
        "0.2 s behind the end stay with the segment before"
    );
}

#[test]
fn audio_alone_decides_for_itself_and_leaves_no_crumbs() {
    assert_eq!(plan(&[audio(600)], "6").unwrap(), [[0..300, 300..600]]);
    assert_eq!(plan(&[audio(601)], "6").unwrap(), [[0..300, 300..601]]);
    assert_eq!(plan(&[audio(624)], "6").unwrap(), [[0..300, 300..624]]);
    assert_eq!(plan(&[audio(625)], "6").unwrap(), [vec![0..300, 300..600, 600..625]]);
    // A short track is a segment all the same.
    assert_eq!(plan(&[audio(1)], "6").unwrap(), [[0..1]]);
}

#[test]
fn renditions_are_cut_at_the_same_times() {
    // The second has more keyframes.
    let [first, second] = plan(&[video(300, 50), video(300, 25)], "4")
        .unwrap()
        .try_into()
        .unwrap();
    assert_eq!(first, second);
}

#[test]
fn a_rendition_without_a_keyframe_at_a_cut_is_named() {
    let error = plan(&[video(300, 50), video(300, 40)], "4").unwrap_err();
    let PlanError::Misaligned { segment, off_by_s, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(*segment, 2);
    assert!((off_by_s - 0.8).abs() < 1e-9, "{off_by_s}");
}

/// The second has keyframes each 1.6 s: 3.2 and 8 s are nearest to 4 and 8 s.
#[test]
fn a_rendition_that_is_not_aligned_can_be_cut_at_its_own_keyframes() {
    let tracks = [video(300, 50), video(300, 40)];
    let (plan, misaligned) = SegmentPlan::with_misaligned(&tracks, "4".parse().unwrap()).unwrap();
    let [error] = misaligned.as_slice() else {
        panic!("{misaligned:?}");
    };
    assert_eq!(
        Some(error),
        SegmentPlan::new(&tracks, "4".parse().unwrap()).as_ref().err()
    );
    let starts = |index: usize| -> Vec<u32> {
        let track = plan.tracks.get(index).unwrap();
        let first = |segment: &PlannedSegment| segment.fragments.first().unwrap().start;
        track.segments.iter().map(first).collect()
    };
    assert_eq!(starts(0), [0, 100, 200]);
    assert_eq!(starts(1), [0, 80, 200]);

    // One keyframe is nearest to two cuts: it begins one segment.
    let tracks = [video(300, 25), video(300, 100)];
    let (plan, misaligned) = SegmentPlan::with_misaligned(&tracks, "1".parse().unwrap()).unwrap();
    assert_eq!(misaligned.len(), 1);
    let own = plan.tracks.get(1).unwrap();
    assert_eq!(own.segments.len(), 3);
    assert_eq!(
        own.segments
            .iter()
            .map(|segment| segment.duration)
            .fold(Time::new(0, Timescale::MIN), |sum, each| sum + each),
        Time::new(12, Timescale::MIN)
    );
}

/// `track`, so many ticks later.
fn late(mut track: Track, ticks: u64) -> Track {
    let samples: Vec<Sample> = track.samples.all().collect();
    track.samples = SampleTable::default();
    for mut sample in samples {
        sample.decode_ticks += ticks;
        track.samples.push(sample).unwrap();
    }
    track
}

/// What `track` has that video of 12 s, with a keyframe each `gop` pictures, has not: its edges that are elsewhere, in milliseconds.
fn edges_elsewhere(track: Track, gop: u32) -> Vec<(Edge, i64, i64)> {
    let (_, errors) = SegmentPlan::with_misaligned(&[video(300, gop), track], "4".parse().unwrap()).unwrap();
    let ms = |time: &Time| time.nanoseconds() / 1_000_000;
    let edge = |error: &PlanError| match error {
        PlanError::OtherExtent {
            edge, at, reference, ..
        } => (*edge, ms(at), ms(reference)),
        _ => panic!("{error}"),
    };
    errors.iter().map(edge).collect()
}

#[test]
fn a_rendition_that_ends_elsewhere_is_named() {
    assert_eq!(edges_elsewhere(video(200, 50), 50), [(Edge::End, 8000, 12_000)]);
    assert_eq!(edges_elsewhere(video(250, 50), 50), [(Edge::End, 10_000, 12_000)]);
    assert_eq!(edges_elsewhere(video(700, 50), 50), [(Edge::End, 28_000, 12_000)]);
    // A tenth of the target would join the last segment.
    assert_eq!(edges_elsewhere(video(290, 50), 50), []);
    assert_eq!(edges_elsewhere(video(310, 50), 50), []);
    assert_eq!(edges_elsewhere(video(289, 50), 50), [(Edge::End, 11_560, 12_000)]);
    assert_eq!(edges_elsewhere(video(311, 50), 50), [(Edge::End, 12_440, 12_000)]);

    let error = plan(&[video(300, 50), video(200, 50)], "4").unwrap_err().to_string();
    assert!(
        error.contains("ends at 8.000 s, and the largest one at 12.000 s"),
        "{error}"
    );
    // A last segment of a tenth of the target, which the other lacks.
    let error = plan(&[video(210, 50), video(200, 50)], "4").unwrap_err();
    assert!(
        matches!(error, PlanError::OtherExtent { edge: Edge::End, .. }),
        "{error}"
    );
}

#[test]
fn a_rendition_that_begins_elsewhere_is_named() {
    assert_eq!(edges_elsewhere(late(video(250, 50), 50), 50), [(Edge::Start, 2000, 0)]);
    // By a picture, and by two, where nothing is cut.
    assert_eq!(edges_elsewhere(late(video(300, 300), 1), 300), []);
    assert_eq!(edges_elsewhere(late(video(300, 300), 2), 300), [(Edge::Start, 80, 0)]);
    let both = edges_elsewhere(late(video(300, 50), 50), 50);
    assert_eq!(both, [(Edge::Start, 2000, 0), (Edge::End, 14_000, 12_000)]);
}

#[test]
fn a_longer_rendition_is_cut_behind_the_end_of_the_first_one() {
    let cut = |samples: u32, is_sync: fn(u32) -> bool| {
        let tracks = [video(300, 50), track(MediaKind::Video, 25, samples, 100, is_sync)];
        let (plan, misaligned) = SegmentPlan::with_misaligned(&tracks, "4".parse().unwrap()).unwrap();
        assert_eq!(misaligned.len(), 1, "{misaligned:?}");
        let first = |segment: &PlannedSegment| segment.fragments.first().unwrap().start;
        let longer = plan.tracks.get(1).unwrap();
        longer.segments.iter().map(first).collect::<Vec<u32>>()
    };
    assert_eq!(cut(700, |index| index % 50 == 0), [0, 100, 200, 300, 400, 500, 600]);
    assert_eq!(cut(325, |index| index % 50 == 0), [0, 100, 200, 300]);
    // From its own keyframe nearest to that end on.
    assert_eq!(
        cut(700, |index| [0, 100, 200, 290, 410].contains(&index)),
        [0, 100, 200, 290, 410]
    );
    assert_eq!(cut(700, |index| [0, 100, 200].contains(&index)), [0, 100, 200]);
    // What is less than a segment joins the last one.
    assert_eq!(cut(705, |index| index % 50 == 0), [0, 100, 200, 300, 400, 500, 600]);
}

#[test]
fn every_sample_is_in_one_fragment_of_bounded_size() {
    // 40 MB and one keyframe.
    let tracks = [track(MediaKind::Video, 25, 100, 400_000, |index| index == 0)];
    let plan = SegmentPlan::new(&tracks, "6".parse().unwrap()).unwrap();
    let [segment] = &plan.tracks.first().unwrap().segments[..] else {
        panic!("{plan:?}");
    };
    let samples: Vec<u32> = segment.fragments.iter().cloned().flatten().collect();
    assert_eq!(samples, (0..100).collect::<Vec<_>>());
    for fragment in &segment.fragments {
        assert!(fragment.len() as u64 * 400_000 <= MAX_FRAGMENT_BYTES);
    }
    assert_eq!(segment.fragments.len(), 5);
    assert_eq!(segment.duration, Time::new(4, Timescale::MIN));
}

#[test]
fn sequence_numbers_count_fragments() {
    let tracks = [track(MediaKind::Video, 25, 300, 400_000, |index| index % 50 == 0)];
    let plan = SegmentPlan::new(&tracks, "2".parse().unwrap()).unwrap();
    let mut next = 1;
    for segment in &plan.tracks.first().unwrap().segments {
        assert_eq!(segment.sequence_number, next);
        next += u32::try_from(segment.fragments.len()).unwrap();
    }
    assert!(next > 12);
}

#[test]
fn durations_that_segments_cannot_have() {
    for text in ["", "0", "-1", "0.05", "3601", "NaN", "inf", "6s"] {
        assert!(text.parse::<SegmentDuration>().is_err(), "{text}");
    }
}

/// A text track of one sample, from second `start` on, for `seconds`.
fn text(start: u64, seconds: u32) -> Track {
    let mut track = track(MediaKind::Text, 1, 1, 100, |_| true);
    let sample = track.samples.get(0).unwrap();
    track.samples = SampleTable::default();
    let (decode_ticks, duration_ticks) = (start, seconds);
    let sample = Sample {
        decode_ticks,
        duration_ticks,
        ..sample
    };
    track.samples.push(sample).unwrap();
    track
}

#[test]
fn text_is_cut_where_the_video_is() {
    let video = || track(MediaKind::Video, 25, 300, 100, |index| index % 50 == 0);
    let target = "4".parse().unwrap();
    let mut tracks = [video(), text(1, 20)];
    SegmentPlan::cut_text(&mut tracks, target).unwrap();
    let parts: Vec<_> = tracks[1].samples.all().collect();
    let times: Vec<_> = parts
        .iter()
        .map(|part| (part.decode_ticks, part.duration_ticks))
        .collect();
    assert_eq!(times, [(1, 3), (4, 4), (8, 13)]);
    assert!(parts.iter().all(|part| (part.offset, part.size) == (0, 100)));
    let plan = SegmentPlan::new(&tracks, target).unwrap();
    assert_eq!(plan.reference().len(), 3);

    let late = SegmentPlan::cut_text(&mut [video(), text(4, 8)], target);
    assert!(matches!(late, Err(PlanError::LateText { .. })), "{late:?}");
}

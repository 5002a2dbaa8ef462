//! Playlists of a day in segments of 2 s, 12 renditions: `cargo bench --bench long_playlists`. What it measures is the best of
//! three runs; peak memory is that of all allocations, with the description of all segments.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use peak_alloc::PeakAlloc;
use vylux_pack::codec::Captions;
use vylux_pack::content_key::{ContentKey, Iv, Kid};
use vylux_pack::media::{MediaKind, Presentation, Time, Timescale};
use vylux_pack::package::dash;
use vylux_pack::package::hls::{self, Bandwidth, Contents, KeyFormat};
use vylux_pack::package::{IFrame, KeyedProtection, Labels, Name, Period, Rendition, WrittenRendition, WrittenSegment};
use vylux_pack::plan::TrackPlan;
use vylux_pack::protect::{Ivs, Pattern, Protection, SampleScheme, SegmentProtection, TrackProtection};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// 24 hours of 2 s.
const SEGMENTS: u32 = 43_200;

const TARGET_DURATION_S: u64 = 2;

/// Eight qualities and four languages.
const INPUTS: [&str; 12] = [
    "v360.mp4", "v360.mp4", "v360.mp4", "v360.mp4", "v180.mp4", "v180.mp4", "v180.mp4", "v180.mp4", "a-en.mp4",
    "a-en.mp4", "a-fr.mp4", "a-fr.mp4",
];

const NTSC: Timescale = Timescale::new(30_000).unwrap();

const RUNS: usize = 3;

/// Sizes that vary as those of video do, and durations that no decimal fraction tells.
fn segments(rendition: u64) -> Vec<WrittenSegment> {
    let segment = |index: u32| WrittenSegment {
        duration: Time::new(60_060, NTSC),
        is_independent: true,
        bytes: 500_000 / (rendition + 1) + u64::from(index.wrapping_mul(2_654_435_761) % 100_000),
    };
    (0..SEGMENTS).map(segment).collect()
}

/// One a segment.
fn iframes() -> Vec<IFrame> {
    let iframe = |index: u32| IFrame {
        segment: index as usize,
        range: 36..40_000,
        time: Time::new(i64::from(index) * 60_060, NTSC),
    };
    (0..SEGMENTS).map(iframe).collect()
}

fn best(mut run: impl FnMut() -> Result<(), Box<dyn Error>>) -> Result<Duration, Box<dyn Error>> {
    let mut best = Duration::MAX;
    for _ in 0..RUNS {
        let started = Instant::now();
        run()?;
        best = best.min(started.elapsed());
    }
    Ok(best)
}

fn main() -> Result<(), Box<dyn Error>> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/media");
    let presentation = Presentation::open(&INPUTS.map(|name| fixtures.join(name)))?;
    let key = ContentKey::new([0x11; 16]);
    let (kid, iv) = (Kid([0x22; 16]), Iv([0x33; 16]));
    let no_plan = TrackPlan {
        segments: Vec::new(),
        keyframes_begin_fragments: true,
    };
    let folder = tempfile::tempdir()?;
    for (scheme, is_of_segments) in [("cbcs", false), ("aes-128", true)] {
        ALLOCATOR.reset_peak_usage();
        let protections: Vec<Protection> = presentation
            .tracks
            .iter()
            .map(|track| {
                if is_of_segments {
                    return Protection::Segments(SegmentProtection::new(key.clone(), kid, iv));
                }
                let (scheme, pattern) = (SampleScheme::Cbcs, Pattern::ONE_IN_TEN);
                let of_samples = TrackProtection::new(scheme, pattern, track, &key, kid, Ivs::Constant(iv));
                Protection::Samples(Box::new(of_samples))
            })
            .collect();
        let names = Name::all(&presentation).tracks;
        let renditions: Vec<Rendition<'_>> = presentation
            .tracks
            .iter()
            .zip(names)
            .zip(&protections)
            .map(|((track, name), protection)| Rendition {
                name,
                track,
                plan: &no_plan,
                periods: vec![Period {
                    segments: 0..SEGMENTS as usize,
                    protection: Some(KeyedProtection {
                        protection,
                        key_uri: "https://keys.example.com/api/key/channel",
                        clearkey_uri: "",
                    }),
                }],
                sample_groups: false,
                is_single_file: false,
                labels: Labels::default(),
            })
            .collect();
        let written: Vec<WrittenRendition> = (0..)
            .zip(&renditions)
            .map(|(index, rendition)| WrittenRendition {
                single_file: None,
                init_bytes: 1000,
                timeline: (0..=i64::from(SEGMENTS))
                    .map(|index| Time::new(index * 60_060, NTSC))
                    .collect(),
                segments: segments(index),
                captions: Captions::default(),
                iframes: match rendition.track.kind {
                    MediaKind::Video if !is_of_segments => iframes(),
                    _ => Vec::new(),
                },
            })
            .collect();
        let out = folder.path().join(scheme);
        for rendition in &renditions {
            fs::create_dir_all(out.join(rendition.name.folder()))?;
        }
        let contents = Contents {
            renditions: &renditions,
            written: &written,
            texts: &[],
            written_texts: &[],
            captions: &[],
            key_format: &KeyFormat::default(),
            for_clear_key: false,
        };
        let seconds = best(|| Ok(hls::write_playlists(&contents, &out)?))?.as_secs_f64();
        let licence_url = Some("https://keys.example.com/api/key/channel/clearkey");
        let write_manifest = || Ok(dash::write_manifest(&contents, licence_url, &out)?);
        let manifest = best(|| if is_of_segments { Ok(()) } else { write_manifest() })?;
        let bandwidths = best(|| {
            for written in &written {
                std::hint::black_box(Bandwidth::measure(&written.segments, TARGET_DURATION_S));
            }
            Ok(())
        })?;
        let mut bytes: u64 = 0;
        for rendition in &renditions {
            bytes += fs::metadata(out.join(rendition.name.folder()).join("playlist.m3u8"))?.len();
        }
        println!(
            "{scheme}: {} playlists of {SEGMENTS} segments, {} kB, in {seconds:.3} s; manifest in {:.3} s; bit rates of all in {:.3} s; peak {} kB",
            renditions.len(),
            bytes / 1000,
            manifest.as_secs_f64(),
            bandwidths.as_secs_f64(),
            ALLOCATOR.peak_usage() / 1000
        );
    }
    Ok(())
}

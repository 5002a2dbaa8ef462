//! The inner loops, in bytes a second: `cargo bench --bench inner_loops`.

use std::hint::black_box;
use std::path::Path;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use vylux_pack::codec::SubsampleMap;
use vylux_pack::content_key::{ContentKey, Iv, Kid};
use vylux_pack::isobmff::Node;
use vylux_pack::media::{Presentation, Track};
use vylux_pack::package::media_segment;
use vylux_pack::protect::{Cipher, FragmentWorker, Ivs, Pattern, SampleScheme, TrackProtection};

const KEY: [u8; 16] = [0x11; 16];
const IV: Iv = Iv([0x33; 16]);

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

/// The AES unit: video by the 1:9 pattern, audio whole.
fn pattern_encryption(c: &mut Criterion) {
    let mut group = c.benchmark_group("pattern_encryption");
    let mut data = vec![0x5a; 256 << 10];
    group.throughput(Throughput::Bytes(data.len() as u64));
    for (name, scheme, pattern) in [
        ("video_1_9", SampleScheme::Cbcs, Pattern::ONE_IN_TEN),
        ("audio_whole", SampleScheme::Cbcs, Pattern::ALL),
        ("cenc", SampleScheme::Cenc, Pattern::ALL),
        ("cbc1", SampleScheme::Cbc1, Pattern::ALL),
    ] {
        let cipher = Cipher::new(scheme, &ContentKey::new(KEY), Some(IV), pattern);
        for (ranges, bytes) in [("one range", data.len()), ("ranges of 16 KiB", 16 << 10)] {
            group.bench_function(format!("{name}, {ranges}"), |b| {
                b.iter(|| {
                    let samples = black_box(&mut data).chunks_mut(bytes);
                    cipher.encrypt(samples.map(|sample| (IV, std::iter::once(sample))));
                });
            });
        }
    }
    group.finish();
}

/// A movie box with its sample tables, as a tree.
fn box_parse(c: &mut Criterion) {
    let file = std::fs::read(fixture("demo.mp4")).expect("the demo fixture is checked in");
    let boxes = Node::parse_all(&file, 0).expect("the demo fixture is well-formed");
    let mut moov = Vec::new();
    boxes
        .iter()
        .find(|node| node.kind.0 == *b"moov")
        .expect("it has a movie box")
        .write(&mut moov);
    let mut group = c.benchmark_group("box_parse");
    group.throughput(Throughput::Bytes(moov.len() as u64));
    group.bench_function("moov", |b| {
        b.iter(|| Node::parse_one(black_box(&moov), 0).map(|node| node.size()));
    });
    group.finish();
}

fn demo_video() -> Track {
    let presentation = Presentation::open(&[fixture("demo.mp4")]).expect("the demo fixture is readable");
    presentation
        .tracks
        .into_iter()
        .next()
        .expect("its first track is video")
}

/// Finding slice headers: bytes of samples walked a second.
fn slice_scan(c: &mut Criterion) {
    let track = demo_video();
    let samples: Vec<_> = track.samples.all().collect();
    let mut data = vec![0; samples.iter().map(|sample| sample.size as usize).sum()];
    track
        .read_samples(&samples, &mut data)
        .expect("the demo fixture is complete");
    let mut group = c.benchmark_group("slice_scan");
    group.throughput(Throughput::Bytes(data.len() as u64));
    group.bench_function("h264", |b| {
        b.iter_batched_ref(
            || {
                (
                    track.codec.scanner().expect("H.264 has subsamples"),
                    SubsampleMap::default(),
                )
            },
            |(scanner, map)| {
                let mut rest = &data[..];
                for sample in &samples {
                    let (bytes, later) = rest.split_at(sample.size as usize);
                    scanner.scan(bytes, map).expect("the demo fixture is H.264");
                    rest = later;
                }
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

/// A fragment from reading its samples to its boxes, all but the writing.
fn segment_build(c: &mut Criterion) {
    let track = demo_video();
    let (key, kid) = (ContentKey::new(KEY), Kid([0x22; 16]));
    let protection = TrackProtection::new(
        SampleScheme::Cbcs,
        Pattern::ONE_IN_TEN,
        &track,
        &key,
        kid,
        Ivs::Constant(IV),
    );
    let mut worker = FragmentWorker::default();
    let mut head = Vec::new();
    let mut group = c.benchmark_group("segment_build");
    group.throughput(Throughput::Bytes(track.samples.bytes()));
    group.bench_function("h264_cbcs", |b| {
        b.iter(|| {
            let mut scanner = track.codec.scanner();
            let all = 0..track.samples.len();
            let fragment = worker
                .protect(&track, all, Some(&protection), scanner.as_deref_mut())
                .expect("the demo fixture can be protected");
            head.clear();
            media_segment::write_fragment_head(&mut head, &track, 1, &fragment, None);
            head.len()
        });
    });
    group.finish();
}

criterion_group!(benches, pattern_encryption, box_parse, slice_scan, segment_build);
criterion_main!(benches);

//! A whole file, encrypted into segments and playlists.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use vylux_pack::content_key::{ContentKey, Iv, Kid};
use vylux_pack::media::{MediaKind, Presentation, Track};
use vylux_pack::package::{Control, KeyedProtection, Labels, Name, Period, Rendition, hls, write_segments};
use vylux_pack::plan::SegmentPlan;
use vylux_pack::protect::{Ivs, Pattern, Protection, Scheme, SegmentProtection, TrackProtection};

use super::with_file;

pub fn run(data: &[u8]) {
    with_file(data, |path| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        if let Ok(presentation) = Presentation::open(&[path]) {
            // By one of the schemes, whichever the input's length gives.
            let mut schemes = Scheme::ALL.iter().copied().cycle();
            let scheme = schemes.nth(data.len() % Scheme::ALL.len()).expect("a scheme");
            encrypt(&presentation, scheme, folder.path());
        }
    });
}

/// Encrypts into `folder`, and checks what was written, if the input is not refused on the way.
fn encrypt(presentation: &Presentation, scheme: Scheme, folder: &Path) {
    let target = "1".parse().expect("a segment duration");
    let Ok(plan) = SegmentPlan::new(&presentation.tracks, target) else {
        return;
    };
    let key = ContentKey::new([1; 16]);
    let (kid, iv) = (Kid([2; 16]), Iv([3; 16]));
    let protect = |track: &Track| match scheme {
        Scheme::None => None,
        _ if track.kind == MediaKind::Text => None,
        Scheme::Segments => Some(Protection::Segments(SegmentProtection::new(key.clone(), kid, iv))),
        Scheme::Samples(scheme) => {
            let ivs = match scheme.iv_sizes() {
                [0] => Ivs::Constant(iv),
                sizes => Ivs::per_sample(iv, *sizes.last().expect("a size"), track.id),
            };
            let protection = TrackProtection::new(scheme, Pattern::ONE_IN_TEN, track, &key, kid, ivs);
            Some(Protection::Samples(Box::new(protection)))
        }
    };
    let protections: Vec<Option<Protection>> = presentation.tracks.iter().map(protect).collect();
    let tracks = presentation.tracks.iter().zip(&plan.tracks).zip(&protections);
    let renditions: Vec<Rendition<'_>> = Name::all(presentation)
        .tracks
        .into_iter()
        .zip(tracks)
        .map(|(name, ((track, plan), protection))| Rendition {
            name,
            track,
            plan,
            periods: vec![Period {
                segments: 0..plan.segments.len(),
                protection: protection.as_ref().map(|protection| KeyedProtection {
                    protection,
                    key_uri: "https://keys.example.com/api/key/fuzz",
                    clearkey_uri: "",
                }),
            }],
            sample_groups: false,
            is_single_file: false,
            labels: Labels::default(),
        })
        .collect();
    for rendition in &renditions {
        let mut next = 0;
        for segment in &rendition.plan.segments {
            assert!(
                segment.duration.ticks > 0 || rendition.plan.segments.len() == 1,
                "a segment of no length"
            );
            for fragment in &segment.fragments {
                assert!(
                    fragment.start == next && fragment.end > next,
                    "a sample left out or planned twice"
                );
                next = fragment.end;
            }
        }
        assert_eq!(next, rendition.track.samples.len(), "samples left out at the end");
    }
    let control = Control {
        jobs: 1,
        cancelled: &AtomicBool::new(false),
        progress: &|_| {},
    };
    let Ok(written) = write_segments(&renditions, folder, &control) else {
        return;
    };
    for (rendition, written) in renditions.iter().zip(&written) {
        assert!(written.bytes() > rendition.track.samples.bytes(), "bytes were lost");
    }
    let contents = hls::Contents {
        renditions: &renditions,
        written: &written,
        texts: &[],
        written_texts: &[],
        captions: &[],
        key_format: &hls::KeyFormat::default(),
        for_clear_key: true,
    };
    hls::write_playlists(&contents, folder).expect("playlists are written");
}

//! A whole file, encrypted into segments and playlists.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use vylux_pack::content_key::{ContentKey, Iv, Kid};
use vylux_pack::media::{MediaKind, Presentation};
use vylux_pack::package::{Control, Labels, Name, Protection, Rendition, hls, write_segments};
use vylux_pack::plan::SegmentPlan;
use vylux_pack::protect::TrackProtection;

use super::with_file;

pub fn run(data: &[u8]) {
    with_file(data, |path| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        if let Ok(presentation) = Presentation::open(&[path]) {
            encrypt(&presentation, folder.path());
        }
    });
}

/// Encrypts into `folder`, and checks what was written, if the input is not refused on the way.
fn encrypt(presentation: &Presentation, folder: &Path) {
    let target = "1".parse().expect("a segment duration");
    let Ok(plan) = SegmentPlan::new(&presentation.tracks, target) else {
        return;
    };
    let key = ContentKey::new([1; 16]);
    let protections: Vec<TrackProtection> = presentation
        .tracks
        .iter()
        .map(|track| TrackProtection::cbcs(track, &key, Kid([2; 16]), Iv([3; 16])))
        .collect();
    let tracks = presentation.tracks.iter().zip(&plan.tracks).zip(&protections);
    let renditions: Vec<Rendition<'_>> = Name::all(presentation)
        .tracks
        .into_iter()
        .zip(tracks)
        .map(|(name, ((track, plan), protection))| Rendition {
            name,
            track,
            plan,
            protection: (track.kind != MediaKind::Text).then_some(Protection {
                track: protection,
                key_uri: "https://keys.example.com/api/key/fuzz",
            }),
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
    };
    hls::write_playlists(&contents, folder).expect("playlists are written");
}

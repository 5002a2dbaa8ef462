//! Whether IVs come twice: under a CTR scheme that would show what two samples have in common (ISO/IEC 23001-7, 9.3);
//! segments that are encrypted as whole files have one each (RFC 8216bis, 5.2).

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::check::SegmentFacts;
use super::findings::Findings;
use super::output::Rendition;
use crate::isobmff::senc::SampleEncryption;

/// The first halves of samples' IVs, as runs that count up by one.
///
/// The second half counts a sample's blocks, so samples whose first halves differ never share a block of the key stream.
#[derive(Debug, Clone, Default)]
pub struct IvRuns(Vec<IvRun>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct IvRun {
    first: u64,
    last: u64,
}

impl IvRuns {
    /// The runs of some samples, in their order.
    pub fn of<'a>(samples: impl Iterator<Item = &'a SampleEncryption>) -> Self {
        let mut runs: Vec<IvRun> = Vec::new();
        for sample in samples {
            let Some((half, _)) = sample.iv.split_first_chunk() else {
                continue;
            };
            let half = u64::from_be_bytes(*half);
            match runs.last_mut() {
                Some(run) if run.last.checked_add(1) == Some(half) => run.last = half,
                _ => runs.push(IvRun {
                    first: half,
                    last: half,
                }),
            }
        }
        Self(runs)
    }
}

/// Finds IVs that come twice under a key, in whichever renditions.
pub(super) fn check(renditions: &[Rendition], facts: &[Vec<Option<SegmentFacts>>], findings: &mut Findings) {
    let mut of_keys: BTreeMap<_, Vec<(IvRun, &Path)>> = BTreeMap::new();
    for (rendition, facts) in renditions.iter().zip(facts) {
        for part in &rendition.parts {
            let Some(protection) = part.protection().filter(|protection| protection.scheme.is_ctr()) else {
                continue;
            };
            let runs = of_keys.entry(protection.kid).or_default();
            let segments = rendition.segments.iter().zip(facts);
            for (segment, facts) in segments.take(part.segments.end).skip(part.segments.start) {
                let of_segment = facts.iter().flat_map(|facts| &facts.ivs.0);
                runs.extend(of_segment.map(|run| (*run, segment.file.as_path())));
            }
        }
    }
    for runs in of_keys.values_mut() {
        runs.sort_unstable();
        let mut before: Option<(IvRun, &Path)> = None;
        for (run, file) in runs {
            if let Some((earlier, other)) = before.filter(|(earlier, _)| earlier.last >= run.first) {
                let what = format!(
                    "the IV {:016x} comes twice under one key, also in {}: what the samples have in common can be seen",
                    run.first,
                    other.display()
                );
                findings.of(file).add(what);
                if earlier.last >= run.last {
                    continue;
                }
            }
            before = Some((*run, file));
        }
    }

    let mut of_segments = HashMap::new();
    for rendition in renditions.iter().filter(|rendition| rendition.has_encrypted_segments()) {
        for key in &rendition.playlist.keys {
            let Some(iv) = key.value.iv else { continue };
            if let Some(other) = of_segments.insert((key.value.uri.as_deref(), iv), &rendition.playlist_file) {
                let what = format!("the IV 0x{iv} comes twice under one key, also in {}", other.display());
                findings.of(&rendition.playlist_file).add_at(key.offset, what);
            }
        }
    }
}

//! Tells media apart without reading them: a digest over sample tables and codec configurations.

use sha2::{Digest, Sha256};

use super::{MediaKind, Track};

/// Changes when what is digested changes, so that fingerprints of different forms never compare equal by chance.
const FORM: &[u8] = b"vylux-pack media fingerprint 1";

/// SHA-256 over the tracks, in order: sample entries, timescales, edits, and each sample's size, times and flags.
///
/// Where a file stores its samples does not matter: a file that was merely re-interleaved is the same media.
#[must_use]
pub fn fingerprint(tracks: &[Track]) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(FORM);
    let mut bytes = Vec::new();
    // Text is not encrypted, so other text under the same key is no other content.
    for track in tracks.iter().filter(|track| track.kind != MediaKind::Text) {
        bytes.clear();
        if let Some(stsd) = track.description.descend(&[b"mdia", b"minf", b"stbl", b"stsd"]) {
            stsd.write(&mut bytes);
        }
        digest.update((bytes.len() as u64).to_be_bytes());
        digest.update(&bytes);
        digest.update(track.timescale.get().to_be_bytes());
        digest.update(track.shift.ticks.to_be_bytes());
        digest.update(track.samples.len().to_be_bytes());
        for sample in track.samples.all() {
            let mut row = [0; 24];
            let (times, rest) = row.split_at_mut(8);
            times.copy_from_slice(&sample.decode_ticks.to_be_bytes());
            let fields = [
                sample.size,
                sample.duration_ticks,
                sample.composition_offset.cast_unsigned(),
                sample.flags,
            ];
            for (place, field) in rest.chunks_mut(4).zip(fields) {
                place.copy_from_slice(&field.to_be_bytes());
            }
            digest.update(row);
        }
    }
    digest.finalize().into()
}

//! Set frame refs process: all references of a frame by its last and its golden frame (AV1, 7.8). The names are the
//! standard's.

use super::frame_header::REFS_PER_FRAME;
use super::references::NUM_REF_FRAMES;

/// Places in `ref_frame_idx`: a reference frame's name − `LAST_FRAME` (6.10.24).
const LAST: usize = 0;
const LAST2: usize = 1;
const LAST3: usize = 2;
const GOLDEN: usize = 3;
const BWDREF: usize = 4;
const ALTREF2: usize = 5;
const ALTREF: usize = 6;

/// `ref_frame_idx[]`, where `dists` tell how much later than the current frame that of each slot is output.
#[must_use]
pub fn set_frame_refs(dists: &[i32; NUM_REF_FRAMES], last_frame_idx: u8, gold_frame_idx: u8) -> [u8; REFS_PER_FRAME] {
    let mut chosen = Chosen::default();
    chosen.set(LAST, Some(last_frame_idx));
    chosen.set(GOLDEN, Some(gold_frame_idx));
    // Backward references: the latest, and the two closest.
    chosen.set(ALTREF, latest(chosen.unused(dists).filter(|(_, dist)| *dist >= 0)));
    for place in [BWDREF, ALTREF2] {
        chosen.set(place, earliest(chosen.unused(dists).filter(|(_, dist)| *dist >= 0)));
    }
    // Forward references for the others, from the closest on.
    for place in [LAST2, LAST3, BWDREF, ALTREF2, ALTREF] {
        chosen.set(place, latest(chosen.unused(dists).filter(|(_, dist)| *dist < 0)));
    }
    // What is left takes the earliest of all.
    let rest = earliest(Chosen::default().unused(dists)).unwrap_or_default();
    chosen.slots.map(|slot| slot.unwrap_or(rest))
}

/// The slots of `ref_frame_idx[]`, as far as they are chosen.
#[derive(Clone, Copy, Default)]
struct Chosen {
    slots: [Option<u8>; REFS_PER_FRAME],
}

impl Chosen {
    /// Chooses a slot, if there is any, for a place that has none.
    fn set(&mut self, place: usize, slot: Option<u8>) {
        if let Some(chosen) = self.slots.get_mut(place) {
            *chosen = chosen.or(slot);
        }
    }

    /// Slots that are not chosen (`usedFrame`), with their distances.
    fn unused(self, dists: &[i32; NUM_REF_FRAMES]) -> impl Iterator<Item = (u8, i32)> {
        let slots = (0..).zip(dists.iter().copied());
        slots.filter(move |(slot, _)| !self.slots.contains(&Some(*slot)))
    }
}

/// The slot that is output last; of several, the last (`find_latest_backward` and `find_latest_forward`).
fn latest(slots: impl Iterator<Item = (u8, i32)>) -> Option<u8> {
    slots.max_by_key(|(_, dist)| *dist).map(|(slot, _)| slot)
}

/// The slot that is output first; of several, the first (`find_earliest_backward`).
fn earliest(slots: impl Iterator<Item = (u8, i32)>) -> Option<u8> {
    slots.min_by_key(|(_, dist)| *dist).map(|(slot, _)| slot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_taken_in_the_order_of_the_standard() {
        // Behind: the latest is ALTREF, the two closest are BWDREF and ALTREF2; in front, from the closest on.
        assert_eq!(
            set_frame_refs(&[-1, -2, -3, -4, 1, 2, 3, -5], 0, 3),
            [0, 1, 2, 3, 4, 5, 6]
        );
        // None behind: places of backward references take forward ones, and the last of several at one time.
        assert_eq!(
            set_frame_refs(&[-9, -9, -3, -3, -2, -2, -1, -1], 0, 1),
            [0, 7, 6, 1, 5, 4, 3]
        );
        // None in front: what is left takes the earliest of all, and the first of several.
        assert_eq!(set_frame_refs(&[0, 0, 0, 0, 5, 5, 5, 5], 6, 7), [6, 0, 0, 7, 0, 1, 5]);
    }
}

//! Edit lists (ISO/IEC 14496-12, 8.6.5): where a track's media lies in the presentation's time.

use super::time::Timescale;
use super::{Cause, SampleTable, Time};
use crate::isobmff::Node;
use crate::isobmff::elst::{Edit, EditList};

/// How far a track's composition times lie from its presentation times.
///
/// `presentation time = composition time + shift`, in ticks of the track's timescale: negative where
/// media is skipped (encoder delay), positive where the track starts late (an empty edit).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EditShift {
    /// In ticks of the track's timescale.
    pub ticks: i64,
}

impl EditShift {
    /// Reads the edit list of a track: empty edits, then at most one edit that plays the media.
    ///
    /// # Errors
    /// A [`Cause`] where media is played in several pieces, or not at normal speed: fragmented
    /// files can't say that, and players don't follow it.
    pub fn read(trak: &Node<'_>, movie: Timescale, media: Timescale) -> Result<Self, Cause> {
        let Some(elst) = trak.descend(&[b"edts", b"elst"]) else {
            return Ok(Self::default());
        };
        let edits = elst.parse::<EditList>()?.edits;
        let empty = edits.iter().take_while(|edit| edit.media_time_ticks == -1);
        let delay_ticks = empty
            .clone()
            .fold(0_u64, |sum, edit| sum.saturating_add(edit.duration_ticks));
        let delay_ticks = i64::try_from(delay_ticks)
            .ok()
            .filter(|ticks| *ticks < 1 << 62)
            .ok_or_else(|| elst.invalid("empty edits longer than 2^62 ticks"))?;
        let delay = Time::new(delay_ticks, movie).rescale(media).ticks;
        if delay >= 1 << 62 {
            return Err(elst
                .invalid("empty edits longer than 2^62 ticks of the track's timescale")
                .into());
        }
        match edits.get(empty.count()..).unwrap_or_default() {
            [] => Ok(Self { ticks: delay }),
            [
                Edit {
                    media_time_ticks,
                    rate: Edit::NORMAL_RATE,
                    ..
                },
            ] if (0..1 << 62).contains(media_time_ticks) => Ok(Self {
                ticks: delay.saturating_sub(*media_time_ticks),
            }),
            [edit] if edit.rate != Edit::NORMAL_RATE => Err(elst
                .unsupported("an edit that plays at another speed is not supported")
                .into()),
            [_] => Err(elst
                .invalid("an edit that starts before its media, or behind 2^62 ticks")
                .into()),
            edits => Err(elst
                .unsupported(format!(
                    "media played in {} pieces is not supported; render the edits first (for example by re-encoding)",
                    edits.len()
                ))
                .into()),
        }
    }
}

/// Less than this at the end of a track is padding of the encoder, and no loss.
const PADDING_S: f64 = 0.1;

/// How much of its media the edit list of a track of `samples` hides at the end: nothing of a fragmented file says that, so players
/// show it. `None` where it is no more than an encoder's padding.
#[must_use]
pub fn hidden_end(trak: &Node<'_>, movie: Timescale, media: Timescale, samples: &SampleTable) -> Option<Time> {
    let edits = trak.descend(&[b"edts", b"elst"])?.parse::<EditList>().ok()?.edits;
    let edit = edits
        .last()
        .filter(|edit| edit.media_time_ticks >= 0 && edit.duration_ticks > 0)?;
    let shown = Time::new(i64::try_from(edit.duration_ticks).ok()?, movie)
        .rescale(media)
        .ticks;
    let first_offset = i64::from(samples.get(0)?.composition_offset);
    let media_end = i64::try_from(samples.end_ticks()).ok()?.checked_add(first_offset)?;
    let hidden = Time::new(media_end.checked_sub(edit.media_time_ticks.checked_add(shown)?)?, media);
    (hidden.seconds() > PADDING_S).then_some(hidden)
}

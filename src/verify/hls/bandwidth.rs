//! Bit rates, measured.

use super::NANOSECONDS_PER_SECOND;
use crate::verify::output::Rendition;

/// Bit rates of a rendition, in bits a second, from the bytes of its segments (RFC 8216bis, 4.4.6.2).
#[derive(Clone, Copy)]
pub(super) struct Measured {
    pub peak_bps: u64,
    pub average_bps: u64,
}

impl Measured {
    /// `None` where a segment is missing, or lasts no time.
    pub fn of(rendition: &Rendition) -> Option<Self> {
        let bytes = rendition.segments.iter().map(|segment| segment.bytes);
        let bytes: Vec<u64> = bytes.collect::<Option<_>>()?;
        let segments: Vec<(u64, i64)> = bytes.into_iter().zip(durations_ns(rendition)).collect();
        Self::of_segments(&segments, rendition.playlist.target_duration_s?)
    }

    /// Of bytes and nanoseconds of each segment; `None` where they last no time.
    pub fn of_segments(segments: &[(u64, i64)], target_duration_s: u64) -> Option<Self> {
        let half_target_ns = i64::try_from(target_duration_s)
            .ok()?
            .checked_mul(NANOSECONDS_PER_SECOND / 2)?;
        let average_bps = rate(
            segments.iter().fold(0, |sum, (bytes, _)| sum.saturating_add(*bytes)),
            segments
                .iter()
                .fold(0, |sum, (_, duration)| sum.saturating_add(*duration)),
        )?;
        // The largest rate of contiguous segments that last between 0.5 and 1.5 target durations together.
        let mut peak_bps = average_bps;
        for first in 0..segments.len() {
            let (mut sum_bytes, mut sum_ns) = (0_u64, 0_i64);
            for (bytes, duration_ns) in segments.iter().skip(first) {
                sum_bytes = sum_bytes.saturating_add(*bytes);
                sum_ns = sum_ns.saturating_add(*duration_ns);
                if sum_ns > half_target_ns.saturating_mul(3) {
                    break;
                }
                if sum_ns >= half_target_ns {
                    peak_bps = peak_bps.max(rate(sum_bytes, sum_ns)?);
                }
            }
        }
        Some(Self { peak_bps, average_bps })
    }
}

pub(super) fn durations_ns(rendition: &Rendition) -> impl Iterator<Item = i64> {
    rendition
        .playlist
        .segments
        .iter()
        .map(|segment| segment.value.duration_ns)
}

fn rate(bytes: u64, duration_ns: i64) -> Option<u64> {
    let duration_ns = u128::try_from(duration_ns).ok().filter(|duration| *duration > 0)?;
    let bits = u128::from(bytes) * 8 * u128::from(NANOSECONDS_PER_SECOND.unsigned_abs());
    u64::try_from(bits.div_ceil(duration_ns)).ok()
}

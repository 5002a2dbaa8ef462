//! Bit rates as playlists declare them (RFC 8216bis, 4.4.6.2).

use crate::package::WrittenSegment;

/// Bit rates of a rendition, in bits a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Bandwidth {
    /// The largest bit rate of any contiguous segments that last 0.5 to 1.5 target durations together.
    pub peak_bps: u64,
    /// All bits by all seconds.
    pub average_bps: u64,
}

/// Neighbours shorter than this part of the target duration together are measured as one, which keeps the cost linear
/// where one segment is thousands of times longer than others.
const GRAIN: f64 = 0.001;

impl Bandwidth {
    /// Measures `segments`.
    #[must_use]
    pub fn measure(segments: &[WrittenSegment], target_duration_s: u64) -> Self {
        let segments: Vec<(u64, f64)> = segments
            .iter()
            .map(|segment| (segment.bytes, segment.duration.seconds()))
            .collect();
        let average_bps = rate(sum(&segments));
        let target = u32::try_from(target_duration_s).map_or(f64::MAX, f64::from);
        let grains: Vec<(u64, f64)> = merge_short(&segments, target * GRAIN);
        let mut peak_bps = 0;
        for first in 0..grains.len() {
            let (mut bytes, mut seconds) = (0, 0.0);
            for grain in grains.iter().skip(first) {
                bytes += grain.0;
                seconds += grain.1;
                if seconds > target * 1.5 {
                    break;
                }
                if seconds >= target * 0.5 {
                    peak_bps = peak_bps.max(rate((bytes, seconds)));
                }
            }
        }
        // A presentation shorter than half a target duration has no such segments.
        Self {
            peak_bps: peak_bps.max(average_bps),
            average_bps,
        }
    }

    /// Both rates of two renditions that play together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            peak_bps: self.peak_bps.saturating_add(other.peak_bps),
            average_bps: self.average_bps.saturating_add(other.average_bps),
        }
    }

    /// The larger of each rate.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            peak_bps: self.peak_bps.max(other.peak_bps),
            average_bps: self.average_bps.max(other.average_bps),
        }
    }
}

/// Bytes and seconds of all together.
fn sum(segments: &[(u64, f64)]) -> (u64, f64) {
    segments
        .iter()
        .fold((0, 0.0), |sum, segment| (sum.0 + segment.0, sum.1 + segment.1))
}

/// Bytes and seconds of neighbours that last `grain_s` seconds together, or of a segment that does alone.
fn merge_short(segments: &[(u64, f64)], grain_s: f64) -> Vec<(u64, f64)> {
    let mut merged: Vec<(u64, f64)> = Vec::with_capacity(segments.len());
    for segment in segments {
        match merged.last_mut().filter(|last| last.1 + segment.1 < grain_s) {
            Some(last) => *last = sum(&[*last, *segment]),
            None => merged.push(*segment),
        }
    }
    merged
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a bit rate in 53 bits, never negative"
)]
fn rate((bytes, seconds): (u64, f64)) -> u64 {
    if seconds > 0.0 {
        (bytes as f64 * 8.0 / seconds).ceil() as u64
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{Time, Timescale};

    fn segments(of: &[(u64, i64)]) -> Vec<WrittenSegment> {
        const MILLISECONDS: Timescale = Timescale::new(1000).unwrap();
        of.iter()
            .map(|(bytes, duration_ms)| WrittenSegment {
                bytes: *bytes,
                duration: Time::new(*duration_ms, MILLISECONDS),
                is_independent: true,
            })
            .collect()
    }

    #[test]
    fn the_peak_is_that_of_half_to_one_and_a_half_target_durations() {
        let film = segments(&[(1000, 4000), (9000, 1000), (1000, 4000), (500, 4000)]);
        let bandwidth = Bandwidth::measure(&film, 4);
        // The second alone is shorter than half a target duration; with a neighbour it counts.
        assert_eq!(bandwidth.peak_bps, 10_000 * 8 / 5);
        assert_eq!(bandwidth.average_bps, (11_500_u64 * 8).div_ceil(13));
    }

    #[test]
    fn a_hundred_thousand_segments_beside_a_long_one_are_measured_at_once() {
        let mut film = vec![(125, 1000); 100_000];
        film.push((1, 100_000_000));
        let bandwidth = Bandwidth::measure(&segments(&film), 100_000);
        assert_eq!(bandwidth.peak_bps, 1000);
    }

    #[test]
    fn rates_of_almost_no_time_are_bounded() {
        let instant = WrittenSegment {
            bytes: u64::MAX / 2,
            duration: Time::new(1, Timescale::MAX),
            is_independent: true,
        };
        let bandwidth = Bandwidth::measure(&[instant], 1);
        assert_eq!(bandwidth.plus(bandwidth).peak_bps, u64::MAX);
    }
}

//! Bit rates as playlists declare them (RFC 8216bis, 4.4.6.2).

use crate::media::Time;
use crate::package::WrittenSegment;

/// Bit rates of a rendition, in bits a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Bandwidth {
    /// The largest bit rate of any contiguous segments that last 0.5 to 1.5 target durations together.
    pub peak_bps: u64,
    /// All bits by all seconds.
    pub average_bps: u64,
}

impl Bandwidth {
    /// Measures `segments`.
    #[must_use]
    pub fn measure(segments: &[WrittenSegment], target_duration_s: u64) -> Self {
        let total = sum(segments);
        let average_bps = rate(total);
        let target = u32::try_from(target_duration_s).map_or(f64::MAX, f64::from);
        let mut peak_bps = 0;
        for first in 0..segments.len() {
            let (mut bytes, mut seconds) = (0, 0.0);
            for segment in segments.iter().skip(first) {
                bytes += segment.bytes;
                seconds += segment.duration.seconds();
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
            peak_bps: self.peak_bps + other.peak_bps,
            average_bps: self.average_bps + other.average_bps,
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

fn sum(segments: &[WrittenSegment]) -> (u64, f64) {
    let bytes = segments.iter().map(|segment| segment.bytes).sum();
    (
        bytes,
        segments.iter().map(|segment| segment.duration).map(Time::seconds).sum(),
    )
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

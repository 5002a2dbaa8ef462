//! Times as exact fractions of a second.

use std::cmp::Ordering;
use std::fmt;
use std::num::NonZeroU32;
use std::ops::{Add, Sub};

/// Ticks a second.
pub type Timescale = NonZeroU32;

/// A point in time, or a length of it: `ticks / timescale` seconds.
///
/// Times of different timescales compare exactly.
#[derive(Debug, Clone, Copy)]
pub struct Time {
    /// Ticks of `timescale`.
    pub ticks: i64,
    /// Ticks a second.
    pub timescale: Timescale,
}

impl Time {
    /// `ticks / timescale` seconds.
    #[must_use]
    pub const fn new(ticks: i64, timescale: Timescale) -> Self {
        Self { ticks, timescale }
    }

    /// The same time in another timescale, rounded to its nearest tick.
    #[must_use]
    pub fn rescale(self, timescale: Timescale) -> Self {
        let (from, to) = (i128::from(self.timescale.get()), i128::from(timescale.get()));
        let scaled = (i128::from(self.ticks) * to * 2 + from).div_euclid(from * 2);
        Self {
            ticks: i64::try_from(scaled).unwrap_or(if scaled < 0 { i64::MIN } else { i64::MAX }),
            timescale,
        }
    }

    /// In seconds, for a person or a bit rate.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "53 bits hold a century in microseconds")]
    pub fn seconds(self) -> f64 {
        self.ticks as f64 / f64::from(self.timescale.get())
    }

    /// In nanoseconds, rounded.
    #[must_use]
    pub fn nanoseconds(self) -> i64 {
        const NANOSECONDS: Timescale = Timescale::new(1_000_000_000).unwrap();
        self.rescale(NANOSECONDS).ticks
    }

    /// How many of the times `start`, `start + period`, `start + 2 * period`, ... lie at or before this one, exactly.
    #[must_use]
    pub fn periods_since(self, start: Self, period: Self) -> i64 {
        let [this, start_scale, period_scale] =
            [self.timescale, start.timescale, period.timescale].map(|timescale| i128::from(timescale.get()));
        let since = i128::from(self.ticks) * start_scale - i128::from(start.ticks) * this;
        if since < 0 {
            return 0;
        }
        let since = since.saturating_mul(period_scale);
        let period = (i128::from(period.ticks) * this).saturating_mul(start_scale).max(1);
        i64::try_from(since / period).unwrap_or(i64::MAX).saturating_add(1)
    }

    /// The distance to another time, in seconds.
    #[must_use]
    pub fn distance(self, other: Self) -> f64 {
        (self.seconds() - other.seconds()).abs()
    }
}

impl PartialEq for Time {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Time {}

impl PartialOrd for Time {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Time {
    fn cmp(&self, other: &Self) -> Ordering {
        let left = i128::from(self.ticks) * i128::from(other.timescale.get());
        let right = i128::from(other.ticks) * i128::from(self.timescale.get());
        left.cmp(&right)
    }
}

/// In the timescale of the left side; exact where both sides share one.
impl Add for Time {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self::new(
            self.ticks.saturating_add(other.rescale(self.timescale).ticks),
            self.timescale,
        )
    }
}

/// In the timescale of the left side; exact where both sides share one.
impl Sub for Time {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self::new(
            self.ticks.saturating_sub(other.rescale(self.timescale).ticks),
            self.timescale,
        )
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} s", self.seconds())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_counted_exactly_however_many_there_are() {
        let scale = |ticks| Timescale::new(ticks).unwrap_or(Timescale::MIN);
        let time = |ticks, timescale| Time::new(ticks, scale(timescale));
        let period = time(6_006_000, 1_000_000);
        let start = time(100, 90_000);
        assert_eq!(time(99, 90_000).periods_since(start, period), 0);
        assert_eq!(start.periods_since(start, period), 1);
        assert_eq!(time(540_639, 90_000).periods_since(start, period), 1);
        assert_eq!(time(540_640, 90_000).periods_since(start, period), 2);
        // A period shorter than a tick, and times that no sum of 64 bits reaches.
        assert_eq!(time(3, 1).periods_since(time(0, 1), time(1, 10)), 31);
        let far = time(i64::MAX, 1);
        assert_eq!(far.periods_since(time(i64::MIN, u32::MAX), time(1, u32::MAX)), i64::MAX);
        assert_eq!(far.periods_since(time(0, 1), time(0, 1)), i64::MAX);
    }
}

//! Counts of this process alone.

use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::{Limit, Who};

/// Counts that are full again are forgotten this often.
const FORGET_EVERY: Duration = Duration::from_mins(1);

/// The counts of one limit.
pub struct Memory {
    limiter: DefaultKeyedRateLimiter<Who>,
    forgotten: RwLock<Instant>,
}

impl Memory {
    /// Counts under `limit`.
    pub fn new(limit: Limit) -> Self {
        Self {
            limiter: RateLimiter::keyed(Quota::per_minute(limit.per_minute)),
            forgotten: RwLock::new(Instant::now()),
        }
    }

    /// See [`super::RateLimit::take`].
    pub fn take(&self, who: &Who) -> Result<(), Duration> {
        self.forget_now_and_then();
        self.limiter
            .check_key(who)
            .map_err(|too_many| too_many.wait_time_from(DefaultClock::default().now()))
    }

    /// Keeps memory as small as the number of those who asked in the last minutes.
    fn forget_now_and_then(&self) {
        let due = |forgotten: Instant| forgotten.elapsed() >= FORGET_EVERY;
        if !due(*self.forgotten.read().unwrap_or_else(PoisonError::into_inner)) {
            return;
        }
        let mut forgotten = self.forgotten.write().unwrap_or_else(PoisonError::into_inner);
        if due(*forgotten) {
            *forgotten = Instant::now();
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
    }
}

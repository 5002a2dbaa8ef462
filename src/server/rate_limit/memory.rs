//! Counts of this process alone.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::{Limit, Who};

/// Counts that are full again are forgotten this often.
const FORGET_EVERY: Duration = Duration::from_mins(1);

/// The counts of every limit.
#[derive(Default)]
pub struct Memory(RwLock<HashMap<Limit, Arc<Counts>>>);

struct Counts {
    limiter: DefaultKeyedRateLimiter<Who>,
    forgotten: RwLock<Instant>,
}

impl Memory {
    /// See [`super::RateLimits::take`].
    pub fn take(&self, limit: Limit, who: &Who) -> Result<(), Duration> {
        let counts = self.counts(limit);
        counts.forget_now_and_then();
        counts
            .limiter
            .check_key(who)
            .map_err(|too_many| too_many.wait_time_from(DefaultClock::default().now()))
    }

    fn counts(&self, limit: Limit) -> Arc<Counts> {
        let known = self
            .0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&limit)
            .cloned();
        known.unwrap_or_else(|| {
            let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
            let fresh = || {
                Arc::new(Counts {
                    limiter: RateLimiter::keyed(Quota::per_minute(limit.per_minute)),
                    forgotten: RwLock::new(Instant::now()),
                })
            };
            Arc::clone(all.entry(limit).or_insert_with(fresh))
        })
    }
}

impl Counts {
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

//! How often somebody may ask.
//!
//! A limit of 60 a minute lets 60 through at once, and one more each second (GCRA). Limits are counted in Redis, if several
//! servers share one, and in this process while Redis does not answer: never open, never shut.

mod memory;
mod redis;

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use memory::Memory;
use prometheus_client::metrics::gauge::Gauge;
use redis::Redis;

pub use redis::{RedisProblem, RedisUrl};

/// What is limited, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limit {
    /// The name that counts are kept under.
    pub name: &'static str,
    /// So many at once, and so many a minute.
    pub per_minute: NonZeroU32,
}

/// Who is limited.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Who {
    /// A client's address, or its /64 of IPv6.
    Address(IpAddr),
    /// The subject of a token that was verified.
    Subject(String),
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "address:{address}"),
            Self::Subject(subject) => write!(f, "subject:{subject}"),
        }
    }
}

/// Counts under one limit, and lets through or not.
pub struct RateLimit {
    limit: Limit,
    memory: Memory,
    redis: Option<Redis>,
}

impl RateLimit {
    /// A limit that this process keeps for itself.
    #[must_use]
    pub fn of_this_process(limit: Limit) -> Self {
        Self {
            limit,
            memory: Memory::new(limit),
            redis: None,
        }
    }

    /// A limit that the servers share that count in the Redis at `url`; `up` tells whether it answers.
    pub async fn shared(limit: Limit, url: RedisUrl, up: Gauge) -> Self {
        Self {
            redis: Some(Redis::start(url, up).await),
            ..Self::of_this_process(limit)
        }
    }

    /// Whether Redis counts; `None` where it is not asked to.
    #[must_use]
    pub fn redis_is_up(&self) -> Option<bool> {
        self.redis.as_ref().map(Redis::is_up)
    }

    /// Counts one more of `who`.
    ///
    /// # Errors
    /// How long to wait, where it is one too many.
    pub async fn take(&self, who: &Who) -> Result<(), Duration> {
        let shared = match &self.redis {
            Some(redis) => redis.take(self.limit, who).await,
            None => None,
        };
        match shared {
            Some(Ok(())) => {
                // Counted along here: who used up the limit gains nothing by an outage. What memory alone would say
                // does not matter while Redis counts.
                let _ = self.memory.take(who);
                Ok(())
            }
            Some(Err(wait)) => Err(wait),
            None => self.memory.take(who),
        }
    }
}

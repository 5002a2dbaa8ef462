//! How often somebody may ask.
//!
//! A limit of 60 a minute lets 60 through at once, and one more each second (GCRA). Limits are counted in Redis, if several
//! servers share one, and in this process while Redis does not answer: never open, never shut.

mod memory;

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use memory::Memory;

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

/// Counts, and lets through or not.
#[derive(Default)]
pub struct RateLimits {
    memory: Memory,
}

impl RateLimits {
    /// Counts one more of `who` under `limit`.
    ///
    /// # Errors
    /// How long to wait, where it is one too many.
    #[expect(clippy::unused_async, reason = "Redis is asked over the network")]
    pub async fn take(&self, limit: Limit, who: &Who) -> Result<(), Duration> {
        self.memory.take(limit, who)
    }
}

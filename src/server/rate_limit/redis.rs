//! Counts that several servers share, in Redis.
//!
//! The count is the generic cell rate algorithm, as in [`super::memory`]: of each client the time is kept at which nothing
//! of it would be left (its "theoretical arrival time"), and one more moves that by a minute divided by the limit. A script
//! does it in one step, and on Redis' own clock: servers need not agree on the time.
//!
//! Redis is not waited for twice: the first answer that does not come in time closes it off. This process counts alone
//! then, and one task of its own asks every second whether Redis is back.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError, Script};
use sha2::{Digest, Sha256};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::super::causes::chain;
use super::{Limit, Who};
use crate::secret::SecretText;

/// A request waits for Redis no longer than this; where it is near, it answers in less than a millisecond.
const ANSWERS_WITHIN: Duration = Duration::from_millis(200);

/// Nobody waits for a connection but the task that makes it.
const CONNECTS_WITHIN: Duration = Duration::from_secs(2);

/// How often that task tries.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// What every key begins with, so that another application may use the same Redis.
const PREFIX: &str = "vylux-pack:limit";

/// Times are whole microseconds, which a double of Lua holds exactly for the next two centuries. `%.0f` writes them all;
/// `tostring` would round them. A time further ahead than a full count ever is comes from a clock that was set back. The
/// count is full again when its key expires.
const SCRIPT: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval = tonumber(ARGV[1])
local full = now + interval * tonumber(ARGV[2])
local arrival = tonumber(redis.call('GET', KEYS[1])) or now
arrival = math.min(math.max(arrival, now), full) + interval
if arrival > full then
    return arrival - full
end
redis.call('SET', KEYS[1], string.format('%.0f', arrival), 'PX', math.ceil((arrival - now) / 1000))
return 0
";

/// Where a Redis is, maybe with a password, so it has no `Debug`.
#[derive(Clone)]
pub struct RedisUrl(Client);

impl RedisUrl {
    /// Reads `redis://`, `rediss://` (TLS) and `redis+unix://`; `None` if it is none of them.
    #[must_use]
    pub fn parse(url: &SecretText) -> Option<Self> {
        Client::open(url.expose()).ok().map(Self)
    }

    /// Whether a Redis answers there, and may be counted in.
    ///
    /// # Errors
    /// Why not.
    pub async fn check(&self) -> Result<(), RedisProblem> {
        self.connect().await.map(|_| ())
    }

    /// A connection that was counted on. Made anew after each loss: an old one may hang for many minutes.
    async fn connect(&self) -> Result<Connection, RedisProblem> {
        let config = AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECTS_WITHIN));
        let multiplexed = self.0.get_multiplexed_async_connection_with_config(&config).await?;
        let connection = Connection {
            multiplexed,
            script: Script::new(SCRIPT),
        };
        // Not PING, which a replica, a full Redis or one that forbids scripts would answer too. The first one brings the
        // script along, and may take its time; the second tells how long requests would wait.
        let probe = format!("{PREFIX}:probe");
        connection.count(&probe, PROBE, CONNECTS_WITHIN).await?;
        connection.count(&probe, PROBE, ANSWERS_WITHIN).await?;
        Ok(connection)
    }
}

/// A second for each probe: it is counted, and its outcome means nothing.
const PROBE: Limit = Limit {
    name: "probe",
    per_minute: std::num::NonZeroU32::MIN.saturating_add(59),
};

/// Redis can't be counted in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisProblem {
    /// It says so, or can't be reached.
    #[error("Redis can't be used for rate limits")]
    Failed(#[from] RedisError),
    /// It takes too long.
    #[error("Redis did not answer within {} ms", _0.as_millis())]
    Slow(Duration),
}

struct Connection {
    multiplexed: MultiplexedConnection,
    script: Script,
}

impl Connection {
    /// Counts one more under `key`, and returns how long to wait: nothing for who is let through.
    async fn count(&self, key: &str, limit: Limit, answers_within: Duration) -> Result<Duration, RedisProblem> {
        let mut multiplexed = self.multiplexed.clone();
        let interval_micros = (60_000_000 / limit.per_minute.get()).max(1);
        let mut invocation = self.script.key(key);
        invocation.arg(interval_micros).arg(limit.per_minute.get());
        let answer = timeout(answers_within, invocation.invoke_async(&mut multiplexed)).await;
        Ok(Duration::from_micros(
            answer.map_err(|_| RedisProblem::Slow(answers_within))??,
        ))
    }
}

/// A Redis that comes and goes. Clones share it.
#[derive(Clone)]
pub struct Redis(Arc<Inner>);

struct Inner {
    url: RedisUrl,
    /// `None` while this process counts alone.
    connection: RwLock<Option<Arc<Connection>>>,
    up: Gauge,
}

impl Redis {
    /// The Redis at `url`, whether it answers now or later; `up` tells whether it does.
    pub async fn start(url: RedisUrl, up: Gauge) -> Self {
        let this = Self(Arc::new(Inner {
            url,
            connection: RwLock::default(),
            up,
        }));
        match this.0.url.connect().await {
            Ok(connection) => this.found(connection),
            Err(problem) => this.wait_for(&problem),
        }
        this
    }

    /// Whether it counts.
    pub fn is_up(&self) -> bool {
        self.connection().is_some()
    }

    /// See [`super::RateLimit::take`]; `None` where Redis can't say.
    pub async fn take(&self, limit: Limit, who: &Who) -> Option<Result<(), Duration>> {
        let connection = self.connection()?;
        match connection.count(&key(limit, who), limit, ANSWERS_WITHIN).await {
            Ok(Duration::ZERO) => Some(Ok(())),
            Ok(wait) => Some(Err(wait)),
            Err(problem) => {
                self.lost(&connection, &problem);
                None
            }
        }
    }

    fn connection(&self) -> Option<Arc<Connection>> {
        let connection = self.0.connection.read();
        connection.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn found(&self, connection: Connection) {
        let mut current = self.0.connection.write().unwrap_or_else(PoisonError::into_inner);
        *current = Some(Arc::new(connection));
        self.0.up.set(1);
        info!("Redis counts rate limits, for all servers that share it");
    }

    /// Gives up `connection`, unless one of the requests that shared it did so already.
    fn lost(&self, connection: &Arc<Connection>, problem: &RedisProblem) {
        let mut current = self.0.connection.write().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, connection)) {
            *current = None;
            self.0.up.set(0);
            self.wait_for(problem);
        }
    }

    /// Says that Redis is away, and looks out for it.
    fn wait_for(&self, problem: &RedisProblem) {
        let cause = chain(problem);
        warn!(
            cause,
            "Redis is away; this process counts rate limits alone until it is back"
        );
        let this = self.clone();
        tokio::spawn(async move {
            loop {
                sleep(RETRY_EVERY).await;
                if let Ok(connection) = this.0.url.connect().await {
                    this.found(connection);
                    break;
                }
            }
        });
    }
}

/// Whoever looks into Redis learns neither subjects nor addresses by reading, and a long subject makes no long key.
fn key(limit: Limit, who: &Who) -> String {
    let who = hex::encode(Sha256::digest(who.to_string()));
    format!("{PREFIX}:{}:{who}", limit.name)
}

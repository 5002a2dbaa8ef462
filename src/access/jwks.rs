//! A JSON Web Key Set (RFC 7517, 5) from somewhere else: cached, refreshed, and used on while it can't be had.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::DenyReason;

/// A key set is fetched again when it is as old as this, while the one at hand stays in use.
pub const MAX_AGE: Duration = Duration::from_mins(5);

/// Nothing makes us fetch more often than this: neither tokens with invented key IDs nor an outage.
pub const MIN_INTERVAL: Duration = Duration::from_secs(10);

/// A key set with more keys is cut here.
const MAX_KEYS: usize = 100;

/// Brings a key set.
#[async_trait]
pub trait Fetch: Send + Sync {
    /// The key set's JSON; the error is for the log, and holds no secret.
    async fn fetch(&self) -> Result<Vec<u8>, String>;

    /// Told how a fetch went: `Err` where it, or reading what came, failed.
    fn done(&self, outcome: Result<usize, &str>);
}

/// A key of the set.
#[derive(Clone)]
pub(super) struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    pub(super) public: DecodingKey,
}

/// A key set that keeps itself fresh. Clones share it.
#[derive(Clone)]
pub struct KeySet(Arc<Inner>);

struct Inner {
    fetch: Box<dyn Fetch>,
    max_age: Duration,
    min_interval: Duration,
    cached: RwLock<Option<Cached>>,
    /// When the last fetch began; held while one is under way, so that there is one at a time.
    last_attempt: Mutex<Option<Instant>>,
}

#[derive(Clone)]
struct Cached {
    keys: Arc<[Key]>,
    fetched: Instant,
}

impl KeySet {
    /// A key set that `fetch` brings, with [`MAX_AGE`] and [`MIN_INTERVAL`]. Nothing is fetched yet.
    #[must_use]
    pub fn new(fetch: Box<dyn Fetch>) -> Self {
        Self::with_times(fetch, MAX_AGE, MIN_INTERVAL)
    }

    fn with_times(fetch: Box<dyn Fetch>, max_age: Duration, min_interval: Duration) -> Self {
        Self(Arc::new(Inner {
            fetch,
            max_age,
            min_interval,
            cached: RwLock::default(),
            last_attempt: Mutex::default(),
        }))
    }

    /// The keys that may have signed a token with this key ID and algorithm.
    pub(super) async fn keys(&self, id: Option<&str>, algorithm: Algorithm) -> Result<Vec<Key>, DenyReason> {
        match self.cached() {
            // An old set serves while a new one is fetched, and for as long as none can be.
            Some(cached) if cached.fetched.elapsed() >= self.0.max_age => drop(self.refreshed()),
            Some(_) => {}
            None => self.wait_for_refresh().await,
        }
        let found = self.find(id, algorithm)?;
        if !found.is_empty() {
            return Ok(found);
        }
        // The keys may have been rotated a moment ago.
        self.wait_for_refresh().await;
        let found = self.find(id, algorithm)?;
        if found.is_empty() {
            return Err(DenyReason::JwtUnknownKid);
        }
        Ok(found)
    }

    fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Result<Vec<Key>, DenyReason> {
        let cached = self.cached().ok_or(DenyReason::JwksUnavailable)?;
        let fits = |key: &&Key| key.algorithm == algorithm && (id.is_none() || key.id.as_deref() == id);
        Ok(cached.keys.iter().filter(fits).cloned().collect())
    }

    fn cached(&self) -> Option<Cached> {
        self.0.cached.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn wait_for_refresh(&self) {
        // It fails if it panicked, or if the process ends: the set at hand, or none, is what there is.
        let _ = self.refreshed().await;
    }

    /// A refresh in a task of its own: a client who asks and goes away does not take the fetch along, which the next one
    /// would have to wait [`MIN_INTERVAL`] for.
    fn refreshed(&self) -> JoinHandle<()> {
        let this = self.clone();
        tokio::spawn(async move { this.refresh().await })
    }

    /// Fetches the set, unless that was tried a moment ago.
    async fn refresh(&self) {
        let mut last_attempt = self.0.last_attempt.lock().await;
        if last_attempt.is_some_and(|last| last.elapsed() < self.0.min_interval) {
            return;
        }
        *last_attempt = Some(Instant::now());
        match self.0.fetch.fetch().await.and_then(|json| parse(&json)) {
            Ok(keys) => {
                self.0.fetch.done(Ok(keys.len()));
                *self.0.cached.write().unwrap_or_else(PoisonError::into_inner) = Some(Cached {
                    keys: keys.into(),
                    fetched: Instant::now(),
                });
            }
            Err(error) => self.0.fetch.done(Err(&error)),
        }
    }
}

/// The keys of a set that can verify what we accept; others are passed over (RFC 7517, 5).
fn parse(json: &[u8]) -> Result<Vec<Key>, String> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<Value>,
    }
    let set: Set = serde_json::from_slice(json).map_err(|error| format!("no JSON Web Key Set: {error}"))?;
    let keys: Vec<Key> = set.keys.into_iter().filter_map(read_key).take(MAX_KEYS).collect();
    if keys.is_empty() {
        return Err("a JSON Web Key Set without a key for RS256 or ES256".to_owned());
    }
    Ok(keys)
}

fn read_key(json: Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(json).ok()?;
    if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
        return None;
    }
    let operations = jwk.common.key_operations.as_ref();
    if operations.is_some_and(|operations| !operations.contains(&KeyOperations::Verify)) {
        return None;
    }
    let (algorithm, named) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        _ => return None,
    };
    if jwk.common.key_algorithm.as_ref().is_some_and(|found| *found != named) {
        return None;
    }
    Some(Key {
        algorithm,
        public: DecodingKey::from_jwk(&jwk).ok()?,
        id: jwk.common.key_id,
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;

    /// The key of RFC 7515, A.3.
    const SET: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"a",
        "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

    #[derive(Default)]
    struct Source {
        down: AtomicBool,
        fetches: AtomicUsize,
    }

    #[async_trait]
    impl Fetch for Arc<Source> {
        async fn fetch(&self) -> Result<Vec<u8>, String> {
            self.fetches.fetch_add(1, Ordering::SeqCst);
            if self.down.load(Ordering::SeqCst) {
                return Err("down".to_owned());
            }
            Ok(SET.into())
        }

        fn done(&self, _: Result<usize, &str>) {}
    }

    #[tokio::test]
    async fn an_old_set_is_fetched_again_and_serves_while_it_can_t_be() {
        let source = Arc::new(Source::default());
        let set = KeySet::with_times(Box::new(Arc::clone(&source)), Duration::ZERO, Duration::ZERO);
        let find = async || set.keys(Some("a"), Algorithm::ES256).await.map(|keys| keys.len());
        assert_eq!(find().await, Ok(1));
        source.down.store(true, Ordering::SeqCst);
        for fetches in 2..10 {
            assert_eq!(find().await, Ok(1), "nobody waits for the new set");
            tokio::time::timeout(Duration::from_secs(10), async {
                while source.fetches.load(Ordering::SeqCst) < fetches {
                    tokio::task::yield_now().await;
                }
            })
            .await
            .unwrap();
        }
        assert_eq!(
            set.keys(Some("b"), Algorithm::ES256).await.err(),
            Some(DenyReason::JwtUnknownKid)
        );
    }
}

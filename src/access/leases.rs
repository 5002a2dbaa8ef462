//! Leases: whoever plays a content holds one for a while, renews it as long as they play, and can lose it at any time.
//!
//! How many a viewer holds at once is limited by the store, whichever server makes them. A viewer is a token's subject
//! (RFC 7519, 4.1.2). Nothing is kept here: a lease that was revoked by now does not count.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{DenyReason, base64};
use crate::keys::ContentId;
use crate::keys::store::{Lease, LeaseCreation, LeaseLimit, Store, StoreError};

/// No lease is shorter.
pub const MIN_TTL: Duration = Duration::from_secs(1);

/// No lease is longer.
pub const MAX_TTL: Duration = Duration::from_hours(7 * 24);

/// No viewer's name is longer, in bytes.
pub const MAX_VIEWER_BYTES: usize = 256;

/// Random bytes of a lease's ID, which stands for having the lease: too many to be guessed.
const ID_BYTES: usize = 24;

/// Expired leases are kept this long, for servers whose clocks differ.
const SWEEP_MARGIN: Duration = Duration::from_mins(1);

/// How leases are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseRules {
    /// How long a lease is at most, from [`MIN_TTL`] to [`MAX_TTL`].
    pub ttl: Duration,
    /// How many a viewer may have; `None` for any number.
    pub limit: Option<LeaseLimit>,
}

/// Gives leases, and says whether one counts.
#[derive(Clone)]
pub struct Leases {
    store: Arc<dyn Store>,
    rules: LeaseRules,
}

/// A lease that was given, or given another end.
pub struct Given {
    /// Its ID, for the viewer alone.
    pub id: String,
    /// Its end.
    pub expires_at: Timestamp,
    /// How long it is from now on.
    pub ttl: Duration,
}

/// A lease is not given, or does not count.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LeaseError {
    /// Access is denied.
    #[error("denied: {0}")]
    Denied(DenyReason),
    /// The viewer has as many as there may be.
    #[error("the viewer has as many leases as there may be")]
    Full,
    /// No random bytes for an ID.
    #[error("no random bytes can be had")]
    Random(#[from] getrandom::Error),
    /// The store can't be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DenyReason> for LeaseError {
    fn from(reason: DenyReason) -> Self {
        Self::Denied(reason)
    }
}

impl Leases {
    /// Leases in `store`, by `rules`.
    #[must_use]
    pub const fn new(store: Arc<dyn Store>, rules: LeaseRules) -> Self {
        Self { store, rules }
    }

    /// Gives `viewer` a lease of a content from `now` on. It is as long as asked for, within [`MIN_TTL`] and what the rules allow; by
    /// itself as long as they allow.
    ///
    /// # Errors
    /// [`LeaseError`]; there is no new lease then.
    pub async fn create(
        &self,
        viewer: Option<&str>,
        content_id: &ContentId,
        asked: Option<Duration>,
        now: Timestamp,
    ) -> Result<Given, LeaseError> {
        let viewer = known(viewer)?;
        let given = self.given(new_id()?, asked, now);
        let lease = Lease {
            id: given.id.clone(),
            content_id: content_id.clone(),
            viewer: viewer.to_owned(),
            expires_at_ms: given.expires_at.as_millisecond(),
            created_at_ms: now.as_millisecond(),
        };
        match self.store.create_lease(&lease, self.rules.limit).await? {
            LeaseCreation::Created { .. } => Ok(given),
            LeaseCreation::Refused => Err(LeaseError::Full),
        }
    }

    /// The content that a lease is of, whoever has it: what has to be open to whoever renews it.
    ///
    /// # Errors
    /// [`LeaseError`] if there is no such lease.
    pub async fn content_of(&self, id: &str) -> Result<ContentId, LeaseError> {
        let lease = self.find(id).await?.ok_or(DenyReason::LeaseUnknown)?;
        Ok(lease.content_id)
    }

    /// Gives a lease that counts another end: from `now` on it is as long as a new one would be.
    ///
    /// # Errors
    /// [`LeaseError`] if it isn't of that viewer and content, or does not count any more.
    pub async fn renew(
        &self,
        id: &str,
        viewer: Option<&str>,
        content_id: &ContentId,
        asked: Option<Duration>,
        now: Timestamp,
    ) -> Result<Given, LeaseError> {
        let viewer = known(viewer)?;
        self.check(Some(id), Some(viewer), content_id, now).await??;
        let given = self.given(id.to_owned(), asked, now);
        let (expires_at_ms, now_ms) = (given.expires_at.as_millisecond(), now.as_millisecond());
        let renewed = self.store.renew_lease(id, viewer, content_id, expires_at_ms, now_ms);
        // It may have been revoked a moment ago.
        if renewed.await? {
            Ok(given)
        } else {
            Err(DenyReason::LeaseUnknown.into())
        }
    }

    /// Whether the lease of that ID lets `viewer` have keys of a content at `now`; or why not. A lease that somebody else has is as
    /// unknown as one that nobody has.
    ///
    /// # Errors
    /// [`StoreError`] if that can't be found out.
    pub async fn check(
        &self,
        id: Option<&str>,
        viewer: Option<&str>,
        content_id: &ContentId,
        now: Timestamp,
    ) -> Result<Result<(), DenyReason>, StoreError> {
        let (id, viewer) = match (known(viewer), id) {
            (Err(reason), _) => return Ok(Err(reason)),
            (Ok(_), None) => return Ok(Err(DenyReason::LeaseMissing)),
            (Ok(viewer), Some(id)) => (id, viewer),
        };
        let lease = self.find(id).await?;
        let lease = lease.filter(|lease| lease.viewer == viewer && lease.content_id == *content_id);
        Ok(match lease {
            None => Err(DenyReason::LeaseUnknown),
            Some(lease) if lease.expires_at_ms <= now.as_millisecond() => Err(DenyReason::LeaseExpired),
            Some(_) => Ok(()),
        })
    }

    /// Takes away the leases that expired a while before `now`. Returns how many there were.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        let before_ms = now.as_millisecond().saturating_sub(as_millis(SWEEP_MARGIN));
        self.store.sweep_leases(before_ms).await
    }

    async fn find(&self, id: &str) -> Result<Option<Lease>, StoreError> {
        if is_id(id) {
            self.store.lease(id).await
        } else {
            Ok(None)
        }
    }

    fn given(&self, id: String, asked: Option<Duration>, now: Timestamp) -> Given {
        let ttl = asked.map_or(self.rules.ttl, |asked| asked.clamp(MIN_TTL, self.rules.ttl));
        // Within the years that a timestamp has: a lease ends at their end, if not before.
        let expires_at = now.saturating_add(ttl).unwrap_or(Timestamp::MAX);
        Given { id, expires_at, ttl }
    }
}

/// Whether the text has the form of a lease's ID; what hasn't need not be looked for.
pub(super) fn is_id(text: &str) -> bool {
    base64::decode(text).is_some_and(|bytes| bytes.len() == ID_BYTES)
}

/// The viewer whom a token names, if leases can be given to them.
pub(super) fn known(viewer: Option<&str>) -> Result<&str, DenyReason> {
    let viewer = viewer.ok_or(DenyReason::LeaseNoSubject)?;
    let is_good = !viewer.is_empty() && viewer.len() <= MAX_VIEWER_BYTES && !viewer.contains(char::is_control);
    is_good.then_some(viewer).ok_or(DenyReason::LeaseBadSubject)
}

fn new_id() -> Result<String, getrandom::Error> {
    let mut bytes = [0; ID_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(base64::encode(&bytes))
}

/// A time of this module in milliseconds.
fn as_millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

//! Leases: who may play what at the same time as what else.

use std::fmt;
use std::time::Instant;

use async_trait::async_trait;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::database::{Entity, Lock, SqlStore, Work};
use super::{Audit, StoreError};
use crate::keys::ContentId;

/// Leases. Times are in milliseconds since 1970 (UTC), by the callers' clocks; a lease counts before its end, and not at it.
#[async_trait]
pub trait LeaseStore: Send + Sync {
    /// Puts a lease in, if its viewer has room for it at the time of its creation, however many do so at once.
    async fn create_lease(&self, lease: &Lease, limit: Option<LeaseLimit>) -> Result<LeaseCreation, StoreError>;

    /// The lease of an ID. It may have expired.
    async fn lease(&self, id: &str) -> Result<Option<Lease>, StoreError>;

    /// Gives a lease another end, if it is of that viewer and content and counts at `now_ms`, and still does once whoever counts or
    /// takes away leases of its viewer is done. Returns whether it did.
    async fn renew_lease(
        &self,
        id: &str,
        viewer: &str,
        content_id: &ContentId,
        expires_at_ms: i64,
        now_ms: i64,
    ) -> Result<bool, StoreError>;

    /// Takes a lease away. Returns whether there was one.
    async fn revoke_lease(&self, id: &str, audit: Audit<'_>) -> Result<bool, StoreError>;

    /// Takes away all leases of a viewer, whether they count or not. Returns how many counted.
    async fn revoke_leases_of(&self, viewer: &str, audit: Audit<'_>) -> Result<u64, StoreError>;

    /// Takes away all leases that have expired at `now_ms`. Returns how many there were.
    async fn sweep_leases(&self, now_ms: i64) -> Result<u64, StoreError>;
}

/// A lease: a viewer may play a content until its end. Its ID is what shows that somebody has it, and never shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct Lease {
    /// Its ID, which nobody can guess.
    pub id: String,
    /// The content.
    pub content_id: ContentId,
    /// Who has it: at most some 2000 bytes, and no NUL, or PostgreSQL refuses it.
    pub viewer: String,
    /// Its end, in milliseconds since 1970 (UTC).
    pub expires_at_ms: i64,
    /// When it was made, in milliseconds since 1970 (UTC).
    pub created_at_ms: i64,
}

impl Lease {
    /// What stands for a lease's ID where people look: the first eight bytes of its SHA-256, hexadecimal.
    #[must_use]
    pub fn fingerprint(id: &str) -> String {
        let digest = Sha256::digest(id.as_bytes());
        hex::encode(digest.iter().take(8).copied().collect::<Vec<_>>())
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("fingerprint", &Self::fingerprint(&self.id))
            .field("content_id", &self.content_id)
            .field("viewer", &self.viewer)
            .field("expires_at_ms", &self.expires_at_ms)
            .field("created_at_ms", &self.created_at_ms)
            .finish()
    }
}

impl Entity for Lease {
    const KIND: &'static str = "lease";
}

/// How many leases a viewer may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseLimit {
    /// Leases that count at once, at most.
    pub max_per_viewer: u32,
    /// What happens to another one.
    pub overflow: LeaseOverflow,
}

/// What happens to a lease that is one too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseOverflow {
    /// The oldest ones make room for it.
    EvictOldest,
    /// It isn't made.
    Refuse,
}

/// What came of making a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseCreation {
    /// It is there.
    Created {
        /// Older ones of its viewer that are gone for it.
        evicted: u64,
    },
    /// Its viewer has no room for it.
    Refused,
}

const GET: &str = "SELECT * FROM key_leases WHERE id = $1";

/// The leases of a viewer that count at a time, the oldest first.
const LIST_OF_VIEWER: &str = "SELECT * FROM key_leases WHERE viewer = $1 AND expires_at_ms > $2
    ORDER BY created_at_ms, id";

const INSERT: &str = "INSERT INTO key_leases (id, content_id, viewer, expires_at_ms, created_at_ms)
    VALUES ($1, $2, $3, $4, $5)";

const RENEW: &str = "UPDATE key_leases SET expires_at_ms = $4
    WHERE id = $1 AND viewer = $2 AND content_id = $3 AND expires_at_ms > $5";

const DELETE: &str = "DELETE FROM key_leases WHERE id = $1";

const DELETE_OF_VIEWER: &str = "DELETE FROM key_leases WHERE viewer = $1 AND expires_at_ms > $2";

/// Those that have expired; a server whose clock is behind would renew them.
const DELETE_EXPIRED_OF_VIEWER: &str = "DELETE FROM key_leases WHERE viewer = $1 AND expires_at_ms <= $2";

const SWEEP: &str = "DELETE FROM key_leases WHERE expires_at_ms <= $1";

#[async_trait]
impl LeaseStore for SqlStore {
    async fn create_lease(&self, lease: &Lease, limit: Option<LeaseLimit>) -> Result<LeaseCreation, StoreError> {
        let mut transaction = self.0.begin(Work::Write).await?;
        let created = async {
            let mut evicted = 0;
            if let Some(limit) = limit {
                transaction.lock(Lock::Viewer(&lease.viewer)).await?;
                let of_viewer = [lease.viewer.as_str().into(), lease.created_at_ms.into()];
                let others: Vec<Lease> = transaction.rows(LIST_OF_VIEWER, &of_viewer).await?;
                let Some(too_many) = limit.too_many(others.len()) else {
                    return Ok(LeaseCreation::Refused);
                };
                for oldest in others.iter().take(too_many) {
                    evicted += transaction.execute(DELETE, &[oldest.id.as_str().into()]).await?;
                }
            }
            let values = [
                lease.id.as_str().into(),
                lease.content_id.as_str().into(),
                lease.viewer.as_str().into(),
                lease.expires_at_ms.into(),
                lease.created_at_ms.into(),
            ];
            transaction.execute(INSERT, &values).await?;
            Ok(LeaseCreation::Created { evicted })
        }
        .await;
        transaction.finish(created).await
    }

    async fn lease(&self, id: &str) -> Result<Option<Lease>, StoreError> {
        self.row(GET, &[id.into()]).await
    }

    async fn renew_lease(
        &self,
        id: &str,
        viewer: &str,
        content_id: &ContentId,
        expires_at_ms: i64,
        now_ms: i64,
    ) -> Result<bool, StoreError> {
        let began = Instant::now();
        let mut transaction = self.0.begin(Work::Write).await?;
        let renewed = async {
            transaction.lock(Lock::Viewer(viewer)).await?;
            let waited = i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX);
            let values = [
                id.into(),
                viewer.into(),
                content_id.as_str().into(),
                expires_at_ms.into(),
                now_ms.saturating_add(waited).into(),
            ];
            Ok(transaction.execute(RENEW, &values).await? > 0)
        }
        .await;
        transaction.finish(renewed).await
    }

    async fn revoke_lease(&self, id: &str, audit: Audit<'_>) -> Result<bool, StoreError> {
        let mut transaction = self.0.begin(Work::Write).await?;
        let revoked = async {
            let revoked = transaction.execute(DELETE, &[id.into()]).await? > 0;
            if revoked {
                let subject = Lease::fingerprint(id);
                audit.write(&mut *transaction, "lease.revoke", &subject).await?;
            }
            Ok(revoked)
        }
        .await;
        transaction.finish(revoked).await
    }

    async fn revoke_leases_of(&self, viewer: &str, audit: Audit<'_>) -> Result<u64, StoreError> {
        let mut transaction = self.0.begin(Work::Write).await?;
        let revoked = async {
            transaction.lock(Lock::Viewer(viewer)).await?;
            // Both before anything is deleted: what counts by this clock may have expired by that of whoever sweeps.
            transaction.lock(Lock::ExpiredLeases).await?;
            let of_viewer = [viewer.into(), audit.at.as_millisecond().into()];
            let revoked = transaction.execute(DELETE_OF_VIEWER, &of_viewer).await?;
            transaction.execute(DELETE_EXPIRED_OF_VIEWER, &of_viewer).await?;
            if revoked > 0 {
                audit.write(&mut *transaction, "lease.revoke-viewer", viewer).await?;
            }
            Ok(revoked)
        }
        .await;
        transaction.finish(revoked).await
    }

    async fn sweep_leases(&self, now_ms: i64) -> Result<u64, StoreError> {
        let mut transaction = self.0.begin(Work::Write).await?;
        let swept = async {
            transaction.lock(Lock::ExpiredLeases).await?;
            transaction.execute(SWEEP, &[now_ms.into()]).await
        }
        .await;
        transaction.finish(swept).await
    }
}

impl LeaseLimit {
    /// How many of a viewer's leases have to go for another one; `None` if it isn't to be made.
    fn too_many(self, leases: usize) -> Option<usize> {
        let max = usize::try_from(self.max_per_viewer).unwrap_or(usize::MAX);
        match leases.saturating_add(1).saturating_sub(max) {
            0 => Some(0),
            too_many if self.overflow == LeaseOverflow::EvictOldest && max > 0 => Some(too_many),
            _ => None,
        }
    }
}

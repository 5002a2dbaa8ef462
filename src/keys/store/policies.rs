//! Access policies, as text: what one means is not known here.

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Deserialize;

use super::database::{Entity, SqlStore, Work};
use super::{Audit, StoreError};
use crate::keys::ContentId;

/// Access policies, one for a content at most.
#[async_trait]
pub trait PolicyStore: Send + Sync {
    /// A content's policy.
    async fn policy(&self, content_id: &ContentId) -> Result<Option<PolicyRecord>, StoreError>;

    /// All policies, ordered by content.
    async fn policies(&self) -> Result<Vec<PolicyRecord>, StoreError>;

    /// Gives a content a policy, in place of the one that it may have.
    async fn set_policy(&self, content_id: &ContentId, policy: &str, audit: Audit<'_>) -> Result<(), StoreError>;

    /// Gives a content another policy, if it has still the one that is `old`. Returns whether it had. The audit trail calls it `action`.
    async fn replace_policy(
        &self,
        old: &PolicyRecord,
        policy: &str,
        action: &str,
        audit: Audit<'_>,
    ) -> Result<bool, StoreError>;

    /// Takes a content's policy away. Returns whether there was one.
    async fn clear_policy(&self, content_id: &ContentId, audit: Audit<'_>) -> Result<bool, StoreError>;
}

/// A content's policy.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct PolicyRecord {
    /// The content.
    pub content_id: ContentId,
    /// The policy, JSON. It may hold secrets.
    pub policy: String,
    /// When it was set, in whole seconds.
    pub updated_at: Timestamp,
}

impl fmt::Debug for PolicyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyRecord")
            .field("content_id", &self.content_id)
            .field("updated_at", &self.updated_at)
            .finish_non_exhaustive()
    }
}

impl Entity for PolicyRecord {
    const KIND: &'static str = "policy";
}

const GET: &str = "SELECT * FROM key_policies WHERE content_id = $1";

const LIST: &str = "SELECT * FROM key_policies ORDER BY content_id";

const SET: &str = "INSERT INTO key_policies (content_id, policy, updated_at) VALUES ($1, $2, $3)
    ON CONFLICT (content_id) DO UPDATE SET policy = excluded.policy, updated_at = excluded.updated_at";

const REPLACE: &str = "UPDATE key_policies SET policy = $2, updated_at = $3 WHERE content_id = $1 AND policy = $4";

const DELETE: &str = "DELETE FROM key_policies WHERE content_id = $1";

#[async_trait]
impl PolicyStore for SqlStore {
    async fn policy(&self, content_id: &ContentId) -> Result<Option<PolicyRecord>, StoreError> {
        self.row(GET, &[content_id.as_str().into()]).await
    }

    async fn policies(&self) -> Result<Vec<PolicyRecord>, StoreError> {
        self.rows(Work::List, LIST, &[]).await
    }

    async fn set_policy(&self, content_id: &ContentId, policy: &str, audit: Audit<'_>) -> Result<(), StoreError> {
        let mut transaction = self.0.begin(Work::Write).await?;
        let set = async {
            let values = [content_id.as_str().into(), policy.into(), audit.at.into()];
            transaction.execute(SET, &values).await?;
            audit.write(&mut *transaction, "policy.set", content_id.as_str()).await
        }
        .await;
        transaction.finish(set).await
    }

    async fn replace_policy(
        &self,
        old: &PolicyRecord,
        policy: &str,
        action: &str,
        audit: Audit<'_>,
    ) -> Result<bool, StoreError> {
        let id = old.content_id.as_str();
        let mut transaction = self.0.begin(Work::Write).await?;
        let replaced = async {
            let values = [id.into(), policy.into(), audit.at.into(), old.policy.as_str().into()];
            let replaced = transaction.execute(REPLACE, &values).await? > 0;
            if replaced {
                audit.write(&mut *transaction, action, id).await?;
            }
            Ok(replaced)
        }
        .await;
        transaction.finish(replaced).await
    }

    async fn clear_policy(&self, content_id: &ContentId, audit: Audit<'_>) -> Result<bool, StoreError> {
        let mut transaction = self.0.begin(Work::Write).await?;
        let cleared = async {
            let cleared = transaction.execute(DELETE, &[content_id.as_str().into()]).await? > 0;
            if cleared {
                audit
                    .write(&mut *transaction, "policy.clear", content_id.as_str())
                    .await?;
            }
            Ok(cleared)
        }
        .await;
        transaction.finish(cleared).await
    }
}

//! Who changed what: an entry is written in the transaction of the change, so that neither is there without the other.

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::database::{Entity, SqlStore, Transaction, Work, is_never_stored};

/// The entries of all changes.
#[async_trait]
pub trait AuditTrail: Send + Sync {
    /// The newest entries, at most `limit` of them, of one subject or of all; the newest first.
    async fn audit_entries(&self, subject: Option<&str>, limit: u32) -> Result<Vec<AuditEntry>, StoreError>;
}

/// Who changes something, and when; given to whatever changes it.
#[derive(Debug, Clone, Copy)]
pub struct Audit<'a> {
    /// Who: a person or a program, as whoever let them in calls them.
    pub actor: &'a str,
    /// When.
    pub at: Timestamp,
    /// What else is to be known of it. It must hold no secret, for entries are shown.
    pub detail: Option<&'a str>,
}

/// A change that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// When, in whole seconds (RFC 3339, UTC).
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// What: `policy.set`, `policy.rewrap`, `policy.clear`, `signing-key.add`, `signing-key.revoke`, `lease.revoke` or `lease.revoke-viewer`.
    pub action: String,
    /// Of what: a content ID, a signing key's ID, a lease's [fingerprint](super::Lease::fingerprint) or a viewer.
    pub subject: String,
    /// What else is to be known of it.
    pub detail: Option<String>,
}

impl Entity for AuditEntry {
    const KIND: &'static str = "audit entry";
}

const LIST: &str = "SELECT at, actor, action, subject, detail FROM key_audit ORDER BY number DESC LIMIT $1";

const LIST_OF_SUBJECT: &str =
    "SELECT at, actor, action, subject, detail FROM key_audit WHERE subject = $1 ORDER BY number DESC LIMIT $2";

const INSERT: &str = "INSERT INTO key_audit (at, actor, action, subject, detail) VALUES ($1, $2, $3, $4, $5)";

#[async_trait]
impl AuditTrail for SqlStore {
    async fn audit_entries(&self, subject: Option<&str>, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        let limit = i64::from(limit).into();
        match subject {
            Some(subject) if is_never_stored(subject) => Ok(Vec::new()),
            Some(subject) => self.rows(Work::List, LIST_OF_SUBJECT, &[subject.into(), limit]).await,
            None => self.rows(Work::List, LIST, &[limit]).await,
        }
    }
}

impl Audit<'_> {
    /// Writes the entry of a change that was made in a transaction.
    pub(super) async fn write(
        self,
        transaction: &mut dyn Transaction,
        action: &str,
        subject: &str,
    ) -> Result<(), StoreError> {
        let entry = [
            self.at.into(),
            self.actor.into(),
            action.into(),
            subject.into(),
            self.detail.map(str::to_owned).into(),
        ];
        transaction.execute(INSERT, &entry).await.map(|_| ())
    }
}

//! A key for whoever was let in: what they may have of a content's keys.

use std::sync::Arc;

use super::{Asked, Authenticated, DenyReason};
use crate::content_key::Kid;
use crate::keys::ContentId;
use crate::keys::lookup::{FoundKey, Lookup, LookupError, Which};

/// A key is not handed out.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Whoever asks may have other keys, if any.
    #[error("denied: {0}")]
    Denied(DenyReason),
    /// It can't be looked up.
    #[error(transparent)]
    Lookup(#[from] Arc<LookupError>),
}

impl From<DenyReason> for KeyError {
    fn from(reason: DenyReason) -> Self {
        Self::Denied(reason)
    }
}

impl Authenticated {
    /// A key of the content that they were let in for.
    ///
    /// # Errors
    /// [`KeyError`]. Whether there is a key is told only to those who may have it.
    pub async fn key(&self, keys: &Lookup, content_id: &ContentId, which: Which) -> Result<FoundKey, KeyError> {
        // The name of a key by its ID is in its record alone; of others it is known before.
        let is_by_id = matches!(which, Which::Kid(_));
        match &which {
            Which::Primary => self.keys.check(Asked::Named(None))?,
            Which::Named(name) => self.keys.check(Asked::Named(Some(name)))?,
            Which::Kid(kid) => self.check_kid(*kid)?,
        }
        let found = match keys.find(content_id, which).await {
            Ok(found) => found,
            Err(error) => {
                // Else it would tell that there is such an ID.
                if is_by_id && !matches!(*error, LookupError::Store(_)) {
                    self.keys.check(Asked::Unknown)?;
                }
                return Err(error.into());
            }
        };
        if is_by_id {
            self.keys.check(Asked::Named(found.name.as_ref()))?;
        }
        self.check_kid(found.kid)?;
        Ok(found)
    }

    fn check_kid(&self, kid: Kid) -> Result<(), DenyReason> {
        let is_let_through = self.kids.as_ref().is_none_or(|kids| kids.contains(&kid));
        is_let_through.then_some(()).ok_or(DenyReason::KeyNotInToken)
    }
}

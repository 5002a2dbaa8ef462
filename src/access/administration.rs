//! Changing who may have keys: what the command line and the admin API do.

use jiff::Timestamp;

use super::policy::{Policy, PolicyDraft, PolicyError, Redacted};
use super::{SigningKey, SigningKeyError, leases};
use crate::keys::store::{self, Audit, NewSigningKey, Revocation, Store, StoreError};
use crate::keys::{ContentId, KeyRing};

/// So many signing keys are active at most: one for each application, and one more for each while it is rotated.
pub const MAX_ACTIVE_SIGNING_KEYS: u32 = 10;

/// The name of a signing key is no longer, in characters.
pub const MAX_NAME_LENGTH: usize = 128;

/// Changes what a store says of access, on somebody's behalf. Each change and its entry in the audit trail are one.
#[derive(Clone, Copy)]
pub struct Administration<'a> {
    /// Where policies and signing keys are.
    pub store: &'a dyn Store,
    /// Who changes them: a person or a program, as whoever let them in calls them.
    pub actor: &'a str,
}

/// A policy of a content, for people to read.
#[derive(Debug, serde::Serialize)]
pub struct ShownPolicy {
    /// The content.
    pub content_id: ContentId,
    /// The policy, without secrets; or why it denies whoever asks.
    #[serde(flatten)]
    pub policy: PolicyOrReason,
    /// When it was set.
    pub updated_at: Timestamp,
}

/// What became of the secrets of policies.
#[derive(Debug, Default)]
pub struct RewrappedPolicies {
    /// How many were wrapped anew.
    pub moved: usize,
    /// The contents whose policies can't be read, and whose secrets stay as they are, if they have some.
    pub unreadable: Vec<ContentId>,
}

/// A policy, or why it can't be read.
#[derive(Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyOrReason {
    /// The policy.
    Policy(Policy<Redacted>),
    /// The reason that everybody is denied by.
    Unreadable(String),
}

/// A change that was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdministrationError {
    /// The policy is none that can be set.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A name that is empty, too long, or can't be printed.
    #[error("a signing key's name is 1 to {MAX_NAME_LENGTH} characters, none of them a control character")]
    Name,
    /// No key pair can be made.
    #[error("no key pair can be made")]
    KeyPair(#[from] SigningKeyError),
    /// The store refuses, or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AdministrationError {
    /// Whether whoever asked for it can mend it.
    #[must_use]
    pub const fn is_of_request(&self) -> bool {
        matches!(self, Self::Policy(_) | Self::Name) || self.is_conflict()
    }

    /// Whether it contradicts what is there.
    #[must_use]
    pub const fn is_conflict(&self) -> bool {
        use StoreError::{SigningKeyExists, SigningKeyNameTaken, TooManySigningKeys};
        matches!(
            self,
            Self::Store(SigningKeyExists { .. } | SigningKeyNameTaken { .. } | TooManySigningKeys { .. })
        )
    }
}

impl Administration<'_> {
    /// Finds out whether [`Self::set_policy`] would take that policy now, and changes nothing.
    ///
    /// # Errors
    /// [`AdministrationError`] if not.
    pub async fn check_policy(
        &self,
        ring: &KeyRing,
        content_id: &ContentId,
        json: &str,
    ) -> Result<(), AdministrationError> {
        let draft = PolicyDraft::parse(json)?;
        let stored = self.store.policy(content_id).await?;
        let readable = stored.and_then(|record| Policy::parse(&record.policy).ok());
        draft.wrap(ring, content_id, readable)?;
        Ok(())
    }

    /// Gives a content a policy, written as JSON. `ring` wraps its secret; one that is left out is kept.
    ///
    /// # Errors
    /// [`AdministrationError`]; nothing is changed then.
    pub async fn set_policy(
        &self,
        ring: &KeyRing,
        content_id: &ContentId,
        json: &str,
    ) -> Result<Policy<Redacted>, AdministrationError> {
        let draft = PolicyDraft::parse(json)?;
        loop {
            let stored = self.store.policy(content_id).await?;
            let readable = stored.as_ref().and_then(|record| Policy::parse(&record.policy).ok());
            let policy = draft.wrap(ring, content_id, readable)?;
            let (json, shown) = (as_json(&policy)?, policy.redacted());
            let detail = as_json(&shown)?;
            let audit = self.audit(Some(&detail));
            match stored {
                // A secret that somebody else has changed by now is not put back.
                Some(stored) if draft.keeps_secret() => {
                    if !self.store.replace_policy(&stored, &json, "policy.set", audit).await? {
                        continue;
                    }
                }
                _ => self.store.set_policy(content_id, &json, audit).await?,
            }
            return Ok(shown);
        }
    }

    /// Takes a content's policy away, so that it asks for a token again. Returns whether there was one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn clear_policy(&self, content_id: &ContentId) -> Result<bool, StoreError> {
        self.store.clear_policy(content_id, self.audit(None)).await
    }

    /// Wraps the secrets of all policies under the key-encryption key of now, whatever others change meanwhile.
    ///
    /// # Errors
    /// [`AdministrationError`] at the first secret that can't be opened, or if the store fails; what was done until then stays.
    pub async fn rewrap_policies(&self, ring: &KeyRing) -> Result<RewrappedPolicies, AdministrationError> {
        let mut rewrapped = RewrappedPolicies::default();
        for record in self.store.policies().await? {
            let content_id = record.content_id.clone();
            let mut stored = Some(record);
            while let Some(record) = stored.take() {
                let Ok(policy) = Policy::parse(&record.policy) else {
                    rewrapped.unreadable.push(content_id.clone());
                    break;
                };
                let new = policy.rewrap(ring, &content_id).map_err(PolicyError::from)?;
                let Some(new) = new else { break };
                let (json, audit) = (as_json(&new)?, self.audit(None));
                if self
                    .store
                    .replace_policy(&record, &json, "policy.rewrap", audit)
                    .await?
                {
                    rewrapped.moved += 1;
                } else {
                    // Somebody else has changed it, and may have kept the secret as it was.
                    stored = self.store.policy(&content_id).await?;
                }
            }
        }
        Ok(rewrapped)
    }

    /// Makes a signing key. Its private half is in what is returned, and nowhere else.
    ///
    /// # Errors
    /// [`AdministrationError`]; there is no new key then.
    pub async fn create_signing_key(&self, name: &str) -> Result<SigningKey, AdministrationError> {
        if name.is_empty() || name.chars().count() > MAX_NAME_LENGTH || name.contains(char::is_control) {
            return Err(AdministrationError::Name);
        }
        let key = SigningKey::generate()?;
        let new = NewSigningKey {
            kid: key.kid.clone(),
            name: name.to_owned(),
            public_key_pem: key.public_key_pem.clone(),
        };
        let audit = self.audit(Some(name));
        self.store.add_signing_key(&new, MAX_ACTIVE_SIGNING_KEYS, audit).await?;
        Ok(key)
    }

    /// Revokes a signing key, for ever: what it signed opens nothing from the next request on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn revoke_signing_key(&self, kid: &str) -> Result<Revocation, StoreError> {
        self.store.revoke_signing_key(kid, self.audit(None)).await
    }

    /// Takes a lease away: it opens nothing from the next request on. Returns whether there was one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn revoke_lease(&self, id: &str) -> Result<bool, StoreError> {
        Ok(leases::is_id(id) && self.store.revoke_lease(id, self.audit(None)).await?)
    }

    /// Takes all leases of a viewer away. Returns how many counted.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn revoke_leases_of(&self, viewer: &str) -> Result<u64, StoreError> {
        match leases::known(Some(viewer)) {
            Ok(viewer) => self.store.revoke_leases_of(viewer, self.audit(None)).await,
            Err(_) => Ok(0),
        }
    }

    fn audit<'b>(&'b self, detail: Option<&'b str>) -> Audit<'b> {
        Audit {
            actor: self.actor,
            at: Timestamp::now(),
            detail,
        }
    }
}

impl ShownPolicy {
    /// The policy of a record.
    #[must_use]
    pub fn of(record: store::PolicyRecord) -> Self {
        let policy = match Policy::parse(&record.policy) {
            Ok(policy) => PolicyOrReason::Policy(policy.redacted()),
            Err(reason) => PolicyOrReason::Unreadable(reason.as_str().to_owned()),
        };
        Self {
            content_id: record.content_id,
            policy,
            updated_at: record.updated_at,
        }
    }
}

fn as_json(value: &impl serde::Serialize) -> Result<String, PolicyError> {
    serde_json::to_string(value).map_err(|error| PolicyError::Malformed(error.to_string()))
}

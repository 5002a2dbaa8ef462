//! Public keys of those who sign tokens.

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::database::{Entity, Lock, SqlStore, Work, is_never_stored};
use super::{Audit, StoreError};

/// Public keys that tokens are checked with. One that was revoked stays, so that nobody takes its ID again.
#[async_trait]
pub trait SigningKeyStore: Send + Sync {
    /// All keys, ordered by time of creation and ID.
    async fn signing_keys(&self) -> Result<Vec<SigningKey>, StoreError>;

    /// The key of an ID.
    async fn signing_key(&self, kid: &str) -> Result<Option<SigningKey>, StoreError>;

    /// Puts a key in, if fewer than `max_active` are active, however many do so at once. Its ID must be new, and its name that
    /// of no active key.
    async fn add_signing_key(&self, key: &NewSigningKey, max_active: u32, audit: Audit<'_>) -> Result<(), StoreError>;

    /// Revokes a key, for ever.
    async fn revoke_signing_key(&self, kid: &str, audit: Audit<'_>) -> Result<Revocation, StoreError>;

    /// Notes when keys, given by their IDs, were used; times that are not later than what is there change nothing.
    async fn touch_signing_keys(&self, used: &[(String, Timestamp)]) -> Result<(), StoreError>;
}

/// A key to be put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSigningKey {
    /// Its ID, the `kid` of tokens' headers.
    pub kid: String,
    /// What people call it.
    pub name: String,
    /// The public key, PEM.
    pub public_key_pem: String,
}

/// A public key that tokens are checked with, unless it was revoked. All times are in whole seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKey {
    /// Its ID, the `kid` of tokens' headers.
    pub kid: String,
    /// What people call it.
    pub name: String,
    /// The public key, PEM.
    pub public_key_pem: String,
    /// When it was put in.
    pub created_at: Timestamp,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
    /// When a token was last checked with it, about.
    pub last_used_at: Option<Timestamp>,
}

impl SigningKey {
    /// Whether it was not revoked.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        self.revoked_at.is_none()
    }
}

/// What came of revoking a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revocation {
    /// It is revoked now.
    Revoked,
    /// It was before.
    WasRevoked,
    /// There is no such key.
    Unknown,
}

impl Entity for SigningKey {
    const KIND: &'static str = "signing key";
}

const GET: &str = "SELECT * FROM key_signing_keys WHERE kid = $1";

const LIST: &str = "SELECT * FROM key_signing_keys ORDER BY created_at, kid";

const INSERT: &str = "INSERT INTO key_signing_keys (kid, name, public_key_pem, created_at) VALUES ($1, $2, $3, $4)";

const REVOKE: &str = "UPDATE key_signing_keys SET revoked_at = $2 WHERE kid = $1 AND revoked_at IS NULL";

const TOUCH: &str = "UPDATE key_signing_keys SET last_used_at = $2
    WHERE kid = $1 AND (last_used_at IS NULL OR last_used_at < $2)";

#[async_trait]
impl SigningKeyStore for SqlStore {
    async fn signing_keys(&self) -> Result<Vec<SigningKey>, StoreError> {
        self.rows(Work::List, LIST, &[]).await
    }

    async fn signing_key(&self, kid: &str) -> Result<Option<SigningKey>, StoreError> {
        if is_never_stored(kid) {
            return Ok(None);
        }
        self.row(GET, &[kid.into()]).await
    }

    async fn add_signing_key(&self, key: &NewSigningKey, max_active: u32, audit: Audit<'_>) -> Result<(), StoreError> {
        let mut transaction = self.0.begin(Work::Write).await?;
        let added = async {
            transaction.lock(Lock::SigningKeys).await?;
            check_room(&transaction.rows(LIST, &[]).await?, key, max_active)?;
            let values = [&key.kid, &key.name, &key.public_key_pem].map(|text| text.as_str().into());
            let [kid, name, public_key_pem] = values;
            transaction
                .execute(INSERT, &[kid, name, public_key_pem, audit.at.into()])
                .await?;
            audit.write(&mut *transaction, "signing-key.add", &key.kid).await
        }
        .await;
        transaction.finish(added).await
    }

    async fn revoke_signing_key(&self, kid: &str, audit: Audit<'_>) -> Result<Revocation, StoreError> {
        if is_never_stored(kid) {
            return Ok(Revocation::Unknown);
        }
        let mut transaction = self.0.begin(Work::Write).await?;
        let revoked = async {
            if transaction.execute(REVOKE, &[kid.into(), audit.at.into()]).await? > 0 {
                audit.write(&mut *transaction, "signing-key.revoke", kid).await?;
                return Ok(Revocation::Revoked);
            }
            let found: Option<SigningKey> = transaction.row(GET, &[kid.into()]).await?;
            Ok(found.map_or(Revocation::Unknown, |_| Revocation::WasRevoked))
        }
        .await;
        transaction.finish(revoked).await
    }

    async fn touch_signing_keys(&self, used: &[(String, Timestamp)]) -> Result<(), StoreError> {
        // Two that change the same rows in another order would wait for each other.
        let mut used: Vec<_> = used.iter().collect();
        used.sort_unstable();
        let mut transaction = self.0.begin(Work::Write).await?;
        let touched = async {
            for (kid, at) in used {
                transaction.execute(TOUCH, &[kid.as_str().into(), (*at).into()]).await?;
            }
            Ok(())
        }
        .await;
        transaction.finish(touched).await
    }
}

/// Whether a key may be put in beside those that are there.
fn check_room(keys: &[SigningKey], new: &NewSigningKey, max_active: u32) -> Result<(), StoreError> {
    if keys.iter().any(|key| key.kid == new.kid) {
        return Err(StoreError::SigningKeyExists { kid: new.kid.clone() });
    }
    let active = || keys.iter().filter(|key| key.is_active());
    if let Some(key) = active().find(|key| key.name == new.name) {
        return Err(StoreError::SigningKeyNameTaken {
            name: new.name.clone(),
            kid: key.kid.clone(),
        });
    }
    if usize::try_from(max_active).is_ok_and(|max_active| active().count() >= max_active) {
        return Err(StoreError::TooManySigningKeys { max_active });
    }
    Ok(())
}

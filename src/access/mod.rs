//! Who may have a key: tokens in, one [`Decision`] with a reason out.
//!
//! ```text
//! bearer text -> Verifier (HMAC token, JWT) -> Authenticated -> Access::decide -> Decision
//! ```
//!
//! The live route and whatever else asks (a dry run, `vylux-pack token check`) share [`Access::decide`], so they can't
//! disagree. Nothing here knows of HTTP: a [`jwks::Fetch`] brings key sets from wherever they are, and a
//! [`webhook::Post`] takes questions to webhooks.

mod base64;
mod hmac_token;
pub mod jwks;
mod jwt;
mod key_scope;
mod reason;
pub mod webhook;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::de::DeserializeOwned;

use crate::keys::ContentId;

pub use hmac_token::{HmacTokens, mint};
pub use jwt::{JwtRules, Jwts};
pub use key_scope::{Asked, KeyEntry, KeyScope, PRIMARY};
pub use reason::DenyReason;

/// No token is longer, in bytes of its text.
pub const MAX_TOKEN_BYTES: usize = 8 << 10;

/// Seconds since 1970 (UTC), as tokens count time.
pub type UnixSeconds = i64;

/// The time now.
#[must_use]
pub fn now() -> UnixSeconds {
    Timestamp::now().as_second()
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The content whose key is wanted.
    pub content_id: &'a ContentId,
    /// When.
    pub now: UnixSeconds,
}

/// Who a token speaks for. It has passed every check of its [`Verifier`], for the content of the [`Question`] alone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Authenticated {
    /// The token's subject (RFC 7519, 4.1.2), if it names one.
    pub subject: Option<String>,
    /// Which of the content's keys it opens: of each, [`KeyScope::check`] decides.
    pub keys: KeyScope,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Keys of the content may be handed out: those of [`Authenticated::keys`].
    Allow(Authenticated),
    /// It may not.
    Deny(DenyReason),
}

/// A kind of token. Another kind is one more file that implements this, and one more line where [`Access`] is made.
#[async_trait]
pub trait Verifier: Send + Sync {
    /// Whether `token` has this kind's form; it may still be wrong in every other way.
    fn recognizes(&self, token: &str) -> bool;

    /// Checks a token that [`Self::recognizes`] took.
    async fn verify(&self, token: &str, question: Question<'_>) -> Result<Authenticated, DenyReason>;
}

/// Decides who may have a key.
#[derive(Clone)]
pub struct Access {
    /// `None` lets everybody in.
    verifiers: Option<Arc<[Box<dyn Verifier>]>>,
}

impl Access {
    /// Access for those whose token one of `verifiers` accepts; with none of them, for nobody.
    #[must_use]
    pub fn new(verifiers: Vec<Box<dyn Verifier>>) -> Self {
        Self {
            verifiers: Some(verifiers.into()),
        }
    }

    /// Access for everybody: for a developer's own machine.
    #[must_use]
    pub const fn insecure() -> Self {
        Self { verifiers: None }
    }

    /// Whether everybody is let in.
    #[must_use]
    pub const fn is_insecure(&self) -> bool {
        self.verifiers.is_none()
    }

    /// Decides about `token`, the text that came as a Bearer token (RFC 6750), if any.
    pub async fn decide(&self, token: Option<&str>, question: Question<'_>) -> Decision {
        match self.authenticate(token, question).await {
            Ok(authenticated) => Decision::Allow(authenticated),
            Err(reason) => Decision::Deny(reason),
        }
    }

    async fn authenticate(&self, token: Option<&str>, question: Question<'_>) -> Result<Authenticated, DenyReason> {
        let Some(verifiers) = &self.verifiers else {
            return Ok(Authenticated::default());
        };
        let token = token.ok_or(DenyReason::MissingToken)?;
        if token.len() > MAX_TOKEN_BYTES {
            return Err(DenyReason::TokenTooLarge);
        }
        let verifier = verifiers.iter().find(|verifier| verifier.recognizes(token));
        verifier
            .ok_or(DenyReason::TokenMalformed)?
            .verify(token, question)
            .await
    }
}

/// Reads a JSON object. Without the look at its first letter, serde would take an array of the members' values for one.
fn json_object<T: DeserializeOwned>(json: &[u8]) -> Option<T> {
    let is_object = json.trim_ascii_start().first() == Some(&b'{');
    is_object.then(|| serde_json::from_slice(json).ok())?
}

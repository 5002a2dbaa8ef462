//! Who may have a key: tokens in, one [`Verdict`] with a reason out.
//!
//! ```text
//! Asking -> Policy of the content -> its rule (everybody, Verifier, signing keys, webhook) -> lease -> Verdict
//! ```
//!
//! The live route and whatever else asks (a dry run, `vylux-pack token check`) share [`Access::decide`], so they can't
//! disagree. Nothing here knows of HTTP: a [`jwks::Fetch`] brings key sets from wherever they are, and a [`webhook::Post`] takes
//! questions to webhooks.

pub mod administration;
mod base64;
mod claims;
pub mod dry_run;
mod fresh;
mod hmac_token;
mod json;
pub mod jwks;
mod jwt;
mod key;
mod key_scope;
pub mod leases;
mod pem;
mod policies;
pub mod policy;
mod reason;
mod signing_key;
pub mod webhook;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::de::{DeserializeOwned, Error as _};

use crate::content_key::Kid;
use crate::keys::ContentId;
use crate::keys::lookup::Which;
use leases::Leases;
use policy::Policy;

pub use hmac_token::{HmacTokens, mint};
pub use json::{Json, Members, Number, whole_or_null};
pub use jwt::{JwtRules, Jwts};
pub use key::KeyError;
pub use key_scope::{Asked, KeyEntry, KeyScope, PRIMARY};
pub use policies::Policies;
pub use reason::DenyReason;
pub use signing_key::{KnownKey, NotP256, PublicKey, SigningKey, SigningKeyError};

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
    /// Which of the content's keys it opens, by their names.
    pub keys: KeyScope,
    /// The IDs of keys that were decided about one by one, and let through; `None` where that was not so.
    pub kids: Option<Vec<Kid>>,
}

/// All that is known of whoever asks for a key.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    /// For which content, and when.
    pub question: Question<'a>,
    /// The text that came as a Bearer token (RFC 6750), if any; or what is wrong with where it came.
    pub token: Result<Option<&'a str>, DenyReason>,
    /// What is wanted of it.
    pub wanted: Wanted<'a>,
    /// The viewer's address.
    pub viewer_ip: IpAddr,
    /// What the viewer asked for, a URL or the path of one.
    pub request_url: &'a str,
    /// The request's ID, which the log has too.
    pub request_id: &'a str,
    /// Whether somebody tries out what would be answered, so that no signing key counts as used.
    pub is_trial: bool,
    /// Whether a webhook may be asked; a trial may leave it in peace.
    pub asks_webhooks: bool,
}

/// What somebody wants of a content.
#[derive(Debug, Clone, Copy)]
pub enum Wanted<'a> {
    /// Keys, for which a lease may be needed.
    Keys {
        /// Which of them.
        which: &'a [Which],
        /// The ID of the lease that came, if any.
        lease_id: Option<&'a str>,
    },
    /// A lease.
    Lease,
}

impl<'a> Wanted<'a> {
    /// Which keys, of content that nobody needs a lease for, as nobody is known who could have one.
    const fn without_lease(&self) -> Result<&'a [Which], DenyReason> {
        match self {
            Self::Keys { which, .. } => Ok(which),
            Self::Lease => Err(DenyReason::LeaseNotNeeded),
        }
    }
}

impl<'a> Asking<'a> {
    /// A token for a content is all that is known.
    #[must_use]
    pub const fn by_token(question: Question<'a>, token: &'a str) -> Self {
        Self {
            question,
            token: Ok(Some(token)),
            wanted: Wanted::Keys {
                which: &[Which::Primary],
                lease_id: None,
            },
            viewer_ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            request_url: "",
            request_id: "",
            is_trial: true,
            asks_webhooks: false,
        }
    }
}

/// The answer.
#[derive(Debug)]
pub struct Verdict {
    /// Keys of the content may be handed out, those of [`Authenticated::keys`]; or why not.
    pub outcome: Result<Authenticated, DenyReason>,
    /// What led to it.
    pub grounds: Grounds,
}

/// What led to a [`Verdict`]: for logs and dry runs. Clients are told none of it.
#[derive(Debug, Default)]
pub struct Grounds {
    /// The type of the content's policy, where it could be read.
    pub policy: Option<&'static str>,
    /// Whom the token speaks for, where it is good and names somebody: also where their lease does not do.
    pub subject: Option<String>,
    /// More of the reason for people, without a word of the token. There is some wherever access is denied, or a `cause`.
    pub detail: Option<String>,
    /// The signing key that the token names. Verified where access is allowed, and nowhere else.
    pub kid: Option<String>,
    /// All that the token says. Verified where access is allowed, and nowhere else.
    pub claims: Option<Members>,
    /// What the webhook answered, to each of its questions.
    pub webhook: Vec<webhook::Answer>,
    /// Why the store could not be asked.
    pub cause: Option<Arc<dyn std::error::Error + Send + Sync>>,
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
    rules: Option<Rules>,
}

#[derive(Clone)]
struct Rules {
    verifiers: Arc<[Box<dyn Verifier>]>,
    /// `None` where no content has a policy of its own.
    policies: Option<Policies>,
    /// `None` where nobody needs a lease.
    leases: Option<Leases>,
}

impl Access {
    /// Access for those whose token one of `verifiers` accepts, none of them for nobody; and where `policies` say another thing of a
    /// content, by that. Keys are for those who hold one of `leases` then, where there are some.
    #[must_use]
    pub fn new(verifiers: Vec<Box<dyn Verifier>>, policies: Option<Policies>, leases: Option<Leases>) -> Self {
        Self {
            rules: Some(Rules {
                verifiers: verifiers.into(),
                policies,
                leases,
            }),
        }
    }

    /// Access for everybody: for a developer's own machine.
    #[must_use]
    pub const fn insecure() -> Self {
        Self { rules: None }
    }

    /// Whether everybody is let in.
    #[must_use]
    pub const fn is_insecure(&self) -> bool {
        self.rules.is_none()
    }

    /// The policies of contents, if they may have some.
    #[must_use]
    pub fn policies(&self) -> Option<&Policies> {
        self.rules.as_ref()?.policies.as_ref()
    }

    /// Decides. Nothing of an earlier decision is used again: what was revoked by now counts.
    pub async fn decide(&self, asking: &Asking<'_>) -> Verdict {
        let mut grounds = Grounds::default();
        let outcome = match &self.rules {
            None => Ok(Authenticated::default()),
            Some(rules) => rules.decide(asking, &mut grounds).await,
        };
        if let Err(reason) = outcome
            && grounds.cause.is_none()
        {
            grounds.detail.get_or_insert_with(|| reason.explained().to_owned());
        }
        Verdict { outcome, grounds }
    }
}

impl Rules {
    async fn decide(&self, asking: &Asking<'_>, grounds: &mut Grounds) -> Result<Authenticated, DenyReason> {
        let policy = match &self.policies {
            None => Arc::new(Policy::Token),
            Some(policies) => policies.of(asking.question.content_id, grounds).await?,
        };
        grounds.policy = Some(policy.kind());
        let authenticated = match (&*policy, &self.policies) {
            (Policy::Public, _) => return asking.wanted.without_lease().map(|_| Authenticated::default()),
            (Policy::Webhook(policy), Some(policies)) => {
                let which = asking.wanted.without_lease()?;
                return policies.by_webhook(policy, asking, which, grounds).await;
            }
            (Policy::Jwt(policy), Some(policies)) => policies.by_jwt(policy, asking, grounds).await,
            (Policy::Token | Policy::Jwt(_) | Policy::Webhook(_), _) => self.by_token(asking).await,
        }?;
        grounds.subject.clone_from(&authenticated.subject);
        self.by_lease(asking, grounds).await?;
        Ok(authenticated)
    }

    async fn by_lease(&self, asking: &Asking<'_>, grounds: &mut Grounds) -> Result<(), DenyReason> {
        let (Some(leases), Wanted::Keys { lease_id, .. }) = (&self.leases, asking.wanted) else {
            return Ok(());
        };
        let (viewer, content_id) = (grounds.subject.as_deref(), asking.question.content_id);
        let checked = leases.check(lease_id, viewer, content_id, Timestamp::now()).await;
        checked.unwrap_or_else(|cause| {
            grounds.cause = Some(Arc::new(cause));
            Err(DenyReason::LeaseFetchFailed)
        })
    }

    async fn by_token(&self, asking: &Asking<'_>) -> Result<Authenticated, DenyReason> {
        let token = asking.token?.ok_or(DenyReason::MissingToken)?;
        if token.len() > MAX_TOKEN_BYTES {
            return Err(DenyReason::TokenTooLarge);
        }
        let verifier = self.verifiers.iter().find(|verifier| verifier.recognizes(token));
        verifier
            .ok_or(DenyReason::TokenMalformed)?
            .verify(token, asking.question)
            .await
    }
}

/// Reads a JSON object. Without the look at its first letter, serde would take an array of the members' values for one.
///
/// # Errors
/// If it is none, or another one than `T`.
pub fn json_object<T: DeserializeOwned>(json: &[u8]) -> Result<T, serde_json::Error> {
    match json.trim_ascii_start().first() {
        Some(b'{') => serde_json::from_slice(json),
        _ => Err(serde_json::Error::custom("expected an object")),
    }
}

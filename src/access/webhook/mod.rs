//! A webhook: somebody else's server is asked whether a viewer may have a key, and its status is the answer.
//!
//! ```text
//! Webhook + Question -> Hosts (cap, circuit) -> Message (signed) -> Post -> status -> Answer
//! ```
//!
//! Only status 200 allows. Whatever goes wrong denies: an outage of the webhook opens no content.

mod hosts;
mod question;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::time::timeout;
use url::Url;

use super::DenyReason;
use super::policy::{DEFAULT_TIMEOUT_MS, MAX_TIMEOUT_MS};
use crate::secret::SecretText;
use hosts::{Health, Hosts};

pub use hosts::{FAILURES_TO_OPEN, MAX_HOSTS, MAX_IN_FLIGHT, OPEN_TIME};
pub use question::{Message, Question};

/// A webhook has this long to answer, unless it is told otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_millis(DEFAULT_TIMEOUT_MS);

/// No webhook has longer: a player waits meanwhile.
pub const MAX_TIMEOUT: Duration = Duration::from_millis(MAX_TIMEOUT_MS);

const OK: u16 = 200;
const FORBIDDEN: u16 = 403;
const SERVER_ERRORS: std::ops::RangeInclusive<u16> = 500..=599;

/// Takes a message to a webhook.
#[async_trait]
pub trait Post: Send + Sync {
    /// The status of the answer, once all that is read of it is there. Dropping the future gives the attempt up.
    async fn post(&self, url: &Url, message: &Message) -> Result<u16, PostError>;
}

/// Why there is no answer. The texts are for logs and dry runs: they hold no query of a URL, no token and no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// Nothing is sent to this URL, or to an address of its host.
    #[error("{0}")]
    Blocked(String),
    /// The host can't be reached, or its answer can't be read.
    #[error("{0}")]
    Network(String),
}

/// A webhook, and what it takes to ask it.
///
/// It has no `Debug`: it holds a secret, and so may its URL.
#[derive(Clone)]
pub struct Webhook {
    url: Option<Url>,
    secret: SecretText,
    timeout: Duration,
}

impl Webhook {
    /// The webhook at `url`, whose messages are signed with the text of `secret`. It has `timeout` to answer, at most
    /// [`MAX_TIMEOUT`], and [`DEFAULT_TIMEOUT`] for `None`. Without a URL it is one that always denies.
    #[must_use]
    pub fn new(url: Option<Url>, secret: SecretText, timeout: Option<Duration>) -> Self {
        Self {
            url,
            secret,
            timeout: timeout.unwrap_or(DEFAULT_TIMEOUT).min(MAX_TIMEOUT),
        }
    }
}

/// What came of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Whether the viewer may have the key.
    pub verdict: Result<(), DenyReason>,
    /// The status of the answer, if one came.
    pub status: Option<u16>,
    /// The time from asking to the answer, or to giving up.
    pub latency: Duration,
    /// What went wrong, in words without a secret, if no answer came.
    pub cause: Option<String>,
}

/// Asks webhooks, and spares hosts that are busy or down. Clones share what is known of hosts.
#[derive(Clone)]
pub struct Webhooks(Arc<Inner>);

struct Inner {
    post: Box<dyn Post>,
    hosts: Hosts,
    patience: Duration,
}

impl Webhooks {
    /// Webhooks that `post` brings messages to. All questions of one request have `patience` together, which is less than that of
    /// whoever waits for the whole: one that is given up in the middle tells nothing of its host.
    #[must_use]
    pub fn new(post: Box<dyn Post>, patience: Duration) -> Self {
        let hosts = Hosts::default();
        Self(Arc::new(Inner { post, hosts, patience }))
    }

    /// When the patience of whoever waits for answers is over.
    #[must_use]
    pub fn until(&self) -> Instant {
        Instant::now() + self.0.patience
    }

    /// Asks `webhook`, which has its own time, and no longer than `until`. Nothing is sent where its host is overloaded or left alone.
    /// Dropping the future gives up.
    pub async fn ask(&self, webhook: &Webhook, question: &Question<'_>, until: Instant) -> Answer {
        let began = Instant::now();
        let limit = webhook.timeout.min(until.saturating_duration_since(began));
        let outcome = self.outcome(webhook, question, began, limit).await;
        let (verdict, status, cause) = match outcome {
            Ok(status) => (verdict(status), Some(status), None),
            Err((reason, cause)) => (Err(reason), None, cause),
        };
        let latency = began.elapsed();
        Answer {
            verdict,
            status,
            latency,
            cause,
        }
    }

    async fn outcome(
        &self,
        webhook: &Webhook,
        question: &Question<'_>,
        began: Instant,
        limit: Duration,
    ) -> Result<u16, (DenyReason, Option<String>)> {
        let url = webhook.url.as_ref().ok_or((DenyReason::WebhookNoUrl, None))?;
        let host = host_and_port(url);
        let visit = self.0.hosts.enter(&host, began).map_err(|refusal| (refusal, None))?;
        let message = question.sign(&webhook.secret);
        let posted = timeout(limit, self.0.post.post(url, &message)).await;
        let (health, outcome) = match posted {
            Ok(Ok(status)) if SERVER_ERRORS.contains(&status) => (Health::Failed, Ok(status)),
            Ok(Ok(status)) => (Health::Well, Ok(status)),
            Ok(Err(PostError::Blocked(cause))) => (Health::Unknown, Err((DenyReason::WebhookBlockedSsrf, Some(cause)))),
            Ok(Err(PostError::Network(cause))) => (Health::Failed, Err((DenyReason::WebhookNetwork, Some(cause)))),
            Err(_elapsed) => (Health::Failed, Err((DenyReason::WebhookTimeout, None))),
        };
        visit.end(health, Instant::now());
        outcome
    }
}

fn verdict(status: u16) -> Result<(), DenyReason> {
    match status {
        OK => Ok(()),
        FORBIDDEN => Err(DenyReason::WebhookDeny403),
        _ => Err(DenyReason::WebhookErrorStatus),
    }
}

/// What is counted as one host: `url` has its letters in lower case and its port known by now.
fn host_and_port(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or_default();
    format!("{host}:{port}")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;

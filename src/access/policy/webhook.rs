//! The policy that asks a web service of the application.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use super::PolicyError;
use crate::access::json::whole;

/// How long a web service may take if the policy does not say, in milliseconds.
pub const DEFAULT_TIMEOUT_MS: u64 = 5_000;

/// No web service may take longer, in milliseconds: a player waits for the key all the while.
pub const MAX_TIMEOUT_MS: u64 = 10_000;

/// Asks a web service. `Secret` is what its requests are signed with, in the form that it has where the policy is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookPolicy<Secret> {
    /// Where it is: absolute, `http` or `https`.
    pub url: String,
    /// How long it may take, in milliseconds.
    #[serde(default = "default_timeout_ms", deserialize_with = "whole")]
    pub timeout_ms: u64,
    /// Signs what is asked.
    pub secret: Secret,
}

const fn default_timeout_ms() -> u64 {
    DEFAULT_TIMEOUT_MS
}

impl<Secret> WebhookPolicy<Secret> {
    /// How long it may take, whatever a stored policy says: at most [`MAX_TIMEOUT_MS`].
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.min(MAX_TIMEOUT_MS))
    }

    /// What is wrong with it, for who sets it. The URL isn't shown, as it may hold a password.
    pub(super) fn check(&self) -> Result<(), PolicyError> {
        if self.url.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(PolicyError::Url("holds a blank or a control character"));
        }
        let url = Url::parse(&self.url)
            .map_err(|_| PolicyError::Url("is not absolute; expected one such as https://app.example.com/keys"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(PolicyError::Url("doesn't begin with http:// or https://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(PolicyError::Url(
                "holds a user name or password; sign requests by the secret instead",
            ));
        }
        if url.fragment().is_some() {
            return Err(PolicyError::Url("holds a fragment (#), which no request carries"));
        }
        if !(1..=MAX_TIMEOUT_MS).contains(&self.timeout_ms) {
            return Err(PolicyError::Timeout(self.timeout_ms));
        }
        Ok(())
    }

    /// The same with another form of the secret.
    pub(super) fn with_secret<Other>(&self, secret: Other) -> WebhookPolicy<Other> {
        WebhookPolicy {
            url: self.url.clone(),
            timeout_ms: self.timeout_ms,
            secret,
        }
    }
}

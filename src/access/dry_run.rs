//! What a request for a key would be answered, and why: for whoever sets policies, and never for a viewer.

use std::net::IpAddr;
use std::slice;
use std::sync::Arc;

use serde::Serialize;

use super::policy::{PUBLIC, WEBHOOK};
use super::{
    Access, Asking, DenyReason, Grounds, KeyError, MAX_TOKEN_BYTES, Members, Question, Verdict, Wanted, base64, now,
};
use crate::keys::ContentId;
use crate::keys::lookup::{Lookup, LookupError, Which};

/// A request for a key, as it could come.
pub struct Trial<'a> {
    /// The content.
    pub content_id: &'a ContentId,
    /// Which of its keys.
    pub which: Which,
    /// The viewer's token.
    pub token: Option<&'a str>,
    /// The viewer's lease.
    pub lease_id: Option<&'a str>,
    /// The viewer's address.
    pub viewer_ip: IpAddr,
    /// Whether a webhook is asked, where the policy is one.
    pub asks_webhooks: bool,
}

/// A verdict for people. No key is in it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DryRun {
    /// Whether the key would be handed out, if there is one.
    pub allowed: bool,
    /// The type of the content's policy, where it could be read.
    pub policy_type: Option<&'static str>,
    /// Why not.
    pub reason: Option<&'static str>,
    /// More of the reason, as the log's `cause` has it.
    pub detail: Option<String>,
    /// Whom a good token speaks for.
    pub subject: Option<String>,
    /// The signing key that the token names.
    pub kid: Option<String>,
    /// All that the token says.
    pub claims: Option<Members>,
    /// Whether somebody has verified `kid` and `claims`: where access is allowed by the token, and nowhere else.
    pub claims_verified: bool,
    /// What the webhook answered, where it was asked.
    pub webhook: Option<AskedWebhook>,
}

/// What a webhook answered.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AskedWebhook {
    /// Its status, if an answer came.
    pub status: Option<u16>,
    /// How long it took, in milliseconds.
    pub latency_ms: u64,
}

impl Trial<'_> {
    /// Decides as a key route does, which looks for keys in `keys`.
    ///
    /// # Errors
    /// [`LookupError`] if the key can't be looked up, or is there and can't be opened.
    pub async fn run(&self, access: &Access, keys: &Lookup) -> Result<DryRun, Arc<LookupError>> {
        let asking = Asking {
            question: Question {
                content_id: self.content_id,
                now: now(),
            },
            token: Ok(self.token),
            wanted: Wanted::Keys {
                which: slice::from_ref(&self.which),
                lease_id: self.lease_id,
            },
            viewer_ip: self.viewer_ip.to_canonical(),
            request_url: &self.path(),
            request_id: "access-test",
            is_trial: true,
            asks_webhooks: self.asks_webhooks,
        };
        let Verdict { outcome, mut grounds } = access.decide(&asking).await;
        let outcome = match outcome {
            Err(reason) => Err(reason),
            Ok(authenticated) => match authenticated.key(keys, self.content_id, self.which.clone()).await {
                Ok(_) => Ok(()),
                Err(KeyError::Denied(reason)) => {
                    grounds.detail = Some(reason.explained().to_owned());
                    Err(reason)
                }
                Err(KeyError::Lookup(error)) if matches!(*error, LookupError::NotFound) => {
                    grounds.detail = Some(error.to_string());
                    Ok(())
                }
                Err(KeyError::Lookup(error)) => return Err(error),
            },
        };
        Ok(self.told(outcome, grounds))
    }

    /// Where players ask for it.
    fn path(&self) -> String {
        let content_id = self.content_id;
        match &self.which {
            Which::Primary => format!("/api/key/{content_id}"),
            Which::Kid(kid) => format!("/api/key/{content_id}/{kid}"),
            Which::Named(name) => format!("/keys/{content_id}/{name}"),
        }
    }

    fn told(&self, outcome: Result<(), DenyReason>, grounds: Grounds) -> DryRun {
        let reason = outcome.err().map(DenyReason::as_str);
        let claims = grounds.claims.or_else(|| claims(self.token?));
        // Everybody's token is nobody's, and a webhook's is its own.
        let asks_for_token = !matches!(grounds.policy, None | Some(PUBLIC | WEBHOOK));
        DryRun {
            allowed: reason.is_none(),
            policy_type: grounds.policy,
            reason,
            detail: grounds.detail.or_else(|| grounds.cause.map(|cause| cause.to_string())),
            claims_verified: reason.is_none() && claims.is_some() && asks_for_token,
            subject: grounds.subject,
            kid: grounds.kid,
            claims,
            webhook: grounds.webhook.last().map(|answer| AskedWebhook {
                status: answer.status,
                latency_ms: answer.latency.as_millis().try_into().unwrap_or(u64::MAX),
            }),
        }
    }
}

/// What a token says, whoever signed it: the part in front of the signature, in every kind of token.
fn claims(token: &str) -> Option<Members> {
    if token.len() > MAX_TOKEN_BYTES {
        return None;
    }
    Members::of_bytes(&base64::decode(token.rsplit('.').nth(1)?)?)
}

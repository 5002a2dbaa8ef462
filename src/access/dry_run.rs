//! What a request for a key would be answered, and why: for whoever sets policies, and never for a viewer.

use serde::Serialize;

use super::{Grounds, Members, Verdict};

/// A verdict for people. No key is in it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DryRun {
    /// Whether keys would be handed out.
    pub allowed: bool,
    /// The type of the content's policy, where it could be read.
    pub policy_type: Option<&'static str>,
    /// Why not.
    pub reason: Option<&'static str>,
    /// More of the reason.
    pub detail: Option<String>,
    /// Who would get them.
    pub subject: Option<String>,
    /// The signing key that the token names.
    pub kid: Option<String>,
    /// All that the token says.
    pub claims: Option<Members>,
    /// Whether somebody has verified `kid` and `claims`: a signing key where access is allowed, and nobody elsewhere.
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

impl From<Verdict> for DryRun {
    fn from(Verdict { outcome, grounds }: Verdict) -> Self {
        let Grounds {
            policy,
            detail,
            kid,
            claims,
            webhook,
            cause,
        } = grounds;
        let (subject, reason) = match outcome {
            Ok(authenticated) => (authenticated.subject, None),
            Err(reason) => (None, Some(reason.as_str())),
        };
        Self {
            allowed: reason.is_none(),
            policy_type: policy,
            reason,
            detail: detail.or_else(|| cause.map(|cause| cause.to_string())),
            subject,
            kid,
            claims_verified: reason.is_none() && claims.is_some(),
            claims,
            webhook: webhook.map(|answer| AskedWebhook {
                status: answer.status,
                latency_ms: answer.latency.as_millis().try_into().unwrap_or(u64::MAX),
            }),
        }
    }
}

//! The HMAC token: `b64url(JSON{"hash","exp","sub"?,"keys"?}) "." b64url(HMAC-SHA-256)`, the form that Vylux's applications mint.
//!
//! The MAC is over the text of the first part, and its key is the text of `KEY_TOKEN_SECRET` as it stands, not the bytes
//! that its digits may mean. base64url is without padding (RFC 4648, 5).

use async_trait::async_trait;
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::json;
use sha2::Sha256;

use super::key_scope::KeysClaim;
use super::{Authenticated, DenyReason, KeyScope, Question, UnixSeconds, Verifier, base64};
use crate::keys::ContentId;
use crate::secret::SecretText;

/// Verifies HMAC tokens under one secret, or under two while they rotate.
pub struct HmacTokens {
    /// MACs that have taken in their secret, and nothing else yet.
    macs: Vec<Hmac<Sha256>>,
    leeway_seconds: UnixSeconds,
}

#[derive(Deserialize)]
struct Claims {
    /// The content ID.
    hash: String,
    /// From this second on the token is worth nothing.
    exp: UnixSeconds,
    /// Whom it speaks for.
    sub: Option<String>,
    /// Which of the content's keys it opens.
    #[serde(default)]
    keys: KeysClaim,
}

impl HmacTokens {
    /// Accepts tokens under any of `secrets`, and until `leeway_seconds` after their time.
    #[must_use]
    pub fn new(secrets: &[SecretText], leeway_seconds: UnixSeconds) -> Self {
        Self {
            macs: secrets.iter().map(mac).collect(),
            leeway_seconds,
        }
    }

    fn check(&self, token: &str, question: Question<'_>) -> Result<Authenticated, DenyReason> {
        let (payload, tag) = token.split_once('.').ok_or(DenyReason::TokenMalformed)?;
        let tag = base64::decode(tag).ok_or(DenyReason::TokenMalformed)?;
        // Constant time; and all secrets are tried, so that the time does not tell which one it was.
        let signed = self
            .macs
            .iter()
            .map(|mac| mac.clone().chain_update(payload).verify_slice(&tag).is_ok())
            .fold(false, |any, this| any | this);
        if !signed {
            return Err(DenyReason::TokenSignature);
        }
        let claims = base64::decode(payload).ok_or(DenyReason::TokenMalformed)?;
        let claims: Claims = super::json_object(&claims).map_err(|_| DenyReason::TokenMalformed)?;
        if question.now >= claims.exp.saturating_add(self.leeway_seconds) {
            return Err(DenyReason::TokenExpired);
        }
        if claims.hash != question.content_id.as_str() {
            return Err(DenyReason::TokenContentMismatch);
        }
        Ok(Authenticated {
            subject: claims.sub,
            keys: claims.keys.scope()?,
            kids: None,
        })
    }
}

#[async_trait]
impl Verifier for HmacTokens {
    fn recognizes(&self, token: &str) -> bool {
        token.bytes().filter(|byte| *byte == b'.').count() == 1
    }

    async fn verify(&self, token: &str, question: Question<'_>) -> Result<Authenticated, DenyReason> {
        self.check(token, question)
    }
}

/// Mints a token for `keys` of `content_id` that is good until the second `expires`, and speaks for `subject`. In production this is
/// the application's work.
#[must_use]
pub fn mint(
    secret: &SecretText,
    content_id: &ContentId,
    subject: Option<&str>,
    keys: &KeyScope,
    expires: UnixSeconds,
) -> String {
    let subject = subject.map_or_else(String::new, |subject| format!(r#","sub":{}"#, json!(subject)));
    let keys = match keys {
        KeyScope::All => String::new(),
        KeyScope::Only(entries) => format!(r#","keys":{}"#, json!(entries)),
    };
    // An ID holds nothing that JSON would escape: it is ASCII letters, digits, `_` and `-`.
    let payload = base64::encode(format!(r#"{{"hash":"{content_id}","exp":{expires}{subject}{keys}}}"#).as_bytes());
    let tag = base64::encode(&mac(secret).chain_update(&payload).finalize().into_bytes());
    format!("{payload}.{tag}")
}

fn mac(secret: &SecretText) -> Hmac<Sha256> {
    Hmac::new_from_slice(secret.expose().as_bytes()).expect("HMAC takes keys of every length (RFC 2104, 2)")
}

//! The claims of a JWT (RFC 7519, 4.1) that mean the same under every configuration: times, audience, content, keys.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::key_scope::KeysClaim;
use super::{Authenticated, DenyReason, UnixSeconds, json_object};
use crate::keys::ContentId;

/// Clocks may differ by this much.
const SKEW_SECONDS: UnixSeconds = 60;

/// The claims that are looked at. `null` is no claim.
#[derive(Deserialize)]
pub(super) struct Claims {
    exp: NumericDate,
    nbf: Option<NumericDate>,
    iat: Option<NumericDate>,
    sub: Option<String>,
    pub(super) iss: Option<String>,
    aud: Option<OneOrMany>,
    hash: Option<OneOrMany>,
    content_id: Option<OneOrMany>,
    #[serde(default)]
    keys: KeysClaim,
}

/// Seconds since 1970, maybe with a fraction (RFC 7519, 2).
///
/// A double holds seconds of this century exactly, and those of times that never come nearly so. What is larger than a
/// double is malformed.
#[derive(Deserialize, Clone, Copy)]
struct NumericDate(f64);

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn holds(&self, text: &str) -> bool {
        match self {
            Self::One(one) => one == text,
            Self::Many(many) => many.iter().any(|one| one == text),
        }
    }
}

impl Claims {
    /// Reads the claims from their JSON.
    ///
    /// # Errors
    /// In this order: [`DenyReason::JwtMalformed`] if it is no object, [`DenyReason::JwtMissingExp`], and
    /// [`DenyReason::JwtMalformed`] if a claim that is looked at has a wrong type.
    pub(super) fn read(json: &[u8]) -> Result<Self, DenyReason> {
        #[derive(Deserialize)]
        struct Expiry {
            exp: Option<IgnoredAny>,
        }
        let expiry: Expiry = json_object(json).map_err(|_| DenyReason::JwtMalformed)?;
        expiry.exp.ok_or(DenyReason::JwtMissingExp)?;
        json_object(json).map_err(|_| DenyReason::JwtMalformed)
    }

    /// Whether `exp`, `nbf` and `iat` allow it now, with a skew of 60 seconds.
    pub(super) fn check_times(&self, now: UnixSeconds) -> Result<(), DenyReason> {
        #[expect(clippy::cast_precision_loss, reason = "the time is far below 2^53 seconds")]
        let (now, skew) = (now as f64, SKEW_SECONDS as f64);
        let is_ahead = |NumericDate(time): NumericDate| now + skew < time;
        if now >= self.exp.0 + skew {
            return Err(DenyReason::JwtExpired);
        }
        if self.nbf.is_some_and(is_ahead) {
            return Err(DenyReason::JwtNotYetValid);
        }
        if self.iat.is_some_and(is_ahead) {
            return Err(DenyReason::JwtIssuedInFuture);
        }
        Ok(())
    }

    /// Whether `aud` holds `audience`.
    pub(super) fn check_audience(&self, audience: &str) -> Result<(), DenyReason> {
        let holds = self.aud.as_ref().is_some_and(|found| found.holds(audience));
        if holds {
            Ok(())
        } else {
            Err(DenyReason::JwtAudienceMismatch)
        }
    }

    /// Whether `hash` or `content_id` names the content.
    pub(super) fn check_content(&self, content_id: &ContentId) -> Result<(), DenyReason> {
        let named: Vec<_> = [&self.hash, &self.content_id].into_iter().flatten().collect();
        if named.is_empty() {
            return Err(DenyReason::JwtNoContent);
        }
        // Where both are there, both must hold it: a token never says more than each of its claims.
        if named.iter().all(|named| named.holds(content_id.as_str())) {
            Ok(())
        } else {
            Err(DenyReason::JwtContentMismatch)
        }
    }

    /// Who the token speaks for, once all checks have passed.
    pub(super) fn authenticated(self) -> Result<Authenticated, DenyReason> {
        Ok(Authenticated {
            subject: self.sub,
            keys: self.keys.scope()?,
            kids: None,
        })
    }
}

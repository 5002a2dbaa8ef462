//! JSON Web Tokens (RFC 7519) in the compact form (RFC 7515, 7.1): HS256 under secrets, RS256 and ES256 under a key set.
//!
//! What may sign is fixed by the configuration and never by the token: a secret verifies HS256 alone, a key of the set the
//! one algorithm that its type has (RFC 8725, 3.1).

use async_trait::async_trait;
use jsonwebtoken::crypto::verify;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use super::claims::Claims;
use super::jwks::KeySet;
use super::{Authenticated, DenyReason, Question, Verifier, base64};

/// What a JWT's claims must say.
#[derive(Debug, Clone, Default)]
pub struct JwtRules {
    /// `aud` must hold this.
    pub audience: Option<String>,
    /// `iss` must be this.
    pub issuer: Option<String>,
    /// `hash` or `content_id` need not name the content: every token opens every content.
    pub any_content: bool,
}

/// Verifies JWTs.
pub struct Jwts {
    secrets: Vec<DecodingKey>,
    key_set: Option<KeySet>,
    rules: JwtRules,
}

/// The protected header, as far as it matters.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Whether it is there at all; `null` is no less wrong than a list of names.
    #[serde(default, deserialize_with = "is_there")]
    crit: bool,
}

fn is_there<'de, D: Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(value).map(|_| true)
}

impl Jwts {
    /// Accepts HS256 under `secrets` (more than one while they rotate), and RS256 and ES256 under `key_set`.
    #[must_use]
    pub fn new(secrets: &[impl AsRef<[u8]>], key_set: Option<KeySet>, rules: JwtRules) -> Self {
        let secrets = secrets.iter().map(|secret| DecodingKey::from_secret(secret.as_ref()));
        Self {
            secrets: secrets.collect(),
            key_set,
            rules,
        }
    }

    async fn check_signature(&self, header: &Header, message: &str, signature: &str) -> Result<(), DenyReason> {
        let signed_by =
            |key: &DecodingKey, algorithm| verify(signature, message.as_bytes(), key, algorithm).unwrap_or(false);
        let signed = match (header.alg.as_str(), &self.key_set) {
            ("HS256", _) if !self.secrets.is_empty() => self
                .secrets
                .iter()
                .map(|secret| signed_by(secret, Algorithm::HS256))
                .fold(false, |any, this| any | this),
            (name @ ("RS256" | "ES256"), Some(key_set)) => {
                let algorithm = if name == "RS256" {
                    Algorithm::RS256
                } else {
                    Algorithm::ES256
                };
                let keys = key_set.keys(header.kid.as_deref(), algorithm).await?;
                keys.iter().any(|key| signed_by(&key.public, algorithm))
            }
            _ => return Err(DenyReason::JwtWrongAlg),
        };
        if signed { Ok(()) } else { Err(DenyReason::JwtSigFail) }
    }
}

impl JwtRules {
    fn check(&self, claims: Claims, question: Question<'_>) -> Result<Authenticated, DenyReason> {
        claims.check_times(question.now)?;
        if let Some(audience) = &self.audience {
            claims.check_audience(audience)?;
        }
        if self.issuer.is_some() && claims.iss != self.issuer {
            return Err(DenyReason::JwtIssuerMismatch);
        }
        if !self.any_content {
            claims.check_content(question.content_id)?;
        }
        claims.authenticated()
    }
}

#[async_trait]
impl Verifier for Jwts {
    fn recognizes(&self, token: &str) -> bool {
        token.bytes().filter(|byte| *byte == b'.').count() == 2
    }

    async fn verify(&self, token: &str, question: Question<'_>) -> Result<Authenticated, DenyReason> {
        let (message, signature) = token.rsplit_once('.').ok_or(DenyReason::JwtMalformed)?;
        let (header, payload) = message.split_once('.').ok_or(DenyReason::JwtMalformed)?;
        let header: Header = super::json_object(&part(header)?).map_err(|_| DenyReason::JwtMalformed)?;
        if header.crit {
            return Err(DenyReason::JwtCritical);
        }
        part(signature)?;
        self.check_signature(&header, message, signature).await?;
        self.rules.check(Claims::read(&part(payload)?)?, question)
    }
}

/// The bytes of a part of a token.
fn part(text: &str) -> Result<Vec<u8>, DenyReason> {
    base64::decode(text).ok_or(DenyReason::JwtMalformed)
}

//! JSON Web Tokens (RFC 7519) in the compact form (RFC 7515, 7.1): HS256 under secrets, RS256 and ES256 under a key set.
//!
//! What may sign is fixed by the configuration and never by the token: a secret verifies HS256 alone, a key of the set the
//! one algorithm that its type has (RFC 8725, 3.1).

use async_trait::async_trait;
use jsonwebtoken::crypto::verify;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use super::jwks::KeySet;
use super::key_scope::KeysClaim;
use super::{Authenticated, DenyReason, Question, UnixSeconds, Verifier, base64};

/// Clocks may differ by this much.
const SKEW_SECONDS: UnixSeconds = 60;

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

#[derive(Deserialize)]
struct Claims {
    exp: Option<NumericDate>,
    nbf: Option<NumericDate>,
    iat: Option<NumericDate>,
    sub: Option<String>,
    iss: Option<String>,
    aud: Option<OneOrMany>,
    hash: Option<OneOrMany>,
    content_id: Option<OneOrMany>,
    #[serde(default)]
    keys: KeysClaim,
}

/// Seconds since 1970, maybe with a fraction (RFC 7519, 2).
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
            _ => return Err(DenyReason::JwtAlgorithm),
        };
        if signed { Ok(()) } else { Err(DenyReason::JwtSignature) }
    }
}

impl JwtRules {
    fn check(&self, claims: Claims, question: Question<'_>) -> Result<Authenticated, DenyReason> {
        // Seconds of this century are exact in a double.
        #[expect(clippy::cast_precision_loss, reason = "the time is far below 2^53 seconds")]
        let (now, skew) = (question.now as f64, SKEW_SECONDS as f64);
        let NumericDate(expires) = claims.exp.ok_or(DenyReason::JwtNoExpiry)?;
        if now >= expires + skew {
            return Err(DenyReason::JwtExpired);
        }
        if claims.nbf.is_some_and(|NumericDate(begins)| now + skew < begins) {
            return Err(DenyReason::JwtNotYetValid);
        }
        if claims.iat.is_some_and(|NumericDate(issued)| now + skew < issued) {
            return Err(DenyReason::JwtIssuedInFuture);
        }
        if let Some(audience) = &self.audience
            && !claims.aud.is_some_and(|found| found.holds(audience))
        {
            return Err(DenyReason::JwtAudienceMismatch);
        }
        if self.issuer.is_some() && claims.iss != self.issuer {
            return Err(DenyReason::JwtIssuerMismatch);
        }
        if !self.any_content {
            let named: Vec<_> = [&claims.hash, &claims.content_id].into_iter().flatten().collect();
            if named.is_empty() {
                return Err(DenyReason::JwtNoContent);
            }
            // Where both are there, both must hold it: a token never says more than each of its claims.
            if !named.iter().all(|named| named.holds(question.content_id.as_str())) {
                return Err(DenyReason::JwtContentMismatch);
            }
        }
        Ok(Authenticated {
            subject: claims.sub,
            keys: claims.keys.scope()?,
        })
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
        let header: Header = read(header)?;
        if header.crit {
            return Err(DenyReason::JwtCritical);
        }
        if base64::decode(signature).is_none() {
            return Err(DenyReason::JwtMalformed);
        }
        self.check_signature(&header, message, signature).await?;
        self.rules.check(read(payload)?, question)
    }
}

/// Reads a part of a token: canonical base64url of a JSON object, whose members have different names.
fn read<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, DenyReason> {
    let json = base64::decode(part).ok_or(DenyReason::JwtMalformed)?;
    super::json_object(&json).ok_or(DenyReason::JwtMalformed)
}

//! A content's policy: what decides who may have its keys. A JSON object whose `type` says which.
//!
//! ```text
//! JSON of who sets it -> PolicyDraft -> Policy (secrets wrapped) -> JSON in the store -> Policy -> its own rules
//! ```
//!
//! | `type` | who may have a key | members |
//! |---|---|---|
//! | `public` | everybody | |
//! | `token` | whoever has a token that the server is configured to accept | |
//! | `jwt` | whoever has a JWT that a signing key signed ([`jwt`]) | those of [`JwtPolicy`] |
//! | `webhook` | whoever a web service lets in | those of [`WebhookPolicy`] |

pub mod jwt;
mod webhook;

use serde::de::Error as _;
use serde::de::value::MapDeserializer;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::DenyReason;
use super::json::Pairs;
use crate::keys::{ContentId, KeyRing, TextWrapError, WrappedText};
use crate::secret::SecretText;

pub use jwt::JwtPolicy;
pub use webhook::{DEFAULT_TIMEOUT_MS, MAX_TIMEOUT_MS, WebhookPolicy};

/// The type's word of [`Policy::Public`].
pub const PUBLIC: &str = "public";

/// The type's word of [`Policy::Webhook`].
pub const WEBHOOK: &str = "webhook";

/// A policy is no larger, in bytes of its JSON.
pub const MAX_POLICY_BYTES: usize = 16 << 10;

/// What a webhook's secret is wrapped for, beside its content.
pub const WEBHOOK_SECRET: &str = "webhook-secret";

/// What stands for a secret where people read a policy.
const REDACTED: &str = "[redacted]";

/// A policy, as the store has it: its secret is wrapped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Policy<Secret = WrappedText> {
    /// Lets everybody in.
    Public,
    /// Asks for a token that the server's own configuration accepts.
    Token,
    /// Asks for a JWT of a signing key.
    Jwt(JwtPolicy),
    /// Asks a web service.
    Webhook(WebhookPolicy<Secret>),
}

/// A policy as people write it, checked: its secret is still plain text. It has no `Debug`.
pub struct PolicyDraft(Policy<Option<PlainSecret>>);

/// Why a policy can't be set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// Too much text.
    #[error("the policy is {0} bytes long; expected at most {MAX_POLICY_BYTES}")]
    TooLarge(usize),
    /// A type that is none of the four.
    #[error("the policy's \"type\" is unknown; expected public, token, jwt or webhook")]
    UnknownType,
    /// No policy at all, or one of a known type with other members.
    #[error("the policy can't be read: {0}")]
    Malformed(String),
    /// Too many key IDs or claims.
    #[error("\"{member}\" has {found} entries; expected at most {max}")]
    TooMany {
        /// The list.
        member: &'static str,
        /// Its entries.
        found: usize,
        /// How many there may be.
        max: usize,
    },
    /// A text that must not be empty.
    #[error("\"{0}\" is empty, or holds an empty text; leave it out, or say what is asked for")]
    Empty(&'static str),
    /// A URL that can't be asked.
    #[error("\"url\" {0}")]
    Url(&'static str),
    /// A time out of bounds.
    #[error("\"timeout_ms\" is {0}; expected 1 to {MAX_TIMEOUT_MS}")]
    Timeout(u64),
    /// A webhook without a secret, and none that could be kept.
    #[error(
        "\"secret\" is missing, and none is stored; a webhook's questions are signed with it (policy set reads it from WEBHOOK_SECRET)"
    )]
    NoSecret,
    /// The secret can't be wrapped.
    #[error("the secret can't be wrapped")]
    Wrap(#[from] TextWrapError),
    /// What stands for a secret was sent back as one.
    #[error("\"secret\" is {REDACTED:?}, which only stands for one; send the secret itself")]
    RedactedSecret,
}

impl Policy {
    /// Reads a policy of the store.
    ///
    /// # Errors
    /// [`DenyReason::PolicyUnknownType`], and [`DenyReason::PolicyCorrupt`] for all else that is no policy.
    pub fn parse(json: &str) -> Result<Self, DenyReason> {
        read(json).map_err(|error| match error {
            PolicyError::UnknownType => DenyReason::PolicyUnknownType,
            _ => DenyReason::PolicyCorrupt,
        })
    }
}

impl<Secret: Clone> Policy<Secret> {
    /// Its type's word.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Public => PUBLIC,
            Self::Token => "token",
            Self::Jwt(_) => "jwt",
            Self::Webhook(_) => WEBHOOK,
        }
    }

    /// The policy for people to read: `"[redacted]"` stands for its secret.
    #[must_use]
    pub fn redacted(&self) -> Policy<Redacted> {
        match self {
            Self::Public => Policy::Public,
            Self::Token => Policy::Token,
            Self::Jwt(policy) => Policy::Jwt(policy.clone()),
            Self::Webhook(policy) => Policy::Webhook(policy.with_secret(Redacted)),
        }
    }
}

impl Policy {
    /// The policy with its secret wrapped under the key-encryption key of now; `None` where it has no secret, or is so already.
    ///
    /// # Errors
    /// Those of [`KeyRing::unwrap_text`] and [`KeyRing::wrap_text`].
    pub fn rewrap(&self, ring: &KeyRing, content_id: &ContentId) -> Result<Option<Self>, TextWrapError> {
        let Self::Webhook(policy) = self else { return Ok(None) };
        if policy.secret.kek_version() == ring.kek_version() {
            return Ok(None);
        }
        let secret = ring.unwrap_text(&policy.secret, content_id, WEBHOOK_SECRET)?;
        let secret = ring.wrap_text(&secret, content_id, WEBHOOK_SECRET)?;
        Ok(Some(Self::Webhook(policy.with_secret(secret))))
    }
}

impl PolicyDraft {
    /// Reads and checks a policy that somebody sets.
    ///
    /// # Errors
    /// [`PolicyError`], which says what to do and shows no secret.
    pub fn parse(json: &str) -> Result<Self, PolicyError> {
        let policy: Policy<Option<PlainSecret>> = read(json)?;
        match &policy {
            Policy::Public | Policy::Token => {}
            Policy::Jwt(policy) => policy.check()?,
            Policy::Webhook(policy) => {
                policy.check()?;
                match policy.secret.as_ref().map(|secret| secret.0.expose()) {
                    Some("") => return Err(PolicyError::Empty("secret")),
                    Some(REDACTED) => return Err(PolicyError::RedactedSecret),
                    _ => {}
                }
            }
        }
        Ok(Self(policy))
    }

    /// The policy for the store: a webhook's secret is wrapped for this content, and for no other. One that is left out is that of
    /// the policy that is `stored`.
    ///
    /// # Errors
    /// [`PolicyError::NoSecret`] where there is none to keep, and those of [`KeyRing::wrap_text`].
    pub fn wrap(&self, ring: &KeyRing, content_id: &ContentId, stored: Option<Policy>) -> Result<Policy, PolicyError> {
        Ok(match &self.0 {
            Policy::Public => Policy::Public,
            Policy::Token => Policy::Token,
            Policy::Jwt(policy) => Policy::Jwt(policy.clone()),
            Policy::Webhook(policy) => {
                let secret = match (&policy.secret, stored) {
                    (Some(secret), _) => ring.wrap_text(&secret.0, content_id, WEBHOOK_SECRET)?,
                    (None, Some(Policy::Webhook(stored))) => stored.secret,
                    (None, _) => return Err(PolicyError::NoSecret),
                };
                Policy::Webhook(policy.with_secret(secret))
            }
        })
    }

    /// Whether it leaves out a secret, so that the one that is stored is kept.
    #[must_use]
    pub const fn keeps_secret(&self) -> bool {
        matches!(&self.0, Policy::Webhook(policy) if policy.secret.is_none())
    }
}

/// Reads a policy with that form of secret.
fn read<'a, Secret: Deserialize<'a>>(json: &'a str) -> Result<Policy<Secret>, PolicyError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}

    if json.len() > MAX_POLICY_BYTES {
        return Err(PolicyError::TooLarge(json.len()));
    }
    let malformed = |error: serde_json::Error| PolicyError::Malformed(without_values(&error));
    let Pairs(mut members) = serde_json::from_str(json).map_err(malformed)?;
    let Some(at) = members.iter().position(|(name, _)| name == "type") else {
        return Err(malformed(serde_json::Error::missing_field("type")));
    };
    let (_, kind) = members.remove(at);
    let kind: String = serde_json::from_str(kind.get()).map_err(malformed)?;
    // serde's own tagged enums would read numbers as doubles on the way.
    let rest = MapDeserializer::new(members.into_iter());
    match kind.as_str() {
        PUBLIC => Nothing::deserialize(rest).map(|Nothing {}| Policy::Public),
        "token" => Nothing::deserialize(rest).map(|Nothing {}| Policy::Token),
        "jwt" => JwtPolicy::deserialize(rest).map(Policy::Jwt),
        WEBHOOK => WebhookPolicy::deserialize(rest).map(Policy::Webhook),
        _ => return Err(PolicyError::UnknownType),
    }
    .map_err(malformed)
}

/// What is wrong with some JSON, without the values that it has: one may be a secret in the wrong place.
fn without_values(error: &serde_json::Error) -> String {
    let text = error.to_string();
    // `invalid type: string "...", expected u64 at line 1 column 2`. Names of members are shown.
    match text.rsplit_once(", expected ") {
        Some((_, expected)) if !text.starts_with("unknown field") => format!("expected {expected}"),
        _ => text,
    }
}

/// A secret as somebody sent it.
struct PlainSecret(SecretText);

impl<'de> Deserialize<'de> for PlainSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        // serde's own error would show what is there instead.
        let text: String = serde_json::from_str(raw.get()).map_err(|_| D::Error::custom("\"secret\" is no text"))?;
        Ok(Self(text.into()))
    }
}

/// Stands for a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Redacted;

impl Serialize for Redacted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::keys::Master;
    use crate::secret::Secret32;

    fn ring() -> KeyRing {
        let master = Master::new(Secret32::new([1; 32]), Secret32::new([2; 32]));
        KeyRing::new(master, None, None, None)
    }

    fn set(json: &str) -> Policy {
        let draft = PolicyDraft::parse(json).ok().unwrap();
        draft.wrap(&ring(), &"movie-1".parse().unwrap(), None).unwrap()
    }

    fn json(policy: &impl Serialize) -> String {
        serde_json::to_string(policy).unwrap()
    }

    #[test]
    fn a_policy_comes_back_from_the_store() {
        for text in [
            r#"{"type":"public"}"#,
            r#"{"type":"token"}"#,
            r#"{"type":"jwt"}"#,
            r#"{"allowed_kids":["a"],"audience":null,"required_claims":{"n":9007199254740993},"type":"jwt"}"#,
            r#"{"type":"webhook","url":"https://app.example.com/keys?x=1","secret":"hunter2"}"#,
        ] {
            let policy = set(text);
            assert_eq!(Policy::parse(&json(&policy)), Ok(policy), "{text}");
        }
        let Policy::Jwt(policy) = Policy::parse(r#"{"type":"jwt"}"#).unwrap() else {
            unreachable!()
        };
        assert_eq!(policy, JwtPolicy::default());
        assert!(policy.content_binding);
        assert_eq!(
            json(&set(r#"{"type":"jwt","required_claims":{"n":1.50}}"#)),
            r#"{"type":"jwt","allowed_kids":[],"audience":null,"required_claims":{"n":1.50},"content_binding":true}"#
        );
    }

    #[test]
    fn a_stored_text_that_is_no_policy_is_told_from_one_of_a_new_type() {
        for text in [
            r#"{"type":"geo"}"#,
            r#"{"type":"JWT"}"#,
            r#"{"type":""}"#,
            r#"{"countries":["FR"],"type":"geo"}"#,
        ] {
            assert_eq!(Policy::parse(text), Err(DenyReason::PolicyUnknownType), "{text}");
        }
        for text in [
            "",
            "null",
            "public",
            r#""public""#,
            r#"["public"]"#,
            "{}",
            r#"{"type":null}"#,
            r#"{"type":5}"#,
            r#"{"type":["jwt"]}"#,
            r#"{"type":"public"} x"#,
            r#"{"type":"public""#,
            r#"{"type":"public","type":"public"}"#,
            r#"{"type":"public","x":1}"#,
            r#"{"type":"token","audience":"x"}"#,
            r#"{"type":"jwt","alowed_kids":[]}"#,
            r#"{"type":"jwt","allowed_kids":"a"}"#,
            r#"{"type":"jwt","allowed_kids":null}"#,
            r#"{"type":"jwt","audience":5}"#,
            r#"{"type":"jwt","audience":"a","audience":"b"}"#,
            r#"{"type":"jwt","required_claims":[]}"#,
            r#"{"type":"jwt","required_claims":{"a":1,"a":1}}"#,
            r#"{"type":"jwt","required_claims":{"a":{"b":1,"b":2}}}"#,
            r#"{"type":"jwt","content_binding":"false"}"#,
            r#"{"type":"webhook"}"#,
            r#"{"type":"webhook","url":"https://a.example","secret":"plain"}"#,
            &format!(r#"{{"type":"public"{}}}"#, " ".repeat(MAX_POLICY_BYTES)),
        ] {
            assert_eq!(Policy::parse(text), Err(DenyReason::PolicyCorrupt), "{text}");
        }
    }

    #[test]
    fn what_can_t_be_set_is_explained() {
        let list = |entries: usize| format!("[{}]", vec![r#""a""#; entries].join(","));
        let claims: Vec<_> = (0..65).map(|claim| format!(r#""c{claim}":1"#)).collect();
        let webhook = |url: &str, more: &str| format!(r#"{{"type":"webhook","url":"{url}"{more}}}"#);
        let secret = r#","secret":"hunter2""#;
        let url = "https://app.example.com";
        for (text, expected) in [
            (r#"{"type":"geo"}"#.to_owned(), "expected public, token, jwt or webhook"),
            ("{}".to_owned(), "missing field `type`"),
            (r#"{"type":"jwt","x":1}"#.to_owned(), "unknown field `x`"),
            (
                format!(r#"{{"type":"jwt","allowed_kids":{}}}"#, list(65)),
                "\"allowed_kids\" has 65 entries",
            ),
            (
                format!(r#"{{"type":"jwt","required_claims":{{{}}}}}"#, claims.join(",")),
                "\"required_claims\" has 65 entries",
            ),
            (
                r#"{"type":"jwt","allowed_kids":[""]}"#.to_owned(),
                "\"allowed_kids\" is empty",
            ),
            (r#"{"type":"jwt","audience":""}"#.to_owned(), "\"audience\" is empty"),
            (
                format!("{{{}}}", " ".repeat(MAX_POLICY_BYTES)),
                "expected at most 16384",
            ),
            (webhook(url, r#","secret":"""#), "\"secret\" is empty"),
            (webhook(url, r#","secret":5"#), "\"secret\" is no text"),
            (webhook(url, r#","timeout_ms":"hunter2""#), "expected a whole number"),
            (r#""hunter2""#.to_owned(), "can't be read: expected"),
            (r#"{"type":["hunter2"]}"#.to_owned(), "can't be read: expected"),
            (
                r#"{"type":"jwt","audience":["hunter2"]}"#.to_owned(),
                "can't be read: expected",
            ),
            (webhook(url, r#","secret":"[redacted]""#), "send the secret itself"),
            (
                webhook(url, &format!(r#"{secret},"timeout_ms":0"#)),
                "\"timeout_ms\" is 0",
            ),
            (
                webhook(url, &format!(r#"{secret},"timeout_ms":10001"#)),
                "expected 1 to 10000",
            ),
            (webhook("", secret), "\"url\" is not absolute"),
            (webhook("/keys", secret), "\"url\" is not absolute"),
            (webhook("ftp://a.example", secret), "http:// or https://"),
            (webhook("https://hunter2@a.example", secret), "user name or password"),
            (webhook("https://:hunter2@a.example", secret), "user name or password"),
            (webhook("https://a.example/#x", secret), "fragment"),
            (webhook("https://a.example/ x", secret), "a blank"),
        ] {
            let error = PolicyDraft::parse(&text).err().unwrap();
            assert!(error.to_string().contains(expected), "{error}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
        for text in [
            format!(
                r#"{{"type":"jwt","allowed_kids":{},"required_claims":{{"exp":5}}}}"#,
                list(64)
            ),
            webhook(url, &format!(r#"{secret},"timeout_ms":10000"#)),
            webhook("http://[::1]:8080/x?y", secret),
        ] {
            assert!(PolicyDraft::parse(&text).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_secret_that_is_left_out_is_kept() {
        let id = "movie-1".parse().unwrap();
        let old = set(r#"{"type":"webhook","url":"https://a.example/","secret":"hunter2"}"#);
        let update = |stored| {
            let draft = PolicyDraft::parse(r#"{"type":"webhook","url":"https://b.example/"}"#)
                .ok()
                .unwrap();
            draft.wrap(&ring(), &id, stored)
        };
        let (Policy::Webhook(old), Ok(Policy::Webhook(new))) = (old.clone(), update(Some(old))) else {
            unreachable!()
        };
        assert_eq!((&*new.url, new.secret), ("https://b.example/", old.secret));
        for stored in [None, Some(Policy::Public)] {
            assert!(matches!(update(stored), Err(PolicyError::NoSecret)));
        }
    }

    #[test]
    fn a_webhook_s_secret_is_wrapped_for_its_content_and_shown_to_nobody() {
        let policy = set(r#"{"type":"webhook","url":"https://app.example.com/keys","secret":"hunter2"}"#);
        assert_eq!(
            json(&policy.redacted()),
            r#"{"type":"webhook","url":"https://app.example.com/keys","timeout_ms":5000,"secret":"[redacted]"}"#
        );
        assert!(!format!("{policy:?}{}", json(&policy)).contains("hunter2"));
        let Policy::Webhook(webhook) = policy else {
            unreachable!()
        };
        let unwrap = |id: &str| ring().unwrap_text(&webhook.secret, &id.parse().unwrap(), WEBHOOK_SECRET);
        assert_eq!(unwrap("movie-1").ok().unwrap().expose(), "hunter2");
        assert!(unwrap("movie-2").is_err());
        let slow = WebhookPolicy {
            timeout_ms: u64::MAX,
            ..webhook
        };
        assert_eq!(slow.timeout().as_millis(), u128::from(MAX_TIMEOUT_MS));
    }
}

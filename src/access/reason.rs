//! Why a key is not handed out.

use std::fmt;

/// A closed set: the same words in logs, in metrics and in a dry run. The client is told none of them.
macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Why a key is not handed out: kebab-case words, the same in logs, metrics and a dry run.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum DenyReason {
            $($(#[$doc])* $name,)*
        }

        impl DenyReason {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The reason's word.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

reasons! {
    /// No Bearer token came.
    MissingToken = "missing-token",
    /// Several `Authorization` fields came; RFC 9110, 5.3 allows one.
    DuplicateAuthorization = "duplicate-authorization",
    /// The token came in the query, which is not allowed here.
    QueryToken = "query-token",
    /// It is larger than any token.
    TokenTooLarge = "token-too-large",
    /// It has the form of no token that is accepted here.
    TokenMalformed = "token-malformed",
    /// An HMAC token that no secret at hand signed.
    TokenSignature = "token-signature",
    /// An HMAC token whose time is over.
    TokenExpired = "token-expired",
    /// An HMAC token for other content.
    TokenContentMismatch = "token-content-mismatch",
    /// A policy asks for a signed token, and no signing key is active.
    NoActiveKeys = "no-active-keys",
    /// It is no JWS in the compact form (RFC 7515, 7.1): three parts of canonical base64url, none of them empty.
    JwtNotAJws = "jwt-not-a-jws",
    /// A JWT whose header is no JSON object, or has a name twice.
    JwtBadHeader = "jwt-bad-header",
    /// A JWT whose parts can't be read, or whose claims are of a wrong type.
    JwtMalformed = "jwt-malformed",
    /// A JWT with an algorithm that is not configured, `none` among them.
    JwtWrongAlg = "jwt-wrong-alg",
    /// A JWT with `crit`: extensions that must be understood (RFC 7515, 4.1.11), and none is.
    JwtCritical = "jwt-critical",
    /// A JWT without `kid` where only a key that is named may have signed.
    JwtMissingKid = "jwt-missing-kid",
    /// A JWT that names no key that may sign here: unknown, revoked, or not allowed.
    JwtUnknownKid = "jwt-unknown-kid",
    /// A JWT whose key, as it is kept here, is no public key of P-256.
    JwtBadPublicKey = "jwt-bad-public-key",
    /// A JWT that no key at hand signed.
    JwtSigFail = "jwt-sig-fail",
    /// A JWT without `exp`.
    JwtMissingExp = "jwt-missing-exp",
    /// A JWT whose time is over.
    JwtExpired = "jwt-expired",
    /// A JWT whose time has not come: `nbf`.
    JwtNotYetValid = "jwt-not-yet-valid",
    /// A JWT that was issued in the future: `iat`.
    JwtIssuedInFuture = "jwt-issued-in-future",
    /// A JWT for another audience.
    JwtAudienceMismatch = "jwt-aud-mismatch",
    /// A JWT of another issuer.
    JwtIssuerMismatch = "jwt-iss-mismatch",
    /// A JWT in which a claim that the policy requires is missing, or has another value.
    JwtClaimMismatch = "jwt-claim-mismatch",
    /// A JWT that names no content.
    JwtNoContent = "jwt-no-content",
    /// A JWT for other content.
    JwtContentMismatch = "jwt-content-mismatch",
    /// A token whose claim `keys` is no list of key names.
    KeysClaimMalformed = "keys-claim-malformed",
    /// A token whose claim `keys` does not open this key.
    KeyNotInToken = "key-not-in-token",
    /// The key set could not be fetched so far, so nothing can be said of the token.
    JwksUnavailable = "jwks-unavailable",
    /// The content has a policy of a type that is not known here.
    PolicyUnknownType = "policy-unknown-type",
    /// The content's policy can't be read.
    PolicyCorrupt = "policy-corrupt",
    /// The content's policy could not be fetched.
    PolicyFetchFailed = "policy-fetch-failed",
    /// A webhook has to be asked, and none is named.
    WebhookNoUrl = "webhook-no-url",
    /// The webhook's URL, or an address of its host, is one that nothing is sent to.
    WebhookBlockedSsrf = "webhook-blocked-ssrf",
    /// The webhook did not answer in time.
    WebhookTimeout = "webhook-timeout",
    /// The webhook could not be reached, or its answer could not be read.
    WebhookNetwork = "webhook-network",
    /// The webhook said no: status 403.
    WebhookDeny403 = "webhook-deny-403",
    /// The webhook answered with a status that is neither yes (200) nor no (403).
    WebhookErrorStatus = "webhook-error-status",
    /// As many questions as the webhook's host is asked at once are under way.
    WebhookOverloaded = "webhook-overloaded",
    /// The webhook's host failed a moment ago, again and again, and is left alone.
    WebhookCircuitOpen = "webhook-circuit-open",
    /// A dry run did not ask the webhook.
    WebhookTestSkipped = "webhook-test-skipped",
    /// The lease could not be fetched.
    LeaseFetchFailed = "lease-fetch-failed",
    /// A lease is asked for of content whose keys need none.
    LeaseNotNeeded = "lease-not-needed",
    /// A lease is needed, and none came.
    LeaseMissing = "lease-missing",
    /// There is no such lease, or it is another viewer's or another content's; which of them is told nobody.
    LeaseUnknown = "lease-unknown",
    /// A lease whose time is over.
    LeaseExpired = "lease-expired",
    /// A lease is needed, and the token names nobody (`sub`) who could have one.
    LeaseNoSubject = "lease-no-subject",
    /// A lease is needed, and the token's `sub` is empty, too long, or has control characters.
    LeaseBadSubject = "lease-bad-subject",
}

impl fmt::Display for DenyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn reasons_are_kebab_case_and_different() {
        let words: HashSet<_> = DenyReason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(words.len(), DenyReason::ALL.len());
        for word in words {
            assert!(
                word.split('-')
                    .all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()))
            );
        }
    }
}

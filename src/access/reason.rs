//! Why a key is not handed out.

use std::fmt;

/// A closed set: the same words in logs, in metrics and in a dry run. The client is told none of them.
macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal: $explained:literal,)*) => {
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

            /// More of it for people, where no more is known: in logs and dry runs alone, as the word is.
            #[must_use]
            pub const fn explained(self) -> &'static str {
                match self {
                    $(Self::$name => $explained,)*
                }
            }
        }
    };
}

reasons! {
    /// No Bearer token came.
    MissingToken = "missing-token": "no Bearer token came",
    /// Several `Authorization` fields came; RFC 9110, 5.3 allows one.
    DuplicateAuthorization = "duplicate-authorization": "several Authorization fields came; send one",
    /// The token came in the query, which is not allowed here.
    QueryToken = "query-token": "the token came in the query; send it in Authorization, or allow it by ALLOW_QUERY_TOKEN",
    /// It is larger than any token.
    TokenTooLarge = "token-too-large": "the token is longer than 8 KiB",
    /// It has the form of no token that is accepted here.
    TokenMalformed = "token-malformed": "the token has the form of none that the settings accept",
    /// An HMAC token that no secret at hand signed.
    TokenSignature = "token-signature": "neither KEY_TOKEN_SECRET nor its fallback signed the token",
    /// An HMAC token whose time is over.
    TokenExpired = "token-expired": "the token's time (\"exp\") is over; fetch a new one",
    /// An HMAC token for other content.
    TokenContentMismatch = "token-content-mismatch": "the token's \"hash\" names another content",
    /// A policy asks for a signed token, and no signing key is active.
    NoActiveKeys = "no-active-keys": "no signing key is active; add one",
    /// It is no JWS in the compact form (RFC 7515, 7.1): three parts of canonical base64url, none of them empty.
    JwtNotAJws = "jwt-not-a-jws": "expected three parts of base64url with dots between them, without padding",
    /// A JWT whose header is no JSON object, or has a name twice.
    JwtBadHeader = "jwt-bad-header": "the header is no JSON object with each name once",
    /// A JWT whose parts can't be read, or whose claims are of a wrong type.
    JwtMalformed = "jwt-malformed": "a part of the token can't be read, or a claim is of a wrong type; times are numbers",
    /// A JWT with an algorithm that is not configured, `none` among them.
    JwtWrongAlg = "jwt-wrong-alg": "the header's \"alg\" is none that the settings or the policy have",
    /// A JWT with `crit`: extensions that must be understood (RFC 7515, 4.1.11), and none is.
    JwtCritical = "jwt-critical": "the header has \"crit\", and no extension is understood here",
    /// A JWT without `kid` where only a key that is named may have signed.
    JwtMissingKid = "jwt-missing-kid": "the header has no \"kid\"",
    /// A JWT that names no key that may sign here: unknown, revoked, or not allowed.
    JwtUnknownKid = "jwt-unknown-kid": "the header's \"kid\" names no key that may sign here",
    /// A JWT whose key, as it is kept here, is no public key of P-256.
    JwtBadPublicKey = "jwt-bad-public-key": "what is stored of the key is none of P-256; revoke it, and create another",
    /// A JWT that no key at hand signed.
    JwtSigFail = "jwt-sig-fail": "no secret or key at hand signed this token; ES256 takes 64 raw bytes, no DER",
    /// A JWT without `exp`.
    JwtMissingExp = "jwt-missing-exp": "the token has no \"exp\"",
    /// A JWT whose time is over.
    JwtExpired = "jwt-expired": "the token's time (\"exp\") is over; fetch a new one",
    /// A JWT whose time has not come: `nbf`.
    JwtNotYetValid = "jwt-not-yet-valid": "the token's time (\"nbf\") has not come; compare the clocks",
    /// A JWT that was issued in the future: `iat`.
    JwtIssuedInFuture = "jwt-issued-in-future": "the token was issued in the future (\"iat\"); compare the clocks",
    /// A JWT for another audience.
    JwtAudienceMismatch = "jwt-aud-mismatch": "the token's \"aud\" does not hold the audience that is asked for",
    /// A JWT of another issuer.
    JwtIssuerMismatch = "jwt-iss-mismatch": "the token's \"iss\" is not AUTH_JWT_ISSUER",
    /// A JWT in which a claim that the policy requires is missing, or has another value.
    JwtClaimMismatch = "jwt-claim-mismatch": "a claim that the policy requires is missing, or has another value",
    /// A JWT that names no content.
    JwtNoContent = "jwt-no-content": "the token names no content: expected \"content_id\" or \"hash\"",
    /// A JWT for other content.
    JwtContentMismatch = "jwt-content-mismatch": "the token's \"content_id\" or \"hash\" names other content",
    /// A token whose claim `keys` is no list of key names.
    KeysClaimMalformed = "keys-claim-malformed": "the token's \"keys\" is no name of a key, and no list of some",
    /// A token whose claim `keys` does not open this key.
    KeyNotInToken = "key-not-in-token": "neither the token's \"keys\" nor a webhook lets this key through",
    /// The key set could not be fetched so far, so nothing can be said of the token.
    JwksUnavailable = "jwks-unavailable": "AUTH_JWKS_URL could not be fetched so far",
    /// The content has a policy of a type that is not known here.
    PolicyUnknownType = "policy-unknown-type": "this version does not know the policy's type; update the server",
    /// The content's policy can't be read.
    PolicyCorrupt = "policy-corrupt": "the content's policy, as it is stored, can't be read; set it again",
    /// The content's policy could not be fetched.
    PolicyFetchFailed = "policy-fetch-failed": "the record store can't be asked for the content's policy",
    /// A webhook has to be asked, and none is named.
    WebhookNoUrl = "webhook-no-url": "the webhook's URL, as it is stored, is none; set the policy again",
    /// The webhook's URL, or an address of its host, is one that nothing is sent to.
    WebhookBlockedSsrf = "webhook-blocked-ssrf": "the URL or an address of its host is blocked; see WEBHOOK_ALLOW_CIDRS",
    /// The webhook did not answer in time.
    WebhookTimeout = "webhook-timeout": "the webhook did not answer in time",
    /// The webhook could not be reached, or its answer could not be read.
    WebhookNetwork = "webhook-network": "the webhook could not be reached, or its answer could not be read",
    /// The webhook said no: status 403.
    WebhookDeny403 = "webhook-deny-403": "the webhook said no (403)",
    /// The webhook answered with a status that is neither yes (200) nor no (403).
    WebhookErrorStatus = "webhook-error-status": "the webhook's status is neither 200 nor 403",
    /// As many questions as the webhook's host is asked at once are under way.
    WebhookOverloaded = "webhook-overloaded": "the webhook's host is asked as many questions at once as it may be",
    /// The webhook's host failed a moment ago, again and again, and is left alone.
    WebhookCircuitOpen = "webhook-circuit-open": "the webhook's host failed again and again, and is left alone",
    /// A dry run did not ask the webhook.
    WebhookTestSkipped = "webhook-test-skipped": "a dry run asks the webhook only if it is told to",
    /// The lease could not be fetched.
    LeaseFetchFailed = "lease-fetch-failed": "the record store can't be asked for the lease",
    /// A lease is asked for of content whose keys need none.
    LeaseNotNeeded = "lease-not-needed": "the content's policy needs no lease; play without",
    /// A lease is needed, and none came.
    LeaseMissing = "lease-missing": "a lease is needed, and none came (X-Lease-Id)",
    /// There is no such lease, or it is another viewer's or another content's; which of them is told nobody.
    LeaseUnknown = "lease-unknown": "there is no such lease of this viewer and content, or no more",
    /// A lease whose time is over.
    LeaseExpired = "lease-expired": "the lease's time is over; renew it in time, or get a new one",
    /// A lease is needed, and the token names nobody (`sub`) who could have one.
    LeaseNoSubject = "lease-no-subject": "a lease is needed, and the token has no \"sub\" that says whose it is",
    /// A lease is needed, and the token's `sub` is empty, too long, or has control characters.
    LeaseBadSubject = "lease-bad-subject": "the token's \"sub\" has to be 1 to 256 bytes without control characters",
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
    fn reasons_are_explained_in_a_sentence() {
        for reason in DenyReason::ALL {
            let text = reason.explained();
            assert!(
                text.contains(' ') && !text.ends_with('.') && text != reason.as_str(),
                "{reason}: {text}"
            );
        }
    }

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

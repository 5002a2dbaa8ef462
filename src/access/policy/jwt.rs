//! The policy that asks for a JWT of a signing key: ES256 (RFC 7518, 3.4), and nothing else.

use serde::{Deserialize, Serialize};

use super::PolicyError;
use crate::access::claims::Claims;
use crate::access::json::{Json, Members};
use crate::access::{Authenticated, DenyReason, KnownKey, MAX_TOKEN_BYTES, Question, base64};

/// A policy allows no more key IDs by name.
pub const MAX_ALLOWED_KIDS: usize = 64;

/// A policy requires no more claims.
pub const MAX_REQUIRED_CLAIMS: usize = 64;

/// What a JWT must be and say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JwtPolicy {
    /// IDs of the keys that may sign; where there is none, every active key may.
    pub allowed_kids: Vec<String>,
    /// `aud` must hold this.
    pub audience: Option<String>,
    /// Claims that must be there with exactly these values: objects are compared without order, numbers by their value.
    pub required_claims: Members,
    /// `hash` or `content_id` must name the content.
    pub content_binding: bool,
}

impl Default for JwtPolicy {
    fn default() -> Self {
        Self {
            allowed_kids: Vec::new(),
            audience: None,
            required_claims: Members::default(),
            content_binding: true,
        }
    }
}

/// A token that passed every check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Who it speaks for.
    pub authenticated: Authenticated,
    /// The key that signed it.
    pub kid: String,
    /// All that it says.
    pub claims: Members,
}

/// A token that didn't, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// The check that it failed; those in front of it passed.
    pub reason: DenyReason,
    /// More of it for people, without a word of the token.
    pub detail: String,
    /// The key that it names. Nobody has verified that.
    pub kid: Option<String>,
    /// All that it says, where that could be read. Nobody has verified that.
    pub claims: Option<Members>,
}

/// A reason, and more of it for people.
type Refusal = (DenyReason, String);

/// What a token says of itself, as far as it was read.
#[derive(Default)]
struct Seen {
    kid: Option<String>,
    claims: Option<Members>,
}

/// Verifies `token`, the text that came as a Bearer token (RFC 6750), if any, by `keys`, all that are known.
///
/// The checks are made in a fixed order, and a token that is wrong in two ways is refused by the first of them: is there a token,
/// and a key; its size, form, header, key and signature; its claims' types, times, audience, required claims, content, and
/// `keys`. Clocks may differ by 60 seconds. A time (RFC 7519, 2) may have a fraction, and is read as a double.
///
/// # Errors
/// [`Denied`].
pub fn verify(
    token: Option<&str>,
    keys: &[KnownKey],
    policy: &JwtPolicy,
    question: Question<'_>,
) -> Result<Verified, Denied> {
    let mut seen = Seen::default();
    let checked = check(token, keys, policy, question, &mut seen);
    let Seen { kid, claims } = seen;
    match checked {
        Ok(authenticated) => Ok(Verified {
            authenticated,
            kid: kid.unwrap_or_default(),
            claims: claims.unwrap_or_default(),
        }),
        Err((reason, detail)) => Err(Denied {
            reason,
            detail,
            kid,
            claims,
        }),
    }
}

fn check(
    token: Option<&str>,
    keys: &[KnownKey],
    policy: &JwtPolicy,
    question: Question<'_>,
    seen: &mut Seen,
) -> Result<Authenticated, Refusal> {
    let token = token
        .filter(|token| !token.is_empty())
        .ok_or_else(|| refusal(DenyReason::MissingToken, "no token came"))?;
    if !keys.iter().any(|key| key.is_active) {
        return Err(refusal(DenyReason::NoActiveKeys, "no signing key is active; add one"));
    }
    if token.len() > MAX_TOKEN_BYTES {
        return Err((
            DenyReason::TokenTooLarge,
            format!(
                "the token is {} bytes long; expected at most {MAX_TOKEN_BYTES}",
                token.len()
            ),
        ));
    }
    let jws = Jws::parse(token).ok_or_else(|| {
        refusal(
            DenyReason::JwtNotAJws,
            "expected three parts of base64url with dots between them, without padding",
        )
    })?;
    seen.claims = Members::of_bytes(&jws.payload);
    let header = Members::of_bytes(&jws.header).ok_or_else(|| {
        refusal(
            DenyReason::JwtBadHeader,
            "the header is no JSON object with each name once",
        )
    })?;
    seen.kid = header.get("kid").and_then(Json::as_text).map(str::to_owned);
    if header.get("alg").and_then(Json::as_text) != Some("ES256") {
        return Err(refusal(DenyReason::JwtWrongAlg, "the header's \"alg\" is not ES256"));
    }
    if header.get("crit").is_some() {
        return Err(refusal(
            DenyReason::JwtCritical,
            "the header's \"crit\" asks for extensions, and none is known here",
        ));
    }
    let kid = seen
        .kid
        .as_deref()
        .filter(|kid| !kid.is_empty())
        .ok_or_else(|| refusal(DenyReason::JwtMissingKid, "the header has no \"kid\", or an empty one"))?;
    let public = find_key(kid, keys, policy)?
        .public
        .as_ref()
        .map_err(|error| (DenyReason::JwtBadPublicKey, error.to_string()))?;
    if !public.has_signed(jws.message, &jws.signature) {
        return Err(refusal(
            DenyReason::JwtSigFail,
            "the key that the token names has not signed it so: r and s of 32 bytes each (RFC 7518, 3.4)",
        ));
    }
    let all = seen.claims.as_ref().ok_or_else(|| {
        refusal(
            DenyReason::JwtMalformed,
            "the claims are no JSON object with each name once",
        )
    })?;
    let claims = Claims::read(&jws.payload).map_err(explain)?;
    claims.check_times(question.now).map_err(explain)?;
    if let Some(audience) = &policy.audience {
        claims.check_audience(audience).map_err(explain)?;
    }
    for (name, required) in policy.required_claims.iter() {
        let wrong = match all.get(name) {
            Some(found) if found == required => continue,
            Some(_) => "has another value than the policy requires",
            None => "is missing, and the policy requires it",
        };
        return Err((DenyReason::JwtClaimMismatch, format!("the claim {name:?} {wrong}")));
    }
    if policy.content_binding {
        claims.check_content(question.content_id).map_err(explain)?;
    }
    claims.authenticated().map_err(explain)
}

/// The active key of that ID, if the policy allows it.
fn find_key<'a>(kid: &str, keys: &'a [KnownKey], policy: &JwtPolicy) -> Result<&'a KnownKey, Refusal> {
    let unknown = |detail| refusal(DenyReason::JwtUnknownKid, detail);
    if !policy.allowed_kids.is_empty() && !policy.allowed_kids.iter().any(|allowed| allowed == kid) {
        return Err(unknown("the policy does not allow this key ID"));
    }
    let key = keys
        .iter()
        .find(|key| key.kid == kid)
        .ok_or_else(|| unknown("no signing key has this ID"))?;
    if key.is_active {
        Ok(key)
    } else {
        Err(unknown("the signing key of this ID is revoked"))
    }
}

fn refusal(reason: DenyReason, detail: &str) -> Refusal {
    (reason, detail.to_owned())
}

/// More of the reasons that [`Claims`] gives.
fn explain(reason: DenyReason) -> Refusal {
    let detail = match reason {
        DenyReason::JwtMissingExp => "the claim \"exp\" is missing",
        DenyReason::JwtExpired => "\"exp\" is over, for 60 seconds or more",
        DenyReason::JwtNotYetValid => "\"nbf\" is more than 60 seconds ahead",
        DenyReason::JwtIssuedInFuture => "\"iat\" is more than 60 seconds ahead",
        DenyReason::JwtAudienceMismatch => "\"aud\" does not hold the policy's audience",
        DenyReason::JwtNoContent => "neither \"hash\" nor \"content_id\" names the content",
        DenyReason::JwtContentMismatch => "\"hash\" or \"content_id\" names other content",
        DenyReason::KeysClaimMalformed => "\"keys\" is no key name, and no list of them",
        _ => {
            "a claim has a wrong type: times are numbers, \"sub\" and \"iss\" text, \"aud\", \"hash\" and \"content_id\" text or lists of it"
        }
    };
    refusal(reason, detail)
}

/// A JWS in the compact form (RFC 7515, 7.1): what is signed, and its parts decoded.
struct Jws<'a> {
    message: &'a [u8],
    header: Vec<u8>,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl<'a> Jws<'a> {
    /// `None` unless it has three parts, none of them empty, of canonical base64url.
    fn parse(token: &'a str) -> Option<Self> {
        let part = |text: &str| base64::decode(text).filter(|bytes| !bytes.is_empty());
        let (message, signature) = token.rsplit_once('.')?;
        let (header, payload) = message.split_once('.')?;
        Some(Self {
            message: message.as_bytes(),
            header: part(header)?,
            payload: part(payload)?,
            signature: part(signature)?,
        })
    }
}

impl JwtPolicy {
    /// What is wrong with it, for who sets it.
    pub(super) fn check(&self) -> Result<(), PolicyError> {
        let at_most = |member, found, max| {
            if found > max {
                Err(PolicyError::TooMany { member, found, max })
            } else {
                Ok(())
            }
        };
        at_most("allowed_kids", self.allowed_kids.len(), MAX_ALLOWED_KIDS)?;
        at_most("required_claims", self.required_claims.len(), MAX_REQUIRED_CLAIMS)?;
        if self.allowed_kids.iter().any(String::is_empty) {
            return Err(PolicyError::Empty("allowed_kids"));
        }
        if self.audience.as_deref() == Some("") {
            return Err(PolicyError::Empty("audience"));
        }
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    };
    use hmac::{Hmac, KeyInit as _, Mac as _};
    use proptest::prelude::*;
    use sha2::Sha256;

    use super::*;
    use crate::access::{KeyScope, SigningKey, pem};
    use crate::keys::ContentId;

    const NOW: i64 = 1_700_000_000;
    const HEADER: &str = r#"{"alg":"ES256","kid":"a"}"#;

    /// A key pair, known here by the ID `a`.
    struct Signer {
        pair: SigningKey,
        content_id: ContentId,
    }

    impl Signer {
        fn new() -> Self {
            Self {
                pair: SigningKey::generate().unwrap(),
                content_id: "movie-1".parse().unwrap(),
            }
        }

        fn known(&self, kid: &str, is_active: bool) -> KnownKey {
            KnownKey::new(kid.to_owned(), &self.pair.public_key_pem, is_active)
        }

        fn sign_as(&self, algorithm: &'static EcdsaSigningAlgorithm, message: &[u8]) -> Vec<u8> {
            let der = pem::decode("PRIVATE KEY", self.pair.private_key_pem.expose()).unwrap();
            let pair = EcdsaKeyPair::from_pkcs8(algorithm, &der).unwrap();
            pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
        }

        fn sign(&self, message: &[u8]) -> Vec<u8> {
            self.sign_as(&ECDSA_P256_SHA256_FIXED_SIGNING, message)
        }

        fn token_of(&self, header: &str, claims: &str) -> String {
            jws(header.as_bytes(), claims.as_bytes(), |message| self.sign(message))
        }

        fn token(&self, claims: &str) -> String {
            self.token_of(HEADER, claims)
        }

        fn ask(&self, token: &str, policy: &JwtPolicy) -> Result<Verified, Denied> {
            self.ask_with(&[self.known("a", true)], Some(token), policy)
        }

        fn ask_with(&self, keys: &[KnownKey], token: Option<&str>, policy: &JwtPolicy) -> Result<Verified, Denied> {
            let question = Question {
                content_id: &self.content_id,
                now: NOW,
            };
            verify(token, keys, policy, question)
        }

        /// `ok`, or the reason.
        fn word(&self, token: &str, policy: &JwtPolicy) -> &'static str {
            self.ask(token, policy)
                .map_or_else(|denied| denied.reason.as_str(), |_| "ok")
        }
    }

    fn jws(header: &[u8], claims: &[u8], sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
        let message = format!("{}.{}", base64::encode(header), base64::encode(claims));
        format!("{message}.{}", base64::encode(&sign(message.as_bytes())))
    }

    fn policy(json: &str) -> JwtPolicy {
        serde_json::from_str(json).unwrap()
    }

    fn good_claims() -> String {
        format!(r#"{{"exp":{},"hash":"movie-1","sub":"anna","keys":"sd"}}"#, NOW + 600)
    }

    #[test]
    fn a_token_that_passes_says_who_and_what() {
        let signer = Signer::new();
        let verified = signer
            .ask(&signer.token(&good_claims()), &JwtPolicy::default())
            .unwrap();
        assert_eq!(verified.authenticated.subject.as_deref(), Some("anna"));
        assert_eq!(verified.authenticated.keys, KeyScope::Only(vec!["sd".parse().unwrap()]));
        assert_eq!(verified.kid, "a");
        assert_eq!(verified.claims.get("sub").and_then(Json::as_text), Some("anna"));
    }

    /// RFC 7515, A.3. Its header names no key, so it is the signature alone that this vector tells of.
    #[test]
    fn the_signature_of_the_rfc_is_good() {
        const KEY: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7\n6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\n-----END PUBLIC KEY-----\n";
        const TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
        let key = KnownKey::new("a".to_owned(), KEY, true);
        let jws = Jws::parse(TOKEN).unwrap();
        let public = key.public.as_ref().unwrap();
        assert!(public.has_signed(jws.message, &jws.signature));
        assert!(!public.has_signed(b"other", &jws.signature));
        let signer = Signer::new();
        let denied = signer.ask_with(&[key], Some(TOKEN), &JwtPolicy::default()).unwrap_err();
        assert_eq!(denied.reason, DenyReason::JwtMissingKid);
        assert_eq!(denied.claims.unwrap().get("iss").and_then(Json::as_text), Some("joe"));
    }

    /// Each line is wrong in what it names and in all that comes after it.
    #[test]
    fn the_first_wrong_thing_is_the_reason() {
        let (signer, other) = (Signer::new(), Signer::new());
        let strict =
            policy(r#"{"allowed_kids":["a","revoked","bad"],"audience":"tv","required_claims":{"plan":"gold"}}"#);
        let keys = [
            signer.known("a", true),
            signer.known("revoked", false),
            signer.known("elsewhere", true),
            KnownKey::new("bad".to_owned(), "no key", true),
        ];
        let of = |header: &str, claims: &str| signer.token_of(header, claims);
        let late = NOW - 60;
        let ahead = NOW + 61;
        let foreign = |claims: &str| jws(HEADER.as_bytes(), claims.as_bytes(), |message| other.sign(message));
        let claims = |exp: &str, more: &str| of(HEADER, &format!(r#"{{"exp":{exp}{more}}}"#));
        let later = (NOW + 600).to_string();
        let cases = [
            ("x".repeat(MAX_TOKEN_BYTES + 1), "token-too-large"),
            (format!("{}=", of("x", "x")), "jwt-not-a-jws"),
            (of("[]", "x"), "jwt-bad-header"),
            (of(r#"{"alg":"HS256","crit":[]}"#, "x"), "jwt-wrong-alg"),
            (of(r#"{"crit":[]}"#, "x"), "jwt-wrong-alg"),
            (of(r#"{"alg":"ES256","crit":null}"#, "x"), "jwt-critical"),
            (of(r#"{"alg":"ES256"}"#, "x"), "jwt-missing-kid"),
            (of(r#"{"alg":"ES256","kid":7}"#, "x"), "jwt-missing-kid"),
            (of(r#"{"alg":"ES256","kid":""}"#, "x"), "jwt-missing-kid"),
            (of(r#"{"alg":"ES256","kid":"elsewhere"}"#, "x"), "jwt-unknown-kid"),
            (of(r#"{"alg":"ES256","kid":"nobody"}"#, "x"), "jwt-unknown-kid"),
            (of(r#"{"alg":"ES256","kid":"revoked"}"#, "x"), "jwt-unknown-kid"),
            (of(r#"{"alg":"ES256","kid":"bad"}"#, "x"), "jwt-bad-public-key"),
            (foreign("x"), "jwt-sig-fail"),
            (foreign(r#"{"exp":1}"#), "jwt-sig-fail"),
            (of(HEADER, "[]"), "jwt-malformed"),
            (of(HEADER, r#"{"nbf":"x"}"#), "jwt-missing-exp"),
            (claims("1", r#","nbf":"x""#), "jwt-malformed"),
            (claims(&late.to_string(), &format!(r#","nbf":{ahead}"#)), "jwt-expired"),
            (
                claims(&later, &format!(r#","nbf":{ahead},"iat":{ahead}"#)),
                "jwt-not-yet-valid",
            ),
            (claims(&later, &format!(r#","iat":{ahead}"#)), "jwt-issued-in-future"),
            (claims(&later, r#","plan":"tin""#), "jwt-aud-mismatch"),
            (claims(&later, r#","aud":"tv","plan":"tin""#), "jwt-claim-mismatch"),
            (
                claims(&later, r#","aud":"tv","plan":"gold","keys":5"#),
                "jwt-no-content",
            ),
            (
                claims(&later, r#","aud":"tv","plan":"gold","keys":5,"hash":"other""#),
                "jwt-content-mismatch",
            ),
            (
                claims(&later, r#","aud":"tv","plan":"gold","keys":5,"hash":"movie-1""#),
                "keys-claim-malformed",
            ),
        ];
        for (token, reason) in cases {
            let denied = signer.ask_with(&keys, Some(&token), &strict).unwrap_err();
            assert_eq!(denied.reason.as_str(), reason, "{}", denied.detail);
            assert!(!denied.detail.is_empty());
        }
        let revoked = [signer.known("a", false)];
        for keys in [&[][..], &revoked] {
            for token in [None, Some("")] {
                let denied = signer.ask_with(keys, token, &strict).unwrap_err();
                assert_eq!(denied.reason, DenyReason::MissingToken);
            }
            let long = "x".repeat(MAX_TOKEN_BYTES + 1);
            let denied = signer.ask_with(keys, Some(&long), &strict).unwrap_err();
            assert_eq!(denied.reason, DenyReason::NoActiveKeys);
        }
    }

    #[test]
    fn times_have_a_skew_of_60_seconds_and_may_have_a_fraction() {
        let signer = Signer::new();
        let free = policy(r#"{"content_binding":false}"#);
        let later = (NOW + 600).to_string();
        let at = |seconds: i64| (NOW + seconds).to_string();
        for (exp, more, reason) in [
            (at(-60), String::new(), "jwt-expired"),
            (at(-59), String::new(), "ok"),
            (format!("{}.9", NOW - 60), String::new(), "ok"),
            (format!("{}.9", NOW - 61), String::new(), "jwt-expired"),
            ("0".to_owned(), String::new(), "jwt-expired"),
            ("-1".to_owned(), String::new(), "jwt-expired"),
            ("1e300".to_owned(), String::new(), "ok"),
            ("9223372036854775807".to_owned(), String::new(), "ok"),
            ("99999999999999999999999999".to_owned(), String::new(), "ok"),
            ("-9223372036854775809".to_owned(), String::new(), "jwt-expired"),
            ("1e999".to_owned(), String::new(), "jwt-malformed"),
            ("1e999999999".to_owned(), String::new(), "jwt-malformed"),
            ("null".to_owned(), String::new(), "jwt-missing-exp"),
            (format!("\"{later}\""), String::new(), "jwt-malformed"),
            ("true".to_owned(), String::new(), "jwt-malformed"),
            ("{}".to_owned(), String::new(), "jwt-malformed"),
            ("1".to_owned(), format!(r#","exp":{later}"#), "jwt-malformed"),
            (later.clone(), format!(r#","nbf":{}"#, NOW + 60), "ok"),
            (later.clone(), format!(r#","nbf":{}.5"#, NOW + 60), "jwt-not-yet-valid"),
            (later.clone(), format!(r#","iat":{}"#, NOW + 60), "ok"),
            (later.clone(), format!(r#","iat":{}"#, NOW + 61), "jwt-issued-in-future"),
            (later.clone(), r#","iat":"now""#.to_owned(), "jwt-malformed"),
            (later.clone(), r#","aud":5"#.to_owned(), "jwt-malformed"),
            (later.clone(), r#","aud":["tv",5]"#.to_owned(), "jwt-malformed"),
        ] {
            let token = signer.token(&format!(r#"{{"exp":{exp}{more}}}"#));
            assert_eq!(signer.word(&token, &free), reason, "{exp}{more}");
        }
    }

    #[test]
    fn audience_and_content_are_asked_for_where_the_policy_says_so() {
        let signer = Signer::new();
        let (plain, tv) = (JwtPolicy::default(), policy(r#"{"audience":"tv"}"#));
        let both = policy(r#"{"audience":"tv","content_binding":false}"#);
        for (claims, words) in [
            (r#""hash":"movie-1""#, ["ok", "jwt-aud-mismatch", "jwt-aud-mismatch"]),
            (r#""aud":"tv""#, ["jwt-no-content", "jwt-no-content", "ok"]),
            (r#""aud":["x","tv"],"hash":["movie-1","x"]"#, ["ok", "ok", "ok"]),
            (
                r#""aud":"tv","hash":"x""#,
                ["jwt-content-mismatch", "jwt-content-mismatch", "ok"],
            ),
            (
                r#""aud":"tv","hash":"movie-1","content_id":"x""#,
                ["jwt-content-mismatch", "jwt-content-mismatch", "ok"],
            ),
        ] {
            let token = signer.token(&format!(r#"{{"exp":{},{claims}}}"#, NOW + 600));
            assert_eq!(
                [&plain, &tv, &both].map(|policy| signer.word(&token, policy)),
                words,
                "{claims}"
            );
        }
    }

    #[test]
    fn required_claims_are_compared_exactly() {
        let signer = Signer::new();
        for (required, claim, reason) in [
            (r#""gold""#, r#""gold""#, "ok"),
            (r#""gold""#, r#""g\u006fld""#, "ok"),
            (r#""gold""#, r#"["gold"]"#, "jwt-claim-mismatch"),
            ("1", "1.0", "ok"),
            ("1", "10e-1", "ok"),
            ("1", r#""1""#, "jwt-claim-mismatch"),
            ("9007199254740993", "9007199254740992", "jwt-claim-mismatch"),
            ("9007199254740993", "9007199254740993", "ok"),
            ("18446744073709551617", "18446744073709551618", "jwt-claim-mismatch"),
            ("18446744073709551617", "18446744073709551617.00", "ok"),
            ("1e999999999", "10e999999998", "ok"),
            ("1e999999999", "1e999999998", "jwt-claim-mismatch"),
            (r#"{"x":1,"y":[true,null]}"#, r#"{"y":[true,null],"x":1e0}"#, "ok"),
            (r#"{"x":1}"#, r#"{"x":1,"y":2}"#, "jwt-claim-mismatch"),
            (r#"{"x":1}"#, r#"{"x":1,"x":1}"#, "jwt-malformed"),
            ("null", "null", "ok"),
            ("null", "false", "jwt-claim-mismatch"),
        ] {
            let policy = policy(&format!(
                r#"{{"content_binding":false,"required_claims":{{"p":{required}}}}}"#
            ));
            let token = signer.token(&format!(r#"{{"exp":{},"p":{claim}}}"#, NOW + 600));
            assert_eq!(signer.word(&token, &policy), reason, "{required} {claim}");
            let none = signer.token(&format!(r#"{{"exp":{}}}"#, NOW + 600));
            assert_eq!(signer.word(&none, &policy), "jwt-claim-mismatch");
        }
    }

    #[test]
    fn signatures_of_other_forms_are_refused() {
        let signer = Signer::new();
        let claims = good_claims();
        let forged = |sign: &dyn Fn(&[u8]) -> Vec<u8>| {
            let token = jws(HEADER.as_bytes(), claims.as_bytes(), sign);
            signer.word(&token, &JwtPolicy::default())
        };
        assert_eq!(forged(&|message| signer.sign(message)), "ok");
        let der = |message: &[u8]| signer.sign_as(&ECDSA_P256_SHA256_ASN1_SIGNING, message);
        let with = |at: usize, number: [u8; 32]| {
            let mut signature = signer.sign(b"");
            signature.get_mut(at..at + 32).unwrap().copy_from_slice(&number);
            signature
        };
        let order: [u8; 32] = hex::decode("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551")
            .unwrap()
            .try_into()
            .unwrap();
        assert_eq!(forged(&der), "jwt-sig-fail");
        assert_eq!(forged(&|_| vec![0; 64]), "jwt-sig-fail");
        for number in [[0; 32], order, [0xff; 32]] {
            assert_eq!(forged(&|_| with(0, number)), "jwt-sig-fail");
            assert_eq!(forged(&|_| with(32, number)), "jwt-sig-fail");
        }
        assert_eq!(forged(&|_| vec![1]), "jwt-sig-fail");
        assert_eq!(
            forged(&|message| [signer.sign(message), vec![0]].concat()),
            "jwt-sig-fail"
        );
        assert_eq!(forged(&|_| Vec::new()), "jwt-not-a-jws");
    }

    #[test]
    fn no_token_chooses_its_algorithm() {
        let signer = Signer::new();
        let public = signer.pair.public_key_pem.clone();
        let mac = |message: &[u8]| {
            let mac = Hmac::<Sha256>::new_from_slice(public.as_bytes()).unwrap();
            mac.chain_update(message).finalize().into_bytes().to_vec()
        };
        for alg in ["HS256", "none", "None", "es256", "ES384", "RS256", "EdDSA", ""] {
            let header = format!(r#"{{"alg":"{alg}","kid":"a"}}"#);
            let token = jws(header.as_bytes(), good_claims().as_bytes(), mac);
            assert_eq!(signer.word(&token, &JwtPolicy::default()), "jwt-wrong-alg", "{alg}");
        }
        let token = jws(HEADER.as_bytes(), good_claims().as_bytes(), mac);
        assert_eq!(signer.word(&token, &JwtPolicy::default()), "jwt-sig-fail");
        for header in [
            r#"{"alg":"none","alg":"ES256","kid":"a"}"#,
            r#"["ES256"]"#,
            "null",
            "",
            "{",
        ] {
            let token = signer.token_of(header, &good_claims());
            let word = signer.word(&token, &JwtPolicy::default());
            assert_eq!(
                word,
                if header.is_empty() {
                    "jwt-not-a-jws"
                } else {
                    "jwt-bad-header"
                },
                "{header}"
            );
        }
    }

    #[test]
    fn only_one_text_is_the_token() {
        let signer = Signer::new();
        let good = signer.token(&good_claims());
        let (message, signature) = good.rsplit_once('.').unwrap();
        let (header, payload) = message.split_once('.').unwrap();
        // 64 bytes leave four bits behind the last of 86 characters, which have to be zero.
        let last = signature.chars().last().unwrap();
        let odd = char::from(u8::try_from(last).unwrap() + 1);
        for token in [
            format!("{good}=="),
            format!("{good}.{good}"),
            format!(".{payload}.{signature}"),
            format!("{header}..{signature}"),
            format!("{message}."),
            message.to_owned(),
            "..".to_owned(),
            ".".to_owned(),
            format!(" {good}"),
            format!("{good}\n"),
            format!("{message}.{}{odd}", signature.strip_suffix(last).unwrap()),
            format!("{good}é"),
        ] {
            assert_eq!(signer.word(&token, &JwtPolicy::default()), "jwt-not-a-jws", "{token}");
        }
        let latin = jws(b"\xff", b"{}", |message| signer.sign(message));
        assert_eq!(signer.word(&latin, &JwtPolicy::default()), "jwt-bad-header");
        let latin = jws(HEADER.as_bytes(), b"{\"exp\":1,\"x\":\"\xff\"}", |message| {
            signer.sign(message)
        });
        assert_eq!(signer.word(&latin, &JwtPolicy::default()), "jwt-malformed");
    }

    proptest! {
        #[test]
        fn random_texts_open_nothing(token in "[A-Za-z0-9_.-]{0,200}|\\PC{0,60}") {
            let signer = Signer::new();
            prop_assert!(signer.ask(&token, &JwtPolicy::default()).is_err());
        }

        #[test]
        fn a_signed_jumble_opens_nothing(header in "\\PC{0,40}", claims in "[\\[\\]{}:,\"a0-9.e-]{0,60}") {
            let signer = Signer::new();
            prop_assert!(signer.ask(&signer.token(&claims), &JwtPolicy::default()).is_err());
            prop_assert!(signer.ask(&signer.token_of(&header, &good_claims()), &JwtPolicy::default()).is_err());
        }

        #[test]
        fn a_changed_token_opens_nothing(at in any::<prop::sample::Index>(), with in any::<u8>()) {
            let signer = Signer::new();
            let good = signer.token(&good_claims());
            let mut changed = good.clone().into_bytes();
            let at = at.index(changed.len());
            *changed.get_mut(at).unwrap() = with;
            if let Ok(changed) = String::from_utf8(changed)
                && changed != good
            {
                prop_assert!(signer.ask(&changed, &JwtPolicy::default()).is_err());
            }
        }
    }
}

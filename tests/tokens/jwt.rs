//! JWTs under a secret, and all that is no such JWT.

use std::net::TcpListener;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::common::CONTENT_ID;
use crate::common::tokens::{base64url, hmac_sha256, hs256, jwt, now};
use crate::hmac::with_bits_behind;
use crate::key_set::KeySetServer;
use crate::keys::{KeyPair, key_set};
use crate::site::{JWT_SECRET, OLD_JWT_SECRET, Site};

/// Claims that do.
pub fn claims() -> String {
    format!(r#"{{"hash":"{CONTENT_ID}","exp":{},"sub":"anna"}}"#, now() + 600)
}

/// A JWT that does.
pub fn good() -> String {
    hs256(JWT_SECRET, &claims())
}

fn with_header(header: &str) -> String {
    jwt(header, &claims(), |message| hmac_sha256(JWT_SECRET, message))
}

/// RFC 7515, A.1: the token expired in 2011, which is only said once its signature was found good.
#[test]
fn the_rfc_s_token_is_signed_well() {
    const TOKEN: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const KEY: &str = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ+EstJQLr/T+1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow==";
    let site = Site::start(&[("AUTH_JWT_SECRET", KEY)]);
    site.hide(KEY);
    site.refuses("RFC 7515, A.1", TOKEN, "jwt-expired");
    let site = Site::start(&[]);
    site.refuses("another secret", TOKEN, "jwt-sig-fail");
}

#[test]
fn either_secret_signs() {
    let site = Site::start(&[]);
    site.opens("the secret", &good());
    site.opens("the old one", &hs256(OLD_JWT_SECRET, &claims()));
    site.refuses(
        "none of them",
        &hs256(b"some other secret of 32 bytes...", &claims()),
        "jwt-sig-fail",
    );
    site.refuses("nothing", &hs256(b"", &claims()), "jwt-sig-fail");
    let text = STANDARD.encode(JWT_SECRET);
    site.refuses("the setting's text", &hs256(text.as_bytes(), &claims()), "jwt-sig-fail");
}

#[test]
fn claims_that_do_and_do_not() {
    let site = Site::start(&[]);
    let now = now();
    let claim = |exp: &str, more: &str| hs256(JWT_SECRET, &format!(r#"{{"hash":"{CONTENT_ID}","exp":{exp}{more}}}"#));
    let later = (now + 600).to_string();
    for (what, exp, more, reason) in [
        ("an integer", later.as_str(), "", "ok"),
        ("a fraction", &format!("{later}.5"), "", "ok"),
        ("just over", &(now - 30).to_string(), "", "ok"),
        ("a time that never comes", "1e300", "", "ok"),
        (
            "over for more than the skew",
            &(now - 60).to_string(),
            "",
            "jwt-expired",
        ),
        ("before 1970", "-1", "", "jwt-expired"),
        ("zero", "0", "", "jwt-expired"),
        ("null", "null", "", "jwt-missing-exp"),
        ("text", &format!("\"{later}\""), "", "jwt-malformed"),
        ("larger than a number", "1e999", "", "jwt-malformed"),
        ("no number", "NaN", "", "jwt-malformed"),
        ("true", "true", "", "jwt-malformed"),
        ("a list", &format!("[{later}]"), "", "jwt-malformed"),
        ("twice", "1", &format!(r#","exp":{later}"#), "jwt-malformed"),
        ("begun", &later, &format!(r#","nbf":{}"#, now - 5), "ok"),
        ("about to begin", &later, &format!(r#","nbf":{}"#, now + 40), "ok"),
        (
            "not begun",
            &later,
            &format!(r#","nbf":{}"#, now + 120),
            "jwt-not-yet-valid",
        ),
        ("begins at a word", &later, r#","nbf":"now""#, "jwt-malformed"),
        ("issued", &later, &format!(r#","iat":{now}"#), "ok"),
        ("issued in a moment", &later, &format!(r#","iat":{}"#, now + 40), "ok"),
        (
            "issued tomorrow",
            &later,
            &format!(r#","iat":{}"#, now + 86400),
            "jwt-issued-in-future",
        ),
        ("issued by word", &later, r#","iat":"today""#, "jwt-malformed"),
        ("a subject that is a number", &later, r#","sub":7"#, "jwt-malformed"),
        ("two subjects", &later, r#","sub":"a","sub":"b""#, "jwt-malformed"),
        ("two contents", &later, r#","hash":"other""#, "jwt-malformed"),
        (
            "other claims",
            &later,
            r#","admin":true,"aud":"anybody","iss":"anyone","jti":5"#,
            "ok",
        ),
    ] {
        let status = if reason == "ok" { 200 } else { 403 };
        assert_eq!(site.ask(&claim(exp, more)), (status, reason.to_owned()), "{what}");
    }
    let no_expiry = hs256(JWT_SECRET, &format!(r#"{{"hash":"{CONTENT_ID}"}}"#));
    site.refuses("no exp", &no_expiry, "jwt-missing-exp");
    let array = hs256(
        JWT_SECRET,
        &format!(r#"[{later},null,null,null,null,null,"{CONTENT_ID}",null]"#),
    );
    site.refuses("an array", &array, "jwt-malformed");
    for (what, text) in [
        ("nothing", ""),
        ("a word", "exp"),
        ("null", "null"),
        ("two objects", "{}{}"),
    ] {
        site.refuses(what, &hs256(JWT_SECRET, text), "jwt-malformed");
    }
}

#[test]
fn the_content_has_to_be_named() {
    let cases = [
        ("hash", format!(r#""hash":"{CONTENT_ID}""#), "ok"),
        ("content_id", format!(r#""content_id":"{CONTENT_ID}""#), "ok"),
        ("a list", format!(r#""hash":["other","{CONTENT_ID}"]"#), "ok"),
        (
            "a list of content IDs",
            format!(r#""content_id":["{CONTENT_ID}"]"#),
            "ok",
        ),
        (
            "both",
            format!(r#""hash":["{CONTENT_ID}"],"content_id":"{CONTENT_ID}""#),
            "ok",
        ),
        (
            "null and the other",
            format!(r#""hash":null,"content_id":"{CONTENT_ID}""#),
            "ok",
        ),
        (
            "both, and they differ",
            format!(r#""hash":"{CONTENT_ID}","content_id":"other""#),
            "jwt-content-mismatch",
        ),
        (
            "the other way",
            format!(r#""hash":"other","content_id":["{CONTENT_ID}"]"#),
            "jwt-content-mismatch",
        ),
        ("other content", r#""hash":"other""#.to_owned(), "jwt-content-mismatch"),
        ("other case", r#""hash":"TEST-FILM""#.to_owned(), "jwt-content-mismatch"),
        ("a pattern", r#""hash":"*""#.to_owned(), "jwt-content-mismatch"),
        (
            "one text of two",
            format!(r#""hash":"other,{CONTENT_ID}""#),
            "jwt-content-mismatch",
        ),
        ("an empty list", r#""hash":[]"#.to_owned(), "jwt-content-mismatch"),
        ("neither", r#""sub":"anna""#.to_owned(), "jwt-no-content"),
        ("a number", r#""hash":5"#.to_owned(), "jwt-malformed"),
        (
            "a list with a number",
            format!(r#""hash":["{CONTENT_ID}",5]"#),
            "jwt-malformed",
        ),
        (
            "an object",
            format!(r#""hash":{{"{CONTENT_ID}":true}}"#),
            "jwt-malformed",
        ),
    ];
    let on = Site::start(&[]);
    let off = Site::start(&[("AUTH_CONTENT_CLAIM", "off")]);
    for (what, named, reason) in cases {
        let token = hs256(JWT_SECRET, &format!(r#"{{"exp":{},{named}}}"#, now() + 600));
        let expected = (if reason == "ok" { 200 } else { 403 }, reason.to_owned());
        assert_eq!(on.ask(&token), expected, "{what}");
        let malformed = reason == "jwt-malformed";
        let expected = if malformed { expected } else { (200, "ok".to_owned()) };
        assert_eq!(off.ask(&token), expected, "{what}, with AUTH_CONTENT_CLAIM=off");
    }
}

#[test]
fn audience_and_issuer_are_those_that_are_set() {
    const ISSUER: &str = r#""iss":"https://login.example.com""#;
    let site = Site::start(&[
        ("AUTH_JWT_AUDIENCE", "keys"),
        ("AUTH_JWT_ISSUER", "https://login.example.com"),
    ]);
    for (what, more, reason) in [
        ("a text", format!(r#""aud":"keys",{ISSUER}"#), "ok"),
        ("a list", format!(r#""aud":["films","keys"],{ISSUER}"#), "ok"),
        ("another", format!(r#""aud":"films",{ISSUER}"#), "jwt-aud-mismatch"),
        ("other case", format!(r#""aud":"Keys",{ISSUER}"#), "jwt-aud-mismatch"),
        (
            "more behind it",
            format!(r#""aud":"keys2",{ISSUER}"#),
            "jwt-aud-mismatch",
        ),
        (
            "a list of others",
            format!(r#""aud":["films"],{ISSUER}"#),
            "jwt-aud-mismatch",
        ),
        ("an empty list", format!(r#""aud":[],{ISSUER}"#), "jwt-aud-mismatch"),
        ("none", ISSUER.to_owned(), "jwt-aud-mismatch"),
        ("a number", format!(r#""aud":5,{ISSUER}"#), "jwt-malformed"),
        ("no issuer", r#""aud":"keys""#.to_owned(), "jwt-iss-mismatch"),
        (
            "another issuer",
            r#""aud":"keys","iss":"https://login.example.com/""#.to_owned(),
            "jwt-iss-mismatch",
        ),
        (
            "a list of issuers",
            r#""aud":"keys","iss":["https://login.example.com"]"#.to_owned(),
            "jwt-malformed",
        ),
    ] {
        let token = hs256(
            JWT_SECRET,
            &format!(r#"{{"hash":"{CONTENT_ID}","exp":{},{more}}}"#, now() + 600),
        );
        let status = if reason == "ok" { 200 } else { 403 };
        assert_eq!(site.ask(&token), (status, reason.to_owned()), "{what}");
    }
}

#[test]
fn headers_that_do_and_do_not() {
    let site = Site::start(&[]);
    for none in ["none", "None", "NONE", "nOnE"] {
        let header = format!(r#"{{"alg":"{none}"}}"#);
        site.refuses(none, &jwt(&header, &claims(), |_| Vec::new()), "jwt-wrong-alg");
        site.refuses(none, &with_header(&header), "jwt-wrong-alg");
    }
    let huge = "k".repeat(4000);
    for (what, header, reason) in [
        ("no type", r#"{"alg":"HS256"}"#.to_owned(), "ok"),
        (
            "another type",
            r#"{"alg":"HS256","typ":"at+jwt","cty":"x"}"#.to_owned(),
            "ok",
        ),
        ("lower case", r#"{"alg":"hs256"}"#.to_owned(), "jwt-wrong-alg"),
        ("HS384", r#"{"alg":"HS384"}"#.to_owned(), "jwt-wrong-alg"),
        ("HS512", r#"{"alg":"HS512"}"#.to_owned(), "jwt-wrong-alg"),
        (
            "RS256 without a key set",
            r#"{"alg":"RS256"}"#.to_owned(),
            "jwt-wrong-alg",
        ),
        ("PS256", r#"{"alg":"PS256"}"#.to_owned(), "jwt-wrong-alg"),
        ("EdDSA", r#"{"alg":"EdDSA"}"#.to_owned(), "jwt-wrong-alg"),
        ("empty", r#"{"alg":""}"#.to_owned(), "jwt-wrong-alg"),
        ("no algorithm", r#"{"typ":"JWT"}"#.to_owned(), "jwt-malformed"),
        ("null", r#"{"alg":null}"#.to_owned(), "jwt-malformed"),
        ("a list", r#"{"alg":["HS256"]}"#.to_owned(), "jwt-malformed"),
        ("two", r#"{"alg":"none","alg":"HS256"}"#.to_owned(), "jwt-malformed"),
        ("an array", r#"["HS256",null]"#.to_owned(), "jwt-malformed"),
        (
            "critical",
            r#"{"alg":"HS256","crit":["exp"]}"#.to_owned(),
            "jwt-critical",
        ),
        (
            "critical nothing",
            r#"{"alg":"HS256","crit":[]}"#.to_owned(),
            "jwt-critical",
        ),
        (
            "critical null",
            r#"{"alg":"HS256","crit":null}"#.to_owned(),
            "jwt-critical",
        ),
        (
            "not encoded",
            r#"{"alg":"HS256","b64":false,"crit":["b64"]}"#.to_owned(),
            "jwt-critical",
        ),
        (
            "a path as key ID",
            r#"{"alg":"HS256","kid":"../../../../dev/null"}"#.to_owned(),
            "ok",
        ),
        (
            "SQL as key ID",
            r#"{"alg":"HS256","kid":"' OR 1=1; --"}"#.to_owned(),
            "ok",
        ),
        ("a huge key ID", format!(r#"{{"alg":"HS256","kid":"{huge}"}}"#), "ok"),
        (
            "a key ID of another type",
            r#"{"alg":"HS256","kid":5}"#.to_owned(),
            "jwt-malformed",
        ),
    ] {
        let status = if reason == "ok" { 200 } else { 403 };
        assert_eq!(site.ask(&with_header(&header)), (status, reason.to_owned()), "{what}");
    }
    // What the path or the SQL would lead to, if anything looked there.
    let empty = jwt(r#"{"alg":"HS256","kid":"/dev/null"}"#, &claims(), |message| {
        hmac_sha256(b"", message)
    });
    site.refuses("signed with an empty file", &empty, "jwt-sig-fail");
}

#[test]
fn only_one_text_is_the_token() {
    let site = Site::start(&[]);
    let good = good();
    let parts: Vec<&str> = good.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    site.refuses("padding", &format!("{good}="), "jwt-malformed");
    site.refuses(
        "bits behind",
        &format!("{header}.{payload}.{}", with_bits_behind(signature)),
        "jwt-malformed",
    );
    site.refuses("a letter more", &format!("{good}A"), "jwt-sig-fail");
    site.refuses(
        "cut",
        &format!("{header}.{payload}.{}", &signature[..40]),
        "jwt-sig-fail",
    );
    site.refuses("no signature", &format!("{header}.{payload}."), "jwt-sig-fail");
    site.refuses("no header", &format!(".{payload}.{signature}"), "jwt-malformed");
    site.refuses("two dots", "..", "jwt-malformed");
    site.refuses(
        "another payload",
        &format!(
            "{header}.{}.{signature}",
            base64url(r#"{"hash":"test-film","exp":1e12}"#)
        ),
        "jwt-sig-fail",
    );
    site.refuses(
        "five parts, as if encrypted",
        &format!("{good}.{header}.{payload}"),
        "token-malformed",
    );
    // Signed as they stand, so that only their form is wrong.
    let signed = |header: &str, payload: &str| {
        let message = format!("{header}.{payload}");
        format!("{message}.{}", base64url(hmac_sha256(JWT_SECRET, message.as_bytes())))
    };
    let padded = base64::engine::general_purpose::URL_SAFE.encode(r#"{"alg":"HS256"} "#);
    assert!(padded.ends_with('='));
    site.refuses("a padded header", &signed(&padded, payload), "jwt-malformed");
    let header = base64url(r#"{"alg":"HS256"}"#);
    let odd = base64url(format!("{}   ", claims()));
    let odd = if odd.len() % 4 == 0 {
        base64url(format!("{} ", claims()))
    } else {
        odd
    };
    site.opens("spaces behind", &signed(&header, &odd));
    site.refuses(
        "bits behind the claims",
        &signed(&header, &with_bits_behind(&odd)),
        "jwt-malformed",
    );
}

/// What a key set's public key, or a key that the token brings along, may not do.
#[test]
fn no_token_chooses_its_key() {
    let (Some(rsa), Some(attacker)) = (KeyPair::rsa(2048), KeyPair::rsa(2048)) else {
        return;
    };
    let source = KeySetServer::start(&key_set(&[rsa.jwk_with(&serde_json::json!({"kid": "ours"}))]));
    let site = Site::start(&[("AUTH_JWKS_URL", &source.url())]);
    site.opens("signed by the key", &rsa.token(Some("ours"), &claims()));
    site.opens("and by the secret", &good());
    for form in ["PEM", "DER"] {
        let public = rsa.public(form);
        for header in [r#"{"alg":"HS256"}"#, r#"{"alg":"HS256","kid":"ours"}"#] {
            let token = jwt(header, &claims(), |message| hmac_sha256(&public, message));
            site.refuses("the public key as a secret", &token, "jwt-sig-fail");
        }
    }
    let modulus = rsa.jwk()["n"].as_str().unwrap().to_owned();
    let token = jwt(r#"{"alg":"HS256","kid":"ours"}"#, &claims(), |message| {
        hmac_sha256(modulus.as_bytes(), message)
    });
    site.refuses("the modulus as a secret", &token, "jwt-sig-fail");
    let token = jwt(r#"{"alg":"RS256","kid":"ours"}"#, &claims(), |message| {
        hmac_sha256(JWT_SECRET, message)
    });
    site.refuses("a MAC as a signature", &token, "jwt-sig-fail");
    for header in [
        r#"{"alg":"RS384","kid":"ours"}"#,
        r#"{"alg":"PS256","kid":"ours"}"#,
        r#"{"alg":"none","kid":"ours"}"#,
    ] {
        site.refuses(
            header,
            &jwt(header, &claims(), |message| rsa.sign(message)),
            "jwt-wrong-alg",
        );
    }
    let token = jwt(r#"{"alg":"ES256","kid":"ours"}"#, &claims(), |message| {
        rsa.sign(message)
    });
    site.refuses("another algorithm for the same key", &token, "jwt-unknown-kid");

    // Keys that the token brings, or says where to find: nobody looks there.
    let trap = TcpListener::bind("127.0.0.1:0").unwrap();
    trap.set_nonblocking(true).unwrap();
    let url = format!("http://{}/keys", trap.local_addr().unwrap());
    for more in [
        serde_json::json!({"jwk": attacker.jwk()}),
        serde_json::json!({"jku": url}),
        serde_json::json!({"x5u": url}),
        serde_json::json!({"x5c": ["MIIB"], "kid": "ours"}),
    ] {
        let mut header = serde_json::json!({"alg": "RS256"});
        header
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let token = jwt(&header.to_string(), &claims(), |message| attacker.sign(message));
        site.refuses("a key that the token brings", &token, "jwt-sig-fail");
    }
    assert_eq!(
        trap.accept().unwrap_err().kind(),
        std::io::ErrorKind::WouldBlock,
        "somebody fetched it"
    );

    for kid in [
        "../../keys/ours",
        "ours' OR '1'='1",
        "OURS",
        "ours ",
        "",
        &"k".repeat(4000),
    ] {
        site.refuses(kid, &attacker.token(Some(kid), &claims()), "jwt-unknown-kid");
    }
    site.refuses(
        "the right name, another key",
        &attacker.token(Some("ours"), &claims()),
        "jwt-sig-fail",
    );
    assert_eq!(source.fetches(), 1);
}

//! The HMAC token.

use crate::common::CONTENT_ID;
use crate::common::tokens::{base64url, hmac_sha256, hmac_token, now};
use crate::site::{OLD_TOKEN_SECRET, Site, TOKEN_SECRET};

/// Computed by Python and, alike, by openssl:
///
/// ```python
/// payload = base64.urlsafe_b64encode(b'{"hash":"test-film","exp":4102444800}').rstrip(b"=")
/// tag = hmac.new(b"correct horse battery staple", payload, hashlib.sha256).digest()
/// payload + b"." + base64.urlsafe_b64encode(tag).rstrip(b"=")
/// ```
const VECTOR: &str = "eyJoYXNoIjoidGVzdC1maWxtIiwiZXhwIjo0MTAyNDQ0ODAwfQ.JI0LWbOZZ-jLFuGGLaykz0U5FqFVGYMA52xicc9Gu5o";

fn token(exp: i64) -> String {
    hmac_token(TOKEN_SECRET, &format!(r#"{{"hash":"{CONTENT_ID}","exp":{exp}}}"#))
}

/// base64url text that means the same bytes, with bits set behind the last one.
pub fn with_bits_behind(text: &str) -> String {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    assert_ne!(text.len() % 4, 0, "it has such bits");
    let (rest, last) = text.split_at(text.len() - 1);
    let at = ALPHABET.find(last).unwrap();
    format!("{rest}{}", &ALPHABET[at + 1..at + 2])
}

#[test]
fn the_vector_and_its_likes_open_the_content() {
    let site = Site::start(&[]);
    assert_eq!(token(4_102_444_800), VECTOR, "the tests' own cryptography agrees");
    site.opens("the vector", VECTOR);
    let exp = now() + 60;
    let payload = format!(r#"{{"hash":"{CONTENT_ID}","exp":{exp}}}"#);
    site.opens("the old secret", &hmac_token(OLD_TOKEN_SECRET, &payload));
    let payload = format!(r#" {{ "exp" : {exp}, "user": "anna", "hash":"{CONTENT_ID}" }} "#);
    site.opens(
        "other order, spaces, another claim",
        &hmac_token(TOKEN_SECRET, &payload),
    );
}

#[test]
fn claims_that_do_not_do() {
    let site = Site::start(&[]);
    let exp = now() + 600;
    for (what, payload, reason) in [
        (
            "expired",
            format!(r#"{{"hash":"{CONTENT_ID}","exp":{}}}"#, now() - 1),
            "token-expired",
        ),
        (
            "expires now",
            format!(r#"{{"hash":"{CONTENT_ID}","exp":{}}}"#, now()),
            "token-expired",
        ),
        (
            "negative",
            format!(r#"{{"hash":"{CONTENT_ID}","exp":-5}}"#),
            "token-expired",
        ),
        (
            "least",
            format!(r#"{{"hash":"{CONTENT_ID}","exp":{}}}"#, i64::MIN),
            "token-expired",
        ),
        ("no exp", format!(r#"{{"hash":"{CONTENT_ID}"}}"#), "token-malformed"),
        (
            "null",
            format!(r#"{{"hash":"{CONTENT_ID}","exp":null}}"#),
            "token-malformed",
        ),
        (
            "fraction",
            format!(r#"{{"hash":"{CONTENT_ID}","exp":{exp}.5}}"#),
            "token-malformed",
        ),
        (
            "exponent",
            format!(r#"{{"hash":"{CONTENT_ID}","exp":1e12}}"#),
            "token-malformed",
        ),
        (
            "text",
            format!(r#"{{"hash":"{CONTENT_ID}","exp":"{exp}"}}"#),
            "token-malformed",
        ),
        (
            "too large",
            format!(r#"{{"hash":"{CONTENT_ID}","exp":9223372036854775808}}"#),
            "token-malformed",
        ),
        (
            "two exp",
            format!(r#"{{"hash":"{CONTENT_ID}","exp":1,"exp":{exp}}}"#),
            "token-malformed",
        ),
        (
            "two hash",
            format!(r#"{{"hash":"other","hash":"{CONTENT_ID}","exp":{exp}}}"#),
            "token-malformed",
        ),
        (
            "other content",
            format!(r#"{{"hash":"other","exp":{exp}}}"#),
            "token-content-mismatch",
        ),
        (
            "other case",
            format!(r#"{{"hash":"Test-Film","exp":{exp}}}"#),
            "token-content-mismatch",
        ),
        (
            "a start of it",
            format!(r#"{{"hash":"test","exp":{exp}}}"#),
            "token-content-mismatch",
        ),
        (
            "more behind it",
            format!(r#"{{"hash":"{CONTENT_ID}\u0000","exp":{exp}}}"#),
            "token-content-mismatch",
        ),
        ("no hash", format!(r#"{{"exp":{exp}}}"#), "token-malformed"),
        (
            "a list",
            format!(r#"{{"hash":["{CONTENT_ID}"],"exp":{exp}}}"#),
            "token-malformed",
        ),
        ("an array", format!(r#"["{CONTENT_ID}",{exp}]"#), "token-malformed"),
        (
            "two objects",
            format!(r#"{{"hash":"{CONTENT_ID}","exp":{exp}}}{{}}"#),
            "token-malformed",
        ),
        ("no JSON", "hash".to_owned(), "token-malformed"),
        ("nothing", String::new(), "token-malformed"),
    ] {
        site.refuses(what, &hmac_token(TOKEN_SECRET, &payload), reason);
    }
}

#[test]
fn signatures_and_forms_that_do_not_do() {
    let site = Site::start(&[]);
    let good = token(now() + 600);
    let (payload, tag) = good.split_once('.').unwrap();
    let other = base64url(format!(r#"{{"hash":"{CONTENT_ID}","exp":{}}}"#, now() + 9999));
    for (what, token, reason) in [
        (
            "another secret",
            hmac_token("not the secret", r#"{"hash":"test-film","exp":4102444800}"#),
            "token-signature",
        ),
        (
            "no secret",
            hmac_token("", r#"{"hash":"test-film","exp":4102444800}"#),
            "token-signature",
        ),
        ("other payload", format!("{other}.{tag}"), "token-signature"),
        ("no tag", format!("{payload}."), "token-signature"),
        ("half a tag", format!("{payload}.{}", &tag[..20]), "token-signature"),
        ("a longer tag", format!("{payload}.{tag}A"), "token-signature"),
        ("no payload", format!(".{tag}"), "token-signature"),
        ("nothing on both sides", ".".to_owned(), "token-signature"),
        (
            "of the JSON and not its text",
            format!(
                "{VECTOR_PAYLOAD}.{}",
                base64url(hmac_sha256(
                    TOKEN_SECRET.as_bytes(),
                    br#"{"hash":"test-film","exp":4102444800}"#
                ))
            ),
            "token-signature",
        ),
        (
            "a tag in hexadecimal",
            format!(
                "{payload}.{}",
                hex::encode(hmac_sha256(TOKEN_SECRET.as_bytes(), payload.as_bytes()))
            ),
            "token-signature",
        ),
        ("padding", format!("{good}="), "token-malformed"),
        (
            "bits behind the tag",
            format!("{payload}.{}", with_bits_behind(tag)),
            "token-malformed",
        ),
        ("a space within", format!("{payload} .{tag}"), "token-signature"),
        ("one part", payload.to_owned(), "token-malformed"),
        ("four parts", format!("{good}.{good}"), "token-malformed"),
    ] {
        site.refuses(what, &token, reason);
    }
    // Tags with both letters that the two alphabets differ in.
    let both = (0..1000).map(|more| token(now() + 600 + more)).find(|token| {
        let tag = token.split_once('.').unwrap().1;
        tag.contains('-') && tag.contains('_')
    });
    let both = both.unwrap();
    site.opens("base64url", &both);
    let (payload, tag) = both.split_once('.').unwrap();
    let standard = format!("{payload}.{}", tag.replace('-', "+").replace('_', "/"));
    site.refuses("base64", &standard, "token-malformed");
    // Signed as it stands, so that only its form is wrong.
    for (what, payload) in [
        (
            "a padded payload",
            format!("{}=", base64url(r#"{"hash":"test-film","exp":41024448001}"#)),
        ),
        ("bits behind the payload", with_bits_behind(VECTOR_PAYLOAD)),
    ] {
        let tag = base64url(hmac_sha256(TOKEN_SECRET.as_bytes(), payload.as_bytes()));
        site.refuses(what, &format!("{payload}.{tag}"), "token-malformed");
    }
}

const VECTOR_PAYLOAD: &str = "eyJoYXNoIjoidGVzdC1maWxtIiwiZXhwIjo0MTAyNDQ0ODAwfQ";

#[test]
fn a_token_of_8_kib_is_read_and_a_larger_one_is_not() {
    let site = Site::start(&[]);
    let sized = |length: usize| {
        let fill = |count| {
            hmac_token(
                TOKEN_SECRET,
                &format!(
                    r#"{{"hash":"{CONTENT_ID}","exp":{},"x":"{}"}}"#,
                    4_102_444_800_i64,
                    "x".repeat(count)
                ),
            )
        };
        (6000..6200).map(fill).find(|token| token.len() >= length).unwrap()
    };
    let most = sized(8 << 10);
    assert_eq!(most.len(), 8 << 10);
    site.opens("8 KiB", &most);
    let more = sized((8 << 10) + 1);
    site.refuses("more", &more, "token-too-large");
    site.refuses("much more", &"a.b.".repeat(5000), "token-too-large");
}

#[test]
fn leeway_lengthens_and_is_a_number() {
    let site = Site::start(&[("TOKEN_LEEWAY", "100")]);
    site.opens("late, but not too late", &token(now() - 60));
    site.refuses("too late", &token(now() - 100), "token-expired");
    site.opens("the last time there is", &token(i64::MAX));
    let workspace = crate::common::Workspace::new();
    for wrong in ["-5", "1.5", "soon", "99999999999"] {
        let output = Site::command(&workspace, &[("TOKEN_LEEWAY", wrong)])
            .arg("--check")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{wrong}");
    }
}

#[test]
fn without_its_secret_no_such_token_is_known() {
    let site = Site::start_without(&["KEY_TOKEN_SECRET", "FALLBACK_KEY_TOKEN_SECRET"], &[]);
    site.refuses("the vector", VECTOR, "token-malformed");
    let site = Site::start_without(&["AUTH_JWT_SECRET", "FALLBACK_AUTH_JWT_SECRET"], &[]);
    site.opens("the vector", VECTOR);
    site.refuses("a JWT", &crate::jwt::good(), "token-malformed");
}

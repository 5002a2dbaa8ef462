//! How a token comes.

use crate::common::CONTENT_ID;
use crate::common::tokens::{hmac_token, now};
use crate::site::{Site, TOKEN_SECRET, path};

fn token() -> String {
    let payload = format!(r#"{{"hash":"{CONTENT_ID}","exp":{}}}"#, now() + 600);
    hmac_token(TOKEN_SECRET, &payload)
}

#[test]
fn only_one_bearer_token_counts() {
    let site = Site::start(&[]);
    let token = token();
    site.hide(&token);
    let bearer = format!("Authorization: Bearer {token}");
    let cases: Vec<(Vec<String>, u16, &str)> = vec![
        (vec![bearer.clone()], 200, "ok"),
        (vec![format!("authorization: bEARER   {token}")], 200, "ok"),
        (vec![], 401, "missing-token"),
        (vec!["Authorization:".to_owned()], 401, "missing-token"),
        (vec!["Authorization: Bearer".to_owned()], 401, "missing-token"),
        (vec![format!("Authorization: Basic {token}")], 401, "missing-token"),
        (vec![format!("Authorization: Token {token}")], 401, "missing-token"),
        (vec![format!("Authorization: {token}")], 401, "missing-token"),
        (vec![format!("Authorization: Bearer{token}")], 401, "missing-token"),
        (vec![format!("X-API-Key: {token}")], 401, "missing-token"),
        (vec!["X-API-Key: x".to_owned(), bearer.clone()], 200, "ok"),
        (
            vec![format!("Cookie: jwt={token}; Authorization=Bearer {token}")],
            401,
            "missing-token",
        ),
        (
            vec![format!("Proxy-Authorization: Bearer {token}")],
            401,
            "missing-token",
        ),
        (vec![bearer.clone(), bearer.clone()], 403, "duplicate-authorization"),
        (
            vec!["Authorization: Basic eDp5".to_owned(), bearer.clone()],
            403,
            "duplicate-authorization",
        ),
        (
            vec![format!("Authorization: Bearer {token}, Bearer {token}")],
            403,
            "jwt-malformed",
        ),
        (vec![format!("Authorization: Bearer {token}é")], 403, "token-malformed"),
        (
            vec!["Authorization: Bearer \u{1f511}".to_owned()],
            403,
            "token-malformed",
        ),
    ];
    for (headers, status, reason) in cases {
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let (answer, found) = site.ask_with("", &headers);
        assert_eq!((answer.status, found.as_str()), (status, reason), "{headers:?}");
        let asks = answer.header("www-authenticate");
        assert_eq!(asks, (status == 401).then_some("Bearer"), "{headers:?}");
    }
}

#[test]
fn a_token_in_the_query_is_refused() {
    let site = Site::start(&[]);
    let token = token();
    site.hide(&token);
    let query = format!("?jwt={token}");
    let (answer, reason) = site.ask_with(&query, &[]);
    assert_eq!((answer.status, reason.as_str()), (401, "query-token"));
    let (answer, _) = site.ask_with(&query, &[&format!("Authorization: Bearer {token}")]);
    assert_eq!(answer.status, 200);
    let (answer, reason) = site.ask_with(&format!("?token={token}"), &[]);
    assert_eq!((answer.status, reason.as_str()), (401, "missing-token"));
}

#[test]
fn a_token_in_the_query_is_taken_where_that_is_allowed() {
    let site = Site::start(&[("ALLOW_QUERY_TOKEN", "true")]);
    let token = token();
    site.hide(&token);
    let query = format!("?x=1&jwt={token}");
    assert_eq!(site.ask_with(&query, &[]).0.status, 200);
    let (answer, reason) = site.ask_with(&query, &["Authorization: Bearer not.good"]);
    assert_eq!(
        (answer.status, reason.as_str()),
        (403, "token-signature"),
        "Authorization wins"
    );
    let (answer, reason) = site.ask_with("?jwt=not.good", &[&format!("Authorization: Bearer {token}")]);
    assert_eq!((answer.status, reason.as_str()), (200, "ok"), "Authorization wins");
    let (answer, reason) = site.ask_with(&format!("{query}&jwt={token}"), &[]);
    assert_eq!((answer.status, reason.as_str()), (403, "token-malformed"));
    let (answer, reason) = site.ask_with("?jwt=", &[]);
    assert_eq!((answer.status, reason.as_str()), (403, "token-malformed"));
    // A page that is not there does not print its query either.
    assert_eq!(site.server().ask(&format!("GET /nowhere{query}"), &[]).status, 404);
    assert_eq!(site.server().ask(&format!("PUT {}{query}", path()), &[]).status, 405);
}

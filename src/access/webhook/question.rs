//! What a webhook is asked, and how it knows who asks.

use std::net::IpAddr;

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use sha2::Sha256;
use url::form_urlencoded;

use crate::content_key::Kid;
use crate::keys::ContentId;
use crate::secret::SecretText;

/// The parameter of a query that may hold a token.
const TOKEN_PARAMETER: &str = "jwt";

/// The question: the members of the JSON object, in their order.
///
/// It has no `Debug`, for it holds the viewer's token.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Question<'a> {
    /// The content whose key is wanted.
    pub content_id: &'a ContentId,
    /// The key; `None` where there is none of the name that is asked for.
    pub kid: Option<Kid>,
    /// The viewer's address.
    pub viewer_ip: IpAddr,
    /// What the viewer asked for, a URL or the path of one; the value of a `jwt` in its query is left out.
    #[serde(serialize_with = "without_token")]
    pub request_url: &'a str,
    /// The token that the viewer came with, if any.
    pub viewer_token: Option<&'a str>,
    /// The request's ID, which the log has too.
    pub request_id: &'a str,
    /// The time of asking (RFC 3339 in the JSON), and of the signature.
    pub timestamp: Timestamp,
}

/// A question as it is sent: `body` as JSON, and the values of two header fields.
///
/// It has no `Debug`, for its body holds the viewer's token.
pub struct Message {
    /// The JSON.
    pub body: Vec<u8>,
    /// Of `X-Vylux-Signature`: `sha256=HEX`, where `HEX` is the HMAC-SHA-256 (RFC 2104) of the body.
    pub signature: String,
    /// Of `X-Vylux-Signature-V2`: `t=SECONDS,v1=HEX`, where `HEX` is the HMAC-SHA-256 of `SECONDS.` and the body. Whoever
    /// refuses old seconds can't be told the same question twice.
    pub signature_v2: String,
}

impl Question<'_> {
    /// The message, signed with the text of `secret`.
    pub(super) fn sign(&self, secret: &SecretText) -> Message {
        let body = serde_json::to_vec(self).expect("text, addresses and times have their JSON");
        let seconds = self.timestamp.as_second();
        let signature = hex_mac(secret, &[&body]);
        let timed = hex_mac(secret, &[format!("{seconds}.").as_bytes(), &body]);
        Message {
            body,
            signature: format!("sha256={signature}"),
            signature_v2: format!("t={seconds},v1={timed}"),
        }
    }
}

fn hex_mac(secret: &SecretText, parts: &[&[u8]]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes());
    let mac = mac.expect("HMAC takes keys of every length (RFC 2104, 2)");
    let mac = parts.iter().fold(mac, Mac::chain_update);
    hex::encode(mac.finalize().into_bytes())
}

/// Writes a URL whose query's `jwt` has no value; everything else stays as it is. A fragment is never sent, so it goes.
fn without_token<S: Serializer>(url: &&str, serializer: S) -> Result<S::Ok, S::Error> {
    let url = url.split_once('#').map_or(*url, |(url, _)| url);
    let Some((path, query)) = url.split_once('?') else {
        return serializer.serialize_str(url);
    };
    let is_token = |pair: &&str| form_urlencoded::parse(pair.as_bytes()).any(|(name, _)| name == TOKEN_PARAMETER);
    let pairs: Vec<&str> = query
        .split('&')
        .map(|pair| if is_token(&pair) { "jwt=" } else { pair })
        .collect();
    serializer.serialize_str(&format!("{path}?{}", pairs.join("&")))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;

    fn question<'a>(content_id: &'a ContentId, request_url: &'a str) -> Question<'a> {
        Question {
            content_id,
            kid: None,
            viewer_ip: "192.0.2.7".parse().unwrap(),
            request_url,
            viewer_token: None,
            request_id: "0191-a",
            timestamp: Timestamp::new(1_790_000_000, 0).unwrap(),
        }
    }

    fn body(question: &Question<'_>) -> String {
        let secret = SecretText::from("secret".to_owned());
        String::from_utf8(question.sign(&secret).body).unwrap()
    }

    #[test]
    fn members_stand_in_their_order() {
        let content_id = "film-1".parse().unwrap();
        let mut question = question(&content_id, "/api/key/film-1");
        assert_eq!(
            body(&question),
            r#"{"contentId":"film-1","kid":null,"viewerIp":"192.0.2.7","requestUrl":"/api/key/film-1","viewerToken":null,"requestId":"0191-a","timestamp":"2026-09-21T14:13:20Z"}"#
        );
        question.kid = Some(Kid([0xab; 16]));
        question.viewer_token = Some("a\".b");
        assert_eq!(
            body(&question),
            r#"{"contentId":"film-1","kid":"abababababababababababababababab","viewerIp":"192.0.2.7","requestUrl":"/api/key/film-1","viewerToken":"a\".b","requestId":"0191-a","timestamp":"2026-09-21T14:13:20Z"}"#
        );
    }

    #[test]
    fn no_url_holds_a_token() {
        let content_id = "film-1".parse().unwrap();
        for (url, sent) in [
            ("/k?jwt=SECRET", "/k?jwt="),
            ("/k?a=1&jwt=SECRET&b=%2f", "/k?a=1&jwt=&b=%2f"),
            ("/k?jwt=SECRET&jwt=SECRET", "/k?jwt=&jwt="),
            ("https://k.example.com/k?%6Awt=SECRET", "https://k.example.com/k?jwt="),
            ("/k#jwt=SECRET", "/k"),
            ("/k?a#?jwt=SECRET", "/k?a"),
            ("/k?jwts=1", "/k?jwts=1"),
            ("/jwt=1", "/jwt=1"),
            ("/k?", "/k?"),
        ] {
            let json = body(&question(&content_id, url));
            assert!(json.contains(&format!(r#""requestUrl":"{sent}""#)), "{json}");
        }
    }

    /// RFC 4231, 4.3 (test case 2).
    #[test]
    fn the_mac_is_that_of_the_standard() {
        let secret = SecretText::from("Jefe".to_owned());
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hex_mac(&secret, &[b"what do ya want for nothing?"]), expected);
        assert_eq!(hex_mac(&secret, &[b"what do ya want ", b"for nothing?"]), expected);
    }

    fn openssl_mac(secret: &str, data: &[u8]) -> Option<String> {
        let mut openssl = Command::new("openssl")
            .args(["dgst", "-sha256", "-hmac", secret, "-hex"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        openssl.stdin.take().unwrap().write_all(data).unwrap();
        let output = String::from_utf8(openssl.wait_with_output().unwrap().stdout).unwrap();
        Some(output.trim().rsplit(' ').next().unwrap().to_owned())
    }

    #[test]
    fn openssl_signs_the_same() {
        let content_id = "film-1".parse().unwrap();
        let secret = "a secret of the webhook's";
        let message = question(&content_id, "/k").sign(&SecretText::from(secret.to_owned()));
        let Some(mac) = openssl_mac(secret, &message.body) else {
            return;
        };
        assert_eq!(message.signature, format!("sha256={mac}"));
        let timed = [b"1790000000.".as_slice(), &message.body].concat();
        let mac = openssl_mac(secret, &timed).unwrap();
        assert_eq!(message.signature_v2, format!("t=1790000000,v1={mac}"));
    }
}

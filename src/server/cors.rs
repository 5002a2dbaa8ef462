//! Which pages of other origins may ask (Fetch standard, 3.2).

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};

use super::config::Origins;

const ALLOWED_METHODS: HeaderValue = HeaderValue::from_static("GET,HEAD,POST,OPTIONS");
const ALLOWED_HEADERS: HeaderValue = HeaderValue::from_static("authorization,content-type,range,x-lease-id");
const EXPOSED_HEADERS: HeaderValue = HeaderValue::from_static("content-length,content-range,retry-after,x-request-id");

/// A browser asks again after so many seconds.
const MAX_AGE_SECONDS: HeaderValue = HeaderValue::from_static("600");

impl Origins {
    /// The answer to `OPTIONS`, which browsers ask before a page's request that is more than a link could send; `asked`
    /// are the question's headers.
    pub fn preflight(&self, asked: &HeaderMap) -> Response {
        let headers = [
            (header::ACCESS_CONTROL_ALLOW_METHODS, ALLOWED_METHODS),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS),
            (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_SECONDS),
        ];
        let mut answer = (headers, Body::empty()).into_response();
        self.name(asked.get(header::ORIGIN), answer.headers_mut());
        answer
    }

    /// Lets the page that asked read `answer`, if it comes from an origin that may.
    pub fn let_read(&self, origin: Option<&HeaderValue>, answer: &mut HeaderMap) {
        answer.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
        self.name(origin, answer);
    }

    fn name(&self, origin: Option<&HeaderValue>, answer: &mut HeaderMap) {
        let allowed = match self {
            Self::Any => Some(HeaderValue::from_static("*")),
            Self::Exactly(origins) => {
                // Whoever keeps the answer must not give it to pages of another origin.
                answer.append(header::VARY, HeaderValue::from_static("origin"));
                origins.iter().find(|allowed| Some(*allowed) == origin).cloned()
            }
        };
        if let Some(allowed) = allowed {
            answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        }
    }
}

/// An origin as a browser sends it (RFC 6454, 6.2): scheme, host and port, in lower case, and nothing else.
pub fn parse_origin(text: &str) -> Option<HeaderValue> {
    let url = url::Url::parse(text).ok()?;
    let is_origin = matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == text;
    is_origin.then(|| HeaderValue::from_str(text).ok())?
}

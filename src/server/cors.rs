//! Which pages of other origins may ask (Fetch standard, 3.2).

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::config::{Config, Origins};
use super::observe::REQUEST_ID;

/// A browser asks again after this long.
const MAX_AGE: Duration = Duration::from_mins(10);

/// Answers preflights, and names the origin in answers to pages that may read them.
pub fn layer(config: &Config) -> CorsLayer {
    let origins = match &config.origins {
        Origins::Any => AllowOrigin::any(),
        Origins::Exactly(origins) => AllowOrigin::list(origins.iter().cloned()),
    };
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::OPTIONS])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::RANGE,
            HeaderName::from_static("x-lease-id"),
        ])
        .expose_headers([
            header::CONTENT_LENGTH,
            header::CONTENT_RANGE,
            header::RETRY_AFTER,
            REQUEST_ID,
        ])
        .max_age(MAX_AGE)
}

/// An origin as a browser sends it (RFC 6454, 6.2): scheme, host and port, in lower case, and nothing else.
pub fn parse_origin(text: &str) -> Option<HeaderValue> {
    let url = url::Url::parse(text).ok()?;
    let is_origin = matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == text;
    is_origin.then(|| HeaderValue::from_str(text).ok())?
}

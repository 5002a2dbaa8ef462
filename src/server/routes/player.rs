//! `/player`: a page that plays what is below `--media`, to see that keys, tokens and media go together.
//!
//! The page and the players it uses are in the binary; it loads nothing from elsewhere but media and keys.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};

use super::{Routes, body_limit, uncached};
use crate::access::{KeyScope, UnixSeconds, mint, now};
use crate::keys::ContentId;
use crate::server::App;
use crate::server::assets::{self, Asset};
use crate::server::problem::Problem;

/// How long a token of the page is good for.
const TOKEN_LIFE_SECONDS: UnixSeconds = 15 * 60;

/// Whom a token of the page speaks for: leases are given to somebody.
const VIEWER: &str = "player";

/// What the page may do (CSP level 3). Players build media and workers from memory (`blob:`), and tracks
/// for subtitles from nothing (`data:`); keys come from wherever
/// `BASE_URL` says, and media from any URL that is typed in, so the page may ask anywhere. No script, style or frame of
/// others, and nothing inline.
const CONTENT_SECURITY_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob: data:; worker-src blob:; \
     connect-src 'self' http: https:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// A file of the page.
struct PageFile {
    path: &'static str,
    media_type: &'static str,
    text: &'static str,
    /// Its name holds its version.
    is_versioned: bool,
}

macro_rules! page_files {
    ($($path:literal, $media_type:literal, $file:literal, $is_versioned:literal;)*) => {
        &[$(PageFile {
            path: $path,
            media_type: concat!($media_type, "; charset=utf-8"),
            text: include_str!(concat!("../player/", $file)),
            is_versioned: $is_versioned,
        },)*]
    };
}

const PAGE_FILES: &[PageFile] = page_files! {
    "/player", "text/html", "player.html", false;
    "/player/player.css", "text/css", "player.css", false;
    "/player/player.js", "text/javascript", "player.js", false;
    "/player/hls-1.7.4.min.js", "text/javascript", "vendor/hls.js/hls.min.js", true;
    "/player/hls-1.7.4.LICENSE", "text/plain", "vendor/hls.js/LICENSE", true;
    "/player/shaka-player-5.2.12.js", "text/javascript", "vendor/shaka-player/shaka-player.hls-es2021.js", true;
    "/player/shaka-player-5.2.12.LICENSE", "text/plain", "vendor/shaka-player/LICENSE", true;
};

/// Adds the page's routes; `with_tokens` those that mint tokens too.
pub fn add(routes: &mut Routes, root: PathBuf, with_tokens: bool) {
    for file in PAGE_FILES {
        routes.add(file.path, get(move || async move { file.response() }));
    }
    if with_tokens {
        routes.add("/player/token", post(token).layer(body_limit()));
    }
    routes.add("/player/assets", get(move |app| assets(app, root)));
}

impl PageFile {
    fn response(&self) -> Response {
        let cache = if self.is_versioned {
            "public, max-age=31536000, immutable"
        } else {
            "no-cache"
        };
        let headers: [(HeaderName, HeaderValue); 5] = [
            (header::CONTENT_TYPE, HeaderValue::from_static(self.media_type)),
            (header::CACHE_CONTROL, HeaderValue::from_static(cache)),
            (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        ];
        (headers, self.text).into_response()
    }
}

/// How the page gets a token.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum Tokens {
    /// It mints them (`--dev`).
    Minted,
    /// It needs none (`--insecure-no-auth`).
    NotNeeded,
    /// It is given one.
    Pasted,
}

#[derive(Serialize)]
struct AssetList {
    tokens: Tokens,
    assets: Vec<Asset>,
}

/// `GET /player/assets`: what there is to play.
async fn assets(State(app): State<Arc<App>>, root: PathBuf) -> Response {
    let tokens = if app.access.is_insecure() {
        Tokens::NotNeeded
    } else if app.config.dev_secret.is_some() {
        Tokens::Minted
    } else {
        Tokens::Pasted
    };
    match tokio::task::spawn_blocking(move || assets::find(&root)).await {
        Ok(assets) => uncached(StatusCode::OK, AssetList { tokens, assets }),
        Err(error) => Problem::internal("assets", error.to_string()).into_response(),
    }
}

#[derive(Deserialize)]
struct TokenRequest {
    content_id: String,
}

#[derive(Serialize)]
struct Token {
    token: String,
    expires: UnixSeconds,
}

/// `POST /player/token`: a token for a content, for whoever can reach this machine's loopback address.
async fn token(State(app): State<Arc<App>>, headers: HeaderMap, Json(request): Json<TokenRequest>) -> Response {
    // A page elsewhere can't read the answer, as its origin is not ours; unless its name is made to mean this machine's
    // address (DNS rebinding), and then it asks for that name.
    if !asks_for_this_machine(&headers) {
        return Problem::not_found("token-host").into_response();
    }
    let (Some(secret), Ok(content_id)) = (&app.config.dev_secret, request.content_id.parse::<ContentId>()) else {
        return Problem::malformed("malformed-content-id").into_response();
    };
    let expires = now() + TOKEN_LIFE_SECONDS;
    let token = mint(secret, &content_id, Some(VIEWER), &KeyScope::All, expires);
    uncached(StatusCode::OK, Token { token, expires })
}

fn asks_for_this_machine(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let Some(host) = host.and_then(|host| url::Url::parse(&format!("http://{host}")).ok()) else {
        return false;
    };
    match host.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

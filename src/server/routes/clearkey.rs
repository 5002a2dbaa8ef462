//! `POST /api/key/{content_id}/clearkey`: a licence in the form of W3C Clear Key (Encrypted Media Extensions, 9.1).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{schema, uncached};
use crate::access::{DenyReason, json_object};
use crate::content_key::Kid;
use crate::keys::lookup::{FoundKey, Which};
use crate::server::App;
use crate::server::grant::grant;
use crate::server::observe::Told;
use crate::server::problem::{Details, Problem};

/// A request names no more keys than this.
const MAX_KIDS: usize = 64;

/// A licence request (EME, 9.1.3).
#[derive(Deserialize, ToSchema)]
pub struct LicenceRequest {
    /// Key IDs in base64url.
    #[schema(value_type = Vec<schema::KidBase64Url>, max_items = 64, min_items = 1)]
    kids: Vec<String>,
}

/// A licence (EME, 9.1.4), which is a JSON Web Key Set.
#[derive(Serialize, ToSchema)]
pub struct Licence {
    keys: Vec<LicenceKey>,
    /// Not kept by the player.
    #[serde(rename = "type")]
    #[schema(example = "temporary")]
    session: &'static str,
}

/// A symmetric key (RFC 7518, 6.4).
#[derive(Serialize, ToSchema)]
struct LicenceKey {
    kty: &'static str,
    /// The key ID in base64url.
    kid: String,
    /// The key in base64url.
    k: String,
}

impl LicenceKey {
    fn new(found: &FoundKey) -> Self {
        Self {
            kty: "oct",
            kid: URL_SAFE_NO_PAD.encode(found.kid.0),
            k: URL_SAFE_NO_PAD.encode(found.key.expose()),
        }
    }
}

/// A licence for players that speak Clear Key. Keys that the token does not open are left out.
#[utoipa::path(
    post,
    path = "/api/key/{content_id}/clearkey",
    tag = "keys",
    params(
        ("x-lease-id" = Option<String>, Header, description = "The viewer's lease of the content, where the server gives leases"),
        ("content_id" = inline(schema::ContentId), Path, description = "The content"),
    ),
    request_body = LicenceRequest,
    responses(
        (status = 200, description = "The licence", body = Licence),
        (status = 400, description = "The content ID or the request is malformed", content_type = "application/problem+json", body = Details),
        (status = 401, description = "No Bearer token", content_type = "application/problem+json", body = Details),
        (status = 403, description = "The token does not open this content, or none of these keys", content_type = "application/problem+json", body = Details),
        (status = 404, description = "One of the keys is none of this content", content_type = "application/problem+json", body = Details),
        (status = 413, description = "The request is too large", content_type = "application/problem+json", body = Details),
        (status = 429, description = "Too many requests; Retry-After says when", content_type = "application/problem+json", body = Details),
        (status = 503, description = "The record store can't be asked", content_type = "application/problem+json", body = Details),
    ),
    security(("bearer" = [])),
)]
pub async fn licence(
    State(app): State<Arc<App>>,
    Path(content_id): Path<String>,
    request: Parts,
    // The media type is not looked at: Shaka Player and hls.js send none that says JSON.
    body: Bytes,
) -> Response {
    let mut told = Told::default();
    let licence = async {
        // What is wrong with it is said to those alone who may have keys.
        let kids = key_ids(&body);
        let which: Vec<Which> = kids.iter().flatten().copied().map(Which::Kid).collect();
        let granted = grant(&app, &request, &content_id, &which, &mut told).await?;
        let mut keys = Vec::new();
        let mut left_out = None;
        // A player asks for the keys of all qualities at once, and copes with fewer: a key that a licence does not hold has no
        // status in its session (Encrypted Media Extensions, 6.1), and what needs it is not chosen.
        for kid in kids? {
            match granted.key(&app, Which::Kid(kid)).await {
                Ok(found) => keys.push(LicenceKey::new(&found)),
                Err(problem) if problem.reason == DenyReason::KeyNotInToken.as_str() => left_out = Some(problem),
                Err(problem) => return Err(problem),
            }
        }
        match left_out {
            Some(problem) if keys.is_empty() => Err(problem),
            _ => Ok(Licence {
                keys,
                session: "temporary",
            }),
        }
    };
    let response = match licence.await {
        Ok(licence) => uncached(StatusCode::OK, licence),
        Err(problem) => problem.into_response(),
    };
    told.to(response)
}

fn key_ids(body: &[u8]) -> Result<Vec<Kid>, Problem> {
    let request: LicenceRequest = json_object(body).map_err(|_| Problem::malformed("malformed-licence-request"))?;
    if request.kids.is_empty() || request.kids.len() > MAX_KIDS {
        return Err(Problem::malformed("licence-request-key-count"));
    }
    let read = |text: &String| {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        bytes.try_into().ok().map(Kid)
    };
    let kids: Option<Vec<Kid>> = request.kids.iter().map(read).collect();
    kids.ok_or(Problem::malformed("malformed-key-id"))
}

//! `GET /api/key/{content_id}` and its kin: the 16 bytes of a content key.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

use super::schema;
use crate::content_key::Kid;
use crate::keys::KeyName;
use crate::keys::lookup::Which;
use crate::server::App;
use crate::server::grant::grant;
use crate::server::observe::Told;
use crate::server::problem::{Details, Problem};

/// The answers of every key route, for the OpenAPI document.
macro_rules! key_route {
    ($(#[$doc:meta])* $name:ident, $path:literal, ($($parameter:tt)*), |$which:pat_param| $parse:expr) => {
        $(#[$doc])*
        #[utoipa::path(
            get,
            path = $path,
            tag = "keys",
            params(
                ("x-lease-id" = Option<String>, Header, description = "The viewer's lease of the content, where the server gives leases"),
                $($parameter)*
            ),
            responses(
                (status = 200, description = "The key: 16 bytes", content_type = "application/octet-stream", body = inline(schema::KeyBytes)),
                (status = 400, description = "A part of the path is malformed", content_type = "application/problem+json", body = Details),
                (status = 401, description = "No Bearer token", content_type = "application/problem+json", body = Details),
                (status = 403, description = "The token does not open this content, or not this key", content_type = "application/problem+json", body = Details),
                (status = 404, description = "No such key", content_type = "application/problem+json", body = Details),
                (status = 429, description = "Too many requests; Retry-After says when", content_type = "application/problem+json", body = Details),
                (status = 503, description = "The record store can't be asked", content_type = "application/problem+json", body = Details),
            ),
            security(("bearer" = [])),
        )]
        pub async fn $name(State(app): State<Arc<App>>, path: Path<Vec<String>>, request: Request) -> Response {
            let (request, _no_body) = request.into_parts();
            answer(&app, &path, &request, |$which| $parse).await
        }
    };
}

key_route! {
    /// A content's primary key.
    primary, "/api/key/{content_id}",
    (("content_id" = inline(schema::ContentId), Path, description = "The content")),
    |_| Some(Which::Primary)
}

key_route! {
    /// A key of a content by its ID.
    by_kid, "/api/key/{content_id}/{kid}",
    (
        ("content_id" = inline(schema::ContentId), Path, description = "The content"),
        ("kid" = inline(schema::Kid), Path, description = "The key's ID"),
    ),
    |kid| kid.parse::<Kid>().ok().map(Which::Kid)
}

key_route! {
    /// A content's primary key, at BlindCast's path.
    primary_as_blindcast, "/keys/{content_id}",
    (("content_id" = inline(schema::ContentId), Path, description = "The content")),
    |_| Some(Which::Primary)
}

key_route! {
    /// The key of an epoch of a content, at BlindCast's path: the key of that name.
    epoch, "/keys/{content_id}/{epoch}",
    (
        ("content_id" = inline(schema::ContentId), Path, description = "The content"),
        ("epoch" = inline(schema::KeyName), Path, description = "The key's name"),
    ),
    |epoch| epoch.parse::<KeyName>().ok().map(Which::Named)
}

async fn answer(app: &App, path: &[String], request: &Parts, which: impl Fn(&str) -> Option<Which>) -> Response {
    let mut told = Told::default();
    let key = async {
        let mut path = path.iter().map(String::as_str);
        let content_id = path.next().unwrap_or_default();
        // Read before anything is decided: a path that can't be read is malformed, whoever asks.
        let which = which(path.next().unwrap_or_default()).ok_or(Problem::malformed("malformed-key-id"))?;
        let granted = grant(app, request, content_id, std::slice::from_ref(&which), &mut told).await?;
        granted.key(app, which).await
    };
    let response = match key.await {
        Ok(found) => (
            [
                (
                    header::CONTENT_TYPE,
                    HeaderValue::from_static("application/octet-stream"),
                ),
                (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            ],
            found.key.expose().to_vec(),
        )
            .into_response(),
        Err(problem) => problem.into_response(),
    };
    told.to(response)
}

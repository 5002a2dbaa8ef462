//! `GET /health` and `GET /ready`, for whoever starts, watches and restarts the server.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::server::App;
use crate::server::causes::chain;
use crate::server::problem::{Details, Problem};

/// The process is alive.
#[derive(Serialize, ToSchema)]
pub struct Status {
    /// `ok`.
    status: &'static str,
    /// The version that runs.
    version: &'static str,
}

fn ok() -> Response {
    let no_store = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let status = Status {
        status: "ok",
        version: env!("CARGO_PKG_VERSION"),
    };
    ([no_store], Json(status)).into_response()
}

/// Whether the process is alive; says nothing of what it depends on.
#[utoipa::path(
    get,
    path = "/health",
    tag = "operation",
    responses((status = 200, description = "It is", body = Status)),
)]
pub async fn health() -> Response {
    ok()
}

/// Whether keys can be handed out: the record store answers, and a record can be opened with the secrets at hand.
#[utoipa::path(
    get,
    path = "/ready",
    tag = "operation",
    responses(
        (status = 200, description = "They can", body = Status),
        (status = 503, description = "They can't", content_type = "application/problem+json", body = Details),
    ),
)]
pub async fn ready(State(app): State<Arc<App>>) -> Response {
    match app.keys.check().await {
        Ok(()) => ok(),
        Err(error) => Problem::unavailable("not-ready", chain(&error)).into_response(),
    }
}

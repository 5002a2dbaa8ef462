//! `GET /health` and `GET /ready`, for whoever starts, watches and restarts the server.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::uncached;
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

/// Keys can be handed out.
#[derive(Serialize, ToSchema)]
pub struct Readiness {
    /// `ok`.
    status: &'static str,
    /// The version that runs.
    version: &'static str,
    /// `ok`; `degraded` while Redis is away and rate limits are each server's own; absent where there is no Redis.
    #[serde(skip_serializing_if = "Option::is_none")]
    redis: Option<&'static str>,
}

/// Whether the process is alive; says nothing of what it depends on.
#[utoipa::path(
    get,
    path = "/health",
    tag = "operation",
    responses((status = 200, description = "It is", body = Status)),
)]
pub async fn health() -> Response {
    uncached(
        StatusCode::OK,
        Status {
            status: "ok",
            version: env!("CARGO_PKG_VERSION"),
        },
    )
}

/// Whether keys can be handed out: the record store answers, and a record can be opened with the secrets at hand.
///
/// Without Redis they can: rate limits are then each server's own, and to take every server out of service for it would
/// turn an outage of the counts into one of the keys. The answer names it, and so does the metric `vylux_pack_redis_up`.
#[utoipa::path(
    get,
    path = "/ready",
    tag = "operation",
    responses(
        (status = 200, description = "They can", body = Readiness),
        (status = 503, description = "They can't", content_type = "application/problem+json", body = Details),
    ),
)]
pub async fn ready(State(app): State<Arc<App>>) -> Response {
    match app.keys.check().await {
        Ok(()) => uncached(
            StatusCode::OK,
            Readiness {
                status: "ok",
                version: env!("CARGO_PKG_VERSION"),
                redis: app.key_limit.redis_is_up().map(|up| if up { "ok" } else { "degraded" }),
            },
        ),
        Err(error) => Problem::unavailable("not-ready", chain(&error)).into_response(),
    }
}

//! `GET /api/admin/audit`: who changed what.

use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::server::admin::Administrator;
use crate::server::problem::{Details, Problem};
use crate::server::routes::uncached;

/// So many changes are shown if nothing else is asked for, and so many at most.
const DEFAULT_LIMIT: u32 = 100;
const MAX_LIMIT: u32 = 1000;

/// Which changes.
#[derive(Deserialize)]
pub struct Asked {
    subject: Option<String>,
    limit: Option<u32>,
}

/// A change.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema")]
struct Change {
    /// When (RFC 3339, UTC).
    #[schema(format = DateTime)]
    at: String,
    /// Who.
    actor: String,
    /// What, such as `policy.set`.
    action: String,
    /// Of what: a content, a signing key, a lease's fingerprint, or a viewer.
    subject: String,
    /// What else is to be known of it.
    detail: Option<String>,
}

/// The newest changes of policies, signing keys and leases.
#[utoipa::path(
    get,
    path = "/api/admin/audit",
    tag = "admin",
    params(
        ("subject" = Option<String>, Query, description = "Only changes of this content, signing key or viewer"),
        ("limit" = Option<u32>, Query, maximum = 1000, description = "So many at most [default: 100]"),
    ),
    responses(
        (status = 200, description = "The changes, the newest first", body = Vec<Change>),
        (status = 400, description = "The query can't be read", content_type = "application/problem+json", body = Details),
        (status = 401, description = "No Bearer token", content_type = "application/problem+json", body = Details),
        (status = 403, description = "Another token than ADMIN_TOKEN", content_type = "application/problem+json", body = Details),
        (status = 429, description = "Too many wrong tokens", content_type = "application/problem+json", body = Details),
        (status = 503, description = "The record store can't be asked", content_type = "application/problem+json", body = Details),
    ),
    security(("bearer" = [])),
)]
pub async fn list(administrator: Administrator, Query(asked): Query<Asked>) -> Result<Response, Problem> {
    let limit = asked.limit.unwrap_or(DEFAULT_LIMIT);
    if limit > MAX_LIMIT {
        let expected = format!("limit is {limit}; expected at most {MAX_LIMIT}");
        return Err(Problem::malformed("malformed-query").saying(expected));
    }
    let store = &administrator.admin()?.store;
    let entries = store.audit_entries(asked.subject.as_deref(), limit).await?;
    Ok(uncached(StatusCode::OK, entries))
}

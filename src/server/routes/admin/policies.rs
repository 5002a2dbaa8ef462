//! `/api/admin/policies`: who may have the keys of a content.

use std::collections::HashMap;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use utoipa::ToSchema;

use super::refused;
use crate::access::administration::ShownPolicy;
use crate::server::admin::Administrator;
use crate::server::grant::parse;
use crate::server::problem::{Details, Problem};
use crate::server::routes::{schema, uncached};

/// A policy, as it is set and shown.
#[derive(ToSchema)]
#[schema(as = Policy)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
#[expect(dead_code, reason = "a schema")]
enum PolicySchema {
    /// Everybody.
    Public {},
    /// Whoever brings a token that the server is configured to accept.
    Token {},
    /// Whoever brings a JWT (ES256) of a signing key.
    Jwt {
        /// The keys that may sign; where there is none, every active one.
        #[schema(required = false, max_items = 64)]
        allowed_kids: Vec<String>,
        /// What `aud` must hold.
        audience: Option<String>,
        /// Claims that must be there with exactly these values.
        #[schema(required = false)]
        required_claims: HashMap<String, serde_json::Value>,
        /// Whether `hash` or `content_id` must name the content.
        #[schema(required = false, default = true)]
        content_binding: bool,
    },
    /// Whom a web service lets in.
    Webhook {
        /// Where it is, `https://...`.
        url: String,
        /// How long it may take, in milliseconds.
        #[schema(required = false, minimum = 1, maximum = 10000, default = 5000)]
        timeout_ms: u64,
        /// What questions are signed with. One that is left out is kept; shown as `[redacted]`.
        #[schema(required = false)]
        secret: String,
    },
}

/// A content's policy. One that can't be read denies everybody.
#[derive(ToSchema)]
#[schema(as = ContentPolicy)]
#[expect(dead_code, reason = "a schema")]
struct ShownSchema {
    #[schema(value_type = schema::ContentId)]
    content_id: String,
    /// The policy, where it can be read.
    #[schema(required = false)]
    policy: PolicySchema,
    /// Why everybody is denied, where it can't be read.
    #[schema(required = false)]
    unreadable: String,
    /// When it was set (RFC 3339, UTC).
    #[schema(format = DateTime)]
    updated_at: String,
}

/// All policies.
#[utoipa::path(
    get,
    path = "/api/admin/policies",
    tag = "admin",
    responses(
        (status = 200, description = "The policies, ordered by content, without secrets", body = Vec<ShownSchema>),
        (status = 401, description = "No Bearer token", content_type = "application/problem+json", body = Details),
        (status = 403, description = "Another token than ADMIN_TOKEN", content_type = "application/problem+json", body = Details),
        (status = 429, description = "Too many wrong tokens", content_type = "application/problem+json", body = Details),
        (status = 503, description = "The record store can't be asked", content_type = "application/problem+json", body = Details),
    ),
    security(("bearer" = [])),
)]
pub async fn list(administrator: Administrator) -> Result<Response, Problem> {
    let policies = administrator.admin()?.store.policies().await?;
    let shown: Vec<_> = policies.into_iter().map(ShownPolicy::of).collect();
    Ok(uncached(StatusCode::OK, shown))
}

/// The policy of a content.
#[utoipa::path(
    get,
    path = "/api/admin/policies/{content_id}",
    tag = "admin",
    params(("content_id" = inline(schema::ContentId), Path, description = "The content")),
    responses(
        (status = 200, description = "The policy, without secrets", body = ShownSchema),
        (status = 400, description = "The content ID is malformed", content_type = "application/problem+json", body = Details),
        (status = 401, description = "No Bearer token", content_type = "application/problem+json", body = Details),
        (status = 403, description = "Another token than ADMIN_TOKEN", content_type = "application/problem+json", body = Details),
        (status = 404, description = "The content has no policy of its own: it asks for a token", content_type = "application/problem+json", body = Details),
        (status = 429, description = "Too many wrong tokens", content_type = "application/problem+json", body = Details),
        (status = 503, description = "The record store can't be asked", content_type = "application/problem+json", body = Details),
    ),
    security(("bearer" = [])),
)]
pub async fn get(administrator: Administrator, Path(id): Path<String>) -> Result<Response, Problem> {
    let id = parse(&id)?;
    let policy = administrator.admin()?.store.policy(&id).await?;
    let shown = policy.map(ShownPolicy::of).ok_or(Problem::not_found("no-policy"))?;
    Ok(uncached(StatusCode::OK, shown))
}

/// Gives a content a policy, in place of the one that it may have. A webhook's secret that is left out is kept.
#[utoipa::path(
    put,
    path = "/api/admin/policies/{content_id}",
    tag = "admin",
    params(("content_id" = inline(schema::ContentId), Path, description = "The content")),
    request_body(content = PolicySchema, description = "The policy, such as {\"type\":\"public\"}"),
    responses(
        (status = 200, description = "The policy, without secrets", body = PolicySchema),
        (status = 400, description = "The content ID is malformed, or the policy none that can be set", content_type = "application/problem+json", body = Details),
        (status = 401, description = "No Bearer token", content_type = "application/problem+json", body = Details),
        (status = 403, description = "Another token than ADMIN_TOKEN", content_type = "application/problem+json", body = Details),
        (status = 413, description = "The policy is too large", content_type = "application/problem+json", body = Details),
        (status = 429, description = "Too many wrong tokens", content_type = "application/problem+json", body = Details),
        (status = 503, description = "The record store can't be asked", content_type = "application/problem+json", body = Details),
    ),
    security(("bearer" = [])),
)]
pub async fn put(administrator: Administrator, Path(id): Path<String>, policy: String) -> Result<Response, Problem> {
    let id = parse(&id)?;
    let ring = &administrator.admin()?.ring;
    let set = administrator.administration()?.set_policy(ring, &id, &policy).await;
    Ok(uncached(StatusCode::OK, set.map_err(|error| refused(&error))?))
}

/// Takes a content's policy away: it asks for a token again.
#[utoipa::path(
    delete,
    path = "/api/admin/policies/{content_id}",
    tag = "admin",
    params(("content_id" = inline(schema::ContentId), Path, description = "The content")),
    responses(
        (status = 204, description = "It has none any more"),
        (status = 400, description = "The content ID is malformed", content_type = "application/problem+json", body = Details),
        (status = 401, description = "No Bearer token", content_type = "application/problem+json", body = Details),
        (status = 403, description = "Another token than ADMIN_TOKEN", content_type = "application/problem+json", body = Details),
        (status = 404, description = "It had none", content_type = "application/problem+json", body = Details),
        (status = 429, description = "Too many wrong tokens", content_type = "application/problem+json", body = Details),
        (status = 503, description = "The record store can't be asked", content_type = "application/problem+json", body = Details),
    ),
    security(("bearer" = [])),
)]
pub async fn delete(administrator: Administrator, Path(id): Path<String>) -> Result<Response, Problem> {
    let id = parse(&id)?;
    if administrator.administration()?.clear_policy(&id).await? {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(Problem::not_found("no-policy"))
    }
}

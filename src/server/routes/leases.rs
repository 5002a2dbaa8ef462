//! `/keys/leases`: viewers get and renew leases, and administrators revoke them.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

use super::{body_limit, schema, uncached};
use crate::access::leases::Given;
use crate::access::{Wanted, json_object, whole_or_null};
use crate::server::App;
use crate::server::admin::Administrator;
use crate::server::grant::{authorize, limit_address, parse, require_token};
use crate::server::leasing::Leasing;
use crate::server::observe::Told;
use crate::server::problem::{Details, Problem};

/// The routes of viewers.
pub fn of_viewers() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(create).layer(body_limit()))
        .routes(routes!(renew).layer(body_limit()))
}

/// The route of administrators.
pub fn of_administrators() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(revoke).layer(body_limit()))
}

/// What a lease is wanted for.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NewLease {
    /// The content.
    #[schema(value_type = schema::ContentId)]
    content_id: String,
    /// How long it should be, in milliseconds: a second at least, and `LEASE_TTL_MS` at most, which it is by itself.
    #[serde(default, deserialize_with = "whole_or_null")]
    requested_ttl_ms: Option<u64>,
}

/// Which lease goes on.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Renewal {
    /// Its ID.
    lease_id: String,
    /// How long it should be from now on, as for a new one.
    #[serde(default, deserialize_with = "whole_or_null")]
    requested_ttl_ms: Option<u64>,
}

/// A lease. Its ID goes into `X-Lease-Id` of every key request.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct GivenLease {
    /// Its ID, which stands for having it.
    lease_id: String,
    /// Its end (RFC 3339, UTC).
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// How long it is from now on, in milliseconds.
    ttl_ms: u64,
}

/// Which leases end: one, or all of a viewer.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Revoked {
    One(OneLease),
    All(AllOfViewer),
}

/// One lease.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OneLease {
    /// Its ID.
    lease_id: String,
}

/// All leases of a viewer.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AllOfViewer {
    /// The `sub` of their tokens.
    viewer_id: String,
}

/// What became of it.
#[derive(Serialize, ToSchema)]
pub struct Revocation {
    /// How many leases ended.
    revoked: u64,
}

/// Gives a viewer a lease of a content, if their token opens it.
#[utoipa::path(
    post,
    path = "/keys/leases",
    tag = "leases",
    request_body = NewLease,
    responses(
        (status = 201, description = "The lease", body = GivenLease),
        (status = 400, description = "The request is malformed", content_type = "application/problem+json", body = Details),
        (status = 401, description = "No Bearer token", content_type = "application/problem+json", body = Details),
        (status = 403, description = "The token does not open this content, or names no viewer", content_type = "application/problem+json", body = Details),
        (status = 404, description = "Keys of this content need no lease", content_type = "application/problem+json", body = Details),
        (status = 409, description = "The viewer has as many leases as there may be", content_type = "application/problem+json", body = Details),
        (status = 413, description = "The request is too large", content_type = "application/problem+json", body = Details),
        (status = 429, description = "Too many requests; Retry-After says when", content_type = "application/problem+json", body = Details),
        (status = 503, description = "The record store can't be asked", content_type = "application/problem+json", body = Details),
    ),
    security(("bearer" = [])),
)]
pub async fn create(State(app): State<Arc<App>>, request: Parts, body: Bytes) -> Response {
    let mut told = Told::default();
    let lease = async {
        let Leasing { leases, limit } = leasing(&app)?;
        let new: NewLease = read(&body)?;
        let content_id = parse(&new.content_id)?;
        told.content_id = Some(content_id.clone());
        limit_address(&app, limit, &request).await?;
        require_token(&app, &request)?;
        let viewer = authorize(&app, limit, &request, &content_id, Wanted::Lease, &mut told).await?;
        let (viewer, asked) = (
            viewer.subject.as_deref(),
            new.requested_ttl_ms.map(Duration::from_millis),
        );
        let given = leases.create(viewer, &content_id, asked, Timestamp::now());
        Ok::<_, Problem>(given.await?)
    };
    let lease = lease.await;
    told.to(answer(StatusCode::CREATED, lease.map(GivenLease::from)))
}

/// Renews a lease, if the viewer's token still opens its content.
#[utoipa::path(
    post,
    path = "/keys/leases/renew",
    tag = "leases",
    request_body = Renewal,
    responses(
        (status = 200, description = "The lease, with its new end", body = GivenLease),
        (status = 400, description = "The request is malformed", content_type = "application/problem+json", body = Details),
        (status = 401, description = "No Bearer token", content_type = "application/problem+json", body = Details),
        (status = 403, description = "The viewer has no such lease, or the token does not open its content", content_type = "application/problem+json", body = Details),
        (status = 404, description = "Keys of its content need no lease any more", content_type = "application/problem+json", body = Details),
        (status = 413, description = "The request is too large", content_type = "application/problem+json", body = Details),
        (status = 429, description = "Too many requests; Retry-After says when", content_type = "application/problem+json", body = Details),
        (status = 503, description = "The record store can't be asked", content_type = "application/problem+json", body = Details),
    ),
    security(("bearer" = [])),
)]
pub async fn renew(State(app): State<Arc<App>>, request: Parts, body: Bytes) -> Response {
    let mut told = Told::default();
    let lease = async {
        let Leasing { leases, limit } = leasing(&app)?;
        let renewal: Renewal = read(&body)?;
        limit_address(&app, limit, &request).await?;
        require_token(&app, &request)?;
        let id = &renewal.lease_id;
        let content_id = leases.content_of(id).await?;
        told.content_id = Some(content_id.clone());
        let viewer = authorize(&app, limit, &request, &content_id, Wanted::Lease, &mut told).await?;
        let (viewer, asked) = (
            viewer.subject.as_deref(),
            renewal.requested_ttl_ms.map(Duration::from_millis),
        );
        let given = leases.renew(id, viewer, &content_id, asked, Timestamp::now());
        Ok::<_, Problem>(given.await?)
    };
    let lease = lease.await;
    told.to(answer(StatusCode::OK, lease.map(GivenLease::from)))
}

/// Revokes leases: they open nothing from the next request on. For administrators.
#[utoipa::path(
    post,
    path = "/keys/leases/revoke",
    tag = "leases",
    request_body = Revoked,
    responses(
        (status = 200, description = "How many ended", body = Revocation),
        (status = 400, description = "The request is malformed", content_type = "application/problem+json", body = Details),
        (status = 401, description = "No Bearer token", content_type = "application/problem+json", body = Details),
        (status = 403, description = "Another token than ADMIN_TOKEN", content_type = "application/problem+json", body = Details),
        (status = 413, description = "The request is too large", content_type = "application/problem+json", body = Details),
        (status = 429, description = "Too many wrong tokens", content_type = "application/problem+json", body = Details),
        (status = 503, description = "The record store can't be asked", content_type = "application/problem+json", body = Details),
    ),
    security(("bearer" = [])),
)]
pub async fn revoke(administrator: Administrator, body: Bytes) -> Response {
    let revoked = async {
        let administration = administrator.administration()?;
        let revoked = match read(&body)? {
            Revoked::One(OneLease { lease_id }) => administration.revoke_lease(&lease_id).await.map(u64::from),
            Revoked::All(AllOfViewer { viewer_id }) => administration.revoke_leases_of(&viewer_id).await,
        };
        Ok::<_, Problem>(Revocation { revoked: revoked? })
    };
    answer(StatusCode::OK, revoked.await)
}

/// The routes are there only together with leases.
fn leasing(app: &App) -> Result<&Leasing, Problem> {
    app.leasing.as_ref().ok_or(Problem::not_found("no-route"))
}

/// The media type is not looked at, as for licences.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    json_object(body).map_err(|_| Problem::malformed("malformed-lease-request"))
}

fn answer(status: StatusCode, body: Result<impl Serialize, Problem>) -> Response {
    match body {
        Ok(body) => uncached(status, body),
        Err(problem) => problem.into_response(),
    }
}

impl From<Given> for GivenLease {
    fn from(given: Given) -> Self {
        Self {
            lease_id: given.id,
            expires_at: given.expires_at,
            ttl_ms: u64::try_from(given.ttl.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

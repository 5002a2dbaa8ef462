//! `POST /api/admin/access/test`: what a request for a key would be answered.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::access::dry_run::Trial;
use crate::access::json_object;
use crate::content_key::Kid;
use crate::keys::KeyName;
use crate::keys::lookup::Which;
use crate::server::App;
use crate::server::admin::Administrator;
use crate::server::grant::parse;
use crate::server::problem::{Details, Problem};
use crate::server::routes::{schema, uncached};

/// A request for a key, as it could come. It names none, the key of a name, or the one of an ID.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tried {
    /// The content.
    #[schema(value_type = schema::ContentId)]
    content_id: String,
    /// The viewer's token.
    token: Option<String>,
    /// The viewer's lease, which is needed where the server gives leases.
    lease_id: Option<String>,
    /// The key, where it is asked for by its ID.
    #[schema(value_type = Option<schema::Kid>)]
    kid: Option<Kid>,
    /// The key, where it is asked for by its name.
    #[schema(value_type = Option<schema::KeyName>)]
    key_name: Option<KeyName>,
    /// The viewer's address, which a webhook is told.
    #[schema(value_type = Option<String>)]
    viewer_ip: Option<IpAddr>,
    /// Whether the webhook is asked too, where the policy is one.
    #[serde(default)]
    fire_webhook: bool,
}

/// What would be answered.
#[derive(ToSchema)]
#[schema(as = DryRun, rename_all = "camelCase")]
#[expect(dead_code, reason = "a schema")]
struct DryRunSchema {
    /// Whether the key would be handed out, if there is one.
    allowed: bool,
    /// The type of the content's policy, where it could be read.
    policy_type: Option<String>,
    /// Why not.
    reason: Option<String>,
    /// More of the reason.
    detail: Option<String>,
    /// Whom a good token speaks for.
    subject: Option<String>,
    /// The signing key that the token names.
    kid: Option<String>,
    /// All that the token says.
    claims: Option<HashMap<String, serde_json::Value>>,
    /// Whether `kid` and `claims` are verified.
    claims_verified: bool,
    /// What the webhook answered, where it was asked.
    #[schema(inline)]
    webhook: Option<AskedWebhookSchema>,
}

/// What a webhook answered.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "a schema")]
struct AskedWebhookSchema {
    /// Its status, if an answer came.
    status: Option<u16>,
    /// How long it took, in milliseconds.
    latency_ms: u64,
}

/// Says what a request for a key would be answered, and why; no key is in the answer.
#[utoipa::path(
    post,
    path = "/api/admin/access/test",
    tag = "admin",
    request_body = Tried,
    responses(
        (status = 200, description = "What would be answered", body = DryRunSchema),
        (status = 400, description = "The request can't be read", content_type = "application/problem+json", body = Details),
        (status = 401, description = "No Bearer token", content_type = "application/problem+json", body = Details),
        (status = 403, description = "Another token than ADMIN_TOKEN", content_type = "application/problem+json", body = Details),
        (status = 413, description = "The request is too large", content_type = "application/problem+json", body = Details),
        (status = 429, description = "Too many wrong tokens", content_type = "application/problem+json", body = Details),
        (status = 500, description = "The key is there, and can't be opened", content_type = "application/problem+json", body = Details),
        (status = 503, description = "The record store can't be asked", content_type = "application/problem+json", body = Details),
    ),
    security(("bearer" = [])),
)]
pub async fn test(administrator: Administrator, body: String) -> Result<Response, Problem> {
    let tried: Tried = json_object(body.as_bytes()).map_err(|error| {
        // Without the text, which holds a token.
        let (line, column) = (error.line(), error.column());
        Problem::malformed("malformed-access-test").saying(format!("line {line}, column {column} of the body"))
    })?;
    let trial = Trial {
        content_id: &parse(&tried.content_id)?,
        which: match (tried.kid, tried.key_name) {
            (None, None) => Which::Primary,
            (Some(kid), None) => Which::Kid(kid),
            (None, Some(name)) => Which::Named(name),
            (Some(_), Some(_)) => return Err(Problem::malformed("access-test-of-two-keys")),
        },
        token: tried.token.as_deref(),
        lease_id: tried.lease_id.as_deref(),
        viewer_ip: tried.viewer_ip.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        asks_webhooks: tried.fire_webhook,
    };
    let App { access, keys, .. } = administrator.app();
    let answer = trial.run(access, keys).await?;
    Ok(uncached(StatusCode::OK, answer))
}

//! `/api/admin/signing-keys`: the keys that JWTs of the policy `jwt` are signed with.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::refused;
use crate::access::json_object;
use crate::keys::store::Revocation;
use crate::server::admin::Administrator;
use crate::server::problem::{Details, Problem};
use crate::server::routes::uncached;

/// What a signing key is made of.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// What you call it; no two active keys have one name.
    #[schema(max_length = 128, pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$")]
    name: String,
}

/// A signing key, as it is kept.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema")]
struct ShownKey {
    /// Its ID, the `kid` of JWTs' headers.
    kid: String,
    /// What you call it.
    name: String,
    /// What verifies: SPKI in PEM.
    public_key_pem: String,
    /// When it was created (RFC 3339, UTC).
    #[schema(format = DateTime)]
    created_at: String,
    /// When it was revoked, if it was.
    #[schema(format = DateTime)]
    revoked_at: Option<String>,
    /// When it last verified a JWT, to a minute or so.
    #[schema(format = DateTime)]
    last_used_at: Option<String>,
}

/// A signing key that is revoked.
#[derive(Serialize, ToSchema)]
struct RevokedKey {
    /// Its ID.
    kid: String,
    /// Whether it counted until now.
    was_active: bool,
}

/// A signing key that was made. There is no second time that the private half is given out.
#[derive(Serialize, ToSchema)]
pub struct CreatedKey<'a> {
    /// Its ID, the `kid` of JWTs' headers.
    kid: &'a str,
    /// What signs: PKCS#8 in PEM.
    private_key_pem: &'a str,
    /// What verifies: SPKI in PEM.
    public_key_pem: &'a str,
}

/// All signing keys, revoked ones too.
#[utoipa::path(
    get,
    path = "/api/admin/signing-keys",
    tag = "admin",
    responses(
        (status = 200, description = "The keys, ordered by time of creation", body = Vec<ShownKey>),
        (status = 401, description = "No Bearer token", content_type = "application/problem+json", body = Details),
        (status = 403, description = "Another token than ADMIN_TOKEN", content_type = "application/problem+json", body = Details),
        (status = 429, description = "Too many wrong tokens", content_type = "application/problem+json", body = Details),
        (status = 503, description = "The record store can't be asked", content_type = "application/problem+json", body = Details),
    ),
    security(("bearer" = [])),
)]
pub async fn list(administrator: Administrator) -> Result<Response, Problem> {
    Ok(uncached(
        StatusCode::OK,
        administrator.admin()?.store.signing_keys().await?,
    ))
}

/// Creates a signing key. Its private half is in this answer, and nowhere else.
#[utoipa::path(
    post,
    path = "/api/admin/signing-keys",
    tag = "admin",
    request_body = NewKey,
    responses(
        (status = 201, description = "The key", body = CreatedKey<'static>),
        (status = 400, description = "The name can't be used", content_type = "application/problem+json", body = Details),
        (status = 401, description = "No Bearer token", content_type = "application/problem+json", body = Details),
        (status = 403, description = "Another token than ADMIN_TOKEN", content_type = "application/problem+json", body = Details),
        (status = 409, description = "An active key has that name, or 10 are active", content_type = "application/problem+json", body = Details),
        (status = 413, description = "The request is too large", content_type = "application/problem+json", body = Details),
        (status = 429, description = "Too many wrong tokens", content_type = "application/problem+json", body = Details),
        (status = 503, description = "The record store can't be asked", content_type = "application/problem+json", body = Details),
    ),
    security(("bearer" = [])),
)]
pub async fn create(administrator: Administrator, body: String) -> Result<Response, Problem> {
    let new: NewKey = json_object(body.as_bytes())
        .map_err(|_| Problem::malformed("malformed-signing-key").saying("expected {\"name\": \"...\"}".to_owned()))?;
    let created = administrator.administration()?.create_signing_key(&new.name).await;
    let key = created.map_err(|error| refused(&error))?;
    let created = CreatedKey {
        kid: &key.kid,
        private_key_pem: key.private_key_pem.expose(),
        public_key_pem: &key.public_key_pem,
    };
    Ok(uncached(StatusCode::CREATED, created))
}

/// A signing key.
#[utoipa::path(
    get,
    path = "/api/admin/signing-keys/{kid}",
    tag = "admin",
    params(("kid" = String, Path, description = "The key's ID")),
    responses(
        (status = 200, description = "The key's public half, and when it was made, used and revoked", body = ShownKey),
        (status = 401, description = "No Bearer token", content_type = "application/problem+json", body = Details),
        (status = 403, description = "Another token than ADMIN_TOKEN", content_type = "application/problem+json", body = Details),
        (status = 404, description = "There is no such key", content_type = "application/problem+json", body = Details),
        (status = 429, description = "Too many wrong tokens", content_type = "application/problem+json", body = Details),
        (status = 503, description = "The record store can't be asked", content_type = "application/problem+json", body = Details),
    ),
    security(("bearer" = [])),
)]
pub async fn get(administrator: Administrator, Path(kid): Path<String>) -> Result<Response, Problem> {
    let key = administrator.admin()?.store.signing_key(&kid).await?;
    Ok(uncached(
        StatusCode::OK,
        key.ok_or(Problem::not_found("no-signing-key"))?,
    ))
}

/// Revokes a signing key for ever: what it signed opens nothing from the next request on.
#[utoipa::path(
    post,
    path = "/api/admin/signing-keys/{kid}/revoke",
    tag = "admin",
    params(("kid" = String, Path, description = "The key's ID")),
    responses(
        (status = 200, description = "It is revoked, or was before", body = RevokedKey),
        (status = 401, description = "No Bearer token", content_type = "application/problem+json", body = Details),
        (status = 403, description = "Another token than ADMIN_TOKEN", content_type = "application/problem+json", body = Details),
        (status = 404, description = "There is no such key", content_type = "application/problem+json", body = Details),
        (status = 429, description = "Too many wrong tokens", content_type = "application/problem+json", body = Details),
        (status = 503, description = "The record store can't be asked", content_type = "application/problem+json", body = Details),
    ),
    security(("bearer" = [])),
)]
pub async fn revoke(administrator: Administrator, Path(kid): Path<String>) -> Result<Response, Problem> {
    let was_active = match administrator.administration()?.revoke_signing_key(&kid).await? {
        Revocation::Revoked => true,
        Revocation::WasRevoked => false,
        Revocation::Unknown => return Err(Problem::not_found("no-signing-key")),
    };
    Ok(uncached(StatusCode::OK, RevokedKey { kid, was_active }))
}

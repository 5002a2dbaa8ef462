//! `/api/admin`: what administrators do while the server runs, as `vylux-pack policy`, `signing-key` and `access` do beside it.

mod access;
mod audit;
mod policies;
mod signing_keys;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

use crate::access::administration::AdministrationError;
use crate::access::policy::MAX_POLICY_BYTES;
use crate::server::App;
use crate::server::causes::chain;
use crate::server::problem::Problem;

/// The routes; each lets administrators in and nobody else.
pub fn all() -> OpenApiRouter<Arc<App>> {
    let limit = || DefaultBodyLimit::max(MAX_POLICY_BYTES);
    OpenApiRouter::new()
        .routes(routes!(policies::list))
        .routes(routes!(policies::get, policies::put, policies::delete).layer(limit()))
        .routes(routes!(signing_keys::list, signing_keys::create).layer(limit()))
        .routes(routes!(signing_keys::get))
        .routes(routes!(signing_keys::revoke))
        .routes(routes!(access::test).layer(limit()))
        .routes(routes!(audit::list))
}

/// Administrators are told what is wrong with what they sent.
fn refused(error: &AdministrationError) -> Problem {
    match error {
        error if error.is_conflict() => Problem::conflict("conflict").saying(chain(error)),
        error if error.is_of_request() => Problem::malformed("malformed-change").saying(chain(error)),
        AdministrationError::Store(error) => error.into(),
        error => Problem::internal("change", chain(error)),
    }
}

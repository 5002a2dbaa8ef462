//! The routes, one file each.

mod clearkey;
mod health;
mod key;
mod metrics;
mod openapi;
mod schema;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::config::Config;

pub use openapi::with_openapi;

/// Every route, with its description.
pub fn all(config: &Config) -> OpenApiRouter<Arc<App>> {
    let mut router = OpenApiRouter::with_openapi(openapi::head())
        .routes(routes!(key::primary))
        .routes(routes!(key::by_kid))
        .routes(routes!(key::primary_as_blindcast))
        .routes(routes!(key::epoch))
        .routes(routes!(clearkey::licence))
        .routes(routes!(health::health))
        .routes(routes!(health::ready));
    if config.metrics_address.is_none() {
        router = router.merge(metrics_alone());
    }
    router
}

/// `/metrics`, which may have a listener of its own.
pub fn metrics_alone() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(metrics::metrics))
}

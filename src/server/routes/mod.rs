//! The routes, one file each.

mod clearkey;
mod health;
mod key;
mod media;
mod metrics;
mod openapi;
mod player;
mod schema;

use std::sync::Arc;

use axum::Router;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::config::Config;

pub use openapi::with_openapi;

/// Adds the routes that `--media` brings. They are files and a page, no interface to write against, so the `OpenAPI`
/// document does not describe them.
pub fn with_media(router: Router<Arc<App>>, config: &Config) -> Router<Arc<App>> {
    let Some(folder) = &config.media else { return router };
    let router = media::add(router, folder.clone());
    player::add(router, folder.root.clone(), config.dev_secret.is_some())
}

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

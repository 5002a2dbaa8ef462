//! The routes, one file each.

mod admin;
mod clearkey;
mod health;
mod key;
mod leases;
mod media;
mod metrics;
mod openapi;
mod player;
mod schema;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;
use axum::{Json, Router};
use serde::Serialize;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

use super::App;
use super::config::Config;

/// No request has a larger body: a licence request names a few key IDs.
const MAX_BODY_BYTES: usize = 64 << 10;

/// For every route that reads a body.
fn body_limit() -> DefaultBodyLimit {
    DefaultBodyLimit::max(MAX_BODY_BYTES)
}

/// An answer that no cache keeps.
fn uncached(status: StatusCode, body: impl Serialize) -> Response {
    let no_store = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    (status, [no_store], Json(body)).into_response()
}

/// Routes, and the patterns that they are known by, which a router does not tell.
pub struct Routes {
    /// What answers.
    pub router: Router<Arc<App>>,
    /// Such as `/api/key/{content_id}`.
    pub patterns: Vec<String>,
}

impl Routes {
    /// Every route.
    pub fn all(config: &Config) -> Self {
        let mut router = OpenApiRouter::with_openapi(openapi::head())
            .routes(routes!(key::primary))
            .routes(routes!(key::by_kid))
            .routes(routes!(key::primary_as_blindcast))
            .routes(routes!(key::epoch))
            .routes(routes!(clearkey::licence).layer(body_limit()))
            .routes(routes!(health::health))
            .routes(routes!(health::ready));
        if config.metrics_address.is_none() {
            router = router.merge(metrics_alone());
        }
        if config.leases.is_some() {
            router = router.merge(leases::of_viewers());
        }
        if config.has_admin && config.admin_address.is_none() {
            router = router.merge(of_administrators(config));
        }
        let mut routes = Self::documented(router);
        // Files and a page are no interface to write against, so the OpenAPI document does not describe them.
        if let Some(folder) = &config.media {
            media::add(&mut routes, folder.clone());
            player::add(&mut routes, folder.root.clone(), config.dev_secret.is_some());
        }
        routes
    }

    /// `/metrics` alone, for a listener of its own.
    #[must_use]
    pub fn metrics() -> Self {
        Self::undocumented(metrics_alone())
    }

    /// What administrators do alone, for a listener of its own.
    #[must_use]
    pub fn admin(config: &Config) -> Self {
        Self::documented(OpenApiRouter::with_openapi(openapi::head()).merge(of_administrators(config)))
    }

    fn undocumented(router: OpenApiRouter<Arc<App>>) -> Self {
        let (router, document) = router.split_for_parts();
        Self {
            router,
            patterns: document.paths.paths.into_keys().collect(),
        }
    }

    /// Routes and the document that describes them.
    fn documented(router: OpenApiRouter<Arc<App>>) -> Self {
        let (router, document) = router.split_for_parts();
        let patterns = document.paths.paths.keys().cloned().collect();
        let mut routes = Self { router, patterns };
        openapi::add(&mut routes, document);
        routes
    }

    fn add(&mut self, pattern: &str, methods: MethodRouter<Arc<App>>) {
        let router = std::mem::take(&mut self.router);
        self.router = router.route(pattern, methods);
        self.patterns.push(pattern.to_owned());
    }
}

fn of_administrators(config: &Config) -> OpenApiRouter<Arc<App>> {
    let router = admin::all();
    if config.leases.is_some() {
        router.merge(leases::of_administrators())
    } else {
        router
    }
}

fn metrics_alone() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(metrics::metrics))
}

//! The key server: routes over [`crate::access`] and [`crate::keys::lookup`].
//!
//! ```text
//! connection (limits of time and size, TLS) -> observe (ID, log, metrics) -> CORS -> route -> answer
//! key route: content ID -> rate limit -> Authenticated -> Granted -> ContentKey
//! ```
//!
//! A route is a file in `routes`, and a line in [`routes::all`].

mod assets;
pub mod causes;
pub mod client_address;
pub mod config;
mod cors;
mod grant;
mod jwks_http;
pub mod listen;
pub mod logs;
pub mod metrics;
mod observe;
mod problem;
pub mod rate_limit;
pub mod routes;
pub mod settings;

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;

use crate::access::Access;
use crate::keys::lookup::Lookup;
use config::Config;
use metrics::Metrics;
use rate_limit::RateLimits;

/// No request has a larger body: a licence request names a few key IDs.
const MAX_BODY_BYTES: usize = 64 << 10;

/// What every route works with.
pub struct App {
    /// Finds keys.
    pub keys: Lookup,
    /// Says who may have them.
    pub access: Access,
    /// Says how often.
    pub rate_limits: RateLimits,
    /// Counts what happens.
    pub metrics: Metrics,
    /// The rest of the configuration.
    pub config: Config,
}

/// The whole service.
pub fn router(app: Arc<App>) -> Router {
    let timeout = app.config.request_timeout;
    let (router, openapi) = routes::all(&app.config).split_for_parts();
    let router = routes::with_openapi(router, openapi);
    // One layer of all: each that a router is given costs every request a box and a copy of the routes' service.
    let layers = ServiceBuilder::new()
        .layer(cors::layer(&app.config))
        .layer(from_fn_with_state(Arc::clone(&app), observe::observe))
        .layer(CatchPanicLayer::new())
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, timeout))
        .layer(RequestBodyLimitLayer::new(MAX_BODY_BYTES));
    routes::with_media(router, &app.config).layer(layers).with_state(app)
}

/// The metrics alone, for a listener of their own.
pub fn metrics_router(app: Arc<App>) -> Router {
    let (router, _) = routes::metrics_alone().split_for_parts();
    router.with_state(app)
}

//! The key server: routes over [`crate::access`] and [`crate::keys::lookup`].
//!
//! ```text
//! worker -> connection (TLS, limits of time and size) -> observe (ID, log, metrics) -> route -> answer -> who may read it
//! key route: content ID -> rate limit -> Authenticated -> Granted -> ContentKey
//! ```
//!
//! A route is a file in `routes`, and a line in [`routes::Routes::all`].

mod address_ranges;
pub mod admin;
mod assets;
pub mod causes;
pub mod client_address;
pub mod config;
mod connection;
mod cors;
mod grant;
mod housekeeping;
mod jwks_http;
pub mod leasing;
pub mod listen;
pub mod logs;
pub mod metrics;
mod observe;
mod outbound;
mod problem;
pub mod rate_limit;
pub mod routes;
pub mod settings;
pub mod webhook_http;
mod workers;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::{Method, header};
use axum::response::Response;
use hyper::body::Incoming;

use crate::access::Access;
use crate::keys::lookup::Lookup;
use admin::Admin;
use config::Config;
use leasing::Leasing;
use metrics::Metrics;
use observe::{RouteNames, observe};
use rate_limit::RateLimit;
use routes::Routes;

/// What every route works with.
pub struct App {
    /// Finds keys.
    pub keys: Lookup,
    /// Says who may have them.
    pub access: Access,
    /// Lets administrators in, where there are some.
    pub admin: Option<Admin>,
    /// Says how often.
    pub key_limit: RateLimit,
    /// Gives viewers leases, where keys need them.
    pub leasing: Option<Leasing>,
    /// Counts what happens.
    pub metrics: Metrics,
    /// The rest of the configuration.
    pub config: Config,
}

/// Answers requests.
pub struct Answers {
    app: Arc<App>,
    names: RouteNames,
    router: Router,
}

impl Answers {
    /// By all the routes.
    #[must_use]
    pub fn all(app: &Arc<App>) -> Self {
        Self::by(Routes::all(&app.config), app)
    }

    /// By `/metrics` alone, for a listener of its own.
    #[must_use]
    pub fn metrics(app: &Arc<App>) -> Self {
        Self::by(Routes::metrics(), app)
    }

    /// By `/api/admin` alone, for a listener of its own.
    #[must_use]
    pub fn admin(app: &Arc<App>) -> Self {
        Self::by(Routes::admin(&app.config), app)
    }

    fn by(routes: Routes, app: &Arc<App>) -> Self {
        Self {
            names: RouteNames::new(&routes, &app.metrics),
            router: routes.router.with_state(Arc::clone(app)),
            app: Arc::clone(app),
        }
    }

    /// The answer to `request`, which `peer` sent.
    ///
    /// What stands around the routes stands here and not on the router: each layer that a router is given costs every
    /// request two boxes and a copy of the routes' service.
    ///
    /// # Errors
    /// Never.
    pub async fn answer(
        self: Arc<Self>,
        mut request: Request<Incoming>,
        peer: SocketAddr,
    ) -> Result<Response, Infallible> {
        let origins = &self.app.config.origins;
        if request.method() == Method::OPTIONS {
            return Ok(origins.preflight(request.headers()));
        }
        let origin = request.headers().get(header::ORIGIN).cloned();
        request.extensions_mut().insert(ConnectInfo(peer));
        let request = request.map(Body::new);
        let mut response = observe(&self.app, &self.names, self.router.clone(), request).await;
        origins.let_read(origin.as_ref(), response.headers_mut());
        Ok(response)
    }
}

//! Around every request: an ID, one line in the log, its count and time in the metrics, and the problem's answer.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use tokio::time::timeout_at;
use tower::Service;
use tracing::{error, info, warn};
use uuid::fmt::Hyphenated;
use uuid::{NoContext, Timestamp, Uuid};

use super::App;
use super::metrics::{Metrics, Route};
use super::problem::Problem;
use super::routes::Routes;
use crate::keys::ContentId;

/// Names a request in answers and in the log.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The ID of a request, for who handles it.
#[derive(Clone, Copy)]
pub struct RequestId([u8; Hyphenated::LENGTH]);

impl RequestId {
    /// Made here and not taken from the client, who could fill the log with it.
    fn new() -> Self {
        let mut text = [0; Hyphenated::LENGTH];
        Uuid::new_v7(Timestamp::now(NoContext))
            .hyphenated()
            .encode_lower(&mut text);
        Self(text)
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // A UUID is letters, digits and hyphens.
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// What a handler tells the log of its answer.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// The content that was asked for.
    pub content_id: Option<ContentId>,
    /// Who asked, as the token says.
    pub subject: Option<String>,
}

impl Told {
    /// Adds this to an answer.
    #[must_use]
    pub fn to(self, mut response: Response) -> Response {
        response.extensions_mut().insert(self);
        response
    }
}

/// Names requests by the patterns of their routes, and not by their paths, which may hold anything.
pub struct RouteNames {
    patterns: matchit::Router<Route>,
    none: Route,
}

impl RouteNames {
    /// Names for requests that `routes` answers, and for those that it has no answer for.
    ///
    /// # Panics
    /// If patterns contradict each other, which the router of the same patterns would have done already.
    pub fn new(routes: &Routes, metrics: &Metrics) -> Self {
        let mut patterns = matchit::Router::new();
        for pattern in &routes.patterns {
            let added = patterns.insert(pattern, metrics.route(pattern));
            added.expect("the router took the same patterns");
        }
        Self {
            patterns,
            none: metrics.route("none"),
        }
    }

    fn of(&self, request: &Request) -> &Route {
        // A query may hold a token and is never looked at.
        let found = self.patterns.at(request.uri().path());
        found.map_or(&self.none, |found| found.value)
    }
}

/// Has `router` answer.
pub async fn observe(app: &App, names: &RouteNames, mut router: Router, mut request: Request) -> Response {
    let started = Instant::now();
    let request_id = RequestId::new();
    request.extensions_mut().insert(request_id);
    let request_id = request_id.as_str();
    let method = request.method().clone();
    let route = names.of(&request);

    // Has no timer while nothing is waited for.
    let answer = timeout_at((started + app.config.request_timeout).into(), router.call(request));
    // Nothing is left of a request that panicked which another one could see.
    let mut response = match AssertUnwindSafe(answer).catch_unwind().await {
        Ok(Ok(Ok(response))) => response,
        Ok(Err(_)) => Problem::unavailable("timeout", None).into_response(),
        Err(_) => Problem::internal("panic", None).into_response(),
    };
    let told = response.extensions_mut().remove::<Told>().unwrap_or_default();
    let problem = response.extensions_mut().remove::<Problem>();
    let problem = problem.or_else(|| Problem::of_status(response.status()));
    let reason = problem.as_ref().map_or("ok", |problem| problem.reason);
    if let Some(problem) = &problem {
        let answer = problem.response(request_id);
        let (answer, body) = answer.into_parts();
        *response.status_mut() = answer.status;
        response.headers_mut().remove(axum::http::header::CONTENT_LENGTH);
        response.headers_mut().extend(answer.headers);
        *response.body_mut() = body;
    }
    if let Ok(value) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }

    let status = response.status();
    let took = started.elapsed();
    app.metrics.count_request(route, status.as_u16(), reason, took);
    let content_id = told.content_id.as_ref().map(ContentId::as_str);
    let subject = told.subject.as_deref();
    let cause = problem.as_ref().and_then(|problem| problem.cause.as_deref());
    let duration_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let (status, method, route) = (status.as_u16(), method.as_str(), &*route.pattern);
    macro_rules! log {
        ($level:ident) => {
            $level!(
                request_id,
                method,
                route,
                status,
                reason,
                content_id,
                subject,
                cause,
                duration_us,
                "request"
            )
        };
    }
    match status {
        500.. => log!(error),
        400.. => log!(warn),
        _ => log!(info),
    }
    response
}

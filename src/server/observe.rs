//! Around every request: an ID, one line in the log, its count and time in the metrics, and the problem's answer.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tracing::{error, info, warn};
use uuid::Uuid;

use super::App;
use super::problem::Problem;
use crate::keys::ContentId;

/// Names a request in answers and in the log.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

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

/// The layer.
pub async fn observe(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    // Made here and not taken from the client, who could fill the log with it.
    let request_id = Uuid::now_v7().to_string();
    let method = request.method().clone();
    // The pattern and not the path, which may hold anything; a query may hold a token and is never looked at.
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map(|path| path.as_str().to_owned());
    let route = route.as_deref().unwrap_or("none");

    let mut response = next.run(request).await;
    let told = response.extensions_mut().remove::<Told>().unwrap_or_default();
    let problem = response.extensions_mut().remove::<Problem>();
    let problem = problem.or_else(|| Problem::of_status(response.status()));
    let reason = problem.as_ref().map_or("ok", |problem| problem.reason);
    if let Some(problem) = &problem {
        let answer = problem.response(&request_id);
        let (answer, body) = answer.into_parts();
        *response.status_mut() = answer.status;
        response.headers_mut().remove(axum::http::header::CONTENT_LENGTH);
        response.headers_mut().extend(answer.headers);
        *response.body_mut() = body;
    }
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }

    let status = response.status();
    let took = started.elapsed();
    app.metrics.count_request(route, status.as_u16(), reason, took);
    let content_id = told.content_id.as_ref().map(ContentId::as_str);
    let subject = told.subject.as_deref();
    let cause = problem.as_ref().and_then(|problem| problem.cause.as_deref());
    let duration_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let (status, method) = (status.as_u16(), method.as_str());
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

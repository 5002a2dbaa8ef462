//! What a client may know of what went wrong: problem details (RFC 9457), and the reason for the log alone.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::causes::chain;
use crate::access::DenyReason;
use crate::keys::store::StoreError;

/// An answer that is no success.
#[derive(Debug, Clone)]
pub struct Problem {
    kind: Kind,
    /// Kebab-case words for logs and metrics.
    pub reason: &'static str,
    /// Its cause, for the log alone.
    pub cause: Option<String>,
    /// What to do about it, for whoever may know it.
    detail: Option<String>,
    retry_after: Option<Duration>,
}

/// Problems as the client sees them: `type`, `title` and status are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    MalformedRequest,
    Unauthorized,
    Forbidden,
    AdminForbidden,
    NoLease,
    Conflict,
    NotFound,
    MethodNotAllowed,
    PreconditionFailed,
    RangeNotSatisfiable,
    TooLarge,
    UnsupportedMediaType,
    RateLimited,
    Internal,
    Unavailable,
}

impl Kind {
    const fn parts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::MalformedRequest => (StatusCode::BAD_REQUEST, "malformed-request", "The request is malformed"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized", "A Bearer token is required"),
            Self::Forbidden => (
                StatusCode::FORBIDDEN,
                "forbidden",
                "The token does not open this content",
            ),
            Self::AdminForbidden => (
                StatusCode::FORBIDDEN,
                "admin-forbidden",
                "This is for administrators alone",
            ),
            Self::NoLease => (StatusCode::FORBIDDEN, "no-lease", "A lease of this content is required"),
            Self::Conflict => (StatusCode::CONFLICT, "conflict", "It contradicts what is there"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "There is nothing of this name"),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "The resource does not have this method",
            ),
            Self::PreconditionFailed => (
                StatusCode::PRECONDITION_FAILED,
                "precondition-failed",
                "The resource is not what the request expects",
            ),
            Self::RangeNotSatisfiable => (
                StatusCode::RANGE_NOT_SATISFIABLE,
                "range-not-satisfiable",
                "The resource does not have this range",
            ),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The request is too large"),
            Self::UnsupportedMediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "The request's body must be JSON",
            ),
            Self::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "rate-limited", "Too many requests"),
            Self::Internal => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "Something went wrong here",
            ),
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "Not available at the moment",
            ),
        }
    }
}

/// Problem details (RFC 9457, 3).
#[derive(Serialize, ToSchema)]
#[schema(title = "Problem")]
pub struct Details {
    /// What kind of problem it is; stable.
    #[serde(rename = "type")]
    #[schema(example = "urn:vylux-pack:problem:forbidden")]
    kind: String,
    /// The same in words; stable.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What to do about it, where that can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// Names this request in the server's log.
    request_id: String,
}

impl Problem {
    const fn new(kind: Kind, reason: &'static str) -> Self {
        Self {
            kind,
            reason,
            cause: None,
            detail: None,
            retry_after: None,
        }
    }

    /// The same with a cause, for the log alone.
    #[must_use]
    pub fn because(self, cause: Option<String>) -> Self {
        Self { cause, ..self }
    }

    /// 400: part of the request can't be read.
    #[must_use]
    pub const fn malformed(reason: &'static str) -> Self {
        Self::new(Kind::MalformedRequest, reason)
    }

    /// 401 or 403 of the admin API.
    #[must_use]
    pub const fn no_administrator(reason: &'static str, has_token: bool) -> Self {
        let kind = if has_token {
            Kind::AdminForbidden
        } else {
            Kind::Unauthorized
        };
        Self::new(kind, reason)
    }

    /// 409.
    #[must_use]
    pub const fn conflict(reason: &'static str) -> Self {
        Self::new(Kind::Conflict, reason)
    }

    /// The same, telling the client what to do. It must hold nothing that a client may not know.
    #[must_use]
    pub fn saying(self, detail: String) -> Self {
        Self {
            detail: Some(detail),
            ..self
        }
    }

    /// 404.
    #[must_use]
    pub const fn not_found(reason: &'static str) -> Self {
        Self::new(Kind::NotFound, reason)
    }

    /// 429, to be tried again after a while.
    #[must_use]
    pub fn rate_limited(reason: &'static str, retry_after: Duration) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(Kind::RateLimited, reason)
        }
    }

    /// 503, whose cause is logged and not sent.
    #[must_use]
    pub fn unavailable(reason: &'static str, cause: impl Into<Option<String>>) -> Self {
        Self {
            cause: cause.into(),
            ..Self::new(Kind::Unavailable, reason)
        }
    }

    /// 500, whose cause is logged and not sent.
    #[must_use]
    pub fn internal(reason: &'static str, cause: impl Into<Option<String>>) -> Self {
        Self {
            cause: cause.into(),
            ..Self::new(Kind::Internal, reason)
        }
    }

    /// The problem that a status without one stands for, as the framework answers by itself.
    #[must_use]
    pub fn of_status(status: StatusCode) -> Option<Self> {
        let (kind, reason) = match status {
            StatusCode::NOT_FOUND => (Kind::NotFound, "no-route"),
            StatusCode::METHOD_NOT_ALLOWED => (Kind::MethodNotAllowed, "method"),
            StatusCode::PRECONDITION_FAILED => (Kind::PreconditionFailed, "precondition"),
            StatusCode::RANGE_NOT_SATISFIABLE => (Kind::RangeNotSatisfiable, "range"),
            StatusCode::PAYLOAD_TOO_LARGE => (Kind::TooLarge, "body-size"),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => (Kind::UnsupportedMediaType, "media-type"),
            status if status.is_client_error() => (Kind::MalformedRequest, "malformed"),
            status if status.is_server_error() => (Kind::Internal, "internal"),
            _ => return None,
        };
        Some(Self::new(kind, reason))
    }

    /// The answer's status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.kind.parts().0
    }

    /// The answer, which names the request.
    #[must_use]
    pub fn response(&self, request_id: &str) -> Response {
        let (status, kind, title) = self.kind.parts();
        let details = Details {
            kind: format!("urn:vylux-pack:problem:{kind}"),
            title,
            status: status.as_u16(),
            detail: self.detail.clone(),
            request_id: request_id.to_owned(),
        };
        let mut response = (status, Json(details)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.kind == Kind::Unauthorized {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(wait) = self.retry_after {
            // Rounded up: who comes back after it is let in.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        response
    }
}

/// A store that can't be asked.
impl From<&StoreError> for Problem {
    fn from(error: &StoreError) -> Self {
        Self::unavailable("store-unavailable", chain(error))
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::from(&error)
    }
}

impl From<DenyReason> for Problem {
    fn from(reason: DenyReason) -> Self {
        let kind = match reason {
            DenyReason::MissingToken | DenyReason::QueryToken => Kind::Unauthorized,
            // Somebody could not be asked; it may be otherwise in a moment.
            DenyReason::JwksUnavailable
            | DenyReason::PolicyFetchFailed
            | DenyReason::LeaseFetchFailed
            | DenyReason::WebhookTimeout
            | DenyReason::WebhookNetwork
            | DenyReason::WebhookOverloaded
            | DenyReason::WebhookCircuitOpen => Kind::Unavailable,
            // Who has the token may have a lease, and is told to get one.
            DenyReason::LeaseNotNeeded => Kind::NotFound,
            DenyReason::LeaseMissing | DenyReason::LeaseUnknown | DenyReason::LeaseExpired => Kind::NoLease,
            _ => Kind::Forbidden,
        };
        Self::new(kind, reason.as_str()).because(Some(reason.explained().to_owned()))
    }
}

/// The problem goes along as an extension; `observe` writes the answer, which names the request.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

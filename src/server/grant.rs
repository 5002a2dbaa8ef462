//! From a request to the right to a key, in the order that every key route keeps.
//!
//! Malformed ID 400; too often 429; no token 401; a token or a lease that does not do 403. Whether the content exists is found out
//! only after that, so nobody can probe for it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::ConnectInfo;
use axum::http::request::Parts;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, header};

use super::App;
use super::causes::chain;
use super::client_address::limited_as;
use super::leasing::lease_id;
use super::observe::{RequestId, Told};
use super::problem::Problem;
use super::rate_limit::{RateLimit, Who};
use crate::access::{self, Asking, Authenticated, DenyReason, KeyError, Question, Verdict, Wanted};
use crate::keys::ContentId;
use crate::keys::lookup::{FoundKey, LookupError, Which};

/// The proof that keys of a content may be handed out to who asked.
pub struct Granted {
    content_id: ContentId,
    authenticated: Authenticated,
}

/// Decides whether whoever sent `request` may have those keys of `content_id`, as far as they are not decided about by their names.
/// What is known goes to `told` on the way.
///
/// # Errors
/// The [`Problem`] that is the answer.
pub async fn grant(
    app: &App,
    request: &Parts,
    content_id: &str,
    which: &[Which],
    told: &mut Told,
) -> Result<Granted, Problem> {
    let content_id = parse(content_id)?;
    told.content_id = Some(content_id.clone());
    limit_address(app, &app.key_limit, request).await?;
    let wanted = Wanted::Keys {
        which,
        lease_id: lease_id(&request.headers),
    };
    let authenticated = authorize(app, &app.key_limit, request, &content_id, wanted, told).await?;
    Ok(Granted {
        content_id,
        authenticated,
    })
}

/// The content of an ID's text.
///
/// # Errors
/// The [`Problem`] that is the answer: 400.
pub fn parse(content_id: &str) -> Result<ContentId, Problem> {
    content_id
        .parse()
        .map_err(|_| Problem::malformed("malformed-content-id"))
}

/// Counts a request of an address.
///
/// # Errors
/// The [`Problem`] that is the answer: 429.
pub async fn limit_address(app: &App, limit: &RateLimit, request: &Parts) -> Result<(), Problem> {
    take(limit, Who::Address(limited_as(address(app, request)))).await
}

/// Decides whether whoever sent `request` may have what is wanted of a content, and counts their requests under `limit`. Who it is
/// goes to `told`.
///
/// # Errors
/// The [`Problem`] that is the answer.
pub async fn authorize(
    app: &App,
    limit: &RateLimit,
    request: &Parts,
    content_id: &ContentId,
    wanted: Wanted<'_>,
    told: &mut Told,
) -> Result<Authenticated, Problem> {
    let viewer_ip = address(app, request);
    let token = token(app, request);
    let asking = Asking {
        question: Question {
            content_id,
            now: access::now(),
        },
        token: token.as_ref().map(Option::as_deref).map_err(|reason| *reason),
        wanted,
        viewer_ip,
        request_url: request.uri.path_and_query().map_or("/", PathAndQuery::as_str),
        request_id: request.extensions.get::<RequestId>().map_or("", RequestId::as_str),
        is_trial: false,
        asks_webhooks: true,
    };
    let Verdict { outcome, grounds } = app.access.decide(&asking).await;
    for answer in &grounds.webhook {
        app.metrics.count_webhook(answer.latency);
    }
    // A request that asks a web service many questions counts as many; the next one is told.
    for _ in grounds.webhook.iter().skip(1) {
        drop(limit_address(app, limit, request).await);
    }
    told.subject.clone_from(&grounds.subject);
    if let Some(subject) = grounds.subject {
        take(limit, Who::Subject(subject)).await?;
    }
    outcome.map_err(|reason| {
        let cause = grounds.cause.map(|cause| chain(&*cause));
        Problem::from(reason).because(cause.or(grounds.detail))
    })
}

impl Granted {
    /// A key of the content.
    ///
    /// # Errors
    /// 403 if the token does not open it, 404 if there is none, 503 if that can't be found out, 500 if it can't be opened.
    pub async fn key(&self, app: &App, which: Which) -> Result<FoundKey, Problem> {
        Ok(self.authenticated.key(&app.keys, &self.content_id, which).await?)
    }
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Denied(reason) => reason.into(),
            KeyError::Lookup(error) => error.into(),
        }
    }
}

impl From<Arc<LookupError>> for Problem {
    fn from(error: Arc<LookupError>) -> Self {
        match &*error {
            LookupError::NotFound => Self::not_found("no-record"),
            LookupError::Store(error) => error.into(),
            _ => Self::internal("key-unusable", chain(&*error)),
        }
    }
}

async fn take(limit: &RateLimit, who: Who) -> Result<(), Problem> {
    let reason = match who {
        Who::Address(_) => "rate-limited-address",
        Who::Subject(_) => "rate-limited-subject",
    };
    let taken = limit.take(&who).await;
    taken.map_err(|wait| Problem::rate_limited(reason, wait))
}

/// The viewer's address.
pub fn address(app: &App, request: &Parts) -> IpAddr {
    let peer = request.extensions.get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)), |ConnectInfo(peer)| *peer);
    app.config.trusted_proxies.client(peer, &request.headers)
}

/// Whether some token came at all; it may still be wrong in every way.
///
/// # Errors
/// The [`Problem`] that is the answer.
pub fn require_token(app: &App, request: &Parts) -> Result<(), Problem> {
    token(app, request)?.ok_or(DenyReason::MissingToken)?;
    Ok(())
}

/// The token of a request: `Authorization: Bearer` (RFC 6750, 2.1), else `?jwt=` where that is allowed.
fn token(app: &App, request: &Parts) -> Result<Option<String>, DenyReason> {
    if let Some(token) = bearer(&request.headers)? {
        return Ok(Some(token));
    }
    let pairs = url::form_urlencoded::parse(request.uri.query().unwrap_or_default().as_bytes());
    let mut tokens = pairs
        .filter(|(name, _)| name == "jwt")
        .map(|(_, value)| value.into_owned());
    match (tokens.next(), tokens.next()) {
        (None, _) => Ok(None),
        (Some(_), _) if !app.config.allow_query_token => Err(DenyReason::QueryToken),
        (Some(token), None) => Ok(Some(token)),
        (Some(_), Some(_)) => Err(DenyReason::TokenMalformed),
    }
}

/// The token of `Authorization: Bearer`, if it came.
///
/// # Errors
/// [`DenyReason`] where the field came twice, or can't be read.
pub fn bearer(headers: &HeaderMap) -> Result<Option<String>, DenyReason> {
    let mut fields = headers.get_all(header::AUTHORIZATION).iter();
    let Some(field) = fields.next() else { return Ok(None) };
    if fields.next().is_some() {
        return Err(DenyReason::DuplicateAuthorization);
    }
    let Ok(text) = field.to_str() else {
        return Err(DenyReason::TokenMalformed);
    };
    // The scheme's case does not matter (RFC 9110, 11.1); another scheme is no Bearer token.
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("Bearer") => Ok(Some(token.trim().to_owned())),
        _ => Ok(None),
    }
}

//! Administrators of a running server: one secret lets them in.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use sha2::{Digest, Sha256};

use super::App;
use super::client_address::limited_as;
use super::grant::{address, bearer};
use super::problem::Problem;
use super::rate_limit::{Limit, RateLimit, Who};
use crate::access::administration::Administration;
use crate::keys::KeyRing;
use crate::keys::store::Store;
use crate::secret::SecretText;

/// `ADMIN_TOKEN` is no shorter, in bytes.
pub const MIN_TOKEN_BYTES: usize = 32;

/// How often an address may come with another token.
const WRONG_TOKENS: u32 = 10;

/// What administrators work on, and what lets them in.
pub struct Admin {
    /// Where policies and signing keys are.
    pub store: Arc<dyn Store>,
    /// Wraps secrets.
    pub ring: Arc<KeyRing>,
    /// SHA-256 of the token: two of them are compared in a time that tells nothing of the token.
    token: [u8; 32],
    wrong_tokens: RateLimit,
}

impl Admin {
    /// Lets in whoever has `token`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, ring: Arc<KeyRing>, token: &SecretText) -> Self {
        let limit = Limit {
            name: "admin",
            per_minute: WRONG_TOKENS.try_into().unwrap_or(std::num::NonZeroU32::MIN),
        };
        Self {
            store,
            ring,
            token: digest(token.expose()),
            wrong_tokens: RateLimit::of_this_process(limit),
        }
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// An administrator who was let in.
pub struct Administrator {
    app: Arc<App>,
    /// What the audit trail calls them.
    actor: String,
}

impl Administrator {
    /// What administrators work on.
    ///
    /// # Errors
    /// 404 where there is none; nobody is let in then.
    pub fn admin(&self) -> Result<&Admin, Problem> {
        self.app.admin.as_ref().ok_or(Problem::not_found("no-route"))
    }

    /// Changes on their behalf.
    ///
    /// # Errors
    /// As [`Self::admin`].
    pub fn administration(&self) -> Result<Administration<'_>, Problem> {
        Ok(Administration {
            store: &*self.admin()?.store,
            actor: &self.actor,
        })
    }

    /// What every route works with.
    #[must_use]
    pub fn app(&self) -> &App {
        &self.app
    }
}

impl FromRequestParts<Arc<App>> for Administrator {
    type Rejection = Problem;

    async fn from_request_parts(request: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let admin = app.admin.as_ref().ok_or(Problem::not_found("no-route"))?;
        let address = address(app, request);
        let token = bearer(&request.headers).map_err(|_| Problem::malformed("duplicate-authorization"))?;
        if token.as_deref().map(digest) == Some(admin.token) {
            return Ok(Self {
                app: Arc::clone(app),
                actor: format!("admin@{address}"),
            });
        }
        let wait = admin.wrong_tokens.take(&Who::Address(limited_as(address))).await;
        wait.map_err(|wait| Problem::rate_limited("rate-limited-admin", wait))?;
        Err(match token {
            None => Problem::no_administrator("missing-admin-token", false),
            Some(_) => Problem::no_administrator("wrong-admin-token", true),
        })
    }
}

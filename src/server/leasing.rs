//! Leases over HTTP: how often they may be asked for, how they come, and what is answered when they don't do.

use axum::http::HeaderMap;

use super::causes::chain;
use super::problem::Problem;
use super::rate_limit::RateLimit;
use crate::access::leases::{LeaseError, Leases};

/// The header field that a lease's ID comes in.
const LEASE_ID: &str = "x-lease-id";

/// Leases, where keys need them.
pub struct Leasing {
    /// Gives them, and says whether one counts.
    pub leases: Leases,
    /// Says how often.
    pub limit: RateLimit,
}

/// The lease's ID that came, if any: one that can't be read, or is one of several, is no lease's.
#[must_use]
pub fn lease_id(headers: &HeaderMap) -> Option<&str> {
    let mut fields = headers.get_all(LEASE_ID).iter();
    let field = fields.next()?;
    let is_one = fields.next().is_none();
    Some(field.to_str().ok().filter(|_| is_one).unwrap_or_default())
}

impl From<LeaseError> for Problem {
    fn from(error: LeaseError) -> Self {
        match &error {
            LeaseError::Denied(reason) => Self::from(*reason),
            LeaseError::Full => Self::conflict("lease-limit").saying(error.to_string()),
            LeaseError::Store(error) => Self::from(error),
            LeaseError::Random(_) => Self::internal("lease-id", chain(&error)),
        }
    }
}

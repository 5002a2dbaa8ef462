//! What a server does now and then, beside its answers.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use super::App;
use super::causes::chain;

/// Time between two rounds.
const EVERY: Duration = Duration::from_mins(1);

/// Goes round until it is dropped.
pub async fn keep(app: Arc<App>) {
    let mut rounds = interval(EVERY);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        round(&app).await;
    }
}

/// One round. What fails is tried again in the next.
pub async fn round(app: &App) {
    if let Some(policies) = app.access.policies()
        && let Err(error) = policies.store_use().await
    {
        warn!(cause = chain(&error), "the use of signing keys can't be noted");
    }
    if let Some(leasing) = &app.leasing
        && let Err(error) = leasing.leases.sweep(Timestamp::now()).await
    {
        warn!(cause = chain(&error), "leases that have expired can't be taken away");
    }
}

//! The log: one line of JSON for each event, on standard output.

use tracing::Level;

/// Sends events of `level` and more severe ones to standard output, for the rest of the process's life.
pub fn start(level: Level) {
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_target(false)
        .with_max_level(level)
        // They would go to standard error, and panic where nobody reads that either: in whatever was logging.
        .log_internal_errors(false)
        .finish();
    // A subscriber that is there already was set by whoever uses this as a library, and stays.
    drop(tracing::subscriber::set_global_default(subscriber));
}

//! How many segments are worked on at once.

use std::num::NonZeroUsize;

/// The number of worker threads.
#[derive(clap::Args)]
pub struct Jobs {
    /// Worker threads [default: one a core]
    #[arg(long = "jobs", value_name = "N", value_parser = parse)]
    given: Option<NonZeroUsize>,
}

impl Jobs {
    /// What was given, or else the number of cores.
    pub fn count(&self) -> usize {
        self.given
            .or_else(|| std::thread::available_parallelism().ok())
            .map_or(1, NonZeroUsize::get)
    }
}

fn parse(text: &str) -> Result<NonZeroUsize, &'static str> {
    text.parse().map_err(|_| "expected a whole number from 1 on")
}

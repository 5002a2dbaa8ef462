//! Progress on standard error: a bar on a terminal, else a line now and then.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::decimal;

/// A log gets a line this often.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Counts bytes, from several threads.
pub enum Progress {
    /// On a terminal.
    Bar(ProgressBar),
    /// Elsewhere.
    Lines {
        total: u64,
        done: AtomicU64,
        last_line: Mutex<Instant>,
    },
    /// Not wanted.
    Silent,
}

impl Progress {
    /// Of `total` bytes.
    pub fn new(total: u64, quiet: bool) -> Self {
        if quiet {
            return Self::Silent;
        }
        if !std::io::stderr().is_terminal() {
            return Self::Lines {
                total,
                done: AtomicU64::new(0),
                last_line: Mutex::new(Instant::now()),
            };
        }
        let template =
            "{bar:30} {percent:>3} %  {decimal_bytes} of {decimal_total_bytes}  {decimal_bytes_per_sec}  {eta} left";
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        Self::Bar(ProgressBar::new(total).with_style(style))
    }

    /// `bytes` more are done.
    pub fn add(&self, bytes: u64) {
        match self {
            Self::Silent => {}
            Self::Bar(bar) => bar.inc(bytes),
            Self::Lines { total, done, last_line } => {
                let done = done.fetch_add(bytes, Ordering::Relaxed) + bytes;
                let Ok(mut last_line) = last_line.try_lock() else {
                    return;
                };
                if last_line.elapsed() >= LINE_INTERVAL {
                    *last_line = Instant::now();
                    let (done, total) = (decimal::bytes(done), decimal::bytes(*total));
                    // Where standard error is closed, nobody looks on.
                    let _ = writeln!(anstream::stderr(), "{done} of {total}");
                }
            }
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

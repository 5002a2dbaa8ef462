//! The log: one line of JSON for each event, on standard output.
//!
//! Lines are gathered for some milliseconds and written together: a system call for each would cost as much as the answer
//! that it tells of.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Writes microseconds.
const TIMESTAMPS: DateTimePrinter = DateTimePrinter::new().precision(Some(6));

/// A line is written at the latest after this.
const GATHER_FOR: Duration = Duration::from_millis(50);

/// With so many bytes waiting, whoever adds a line writes them itself, so that memory stays bounded.
const MAX_WAITING_BYTES: usize = 1 << 20;

/// Sends events of `level` and more severe ones to standard output. All are written when the returned value is dropped.
///
/// # Errors
/// The thread that writes can't be started.
pub fn start(level: Level) -> io::Result<Log> {
    let lines = Arc::new(Lines::default());
    let subscriber = Json {
        level,
        lines: Arc::clone(&lines),
    };
    // A subscriber that is there already was set by whoever uses this as a library, and stays.
    drop(tracing::subscriber::set_global_default(subscriber));
    let writer = Arc::clone(&lines);
    let thread = std::thread::Builder::new().name("log".to_owned());
    let thread = thread.spawn(move || writer.write_until_closed())?;
    Ok(Log {
        lines,
        thread: Some(thread),
    })
}

/// The log; dropped, it writes what waits.
pub struct Log {
    lines: Arc<Lines>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Log {
    fn drop(&mut self) {
        self.lines.lock().closed = true;
        self.lines.first.notify_one();
        // The thread does nothing that could panic; if it did, there is nobody left to tell.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Lines that wait to be written.
#[derive(Default)]
struct Lines {
    waiting: Mutex<Waiting>,
    /// The first line waits, or the log is closed.
    first: Condvar,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    closed: bool,
}

impl Lines {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, line: &[u8]) {
        let mut waiting = self.lock();
        let is_first = waiting.bytes.is_empty();
        waiting.bytes.extend_from_slice(line);
        if waiting.bytes.len() >= MAX_WAITING_BYTES {
            write(&waiting.bytes);
            waiting.bytes.clear();
        }
        drop(waiting);
        if is_first {
            self.first.notify_one();
        }
    }

    fn write_until_closed(&self) {
        let mut gathered = Vec::new();
        loop {
            let idle = |waiting: &mut Waiting| waiting.bytes.is_empty() && !waiting.closed;
            let waiting = self.first.wait_while(self.lock(), idle);
            let waiting = waiting.unwrap_or_else(PoisonError::into_inner);
            let open = |waiting: &mut Waiting| !waiting.closed;
            let gathering = self.first.wait_timeout_while(waiting, GATHER_FOR, open);
            let (mut waiting, _) = gathering.unwrap_or_else(PoisonError::into_inner);
            std::mem::swap(&mut gathered, &mut waiting.bytes);
            let closed = waiting.closed;
            // Written without the lock: nobody waits for a slow reader, until too much does.
            drop(waiting);
            write(&gathered);
            gathered.clear();
            if closed {
                return;
            }
        }
    }
}

/// Whoever reads the log may go away; the server serves on.
fn write(lines: &[u8]) {
    let mut output = io::stdout().lock();
    let _ = output.write_all(lines).and_then(|()| output.flush());
}

/// Turns events into lines. There are no spans: an event says all by itself.
struct Json {
    level: Level,
    lines: Arc<Lines>,
}

impl Subscriber for Json {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Events of libraries are theirs: their text is not ours to vouch for.
        *metadata.level() <= self.level && metadata.target().starts_with(env!("CARGO_CRATE_NAME"))
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(Vec::with_capacity(512));
        line.0.extend_from_slice(b"{\"timestamp\":\"");
        // Writing to memory does not fail.
        let _ = TIMESTAMPS.print_timestamp(&Timestamp::now(), &mut line.0);
        line.0.extend_from_slice(b"\",\"level\":\"");
        line.0.extend_from_slice(event.metadata().level().as_str().as_bytes());
        line.0.push(b'"');
        event.record(&mut line);
        line.0.extend_from_slice(b"}\n");
        self.lines.add(&line.0);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// A line of JSON in the making. A field's name is one of Rust's, which needs no escaping.
struct Line(Vec<u8>);

impl Line {
    fn add(&mut self, field: &Field, value: impl serde::Serialize) {
        self.0.extend_from_slice(b",\"");
        self.0.extend_from_slice(field.name().as_bytes());
        self.0.extend_from_slice(b"\":");
        let _ = serde_json::to_writer(&mut self.0, &value);
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format_args!("{value:?}").to_string());
    }
}

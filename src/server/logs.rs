//! The log: one line of JSON for each event, on standard output.
//!
//! Lines are gathered for some milliseconds and written together: a system call for each would cost as much as the answer
//! that it tells of.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;

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
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_target(false)
        .with_max_level(level)
        .with_writer(LineWriter(Arc::clone(&lines)))
        .finish();
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

/// Takes the lines of the subscriber, which hands over each with one call.
struct LineWriter(Arc<Lines>);

impl<'w> MakeWriter<'w> for LineWriter {
    type Writer = &'w Self;

    fn make_writer(&'w self) -> Self::Writer {
        self
    }
}

impl Write for &LineWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.add(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

//! Threads that connections are spread over.
//!
//! Each has an async runtime of its own, and a connection stays where it began. Threads that took tasks from each other would
//! wake each other up for every request, which costs as much as the answer.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;

use hyper_util::server::graceful::Watcher;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use super::connection::Connections;

/// The threads; dropped, they end, and with them what is still under way.
pub struct Workers(Vec<Worker>);

struct Worker {
    runtime: Handle,
    /// Cloned for each of its connections.
    load: Arc<()>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Workers {
    /// Starts a thread for each of the cores that this process may use.
    ///
    /// # Errors
    /// A thread or its runtime can't be had.
    pub fn start() -> io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        (0..cores).map(|_| Worker::start()).collect::<Result<_, _>>().map(Self)
    }

    /// Has the worker with the fewest connections serve one more.
    pub fn serve(&self, connections: &Arc<Connections>, stream: TcpStream, peer: SocketAddr, watcher: Watcher) {
        let Some(worker) = self.0.iter().min_by_key(|worker| Arc::strong_count(&worker.load)) else {
            return;
        };
        let load = Arc::clone(&worker.load);
        let connections = Arc::clone(connections);
        worker.runtime.spawn(async move {
            // Made here, so that this worker's runtime waits for it. It fails where the process is at its limits.
            if let Ok(stream) = tokio::net::TcpStream::from_std(stream) {
                connections.serve(stream, peer, watcher).await;
            }
            drop(load);
        });
    }
}

impl Worker {
    fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("worker".to_owned());
        let thread = thread.spawn(move || {
            // Ends when told to, and when nobody is left to tell it.
            let _ = runtime.block_on(stopped);
        })?;
        Ok(Self {
            runtime: handle,
            load: Arc::default(),
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.stop.take());
        // A panic of a task is caught by the runtime; the thread itself does nothing that could.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

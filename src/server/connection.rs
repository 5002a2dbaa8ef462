//! One connection: its TLS handshake, the limits of time and size that it has, and its requests.

use std::net::SocketAddr;
use std::sync::{Arc, Once};
use std::time::Duration;

use axum::extract::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::Watcher;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::Answers;

/// No request's header is larger, in bytes.
const MAX_HEADER_BYTES: u32 = 32 << 10;

/// Requests at once on a connection of HTTP/2.
const MAX_STREAMS: u32 = 128;

/// What the connections of a listener have in common.
pub struct Connections {
    answers: Arc<Answers>,
    tls: Option<TlsAcceptor>,
    header_timeout: Duration,
    http: Builder<TokioExecutor>,
}

impl Connections {
    /// Connections whose requests `answers` answers, over `tls` if it is there. A TLS handshake and a request's header may
    /// take `header_timeout` each.
    pub fn new(answers: Answers, tls: Option<TlsAcceptor>, header_timeout: Duration) -> Self {
        let mut http = Builder::new(TokioExecutor::new());
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(header_timeout)
            // Most answers are a few bytes, which go into one buffer with their header.
            .writev(false)
            .max_buf_size(MAX_HEADER_BYTES as usize);
        http.http2()
            .timer(TokioTimer::new())
            .max_header_list_size(MAX_HEADER_BYTES)
            .max_concurrent_streams(MAX_STREAMS)
            .keep_alive_interval(header_timeout)
            .keep_alive_timeout(header_timeout);
        Self {
            answers: Arc::new(answers),
            tls,
            header_timeout,
            http,
        }
    }

    /// Answers what comes on `stream`, until it or `watcher` ends it. Whatever goes wrong with it is the other side's.
    pub async fn serve(&self, stream: TcpStream, peer: SocketAddr, watcher: Watcher) {
        // Without it answers would only be later.
        let _ = stream.set_nodelay(true);
        match &self.tls {
            None => self.requests(stream, peer, watcher).await,
            Some(tls) => {
                if let Ok(Ok(stream)) = timeout(self.header_timeout, tls.accept(stream)).await {
                    self.requests(stream, peer, watcher).await;
                }
            }
        }
    }

    async fn requests<S>(&self, stream: S, peer: SocketAddr, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let asked = Arc::new((Once::new(), Notify::new()));
        let service = {
            let (answers, asked) = (Arc::clone(&self.answers), Arc::clone(&asked));
            service_fn(move |request: Request<Incoming>| {
                asked.0.call_once(|| asked.1.notify_one());
                Arc::clone(&answers).answer(request, peer)
            })
        };
        let connection = watcher.watch(self.http.serve_connection(TokioIo::new(stream), service));
        let mut connection = std::pin::pin!(connection);
        // Which version of HTTP it speaks is found out without a limit of time.
        tokio::select! {
            biased;
            _ = &mut connection => return,
            () = asked.1.notified() => {}
            () = sleep(self.header_timeout) => return,
        }
        // An error is the other side's, which is not there to be told.
        let _ = connection.await;
    }
}

//! Connections: who may open one, how long it may take, and how it ends.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::connect_info::IntoMakeServiceWithConnectInfo;
use axum_server::accept::NoDelayAcceptor;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use axum_server::{Handle, Server};
use hyper_util::rt::TokioTimer;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

use super::App;
use super::config::Config;

/// No request's header is larger, in bytes.
const MAX_HEADER_BYTES: u32 = 32 << 10;

/// Requests at once on a connection of HTTP/2.
const MAX_STREAMS: u32 = 128;

/// The server can't listen, or stopped listening.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The address can't be listened on.
    #[error("can't listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The certificate or its key can't be read.
    #[error("the certificate {cert} and its key can't be used")]
    Tls {
        /// The certificate's file.
        cert: std::path::PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Signals can't be waited for, or a listener failed.
    #[error("the server stopped")]
    Stopped(#[source] io::Error),
}

/// Listens until the process is told to stop (SIGTERM, SIGINT), then finishes what is under way.
///
/// # Errors
/// [`ListenError`] if it can't listen.
pub async fn serve(app: App) -> Result<(), ListenError> {
    let listen = Listen::of(&app.config);
    let listener = bind(app.config.listen)?;
    let metrics_listener = app.config.metrics_address.map(bind).transpose()?;
    let tls = match &app.config.tls {
        None => None,
        Some(tls) => {
            let failed = |source| ListenError::Tls {
                cert: tls.cert.clone(),
                source,
            };
            Some(RustlsConfig::from_pem_file(&tls.cert, &tls.key).await.map_err(failed)?)
        }
    };
    let address = listener.local_addr().map_err(ListenError::Stopped)?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    info!(
        url = format!("{scheme}://{address}"),
        version = env!("CARGO_PKG_VERSION"),
        "listening"
    );

    let app = Arc::new(app);
    let keys = app.keys.clone();
    let routes = |router: Router| router.into_make_service_with_connect_info::<SocketAddr>();
    let main = routes(super::router(Arc::clone(&app)));
    let handle = Handle::new();
    tokio::spawn(stop(handle.clone(), listen.shutdown_timeout)?);

    let metrics = async {
        match metrics_listener {
            None => Ok(()),
            Some(listener) => {
                listen
                    .plain(listener, &handle, routes(super::metrics_router(app)))
                    .await
            }
        }
    };
    let main = async {
        match tls {
            None => listen.plain(listener, &handle, main).await,
            Some(tls) => listen.tls(listener, tls, &handle, main).await,
        }
    };
    let ended = tokio::try_join!(main, metrics).map_err(ListenError::Stopped);
    keys.close().await;
    info!("stopped");
    ended.map(|_| ())
}

/// The limits that every connection has.
struct Listen {
    header_timeout: Duration,
    shutdown_timeout: Duration,
}

type Service = IntoMakeServiceWithConnectInfo<Router, SocketAddr>;

impl Listen {
    const fn of(config: &Config) -> Self {
        Self {
            header_timeout: config.header_timeout,
            shutdown_timeout: config.shutdown_timeout,
        }
    }

    async fn plain(&self, listener: TcpListener, handle: &Handle<SocketAddr>, service: Service) -> io::Result<()> {
        let server = axum_server::from_tcp(listener)?.acceptor(NoDelayAcceptor::new());
        self.limited(server, handle).serve(service).await
    }

    async fn tls(
        &self,
        listener: TcpListener,
        config: RustlsConfig,
        handle: &Handle<SocketAddr>,
        service: Service,
    ) -> io::Result<()> {
        let acceptor = RustlsAcceptor::new(config).acceptor(NoDelayAcceptor::new());
        let server = axum_server::from_tcp(listener)?.acceptor(acceptor);
        self.limited(server, handle).serve(service).await
    }

    fn limited<A>(&self, mut server: Server<SocketAddr, A>, handle: &Handle<SocketAddr>) -> Server<SocketAddr, A> {
        let builder = server.http_builder();
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.header_timeout)
            .max_buf_size(MAX_HEADER_BYTES as usize);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(MAX_HEADER_BYTES)
            .max_concurrent_streams(MAX_STREAMS)
            .keep_alive_interval(self.header_timeout)
            .keep_alive_timeout(self.header_timeout);
        server.first_request_timeout(self.header_timeout).handle(handle.clone())
    }
}

fn bind(address: SocketAddr) -> Result<TcpListener, ListenError> {
    let listener = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    listener.map_err(|source| ListenError::Bind { address, source })
}

/// Waits for the signal to stop, and passes it on.
fn stop(handle: Handle<SocketAddr>, timeout: Duration) -> Result<impl Future<Output = ()>, ListenError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(ListenError::Stopped)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ListenError::Stopped)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        info!(seconds = timeout.as_secs(), "stopping: finishing what is under way");
        handle.graceful_shutdown(Some(timeout));
    })
}

//! Listening: where, until when, and what becomes of connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::server::graceful::GracefulShutdown;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tracing::{info, warn};

use super::config::Tls;
use super::connection::Connections;
use super::workers::Workers;
use super::{Answers, App, housekeeping};

/// So many connections may wait to be taken, if the system's own limit (`net.core.somaxconn`) is not lower: when a film
/// begins, its players come all at once, and who finds no place tries again a second later.
const BACKLOG: u32 = 4096;

/// After an error that is not the connection's own, such as too many open files, the next is waited for this long.
const PAUSE: Duration = Duration::from_secs(1);

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
        source: TlsError,
    },
    /// Signals can't be waited for, or threads can't be had.
    #[error("the server can't start")]
    Start(#[from] io::Error),
}

/// A certificate can't be used.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
#[non_exhaustive]
pub enum TlsError {
    /// A file can't be read as PEM.
    Pem(#[from] pem::Error),
    /// What it holds is no certificate and key that belong together.
    Rustls(#[from] tokio_rustls::rustls::Error),
}

/// Listens until the process is told to stop (SIGTERM, SIGINT), then finishes what is under way.
///
/// # Errors
/// [`ListenError`] if it can't listen.
pub async fn serve(app: App) -> Result<(), ListenError> {
    let app = Arc::new(app);
    let config = &app.config;
    let open_files = raise_open_files();
    let tls = config.tls.as_ref().map(acceptor).transpose()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let main = Listener::bind(
        config.listen,
        Connections::new(Answers::all(&app), tls, config.header_timeout),
    )?;
    let metrics = config.metrics_address.map(|address| {
        let connections = Connections::new(Answers::metrics(&app), None, config.header_timeout);
        Listener::bind(address, connections)
    });
    let metrics = metrics.transpose()?;
    let admin = config.admin_address.map(|address| {
        let connections = Connections::new(Answers::admin(&app), None, config.header_timeout);
        Listener::bind(address, connections)
    });
    let admin = admin.transpose()?;
    let mut signals = Signals::new()?;
    let workers = Workers::start()?;
    info!(
        url = format!("{scheme}://{}", main.socket.local_addr()?),
        version = env!("CARGO_PKG_VERSION"),
        open_files,
        "listening"
    );

    let graceful = GracefulShutdown::new();
    tokio::select! {
        () = signals.stop() => {}
        () = main.accept(&workers, &graceful) => {}
        () = accept_if(metrics.as_ref(), &workers, &graceful) => {}
        () = accept_if(admin.as_ref(), &workers, &graceful) => {}
        () = housekeeping::keep(Arc::clone(&app)) => {}
    }
    // Refuses connections from here on.
    drop((main, metrics, admin));
    let patience = config.shutdown_timeout;
    info!(seconds = patience.as_secs(), "stopping: finishing what is under way");
    if timeout(patience, graceful.shutdown()).await.is_err() {
        warn!("what was still under way is cut off");
    }
    housekeeping::round(&app).await;
    app.keys.close().await;
    drop(workers);
    info!("stopped");
    Ok(())
}

/// As many connections as the system lets this process have: shells give a thousand files, and mean processes that can't
/// count above that (`select`). Returns the limit, if there is one.
fn raise_open_files() -> Option<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // If it can't be, it stays as it was.
    let _ = setrlimit(Resource::Nofile, limit);
    getrlimit(Resource::Nofile).current
}

/// Where connections come in, and what becomes of them.
struct Listener {
    socket: TcpListener,
    connections: Arc<Connections>,
}

impl Listener {
    fn bind(address: SocketAddr, connections: Connections) -> Result<Self, ListenError> {
        let socket = || {
            let socket = if address.is_ipv4() {
                TcpSocket::new_v4()?
            } else {
                TcpSocket::new_v6()?
            };
            // A port whose last connections are not forgotten yet may be listened on again.
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            socket.listen(BACKLOG)
        };
        Ok(Self {
            socket: socket().map_err(|source| ListenError::Bind { address, source })?,
            connections: Arc::new(connections),
        })
    }

    /// Takes connections, for ever.
    async fn accept(&self, workers: &Workers, graceful: &GracefulShutdown) {
        loop {
            let accepted = self.socket.accept().await;
            let accepted = accepted.and_then(|(stream, peer)| Ok((stream.into_std()?, peer)));
            match accepted {
                Ok((stream, peer)) => workers.serve(&self.connections, stream, peer, graceful.watcher()),
                // It was gone before it could be taken (accept(2)).
                Err(error) if is_its_own(&error) => {}
                Err(error) => {
                    warn!(cause = error.to_string(), "connections can't be taken at the moment");
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

async fn accept_if(listener: Option<&Listener>, workers: &Workers, graceful: &GracefulShutdown) {
    match listener {
        None => std::future::pending().await,
        Some(listener) => listener.accept(workers, graceful).await,
    }
}

fn is_its_own(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

fn acceptor(tls: &Tls) -> Result<TlsAcceptor, ListenError> {
    let config = || {
        let chain = CertificateDer::pem_file_iter(&tls.cert)?.collect::<Result<_, _>>()?;
        let key = PrivateKeyDer::from_pem_file(&tls.key)?;
        let config = ServerConfig::builder().with_no_client_auth();
        Ok(config.with_single_cert(chain, key)?)
    };
    let mut config = config().map_err(|source| ListenError::Tls {
        cert: tls.cert.clone(),
        source,
    })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The signals to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

//! `vylux-pack serve`: the key server.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::Args as Arguments;
use tokio::runtime::Builder;
use vylux_pack::access::leases::Leases;
use vylux_pack::keys::KeyRing;
use vylux_pack::keys::lookup::Lookup;
use vylux_pack::keys::store::{self, Later, StoreError};
use vylux_pack::secret::Settings;
use vylux_pack::server::admin::Admin;
use vylux_pack::server::config::{self, Config, Flags, Records};
use vylux_pack::server::leasing::Leasing;
use vylux_pack::server::metrics::Metrics;
use vylux_pack::server::rate_limit::{Limit, RateLimit};
use vylux_pack::server::{App, causes, listen, logs};

use super::failure::Failure;
use super::output::report;

/// Hand out content keys to players that bring a valid token
///
/// Settings come from the environment and .env; docs/configuration.md lists them all. Keys are those of the records in the
/// store, and tokens those that KEY_TOKEN_SECRET, AUTH_JWT_SECRET or AUTH_JWKS_URL says are good.
#[derive(Arguments)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub struct Args {
    /// Address and port to listen on [default: LISTEN, else 127.0.0.1 and PORT, which is 4100]
    #[arg(long, value_name = "ADDRESS", help_heading = "Listening")]
    listen: Option<SocketAddr>,

    /// PEM file with a certificate chain, to speak TLS [default: TLS_CERT]
    #[arg(long, value_name = "FILE", help_heading = "Listening", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// PEM file with the certificate's key [default: TLS_KEY]
    #[arg(long, value_name = "FILE", help_heading = "Listening", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Record store [default: DATABASE_URL, else sqlite://vylux-pack.db]
    #[arg(long, value_name = "URL", help_heading = "Keys")]
    store: Option<String>,

    /// Derive a key for every content ID, and need no store
    #[arg(long, help_heading = "Keys", conflicts_with = "store")]
    derive_any: bool,

    /// Hand keys to everybody who can reach this machine's loopback address; for development
    #[arg(long, help_heading = "Access")]
    insecure_no_auth: bool,

    /// Serve the packaged media in this folder at /media/, and a page that plays them at /player
    #[arg(long, value_name = "DIR", help_heading = "Media")]
    media: Option<PathBuf>,

    /// Let the player page mint its own tokens, on loopback alone; for development
    #[arg(
        long,
        help_heading = "Media",
        requires = "media",
        conflicts_with = "insecure_no_auth"
    )]
    dev: bool,

    /// Check settings, store, secrets and Redis, and exit
    #[arg(long, help_heading = "Operation")]
    check: bool,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let settings = Settings::load().map_err(Failure::usage)?;
    let flags = Flags {
        listen: args.listen,
        store: args.store.clone(),
        tls_cert: args.tls_cert.clone(),
        tls_key: args.tls_key.clone(),
        derive_any: args.derive_any,
        insecure_no_auth: args.insecure_no_auth,
        media: args.media.clone(),
        dev: args.dev,
    };
    let config = Config::load(&settings, flags).map_err(Failure::usage)?;
    let ring = Arc::new(KeyRing::load(&settings).map_err(Failure::usage)?);
    // For what all connections share; they themselves have threads of their own.
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the async runtime can't start")
        .map_err(Failure::work)?;
    runtime.block_on(async {
        // Written to the end when this is dropped, the last of all.
        let _log = (!args.check)
            .then(|| logs::start(config.log_level))
            .transpose()
            .map_err(Failure::work)?;
        let metrics = Metrics::default();
        let store = match &config.records {
            Records::Derived => None,
            Records::Store(url) if args.check => Some(store::open(url.expose()).await?),
            Records::Store(url) => {
                let failed = |error: &StoreError| {
                    tracing::error!(cause = causes::chain(error), "the record store can't be opened");
                };
                Some(Later::open(url.clone(), failed).await?)
            }
        };
        let keys = match &store {
            None => Lookup::derived(Arc::clone(&ring)),
            Some(store) => Lookup::stored(Arc::clone(&ring), Arc::clone(store) as _, metrics.count_looks()),
        };
        let policies = store
            .clone()
            .map(|store| config::policies(&settings, store, Arc::clone(&ring), keys.clone()));
        let policies = policies.transpose().map_err(Failure::usage)?;
        let admin = match (&store, config::admin_token(&settings).map_err(Failure::usage)?) {
            (Some(store), Some(token)) => Some(Admin::new(Arc::clone(store), Arc::clone(&ring), &token)),
            _ => None,
        };
        let leases = match (&store, config.leases) {
            (Some(store), Some(rules)) => Some(Leases::new(Arc::clone(store), rules)),
            _ => None,
        };
        let access = config::access(&settings, args.insecure_no_auth, policies, leases.clone());
        let access = access.map_err(Failure::usage)?;
        if args.check {
            keys.check().await.map_err(Failure::work)?;
            keys.close().await;
            if let Some(redis) = &config.redis {
                redis.check().await.map_err(Failure::work)?;
            }
            report!("The configuration is good: it would listen on {}.", config.listen)?;
            return Ok(());
        }
        if access.is_insecure() {
            tracing::warn!("--insecure-no-auth: everybody who can reach this address gets every key");
        }
        let key_limit = rate_limit(&config, &metrics, config.key_limit()).await;
        let leasing = match leases {
            None => None,
            Some(leases) => Some(Leasing {
                leases,
                limit: rate_limit(&config, &metrics, config.lease_limit()).await,
            }),
        };
        if config.dev_secret.is_some() {
            tracing::warn!("--dev: everybody who can reach this address gets a token for every content");
        }
        let app = App {
            keys,
            access,
            admin,
            key_limit,
            leasing,
            metrics,
            config,
        };
        listen::serve(app).await.map_err(Failure::work)
    })
}

async fn rate_limit(config: &Config, metrics: &Metrics, limit: Limit) -> RateLimit {
    match &config.redis {
        None => RateLimit::of_this_process(limit),
        Some(url) => RateLimit::shared(limit, url.clone(), metrics.redis_up()).await,
    }
}

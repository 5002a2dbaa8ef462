//! `vylux-pack access test`: what the server would answer.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use clap::Subcommand;
use tokio::runtime::Builder;
use vylux_pack::access::dry_run::Trial;
use vylux_pack::access::leases::Leases;
use vylux_pack::content_key::Kid;
use vylux_pack::keys::lookup::{Lookup, Which};
use vylux_pack::keys::store;
use vylux_pack::keys::{ContentId, KeyName, KeyRing};
use vylux_pack::secret::Settings;
use vylux_pack::server::config::{self, Flags};

use crate::cli::failure::Failure;
use crate::cli::output;
use crate::cli::store::StoreArgs;
use crate::cli::token::read_token;

/// Find out who may have keys, without asking for one
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Test(Test),
}

/// Say what the server would answer to a request for a key, and why; no key is handed out
///
/// It decides as `serve` does, by the same settings, store and code. Exit code 0: the key would be handed out; 1: it would not.
#[derive(clap::Args)]
struct Test {
    /// The content
    #[arg(long, value_name = "ID")]
    content_id: ContentId,
    /// The viewer's token; - reads it from standard input, where no list of processes shows it
    #[arg(long, value_name = "TOKEN|-")]
    token: Option<String>,
    /// The viewer's lease, which is needed where the server gives leases (LEASE_TTL_MS)
    #[arg(long, value_name = "LEASE")]
    lease_id: Option<String>,
    /// The key, where it is asked for by its ID [default: the primary one]
    #[arg(long, value_name = "KID")]
    kid: Option<Kid>,
    /// The key, where it is asked for by its name, such as hd, or 3 for an epoch
    #[arg(long, value_name = "NAME", conflicts_with = "kid")]
    key_name: Option<KeyName>,
    /// The viewer's address, which a webhook is told
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    viewer_ip: IpAddr,
    /// Ask the webhook too, where the policy is one; otherwise the answer is webhook-test-skipped
    #[arg(long)]
    fire_webhook: bool,
    #[command(flatten)]
    store: StoreArgs,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let Command::Test(args) = &args.command;
    let settings = Settings::load().map_err(Failure::usage)?;
    let ring = Arc::new(KeyRing::load(&settings).map_err(Failure::usage)?);
    let token = match args.token.as_deref() {
        Some("-") => Some(read_token()?),
        given => given.map(str::to_owned),
    };
    let url = args.store.url_of_one_that_is_there(&settings)?;
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the async runtime can't start")
        .map_err(Failure::work)?;
    let answer = runtime.block_on(async {
        let store = store::open(url.expose()).await?;
        let keys = Lookup::stored(Arc::clone(&ring), Arc::clone(&store) as _, |_| {});
        let policies = config::policies(&settings, Arc::clone(&store), ring, keys.clone()).map_err(Failure::usage)?;
        let leases = config::leases(&settings, &Flags::default()).map_err(Failure::usage)?;
        let leases = leases.map(|rules| Leases::new(Arc::clone(&store), rules));
        let access = config::access(&settings, false, Some(policies), leases).map_err(Failure::usage)?;
        let trial = Trial {
            content_id: &args.content_id,
            which: match (&args.key_name, args.kid) {
                (Some(name), _) => Which::Named(name.clone()),
                (None, Some(kid)) => Which::Kid(kid),
                (None, None) => Which::Primary,
            },
            token: token.as_deref(),
            lease_id: args.lease_id.as_deref(),
            viewer_ip: args.viewer_ip,
            asks_webhooks: args.fire_webhook,
        };
        let answer = trial.run(&access, &keys).await;
        store.close().await;
        answer.map_err(Failure::work)
    })?;
    output::json(&answer)?;
    match answer.reason {
        None => Ok(()),
        Some(reason) => Err(Failure::work(anyhow!("access denied: {reason}"))),
    }
}

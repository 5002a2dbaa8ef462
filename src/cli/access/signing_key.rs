//! `vylux-pack signing-key`: the keys that JWTs of the policy `jwt` are signed with.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::Subcommand;
use vylux_pack::access::administration::Administration;
use vylux_pack::keys::store::{Revocation, SigningKeyStore, StoreError};
use vylux_pack::secret::Settings;

use super::actor;
use crate::cli::failure::Failure;
use crate::cli::output::{self, report};
use crate::cli::store::{Store, StoreArgs};

/// Create, list, show and revoke the keys that JWTs are signed with
///
/// A key is a pair (P-256, for ES256): your application signs with the private half, which is given out once and never stored; the store has the
/// public one. At most 10 are active.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Create(Create),
    List(List),
    Show(Show),
    Revoke(Revoke),
}

/// Create a signing key, and give out its private half: there is no second time
///
/// The private half is printed as PEM (PKCS#8), or written to --out; its ID, the kid of JWTs' headers, is printed beside it.
#[derive(clap::Args)]
struct Create {
    /// What you call it; no two active keys have one name
    #[arg(long)]
    name: String,
    /// Write the private half to a new file that you alone may read
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    store: StoreArgs,
}

/// List all signing keys, revoked ones too
#[derive(clap::Args)]
struct List {
    #[command(flatten)]
    store: StoreArgs,
    /// Print the keys as JSON
    #[arg(long)]
    json: bool,
}

/// Show a signing key: its public half, and when it was made, used and revoked
#[derive(clap::Args)]
struct Show {
    /// Its ID
    kid: String,
    #[command(flatten)]
    store: StoreArgs,
}

/// Revoke a signing key for ever: what it signed opens nothing from the next request on
#[derive(clap::Args)]
struct Revoke {
    /// Its ID
    kid: String,
    #[command(flatten)]
    store: StoreArgs,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let settings = Settings::load().map_err(Failure::usage)?;
    match &args.command {
        Command::Create(args) => create(&args.store.open_or_create(&settings)?, args),
        Command::List(args) => list(&args.store.open(&settings)?, args.json),
        Command::Show(args) => show(&args.store.open(&settings)?, &args.kid),
        Command::Revoke(args) => {
            let kid = &args.kid;
            match revoke(&args.store.open(&settings)?, kid).map_err(Failure::work)? {
                Revocation::Revoked => report!("{kid}: revoked.")?,
                Revocation::WasRevoked => report!("{kid}: it was revoked before.")?,
                Revocation::Unknown => return Err(unknown(kid)),
            }
            Ok(())
        }
    }
}

fn create(store: &Store, args: &Create) -> Result<(), Failure> {
    // Before there is a key whose private half has nowhere to go.
    let file = args.out.as_ref().map(|path| {
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        opened
            .with_context(|| format!("{} can't be made", path.display()))
            .map_err(Failure::work)
    });
    let mut file = file.transpose()?;
    let actor = actor();
    let create = async |store| {
        Administration { store, actor: &actor }
            .create_signing_key(&args.name)
            .await
    };
    let key = store.wait(create).map_err(|error| {
        remove(args.out.as_deref());
        if error.is_of_request() && !error.is_conflict() {
            Failure::usage(error)
        } else {
            Failure::work(error)
        }
    })?;
    let pem = key.private_key_pem.expose();
    let written = if let Some(file) = &mut file {
        file.write_all(pem.as_bytes()).and_then(|()| file.sync_all())
    } else {
        let mut out = io::stdout().lock();
        out.write_all(pem.as_bytes()).and_then(|()| out.flush())
    };
    let kid = &key.kid;
    if let Err(error) = written {
        remove(args.out.as_deref());
        // Nobody has it whole, so nobody will sign with it.
        let what = match revoke(store, kid) {
            Ok(_) => "so that key is revoked".to_owned(),
            Err(error) => format!("and that key can't be revoked ({error}), so do that"),
        };
        return Err(Failure::work(anyhow!(
            "the private half of {kid} can't be written, {what}: {error}"
        )));
    }
    if args.out.is_some() {
        report!("{kid}")?;
    } else {
        // Apart from the key, which may go into a file or a vault.
        eprintln!("kid: {kid}");
    }
    Ok(())
}

/// Removes the file of a private key that nobody gets.
fn remove(file: Option<&Path>) {
    if let Some(path) = file
        && let Err(error) = fs::remove_file(path)
    {
        output::warn(&format!("{} can't be removed: {error}", path.display()));
    }
}

fn list(store: &Store, as_json: bool) -> Result<(), Failure> {
    let keys = store.wait(SigningKeyStore::signing_keys).map_err(Failure::work)?;
    if as_json {
        output::json(&keys)?;
        return Ok(());
    }
    let time = |at: Option<jiff::Timestamp>| at.map_or_else(|| "-".to_owned(), |at| at.to_string());
    let rows = keys.into_iter().map(|key| {
        [
            key.kid.escape_debug().to_string(),
            key.name.escape_debug().to_string(),
            key.created_at.to_string(),
            time(key.last_used_at),
            time(key.revoked_at),
        ]
    });
    output::table(["KID", "NAME", "CREATED", "LAST USED", "REVOKED"], rows)?;
    Ok(())
}

fn show(store: &Store, kid: &str) -> Result<(), Failure> {
    let key = store.wait(|store| store.signing_key(kid)).map_err(Failure::work)?;
    output::json(&key.ok_or_else(|| unknown(kid))?)?;
    Ok(())
}

fn revoke(store: &Store, kid: &str) -> Result<Revocation, StoreError> {
    let actor = actor();
    let revoke = async |store| Administration { store, actor: &actor }.revoke_signing_key(kid).await;
    store.wait(revoke)
}

fn unknown(kid: &str) -> Failure {
    Failure::work(anyhow!(
        "there is no signing key {kid:?}; `vylux-pack signing-key list` shows all"
    ))
}

//! `vylux-pack keys rewrap`: records under a new key-encryption key.

use std::path::PathBuf;

#[cfg(feature = "server")]
use vylux_pack::access::administration::{Administration, RewrappedPolicies};
#[cfg(feature = "store")]
use vylux_pack::keys::ContentId;
use vylux_pack::keys::{KeyRecord, KeyRing, keys_file};
use vylux_pack::secret::Settings;

use super::{records, were};
#[cfg(feature = "server")]
use crate::cli::access::actor;
use crate::cli::failure::Failure;
#[cfg(feature = "server")]
use crate::cli::output;
use crate::cli::output::report;
#[cfg(feature = "store")]
use crate::cli::store::{self, StoreArgs};

/// Move key records to the current key-encryption key
///
/// That is KEK_HEX, or the one derived from MASTER_KEY_HEX where it isn't set. Older records are read with
/// FALLBACK_KEK_HEX, or with what FALLBACK_MASTER_KEY_HEX and FALLBACK_SALT_HEX derive. All records move, or none; secrets of
/// webhooks move behind them.
#[derive(clap::Args)]
pub struct Args {
    /// Rewrap this keys.json, instead of the store
    #[cfg(feature = "store")]
    #[arg(long, value_name = "KEYS_JSON", conflicts_with_all = ["content_id", "store"])]
    file: Option<PathBuf>,
    /// Rewrap this keys.json
    #[cfg(not(feature = "store"))]
    #[arg(long, value_name = "KEYS_JSON")]
    file: PathBuf,
    /// Only the records of this content
    #[cfg(feature = "store")]
    #[arg(long, value_name = "ID")]
    content_id: Option<ContentId>,
    #[cfg(feature = "store")]
    #[command(flatten)]
    store: StoreArgs,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let settings = Settings::load().map_err(Failure::usage)?;
    let keys = KeyRing::load(&settings).map_err(Failure::usage)?;
    #[cfg(feature = "store")]
    let Some(file) = &args.file else {
        let store = args.store.open(&settings)?;
        let old = store::list(&store, args.content_id.as_ref())?;
        let new = rewrap(&keys, &old)?;
        store.update_wraps(&old, &new).map_err(Failure::work)?;
        print(&keys, &old, &new)?;
        // Of all contents, as records are.
        #[cfg(feature = "server")]
        if args.content_id.is_none() {
            rewrap_policies(&store, &keys)?;
        }
        return Ok(());
    };
    #[cfg(not(feature = "store"))]
    let file = &args.file;
    let old = keys_file::read(file).map_err(Failure::input)?;
    let new = rewrap(&keys, &old)?;
    if old != new {
        keys_file::write(file, &new).map_err(Failure::work)?;
    }
    print(&keys, &old, &new)
}

/// Moves the secrets of policies too.
#[cfg(feature = "server")]
fn rewrap_policies(store: &store::Store, keys: &KeyRing) -> Result<(), Failure> {
    let actor = actor();
    let rewrap = async |store| Administration { store, actor: &actor }.rewrap_policies(keys).await;
    let RewrappedPolicies { moved, unreadable } = store.wait(rewrap).map_err(Failure::work)?;
    match moved {
        0 => {}
        1 => report!("Moved the secret of 1 policy.")?,
        count => report!("Moved the secrets of {count} policies.")?,
    }
    for content_id in unreadable {
        output::warn(&format!(
            "content '{content_id}': its policy can't be read, so a secret in it stays under the older key; set it again"
        ));
    }
    Ok(())
}

fn rewrap(keys: &KeyRing, old: &[KeyRecord]) -> Result<Vec<KeyRecord>, Failure> {
    let new = old.iter().map(|record| keys.rewrap(record));
    new.collect::<Result<_, _>>().map_err(Failure::work)
}

fn print(keys: &KeyRing, old: &[KeyRecord], new: &[KeyRecord]) -> Result<(), Failure> {
    let moved = old.iter().zip(new).filter(|(old, new)| old != new).count();
    let version = keys.kek_version();
    report!(
        "Moved {} to KEK {version}; {} under it already.",
        records(moved),
        were(old.len() - moved)
    )?;
    let unchecked = old
        .iter()
        .filter(|record| keys.master_by_id(&record.master_key_id).is_none())
        .count();
    if unchecked > 0 {
        report!(
            "The keys of {} were not compared with what their master key derives, as it is not at hand; they unwrap.",
            records(unchecked)
        )?;
    }
    Ok(())
}

//! `vylux-pack keys export`: the store's records as a keys.json.

use std::io::{self, Write};
use std::path::PathBuf;

use vylux_pack::keys::{ContentId, keys_file};
use vylux_pack::secret::Settings;

use super::records;
use crate::cli::failure::Failure;
use crate::cli::output::report;
use crate::cli::store::{self, StoreArgs};

/// Write the store's records as a keys.json
#[derive(clap::Args)]
pub struct Args {
    /// Only the records of this content
    #[arg(long, value_name = "ID")]
    content_id: Option<ContentId>,
    /// Write to this file, in place of what it holds [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    store: StoreArgs,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let settings = Settings::load().map_err(Failure::usage)?;
    let store = args.store.open(&settings)?;
    let all = store::list(&store, args.content_id.as_ref())?;
    match &args.out {
        Some(path) => {
            keys_file::write(path, &all).map_err(Failure::work)?;
            report!("Wrote {} to {}.", records(all.len()), path.display())?;
        }
        None => io::stdout().write_all(&keys_file::to_json(&all)?)?,
    }
    Ok(())
}

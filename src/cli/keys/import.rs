//! `vylux-pack keys import`: records of runs without a store.

use std::path::PathBuf;

use vylux_pack::keys::keys_file;
use vylux_pack::keys::store::StoreError;
use vylux_pack::secret::Settings;

use super::{records, were};
use crate::cli::failure::Failure;
use crate::cli::output::report;
use crate::cli::store::StoreArgs;

/// Take the records of keys.json files into the store
///
/// Records that are there already stay as they are. If one contradicts the store or another file, nothing is imported.
#[derive(clap::Args)]
pub struct Args {
    /// Files that `encrypt` wrote beside its outputs
    #[arg(required = true, value_name = "KEYS_JSON")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    store: StoreArgs,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let settings = Settings::load().map_err(Failure::usage)?;
    let mut all = Vec::new();
    let mut ends = Vec::new();
    for file in &args.files {
        all.extend(keys_file::read(file).map_err(Failure::input)?);
        ends.push(all.len());
    }
    let store = args.store.open_or_create(&settings)?;
    let imported = store.import(&all).map_err(|error| match &error {
        StoreError::Conflict { index, .. } => {
            let file = args.files.get(ends.partition_point(|end| end <= index));
            let file = file.map(|file| file.display().to_string()).unwrap_or_default();
            Failure::work(anyhow::Error::from(error).context(file))
        }
        _ => Failure::work(error),
    })?;
    report!(
        "Imported {}; {} there already.",
        records(imported.added),
        were(imported.known)
    )?;
    Ok(())
}

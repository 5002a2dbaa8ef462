//! `vylux-pack init`: fresh secrets.

use std::path::Path;

use super::failure::Failure;
use super::output::report;
use vylux_pack::secret::init;

/// Write a .env with a fresh master key, salt and token secret
///
/// An existing .env is never overwritten. Back the file up: without the master key and the salt,
/// nothing that was encrypted under them can be played again.
#[derive(clap::Args)]
pub struct Args {}

pub fn run(_: &Args) -> Result<(), Failure> {
    write_env(false)
}

/// Writes the `.env`, and says so unless `quiet`.
pub fn write_env(quiet: bool) -> Result<(), Failure> {
    let path = init::write_env(Path::new(".")).map_err(Failure::work)?;
    if !quiet {
        report!(
            "Wrote {} with a fresh master key, salt and token secret (readable by you alone).",
            path.display()
        )?;
        report!(
            "Back it up now: without MASTER_KEY_HEX and SALT_HEX nothing encrypted under them can be played again."
        )?;
    }
    Ok(())
}

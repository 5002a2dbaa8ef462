//! Options that say how players are told of keys, beyond what every output says.

use std::path::Path;
use std::sync::Arc;

use anyhow::anyhow;
use vylux_pack::content_key::Kid;
use vylux_pack::isobmff::pssh::ProtectionSystemHeader;
use vylux_pack::protect::{SampleScheme, Scheme, key_systems};

use crate::cli::failure::Failure;
use crate::cli::key_format::KeyFormatOptions;
use crate::cli::output;

/// Options that say how players are told of keys.
#[derive(Debug, clap::Args)]
pub struct SignalOptions {
    /// Write a second set of playlists over the same segments, for Clear Key in hls.js: master.clearkey.m3u8
    #[arg(long)]
    pub clearkey_playlists: bool,
    #[command(flatten)]
    pub format: KeyFormatOptions,
    /// Whole pssh boxes of other key systems, in hexadecimal or in a file, for each init segment
    #[arg(long, value_name = "HEX|FILE", value_hint = clap::ValueHint::FilePath)]
    pssh: Vec<String>,
}

impl SignalOptions {
    /// Refuses what the scheme has no use for. `keys` is how many there are.
    pub fn check(&self, scheme: Scheme, keys: usize) -> Result<(), Failure> {
        let is_clear_key = matches!(scheme, Scheme::Samples(SampleScheme::Cbcs | SampleScheme::Cenc));
        if self.clearkey_playlists && !is_clear_key {
            let scheme = scheme.name();
            let what = "--clearkey-playlists is of cbcs and cenc, which browsers' Clear Key opens";
            return Err(Failure::usage(anyhow!("{what}; it does not open {scheme}")));
        }
        if !self.pssh.is_empty() && !matches!(scheme, Scheme::Samples(_)) {
            let scheme = scheme.name();
            let what = "--pssh is of schemes that protect samples, as cbcs";
            return Err(Failure::usage(anyhow!(
                "{what}; the init segments of {scheme} are clear"
            )));
        }
        self.format.check(scheme, keys)
    }

    /// The boxes of other key systems.
    pub fn key_systems(&self) -> Result<Arc<[ProtectionSystemHeader]>, Failure> {
        let mut all = Vec::new();
        let mut bytes = 0;
        for given in &self.pssh {
            let (name, data) = read(given)?;
            bytes += data.len();
            if bytes > key_systems::MAX_BYTES {
                let most = key_systems::MAX_BYTES;
                let what = format!("--pssh {name}: all boxes together are larger than {most} bytes");
                return Err(Failure::usage(anyhow!(what)));
            }
            let boxes = key_systems::read(&data).map_err(|error| Failure::input(anyhow!("--pssh {name}: {error}")))?;
            if boxes.is_empty() {
                return Err(Failure::input(anyhow!("--pssh {name}: there is no box in it")));
            }
            all.extend(boxes);
        }
        Ok(all.into())
    }

    /// Warns of key IDs that boxes of other key systems list, and no track has.
    pub fn warn_of_foreign_kids(boxes: &[ProtectionSystemHeader], ours: &[Kid]) {
        for kid in key_systems::foreign_kids(boxes, ours) {
            output::warn(&format!(
                "--pssh lists the key ID {kid}, which no track of the output has"
            ));
        }
    }
}

/// What it is called, and its bytes: those that it says in hexadecimal, or those of a file of that name.
fn read(given: &str) -> Result<(String, Vec<u8>), Failure> {
    let path = Path::new(given);
    if let (Ok(data), false) = (hex::decode(given), path.exists()) {
        let start = given.get(..16).map_or(given.to_owned(), |start| format!("{start}..."));
        return Ok((start, data));
    }
    let failed = |cause| {
        Failure::input(anyhow!(
            "--pssh {given} is neither hexadecimal nor a file that can be read: {cause}"
        ))
    };
    let bytes = std::fs::metadata(path).map_err(failed)?.len();
    if bytes > key_systems::MAX_BYTES as u64 {
        let most = key_systems::MAX_BYTES;
        return Err(Failure::usage(anyhow!(
            "--pssh {given} has {bytes} bytes; at most {most} are allowed"
        )));
    }
    Ok((given.to_owned(), std::fs::read(path).map_err(failed)?))
}

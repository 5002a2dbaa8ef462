//! Who may have the keys of what is encrypted, said along with it.

use std::path::Path;

use anyhow::anyhow;
use vylux_pack::access::policy::PolicyDraft;
use vylux_pack::keys::{ContentId, KeyRing};
use vylux_pack::secret::{SecretText, Settings};

use super::{Args, PLAIN_POLICIES};
use crate::cli::access::policy::{check, read, set};
use crate::cli::failure::Failure;
use crate::cli::store::Store;

/// A policy that can be set.
pub struct NewPolicy {
    content_id: ContentId,
    json: SecretText,
    ring: KeyRing,
}

impl NewPolicy {
    /// The policy that the command line asks for, if it does. It is read and checked before anything is done; `store` is where it
    /// will be.
    pub fn read(args: &Args, settings: &Settings, store: Option<&Store>) -> Result<Option<Self>, Failure> {
        let Some(given) = &args.policy else { return Ok(None) };
        let json = if PLAIN_POLICIES.contains(&given.as_str()) {
            format!("{{\"type\":\"{given}\"}}").into()
        } else {
            read(Path::new(given), settings)?
        };
        PolicyDraft::parse(json.expose()).map_err(|error| Failure::usage(anyhow!("--policy {given}: {error}")))?;
        let ring = KeyRing::load(settings).map_err(Failure::usage)?;
        let content_id = args.content_id.clone();
        if let Some(store) = store {
            check(store, &ring, &content_id, json.expose())?;
        }
        Ok(Some(Self { content_id, json, ring }))
    }

    /// Gives the content that policy.
    pub fn set(&self, store: &Store) -> Result<(), Failure> {
        set(store, &self.ring, &self.content_id, self.json.expose()).map(|_| ())
    }
}

//! The arguments of every command that works on records alone.

use anyhow::anyhow;
use vylux_pack::keys::{ContentId, KeyRecord, store_url};
use vylux_pack::secret::{SecretText, Settings};

use super::Store;
use crate::cli::failure::Failure;
use crate::cli::records::is_missing_file;

/// Where the records are.
#[derive(clap::Args)]
pub struct StoreArgs {
    /// Record store [default: DATABASE_URL, else sqlite://vylux-pack.db]
    #[arg(long, value_name = "URL")]
    store: Option<String>,
}

impl StoreArgs {
    /// Opens the store; it is made if it isn't there.
    pub fn open_or_create(&self, settings: &Settings) -> Result<Store, Failure> {
        Ok(Store::open(self.url(settings)?.expose())?)
    }

    /// Opens the store that is there: a mistyped name makes no empty one.
    pub fn open(&self, settings: &Settings) -> Result<Store, Failure> {
        Ok(Store::open(self.url_of_one_that_is_there(settings)?.expose())?)
    }

    /// The URL of the store, which is there.
    pub fn url_of_one_that_is_there(&self, settings: &Settings) -> Result<SecretText, Failure> {
        let url = self.url(settings)?;
        if !is_missing_file(url.expose()) {
            return Ok(url);
        }
        // It is a file's name, and no secret.
        let url = url.expose();
        Err(Failure::work(anyhow!(
            "there is no record store {url}; name yours with --store or DATABASE_URL, or make one by encrypting or by \
             `vylux-pack keys import`"
        )))
    }

    fn url(&self, settings: &Settings) -> Result<SecretText, Failure> {
        store_url(self.store.clone(), settings).map_err(Failure::usage)
    }
}

/// The records of a content, of which there has to be one, or all.
pub fn list(store: &Store, content_id: Option<&ContentId>) -> Result<Vec<KeyRecord>, Failure> {
    let records = store.list(content_id).map_err(Failure::work)?;
    match content_id {
        Some(id) if records.is_empty() => Err(Failure::work(anyhow!("there is no key record of content '{id}'"))),
        _ => Ok(records),
    }
}

//! The keys of an output: from a file, or from the secrets and the records beside the output.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use vylux_pack::content_key::{ContentKey, Kid};
use vylux_pack::keys::{ContentId, KeyRecord, KeyRing, keys_file};
use vylux_pack::package::publish::KEYS_FILE;
use vylux_pack::secret::Settings;
use vylux_pack::verify::Rendition;

use super::key_file;
use crate::cli::failure::Failure;

/// The path of key URIs in front of the content ID.
const KEY_PATH: &str = "/api/key/";

/// Where keys are looked up.
pub enum Keys {
    /// In a file that somebody gave.
    Given(PathBuf, HashMap<Kid, ContentKey>),
    /// By the secrets.
    Secrets(Box<Secrets>),
}

/// Secrets and records, read when the first key is asked for: a clear output needs none.
pub struct Secrets {
    output: PathBuf,
    loaded: Option<Loaded>,
}

/// Secrets and records.
pub struct Loaded {
    ring: KeyRing,
    records: Vec<KeyRecord>,
}

impl Keys {
    pub fn new(key_file: Option<&Path>, output: &Path, quiet: bool) -> Result<Self, Failure> {
        Ok(match key_file {
            Some(path) => Self::Given(path.to_owned(), key_file::read(path, quiet)?),
            None => Self::Secrets(Box::new(Secrets {
                output: output.to_owned(),
                loaded: None,
            })),
        })
    }

    /// The key of that ID, which opens `rendition`.
    pub fn find(&mut self, kid: Kid, rendition: &Rendition) -> Result<ContentKey, Failure> {
        match self {
            Self::Given(path, keys) => keys.get(&kid).cloned().ok_or_else(|| {
                let playlist = rendition.playlist_file.display();
                Failure::usage(anyhow!(
                    "{} has no key of ID {kid}, which {playlist} needs",
                    path.display()
                ))
            }),
            Self::Secrets(secrets) => secrets.load()?.find(kid, rendition),
        }
    }

    /// The key at that URI, and its ID, which the records beside the output tell: segments that are encrypted as whole files
    /// don't.
    pub fn find_by_uri(&mut self, uri: &str, rendition: &Rendition) -> Result<(Kid, ContentKey), Failure> {
        let kid = match self {
            Self::Given(path, keys) => {
                let mut kids = keys.keys().copied();
                let (Some(only), None) = (kids.next(), kids.next()) else {
                    let (path, playlist) = (path.display(), rendition.playlist_file.display());
                    let what = "has no key ID, as its segments are encrypted as whole files: give a file of one key";
                    return Err(Failure::usage(anyhow!("{path}: which key opens {playlist}? It {what}")));
                };
                only
            }
            Self::Secrets(secrets) => {
                let loaded = secrets.load()?;
                let record = loaded.records.iter().find(|record| record.key_uri == uri);
                match (record, content_id(rendition)) {
                    (Some(record), _) => record.kid,
                    (None, Some(id)) => loaded.ring.primary().kid(&id, None),
                    (None, None) => {
                        let playlist = rendition.playlist_file.display();
                        let what = format!("{KEYS_FILE} has no record of the key at {uri:?}, which {playlist} needs");
                        return Err(Failure::usage(anyhow!("{what}; give --key-file")));
                    }
                }
            }
        };
        Ok((kid, self.find(kid, rendition)?))
    }
}

impl Secrets {
    fn load(&mut self) -> Result<&Loaded, Failure> {
        Ok(match &mut self.loaded {
            Some(loaded) => loaded,
            loaded => loaded.insert(Loaded::read(&self.output)?),
        })
    }
}

impl Loaded {
    fn read(output: &Path) -> Result<Self, Failure> {
        let settings = Settings::load().map_err(Failure::usage)?;
        let ring = KeyRing::load(&settings).map_err(Failure::usage)?;
        let path = output.join(KEYS_FILE);
        let records = if path.exists() {
            keys_file::read(&path).map_err(Failure::work)?
        } else {
            Vec::new()
        };
        Ok(Self { ring, records })
    }

    /// Unwraps the record's key. Without a record, the content ID in the key URI gives the key, if it gives its ID too.
    fn find(&self, kid: Kid, rendition: &Rendition) -> Result<ContentKey, Failure> {
        if let Some(record) = self.records.iter().find(|record| record.kid == kid) {
            return self.ring.unwrap(record).map_err(Failure::work);
        }
        let master = self.ring.primary();
        content_id(rendition)
            .filter(|id| master.kid(id, None) == kid)
            .map(|id| master.content_key(&id, None))
            .ok_or_else(|| {
                Failure::usage(anyhow!(
                    "no key of ID {kid}, which {} needs: {KEYS_FILE} has no record of it, and MASTER_KEY_HEX and SALT_HEX \
                     don't give it; set them to what the output was made with, or give --key-file",
                    rendition.playlist_file.display()
                ))
            })
    }
}

/// The content ID that a rendition's key URI names.
fn content_id(rendition: &Rendition) -> Option<ContentId> {
    let (_, behind) = rendition.key_uri()?.rsplit_once(KEY_PATH)?;
    behind.split('/').next()?.parse().ok()
}

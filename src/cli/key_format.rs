//! `--key-format`: what playlists tell players of keys, where it is not the keys themselves.

use anyhow::anyhow;
use vylux_pack::keys::KeyRecord;
use vylux_pack::package::hls::KeyFormat;
use vylux_pack::package::hls::key_format::{CLEAR_KEY, IDENTITY};
use vylux_pack::protect::Scheme;

use super::failure::Failure;
use super::output::shell_word;

/// What stands for a content's ID in `--key-uri`.
const CONTENT_ID: &str = "{content_id}";

/// What stands for a key's ID in `--key-uri`.
const KID: &str = "{kid}";

/// Options that say in what form players get keys.
#[derive(Debug, clap::Args)]
pub struct KeyFormatOptions {
    /// KEYFORMAT of the playlists' keys, e.g. com.apple.streamingkeydelivery [default: identity]
    #[arg(long = "key-format", id = "key_format", value_name = "FORMAT", value_parser = quoted)]
    name: Option<String>,
    /// KEYFORMATVERSIONS beside it, e.g. 1 or 1/2
    #[arg(long = "key-format-versions", value_name = "VERSIONS", requires = "key_format", value_parser = versions)]
    versions: Option<String>,
    /// Where players get keys of that format, e.g. skd://{content_id}/{kid} [default: the key server's URI]
    #[arg(long = "key-uri", value_name = "TEMPLATE", requires = "key_format", value_parser = quoted)]
    uri: Option<String>,
}

/// Text that may stand in quotes (RFC 8216bis, 4.2).
fn quoted(text: &str) -> Result<String, String> {
    match text.chars().find(|c| *c == '"' || c.is_control()) {
        _ if text.is_empty() => Err("is empty".to_owned()),
        Some(c) => Err(format!("{c:?} can't stand in a playlist's quotes")),
        None => Ok(text.to_owned()),
    }
}

/// Positive integers between slashes (RFC 8216bis, 4.4.4.4).
fn versions(text: &str) -> Result<String, String> {
    let is_version = |version: &str| version.parse::<u32>().is_ok_and(|version| version > 0);
    if text.split('/').all(is_version) {
        Ok(text.to_owned())
    } else {
        Err("expected integers above 0 with slashes between, such as 1 or 1/2/5".to_owned())
    }
}

impl KeyFormatOptions {
    /// What playlists say.
    pub fn format(&self) -> KeyFormat {
        KeyFormat {
            name: self.name.clone().unwrap_or_else(|| IDENTITY.to_owned()),
            versions: self.versions.clone(),
        }
    }

    /// Where playlists say that a record's key is.
    pub fn key_uri(&self, record: &KeyRecord) -> String {
        match &self.uri {
            None => record.key_uri.clone(),
            Some(template) => template
                .replace(CONTENT_ID, record.content_id.as_str())
                .replace(KID, &record.kid.to_string()),
        }
    }

    /// Refuses what no player could use. `keys` is how many there are.
    pub fn check(&self, scheme: Scheme, keys: usize) -> Result<(), Failure> {
        let Some(format) = &self.name else { return Ok(()) };
        let refused = |what: String| Err(Failure::usage(anyhow!(what)));
        if !matches!(scheme, Scheme::Samples(_)) {
            let scheme = scheme.name();
            return refused(format!(
                "--key-format is of schemes that protect samples, as cbcs; {scheme} has none"
            ));
        }
        match (format.as_str(), &self.uri) {
            (CLEAR_KEY, _) => refused(format!(
                "--key-format {CLEAR_KEY} is a set of playlists of its own; ask for it with --clearkey-playlists"
            )),
            (IDENTITY, Some(_)) => refused(format!(
                "--key-uri is for formats of others; keys of format {IDENTITY} come from the key server, whose place --base-url says"
            )),
            (_, Some(template)) if keys > 1 && !template.contains(KID) => refused(format!(
                "--key-uri {template} is one URI for {keys} keys, which players take for one key; put {KID} into it"
            )),
            _ => Ok(()),
        }
    }

    /// What was given, for a command line that can be copied.
    pub fn words(&self) -> String {
        let given = [
            ("--key-format", &self.name),
            ("--key-format-versions", &self.versions),
            ("--key-uri", &self.uri),
        ];
        let given = given
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_ref()?)));
        let words = given.flat_map(|(name, value)| {
            let value = shell_word(value.as_ref());
            [" ".to_owned(), name.to_owned(), " ".to_owned(), value]
        });
        words.collect()
    }
}

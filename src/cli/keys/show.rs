//! `vylux-pack keys show`: all that the records of a content say.

use std::io::{self, Write};

use anyhow::anyhow;
use vylux_pack::keys::{ContentId, KeyName, KeyRecord};
use vylux_pack::secret::Settings;

use crate::cli::failure::Failure;
use crate::cli::output;
use crate::cli::store::{self, StoreArgs};

/// Show the key records of a content whole
///
/// The content key stays wrapped: it is never printed.
#[derive(clap::Args)]
pub struct Args {
    /// The content
    content_id: ContentId,
    /// Only the key of this name
    #[arg(long, value_name = "NAME")]
    name: Option<KeyName>,
    #[command(flatten)]
    store: StoreArgs,
    /// Print the records as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let settings = Settings::load().map_err(Failure::usage)?;
    let store = args.store.open(&settings)?;
    let mut records = store::list(&store, Some(&args.content_id))?;
    if let Some(name) = &args.name {
        records.retain(|record| record.key_name.as_ref() == Some(name));
        if records.is_empty() {
            let what = format!("content '{}' has no key named '{name}'", args.content_id);
            return Err(Failure::work(anyhow!(what)));
        }
    }
    if args.json {
        output::json(&records)?;
    } else {
        for (index, record) in records.iter().enumerate() {
            print_record(record, index > 0)?;
        }
    }
    Ok(())
}

/// The fields of a record by the names that they have in `keys.json`.
fn print_record(record: &KeyRecord, is_later: bool) -> io::Result<()> {
    let fields = serde_json::to_value(record)?;
    let fields = fields.as_object().into_iter().flatten();
    let width = fields.clone().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut out = anstream::stdout().lock();
    if is_later {
        writeln!(out)?;
    }
    for (name, value) in fields {
        let value = value
            .as_str()
            .map_or_else(|| "-".to_owned(), |text| text.escape_debug().to_string());
        writeln!(out, "{name:<width$}  {value}")?;
    }
    Ok(())
}

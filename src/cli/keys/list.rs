//! `vylux-pack keys list`: one line a record.

use vylux_pack::keys::{ContentId, KeyRecord};
use vylux_pack::secret::Settings;

use crate::cli::failure::Failure;
use crate::cli::output;
use crate::cli::store::{self, StoreArgs};

/// List key records
#[derive(clap::Args)]
pub struct Args {
    /// Only the records of this content
    #[arg(long, value_name = "ID")]
    content_id: Option<ContentId>,
    #[command(flatten)]
    store: StoreArgs,
    /// Print the records as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let settings = Settings::load().map_err(Failure::usage)?;
    let store = args.store.open(&settings)?;
    let records = store::list(&store, args.content_id.as_ref())?;
    if args.json {
        output::json(&records)?;
    } else {
        output::table(HEADINGS, records.iter().map(cells))?;
    }
    Ok(())
}

const HEADINGS: [&str; 8] = [
    "CONTENT ID",
    "KEY NAME",
    "KEY ID",
    "SCHEME",
    "CREATED",
    "KEK VERSION",
    "MASTER ID",
    "GENERATION",
];

/// A record's line. An imported record may hold anything, so that control characters are escaped.
fn cells(record: &KeyRecord) -> [String; 8] {
    [
        record.content_id.to_string(),
        record
            .key_name
            .as_ref()
            .map_or_else(|| "-".to_owned(), ToString::to_string),
        record.kid.to_string(),
        record.scheme.escape_debug().to_string(),
        record.created_at.to_string(),
        record.kek_version.escape_debug().to_string(),
        record.master_key_id.escape_debug().to_string(),
        record
            .generation
            .map_or_else(|| "-".to_owned(), |generation| generation.to_string()),
    ]
}

//! `vylux-pack keys list`: one line a record.

use std::io::{self, BufWriter, Write};

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
        print_table(&records)?;
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

fn print_table(records: &[KeyRecord]) -> io::Result<()> {
    let rows: Vec<_> = records.iter().map(cells).collect();
    let mut widths = HEADINGS.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &[String]| {
        let cells = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut out = BufWriter::new(anstream::stdout().lock());
    writeln!(out, "\x1b[1m{}\x1b[0m", line(&HEADINGS.map(str::to_owned)))?;
    for row in &rows {
        writeln!(out, "{}", line(row))?;
    }
    out.flush()
}

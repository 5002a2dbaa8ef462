//! What a command prints: a report on standard output, notes on standard error.

#[cfg(feature = "store")]
use std::io::BufWriter;
use std::io::{self, Write};
use std::path::Path;

/// Prints a line of the report on standard output.
macro_rules! report {
    ($($arg:tt)*) => {
        std::io::Write::write_fmt(&mut anstream::stdout(), format_args!("{}\n", format_args!($($arg)*)))
    };
}
pub(super) use report;

/// Prints a warning on standard error.
pub fn warn(text: &str) {
    // Where standard error is closed, nobody wants warnings.
    let _ = writeln!(anstream::stderr(), "\x1b[1;33mwarning\x1b[0m: {text}");
}

/// Prints one JSON document on standard output.
pub fn json(document: &impl serde::Serialize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, document)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Prints a table on standard output.
#[cfg(feature = "store")]
pub fn table<const COLUMNS: usize>(
    headings: [&str; COLUMNS],
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
) -> io::Result<()> {
    let rows: Vec<_> = rows.into_iter().collect();
    let mut widths = headings.map(str::len);
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
    writeln!(out, "\x1b[1m{}\x1b[0m", line(&headings.map(str::to_owned)))?;
    for row in &rows {
        writeln!(out, "{}", line(row))?;
    }
    out.flush()
}

/// A path as a word of a command line that can be copied.
pub fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+' | '=' | ':' | '@' | '%');
    if !text.is_empty() && text.chars().all(is_plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

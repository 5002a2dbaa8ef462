//! `vylux-pack inspect`: the boxes of any MP4, its tracks and their protection.

mod document;
mod text;

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use vylux_pack::isobmff::scan::ScanError;
use vylux_pack::isobmff::survey::{Survey, TopBox};
use vylux_pack::isobmff::{BoxError, BoxPath, Node, Problem};
use vylux_pack::media::{self, Cause, InputError, Source, Summary};

use super::failure::Failure;

/// Show the boxes of any MP4 with offsets, its tracks and their protection
///
/// Works on whole files, and on init and media segments alone, encrypted or not. What is damaged is shown where it
/// stands, the rest is shown all the same, and the exit code is 3 then. Media data is not read.
#[derive(clap::Args)]
pub struct Args {
    /// An MP4 file or segment
    file: PathBuf,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let source = Source::open(&args.file).map_err(|error| unreadable(&args.file, error.into()))?;
    check_is_mp4(&args.file, &source)?;
    let mut inspection = Inspection::default();
    if args.json {
        document::write(&args.file, &source, &mut inspection)?;
    } else {
        text::write(&source, &mut inspection)?;
    }
    if let Some(error) = inspection.unreadable {
        return Err(unreadable(&args.file, error.into()));
    }
    let what = match inspection.error_count {
        0 => return Ok(()),
        1 => "1 error".to_owned(),
        count => format!("{count} errors"),
    };
    Err(Failure::input(anyhow!("{}: {what} in its boxes", args.file.display())))
}

fn unreadable(path: &Path, cause: Cause) -> Failure {
    let path = path.to_owned();
    InputError { path, cause }.into()
}

/// A file that begins with nothing known is something else; a tree of errors would only hide that.
fn check_is_mp4(path: &Path, source: &Source) -> Result<(), Failure> {
    let is_known = match Survey::new(source, media::max_box_bytes).next() {
        Some(Ok(first)) => media::stands_at_top(first.header.kind) || !first.is_cut_off,
        Some(Err(ScanError::Io { cause, .. })) => return Err(unreadable(path, cause.into())),
        Some(Err(ScanError::Box(_))) | None => false,
    };
    if is_known {
        return Ok(());
    }
    let what = if source.bytes() == 0 {
        "the file is empty"
    } else {
        "not an MP4 file: it begins with no box of one, such as ftyp, styp, moov or moof"
    };
    let error = BoxError {
        path: BoxPath::default(),
        offset: 0,
        problem: Problem::Unsupported(what.into()),
    };
    Err(unreadable(path, error.into()))
}

/// What is found on the way through the boxes.
#[derive(Default)]
struct Inspection {
    summary: Summary,
    /// The first [`MAX_ERRORS`] of the errors.
    errors: Vec<BoxError>,
    error_count: usize,
    /// Reading failed, and ended there.
    unreadable: Option<ScanError>,
}

/// As many errors are listed in a JSON document; all are counted.
const MAX_ERRORS: usize = 1000;

impl Inspection {
    /// Looks into a box at the top of the file. What is wrong with it comes in the order of the file.
    fn look<'t>(&mut self, top: &'t TopBox) -> (Option<Node<'t>>, Vec<BoxError>) {
        let (node, mut errors) = top.read();
        if let Some(node) = &node {
            self.summary.add(node, &mut errors);
        }
        errors.sort_by_cached_key(|error| (error.offset, error.to_string()));
        errors.dedup();
        for error in &errors {
            self.note(error);
        }
        (node, errors)
    }

    fn note(&mut self, error: &BoxError) {
        self.error_count += 1;
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(error.clone());
        }
    }
}

//! Init and media segments that are given as files of their own, as DASH packagers leave them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Cause, InputError, Source};
use crate::isobmff::scan::TopLevel;

/// How files are called that hold segments; others in a folder are none of them.
const EXTENSIONS: &[&str] = &["mp4", "m4s", "m4v", "m4a", "cmfv", "cmfa"];

/// The files of each input: most are alone, and media segments belong to the init segment in front of them.
///
/// A folder stands for the segments in it: its one init segment, and the others in the order of the numbers in their names.
///
/// # Errors
/// [`InputError`] naming what can't be read, or stands alone.
pub(super) fn group(paths: &[impl AsRef<Path>]) -> Result<Vec<Vec<PathBuf>>, InputError> {
    let mut groups: Vec<Vec<PathBuf>> = Vec::new();
    for path in paths {
        let path = path.as_ref();
        if path.is_dir() {
            groups.push(folder(path)?);
        } else if !is_segment(path) {
            groups.push(vec![path.to_owned()]);
        } else if let Some(group) = groups.last_mut() {
            group.push(path.to_owned());
        } else {
            return Err(refused(path, "a media segment; give its init segment in front of it"));
        }
    }
    Ok(groups)
}

/// The segments in a folder, the init segment first.
fn folder(folder: &Path) -> Result<Vec<PathBuf>, InputError> {
    let failed = |cause: io::Error| InputError {
        path: folder.to_owned(),
        cause: cause.into(),
    };
    let (mut inits, mut segments) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if extension.is_some_and(|extension| EXTENSIONS.contains(&extension)) && path.is_file() {
            let kind = if is_segment(&path) { &mut segments } else { &mut inits };
            kind.push(path);
        }
    }
    match inits.as_slice() {
        [_] if !segments.is_empty() => {
            segments.sort_by_cached_key(|path| natural(&path.to_string_lossy()));
            inits.append(&mut segments);
            Ok(inits)
        }
        [_] => Err(refused(
            folder,
            "a folder with a film and no media segments; give the file",
        )),
        [] => Err(refused(
            folder,
            "a folder without an init segment; of an HLS tree, give the playlist",
        )),
        _ => {
            let what = "a folder with several init segments; give each with its media segments behind it, or the \
                        playlist of an HLS tree";
            Err(refused(folder, what))
        }
    }
}

/// Whether a file is a media segment: it has a fragment, and no movie box in front of it. What is damaged, or no
/// file, is left to who reads it.
fn is_segment(path: &Path) -> bool {
    let Ok(source) = Source::open(path) else { return false };
    let kinds = TopLevel::new(&source).map_while(Result::ok).map(|header| header.kind.0);
    let first = kinds.into_iter().find(|kind| kind == b"moov" || kind == b"moof");
    first.is_some_and(|kind| kind == *b"moof")
}

/// What a name is sorted by: text, and numbers by their size.
fn natural(name: &str) -> Vec<(String, usize, String)> {
    let mut parts = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let text_end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (text, behind) = rest.split_at(text_end);
        let number_end = behind.find(|c: char| !c.is_ascii_digit()).unwrap_or(behind.len());
        let (number, behind) = behind.split_at(number_end);
        let number = number.trim_start_matches('0');
        parts.push((text.to_owned(), number.len(), number.to_owned()));
        rest = behind;
    }
    parts
}

fn refused(path: &Path, what: &'static str) -> InputError {
    InputError {
        path: path.to_owned(),
        cause: Cause::Segments(what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_by_their_numbers() {
        let mut names = ["s_10.m4s", "s_9.m4s", "s_010b.m4s", "s_1.m4s", "r_11.m4s"];
        names.sort_by_cached_key(|name| natural(name));
        assert_eq!(names, ["r_11.m4s", "s_1.m4s", "s_9.m4s", "s_10.m4s", "s_010b.m4s"]);
    }
}

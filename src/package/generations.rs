//! Generations of one output: what was encrypted under older master keys stays beside the newest, until it is retired.
//!
//! ```text
//! OUT/master.m3u8, keys.json     of the newest generation; keys.json has the records of all
//! OUT/video, audio, text         the first generation
//! OUT/83ac19f0/video, ...        a later one
//! ```
//!
//! A generation's folders hold all that caches may keep for ever. So players that have read an older multivariant playlist
//! go on, and no URL ever has other bytes.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use super::publish::sync_folder;
use super::{PackageError, Staging};
use crate::content_key::Generation;

/// Where the first generation lies.
pub const FIRST: &[&str] = &["video", "audio", "text"];

/// The folders of a generation, at the top of an output.
#[must_use]
pub fn folders(generation: Option<Generation>) -> Vec<String> {
    match generation {
        None => FIRST.iter().map(|&name| name.to_owned()).collect(),
        Some(generation) => vec![generation.to_string()],
    }
}

/// The generations that an output holds, by its folders.
///
/// # Errors
/// That of reading the folder.
pub fn find(output: &Path) -> io::Result<BTreeSet<Option<Generation>>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(output)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !entry.file_type()?.is_dir() {
            continue;
        }
        if FIRST.contains(&&*name) {
            found.insert(None);
        } else if let Ok(generation) = name.parse() {
            found.insert(Some(generation));
        }
    }
    Ok(found)
}

/// Whether a playlist at the top of an output names files in one of its folders.
#[must_use]
pub fn is_named(playlist: &str, folder: &str) -> bool {
    let mut uris = playlist.split(['\n', '"']);
    uris.any(|uri| uri.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')))
}

/// Gives the files of an output's generations a second name in the one that takes its place; what the output does not have is
/// none to keep.
///
/// # Errors
/// [`PackageError::Write`].
pub fn keep(staging: &Staging, generations: &BTreeSet<Option<Generation>>) -> Result<(), PackageError> {
    for folder in generations.iter().copied().flat_map(folders) {
        let from = staging.output().join(&folder);
        if from.is_dir() {
            link_tree(&from, &staging.folder().join(&folder))?;
        }
    }
    Ok(())
}

/// Takes generations out of the output that `bin` is beside, folder by folder, each in one step, and flushes that to disk.
/// Returns the folders that were there. What is moved into `bin` goes with it, or with the next run's, where this one is killed.
///
/// # Errors
/// [`PackageError::Write`]; what is gone by then stays gone.
pub fn remove(bin: &Staging, generations: &BTreeSet<Option<Generation>>) -> Result<Vec<String>, PackageError> {
    let mut removed = Vec::new();
    let output = bin.output();
    for folder in generations.iter().copied().flat_map(folders) {
        let path = output.join(&folder);
        match fs::rename(&path, bin.folder().join(&folder)) {
            Ok(()) => removed.push(folder),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(PackageError::write(&path, error)),
        }
    }
    sync_folder(output)?;
    Ok(removed)
}

fn link_tree(from: &Path, to: &Path) -> Result<(), PackageError> {
    let failed = |path: &Path, cause| PackageError::write(path, cause);
    fs::create_dir(to).map_err(|cause| failed(to, cause))?;
    for entry in fs::read_dir(from).map_err(|cause| failed(from, cause))? {
        let entry = entry.map_err(|cause| failed(from, cause))?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            link_tree(&from, &to)?;
        } else if fs::hard_link(&from, &to).is_err() {
            // Not every file system has second names.
            fs::copy(&from, &to).map_err(|cause| failed(&to, cause))?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_playlist_names_a_folder_by_its_uris() {
        let playlist =
            "#EXTM3U\n#EXT-X-MEDIA:URI=\"0a1b2c3d/audio/en/playlist.m3u8\"\n#EXT-X-STREAM-INF:A=1\nvideo/p.m3u8\n";
        for (folder, expected) in [
            ("video", true),
            ("0a1b2c3d", true),
            ("audio", false),
            ("text", false),
            ("vid", false),
        ] {
            assert_eq!(is_named(playlist, folder), expected, "{folder}");
        }
    }

    #[test]
    fn generations_are_kept_and_removed_by_their_folders() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("out");
        let newest = Generation([1; 4]);
        for path in ["video/720p", "audio/en", "01010101/video/720p", "other"] {
            fs::create_dir_all(output.join(path)).unwrap();
            fs::write(output.join(path).join("file"), path).unwrap();
        }
        assert_eq!(find(&output).unwrap(), BTreeSet::from([None, Some(newest)]));
        let first = BTreeSet::from([None]);

        let staging = Staging::beside(&output).unwrap();
        keep(&staging, &first).unwrap();
        assert_eq!(find(staging.folder()).unwrap(), first);
        let kept = staging.folder().join("video/720p/file");
        assert_eq!(fs::read_to_string(kept).unwrap(), "video/720p");
        drop(staging);

        let remove = || remove(&Staging::beside(&output).unwrap(), &first).unwrap();
        assert_eq!(remove(), ["video", "audio"]);
        assert_eq!(remove(), Vec::<String>::new());
        assert_eq!(find(&output).unwrap(), BTreeSet::from([Some(newest)]));
        assert!(output.join("other/file").exists());
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "nothing is left beside it"
        );
    }
}

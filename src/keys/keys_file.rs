//! `keys.json`: the key records beside an output.
//!
//! ```json
//! { "version": 1, "records": [ { "content_id": "movie-1", "kid": "...", ... } ] }
//! ```

use std::fs::{File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::KeyRecord;

/// The version that is written, and the only one that is read.
const VERSION: u64 = 1;

/// A file is at most this long, which is some 100,000 records; one output has a handful.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// `keys.json` can't be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysFileError {
    /// The file can't be read.
    #[error("{path} can't be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file can't be written.
    #[error("{path} can't be written")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is larger than any `keys.json`.
    #[error("{path} is longer than {MAX_BYTES} bytes; expected a keys.json of vylux-pack")]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// The file holds something else.
    #[error("{path} is no keys.json of vylux-pack")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was expected, with line and column.
        source: serde_json::Error,
    },
    /// The file is of a later vylux-pack.
    #[error("{path} has version {found}, and this vylux-pack reads version {VERSION}; use a newer one")]
    Version {
        /// The file.
        path: PathBuf,
        /// The version that it states.
        found: u64,
    },
}

#[derive(Serialize, Deserialize)]
struct KeysFile<Records> {
    version: u64,
    records: Records,
}

/// Reads the records of a `keys.json`.
///
/// # Errors
/// [`KeysFileError`] if it can't be read, is too long, malformed, or of another version.
pub fn read(path: &Path) -> Result<Vec<KeyRecord>, KeysFileError> {
    let path_buf = || path.to_owned();
    let mut text = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut text))
        .map_err(|source| KeysFileError::Read {
            path: path_buf(),
            source,
        })?;
    if text.len() as u64 > MAX_BYTES {
        return Err(KeysFileError::TooLong { path: path_buf() });
    }
    let malformed = |source| KeysFileError::Malformed {
        path: path_buf(),
        source,
    };
    // The version first: what the records look like depends on it.
    let KeysFile { version, .. } =
        serde_json::from_slice::<KeysFile<serde::de::IgnoredAny>>(&text).map_err(malformed)?;
    if version != VERSION {
        return Err(KeysFileError::Version {
            path: path_buf(),
            found: version,
        });
    }
    let file: KeysFile<Vec<KeyRecord>> = serde_json::from_slice(&text).map_err(malformed)?;
    Ok(file.records)
}

/// The text of a file of records, ordered by content, key name and key ID.
///
/// # Errors
/// None that can come up: records are text and lists.
pub fn to_json(records: &[KeyRecord]) -> io::Result<Vec<u8>> {
    let mut records: Vec<&KeyRecord> = records.iter().collect();
    records.sort_by_key(|record| (&record.content_id, &record.key_name, record.kid));
    let file = KeysFile {
        version: VERSION,
        records,
    };
    let mut text = serde_json::to_vec_pretty(&file)?;
    text.push(b'\n');
    Ok(text)
}

/// Writes [`to_json`] in place of whatever the path holds.
///
/// The file appears whole or not at all. It holds no secret, and its mode is that of any new file.
///
/// # Errors
/// [`KeysFileError::Write`].
pub fn write(path: &Path, records: &[KeyRecord]) -> Result<(), KeysFileError> {
    write_atomically(path, records).map_err(|source| KeysFileError::Write {
        path: path.to_owned(),
        source,
    })
}

fn write_atomically(path: &Path, records: &[KeyRecord]) -> io::Result<()> {
    let text = to_json(records)?;
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)?;
    file.write_all(&text)?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::keys::record::tests::record;

    #[test]
    fn records_come_back_in_a_stable_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        let named = KeyRecord {
            key_name: Some("a".parse().unwrap()),
            ..record("a", 1)
        };
        let ordered = [record("a", 2), record("a", 3), named, record("b", 1)];
        let mut shuffled = ordered.clone();
        shuffled.reverse();
        write(&path, &shuffled).unwrap();
        let first = std::fs::read(&path).unwrap();
        assert_eq!(read(&path).unwrap(), ordered);
        assert!(first.starts_with(b"{\n  \"version\": 1,\n  \"records\": [\n"));

        write(&path, &ordered).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), first);
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            1,
            "nothing is left behind"
        );
        let plain = folder.path().join("plain");
        std::fs::write(&plain, "").unwrap();
        let mode = |path| std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&path), mode(&plain), "readable for whom any new file is");
    }

    #[test]
    fn other_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        for (text, expected) in [
            ("", "EOF while parsing a value at line 1 column 0"),
            ("{\"version\": 1}", "missing field `records`"),
            ("{\"version\": 1, \"records\": [{}]}", "missing field `content_id`"),
            ("{\"version\": 2, \"records\": {\"other\": 1}}", "has version 2"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = read(&path).unwrap_err();
            let source = std::error::Error::source(&error).map(ToString::to_string);
            let shown = format!("{error}: {}", source.unwrap_or_default());
            assert!(shown.contains(expected), "{shown}");
        }
        File::create(&path).unwrap().set_len(MAX_BYTES + 1).unwrap();
        assert!(matches!(read(&path), Err(KeysFileError::TooLong { .. })));
        assert!(matches!(
            read(&folder.path().join("none")),
            Err(KeysFileError::Read { .. })
        ));
        let error = write(&folder.path().join("none/keys.json"), &[]).unwrap_err();
        assert!(matches!(error, KeysFileError::Write { .. }));
    }
}

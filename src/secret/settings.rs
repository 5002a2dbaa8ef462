//! The process environment over the `.env` file of the working directory.

use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::source::read_limited;

/// Every setting by its name. It has no `Debug`, because secrets are among the values.
pub struct Settings(HashMap<String, Zeroizing<String>>);

/// The `.env` file can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// It is there and can't be read.
    #[error("{path} can't be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line is not an assignment.
    #[error(
        "{path}, line {line}: expected NAME=value, or # and a comment; quote a value that holds spaces, and close every quote"
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line that the assignment starts on, from 1. The line itself may hold a secret and is not shown.
        line: usize,
    },
}

impl Settings {
    /// Reads `.env` of the working directory, if there is one, and lays the process environment over it.
    ///
    /// The process environment itself is never changed, so a child process sees what it saw before.
    ///
    /// # Errors
    /// [`SettingsError`] if `.env` is there and can't be read or is malformed.
    pub fn load() -> Result<Self, SettingsError> {
        Self::read(Path::new(".env"), std::env::vars_os())
    }

    /// Reads a file in the form of `.env`, if it is there, and lays `environment` over it.
    ///
    /// # Errors
    /// [`SettingsError`] if the file is there and can't be read or is malformed.
    pub fn read(dotenv: &Path, environment: impl Iterator<Item = (OsString, OsString)>) -> Result<Self, SettingsError> {
        let mut settings = read_dotenv(dotenv)?;
        // A name or value that isn't UTF-8 becomes one that no setting accepts, rather than one that isn't there.
        let text = |os: OsString| os.into_string().unwrap_or_else(|os| os.to_string_lossy().into_owned());
        settings.extend(environment.map(|(name, value)| (text(name), Zeroizing::new(text(value)))));
        Ok(Self(settings))
    }

    /// A plain setting, or `None` if it isn't set. Secrets have [`Settings::secret`] and [`Settings::secret32`].
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        self.raw(name).map(str::to_owned)
    }

    pub(super) fn raw(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.as_str())
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Settings {
    /// Settings that are given, for tests and for programs that configure themselves.
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let pairs = pairs.into_iter();
        Self(
            pairs
                .map(|(name, value)| (name.into(), Zeroizing::new(value.into())))
                .collect(),
        )
    }
}

fn read_dotenv(path: &Path) -> Result<HashMap<String, Zeroizing<String>>, SettingsError> {
    let failed = |source| SettingsError::Read {
        path: path.to_owned(),
        source,
    };
    let text = match File::open(path).and_then(read_limited) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashMap::new()),
        Err(error) => return Err(failed(error)),
    };
    let lines_read = Cell::new(0);
    let lines = Lines {
        rest: text.as_bytes(),
        lines_read: &lines_read,
    };
    let mut settings = HashMap::new();
    for assignment in dotenvy::Iter::new(lines) {
        let (name, value) = assignment.map_err(|error| match error {
            dotenvy::Error::Io(source) => failed(source),
            dotenvy::Error::LineParse(assignment, _) => SettingsError::Malformed {
                path: path.to_owned(),
                line: lines_read.get() + 1 - Zeroizing::new(assignment).lines().count().max(1),
            },
            _ => failed(io::ErrorKind::InvalidData.into()),
        })?;
        settings.insert(name, Zeroizing::new(value));
    }
    Ok(settings)
}

/// Hands out one line a read and counts them: dotenvy's errors quote the line, which may hold a secret, and lack its number.
struct Lines<'a> {
    rest: &'a [u8],
    lines_read: &'a Cell<usize>,
}

impl Read for Lines<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let end = self.rest.iter().position(|byte| *byte == b'\n');
        let line_bytes = end.map_or(self.rest.len(), |end| end + 1);
        let read = self.rest.take(line_bytes as u64).read(buffer)?;
        if read > 0 && read == line_bytes {
            self.lines_read.set(self.lines_read.get() + 1);
        }
        self.rest = self.rest.get(read..).unwrap_or_default();
        Ok(read)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn read(dotenv: &str, environment: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        std::fs::write(&path, dotenv).unwrap();
        Settings::read(
            &path,
            environment.iter().map(|(name, value)| (name.into(), value.into())),
        )
    }

    #[test]
    fn the_environment_lies_over_the_file() {
        let settings = read("A=file\nB='from file' # note\n", &[("A", "environment"), ("C", "")]).unwrap();
        assert_eq!(settings.get("A").as_deref(), Some("environment"));
        assert_eq!(settings.get("B").as_deref(), Some("from file"));
        assert_eq!(settings.get("C").as_deref(), Some(""));
        assert_eq!(settings.get("D"), None);
        assert!(
            std::env::var_os("B").is_none(),
            "the process environment stays as it was"
        );
    }

    #[test]
    fn a_missing_file_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings::read(&folder.path().join(".env"), std::iter::empty()).unwrap();
        assert_eq!(settings.get("A"), None);
    }

    #[test]
    fn a_malformed_file_names_the_line_and_shows_nothing_of_it() {
        let long = format!("# {}\nA=1\nhunter2 hunter2", "long ".repeat(4000));
        for (dotenv, line) in [
            ("hunter2", 1),
            ("A=1\n\n# note\nKEY hunter2\nB=2", 4),
            ("A=1\r\nKEY=hunter2 hunter2\r\n", 2),
            ("A='1\n2'\nB=\"hunter2\nhunter2\n", 3),
            ("A=1\nB='hunter2", 2),
            (long.as_str(), 3),
        ] {
            let error = read(dotenv, &[]).err().unwrap();
            let shown = format!("{error} {error:?}");
            assert!(
                shown.contains(&format!("line {line}:")),
                "{dotenv:?}, line {line}: {shown}"
            );
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn an_unreadable_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let error = Settings::read(folder.path(), std::iter::empty()).err().unwrap();
        assert!(matches!(error, SettingsError::Read { .. }), "{error:?}");
    }
}

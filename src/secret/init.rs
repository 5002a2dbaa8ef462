//! A fresh `.env`, for a first run.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{KEY_TOKEN_SECRET, MASTER_KEY_HEX, SALT_HEX};

/// The `.env` can't be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// There is one, whose keys may be in use.
    #[error(
        "{path} is there already and is never overwritten: what was encrypted with its keys can be played with no others. Keep it, or move it away first"
    )]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The folder or the disk refuses it.
    #[error("{path} can't be written")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The operating system gives no random bytes.
    #[error("the operating system gives no random bytes")]
    Random(#[from] getrandom::Error),
}

/// Writes `.env` with fresh secrets into a folder and returns its path.
///
/// Only its owner may read it from the moment it exists, it appears whole or not at all, and it
/// never replaces another.
///
/// # Errors
/// [`InitError`] if there is a `.env` already, or it can't be written.
pub fn write_env(dir: &Path) -> Result<PathBuf, InitError> {
    let path = dir.join(".env");
    let failed = |source| InitError::Write {
        path: path.clone(),
        source,
    };
    let text = fresh_env()?;
    // A temporary file has mode 0600 from its creation.
    let mut file = tempfile::NamedTempFile::new_in(dir).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    // A lost master key can't be had back, so it is on the disk before anything is encrypted with it.
    file.as_file().sync_all().map_err(failed)?;
    match file.persist_noclobber(&path) {
        Ok(_) => Ok(path),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Err(InitError::Exists { path }),
        Err(error) => Err(failed(error.error)),
    }
}

fn fresh_env() -> Result<Zeroizing<String>, getrandom::Error> {
    let (master_key, salt, token_secret) = (fresh_hex()?, fresh_hex()?, fresh_hex()?);
    Ok(Zeroizing::new(format!(
        "\
# Secrets of vylux-pack. Keep this file private, out of version control, and BACK IT UP: whoever has it
# can decrypt everything, and without it nothing can be decrypted or encrypted in the same way again.
# Any secret can instead come from a file (NAME_FILE) or from a command's output (NAME_COMMAND).

# Content keys, key IDs and IVs are derived from these two, 64 hexadecimal digits each.
{MASTER_KEY_HEX}={master}
{SALT_HEX}={salt}

# The key server checks players' tokens with this; your application signs them with it.
{KEY_TOKEN_SECRET}={token}

# Where players reach the key server; it becomes part of every playlist.
BASE_URL=http://localhost:4100
",
        master = *master_key,
        salt = *salt,
        token = *token_secret,
    )))
}

fn fresh_hex() -> Result<Zeroizing<String>, getrandom::Error> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(bytes.as_mut_slice())?;
    Ok(Zeroizing::new(hex::encode(*bytes)))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::secret::Settings;

    fn settings_of(path: &Path) -> Settings {
        dotenvy::from_path_iter(path).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn a_fresh_env_holds_usable_secrets_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = write_env(folder.path()).unwrap();
        assert_eq!(path, folder.path().join(".env"));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);

        let settings = settings_of(&path);
        let master = settings.secret32(MASTER_KEY_HEX).ok().flatten().unwrap();
        let salt = settings.secret32(SALT_HEX).ok().flatten().unwrap();
        assert_ne!(master.expose(), salt.expose());
        assert_eq!(
            settings.secret(KEY_TOKEN_SECRET).ok().flatten().unwrap().expose().len(),
            64
        );
        assert_eq!(settings.get("BASE_URL").as_deref(), Some("http://localhost:4100"));
    }

    #[test]
    fn an_env_is_never_overwritten_and_nothing_is_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = write_env(folder.path()).unwrap();
        let first = std::fs::read(&path).unwrap();
        let error = write_env(folder.path()).unwrap_err();
        assert!(matches!(error, InitError::Exists { .. }), "{error:?}");
        assert_eq!(std::fs::read(&path).unwrap(), first);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn of_many_at_once_one_wins() {
        let folder = tempfile::tempdir().unwrap();
        let written = std::thread::scope(|scope| {
            let all: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| write_env(folder.path()).is_ok()))
                .collect();
            all.into_iter().map(|one| one.join().unwrap()).filter(|ok| *ok).count()
        });
        assert_eq!(written, 1);
    }

    #[test]
    fn a_missing_folder_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let error = write_env(&folder.path().join("nowhere")).unwrap_err();
        assert!(matches!(error, InitError::Write { .. }), "{error:?}");
    }
}

//! Where the record store is, as the command line and the settings say.

use url::Url;

use crate::secret::{SecretError, SecretText, Settings};

/// The variable that names the record store. Its URL may hold a password, so it is read as a secret is.
pub const DATABASE_URL: &str = "DATABASE_URL";

/// Where records are kept when nothing else is said.
pub const DEFAULT_STORE: &str = "sqlite://vylux-pack.db";

/// The record store's URL can't be used. No part of it is shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreUrlError {
    /// The setting can't be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A password among the arguments, which every user of the machine can list.
    #[error(
        "--store holds a password, and arguments can be seen by others on this machine: set DATABASE_URL, DATABASE_URL_FILE or DATABASE_URL_COMMAND instead, and change the password"
    )]
    PasswordInArgument,
}

/// The store's URL: what `--store` says, else `DATABASE_URL`, `DATABASE_URL_FILE` or `DATABASE_URL_COMMAND`, else
/// [`DEFAULT_STORE`].
///
/// # Errors
/// [`StoreUrlError`] if it can't be read, or has a password where others see it.
pub fn store_url(argument: Option<String>, settings: &Settings) -> Result<SecretText, StoreUrlError> {
    match argument {
        Some(url) if has_password(&url) => Err(StoreUrlError::PasswordInArgument),
        Some(url) => Ok(SecretText::from(url)),
        None => {
            let set = settings.secret(DATABASE_URL)?;
            Ok(set.unwrap_or_else(|| SecretText::from(DEFAULT_STORE.to_owned())))
        }
    }
}

/// Whether a URL holds a password, before the host or among its parameters.
fn has_password(url: &str) -> bool {
    if url.starts_with("sqlite:") {
        // The rest is a path.
        return false;
    }
    match Url::parse(url) {
        Ok(url) => url.password().is_some() || url.query_pairs().any(|(name, _)| name == "password"),
        // What can't be read may be a password with characters that stand for themselves in no URL.
        Err(_) => url.contains('@'),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_no_argument() {
        for url in [
            "postgres://films:hunter2@db/films",
            "postgres://:hunter2@db/films",
            "postgres://db/films?user=films&password=hunter2",
            "postgres://films:hunter2 is it@db:port/films",
        ] {
            let error = store_url(Some(url.to_owned()), &Settings::from_iter([("", ""); 0]))
                .err()
                .unwrap();
            let shown = format!("{error} {error:?}");
            assert!(matches!(error, StoreUrlError::PasswordInArgument), "{url}: {shown}");
            assert!(!shown.contains("hunter2"), "{shown}");
        }
        for url in [
            "postgres://films@db/films",
            "sqlite://a:b@c.db",
            "sqlite:keys.db",
            "keys.db",
        ] {
            let found = store_url(Some(url.to_owned()), &Settings::from_iter([("", ""); 0])).unwrap();
            assert_eq!(found.expose(), url);
        }
    }

    #[test]
    fn the_setting_is_read_as_a_secret() {
        let url = |name: &str, value: &str| store_url(None, &Settings::from_iter([(name, value)]));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("url");
        std::fs::write(&file, "postgres://films:hunter2@db/films\n").unwrap();
        let expected = "postgres://films:hunter2@db/films";
        assert_eq!(url("DATABASE_URL", expected).unwrap().expose(), expected);
        assert_eq!(
            url("DATABASE_URL_FILE", file.to_str().unwrap()).unwrap().expose(),
            expected
        );
        assert_eq!(
            url("DATABASE_URL_COMMAND", &format!("echo {expected}"))
                .unwrap()
                .expose(),
            expected
        );
        assert_eq!(url("OTHER", "").unwrap().expose(), DEFAULT_STORE);
        let error = url("DATABASE_URL_FILE", "hunter2").err().unwrap();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
}

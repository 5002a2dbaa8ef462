//! How a command ends that did not do its work.

use std::io::{self, Write};
use std::process::ExitCode;

#[cfg(feature = "store")]
use vylux_pack::keys::store::StoreError;
use vylux_pack::media::InputError;
use vylux_pack::media::tree::TreeError;
use vylux_pack::package::PackageError;
use vylux_pack::verify::VerifyError;

/// Why a command failed, and the exit code that says so.
#[derive(Debug)]
pub struct Failure {
    exit_code: u8,
    error: anyhow::Error,
}

impl Failure {
    /// The work failed.
    pub fn work(error: impl Into<anyhow::Error>) -> Self {
        Self {
            exit_code: 1,
            error: error.into(),
        }
    }

    /// Wrong usage, or settings that can't be used.
    pub fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self {
            exit_code: 2,
            error: error.into(),
        }
    }

    /// An input is damaged or not supported.
    pub fn input(error: impl Into<anyhow::Error>) -> Self {
        Self {
            exit_code: 3,
            error: error.into(),
        }
    }

    /// Verification found a difference.
    pub fn different(error: impl Into<anyhow::Error>) -> Self {
        Self {
            exit_code: 4,
            error: error.into(),
        }
    }

    /// Somebody interrupted the work: what shells give for Ctrl-C.
    fn interrupted(error: impl Into<anyhow::Error>) -> Self {
        Self {
            exit_code: 130,
            error: error.into(),
        }
    }

    /// Says why, on standard error. A reader of standard output who went away is no failure.
    pub fn report(&self) -> ExitCode {
        let broken_pipe = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
        if self.error.downcast_ref::<io::Error>().is_some_and(broken_pipe) {
            return ExitCode::SUCCESS;
        }
        // Where standard error is closed too, the exit code says it all.
        let _ = writeln!(anstream::stderr(), "\x1b[1;31merror\x1b[0m: {}", causes(&self.error));
        ExitCode::from(self.exit_code)
    }
}

/// An error and its causes on one line, without those that the text before them says already.
fn causes(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = if text.is_empty() {
                cause
            } else {
                format!("{text}: {cause}")
            };
        }
    }
    text
}

/// Writing the report failed.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::work(error)
    }
}

impl From<InputError> for Failure {
    fn from(error: InputError) -> Self {
        Self::input(error)
    }
}

impl From<TreeError> for Failure {
    fn from(error: TreeError) -> Self {
        Self::input(error)
    }
}

impl From<PackageError> for Failure {
    fn from(error: PackageError) -> Self {
        match error {
            PackageError::Sample { .. } | PackageError::Fragment { .. } | PackageError::Line { .. } => {
                Self::input(error)
            }
            PackageError::Cancelled => Self::interrupted(error),
            error => Self::work(error),
        }
    }
}

#[cfg(feature = "store")]
impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::UnknownUrl | StoreError::PostgresUrl => Self::usage(error),
            error => Self::work(error),
        }
    }
}

impl From<VerifyError> for Failure {
    fn from(error: VerifyError) -> Self {
        Self::input(error)
    }
}

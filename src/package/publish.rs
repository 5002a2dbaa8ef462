//! Publication in one step: nobody ever sees half an output.
//!
//! Everything is written to a folder beside the output. Publishing exchanges the two in one step of the file
//! system; a crash before leaves the output as it was, and a folder that the next run finds and removes. A
//! folder belongs to a living run as long as its lock is held, which the system lets go when a process ends,
//! however it ends.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};

use super::hls::{MULTIVARIANT_PLAYLIST, PlaylistSet};
use super::{PackageError, generations};
use crate::content_key::Generation;

/// The key records, beside the multivariant playlist.
pub const KEYS_FILE: &str = "keys.json";

/// How often a run tries to make its folder before another one removes it.
const ATTEMPTS: usize = 8;

const STAGING_SUFFIX: &str = ".vylux-pack-tmp";

/// A folder beside the output, removed again unless it is published.
#[derive(Debug)]
pub struct Staging {
    folder: PathBuf,
    output: PathBuf,
    /// Held while the folder is in use; the system lets it go with the process.
    _lock: File,
}

impl Staging {
    /// Makes the folder for `output`, and removes those that killed runs left for the same output.
    ///
    /// Anything that no output has at its top, nor `generations` as their folders, means that the place is somebody else's.
    ///
    /// # Errors
    /// [`PackageError::Write`] where the folder can't be made, or `output` is something else than an output.
    pub fn create(output: &Path, generations: &BTreeSet<Option<Generation>>) -> Result<Self, PackageError> {
        let files = [
            MULTIVARIANT_PLAYLIST.to_owned(),
            PlaylistSet::ClearKey.file(MULTIVARIANT_PLAYLIST),
            super::dash::MANIFEST.to_owned(),
            KEYS_FILE.to_owned(),
        ];
        let folders = generations
            .iter()
            .chain([&None])
            .copied()
            .flat_map(generations::folders);
        let ours: BTreeSet<OsString> = files.into_iter().chain(folders).map(OsString::from).collect();
        check_replaceable(output, |name| ours.contains(name)).map_err(|cause| PackageError::write(output, cause))?;
        Self::beside(output)
    }

    /// Makes the folder for a tree with these names at its top, as [`Self::create`] does.
    ///
    /// # Errors
    /// [`PackageError::Write`] where the folder can't be made, or `output` is something else than an encrypted tree.
    pub fn create_tree(output: &Path, names: &BTreeSet<OsString>) -> Result<Self, PackageError> {
        let is_encrypted = output.join(KEYS_FILE).exists();
        let is_ours = |name: &OsStr| is_encrypted && (name == KEYS_FILE || names.contains(name));
        check_replaceable(output, is_ours).map_err(|cause| PackageError::write(output, cause))?;
        Self::beside(output)
    }

    /// Makes the folder for `output`, whatever that is.
    ///
    /// # Errors
    /// [`PackageError::Write`].
    pub fn beside(output: &Path) -> Result<Self, PackageError> {
        let failed = |path: &Path, cause| PackageError::write(path, cause);
        let name = output.file_name().ok_or_else(|| {
            failed(
                output,
                io::Error::new(io::ErrorKind::InvalidInput, "the output needs a name of its own"),
            )
        })?;
        let parent = match output.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        fs::create_dir_all(&parent).map_err(|cause| failed(&parent, cause))?;
        let prefix = format!(".{}.", name.to_string_lossy());
        remove_leftovers(&parent, &prefix);
        for _ in 0..ATTEMPTS {
            let mut random = [0; 8];
            getrandom::fill(&mut random).map_err(|error| failed(&parent, io::Error::other(error)))?;
            let folder = parent.join(format!("{prefix}{}{STAGING_SUFFIX}", hex::encode(random)));
            fs::create_dir(&folder).map_err(|cause| failed(&folder, cause))?;
            // Until the lock is held, another run may take the folder for a leftover and remove it.
            if let Ok(lock) = File::open(&folder)
                && flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok()
                && folder.is_dir()
            {
                return Ok(Self {
                    folder,
                    output: output.to_owned(),
                    _lock: lock,
                });
            }
        }
        let what = format!("no folder beside it could be locked in {ATTEMPTS} attempts");
        Err(failed(output, io::Error::other(what)))
    }

    /// The output whose place it is to take.
    #[must_use]
    pub fn output(&self) -> &Path {
        &self.output
    }

    /// Where to write.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Flushes all files and folders to disk.
    ///
    /// # Errors
    /// [`PackageError::Write`].
    pub fn sync(&self) -> Result<(), PackageError> {
        sync_tree(&self.folder)
    }

    /// Puts a file of the folder in the place of the output's file of that name, in one step, and flushes both to disk.
    ///
    /// # Errors
    /// [`PackageError::Write`]; the output is as it was then, or the file is in its place and may not outlive a power cut.
    pub fn publish_file(&self, name: &str) -> Result<(), PackageError> {
        let (new, file) = (self.folder.join(name), self.output.join(name));
        let failed = |cause| PackageError::write(&file, cause);
        File::open(&new).and_then(|file| file.sync_all()).map_err(failed)?;
        fs::rename(&new, &file).map_err(failed)?;
        sync_folder(&self.output)
    }

    /// Puts the folder in the output's place, in one step.
    ///
    /// # Errors
    /// [`PackageError::Write`]; the output is as it was then.
    pub fn publish(self, sync: bool) -> Result<(), PackageError> {
        let failed = |cause| PackageError::write(&self.output, cause);
        // Whether there is an output is known only at this moment: another run may have published since the start.
        match fs::rename(&self.folder, &self.output) {
            // What was the output is in the staging folder then, which drop() removes.
            Err(error) if is_occupied(&error) => exchange(&self.folder, &self.output).map_err(failed)?,
            result => result.map_err(failed)?,
        }
        if sync {
            let parent = self
                .output
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty())
                .unwrap_or(Path::new("."));
            sync_folder(parent)?;
        }
        Ok(())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Nothing is lost where this fails: the next run tries again.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// An output that others work on as this allows; the system lets it go with the process.
#[derive(Debug)]
pub struct OutputLock {
    /// `None` where there is no output yet, which nobody can change.
    _folder: Option<File>,
}

impl OutputLock {
    /// To publish another output in its place, as several may at once: the last one counts.
    ///
    /// # Errors
    /// As [`Self::alone`].
    pub fn shared(output: &Path) -> Result<Option<Self>, PackageError> {
        Self::try_take(output, FlockOperation::NonBlockingLockShared)
    }

    /// To change what is there, as one alone may; `None` while somebody else works on it.
    ///
    /// # Errors
    /// [`PackageError::Write`] where the folder can't be opened.
    pub fn alone(output: &Path) -> Result<Option<Self>, PackageError> {
        Self::try_take(output, FlockOperation::NonBlockingLockExclusive)
    }

    fn try_take(output: &Path, how: FlockOperation) -> Result<Option<Self>, PackageError> {
        let failed = |cause| PackageError::write(output, cause);
        loop {
            let folder = match File::open(output) {
                Ok(folder) => folder,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(Self { _folder: None })),
                Err(error) => return Err(failed(error)),
            };
            match flock(&folder, how) {
                Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
                locked => locked.map_err(|error| failed(error.into()))?,
            }
            // Whoever had it may have put another folder in its place.
            let id = |there: &fs::Metadata| (there.dev(), there.ino());
            let locked = folder.metadata().map_err(failed)?;
            if fs::metadata(output).is_ok_and(|there| id(&there) == id(&locked)) {
                return Ok(Some(Self { _folder: Some(folder) }));
            }
        }
    }
}

/// A file that takes its place in one step, when all of it is there; until then it is in a [`Staging`] folder.
#[derive(Debug)]
pub struct StagedFile {
    staging: Staging,
    replace: bool,
}

impl StagedFile {
    /// Makes the folder for `output`, which must not be there unless it may be replaced.
    ///
    /// # Errors
    /// [`PackageError::Write`].
    pub fn create(output: &Path, replace: bool) -> Result<Self, PackageError> {
        let failed = |cause| PackageError::write(output, cause);
        match fs::symlink_metadata(output) {
            Ok(there) if there.is_dir() => return Err(failed(io::ErrorKind::IsADirectory.into())),
            Ok(_) if !replace => return Err(failed(already_there())),
            _ => {}
        }
        Ok(Self {
            staging: Staging::beside(output)?,
            replace,
        })
    }

    /// Where to write.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.staging.folder.join("file")
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    /// [`PackageError::Write`]; what was there is as it was then.
    pub fn publish(self) -> Result<(), PackageError> {
        let (new, output) = (self.path(), &self.staging.output);
        let published = if self.replace {
            fs::rename(new, output)
        } else {
            match renameat_with(CWD, &new, CWD, output, RenameFlags::NOREPLACE) {
                // Not every file system can; a second name for the file can't take another's place either.
                Err(error) if is_not_supported(error) => fs::hard_link(new, output),
                result => result.map_err(io::Error::from),
            }
        };
        published.map_err(|cause| {
            let cause = match cause.kind() {
                io::ErrorKind::AlreadyExists => already_there(),
                _ => cause,
            };
            PackageError::write(output, cause)
        })
    }
}

fn already_there() -> io::Error {
    io::Error::new(
        io::ErrorKind::AlreadyExists,
        "there is such a file already; replace it with --replace, or name another",
    )
}

/// Whether the file system can't do what a flag of `renameat2` asks for.
fn is_not_supported(error: rustix::io::Errno) -> bool {
    use rustix::io::Errno;
    matches!(error, Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP)
}

/// Whether a folder can't be renamed because something stands where it should go.
fn is_occupied(error: &io::Error) -> bool {
    use io::ErrorKind::{AlreadyExists, DirectoryNotEmpty, NotADirectory};
    matches!(error.kind(), AlreadyExists | DirectoryNotEmpty | NotADirectory)
}

/// Exchanges two folders; where the file system can't do it in one step, in two.
fn exchange(new: &Path, old: &Path) -> io::Result<()> {
    match renameat_with(CWD, new, CWD, old, RenameFlags::EXCHANGE) {
        Err(error) if is_not_supported(error) => {
            let aside = new.with_extension("old");
            fs::rename(old, &aside)?;
            if let Err(error) = fs::rename(new, old) {
                fs::rename(&aside, old)?;
                return Err(error);
            }
            fs::rename(&aside, new)
        }
        other => Ok(other?),
    }
}

/// Refuses a place that holds something else than an output of this program.
fn check_replaceable(output: &Path, is_ours: impl Fn(&OsStr) -> bool) -> io::Result<()> {
    let entries = match fs::read_dir(output) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let name = entry?.file_name();
        if !is_ours(&name) {
            let what = format!(
                "it holds '{}', which is no part of an output; name another folder",
                name.to_string_lossy()
            );
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
        }
    }
    Ok(())
}

/// Removes folders that killed runs left: those whose lock nobody holds.
fn remove_leftovers(parent: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(prefix)) else {
            continue;
        };
        let random = rest.strip_suffix(STAGING_SUFFIX).unwrap_or_default();
        if random.len() != 16 || !random.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            continue;
        }
        let Ok(folder) = File::open(entry.path()) else { continue };
        if flock(&folder, FlockOperation::NonBlockingLockExclusive).is_ok() {
            // What can't be removed now is tried again by the next run.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn sync_tree(folder: &Path) -> Result<(), PackageError> {
    let failed = |cause| PackageError::write(folder, cause);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            sync_tree(&path)?;
        } else {
            File::open(&path)
                .and_then(|file| file.sync_all())
                .map_err(|cause| PackageError::write(&path, cause))?;
        }
    }
    sync_folder(folder)
}

/// Flushes the names in a folder to disk.
pub(super) fn sync_folder(folder: &Path) -> Result<(), PackageError> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|cause| PackageError::write(folder, cause))
}

//! `vylux-pack keys retire`: takes away what older master keys made.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::ArgGroup;
use vylux_pack::content_key::{Generation, Kid};
use vylux_pack::keys::{ContentId, KeyRecord, KeyRing, keys_file};
use vylux_pack::package::generations;
use vylux_pack::package::hls::MULTIVARIANT_PLAYLIST;
use vylux_pack::package::publish::{KEYS_FILE, OutputLock, Staging};
use vylux_pack::secret::Settings;

use super::records;
use crate::cli::failure::Failure;
use crate::cli::output::report;
use crate::cli::store::{Store, StoreArgs};

/// Take away what was encrypted under older master keys, once it was encrypted again
///
/// Their media leaves the output, then their records leave keys.json and the store: in this order, so that nothing is out there
/// whose key is gone. What the master key of now (MASTER_KEY_HEX) made is never touched, and has to be there; nor is what
/// master.m3u8 names, or without an output, what is newer. Run again, it finishes
/// what was interrupted. Key servers forget a retired key within seconds. See docs/key-rotation.md.
#[derive(clap::Args)]
#[command(group = ArgGroup::new("which").required(true).args(["content_id", "all"]))]
pub struct Args {
    /// The content
    #[arg(long, value_name = "ID")]
    content_id: Option<ContentId>,
    /// Every content of the store that was encrypted again; others are left as they are
    #[arg(long)]
    all: bool,
    /// Output folder [default: out/CONTENT_ID]; with --all, the folder that has one for each content ID [default: out]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Take the records alone: the output is elsewhere, what is published there was encrypted again, and the older folders are gone
    #[arg(long, conflicts_with_all = ["out", "all"])]
    records_only: bool,
    #[command(flatten)]
    store: StoreArgs,
    /// Say what would be taken away, and take nothing
    #[arg(long)]
    dry_run: bool,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let settings = Settings::load().map_err(Failure::usage)?;
    let keys = KeyRing::load(&settings).map_err(Failure::usage)?;
    let store = args.store.open(&settings)?;
    if let Some(content_id) = &args.content_id {
        let output = args
            .out
            .clone()
            .unwrap_or_else(|| Path::new("out").join(content_id.as_str()));
        let stored = store.list(Some(content_id)).map_err(Failure::work)?;
        let retirement = Retirement::find(&keys, content_id, stored, (!args.records_only).then_some(&*output))?;
        return retirement.run(&store, args.dry_run);
    }
    retire_all(args, &keys, &store)
}

/// Goes on with the next content where one can't be retired, and fails at the end.
fn retire_all(args: &Args, keys: &KeyRing, store: &Store) -> Result<(), Failure> {
    let mut contents: BTreeMap<ContentId, Vec<KeyRecord>> = BTreeMap::new();
    for record in store.list(None).map_err(Failure::work)? {
        contents.entry(record.content_id.clone()).or_default().push(record);
    }
    let folder = args.out.as_deref().unwrap_or(Path::new("out"));
    let (mut failed, all) = (0, contents.len());
    for (content_id, stored) in contents {
        if stored.iter().all(|record| !is_of_now(keys, record)) {
            report!("{content_id}: left as it is, for it was not encrypted again under the master key of now.")?;
            continue;
        }
        let output = folder.join(content_id.as_str());
        let retirement = Retirement::find(keys, &content_id, stored, Some(&output));
        if let Err(failure) = retirement.and_then(|retirement| retirement.run(store, args.dry_run)) {
            // The exit code is that of all.
            let _ = failure.report();
            failed += 1;
        }
    }
    match failed {
        0 => Ok(()),
        failed => Err(Failure::work(anyhow!(
            "{failed} of {all} contents could not be retired; see above"
        ))),
    }
}

fn is_of_now(keys: &KeyRing, record: &KeyRecord) -> bool {
    record.master_key_id == keys.primary().id()
}

/// What is to go, of one content.
struct Retirement<'a> {
    content_id: &'a ContentId,
    /// Of the store.
    stored: Vec<KeyRecord>,
    output: Option<RetiredOutput<'a>>,
}

/// Refuses to retire what was made after all that would be left: another master key is the one of now.
fn check_older(content_id: &ContentId, of_now: &[KeyRecord], retired: &[KeyRecord]) -> Result<(), Failure> {
    let last = of_now.iter().map(|record| record.created_at).max();
    match retired.iter().find(|record| Some(record.created_at) > last) {
        None => Ok(()),
        Some(newer) => Err(Failure::work(anyhow!(
            "content '{content_id}': its newest record is of another master key ({}) than the one of now; look at \
             MASTER_KEY_HEX and SALT_HEX, or name the output with --out",
            newer.master_key_id
        ))),
    }
}

struct RetiredOutput<'a> {
    path: &'a Path,
    _lock: OutputLock,
    /// The records of `keys.json` that stay.
    stay: Vec<KeyRecord>,
    /// Those that go.
    go: Vec<KeyRecord>,
}

impl<'a> Retirement<'a> {
    fn find(
        keys: &KeyRing,
        content_id: &'a ContentId,
        stored: Vec<KeyRecord>,
        output: Option<&'a Path>,
    ) -> Result<Self, Failure> {
        let master = keys.primary().id();
        let (of_now, stored): (Vec<_>, Vec<_>) = stored.into_iter().partition(|record| is_of_now(keys, record));
        if of_now.is_empty() {
            let what = "the store has no record of the master key of now";
            return Err(Failure::work(anyhow!(
                "content '{content_id}': {what} ({master}), so nothing would be left; encrypt it again under that first, or \
                 look at MASTER_KEY_HEX and SALT_HEX"
            )));
        }
        let output = match output {
            // Nobody can be asked but the records which generation is the newest.
            None => check_older(content_id, &of_now, &stored).map(|()| None)?,
            Some(path) => Some(RetiredOutput::find(keys, content_id, &of_now, path)?),
        };
        Ok(Self {
            content_id,
            stored,
            output,
        })
    }

    /// Media first, and the records that its keys are found by last.
    fn run(&self, store: &Store, dry_run: bool) -> Result<(), Failure> {
        let content_id = self.content_id;
        let would = if dry_run { "would be " } else { "" };
        let in_file = self.output.iter().flat_map(|output| &output.go);
        let kids: BTreeSet<Kid> = self.stored.iter().chain(in_file).map(|record| record.kid).collect();
        if let Some(output) = &self.output {
            let retired = self.stored.iter().chain(&output.go);
            for folder in output.retire(retired, dry_run)? {
                report!("{content_id}: {} {would}removed", output.path.join(folder).display())?;
            }
        }
        if !dry_run {
            store.remove(&self.stored).map_err(Failure::work)?;
        }
        match kids.len() {
            0 => report!("{content_id}: nothing of an older master key is there.")?,
            count => report!("{content_id}: {} of older master keys {would}removed.", records(count))?,
        }
        Ok(())
    }
}

impl<'a> RetiredOutput<'a> {
    fn find(keys: &KeyRing, content_id: &ContentId, of_now: &[KeyRecord], path: &'a Path) -> Result<Self, Failure> {
        let file = path.join(KEYS_FILE);
        if !file.exists() {
            return Err(Failure::work(anyhow!(
                "content '{content_id}': there is no {}; name its output with --out, or retire its records alone with \
                 --records-only",
                file.display()
            )));
        }
        let lock = OutputLock::alone(path)?.ok_or_else(|| {
            let what = "is being worked on by another run";
            Failure::work(anyhow!(
                "content '{content_id}': {} {what}; try again when that has ended",
                path.display()
            ))
        })?;
        let records = keys_file::read(&file).map_err(Failure::work)?;
        let (stay, go): (Vec<_>, Vec<_>) = records
            .into_iter()
            .partition(|record| record.content_id != *content_id || is_of_now(keys, record));
        let is_encrypted_again = stay
            .iter()
            .any(|record| of_now.iter().any(|known| known.kid == record.kid));
        if !is_encrypted_again {
            return Err(Failure::work(anyhow!(
                "content '{content_id}': {} has no record of the master key of now ({}), so nothing would be left of it; \
                 encrypt it again under that first, or name another --out",
                file.display(),
                keys.primary().id()
            )));
        }
        Ok(Self {
            path,
            _lock: lock,
            stay,
            go,
        })
    }

    /// Refuses to take what the multivariant playlist names: another master key is the one of now.
    fn check_not_published(&self, retired: &BTreeSet<Option<Generation>>) -> Result<(), Failure> {
        if retired.is_empty() {
            return Ok(());
        }
        let path = self.path.join(MULTIVARIANT_PLAYLIST);
        let playlist = fs::read_to_string(&path)
            .with_context(|| format!("{} can't be read", path.display()))
            .map_err(Failure::work)?;
        let mut folders = retired.iter().copied().flat_map(generations::folders);
        match folders.find(|folder| generations::is_named(&playlist, folder)) {
            None => Ok(()),
            Some(folder) => Err(Failure::work(anyhow!(
                "{} names files in {folder}, which is not of the master key of now; look at MASTER_KEY_HEX and SALT_HEX",
                path.display()
            ))),
        }
    }

    /// Takes the folders of those records, then the records out of `keys.json`; which folders were there.
    fn retire<'r>(&self, records: impl Iterator<Item = &'r KeyRecord>, dry_run: bool) -> Result<Vec<String>, Failure> {
        let stay: BTreeSet<_> = self.stay.iter().map(|record| record.generation).collect();
        let retired = records.map(|record| record.generation);
        let retired: BTreeSet<_> = retired.filter(|generation| !stay.contains(generation)).collect();
        self.check_not_published(&retired)?;
        if dry_run {
            let folders = retired.into_iter().flat_map(generations::folders);
            return Ok(folders.filter(|folder| self.path.join(folder).is_dir()).collect());
        }
        let staging = Staging::beside(self.path)?;
        let removed = generations::remove(&staging, &retired)?;
        if !self.go.is_empty() {
            keys_file::write(&staging.folder().join(KEYS_FILE), &self.stay).map_err(Failure::work)?;
            staging.publish_file(KEYS_FILE)?;
        }
        Ok(removed)
    }
}

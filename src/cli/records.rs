//! The key record of what is encrypted: the one that is there, or a new one.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::path::Path;

use anyhow::{Context, anyhow};
use vylux_pack::content_key::{Generation, Kid};
use vylux_pack::keys::{self, BaseUrl, ContentId, Difference, KeyName, KeyRecord, KeyRing, RecordDraft, keys_file};
use vylux_pack::package::generations;
use vylux_pack::package::publish::KEYS_FILE;
use vylux_pack::secret::{SecretText, Settings};

use super::failure::Failure;
use super::store::Store;

/// The records of a content ID, from the store and from the output that is there.
pub struct Records {
    store: Option<Store>,
    known: Vec<KeyRecord>,
    /// The keys of the output that is there.
    beside: HashSet<Kid>,
    /// The generations whose folders it has.
    folders: BTreeSet<Option<Generation>>,
}

/// What the keys of the new output are to be.
pub struct Settlement {
    /// The records, in the order of the names that were asked for.
    pub keys: Vec<Settled>,
    /// The generation that their media belongs to.
    pub generation: Option<Generation>,
    /// Records of older generations, whose media the output that is there has.
    pub kept: Vec<KeyRecord>,
}

/// What the new output's record is to be.
pub struct Settled {
    /// The record: the one that is there, or a new one.
    pub record: KeyRecord,
    /// Whether it takes the place of one that differs.
    replaces: bool,
}

/// What is encrypted, and how.
pub struct Content<'a> {
    pub id: &'a ContentId,
    pub scheme: &'a str,
    pub media_fingerprint: &'a str,
    pub base_url: &'a BaseUrl,
    /// Whether what another master key made may stay beside it.
    pub has_generations: bool,
}

impl Records {
    /// Opens the store at `url`, and reads what is known of `content_id`.
    ///
    /// A dry run makes no new store.
    pub fn open(url: Option<&str>, content_id: &ContentId, output: &Path, dry_run: bool) -> Result<Self, Failure> {
        let mut known: Vec<KeyRecord> = Vec::new();
        let store = match url.filter(|url| !dry_run || !is_missing_file(url)) {
            None => None,
            Some(url) => {
                let store = Store::open(url)?;
                known.extend(store.list(Some(content_id)).map_err(Failure::work)?);
                Some(store)
            }
        };
        let path = output.join(KEYS_FILE);
        let mut beside = HashSet::new();
        if path.exists() {
            for record in keys_file::read(&path).map_err(Failure::work)? {
                beside.insert(record.kid);
                let is_new = known
                    .iter()
                    .all(|other| (&other.content_id, other.kid) != (&record.content_id, record.kid));
                if is_new {
                    known.push(record);
                }
            }
        }
        let folders = match generations::find(output) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeSet::new(),
            found => found
                .with_context(|| format!("{} can't be read", output.display()))
                .map_err(Failure::work)?,
        };
        Ok(Self {
            store,
            known,
            beside,
            folders,
        })
    }

    /// The store, where there is one.
    #[cfg(feature = "server")]
    pub const fn database(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    /// The generations of all records.
    pub fn generations(&self) -> BTreeSet<Option<Generation>> {
        self.known.iter().map(|record| record.generation).collect()
    }

    /// The records of keys of `content` with these names: those that are there if they say the same, else new ones, if `replace`
    /// allows it.
    pub fn settle(
        &self,
        keys: &KeyRing,
        content: &Content<'_>,
        names: &[Option<KeyName>],
        replace: bool,
    ) -> Result<Settlement, Failure> {
        let Content {
            id,
            media_fingerprint,
            has_generations,
            ..
        } = content;
        if let Some(other) = self.known.iter().find(|record| record.content_id != **id)
            && !replace
        {
            let what = "the output holds another content";
            return Err(refuse(anyhow!(
                "{what}, '{}'; name another --out, or replace it with --replace",
                other.content_id
            )));
        }
        let master = keys.primary();
        let (ours, others): (Vec<&KeyRecord>, Vec<&KeyRecord>) = self
            .known
            .iter()
            .filter(|record| record.content_id == **id)
            .partition(|record| record.kid == master.kid(id, record.key_name.as_ref()));
        if !replace && let Some(latest) = latest_master(&ours, &others) {
            // Another one than that of now was rotated, or is a mistake: who has it at hand knows of it. A tree has no room for two.
            let is_known = *has_generations && keys.master_by_id(latest).is_some();
            if latest != master.id() && !is_known {
                return Err(of_another_master(id, latest, *has_generations));
            }
            // Under keys of other names too, and of other masters, one content is one film. Which one, the latest master says.
            let there = ours.iter().chain(&others).copied();
            check_film(
                id,
                media_fingerprint,
                there.filter(|record| record.master_key_id == latest),
            )?;
        }
        let has_other_masters = !others.is_empty();
        // Once it has one, a master keeps its generation, when older ones are retired and forgotten too.
        let generation = match ours.first() {
            _ if !has_generations => None,
            Some(record) => record.generation,
            None => has_other_masters.then(|| master.generation()),
        };
        // Folders that have the names of generations are those also where keys.json was lost. But `video` alone may be clear.
        let is_folder_of = |record: &KeyRecord| self.folders.contains(&record.generation);
        let is_rotated = self
            .known
            .iter()
            .any(|record| record.generation.is_some() && is_folder_of(record));
        let is_there = |record: &KeyRecord| self.beside.contains(&record.kid) || (is_rotated && is_folder_of(record));
        let is_kept = |record: &&KeyRecord| is_there(record) && record.generation != generation;
        let kept = others.iter().copied().filter(is_kept).cloned().collect();
        let by_kid: HashMap<Kid, &KeyRecord> = ours.into_iter().map(|record| (record.kid, record)).collect();
        let settle = |name: &Option<KeyName>| {
            let there = by_kid.get(&master.kid(id, name.as_ref())).copied();
            settle_one(
                keys,
                content,
                name.as_ref(),
                there,
                (generation, has_other_masters),
                replace,
            )
        };
        Ok(Settlement {
            keys: names.iter().map(settle).collect::<Result<_, _>>()?,
            generation,
            kept,
        })
    }

    /// Puts the records into the store, before anything is published, and returns those that stand there.
    pub fn store(&self, settled: Vec<Settled>) -> Result<Vec<KeyRecord>, Failure> {
        let Some(store) = &self.store else {
            return Ok(settled.into_iter().map(|settled| settled.record).collect());
        };
        let (replacing, new): (Vec<Settled>, Vec<Settled>) = settled.into_iter().partition(|settled| settled.replaces);
        let records =
            |settled: Vec<Settled>| -> Vec<KeyRecord> { settled.into_iter().map(|settled| settled.record).collect() };
        let (mut replacing, new) = (records(replacing), records(new));
        if !replacing.is_empty() {
            store.replace(&replacing).map_err(Failure::work)?;
        }
        let stored = store.insert_or_get(&new).map_err(Failure::work)?;
        for (stored, new) in stored.iter().zip(&new) {
            if let Some(difference) = stored.conflict_with(new) {
                let what = "somebody else encrypted this content at the same time";
                return Err(refuse(anyhow!("{what}: {difference}; replace it with --replace")));
            }
        }
        replacing.extend(stored);
        Ok(replacing)
    }
}

/// The ID of the master key that made the latest of the records; of those of one second, that of now.
fn latest_master<'r>(of_now: &[&'r KeyRecord], others: &[&'r KeyRecord]) -> Option<&'r str> {
    let all = others.iter().chain(of_now);
    let latest = all.max_by_key(|record| record.created_at);
    latest.map(|record| &*record.master_key_id)
}

/// Refuses other media than records were made of.
fn check_film<'r>(
    id: &ContentId,
    media_fingerprint: &str,
    mut records: impl Iterator<Item = &'r KeyRecord>,
) -> Result<(), Failure> {
    match records.find(|record| record.media_fingerprint != media_fingerprint) {
        None => Ok(()),
        Some(there) => Err(not_the_same(
            id,
            &Difference {
                field: "media_fingerprint",
                recorded: there.media_fingerprint.clone(),
                new: media_fingerprint.to_owned(),
            },
        )),
    }
}

/// The record of the key of that name: the one that is `there` if it says the same, else a new one, if `replace` allows it.
fn settle_one(
    keys: &KeyRing,
    content: &Content<'_>,
    name: Option<&KeyName>,
    there: Option<&KeyRecord>,
    (generation, has_other_masters): (Option<Generation>, bool),
    replace: bool,
) -> Result<Settled, Failure> {
    let Content {
        id,
        scheme,
        media_fingerprint,
        base_url,
        ..
    } = content;
    let master = keys.primary();
    let kid = master.kid(id, name);
    let (plain_uri, kid_uri) = (base_url.key_uri(id, None), base_url.key_uri(id, Some(&kid)));
    // The plain one is of the primary key, and of the master that was the first to have one.
    let key_uri = match there {
        _ if name.is_some() => kid_uri,
        _ if generation.is_some() => kid_uri,
        // Whatever its base URL was.
        Some(there) if there.key_uri.ends_with(&format!("/{kid}")) => kid_uri,
        None if has_other_masters => kid_uri,
        _ => plain_uri,
    };
    let draft = RecordDraft {
        content_id: (*id).clone(),
        key_name: name.cloned(),
        kid,
        scheme: (*scheme).to_owned(),
        key_uri,
        master_key_id: master.id().to_owned(),
        media_fingerprint: (*media_fingerprint).to_owned(),
        generation,
    };
    let record = keys.wrap(&master.content_key(id, name), draft).map_err(Failure::work)?;
    let Some(there) = there else {
        return Ok(Settled {
            record,
            replaces: false,
        });
    };
    match there.conflict_with(&record) {
        None => {
            // A record that can't be opened is found now, not by the first player.
            keys.unwrap(there).map_err(Failure::work)?;
            Ok(Settled {
                record: there.clone(),
                replaces: false,
            })
        }
        Some(_) if replace => Ok(Settled { record, replaces: true }),
        Some(difference) => Err(not_the_same(id, &difference)),
    }
}

/// A master key that nobody named as the older one is a mistake more often than a rotation.
fn of_another_master(id: &ContentId, master_key_id: &str, has_generations: bool) -> Failure {
    let what = format!("content '{id}' was encrypted under another master key (its ID is {master_key_id})");
    let hint = if has_generations {
        "if that one was rotated, set FALLBACK_MASTER_KEY_HEX and FALLBACK_SALT_HEX to it, and the new output stands beside \
         the older; if not, look at MASTER_KEY_HEX and SALT_HEX"
    } else {
        "a tree keeps the names of its files, so the two can't stand side by side: encrypt it to another --out with \
         another --content-id, or over the older one with --replace"
    };
    refuse(anyhow!("{what}; {hint}"))
}

fn not_the_same(id: &ContentId, difference: &Difference) -> Failure {
    refuse(anyhow!(
        "content '{id}' was encrypted before and is not the same now: {difference}; use another --content-id, or \
         replace it with --replace"
    ))
}

fn refuse(error: anyhow::Error) -> Failure {
    Failure::work(error)
}

/// The generations that the `keys.json` of an output knows; none where there is no such file.
pub fn recorded_generations(output: &Path) -> Result<BTreeSet<Option<Generation>>, Failure> {
    let path = output.join(KEYS_FILE);
    if !path.exists() {
        return Ok(BTreeSet::new());
    }
    let records = keys_file::read(&path).map_err(Failure::work)?;
    Ok(records.into_iter().map(|record| record.generation).collect())
}

/// Whether a store URL names a file that is not there.
pub fn is_missing_file(url: &str) -> bool {
    let path = url.strip_prefix("sqlite://").or_else(|| url.strip_prefix("sqlite:"));
    path.is_some_and(|path| !Path::new(path).exists())
}

/// The store's URL: what the command line says, else the settings, else the default; `None` for no store.
///
/// Built without stores, only the command line can ask for one, which [`Store::open`] refuses.
pub fn store_url(store: Option<String>, no_store: bool, settings: &Settings) -> Result<Option<SecretText>, Failure> {
    if no_store || (store.is_none() && cfg!(not(feature = "store"))) {
        return Ok(None);
    }
    keys::store_url(store, settings).map(Some).map_err(Failure::usage)
}

/// The base URL: what the command line says, else `BASE_URL`.
pub fn base_url(given: Option<BaseUrl>, settings: &Settings) -> Result<BaseUrl, Failure> {
    match given {
        Some(base_url) => Ok(base_url),
        None => settings
            .get("BASE_URL")
            .ok_or_else(|| {
                anyhow!("BASE_URL is not set: give --base-url, or set it to where the key server will answer")
            })
            .and_then(|text| text.parse().context("BASE_URL"))
            .map_err(Failure::usage),
    }
}

//! Key records against secrets, `tenc` and playlists: where the two planes meet.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use vylux_pack::content_key::{ContentKey, Iv, Kid};
use vylux_pack::keys::{ContentId, KeyRecord, KeyRing, Master, TrackName, keys_file};
use vylux_pack::media::{Presentation, fingerprint};
use vylux_pack::package::generations;
use vylux_pack::package::publish::KEYS_FILE;
use vylux_pack::protect::Scheme;
use vylux_pack::secret::{SecretText, Settings};
use vylux_pack::verify::findings::FileFindings;
use vylux_pack::verify::{Findings, KnownKey, Output, Part, Rendition};

use crate::cli::failure::Failure;
use crate::cli::key_format::KeyFormatOptions;
use crate::cli::records::is_missing_file;
use crate::cli::store::Store;

/// The record store to compare with.
pub struct StoreChoice {
    /// Its URL; `None` for none.
    pub url: Option<SecretText>,
    /// Whether somebody named it: then it must have the records.
    pub is_chosen: bool,
}

/// Checks the records of an output, adding what differs to its findings, and returns the keys that open it.
///
/// # Errors
/// [`Failure`] where the secrets can't be used, or the store can't be read.
pub fn check(
    output: &mut Output,
    settings: &Settings,
    store: &StoreChoice,
    key_format: &KeyFormatOptions,
    source: Option<&Presentation>,
) -> Result<Vec<KnownKey>, Failure> {
    let ring = KeyRing::load(settings).map_err(Failure::usage)?;
    let file = Path::new(KEYS_FILE);
    let records = match keys_file::read(&output.folder.join(file)) {
        Ok(records) => records,
        Err(error) => {
            output
                .findings
                .of(file)
                .add(format!("{:#}", anyhow::Error::from(error)));
            Vec::new()
        }
    };
    let stored = look_up(store, &records)?;
    let media_fingerprint = source.map(|source| hex::encode(fingerprint(&source.tracks)));
    let parts = output.renditions.iter().flat_map(|rendition| &rendition.parts);
    let used: BTreeSet<Kid> = parts
        .filter_map(|part| Some(find_record(part, &records)?.kid))
        .collect();
    let mut keys = Vec::new();
    for (record, stored) in records.iter().zip(stored) {
        // An older generation may be another film, which was replaced.
        let is_older = output.older.contains(&record.generation);
        let mut findings = output.findings.of(file);
        let key = check_record(record, &ring, key_format, &mut keys, &mut findings);
        if let Some(media_fingerprint) = media_fingerprint
            .as_ref()
            .filter(|ours| !is_older && **ours != record.media_fingerprint)
        {
            let (kid, recorded) = (record.kid, &record.media_fingerprint);
            findings.add(format!(
                "record {kid}: media_fingerprint is {recorded:?}, and the source's is {media_fingerprint}"
            ));
        }
        match stored {
            Stored::NotAsked => {}
            Stored::Missing => findings.add(format!("record {} is not in the record store", record.kid)),
            Stored::There(stored) => check_stored(record, &stored, key.as_ref(), &ring, &mut findings),
        }
        let is_used = used.contains(&record.kid);
        if !is_used && !is_older {
            output
                .findings
                .of(file)
                .add(format!("no rendition uses the key of record {}", record.kid));
        }
    }
    for older in &output.older {
        if records.iter().all(|record| record.generation != *older) {
            let folders = generations::folders(*older).join(", ");
            let what =
                format!("holds no record of an older generation, and there is {folders}: files that no playlist names");
            output.findings.of(file).add(what);
        }
    }
    for rendition in &output.renditions {
        for part in &rendition.parts {
            check_part(rendition, part, &records, (&ring, key_format), &mut output.findings);
        }
    }
    Ok(keys)
}

/// A record against itself and the secrets; its key goes under the key ID that the secrets give.
fn check_record(
    record: &KeyRecord,
    ring: &KeyRing,
    key_format: &KeyFormatOptions,
    keys: &mut Vec<KnownKey>,
    findings: &mut FileFindings<'_>,
) -> Option<ContentKey> {
    let KeyRecord {
        content_id,
        kid,
        scheme,
        key_uri,
        key_name,
        ..
    } = record;
    if !matches!(scheme.parse(), Ok(Scheme::Samples(_) | Scheme::Segments)) {
        findings.add(format!(
            "record {kid}: scheme is {scheme:?}, which is none that encrypts"
        ));
    }
    let known = |kid: Kid, key: &ContentKey| KnownKey {
        kid,
        uri: key_format.key_uri(record),
        clearkey_uri: record.clearkey_uri(),
        key: key.clone(),
    };
    let path = format!("/api/key/{content_id}");
    if !key_uri.ends_with(&path) && !key_uri.ends_with(&format!("{path}/{kid}")) {
        findings.add(format!(
            "record {kid}: key_uri {key_uri:?} does not end with {path}, nor with that and the key ID"
        ));
    }
    let unwrapped = ring.unwrap(record);
    if let Err(error) = &unwrapped {
        findings.add(error.to_string());
    }
    let unwrapped = unwrapped.ok();
    let Some(master) = ring.master_by_id(&record.master_key_id) else {
        findings.add(format!(
            "record {kid}: it was made under the master key of ID {:?}, and the secrets hold {:?}; set MASTER_KEY_HEX and \
             SALT_HEX, or FALLBACK_MASTER_KEY_HEX and FALLBACK_SALT_HEX, to what the output was made with",
            record.master_key_id,
            ring.primary().id()
        ));
        if let Some(key) = &unwrapped {
            keys.push(known(*kid, key));
        }
        return unwrapped;
    };
    let derived_kid = master.kid(content_id, key_name.as_ref());
    if derived_kid != *kid {
        findings.add(format!(
            "record {kid}: its key ID is not {derived_kid}, which content ID {content_id:?} gives"
        ));
    }
    let derived = master.content_key(content_id, key_name.as_ref());
    if unwrapped.is_some_and(|unwrapped| unwrapped != derived) {
        findings.add(format!(
            "record {kid}: its key is not the one that content ID {content_id:?} gives"
        ));
    }
    keys.push(known(derived_kid, &derived));
    Some(derived)
}

/// The store's record says the same as the one beside the output; only its wrap may be another, after a rewrap.
fn check_stored(
    record: &KeyRecord,
    stored: &KeyRecord,
    key: Option<&ContentKey>,
    ring: &KeyRing,
    findings: &mut FileFindings<'_>,
) {
    let kid = record.kid;
    if let Some(difference) = stored.conflict_with(record) {
        findings.add(format!("record {kid} is not as in the record store: {difference}"));
    } else if stored.master_key_id != record.master_key_id {
        findings.add(format!(
            "record {kid} is not as in the record store: master_key_id differs"
        ));
    }
    match ring.unwrap(stored) {
        Err(error) => findings.add(format!("the record store's: {error}")),
        Ok(stored) if key.is_some_and(|key| *key != stored) => {
            findings.add(format!("record {kid}: the record store has another key"));
        }
        Ok(_) => {}
    }
}

/// `tenc` and key URI of a rendition's part against its record.
fn check_part(
    rendition: &Rendition,
    part: &Part,
    records: &[KeyRecord],
    (ring, key_format): (&KeyRing, &KeyFormatOptions),
    findings: &mut Findings,
) {
    let protection = part.protection();
    let scheme = match protection {
        Some(protection) => Scheme::Samples(protection.scheme),
        None if rendition.has_encrypted_segments() && part.key_uri.is_some() => Scheme::Segments,
        None => return,
    };
    let init_file = part.init_file.as_deref().unwrap_or(&rendition.playlist_file);
    let record = find_record(part, records);
    if record.is_none() {
        match protection {
            Some(protection) => findings
                .of(init_file)
                .add(format!("default_KID {} is in no record of {KEYS_FILE}", protection.kid)),
            None => findings
                .of(&rendition.playlist_file)
                .add(format!("its key URI is in no record of {KEYS_FILE}")),
        }
    }
    // A key ID that was changed leaves no doubt about the record where there is only one.
    let record = record.or(match records {
        [only] => Some(only),
        _ => None,
    });
    let Some(record) = record else { return };
    if record.scheme != scheme.name() {
        let (found, recorded) = (scheme.name(), &record.scheme);
        findings
            .of(init_file)
            .add(format!("it is protected by {found}, and the record says {recorded:?}"));
    }
    let key_uri = key_format.key_uri(record);
    if part.key_uri.as_ref() != Some(&key_uri) {
        let found = part.key_uri.as_deref().unwrap_or("missing");
        let what = format!("the key URI is {found:?}, and the record says {key_uri:?}");
        let mut findings = findings.of(&rendition.playlist_file);
        let segment = rendition.playlist.segments.get(part.segments.start);
        match segment.and_then(|segment| rendition.playlist.keys.get(segment.value.key?)) {
            Some(key) => findings.add_at(key.offset, what),
            None => findings.add(what),
        }
    }
    let Some(master) = ring.master_by_id(&record.master_key_id) else {
        return;
    };
    // Those of single samples are random, or stand with them.
    let constant_iv = protection.and_then(|protection| protection.constant_iv);
    if protection.is_some() && constant_iv.is_none() {
        return;
    }
    let Some(derived) = derived_iv(master, record, rendition) else {
        let what = format!("the folder's name {:?} is no track's", rendition.name);
        findings.of(&rendition.playlist_file).add(what);
        return;
    };
    if let Some(found) = constant_iv.filter(|found| *found != derived) {
        let what = format!("the IV of tenc is {found}, and content ID and track give {derived}");
        findings.of(init_file).add(what);
    }
    if protection.is_none() {
        for index in part.segments.clone() {
            let expected = u128::from_be_bytes(derived.0).wrapping_add(index as u128);
            let expected = Iv(expected.to_be_bytes());
            if let Some(found) = rendition.segment_iv(index).filter(|found| *found != expected) {
                let segment = index + 1;
                let what = format!("the IV of segment {segment} is {found}, and content ID and track give {expected}");
                findings.of(&rendition.playlist_file).add(what);
            }
        }
    }
}

fn derived_iv(master: &Master, record: &KeyRecord, rendition: &Rendition) -> Option<Iv> {
    let track: TrackName = rendition.name.parse().ok()?;
    Some(master.iv(&record.content_id, &track, record.key_name.as_ref()))
}

/// The record of a part's key: by its ID in `tenc`, or where segments are encrypted as whole files, by its URI.
fn find_record<'r>(part: &Part, records: &'r [KeyRecord]) -> Option<&'r KeyRecord> {
    if let Some(protection) = part.protection() {
        return records.iter().find(|record| record.kid == protection.kid);
    }
    let uri = part.key_uri.as_ref()?;
    records.iter().find(|record| record.key_uri == *uri)
}

/// What the store has of a record.
enum Stored {
    /// There is no store, or nobody said that it should have the record.
    NotAsked,
    Missing,
    There(Box<KeyRecord>),
}

fn look_up(choice: &StoreChoice, records: &[KeyRecord]) -> Result<Vec<Stored>, Failure> {
    let of_each = |stored: fn() -> Stored| Ok(records.iter().map(|_| stored()).collect());
    let store = match choice.url.as_ref().map(SecretText::expose) {
        None => return of_each(|| Stored::NotAsked),
        // To open it would make it.
        Some(url) if is_missing_file(url) && choice.is_chosen => return of_each(|| Stored::Missing),
        Some(url) if is_missing_file(url) => return of_each(|| Stored::NotAsked),
        Some(url) => Store::open(url)?,
    };
    // A film whose keys change has hundreds of records of one content, which is asked for once.
    let contents: BTreeSet<&ContentId> = records.iter().map(|record| &record.content_id).collect();
    let mut stored = HashMap::new();
    for content_id in contents {
        let of_content = store.list(Some(content_id)).map_err(Failure::work)?;
        stored.extend(of_content.into_iter().map(|record| ((content_id, record.kid), record)));
    }
    let look_up = |record: &KeyRecord| match stored.get(&(&record.content_id, record.kid)) {
        Some(stored) => Stored::There(Box::new(stored.clone())),
        None if choice.is_chosen => Stored::Missing,
        None => Stored::NotAsked,
    };
    Ok(records.iter().map(look_up).collect())
}

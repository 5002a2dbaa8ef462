//! What every record store must do.

use std::collections::HashSet;
use std::slice;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use vylux_pack::content_key::Kid;
use vylux_pack::keys::store::{Audit, Blocking, Imported, StoreError};
use vylux_pack::keys::{HexBytes, KeyRecord};

use crate::{leases, policies, signing_keys};

/// A record whose fields all differ from each other.
pub fn record(content_id: &str, kid: u8) -> KeyRecord {
    KeyRecord {
        content_id: content_id.parse().unwrap(),
        key_name: None,
        kid: Kid([kid; 16]),
        scheme: "cbcs".to_owned(),
        key_uri: format!("http://localhost:4100/api/key/{content_id}"),
        wrapped_key: HexBytes([0xaa; 32]),
        wrap_nonce: HexBytes([0xbb; 12]),
        kek_version: "v1-a3a83649985d5830".to_owned(),
        master_key_id: "fd8bcfbb7630bca5".to_owned(),
        created_at: "2026-01-02T03:04:05Z".parse().unwrap(),
        tool_version: "0.1.0".to_owned(),
        media_fingerprint: "cc".repeat(32),
        generation: None,
    }
}

/// A change that the tester makes in a second of the time of tests.
pub fn audit(second: i64) -> Audit<'static> {
    Audit {
        actor: "tester",
        at: Timestamp::from_second(1_800_000_000 + second).unwrap(),
        detail: None,
    }
}

/// Runs the suite against the empty store at a URL.
pub fn run(url: &str) {
    let store = Blocking::open(url).unwrap();
    assert_eq!(store.list(None).unwrap(), []);
    records_come_back(&store);
    the_first_wrap_wins(url);
    a_record_is_replaced(&store);
    records_are_removed(&store);
    a_wrap_is_compared_and_set(&store);
    an_import_is_all_or_nothing(url, &store);
    imports_and_inserts_at_once_lose_nothing(url);
    order_is_that_of_bytes(&store);
    policies::run(url);
    signing_keys::run(url);
    leases::run(url);
}

fn records_come_back(store: &Blocking) {
    let primary = record("come-back", 1);
    let named = KeyRecord {
        key_name: Some("uhd".parse().unwrap()),
        created_at: "2027-01-01T00:00:00Z".parse().unwrap(),
        ..record("come-back", 0)
    };
    for record in [&named, &primary] {
        assert_eq!(store.get(&record.content_id, &record.kid).unwrap(), None);
        assert_eq!(
            store.insert_or_get(slice::from_ref(record)).unwrap(),
            slice::from_ref(record)
        );
        assert_eq!(
            store.get(&record.content_id, &record.kid).unwrap().as_ref(),
            Some(record)
        );
    }
    let other = store.insert_or_get(&[record("another", 1)]).unwrap().remove(0);
    let of_content = store.list(Some(&primary.content_id)).unwrap();
    assert_eq!(of_content, [primary.clone(), named.clone()]);
    assert_eq!(store.list(None).unwrap(), [other, primary, named]);
    assert_eq!(store.get(&"come-back".parse().unwrap(), &Kid([9; 16])).unwrap(), None);
    assert_eq!(store.list(Some(&"none".parse().unwrap())).unwrap(), []);
}

fn the_first_wrap_wins(url: &str) {
    let one_of = |wrap: u8| KeyRecord {
        wrapped_key: HexBytes([wrap; 32]),
        ..record("first-wins", 1)
    };
    let stored: HashSet<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|wrap| {
                scope.spawn(move || {
                    let store = Blocking::open(url).unwrap();
                    store.insert_or_get(&[one_of(wrap)]).unwrap()[0].wrapped_key.to_string()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(stored.len(), 1, "everyone was given the same record");
}

fn a_record_is_replaced(store: &Blocking) {
    let old = store.insert_or_get(&[record("replaced", 1)]).unwrap().remove(0);
    // Every field that is not the key.
    let new = KeyRecord {
        key_name: Some("uhd".parse().unwrap()),
        scheme: "cbc1".to_owned(),
        key_uri: "https://keys.example.com/'\"\u{1f511}".to_owned(),
        wrapped_key: HexBytes([1; 32]),
        wrap_nonce: HexBytes([2; 12]),
        kek_version: "v1-0000000000000000".to_owned(),
        master_key_id: "0000000000000000".to_owned(),
        created_at: "2027-01-01T00:00:00Z".parse().unwrap(),
        tool_version: "9.9.9".to_owned(),
        media_fingerprint: "dd".to_owned(),
        generation: Some("0a1b2c3d".parse().unwrap()),
        ..old
    };
    store.replace(slice::from_ref(&new)).unwrap();
    assert_eq!(store.list(Some(&new.content_id)).unwrap(), [new]);
    store.replace(&[record("replaced", 2)]).unwrap();
    assert_eq!(store.list(Some(&"replaced".parse().unwrap())).unwrap().len(), 2);
}

fn records_are_removed(store: &Blocking) {
    let records = [record("removed", 1), record("removed", 2), record("removed", 3)];
    store.insert_or_get(&records).unwrap();
    store.insert_or_get(&[record("removed-not", 1)]).unwrap();
    store.remove(&[]).unwrap();
    assert_eq!(store.list(Some(&records[0].content_id)).unwrap().len(), 3);
    store.remove(&records[..2]).unwrap();
    // Those that are gone are none to take.
    store.remove(&records[..2]).unwrap();
    assert_eq!(store.list(Some(&records[0].content_id)).unwrap(), records[2..]);
    store.remove(&records).unwrap();
    assert_eq!(store.get(&records[2].content_id, &records[2].kid).unwrap(), None);
    let other = record("removed-not", 1);
    assert_eq!(store.get(&other.content_id, &other.kid).unwrap(), Some(other));
}

fn a_wrap_is_compared_and_set(store: &Blocking) {
    let old = store.insert_or_get(&[record("rewrapped", 1)]).unwrap().remove(0);
    let new = KeyRecord {
        wrapped_key: HexBytes([1; 32]),
        wrap_nonce: HexBytes([2; 12]),
        kek_version: "v1-0000000000000000".to_owned(),
        ..old.clone()
    };
    store
        .update_wraps(slice::from_ref(&old), slice::from_ref(&new))
        .unwrap();
    assert_eq!(store.get(&new.content_id, &new.kid).unwrap().as_ref(), Some(&new));

    let fails = |olds: &[KeyRecord], news: &[KeyRecord]| {
        let error = store.update_wraps(olds, news).unwrap_err();
        assert!(matches!(error, StoreError::Changed { .. }), "{error:?}");
        assert_eq!(store.get(&new.content_id, &new.kid).unwrap().as_ref(), Some(&new));
    };
    // It has another wrap by now.
    fails(slice::from_ref(&old), slice::from_ref(&old));
    let gone = record("gone", 1);
    fails(&[new.clone(), gone.clone()], &[old, gone]);
}

fn an_import_is_all_or_nothing(url: &str, store: &Blocking) {
    let there = store.insert_or_get(&[record("imported", 1)]).unwrap().remove(0);
    let wrapped_again = KeyRecord {
        wrapped_key: HexBytes([1; 32]),
        ..there.clone()
    };
    let imported = store.import(&[record("imported", 2), wrapped_again]).unwrap();
    assert_eq!(imported, Imported { added: 1, known: 1 });
    assert_eq!(store.get(&there.content_id, &there.kid).unwrap().as_ref(), Some(&there));

    let contradiction = KeyRecord {
        scheme: "cbc1".to_owned(),
        ..there.clone()
    };
    let error = store.import(&[record("imported", 3), contradiction]).unwrap_err();
    assert!(matches!(error, StoreError::Conflict { .. }), "{error:?}");
    // It keeps nobody waiting, though this store does nothing more now.
    let began = Instant::now();
    let other = Blocking::open(url).unwrap();
    assert_eq!(other.import(&[record("elsewhere", 1)]).unwrap().added, 1);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert_eq!(store.list(Some(&there.content_id)).unwrap().len(), 2);
}

/// Some of each import are in the other, in the opposite order, and some are put in alone meanwhile.
fn imports_and_inserts_at_once_lose_nothing(url: &str) {
    let records: Vec<KeyRecord> = (0..60).map(|kid| record("at-once", kid)).collect();
    let reversed: Vec<KeyRecord> = records.iter().rev().cloned().collect();
    let (imported, added) = std::thread::scope(|scope| {
        let open = || Blocking::open(url).unwrap();
        let imports = [&records[..40], &reversed[..40], &records[10..50]]
            .map(|records| scope.spawn(move || open().import(records).unwrap()));
        let inserts = [&records, &reversed].map(|records| {
            scope.spawn(move || {
                let store = open();
                for record in records {
                    assert_eq!(
                        store.insert_or_get(slice::from_ref(record)).unwrap(),
                        slice::from_ref(record)
                    );
                }
            })
        });
        for thread in inserts {
            thread.join().unwrap();
        }
        let imports = imports.map(|thread| thread.join().unwrap());
        let sum = |count: fn(&Imported) -> usize| imports.iter().map(count).sum::<usize>();
        (
            sum(|imported| imported.added + imported.known),
            sum(|imported| imported.added),
        )
    });
    assert_eq!(imported, 120);
    assert!(added <= 60, "{added}");
    let store = Blocking::open(url).unwrap();
    assert_eq!(store.list(Some(&"at-once".parse().unwrap())).unwrap(), records);
}

fn order_is_that_of_bytes(store: &Blocking) {
    let ids = ["order-B", "order-a", "order-Z", "order-_", "order-0"];
    for id in ids {
        store.insert_or_get(&[record(id, 1)]).unwrap();
    }
    let all = store.list(None).unwrap();
    let listed: Vec<&str> = all.iter().map(|record| record.content_id.as_str()).collect();
    assert!(listed.is_sorted() && listed.len() > ids.len(), "{listed:?}");
}

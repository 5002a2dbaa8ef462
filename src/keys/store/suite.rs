//! What every record store must do; each database's tests run it against a store of their own.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashSet;
use std::slice;

use super::{Blocking, Imported, StoreError};
use crate::content_key::Kid;
use crate::keys::record::tests::record;
use crate::keys::{HexBytes, KeyRecord};

/// Runs the suite against the empty store at a URL.
pub fn run(url: &str) {
    let store = Blocking::open(url).unwrap();
    assert_eq!(store.list(None).unwrap(), []);
    records_come_back(&store);
    the_first_wrap_wins(url);
    a_record_is_replaced(&store);
    a_wrap_is_compared_and_set(&store);
    an_import_is_all_or_nothing(&store);
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
        assert_eq!(store.insert_or_get(record).unwrap(), *record);
        assert_eq!(
            store.get(&record.content_id, &record.kid).unwrap().as_ref(),
            Some(record)
        );
    }
    let other = store.insert_or_get(&record("another", 1)).unwrap();
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
                    store.insert_or_get(&one_of(wrap)).unwrap().wrapped_key.to_string()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(stored.len(), 1, "everyone was given the same record");
}

fn a_record_is_replaced(store: &Blocking) {
    let old = store.insert_or_get(&record("replaced", 1)).unwrap();
    let new = KeyRecord {
        media_fingerprint: "dd".to_owned(),
        ..old
    };
    store.replace(&new).unwrap();
    assert_eq!(store.list(Some(&new.content_id)).unwrap(), [new]);
    store.replace(&record("replaced", 2)).unwrap();
    assert_eq!(store.list(Some(&"replaced".parse().unwrap())).unwrap().len(), 2);
}

fn a_wrap_is_compared_and_set(store: &Blocking) {
    let old = store.insert_or_get(&record("rewrapped", 1)).unwrap();
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

fn an_import_is_all_or_nothing(store: &Blocking) {
    let there = store.insert_or_get(&record("imported", 1)).unwrap();
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
    assert_eq!(store.list(Some(&there.content_id)).unwrap().len(), 2);
}

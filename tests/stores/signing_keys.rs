//! What every store must do with signing keys.

use std::sync::Barrier;
use std::time::Duration;

use vylux_pack::keys::store::{Blocking, NewSigningKey, Revocation, SigningKey, SigningKeyStore, StoreError};

use crate::policies::last_entry;
use crate::suite::audit;

/// How many keys may be active.
const MAX_ACTIVE: u32 = 10;

fn key(kid: &str) -> NewSigningKey {
    NewSigningKey {
        kid: kid.to_owned(),
        name: format!("name of {kid}"),
        public_key_pem: format!("-----BEGIN PUBLIC KEY-----\n{kid}\n"),
    }
}

fn add(store: &Blocking, key: &NewSigningKey, second: i64) -> Result<(), StoreError> {
    store.wait(|store| store.add_signing_key(key, MAX_ACTIVE, audit(second)))
}

fn get(store: &Blocking, kid: &str) -> Option<SigningKey> {
    store.wait(|store| store.signing_key(kid)).unwrap()
}

/// Runs the suite against the store at a URL, which has no signing keys.
pub fn run(url: &str) {
    let store = Blocking::open(url).unwrap();
    keys_come_back(&store);
    no_id_and_no_active_name_is_given_twice(&store);
    a_key_is_revoked_once(&store);
    last_use_moves_forward(&store);
    of_many_tenth_keys_one_is_added(url, &store);
    many_touch_the_same_keys(url);
}

fn keys_come_back(store: &Blocking) {
    assert_eq!(store.wait(SigningKeyStore::signing_keys).unwrap(), []);
    assert_eq!(get(store, "b"), None);
    for (kid, second) in [("b", 2), ("c", 1), ("a", 2)] {
        add(store, &key(kid), second).unwrap();
        assert_eq!(last_entry(store, kid).unwrap().action, "signing-key.add");
    }
    let expected = SigningKey {
        kid: "b".to_owned(),
        name: "name of b".to_owned(),
        public_key_pem: key("b").public_key_pem,
        created_at: audit(2).at,
        revoked_at: None,
        last_used_at: None,
    };
    assert_eq!(get(store, "b"), Some(expected));
    let all = store.wait(SigningKeyStore::signing_keys).unwrap();
    let kids: Vec<&str> = all.iter().map(|key| key.kid.as_str()).collect();
    assert_eq!(kids, ["c", "a", "b"]);
}

fn no_id_and_no_active_name_is_given_twice(store: &Blocking) {
    let again = NewSigningKey {
        name: "another".to_owned(),
        ..key("b")
    };
    let error = add(store, &again, 3).unwrap_err();
    assert!(
        matches!(&error, StoreError::SigningKeyExists { kid } if kid == "b"),
        "{error:?}"
    );
    assert!(!error.may_pass());
    let namesake = NewSigningKey {
        name: "name of b".to_owned(),
        ..key("namesake")
    };
    let error = add(store, &namesake, 3).unwrap_err();
    assert!(
        error.to_string().contains("\"b\" has the name \"name of b\""),
        "{error}"
    );
    assert_eq!(get(store, "namesake"), None);
    assert_eq!(last_entry(store, "namesake"), None, "nothing changed");
    assert_eq!(last_entry(store, "b").unwrap().at, audit(2).at);
}

fn a_key_is_revoked_once(store: &Blocking) {
    let revoke = |kid: &str, second| {
        store
            .wait(|store| store.revoke_signing_key(kid, audit(second)))
            .unwrap()
    };
    assert_eq!(revoke("none", 4), Revocation::Unknown);
    assert_eq!(last_entry(store, "none"), None);
    assert_eq!(revoke("b", 4), Revocation::Revoked);
    assert_eq!(revoke("b", 5), Revocation::WasRevoked);
    let revoked = get(store, "b").unwrap();
    assert_eq!(revoked.revoked_at, Some(audit(4).at));
    assert!(!revoked.is_active());
    let entry = last_entry(store, "b").unwrap();
    assert_eq!((entry.action.as_str(), entry.at), ("signing-key.revoke", audit(4).at));

    // Its name may be used again, and its ID never.
    let heir = NewSigningKey {
        name: "name of b".to_owned(),
        ..key("heir")
    };
    add(store, &heir, 6).unwrap();
    assert!(matches!(
        add(store, &key("b"), 6),
        Err(StoreError::SigningKeyExists { .. })
    ));
}

fn last_use_moves_forward(store: &Blocking) {
    let touch = |second: i64| {
        let used = [
            ("c".to_owned(), audit(second).at),
            ("a".to_owned(), audit(second).at),
            ("none".to_owned(), audit(second).at),
        ];
        store.wait(|store| store.touch_signing_keys(&used)).unwrap();
        ["a", "c"].map(|kid| get(store, kid).unwrap().last_used_at.unwrap())
    };
    assert_eq!(touch(100), [audit(100).at; 2]);
    assert_eq!(touch(99), [audit(100).at; 2]);
    assert_eq!(touch(1000), [audit(1000).at; 2]);
    // Fractions of a second would be text whose order is not that of time.
    let later = [("a".to_owned(), audit(1000).at + Duration::from_millis(900))];
    store.wait(|store| store.touch_signing_keys(&later)).unwrap();
    assert_eq!(touch(1001), [audit(1001).at; 2]);
    store.wait(|store| store.touch_signing_keys(&[])).unwrap();
    assert_eq!(get(store, "heir").unwrap().last_used_at, None);
}

/// Half of them on stores of their own, half on one.
fn of_many_tenth_keys_one_is_added(url: &str, shared: &Blocking) {
    for kid in ["4", "5", "6", "7", "8", "9"] {
        add(shared, &key(kid), 7).unwrap();
    }
    let ready = Barrier::new(8);
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|number| {
                let ready = &ready;
                scope.spawn(move || {
                    let own = (number % 2 == 0).then(|| Blocking::open(url).unwrap());
                    ready.wait();
                    add(own.as_ref().unwrap_or(shared), &key(&format!("tenth-{number}")), 8)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let refused: Vec<_> = results.into_iter().filter_map(Result::err).collect();
    assert_eq!(refused.len(), 7);
    for error in refused {
        assert!(error.to_string().contains("10 active signing keys"), "{error}");
    }
    let all = shared.wait(SigningKeyStore::signing_keys).unwrap();
    assert_eq!(all.iter().filter(|key| key.is_active()).count(), 10);
    let entries = shared.wait(|store| store.audit_entries(None, 99)).unwrap();
    let added = entries.iter().filter(|entry| entry.subject.starts_with("tenth-"));
    assert_eq!(added.count(), 1);
}

/// In another order each, where they would wait for each other.
fn many_touch_the_same_keys(url: &str) {
    let ready = Barrier::new(4);
    std::thread::scope(|scope| {
        for number in 0..4 {
            let ready = &ready;
            scope.spawn(move || {
                let store = Blocking::open(url).unwrap();
                let mut kids = ["4", "5", "6", "7", "8", "9"];
                if number % 2 == 0 {
                    kids.reverse();
                }
                ready.wait();
                for second in 0..20 {
                    let used: Vec<_> = kids
                        .iter()
                        .map(|kid| ((*kid).to_owned(), audit(2000 + second).at))
                        .collect();
                    store.wait(|store| store.touch_signing_keys(&used)).unwrap();
                }
            });
        }
    });
    let store = Blocking::open(url).unwrap();
    assert_eq!(get(&store, "9").unwrap().last_used_at, Some(audit(2019).at));
}

//! What every store must do with leases.

use std::sync::Barrier;

use jiff::Timestamp;
use vylux_pack::keys::store::{Audit, Blocking, Lease, LeaseCreation, LeaseLimit, LeaseOverflow};

use crate::policies::last_entry;
use crate::suite::audit;

const CREATED: LeaseCreation = LeaseCreation::Created { evicted: 0 };

/// A lease that was made at a time, in milliseconds since [`audit`]'s second 0, for a second.
fn lease(viewer: &str, name: &str, created_ms: i64) -> Lease {
    let created_at_ms = audit(0).at.as_millisecond() + created_ms;
    Lease {
        id: format!("{viewer}-hunter2-{name}"),
        content_id: "film".parse().unwrap(),
        viewer: viewer.to_owned(),
        expires_at_ms: created_at_ms + 1000,
        created_at_ms,
    }
}

const fn limit(max_per_viewer: u32, overflow: LeaseOverflow) -> LeaseLimit {
    LeaseLimit {
        max_per_viewer,
        overflow,
    }
}

fn create(store: &Blocking, lease: &Lease, limit: impl Into<Option<LeaseLimit>>) -> LeaseCreation {
    store.wait(|store| store.create_lease(lease, limit.into())).unwrap()
}

fn get(store: &Blocking, id: &str) -> Option<Lease> {
    store.wait(|store| store.lease(id)).unwrap()
}

fn revoke_all(store: &Blocking, viewer: &str) -> u64 {
    store.wait(|store| store.revoke_leases_of(viewer, audit(0))).unwrap()
}

/// Runs the suite against the store at a URL, which has no leases.
pub fn run(url: &str) {
    let store = Blocking::open(url).unwrap();
    leases_come_back(&store);
    who_has_too_many_is_refused_or_loses_the_oldest(&store);
    a_lease_is_renewed_by_its_viewer_in_time(&store);
    leases_are_revoked(&store);
    expired_leases_are_swept(&store);
    for overflow in [LeaseOverflow::Refuse, LeaseOverflow::EvictOldest] {
        many_creators_keep_to_the_limit(url, &store, overflow);
    }
    all_at_once_end(url);
}

fn leases_come_back(store: &Blocking) {
    let lease = lease("come-back", "a", 0);
    assert_eq!(get(store, &lease.id), None);
    assert_eq!(create(store, &lease, None), CREATED);
    assert_eq!(get(store, &lease.id).as_ref(), Some(&lease));
    let shown = format!("{lease:?}");
    assert!(!shown.contains("hunter2") && shown.contains("film"), "{shown}");
    // An ID that is there is an error, and the lease stays.
    let again = Lease {
        viewer: "another".to_owned(),
        ..lease.clone()
    };
    store.wait(|store| store.create_lease(&again, None)).unwrap_err();
    assert_eq!(get(store, &lease.id).as_ref(), Some(&lease));
    assert_eq!(revoke_all(store, "come-back"), 1);
}

fn who_has_too_many_is_refused_or_loses_the_oldest(store: &Blocking) {
    let [a, b, c, d] = [("a", 0), ("b", 10), ("c", 20), ("d", 30)].map(|(name, at)| lease("many", name, at));
    let refuse = limit(2, LeaseOverflow::Refuse);
    assert_eq!(create(store, &b, refuse), CREATED);
    assert_eq!(create(store, &a, refuse), CREATED);
    assert_eq!(create(store, &c, refuse), LeaseCreation::Refused);
    assert_eq!(get(store, &c.id), None);
    // Others have room of their own.
    assert_eq!(create(store, &lease("few", "a", 0), refuse), CREATED);

    let evict = limit(2, LeaseOverflow::EvictOldest);
    assert_eq!(create(store, &c, evict), LeaseCreation::Created { evicted: 1 });
    assert_eq!(get(store, &a.id), None, "the oldest by its time");
    assert!(get(store, &b.id).is_some());
    // The limit was lowered meanwhile.
    let one = limit(1, LeaseOverflow::EvictOldest);
    assert_eq!(create(store, &d, one), LeaseCreation::Created { evicted: 2 });
    let none = limit(0, LeaseOverflow::EvictOldest);
    assert_eq!(create(store, &a, none), LeaseCreation::Refused);
    assert!(get(store, &d.id).is_some());

    // The end is no part of the lease.
    let one = limit(1, LeaseOverflow::Refuse);
    assert_eq!(create(store, &lease("many", "e", 1029), one), LeaseCreation::Refused);
    assert_eq!(create(store, &lease("many", "e", 1030), one), CREATED);
    assert!(get(store, &d.id).is_some(), "it is left to the sweep");
    assert_eq!(revoke_all(store, "many"), 2);
    assert_eq!(revoke_all(store, "few"), 1);
}

fn a_lease_is_renewed_by_its_viewer_in_time(store: &Blocking) {
    let lease = lease("renewed", "a", 0);
    assert_eq!(create(store, &lease, None), CREATED);
    let (film, other) = ("film".parse().unwrap(), "other".parse().unwrap());
    let end = lease.expires_at_ms;
    let renew = |id: &str, viewer: &str, content_id, now_ms| {
        store
            .wait(|store| store.renew_lease(id, viewer, content_id, now_ms + 1000, now_ms))
            .unwrap()
    };
    assert!(!renew("none", "renewed", &film, end - 1));
    assert!(!renew(&lease.id, "another", &film, end - 1));
    assert!(!renew(&lease.id, "renewed", &other, end - 1));
    assert!(!renew(&lease.id, "renewed", &film, end));
    assert_eq!(get(store, &lease.id).unwrap().expires_at_ms, end);
    // The time that it waits for others counts.
    assert!(renew(&lease.id, "renewed", &film, end - 500));
    assert_eq!(get(store, &lease.id).unwrap().expires_at_ms, end + 500);
    assert!(renew(&lease.id, "renewed", &film, end));
    assert_eq!(revoke_all(store, "renewed"), 1);
    assert!(!renew(&lease.id, "renewed", &film, end));
    // A server whose clock is behind renews nothing that was revoked.
    assert_eq!(create(store, &lease, None), CREATED);
    let later = Audit {
        at: Timestamp::from_millisecond(end + 1).unwrap(),
        ..audit(0)
    };
    let revoked = store.wait(|store| store.revoke_leases_of("renewed", later));
    assert_eq!(revoked.unwrap(), 0, "it had expired");
    assert!(!renew(&lease.id, "renewed", &film, end - 500));
}

fn leases_are_revoked(store: &Blocking) {
    let of = |name: &str| lease("revoked", name, 0);
    for name in ["a", "b", "c"] {
        assert_eq!(create(store, &of(name), None), CREATED);
    }
    let expired = lease("revoked", "expired", -1000);
    assert_eq!(create(store, &expired, None), CREATED);
    let revoke = |id: &str| store.wait(|store| store.revoke_lease(id, audit(0))).unwrap();
    assert!(revoke(&of("a").id));
    assert!(!revoke(&of("a").id));
    let subject = Lease::fingerprint(&of("a").id);
    assert_eq!(last_entry(store, &subject).unwrap().action, "lease.revoke");
    let entries = store.wait(|store| store.audit_entries(Some(&subject), 9)).unwrap();
    assert_eq!(entries.len(), 1, "nothing changed the second time");

    assert_eq!(revoke_all(store, "revoked"), 2);
    assert_eq!(revoke_all(store, "revoked"), 0);
    let entries = store.wait(|store| store.audit_entries(Some("revoked"), 9)).unwrap();
    assert_eq!(entries.len(), 1, "nothing changed the second time");
    assert_eq!(entries[0].action, "lease.revoke-viewer");
    assert!(
        get(store, &expired.id).is_none(),
        "a server whose clock is behind would renew it"
    );
    let all = store.wait(|store| store.audit_entries(None, 999)).unwrap();
    assert!(!format!("{all:?}").contains("hunter2"), "an ID is shown");
}

fn expired_leases_are_swept(store: &Blocking) {
    let start = audit(0).at.as_millisecond();
    let sweep = |now_ms| store.wait(|store| store.sweep_leases(now_ms)).unwrap();
    sweep(start + 100_000);
    let leases = [0, 1, 2].map(|at| lease("swept", &at.to_string(), at));
    for lease in &leases {
        assert_eq!(create(store, lease, None), CREATED);
    }
    assert_eq!(sweep(start + 999), 0);
    assert_eq!(sweep(start + 1001), 2);
    assert_eq!(get(store, &leases[1].id), None);
    assert!(get(store, &leases[2].id).is_some());
    assert_eq!(sweep(start + 1002), 1);
}

/// Half of them on stores of their own, half on one.
fn many_creators_keep_to_the_limit(url: &str, shared: &Blocking, overflow: LeaseOverflow) {
    let ready = Barrier::new(16);
    let results: Vec<LeaseCreation> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|number| {
                let ready = &ready;
                scope.spawn(move || {
                    let own = (number % 2 == 0).then(|| Blocking::open(url).unwrap());
                    let lease = lease("raced", &number.to_string(), number);
                    ready.wait();
                    create(own.as_ref().unwrap_or(shared), &lease, limit(3, overflow))
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let evicted: Vec<u64> = results
        .into_iter()
        .filter_map(|result| match result {
            LeaseCreation::Created { evicted } => Some(evicted),
            LeaseCreation::Refused => None,
        })
        .collect();
    let expected = match overflow {
        LeaseOverflow::Refuse => (3, 0),
        LeaseOverflow::EvictOldest => (16, 13),
    };
    assert_eq!((evicted.len(), evicted.iter().sum()), expected);
    assert_eq!(revoke_all(shared, "raced"), 3);
}

/// Whoever makes, takes away and sweeps leases of the same viewers waits for nobody who waits for it.
fn all_at_once_end(url: &str) {
    let start = audit(0).at.as_millisecond();
    std::thread::scope(|scope| {
        for number in 0..4 {
            scope.spawn(move || {
                let store = Blocking::open(url).unwrap();
                for round in 0..15 {
                    let viewer = format!("at-once-{}", round % 2);
                    let of_viewer = lease(&viewer, &format!("{number}-{round}"), round - 500);
                    create(&store, &of_viewer, limit(2, LeaseOverflow::EvictOldest));
                    match number {
                        0 => drop(store.wait(|store| store.sweep_leases(start - 2000 + round)).unwrap()),
                        1 => drop(revoke_all(&store, &viewer)),
                        _ => {}
                    }
                }
            });
        }
    });
    let store = Blocking::open(url).unwrap();
    for viewer in ["at-once-0", "at-once-1"] {
        assert!(revoke_all(&store, viewer) <= 2);
    }
}

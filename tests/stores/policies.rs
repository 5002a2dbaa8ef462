//! What every store must do with policies, and with the entries of what changed them.

use std::sync::Barrier;

use vylux_pack::keys::store::{Audit, AuditEntry, Blocking, PolicyStore};

use crate::suite::audit;

/// The newest entry of a subject.
pub fn last_entry(store: &Blocking, subject: &str) -> Option<AuditEntry> {
    store
        .wait(|store| store.audit_entries(Some(subject), 1))
        .unwrap()
        .into_iter()
        .next()
}

/// Runs the suite against the store at a URL, which has no policies.
pub fn run(url: &str) {
    let store = Blocking::open(url).unwrap();
    a_policy_is_set_and_cleared(&store);
    a_policy_that_may_hold_secrets_is_not_shown(&store);
    policies_are_listed_by_content(&store);
    the_newest_entries_come_first(&store);
    many_set_one_policy(url);
}

fn a_policy_is_set_and_cleared(store: &Blocking) {
    let content_id = "policy-set".parse().unwrap();
    let get = || store.wait(|store| store.policy(&content_id)).unwrap();
    let clear = || store.wait(|store| store.clear_policy(&content_id, audit(9))).unwrap();
    assert_eq!(get(), None);
    assert!(!clear(), "there was none");
    assert_eq!(last_entry(store, "policy-set"), None, "nothing changed");

    for (second, text) in [(1, r#"{"a":"'\""}"#), (2, "{}")] {
        let told = Audit {
            detail: Some("{\"redacted\":true}"),
            ..audit(second)
        };
        store.wait(|store| store.set_policy(&content_id, text, told)).unwrap();
        let policy = get().unwrap();
        assert_eq!((policy.policy.as_str(), policy.updated_at), (text, audit(second).at));
        assert_eq!(
            last_entry(store, "policy-set").unwrap(),
            AuditEntry {
                at: audit(second).at,
                actor: "tester".to_owned(),
                action: "policy.set".to_owned(),
                subject: "policy-set".to_owned(),
                detail: Some("{\"redacted\":true}".to_owned()),
            }
        );
    }

    assert!(clear());
    assert_eq!(get(), None);
    let entry = last_entry(store, "policy-set").unwrap();
    assert_eq!((entry.action.as_str(), entry.detail), ("policy.clear", None));
    assert!(!clear());
    let entries = store.wait(|store| store.audit_entries(Some("policy-set"), 10)).unwrap();
    assert_eq!(entries.len(), 3, "{entries:?}");
}

fn a_policy_that_may_hold_secrets_is_not_shown(store: &Blocking) {
    let content_id = "policy-secret".parse().unwrap();
    store
        .wait(|store| store.set_policy(&content_id, "{\"secret\":\"hunter2\"}", audit(1)))
        .unwrap();
    let policy = store.wait(|store| store.policy(&content_id)).unwrap().unwrap();
    assert!(!format!("{policy:?}").contains("hunter2"), "{policy:?}");
    assert!(store.wait(|store| store.clear_policy(&content_id, audit(1))).unwrap());
}

fn policies_are_listed_by_content(store: &Blocking) {
    let ids = ["list-b", "list-Z", "list-_", "list-a"];
    for id in ids {
        let content_id = id.parse().unwrap();
        store.wait(|store| store.set_policy(&content_id, id, audit(1))).unwrap();
    }
    let listed = store.wait(PolicyStore::policies).unwrap();
    let listed: Vec<&str> = listed.iter().map(|policy| policy.content_id.as_str()).collect();
    assert_eq!(listed, ["list-Z", "list-_", "list-a", "list-b"]);
}

fn the_newest_entries_come_first(store: &Blocking) {
    let subjects = |limit| -> Vec<String> {
        let entries = store.wait(|store| store.audit_entries(None, limit)).unwrap();
        entries.into_iter().map(|entry| entry.subject).collect()
    };
    assert_eq!(subjects(2), ["list-a", "list-_"]);
    assert!(subjects(0).is_empty());
    assert!(subjects(u32::MAX).len() > 4);
}

fn many_set_one_policy(url: &str) {
    let content_id = "policy-raced".parse().unwrap();
    let ready = Barrier::new(8);
    std::thread::scope(|scope| {
        for text in ["a", "b", "c", "d", "e", "f", "g", "h"] {
            let (content_id, ready) = (&content_id, &ready);
            scope.spawn(move || {
                let store = Blocking::open(url).unwrap();
                ready.wait();
                let told = Audit {
                    detail: Some(text),
                    ..audit(1)
                };
                store.wait(|store| store.set_policy(content_id, text, told)).unwrap();
            });
        }
    });
    let store = Blocking::open(url).unwrap();
    let policy = store.wait(|store| store.policy(&content_id)).unwrap().unwrap();
    assert_eq!(policy.policy.len(), 1);
    let entries = store
        .wait(|store| store.audit_entries(Some("policy-raced"), 99))
        .unwrap();
    assert_eq!(entries.len(), 8);
}

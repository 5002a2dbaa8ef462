//! What webhooks are asked, and what becomes of it: key by key, in time, and the same in a dry run.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::common::server::Server;
use crate::common::{VYLUX_PACK, Workspace, say_skipped, tool};
use crate::site::{Site, TOKEN_SECRET, on_both, on_both_with, refused, service, status, webhook};

/// A web service that lets one key through sees every key that is asked for, however that is done.
#[test]
fn each_key_is_asked_about() {
    on_both(|site, _| {
        let kids = site.encrypt("film");
        let (audio, video) = (kids["audio"].clone(), kids["video"].clone());
        let questions = Arc::new(Mutex::new(Vec::new()));
        let address = service({
            let (audio, questions) = (audio.clone(), Arc::clone(&questions));
            move |_, body| {
                let question: Value = serde_json::from_str(body).unwrap();
                let is_audio = question["kid"] == *audio;
                questions.lock().unwrap().push(question);
                status(if is_audio { "200 OK" } else { "403 Forbidden" })
            }
        });
        site.set("film", &webhook(address, "/"));
        let asked = || -> Vec<(Value, Value)> {
            let questions = questions.lock().unwrap().split_off(0);
            let told = questions
                .iter()
                .map(|one| (one["kid"].clone(), one["requestUrl"].clone()));
            told.collect()
        };
        for (path, trial, kid, is_let_in) in [
            (
                format!("/api/key/film/{audio}"),
                json!({"kid": audio}),
                json!(audio),
                true,
            ),
            (
                format!("/api/key/film/{video}"),
                json!({"kid": video}),
                json!(video),
                false,
            ),
            (
                "/keys/film/audio".to_owned(),
                json!({"keyName": "audio"}),
                json!(audio),
                true,
            ),
            (
                "/keys/film/video".to_owned(),
                json!({"keyName": "video"}),
                json!(video),
                false,
            ),
            (
                "/keys/film/none".to_owned(),
                json!({"keyName": "none"}),
                json!(null),
                false,
            ),
            ("/api/key/film".to_owned(), json!({}), json!(null), false),
        ] {
            let answer = site.outcome(&site.server.ask(&format!("GET {path}"), &[]));
            let expected = if is_let_in {
                (200, "ok".to_owned())
            } else {
                refused("webhook-deny-403")
            };
            assert_eq!(answer, expected, "{path}");
            let mut trial = trial;
            trial["contentId"] = json!("film");
            trial["fireWebhook"] = json!(true);
            // As a listener on both kinds of addresses says it.
            trial["viewerIp"] = json!("::ffff:127.0.0.1");
            assert_eq!(site.try_out(&trial)["allowed"], is_let_in, "{path}");
            let question = (kid, json!(path));
            assert_eq!(asked(), [question.clone(), question]);
        }
        let licence = |kids: &[&String]| {
            let encode = |kid: &&String| URL_SAFE_NO_PAD.encode(hex::decode(kid).unwrap());
            let body = json!({"kids": kids.iter().map(encode).collect::<Vec<_>>()}).to_string();
            site.server.post("POST /api/key/film/clearkey", &[], body.as_bytes())
        };
        let unknown = "ab".repeat(16);
        for kids in [[&audio, &video], [&video, &audio], [&audio, &unknown]] {
            let answer = licence(&kids);
            assert_eq!(answer.status, 200, "{answer:?}");
            assert_eq!(answer.json()["keys"].as_array().unwrap().len(), 1, "{kids:?}");
            assert_eq!(asked().len(), 2);
        }
        for kids in [vec![&video], vec![&video, &unknown], vec![&video, &video], vec![]] {
            assert_eq!(site.outcome(&licence(&kids)), refused("webhook-deny-403"));
        }
        let kids: Vec<Value> = asked().into_iter().map(|(kid, _)| kid).collect();
        assert_eq!(
            kids.len(),
            5,
            "each is asked about once, and nothing is somebody who is to be let in"
        );
        assert_eq!(kids.last(), Some(&json!(null)));
        let metrics = String::from_utf8(site.server.ask("GET /metrics", &[]).body).unwrap();
        // Twelve for keys, of which six were tried out by nobody who is counted; six and five for licences.
        let counted = metrics
            .lines()
            .find_map(|line| line.strip_prefix("vylux_pack_webhook_duration_seconds_count "));
        assert_eq!(counted, Some("17"));
    });
}

/// The server's own patience is longer than a webhook's, so that whoever hangs is found out.
#[test]
fn a_webhook_that_hangs_is_given_up_before_the_request_is() {
    on_both_with(&[("REQUEST_TIMEOUT", "2")], |site, _| {
        let address = service(|_, _| {
            thread::sleep(Duration::from_secs(20));
            status("200 OK")
        });
        let mut policy = webhook(address, "/");
        policy["timeout_ms"] = json!(10000);
        site.set("film", &policy);
        thread::scope(|scope| {
            for _ in 0..5 {
                scope.spawn(|| assert_eq!(site.ask("film", None), (503, "webhook-timeout".to_owned())));
            }
        });
        assert_eq!(site.ask("film", None), (503, "webhook-circuit-open".to_owned()));
    });
}

/// Neither hands out a key that is there and can't be opened.
#[test]
fn a_key_that_can_not_be_opened_is_told_by_both() {
    on_both(|site, _| {
        site.encrypt("film");
        site.set("film", &json!({"type": "public"}));
        let other = Site::serve(&site.workspace, &site.store, &[("MASTER_KEY_HEX", &"5a".repeat(32))]);
        assert_eq!(other.ask("GET /keys/film/audio", &[]).status, 500);
        let trial = json!({"contentId": "film", "keyName": "audio"}).to_string();
        let bearer = format!("Authorization: Bearer {}", crate::site::ADMIN_TOKEN);
        let answer = other.post("POST /api/admin/access/test", &[&bearer], trial.as_bytes());
        assert_eq!(answer.status, 500, "{answer:?}");
        let mut command = site.workspace.vylux_pack();
        command.args(["access", "test", "--content-id", "film", "--key-name", "audio"]);
        command
            .env("DATABASE_URL", &site.store)
            .env("MASTER_KEY_HEX", "5a".repeat(32));
        let output = command.env("KEY_TOKEN_SECRET", TOKEN_SECRET).output().unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    });
}

/// A signing key counts as used where somebody came with its token, and not where somebody tried it out.
#[test]
fn trying_out_is_no_use_of_a_signing_key() {
    on_both(|site, _| {
        let signer = site.signer("application");
        site.set("film", &json!({"type": "jwt"}));
        let claims = json!({"content_id": "film", "exp": crate::common::tokens::now() + 600});
        let token = signer.token(&claims);
        let last_used = |is_live: bool| {
            let server = Site::serve(&site.workspace, &site.store, &[]);
            let bearer = format!("Authorization: Bearer {token}");
            if is_live {
                assert_eq!(server.ask("GET /api/key/film", &[&bearer]).status, 404);
            } else {
                let trial = json!({"contentId": "film", "token": token}).to_string();
                let admin = format!("Authorization: Bearer {}", crate::site::ADMIN_TOKEN);
                let answer = server.post("POST /api/admin/access/test", &[&admin], trial.as_bytes());
                assert_eq!(answer.json()["allowed"], true, "{answer:?}");
            }
            // It is noted at the end, if not before.
            server.signal("-TERM");
            server.ended();
            let (_, key) = site.admin(&format!("GET /api/admin/signing-keys/{}", signer.kid), "");
            key["last_used_at"].clone()
        };
        assert_eq!(last_used(false), json!(null));
        assert!(last_used(true).is_string());
    });
}

/// Runs the rest of a command line where `/etc/hosts` is the file `hosts` of this folder: in a namespace of its own, so nobody else
/// sees it.
fn with_hosts(workspace: &Workspace) -> Command {
    let mut command = workspace.shell();
    command.args([
        "exec unshare -rm sh -c 'mount --bind hosts /etc/hosts && exec \"$@\"' sh \"$@\"",
        "sh",
    ]);
    command
}

/// A name is looked up for each question, also where a connection to its host is kept from the one before: no address that is blocked
/// is dialled, and none hides behind one that is allowed.
#[test]
fn a_name_that_moves_is_found_out() {
    if tool("unshare").is_none() {
        return;
    }
    on_both(|site, _| {
        let hosts = site.workspace.path("hosts");
        // Written in place: the mount is of this very file.
        let write = |lines: &str| std::fs::write(&hosts, lines).unwrap();
        write("127.0.0.1 hook.test\n");
        if !with_hosts(&site.workspace)
            .arg("true")
            .output()
            .unwrap()
            .status
            .success()
        {
            // Privileges are the machine's to give, so this is none of CI's failures: unit tests cover names too.
            return say_skipped("a_name_that_moves_is_found_out", "no file may be mounted here");
        }
        let questions = Arc::new(AtomicUsize::new(0));
        let address = service({
            let questions = Arc::clone(&questions);
            move |_, _| {
                questions.fetch_add(1, Ordering::SeqCst);
                status("200 OK")
            }
        });
        let asked = || questions.swap(0, Ordering::SeqCst);
        // Whoever is not to be talked to.
        let blocked = TcpListener::bind(("127.0.0.2", address.port())).unwrap();
        blocked.set_nonblocking(true).unwrap();
        site.encrypt("film");
        let mut policy = webhook(address, "/");
        policy["url"] = json!(format!("http://hook.test:{}/", address.port()));
        site.set("film", &policy);
        let server = Server::start(Site::configure(
            with_hosts(&site.workspace).arg(VYLUX_PACK),
            &site.store,
            &[("WEBHOOK_ALLOW_CIDRS", "127.0.0.1/32")],
        ));
        let ask = || site.outcome_of(&server, &server.ask("GET /keys/film/audio", &[]));
        let allowed = "127.0.0.1 hook.test\n";
        for lines in [
            "127.0.0.2 hook.test\n",
            "127.0.0.1 hook.test\n127.0.0.2 hook.test\n",
            "127.0.0.2 hook.test\n127.0.0.1 hook.test\n",
            "127.0.0.1 hook.test\n10.0.0.1 hook.test\n",
            "127.0.0.1 hook.test\n::1 hook.test\n",
            "::ffff:127.0.0.2 hook.test\n",
        ] {
            // The connection of these questions is kept.
            write(allowed);
            for _ in 0..2 {
                assert_eq!(ask(), (200, "ok".to_owned()), "before {lines:?}");
            }
            assert_eq!(asked(), 2);
            write(lines);
            for _ in 0..2 {
                assert_eq!(ask(), refused("webhook-blocked-ssrf"), "{lines:?}");
            }
            assert_eq!(asked(), 0, "{lines:?}");
        }
        write(allowed);
        assert_eq!(ask(), (200, "ok".to_owned()));
        assert_eq!(blocked.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}

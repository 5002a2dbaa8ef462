//! What a change of a policy does to the next request.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::server::Server;
use crate::common::tokens::{hmac_sha256, now};
use crate::site::{ADMIN_TOKEN, Site, TOKEN_SECRET, let_in, on_both, refused, service, status, webhook};

/// A change is there for the next request, on another server of the same store too.
#[test]
fn changes_count_from_the_next_request_on() {
    on_both(|site, _| {
        let other = Site::serve(&site.workspace, &site.store, &[]);
        let signer = site.signer("application");
        site.set("film", &json!({"type": "jwt"}));
        let claims = json!({"content_id": "film", "exp": now() + 600});
        let token = signer.token(&claims);
        let status = |server: &Server, token: Option<&str>| {
            let header = token.map(|token| format!("Authorization: Bearer {token}"));
            let headers: Vec<&str> = header.iter().map(String::as_str).collect();
            server.ask("GET /api/key/film", &headers).status
        };
        for _ in 0..20 {
            for server in [&site.server, &other] {
                assert_eq!(status(server, Some(&token)), 404);
            }
            site.set("film", &json!({"type": "public"}));
            assert_eq!(status(&other, None), 404);
            site.set("film", &json!({"type": "jwt"}));
            assert_eq!(status(&other, None), 401);
        }
        let revoke = format!("POST /api/admin/signing-keys/{}/revoke", signer.kid);
        // Whoever asks all the time meanwhile gets nothing from the moment that the answer is there.
        thread::scope(|scope| {
            let asking = scope.spawn(|| (0..200).map(|_| status(&other, Some(&token))).collect::<Vec<_>>());
            thread::sleep(Duration::from_millis(30));
            assert_eq!(site.admin(&revoke, "").0, 200);
            for server in [&site.server, &other] {
                assert_eq!(status(server, Some(&token)), 403);
            }
            let answers = asking.join().unwrap();
            let first = answers
                .iter()
                .position(|answer| *answer == 403)
                .unwrap_or(answers.len());
            assert!(answers[first..].iter().all(|answer| *answer == 403), "{answers:?}");
        });
        assert_eq!(site.ask("film", Some(&token)), refused("no-active-keys"));
        assert_eq!(site.admin(&revoke, "").1["was_active"], false);
        let (_, log) = site.admin("GET /api/admin/audit?limit=3", "");
        let actions: Vec<&str> = log
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["action"].as_str().unwrap())
            .collect();
        assert_eq!(actions, ["signing-key.revoke", "policy.set", "policy.set"]);
    });
}

/// A policy that is given at packaging time is there before the keys are.
#[test]
fn encrypting_sets_the_policy() {
    on_both(|site, _| {
        let file = site.workspace.path("policy.json");
        let encrypt = |policy: &str, more: &[&str]| {
            let mut command = site.workspace.vylux_pack();
            command.arg("encrypt").arg(crate::common::fixture("demo.mp4"));
            command.args([
                "--content-id",
                "film",
                "--quiet",
                "--out",
                "out/film",
                "--policy",
                policy,
            ]);
            command.args(more).env("DATABASE_URL", &site.store);
            command.output().unwrap()
        };
        let wrong = encrypt("privat", &[]);
        assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
        assert!(!site.workspace.path("out/film").exists());
        std::fs::write(&file, r#"{"type":"webhook","url":"https://example.com/"}"#).unwrap();
        let unsigned = encrypt(file.to_str().unwrap(), &[]);
        assert_eq!(unsigned.status.code(), Some(2), "{unsigned:?}");
        assert!(String::from_utf8_lossy(&unsigned.stderr).contains("\"secret\" is missing"));
        assert!(!site.workspace.path("out").exists(), "it was found out too late");
        assert_eq!(encrypt("public", &["--no-store"]).status.code(), Some(2));
        assert_eq!(encrypt("public", &["--scheme", "none"]).status.code(), Some(2));

        std::fs::write(&file, r#"{"type":"jwt","audience":"player"}"#).unwrap();
        let done = encrypt(file.to_str().unwrap(), &[]);
        assert!(done.status.success(), "{done:?}");
        let (status, policy) = site.admin("GET /api/admin/policies/film", "");
        assert_eq!((status, &policy["policy"]["audience"]), (200, &json!("player")));
        assert_eq!(site.ask("film", None).0, 401);
        assert!(encrypt("public", &[]).status.success());
        assert_eq!(site.ask("film", None), (200, "ok".to_owned()));
        let (_, log) = site.admin("GET /api/admin/audit?subject=film", "");
        let actors = log
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["actor"].as_str().unwrap());
        assert!(
            actors.clone().count() == 2 && actors.clone().all(|actor| actor.starts_with("cli:")),
            "{log}"
        );
    });
}

/// The secret of a webhook outlives the key that it was wrapped under.
#[test]
fn rewrapping_moves_secrets_of_webhooks() {
    on_both(|site, _| {
        let address = service(|_, _| status("200 OK"));
        site.set("film", &webhook(address, "/"));
        let rewrap = |settings: &[(&str, &str)]| {
            let mut command = site.workspace.vylux_pack();
            command.args(["keys", "rewrap"]).env("DATABASE_URL", &site.store);
            command.envs(settings.iter().copied());
            let done = crate::common::run(&mut command);
            String::from_utf8([done.stdout, done.stderr].concat()).unwrap()
        };
        let new = "5a".repeat(32);
        let settings = [("KEK_HEX", &*new)];
        site.plant("odd", r#"{"type":"public","x":1}"#);
        let said = rewrap(&settings);
        assert!(said.contains("Moved the secret of 1 policy."), "{said}");
        assert!(said.contains("content 'odd': its policy can't be read"), "{said}");
        assert!(!rewrap(&settings).contains("Moved the secret"), "it moves twice");
        // The server of before can't open it, and one with the new key can.
        assert_eq!(site.ask("film", None), refused("policy-corrupt"));
        let mut command = site.workspace.vylux_pack();
        command.args(["access", "test", "--content-id", "film", "--fire-webhook"]);
        command.env("DATABASE_URL", &site.store).env("KEK_HEX", &new);
        command
            .env("KEY_TOKEN_SECRET", TOKEN_SECRET)
            .env("WEBHOOK_ALLOW_CIDRS", "127.0.0.1");
        let said: Value = serde_json::from_slice(&crate::common::run(&mut command).stdout).unwrap();
        assert_eq!(
            (&said["allowed"], &said["webhook"]["status"]),
            (&json!(true), &json!(200))
        );
    });
}

/// Whoever leaves the secret out never puts an older one back.
#[test]
fn a_secret_that_is_kept_is_the_newest() {
    on_both(|site, _| {
        let expected = Arc::new(Mutex::new(String::new()));
        let address = service({
            let expected = Arc::clone(&expected);
            move |head, body| {
                let mac = hmac_sha256(expected.lock().unwrap().as_bytes(), body.as_bytes());
                let is_signed = head
                    .to_ascii_lowercase()
                    .contains(&format!("sha256={}\r\n", hex::encode(mac)));
                status(if is_signed { "200 OK" } else { "403 Forbidden" })
            }
        });
        site.set("film", &webhook(address, "/"));
        for round in 0..20 {
            let secret = format!("secret {round}");
            thread::scope(|scope| {
                scope.spawn(|| {
                    let mut policy = webhook(address, "/");
                    policy["secret"] = json!(secret);
                    site.set("film", &policy);
                });
                for timeout in 1..4 {
                    let url = format!("http://{address}/");
                    let policy = json!({"type": "webhook", "url": url, "timeout_ms": 5000 + timeout});
                    scope.spawn(move || site.set("film", &policy));
                }
            });
            expected.lock().unwrap().clone_from(&secret);
            assert_eq!(site.ask("film", None), let_in(), "{secret}");
        }
    });
}

/// A developer's own server looks at no policy, and says so in a dry run.
#[test]
fn a_server_without_access_control_ignores_policies() {
    on_both(|site, _| {
        site.encrypt("film");
        let server = Server::start(
            Site::configure(&mut site.workspace.vylux_pack(), &site.store, &[]).arg("--insecure-no-auth"),
        );
        let nobody = json!({"type": "webhook", "url": "https://10.0.0.1/", "secret": "hunter2"});
        for policy in [
            json!({"type": "token"}),
            json!({"type": "jwt"}),
            nobody,
            json!({"type": "geo"}),
        ] {
            site.plant("film", &policy.to_string());
            let path = "GET /keys/film/audio";
            assert_ne!(site.server.ask(path, &[]).status, 200, "{policy}");
            let answer = server.ask(path, &[]);
            assert_eq!(site.outcome_of(&server, &answer), (200, "ok".to_owned()), "{policy}");
            let trial = json!({"contentId": "film", "keyName": "audio"}).to_string();
            let admin = format!("Authorization: Bearer {ADMIN_TOKEN}");
            let said = server
                .post("POST /api/admin/access/test", &[&admin], trial.as_bytes())
                .json();
            assert_eq!(
                (&said["allowed"], &said["policyType"]),
                (&json!(true), &json!(null)),
                "{said}"
            );
        }
    });
}

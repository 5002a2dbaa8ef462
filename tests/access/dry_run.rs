//! Dry runs, and what the server really does.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::common::tokens::{hmac_token, now};
use crate::site::{Signer, Site, TOKEN_SECRET, on_both, on_both_with, service, status, webhook};

/// Numbers that look random and are the same each time (Knuth, MMIX).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % limit as u64).unwrap()
    }

    fn one_of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }
}

/// A film whose keys are asked for.
struct Film {
    id: String,
    audio_kid: Option<String>,
    lease: Option<String>,
}

impl Film {
    /// With keys of their own for audio and video, if its number is small.
    fn new(site: &Site, number: usize, policy: &Value, signer: &Signer) -> Self {
        let id = format!("film-{number}");
        site.set(&id, policy);
        let audio_kid = (number < 4).then(|| site.encrypt(&id)["audio"].clone());
        let claims = json!({
            "content_id": id, "hash": id, "sub": "viewer", "aud": "player", "plan": "premium", "exp": now() + 600,
        });
        let token = match policy["type"].as_str().unwrap() {
            "token" => hmac_token(TOKEN_SECRET, &claims.to_string()),
            _ => signer.token(&claims),
        };
        let body = json!({"contentId": id}).to_string();
        let given = site.server.post(
            "POST /keys/leases",
            &[&*format!("Authorization: Bearer {token}")],
            body.as_bytes(),
        );
        Self {
            id,
            audio_kid,
            lease: (given.status == 201).then(|| given.json()["leaseId"].as_str().unwrap().to_owned()),
        }
    }
}

/// Asks for keys of all kinds of films, in all kinds of ways, and tries each of these requests out.
fn agree(settings: &[(&str, &str)], check: impl Fn(&Site, &[Film], &BTreeSet<String>, &dyn Fn(&str))) {
    on_both_with(settings, |site, sql| {
        let address = service(|head, _| {
            if head.contains(" /yes ") {
                status("200 OK")
            } else {
                status("403 Forbidden")
            }
        });
        let signers = [site.signer("one"), site.signer("two")];
        let policies = [
            json!({"type": "token"}),
            json!({"type": "jwt"}),
            json!({"type": "public"}),
            webhook(address, "/yes"),
            webhook(address, "/no"),
            json!({"type": "jwt", "audience": "player"}),
            json!({"type": "jwt", "allowed_kids": [signers[0].kid], "content_binding": false}),
            json!({"type": "jwt", "required_claims": {"plan": "premium"}}),
        ];
        let films: Vec<_> = policies
            .iter()
            .enumerate()
            .map(|(number, policy)| Film::new(site, number, policy, &signers[0]))
            .collect();
        let mut random = Random(7);
        let mut outcomes = BTreeSet::new();
        for _ in 0..300 {
            let film = &films[random.below(films.len())];
            let request = Request::new(film, &films, &signers, &mut random);
            let (live, cause) = request.ask(site);
            let dry = request.try_out(site, film);
            let was_let_in = ["ok", "no-record"].contains(&&*live);
            let said = dry["reason"]
                .as_str()
                .unwrap_or(if was_let_in { &live } else { "nothing" });
            assert_eq!(said, live, "{request:?}: {dry}");
            assert_eq!(dry["allowed"], was_let_in, "{request:?}: {dry}");
            if !was_let_in {
                assert_eq!(dry["detail"], cause, "{request:?}: {dry}");
                request.assert_explained(&cause);
            }
            outcomes.insert(live);
        }
        assert!(outcomes.len() >= 12, "{outcomes:?}");
        check(site, &films, &outcomes, sql);
    });
}

/// A request for a key.
#[derive(Debug)]
struct Request {
    path: String,
    /// Which key, as a trial names it.
    key: Option<(&'static str, String)>,
    token: Option<String>,
    lease: Option<String>,
}

impl Request {
    fn new(film: &Film, films: &[Film], signers: &[Signer], random: &mut Random) -> Self {
        let id = &film.id;
        let named = random.one_of(&[id, id, id, &films[0].id]);
        let mut claims = json!({"content_id": named, "hash": named});
        if random.below(8) > 0 {
            claims["exp"] = json!(now() + random.one_of(&[600, 600, 600, -120]));
        }
        for (name, values) in [
            (
                "sub",
                &[
                    json!("viewer"),
                    json!("viewer"),
                    json!("viewer"),
                    json!("another"),
                    json!(""),
                ][..],
            ),
            ("aud", &[json!("player")]),
            ("plan", &[json!("premium")]),
            (
                "keys",
                &[json!(null), json!(["audio"]), json!(["primary", "video"]), json!(5)],
            ),
        ] {
            if random.below(6) > 0 {
                claims[name] = random.one_of(values);
            }
        }
        let mut token = match random.below(3) {
            0 => hmac_token(TOKEN_SECRET, &claims.to_string()),
            _ => signers[random.below(2)].token(&claims),
        };
        if random.below(8) == 0 {
            let place = random.below(token.len());
            token.replace_range(place..=place, "A");
        }
        let kid = film.audio_kid.clone().unwrap_or_else(|| "ab".repeat(16));
        let (path, key) = match random.below(4) {
            0 => (format!("/api/key/{id}/{kid}"), Some(("kid", kid))),
            1 => (format!("/keys/{id}/audio"), Some(("keyName", "audio".to_owned()))),
            2 => (
                format!("/api/key/{id}/{}", "cd".repeat(16)),
                Some(("kid", "cd".repeat(16))),
            ),
            _ => (format!("/api/key/{id}"), None),
        };
        let lease = random.one_of(&[film, film, film, film, &films[0]]).lease.clone();
        Self {
            path,
            key,
            token: (random.below(8) > 0).then_some(token),
            lease: (random.below(5) > 0).then_some(lease).flatten(),
        }
    }

    /// Whether that is an explanation, and nothing of what only the viewer may know is in it.
    fn assert_explained(&self, detail: &Value) {
        let detail = detail.as_str().unwrap_or_default();
        assert!(detail.contains(' '), "{detail:?}: {self:?}");
        for secret in [self.token.as_deref(), self.lease.as_deref(), Some(TOKEN_SECRET)] {
            let parts = secret.iter().flat_map(|secret| secret.split('.'));
            assert!(
                parts.into_iter().all(|part| !detail.contains(part)),
                "{detail:?}: {self:?}"
            );
        }
    }

    /// The reason that the server's log gives for its answer, and more of it.
    fn ask(&self, site: &Site) -> (String, Value) {
        let token = self
            .token
            .as_ref()
            .map(|token| format!("Authorization: Bearer {token}"));
        let lease = self.lease.as_ref().map(|lease| format!("X-Lease-Id: {lease}"));
        let headers: Vec<&str> = [&token, &lease].into_iter().flatten().map(String::as_str).collect();
        let answer = site.server.ask(&format!("GET {}", self.path), &headers);
        let line = site.server.logged(answer.header("x-request-id").unwrap());
        (site.outcome(&answer).1, line["cause"].clone())
    }

    fn try_out(&self, site: &Site, film: &Film) -> Value {
        let mut trial = json!({
            "contentId": film.id, "token": self.token, "leaseId": self.lease, "fireWebhook": true,
        });
        if let Some((name, key)) = &self.key {
            trial[name] = json!(key);
        }
        site.try_out(&trial)
    }
}

/// Two that decide by the same code can't disagree; whether they are given the same, this finds out.
#[test]
fn a_dry_run_says_what_the_server_does() {
    agree(&[], |_, _, outcomes, _| {
        for reason in ["ok", "key-not-in-token", "webhook-deny-403"] {
            assert!(outcomes.contains(reason), "{reason} not in {outcomes:?}");
        }
    });
}

#[test]
fn a_dry_run_knows_of_leases() {
    agree(&[("LEASE_TTL_MS", "600000")], |site, films, outcomes, sql| {
        for reason in [
            "ok",
            "lease-missing",
            "lease-unknown",
            "lease-no-subject",
            "lease-bad-subject",
        ] {
            assert!(outcomes.contains(reason), "{reason} not in {outcomes:?}");
        }
        sql("DROP TABLE key_leases");
        let film = &films[0];
        let claims = json!({"hash": film.id, "sub": "viewer", "exp": now() + 600});
        let request = Request {
            path: format!("/api/key/{}", film.id),
            key: None,
            token: Some(hmac_token(TOKEN_SECRET, &claims.to_string())),
            lease: film.lease.clone(),
        };
        assert_eq!(request.ask(site).0, "lease-fetch-failed");
        let said = request.try_out(site, film);
        request.assert_explained(&said["detail"]);
        assert_eq!(
            (&said["reason"], &said["subject"]),
            (&json!("lease-fetch-failed"), &json!("viewer"))
        );
    });
}

/// Each says what to look at, in the words of whoever makes tokens.
#[test]
fn a_dry_run_explains_what_is_wrong_with_a_token() {
    on_both(|site, _| {
        let token = |claims: Value| hmac_token(TOKEN_SECRET, &claims.to_string());
        let good = json!({"hash": "film", "exp": now() + 600});
        for (token, reason, words) in [
            (None, "missing-token", "Bearer"),
            (Some("x".repeat(9000)), "token-too-large", "8 KiB"),
            (Some("nonsense".to_owned()), "token-malformed", "form"),
            (
                Some(hmac_token("another secret", &good.to_string())),
                "token-signature",
                "KEY_TOKEN_SECRET",
            ),
            (
                Some(token(json!({"hash": "film", "exp": now() - 600}))),
                "token-expired",
                "\"exp\"",
            ),
            (
                Some(token(json!({"hash": "other", "exp": now() + 600}))),
                "token-content-mismatch",
                "\"hash\"",
            ),
            (
                Some(token(json!({"hash": "film", "exp": now() + 600, "keys": 5}))),
                "keys-claim-malformed",
                "\"keys\"",
            ),
            (
                Some(token(json!({"hash": "film", "exp": now() + 600, "keys": "audio"}))),
                "key-not-in-token",
                "\"keys\"",
            ),
        ] {
            let said = site.dry_run("film", token.as_deref(), false);
            assert_eq!(said["reason"], reason, "{said}");
            assert!(said["detail"].as_str().unwrap().contains(words), "{said}");
        }
        // Where it is let in, there is nothing to explain but that there is no such key.
        let said = site.dry_run("film", Some(&token(good.clone())), false);
        assert_eq!(said["allowed"], true, "{said}");
        site.encrypt("film");
        let trial = json!({"contentId": "film", "keyName": "audio", "token": token(good)});
        assert_eq!(site.try_out(&trial)["detail"], json!(null));
    });
}

/// What a token says is shown, whatever kind it is, and called verified where it opened something alone.
#[test]
fn a_dry_run_shows_what_a_token_says() {
    on_both(|site, _| {
        site.set("open", &json!({"type": "public"}));
        let token = |exp: i64| {
            hmac_token(
                TOKEN_SECRET,
                &json!({"hash": "film", "sub": "viewer", "exp": exp}).to_string(),
            )
        };
        for (id, token, verified) in [
            ("film", token(now() + 600), true),
            ("film", token(now() - 600), false),
            ("another", token(now() + 600), false),
            ("open", token(now() + 600), false),
        ] {
            let said = site.dry_run(id, Some(&token), false);
            assert_eq!(said["claims"]["sub"], "viewer", "{said}");
            assert_eq!(said["claimsVerified"], verified, "{said}");
        }
        for token in ["", ".", "x", "a.b.c", &"a".repeat(9000)] {
            assert_eq!(site.dry_run("film", Some(token), false)["claims"], json!(null));
        }
        let (status, said) = site.admin(
            "POST /api/admin/access/test",
            &json!({"contentId": "film", "kid": "ab".repeat(16), "keyName": "audio"}).to_string(),
        );
        assert_eq!((status, &said["type"].is_string()), (400, &true), "{said}");
    });
}

/// The command line decides by the same code, settings and store.
#[test]
fn the_command_line_tries_access_too() {
    on_both(|site, _| {
        let signer = site.signer("application");
        site.set("film", &json!({"type": "jwt"}));
        let token = signer.token(&json!({"content_id": "film", "sub": "viewer-1", "exp": now() + 600}));
        let run = |token: &str| {
            let mut command = site.workspace.vylux_pack();
            command
                .args(["access", "test", "--content-id", "film", "--token", token])
                .env("DATABASE_URL", &site.store)
                .env("KEY_TOKEN_SECRET", TOKEN_SECRET);
            let output = command.output().unwrap();
            let said: Value = serde_json::from_slice(&output.stdout).unwrap();
            (output.status.code().unwrap(), said)
        };
        let (code, said) = run(&token);
        assert_eq!(
            (code, &said["allowed"], &said["policyType"]),
            (0, &json!(true), &json!("jwt"))
        );
        assert_eq!(
            (&said["kid"], &said["claimsVerified"]),
            (&json!(signer.kid), &json!(true))
        );
        assert_eq!(said["claims"]["sub"], "viewer-1");
        let (code, said) = run(&format!("{}AAAAAAAA", &token[..token.len() - 8]));
        assert_eq!(
            (code, &said["allowed"], &said["reason"]),
            (1, &json!(false), &json!("jwt-sig-fail"))
        );
        assert_eq!(
            (&said["claims"]["sub"], &said["claimsVerified"]),
            (&json!("viewer-1"), &json!(false))
        );
    });
}

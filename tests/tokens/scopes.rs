//! The claim `keys`: which of a content's keys a token opens, at every route that hands keys out.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::common::server::{Answer, Server};
use crate::common::tokens::{base64url, hmac_token, hs256, now};
use crate::common::{Workspace, fixture, run, tool};
use crate::site::{JWT_SECRET, TOKEN_SECRET};

/// A server with the records of films whose keys are shared and changed in several ways.
struct Films {
    server: Server,
    /// The key IDs by content ID and key name, which is empty for the primary key.
    kids: BTreeMap<(String, String), String>,
    _workspace: Workspace,
}

impl Films {
    fn start() -> Self {
        Self::start_with(&[])
    }

    /// A server with more settings.
    fn start_with(settings: &[(&str, &str)]) -> Self {
        let demo = [fixture("demo.mp4")];
        let films = [
            ("single", &[][..]),
            ("typed", &["--keys", "per-type"]),
            ("rotated", &["--rotate-every", "5seg"]),
            ("both", &["--rotate-every", "5seg", "--keys", "per-type"]),
        ];
        let films = films.map(|(content_id, options)| (content_id, &demo[..], options));
        Self::start_of(Workspace::new(), &films, settings)
    }

    /// A server with the records of these films: content IDs, inputs and options.
    fn start_of(workspace: Workspace, films: &[(&str, &[PathBuf], &[&str])], settings: &[(&str, &str)]) -> Self {
        let mut kids = BTreeMap::new();
        for (content_id, inputs, options) in films {
            let mut encrypt = workspace.vylux_pack();
            encrypt.arg("encrypt").args(*inputs);
            encrypt.args(["--content-id", content_id, "--quiet", "--segment-duration", "1"]);
            run(encrypt.args(*options));
            let path = workspace.path(format!("out/{content_id}/keys.json"));
            let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
            for record in file["records"].as_array().unwrap() {
                let name = record["key_name"].as_str().unwrap_or_default().to_owned();
                let kid = record["kid"].as_str().unwrap().to_owned();
                kids.insert(((*content_id).to_owned(), name), kid);
            }
        }
        let mut serve = workspace.vylux_pack();
        serve
            .args(["serve", "--listen", "127.0.0.1:0"])
            .env("KEY_TOKEN_SECRET", TOKEN_SECRET)
            .env("AUTH_JWT_SECRET", STANDARD.encode(JWT_SECRET))
            .env("RATE_LIMIT_KEYS", "1000000")
            .envs(settings.iter().copied());
        Self {
            server: Server::start(&mut serve),
            kids,
            _workspace: workspace,
        }
    }

    fn kid(&self, content_id: &str, name: &str) -> &str {
        &self.kids[&(content_id.to_owned(), name.to_owned())]
    }

    fn outcome(&self, answer: &Answer) -> (u16, String) {
        let line = self.server.logged(answer.header("x-request-id").unwrap());
        (answer.status, line["reason"].as_str().unwrap().to_owned())
    }

    fn get(&self, path: &str, token: &str) -> (u16, String) {
        let answer = self
            .server
            .ask(&format!("GET {path}"), &[&format!("Authorization: Bearer {token}")]);
        self.outcome(&answer)
    }

    /// The key IDs of the licence for those.
    fn licence(&self, content_id: &str, kids: &[&str], token: &str) -> (u16, String, Vec<String>) {
        let encode = |kid: &&str| base64url(hex::decode(kid).unwrap());
        let body = json!({"kids": kids.iter().map(encode).collect::<Vec<_>>()}).to_string();
        let answer = self.server.post(
            &format!("POST /api/key/{content_id}/clearkey"),
            &[&format!("Authorization: Bearer {token}")],
            body.as_bytes(),
        );
        let (status, reason) = self.outcome(&answer);
        let keys = answer.json()["keys"].as_array().cloned().unwrap_or_default();
        let kid = |key: &Value| {
            let kid = key["kid"].as_str().unwrap();
            kids.iter().find(|asked| encode(asked) == kid).unwrap().to_string()
        };
        (status, reason, keys.iter().map(kid).collect())
    }
}

/// A token with a claim `keys` of this JSON, in both forms.
fn tokens(content_id: &str, keys: &str) -> [String; 2] {
    let claims = format!(r#"{{"hash":"{content_id}","exp":{},"keys":{keys}}}"#, now() + 600);
    [hmac_token(TOKEN_SECRET, &claims), hs256(JWT_SECRET, &claims)]
}

fn ok() -> (u16, String) {
    (200, "ok".to_owned())
}

fn refused() -> (u16, String) {
    (403, "key-not-in-token".to_owned())
}

#[test]
fn a_token_opens_the_keys_that_it_names_at_every_route() {
    let films = Films::start();
    for (content_id, claim, opens) in [
        ("single", r#""primary""#, vec![""]),
        ("single", r#"["hd","primary"]"#, vec![""]),
        ("single", r#"["primary-*","video"]"#, vec![]),
        ("typed", r#"["video"]"#, vec!["video"]),
        ("typed", r#"["audio","video"]"#, vec!["audio", "video"]),
        ("typed", r#"["primary","audio-*"]"#, vec![]),
        ("rotated", r#""primary-*""#, vec!["1", "2"]),
        ("rotated", r#"["2"]"#, vec!["2"]),
        ("rotated", r#"["primary"]"#, vec![]),
        ("both", r#""video-*""#, vec!["video-1", "video-2"]),
        ("both", r#"["video-1","audio-2"]"#, vec!["audio-2", "video-1"]),
        ("both", r#"["video","audio","1","primary-*"]"#, vec![]),
    ] {
        for token in tokens(content_id, claim) {
            let what = format!("{claim} of {content_id}");
            let keys = films.kids.keys().filter(|(content, _)| content == content_id);
            let names: Vec<&str> = keys.map(|(_, name)| name.as_str()).collect();
            for name in &names {
                let expected = if opens.contains(name) { ok() } else { refused() };
                let by_kid = format!("/api/key/{content_id}/{}", films.kid(content_id, name));
                assert_eq!(films.get(&by_kid, &token), expected, "{name:?}, {what}");
                let paths = match *name {
                    "" => vec![format!("/api/key/{content_id}"), format!("/keys/{content_id}")],
                    name => vec![format!("/keys/{content_id}/{name}")],
                };
                for path in paths {
                    assert_eq!(films.get(&path, &token), expected, "{path}, {what}");
                }
            }
            let kids: Vec<&str> = names.iter().map(|name| films.kid(content_id, name)).collect();
            let opened: Vec<&str> = names.iter().copied().filter(|name| opens.contains(name)).collect();
            let (status, reason, found) = films.licence(content_id, &kids, &token);
            let expected = if opens.is_empty() { refused() } else { ok() };
            assert_eq!((status, reason), expected, "{what}");
            let opened: Vec<&str> = opened.iter().map(|name| films.kid(content_id, name)).collect();
            assert_eq!(found, opened, "{what}");
        }
    }
    let metrics = String::from_utf8(films.server.ask("GET /metrics", &[]).body).unwrap();
    assert!(metrics.contains(r#"reason="key-not-in-token""#), "{metrics}");
}

/// Who pays for standard definition gets its key and the sound's, and none of a larger picture.
#[test]
fn a_token_for_standard_definition_opens_no_larger_picture() {
    let Some(ffmpeg) = tool("ffmpeg") else { return };
    let workspace = Workspace::new();
    let sizes = ["640x360", "1280x720", "2560x1440"];
    let mut inputs: Vec<PathBuf> = sizes.map(|size| workspace.path(format!("{size}.mp4"))).into();
    for (size, path) in sizes.iter().zip(&inputs) {
        let mut encode = Command::new(&ffmpeg);
        encode.args(["-v", "error", "-f", "lavfi", "-i"]);
        encode.arg(format!("color=gray:size={size}:rate=25:duration=1"));
        run(encode.args(["-c:v", "libx264", "-preset", "ultrafast"]).arg(path));
    }
    inputs.push(fixture("aac-stereo.mp4"));
    let film: (&str, &[PathBuf], &[&str]) = ("sizes", &inputs, &["--keys", "per-resolution"]);
    let films = Films::start_of(workspace, &[film], &[]);
    let names: Vec<&str> = films.kids.keys().map(|(_, name)| name.as_str()).collect();
    assert_eq!(names, ["audio", "hd", "sd", "uhd"]);
    for token in tokens("sizes", r#"["sd","audio"]"#) {
        for (name, expected) in [("sd", ok()), ("audio", ok()), ("hd", refused()), ("uhd", refused())] {
            let by_kid = format!("/api/key/sizes/{}", films.kid("sizes", name));
            assert_eq!(films.get(&by_kid, &token), expected, "{name}");
            assert_eq!(films.get(&format!("/keys/sizes/{name}"), &token), expected, "{name}");
        }
        let kids: Vec<&str> = names.iter().map(|name| films.kid("sizes", name)).collect();
        let (status, _, found) = films.licence("sizes", &kids, &token);
        let opened = ["audio", "sd"].map(|name| films.kid("sizes", name));
        assert_eq!((status, found), (200, opened.map(str::to_owned).to_vec()));
    }
    // The keys that were refused are there.
    for token in tokens("sizes", r#"["uhd","hd"]"#) {
        let by_kid = |name: &str| format!("/api/key/sizes/{}", films.kid("sizes", name));
        assert_eq!(films.get(&by_kid("uhd"), &token), ok());
        assert_eq!(films.get(&by_kid("sd"), &token), refused());
    }
}

#[test]
fn who_may_not_have_every_key_learns_of_none_by_its_id() {
    let films = Films::start();
    let unknown = "00".repeat(16);
    let known = films.kid("typed", "video").to_owned();
    for limited in tokens("typed", r#"["audio"]"#) {
        for path in [
            format!("/api/key/typed/{known}"),
            format!("/api/key/typed/{unknown}"),
            // There is no primary key, nor one of this name.
            "/api/key/typed".to_owned(),
            "/keys/typed".to_owned(),
            "/keys/typed/7".to_owned(),
        ] {
            assert_eq!(films.get(&path, &limited), refused(), "{path}");
        }
        for kids in [[&*known, &unknown], [&*unknown, &known]] {
            let (status, reason, _) = films.licence("typed", &kids, &limited);
            assert_eq!((status, reason), refused());
        }
        let audio = films.kid("typed", "audio");
        let (status, _, found) = films.licence("typed", &[&unknown, audio, &known], &limited);
        assert_eq!((status, found), (200, vec![audio.to_owned()]));
    }
    // What a token may have and is not there, and what one without the claim asks for, is not found.
    let not_found = (404, "no-record".to_owned());
    for token in tokens("typed", r#"["7","primary"]"#) {
        assert_eq!(films.get("/keys/typed/7", &token), not_found);
        assert_eq!(films.get("/api/key/typed", &token), not_found);
    }
    let claims = format!(r#"{{"hash":"typed","exp":{}}}"#, now() + 600);
    let all = hmac_token(TOKEN_SECRET, &claims);
    assert_eq!(films.get(&format!("/api/key/typed/{unknown}"), &all), not_found);
    assert_eq!(films.get(&format!("/api/key/typed/{known}"), &all), ok());
    let (status, reason, _) = films.licence("typed", &[&known, &unknown], &all);
    assert_eq!((status, reason), not_found);
}

#[test]
fn a_claim_that_names_no_keys_opens_nothing() {
    let films = Films::start();
    for claim in [
        "1",
        "null",
        "true",
        "{}",
        "[]",
        r#""""#,
        r#"["primary",1]"#,
        r#"["primary",null]"#,
        r#""*""#,
        r#"["HD"]"#,
        r#""primary,audio""#,
    ] {
        for token in tokens("single", claim) {
            for path in ["/api/key/single", "/keys/single", "/keys/single/1"] {
                let expected = (403, "keys-claim-malformed".to_owned());
                assert_eq!(films.get(path, &token), expected, "{claim} at {path}");
            }
            let kid = films.kid("single", "");
            let (status, reason, _) = films.licence("single", &[kid], &token);
            assert_eq!((status, &*reason), (403, "keys-claim-malformed"), "{claim}");
        }
        // Other refusals come first.
        for token in tokens("typed", claim) {
            let (status, reason) = films.get("/api/key/single", &token);
            assert_eq!(status, 403);
            assert!(reason.ends_with("-content-mismatch"), "{reason}");
        }
    }
    // One claim twice is no claim.
    let claims = format!(
        r#"{{"hash":"single","exp":{},"keys":"hd","keys":"primary"}}"#,
        now() + 600
    );
    let twice = films.get("/api/key/single", &hmac_token(TOKEN_SECRET, &claims));
    assert_eq!(twice, (403, "token-malformed".to_owned()));
}

/// Whoever may not have a key is not told that it is there and can't be opened.
#[test]
fn a_key_that_cannot_be_opened_is_refused_first() {
    let films = Films::start_with(&[("MASTER_KEY_HEX", &"5a".repeat(32))]);
    let video = films.kid("typed", "video");
    let unusable = (500, "key-unusable".to_owned());
    for token in tokens("typed", r#""audio""#) {
        for path in [
            "/api/key/typed".to_owned(),
            "/keys/typed/video".to_owned(),
            format!("/api/key/typed/{video}"),
        ] {
            assert_eq!(films.get(&path, &token), refused(), "{path}");
        }
        assert_eq!(films.get("/keys/typed/audio", &token), unusable);
        let (status, reason, _) = films.licence("typed", &[video], &token);
        assert_eq!((status, reason), refused());
    }
    let claims = format!(r#"{{"hash":"typed","exp":{}}}"#, now() + 600);
    let all = hmac_token(TOKEN_SECRET, &claims);
    assert_eq!(films.get(&format!("/api/key/typed/{video}"), &all), unusable);
}

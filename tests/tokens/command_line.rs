//! `serve` and who may have keys, and the `token` commands.

use std::fs::File;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use crate::common::server::Server;
use crate::common::tokens::{base64url, hmac_sha256, hmac_token, hs256, now};
use crate::common::{CONTENT_ID, Workspace};
use crate::site::{JWT_SECRET, Site, TOKEN_SECRET, path};

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

#[test]
fn serve_without_a_verifier_does_not_start() {
    let workspace = Workspace::new();
    let mut command = workspace.vylux_pack();
    let output = command
        .args(["serve", "--derive-any", "--listen", "127.0.0.1:0", "--check"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    for setting in [
        "KEY_TOKEN_SECRET",
        "AUTH_JWT_SECRET",
        "AUTH_JWKS_URL",
        "--insecure-no-auth",
    ] {
        assert!(said(&output).contains(setting), "{}", said(&output));
    }
    for (setting, value) in [
        ("AUTH_JWT_SECRET", "dG9vIHNob3J0"),
        ("AUTH_JWT_SECRET", "not base64, and a secret"),
        ("AUTH_JWKS_URL", "file:///etc/passwd"),
        ("AUTH_JWKS_URL", "no URL, but secret"),
        ("KEY_TOKEN_SECRET", ""),
        ("AUTH_CONTENT_CLAIM", "perhaps"),
        ("ALLOW_QUERY_TOKEN", "yes"),
    ] {
        let output = Site::command(&workspace, &[(setting, value)])
            .arg("--check")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{setting}={value}: {}", said(&output));
        assert!(said(&output).contains(setting), "{}", said(&output));
        let secret = !value.is_empty() && !setting.ends_with("CLAIM") && !setting.ends_with("QUERY_TOKEN");
        assert!(!secret || !said(&output).contains(value), "{}", said(&output));
    }
}

#[test]
fn without_authentication_it_stays_on_loopback_and_warns() {
    let workspace = Workspace::new();
    let serve = |address: &str| -> Command {
        let mut command = workspace.vylux_pack();
        command.args(["serve", "--derive-any", "--insecure-no-auth", "--listen", address]);
        command
    };
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:4100"] {
        let output = serve(address).arg("--check").output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{address}");
        assert!(said(&output).contains("loopback"), "{}", said(&output));
    }
    let mut command = serve("127.0.0.1:0");
    let server = Server::start(command.stderr(File::create(workspace.path("stderr")).unwrap()));
    let log = server.log();
    let warned = log
        .lines()
        .any(|line| line.contains("WARN") && line.contains("--insecure-no-auth"));
    assert!(warned, "{log}");
    assert_eq!(server.ask(&format!("GET {}", path()), &[]).status, 200);
    assert_eq!(
        server
            .ask(&format!("GET {}", path()), &["Authorization: Bearer x"])
            .status,
        200
    );
}

#[test]
fn a_minted_token_is_what_an_application_would_mint() {
    let workspace = Workspace::new();
    let mint = |more: &[&str], settings: &[(&str, &str)]| {
        let mut command = workspace.vylux_pack();
        command.args(["token", "mint", "--content-id", CONTENT_ID]).args(more);
        command.envs(settings.iter().copied()).output().unwrap()
    };
    let secret = [("KEY_TOKEN_SECRET", TOKEN_SECRET)];
    let begun = now();
    let output = mint(&["--ttl", "1h"], &secret);
    let ended = now();
    assert!(output.status.success(), "{}", said(&output));
    let token = String::from_utf8(output.stdout).unwrap();
    let token = token.strip_suffix('\n').unwrap();
    let exp = (begun + 3600..=ended + 3600).find(|exp| {
        let payload = base64url(format!(r#"{{"hash":"{CONTENT_ID}","exp":{exp}}}"#));
        let tag = hmac_sha256(TOKEN_SECRET.as_bytes(), payload.as_bytes());
        token == format!("{payload}.{}", base64url(tag))
    });
    assert!(exp.is_some(), "{token}");
    let site = Site::start(&[]);
    site.opens("minted", token);

    let output = mint(&["--keys", "sd,video-*,primary"], &secret);
    let token = String::from_utf8(output.stdout).unwrap();
    let (payload, _) = token.trim().split_once('.').unwrap();
    let payload = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, payload).unwrap();
    let payload: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(payload["keys"], serde_json::json!(["sd", "video-*", "primary"]));
    site.opens("minted for some keys", token.trim());
    assert_eq!(mint(&["--keys", "HD"], &secret).status.code(), Some(2), "no key's name");
    assert_eq!(mint(&["--keys", ""], &secret).status.code(), Some(2), "no name");

    assert_eq!(mint(&[], &[]).status.code(), Some(2), "no secret");
    assert_eq!(mint(&["--ttl", "0s"], &secret).status.code(), Some(2));
    assert_eq!(mint(&["--ttl=-5m"], &secret).status.code(), Some(2));
    assert_eq!(mint(&["--content-id", "a/b"], &secret).status.code(), Some(2));
}

#[test]
fn a_check_says_what_the_server_would() {
    let workspace = Workspace::new();
    let check = |token: &str| {
        let mut command = workspace.vylux_pack();
        command
            .args(["token", "check", "--content-id", CONTENT_ID])
            .env("KEY_TOKEN_SECRET", TOKEN_SECRET)
            .env(
                "AUTH_JWT_SECRET",
                base64::Engine::encode(&base64::engine::general_purpose::STANDARD, JWT_SECRET),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It may have read enough.
        let _ = child.stdin.take().unwrap().write_all(token.as_bytes());
        let output = child.wait_with_output().unwrap();
        let said = said(&output);
        for part in token.trim().split('.').filter(|part| part.len() > 16) {
            assert!(!said.contains(part), "{said}");
        }
        (output.status.code(), said)
    };
    let exp = now() + 600;
    let hmac = |content: &str, exp| hmac_token(TOKEN_SECRET, &format!(r#"{{"hash":"{content}","exp":{exp}}}"#));
    let claims = format!(r#"{{"hash":"{CONTENT_ID}","exp":{exp},"sub":"anna"}}"#);
    let (code, said) = check(&format!("{}\n", hmac(CONTENT_ID, exp)));
    assert_eq!((code, said.trim()), (Some(0), "The token opens test-film."));
    let (code, said) = check(&hs256(JWT_SECRET, &claims));
    assert_eq!(
        (code, said.trim()),
        (Some(0), r#"The token opens test-film, for subject "anna"."#)
    );
    let limited = format!(r#"{{"hash":"{CONTENT_ID}","exp":{exp},"keys":["sd","audio-*"]}}"#);
    let (code, said) = check(&hmac_token(TOKEN_SECRET, &limited));
    assert_eq!(
        (code, said.trim()),
        (Some(0), "The token opens test-film with the keys sd, audio-*.")
    );
    for (token, reason) in [
        (hmac(CONTENT_ID, now() - 5), "token-expired"),
        (hmac("other", exp), "token-content-mismatch"),
        (hs256(b"another secret of thirty-two bytes", &claims), "jwt-sig-fail"),
        (String::new(), "token-malformed"),
        ("x".repeat(9000), "token-too-large"),
    ] {
        let (code, said) = check(&token);
        assert_eq!(code, Some(4), "{said}");
        assert!(said.contains(reason), "{reason}: {said}");
    }
}

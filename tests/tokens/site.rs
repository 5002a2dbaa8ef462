//! A server that is asked with tokens, and whose every word is looked at when it ends.

use std::collections::BTreeMap;
use std::fs::File;
use std::process::Command;
use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::common::server::{Answer, Server};
use crate::common::{CONTENT_ID, MASTER_KEY, SALT, Workspace, tokens};

/// Signs HMAC tokens.
pub const TOKEN_SECRET: &str = "correct horse battery staple";
/// Another one, of before a rotation.
pub const OLD_TOKEN_SECRET: &str = "the secret of before the rotation";
/// Signs JWTs.
pub const JWT_SECRET: &[u8] = b"thirty-two bytes of a JWT secret";
/// Another one, of before a rotation.
pub const OLD_JWT_SECRET: &[u8] = b"another thirty-two bytes, of old";

/// What is asked for.
pub fn path() -> String {
    format!("/api/key/{CONTENT_ID}")
}

/// A server that derives every key.
pub struct Site {
    workspace: Workspace,
    server: Option<Server>,
    /// What must not be printed.
    hidden: Mutex<Vec<String>>,
    /// How often each reason was in the log.
    reasons: Mutex<BTreeMap<String, usize>>,
}

impl Site {
    /// A command of a server with all secrets and these settings besides.
    pub fn command(workspace: &Workspace, settings: &[(&str, &str)]) -> Command {
        let mut command = workspace.vylux_pack();
        command
            .args(["serve", "--derive-any", "--listen", "127.0.0.1:0"])
            .env("KEY_TOKEN_SECRET", TOKEN_SECRET)
            .env("FALLBACK_KEY_TOKEN_SECRET", OLD_TOKEN_SECRET)
            .env("AUTH_JWT_SECRET", STANDARD.encode(JWT_SECRET))
            .env("FALLBACK_AUTH_JWT_SECRET", STANDARD.encode(OLD_JWT_SECRET))
            .env("RATE_LIMIT_KEYS", "1000000")
            .env("LOG_LEVEL", "debug")
            .envs(settings.iter().copied());
        command
    }

    /// A server with all secrets and these settings besides.
    pub fn start(settings: &[(&str, &str)]) -> Self {
        Self::start_without(&[], settings)
    }

    /// A server with these settings, and all secrets but some.
    pub fn start_without(missing: &[&str], settings: &[(&str, &str)]) -> Self {
        let workspace = Workspace::new();
        let mut command = Self::command(&workspace, settings);
        for name in missing {
            command.env_remove(name);
        }
        command.stderr(File::create(workspace.path("stderr")).unwrap());
        let mut hidden = vec![TOKEN_SECRET.to_owned(), OLD_TOKEN_SECRET.to_owned()];
        for bytes in [JWT_SECRET, OLD_JWT_SECRET, &MASTER_KEY, &SALT] {
            hidden.extend([
                String::from_utf8(bytes.to_vec()).unwrap(),
                STANDARD.encode(bytes),
                hex::encode(bytes),
            ]);
        }
        Self {
            server: Some(Server::start(&mut command)),
            workspace,
            hidden: Mutex::new(hidden),
            reasons: Mutex::default(),
        }
    }

    /// The server.
    pub fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// No server may print this.
    pub fn hide(&self, text: &str) {
        // Short words stand in any log.
        let parts = text.split('.').chain([text]).filter(|part| part.len() >= 16);
        self.hidden.lock().unwrap().extend(parts.map(str::to_owned));
    }

    /// Asks with these header lines; the answer, and the reason in the log, `ok` for a key.
    pub fn ask_with(&self, query: &str, headers: &[&str]) -> (Answer, String) {
        let answer = self.server().ask(&format!("GET {}{query}", path()), headers);
        let line = self.server().logged(answer.header("x-request-id").unwrap());
        let reason = line["reason"].as_str().unwrap().to_owned();
        assert_eq!(line["status"], answer.status);
        assert_eq!(line["content_id"], CONTENT_ID);
        *self.reasons.lock().unwrap().entry(reason.clone()).or_default() += 1;
        if answer.status == 200 {
            assert_eq!(answer.body.len(), 16);
            self.hide(&hex::encode(&answer.body));
            self.hide(&STANDARD.encode(&answer.body));
            self.hide(&tokens::base64url(&answer.body));
        } else {
            // The client is told nothing of why.
            let told = String::from_utf8_lossy(&answer.body).into_owned();
            assert!(!told.contains(&reason) || answer.status == 429, "{told}");
        }
        (answer, reason)
    }

    /// Asks with a Bearer token.
    pub fn ask(&self, token: &str) -> (u16, String) {
        self.hide(token);
        let (answer, reason) = self.ask_with("", &[&format!("Authorization: Bearer {token}")]);
        (answer.status, reason)
    }

    /// The token opens the content.
    #[track_caller]
    pub fn opens(&self, what: &str, token: &str) {
        assert_eq!(self.ask(token), (200, "ok".to_owned()), "{what}");
    }

    /// The token is refused for that reason.
    #[track_caller]
    pub fn refuses(&self, what: &str, token: &str, reason: &str) {
        assert_eq!(self.ask(token), (403, reason.to_owned()), "{what}");
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let server = self.server.take().unwrap();
        if std::thread::panicking() {
            return;
        }
        let metrics = String::from_utf8(server.ask("GET /metrics", &[]).body).unwrap();
        for (reason, expected) in self.reasons.lock().unwrap().iter() {
            let label = format!(r#"reason="{reason}""#);
            let lines = metrics.lines().filter(|line| {
                line.contains(&label) && line.contains(r#"requests_total{route="/api/key/{content_id}""#)
            });
            let count: usize = lines
                .map(|line| line.rsplit(' ').next().unwrap().parse::<usize>().unwrap())
                .sum();
            assert_eq!(count, *expected, "{reason} in the metrics");
        }
        server.signal("-TERM");
        let (code, log) = server.ended();
        assert_eq!(code, Some(0));
        let errors = std::fs::read_to_string(self.workspace.path("stderr")).unwrap();
        let printed = format!("{log}{errors}{metrics}");
        for hidden in self.hidden.lock().unwrap().iter() {
            assert!(!printed.contains(hidden.as_str()), "{hidden:?} was printed: {printed}");
        }
    }
}

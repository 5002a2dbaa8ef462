//! A server over a store, its administrator and its viewers.

use std::collections::{BTreeSet, HashMap};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use vylux_pack::keys::store::{Audit, Blocking};

use crate::common;
use crate::common::postgres::Postgres;
use crate::common::server::{Answer, Server};
use crate::common::tokens::jwt;
use crate::common::{Workspace, tool};

pub const TOKEN_SECRET: &str = "correct horse battery staple";
pub const ADMIN_TOKEN: &str = "an administrator's token of 40 characters";

/// A server over a store.
pub struct Site {
    pub workspace: Workspace,
    pub store: String,
    pub server: Server,
    /// Every reason that was given.
    pub seen: Mutex<BTreeSet<String>>,
}

/// A signing key whose private half is at hand.
pub struct Signer {
    pub kid: String,
    pair: EcdsaKeyPair,
}

impl Signer {
    pub fn token_of(&self, header: &str, claims: &str) -> String {
        jwt(header, claims, |message| {
            self.pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
        })
    }

    pub fn header(&self) -> String {
        json!({"alg": "ES256", "kid": self.kid}).to_string()
    }

    pub fn token(&self, claims: &Value) -> String {
        self.token_of(&self.header(), &claims.to_string())
    }
}

impl Site {
    fn start(store: &str, settings: &[(&str, &str)]) -> Self {
        let workspace = Workspace::new();
        let server = Self::serve(&workspace, store, settings);
        Self {
            workspace,
            store: store.to_owned(),
            server,
            seen: Mutex::default(),
        }
    }

    pub fn serve(workspace: &Workspace, store: &str, settings: &[(&str, &str)]) -> Server {
        Server::start(Self::configure(&mut workspace.vylux_pack(), store, settings))
    }

    /// Gives `command`, which runs the program, the arguments and settings of a server.
    pub fn configure<'a>(command: &'a mut Command, store: &str, settings: &[(&str, &str)]) -> &'a mut Command {
        command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .env("DATABASE_URL", store)
            .env("KEY_TOKEN_SECRET", TOKEN_SECRET)
            .env("ADMIN_TOKEN", ADMIN_TOKEN)
            .env("WEBHOOK_ALLOW_CIDRS", "127.0.0.1")
            .env("RATE_LIMIT_KEYS", "1000000")
            .envs(settings.iter().copied())
    }

    pub fn admin(&self, request: &str, body: &str) -> (u16, Value) {
        let headers = [&*format!("Authorization: Bearer {ADMIN_TOKEN}")];
        let answer = self.server.post(request, &headers, body.as_bytes());
        (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default())
    }

    pub fn set(&self, content_id: &str, policy: &Value) {
        let (status, said) = self.admin(&format!("PUT /api/admin/policies/{content_id}"), &policy.to_string());
        assert_eq!(status, 200, "{said}");
    }

    pub fn signer(&self, name: &str) -> Signer {
        let (status, key) = self.admin("POST /api/admin/signing-keys", &json!({"name": name}).to_string());
        assert_eq!(status, 201, "{key}");
        let pem = key["private_key_pem"].as_str().unwrap();
        let base64: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        let der = STANDARD.decode(base64).unwrap();
        Signer {
            kid: key["kid"].as_str().unwrap().to_owned(),
            pair: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der).unwrap(),
        }
    }

    /// What the server answers to a request for a key, and the reason in its log.
    pub fn ask(&self, content_id: &str, token: Option<&str>) -> (u16, String) {
        let header = token.map(|token| format!("Authorization: Bearer {token}"));
        let headers: Vec<&str> = header.iter().map(String::as_str).collect();
        self.outcome(&self.server.ask(&format!("GET /api/key/{content_id}"), &headers))
    }

    pub fn outcome(&self, answer: &Answer) -> (u16, String) {
        self.outcome_of(&self.server, answer)
    }

    /// The same of another server's answer.
    pub fn outcome_of(&self, server: &Server, answer: &Answer) -> (u16, String) {
        let line = server.logged(answer.header("x-request-id").unwrap());
        let reason = line["reason"].as_str().unwrap().to_owned();
        self.seen.lock().unwrap().insert(reason.clone());
        (answer.status, reason)
    }

    pub fn dry_run(&self, content_id: &str, token: Option<&str>, fire: bool) -> Value {
        self.try_out(&json!({"contentId": content_id, "token": token, "fireWebhook": fire}))
    }

    pub fn try_out(&self, trial: &Value) -> Value {
        let (status, said) = self.admin("POST /api/admin/access/test", &trial.to_string());
        assert_eq!(status, 200, "{said}");
        if let Some(reason) = said["reason"].as_str() {
            self.seen.lock().unwrap().insert(reason.to_owned());
        }
        said
    }

    /// Encrypts a film under a key for its pictures and one for its sound: their IDs, by their names.
    pub fn encrypt(&self, content_id: &str) -> HashMap<String, String> {
        let mut encrypt = self.workspace.vylux_pack();
        encrypt
            .arg("encrypt")
            .arg(common::fixture("demo.mp4"))
            .args(["--content-id", content_id, "--keys", "per-type", "--quiet"])
            .env("DATABASE_URL", &self.store);
        common::run(&mut encrypt);
        let mut list = self.workspace.vylux_pack();
        list.args(["keys", "list", "--content-id", content_id, "--json"])
            .env("DATABASE_URL", &self.store);
        let records: Value = serde_json::from_slice(&list.output().unwrap().stdout).unwrap();
        let text = |record: &Value, name: &str| record[name].as_str().unwrap().to_owned();
        let records = records.as_array().unwrap().iter();
        records
            .map(|record| (text(record, "key_name"), text(record, "kid")))
            .collect()
    }

    /// Writes into the store what no administrator could.
    pub fn plant(&self, content_id: &str, policy: &str) {
        let store = Blocking::open(&self.store_url()).unwrap();
        let id = content_id.parse().unwrap();
        let audit = Audit {
            actor: "test",
            at: jiff::Timestamp::now(),
            detail: None,
        };
        store.wait(|store| store.set_policy(&id, policy, audit)).unwrap();
    }

    pub fn store_url(&self) -> String {
        let path = self
            .store
            .strip_prefix("sqlite://")
            .map(|path| self.workspace.path(path));
        path.map_or_else(|| self.store.clone(), |path| format!("sqlite://{}", path.display()))
    }
}

/// Checks a server over each kind of store; what `check` is given besides runs SQL in it.
pub fn on_both(check: impl Fn(&Site, &dyn Fn(&str))) {
    on_both_with(&[], check);
}

pub fn on_both_with(settings: &[(&str, &str)], check: impl Fn(&Site, &dyn Fn(&str))) {
    let site = Site::start("sqlite://records.db", settings);
    let database = site.workspace.path("records.db");
    check(&site, &|sql| {
        let mut sqlite = Command::new(tool("sqlite3").unwrap());
        assert!(sqlite.arg(&database).arg(sql).status().unwrap().success());
    });
    let Some(postgres) = Postgres::start() else { return };
    let url = postgres.create("access");
    check(&Site::start(&url, settings), &|sql| {
        postgres.sql("access", sql);
    });
}

/// What may have a key that has no record: so far goes whoever is let in.
pub fn let_in() -> (u16, String) {
    (404, "no-record".to_owned())
}

pub fn refused(reason: &str) -> (u16, String) {
    (403, reason.to_owned())
}

/// A web service that answers each request by `answer`, which is given its head and body.
pub fn service(answer: impl Fn(&str, &str) -> String + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = Arc::clone(&answer);
            thread::spawn(move || respond(stream, &*answer));
        }
    });
    address
}

fn respond(mut stream: TcpStream, answer: &dyn Fn(&str, &str) -> String) {
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let line = line.to_ascii_lowercase();
                line.strip_prefix("content-length:")?.trim().parse::<usize>().ok()
            });
            if body.len() >= length.unwrap_or(0) {
                let said = answer(head, body);
                read.clear();
                if stream.write_all(said.as_bytes()).is_err() || said.is_empty() {
                    return;
                }
                continue;
            }
        }
        match stream.read(&mut buffer) {
            Ok(count) if count > 0 => read.extend_from_slice(&buffer[..count]),
            _ => return,
        }
    }
}

pub fn status(line: &str) -> String {
    format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n")
}

pub fn webhook(address: SocketAddr, path: &str) -> Value {
    json!({"type": "webhook", "url": format!("http://{address}{path}"), "secret": "hunter2", "timeout_ms": 1000})
}

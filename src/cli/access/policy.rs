//! `vylux-pack policy`: who may have the keys of a content.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::{Subcommand, ValueEnum};
use serde::Serialize;
use serde_json::value::RawValue;
use vylux_pack::access::administration::{Administration, AdministrationError, PolicyOrReason, ShownPolicy};
use vylux_pack::access::json_object;
use vylux_pack::access::policy::{MAX_POLICY_BYTES, Policy, Redacted};
use vylux_pack::keys::store::PolicyStore;
use vylux_pack::keys::{ContentId, KeyRing};
use vylux_pack::secret::{SecretText, Settings};

use super::actor;
use crate::cli::failure::Failure;
use crate::cli::output::{self, report};
use crate::cli::store::{Store, StoreArgs};

/// The setting that holds the secret of a webhook.
const WEBHOOK_SECRET: &str = "WEBHOOK_SECRET";

/// Say who may have the keys of a content: everybody, or who brings a token or a JWT, or whom a web service lets in
///
/// A content without a policy asks for a token, as KEY_TOKEN_SECRET, AUTH_JWT_SECRET or AUTH_JWKS_URL of the server say. A change counts from the
/// next request on. See docs/access-control.md.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Set(Set),
    /// Show the policy of a content; secrets are not shown
    Get(Content),
    /// Take the policy of a content away: it asks for a token again
    Clear(Content),
    List(List),
    Log(Log),
}

/// Give a content a policy, in place of the one that it may have
///
/// The secret of a webhook is read from WEBHOOK_SECRET, WEBHOOK_SECRET_FILE or WEBHOOK_SECRET_COMMAND, where a file does not hold it; without
/// them, the one that the content's webhook has is kept.
#[derive(clap::Args)]
struct Set {
    /// The content
    #[arg(long, value_name = "ID")]
    content_id: ContentId,
    /// Who may have its keys
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    policy: Option<Kind>,
    /// The policy as a JSON file; - is standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    jwt: JwtOptions,
    #[command(flatten)]
    webhook: WebhookOptions,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// Everybody
    Public,
    /// Whoever brings a token that the server is configured to accept
    Token,
    /// Whoever brings a JWT (ES256) of a signing key
    Jwt,
    /// Whom a web service lets in
    Webhook,
}

/// What a JWT must be and say. It must name the content too.
#[derive(clap::Args, Serialize)]
struct JwtOptions {
    /// jwt: a signing key that may sign [default: every active one]
    #[arg(long = "kid", value_name = "KID", conflicts_with = "file")]
    #[serde(rename = "allowed_kids", skip_serializing_if = "Vec::is_empty")]
    kids: Vec<String>,
    /// jwt: what the claim aud must hold
    #[arg(long, value_name = "TEXT", conflicts_with = "file")]
    #[serde(skip_serializing_if = "Option::is_none")]
    audience: Option<String>,
    /// jwt: a claim that must have this value, JSON or plain text, such as plan=premium or age=18
    #[arg(long = "require", value_name = "CLAIM=VALUE", value_parser = claim, conflicts_with = "file")]
    #[serde(
        rename = "required_claims",
        skip_serializing_if = "Vec::is_empty",
        serialize_with = "as_object"
    )]
    claims: Vec<(String, Box<RawValue>)>,
    /// jwt: the token need not name the content
    #[arg(long = "any-content", conflicts_with = "file")]
    #[serde(
        rename = "content_binding",
        skip_serializing_if = "is_bound",
        serialize_with = "negated"
    )]
    any_content: bool,
}

/// Which web service.
#[derive(clap::Args, Serialize)]
struct WebhookOptions {
    /// webhook: where it is
    #[arg(long, value_name = "URL", conflicts_with = "file")]
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// webhook: how long it may take, in milliseconds, up to 10000 [default: 5000]
    #[arg(long, value_name = "MS", conflicts_with = "file")]
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_ms: Option<u64>,
}

/// A policy as JSON has it.
#[derive(Serialize)]
struct Written<'a> {
    #[serde(rename = "type")]
    kind: Kind,
    #[serde(flatten)]
    jwt: Option<&'a JwtOptions>,
    #[serde(flatten)]
    webhook: Option<&'a WebhookOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
}

/// Which content.
#[derive(clap::Args)]
struct Content {
    /// The content
    #[arg(long, value_name = "ID")]
    content_id: ContentId,
    #[command(flatten)]
    store: StoreArgs,
}

/// List the contents that have a policy of their own
#[derive(clap::Args)]
struct List {
    #[command(flatten)]
    store: StoreArgs,
    /// Print the policies as JSON
    #[arg(long)]
    json: bool,
}

/// Show who changed policies, signing keys and leases, the newest change first
#[derive(clap::Args)]
struct Log {
    /// Only changes of this content, signing key or viewer
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
    /// So many changes at most
    #[arg(long, value_name = "NUMBER", default_value = "100")]
    limit: u32,
    #[command(flatten)]
    store: StoreArgs,
    /// Print the changes as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let settings = Settings::load().map_err(Failure::usage)?;
    match &args.command {
        Command::Set(args) => {
            let json = args.json(&settings)?;
            let ring = KeyRing::load(&settings).map_err(Failure::usage)?;
            let store = args.store.open_or_create(&settings)?;
            let policy = set(&store, &ring, &args.content_id, json.expose())?;
            report!("{}: {}", args.content_id, as_json(&policy)?)?;
            Ok(())
        }
        Command::Get(args) => get(&args.store.open(&settings)?, &args.content_id),
        Command::Clear(args) => clear(&args.store.open(&settings)?, &args.content_id),
        Command::List(args) => list(&args.store.open(&settings)?, args.json),
        Command::Log(args) => log(&args.store.open(&settings)?, args),
    }
}

impl Set {
    /// The policy as JSON, which may hold a secret.
    fn json(&self, settings: &Settings) -> Result<SecretText, Failure> {
        let kind = match (&self.policy, &self.file) {
            (Some(kind), _) => *kind,
            (None, Some(file)) => return read(file, settings),
            (None, None) => return Err(Failure::usage(anyhow!("say who may have the keys, or give --file"))),
        };
        self.check(kind)?;
        let secret = match kind {
            Kind::Webhook => webhook_secret(settings)?,
            Kind::Public | Kind::Token | Kind::Jwt => None,
        };
        let written = Written {
            kind,
            jwt: (kind == Kind::Jwt).then_some(&self.jwt),
            webhook: (kind == Kind::Webhook).then_some(&self.webhook),
            secret: secret.as_ref().map(SecretText::expose),
        };
        let json = serde_json::to_string(&written)
            .context("the policy can't be written as JSON")
            .map_err(Failure::work)?;
        Ok(json.into())
    }

    /// Refuses options of another kind of policy.
    fn check(&self, kind: Kind) -> Result<(), Failure> {
        let JwtOptions {
            kids,
            audience,
            claims,
            any_content,
        } = &self.jwt;
        let given = [
            ("--kid", Kind::Jwt, !kids.is_empty()),
            ("--audience", Kind::Jwt, audience.is_some()),
            ("--require", Kind::Jwt, !claims.is_empty()),
            ("--any-content", Kind::Jwt, *any_content),
            ("--url", Kind::Webhook, self.webhook.url.is_some()),
            ("--timeout-ms", Kind::Webhook, self.webhook.timeout_ms.is_some()),
        ];
        let stray = given.iter().find(|(_, of, is_given)| *is_given && *of != kind);
        if let Some((option, ..)) = stray {
            return Err(Failure::usage(anyhow!(
                "{option} is of another kind of policy; leave it out"
            )));
        }
        if kind == Kind::Webhook && self.webhook.url.is_none() {
            return Err(Failure::usage(anyhow!("a webhook needs --url, where it is")));
        }
        Ok(())
    }
}

fn webhook_secret(settings: &Settings) -> Result<Option<SecretText>, Failure> {
    settings.secret(WEBHOOK_SECRET).map_err(Failure::usage)
}

/// Reads a policy from a file, or from standard input. A webhook without a secret there has that of the settings, if any.
pub fn read(file: &Path, settings: &Settings) -> Result<SecretText, Failure> {
    let text = read_text(file)?;
    // What can't be read is told by whoever reads all of it.
    let members: BTreeMap<String, Box<RawValue>> = json_object(text.expose().as_bytes()).unwrap_or_default();
    let is_webhook = members.get("type").is_some_and(|kind| kind.get() == "\"webhook\"");
    let needs_secret = is_webhook && !members.contains_key("secret");
    let secret = if needs_secret { webhook_secret(settings)? } else { None };
    let (Some(secret), Some((before, members))) = (secret, text.expose().split_once('{')) else {
        return Ok(text);
    };
    Ok(format!("{before}{{\"secret\":{},{members}", serde_json::json!(secret.expose())).into())
}

fn read_text(file: &Path) -> Result<SecretText, Failure> {
    let failed = |error: io::Error| Failure::usage(anyhow!("{} can't be read: {error}", file.display()));
    let limit = MAX_POLICY_BYTES as u64 + 1;
    let mut text = String::new();
    let read = if file == Path::new("-") {
        io::stdin().take(limit).read_to_string(&mut text)
    } else {
        fs::File::open(file)
            .map_err(failed)?
            .take(limit)
            .read_to_string(&mut text)
    };
    read.map_err(failed)?;
    Ok(text.into())
}

/// `CLAIM=VALUE`: a value that is no JSON is text.
fn claim(text: &str) -> Result<(String, Box<RawValue>), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("expected CLAIM=VALUE, such as plan=premium")?;
    if name.is_empty() {
        return Err("the claim has no name".to_owned());
    }
    let value = RawValue::from_string(value.to_owned()).or_else(|_| serde_json::value::to_raw_value(value));
    Ok((name.to_owned(), value.map_err(|error| error.to_string())?))
}

fn as_object<S: serde::Serializer>(claims: &[(String, Box<RawValue>)], serializer: S) -> Result<S::Ok, S::Error> {
    // A name that comes twice is refused by whoever reads it.
    serializer.collect_map(claims.iter().map(|(name, value)| (name, value)))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
const fn is_bound(any_content: &bool) -> bool {
    !*any_content
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn negated<S: serde::Serializer>(any_content: &bool, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bool(!*any_content)
}

/// Gives a content the policy of that JSON.
pub fn set(store: &Store, ring: &KeyRing, content_id: &ContentId, json: &str) -> Result<Policy<Redacted>, Failure> {
    let actor = actor();
    let set = async |store| {
        let administration = Administration { store, actor: &actor };
        administration.set_policy(ring, content_id, json).await
    };
    store.wait(set).map_err(failure)
}

/// Finds out whether [`set`] would take that JSON, as far as that is known before.
pub fn check(store: &Store, ring: &KeyRing, content_id: &ContentId, json: &str) -> Result<(), Failure> {
    let actor = actor();
    let check = async |store| {
        let administration = Administration { store, actor: &actor };
        administration.check_policy(ring, content_id, json).await
    };
    store.wait(check).map_err(failure)
}

fn failure(error: AdministrationError) -> Failure {
    if error.is_of_request() {
        Failure::usage(error)
    } else {
        Failure::work(error)
    }
}

fn get(store: &Store, content_id: &ContentId) -> Result<(), Failure> {
    let policy = store.wait(|store| store.policy(content_id)).map_err(Failure::work)?;
    let policy = policy.ok_or_else(|| {
        Failure::work(anyhow!(
            "content '{content_id}' has no policy of its own: it asks for a token"
        ))
    })?;
    output::json(&ShownPolicy::of(policy))?;
    Ok(())
}

fn clear(store: &Store, content_id: &ContentId) -> Result<(), Failure> {
    let actor = actor();
    let clear = async |store| Administration { store, actor: &actor }.clear_policy(content_id).await;
    if store.wait(clear).map_err(Failure::work)? {
        report!("{content_id}: it asks for a token from now on.")?;
    } else {
        report!("{content_id}: it had no policy of its own, and asks for a token.")?;
    }
    Ok(())
}

fn list(store: &Store, as_json_array: bool) -> Result<(), Failure> {
    let policies = store.wait(PolicyStore::policies).map_err(Failure::work)?;
    let policies: Vec<_> = policies.into_iter().map(ShownPolicy::of).collect();
    if as_json_array {
        output::json(&policies)?;
        return Ok(());
    }
    let row = |shown: &ShownPolicy| {
        let policy = match &shown.policy {
            PolicyOrReason::Policy(policy) => as_json(policy)?,
            PolicyOrReason::Unreadable(reason) => reason.clone(),
        };
        Ok([shown.content_id.to_string(), shown.updated_at.to_string(), policy])
    };
    let rows: Vec<_> = policies.iter().map(row).collect::<Result<_, Failure>>()?;
    output::table(["CONTENT ID", "SET", "POLICY"], rows)?;
    Ok(())
}

fn log(store: &Store, args: &Log) -> Result<(), Failure> {
    let entries = store.wait(|store| store.audit_entries(args.subject.as_deref(), args.limit));
    let entries = entries.map_err(Failure::work)?;
    if args.json {
        output::json(&entries)?;
        return Ok(());
    }
    let rows = entries.into_iter().map(|entry| {
        let detail = entry.detail.unwrap_or_default();
        let [actor, subject, detail] = [entry.actor, entry.subject, detail].map(|text| text.escape_debug().to_string());
        [
            entry.at.to_string(),
            actor,
            entry.action,
            subject,
            detail.replace("\\\"", "\""),
        ]
    });
    output::table(["TIME", "WHO", "WHAT", "OF", "DETAIL"], rows)?;
    Ok(())
}

fn as_json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value)
        .context("it can't be written as JSON")
        .map_err(Failure::work)
}

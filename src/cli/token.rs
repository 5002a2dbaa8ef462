//! `vylux-pack token`: tokens for tests. In production the application that knows its users mints them.

use std::io::Read;

use anyhow::{Context, anyhow};
use clap::{Args as Arguments, Subcommand};
use jiff::SignedDuration;
use tokio::runtime::Builder;
use vylux_pack::access::{Asking, KeyEntry, KeyScope, MAX_TOKEN_BYTES, Question, mint, now};
use vylux_pack::keys::ContentId;
use vylux_pack::secret::{KEY_TOKEN_SECRET, SecretError, Settings};
use vylux_pack::server::config;

use super::failure::Failure;
use super::output::report;

/// Mint and check tokens, for tests
///
/// In production your application mints tokens, after it has found out who asks: see docs/deployment.md for their form.
#[derive(Arguments)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print an HMAC token for a content, signed with KEY_TOKEN_SECRET
    ///
    /// A helper for tests: in production your application mints tokens.
    Mint(MintArgs),
    /// Say whether the server would accept a token, which is read from standard input
    ///
    /// Exit code 4: it would not.
    Check(CheckArgs),
}

#[derive(Arguments)]
struct MintArgs {
    /// The content that the token opens
    #[arg(long, value_name = "ID")]
    content_id: ContentId,

    /// How long it is good for: 15m, 1h30m, 90s
    #[arg(long, value_name = "DURATION", default_value = "15m")]
    ttl: SignedDuration,

    /// Whom it speaks for, where leases or rate limits go by viewers [default: nobody]
    #[arg(long, value_name = "TEXT")]
    subject: Option<String>,

    /// The names of the keys that it opens, as keys list shows them: sd,audio [default: all]
    ///
    /// `primary` is the key without a name; NAME-* are the keys of all epochs of a name, and primary-* those of epochs alone.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    keys: Vec<KeyEntry>,
}

impl MintArgs {
    fn scope(&self) -> KeyScope {
        match &*self.keys {
            [] => KeyScope::All,
            entries => KeyScope::Only(entries.to_vec()),
        }
    }
}

#[derive(Arguments)]
struct CheckArgs {
    /// The content that the token should open
    #[arg(long, value_name = "ID")]
    content_id: ContentId,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let settings = Settings::load().map_err(Failure::usage)?;
    match &args.command {
        Command::Mint(args) => {
            let secret = settings.secret(KEY_TOKEN_SECRET).map_err(Failure::usage)?;
            let secret = secret.ok_or_else(|| Failure::usage(SecretError::missing(KEY_TOKEN_SECRET)))?;
            if args.ttl <= SignedDuration::ZERO {
                return Err(Failure::usage(anyhow!("--ttl must be longer than nothing")));
            }
            let expires = now().saturating_add(args.ttl.as_secs());
            let subject = args.subject.as_deref();
            let token = mint(&secret, &args.content_id, subject, &args.scope(), expires);
            report!("{token}")?;
            Ok(())
        }
        Command::Check(args) => check(&settings, &args.content_id),
    }
}

/// Reads a token from standard input.
pub fn read_token() -> Result<String, Failure> {
    let mut token = String::new();
    // One byte more shows that it is too large, and another may be the end of the line.
    let limit = MAX_TOKEN_BYTES as u64 + 2;
    std::io::stdin()
        .take(limit)
        .read_to_string(&mut token)
        .context("the token can't be read from standard input")
        .map_err(Failure::work)?;
    Ok(token.trim_end_matches(['\r', '\n']).to_owned())
}

fn check(settings: &Settings, content_id: &ContentId) -> Result<(), Failure> {
    let access = config::access(settings, false, None, None).map_err(Failure::usage)?;
    let token = read_token()?;
    let question = Question { content_id, now: now() };
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the async runtime can't start")
        .map_err(Failure::work)?;
    match runtime
        .block_on(access.decide(&Asking::by_token(question, &token)))
        .outcome
    {
        Ok(authenticated) => {
            let subject = authenticated
                .subject
                .map(|subject| format!(", for subject {subject:?}"));
            let keys = match authenticated.keys {
                KeyScope::All => String::new(),
                KeyScope::Only(entries) => {
                    let entries: Vec<_> = entries.iter().map(ToString::to_string).collect();
                    format!(" with the keys {}", entries.join(", "))
                }
            };
            report!("The token opens {content_id}{keys}{}.", subject.unwrap_or_default())?;
            Ok(())
        }
        Err(reason) => Err(Failure::different(anyhow!(
            "the token does not open {content_id}: {reason}"
        ))),
    }
}

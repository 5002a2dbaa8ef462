//! One file per subcommand: arguments, then a validated job, a call of the library, a report.

#![expect(
    clippy::doc_markdown,
    reason = "doc comments of arguments are shown as help, which is plain text"
)]

#[cfg(feature = "server")]
mod access;
mod captions_options;
mod completions;
mod decimal;
mod decrypt;
mod encrypt;
mod failure;
mod init;
mod inspect;
mod interrupt;
mod job_file;
mod jobs;
mod key_format;
mod keys;
mod man;
mod output;
mod progress;
mod records;
#[cfg(feature = "server")]
mod serve;
mod store;
#[cfg(feature = "server")]
mod token;
mod track_options;
mod verify;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use failure::Failure;
use job_file::CommandLine;

/// Encrypt MP4 offline into cbcs CMAF and HLS, with keys that a key server derives again.
///
/// Exit codes: 0 done; 1 the work failed; 2 wrong usage or settings; 3 an input is damaged or not supported;
/// 4 verification found a difference; 130 interrupted.
#[derive(Parser)]
#[command(name = "vylux-pack", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// A new subcommand is a file beside this one, and a line here and in [`dispatch`].
#[derive(Subcommand)]
enum Command {
    Init(init::Args),
    Encrypt(Box<encrypt::Args>),
    Verify(verify::Args),
    Decrypt(decrypt::Args),
    Inspect(inspect::Args),
    Keys(keys::Args),
    #[cfg(feature = "server")]
    Serve(serve::Args),
    #[cfg(feature = "server")]
    Token(token::Args),
    #[cfg(feature = "server")]
    Access(access::test::Args),
    #[cfg(feature = "server")]
    Policy(access::policy::Args),
    #[cfg(feature = "server")]
    SigningKey(access::signing_key::Args),
    Completions(completions::Args),
    Man(man::Args),
}

fn dispatch(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Init(args) => init::run(args),
        Command::Encrypt(args) => encrypt::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Decrypt(args) => decrypt::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Keys(args) => keys::run(args),
        #[cfg(feature = "server")]
        Command::Serve(args) => serve::run(args),
        #[cfg(feature = "server")]
        Command::Token(args) => token::run(args),
        #[cfg(feature = "server")]
        Command::Access(args) => access::test::run(args),
        #[cfg(feature = "server")]
        Command::Policy(args) => access::policy::run(args),
        #[cfg(feature = "server")]
        Command::SigningKey(args) => access::signing_key::run(args),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args),
    }
}

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    let outcome = CommandLine::expand(std::env::args_os().collect(), &Cli::command()).and_then(|line| {
        let cli =
            Cli::try_parse_from(&line.words).or_else(|error| line.blame(&error).map_or_else(|| error.exit(), Err))?;
        dispatch(&cli.command)
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

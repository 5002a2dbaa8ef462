//! `vylux-pack keys`: the key records. No command here prints a content key; records hold it wrapped.

#[cfg(feature = "store")]
mod export;
#[cfg(feature = "store")]
mod import;
#[cfg(feature = "store")]
mod list;
#[cfg(feature = "store")]
mod retire;
mod rewrap;
#[cfg(feature = "store")]
mod show;

use clap::Subcommand;

use super::failure::Failure;

/// List, show, import, export, rewrap and retire key records
///
/// A record says which content key a content has, and holds the key wrapped. No command prints the key itself.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[cfg(feature = "store")]
    List(list::Args),
    #[cfg(feature = "store")]
    Show(show::Args),
    #[cfg(feature = "store")]
    Import(import::Args),
    #[cfg(feature = "store")]
    Export(export::Args),
    Rewrap(rewrap::Args),
    #[cfg(feature = "store")]
    Retire(retire::Args),
}

pub fn run(args: &Args) -> Result<(), Failure> {
    match &args.command {
        #[cfg(feature = "store")]
        Command::List(args) => list::run(args),
        #[cfg(feature = "store")]
        Command::Show(args) => show::run(args),
        #[cfg(feature = "store")]
        Command::Import(args) => import::run(args),
        #[cfg(feature = "store")]
        Command::Export(args) => export::run(args),
        Command::Rewrap(args) => rewrap::run(args),
        #[cfg(feature = "store")]
        Command::Retire(args) => retire::run(args),
    }
}

/// Records, or what they are called when there is one.
fn records(count: usize) -> String {
    match count {
        1 => "1 record".to_owned(),
        count => format!("{count} records"),
    }
}

/// How many were so already.
fn were(count: usize) -> String {
    match count {
        1 => "1 was".to_owned(),
        count => format!("{count} were"),
    }
}

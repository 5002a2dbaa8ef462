//! `vylux-pack man`: the manual page.

use std::io::{self, Write};

use clap::CommandFactory;

use super::Cli;
use super::failure::Failure;

/// Print the manual page, in roff: `vylux-pack man | man -l -`
#[derive(clap::Args)]
pub struct Args {
    /// The page of this subcommand, instead of the whole program's
    subcommand: Option<String>,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let mut command = Cli::command();
    command.build();
    if let Some(name) = &args.subcommand {
        let found = command.find_subcommand(name).cloned();
        let page = found.ok_or_else(|| Failure::usage(anyhow::anyhow!("there is no subcommand '{name}'")))?;
        command = page.disable_help_subcommand(true);
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    io::stdout().write_all(&page)?;
    Ok(())
}

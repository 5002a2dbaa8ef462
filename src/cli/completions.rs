//! `vylux-pack completions`: for a shell.

use std::io::{self, Write};

use clap::CommandFactory;

use super::Cli;
use super::failure::Failure;

/// Print completions for a shell
#[derive(clap::Args)]
pub struct Args {
    /// The shell
    shell: clap_complete::Shell,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "vylux-pack", &mut text);
    io::stdout().write_all(&text)?;
    Ok(())
}

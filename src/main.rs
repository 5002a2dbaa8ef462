//! The command line: see `vylux-pack --help`.

mod cli;

fn main() -> std::process::ExitCode {
    cli::run()
}

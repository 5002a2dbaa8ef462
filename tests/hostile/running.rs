//! Runs of the program that may not cost much.

use std::process::{Command, Output};

use crate::common::{VYLUX_PACK, Workspace};

/// Whatever a small file claims, the program stays below this; refusing costs a few megabytes.
const MAX_DATA_KIB: u32 = 96 << 10;

const MAX_SECONDS: &str = "20";

/// Runs the program in little memory and time.
pub fn limited(workspace: &Workspace, arguments: &[&str]) -> Output {
    let program = workspace.vylux_pack();
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -d \"$1\" && shift && exec timeout \"$@\"", "sh"])
        .args([&MAX_DATA_KIB.to_string(), MAX_SECONDS, VYLUX_PACK])
        .args(arguments)
        .current_dir(workspace.folder())
        .env_clear();
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.output().unwrap()
}

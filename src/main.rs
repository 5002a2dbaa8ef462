//! The command line: see `vylux-pack --help`.
fn main() {}

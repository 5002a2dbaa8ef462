//! `-`: the input that comes by a pipe.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::anyhow;
use vylux_pack::package::PackageError;

use crate::cli::failure::Failure;

/// How standard input is named on the command line.
pub const NAME: &str = "-";

/// Read and written at once.
const CHUNK_BYTES: usize = 1 << 20;

/// Where `inputs` name it, standard input to its end, in a file without a name beside `output`: samples are read at several
/// places at once, which no pipe allows. The system removes the file with the process, however that ends.
pub fn spool(inputs: &[PathBuf], output: &Path, cancelled: &AtomicBool) -> Result<Option<File>, Failure> {
    match inputs.iter().filter(|input| is_meant(input)).count() {
        0 => return Ok(None),
        1 => {}
        _ => {
            return Err(Failure::usage(anyhow!(
                "standard input, '{NAME}', can be one input only"
            )));
        }
    }
    let mut stdin = io::stdin().lock();
    if stdin.is_terminal() {
        let what = "standard input is a terminal; pipe a film into it, or name a file";
        return Err(Failure::usage(anyhow!(what)));
    }
    // The output's folder may not be there yet, and a dry run makes none.
    let folders = output.ancestors().skip(1);
    let folder = folders
        .into_iter()
        .find(|folder| folder.is_dir())
        .unwrap_or(Path::new("."));
    let failed = |cause: io::Error| {
        let place = folder.display();
        Failure::work(anyhow!(
            "keeping standard input in a file without a name in {place} failed: {cause}"
        ))
    };
    let mut file = tempfile::tempfile_in(folder).map_err(failed)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let bytes = match stdin.read(&mut chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read.map_err(|cause| Failure::work(anyhow!("reading standard input failed: {cause}")))?,
        };
        if cancelled.load(Ordering::Relaxed) {
            return Err(PackageError::Cancelled.into());
        }
        if bytes == 0 {
            return Ok(Some(file));
        }
        file.write_all(chunk.get(..bytes).unwrap_or_default()).map_err(failed)?;
    }
}

/// Whether an input is standard input.
pub fn is_meant(input: &Path) -> bool {
    input == Path::new(NAME)
}

//! A file of content keys: one `KID:KEY` a line.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, anyhow};
use vylux_pack::content_key::{ContentKey, Kid};
use zeroize::Zeroizing;

use crate::cli::failure::Failure;
use crate::cli::output;

/// A file is at most this long, which is some thousand keys.
const MAX_BYTES: usize = 64 * 1024;

/// Permission to read of those who are neither the owner nor of the group.
const READ_BY_OTHERS: u32 = 0o004;

/// Reads the keys of a file. No error shows what stands in it.
pub fn read(path: &Path, quiet: bool) -> Result<HashMap<Kid, ContentKey>, Failure> {
    let text = read_text(path, quiet).with_context(|| format!("{} can't be read", path.display()));
    parse(&text.map_err(Failure::usage)?)
        .map_err(|(line, problem)| Failure::usage(anyhow!("{}, line {line}: {problem}", path.display())))
}

fn read_text(path: &Path, quiet: bool) -> anyhow::Result<Zeroizing<String>> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if !quiet && metadata.is_file() && metadata.permissions().mode() & READ_BY_OTHERS != 0 {
        let path = path.display();
        output::warn(&format!(
            "{path} holds keys, and everybody on this machine may read it; `chmod 600 {path}`"
        ));
    }
    // The capacity is there from the start: a string that grows leaves copies behind that nobody clears.
    let mut text = Zeroizing::new(String::with_capacity(MAX_BYTES + 1));
    let read = file.take(MAX_BYTES as u64 + 1).read_to_string(&mut text)?;
    if read > MAX_BYTES {
        return Err(anyhow!("it is longer than {MAX_BYTES} bytes"));
    }
    Ok(text)
}

/// The keys, or the number of a line and what is wrong with it.
fn parse(text: &str) -> Result<HashMap<Kid, ContentKey>, (usize, &'static str)> {
    let mut keys = HashMap::new();
    for (line, text) in (1..).zip(text.lines()) {
        let text = text.split('#').next().unwrap_or_default().trim();
        if text.is_empty() {
            continue;
        }
        let (kid, key) = text.split_once(':').ok_or((line, "expected KID:KEY"))?;
        let expected_kid = "expected a key ID of 32 hexadecimal digits in front of the colon";
        let kid: Kid = kid.trim().parse().map_err(|_| (line, expected_kid))?;
        let mut bytes = Zeroizing::new([0; 16]);
        let expected_key = "expected a key of 32 hexadecimal digits behind the colon";
        hex::decode_to_slice(key.trim(), bytes.as_mut_slice()).map_err(|_| (line, expected_key))?;
        if keys.insert(kid, ContentKey::new(*bytes)).is_some() {
            return Err((line, "a second key of the same key ID"));
        }
    }
    if keys.is_empty() {
        return Err((1, "there is no key in it; expected KID:KEY"));
    }
    Ok(keys)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn keys_stand_behind_their_ids() {
        let (one, two) = ("01".repeat(16), "02".repeat(16));
        let text = format!("# film\n\n {one} : {two} # main\r\n{two}:{one}\n");
        let keys = parse(&text).ok().unwrap();
        assert_eq!(keys.len(), 2);
        assert!(
            keys.get(&Kid([1; 16]))
                .is_some_and(|key| *key == ContentKey::new([2; 16]))
        );
        assert!(
            keys.get(&Kid([2; 16]))
                .is_some_and(|key| *key == ContentKey::new([1; 16]))
        );
    }

    #[test]
    fn what_is_no_key_is_named_by_its_line_and_not_shown() {
        let kid = "01".repeat(16);
        for (text, line, problem) in [
            (String::new(), 1, "there is no key in it"),
            ("# none\n".to_owned(), 1, "there is no key in it"),
            ("\nhunter2".to_owned(), 2, "expected KID:KEY"),
            (format!("hunter2:{kid}"), 1, "expected a key ID"),
            (format!("{kid}:hunter2"), 1, "expected a key of 32"),
            (format!("{kid}:{kid}\n{kid}:{kid}"), 2, "a second key"),
        ] {
            let error = parse(&text).err().unwrap();
            assert_eq!(error.0, line, "{text}");
            assert!(error.1.starts_with(problem), "{text}: {}", error.1);
            assert!(!error.1.contains("hunter2"));
        }
    }
}

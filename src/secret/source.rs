//! A secret by its name: `NAME`, a file that `NAME_FILE` names, or the standard output of `NAME_COMMAND`.

use std::fs::File;
use std::io::{self, Read};
use std::process::{Command, ExitStatus, Stdio};

use zeroize::Zeroizing;

use super::{Secret32, SecretText, Settings};

/// A `.env`, a secret's file and a command's output are at most this long; a secret is a line of text.
const MAX_BYTES: usize = 64 * 1024;

/// A secret that can't be used, and the variable to look at.
#[derive(Debug, thiserror::Error)]
#[error("{variable} {problem}")]
pub struct SecretError {
    /// The variable, with `_FILE` or `_COMMAND` where that is what was set.
    pub variable: String,
    /// What is wrong with it.
    pub problem: SecretProblem,
}

/// What is wrong with a secret. No value is part of it, nor the path or command that was set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretProblem {
    /// Neither the name nor a form of it is set.
    #[error(
        "is not set: set it, or the same name with _FILE (a file that holds it) or _COMMAND (a command that prints it); `vylux-pack init` writes a fresh .env"
    )]
    Missing,
    /// Two of `NAME`, `NAME_FILE` and `NAME_COMMAND` are set.
    #[error("and {other} are both set: keep one of them; .env may hold the other")]
    SetTwice {
        /// The second variable.
        other: String,
    },
    /// The file can't be read.
    #[error("names a file that can't be read: {0}")]
    File(io::Error),
    /// The command can't be run.
    #[error("is a command that can't be run: {0}")]
    Command(io::Error),
    /// What the command prints can't be read.
    #[error("is a command whose output can't be read: {0}")]
    Output(io::Error),
    /// The command said that it failed; what it wrote to standard error went to the terminal.
    #[error("is a command that failed with {0}; run it in a shell to see what it says")]
    CommandFailed(ExitStatus),
    /// There is nothing in it.
    #[error("is empty: unset it, or give it a value; `vylux-pack init` writes a fresh .env")]
    Empty,
    /// Not 64 digits.
    #[error(
        "is {found} characters long, and 64 hexadecimal digits (32 bytes) are expected; `vylux-pack init` writes a fresh .env"
    )]
    Length {
        /// Characters that are there.
        found: usize,
    },
    /// Something else than a digit.
    #[error(
        "holds something else than hexadecimal digits, of which 64 (32 bytes) are expected; `vylux-pack init` writes a fresh .env"
    )]
    NotHex,
    /// A placeholder.
    #[error("is all zeros, which is no secret; `vylux-pack init` writes a fresh .env")]
    AllZero,
}

impl SecretError {
    /// The error of a secret that is needed and not set.
    #[must_use]
    pub fn missing(name: &str) -> Self {
        SecretProblem::Missing.of(name)
    }
}

impl SecretProblem {
    fn of(self, variable: impl Into<String>) -> SecretError {
        SecretError {
            variable: variable.into(),
            problem: self,
        }
    }
}

/// How the value of a variable leads to the secret.
type ReadForm = fn(&str) -> Result<Zeroizing<String>, SecretProblem>;

/// The forms that a secret's name takes, by their suffix.
const FORMS: [(&str, ReadForm); 3] = [
    ("", |value| Ok(Zeroizing::new(value.to_owned()))),
    ("_FILE", read_file),
    ("_COMMAND", run_command),
];

impl Settings {
    /// A secret of 32 bytes, written as 64 hexadecimal digits, or `None` if no form of it is set.
    ///
    /// # Errors
    /// [`SecretError`] if it can't be read, or isn't 64 hexadecimal digits of which one is not zero.
    pub fn secret32(&self, name: &str) -> Result<Option<Secret32>, SecretError> {
        let Some((variable, text)) = self.find(name)? else {
            return Ok(None);
        };
        parse32(&text).map(Some).map_err(|problem| problem.of(variable))
    }

    /// A secret that is text, or `None` if no form of it is set.
    ///
    /// # Errors
    /// [`SecretError`] if it can't be read or is empty.
    pub fn secret(&self, name: &str) -> Result<Option<SecretText>, SecretError> {
        match self.find(name)? {
            Some((variable, text)) if text.is_empty() => Err(SecretProblem::Empty.of(variable)),
            found => Ok(found.map(|(_, text)| SecretText::new(text))),
        }
    }

    /// Whether any form of a secret is set, readable or not.
    #[must_use]
    pub fn has_secret(&self, name: &str) -> bool {
        FORMS
            .iter()
            .any(|(suffix, _)| self.raw(&format!("{name}{suffix}")).is_some())
    }

    /// The text of a secret, and the variable that it came from.
    fn find(&self, name: &str) -> Result<Option<(String, Zeroizing<String>)>, SecretError> {
        let mut set = FORMS.into_iter().filter_map(|(suffix, read)| {
            let variable = format!("{name}{suffix}");
            let value = self.raw(&variable)?;
            Some((variable, value, read))
        });
        let Some((variable, value, read)) = set.next() else {
            return Ok(None);
        };
        if let Some((other, ..)) = set.next() {
            return Err(SecretProblem::SetTwice { other }.of(variable));
        }
        if value.is_empty() {
            return Err(SecretProblem::Empty.of(variable));
        }
        match read(value) {
            Ok(text) => Ok(Some((variable, text))),
            Err(problem) => Err(problem.of(variable)),
        }
    }
}

fn parse32(text: &str) -> Result<Secret32, SecretProblem> {
    let mut bytes = Zeroizing::new([0; 32]);
    match text.chars().count() {
        0 => return Err(SecretProblem::Empty),
        64 => hex::decode_to_slice(text, bytes.as_mut_slice()).map_err(|_| SecretProblem::NotHex)?,
        found => return Err(SecretProblem::Length { found }),
    }
    if *bytes == [0; 32] {
        return Err(SecretProblem::AllZero);
    }
    Ok(Secret32::new(*bytes))
}

fn read_file(path: &str) -> Result<Zeroizing<String>, SecretProblem> {
    let text = File::open(path).and_then(read_limited).map_err(SecretProblem::File)?;
    Ok(without_line_end(&text))
}

/// Runs a command in a shell. Its standard error goes to ours; what it prints is the secret.
fn run_command(command: &str) -> Result<Zeroizing<String>, SecretProblem> {
    let mut child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(SecretProblem::Command)?;
    // The pipe is closed once it has been read, so a command that prints without end can't keep `wait` waiting.
    let text = child.stdout.take().map(read_limited).transpose();
    let status = child.wait().map_err(SecretProblem::Command)?;
    let text = text.map_err(SecretProblem::Output)?;
    if !status.success() {
        return Err(SecretProblem::CommandFailed(status));
    }
    Ok(without_line_end(&text.unwrap_or_default()))
}

/// Files and commands end with a line end that is no part of the secret, as in a shell's `$(...)`.
fn without_line_end(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Reads UTF-8 text of at most [`MAX_BYTES`] into memory that is cleared.
pub(super) fn read_limited(reader: impl Read) -> io::Result<Zeroizing<String>> {
    // The capacity is there from the start: a string that grows leaves copies behind that nobody clears.
    let mut text = Zeroizing::new(String::with_capacity(MAX_BYTES + 1));
    let read = reader.take(MAX_BYTES as u64 + 1).read_to_string(&mut text)?;
    if read > MAX_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it is longer than {MAX_BYTES} bytes"),
        ));
    }
    Ok(text)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const SECRET: &str = "c0ffee00112233445566778899aabbccddeeff00112233445566778899abcdef";

    fn secret32(pairs: &[(&str, &str)]) -> Result<Option<Secret32>, SecretError> {
        pairs.iter().copied().collect::<Settings>().secret32("KEY_HEX")
    }

    #[test]
    fn every_form_leads_to_the_secret() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, format!("{SECRET}\r\n")).unwrap();
        for (variable, value) in [
            ("KEY_HEX", SECRET),
            ("KEY_HEX", &SECRET.to_uppercase()),
            ("KEY_HEX_FILE", file.to_str().unwrap()),
            ("KEY_HEX_COMMAND", &format!("echo {SECRET}")),
        ] {
            let secret = secret32(&[(variable, value)]).ok().flatten().unwrap();
            assert_eq!(hex::encode(secret.expose()), SECRET, "{variable}");
        }
        assert!(secret32(&[("OTHER_HEX", SECRET)]).ok().unwrap().is_none());
    }

    #[test]
    fn a_text_secret_is_its_text() {
        let settings: Settings = [("A", "a secret "), ("B", "")].into_iter().collect();
        assert_eq!(settings.secret("A").ok().flatten().unwrap().expose(), "a secret ");
        assert_eq!(settings.secret("B").err().unwrap().variable, "B");
        assert!(settings.secret("C").ok().unwrap().is_none());
    }

    #[test]
    fn no_error_shows_a_value() {
        let folder = tempfile::tempdir().unwrap();
        let short = folder.path().join("short");
        std::fs::write(&short, &SECRET[..63]).unwrap();
        let long = folder.path().join("long");
        std::fs::write(&long, SECRET.repeat(2000)).unwrap();
        let binary = folder.path().join("binary");
        std::fs::write(&binary, [0xff; 64]).unwrap();
        let not_hex = SECRET.replace('f', "g");
        let cases: [(&[(&str, &str)], &str); 15] = [
            (&[("KEY_HEX", "")], "KEY_HEX is empty"),
            (&[("KEY_HEX", &SECRET[1..])], "KEY_HEX is 63 characters long"),
            (&[("KEY_HEX", &not_hex)], "KEY_HEX holds something else"),
            (&[("KEY_HEX", &"0".repeat(64))], "KEY_HEX is all zeros"),
            (
                &[("KEY_HEX", SECRET), ("KEY_HEX_FILE", SECRET)],
                "KEY_HEX and KEY_HEX_FILE are both set",
            ),
            (
                &[("KEY_HEX_COMMAND", SECRET), ("KEY_HEX_FILE", SECRET)],
                "KEY_HEX_FILE and KEY_HEX_COMMAND are both set",
            ),
            (
                &[("KEY_HEX_FILE", SECRET)],
                "KEY_HEX_FILE names a file that can't be read: No such file",
            ),
            (
                &[("KEY_HEX_FILE", short.to_str().unwrap())],
                "KEY_HEX_FILE is 63 characters long",
            ),
            (
                &[("KEY_HEX_FILE", long.to_str().unwrap())],
                "it is longer than 65536 bytes",
            ),
            (&[("KEY_HEX_FILE", binary.to_str().unwrap())], "valid UTF-8"),
            (&[("KEY_HEX_FILE", "/dev/null")], "KEY_HEX_FILE is empty"),
            (&[("KEY_HEX_COMMAND", "true")], "KEY_HEX_COMMAND is empty"),
            (
                &[("KEY_HEX_COMMAND", &format!("echo {SECRET}; exit 3"))],
                "KEY_HEX_COMMAND is a command that failed with exit status: 3",
            ),
            (
                &[("KEY_HEX_COMMAND", &format!("yes {SECRET}"))],
                "it is longer than 65536 bytes",
            ),
            (
                &[("KEY_HEX_COMMAND", &format!("echo {SECRET}0"))],
                "KEY_HEX_COMMAND is 65 characters long",
            ),
        ];
        for (pairs, expected) in cases {
            let error = secret32(pairs).err().unwrap();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains(expected), "{expected:?}: {shown}");
            for part in SECRET.as_bytes().chunks(6) {
                let part = std::str::from_utf8(part).unwrap();
                assert!(part.len() < 6 || !shown.contains(part), "{shown}");
            }
        }
        assert!(
            SecretError::missing("KEY_HEX")
                .to_string()
                .contains("`vylux-pack init`")
        );
    }
}

//! `--job`: the options of `encrypt` in a file of TOML or JSON.
//!
//! A job file becomes words of the command line, so what it says is checked and done where the same words are.

mod read;
#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a field of an object that is being made")]
mod schema;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint};

use super::encrypt::{PLAIN_POLICIES, standard_input};
use super::failure::Failure;
pub use read::Form;
use read::{Field, Input, Job};

/// The subcommand that job files are of.
const SUBCOMMAND: &str = "encrypt";

/// Options that a job file has no field for: itself, help, and what its inputs say in place.
const NO_FIELDS: &[&str] = &["job", "help", "track"];

/// The option that is a path but for some words.
const POLICY: &str = "policy";

/// Where the job is described.
#[derive(clap::Args)]
pub struct JobFile {
    /// Take inputs and options from a .toml or .json file; what stands on the command line wins
    ///
    /// Its fields are the options by their long names, and inputs, each a file, or a table of file, id and keys of --track.
    /// Relative paths are relative to the job file. See docs/job-file.md.
    #[arg(long, value_name = "FILE")]
    job: Option<PathBuf>,
}

/// The words of this process, with those of a job file.
pub struct CommandLine {
    pub words: Vec<OsString>,
    /// The job file, and the options that come from it.
    job: Option<(PathBuf, Vec<String>)>,
}

impl CommandLine {
    /// Puts the words of a job file, if there is one, behind the subcommand.
    pub fn expand(words: Vec<OsString>, command: &Command) -> Result<Self, Failure> {
        let mut lenient = command
            .clone()
            .mut_subcommand(SUBCOMMAND, |encrypt| encrypt.mut_args(|arg| arg.required(false)));
        lenient.build();
        // Words that can't be read are refused later, when they are read in earnest.
        let matches = lenient.clone().try_get_matches_from(&words).ok();
        let given = matches
            .as_ref()
            .and_then(|matches| matches.subcommand_matches(SUBCOMMAND));
        let path = given.and_then(|given| given.get_one::<PathBuf>("job"));
        let encrypt = lenient.find_subcommand(SUBCOMMAND);
        let at = words.iter().position(|word| word == SUBCOMMAND);
        let (Some(given), Some(path), Some(encrypt), Some(at)) = (given, path, encrypt, at) else {
            return Ok(Self { words, job: None });
        };
        let job = read::job(path, &fields(encrypt))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let (names, of_job) = words_of(&job, folder, encrypt, given);
        let mut words = words;
        words.splice(at + 1..=at, of_job);
        Ok(Self {
            words,
            job: Some((path.clone(), names)),
        })
    }

    /// An error in a value that the job file gives, which names the file.
    pub fn blame(&self, error: &clap::Error) -> Option<Failure> {
        let (path, names) = self.job.as_ref()?;
        let Some(ContextValue::String(arg)) = error.get(ContextKind::InvalidArg) else {
            return None;
        };
        let name = arg.split_whitespace().next()?.strip_prefix("--")?;
        names.iter().find(|given| *given == name)?;
        let text = error.to_string();
        let lines = text.lines().take_while(|line| !line.is_empty()).map(str::trim);
        let words = lines.collect::<Vec<_>>().join(" ");
        let words = words.strip_prefix("error: ").unwrap_or(&words);
        Some(Failure::usage(anyhow!("{}: {words}", path.display())))
    }
}

/// The options that a job file may have.
fn fields(encrypt: &Command) -> Vec<Field> {
    let options = encrypt.get_arguments().filter_map(|arg| Some((arg.get_long()?, arg)));
    let options = options.filter(|(name, _)| !NO_FIELDS.contains(name));
    options
        .map(|(name, arg)| Field {
            name: name.to_owned(),
            form: match arg.get_action() {
                ArgAction::SetTrue => Form::Flag,
                ArgAction::Append => Form::List,
                _ => Form::Text,
            },
        })
        .collect()
}

/// The words of a job, and the options among them, without those that what is `given` replaces.
fn words_of(job: &Job, folder: &Path, encrypt: &Command, given: &ArgMatches) -> (Vec<String>, Vec<OsString>) {
    let is_given = |arg: &Arg| given.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine);
    let excludes = |one: &Arg, other: &Arg| encrypt.get_arg_conflicts_with(one).contains(&other);
    let is_replaced = |arg: &Arg| {
        let mut others = encrypt.get_arguments().filter(|other| is_given(other));
        others.any(|other| arg == other || excludes(arg, other) || excludes(other, arg))
    };
    let mut names = Vec::new();
    let mut words = Vec::new();
    for (name, values) in &job.options {
        let arg = encrypt.get_arguments().find(|arg| arg.get_long() == Some(name));
        let Some(arg) = arg.filter(|arg| !is_replaced(arg)) else {
            continue;
        };
        names.push(name.clone());
        for value in values {
            match arg.get_action() {
                ArgAction::SetTrue if value == read::NO => {}
                ArgAction::SetTrue => words.push(format!("--{name}").into()),
                _ if is_path(arg, value, folder) => words.push(option(name, folder.join(value).as_os_str())),
                _ => words.push(option(name, value.as_ref())),
            }
        }
    }
    let replaces = |id: &str| given.value_source(id) == Some(ValueSource::CommandLine);
    if !replaces("inputs") {
        let mut files: Vec<&str> = Vec::new();
        for input in &job.inputs {
            let file = input_word(&input.file, folder);
            if !files.contains(&input.file.as_str()) {
                files.push(&input.file);
                words.push(file.clone());
            }
            if !input.track.is_empty() && !replaces("tracks") {
                names.push("track".to_owned());
                words.push(option("track", &track_word(file, input)));
            }
        }
    }
    (names, words)
}

/// Whether a value is a path, which is relative to the job file.
fn is_path(arg: &Arg, value: &str, folder: &Path) -> bool {
    match arg.get_value_hint() {
        ValueHint::AnyPath if arg.get_long() == Some(POLICY) => {
            !PLAIN_POLICIES.contains(&value) && !standard_input::is_meant(Path::new(value))
        }
        ValueHint::AnyPath => true,
        // What may also be something else.
        ValueHint::FilePath => folder.join(value).is_file(),
        _ => false,
    }
}

fn option(name: &str, value: &std::ffi::OsStr) -> OsString {
    let mut word = OsString::from(format!("--{name}="));
    word.push(value);
    word
}

/// An input that can't be taken for an option.
fn input_word(file: &str, folder: &Path) -> OsString {
    if standard_input::is_meant(Path::new(file)) {
        return file.into();
    }
    let path = folder.join(file);
    if path.as_os_str().as_encoded_bytes().starts_with(b"-") {
        return Path::new(".").join(path).into();
    }
    path.into()
}

/// What stands behind `--track`.
fn track_word(mut word: OsString, input: &Input) -> OsString {
    if let Some(id) = &input.id {
        word.push(format!(":{id}"));
    }
    for (key, values) in &input.track {
        for value in values {
            word.push(format!(",{key}={value}"));
        }
    }
    word
}

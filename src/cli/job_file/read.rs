//! Reads a job file: TOML or JSON, of which the parsers tell the line of what is wrong.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;

use anyhow::{Context, anyhow};
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::cli::failure::Failure;
use crate::cli::track_options::KEYS;

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// true or false, which are read as [`YES`] and [`NO`].
    Flag,
    /// A string or a number.
    Text,
    /// Strings.
    List,
}

/// What true is read as.
pub const YES: &str = "yes";

/// What false is read as.
pub const NO: &str = "no";

/// A field that a table may have.
pub struct Field {
    pub name: String,
    pub form: Form,
}

/// What a job file says.
#[derive(Debug, Default)]
pub struct Job {
    pub inputs: Vec<Input>,
    /// Long names and values, as they would stand on the command line.
    pub options: Vec<(String, Vec<String>)>,
}

/// An input, or one track of it.
#[derive(Debug, Default)]
pub struct Input {
    pub file: String,
    pub id: Option<String>,
    /// Keys and values of `--track`.
    pub track: Vec<(String, Vec<String>)>,
}

/// The field of all inputs.
pub const INPUTS: &str = "inputs";

/// Fields of an input beside the keys of `--track`.
pub const FILE: &str = "file";
pub const ID: &str = "id";

/// Words in names of fields that secrets have.
const SECRET_WORDS: &[&str] = &["key", "salt", "kek", "secret", "password", "token"];

/// Reads a job whose options are `fields`.
pub fn job(path: &Path, fields: &[Field]) -> Result<Job, Failure> {
    let name = path.display();
    let text = std::fs::read_to_string(path)
        .with_context(|| name.to_string())
        .map_err(Failure::usage)?;
    let extension = path.extension().and_then(|extension| extension.to_str());
    let parsed = match extension {
        Some("toml") => from_toml(&text, fields),
        Some("json") => from_json(&text, fields),
        _ => {
            return Err(Failure::usage(anyhow!(
                "{name}: a job file's name ends in .toml or .json"
            )));
        }
    };
    parsed.map_err(|(line, what)| Failure::usage(anyhow!("{name}, line {line}: {what}")))
}

/// The line of what is wrong, and what it is.
type Wrong = (usize, String);

fn from_toml(text: &str, fields: &[Field]) -> Result<Job, Wrong> {
    let wrong = |error: toml::de::Error| {
        let start = error.span().map_or(0, |span| span.start);
        let before = text.bytes().take(start).filter(|byte| *byte == b'\n').count();
        (before + 1, error.message().trim().to_owned())
    };
    let document = toml::Deserializer::parse(text).map_err(wrong)?;
    JobSeed(fields).deserialize(document).map_err(wrong)
}

fn from_json(text: &str, fields: &[Field]) -> Result<Job, Wrong> {
    let wrong = |error: serde_json::Error| {
        let words = error.to_string();
        let what = words.rsplit_once(" at line ").map_or(words.as_str(), |(what, _)| what);
        (error.line(), what.to_owned())
    };
    let mut document = serde_json::Deserializer::from_str(text);
    let job = JobSeed(fields).deserialize(&mut document).map_err(wrong)?;
    document.end().map_err(wrong)?;
    Ok(job)
}

struct JobSeed<'a>(&'a [Field]);

impl<'de> DeserializeSeed<'de> for JobSeed<'_> {
    type Value = Job;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Job, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for JobSeed<'_> {
    type Value = Job;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of inputs and options")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Job, A::Error> {
        let mut job = Job::default();
        let names = std::iter::once(INPUTS).chain(self.0.iter().map(|field| field.name.as_str()));
        let names: Vec<&str> = names.collect();
        let mut seen = HashSet::new();
        while let Some(name) = map.next_key_seed(NameSeed {
            names: &names,
            seen: &mut seen,
        })? {
            match self.0.iter().find(|field| field.name == name) {
                Some(field) => job.options.push((name, map.next_value_seed(WordsSeed(field.form))?)),
                None => job.inputs = map.next_value_seed(InputsSeed)?,
            }
        }
        Ok(job)
    }
}

/// The name of a field, once.
struct NameSeed<'a> {
    names: &'a [&'a str],
    seen: &'a mut HashSet<String>,
}

impl<'de> DeserializeSeed<'de> for NameSeed<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<String, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for NameSeed<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<String, E> {
        if self.names.contains(&name) {
            return if self.seen.insert(name.to_owned()) {
                Ok(name.to_owned())
            } else {
                Err(E::custom(format_args!("'{name}' stands there twice")))
            };
        }
        let lower = name.to_lowercase();
        if SECRET_WORDS.iter().any(|word| lower.contains(word)) {
            return Err(E::custom(format_args!(
                "'{name}' looks like a secret, and job files hold none, for they are copied and checked in: secrets come from \
                 the environment or .env, each also as NAME_FILE or NAME_COMMAND"
            )));
        }
        let names = self.names.join(", ");
        Err(E::custom(format_args!("there is no field '{name}'; there are {names}")))
    }
}

/// A value, as words of the command line.
struct WordsSeed(Form);

impl<'de> DeserializeSeed<'de> for WordsSeed {
    type Value = Vec<String>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Vec<String>, D::Error> {
        from.deserialize_any(self)
    }
}

impl WordsSeed {
    fn text<E: de::Error>(self, found: de::Unexpected<'_>, text: impl fmt::Display) -> Result<Vec<String>, E> {
        if self.0 == Form::Text {
            Ok(vec![text.to_string()])
        } else {
            Err(E::invalid_type(found, &self))
        }
    }
}

impl<'de> Visitor<'de> for WordsSeed {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Form::Flag => "true or false",
            Form::Text => "a string or a number",
            Form::List => "a list of strings",
        })
    }

    fn visit_bool<E: de::Error>(self, is: bool) -> Result<Vec<String>, E> {
        if self.0 == Form::Flag {
            Ok(vec![if is { YES } else { NO }.to_owned()])
        } else {
            Err(E::invalid_type(de::Unexpected::Bool(is), &self))
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<String>, E> {
        self.text(de::Unexpected::Str(text), text)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Vec<String>, E> {
        self.text(de::Unexpected::Unsigned(number), number)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Vec<String>, E> {
        self.text(de::Unexpected::Signed(number), number)
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Vec<String>, E> {
        self.text(de::Unexpected::Float(number), number)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<String>, A::Error> {
        if self.0 != Form::List {
            return Err(de::Error::invalid_type(de::Unexpected::Seq, &self));
        }
        let mut words = Vec::new();
        while let Some(word) = items.next_element()? {
            words.push(word);
        }
        Ok(words)
    }
}

struct InputsSeed;

impl<'de> DeserializeSeed<'de> for InputsSeed {
    type Value = Vec<Input>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Vec<Input>, D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for InputsSeed {
    type Value = Vec<Input>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of files, or of tables with a file")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<Input>, A::Error> {
        let mut inputs = Vec::new();
        while let Some(input) = items.next_element_seed(InputSeed)? {
            inputs.push(input);
        }
        Ok(inputs)
    }
}

struct InputSeed;

impl<'de> DeserializeSeed<'de> for InputSeed {
    type Value = Input;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Input, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for InputSeed {
    type Value = Input;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a file, or a table with a file")
    }

    fn visit_str<E: de::Error>(self, file: &str) -> Result<Input, E> {
        Ok(Input {
            file: file.to_owned(),
            ..Input::default()
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Input, A::Error> {
        let names = [FILE, ID].into_iter().chain(KEYS.iter().map(|(name, _)| *name));
        let names: Vec<&str> = names.collect();
        let mut seen = HashSet::new();
        let mut input = Input::default();
        let mut file = None;
        while let Some(name) = map.next_key_seed(NameSeed {
            names: &names,
            seen: &mut seen,
        })? {
            let key = KEYS.iter().find(|(key, _)| *key == name);
            let words = map.next_value_seed(WordsSeed(key.map_or(Form::Text, |(_, form)| *form)))?;
            match (key, name.as_str()) {
                (None, FILE) => file = words.into_iter().next(),
                (None, _) => input.id = words.into_iter().next(),
                // What --track can't hold.
                (Some(_), _) if words.iter().any(|word| word.contains(',')) => {
                    return Err(de::Error::custom(format_args!(
                        "{name} has a comma, and values have none"
                    )));
                }
                (Some(_), _) => input.track.push((name, words)),
            }
        }
        input.file = file.ok_or_else(|| de::Error::missing_field(FILE))?;
        if input.id.is_some() && input.track.is_empty() {
            return Err(de::Error::custom(format_args!(
                "{ID} tells whose keys the others are, and there is none; all tracks of a file are taken"
            )));
        }
        Ok(input)
    }
}

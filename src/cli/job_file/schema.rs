//! `docs/job.schema.json` is what the options and the keys of `--track` make of it: `SNAPSHOTS=overwrite cargo test job_file`
//! takes a new one over.

use std::path::Path;

use clap::CommandFactory;
use serde_json::{Map, Value, json};
use snapbox::{Data, assert_data_eq};

use super::read::{FILE, Form, ID, INPUTS};
use super::{SUBCOMMAND, fields};
use crate::cli::Cli;
use crate::cli::track_options::KEYS;

fn of_form(form: Form) -> Value {
    match form {
        Form::Flag => json!({ "type": "boolean" }),
        Form::Text => json!({ "type": ["string", "number"] }),
        Form::List => json!({ "type": "array", "items": { "type": "string" } }),
    }
}

fn table(properties: &Map<String, Value>, required: &[&str]) -> Value {
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

/// An input, or one track of it.
fn input() -> Value {
    let beside = [(FILE, json!({ "type": "string" })), (ID, of_form(Form::Text))];
    let keys = KEYS.iter().map(|(key, form)| (*key, of_form(*form)));
    let properties = beside.into_iter().chain(keys);
    let properties = properties.map(|(name, value)| (name.to_owned(), value)).collect();
    json!({ "anyOf": [{ "type": "string" }, table(&properties, &[FILE])] })
}

fn schema() -> Value {
    let command = Cli::command();
    let encrypt = command.find_subcommand(SUBCOMMAND).expect("the subcommand is there");
    let what = "Files, or tables of a file and what playlists say of a track of it; relative to the job file";
    let mut properties = Map::new();
    properties.insert(
        INPUTS.to_owned(),
        json!({ "description": what, "type": "array", "items": input() }),
    );
    for field in fields(encrypt) {
        let arg = encrypt.get_arguments().find(|arg| arg.get_long() == Some(&field.name));
        let arg = arg.expect("each field is an option");
        let mut property = json!({ "description": arg.get_help().map(ToString::to_string) });
        let of_form = of_form(field.form);
        for (name, value) in of_form.as_object().into_iter().flatten() {
            property[name] = value.clone();
        }
        let values: Vec<String> = match field.form {
            Form::Text => arg
                .get_possible_values()
                .iter()
                .map(|value| value.get_name().to_owned())
                .collect(),
            Form::Flag | Form::List => Vec::new(),
        };
        if !values.is_empty() {
            let numbers = values
                .iter()
                .filter_map(|value| value.parse::<u64>().ok())
                .map(Value::from);
            property["enum"] = values.iter().cloned().map(Value::from).chain(numbers).collect();
        }
        properties.insert(field.name, property);
    }
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A job of vylux-pack encrypt",
    });
    for (name, value) in table(&properties, &[]).as_object().into_iter().flatten() {
        schema[name] = value.clone();
    }
    schema
}

#[test]
fn the_schema_is_that_of_the_options() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/job.schema.json");
    let text = serde_json::to_string_pretty(&schema()).expect("a schema is JSON") + "\n";
    assert_data_eq!(text, Data::read_from(&path, None).raw());
}

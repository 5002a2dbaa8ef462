//! Job files: the examples of `docs/job-file` do what the same words on the command line do, and its schema says of files
//! what the program says.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{Workspace, files, fixture, run, skip, tool};

/// The inputs that the examples name, and the fixtures that stand for them.
const INPUTS: &[(&str, &str)] = &[
    ("v1080.mp4", "v360.mp4"),
    ("v720.mp4", "v180.mp4"),
    ("a_en.mp4", "a-en.mp4"),
    ("a_fr.mp4", "a-fr.mp4"),
    ("film.mp4", "two-languages.mp4"),
    ("subs_en.vtt", "subs_en.vtt"),
];

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/job-file")
}

/// A workspace with the inputs and the examples in a folder `jobs`.
fn workspace() -> Workspace {
    let work = Workspace::new();
    fs::create_dir(work.path("jobs")).unwrap();
    for (name, input) in INPUTS {
        fs::copy(fixture(input), work.path("jobs").join(name)).unwrap();
    }
    for example in files(&examples()) {
        fs::copy(&example, work.path("jobs").join(example.file_name().unwrap())).unwrap();
    }
    work
}

fn encrypt(work: &Workspace, words: &[&str]) -> Output {
    work.vylux_pack().arg("encrypt").args(words).output().unwrap()
}

/// All files of an output but `keys.json`, whose wraps and dates are new in each.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = files(folder).into_iter().filter(|file| !file.ends_with("keys.json"));
    files
        .map(|file| (file.strip_prefix(folder).unwrap().to_owned(), fs::read(&file).unwrap()))
        .collect()
}

#[test]
fn a_job_does_what_its_words_do() {
    let work = workspace();
    run(work
        .vylux_pack()
        .args(["encrypt", "--job", "jobs/series.toml", "--no-store"]));
    let words = "encrypt jobs/v1080.mp4 jobs/v720.mp4 jobs/a_en.mp4 jobs/a_fr.mp4 jobs/subs_en.vtt --content-id series-s01e01 \
                 --out words --segment-duration 2 --no-store --track jobs/v1080.mp4,hdcp=TYPE-0";
    let mut command = work.vylux_pack();
    command.args(words.split_whitespace());
    command.args(["--track", "jobs/a_en.mp4,name=English,default=yes"]);
    command.args(["--track", "jobs/a_fr.mp4,name=Français"]);
    let characteristics = [
        "public.accessibility.transcribes-spoken-dialog",
        "public.accessibility.describes-music-and-sound",
    ];
    let [first, second] = characteristics;
    let subtitles = "jobs/subs_en.vtt,name=English (for the hard of hearing)";
    let subtitles = format!("{subtitles},characteristics={first},characteristics={second}");
    run(command.args(["--track", &subtitles]));
    let of_job = contents(&work.path("jobs/published/series-s01e01"));
    assert!(of_job.len() > 15, "{:?}", of_job.keys());
    assert_eq!(of_job, contents(&work.path("words")));
}

/// One file with several tracks is one input.
#[test]
fn tracks_of_one_file_are_named_by_their_ids() {
    let work = workspace();
    // One of its two films is shorter.
    let job = ["encrypt", "--job", "jobs/film.json", "--allow-misaligned"];
    run(work.vylux_pack().args(job));
    let master = fs::read_to_string(work.path("out/film/master.m3u8")).unwrap();
    for expected in [
        "NAME=\"English\",LANGUAGE=\"en\",DEFAULT=YES",
        "NAME=\"Commentaire\",LANGUAGE=\"fr\",DEFAULT=NO",
        "METHOD=SAMPLE-AES-CTR",
    ] {
        assert_eq!(master.matches(expected).count(), 1, "{expected}: {master}");
    }
}

#[test]
fn the_command_line_wins() {
    let work = workspace();
    let job = ["--job", "jobs/series.toml", "--no-store", "--json", "--dry-run"];
    let report = |more: &[&str]| -> serde_json::Value {
        let output = encrypt(&work, &[&job, more].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let of_job = report(&[]);
    assert_eq!(of_job["content_id"], "series-s01e01");
    assert_eq!(of_job["inputs"][0], "jobs/v1080.mp4");
    assert_eq!(of_job["target_duration_s"], 2);
    let given = report(&[
        "--content-id",
        "other",
        "--out",
        "there",
        "--segment-duration=1",
        "jobs/v720.mp4",
    ]);
    assert_eq!(given["content_id"], "other");
    assert_eq!(given["output"], "there");
    assert_eq!(given["target_duration_s"], 1);
    assert_eq!(given["inputs"], serde_json::json!(["jobs/v720.mp4"]));

    // What can't stand beside each other: one goes.
    fs::write(work.path("store.toml"), "store = 'sqlite://a.db'").unwrap();
    let words = [
        "--job",
        "store.toml",
        "--content-id",
        "film",
        "--dry-run",
        "jobs/v720.mp4",
    ];
    let output = encrypt(&work, &[&words[..], &["--no-store"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A policy's file lies beside the job file, and its words are no files, even where there are files of these names.
#[cfg(feature = "server")]
#[test]
fn a_policy_is_a_path_but_for_its_words() {
    let work = workspace();
    fs::write(work.path("jobs/policy.json"), r#"{"type":"jwt","audience":"player"}"#).unwrap();
    // What would be set if paths were relative to where the command runs, or if words were files.
    fs::write(work.path("policy.json"), "no policy").unwrap();
    fs::write(work.path("jobs/token"), "no policy").unwrap();
    for (policy, expected) in [
        ("policy.json", ["\"type\": \"jwt\"", "\"audience\": \"player\""]),
        ("token", ["\"type\": \"token\"", "\"content_id\": \"film\""]),
    ] {
        let job = format!("content-id = 'film'\npolicy = '{policy}'\ninputs = ['v720.mp4']");
        fs::write(work.path("jobs/job.toml"), job).unwrap();
        run(work.vylux_pack().args(["encrypt", "--job", "jobs/job.toml"]));
        let output = run(work.vylux_pack().args(["policy", "get", "--content-id", "film"]));
        let set = String::from_utf8(output.stdout).unwrap();
        assert!(expected.iter().all(|words| set.contains(words)), "{policy}: {set}");
    }
    fs::write(
        work.path("jobs/job.toml"),
        "content-id = 'film'\npolicy = 'none.json'\ninputs = ['v720.mp4']",
    )
    .unwrap();
    let output = encrypt(&work, &["--job", "jobs/job.toml"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("jobs/none.json can't be read"), "{error}");
}

/// What the program says of a job file that can't be; the schema says no to all but the last.
const REFUSED: &[(&str, &str, &str)] = &[
    (
        "toml",
        "content-id = 'a'\nsegment_duration = 2",
        "line 2: there is no field 'segment_duration'; there are inputs, content-id,",
    ),
    (
        "json",
        "{\n\"content-id\": \"a\",\n\"inputs\": [\n{ \"file\": \"v.mp4\", \"role\": 1 }] }",
        "line 4: there is no field 'role'; there are file, id, name,",
    ),
    (
        "toml",
        "\nmaster-key-hex = '00'",
        "line 2: 'master-key-hex' looks like a secret",
    ),
    (
        "json",
        "{ \"KEK_HEX\": \"00\" }",
        "line 1: 'KEK_HEX' looks like a secret",
    ),
    ("toml", "track = ['a.mp4,name=A']", "line 1: there is no field 'track'"),
    (
        "toml",
        "sync = 'yes'",
        "line 1: invalid type: string \"yes\", expected true or false",
    ),
    (
        "toml",
        "inputs = 'a.mp4'",
        "line 1: invalid type: string \"a.mp4\", expected a list of files",
    ),
    ("toml", "inputs = [\n{ name = 'A' }]", "line 2: missing field `file`"),
    (
        "toml",
        "inputs = [{ file = 'a.mp4', characteristics = 'a' }]",
        "line 1: invalid type: string \"a\", expected a list of strings",
    ),
    (
        "toml",
        "iv-size = 9",
        "invalid value '9' for '--iv-size <BYTES>' [possible values: 8, 16]",
    ),
    (
        "toml",
        "content-id = 'a b'",
        "invalid value 'a b' for '--content-id <ID>': a content ID holds ' '",
    ),
];

/// What no schema can say.
const REFUSED_BY_NONE: &[(&str, &str, &str)] = &[
    ("toml", "content-id = 'a\n", "line 1: invalid"),
    (
        "json",
        "{ \"sync\": true, \"sync\": false }",
        "line 1: 'sync' stands there twice",
    ),
    ("yaml", "sync: true", "a job file's name ends in .toml or .json"),
    (
        "toml",
        "inputs = [{ file = 'a.mp4', name = 'A, B' }]",
        "line 1: name has a comma",
    ),
    (
        "toml",
        "inputs = [{ file = 'a.mp4', id = 2 }]",
        "line 1: id tells whose keys the others are",
    ),
];

#[test]
fn what_a_job_can_not_say_is_told() {
    let work = workspace();
    for (extension, text, expected) in REFUSED.iter().chain(REFUSED_BY_NONE) {
        let job = format!("job.{extension}");
        fs::write(work.path(&job), text).unwrap();
        let output = encrypt(&work, &["--job", &job]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}: {error}");
        assert!(error.starts_with(&format!("error: {job}")), "{text}: {error}");
        assert!(error.contains(expected), "{text}: {error}");
    }
    let output = encrypt(&work, &["--job", "none.toml"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(error.contains("none.toml: No such file"), "{error}");
}

const VALIDATE: &str = "
import json, pathlib, sys, tomllib
from jsonschema import Draft202012Validator
schema = json.load(open(sys.argv[1]))
Draft202012Validator.check_schema(schema)
for path in map(pathlib.Path, sys.argv[2:]):
    text = path.read_text()
    job = tomllib.loads(text) if path.suffix == '.toml' else json.loads(text)
    print(path.name, Draft202012Validator(schema).is_valid(job))
";

#[test]
fn the_schema_says_what_the_program_says() {
    let Some(python) = tool("python3") else { return };
    let has = Command::new(&python)
        .args(["-c", "import jsonschema, tomllib"])
        .output()
        .unwrap();
    if !has.status.success() {
        skip("Python has no jsonschema (python3-jsonschema)");
        return;
    }
    let work = workspace();
    let mut jobs = files(&examples());
    assert!(jobs.len() >= 2, "{jobs:?}");
    let valid = jobs.len();
    // A content ID's letters are checked by the program alone.
    let refused = REFUSED.iter().filter(|(_, text, _)| !text.contains("'a b'"));
    for (index, (extension, text, _)) in refused.enumerate() {
        let job = work.path(format!("{index}.{extension}"));
        fs::write(&job, text).unwrap();
        jobs.push(job);
    }
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/job.schema.json");
    let mut command = Command::new(python);
    let output = run(command.args(["-c", VALIDATE]).arg(schema).args(&jobs));
    let lines = String::from_utf8(output.stdout).unwrap();
    assert_eq!(lines.lines().count(), jobs.len());
    for (index, line) in lines.lines().enumerate() {
        assert!(line.ends_with(if index < valid { " True" } else { " False" }), "{line}");
    }
}

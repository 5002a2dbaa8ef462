//! What we depend on: licences, where it comes from, versions side by side, and a reason for each.
//!
//! Read from `cargo metadata` without the network, so known vulnerabilities and yanked versions are not looked up here.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Licences that ask for no more than a notice.
const LICENCES: &[&str] = &[
    "MIT",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSL-1.0",
    "BSD-3-Clause",
    "ISC",
    // Data: the root certificates of Mozilla's list.
    "CDLA-Permissive-2.0",
    "Unicode-3.0",
    "Zlib",
];

/// Packages of which two versions are compiled, and who asks for the older.
const TWICE: &[(&str, &str)] = &[
    ("base64", "jsonwebtoken, reqwest and sqlx's 0.22"),
    ("block-buffer", "sqlx's sha2 0.10"),
    ("cpufeatures", "sqlx's sha2 0.10"),
    ("crypto-common", "sqlx's sha2 0.10"),
    ("digest", "sqlx's sha2 0.10"),
    ("getrandom", "jsonwebtoken's signature"),
    ("hashbrown", "sqlx's hashlink"),
    ("rand_core", "jsonwebtoken's signature"),
    ("sha2", "sqlx's sha2 0.10"),
    ("syn", "derive macros that did not move to 3"),
    ("thiserror", "tests: mp4 and mp4-atom"),
    ("thiserror-impl", "tests: mp4 and mp4-atom"),
    ("tower-http", "reqwest's"),
    ("untrusted", "aws-lc-rs's"),
];

/// All packages that are compiled on this machine.
fn packages() -> Vec<Value> {
    let cargo = |arguments: &[&str]| -> Vec<u8> {
        let output = Command::new(env!("CARGO"))
            .args(arguments)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let version = String::from_utf8(cargo(&["-vV"])).unwrap();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let metadata = cargo(&[
        "metadata",
        "--format-version=1",
        "--locked",
        "--offline",
        "--filter-platform",
        host,
    ]);
    let mut metadata: Value = serde_json::from_slice(&metadata).unwrap();
    let Value::Array(packages) = metadata.get_mut("packages").unwrap().take() else {
        panic!("cargo metadata lists no packages")
    };
    assert!(packages.len() > 50, "only {} packages", packages.len());
    packages
}

fn text<'a>(package: &'a Value, field: &str) -> Option<&'a str> {
    package.get(field)?.as_str()
}

fn name(package: &Value) -> &str {
    text(package, "name").unwrap()
}

/// Whether an SPDX expression, an AND of ORs, can be met by [`LICENCES`].
fn is_allowed(expression: &str) -> bool {
    let plain = expression.replace(['(', ')'], "").replace('/', " OR ");
    plain
        .split(" AND ")
        .all(|all| all.split(" OR ").any(|one| LICENCES.contains(&one.trim())))
}

#[test]
fn licences_are_allowed() {
    assert!(is_allowed("(MIT OR GPL-3.0) AND Zlib") && is_allowed("Unlicense/MIT") && !is_allowed("MIT AND GPL-3.0"));
    for package in packages() {
        let licence = text(&package, "license").unwrap_or("none");
        assert!(
            is_allowed(licence),
            "{}: licence '{licence}' is not on the list",
            name(&package)
        );
    }
}

#[test]
fn all_come_from_crates_io() {
    let ours = packages()
        .into_iter()
        .filter(|package| text(package, "source").is_none())
        .count();
    assert_eq!(ours, 1, "packages without a source are ours");
    for package in packages() {
        let source = text(&package, "source").unwrap_or("registry+https://github.com/rust-lang/crates.io-index");
        assert_eq!(
            source,
            "registry+https://github.com/rust-lang/crates.io-index",
            "{}",
            name(&package)
        );
    }
}

#[test]
fn two_versions_are_known() {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in packages() {
        let version = text(&package, "version").unwrap().to_owned();
        versions.entry(name(&package).to_owned()).or_default().insert(version);
    }
    let twice: Vec<_> = versions
        .into_iter()
        .filter(|(_, versions)| versions.len() > 1)
        .map(|(name, _)| name)
        .collect();
    let known: Vec<_> = TWICE.iter().map(|(name, _)| *name).collect();
    assert_eq!(twice, known, "compiled in two versions, against what is known");
}

/// Each dependency has a comment above it that says what it is for; a family (`serde`, `serde_json`) shares one.
#[test]
fn each_has_its_reason() {
    let manifest = include_str!("../Cargo.toml");
    let (_, section) = manifest.split_once("\n[dependencies]\n").unwrap();
    let (section, _) = section.split_once("\n[").unwrap();
    let (mut above, mut family, mut count) = ("", "none", 0);
    for line in section.lines().filter(|line| !line.is_empty()) {
        if !line.starts_with('#') {
            if above.starts_with('#') {
                (family, _) = line.split_once(" = ").unwrap();
            }
            assert!(line.starts_with(family), "Cargo.toml: '{line}' has no reason above it");
            count += 1;
        }
        above = line;
    }
    assert!(count > 10, "only {count} dependencies were found");
}

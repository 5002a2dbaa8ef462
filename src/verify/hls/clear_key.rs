//! The second set of playlists, for Clear Key: line for line the first set, but for keys and the names of playlists. So what
//! is checked of the first is checked of both.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::content_key::Iv;
use crate::package::hls::key_format::CLEAR_KEY;
use crate::verify::Form;
use crate::verify::VerifyError;
use crate::verify::check::KnownKey;
use crate::verify::findings::FileFindings;
use crate::verify::output::{Output, read_text};
use crate::verify::playlist::{self, Key};

/// Checks the playlists of [`Output::clear_key`] against those that they stand beside.
///
/// # Errors
/// [`VerifyError::Read`].
pub(in crate::verify) fn check_clear_key(output: &mut Output, keys: &[KnownKey]) -> Result<(), VerifyError> {
    let twins = output.clear_key.clone();
    for (main, twin) in &twins {
        let Some(expected) = read_text(&output.folder, main, &mut output.findings)? else {
            continue;
        };
        let Some(found) = read_text(&output.folder, twin, &mut output.findings)? else {
            output.findings.of(twin).add("is missing");
            continue;
        };
        // Where the first set leaves an IV out, the init segment says it.
        let of_folder = output.renditions.iter();
        let of_folder = of_folder.filter(|rendition| rendition.playlist_file.parent() == main.parent());
        let parts = of_folder.flat_map(|rendition| &rendition.parts);
        let ivs: BTreeMap<String, Iv> = parts
            .filter_map(|part| Some((part.key_uri.clone()?, part.protection()?.constant_iv?)))
            .collect();
        let named: &BTreeMap<PathBuf, PathBuf> = if *main == output.top { &twins } else { &BTreeMap::new() };
        let known = Known { named, keys, ivs };
        compare(&expected, &found, &known, &mut output.findings.of(twin));
    }
    Ok(())
}

/// What is known of a playlist's lines.
struct Known<'a> {
    /// The second set's playlists by those of the first.
    named: &'a BTreeMap<PathBuf, PathBuf>,
    /// The keys that are at hand.
    keys: &'a [KnownKey],
    /// The constant IVs of the init segments, by the URI of the key in the first set.
    ivs: BTreeMap<String, Iv>,
}

/// Compares a playlist, up to the first line that differs.
fn compare(expected: &str, found: &str, known: &Known<'_>, file: &mut FileFindings<'_>) {
    let mut offset = 0;
    let mut expected = expected.lines();
    for line in found.split_inclusive('\n') {
        let text = line.trim_end_matches('\n');
        let Some(of_main) = expected.next() else {
            file.add_at(offset, "a line more than in the playlist beside it");
            return;
        };
        let fault = match key(of_main) {
            Some(of_main) if !of_main.is_none() => key_fault(&of_main, text, known),
            _ => {
                let renamed = rename(of_main, known.named);
                (text != renamed).then(|| format!("the line is {text:?}, expected {renamed:?}"))
            }
        };
        if let Some(fault) = fault {
            file.add_at(offset, fault);
            return;
        }
        offset += line.len() as u64;
    }
    if let Some(missing) = expected.next() {
        file.add_at(
            offset,
            format!("ends, and the playlist beside it goes on with {missing:?}"),
        );
    }
}

/// The key of a line, if it has one.
fn key(line: &str) -> Option<Key> {
    let mut findings = crate::verify::Findings::default();
    let mut file = findings.of(Path::new(""));
    let text = format!("#EXTM3U\n{line}\n");
    let mut keys = match line.split_once(':')?.0 {
        "#EXT-X-KEY" => playlist::parse_media(&text, Form::Own, &mut file).keys,
        "#EXT-X-SESSION-KEY" => playlist::parse_multivariant(&text, Form::Own, &mut file).session_keys,
        _ => return None,
    };
    let key = keys.pop()?.value;
    (findings.count() == 0).then_some(key)
}

/// What is wrong with the line of a key whose line in the first set is known.
fn key_fault(of_main: &Key, line: &str, known: &Known<'_>) -> Option<String> {
    let Some(found) = key(line) else {
        return Some(format!("the line is {line:?}, expected a key"));
    };
    let uri = of_main.uri.as_ref();
    let of_init = uri.and_then(|uri| known.ivs.get(uri)).copied();
    let iv = of_main.iv.or(of_init);
    let known = known.keys.iter().find(|known| Some(&known.uri) == uri);
    let word = |text: Option<String>| text.unwrap_or_else(|| "missing".to_owned());
    let shown = |iv: Option<Iv>| iv.map(|iv| iv.to_string());
    let mut attributes = vec![
        ("METHOD", found.method.clone(), of_main.method.clone()),
        ("KEYFORMAT", found.key_format.clone(), Some(CLEAR_KEY.to_owned())),
        ("KEYFORMATVERSIONS", found.key_format_versions.clone(), None),
        ("IV", shown(found.iv), shown(iv)),
    ];
    // A key that is not at hand is found elsewhere.
    if let Some(known) = known {
        attributes.push(("URI", found.uri.clone(), Some(known.clearkey_uri.clone())));
        attributes.push((
            "KEYID",
            found.key_id.map(|kid| kid.to_string()),
            Some(known.kid.to_string()),
        ));
    }
    let (name, found, expected) = attributes.into_iter().find(|(_, found, expected)| found != expected)?;
    Some(format!("{name} is {}, expected {}", word(found), word(expected)))
}

/// A line of the multivariant playlist with the names of the second set's playlists.
fn rename(line: &str, named: &BTreeMap<PathBuf, PathBuf>) -> String {
    for (main, twin) in named {
        let (main, twin) = (main.to_string_lossy(), twin.to_string_lossy());
        if line == main {
            return twin.into_owned();
        }
        let quoted = format!("URI=\"{main}\"");
        if line.contains(&quoted) {
            return line.replace(&quoted, &format!("URI=\"{twin}\""));
        }
    }
    line.to_owned()
}

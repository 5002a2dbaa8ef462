//! Data moves one way: a folder uses only what stands left of it in the drawing of `docs/ARCHITECTURE.md`.

#![expect(clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Where both planes meet: the binary.
const BINARY: &[&str] = &["main", "cli"];

/// What each module may use, read from the drawing.
struct House(BTreeMap<String, Vec<String>>);

impl House {
    /// Reads the two lines that end in `media plane` and `key plane`; the first word of the first line serves both.
    fn read(drawing: &str) -> Self {
        let line = |plane: &str| -> Vec<String> {
            let line = drawing.lines().find_map(|line| line.trim_end().strip_suffix(plane));
            let line = line.unwrap_or_else(|| panic!("the drawing has no line that ends in '{plane}'"));
            let is_part_of_name = |c: char| c.is_ascii_lowercase() || c == '_';
            let words = line.split(|c| !is_part_of_name(c)).filter(|word| !word.is_empty());
            words.map(str::to_owned).collect()
        };
        let media = line("media plane");
        let mut keys: Vec<String> = media.iter().take(1).cloned().collect();
        keys.extend(line("key plane"));
        let mut may_use = BTreeMap::new();
        for plane in [media, keys] {
            for (place, module) in plane.iter().enumerate() {
                may_use.insert(module.clone(), plane.iter().take(place).cloned().collect());
            }
        }
        Self(may_use)
    }

    /// Lines of a source file that use what the file may not, as `path:line: from -> to`.
    fn backward_arrows(&self, path: &Path, source: &str) -> Vec<String> {
        let modules = module_path(path);
        let Some(from) = modules.first() else { return Vec::new() };
        let Some(may_use) = self.0.get(from) else {
            return vec![format!("{}: '{from}' is not in the drawing", path.display())];
        };
        let code = without_comments(source);
        let mut arrows = Vec::new();
        for (at, target) in crate_paths(&code, modules.len()) {
            if target != *from && self.0.contains_key(&target) && !may_use.contains(&target) {
                let line = code.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
                arrows.push(format!("{}:{line}: {from} -> {target}", path.display()));
            }
        }
        arrows
    }
}

/// The modules of a file below `src`: `src/isobmff/tree.rs` is `isobmff`, `tree`.
fn module_path(path: &Path) -> Vec<String> {
    let below = path.strip_prefix("src").unwrap_or(path).with_extension("");
    let names = below.iter().map(|name| name.to_string_lossy().into_owned());
    names.filter(|name| name != "mod" && name != "lib").collect()
}

/// The source with comments blanked out; documentation may point anywhere.
fn without_comments(source: &str) -> String {
    let code = |line: &str| match line.find("//") {
        Some(at) if !line.get(..at).is_some_and(|before| before.contains('"')) => line.get(..at).map(str::to_owned),
        _ => Some(line.to_owned()),
    };
    source.lines().filter_map(code).collect::<Vec<_>>().join("\n")
}

/// All top-level names that `crate::...`, and `super::...` from `depth` modules down, reach; each with its place in the code.
fn crate_paths(code: &str, depth: usize) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for root in ["crate", "super"] {
        for (at, _) in code.match_indices(root) {
            let is_inside_path =
                |before: &str| before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | ':'));
            if code.get(..at).is_some_and(is_inside_path) {
                continue;
            }
            let mut rest = code.get(at + root.len()..).unwrap_or_default();
            let mut supers = 1;
            while let Some(next) = rest.trim_start().strip_prefix("::") {
                rest = next.trim_start();
                let Some(next) = rest.strip_prefix("super") else { break };
                (rest, supers) = (next, supers + 1);
            }
            // A `super` inside an inline module climbs out of that first, so this finds rather too much.
            if root == "crate" || supers >= depth {
                found.extend(first_names(rest).into_iter().map(|name| (at, name)));
            }
        }
    }
    found
}

/// The first name of a path, or of each path of a `{...}` group.
fn first_names(path: &str) -> Vec<String> {
    let name = |text: &str| -> String {
        let text = text.trim_start();
        text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let Some(group) = path.strip_prefix('{') else {
        return vec![name(path)];
    };
    let (mut names, mut nesting, mut start) = (Vec::new(), 0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => nesting += 1,
            '}' if nesting > 0 => nesting -= 1,
            ',' | '}' if nesting == 0 => {
                names.push(name(group.get(start..at).unwrap_or_default()));
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    names
}

fn rust_files(folder: &Path, root: &Path, files: &mut Vec<(std::path::PathBuf, String)>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .path();
        if path.is_dir() {
            rust_files(&path, root, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            files.push((path.strip_prefix(root).unwrap_or(&path).to_owned(), text));
        }
    }
}

fn sources() -> Vec<(std::path::PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    rust_files(&root.join("src"), root, &mut files);
    files
}

fn is_binary(path: &Path) -> bool {
    module_path(path)
        .first()
        .is_some_and(|module| BINARY.contains(&module.as_str()))
}

fn house() -> House {
    House::read(include_str!("../docs/ARCHITECTURE.md"))
}

#[test]
fn no_arrow_runs_backward() {
    let (house, sources) = (house(), sources());
    assert!(sources.len() > 50, "only {} sources were found", sources.len());
    let library = sources.iter().filter(|(path, _)| !is_binary(path));
    let arrows: Vec<String> = library
        .flat_map(|(path, text)| house.backward_arrows(path, text))
        .collect();
    assert!(arrows.is_empty(), "arrows that run backward:\n{}", arrows.join("\n"));
}

#[test]
fn every_module_is_in_the_drawing() {
    let library = include_str!("../src/lib.rs");
    let mut declared: Vec<&str> = library
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub mod ")?.strip_suffix(';'))
        .collect();
    declared.sort_unstable();
    let house = house();
    let undrawn: Vec<_> = declared.iter().filter(|name| !house.0.contains_key(**name)).collect();
    assert!(undrawn.is_empty(), "not in docs/ARCHITECTURE.md: {undrawn:?}");
    let missing: Vec<_> = house
        .0
        .keys()
        .filter(|name| !declared.contains(&name.as_str()))
        .collect();
    assert!(
        missing.is_empty(),
        "drawn in docs/ARCHITECTURE.md, and not in src/lib.rs: {missing:?}"
    );
}

/// The two planes share `content_key` alone; only the binary knows both.
#[test]
fn the_planes_meet_only_in_the_binary() {
    let house = house();
    let may_use = |module: &str, other: &str| {
        house
            .0
            .get(module)
            .is_some_and(|all| all.iter().any(|name| name == other))
    };
    for module in house.0.keys() {
        let media = may_use(module, "isobmff") || module == "isobmff";
        let keys = may_use(module, "secret") || module == "secret";
        assert!(!(media && keys), "'{module}' would know both planes");
    }
    let meets = sources().iter().any(|(path, text)| {
        is_binary(path) && text.contains("vylux_pack::keys::") && text.contains("vylux_pack::package::")
    });
    assert!(
        meets,
        "nothing in the binary uses both planes: is this test looking in the right place?"
    );
}

#[test]
fn backward_arrows_are_found_however_they_are_written() {
    let house = house();
    let arrows = |path: &str, source: &str| -> Vec<String> {
        let arrows = house.backward_arrows(Path::new(path), source);
        arrows
            .iter()
            .filter_map(|arrow| Some(arrow.rsplit_once(": ")?.1.to_owned()))
            .collect()
    };
    assert_eq!(
        arrows("src/isobmff/tree.rs", "use crate::media::Track;"),
        ["isobmff -> media"]
    );
    assert_eq!(
        arrows("src/plan.rs", "pub(crate) use crate::protect::Pattern;"),
        ["plan -> protect"]
    );
    assert_eq!(
        arrows(
            "src/codec/avc/mod.rs",
            "use crate::{\n    isobmff::{avcc, esds},\n    plan, keys::{self, Kek},\n};"
        ),
        ["codec -> plan", "codec -> keys"]
    );
    assert_eq!(
        arrows("src/keys/wrap.rs", "let key: crate::media::Track;"),
        ["keys -> media"]
    );
    assert_eq!(
        arrows(
            "src/package/hls/mod.rs",
            "mod tests { use super::super::super::secret; }"
        ),
        ["package -> secret"]
    );
    assert_eq!(
        arrows("src/package/mod.rs", "use super::verify::Report;"),
        ["package -> verify"]
    );
    assert_eq!(
        arrows("src/package/hls/mod.rs", "use super::super::verify;"),
        ["package -> verify"]
    );
    assert_eq!(
        arrows("src/media/mod.rs", "fn f() { crate :: protect::g() }"),
        ["media -> protect"]
    );
    assert_eq!(arrows("src/new/mod.rs", "").len(), 1);
    // What is allowed: the left, oneself, and words in comments.
    let allowed =
        "use crate::{isobmff::Node, codec};\nuse crate::media::Time; // crate::package\n/// [`crate::verify`]";
    assert_eq!(arrows("src/media/track.rs", allowed), Vec::<String>::new());
    assert_eq!(
        arrows(
            "src/keys/kek.rs",
            "use crate::secret::Secret32;\nuse crate::content_key::Kid;"
        ),
        Vec::<String>::new()
    );
}

//! The same command gives the same bytes, whatever the number of threads, and whether or not it ran before.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use common::{CONTENT_ID, RenditionFiles, Workspace, fixture, for_each, inputs_under, run};

/// All files of an output but the key record, whose wrap is random and kept from the first run on.
fn media(workspace: &Workspace, renditions: &[RenditionFiles]) -> BTreeMap<PathBuf, Vec<u8>> {
    let of_rendition = |rendition: &RenditionFiles| {
        [
            vec![rendition.init.clone(), rendition.playlist.clone()],
            rendition.segments.clone(),
        ]
        .concat()
    };
    let paths = renditions
        .iter()
        .flat_map(of_rendition)
        .chain([workspace.path("out/master.m3u8")]);
    paths
        .map(|path| {
            (
                path.strip_prefix(workspace.folder()).unwrap().to_owned(),
                std::fs::read(&path).unwrap(),
            )
        })
        .collect()
}

/// Under a scheme whose IVs are not random.
#[test]
fn another_machine_with_more_threads_writes_the_same() {
    for_each(&inputs_under("cbcs"), |name| {
        let outputs = ["1", "7"].map(|jobs| {
            let workspace = Workspace::new();
            let renditions = workspace.package(&[fixture(name)], "out", &["--jobs", jobs]);
            media(&workspace, &renditions)
        });
        let [one, other] = outputs;
        let differs = one
            .iter()
            .find(|(path, bytes)| other.get(*path) != Some(*bytes))
            .map(|(path, _)| path);
        (one.len() == other.len() && differs.is_none())
            .then_some(())
            .ok_or_else(|| format!("{differs:?} differs"))
    });
}

/// The record keeps its first wrap, from the store and, without one, from the output that is there.
#[test]
fn a_second_run_changes_nothing() {
    for store in [None, Some("--no-store")] {
        let workspace = Workspace::new();
        let encrypt = || {
            let mut command = workspace.vylux_pack();
            command.arg("encrypt").arg(fixture("demo.mp4")).args([
                "--content-id",
                CONTENT_ID,
                "--out",
                "out",
                "--quiet",
            ]);
            run(command.args(store));
            let files = [
                "keys.json",
                "master.m3u8",
                "video/360p/seg_00001.m4s",
                "video/360p/playlist.m3u8",
            ];
            files.map(|file| std::fs::read(workspace.path(Path::new("out").join(file))).unwrap())
        };
        assert!(
            encrypt() == encrypt(),
            "a second run with {store:?} wrote something else"
        );
        if store.is_none() {
            let first = encrypt();
            std::fs::remove_dir_all(workspace.path("out")).unwrap();
            assert!(encrypt() == first, "the record in the store was not used");
        }
    }
}

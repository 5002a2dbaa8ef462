//! An HLS tree: the same tree, encrypted.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::anyhow;
use vylux_pack::media::Tree;
use vylux_pack::package::hls::{Bandwidth, TreeKeys, write_tree_playlists};
use vylux_pack::package::publish::{KEYS_FILE, Staging};
use vylux_pack::package::tree::WrittenFile;
use vylux_pack::package::{Control, rendition, tree};
use vylux_pack::protect::Scheme;
use vylux_pack::secret::Settings;

use super::keys::{self, TrackPeriods};
use super::report::Report;
use super::{Args, publish};
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::cli::progress::Progress;

/// What was written of a tree.
pub struct WrittenTree {
    /// All media files.
    pub files: BTreeMap<PathBuf, WrittenFile>,
    /// The bit rates of each playlist.
    pub bandwidths: Vec<Option<Bandwidth>>,
}

/// The playlist, where a tree is given.
pub fn playlist(inputs: &[PathBuf]) -> Result<Option<&Path>, Failure> {
    match inputs {
        [input] if Tree::is_playlist(input) => Ok(Some(input)),
        _ => match inputs.iter().find(|input| Tree::is_playlist(input)) {
            None => Ok(None),
            Some(input) => {
                let what = "is a playlist; a tree is encrypted alone, by its multivariant playlist";
                Err(Failure::usage(anyhow!("{} {what}", input.display())))
            }
        },
    }
}

pub fn run(
    args: &Args,
    playlist: &Path,
    settings: &Settings,
    output: &Path,
    (cancelled, started): (&AtomicBool, Instant),
) -> Result<(), Failure> {
    match args.scheme {
        Scheme::Samples(_) => {}
        Scheme::None => {
            let what = "a tree is clear already; --scheme none would copy it";
            return Err(Failure::usage(anyhow!(what)));
        }
        Scheme::Segments => {
            let what =
                "a tree keeps its files and ranges, which aes-128 would not; choose a scheme of samples, as cbcs";
            return Err(Failure::usage(anyhow!(what)));
        }
    }
    if !args.track_options.words().is_empty() || !args.captions_options.is_empty() {
        return Err(Failure::usage(anyhow!(
            "a tree keeps what its playlists say; leave --track and --captions out"
        )));
    }
    let tree = Tree::open(playlist)?;
    check_apart(&tree.folder, output)?;
    let names = top_names(&tree);
    if names.contains(&OsString::from(KEYS_FILE)) {
        let what = format!("the tree has a file {KEYS_FILE}, where the key record is to be; rename it");
        return Err(Failure::input(anyhow!(what)));
    }
    if !args.quiet {
        tree.presentation
            .warnings
            .iter()
            .for_each(|warning| output::warn(warning));
        args.scheme_warning().iter().for_each(|warning| output::warn(warning));
    }
    let track_names: Vec<String> = tree
        .renditions
        .iter()
        .flat_map(|rendition| rendition.tracks.clone().map(|_| rendition::tree_name(&rendition.file)))
        .collect();
    let track_names: Vec<&str> = track_names.iter().map(String::as_str).collect();
    args.key_options
        .check_none("a tree has one key, as its playlists may share files")?;
    if args.signal.clearkey_playlists {
        let what = "a tree keeps its playlists, and has no second set of them; leave --clearkey-playlists out";
        return Err(Failure::usage(anyhow!(what)));
    }
    if args.single_file {
        let what = "a tree keeps its files, however many segments each has; leave --single-file out";
        return Err(Failure::usage(anyhow!(what)));
    }
    let tracks = &tree.presentation.tracks;
    let periods = TrackPeriods::single(tracks.len());
    let encryption = keys::prepare(args, settings, tracks, &track_names, &periods, (output, false))?;
    let all_protections = encryption.protections();
    let first = encryption.settled().first();
    let key_uri = first.map(|settled| args.signal.format.key_uri(&settled.record));
    let key_format = args.signal.format.format();

    let written = if args.dry_run {
        None
    } else {
        let total = tree.presentation.tracks.iter().map(|track| track.samples.bytes()).sum();
        let progress = Progress::new(total, args.quiet || args.json);
        let staging = Staging::create_tree(output, &names)?;
        let control = Control {
            jobs: args.jobs.count(),
            cancelled,
            progress: &|bytes| progress.add(bytes),
        };
        let written = tree::write(&tree, &all_protections, staging.folder(), &control);
        progress.finish();
        let files = written?;
        let first_tracks = tree
            .renditions
            .iter()
            .map(|rendition| all_protections.get(rendition.tracks.start).copied().flatten());
        let protections: Vec<_> = first_tracks.map(|protection| protection?.of_samples()).collect();
        let keys = TreeKeys {
            uri: key_uri.as_deref().unwrap_or_default(),
            format: &key_format,
            protections: &protections,
        };
        let bandwidths = write_tree_playlists(&tree, &files, &keys, staging.folder())?;
        Some((staging, WrittenTree { files, bandwidths }))
    };
    let outcome = written.as_ref().map(|(_, written)| written);
    let report = Report::of_tree(args, output, &tree, &encryption, outcome);
    if let Some((staging, ..)) = written {
        publish(args, staging, Some(encryption), cancelled)?;
    }
    if args.json {
        output::json(&report)?;
    } else if !args.quiet {
        report.print(started.elapsed())?;
    }
    Ok(())
}

/// What will stand at the top of the output.
fn top_names(tree: &Tree) -> BTreeSet<OsString> {
    let playlists = tree.playlists.iter().map(|playlist| &playlist.file);
    let media = tree.renditions.iter().flat_map(|rendition| &rendition.files);
    let all = playlists.chain(media).chain(&tree.copies);
    all.filter_map(|file| Some(file.iter().next()?.to_owned())).collect()
}

/// Refuses an output that lies in the tree, or the tree in it: inputs are never changed.
fn check_apart(folder: &Path, output: &Path) -> Result<(), Failure> {
    let (tree, output_path) = (resolved(folder)?, resolved(output)?);
    if output_path.starts_with(&tree) || tree.starts_with(&output_path) {
        let what = "are not apart; name a folder beside the tree with --out";
        let (tree, output) = (tree.display(), output.display());
        return Err(Failure::usage(anyhow!(
            "the tree {tree} and the output {output} {what}"
        )));
    }
    Ok(())
}

/// The path without links, whose end may not be there yet.
fn resolved(path: &Path) -> Result<PathBuf, Failure> {
    let path = std::path::absolute(if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    })?;
    for there in path.ancestors() {
        match there.canonicalize() {
            Ok(resolved) => return Ok(resolved.join(path.strip_prefix(there).unwrap_or(Path::new("")))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(path)
}

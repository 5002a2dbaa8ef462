//! An HLS tree that somebody else made becomes the same tree, encrypted.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sha2::{Digest, Sha256};

use common::player::{PROTOCOLS, frames, serve_key};
use common::trees::{TREES, ffmpeg_hls, ffmpeg_hls_of, muxed, packager, renditions, segmented, single};
use common::{CONTENT_ID, Workspace, derive, fixture, run, samples, tool};

fn encrypt(work: &Workspace, tree: &str, more: &[&str]) -> Output {
    let mut command = work.vylux_pack();
    command.arg("encrypt").arg(format!("{tree}/master.m3u8"));
    command
        .args(["--content-id", CONTENT_ID, "--no-store", "--out"])
        .arg(format!("out-{tree}"))
        .args(more);
    command.output().unwrap()
}

fn encrypted(work: &Workspace, tree: &str, more: &[&str]) {
    let output = encrypt(work, tree, more);
    assert!(
        output.status.success(),
        "{tree}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Runs `check` over each tree and its encrypted copy, in the folders `TREE` and `out-TREE`.
fn for_each_tree(more: &[&str], check: impl Fn(&Workspace, &str)) {
    for (name, make) in TREES {
        let work = Workspace::new();
        if make(&work).is_some() {
            encrypted(&work, name, more);
            check(&work, name);
        }
    }
}

/// All files below a folder.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut folders = vec![folder.to_owned()];
    let mut files = BTreeMap::new();
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.insert(path.strip_prefix(folder).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    files
}

/// Lines of `new` that are not in `old`, and of `old` that are not in `new`, where they are taken in order.
fn changes<'a>(old: &'a str, new: &'a str) -> Vec<(Option<&'a str>, Option<&'a str>)> {
    let inserted = |line: &str| {
        ["#EXT-X-KEY:", "#EXT-X-SESSION-KEY:"]
            .iter()
            .any(|tag| line.starts_with(tag))
            || (line.starts_with("#EXT-X-VERSION:") && !old.contains("#EXT-X-VERSION:"))
    };
    let mut changes = Vec::new();
    let mut old_lines = old.split_inclusive('\n');
    for line in new.split_inclusive('\n') {
        if inserted(line) {
            changes.push((None, Some(line)));
            continue;
        }
        let before = old_lines.next();
        if before != Some(line) {
            changes.push((before, Some(line)));
        }
    }
    changes.extend(old_lines.map(|line| (Some(line), None)));
    changes
}

/// What players and people put into playlists, in front of the second segment of each.
const DECORATION: &str = "\n## by hand\n#EXT-X-DISCONTINUITY\n#EXT-X-CUE-OUT:30\n#EXT-OATCLS-SCTE35:/DAl\n\
    #EXT-X-DATERANGE:ID=\"ad\",START-DATE=\"2026-01-01T00:00:00Z\",SCTE35-OUT=0xFC30\n#EXT-X-CUE-IN\n#EXT-X-OURS:A=\"b\"\n";

fn decorate(tree: &Path) {
    for (file, text) in files(tree) {
        if file.extension().is_some_and(|extension| extension == "m3u8") {
            let text = String::from_utf8(text).unwrap();
            let second = text.match_indices("#EXTINF").nth(1).map(|(at, _)| at);
            let (before, behind) = text.split_at(second.unwrap_or(0));
            if second.is_some() {
                fs::write(tree.join(file), [before, DECORATION, behind].concat()).unwrap();
            }
        }
    }
}

#[test]
fn only_the_expected_lines_differ() {
    for_each_tree(&[], |work, tree| {
        decorate(&work.path(tree));
        encrypted(work, tree, &[]);
        let (old, mut new) = (files(&work.path(tree)), files(&work.path(format!("out-{tree}"))));
        assert!(new.remove(Path::new("keys.json")).is_some());
        assert_eq!(old.keys().collect::<Vec<_>>(), new.keys().collect::<Vec<_>>(), "{tree}");
        for (file, old) in &old {
            let (place, new) = (format!("{tree}: {}", file.display()), &new[file]);
            match file.extension().and_then(|extension| extension.to_str()) {
                Some("m3u8") => check_playlist(&place, &String::from_utf8_lossy(old), &String::from_utf8_lossy(new)),
                _ if is_text(file) => assert_eq!(old, new, "{place}"),
                _ => assert_ne!(old, new, "{place} stayed as it was"),
            }
        }
    });
}

/// Whether a file of the tree `segmented` is text.
fn is_text(file: &Path) -> bool {
    file.starts_with("t")
}

fn check_playlist(place: &str, old: &str, new: &str) {
    let file = place.split_once(": ").unwrap().1;
    m3u8_rs::parse_playlist_res(new.as_bytes()).unwrap_or_else(|error| panic!("{place}: {error}"));
    let changes = changes(old, new);
    let inserted = |tag: &str| {
        let all = changes
            .iter()
            .filter(|(old, new)| old.is_none() && new.is_some_and(|new| new.starts_with(tag)));
        all.count()
    };
    let is_multivariant = old.contains("#EXT-X-STREAM-INF");
    assert_eq!(
        inserted("#EXT-X-SESSION-KEY:"),
        usize::from(is_multivariant),
        "{place}: {changes:?}"
    );
    assert_eq!(
        inserted("#EXT-X-KEY:"),
        usize::from(!is_multivariant && !is_text(Path::new(file))),
        "{place}: {changes:?}"
    );
    for (old, new) in &changes {
        let (Some(old), Some(new)) = (old, new) else { continue };
        let tags = ["#EXT-X-BYTERANGE:", "#EXT-X-VERSION:", "#EXT-X-MAP:"];
        let is_expected = tags.iter().any(|tag| old.starts_with(tag) && new.starts_with(tag));
        assert!(is_expected, "{place}: {old} became {new}");
    }
    // The init segment stays in front of the key, and all segments behind it.
    if let Some(key) = new.find("#EXT-X-KEY:") {
        assert!(
            new.find("#EXT-X-MAP:").unwrap() < key && key < new.find("#EXTINF:").unwrap(),
            "{place}"
        );
    }
}

/// A media playlist by m3u8-rs, and its folder.
fn media_playlist(path: &Path) -> (m3u8_rs::MediaPlaylist, &Path) {
    let playlist = m3u8_rs::parse_media_playlist_res(&fs::read(path).unwrap()).unwrap();
    (playlist, path.parent().unwrap())
}

/// The bytes of each segment of a media playlist.
fn segments(path: &Path) -> Vec<Vec<u8>> {
    let (playlist, folder) = media_playlist(path);
    let mut end = 0;
    let mut segments = Vec::new();
    for segment in playlist.segments {
        let bytes = fs::read(folder.join(&segment.uri)).unwrap();
        segments.push(match segment.byte_range {
            None => bytes,
            Some(range) => {
                let start = usize::try_from(range.offset.unwrap_or(end)).unwrap();
                end = start as u64 + range.length;
                bytes[start..usize::try_from(end).unwrap()].to_vec()
            }
        });
    }
    segments
}

/// The init segment of a media playlist.
fn init(path: &Path) -> Vec<u8> {
    let (playlist, folder) = media_playlist(path);
    let map = playlist.segments[0].map.clone().unwrap();
    let bytes = fs::read(folder.join(&map.uri)).unwrap();
    match map.byte_range {
        None => bytes,
        Some(range) => {
            let start = usize::try_from(range.offset.unwrap_or(0)).unwrap();
            bytes[start..start + usize::try_from(range.length).unwrap()].to_vec()
        }
    }
}

/// Segments and I-frames are where the playlists say: each begins with the boxes it began with, and has as many bytes of
/// media data. Where Shaka Packager writes the tree, an I-frame's range ends with its sample.
#[test]
fn ranges_hold_what_they_held() {
    /// The types of the boxes, and the bytes of media data that are there.
    fn shape(segment: &[u8]) -> (Vec<[u8; 4]>, usize) {
        let (mut kinds, mut rest, mut media) = (Vec::new(), segment, 0);
        while let Some((size, tail)) = rest.split_first_chunk::<4>() {
            let (size, kind) = (u32::from_be_bytes(*size) as usize, *tail.first_chunk::<4>().unwrap());
            kinds.push(kind);
            if kind == *b"mdat" {
                media += size.min(rest.len());
            } else {
                assert!(size <= rest.len(), "a range cuts the box {kind:?}");
            }
            rest = rest.get(size..).unwrap_or_default();
        }
        (kinds, media)
    }
    for_each_tree(&[], |work, tree| {
        let playlists = files(&work.path(tree)).into_keys();
        for file in playlists.filter(|file| file.extension().is_some_and(|extension| extension == "m3u8")) {
            let text = fs::read_to_string(work.path(tree).join(&file)).unwrap();
            if text.contains("#EXT-X-STREAM-INF") || is_text(&file) {
                continue;
            }
            let (old, new) = (
                work.path(tree).join(&file),
                work.path(format!("out-{tree}")).join(&file),
            );
            let shapes = |path: &Path| segments(path).iter().map(|segment| shape(segment)).collect::<Vec<_>>();
            let (old_shapes, new_shapes) = (shapes(&old), shapes(&new));
            assert!(old_shapes.len() > 2, "{tree}: {}", file.display());
            assert_eq!(old_shapes, new_shapes, "{tree}: {}", file.display());
            assert_eq!(shape(&init(&old)), shape(&init(&new)), "{tree}: {}", file.display());
        }
    });
}

/// Shaka Packager, encrypting the film itself under the same key, key ID and IV, writes the same sample bytes.
#[test]
fn shaka_packager_encrypts_to_the_same_samples() {
    let Some(packager) = tool("packager") else { return };
    for (tree, playlist, stream) in [
        ("single", "v.m3u8", "video"),
        ("single", "a.m3u8", "audio"),
        ("segmented", "v/p.m3u8", "video"),
        ("segmented", "a/p.m3u8", "audio"),
        ("renditions", "v0/playlist.m3u8", "video"),
        ("renditions", "v1/playlist.m3u8", "audio"),
    ] {
        let work = Workspace::new();
        TREES.iter().find(|(other, _)| *other == tree).unwrap().1(&work);
        encrypted(&work, tree, &[]);
        let path = work.path(format!("out-{tree}")).join(playlist);
        let ours = samples::read(&[vec![init(&path)], segments(&path)].concat().concat()).unwrap();

        let text = fs::read_to_string(&path).unwrap();
        let iv = text.split_once("IV=0x").unwrap().1.get(..32).unwrap();
        // IVs are told apart by the playlist's path.
        let name = match playlist.strip_suffix(".m3u8").unwrap() {
            path if path.contains('/') => {
                let digest = hex::encode(Sha256::digest(playlist));
                format!("{}-{}", path.replace('/', "-"), digest.get(..16).unwrap())
            }
            path => path.to_owned(),
        };
        assert_eq!(iv, hex::encode(derive::iv(&name)), "{tree}/{playlist}");
        let [kid, key] = [derive::kid(), derive::key()].map(hex::encode);
        let output = work.path("shaka.mp4");
        let mut command = Command::new(&packager);
        command.arg(format!(
            "in={},stream={stream},output={}",
            fixture("demo.mp4").display(),
            output.display()
        ));
        command.args([
            "--protection_scheme",
            "cbcs",
            "--clear_lead",
            "0",
            "--enable_raw_key_encryption",
        ]);
        run(command.arg(format!("--keys=label=:key_id={kid}:key={key}:iv={iv}")));
        let theirs = samples::read(&fs::read(output).unwrap()).unwrap();
        assert_eq!(ours.len(), theirs.len(), "{tree}/{playlist}");
        for (index, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
            assert!(ours.data == theirs.data, "{tree}/{playlist}: sample {index} differs");
            assert_eq!(ours.subsamples, theirs.subsamples, "{tree}/{playlist}: sample {index}");
        }
    }
}

/// A player that knows the playlist and the key server alone shows what it shows of the clear tree.
#[test]
fn a_player_shows_the_frames_of_the_clear_tree() {
    let Some(ffmpeg) = tool("ffmpeg8") else { return };
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("http://{}", server.local_addr().unwrap());
    std::thread::spawn(move || serve_key(&server));
    for_each_tree(&["--base-url", &base_url], |work, tree| {
        for kind in ["v", "a"] {
            let shown =
                |folder: String| frames(&ffmpeg, work, &work.path(folder).join("master.m3u8"), kind, &PROTOCOLS);
            let (clear, played) = (shown(tree.to_owned()), shown(format!("out-{tree}")));
            assert!(clear.len() > 200, "{tree}: {kind} has {} frames", clear.len());
            assert!(clear == played, "{tree}: {kind} differs");
        }
    });
}

/// ffmpeg 5.1 decrypts a rendition's one file, found through its index.
#[test]
fn an_older_ffmpeg_decrypts_single_files() {
    let Some(ffmpeg) = tool("ffmpeg") else { return };
    let work = Workspace::new();
    if single(&work).is_none() {
        return;
    }
    encrypted(&work, "single", &[]);
    let key = hex::encode(derive::key());
    for (file, kind) in [("v.mp4", "v"), ("a.mp4", "a")] {
        let clear = frames(&ffmpeg, &work, &work.path("single").join(file), kind, &[]);
        let opened = frames(
            &ffmpeg,
            &work,
            &work.path("out-single").join(file),
            kind,
            &["-decryption_key", &key],
        );
        assert!(clear.len() > 200 && clear == opened, "{file} differs");
    }
}

#[test]
fn the_same_command_gives_the_same_tree_and_inputs_stay() {
    let work = Workspace::new();
    if renditions(&work).is_none() {
        return;
    }
    let input = files(&work.path("renditions"));
    encrypted(&work, "renditions", &["--jobs", "1"]);
    let first = files(&work.path("out-renditions"));
    encrypted(&work, "renditions", &["--jobs", "4"]);
    let again = files(&work.path("out-renditions"));
    // The record is the one that is there.
    assert_eq!(first, again);
    assert_eq!(input, files(&work.path("renditions")));

    // What is no encrypted tree is not replaced, nor a tree of other media without --replace.
    fs::copy(
        work.path("renditions/v0/a b_000.m4s"),
        work.path("renditions/v0/a b_001.m4s"),
    )
    .unwrap();
    let text = fs::read_to_string(work.path("renditions/v0/playlist.m3u8")).unwrap();
    let cut = text.replacen("#EXTINF:4.000000,\na b_001.m4s\n", "", 1);
    assert_ne!(text, cut);
    fs::write(work.path("renditions/v0/playlist.m3u8"), cut).unwrap();
    let refused = encrypt(&work, "renditions", &[]);
    assert_eq!(
        refused.status.code(),
        Some(1),
        "{}",
        String::from_utf8_lossy(&refused.stderr)
    );
    assert_eq!(again, files(&work.path("out-renditions")));
    let output = encrypt(&work, "renditions", &["--replace", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let tracks = report.get("tracks").and_then(serde_json::Value::as_array).unwrap();
    let of_each: Vec<_> = tracks
        .iter()
        .map(|track| (track["playlist"].as_str().unwrap(), track["samples"].as_u64()))
        .collect();
    // A segment fewer: three of audio and two of video are left of what demo.mp4 has.
    assert_eq!(
        of_each,
        [("v1/playlist.m3u8", Some(564)), ("v0/playlist.m3u8", Some(200))],
        "{report}"
    );
    assert!(
        tracks
            .iter()
            .all(|track| track["bandwidth"]["peak_bps"].as_u64() > Some(10_000)),
        "{report}"
    );
    fs::write(work.path("out-renditions/mine.txt"), "mine").unwrap();
    let refused = encrypt(&work, "renditions", &["--replace"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("'mine.txt', which is no part"));
}

/// Edits of a file of the tree `segmented`, and what is said of each.
const REFUSED_EDITS: &[(&str, &str, &str, &str)] = &[
    (
        "v/p.m3u8",
        "#EXT-X-ENDLIST\n",
        "",
        "v/p.m3u8, line 18: the playlist goes on",
    ),
    (
        "v/p.m3u8",
        "#EXT-X-MAP",
        "#EXT-X-KEY:METHOD=NONE\n#EXT-X-MAP",
        "v/p.m3u8, line 6: EXT-X-KEY speaks of encryption",
    ),
    (
        "v/p.m3u8",
        "#EXT-X-MAP:URI=\"init.mp4\"\n",
        "",
        "v/p.m3u8, line 7: there is no EXT-X-MAP",
    ),
    (
        "v/p.m3u8",
        "\n1.m4s",
        "\nhttps://cdn.example.com/1.m4s",
        "v/p.m3u8, line 8: the URI \"https://cdn.example.com/1.m4s\" is absolute",
    ),
    (
        "v/p.m3u8",
        "\n1.m4s",
        "\n../../1.m4s",
        "v/p.m3u8, line 8: the URI \"../../1.m4s\" leaves the folder",
    ),
    (
        "v/p.m3u8",
        "\n1.m4s",
        "\n1.m4s?a=b",
        "v/p.m3u8, line 8: the URI \"1.m4s?a=b\" has a query",
    ),
    ("v/p.m3u8", "\n1.m4s", "\n9.m4s", "v/9.m4s: No such file"),
    ("v/p.m3u8", "\n2.m4s", "\n1.m4s", "v/1.m4s"),
    (
        "v/p.m3u8",
        "#EXTINF",
        "#EXT-X-GAP\n#EXTINF",
        "v/p.m3u8, line 7: EXT-X-GAP is a segment that is not there",
    ),
    (
        "v/p.m3u8",
        "\n1.m4s",
        "\n../a/1.m4s",
        "v/p.m3u8, line 6: names media that a/p.m3u8 names too",
    ),
    ("master.m3u8", "URI=\"v/i.m3u8\"", "URI=\"a/p.m3u8?x\"", "has a query"),
    (
        "master.m3u8",
        "TYPE=AUDIO",
        "TYPE=SUBTITLES",
        "a/p.m3u8, line 6: \"init.mp4\" is named as subtitles, and has video or audio",
    ),
    (
        "master.m3u8",
        "#EXT-X-STREAM",
        "#EXT-X-IMAGE-STREAM-INF:BANDWIDTH=1,URI=\"x\"\n#EXT-X-STREAM",
        "names a file, and is not known",
    ),
    (
        "master.m3u8",
        "#EXT-X-STREAM",
        "#EXT-X-SESSION-DATA:DATA-ID=\"a\",URI=\"v/init.mp4\"\n#EXT-X-STREAM",
        "is an MP4, which would stay clear",
    ),
    (
        "t/p.m3u8",
        "\n1.vtt",
        "\n../v/1.m4s",
        "t/p.m3u8, line 7: \"../v/1.m4s\" is named as subtitles, and is no WebVTT",
    ),
];

/// What can't become an encrypted tree is an error that names the file and the line, and nothing is written.
#[test]
fn what_can_not_be_encrypted_is_refused() {
    let work = Workspace::new();
    if segmented(&work).is_none() {
        return;
    }
    let tree = work.path("segmented");
    let refused = |expected: &str| {
        let output = encrypt(&work, "segmented", &[]);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "{expected}: {message}");
        assert!(message.contains(expected), "expected {expected:?}: {message}");
        assert!(!work.path("out-segmented").exists(), "{expected}");
    };
    for (file, old, new, expected) in REFUSED_EDITS {
        let path = tree.join(file);
        let text = fs::read_to_string(&path).unwrap();
        let edited = text.replacen(old, new, 1);
        assert_ne!(text, edited, "{file}: {old}");
        fs::write(&path, edited).unwrap();
        refused(expected);
        fs::write(&path, text).unwrap();
    }
    let whole = fs::read(tree.join("v/2.m4s")).unwrap();
    fs::write(tree.join("v/2.m4s"), &whole[..whole.len() - 1]).unwrap();
    refused("v/2.m4s");
    fs::write(tree.join("v/2.m4s"), whole).unwrap();

    encrypted(&work, "segmented", &[]);
}

/// Each segment of a media playlist behind the init segment in front of it.
fn parts(path: &Path) -> Vec<Vec<u8>> {
    let (playlist, folder) = media_playlist(path);
    let mut init = Vec::new();
    let bytes = |uri: &str, range: Option<&m3u8_rs::ByteRange>| {
        let bytes = fs::read(folder.join(uri)).unwrap();
        let Some(range) = range else { return bytes };
        let start = usize::try_from(range.offset.unwrap()).unwrap();
        bytes[start..start + usize::try_from(range.length).unwrap()].to_vec()
    };
    let mut parts = Vec::new();
    for (segment, bytes_of_segment) in playlist.segments.iter().zip(segments(path)) {
        if let Some(map) = &segment.map {
            init = bytes(&map.uri, map.byte_range.as_ref());
        }
        parts.push([init.as_slice(), &bytes_of_segment].concat());
    }
    parts
}

/// A film with an ad in it that was packaged elsewhere: the ad has an init segment of its own and times from zero on, as files
/// beside those of the film, or as ranges of the same file.
#[test]
fn an_ad_has_an_init_segment_of_its_own() {
    let Some(ffmpeg) = tool("ffmpeg8") else { return };
    let work = Workspace::new();
    let (film, ad) = (work.path("film"), work.path("ad"));
    if ffmpeg_hls(&work, "film", &["-an", "-hls_flags", "single_file", "f.m3u8"]).is_none() {
        return;
    }
    ffmpeg_hls_of(&work, "ad", "v360.mp4", &["-an", "-hls_flags", "single_file", "f.m3u8"]).unwrap();
    let media = |tree: &Path| (init(&tree.join("f.m3u8")), segments(&tree.join("f.m3u8")));
    let ((film_init, film), (ad_init, ad)) = (media(&film), media(&ad));
    assert!(film.len() > 2 && film_init != ad_init);
    let order: [(&str, &[&[u8]]); 3] = [
        ("film", &[&film_init, &film[0]]),
        ("ad", &[&ad_init, &ad[0]]),
        ("film", &[&film_init, &film[1], &film[2]]),
    ];
    for tree in ["files", "ranges"] {
        fs::create_dir(work.path(tree)).unwrap();
        let mut lines = vec!["#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:4\n".to_owned()];
        let mut all: Vec<u8> = Vec::new();
        let mut places: BTreeMap<&[u8], usize> = BTreeMap::new();
        for (name, parts) in order {
            if !places.is_empty() {
                lines.push("#EXT-X-DISCONTINUITY\n".to_owned());
            }
            for (index, part) in parts.iter().enumerate() {
                let place = *places.entry(part).or_insert_with(|| {
                    all.extend_from_slice(part);
                    all.len() - part.len()
                });
                let file = format!("{name}-{place}.mp4");
                fs::write(work.path(tree).join(&file), part).unwrap();
                let range = format!("{}@{place}", part.len());
                lines.push(match (tree, index) {
                    ("files", 0) => format!("#EXT-X-MAP:URI=\"{file}\"\n"),
                    ("files", _) => format!("#EXTINF:4,\n{file}\n"),
                    (_, 0) => format!("#EXT-X-MAP:URI=\"all.mp4\",BYTERANGE=\"{range}\"\n"),
                    _ => format!("#EXTINF:4,\n#EXT-X-BYTERANGE:{range}\nall.mp4\n"),
                });
                if tree == "ranges" {
                    fs::remove_file(work.path(tree).join(&file)).unwrap();
                    fs::write(work.path(tree).join("all.mp4"), &all).unwrap();
                }
            }
        }
        fs::write(work.path(tree).join("master.m3u8"), lines.concat() + "#EXT-X-ENDLIST\n").unwrap();
        encrypted(&work, tree, &[]);
        for with_source in [false, true] {
            let (code, text) = verify(&work, tree, with_source);
            assert_eq!(code, Some(0), "{tree}: {text}");
            assert_eq!(text.matches("decrypted").count(), 2, "{tree}: {text}");
        }
        let ours = fs::read_to_string(work.path(format!("out-{tree}/master.m3u8"))).unwrap();
        assert_eq!(ours.matches("#EXT-X-KEY").count(), 1, "{ours}");

        // ffmpeg shows each part by itself; one behind the other, it does not show ads of clear trees either.
        let (old, new) = (
            work.path(tree).join("master.m3u8"),
            work.path(format!("out-{tree}/master.m3u8")),
        );
        let (old, new) = (parts(&old), parts(&new));
        assert_eq!((old.len(), new.len()), (4, 4));
        let key = hex::encode(derive::key());
        for (at, (old, new)) in old.iter().zip(&new).enumerate() {
            let shown = |name: &str, bytes: &[u8], options: &[&str]| {
                fs::write(work.path(name), bytes).unwrap();
                frames(&ffmpeg, &work, &work.path(name), "v", options)
            };
            let (clear, opened) = (
                shown("clear.mp4", old, &[]),
                shown("part.mp4", new, &["-decryption_key", &key]),
            );
            assert!(clear.len() > 20 && clear == opened, "{tree}: segment {at} differs");
        }

        let mut command = work.vylux_pack();
        let output = command
            .args(["decrypt", "--out", "x.mp4"])
            .arg(format!("out-{tree}/master.m3u8"))
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert!(String::from_utf8_lossy(&output.stderr).contains("has several init segments"));
    }
}

/// A track that no segment of the playlist has samples of may have some elsewhere in the files.
#[test]
fn a_track_without_samples_is_refused() {
    let work = Workspace::new();
    if muxed(&work).is_none() {
        return;
    }
    ffmpeg_hls(&work, "video", &["-an", "master.m3u8"]).unwrap();
    let both = init(&work.path("muxed/master.m3u8"));
    fs::write(work.path("video/init.mp4"), both).unwrap();
    let output = encrypt(&work, "video", &[]);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{message}");
    assert!(
        message.contains("track 2 ('soun') has no samples in the playlist's segments"),
        "{message}"
    );
    assert!(!work.path("out-video").exists());
}

/// Init and media segments without a playlist, as DASH packagers leave them, are inputs as films are: by folder, and by list.
#[test]
fn segments_without_playlists_are_inputs() {
    let work = Workspace::new();
    let Some(ffmpeg) = tool("ffmpeg") else { return };
    fs::create_dir(work.path("dash")).unwrap();
    let mut command = Command::new(ffmpeg);
    command.args(["-nostdin", "-v", "error", "-i"]).arg(fixture("demo.mp4"));
    command.args([
        "-c",
        "copy",
        "-f",
        "dash",
        "-seg_duration",
        "1",
        "-init_seg_name",
        "$RepresentationID$-init.mp4",
    ]);
    command.args(["-media_seg_name", "$RepresentationID$-$Number$.m4s", "film.mpd"]);
    run(command.current_dir(work.path("dash")));
    let segments = |stream: usize, count: usize| -> Vec<PathBuf> {
        let media = (1..=count).map(|number| format!("dash/{stream}-{number}.m4s"));
        std::iter::once(format!("dash/{stream}-init.mp4"))
            .chain(media)
            .map(|name| work.path(name))
            .collect()
    };
    let count = |stream: usize| {
        (1..100_usize)
            .take_while(|number| work.path(format!("dash/{stream}-{number}.m4s")).exists())
            .count()
    };
    let (video, audio) = (segments(0, count(0)), segments(1, count(1)));
    // More than nine: names are not sorted as they are spelled.
    assert!(audio.len() > 11, "{} segments", audio.len());

    let lists = [video, audio.clone()].concat();
    let listed = work.package(&lists, "listed", &["--segment-duration", "4"]);
    for (of_list, of_film) in
        listed
            .iter()
            .zip(&work.package(&[fixture("demo.mp4")], "film", &["--segment-duration", "4"]))
    {
        let samples = |files: &common::RenditionFiles| samples::read(&files.joined()).unwrap();
        let (ours, film) = (samples(of_list), samples(of_film));
        assert_eq!(
            (of_list.segments.len(), ours.len()),
            (of_film.segments.len(), film.len())
        );
        let is_same = |(ours, film): (&samples::Sample, &samples::Sample)| {
            (&ours.data, ours.is_sync) == (&film.data, film.is_sync)
        };
        assert!(ours.iter().zip(&film).all(is_same), "{} differs", of_list.name);
    }
    let mut command = work.vylux_pack();
    run(command
        .args(["verify", "listed", "--no-store", "--source"])
        .args(&lists));

    fs::create_dir(work.path("audio")).unwrap();
    for path in &audio {
        fs::copy(path, work.path("audio").join(path.file_name().unwrap())).unwrap();
    }
    let of_folder = work.package(&[work.path("audio")], "folder", &["--segment-duration", "4"]);
    let decoded = |files: &[common::RenditionFiles], at: usize| samples::read(&files[at].joined()).unwrap().len();
    assert_eq!(decoded(&of_folder, 0), decoded(&listed, 1));
    let mut command = work.vylux_pack();
    run(command.args(["verify", "folder", "--no-store", "--source", "audio"]));

    for (input, expected) in [
        ("dash", "a folder with several init segments"),
        ("dash/0-1.m4s", "a media segment; give its init segment in front of it"),
        ("folder", "a folder without an init segment"),
    ] {
        let mut command = work.vylux_pack();
        command.args(["encrypt", input, "--content-id", CONTENT_ID, "--no-store"]);
        let output = command.output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{input}: {message}");
        assert!(message.contains(expected), "{input}: {message}");
    }
}

/// Inputs are never changed, so no output stands in a tree or around it.
#[test]
fn tree_and_output_are_apart() {
    let work = Workspace::new();
    if segmented(&work).is_none() {
        return;
    }
    for out in ["segmented", "segmented/out", "."] {
        let mut command = work.vylux_pack();
        command.args([
            "encrypt",
            "segmented/master.m3u8",
            "--content-id",
            CONTENT_ID,
            "--no-store",
            "--out",
            out,
        ]);
        let output = command.output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{out}: {message}");
        assert!(message.contains("are not apart"), "{out}: {message}");
    }
}

fn verify(work: &Workspace, tree: &str, with_source: bool) -> (Option<i32>, String) {
    let mut command = work.vylux_pack();
    command
        .args(["verify", "--no-store"])
        .arg(format!("out-{tree}/master.m3u8"));
    if with_source {
        command.arg("--source").arg(format!("{tree}/master.m3u8"));
    }
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn trees_verify_and_decrypt() {
    for scheme in ["cbcs", "cenc", "cens", "cbc1"] {
        a_tree_verifies_and_decrypts(scheme);
    }
}

fn a_tree_verifies_and_decrypts(scheme: &str) {
    for_each_tree(&["--scheme", scheme], |work, tree| {
        let tags = |file: &str| -> Vec<String> {
            let text = fs::read_to_string(work.path(format!("out-{tree}")).join(file)).unwrap();
            let keys = text.lines().filter(|line| line.contains("KEY:METHOD="));
            keys.map(str::to_owned).collect()
        };
        let method = if matches!(scheme, "cenc" | "cens") {
            "SAMPLE-AES-CTR"
        } else {
            "SAMPLE-AES"
        };
        let tags = tags("master.m3u8");
        assert!(
            !tags.is_empty() && tags.iter().all(|tag| tag.contains(&format!("METHOD={method},"))),
            "{scheme}: {tags:?}"
        );
        for with_source in [false, true] {
            let (code, text) = verify(work, tree, with_source);
            assert_eq!(code, Some(0), "{tree}: {text}");
            assert!(text.contains("decrypted"), "{tree}: {text}");
            assert_eq!(text.contains("compared with the source"), with_source, "{tree}: {text}");
        }
        let mut command = work.vylux_pack();
        command.args(["verify", "--no-store"]);
        run(command.arg(format!("out-{tree}")));

        let mut command = work.vylux_pack();
        command.args(["decrypt", "--out", "clear.mp4"]);
        run(command.arg(format!("out-{tree}/master.m3u8")));
        let Some(ffmpeg) = tool("ffmpeg") else { return };
        for kind in ["v", "a"] {
            let shown = |input: &Path| frames(&ffmpeg, work, input, kind, &["-ignore_editlist", "1"]);
            let (source, clear) = (shown(&fixture("demo.mp4")), shown(&work.path("clear.mp4")));
            assert!(source.len() > 200 && source == clear, "{tree}: {kind} differs");
        }
    });
}

#[test]
fn a_tree_of_vp9_is_encrypted_under_cenc_alone() {
    let work = Workspace::new();
    let flags = ["-hls_flags", "single_file+independent_segments", "master.m3u8"];
    if ffmpeg_hls_of(&work, "vp9", "vp9-fragmented.mp4", &flags).is_none() {
        return;
    }
    let refused = encrypt(&work, "vp9", &[]);
    let message = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(3), "{message}");
    assert!(
        message.contains("is VP9") && message.contains("choose --scheme cenc"),
        "{message}"
    );

    encrypted(&work, "vp9", &["--scheme", "cenc"]);
    let (code, text) = verify(&work, "vp9", true);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("decrypted"), "{text}");
}

/// A change of an encrypted tree, whether the source is needed to tell, and what is told.
type Damage = (fn(&Path), bool, &'static str);

fn edit(tree: &Path, file: &str, old: &str, new: &str) {
    let text = fs::read_to_string(tree.join(file)).unwrap();
    let edited = text.replacen(old, new, 1);
    assert_ne!(text, edited, "{file}: {old}");
    fs::write(tree.join(file), edited).unwrap();
}

/// Changes the byte that lies `behind` the first occurrence of `place`.
fn flip(tree: &Path, file: &str, place: &[u8], behind: usize) {
    let mut bytes = fs::read(tree.join(file)).unwrap();
    let at = bytes.windows(place.len()).position(|window| window == place).unwrap();
    bytes[at + behind] ^= 1;
    fs::write(tree.join(file), bytes).unwrap();
}

const DAMAGE: &[Damage] = &[
    (
        |tree| flip(tree, "v.mp4", b"mdat", 3000),
        true,
        "differs from the source",
    ),
    (|tree| flip(tree, "v.mp4", b"senc", 19), false, "subsample map"),
    (|tree| flip(tree, "v.mp4", b"tenc", 30), false, "IV"),
    (|tree| flip(tree, "v.mp4", b"tfdt", 11), true, "decode time"),
    (|tree| flip(tree, "v.mp4", b"sidx", 40), true, "sidx refers"),
    (|tree| flip(tree, "v.mp4", b"hdlr", 30), true, "is not as in the source"),
    (|tree| flip(tree, "v.mp4", b"trun", 11), false, ""),
    (|tree| edit(tree, "v.m3u8", "IV=0x", "IV=0x0"), false, "IV"),
    (
        |tree| edit(tree, "v.m3u8", "URI=\"https", "URI=\"http"),
        false,
        "the key URI is",
    ),
    (
        |tree| edit(tree, "v.m3u8", "#EXT-X-KEY", "## "),
        false,
        "there is no EXT-X-KEY",
    ),
    (
        |tree| edit(tree, "v.m3u8", "SAMPLE-AES", "AES-128"),
        false,
        "METHOD is AES-128",
    ),
    (
        |tree| edit(tree, "v.m3u8", "#EXT-X-BYTERANGE:6", "#EXT-X-BYTERANGE:5"),
        false,
        "",
    ),
    (
        |tree| edit(tree, "i.m3u8", "#EXT-X-BYTERANGE:8", "#EXT-X-BYTERANGE:7"),
        false,
        "the range does not begin",
    ),
    (|tree| edit(tree, "i.m3u8", "IV=0x", "IV=0x0"), false, "i.m3u8"),
    (
        |tree| edit(tree, "v.m3u8", "## Generated", "## generated"),
        true,
        "the line is not as in the source",
    ),
    (
        |tree| edit(tree, "master.m3u8", "#EXT-X-SESSION-KEY", "## "),
        false,
        "there is no EXT-X-SESSION-KEY",
    ),
    (
        |tree| edit(tree, "master.m3u8", "v.m3u8", "a.m3u8"),
        false,
        "a file that no playlist names",
    ),
    (|tree| fs::remove_file(tree.join("a.mp4")).unwrap(), false, "is missing"),
    (
        |tree| fs::write(tree.join("x"), "").unwrap(),
        false,
        "a file that no playlist names",
    ),
];

#[test]
fn verify_finds_what_differs() {
    let work = Workspace::new();
    if single(&work).is_none() {
        return;
    }
    encrypted(&work, "single", &[]);
    let (out, whole) = (work.path("out-single"), work.path("whole"));
    fs::rename(&out, &whole).unwrap();
    for (index, (damage, needs_source, expected)) in DAMAGE.iter().enumerate() {
        fs::create_dir(&out).unwrap();
        for (file, bytes) in files(&whole) {
            fs::write(out.join(file), bytes).unwrap();
        }
        damage(&out);
        for with_source in [false, true] {
            let (code, text) = verify(&work, "single", with_source);
            if with_source || !needs_source {
                assert_eq!(code, Some(4), "damage {index}, {with_source}: {text}");
                assert!(text.contains(expected), "damage {index}: expected {expected:?}: {text}");
            }
        }
        fs::remove_dir_all(&out).unwrap();
    }
}

/// Text in MP4 stays clear, as players want it; no player that the tests have reads it.
#[test]
fn text_in_mp4_is_copied() {
    let work = Workspace::new();
    let video = ["stream=video,init_segment=v/init.mp4,segment_template=v/$Number$.m4s,playlist_name=v/p.m3u8"];
    let text = [
        "stream=text,init_segment=t/init.mp4,segment_template=t/$Number$.m4s,playlist_name=t/p.m3u8,\
                 hls_group_id=text,hls_name=English",
    ];
    if packager(&work, "text", &video, &text).is_none() {
        return;
    }
    encrypted(&work, "text", &[]);
    let (old, new) = (files(&work.path("text")), files(&work.path("out-text")));
    let of_text = old.iter().filter(|(file, _)| is_text(file));
    assert_eq!(
        of_text
            .map(|(file, old)| assert_eq!(old, &new[file], "{}", file.display()))
            .count(),
        8
    );
    let (code, text) = verify(&work, "text", true);
    assert_eq!(code, Some(0), "{text}");
}

/// Boxes that speak of events stay where they are, byte for byte.
#[test]
fn boxes_beside_fragments_stay() {
    let work = Workspace::new();
    if segmented(&work).is_none() {
        return;
    }
    let event = b"\0\0\0\x30emsg\x01\0\0\0\0\0\x03\xe8\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\x02urn:x\0\0payload!\0";
    let path = work.path("segmented/a/2.m4s");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, [&event[..], &bytes[..]].concat()).unwrap();
    encrypted(&work, "segmented", &[]);
    let ours = fs::read(work.path("out-segmented/a/2.m4s")).unwrap();
    assert!(ours.starts_with(event));
    let (code, text) = verify(&work, "segmented", true);
    assert_eq!(code, Some(0), "{text}");

    fs::write(work.path("out-segmented/a/2.m4s"), &ours[event.len()..]).unwrap();
    let (code, text) = verify(&work, "segmented", true);
    assert_eq!(code, Some(4), "{text}");
    assert!(
        text.contains("a/2.m4s: its boxes are not those of the source"),
        "{text}"
    );
}

/// Whatever a file says, it is an error, or every sample in it is encrypted: an independent look finds each as it was.
#[test]
fn damaged_media_is_refused_or_encrypted_whole() {
    let work = Workspace::new();
    if single(&work).is_none() {
        return;
    }
    let path = work.path("single/v.mp4");
    let whole = fs::read(&path).unwrap();
    let mut outcomes = [0, 0];
    // The movie box, the index, and the first fragment's boxes; and some bytes of the others'.
    let places = (0..1500).step_by(11).chain((1500..whole.len()).step_by(20011));
    for (turn, place) in places.enumerate() {
        let mut bytes = whole.clone();
        bytes[place] ^= [1, 0x80, 0xff][turn % 3];
        fs::write(&path, bytes).unwrap();
        let output = encrypt(&work, "single", &["--replace", "--jobs", "1"]);
        let message = String::from_utf8_lossy(&output.stderr);
        match output.status.code() {
            Some(0) => {
                let (code, text) = verify(&work, "single", true);
                assert_eq!(code, Some(0), "byte {place}: {text}");
                outcomes[0] += 1;
            }
            Some(3) => outcomes[1] += 1,
            other => panic!("byte {place}: {other:?}: {message}"),
        }
    }
    assert!(outcomes.iter().all(|count| *count > 20), "{outcomes:?}");
}

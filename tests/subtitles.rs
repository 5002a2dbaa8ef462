//! WebVTT beside a film: cut where the video is, read by others, checked by `verify`, and refused where it breaks the grammar.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{Workspace, fixture, run, tool};
use m3u8_rs::{AlternativeMediaType, Playlist};
use serde_json::Value;

const INPUTS: [&str; 3] = ["demo.mp4", "subs_en.vtt", "subs.fr.vtt"];

/// An output of [`INPUTS`] in the clear, in segments of two seconds.
fn packaged(scheme: &str) -> Workspace {
    let workspace = Workspace::new();
    let inputs: Vec<PathBuf> = INPUTS.iter().map(|name| fixture(name)).collect();
    workspace.package(&inputs, "out", &["--scheme", scheme, "--segment-duration", "2"]);
    workspace
}

/// Times and text of each cue of a file, read by its blocks: hours are added, settings left out.
fn cues(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap().replace("\r\n", "\n");
    let with_hours = |time: &str| {
        if time.len() < 12 {
            format!("00:{time}")
        } else {
            time.to_owned()
        }
    };
    text.split("\n\n")
        .filter_map(|block| {
            let block = block.trim_matches('\n');
            let times = block.lines().find(|line| line.contains("-->"))?;
            let words: Vec<&str> = times.split(' ').collect();
            let text: Vec<&str> = block.lines().skip_while(|line| *line != times).skip(1).collect();
            Some(format!(
                "{} {} {}",
                with_hours(words[0]),
                with_hours(words[2]),
                text.join("\n")
            ))
        })
        .collect()
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "vtt"));
    files.sort();
    files
}

#[test]
fn shaka_packager_puts_the_same_cues_into_the_same_segments() {
    let Some(packager) = tool("packager") else { return };
    let workspace = packaged("cbcs");
    for (name, language) in [("subs_en.vtt", "en"), ("subs.fr.vtt", "fr")] {
        // It knows no words behind WEBVTT, and cues that never end would have segments without end.
        let text = fs::read_to_string(fixture(name)).unwrap();
        let text = text
            .replace(" - what a tone would say", "")
            .replace("100:00:00.000", "00:00:12.000");
        fs::write(workspace.path(name), text).unwrap();
        fs::create_dir(workspace.path(language)).unwrap();
        let mut command = Command::new(&packager);
        command
            .current_dir(workspace.folder())
            .args(["--segment_duration", "2"]);
        command.arg(format!(
            "in={name},stream=text,segment_template={language}/$Number%03d$.vtt"
        ));
        run(&mut command);
        let ours = segments(&workspace.path(format!("out/text/{language}")));
        let theirs = segments(&workspace.path(language));
        assert!(!theirs.is_empty() && ours.len() == 6, "{ours:?} {theirs:?}");
        for (index, ours) in ours.iter().enumerate() {
            let ours: Vec<String> = cues(ours)
                .into_iter()
                .map(|cue| cue.replace("100:00:00.000", "00:00:12.000"))
                .collect();
            // It ends with the last cue.
            let theirs = theirs.get(index).map(|path| cues(path)).unwrap_or_default();
            assert_eq!(ours, theirs, "{name}, segment {}", index + 1);
        }
    }
}

#[test]
fn ffmpeg_reads_every_cue() {
    // Before version 8 it has no subtitles in HLS.
    let Some(ffmpeg) = tool("ffmpeg8") else { return };
    let workspace = packaged("none");
    for (index, name, count) in [(0, "subs_en.vtt", 5), (1, "subs.fr.vtt", 1)] {
        let read = |input: &Path, stream: &str| {
            let mut command = Command::new(&ffmpeg);
            command.args(["-nostdin", "-v", "fatal"]);
            if input.ends_with("master.m3u8") {
                command.args(["-allowed_extensions", "ALL"]);
            }
            command.arg("-i").arg(input).args(["-map", stream, "-f", "webvtt", "-"]);
            let text = String::from_utf8(run(&mut command).stdout).unwrap();
            let mut texts: Vec<String> = text
                .split("\n\n")
                .filter(|block| block.contains("-->"))
                .map(|block| block.lines().skip_while(|line| !line.contains("-->")).skip(1).collect())
                .collect();
            texts.sort();
            texts.dedup();
            texts
        };
        let expected = read(&fixture(name), "0:s:0");
        assert_eq!(expected.len(), count);
        let found = read(&workspace.path("out/master.m3u8"), &format!("0:s:{index}"));
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn m3u8_rs_reads_the_playlists() {
    let workspace = packaged("cbcs");
    let read = |name: &str| m3u8_rs::parse_playlist_res(&fs::read(workspace.path(name)).unwrap()).unwrap();
    let Playlist::MasterPlaylist(mut master) = read("out/master.m3u8") else {
        unreachable!("no multivariant playlist")
    };
    master.variants.retain(|variant| !variant.is_i_frame);
    assert!(
        master
            .variants
            .iter()
            .all(|variant| variant.subtitles.as_deref() == Some("text"))
    );
    let codecs: Vec<_> = master
        .variants
        .iter()
        .map(|variant| variant.codecs.as_deref())
        .collect();
    assert_eq!(codecs, [Some("avc1.64001E,mp4a.40.2,wvtt")]);
    let texts = master.alternatives.iter();
    let texts: Vec<_> = texts
        .filter(|media| media.media_type == AlternativeMediaType::Subtitles)
        .map(|media| {
            (
                &*media.group_id,
                &*media.name,
                media.language.as_deref(),
                media.autoselect,
                media.forced,
            )
        })
        .collect();
    assert_eq!(
        texts,
        [
            ("text", "English", Some("en"), true, false),
            ("text", "français", Some("fr"), true, false),
        ]
    );
    for language in ["en", "fr"] {
        let name = format!("out/text/{language}/playlist.m3u8");
        let (Playlist::MediaPlaylist(text), Playlist::MediaPlaylist(video)) =
            (read(&name), read("out/video/360p/playlist.m3u8"))
        else {
            unreachable!("no media playlist")
        };
        let durations = |playlist: &m3u8_rs::MediaPlaylist| -> Vec<f32> {
            playlist.segments.iter().map(|segment| segment.duration).collect()
        };
        assert_eq!(durations(&text), durations(&video));
        assert_eq!(text.target_duration, video.target_duration);
        assert!(
            text.segments
                .iter()
                .all(|segment| segment.key.is_none() && segment.map.is_none())
        );
        assert!(text.end_list && text.version == Some(3) && text.unknown_tags.is_empty());
    }
}

/// `verify --json`, with more arguments.
fn verify(workspace: &Workspace, more: &[PathBuf]) -> (Option<i32>, Value) {
    let mut command = workspace.vylux_pack();
    command.args(["verify", "out", "--json", "--no-store"]);
    if !more.is_empty() {
        command.arg("--source").args(more);
    }
    let output = command.output().unwrap();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
}

const FIRST: &str = "text/en/seg_00001.vtt";
const PLAYLIST: &str = "text/en/playlist.m3u8";
const MASTER: &str = "master.m3u8";

/// A file, what is changed in it and to what, in which file that is found, in which words, and whether only the source tells.
const CHANGES: &[(&str, &str, &str, &str, &str, bool)] = &[
    (
        FIRST,
        "MPEGTS:0",
        "MPEGTS:900000",
        FIRST,
        "X-TIMESTAMP-MAP is MPEGTS:900000",
        false,
    ),
    (
        "text/en/seg_00002.vtt",
        "color: yellow",
        "color: red",
        "text/en/seg_00002.vtt",
        "in front of the cues",
        false,
    ),
    (
        FIRST,
        "00:00.500 -->",
        "00:00.500 ->",
        FIRST,
        "line 18: a block that is no cue",
        false,
    ),
    (
        FIRST,
        "00:02.500",
        "00:02.400",
        "text/en/seg_00002.vtt",
        "those of the segment before",
        false,
    ),
    (
        "text/en/seg_00003.vtt",
        "05.900",
        "07.900",
        "text/en/seg_00003.vtt",
        "line 18: a cue that ends",
        false,
    ),
    (
        "text/en/seg_00004.vtt",
        "across a boundary",
        "",
        "text/en/seg_00004.vtt",
        "those of the segment before",
        false,
    ),
    (
        "text/en/seg_00006.vtt",
        "beyond",
        "behind",
        "text/en/seg_00006.vtt",
        "not as in the source",
        true,
    ),
    (
        "text/en/seg_00006.vtt",
        "00:00:10.000 --> 100:00:00.000\nto the end &amp; beyond\n",
        "",
        PLAYLIST,
        "in no segment",
        true,
    ),
    (
        "text/fr/seg_00003.vtt",
        ".000\n",
        ".000\n\n00:05.000 --> 00:05.500\nQuoi ?\n",
        "text/fr/seg_00003.vtt",
        "which ends before",
        true,
    ),
    (
        "text/fr/seg_00003.vtt",
        ".000\n",
        ".000\n\n00:06.000 --> 00:07.000\nQuoi ?\n",
        "text/fr/seg_00003.vtt",
        "behind the segment's end",
        false,
    ),
    (
        PLAYLIST,
        "2.000000",
        "1.900000",
        PLAYLIST,
        "as those of the first variant",
        false,
    ),
    (
        PLAYLIST,
        "#EXTINF",
        "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"https://x\",KEYFORMAT=\"identity\"\n#EXTINF",
        PLAYLIST,
        "subtitles are clear",
        false,
    ),
    (
        MASTER,
        "TYPE=SUBTITLES",
        "TYPE=TEXT",
        MASTER,
        "TYPE is neither AUDIO, SUBTITLES nor CLOSED-CAPTIONS",
        false,
    ),
    (MASTER, ",SUBTITLES=\"text\"", "", MASTER, "SUBTITLES is missing", false),
    (
        MASTER,
        ",SUBTITLES=\"text\"",
        ",SUBTITLES=\"texts\"",
        MASTER,
        "which has no rendition",
        false,
    ),
];

#[test]
fn verify_finds_what_is_changed() {
    let sources: Vec<PathBuf> = INPUTS.iter().map(|name| fixture(name)).collect();
    for (file, old, new, found_in, what, needs_source) in CHANGES.iter().copied() {
        let workspace = packaged("cbcs");
        assert_eq!(verify(&workspace, &sources).0, Some(0));
        let path = workspace.path("out").join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(old), "no {old} in {text}");
        fs::write(&path, text.replacen(old, new, 1)).unwrap();
        for (more, expected) in [(&sources[..], true), (&[], !needs_source)] {
            let (exit_code, report) = verify(&workspace, more);
            let differences = report["differences"].as_array().unwrap();
            let is_it = |difference: &Value| {
                difference["file"] == found_in && difference["what"].as_str().unwrap().contains(what)
            };
            assert_eq!(
                differences.iter().any(is_it),
                expected,
                "{file}, {new:?}: {differences:#?}"
            );
            assert_eq!(
                exit_code,
                Some(if expected { 4 } else { 0 }),
                "{file}, {new:?}: {differences:#?}"
            );
        }
    }
}

#[test]
fn verify_misses_a_segment_and_another_source() {
    let workspace = packaged("cbcs");
    let differences = |sources: &[PathBuf]| verify(&workspace, sources).1["differences"].to_string();
    let without = differences(&[fixture("demo.mp4"), fixture("subs_en.vtt")]);
    assert!(
        without.contains("the source has no subtitles of this name"),
        "{without}"
    );
    fs::remove_file(workspace.path("out/text/en/seg_00004.vtt")).unwrap();
    let found = differences(&[]);
    assert!(
        found.contains("text/en/seg_00004.vtt") && found.contains("is missing"),
        "{found}"
    );
    fs::remove_dir_all(workspace.path("out/text/fr")).unwrap();
    let found = differences(&[]);
    assert!(found.contains("text/fr/playlist.m3u8"), "{found}");
}

fn encrypt(workspace: &Workspace, inputs: &[PathBuf]) -> Output {
    let mut command = workspace.vylux_pack();
    command.arg("encrypt").args(inputs);
    command
        .args(["--content-id", "film", "--no-store", "--quiet"])
        .output()
        .unwrap()
}

#[test]
fn what_is_no_subtitles_is_refused_with_its_line() {
    let workspace = Workspace::new();
    let cue = "00:01.000 --> 00:02.000\nA\n";
    let long = format!("WEBVTT\n\nNOTE\n{}\n", "a".repeat(16 << 20));
    for (text, expected) in [
        (
            "1\n00:00:01,000 --> 00:00:02,000\nSubRip\n",
            "line 1: begins with no 'WEBVTT'",
        ),
        (
            "WEBVTT\n\n00:01.000 --> 00:02,000\nA\n",
            "line 3: the times are \"00:01.000 --> 00:02,000\"",
        ),
        (
            "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:00.000\n\n",
            "moves its times",
        ),
        (&long, "at most 16777216 are supported"),
    ] {
        fs::write(workspace.path("bad.vtt"), text).unwrap();
        let output = encrypt(&workspace, &[fixture("demo.mp4"), workspace.path("bad.vtt")]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains("bad.vtt: ") && error.contains(expected), "{error}");
        assert_eq!(output.status.code(), Some(3), "{error}");
    }
    // The file is known by what it holds, too; and it needs a film.
    fs::write(workspace.path("words"), format!("\u{feff}WEBVTT\n\n{cue}")).unwrap();
    let output = encrypt(&workspace, &[workspace.path("words")]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("words: these are subtitles"), "{error}");
    assert_eq!(output.status.code(), Some(3));
    assert!(!workspace.path("out").exists());
}

#[test]
fn subtitles_may_come_later_under_the_same_key() {
    let workspace = Workspace::new();
    let inputs = [fixture("demo.mp4"), fixture("subs.fr.vtt")];
    assert!(encrypt(&workspace, &inputs[..1]).status.success());
    let master = || fs::read_to_string(workspace.path("out/film/master.m3u8")).unwrap();
    let before = master();
    assert!(encrypt(&workspace, &inputs).status.success());
    assert_ne!(master(), before);
}

#[test]
fn decrypt_leaves_them_where_they_are() {
    let workspace = packaged("cbcs");
    let mut command = workspace.vylux_pack();
    let output = run(command.args(["decrypt", "out", "--out", "film.mp4"]));
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("out/text/en/playlist.m3u8: subtitles"), "{words}");
    assert!(!String::from_utf8(output.stdout).unwrap().contains("text"));
}

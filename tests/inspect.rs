//! `inspect` tells what other readers find, in whatever it is given.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use common::{CONTENT_ID, VYLUX_PACK, Workspace, derive, fixture, fixtures, for_each, run, tool};
use mp4_atom::{Decode, Header};
use serde_json::Value;

/// The one fixture with bytes that are no box.
const DAMAGED: &str = "trailing-junk.mp4";

fn inspect(path: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(VYLUX_PACK);
    command.arg("inspect").arg(path).args(more).output().unwrap()
}

/// The JSON document of a file, and the exit code.
fn document(path: &Path) -> (Value, Option<i32>) {
    let output = inspect(path, &["--json"]);
    (serde_json::from_slice(&output.stdout).unwrap(), output.status.code())
}

/// What `inspect` prints of a file that is damaged.
fn damaged(path: &Path) -> (String, String) {
    let output = inspect(path, &[]);
    assert_eq!(output.status.code(), Some(3), "{}", path.display());
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr))
}

/// A box as another reader finds it: path, offset, size and bytes of its header.
type Place = (String, u64, u64, u64);

/// Boxes that hold boxes, and the bytes of fields in front (ISO/IEC 14496-12; sample entries: 12.1.3 and 12.2.3).
const CONTAINERS: &[(&str, usize)] = &[
    (
        "moov trak edts mdia minf dinf stbl mvex moof traf mfra sinf schi wave",
        0,
    ),
    ("stsd dref", 8),
    ("avc1 avc3 hvc1 hev1 dvh1 dvhe vp09 av01 mp4v encv", 78),
    ("mp4a enca ac-3 ec-3 ac-4 dtsc dtsx Opus fLaC alac", 28),
];

/// Walks over boxes by the headers that mp4-atom reads.
fn walk(data: &[u8], offset: u64, parent: &str, places: &mut Vec<Place>) {
    let mut rest = data;
    while rest.len() >= 8 {
        let mut behind = rest;
        let header = Header::decode(&mut behind).unwrap();
        let header_bytes = rest.len() - behind.len();
        let size = header.size.map_or(rest.len(), |payload| header_bytes + payload);
        let kind = String::from_utf8(header.kind.as_ref().to_vec()).unwrap();
        if kind == "\0\0\0\0" {
            return; // what ends QuickTime's `wave`
        }
        let path = if parent.is_empty() {
            kind.clone()
        } else {
            format!("{parent}/{kind}")
        };
        let at = offset + (data.len() - rest.len()) as u64;
        let Some(this) = rest.get(..size) else { return };
        places.push((path.clone(), at, size as u64, header_bytes as u64));
        let container = CONTAINERS
            .iter()
            .find(|(kinds, _)| kinds.split(' ').any(|container| container == kind));
        let is_entry = parent.ends_with("stsd");
        if let Some((_, fields)) = container.filter(|(_, fields)| (*fields > 8) == is_entry) {
            let version = this.get(header_bytes + 8..header_bytes + 10);
            // QuickTime's sound descriptions of version 1 and 2 have more fields ("Sound sample descriptions").
            let more = match version {
                Some([0, 1]) if *fields == 28 => 16,
                Some([0, 2]) if *fields == 28 => 36,
                _ => 0,
            };
            let first = header_bytes + fields + more;
            walk(&this[first..], at + first as u64, &path, places);
        }
        rest = &rest[size..];
    }
}

/// The boxes of the JSON document, in order.
fn places(boxes: &Value, places: &mut Vec<Place>) {
    for found in boxes.as_array().unwrap() {
        let number = |name: &str| found[name].as_u64().unwrap();
        let path = found["path"].as_str().unwrap();
        assert_eq!(path.rsplit('/').next(), found["type"].as_str());
        let place = (
            path.to_owned(),
            number("offset"),
            number("size"),
            number("header_bytes"),
        );
        places.push(place);
        if let Some(boxes) = found.get("boxes") {
            self::places(boxes, places);
        }
    }
}

#[test]
fn every_fixture_has_the_boxes_that_another_reader_finds() {
    for_each(&fixtures(), |name| {
        let path = fixture(name);
        let mut expected = Vec::new();
        walk(&std::fs::read(&path).unwrap(), 0, "", &mut expected);
        let (document, exit_code) = document(&path);
        let errors = document["errors"].as_array().unwrap().len();
        let (expected_code, expected_errors) = if name == DAMAGED { (3, 1) } else { (0, 0) };
        assert_eq!(
            (exit_code, errors),
            (Some(expected_code), expected_errors),
            "{}",
            document["errors"]
        );

        let mut found = Vec::new();
        places(&document["boxes"], &mut found);
        if name == DAMAGED {
            let junk = found.pop().unwrap();
            let whole = expected.last().unwrap();
            assert_eq!(junk.1, whole.1 + whole.2, "the junk begins behind the last box");
        }
        assert_eq!(found, expected);

        // The same boxes for a person.
        let output = inspect(&path, &[]);
        assert_eq!(output.status.code(), Some(expected_code));
        let text = String::from_utf8(output.stdout).unwrap();
        let (tree, summary) = text.split_once("\n\n").unwrap();
        let shown: Vec<Vec<&str>> = tree
            .lines()
            .skip(1)
            .map(|line| line.split_whitespace().collect())
            .collect();
        for (line, (path, offset, size, header_bytes)) in shown.iter().zip(&found) {
            let kind = path.rsplit('/').next().unwrap().trim();
            let expected = [
                &*offset.to_string(),
                &*size.to_string(),
                &*header_bytes.to_string(),
                kind,
            ];
            assert_eq!(line[..4], expected, "{line:?}");
        }
        assert!(shown.len() >= found.len(), "{tree}");
        assert!(
            summary.starts_with("Tracks\n") && summary.contains("\nProtection\n"),
            "{summary}"
        );
        Ok(())
    });
}

#[test]
fn tracks_are_those_that_ffprobe_finds() {
    let Some(ffprobe) = tool("ffprobe8") else { return };
    let names = [
        "aac-5.1.mp4",
        "av1.mp4",
        "cmaf.mp4",
        "co64-moov-end.mp4",
        "dtsc-5.1.mp4",
        "fragmented.mp4",
        "fragmented-hybrid.mp4",
        "he-aac-v2-explicit.mp4",
        "many-trafs.mp4",
        "many-truns.mp4",
        "opus.mp4",
        "progressive-moov-front.mp4",
        "stz2.mp4",
        "two-languages.mp4",
        "xhe-aac.mp4",
    ];
    for name in names {
        let path = fixture(name);
        let mut command = Command::new(&ffprobe);
        command.args([
            "-v",
            "error",
            "-ignore_editlist",
            "1",
            "-count_packets",
            "-show_streams",
            "-of",
            "json",
        ]);
        let probed: Value = serde_json::from_slice(&run(command.arg(&path)).stdout).unwrap();
        let (document, _) = document(&path);
        let (streams, tracks) = (
            probed["streams"].as_array().unwrap(),
            document["tracks"].as_array().unwrap(),
        );
        assert_eq!(streams.len(), tracks.len(), "{name}");
        for (stream, track) in streams.iter().zip(tracks) {
            let id = format!("{:#x}", track["id"].as_u64().unwrap());
            assert_eq!(stream["id"], *id, "{name}");
            assert_eq!(
                stream["nb_read_packets"],
                track["samples"].to_string(),
                "{name}, track {id}"
            );
            let timescale = format!("1/{}", track["timescale"]);
            assert_eq!(stream["time_base"], *timescale, "{name}, track {id}");
            let description = &track["descriptions"][0];
            assert_eq!(stream["codec_tag_string"], description["format"], "{name}, track {id}");
            if stream["codec_type"] == "video" {
                let resolution = Value::from(vec![stream["width"].clone(), stream["height"].clone()]);
                assert_eq!(resolution, description["resolution"], "{name}, track {id}");
            } else {
                assert_eq!(stream["channels"], description["channels"], "{name}, track {id}");
                let rate = description["sample_rate_hz"].to_string();
                assert_eq!(stream["sample_rate"], *rate, "{name}, track {id}");
            }
        }
    }
}

#[test]
fn protection_is_what_was_asked_for() {
    let workspace = Workspace::new();
    let kid = hex::encode(derive::kid());
    for rendition in workspace.encrypt("fragmented.mp4", "out") {
        let (init, exit_code) = document(&rendition.init);
        assert_eq!(exit_code, Some(0));
        let track = &init["tracks"][0];
        assert_eq!(track["samples"], 0, "an init segment has none");
        let pattern = if rendition.is_video() {
            serde_json::json!([1, 9])
        } else {
            Value::Null
        };
        let expected = serde_json::json!({
            "scheme": "cbcs",
            "is_protected": true,
            "pattern": pattern,
            "kid": kid,
            "per_sample_iv_size": 0,
            "constant_iv_size": 16,
        });
        assert_eq!(track["descriptions"][0]["protection"], expected);
        let format = if rendition.is_video() { "avc1" } else { "mp4a" };
        assert_eq!(track["descriptions"][0]["format"], format);
        let systems = serde_json::json!([{
            "system_id": "1077efec-c0b2-4d02-ace3-3c1e52e2fb4b",
            "name": "W3C Common",
            "kids": [kid],
        }]);
        assert_eq!(init["key_systems"], systems);

        for segment in &rendition.segments {
            let (segment, exit_code) = document(segment);
            assert_eq!((exit_code, &segment["error_count"]), (Some(0), &Value::from(0)));
            let track = &segment["tracks"][0];
            assert_eq!(track["id"], init["tracks"][0]["id"]);
            assert!(track["samples"].as_u64().unwrap() > 0);
            let auxiliary = if rendition.is_video() {
                serde_json::json!(["senc", "saiz", "saio"])
            } else {
                serde_json::json!([])
            };
            assert_eq!(track["auxiliary_boxes"], auxiliary);
        }
        let text = String::from_utf8(inspect(&rendition.init, &[]).stdout).unwrap();
        assert!(
            text.contains(&format!("key ID {kid}, constant IV of 16 bytes")),
            "{text}"
        );
        assert!(
            !text.contains(&hex::encode(derive::key())),
            "the key of {CONTENT_ID} is shown"
        );
    }
}

/// A file of these bytes.
fn file(workspace: &Workspace, name: &str, bytes: &[u8]) -> PathBuf {
    let path = workspace.path(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn a_file_that_is_cut_off_is_shown_as_far_as_it_goes() {
    let workspace = Workspace::new();
    let whole = std::fs::read(fixture("progressive-moov-front.mp4")).unwrap();
    let mut boxes = Vec::new();
    walk(&whole, 0, "", &mut boxes);
    let offset_of = |path: &str| {
        let (_, offset, ..) = boxes.iter().find(|(found, ..)| found == path).unwrap();
        usize::try_from(*offset).unwrap()
    };

    let in_movie = offset_of("moov/trak/mdia/minf/stbl/stts") + 4;
    let (text, message) = damaged(&file(&workspace, "moov.mp4", &whole[..in_movie]));
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!(text.contains("error: moov at byte "), "{text}");
    assert!(text.contains("overruns what holds it"), "{text}");
    assert!(
        text.contains("avc1  data_reference_index 1, width 160, height 90"),
        "{text}"
    );
    assert!(text.contains("     avc1.64000B, 160x90"), "{text}");

    let in_media = offset_of("mdat") + 100;
    let (text, _) = damaged(&file(&workspace, "mdat.mp4", &whole[..in_media]));
    let mdat = offset_of("mdat");
    let line = text
        .lines()
        .skip_while(|line| !line.ends_with("  mdat"))
        .nth(1)
        .unwrap();
    let place = format!("error: mdat at byte {mdat}: its size of ");
    assert!(line.contains(&place) && line.contains("100 bytes are left"), "{text}");
    assert!(text.contains("50 samples"), "{text}");
}

#[test]
fn a_damaged_box_is_named_at_its_place_and_the_rest_is_shown() {
    let workspace = Workspace::new();
    let mut bytes = std::fs::read(fixture("fragmented.mp4")).unwrap();
    let mut boxes = Vec::new();
    walk(&bytes, 0, "", &mut boxes);
    let of = |path: &str| {
        let (_, offset, ..) = boxes.iter().find(|(found, ..)| found == path).unwrap();
        (*offset, usize::try_from(*offset).unwrap())
    };
    // More entries than bytes, an unknown version, and bytes that are no box where one should be.
    let (stts_offset, stts) = of("moov/trak/mdia/minf/stbl/stts");
    bytes[stts + 12..stts + 16].copy_from_slice(&u32::MAX.to_be_bytes());
    let (tfdt_offset, tfdt) = of("moof/traf/tfdt");
    bytes[tfdt + 8] = 9;
    let (udta_offset, udta) = of("moov/udta");
    bytes[udta + 4..udta + 8].copy_from_slice(&[0; 4]);

    let path = file(&workspace, "damaged.mp4", &bytes);
    let (text, message) = damaged(&path);
    assert!(message.contains("3 errors in its boxes"), "{message}");
    let after = |kind: &str| {
        let next = text.lines().skip_while(|line| !line.trim_end().ends_with(kind)).nth(1);
        next.unwrap_or_default().to_owned()
    };
    let stts = after("  stts");
    let expected = format!(
        "error: moov/trak/mdia/minf/stbl/stts at byte {}: ends too early",
        stts_offset + 16
    );
    assert!(stts.contains(&expected), "{stts}");
    let tfdt = after("  tfdt");
    let expected = format!(
        "error: moof/traf/tfdt at byte {}: version 9 is not known",
        tfdt_offset + 8
    );
    assert!(tfdt.contains(&expected), "{tfdt}");
    let expected =
        format!("error: moov at byte {udta_offset}: found bytes that are no box (type '\\x00\\x00\\x00\\x00')");
    assert!(text.contains(&expected), "{text}");
    assert!(text.contains("  mdat\n"), "what follows is shown:\n{text}");

    let (document, exit_code) = document(&path);
    assert_eq!((exit_code, &document["error_count"]), (Some(3), &Value::from(3)));
    assert_eq!(document["errors"][0]["path"], "moov/trak/mdia/minf/stbl/stts");
    assert_eq!(document["errors"][0]["offset"], stts_offset + 16);
}

/// Random bytes anywhere in the boxes: whatever is found, it is told, and never a panic.
#[test]
fn flipped_bytes_are_an_error_or_another_file() {
    let workspace = Workspace::new();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 16).unwrap()
    };
    for name in ["cmaf.mp4", "encrypted-cbcs.mp4", "progressive-moov-front.mp4"] {
        let whole = std::fs::read(fixture(name)).unwrap();
        for round in 0..60 {
            let mut bytes = whole.clone();
            for _ in 0..4 {
                let at = random() % bytes.len().min(3000);
                bytes[at] = u8::try_from(random() & 0xff).unwrap();
            }
            let path = file(&workspace, "flipped.mp4", &bytes);
            let output = inspect(&path, &["--json"]);
            let message = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(
                matches!(output.status.code(), Some(0 | 3)),
                "{name}, round {round}: {message}"
            );
            if !message.contains("file at byte 0: not an MP4 file") {
                serde_json::from_slice::<Value>(&output.stdout).unwrap();
            }
        }
    }
}

/// Runs `inspect` where no more than 400 MB of memory can be had.
fn inspect_in_little_memory(path: &Path) -> Output {
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -v 400000; exec \"$0\" inspect \"$1\"", VYLUX_PACK])
        .arg(path);
    command.output().unwrap()
}

#[test]
fn ten_gigabytes_are_no_more_than_their_boxes() {
    const MEDIA_BYTES: u64 = 10 << 30;
    let workspace = Workspace::new();
    let whole = std::fs::read(fixture("progressive-moov-end.mp4")).unwrap();
    let mut boxes = Vec::new();
    walk(&whole, 0, "", &mut boxes);
    let (_, offset, size, _) = boxes.iter().find(|(path, ..)| path == "moov").unwrap();
    let (offset, size) = (usize::try_from(*offset).unwrap(), usize::try_from(*size).unwrap());
    let path = workspace.path("large.mp4");
    let mut large = File::create(&path).unwrap();
    large.write_all(b"\0\0\0\x01mdat").unwrap();
    large.write_all(&MEDIA_BYTES.to_be_bytes()).unwrap();
    large.seek(SeekFrom::Start(MEDIA_BYTES)).unwrap();
    large.write_all(&whole[offset..offset + size]).unwrap();

    let started = std::time::Instant::now();
    let output = inspect_in_little_memory(&path);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("10737418240   16  mdat"), "{text}");
    assert!(text.contains("50 samples"), "{text}");
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
}

#[test]
fn metadata_beyond_all_measure_is_refused() {
    let workspace = Workspace::new();
    for (kind, limit) in [(b"moov", 256 << 20), (b"moof", 64 << 20)] {
        let path = workspace.path("huge.mp4");
        let mut huge = File::create(&path).unwrap();
        huge.write_all(&1_u32.to_be_bytes()).unwrap();
        huge.write_all(kind).unwrap();
        huge.write_all(&(1_u64 << 33).to_be_bytes()).unwrap();
        huge.set_len(1 << 33).unwrap();
        let output = inspect_in_little_memory(&path);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(3), "{text}");
        assert!(
            text.contains(&format!("more than {limit} bytes in a box that must be read whole")),
            "{text}"
        );
    }
}

#[test]
fn what_is_no_mp4_is_said_to_be_none() {
    let workspace = Workspace::new();
    for (name, bytes, expected) in [
        (
            "text.txt",
            &b"Sing, o goddess, the anger of Achilles\n"[..],
            "file at byte 0: not an MP4 file",
        ),
        (
            "playlist.m3u8",
            b"#EXTM3U\n#EXT-X-VERSION:6\n",
            "file at byte 0: not an MP4 file",
        ),
        (
            "picture.png",
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0",
            "file at byte 0: not an MP4 file",
        ),
        ("short", b"moov", "file at byte 0: not an MP4 file"),
        ("empty", b"", "file at byte 0: the file is empty"),
    ] {
        for more in [&[][..], &["--json"]] {
            let path = file(&workspace, name, bytes);
            let output = inspect(&path, more);
            assert_eq!(output.status.code(), Some(3), "{name}");
            assert!(output.stdout.is_empty(), "{name}");
            let message = String::from_utf8(output.stderr).unwrap();
            let expected = format!("error: {}: {expected}", path.display());
            assert!(message.starts_with(&expected), "{message}");
        }
    }
    let output = inspect(&workspace.path("missing.mp4"), &[]);
    assert_eq!(output.status.code(), Some(3));
    let output = inspect(workspace.folder(), &[]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("not a regular file"));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    for more in [&[][..], &["--json"]] {
        let mut command = Command::new(VYLUX_PACK);
        command
            .arg("inspect")
            .arg(fixture("fragment-per-sample.mp4"))
            .args(more);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = [0; 1];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]));
    }
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let colours = |variables: &[(&str, &str)]| {
        let mut command = Command::new(VYLUX_PACK);
        command
            .arg("inspect")
            .arg(fixture("one-sample.mp4"))
            .env_remove("NO_COLOR")
            .envs(variables.iter().copied());
        command.output().unwrap().stdout.contains(&0x1b)
    };
    assert!(!colours(&[]), "a pipe is no terminal");
    assert!(colours(&[("CLICOLOR_FORCE", "1")]));
    assert!(!colours(&[("NO_COLOR", "1")]));
}

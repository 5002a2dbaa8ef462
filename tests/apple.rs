//! `vylux-pack verify --apple` over our own outputs, damaged copies of them, and those of Shaka Packager and ffmpeg.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Workspace, files, fixture, run, tool};
use serde_json::Value;

/// A rule that a source has to keep: there is one bit rate of video in it.
const ONE_RATE: &str = "9.9";

/// What `verify --apple --json` said.
struct Verdict {
    exit_code: i32,
    report: Value,
    error: String,
}

impl Verdict {
    fn of(workspace: &Workspace, path: &str) -> Self {
        let mut command = workspace.vylux_pack();
        command.args(["verify", path, "--apple", "--json"]);
        command.env_remove("MASTER_KEY_HEX").env_remove("SALT_HEX");
        let output = command.output().unwrap();
        Self {
            exit_code: output.status.code().unwrap(),
            report: serde_json::from_slice(&output.stdout).unwrap_or_default(),
            error: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The rules with a verdict.
    fn rules(&self, verdict: &str) -> BTreeSet<String> {
        let rules = self.report["rules"].as_array().unwrap();
        let of_verdict = rules.iter().filter(|rule| rule["verdict"] == verdict);
        of_verdict.map(|rule| rule["id"].as_str().unwrap().to_owned()).collect()
    }

    /// Fails unless exactly these rules failed.
    #[track_caller]
    fn fails(&self, expected: &[&str]) {
        let expected: BTreeSet<String> = expected.iter().map(|rule| (*rule).to_owned()).collect();
        assert_eq!(self.rules("fail"), expected, "{:#}", self.report);
        assert_eq!(
            self.exit_code,
            if expected.is_empty() { 0 } else { 4 },
            "{}",
            self.error
        );
        assert_eq!(self.report["ok"], expected.is_empty());
    }

    /// What a rule says of its places.
    fn places(&self, id: &str) -> String {
        let rules = self.report["rules"].as_array().unwrap();
        rules.iter().find(|rule| rule["id"] == id).unwrap()["places"].to_string()
    }
}

/// Two qualities, two languages and subtitles.
fn ladder(workspace: &Workspace, out: &str, more: &[&str]) {
    let names = [
        "v180.mp4",
        "v360.mp4",
        "a-en.mp4",
        "a-fr.mp4",
        "subs_en.vtt",
        "subs.fr.vtt",
    ];
    let mut arguments = vec!["--segment-duration", "2"];
    arguments.extend(more);
    workspace.package(&names.map(fixture), out, &arguments);
}

#[test]
fn our_outputs_keep_what_is_ours_to_keep() {
    let workspace = Workspace::new();
    ladder(&workspace, "ladder", &[]);
    let verdict = Verdict::of(&workspace, "ladder");
    verdict.fails(&[]);
    assert!(verdict.rules("not_checked").is_empty(), "{:#}", verdict.report);
    for (out, name, scheme, source) in [
        ("demo", "demo.mp4", "cbcs", &[ONE_RATE][..]),
        ("clear", "v180.mp4", "none", &[ONE_RATE]),
        ("cenc", "v180.mp4", "cenc", &[ONE_RATE, "13.7", "13.11"]),
        // Ranges of segments that are encrypted as whole files can't be decrypted alone.
        ("whole", "v180.mp4", "aes-128", &["6.1", ONE_RATE]),
        ("hevc", "hevc-fragmented.mp4", "cbcs", &[ONE_RATE]),
        ("hdr", "hevc-main10-hdr10.mp4", "cbcs", &[ONE_RATE, "1.24"]),
        ("av1", "av1.mp4", "cbcs", &[ONE_RATE]),
        ("open", "open-gop.mp4", "cbcs", &[ONE_RATE]),
        ("captions", "captions-h264.mp4", "cbcs", &[ONE_RATE]),
    ] {
        workspace.package(&[fixture(name)], out, &["--scheme", scheme]);
        Verdict::of(&workspace, out).fails(source);
    }
    workspace.package(&[fixture("aac-stereo.mp4")], "audio", &[]);
    Verdict::of(&workspace, "audio").fails(&[]);
    workspace.package(&[fixture("flac.mp4")], "flac", &[]);
    Verdict::of(&workspace, "flac").fails(&["2.3"]);
}

#[test]
fn what_is_encrypted_as_whole_files_is_said_to_be_not_checked() {
    let workspace = Workspace::new();
    ladder(&workspace, "out", &["--scheme", "aes-128"]);
    let verdict = Verdict::of(&workspace, "out");
    let expected = ["7.3", "7.4", "8.1"].map(str::to_owned);
    assert_eq!(verdict.rules("not_checked"), BTreeSet::from(expected));
}

const CODECS: &str = "RFC 8216bis 4.4.6.2 (CODECS)";
const MASTER: &str = "master.m3u8";
const VIDEO: &str = "video/180p/playlist.m3u8";
/// Six segments of two seconds, each with one keyframe.
const DEMO: &str = "video/360p/playlist.m3u8";
const TEXT: &str = "text/en/playlist.m3u8";

#[test]
fn a_damaged_line_breaks_its_rule() {
    let workspace = Workspace::new();
    ladder(&workspace, "out", &[]);
    let before = Verdict::of(&workspace, "out");
    let bad = |verdict: &Verdict| -> BTreeSet<String> { &verdict.rules("fail") | &verdict.rules("warn") };
    for (rules, file, from, to) in [
        (&["1.1", CODECS][..], MASTER, "avc1.64000C", "vp09.00.10.08"),
        (&["1.3b", CODECS], MASTER, "avc1.64000C", "avc1.64003D"),
        (&["1.4", CODECS], MASTER, "avc1.64000C", "avc1.4D000C"),
        (&["1.10"], MASTER, "avc1.64000C", "avc3.64000C"),
        (&["1.19"], MASTER, "FRAME-RATE=25.000", "FRAME-RATE=120.000"),
        (&["1.26"], MASTER, "AVERAGE-BANDWIDTH=", "AVERAGE-BANDWIDTH=9"),
        (&["1.27"], MASTER, "INF:BANDWIDTH=", "INF:BANDWIDTH=9"),
        (&["1.33"], MASTER, "RESOLUTION=320x180", "RESOLUTION=320x240"),
        (&["2.2, 2.5", CODECS], MASTER, "mp4a.40.2", "Opus"),
        (
            &["1.27", "7.3", "RFC 8216bis 4.4.3.6"],
            VIDEO,
            "seg_00002.m4s",
            "seg_00001.m4s",
        ),
        (
            &["7.7", "8.2", "RFC 8216bis 4.4.3.1"],
            VIDEO,
            "TARGETDURATION:2",
            "TARGETDURATION:1",
        ),
        (&["8.1"], VIDEO, "EXTINF:2.000000", "EXTINF:2.100000"),
        (&["8.2"], VIDEO, "TARGETDURATION:2", "TARGETDURATION:3"),
        (&["8.6"], VIDEO, "#EXT-X-PLAYLIST-TYPE:VOD\n", ""),
        (&["8.10"], MASTER, "LANGUAGE=\"fr\",", ""),
        (
            &["8.15"],
            VIDEO,
            "#EXTINF:2.000000,\nseg_00002",
            "#EXT-X-DISCONTINUITY\n#EXTINF:2.000000,\nseg_00002",
        ),
        (&["9.1"], MASTER, "CODECS=", "X-CODECS="),
        (&["9.2"], MASTER, "RESOLUTION=", "X-RESOLUTION="),
        (&["9.11"], MASTER, "#EXT-X-INDEPENDENT-SEGMENTS\n", ""),
        (&["9.14"], MASTER, "AVERAGE-BANDWIDTH=", "X-AVERAGE-BANDWIDTH="),
        (&["9.15"], MASTER, "FRAME-RATE=", "X-FRAME-RATE="),
        (&["9.19"], MASTER, "INF:BANDWIDTH=", "INF:SCORE=1,BANDWIDTH="),
        (&["13.3"], VIDEO, "URI=\"https:", "URI=\"skd:"),
        (
            &["13.11", "RFC 8216bis 4.4.4.4"],
            VIDEO,
            "=SAMPLE-AES,",
            "=SAMPLE-AES-CTR,",
        ),
        (&["RFC 8216bis 4.4.4.4"], VIDEO, "#EXT-X-KEY:", "#X-KEY:"),
        (
            &["RFC 8216bis 4.2", "RFC 8216bis 8 (lowest)"],
            MASTER,
            "#EXT-X-SESSION-KEY:",
            "#EXT-X-SESSION-KEY:X=\"1\"2,",
        ),
        (&["RFC 8216bis 4.4.3.4"], VIDEO, "#EXT-X-ENDLIST\n", ""),
        (&["5.5", "RFC 8216bis 4.4.4.1"], TEXT, "#EXTINF:2.000000,\n", ""),
        (&["RFC 8216bis 4.4.6.1"], MASTER, "AUTOSELECT=YES", "AUTOSELECT=NO"),
        (
            &["RFC 8216bis 4.4.6.1.1"],
            MASTER,
            "NAME=\"français\"",
            "NAME=\"English\"",
        ),
        (&["RFC 8216bis 4.4.6.2"], MASTER, "SUBTITLES=\"", "SUBTITLES=\"no-"),
        (&["RFC 8216bis 8"], VIDEO, "VERSION:6", "VERSION:3"),
        (&["RFC 8216bis 8 (lowest)"], VIDEO, "VERSION:6", "VERSION:9"),
        (&["5.3"], "text/en/seg_00001.vtt", "X-TIMESTAMP-MAP", "NOTE"),
        (&["5.2"], "text/en/seg_00001.vtt", "WEBVTT", "1"),
    ] {
        let path = workspace.path("out").join(file);
        let whole = fs::read_to_string(&path).unwrap();
        let damaged = whole.replacen(from, to, 1);
        assert_ne!(whole, damaged, "{rules:?}: {file} has no {from:?}:\n{whole}");
        fs::write(&path, damaged).unwrap();
        let verdict = Verdict::of(&workspace, "out");
        let more: BTreeSet<String> = &bad(&verdict) - &bad(&before);
        assert_eq!(
            more,
            rules.iter().map(|rule| (*rule).to_owned()).collect(),
            "{file}: {from:?}, {to:?}"
        );
        fs::write(&path, whole).unwrap();
    }
}

#[test]
fn a_damaged_box_breaks_its_rule() {
    let workspace = Workspace::new();
    ladder(&workspace, "out", &[]);
    let before = Verdict::of(&workspace, "out").rules("fail");
    // Where it stands in its box; the version and flags of a full box are four bytes.
    for (rule, file, kind, place, bytes) in [
        ("13.7", "video/180p/init.mp4", b"tenc", 9, &[0x28_u8][..]),
        ("RFC 8216bis 4.4.4.4", "video/180p/init.mp4", b"schm", 8, b"cenc"),
        ("7.3", "video/180p/seg_00002.m4s", b"tfdt", 14, &[9]),
        ("RFC 8216bis 4.4.4", "video/180p/seg_00002.m4s", b"moof", 0, b"free"),
    ] {
        let path = workspace.path("out").join(file);
        let whole = fs::read(&path).unwrap();
        let at = whole.windows(4).position(|window| window == kind).unwrap();
        let mut damaged = whole.clone();
        if kind == b"moof" {
            damaged.truncate(at + 40);
        } else {
            damaged[at + place..at + place + bytes.len()].copy_from_slice(bytes);
        }
        fs::write(&path, damaged).unwrap();
        let more: BTreeSet<String> = &Verdict::of(&workspace, "out").rules("fail") - &before;
        assert!(more.contains(rule), "{rule}: {more:?}");
        fs::write(&path, whole).unwrap();
    }
    fs::remove_file(workspace.path("out/audio/en/seg_00001.m4s")).unwrap();
    let verdict = Verdict::of(&workspace, "out");
    assert!(verdict.places("RFC 8216bis 4.4.4").contains("seg_00001.m4s"));
}

/// Edits a copy of an output.
type Edit<'a> = &'a dyn Fn(&Path);

/// Replaces text in all lines of a playlist that start with this.
#[track_caller]
fn edit(path: &Path, start: &str, from: &str, to: &str) {
    let whole = fs::read_to_string(path).unwrap();
    let lines = whole.split_inclusive('\n').map(|line| {
        if line.starts_with(start) {
            line.replace(from, to)
        } else {
            line.to_owned()
        }
    });
    let edited: String = lines.collect();
    assert_ne!(whole, edited, "{start:?} has no {from:?}:\n{whole}");
    fs::write(path, edited).unwrap();
}

/// The first box of a type, its header with it.
fn first_box(data: &[u8], kind: [u8; 4]) -> std::ops::Range<usize> {
    let start = data.windows(4).position(|window| *window == kind).unwrap() - 4;
    let bytes = u32::from_be_bytes(data[start..start + 4].try_into().unwrap());
    start..start + usize::try_from(bytes).unwrap()
}

/// Puts bytes to `at`, inside of the first boxes of these types.
fn insert(path: &Path, kinds: &[&[u8; 4]], at: usize, more: &[u8]) {
    let mut data = fs::read(path).unwrap();
    for kind in kinds {
        let place = first_box(&data, **kind);
        let bytes = u32::try_from(place.len() + more.len()).unwrap();
        data[place.start..place.start + 4].copy_from_slice(&bytes.to_be_bytes());
    }
    data.splice(at..at, more.iter().copied());
    fs::write(path, data).unwrap();
}

/// Gives an init segment the track of another one, or its own once more.
fn add_track(init: &Path, from: &Path) {
    let from = fs::read(from).unwrap();
    let track = from[first_box(&from, *b"trak")].to_vec();
    let at = first_box(&fs::read(init).unwrap(), *b"trak").end;
    insert(init, &[b"moov"], at, &track);
}

/// Puts a clear sample description in front of the encrypted one.
fn add_clear_entry(init: &Path) {
    let data = fs::read(init).unwrap();
    let place = first_box(&data, *b"encv");
    let mut entry = data[place.clone()].to_vec();
    entry[4..8].copy_from_slice(b"avc1");
    let sinf = first_box(&entry, *b"sinf").start;
    entry[sinf + 4..sinf + 8].copy_from_slice(b"free");
    let parents = [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"];
    insert(init, &parents, place.start, &entry);
    let mut data = fs::read(init).unwrap();
    data[place.start - 1] = 2;
    fs::write(init, data).unwrap();
}

/// Rules that one line does not break.
#[test]
#[expect(clippy::too_many_lines, reason = "one list of edits, a few lines each")]
fn an_edited_output_breaks_its_rule() {
    let workspace = Workspace::new();
    ladder(&workspace, "out", &[]);
    let fairplay = [
        "--key-format",
        "com.apple.streamingkeydelivery",
        "--key-uri",
        "skd://{kid}",
    ];
    ladder(&workspace, "fairplay", &fairplay);
    workspace.package(&[fixture("demo.mp4")], "demo", &["--segment-duration", "2"]);
    workspace.package(&[fixture("hevc-main10-hdr10.mp4")], "hdr", &[]);
    workspace.package(&[fixture("aac-5.1.mp4")], "surround", &[]);
    let surround = files(&workspace.path("surround/audio"));
    let surround = surround.iter().find(|path| path.ends_with("init.mp4")).unwrap();

    let codec = |from: &'static str, to: &'static str| {
        move |out: &Path| edit(&out.join(MASTER), "#EXT-X-STREAM-INF:", from, to)
    };
    let transport_stream = |out: &Path, file: &str| fs::write(out.join(file), [0x47_u8; 188 * 2]).unwrap();
    let in_transport_stream = |to: &'static str| {
        move |out: &Path| {
            codec("avc1.64000C", to)(out);
            transport_stream(out, "video/180p/seg_00001.m4s");
        }
    };
    let bad = |verdict: &Verdict| &verdict.rules("fail") | &verdict.rules("warn");
    // A rendition with more attributes that players may not choose.
    let rendition = |kind: &'static str, more: &'static str| {
        move |out: &Path| {
            let start = format!("#EXT-X-MEDIA:TYPE={kind},");
            edit(&out.join(MASTER), &start, "AUTOSELECT=YES", "AUTOSELECT=NO");
            edit(&out.join(MASTER), &start, ":TYPE", &format!(":{more},TYPE"));
        }
    };
    let iframes = |from: &'static str, to: &'static str| {
        move |out: &Path| edit(&out.join(MASTER), "#EXT-X-I-FRAME-STREAM-INF:", from, to)
    };
    let live = |out: &Path| {
        for tag in ["#EXT-X-PLAYLIST-TYPE:VOD\n", "#EXT-X-ENDLIST\n"] {
            edit(&out.join(DEMO), tag, tag, "");
        }
    };
    let without_segment = |out: &Path, file: &str, number: usize| {
        let path = out.join(file);
        let whole = fs::read_to_string(&path).unwrap();
        let (before, after) = whole.split_once(&format!("seg_{number:05}.m4s\n")).unwrap();
        let before = &before[..before.rfind("#EXTINF").unwrap()];
        fs::write(&path, [before, after].concat()).unwrap();
    };
    let fairplay_key =
        |from: &'static str, to: &'static str| move |out: &Path| edit(&out.join(VIDEO), "#EXT-X-KEY:", from, to);

    let edits: &[(&str, &str, Edit<'_>)] = &[
        ("1.5", "out", &in_transport_stream("hvc1.1.6.L93.B0")),
        ("1.6a", "out", &codec("avc1.64000C", "hvc1.1.6.L123.B0")),
        ("1.6a", "out", &codec("avc1.64000C", "hvc1.1.6.H93.B0")),
        ("1.6b", "out", &codec("avc1.64000C", "hvc1.1.6.L156.B0")),
        ("1.6b", "out", &codec("avc1.64000C", "hvc1.4.10.L93.B0")),
        ("1.9", "out", &codec("avc1.64000C", "dvh1.08.06")),
        ("1.9", "out", &codec("avc1.64000C", "dvh1.05.08")),
        ("1.13", "demo", &|out| without_segment(out, DEMO, 2)),
        ("1.30", "demo", &|out| {
            // A box of four megabytes that players skip.
            let path = out.join("video/360p/seg_00002.m4s");
            let mut data = fs::read(&path).unwrap();
            data.extend([&[0, 0x40, 0, 0][..], b"free", &vec![0; 0x40_0000 - 8]].concat());
            fs::write(&path, data).unwrap();
        }),
        ("1.37", "out", &codec("avc1.64000C", "av01.0.19M.08")),
        ("1.39", "out", &in_transport_stream("av01.0.04M.08")),
        (
            "2.13",
            "out",
            &rendition("AUDIO", "CHARACTERISTICS=\"public.accessibility.describes-video\""),
        ),
        ("2.17", "out", &|out| {
            let init = out.join("audio/en/init.mp4");
            add_track(&init, &init);
        }),
        ("2.25", "out", &|out| {
            codec("mp4a.40.2", "alac")(out);
            transport_stream(out, "audio/en/seg_00001.m4s");
        }),
        ("2.26", "out", &|out| {
            codec("mp4a.40.2", "fLaC")(out);
            edit(
                &out.join(MASTER),
                "#EXT-X-MEDIA:TYPE=AUDIO",
                "CHANNELS=\"2\"",
                "CHANNELS=\"6\"",
            );
        }),
        (
            "4.6",
            "out",
            &rendition(
                "SUBTITLES",
                "CHARACTERISTICS=\"public.accessibility.transcribes-spoken-dialog\"",
            ),
        ),
        ("5.11", "out", &rendition("SUBTITLES", "FORCED=YES")),
        ("6.16", "out", &iframes("INF:", "INF:VIDEO-RANGE=PQ,")),
        ("7.4", "demo", &|out| {
            let path = out.join("video/360p/seg_00002.m4s");
            let mut data = fs::read(&path).unwrap();
            let run = first_box(&data, *b"trun");
            let sync = 0x0200_0000_u32.to_be_bytes();
            let flags = data[run.clone()].windows(4).position(|window| window == sync).unwrap();
            // A sample that depends on others, and is no sync sample.
            data[run.start + flags..][..4].copy_from_slice(&0x0101_0000_u32.to_be_bytes());
            fs::write(&path, data).unwrap();
        }),
        ("8.3", "demo", &|out| {
            without_segment(out, "audio/audio/playlist.m3u8", 5);
            without_segment(out, "audio/audio/playlist.m3u8", 6);
        }),
        ("8.4", "demo", &live),
        ("8.11", "demo", &|out| {
            // Six segments are enough.
            live(out);
            assert!(!bad(&Verdict::of(&workspace, "edited")).contains("8.11"));
            without_segment(out, DEMO, 1);
        }),
        ("8.20", "out", &|out| {
            edit(&out.join(VIDEO), "#EXT-X-MAP:", "#EXT-X-MAP:", "#X-MAP:");
        }),
        ("9.3", "out", &iframes(",CODECS=", ",X-CODECS=")),
        ("9.4", "out", &iframes("RESOLUTION=", "X-RESOLUTION=")),
        ("9.5", "out", &|out| {
            add_track(&out.join("video/180p/init.mp4"), &out.join("audio/en/init.mp4"));
        }),
        ("9.6", "out", &|out| {
            add_track(&out.join("video/180p/init.mp4"), surround);
        }),
        ("9.16", "out", &codec("INF:", "INF:VIDEO-RANGE=PQ,")),
        ("9.16", "hdr", &codec("VIDEO-RANGE=PQ", "VIDEO-RANGE=HLG")),
        ("9.16", "hdr", &codec("VIDEO-RANGE=", "X-VIDEO-RANGE=")),
        ("13.2", "fairplay", &fairplay_key("=SAMPLE-AES,", "=AES-128,")),
        (
            "13.4",
            "fairplay",
            &fairplay_key("URI=", "IV=0x5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a,URI="),
        ),
        ("13.10", "out", &|out| add_clear_entry(&out.join("video/180p/init.mp4"))),
    ];
    for (rule, out, edit) in edits {
        assert!(!bad(&Verdict::of(&workspace, out)).contains(*rule), "{rule} of {out}");
        let edited = workspace.path("edited");
        run(Command::new("cp").arg("-r").arg(workspace.path(out)).arg(&edited));
        edit(&edited);
        let found = bad(&Verdict::of(&workspace, "edited"));
        assert!(found.contains(*rule), "{rule} of {out}: {found:?}");
        fs::remove_dir_all(&edited).unwrap();
    }
    // Both are there in what we write for FairPlay Streaming, and right.
    let passed = Verdict::of(&workspace, "fairplay").rules("pass");
    for rule in ["13.2", "13.3", "13.4"] {
        assert!(passed.contains(rule), "{rule}: {passed:?}");
    }
}

fn shaka(workspace: &Workspace, out: &str) -> Option<()> {
    let mut command = Command::new(tool("packager")?);
    fs::create_dir(workspace.path(out)).unwrap();
    command.current_dir(workspace.path(out));
    for name in ["v180", "v360"] {
        let input = fixture(&format!("{name}.mp4"));
        command.arg(format!(
            "in={},stream=video,init_segment={name}/init.mp4,segment_template={name}/$Number$.m4s,\
             playlist_name={name}.m3u8,iframe_playlist_name={name}-i.m3u8",
            input.display()
        ));
    }
    let input = fixture("a-en.mp4");
    command.arg(format!(
        "in={},stream=audio,init_segment=a/init.mp4,segment_template=a/$Number$.m4s,playlist_name=a.m3u8,\
         hls_group_id=audio",
        input.display()
    ));
    let key = "000102030405060708090a0b0c0d0e0f";
    command.args(["--segment_duration", "2", "--hls_master_playlist_output", "master.m3u8"]);
    command.args([
        "--enable_raw_key_encryption",
        "--protection_scheme",
        "cbcs",
        "--clear_lead",
        "0",
    ]);
    command.args([
        "--keys",
        &format!("label=:key_id={key}:key={key}"),
        "--hls_key_uri",
        "https://keys.example.com/",
    ]);
    run(&mut command);
    Some(())
}

fn ffmpeg(workspace: &Workspace, out: &str, more: &[&str]) -> Option<PathBuf> {
    let folder = workspace.path(out);
    fs::create_dir(&folder).unwrap();
    let mut command = Command::new(tool("ffmpeg8")?);
    command.current_dir(&folder).args(["-v", "error"]);
    for name in ["v180.mp4", "v360.mp4", "a-en.mp4"] {
        command.arg("-i").arg(fixture(name));
    }
    command.args([
        "-map",
        "0:v",
        "-map",
        "1:v",
        "-map",
        "2:a",
        "-c",
        "copy",
        "-f",
        "hls",
        "-hls_time",
        "2",
    ]);
    command.args(more);
    command.args(["-master_pl_name", "film.m3u8", "-var_stream_map"]);
    command.args([
        "v:0,agroup:aud v:1,agroup:aud a:0,agroup:aud,default:yes,language:en",
        "out_%v.m3u8",
    ]);
    run(&mut command);
    Some(folder)
}

#[test]
fn shaka_packager_leaves_out_keyframes() {
    let workspace = Workspace::new();
    if shaka(&workspace, "out").is_none() {
        return;
    }
    let verdict = Verdict::of(&workspace, "out");
    verdict.fails(&[]);
    let warned = ["4.1", "7.5", "7.6", "RFC 8216bis 4.4.3.6", "RFC 8216bis 8 (lowest)"];
    assert_eq!(verdict.rules("warn"), warned.map(str::to_owned).into());
    // An I-frame's range that begins behind its moof.
    let path = workspace.path("out/v180-i.m3u8");
    let playlist = fs::read_to_string(&path).unwrap();
    fs::write(&path, playlist.replacen("@84", "@85", 1)).unwrap();
    Verdict::of(&workspace, "out").fails(&["6.10"]);
    fs::write(&path, playlist.replace("#EXT-X-I-FRAMES-ONLY\n", "")).unwrap();
    assert!(Verdict::of(&workspace, "out").rules("fail").contains("6.8"));
}

#[test]
fn ffmpeg_counts_bandwidth_without_audio() {
    let workspace = Workspace::new();
    if ffmpeg(
        &workspace,
        "out",
        &["-hls_playlist_type", "vod", "-hls_segment_type", "fmp4"],
    )
    .is_none()
    {
        return;
    }
    let verdict = Verdict::of(&workspace, "out");
    verdict.fails(&["1.26", "1.27", "6.1", "9.12", "9.15"]);
    assert!(verdict.rules("warn").contains("9.11"));
    assert!(verdict.places("1.27").contains("BANDWIDTH is"));
}

#[test]
fn transport_streams_are_not_looked_into() {
    let workspace = Workspace::new();
    let Some(folder) = ffmpeg(&workspace, "out", &[]) else {
        return;
    };
    let verdict = Verdict::of(&workspace, "out");
    assert!(verdict.rules("fail").contains("8.6"));
    let unchecked = verdict.rules("not_checked");
    assert!(unchecked.contains("7.4") && unchecked.contains("8.1"), "{unchecked:?}");
    // One media playlist alone.
    for other in ["film.m3u8", "out_1.m3u8", "out_2.m3u8"] {
        fs::remove_file(folder.join(other)).unwrap();
    }
    let verdict = Verdict::of(&workspace, "out");
    assert_eq!(
        Path::new(verdict.report["playlist"].as_str().unwrap()),
        Path::new("out/out_0.m3u8")
    );
}

#[test]
fn a_folder_without_a_beginning_is_refused() {
    let workspace = Workspace::new();
    fs::create_dir(workspace.path("out")).unwrap();
    let refused = |what: &str| {
        let verdict = Verdict::of(&workspace, "out");
        assert_eq!(verdict.exit_code, 3, "{}", verdict.error);
        assert!(verdict.error.contains(what), "{}", verdict.error);
    };
    refused("no file that ends in .m3u8");
    for name in ["a.m3u8", "b.m3u8"] {
        fs::write(workspace.path("out").join(name), "#EXTM3U\n#EXT-X-TARGETDURATION:6\n").unwrap();
    }
    refused("a.m3u8 (media), b.m3u8 (media)");
    fs::write(workspace.path("out/a.m3u8"), "no playlist\n").unwrap();
    refused("first line is not #EXTM3U");
}

#[test]
fn sarif_names_rules_and_lines() {
    let workspace = Workspace::new();
    ladder(&workspace, "out", &[]);
    let mut command = workspace.vylux_pack();
    let output = command.args(["verify", "out", "--apple", "--sarif"]).output().unwrap();
    let log: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    for result in run["results"].as_array().unwrap() {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        let place = &result["locations"][0]["physicalLocation"];
        let file = place["artifactLocation"]["uri"].as_str().unwrap();
        assert!(workspace.path("out").join(file).is_file(), "{file}");
        assert!(place["region"]["startLine"].as_u64() >= Some(1));
    }
}

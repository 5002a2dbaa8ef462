//! ffmpeg decrypts what we write to the packets, frames and times of the source.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{RenditionFiles, Workspace, derive, fixture, for_each, inputs, is_vp9, player, samples, tool};

/// A packet or frame as `-f framemd5` prints it; times in ticks of its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    dts: i64,
    pts: i64,
    bytes: u64,
    hash: String,
}

/// What ffmpeg makes of one track.
struct Track {
    packets: Vec<Line>,
    frames: Vec<Line>,
}

/// What ffmpeg is asked for.
#[derive(Clone, Copy)]
enum Input<'a> {
    /// Stream `kind:index` of a clear file.
    Source(&'a Path, &'a str),
    /// A file with one track, encrypted, through a pipe.
    Encrypted(&'a [u8], &'a str),
}

/// Demuxes a track, and decodes it if `decode` says so.
fn run(ffmpeg: &Path, workspace: &Workspace, input: Input<'_>, decode: bool) -> Result<Track, String> {
    let (packets, frames) = (workspace.path("packets"), workspace.path("frames"));
    let mut command = Command::new(ffmpeg);
    command.args(["-nostdin", "-y", "-v", "error", "-copyts", "-ignore_editlist", "1"]);
    let (stream, bytes) = match input {
        Input::Source(path, stream) => {
            command.arg("-i").arg(path);
            (format!("0:{stream}"), None)
        }
        Input::Encrypted(bytes, key) => {
            command.args(["-decryption_key", key, "-i", "pipe:0"]);
            ("0:0".to_owned(), Some(bytes))
        }
    };
    command
        .args(["-map", &stream, "-c", "copy", "-f", "framemd5"])
        .arg(&packets);
    if decode {
        command
            .args(["-map", &stream, "-fps_mode", "passthrough", "-f", "framemd5"])
            .arg(&frames);
    }
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // ffmpeg may stop reading early; what it made of the input tells.
        scope.spawn(move || bytes.map(|bytes| stdin.write_all(bytes)));
        let output = child.wait_with_output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            return Err(format!("{}: {message}", output.status));
        }
        Ok(Track {
            packets: lines(&packets),
            frames: if decode { lines(&frames) } else { Vec::new() },
        })
    })
}

fn lines(path: &Path) -> Vec<Line> {
    let text = std::fs::read_to_string(path).unwrap();
    let line = |line: &str| {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        // What may follow is side data of packets, which formats have and films don't.
        let [_, dts, pts, _, bytes, hash, ..] = *fields else {
            return None;
        };
        Some(Line {
            dts: dts.parse().ok()?,
            pts: pts.parse().ok()?,
            bytes: bytes.parse().ok()?,
            hash: hash.to_owned(),
        })
    };
    text.lines()
        .filter(|text| !text.starts_with('#'))
        .map(|text| line(text).unwrap_or_else(|| panic!("framemd5: {text}")))
        .collect()
}

/// Compares lines, whose times may be a constant number of ticks later than the source's; returns that number.
fn compare(ours: &[Line], source: &[Line]) -> Result<i64, String> {
    if ours.len() != source.len() {
        return Err(format!("{} instead of {}", ours.len(), source.len()));
    }
    let mut shift = None;
    for (index, (ours, source)) in ours.iter().zip(source).enumerate() {
        let shift = *shift.get_or_insert(ours.dts - source.dts);
        let moved = Line {
            dts: source.dts + shift,
            pts: source.pts + shift,
            ..source.clone()
        };
        if *ours != moved {
            return Err(format!("number {index} is {ours:?} instead of {moved:?}"));
        }
    }
    Ok(shift.unwrap_or(0))
}

fn stream(rendition: &RenditionFiles, renditions: &[RenditionFiles]) -> String {
    let alike = renditions
        .iter()
        .filter(|other| other.is_video() == rendition.is_video());
    let index = alike.take_while(|other| other.name != rendition.name).count();
    format!("{}:{index}", if rendition.is_video() { "v" } else { "a" })
}

fn key() -> String {
    hex::encode(derive::key())
}

/// Fixtures that ffmpeg misreads, with one that has the same samples.
const SAME_SAMPLES_AS: &[(&str, &str)] = &[("trun-follows.mp4", "many-truns.mp4")];

/// ffmpeg refuses fragments with samples that have no bytes; `tests/shaka.rs` and `tests/readers.rs` compare these.
const EMPTY_SAMPLES: &[&str] = &["empty-samples.mp4", "empty-samples-fragmented.mp4"];

/// Tracks with segments that can't be decoded alone: the list of sync samples names one that is none, or leading pictures
/// of a clean random access picture refer to the segment before (H.265, RASL).
const DEPENDENT_SEGMENTS: &[&str] = &["intra-refresh.mp4", "hevc-open-gop.mp4"];

/// A track whose fragments overlap in time, of which ffmpeg decodes a part: ours, without overlap, it decodes whole.
const OVERLAPPING: &str = "fragment-per-sample.mp4";

/// ffmpeg takes a configuration of ALAC from sample entries of type `alac` alone, so it finds none in `enca`, and decodes nothing;
/// what was `dvh1` and is encrypted it takes for DVCPRO HD, which QuickTime files call so, and `dvhe` it decodes; and the samples of two
/// codecs are noise. The packets that it decrypts are compared all the same; `tests/decrypt.rs` has it decode what we decrypt.
const NOT_DECODED: &[&str] = &[
    "alac.mp4",
    "alac-44100-fragmented.mp4",
    "alac-quicktime.mp4",
    "hevc-dolby-vision-5.mp4",
    "ac4.mp4",
    "dtsx.mp4",
];

/// xHE-AAC, which ffmpeg 5.1 does not know.
const XHE_AAC: &str = "xhe-aac.mp4";

/// Whether a tool decodes what it decrypts of a fixture; ffmpeg 8.1 as `PyPI` has it comes without a decoder of AV1.
fn is_decoded(tool: &str, name: &str) -> bool {
    let is_known = if tool == "ffmpeg" {
        name != XHE_AAC
    } else {
        !name.starts_with("av1")
    };
    is_known && !NOT_DECODED.contains(&name)
}

/// What a fixture's samples are compared with.
fn source(name: &str) -> PathBuf {
    let same = SAME_SAMPLES_AS.iter().find(|(fixture, _)| *fixture == name);
    fixture(same.map_or(name, |(_, same)| same))
}

/// How many ticks our times are later than the source's media times, as ffmpeg reads both.
fn expected_shift(name: &str, rendition: &RenditionFiles) -> i64 {
    match name {
        // The track starts 478 ms late by its edit list. That is in the decode times, because players of fragmented files
        // ignore empty edits.
        "edit-audio-delay.mp4" if !rendition.is_video() => 478 * 48,
        NEGATIVE_OFFSETS if rendition.is_video() => NEGATIVE_OFFSET_TICKS,
        _ => 0,
    }
}

/// A progressive file with negative composition offsets. ffmpeg adds the largest of them to all presentation times of a
/// fragmented file, and of a progressive one it doesn't; `negative_offsets_are_kept` reads ours without it.
const NEGATIVE_OFFSETS: &str = "negative-offsets.mp4";

/// The largest negative composition offset of [`NEGATIVE_OFFSETS`]: two frames.
const NEGATIVE_OFFSET_TICKS: i64 = 1024;

#[test]
fn negative_offsets_are_kept() {
    let Some(ffprobe) = tool("ffprobe") else { return };
    let workspace = Workspace::new();
    let renditions = workspace.encrypt(NEGATIVE_OFFSETS, "out");
    let samples = samples::read(&renditions.first().unwrap().joined()).unwrap();
    let smallest = samples.iter().map(|sample| sample.composition_ticks).min();
    assert_eq!(smallest, Some(-NEGATIVE_OFFSET_TICKS));
    let ticks = |sample: &samples::Sample| i64::try_from(sample.decode_ticks).unwrap() + sample.composition_ticks;
    let mut ours: Vec<String> = samples
        .iter()
        .map(|sample| format!("{:.6}", seconds(ticks(sample))))
        .collect();
    let source = packet_times(&ffprobe, "v", &fixture(NEGATIVE_OFFSETS), &[]).unwrap();
    let source: Vec<String> = source.into_iter().map(|(pts, _)| pts).collect();
    ours.sort();
    assert_eq!(ours, source);
}

/// Seconds of ticks of the video of [`NEGATIVE_OFFSETS`].
#[expect(clippy::cast_precision_loss, reason = "a few seconds")]
fn seconds(ticks: i64) -> f64 {
    ticks as f64 / 12_800.0
}

/// The distribution's ffmpeg (5.1 in Debian 12) and 8.1, segment by segment from a pipe.
#[test]
fn segments_decrypt_to_the_packets_and_frames_of_the_source() {
    let (Some(ffmpeg), Some(ffmpeg8)) = (tool("ffmpeg"), tool("ffmpeg8")) else {
        return;
    };
    for_each(&inputs(), |name| {
        let workspace = Workspace::new();
        let renditions = workspace.encrypt(name, "out");
        for rendition in &renditions {
            for (tool, ffmpeg) in [("ffmpeg", &ffmpeg), ("ffmpeg8", &ffmpeg8)] {
                let failed = |what: &str, error: String| format!("{tool}, {}: {what}: {error}", rendition.name);
                let (mut packets, mut frames) = (Vec::new(), Vec::new());
                let mut refused = None;
                for segment in &rendition.segments {
                    let file = [&rendition.init, segment]
                        .map(|path| std::fs::read(path).unwrap())
                        .concat();
                    match run(
                        ffmpeg,
                        &workspace,
                        Input::Encrypted(&file, &key()),
                        is_decoded(tool, name),
                    ) {
                        Ok(track) => {
                            packets.extend(track.packets);
                            frames.extend(track.frames);
                        }
                        Err(error) => refused = Some(error),
                    }
                }
                if EMPTY_SAMPLES.contains(&name) {
                    assert!(refused.is_some(), "{tool} reads {name} now: take the exception away");
                    continue;
                }
                if let Some(error) = refused {
                    return Err(failed("segment", error));
                }
                let source = run(
                    ffmpeg,
                    &workspace,
                    Input::Source(&source(name), &stream(rendition, &renditions)),
                    is_decoded(tool, name),
                )
                .map_err(|error| failed("source", error))?;
                let shift = compare(&packets, &source.packets).map_err(|error| failed("packets", error))?;
                if shift != expected_shift(name, rendition) {
                    return Err(failed("packets", format!("{shift} ticks late")));
                }
                // A decoder of audio needs the packet before, so audio is decoded as a whole below.
                if rendition.is_video() && !DEPENDENT_SEGMENTS.contains(&name) {
                    compare(&frames, &source.frames).map_err(|error| failed("frames", error))?;
                }
            }
        }
        Ok(())
    });
}

/// ffmpeg 8.1, all segments of a rendition in one file: 5.1 mixes up the encryption of several fragments.
#[test]
fn renditions_decrypt_to_the_packets_and_frames_of_the_source() {
    let Some(ffmpeg) = tool("ffmpeg8") else { return };
    let names: Vec<String> = inputs()
        .into_iter()
        .filter(|name| !EMPTY_SAMPLES.contains(&&**name))
        .collect();
    for_each(&names, |name| {
        let workspace = Workspace::new();
        let renditions = workspace.encrypt(name, "out");
        renditions
            .iter()
            .try_for_each(|rendition| decrypts_to_the_source(&ffmpeg, &workspace, name, rendition, &renditions))
    });
}

/// A codec of each kind under the other schemes, in ffmpeg 8.1.
#[test]
fn other_schemes_decrypt_to_the_packets_and_frames_of_the_source() {
    let Some(ffmpeg) = tool("ffmpeg8") else { return };
    let names = [
        "demo.mp4",
        "slices-4.mp4",
        "nal-length-1.mp4",
        "hevc.mp4",
        "hevc-slices-4.mp4",
        "av1.mp4",
        "av1-tiles.mp4",
        "vp9.mp4",
        "opus.mp4",
        "flac.mp4",
        "ac3-5.1.mp4",
        "eac3-fragmented.mp4",
        "mp3.mp4",
        "dtsc-5.1.mp4",
    ];
    let schemes: [&[&str]; 4] = [
        &["--scheme", "cenc"],
        &["--scheme", "cenc", "--iv-size", "16"],
        &["--scheme", "cens"],
        &["--scheme", "cbc1"],
    ];
    for_each(&names.map(str::to_owned), |name| {
        for scheme in schemes {
            if is_vp9(name) && !scheme.contains(&"cenc") {
                continue;
            }
            let workspace = Workspace::new();
            let renditions = workspace.package(&[fixture(name)], "out", scheme);
            for rendition in &renditions {
                // ffmpeg decrypts all of a whole sample. Under cens the rest of its last block is clear (ISO/IEC 23001-7, 9.7),
                // as Shaka Packager leaves it too (tests/shaka.rs).
                if scheme.contains(&"cens") && !rendition.is_video() {
                    continue;
                }
                decrypts_to_the_source(&ffmpeg, &workspace, name, rendition, &renditions)
                    .map_err(|error| format!("{scheme:?}, {error}"))?;
            }
        }
        Ok(())
    });
}

/// Whether `ffmpeg` decrypts all segments of a rendition in one file to the packets and frames of the source.
fn decrypts_to_the_source(
    ffmpeg: &Path,
    workspace: &Workspace,
    name: &str,
    rendition: &RenditionFiles,
    renditions: &[RenditionFiles],
) -> Result<(), String> {
    let failed = |error: String| format!("{}: {error}", rendition.name);
    let decoded = is_decoded("ffmpeg8", name);
    let source = run(
        ffmpeg,
        workspace,
        Input::Source(&source(name), &stream(rendition, renditions)),
        decoded,
    );
    let (source, file) = (source.map_err(failed)?, rendition.joined());
    let ours = run(ffmpeg, workspace, Input::Encrypted(&file, &key()), decoded).map_err(failed)?;
    let mut pairs = vec![("packets", ours.packets, source.packets)];
    if decoded && (name != OVERLAPPING || rendition.is_video()) {
        pairs.push(("frames", ours.frames, source.frames));
    }
    for (what, ours, source) in pairs {
        let shift = compare(&ours, &source).map_err(|error| failed(format!("{what}: {error}")))?;
        // Frames count in other ticks; packets tell how late they are.
        if what == "packets" && shift != expected_shift(name, rendition) {
            return Err(failed(format!("{what}: {shift} ticks late")));
        }
    }
    Ok(())
}

/// How recorders and ffmpeg have the muxer write fragments.
const LAYOUTS: &[&str] = &[
    "faststart",
    "frag_keyframe",
    "frag_keyframe+empty_moov",
    "frag_keyframe+delay_moov",
    "frag_every_frame",
    "frag_every_frame+empty_moov",
    "frag_every_frame+delay_moov",
    "frag_keyframe+dash",
    "frag_keyframe+cmaf",
    "frag_keyframe+hybrid_fragmented",
];

/// What each of the layouts is combined with.
const MODIFIERS: &[&str] = &[
    "default_base_moof",
    "separate_moof",
    "separate_moof+default_base_moof",
    "omit_tfhd_offset",
    "omit_tfhd_offset+separate_moof",
    "frag_discont",
    "negative_cts_offsets",
    "global_sidx",
    "global_sidx+default_base_moof",
    "skip_sidx",
    "skip_trailer",
    "write_colr",
    "use_metadata_tags",
];

/// What is wrong with a file that ffmpeg writes with these flags.
fn fault(flags: &str) -> Option<&'static str> {
    let has = |flag: &str| flags.split('+').any(|other| other == flag);
    let is_moved = has("global_sidx") && !["faststart", "dash", "cmaf", "hybrid_fragmented"].into_iter().any(has);
    match () {
        // The index is put in front at the end, and absolute offsets still count without it: ffmpeg decodes none of it either.
        () if is_moved && !has("default_base_moof") => Some("are not inside one 'mdat'"),
        // The encoder's priming lies in front of zero, and `tfdt` is unsigned (ISO/IEC 14496-12, 8.8.12).
        () if has("frag_discont") && (has("delay_moov") || has("cmaf")) => Some("no time where it is meant as -1024"),
        () => None,
    }
}

/// ffmpeg adds the largest negative offset to the times of the fragments, and not to those of the movie box in front of them.
const JUMPS: &str = "frag_keyframe+negative_cts_offsets";

/// Every combination is read as ffmpeg reads it, or refused because it is broken.
#[test]
fn every_combination_of_movflags_has_the_packets_and_frames_of_its_source() {
    let Some(ffmpeg) = tool("ffmpeg8") else { return };
    let combinations: Vec<String> = LAYOUTS
        .iter()
        .flat_map(|layout| {
            let combined = MODIFIERS.iter().map(move |modifier| format!("{layout}+{modifier}"));
            [(*layout).to_owned()].into_iter().chain(combined)
        })
        .collect();
    for_each(&combinations, |flags| {
        let workspace = Workspace::new();
        let source = workspace.path("source.mp4");
        let mut command = Command::new(&ffmpeg);
        command
            .args(["-nostdin", "-v", "error", "-i"])
            .arg(fixture("edit-media-time.mp4"))
            .args(["-c", "copy", "-movflags", flags])
            .arg(&source);
        common::run(&mut command);
        if let Some(fault) = fault(flags) {
            let mut command = workspace.vylux_pack();
            command.args([
                "encrypt",
                "source.mp4",
                "--content-id",
                "x",
                "--no-store",
                "--out",
                "out",
            ]);
            let output = command.output().unwrap();
            let error = String::from_utf8_lossy(&output.stderr);
            let is_refused = output.status.code() == Some(3) && error.contains(fault);
            return if is_refused { Ok(()) } else { Err(error.into_owned()) };
        }
        let renditions = workspace.package(std::slice::from_ref(&source), "out", &[]);
        let mut verify = workspace.vylux_pack();
        common::run(verify.args(["verify", "out", "--no-store", "--source", "source.mp4"]));
        for rendition in &renditions {
            let failed = |error: String| format!("{}: {error}", rendition.name);
            let stream = stream(rendition, &renditions);
            let source = run(&ffmpeg, &workspace, Input::Source(&source, &stream), true).map_err(failed)?;
            let file = rendition.joined();
            let ours = run(&ffmpeg, &workspace, Input::Encrypted(&file, &key()), true).map_err(failed)?;
            let packets = compare(&ours.packets, &source.packets);
            if flags == JUMPS && rendition.is_video() {
                assert!(packets.is_err(), "{flags} has no jump now: take the exception away");
                continue;
            }
            packets.map_err(|error| failed(format!("packets: {error}")))?;
            // Where fragments overlap, ffmpeg decodes a part of the source's sound.
            if rendition.is_video() || !flags.starts_with("frag_every_frame") {
                compare(&ours.frames, &source.frames).map_err(|error| failed(format!("frames: {error}")))?;
            }
        }
        Ok(())
    });
}

/// With another key nothing comes out right, so that the tests above prove something.
#[test]
fn another_key_decrypts_nothing() {
    let (Some(ffmpeg), Some(ffmpeg8)) = (tool("ffmpeg"), tool("ffmpeg8")) else {
        return;
    };
    let names = ["demo.mp4", "aac-fragmented.mp4", "slices-4.mp4"].map(str::to_owned);
    for_each(&names, |name| {
        let workspace = Workspace::new();
        let renditions = workspace.encrypt(name, "out");
        for (rendition, ffmpeg) in renditions
            .iter()
            .flat_map(|rendition| [(rendition, &ffmpeg), (rendition, &ffmpeg8)])
        {
            let first = rendition.segments.first().unwrap();
            let file = [&rendition.init, first]
                .map(|path| std::fs::read(path).unwrap())
                .concat();
            let hashes = |key: &str| -> Result<Vec<String>, String> {
                let track = run(ffmpeg, &workspace, Input::Encrypted(&file, key), false)?;
                Ok(track.packets.into_iter().map(|packet| packet.hash).collect())
            };
            let (right, wrong) = (hashes(&key())?, hashes(&hex::encode(derive::kid()))?);
            if right.len() != wrong.len() || right.iter().zip(&wrong).any(|(right, wrong)| right == wrong) {
                return Err(format!("{}: packets are the same under another key", rendition.name));
            }
        }
        Ok(())
    });
}

/// Played through the multivariant playlist, every packet has the time that the source's edit lists give it, so that sound
/// and picture are as far from each other as they were.
#[test]
fn times_through_the_playlists_are_those_of_the_source() {
    let (Some(ffprobe), Some(ffprobe8)) = (tool("ffprobe"), tool("ffprobe8")) else {
        return;
    };
    // What the source's edit list hides at the end is in fragments, which is told.
    let is_read = |name: &String| {
        !EMPTY_SAMPLES.contains(&&**name) && ![NEGATIVE_OFFSETS, "edit-trimmed-end.mp4"].contains(&&**name)
    };
    let names: Vec<String> = inputs().into_iter().filter(is_read).collect();
    for_each(&names, |name| {
        let workspace = Workspace::new();
        workspace.package(&[fixture(name)], "out", &["--scheme", "none"]);
        for (tool, ffprobe) in [("ffprobe", &ffprobe), ("ffprobe8", &ffprobe8)] {
            if tool == "ffprobe" && name == XHE_AAC {
                continue;
            }
            for kind in ["v", "a"] {
                let source = packet_times(ffprobe, kind, &source(name), &[])?;
                let ours = packet_times(
                    ffprobe,
                    kind,
                    &workspace.path("out/master.m3u8"),
                    &["-allowed_extensions", "ALL"],
                )?;
                if source != ours {
                    let at = source.iter().zip(&ours).position(|(source, ours)| source != ours);
                    let differ = at.map(|at| (ours.get(at), source.get(at)));
                    return Err(format!(
                        "{tool}, {kind}: {} times of {}, {differ:?}",
                        ours.len(),
                        source.len()
                    ));
                }
            }
        }
        Ok(())
    });
}

/// Presentation and decode times of all packets of a kind, sorted.
fn packet_times(ffprobe: &Path, kind: &str, input: &Path, options: &[&str]) -> Result<Vec<(String, String)>, String> {
    let output = Command::new(ffprobe)
        .args([
            "-v",
            "error",
            "-select_streams",
            kind,
            "-show_entries",
            "packet=pts_time,dts_time",
            "-of",
            "csv=p=0",
        ])
        .args(options)
        .arg(input)
        .output()
        .unwrap();
    if !output.status.success() {
        return Err(format!(
            "{}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    let text = String::from_utf8(output.stdout).unwrap();
    let mut times: Vec<(String, String)> = text
        .lines()
        .filter_map(|line| {
            let (pts, dts) = line.trim_end_matches(',').split_once(',')?;
            Some((pts.to_owned(), dts.to_owned()))
        })
        .collect();
    times.sort();
    Ok(times)
}

/// A player that knows nothing but the multivariant playlist and the key server: it gets the key once from where the
/// playlists say, and shows the source's frames.
#[test]
fn a_player_needs_the_playlist_and_the_key_alone() {
    let Some(ffmpeg) = tool("ffmpeg8") else { return };
    for scheme in ["cbcs", "cenc", "aes-128"] {
        plays(&ffmpeg, scheme);
    }
}

fn plays(ffmpeg: &Path, scheme: &str) {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("http://{}", server.local_addr().unwrap());
    let workspace = Workspace::new();
    workspace.package(
        &[fixture("demo.mp4")],
        "out",
        &["--base-url", &base_url, "--segment-duration", "4", "--scheme", scheme],
    );
    let requests = std::thread::spawn(move || player::serve_key(&server));
    for kind in ["v", "a"] {
        let play = |input: &Path, options: &[&str]| player::frames(ffmpeg, &workspace, input, kind, options);
        let played = play(&workspace.path("out/master.m3u8"), &player::PROTOCOLS);
        let source = play(&fixture("demo.mp4"), &["-ignore_editlist", "1"]);
        assert!(
            source.len() > 200 && source.ends_with(&played) && source.len() - played.len() <= 1,
            "{scheme}: {kind} differs"
        );
    }
    std::net::TcpStream::connect(base_url.trim_start_matches("http://")).unwrap();
    let requests = requests.join().unwrap();
    let expected = format!("GET /api/key/{} HTTP/1.1", common::CONTENT_ID);
    assert!(
        !requests.is_empty() && requests.iter().all(|request| *request == expected),
        "{requests:?}"
    );
}

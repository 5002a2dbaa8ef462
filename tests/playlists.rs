//! Playlists as they are written, word for word: a change of theirs is seen in review. `SNAPSHOTS=overwrite cargo test
//! --test playlists` takes the new ones over.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use common::{RenditionFiles, Workspace, fixture, for_each, inputs, run, tool};
use serde_json::Value;
use snapbox::{Data, assert_data_eq};

/// Compares all playlists of an output, one behind the other, with `tests/playlists/NAME.txt`.
fn assert_playlists(name: &str, inputs: &[&str], more: &[&str]) {
    let work = Workspace::new();
    let inputs: Vec<PathBuf> = inputs.iter().map(|input| fixture(input)).collect();
    let renditions = work.package(&inputs, "out", more);
    let out = work.path("out");
    let text = ["text/en", "text/fr"].map(|folder| out.join(folder).join("playlist.m3u8"));
    let text = text.into_iter().filter(|path| path.exists());
    let of_rendition = |rendition: &RenditionFiles| {
        let playlist = rendition.playlist.clone();
        let iframes = playlist.with_file_name("iframes.m3u8");
        std::iter::once(playlist).chain(iframes.exists().then_some(iframes))
    };
    let media = renditions.iter().flat_map(of_rendition).chain(text);
    let mut text = String::new();
    for path in std::iter::once(out.join("master.m3u8")).chain(media) {
        let name = path.strip_prefix(&out).unwrap().display().to_string();
        text += "--- ";
        text += &name;
        text += "\n";
        text += &fs::read_to_string(&path).unwrap();
    }
    let expected = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/playlists/{name}.txt"));
    assert_data_eq!(text, Data::read_from(&expected, None).raw());
}

#[test]
fn one_film() {
    assert_playlists("demo", &["demo.mp4"], &["--segment-duration", "6"]);
}

#[test]
fn in_the_clear() {
    assert_playlists("clear", &["demo.mp4"], &["--segment-duration", "6", "--scheme", "none"]);
}

#[test]
fn qualities_and_languages() {
    let inputs = ["v360.mp4", "v180.mp4", "a-en.mp4", "a-fr.mp4"];
    assert_playlists("renditions", &inputs, &["--segment-duration", "2"]);
}

#[test]
fn subtitles_beside_video_and_audio() {
    let inputs = ["v360.mp4", "a-en.mp4", "subs_en.vtt", "subs.fr.vtt"];
    assert_playlists("subtitles", &inputs, &["--segment-duration", "2"]);
}

/// Of two qualities of one size, the one that has more bytes comes first.
#[test]
fn a_ladder_is_the_same_in_whatever_order_its_qualities_are_given() {
    let hdcp = format!("{},hdcp=TYPE-0", fixture("v360.mp4").display());
    let options = ["--segment-duration", "2", "--allow-misaligned", "--track", &hdcp];
    for inputs in [
        [
            "v360.mp4",
            "v180.mp4",
            "v180-misaligned.mp4",
            "a-en.mp4",
            "a-fr.mp4",
            "subs_en.vtt",
        ],
        [
            "subs_en.vtt",
            "a-en.mp4",
            "v180-misaligned.mp4",
            "a-fr.mp4",
            "v180.mp4",
            "v360.mp4",
        ],
    ] {
        assert_playlists("ladder", &inputs, &options);
    }
}

/// The bit rates that ffprobe and m3u8-rs read of each variant, in order, are those of a ladder: they fall. The variant that
/// was cut at its own keyframes plays to its end.
#[test]
fn a_ladder_as_others_read_it() {
    let work = Workspace::new();
    let inputs = ["v180-misaligned.mp4", "v360.mp4", "v180.mp4", "a-en.mp4", "a-fr.mp4"].map(fixture);
    let mut more = vec!["--segment-duration", "2", "--allow-misaligned", "--scheme", "none"];
    let tracks = [
        (0, "score=1.5,hdcp=NONE"),
        (1, "hdcp=TYPE-1,score=3"),
        (2, "score=0.25"),
    ];
    let tracks = tracks.map(|(input, options)| format!("{},{options}", inputs.get(input).unwrap().display()));
    more.extend(tracks.iter().flat_map(|track| ["--track", track.as_str()]));
    work.package(&inputs, "out", &more);
    run(work.vylux_pack().args(["verify", "out", "--no-store"]));

    let path = work.path("out/master.m3u8");
    let text = fs::read_to_string(&path).unwrap();
    for (right, wrong, expected) in [
        (",SCORE=3", "", "SCORE is missing, and other variants have it"),
        ("SCORE=3", "SCORE=-3", "SCORE is -3, expected a number above 0"),
        (
            "HDCP-LEVEL=TYPE-1",
            "HDCP-LEVEL=TYPE-2",
            "HDCP-LEVEL is TYPE-2, expected",
        ),
    ] {
        fs::write(&path, text.replacen(right, wrong, 1)).unwrap();
        let output = work
            .vylux_pack()
            .args(["verify", "out", "--no-store"])
            .output()
            .unwrap();
        let words = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(4), "{words}");
        assert!(words.contains(expected), "{expected}: {words}");
    }
    fs::write(&path, text).unwrap();
    let Ok(m3u8_rs::Playlist::MasterPlaylist(mut master)) = m3u8_rs::parse_playlist_res(&fs::read(&path).unwrap())
    else {
        unreachable!("no multivariant playlist")
    };
    master.variants.retain(|variant| !variant.is_i_frame);
    let variants: Vec<_> = master
        .variants
        .iter()
        .map(|variant| {
            let score = variant.other_attributes.as_ref().and_then(|others| others.get("SCORE"));
            let score = score.map(ToString::to_string).unwrap();
            let hdcp = variant.hdcp_level.as_ref().map(ToString::to_string);
            (variant.uri.as_str(), score, hdcp)
        })
        .collect();
    let words = |uri, score: &str, hdcp: Option<&str>| (uri, score.to_owned(), hdcp.map(str::to_owned));
    assert_eq!(
        variants,
        [
            words("video/360p/playlist.m3u8", "3", Some("TYPE-1")),
            words("video/180p/playlist.m3u8", "1.5", Some("NONE")),
            words("video/180p-2/playlist.m3u8", "0.25", None),
        ]
    );
    let rates: Vec<u64> = master.variants.iter().map(|variant| variant.bandwidth).collect();
    assert!(rates.is_sorted_by(|a, b| a > b), "{rates:?}");

    let Some(ffprobe) = tool("ffprobe8") else { return };
    let mut command = Command::new(ffprobe);
    command.args([
        "-v",
        "error",
        "-allowed_extensions",
        "ALL",
        "-show_programs",
        "-count_packets",
        "-of",
        "json",
    ]);
    let found: Value = serde_json::from_slice(&run(command.arg(&path)).stdout).unwrap();
    let programs = found.get("programs").and_then(Value::as_array).unwrap();
    let read: Vec<u64> = programs
        .iter()
        .map(|program| {
            program
                .pointer("/tags/variant_bitrate")
                .unwrap()
                .as_str()
                .unwrap()
                .parse()
                .unwrap()
        })
        .collect();
    assert_eq!(read, rates);
    for program in programs {
        let packets: Vec<&str> = program
            .get("streams")
            .and_then(Value::as_array)
            .unwrap()
            .iter()
            .filter(|stream| stream.get("codec_type").is_some_and(|kind| kind == "video"))
            .map(|stream| stream.get("nb_read_packets").unwrap().as_str().unwrap())
            .collect();
        assert_eq!(packets, ["100"], "{program}");
    }
}

#[test]
fn languages_of_one_file() {
    assert_playlists("languages", &["two-languages.mp4"], &[]);
}

#[test]
fn audio_alone() {
    assert_playlists("audio", &["aac-5.1.mp4"], &[]);
}

#[test]
fn audio_behind_the_end_of_the_video() {
    assert_playlists("audio-longer", &["audio-longer.mp4"], &[]);
}

#[test]
fn vp9_under_its_one_scheme() {
    assert_playlists("vp9", &["vp9-fragmented.mp4"], &["--scheme", "cenc"]);
}

/// No free encoder makes Atmos; what is read of it stands in `dec3` (ETSI TS 103 420, D.2.2.2), to which a complexity of 16 is added here.
#[test]
#[expect(clippy::indexing_slicing, reason = "a test fails by panicking")]
fn joc_is_told_by_its_channels() {
    const COMPLEXITY: [u8; 2] = [1, 16];
    let workspace = Workspace::new();
    let mut film = fs::read(fixture("eac3-fragmented.mp4")).unwrap();
    let mut at = 0;
    for (name, fields) in [
        (b"moov", 0),
        (b"trak", 0),
        (b"mdia", 0),
        (b"minf", 0),
        (b"stbl", 0),
        (b"stsd", 8),
        (b"ec-3", 28),
        (b"dec3", 0),
    ] {
        let size = |film: &[u8], at: usize| u32::from_be_bytes(film[at..at + 4].try_into().unwrap());
        while film[at + 4..at + 8] != *name {
            at += size(&film, at) as usize;
        }
        let larger = size(&film, at) + 2;
        film[at..at + 4].copy_from_slice(&larger.to_be_bytes());
        at += 8 + fields;
    }
    let end = at - 8 + u32::from_be_bytes(film[at - 8..at - 4].try_into().unwrap()) as usize - 2;
    film.splice(end..end, COMPLEXITY);
    fs::write(workspace.path("atmos.mp4"), film).unwrap();
    let inputs = [fixture("v360.mp4"), workspace.path("atmos.mp4")];
    workspace.package(&inputs, "out", &["--allow-misaligned"]);
    let master = fs::read(workspace.path("out/master.m3u8")).unwrap();
    let Ok(m3u8_rs::Playlist::MasterPlaylist(master)) = m3u8_rs::parse_playlist_res(&master) else {
        unreachable!("no multivariant playlist")
    };
    let channels: Vec<_> = master
        .alternatives
        .iter()
        .map(|media| media.channels.as_deref())
        .collect();
    assert_eq!(channels, [Some("16/JOC")]);
}

/// Durations that no decimal fraction tells: their sum does not drift.
#[test]
fn thirty_thousand_by_a_thousand_and_one() {
    assert_playlists("ntsc", &["ntsc.mp4"], &[]);
}

/// Whatever says the range, `colr` or the codec's own headers: playlists say what ffprobe reads, and nothing where all is
/// standard (RFC 8216bis, 4.4.6.2).
#[test]
fn video_ranges_are_what_ffprobe_reads() {
    let Some(ffprobe) = tool("ffprobe8") else { return };
    let mut seen = BTreeSet::new();
    // ffprobe refuses fragments with samples of no bytes.
    for name in inputs().into_iter().filter(|name| !name.starts_with("empty-samples")) {
        let mut command = Command::new(&ffprobe);
        let entries = "stream=color_transfer:frame=color_transfer:stream_side_data=dv_profile";
        command.args(["-v", "error", "-select_streams", "v:0", "-show_entries", entries]);
        command.args(["-read_intervals", "%+#1", "-of", "json"]);
        let output = run(command.arg(fixture(&name)));
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        // Of a stream, a colr that says nothing hides the VUI, which frames have. ffprobe8 has no decoder of AV1.
        let transfer = ["/streams/0/color_transfer", "/frames/0/color_transfer"];
        let transfer = transfer.iter().find_map(|path| found.pointer(path)?.as_str());
        let dv_profile = found.pointer("/streams/0/side_data_list");
        let dv_profile = dv_profile.and_then(|list| {
            list.as_array()?
                .iter()
                .find_map(|data| data.get("dv_profile")?.as_u64())
        });
        let expected = match (dv_profile, transfer) {
            // Whose colours no header of H.265 tells.
            (Some(5), _) | (_, Some("smpte2084")) => Some("PQ"),
            (_, Some("arib-std-b67")) => Some("HLG"),
            _ => None,
        };
        let work = Workspace::new();
        work.package(&[fixture(&name)], "out", &["--scheme", "none"]);
        let master = fs::read_to_string(work.path("out/master.m3u8")).unwrap();
        let found = master
            .split_once("VIDEO-RANGE=")
            .map(|(_, behind)| behind.split([',', '\n']).next().unwrap());
        assert_eq!(found, expected, "{name}: {transfer:?}");
        seen.extend(found.map(str::to_owned));
    }
    assert_eq!(seen, BTreeSet::from(["HLG".to_owned(), "PQ".to_owned()]));

    // Beside one of high range, a variant of the standard one says so.
    let work = Workspace::new();
    let both = ["hevc-main10-hdr10.mp4", "hevc-gray.mp4"].map(fixture);
    work.package(&both, "out", &["--scheme", "none"]);
    let master = fs::read_to_string(work.path("out/master.m3u8")).unwrap();
    assert!(
        master.contains("VIDEO-RANGE=PQ") && master.contains("VIDEO-RANGE=SDR"),
        "{master}"
    );
}

/// Pictures behind a keyframe of an open group of pictures refer to the segment before: RFC 8216bis, 4.4.2.1 wants none that does.
#[test]
fn open_groups_of_pictures_are_no_independent_segments() {
    const TAG: &str = "#EXT-X-INDEPENDENT-SEGMENTS\n";
    const PLAYLISTS: [&str; 2] = ["out/film/video/90p/playlist.m3u8", "out/film/master.m3u8"];
    for (name, is_independent) in [("hevc-open-gop.mp4", false), ("hevc.mp4", true)] {
        let workspace = Workspace::new();
        let mut command = workspace.vylux_pack();
        command.arg("encrypt").arg(fixture(name)).args(["--content-id", "film"]);
        run(command.args(["--segment-duration", "1", "--no-store", "--quiet"]));
        let verify = || {
            let mut command = workspace.vylux_pack();
            command.args(["verify", "out/film", "--no-store"]).output().unwrap()
        };
        assert!(verify().status.success(), "{name}");
        for playlist in PLAYLISTS {
            let text = std::fs::read_to_string(workspace.path(playlist)).unwrap();
            assert_eq!(text.contains(TAG), is_independent, "{name} {playlist}: {text}");
            if !is_independent {
                let claimed = text.replacen("#EXTM3U\n", &format!("#EXTM3U\n{TAG}"), 1);
                std::fs::write(workspace.path(playlist), claimed).unwrap();
            }
        }
        let words = String::from_utf8(verify().stdout).unwrap();
        assert_eq!(
            words.contains("refers to the segment before"),
            !is_independent,
            "{name}: {words}"
        );
    }
}

/// Fixtures of which ffprobe knows other channels than their boxes say.
const OTHER_CHANNELS: &[(&str, Option<u64>)] = &[
    // In `mp4a`, nothing but samples tells, for writers say two channels whatever there are.
    ("dts-5.1.mp4", None),
    ("mp3.mp4", None),
    ("mp3-mpeg2.mp4", None),
    // Parametric stereo that only samples announce.
    ("he-aac-v2-implicit.mp4", Some(1)),
];

/// What goes into `CHANNELS` (RFC 8216bis, 4.4.6.1) is what comes out of a decoder, or nothing.
#[test]
fn channels_are_what_ffprobe_reads() {
    let Some(ffprobe) = tool("ffprobe8") else { return };
    let names = inputs().into_iter().filter(|name| !name.starts_with("empty-samples"));
    for_each(&names.collect::<Vec<_>>(), |name| {
        let mut command = Command::new(&ffprobe);
        command.args(["-v", "error", "-select_streams", "a"]);
        command.args(["-show_entries", "stream=channels", "-of", "csv=p=0"]);
        let output = String::from_utf8(run(command.arg(fixture(name))).stdout).unwrap();
        let channels = |line: &str| line.trim_end_matches(',').parse().ok();
        let expected: BTreeSet<Option<u64>> = output.lines().map(channels).collect();
        let work = Workspace::new();
        let mut command = work.vylux_pack();
        command.arg("encrypt").arg(fixture(name));
        command.args(["--content-id", "channels", "--scheme", "none", "--no-store", "--json"]);
        let report: serde_json::Value = serde_json::from_slice(&run(&mut command).stdout).unwrap();
        let tracks = report.get("tracks").and_then(serde_json::Value::as_array).unwrap();
        let audio = tracks
            .iter()
            .filter(|track| track.get("kind").is_some_and(|kind| kind == "audio"));
        let found: BTreeSet<Option<u64>> = audio.map(|track| track.get("channels")?.as_u64()).collect();
        match OTHER_CHANNELS.iter().find(|(fixture, _)| *fixture == name) {
            Some((_, other)) if found != expected && found == BTreeSet::from([*other]) => Ok(()),
            None if found == expected => Ok(()),
            _ => Err(format!("{found:?}, of ffprobe {expected:?}")),
        }
    });
}

//! I-frame playlists: each range is one picture, that of a keyframe of the source, at its time.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{RenditionFiles, Workspace, derive, fixture, for_each, run, tool};
use m3u8_rs::{ByteRange, MediaPlaylist, Playlist};

/// A film of each codec, with closed and open groups of pictures, a keyframe in each picture, a late start, several sizes of
/// time, keyframes within segments, and fields.
const FILMS: &[&str] = &[
    "demo.mp4",
    "all-intra.mp4",
    "open-gop.mp4",
    "negative-offsets.mp4",
    "ntsc.mp4",
    "vfr.mp4",
    "slices-4.mp4",
    "hevc.mp4",
    "hevc-open-gop.mp4",
    "hevc-slices-4.mp4",
    "av1.mp4",
    "av1-tiles.mp4",
    "vp9.mp4",
    "vp9-tiles.mp4",
];

/// What m3u8-rs reads of an I-frame playlist.
fn playlist(rendition: &RenditionFiles) -> Result<MediaPlaylist, String> {
    let text = fs::read(rendition.playlist.with_file_name("iframes.m3u8")).map_err(|error| error.to_string())?;
    match m3u8_rs::parse_playlist_res(&text) {
        Ok(Playlist::MediaPlaylist(playlist)) => Ok(playlist),
        other => Err(format!("no media playlist: {other:?}")),
    }
}

/// All `EXTINF` of a playlist, in microseconds: m3u8-rs rounds them.
fn durations_us(path: &Path) -> Vec<u64> {
    let text = fs::read_to_string(path).unwrap();
    let durations = text.lines().filter_map(|line| line.strip_prefix("#EXTINF:"));
    durations
        .map(|line| line.trim_end_matches(',').replace('.', "").parse().unwrap())
        .collect()
}

/// The digests of the pictures that ffmpeg decodes by these arguments.
fn pictures(ffmpeg: &Path, arguments: &[&str]) -> Vec<String> {
    let mut command = Command::new(ffmpeg);
    command.args(["-v", "quiet", "-threads", "1"]).args(arguments);
    command.args(["-map", "0:v:0", "-vsync", "passthrough", "-f", "framemd5", "-"]);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect()
}

/// When the keyframes of a source are shown, in microseconds, as ffprobe 8 says.
fn keyframe_times_us(ffprobe: &Path, source: &Path) -> Vec<i64> {
    let mut command = Command::new(ffprobe);
    command.args([
        "-v",
        "error",
        "-select_streams",
        "v:0",
        "-show_entries",
        "packet=pts_time,flags",
    ]);
    let output = run(command.args(["-of", "csv=p=0"]).arg(source));
    let text = String::from_utf8(output.stdout).unwrap();
    let keyframes = text
        .lines()
        .filter_map(|line| line.split_once(','))
        .filter(|(_, flags)| flags.starts_with("K_"));
    keyframes
        .map(|(time, _)| time.replace('.', "").parse().unwrap())
        .collect()
}

#[test]
fn each_range_decodes_to_a_keyframe_of_the_source() {
    let (Some(ffmpeg5), Some(ffmpeg8), Some(ffprobe)) = (tool("ffmpeg"), tool("ffmpeg8"), tool("ffprobe8")) else {
        return;
    };
    let films: Vec<String> = FILMS.iter().map(|name| (*name).to_owned()).collect();
    for_each(&films, |name| {
        // ffmpeg 8.1 as `PyPI` has it comes without a decoder of AV1.
        let ffmpeg = if name.starts_with("av1") { &ffmpeg5 } else { &ffmpeg8 };
        let workspace = Workspace::new();
        // Long segments, so that keyframes stand within them.
        let more = ["--scheme", common::scheme(name), "--segment-duration", "2"];
        let renditions = workspace.package(&[fixture(name)], "out", &more);
        let rendition = renditions.iter().find(|rendition| rendition.is_video()).unwrap();
        let playlist = playlist(rendition)?;
        assert!(playlist.i_frames_only && playlist.end_list);
        assert_eq!(playlist.version, Some(5));
        let folder = rendition.playlist.parent().unwrap();
        let init = fs::read(&rendition.init).unwrap();
        let key = hex::encode(derive::key());
        let mut found = Vec::new();
        for entry in &playlist.segments {
            let Some(ByteRange {
                length,
                offset: Some(offset),
            }) = entry.byte_range
            else {
                return Err(format!("no range: {entry:?}"));
            };
            let file = fs::read(folder.join(&entry.uri)).unwrap();
            let range = &file[usize::try_from(offset).unwrap()..usize::try_from(offset + length).unwrap()];
            assert_eq!(&range[4..8], b"moof");
            let alone = workspace.path("alone.mp4");
            fs::write(&alone, [&init, range].concat()).unwrap();
            let of_range = pictures(ffmpeg, &["-decryption_key", &key, "-i", alone.to_str().unwrap()]);
            if of_range.len() != 1 {
                return Err(format!(
                    "{} bytes from {offset} on are {} pictures",
                    length,
                    of_range.len()
                ));
            }
            found.extend(of_range);
        }
        let source = fixture(name);
        let expected = pictures(ffmpeg, &["-i", source.to_str().unwrap(), "-vf", "select=key"]);
        if found != expected {
            return Err(format!("pictures {found:?}, expected {expected:?}"));
        }

        let durations = durations_us(&rendition.playlist.with_file_name("iframes.m3u8"));
        let whole: u64 = durations_us(&rendition.playlist).iter().sum();
        assert_eq!(durations.iter().sum::<u64>(), whole, "{name}: the length of the film");
        let times = keyframe_times_us(&ffprobe, &source);
        // The first lasts from the film's start, the last to its end.
        let between = times.windows(2).map(|pair| pair[1].abs_diff(pair[0])).skip(1);
        for (index, (found, expected)) in durations.iter().skip(1).zip(between).enumerate() {
            assert!(
                found.abs_diff(expected) <= 2,
                "{name}, I-frame {}: {found} µs, expected {expected}",
                index + 2
            );
        }
        assert_eq!(durations.len(), times.len(), "{name}");
        Ok(())
    });
}

/// Each stands in the multivariant playlist, by m3u8-rs.
#[test]
fn the_multivariant_playlist_names_them() {
    let workspace = Workspace::new();
    let inputs = [fixture("v180.mp4"), fixture("v360.mp4"), fixture("a-en.mp4")];
    let renditions = workspace.package(&inputs, "out", &[]);
    let text = fs::read(workspace.path("out/master.m3u8")).unwrap();
    let Ok(Playlist::MasterPlaylist(playlist)) = m3u8_rs::parse_playlist_res(&text) else {
        unreachable!("no multivariant playlist")
    };
    let iframes: Vec<_> = playlist.variants.iter().filter(|variant| variant.is_i_frame).collect();
    assert_eq!(iframes.len(), 2);
    let videos = renditions.iter().filter(|rendition| rendition.is_video());
    for (iframes, video) in iframes.into_iter().zip(videos) {
        assert_eq!(iframes.uri, format!("{}/iframes.m3u8", video.name));
        let variant = playlist
            .variants
            .iter()
            .find(|variant| variant.uri == format!("{}/playlist.m3u8", video.name));
        let variant = variant.unwrap();
        assert_eq!(iframes.resolution, variant.resolution);
        assert!(iframes.bandwidth < variant.bandwidth && iframes.average_bandwidth.unwrap() <= iframes.bandwidth);
        assert_eq!(
            iframes.codecs.as_deref(),
            variant.codecs.as_deref().and_then(|codecs| codecs.split(',').next())
        );
    }
}

/// CBC goes through a whole file, so a range of it can't be decrypted (RFC 8216bis, 4.4.4.4).
#[test]
fn there_are_none_of_whole_segments() {
    let workspace = Workspace::new();
    workspace.package(&[fixture("fragmented.mp4")], "out", &["--scheme", "aes-128"]);
    let master = fs::read_to_string(workspace.path("out/master.m3u8")).unwrap();
    assert!(!master.contains("I-FRAME"), "{master}");
    let files = common::files(&workspace.path("out"));
    assert!(files.iter().all(|file| !file.ends_with("iframes.m3u8")), "{files:?}");
}

/// A key of its own for each period, and the init segment that says so.
#[test]
fn keys_change_where_they_do_in_the_media_playlist() {
    let workspace = Workspace::new();
    let more = ["--rotate-every", "1seg", "--segment-duration", "2"];
    let renditions = workspace.package(&[fixture("demo.mp4")], "out", &more);
    let video = renditions.iter().find(|rendition| rendition.is_video()).unwrap();
    let tags = |file: &str| -> Vec<String> {
        let text = fs::read_to_string(video.playlist.with_file_name(file)).unwrap();
        let is_meant = |line: &&str| line.starts_with("#EXT-X-MAP") || line.starts_with("#EXT-X-KEY");
        text.lines().filter(is_meant).map(str::to_owned).collect()
    };
    assert!(tags("playlist.m3u8").len() > 4);
    assert_eq!(tags("iframes.m3u8"), tags("playlist.m3u8"));
}

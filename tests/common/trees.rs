//! HLS trees that other packagers make of `demo.mp4`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::process::Command;

use super::{Workspace, fixture, run, tool};

/// Makes a tree in its folder.
pub type Make = fn(&Workspace) -> Option<()>;

/// The trees that the tests make, each a folder of its own; `None` where a tool is missing.
pub const TREES: &[(&str, Make)] = &[
    ("muxed", muxed),
    ("renditions", renditions),
    ("single", single),
    ("segmented", segmented),
];

/// ffmpeg: video and audio in one file, whose playlist names ranges of bytes; no multivariant playlist.
pub fn muxed(work: &Workspace) -> Option<()> {
    ffmpeg_hls(
        work,
        "muxed",
        &[
            "-hls_flags",
            "single_file+independent_segments+program_date_time",
            "master.m3u8",
        ],
    )
}

/// ffmpeg: a file a segment, in folders.
pub fn renditions(work: &Workspace) -> Option<()> {
    let streams = "v:0,agroup:aud a:0,agroup:aud,language:en";
    ffmpeg_hls(
        work,
        "renditions",
        &[
            "-hls_flags",
            "independent_segments",
            "-master_pl_name",
            "master.m3u8",
            "-var_stream_map",
            streams,
        ]
        .into_iter()
        .chain(["-hls_segment_filename", "v%v/a b_%03d.m4s", "v%v/playlist.m3u8"])
        .collect::<Vec<_>>(),
    )
}

/// Has ffmpeg make the tree `name` with these arguments.
pub fn ffmpeg_hls(work: &Workspace, name: &str, arguments: &[&str]) -> Option<()> {
    ffmpeg_hls_of(work, name, "demo.mp4", arguments)
}

/// Has ffmpeg make the tree `name` of a fixture with these arguments.
pub fn ffmpeg_hls_of(work: &Workspace, name: &str, film: &str, arguments: &[&str]) -> Option<()> {
    let ffmpeg = tool("ffmpeg")?;
    fs::create_dir(work.path(name)).unwrap();
    let mut command = Command::new(ffmpeg);
    command.args(["-nostdin", "-v", "error", "-i"]).arg(fixture(film));
    command.args(["-c", "copy", "-f", "hls", "-hls_time", "4", "-hls_playlist_type", "vod"]);
    command.args(["-hls_segment_type", "fmp4"]).args(arguments);
    run(command.current_dir(work.path(name)));
    Some(())
}

/// Shaka Packager: one file a rendition, with an index, I-frame playlist and audio group.
pub fn single(work: &Workspace) -> Option<()> {
    packager(
        work,
        "single",
        &["stream=video,output=v.mp4,playlist_name=v.m3u8,iframe_playlist_name=i.m3u8"],
        &["stream=audio,output=a.mp4,playlist_name=a.m3u8,hls_group_id=aud,hls_name=English"],
    )
}

/// Shaka Packager: a file a segment, an I-frame playlist, and text.
pub fn segmented(work: &Workspace) -> Option<()> {
    packager(
        work,
        "segmented",
        &[
            "stream=video,init_segment=v/init.mp4,segment_template=v/$Number$.m4s,playlist_name=v/p.m3u8,\
           iframe_playlist_name=v/i.m3u8",
        ],
        &[
            "stream=audio,init_segment=a/init.mp4,segment_template=a/$Number$.m4s,playlist_name=a/p.m3u8,\
             hls_group_id=aud,hls_name=English",
            "stream=text,segment_template=t/$Number$.vtt,playlist_name=t/p.m3u8,hls_group_id=sub,hls_name=English",
        ],
    )
}

/// Has Shaka Packager make the tree `name` of these streams of `demo.mp4`, and of a text.
pub fn packager(work: &Workspace, name: &str, video: &[&str], others: &[&str]) -> Option<()> {
    let packager = tool("packager")?;
    fs::create_dir(work.path(name)).unwrap();
    let text = "WEBVTT\n\n00:00:00.000 --> 00:00:11.000\nwords\n";
    fs::write(work.path("text.vtt"), text).unwrap();
    let mut command = Command::new(packager);
    for stream in video.iter().chain(others) {
        let input = if stream.starts_with("stream=text") {
            work.path("text.vtt")
        } else {
            fixture("demo.mp4")
        };
        command.arg(format!("in={},{stream}", input.display()));
    }
    command.args(["--hls_master_playlist_output", "master.m3u8", "--segment_duration", "2"]);
    run(command.current_dir(work.path(name)));
    Some(())
}

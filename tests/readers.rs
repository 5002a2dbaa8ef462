//! What we write is read by others: mp4-atom (strict), `shiguredo_mp4`, ffprobe, m3u8-rs, and the `mp4` crate where the
//! output is clear.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io::Cursor;
use std::path::Path;
use std::process::Command;

use common::samples::{self, Sample};
use common::{
    RenditionFiles, Workspace, derive, fixture, for_each, inputs, inputs_under, is_hevc, is_vp9, run, scheme, tool,
};
use m3u8_rs::{AlternativeMediaType, KeyMethod, MasterPlaylist, MediaPlaylist, Playlist};
use mp4_atom::{Any, Decode};
use shiguredo_mp4::demux::Fmp4SegmentDemuxer;

/// The system ID that all key systems share.
const COMMON_SYSTEM_ID: &str = "1077efecc0b24d02ace33c1e52e2fb4b";

/// Every box of every file, each read to its last byte, with no box that is unknown or in the wrong place.
#[test]
fn mp4_atom_reads_every_box() {
    for_each(&inputs(), |name| {
        if ["unknown-boxes.mp4", "extended-language.mp4", "hevc-main10-hdr10.mp4"].contains(&name) {
            // Boxes of the source that mp4-atom does not know, elng and mdcv among them, are kept, which strict refuses.
            return Ok(());
        }
        if name.contains("dolby-vision") {
            // It knows neither dvcC and dvvC nor dvh1 and dvhe.
            return Ok(());
        }
        if ["ac3", "av1", "eac3", "flac", "vp9"]
            .iter()
            .any(|codec| name.starts_with(codec))
        {
            // It knows no btrt in the sample entries of these (ISO/IEC 14496-12, 8.5.2.2 allows it in every one), and no fiel.
            return Ok(());
        }
        for scheme in [scheme(name), "none"] {
            let workspace = Workspace::new();
            for rendition in workspace.package(&[fixture(name)], "out", &["--scheme", scheme]) {
                for path in [&rendition.init].into_iter().chain(&rendition.segments) {
                    let bytes = std::fs::read(path).unwrap();
                    let kinds = mp4_atom_kinds(&bytes).map_err(|error| format!("{}: {error}", path.display()))?;
                    let is_expected = if *path == rendition.init {
                        kinds == ["ftyp", "moov"]
                    } else {
                        // A fragment a keyframe.
                        let (kind, fragments) = kinds.split_first().ok_or("no boxes")?;
                        kind == "styp" && fragments.chunks(2).all(|fragment| fragment == ["moof", "mdat"])
                    };
                    if !is_expected {
                        return Err(format!("{} has {kinds:?}", path.display()));
                    }
                }
            }
        }
        Ok(())
    });
}

fn mp4_atom_kinds(bytes: &[u8]) -> Result<Vec<String>, String> {
    let bytes = without_pssh(bytes)?;
    let mut rest = &*bytes;
    let mut kinds = Vec::new();
    while !rest.is_empty() {
        let atom = Any::decode(&mut rest).map_err(|error| error.to_string())?;
        kinds.push(atom.kind().to_string());
    }
    Ok(kinds)
}

/// The file without the `pssh` that ends its `moov`, which mp4-atom does not know: it has to name our key ID to the common
/// system (W3C, "cenc" initialization data format, version 1).
fn without_pssh(file: &[u8]) -> Result<Vec<u8>, String> {
    let Some(start) = file.windows(4).position(|kind| kind == b"pssh") else {
        return Ok(file.to_vec());
    };
    let (rest, pssh) = file.split_at(start - 4);
    let expected = format!(
        "000000347073736801000000{COMMON_SYSTEM_ID}00000001{}00000000",
        hex::encode(derive::kid())
    );
    if hex::encode(pssh) != expected {
        return Err(format!("pssh {} instead of {expected}", hex::encode(pssh)));
    }
    let mut file = rest.to_vec();
    let moov_start = file.windows(4).position(|kind| kind == b"moov").ok_or("no moov")? - 4;
    let size = u32::try_from(file.len() - moov_start).unwrap();
    file.get_mut(moov_start..moov_start + 4)
        .unwrap()
        .copy_from_slice(&size.to_be_bytes());
    Ok(file)
}

/// The same samples with the same times as another reader finds.
#[test]
fn shiguredo_mp4_finds_the_same_samples() {
    for_each(&inputs(), |name| {
        let workspace = Workspace::new();
        for rendition in workspace.encrypt(name, "out") {
            let expected = samples::read(&rendition.joined())?;
            let found = shiguredo_samples(&rendition).map_err(|error| format!("{}: {error}", rendition.name))?;
            if !expected
                .iter()
                .map(|sample| Sample {
                    iv: Vec::new(),
                    subsamples: None,
                    ..sample.clone()
                })
                .eq(found)
            {
                return Err(format!("{}: other samples", rendition.name));
            }
        }
        Ok(())
    });
}

fn shiguredo_samples(rendition: &RenditionFiles) -> Result<Vec<Sample>, String> {
    let mut demuxer = Fmp4SegmentDemuxer::new();
    demuxer
        .handle_init_segment(&std::fs::read(&rendition.init).unwrap())
        .map_err(|error| error.to_string())?;
    let mut found = Vec::new();
    for segment in &rendition.segments {
        let bytes = std::fs::read(segment).unwrap();
        // It takes one fragment at a time.
        let moofs = samples::boxes(&bytes, 0)?
            .into_iter()
            .filter(|(kind, ..)| kind == b"moof");
        let starts: Vec<usize> = moofs.map(|(_, start, _)| start).collect();
        let ends = starts.iter().copied().skip(1).chain([bytes.len()]);
        let fragments = starts
            .iter()
            .zip(ends)
            .map(|(start, end)| bytes.get(*start..end).unwrap());
        for bytes in fragments {
            for sample in demuxer.handle_media_segment(bytes).map_err(|error| error.to_string())? {
                let start = usize::try_from(sample.data_offset).unwrap();
                found.push(Sample {
                    decode_ticks: sample.timestamp,
                    duration_ticks: sample.duration,
                    composition_ticks: sample.composition_time_offset.unwrap_or(0),
                    is_sync: sample.keyframe,
                    data: bytes
                        .get(start..start + sample.data_size)
                        .ok_or("a sample outside of its segment")?
                        .to_vec(),
                    iv: Vec::new(),
                    subsamples: None,
                });
            }
        }
    }
    Ok(found)
}

/// Boxes, SEI messages and Dolby Vision's metadata that say how bright and how colourful pictures are, on the encrypted film and
/// on all its frames.
#[test]
fn ffprobe_finds_the_dynamic_range_of_the_source() {
    let Some(ffprobe) = tool("ffprobe8") else { return };
    let (mastering, light) = ("Mastering display metadata", "Content light level metadata");
    let (config, rpu) = ("DOVI configuration record", "Dolby Vision RPU Data");
    let expected: [(&str, &[&str], &[&str]); 4] = [
        ("hevc-main10-hdr10.mp4", &[mastering, light], &[mastering, light]),
        ("hevc-dolby-vision-8.1.mp4", &[config], &[mastering, light, rpu]),
        ("hevc-dolby-vision-8.4.mp4", &[config], &[rpu]),
        ("hevc-dolby-vision-5-dvhe.mp4", &[config], &[rpu]),
    ];
    for (name, of_stream, of_frames) in expected {
        let workspace = Workspace::new();
        let rendition = workspace.encrypt(name, "out").remove(0);
        let encrypted = workspace.path("encrypted.mp4");
        std::fs::write(&encrypted, rendition.joined()).unwrap();
        let side_data = |path: &Path, key: Option<String>| -> serde_json::Value {
            let mut command = Command::new(&ffprobe);
            command.args([
                "-v",
                "error",
                "-show_entries",
                "stream_side_data:frame_side_data",
                "-of",
                "json",
            ]);
            command.args(key.iter().flat_map(|key| ["-decryption_key", key]));
            serde_json::from_slice(&run(command.arg(path)).stdout).unwrap()
        };
        let mut found = side_data(&encrypted, Some(hex::encode(derive::key())));
        let list = found.pointer_mut("/streams/0/side_data_list");
        let list = list.and_then(serde_json::Value::as_array_mut).unwrap();
        list.retain(|data| data.get("side_data_type") != Some(&"Encryption initialization data".into()));
        assert_eq!(found, side_data(&fixture(name), None), "{name}");
        for (list, expected) in [("streams", of_stream), ("frames", of_frames)] {
            let list = found.get(list).and_then(serde_json::Value::as_array).unwrap();
            assert!(!list.is_empty(), "{name}");
            for entry in list {
                let text = entry.to_string();
                assert!(expected.iter().all(|kind| text.contains(kind)), "{name}: {text}");
            }
        }
    }
}

/// The `mp4` crate reads clear H.264 and AAC; of fragments it knows sizes and times, and not where the bytes are.
#[test]
fn the_mp4_crate_reads_clear_output() {
    for_each(&inputs(), |name| {
        let workspace = Workspace::new();
        for rendition in workspace.package(&[fixture(name)], "out", &["--scheme", "none"]) {
            let others = [
                "avc3", "hevc", "hev1", "av1", "ac3", "ac4", "eac3", "alac", "dtsc", "dtsx", "flac", "opus",
            ];
            if others.iter().any(|other| name.starts_with(other))
                || name == "video-and-opus.mp4" && !rendition.is_video()
            {
                // Of ours, it knows avc1, vp09 and mp4a alone.
                continue;
            }
            let file = rendition.joined();
            let expected = samples::read(&file)?;
            let reader = mp4::Mp4Reader::read_header(Cursor::new(&file), file.len() as u64);
            let reader = reader.map_err(|error| format!("{}: {error}", rendition.name))?;
            let track = reader
                .tracks()
                .get(&rendition.track_id)
                .ok_or("no track with the source's ID")?;
            let media_type = track.media_type().map_err(|error| error.to_string())?;
            let expected_type = match rendition.is_video() {
                true if is_vp9(name) => mp4::MediaType::VP9,
                true => mp4::MediaType::H264,
                false => mp4::MediaType::AAC,
            };
            if media_type != expected_type {
                return Err(format!("{} is {media_type}", rendition.name));
            }
            let fragments = reader.moofs.iter().flat_map(|moof| &moof.trafs);
            let sizes: Vec<u32> = fragments
                .clone()
                .filter_map(|traf| traf.trun.as_ref())
                .flat_map(|run| run.sample_sizes.clone())
                .collect();
            let expected_sizes: Vec<u32> = expected
                .iter()
                .map(|sample| u32::try_from(sample.data.len()).unwrap())
                .collect();
            if sizes != expected_sizes {
                return Err(format!("{}: other sample sizes", rendition.name));
            }
            let starts = fragments
                .filter_map(|traf| traf.tfdt.as_ref())
                .map(|tfdt| tfdt.base_media_decode_time);
            if !starts
                .clone()
                .all(|start| expected.iter().any(|sample| sample.decode_ticks == start))
            {
                return Err(format!("{}: fragments start between samples", rendition.name));
            }
            let boxes = samples::boxes(&file, 0)?;
            if starts.count() != boxes.iter().filter(|(kind, ..)| kind == b"moof").count() {
                return Err(format!("{}: another number of fragments", rendition.name));
            }
        }
        Ok(())
    });
}

/// What ffprobe calls a stream's codec and its kind.
fn ffprobe_codec(ffprobe: &Path, path: &Path, stream: &str) -> Result<String, String> {
    let mut command = Command::new(ffprobe);
    command.args(["-v", "error", "-select_streams", stream]);
    command.args(["-show_entries", "stream=codec_name,codec_type", "-of", "csv=p=0"]);
    let output = command.arg(path).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next().ok_or_else(|| format!("no stream {stream}"))?;
    Ok(line.trim_end_matches(',').to_owned())
}

/// ffprobe lists stream and packets of each segment without a complaint.
#[test]
fn ffprobe_reads_init_and_segments() {
    let (Some(ffprobe), Some(ffprobe8)) = (tool("ffprobe"), tool("ffprobe8")) else {
        return;
    };
    for_each(&inputs(), |name| {
        if name.starts_with("empty-samples") {
            // ffmpeg refuses a fragment with an empty sample.
            return Ok(());
        }
        // ffprobe looks into the samples of these, or into no sample entry of another type than theirs: where they are
        // encrypted, it finds nothing there.
        let looks_inside = ["ac3", "alac", "eac3", "mp3"]
            .iter()
            .any(|codec| name.starts_with(codec));
        // An encrypted dvh1 it takes for DVCPRO HD, which QuickTime files call so; dvhe it reads.
        let is_other = name == "hevc-dolby-vision-5.mp4";
        let scheme = if looks_inside || is_other { "none" } else { scheme(name) };
        let workspace = Workspace::new();
        for rendition in workspace.package(&[fixture(name)], "out", &["--scheme", scheme]) {
            let init = std::fs::read(&rendition.init).unwrap();
            let stream = if rendition.is_video() { "v:0" } else { "a:0" };
            let kind = ffprobe_codec(&ffprobe8, &fixture(name), stream)?;
            let probe = |tool: &Path, segments: &[&[u8]]| {
                let file = [&[&*init], segments].concat().concat();
                let expected = format!("{kind},{}", samples::read(&file)?.len());
                let path = workspace.path("joined.mp4");
                std::fs::write(&path, file).unwrap();
                let found = ffprobe_packets(tool, &path)?;
                (found == expected)
                    .then_some(())
                    .ok_or_else(|| format!("{}: {found} instead of {expected}", rendition.name))
            };
            let segments: Vec<Vec<u8>> = rendition
                .segments
                .iter()
                .map(|path| std::fs::read(path).unwrap())
                .collect();
            let segments: Vec<&[u8]> = segments.iter().map(|bytes| &**bytes).collect();
            probe(&ffprobe8, &segments)?;
            // ffmpeg 5.1 mixes up the encryption of several fragments in one file; it knows neither AC-4 nor xHE-AAC.
            let is_known = !["ac4.mp4", "xhe-aac.mp4"].contains(&name);
            let is_one = |segment: &&&[u8]| samples::boxes(segment, 0).unwrap().len() == 3;
            for segment in segments.iter().filter(is_one).filter(|_| is_known) {
                probe(&ffprobe, &[*segment])?;
            }
        }
        Ok(())
    });
}

fn ffprobe_packets(ffprobe: &Path, path: &Path) -> Result<String, String> {
    let entries = "stream=codec_name,codec_type,nb_read_packets";
    let output = Command::new(ffprobe)
        .args([
            "-v",
            "error",
            "-ignore_editlist",
            "1",
            "-count_packets",
            "-show_entries",
            entries,
            "-of",
            "csv=p=0",
        ])
        .arg(path)
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    // The decoder, which sees no key, complains; the demuxer must not.
    let complaint: Vec<_> = complaint.lines().filter(|line| line.starts_with("[mov")).collect();
    if !output.status.success() || !complaint.is_empty() {
        return Err(format!("{}: {complaint:?}", output.status));
    }
    Ok(String::from_utf8(output.stdout)
        .unwrap()
        .trim()
        .trim_end_matches(',')
        .to_owned())
}

#[test]
fn m3u8_rs_reads_every_playlist() {
    for_each(&inputs_under("cbcs"), |name| {
        let workspace = Workspace::new();
        let renditions = workspace.encrypt(name, "out");
        let text = std::fs::read(workspace.path("out/master.m3u8")).unwrap();
        let Ok(Playlist::MasterPlaylist(multivariant)) = m3u8_rs::parse_playlist_res(&text) else {
            return Err("no multivariant playlist".to_owned());
        };
        check_multivariant(&multivariant, &renditions, is_hevc(name))?;
        for rendition in &renditions {
            let text = std::fs::read(&rendition.playlist).unwrap();
            let Ok(Playlist::MediaPlaylist(playlist)) = m3u8_rs::parse_playlist_res(&text) else {
                return Err(format!("{}: no media playlist", rendition.name));
            };
            check_media_playlist(&playlist, rendition).map_err(|error| format!("{}: {error}", rendition.name))?;
        }
        Ok(())
    });
}

fn check_multivariant(playlist: &MasterPlaylist, renditions: &[RenditionFiles], is_hevc: bool) -> Result<(), String> {
    let variants = playlist.variants.iter().filter(|variant| !variant.is_i_frame);
    let mut uris: Vec<String> = variants.map(|variant| variant.uri.clone()).collect();
    let audio = playlist
        .alternatives
        .iter()
        .filter(|media| media.media_type == AlternativeMediaType::Audio);
    uris.extend(audio.filter_map(|media| media.uri.clone()));
    uris.sort();
    uris.dedup();
    let mut expected: Vec<String> = renditions
        .iter()
        .map(|rendition| format!("{}/playlist.m3u8", rendition.name))
        .collect();
    expected.sort();
    if uris != expected {
        return Err(format!("the multivariant playlist lists {uris:?} of {expected:?}"));
    }
    let complete = |variant: &m3u8_rs::VariantStream| {
        variant.codecs.is_some()
            && variant.bandwidth > 0
            && variant
                .average_bandwidth
                .is_some_and(|average| average <= variant.bandwidth)
    };
    let is_independent = renditions.iter().all(|rendition| begins_anew(rendition, is_hevc));
    if playlist.independent_segments != is_independent
        || !playlist.variants.iter().all(complete)
        || !playlist.unknown_tags.is_empty()
    {
        return Err(format!("the multivariant playlist is not complete: {playlist:?}"));
    }
    let [key] = &*playlist.session_key else {
        return Err("not one session key".to_owned());
    };
    is_key(&key.0)
}

/// Whether segments begin with sync samples, and in H.265 no picture between the first and the second one is a skipped leading picture
/// (NAL unit types 8 and 9).
fn begins_anew(rendition: &RenditionFiles, is_hevc: bool) -> bool {
    let init = std::fs::read(&rendition.init).unwrap();
    let is_hevc = is_hevc && rendition.is_video();
    let is_skipped = |sample: &Sample| is_hevc && nal_types(&sample.data).any(|kind| matches!(kind, 8 | 9));
    rendition.segments.iter().all(|segment| {
        let file = [&*init, &std::fs::read(segment).unwrap()].concat();
        let samples = samples::read(&file).unwrap();
        let (first, others) = samples.split_first().unwrap();
        let mut leading = others.iter().take_while(|sample| !sample.is_sync);
        first.is_sync && !leading.any(is_skipped)
    })
}

/// The NAL unit types of a sample of H.265 whose length fields have four bytes, as those have that have such pictures.
fn nal_types(sample: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = sample;
    std::iter::from_fn(move || {
        let (length, nals) = rest.split_first_chunk::<4>()?;
        let (nal, later) = nals.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        rest = later;
        Some(nal.first()? >> 1 & 0x3f)
    })
}

fn is_key(key: &m3u8_rs::Key) -> Result<(), String> {
    let uri = format!("{}/api/key/{}", common::BASE_URL, common::CONTENT_ID);
    let is_right = key.method == KeyMethod::SampleAES
        && key.uri.as_deref() == Some(&uri)
        && key.keyformat.as_deref() == Some("identity");
    is_right.then_some(()).ok_or_else(|| format!("{key:?}"))
}

fn check_media_playlist(playlist: &MediaPlaylist, rendition: &RenditionFiles) -> Result<(), String> {
    let uris: Vec<&str> = playlist.segments.iter().map(|segment| &*segment.uri).collect();
    let files: Vec<&str> = rendition
        .segments
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap())
        .collect();
    if uris != files {
        return Err(format!("lists {uris:?} of {files:?}"));
    }
    let first = playlist.segments.first().ok_or("no segments")?;
    if first.map.as_ref().map(|map| &*map.uri) != Some("init.mp4") {
        return Err("no map".to_owned());
    }
    let key = first.key.as_ref().ok_or("no key")?;
    is_key(key)?;
    let iv = format!("0x{}", hex::encode(derive::iv(rendition.track_name())));
    if key.iv.as_ref().map(|iv| iv.to_lowercase()) != Some(iv) {
        return Err("another IV".to_owned());
    }
    let longest = playlist
        .segments
        .iter()
        .map(|segment| segment.duration)
        .fold(0.0, f32::max);
    #[expect(clippy::cast_precision_loss, reason = "a few seconds")]
    let is_target = longest
        .round()
        .max(1.0)
        .total_cmp(&(playlist.target_duration as f32))
        .is_eq();
    if !is_target || !playlist.end_list || playlist.version != Some(6) || !playlist.unknown_tags.is_empty() {
        return Err(format!("longest {longest}: {playlist:?}"));
    }
    Ok(())
}

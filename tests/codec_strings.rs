//! `CODECS` of what we write: what Shaka Packager's MPD has for the same streams, and what documents give as examples.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use common::{Workspace, fixture, for_each, inputs, tool};
use vylux_pack::codec;
use vylux_pack::isobmff::{FourCc, Node};

/// What `CODECS` of a fixture names, where Shaka Packager 3.8.0 writes something else or gives up.
const MISREAD: &[(&str, &str)] = &[
    // The optional part is there where it says what a player would not assume without it (AV1-ISOBMFF, 5).
    ("av1-422-12.mp4", "av01.2.00M.12.0.100.01.01.01.0"),
    ("av1-444.mp4", "av01.1.00M.08.0.000.01.01.01.0"),
    ("av1-gray.mp4", "av01.0.00M.08.1.110.01.01.01.1"),
    ("av1-rav1e.mp4", "av01.0.31M.08.0.110.02.02.02.0"),
    // As the sample entry spells it (RFC 6381, 3.3; Encapsulation of FLAC in ISO Base Media File Format, 3.3.1, of Opus, 4.3.1).
    ("flac.mp4", "fLaC"),
    ("flac-5.1-fragmented.mp4", "fLaC"),
    ("opus.mp4", "Opus"),
    ("opus-5.1-fragmented.mp4", "Opus"),
    ("video-and-opus.mp4", "avc1.64000B,Opus"),
    // It puts the track into a sample entry `dtsc`; in `mp4a`, the object type follows (RFC 6381, 3.3).
    ("dts-5.1.mp4", "mp4a.A9"),
    // It knows no MP3 in MP4, whose object types are these (ISO/IEC 14496-1, table 5).
    ("mp3.mp4", "mp4a.6B"),
    ("mp3-mpeg2.mp4", "mp4a.69"),
    // It gives up on `mdat` to the end of the file, and on QuickTime; other fixtures have the same streams.
    ("alac-quicktime.mp4", "alac"),
    ("eac3-quicktime.mp4", "ec-3"),
    ("iphone.mp4", "avc1.64000B,mp4a.40.2"),
    ("mdat-to-end.mp4", "avc1.64000B,mp4a.40.2"),
    ("quicktime.mp4", "avc1.64000B,mp4a.40.2"),
    ("quicktime-96k.mp4", "mp4a.40.2"),
    ("quicktime-sound-2.mp4", "avc1.64000B,mp4a.40.2"),
];

#[test]
fn codecs_are_those_that_shaka_packager_writes() {
    let Some(packager) = tool("packager") else { return };
    for_each(&inputs(), |name| {
        let workspace = Workspace::new();
        let renditions = workspace.package(&[fixture(name)], "out", &["--scheme", "none"]);
        let master = fs::read_to_string(workspace.path("out/master.m3u8")).unwrap();
        // Without the compatibility brand of SUPPLEMENTAL-CODECS, which an MPD says elsewhere.
        let ours = quoted(&master, "CODECS=\"");
        let ours: BTreeSet<String> = ours
            .iter()
            .filter_map(|codec| codec.split('/').next().map(str::to_owned))
            .collect();
        let is_video = |is: bool| renditions.iter().any(|rendition| rendition.is_video() == is);
        let theirs = by_shaka(&packager, &workspace, name, [is_video(true), is_video(false)]);
        let Some((_, expected)) = MISREAD.iter().find(|(fixture, _)| *fixture == name) else {
            return (Ok(&ours) == theirs.as_ref())
                .then_some(())
                .ok_or_else(|| format!("{ours:?}, of Shaka Packager {theirs:?}"));
        };
        assert!(
            theirs != Ok(ours.clone()),
            "Shaka Packager reads {name} now: take the exception away"
        );
        let expected: BTreeSet<String> = expected.split(',').map(str::to_owned).collect();
        (ours == expected).then_some(()).ok_or_else(|| format!("{ours:?}"))
    });
}

/// The codecs of a fixture's first video and audio track by Shaka Packager's MPD.
fn by_shaka(
    packager: &Path,
    workspace: &Workspace,
    name: &str,
    is_there: [bool; 2],
) -> Result<BTreeSet<String>, String> {
    let mut command = Command::new(packager);
    for (kind, _) in ["video", "audio"]
        .into_iter()
        .zip(is_there)
        .filter(|(_, is_there)| *is_there)
    {
        let (input, output) = (fixture(name), workspace.path(format!("{kind}.mp4")));
        command.arg(format!(
            "in={},stream={kind},output={}",
            input.display(),
            output.display()
        ));
    }
    let mpd = workspace.path("shaka.mpd");
    let result = command.arg("--quiet").arg("--mpd_output").arg(&mpd).output().unwrap();
    match fs::read_to_string(&mpd) {
        Ok(mpd) if result.status.success() => Ok(quoted(&mpd, "codecs=\"")),
        _ => Err(String::from_utf8_lossy(&result.stderr)
            .lines()
            .next_back()
            .unwrap_or_default()
            .to_owned()),
    }
}

/// Everything between `start` and a quotation mark, split at commas.
fn quoted(text: &str, start: &str) -> BTreeSet<String> {
    let values = text.split(start).skip(1).filter_map(|value| value.split('"').next());
    values.flat_map(|value| value.split(',')).map(one_case).collect()
}

/// Hexadecimal digits of H.264 and H.265 in capitals, as the examples have them: both are read.
fn one_case(codec: &str) -> String {
    match codec.split_once('.') {
        Some((format @ ("avc1" | "avc3" | "hvc1" | "hev1"), digits)) => {
            format!("{format}.{}", digits.to_ascii_uppercase())
        }
        _ => codec.to_owned(),
    }
}

/// A sample entry, the boxes in it (type and payload, of `esds` its `AudioSpecificConfig`), and the string that a document
/// gives for it.
type Example = (
    &'static [u8; 4],
    &'static [(&'static [u8; 4], &'static str)],
    &'static str,
);

const EXAMPLES: &[Example] = &[
    // RFC 6381, 3.3 and 3.4: H.264 Baseline that is Main too, level 3.0; AAC-LC.
    (b"avc1", &[(b"avcC", "0142e01e ffe000")], "avc1.42E01E"),
    (b"mp4a", &[(b"esds", "1210")], "mp4a.40.2"),
    // WHATWG HTML, "The source element": Main, Extended and High.
    (b"avc1", &[(b"avcC", "014d401e ffe000")], "avc1.4D401E"),
    (b"avc1", &[(b"avcC", "0158a01e ffe000")], "avc1.58A01E"),
    (b"avc1", &[(b"avcC", "0164001e ffe000 fdf8f800")], "avc1.64001E"),
    // ISO/IEC 14496-15, annex E.3: Main of level 3.1; a profile space, High tier, two constraint bytes.
    (b"hev1", &[(b"hvcC", HEVC_MAIN)], "hev1.1.6.L93.B0"),
    (b"hev1", &[(b"hvcC", HEVC_SPACE)], "hev1.A4.41.H120.B0.23"),
    // AV1-ISOBMFF, 5: Main, level 3.0, 10 bits of 4:2:0, BT.2100 with PQ.
    (
        b"av01",
        &[(b"av1C", "81044e00"), (b"colr", "6e636c78 0009 0010 0009 00")],
        "av01.0.04M.10.0.112.09.16.09.0",
    ),
    // ETSI TS 102 366, annex F, and ETSI TS 102 114, annex E: the sample entry's type.
    (b"ac-3", &[(b"dac3", "103dc0")], "ac-3"),
    (b"ec-3", &[(b"dec3", "0600200f00")], "ec-3"),
    (b"dtsc", &[(b"ddts", DDTS)], "dtsc"),
    (b"dtse", &[(b"ddts", DDTS)], "dtse"),
    // ETSI TS 103 491, annex B.
    (b"dtsx", &[(b"udts", "0120 0000003f 8000")], "dtsx"),
    // "Codecs attribute" in Dolby's specification of AC-4 in DASH, after ETSI TS 103 190-2, E.13.
    (
        b"ac-4",
        &[(b"dac4", "20a401 400000000000000000 01 05 fb00000000")],
        "ac-4.02.01.03",
    ),
    // Encapsulation of FLAC in ISO Base Media File Format, 3.3.1, and of Opus, 4.3.1: the sample entry's type.
    (
        b"fLaC",
        &[(
            b"dfLa",
            "00000000 80000022 1000 1000 000000 000000 0bb802f0 00000000 00000000000000000000000000000000",
        )],
        "fLaC",
    ),
    (b"Opus", &[(b"dOps", "00 02 0138 0000bb80 0000 00")], "Opus"),
    // RFC 6381, 3.3, with the object types of ISO/IEC 14496-3, table 1.17: HE-AAC, HE-AAC v2, xHE-AAC.
    (b"mp4a", &[(b"esds", "2b920800")], "mp4a.40.5"),
    (b"mp4a", &[(b"esds", "eb8a0800")], "mp4a.40.29"),
    (b"mp4a", &[(b"esds", "f946436204")], "mp4a.40.42"),
];

const HEVC_MAIN: &str = "01 01 60000000 b00000000000 5d f000fcfdf8f8 0000 0f 00";
const HEVC_SPACE: &str = "01 64 82000000 b02300000000 78 f000fcfdf8f8 0000 0f 00";
const DDTS: &str = "0000bb80 00170976 00170976 18 07248bed 000f 00";

#[test]
fn examples_of_documents_are_what_we_write() {
    for (format, boxes, expected) in EXAMPLES {
        let is_video = ["avc1", "hev1", "av01"].iter().any(|video| video.as_bytes() == *format);
        let mut entry = vec![0; if is_video { 78 } else { 28 }];
        for (kind, payload) in *boxes {
            let payload = hex::decode(payload.replace(' ', "")).unwrap();
            let payload = if *kind == b"esds" { esds(&payload) } else { payload };
            boxed(&mut entry, **kind, &payload);
        }
        let mut stsd = vec![0; 8];
        boxed(&mut stsd, **format, &entry);
        let mut file = Vec::new();
        boxed(&mut file, *b"stsd", &stsd);
        let stsd = Node::parse_one(&file, 0).unwrap();
        let opened = codec::open(FourCc::new(format), stsd.children().first().unwrap());
        let found = opened.map(|codec| codec.rfc6381()).map_err(|error| error.to_string());
        assert_eq!(found.as_deref(), Ok(*expected));
    }
}

/// The descriptors around an `AudioSpecificConfig` (ISO/IEC 14496-1, 7.2.6).
fn esds(config: &[u8]) -> Vec<u8> {
    let descriptor = |tag: u8, body: &[u8]| [&[tag, u8::try_from(body.len()).unwrap()], body].concat();
    let decoder = [&[0x40, 0x15], &[0; 11][..], &descriptor(5, config)].concat();
    let stream = [&[0; 3], &*descriptor(4, &decoder), &[6, 1, 2]].concat();
    [&[0; 4], &*descriptor(3, &stream)].concat()
}

fn boxed(out: &mut Vec<u8>, kind: [u8; 4], payload: &[u8]) {
    let size = u32::try_from(8 + payload.len()).unwrap();
    out.extend([&size.to_be_bytes(), &kind, payload].concat());
}

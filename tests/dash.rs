//! The manifest of MPEG-DASH: others read it, and dash.js and Shaka Player play it with keys from the key server.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg_attr(feature = "server", expect(clippy::panic, reason = "a test fails by panicking"))]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use common::{Workspace, fixture, run, tool};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

fn attributes(element: &BytesStart<'_>) -> BTreeMap<String, String> {
    let attributes = element.attributes().map(|attribute| {
        let attribute = attribute.unwrap();
        (attribute.key.as_ref().to_owned(), attribute.value.to_string())
    });
    attributes.collect()
}

/// All attributes of all elements of that name, in order.
fn elements(manifest: &str, name: &str) -> Vec<BTreeMap<String, String>> {
    let mut reader = Reader::from_str(manifest);
    let mut found = Vec::new();
    loop {
        match reader.read_event().unwrap() {
            Event::Start(element) | Event::Empty(element) if element.name().as_ref() == name => {
                found.push(attributes(&element));
            }
            Event::Eof => return found,
            _ => {}
        }
    }
}

fn encrypt(workspace: &Workspace, out: &str, inputs: &[&str], more: &[&str]) -> String {
    let mut command = workspace.vylux_pack();
    command.args(["encrypt", "--quiet", "--content-id", "film", "--no-store", "--out", out]);
    run(command.args(inputs.iter().map(|name| fixture(name))).args(more));
    std::fs::read_to_string(workspace.path(out).join("manifest.mpd")).unwrap_or_default()
}

/// What an element says in our manifest and in Shaka Packager's.
fn assert_same(ours: &[BTreeMap<String, String>], theirs: &[BTreeMap<String, String>], names: &[&str]) {
    let pick = |elements: &[BTreeMap<String, String>]| {
        let values = elements.iter().map(|element| {
            let value = |name: &&str| element.get(*name).cloned();
            names.iter().map(value).collect::<Vec<_>>()
        });
        let mut values: Vec<_> = values.filter(|values| values.iter().any(Option::is_some)).collect();
        values.sort();
        values.dedup();
        values
    };
    assert_eq!(pick(ours), pick(theirs), "{names:?}");
}

/// How many loudspeakers each configuration has: Dolby's scheme has a bit for each, the others number those of up to 5.1 by their count.
fn loudspeakers(configurations: &[BTreeMap<String, String>]) -> Vec<u32> {
    let count = |of: &BTreeMap<String, String>| match &*of["schemeiduri"] {
        "tag:dolby.com,2014:dash:audio_channel_configuration:2011" => {
            u32::from_str_radix(&of["value"], 16).unwrap().count_ones()
        }
        _ => of["value"].parse().unwrap(),
    };
    configurations.iter().map(count).collect()
}

/// Codecs, sizes, frame rates, channels and key IDs are those of Shaka Packager's manifest of the same input.
#[test]
fn shaka_packager_says_the_same() {
    let Some(packager) = tool("packager") else { return };
    for name in [
        "demo.mp4",
        "ntsc.mp4",
        "hevc.mp4",
        "eac3-5.1.mp4",
        "ac3-5.1.mp4",
        "aac-5.1.mp4",
    ] {
        let workspace = Workspace::new();
        let ours = encrypt(&workspace, "ours", &[name], &[]);
        let has_video = ours.contains("video/mp4");
        let mut command = Command::new(&packager);
        command.current_dir(workspace.path(""));
        let input = fixture(name);
        let streams = [("video", has_video), ("audio", ours.contains("audio/mp4"))];
        for (stream, _) in streams.iter().filter(|(_, is_there)| *is_there) {
            let input = input.display();
            command.arg(format!(
                "in={input},stream={stream},init_segment={stream}.mp4,segment_template={stream}_$Number$.m4s"
            ));
        }
        let kid = elements(&ours, "ContentProtection")[0]["cenc:default_KID"].replace('-', "");
        command.args([
            "--enable_raw_key_encryption",
            "--protection_scheme",
            "cbcs",
            "--clear_lead",
            "0",
        ]);
        command.args(["--keys", &format!("label=:key_id={kid}:key={}", "11".repeat(16))]);
        run(command.args(["--mpd_output", "theirs.mpd"]));
        let theirs = std::fs::read_to_string(workspace.path("theirs.mpd")).unwrap();
        println!("{name}");
        // Theirs say codecs in lower case where ISO/IEC 14496-15 says upper case.
        let (ours, theirs) = (ours.to_lowercase(), theirs.to_lowercase());
        let [ours_of, theirs_of] = [ours, theirs].map(|manifest| move |element: &str| elements(&manifest, element));
        let (mut ours, mut theirs) = (ours_of("representation"), theirs_of("representation"));
        // Some facts stand on the set in theirs, and a whole frame rate is a fraction.
        ours.extend(ours_of("adaptationset"));
        theirs.extend(theirs_of("adaptationset"));
        for element in ours.iter_mut().chain(&mut theirs) {
            if let Some(rate) = element.get_mut("framerate") {
                let (pictures, seconds) = rate.split_once('/').unwrap_or((rate, "1"));
                let [pictures, seconds]: [f64; 2] = [pictures, seconds].map(|number| number.parse().unwrap());
                *rate = format!("{:.6}", pictures / seconds);
            }
        }
        for fact in ["codecs", "audiosamplingrate"] {
            assert_same(&ours, &theirs, &[fact]);
        }
        if has_video {
            for fact in ["width", "height", "framerate"] {
                assert_same(&ours, &theirs, &[fact]);
            }
        }
        let [ours_channels, theirs_channels] =
            [&ours_of, &theirs_of].map(|of| loudspeakers(&of("audiochannelconfiguration")));
        assert_eq!(ours_channels, theirs_channels, "{name}");
        // Its other descriptors are of key systems.
        let keys = |of: Vec<BTreeMap<String, String>>| -> Vec<_> {
            of.into_iter()
                .filter(|of| of.contains_key("cenc:default_kid"))
                .collect()
        };
        let (ours, theirs) = (keys(ours_of("contentprotection")), keys(theirs_of("contentprotection")));
        assert_same(&ours, &theirs, &["schemeiduri", "value", "cenc:default_kid"]);
    }
}

/// ffmpeg's own reader of manifests finds all frames, at their times.
#[test]
fn ffmpeg_reads_the_same_frames() {
    let Some(ffmpeg) = tool("ffmpeg") else { return };
    let names = ["demo.mp4", "ntsc.mp4", "vfr.mp4", "hevc.mp4", "open-gop.mp4"];
    let files = names.map(|name| (name, &["--scheme", "none", "--segment-duration", "2"][..]));
    let single = names.map(|name| {
        (
            name,
            &["--scheme", "none", "--segment-duration", "2", "--single-file"][..],
        )
    });
    for (name, more) in files.into_iter().chain(single) {
        let workspace = Workspace::new();
        encrypt(&workspace, "out", &[name], more);
        let frames = |input: &Path| -> Vec<String> {
            let mut command = Command::new(&ffmpeg);
            command.args(["-v", "error", "-i"]).arg(input);
            let output = run(command.args([
                "-map",
                "0:v:0",
                "-fps_mode",
                "passthrough",
                "-f",
                "framehash",
                "-hash",
                "md5",
                "-",
            ]));
            let text = String::from_utf8(output.stdout).unwrap();
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            lines
                .map(|line| line.rsplit(',').next().unwrap().trim().to_owned())
                .collect()
        };
        let source = frames(&fixture(name));
        assert!(source.len() > 10, "{name}");
        assert!(
            frames(&workspace.path("out/manifest.mpd")) == source,
            "{name} {more:?}: other frames"
        );
    }
}

#[test]
fn whole_segments_and_those_who_want_none_have_none() {
    let workspace = Workspace::new();
    for more in [&["--scheme", "aes-128", "--replace"][..], &["--no-dash", "--replace"]] {
        assert_eq!(encrypt(&workspace, "out", &["demo.mp4"], more), "", "{more:?}");
        assert!(!workspace.path("out/manifest.mpd").exists(), "{more:?}");
    }
}

/// A picture in front of its keyframe does not draw the segment into the period before, whose key is another.
#[test]
fn open_groups_of_pictures_stay_with_their_key() {
    let Some(ffmpeg) = tool("ffmpeg") else { return };
    let workspace = Workspace::new();
    let mut command = Command::new(ffmpeg);
    command.args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=2"]);
    command.args(["-c:v", "libx265", "-tag:v", "hvc1", "-x265-params"]);
    command.arg("log-level=none:open-gop=0:keyint=25:min-keyint=25:scenecut=0:bframes=4");
    run(command.arg(workspace.path("closed.mp4")));
    let mut command = workspace.vylux_pack();
    command
        .args(["encrypt", "closed.mp4"])
        .arg(fixture("hevc-open-gop.mp4"));
    command.args(["--content-id", "film", "--no-store", "--quiet", "--out", "out"]);
    run(command.args(["--segment-duration", "1", "--rotate-every", "1seg"]));
    run(workspace.vylux_pack().args(["verify", "out", "--no-store"]));
}

/// Each key has a period, in which all tracks begin at the segment that has the key first.
#[test]
fn keys_that_change_are_periods() {
    let workspace = Workspace::new();
    let more = ["--rotate-every", "1seg", "--segment-duration", "4"];
    let manifest = encrypt(&workspace, "out", &["demo.mp4", "subs_en.vtt"], &more);
    let starts: Vec<String> = elements(&manifest, "Period")
        .into_iter()
        .map(|period| period["start"].clone())
        .collect();
    assert_eq!(starts, ["PT0S", "PT4S", "PT8S"]);
    let keys: std::collections::BTreeSet<String> = elements(&manifest, "ContentProtection")
        .into_iter()
        .filter_map(|descriptor| descriptor.get("cenc:default_KID").cloned())
        .collect();
    assert_eq!(keys.len(), 3);
    let templates = elements(&manifest, "SegmentTemplate");
    assert_eq!(templates.len(), 9);
    for (index, template) in templates.iter().enumerate() {
        assert_eq!(template["startNumber"], (index / 3 + 1).to_string());
    }
    let clear = encrypt(&workspace, "lead", &["demo.mp4"], &["--clear-lead", "2s"]);
    let protections = elements(&clear, "ContentProtection").len();
    assert_eq!(
        (elements(&clear, "Period").len(), protections),
        (2, 4),
        "the first has no key: {clear}"
    );
}

/// What may be switched between is one set, and what is something else is another.
#[test]
fn sets_and_what_they_say() {
    let workspace = Workspace::new();
    let inputs = [
        "v360.mp4",
        "v180.mp4",
        "a-en.mp4",
        "a-fr.mp4",
        "hevc-hlg.mp4",
        "eac3-5.1.mp4",
        "subs_en.vtt",
    ];
    let [label, described] = ["a-fr.mp4", "eac3-5.1.mp4"].map(|name| fixture(name).display().to_string());
    let label = format!("{label},name=R&D <3");
    let described = format!("{described},characteristics=public.accessibility.describes-video");
    let more = ["--track", &label, "--track", &described, "--allow-misaligned"];
    let manifest = encrypt(&workspace, "out", &inputs, &more);
    let sets = elements(&manifest, "AdaptationSet");
    let types: Vec<&str> = sets.iter().map(|set| &*set["mimeType"]).collect();
    assert_eq!(
        types,
        [
            "video/mp4",
            "video/mp4",
            "audio/mp4",
            "audio/mp4",
            "audio/mp4",
            "text/vtt"
        ],
        "{manifest}"
    );
    assert_eq!(elements(&manifest, "Representation").len(), 7);
    assert!(manifest.contains("<Label>R&amp;D &lt;3</Label>"), "{manifest}");
    assert_structure(&manifest);
    let has = |element: &str, scheme: &str, value: &str| {
        let found = elements(&manifest, element);
        found
            .iter()
            .any(|of| of["schemeIdUri"] == scheme && of["value"] == value)
    };
    assert!(has(
        "SupplementalProperty",
        "urn:mpeg:mpegB:cicp:TransferCharacteristics",
        "18"
    ));
    assert!(has("Accessibility", "urn:mpeg:dash:role:2011", "description"));
    assert!(has(
        "AudioChannelConfiguration",
        "tag:dolby.com,2014:dash:audio_channel_configuration:2011",
        "F801"
    ));
    for role in ["main", "alternate", "subtitle"] {
        assert!(has("Role", "urn:mpeg:dash:role:2011", role), "{role}");
    }

    let captions = encrypt(&workspace, "captions", &["captions-h264.mp4"], &[]);
    assert!(
        captions.contains("urn:scte:dash:cc:cea-608:2015\" value=\"CC1=und"),
        "{captions}"
    );
    let dolby = encrypt(&workspace, "dolby", &["hevc-dolby-vision-8.4.mp4"], &[]);
    assert!(dolby.contains("scte214:supplementalProfiles=\"db4h\""), "{dolby}");
}

/// Sets that differ in nothing but their key name each other where their segments are aligned, and others name none.
#[test]
fn sets_that_differ_in_their_key_alone_name_each_other() {
    const SWITCHING: &str = "urn:mpeg:dash:adaptation-set-switching:2016";
    let Some(ffmpeg) = tool("ffmpeg") else { return };
    let workspace = Workspace::new();
    // More samples of luma than SD has.
    let mut command = Command::new(ffmpeg);
    command.args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=1024x576:r=25:d=4"]);
    command.args([
        "-pix_fmt",
        "yuv420p",
        "-c:v",
        "libx264",
        "-g",
        "25",
        "-sc_threshold",
        "0",
    ]);
    run(command.arg(workspace.path("hd.mp4")));
    let ladder = &["v360.mp4", "v180.mp4", "a-en.mp4"][..];
    let cases: [(&[&str], &str, &[&str]); 9] = [
        (ladder, "--keys=single", &[]),
        (ladder, "--keys=per-track", &["2", "1"]),
        (ladder, "--keys=per-track --single-file", &["2", "1"]),
        (ladder, "--keys=per-track --rotate-every=2seg", &["2", "1", "2", "1"]),
        (ladder, "--keys=per-track --rotate-every=2seg --seig", &["2", "1"]),
        // What is clear has no key to differ in.
        (ladder, "--keys=per-track --clear-lead=1s", &["2", "1"]),
        (&["v180.mp4"], "hd.mp4 --keys=per-resolution", &["2", "1"]),
        (
            &["v360.mp4", "v180.mp4"],
            "hd.mp4 --keys=per-track",
            &["2,3", "1,3", "1,2"],
        ),
        (
            &["v360.mp4", "v180-misaligned.mp4"],
            "--keys=per-track --allow-misaligned",
            &[],
        ),
    ];
    for (index, (inputs, options, expected)) in cases.into_iter().enumerate() {
        let out = format!("out-{index}");
        let mut more: Vec<&str> = options.split(' ').collect();
        more.push("--segment-duration=1");
        let manifest = encrypt(&workspace, &out, inputs, &more);
        let properties = elements(&manifest, "SupplementalProperty").into_iter();
        let properties = properties.filter(|property| property["schemeIdUri"] == SWITCHING);
        let found: Vec<String> = properties.map(|property| property["value"].clone()).collect();
        assert_eq!(found, expected, "{options}: {manifest}");
        run(workspace.vylux_pack().args(["verify", &out, "--no-store", "--quiet"]));
    }
}

/// An element: attributes that it must have, others that it may have, and what may stand in it, in this order.
type Rule = (&'static str, [&'static [&'static str]; 3]);

/// What is used here of ISO/IEC 23009-1, 5.3 and 5.8. The standard lets attributes and elements of other namespaces stand in all.
const STRUCTURE: [Rule; 18] = [
    (
        "MPD",
        [
            &["profiles", "minBufferTime"],
            &["type", "mediaPresentationDuration"],
            &["Period"],
        ],
    ),
    ("Period", [&[], &["id", "start"], &["AdaptationSet"]]),
    (
        "AdaptationSet",
        [
            &[],
            &[
                "id",
                "contentType",
                "mimeType",
                "lang",
                "segmentAlignment",
                "subsegmentAlignment",
                "startWithSAP",
                "subsegmentStartsWithSAP",
            ],
            &[
                "ContentProtection",
                "SupplementalProperty",
                "Label",
                "Accessibility",
                "Role",
                "SegmentTemplate",
                "Representation",
            ],
        ],
    ),
    (
        "ContentProtection",
        [&["schemeIdUri"], &["value"], &["cenc:pssh", "dashif:Laurl"]],
    ),
    ("cenc:pssh", [&[], &[], &[]]),
    ("dashif:Laurl", [&[], &[], &[]]),
    ("SupplementalProperty", [&["schemeIdUri"], &["value"], &[]]),
    ("Label", [&[], &[], &[]]),
    ("Accessibility", [&["schemeIdUri"], &["value"], &[]]),
    ("Role", [&["schemeIdUri"], &["value"], &[]]),
    ("AudioChannelConfiguration", [&["schemeIdUri"], &["value"], &[]]),
    (
        "Representation",
        [
            &["id", "bandwidth"],
            &["codecs", "width", "height", "frameRate", "audioSamplingRate"],
            &[
                "AudioChannelConfiguration",
                "SupplementalProperty",
                "BaseURL",
                "SegmentBase",
                "SegmentTemplate",
            ],
        ],
    ),
    ("BaseURL", [&[], &[], &[]]),
    (
        "SegmentBase",
        [
            &[],
            &["timescale", "presentationTimeOffset", "indexRange"],
            &["Initialization"],
        ],
    ),
    ("Initialization", [&[], &["range"], &[]]),
    (
        "SegmentTemplate",
        [
            &[],
            &[
                "timescale",
                "presentationTimeOffset",
                "initialization",
                "media",
                "startNumber",
            ],
            &["SegmentTimeline"],
        ],
    ),
    ("SegmentTimeline", [&[], &[], &["S"]]),
    ("S", [&["d"], &["t", "r"], &[]]),
];

/// Whether an attribute's value is of its type.
fn is_of_its_type(element: &str, attribute: &str, value: &str) -> bool {
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u64>().is_ok();
    let is_small = |text: &str| is_number(text) && text.parse::<u32>().is_ok();
    match (element, attribute) {
        ("AdaptationSet", "id")
        | (_, "bandwidth" | "width" | "height" | "audioSamplingRate" | "timescale" | "startNumber") => is_small(value),
        (_, "presentationTimeOffset" | "t" | "d" | "r") => is_number(value),
        (_, "startWithSAP" | "subsegmentStartsWithSAP") => ["1", "2"].contains(&value),
        (_, "segmentAlignment" | "subsegmentAlignment") => value == "true",
        (_, "contentType") => ["video", "audio", "text"].contains(&value),
        (_, "start" | "mediaPresentationDuration" | "minBufferTime") => {
            let seconds = value.strip_prefix("PT").and_then(|value| value.strip_suffix('S'));
            seconds.is_some_and(|seconds| seconds.split('.').count() <= 2 && seconds.split('.').all(is_number))
        }
        (_, "frameRate") => value.split('/').count() <= 2 && value.split('/').all(is_small),
        (_, "range" | "indexRange") => value.split('-').count() == 2 && value.split('-').all(is_number),
        (_, "lang") => value.split('-').all(|part| (1..=8).contains(&part.len())),
        (_, "schemeIdUri") => value.contains(':'),
        ("Representation", "id") => !value.is_empty() && !value.contains(char::is_whitespace),
        _ => true,
    }
}

/// Fails unless a manifest is built as the standard says.
#[track_caller]
fn assert_structure(manifest: &str) {
    let rule = |name: &str| {
        let found = STRUCTURE.iter().find(|(of, _)| *of == name);
        assert!(found.is_some(), "{name}: {manifest}");
        found.unwrap().1
    };
    let mut reader = Reader::from_str(manifest);
    // The elements that are open, and which of what may stand in each came last.
    let mut open: Vec<(String, usize)> = Vec::new();
    let mut prefixes = vec!["xmlns".to_owned()];
    loop {
        let event = reader.read_event().unwrap();
        let is_empty = matches!(event, Event::Empty(_));
        match event {
            Event::Start(element) | Event::Empty(element) => {
                let name: String = element.name().as_ref().to_owned();
                let attributes = attributes(&element);
                if let Some((parent, last)) = open.last_mut() {
                    let at = rule(parent)[2].iter().position(|child| *child == name);
                    assert!(at.is_some_and(|at| at >= *last), "{name} in {parent}: {manifest}");
                    *last = at.unwrap();
                } else {
                    let declared = attributes.keys().filter_map(|key| key.strip_prefix("xmlns:"));
                    prefixes.extend(declared.map(str::to_owned));
                }
                let [required, optional, _] = rule(&name);
                for key in required {
                    assert!(attributes.contains_key(*key), "{key} of {name}: {manifest}");
                }
                let prefix = name.split_once(':').map(|(prefix, _)| prefix);
                let keys = attributes.keys().filter_map(|key| key.split_once(':'));
                for prefix in keys.map(|(prefix, _)| prefix).chain(prefix) {
                    assert!(prefixes.iter().any(|of| of == prefix), "{prefix} of {name}: {manifest}");
                }
                for (key, value) in attributes
                    .iter()
                    .filter(|(key, _)| *key != "xmlns" && !key.contains(':'))
                {
                    let is_known = required.iter().chain(optional).any(|of| of == key);
                    assert!(
                        is_known && is_of_its_type(&name, key, value),
                        "{key}={value:?} of {name}: {manifest}"
                    );
                }
                if !is_empty {
                    open.push((name, 0));
                }
            }
            Event::End(_) => {
                open.pop();
            }
            Event::Eof => return,
            _ => {}
        }
    }
}

/// In place of the standard's schema, which no package has that the tests may fetch (docs/dash.md).
#[test]
fn manifests_of_all_kinds_have_the_structure_of_the_standard() {
    const WIDEVINE: &str = "--pssh=0000002570737368 00000000 edef8ba979d64acea3c827dcd51d21ed 00000005 0102030405";
    let pssh = WIDEVINE.replace(' ', "");
    let ladder = &["v360.mp4", "v180.mp4", "a-en.mp4", "a-fr.mp4", "subs_en.vtt"][..];
    let rotated = &["--rotate-every=1seg", "--segment-duration=4"][..];
    let cases: [(&[&str], &[&str]); 13] = [
        (ladder, &[]),
        (ladder, &["--scheme=none"]),
        (ladder, &["--single-file"]),
        (&["demo.mp4"], &["--single-file"]),
        (ladder, &["--keys=per-track", "--segment-duration=1"]),
        (ladder, &[&pssh]),
        (&["demo.mp4", "subs_en.vtt"], rotated),
        (
            &["demo.mp4"],
            &["--rotate-every=1seg", "--segment-duration=4", "--seig"],
        ),
        (&["demo.mp4"], &["--clear-lead=2s"]),
        (&["hevc-hlg.mp4"], &[]),
        (&["hevc-dolby-vision-8.4.mp4"], &[]),
        (&["captions-h264.mp4"], &[]),
        (&["eac3-5.1.mp4"], &[]),
    ];
    let workspace = Workspace::new();
    for (index, (inputs, more)) in cases.into_iter().enumerate() {
        println!("{inputs:?} {more:?}");
        let manifest = encrypt(&workspace, &format!("out-{index}"), inputs, more);
        assert!(!manifest.is_empty(), "{inputs:?} {more:?}");
        assert_structure(&manifest);
    }
}

#[cfg(feature = "server")]
mod browser {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use serde_json::{Value, json};

    use super::common::server::Server;
    use super::common::{self, Workspace, fixture, run, tool};

    const KEY_TOKEN_SECRET: &str = "the token secret of all the tests";

    const PLAYERS: [&str; 2] = ["dash", "shaka"];

    /// Where pictures are compared, in seconds: within frames, forward and back over changes of keys, and where no cue comes or goes.
    const SEEKS: [f64; 4] = [3.3, 9.3, 5.1, 7.7];

    /// The same of a film of four seconds in two qualities, in each of them.
    const LADDER_SEEKS: [f64; 1] = [2.3];

    /// Films that are to be played as the clear one.
    const ENCRYPTED: [&str; 5] = ["film", "counted", "rotated", "single", "lead"];

    /// Those that are tried with keys that open nothing.
    const SPOILED: [&str; 5] = ["film", "counted", "rotated", "single", "ladder"];

    /// Of 255. Silence is 0.
    const HEARD: u64 = 100;

    /// `None` where something is missing: the test is skipped then.
    fn play(cases: &[Value]) -> Option<Vec<Value>> {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let modules = root.join("target/oracles/node/node_modules");
        if ["playwright-core", "dashjs", "shaka-player"]
            .iter()
            .any(|name| !modules.join(name).is_dir())
        {
            common::skip("playwright-core, dashjs or shaka-player is not installed; fixtures/oracles.sh installs them");
            return None;
        }
        let job = json!({ "node_modules": modules, "chromium": tool("chromium")?, "cases": cases });
        let mut node = Command::new(tool("node")?);
        node.arg(root.join("tests/browser/dash.mjs")).stdin(Stdio::piped());
        let mut node = node.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        node.stdin
            .take()
            .unwrap()
            .write_all(job.to_string().as_bytes())
            .unwrap();
        let output = node.wait_with_output().unwrap();
        let lines = String::from_utf8(output.stdout).unwrap();
        let answers: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && answers.len() == cases.len(),
            "{message}\n{lines}"
        );
        for answer in &answers {
            assert_eq!(answer.get("broken"), None, "{answer}");
        }
        Some(answers)
    }

    fn origin(server: &Server) -> String {
        format!("http://localhost:{}", server.address.port())
    }

    /// A server of media and pages, and one of keys.
    struct Servers {
        _media: Server,
        keys: Server,
        /// The origin of media and pages.
        page: String,
        workspace: Workspace,
    }

    impl Servers {
        fn start() -> Self {
            let workspace = Workspace::new();
            std::fs::create_dir(workspace.path("out")).unwrap();
            let serve = |more: &[&str], environment: &[(&str, &str)]| {
                let mut command = workspace.vylux_pack();
                command.args(["serve", "--listen", "127.0.0.1:0"]).args(more);
                command
                    .env("KEY_TOKEN_SECRET", KEY_TOKEN_SECRET)
                    .env("RATE_LIMIT_KEYS", "1000");
                Server::start(command.envs(environment.iter().copied()))
            };
            let media = serve(&["--derive-any", "--media", "out"], &[]);
            let page = origin(&media);
            let keys = serve(&[], &[("CORS_ORIGINS", &page)]);
            Self {
                _media: media,
                keys,
                page,
                workspace,
            }
        }

        fn encrypt(&self, content_id: &str, inputs: &[&str], more: &[&str]) {
            let mut command = self.workspace.vylux_pack();
            command.arg("encrypt").args(inputs.iter().map(|name| fixture(name)));
            command.args(["--quiet", "--content-id", content_id, "--base-url", &origin(&self.keys)]);
            command.arg(format!("--out=out/{content_id}"));
            run(command.args(more));
        }

        fn mint(&self, content_id: &str) -> String {
            let mut command = self.workspace.vylux_pack();
            command.args(["token", "mint", "--content-id", content_id]);
            command.env("KEY_TOKEN_SECRET", KEY_TOKEN_SECRET);
            String::from_utf8(run(&mut command).stdout).unwrap().trim().to_owned()
        }

        /// All that a player is asked to do.
        fn cases(&self, player: &str) -> Vec<Value> {
            let case = |name: &str, asset: &str, token: String| {
                let manifest = format!("{}/media/{asset}/manifest.mpd", self.page);
                let is_ladder = asset.ends_with("ladder");
                json!({
                    "name": name, "player": player, "manifest": manifest, "token": token, "to_end": true,
                    "seeks": if is_ladder { &LADDER_SEEKS[..] } else { &SEEKS }, "changes_quality": is_ladder,
                    "spoils_keys": name == "wrong key",
                })
            };
            let mut cases = vec![case("clear", "clear", String::new())];
            let played = ENCRYPTED.map(|asset| case(asset, asset, self.mint(asset)));
            cases.extend(played);
            cases.push(case("no token", "film", String::new()));
            cases.push(case("token for other content", "film", self.mint("other")));
            let wrong = SPOILED.map(|asset| case("wrong key", asset, self.mint(asset)));
            cases.extend(wrong);
            cases.push(case("clear ladder", "clear-ladder", String::new()));
            cases.push(case("ladder", "ladder", self.mint("ladder")));
            cases
        }
    }

    #[track_caller]
    fn assert_played(answer: &Value) {
        assert_eq!(answer["over"], "played", "{answer}");
        assert_eq!(answer["complaints"], json!([]), "{answer}");
        assert!(
            answer["loudest"].as_u64().unwrap() >= HEARD,
            "no tone was heard: {answer}"
        );
        assert_eq!(answer["ended"], true, "{answer}");
    }

    /// Fails unless the clear film was played, and as many pictures were seen as there are.
    #[track_caller]
    fn assert_clear(clear: &Value, pictures: usize) {
        assert_played(clear);
        assert_eq!(clear["licences"], json!([]), "{clear}");
        let seen = clear["pictures"].as_array().unwrap();
        let seen: std::collections::BTreeSet<&str> = seen.iter().map(|of| of.as_str().unwrap()).collect();
        assert_eq!(
            seen.len(),
            pictures,
            "pictures that are all alike tell nothing: {clear}"
        );
    }

    /// Fails unless a film was played as the clear one was, with keys.
    #[track_caller]
    fn assert_alike(encrypted: &Value, clear: &Value) {
        assert_played(encrypted);
        for fact in ["duration", "heights", "pictures", "cues"] {
            assert_eq!(encrypted[fact], clear[fact], "{fact}: {encrypted}");
        }
        let licences = encrypted["licences"].as_array().unwrap();
        assert!(
            !licences.is_empty() && licences.iter().all(|status| *status == 200),
            "{encrypted}"
        );
    }

    /// The clear film in the same player says what should be seen.
    #[test]
    fn players_play_with_the_right_token_and_key_alone() {
        let servers = Servers::start();
        let film = ["demo.mp4", "subs_en.vtt"];
        servers.encrypt("clear", &film, &["--scheme", "none"]);
        servers.encrypt("film", &film, &[]);
        servers.encrypt("counted", &film, &["--scheme", "cenc"]);
        let rotated = ["--rotate-every", "1seg", "--segment-duration", "4"];
        servers.encrypt("rotated", &film, &rotated);
        servers.encrypt("single", &film, &["--single-file", "--segment-duration", "2"]);
        servers.encrypt("lead", &film, &["--clear-lead", "3s", "--segment-duration", "4"]);
        let ladder = ["v360.mp4", "v180.mp4", "a-en.mp4", "subs_en.vtt"];
        for (content_id, options) in [
            ("clear-ladder", ["--scheme", "none"]),
            ("ladder", ["--keys", "per-track"]),
        ] {
            let more = [&options[..], &["--segment-duration", "2"]].concat();
            servers.encrypt(content_id, &ladder, &more);
        }

        let cases = PLAYERS.map(|player| servers.cases(player));
        let Some(answers) = play(&cases.concat()) else { return };
        for (answers, player) in answers.chunks(cases[0].len()).zip(PLAYERS) {
            println!("{player}");
            let [
                clear,
                film,
                counted,
                rotated,
                single,
                lead,
                missing,
                other,
                wrong @ ..,
                clear_ladder,
                ladder,
            ] = answers
            else {
                panic!("{answers:?}")
            };
            assert_clear(clear, SEEKS.len());
            assert_eq!(clear["duration"], 12.0, "{clear}");
            let cues = clear["cues"].as_array().unwrap().iter();
            let starts: Vec<f64> = cues.map(|cue| cue[0].as_f64().unwrap()).collect();
            assert_eq!(starts, [0.5, 1.0, 2.0, 5.9, 10.0], "{clear}");
            for encrypted in [film, counted, rotated, single, lead] {
                assert_alike(encrypted, clear);
            }
            assert!(
                rotated["licences"].as_array().unwrap().len() >= 3,
                "a licence a key: {rotated}"
            );
            for (refused, status) in [(missing, 401), (other, 403)] {
                assert_eq!(refused["over"], "error", "{refused}");
                assert_eq!(refused["licences"][0], status, "{refused}");
                assert_eq!(refused["loudest"], 0, "it was heard: {refused}");
            }
            // The keys came, and opened nothing.
            assert_eq!(wrong.len(), SPOILED.len());
            for wrong in wrong {
                assert_ne!(wrong["over"], "played", "{wrong}");
                assert_eq!(wrong["licences"][0], 200, "{wrong}");
            }
            // Qualities with keys of their own are in sets of their own, and players go from one to the other all the same.
            assert_clear(clear_ladder, 2 * LADDER_SEEKS.len());
            assert_eq!(clear_ladder["heights"], json!([180, 360]), "{clear_ladder}");
            assert_alike(ladder, clear_ladder);
        }
        let token = servers.mint("film");
        assert!(!servers.keys.log().contains(&token), "the log has a token");
    }
}

//! The manifest of MPEG-DASH: others read it, and dash.js and Shaka Player play it with keys from the key server.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg_attr(feature = "server", expect(clippy::panic, reason = "a test fails by panicking"))]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use common::{Workspace, fixture, run, tool};
use quick_xml::Reader;
use quick_xml::events::Event;

/// All attributes of all elements of that name, in order.
fn elements(manifest: &str, name: &str) -> Vec<BTreeMap<String, String>> {
    let mut reader = Reader::from_str(manifest);
    let mut found = Vec::new();
    loop {
        match reader.read_event().unwrap() {
            Event::Start(element) | Event::Empty(element) if element.name().as_ref() == name => {
                let attributes = element.attributes().map(|attribute| {
                    let attribute = attribute.unwrap();
                    (attribute.key.as_ref().to_owned(), attribute.value.to_string())
                });
                found.push(attributes.collect());
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

    #[track_caller]
    fn assert_played(answer: &Value) {
        assert_eq!(answer["over"], "played", "{answer}");
        assert_eq!(answer["complaints"], json!([]), "{answer}");
        assert!(
            answer["loudest"].as_u64().unwrap() >= HEARD,
            "no tone was heard: {answer}"
        );
        assert_eq!(answer["ended"], true, "{answer}");
        assert_eq!(answer["duration"], 12.0, "{answer}");
    }

    /// The clear film in the same player says what should be seen.
    #[test]
    fn players_play_with_the_right_token_and_key_alone() {
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
        let page_server = serve(&["--derive-any", "--media", "out"], &[]);
        let page = origin(&page_server);
        let keys = serve(&[], &[("CORS_ORIGINS", &page)]);
        let encrypt = |content_id: &str, more: &[&str]| {
            let mut command = workspace.vylux_pack();
            command.arg("encrypt").args(["demo.mp4", "subs_en.vtt"].map(fixture));
            command.args(["--quiet", "--content-id", content_id, "--base-url", &origin(&keys)]);
            command.arg(format!("--out=out/{content_id}"));
            run(command.args(more));
        };
        encrypt("clear", &["--scheme", "none"]);
        encrypt("film", &[]);
        encrypt("counted", &["--scheme", "cenc"]);
        encrypt("rotated", &["--rotate-every", "1seg", "--segment-duration", "4"]);
        encrypt("single", &["--single-file", "--segment-duration", "2"]);

        let mint = |content_id: &str| {
            let mut command = workspace.vylux_pack();
            command.args(["token", "mint", "--content-id", content_id]);
            command.env("KEY_TOKEN_SECRET", KEY_TOKEN_SECRET);
            String::from_utf8(run(&mut command).stdout).unwrap().trim().to_owned()
        };
        let mut cases = Vec::new();
        for player in PLAYERS {
            let mut add = |name: &str, asset: &str, token: String| {
                let manifest = format!("{page}/media/{asset}/manifest.mpd");
                cases.push(json!({
                    "name": name, "player": player, "manifest": manifest, "token": token, "seeks": SEEKS, "to_end": true,
                    "spoils_keys": name == "wrong key",
                }));
            };
            add("clear", "clear", String::new());
            for asset in ["film", "counted", "rotated", "single"] {
                add(asset, asset, mint(asset));
            }
            add("no token", "film", String::new());
            add("token for other content", "film", mint("other"));
            add("wrong key", "film", mint("film"));
        }
        let Some(answers) = play(&cases) else { return };
        for (answers, player) in answers.chunks(8).zip(PLAYERS) {
            println!("{player}");
            let [clear, film, counted, rotated, single, missing, other, wrong] = answers else {
                panic!("{answers:?}")
            };
            assert_played(clear);
            assert_eq!(clear["licences"], json!([]), "{clear}");
            let pictures: std::collections::BTreeSet<&str> = clear["pictures"]
                .as_array()
                .unwrap()
                .iter()
                .map(|of| of.as_str().unwrap())
                .collect();
            assert_eq!(
                pictures.len(),
                SEEKS.len(),
                "pictures that are all alike tell nothing: {clear}"
            );
            let starts: Vec<f64> = clear["cues"]
                .as_array()
                .unwrap()
                .iter()
                .map(|cue| cue[0].as_f64().unwrap())
                .collect();
            assert_eq!(starts, [0.5, 1.0, 2.0, 5.9, 10.0], "{clear}");
            for encrypted in [film, counted, rotated, single] {
                assert_played(encrypted);
                assert_eq!(encrypted["pictures"], clear["pictures"], "{encrypted}");
                assert_eq!(encrypted["cues"], clear["cues"], "{encrypted}");
                let licences = encrypted["licences"].as_array().unwrap();
                assert!(
                    !licences.is_empty() && licences.iter().all(|status| *status == 200),
                    "{encrypted}"
                );
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
            // The key came, and opened nothing.
            assert_ne!(wrong["over"], "played", "{wrong}");
            assert_eq!(wrong["licences"][0], 200, "{wrong}");
        }
        assert!(!keys.log().contains(&mint("film")), "the log has a token");
    }
}

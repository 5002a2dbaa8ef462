//! `--track`: what playlists and init segments say where somebody chose it, as others read them; and what can't be chosen.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::process::{Command, Output};

use common::{Workspace, fixture, run, tool};
use m3u8_rs::{MasterPlaylist, Playlist};

const INPUTS: [&str; 5] = [
    "v360.mp4",
    "two-languages.mp4",
    "a-en.mp4",
    "subs_en.vtt",
    "subs.fr.vtt",
];

/// Runs a subcommand over copies of [`INPUTS`], whose names are as short as these.
fn call(workspace: &Workspace, inputs: &[&str], subcommand: &[&str], options: &[&str]) -> Output {
    for name in inputs {
        fs::copy(fixture(name), workspace.path(name)).unwrap();
    }
    let mut command = workspace.vylux_pack();
    command.args(subcommand).args(inputs).arg("--no-store");
    command.args(options.iter().flat_map(|option| ["--track", option]));
    command.output().unwrap()
}

/// The picture of `two-languages.mp4` is a second shorter than that of `v360.mp4`.
const ENCRYPT: [&str; 6] = [
    "encrypt",
    "--allow-misaligned",
    "--content-id",
    "film",
    "--segment-duration",
    "2",
];
const VERIFY: [&str; 3] = ["verify", "out/film", "--source"];

const CHOSEN: [&str; 4] = [
    "two-languages.mp4:3,name=Commentaire,default=yes,characteristics=public.a,characteristics=public.b",
    "a-en.mp4,language=DE-ch,autoselect=no",
    "subs_en.vtt,language=tlh,name=tlhIngan Hol",
    "subs.fr.vtt,forced=yes",
];

fn multivariant(workspace: &Workspace) -> MasterPlaylist {
    let text = fs::read(workspace.path("out/film/master.m3u8")).unwrap();
    match m3u8_rs::parse_playlist_res(&text) {
        Ok(Playlist::MasterPlaylist(master)) => master,
        _ => unreachable!("no multivariant playlist"),
    }
}

#[test]
fn playlists_and_init_segments_say_what_was_chosen() {
    let workspace = Workspace::new();
    let output = call(&workspace, &INPUTS, &ENCRYPT, &CHOSEN);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let master = multivariant(&workspace);
    let media: Vec<String> = master
        .alternatives
        .iter()
        .map(|media| {
            let language = media.language.as_deref().unwrap_or("-");
            let characteristics = media.characteristics.as_deref().unwrap_or("-");
            let switches = (media.default, media.autoselect, media.forced);
            format!("{} {language} {switches:?} {characteristics}", media.name)
        })
        .collect();
    assert_eq!(
        media,
        [
            "English en (false, true, false) -",
            "Commentaire fr (true, true, false) public.a,public.b",
            "Deutsch (de-CH) de-CH (false, false, false) -",
            "tlhIngan Hol tlh (false, true, false) -",
            "français fr (false, true, true) -",
        ]
    );
    if let Some(ffprobe) = tool("ffprobe") {
        let mut command = Command::new(ffprobe);
        command.args(["-v", "error", "-show_entries", "stream_tags=language", "-of", "csv=p=0"]);
        let output = run(command.arg(workspace.path("out/film/audio/de-ch/init.mp4")));
        assert_eq!(
            String::from_utf8(output.stdout).unwrap().trim_end_matches([',', '\n']),
            "deu"
        );
    }

    // Right as it is, right by its source with the same words, and not without them.
    let alone = run(workspace.vylux_pack().args(["verify", "out/film", "--no-store"]));
    assert!(alone.status.success());
    let same = call(&workspace, &INPUTS, &VERIFY, &CHOSEN);
    assert!(same.status.success(), "{}", String::from_utf8_lossy(&same.stdout));
    let none = call(&workspace, &[], &VERIFY[..2], &CHOSEN[..1]);
    assert_eq!(none.status.code(), Some(2));
    assert!(String::from_utf8(none.stderr).unwrap().contains("give --source too"));
    let other = call(&workspace, &INPUTS, &VERIFY, &CHOSEN[..1]);
    let words = String::from_utf8(other.stdout).unwrap();
    assert_eq!(other.status.code(), Some(4), "{words}");
    assert!(
        words.contains("audio/de-ch/playlist.m3u8: the source has no track of this name"),
        "{words}"
    );
}

#[test]
fn what_can_not_be_chosen_is_told() {
    let workspace = Workspace::new();
    for (options, expected) in [
        (&["film.mp4,name=A"][..], "it begins with no input"),
        (&["a-en.mp4"], "it begins with no input"),
        (&["a-en.mp4:1"], "there is no ',KEY=VALUE' behind the input"),
        (&["a-en.mp4,name"], "'name' is no KEY=VALUE"),
        (&["a-en.mp4,name="], "name is \"\", expected text without quotes"),
        (&["a-en.mp4,name=a\"b"], "expected text without quotes"),
        (&["a-en.mp4,role=a"], "there is no key 'role'; there are name, language"),
        (&["a-en.mp4,name=A,name=B"], "name stands there twice"),
        (&["a-en.mp4,default=true"], "default is 'true', expected yes or no"),
        (&["a-en.mp4,language=e n"], "'e n' is no language"),
        (&["a-en.mp4:9,name=A"], "there is no such track; it has 1"),
        (&["a-en.mp4:x,name=A"], "'x' is no track ID"),
        (&["a-en.mp4,forced=yes"], "forced is for subtitles"),
        (&["two-languages.mp4,name=A"], "it may be any of 1, 2, 3"),
        (&["v360.mp4,name=A"], "it is video"),
        (&["v360.mp4,language=en"], "it is video"),
        (
            &["v360.mp4,hdcp=type-1"],
            "hdcp is 'type-1', expected TYPE-0, TYPE-1 or NONE",
        ),
        (&["v360.mp4,score=-1"], "score is '-1', expected a number above 0"),
        (&["v360.mp4,score=inf"], "score is 'inf', expected a number above 0"),
        (&["a-en.mp4,hdcp=NONE"], "hdcp and score are for video"),
        (&["subs_en.vtt,score=1"], "hdcp and score are for video"),
        (
            &["v360.mp4,score=1"],
            "track 1 of two-languages.mp4 has no score, and others have one",
        ),
        (&["subs_en.vtt:1,name=A"], "subtitles have no track IDs"),
        (
            &["subs_en.vtt,forced=yes,autoselect=no"],
            "default and forced ask for autoselect=yes",
        ),
        (
            &["a-en.mp4,name=A", "a-en.mp4:1,default=yes"],
            "there is a --track of it already",
        ),
        (
            &["subs_en.vtt,name=A", "subs.fr.vtt,name=A"],
            "can't both have the name 'A'",
        ),
        (
            &["a-en.mp4,default=yes", "two-languages.mp4:2,default=yes"],
            "can't both be the default one",
        ),
    ] {
        let output = call(&workspace, &INPUTS, &ENCRYPT, options);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(
            error.contains("--track") && error.contains(expected),
            "{options:?}: {error}"
        );
        assert_eq!(output.status.code(), Some(2), "{error}");
    }
    let alone = call(&workspace, &["a-en.mp4"], &ENCRYPT, &["a-en.mp4,group=A"]);
    let error = String::from_utf8(alone.stderr).unwrap();
    assert!(error.contains("there is no video beside it"), "{error}");
    assert!(!workspace.path("out").exists());
}

/// The default is what players choose by themselves (RFC 8216bis, 4.4.6.1).
#[test]
fn what_players_must_not_choose_is_no_default() {
    let workspace = Workspace::new();
    let output = call(&workspace, &INPUTS, &ENCRYPT, &["two-languages.mp4:2,autoselect=no"]);
    assert!(output.status.success());
    let master = fs::read_to_string(workspace.path("out/film/master.m3u8")).unwrap();
    assert!(
        master.contains("NAME=\"English\",LANGUAGE=\"en\",DEFAULT=NO,AUTOSELECT=NO"),
        "{master}"
    );
    run(workspace.vylux_pack().args(["verify", "out/film", "--no-store"]));
}

/// Several angles of one size: each has a folder and a key's IV of its own, in the order in which they are given.
#[test]
fn video_of_equal_size_has_names_of_its_own() {
    let workspace = Workspace::new();
    let inputs = [fixture("v360.mp4"), workspace.path("other.mp4")];
    fs::copy(&inputs[0], &inputs[1]).unwrap();
    let names: Vec<String> = workspace
        .package(&inputs, "out", &[])
        .into_iter()
        .map(|rendition| rendition.name)
        .collect();
    assert_eq!(names, ["video/360p", "video/360p-2"]);
}

/// A codec that lacks a language has it from the one that has all, whose variants name no other codec; what is the default in one
/// group is so in all.
#[test]
fn what_a_form_lacks_is_in_its_group_in_another() {
    let workspace = Workspace::new();
    let inputs = ["v360.mp4", "a-en.mp4", "a-fr.mp4", "ac3-5.1.mp4"];
    let options = ["ac3-5.1.mp4,language=en", "a-fr.mp4,default=yes"];
    let output = call(&workspace, &inputs, &ENCRYPT, &options);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("is one group"));
    let master = multivariant(&workspace);
    let media: Vec<String> = master
        .alternatives
        .iter()
        .map(|media| {
            let uri = media.uri.as_deref().unwrap();
            format!("{} {} {} {uri}", media.group_id, media.name, media.default)
        })
        .collect();
    assert_eq!(
        media,
        [
            "audio-mp4a-40-2-2 English false audio/en/playlist.m3u8",
            "audio-mp4a-40-2-2 français true audio/fr/playlist.m3u8",
            "audio-ac-3-6 English false audio/en-2/playlist.m3u8",
            "audio-ac-3-6 français true audio/fr/playlist.m3u8",
        ]
    );
    let variants: Vec<(&str, &str)> = master
        .variants
        .iter()
        .filter(|variant| !variant.is_i_frame)
        .map(|variant| {
            let (_, beside) = variant.codecs.as_deref().unwrap().split_once(',').unwrap();
            (variant.audio.as_deref().unwrap(), beside)
        })
        .collect();
    assert_eq!(
        variants,
        [("audio-mp4a-40-2-2", "mp4a.40.2"), ("audio-ac-3-6", "ac-3,mp4a.40.2"),]
    );
    let same = call(&workspace, &inputs, &VERIFY, &options);
    assert!(same.status.success(), "{}", String::from_utf8_lossy(&same.stdout));
    let mut apple = workspace.vylux_pack();
    let output = apple
        .args(["verify", "--apple", "out/film", "--json"])
        .output()
        .unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut rules = report
        .get("rules")
        .and_then(serde_json::Value::as_array)
        .unwrap()
        .iter();
    let members = rules.find(|rule| rule.get("id").is_some_and(|id| id == "RFC 8216bis 4.4.6.1.1 (several)"));
    let verdict = members.and_then(|rule| rule.get("verdict"));
    assert!(verdict.is_some_and(|verdict| verdict == "pass"), "{members:?}");

    // A default holds in all groups, so there is one.
    let options = ["ac3-5.1.mp4,language=en,default=yes", "a-fr.mp4,default=yes"];
    let output = call(&workspace, &inputs, &ENCRYPT, &options);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("can't both be the default one"), "{error}");
}

/// A player changes rendition within a group, and can't change codecs: what differs in them is in groups of its own, and each
/// quality is there once for each of them.
#[test]
fn variants_are_there_once_for_each_group() {
    let inputs = ["v360.mp4", "a-en.mp4", "ac3-5.1.mp4", "subs_en.vtt", "subs.fr.vtt"];
    let groups = |workspace: &Workspace| {
        let text = fs::read(workspace.path("out/film/master.m3u8")).unwrap();
        let Ok(Playlist::MasterPlaylist(master)) = m3u8_rs::parse_playlist_res(&text) else {
            unreachable!("no multivariant playlist")
        };
        let media = master
            .alternatives
            .iter()
            .map(|media| (media.group_id.clone(), media.default));
        let variants = master
            .variants
            .iter()
            .filter(|variant| !variant.is_i_frame)
            .map(|variant| {
                let group = |group: &Option<String>| group.clone().unwrap_or_default();
                let codecs = group(&variant.codecs);
                let beside = codecs.split_once(',').map_or("", |(_, beside)| beside).to_owned();
                (group(&variant.audio), group(&variant.subtitles), beside)
            });
        (media.collect::<Vec<_>>(), variants.collect::<Vec<_>>())
    };
    let names = |groups: &[(&str, bool)]| -> Vec<(String, bool)> {
        groups
            .iter()
            .map(|(name, default)| ((*name).to_owned(), *default))
            .collect()
    };
    let rows = |rows: &[[&str; 3]]| -> Vec<(String, String, String)> {
        let owned = |[audio, text, codecs]: &[&str; 3]| ((*audio).into(), (*text).into(), (*codecs).into());
        rows.iter().map(owned).collect()
    };

    let workspace = Workspace::new();
    let english = "ac3-5.1.mp4,language=en";
    let (aac, ac3) = ("audio-mp4a-40-2-2", "audio-ac-3-6");
    let output = call(&workspace, &inputs, &ENCRYPT, &[english]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (media, variants) = groups(&workspace);
    assert_eq!(
        media,
        names(&[(aac, true), (ac3, true), ("text", false), ("text", false)])
    );
    assert_eq!(
        variants,
        rows(&[[aac, "text", "mp4a.40.2,wvtt"], [ac3, "text", "ac-3,wvtt"]])
    );
    run(workspace.vylux_pack().args(["verify", "out/film", "--no-store"]));

    // Where each form lacks a language of the other, all stay within reach.
    let workspace = Workspace::new();
    let output = call(&workspace, &inputs, &ENCRYPT, &["ac3-5.1.mp4,language=fr"]);
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}");
    assert!(words.contains("audio in ac-3, mp4a.40.2 is one group"), "{words}");
    let (media, variants) = groups(&workspace);
    assert_eq!(
        media,
        names(&[("audio", true), ("audio", false), ("text", false), ("text", false)])
    );
    assert_eq!(variants, rows(&[["audio", "text", "ac-3,mp4a.40.2,wvtt"]]));

    let chosen = [
        "ac3-5.1.mp4,group=hall,name=English",
        "a-en.mp4,group=phone,name=English",
        "subs.fr.vtt,group=fr",
    ];
    let workspace = Workspace::new();
    let output = call(&workspace, &inputs, &ENCRYPT, &chosen);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (media, variants) = groups(&workspace);
    assert_eq!(
        media,
        names(&[("phone", true), ("hall", true), ("text", false), ("fr", false)])
    );
    let expected = rows(&[
        ["phone", "text", "mp4a.40.2,wvtt"],
        ["hall", "text", "ac-3,wvtt"],
        ["phone", "fr", "mp4a.40.2,wvtt"],
        ["hall", "fr", "ac-3,wvtt"],
    ]);
    assert_eq!(variants, expected);
    let same = call(&workspace, &inputs, &VERIFY, &chosen);
    assert!(same.status.success(), "{}", String::from_utf8_lossy(&same.stdout));
}

/// Without video, a variant is a quality of all languages, so that no player changes the language as it changes variants.
#[test]
fn sound_alone_is_a_variant_for_each_quality() {
    let package = |inputs: &[&str], options: &[&str]| -> (Workspace, Vec<String>, Vec<String>, Vec<u64>) {
        let workspace = Workspace::new();
        let output = call(&workspace, inputs, &ENCRYPT, options);
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words}");
        run(workspace.vylux_pack().args(["verify", "out/film", "--no-store"]));
        let master = multivariant(&workspace);
        let media = master.alternatives.iter().map(|media| {
            let uri = media.uri.as_deref().unwrap();
            format!("{} {} {} {uri}", media.group_id, media.name, media.default)
        });
        let variants = master.variants.iter().map(|variant| {
            let (group, codecs) = (variant.audio.as_deref(), variant.codecs.as_deref());
            format!("{} {} {}", group.unwrap_or("-"), codecs.unwrap(), variant.uri)
        });
        let rates = master.variants.iter().map(|variant| variant.bandwidth);
        (workspace, media.collect(), variants.collect(), rates.collect())
    };

    let inputs = ["a-en.mp4", "a-fr.mp4", "aac-stereo.mp4", "ac3-5.1.mp4"];
    let english = ["aac-stereo.mp4,language=en", "ac3-5.1.mp4,language=en"];
    let (_, media, variants, together) = package(&inputs, &english);
    assert_eq!(
        media,
        [
            "audio-mp4a-40-2-2-quality-2 English true audio/en/playlist.m3u8",
            "audio-mp4a-40-2-2-quality-2 français false audio/fr/playlist.m3u8",
            "audio-mp4a-40-2-2 English true audio/en-2/playlist.m3u8",
            "audio-mp4a-40-2-2 français false audio/fr/playlist.m3u8",
            "audio-ac-3-6 English true audio/en-3/playlist.m3u8",
            "audio-ac-3-6 français false audio/fr/playlist.m3u8",
        ]
    );
    assert_eq!(
        variants,
        [
            "audio-mp4a-40-2-2-quality-2 mp4a.40.2 audio/en/playlist.m3u8",
            "audio-mp4a-40-2-2 mp4a.40.2 audio/en-2/playlist.m3u8",
            "audio-ac-3-6 ac-3,mp4a.40.2 audio/en-3/playlist.m3u8",
        ]
    );

    // Of one language, each is a variant by itself, and takes what it takes.
    let (_, media, variants, alone) = package(&["a-en.mp4", "ac3-5.1.mp4"], &["ac3-5.1.mp4,language=en"]);
    assert_eq!(media, [""; 0]);
    assert_eq!(
        variants,
        ["- mp4a.40.2 audio/en/playlist.m3u8", "- ac-3 audio/en-2/playlist.m3u8",]
    );
    assert_eq!(
        together.last(),
        alone.last(),
        "the largest of a group, and not their sum"
    );

    // What somebody chose is said.
    let chosen = ["a-fr.mp4,name=Radio,default=yes"];
    let (workspace, media, variants, _) = package(&["a-en.mp4", "a-fr.mp4"], &chosen);
    assert_eq!(
        media,
        [
            "audio English false audio/en/playlist.m3u8",
            "audio Radio true audio/fr/playlist.m3u8",
        ]
    );
    assert_eq!(variants, ["audio mp4a.40.2 audio/fr/playlist.m3u8"]);
    run(workspace.vylux_pack().args(["verify", "--apple", "out/film"]));
    let (_, media, variants, _) = package(&["a-en.mp4"], &["a-en.mp4,name=Radio"]);
    assert_eq!(media, ["audio Radio true audio/en/playlist.m3u8"]);
    assert_eq!(variants, ["audio mp4a.40.2 audio/en/playlist.m3u8"]);

    // Who must not be chosen is no default, and no variant begins with it.
    let (_, media, variants, _) = package(&["a-en.mp4", "a-fr.mp4"], &["a-en.mp4,autoselect=no"]);
    assert_eq!(
        media,
        [
            "audio English false audio/en/playlist.m3u8",
            "audio français true audio/fr/playlist.m3u8",
        ]
    );
    assert_eq!(variants, ["audio mp4a.40.2 audio/fr/playlist.m3u8"]);

    // Where no form has all, all are within reach of one variant.
    let (_, media, variants, _) = package(&["a-en.mp4", "ac3-5.1.mp4"], &["ac3-5.1.mp4,language=fr"]);
    assert_eq!(media.len(), 2);
    assert_eq!(variants, ["audio mp4a.40.2,ac-3 audio/en/playlist.m3u8"]);
}

/// Qualities are those of one rate, whatever the order; what is the default in one quality is so in all.
#[test]
fn qualities_of_sound_alone_go_by_their_rates() {
    let Some(ffmpeg) = tool("ffmpeg") else { return };
    let workspace = Workspace::new();
    let inputs = ["eng-64k.mp4", "eng-128k.mp4", "fra-128k.mp4", "fra-64k.mp4"];
    for name in inputs {
        let (language, rate) = name.trim_end_matches(".mp4").split_once('-').unwrap();
        let mut command = Command::new(&ffmpeg);
        command.args([
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            "anoisesrc=d=4:r=48000:seed=1",
            "-ac",
            "2",
            "-c:a",
            "aac",
        ]);
        command.args(["-b:a", rate, "-metadata:s:a:0", &format!("language={language}"), name]);
        run(command.current_dir(workspace.folder()));
    }
    fs::copy(fixture("subs_en.vtt"), workspace.path("subs_en.vtt")).unwrap();
    let mut command = workspace.vylux_pack();
    command
        .args(ENCRYPT)
        .args(inputs)
        .args(["subs_en.vtt", "--no-store", "--track", "fra-64k.mp4,default=yes"]);
    run(&mut command);
    let master = multivariant(&workspace);
    let variants = master
        .variants
        .iter()
        .map(|variant| (&*variant.uri, variant.bandwidth > 100_000));
    let variants: Vec<_> = variants.collect();
    assert_eq!(
        variants,
        [("audio/fr-2/playlist.m3u8", false), ("audio/fr/playlist.m3u8", true)]
    );
    // Text is cut where the first track of sound is.
    run(workspace.vylux_pack().args(["verify", "out/film", "--no-store"]));
    run(workspace.vylux_pack().args(["verify", "--apple", "out/film"]));
}

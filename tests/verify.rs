//! `vylux-pack verify` finds nothing in what `encrypt` writes, and every change that is made to it.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use common::{CONTENT_ID, Workspace, fixture, for_each, inputs};
use serde_json::Value;

/// The input of most tests: three seconds of video and audio, in segments of a second.
const FILM: &str = "fragmented.mp4";
const VIDEO: &str = "video/90p";
const AUDIO: &str = "audio/audio";

/// What `verify --json` said.
struct Verdict {
    exit_code: i32,
    report: Value,
    error: String,
}

impl Verdict {
    fn of(workspace: &Workspace, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = workspace.vylux_pack();
        command.args(["verify", "out", "--json"]).args(arguments);
        command.envs(environment.iter().copied());
        if !arguments.contains(&"--store") {
            command.arg("--no-store");
        }
        let output = command.output().unwrap();
        Self {
            exit_code: output.status.code().unwrap(),
            report: serde_json::from_slice(&output.stdout).unwrap_or_default(),
            error: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Fails unless verification found a difference in this file, sample and byte whose words contain `what`.
    #[track_caller]
    fn finds(&self, file: &str, sample: Option<u64>, offset: Option<usize>, what: &str) {
        assert_eq!(self.exit_code, 4, "{}", self.error);
        assert_eq!(self.report["ok"], false);
        let differences = self.report["differences"].as_array().unwrap();
        assert_eq!(self.report["difference_count"], differences.len());
        let is_it = |difference: &&Value| {
            difference["file"] == file
                && (sample.is_none() || difference["sample"].as_u64() == sample)
                && (offset.is_none() || difference["offset"].as_u64() == offset.map(|offset| offset as u64))
                && difference["what"].as_str().unwrap().contains(what)
        };
        assert!(
            differences.iter().any(|difference| is_it(&difference)),
            "no '{what}' in {file}, sample {sample:?}, byte {offset:?}: {differences:#?}"
        );
        assert!(
            self.error.contains(differences[0]["file"].as_str().unwrap()),
            "{}",
            self.error
        );
    }
}

/// An output of [`FILM`].
struct Film {
    workspace: Workspace,
}

impl Film {
    fn new() -> Self {
        Self::of(FILM)
    }

    /// An output of another fixture.
    fn of(name: &str) -> Self {
        let workspace = Workspace::new();
        workspace.encrypt(name, "out");
        Self { workspace }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.workspace.path("out").join(file)
    }

    /// Changes the bytes of a file.
    fn change(&self, file: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut data = fs::read(self.path(file)).unwrap();
        let before = data.clone();
        change(&mut data);
        assert_ne!(data, before, "the change of {file} changed nothing");
        fs::write(self.path(file), data).unwrap();
    }

    /// Puts other words in the place of those that stand in a file once.
    fn replace(&self, file: &str, old: &str, new: &str) {
        self.change(file, |data| {
            let text = String::from_utf8(data.clone()).unwrap();
            assert!(text.contains(old), "no {old} in {text}");
            *data = text.replacen(old, new, 1).into();
        });
    }

    fn verdict(&self) -> Verdict {
        Verdict::of(&self.workspace, &[], &[])
    }

    fn verdict_with_source(&self) -> Verdict {
        Verdict::of(&self.workspace, &["--source", fixture(FILM).to_str().unwrap()], &[])
    }
}

/// Where a box's payload starts, behind version and flags; the box is the only one of its type.
fn full_box(data: &[u8], kind: [u8; 4]) -> usize {
    let places: Vec<usize> = (0..data.len() - 4)
        .filter(|at| data[*at..].starts_with(&kind))
        .collect();
    assert_eq!(places.len(), 1, "{}", kind.escape_ascii());
    places[0] + 8
}

fn number(data: &[u8], at: usize) -> usize {
    u32::from_be_bytes(data[at..at + 4].try_into().unwrap()) as usize
}

/// Where the samples of a segment of one fragment are, read from its `trun`.
fn samples(data: &[u8]) -> Vec<Range<usize>> {
    let trun = full_box(data, *b"trun");
    let flags = number(data, trun - 4);
    let fields = (flags >> 8 & 0xf).count_ones() as usize;
    let before_size = usize::from(flags & 0x100 != 0);
    assert!(flags & 0x201 == 0x201, "data offset and sizes");
    let first = trun + 8 + if flags & 4 == 0 { 0 } else { 4 };
    let moof = data.windows(4).position(|kind| kind == b"moof").unwrap() - 4;
    let mut offset = moof + number(data, trun + 4);
    (0..number(data, trun))
        .map(|index| {
            let start = offset;
            offset += number(data, first + (index * fields + before_size) * 4);
            start..offset
        })
        .collect()
}

/// Where the entries of a sample's subsample map are, read from `senc`.
fn subsamples(data: &[u8], sample: usize) -> Vec<usize> {
    let mut at = full_box(data, *b"senc") + 4;
    let count = |at: usize| usize::from(u16::from_be_bytes([data[at], data[at + 1]]));
    for _ in 0..sample {
        at += 2 + count(at) * 6;
    }
    (0..count(at)).map(|entry| at + 2 + entry * 6).collect()
}

fn segment(folder: &str, index: usize) -> String {
    format!("{folder}/seg_{index:05}.m4s")
}

fn playlist(folder: &str) -> String {
    format!("{folder}/playlist.m3u8")
}

// --- what is right --------------------------------------------------------------------------------

#[test]
fn every_input_is_as_it_should_be() {
    for_each(&inputs(), |name| {
        let workspace = Workspace::new();
        let tracks = workspace.encrypt(name, "out");
        let source = fixture(name);
        for arguments in [&["--source", source.to_str().unwrap()] as &[&str], &[]] {
            let verdict = Verdict::of(&workspace, arguments, &[]);
            if verdict.exit_code != 0 {
                return Err(format!("{}{:#}", verdict.error, verdict.report));
            }
            let opened = verdict.report["tracks"].as_array().unwrap();
            assert_eq!(opened.len(), tracks.len());
            assert!(
                opened
                    .iter()
                    .all(|track| track["opened"] == true && track["samples"].as_u64() > Some(0))
            );
            assert_eq!(verdict.report["compared_with_source"], !arguments.is_empty());
        }
        Ok(())
    });
}

#[test]
fn clear_outputs_need_no_secrets() {
    let workspace = Workspace::new();
    workspace.package(&[fixture("demo.mp4")], "out", &["--scheme", "none"]);
    let mut command = workspace.vylux_pack();
    command
        .args(["verify", "out", "--source"])
        .arg(fixture("demo.mp4"))
        .env_remove("MASTER_KEY_HEX");
    let output = common::run(&mut command);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("out is as it should be\n"), "{text}");
    assert!(text.contains("compared with the source"), "{text}");
    assert!(output.stderr.is_empty());
}

#[test]
fn several_sources_are_matched_as_they_were_packaged() {
    let workspace = Workspace::new();
    let sources = [fixture("v360.mp4"), fixture("v180.mp4"), fixture("two-languages.mp4")];
    workspace.package(&sources, "out", &["--allow-misaligned"]);
    let [v360, v180, languages] = sources.each_ref().map(|source| source.to_str().unwrap());
    let verdict = Verdict::of(&workspace, &["--source", v360, v180, languages], &[]);
    assert_eq!(verdict.exit_code, 0, "{}{:#}", verdict.error, verdict.report);
    Verdict::of(&workspace, &["--source", v180, languages], &[]).finds(
        "video/360p/playlist.m3u8",
        None,
        None,
        "the source has no track of this name",
    );
}

// --- what can't be verified -----------------------------------------------------------------------

#[test]
fn missing_secrets_are_named() {
    let film = Film::new();
    let mut command = film.workspace.vylux_pack();
    let output = command
        .args(["verify", "out"])
        .env_remove("MASTER_KEY_HEX")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("MASTER_KEY_HEX is not set")
    );
}

#[test]
fn a_folder_that_is_no_output_is_an_error() {
    let workspace = Workspace::new();
    for folder in ["out", "missing"] {
        if folder == "out" {
            fs::create_dir(workspace.path("out")).unwrap();
        }
        let output = workspace.vylux_pack().args(["verify", folder]).output().unwrap();
        assert_eq!(output.status.code(), Some(3));
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains("there is no master.m3u8 in it"), "{error}");
    }
}

// --- samples --------------------------------------------------------------------------------------

#[test]
fn a_protected_byte() {
    for (folder, sample) in [(VIDEO, 2), (AUDIO, 7)] {
        let film = Film::new();
        let file = segment(folder, 2);
        let mut block = 0;
        film.change(&file, |data| {
            block = samples(data)[sample].start;
            if folder == VIDEO {
                let entry = subsamples(data, sample)[0];
                assert!(number(data, entry + 2) >= 16, "a whole block is protected");
                block += usize::from(u16::from_be_bytes([data[entry], data[entry + 1]]));
            }
            data[block + 5] ^= 1;
        });
        let verdict = film.verdict_with_source();
        verdict.finds(&file, Some(sample as u64 + 1), None, "differs from the source");
        let offset = verdict.report["differences"][0]["offset"].as_u64().unwrap();
        let offset = usize::try_from(offset).unwrap();
        assert!(
            (block..block + 16).contains(&offset),
            "{offset} in the block at {block}"
        );
    }
}

#[test]
fn a_clear_byte() {
    let film = Film::new();
    let file = segment(VIDEO, 2);
    let mut start = 0;
    film.change(&file, |data| {
        start = samples(data)[3].start;
        data[start] ^= 0x40;
    });
    film.verdict().finds(&file, Some(4), Some(start), "overruns the sample");
    film.verdict_with_source()
        .finds(&file, Some(4), Some(start), "differs from the source");
}

#[test]
fn a_subsample_map() {
    let film = Film::new();
    let file = segment(VIDEO, 1);
    film.change(&file, |data| {
        let entry = subsamples(data, 4)[0];
        data[entry + 1] += 1;
        data[entry + 5] = data[entry + 5].checked_sub(1).unwrap();
    });
    film.verdict()
        .finds(&file, Some(5), None, "the subsample map differs in entry 1");

    let film = Film::new();
    film.change(&file, |data| {
        let entry = subsamples(data, 4)[0];
        data[entry + 5] ^= 1;
    });
    film.verdict().finds(&file, Some(5), None, "its subsample map covers");
}

#[test]
fn auxiliary_information_that_is_elsewhere() {
    for (kind, at, what) in [
        (*b"saio", 4 + 3, "saio"),
        (*b"senc", 3, "senc"),
        (*b"saiz", 1 + 3, "saiz"),
    ] {
        let film = Film::new();
        let file = segment(VIDEO, 1);
        film.change(&file, |data| {
            let at = full_box(data, kind) + at;
            data[at] ^= 4;
        });
        film.verdict().finds(&file, None, None, what);
    }
}

#[test]
fn a_time() {
    let film = Film::new();
    let file = segment(VIDEO, 2);
    film.change(&file, |data| {
        let tfdt = full_box(data, *b"tfdt");
        data[tfdt + 7] ^= 1;
    });
    film.verdict()
        .finds(&playlist(VIDEO), None, None, "EXTINF of seg_00001.m4s is");
    film.verdict_with_source()
        .finds(&file, Some(1), None, "the decode time is");
}

#[test]
fn a_source_of_other_bytes() {
    let film = Film::new();
    let mut source = fs::read(fixture(FILM)).unwrap();
    let first = samples_of_first_fragment(&source);
    source[first + 1000] ^= 1;
    fs::write(film.workspace.path("source.mp4"), source).unwrap();
    let verdict = Verdict::of(&film.workspace, &["--source", "source.mp4"], &[]);
    let start = samples(&fs::read(film.path(&segment(VIDEO, 1))).unwrap())[0].start;
    verdict.finds(
        &segment(VIDEO, 1),
        Some(1),
        Some(start + 1000),
        &format!("sample 1 at byte {} of source.mp4", first + 1000),
    );
    assert_eq!(verdict.report["difference_count"], 1);
}

/// Where the first `mdat` of a file has its samples.
fn samples_of_first_fragment(data: &[u8]) -> usize {
    data.windows(4).position(|kind| kind == b"mdat").unwrap() + 4
}

#[test]
fn a_source_of_one_sample_more() {
    let name = "fragment-per-sample.mp4";
    let whole = fs::read(fixture(name)).unwrap();
    let boxes = common::samples::boxes(&whole, 0).unwrap();
    let last = boxes.iter().rfind(|(kind, ..)| kind == b"moof").unwrap().1;
    let workspace = Workspace::new();
    fs::write(workspace.path("shorter.mp4"), &whole[..last]).unwrap();
    workspace.package(&[workspace.path("shorter.mp4")], "out", &[]);

    let verdict = Verdict::of(&workspace, &["--source", "shorter.mp4"], &[]);
    assert_eq!(verdict.exit_code, 0, "{}{:#}", verdict.error, verdict.report);
    let verdict = Verdict::of(&workspace, &["--source", fixture(name).to_str().unwrap()], &[]);
    let differences = format!("{:#}", verdict.report["differences"]);
    assert_eq!(verdict.exit_code, 4);
    assert!(
        differences.contains("of the source are not there; the first is at byte"),
        "{differences}"
    );
    assert!(differences.contains("media_fingerprint"), "{differences}");
}

// --- boxes ----------------------------------------------------------------------------------------

#[test]
fn tenc() {
    // Behind the reserved byte: the pattern, isProtected, the IV size, the key ID, and the constant IV and its size.
    for (at, bit, what) in [
        (1, 0x10, "the pattern of tenc is 0:9, expected 1:9"),
        (4, 1, "is in no record of keys.json"),
        (4, 1, "the key IDs of the common pssh"),
        (21, 1, "the IV of tenc is"),
    ] {
        let film = Film::new();
        let file = format!("{VIDEO}/init.mp4");
        film.change(&file, |data| {
            let at = full_box(data, *b"tenc") + at;
            data[at] ^= bit;
        });
        film.verdict().finds(&file, None, None, what);
    }
    let film = Film::new();
    film.change(&format!("{VIDEO}/init.mp4"), |data| {
        let iv = full_box(data, *b"tenc") + 21;
        data[iv] ^= 1;
    });
    let verdict = film.verdict();
    verdict.finds(&playlist(VIDEO), None, None, "as in tenc");
}

#[test]
fn pssh() {
    let film = Film::new();
    let file = format!("{AUDIO}/init.mp4");
    film.change(&file, |data| {
        let kid = full_box(data, *b"pssh") + 16 + 4;
        data[kid] ^= 1;
    });
    film.verdict()
        .finds(&file, None, None, "the key IDs of the common pssh");

    let film = Film::new();
    film.change(&file, |data| {
        let system = full_box(data, *b"pssh");
        data[system] ^= 1;
    });
    film.verdict()
        .finds(&file, None, None, "there is no pssh of the common system");
}

#[test]
fn scheme_and_brands() {
    let film = Film::new();
    let file = format!("{VIDEO}/init.mp4");
    film.change(&file, |data| {
        let scheme = full_box(data, *b"schm");
        data[scheme..scheme + 4].copy_from_slice(b"cenc");
    });
    film.verdict().finds(
        &file,
        None,
        None,
        "default_Per_Sample_IV_Size is 0, and under cenc it is one of [8, 16]",
    );

    let film = Film::new();
    film.change(&file, |data| {
        let scheme = full_box(data, *b"schm");
        data[scheme..scheme + 4].copy_from_slice(b"cbc5");
    });
    film.verdict().finds(&file, None, None, "scheme_type is 'cbc5'");

    let dolby_vision = Film::of("hevc-dolby-vision-8.4.mp4");
    let init = |folder: &str| format!("{folder}/init.mp4");
    for (film, file, brand) in [
        (Film::new(), init(AUDIO), b"cmfc"),
        (Film::new(), segment(AUDIO, 1), b"msdh"),
        (dolby_vision, init(VIDEO), b"db4h"),
    ] {
        film.change(&file, |data| {
            let at = data.windows(4).position(|bytes| bytes == brand).unwrap();
            data[at] = b'x';
        });
        film.verdict().finds(&file, None, None, "does not have the brand");
    }
}

#[test]
fn vp9_under_a_scheme_that_it_does_not_have() {
    let workspace = Workspace::new();
    workspace.encrypt("vp9.mp4", "out");
    let file = format!("{VIDEO}/init.mp4");
    let path = workspace.path("out").join(&file);
    let mut data = fs::read(&path).unwrap();
    let scheme = full_box(&data, *b"schm");
    data[scheme..scheme + 4].copy_from_slice(b"cens");
    fs::write(path, data).unwrap();
    Verdict::of(&workspace, &[], &[]).finds(&file, None, None, "VP9 under cens, expected cenc");
}

/// What no box contradicts, only the source tells: the shape of pixels, how pictures are shown, what a sample depends on.
#[test]
fn descriptions_and_flags() {
    for (kind, at, what) in [
        (
            *b"pasp",
            3,
            "moov/trak/mdia/minf/stbl/stsd/encv/pasp is not as in the source",
        ),
        (*b"tkhd", 45, "moov/trak/tkhd is not as in the source"),
    ] {
        let film = Film::new();
        let file = format!("{VIDEO}/init.mp4");
        film.change(&file, |data| {
            let at = full_box(data, kind) + at;
            data[at] ^= 1;
        });
        film.verdict_with_source().finds(&file, None, None, what);
    }
    let film = Film::new();
    let file = segment(VIDEO, 1);
    film.change(&file, |data| {
        let first_flags = full_box(data, *b"trun") + 8;
        data[first_flags] ^= 4;
    });
    film.verdict_with_source()
        .finds(&file, Some(1), None, "the word of its flags");
}

/// Pseudo-random numbers (xorshift64), the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

/// Whatever stands in an output, `verify` and `decrypt` end with an exit code of theirs.
#[test]
fn random_damage_ends_in_a_verdict() {
    let whole = Film::new();
    let mut files = vec!["master.m3u8".to_owned(), "keys.json".to_owned()];
    for folder in [VIDEO, AUDIO] {
        files.extend([
            playlist(folder),
            format!("{folder}/init.mp4"),
            segment(folder, 1),
            segment(folder, 3),
        ]);
    }
    let seeds: Vec<String> = (1..=60).map(|seed| seed.to_string()).collect();
    for_each(&seeds, |seed| {
        let mut random = Random(seed.parse::<u64>().unwrap().wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let film = Film::new();
        let file = &files[random.below(files.len())];
        let mut data = fs::read(whole.path(file)).unwrap();
        let at = random.below(data.len());
        // Half of the damage is where the boxes are.
        let at = if random.below(2) == 0 { at } else { at % 900 };
        match random.below(4) {
            0 => data.truncate(at),
            1 => data[at] ^= 1 << random.below(8),
            2 => data.splice(at..at, [0xff; 4]).for_each(drop),
            _ => data.drain(at..data.len().min(at + 4)).for_each(drop),
        }
        fs::write(film.path(file), data).unwrap();
        let mut decrypt = film.workspace.vylux_pack();
        decrypt.args(["decrypt", "out", "--out", "clear.mp4"]);
        let exit_codes = [
            film.verdict().exit_code,
            film.verdict_with_source().exit_code,
            decrypt.output().unwrap().status.code().unwrap_or(-1),
        ];
        match exit_codes {
            [0 | 3 | 4, 0 | 3 | 4, 0..=3] => Ok(()),
            other => Err(format!("{file} at byte {at}: {other:?}")),
        }
    });
}

// --- files ----------------------------------------------------------------------------------------

#[test]
fn segments_that_are_missing_misplaced_cut_or_extended() {
    let film = Film::new();
    fs::remove_file(film.path(&segment(AUDIO, 2))).unwrap();
    film.verdict().finds(&segment(AUDIO, 2), None, None, "is missing");

    let film = Film::new();
    fs::rename(film.path(&segment(VIDEO, 1)), film.path("aside")).unwrap();
    fs::rename(film.path(&segment(VIDEO, 2)), film.path(&segment(VIDEO, 1))).unwrap();
    fs::rename(film.path("aside"), film.path(&segment(VIDEO, 2))).unwrap();
    let verdict = film.verdict();
    verdict.finds(&segment(VIDEO, 1), None, None, "mfhd sequence_number is 2, expected 1");
    verdict.finds(&segment(VIDEO, 2), Some(1), None, "where the segment before ends");
    film.verdict_with_source()
        .finds(&segment(VIDEO, 2), None, None, "of the source are there twice");

    let film = Film::new();
    let mut bytes = 0;
    film.change(&segment(VIDEO, 3), |data| {
        bytes = data.len() - 1;
        data.pop();
    });
    film.verdict()
        .finds(&segment(VIDEO, 3), None, None, "overruns what holds it");

    let film = Film::new();
    film.change(&segment(VIDEO, 3), |data| data.extend(b"\0\0\0\x08free"));
    film.verdict().finds(&segment(VIDEO, 3), None, None, "the box 'free'");
}

/// Nothing in the playlist speaks of the segment any more, but its neighbours' numbers and the source do.
#[test]
fn a_segment_that_was_cut_out() {
    let film = Film::new();
    fs::remove_file(film.path(&segment(VIDEO, 2))).unwrap();
    film.change(&playlist(VIDEO), |data| {
        let text = String::from_utf8(data.clone()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let at = lines.iter().position(|line| *line == "seg_00002.m4s").unwrap();
        *data = ([&lines[..at - 1], &lines[at + 1..]].concat().join("\n") + "\n").into();
    });
    film.verdict()
        .finds(&segment(VIDEO, 3), None, None, "mfhd sequence_number is 3, expected 2");
    film.verdict_with_source().finds(
        &segment(VIDEO, 3),
        None,
        None,
        "samples 26 to 50 of the source are not there",
    );
}

#[test]
fn a_stray_file() {
    let film = Film::new();
    fs::write(film.path("video/90p/seg_00009.m4s"), "").unwrap();
    film.verdict()
        .finds("video/90p/seg_00009.m4s", None, None, "a file that no playlist names");
}

#[test]
fn a_missing_init_segment_and_playlist() {
    let film = Film::new();
    fs::remove_file(film.path("audio/audio/init.mp4")).unwrap();
    film.verdict().finds("audio/audio/init.mp4", None, None, "is missing");

    let film = Film::new();
    fs::remove_file(film.path(&playlist(AUDIO))).unwrap();
    let verdict = film.verdict();
    verdict.finds(&playlist(AUDIO), None, None, "is missing");
    verdict.finds(&segment(AUDIO, 1), None, None, "a file that no playlist names");
}

// --- playlists ------------------------------------------------------------------------------------

#[test]
fn media_playlists() {
    for (old, new, what) in [
        (
            "#EXTINF:1.000000,",
            "#EXTINF:1.000002,",
            "EXTINF of seg_00001.m4s is 1.000002 s",
        ),
        (
            "TARGETDURATION:1",
            "TARGETDURATION:2",
            "EXT-X-TARGETDURATION is 2, expected 1",
        ),
        ("TARGETDURATION:1", "TARGETDURATION:0", "the longest segment lasts"),
        ("VERSION:6", "VERSION:7", "6 is the lowest that is true"),
        (
            "MEDIA-SEQUENCE:1",
            "MEDIA-SEQUENCE:0",
            "EXT-X-MEDIA-SEQUENCE is 0, expected 1",
        ),
        ("#EXT-X-ENDLIST\n", "", "there is no EXT-X-ENDLIST"),
        ("IV=0x", "IV=0x0", "can't be read"),
        ("METHOD=SAMPLE-AES", "METHOD=AES-128", "METHOD is AES-128"),
        ("identity", "org.w3.clearkey", "KEYFORMAT is org.w3.clearkey"),
        ("api/key", "api/keys", "the key URI is"),
        ("#EXT-X-ENDLIST", "#EXT-X-GAP\n#EXT-X-ENDLIST", "the tag \"EXT-X-GAP\""),
        ("seg_00002.m4s", "../90p/seg_00002.m4s", "is no plain path"),
        ("seg_00002.m4s", "seg_00001.m4s", "names a segment for the second time"),
    ] {
        let film = Film::new();
        film.replace(&playlist(VIDEO), old, new);
        film.verdict().finds(&playlist(VIDEO), None, None, what);
    }
}

#[test]
fn iframe_playlists() {
    const IFRAMES: &str = "video/90p/iframes.m3u8";
    let film = Film::new();
    let text = fs::read_to_string(film.path(IFRAMES)).unwrap();
    let entry = |index: usize| {
        let entries: Vec<&str> = text.split_inclusive(".m4s\n").collect();
        let start = entries[index].find("#EXTINF").unwrap();
        entries[index][start..].to_owned()
    };
    let range = entry(1).lines().nth(1).unwrap().to_owned();
    let (bytes, offset) = range.split_once('@').unwrap();
    for (old, new, what) in [
        (&*range, &*format!("{bytes}1@{offset}"), "the range of the I-frame is"),
        (&*range, &*format!("{bytes}@1{offset}"), "the range of the I-frame is"),
        (&*range, "#EXT-X-BYTERANGE:1@x", "EXT-X-BYTERANGE is \"1@x\""),
        (&*entry(1), "", "lists 2 I-frames, and there are 3 keyframes"),
        ("#EXTINF:1.000000,\n", "#EXTINF:1.000002,\n", "EXTINF is 1.000002 s"),
        ("VERSION:5", "VERSION:6", "5 is the lowest that is true"),
        (
            "TARGETDURATION:1",
            "TARGETDURATION:2",
            "EXT-X-TARGETDURATION is 2, expected 1",
        ),
        ("#EXT-X-I-FRAMES-ONLY\n", "", "there is no EXT-X-I-FRAMES-ONLY"),
        ("#EXT-X-ENDLIST\n", "", "there is no EXT-X-ENDLIST"),
        ("IV=0x", "IV=0x0", "can't be read"),
        ("METHOD=SAMPLE-AES", "METHOD=AES-128", "METHOD is AES-128"),
        ("api/key", "api/keys", "the key URI of the I-frame is"),
        (
            "URI=\"init.mp4\"",
            "URI=\"seg_00001.m4s\"",
            "EXT-X-MAP of the I-frame is",
        ),
        ("seg_00002.m4s", "seg_00003.m4s", "names seg_00003.m4s"),
    ] {
        let film = Film::new();
        film.change(IFRAMES, |data| *data = text.replacen(old, new, 1).into());
        film.verdict().finds(IFRAMES, None, None, what);
    }
    for (old, new, what) in [
        (
            "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=",
            "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=9",
            "BANDWIDTH is 9",
        ),
        ("iframes.m3u8", "playlist.m3u8", "a second I-frame playlist"),
        (
            "#EXT-X-I-FRAME-STREAM-INF:",
            "#EXT-X-I-FRAME-STREAM-INF:FRAME-RATE=25,",
            "FRAME-RATE or",
        ),
        (
            "#EXT-X-I-FRAME-STREAM-INF:",
            "#EXT-X-I-FRAME-STREAM-INF:AUDIO=\"audio\",",
            "AUDIO is",
        ),
        (
            "#EXT-X-I-FRAME-STREAM-INF:",
            "#EXT-X-I-FRAME-STREAM-INF:HDCP-LEVEL=TYPE-1,",
            "HDCP-LEVEL is",
        ),
        (
            "#EXT-X-I-FRAME-STREAM-INF:",
            "#EXT-X-I-FRAME-STREAM-INF:SCORE=2,",
            "SCORE is",
        ),
        (
            ",URI=\"video/90p/iframes.m3u8\"",
            "",
            "EXT-X-I-FRAME-STREAM-INF without a URI",
        ),
    ] {
        let film = Film::new();
        film.replace("master.m3u8", old, new);
        let verdict = film.verdict();
        let file = if new == "playlist.m3u8" { IFRAMES } else { "master.m3u8" };
        let what = if file == IFRAMES {
            "a file that no playlist names"
        } else {
            what
        };
        verdict.finds(file, None, None, what);
    }
    let film = Film::new();
    film.change("master.m3u8", |data| {
        let text = String::from_utf8(data.clone()).unwrap();
        *data = text[..text.find("#EXT-X-I-FRAME-STREAM-INF").unwrap()].into();
    });
    film.verdict()
        .finds("master.m3u8", None, None, "there is no EXT-X-I-FRAME-STREAM-INF");
}

#[test]
fn a_key_in_front_of_the_map() {
    let film = Film::new();
    film.change(&playlist(VIDEO), |data| {
        let text = String::from_utf8(data.clone()).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        let key = lines.iter().position(|line| line.starts_with("#EXT-X-KEY")).unwrap();
        lines.swap(key, key - 1);
        *data = (lines.join("\n") + "\n").into();
    });
    film.verdict()
        .finds(&playlist(VIDEO), None, None, "EXT-X-KEY must stand behind EXT-X-MAP");
}

#[test]
fn another_iv_in_the_playlist() {
    let film = Film::new();
    film.change(&playlist(AUDIO), |data| {
        let at = data.windows(5).position(|bytes| bytes == b"IV=0x").unwrap() + 5;
        data[at] = if data[at] == b'0' { b'1' } else { b'0' };
    });
    film.verdict().finds(&playlist(AUDIO), None, None, "as in tenc");
}

/// From the words of a playlist to others.
type Change<'a> = &'a dyn Fn(&str) -> String;

#[test]
fn the_multivariant_playlist() {
    let bandwidth = |factor: u64| {
        move |text: &str| {
            let (before, rest) = text.split_once(":BANDWIDTH=").unwrap();
            let (value, rest) = rest.split_once(',').unwrap();
            let value = value.parse::<u64>().unwrap() * factor / 100;
            format!("{before}:BANDWIDTH={value},{rest}")
        }
    };
    let changes: [(Change<'_>, &str); 11] = [
        (&bandwidth(120), ": more than 10 % apart"),
        (&bandwidth(80), ": more than 10 % apart"),
        (
            &|text| text.replace("RESOLUTION=160x90", "RESOLUTION=160x91"),
            "RESOLUTION is",
        ),
        (
            &|text| text.replace("FRAME-RATE=25.000", "FRAME-RATE=25.002"),
            "FRAME-RATE is",
        ),
        (&|text| text.replace("mp4a.40.2", "mp4a.40.5"), "CODECS is"),
        (
            &|text| text.replace("AUDIO=\"audio\"", "AUDIO=\"sound\""),
            "AUDIO names the group \"sound\"",
        ),
        (
            &|text| text.replace("VERSION:5", "VERSION:6"),
            "5 is the lowest that is true",
        ),
        (
            &|text| text.replace("api/key", "api/keys"),
            "there is no EXT-X-SESSION-KEY of the key URI",
        ),
        (&|text| text.replace("CHANNELS=\"", "CHANNELS=\"1"), "CHANNELS is"),
        (&|text| text.replace("LANGUAGE=\"und\",", ""), "LANGUAGE is"),
        (
            &|text| text.replace("video/90p/playlist.m3u8", "https://x/playlist.m3u8"),
            "is no plain path",
        ),
    ];
    for (change, what) in changes {
        let film = Film::new();
        film.change("master.m3u8", |data| {
            *data = change(str::from_utf8(data).unwrap()).into();
        });
        film.verdict().finds("master.m3u8", None, None, what);
    }
}

#[test]
fn the_manifest() {
    let changes: [(&str, &str, &str); 16] = [
        ("<S t=\"0\"", "<S t=\"1\"", "ticks, and its samples are shown from 0 to"),
        (
            "d=\"12800\" r=\"2\"",
            "d=\"12800\" r=\"1\"",
            "has 2 segments of video/90p, which has 3",
        ),
        ("d=\"12800\" r=\"2\"", "d=\"12800\" r=\"3\"", "expected no more"),
        (
            "d=\"12800\" r=\"2\"",
            "d=\"12799\" r=\"2\"",
            "ticks, and its samples are shown from",
        ),
        ("startNumber=\"1\"", "startNumber=\"2\"", "leaves segment 1 out"),
        (
            "timescale=\"12800\"",
            "timescale=\"12801\"",
            "timescale is 12801, expected 12800",
        ),
        (
            "startNumber",
            "presentationTimeOffset=\"12800\" startNumber",
            "and the period starts at 0 ns",
        ),
        (
            "seg_$Number%05d$",
            "segment_$Number%05d$",
            "expected video/90p/seg_00001.m4s",
        ),
        ("/init.mp4", "/init_00002.mp4", "expected video/90p/init.mp4"),
        ("PT3.08S", "PT3.1S", "mediaPresentationDuration is 3100000000 ns"),
        ("cenc:default_KID=\"", "cenc:default_KID=\"0", "and tenc has"),
        ("value=\"cbcs\"", "value=\"cenc\"", "value is cenc, expected cbcs"),
        (
            "/clearkey",
            "/clear",
            "dashif:Laurl is https://keys.example.com/api/key/",
        ),
        ("id=\"video/90p\"", "id=\"video/91p\"", "is no rendition"),
        ("width=\"160\"", "width=\"161\"", "width is 161, expected 160"),
        ("</Period>", "", "is no XML"),
    ];
    for (old, new, what) in changes {
        let film = Film::new();
        film.replace("manifest.mpd", old, new);
        film.verdict().finds("manifest.mpd", None, None, what);
    }
    for (factor, is_found) in [(120, true), (80, true), (105, false)] {
        let film = Film::new();
        film.change("manifest.mpd", |data| {
            let text = str::from_utf8(data).unwrap();
            let (before, rest) = text.split_once("bandwidth=\"").unwrap();
            let (value, rest) = rest.split_once('"').unwrap();
            let value = value.parse::<u64>().unwrap() * factor / 100;
            *data = format!("{before}bandwidth=\"{value}\"{rest}").into();
        });
        let verdict = film.verdict();
        if is_found {
            verdict.finds("manifest.mpd", None, None, ": more than 10 % apart");
        } else {
            assert_eq!(verdict.exit_code, 0);
        }
    }
    // Who wants none may leave it out.
    let film = Film::new();
    fs::remove_file(film.path("manifest.mpd")).unwrap();
    assert_eq!(film.verdict().exit_code, 0);
}

/// A player may switch between sets that differ in their key alone.
#[test]
fn sets_that_name_each_other() {
    const PROPERTY: &str = "adaptation-set-switching:2016\" value=\"2\"";
    let changes = [
        (
            PROPERTY,
            "adaptation-set-switching:2016\" value=\"3\"",
            "adaptation-set-switching names 3, expected 2",
        ),
        (
            PROPERTY,
            "adaptation-set-switching:2016\" value=\"2,3\"",
            "adaptation-set-switching names 2,3, expected 2",
        ),
        (
            PROPERTY,
            "adaptation-set-switching:2017\" value=\"2\"",
            "adaptation-set-switching names none, expected 2",
        ),
        (
            "AdaptationSet id=\"2\"",
            "AdaptationSet id=\"4\"",
            "adaptation-set-switching names 2, expected 4",
        ),
        // What is said to be something else is no quality of the same.
        (
            "value=\"main\"",
            "value=\"alternate\"",
            "adaptation-set-switching names 2, expected none",
        ),
    ];
    let film = Film {
        workspace: Workspace::new(),
    };
    let inputs = ["v360.mp4", "v180.mp4", "a-en.mp4"].map(fixture);
    film.workspace.package(&inputs, "out", &["--keys", "per-track"]);
    let whole = fs::read(film.path("manifest.mpd")).unwrap();
    for (old, new, what) in changes {
        film.replace("manifest.mpd", old, new);
        film.verdict().finds("manifest.mpd", None, None, what);
        fs::write(film.path("manifest.mpd"), &whole).unwrap();
    }
    let verdict = film.verdict();
    assert_eq!(verdict.exit_code, 0, "{}{:#}", verdict.error, verdict.report);
}

#[test]
fn dolby_vision() {
    let changes: [(Change<'_>, &str); 3] = [
        (&|text| text.replace("db4h", "db1p"), "SUPPLEMENTAL-CODECS is"),
        (
            &|text| text.replace(",SUPPLEMENTAL-CODECS=\"dvh1.08.01/db4h\"", ""),
            "SUPPLEMENTAL-CODECS is",
        ),
        (&|text| text.replace("=HLG", "=PQ"), "VIDEO-RANGE is"),
    ];
    for (change, what) in changes {
        let film = Film::of("hevc-dolby-vision-8.4.mp4");
        film.change("master.m3u8", |data| {
            *data = change(str::from_utf8(data).unwrap()).into();
        });
        film.verdict().finds("master.m3u8", None, None, what);
    }
}

/// Apple's tolerance: 5 % are no difference.
#[test]
fn a_bandwidth_that_is_close_is_right() {
    let film = Film::new();
    film.change("master.m3u8", |data| {
        let text = String::from_utf8(data.clone()).unwrap();
        let (before, rest) = text.split_once(":BANDWIDTH=").unwrap();
        let (value, rest) = rest.split_once(',').unwrap();
        let value = value.parse::<u64>().unwrap() * 105 / 100;
        *data = format!("{before}:BANDWIDTH={value},{rest}").into();
    });
    let verdict = film.verdict();
    assert_eq!(verdict.exit_code, 0, "{}", verdict.error);
}

// --- keys -----------------------------------------------------------------------------------------

#[test]
fn key_records() {
    for (field, what) in [
        ("kid", "its key ID is not"),
        ("wrapped_key", "doesn't unwrap"),
        ("wrap_nonce", "doesn't unwrap"),
    ] {
        let film = Film::new();
        film.change("keys.json", |data| {
            let name = format!("\"{field}\": \"");
            let at = data
                .windows(name.len())
                .position(|bytes| bytes == name.as_bytes())
                .unwrap()
                + name.len();
            data[at] = if data[at] == b'0' { b'1' } else { b'0' };
        });
        film.verdict().finds("keys.json", None, None, what);
    }
    for (old, new, what) in [
        (CONTENT_ID, "other-film", "doesn't unwrap"),
        ("/api/key/", "/api/keys/", "does not end with /api/key/test-film"),
        ("\"version\": 1", "\"version\": 2", "version 2"),
        ("cbcs", "none", "scheme is \"none\""),
    ] {
        let film = Film::new();
        film.replace("keys.json", old, new);
        film.verdict().finds("keys.json", None, None, what);
    }
    let film = Film::new();
    film.replace("keys.json", "cbcs", "cenc");
    let what = "it is protected by cbcs, and the record says \"cenc\"";
    film.verdict().finds(&format!("{VIDEO}/init.mp4"), None, None, what);
    let film = Film::new();
    fs::remove_file(film.path("keys.json")).unwrap();
    film.verdict().finds("keys.json", None, None, "can't be read");
}

#[test]
fn another_master_key() {
    let film = Film::new();
    let other = hex::encode([7; 32]);
    let verdict = Verdict::of(&film.workspace, &[], &[("MASTER_KEY_HEX", &other)]);
    verdict.finds("keys.json", None, None, "it was made under the master key of ID");
    let tracks = verdict.report["tracks"].as_array().unwrap();
    assert!(tracks.iter().all(|track| track["opened"] == false));
    assert!(!verdict.report.to_string().contains(&other) && !verdict.error.contains(&other));

    let (key, salt) = (hex::encode(common::MASTER_KEY), hex::encode(common::SALT));
    let rotated = [
        ("MASTER_KEY_HEX", &*other),
        ("SALT_HEX", &*other),
        ("FALLBACK_MASTER_KEY_HEX", &*key),
        ("FALLBACK_SALT_HEX", &*salt),
    ];
    let verdict = Verdict::of(&film.workspace, &[], &rotated);
    assert_eq!(verdict.exit_code, 0, "{}", verdict.error);
}

#[test]
fn the_record_store() {
    let film = Film::new();
    Verdict::of(&film.workspace, &["--store", "sqlite://no.db"], &[]).finds(
        "keys.json",
        None,
        None,
        "is not in the record store",
    );
    assert!(!film.workspace.path("no.db").exists(), "verifying makes no store");

    let encrypt = |name: &str, out: &str, more: &[&str]| {
        let mut command = film.workspace.vylux_pack();
        command
            .arg("encrypt")
            .arg(fixture(name))
            .args(["--content-id", CONTENT_ID, "--out", out]);
        common::run(command.args(["--store", "sqlite://records.db"]).args(more));
    };
    encrypt(FILM, "out", &["--replace"]);
    let arguments = ["--store", "sqlite://records.db"];
    let verdict = Verdict::of(&film.workspace, &arguments, &[]);
    assert_eq!(verdict.exit_code, 0, "{}", verdict.error);
    encrypt("demo.mp4", "other", &["--replace"]);
    Verdict::of(&film.workspace, &arguments, &[]).finds(
        "keys.json",
        None,
        None,
        "is not as in the record store: media_fingerprint",
    );
}

// --- reports --------------------------------------------------------------------------------------

#[test]
fn many_differences_are_counted_and_few_are_shown() {
    let film = Film::new();
    for folder in [VIDEO, AUDIO] {
        for index in 1..=3 {
            film.change(&segment(folder, index), |data| {
                for sample in samples(data) {
                    data[sample.start] ^= 0x80;
                }
            });
        }
    }
    let verdict = film.verdict_with_source();
    assert_eq!(verdict.exit_code, 4);
    assert_eq!(verdict.report["differences"].as_array().unwrap().len(), 100);
    assert!(verdict.report["difference_count"].as_u64() > Some(200));

    let mut command = film.workspace.vylux_pack();
    let output = command
        .args(["verify", "out", "--no-store", "--source"])
        .arg(fixture(FILM))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("out has ") && text.contains(" more\n"), "{text}");
    assert!(text.lines().count() < 120);
}

#[test]
fn quiet_prints_errors_alone() {
    let film = Film::new();
    fs::write(film.path("stray"), "").unwrap();
    let output = film
        .workspace
        .vylux_pack()
        .args(["verify", "out", "--no-store", "--quiet"])
        .output()
        .unwrap();
    assert!(output.stdout.is_empty());
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        error,
        "error: out has 1 difference; the first is in stray: a file that no playlist names\n"
    );
    assert_eq!(output.status.code(), Some(4));
    assert!(Path::new(&film.path("stray")).exists());
}

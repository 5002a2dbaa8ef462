//! Files that end too early.

use std::fs::File;
use std::path::PathBuf;

use vylux_pack::isobmff::scan::TopLevel;
use vylux_pack::media::Source;

use crate::common::{Workspace, fixture, fixtures, for_each, inputs, scheme};
use crate::reading::{ReadTrack, is_located, read};
use crate::running::limited;

/// Every fixture is cut at each of so many equal parts.
const PARTS: u64 = 100;

/// Every fixture also loses each number of bytes up to this.
const LAST_BYTES: u64 = 40;

/// Files whose boxes don't say how much there is: no duration in `mvhd` or `mehd` that covers the fragments, no `sidx`. Cut exactly in front of a fragment, such a file is a whole file with less in it, and nobody can tell.
const SAY_NOT_HOW_LONG_THEY_ARE: &[&str] = &[
    "aac-fragmented.mp4",
    "ac3-mono-fragmented.mp4",
    "alac-44100-fragmented.mp4",
    "av1-fragmented.mp4",
    "cmaf.mp4",
    "eac3-fragmented.mp4",
    "flac-5.1-fragmented.mp4",
    "fragment-per-sample.mp4",
    "fragmented-absolute.mp4",
    "fragmented-delay-moov.mp4",
    "fragmented-hybrid.mp4",
    "fragmented.mp4",
    "hevc-fragmented.mp4",
    "mp3-mpeg2.mp4",
    "negative-offsets-fragmented.mp4",
    "opus-5.1-fragmented.mp4",
    "vp9-fragmented.mp4",
];

/// A fixture, and a copy that gets shorter and shorter.
struct Cuts<'a> {
    name: &'a str,
    /// `None` where the fixture is refused as it is.
    whole: Option<Vec<ReadTrack>>,
    /// Bytes of the fixture.
    bytes: u64,
    /// Where its movie fragments start.
    moofs: Vec<u64>,
    copy: PathBuf,
    copy_file: File,
    _workspace: Workspace,
}

impl<'a> Cuts<'a> {
    fn new(name: &'a str) -> Self {
        let workspace = Workspace::new();
        let (fixture, copy) = (fixture(name), workspace.path("cut.mp4"));
        std::fs::copy(&fixture, &copy).unwrap();
        let source = Source::open(&fixture).unwrap();
        let boxes = TopLevel::new(&source).map_while(Result::ok);
        let moofs = boxes.filter(|header| header.kind.0 == *b"moof");
        Self {
            name,
            whole: read(&fixture).ok(),
            bytes: source.bytes(),
            moofs: moofs.map(|header| header.offset).collect(),
            copy_file: File::options().write(true).open(&copy).unwrap(),
            copy,
            _workspace: workspace,
        }
    }

    /// Cuts the copy at each of `places`, the last first, and says what is wrong.
    fn check(&self, mut places: Vec<u64>) -> Result<(), String> {
        places.sort_unstable();
        for at in places.into_iter().rev() {
            self.copy_file.set_len(at).unwrap();
            let problem = match read(&self.copy) {
                Ok(tracks) if Some(&tracks) == self.whole.as_ref() => continue,
                Ok(tracks) if self.nobody_can_tell(at, &tracks) => continue,
                Err(error) if is_located(&error) => continue,
                Ok(_) => "opens with less in it".to_owned(),
                Err(error) => format!("names no box and byte: {error}"),
            };
            return Err(format!("cut to {at} of {} bytes, {problem}", self.bytes));
        }
        Ok(())
    }

    /// The one exception, see [`SAY_NOT_HOW_LONG_THEY_ARE`]: what is there is exactly the start of the whole.
    fn nobody_can_tell(&self, at: u64, tracks: &[ReadTrack]) -> bool {
        let whole = self.whole.iter().flatten();
        SAY_NOT_HOW_LONG_THEY_ARE.contains(&self.name)
            && self.moofs.contains(&at)
            && tracks
                .iter()
                .all(|track| whole.clone().any(|whole| track.starts(whole)))
    }
}

#[test]
fn cut_anywhere_a_file_is_an_error_or_all_there() {
    for_each(&fixtures(), |name| {
        let cuts = Cuts::new(name);
        let parts = (0..PARTS).map(|part| cuts.bytes * part / PARTS);
        cuts.check(parts.chain(cuts.bytes.saturating_sub(LAST_BYTES)..cuts.bytes).collect())
    });
}

#[test]
fn cut_around_the_start_of_a_fragment_a_file_is_an_error_where_its_boxes_can_tell() {
    for_each(&fixtures(), |name| {
        let cuts = Cuts::new(name);
        let around = |moof: &u64| [moof - 1, *moof, moof + 1, moof + 3, moof + 7];
        cuts.check(cuts.moofs.iter().flat_map(around).collect())
    });
}

/// The program says so by its exit code, and publishes nothing.
#[test]
fn the_program_refuses_what_is_cut_with_exit_code_3() {
    for_each(&inputs(), |name| {
        let cuts = Cuts::new(name);
        let workspace = Workspace::new();
        for at in [
            cuts.bytes - 1,
            cuts.bytes * 9 / 10,
            cuts.bytes / 2 + 1,
            cuts.bytes / 100,
            0,
        ] {
            cuts.copy_file.set_len(at).unwrap();
            let input = cuts.copy.to_str().unwrap();
            let output = limited(
                &workspace,
                &[
                    "encrypt",
                    input,
                    "--content-id",
                    "cut",
                    "--no-store",
                    "--scheme",
                    scheme(name),
                ],
            );
            let error = String::from_utf8_lossy(&output.stderr);
            let published = workspace.path("out/cut").exists();
            match output.status.code() {
                Some(3) if !published && error.contains(" byte ") => {}
                // What is missing holds no sample.
                Some(0) if read(&cuts.copy).ok() == cuts.whole => {
                    std::fs::remove_dir_all(workspace.path("out")).unwrap();
                }
                _ => {
                    return Err(format!(
                        "cut to {at}: {}, published {published}: {error}",
                        output.status
                    ));
                }
            }
        }
        Ok(())
    });
}

/// Where a fixture can tell, it is not to be among the exceptions.
#[test]
fn the_exceptions_are_exactly_those_that_cannot_tell() {
    for_each(&fixtures(), |name| {
        let cuts = Cuts::new(name);
        let later_fragments: Vec<u64> = cuts.moofs.iter().skip(1).rev().copied().collect();
        let opens_when_cut = later_fragments.into_iter().any(|moof| {
            cuts.copy_file.set_len(moof).unwrap();
            read(&cuts.copy).is_ok()
        });
        if opens_when_cut == SAY_NOT_HOW_LONG_THEY_ARE.contains(&name) {
            return Ok(());
        }
        Err(format!("opens when cut in front of a fragment: {opens_when_cut}"))
    });
}

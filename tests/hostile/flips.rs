//! Files with damaged bytes.

use std::ops::Range;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::Index;
use vylux_pack::isobmff::scan::TopLevel;
use vylux_pack::media::{Presentation, Source};

use crate::common::mutation::{Mutation, for_cases, mutations};
use crate::common::{Workspace, fixture, fixtures, for_each, inputs, scheme};
use crate::reading::{ReadTrack, is_located, read, tracks_of};
use crate::running::limited;
use crate::targets;

/// Cases for each fixture.
const CASES: u32 = 25;

/// Runs of the program for each fixture.
const RUNS: u32 = 3;

/// Far more than any damaged fixture takes to be refused, or to be encrypted.
const MAX_TIME: Duration = Duration::from_secs(5);

/// A fixture, and where its `moov` and `moof` boxes are.
struct Fixture {
    bytes: Vec<u8>,
    /// None where the fixture is refused as it is.
    samples: usize,
    metadata: Vec<Range<usize>>,
}

impl Fixture {
    fn load(name: &str) -> Self {
        let path = fixture(name);
        let source = Source::open(&path).unwrap();
        let boxes = TopLevel::new(&source).map_while(Result::ok);
        let metadata = boxes
            .filter(|header| matches!(&header.kind.0, b"moov" | b"moof"))
            .map(|header| header.offset.try_into().unwrap()..header.end().try_into().unwrap());
        Self {
            bytes: std::fs::read(&path).unwrap(),
            samples: read(&path).map_or(0, |tracks| count_samples(&tracks)),
            metadata: metadata.collect(),
        }
    }

    /// The bytes with `mutations` made in `places`.
    fn damaged(&self, mutations: &[Mutation], places: &Range<usize>) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        for mutation in mutations {
            mutation.apply(&mut bytes, places.clone());
        }
        bytes
    }
}

/// Opens and encrypts a damaged file; how many samples it had, if it was not refused at once.
fn open_and_encrypt(bytes: &[u8]) -> Result<Option<usize>, TestCaseError> {
    let workspace = Workspace::new();
    let path = workspace.path("damaged.mp4");
    std::fs::write(&path, bytes).unwrap();
    let started = Instant::now();
    let samples = match Presentation::open(&[&path]) {
        Ok(presentation) => {
            targets::run("encrypt", bytes);
            Some(count_samples(&tracks_of(&presentation)))
        }
        Err(error) => {
            prop_assert!(is_located(&error), "names no box and byte: {}", error);
            None
        }
    };
    prop_assert!(started.elapsed() < MAX_TIME, "took {:?}", started.elapsed());
    Ok(samples)
}

fn count_samples(tracks: &[ReadTrack]) -> usize {
    tracks.iter().map(|track| track.samples.len()).sum()
}

fn flip() -> impl Strategy<Value = Mutation> {
    (any::<Index>(), 1..=u8::MAX).prop_map(|(place, bits)| Mutation::Flip(place, bits))
}

/// A damaged byte in a box that tells of samples is found, or no sample is lost by it.
#[test]
fn one_flipped_byte_in_the_boxes_is_an_error_or_all_samples_are_there() {
    for_each(&fixtures(), |name| {
        let fixture = Fixture::load(name);
        let places = prop::sample::select(fixture.metadata.clone());
        for_cases(CASES, &(places, flip()), |(places, flip)| {
            let samples = open_and_encrypt(&fixture.damaged(&[flip], &places))?;
            prop_assert!(
                samples.is_none_or(|samples| samples >= fixture.samples),
                "{:?} samples",
                samples
            );
            Ok(())
        });
        Ok(())
    });
}

/// Much damage anywhere is refused with its place, or encrypted as it is, in little time.
#[test]
fn any_damage_is_an_error_or_encrypted_as_it_is() {
    for_each(&fixtures(), |name| {
        let fixture = Fixture::load(name);
        let anywhere = 0..fixture.bytes.len();
        let places = prop::sample::select([fixture.metadata.clone(), vec![anywhere]].concat());
        for_cases(CASES, &(places, mutations()), |(places, mutations)| {
            open_and_encrypt(&fixture.damaged(&mutations, &places)).map(|_| ())
        });
        Ok(())
    });
}

/// The program itself ends with 0 or 3, in little memory.
#[test]
fn the_program_refuses_damage_with_exit_code_3() {
    for_each(&inputs(), |name| {
        let fixture = Fixture::load(name);
        let places = prop::sample::select(fixture.metadata.clone());
        for_cases(RUNS, &(places, mutations()), |(places, mutations)| {
            let workspace = Workspace::new();
            let bytes = fixture.damaged(&mutations, &places);
            std::fs::write(workspace.path("damaged.mp4"), bytes).unwrap();
            let output = limited(
                &workspace,
                &[
                    "encrypt",
                    "damaged.mp4",
                    "--content-id",
                    "x",
                    "--no-store",
                    "--scheme",
                    scheme(name),
                ],
            );
            let error = String::from_utf8_lossy(&output.stderr);
            let published = workspace.path("out/x").exists();
            match output.status.code() {
                Some(0) => prop_assert!(published),
                Some(3) => prop_assert!(!published && error.contains(" byte "), "{}", error),
                _ => prop_assert!(false, "{}: {}", output.status, error),
            }
            Ok(())
        });
        Ok(())
    });
}

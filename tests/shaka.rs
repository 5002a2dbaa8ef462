//! Shaka Packager, given the same key, key ID and IV on the same input, writes the same sample bytes and subsample maps.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::path::Path;
use std::process::Command;

use aes::cipher::{Array, BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use common::samples::{self, Sample};
use common::{RenditionFiles, Workspace, derive, fixture, for_each, inputs, inputs_under, run, tool};

/// Why Shaka Packager 3.8.0 does not write what we write, and what is compared instead.
#[derive(Clone, Copy)]
enum Misread {
    /// It reads other bytes, or gives up. Another fixture has the same samples in a form that it reads.
    SameSamplesAs(&'static str),
    /// It gives up on video samples without bytes, because it can't write a subsample map of no entries (ISO/IEC 23001-7,
    /// 7.2.2 allows that). Another fixture has the same samples but for these two.
    EmptyVideoSamples(&'static str, [usize; 2]),
    /// It drops what comes before the first sync sample. ISO/IEC 14496-12 lets a track begin anywhere, and what can't be
    /// decoded is the player's to skip: dropping it would move the track's start.
    DropsUntilSync,
    /// It does not read slice headers of fields (H.264, 7.3.3 with `field_pic_flag`); `tests/slice_headers.rs` has ffmpeg measure them.
    NoFields,
    /// It gives up on metadata OBUs of AV1; `tests/ffmpeg.rs` has ffmpeg decrypt them.
    NoMetadata,
    /// It does not know MP3 in MP4 (ISO/IEC 14496-1, table 5: object types 0x69 and 0x6B); `tests/ffmpeg.rs` has ffmpeg decrypt it.
    NoMp3,
    /// It leaves the tables of contents of AC-4 clear, as Dolby has proposed and no standard has it, and counts their bits as
    /// bytes. All that is no video is protected whole (ISO/IEC 23001-7, 10.4); `tests/ffmpeg.rs` has ffmpeg decrypt it.
    ClearContents,
}

/// The fixtures that Shaka Packager misreads.
const MISREAD: &[(&str, Misread)] = &[
    // An absolute base-data-offset is ignored (ISO/IEC 14496-12, 8.8.7.1).
    ("base-absolute-tfdt32.mp4", Misread::SameSamplesAs("co64.mp4")),
    // Without any base flag, data of a traf follows that of the traf before (8.8.7.1), not the moof.
    ("base-implied.mp4", Misread::SameSamplesAs("co64.mp4")),
    // A trun without data-offset follows the trun before (8.8.8.1), not the moof.
    ("trun-follows.mp4", Misread::SameSamplesAs("co64.mp4")),
    // A size of 0 means to the end of the file (4.2.2).
    ("mdat-to-end.mp4", Misread::SameSamplesAs("co64.mp4")),
    ("empty-samples.mp4", Misread::EmptyVideoSamples("co64.mp4", [3, 9])),
    (
        "empty-samples-fragmented.mp4",
        Misread::EmptyVideoSamples("co64.mp4", [3, 9]),
    ),
    ("first-not-sync.mp4", Misread::DropsUntilSync),
    ("first-not-sync-fragmented.mp4", Misread::DropsUntilSync),
    ("field-pictures.mp4", Misread::NoFields),
    ("field-pictures-poc1.mp4", Misread::NoFields),
    // It knows no sound descriptions of QuickTime, with more fields and the configuration in `wave`.
    ("alac-quicktime.mp4", Misread::SameSamplesAs("alac.mp4")),
    ("eac3-quicktime.mp4", Misread::SameSamplesAs("eac3-5.1.mp4")),
    ("iphone.mp4", Misread::SameSamplesAs("co64.mp4")),
    ("quicktime.mp4", Misread::SameSamplesAs("co64.mp4")),
    ("quicktime-96k.mp4", Misread::SameSamplesAs("aac-96k.mp4")),
    ("quicktime-sound-2.mp4", Misread::SameSamplesAs("co64.mp4")),
    // It takes the first byte of a metadata OBU for its trailing bits (AV1, 5.8.1).
    ("av1-captions.mp4", Misread::NoMetadata),
    ("mp3.mp4", Misread::NoMp3),
    ("mp3-mpeg2.mp4", Misread::NoMp3),
    ("ac4.mp4", Misread::ClearContents),
];

/// Fixtures whose fragments do not begin where the samples before end. We keep `tfdt` (ISO/IEC 14496-12, 8.8.12: it is the
/// decode time), so that the sample in front lasts until then; Shaka Packager keeps the sample's own duration.
const TFDT_JUMPS: &[&str] = &["fragmented-gap.mp4", "fragment-per-sample.mp4"];

#[test]
fn every_fixture_has_the_samples_that_shaka_packager_writes_under_cbcs() {
    every_fixture_has_the_samples_that_shaka_packager_writes("cbcs");
}

/// Of VP9 too, where both of us leave the rest of a frame's last block clear behind the frame: its binding to MP4 lengthens the
/// clear bytes in front instead (Common Encryption, Sample Encryption). Whoever goes by the map opens either.
#[test]
fn every_fixture_has_the_samples_that_shaka_packager_writes_under_cenc() {
    every_fixture_has_the_samples_that_shaka_packager_writes("cenc");
}

#[test]
fn every_fixture_has_the_samples_that_shaka_packager_writes_under_cens() {
    every_fixture_has_the_samples_that_shaka_packager_writes("cens");
}

#[test]
fn every_fixture_has_the_samples_that_shaka_packager_writes_under_cbc1() {
    every_fixture_has_the_samples_that_shaka_packager_writes("cbc1");
}

fn every_fixture_has_the_samples_that_shaka_packager_writes(scheme: &'static str) {
    let Some(packager) = tool("packager") else { return };
    for_each(&inputs_under(scheme), |name| {
        let workspace = Workspace::new();
        let renditions = workspace.package(&[fixture(name)], "out", &["--scheme", scheme]);
        let misread = MISREAD
            .iter()
            .find(|(fixture, _)| *fixture == name)
            .map(|(_, misread)| *misread);
        // An exception is kept only as long as it is one.
        let mut differs = misread.is_none();
        let mut jumps = false;
        for rendition in &renditions {
            let ours = samples::read(&rendition.joined())?;
            let by_shaka = |input: &str, first: Option<&Sample>| {
                let by = (&*packager, scheme, &*iv(rendition, first));
                shaka(by, &workspace, &fixture(input), rendition, &renditions)
            };
            let same = by_shaka(name, ours.first())
                .and_then(|theirs| {
                    compare(&ours, &theirs)?;
                    let times = compare_times(&ours, &theirs);
                    jumps |= times.is_err();
                    if TFDT_JUMPS.contains(&name) { Ok(()) } else { times }
                })
                .map_err(|error| format!("{}: {error}", rendition.name));
            let (Some(misread), Err(error)) = (misread, &same) else {
                same?;
                continue;
            };
            differs = true;
            match misread {
                Misread::SameSamplesAs(other) => compare(&ours, &by_shaka(other, ours.first())?)?,
                Misread::EmptyVideoSamples(other, empty) if rendition.is_video() => {
                    let is_kept = |index: &usize| !empty.contains(index);
                    let kept = |all: Vec<Sample>| {
                        (0..)
                            .zip(all)
                            .filter(|(index, _)| is_kept(index))
                            .map(|(_, sample)| sample)
                    };
                    let is_empty = |index: usize| ours.get(index).is_some_and(|sample| sample.data.is_empty());
                    assert!(empty.into_iter().all(is_empty), "{name}: samples {empty:?} have bytes");
                    compare(
                        &kept(ours.clone()).collect::<Vec<_>>(),
                        &kept(by_shaka(other, ours.first())?).collect::<Vec<_>>(),
                    )?;
                }
                Misread::DropsUntilSync if rendition.is_video() => {
                    let first = ours.iter().position(|sample| sample.is_sync).ok_or("no sync sample")?;
                    let theirs = by_shaka(name, ours.get(first))?;
                    assert!(first > 0, "{name} begins with a sync sample");
                    compare(ours.get(first..).unwrap_or_default(), &theirs)?;
                }
                Misread::ClearContents => {
                    let theirs = by_shaka(name, ours.first())?;
                    assert!(theirs.iter().all(|sample| sample.subsamples.is_some()));
                    assert!(ours.iter().all(|sample| sample.subsamples.is_none()));
                    let bytes = |samples: &[Sample]| samples.iter().map(|sample| sample.data.len()).collect::<Vec<_>>();
                    assert_eq!(bytes(&ours), bytes(&theirs));
                    compare_times(&ours, &theirs)?;
                }
                Misread::NoFields if error.contains("Interlaced streams not supported") => {}
                Misread::NoMetadata if error.contains("trailing_one_bit == 1") => {}
                Misread::NoMp3 if error.contains("Unsupported audio object type") => {}
                _ => return Err(error.clone()),
            }
        }
        assert!(differs, "Shaka Packager reads {name} now: take the exception away");
        assert!(
            jumps || !TFDT_JUMPS.contains(&name),
            "{name} has no jump: take the exception away"
        );
        Ok(())
    });
}

/// A last run of blocks that is shorter than the pattern's.
#[test]
fn patterns_have_the_samples_that_shaka_packager_writes() {
    let Some(packager) = tool("packager") else { return };
    for (scheme, pattern) in [("cbcs", "2:3"), ("cbcs", "5:5"), ("cens", "2:3"), ("cens", "10:1")] {
        for_each(
            &["demo.mp4", "slices-4.mp4", "hevc.mp4", "av1-tiles.mp4"].map(str::to_owned),
            |name| {
                let workspace = Workspace::new();
                let options = ["--scheme", scheme, "--pattern", pattern];
                let renditions = workspace.package(&[fixture(name)], "out", &options);
                for rendition in renditions.iter().filter(|rendition| rendition.is_video()) {
                    let ours = samples::read(&rendition.joined())?;
                    let by = (
                        &*packager,
                        &*format!("{scheme} {pattern}"),
                        &*iv(rendition, ours.first()),
                    );
                    let theirs = shaka(by, &workspace, &fixture(name), rendition, &renditions)?;
                    compare(&ours, &theirs).map_err(|error| format!("{scheme} {pattern}: {error}"))?;
                }
                Ok(())
            },
        );
    }
}

/// Each track has an IV of its own, and is cut where the first video is.
#[test]
fn qualities_and_languages_have_the_samples_that_shaka_packager_writes() {
    let Some(packager) = tool("packager") else { return };
    let workspace = Workspace::new();
    let inputs = ["v360.mp4", "v180.mp4", "a-en.mp4", "a-fr.mp4", "two-languages.mp4"].map(fixture);
    let renditions = workspace.package(&inputs, "out", &["--allow-misaligned"]);
    let names: Vec<&str> = renditions.iter().map(RenditionFiles::track_name).collect();
    assert_eq!(names, ["360p", "180p", "90p", "en", "fr", "en-2", "fr-2"]);
    for rendition in &renditions {
        let by = (&*packager, "cbcs", &*iv(rendition, None));
        let theirs = shaka(by, &workspace, &rendition.input, rendition, &renditions).unwrap();
        compare(&samples::read(&rendition.joined()).unwrap(), &theirs).unwrap();
    }
}

/// Segments of more than 8 MiB have several fragments; no fixture is as large.
#[test]
fn segments_of_several_fragments_have_the_samples_that_shaka_packager_writes() {
    let (Some(packager), Some(ffmpeg)) = (tool("packager"), tool("ffmpeg")) else {
        return;
    };
    let workspace = Workspace::new();
    let film = workspace.path("film.mp4");
    let mut command = Command::new(ffmpeg);
    command.args([
        "-nostdin",
        "-v",
        "error",
        "-f",
        "lavfi",
        "-i",
        "testsrc2=s=640x360:r=25:d=2,noise=alls=100:allf=t",
    ]);
    command.args([
        "-f",
        "lavfi",
        "-i",
        "sine=d=2",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-qp",
        "0",
        "-g",
        "50",
    ]);
    run(command.arg(&film));
    let renditions = workspace.package(std::slice::from_ref(&film), "out", &["--segment-duration", "6"]);
    for rendition in &renditions {
        let file = rendition.joined();
        let fragments = samples::boxes(&file, 0)
            .unwrap()
            .iter()
            .filter(|(kind, ..)| kind == b"moof")
            .count();
        assert_eq!(
            fragments > rendition.segments.len(),
            rendition.is_video(),
            "{fragments} fragments"
        );
        let by = (&*packager, "cbcs", &*iv(rendition, None));
        let theirs = shaka(by, &workspace, &film, rendition, &renditions).unwrap();
        let ours = samples::read(&file).unwrap();
        compare(&ours, &theirs)
            .and_then(|()| compare_times(&ours, &theirs))
            .unwrap();
    }
}

/// More subsamples than the one byte of a `saiz` entry can tell (ISO/IEC 14496-12, 8.7.8): we refuse the input, while
/// Shaka Packager writes sizes modulo 256, so that its maps can't be read.
#[test]
fn sixty_slices_are_refused_where_shaka_packager_writes_a_broken_map() {
    let Some(packager) = tool("packager") else { return };
    let workspace = Workspace::new();
    let mut command = workspace.vylux_pack();
    command.args([
        "encrypt",
        "--content-id",
        common::CONTENT_ID,
        "--no-store",
        "--out",
        "out",
    ]);
    let output = command.arg(fixture("slices-60.mp4")).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{message}");
    assert!(message.contains("needs 60 subsamples"), "{message}");

    let output = workspace.path("shaka.mp4");
    let stream = format!(
        "in={},stream=video,output={}",
        fixture("slices-60.mp4").display(),
        output.display()
    );
    encrypt_by_shaka(&packager, &stream, "cbcs", &derive::iv("90p")).unwrap();
    let error = samples::read(&std::fs::read(output).unwrap()).unwrap_err();
    assert!(
        error.contains("can't be a map"),
        "Shaka Packager's maps are not broken any more: {error}"
    );
}

/// What playlists and file types say of Dolby Vision.
#[test]
fn dolby_vision_is_named_as_shaka_packager_names_it() {
    let Some(packager) = tool("packager") else { return };
    let fixtures: Vec<String> = inputs()
        .into_iter()
        .filter(|name| name.contains("dolby-vision"))
        .collect();
    assert_eq!(fixtures.len(), 5, "{fixtures:?}");
    for_each(&fixtures, |name| {
        let workspace = Workspace::new();
        let renditions = workspace.package(&[fixture(name)], "out", &["--scheme", "none"]);
        let (film, master) = (workspace.path("shaka.mp4"), workspace.path("shaka.m3u8"));
        let (input, output) = (fixture(name), film.display());
        let mut command = Command::new(&packager);
        command.arg(format!("in={},stream=video,output={output}", input.display()));
        command.args(["--use_dovi_supplemental_codecs", "--hls_master_playlist_output"]);
        run(command.arg(&master));

        let ours = std::fs::read_to_string(workspace.path("out/master.m3u8")).unwrap();
        // It writes the types that Apple prefers, whatever the sample entries are (authoring specification, 1.10).
        let ours = ours.replace("hev1.", "hvc1.").replace("dvhe.", "dvh1.");
        let theirs = std::fs::read_to_string(master).unwrap();
        for attribute in [",CODECS=", ",SUPPLEMENTAL-CODECS=", ",VIDEO-RANGE="] {
            let of = |playlist: &str| {
                let (_, behind) = playlist.split_once(attribute)?;
                Some(behind.split([',', '\n']).next()?.to_owned())
            };
            let (ours, theirs) = (of(&ours), of(&theirs));
            if ours != theirs {
                return Err(format!("{attribute} is {ours:?}, of Shaka Packager {theirs:?}"));
            }
        }
        let brands = |path: &Path| {
            let file = std::fs::read(path).unwrap();
            let size = file.first_chunk().map_or(0, |size| u32::from_be_bytes(*size)) as usize;
            let brands = file.get(16..size).unwrap_or_default().chunks(4).map(<[u8]>::to_vec);
            brands.filter(|brand| brand.starts_with(b"db")).collect::<Vec<_>>()
        };
        let (ours, theirs) = (brands(&renditions.first().ok_or("no rendition")?.init), brands(&film));
        if ours != theirs {
            return Err(format!("brands {ours:02x?}, of Shaka Packager {theirs:02x?}"));
        }
        Ok(())
    });
}

/// The IV of a sample, or the constant one of its rendition.
fn iv(rendition: &RenditionFiles, sample: Option<&Sample>) -> Vec<u8> {
    let own = sample.map(|sample| sample.iv.clone()).filter(|iv| !iv.is_empty());
    own.unwrap_or_else(|| derive::iv(rendition.track_name()).to_vec())
}

/// A sample under `cbc1` as it would be under another IV, by the `cbc` crate alone.
///
/// We count IVs of 16 bytes up by one in their first half; Shaka Packager by a sample's blocks in their second.
fn under_iv(sample: &Sample, iv: &[u8]) -> Result<Sample, String> {
    let key = derive::key().into();
    let block = |iv: &[u8]| <[u8; 16]>::try_from(iv).map_err(|_| format!("an IV of {} bytes", iv.len()));
    let mut decryptor = cbc::Decryptor::<aes::Aes128>::new(&key, &block(&sample.iv)?.into());
    let mut encryptor = cbc::Encryptor::<aes::Aes128>::new(&key, &block(iv)?.into());
    let mut under = sample.clone();
    let whole = vec![(0, u32::try_from(sample.data.len() / 16 * 16).unwrap())];
    let mut rest = under.data.as_mut_slice();
    for (clear, protected) in sample.subsamples.as_ref().unwrap_or(&whole) {
        let (_, behind) = rest.split_at_mut(usize::from(*clear));
        let (range, later) = behind.split_at_mut(*protected as usize);
        let (blocks, partial) = Array::slice_as_chunks_mut(range);
        if !partial.is_empty() {
            return Err(format!("a protected range of {protected} bytes"));
        }
        decryptor.decrypt_blocks(blocks);
        encryptor.encrypt_blocks(blocks);
        rest = later;
    }
    Ok(under)
}

/// What Shaka Packager makes of a track by a scheme and IV with the key and key ID of `rendition`: the track of `input` that
/// stands where the rendition's stands in its own.
fn shaka(
    (packager, scheme, iv): (&Path, &str, &[u8]),
    workspace: &Workspace,
    input: &Path,
    rendition: &RenditionFiles,
    renditions: &[RenditionFiles],
) -> Result<Vec<Sample>, String> {
    let kind = if rendition.is_video() { "video" } else { "audio" };
    let beside: Vec<_> = renditions
        .iter()
        .filter(|other| other.input == rendition.input)
        .collect();
    let stream = if beside
        .iter()
        .filter(|other| other.is_video() == rendition.is_video())
        .count()
        == 1
    {
        kind.to_owned()
    } else {
        beside
            .iter()
            .position(|other| other.name == rendition.name)
            .unwrap()
            .to_string()
    };
    let output = workspace.path("shaka.mp4");
    encrypt_by_shaka(
        packager,
        &format!("in={},stream={stream},output={}", input.display(), output.display()),
        scheme,
        iv,
    )?;
    samples::read(&std::fs::read(output).unwrap())
}

fn encrypt_by_shaka(packager: &Path, stream: &str, scheme: &str, iv: &[u8]) -> Result<(), String> {
    let [kid, key, iv] = [&derive::kid(), &derive::key(), iv].map(hex::encode);
    let (scheme, pattern) = scheme.split_once(' ').unwrap_or((scheme, "1:9"));
    let (crypt, skip) = pattern.split_once(':').unwrap();
    let result = Command::new(packager)
        .arg(stream)
        .args([
            "--protection_scheme",
            scheme,
            "--crypt_byte_block",
            crypt,
            "--skip_byte_block",
            skip,
            "--clear_lead",
            "0",
            "--enable_raw_key_encryption",
        ])
        .arg(format!("--keys=label=:key_id={kid}:key={key}:iv={iv}"))
        .output()
        .unwrap();
    let message = String::from_utf8_lossy(&result.stderr);
    result
        .status
        .success()
        .then_some(())
        .ok_or_else(|| format!("Shaka Packager gives up: {message}"))
}

/// Compares how long samples last, and where decoding can begin.
fn compare_times(ours: &[Sample], theirs: &[Sample]) -> Result<(), String> {
    let differs = |(ours, theirs): (&Sample, &Sample)| {
        ours.duration_ticks != theirs.duration_ticks || ours.is_sync != theirs.is_sync
    };
    match ours.iter().zip(theirs).position(differs) {
        Some(index) => Err(format!(
            "sample {index} has another duration, or is a sync sample to one of us"
        )),
        None => Ok(()),
    }
}

/// Compares samples in decode order: bytes and subsample maps.
fn compare(ours: &[Sample], theirs: &[Sample]) -> Result<(), String> {
    if ours.len() != theirs.len() {
        return Err(format!("{} samples, of Shaka Packager {}", ours.len(), theirs.len()));
    }
    for (index, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        let rekeyed;
        let ours = if ours.iv == theirs.iv {
            ours
        } else {
            rekeyed = under_iv(ours, &theirs.iv).map_err(|error| format!("sample {index}: {error}"))?;
            &rekeyed
        };
        if ours.data != theirs.data {
            let at = ours
                .data
                .iter()
                .zip(&theirs.data)
                .take_while(|(ours, theirs)| ours == theirs)
                .count();
            let (ours, theirs) = (ours.data.len(), theirs.data.len());
            return Err(format!(
                "sample {index} ({ours} and {theirs} bytes) differs at byte {at}"
            ));
        }
        if ours.subsamples != theirs.subsamples {
            let (ours, theirs) = (&ours.subsamples, &theirs.subsamples);
            return Err(format!(
                "sample {index} has subsamples {ours:?}, of Shaka Packager {theirs:?}"
            ));
        }
    }
    Ok(())
}

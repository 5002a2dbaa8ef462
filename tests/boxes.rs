//! Parse then write is the identity: of box trees over every fixture and everything that we write, unknown boxes included,
//! and of every typed box in them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::sync::Mutex;

use common::{Workspace, fixture, fixtures, for_each, inputs};
use vylux_pack::isobmff::scan::{ScanError, TopLevel};
use vylux_pack::isobmff::{self, BoxError, FourCc, Node, ReadAt, TypedBox};

/// A file in memory.
struct Bytes(Vec<u8>);

impl ReadAt for Bytes {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        let source = self
            .0
            .get(start..start + buffer.len())
            .ok_or(std::io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(source);
        Ok(())
    }
}

/// How many boxes of each type were written again.
type Count = Mutex<BTreeMap<FourCc, u32>>;

/// Reads all boxes of a file and writes them again, trees and typed boxes; what follows the last box has to be `junk`.
fn check(file: Vec<u8>, junk: &[u8], count: &Count) -> Result<(), String> {
    let file = Bytes(file);
    let mut written = Vec::new();
    for header in TopLevel::new(&file) {
        let header = match header {
            Ok(header) => header,
            Err(ScanError::Box(error)) if !junk.is_empty() && file.0.ends_with(junk) => {
                let junk_at = file.len() - junk.len() as u64;
                return (error.offset == junk_at && file.0 == [&written, junk].concat())
                    .then_some(())
                    .ok_or_else(|| format!("junk at byte {}: {error}", error.offset));
            }
            Err(error) => return Err(error.to_string()),
        };
        let start = usize::try_from(header.offset).unwrap();
        let end = usize::try_from(header.end()).unwrap();
        let node =
            Node::parse_one(file.0.get(start..end).unwrap(), header.offset).map_err(|error| error.to_string())?;
        check_typed(&node, count)?;
        node.write(&mut written);
        if node.size() != header.size {
            return Err(format!(
                "{} has {} bytes and says {}",
                node.path,
                header.size,
                node.size()
            ));
        }
    }
    if written != file.0 {
        let at = written
            .iter()
            .zip(&file.0)
            .take_while(|(written, read)| written == read)
            .count();
        return Err(format!(
            "{} bytes became {}, different from byte {at} on",
            file.0.len(),
            written.len()
        ));
    }
    Ok(())
}

/// All typed boxes: their types, and how each is read and written again.
macro_rules! typed_boxes {
    ($($typed:ty),* $(,)?) => {
        const TYPES: &[FourCc] = &[$(<$typed>::TYPE),*];

        /// A typed box's payload after reading and writing; `None` where the box has no type of its own.
        fn again(node: &Node<'_>) -> Option<Result<Vec<u8>, BoxError>> {
            let mut payload = Vec::new();
            match node.kind {
                $(kind if kind == <$typed>::TYPE => {
                    Some(node.parse::<$typed>().map(|typed| {
                        typed.write_payload(&mut payload);
                        payload
                    }))
                })*
                _ => None,
            }
        }
    };
}

typed_boxes![
    isobmff::alac::AlacSpecific,
    isobmff::av1c::Av1Configuration,
    isobmff::avcc::AvcConfiguration,
    isobmff::co64::LargeChunkOffsets,
    isobmff::colr::ColourInformation,
    isobmff::ctts::CompositionOffsets,
    isobmff::dac3::Ac3Specific,
    isobmff::dac4::Ac4Specific,
    isobmff::ddts::DtsSpecific,
    isobmff::dec3::Eac3Specific,
    isobmff::dfla::FlacSpecific,
    isobmff::dops::OpusSpecific,
    isobmff::dvcc::DolbyVisionConfiguration,
    isobmff::elng::ExtendedLanguage,
    isobmff::elst::EditList,
    isobmff::esds::ElementaryStreamDescriptor,
    isobmff::frma::OriginalFormat,
    isobmff::ftyp::FileType,
    isobmff::hdlr::Handler,
    isobmff::mdhd::MediaHeader,
    isobmff::mehd::MovieExtendsHeader,
    isobmff::mfhd::MovieFragmentHeader,
    isobmff::mvhd::MovieHeader,
    isobmff::pssh::ProtectionSystemHeader,
    isobmff::saio::AuxiliaryOffsets,
    isobmff::saiz::AuxiliarySizes,
    isobmff::sbgp::SampleToGroup,
    isobmff::schm::SchemeType,
    isobmff::sgpd::SampleGroupDescriptions,
    isobmff::sdtp::SampleDependencies,
    isobmff::stco::ChunkOffsets,
    isobmff::stsc::SampleToChunk,
    isobmff::stss::SyncSamples,
    isobmff::stsz::SampleSizes,
    isobmff::stts::TimeToSample,
    isobmff::stz2::CompactSampleSizes,
    isobmff::tenc::TrackEncryption,
    isobmff::tfdt::TrackFragmentDecodeTime,
    isobmff::tfhd::TrackFragmentHeader,
    isobmff::tkhd::TrackHeader,
    isobmff::trex::TrackExtends,
    isobmff::trun::TrackRun,
    isobmff::udts::DtsUhdSpecific,
    isobmff::vpcc::VpConfiguration,
];

fn check_typed(node: &Node<'_>, count: &Count) -> Result<(), String> {
    if let Some(payload) = again(node) {
        let payload = payload.map_err(|error| error.to_string())?;
        if payload != node.fields() {
            let (read, written) = (hex::encode(node.fields()), hex::encode(payload));
            return Err(format!(
                "{} at byte {}: {read} became {written}",
                node.path, node.offset
            ));
        }
        *count.lock().unwrap().entry(node.kind).or_default() += 1;
    }
    node.children().iter().try_for_each(|child| check_typed(child, count))
}

#[test]
fn fixtures_are_written_as_they_were_read() {
    let count = Count::default();
    for_each(&fixtures(), |name| {
        let file = std::fs::read(fixture(name)).unwrap();
        let junk: &[u8] = if name == "trailing-junk.mp4" {
            b"out of any box \xff\xff"
        } else {
            b""
        };
        check(file.clone(), junk, &count)
    });
    let met = count.into_inner().unwrap();
    let missing: Vec<_> = TYPES.iter().filter(|kind| !met.contains_key(*kind)).collect();
    assert!(missing.is_empty(), "no fixture holds {missing:?}");
}

#[test]
fn outputs_are_written_as_they_were_read() {
    let count = Count::default();
    for_each(&inputs(), |name| {
        let workspace = Workspace::new();
        for rendition in workspace.encrypt(name, "out") {
            check(rendition.joined(), b"", &count).map_err(|error| format!("{}: {error}", rendition.name))?;
        }
        Ok(())
    });
    let met = count.into_inner().unwrap();
    for kind in [b"tenc", b"pssh", b"senc", b"saiz", b"saio", b"trun"].map(FourCc::new) {
        assert!(
            !TYPES.contains(&kind) || met.contains_key(&kind),
            "no output holds {kind}"
        );
    }
}

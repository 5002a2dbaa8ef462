//! ISO Base Media File Format (ISO/IEC 14496-12): an ordered, lossless box tree and typed boxes.
//!
//! One file per typed box, named by its four-character code. [`tree`] keeps every byte of what it reads, in order,
//! whether it knows the box or not; a typed box is read from a node of the tree and written in its place.

pub mod alac;
pub mod av1c;
pub mod avcc;
pub mod co64;
pub mod colr;
pub mod ctts;
pub mod dac3;
pub mod dac4;
pub mod ddts;
pub mod dec3;
mod decoder_configuration;
pub mod describe;
pub mod dfla;
pub mod dops;
pub mod dvcc;
pub mod elng;
pub mod elst;
pub mod error;
pub mod esds;
pub mod fourcc;
pub mod frma;
pub mod ftyp;
pub mod hdlr;
pub mod header;
pub mod hvcc;
pub mod mdhd;
pub mod mehd;
pub mod mfhd;
pub mod mvhd;
pub mod pssh;
pub mod reader;
pub mod saio;
pub mod saiz;
pub mod sample_entry;
pub mod sample_flags;
pub mod sbgp;
pub mod scan;
pub mod schm;
pub mod sdtp;
pub mod seig;
pub mod senc;
pub mod sgpd;
pub mod sidx;
pub mod sound_description;
pub mod stco;
pub mod stsc;
pub mod stss;
pub mod stsz;
pub mod stts;
pub mod stz2;
pub mod survey;
pub mod tenc;
#[cfg(test)]
pub(crate) mod test_boxes;
pub mod tfdt;
pub mod tfhd;
pub mod tkhd;
pub mod tree;
pub mod trex;
pub mod trun;
pub mod udts;
pub mod vpcc;
pub mod writer;

pub use error::{BoxError, BoxPath, Fault, Problem};
pub use fourcc::FourCc;
pub use header::{BoxHeader, SizeForm};
pub use reader::Reader;
pub use scan::ReadAt;
pub use tree::{Content, Node};

/// The boxes that `inspect` describes by their fields; a new typed box is one line here.
const DESCRIBED: &[(FourCc, describe::Describe)] = &[
    describe::fields::<alac::AlacSpecific>(),
    describe::fields::<av1c::Av1Configuration>(),
    describe::fields::<avcc::AvcConfiguration>(),
    describe::fields::<co64::LargeChunkOffsets>(),
    describe::fields::<colr::ColourInformation>(),
    describe::fields::<ctts::CompositionOffsets>(),
    describe::fields::<dac3::Ac3Specific>(),
    describe::fields::<dac4::Ac4Specific>(),
    describe::fields::<ddts::DtsSpecific>(),
    describe::fields::<dec3::Eac3Specific>(),
    describe::fields::<dfla::FlacSpecific>(),
    describe::fields::<dops::OpusSpecific>(),
    describe::fields::<dvcc::DolbyVisionConfiguration>(),
    describe::fields_as::<dvcc::DolbyVisionConfiguration>(dvcc::DVVC),
    describe::fields::<elng::ExtendedLanguage>(),
    describe::fields::<elst::EditList>(),
    describe::fields::<esds::ElementaryStreamDescriptor>(),
    describe::fields::<frma::OriginalFormat>(),
    describe::fields::<ftyp::FileType>(),
    describe::fields_as::<ftyp::FileType>(FourCc::new(b"styp")),
    describe::fields::<hdlr::Handler>(),
    describe::fields::<hvcc::HevcConfiguration>(),
    describe::fields::<mdhd::MediaHeader>(),
    describe::fields::<mehd::MovieExtendsHeader>(),
    describe::fields::<mfhd::MovieFragmentHeader>(),
    describe::fields::<mvhd::MovieHeader>(),
    describe::fields::<pssh::ProtectionSystemHeader>(),
    describe::fields::<saio::AuxiliaryOffsets>(),
    describe::fields::<saiz::AuxiliarySizes>(),
    describe::fields::<sbgp::SampleToGroup>(),
    describe::fields::<schm::SchemeType>(),
    describe::fields::<sdtp::SampleDependencies>(),
    describe::sample_encryption(),
    describe::fields::<sgpd::SampleGroupDescriptions>(),
    describe::fields::<sidx::SegmentIndex>(),
    describe::fields::<stco::ChunkOffsets>(),
    describe::fields::<stsc::SampleToChunk>(),
    describe::fields::<stss::SyncSamples>(),
    describe::fields::<stsz::SampleSizes>(),
    describe::fields::<stts::TimeToSample>(),
    describe::fields::<stz2::CompactSampleSizes>(),
    describe::fields::<tenc::TrackEncryption>(),
    describe::fields::<tfdt::TrackFragmentDecodeTime>(),
    describe::fields::<tfhd::TrackFragmentHeader>(),
    describe::fields::<tkhd::TrackHeader>(),
    describe::fields::<trex::TrackExtends>(),
    describe::fields::<trun::TrackRun>(),
    describe::fields::<udts::DtsUhdSpecific>(),
    describe::fields::<vpcc::VpConfiguration>(),
];

/// A box whose payload has a type of its own.
///
/// What it serializes is its description: its fields by their names, and of long tables the first entries, for
/// which [`describe`] has helpers.
pub trait TypedBox: Sized + serde::Serialize {
    /// The box's type.
    const TYPE: FourCc;

    /// Reads the payload, that is everything behind the box header.
    ///
    /// # Errors
    /// A [`Fault`] at the payload byte where reading stopped.
    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault>;

    /// Appends the payload, without the box header.
    fn write_payload(&self, out: &mut Vec<u8>);

    /// Appends the whole box.
    fn write(&self, out: &mut Vec<u8>) {
        writer::boxed(out, Self::TYPE, |out| self.write_payload(out));
    }
}

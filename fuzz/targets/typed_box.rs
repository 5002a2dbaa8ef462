//! Every typed box: the first byte picks which, the rest is its payload.

use vylux_pack::isobmff::describe::describe;
use vylux_pack::isobmff::{FourCc, Node, Reader, TypedBox};
use vylux_pack::isobmff::{
    alac, av1c, avcc, co64, colr, ctts, dac3, dac4, ddts, dec3, dfla, dops, dvcc, elng, elst, esds, frma, ftyp, hdlr,
    hvcc, mdhd, mehd, mfhd, mvhd, pssh, saio, saiz, sbgp, schm, sdtp, senc, sgpd, sidx, stco, stsc, stss, stsz, stts,
    stz2, tenc, tfdt, tfhd, tkhd, trex, trun, udts, vpcc,
};

/// A new typed box is one line here; the corpus counts on the order.
const BOXES: &[fn(&[u8])] = &[
    check::<avcc::AvcConfiguration>,
    check::<co64::LargeChunkOffsets>,
    check::<ctts::CompositionOffsets>,
    check::<elng::ExtendedLanguage>,
    check::<elst::EditList>,
    check::<esds::ElementaryStreamDescriptor>,
    check::<frma::OriginalFormat>,
    check::<ftyp::FileType>,
    check::<hdlr::Handler>,
    check::<hvcc::HevcConfiguration>,
    check::<mdhd::MediaHeader>,
    check::<mehd::MovieExtendsHeader>,
    check::<mfhd::MovieFragmentHeader>,
    check::<mvhd::MovieHeader>,
    check::<pssh::ProtectionSystemHeader>,
    check::<saio::AuxiliaryOffsets>,
    check::<saiz::AuxiliarySizes>,
    check::<schm::SchemeType>,
    check::<sdtp::SampleDependencies>,
    check::<sidx::SegmentIndex>,
    check::<stco::ChunkOffsets>,
    check::<stsc::SampleToChunk>,
    check::<stss::SyncSamples>,
    check::<stsz::SampleSizes>,
    check::<stts::TimeToSample>,
    check::<stz2::CompactSampleSizes>,
    check::<tenc::TrackEncryption>,
    check::<tfdt::TrackFragmentDecodeTime>,
    check::<tfhd::TrackFragmentHeader>,
    check::<tkhd::TrackHeader>,
    check::<trex::TrackExtends>,
    check::<trun::TrackRun>,
    check_sample_encryption,
    check::<alac::AlacSpecific>,
    check::<dac3::Ac3Specific>,
    check::<dec3::Eac3Specific>,
    check::<dfla::FlacSpecific>,
    check::<dops::OpusSpecific>,
    check::<av1c::Av1Configuration>,
    check::<colr::ColourInformation>,
    check::<vpcc::VpConfiguration>,
    check::<dac4::Ac4Specific>,
    check::<ddts::DtsSpecific>,
    check::<udts::DtsUhdSpecific>,
    check::<dvcc::DolbyVisionConfiguration>,
    check::<sbgp::SampleToGroup>,
    check::<sgpd::SampleGroupDescriptions>,
];

pub fn run(data: &[u8]) {
    if let Some((first, payload)) = data.split_first()
        && let Some(check) = BOXES.get(usize::from(*first))
    {
        check(payload);
    }
}

/// What is written of a box that was read is the same box, byte by byte.
fn check<T: TypedBox>(payload: &[u8]) {
    check_description(T::TYPE, payload);
    let Ok(typed) = T::parse(&mut Reader::new(payload)) else {
        return;
    };
    let mut written = Vec::new();
    typed.write_payload(&mut written);
    let again = T::parse(&mut Reader::new(&written)).expect("what was written can be read");
    let mut written_again = Vec::new();
    again.write_payload(&mut written_again);
    assert_eq!(written, written_again, "write, read and write is the identity");
}

fn check_sample_encryption(payload: &[u8]) {
    check_description(senc::TYPE, payload);
    for iv_size in [0, 8, 16] {
        let Ok(samples) = senc::parse(&mut Reader::new(payload), iv_size) else {
            continue;
        };
        assert!(samples.len() <= payload.len(), "each sample takes a byte");
    }
}

/// A description is bounded however long a table is.
fn check_description(kind: FourCc, payload: &[u8]) {
    const MAX_BYTES: usize = 1 << 16;
    if let Some(Ok(fields)) = describe(&Node::leaf(kind, payload.to_vec())) {
        assert!(fields.to_string().len() < MAX_BYTES, "a description without bound");
    }
}

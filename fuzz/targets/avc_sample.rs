//! H.264: a length byte, an `avcC` of so many bytes, and samples behind it, each with 16 bits of length in front.

use vylux_pack::codec::Codec;
use vylux_pack::codec::avc::Avc;
use vylux_pack::isobmff::avcc::AvcConfiguration;
use vylux_pack::isobmff::{FourCc, Reader, TypedBox};

pub fn run(data: &[u8]) {
    let mut input = Reader::new(data);
    let Ok(config) = input.u8().and_then(|bytes| input.bytes(bytes.into())) else {
        return;
    };
    let Ok(config) = AvcConfiguration::parse(&mut Reader::new(config)) else {
        return;
    };
    let Ok(codec) = Avc::open(FourCc::new(b"avc3"), config) else {
        return;
    };
    assert!(codec.rfc6381().starts_with("avc3."));
    super::scan(&codec, input);
}

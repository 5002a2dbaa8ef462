//! H.265: a length byte, an `hvcC` of so many bytes, and samples behind it, each with 16 bits of length in front.

use vylux_pack::codec::Codec;
use vylux_pack::codec::hevc::Hevc;
use vylux_pack::isobmff::hvcc::HevcConfiguration;
use vylux_pack::isobmff::{FourCc, Reader, TypedBox};

pub fn run(data: &[u8]) {
    let mut input = Reader::new(data);
    let Ok(config) = input.u8().and_then(|bytes| input.bytes(bytes.into())) else {
        return;
    };
    let Ok(config) = HevcConfiguration::parse(&mut Reader::new(config)) else {
        return;
    };
    let Ok(codec) = Hevc::open(FourCc::new(b"hev1"), config) else {
        return;
    };
    assert!(codec.rfc6381().starts_with("hev1."));
    super::scan(&codec, input);
}

//! VP9: a length byte, a `vpcC` of so many bytes, and samples behind it, each with 16 bits of length in front.

use vylux_pack::codec::Codec;
use vylux_pack::codec::vp9::Vp9;
use vylux_pack::isobmff::vpcc::VpConfiguration;
use vylux_pack::isobmff::{Reader, TypedBox};

pub fn run(data: &[u8]) {
    let mut input = Reader::new(data);
    let Ok(config) = input.u8().and_then(|bytes| input.bytes(bytes.into())) else {
        return;
    };
    let Ok(config) = VpConfiguration::parse(&mut Reader::new(config)) else {
        return;
    };
    let codec = Vp9::new(config);
    assert!(codec.rfc6381().starts_with("vp09."));
    super::scan(&codec, input);
}

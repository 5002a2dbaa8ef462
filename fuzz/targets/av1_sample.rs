//! AV1: a length byte, an `av1C` of so many bytes, and samples behind it, each with 16 bits of length in front.

use vylux_pack::codec::Codec;
use vylux_pack::codec::av1::Av1;
use vylux_pack::isobmff::av1c::Av1Configuration;
use vylux_pack::isobmff::{Reader, TypedBox};

pub fn run(data: &[u8]) {
    let mut input = Reader::new(data);
    let Ok(config) = input.u8().and_then(|bytes| input.bytes(bytes.into())) else {
        return;
    };
    let Ok(config) = Av1Configuration::parse(&mut Reader::new(config)) else {
        return;
    };
    let Ok(codec) = Av1::open(config, None) else {
        return;
    };
    assert!(codec.rfc6381().starts_with("av01."));
    super::scan(&codec, input);
}

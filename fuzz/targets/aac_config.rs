//! `esds` and the `AudioSpecificConfig` in it.

use vylux_pack::codec::Codec;
use vylux_pack::codec::aac::Aac;
use vylux_pack::isobmff::esds::ElementaryStreamDescriptor;
use vylux_pack::isobmff::{Reader, TypedBox};

pub fn run(data: &[u8]) {
    let Ok(esds) = ElementaryStreamDescriptor::parse(&mut Reader::new(data)) else {
        return;
    };
    let Ok(codec) = Aac::open(&esds) else { return };
    assert!(codec.rfc6381().starts_with("mp4a."));
    assert!(codec.scanner().is_none(), "whole samples are protected");
    assert!(codec.channels().is_none_or(|channels| channels < 128));
    let _ = codec.sample_rate_hz();
}

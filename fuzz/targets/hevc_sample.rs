//! H.265: a length byte, an `hvcC` of so many bytes, and samples behind it, each with 16 bits of length in front.

use vylux_pack::codec::hevc::Hevc;
use vylux_pack::codec::{Codec, SubsampleMap};
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
    let mut scanner = codec.scanner().expect("H.265 has clear bytes");
    let mut map = SubsampleMap::default();
    while let Ok(sample) = input.u16().and_then(|bytes| input.bytes(bytes.into())) {
        if scanner.scan(sample, &mut map).is_err() {
            return;
        }
        let covered = map
            .end_sample()
            .iter()
            .map(|entry| usize::from(entry.clear_bytes) + entry.protected_bytes as usize)
            .sum::<usize>();
        assert_eq!(covered, sample.len(), "the map covers the sample exactly");
    }
}

//! Playlists of trees: read, edited and read again, and the reader of `verify` over the same text.

use vylux_pack::media::playlist::{Content, Playlist, attributes};
use vylux_pack::media::tree::Tree;
use vylux_pack::verify::{Findings, Form, playlist};

use super::with_file;

pub fn run(data: &[u8]) {
    // What it names is not there.
    assert!(with_file(data, Tree::open).is_err(), "a tree without media");
    let Ok(text) = std::str::from_utf8(data) else { return };
    for line in text.split_inclusive('\n') {
        for attribute in attributes(line).unwrap_or_default() {
            assert_eq!(line.get(attribute.span.clone()), Some(attribute.text));
        }
    }
    let Ok(Playlist { lines, content, .. }) = Playlist::parse(text) else {
        return;
    };
    assert_eq!(lines.concat(), text, "every line is kept");
    let mut findings = Findings::default();
    let mut findings = findings.of(std::path::Path::new("p"));
    match content {
        Content::Media(media) => {
            let again = playlist::parse_media(text, Form::Tree, &mut findings);
            let range_of = |uri: &str, range: &Option<std::ops::Range<u64>>| (uri.to_owned(), range.clone());
            let segments = media.segments.iter().map(|segment| &segment.resource);
            let ours: Vec<_> = segments
                .map(|resource| range_of(&resource.uri, &resource.range))
                .collect();
            let segments = again.segments.iter().map(|segment| &segment.value);
            let theirs: Vec<_> = segments.map(|segment| range_of(&segment.uri, &segment.range)).collect();
            assert_eq!(ours, theirs, "both readers see the same segments");
        }
        Content::Multivariant(multivariant) => {
            let again = playlist::parse_multivariant(text, Form::Tree, &mut findings);
            let named = again.variants.len() + again.iframes.len();
            assert_eq!(multivariant.variants.len(), named, "both readers see the same variants");
        }
    }
}

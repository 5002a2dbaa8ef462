//! What `inspect` reads of any file.

use vylux_pack::isobmff::survey::Survey;
use vylux_pack::media::{Source, Summary, max_box_bytes};

use super::with_file;

pub fn run(data: &[u8]) {
    with_file(data, |path| {
        let source = Source::open(path).expect("a temporary file");
        let mut summary = Summary::default();
        for top in Survey::new(&source, max_box_bytes) {
            let Ok(top) = top else { break };
            let (node, mut errors) = top.read();
            if let Some(node) = &node {
                summary.add(node, &mut errors);
            }
        }
    });
}

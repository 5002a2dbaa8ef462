//! The box tree: parse then write is the identity, and the lenient reader takes anything.

use vylux_pack::isobmff::{BoxError, Node};

pub fn run(data: &[u8]) {
    match Node::parse_all(data, 0) {
        Ok(nodes) => {
            let mut written = Vec::new();
            for node in &nodes {
                node.write(&mut written);
            }
            assert_eq!(written, data, "parse then write is the identity");
            assert_eq!(lenient_errors(data), [], "what is whole is whole to the lenient reader");
        }
        Err(error) => {
            assert!(error.offset <= data.len() as u64, "{error}: behind the end");
            // A few zero bytes at the end are padding to the one, and no box to the other.
            let padding = data.get(usize::try_from(error.offset).expect("checked above")..);
            if padding.is_none_or(|bytes| bytes.len() >= 8 || bytes.iter().any(|byte| *byte != 0)) {
                assert_ne!(lenient_errors(data), [], "{error}: the lenient reader saw nothing");
            }
        }
    }
}

fn lenient_errors(data: &[u8]) -> Vec<BoxError> {
    let mut errors = Vec::new();
    Node::parse_lenient(data, 0, &mut errors);
    errors
}

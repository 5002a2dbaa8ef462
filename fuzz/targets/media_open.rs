//! A whole file, opened: every sample lies in it, and they are not more than it has bytes.

use std::path::Path;
use std::sync::Arc;

use vylux_pack::media::{Cause, InputError, Presentation, Source, fingerprint};

use super::with_file;

pub fn run(data: &[u8]) {
    with_file(data, |path| {
        if let Ok(presentation) = open(path) {
            check(&presentation, data.len() as u64);
        }
    });
}

/// Opens a file; what fails names a box and a byte, or is the system's.
fn open(path: &Path) -> Result<Presentation, InputError> {
    let opened = Presentation::open(&[path]);
    if let Err(error) = &opened {
        assert!(!matches!(error.cause, Cause::Io(_)), "{error}");
    }
    let mut encrypted = Presentation::default();
    let source = Arc::new(Source::open(path).expect("it was opened before"));
    let accepted = encrypted.add(&source, vylux_pack::media::EncryptedInput::Accept);
    assert!(
        opened.is_err() || accepted.is_ok(),
        "what is accepted clear is accepted"
    );
    opened
}

fn check(presentation: &Presentation, file_bytes: u64) {
    let mut sample_bytes = 0;
    for track in &presentation.tracks {
        assert!(!track.samples.is_empty(), "a track without samples is left out");
        let mut last_decode_ticks = 0;
        for sample in track.samples.all() {
            assert!(
                sample.size == 0 || sample.end() <= file_bytes,
                "a sample outside the file"
            );
            assert!(last_decode_ticks <= sample.decode_ticks, "decode times fall");
            last_decode_ticks = sample.decode_ticks;
            sample_bytes += u64::from(sample.size);
        }
    }
    assert!(sample_bytes <= file_bytes, "more samples than bytes");
    assert_eq!(fingerprint(&presentation.tracks), fingerprint(&presentation.tracks));
}

//! WebVTT, read, written as its segments are, and read again.

use vylux_pack::media::webvtt::WebVtt;

pub fn run(data: &[u8]) {
    let Ok(read) = WebVtt::parse(data) else { return };
    for pair in read.cues.windows(2) {
        assert!(
            matches!(pair, [a, b] if a.start <= b.start),
            "cues in the order of their starts"
        );
    }
    let mut text = read.signature.clone();
    if let Some(map) = &read.timestamp_map {
        text.extend(["X-TIMESTAMP-MAP=", map, "\n"]);
    }
    text.push_str(&read.header);
    for cue in &read.cues {
        assert!(cue.start < cue.end && cue.start.ticks >= 0, "a cue of no length");
        text.extend(["\n", &cue.block]);
    }
    assert_eq!(
        WebVtt::parse(text.as_bytes()),
        Ok(read),
        "what is written again reads the same"
    );
}

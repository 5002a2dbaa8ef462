//! Where subtitles are cut: a cue is in every segment in whose time it is shown (RFC 8216bis, 3.1.4).

use super::{PlanError, PlannedSegment};
use crate::media::webvtt::Cue;
use crate::media::{Subtitles, Time};

/// All segments of a file of subtitles have at most this many bytes: a small file whose cues last for the whole film must not
/// become a large output.
pub const MAX_BYTES: u64 = 1 << 30;

/// How subtitles are cut.
#[derive(Debug, PartialEq, Eq)]
pub struct TextPlan {
    /// In order, at the times of the track that decides.
    pub segments: Vec<TextSegment>,
}

impl TextPlan {
    /// When each segment starts, and, last, when the last one ends.
    pub fn times(&self) -> impl Iterator<Item = Time> {
        let end = self.segments.last().map(|last| last.start + last.duration);
        self.segments.iter().map(|segment| segment.start).chain(end)
    }
}

/// One segment.
#[derive(Debug, PartialEq, Eq)]
pub struct TextSegment {
    /// When it starts.
    pub start: Time,
    /// How long it lasts.
    pub duration: Time,
    /// Which cues are in it, in order.
    pub cues: Vec<u32>,
}

impl TextPlan {
    /// Cuts `subtitles` where `reference` is cut. What is shown before its start is in the first segment, and what is shown
    /// behind its end in the last one: every cue is in one at least.
    ///
    /// # Errors
    /// [`PlanError::TooMuchText`].
    pub fn new(subtitles: &Subtitles, reference: &[PlannedSegment]) -> Result<Self, PlanError> {
        let webvtt = &subtitles.webvtt;
        let mut upcoming = (0_u32..).zip(&webvtt.cues).peekable();
        let mut shown: Vec<(u32, &Cue)> = Vec::new();
        let mut bytes = 0_u64;
        let mut segments = Vec::with_capacity(reference.len());
        for (index, segment) in reference.iter().enumerate() {
            let end = reference.get(index + 1).map(|next| next.start);
            if index > 0 {
                shown.retain(|(_, cue)| cue.end > segment.start);
            }
            while let Some(cue) = upcoming.next_if(|(_, cue)| end.is_none_or(|end| cue.start < end)) {
                shown.push(cue);
            }
            bytes += (webvtt.signature.len() + webvtt.header.len()) as u64;
            bytes += shown.iter().map(|(_, cue)| cue.block.len() as u64).sum::<u64>();
            if bytes > MAX_BYTES {
                let path = subtitles.path.display().to_string();
                return Err(PlanError::TooMuchText { path });
            }
            segments.push(TextSegment {
                start: segment.start,
                duration: segment.duration,
                cues: shown.iter().map(|(index, _)| *index).collect(),
            });
        }
        Ok(Self { segments })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Timescale;
    use crate::media::webvtt::WebVtt;

    fn cut(cues: &str, starts_s: &[i64]) -> Result<Vec<Vec<u32>>, PlanError> {
        let webvtt = WebVtt::parse(format!("WEBVTT\n\n{cues}").as_bytes());
        let subtitles = Subtitles {
            path: "subs.vtt".into(),
            language: None,
            webvtt: webvtt.unwrap_or_else(|error| unreachable!("{error}")),
        };
        let reference: Vec<PlannedSegment> = starts_s
            .iter()
            .map(|start| PlannedSegment {
                start: Time::new(*start, Timescale::MIN),
                duration: Time::new(1, Timescale::MIN),
                sequence_number: 1,
                fragments: Vec::new(),
            })
            .collect();
        let plan = TextPlan::new(&subtitles, &reference)?;
        Ok(plan.segments.into_iter().map(|segment| segment.cues).collect())
    }

    #[test]
    fn a_cue_is_in_every_segment_that_it_is_shown_in_and_in_one_at_least() {
        let cues = "00:00.000 --> 00:01.000\nbefore\n\n00:09.999 --> 00:10.001\nfirst\n\n00:10.000 --> 00:14.000\nfirst two\n\n\
                    00:11.000 --> 00:12.001\nfirst two\n\n00:14.000 --> 00:15.000\nthird\n\n00:59.000 --> 01:00.000\nbehind\n";
        assert_eq!(
            cut(cues, &[10, 12, 14]),
            Ok(vec![vec![0, 1, 2, 3], vec![2, 3], vec![4, 5]])
        );
        assert_eq!(cut(cues, &[10]), Ok(vec![vec![0, 1, 2, 3, 4, 5]]));
        assert_eq!(cut("", &[0, 1]), Ok(vec![vec![], vec![]]));
    }

    #[test]
    fn a_small_file_does_not_become_a_large_output() {
        let cue = format!("00:00.000 --> 09:00.000\n{}\n", "a".repeat(1 << 20));
        let starts: Vec<i64> = (0..1200).collect();
        assert_eq!(
            cut(&cue, starts.get(..500).unwrap_or_default()).map(|plan| plan.len()),
            Ok(500)
        );
        let long = cue.replace("09:00", "30:00");
        assert!(matches!(cut(&long, &starts), Err(PlanError::TooMuchText { .. })));
    }
}

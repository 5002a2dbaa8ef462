//! What was checked, and what was found.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Serialize;

use super::check::{Opener, SegmentFacts};
use super::findings::Difference;
use super::output::{Part, Rendition};
use crate::content_key::Kid;
use crate::media::{MediaKind, Time, Timescale};

const NANOSECONDS: Timescale = Timescale::new(1_000_000_000).unwrap();

/// What was checked, and what was found. Its JSON is a promise to scripts.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether there is no difference.
    pub ok: bool,
    /// The folder.
    pub output: PathBuf,
    /// Whether samples are protected.
    pub encrypted: bool,
    /// Whether samples were compared with the source's.
    pub compared_with_source: bool,
    /// What was checked of each rendition.
    pub tracks: Vec<TrackReport>,
    /// Segments of all renditions.
    pub segments: u64,
    /// Samples of all renditions.
    pub samples: u64,
    /// Bytes of all media segments.
    pub bytes: u64,
    /// What is worth knowing and no difference.
    pub notes: Vec<String>,
    /// How many differences there are.
    pub difference_count: u64,
    /// The first of them, at most [`super::findings::MAX_DIFFERENCES`].
    pub differences: Vec<Difference>,
}

/// What was checked of one rendition.
#[derive(Debug, Serialize)]
pub struct TrackReport {
    /// Its media playlist.
    pub playlist: PathBuf,
    /// What its media is.
    pub kind: Option<MediaKind>,
    /// RFC 6381; `None` for WebVTT that is no MP4.
    pub codec: Option<String>,
    /// The ID of its first key.
    pub kid: Option<Kid>,
    /// How many keys it has.
    pub key_count: usize,
    /// Whether its samples were opened, or are clear.
    pub opened: bool,
    /// Media segments that were read.
    pub segments: u64,
    /// Samples that were read, or cues.
    pub samples: u64,
    /// Bytes of its media segments.
    pub bytes: u64,
    /// How long it is shown.
    pub duration_s: f64,
}

impl TrackReport {
    /// Of WebVTT, which is never encrypted; its cues are its samples.
    pub(super) fn of_webvtt(rendition: &Rendition, cues: u64) -> Self {
        let durations = rendition.playlist.segments.iter();
        let duration_ns = durations.fold(0_i64, |sum, segment| sum.saturating_add(segment.value.duration_ns));
        Self {
            playlist: rendition.playlist_file.clone(),
            kind: Some(MediaKind::Text),
            codec: None,
            kid: None,
            key_count: 0,
            opened: true,
            segments: rendition
                .segments
                .iter()
                .filter(|segment| segment.bytes.is_some())
                .count() as u64,
            samples: cues,
            bytes: rendition.segments.iter().filter_map(|segment| segment.bytes).sum(),
            duration_s: Time::new(duration_ns, NANOSECONDS).seconds(),
        }
    }

    pub(super) fn new(rendition: &Rendition, facts: &[Option<SegmentFacts>], openers: &[Option<Opener>]) -> Self {
        let init = rendition.init();
        let kid = |(part, opener): (&Part, &Option<Opener>)| match opener {
            Some(Opener::Segments(kid, _)) => Some(*kid),
            _ => Some(part.protection()?.kid),
        };
        let is_open = |(part, opener): (&Part, &Option<Opener>)| {
            opener.is_some() || (part.key_uri.is_none() && part.protection().is_none())
        };
        let parts = || rendition.parts.iter().zip(openers);
        let shown = facts.iter().flatten();
        let start = shown.clone().map(|facts| facts.earliest_ticks).min().unwrap_or(0);
        let end = shown.clone().map(|facts| facts.latest_end_ticks).max().unwrap_or(0);
        Self {
            playlist: rendition.playlist_file.clone(),
            kind: init.map(|init| init.kind),
            codec: init.map(|init| init.codec.rfc6381()),
            kid: parts().find_map(kid),
            key_count: parts().filter_map(kid).collect::<BTreeSet<_>>().len(),
            opened: init.is_some() && parts().all(is_open),
            segments: shown.clone().count() as u64,
            samples: shown.map(|facts| facts.samples).sum(),
            bytes: rendition.segments.iter().filter_map(|segment| segment.bytes).sum(),
            duration_s: init.map_or(0.0, |init| {
                Time::new(end.saturating_sub(start), init.timescale).seconds()
            }),
        }
    }
}

//! What a media segment is: its form, and of fragmented MP4 what its boxes say of the samples. No media data is read.

use std::io;

use super::init::Track;
use crate::isobmff::scan::{ReadAt, ScanError, TopLevel, read_at, read_box};
use crate::isobmff::tfdt::TrackFragmentDecodeTime;
use crate::isobmff::tfhd::TrackFragmentHeader;
use crate::isobmff::trun::{Fields, TrackRun};
use crate::isobmff::{BoxError, FourCc, Node, sample_flags};
use crate::media::{MediaKind, Source, stands_at_top};

/// A movie fragment's boxes are read whole, up to this size.
const MAX_MOOF_BYTES: usize = 64 << 20;

/// The head of a segment that tells its form: a WebVTT file's header with its time stamp is shorter.
const HEAD_BYTES: u64 = 1024;

/// What a segment is.
#[derive(Debug)]
pub enum Content {
    /// Fragmented MP4: what it has of each track of its init segment.
    Fragments(Vec<Run>),
    /// An MPEG transport stream.
    TransportStream,
    /// WebVTT.
    WebVtt {
        /// Whether its header has an `X-TIMESTAMP-MAP`.
        has_timestamp_map: bool,
    },
    /// Packed audio: ADTS, AC-3, E-AC-3 or MP3, behind an ID3 tag or not.
    PackedAudio,
    /// Encrypted as a whole file.
    Encrypted,
    /// Boxes, and no init segment to read them by.
    Uninitialized,
    /// None of these.
    Unknown(String),
}

/// What a segment has of a track.
#[derive(Debug, Default)]
pub struct Run {
    /// The decode time of the first sample, in ticks.
    pub first_ticks: u64,
    /// Where the last sample ends in decode time, in ticks.
    pub end_ticks: u64,
    /// The longest sample, in ticks.
    pub longest_ticks: u32,
    /// Composition time of the first sample minus its decode time, in ticks.
    pub first_composition_ticks: i32,
    /// Whether the first sample is a sync sample.
    pub begins_with_sync: bool,
    /// How many samples there are.
    pub samples: u64,
    /// Bytes of all samples.
    pub data_bytes: u64,
    /// Decode times of the sync samples of video, in ticks.
    pub sync_ticks: Vec<u64>,
    /// Where decode times inside of the segment don't follow each other: what was expected and what was found, in ticks.
    pub jump: Option<(u64, u64)>,
}

/// Reads a segment, by the tracks of its init segment.
pub fn read(source: &Source, tracks: &[Track]) -> Result<Content, ScanError> {
    let head = head(source)?;
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&head);
    if text.starts_with(b"WEBVTT") {
        let header = String::from_utf8_lossy(text);
        let has_timestamp_map = header
            .lines()
            .take_while(|line| !line.is_empty())
            .any(|line| line.starts_with("X-TIMESTAMP-MAP"));
        return Ok(Content::WebVtt { has_timestamp_map });
    }
    // A sync byte at the head of each packet (ISO/IEC 13818-1, 2.4.3.2).
    if head.first() == Some(&0x47) && head.get(188).is_none_or(|byte| *byte == 0x47) {
        return Ok(Content::TransportStream);
    }
    let is_frame = |sync: &[u8]| matches!(sync, [0xff, second, ..] if *second >= 0xe0) || sync.starts_with(b"\x0b\x77");
    if head.starts_with(b"ID3") || is_frame(&head) {
        return Ok(Content::PackedAudio);
    }
    let kind = head.get(4..8).and_then(|kind| kind.try_into().ok()).map(FourCc);
    if !kind.is_some_and(stands_at_top) {
        return Ok(Content::Unknown(
            "the segment is of no form that is known here".to_owned(),
        ));
    }
    if tracks.is_empty() {
        return Ok(Content::Uninitialized);
    }
    let mut runs: Vec<Run> = tracks.iter().map(|_| Run::default()).collect();
    for header in TopLevel::new(source) {
        let header = header?;
        if header.kind.0 == *b"moof" {
            let bytes = read_box(source, &header, MAX_MOOF_BYTES)?;
            let moof = Node::parse_one(&bytes, header.offset)?;
            for traf in moof.children_of(b"traf") {
                let header: TrackFragmentHeader = traf.require(&[b"tfhd"])?.parse()?;
                let mut known = tracks.iter().zip(&mut runs);
                if let Some((track, run)) = known.find(|(track, _)| track.id == header.track_id) {
                    run.add(traf, &header, track, source.len())?;
                }
            }
        }
    }
    Ok(Content::Fragments(runs))
}

/// Whether a range that an I-frame playlist names begins with the boxes of its fragment: the media data may be cut off behind the
/// frame.
pub fn begins_with_moof(source: &Source) -> bool {
    TopLevel::new(source)
        .map_while(Result::ok)
        .any(|header| header.kind.0 == *b"moof")
}

/// The first bytes.
fn head(source: &Source) -> Result<Vec<u8>, ScanError> {
    let bytes = source.len().min(HEAD_BYTES);
    let size = usize::try_from(bytes).map_err(|_| ScanError::Io {
        offset: 0,
        bytes,
        cause: io::ErrorKind::InvalidInput.into(),
    })?;
    let mut head = vec![0; size];
    read_at(source, &mut head, 0)?;
    Ok(head)
}

impl Run {
    fn add(
        &mut self,
        traf: &Node<'_>,
        header: &TrackFragmentHeader,
        track: &Track,
        file_bytes: u64,
    ) -> Result<(), BoxError> {
        let defaults = &track.defaults;
        let default_duration = header
            .default_sample_duration
            .unwrap_or(defaults.default_sample_duration);
        let default_flags = header.default_sample_flags.unwrap_or(defaults.default_sample_flags);
        let default_size = header.default_sample_size.unwrap_or(defaults.default_sample_size);
        let time = traf.find::<TrackFragmentDecodeTime>()?;
        let start = time.map_or(self.end_ticks, |time| time.base_media_decode_time);
        if self.samples > 0 && start != self.end_ticks && self.jump.is_none() {
            self.jump = Some((self.end_ticks, start));
        }
        let mut ticks = start;
        for trun in traf.children_of(b"trun") {
            let run: TrackRun = trun.parse()?;
            self.data_bytes = self.data_bytes.saturating_add(run.data_bytes(default_size));
            if run.is_unbacked(default_size) || self.data_bytes > file_bytes {
                return Err(trun.invalid("samples whose data is not in the file"));
            }
            for (index, stored) in run.samples.iter().enumerate() {
                let own = |field, value, default| if run.fields.has(field) { value } else { default };
                let first_flags = run.first_sample_flags.filter(|_| index == 0);
                let flags = first_flags.unwrap_or(own(Fields::FLAGS, stored.flags, default_flags));
                let duration = own(Fields::DURATION, stored.duration, default_duration);
                let is_sync = sample_flags::is_sync(flags);
                if self.samples == 0 {
                    self.first_ticks = ticks;
                    self.first_composition_ticks = stored.composition_offset;
                    self.begins_with_sync = is_sync;
                }
                if is_sync && track.kind == Some(MediaKind::Video) {
                    self.sync_ticks.push(ticks);
                }
                self.longest_ticks = self.longest_ticks.max(duration);
                self.samples += 1;
                ticks = ticks.saturating_add(u64::from(duration));
            }
        }
        self.end_ticks = ticks;
        Ok(())
    }
}

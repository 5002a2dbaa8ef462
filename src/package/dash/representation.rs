//! One quality of something, or one language (5.3.5).

use std::io;
use std::ops::Range;

use super::segment_base::SegmentBase;
use super::segment_template::SegmentTemplate;
use super::{Xml, descriptor};
use crate::codec::AudioChannels;
use crate::media::{MediaKind, Time, Track};
use crate::package::rendition::init_file;
use crate::package::{KeyedProtection, Labels, Name, Rendition, TextRendition, WrittenRendition};

/// What a representation is of.
#[derive(Clone, Copy)]
pub enum Media<'a> {
    /// A track, in MP4.
    Track(&'a Rendition<'a>),
    /// Subtitles that are files of their own.
    WebVtt(&'a TextRendition<'a>),
}

impl<'a> Media<'a> {
    pub const fn kind(self) -> MediaKind {
        match self {
            Self::Track(rendition) => rendition.track.kind,
            Self::WebVtt(_) => MediaKind::Text,
        }
    }

    pub fn track(self) -> Option<&'a Track> {
        match self {
            Self::Track(rendition) => Some(rendition.track),
            Self::WebVtt(_) => None,
        }
    }

    pub const fn labels(self) -> &'a Labels {
        match self {
            Self::Track(rendition) => &rendition.labels,
            Self::WebVtt(text) => &text.labels,
        }
    }

    pub fn language(self) -> Option<&'a str> {
        match self {
            Self::Track(rendition) => rendition.track.language.as_deref(),
            Self::WebVtt(text) => text.subtitles.language.as_deref(),
        }
    }

    const fn name(self) -> &'a Name {
        match self {
            Self::Track(rendition) => &rendition.name,
            Self::WebVtt(text) => &text.name,
        }
    }
}

/// Where segments are.
#[derive(Debug, PartialEq, Eq)]
pub enum Segments {
    /// In files of their own.
    Files(SegmentTemplate),
    /// In one file.
    Single(SegmentBase),
}

/// Segments of one rendition in one period.
pub struct Representation<'a> {
    pub media: Media<'a>,
    pub written: &'a WrittenRendition,
    /// How these segments are protected.
    pub protection: Option<KeyedProtection<'a>>,
    pub segments: Segments,
    /// When each segment begins being shown, and when the last one ends.
    pub timeline: &'a [Time],
    bandwidth_bps: u64,
}

impl<'a> Representation<'a> {
    /// That of `segments`, in a period that begins at `period_start`; `None` where nothing of them is shown.
    pub fn new(
        media: Media<'a>,
        written: &'a WrittenRendition,
        bandwidth_bps: u64,
        segments: Range<usize>,
        period_start: Time,
    ) -> Option<Self> {
        let timeline = written.timeline.get(segments.start..=segments.end)?;
        let mut protection = None;
        let mut initialization = None;
        let files = match media {
            Media::Track(rendition) => {
                let periods = rendition.periods.iter().zip(rendition.init_segments());
                let (period, init) = periods
                    .filter(|(period, _)| period.segments.start <= segments.start)
                    .last()?;
                // Groups of samples say within the segments where the key changes.
                protection = if rendition.sample_groups {
                    rendition.protection()
                } else {
                    period.protection
                };
                initialization = Some(init_file(init));
                "seg_$Number%05d$.m4s"
            }
            Media::WebVtt(_) => "seg_$Number%05d$.vtt",
        };
        let segments = match &written.single_file {
            Some(file) => Segments::Single(SegmentBase::new(
                timeline.first()?.timescale,
                period_start,
                file.clone(),
            )),
            None => Segments::Files(SegmentTemplate::new(
                segments.start,
                timeline,
                period_start,
                initialization,
                files,
            )?),
        };
        Some(Self {
            media,
            written,
            protection,
            segments,
            timeline,
            bandwidth_bps,
        })
    }

    /// Writes it, with its segments where its set does not have them.
    pub fn write(&self, xml: &mut Xml, with_segments: bool) -> io::Result<()> {
        let mut element = xml
            .create_element("Representation")
            .with_attribute(("id", &*self.media.name().uri_folder()))
            .with_attribute(("bandwidth", &*self.bandwidth_bps.to_string()));
        if let Some(track) = self.media.track() {
            element = element.with_attribute(("codecs", &*track.codec.rfc6381()));
            // Dolby Vision on a codec that plays without (SCTE 214-1): its codec and its compatibility brand.
            if let Some(codecs) = track.codec.supplemental_codecs() {
                let (codec, brand) = codecs.split_once('/').unwrap_or((&codecs, ""));
                element = element.with_attribute(("scte214:supplementalCodecs", codec));
                if !brand.is_empty() {
                    element = element.with_attribute(("scte214:supplementalProfiles", brand));
                }
            }
            match track.kind {
                MediaKind::Video => {
                    let (width, height) = track.dimensions;
                    element = element
                        .with_attribute(("width", &*width.to_string()))
                        .with_attribute(("height", &*height.to_string()));
                    if let Some(rate) = frame_rate(track) {
                        element = element.with_attribute(("frameRate", &*rate));
                    }
                }
                MediaKind::Audio => {
                    if let Some(rate) = track.codec.sample_rate_hz() {
                        element = element.with_attribute(("audioSamplingRate", &*rate.to_string()));
                    }
                }
                MediaKind::Text => {}
            }
        }
        let channels = self.media.track().and_then(|track| track.codec.channel_configuration());
        let joc = channels.as_ref().and_then(|channels| channels.joc_complexity);
        if channels.is_none() && !with_segments {
            element.write_empty()?;
            return Ok(());
        }
        element.write_inner_content(|xml| {
            if let Some(AudioChannels { scheme, value, .. }) = &channels {
                descriptor::write(xml, "AudioChannelConfiguration", scheme, value)?;
            }
            if let Some(complexity) = joc {
                let write = |xml: &mut Xml, name: &str, value: &str| {
                    let scheme = format!("tag:dolby.com,2018:dash:{name}:2018");
                    descriptor::write(xml, "SupplementalProperty", &scheme, value)
                };
                write(xml, "EC3_ExtensionType", "JOC")?;
                write(xml, "EC3_ExtensionComplexityIndex", &complexity.to_string())?;
            }
            if with_segments {
                match &self.segments {
                    Segments::Files(template) => template.write(xml)?,
                    Segments::Single(base) => base.write(xml, &self.media.name().uri_folder())?,
                }
            }
            Ok(())
        })?;
        Ok(())
    }
}

/// Pictures a second as a fraction (5.3.7.2): that of the one length that all but the last have, or else the average.
fn frame_rate(track: &Track) -> Option<String> {
    let timescale = u64::from(track.timescale.get());
    let mut samples = track.samples.all();
    let first = samples.next()?;
    let last = track.samples.get(track.samples.len().checked_sub(1)?)?;
    let is_constant = samples
        .take_while(|sample| sample.decode_ticks < last.decode_ticks)
        .all(|sample| sample.duration_ticks == first.duration_ticks);
    let (pictures, ticks) = if is_constant {
        (1, u64::from(first.duration_ticks))
    } else {
        let ticks = track.samples.end_ticks().saturating_sub(first.decode_ticks);
        (u64::from(track.samples.len()), ticks)
    };
    let pictures = pictures.checked_mul(timescale)?;
    let divisor = greatest_common_divisor(pictures, ticks);
    match (pictures.checked_div(divisor)?, ticks.checked_div(divisor)?) {
        (_, 0) => None,
        (rate, 1) => Some(rate.to_string()),
        (pictures, seconds) => Some(format!("{pictures}/{seconds}")),
    }
}

const fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

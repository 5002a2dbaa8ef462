//! Video (authoring specification, 1).

use super::super::codecs::Named;
use super::super::presentation::{Media, Presentation, Variant};
use super::super::report::Outcome;
use super::super::segment::Content;
use crate::media::{MediaKind, Time};
use crate::verify::hls::{BANDWIDTH_TOLERANCE_PERCENT, Measured, NANOSECONDS_PER_SECOND, seconds};

/// Keyframes are this far apart at most (1.13), in seconds.
const KEYFRAME_INTERVAL_S: i64 = 2;

/// Level 5.2 and 4.1 of H.264, times ten.
const H264_MAX_LEVEL: u8 = 52;
const H264_COMPATIBLE_LEVEL: u8 = 41;

/// Level 5.1 and 4.0 of HEVC, times thirty.
const HEVC_MAX_LEVEL: u8 = 153;
const HEVC_COMPATIBLE_LEVEL: u8 = 120;

/// `seq_level_idx` of level 6.2 (AV1, A.3).
const AV1_MAX_LEVEL: u8 = 18;

/// High Profile of H.264; Main and Main 10 of HEVC are 1 and 2.
const H264_HIGH: u8 = 100;

/// 1.1.
pub fn codecs(presentation: &Presentation, outcome: &mut Outcome) {
    for (variant, text, codec) in videos(presentation) {
        let found = format!("the video is {text}");
        let action = "encode it as H.264, HEVC or AV1";
        outcome.expect(!matches!(codec, Named::OtherVideo), variant.at(), found, action);
    }
}

/// 1.3b.
pub fn h264_limits(presentation: &Presentation, outcome: &mut Outcome) {
    for (variant, text, codec) in videos(presentation) {
        if let Named::H264 { profile, level } = codec {
            let holds = matches!(profile, 66 | 77 | 88 | H264_HIGH) && level <= H264_MAX_LEVEL;
            let found = format!("{text} is profile {profile}, level {}", tenths(level));
            outcome.expect(
                holds,
                variant.at(),
                found,
                "encode it as High Profile, Level 5.2 or lower",
            );
        }
    }
}

/// 1.3a.
pub fn some_h264_is_low(presentation: &Presentation, outcome: &mut Outcome) {
    let is_low = |codec| match codec {
        Named::H264 { profile, level } => Some(profile <= H264_HIGH && level <= H264_COMPATIBLE_LEVEL),
        _ => None,
    };
    let action = "add an H.264 variant of High Profile, Level 4.1 or lower";
    some(presentation, outcome, is_low, "all H.264 is above Level 4.1", action);
}

/// 1.4.
pub fn h264_high(presentation: &Presentation, outcome: &mut Outcome) {
    for (variant, text, codec) in videos(presentation) {
        if let Named::H264 { profile, .. } = codec {
            let found = format!("{text} is profile {profile}");
            outcome.expect(profile >= H264_HIGH, variant.at(), found, "encode it as High Profile");
        }
    }
}

/// 1.5.
pub fn hevc_container(presentation: &Presentation, outcome: &mut Outcome) {
    let is_hevc = |codec| matches!(codec, Named::Hevc { .. } | Named::DolbyVision { .. });
    in_fragmented_mp4(presentation, outcome, is_hevc);
}

/// 1.39.
pub fn av1_container(presentation: &Presentation, outcome: &mut Outcome) {
    in_fragmented_mp4(presentation, outcome, |codec| matches!(codec, Named::Av1 { .. }));
}

/// 1.6b.
pub fn hevc_limits(presentation: &Presentation, outcome: &mut Outcome) {
    for (variant, text, codec) in videos(presentation) {
        if let Named::Hevc { profile, level, .. } = codec {
            let holds = matches!(profile, 1 | 2) && level <= HEVC_MAX_LEVEL;
            let found = format!("{text} is profile {profile}, level {}", tenths(level / 3));
            outcome.expect(holds, variant.at(), found, "encode it as Main 10, Level 5.1 or lower");
        }
    }
}

/// 1.6a.
pub fn some_hevc_is_low(presentation: &Presentation, outcome: &mut Outcome) {
    let is_low = |codec| match codec {
        Named::Hevc {
            profile,
            is_high_tier,
            level,
        } => Some(profile <= 2 && !is_high_tier && level <= HEVC_COMPATIBLE_LEVEL),
        _ => None,
    };
    let action = "add an HEVC variant of Main 10, Level 4.0, Main tier or lower";
    let found = "all HEVC is above Level 4.0, or of the High tier";
    some(presentation, outcome, is_low, found, action);
}

/// 1.9.
pub fn dolby_vision_limits(presentation: &Presentation, outcome: &mut Outcome) {
    for (variant, text, codec) in videos(presentation) {
        if let Named::DolbyVision { profile, level } = codec {
            let found = format!("{text} is profile {profile}, level {level}");
            let action = "encode it as Profile 5, Level 7 or lower; iOS and visionOS know more";
            outcome.expect(profile == 5 && level <= 7, variant.at(), found, action);
        }
    }
}

/// 1.37.
pub fn av1_limits(presentation: &Presentation, outcome: &mut Outcome) {
    for (variant, text, codec) in videos(presentation) {
        if let Named::Av1 { level } = codec {
            let found = format!("{text} has the level index {level}");
            outcome.expect(
                level <= AV1_MAX_LEVEL,
                variant.at(),
                found,
                "encode it as Level 6.2 or lower",
            );
        }
    }
}

/// 1.10.
pub fn parameter_sets(presentation: &Presentation, outcome: &mut Outcome) {
    for (variant, text, _) in videos(presentation) {
        let format = text.split('.').next().unwrap_or_default();
        let better = match format {
            "avc3" => "avc1",
            "hev1" => "hvc1",
            "dvhe" => "dvh1",
            _ => format,
        };
        let action = format!("write it as {better}, with the parameter sets in the sample description");
        outcome.expect(better == format, variant.at(), format!("the video is {text}"), action);
    }
}

/// 1.12.
pub fn some_h264(presentation: &Presentation, outcome: &mut Outcome) {
    let is_h264 = |codec| Some(matches!(codec, Named::H264 { .. }));
    let action = "add a variant of H.264 for older devices";
    some(presentation, outcome, is_h264, "no variant is H.264", action);
}

/// 1.13.
pub fn keyframe_interval(presentation: &Presentation, outcome: &mut Outcome) {
    for media in presentation.continuous() {
        let mut before: Option<Time> = None;
        for (segment, run) in media.runs(MediaKind::Video) {
            let Some((track, run)) = run else {
                before = None;
                continue;
            };
            let time = |ticks: u64| Time::new(i64::try_from(ticks).unwrap_or(i64::MAX), track.timescale);
            // A frame more is the rounding of frame rates like 29.97.
            let most = KEYFRAME_INTERVAL_S * NANOSECONDS_PER_SECOND + time(run.longest_ticks.into()).nanoseconds();
            let since = |at: Time, before: Option<Time>| {
                before.map_or(0, |before| at.nanoseconds().saturating_sub(before.nanoseconds()))
            };
            let mut longest = 0;
            for at in run.sync_ticks.iter().map(|ticks| time(*ticks)) {
                longest = longest.max(since(at, before.filter(|_| !segment.is_discontinuous)));
                before = Some(at);
            }
            longest = longest.max(since(time(run.end_ticks), before));
            let found = format!("{} s without a keyframe", seconds(longest));
            let action = "encode with a keyframe every two seconds";
            outcome.expect(longest <= most, media.at(Some(segment.line)), found, action);
        }
    }
}

/// 1.19.
pub fn frame_rates(presentation: &Presentation, outcome: &mut Outcome) {
    for variant in presentation.variants() {
        if let Some(rate) = variant.get("FRAME-RATE") {
            let holds = rate.parse::<f64>().is_ok_and(|rate| rate <= 60.0);
            let found = format!("FRAME-RATE is {rate}");
            outcome.expect(holds, variant.at(), found, "encode at most 60 frames a second");
        }
    }
}

/// 1.24.
pub fn standard_range(presentation: &Presentation, outcome: &mut Outcome) {
    let variants = presentation.variants();
    let videos: Vec<&Variant<'_>> = variants.iter().filter(|variant| variant.is_video()).collect();
    if let Some(first) = videos.first() {
        let holds = videos.iter().any(|variant| range(variant) == "SDR");
        let action = "add variants of standard dynamic range for older devices";
        outcome.expect(holds, first.at(), "all video is of high dynamic range", action);
    }
}

/// The dynamic range of a variant, as it says or as its boxes do.
pub fn range(variant: &Variant<'_>) -> String {
    let says = variant.get("VIDEO-RANGE").map(str::to_owned);
    says.or_else(|| Some(variant.media?.range()?.to_owned()))
        .unwrap_or_else(|| "SDR".to_owned())
}

/// 1.26.
pub fn average_bandwidth(presentation: &Presentation, outcome: &mut Outcome) {
    bandwidth(presentation, outcome, "AVERAGE-BANDWIDTH", |measured| {
        measured.average_bps
    });
}

/// 1.27.
pub fn peak_bandwidth(presentation: &Presentation, outcome: &mut Outcome) {
    bandwidth(presentation, outcome, "BANDWIDTH", |measured| measured.peak_bps);
}

fn bandwidth(presentation: &Presentation, outcome: &mut Outcome, name: &str, rate: fn(&Measured) -> u64) {
    for variant in presentation.variants() {
        let Some((_, tag)) = variant.tag else { continue };
        let Some(declared) = tag.number::<u64>(name) else {
            continue;
        };
        let Some(measured) = measured(presentation, &variant, rate) else {
            outcome.skip(format!(
                "line {}: a segment or its duration is missing, or it is live",
                tag.line
            ));
            continue;
        };
        let apart = declared.abs_diff(measured).saturating_mul(100);
        let holds = apart <= measured.saturating_mul(BANDWIDTH_TOLERANCE_PERCENT);
        let found = format!("{name} is {declared}, measured {measured}");
        outcome.expect(holds, variant.at(), found, format!("write {name}={measured}"));
    }
}

/// 1.30.
pub fn peak_to_average(presentation: &Presentation, outcome: &mut Outcome) {
    for variant in presentation.variants() {
        let Some(Measured { peak_bps, average_bps }) = variant.media.and_then(measure) else {
            continue;
        };
        let found = format!("the peak is {peak_bps} bits a second, the average {average_bps}");
        let action = "encode with a lower peak, or a smaller buffer";
        outcome.expect(peak_bps <= average_bps.saturating_mul(2), variant.at(), found, action);
    }
}

/// 1.33.
pub fn aspect_ratios(presentation: &Presentation, outcome: &mut Outcome) {
    let mut first = None;
    for variant in presentation.variants() {
        let Some((width, height)) = variant.tag.and_then(|(_, tag)| tag.resolution()) else {
            continue;
        };
        let (of_first, other) = *first.get_or_insert((width, height));
        // Even numbers of pixels round the ratio: two pixels of either side.
        let apart = width.saturating_mul(other).abs_diff(of_first.saturating_mul(height));
        let holds = apart <= 2 * width.max(height).max(of_first).max(other);
        let found = format!("RESOLUTION is {width}x{height}, of the first variant {of_first}x{other}");
        outcome.expect(holds, variant.at(), found, "encode all variants with one aspect ratio");
    }
}

/// What a variant takes at most: its own rate, and the largest of each group's.
fn measured(presentation: &Presentation, variant: &Variant<'_>, rate: fn(&Measured) -> u64) -> Option<u64> {
    let own = variant.media?;
    // Sound that is a variant by itself is one of its own group, and counts there.
    let mut is_of_group = false;
    let mut sum = 0_u64;
    for kind in ["AUDIO", "SUBTITLES"] {
        let Some(group) = variant.get(kind) else { continue };
        let mut largest = 0;
        for rendition in presentation.group(kind, group).filter(|tag| tag.get("URI").is_some()) {
            let media = presentation.named_by(rendition)?;
            is_of_group |= std::ptr::eq(media, own);
            largest = largest.max(rate(&measure(media)?));
        }
        sum = sum.saturating_add(largest);
    }
    let own = if is_of_group { 0 } else { rate(&measure(own)?) };
    Some(sum.saturating_add(own))
}

fn measure(media: &Media) -> Option<Measured> {
    let segments = media
        .segments
        .iter()
        .map(|segment| Some((segment.file.as_ref().ok()?.bytes, segment.duration_ns?)));
    let segments = segments.collect::<Option<Vec<_>>>().filter(|_| media.is_vod())?;
    Measured::of_segments(&segments, media.playlist.integer("EXT-X-TARGETDURATION")?)
}

/// All codecs of video that variants have.
fn videos(presentation: &Presentation) -> Vec<(Variant<'_>, String, Named)> {
    let named = |variant: Variant<'_>| -> Vec<(String, Named)> {
        let codecs = variant.codecs().into_iter().map(|text| {
            let codec = Named::of(&text);
            (text, codec)
        });
        codecs.filter(|(_, codec)| codec.is_video()).collect()
    };
    let variants = presentation.variants().into_iter();
    variants
        .flat_map(|variant| {
            named(variant)
                .into_iter()
                .map(move |(text, codec)| (variant, text, codec))
        })
        .collect()
}

/// One of the variants that `is_it` speaks of has to be it.
fn some(
    presentation: &Presentation,
    outcome: &mut Outcome,
    is_it: impl Fn(Named) -> Option<bool>,
    found: &str,
    action: &str,
) {
    let videos = videos(presentation);
    let mut spoken_of = videos
        .iter()
        .filter_map(|(variant, _, codec)| Some((variant, is_it(*codec)?)));
    if let Some((first, holds)) = spoken_of.next() {
        let holds = holds || spoken_of.any(|(_, holds)| holds);
        outcome.expect(holds, first.at(), found, action);
    }
}

/// Segments of the codecs that `is_it` names are fragmented MP4.
fn in_fragmented_mp4(presentation: &Presentation, outcome: &mut Outcome, is_it: impl Fn(Named) -> bool) {
    for (variant, text, codec) in videos(presentation) {
        let Some(media) = variant.media.filter(|_| is_it(codec)) else {
            continue;
        };
        super::fragmented_mp4(media, &text, outcome);
    }
}

impl Media {
    /// The dynamic range of its first track of video.
    pub fn range(&self) -> Option<&'static str> {
        let mut tracks = self.tracks().filter(|track| track.kind == Some(MediaKind::Video));
        Some(tracks.next()?.entries.first()?.range.name())
    }

    /// Whether a segment is an MPEG transport stream or packed audio.
    pub fn first_unfragmented(&self) -> Option<usize> {
        let is_other = |content: &Content| matches!(content, Content::TransportStream | Content::PackedAudio);
        let mut segments = self.segments.iter();
        Some(segments.find(|segment| segment.content().is_some_and(is_other))?.line)
    }
}

/// A level as it is written.
fn tenths(level: u8) -> String {
    format!("{}.{}", level / 10, level % 10)
}

//! The rules, one list of them: a new rule is a function and a line here.

mod audio;
mod media_playlists;
mod multivariant;
mod protection;
mod segmentation;
mod subtitles;
mod syntax;
mod trick_play;
mod video;

use serde::Serialize;

use super::presentation::{Media, Presentation};
use super::report::Outcome;

/// How strong a rule is (RFC 2119).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// MUST, MUST NOT, SHALL NOT.
    Must,
    /// SHOULD, SHOULD NOT; and what an amendment for one platform asks for.
    Should,
}

/// A rule.
pub struct Rule {
    /// Its number in the specification, or `RFC 8216bis` and a section.
    pub id: &'static str,
    /// How strong it is.
    pub level: Level,
    /// What it asks for, in short.
    pub statement: &'static str,
    /// Looks at everything that it speaks of.
    pub check: Check,
}

type Check = fn(&Presentation, &mut Outcome);

const fn must(id: &'static str, statement: &'static str, check: Check) -> Rule {
    Rule {
        id,
        level: Level::Must,
        statement,
        check,
    }
}

const fn should(id: &'static str, statement: &'static str, check: Check) -> Rule {
    Rule {
        id,
        level: Level::Should,
        statement,
        check,
    }
}

/// All rules.
#[rustfmt::skip]
pub const RULES: &[Rule] = &[
    must("1.1", "Video is H.264, HEVC, Dolby Vision or AV1", video::codecs),
    should("1.3a", "Some H.264 is at most High Profile, Level 4.1", video::some_h264_is_low),
    must("1.3b", "H.264 is at most High Profile, Level 5.2", video::h264_limits),
    should("1.4", "H.264 is High Profile rather than Main or Baseline", video::h264_high),
    must("1.5", "HEVC comes in fragmented MP4", video::hevc_container),
    should("1.6a", "Some HEVC is at most Main 10, Level 4.0, Main tier", video::some_hevc_is_low),
    must("1.6b", "HEVC is at most Main 10, Level 5.1", video::hevc_limits),
    must("1.9", "Dolby Vision is Profile 5, at most Level 7", video::dolby_vision_limits),
    should("1.10", "Parameter sets stand in sample descriptions: avc1, hvc1, dvh1", video::parameter_sets),
    should("1.12", "Some video is H.264", video::some_h264),
    should("1.13", "There is a keyframe every two seconds", video::keyframe_interval),
    must("1.19", "Frame rates are at most 60 a second", video::frame_rates),
    must("1.24", "There is video of standard dynamic range", video::standard_range),
    must("1.26", "AVERAGE-BANDWIDTH is within 10 % of what is measured", video::average_bandwidth),
    must("1.27", "BANDWIDTH is within 10 % of the largest peak that is measured", video::peak_bandwidth),
    should("1.30", "The peak bit rate is at most twice the average", video::peak_to_average),
    should("1.33", "All video has the same aspect ratio", video::aspect_ratios),
    must("1.37", "AV1 is at most Level 6.2", video::av1_limits),
    must("1.39", "AV1 comes in fragmented MP4", video::av1_container),
    should("2.2, 2.5", "Audio is of a codec that Apple's players know", audio::codecs),
    must("2.3", "There is stereo AAC or HE-AAC", audio::stereo_aac),
    must("2.13", "Audio descriptions have AUTOSELECT=YES", audio::descriptions),
    must("2.17", "A segment has one audio stream at most", audio::one_stream),
    must("2.25", "xHE-AAC, Apple Lossless and FLAC come in fragmented MP4", audio::container),
    should("2.26", "Multichannel audio that is not Dolby's comes as AAC too", audio::multichannel_aac),
    should("4.1", "There are captions or subtitles", subtitles::captions),
    must("4.6", "Subtitles for the deaf have AUTOSELECT=YES", subtitles::for_the_deaf),
    must("5.2", "Subtitles are WebVTT, or IMSC1 in fragmented MP4", subtitles::formats),
    must("5.3", "Segments of WebVTT have an X-TIMESTAMP-MAP", subtitles::timestamp_maps),
    must("5.5", "Subtitles last as long as the film", subtitles::whole_length),
    should("5.10", "CODECS names the kind of subtitles", subtitles::in_codecs),
    should("5.11", "Forced subtitles have AUTOSELECT=YES", subtitles::forced),
    must("6.1", "There are I-frame playlists", trick_play::are_there),
    must("6.8", "I-frame playlists have EXT-X-I-FRAMES-ONLY", trick_play::are_marked),
    must("6.10", "I-frames of fragmented MP4 begin with their moof", trick_play::have_moof),
    must("6.16", "There are I-frames of standard dynamic range", trick_play::standard_range),
    must("7.3", "Decode times go on from segment to segment", segmentation::decode_times),
    must("7.4", "Segments of video start with an IDR frame", segmentation::begin_with_sync),
    should("7.5", "Target durations are 6 seconds", segmentation::target_duration),
    should("7.6", "Segments last about 6 seconds", segmentation::nominal_duration),
    must("7.7", "No segment is over half a second longer than the target duration", segmentation::longest),
    must("8.1", "EXTINF says within a video frame how long segments are", media_playlists::durations),
    must("8.2", "Audio and video have the same target duration", media_playlists::same_target),
    must("8.3", "Audio and video have the same duration", media_playlists::same_duration),
    must("8.4", "Live playlists have EXT-X-PROGRAM-DATE-TIME", media_playlists::live_date),
    must("8.6", "Playlists of static content have EXT-X-PLAYLIST-TYPE:VOD", media_playlists::playlist_type),
    must("8.10", "EXT-X-MEDIA has LANGUAGE", media_playlists::language),
    must("8.11", "Live playlists have at least six segments", media_playlists::live_length),
    must("8.15", "Discontinuities are at the same times everywhere", media_playlists::discontinuities),
    must("8.20", "Fragmented MP4 has EXT-X-MAP", media_playlists::maps),
    should("8.22", "Segments of audio and video end at the same times", media_playlists::boundaries),
    must("9.1", "EXT-X-STREAM-INF has CODECS", multivariant::codecs),
    must("9.2", "EXT-X-STREAM-INF of video has RESOLUTION", multivariant::resolution),
    must("9.3", "EXT-X-I-FRAME-STREAM-INF has CODECS", multivariant::iframe_codecs),
    must("9.4", "EXT-X-I-FRAME-STREAM-INF has RESOLUTION", multivariant::iframe_resolution),
    should("9.5", "Video and audio are separate streams", multivariant::separate),
    must("9.6", "Multichannel audio is a stream of its own", multivariant::multichannel_separate),
    must("9.9", "There are several bit rates of video", multivariant::several_rates),
    should("9.11", "EXT-X-INDEPENDENT-SEGMENTS stands in the multivariant playlist", multivariant::independent),
    must("9.12", "EXT-X-INDEPENDENT-SEGMENTS stands there, or in all playlists of video", multivariant::independent_media),
    must("9.14", "EXT-X-STREAM-INF has AVERAGE-BANDWIDTH", multivariant::average_bandwidth),
    must("9.15", "EXT-X-STREAM-INF of video has FRAME-RATE", multivariant::frame_rate),
    must("9.16", "EXT-X-STREAM-INF has VIDEO-RANGE unless all video is SDR", multivariant::video_range),
    must("9.19", "SCORE is on all variants or none", multivariant::score),
    should("9.20 (tvOS)", "No variant of a film has audio alone", multivariant::audio_only),
    must("13.2", "FairPlay Streaming comes with METHOD=SAMPLE-AES", protection::fairplay_method),
    must("13.3", "Keys of skd: URIs have FairPlay's KEYFORMAT", protection::fairplay_format),
    should("13.4", "Keys of FairPlay Streaming have no IV", protection::fairplay_iv),
    must("13.7", "Video under Common Encryption has the pattern 1:9", protection::pattern),
    should("13.10", "Of clear and encrypted sample descriptions, the first is encrypted", protection::mixed),
    must("13.11", "METHOD is not SAMPLE-AES-CTR", protection::no_ctr),
    must("RFC 8216bis 4.2", "Attributes can be read", syntax::attributes),
    must("RFC 8216bis 4.4.3.1", "EXT-X-TARGETDURATION is there, and no EXTINF rounds to more", syntax::target_duration),
    should("RFC 8216bis 4.4.3.4", "A playlist of type VOD ends with EXT-X-ENDLIST", syntax::end),
    should("RFC 8216bis 4.4.3.6", "I-frame playlists name every keyframe", trick_play::are_complete),
    must("RFC 8216bis 4.4.4", "Playlists and segments that are named are there", syntax::files),
    must("RFC 8216bis 4.4.4.1", "Each segment has an EXTINF", syntax::extinf),
    must("RFC 8216bis 4.4.4.4", "EXT-X-KEY says how segments are encrypted", protection::keys_match),
    must("RFC 8216bis 4.4.6.1", "EXT-X-MEDIA has its attributes, and they agree", syntax::media),
    must("RFC 8216bis 4.4.6.1.1", "In a group, NAME is unique and one rendition is DEFAULT at most", syntax::groups),
    must("RFC 8216bis 4.4.6.1.1 (several)", "All groups of a type have the same renditions, so every language", syntax::same_members),
    must("RFC 8216bis 4.4.6.2", "EXT-X-STREAM-INF has BANDWIDTH, and its groups are there", syntax::variants),
    must("RFC 8216bis 4.4.6.2 (CODECS)", "CODECS names what is in the segments", multivariant::codecs_match),
    must("RFC 8216bis 8", "EXT-X-VERSION is as high as what the playlist has", syntax::version),
    should("RFC 8216bis 8 (lowest)", "EXT-X-VERSION is no higher than that", syntax::lowest_version),
];

/// Segments of `codec` are fragmented MP4.
fn fragmented_mp4(media: &Media, codec: &str, outcome: &mut Outcome) {
    let other = media.first_unfragmented();
    let found = format!("{codec} in a segment that is no fragmented MP4");
    outcome.expect(other.is_none(), media.at(other), found, "package it as fragmented MP4");
}

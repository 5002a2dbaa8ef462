//! What people and players are told of a rendition, besides what its media says.

use std::fmt;
use std::str::FromStr;

use crate::codec::Captions;

/// Attributes of `EXT-X-MEDIA` (RFC 8216bis, 4.4.6.1), and of `EXT-X-STREAM-INF` (4.4.6.2) for video, that somebody chose.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Labels {
    /// `GROUP-ID`; else see [`super::hls::audio_groups`].
    pub group: Option<String>,
    /// `NAME`.
    pub name: Option<String>,
    /// `DEFAULT`; else the first audio rendition of a group is its default one.
    pub is_default: Option<bool>,
    /// `AUTOSELECT`; else YES.
    pub is_autoselected: Option<bool>,
    /// `FORCED`, of subtitles alone.
    pub is_forced: bool,
    /// `CHARACTERISTICS`, in order.
    pub characteristics: Vec<String>,
    /// `HDCP-LEVEL`, of video alone.
    pub hdcp_level: Option<HdcpLevel>,
    /// `SCORE`, of video alone: all have one, or none.
    pub score: Option<Score>,
}

/// What is said of captions inside of video, of which media says no more than that they are there.
#[derive(Debug, Clone, PartialEq)]
pub struct CaptionsLabels {
    /// `INSTREAM-ID` (RFC 8216bis, 4.4.6.1), such as `CC1` or `SERVICE1`.
    pub instream_id: String,
    /// `LANGUAGE` (BCP 47).
    pub language: Option<String>,
    /// `NAME`, `DEFAULT`, `AUTOSELECT` and `CHARACTERISTICS`.
    pub labels: Labels,
}

impl CaptionsLabels {
    /// What is said of each of `captions`: what was chosen, or nothing.
    #[must_use]
    pub fn of(captions: Captions, chosen: &[Self]) -> Vec<Self> {
        let said = |instream_id: String| {
            let chosen = chosen.iter().find(|of| of.instream_id == instream_id).cloned();
            chosen.unwrap_or_else(|| Self {
                instream_id,
                language: None,
                labels: Labels::default(),
            })
        };
        captions.instream_ids().map(said).collect()
    }
}

/// What copy protection an output to a screen must have for a variant to be played (RFC 8216bis, 4.4.6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HdcpLevel {
    /// None: outputs may be unprotected.
    None,
    /// HDCP.
    Type0,
    /// HDCP of Type 1, which screens for UHD have.
    Type1,
}

impl FromStr for HdcpLevel {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "NONE" => Ok(Self::None),
            "TYPE-0" => Ok(Self::Type0),
            "TYPE-1" => Ok(Self::Type1),
            _ => Err("expected TYPE-0, TYPE-1 or NONE"),
        }
    }
}

impl fmt::Display for HdcpLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "NONE",
            Self::Type0 => "TYPE-0",
            Self::Type1 => "TYPE-1",
        })
    }
}

/// How much a variant is preferred, a positive number: players choose the highest that they can play (RFC 8216bis, 4.4.6.2).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score(f64);

impl FromStr for Score {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let score = text
            .parse()
            .ok()
            .filter(|score: &f64| score.is_finite() && *score > 0.0);
        score.map(Self).ok_or("expected a number above 0, such as 2 or 1.5")
    }
}

/// A decimal number, never with an exponent (RFC 8216bis, 4.2).
impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

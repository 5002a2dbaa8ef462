//! What people and players are told of a rendition, besides what its media says.

/// Attributes of `EXT-X-MEDIA` (RFC 8216bis, 4.4.6.1) that somebody chose.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
}

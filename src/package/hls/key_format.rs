//! What `EXT-X-KEY` and `EXT-X-SESSION-KEY` say of keys (RFC 8216bis, 4.4.4.4 and 4.4.6.5), and the sets of playlists that say
//! it in different ways.

use std::fmt::Write;

use crate::content_key::Iv;
use crate::package::KeyedProtection;
use crate::protect::{SampleScheme, TrackProtection};

/// The key is handed out as it is.
pub const IDENTITY: &str = "identity";

/// W3C Clear Key: a licence with the key in it (Encrypted Media Extensions, 9.1).
pub const CLEAR_KEY: &str = "org.w3.clearkey";

/// FairPlay Streaming: a licence of Apple's, with the key and the IV in it.
pub const FAIRPLAY: &str = "com.apple.streamingkeydelivery";

/// How the playlists of [`PlaylistSet::ClearKey`] end.
pub const CLEAR_KEY_EXTENSION: &str = "clearkey.m3u8";

/// In what form players get a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFormat {
    /// `KEYFORMAT`.
    pub name: String,
    /// `KEYFORMATVERSIONS`; without it, version 1.
    pub versions: Option<String>,
}

impl Default for KeyFormat {
    fn default() -> Self {
        Self {
            name: IDENTITY.to_owned(),
            versions: None,
        }
    }
}

impl KeyFormat {
    /// The attributes that `EXT-X-KEY` and `EXT-X-SESSION-KEY` share, where samples are protected by a scheme, or whole segments
    /// by none.
    ///
    /// The specification names methods for `cbcs` and `cenc` alone. The others have that of their cipher: what the samples are
    /// really protected by stands in the init segment.
    #[must_use]
    pub fn attributes(&self, scheme: Option<SampleScheme>, key_uri: &str) -> String {
        let method = match scheme {
            // What players of the first version of HLS know: KEYFORMAT is of a later one.
            None => return format!("METHOD=AES-128,URI=\"{key_uri}\""),
            Some(SampleScheme::Cbcs | SampleScheme::Cbc1) => "SAMPLE-AES",
            Some(SampleScheme::Cenc | SampleScheme::Cens) => "SAMPLE-AES-CTR",
        };
        let mut attributes = format!("METHOD={method},URI=\"{key_uri}\",KEYFORMAT=\"{}\"", self.name);
        if let Some(versions) = &self.versions {
            let _ = write!(attributes, ",KEYFORMATVERSIONS=\"{versions}\"");
        }
        attributes
    }

    /// The attributes of `EXT-X-KEY`: those, and `IV` where it says the constant one of the init segment.
    #[must_use]
    pub fn with_iv(&self, attributes: String, protection: &TrackProtection) -> String {
        with_iv(attributes, protection.ivs.constant().filter(|_| has_iv(&self.name)))
    }
}

/// Whether `EXT-X-KEY` of a format says the IV: it does, but for FairPlay Streaming, of which Apple's authoring specification
/// asks that it does not (13.4). Without it the media sequence number would be the IV under [`IDENTITY`].
#[must_use]
pub fn has_iv(key_format: &str) -> bool {
    key_format != FAIRPLAY
}

fn with_iv(attributes: String, iv: Option<Iv>) -> String {
    match iv {
        Some(iv) => format!("{attributes},IV=0x{iv}"),
        None => attributes,
    }
}

/// One of the sets of playlists over the same segments: two key formats in one playlist are not played by hls.js.
#[derive(Debug, Clone, Copy)]
pub enum PlaylistSet<'a> {
    /// The one that every output has.
    Main(&'a KeyFormat),
    /// The one of [`CLEAR_KEY`].
    ClearKey,
}

impl PlaylistSet<'_> {
    /// The name of a playlist, such as `playlist.m3u8`, in the set.
    #[must_use]
    pub fn file(self, playlist: &str) -> String {
        match (self, playlist.strip_suffix(".m3u8")) {
            (Self::ClearKey, Some(name)) => format!("{name}.{CLEAR_KEY_EXTENSION}"),
            _ => playlist.to_owned(),
        }
    }

    /// The attributes of `EXT-X-KEY` where samples are protected.
    #[must_use]
    pub fn with_iv(self, attributes: String, protection: &TrackProtection) -> String {
        match self {
            Self::Main(format) => format.with_iv(attributes, protection),
            Self::ClearKey => with_iv(attributes, protection.ivs.constant()),
        }
    }

    /// The attributes of `EXT-X-SESSION-KEY`, and those of `EXT-X-KEY` but the IV.
    #[must_use]
    pub fn key_attributes(self, keyed: KeyedProtection<'_>) -> String {
        let scheme = keyed.protection.of_samples().map(|of_samples| of_samples.scheme);
        match self {
            Self::Main(format) => format.attributes(scheme, keyed.key_uri),
            Self::ClearKey => {
                let format = KeyFormat {
                    name: CLEAR_KEY.to_owned(),
                    versions: None,
                };
                // Who asks for a licence names the key.
                let kid = keyed.protection.kid();
                format!("{},KEYID=0x{kid}", format.attributes(scheme, keyed.clearkey_uri))
            }
        }
    }
}

//! What an init segment says of its tracks, read leniently: what can't be read is `None`, and rules say so.

use std::sync::Arc;

use crate::codec::{self, Codec, VideoRange};
use crate::isobmff::frma::OriginalFormat;
use crate::isobmff::hdlr::Handler;
use crate::isobmff::mdhd::MediaHeader;
use crate::isobmff::mvhd::MovieHeader;
use crate::isobmff::schm::SchemeType;
use crate::isobmff::tenc::TrackEncryption;
use crate::isobmff::tkhd::TrackHeader;
use crate::isobmff::trex::TrackExtends;
use crate::isobmff::{BoxError, FourCc, Node};
use crate::media::edits::EditShift;
use crate::media::{MediaKind, Timescale};

/// A track.
#[derive(Debug)]
pub struct Track {
    /// Its ID.
    pub id: u32,
    /// What its media is; `None` where it is neither video, audio nor text.
    pub kind: Option<MediaKind>,
    /// Ticks a second.
    pub timescale: Timescale,
    /// What its fragments don't say.
    pub defaults: TrackExtends,
    /// Presentation time minus composition time, in ticks; `None` where its edit list is none that fragmented files can have.
    pub shift_ticks: Option<i64>,
    /// Its sample descriptions.
    pub entries: Vec<Entry>,
}

/// A sample description.
#[derive(Debug)]
pub struct Entry {
    /// Its type, without protection.
    pub format: FourCc,
    /// How it is protected, where it is.
    pub protection: Option<Protection>,
    /// Its codec, where it is one that is known here.
    pub codec: Option<Arc<dyn Codec>>,
    /// The dynamic range, as far as is known.
    pub range: VideoRange,
}

/// `sinf` of a sample description; what can't be read of it is `None`.
#[derive(Debug)]
pub struct Protection {
    /// `scheme_type`.
    pub scheme: Option<FourCc>,
    /// Encrypted and clear blocks.
    pub pattern: Option<(u8, u8)>,
}

impl Track {
    /// The tracks of an init segment.
    pub fn read_all(data: &[u8]) -> Result<Vec<Self>, BoxError> {
        let nodes = Node::parse_lenient(data, 0, &mut Vec::new());
        let Some(moov) = nodes.iter().find(|node| node.kind.0 == *b"moov") else {
            return Ok(Vec::new());
        };
        moov.children_of(b"trak").map(|trak| Self::read(moov, trak)).collect()
    }

    fn read(moov: &Node<'_>, trak: &Node<'_>) -> Result<Self, BoxError> {
        let id = trak.require(&[b"tkhd"])?.parse::<TrackHeader>()?.track_id;
        let mdia = trak.require(&[b"mdia"])?;
        let header = mdia.require(&[b"mdhd"])?;
        let zero = || header.invalid("a timescale of 0 is not allowed");
        let timescale = Timescale::new(header.parse::<MediaHeader>()?.timescale).ok_or_else(zero)?;
        let kind = match &mdia.require(&[b"hdlr"])?.parse::<Handler>()?.handler_type.0 {
            b"vide" => Some(MediaKind::Video),
            b"soun" => Some(MediaKind::Audio),
            b"text" | b"subt" => Some(MediaKind::Text),
            _ => None,
        };
        let movie = moov.require(&[b"mvhd"])?.parse::<MovieHeader>()?.timescale;
        let shift = Timescale::new(movie).and_then(|movie| EditShift::read(trak, movie, timescale).ok());
        let extends = moov
            .child(b"mvex")
            .into_iter()
            .flat_map(|mvex| mvex.children_of(b"trex"));
        let mut extends = extends.filter_map(|trex| trex.parse::<TrackExtends>().ok());
        let stsd = mdia.require(&[b"minf", b"stbl", b"stsd"])?;
        Ok(Self {
            id,
            kind,
            timescale,
            defaults: extends
                .find(|trex| trex.track_id == id)
                .ok_or_else(|| moov.invalid(format!("there is no trex of track {id}")))?,
            shift_ticks: shift.map(|shift| shift.ticks),
            entries: stsd.children().iter().map(Entry::read).collect(),
        })
    }

    /// The codec of its first sample description.
    pub fn codec(&self) -> Option<&dyn Codec> {
        self.entries.first()?.codec.as_deref()
    }
}

impl Entry {
    fn read(entry: &Node<'_>) -> Self {
        let sinf = entry.child(b"sinf");
        let original = sinf.and_then(|sinf| sinf.child(b"frma")?.parse::<OriginalFormat>().ok());
        let format = original.map_or(entry.kind, |original| original.data_format);
        let codec = codec::open(format, entry).ok();
        Self {
            format,
            protection: sinf.map(|sinf| Protection {
                scheme: sinf
                    .child(b"schm")
                    .and_then(|schm| Some(schm.parse::<SchemeType>().ok()?.scheme_type)),
                pattern: sinf
                    .descend(&[b"schi", b"tenc"])
                    .and_then(|tenc| tenc.parse::<TrackEncryption>().ok())
                    .map(|tenc| (tenc.crypt_byte_block, tenc.skip_byte_block)),
            }),
            range: codec
                .as_deref()
                .map_or(VideoRange::Sdr, |codec| VideoRange::of(entry, codec)),
            codec,
        }
    }
}

//! A track: what its boxes say of it, and its samples.

use std::borrow::Cow;
use std::sync::Arc;

use super::edits::EditShift;
use super::language;
use super::sample_table::Overflow;
use super::time::Timescale;
use super::{Cause, EncryptedInput, Sample, SampleTable, Source, Time};
use crate::codec::{self, Codec, VideoRange};
use crate::isobmff::elng::ExtendedLanguage;
use crate::isobmff::hdlr::Handler;
use crate::isobmff::mdhd::MediaHeader;
use crate::isobmff::sample_entry::VisualSampleEntry;
use crate::isobmff::scan::{ScanError, read_at};
use crate::isobmff::schm::SchemeType;
use crate::isobmff::sound_description;
use crate::isobmff::stsc::SampleToChunk;
use crate::isobmff::tenc::TrackEncryption;
use crate::isobmff::tkhd::TrackHeader;
use crate::isobmff::{Content, FourCc, Node};

/// Boxes of `trak` that don't hold for a track of fragments on its own: edits are written anew, and the tracks
/// that others refer to are elsewhere.
const OF_THE_OLD_FILE: &[&[u8; 4]] = &[b"edts", b"tref"];

/// Boxes of `stbl` that speak of single samples; a fragmented file says the same in its fragments.
const SAMPLE_TABLES: &[&[u8; 4]] = &[
    b"stts", b"ctts", b"cslg", b"stsc", b"stsz", b"stz2", b"stco", b"co64", b"stss", b"stsh", b"sdtp", b"stdp",
    b"padb", b"sbgp", b"subs", b"saiz", b"saio",
];

/// Boxes of `QuickTime` that ISO files have no place for: apertures, and the handler of the data beside that of the media.
fn is_of_quicktime(node: &Node<'_>) -> bool {
    match node.path.types() {
        [.., minf, hdlr] if minf.0 == *b"minf" && hdlr.0 == *b"hdlr" => true,
        _ => node.kind.0 == *b"tapt",
    }
}

/// What a track's media is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MediaKind {
    /// Handler `vide`.
    Video,
    /// Handler `soun`.
    Audio,
    /// Handler `text` or `subt`: subtitles.
    Text,
}

/// A track of an input: video, audio, or subtitles.
#[derive(Debug, Clone)]
pub struct Track {
    /// The file or files that hold the samples.
    pub source: Arc<Source>,
    /// The track's ID in its file.
    pub id: u32,
    /// What its media is.
    pub kind: MediaKind,
    /// Ticks a second of all its times.
    pub timescale: Timescale,
    /// A BCP 47 tag, from `elng` or else `mdhd`; `None` where it is undetermined.
    pub language: Option<String>,
    /// What the sample entry says.
    pub codec: Arc<dyn Codec>,
    /// Width and height of the coded picture in pixels; zero for audio.
    pub dimensions: (u16, u16),
    /// The dynamic range of video.
    pub video_range: VideoRange,
    /// Where its media lies in the presentation's time.
    pub shift: EditShift,
    /// The `trak` box with its sample entry, and without edits, references and sample tables.
    pub description: Node<'static>,
    /// How it is encrypted, where it is.
    pub encryption: Option<Encryption>,
    /// Its samples in decode order.
    pub samples: SampleTable,
}

/// How a track of an encrypted file is encrypted.
#[derive(Debug, Clone)]
pub struct Encryption {
    /// `cbcs`, ...
    pub scheme: FourCc,
    /// The defaults of its samples.
    pub tenc: TrackEncryption,
}

/// Why a track is no [`Track`].
pub(super) enum Skipped {
    /// It holds nothing that is known.
    Ignored {
        track_id: u32,
        what: String,
    },
    Failed(Cause),
}

impl<E: Into<Cause>> From<E> for Skipped {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Track {
    /// Reads what `trak` says, all but its samples.
    pub(super) fn open(
        source: &Arc<Source>,
        trak: &Node<'_>,
        movie: Timescale,
        encrypted: EncryptedInput,
    ) -> Result<Self, Skipped> {
        let header: TrackHeader = trak.require(&[b"tkhd"])?.parse()?;
        let handler: Handler = trak.require(&[b"mdia", b"hdlr"])?.parse()?;
        let stsd = trak.require(&[b"mdia", b"minf", b"stbl", b"stsd"])?;
        let kind = match &handler.handler_type.0 {
            b"vide" => MediaKind::Video,
            b"soun" => MediaKind::Audio,
            b"text" | b"subt"
                if stsd
                    .children()
                    .iter()
                    .any(|entry| matches!(&entry.kind.0, b"wvtt" | b"stpp" | b"enct")) =>
            {
                MediaKind::Text
            }
            other => {
                let formats = stsd.children().iter().map(|entry| entry.kind);
                // Auxiliary video (ISO/IEC 14496-12, 12.1.1), such as alpha, is nothing to be shown.
                if let Some(format) = formats
                    .clone()
                    .find(|format| codec::is_known(*format) && other != b"auxv")
                {
                    let what = format!("a track of '{format}' whose handler is '{}'", FourCc(*other));
                    return Err(trak.invalid(what).into());
                }
                let format = formats.map(|format| format.to_string()).next();
                let format = format.unwrap_or_else(|| "empty".to_owned());
                return Err(Skipped::Ignored {
                    track_id: header.track_id,
                    what: format!("{}, {format}", FourCc(*other)),
                });
            }
        };
        let mdia = trak.require(&[b"mdia"])?;
        let media: MediaHeader = mdia.require(&[b"mdhd"])?.parse()?;
        let timescale =
            Timescale::new(media.timescale).ok_or_else(|| mdia.invalid("a timescale of 0 is not allowed"))?;
        let language = match mdia.find::<ExtendedLanguage>()? {
            Some(language) => Some(language.tag),
            None => media.language_code().and_then(|code| language::tag(&code)),
        };

        let entry = &*sound_description::to_iso(used_sample_entry(trak, stsd)?)?;
        let encryption = read_encryption(entry)?;
        let (format, codec) = match &encryption {
            Some(encryption) if encrypted == EncryptedInput::Refuse => {
                let what = format!(
                    "track {} is already encrypted ('{}', key ID {}); give the clear file",
                    header.track_id, encryption.scheme, encryption.tenc.kid
                );
                return Err(entry.unsupported(what).into());
            }
            Some(_) => {
                let original = entry.require(&[b"sinf", b"frma"])?;
                let format = original.parse::<crate::isobmff::frma::OriginalFormat>()?.data_format;
                (format, codec::open(format, entry))
            }
            None => (entry.kind, codec::open(entry.kind, entry)),
        };
        let codec = codec.map_err(|error| match error {
            codec::OpenError::Box(error) => Cause::from(error),
            codec::OpenError::Codec(cause) => Cause::Codec {
                path: entry.path,
                offset: entry.offset,
                cause,
            },
            codec::OpenError::Unknown => entry
                .unsupported(match codec::other(format) {
                    Some((name, reason)) => format!("codec {name} ('{format}') is not supported yet: {reason}"),
                    None => format!("codec '{format}' is not supported yet"),
                })
                .into(),
        })?;
        if codec.is_text() != (kind == MediaKind::Text) {
            let what = format!("a track of '{format}' whose handler is '{}'", handler.handler_type);
            return Err(trak.invalid(what).into());
        }
        let dimensions = match kind {
            MediaKind::Video => {
                let fields = entry.read(VisualSampleEntry::parse)?;
                (fields.width, fields.height)
            }
            MediaKind::Audio | MediaKind::Text => (0, 0),
        };
        let video_range = VideoRange::of(entry, &*codec);
        Ok(Self {
            source: Arc::clone(source),
            id: header.track_id,
            kind,
            timescale,
            language,
            codec,
            dimensions,
            shift: EditShift::read(trak, movie, timescale)?,
            description: describe(trak, entry),
            encryption,
            video_range,
            samples: SampleTable::default(),
        })
    }

    /// Says that the track's language is that of a BCP 47 tag: in `elng`, and as near as can be in `mdhd`.
    pub fn set_language(&mut self, tag: &str) {
        self.language = Some(tag.to_owned());
        let Some(boxes) = self.description.descend_mut(&[b"mdia"]).and_then(Node::children_mut) else {
            return;
        };
        boxes.retain(|node| node.kind.0 != *b"elng");
        let Some(at) = boxes.iter().position(|node| node.kind.0 == *b"mdhd") else {
            return;
        };
        if let Some(mdhd) = boxes.get_mut(at)
            && let Ok(mut header) = mdhd.parse::<MediaHeader>()
        {
            header.set_language_code(language::code(tag));
            *mdhd = Node::of(&header);
        }
        boxes.insert(at + 1, Node::of(&ExtendedLanguage { tag: tag.to_owned() }));
    }

    /// Cuts samples at `times`, the first part of each before and the other behind it, with the bytes of the whole in both: text
    /// that is shown across a cut is in both segments (ISO/IEC 14496-30, 4.4).
    ///
    /// # Errors
    /// [`Overflow`], where there would be more samples than a table may hold.
    pub fn cut_samples(&mut self, times: &[Time]) -> Result<(), Overflow> {
        let mut cuts = times
            .iter()
            .map(|time| time.rescale(self.timescale).ticks.saturating_sub(self.shift.ticks));
        let mut cut = cuts.next();
        let mut table = SampleTable::default();
        for mut sample in self.samples.all() {
            let end = sample.decode_ticks.saturating_add(sample.duration_ticks.into());
            while let Some(at) = cut.and_then(|cut| u64::try_from(cut).ok()).filter(|at| *at < end) {
                if at > sample.decode_ticks {
                    let duration_ticks = u32::try_from(at - sample.decode_ticks).unwrap_or(u32::MAX);
                    table.push(Sample {
                        duration_ticks,
                        ..sample
                    })?;
                    sample.duration_ticks -= duration_ticks;
                    sample.decode_ticks = at;
                }
                cut = cuts.next();
            }
            table.push(sample)?;
        }
        self.samples = table;
        Ok(())
    }

    /// When a sample is shown.
    #[must_use]
    pub fn presentation_time(&self, sample: &Sample) -> Time {
        Time::new(
            sample.composition_ticks().saturating_add(self.shift.ticks),
            self.timescale,
        )
    }

    /// When a sample ends being shown.
    #[must_use]
    pub fn presentation_end(&self, sample: &Sample) -> Time {
        let start = self.presentation_time(sample);
        Time::new(
            start.ticks.saturating_add(i64::from(sample.duration_ticks)),
            self.timescale,
        )
    }

    /// Fills `data` with the samples' bytes, one behind the other, reading what lies together at once.
    ///
    /// # Errors
    /// [`ScanError::Io`].
    ///
    /// # Panics
    /// Where `data` is not exactly as long as the samples together.
    pub fn read_samples(&self, samples: &[Sample], data: &mut [u8]) -> Result<(), ScanError> {
        let mut rest = data;
        for group in samples.chunk_by(|a, b| a.end() == b.offset) {
            let Some(first) = group.first() else { continue };
            let bytes = group.iter().map(|sample| sample.size as usize).sum();
            let (now, later) = rest.split_at_mut(bytes);
            read_at(&*self.source, now, first.offset)?;
            rest = later;
        }
        assert!(rest.is_empty(), "data is longer than its samples");
        Ok(())
    }
}

/// The one sample entry that the track's samples use.
fn used_sample_entry<'n, 'a>(trak: &Node<'_>, stsd: &'n Node<'a>) -> Result<&'n Node<'a>, Cause> {
    let entries = stsd.children();
    let mut index = 1;
    if entries.len() > 1 {
        let stsc: Option<SampleToChunk> = trak.require(&[b"mdia", b"minf", b"stbl"])?.find()?;
        let runs = stsc.unwrap_or_default().entries;
        index = runs.first().map_or(1, |run| run.sample_description_index);
        if runs.iter().any(|run| run.sample_description_index != index) {
            let what = format!(
                "a track that switches between {} sample descriptions is not supported yet",
                entries.len()
            );
            return Err(stsd.unsupported(what).into());
        }
    }
    (index as usize)
        .checked_sub(1)
        .and_then(|index| entries.get(index))
        .ok_or_else(|| stsd.invalid(format!("has no sample entry {index}")).into())
}

fn read_encryption(entry: &Node<'_>) -> Result<Option<Encryption>, Cause> {
    let Some(sinf) = entry.child(b"sinf") else {
        return if matches!(&entry.kind.0, b"encv" | b"enca" | b"enct" | b"resv") {
            Err(entry.invalid("a protected sample entry without 'sinf'").into())
        } else {
            Ok(None)
        };
    };
    let scheme = sinf.require(&[b"schm"])?.parse::<SchemeType>()?.scheme_type;
    let tenc = sinf.require(&[b"schi", b"tenc"])?.parse()?;
    Ok(Some(Encryption { scheme, tenc }))
}

/// What stands in `stsd` in front of its one sample entry: version, flags, entry count (ISO/IEC 14496-12, 8.5.2).
const ONE_SAMPLE_ENTRY: &[u8] = &[0, 0, 0, 0, 0, 0, 0, 1];

/// The `trak` without edits, references and sample tables, with `entry` as its one sample entry.
fn describe(trak: &Node<'_>, entry: &Node<'_>) -> Node<'static> {
    let mut description = trak.copy_where(&|node| match node.path.types() {
        [.., stsd, _] if stsd.0 == *b"stsd" => false,
        _ => {
            let kind = &node.kind.0;
            !OF_THE_OLD_FILE.contains(&kind) && !SAMPLE_TABLES.contains(&kind) && !is_of_quicktime(node)
        }
    });
    let mut entry = entry.copy_where(&|_| true);
    // Zeros end it in `QuickTime`, where an ISO file has boxes to its end.
    if let Content::Container { tail, .. } = &mut entry.content {
        *tail = Cow::default();
    }
    if let Some(stsd) = description.descend_mut(&[b"mdia", b"minf", b"stbl", b"stsd"]) {
        stsd.content = Content::Container {
            fields: ONE_SAMPLE_ENTRY.into(),
            children: vec![entry],
            tail: Cow::default(),
        };
    }
    description
}

//! What an init segment says, and whether it may say so (ISO/IEC 23000-19, 7.3.1; ISO/IEC 23001-7).

use std::sync::Arc;

use super::Form;
use super::findings::FileFindings;
use crate::codec::{self, Codec, VideoRange};
use crate::content_key::{Iv, Kid};
use crate::isobmff::elng::ExtendedLanguage;
use crate::isobmff::frma::OriginalFormat;
use crate::isobmff::ftyp::FileType;
use crate::isobmff::hdlr::Handler;
use crate::isobmff::mdhd::MediaHeader;
use crate::isobmff::mvhd::MovieHeader;
use crate::isobmff::pssh::{COMMON_SYSTEM_ID, ProtectionSystemHeader};
use crate::isobmff::schm::SchemeType;
use crate::isobmff::seig::SampleEncryptionGroup;
use crate::isobmff::tenc::TrackEncryption;
use crate::isobmff::tkhd::TrackHeader;
use crate::isobmff::trex::TrackExtends;
use crate::isobmff::{BoxError, FourCc, Node};
use crate::media::edits::EditShift;
use crate::media::language;
use crate::media::{Cause, MediaKind, Timescale};
use crate::protect::{Pattern, SampleScheme};

/// Version 1.0 of the Common Encryption schemes (ISO/IEC 23001-7, 4.1).
const SCHEME_VERSION: u32 = 0x0001_0000;

/// What an init segment says of a track.
#[derive(Debug)]
pub struct InitSegment {
    /// The track's ID.
    pub track_id: u32,
    /// What its media is.
    pub kind: MediaKind,
    /// Ticks a second of its times.
    pub timescale: Timescale,
    /// Defaults of its fragments.
    pub defaults: TrackExtends,
    /// Where its media lies in the presentation's time.
    pub shift: EditShift,
    /// Its codec.
    pub codec: Arc<dyn Codec>,
    /// Width and height of the coded picture in pixels; zero for audio.
    pub dimensions: (u16, u16),
    /// The dynamic range of video.
    pub video_range: VideoRange,
    /// A BCP 47 tag; `None` where it is undetermined.
    pub language: Option<String>,
    /// How it is protected, where it is.
    pub protection: Option<Protection>,
    /// The key IDs of the common system's `pssh`, and bytes from the file's start to it.
    pub common_pssh: Option<(u64, Vec<Kid>)>,
    /// Its `trak` box.
    pub description: Node<'static>,
}

/// What `tenc` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protection {
    /// The scheme.
    pub scheme: SampleScheme,
    /// The key's ID.
    pub kid: Kid,
    /// The constant IV; `None` where each sample has its own.
    pub constant_iv: Option<Iv>,
    /// Bytes of each sample's IV; 0 where it is constant.
    pub iv_size: u8,
    /// Which blocks are encrypted.
    pub pattern: Pattern,
}

impl Protection {
    /// How samples of a group are protected in a track that is protected so; `None` where they are clear.
    #[must_use]
    pub fn of_group(&self, group: &SampleEncryptionGroup) -> Option<Self> {
        let constant_iv = group.constant_iv.as_deref().and_then(|iv| iv.try_into().ok()).map(Iv);
        group.is_protected.then_some(Self {
            scheme: self.scheme,
            kid: group.kid,
            constant_iv,
            iv_size: group.per_sample_iv_size,
            pattern: Pattern {
                crypt_blocks: group.crypt_byte_block,
                skip_blocks: group.skip_byte_block,
            },
        })
    }
}

impl InitSegment {
    /// Reads an init segment: the one track of an output's, or all of a tree's; none where it is too damaged to read
    /// segments by.
    pub fn read(data: &[u8], form: Form, findings: &mut FileFindings<'_>) -> Vec<Self> {
        match Self::try_read(data, form, findings) {
            Ok(tracks) => tracks,
            Err(error) => {
                findings.add_box_error(&error);
                Vec::new()
            }
        }
    }

    fn try_read(data: &[u8], form: Form, findings: &mut FileFindings<'_>) -> Result<Vec<Self>, BoxError> {
        let nodes = Node::parse_all(data, 0)?;
        if form == Form::Tree {
            let Some(moov) = nodes.iter().find(|node| node.kind.0 == *b"moov") else {
                findings.add_at(0, "there is no moov");
                return Ok(Vec::new());
            };
            let mut tracks = Vec::new();
            for trak in moov.children_of(b"trak") {
                let handler: Handler = trak.require(&[b"mdia", b"hdlr"])?.parse()?;
                // What is neither stays as it was.
                if matches!(&handler.handler_type.0, b"vide" | b"soun") {
                    tracks.push(Self::read_track(moov, trak, form, findings)?);
                }
            }
            return Ok(tracks);
        }
        let [ftyp, moov] = nodes.as_slice() else {
            let kinds: Vec<String> = nodes.iter().map(|node| node.kind.to_string()).collect();
            findings.add_at(0, format!("the boxes are {}, expected ftyp, moov", kinds.join(", ")));
            return Ok(Vec::new());
        };
        let brands: FileType = ftyp.parse()?;
        let mut traks = moov.children_of(b"trak");
        let trak = match (traks.next(), traks.next()) {
            (Some(trak), None) => trak,
            (None, _) => return Err(moov.invalid("has no 'trak' box")),
            (Some(_), Some(second)) => return Err(second.invalid("a second track, where one is expected")),
        };
        let init = Self::read_track(moov, trak, form, findings)?;
        let expected = [b"iso6", b"cmfc"].map(FourCc::new).into_iter();
        for brand in expected.chain(init.codec.brands()) {
            if brands.major_brand != brand && !brands.compatible_brands.contains(&brand) {
                findings.add_at(ftyp.offset, format!("ftyp does not have the brand '{brand}'"));
            }
        }
        Ok(vec![init])
    }

    fn read_track(
        moov: &Node<'_>,
        trak: &Node<'_>,
        form: Form,
        findings: &mut FileFindings<'_>,
    ) -> Result<Self, BoxError> {
        let header: TrackHeader = trak.require(&[b"tkhd"])?.parse()?;
        let movie: MovieHeader = moov.require(&[b"mvhd"])?.parse()?;
        let mdia = trak.require(&[b"mdia"])?;
        let media: MediaHeader = mdia.require(&[b"mdhd"])?.parse()?;
        let zero = |node: &Node<'_>| node.invalid("a timescale of 0 is not allowed");
        let movie_timescale = Timescale::new(movie.timescale).ok_or_else(|| zero(moov))?;
        let timescale = Timescale::new(media.timescale).ok_or_else(|| zero(mdia))?;
        let mut extends = None;
        for trex in moov.require(&[b"mvex"])?.children_of(b"trex") {
            let defaults: TrackExtends = trex.parse()?;
            extends = extends.or_else(|| (defaults.track_id == header.track_id).then_some(defaults));
        }
        let defaults = extends.ok_or_else(|| moov.invalid(format!("there is no trex of track {}", header.track_id)))?;
        let hdlr = mdia.require(&[b"hdlr"])?;
        let kind = match &hdlr.parse::<Handler>()?.handler_type.0 {
            b"vide" => MediaKind::Video,
            b"soun" => MediaKind::Audio,
            b"text" | b"subt" => MediaKind::Text,
            other => {
                let what = format!("handler '{}', expected vide, soun, text or subt", FourCc(*other));
                return Err(hdlr.invalid(what));
            }
        };
        let stbl = mdia.require(&[b"minf", b"stbl"])?;
        for table in [b"stts", b"stsc", b"stsz", b"stco"] {
            let table = stbl.require(&[table])?;
            if form == Form::Own && table.fields().iter().any(|byte| *byte != 0) {
                findings.add_at(table.offset, format!("{} of an init segment is not empty", table.path));
            }
        }
        let stsd = stbl.require(&[b"stsd"])?;
        let [entry] = stsd.children() else {
            return Err(stsd.invalid("expected one sample entry"));
        };
        let protection = read_protection(entry, kind, findings)?;
        let common_pssh = read_pssh(moov, protection.as_ref(), findings)?;
        let format = match entry.child(b"sinf") {
            Some(sinf) => sinf.require(&[b"frma"])?.parse::<OriginalFormat>()?.data_format,
            None => entry.kind,
        };
        let codec = match codec::open(format, entry) {
            Ok(codec) => codec,
            Err(codec::OpenError::Box(error)) => return Err(error),
            Err(error) => return Err(entry.invalid(format!("'{format}': {error}"))),
        };
        if let Some(protection) = &protection
            && !protection.scheme.is_defined_for(&*codec)
        {
            let what = format!("{} under {}, expected cenc", codec.name(), protection.scheme.name());
            findings.add_at(entry.offset, what);
        }
        if codec.is_text() != (kind == MediaKind::Text) {
            return Err(entry.invalid("a sample entry of another kind than the handler"));
        }
        let shift = match EditShift::read(trak, movie_timescale, timescale) {
            Ok(shift) => shift,
            Err(Cause::Scan(crate::isobmff::scan::ScanError::Box(error))) => return Err(error),
            Err(error) => return Err(trak.invalid(error.to_string())),
        };
        let language = match mdia.find::<ExtendedLanguage>()? {
            Some(language) => Some(language.tag),
            None => media.language_code().and_then(|code| language::tag(&code)),
        };
        let dimensions = match kind {
            // VisualSampleEntry (ISO/IEC 14496-12, 12.1.3.2).
            MediaKind::Video => entry.read(|fields| {
                fields.bytes(24)?;
                Ok((fields.u16()?, fields.u16()?))
            })?,
            MediaKind::Audio | MediaKind::Text => (0, 0),
        };
        let video_range = VideoRange::of(entry, &*codec);
        Ok(Self {
            track_id: header.track_id,
            kind,
            timescale,
            defaults,
            shift,
            codec,
            dimensions,
            video_range,
            language,
            protection,
            common_pssh,
            description: trak.copy_where(&|_| true),
        })
    }
}

/// `sinf` and `tenc` of a sample entry.
fn read_protection(
    entry: &Node<'_>,
    kind: MediaKind,
    findings: &mut FileFindings<'_>,
) -> Result<Option<Protection>, BoxError> {
    let protected = match kind {
        MediaKind::Video => FourCc::new(b"encv"),
        MediaKind::Audio => FourCc::new(b"enca"),
        MediaKind::Text if entry.child(b"sinf").is_some() => return Err(entry.invalid("text that is encrypted")),
        MediaKind::Text => return Ok(None),
    };
    let Some(sinf) = entry.child(b"sinf") else {
        return match &entry.kind.0 {
            b"encv" | b"enca" => Err(entry.invalid("a protected sample entry without 'sinf'")),
            _ => Ok(None),
        };
    };
    findings.expect_at(entry.offset, "the sample entry's type", &entry.kind, &protected);
    let schm = sinf.require(&[b"schm"])?;
    let SchemeType {
        scheme_type,
        scheme_version,
        ..
    } = schm.parse()?;
    findings.expect_at(schm.offset, "scheme_version", &scheme_version, &SCHEME_VERSION);
    let Some(scheme) = SampleScheme::of(scheme_type) else {
        return Err(schm.invalid(format!(
            "scheme_type is '{scheme_type}', expected cbcs, cenc, cens or cbc1"
        )));
    };
    let node = sinf.require(&[b"schi", b"tenc"])?;
    let tenc: TrackEncryption = node.parse()?;
    findings.expect_at(
        node.offset,
        "the version of tenc",
        &tenc.version,
        &scheme.tenc_version(),
    );
    findings.expect_at(node.offset, "default_isProtected", &tenc.is_protected, &true);
    let iv_size = tenc.per_sample_iv_size;
    if !scheme.iv_sizes().contains(&iv_size) {
        let (scheme, sizes) = (scheme.name(), scheme.iv_sizes());
        let what = format!("default_Per_Sample_IV_Size is {iv_size}, and under {scheme} it is one of {sizes:?}");
        return Err(node.invalid(what));
    }
    if tenc.kid.0 == [0; 16] {
        findings.add_at(node.offset, "default_KID is zero, which players take for none");
    }
    let constant_iv = tenc.constant_iv.as_deref().and_then(|iv| iv.try_into().ok()).map(Iv);
    if iv_size == 0 && constant_iv.is_none() {
        findings.add_at(node.offset, "there is no constant IV of 16 bytes in tenc");
        return Ok(None);
    }
    Ok(Some(Protection {
        scheme,
        kid: tenc.kid,
        constant_iv,
        iv_size,
        pattern: Pattern::of(&tenc),
    }))
}

/// The one `pssh` that lists key IDs for every key system.
fn read_pssh(
    moov: &Node<'_>,
    protection: Option<&Protection>,
    findings: &mut FileFindings<'_>,
) -> Result<Option<(u64, Vec<Kid>)>, BoxError> {
    let boxes: Vec<&Node<'_>> = moov.children_of(b"pssh").collect();
    if protection.is_none() {
        if let Some(pssh) = boxes.first() {
            findings.add_at(pssh.offset, "pssh beside a track that is not protected");
        }
        return Ok(None);
    }
    let mut common = None;
    for pssh in boxes {
        let header: ProtectionSystemHeader = pssh.parse()?;
        if header.system_id == COMMON_SYSTEM_ID {
            if common.is_some() {
                findings.add_at(pssh.offset, "a second pssh of the common system");
            }
            common = Some((pssh.offset, header.kids.unwrap_or_default()));
        }
    }
    if common.is_none() {
        findings.add_at(moov.offset, "there is no pssh of the common system in moov");
    }
    Ok(common)
}

//! What the tracks of a file are and how they are protected, as far as it can be read: for people, not for packaging.

use crate::codec::{self, CodecError, OpenError};
use crate::content_key::Kid;
use crate::isobmff::describe::Uuid;
use crate::isobmff::elng::ExtendedLanguage;
use crate::isobmff::frma::OriginalFormat;
use crate::isobmff::hdlr::Handler;
use crate::isobmff::mdhd::MediaHeader;
use crate::isobmff::pssh::ProtectionSystemHeader;
use crate::isobmff::sample_entry::{AudioSampleEntry, VisualSampleEntry};
use crate::isobmff::schm::SchemeType;
use crate::isobmff::sound_description;
use crate::isobmff::stsz::SampleSizes;
use crate::isobmff::stts::TimeToSample;
use crate::isobmff::stz2::CompactSampleSizes;
use crate::isobmff::tenc::TrackEncryption;
use crate::isobmff::tfhd::TrackFragmentHeader;
use crate::isobmff::tkhd::TrackHeader;
use crate::isobmff::trex::TrackExtends;
use crate::isobmff::trun::{Fields, TrackRun};
use crate::isobmff::{BoxError, FourCc, Node, Problem, TypedBox, senc};

use super::language;

/// At most this many tracks, and as many different `pssh` boxes, are summed up; fragments can name any number.
const MAX_TRACKS: usize = 1000;

/// Tracks and protection of one file.
#[derive(Debug, Default)]
pub struct Summary {
    /// In the order in which the file speaks of them.
    pub tracks: Vec<TrackSummary>,
    /// Each that differs, in the order of the file.
    pub key_systems: Vec<KeySystem>,
    defaults: Vec<TrackExtends>,
}

/// One track. A segment without its init segment leaves most of it unsaid.
#[derive(Debug, Default, serde::Serialize)]
pub struct TrackSummary {
    /// The track's ID.
    pub id: u32,
    /// `vide`, `soun`, ...
    pub handler: Option<FourCc>,
    /// Ticks a second.
    pub timescale: Option<u32>,
    /// Of all samples together, in ticks.
    pub duration_ticks: u64,
    /// The same in seconds.
    pub duration_s: Option<f64>,
    /// Samples in the file.
    pub samples: u64,
    /// Movie fragments that have samples of it.
    pub fragments: u64,
    /// A BCP 47 tag.
    pub language: Option<String>,
    /// What its samples are.
    pub descriptions: Vec<SampleDescription>,
    /// Which boxes with auxiliary information of protected samples it has, of `senc`, `saiz` and `saio`.
    pub auxiliary_boxes: Vec<FourCc>,
}

/// One sample entry.
#[derive(Debug, Default, serde::Serialize)]
pub struct SampleDescription {
    /// Its type before it was protected.
    pub format: FourCc,
    /// The RFC 6381 string; `None` for codecs that are not supported yet.
    pub codec: Option<String>,
    /// What playlists say of the codec beside it (RFC 8216bis, `SUPPLEMENTAL-CODECS`).
    pub supplemental_codecs: Option<String>,
    /// Why there is no codec string.
    pub note: Option<String>,
    /// Of the coded picture, in pixels.
    pub resolution: Option<(u16, u16)>,
    /// As the player hears them.
    pub channels: Option<u16>,
    /// As the player hears it, in Hz.
    pub sample_rate_hz: Option<u32>,
    /// How its samples are protected.
    pub protection: Option<Protection>,
}

/// How samples are protected (`schm` and `tenc`).
#[derive(Debug, Default, serde::Serialize)]
pub struct Protection {
    /// `cbcs`, `cenc`, ...
    pub scheme: Option<FourCc>,
    /// Whether samples are protected unless a sample group says otherwise.
    pub is_protected: bool,
    /// Encrypted and skipped blocks of 16 bytes; `None` without a pattern.
    pub pattern: Option<(u8, u8)>,
    /// The key's ID.
    pub kid: Option<Kid>,
    /// Bytes of the IV that each sample has of its own.
    pub per_sample_iv_size: u8,
    /// Bytes of the IV that all samples share.
    pub constant_iv_size: Option<usize>,
}

/// What a `pssh` box says.
#[derive(Debug, PartialEq, Eq, serde::Serialize)]
pub struct KeySystem {
    /// The UUID of the key system.
    pub system_id: String,
    /// Its usual name.
    pub name: Option<&'static str>,
    /// The key IDs that it lists.
    pub kids: Vec<Kid>,
}

/// Key systems by their UUIDs, as <https://dashif.org/identifiers/content_protection/> lists them.
const KEY_SYSTEMS: &[(&str, &str)] = &[
    ("1077efec-c0b2-4d02-ace3-3c1e52e2fb4b", "W3C Common"),
    ("94ce86fb-07ff-4f43-adb8-93d2fa968ca2", "FairPlay"),
    ("9a04f079-9840-4286-ab92-e65be0885f95", "PlayReady"),
    ("edef8ba9-79d6-4ace-a3c8-27dcd51d21ed", "Widevine"),
];

/// Takes a value, or keeps what is wrong.
fn note<T>(result: Result<T, BoxError>, errors: &mut Vec<BoxError>) -> Option<T> {
    result.map_err(|error| errors.push(error)).ok()
}

/// Reads a typed box that has to be there.
fn required<T: TypedBox>(node: &Node<'_>, path: &[&[u8; 4]], errors: &mut Vec<BoxError>) -> Option<T> {
    note(node.require(path).and_then(Node::parse), errors)
}

impl Summary {
    /// Adds what a box at the top of the file says, and what is wrong with it to `errors`.
    pub fn add(&mut self, node: &Node<'_>, errors: &mut Vec<BoxError>) {
        match &node.kind.0 {
            b"moov" => {
                let extends = node.children_of(b"mvex").flat_map(|mvex| mvex.children_of(b"trex"));
                self.defaults
                    .extend(extends.filter_map(|trex| note(trex.parse::<TrackExtends>(), errors)));
                for trak in node.children_of(b"trak") {
                    self.add_track(trak, errors);
                }
                self.add_key_systems(node.children_of(b"pssh"), errors);
            }
            b"moof" => {
                for traf in node.children_of(b"traf") {
                    self.add_fragment(traf, errors);
                }
                self.add_key_systems(node.children_of(b"pssh"), errors);
            }
            b"pssh" => self.add_key_systems(std::iter::once(node), errors),
            _ => {}
        }
    }

    /// The track of that ID, a new one if need be.
    fn track(&mut self, id: u32, node: &Node<'_>, errors: &mut Vec<BoxError>) -> Option<&mut TrackSummary> {
        let index = match self.tracks.iter().position(|track| track.id == id) {
            Some(index) => index,
            None if self.tracks.len() < MAX_TRACKS => {
                self.tracks.push(TrackSummary {
                    id,
                    ..TrackSummary::default()
                });
                self.tracks.len() - 1
            }
            None => {
                let limit = MAX_TRACKS as u64;
                errors.push(node.error(0, Problem::TooMany { what: "tracks", limit }));
                return None;
            }
        };
        self.tracks.get_mut(index)
    }

    fn add_track(&mut self, trak: &Node<'_>, errors: &mut Vec<BoxError>) {
        let Some(header) = required::<TrackHeader>(trak, &[b"tkhd"], errors) else {
            return;
        };
        let Some(track) = self.track(header.track_id, trak, errors) else {
            return;
        };
        track.handler = required::<Handler>(trak, &[b"mdia", b"hdlr"], errors).map(|handler| handler.handler_type);
        let media = required::<MediaHeader>(trak, &[b"mdia", b"mdhd"], errors);
        track.timescale = media.as_ref().map(|media| media.timescale);
        let elng = trak.descend(&[b"mdia", b"elng"]);
        let elng = elng.and_then(|elng| note(elng.parse::<ExtendedLanguage>(), errors));
        let language = media.and_then(|media| media.language_code());
        track.language = elng
            .map(|elng| elng.tag)
            .or_else(|| language.and_then(|code| language::tag(&code)));
        let Some(stbl) = note(trak.require(&[b"mdia", b"minf", b"stbl"]), errors) else {
            return;
        };
        let (samples, duration_ticks) = progressive_samples(stbl, errors);
        track.add_samples(samples, duration_ticks);
        track.add_auxiliary_boxes(stbl);
        if let Some(stsd) = note(stbl.require(&[b"stsd"]), errors) {
            let entries = stsd.children().iter();
            track
                .descriptions
                .extend(entries.map(|entry| SampleDescription::read(entry, errors)));
        }
    }

    fn add_fragment(&mut self, traf: &Node<'_>, errors: &mut Vec<BoxError>) {
        let Some(header) = required::<TrackFragmentHeader>(traf, &[b"tfhd"], errors) else {
            return;
        };
        let defaults = self
            .defaults
            .iter()
            .find(|defaults| defaults.track_id == header.track_id);
        let default_duration = header
            .default_sample_duration
            .or(defaults.map(|defaults| defaults.default_sample_duration))
            .unwrap_or(0);
        let (mut samples, mut duration_ticks) = (0, 0_u64);
        for trun in traf.children_of(b"trun") {
            let Some(run) = note(trun.parse::<TrackRun>(), errors) else {
                continue;
            };
            samples += run.samples.len() as u64;
            let run_ticks = if run.fields.has(Fields::DURATION) {
                run.samples.iter().map(|sample| u64::from(sample.duration)).sum()
            } else {
                u64::from(default_duration) * run.samples.len() as u64
            };
            duration_ticks = duration_ticks.saturating_add(run_ticks);
        }
        if let Some(track) = self.track(header.track_id, traf, errors) {
            track.fragments += 1;
            track.add_samples(samples, duration_ticks);
            track.add_auxiliary_boxes(traf);
        }
    }

    fn add_key_systems<'n>(&mut self, boxes: impl Iterator<Item = &'n Node<'n>>, errors: &mut Vec<BoxError>) {
        for pssh in boxes {
            let Some(header) = note(pssh.parse::<ProtectionSystemHeader>(), errors) else {
                continue;
            };
            let system_id = Uuid(header.system_id).to_string();
            let key_system = KeySystem {
                name: KEY_SYSTEMS
                    .iter()
                    .find(|(uuid, _)| *uuid == system_id)
                    .map(|(_, name)| *name),
                system_id,
                kids: header.kids.unwrap_or_default(),
            };
            if self.key_systems.len() < MAX_TRACKS && !self.key_systems.contains(&key_system) {
                self.key_systems.push(key_system);
            }
        }
    }
}

/// How many samples the tables of `stbl` speak of, and their durations added up.
fn progressive_samples(stbl: &Node<'_>, errors: &mut Vec<BoxError>) -> (u64, u64) {
    let plain = note(stbl.find::<SampleSizes>(), errors).flatten();
    let compact = note(stbl.find::<CompactSampleSizes>(), errors).flatten();
    let samples = match (plain, compact) {
        (Some(SampleSizes::Constant { count, .. }), _) => u64::from(count),
        (Some(SampleSizes::Each(sizes)), _) => sizes.len() as u64,
        (None, Some(compact)) => compact.sizes.len() as u64,
        (None, None) => 0,
    };
    let durations = note(stbl.find::<TimeToSample>(), errors).flatten().unwrap_or_default();
    let durations = durations
        .entries
        .iter()
        .map(|run| u64::from(run.sample_count) * u64::from(run.duration_ticks));
    (samples, durations.fold(0, u64::saturating_add))
}

impl TrackSummary {
    #[expect(clippy::cast_precision_loss, reason = "seconds are for a person")]
    fn add_samples(&mut self, samples: u64, duration_ticks: u64) {
        self.samples = self.samples.saturating_add(samples);
        self.duration_ticks = self.duration_ticks.saturating_add(duration_ticks);
        self.duration_s = self
            .timescale
            .map(|timescale| self.duration_ticks as f64 / f64::from(timescale));
    }

    fn add_auxiliary_boxes(&mut self, parent: &Node<'_>) {
        for kind in [senc::TYPE, FourCc::new(b"saiz"), FourCc::new(b"saio")] {
            if parent.child(&kind.0).is_some() && !self.auxiliary_boxes.contains(&kind) {
                self.auxiliary_boxes.push(kind);
            }
        }
    }
}

impl SampleDescription {
    fn read(entry: &Node<'_>, errors: &mut Vec<BoxError>) -> Self {
        let iso = note(sound_description::to_iso(entry), errors);
        let entry = iso.as_deref().unwrap_or(entry);
        let sinf = entry.child(b"sinf");
        let original = sinf.and_then(|sinf| required::<OriginalFormat>(sinf, &[b"frma"], errors));
        let format = original.map_or(entry.kind, |original| original.data_format);
        let mut description = Self {
            format,
            protection: sinf.map(|sinf| Protection::read(sinf, errors)),
            ..Self::default()
        };
        if entry.is_visual_entry() {
            let fields = note(entry.read(VisualSampleEntry::parse), errors);
            description.resolution = fields.map(|fields| (fields.width, fields.height));
        }
        if entry.is_audio_entry() {
            let fields = note(entry.read(AudioSampleEntry::parse), errors);
            description.channels = fields.map(|fields| fields.channels);
            description.sample_rate_hz = fields.map(|fields| fields.sample_rate >> 16);
        }
        match codec::open(format, entry) {
            Ok(codec) => {
                description.codec = Some(codec.rfc6381());
                description.supplemental_codecs = codec.supplemental_codecs();
                description.channels = codec.channels().or(description.channels);
                description.sample_rate_hz = codec.sample_rate_hz().or(description.sample_rate_hz);
            }
            Err(OpenError::Unknown) => {}
            Err(OpenError::Codec(error @ CodecError::Unsupported { .. })) => description.note = Some(error.to_string()),
            Err(OpenError::Codec(error)) => errors.push(entry.invalid(error.to_string())),
            Err(OpenError::Box(error)) => errors.push(error),
        }
        description
    }
}

impl Protection {
    fn read(sinf: &Node<'_>, errors: &mut Vec<BoxError>) -> Self {
        let scheme = required::<SchemeType>(sinf, &[b"schm"], errors).map(|schm| schm.scheme_type);
        let Some(tenc) = required::<TrackEncryption>(sinf, &[b"schi", b"tenc"], errors) else {
            return Self {
                scheme,
                ..Self::default()
            };
        };
        let pattern = (tenc.crypt_byte_block, tenc.skip_byte_block);
        Self {
            scheme,
            is_protected: tenc.is_protected,
            pattern: (pattern != (0, 0)).then_some(pattern),
            kid: Some(tenc.kid),
            per_sample_iv_size: tenc.per_sample_iv_size,
            constant_iv_size: tenc.constant_iv.map(|iv| iv.len()),
        }
    }
}

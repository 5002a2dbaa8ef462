//! Opens inputs and presents them as one [`Presentation`]: tracks with samples in decode order.

pub mod edits;
pub mod fingerprint;
pub mod fragmented;
pub mod language;
pub mod progressive;
pub mod sample_table;
pub mod source;
pub mod summary;
pub mod time;
pub mod track;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::codec::CodecError;
use crate::isobmff::mvhd::MovieHeader;
use crate::isobmff::scan::{ScanError, TopLevel, read_box};
use crate::isobmff::{BoxError, BoxHeader, BoxPath, FourCc, Node, Problem};

pub use fingerprint::fingerprint;
pub use sample_table::{Sample, SampleTable};
pub use source::Source;
pub use summary::Summary;
pub use time::{Time, Timescale};
use track::Skipped;
pub use track::{MediaKind, Track};

/// The most bytes of a box of this type that are read at once: boxes that describe media are smaller, and the rest
/// is hostile.
#[must_use]
pub fn max_box_bytes(kind: FourCc) -> usize {
    match &kind.0 {
        b"moov" => MAX_MOOV_BYTES,
        _ => fragmented::MAX_MOOF_BYTES,
    }
}

/// The movie box is read whole, up to this size: 16 bytes of tables a sample for four million samples.
const MAX_MOOV_BYTES: usize = 256 << 20;

/// Boxes that stand at the top of files; one of them that is cut off means that the file is truncated,
/// while other bytes behind the last box are junk.
const TOP_LEVEL: &[&[u8; 4]] = &[
    b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"mfra", b"free", b"skip", b"wide", b"uuid", b"sidx", b"ssix",
    b"meta", b"prft", b"emsg", b"pdin", b"udta", b"pnot", b"pssh",
];

/// Whether boxes of this type stand at the top of MP4 files.
#[must_use]
pub fn stands_at_top(kind: FourCc) -> bool {
    TOP_LEVEL.contains(&&kind.0)
}

/// All tracks of all inputs.
#[derive(Debug)]
pub struct Presentation {
    /// The inputs, in the order they were given.
    pub sources: Vec<Arc<Source>>,
    /// Tracks in the order of the inputs, and in each in the order of its movie box.
    pub tracks: Vec<Track>,
    /// What was left out or looked odd, in words for a person.
    pub warnings: Vec<String>,
}

/// An input that can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {cause}", path.display())]
pub struct InputError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub cause: Cause,
}

/// Why an input can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// It can't be opened or read.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// A box is damaged, or a read failed on the way.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// A codec configuration or sample is damaged, or of a kind that is not supported.
    #[error("track {track_id}: {cause}")]
    Codec {
        /// The track.
        track_id: u32,
        /// What is wrong.
        cause: CodecError,
    },
    /// Valid, and not supported.
    #[error("{0}")]
    Unsupported(String),
}

impl From<BoxError> for Cause {
    fn from(error: BoxError) -> Self {
        Self::Scan(error.into())
    }
}

impl Presentation {
    /// Opens all inputs.
    ///
    /// # Errors
    /// [`InputError`] naming the first file that can't be used.
    pub fn open<P: AsRef<Path>>(paths: &[P]) -> Result<Self, InputError> {
        let mut presentation = Self {
            sources: Vec::new(),
            tracks: Vec::new(),
            warnings: Vec::new(),
        };
        for path in paths {
            let path = path.as_ref();
            let failed = |cause| InputError {
                path: path.to_owned(),
                cause,
            };
            let source = Arc::new(Source::open(path).map_err(|error| failed(error.into()))?);
            presentation.add(&source, EncryptedInput::Refuse).map_err(failed)?;
        }
        Ok(presentation)
    }

    /// Adds the tracks of `source`.
    ///
    /// # Errors
    /// A [`Cause`]; nothing was added then.
    pub fn add(&mut self, source: &Arc<Source>, encrypted: EncryptedInput) -> Result<(), Cause> {
        let mut movie = Movie::read(source, encrypted)?;
        let prefix = source.path().display().to_string();
        self.warnings
            .extend(movie.warnings.drain(..).map(|warning| format!("{prefix}: {warning}")));
        self.tracks.append(&mut movie.tracks);
        self.sources.push(Arc::clone(source));
        Ok(())
    }
}

/// What to do with tracks that are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncryptedInput {
    /// Refuse the input: encrypting twice plays nowhere.
    Refuse,
    /// Read them: [`Track::encryption`] says how they are encrypted.
    Accept,
}

/// One file while it is read.
struct Movie {
    tracks: Vec<Track>,
    warnings: Vec<String>,
}

impl Movie {
    fn read(source: &Arc<Source>, encrypted: EncryptedInput) -> Result<Self, Cause> {
        let mut warnings = Vec::new();
        let layout = Layout::scan(source, &mut warnings)?;
        let moov_bytes = read_box(&**source, &layout.moov, MAX_MOOV_BYTES)?;
        let moov = Node::parse_one(&moov_bytes, layout.moov.offset)?;
        let header: MovieHeader = moov.require(&[b"mvhd"])?.parse()?;

        let movie_timescale =
            Timescale::new(header.timescale).ok_or_else(|| moov.invalid("a timescale of 0 is not allowed"))?;
        let mut tracks: Vec<Track> = Vec::new();
        for trak in moov.children_of(b"trak") {
            match Track::open(source, trak, movie_timescale, encrypted) {
                Ok(track) if tracks.iter().any(|other| other.id == track.id) => {
                    return Err(trak.invalid(format!("a second track with ID {}", track.id)).into());
                }
                Ok(mut track) => {
                    let stbl = trak.require(&[b"mdia", b"minf", b"stbl"])?;
                    track.samples = progressive::read(stbl, source)?;
                    tracks.push(track);
                }
                Err(Skipped::Ignored { track_id, what }) => {
                    warnings.push(format!(
                        "track {track_id} ({what}) is left out: neither video nor audio"
                    ));
                }
                Err(Skipped::Failed(cause)) => return Err(cause),
            }
        }
        if !layout.moofs.is_empty() {
            fragmented::read(source, &moov, &layout, &mut tracks)?;
        }
        if tracks.iter().all(|track| track.samples.is_empty()) {
            return Err(Cause::Unsupported("there is no video or audio sample in it".into()));
        }
        tracks.retain(|track| {
            if track.samples.is_empty() {
                warnings.push(format!("track {} is left out: it has no samples", track.id));
            }
            !track.samples.is_empty()
        });
        Ok(Self { tracks, warnings })
    }
}

/// Where the boxes are that matter.
pub(crate) struct Layout {
    moov: BoxHeader,
    pub(crate) moofs: Vec<BoxHeader>,
    pub(crate) mdats: Vec<BoxHeader>,
}

impl Layout {
    fn scan(source: &Source, warnings: &mut Vec<String>) -> Result<Self, Cause> {
        let mut moov = None;
        let (mut moofs, mut mdats) = (Vec::new(), Vec::new());
        for header in TopLevel::new(source) {
            match header {
                Ok(header) => match &header.kind.0 {
                    b"moov" if moov.is_some() => {
                        let path = BoxPath::default().child(header.kind).unwrap_or_default();
                        let problem = Problem::Invalid("a second movie box".into());
                        return Err(BoxError {
                            path,
                            offset: header.offset,
                            problem,
                        }
                        .into());
                    }
                    b"moov" => moov = Some(header),
                    b"moof" => moofs.push(header),
                    b"mdat" => mdats.push(header),
                    _ => {}
                },
                Err(ScanError::Box(error)) if moov.is_some() && moofs.is_empty() && is_junk(&error) => {
                    warnings.push(format!(
                        "{} trailing bytes are no box and are left out",
                        source.bytes() - error.offset
                    ));
                }
                Err(error) => return Err(error.into()),
            }
        }
        let moov = moov.ok_or_else(|| {
            let problem = Problem::Missing(FourCc::new(b"moov"));
            BoxError {
                path: BoxPath::default(),
                offset: source.bytes(),
                problem,
            }
        })?;
        Ok(Self { moov, moofs, mdats })
    }
}

/// Whether an error at the top of a file is at bytes that are no box, rather than at a box that is cut off.
fn is_junk(error: &BoxError) -> bool {
    match error.path.types() {
        [] => matches!(error.problem, Problem::NotABox(_)),
        [kind, ..] => !stands_at_top(*kind),
    }
}

//! Opens inputs and presents them as one [`Presentation`]: tracks with samples in decode order.

pub mod edits;
pub mod fingerprint;
pub mod fragmented;
pub mod language;
mod media_data;
pub mod playlist;
pub mod progressive;
pub mod sample_table;
mod segments;
pub mod source;
pub mod subtitles;
pub mod summary;
pub mod time;
pub mod track;
pub mod tree;
pub mod webvtt;

use std::cmp::Reverse;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::codec::CodecError;
use crate::isobmff::mvhd::MovieHeader;
use crate::isobmff::scan::{ScanError, TopLevel, read_box};
use crate::isobmff::{BoxError, BoxHeader, BoxPath, FourCc, Node, Problem};

pub use fingerprint::fingerprint;
pub use sample_table::{Sample, SampleTable};
use source::Piece;
pub use source::Source;
pub use subtitles::{Subtitles, SubtitlesError};
pub use summary::Summary;
pub use time::{Time, Timescale};
use track::Skipped;
pub use track::{Encryption, MediaKind, Track};
pub use tree::Tree;

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

/// A file has at most this many tracks: ten times what a film with every language has. Each becomes a folder of its own.
const MAX_TRACKS: usize = 1024;

/// A file has at most this many fragments: one for each sample, a film of ten hours has four million. Forty bytes are
/// kept of each.
const MAX_FRAGMENTS: usize = 1 << 23;

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

/// All tracks and subtitles of all inputs.
#[derive(Debug, Default)]
pub struct Presentation {
    /// The inputs, in the order they were given.
    pub sources: Vec<Arc<Source>>,
    /// Video in front, the largest first; all else in the order of the inputs, and in each in the order of its movie box.
    /// [`Self::add`] only appends.
    pub tracks: Vec<Track>,
    /// Inputs that are subtitles, in the order they were given.
    pub subtitles: Vec<Subtitles>,
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
    /// It is a segment, or a folder of them, without what belongs to it.
    #[error("{0}")]
    Segments(&'static str),
    /// It is WebVTT that can't be used.
    #[error(transparent)]
    Subtitles(#[from] SubtitlesError),
    /// A codec configuration is damaged, or of a kind that is not supported.
    #[error("{path} at byte {offset}: {cause}")]
    Codec {
        /// The sample entry.
        path: BoxPath,
        /// Bytes from the file's start to the sample entry.
        offset: u64,
        /// What is wrong.
        cause: CodecError,
    },
}

impl InputError {
    /// An error in joined files names the one that holds the byte.
    #[must_use]
    pub fn in_source(source: &Source, cause: Cause) -> Self {
        let (path, cause) = match cause {
            Cause::Scan(ScanError::Box(error)) => {
                let (path, offset) = source.locate(error.offset);
                (path, BoxError { offset, ..error }.into())
            }
            cause => (source.path(), cause),
        };
        Self {
            path: path.to_owned(),
            cause,
        }
    }
}

impl From<BoxError> for Cause {
    fn from(error: BoxError) -> Self {
        Self::Scan(error.into())
    }
}

impl Presentation {
    /// Opens all inputs: files, or an init segment and the media segments behind it, or a folder of these.
    ///
    /// # Errors
    /// [`InputError`] naming the first file that can't be used.
    pub fn open<P: AsRef<Path>>(paths: &[P]) -> Result<Self, InputError> {
        Self::open_by(paths, Source::open)
    }

    /// Opens all inputs, each that is one file by `open`.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub fn open_by<P: AsRef<Path>>(
        paths: &[P],
        mut open: impl FnMut(&Path) -> std::io::Result<Source>,
    ) -> Result<Self, InputError> {
        let mut presentation = Self::default();
        for files in segments::group(paths)? {
            let source = match files.as_slice() {
                [file] => open(file),
                files => {
                    files.iter().try_for_each(|file| check_whole(file, &Piece::Whole))?;
                    Source::join(files.to_vec())
                }
            };
            let path = files.into_iter().next().unwrap_or_default();
            let failed = |cause| InputError { path, cause };
            let source = match source {
                Ok(source) => Arc::new(source),
                Err(error) => return Err(failed(error.into())),
            };
            match Subtitles::are_in(&source) {
                Err(error) => return Err(failed(error.into())),
                Ok(true) => {
                    let subtitles = Subtitles::read(&source).map_err(|error| failed(error.into()))?;
                    presentation.subtitles.push(subtitles);
                }
                Ok(false) => presentation
                    .add(&source, EncryptedInput::Refuse)
                    .map_err(|cause| InputError::in_source(&source, cause))?,
            }
        }
        let is_text = presentation.tracks.iter().all(|track| track.kind == MediaKind::Text);
        if let (true, Some(path)) = (is_text, paths.first()) {
            return Err(InputError {
                path: path.as_ref().to_owned(),
                cause: SubtitlesError::Alone.into(),
            });
        }
        presentation.sort_video();
        Ok(presentation)
    }

    /// A ladder is the same in whatever order its qualities are given: which one decides where segments begin, and which is
    /// `720p` and which `720p-2`, is seen from the media. Which audio and subtitles come first is for whoever gives them.
    fn sort_video(&mut self) {
        self.tracks.sort_by_key(|track| {
            let (width, height) = track.dimensions;
            let of_video = (Reverse(height), Reverse(width), Reverse(track.samples.bytes()));
            let is_video = track.kind == MediaKind::Video;
            (!is_video, is_video.then_some(of_video))
        });
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

/// Refuses a file, or a range of it, that ends within a box: joined with the next one, its damage would be found there.
///
/// # Errors
/// [`InputError`] at the box.
pub fn check_whole(file: &Path, piece: &Piece) -> Result<(), InputError> {
    let failed = |cause| InputError {
        path: file.to_owned(),
        cause,
    };
    let source = match piece {
        Piece::Whole => Source::open(file),
        Piece::Range(range) => Source::assemble([(file.to_owned(), Some(range.clone()))]),
        Piece::View(view) => {
            let checked = TopLevel::new(&**view).try_for_each(|header| header.map(drop));
            return checked.map_err(|error| failed(error.into()));
        }
    };
    let source = source.map_err(|error| failed(error.into()))?;
    for header in TopLevel::new(&source) {
        header.map_err(|error| InputError::in_source(&source, error.into()))?;
    }
    Ok(())
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
        let layout = Layout::scan(source)?;
        let moov_bytes = read_box(&**source, &layout.moov, MAX_MOOV_BYTES)?;
        let moov = Node::parse_one(&moov_bytes, layout.moov.offset)?;
        let header: MovieHeader = moov.require(&[b"mvhd"])?.parse()?;

        let movie_timescale =
            Timescale::new(header.timescale).ok_or_else(|| moov.invalid("a timescale of 0 is not allowed"))?;
        let is_fragmented = moov.child(b"mvex").is_some() || !layout.moofs.is_empty();
        if let Some(error) = &layout.trailing {
            // What is left of a fragment must not pass for junk.
            if is_fragmented {
                return Err(error.clone().into());
            }
            let bytes = source.bytes() - error.offset;
            warnings.push(format!("{bytes} trailing bytes are no box and are left out"));
        }
        // Unknown boxes are left out, and a damaged type would leave out its track.
        let is_damaged_trak = |child: &&Node<'_>| child.kind.0 != *b"trak" && child.fields().get(4..8) == Some(b"tkhd");
        if let Some(child) = moov.children().iter().find(is_damaged_trak) {
            return Err(child
                .invalid("holds a track header, and is no 'trak'; the file is damaged")
                .into());
        }
        let mut tracks: Vec<Track> = Vec::new();
        for (index, trak) in moov.children_of(b"trak").enumerate() {
            if index >= MAX_TRACKS {
                let limit = MAX_TRACKS as u64;
                return Err(trak.error(0, Problem::TooMany { what: "tracks", limit }).into());
            }
            match Track::open(source, trak, movie_timescale, encrypted) {
                Ok(track) if tracks.iter().any(|other| other.id == track.id) => {
                    return Err(trak.invalid(format!("a second track with ID {}", track.id)).into());
                }
                Ok(mut track) => {
                    let stbl = trak.require(&[b"mdia", b"minf", b"stbl"])?;
                    track.samples = progressive::read(stbl, source)?;
                    if let Some(hidden) = edits::hidden_end(trak, movie_timescale, track.timescale, &track.samples) {
                        warnings.push(format!(
                            "track {} has {hidden} behind the end of its edit list, which players of fragments don't hide",
                            track.id
                        ));
                    }
                    tracks.push(track);
                }
                Err(Skipped::Ignored { track_id, what }) => {
                    warnings.push(format!(
                        "track {track_id} ({what}) is left out: neither video nor audio, nor wvtt or stpp"
                    ));
                }
                Err(Skipped::Failed(cause)) => return Err(cause),
            }
        }
        if is_fragmented {
            fragmented::read(source, &moov, &layout, movie_timescale, &mut tracks)?;
        }
        if tracks.iter().all(|track| track.samples.is_empty()) {
            return Err(moov.unsupported("there is no video or audio sample in it").into());
        }
        // Chunks may lie anywhere, even on top of each other: a small file must not become a large output.
        let sample_bytes = tracks.iter().map(|track| track.samples.bytes()).sum::<u64>();
        if sample_bytes > source.bytes() {
            let what = format!(
                "samples of {sample_bytes} bytes in a file of {}; tracks that share media data are not supported",
                source.bytes()
            );
            return Err(moov.unsupported(what).into());
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
struct Layout {
    moov: BoxHeader,
    moofs: Vec<BoxHeader>,
    /// Those that hold something.
    mdats: Vec<BoxHeader>,
    sidxs: Vec<BoxHeader>,
    /// Why the bytes behind the last box are none.
    trailing: Option<BoxError>,
}

impl Layout {
    fn scan(source: &Source) -> Result<Self, Cause> {
        let mut moov = None;
        let (mut moofs, mut mdats, mut sidxs) = (Vec::new(), Vec::new(), Vec::new());
        let mut trailing = None;
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
                    b"moof" => push_limited(&mut moofs, header)?,
                    b"mdat" if header.payload_bytes() > 0 => push_limited(&mut mdats, header)?,
                    b"sidx" => push_limited(&mut sidxs, header)?,
                    _ => {}
                },
                Err(ScanError::Box(error)) if error.offset == 0 && is_junk(&error) => {
                    let problem = Problem::Invalid("begins with no box; this is no MP4".into());
                    return Err(BoxError {
                        path: BoxPath::default(),
                        offset: 0,
                        problem,
                    }
                    .into());
                }
                Err(ScanError::Box(error)) if moov.is_some() && is_junk(&error) => trailing = Some(error),
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
        Ok(Self {
            moov,
            moofs,
            mdats,
            sidxs,
            trailing,
        })
    }
}

/// Remembers where a box is, of which a file has one a fragment.
fn push_limited(headers: &mut Vec<BoxHeader>, header: BoxHeader) -> Result<(), BoxError> {
    if headers.len() < MAX_FRAGMENTS {
        headers.push(header);
        return Ok(());
    }
    Err(BoxError {
        path: BoxPath::default().child(header.kind).unwrap_or_default(),
        offset: header.offset,
        problem: Problem::TooMany {
            what: "boxes of this type at the top of a file",
            limit: MAX_FRAGMENTS as u64,
        },
    })
}

/// Whether an error at the top of a file is at bytes that are no box, rather than at a box that is cut off.
fn is_junk(error: &BoxError) -> bool {
    match error.path.types() {
        [] => matches!(error.problem, Problem::NotABox(_) | Problem::Truncated { .. }),
        [kind, ..] => !stands_at_top(*kind),
    }
}

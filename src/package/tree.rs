//! The files of a tree: each box stays where it was, but for what protection adds to `moov` and `moof`, and the samples.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use super::clear::find_fragments;
use super::media_segment::write_auxiliary_information;
use super::{Control, PackageError};
use crate::codec::SampleScanner;
use crate::isobmff::hdlr::Handler;
use crate::isobmff::scan::{ScanError, TopLevel, read_at, read_box};
use crate::isobmff::sidx::SegmentIndex;
use crate::isobmff::tfhd::TrackFragmentHeader;
use crate::isobmff::tkhd::TrackHeader;
use crate::isobmff::trun::TrackRun;
use crate::isobmff::{BoxError, BoxHeader, BoxPath, Node, Problem};
use crate::media::{Source, Track, Tree, max_box_bytes};
use crate::protect::{FragmentWorker, Protection, TrackProtection, signalling};

/// The media data of a fragment is held in memory, up to this size: fragments of trees are a few seconds.
const MAX_MEDIA_DATA_BYTES: u64 = 256 << 20;

/// Handlers of tracks that are no video or audio, beside which they stay as they are: text, captions, metadata, time codes.
const STAY_CLEAR: &[&[u8; 4]] = &[b"text", b"sbtl", b"subt", b"clcp", b"meta", b"tmcd"];

/// What is copied is read in pieces of this many bytes.
const COPY_BYTES: u64 = 1 << 20;

/// Bytes of `trun` between its header and its data offset: version and flags, count.
const TRUN_DATA_OFFSET_AT: usize = 8;

/// A media file that was written: where its bytes went.
#[derive(Debug, Default)]
pub struct WrittenFile {
    pieces: Vec<Piece>,
    bytes: u64,
}

/// A box at the top of a file.
#[derive(Debug)]
struct Piece {
    old: Range<u64>,
    new: Range<u64>,
    is_media_data: bool,
}

impl WrittenFile {
    /// Bytes of the file.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of the file it was made from.
    #[must_use]
    pub fn old_bytes(&self) -> u64 {
        self.pieces.last().map_or(0, |last| last.old.end)
    }

    /// Where a range of the old file is in the new one; `None` where it begins or ends within a box that has grown.
    #[must_use]
    pub fn range(&self, old: &Range<u64>) -> Option<Range<u64>> {
        let (first, last) = self.ends(old)?;
        let start = match old.start - first.old.start {
            0 => first.new.start,
            behind if first.is_media_data => first.new.start + behind,
            _ => return None,
        };
        let end = match last.old.end - old.end {
            0 => last.new.end,
            before if last.is_media_data => last.new.end - before,
            _ => return None,
        };
        Some(start..end)
    }

    /// Where whole boxes of the old file are in the new one.
    fn boxes(&self, old: &Range<u64>) -> Option<Range<u64>> {
        let (first, last) = self.ends(old)?;
        (first.old.start == old.start && last.old.end == old.end).then_some(first.new.start..last.new.end)
    }

    /// The boxes that hold the first and the last byte of a range.
    fn ends(&self, old: &Range<u64>) -> Option<(&Piece, &Piece)> {
        let piece = |offset: u64| {
            let at = self.pieces.partition_point(|piece| piece.old.end <= offset);
            self.pieces.get(at).filter(|piece| piece.old.contains(&offset))
        };
        Some((piece(old.start)?, piece(old.end.checked_sub(1)?)?))
    }
}

/// Writes all media files of `tree` below `folder`, `jobs` files at once, and copies what stays as it is.
///
/// `protections` has one entry a track: of samples, or none where the track stays clear.
///
/// # Errors
/// The first [`PackageError`] of any worker.
pub fn write(
    tree: &Tree,
    protections: &[Option<&Protection>],
    folder: &Path,
    control: &Control<'_>,
) -> Result<BTreeMap<PathBuf, WrittenFile>, PackageError> {
    let mut tasks = Vec::new();
    for rendition in &tree.renditions {
        let tracks = tree
            .presentation
            .tracks
            .get(rendition.tracks.clone())
            .unwrap_or_default();
        let protections = protections.get(rendition.tracks.clone()).unwrap_or_default();
        let protections = protections.iter().map(|protection| protection.as_ref()?.of_samples());
        let mut fragments = fragments_by_file(tracks)?;
        for file in &rendition.files {
            create_parent(&folder.join(file))?;
            tasks.push(Task {
                file,
                input: tree.folder.join(file),
                tracks: tracks.iter().zip(protections.clone()).collect(),
                fragments: fragments.remove(&tree.folder.join(file)).unwrap_or_default(),
            });
        }
    }
    for file in &tree.copies {
        let path = folder.join(file);
        create_parent(&path)?;
        fs::copy(tree.folder.join(file), &path).map_err(|cause| PackageError::write(&path, cause))?;
    }
    let mut written = BTreeMap::new();
    let write = |worker: &mut FileWorker, task: &Task<'_>| {
        let file = worker.write(task, &folder.join(task.file), control)?;
        Ok((task.file.clone(), file))
    };
    control.run(&tasks, write, |_, (path, file)| _ = written.insert(path, file))?;
    Ok(written)
}

fn create_parent(path: &Path) -> Result<(), PackageError> {
    let parent = path.parent().unwrap_or(path);
    fs::create_dir_all(parent).map_err(|cause| PackageError::write(parent, cause))
}

/// One file to write.
struct Task<'a> {
    file: &'a PathBuf,
    input: PathBuf,
    /// Those of its rendition. One that is missing here is refused, not left clear.
    tracks: Vec<(&'a Track, Option<&'a TrackProtection>)>,
    fragments: HashMap<FragmentKey, Range<u32>>,
}

/// A track fragment of a file: where its `moof` is, which of the rendition's tracks it is of, and which of that track's.
type FragmentKey = (u64, usize, usize);

/// The samples of all track fragments of a rendition.
fn fragments_by_file(tracks: &[Track]) -> Result<HashMap<PathBuf, HashMap<FragmentKey, Range<u32>>>, PackageError> {
    let mut by_file: HashMap<PathBuf, HashMap<FragmentKey, Range<u32>>> = HashMap::new();
    for (index, track) in tracks.iter().enumerate() {
        let fragments = find_fragments(index, track).map_err(|cause| super::clear::fragment_error(track, cause))?;
        for fragment in fragments {
            let (path, offset) = track.source.locate(fragment.moof.offset);
            let file = by_file.entry(path.to_owned()).or_default();
            file.insert((offset, index, fragment.traf_index), fragment.samples);
        }
    }
    Ok(by_file)
}

/// Writes file after file, reusing its memory.
#[derive(Default)]
struct FileWorker {
    fragments: FragmentWorker,
    moof: Vec<u8>,
    media_data: Vec<u8>,
}

impl FileWorker {
    fn write(&mut self, task: &Task<'_>, output: &Path, control: &Control<'_>) -> Result<WrittenFile, PackageError> {
        let failed = |cause: ScanError| PackageError::Fragment {
            path: task.input.clone(),
            cause,
        };
        let unreadable = |cause| {
            failed(ScanError::Io {
                offset: 0,
                bytes: 0,
                cause,
            })
        };
        let source = Source::open(&task.input).map_err(unreadable)?;
        let headers = TopLevel::new(&source).collect::<Result<Vec<_>, _>>().map_err(failed)?;
        let mut out = Out::create(output)?;
        let mut scanners: Vec<_> = task.tracks.iter().map(|(track, _)| track.codec.scanner()).collect();
        // The media data that the fragment before it describes, already protected.
        let mut described: Option<BoxHeader> = None;
        for (at, header) in headers.iter().enumerate() {
            if control.cancelled.load(Ordering::Relaxed) {
                return Err(PackageError::Cancelled);
            }
            match &header.kind.0 {
                b"moov" if described.is_none() => {
                    let moov = protect_movie(&source, header, task).map_err(failed)?;
                    out.put(header, &[&moov])?;
                }
                b"moof" if described.is_none() => {
                    let rest = headers.get(at..).unwrap_or_default();
                    let mdat = *rest
                        .iter()
                        .find(|header| header.kind.0 == *b"mdat")
                        .ok_or_else(|| failed(invalid(header, "no media data behind a fragment")))?;
                    self.protect_fragment(&source, header, &mdat, task, &mut scanners)?;
                    out.put(header, &[&self.moof])?;
                    described = Some(mdat);
                }
                b"mdat" if described.as_ref() == Some(header) => {
                    let mut head = vec![0; header.form.header_bytes()];
                    read_at(&source, &mut head, header.offset).map_err(failed)?;
                    out.put(header, &[&head, &self.media_data])?;
                    (control.progress)(self.media_data.len() as u64);
                    described = None;
                }
                b"mdat" if header.payload_bytes() > 0 => {
                    return Err(failed(invalid(
                        header,
                        "media data that no fragment in front of it describes",
                    )));
                }
                b"moov" | b"moof" => {
                    return Err(failed(invalid(header, "stands between a fragment and its media data")));
                }
                // An index that counts from the start of the file, which HLS does not use.
                b"mfra" => {}
                _ => out.copy(&source, header).map_err(|error| match error {
                    CopyError::Read(cause) => failed(cause),
                    CopyError::Write(cause) => cause,
                })?,
            }
        }
        let written = out.written;
        for header in headers.iter().filter(|header| header.kind.0 == *b"sidx") {
            let sidx = move_index(&source, header, &written).map_err(failed)?;
            if let Some(new) = written.range(&(header.offset..header.end())) {
                let start = new.start + header.form.header_bytes() as u64;
                out.file
                    .write_all_at(&sidx, start)
                    .map_err(|cause| PackageError::write(output, cause))?;
            }
        }
        Ok(written)
    }

    /// Protects the samples of a fragment: `self.moof` is its box then, and `self.media_data` the payload of `mdat`.
    fn protect_fragment(
        &mut self,
        source: &Source,
        header: &BoxHeader,
        mdat: &BoxHeader,
        task: &Task<'_>,
        scanners: &mut [Option<Box<dyn SampleScanner>>],
    ) -> Result<(), PackageError> {
        let failed = |cause: ScanError| PackageError::Fragment {
            path: task.input.clone(),
            cause,
        };
        if mdat.payload_bytes() > MAX_MEDIA_DATA_BYTES {
            let what = "bytes of media data in one fragment";
            let limit = MAX_MEDIA_DATA_BYTES;
            return Err(failed(problem(mdat, Problem::TooMany { what, limit })));
        }
        let bytes = read_box(source, header, max_box_bytes(header.kind)).map_err(failed)?;
        let moof = Node::parse_one(&bytes, header.offset).map_err(|error| failed(error.into()))?;
        self.media_data.clear();
        self.media_data
            .resize(usize::try_from(mdat.payload_bytes()).unwrap_or(usize::MAX), 0);
        read_at(source, &mut self.media_data, mdat.payload_offset()).map_err(failed)?;

        // Rebuilt box by box: what grows are the track fragments, and the media data moves by that.
        self.moof.clear();
        self.moof.extend_from_slice(&[0, 0, 0, 0, b'm', b'o', b'o', b'f']);
        let mut data_offsets: Vec<usize> = Vec::new();
        let mut seen: HashMap<u32, usize> = HashMap::new();
        for child in moof.children() {
            if child.kind.0 != *b"traf" {
                child.write(&mut self.moof);
                continue;
            }
            let tfhd: TrackFragmentHeader = child
                .require(&[b"tfhd"])
                .and_then(Node::parse)
                .map_err(|error| failed(error.into()))?;
            check_fragment(child, &tfhd).map_err(|error| failed(error.into()))?;
            let place = seen.entry(tfhd.track_id).or_default();
            let traf_index = *place;
            *place += 1;
            let start = self.moof.len();
            self.moof.extend_from_slice(&[0, 0, 0, 0, b't', b'r', b'a', b'f']);
            let counts_from_moof = tfhd.default_base_is_moof || seen.values().sum::<usize>() == 1;
            let mut samples_here = 0;
            for child in child.children() {
                if child.kind.0 == *b"trun" {
                    let run: TrackRun = child.parse().map_err(|error| failed(error.into()))?;
                    samples_here += run.samples.len();
                    if counts_from_moof && run.data_offset.is_some() {
                        data_offsets.push(self.moof.len() + child.header_bytes() + TRUN_DATA_OFFSET_AT);
                    }
                }
                child.write(&mut self.moof);
            }
            let tracks = task.tracks.iter().enumerate();
            let mut tracks = tracks.filter(|(_, (track, _))| track.id == tfhd.track_id).peekable();
            if samples_here > 0 && tracks.peek().is_some() {
                // Tracks of several init segments may have the same ID; the fragment is one's.
                let found = tracks.find_map(|(index, track)| {
                    Some((index, track, task.fragments.get(&(header.offset, index, traf_index))?))
                });
                let (index, track, samples) = found.ok_or_else(|| {
                    let what = "a fragment that is in no segment of the playlist, and would stay clear";
                    failed(child.invalid(what).into())
                })?;
                let scanner = scanners.get_mut(index).and_then(Option::as_deref_mut);
                self.protect_samples(samples.clone(), *track, scanner, &task.input, mdat)?;
            }
            let size = u32::try_from(self.moof.len() - start).unwrap_or(u32::MAX);
            overwrite(&mut self.moof, start, size.to_be_bytes());
        }
        let size = u32::try_from(self.moof.len()).unwrap_or(u32::MAX);
        overwrite(&mut self.moof, 0, size.to_be_bytes());
        let growth = i64::from(size).saturating_sub_unsigned(header.size);
        for at in data_offsets {
            let old = self.moof.get(at..at + 4).and_then(|field| field.try_into().ok());
            let new = i64::from(i32::from_be_bytes(old.unwrap_or_default())) + growth;
            let new = i32::try_from(new).map_err(|_| failed(invalid(header, "data offsets beyond 31 bits")))?;
            overwrite(&mut self.moof, at, new.to_be_bytes());
        }
        Ok(())
    }

    /// Protects samples in `self.media_data`, and appends what tells how to `self.moof`.
    fn protect_samples(
        &mut self,
        samples: Range<u32>,
        (track, protection): (&Track, Option<&TrackProtection>),
        scanner: Option<&mut (dyn SampleScanner + 'static)>,
        input: &Path,
        mdat: &BoxHeader,
    ) -> Result<(), PackageError> {
        let fragment = self
            .fragments
            .protect(track, samples, protection, scanner)
            .map_err(|cause| PackageError::Sample {
                path: input.to_owned(),
                cause,
            })?;
        let mut rest = fragment.data;
        for sample in fragment.samples {
            let (data, later) = rest.split_at_checked(sample.size as usize).unwrap_or_default();
            rest = later;
            let (path, offset) = track.source.locate(sample.offset);
            let place = offset
                .checked_sub(mdat.payload_offset())
                .and_then(|start| usize::try_from(start).ok())
                .filter(|_| path == input || data.is_empty())
                .and_then(|start| self.media_data.get_mut(start..start.checked_add(data.len())?));
            match place {
                Some(place) => place.copy_from_slice(data),
                None if data.is_empty() => {}
                None => {
                    return Err(PackageError::Fragment {
                        path: input.to_owned(),
                        cause: invalid(mdat, "a sample of the fragment in front of it lies elsewhere"),
                    });
                }
            }
        }
        if fragment.ivs.is_some() || !fragment.entry_counts.is_empty() {
            write_auxiliary_information(&mut self.moof, 0, &fragment);
        }
        Ok(())
    }
}

/// Refuses track fragments that say where data is in a way that does not move with them, or how it is encrypted.
fn check_fragment(traf: &Node<'_>, tfhd: &TrackFragmentHeader) -> Result<(), BoxError> {
    if tfhd.base_data_offset.is_some() {
        let what = "states a base data offset; data offsets must count from the fragment (RFC 8216bis, 3.1.2)";
        return Err(traf.unsupported(what));
    }
    match traf
        .children()
        .iter()
        .find(|child| [*b"senc", *b"saiz", *b"saio"].contains(&child.kind.0))
    {
        Some(child) => Err(child.unsupported("auxiliary information in a fragment that is clear")),
        None => Ok(()),
    }
}

/// The movie box with protected sample entries.
fn protect_movie(source: &Source, header: &BoxHeader, task: &Task<'_>) -> Result<Vec<u8>, ScanError> {
    let bytes = read_box(source, header, max_box_bytes(header.kind))?;
    let mut moov = Node::parse_one(&bytes, header.offset)?.copy_where(&|_| true);
    let traks = moov
        .children_mut()
        .into_iter()
        .flatten()
        .filter(|child| child.kind.0 == *b"trak");
    for trak in traks {
        let id = trak.require(&[b"tkhd"])?.parse::<TrackHeader>()?.track_id;
        // Of several movie boxes in a file, that of a track is the one its source begins with.
        let here = task.tracks.iter().filter(|(track, _)| {
            let (path, start) = track.source.locate(0);
            track.id == id && path == task.input && start <= header.offset
        });
        let Some((track, protection)) = here.max_by_key(|(track, _)| track.source.locate(0).1) else {
            let handler: Handler = trak.require(&[b"mdia", b"hdlr"])?.parse()?;
            if STAY_CLEAR.contains(&&handler.handler_type.0) {
                continue;
            }
            let what = format!(
                "track {id} ('{}') has no samples in the playlist's segments, and would stay clear in others",
                handler.handler_type
            );
            return Err(trak.unsupported(what).into());
        };
        // Text stays clear.
        let Some(protection) = protection else { continue };
        let entries = trak
            .descend_mut(&[b"mdia", b"minf", b"stbl", b"stsd"])
            .and_then(Node::children_mut);
        if let Some(entry) = entries.and_then(|entries| entries.first_mut()) {
            signalling::protect_sample_entry(entry, track.kind, protection);
        }
    }
    if let (Some(children), Some(protection)) = (
        moov.children_mut(),
        task.tracks.iter().find_map(|(_, protection)| *protection),
    ) {
        children.extend(signalling::system_headers(vec![protection.kid], protection));
    }
    let mut out = Vec::new();
    moov.write(&mut out);
    Ok(out)
}

/// The payload of a segment index that refers to where its segments went.
fn move_index(source: &Source, header: &BoxHeader, written: &WrittenFile) -> Result<Vec<u8>, ScanError> {
    let bytes = read_box(source, header, max_box_bytes(header.kind))?;
    let node = Node::parse_one(&bytes, header.offset)?;
    let mut sidx: SegmentIndex = node.parse()?;
    let moved = |old: &Range<u64>| {
        written
            .boxes(old)
            .ok_or_else(|| node.invalid("refers to what does not begin or end with a box"))
    };
    let index_end = moved(&(header.offset..header.end()))?.end;
    let mut start = header.end().saturating_add(sidx.first_offset);
    let mut new_start = None;
    for reference in sidx.references.iter_mut().filter(|reference| reference.size > 0) {
        let end = start.saturating_add(u64::from(reference.size));
        let new = moved(&(start..end))?;
        new_start.get_or_insert(new.start);
        reference.size = u32::try_from(new.end - new.start)
            .ok()
            .filter(|size| size >> 31 == 0)
            .ok_or_else(|| node.unsupported("a subsegment of more than 31 bits"))?;
        start = end;
    }
    if let Some(new_start) = new_start {
        sidx.first_offset = new_start.saturating_sub(index_end);
    }
    let mut payload = Vec::new();
    crate::isobmff::TypedBox::write_payload(&sidx, &mut payload);
    Ok(payload)
}

/// A file while it is written.
struct Out<'a> {
    path: &'a Path,
    file: File,
    written: WrittenFile,
}

enum CopyError {
    Read(ScanError),
    Write(PackageError),
}

impl<'a> Out<'a> {
    fn create(path: &'a Path) -> Result<Self, PackageError> {
        Ok(Self {
            path,
            file: File::create_new(path).map_err(|cause| PackageError::write(path, cause))?,
            written: WrittenFile::default(),
        })
    }

    /// Appends what became of a box.
    fn put(&mut self, header: &BoxHeader, parts: &[&[u8]]) -> Result<(), PackageError> {
        let start = self.written.bytes;
        for part in parts {
            self.append(part)
                .map_err(|cause| PackageError::write(self.path, cause))?;
        }
        self.place(header, start);
        Ok(())
    }

    /// Appends a box as it is.
    fn copy(&mut self, source: &Source, header: &BoxHeader) -> Result<(), CopyError> {
        let start = self.written.bytes;
        let mut offset = header.offset;
        let mut buffer = Vec::new();
        while offset < header.end() {
            let bytes = COPY_BYTES.min(header.end() - offset);
            buffer.resize(usize::try_from(bytes).unwrap_or(usize::MAX), 0);
            read_at(source, &mut buffer, offset).map_err(CopyError::Read)?;
            self.append(&buffer)
                .map_err(|cause| CopyError::Write(PackageError::write(self.path, cause)))?;
            offset += bytes;
        }
        self.place(header, start);
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.written.bytes)?;
        self.written.bytes += bytes.len() as u64;
        Ok(())
    }

    fn place(&mut self, header: &BoxHeader, start: u64) {
        self.written.pieces.push(Piece {
            old: header.offset..header.end(),
            new: start..self.written.bytes,
            is_media_data: header.kind.0 == *b"mdat",
        });
    }
}

fn overwrite(out: &mut [u8], at: usize, value: [u8; 4]) {
    if let Some(field) = out.get_mut(at..at + 4) {
        field.copy_from_slice(&value);
    }
}

fn invalid(header: &BoxHeader, what: &'static str) -> ScanError {
    problem(header, Problem::Invalid(what.into()))
}

fn problem(header: &BoxHeader, problem: Problem) -> ScanError {
    let path = BoxPath::default().child(header.kind).unwrap_or_default();
    let offset = header.offset;
    BoxError { path, offset, problem }.into()
}

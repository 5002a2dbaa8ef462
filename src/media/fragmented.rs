//! Samples of movie fragments (ISO/IEC 14496-12, 8.8).

use super::{Cause, Layout, Sample, Source, Time, Timescale, Track};
use crate::isobmff::mehd::MovieExtendsHeader;
use crate::isobmff::mvhd::MovieHeader;
use crate::isobmff::scan::read_box;
use crate::isobmff::tfdt::TrackFragmentDecodeTime;
use crate::isobmff::tfhd::TrackFragmentHeader;
use crate::isobmff::trex::TrackExtends;
use crate::isobmff::trun::{Fields, TrackRun};
use crate::isobmff::{BoxError, BoxHeader, BoxPath, Node, Problem};

/// A movie fragment's boxes are read whole, up to this size: a million samples of 16 bytes each, four times.
pub(super) const MAX_MOOF_BYTES: usize = 64 << 20;

/// Appends the samples of all movie fragments to their tracks.
///
/// Tracks that the presentation leaves out are read too: every byte of media data must belong to a sample,
/// or else a damaged box would make the output silently shorter.
///
/// # Errors
/// [`Cause`] where a fragment is damaged, or its data is not all there.
pub(super) fn read(source: &Source, moov: &Node<'_>, layout: &Layout, tracks: &mut [Track]) -> Result<(), Cause> {
    let defaults = moov
        .require(&[b"mvex"])?
        .children_of(b"trex")
        .map(Node::parse)
        .collect::<Result<Vec<TrackExtends>, _>>()?;
    let is_fragmented_throughout = tracks.iter().all(|track| track.samples.is_empty());
    let mut media_data = MediaData::new(&layout.mdats);
    for header in &layout.moofs {
        let bytes = read_box(source, header, MAX_MOOF_BYTES)?;
        let moof = Node::parse_one(&bytes, header.offset)?;
        let mut fragment = Fragment {
            defaults: &defaults,
            tracks,
            media_data: &mut media_data,
            next_base: header.offset,
        };
        for traf in moof.children_of(b"traf") {
            fragment.read_track(&moof, traf)?;
        }
    }
    if is_fragmented_throughout {
        media_data.check_complete()?;
    }
    check_duration(moov, tracks)
}

/// A movie fragment while it is read.
struct Fragment<'f> {
    defaults: &'f [TrackExtends],
    tracks: &'f mut [Track],
    media_data: &'f mut MediaData,
    /// Where the next track fragment's data starts that states no base: behind the data of the one before.
    next_base: u64,
}

impl Fragment<'_> {
    fn read_track(&mut self, moof: &Node<'_>, traf: &Node<'_>) -> Result<(), Cause> {
        let tfhd = traf.require(&[b"tfhd"])?;
        let header: TrackFragmentHeader = tfhd.parse()?;
        let defaults = self
            .defaults
            .iter()
            .find(|defaults| defaults.track_id == header.track_id)
            .ok_or_else(|| tfhd.invalid(format!("track {} has no 'trex' box", header.track_id)))?;
        let mut track = self.tracks.iter_mut().find(|track| track.id == header.track_id);

        let default_duration = header
            .default_sample_duration
            .unwrap_or(defaults.default_sample_duration);
        let default_size = header.default_sample_size.unwrap_or(defaults.default_sample_size);
        let default_flags = header.default_sample_flags.unwrap_or(defaults.default_sample_flags);
        let description = header
            .sample_description_index
            .unwrap_or(defaults.default_sample_description_index);
        if track.is_some() && description > 1 {
            return Err(Cause::Unsupported(format!(
                "{} at byte {}: sample description {description} in a fragment is not supported yet",
                tfhd.path, tfhd.offset
            )));
        }

        let mut decode_ticks = match (traf.child(b"tfdt"), &track) {
            (Some(tfdt), Some(track)) => {
                let time = tfdt.parse::<TrackFragmentDecodeTime>()?.base_media_decode_time;
                let last = track
                    .samples
                    .len()
                    .checked_sub(1)
                    .and_then(|last| track.samples.get(last));
                if let Some(last) = last.filter(|last| time < last.decode_ticks) {
                    let what = format!(
                        "decode time {time} lies before {}, that of the sample before it",
                        last.decode_ticks
                    );
                    return Err(tfdt.invalid(what).into());
                }
                time
            }
            (Some(_), None) => 0,
            (None, track) => track.as_ref().map_or(0, |track| track.samples.end_ticks()),
        };

        let base = match header.base_data_offset {
            Some(offset) => offset,
            None if header.default_base_is_moof => moof.offset,
            None => self.next_base,
        };
        let mut offset = base;
        for trun in traf.children_of(b"trun") {
            let run: TrackRun = trun.parse()?;
            if let Some(data_offset) = run.data_offset {
                offset = base
                    .checked_add_signed(i64::from(data_offset))
                    .ok_or_else(|| trun.invalid(format!("a data offset of {data_offset} from byte {base}")))?;
            }
            let start = offset;
            for (index, stored) in run.samples.iter().enumerate() {
                let field = |field, value, default| if run.fields.has(field) { value } else { default };
                let first_flags = run.first_sample_flags.filter(|_| index == 0);
                let sample = Sample {
                    offset,
                    size: field(Fields::SIZE, stored.size, default_size),
                    decode_ticks,
                    duration_ticks: field(Fields::DURATION, stored.duration, default_duration),
                    composition_offset: stored.composition_offset,
                    flags: first_flags.unwrap_or(field(Fields::FLAGS, stored.flags, default_flags)),
                };
                offset = sample.end();
                decode_ticks = decode_ticks.saturating_add(u64::from(sample.duration_ticks));
                if let Some(track) = &mut track {
                    track
                        .samples
                        .push(sample)
                        .map_err(|overflow| trun.invalid(overflow.to_string()))?;
                }
            }
            self.media_data
                .claim(start, offset)
                .map_err(|problem| trun.error(0, problem))?;
        }
        self.next_base = offset;
        Ok(())
    }
}

/// Which bytes of the `mdat` boxes belong to samples.
struct MediaData {
    boxes: Vec<(BoxHeader, u64)>,
}

impl MediaData {
    fn new(mdats: &[BoxHeader]) -> Self {
        Self {
            boxes: mdats.iter().map(|header| (*header, 0)).collect(),
        }
    }

    /// Bytes `start` to `end` of the file belong to samples.
    fn claim(&mut self, start: u64, end: u64) -> Result<(), Problem> {
        if start == end {
            return Ok(());
        }
        let next = self.boxes.partition_point(|(mdat, _)| mdat.offset <= start);
        let mdat = next.checked_sub(1).and_then(|index| self.boxes.get_mut(index));
        match mdat.filter(|(mdat, _)| mdat.payload_offset() <= start && end <= mdat.end()) {
            Some((_, claimed)) => {
                *claimed = claimed.saturating_add(end - start);
                Ok(())
            }
            None => Err(Problem::Invalid(
                format!(
                    "samples at bytes {start} to {end} are not inside one 'mdat'; the file is truncated or damaged"
                )
                .into(),
            )),
        }
    }

    fn check_complete(&self) -> Result<(), Cause> {
        for (mdat, claimed) in &self.boxes {
            if *claimed < mdat.payload_bytes() {
                let path = BoxPath::default().child(mdat.kind).unwrap_or_default();
                let what = format!(
                    "{} of its {} bytes belong to no sample; a movie fragment is missing or damaged",
                    mdat.payload_bytes() - claimed,
                    mdat.payload_bytes()
                );
                let problem = Problem::Invalid(what.into());
                return Err(BoxError {
                    path,
                    offset: mdat.offset,
                    problem,
                }
                .into());
            }
        }
        Ok(())
    }
}

/// Where `mehd` says how long the presentation is, the fragments must reach its end.
fn check_duration(moov: &Node<'_>, tracks: &[Track]) -> Result<(), Cause> {
    let Some(mehd) = moov.descend(&[b"mvex", b"mehd"]) else {
        return Ok(());
    };
    let movie: MovieHeader = moov.require(&[b"mvhd"])?.parse()?;
    let stated = mehd.parse::<MovieExtendsHeader>()?.fragment_duration_ticks;
    let movie_timescale =
        Timescale::new(movie.timescale).ok_or_else(|| moov.invalid("a timescale of 0 is not allowed"))?;
    let stated_seconds = Time::new(i64::try_from(stated).unwrap_or(i64::MAX), movie_timescale).seconds();
    let reached = tracks
        .iter()
        .map(|track| {
            Time::new(
                i64::try_from(track.samples.end_ticks()).unwrap_or(i64::MAX),
                track.timescale,
            )
            .seconds()
        })
        .fold(0.0, f64::max);
    // Writers round, and count in different ways what edits skip: a second is no truncation yet.
    if reached + 1.0 < stated_seconds {
        let what =
            format!("says {stated_seconds:.3} s, and the fragments end at {reached:.3} s; the file is truncated");
        return Err(mehd.invalid(what).into());
    }
    Ok(())
}

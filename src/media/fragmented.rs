//! Samples of movie fragments (ISO/IEC 14496-12, 8.8).

use std::collections::BTreeMap;

use super::media_data::MediaData;
use super::sample_table::MAX_DECODE_TICKS;
use super::{Cause, Layout, Sample, SampleTable, Source, Time, Timescale, Track};
use crate::isobmff::mdhd::MediaHeader;
use crate::isobmff::mehd::MovieExtendsHeader;
use crate::isobmff::mvhd::MovieHeader;
use crate::isobmff::scan::read_box;
use crate::isobmff::sidx::SegmentIndex;
use crate::isobmff::tfdt::TrackFragmentDecodeTime;
use crate::isobmff::tfhd::TrackFragmentHeader;
use crate::isobmff::tkhd::TrackHeader;
use crate::isobmff::trex::TrackExtends;
use crate::isobmff::trun::{Fields, TrackRun};
use crate::isobmff::{BoxError, Node};

/// A movie fragment's boxes are read whole, up to this size: a million samples of 16 bytes each, four times.
pub(super) const MAX_MOOF_BYTES: usize = 64 << 20;

/// A segment index is read whole; it refers to at most 65,535 subsegments of 12 bytes each.
const MAX_SIDX_BYTES: usize = 1 << 20;

/// Appends the samples of all movie fragments to their tracks.
///
/// Tracks that the presentation leaves out are read too: every byte of media data must belong to a sample,
/// or else a damaged box would make the output silently shorter.
///
/// # Errors
/// [`Cause`] where a fragment is damaged, or its data is not all there.
pub(super) fn read(
    source: &Source,
    moov: &Node<'_>,
    layout: &Layout,
    movie_timescale: Timescale,
    tracks: &mut [Track],
) -> Result<(), Cause> {
    // What lies in front of the first fragment is the movie box's, if that has samples of its own.
    let first_fragment = layout.moofs.first().map_or(source.bytes(), |moof| moof.offset);
    let is_fragmented_throughout = tracks.iter().all(|track| track.samples.is_empty());
    let mut tracks = fragmented_tracks(moov, tracks)?;
    let mut media_data = MediaData::new(&layout.mdats);
    for header in &layout.moofs {
        let bytes = read_box(source, header, MAX_MOOF_BYTES)?;
        let moof = Node::parse_one(&bytes, header.offset)?;
        let mut fragment = Fragment {
            tracks: &mut tracks,
            media_data: &mut media_data,
            next_base: header.offset,
        };
        for traf in moof.children_of(b"traf") {
            fragment.read_track(&moof, traf)?;
        }
    }
    media_data.check_complete(if is_fragmented_throughout { 0 } else { first_fragment })?;
    check_segment_indexes(source, layout)?;
    check_duration(moov, movie_timescale, &tracks)
}

/// A track while its fragments are read.
struct FragmentedTrack<'t> {
    defaults: Option<TrackExtends>,
    timescale: Timescale,
    /// Where its samples end so far, in ticks of its timescale.
    end_ticks: u64,
    /// What its fragments are read into; `None` where the presentation leaves it out.
    track: Option<&'t mut Track>,
}

/// All tracks of `moov` by their IDs.
fn fragmented_tracks<'t>(
    moov: &Node<'_>,
    tracks: &'t mut [Track],
) -> Result<BTreeMap<u32, FragmentedTrack<'t>>, BoxError> {
    let mut fragmented = BTreeMap::new();
    for trak in moov.children_of(b"trak") {
        let track_id = trak.require(&[b"tkhd"])?.parse::<TrackHeader>()?.track_id;
        let mdhd = trak.require(&[b"mdia", b"mdhd"])?;
        let timescale = mdhd.parse::<MediaHeader>()?.timescale;
        let track = FragmentedTrack {
            defaults: None,
            timescale: Timescale::new(timescale).ok_or_else(|| mdhd.invalid("a timescale of 0 is not allowed"))?,
            end_ticks: 0,
            track: None,
        };
        if fragmented.insert(track_id, track).is_some() {
            return Err(trak.invalid(format!("a second track with ID {track_id}")));
        }
    }
    for trex in moov.require(&[b"mvex"])?.children_of(b"trex") {
        let defaults: TrackExtends = trex.parse()?;
        let track = fragmented
            .get_mut(&defaults.track_id)
            .ok_or_else(|| trex.invalid(format!("speaks of track {}, which is not there", defaults.track_id)))?;
        track.defaults = Some(defaults);
    }
    for track in tracks {
        if let Some(fragmented) = fragmented.get_mut(&track.id) {
            fragmented.end_ticks = track.samples.end_ticks();
            fragmented.track = Some(track);
        }
    }
    Ok(fragmented)
}

/// A movie fragment while it is read.
struct Fragment<'f, 't> {
    tracks: &'f mut BTreeMap<u32, FragmentedTrack<'t>>,
    media_data: &'f mut MediaData,
    /// Where the next track fragment's data starts that states no base: behind the data of the one before.
    next_base: u64,
}

impl Fragment<'_, '_> {
    fn read_track(&mut self, moof: &Node<'_>, traf: &Node<'_>) -> Result<(), Cause> {
        let tfhd = traf.require(&[b"tfhd"])?;
        let header: TrackFragmentHeader = tfhd.parse()?;
        let track = self.tracks.get_mut(&header.track_id);
        let Some((defaults, track)) = track.and_then(|track| Some((track.defaults?, track))) else {
            return Err(tfhd
                .invalid(format!("track {} has no 'trex' box", header.track_id))
                .into());
        };
        let defaults = Defaults::of(&header, &defaults);
        if track.track.is_some() && defaults.description > 1 {
            let what = format!(
                "sample description {} in a fragment is not supported yet",
                defaults.description
            );
            return Err(tfhd.unsupported(what).into());
        }
        if let Some(tfdt) = traf.child(b"tfdt") {
            let time = tfdt.parse::<TrackFragmentDecodeTime>()?.base_media_decode_time;
            if time >= MAX_DECODE_TICKS {
                let signed = time.cast_signed();
                let what =
                    format!("decode time {time} is beyond 2^62 ticks (and no time where it is meant as {signed})");
                return Err(tfdt.invalid(what).into());
            }
            let samples = track.track.as_ref().map(|track| &track.samples);
            let last = samples.and_then(SampleTable::last_decode_ticks);
            if let Some(last) = last.filter(|last| time < *last) {
                let what = format!("decode time {time} lies before {last}, that of the sample before it");
                return Err(tfdt.invalid(what).into());
            }
            track.end_ticks = time;
        }

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
            let bytes = run.data_bytes(defaults.size);
            if run.is_unbacked(defaults.size) {
                let what = format!("{} samples without any fields or data", run.samples.len());
                return Err(trun.invalid(what).into());
            }
            self.media_data
                .claim(offset, offset.saturating_add(bytes))
                .map_err(|problem| trun.error(0, problem))?;
            for sample in defaults.samples(&run, offset, track.end_ticks) {
                if let Some(track) = &mut track.track {
                    track
                        .samples
                        .push(sample)
                        .map_err(|overflow| trun.invalid(overflow.to_string()))?;
                }
                track.end_ticks = sample.decode_ticks.saturating_add(u64::from(sample.duration_ticks));
            }
            offset = offset.saturating_add(bytes);
        }
        self.next_base = offset;
        Ok(())
    }
}

/// What holds for the samples of a track fragment that say nothing else.
struct Defaults {
    duration: u32,
    size: u32,
    flags: u32,
    description: u32,
}

impl Defaults {
    /// Those of the track fragment, or else of the track.
    fn of(header: &TrackFragmentHeader, track: &TrackExtends) -> Self {
        Self {
            duration: header.default_sample_duration.unwrap_or(track.default_sample_duration),
            size: header.default_sample_size.unwrap_or(track.default_sample_size),
            flags: header.default_sample_flags.unwrap_or(track.default_sample_flags),
            description: header
                .sample_description_index
                .unwrap_or(track.default_sample_description_index),
        }
    }

    /// A run's samples, the first of which lies at byte `offset` and is decoded at `decode_ticks`.
    fn samples(&self, run: &TrackRun, offset: u64, decode_ticks: u64) -> impl Iterator<Item = Sample> {
        let field = |field, value, default| if run.fields.has(field) { value } else { default };
        let mut first_flags = run.first_sample_flags;
        run.samples
            .iter()
            .scan((offset, decode_ticks), move |(offset, decode_ticks), stored| {
                let sample = Sample {
                    offset: *offset,
                    size: field(Fields::SIZE, stored.size, self.size),
                    decode_ticks: *decode_ticks,
                    duration_ticks: field(Fields::DURATION, stored.duration, self.duration),
                    composition_offset: stored.composition_offset,
                    flags: first_flags
                        .take()
                        .unwrap_or(field(Fields::FLAGS, stored.flags, self.flags)),
                };
                *offset = sample.end();
                *decode_ticks = decode_ticks.saturating_add(u64::from(sample.duration_ticks));
                Some(sample)
            })
    }
}

/// What a segment index refers to must be there: a file cut between two fragments looks whole otherwise.
fn check_segment_indexes(source: &Source, layout: &Layout) -> Result<(), Cause> {
    for header in &layout.sidxs {
        let bytes = read_box(source, header, MAX_SIDX_BYTES)?;
        let sidx = Node::parse_one(&bytes, header.offset)?;
        let end = header.end().saturating_add(sidx.parse::<SegmentIndex>()?.reach_bytes());
        if end > source.bytes() {
            let what = format!(
                "refers to media up to byte {end} of a file of {}; it is truncated or damaged",
                source.bytes()
            );
            return Err(sidx.invalid(what).into());
        }
    }
    Ok(())
}

/// Where boxes say how long the presentation is, the longest track must reach its end.
///
/// `mvhd` should speak of the samples of `moov` alone; many writers have it speak of all.
fn check_duration(
    moov: &Node<'_>,
    movie_timescale: Timescale,
    tracks: &BTreeMap<u32, FragmentedTrack<'_>>,
) -> Result<(), Cause> {
    let mvhd = moov.require(&[b"mvhd"])?;
    let mut stated = vec![(mvhd, mvhd.parse::<MovieHeader>()?.duration_ticks)];
    if let Some(mehd) = moov.descend(&[b"mvex", b"mehd"]) {
        stated.push((mehd, mehd.parse::<MovieExtendsHeader>()?.fragment_duration_ticks));
    }
    for (header, ticks) in stated {
        // Zero and all ones are what writers put where they don't know (ISO/IEC 14496-12, 8.2.2.3).
        if [0, u64::from(u32::MAX), u64::MAX].contains(&ticks) {
            continue;
        }
        let stated = Time::new(i64::try_from(ticks).unwrap_or(i64::MAX), movie_timescale);
        // Writers round to a tick.
        let at_least = Time::new(stated.ticks - 1, movie_timescale);
        if !tracks.values().any(|track| track.reaches(at_least)) {
            let what =
                format!("says that the media lasts {stated}, and its fragments end before; the file is truncated");
            return Err(header.invalid(what).into());
        }
    }
    Ok(())
}

impl FragmentedTrack<'_> {
    /// Whether its samples last until `end`, give or take the last one: writers don't agree on how long that one lasts.
    fn reaches(&self, end: Time) -> bool {
        let time = |ticks: u64| Time::new(i64::try_from(ticks).unwrap_or(i64::MAX), self.timescale);
        let samples = self.track.as_ref().map(|track| &track.samples);
        let last = samples.and_then(SampleTable::last_decode_ticks);
        let last_duration = time(last.map_or(0, |last| self.end_ticks.saturating_sub(last)));
        // A piece of a live stream keeps the stream's times, and counts its duration from its own start.
        let first = samples.and_then(|samples| samples.get(0));
        let first = time(first.map_or(0, |first| first.decode_ticks));
        let end = if first < end { end } else { first + end };
        if time(self.end_ticks) + last_duration >= end {
            return true;
        }
        // Composition offsets and a late start have it end later.
        self.track.as_ref().is_some_and(|track| {
            let shown = track.samples.all().map(|sample| track.presentation_end(&sample)).max();
            shown.is_some_and(|shown| shown + last_duration >= end)
        })
    }
}

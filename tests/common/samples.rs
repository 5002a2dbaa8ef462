//! Samples of a fragmented file and how they are encrypted, read by `mp4-atom`, which we did not write.

use mp4_atom::{Atom, Decode, Header, Moof, Tfhd, Traf, Trex};

/// One sample as it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// When it is decoded, in ticks of its track.
    pub decode_ticks: u64,
    /// How long it lasts, in ticks.
    pub duration_ticks: u32,
    /// Composition time minus decode time, in ticks.
    pub composition_ticks: i64,
    /// Whether decoding can begin here.
    pub is_sync: bool,
    /// Its bytes.
    pub data: Vec<u8>,
    /// Its IV; empty where that is constant.
    pub iv: Vec<u8>,
    /// Clear and protected bytes by turns; `None` where it has no map.
    pub subsamples: Option<Vec<(u16, u32)>>,
}

/// Reads all samples of the one track of a fragmented file, or says what is wrong with it.
///
/// Where there is sample auxiliary information, what `saiz` and `saio` point at must be what `senc` holds, read with IVs of the
/// size that `tenc` says (ISO/IEC 23001-7, 7.2).
pub fn read(file: &[u8]) -> Result<Vec<Sample>, String> {
    let mut samples = Vec::new();
    let mut extends = None;
    let iv_size = protection(file).and_then(|(_, _, tenc)| tenc.get(7).copied());
    let iv_size = usize::from(iv_size.unwrap_or(0));
    for (kind, start, body) in boxes(file, 0)? {
        if kind == *b"moov" {
            extends = Some(track_extends(body)?);
        } else if kind == *b"moof" {
            let moof = Moof::decode_body(&mut &*body).map_err(|error| format!("moof at byte {start}: {error}"))?;
            let extends = extends.as_ref().ok_or("a moof in front of the moov")?;
            for traf in &moof.traf {
                if traf.tfhd.track_id != extends.track_id {
                    return Err(format!("moof at byte {start}: a second track"));
                }
                track_fragment(file, start, traf, (extends, iv_size), &mut samples)
                    .map_err(|error| format!("moof at byte {start}: {error}"))?;
            }
        }
    }
    Ok(samples)
}

/// A box as its type, where it starts, and its body.
pub type Box<'a> = ([u8; 4], usize, &'a [u8]);

/// The boxes of `data`, which stands at `offset`.
pub fn boxes(data: &[u8], offset: usize) -> Result<Vec<Box<'_>>, String> {
    let mut found = Vec::new();
    let mut rest = data;
    while !rest.is_empty() {
        let start = offset + data.len() - rest.len();
        let mut body = rest;
        let header = Header::decode(&mut body).map_err(|error| format!("box at byte {start}: {error}"))?;
        let size = header.size.unwrap_or(body.len());
        let (body, next) = body
            .split_at_checked(size)
            .ok_or_else(|| format!("box at byte {start} is cut off"))?;
        found.push((header.kind.into(), start, body));
        rest = next;
    }
    Ok(found)
}

/// The first box down a path of types, as its body.
pub fn find<'a>(data: &'a [u8], path: &[&[u8; 4]]) -> Option<&'a [u8]> {
    path.iter().try_fold(data, |data, kind| {
        let boxes = boxes(data, 0).ok()?;
        boxes
            .into_iter()
            .find(|(found, ..)| found == *kind)
            .map(|(_, _, body)| body)
    })
}

fn track_extends(moov: &[u8]) -> Result<Trex, String> {
    let body = find(moov, &[b"mvex", b"trex"]).ok_or("no trex")?;
    Trex::decode_body(&mut &*body).map_err(|error| format!("trex: {error}"))
}

fn track_fragment(
    file: &[u8],
    moof_start: usize,
    traf: &Traf,
    (extends, iv_size): (&Trex, usize),
    samples: &mut Vec<Sample>,
) -> Result<(), String> {
    let Tfhd {
        default_base_is_moof,
        base_data_offset,
        sample_description_index,
        ..
    } = traf.tfhd;
    if !default_base_is_moof || base_data_offset.is_some() || sample_description_index.is_some_and(|index| index != 1) {
        return Err(format!("a tfhd that this reader does not know: {:?}", traf.tfhd));
    }
    let mut decode_ticks = traf.tfdt.as_ref().ok_or("no tfdt")?.base_media_decode_time;
    let first = samples.len();
    for run in &traf.trun {
        let data_offset = usize::try_from(run.data_offset.ok_or("a trun without data offset")?);
        let mut at = moof_start + data_offset.map_err(|_| "a negative data offset")?;
        for entry in &run.samples {
            let size = entry
                .size
                .or(traf.tfhd.default_sample_size)
                .unwrap_or(extends.default_sample_size) as usize;
            let duration_ticks = entry
                .duration
                .or(traf.tfhd.default_sample_duration)
                .unwrap_or(extends.default_sample_duration);
            let flags = entry
                .flags
                .or(traf.tfhd.default_sample_flags)
                .unwrap_or(extends.default_sample_flags);
            let data = file
                .get(at..at + size)
                .ok_or_else(|| format!("sample at byte {at} is cut off"))?;
            samples.push(Sample {
                decode_ticks,
                duration_ticks,
                composition_ticks: entry.cts.unwrap_or(0),
                is_sync: flags & 0x0001_0000 == 0,
                data: data.to_vec(),
                iv: Vec::new(),
                subsamples: None,
            });
            at += size;
            decode_ticks += u64::from(duration_ticks);
        }
    }
    let samples = samples.get_mut(first..).unwrap_or_default();
    auxiliary_information(file, moof_start, traf, iv_size, samples)
}

fn auxiliary_information(
    file: &[u8],
    moof_start: usize,
    traf: &Traf,
    iv_size: usize,
    samples: &mut [Sample],
) -> Result<(), String> {
    let (saiz, saio, senc) = match (&*traf.saiz, &*traf.saio, &traf.senc) {
        ([], [], None) => return Ok(()),
        // Shaka Packager: with a constant IV and no subsamples nothing is left to say of a sample.
        ([], [], Some(senc)) if !senc.use_subsamples && senc.data.len() == 4 => return Ok(()),
        ([saiz], [saio], Some(senc)) => (saiz, saio, senc),
        _ => return Err("saiz, saio and senc come together".to_owned()),
    };
    let [offset] = *saio.offsets else {
        return Err(format!("saio with {} offsets", saio.offsets.len()));
    };
    if saiz.sample_count as usize != samples.len() {
        return Err(format!(
            "saiz counts {} samples of {}",
            saiz.sample_count,
            samples.len()
        ));
    }
    let start = moof_start + usize::try_from(offset).map_err(|_| "saio's offset")?;
    let mut at = start;
    for (index, sample) in samples.iter_mut().enumerate() {
        let size = match saiz.default_sample_info_size {
            0 => saiz.sample_info_size.get(index).copied().ok_or("saiz is too short")?,
            size => size,
        };
        let info = file
            .get(at..at + usize::from(size))
            .ok_or("saio points out of the file")?;
        let (iv, map) = info
            .split_at_checked(iv_size)
            .ok_or_else(|| format!("sample {index}: {} bytes can't hold an IV", info.len()))?;
        sample.iv = iv.to_vec();
        if senc.use_subsamples {
            sample.subsamples =
                Some(subsamples(map).ok_or_else(|| format!("sample {index}: {} bytes can't be a map", map.len()))?);
        } else if !map.is_empty() {
            return Err(format!("sample {index}: {} bytes behind its IV", map.len()));
        }
        at += usize::from(size);
    }
    let by_offset = file.get(start..at).unwrap_or_default();
    let (count, by_box) = senc.data.split_first_chunk::<4>().ok_or("senc is too short")?;
    if u32::from_be_bytes(*count) != saiz.sample_count || by_box != by_offset {
        return Err("senc is not what saiz and saio point at".to_owned());
    }
    Ok(())
}

/// A subsample map: a count, then clear and protected bytes (ISO/IEC 23001-7, 7.2.2); `None` where it does not fill `info`.
fn subsamples(info: &[u8]) -> Option<Vec<(u16, u32)>> {
    let (count, entries) = info.split_first_chunk::<2>()?;
    let (entries, rest) = entries.as_chunks::<6>();
    let complete = rest.is_empty() && entries.len() == usize::from(u16::from_be_bytes(*count));
    let entry = |&[a, b, c, d, e, f]: &[u8; 6]| (u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, f]));
    complete.then(|| entries.iter().map(entry).collect())
}

/// What the sample entry's `sinf` says: original format, scheme, and the body of `tenc`.
pub fn protection(init: &[u8]) -> Option<([u8; 4], [u8; 4], Vec<u8>)> {
    let stsd = find(init, &[b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"])?;
    let entries = boxes(stsd.get(8..)?, 0).ok()?;
    let (kind, _, entry) = *entries.first()?;
    let fields = if kind == *b"encv" { 78 } else { 28 };
    let sinf = find(entry.get(fields..)?, &[b"sinf"])?;
    let original = find(sinf, &[b"frma"])?.first_chunk::<4>()?;
    let scheme = find(sinf, &[b"schm"])?.get(4..8)?.first_chunk::<4>()?;
    Some((*original, *scheme, find(sinf, &[b"schi", b"tenc"])?.to_vec()))
}

//! Reads what a track fragment says of its samples' encryption: IVs and subsample maps (ISO/IEC 23001-7, 7.2).

use crate::isobmff::saio::AuxiliaryOffsets;
use crate::isobmff::saiz::AuxiliarySizes;
use crate::isobmff::scan::{ReadAt, ScanError, read_at};
use crate::isobmff::senc::{self, SampleEncryption};
use crate::isobmff::tfhd::TrackFragmentHeader;
use crate::isobmff::trun::TrackRun;
use crate::isobmff::{FourCc, Node, Reader};

/// The auxiliary information of each sample of `traf`, whose `moof` stands in `source`, under the scheme of that
/// four-character code; `None` where there is none, which with a constant IV means that whole samples are protected.
///
/// `saiz` and `saio` count where they are there, and `senc` where they are not: writers have put other bytes
/// around the entries of `senc`, and none beside `saio`. `iv_size` is `tenc`'s, in bytes.
///
/// # Errors
/// [`ScanError`] where the boxes contradict each other or themselves, or reading fails.
pub fn read<S: ReadAt + ?Sized>(
    source: &S,
    moof: &Node<'_>,
    traf: &Node<'_>,
    scheme: FourCc,
    iv_size: u8,
) -> Result<Option<Vec<SampleEncryption>>, ScanError> {
    let of_the_scheme =
        |aux_info: Option<(FourCc, u32)>| aux_info.is_none_or(|(kind, parameter)| kind == scheme && parameter == 0);
    let mut sizes = None;
    for node in traf.children_of(b"saiz") {
        let parsed: AuxiliarySizes = node.parse()?;
        if of_the_scheme(parsed.aux_info) {
            sizes = Some((node, parsed.sizes));
        }
    }
    let mut offsets = None;
    for node in traf.children_of(b"saio") {
        let parsed: AuxiliaryOffsets = node.parse()?;
        if of_the_scheme(parsed.aux_info) {
            offsets = Some((node, parsed.offsets));
        }
    }
    let ((saiz, sizes), (saio, offsets)) = match (sizes, offsets) {
        (Some(sizes), Some(offsets)) => (sizes, offsets),
        (Some((saiz, _)), None) => return Err(saiz.invalid("there is no 'saio' beside it").into()),
        (None, Some((saio, _))) => return Err(saio.invalid("there is no 'saiz' beside it").into()),
        (None, None) => {
            let parsed = traf
                .child(b"senc")
                .map(|node| node.read(|payload| senc::parse(payload, iv_size)));
            return Ok(parsed.transpose()?);
        }
    };

    let header: TrackFragmentHeader = traf.require(&[b"tfhd"])?.parse()?;
    let base = header.base_data_offset.unwrap_or(moof.offset);
    let mut run_lengths = Vec::new();
    for trun in traf.children_of(b"trun") {
        run_lengths.push(trun.parse::<TrackRun>()?.samples.len());
    }
    let count: usize = run_lengths.iter().sum();
    if sizes.len() != count {
        let what = format!("speaks of {} samples, and the fragment has {count}", sizes.len());
        return Err(saiz.invalid(what).into());
    }
    if offsets.len() == 1 {
        run_lengths = vec![count];
    } else if offsets.len() != run_lengths.len() {
        let what = format!(
            "has {} offsets for {} runs of samples",
            offsets.len(),
            run_lengths.len()
        );
        return Err(saio.invalid(what).into());
    }

    let mut samples = Vec::with_capacity(count);
    for (offset, run_length) in offsets.into_iter().zip(run_lengths) {
        let run: Vec<usize> = (samples.len()..samples.len() + run_length)
            .map(|index| sizes.get(index).map_or(0, usize::from))
            .collect();
        let start = base.checked_add(offset).filter(|start| *start <= source.len());
        let start = start.ok_or_else(|| saio.invalid(format!("offset {offset} lies outside the file")))?;
        let mut bytes = vec![0; run.iter().sum()];
        read_at(source, &mut bytes, start)?;
        let mut rest = bytes.as_slice();
        for (index, size) in run.into_iter().enumerate() {
            let (entry, later) = rest.split_at_checked(size).unwrap_or_default();
            rest = later;
            let mut reader = Reader::new(entry);
            let sample = senc::parse_sample(&mut reader, iv_size, size > usize::from(iv_size));
            match sample {
                Ok(sample) if reader.is_empty() => samples.push(sample),
                _ => {
                    let what = format!(
                        "the {size} bytes that it gives sample {} are no subsample map",
                        index + 1
                    );
                    return Err(saiz.invalid(what).into());
                }
            }
        }
    }
    Ok(Some(samples))
}

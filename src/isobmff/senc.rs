//! `senc`: IVs and subsample maps of a fragment's samples (ISO/IEC 23001-7, 7.2).

use super::writer::{Put, full_box};
use super::{Fault, FourCc, Reader, describe};

const USE_SUBSAMPLES: u32 = 2;

/// The box's type. It is no [`super::TypedBox`]: what its bytes mean depends on the IV size of `tenc`.
pub const TYPE: FourCc = FourCc::new(b"senc");

/// Bytes of a subsample entry.
pub const ENTRY_BYTES: usize = 6;

/// One entry of a subsample map (ISO/IEC 23001-7, 9.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Subsample {
    /// `BytesOfClearData`.
    pub clear_bytes: u16,
    /// `BytesOfProtectedData`, behind the clear ones.
    pub protected_bytes: u32,
}

/// The auxiliary information of one sample.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct SampleEncryption {
    /// 0 bytes where the IV is constant.
    #[serde(serialize_with = "describe::hex")]
    pub iv: Vec<u8>,
    /// Empty where the whole sample is protected.
    #[serde(serialize_with = "describe::table")]
    pub subsamples: Vec<Subsample>,
}

/// Reads the payload: the auxiliary information of each sample.
///
/// # Errors
/// A [`Fault`] where the payload does not hold what it states.
pub fn parse(payload: &mut Reader<'_>, iv_size: u8) -> Result<Vec<SampleEncryption>, Fault> {
    let (_, flags) = payload.full_box(0)?;
    let has_subsamples = flags & USE_SUBSAMPLES != 0;
    let smallest = usize::from(iv_size) + if has_subsamples { 2 } else { 0 };
    if smallest == 0 {
        return Ok(Vec::new());
    }
    let count = payload.count(smallest)?;
    (0..count)
        .map(|_| parse_sample(payload, iv_size, has_subsamples))
        .collect()
}

/// Reads one sample's auxiliary information, as `senc` and what `saio` points at store it.
///
/// # Errors
/// A [`Fault`] where the bytes end too early.
pub fn parse_sample(payload: &mut Reader<'_>, iv_size: u8, has_subsamples: bool) -> Result<SampleEncryption, Fault> {
    let iv = payload.bytes(usize::from(iv_size))?.to_vec();
    let count = if has_subsamples { payload.u16()? } else { 0 };
    let subsamples = (0..count)
        .map(|_| {
            Ok(Subsample {
                clear_bytes: payload.u16()?,
                protected_bytes: payload.u32()?,
            })
        })
        .collect::<Result<_, _>>()?;
    Ok(SampleEncryption { iv, subsamples })
}

/// Appends the box: each sample's IV, and where `entry_counts` has one a sample, its subsamples.
///
/// IVs have the first `iv_size` bytes of 16; none where they are constant.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a fragment's samples are counted in 32 bits"
)]
pub fn write(
    out: &mut Vec<u8>,
    iv_size: u8,
    ivs: impl ExactSizeIterator<Item = [u8; 16]>,
    entry_counts: &[u16],
    subsamples: &[Subsample],
) {
    super::writer::boxed(out, TYPE, |out| {
        full_box(out, 0, if entry_counts.is_empty() { 0 } else { USE_SUBSAMPLES });
        out.put_u32(ivs.len() as u32);
        let mut counts = entry_counts.iter();
        let mut entries = subsamples.iter();
        for iv in ivs {
            out.extend_from_slice(iv.get(..usize::from(iv_size)).unwrap_or(&iv));
            let Some(count) = counts.next() else { continue };
            out.put_u16(*count);
            for entry in entries.by_ref().take(usize::from(*count)) {
                out.put_u16(entry.clear_bytes);
                out.put_u32(entry.protected_bytes);
            }
        }
    });
}

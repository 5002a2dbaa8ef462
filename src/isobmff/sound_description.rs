//! `QuickTime`'s sound descriptions of versions 1 and 2, as cameras and phones write them, and what ISO files have instead
//! (`QuickTime File Format`, "Sound sample descriptions"; ISO/IEC 14496-12, 12.2.3).

use std::borrow::Cow;

use super::{BoxError, Content, Fault, Node, Reader};

/// Boxes of the description that say to `QuickTime` what an `AudioSampleEntry` has no place for.
const OF_QUICKTIME: &[&[u8; 4]] = &[b"wave", b"chan"];

/// Boxes of `wave` that repeat the description's own type.
const OF_WAVE: &[&[u8; 4]] = &[b"frma", b"mp4a"];

/// Fields that every sample entry begins with (ISO/IEC 14496-12, 8.5.2).
const SAMPLE_ENTRY_BYTES: usize = 8;

/// `sampleSize` of compressed sound, in bits.
const SAMPLE_BITS: u16 = 16;

/// The audio sample entry of an ISO file that says what `entry` does: version 0, and the codec's configuration beside it
/// instead of in `wave`. What is one already comes back as it is.
///
/// # Errors
/// [`BoxError`] where fields end too early.
pub fn to_iso<'n, 'a>(entry: &'n Node<'a>) -> Result<Cow<'n, Node<'a>>, BoxError> {
    let Content::Container { fields, children, .. } = &entry.content else {
        return Ok(Cow::Borrowed(entry));
    };
    let wave = entry.child(b"wave");
    if !entry.is_audio_entry() || (fields.get(8..10) == Some(&[0, 0]) && wave.is_none()) {
        return Ok(Cow::Borrowed(entry));
    }
    let kept = |children: &[Node<'a>], left_out: &[&[u8; 4]]| -> Vec<Node<'a>> {
        let kept = children.iter().filter(|child| !left_out.contains(&&child.kind.0));
        kept.cloned().collect()
    };
    let mut boxes = kept(wave.map_or(&[], |wave| wave.children()), OF_WAVE);
    boxes.extend(kept(children, OF_QUICKTIME));
    let mut iso = entry.clone();
    iso.content = Content::Container {
        fields: entry.read(iso_fields)?.into(),
        children: boxes,
        tail: Cow::default(),
    };
    Ok(Cow::Owned(iso))
}

/// The fields of an `AudioSampleEntry` out of a sound description's.
fn iso_fields(fields: &mut Reader<'_>) -> Result<Vec<u8>, Fault> {
    let mut iso = fields.bytes(SAMPLE_ENTRY_BYTES)?.to_vec();
    let version = fields.u16()?;
    let (_revision, _vendor) = (fields.u16()?, fields.u32()?);
    let (mut channels, mut sample_bits) = (fields.u16()?, fields.u16()?);
    let (_compression_id, _packet_size) = (fields.u16()?, fields.u16()?);
    let mut sample_rate = fields.u32()?;
    if version == 2 {
        let _size_of_struct = fields.u32()?;
        sample_rate = fixed_16_16(f64::from_bits(fields.u64()?));
        channels = u16::try_from(fields.u32()?).map_err(|_| fields.invalid("has more than 65,535 channels"))?;
        sample_bits = SAMPLE_BITS;
    }
    iso.extend_from_slice(&[0; 8]);
    iso.extend_from_slice(&channels.to_be_bytes());
    iso.extend_from_slice(&sample_bits.to_be_bytes());
    iso.extend_from_slice(&[0; 4]);
    iso.extend_from_slice(&sample_rate.to_be_bytes());
    Ok(iso)
}

/// Whole Hz as 16.16 fixed point; 0 where it can't hold them, as in other files above 65,535 Hz.
fn fixed_16_16(hz: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "only a rate in range is taken"
    )]
    let whole = if (0.0..65536.0).contains(&hz) { hz as u32 } else { 0 };
    whole << 16
}

//! Typed boxes in words for a person or as JSON: their fields, bounded however long a table is.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::sample_entry::{AudioSampleEntry, VisualSampleEntry};
use super::{BoxError, DESCRIBED, FourCc, Node, TypedBox, senc};

/// Of a table, this many entries are shown behind their number.
const FIRST_ENTRIES: usize = 8;

/// Of a byte string, this many bytes are shown.
const FIRST_BYTES: usize = 32;

/// Of a text, this many bytes are shown.
const FIRST_TEXT_BYTES: usize = 256;

/// Reads a box and describes it.
pub(super) type Describe = fn(&Node<'_>) -> Result<Value, BoxError>;

/// The fields of a box that has a type of its own, as a JSON object; `None` for other boxes.
///
/// Long tables are shown as `{"count": ..., "first": [...]}`.
///
/// # Errors
/// [`BoxError`] where the box can't be read.
pub fn describe(node: &Node<'_>) -> Option<Result<Value, BoxError>> {
    if node.is_visual_entry() {
        return Some(node.read(VisualSampleEntry::parse).map(|entry| value(&entry)));
    }
    if node.is_audio_entry() {
        return Some(node.read(AudioSampleEntry::parse).map(|entry| value(&entry)));
    }
    let (_, describe) = DESCRIBED.iter().find(|(kind, _)| *kind == node.kind)?;
    Some(describe(node))
}

/// A line of the list: a box whose description is its fields.
pub(super) const fn fields<T: TypedBox>() -> (FourCc, Describe) {
    fields_as::<T>(T::TYPE)
}

/// A line of the list: a box that is stored like `T`.
pub(super) const fn fields_as<T: TypedBox>(kind: FourCc) -> (FourCc, Describe) {
    (kind, |node| node.parse::<T>().map(|typed| value(&typed)))
}

/// A line of the list: `senc`, whose IV size stands elsewhere, so that the size which fits is taken.
pub(super) const fn sample_encryption() -> (FourCc, Describe) {
    #[derive(Serialize)]
    struct Fields {
        iv_size: u8,
        #[serde(serialize_with = "table")]
        samples: Vec<senc::SampleEncryption>,
    }
    (senc::TYPE, |node| {
        let fits = |iv_size| {
            node.read(|payload| {
                let samples = senc::parse(payload, iv_size)?;
                Ok(payload.is_empty().then_some(Fields { iv_size, samples }))
            })
        };
        let fields = [0, 8, 16].into_iter().find_map(|iv_size| fits(iv_size).ok().flatten());
        let fields =
            fields.ok_or_else(|| node.invalid("does not hold what it states, with IVs of 0, 8 or 16 bytes"))?;
        Ok(value(&fields))
    })
}

/// Fields as JSON; they are numbers, text and lists, which can't fail.
fn value(fields: &impl Serialize) -> Value {
    serde_json::to_value(fields).unwrap_or_default()
}

/// A table: how many entries it has, and the first few.
#[derive(Serialize)]
pub(super) struct Table<T> {
    count: usize,
    first: Vec<T>,
}

impl<T> Table<T> {
    /// Of all entries.
    pub fn new(entries: impl ExactSizeIterator<Item = T>) -> Self {
        Self {
            count: entries.len(),
            first: entries.take(FIRST_ENTRIES).collect(),
        }
    }
}

/// A [`Table`].
pub(super) fn table<T: Serialize, S: Serializer>(entries: &[T], serializer: S) -> Result<S::Ok, S::Error> {
    Table::new(entries.iter()).serialize(serializer)
}

/// A [`Table`] that may not be there.
#[expect(clippy::ref_option, reason = "serde hands out references")]
pub(super) fn optional_table<T: Serialize, S: Serializer>(
    entries: &Option<Vec<T>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match entries {
        Some(entries) => table(entries, serializer),
        None => serializer.serialize_none(),
    }
}

/// How many there are.
pub(super) fn count<T, S: Serializer>(entries: &[T], serializer: S) -> Result<S::Ok, S::Error> {
    entries.len().serialize(serializer)
}

/// Bytes in hexadecimal.
pub(super) fn hex<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Hex(bytes))
}

/// [`hex`] that may not be there.
#[expect(clippy::ref_option, reason = "serde hands out references")]
pub(super) fn optional_hex<S: Serializer>(bytes: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
    match bytes {
        Some(bytes) => hex(bytes, serializer),
        None => serializer.serialize_none(),
    }
}

/// The first bytes in hexadecimal, and how many there are if that is not all.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.0.get(..FIRST_BYTES).unwrap_or(self.0);
        f.write_str(&hex::encode(first))?;
        if first.len() < self.0.len() {
            write!(f, "... ({} bytes)", self.0.len())?;
        }
        Ok(())
    }
}

/// Text that some writers end with a zero byte; it may be anything, and is shown as far as it is UTF-8.
pub(super) fn text<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    let bytes = bytes.get(..FIRST_TEXT_BYTES).unwrap_or(bytes);
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    serializer.collect_str(&String::from_utf8_lossy(text))
}

/// [`text()`] that may not be there.
#[expect(clippy::ref_option, reason = "serde hands out references")]
pub(super) fn optional_text<S: Serializer>(bytes: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
    match bytes {
        Some(bytes) => text(bytes, serializer),
        None => serializer.serialize_none(),
    }
}

/// Bits, in hexadecimal.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
pub(super) fn bits<S: Serializer>(bits: &u32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{bits:#010x}"))
}

/// [`bits`] that may not be there.
#[expect(
    clippy::ref_option,
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands out references"
)]
pub(super) fn optional_bits<S: Serializer>(value: &Option<u32>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => bits(value, serializer),
        None => serializer.serialize_none(),
    }
}

/// A fixed-point number of 16.16 bits.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
pub(super) fn fixed_16_16<S: Serializer>(number: &u32, serializer: S) -> Result<S::Ok, S::Error> {
    let number = f64::from(*number) / 65536.0;
    number.serialize(serializer)
}

/// A [`Uuid`].
pub(super) fn uuid<S: Serializer>(bytes: &[u8; 16], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Uuid(*bytes))
}

/// Sixteen bytes as a UUID is written (RFC 9562, 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uuid(pub [u8; 16]);

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            let dash = if matches!(index, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{dash}{byte:02x}")?;
        }
        Ok(())
    }
}

//! `mdhd`: a track's timescale and language (ISO/IEC 14496-12, 8.4.2).

use super::writer::{Put, full_box};
use super::{Fault, FourCc, Reader, TypedBox};

/// The media header.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct MediaHeader {
    /// 1 stores times in 64 bits.
    pub version: u8,
    /// Seconds since 1904.
    pub creation_time: u64,
    /// Seconds since 1904.
    pub modification_time: u64,
    /// Ticks a second of the track's times.
    pub timescale: u32,
    /// In ticks of `timescale`.
    pub duration_ticks: u64,
    /// ISO 639-2/T, three letters packed in 5 bits each.
    #[serde(serialize_with = "describe_language")]
    pub language: u16,
    /// `pre_defined`, as it is.
    pub quality: u16,
}

impl MediaHeader {
    /// The language's three letters; `None` where they are none (as in `QuickTime`'s language codes).
    #[must_use]
    pub fn language_code(&self) -> Option<String> {
        language_code(self.language)
    }

    /// Sets the language to three small letters.
    pub fn set_language_code(&mut self, code: &str) {
        self.language = code
            .bytes()
            .take(3)
            .fold(0, |packed, letter| packed << 5 | u16::from(letter & 0x1f));
    }
}

fn language_code(language: u16) -> Option<String> {
    [10, 5, 0]
        .into_iter()
        .map(|shift| match (language >> shift & 0x1f) as u8 {
            letter @ 1..=26 => Some(char::from(letter + 0x60)),
            _ => None,
        })
        .collect()
}

/// The three letters, or `QuickTime`'s number.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn describe_language<S: serde::Serializer>(language: &u16, serializer: S) -> Result<S::Ok, S::Error> {
    match language_code(*language) {
        Some(code) => serializer.serialize_str(&code),
        None => serializer.serialize_u16(*language),
    }
}

impl TypedBox for MediaHeader {
    const TYPE: FourCc = FourCc::new(b"mdhd");

    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault> {
        let (version, _) = payload.full_box(1)?;
        let creation_time = payload.u32_or_u64(version)?;
        let modification_time = payload.u32_or_u64(version)?;
        let timescale = payload.u32()?;
        if timescale == 0 {
            return Err(payload.invalid("a timescale of 0 is not allowed"));
        }
        Ok(Self {
            version,
            creation_time,
            modification_time,
            timescale,
            duration_ticks: payload.u32_or_u64(version)?,
            language: payload.u16()?,
            quality: payload.u16()?,
        })
    }

    fn write_payload(&self, out: &mut Vec<u8>) {
        full_box(out, self.version, 0);
        out.put_u32_or_u64(self.version, self.creation_time);
        out.put_u32_or_u64(self.version, self.modification_time);
        out.put_u32(self.timescale);
        out.put_u32_or_u64(self.version, self.duration_ticks);
        out.put_u16(self.language);
        out.put_u16(self.quality);
    }
}

//! What an `mp4a` sample entry holds: AAC, MP3 or DTS, as the `objectTypeIndication` of its `esds` says (ISO/IEC 14496-1, table 5).

use std::sync::Arc;

use super::aac::Aac;
use super::whole_samples::{Sync, WholeSamples};
use super::{Codec, OpenError, dts};
use crate::isobmff::esds::ElementaryStreamDescriptor;
use crate::isobmff::sample_entry::AudioSampleEntry;
use crate::isobmff::{FourCc, Node};

/// MPEG-2 audio (ISO/IEC 13818-3), whose layer 3 goes to lower sampling rates.
const MPEG2_AUDIO: u8 = 0x69;
/// MPEG-1 audio (ISO/IEC 11172-3).
const MPEG1_AUDIO: u8 = 0x6b;

/// `syncword` of layers 1 to 3 (ISO/IEC 11172-3, 2.4.2.3), and of MPEG-2.5, whose last bit is 0.
const MP3_SYNC: Sync = Sync {
    mask: 0xffe0,
    word: 0xffe0,
};

/// Opens the codec of an `mp4a` sample entry.
pub(super) fn open(_format: FourCc, entry: &Node<'_>) -> Result<Arc<dyn Codec>, OpenError> {
    let esds: ElementaryStreamDescriptor = entry.require(&[b"esds"])?.parse()?;
    // Of MP3 and DTS, only samples would know more: writers say two channels of whatever it is.
    let fields = entry.read(AudioSampleEntry::parse)?;
    let mp3 = match esds.object_type_indication() {
        MPEG2_AUDIO => "mp4a.69",
        MPEG1_AUDIO => "mp4a.6B",
        dts if dts::OBJECT_TYPES.contains(&dts) => return Ok(Arc::new(dts::in_mp4a(dts, &fields))),
        _ => return Ok(Arc::new(Aac::open(&esds)?)),
    };
    Ok(Arc::new(WholeSamples {
        name: "MP3",
        rfc6381: mp3.into(),
        channels: None,
        sample_rate_hz: Some(fields.sample_rate >> 16),
        hls_channels: None,
        channel_configuration: None,
        sync: Some(MP3_SYNC),
    }))
}

//! FLAC (RFC 9639; in MP4: Encapsulation of FLAC in ISO Base Media File Format). Whole samples are protected.

use std::sync::Arc;

use super::whole_samples::{Sync, WholeSamples};
use super::{Codec, OpenError};
use crate::isobmff::dfla::FlacSpecific;
use crate::isobmff::{FourCc, Node};

/// Frame sync code (RFC 9639, 9.1), whose last bit says how frames are numbered.
const SYNC: Sync = Sync {
    mask: 0xfffe,
    word: 0xfff8,
};

/// Opens the codec of an `fLaC` sample entry.
pub(super) fn open(_format: FourCc, entry: &Node<'_>) -> Result<Arc<dyn Codec>, OpenError> {
    let config: FlacSpecific = entry.require(&[b"dfLa"])?.parse()?;
    Ok(Arc::new(WholeSamples {
        name: "FLAC",
        // As the sample entry spells it: Safari takes no other.
        rfc6381: "fLaC".into(),
        channels: Some(config.channels.into()),
        sample_rate_hz: Some(config.sample_rate_hz),
        hls_channels: None,
        channel_configuration: None,
        sync: Some(SYNC),
    }))
}

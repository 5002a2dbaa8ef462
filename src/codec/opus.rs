//! Opus (RFC 6716; in MP4: Encapsulation of Opus in ISO Base Media File Format). Whole samples are protected.

use std::sync::Arc;

use super::whole_samples::WholeSamples;
use super::{Codec, OpenError};
use crate::isobmff::dops::OpusSpecific;
use crate::isobmff::{FourCc, Node};

/// What every decoder gives (RFC 7845, 5.1), whatever was encoded.
const SAMPLE_RATE_HZ: u32 = 48_000;

/// Opens the codec of an `Opus` sample entry.
pub(super) fn open(_format: FourCc, entry: &Node<'_>) -> Result<Arc<dyn Codec>, OpenError> {
    let config: OpusSpecific = entry.require(&[b"dOps"])?.parse()?;
    Ok(Arc::new(WholeSamples {
        name: "Opus",
        // As the sample entry spells it.
        rfc6381: "Opus".into(),
        channels: Some(config.output_channel_count.into()),
        sample_rate_hz: Some(SAMPLE_RATE_HZ),
        hls_channels: None,
        channel_configuration: None,
        sync: None,
    }))
}

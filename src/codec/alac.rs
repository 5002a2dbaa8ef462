//! Apple Lossless. Whole samples are protected.

use std::sync::Arc;

use super::whole_samples::WholeSamples;
use super::{Codec, OpenError};
use crate::isobmff::alac::AlacSpecific;
use crate::isobmff::{FourCc, Node};

/// Opens the codec of an `alac` sample entry.
pub(super) fn open(_format: FourCc, entry: &Node<'_>) -> Result<Arc<dyn Codec>, OpenError> {
    let config: AlacSpecific = entry.require(&[b"alac"])?.parse()?;
    Ok(Arc::new(WholeSamples {
        name: "Apple Lossless",
        rfc6381: "alac".into(),
        channels: Some(config.channels.into()),
        sample_rate_hz: Some(config.sample_rate_hz),
        hls_channels: None,
        channel_configuration: None,
        sync: None,
    }))
}

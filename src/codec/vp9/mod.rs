//! VP9 (the VP9 Bitstream & Decoding Process Specification, 0.6; in MP4: the VP Codec ISO Media File Format Binding, 1.1).
//!
//! Of each frame, everything behind its uncompressed header is protected, in whole blocks; the uncompressed header and the
//! index of a superframe stay clear (the binding, Common Encryption, which knows no scheme but `cenc`). What is left of a
//! frame's last block stays clear behind it, as everywhere here and as Shaka Packager has it; the binding takes it from
//! the frame's start.

pub mod frame_header;
pub mod references;
pub mod superframe;

use std::sync::Arc;

use super::bit_reader::{BitFault, BitReader};
use super::{Codec, CodecError, OpenError, SampleScanner, SubsampleMap};
use crate::isobmff::vpcc::VpConfiguration;
use crate::isobmff::{FourCc, Node};

use frame_header::FrameHeader;
use references::References;

const NAME: &str = "VP9";

/// A VP9 track.
#[derive(Debug, Clone)]
pub struct Vp9 {
    config: VpConfiguration,
}

impl Vp9 {
    /// From the `vpcC` of a sample entry `vp09`.
    #[must_use]
    pub const fn new(config: VpConfiguration) -> Self {
        Self { config }
    }
}

impl Codec for Vp9 {
    fn name(&self) -> &'static str {
        NAME
    }

    fn transfer_characteristics(&self) -> Option<u8> {
        Some(self.config.transfer_characteristics)
    }

    /// `vp09.PP.LL.DD`, with `.CC.cp.tc.mc.FF` behind it where these are not `.01.01.01.01.00` (the binding, Codecs
    /// Parameter String).
    fn rfc6381(&self) -> String {
        let config = &self.config;
        let mandatory = format!("vp09.{:02}.{:02}.{:02}", config.profile, config.level, config.bit_depth);
        let optional = format!(
            ".{:02}.{:02}.{:02}.{:02}.{:02}",
            config.chroma_subsampling,
            config.colour_primaries,
            config.transfer_characteristics,
            config.matrix_coefficients,
            u8::from(config.video_full_range_flag)
        );
        if optional == ".01.01.01.01.00" {
            mandatory
        } else {
            mandatory + &optional
        }
    }

    fn scanner(&self) -> Option<Box<dyn SampleScanner>> {
        Some(Box::new(Vp9Scanner::default()))
    }

    fn cenc_only(&self) -> bool {
        true
    }
}

/// Opens the codec of a `vp09` sample entry.
pub(super) fn open(_format: FourCc, entry: &Node<'_>) -> Result<Arc<dyn Codec>, OpenError> {
    Ok(Arc::new(Vp9::new(entry.require(&[b"vpcC"])?.parse()?)))
}

/// Scans samples in decode order, following the state of the reference slots.
#[derive(Default)]
struct Vp9Scanner {
    references: References,
}

impl SampleScanner for Vp9Scanner {
    fn scan(&mut self, sample: &[u8], map: &mut SubsampleMap) -> Result<(), CodecError> {
        let frame_sizes = superframe::frame_sizes(sample).map_err(|fault| fault.malformed(NAME, "sample", 0))?;
        let mut rest = sample;
        for frame_size in frame_sizes {
            let position = sample.len() - rest.len();
            // The sizes were compared with the sample's.
            let (frame, later) = rest.split_at_checked(frame_size).unwrap_or((rest, &[]));
            rest = later;
            self.scan_frame(frame, map)
                .map_err(|fault| fault.malformed(NAME, "sample", position))?;
        }
        map.push_clear(rest.len());
        Ok(())
    }
}

impl Vp9Scanner {
    /// `frame()` (6.1).
    fn scan_frame(&mut self, frame: &[u8], map: &mut SubsampleMap) -> Result<(), BitFault> {
        let mut bits = BitReader::plain(frame);
        let FrameHeader::Frame {
            refresh_frame_flags,
            frame_width,
            header_size_in_bytes,
        } = frame_header::read(&mut bits, &self.references)?
        else {
            map.push_clear(frame.len());
            return Ok(());
        };
        // trailing_bits() fill the header's last byte.
        let protected_bytes = frame.len() - bits.taken_bytes();
        if header_size_in_bytes > protected_bytes {
            return Err(bits.invalid(format!(
                "header_size_in_bytes is {header_size_in_bytes}, with {protected_bytes} bytes left"
            )));
        }
        self.references.refresh(refresh_frame_flags, frame_width);
        map.push_clear(bits.taken_bytes());
        #[expect(clippy::cast_possible_truncation, reason = "sample sizes have at most 32 bits")]
        map.push_protected(protected_bytes as u32);
        Ok(())
    }
}

#[cfg(test)]
mod tests;

//! Where the segments of a single file are: its index says it (5.3.9.2).

use std::io;

use quick_xml::events::BytesText;

use super::Xml;
use crate::media::{Time, Timescale};
use crate::package::SingleFile;
use crate::package::rendition::SINGLE_FILE;

/// A file with an index.
#[derive(Debug, PartialEq, Eq)]
pub struct SegmentBase {
    timescale: Timescale,
    /// What of the track's time the period begins with, in ticks: `presentationTimeOffset`.
    offset_ticks: i64,
    file: SingleFile,
}

impl SegmentBase {
    pub fn new(timescale: Timescale, period_start: Time, file: SingleFile) -> Self {
        Self {
            timescale,
            offset_ticks: period_start.rescale(timescale).ticks,
            file,
        }
    }

    /// Writes it, and where the file is, for the representation of that ID, which is the file's folder.
    pub fn write(&self, xml: &mut Xml, id: &str) -> io::Result<()> {
        let SingleFile { init, index } = &self.file;
        xml.create_element("BaseURL")
            .write_text_content(BytesText::new(&format!("{id}/{SINGLE_FILE}")))?;
        let mut element = xml
            .create_element("SegmentBase")
            .with_attribute(("timescale", &*self.timescale.to_string()));
        if self.offset_ticks != 0 {
            element = element.with_attribute(("presentationTimeOffset", &*self.offset_ticks.to_string()));
        }
        // Ranges of HTTP: the last byte is within.
        let last = |end: u64| end.saturating_sub(1);
        element
            .with_attribute(("indexRange", &*format!("{}-{}", index.start, last(index.end))))
            .write_inner_content(|xml| {
                xml.create_element("Initialization")
                    .with_attribute(("range", &*format!("{}-{}", init.start, last(init.end))))
                    .write_empty()?;
                Ok(())
            })?;
        Ok(())
    }
}

//! All boxes of a file as far as they can be read, damaged or not, without its media data.

use super::describe::describe;
use super::scan::{ReadAt, ScanError, TopLevel, read_box};
use super::{BoxError, BoxHeader, BoxPath, DESCRIBED, FourCc, Node, tree};

/// Goes through the boxes at the top of a file, in order.
///
/// A box that is cut off ends where the file does; behind bytes that are no box nothing more is found. After an error
/// it ends. No more than one box at the top is held in memory, and none without boxes or fields to describe.
pub struct Survey<'a, S: ?Sized> {
    top: TopLevel<'a, S>,
    source: &'a S,
    limit: fn(FourCc) -> usize,
}

/// A box at the top of a file.
pub struct TopBox {
    /// Its header; the size is what the file holds of it.
    pub header: BoxHeader,
    /// Whether its size goes beyond the file's end.
    pub is_cut_off: bool,
    /// Header and payload, where there is something to describe in it.
    bytes: Option<Vec<u8>>,
    errors: Vec<BoxError>,
}

impl<'a, S: ReadAt + ?Sized> Survey<'a, S> {
    /// From the first byte on; a box of more bytes than `limit` says for its type is not read.
    pub const fn new(source: &'a S, limit: fn(FourCc) -> usize) -> Self {
        let top = TopLevel::new(source);
        Self { top, source, limit }
    }

    fn read(&self, mut header: BoxHeader, left: u64) -> Result<TopBox, ScanError> {
        let overrun = header.overrun(left, BoxPath::default());
        let is_cut_off = overrun.is_some();
        header.size = header.size.min(left);
        let is_wanted = tree::is_container(header.kind) || DESCRIBED.iter().any(|(kind, _)| *kind == header.kind);
        let bytes = is_wanted.then(|| read_box(self.source, &header, (self.limit)(header.kind)));
        let (bytes, errors) = match bytes {
            // What overruns is found again when the bytes are read.
            Some(Ok(bytes)) => (Some(bytes), Vec::new()),
            Some(Err(ScanError::Box(error))) => (None, overrun.into_iter().chain([error]).collect()),
            Some(Err(error)) => return Err(error),
            None => (None, overrun.into_iter().collect()),
        };
        Ok(TopBox {
            header,
            is_cut_off,
            bytes,
            errors,
        })
    }
}

impl<S: ReadAt + ?Sized> Iterator for Survey<'_, S> {
    type Item = Result<TopBox, ScanError>;

    fn next(&mut self) -> Option<Self::Item> {
        let left = self
            .source
            .len()
            .checked_sub(self.top.offset)
            .filter(|left| *left > 0)?;
        let found = self.top.read_header(left).and_then(|header| self.read(header, left));
        self.top.offset = match &found {
            Ok(found) => found.header.end(),
            Err(_) => self.source.len(),
        };
        Some(found)
    }
}

impl TopBox {
    /// The box and the boxes in it, where there is something to describe, and all that is wrong with them.
    #[must_use]
    pub fn read(&self) -> (Option<Node<'_>>, Vec<BoxError>) {
        let mut errors = self.errors.clone();
        let bytes = self.bytes.as_deref();
        let node = bytes.and_then(|bytes| {
            Node::parse_lenient(bytes, self.header.offset, &mut errors)
                .into_iter()
                .next()
        });
        if let Some(node) = &node {
            check_fields(node, &mut errors);
        }
        (node, errors)
    }
}

/// Finds boxes whose fields can't be read.
fn check_fields(node: &Node<'_>, errors: &mut Vec<BoxError>) {
    errors.extend(describe(node).and_then(Result::err));
    for child in node.children() {
        check_fields(child, errors);
    }
}

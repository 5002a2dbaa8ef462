//! ISO Base Media File Format (ISO/IEC 14496-12): an ordered, lossless box tree and typed boxes.
//!
//! One file per typed box, named by its four-character code. [`tree`] keeps every byte of what it reads, in order,
//! whether it knows the box or not; a typed box is read from a node of the tree and written in its place.

pub mod avcc;
pub mod co64;
pub mod ctts;
pub mod elng;
pub mod elst;
pub mod error;
pub mod esds;
pub mod fourcc;
pub mod frma;
pub mod ftyp;
pub mod hdlr;
pub mod header;
pub mod mdhd;
pub mod mehd;
pub mod mfhd;
pub mod mvhd;
pub mod pssh;
pub mod reader;
pub mod saio;
pub mod saiz;
pub mod sample_flags;
pub mod scan;
pub mod schm;
pub mod sdtp;
pub mod senc;
pub mod stco;
pub mod stsc;
pub mod stss;
pub mod stsz;
pub mod stts;
pub mod stz2;
pub mod tenc;
pub mod tfdt;
pub mod tfhd;
pub mod tkhd;
pub mod tree;
pub mod trex;
pub mod trun;
pub mod writer;

pub use error::{BoxError, BoxPath, Fault, Problem};
pub use fourcc::FourCc;
pub use header::{BoxHeader, SizeForm};
pub use reader::Reader;
pub use scan::ReadAt;
pub use tree::{Content, Node};

/// A box whose payload has a type of its own.
pub trait TypedBox: Sized {
    /// The box's type.
    const TYPE: FourCc;

    /// Reads the payload, that is everything behind the box header.
    ///
    /// # Errors
    /// A [`Fault`] at the payload byte where reading stopped.
    fn parse(payload: &mut Reader<'_>) -> Result<Self, Fault>;

    /// Appends the payload, without the box header.
    fn write_payload(&self, out: &mut Vec<u8>);

    /// Appends the whole box.
    fn write(&self, out: &mut Vec<u8>) {
        writer::boxed(out, Self::TYPE, |out| self.write_payload(out));
    }
}

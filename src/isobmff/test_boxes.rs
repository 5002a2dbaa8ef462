//! What tests of typed boxes share.

use super::{Fault, Reader, TypedBox};

/// Reads a payload whole, given in hexadecimal digits and spaces; writing it gives the same bytes.
///
/// # Errors
/// Those of reading.
///
/// # Panics
/// Where the test is wrong, or the promise is broken.
pub fn parse<T: TypedBox>(hex: &str) -> Result<T, Fault> {
    let payload = hex::decode(hex.replace(' ', "")).expect("hexadecimal");
    let mut reader = Reader::new(&payload);
    let parsed = T::parse(&mut reader)?;
    assert!(reader.is_empty());
    let mut written = Vec::new();
    parsed.write_payload(&mut written);
    assert_eq!(written, payload, "parse then write is the identity");
    Ok(parsed)
}

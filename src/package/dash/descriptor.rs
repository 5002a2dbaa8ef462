//! Descriptors (5.8.2): an element whose scheme says what its value means.

use std::io;

use super::Xml;

/// Roles (5.8.5.5).
pub const ROLE: &str = "urn:mpeg:dash:role:2011";

/// Writes one.
pub fn write(xml: &mut Xml, element: &str, scheme: &str, value: &str) -> io::Result<()> {
    xml.create_element(element)
        .with_attribute(("schemeIdUri", scheme))
        .with_attribute(("value", value))
        .write_empty()?;
    Ok(())
}

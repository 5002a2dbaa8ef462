//! How samples are protected, and where players get the key (5.8.4.1; ISO/IEC 23001-7, 11.2; DASH-IF, Content Protection Information).

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quick_xml::events::BytesText;

use super::Xml;
use crate::isobmff::TypedBox;
use crate::protect::{SampleScheme, TrackProtection};

/// W3C Clear Key, as DASH-IF registered it.
const CLEAR_KEY: &str = "urn:uuid:e2719d58-a985-b3c9-781a-b030af78d30e";

/// Writes the descriptors of a set whose representations share a key; of other key systems, those that init segments have boxes of.
pub fn write(xml: &mut Xml, protection: &TrackProtection, licence_url: Option<&str>) -> io::Result<()> {
    xml.create_element("ContentProtection")
        .with_attribute(("schemeIdUri", "urn:mpeg:dash:mp4protection:2011"))
        .with_attribute(("value", protection.scheme.name()))
        .with_attribute(("cenc:default_KID", &*uuid(protection.kid.0)))
        .write_empty()?;
    for key_system in protection.key_systems.iter() {
        let mut pssh = Vec::new();
        key_system.write(&mut pssh);
        let scheme = format!("urn:uuid:{}", uuid(key_system.system_id));
        xml.create_element("ContentProtection")
            .with_attribute(("schemeIdUri", &*scheme))
            .write_inner_content(|xml| {
                let pssh = STANDARD.encode(&pssh);
                xml.create_element("cenc:pssh")
                    .write_text_content(BytesText::new(&pssh))?;
                Ok(())
            })?;
    }
    // Clear Key opens no other schemes (W3C, Encrypted Media Extensions, 9.1).
    let is_opened = matches!(protection.scheme, SampleScheme::Cbcs | SampleScheme::Cenc);
    let Some(licence_url) = licence_url.filter(|_| is_opened) else {
        return Ok(());
    };
    xml.create_element("ContentProtection")
        .with_attribute(("schemeIdUri", CLEAR_KEY))
        .with_attribute(("value", "ClearKey1.0"))
        .write_inner_content(|xml| {
            xml.create_element("dashif:Laurl")
                .write_text_content(BytesText::new(licence_url))?;
            Ok(())
        })?;
    Ok(())
}

/// In the form of RFC 4122.
fn uuid(bytes: [u8; 16]) -> String {
    let hex = hex::encode(bytes);
    let groups = [0..8, 8..12, 12..16, 16..20, 20..32];
    groups.map(|group| hex.get(group).unwrap_or_default()).join("-")
}

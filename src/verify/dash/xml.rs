//! A reader of XML as far as a manifest needs it: elements, attributes and text, each with its place.

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

/// Elements in each other.
const MAX_DEPTH: usize = 16;

/// Elements of a manifest: a day in segments of a second, in twelve renditions, has a million.
const MAX_ELEMENTS: usize = 1 << 22;

/// An element.
#[derive(Debug, Default)]
pub struct Element {
    /// Its name with its prefix.
    pub name: String,
    /// Bytes from the file's start.
    pub offset: u64,
    /// Names with their prefixes, and values.
    pub attributes: Vec<(String, String)>,
    pub children: Vec<Element>,
    pub text: String,
}

/// Text that is no XML.
#[derive(Debug)]
pub struct Malformed {
    pub offset: u64,
    pub what: String,
}

impl Element {
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let attribute = self.attributes.iter().find(|(of, _)| of == name);
        attribute.map(|(_, value)| value.as_str())
    }

    /// A number; `default` where it is not there, `None` where it is none.
    pub fn number<T: std::str::FromStr>(&self, name: &str, default: T) -> Option<T> {
        self.attribute(name).map_or(Some(default), |value| value.parse().ok())
    }

    pub fn all<'e>(&'e self, name: &'e str) -> impl Iterator<Item = &'e Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    fn open(start: &BytesStart<'_>, offset: u64) -> Result<Self, String> {
        let attribute = |attribute: Result<quick_xml::events::attributes::Attribute<'_>, _>| {
            let attribute = attribute.map_err(|error: quick_xml::events::attributes::AttrError| error.to_string())?;
            let value = attribute.normalized_value(XmlVersion::Implicit1_0);
            let value = value.map_err(|error| error.to_string())?.into_owned();
            Ok((attribute.key.as_ref().to_owned(), value))
        };
        Ok(Self {
            name: start.name().as_ref().to_owned(),
            offset,
            attributes: start.attributes().map(attribute).collect::<Result<_, String>>()?,
            ..Self::default()
        })
    }
}

/// Reads a document's one element.
pub fn read(text: &str) -> Result<Element, Malformed> {
    let mut reader = Reader::from_str(text);
    let mut open: Vec<Element> = vec![Element::default()];
    let mut count = 0;
    loop {
        let offset = reader.buffer_position();
        let malformed = |what: String| Malformed { offset, what };
        let event = reader.read_event().map_err(|error| malformed(error.to_string()))?;
        match event {
            Event::Start(start) | Event::Empty(start) if count >= MAX_ELEMENTS || open.len() > MAX_DEPTH => {
                let name = start.name().as_ref().to_owned();
                return Err(malformed(format!(
                    "{name} is one element too many: at most {MAX_ELEMENTS}, {MAX_DEPTH} in each other"
                )));
            }
            Event::Start(start) => {
                count += 1;
                open.push(Element::open(&start, offset).map_err(malformed)?);
            }
            Event::Empty(start) => {
                count += 1;
                let element = Element::open(&start, offset).map_err(malformed)?;
                if let Some(parent) = open.last_mut() {
                    parent.children.push(element);
                }
            }
            Event::End(_) => {
                if let (Some(element), Some(parent)) = (open.pop(), open.last_mut()) {
                    parent.children.push(element);
                }
            }
            Event::Text(text) => {
                let text = text.xml_content(XmlVersion::Implicit1_0);
                if let Some(element) = open.last_mut() {
                    element.text.push_str(text.trim());
                }
            }
            Event::GeneralRef(name) => {
                let resolved = quick_xml::escape::resolve_predefined_entity(&name);
                let resolved = resolved.ok_or_else(|| malformed(format!("&{}; is not known", &*name)))?;
                if let Some(element) = open.last_mut() {
                    element.text.push_str(resolved);
                }
            }
            Event::CData(_) | Event::DocType(_) | Event::PI(_) => {
                return Err(malformed("something that no manifest needs".to_owned()));
            }
            Event::Comment(_) | Event::Decl(_) => {}
            Event::Eof => break,
        }
    }
    let is_closed = open.len() == 1;
    let elements = open.pop().map(|document| document.children).unwrap_or_default();
    match <[Element; 1]>::try_from(elements) {
        Ok([element]) if is_closed => Ok(element),
        _ => Err(Malformed {
            offset: text.len() as u64,
            what: "ends before its one element does".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn elements_attributes_and_text() {
        let element = read("<?xml version=\"1.0\"?><a b=\"1 &amp; 2\"><c/> x&lt;<d>y</d></a>").unwrap_or_default();
        assert_eq!(element.attribute("b"), Some("1 & 2"));
        assert_eq!(element.text, "x<");
        let names: Vec<&str> = element.children.iter().map(|child| &*child.name).collect();
        assert_eq!(names, ["c", "d"]);
        assert_eq!(element.child("d").map(|child| child.offset), Some(48));
    }

    #[test]
    fn malformed_text_is_an_error() {
        let deep = "<a>".repeat(1 << 20);
        for text in ["", "<a>", "<a></b>", "<a/><a/>", "<a b=1/>", "<a>&x;</a>", &deep] {
            assert!(read(text).is_err(), "{text:.40}");
        }
    }
}

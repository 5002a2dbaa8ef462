//! Languages: from the ISO 639-2 code of `mdhd` to the BCP 47 tag of a playlist, and the name that people read.

/// The bibliographic codes of ISO 639-2, which `mdhd` forbids and some writers use, and their terminology codes.
const BIBLIOGRAPHIC: &[(&str, &str)] = &[
    ("alb", "sqi"),
    ("arm", "hye"),
    ("baq", "eus"),
    ("bur", "mya"),
    ("chi", "zho"),
    ("cze", "ces"),
    ("dut", "nld"),
    ("fre", "fra"),
    ("geo", "kat"),
    ("ger", "deu"),
    ("gre", "ell"),
    ("ice", "isl"),
    ("mac", "mkd"),
    ("mao", "mri"),
    ("may", "msa"),
    ("per", "fas"),
    ("rum", "ron"),
    ("slo", "slk"),
    ("tib", "bod"),
    ("wel", "cym"),
];

/// The BCP 47 tag of an ISO 639-2 code: the two-letter code where there is one (RFC 5646, 2.2.1), nothing where
/// the language is undetermined.
#[must_use]
pub fn tag(code: &str) -> Option<String> {
    if code == "und" {
        return None;
    }
    let code = BIBLIOGRAPHIC
        .iter()
        .find(|(bibliographic, _)| *bibliographic == code)
        .map_or(code, |(_, terminology)| terminology);
    let shortest = isolang::Language::from_639_3(code).and_then(|language| language.to_639_1());
    Some(shortest.unwrap_or(code).to_owned())
}

/// A BCP 47 tag of a language that has a two-letter code, with a script and a region if they follow, in the case that tags are
/// written in (RFC 5646, 2.1.1): `pt-br` is `pt-BR`. `None` for anything else.
#[must_use]
pub fn read(text: &str) -> Option<String> {
    let text = text.to_ascii_lowercase();
    let mut parts = text.split('-').peekable();
    let language = parts.next()?;
    let mut tag = match language.len() {
        2 => isolang::Language::from_639_1(language)?.to_639_1()?.to_owned(),
        3 => tag(language).filter(|tag| tag.len() == 2)?,
        _ => return None,
    };
    let is_alphabetic = |part: &str, length| part.len() == length && part.bytes().all(|byte| byte.is_ascii_lowercase());
    if let Some(script) = parts.next_if(|part| is_alphabetic(part, 4)) {
        let (initial, rest) = script.split_at(1);
        tag = format!("{tag}-{}{rest}", initial.to_ascii_uppercase());
    }
    let is_region =
        |part: &&str| is_alphabetic(part, 2) || (part.len() == 3 && part.bytes().all(|b| b.is_ascii_digit()));
    if let Some(region) = parts.next_if(is_region) {
        tag = format!("{tag}-{}", region.to_ascii_uppercase());
    }
    parts.next().is_none().then_some(tag)
}

/// Whether a text is formed as a BCP 47 tag (RFC 5646, 2.1): two to eight letters, and subtags of at most eight letters and
/// digits behind them.
#[must_use]
pub fn is_tag(text: &str) -> bool {
    let mut parts = text.split('-');
    let is_language = |part: &str| (2..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphabetic());
    let is_subtag = |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric());
    parts.next().is_some_and(is_language) && parts.all(is_subtag)
}

/// The ISO 639-2 code of a BCP 47 tag's language; `und` where there is none.
#[must_use]
pub fn code(tag: &str) -> &'static str {
    let primary = tag.split_once('-').map_or(tag, |(primary, _)| primary);
    let language = isolang::Language::from_639_1(primary).or_else(|| isolang::Language::from_639_3(primary));
    language.map_or("und", |language| language.to_639_3())
}

/// The name of a BCP 47 tag's language in that language, such as `français`, with the tag where that says more, such as
/// `français (fr-CA)`; the tag alone where no name is known.
#[must_use]
pub fn name(tag: &str) -> String {
    let primary = tag.split_once('-').map_or(tag, |(primary, _)| primary);
    let language = isolang::Language::from_639_1(primary).or_else(|| isolang::Language::from_639_3(primary));
    match language.and_then(|language| language.to_autonym()) {
        Some(autonym) if primary == tag => autonym.to_owned(),
        Some(autonym) => format!("{autonym} ({tag})"),
        None => tag.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{BIBLIOGRAPHIC, code, is_tag, name, read, tag};

    #[test]
    fn tags_are_the_shortest_codes() {
        for (code, expected) in [
            ("eng", "en"),
            ("fre", "fr"),
            ("fra", "fr"),
            ("gsw", "gsw"),
            ("mul", "mul"),
        ] {
            assert_eq!(tag(code).as_deref(), Some(expected), "{code}");
        }
        assert_eq!(tag("und"), None);
    }

    #[test]
    fn bibliographic_codes_stand_for_languages_that_have_a_short_one() {
        for (bibliographic, _) in BIBLIOGRAPHIC {
            assert_eq!(tag(bibliographic).map(|tag| tag.len()), Some(2), "{bibliographic}");
        }
    }

    #[test]
    fn tags_are_read_in_any_case_and_have_codes() {
        for (text, expected) in [
            ("PT-br", Some("pt-BR")),
            ("zh-hANT", Some("zh-Hant")),
            ("fre", Some("fr")),
            ("gsw", None),
            ("en-", None),
        ] {
            assert_eq!(read(text).as_deref(), expected, "{text}");
        }
        for (text, expected) in [
            ("gsw", true),
            ("x", false),
            ("en-u-nu-thai", true),
            ("en--us", false),
            ("e n", false),
            ("", false),
        ] {
            assert_eq!(is_tag(text), expected, "{text}");
        }
        assert_eq!([code("de-CH"), code("gsw"), code("qq")], ["deu", "gsw", "und"]);
    }

    #[test]
    fn names_are_what_speakers_read() {
        for (tag, expected) in [
            ("en", "English"),
            ("fr-CA", "français (fr-CA)"),
            ("de", "Deutsch"),
            ("qaa", "qaa"),
        ] {
            assert_eq!(name(tag), expected);
        }
    }
}

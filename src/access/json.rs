//! JSON (RFC 8259) as a value that compares by meaning: objects without order, numbers by what they are.
//!
//! `serde_json`'s own value keeps a number as a double, in which 9007199254740993 is 9007199254740992. A policy that requires
//! one of them must not take the other.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// Lists and objects in each other beyond this are refused (RFC 8259, 9): each level is read over once more.
const MAX_DEPTH: usize = 32;

/// A JSON value. Two are equal if they mean the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Json>),
    /// An object.
    Object(Members),
}

/// The members of an object, each name once; a name that comes twice is an error.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Members(BTreeMap<String, Json>);

/// A number as it is written. Two are equal if their value is: `1`, `1.0` and `10e-1`.
#[derive(Debug, Clone)]
pub struct Number {
    text: String,
    value: Decimal,
}

/// A number's value: `digits` * 10^`exponent`, without zeros at either end; nothing but zero has no digits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Decimal {
    is_negative: bool,
    digits: String,
    exponent: i64,
}

/// Why a text is no JSON that is read here.
type Error = serde_json::Error;

impl Json {
    fn read(text: &str, depth: usize) -> Result<Self, Error> {
        let Some(depth_inside) = depth.checked_sub(1) else {
            return Err(Error::custom(format!(
                "more than {MAX_DEPTH} lists and objects in each other"
            )));
        };
        Ok(match text.trim_ascii_start().bytes().next() {
            Some(b'{') => Self::Object(Members::read(text, depth)?),
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(text)?;
                let items = items.iter().map(|item| Self::read(item.get(), depth_inside));
                Self::List(items.collect::<Result<_, _>>()?)
            }
            Some(b'"') => Self::Text(serde_json::from_str(text)?),
            Some(b't' | b'f') => Self::Bool(serde_json::from_str(text)?),
            Some(b'n') => {
                serde_json::from_str::<()>(text)?;
                Self::Null
            }
            _ => Self::Number(Number::read(serde_json::from_str::<&RawValue>(text)?.get())?),
        })
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl Members {
    /// Reads an object.
    ///
    /// # Errors
    /// If it is none, a name comes twice at any depth, lists and objects lie more than 32 deep, or the exponent of a number
    /// has more than 63 bits.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::read(text, MAX_DEPTH)
    }

    /// The object in a part of a token, if it is one.
    pub(super) fn of_bytes(json: &[u8]) -> Option<Self> {
        Self::parse(str::from_utf8(json).ok()?).ok()
    }

    fn read(text: &str, depth: usize) -> Result<Self, Error> {
        let Pairs(pairs) = serde_json::from_str(text)?;
        let mut members = BTreeMap::new();
        for (name, value) in pairs {
            let value = Json::read(value.get(), depth.saturating_sub(1))?;
            if members.insert(name, value).is_some() {
                return Err(Error::custom("a name comes twice in an object"));
            }
        }
        Ok(Self(members))
    }

    /// The member of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.0.get(name)
    }

    /// All members, ordered by their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Number {
    /// Takes the text of a JSON number (RFC 8259, 6). Its exponent is never written out, however large it is.
    fn read(text: &str) -> Result<Self, Error> {
        let value = Decimal::read(text).ok_or_else(|| Error::custom("a number's exponent has more than 63 bits"))?;
        Ok(Self {
            text: text.to_owned(),
            value,
        })
    }
}

/// Reads a whole number as JSON Schema has it: `5`, and `5.0` too (JSON Schema Validation, 6.1.1).
///
/// # Errors
/// Another value, or one that is larger.
pub fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    let is_number = raw.get().starts_with(|c: char| c.is_ascii_digit() || c == '-');
    let number = is_number
        .then(|| Number::read(raw.get()).ok()?.value.to_u64())
        .flatten();
    number.ok_or_else(|| D::Error::custom("expected a whole number"))
}

/// Reads a whole number as JSON Schema has it, or `null`.
///
/// # Errors
/// Another value, or one that is larger.
pub fn whole_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    struct Whole(#[serde(deserialize_with = "whole")] u64);

    Ok(Option::<Whole>::deserialize(deserializer)?.map(|Whole(number)| number))
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Eq for Number {}

impl Decimal {
    fn to_u64(&self) -> Option<u64> {
        if self.digits.is_empty() {
            return Some(0);
        }
        let digits: u64 = self.digits.parse().ok().filter(|_| !self.is_negative)?;
        digits.checked_mul(10_u64.checked_pow(self.exponent.try_into().ok()?)?)
    }

    fn read(text: &str) -> Option<Self> {
        let (is_negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        let without_zeros_behind = digits.trim_end_matches('0');
        let significant = without_zeros_behind.trim_start_matches('0');
        if significant.is_empty() {
            return Some(Self::default());
        }
        let zeros_behind = digits.len().checked_sub(without_zeros_behind.len())?;
        let exponent: i64 = exponent.parse().ok()?;
        Some(Self {
            is_negative,
            exponent: exponent
                .checked_sub(i64::try_from(fraction.len()).ok()?)?
                .checked_add(i64::try_from(zeros_behind).ok()?)?,
            digits: significant.to_owned(),
        })
    }
}

/// An object's members in their order and as they are written, a name perhaps more than once.
pub(super) struct Pairs<'a>(pub(super) Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Pairs<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<'de>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// From `serde_json` alone, which gives the texts of numbers.
impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Self::parse(raw.get()).map_err(D::Error::custom)
    }
}

impl Serialize for Members {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(&self.0)
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(bool) => serializer.serialize_bool(*bool),
            Self::Number(number) => RawValue::from_string(number.text.clone())
                .map_err(serde::ser::Error::custom)?
                .serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => serializer.collect_seq(items),
            Self::Object(members) => members.serialize(serializer),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Option<Json> {
        Json::read(text, MAX_DEPTH).ok()
    }

    #[test]
    fn values_are_equal_by_what_they_mean() {
        for (one, other, equal) in [
            ("1", "1.0", true),
            ("1", "10e-1", true),
            ("1", "0.1E+1", true),
            ("100", "1e2", true),
            ("0", "-0.00e5", true),
            ("0", "0e99999999999999999999", true),
            ("1", "-1", false),
            ("0.1", "0.10000000000000001", false),
            ("9007199254740993", "9007199254740992", false),
            ("9007199254740993", "9007199254740992.0", false),
            ("18446744073709551617", "18446744073709551618", false),
            ("18446744073709551617", "1.8446744073709551617e19", true),
            ("1e999999999", "10e999999998", true),
            ("1e999999999", "1e999999998", false),
            ("1", "\"1\"", false),
            ("1", "true", false),
            ("null", "false", false),
            (r#""a""#, r#""\u0061""#, true),
            (r#""a""#, r#""A""#, false),
            (r#"{"a":1,"b":[2]}"#, r#"{ "b":[2.0], "a":1 }"#, true),
            (r#"{"a":1}"#, r#"{"a":1,"b":null}"#, false),
            ("[1,2]", "[2,1]", false),
            ("[]", "{}", false),
        ] {
            assert_eq!(read(one).unwrap() == read(other).unwrap(), equal, "{one} {other}");
        }
    }

    #[test]
    fn what_is_no_json_value_of_one_meaning_is_refused() {
        for text in [
            "",
            " ",
            "01",
            "1.",
            ".5",
            "+1",
            "-",
            "1e",
            "NaN",
            "Infinity",
            "nul",
            "tru",
            "\"",
            "[1,]",
            "{,}",
            "{\"a\"}",
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"[{"b":{"a":1,"a":1}}]"#,
            r#""\ud800""#,
            "1 2",
            "1e9223372036854775808",
            "1e-99999999999999999999",
        ] {
            assert!(read(text).is_none(), "{text}");
        }
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(read(&nested(MAX_DEPTH)).is_some());
        assert!(read(&nested(MAX_DEPTH + 1)).is_none());
        assert!(read(&nested(100_000)).is_none());
        let objects = |depth: usize| format!("{}{}{}", r#"{"a":"#.repeat(depth), 1, "}".repeat(depth));
        assert!(read(&objects(MAX_DEPTH - 1)).is_some());
        assert!(read(&objects(MAX_DEPTH)).is_none());
        for text in ["[]", "1", "null", "\"{}\""] {
            assert!(Members::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_whole_number_is_one_however_it_is_written() {
        #[derive(Deserialize)]
        struct Body {
            #[serde(default, deserialize_with = "whole_or_null")]
            number: Option<u64>,
        }
        let read =
            |number: &str| serde_json::from_str(&format!("{{\"number\":{number}}}")).map(|body: Body| body.number);
        for (text, number) in [
            ("0", 0),
            ("-0.0", 0),
            ("2714.0", 2714),
            ("27.14e2", 2714),
            ("100", 100),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(read(text).unwrap(), Some(number), "{text}");
        }
        assert_eq!(read("null").unwrap(), None);
        assert_eq!(serde_json::from_str::<Body>("{}").unwrap().number, None);
        for text in [
            "-1",
            "0.5",
            "1e30",
            "1e-1",
            "18446744073709551616",
            "\"5\"",
            "true",
            "[5]",
            "1e999999999999999999",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_large_exponent_costs_nothing() {
        let start = Instant::now();
        for _ in 0..1000 {
            assert_ne!(read("1e999999999"), read("1e-999999999"));
        }
        assert!(start.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn a_value_is_written_as_it_was_read() {
        let text = r#"{"a":[1.0,18446744073709551617,10e-1,null,true],"b":{"c":"\n"}}"#;
        assert_eq!(serde_json::to_string(&Members::parse(text).unwrap()).unwrap(), text);
    }

    proptest! {
        #[test]
        fn a_shifted_point_is_the_same_number(digits in "[1-9][0-9]{0,40}", shift in 0_usize..40, zeros in 0_usize..5) {
            let number = read(&digits).unwrap();
            let moved = format!("{digits}{}e-{shift}", "0".repeat(shift));
            prop_assert_eq!(&read(&moved).unwrap(), &number);
            let behind = format!("{digits}.{}", "0".repeat(zeros + 1));
            prop_assert_eq!(&read(&behind).unwrap(), &number);
            prop_assert_ne!(&read(&format!("{digits}0")).unwrap(), &number);
            prop_assert_ne!(&read(&format!("{digits}.5")).unwrap(), &number);
        }

        #[test]
        fn any_text_is_json_or_refused(text in "[\\[\\]{}:,\"a0-9.eE+\\\\-]{0,40}") {
            if let Some(json) = read(&text) {
                let written = serde_json::to_string(&json).unwrap();
                prop_assert_eq!(read(&written).unwrap(), json);
            }
        }
    }
}

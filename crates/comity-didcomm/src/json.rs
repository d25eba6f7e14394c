//! The strict JSON reader through which every peer's text goes: one object tree that borrows its strings, refusing
//! duplicate names, deep nesting, too many values and anything that is not valid UTF-8 (RFC 8259, RFC 7493).
//!
//! Not a serialiser, and not for our own files. It exists because the ordinary reader takes the last of two equal
//! names, which lets two readers of one signed text disagree about what it says.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use thiserror::Error;

use crate::limits::{JSON_DEPTH_MAX, JSON_VALUES_MAX};

/// Says why a text was not read as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum JsonError {
    /// One object has the same name twice.
    #[error("an object in the JSON text has the same name twice")]
    Duplicate,
    /// Not JSON, or not valid UTF-8.
    #[error("the text is not valid JSON")]
    Syntax,
    /// Arrays and objects are nested too deeply.
    #[error("the JSON text is nested too deeply")]
    TooDeep,
    /// The text has too many bytes.
    #[error("the JSON text is too long")]
    TooLarge,
    /// The text has too many values.
    #[error("the JSON text has too many values")]
    TooMany,
}

/// One JSON value that borrows from the text it was read from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json<'a> {
    Null,
    Bool(bool),
    Number(Number),
    String(Cow<'a, str>),
    Array(Vec<Self>),
    Object(Object<'a>),
}

/// One JSON object: distinct names, in the order of the text.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Object<'a>(Vec<(Cow<'a, str>, Json<'a>)>);

/// Reads one JSON value that fills the whole text.
pub(crate) fn read(text: &[u8], bytes_max: usize) -> Result<Json<'_>, JsonError> {
    if bytes_max < text.len() {
        return Err(JsonError::TooLarge);
    }
    let shared = Shared::default();
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let read = Reader { depth: 0, shared: &shared }.deserialize(&mut deserializer);
    match read.and_then(|json| deserializer.end().map(|()| json)) {
        Ok(json) => Ok(json),
        Err(_) => Err(shared.refused.get().unwrap_or(JsonError::Syntax)),
    }
}

/// Reads one JSON object that fills the whole text.
pub(crate) fn read_object(text: &[u8], bytes_max: usize) -> Result<Object<'_>, JsonError> {
    read(text, bytes_max)?.into_object().ok_or(JsonError::Syntax)
}

impl<'a> Json<'a> {
    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Number(number) => number.as_u64(),
            _ => None,
        }
    }

    pub(crate) fn as_array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    pub(crate) fn as_object(&self) -> Option<&Object<'a>> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    pub(crate) fn into_string(self) -> Option<String> {
        match self {
            Self::String(text) => Some(text.into_owned()),
            _ => None,
        }
    }

    pub(crate) fn into_array(self) -> Option<Vec<Self>> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    pub(crate) fn into_object(self) -> Option<Object<'a>> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// Copies the value out of the text. The depth is bounded by the reader.
    pub(crate) fn into_value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(flag) => Value::Bool(flag),
            Self::Number(number) => Value::Number(number),
            Self::String(text) => Value::String(text.into_owned()),
            Self::Array(items) => Value::Array(items.into_iter().map(Json::into_value).collect()),
            Self::Object(object) => Value::Object(object.into_map()),
        }
    }
}

impl<'a> Object<'a> {
    pub(crate) fn get(&self, name: &str) -> Option<&Json<'a>> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    pub(crate) fn get_str(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Takes a member out. The order of the others is not kept.
    pub(crate) fn take(&mut self, name: &str) -> Option<Json<'a>> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(at).1)
    }

    pub(crate) fn put_back(&mut self, name: &'a str, value: Json<'a>) {
        self.0.push((Cow::Borrowed(name), value));
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_ref())
    }

    pub(crate) fn into_members(self) -> impl Iterator<Item = (Cow<'a, str>, Json<'a>)> {
        self.0.into_iter()
    }

    pub(crate) fn into_map(self) -> Map<String, Value> {
        self.0.into_iter().map(|(name, value)| (name.into_owned(), value.into_value())).collect()
    }

    fn has_duplicates(&self) -> bool {
        if self.0.len() <= 8 {
            return self
                .0
                .iter()
                .enumerate()
                .any(|(at, (name, _))| self.0.iter().take(at).any(|(earlier, _)| earlier == name));
        }
        // Sorting, not hashing: no key of a peer's choosing can make it slow.
        let mut names: Vec<&str> = self.names().collect();
        names.sort_unstable();
        names.windows(2).any(|pair| matches!(pair, [one, other] if one == other))
    }
}

#[derive(Default)]
struct Shared {
    values: Cell<usize>,
    refused: Cell<Option<JsonError>>,
}

#[derive(Clone, Copy)]
struct Reader<'r> {
    depth: usize,
    shared: &'r Shared,
}

impl Reader<'_> {
    fn count<E: serde::de::Error>(self) -> Result<(), E> {
        let values = self.shared.values.get() + 1;
        self.shared.values.set(values);
        if JSON_VALUES_MAX < values { Err(self.refuse(JsonError::TooMany)) } else { Ok(()) }
    }

    fn enter<E: serde::de::Error>(self) -> Result<Self, E> {
        self.count()?;
        if JSON_DEPTH_MAX <= self.depth {
            return Err(self.refuse(JsonError::TooDeep));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }

    fn refuse<E: serde::de::Error>(self, error: JsonError) -> E {
        self.shared.refused.set(Some(error));
        E::custom(error)
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Json<'de>, E> {
        self.count().map(|()| Json::Null)
    }

    fn visit_bool<E: serde::de::Error>(self, flag: bool) -> Result<Json<'de>, E> {
        self.count().map(|()| Json::Bool(flag))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Json<'de>, E> {
        self.count().map(|()| Json::Number(number.into()))
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Json<'de>, E> {
        self.count().map(|()| Json::Number(number.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Json<'de>, E> {
        self.count()?;
        Number::from_f64(number).map(Json::Number).ok_or_else(|| self.refuse(JsonError::Syntax))
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, text: &'de str) -> Result<Json<'de>, E> {
        self.count().map(|()| Json::String(Cow::Borrowed(text)))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Json<'de>, E> {
        self.count().map(|()| Json::String(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json<'de>, A::Error> {
        let inner = self.enter()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json<'de>, A::Error> {
        let inner = self.enter()?;
        // The outermost object has a dozen members at most times; those inside it few.
        let capacity = if self.depth == 0 { 12 } else { 0 };
        let mut object = Object(Vec::with_capacity(capacity));
        while let Some(name) = map.next_key_seed(Name)? {
            object.0.push((name, map.next_value_seed(inner)?));
        }
        if object.has_duplicates() {
            return Err(self.refuse(JsonError::Duplicate));
        }
        Ok(Json::Object(object))
    }
}

struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &[u8]) -> JsonError {
        read(text, 1 << 20).unwrap_err()
    }

    #[test]
    fn values_come_through_unchanged() {
        let text = br#"{"a":[1,-2,3.5,null,true],"b":{"c":"d\u00e9"},"e":"plain"}"#;
        let value = read(text, 1024).unwrap().into_value();
        assert_eq!(value, serde_json::from_slice::<Value>(text).unwrap());
    }

    #[test]
    fn strings_are_borrowed() {
        let json = read(br#"{"a":"b"}"#, 1024).unwrap();
        assert!(matches!(json.as_object().unwrap().get("a"), Some(Json::String(Cow::Borrowed(_)))));
    }

    #[test]
    fn duplicate_names_are_refused_at_any_size_and_depth() {
        assert_eq!(refused(br#"{"a":1,"a":1}"#), JsonError::Duplicate);
        assert_eq!(refused(br#"[{"x":{"a":1,"b":2,"\u0061":1}}]"#), JsonError::Duplicate);
        let mut many: Vec<String> = (0..1000).map(|n| format!("\"n{n}\":0")).collect();
        assert!(read(format!("{{{}}}", many.join(",")).as_bytes(), 1 << 20).is_ok());
        many.push("\"n500\":0".to_owned());
        assert_eq!(refused(format!("{{{}}}", many.join(",")).as_bytes()), JsonError::Duplicate);
    }

    #[test]
    fn depth_and_count_and_size_are_bounded() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(read(nested(JSON_DEPTH_MAX).as_bytes(), 1 << 20).is_ok());
        assert_eq!(refused(nested(JSON_DEPTH_MAX + 1).as_bytes()), JsonError::TooDeep);
        assert_eq!(refused("[".repeat(1_000_000).as_bytes()), JsonError::TooDeep);
        let wide = format!("[{}0]", "0,".repeat(JSON_VALUES_MAX));
        assert_eq!(refused(wide.as_bytes()), JsonError::TooMany);
        assert_eq!(read(b"[1]", 2).unwrap_err(), JsonError::TooLarge);
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for text in [
            &b""[..],
            b"{",
            b"{} {}",
            b"\xef\xbb\xbf{}",
            b"{\"a\":\"\xff\"}",
            b"{\"a\":\"\x00\"}",
            br#"{"a":"\ud800"}"#,
            br#"{"a":1e999}"#,
            br#"{"a":NaN}"#,
            br#"{"a":01}"#,
            br#"{a:1}"#,
            br#"{"a":1,}"#,
        ] {
            assert_eq!(refused(text), JsonError::Syntax, "{text:?}");
        }
    }
}

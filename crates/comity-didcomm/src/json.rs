//! The strict JSON reader through which every peer's text goes: one tree that borrows its strings,
//! refusing duplicate names, deep nesting, too many values and anything that is not valid UTF-8
//! (RFC 8259, RFC 7493).
//!
//! Not a serialiser, and not for our own files. It exists because the ordinary reader takes the
//! last of two equal names, which lets two readers of one signed text disagree about what it says.
//! The tree is flat: one list of nodes in the order of the text, so that the headers and messages
//! of everyday need no place on the heap.

mod build;

use std::borrow::Cow;

use serde_json::{Map, Number, Value};
use thiserror::Error;

use crate::limits::JSON_VALUES_MAX;

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

/// One JSON value that fills its whole text, or one JSON object: see [`Tree::read_object`].
#[derive(Debug, Default)]
pub(crate) struct Tree<'t> {
    /// The nodes in the order of the text. A container stands before what it contains, a name
    /// before its value.
    first: [Node<'t>; NODES_IN_PLACE],
    /// Those that do not fit into `first`.
    more: Vec<Node<'t>>,
    count: usize,
    /// Values, where an object counts for what it takes when it is copied out of the text.
    weight: usize,
}

/// Nodes of a tree that need no place on the heap: an envelope for three recipients, or a message
/// with a short body.
const NODES_IN_PLACE: usize = 32;

#[derive(Debug, Default)]
struct Node<'t> {
    content: Content<'t>,
    /// Where the next node stands that is not inside this one.
    next: usize,
}

// The limit on values, and as many names, bounds memory by this size.
const _: () = assert!(size_of::<Node<'_>>() <= 32);

#[derive(Debug, Default)]
enum Content<'t> {
    #[default]
    Null,
    Bool(bool),
    Number(Number),
    /// A text, or the name of the value that follows.
    String(Cow<'t, str>),
    Array,
    Object,
}

/// One value of a tree.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Json<'t> {
    Null,
    Bool(bool),
    Number(&'t Number),
    String(&'t str),
    Array(Array<'t>),
    Object(Object<'t>),
}

/// One JSON array of a tree.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Array<'t>(Span<'t>);

/// One JSON object of a tree: distinct names, in the order of the text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Object<'t>(Span<'t>);

/// The nodes inside a container.
#[derive(Clone, Copy, Debug)]
struct Span<'t> {
    tree: &'t Tree<'t>,
    at: usize,
    end: usize,
}

impl<'t> Tree<'t> {
    /// Reads one JSON value that fills the whole text.
    pub(crate) fn read(text: &'t [u8], bytes_max: usize) -> Result<Self, JsonError> {
        build::read(text, bytes_max)
    }

    /// Reads one JSON object that fills the whole text.
    pub(crate) fn read_object(text: &'t [u8], bytes_max: usize) -> Result<Self, JsonError> {
        let tree = Self::read(text, bytes_max)?;
        if tree.root().as_object().is_some() { Ok(tree) } else { Err(JsonError::Syntax) }
    }

    /// Returns the value.
    pub(crate) fn root(&'t self) -> Json<'t> {
        self.json(0)
    }

    /// Returns the object of [`Tree::read_object`]; of another value, one without members.
    pub(crate) fn object(&'t self) -> Object<'t> {
        let none = Object(Span { tree: self, at: 0, end: 0 });
        self.root().as_object().unwrap_or(none)
    }

    /// Refuses a text that takes too much memory when it is copied out: the tree itself takes as
    /// much for an object as for any other value, a map much more.
    pub(crate) const fn check_weight(&self) -> Result<(), JsonError> {
        if JSON_VALUES_MAX < self.weight { Err(JsonError::TooMany) } else { Ok(()) }
    }

    fn node(&self, at: usize) -> Option<&Node<'t>> {
        match at.checked_sub(NODES_IN_PLACE) {
            None => self.first.get(at),
            Some(at) => self.more.get(at),
        }
    }

    fn json(&'t self, at: usize) -> Json<'t> {
        let Some(node) = self.node(at) else { return Json::Null };
        let span = Span { tree: self, at: at + 1, end: node.next };
        match &node.content {
            Content::Null => Json::Null,
            Content::Bool(flag) => Json::Bool(*flag),
            Content::Number(number) => Json::Number(number),
            Content::String(text) => Json::String(text),
            Content::Array => Json::Array(Array(span)),
            Content::Object => Json::Object(Object(span)),
        }
    }
}

impl<'t> Json<'t> {
    pub(crate) const fn as_str(self) -> Option<&'t str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_u64(self) -> Option<u64> {
        match self {
            Self::Number(number) => number.as_u64(),
            _ => None,
        }
    }

    pub(crate) const fn as_array(self) -> Option<Array<'t>> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    pub(crate) const fn as_object(self) -> Option<Object<'t>> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// Copies the value out of the text. The depth is bounded by the reader.
    pub(crate) fn to_value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(flag) => Value::Bool(flag),
            Self::Number(number) => Value::Number(number.clone()),
            Self::String(text) => Value::String(text.to_owned()),
            Self::Array(items) => {
                // No larger than needed: it is kept.
                let mut values = Vec::with_capacity(items.len());
                values.extend(items.items().map(Json::to_value));
                Value::Array(values)
            }
            Self::Object(object) => Value::Object(object.to_map()),
        }
    }
}

impl<'t> Array<'t> {
    pub(crate) fn items(self) -> impl Iterator<Item = Json<'t>> {
        self.0.map(|at| self.0.tree.json(at))
    }

    /// Counts the items.
    pub(crate) fn len(self) -> usize {
        self.0.count()
    }
}

impl<'t> Object<'t> {
    /// As [`Tree::check_weight`], for the whole text that the object is from.
    pub(crate) const fn check_weight(self) -> Result<(), JsonError> {
        self.0.tree.check_weight()
    }

    pub(crate) fn get(self, name: &str) -> Option<Json<'t>> {
        self.members().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    pub(crate) fn get_str(self, name: &str) -> Option<&'t str> {
        self.get(name)?.as_str()
    }

    pub(crate) fn contains(self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(crate) fn names(self) -> impl Iterator<Item = &'t str> {
        self.members().map(|(name, _)| name)
    }

    pub(crate) fn members(self) -> impl Iterator<Item = (&'t str, Json<'t>)> {
        let mut span = self.0;
        std::iter::from_fn(move || {
            let name = span.tree.json(span.next()?).as_str()?;
            let value = span.tree.json(span.next()?);
            Some((name, value))
        })
    }

    pub(crate) fn to_map(self) -> Map<String, Value> {
        let mut map = Map::new();
        for (name, value) in self.members() {
            map.insert(name.to_owned(), value.to_value());
        }
        map
    }
}

/// Goes over the nodes directly inside the container, passing over what these contain.
impl Iterator for Span<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let at = self.at;
        if self.end <= at {
            return None;
        }
        self.at = self.tree.node(at)?.next;
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::JSON_DEPTH_MAX;

    fn refused(text: &[u8]) -> JsonError {
        Tree::read(text, 1 << 20).unwrap_err()
    }

    #[test]
    fn values_come_through_unchanged() {
        let text = br#"{"a":[1,-2,3.5,null,true],"b":{"c":"d\u00e9"},"e":"plain"}"#;
        let value = Tree::read(text, 1024).unwrap().root().to_value();
        assert_eq!(value, serde_json::from_slice::<Value>(text).unwrap());
    }

    #[test]
    fn it_does_not_matter_how_many_nodes_find_a_place_in_the_tree() {
        for count in 0..2 * NODES_IN_PLACE {
            let items: Vec<_> = (0..count).map(|n| format!(r#"{{"n{n}":[{n},"{n}"]}}"#)).collect();
            let text = format!(r#"{{"before":[{}],"after":{{"deep":[true]}}}}"#, items.join(","));
            let tree = Tree::read_object(text.as_bytes(), 1 << 20).unwrap();
            let value: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(tree.root().to_value(), value);
            assert_eq!(tree.object().names().collect::<Vec<_>>(), ["before", "after"]);
            assert_eq!(tree.object().get("before").unwrap().as_array().unwrap().len(), count);
            let after = tree.object().get("after").unwrap().as_object().unwrap();
            assert_eq!(after.get("deep").unwrap().to_value(), value["after"]["deep"]);
        }
    }

    #[test]
    fn strings_are_borrowed() {
        let tree = Tree::read(br#"{"a":"b"}"#, 1024).unwrap();
        assert!(matches!(tree.first[2].content, Content::String(Cow::Borrowed("b"))));
    }

    #[test]
    fn duplicate_names_are_refused_at_any_size_and_depth() {
        assert_eq!(refused(br#"{"a":1,"a":1}"#), JsonError::Duplicate);
        assert_eq!(refused(br#"[{"x":{"a":1,"b":2,"\u0061":1}}]"#), JsonError::Duplicate);
        let mut many: Vec<String> = (0..1000).map(|n| format!("\"n{n}\":0")).collect();
        assert!(Tree::read(format!("{{{}}}", many.join(",")).as_bytes(), 1 << 20).is_ok());
        many.push("\"n500\":0".to_owned());
        assert_eq!(refused(format!("{{{}}}", many.join(",")).as_bytes()), JsonError::Duplicate);
    }

    #[test]
    fn depth_and_count_and_size_are_bounded() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(Tree::read(nested(JSON_DEPTH_MAX).as_bytes(), 1 << 20).is_ok());
        assert_eq!(refused(nested(JSON_DEPTH_MAX + 1).as_bytes()), JsonError::TooDeep);
        assert_eq!(refused("[".repeat(1_000_000).as_bytes()), JsonError::TooDeep);
        let wide = format!("[{}0]", "0,".repeat(JSON_VALUES_MAX));
        assert_eq!(refused(wide.as_bytes()), JsonError::TooMany);
        assert_eq!(Tree::read(b"[1]", 2).unwrap_err(), JsonError::TooLarge);
    }

    #[test]
    fn an_object_counts_for_what_it_takes() {
        // Counted as two values, 65 thousand of the smallest objects came in one message of half a
        // megabyte and took 43.
        let list = |object: &str, count: usize| format!("[{}]", vec![object; count].join(","));
        let weighed = |text: &str| Tree::read(text.as_bytes(), 1 << 20).unwrap().check_weight();
        let accepts = |text: &str| weighed(text).is_ok();
        assert!(accepts(&list(r#"{"a":0}"#, 16_000)));
        assert_eq!(weighed(&list(r#"{"a":0}"#, 17_000)), Err(JsonError::TooMany));
        let wide: Vec<_> = (0..70_000).map(|n| format!(r#""{n}":0"#)).collect();
        assert_eq!(weighed(&format!("{{{}}}", wide.join(","))), Err(JsonError::TooMany));
        // What people send: a table as records fills a message, and so do numbers.
        let records = list(r#"{"id":104729,"name":"Aria Example","at":1800000000}"#, 12_000);
        assert!(600_000 < records.len() && accepts(&records));
        assert!(accepts(&list("0.5772156", 100_000)));
        assert!(accepts(&list("{}", 100_000)) && accepts(&list("[[]]", 60_000)));
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

//! Builds the flat tree from what the ordinary JSON parser finds, and refuses what is not to be
//! read. The grammar is the parser's business.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

use super::{Content, JsonError, NODES_IN_PLACE, Node, Object, Span, Tree};
use crate::limits::{JSON_DEPTH_MAX, JSON_NODE_MEMBERS, JSON_NODE_VALUES, JSON_VALUES_MAX};

pub(super) fn read(text: &[u8], bytes_max: usize) -> Result<Tree<'_>, JsonError> {
    if bytes_max < text.len() {
        return Err(JsonError::TooLarge);
    }
    let text = std::str::from_utf8(text).map_err(|_| JsonError::Syntax)?;
    let mut builder = Builder::default();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = Reader { builder: &mut builder, depth: 0 }.deserialize(&mut deserializer);
    match read.and_then(|()| deserializer.end()) {
        Ok(()) => {
            builder.tree.weight += builder.values;
            Ok(builder.tree)
        }
        Err(_) => Err(builder.refused.unwrap_or(JsonError::Syntax)),
    }
}

#[derive(Default)]
struct Builder<'t> {
    tree: Tree<'t>,
    /// Values so far. The names of members are nodes and not values.
    values: usize,
    refused: Option<JsonError>,
}

impl<'t> Builder<'t> {
    fn refuse<E: Error>(&mut self, error: JsonError) -> E {
        self.refused = Some(error);
        E::custom(error)
    }

    /// Adds a value that contains no other.
    fn value<E: Error>(&mut self, content: Content<'t>) -> Result<(), E> {
        self.values += 1;
        if JSON_VALUES_MAX < self.values {
            return Err(self.refuse(JsonError::TooMany));
        }
        self.node(content);
        Ok(())
    }

    /// Adds a node and returns where it stands.
    fn node(&mut self, content: Content<'t>) -> usize {
        let at = self.tree.count;
        self.tree.count += 1;
        let node = Node { content, next: self.tree.count };
        match self.tree.first.get_mut(at) {
            Some(place) => *place = node,
            None => self.tree.more.push(node),
        }
        at
    }

    /// Ends a container: what was added since it began is inside it.
    fn end(&mut self, at: usize) {
        let next = self.tree.count;
        let node = match at.checked_sub(NODES_IN_PLACE) {
            None => self.tree.first.get_mut(at),
            Some(at) => self.tree.more.get_mut(at),
        };
        if let Some(node) = node {
            node.next = next;
        }
    }
}

fn has_duplicates(object: Object<'_>) -> bool {
    if object.names().nth(8).is_none() {
        let earlier = |at: usize| object.names().take(at);
        return object.names().enumerate().any(|(at, name)| earlier(at).any(|one| one == name));
    }
    // Sorting, not hashing: no key of a peer's choosing can make it slow.
    let mut names: Vec<&str> = object.names().collect();
    names.sort_unstable();
    names.windows(2).any(|pair| matches!(pair, [one, other] if one == other))
}

struct Reader<'b, 't> {
    builder: &'b mut Builder<'t>,
    depth: usize,
}

impl<'t> Reader<'_, 't> {
    /// Begins a container, and returns where it stands.
    fn enter<E: Error>(&mut self, content: Content<'t>) -> Result<usize, E> {
        let at = self.builder.tree.count;
        self.builder.value(content)?;
        if JSON_DEPTH_MAX <= self.depth {
            return Err(self.builder.refuse(JsonError::TooDeep));
        }
        Ok(at)
    }

    fn inside(&mut self) -> Reader<'_, 't> {
        Reader { builder: self.builder, depth: self.depth + 1 }
    }
}

impl<'t> DeserializeSeed<'t> for Reader<'_, 't> {
    type Value = ();

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'t> Visitor<'t> for Reader<'_, 't> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.builder.value(Content::Null)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<(), E> {
        self.builder.value(Content::Bool(flag))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.builder.value(Content::Number(number.into()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.builder.value(Content::Number(number.into()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        match Number::from_f64(number) {
            Some(number) => self.builder.value(Content::Number(number)),
            None => Err(self.builder.refuse(JsonError::Syntax)),
        }
    }

    fn visit_borrowed_str<E: Error>(self, text: &'t str) -> Result<(), E> {
        self.builder.value(Content::String(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.builder.value(Content::String(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'t>>(mut self, mut seq: A) -> Result<(), A::Error> {
        let at = self.enter(Content::Array)?;
        while seq.next_element_seed(self.inside())?.is_some() {}
        self.builder.end(at);
        Ok(())
    }

    fn visit_map<A: MapAccess<'t>>(mut self, mut map: A) -> Result<(), A::Error> {
        let at = self.enter(Content::Object)?;
        let mut members = 0_usize;
        while map.next_key_seed(Name(self.builder))?.is_some() {
            members += 1;
            map.next_value_seed(self.inside())?;
        }
        self.builder.end(at);
        self.builder.tree.weight += members.div_ceil(JSON_NODE_MEMBERS) * JSON_NODE_VALUES;
        let tree = &self.builder.tree;
        if has_duplicates(Object(Span { tree, at: at + 1, end: tree.count })) {
            return Err(self.builder.refuse(JsonError::Duplicate));
        }
        Ok(())
    }
}

/// The name of a member.
struct Name<'b, 't>(&'b mut Builder<'t>);

impl<'t> DeserializeSeed<'t> for Name<'_, 't> {
    type Value = ();

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'t> Visitor<'t> for Name<'_, 't> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'t str) -> Result<(), E> {
        self.0.node(Content::String(Cow::Borrowed(text)));
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.0.node(Content::String(Cow::Owned(text.to_owned())));
        Ok(())
    }
}

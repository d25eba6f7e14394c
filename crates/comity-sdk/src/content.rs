//! Content of messages: what an agent sends and what it is told. Not the envelope, which the home makes and opens.

use std::fmt;

use comity_core::protocol::BASIC_MESSAGE;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A typed message content: the body of one message type.
///
/// ```
/// use comity_sdk::Body;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Question {
///     text: String,
/// }
///
/// impl Body for Question {
///     const TYPE: &'static str = "https://example.org/interview/1.0/question";
/// }
/// ```
pub trait Body: Serialize + DeserializeOwned + Send + 'static {
    /// The message type URI.
    const TYPE: &'static str;
}

/// A basic message: text from one to another, in a language of theirs (Basic Message 2.0).
///
/// ```
/// let greeting = comity_sdk::BasicMessage::new("Good morning");
/// assert_eq!(greeting.content, "Good morning");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BasicMessage {
    /// The text.
    pub content: String,
}

impl BasicMessage {
    /// Creates one of its text.
    pub fn new(content: impl Into<String>) -> Self {
        Self { content: content.into() }
    }
}

impl Body for BasicMessage {
    const TYPE: &'static str = BASIC_MESSAGE;
}

/// Why a body could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// The content does not fit the Rust type.
    #[error("the body does not fit its message type")]
    Content(#[source] serde_json::Error),
    /// The Rust type does not become a JSON object.
    #[error("a body has to be a JSON object")]
    NotAnObject,
    /// The message is of another type.
    #[error("the message is not of type {expected}")]
    Type {
        /// The type that was asked for.
        expected: &'static str,
    },
}

/// Turns a typed body into the object that travels. A unit struct is an empty body.
pub(crate) fn write<B: Body>(body: &B) -> Result<Map<String, Value>, BodyError> {
    match serde_json::to_value(body).map_err(BodyError::Content)? {
        Value::Object(map) => Ok(map),
        Value::Null => Ok(Map::new()),
        _ => Err(BodyError::NotAnObject),
    }
}

/// Words of somebody else: data to judge, never an instruction.
///
/// The wrapper does nothing but keep them visibly apart from the verified [`Facts`](crate::Facts), also in `Debug`
/// output, which shows none of the content.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Untrusted<T>(T);

impl<T> Untrusted<T> {
    pub(crate) const fn new(content: T) -> Self {
        Self(content)
    }

    /// Takes the content out.
    pub fn into_inner(self) -> T {
        self.0
    }

    /// Returns the content.
    pub const fn reveal(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Untrusted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Untrusted(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Serialize, serde::Deserialize)]
    struct Nothing;

    impl Body for Nothing {
        const TYPE: &'static str = "https://example.org/nothing/1.0/nothing";
    }

    #[derive(serde::Serialize, serde::Deserialize)]
    struct Number(u32);

    impl Body for Number {
        const TYPE: &'static str = "https://example.org/number/1.0/number";
    }

    #[test]
    fn a_unit_struct_is_an_empty_body_and_a_number_is_none() {
        assert_eq!(write(&Nothing).unwrap(), Map::new());
        assert!(matches!(write(&Number(1)), Err(BodyError::NotAnObject)));
    }

    #[test]
    fn debug_output_shows_nothing_of_a_peers_words() {
        assert_eq!(format!("{:?}", Untrusted::new("\u{1b}[2J")), "Untrusted(..)");
    }
}

//! Basic Message 2.0: a text for a person. `comity send` uses it when no type is named.

use comity_didcomm::{Message, MessageId, UnixTime};
use serde_json::Value;

use super::{ProtocolError, text};
use crate::record::message_type;

/// The only message of the protocol.
pub const BASIC_MESSAGE: &str = "https://didcomm.org/basicmessage/2.0/message";

/// A text, with the language and time that the protocol wants beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BasicMessage {
    /// The text, untrusted.
    pub content: String,
    /// Its language, as an IANA subtag.
    pub lang: Option<String>,
    /// When it was written; every conforming sender says it.
    pub created_time: Option<UnixTime>,
}

impl BasicMessage {
    /// Reads the text out of a message.
    ///
    /// # Errors
    /// When the message is no basic message, or has no content.
    pub fn parse(message: &Message) -> Result<Self, ProtocolError> {
        if !message_type(BASIC_MESSAGE).matches(&message.type_) {
            return Err(ProtocolError::Unknown);
        }
        let content = text(&message.body, "content")?.ok_or(ProtocolError::Malformed)?.to_owned();
        Ok(Self { content, lang: message.lang.clone(), created_time: message.created_time })
    }

    /// Makes the message.
    #[must_use]
    pub fn into_message(self, id: MessageId) -> Message {
        let mut message = Message::new(id, message_type(BASIC_MESSAGE))
            .with_body_member("content", Value::String(self.content));
        message.lang = self.lang;
        message.created_time = self.created_time;
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_survives_both_ways_and_content_is_required() {
        let text = BasicMessage {
            content: "hello".to_owned(),
            lang: Some("en".to_owned()),
            created_time: Some(UnixTime(5)),
        };
        let mut message = text.clone().into_message("m-1".parse().unwrap());
        assert_eq!(BasicMessage::parse(&message), Ok(text));
        message.body.clear();
        assert_eq!(BasicMessage::parse(&message), Err(ProtocolError::Malformed));
    }
}

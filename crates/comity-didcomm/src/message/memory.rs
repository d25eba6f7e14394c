//! How much memory a message takes, roughly: for those who keep messages in a bounded place. Its text
//! says little of it, since an object of one short member is a few bytes long and takes hundreds.

use serde_json::{Map, Value};

use super::Message;
use crate::limits::JSON_NODE_MEMBERS;

const VALUE_BYTES: usize = size_of::<Value>();
/// A text on the heap, beside its characters.
const TEXT_BYTES: usize = 32;
/// A node of a map.
const NODE_BYTES: usize = 656;
/// An attachment with its short texts.
const ATTACHMENT_BYTES: usize = 640;

impl Message {
    /// Estimates the memory that the message takes: its body, its attachments and the headers that
    /// can be large.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let text = |text: &String| TEXT_BYTES + text.len();
        let attachments = self.attachments.iter().map(|attachment| {
            let data = &attachment.data;
            ATTACHMENT_BYTES
                + data.links.iter().map(text).sum::<usize>()
                + data.base64.as_ref().map_or(0, String::len)
                + [&data.json, &data.jws].into_iter().flatten().map(value).sum::<usize>()
        });
        let lists = [&self.please_ack, &self.ack, &self.accept_lang];
        size_of::<Self>()
            + members(&self.body)
            + members(&self.extra)
            + self.l10n.as_ref().map_or(0, value)
            + self.from_prior.as_ref().map_or(0, String::len)
            + lists.into_iter().flatten().map(text).sum::<usize>()
            + attachments.sum::<usize>()
    }
}

/// The depth is bounded by the reader of messages; of our own, by who made them.
fn value(value: &Value) -> usize {
    let inside = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => TEXT_BYTES + text.len(),
        Value::Array(items) => items.iter().map(self::value).sum(),
        Value::Object(object) => members(object),
    };
    VALUE_BYTES + inside
}

fn members(object: &Map<String, Value>) -> usize {
    // The values stand in the nodes.
    let inside = |(name, it): (&String, &Value)| {
        TEXT_BYTES + name.len() + value(it).saturating_sub(VALUE_BYTES)
    };
    object.len().div_ceil(JSON_NODE_MEMBERS) * NODE_BYTES + object.iter().map(inside).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::JsonError;
    use crate::limits::JSON_VALUES_MAX;
    use crate::message::MessageError;

    fn with_body(content: &str) -> (usize, usize) {
        let text = format!(r#"{{"id":"m-1","type":"https://a.example/p/1.0/m","body":{content}}}"#);
        (text.len(), Message::parse(text.as_bytes()).unwrap().memory_bytes())
    }

    #[test]
    fn a_message_takes_at_most_what_the_limit_on_values_says() {
        let list = |value: &str, count: usize| format!("[{}]", vec![value; count].join(","));
        let most = 96 * JSON_VALUES_MAX;
        for content in [
            format!(r#"{{"a":{}}}"#, list(r#"{"a":0}"#, 16_000)),
            format!(r#"{{"a":{}}}"#, list(r#"{"a":"b"}"#, 16_000)),
            format!(r#"{{"a":{}}}"#, list(r#"{"a":[]}"#, 16_000)),
            format!(r#"{{"a":{}}}"#, list(r#""a""#, 130_000)),
            format!(r#"{{"a":{}}}"#, list(r#"{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6}"#, 6_000)),
        ] {
            let (length, bytes) = with_body(&content);
            assert!(bytes < most + length, "{length} bytes take {bytes}");
            assert!(most / 2 < bytes, "{length} bytes take {bytes}");
        }
        let too_much = format!(
            r#"{{"id":"m","type":"https://a.example/p/1.0/m","body":{{"a":{}}}}}"#,
            list(r#"{"a":0}"#, 65_000)
        );
        assert_eq!(
            Message::parse(too_much.as_bytes()),
            Err(MessageError::Json(JsonError::TooMany))
        );
        let (length, bytes) = with_body(&format!(r#"{{"a":"{}"}}"#, "x".repeat(100_000)));
        assert!(length <= bytes && bytes < length + 4096, "{length} bytes take {bytes}");
    }
}

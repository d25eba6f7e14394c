//! Builds the messages of Receipt 1.0, and the bare `ack` for peers that know only that.

use comity_didcomm::{Did, Message, MessageId, UnixTime};
use serde_json::{Map, json};

use super::{QueryItem, Receipt};
use crate::log::LogQuote;
use crate::protocol::{EMPTY_EMPTY, RECEIPT_QUERY, RECEIPT_RECEIPT};
use crate::record::message_type;

/// Composes a `receipt` message from one home to another, with what is told of the logs of both. The caller keeps to
/// [`RECEIPTS_PER_MESSAGE_MAX`](crate::limits::RECEIPTS_PER_MESSAGE_MAX).
#[must_use]
pub fn compose_receipts(
    id: MessageId,
    from: &Did,
    to: &Did,
    receipts: &[Receipt],
    log: Option<&LogQuote>,
    now: UnixTime,
) -> Message {
    let mut message = Message::new(id, message_type(RECEIPT_RECEIPT));
    message.from = Some(from.clone());
    message.to = vec![to.clone()];
    message.created_time = Some(now);
    message.body = body("receipts", json!(receipts));
    message.body.extend(log.map(|log| ("log".to_owned(), json!(log))));
    message
}

/// Composes a `query` message: which of these messages got how far?
#[must_use]
pub fn compose_query(
    id: MessageId,
    from: &Did,
    to: &Did,
    ids: &[QueryItem],
    now: UnixTime,
) -> Message {
    let mut message = Message::new(id, message_type(RECEIPT_QUERY));
    message.from = Some(from.clone());
    message.to = vec![to.clone()];
    message.created_time = Some(now);
    message.body = body("messages", json!(ids));
    message
}

/// Composes a bare acknowledgement (DIDComm v2.1, `ack` header) in the thread of the messages it
/// acknowledges.
#[must_use]
pub fn compose_ack(
    id: MessageId,
    from: &Did,
    to: &Did,
    thread: &str,
    ids: Vec<String>,
    now: UnixTime,
) -> Message {
    let mut message = Message::new(id, message_type(EMPTY_EMPTY));
    message.from = Some(from.clone());
    message.to = vec![to.clone()];
    message.thid = Some(thread.to_owned());
    message.created_time = Some(now);
    message.ack = ids;
    message
}

fn body(name: &str, value: serde_json::Value) -> Map<String, serde_json::Value> {
    let mut body = Map::new();
    body.insert(name.to_owned(), value);
    body
}

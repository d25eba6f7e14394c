//! Names of the protocols that a home or a relay itself speaks, and their messages as types. Ours
//! live under `https://comity.dev/protocols/`, an identifier from which nothing is fetched; the
//! others are didcomm.org's.
//!
//! Each file is one protocol with the same inner order: its type URIs, its messages as one enum,
//! `parse` and `into_message`. Both halves of an exchange use the same types. Nothing here decides
//! anything.

pub mod admission;
pub mod attached_tokens;
pub mod basic_message;
pub mod coordinate_mediation;
pub mod discover_features;
pub mod empty;
pub mod grant;
pub mod mediation_proof;
pub mod operator;
pub mod outcome;
pub mod pickup;
pub mod trust_ping;
pub mod vouch;

pub use admission::{ADMISSION, ADMISSION_KEY, ADMISSION_SHOWN, ADMISSION_TOKEN};
pub use basic_message::BASIC_MESSAGE;
pub use empty::{EMPTY, EMPTY_EMPTY};
pub use grant::GRANT;
pub use operator::OPERATOR;
pub use outcome::OUTCOME;
pub use vouch::VOUCH;

use comity_didcomm::{Message, MessageType};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::limits::TOKEN_IDS_MAX;
use crate::receipt::bounded;
use crate::record::message_type;
use crate::trust::TokenId;

/// Receipt 1.0 (`docs/protocols/receipt.md`): how far a message got.
pub const RECEIPT: &str = "https://comity.dev/protocols/receipt/1.0";
/// Message of [`RECEIPT`] that carries receipts.
pub const RECEIPT_RECEIPT: &str = "https://comity.dev/protocols/receipt/1.0/receipt";
/// Message of [`RECEIPT`] that asks for them again.
pub const RECEIPT_QUERY: &str = "https://comity.dev/protocols/receipt/1.0/query";

/// Routing 2.0; its one message is [`comity_didcomm::routing::Forward`].
pub const ROUTING: &str = "https://didcomm.org/routing/2.0";

/// Report Problem 2.0 (`comity_didcomm::problem`).
pub const REPORT_PROBLEM: &str = "https://didcomm.org/report-problem/2.0";

/// Whether a message to an agent is one that its home answers for it: what it is granted, whether
/// vouches hold, how work ended. Such a message reaches no agent, and asks for no more than the home decides.
#[must_use]
pub fn is_for_home(type_: &MessageType) -> bool {
    let protocol = type_.protocol();
    let is = |known: &str| known.parse().is_ok_and(|known| protocol.matches(&known));
    // Whether to vouch for somebody is the agent's to say, or its operator's.
    is(ADMISSION) || is(GRANT) || is(OUTCOME) || (is(VOUCH) && type_.name() != vouch::REQUEST)
}

/// Whether a message type is one of [`REPORT_PROBLEM`].
#[must_use]
pub fn is_report(type_: &str) -> bool {
    type_.strip_prefix(REPORT_PROBLEM).is_some_and(|name| name.starts_with('/'))
}

/// Whether a message type is this one of the protocols' own, by the meaning of both.
#[must_use]
pub(crate) fn is_type(type_: &MessageType, constant: &str) -> bool {
    message_type(constant).matches(type_)
}

/// Whether a message of this type is the home's own word about others. It is never reported on, or there
/// would be no end.
#[must_use]
pub fn is_notice(type_: &str) -> bool {
    let is_of = |protocol| type_.strip_prefix(protocol).is_some_and(|name| name.starts_with('/'));
    [EMPTY, RECEIPT, REPORT_PROBLEM].into_iter().any(is_of)
}

/// Header by which a sender asks for receipts: the DID of the home they go to
/// (`docs/protocols/receipt.md`, section 2).
pub const RECEIPT_TO: &str = "receipt_to";

/// Why a message is not one of its protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// It belongs to the protocol, but has not the form that the protocol prescribes.
    #[error("the message has not the form that its protocol prescribes")]
    Malformed,
    /// It has more entries than are taken.
    #[error("the message has more entries than are taken")]
    TooMany,
    /// It is a message of another protocol, or one that the protocol does not have.
    #[error("the message is none of this protocol")]
    Unknown,
}

/// Reads a text member of a body; absent is `None`, anything but text is malformed.
fn text<'a>(body: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, ProtocolError> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(ProtocolError::Malformed),
    }
}

/// Reads what a peer adds for people, cut to what is kept of it.
fn comment(body: &Map<String, Value>) -> Result<Option<String>, ProtocolError> {
    Ok(text(body, "comment")?.map(bounded))
}

/// Reads the name of a token.
fn token_id(value: &Value) -> Option<TokenId> {
    value.as_str()?.parse().ok()
}

/// Reads the names of tokens, at least one.
fn token_ids(body: &Map<String, Value>) -> Result<Vec<TokenId>, ProtocolError> {
    let ids = list(body, "ids", TOKEN_IDS_MAX)?;
    let ids: Option<Vec<_>> = ids.iter().map(token_id).collect();
    ids.filter(|ids| !ids.is_empty()).ok_or(ProtocolError::Malformed)
}

/// Reads a list member of a body with at most `max` entries.
fn list<'a>(
    body: &'a Map<String, Value>,
    name: &str,
    max: usize,
) -> Result<&'a [Value], ProtocolError> {
    match body.get(name) {
        Some(Value::Array(items)) if max < items.len() => Err(ProtocolError::TooMany),
        Some(Value::Array(items)) => Ok(items),
        _ => Err(ProtocolError::Malformed),
    }
}

/// Reads a member that has to be there and be a whole number.
fn number(body: &Map<String, Value>, name: &str) -> Result<u64, ProtocolError> {
    body.get(name).and_then(Value::as_u64).ok_or(ProtocolError::Malformed)
}

/// Makes an object out of members that are there.
fn object<const N: usize>(members: [(&str, Option<Value>); N]) -> Map<String, Value> {
    members
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| (name.to_owned(), value)))
        .collect()
}

/// Finds the name of a message within one of these protocols, and which of them it is.
fn name_in<'a, T: Copy>(message: &'a Message, known: &[(&str, T)]) -> Option<(T, &'a str)> {
    let protocol = message.type_.protocol();
    let (_, version) =
        known.iter().find(|(uri, _)| uri.parse().is_ok_and(|known| protocol.matches(&known)))?;
    Some((*version, message.type_.name()))
}

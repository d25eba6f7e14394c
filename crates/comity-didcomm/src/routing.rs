//! Routing 2.0 (DIDComm v2.1, section "Routing Protocol"): the [`Forward`] message that hands an
//! envelope to a mediator, the [`Route`] of a service endpoint, and [`wrap`], which packs an
//! envelope for it.
//!
//! Pure like the rest: nothing is resolved or sent here, and whether a mediator serves a recipient
//! is its own decision.

mod route;
mod unwrap;

use std::fmt;
use std::str::FromStr;

use rand_core::CryptoRng;
use serde_json::{Map, Value, json};
use thiserror::Error;

pub use self::route::{Hop, Route, RouteError};
pub use self::unwrap::{Forwarded, open_forwarded};
use crate::did::{Did, DidError, DidUrl};
use crate::envelope::{ContentEncryption, ENCRYPTED_TYPE};
use crate::json::{JsonError, Tree};
use crate::limits::{ENVELOPE_BYTES_MAX, FORWARD_PAYLOADS_MAX};
use crate::message::{Attachment, Message, MessageId, MessageType};
use crate::seal::{SealError, anoncrypt};
use crate::time::UnixTime;

/// The type of a forward.
pub const FORWARD: &str = "https://didcomm.org/routing/2.0/forward";

/// Says why a message cannot be used as a forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ForwardError {
    /// Its `delay_milli` is not a whole number.
    #[error("the delay_milli of the forward is not a whole number")]
    Delay,
    /// A payload is only linked. A mediator does not fetch what a stranger names.
    #[error("a payload of the forward is a link")]
    Link,
    /// Its `next` is missing, or neither a DID nor the id of a key.
    #[error("the next of the forward is neither a DID nor the id of a key")]
    Next,
    /// A payload is missing, or is not an envelope in JSON.
    #[error("the forward has no payload, or one that is no envelope")]
    Payload,
    /// A payload is larger than an envelope may be.
    #[error("a payload of the forward is too large")]
    TooLarge,
    /// It has more payloads than are taken.
    #[error("the forward has too many payloads")]
    TooMany,
    /// The message has another type.
    #[error("the message is not a forward")]
    Type,
}

impl ForwardError {
    /// Every error, for tables of documentation.
    pub const ALL: [Self; 7] = [
        Self::Delay,
        Self::Link,
        Self::Next,
        Self::Payload,
        Self::TooLarge,
        Self::TooMany,
        Self::Type,
    ];

    /// Returns the problem-report code (Report Problem 2.0).
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Delay | Self::Next | Self::Payload => "e.m.msg.malformed",
            Self::Link => "e.m.msg.unsupported",
            Self::TooLarge => "e.m.me.res.storage.message_too_big",
            Self::TooMany => "e.m.msg.too-many-payloads",
            Self::Type => "e.m.msg.unsupported-type",
        }
    }
}

/// Says to whom a payload goes next: a party, or the holder of one key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Next {
    /// A party; which of its devices or homes get it is its mediator's business.
    Did(Did),
    /// The holder of this key.
    Key(DidUrl),
}

impl Next {
    /// Reads what a `next` or an entry of `routingKeys` may be.
    ///
    /// # Errors
    /// When the text is neither a DID nor a DID and a fragment.
    pub fn parse(text: &str) -> Result<Self, DidError> {
        if !text.contains(['/', '?', '#']) {
            return Did::parse(text).map(Self::Did);
        }
        let url = DidUrl::parse(text)?;
        if url.is_key_id() { Ok(Self::Key(url)) } else { Err(DidError::Syntax) }
    }

    /// Returns the DID that it is or begins with.
    #[must_use]
    pub const fn did(&self) -> &Did {
        match self {
            Self::Did(did) => did,
            Self::Key(kid) => kid.did(),
        }
    }

    /// Whether it means this key: by its id, or by the DID that the id begins with.
    #[must_use]
    pub fn names(&self, kid: &DidUrl) -> bool {
        match self {
            Self::Did(did) => did.same_subject(kid.did()),
            Self::Key(next) => next.same_resource(kid),
        }
    }
}

impl fmt::Display for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Did(did) => did.fmt(f),
            Self::Key(kid) => kid.fmt(f),
        }
    }
}

impl FromStr for Next {
    type Err = DidError;

    fn from_str(text: &str) -> Result<Self, DidError> {
        Self::parse(text)
    }
}

serde_as_string!(Next);

/// Represents the content of a forward: envelopes, and who gets them.
///
/// ```
/// # use comity_didcomm::{Did, MessageId, routing::{Forward, Next}};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let bruno = Next::Did(Did::parse("did:web:bruno.example")?);
/// let forward = Forward::new(bruno, br#"{"ciphertext":"..."}"#.to_vec());
/// let message = forward.clone().into_message(MessageId::parse("f-1")?)?;
/// assert_eq!(Forward::from_message(&message)?, forward);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Who gets the payloads.
    pub next: Next,
    /// The envelopes, as bytes of JSON: not looked into, so a mediator that wants to be sure that
    /// it carries nothing readable asks [`Opening::outline`](crate::Opening::outline).
    pub payloads: Vec<Vec<u8>>,
    /// When the payloads need not be delivered any more.
    pub expires_time: Option<UnixTime>,
    /// How long to wait before sending on, in milliseconds; negative: a random time up to that
    /// long.
    pub delay_milli: Option<i64>,
    /// Headers that routing does not know: what a sender and a mediator agree on beside it.
    pub extra: Map<String, Value>,
}

impl Forward {
    /// Creates a forward of one envelope.
    #[must_use]
    pub fn new(next: Next, envelope: Vec<u8>) -> Self {
        let payloads = vec![envelope];
        Self { next, payloads, expires_time: None, delay_milli: None, extra: Map::new() }
    }

    /// Whether a message is a forward, going by its type.
    #[must_use]
    pub fn is_forward(message: &Message) -> bool {
        forward_type().matches(&message.type_)
    }

    /// Reads the content out of a message.
    ///
    /// `delay_milli` is taken from the headers and, because senders differ, from the body.
    /// `please_ack` is not looked at: a mediator does not honour it.
    ///
    /// # Errors
    /// When the message is not a forward, or one that a mediator cannot serve.
    pub fn from_message(message: &Message) -> Result<Self, ForwardError> {
        if !Self::is_forward(message) {
            return Err(ForwardError::Type);
        }
        let next = message.body.get("next").and_then(Value::as_str).ok_or(ForwardError::Next)?;
        let next = Next::parse(next).map_err(|_| ForwardError::Next)?;
        let delay = message.extra.get(DELAY).or_else(|| message.body.get(DELAY));
        let delay_milli = match delay {
            None | Some(Value::Null) => None,
            Some(value) => Some(value.as_i64().ok_or(ForwardError::Delay)?),
        };
        if FORWARD_PAYLOADS_MAX < message.attachments.len() {
            return Err(ForwardError::TooMany);
        }
        let payloads = message.attachments.iter().map(payload).collect::<Result<Vec<_>, _>>()?;
        if payloads.is_empty() {
            return Err(ForwardError::Payload);
        }
        let mut extra = message.extra.clone();
        extra.remove(DELAY);
        Ok(Self { next, payloads, expires_time: message.expires_time, delay_milli, extra })
    }

    /// Creates the message, its payloads as JSON, which every peer reads and which grows least from
    /// hop to hop. Whoever sends it sets `to` to the mediator; [`wrap`] does.
    ///
    /// # Errors
    /// When a payload is not a JSON object, or there are none or too many.
    pub fn into_message(self, id: MessageId) -> Result<Message, ForwardError> {
        if self.payloads.is_empty() {
            return Err(ForwardError::Payload);
        }
        if FORWARD_PAYLOADS_MAX < self.payloads.len() {
            return Err(ForwardError::TooMany);
        }
        let mut message = Message::new(id, forward_type())
            .with_body_member("next", self.next.to_string())
            .with_times(None, self.expires_time);
        message.extra = self.extra;
        if let Some(delay) = self.delay_milli {
            message.extra.insert(DELAY.to_owned(), json!(delay));
        }
        for (at, payload) in self.payloads.iter().enumerate() {
            let payload = read_payload(payload)?;
            let media_type = Some(ENCRYPTED_TYPE.to_owned());
            let id = Some((at + 1).to_string());
            message.attachments.push(Attachment::from_json(id, media_type, payload));
        }
        Ok(message)
    }
}

/// Holds what a mediator is sent, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wrapped {
    /// What is sent, with the media type `application/didcomm-encrypted+json`.
    pub envelope: String,
    /// Where it is sent to.
    pub uri: String,
    /// How many mediators it goes through.
    pub hops: usize,
}

/// Wraps an envelope for the mediators of a route, from the recipient back to the sender, each
/// wrapping encrypted to one mediator. A route without mediators leaves the envelope as it is.
///
/// # Errors
/// When the envelope is not JSON, a key cannot be encrypted to, or the result would be too large.
pub fn wrap(
    envelope: String,
    route: &Route,
    expires_time: Option<UnixTime>,
    rng: &mut dyn CryptoRng,
) -> Result<Wrapped, SealError> {
    wrap_with(envelope, route, expires_time, Map::new(), rng)
}

/// Wraps an envelope as [`wrap`] does, with headers for the recipient's own mediator, the last of
/// the route. The mediators before it do not see them.
///
/// # Errors
/// As [`wrap`].
pub fn wrap_with(
    envelope: String,
    route: &Route,
    expires_time: Option<UnixTime>,
    extra: Map<String, Value>,
    rng: &mut dyn CryptoRng,
) -> Result<Wrapped, SealError> {
    let (mut envelope, mut extra) = (envelope, extra);
    let mut next = Next::Did(route.recipient.clone());
    for hop in route.hops.iter().rev() {
        let mut forward = Forward::new(next, envelope.into_bytes());
        forward.expires_time = expires_time;
        forward.extra = std::mem::take(&mut extra);
        let message =
            forward.into_message(MessageId::random(rng)).map_err(|error| match error {
                ForwardError::TooLarge => SealError::TooLarge,
                _ => SealError::Payload,
            })?;
        let message = message.with_to([hop.name.did().clone()]);
        let enc = ContentEncryption::default();
        envelope = anoncrypt(&message.to_json(), &hop.keys, enc, rng)?;
        next = hop.name.clone();
    }
    Ok(Wrapped { envelope, uri: route.uri.clone(), hops: route.hops.len() })
}

const DELAY: &str = "delay_milli";

#[expect(clippy::expect_used, reason = "the type is a constant")]
fn forward_type() -> MessageType {
    MessageType::parse(FORWARD).expect("the constant is a message type")
}

fn payload(attachment: &Attachment) -> Result<Vec<u8>, ForwardError> {
    let data = &attachment.data;
    let bytes = match (&data.json, &data.base64) {
        (Some(value), None) => serde_json::to_vec(value).map_err(|_| ForwardError::Payload)?,
        (None, Some(_)) => data.bytes().ok_or(ForwardError::Payload)?,
        // Both at once could say two things.
        (Some(_), Some(_)) => return Err(ForwardError::Payload),
        (None, None) if !data.links.is_empty() => return Err(ForwardError::Link),
        (None, None) => return Err(ForwardError::Payload),
    };
    read_payload(&bytes)?;
    Ok(bytes)
}

fn read_payload(bytes: &[u8]) -> Result<Value, ForwardError> {
    let tree = Tree::read_object(bytes, ENVELOPE_BYTES_MAX).map_err(|error| match error {
        JsonError::TooLarge => ForwardError::TooLarge,
        _ => ForwardError::Payload,
    })?;
    Ok(Value::Object(tree.object().to_map()))
}

#[cfg(test)]
mod tests;

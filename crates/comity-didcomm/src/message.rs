//! [`Message`]: the DIDComm v2.1 plaintext message with every header of the specification and its
//! extensions (sections "Plaintext Message Structure", "Threading", "i18n", "Problems"; extensions
//! return_route, l10n and advanced_sequencing).
//!
//! Says nothing about who really sent it: `from` is a claim until
//! [`Opened::sender`](crate::Opened::sender) confirms it.

pub(crate) mod ack;
pub(crate) mod attachment;
pub(crate) mod id;
pub(crate) mod language;
mod memory;
pub(crate) mod message_type;
mod read;
mod thread;
mod write;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

pub use self::ack::{AckHistory, EMPTY, acks_owed, is_pure_ack, pure_ack};
pub use self::attachment::{Attachment, AttachmentData, AttachmentError};
pub use self::id::{IdError, MessageId};
pub use self::language::{choose_language, is_language_tag};
pub use self::message_type::{MessageType, ProtocolId, TypeError};
pub(crate) use self::read::is_media_type;
use crate::did::Did;
use crate::json::JsonError;
use crate::time::UnixTime;

/// Says why a text is not a plaintext message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MessageError {
    /// A header has not the form that the specification prescribes. The name is ours, not the
    /// peer's text.
    #[error("the header {0} is malformed")]
    Header(&'static str),
    /// Not JSON that this crate reads.
    #[error("the message cannot be read: {0}")]
    Json(#[from] JsonError),
    /// A header that every message must have is missing.
    #[error("the header {0} is missing")]
    Missing(&'static str),
}

/// Represents a plaintext message.
///
/// `to` and `from` hold plain DIDs. The specification also allows a path or query there, which
/// nothing uses: it is passed over when a message is read.
///
/// ```
/// # use comity_didcomm::{Did, Message, MessageId, MessageType};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let message = Message::new(
///     MessageId::parse("m-1")?,
///     MessageType::parse("https://didcomm.org/basicmessage/2.0/message")?,
/// )
/// .with_from(Did::parse("did:web:a.example")?)
/// .with_to([Did::parse("did:web:b.example")?])
/// .with_body_member("content", "hello");
/// assert_eq!(Message::parse(&message.to_json())?, message);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Identifies the message among those of its sender.
    pub id: MessageId,
    /// What kind of message it is.
    pub type_: MessageType,
    /// Whom it is for; empty: not said.
    pub to: Vec<Did>,
    /// Who claims to send it.
    pub from: Option<Did>,
    /// The thread it belongs to; absent: it begins one, named by its id.
    pub thid: Option<String>,
    /// The thread that its thread came out of.
    pub pthid: Option<String>,
    /// When the sender made it.
    pub created_time: Option<UnixTime>,
    /// When the sender stops caring.
    pub expires_time: Option<UnixTime>,
    /// The content, as the protocol defines it.
    pub body: Map<String, Value>,
    /// Content beside the body.
    pub attachments: Vec<Attachment>,
    /// Proof by the sender's prior DID that this one succeeds it (a JWT).
    pub from_prior: Option<String>,
    /// Messages whose receipt the sender wants acknowledged; `""` is this one.
    pub please_ack: Vec<String>,
    /// Messages whose receipt is acknowledged hereby, oldest first.
    pub ack: Vec<String>,
    /// Language of the content.
    pub lang: Option<String>,
    /// Languages that the sender reads, most wanted first.
    pub accept_lang: Vec<String>,
    /// Translations of parts of the message.
    pub l10n: Option<Value>,
    /// What may travel back on the connection that brought this.
    pub return_route: Option<ReturnRoute>,
    /// The thread that [`ReturnRoute::Thread`] speaks of.
    pub return_route_thread: Option<String>,
    /// Where the sender would like traces reported. To be refused unless the operator said
    /// otherwise.
    pub trace: Option<String>,
    /// Position among the messages of this sender in this thread.
    pub sender_order: Option<u64>,
    /// How often this message has been sent.
    pub sent_count: Option<u64>,
    /// What the sender has received of the other parties in this thread.
    pub received_orders: Vec<ReceivedOrder>,
    /// Headers unknown here: kept, otherwise ignored. Also a known advisory header whose value has
    /// an unexpected form.
    pub extra: Map<String, Value>,
}

/// Says what may travel back on the connection that brought a message (extension return_route).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ReturnRoute {
    /// Nothing.
    None,
    /// Any message for the sender.
    All,
    /// Messages of one thread.
    Thread,
}

/// Says how far a party has received another's messages (extension advanced_sequencing).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceivedOrder {
    /// DID of the other party.
    pub id: String,
    /// Highest position seen.
    pub last: u64,
    /// Positions below it that are missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<u64>,
}

impl Message {
    /// The media type of a plaintext message.
    pub const MEDIA_TYPE: &'static str = "application/didcomm-plain+json";

    /// Creates a message with an empty body and no other headers.
    #[must_use]
    pub fn new(id: MessageId, type_: MessageType) -> Self {
        Self {
            id,
            type_,
            to: Vec::new(),
            from: None,
            thid: None,
            pthid: None,
            created_time: None,
            expires_time: None,
            body: Map::new(),
            attachments: Vec::new(),
            from_prior: None,
            please_ack: Vec::new(),
            ack: Vec::new(),
            lang: None,
            accept_lang: Vec::new(),
            l10n: None,
            return_route: None,
            return_route_thread: None,
            trace: None,
            sender_order: None,
            sent_count: None,
            received_orders: Vec::new(),
            extra: Map::new(),
        }
    }

    /// Sets who sends it.
    #[must_use]
    pub fn with_from(mut self, from: Did) -> Self {
        self.from = Some(from);
        self
    }

    /// Sets whom it is for.
    #[must_use]
    pub fn with_to(mut self, to: impl IntoIterator<Item = Did>) -> Self {
        self.to = to.into_iter().collect();
        self
    }

    /// Sets the thread it belongs to.
    #[must_use]
    pub fn with_thid(mut self, thid: impl Into<String>) -> Self {
        self.thid = Some(thid.into());
        self
    }

    /// Sets the thread that its thread came out of.
    #[must_use]
    pub fn with_pthid(mut self, pthid: impl Into<String>) -> Self {
        self.pthid = Some(pthid.into());
        self
    }

    /// Sets when it was made and, with it or alone, when it expires.
    #[must_use]
    pub const fn with_times(
        mut self,
        created: Option<UnixTime>,
        expires: Option<UnixTime>,
    ) -> Self {
        self.created_time = created;
        self.expires_time = expires;
        self
    }

    /// Sets the whole body.
    #[must_use]
    pub fn with_body(mut self, body: Map<String, Value>) -> Self {
        self.body = body;
        self
    }

    /// Sets one member of the body.
    #[must_use]
    pub fn with_body_member(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.body.insert(name.to_owned(), value.into());
        self
    }

    /// Adds an attachment.
    #[must_use]
    pub fn with_attachment(mut self, attachment: Attachment) -> Self {
        self.attachments.push(attachment);
        self
    }

    /// Returns the thread it belongs to: `thid`, or its own id when it begins one.
    #[must_use]
    pub fn thread_id(&self) -> &str {
        self.thid.as_deref().unwrap_or_else(|| self.id.as_str())
    }
}

#[cfg(test)]
mod tests;

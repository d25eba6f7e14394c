//! Empty 1.0: a message that exists for its headers, such as a bare `ack` or a wish for a return
//! route.

use comity_didcomm::{Message, MessageId};

use super::ProtocolError;
use crate::record::message_type;

/// The protocol.
pub const EMPTY: &str = "https://didcomm.org/empty/1.0";
/// The only message of [`EMPTY`].
pub const EMPTY_EMPTY: &str = "https://didcomm.org/empty/1.0/empty";

/// A message without content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Empty;

impl Empty {
    /// Recognises the message.
    ///
    /// # Errors
    /// When it is another one.
    pub fn parse(message: &Message) -> Result<Self, ProtocolError> {
        match message_type(EMPTY_EMPTY).matches(&message.type_) {
            true => Ok(Self),
            false => Err(ProtocolError::Unknown),
        }
    }

    /// Makes the message.
    #[must_use]
    pub fn into_message(self, id: MessageId) -> Message {
        Message::new(id, message_type(EMPTY_EMPTY))
    }
}

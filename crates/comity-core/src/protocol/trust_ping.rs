//! Trust Ping 2.0: is anybody there, and does the channel work?

use comity_didcomm::{Message, MessageId};
use serde_json::Value;

use super::{ProtocolError, name_in};
use crate::record::message_type;

/// The protocol.
pub const TRUST_PING: &str = "https://didcomm.org/trust-ping/2.0";
/// The question.
pub const PING: &str = "https://didcomm.org/trust-ping/2.0/ping";
/// The answer.
pub const PING_RESPONSE: &str = "https://didcomm.org/trust-ping/2.0/ping-response";

/// A message of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustPing {
    /// The question, and whether it wants an answer; it does unless it says otherwise.
    Ping {
        /// Member `response_requested`.
        response_requested: bool,
    },
    /// The answer, in the question's thread.
    Response,
}

impl TrustPing {
    /// Reads a message.
    ///
    /// # Errors
    /// When it is none of the protocol, or malformed.
    pub fn parse(message: &Message) -> Result<Self, ProtocolError> {
        match name_in(message, &[(TRUST_PING, ())]) {
            Some(((), "ping")) => match message.body.get("response_requested") {
                None => Ok(Self::Ping { response_requested: true }),
                Some(Value::Bool(wanted)) => Ok(Self::Ping { response_requested: *wanted }),
                Some(_) => Err(ProtocolError::Malformed),
            },
            Some(((), "ping-response")) => Ok(Self::Response),
            _ => Err(ProtocolError::Unknown),
        }
    }

    /// Makes the message.
    #[must_use]
    pub fn into_message(self, id: MessageId) -> Message {
        match self {
            Self::Ping { response_requested } => Message::new(id, message_type(PING))
                .with_body_member("response_requested", response_requested),
            Self::Response => Message::new(id, message_type(PING_RESPONSE)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ping_wants_an_answer_unless_it_says_otherwise() {
        let id = || MessageId::parse("p-1").unwrap();
        let bare = Message::new(id(), message_type(PING));
        assert_eq!(TrustPing::parse(&bare), Ok(TrustPing::Ping { response_requested: true }));
        for ping in [TrustPing::Ping { response_requested: false }, TrustPing::Response] {
            assert_eq!(TrustPing::parse(&ping.into_message(id())), Ok(ping));
        }
        let odd = bare.with_body_member("response_requested", "yes");
        assert_eq!(TrustPing::parse(&odd), Err(ProtocolError::Malformed));
    }
}

//! Outcome 1.0 (`docs/protocols/outcome.md`): two who worked together agree on how it ended, each by
//! its signature.
//!
//! What a message says is a claim until both signatures are verified: see
//! [`SignedOutcome`](crate::trust::SignedOutcome).

use comity_didcomm::{Message, MessageId};
use serde_json::{Map, Value};

use super::attached_tokens::AttachedTokens;
use super::{ProtocolError, comment, name_in, object};
use crate::record::message_type;

/// The protocol's identifier.
pub const OUTCOME: &str = "https://comity.dev/protocols/outcome/1.0";

/// A message of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutcomeMessage {
    /// These are what both sides signed: to the other side, or to whoever is shown a record.
    Agreed {
        /// The two tokens of each.
        outcomes: Vec<[String; 2]>,
    },
    /// To the other side: this is how it ended; sign it too.
    Propose {
        /// The token of the sender.
        token: String,
        /// What the sender adds, untrusted text.
        comment: Option<String>,
    },
}

impl OutcomeMessage {
    /// Reads a message.
    ///
    /// # Errors
    /// When it is none of the protocol, malformed, or has too many tokens.
    pub fn parse(message: &Message) -> Result<Self, ProtocolError> {
        let ((), name) = name_in(message, &[(OUTCOME, ())]).ok_or(ProtocolError::Unknown)?;
        let tokens = AttachedTokens::read(message)?.outcomes;
        match name {
            "agreed" => {
                let (pairs, rest) = tokens.as_chunks::<2>();
                if pairs.is_empty() || !rest.is_empty() {
                    return Err(ProtocolError::Malformed);
                }
                Ok(Self::Agreed { outcomes: pairs.to_vec() })
            }
            "propose" => match <[String; 1]>::try_from(tokens) {
                Ok([token]) => Ok(Self::Propose { token, comment: comment(&message.body)? }),
                Err(_) => Err(ProtocolError::Malformed),
            },
            _ => Err(ProtocolError::Unknown),
        }
    }

    /// Makes the message. The caller keeps to
    /// [`OUTCOMES_PER_MESSAGE_MAX`](crate::limits::OUTCOMES_PER_MESSAGE_MAX).
    #[must_use]
    pub fn into_message(self, id: MessageId) -> Message {
        let (name, outcomes, body) = match self {
            Self::Agreed { outcomes } => ("agreed", outcomes.concat(), Map::new()),
            Self::Propose { token, comment } => {
                ("propose", vec![token], object([("comment", comment.map(Value::from))]))
            }
        };
        let tokens = AttachedTokens { outcomes, ..AttachedTokens::default() };
        let type_ = message_type(&format!("{OUTCOME}/{name}"));
        let mut message = Message::new(id, type_).with_body(body);
        message.attachments = tokens.attachments().collect();
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::OUTCOMES_PER_MESSAGE_MAX;
    use crate::protocol::attached_tokens::TokenKind;

    fn id() -> MessageId {
        MessageId::parse("o-1").unwrap()
    }

    fn pair(name: &str) -> [String; 2] {
        [format!("{name}.b.c"), format!("{name}.e.f")]
    }

    #[test]
    fn every_message_survives_both_ways() {
        for outcome in [
            OutcomeMessage::Propose { token: "a.b.c".to_owned(), comment: Some("all".to_owned()) },
            OutcomeMessage::Propose { token: "a.b.c".to_owned(), comment: None },
            OutcomeMessage::Agreed { outcomes: vec![pair("one")] },
            OutcomeMessage::Agreed { outcomes: vec![pair("one"), pair("two")] },
        ] {
            let message = outcome.clone().into_message(id());
            let message = Message::parse(&message.to_json()).unwrap();
            assert_eq!(OutcomeMessage::parse(&message), Ok(outcome));
        }
    }

    #[test]
    fn a_proposal_has_one_token_and_an_agreement_pairs_of_them() {
        let with = |name: &str, kind: TokenKind, count: usize| {
            let type_ = message_type(&format!("{OUTCOME}/{name}"));
            let mut message = Message::new(id(), type_);
            message.attachments = vec![kind.attach("a.b.c"); count];
            OutcomeMessage::parse(&message)
        };
        let malformed = Err(ProtocolError::Malformed);
        for (name, count) in [("propose", 0), ("propose", 2), ("agreed", 0), ("agreed", 3)] {
            assert_eq!(with(name, TokenKind::Outcome, count), malformed, "{name} {count}");
        }
        assert_eq!(with("propose", TokenKind::Grant, 1), malformed);
        let most = 2 * OUTCOMES_PER_MESSAGE_MAX;
        assert!(with("agreed", TokenKind::Outcome, most).is_ok());
        let refused = with("agreed", TokenKind::Outcome, most + 1);
        assert_eq!(refused, Err(ProtocolError::TooMany));
        assert_eq!(with("rate", TokenKind::Outcome, 1), Err(ProtocolError::Unknown));
    }
}

//! Grant 1.0 (`docs/protocols/grant.md`): a grant is given to its grantee, and taken back.
//!
//! What a message says is a claim until the chain is verified, and a revocation counts only as that
//! of its sender: see [`GrantChain`](crate::trust::GrantChain).

use comity_didcomm::{Message, MessageId, UnixTime};
use serde_json::{Map, Value, json};

use super::attached_tokens::AttachedTokens;
use super::{ProtocolError, comment, name_in, number, object, token_id, token_ids};
use crate::limits::GRANT_CHAIN_MAX;
use crate::record::message_type;
use crate::trust::TokenId;

/// The protocol's identifier.
pub const GRANT: &str = "https://comity.dev/protocols/grant/1.0";

/// A message of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantMessage {
    /// To the grantee: this is yours.
    Grant {
        /// The tokens of the chain, the first one first.
        chain: Vec<String>,
        /// What the grantor adds, untrusted text.
        comment: Option<String>,
    },
    /// To the agent that the grant gives access to, and to the grantee: the sender takes a token back
    /// that it signed.
    Revoke {
        /// The token.
        id: TokenId,
        /// When it would have run out: until then it has to be remembered.
        until: UnixTime,
        /// The chain that the sender holds and the token hands on, the first one first; empty for a
        /// first token, and to the grantee.
        chain: Vec<String>,
        /// Why, untrusted text.
        comment: Option<String>,
    },
    /// To those who hold them: these do not count any more.
    Revoked {
        /// The tokens.
        ids: Vec<TokenId>,
        /// Why, untrusted text.
        comment: Option<String>,
    },
}

impl GrantMessage {
    /// Reads a message.
    ///
    /// # Errors
    /// When it is none of the protocol, malformed, or has too many tokens.
    pub fn parse(message: &Message) -> Result<Self, ProtocolError> {
        let ((), name) = name_in(message, &[(GRANT, ())]).ok_or(ProtocolError::Unknown)?;
        let body = &message.body;
        let comment = comment(body)?;
        match name {
            "grant" => {
                let chain = chain(message)?;
                if chain.is_empty() {
                    return Err(ProtocolError::Malformed);
                }
                Ok(Self::Grant { chain, comment })
            }
            "revoke" => {
                let id = body.get("id").and_then(token_id).ok_or(ProtocolError::Malformed)?;
                let (until, chain) = (UnixTime(number(body, "exp")?), chain(message)?);
                Ok(Self::Revoke { id, until, chain, comment })
            }
            "revoked" => Ok(Self::Revoked { ids: token_ids(body)?, comment }),
            _ => Err(ProtocolError::Unknown),
        }
    }

    /// Makes the message.
    #[must_use]
    pub fn into_message(self, id: MessageId) -> Message {
        let mut tokens = AttachedTokens::default();
        let text = |comment: Option<String>| comment.map(Value::from);
        let (name, body): (_, Map<String, Value>) = match self {
            Self::Grant { chain, comment } => {
                tokens.grants = chain;
                ("grant", object([("comment", text(comment))]))
            }
            Self::Revoke { id, until, chain, comment } => {
                tokens.grants = chain;
                let id = Some(json!(id));
                let body = [("id", id), ("exp", Some(json!(until))), ("comment", text(comment))];
                ("revoke", object(body))
            }
            Self::Revoked { ids, comment } => {
                ("revoked", object([("ids", Some(json!(ids))), ("comment", text(comment))]))
            }
        };
        let mut message =
            Message::new(id, message_type(&format!("{GRANT}/{name}"))).with_body(body);
        message.attachments = tokens.attachments().collect();
        message
    }
}

fn chain(message: &Message) -> Result<Vec<String>, ProtocolError> {
    let chain = AttachedTokens::read(message)?.grants;
    if GRANT_CHAIN_MAX < chain.len() { Err(ProtocolError::TooMany) } else { Ok(chain) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{REASON_CHARS_MAX, TOKEN_IDS_MAX};
    use crate::protocol::attached_tokens::TokenKind;

    fn id() -> MessageId {
        MessageId::parse("g-1").unwrap()
    }

    fn every() -> Vec<GrantMessage> {
        let name = TokenId::of(b"a token");
        let comment = Some("for the project".to_owned());
        vec![
            GrantMessage::Grant {
                chain: vec!["a.b.c".to_owned(), "d.e.f".to_owned()],
                comment: comment.clone(),
            },
            GrantMessage::Revoke {
                id: name,
                until: UnixTime(1_800_000_000),
                chain: vec!["a.b.c".to_owned()],
                comment: None,
            },
            GrantMessage::Revoked { ids: vec![name], comment },
        ]
    }

    #[test]
    fn every_message_survives_both_ways() {
        for grant in every() {
            let message = grant.clone().into_message(id());
            let message = Message::parse(&message.to_json()).unwrap();
            assert_eq!(GrantMessage::parse(&message), Ok(grant));
        }
    }

    #[test]
    fn what_is_not_of_the_protocol_is_refused() {
        let message = |name: &str, body: Value| {
            let type_ = message_type(&format!("{GRANT}/{name}"));
            let body = body.as_object().cloned().unwrap();
            GrantMessage::parse(&Message::new(id(), type_).with_body(body))
        };
        let good = TokenId::of(b"a token");
        assert!(message("revoke", json!({ "id": good, "exp": 1 })).is_ok());
        for (name, body) in [
            ("grant", json!({})),
            ("revoke", json!({ "id": good })),
            ("revoke", json!({ "exp": 1 })),
            ("revoke", json!({ "id": "x", "exp": 1 })),
            ("revoke", json!({ "id": good, "exp": -1 })),
            ("revoked", json!({})),
            ("revoked", json!({ "ids": [] })),
            ("revoked", json!({ "ids": [7] })),
            ("revoked", json!({ "ids": [good], "comment": 7 })),
        ] {
            let refused = message(name, body.clone());
            assert_eq!(refused, Err(ProtocolError::Malformed), "{name} {body}");
        }
        assert_eq!(message("ask", json!({})), Err(ProtocolError::Unknown));
        let ids = vec![good; TOKEN_IDS_MAX + 1];
        assert_eq!(message("revoked", json!({ "ids": ids })), Err(ProtocolError::TooMany));
    }

    #[test]
    fn a_chain_is_of_grants_and_bounded() {
        let of = |kind: TokenKind, count: usize| {
            let mut message = Message::new(id(), message_type(&format!("{GRANT}/grant")));
            message.attachments = vec![kind.attach("a.b.c"); count];
            GrantMessage::parse(&message)
        };
        assert!(of(TokenKind::Grant, GRANT_CHAIN_MAX).is_ok());
        assert_eq!(of(TokenKind::Grant, GRANT_CHAIN_MAX + 1), Err(ProtocolError::TooMany));
        assert_eq!(of(TokenKind::Credential, 1), Err(ProtocolError::Malformed));
    }

    #[test]
    fn a_comment_is_cut_to_what_is_kept() {
        let comment = Some("x".repeat(REASON_CHARS_MAX + 1));
        let revoked = GrantMessage::Revoked { ids: vec![TokenId::of(b"a")], comment };
        let Ok(GrantMessage::Revoked { comment, .. }) =
            GrantMessage::parse(&revoked.into_message(id()))
        else {
            panic!("it is read");
        };
        assert_eq!(comment.unwrap().len(), REASON_CHARS_MAX);
    }
}

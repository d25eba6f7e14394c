//! Vouch 1.0 (`docs/protocols/vouch.md`): somebody asks for a vouch, is given one, and others ask
//! whether it still holds.
//!
//! What a message says is a claim: a vouch counts once it is verified, and what is said about its
//! state counts only if its own voucher says it.

use comity_didcomm::{Message, MessageId, ProtocolId, UnixTime};
use serde_json::{Map, Value, json};

use super::attached_tokens::AttachedTokens;
use super::{ProtocolError, comment, list, name_in, number, object, token_id, token_ids};
use crate::limits::{SCOPE_MAX, TOKEN_IDS_MAX, VOUCH_STATUS_S_MAX};
use crate::record::message_type;
use crate::trust::{Level, TokenId};

/// The protocol's identifier.
pub const VOUCH: &str = "https://comity.dev/protocols/vouch/1.0";

/// Name of the message that asks for a vouch.
pub(super) const REQUEST: &str = "request";

/// A message of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VouchMessage {
    /// The voucher will not.
    Decline {
        /// Why, untrusted text.
        comment: Option<String>,
    },
    /// To a voucher: do these still hold?
    Query {
        /// The vouches.
        ids: Vec<TokenId>,
    },
    /// Will the recipient vouch for the sender?
    Request {
        /// For these protocols; empty: for all.
        scope: Vec<ProtocolId>,
        /// So far.
        level: Level,
        /// Why, untrusted text.
        comment: Option<String>,
    },
    /// From a voucher to those who asked: these do not hold any more.
    Revoke {
        /// The vouches.
        ids: Vec<TokenId>,
    },
    /// Whether they still hold.
    Status(VouchStatus),
    /// The voucher will: this is yours.
    Vouch {
        /// The vouch; before it, if there are several, those by which others may come to believe
        /// the voucher, each about the voucher of the next.
        path: Vec<String>,
        /// What the voucher adds, untrusted text.
        comment: Option<String>,
    },
}

/// What a voucher says about vouches at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VouchStatus {
    /// Each vouch that was asked about, and its state.
    pub vouches: Vec<(TokenId, VouchState)>,
    /// When it was so.
    pub at: UnixTime,
    /// For how long one need not ask again, in seconds.
    pub valid_for_s: u64,
}

/// Whether a vouch still holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VouchState {
    /// It does, if it has not run out.
    Good,
    /// It does not.
    Revoked,
    /// It is none of this voucher's.
    Unknown,
}

impl VouchState {
    const ALL: [Self; 3] = [Self::Good, Self::Revoked, Self::Unknown];

    /// Returns the word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Revoked => "revoked",
            Self::Unknown => "unknown",
        }
    }
}

impl VouchMessage {
    /// Reads a message.
    ///
    /// # Errors
    /// When it is none of the protocol, malformed, or has too many entries.
    pub fn parse(message: &Message) -> Result<Self, ProtocolError> {
        let ((), name) = name_in(message, &[(VOUCH, ())]).ok_or(ProtocolError::Unknown)?;
        let body = &message.body;
        match name {
            "decline" => Ok(Self::Decline { comment: comment(body)? }),
            "query" => Ok(Self::Query { ids: token_ids(body)? }),
            REQUEST => Ok(Self::Request {
                scope: scope(body)?,
                level: level(body)?,
                comment: comment(body)?,
            }),
            "revoke" => Ok(Self::Revoke { ids: token_ids(body)? }),
            "status" => VouchStatus::parse(body).map(Self::Status),
            "vouch" => {
                let path = AttachedTokens::read(message)?.credentials;
                if path.is_empty() {
                    return Err(ProtocolError::Malformed);
                }
                Ok(Self::Vouch { path, comment: comment(body)? })
            }
            _ => Err(ProtocolError::Unknown),
        }
    }

    /// Makes the message.
    #[must_use]
    pub fn into_message(self, id: MessageId) -> Message {
        let mut tokens = AttachedTokens::default();
        let text = |comment: Option<String>| ("comment", comment.map(Value::from));
        let (name, body) = match self {
            Self::Decline { comment } => ("decline", object([text(comment)])),
            Self::Query { ids } => ("query", object([("ids", Some(json!(ids)))])),
            Self::Request { scope, level, comment } => {
                let (scope, level) = (Some(json!(scope)), Some(json!(level.as_number())));
                (REQUEST, object([("scope", scope), ("level", level), text(comment)]))
            }
            Self::Revoke { ids } => ("revoke", object([("ids", Some(json!(ids)))])),
            Self::Status(status) => ("status", status.into_body()),
            Self::Vouch { path, comment } => {
                tokens.credentials = path;
                ("vouch", object([text(comment)]))
            }
        };
        let mut message =
            Message::new(id, message_type(&format!("{VOUCH}/{name}"))).with_body(body);
        message.attachments = tokens.attachments().collect();
        message
    }
}

impl VouchStatus {
    /// Returns until when a reader that got it at `now` need not ask again: never longer than the
    /// protocol allows, however far the voucher's clock is ahead.
    #[must_use]
    pub fn holds_until(&self, now: UnixTime) -> UnixTime {
        let valid_for_s = self.valid_for_s.min(VOUCH_STATUS_S_MAX);
        self.at.min(now).saturating_add(valid_for_s)
    }

    fn parse(body: &Map<String, Value>) -> Result<Self, ProtocolError> {
        let vouches = list(body, "vouches", TOKEN_IDS_MAX)?.iter().map(|entry| {
            let word = entry.get("state").and_then(Value::as_str);
            let state = VouchState::ALL.into_iter().find(|state| Some(state.as_str()) == word);
            Some((entry.get("id").and_then(token_id)?, state?))
        });
        Ok(Self {
            vouches: vouches.collect::<Option<_>>().ok_or(ProtocolError::Malformed)?,
            at: UnixTime(number(body, "at")?),
            valid_for_s: number(body, "valid_for_s")?.min(VOUCH_STATUS_S_MAX),
        })
    }

    fn into_body(self) -> Map<String, Value> {
        let vouches = self.vouches.iter();
        let vouches = vouches.map(|(id, state)| json!({ "id": id, "state": state.as_str() }));
        object([
            ("vouches", Some(vouches.collect())),
            ("at", Some(json!(self.at))),
            ("valid_for_s", Some(json!(self.valid_for_s.min(VOUCH_STATUS_S_MAX)))),
        ])
    }
}

fn scope(body: &Map<String, Value>) -> Result<Vec<ProtocolId>, ProtocolError> {
    let scope = list(body, "scope", SCOPE_MAX)?;
    let scope = scope.iter().map(|protocol| protocol.as_str()?.parse().ok());
    scope.collect::<Option<_>>().ok_or(ProtocolError::Malformed)
}

fn level(body: &Map<String, Value>) -> Result<Level, ProtocolError> {
    let level = number(body, "level")?.try_into().ok().and_then(Level::from_number);
    level.filter(|level| *level != Level::Blocked).ok_or(ProtocolError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::TOKENS_PER_MESSAGE_MAX;
    use crate::protocol::attached_tokens::TokenKind;

    fn id() -> MessageId {
        MessageId::parse("v-1").unwrap()
    }

    fn every() -> Vec<VouchMessage> {
        let (one, other, third) = (TokenId::of(b"1"), TokenId::of(b"2"), TokenId::of(b"3"));
        let comment = Some("we met in spring".to_owned());
        vec![
            VouchMessage::Decline { comment: None },
            VouchMessage::Query { ids: vec![one, other] },
            VouchMessage::Request {
                scope: vec!["https://example.org/proposal/1.0".parse().unwrap()],
                level: Level::Message,
                comment: comment.clone(),
            },
            VouchMessage::Revoke { ids: vec![other] },
            VouchMessage::Status(VouchStatus {
                vouches: vec![
                    (one, VouchState::Good),
                    (other, VouchState::Revoked),
                    (third, VouchState::Unknown),
                ],
                at: UnixTime(1_800_000_000),
                valid_for_s: 300,
            }),
            VouchMessage::Vouch { path: vec!["a.b.c".to_owned(), "d.e.f".to_owned()], comment },
        ]
    }

    fn parse(name: &str, body: &Value) -> Result<VouchMessage, ProtocolError> {
        let type_ = message_type(&format!("{VOUCH}/{name}"));
        let body = body.as_object().cloned().unwrap();
        VouchMessage::parse(&Message::new(id(), type_).with_body(body))
    }

    #[test]
    fn every_message_survives_both_ways() {
        for vouch in every() {
            let message = vouch.clone().into_message(id());
            let message = Message::parse(&message.to_json()).unwrap();
            assert_eq!(VouchMessage::parse(&message), Ok(vouch));
        }
    }

    #[test]
    fn what_is_not_of_the_protocol_is_refused() {
        let good = TokenId::of(b"a");
        for (name, body) in [
            ("query", json!({ "ids": [] })),
            ("query", json!({ "ids": good })),
            ("query", json!({ "ids": ["x"] })),
            ("request", json!({ "level": 2 })),
            ("request", json!({ "scope": [], "level": 0 })),
            ("request", json!({ "scope": [], "level": 5 })),
            ("request", json!({ "scope": [], "level": 258 })),
            ("request", json!({ "scope": [], "level": "message" })),
            ("request", json!({ "scope": ["message"], "level": 2 })),
            ("status", json!({ "vouches": [], "at": 1 })),
            ("status", json!({ "vouches": [{ "id": good }], "at": 1, "valid_for_s": 1 })),
            (
                "status",
                json!({ "vouches": [{ "id": good, "state": "fine" }], "at": 1, "valid_for_s": 1 }),
            ),
            ("vouch", json!({})),
            ("decline", json!({ "comment": [] })),
        ] {
            assert_eq!(parse(name, &body), Err(ProtocolError::Malformed), "{name} {body}");
        }
        assert_eq!(parse("praise", &json!({})), Err(ProtocolError::Unknown));
        let ids = json!({ "ids": vec![good; TOKEN_IDS_MAX + 1] });
        assert_eq!(parse("query", &ids), Err(ProtocolError::TooMany));
        assert_eq!(parse("revoke", &ids), Err(ProtocolError::TooMany));
        let mut message = Message::new(id(), message_type(&format!("{VOUCH}/vouch")));
        message.attachments =
            vec![TokenKind::Credential.attach("a.b.c"); TOKENS_PER_MESSAGE_MAX + 1];
        assert_eq!(VouchMessage::parse(&message), Err(ProtocolError::TooMany));
    }

    #[test]
    fn an_answer_holds_for_five_minutes_at_most_by_the_readers_clock() {
        let answer = |at: u64, valid_for_s: u64| {
            let body = json!({ "vouches": [], "at": at, "valid_for_s": valid_for_s });
            let Ok(VouchMessage::Status(status)) = parse("status", &body) else { panic!("{body}") };
            status.holds_until(UnixTime(1_000)).0
        };
        assert_eq!(answer(1_000, 300), 1_300);
        assert_eq!(answer(900, 60), 960);
        assert_eq!(answer(1_000, u64::MAX), 1_300, "it claims more than is allowed");
        assert_eq!(answer(u64::MAX, 300), 1_300, "its clock is ahead");
        assert_eq!(answer(0, 300), 300, "an old one is over");
    }
}

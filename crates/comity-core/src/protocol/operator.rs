//! Operator 1.0 (`docs/protocols/operator.md`): a node asks its operator's own agent what is to become of
//! a stranger's request, and is told.

use comity_didcomm::{Did, Message, MessageId, ProtocolId, UnixTime};
use serde_json::{Value, json};

use super::{ProtocolError, list, name_in, text};
use crate::api::{parse_rfc3339, rfc3339};
use crate::limits::DECISION_PROTOCOLS_MAX;
use crate::receipt::State;
use crate::record::message_type;
use crate::trust::{EntryKind, Level};

/// The protocol.
pub const OPERATOR: &str = "https://comity.dev/protocols/operator/1.0";
/// The node's question.
pub const OPERATOR_REQUEST: &str = "https://comity.dev/protocols/operator/1.0/request";
/// The operator's answer, in the thread of the question.
pub const OPERATOR_DECISION: &str = "https://comity.dev/protocols/operator/1.0/decision";
/// What has become of the request, in the same thread.
pub const OPERATOR_DECIDED: &str = "https://comity.dev/protocols/operator/1.0/decided";

/// A message of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operator {
    /// What has become of a request.
    Decided(Outcome),
    /// What is to become of it.
    Decision(Decision),
    /// A stranger's request waits.
    Request(Box<Asked>),
}

/// What a node tells its operator of a stranger's request: nothing that the stranger wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Name of the agent for whom it is.
    pub agent: String,
    /// DID of that agent.
    pub agent_did: Did,
    /// DID of the stranger, proven.
    pub did: Did,
    /// The protocol of the stranger's message.
    pub protocol: ProtocolId,
    /// Its id.
    pub message: MessageId,
    /// When it came.
    pub received_at: UnixTime,
    /// Until when it waits.
    pub until: UnixTime,
    /// Size of its envelope in bytes.
    pub size_bytes: u64,
}

/// What an operator wants done with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Let the sender in, and hand its message over.
    Approve {
        /// For these protocols; none: for all.
        protocols: Vec<ProtocolId>,
        /// Until then; `None`: until changed.
        until: Option<UnixTime>,
        /// How far; `None`: as far as the home's operator allows when he names none.
        level: Option<Level>,
    },
    /// Keep the sender out, and refuse its message.
    Deny,
}

/// Where a request stands that is not open any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The sender was let in.
    Allowed,
    /// The sender was denied.
    Denied,
    /// Nobody decided in time.
    Expired,
    /// The sender's permission was taken back.
    Revoked,
}

impl Outcome {
    const ALL: [Self; 4] = [Self::Allowed, Self::Denied, Self::Expired, Self::Revoked];

    /// Returns the word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }

    /// Says where a request stands by what was decided about its sender, and by how far its message got.
    /// Nothing, if neither says that it was ever decided.
    #[must_use]
    pub fn of(decided: Option<EntryKind>, reached: &[State]) -> Option<Self> {
        match decided {
            Some(kind) => Some(Self::from(kind)),
            None => reached.contains(&State::Expired).then_some(Self::Expired),
        }
    }
}

impl From<EntryKind> for Outcome {
    fn from(kind: EntryKind) -> Self {
        match kind {
            EntryKind::Allow => Self::Allowed,
            EntryKind::Deny => Self::Denied,
            EntryKind::Revoke => Self::Revoked,
        }
    }
}

impl Operator {
    /// Reads a message.
    ///
    /// # Errors
    /// When it is none of the protocol, or malformed.
    pub fn parse(message: &Message) -> Result<Self, ProtocolError> {
        match name_in(message, &[(OPERATOR, ())]) {
            Some(((), "decided")) => {
                let state = required(message, "state")?;
                let known = Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == state);
                known.map(Self::Decided).ok_or(ProtocolError::Malformed)
            }
            Some(((), "decision")) => Decision::parse(message).map(Self::Decision),
            Some(((), "request")) => {
                Asked::parse(message).map(|asked| Self::Request(Box::new(asked)))
            }
            _ => Err(ProtocolError::Unknown),
        }
    }

    /// Makes the message; its thread is the caller's.
    #[must_use]
    pub fn into_message(self, id: MessageId) -> Message {
        match self {
            Self::Decided(outcome) => Message::new(id, message_type(OPERATOR_DECIDED))
                .with_body_member("state", outcome.as_str()),
            Self::Decision(decision) => decision.into_message(id),
            Self::Request(asked) => asked.into_message(id),
        }
    }
}

impl Decision {
    fn parse(message: &Message) -> Result<Self, ProtocolError> {
        let malformed = ProtocolError::Malformed;
        match required(message, "decision")? {
            "approve" => {}
            "deny" => return Ok(Self::Deny),
            _ => return Err(malformed),
        }
        let protocols = match message.body.get("protocols") {
            None | Some(Value::Null) => &[],
            Some(_) => list(&message.body, "protocols", DECISION_PROTOCOLS_MAX)?,
        };
        let protocols = protocols.iter().map(|one| one.as_str()?.parse().ok());
        let until =
            text(&message.body, "until")?.map(|until| parse_rfc3339(until).ok_or(malformed));
        let level = text(&message.body, "level")?.map(|level| level.parse().map_err(|_| malformed));
        let level = level.transpose()?;
        if level == Some(Level::Blocked) {
            return Err(malformed);
        }
        Ok(Self::Approve {
            protocols: protocols.collect::<Option<_>>().ok_or(malformed)?,
            until: until.transpose()?,
            level,
        })
    }

    fn into_message(self, id: MessageId) -> Message {
        let message = Message::new(id, message_type(OPERATOR_DECISION));
        let Self::Approve { protocols, until, level } = self else {
            return message.with_body_member("decision", "deny");
        };
        let mut message = message.with_body_member("decision", "approve");
        if !protocols.is_empty() {
            let protocols: Vec<_> = protocols.iter().map(ToString::to_string).collect();
            message = message.with_body_member("protocols", protocols);
        }
        if let Some(until) = until {
            message = message.with_body_member("until", rfc3339(until));
        }
        if let Some(level) = level {
            message = message.with_body_member("level", level.as_str());
        }
        message
    }
}

impl Asked {
    fn parse(message: &Message) -> Result<Self, ProtocolError> {
        let malformed = ProtocolError::Malformed;
        let time = |name| parse_rfc3339(required(message, name)?).ok_or(malformed);
        Ok(Self {
            agent: required(message, "agent")?.to_owned(),
            agent_did: required(message, "agent_did")?.parse().map_err(|_| malformed)?,
            did: required(message, "did")?.parse().map_err(|_| malformed)?,
            protocol: required(message, "protocol")?.parse().map_err(|_| malformed)?,
            message: required(message, "message")?.parse().map_err(|_| malformed)?,
            received_at: time("received_at")?,
            until: time("until")?,
            size_bytes: super::number(&message.body, "size_bytes")?,
        })
    }

    fn into_message(self, id: MessageId) -> Message {
        let members = [
            ("agent", json!(self.agent)),
            ("agent_did", json!(self.agent_did)),
            ("did", json!(self.did)),
            ("protocol", json!(self.protocol.to_string())),
            ("message", json!(self.message.as_str())),
            ("received_at", json!(rfc3339(self.received_at))),
            ("until", json!(rfc3339(self.until))),
            ("size_bytes", json!(self.size_bytes)),
        ];
        let message = Message::new(id, message_type(OPERATOR_REQUEST));
        members
            .into_iter()
            .fold(message, |message, (name, value)| message.with_body_member(name, value))
    }
}

fn required<'a>(message: &'a Message, name: &str) -> Result<&'a str, ProtocolError> {
    text(&message.body, name)?.ok_or(ProtocolError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> MessageId {
        "m-1".parse().unwrap()
    }

    fn approve() -> Decision {
        Decision::Approve {
            protocols: vec!["https://example.org/proposal/1.0".parse().unwrap()],
            until: Some(UnixTime(1_790_000_000)),
            level: Some(Level::Message),
        }
    }

    #[test]
    fn every_message_survives_both_ways() {
        let asked = Asked {
            agent: "bruno".to_owned(),
            agent_did: "did:web:b.example:agents:bruno".parse().unwrap(),
            did: "did:web:a.example:agents:aria".parse().unwrap(),
            protocol: "https://example.org/proposal/1.0".parse().unwrap(),
            message: "m-7".parse().unwrap(),
            received_at: UnixTime(1_790_000_000),
            until: UnixTime(1_790_000_060),
            size_bytes: 900,
        };
        let bare = Decision::Approve { protocols: Vec::new(), until: None, level: None };
        let mut messages: Vec<_> = Outcome::ALL.into_iter().map(Operator::Decided).collect();
        messages.extend([approve(), bare, Decision::Deny].map(Operator::Decision));
        messages.push(Operator::Request(Box::new(asked)));
        for message in messages {
            assert_eq!(Operator::parse(&message.clone().into_message(id())), Ok(message));
        }
    }

    #[test]
    fn a_decision_that_cannot_be_meant_is_malformed() {
        let with = |name: &str, value: Value| {
            let message = Operator::Decision(approve()).into_message(id());
            Operator::parse(&message.with_body_member(name, value))
        };
        for (name, value) in [
            ("decision", json!("maybe")),
            ("decision", Value::Null),
            ("protocols", json!("https://example.org/proposal/1.0")),
            ("protocols", json!(["all"])),
            ("protocols", json!([1])),
            ("until", json!("soon")),
            ("until", json!(1_790_000_000)),
            ("level", json!("blocked")),
            ("level", json!("everything")),
            ("level", json!(4)),
        ] {
            assert_eq!(with(name, value.clone()), Err(ProtocolError::Malformed), "{name}: {value}");
        }
        let many = vec!["https://example.org/proposal/1.0"; DECISION_PROTOCOLS_MAX + 1];
        assert_eq!(with("protocols", json!(many)), Err(ProtocolError::TooMany));
        let odd =
            Message::new(id(), message_type("https://comity.dev/protocols/operator/1.0/obey"));
        assert_eq!(Operator::parse(&odd), Err(ProtocolError::Unknown));
    }

    #[test]
    fn what_was_decided_about_the_sender_says_where_its_request_stands() {
        let reached = [State::Accepted, State::Expired];
        assert_eq!(Outcome::of(Some(EntryKind::Deny), &reached), Some(Outcome::Denied));
        assert_eq!(Outcome::of(None, &reached), Some(Outcome::Expired));
        assert_eq!(Outcome::of(None, &reached[..1]), None);
    }
}

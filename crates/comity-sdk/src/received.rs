//! Messages as an agent gets them: facts that the home verified, apart from the words of the sender (ADR 0016).

use std::sync::Arc;

use comity_core::api::Delivery;
use comity_didcomm::problem::{PROBLEM_REPORT, ProblemCode};
use serde_json::{Map, Value};

use crate::content::{Body, BodyError, Untrusted};
use crate::hub::Hold;

/// What the home knows for sure about a message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Facts {
    /// DID of the sender, proven by a key.
    pub from: String,
    /// How the sender is proven: `signature` (can be shown to others) or `authcrypt` (cannot).
    pub verified: String,
    /// Why the message was let in: `allow-list`, `approved`, `grant`, `known-for-long`, `open-policy`, `own-home`,
    /// `thread` or `vouches`.
    pub admitted: String,
    /// How far the sender may go: `introduced`, `message`, `task` or `execute`. Whatever the message says, more than
    /// that is not granted.
    pub level: String,
    /// Thread of the message.
    pub thid: String,
    /// Parent of the thread.
    pub pthid: Option<String>,
    /// Message id, chosen by the sender.
    pub id: String,
    /// Message type URI.
    pub type_: String,
    /// When the home accepted it, RFC 3339.
    pub received_at: String,
    /// When it expires, RFC 3339.
    pub expires_at: String,
    /// How often it was handed over before without being settled.
    pub redelivered: u32,
}

/// A message of any type.
///
/// It stays in the mailbox until it is settled: by its handler's end, [`Agent::ack`](crate::Agent::ack) or
/// [`Agent::refuse`](crate::Agent::refuse). One that is dropped unsettled comes again with the next connection.
#[derive(Clone, Debug)]
pub struct Received {
    /// What is verified.
    pub facts: Facts,
    /// What the sender says.
    pub body: Untrusted<Map<String, Value>>,
    /// What the sender attached, as in DIDComm v2.1.
    pub attachments: Untrusted<Vec<Value>>,
    hold: Arc<Hold>,
}

impl Received {
    pub(crate) fn new(delivery: Delivery, hold: Hold) -> Self {
        Self {
            facts: Facts {
                from: delivery.from,
                verified: delivery.verified,
                admitted: delivery.admitted,
                level: delivery.level,
                thid: delivery.thid,
                pthid: delivery.pthid,
                id: delivery.id,
                type_: delivery.type_,
                received_at: delivery.received_at,
                expires_at: delivery.expires_at,
                redelivered: delivery.redelivered,
            },
            body: Untrusted::new(delivery.body),
            attachments: Untrusted::new(delivery.attachments),
            hold: Arc::new(hold),
        }
    }

    /// Reads the body as `B`.
    ///
    /// # Errors
    /// If the message is of another type, or its body does not fit.
    pub fn body<B: Body>(&self) -> Result<B, BodyError> {
        if !self.is::<B>() {
            return Err(BodyError::Type { expected: B::TYPE });
        }
        B::deserialize(self.body.reveal()).map_err(BodyError::Content)
    }

    /// Whether the message is of the type of `B`, in a version that is compatible with it.
    #[must_use]
    pub fn is<B: Body>(&self) -> bool {
        crate::handler::same_type(B::TYPE, &self.facts.type_)
    }

    /// Whether it is a problem report: somebody could not or would not deal with a message of this agent.
    #[must_use]
    pub fn is_problem_report(&self) -> bool {
        crate::handler::same_type(PROBLEM_REPORT, &self.facts.type_)
    }

    /// Returns the code and the comment of a problem report. The code is one by its form, or `e.m.refused`.
    #[must_use]
    pub fn problem(&self) -> Option<(String, String)> {
        if !self.is_problem_report() {
            return None;
        }
        let text = |name: &str| self.body.reveal().get(name).and_then(Value::as_str);
        Some((
            problem_code(text("code")),
            text("comment")
                .unwrap_or_default()
                .chars()
                .take(crate::limits::REASON_CHARS_MAX)
                .collect(),
        ))
    }

    /// Returns what keeps the message from being handed on a second time.
    pub(crate) const fn hold(&self) -> &Arc<Hold> {
        &self.hold
    }
}

/// A message whose body was read as `B`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Incoming<B> {
    /// What is verified.
    pub facts: Facts,
    /// What the sender says. Its form is right; its content is as untrusted as before.
    pub body: B,
    /// What the sender attached, as in DIDComm v2.1.
    pub attachments: Untrusted<Vec<Value>>,
}

/// Returns a problem code if it has the form of one, so that it can be shown and sent; else that of a plain refusal.
pub(crate) fn problem_code(code: Option<&str>) -> String {
    code.filter(|code| ProblemCode::parse(code).is_ok()).unwrap_or("e.m.refused").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_code_that_is_none_is_not_passed_on() {
        assert_eq!(problem_code(Some("e.m.trust.revoked")), "e.m.trust.revoked");
        assert_eq!(problem_code(Some("e.m.\u{1b}[31m")), "e.m.refused");
        assert_eq!(problem_code(Some("")), "e.m.refused");
        assert_eq!(problem_code(None), "e.m.refused");
    }
}

//! What a receipt from a peer changes in the sender's knowledge, if anything.

use comity_didcomm::problem::ProblemReport;
use comity_didcomm::{Did, Message, UnixTime};
use serde::{Deserialize, Serialize};

use super::{Receipt, State, bounded};
use crate::record::{Received, Sent};

/// One rung of a message's ladder, as either side remembers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rung {
    /// The state reached.
    pub state: State,
    /// When, by the clock of whoever says so.
    pub at: UnixTime,
    /// Who says so.
    pub by: Did,
    /// With `accepted`: index in the log of the recipient's home.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_index: Option<u64>,
    /// With `accepted`: held as a stranger's request.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pending: bool,
    /// With `refused`: the code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// With `refused`: the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Rung {
    /// Creates a rung with nothing but its state.
    #[must_use]
    pub const fn new(state: State, at: UnixTime, by: Did) -> Self {
        Self { state, at, by, log_index: None, pending: false, code: None, reason: None }
    }

    /// Creates the rung of a refusal.
    #[must_use]
    pub fn refused(at: UnixTime, by: Did, code: &str, reason: Option<&str>) -> Self {
        let (code, reason) = (Some(bounded(code)), reason.map(bounded));
        Self { code, reason, ..Self::new(State::Refused, at, by) }
    }

    /// Writes the rung as the line that a receipt message carries about `message`.
    #[must_use]
    pub fn to_receipt(&self, id: &str, from: &Did, to: &Did, digest: &str) -> Receipt {
        Receipt {
            id: id.to_owned(),
            from: from.clone(),
            to: to.clone(),
            state: self.state,
            at: self.at,
            digest: digest.to_owned(),
            log_index: self.log_index,
            pending: self.pending,
            code: self.code.clone(),
            reason: self.reason.clone(),
        }
    }
}

/// Turns a peer's receipt into a rung, if the signer may speak for the recipient and means the very
/// message that was sent.
///
/// A receipt that fails this changes nothing: anybody can sign a statement about a message, only
/// the recipient or its home (a `controller` of its document when the message was sent) is
/// believed.
#[must_use]
pub fn apply(receipt: &Receipt, sent: &Sent, signer: &Did) -> Option<Rung> {
    let speaks_for_recipient = signer.same_subject(&sent.recipient)
        || sent.recipient_homes.iter().any(|home| home.same_subject(signer));
    let means_this_message = receipt.from.same_subject(&sent.sender)
        && receipt.to.same_subject(&sent.recipient)
        && receipt.id.eq_ignore_ascii_case(&sent.id)
        && receipt.digest == sent.digest;
    if !speaks_for_recipient || !means_this_message {
        return None;
    }
    Some(Rung {
        state: receipt.state,
        at: receipt.at,
        by: signer.clone(),
        log_index: receipt.log_index,
        pending: receipt.pending,
        code: receipt.code.clone(),
        reason: receipt.reason.clone(),
    })
}

/// Turns what a peer says by standard DIDComm into a rung: the `ack` header says that it has the
/// message, and a problem report about it with an error code that it was refused. Only the
/// recipient is believed.
#[must_use]
pub fn apply_ack(message: &Message, received: &Received, sent: &Sent) -> Option<Rung> {
    let is_by_recipient = received.sender.same_subject(&sent.recipient);
    let is_about_it = message.ack.iter().any(|id| id.eq_ignore_ascii_case(&sent.id));
    if !is_by_recipient || !is_about_it {
        return None;
    }
    let (at, by) = (received.received_at, received.sender.clone());
    let Ok(problem) = ProblemReport::from_message(message) else {
        return Some(Rung::new(State::Received, at, by));
    };
    let comment = problem.comment.as_deref();
    problem.code.is_error().then(|| Rung::refused(at, by, problem.code.as_str(), comment))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn did(text: &str) -> Did {
        text.parse().unwrap()
    }

    fn sent() -> Sent {
        Sent {
            id: "m-1".to_owned(),
            thid: "m-1".to_owned(),
            sender: did("did:web:a.example:agents:aria"),
            recipient: did("did:web:b.example:agents:bruno"),
            recipient_homes: vec![did("did:web:b.example")],
            via: None,
            type_: "https://example.org/proposal/1.0/offer".to_owned(),
            digest: "digest".to_owned(),
            request_digest: "request".to_owned(),
            level: crate::trust::Level::Message,
            queued_at: UnixTime(1),
            expires: UnixTime(100),
        }
    }

    fn receipt() -> Receipt {
        let sent = sent();
        Rung::new(State::Processed, UnixTime(5), did("did:web:b.example")).to_receipt(
            "M-1",
            &sent.sender,
            &sent.recipient,
            "digest",
        )
    }

    #[test]
    fn the_recipient_and_its_home_are_believed_and_nobody_else() {
        for believed in ["did:web:b.example", "did:web:b.example:agents:bruno"] {
            assert!(apply(&receipt(), &sent(), &did(believed)).is_some(), "{believed}");
        }
        assert_eq!(apply(&receipt(), &sent(), &did("did:web:c.example")), None);
    }

    #[test]
    fn an_ack_counts_only_from_the_recipient_and_a_report_by_its_code() {
        let message = |code: Option<&str>| {
            let type_ = match code {
                Some(_) => "https://didcomm.org/report-problem/2.0/problem-report",
                None => "https://didcomm.org/empty/1.0/empty",
            };
            let mut message = Message::new("a-1".parse().unwrap(), type_.parse().unwrap());
            message.ack = vec!["M-1".to_owned()];
            if let Some(code) = code {
                message.body.insert("code".to_owned(), json!(code));
                message.pthid = Some("m-1".to_owned());
            }
            message
        };
        let by = |sender: &str| Received {
            id: "a-1".to_owned(),
            sender: did(sender),
            recipient: sent().sender,
            type_: String::new(),
            thid: "m-1".to_owned(),
            received_at: UnixTime(9),
            expires: UnixTime(99),
            digest: String::new(),
            document: String::new(),
            admitted: None,
            level: crate::trust::Level::Blocked,
            open_in: Vec::new(),
            notice: crate::record::Notice::None,
            size_bytes: 0,
        };
        let bruno = by("did:web:b.example:agents:bruno");
        let state = |message: &Message, received: &Received| {
            apply_ack(message, received, &sent()).map(|rung| (rung.state, rung.code))
        };
        assert_eq!(state(&message(None), &bruno), Some((State::Received, None)));
        let code = "e.m.trust.denied";
        let refused = Some((State::Refused, Some(code.to_owned())));
        assert_eq!(state(&message(Some(code)), &bruno), refused);
        assert_eq!(state(&message(Some("w.m.req.gap")), &bruno), None, "a warning ends nothing");
        assert_eq!(state(&message(None), &by("did:web:x.example")), None);
        let other = Message { ack: vec!["m-2".to_owned()], ..message(None) };
        assert_eq!(state(&other, &bruno), None);
    }

    #[test]
    fn a_receipt_about_other_content_changes_nothing() {
        let signer = did("did:web:b.example");
        let other_content = Receipt { digest: "other".to_owned(), ..receipt() };
        let other_sender = Receipt { from: did("did:web:x.example"), ..receipt() };
        let other_recipient = Receipt { to: did("did:web:x.example"), ..receipt() };
        let other_id = Receipt { id: "m-2".to_owned(), ..receipt() };
        for wrong in [other_content, other_sender, other_recipient, other_id] {
            assert_eq!(apply(&wrong, &sent(), &signer), None, "{wrong:?}");
        }
    }
}

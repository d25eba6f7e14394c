//! The policy, as one function whose order is its meaning: what the operator said comes before what
//! may be inferred.

use comity_didcomm::UnixTime;

use super::{
    Admission, Decision, EntryKind, Facts, Question, Recipient, RequestState, Ruling, WayIn,
    WorkShown,
};
use crate::limits::{REQUEST_BYTES_MAX, REQUESTS_PENDING_MAX};
use crate::protocol::{EMPTY, RECEIPT, REPORT_PROBLEM};
use crate::refusal::Refusal;

/// Decides whether a message may go on, and says why.
#[must_use]
pub fn decide(question: &Question, facts: &Facts, now: UnixTime) -> Ruling {
    if facts.recipient == Recipient::Home {
        return decide_for_home(question);
    }
    if facts.sender_is_home {
        return allow(Admission::OwnHome, "The agent's own home reports to it");
    }
    // Deny wins over everything, revocation over all that was granted before it.
    if let Some(entry) = &facts.entry {
        match entry.kind {
            EntryKind::Deny => return refuse(Refusal::Denied, "The operator denied this sender"),
            EntryKind::Revoke => {
                return refuse(Refusal::Revoked, "The operator revoked this sender's permission");
            }
            EntryKind::Allow if entry.is_over(now) => {
                return refuse(Refusal::Revoked, "The permission for this sender has run out");
            }
            EntryKind::Allow if entry.covers(&question.protocol) => {
                return allow(
                    Admission::AllowList,
                    "The operator allowed this sender and protocol",
                );
            }
            EntryKind::Allow => {}
        }
    }
    if facts.wrote_in_thread {
        return allow(Admission::Thread, "The agent wrote to this sender in this thread");
    }
    if facts.entry.is_some() {
        return refuse(
            Refusal::ProtocolNotAllowed,
            "The operator allowed this sender, but not for this protocol",
        );
    }
    decide_for_stranger(question, facts)
}

fn decide_for_home(question: &Question) -> Ruling {
    let spoken = [RECEIPT, REPORT_PROBLEM, EMPTY];
    if spoken.contains(&question.protocol.as_str()) {
        // Whether the content concerns anything this home sent is checked where it is applied;
        // nothing else comes of it.
        return allow(Admission::HomeProtocol, "Homes speak this protocol with each other");
    }
    refuse(Refusal::HomeProtocol, "The home itself speaks only its own protocols")
}

fn decide_for_stranger(question: &Question, facts: &Facts) -> Ruling {
    if let Some(RequestState::Pending) = facts.request {
        return refuse(Refusal::Pending, "An earlier request of this sender is undecided");
    }
    if REQUEST_BYTES_MAX < question.size_bytes {
        return refuse(Refusal::RequestTooLarge, "A stranger's first message is too large to keep");
    }
    if REQUESTS_PENDING_MAX <= facts.requests_pending {
        return refuse(Refusal::RequestsFull, "Too many requests are undecided");
    }
    let price_bits = match question.way_in {
        WayIn::Direct => facts.price_bits,
        // There is no answer by which work could be demanded, and the relay has answered already.
        WayIn::Relay => 0,
        WayIn::SameHome => 0,
    };
    if 0 < price_bits && !matches!(facts.work, WorkShown::Paid { .. }) {
        return Ruling {
            decision: Decision::Charge(price_bits),
            why: "A sender that was never heard of, and has shown no work".to_owned(),
        };
    }
    Ruling {
        decision: Decision::Hold,
        why: "A sender that was never heard of; kept for the operator".to_owned(),
    }
}

fn allow(admission: Admission, why: &str) -> Ruling {
    Ruling { decision: Decision::Allow(admission), why: why.to_owned() }
}

fn refuse(refusal: Refusal, why: &str) -> Ruling {
    Ruling { decision: Decision::Refuse(refusal), why: why.to_owned() }
}

#[cfg(test)]
mod tests;

//! Step 3: may they. The only caller of the policy function.

use comity_didcomm::UnixTime;

use super::Authenticated;
use crate::refusal::Refusal;
use crate::trust::{self, Admission, Contact, Decision, Facts, Level, Meter};

/// A message that the recipient's policy lets in, and on what ground.
#[derive(Debug)]
pub struct Authorized {
    pub(super) authenticated: Authenticated,
    pub(super) grant: Grant,
    pub(super) meters: Vec<Meter>,
    pub(super) contact: Option<Contact>,
    pub(super) why: String,
}

/// How far a message is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// To the recipient; and how far its sender may go, for a protocol that needs so much.
    Admitted(Admission, Reach),
    /// Only to the operator, as a request.
    AsRequest,
}

/// How far a sender may go, and how far it has to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// What it may.
    pub level: Level,
    /// What the message needs.
    pub needed: Level,
}

/// What the policy said about an authenticated message.
#[derive(Debug)]
pub enum Verdict {
    /// It may go on.
    Authorized(Authorized),
    /// It may not; its sender is told why.
    Refused(Authenticated, Refused),
}

/// Why a message may not go on.
#[derive(Debug)]
pub struct Refused {
    pub(super) refusal: Refusal,
    pub(super) contact: Option<Contact>,
    pub(super) why: String,
}

pub(super) fn authorize(authenticated: Authenticated, facts: &Facts, now: UnixTime) -> Verdict {
    let question = authenticated.question();
    let ruling = trust::decide(&question, facts, now);
    let contact = Contact::after(&question, facts, &ruling.decision, now);
    let grant = match ruling.decision {
        Decision::Allow(admission) => {
            Grant::Admitted(admission, Reach { level: ruling.level, needed: ruling.needed })
        }
        Decision::Hold => Grant::AsRequest,
        Decision::Refuse(refusal) => {
            let why = [&[ruling.why][..], &ruling.changes[..]].concat().join("; to change it: ");
            return Verdict::Refused(authenticated, Refused { refusal, contact, why });
        }
    };
    let (meters, why) = (ruling.meters, ruling.why);
    Verdict::Authorized(Authorized { authenticated, grant, meters, contact, why })
}

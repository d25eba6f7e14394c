//! Step 3: may they. The only caller of the policy function.

use comity_didcomm::UnixTime;

use super::charge::{self, Charged};
use super::{Authenticated, Spent};
use crate::Context;
use crate::protocol::attached_tokens::AttachedTokens;
use crate::refusal::{Plane, Refusal};
use crate::trust::{
    self, Admission, Contact, Decision, Facts, Level, Meter, Ruling, Scrutiny, Showing, WorkShown,
};

/// A message that the recipient's policy lets in, and on what ground.
#[derive(Debug)]
pub struct Authorized {
    pub(super) authenticated: Authenticated,
    pub(super) grant: Grant,
    pub(super) meters: Vec<Meter>,
    pub(super) contact: Option<Remembered>,
    pub(super) spent: Option<Spent>,
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

/// What is to be remembered of somebody from now on, and what was.
#[derive(Debug)]
pub(super) struct Remembered {
    pub(super) before: Option<Contact>,
    pub(super) after: Contact,
}

/// Why a message may not go on.
#[derive(Debug)]
pub struct Refused {
    pub(super) refusal: Refusal,
    pub(super) contact: Option<Remembered>,
    pub(super) spent: Option<Spent>,
    pub(super) why: String,
}

impl Refused {
    /// Whether the same message may be let in in a moment.
    pub(super) fn is_for_the_moment(&self) -> bool {
        self.refusal.plane() == Plane::Transport
    }
}

/// What comes of the facts.
pub(super) enum Judged {
    /// The sender is told what the message costs.
    Charge(Charged),
    /// The sender has to be looked at more closely before anything else is decided.
    LookCloser(Box<Authenticated>, Box<Showing>),
    Verdict(Box<Verdict>),
}

pub(super) fn authorize(authenticated: Authenticated, facts: Facts, context: &Context) -> Judged {
    let question = authenticated.question();
    let parties = (&question.sender, &question.recipient);
    let work = context.secret.check(authenticated.work.as_deref(), parties, context.now);
    let facts = Facts { work, ..facts };
    let ruling = trust::decide(&question, &facts, context.now);
    if question.scrutiny == Scrutiny::Quick && ruling.may_change() {
        // A message with more than it may carry shows nothing.
        let tokens = AttachedTokens::read(&authenticated.opened.message).unwrap_or_default();
        let showing = Showing::new(&tokens, &question, &facts, context.now);
        return Judged::LookCloser(Box::new(authenticated), Box::new(showing));
    }
    if let Decision::Charge(bits) = ruling.decision {
        return Judged::Charge(charge::charge(&authenticated, bits, context));
    }
    Judged::Verdict(Box::new(verdict(authenticated, ruling, &facts, context.now)))
}

fn verdict(authenticated: Authenticated, ruling: Ruling, facts: &Facts, now: UnixTime) -> Verdict {
    let question = authenticated.question();
    let contact = Contact::after(&question, facts, &ruling.decision, now)
        .map(|after| Remembered { before: facts.contact_of(&after.did).cloned(), after });
    let spent = match facts.work {
        WorkShown::Paid { id, expires } | WorkShown::AntsToken { id, expires } => {
            Some(Spent { id, expires, price_bits: facts.price_bits })
        }
        WorkShown::Invalid | WorkShown::None => None,
    };
    let (grant, spent) = match ruling.decision {
        Decision::Allow(admission) => {
            let reach = Reach { level: ruling.level, needed: ruling.needed };
            (Grant::Admitted(admission, reach), None)
        }
        Decision::Charge(_) | Decision::Hold => (Grant::AsRequest, spent),
        // Also what is refused is kept, and told: one solution would have that done without end.
        Decision::Refuse(refusal) => {
            let reasons = [&[ruling.why][..], &ruling.changes[..], &ruling.grounds[..]].concat();
            let why = reasons.join("; ");
            return Verdict::Refused(authenticated, Refused { refusal, contact, spent, why });
        }
    };
    let (meters, why) = (ruling.meters, ruling.why);
    Verdict::Authorized(Authorized { authenticated, grant, meters, contact, spent, why })
}

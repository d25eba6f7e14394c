//! Step 3: may they. The only caller of the policy function.

use super::charge::{self, Charged};
use super::{Authenticated, Spent};
use crate::Context;
use crate::refusal::Refusal;
use crate::trust::{self, Admission, Decision, Facts, WorkShown};

/// A message that the recipient's policy lets in, and on what ground.
#[derive(Debug)]
pub struct Authorized {
    pub(super) authenticated: Authenticated,
    pub(super) grant: Grant,
    pub(super) spent: Option<Spent>,
    pub(super) why: String,
}

/// How far a message is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// To the recipient.
    Admitted(Admission),
    /// Only to the operator, as a request.
    AsRequest,
}

/// What the policy said about an authenticated message.
#[derive(Debug)]
pub enum Verdict {
    /// It may go on.
    Authorized(Authorized),
    /// It may not; its sender is told why.
    Refused(Authenticated, Refusal, String),
}

/// What follows from the policy's answer.
pub(super) enum Next {
    /// The sender is told what the message costs.
    Charge(Charged),
    /// It is written.
    Commit(Box<Verdict>),
}

pub(super) fn authorize(authenticated: Authenticated, facts: Facts, context: &Context) -> Next {
    let question = authenticated.question();
    let parties = (&question.sender, &question.recipient);
    let work = context.secret.check(authenticated.work.as_deref(), parties, context.now);
    let facts = Facts { work, ..facts };
    let ruling = trust::decide(&question, &facts, context.now);
    let (grant, spent) = match (ruling.decision, work) {
        (Decision::Allow(admission), _) => (Grant::Admitted(admission), None),
        (Decision::Charge(bits), _) => {
            return Next::Charge(charge::charge(&authenticated, bits, context));
        }
        (Decision::Hold, WorkShown::Paid { id, expires }) => {
            (Grant::AsRequest, Some(Spent { id, expires, price_bits: facts.price_bits }))
        }
        (Decision::Hold, WorkShown::Invalid | WorkShown::None) => (Grant::AsRequest, None),
        (Decision::Refuse(refusal), _) => {
            return Next::Commit(Box::new(Verdict::Refused(authenticated, refusal, ruling.why)));
        }
    };
    let authorized = Authorized { authenticated, grant, spent, why: ruling.why };
    Next::Commit(Box::new(Verdict::Authorized(authorized)))
}

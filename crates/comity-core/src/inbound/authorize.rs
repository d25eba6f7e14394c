//! Step 3: may they. The only caller of the policy function.

use comity_didcomm::UnixTime;

use super::Authenticated;
use crate::refusal::Refusal;
use crate::trust::{self, Admission, Decision, Facts};

/// A message that the recipient's policy lets in, and on what ground.
#[derive(Debug)]
pub struct Authorized {
    pub(super) authenticated: Authenticated,
    pub(super) grant: Grant,
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

pub(super) fn authorize(authenticated: Authenticated, facts: &Facts, now: UnixTime) -> Verdict {
    let ruling = trust::decide(&authenticated.question(), facts, now);
    let grant = match ruling.decision {
        Decision::Allow(admission) => Grant::Admitted(admission),
        Decision::Hold => Grant::AsRequest,
        Decision::Refuse(refusal) => {
            return Verdict::Refused(authenticated, refusal, ruling.why);
        }
    };
    Verdict::Authorized(Authorized { authenticated, grant, why: ruling.why })
}

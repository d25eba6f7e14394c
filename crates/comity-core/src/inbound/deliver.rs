//! Step 5: what follows from a durable message: whom to wake, and what to answer.

use std::sync::Arc;

use comity_didcomm::Did;

use super::charge;
use super::commit::{Commit, Placement, Written};
use crate::Context;
use crate::admission::Class;
use crate::refusal::Refusal;
use crate::relay::Held;
use crate::trust::Challenge;

/// A message that waits, durably, in a mailbox or before the operator.
#[derive(Clone, Debug)]
pub struct Delivered {
    commit: Arc<Commit>,
    seq: u64,
}

impl Delivered {
    /// Returns whose mailbox it is in.
    #[must_use]
    pub fn recipient(&self) -> &Did {
        &self.commit.received().recipient
    }

    /// Returns the message, so that it need not be read back.
    #[must_use]
    pub const fn commit(&self) -> &Arc<Commit> {
        &self.commit
    }

    /// Returns its position in the store.
    #[must_use]
    pub const fn seq(&self) -> u64 {
        self.seq
    }
}

/// How a message's way in ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It is in the mailbox.
    Accepted,
    /// It is taken when its sender has solved this. Nothing was recorded.
    Charged(Challenge),
    /// It is with the operator.
    Held,
    /// It told the home itself something.
    Noted,
    /// It is in a queue of the relay, for its recipient to pick up; what it is to the recipient is known
    /// if there is a rule for that.
    Queued(Option<Class>),
    /// It was refused; that is on record and the sender gets a report.
    Refused(Refusal),
    /// It had come before and gets the same answer.
    Repeated,
    /// It asked the home itself something, and there is an answer, if one is due.
    Served,
    /// It was turned away at the door: nothing was recorded.
    TurnedAway(Refusal),
}

impl Outcome {
    /// Returns the HTTP status that tells the truth about it.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Charged(_) => Refusal::WorkRequired.status(),
            Self::TurnedAway(refusal) => refusal.status(),
            _ => 202,
        }
    }

    /// Says whether whoever brings such is welcome, which decides whom overload meets first (ADR 0013);
    /// nothing when it tells neither.
    #[must_use]
    pub const fn is_welcome(&self) -> Option<bool> {
        match self {
            Self::Accepted | Self::Queued(Some(Class::Friend)) => Some(true),
            // Anybody may ask a home what it serves, and knock at a relay.
            Self::Noted | Self::Queued(_) | Self::Repeated | Self::Served => None,
            Self::TurnedAway(refusal) if refusal.is_temporary() => None,
            Self::Charged(_) | Self::Held | Self::Refused(_) | Self::TurnedAway(_) => Some(false),
        }
    }
}

/// Says how a forward ended.
pub(super) fn hold(held: &Held, written: &Written, context: &Context) -> Outcome {
    let price = || held.price(context).map(Outcome::Charged);
    match written {
        Written::New { .. } => Outcome::Queued(held.row().class),
        Written::Repeat { .. } => Outcome::Repeated,
        // What has paid waits in a pool of its own; when that is full too, nothing helps.
        Written::Temporary(Refusal::StrangersFull) if held.spent().is_none() => {
            price().unwrap_or(Outcome::TurnedAway(Refusal::StrangersFull))
        }
        Written::Temporary(refusal) => Outcome::TurnedAway(*refusal),
        Written::Spent => price().unwrap_or(Outcome::TurnedAway(Refusal::Busy)),
    }
}

pub(super) fn deliver(
    commit: &Arc<Commit>,
    written: Written,
    context: &Context,
) -> (Option<Delivered>, Outcome) {
    let seq = match written {
        Written::New { seq } => seq,
        Written::Repeat { digest } if digest == commit.received().digest => {
            return (None, Outcome::Repeated);
        }
        Written::Repeat { .. } => return (None, Outcome::TurnedAway(Refusal::IdReuse)),
        Written::Spent => return (None, charge::again(commit, context)),
        Written::Temporary(refusal) => return (None, Outcome::TurnedAway(refusal)),
    };
    match commit.placement() {
        Placement::Mailbox => {
            (Some(Delivered { commit: Arc::clone(commit), seq }), Outcome::Accepted)
        }
        Placement::Request => (None, Outcome::Held),
        Placement::Home => (None, Outcome::Noted),
        Placement::Refused(refusal, _) => (None, Outcome::Refused(*refusal)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_taken_makes_welcome_and_what_passes_tells_nothing() {
        for taken in [Outcome::Accepted, Outcome::Queued(Some(Class::Friend))] {
            assert_eq!(taken.is_welcome(), Some(true), "{taken:?}");
        }
        let busy = Outcome::TurnedAway(Refusal::Busy);
        let queued = [None, Some(Class::Paid), Some(Class::Stranger)].map(Outcome::Queued);
        let asked = [Outcome::Noted, Outcome::Repeated, Outcome::Served, busy];
        for neither in queued.into_iter().chain(asked) {
            assert_eq!(neither.is_welcome(), None, "{neither:?}");
        }
        let refused = [Outcome::Refused(Refusal::Denied), Outcome::TurnedAway(Refusal::Crypto)];
        for unwelcome in refused.into_iter().chain([Outcome::Held]) {
            assert_eq!(unwelcome.is_welcome(), Some(false), "{unwelcome:?}");
        }
    }
}

//! Between steps 3 and 4: a stranger is told what its message costs. Nothing is recorded, so that
//! what nobody has paid for takes no room; a message that is on record already gets its first answer
//! again.

use comity_didcomm::Did;

use super::{Authenticated, Commit, Outcome};
use crate::Context;
use crate::record::digest_text;
use crate::refusal::Refusal;
use crate::trust::{Challenge, ChallengeId, subject};

/// A message that is not taken until its sender has shown work.
#[derive(Debug)]
pub struct Charged {
    sender: Did,
    recipient: Did,
    id: String,
    digest: String,
    challenge: Challenge,
}

impl Charged {
    /// Returns who sent it, proven.
    #[must_use]
    pub const fn sender(&self) -> &Did {
        &self.sender
    }

    /// Returns whom it is for.
    #[must_use]
    pub const fn recipient(&self) -> &Did {
        &self.recipient
    }

    /// Returns its id, as the sender wrote it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

pub(super) fn charge(authenticated: &Authenticated, bits: u8, context: &Context) -> Charged {
    let sender = authenticated.sender.did().clone();
    let recipient = authenticated.recipient.clone();
    Charged {
        challenge: issue(&sender, &recipient, bits, context),
        id: authenticated.opened.message.id.as_str().to_owned(),
        digest: digest_text(authenticated.opened.plaintext()),
        sender,
        recipient,
    }
}

/// Says how it ended, given the digest under which the same message is known from before.
pub(super) fn conclude(charged: &Charged, known: Option<&str>) -> Outcome {
    match known {
        None => Outcome::Charged(charged.challenge.clone()),
        Some(digest) if digest == charged.digest => Outcome::Repeated,
        Some(_) => Outcome::TurnedAway(Refusal::IdReuse),
    }
}

/// Says what a message costs whose work had been spent when it was to be written.
pub(super) fn again(commit: &Commit, context: &Context) -> Outcome {
    let Some(spent) = commit.spent() else { return Outcome::TurnedAway(Refusal::Busy) };
    let received = commit.received();
    Outcome::Charged(issue(&received.sender, &received.recipient, spent.price_bits, context))
}

fn issue(sender: &Did, recipient: &Did, bits: u8, context: &Context) -> Challenge {
    // The salt of a leaf that there is none of.
    let id = ChallengeId(context.salt);
    context.secret.issue(id, bits, (&subject(sender), &subject(recipient)), context.now)
}

//! Work that was spent, so that it is worth something once; and how often a sender has knocked
//! lately, which makes the next time dearer.

use comity_core::inbound::Spent;
use comity_core::limits::KNOCKS_REMEMBERED_S;
use comity_core::record::Received;
use comity_core::trust::ChallengeId;
use comity_didcomm::Did;

use super::due::Due;
use super::keys::{self, MessageKey, did_hash};
use crate::batch::{Batch, Keyspace};
use crate::store::{Store, StoreFault};

/// A knock that is counted: whose, at whom, and by which message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Knock {
    recipient: [u8; 16],
    sender: [u8; 16],
    message: MessageKey,
}

impl Knock {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        [self.recipient, self.sender, self.message.0].concat()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (recipient, rest) = bytes.split_first_chunk::<16>()?;
        let (sender, rest) = rest.split_first_chunk::<16>()?;
        let message = MessageKey(rest.try_into().ok()?);
        Some(Self { recipient: *recipient, sender: *sender, message })
    }
}

/// Spends work. The batch conflicts at the returned position if it was spent before.
pub(super) fn spend(batch: &mut Batch, spent: &Spent) -> usize {
    let first = batch.assert_absent(Keyspace::Index, &keys::spent(spent.id));
    batch.put(Keyspace::Index, &keys::spent(spent.id), Vec::new());
    Due::ForgetSpent(spent.id).put(batch, spent.expires);
    first
}

/// Forgets that work was spent, when nobody could spend it any more.
pub fn forget(batch: &mut Batch, challenge: ChallengeId) {
    batch.delete(Keyspace::Index, &keys::spent(challenge));
}

/// Counts a request among those that its sender made lately.
pub(super) fn count_knock(batch: &mut Batch, received: &Received) {
    let (recipient, sender) = (did_hash(&received.recipient), did_hash(&received.sender));
    batch.add(&keys::count_knocks(&recipient, &sender), 1);
    let knock = Knock { recipient, sender, message: keys::message_key(received) };
    let forget = received.received_at.saturating_add(KNOCKS_REMEMBERED_S);
    Due::ForgetKnock(knock).put(batch, forget);
}

/// Forgets one knock.
pub fn forget_knock(batch: &mut Batch, knock: Knock) {
    batch.add(&keys::count_knocks(&knock.recipient, &knock.sender), -1);
}

/// Reads how many requests an agent had of a sender lately, decided or not.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn knocks(store: &dyn Store, recipient: &Did, sender: &Did) -> Result<i64, StoreFault> {
    store.counter(&keys::count_knocks(&did_hash(recipient), &did_hash(sender))).await
}

#[cfg(test)]
mod tests;

//! Who may pick messages up, and how many at once.

use comity_didcomm::{Did, UnixTime};

use super::RecipientRow;
use crate::limits::{DELIVERY_BYTES_MAX, DELIVERY_MESSAGES_MAX};
use crate::protocol::pickup;
use crate::refusal::Refusal;

/// Counts of one queue, or of several together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Messages that wait.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the oldest came.
    pub oldest: Option<UnixTime>,
    /// When the newest came.
    pub newest: Option<UnixTime>,
}

impl Figures {
    /// Joins the counts of two queues.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            messages: self.messages.saturating_add(other.messages),
            bytes: self.bytes.saturating_add(other.bytes),
            oldest: [self.oldest, other.oldest].into_iter().flatten().min(),
            newest: self.newest.max(other.newest),
        }
    }

    /// Says them in the words of Message Pickup.
    #[must_use]
    pub fn to_status(
        self,
        recipient_did: Option<Did>,
        live_delivery: bool,
        now: UnixTime,
    ) -> pickup::Status {
        pickup::Status {
            recipient_did,
            message_count: self.messages,
            total_bytes: Some(self.bytes),
            oldest_received: self.oldest,
            newest_received: self.newest,
            longest_waited_s: Some(self.oldest.map_or(0, |oldest| now.0.saturating_sub(oldest.0))),
            live_delivery,
        }
    }
}

/// Decides whether `sender` may see and empty the queue of a DID: the DID itself always, and who
/// has it registered.
///
/// # Errors
/// When it may not.
pub fn may_pick_up(
    sender: &Did,
    recipient: &Did,
    row: Option<&RecipientRow>,
) -> Result<(), Refusal> {
    let is_own = recipient.same_subject(sender);
    let has_registered = row.is_some_and(|row| row.registrant.same_subject(sender));
    if is_own || has_registered { Ok(()) } else { Err(Refusal::NotYourQueue) }
}

/// Fills one delivery: messages are offered oldest first and taken while there is room.
#[derive(Clone, Copy, Debug)]
pub struct DeliveryPlan {
    messages_left: usize,
    bytes_left: u64,
    is_empty: bool,
}

/// Begins a delivery of at most `limit` messages.
#[must_use]
pub fn plan_delivery(limit: u64) -> DeliveryPlan {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let messages_left = limit.min(DELIVERY_MESSAGES_MAX);
    DeliveryPlan { messages_left, bytes_left: DELIVERY_BYTES_MAX, is_empty: true }
}

impl DeliveryPlan {
    /// Whether a message of this size still fits. The first one always does: it was small enough to
    /// be held.
    pub const fn take(&mut self, size_bytes: u64) -> bool {
        let fits = size_bytes <= self.bytes_left || self.is_empty;
        if self.messages_left == 0 || !fits {
            self.messages_left = 0;
            return false;
        }
        self.messages_left -= 1;
        self.bytes_left = self.bytes_left.saturating_sub(size_bytes);
        self.is_empty = false;
        true
    }

    /// Returns how many messages more it could have.
    #[must_use]
    pub const fn messages_left(&self) -> usize {
        self.messages_left
    }
}

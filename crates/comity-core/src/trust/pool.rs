//! The strangers' pool: how much of a home those may take up of whom nothing was decided.

use crate::limits::{
    REQUESTS_BYTES_MAX, REQUESTS_OF_NODE_MAX, REQUESTS_PENDING_MAX, REQUESTS_SHARE_PERCENT,
};

/// What requests take up at this moment, and how many there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Requests that wait for the recipient's operator.
    pub pending: i64,
    /// How many there may be: [`requests_max`].
    pub pending_max: i64,
    /// Bytes of their envelopes.
    pub bytes: i64,
    /// Requests that wait at the node, whichever of its agents they are for.
    pub of_node: i64,
}

impl Pool {
    /// A pool in which nobody is.
    pub const EMPTY: Self =
        Self { pending: 0, pending_max: REQUESTS_PENDING_MAX, bytes: 0, of_node: 0 };

    /// Whether there is no room for one more request of that size.
    #[must_use]
    pub fn is_full(&self, size_bytes: usize) -> bool {
        let size = i64::try_from(size_bytes).unwrap_or(i64::MAX);
        self.pending_max <= self.pending
            || REQUESTS_BYTES_MAX < self.bytes.saturating_add(size)
            || REQUESTS_OF_NODE_MAX <= self.of_node
    }

    /// Whether there is no room for one more request that has cost no work, where others do.
    #[must_use]
    pub const fn is_full_for_unpaid(&self) -> bool {
        self.pending_max / 2 <= self.pending
    }
}

/// Returns how many requests one agent holds: a small share of the messages that its mailbox holds, and
/// at least one.
#[must_use]
pub fn requests_max(mailbox_messages_max: u32) -> i64 {
    let share = i64::from(mailbox_messages_max) * i64::from(REQUESTS_SHARE_PERCENT) / 100;
    share.clamp(1, REQUESTS_PENDING_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_have_a_small_share_of_a_mailbox_and_at_least_one_place() {
        assert_eq!([1, 19, 20, 40, 1_000].map(requests_max), [1, 1, 1, 2, 50]);
        assert_eq!(requests_max(100_000), REQUESTS_PENDING_MAX);
        assert_eq!(requests_max(u32::MAX), REQUESTS_PENDING_MAX);
    }

    #[test]
    fn each_bound_fills_the_pool_and_one_less_does_not() {
        assert!(!Pool::EMPTY.is_full(1_000));
        let count = |pending| Pool { pending, pending_max: 2, ..Pool::EMPTY };
        assert!(!count(1).is_full(1) && count(2).is_full(1));
        let bytes = |bytes| Pool { bytes, ..Pool::EMPTY };
        assert!(!bytes(REQUESTS_BYTES_MAX - 9).is_full(9));
        assert!(bytes(REQUESTS_BYTES_MAX - 9).is_full(10));
        let of_node = |of_node| Pool { of_node, ..Pool::EMPTY };
        assert!(!of_node(REQUESTS_OF_NODE_MAX - 1).is_full(1));
        assert!(of_node(REQUESTS_OF_NODE_MAX).is_full(1));
    }
}

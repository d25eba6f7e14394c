//! How much somebody may send, whatever the level: limits of an entry or a grant, and what of them
//! is used up.

use serde::{Deserialize, Serialize};

use super::TokenId;
use crate::record::key_hash;

/// How much may be sent. What is absent is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Messages in one day of UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages_per_day: Option<u64>,
    /// Bytes of envelopes in one day of UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_day: Option<u64>,
    /// Messages of protocols that need the level `task` or more, and that the agent has not settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks_open: Option<u64>,
}

impl Limits {
    /// Sets no limit.
    pub const UNLIMITED: Self =
        Self { messages_per_day: None, bytes_per_day: None, tasks_open: None };

    /// Whether nothing is limited.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        *self == Self::UNLIMITED
    }

    /// Whether one of them allows nothing at all.
    #[must_use]
    pub fn has_zero(&self) -> bool {
        [self.messages_per_day, self.bytes_per_day, self.tasks_open].contains(&Some(0))
    }

    /// Whether these limits allow nothing that others do not.
    #[must_use]
    pub fn is_within(&self, wider: &Self) -> bool {
        let within = |ours: Option<u64>, theirs: Option<u64>| match (ours, theirs) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(ours), Some(theirs)) => ours <= theirs,
        };
        within(self.messages_per_day, wider.messages_per_day)
            && within(self.bytes_per_day, wider.bytes_per_day)
            && within(self.tasks_open, wider.tasks_open)
    }

    /// Returns what both allow.
    #[must_use]
    pub fn tightest(&self, other: &Self) -> Self {
        let least = |one: Option<u64>, other: Option<u64>| match (one, other) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        Self {
            messages_per_day: least(self.messages_per_day, other.messages_per_day),
            bytes_per_day: least(self.bytes_per_day, other.bytes_per_day),
            tasks_open: least(self.tasks_open, other.tasks_open),
        }
    }

    /// Names the limit that one more message would break, if there is one.
    #[must_use]
    pub fn broken_by(&self, used: Used, more: Used) -> Option<&'static str> {
        let breaks = |limit: Option<u64>, used: u64, more: u64| {
            limit.is_some_and(|limit| 0 < more && limit < used.saturating_add(more))
        };
        if breaks(self.messages_per_day, used.messages, more.messages) {
            return Some("messages a day");
        }
        if breaks(self.bytes_per_day, used.bytes, more.bytes) {
            return Some("bytes a day");
        }
        breaks(self.tasks_open, used.tasks, more.tasks).then_some("open tasks")
    }
}

/// What of [`Limits`] is used: today, and of open tasks at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Messages.
    pub messages: u64,
    /// Bytes.
    pub bytes: u64,
    /// Open tasks.
    pub tasks: u64,
}

/// Names what counts together: an entry of an agent, or one grant however often it was handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MeterId(pub [u8; 16]);

impl MeterId {
    /// Names what counts against one grant: all that its holder does, and all to whom it was handed
    /// on.
    pub(super) fn of_grant(id: TokenId) -> Self {
        Self(key_hash(&[b"grant", id.as_bytes()]))
    }
}

/// What a message that was let in counts against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meter {
    /// With what it counts together.
    pub id: MeterId,
    /// How much there may be.
    pub limits: Limits,
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Limits =
        Limits { messages_per_day: Some(10), bytes_per_day: Some(1_000), tasks_open: Some(1) };

    #[test]
    fn nothing_is_within_less() {
        let nine = Limits { messages_per_day: Some(9), ..TEN };
        assert!(nine.is_within(&TEN) && TEN.is_within(&TEN) && TEN.is_within(&Limits::UNLIMITED));
        assert!(!TEN.is_within(&nine));
        assert!(!Limits::UNLIMITED.is_within(&TEN), "without a limit is more than any limit");
        assert_eq!(TEN.tightest(&Limits::UNLIMITED), TEN);
        assert_eq!(Limits::UNLIMITED.tightest(&nine), nine);
        assert!(TEN.tightest(&nine).is_within(&nine));
    }

    #[test]
    fn the_last_that_fits_is_let_in_and_the_next_is_not() {
        let more = Used { messages: 1, bytes: 100, tasks: 0 };
        let used = |messages, bytes| Used { messages, bytes, tasks: 1 };
        assert_eq!(TEN.broken_by(used(9, 900), more), None);
        assert_eq!(TEN.broken_by(used(10, 0), more), Some("messages a day"));
        assert_eq!(TEN.broken_by(used(0, 901), more), Some("bytes a day"));
        let task = Used { tasks: 1, ..more };
        assert_eq!(TEN.broken_by(used(0, 0), task), Some("open tasks"));
        assert_eq!(Limits::UNLIMITED.broken_by(used(u64::MAX, u64::MAX), task), None);
    }
}

//! Whom an agent may write to, and how much: the same entries on the way out. With them an operator
//! fences in an agent that a language model drives.

use std::sync::Arc;

use comity_didcomm::{Did, ProtocolId, UnixTime};

use super::decide::counts_as;
use super::{
    Direction, Entry, EntryKind, Level, Limits, Meter, MeterId, OutboundRule, Policy, Used,
};
use crate::outbound::Unsendable;
use crate::protocol::attached_tokens::AttachedTokens;

/// What the shell found about a message on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The sender's rules.
    pub policy: Arc<Policy>,
    /// The sender's entries on the way out that may be about the recipient.
    pub entries: Vec<Entry>,
    /// What of their limits is used.
    pub used: Vec<(MeterId, Used)>,
    /// Whether the recipient has written to the sender in the message's thread.
    pub is_answer: bool,
    /// What the sender has to show to the recipient: grants and vouches.
    pub carries: AttachedTokens,
}

impl Fence {
    /// Returns a fence that keeps nobody in.
    #[must_use]
    pub fn none() -> Self {
        let (entries, used) = (Vec::new(), Vec::new());
        let (policy, carries) = (Arc::new(Policy::default()), AttachedTokens::default());
        Self { policy, entries, used, is_answer: false, carries }
    }
}

/// What a message on its way out is, as far as the fence goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// Who sends it.
    pub from: Did,
    /// To whom.
    pub to: Did,
    /// The protocol of the message.
    pub protocol: ProtocolId,
    /// The threads that it continues.
    pub threads: Vec<String>,
}

/// Decides whether a message may go out; returns what it counts against, and the level that its
/// protocol needs.
///
/// # Errors
/// When the operator keeps the agent from sending it.
pub(crate) fn may_write(
    passage: &Passage,
    size_bytes: usize,
    fence: &Fence,
    now: UnixTime,
) -> Result<(Vec<Meter>, Level), Unsendable> {
    let needed = fence.policy.required(&passage.protocol);
    let mut entries: Vec<&Entry> = fence
        .entries
        .iter()
        .filter(|entry| entry.direction == Direction::Out && entry.whom.is(&passage.to))
        .collect();
    entries.sort_by_key(|entry| entry.whom.rank());
    if entries.iter().any(|entry| entry.kind != EntryKind::Allow) {
        return Err(Unsendable::FencedIn);
    }
    let covering = entries.into_iter().find(|entry| {
        entry.allows(now) && entry.covers(&passage.protocol) && needed <= entry.level
    });
    let Some(entry) = covering else {
        return match fence.policy.outbound {
            OutboundRule::Listed if !fence.is_answer => Err(Unsendable::FencedIn),
            OutboundRule::Listed | OutboundRule::Open => Ok((Vec::new(), needed)),
        };
    };
    if entry.limits.is_unlimited() {
        return Ok((Vec::new(), needed));
    }
    // Nothing tells the sender's home when a task that it handed out is done with.
    let limits = Limits { tasks_open: None, ..entry.limits };
    let meter = Meter { id: entry.meter(&passage.from), limits };
    let used = fence.used.iter().find(|(id, _)| *id == meter.id);
    let used = used.map(|(_, used)| *used).unwrap_or_default();
    match limits.broken_by(used, counts_as(size_bytes, needed)) {
        Some(_) => Err(Unsendable::LimitReached),
        None => Ok((vec![meter], needed)),
    }
}

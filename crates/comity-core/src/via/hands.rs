//! What a session has in hand: envelopes that are being taken in, those that could not be at the
//! moment, and those whose outcome is durable and has to be told to the relay.

use std::collections::{BTreeSet, VecDeque};

use crate::inbound::Outcome;
use crate::limits::{VIA_HELD_MAX, VIA_PUT_OFF_MAX};
use crate::refusal::Refusal;

/// What became of an envelope from the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its outcome is durable, or the same at every further attempt: the relay need not keep it.
    Done,
    /// It could not be taken in now: the relay has to keep it.
    Later(Refusal),
}

impl Fate {
    /// Decides by the outcome of its way in. What a home turns away for good is nobody's loss: its
    /// sender is not proven, so nobody can be told.
    #[must_use]
    pub const fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::TurnedAway(refusal) if refusal.is_temporary() => Self::Later(*refusal),
            // The sender is proven, and cannot be asked this way: what it sent is not lost for that.
            Outcome::Charged(_) => Self::Later(Refusal::WorkRequired),
            _ => Self::Done,
        }
    }
}

/// Envelopes by their names at the relay.
#[derive(Debug, Default)]
pub(super) struct Hands {
    /// Being taken in.
    taking: BTreeSet<String>,
    /// Not taken in, oldest first.
    put_off: VecDeque<(String, Refusal)>,
    /// Taken in, and not told yet.
    done: Vec<String>,
}

/// What to do with an envelope that was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivered {
    /// It is in hand, or was put off.
    Known,
    /// It is new: take it in.
    New,
    /// There is no hand free; the relay will deliver it again.
    TooMany,
}

impl Hands {
    pub(super) fn deliver(&mut self, id: &str) -> Delivered {
        let is_put_off = self.put_off.iter().any(|(known, _)| known == id);
        if is_put_off || self.taking.contains(id) || self.done.iter().any(|known| known == id) {
            return Delivered::Known;
        }
        if VIA_HELD_MAX <= self.taking.len() {
            return Delivered::TooMany;
        }
        self.taking.insert(id.to_owned());
        Delivered::New
    }

    pub(super) fn taken(&mut self, id: String, fate: Fate) {
        if !self.taking.remove(&id) {
            return;
        }
        match fate {
            Fate::Done => self.done.push(id),
            Fate::Later(refusal) => self.put_off.push_back((id, refusal)),
        }
    }

    /// Gives up the oldest that was put off, if there are too many; a fault of our own is no reason
    /// to.
    pub(super) fn give_up_beyond_bound(&mut self) -> Option<Refusal> {
        if self.put_off.len() <= VIA_PUT_OFF_MAX { None } else { self.give_up() }
    }

    /// Gives up the oldest that was put off for its own sake. Those that nobody has proven to have
    /// sent come first: a stranger can make any number of them, and they must not drive out
    /// messages of people whom we know.
    pub(super) fn give_up(&mut self) -> Option<Refusal> {
        let oldest = |is_meant: fn(Refusal) -> bool| {
            self.put_off.iter().position(|(_, refusal)| is_meant(*refusal))
        };
        let at = oldest(is_unproven).or_else(|| oldest(|refusal| refusal != Refusal::Busy))?;
        let (id, refusal) = self.put_off.remove(at)?;
        self.done.push(id);
        Some(refusal)
    }

    /// Forgets what was put off, so that it is taken in when it is delivered again; returns how
    /// many there were.
    pub(super) fn try_again(&mut self) -> usize {
        let count = self.put_off.len();
        self.put_off.clear();
        count
    }

    /// Hands over what can be told to the relay.
    pub(super) fn told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.done)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.taking.is_empty()
    }

    pub(super) fn done(&self) -> usize {
        self.done.len()
    }

    pub(super) fn put_off(&self) -> usize {
        self.put_off.len()
    }

    /// Whether everything that was put off is of people whom we know, and something was.
    pub(super) fn awaits_known_only(&self) -> bool {
        !self.put_off.is_empty() && !self.put_off.iter().any(|(_, refusal)| is_unproven(*refusal))
    }

    /// Counts what the relay still has and this session knows of.
    pub(super) fn known(&self) -> usize {
        self.taking.len() + self.put_off.len() + self.done.len()
    }
}

fn is_unproven(refusal: Refusal) -> bool {
    refusal == Refusal::DidUnavailable
}

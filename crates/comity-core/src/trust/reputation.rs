//! What the outcomes of somebody's work take away from the vouches for it.
//!
//! Arithmetic over counts. That an outcome is signed by both parties, and whose it is, is settled
//! before it is counted; an opinion that only one side signed is no outcome and has no place here.
//!
//! The formula, with `p` = 4, `w` = 3 and `d` = 0.3:
//!
//! ```text
//! good     = accepted + done
//! bad      = disputed + (refused + expired) / 2
//! conduct  = (p + good) / (p + good + w * bad)
//! standing = conduct * product over those it vouches for of (1 - d * (1 - their conduct))
//! ```
//!
//! So nobody stands above 1: good work makes up for bad work, but buys no trust, or two colluders
//! would sell it to each other. Who has no record stands at 1; `p` is the patience with whom little
//! is known of, and `w` says that one dispute weighs as much as three pieces of good work. A voucher
//! answers for each of its vouched by at most `d`, one hop and no further. What the vouched do well
//! is not its merit: otherwise it could hide one bad vouch behind vouches for famous agents.

use std::collections::{BTreeMap, BTreeSet};

use comity_didcomm::{Did, UnixTime};

use super::{Direction, Ending, Entry, EntryKind, Level, VouchBook, subject};
use crate::protocol::vouch::VouchState;

/// Counts of the outcomes of somebody's work, each outcome counted with the [`weight`] of the other
/// party that signed it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outcomes {
    /// The other party took the result.
    pub accepted: f64,
    /// The work was done.
    pub done: f64,
    /// The other party did not take the result.
    pub refused: f64,
    /// The parties do not agree on what happened.
    pub disputed: f64,
    /// The deadline went by.
    pub expired: f64,
}

impl Outcomes {
    /// Counts how one piece of work ended, for so much.
    pub fn add(&mut self, ending: Ending, weight: f64) {
        let count = match ending {
            Ending::Accepted => &mut self.accepted,
            Ending::Done => &mut self.done,
            Ending::Refused => &mut self.refused,
            Ending::Disputed => &mut self.disputed,
            Ending::Expired => &mut self.expired,
        };
        *count += weight;
    }

    /// Computes what remains of a vouch after these outcomes alone, from 0 to 1.
    fn conduct(&self) -> f64 {
        // A count that is no number, or negative, counts nothing.
        let [accepted, done, refused, disputed, expired] =
            [self.accepted, self.done, self.refused, self.disputed, self.expired]
                .map(|count| count.clamp(0.0, COUNT_MAX).max(0.0));
        let good = PATIENCE + accepted + done;
        let bad = disputed + (refused + expired) / 2.0;
        good / (good + BAD_WEIGHT * bad)
    }
}

/// How much a vouch for somebody still counts, from 0 (nothing) to 1 (all).
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Standing(f64);

impl Standing {
    /// All of it: where nothing bad is known.
    pub const FULL: Self = Self(1.0);

    /// Computes the standing of somebody from the outcomes of its own work, and of the work of each
    /// that it vouches for.
    ///
    /// ```
    /// use comity_core::trust::reputation::{Outcomes, Standing};
    ///
    /// let disputed = Outcomes { disputed: 4.0, ..Outcomes::default() };
    /// assert_eq!(Standing::of(&disputed, &[]).as_f64(), 0.25);
    /// assert_eq!(Standing::of(&Outcomes::default(), &[disputed]).as_f64(), 0.775);
    /// ```
    #[must_use]
    pub fn of(own: &Outcomes, vouched: &[Outcomes]) -> Self {
        let answered_for: f64 =
            vouched.iter().map(|other| 1.0 - VOUCHER_SHARE * (1.0 - other.conduct())).product();
        Self(own.conduct() * answered_for)
    }

    /// Returns how far vouches carry somebody at most: below a half not to messages, below a quarter to
    /// nothing. Points alone would not say it, since one anchor may have more to give than it can bring.
    #[must_use]
    pub const fn most(self) -> Level {
        match self.0 {
            ..0.25 => Level::Blocked,
            ..0.5 => Level::Introduced,
            _ => Level::Execute,
        }
    }

    /// Returns it as a number from 0 to 1.
    #[must_use]
    pub const fn as_f64(self) -> f64 {
        self.0
    }
}

/// What remains of the vouches for those of whom outcomes are known, to one reader.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standings(BTreeMap<Did, Standing>);

impl Standings {
    /// Computes the standings of those who worked, and of those who vouch for them. A vouch that has
    /// run out or was taken back is answered for no more.
    #[must_use]
    pub fn new(records: &BTreeMap<Did, Outcomes>, book: &VouchBook, now: UnixTime) -> Self {
        if records.is_empty() {
            return Self::default();
        }
        let mut answers_for: BTreeMap<Did, BTreeSet<Did>> = BTreeMap::new();
        for vouch in book.iter() {
            let vouched = subject(&vouch.terms().subject);
            let is_taken_back = book.state(vouch.id(), now) == VouchState::Revoked;
            if !vouch.is_over(now) && !is_taken_back && records.contains_key(&vouched) {
                answers_for.entry(subject(vouch.issuer())).or_default().insert(vouched);
            }
        }
        let parties: BTreeSet<&Did> = records.keys().chain(answers_for.keys()).collect();
        let standing = |party: &Did| {
            let own = records.get(party).copied().unwrap_or_default();
            let vouched = answers_for.get(party).into_iter().flatten();
            let vouched: Vec<_> = vouched.filter_map(|one| records.get(one).copied()).collect();
            Standing::of(&own, &vouched)
        };
        Self(parties.into_iter().map(|party| (party.clone(), standing(party))).collect())
    }

    /// Returns somebody's.
    #[must_use]
    pub fn of(&self, party: &Did) -> Standing {
        self.0.get(&subject(party)).copied().unwrap_or(Standing::FULL)
    }
}

/// Says how far a reader trusts somebody, for the [`weight`] of what it signed: itself and its
/// anchors in everything, others as far as its entries let them go.
#[must_use]
pub fn trust_in(
    party: &Did,
    reader: &Did,
    anchors: &BTreeSet<Did>,
    entries: &[Entry],
    now: UnixTime,
) -> Level {
    let holds = |entry: &&Entry| {
        entry.direction == Direction::In
            && entry.whom.is(party)
            && !entry.is_over(now)
            && !entry.is_early(now)
    };
    let about = || entries.iter().filter(holds);
    if about().any(|entry| entry.kind != EntryKind::Allow) {
        return Level::Blocked;
    }
    if party.same_subject(reader) || anchors.contains(&subject(party)) {
        return Level::Execute;
    }
    about().map(|entry| entry.level).max().unwrap_or(Level::Blocked)
}

/// Says how much an outcome counts, by the level of the other party that signed it: nothing when
/// that is a stranger, since strangers cost nothing to make.
#[must_use]
pub const fn weight(counterparty: Level) -> f64 {
    match counterparty {
        Level::Blocked => 0.0,
        Level::Introduced => 0.25,
        Level::Message => 0.5,
        Level::Task | Level::Execute => 1.0,
    }
}

const BAD_WEIGHT: f64 = 3.0;
const COUNT_MAX: f64 = 1e12;
const PATIENCE: f64 = 4.0;
const VOUCHER_SHARE: f64 = 0.3;

#[cfg(test)]
mod tests;

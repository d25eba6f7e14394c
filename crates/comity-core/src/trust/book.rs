//! The vouches that a home has been shown, in memory: who vouches for whom, and which of them are
//! known to hold at this moment.

use std::collections::BTreeMap;

use comity_didcomm::{Did, ProtocolId, UnixTime};

use super::reputation::Standing;
use super::score::{Edge, Web};
use super::{TokenId, Vouch, subject};
use crate::limits::{VOUCH_ASKED_S, VOUCHES_KEPT_MAX};
use crate::protocol::vouch::VouchState;

/// Vouches, by their vouchers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VouchBook {
    given: BTreeMap<Did, Vec<Vouch>>,
    states: BTreeMap<TokenId, State>,
    standings: BTreeMap<Did, Standing>,
    count: usize,
}

/// What is known of whether a token was revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Its voucher was asked then.
    Asked(UnixTime),
    /// Its voucher said so, and need not be asked again before then.
    Said(VouchState, UnixTime),
}

impl VouchBook {
    /// Takes a vouch; says whether it is new. When the book is full, what has run out is dropped, and
    /// nothing else.
    pub fn insert(&mut self, vouch: Vouch, now: UnixTime) -> bool {
        if VOUCHES_KEPT_MAX <= self.count {
            self.forget_expired(now);
        }
        let given = self.given.entry(subject(vouch.issuer())).or_default();
        let is_known = given.iter().any(|known| known.id() == vouch.id());
        if is_known || VOUCHES_KEPT_MAX <= self.count {
            return false;
        }
        given.push(vouch);
        self.count += 1;
        true
    }

    /// Remembers that a voucher was asked whether its vouch holds.
    pub fn ask(&mut self, id: TokenId, now: UnixTime) {
        self.states.insert(id, State::Asked(now));
    }

    /// Takes what a voucher says about its vouch; what others say changes nothing. A vouch that was
    /// revoked stays so.
    pub fn say(&mut self, voucher: &Did, id: TokenId, state: VouchState, until: UnixTime) -> bool {
        let given = self.given.get(&subject(voucher));
        let is_its_own = given.is_some_and(|given| given.iter().any(|vouch| vouch.id() == id));
        if !is_its_own || self.is_revoked(id) {
            return false;
        }
        self.states.insert(id, State::Said(state, until));
        true
    }

    /// Sets what the conduct of somebody leaves of the vouches for it.
    pub fn set_standing(&mut self, party: Did, standing: Standing) {
        self.standings.insert(party, standing);
    }

    /// Returns what is known about a vouch.
    #[must_use]
    pub fn state(&self, id: TokenId, now: UnixTime) -> VouchState {
        match self.states.get(&id) {
            Some(State::Said(VouchState::Revoked, _)) => VouchState::Revoked,
            Some(State::Said(state, until)) if now < *until => *state,
            _ => VouchState::Unknown,
        }
    }

    /// Whether a voucher was asked a moment ago, and its answer is worth waiting for.
    #[must_use]
    pub fn is_asked(&self, id: TokenId, now: UnixTime) -> bool {
        let Some(State::Asked(at)) = self.states.get(&id) else { return false };
        now < at.saturating_add(VOUCH_ASKED_S)
    }

    /// Whether a voucher was asked and had its time to answer, not long ago.
    #[must_use]
    pub fn is_silent(&self, id: TokenId, now: UnixTime) -> bool {
        let Some(State::Asked(at)) = self.states.get(&id) else { return false };
        let again = at.saturating_add(10 * VOUCH_ASKED_S);
        !self.is_asked(id, now) && now < again
    }

    /// Returns the vouches that somebody gives.
    pub fn given_by(&self, voucher: &Did) -> impl Iterator<Item = &Vouch> {
        self.given.get(&subject(voucher)).into_iter().flatten()
    }

    /// Returns all vouches.
    pub fn iter(&self) -> impl Iterator<Item = &Vouch> {
        self.given.values().flatten()
    }

    /// Returns the vouches that are known to hold and cover a protocol, for the score.
    #[must_use]
    pub const fn web<'a>(&'a self, protocol: &'a ProtocolId, now: UnixTime) -> BookWeb<'a> {
        BookWeb { book: self, protocol, now }
    }

    /// Drops what has run out; returns the names of what is gone.
    pub fn forget_expired(&mut self, now: UnixTime) -> Vec<TokenId> {
        let mut gone = Vec::new();
        for given in self.given.values_mut() {
            given.retain(|vouch| {
                let is_over = vouch.is_over(now);
                if is_over {
                    gone.push(vouch.id());
                }
                !is_over
            });
        }
        self.given.retain(|_, given| !given.is_empty());
        self.count -= gone.len();
        self.states.retain(|id, _| !gone.contains(id));
        gone
    }

    fn is_revoked(&self, id: TokenId) -> bool {
        matches!(self.states.get(&id), Some(State::Said(VouchState::Revoked, _)))
    }
}

/// The vouches of a book for one protocol at one time.
#[derive(Clone, Copy, Debug)]
pub struct BookWeb<'a> {
    book: &'a VouchBook,
    protocol: &'a ProtocolId,
    now: UnixTime,
}

impl Web<Did> for BookWeb<'_> {
    fn given_by(&self, voucher: &Did) -> Vec<Edge<Did>> {
        let holds = |vouch: &&Vouch| {
            vouch.covers(self.protocol) && self.book.state(vouch.id(), self.now) == VouchState::Good
        };
        let edge = |vouch: &Vouch| {
            let terms = vouch.terms();
            let vouched = subject(&terms.subject);
            let standing = self.book.standings.get(&vouched).copied().unwrap_or(Standing::FULL);
            Edge { vouched, level: terms.level, depth: terms.depth, until: terms.until, standing }
        };
        self.book.given_by(voucher).filter(holds).map(edge).collect()
    }
}

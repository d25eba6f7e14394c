//! The vouches that a home has been shown, in memory: who vouches for whom, and which of them are
//! known to hold at this moment.

use std::collections::{BTreeMap, BTreeSet};

use comity_didcomm::{Did, ProtocolId, UnixTime};

use super::reputation::Standings;
use super::score::{Edge, Web};
use super::{Credential, Entry, EntryKind, TokenId, Vouch, subject};
use crate::limits::{
    CREDENTIALS_WATCHED_MAX, PATH_VOUCHES_MAX, VOUCH_ASKED_S, VOUCH_LIFE_S_MAX, VOUCHERS_ASKED_MAX,
    VOUCHES_KEPT_MAX, VOUCHES_PER_VOUCHER_MAX,
};
use crate::protocol::vouch::VouchState;

/// Vouches, by their vouchers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VouchBook {
    given: BTreeMap<Did, Vec<Vouch>>,
    /// Other credentials that their issuers are asked after: by whom, and until when.
    watched: BTreeMap<TokenId, (Did, UnixTime)>,
    states: BTreeMap<TokenId, State>,
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
    /// Takes a vouch; returns the names of those that it took the place of, or nothing when it was
    /// not taken. When the book is full, what has run out makes room, and then what is least missed.
    /// Nobody fills it alone.
    pub fn insert(&mut self, vouch: Vouch, now: UnixTime) -> Option<Vec<TokenId>> {
        let given = self.given.get(&subject(vouch.issuer())).map_or(&[][..], Vec::as_slice);
        let is_known = given.iter().any(|known| known.id() == vouch.id());
        if is_known || VOUCHES_PER_VOUCHER_MAX <= given.len() {
            return None;
        }
        let mut gone = Vec::new();
        if VOUCHES_KEPT_MAX <= self.count {
            gone = self.forget_expired(now);
        }
        if VOUCHES_KEPT_MAX <= self.count {
            gone.extend(self.forget_least(now));
        }
        self.given.entry(subject(vouch.issuer())).or_default().push(vouch);
        self.count += 1;
        Some(gone)
    }

    /// Drops the oldest vouch that is not known to hold, of whoever has most of these: who floods the
    /// book crowds out itself. It is asked after anew when it is shown again.
    fn forget_least(&mut self, now: UnixTime) -> Option<TokenId> {
        let doubtful = |given: &[Vouch]| {
            given.iter().filter(|vouch| self.state(vouch.id(), now) != VouchState::Good).count()
        };
        let rank = |given: &Vec<Vouch>| (doubtful(given), given.len());
        let (voucher, given) = self.given.iter().max_by_key(|(_, given)| rank(given))?;
        let is_doubtful = |vouch: &Vouch| self.state(vouch.id(), now) != VouchState::Good;
        let place = given.iter().position(is_doubtful).unwrap_or_default();
        let voucher = voucher.clone();
        let id = self.given.get_mut(&voucher)?.remove(place).id();
        self.states.remove(&id);
        self.count -= 1;
        Some(id)
    }

    /// Takes a credential that is no vouch and whose issuer answers for it in the same way; says
    /// whether it is in the book.
    pub fn watch(&mut self, credential: &Credential, now: UnixTime) -> bool {
        let (id, issuer) = (credential.id(), subject(credential.issuer()));
        if self.knows(id, &issuer) {
            return true;
        }
        if CREDENTIALS_WATCHED_MAX <= self.watched.len() {
            self.forget_expired(now);
        }
        if CREDENTIALS_WATCHED_MAX <= self.watched.len() {
            return false;
        }
        let latest = now.saturating_add(VOUCH_LIFE_S_MAX);
        let until = credential.until().map_or(latest, |until| until.min(latest));
        self.watched.insert(id, (issuer, until));
        true
    }

    /// Remembers that a voucher is being asked whether its vouch holds; says whether there is
    /// something to ask: nobody is asked again while the answer counts, or is waited for.
    pub fn ask(&mut self, id: TokenId, now: UnixTime) -> bool {
        let needs_asking = self.needs_asking(id, now);
        if needs_asking {
            self.states.insert(id, State::Asked(now));
        }
        needs_asking
    }

    /// Remembers that a voucher that was asked cannot be reached: no message waits for it.
    pub fn give_up(&mut self, id: TokenId) {
        if let Some(State::Asked(at)) = self.states.get_mut(&id) {
            *at = UnixTime(at.0.saturating_sub(VOUCH_ASKED_S));
        }
    }

    /// Takes the answer of a voucher that was asked; what others say, or was not asked, changes
    /// nothing.
    pub fn answer(
        &mut self,
        voucher: &Did,
        id: TokenId,
        state: VouchState,
        until: UnixTime,
    ) -> bool {
        self.states.contains_key(&id) && self.say(voucher, id, state, until)
    }

    /// Takes what a voucher says about its vouch; what others say changes nothing. A vouch that was
    /// revoked stays so.
    pub fn say(&mut self, voucher: &Did, id: TokenId, state: VouchState, until: UnixTime) -> bool {
        if !self.knows(id, voucher) || self.is_revoked(id) {
            return false;
        }
        self.states.insert(id, State::Said(state, until));
        true
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

    /// Whether a voucher has to be asked to know whether its vouch holds. One that was asked in
    /// vain, or says that it knows of none, is left alone for a while.
    #[must_use]
    pub fn needs_asking(&self, id: TokenId, now: UnixTime) -> bool {
        match self.states.get(&id) {
            None => true,
            Some(State::Asked(at)) => at.saturating_add(10 * VOUCH_ASKED_S) <= now,
            Some(State::Said(VouchState::Revoked, _)) => false,
            Some(State::Said(_, until)) => *until <= now,
        }
    }

    /// Returns whom to ask after statements, and about which of them: those whose statements come
    /// first, and no more than a message is worth.
    #[must_use]
    pub fn to_ask<'a>(
        &self,
        statements: impl Iterator<Item = (TokenId, &'a Did)>,
        now: UnixTime,
    ) -> Vec<(Did, Vec<TokenId>)> {
        let mut asked: Vec<(Did, Vec<TokenId>)> = Vec::new();
        for (id, issuer) in statements {
            if !self.knows(id, issuer) || !self.needs_asking(id, now) {
                continue;
            }
            if let Some((_, ids)) =
                asked.iter_mut().find(|(voucher, _)| voucher.same_subject(issuer))
            {
                ids.push(id);
            } else if asked.len() < VOUCHERS_ASKED_MAX {
                asked.push((issuer.clone(), vec![id]));
            }
        }
        asked
    }

    /// Whether this is in the book as a statement by this party.
    #[must_use]
    pub fn knows(&self, id: TokenId, issuer: &Did) -> bool {
        let issuer = subject(issuer);
        let is_watched = self.watched.get(&id).is_some_and(|(by, _)| *by == issuer);
        is_watched || self.given_by(&issuer).any(|vouch| vouch.id() == id)
    }

    /// Returns until when something in the book would hold.
    #[must_use]
    pub fn until(&self, id: TokenId, issuer: &Did) -> Option<UnixTime> {
        let vouch = self.given_by(issuer).find(|vouch| vouch.id() == id);
        let watched = self.watched.get(&id).map(|(_, until)| *until);
        vouch.map(|vouch| vouch.terms().until).or(watched)
    }

    /// Returns the vouches within reach of somebody, each with the number of those before it. Those
    /// that were revoked are among them and lead nowhere.
    #[must_use]
    pub fn around(&self, anchors: &BTreeSet<Did>, now: UnixTime) -> Vec<(usize, &Vouch)> {
        let (mut seen, mut reached) = (anchors.clone(), Vec::from_iter(anchors.iter().cloned()));
        let mut found = Vec::new();
        for before in 0..PATH_VOUCHES_MAX {
            let mut next = Vec::new();
            for voucher in &reached {
                for vouch in self.given_by(voucher).filter(|vouch| !vouch.is_over(now)) {
                    found.push((before, vouch));
                    let vouched = subject(&vouch.terms().subject);
                    if !self.is_revoked(vouch.id()) && seen.insert(vouched.clone()) {
                        next.push(vouched);
                    }
                }
            }
            reached = next;
        }
        found
    }

    /// Returns the vouches on the ways from anchors to somebody, whether or not they are known to
    /// hold.
    #[must_use]
    pub fn ways(&self, anchors: &BTreeSet<Did>, to: &Did, now: UnixTime) -> Vec<&Vouch> {
        let mut around = self.around(anchors, now);
        around.retain(|(_, vouch)| !self.is_revoked(vouch.id()));
        // How many vouches further it is from somebody to there, found out from its end.
        let mut further = BTreeMap::from([(subject(to), 0)]);
        for _ in 0..PATH_VOUCHES_MAX {
            for (_, vouch) in &around {
                if let Some(more) = further.get(&subject(&vouch.terms().subject)).copied() {
                    let place = further.entry(subject(vouch.issuer())).or_insert(more + 1);
                    *place = (more + 1).min(*place);
                }
            }
        }
        let is_on_way = |(before, vouch): &(usize, &Vouch)| {
            let more = further.get(&subject(&vouch.terms().subject));
            more.is_some_and(|more| before + 1 + more <= PATH_VOUCHES_MAX)
        };
        around.into_iter().filter(is_on_way).map(|(_, vouch)| vouch).collect()
    }

    /// Returns the vouches that somebody gives.
    pub fn given_by(&self, voucher: &Did) -> impl Iterator<Item = &Vouch> {
        self.given.get(&subject(voucher)).into_iter().flatten()
    }

    /// Returns all vouches.
    pub fn iter(&self) -> impl Iterator<Item = &Vouch> {
        self.given.values().flatten()
    }

    /// Returns the vouches that are known to hold and cover a protocol, for the score, each worth what
    /// the conduct of the vouched leaves of it. Whoever these entries shut out vouches for nobody: who
    /// may be himself under another name.
    #[must_use]
    pub fn web<'a>(
        &'a self,
        protocol: &'a ProtocolId,
        standings: &'a Standings,
        entries: impl IntoIterator<Item = &'a Entry>,
        now: UnixTime,
    ) -> BookWeb<'a> {
        let entries = entries.into_iter().filter(|entry| entry.kind != EntryKind::Allow).collect();
        BookWeb { book: self, protocol, standings, entries, now }
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
        self.watched.retain(|id, (_, until)| {
            let is_over = *until <= now;
            if is_over {
                gone.push(*id);
            }
            !is_over
        });
        let all: BTreeSet<_> = gone.iter().collect();
        self.states.retain(|id, _| !all.contains(id));
        gone
    }

    fn is_revoked(&self, id: TokenId) -> bool {
        matches!(self.states.get(&id), Some(State::Said(VouchState::Revoked, _)))
    }
}

/// The vouches of a book for one protocol at one time.
#[derive(Clone, Debug)]
pub struct BookWeb<'a> {
    book: &'a VouchBook,
    protocol: &'a ProtocolId,
    standings: &'a Standings,
    /// Those of the operator that forbid something.
    entries: Vec<&'a Entry>,
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
            let standing = self.standings.of(&vouched);
            // Two vouches make a pair whatever points they have.
            let level = terms.level.min(standing.most());
            Edge { vouched, level, depth: terms.depth, until: terms.until, standing }
        };
        if self.entries.iter().any(|entry| entry.shuts_out(voucher)) {
            return Vec::new();
        }
        self.book.given_by(voucher).filter(holds).map(edge).collect()
    }
}

#[cfg(test)]
mod tests;

//! Paths as few numbers: what a vouch carries, what remains of it over several, and what arrives.

use comity_didcomm::UnixTime;

use super::{Edge, Level};
use crate::limits::PATH_VOUCHES_MAX;

/// The vouches of one agent for another.
#[derive(Clone, Debug)]
pub(super) struct Spoke {
    pub(super) to: usize,
    /// The part of the voucher's points that it passes on.
    pub(super) share: f64,
    /// What it carries on a path that goes on by so many vouches.
    carries: [Carry; PATH_VOUCHES_MAX],
}

impl Spoke {
    pub(super) const fn new(to: usize) -> Self {
        Self { to, share: 1.0, carries: [Carry::NOTHING; PATH_VOUCHES_MAX] }
    }

    pub(super) fn add<N>(&mut self, vouch: &Edge<N>) {
        let carry = Carry { level: vouch.level, until: vouch.until };
        let reach = usize::from(vouch.depth) + 1;
        for place in self.carries.iter_mut().take(reach) {
            *place = carry.max(*place);
        }
        self.share = self.share.min(vouch.standing.as_f64());
    }

    /// Whether a path may go on by so many vouches after this one.
    pub(super) fn goes_on_by(&self, vouches: usize) -> bool {
        self.carries.get(vouches).is_some_and(|carry| Level::Blocked < carry.level)
    }
}

/// What a path carries: the more level the better, then the longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Carry {
    level: Level,
    until: UnixTime,
}

impl Carry {
    const NOTHING: Self = Self { level: Level::Blocked, until: UnixTime(0) };

    fn and(self, next: Self) -> Self {
        Self { level: self.level.min(next.level), until: self.until.min(next.until) }
    }
}

/// The way from an anchor to somebody, and what it carries if it goes on by so many vouches.
#[derive(Clone, Debug)]
pub(super) struct Trail {
    anchor: usize,
    /// Who stands between, in order.
    via: [Option<usize>; PATH_VOUCHES_MAX - 1],
    /// Where it is by now.
    pub(super) end: usize,
    points: f64,
    carries: [Carry; PATH_VOUCHES_MAX + 1],
}

impl Trail {
    pub(super) fn new(anchor: usize, points: f64) -> Self {
        let all = Carry { level: Level::Execute, until: UnixTime(u64::MAX) };
        Self { anchor, via: [None; 2], points, end: anchor, carries: [all; PATH_VOUCHES_MAX + 1] }
    }

    /// Goes on by one vouch.
    pub(super) fn reach(&self, spoke: &Spoke) -> Self {
        let via = match self.via {
            _ if self.end == self.anchor => self.via,
            [None, _] => [Some(self.end), None],
            [first, _] => [first, Some(self.end)],
        };
        let [_, one, two, three] = self.carries;
        let [last, one_on, two_on] = spoke.carries;
        let carries = [one.and(last), two.and(one_on), three.and(two_on), Carry::NOTHING];
        Self { via, points: self.points * spoke.share, end: spoke.to, carries, ..*self }
    }

    /// Ends with one vouch more.
    pub(super) fn arrival(&self, spoke: &Spoke) -> Arrival {
        let ([_, on, ..], [last, ..], [via, _]) = (self.carries, spoke.carries, self.via);
        Arrival {
            anchor: self.anchor,
            points: self.points * spoke.share,
            level: on.level.min(last.level),
            meeting: if via.is_none() { Some(self.end) } else { None },
        }
    }

    /// Ends with one vouch more, and keeps the way.
    pub(super) fn found(&self, spoke: &Spoke) -> Found {
        let Self { via, carries: [Carry { until, .. }, ..], .. } = self.reach(spoke);
        Found { arrival: self.arrival(spoke), via, until }
    }

    /// Whether it may go on by so many vouches.
    pub(super) fn goes_on_by(&self, vouches: usize) -> bool {
        self.carries.get(vouches).is_some_and(|carry| Level::Blocked < carry.level)
    }

    /// Whether somebody is on it already.
    pub(super) fn leads_past(&self, node: usize) -> bool {
        let [first, second] = self.via;
        node == self.anchor || node == self.end || first == Some(node) || second == Some(node)
    }
}

/// What a path brings to where it ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) anchor: usize,
    pub(super) points: f64,
    pub(super) level: Level,
    /// Of a path of at most two vouches, who gave the last one. That is the anchor itself of a
    /// direct vouch, or somebody whom another path may meet too.
    pub(super) meeting: Option<usize>,
}

/// A path that is kept to be shown.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) arrival: Arrival,
    /// Who stands between, in order.
    pub(super) via: [Option<usize>; PATH_VOUCHES_MAX - 1],
    /// When it runs out.
    pub(super) until: UnixTime,
}

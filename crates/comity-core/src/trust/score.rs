//! How far the vouches of others carry somebody: personalised PageRank from the operator's anchors,
//! over paths of at most three vouches (docs/adr/0027-the-score.md).
//!
//! What a score can do is bounded by where it starts: agents that vouch for each other, however
//! many, carry nobody, since nothing reaches them but over a vouch of somebody who is reached from
//! an anchor. Not the policy: what a level lets somebody do is decided by `decide`.
//!
//! The metric:
//! * An anchor hands out 1,000 points; of more than twenty anchors each hands out an equal share of
//!   20,000. A vouch passes on 85 % of what its voucher has, divided by the number of the voucher's
//!   vouches, and by five if there are fewer: a home knows only the vouches that were shown to it,
//!   and who vouches for one agent should not carry it alone. The points of a path are those that
//!   pass over all its vouches; somebody's points are the sum over the paths that lead to it.
//! * A path carries the lowest level of its vouches, and goes no further than each of them allows
//!   (`depth`). It leads past nobody twice, nor past another anchor: what an anchor hands out is
//!   its own word, and the operator named the other one anyway.
//! * [`Level::Introduced`] needs 3 points, [`Level::Message`] 6, and takes at most a third of them
//!   from one anchor. Thus no two anchors reach a level for anybody, whatever they do.
//! * [`Level::Task`] and [`Level::Execute`] are not a matter of points. They need two paths of at
//!   most two vouches, from two anchors and over nobody in common, each vouch at that level.
//! * An anchor has [`Level::Message`] by itself, because the operator named it.
//!
//! Vouches that ran out are left out here; vouches for other protocols are left out by the [`Web`],
//! which knows what is asked for. So the share of a vouch depends on the vouches of the same scope.

mod chart;
mod explain;
mod tally;
mod trail;

pub use chart::Chart;
pub use tally::Points;

use std::collections::{BTreeMap, BTreeSet};

use comity_didcomm::UnixTime;

use super::Level;
use super::reputation::Standing;

/// One vouch, as its voucher's.
#[derive(Clone, Debug, PartialEq)]
pub struct Edge<N> {
    /// Whom it is for.
    pub vouched: N,
    /// How far the vouched may go.
    pub level: Level,
    /// How many vouches a path may have after this one.
    pub depth: u8,
    /// Until when it holds.
    pub until: UnixTime,
    /// What the conduct of the vouched leaves of it.
    pub standing: Standing,
}

/// Who vouches for whom, in the scope that is asked about.
///
/// What it answers for a voucher must be vouches that the voucher signed and has not revoked, for
/// the protocol in question. They may come in any order, expired ones among them. Several for one
/// agent count as one in the voucher's share, and each path takes the one that carries most.
pub trait Web<N> {
    /// Returns the vouches that somebody gives.
    fn given_by(&self, voucher: &N) -> Vec<Edge<N>>;
}

impl<N: Ord + Clone> Web<N> for BTreeMap<N, Vec<Edge<N>>> {
    fn given_by(&self, voucher: &N) -> Vec<Edge<N>> {
        self.get(voucher).cloned().unwrap_or_default()
    }
}

/// How far vouches carry somebody, with the reasons.
#[derive(Clone, Debug, PartialEq)]
pub struct Score<N> {
    /// Whose it is.
    pub of: N,
    /// The level that follows; [`Level::Blocked`] when none does.
    pub level: Level,
    /// Who it is to the operator.
    pub named: Named,
    /// Points of paths at level introduced or above.
    pub introduced: Points,
    /// Points of paths at level message or above.
    pub message: Points,
    /// The two paths that share nobody, if the level rests on such.
    pub pair: Option<[Path<N>; 2]>,
    /// The paths, those with the most points first; at most [`PATHS_SHOWN_MAX`].
    ///
    /// [`PATHS_SHOWN_MAX`]: crate::limits::PATHS_SHOWN_MAX
    pub paths: Vec<Path<N>>,
    /// How many paths there are.
    pub paths_found: usize,
    /// What would change the level, in a fixed order.
    pub changes: Vec<Change>,
    /// Whether all vouches were looked at.
    pub extent: Extent,
}

/// Whether the operator named somebody as an anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// It is an anchor.
    Anchor,
    /// It is not.
    NoAnchor,
}

/// Vouches that lead from an anchor to somebody.
#[derive(Clone, Debug, PartialEq)]
pub struct Path<N> {
    /// Where it begins.
    pub anchor: N,
    /// Who stands between, in order.
    pub via: Vec<N>,
    /// What it brings, before the bound of its anchor.
    pub points: f64,
    /// The lowest level of its vouches.
    pub level: Level,
    /// When the first of its vouches runs out.
    pub until: UnixTime,
}

/// Something that would change the level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// The operator has too few anchors for anybody to be scored, and names more.
    NameAnchors {
        /// How many, at least.
        more: usize,
    },
    /// Anchors that bring less than they may vouch for it directly.
    FurtherAnchors {
        /// The level that would follow.
        level: Level,
        /// How many, at least.
        more: usize,
    },
    /// Further paths of at most two vouches at the level, which share nobody with each other or
    /// those there are.
    FurtherPaths {
        /// The level that would follow.
        level: Level,
        /// How many.
        more: usize,
    },
    /// Paths run out.
    RunsOut {
        /// When the level falls, if no vouch is renewed.
        at: UnixTime,
        /// What remains of the level then.
        to: Level,
    },
}

/// Whether a bound was reached while vouches were looked at. What was found counts in any case, so
/// a score may be too low because of it and never too high.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// There are more vouches than are looked at.
    Part,
    /// All were looked at.
    Whole,
}

/// Scores somebody. Who scores several draws one [`Chart`].
///
/// ```
/// use std::collections::{BTreeMap, BTreeSet};
///
/// use comity_core::trust::Level;
/// use comity_core::trust::reputation::Standing;
/// use comity_core::trust::score::{Edge, score};
/// use comity_didcomm::UnixTime;
///
/// let (now, until) = (UnixTime(1_000), UnixTime(2_000));
/// let vouch = Edge { vouched: "aria", level: Level::Message, depth: 0, until, standing: Standing::FULL };
/// let web: BTreeMap<_, _> = ["ines", "jon", "kim"].map(|anchor| (anchor, vec![vouch.clone()])).into();
///
/// let three = score(&web, &BTreeSet::from(["ines", "jon", "kim"]), &"aria", now);
/// assert_eq!(three.level, Level::Message);
/// let two = score(&web, &BTreeSet::from(["ines", "jon"]), &"aria", now);
/// assert_eq!(two.level, Level::Blocked);
/// ```
#[must_use]
pub fn score<N: Ord + Clone>(
    web: &impl Web<N>,
    anchors: &BTreeSet<N>,
    of: &N,
    now: UnixTime,
) -> Score<N> {
    Chart::draw(web, anchors, now).score(of)
}

/// Points that an anchor hands out.
const ANCHOR_POINTS: f64 = 1_000.0;

/// Anchors that hand out all their points; more share what so many have. So a further anchor makes
/// nobody's score worse up to here, and a mistaken vouch weighs no more beyond.
const ANCHORS_WHOLE: usize = 20;

/// Anchors without which no level is reached.
const ANCHORS_MIN: usize = 3;

/// The part that a vouch passes on.
const DAMPING: f64 = 0.85;

/// The number of vouches among which a voucher divides what it passes on, at least.
const FAN_MIN: usize = 5;

/// Points towards level introduced that one anchor brings at most. A level needs [`ANCHORS_MIN`]
/// times as many; exact as a binary fraction, so that three anchors are enough.
const INTRODUCED_OF_AN_ANCHOR_MAX: f64 = 1.0;

/// Points towards level message that one anchor brings at most, in the same way.
const MESSAGE_OF_AN_ANCHOR_MAX: f64 = 2.0;

#[cfg(test)]
mod tests;

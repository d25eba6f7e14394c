//! The surroundings of the anchors, drawn once for any number of scores: who vouches for whom within
//! three vouches, with the share that each vouch passes on.
//!
//! Not the whole web: whoever no path reaches is not in it. Everybody has a number here, so that a
//! path is a few words; the anchors have the first ones. Numbers follow the order of the anchors
//! and of the vouched, so the same web gives the same chart in whatever order it tells its vouches.

use std::collections::{BTreeMap, BTreeSet};

use comity_didcomm::UnixTime;

use super::tally::{self, Tally};
use super::{
    ANCHOR_POINTS, ANCHORS_WHOLE, DAMPING, Edge, Extent, FAN_MIN, Level, Named, Path, Score, Web,
};
use crate::limits::{
    PATH_VOUCHES_MAX, PATHS_SHOWN_MAX, TRAILS_FOLLOWED_MAX, VOUCHES_CHARTED_MAX,
    VOUCHES_PER_VOUCHER_MAX,
};

/// The vouches within reach of the anchors at one moment.
#[derive(Clone, Debug)]
pub struct Chart<N> {
    nodes: Vec<N>,
    numbers: BTreeMap<N, usize>,
    anchors: usize,
    /// What each gives, by number of the vouched; `None`: was not asked.
    fans: Vec<Option<Vec<Spoke>>>,
    extent: Extent,
}

impl<N: Ord + Clone> Chart<N> {
    /// Asks the web for the vouches of the anchors, of those that they vouch for, and once more.
    #[must_use]
    pub fn draw(web: &impl Web<N>, anchors: &BTreeSet<N>, now: UnixTime) -> Self {
        let mut chart = Self {
            nodes: anchors.iter().cloned().collect(),
            numbers: anchors.iter().cloned().zip(0..).collect(),
            anchors: anchors.len(),
            fans: vec![None; anchors.len()],
            extent: Extent::Whole,
        };
        let mut room = VOUCHES_CHARTED_MAX;
        let mut reached: Vec<(usize, f64)> = (0..anchors.len()).map(|n| (n, 1.0)).collect();
        for _ in 0..PATH_VOUCHES_MAX {
            let mut next = BTreeMap::new();
            for (voucher, carried) in reached {
                let fan = chart.fan_of(voucher, web, now);
                let Some(left) = room.checked_sub(fan.len()) else {
                    chart.extent = Extent::Part;
                    break;
                };
                room = left;
                for spoke in fan.iter().filter(|spoke| Level::Blocked < spoke.carries[1].level) {
                    *next.entry(spoke.to).or_insert(0.0) += carried * spoke.share;
                }
                if let Some(place) = chart.fans.get_mut(voucher) {
                    *place = Some(fan);
                }
            }
            next.retain(|node, _| matches!(chart.fans.get(*node), Some(None)));
            // If not all can be read, those are who carry least: nobody crowds out the vouches of
            // others by giving many.
            reached = next.into_iter().collect();
            reached.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        }
        chart
    }

    /// Reads what somebody gives, with its share for each.
    fn fan_of(&mut self, voucher: usize, web: &impl Web<N>, now: UnixTime) -> Vec<Spoke> {
        let Some(node) = self.nodes.get(voucher) else {
            return Vec::new();
        };
        let mut edges = web.given_by(node);
        edges.retain(|edge| {
            now < edge.until && Level::Blocked < edge.level && edge.vouched != *node
        });
        edges.sort_by(|one, other| one.vouched.cmp(&other.vouched));
        let for_each = || edges.chunk_by(|one, other| one.vouched == other.vouched);
        let count = for_each().count();
        if VOUCHES_PER_VOUCHER_MAX < count {
            self.extent = Extent::Part;
        }
        #[expect(clippy::cast_precision_loss, reason = "a count of vouches in memory")]
        let share = DAMPING / count.max(FAN_MIN) as f64;
        let mut spokes = Vec::with_capacity(count.min(VOUCHES_PER_VOUCHER_MAX));
        for vouches in for_each().take(VOUCHES_PER_VOUCHER_MAX) {
            if let Some(first) = vouches.first() {
                spokes.push(Spoke::new(self.number(&first.vouched), share, vouches));
            }
        }
        spokes.sort_by_key(|spoke| spoke.to);
        spokes
    }

    fn number(&mut self, node: &N) -> usize {
        if let Some(number) = self.numbers.get(node) {
            return *number;
        }
        let number = self.nodes.len();
        self.nodes.push(node.clone());
        self.numbers.insert(node.clone(), number);
        self.fans.push(None);
        number
    }

    /// Scores somebody.
    #[must_use]
    pub fn score(&self, of: &N) -> Score<N> {
        let number = self.numbers.get(of).copied();
        let named = match number {
            Some(number) if number < self.anchors => Named::Anchor,
            _ => Named::NoAnchor,
        };
        let mut extent = self.extent;
        let mut found = Vec::new();
        for anchor in 0..if number.is_some() { self.anchors } else { 0 } {
            let followed = self.follow(anchor, &mut |trail| {
                let spoke = number.and_then(|number| self.spoke(trail.end, number));
                found.extend(spoke.and_then(|spoke| trail.reach(spoke)));
            });
            if followed == Extent::Part {
                extent = Extent::Part;
            }
        }
        let tally = Tally::of(&found);
        let path = |nth: usize| found.get(nth).and_then(|trail| self.path(trail));
        let pair = tally.pair().and_then(|[one, other]| Some([path(one)?, path(other)?]));
        let mut strongest: Vec<usize> = (0..found.len()).collect();
        // A stable sort: of equal paths the one that was found first comes first.
        let points = |nth: &usize| found.get(*nth).map_or(0.0, |trail| trail.points);
        strongest.sort_by(|one, other| points(other).total_cmp(&points(one)));
        Score {
            of: of.clone(),
            level: tally.level(named),
            named,
            introduced: tally.points(Level::Introduced),
            message: tally.points(Level::Message),
            pair,
            paths: strongest.into_iter().take(PATHS_SHOWN_MAX).filter_map(path).collect(),
            paths_found: found.len(),
            changes: tally::changes(&tally, &found, self.anchors, named),
            extent,
        }
    }

    /// Iterates over everybody that vouches carry to a level, in no particular order.
    pub fn levels(&self) -> impl Iterator<Item = (&N, Level)> {
        let mut tallies = vec![Tally::default(); self.nodes.len()];
        for anchor in 0..self.anchors {
            let mut touched = Vec::new();
            let _bounded = self.follow(anchor, &mut |trail| {
                for spoke in self.fan(trail.end) {
                    if let (Some(path), Some(tally)) =
                        (trail.reach(spoke), tallies.get_mut(spoke.to))
                    {
                        tally.add(&path, 0);
                        touched.push(spoke.to);
                    }
                }
            });
            for node in touched {
                if let Some(tally) = tallies.get_mut(node) {
                    tally.close();
                }
            }
        }
        let anchors = self.anchors;
        self.nodes.iter().zip(tallies).enumerate().filter_map(move |(number, (node, tally))| {
            let named = if number < anchors { Named::Anchor } else { Named::NoAnchor };
            let level = tally.level(named);
            (Level::Blocked < level).then_some((node, level))
        })
    }

    /// Iterates over the vouches: by whom, for whom, and the part of its points that is passed on.
    pub fn shares(&self) -> impl Iterator<Item = (&N, &N, f64)> {
        let fans = self.nodes.iter().zip(&self.fans);
        fans.flat_map(move |(voucher, fan)| {
            let spokes = fan.iter().flatten();
            spokes.filter_map(move |spoke| Some((voucher, self.nodes.get(spoke.to)?, spoke.share)))
        })
    }

    /// Follows the trails of an anchor that may go on by a vouch, the anchor itself first.
    fn follow(&self, anchor: usize, visit: &mut dyn FnMut(&Trail)) -> Extent {
        #[expect(clippy::cast_precision_loss, reason = "a count of anchors in memory")]
        let whole = (ANCHORS_WHOLE as f64 / self.anchors as f64).min(1.0);
        let mut room = TRAILS_FOLLOWED_MAX / self.anchors.max(1);
        self.follow_on(&Trail::new(anchor, ANCHOR_POINTS * whole), &mut room, visit)
    }

    fn follow_on(&self, trail: &Trail, room: &mut usize, visit: &mut dyn FnMut(&Trail)) -> Extent {
        let Some(left) = room.checked_sub(1) else {
            return Extent::Part;
        };
        *room = left;
        visit(trail);
        if trail.carries[2].level == Level::Blocked {
            return Extent::Whole;
        }
        for spoke in self.fan(trail.end).iter().filter(|spoke| self.anchors <= spoke.to) {
            let next = trail.reach(spoke).filter(|next| Level::Blocked < next.carries[1].level);
            if next.is_some_and(|next| self.follow_on(&next, room, visit) == Extent::Part) {
                return Extent::Part;
            }
        }
        Extent::Whole
    }

    fn fan(&self, voucher: usize) -> &[Spoke] {
        self.fans.get(voucher).and_then(Option::as_deref).unwrap_or(&[])
    }

    fn spoke(&self, voucher: usize, vouched: usize) -> Option<&Spoke> {
        let fan = self.fan(voucher);
        fan.get(fan.binary_search_by_key(&vouched, |spoke| spoke.to).ok()?)
    }

    fn path(&self, trail: &Trail) -> Option<Path<N>> {
        let via = trail.via.iter().flatten().map(|number| self.nodes.get(*number).cloned());
        Some(Path {
            anchor: self.nodes.get(trail.anchor)?.clone(),
            via: via.collect::<Option<_>>()?,
            points: trail.points,
            level: trail.level(),
            until: trail.until(),
        })
    }
}

/// The vouches of one agent for another.
#[derive(Clone, Debug)]
struct Spoke {
    to: usize,
    /// The part of the voucher's points that it passes on.
    share: f64,
    /// What it carries on a path that goes on by so many vouches.
    carries: [Carry; PATH_VOUCHES_MAX],
}

impl Spoke {
    fn new<N>(to: usize, share: f64, vouches: &[Edge<N>]) -> Self {
        let mut spoke = Self { to, share, carries: [Carry::NOTHING; PATH_VOUCHES_MAX] };
        for vouch in vouches {
            let carry = Carry { level: vouch.level, until: vouch.until };
            let reach = usize::from(vouch.depth) + 1;
            for place in spoke.carries.iter_mut().take(reach) {
                *place = carry.max(*place);
            }
            spoke.share = spoke.share.min(share * vouch.standing.as_f64());
        }
        spoke
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
    pub(super) anchor: usize,
    pub(super) via: [Option<usize>; PATH_VOUCHES_MAX - 1],
    pub(super) points: f64,
    end: usize,
    carries: [Carry; PATH_VOUCHES_MAX + 1],
}

impl Trail {
    fn new(anchor: usize, points: f64) -> Self {
        let all = Carry { level: Level::Execute, until: UnixTime(u64::MAX) };
        Self { anchor, via: [None; 2], points, end: anchor, carries: [all; PATH_VOUCHES_MAX + 1] }
    }

    /// Goes on by one vouch, unless that leads in a circle.
    fn reach(&self, spoke: &Spoke) -> Option<Self> {
        let to = spoke.to;
        if to == self.anchor || to == self.end || self.via.contains(&Some(to)) {
            return None;
        }
        let via = match self.via {
            _ if self.end == self.anchor => self.via,
            [None, _] => [Some(self.end), None],
            [first, _] => [first, Some(self.end)],
        };
        let [_, one, two, three] = self.carries;
        let [last, one_on, two_on] = spoke.carries;
        let carries = [one.and(last), two.and(one_on), three.and(two_on), Carry::NOTHING];
        Some(Self { via, points: self.points * spoke.share, end: to, carries, ..*self })
    }

    /// Returns the level that it carries to where it ends.
    pub(super) const fn level(&self) -> Level {
        let [here, ..] = self.carries;
        here.level
    }

    /// Returns when it runs out.
    pub(super) const fn until(&self) -> UnixTime {
        let [here, ..] = self.carries;
        here.until
    }

    /// Returns the number of its vouches.
    pub(super) fn vouches(&self) -> usize {
        1 + self.via.iter().flatten().count()
    }
}

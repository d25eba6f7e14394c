//! The surroundings of the anchors, drawn once for any number of scores: who vouches for whom within
//! three vouches, with the share that each vouch passes on.
//!
//! Not the whole web: whoever no path reaches is not in it. Everybody has a number here, so that a
//! path is a few words; the anchors have the first ones. Vouches are put in the order of the vouched,
//! so the same web gives the same chart in whatever order it tells them.

use std::collections::{BTreeMap, BTreeSet};

use comity_didcomm::UnixTime;

use super::tally::{self, Tally};
use super::trail::{Found, Spoke, Trail};
use super::{
    ANCHOR_POINTS, ANCHORS_WHOLE, DAMPING, Extent, FAN_MIN, Level, Named, Path, Score, Web,
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
    /// What each gives, in the order of the vouched; `None`: was not asked.
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
            let mut next = Vec::new();
            for (voucher, carried) in reached {
                let fan = chart.fan_of(voucher, web, now);
                let Some(left) = room.checked_sub(fan.len()) else {
                    chart.extent = Extent::Part;
                    break;
                };
                room = left;
                next.resize(chart.nodes.len(), 0.0);
                for spoke in fan.iter().filter(|spoke| spoke.goes_on_by(1)) {
                    if let Some(sum) = next.get_mut(spoke.to) {
                        *sum += carried * spoke.share;
                    }
                }
                if let Some(place) = chart.fans.get_mut(voucher) {
                    *place = Some(fan);
                }
            }
            let unasked = next.into_iter().enumerate().filter(|(node, carried)| {
                0.0 < *carried && chart.fans.get(*node).is_some_and(Option::is_none)
            });
            reached = unasked.collect();
            // If not all can be read, those are who carry least: nobody crowds out the vouches of
            // others by giving many.
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
        let mut spokes: Vec<Spoke> = Vec::with_capacity(edges.len());
        let (mut count, mut last) = (0, None);
        for edge in &edges {
            if last != Some(&edge.vouched) {
                count += 1;
                last = Some(&edge.vouched);
                if count <= VOUCHES_PER_VOUCHER_MAX {
                    spokes.push(Spoke::new(self.number(&edge.vouched)));
                }
            }
            if let Some(spoke) = spokes.last_mut().filter(|_| count <= VOUCHES_PER_VOUCHER_MAX) {
                spoke.add(edge);
            }
        }
        if VOUCHES_PER_VOUCHER_MAX < count {
            self.extent = Extent::Part;
        }
        #[expect(clippy::cast_precision_loss, reason = "a count of vouches in memory")]
        let share = DAMPING / count.max(FAN_MIN) as f64;
        for spoke in &mut spokes {
            spoke.share *= share;
        }
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
                let spoke = self.spoke(trail.end, of);
                let leads_on = spoke.filter(|spoke| !trail.leads_past(spoke.to));
                found.extend(leads_on.map(|spoke| trail.found(spoke)));
            });
            if followed == Extent::Part {
                extent = Extent::Part;
            }
        }
        let tally = Tally::of(&found);
        let path = |nth: usize| self.path(found.get(nth)?);
        let pair = tally.pair().and_then(|[one, other]| Some([path(one)?, path(other)?]));
        let mut strongest: Vec<usize> = (0..found.len()).collect();
        // A stable sort: of equal paths the one that was found first comes first.
        let points = |nth: &usize| found.get(*nth).map_or(0.0, |path| path.arrival.points);
        strongest.sort_by(|one, other| points(other).total_cmp(&points(one)));
        Score {
            of: of.clone(),
            level: tally.level(named),
            named,
            introduced: tally.introduced(),
            message: tally.message(),
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
            let _bounded = self.follow(anchor, &mut |trail| {
                for spoke in self.fan(trail.end) {
                    if trail.leads_past(spoke.to) {
                        continue;
                    }
                    if let Some(tally) = tallies.get_mut(spoke.to) {
                        tally.add(&trail.arrival(spoke), 0);
                    }
                }
            });
        }
        let anchors = self.anchors;
        self.nodes.iter().zip(tallies).enumerate().filter_map(move |(number, (node, tally))| {
            let named = if number < anchors { Named::Anchor } else { Named::NoAnchor };
            let level = tally.level(named);
            (Level::Blocked < level).then_some((node, level))
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
        if !trail.goes_on_by(2) {
            return Extent::Whole;
        }
        for spoke in self.fan(trail.end) {
            if spoke.to < self.anchors || trail.leads_past(spoke.to) {
                continue;
            }
            let next = trail.reach(spoke);
            if next.goes_on_by(1) && self.follow_on(&next, room, visit) == Extent::Part {
                return Extent::Part;
            }
        }
        Extent::Whole
    }

    fn fan(&self, voucher: usize) -> &[Spoke] {
        self.fans.get(voucher).and_then(Option::as_deref).unwrap_or(&[])
    }

    fn spoke(&self, voucher: usize, vouched: &N) -> Option<&Spoke> {
        let fan = self.fan(voucher);
        let place = fan.binary_search_by(|spoke| self.nodes.get(spoke.to).cmp(&Some(vouched)));
        fan.get(place.ok()?)
    }

    fn path(&self, found: &Found) -> Option<Path<N>> {
        let Found { arrival, via, until } = found;
        let via = via.iter().flatten().map(|number| self.nodes.get(*number).cloned());
        Some(Path {
            anchor: self.nodes.get(arrival.anchor)?.clone(),
            via: via.collect::<Option<_>>()?,
            points: arrival.points,
            level: arrival.level,
            until: *until,
        })
    }
}

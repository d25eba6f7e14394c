//! What an attacker computes who knows every vouch and the metric: how many points a mistaken vouch
//! of each honest agent is worth, and how to divide such vouches so that most sybils get enough.
//!
//! A model of the metric of its own, so that planning is cheap. The verdict is not its business:
//! that is the score's, over the whole web. A test holds the two together.

use std::collections::{BTreeMap, BTreeSet};

use comity_core::trust::Level;
use comity_core::trust::score::{Points, score};
use comity_didcomm::UnixTime;

use crate::world::{ANCHORS, World};

/// Points by anchor.
pub(crate) type ByAnchor = [f64; ANCHORS as usize];

pub(crate) const NOTHING: ByAnchor = [0.0; ANCHORS as usize];

/// What a vouch brings to the vouched.
#[derive(Clone)]
pub(crate) struct Bait {
    /// Over paths of any length.
    pub(crate) brings: ByAnchor,
    /// Over paths that may go on by another vouch.
    pub(crate) hands_on: ByAnchor,
}

/// The points that reach each honest agent, by the number of vouches on the way.
pub(crate) struct Flows<'a> {
    world: &'a World,
    reached: [Vec<ByAnchor>; 3],
}

impl<'a> Flows<'a> {
    /// Computes them without the vouches of some.
    pub(crate) fn new(world: &'a World, silent: &BTreeSet<u32>) -> Self {
        let none = || vec![NOTHING; world.vouches.len()];
        let mut reached = [none(), none(), none()];
        for (number, anchor) in world.anchors.iter().enumerate() {
            reached[0][*anchor as usize][number] = 1_000.0;
        }
        for length in 0..2 {
            for (voucher, given) in world.vouches.iter().enumerate() {
                let here = reached[length][voucher];
                if silent.contains(&(voucher as u32)) || here == NOTHING {
                    continue;
                }
                for edge in given {
                    if Level::Message <= edge.level && !world.anchors.contains(&edge.vouched) {
                        let there = &mut reached[length + 1][edge.vouched as usize];
                        add(there, &here, share(given.len()));
                    }
                }
            }
        }
        Self { world, reached }
    }

    /// Returns what an honest agent brings to somebody by one vouch more than it gives.
    pub(crate) fn bait(&self, voucher: u32) -> Bait {
        self.bait_of(voucher, self.world.vouches[voucher as usize].len() + 1)
    }

    /// Returns what somebody brings by each of so many vouches.
    pub(crate) fn bait_of(&self, voucher: u32, given: usize) -> Bait {
        let [by_none, by_one, by_two] = self.reached.each_ref().map(|it| it[voucher as usize]);
        let mut bait = Bait { brings: NOTHING, hands_on: NOTHING };
        for (points, length) in [(by_none, 0), (by_one, 1), (by_two, 2)] {
            add(&mut bait.brings, &points, share(given));
            if length < 2 {
                add(&mut bait.hands_on, &points, share(given));
            }
        }
        bait
    }
}

/// The part of its points that somebody with so many vouches passes on by each, as the score has
/// it.
pub(crate) fn share(given: usize) -> f64 {
    0.85 / given.max(5) as f64
}

pub(crate) fn add(to: &mut ByAnchor, what: &ByAnchor, times: f64) {
    for (sum, points) in to.iter_mut().zip(what) {
        *sum += points * times;
    }
}

pub(crate) fn sum(of: &ByAnchor) -> f64 {
    of.iter().sum()
}

/// What a level needs that an attacker wants.
pub(crate) struct Goal(Points);

impl Goal {
    pub(crate) fn new(level: Level) -> Self {
        let of_nobody = score(&BTreeMap::new(), &BTreeSet::new(), &0, UnixTime(0));
        Self(if level == Level::Introduced { of_nobody.introduced } else { of_nobody.message })
    }

    pub(crate) fn is_reached(&self, by: &ByAnchor) -> bool {
        let most = self.0.of_an_anchor_max;
        self.0.needs <= by.iter().map(|points| points.min(most)).sum()
    }
}

/// Who vouches for which sybil: the numbers of baits. Every hub vouches for every leaf.
#[derive(Default)]
pub(crate) struct Plan {
    pub(crate) hubs: Vec<Vec<usize>>,
    pub(crate) leaves: Vec<Vec<usize>>,
    pub(crate) expected: usize,
}

impl Plan {
    /// Finds the best of some hundred plans, which differ in how many baits go to hubs, the most
    /// useful ones first, and among how many leaves the hubs divide what they hand on.
    ///
    /// An anchor that is the attacker's vouches for all of them.
    pub(crate) fn best(baits: &[Bait], anchor: Option<usize>, goal: &Goal) -> Self {
        let mut order: Vec<usize> = (0..baits.len()).collect();
        order.sort_by(|one, other| {
            let useful = |bait: usize| (sum(&baits[bait].hands_on), sum(&baits[bait].brings));
            let ((hands, brings), (other_hands, other_brings)) = (useful(*one), useful(*other));
            other_hands.total_cmp(&hands).then(other_brings.total_cmp(&brings))
        });
        let useful = order.iter().filter(|bait| 0.0 < sum(&baits[**bait].hands_on)).count();
        let mut best = Self::default();
        for for_hubs in [0, 3, 5, 10, 20, useful / 2, useful] {
            let (to_hubs, to_leaves) = order.split_at(for_hubs.min(useful));
            for leaves in [5, 10, 15, 20, 30, 40, 60, 80, 120] {
                let mut gift = NOTHING;
                if let Some(anchor) = anchor {
                    gift[anchor] = 1_000.0 * share(leaves + to_hubs.len());
                }
                let plan = Self::with(baits, [to_hubs, to_leaves], leaves, &gift, goal);
                if best.expected < plan.expected {
                    best = plan;
                }
            }
        }
        best
    }

    fn with(
        baits: &[Bait],
        [to_hubs, to_leaves]: [&[usize]; 2],
        leaves_max: usize,
        gift: &ByAnchor,
        goal: &Goal,
    ) -> Self {
        let mut hubs = cover(baits, to_hubs, usize::MAX, gift, goal);
        let accepted = hubs.len();
        // What is left over makes the last hub stronger, or the only one that is none yet.
        let used: BTreeSet<usize> = hubs.iter().flatten().copied().collect();
        let left: Vec<_> = to_hubs.iter().copied().filter(|bait| !used.contains(bait)).collect();
        match hubs.last_mut() {
            Some(last) => last.extend(left),
            None if left.is_empty() => {}
            None => hubs.push(left),
        }
        let mut base = *gift;
        for bait in to_hubs {
            add(&mut base, &baits[*bait].hands_on, share(leaves_max));
        }
        let leaves = if goal.is_reached(&base) {
            vec![Vec::new(); leaves_max]
        } else {
            cover(baits, to_leaves, leaves_max, &base, goal)
        };
        let expected = accepted + leaves.len();
        Self { hubs, leaves, expected }
    }
}

/// Divides baits among as many sybils as get enough, each having `base` anyway: the strongest bait
/// first, completed by the next strongest, or by the weakest.
fn cover(
    baits: &[Bait],
    which: &[usize],
    most: usize,
    base: &ByAnchor,
    goal: &Goal,
) -> Vec<Vec<usize>> {
    let mut sorted = which.to_vec();
    sorted.sort_by(|one, other| sum(&baits[*other].brings).total_cmp(&sum(&baits[*one].brings)));
    let from = |weakest_complete: bool| {
        let mut rest = &sorted[..];
        let mut covered = Vec::new();
        'covering: while covered.len() < most {
            let mut has = *base;
            let mut taken = Vec::new();
            while !goal.is_reached(&has) {
                let next = if weakest_complete && !taken.is_empty() {
                    rest.split_last()
                } else {
                    rest.split_first()
                };
                let Some((bait, others)) = next else {
                    break 'covering;
                };
                rest = others;
                add(&mut has, &baits[*bait].brings, 1.0);
                taken.push(*bait);
            }
            covered.push(taken);
        }
        covered
    };
    let (strong, weak) = (from(false), from(true));
    if strong.len() < weak.len() { weak } else { strong }
}

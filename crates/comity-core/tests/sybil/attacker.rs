//! The four attackers. Each knows the whole web and the metric, and does the best it finds within
//! its means; where honest agents err is not its choice, or only in part.

use std::collections::BTreeSet;

use comity_core::trust::Level;

use crate::dice::Dice;
use crate::plan::{Bait, Flows, Goal, NOTHING, Plan, add, share};
use crate::world::{Attack, HONEST, World, draw, vouch};

/// Who attacks, and by what means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attacker {
    /// Fifty honest agents, any but anchors, mistakenly vouch for one sybil each, at level message.
    Ring,
    /// The same, but the sybils worked long with twice as many who would err, and got the vouches
    /// of that half that carries more.
    Infiltration,
    /// One anchor is the attacker's. It vouches for sybils only, as it likes; and twenty mistaken
    /// vouches.
    CompromisedAnchor,
    /// Ten members, any but anchors, whom others vouched for as they do, though not above level
    /// message, turn: they vouch for sybils only. They are counted among the attackers.
    Insiders,
}

pub(crate) const MISTAKES: usize = 50;
const MISTAKES_BESIDE_ANCHOR: usize = 20;
const INSIDERS: usize = 10;

impl Attacker {
    pub(crate) const ALL: [Self; 4] =
        [Self::Ring, Self::Infiltration, Self::CompromisedAnchor, Self::Insiders];

    /// Plans the attack on a world.
    pub(crate) fn attack(self, world: &World, goal: &Goal, seed: u64) -> Attack {
        let mut dice = Dice::new(seed ^ 0xA77A_C4E5);
        let nobody = BTreeSet::new();
        match self {
            Self::Ring => {
                let flows = Flows::new(world, &nobody);
                let erring = draw(MISTAKES, &world.anchors, &mut dice);
                mistaken(world, &flows, &erring, None, goal)
            }
            Self::Infiltration => {
                let flows = Flows::new(world, &nobody);
                let mut erring = draw(2 * MISTAKES, &world.anchors, &mut dice);
                most_useful(&flows, &mut erring);
                erring.truncate(MISTAKES);
                mistaken(world, &flows, &erring, None, goal)
            }
            Self::CompromisedAnchor => {
                let number = dice.below(world.anchors.len() as u32) as usize;
                let anchor = *world.anchors.iter().nth(number).unwrap();
                let flows = Flows::new(world, &BTreeSet::from([anchor]));
                let erring = draw(MISTAKES_BESIDE_ANCHOR, &world.anchors, &mut dice);
                mistaken(world, &flows, &erring, Some((number, anchor)), goal)
            }
            Self::Insiders => {
                let insiders = draw(INSIDERS, &world.anchors, &mut dice).into_iter().collect();
                turned(world, insiders, goal)
            }
        }
    }
}

/// Puts those first whose vouch brings most.
pub(crate) fn most_useful(flows: &Flows<'_>, vouchers: &mut [u32]) {
    let worth = |voucher: &u32| crate::plan::sum(&flows.bait(*voucher).brings);
    vouchers.sort_by(|one, other| worth(other).total_cmp(&worth(one)));
}

/// Makes the best of mistaken vouches by those who err, and of an anchor (its place and number).
pub(crate) fn mistaken(
    world: &World,
    flows: &Flows<'_>,
    erring: &[u32],
    anchor: Option<(usize, u32)>,
    goal: &Goal,
) -> Attack {
    let baits: Vec<_> = erring.iter().map(|voucher| flows.bait(*voucher)).collect();
    let plan = Plan::best(&baits, anchor.map(|(place, _)| place), goal);
    let sybils: Vec<_> = (HONEST..).zip(plan.hubs.iter().chain(&plan.leaves)).collect();
    let mut attack = Attack { edges: erring.len(), expected: plan.expected, ..Attack::default() };
    for (sybil, baits) in &sybils {
        for bait in *baits {
            let voucher = erring[*bait];
            let known = &world.vouches[voucher as usize];
            let given = attack.given.entry(voucher).or_insert_with(|| known.clone());
            given.push(vouch(*sybil, Level::Message));
        }
    }
    let all = |range: &[(u32, &Vec<usize>)]| -> Vec<_> {
        range.iter().map(|(sybil, _)| vouch(*sybil, Level::Execute)).collect()
    };
    let (hubs, leaves) = sybils.split_at(plan.hubs.len());
    for (hub, _) in hubs.iter().filter(|_| !leaves.is_empty()) {
        attack.given.insert(*hub, all(leaves));
    }
    if let Some((_, anchor)) = anchor {
        attack.given.insert(anchor, all(&sybils));
    }
    attack
}

/// Makes the best of insiders: each vouches for some sybils of a first tier, so that each of these
/// is vouched for by several insiders; and all of these for all of a second tier.
fn turned(world: &World, insiders: BTreeSet<u32>, goal: &Goal) -> Attack {
    let flows = Flows::new(world, &insiders);
    let mut best = (0, [0; 4]);
    for given in (10..=80).step_by(5) {
        let baits: Vec<Bait> =
            insiders.iter().map(|insider| flows.bait_of(*insider, given)).collect();
        for vouchers in 1..=INSIDERS {
            let first = given * insiders.len() / vouchers;
            let reached = (0..insiders.len()).map(|sybil| {
                let mut has = NOTHING;
                for bait in baits.iter().cycle().skip(sybil).take(vouchers) {
                    add(&mut has, &bait.brings, 1.0);
                }
                usize::from(goal.is_reached(&has))
            });
            let reached = reached.sum::<usize>() * first / insiders.len();
            let mut handed_on = NOTHING;
            for bait in &baits {
                add(&mut handed_on, &bait.hands_on, given as f64);
            }
            for second in (0..=80).step_by(10) {
                let mut has = NOTHING;
                add(&mut has, &handed_on, share(second));
                let expected = reached + if goal.is_reached(&has) { second } else { 0 };
                if best.0 < expected {
                    best = (expected, [given, vouchers, first, second]);
                }
            }
        }
    }
    let (expected, [_, vouchers, first, second]) = best;
    let mut attack = Attack { expected, ..Attack::default() };
    for (voucher, given) in (0..).zip(&world.vouches).filter(|(it, _)| !insiders.contains(it)) {
        if given.iter().all(|edge| !insiders.contains(&edge.vouched)) {
            continue;
        }
        let mut given = given.clone();
        for edge in given.iter_mut().filter(|edge| insiders.contains(&edge.vouched)) {
            edge.level = edge.level.min(Level::Message);
            attack.edges += usize::from(edge.level == Level::Message);
        }
        attack.given.insert(voucher, given);
    }
    let tiers: Vec<u32> = (HONEST..).take(first + second).collect();
    let (first, second) = tiers.split_at(first);
    for (place, sybil) in first.iter().enumerate() {
        for insider in insiders.iter().cycle().skip(place % insiders.len()).take(vouchers) {
            let given = attack.given.entry(*insider).or_default();
            given.push(vouch(*sybil, Level::Execute));
        }
        if !second.is_empty() {
            let all = second.iter().map(|sybil| vouch(*sybil, Level::Execute)).collect();
            attack.given.insert(*sybil, all);
        }
    }
    attack.insiders = insiders;
    attack
}

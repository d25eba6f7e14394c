//! A city of a thousand honest agents, an operator's anchors among them, and what attackers put on
//! top of it.

use std::collections::{BTreeMap, BTreeSet};

use comity_core::trust::Level;
use comity_core::trust::reputation::Standing;
use comity_core::trust::score::{Chart, Edge, Web};
use comity_didcomm::UnixTime;

use crate::dice::Dice;
use crate::family::Family;

/// Honest agents; sybils have the numbers from here on.
pub(crate) const HONEST: u32 = 1_000;
/// Anchors of the operator.
pub(crate) const ANCHORS: u32 = 20;
/// Whom an agent knows, on average. It vouches for seven in ten of them, so it gives and gets about
/// fifteen vouches: as many as an agent may have after some months of regular work with others.
pub(crate) const CONTACTS: u32 = 22;
const NOW: UnixTime = UnixTime(1_800_000_000);
const UNTIL: UnixTime = UnixTime(1_800_000_000 + 90 * 24 * 3600);

/// The honest agents and their vouches.
pub(crate) struct World {
    pub(crate) vouches: Vec<Vec<Edge<u32>>>,
    pub(crate) anchors: BTreeSet<u32>,
}

impl World {
    /// Makes a world of a family. Of twenty vouches one is at level introduced, fifteen at message,
    /// three at task and one at execute.
    pub(crate) fn new(family: Family, contacts: u32, seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let contacts = family.contacts(contacts, &mut dice);
        let vouches = contacts.into_iter().map(|known| {
            let mut given = Vec::new();
            for vouched in known {
                if dice.chance(70) {
                    let level = match dice.below(20) {
                        0 => Level::Introduced,
                        1..16 => Level::Message,
                        16..19 => Level::Task,
                        _ => Level::Execute,
                    };
                    given.push(vouch(vouched, level));
                }
            }
            given.sort_by_key(|edge| edge.vouched);
            given
        });
        let vouches = vouches.collect();
        let anchors = draw(ANCHORS as usize, &BTreeSet::new(), &mut dice).into_iter().collect();
        Self { vouches, anchors }
    }
}

/// Makes a vouch that may be handed on as far as any may.
pub(crate) const fn vouch(vouched: u32, level: Level) -> Edge<u32> {
    Edge { vouched, level, depth: 3, until: UNTIL, standing: Standing::FULL }
}

/// Draws different honest agents.
pub(crate) fn draw(count: usize, but: &BTreeSet<u32>, dice: &mut Dice) -> Vec<u32> {
    let mut drawn = Vec::new();
    while drawn.len() < count {
        let one = dice.below(HONEST);
        if !but.contains(&one) && !drawn.contains(&one) {
            drawn.push(one);
        }
    }
    drawn
}

/// What attackers change.
#[derive(Default)]
pub(crate) struct Attack {
    /// The vouches of those whose vouches are not what they were.
    pub(crate) given: BTreeMap<u32, Vec<Edge<u32>>>,
    /// Those of the honest agents' numbers who are none.
    pub(crate) insiders: BTreeSet<u32>,
    /// Vouches that honest agents give to attackers.
    pub(crate) edges: usize,
    /// How many of them the attacker expects to be accepted.
    pub(crate) expected: usize,
}

/// A world under attack, with so many sybils.
pub(crate) struct Attacked<'a> {
    pub(crate) world: &'a World,
    pub(crate) attack: &'a Attack,
    pub(crate) sybils: u32,
}

impl Web<u32> for Attacked<'_> {
    fn given_by(&self, voucher: &u32) -> Vec<Edge<u32>> {
        if let Some(given) = self.attack.given.get(voucher) {
            return given.clone();
        }
        if let Some(given) = self.world.vouches.get(*voucher as usize) {
            return given.clone();
        }
        // A sybil with nothing better to do vouches for ten others.
        let mut dice = Dice::new(u64::from(*voucher));
        let others = (0..10).map(|_| HONEST + dice.below(self.sybils));
        others.map(|sybil| vouch(sybil, Level::Execute)).collect()
    }
}

/// What the score makes of a world under attack: who is at least at a level.
#[derive(Clone, Copy, Default)]
pub(crate) struct Verdict {
    /// The part of the honest agents that are no anchors, from 0 to 1, at level message.
    pub(crate) honest: f64,
    /// The same at level introduced.
    pub(crate) honest_introduced: f64,
    /// How many attackers at level message.
    pub(crate) attackers: usize,
    /// The same at level introduced.
    pub(crate) attackers_introduced: usize,
    /// The same at level task.
    pub(crate) attackers_at_task: usize,
}

impl Verdict {
    pub(crate) fn of(world: &World, attack: &Attack, sybils: u32) -> Self {
        let chart = Chart::draw(&Attacked { world, attack, sybils }, &world.anchors, NOW);
        let mut verdict = Self::default();
        let honest_all = HONEST as usize - world.anchors.len() - attack.insiders.len();
        let of_one = 1.0 / honest_all as f64;
        for (agent, level) in chart.levels().filter(|(agent, _)| !world.anchors.contains(agent)) {
            let is_message = Level::Message <= level;
            if HONEST <= *agent || attack.insiders.contains(agent) {
                verdict.attackers_introduced += 1;
                verdict.attackers += usize::from(is_message);
                verdict.attackers_at_task += usize::from(Level::Task <= level);
            } else {
                verdict.honest_introduced += of_one;
                verdict.honest += if is_message { of_one } else { 0.0 };
            }
        }
        verdict
    }
}

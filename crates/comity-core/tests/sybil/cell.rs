//! One cell of the table: a family under an attacker, over all seeds.

use comity_core::trust::Level;

use crate::attacker::Attacker;
use crate::plan::Goal;
use crate::world::{Verdict, World};

/// Worlds of each family.
pub(crate) const SEEDS: u64 = 20;

/// How many sybils there are.
pub(crate) const SYBILS: [u32; 3] = [1_000, 10_000, 100_000];

/// Means over the seeds, but for what says otherwise.
#[derive(Default)]
pub(crate) struct Cell {
    /// As are the next three, with a thousand sybils.
    pub(crate) honest: f64,
    pub(crate) honest_introduced: f64,
    /// Attackers at level message for each vouch that an honest agent gave to one.
    pub(crate) for_each_edge: f64,
    pub(crate) introduced_for_each_edge: f64,
    /// Attackers at level message, by the number of sybils; over those worlds that are judged with
    /// each number.
    pub(crate) attackers: [f64; SYBILS.len()],
    /// How many sybils the attacker expected to get there.
    pub(crate) planned: f64,
    /// How many attackers got there with a thousand sybils.
    pub(crate) became: f64,
    /// The most of any seed.
    pub(crate) attackers_max: usize,
    /// All of all seeds.
    pub(crate) attackers_at_task: usize,
}

impl Cell {
    /// Lets an attacker that wants a level loose on worlds, one for each seed. All are judged with
    /// a thousand sybils, and one in so many with more.
    pub(crate) fn of(
        worlds: &[World],
        attacker: Attacker,
        wanted: Level,
        with_more: usize,
    ) -> Self {
        let goal = Goal::new(wanted);
        let mut cell = Self::default();
        let of_one = 1.0 / worlds.len() as f64;
        for (seed, world) in (0..).zip(worlds) {
            let attack = attacker.attack(world, &goal, seed);
            cell.planned += of_one * attack.expected as f64;
            let thousand = Verdict::of(world, &attack, SYBILS[0]);
            let of_edge = of_one / attack.edges as f64;
            cell.became += of_one * thousand.attackers as f64;
            cell.honest += of_one * thousand.honest;
            cell.honest_introduced += of_one * thousand.honest_introduced;
            cell.for_each_edge += of_edge * thousand.attackers as f64;
            cell.introduced_for_each_edge += of_edge * thousand.attackers_introduced as f64;
            let mut verdicts = vec![thousand];
            if (seed as usize).is_multiple_of(with_more) {
                let [_, more @ ..] = SYBILS;
                verdicts.extend(more.map(|sybils| Verdict::of(world, &attack, sybils)));
                let of_judged = 1.0 / worlds.len().div_ceil(with_more) as f64;
                for (sum, verdict) in cell.attackers.iter_mut().zip(&verdicts) {
                    *sum += of_judged * verdict.attackers as f64;
                }
            }
            for verdict in verdicts {
                cell.attackers_max = cell.attackers_max.max(verdict.attackers);
                cell.attackers_at_task += verdict.attackers_at_task;
            }
        }
        cell
    }
}

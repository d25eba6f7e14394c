//! What the score cannot do, as figures: sparse webs, vouches that go no further, mistakes where
//! they hurt most, and anchors or holders of high vouches that work together.

use std::collections::BTreeSet;

use comity_core::trust::Level;
use comity_core::trust::score::Edge;

use crate::attacker::{Attacker, MISTAKES, mistaken, most_useful};
use crate::cell::{Cell, SEEDS, SYBILS};
use crate::family::Family;
use crate::plan::{Flows, Goal};
use crate::world::{Attack, HONEST, Verdict, World, vouch};

/// Contacts of an agent that gives five vouches.
const FEW_CONTACTS: u32 = 7;

pub(crate) fn print(worlds: &[(Family, Vec<World>)]) {
    println!("Limits; nothing asserts these\n");
    let sparse: Vec<_> =
        (0..SEEDS).map(|seed| World::new(Family::Random, FEW_CONTACTS, seed)).collect();
    let cell = Cell::of(&sparse, Attacker::Ring, Level::Message, sparse.len());
    println!(
        "A random web with five vouches of each agent: of the honest {:.0} % at level message and {:.0} %\n\
         introduced; ring {:.2}.\n",
        100.0 * cell.honest,
        100.0 * cell.honest_introduced,
        cell.for_each_edge
    );
    println!(
        "A, B: honest at level message when all vouches have depth 0, depth 1.\n\
         C: attackers for each vouch when those {MISTAKES} agents err whose vouch carries most.\n\
         D: attackers when three anchors err, once each.\n\
         E, F: sybils at level task by two agents who each hold an anchor's vouch for that, of depth 0,\n   \
         depth 1; each vouches for 600, and as many count as are looked at of one voucher.\n"
    );
    println!("{:16} {:>6} {:>8} {:>6} {:>6} {:>6} {:>6}", "", "A", "B", "C", "D", "E", "F");
    let nobody = Attack::default();
    for (family, worlds) in worlds {
        let shallow = |depth| {
            let honest = |world: &World| Verdict::of(&with_depth(world, depth), &nobody, 1).honest;
            100.0 * mean(worlds, honest)
        };
        let by_holders = |depth| mean(worlds, |world| holders_at_task(world, depth));
        println!(
            "{:16} {:>4.1} % {:>6.1} % {:>6.2} {:>6.1} {:>6.0} {:>6.0}",
            family.name(),
            shallow(0),
            shallow(1),
            mean(worlds, best_placed_err),
            mean(worlds, three_anchors_err),
            by_holders(0),
            by_holders(1)
        );
    }
}

fn best_placed_err(world: &World) -> f64 {
    let flows = Flows::new(world, &BTreeSet::new());
    let mut agents: Vec<_> = (0..HONEST).filter(|agent| !world.anchors.contains(agent)).collect();
    most_useful(&flows, &mut agents);
    agents.truncate(MISTAKES);
    let attack = mistaken(world, &flows, &agents, None, &Goal::new(Level::Message));
    Verdict::of(world, &attack, SYBILS[0]).attackers as f64 / attack.edges as f64
}

fn three_anchors_err(world: &World) -> f64 {
    let flows = Flows::new(world, &BTreeSet::new());
    let three: Vec<_> = world.anchors.iter().copied().take(3).collect();
    let attack = mistaken(world, &flows, &three, None, &Goal::new(Level::Message));
    Verdict::of(world, &attack, SYBILS[0]).attackers as f64
}

/// Two agents for each of whom another anchor vouches at level task, and nobody else above message.
fn holders_at_task(world: &World, depth: u8) -> f64 {
    let holders: Vec<u32> =
        (0..HONEST).filter(|agent| !world.anchors.contains(agent)).take(2).collect();
    let mut world = with_depth(world, PATH_DEPTH);
    for edge in world.vouches.iter_mut().flatten().filter(|it| holders.contains(&it.vouched)) {
        edge.level = edge.level.min(Level::Message);
    }
    let mut attack = Attack::default();
    for (anchor, holder) in world.anchors.iter().zip(holders) {
        let given = &mut world.vouches[*anchor as usize];
        given.retain(|edge| edge.vouched != holder);
        given.push(Edge { depth, ..vouch(holder, Level::Task) });
        let sybils = (HONEST..HONEST + 600).map(|sybil| vouch(sybil, Level::Task));
        attack.given.insert(holder, sybils.collect());
        attack.insiders.insert(holder);
    }
    Verdict::of(&world, &attack, SYBILS[0]).attackers_at_task as f64
}

fn mean(worlds: &[World], measure: impl Fn(&World) -> f64) -> f64 {
    worlds.iter().map(measure).sum::<f64>() / worlds.len() as f64
}

fn with_depth(world: &World, depth: u8) -> World {
    let mut vouches = world.vouches.clone();
    for edge in vouches.iter_mut().flatten() {
        edge.depth = depth;
    }
    World { vouches, anchors: world.anchors.clone() }
}

/// As far as any path goes.
const PATH_DEPTH: u8 = 3;

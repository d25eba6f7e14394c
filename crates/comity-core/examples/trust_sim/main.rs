//! Prints what the score makes of sybils, next to what other rules make of them, on the same graphs
//! in the same run. The tables of docs/adr/0027-the-score.md are this output.
//!
//! Run it with `cargo xtask trust-sim`. It judges nothing: the targets are asserted by
//! `tests/sybil.rs`, whose simulator it shares.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    reason = "a simulation whose numbers are its own"
)]

#[path = "../../tests/sybil/attacker.rs"]
mod attacker;
#[path = "../../tests/sybil/cell.rs"]
mod cell;
#[path = "../../tests/sybil/dice.rs"]
mod dice;
#[path = "../../tests/sybil/family.rs"]
mod family;
mod limits;
#[path = "../../tests/sybil/plan.rs"]
mod plan;
mod rival;
#[path = "../../tests/sybil/world.rs"]
mod world;

use attacker::{Attacker, MISTAKES};
use cell::{Cell, SEEDS, SYBILS};
use comity_core::trust::Level;
use dice::Dice;
use family::Family;
use plan::Goal;
use rival::Rival;
use world::{ANCHORS, Attack, CONTACTS, HONEST, Verdict, World, draw, vouch};

const FAMILIES: [Family; 6] = [
    Family::Communities,
    Family::CorePeriphery,
    Family::Organisations,
    Family::Random,
    Family::ScaleFree,
    Family::SmallWorld,
];

fn main() {
    println!(
        "{HONEST} honest agents, {ANCHORS} anchors; means over {SEEDS} seeds of each family. Attackers are\n\
         counted for each vouch that an honest agent gave to one, but those with an anchor of theirs.\n"
    );
    let worlds: Vec<(Family, Vec<World>)> = FAMILIES.map(|it| (it, worlds_of(it))).into();
    println!("The score, level message\n");
    println!("{:16}   honest   ring  infil-   insid- with one anchor    growth to  at level", "");
    println!("{:16}  (least)        tration       ers     mean, most  10^5 sybils      task", "");
    for (family, worlds) in &worlds {
        score_row(*family, worlds);
    }
    println!("\nThe score, level introduced, which the attackers then want\n");
    println!("{:16}   honest   ring  infil-   insid-", "");
    println!("{:16}  (least)        tration       ers", "");
    for (family, worlds) in &worlds {
        introduced_row(*family, worlds);
    }
    println!(
        "\nOther rules: honest, and attackers of 10^3 and of 10^4, under the worse of two rings: the one\n\
         planned against the score, and one sybil for each of the {MISTAKES} mistaken vouches\n"
    );
    print!("{:16}", "");
    for rival in Rival::ALL {
        print!(" {:>19}", rival.name());
    }
    println!(" {:>19}", "the score");
    for (family, worlds) in &worlds {
        rivals_row(*family, worlds);
    }
    println!();
    limits::print(&worlds);
}

fn worlds_of(family: Family) -> Vec<World> {
    (0..SEEDS).map(|seed| World::new(family, CONTACTS, seed)).collect()
}

fn score_row(family: Family, worlds: &[World]) {
    let cells = Attacker::ALL.map(|attacker| Cell::of(worlds, attacker, Level::Message, 1));
    let honest = cells.iter().map(|cell| cell.honest).fold(1.0, f64::min);
    let [ring, infiltration, anchor, insiders] = &cells;
    let grown = cells.iter().map(|cell| cell.attackers[2] - cell.attackers[0]);
    let grown =
        grown.fold(0.0, |one: f64, other| if one.abs() < other.abs() { other } else { one });
    let at_task: usize = cells.iter().map(|cell| cell.attackers_at_task).sum();
    println!(
        "{:16} {:>6.1} % {:>6.2} {:>7.2} {:>8.2} {:>10.1}, {:>2} {:>+12.2} {at_task:>9}",
        family.name(),
        100.0 * honest,
        ring.for_each_edge,
        infiltration.for_each_edge,
        insiders.for_each_edge,
        anchor.attackers[0],
        anchor.attackers_max,
        grown,
    );
}

fn introduced_row(family: Family, worlds: &[World]) {
    let attackers = [Attacker::Ring, Attacker::Infiltration, Attacker::Insiders];
    let cells =
        attackers.map(|attacker| Cell::of(worlds, attacker, Level::Introduced, worlds.len()));
    let honest = cells.iter().map(|cell| cell.honest_introduced).fold(1.0, f64::min);
    let [ring, infiltration, insiders] = cells.map(|cell| cell.introduced_for_each_edge);
    println!(
        "{:16} {:>6.1} % {ring:>6.2} {infiltration:>7.2} {insiders:>8.2}",
        family.name(),
        100.0 * honest
    );
}

fn rivals_row(family: Family, worlds: &[World]) {
    let goal = Goal::new(Level::Message);
    print!("{:16}", family.name());
    let attacks: Vec<_> = (0..)
        .zip(worlds)
        .map(|(seed, world)| {
            let planned = Attacker::Ring.attack(world, &goal, seed);
            (world, [planned, spread(world, seed)])
        })
        .collect();
    let means = |judge: &dyn Fn(&World, &Attack, u32) -> (f64, usize)| {
        let mut mean = [0.0; 3];
        for (world, attacks) in &attacks {
            let worst = |sybils| {
                let verdicts = attacks.each_ref().map(|attack| judge(world, attack, sybils));
                let [planned, spread] = verdicts;
                if planned.1 < spread.1 { spread } else { planned }
            };
            let ((honest, few), (_, many)) = (worst(SYBILS[0]), worst(SYBILS[1]));
            for (sum, value) in mean.iter_mut().zip([100.0 * honest, few as f64, many as f64]) {
                *sum += value / worlds.len() as f64;
            }
        }
        let [honest, few, many] = mean;
        print!(" {:>19}", format!("{honest:.0} %, {few:.0} to {many:.0}"));
    };
    for rival in Rival::ALL {
        means(&|world, attack, sybils| rival.judge(world, attack, sybils));
    }
    means(&|world, attack, sybils| {
        let verdict = Verdict::of(world, attack, sybils);
        (verdict.honest, verdict.attackers)
    });
    println!();
}

/// As many mistaken vouches as the ring has, each for another sybil.
fn spread(world: &World, seed: u64) -> Attack {
    let erring = draw(MISTAKES, &world.anchors, &mut Dice::new(seed));
    let mut attack = Attack { edges: erring.len(), ..Attack::default() };
    for (sybil, voucher) in (HONEST..).zip(erring) {
        let mut given = world.vouches[voucher as usize].clone();
        given.push(vouch(sybil, Level::Message));
        attack.given.insert(voucher, given);
    }
    attack
}

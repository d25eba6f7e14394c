//! The sybil simulator: what the score makes of six families of graphs under four attackers, over
//! twenty seeds, with a thousand to a hundred thousand sybils. `cargo xtask trust-sim` prints the
//! same as a table; docs/adr/0027-the-score.md says what the model leaves out.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

#[path = "sybil/attacker.rs"]
mod attacker;
#[path = "sybil/cell.rs"]
mod cell;
#[path = "sybil/dice.rs"]
mod dice;
#[path = "sybil/family.rs"]
mod family;
#[path = "sybil/plan.rs"]
mod plan;
#[path = "sybil/world.rs"]
mod world;

use attacker::Attacker;
use cell::{Cell, SEEDS};
use comity_core::trust::Level;
use family::Family;
use world::{CONTACTS, World};

#[test]
fn two_communities_hold() {
    hold(Family::Communities);
}

#[test]
fn a_core_and_its_periphery_hold() {
    hold(Family::CorePeriphery);
}

#[test]
fn organisations_hold() {
    hold(Family::Organisations);
}

#[test]
fn random_webs_hold() {
    hold(Family::Random);
}

#[test]
fn scale_free_webs_hold() {
    hold(Family::ScaleFree);
}

#[test]
fn small_worlds_hold() {
    hold(Family::SmallWorld);
}

/// Asserts the targets in every cell of a family.
fn hold(family: Family) {
    let worlds: Vec<_> = (0..SEEDS).map(|seed| World::new(family, CONTACTS, seed)).collect();
    for attacker in Attacker::ALL {
        let cell = Cell::of(&worlds, attacker, Level::Message, 1);
        let name = format!("{attacker:?} in {}", family.name());
        assert!(0.75 <= cell.honest, "{name}: {:.3} of the honest reach message", cell.honest);
        let introduced = cell.honest_introduced;
        assert!(0.95 <= introduced, "{name}: {introduced:.3} of the honest are introduced");
        let for_each = cell.for_each_edge;
        assert!(for_each <= 0.5, "{name}: {for_each:.3} attackers for each attack edge");
        let [few, many, most] = cell.attackers;
        for more in [many, most] {
            assert!((more - few).abs() < 0.25, "{name}: {few} attackers become {more} by number");
        }
        if attacker == Attacker::CompromisedAnchor {
            assert!(cell.attackers_max <= 20, "{name}: {} attackers", cell.attackers_max);
        }
        assert_eq!(cell.attackers_at_task, 0, "{name}: attackers at level task");
        // If the attacker reckoned by another metric than the score's, its failure would show
        // nothing.
        let Cell { planned, became, .. } = cell;
        assert!(3.0 <= planned && 0.95 * planned <= became, "{name}: {planned} became {became}");
    }
}

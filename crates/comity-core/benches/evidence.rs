//! What verifying evidence costs: ten thousand messages of both sides, on one core: `cargo bench -p comity-core`.
//!
//! Not a test: nothing fails for being slow.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    dead_code,
    reason = "a benchmark, for a terminal, in a world of the tests"
)]

use std::time::Instant;

use comity_core::evidence::{Selection, Trusted, verify};

#[path = "../tests/evidence/world.rs"]
mod world;

const MESSAGES: usize = 10_000;

fn main() {
    let mut world = world::World::web(1);
    world.witness();
    for number in 0..MESSAGES {
        world.send(
            true,
            "t-1",
            &format!("Offer number {number}, of a length that such words have."),
        );
        if number % 50 == 49 {
            world.pass(1);
            world.witness();
        }
    }
    world.witness();
    let one = world::bundle(vec![world.part_b(Selection::Thread("t-1".to_owned()))]);
    let bundles = [
        ("one side", one),
        ("both sides", world.case()),
        ("half as many senders", of_many(MESSAGES / 2)),
        ("as many senders", of_many(MESSAGES)),
    ];
    for (name, bundle) in bundles {
        let text = bundle.to_text();
        let start = Instant::now();
        let verdict = verify(text.as_bytes(), &Trusted::default());
        println!(
            "{name}: {} messages in {} bytes: {:?} in {:.2?}",
            verdict.messages.len(),
            text.len(),
            verdict.outcome,
            start.elapsed(),
        );
    }
}

/// A message of each of so many senders, who have documents of their own, an answer to each, and its receipt: what grows
/// with the square of anything shows here.
fn of_many(senders: usize) -> comity_core::evidence::Bundle {
    let mut world = world::World::web(2);
    world.witness();
    for number in 0..senders {
        let node = world.b.node.did.clone();
        let name = format!("b.example:agents:{number}");
        world.b.agent = world::Party::web(&name, Some(&node), &mut world.rng);
        world.send(false, "t-1", "A word of each.");
        world.say(true, "t-1", "A word to each.");
        if number % 50 == 49 {
            world.pass(1);
            world.witness();
        }
    }
    world.witness();
    world::bundle(vec![world.part_a(Selection::Thread("t-1".to_owned()))])
}

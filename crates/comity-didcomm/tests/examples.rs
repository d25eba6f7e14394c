//! The examples do what they say: each is run as it stands. They assert, so a test has only to call
//! them.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests")]

#[path = "../examples/evidence.rs"]
mod evidence;
#[path = "../examples/rotation.rs"]
mod rotation;
#[path = "../examples/through_a_mediator.rs"]
mod through_a_mediator;
#[path = "../examples/two_parties.rs"]
mod two_parties;

#[test]
fn two_parties_write_to_each_other() {
    two_parties::main().unwrap();
}

#[test]
fn a_message_goes_through_a_mediator() {
    through_a_mediator::main().unwrap();
}

#[test]
fn evidence_is_verified_offline() {
    evidence::main().unwrap();
}

#[test]
fn a_party_moves_to_a_new_did() {
    rotation::main().unwrap();
}
